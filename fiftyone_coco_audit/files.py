"""Files that are written completely or not at all, and read only if regular."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from fiftyone_coco_audit.errors import CocoAuditError

#: Stands for the image folder if none was given; this folder does not exist
NO_IMAGES = os.path.join(os.path.abspath(os.sep), "no-folder-of-images-was-given")


def check_writable_path(path: str | os.PathLike[str]) -> Path:
    """Checks that a file can be written, by its name and folder.

    Returns:
        the path

    Raises:
        CocoAuditError: if it cannot
    """
    if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
        raise CocoAuditError(f"{path!r} is not a path that a file can be written to")
    found = Path(path).expanduser()
    if found.is_dir() or not found.parent.is_dir():
        reason = "it is a folder" if found.is_dir() else "its folder does not exist"
        raise CocoAuditError(
            f"{found} cannot be written: {reason}; choose another place"
        )
    return found


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Writes a text file; an existing one is replaced completely, or left unchanged.

    Args:
        path: of the file
        text: what it is to hold

    Returns:
        the path

    Raises:
        CocoAuditError: if it cannot be written
    """
    path = check_writable_path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise CocoAuditError(
            f"{path} cannot be written: {error.strerror}; choose another place"
        ) from error
    return path


def why_no_file(path: str) -> str | None:
    """Says why a path is not a regular file; only regular files are safe to open.

    Links are followed. A named pipe would keep whoever opens it waiting, a device may
    never end.

    Returns:
        the reason, ``None`` for a regular file
    """
    if path.startswith(NO_IMAGES):
        return "it was imported without a folder of images"
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        if error.errno == errno.ELOOP:
            return "it is a symbolic link that leads back to itself"
        if error.errno == errno.ENOENT and os.path.islink(path):
            return f"it is a symbolic link to {os.readlink(path)}, which does not exist"
        return error.strerror or type(error).__name__
    except ValueError:  # such as a null character
        return "it cannot be a path"
    if stat.S_ISREG(mode):
        return None
    kinds = {
        stat.S_IFDIR: "folder",
        stat.S_IFIFO: "named pipe",
        stat.S_IFSOCK: "socket",
        stat.S_IFCHR: "device",
        stat.S_IFBLK: "device",
    }
    return f"it is a {kinds.get(stat.S_IFMT(mode), 'special file')}, not a file"


def open_file(path: str | os.PathLike[str]) -> BinaryIO:
    """Opens a regular file to be read; nothing else is ever opened.

    Raises:
        OSError: if it is none, or cannot be opened
    """
    try:
        status = os.stat(path)
    except OSError as error:
        error.strerror = why_no_file(os.fspath(path)) or error.strerror
        raise
    if not stat.S_ISREG(status.st_mode):
        reason = why_no_file(os.fspath(path))
        raise OSError(errno.EINVAL, reason, os.fspath(path))
    if not status.st_size:
        # Linux shows streams such as /proc/kmsg, which may never end, as empty files
        return BytesIO()
    return open(path, "rb")


def without_files(filepaths: Sequence[str]) -> bool:
    """Whether images were imported without a folder of images.

    Args:
        filepaths: the paths that they have
    """
    return bool(filepaths) and all(path.startswith(NO_IMAGES) for path in filepaths)


def require_images(filepaths: Sequence[str]) -> None:
    """Checks that images have files, or might have.

    Args:
        filepaths: their paths

    Raises:
        CocoAuditError: if all were imported without a folder of images
    """
    if without_files(filepaths):
        raise CocoAuditError(
            "These images were imported without their files, and this needs their "
            "pixels: import them again with images_dir"
        )


def pointer(content: bytes) -> str | None:
    """Says that a file is a pointer to one that has not been downloaded yet.

    Args:
        content: how the file begins

    Returns:
        what it is and what to do, ``None`` for a file that stands for itself
    """
    for beginning, name, command in (
        (b"version https://git-lfs.github.com/", "Git LFS", "git lfs pull"),
        (b"/annex/objects/", "git-annex", "git annex get"),
        (b"outs:\n", "DVC", "dvc pull"),
    ):
        if content.startswith(beginning):
            return f"is a {name} pointer and not the file itself; run `{command}`"
    return None
