"""Where the image files of a COCO file are."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.names import is_storable, kind_of


def absolute_path(value: Any, what: str) -> str:
    """A path as a user gives it, absolute and without ``~``.

    Args:
        value: the path
        what: what it is the path of, for messages

    Raises:
        CocoAuditError: if it is no path
    """
    path = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(path, str):
        raise CocoAuditError(
            f"The {what} is given as {kind_of(path)}, but must be given by its path"
        )
    if not path or "\0" in path:
        raise CocoAuditError(f"The {what} cannot have the path {path!r}; check it")
    return os.path.abspath(os.path.expanduser(path))


class ImageFolder:
    """The folder that the file names of a COCO file are relative to.

    Whether a file is there is answered from the listings of its folder, each read
    once: one call per folder instead of one per image, which is what counts on a
    network drive.

    Args:
        path: the folder

    Raises:
        CocoAuditError: if there is no such folder, or it cannot be read
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = absolute_path(path, "folder of images")
        if not os.path.isdir(self.path):
            raise CocoAuditError(
                f"There is no folder of images {self.path}; give the folder that the "
                "file names of the annotations are relative to"
            )
        try:
            os.scandir(self.path).close()
        except OSError as error:
            raise CocoAuditError(
                f"The folder of images {self.path} cannot be read ({error.strerror}); "
                "check who may read it"
            ) from error
        if not is_storable(self.path):
            raise CocoAuditError(
                f"The folder of images {self.path!r} has a name that is not UTF-8, so "
                "no database can hold it; rename the folder"
            )
        self._listings: dict[str, set[str]] = {}

    def find(self, file_name: str) -> tuple[str | None, bool]:
        r"""Finds an image file.

        Whether it lies inside the folder is decided by the spelling of the path
        alone; symbolic links are not looked through. A backslash separates folders
        where there is no file whose name contains it.

        Args:
            file_name: the file's path as the COCO file has it

        Returns:
            a tuple of the absolute path, ``None`` if it leads out of the folder, and
            whether the file is there
        """
        path = self._inside(file_name)
        exists = path is not None and self._exists(path)
        if not exists and "\\" in file_name:
            path = self._inside(file_name.replace("\\", "/"))
            exists = path is not None and self._exists(path)
        return path, exists

    def read_size(self, path: str) -> tuple[int, int] | None:
        """Reads the width and height of an image from its header.

        Returns:
            the size in pixels, or ``None`` if the file cannot be read
        """
        from PIL import Image

        try:
            with Image.open(path) as image:
                return image.size
        except (OSError, ValueError, Image.DecompressionBombError):
            return None

    def _inside(self, file_name: str) -> str | None:
        path = os.path.normpath(os.path.join(self.path, file_name))
        inside = path.startswith(os.path.join(self.path, "")) and "\0" not in path
        return path if inside else None

    def _exists(self, path: str) -> bool:
        folder, name = os.path.split(path)
        if folder not in self._listings:
            try:
                with os.scandir(folder) as entries:
                    names = {entry.name for entry in entries if not entry.is_dir()}
            except OSError:
                names = set()
            self._listings[folder] = names
        return name in self._listings[folder]


def match_file_names(
    file_names: Sequence[str], filepaths: Sequence[str]
) -> list[int | None]:
    """Finds the image that each file name means.

    A name means the image whose path ends with it; of several, the one that lies
    least deep, since names are relative to the folder of the images.

    Args:
        file_names: relative or absolute paths
        filepaths: the absolute paths of the images

    Returns:
        for each name the position of its image, ``None`` if there is none or if two
        are equally near
    """
    by_base: dict[str, list[tuple[str, int]]] = {}
    for row, path in enumerate(filepaths):
        path = path.replace("\\", "/")
        by_base.setdefault(path.rpartition("/")[2], []).append((path, row))

    rows: list[int | None] = []
    for name in file_names:
        name = os.path.normpath(name).replace("\\", "/").lstrip("/")
        candidates = sorted(
            (path.count("/"), row)
            for path, row in by_base.get(name.rpartition("/")[2], ())
            if path.endswith(f"/{name}")
        )
        clear = len(candidates) == 1 or (
            len(candidates) > 1 and candidates[0][0] < candidates[1][0]
        )
        rows.append(candidates[0][1] if clear else None)
    return rows


def unique_stems(filepaths: Sequence[str]) -> dict[str, int]:
    """Returns the position of each image by its file name without the ending.

    Stems that two images share are left out.
    """
    rows: dict[str, int] = {}
    shared = set()
    for row, path in enumerate(filepaths):
        stem = os.path.splitext(os.path.basename(path))[0]
        if stem in rows:
            shared.add(stem)
        rows[stem] = row
    return {stem: row for stem, row in rows.items() if stem not in shared}
