"""Where the image files of a COCO file are."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from fiftyone_coco_audit.coco.file_names import NamedFiles, meanings, tail
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.files import NO_IMAGES, open_file, why_no_file
from fiftyone_coco_audit.names import is_storable, kind_of
from fiftyone_coco_audit.wording import counted, listed

# Listing more files takes longer than a user would wait
_MOST_FILES = 1_000_000
# A drive letter is not a scheme; pathlib turns two slashes into one
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:/")


def absolute_path(value: Any, what: str) -> str:
    """A path from a user, made absolute and without ``~``.

    Args:
        value: the path
        what: what it is the path of, for messages

    Raises:
        CocoAuditError: if it is not a path
    """
    path = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(path, str):
        raise CocoAuditError(f"The {what} must be a path, not {kind_of(path)}")
    if not path or "\0" in path:
        raise CocoAuditError(f"The {what} has an invalid path, {path!r}; check it")
    if _URL.match(path):
        raise CocoAuditError(
            f"The {what} {path} is a URL: download it first, and give the path of the "
            "download"
        )
    return os.path.abspath(os.path.expanduser(path))


class Location(NamedTuple):
    """Where an image file is, or why it was not found.

    Attributes:
        path: its absolute path, which never leads out of the folder
        reason: why there is no such file, empty if there is
        guessed: whether the file was found although its path is spelled otherwise
        outside: whether the name leads out of the folder
    """

    path: str
    reason: str = ""
    guessed: bool = False
    outside: bool = False


class NoImageFolder:
    """Stands for the image folder if none is given: no file is searched."""

    def locate(self, names: Iterable[str]) -> dict[str, Location]:
        """Returns a path in :data:`.files.NO_IMAGES` for each name that can be one."""
        return {
            name: Location(os.path.join(NO_IMAGES, tail(name)), "no folder was given")
            for name in names
            if _is_name(name)
        }


class ImageFolder:
    """The folder that the file names of a COCO file are relative to.

    Whether a file is there is answered from the listings of its folder, each read
    once: one call per folder instead of one per image, which is what counts on a
    network drive. All sub-folders are listed only if a file is not where it should be.

    Only what has a name in the folder is found. Symbolic links in it are followed, as
    tools such as DVC put them there; where they lead is up to whoever made them.

    Args:
        path: the folder

    Raises:
        CocoAuditError: if there is no such folder, or it cannot be read
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = absolute_path(path, "image folder")
        if not os.path.isdir(self.path):
            raise CocoAuditError(
                f"There is no image folder {self.path}; give the folder that the file "
                "names in the annotations are relative to, or none to work without "
                "images"
            )
        try:
            os.scandir(self.path).close()
        except OSError as error:
            raise CocoAuditError(
                f"The image folder {self.path} cannot be read ({error.strerror}); "
                "check its permissions"
            ) from error
        if not is_storable(self.path):
            raise CocoAuditError(
                f"The image folder {self.path!r} has a name that is not UTF-8, so no "
                "database can hold it; rename the folder"
            )
        self._prefix = os.path.join(self.path, "")
        self._listings: dict[str, set[str]] = {}

    def locate(self, names: Iterable[str]) -> dict[str, Location]:
        """Finds image files.

        Args:
            names: the paths or URLs of the files as the COCO file has them

        Returns:
            a :class:`Location` for each name that can be one of a file
        """
        found: dict[str, Location] = {}
        lost: list[str] = []
        for name in dict.fromkeys(names):
            for spelling in (name, name.replace("\\", "/")):
                path = self._inside(spelling)
                if path is not None and self._is_file(path):
                    found[name] = Location(path, guessed=spelling != name)
                    break
            else:
                lost += filter(_is_name, [name])
        return found | self._search(lost, {place.path for place in found.values()})

    def _search(self, names: list[str], claimed: set[str]) -> dict[str, Location]:
        """Looks for files by their base names."""
        files = self._files() if names else []
        if files is None:
            reason = (
                f"the folder has over {_MOST_FILES:,} files, so it was not searched"
            )
            return {name: self._nowhere(name, reason) for name in names}
        found = meanings(
            names,
            [file.replace(os.sep, "/") for file in files],
            claimed=[row for row, file in enumerate(files) if file in claimed],
        )
        return {
            name: self._nowhere(name, self._why(meaning, files))
            if meaning.row is None
            else Location(files[meaning.row], guessed=True)
            for name, meaning in zip(names, found, strict=True)
        }

    def _nowhere(self, name: str, holds: str) -> Location:
        inside = self._inside(name)
        path = inside or os.path.join(self.path, tail(name))
        is_other = os.path.lexists(path) and why_no_file(path)
        reason = f"the file {path} does not exist: {is_other or holds}"
        if inside is None:
            reason = (
                f"its `file_name` {name!r} leads out of the image folder, and {holds}"
            )
        return Location(path, reason, outside=inside is None)

    def _why(self, meaning: NamedFiles, files: list[str]) -> str:
        """Says what the folder contains instead of exactly one file of a name."""
        named = [os.path.relpath(files[row], self.path) for row in meaning.rows[:3]]
        if meaning.taken:
            return (
                f"the only file of that name, {named[0]}, may belong to another image"
            )
        if named:
            named += [""] * (len(meaning.rows) - len(named))
            return f"the folder has {len(named):,} files of that name, {listed(named)}"
        if not files:
            return "the folder has no files"
        example = os.path.relpath(files[0], self.path)
        return (
            "the folder has no file of that name among its "
            f"{counted(len(files), 'file')}, such as {example}"
        )

    def _files(self) -> list[str] | None:
        """All files in the folder and below; ``None`` if they are too many.

        Hidden ones are left out, as thumbnails and caches have the names of images.
        """
        files: list[str] = []
        folders, seen = [self.path], set()
        while folders:
            folder = folders.pop()
            try:
                status = os.stat(folder)
                with os.scandir(folder) as listing:
                    entries = sorted(listing, key=lambda entry: entry.name)
            except OSError:
                continue  # files that cannot be listed cannot be opened either
            if (status.st_dev, status.st_ino) in seen:
                continue  # a link to a folder above
            seen.add((status.st_dev, status.st_ino))
            for entry in entries:
                if entry.name.startswith(".") or not is_storable(entry.name):
                    continue
                if _is_file(entry):
                    files.append(entry.path)
                elif _is_folder(entry):
                    folders.append(entry.path)
            if len(files) > _MOST_FILES:
                return None
        return sorted(files)

    def _inside(self, file_name: str) -> str | None:
        path = os.path.normpath(os.path.join(self.path, file_name))
        inside = path.startswith(self._prefix) and "\0" not in file_name
        return path if inside else None

    def _is_file(self, path: str) -> bool:
        folder, name = os.path.split(path)
        if folder not in self._listings:
            try:
                with os.scandir(folder) as entries:
                    names = {entry.name for entry in entries if _is_file(entry)}
            except OSError:
                names = set()
            self._listings[folder] = names
        return name in self._listings[folder]


def read_size(path: str) -> tuple[int, int] | None:
    """Reads the width and height at which an image is shown, from its header.

    FiftyOne's own function does it, so that the size is the one that FiftyOne has:
    that of the image turned as its EXIF data say.

    Returns:
        the size in pixels, or ``None`` if the file cannot be read
    """
    from fiftyone.core.metadata import get_image_info

    try:
        with open_file(path) as file:
            width, height, _ = get_image_info(file)
    except Exception:  # decoders raise all kinds of errors on broken files
        return None
    return width, height


def _is_name(name: str) -> bool:
    return "\0" not in name and bool(tail(name))


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a regular file, or a link to one."""
    try:
        return entry.is_file()
    except OSError:  # a link that leads back to itself
        return False


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
