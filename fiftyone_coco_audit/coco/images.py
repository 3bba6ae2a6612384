"""The list ``images`` of a COCO file as a table."""

from __future__ import annotations

import os
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.coco import rules
from fiftyone_coco_audit.coco.file_names import NamedFiles, meanings, tail
from fiftyone_coco_audit.coco.ids import Id
from fiftyone_coco_audit.coco.paths import (
    ImageFolder,
    Location,
    NoImageFolder,
    read_size,
)
from fiftyone_coco_audit.coco.records import (
    AddProblem,
    identified,
    note_numbers_as_text,
    read_numbers,
    show,
    show_number,
)
from fiftyone_coco_audit.coco.report import ProblemLog
from fiftyone_coco_audit.names import is_storable


@dataclass(frozen=True)
class Images:
    """The images of a file, one row each, in file order.

    Attributes:
        ids: ``N`` ids
        filepaths: ``N`` absolute paths
        missing: ``(N,)`` whether the file is missing
        sizes: ``(N, 2)`` widths and heights in pixels
    """

    ids: list[Id]
    filepaths: list[str]
    missing: NDArray[np.bool_]
    sizes: NDArray[np.int64]


def read_images(
    records: list[Any], folder: ImageFolder | NoImageFolder, log: ProblemLog
) -> Images:
    """Reads the list ``images`` of a COCO file.

    Args:
        records: the raw records
        folder: the folder that the file names are relative to
        log: takes the problems

    Returns:
        an :class:`Images`
    """
    kept: dict[Id, tuple[Location, tuple[int, int]]] = {}
    sized: list[dict[str, Any]] = []
    seen_paths: set[str] = set()
    sizes_read = 0
    locations = folder.locate(filter(None, map(_file_name, records)))

    for record, id_, file_name, add in _named_images(records, kept, log):
        place = locations.get(file_name)
        if place is None:
            reason = f"its `file_name` {file_name!r} cannot be the name of a file"
            add(rules.IMAGE_WITHOUT_FILE_NAME, reason)
            continue
        size = _size(record.get("width"), record.get("height"))
        if size is not None:
            sized.append(record)
        if size is None and not place.reason:
            size = read_size(place.path)
            sizes_read += size is not None
        if size is None:
            width, height = (show_number(record, key) for key in ("width", "height"))
            why = place.reason or "the file is broken"
            reason = f"its `width` is {width}, its `height` is {height}, and {why}"
            add(rules.IMAGE_WITHOUT_SIZE, reason)
            continue

        if place.path in seen_paths:
            reason = f"an earlier image names the same file {file_name!r}"
            add(rules.DUPLICATE_FILE_NAME, reason)
        if place.reason and isinstance(folder, ImageFolder):
            rule = rules.PATH_OUTSIDE if place.outside else rules.MISSING_FILE
            add(rule, place.reason)
        seen_paths.add(place.path)
        kept[id_] = place, size

    log.note(
        rules.SIZE_FROM_FILE, "image", sizes_read, "they have no size of their own"
    )
    note_numbers_as_text(sized, ("width", "height"), "image", log)
    places = [place for place, _ in kept.values()]
    _note_guesses(locations, places, log)
    no_folder = isinstance(folder, NoImageFolder)
    reason = "no folder was given; steps that need pixels will say so"
    log.note(rules.NO_IMAGE_FILES, "image", len(kept) * no_folder, reason)
    return Images(
        ids=list(kept),
        filepaths=[place.path for place in places],
        missing=np.array([bool(p.reason) and not no_folder for p in places], bool),
        sizes=np.array([size for _, size in kept.values()], np.int64).reshape(-1, 2),
    )


def _note_guesses(
    locations: Mapping[str, Location], places: Collection[Location], log: ProblemLog
) -> None:
    used = {place.path for place in places if place.guessed}
    example = next((n for n, place in locations.items() if place.path in used), "")
    reason = (
        f"the files were found by their base names, such as {example!r} at "
        f"{locations[example].path}"
        if example
        else ""
    )
    log.note(rules.FILE_FOUND_BY_NAME, "image", len(used), reason)


def read_image_names(
    records: list[Any], filepaths: Sequence[str], log: ProblemLog
) -> dict[Id, tuple[str, NamedFiles]]:
    """Reads the list ``images`` of predictions that name images of another file.

    Args:
        records: the raw records
        filepaths: the paths of the images that they may name
        log: takes the problems

    Returns:
        the file name of each image, and which of the others it means, by the id that
        the predictions use
    """
    named: dict[Id, str] = {}
    positions: dict[Id, AddProblem] = {}
    for _, id_, file_name, add in _named_images(records, named, log):
        named[id_] = file_name
        positions[id_] = add

    found = meanings(
        list(named.values()),
        [path.replace(os.sep, "/") for path in filepaths],
        certain=True,
        least_deep=True,
    )
    taken: set[int] = set()
    guesses = []
    for (id_, name), meaning in zip(named.items(), found, strict=True):
        if meaning.row is None:
            continue
        if meaning.row in taken:
            reason = (
                f"an earlier image refers to the same file as {name!r}, and gets the "
                "predictions of both"
            )
            positions[id_](rules.DUPLICATE_FILE_NAME, reason)
        taken.add(meaning.row)
        if not meaning.certain:
            guesses.append(f"{name!r} for {filepaths[meaning.row]}")
    reason = f"they were found by their base names, such as {next(iter(guesses), '')}"
    log.note(rules.FILE_FOUND_BY_NAME, "image", len(guesses), reason)
    return {
        id_: (name, meaning)
        for (id_, name), meaning in zip(named.items(), found, strict=True)
    }


def _named_images(
    records: list[Any], kept: Container[Id], log: ProblemLog
) -> Iterator[tuple[dict[str, Any], Id, str, AddProblem]]:
    """As :func:`identified`, with the file name, and without images that have none."""
    from_urls = 0
    for record, id_, add in identified(records, "image", kept, log):
        name = _file_name(record)
        if name is None:
            reason = f"its `file_name` is {show(record, 'file_name')}"
            add(rules.IMAGE_WITHOUT_FILE_NAME, reason)
            continue
        from_urls += name != record.get("file_name")
        yield record, id_, name, add
    reason = "they have a `coco_url` and no `file_name`"
    log.note(rules.FILE_NAME_FROM_URL, "image", from_urls, reason)


def _file_name(record: Any) -> str | None:
    """The name of an image's file, or else that in its URL, as in LVIS.

    Returns:
        the name, ``None`` if there is none that a database can hold
    """
    if not isinstance(record, dict):
        return None
    name, url = record.get("file_name"), record.get("coco_url")
    if name is None and isinstance(url, str):
        name = tail(url)
    return name if isinstance(name, str) and name and is_storable(name) else None


def _size(width: Any, height: Any) -> tuple[int, int] | None:
    sides = read_numbers([width, height])
    if ((sides >= 1) & (sides < 2**31) & (sides == np.floor(sides))).all():
        return int(sides[0]), int(sides[1])
    return None
