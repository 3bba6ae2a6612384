"""The list ``images`` of a COCO file as a table."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.coco import rules
from fiftyone_coco_audit.coco.ids import Id
from fiftyone_coco_audit.coco.paths import ImageFolder
from fiftyone_coco_audit.coco.records import AddProblem, identified, read_numbers, show
from fiftyone_coco_audit.coco.report import ProblemLog
from fiftyone_coco_audit.names import is_storable


@dataclass(frozen=True)
class Images:
    """The images of a file, one row each, in file order.

    Attributes:
        ids: ``N`` ids
        filepaths: ``N`` absolute paths
        missing: ``(N,)`` whether the file is not there
        sizes: ``(N, 2)`` widths and heights in pixels
    """

    ids: list[Id]
    filepaths: list[str]
    missing: NDArray[np.bool_]
    sizes: NDArray[np.int64]


def read_images(records: list[Any], folder: ImageFolder, log: ProblemLog) -> Images:
    """Reads the list ``images`` of a COCO file.

    Args:
        records: the raw records
        folder: the folder that the file names are relative to
        log: takes the problems

    Returns:
        an :class:`Images`
    """
    kept: dict[Id, tuple[str, bool, tuple[int, int]]] = {}
    seen_paths: set[str] = set()
    sizes_read = 0

    for record, id_, file_name, add in _named_images(records, kept, log):
        path, exists = folder.find(file_name)
        if path is None:
            reason = f"its `file_name` {file_name!r} leads out of the image folder"
            add(rules.PATH_OUTSIDE, reason)
            continue
        size = _size(record.get("width"), record.get("height"))
        if size is None and exists:
            size = folder.read_size(path)
            sizes_read += size is not None
        if size is None:
            reason = (
                f"its `width` is {show(record, 'width')} and its `height` "
                f"{show(record, 'height')}"
            )
            add(rules.IMAGE_WITHOUT_SIZE, reason)
            continue

        if path in seen_paths:
            reason = f"an earlier image names the same file {file_name!r}"
            add(rules.DUPLICATE_FILE_NAME, reason)
        if not exists:
            add(rules.MISSING_FILE, f"the file {path} is not there")
        seen_paths.add(path)
        kept[id_] = path, not exists, size

    log.note(
        rules.SIZE_FROM_FILE, "image", sizes_read, "they have no size of their own"
    )
    rows = list(kept.values())
    return Images(
        ids=list(kept),
        filepaths=[path for path, _, _ in rows],
        missing=np.array([missing for _, missing, _ in rows], dtype=bool),
        sizes=np.array([size for _, _, size in rows], dtype=np.int64).reshape(-1, 2),
    )


def read_image_names(
    records: list[Any],
    find: Callable[[list[str]], list[int | None]],
    log: ProblemLog,
) -> tuple[dict[Id, str], dict[Id, int]]:
    """Reads the list ``images`` of predictions that name images of another file.

    Args:
        records: the raw records
        find: gives the row of each of several file names, ``None`` where there is none
        log: takes the problems

    Returns:
        a tuple of the file name of each image, and the row of those that are found,
        by the id that the predictions use
    """
    named: dict[Id, str] = {}
    positions: dict[Id, AddProblem] = {}
    for _, id_, file_name, add in _named_images(records, named, log):
        named[id_] = file_name
        positions[id_] = add

    rows: dict[Id, int] = {}
    taken: set[int] = set()
    for id_, row in zip(named, find(list(named.values())), strict=True):
        if row is None:
            continue
        if row in taken:
            reason = (
                f"an earlier image means the same file as {named[id_]!r}, and has the "
                "predictions of both"
            )
            positions[id_](rules.DUPLICATE_FILE_NAME, reason)
        taken.add(row)
        rows[id_] = row
    return named, rows


def _named_images(
    records: list[Any], kept: Container[Id], log: ProblemLog
) -> Iterator[tuple[dict[str, Any], Id, str, AddProblem]]:
    """As :func:`identified`, with the file name, and without images that have none."""
    for record, id_, add in identified(records, "image", kept, log):
        name = record.get("file_name")
        if isinstance(name, str) and name and is_storable(name):
            yield record, id_, name, add
        else:
            reason = f"its `file_name` is {show(record, 'file_name')}"
            add(rules.IMAGE_WITHOUT_FILE_NAME, reason)


def _size(width: Any, height: Any) -> tuple[int, int] | None:
    sides = read_numbers([width, height])
    if ((sides >= 1) & (sides < 2**31) & (sides == np.floor(sides))).all():
        return int(sides[0]), int(sides[1])
    return None
