"""Files that are written whole, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from fiftyone_coco_audit.errors import CocoAuditError


def check_writable_path(path: str | os.PathLike[str]) -> Path:
    """Checks that a file can be written, as far as its name and folder tell.

    Returns:
        the path

    Raises:
        CocoAuditError: if it cannot
    """
    if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
        raise CocoAuditError(f"{path!r} is no path of a file to write")
    found = Path(path).expanduser()
    if found.is_dir() or not found.parent.is_dir():
        reason = "it is a folder" if found.is_dir() else "its folder does not exist"
        raise CocoAuditError(
            f"{found} cannot be written: {reason}; choose another place"
        )
    return found


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Writes a text file; one that is there is replaced as a whole, or left as it is.

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
