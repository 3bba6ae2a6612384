"""Which image each record of a list of results means.

A record has an ``image_id``, and some tools write a ``file_name`` beside it. Tools
also write positions, numbers in file names, and whole file names as ids. What the
records and the images say together decides, and every decision is noted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.coco import rules
from fiftyone_coco_audit.coco.file_names import NONE, NamedFiles, meanings
from fiftyone_coco_audit.coco.ids import Id, read_ids
from fiftyone_coco_audit.coco.records import column, dicts, show
from fiftyone_coco_audit.coco.report import ProblemLog
from fiftyone_coco_audit.coco.skeletons import Skeleton
from fiftyone_coco_audit.names import is_storable
from fiftyone_coco_audit.wording import listed


@dataclass(frozen=True)
class PredictionTarget:
    """What predictions are matched to.

    Attributes:
        name: what to call it in messages
        ids: ``N`` ids of the images, ``None`` where an image has none
        filepaths: ``N`` paths of the images
        sizes: ``(N, 2)`` width and height of each image in pixels
        categories: the name of each category by its id, ``None`` if not known
        parents: the names of categories that only group others
        info_categories: the categories that FiftyOne's importer left in
            ``dataset.info``, ``None`` if there are none
        label_classes: the classes of the labels of each field of detections
        skeletons: the keypoints of categories, by their names
    """

    name: str
    ids: list[Id | None]
    filepaths: list[str]
    sizes: NDArray[np.int64]
    categories: dict[Id, str] | None
    parents: Sequence[str] = ()
    info_categories: Any = None
    label_classes: Sequence[Sequence[str]] = ()
    skeletons: Mapping[str, Skeleton] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The paths of the images, with ``/``."""
        return [path.replace(os.sep, "/") for path in self.filepaths]

    @property
    def rows(self) -> dict[Id, int]:
        """The row of each image by its id."""
        return {id_: row for row, id_ in enumerate(self.ids) if id_ is not None}


class ImagesOf(NamedTuple):
    """The images that records are of.

    Attributes:
        rows: ``(N,)`` row of each record's image, or a code
            of :attr:`.NamedFiles.row_or_code`
        reason: says why a record has no image
    """

    rows: NDArray[np.int64]
    reason: Callable[[int], str]


def match_images(
    records: Sequence[Any], target: PredictionTarget, log: ProblemLog
) -> ImagesOf:
    """Finds the image that each record of a list of results means.

    A ``file_name`` decides over an ``image_id``, if any ``file_name`` of the list is
    that of an image. An ``image_id`` is an id; or a file name, with or without its
    ending; or, if not all whole numbers are ids, the number in a file name.

    Args:
        records: the raw records
        target: the images
        log: takes the notes

    Returns:
        an :class:`ImagesOf`
    """
    raw = dicts(records)
    values = column(raw, "image_id")
    ids, _ = read_ids(values)
    as_text = any(isinstance(value, str) for value in values)
    by_name = _by_name({id_ for id_ in ids if id_ is not None}, as_text, target)
    rows_of: dict[Id | None, int] = dict(target.rows.items())
    rows_of.update((id_, meaning.row_or_code) for id_, meaning in by_name.items())
    rows = np.array([rows_of.get(id_, NONE) for id_ in ids], dtype=np.int64)

    names, named = _file_names(column(raw, "file_name"), target, log)
    rows = _with_file_names(rows, values, names, named, log)
    by_id = np.array([name is None for name in names], dtype=bool)
    if by_name:
        by_text = by_id & np.array([id_ in by_name for id_ in ids], dtype=bool)
        log.note(
            rules.MATCHED_BY_FILE_STEM,
            "prediction",
            int((by_text & (rows >= 0)).sum()),
            "their `image_id` is the name of an image file, or the number in it",
        )
    _note_partial(by_id, rows, ids, target, log)
    example = next(iter(target.rows), target.filepaths[0])

    def reason(row: int) -> str:
        id_, name = ids[row], names[row]
        if name is not None:
            said, meaning = f"its `file_name` is {name!r}", named[name]
        elif id_ is None:
            return f"its `image_id` is {show(raw[row], 'image_id')}"
        else:
            said = f"its `image_id` is {id_!r}"
            meaning = by_name.get(id_, NamedFiles(()))
        some = f"; that has {example!r}, for example" if not meaning.rows else ""
        return f"{said}, which {which(meaning, target)}{some}"

    return ImagesOf(rows, reason)


def which(meaning: NamedFiles, target: PredictionTarget) -> str:
    """Says that a name matches no image of a target, or several."""
    paths = [target.filepaths[row] for row in meaning.rows]
    if meaning.taken:
        return (
            f"may refer to {paths[0]} of {target.name}, but another name refers to it "
            "too"
        )
    if not paths:
        return f"names no image of {target.name}"
    return f"names {len(paths):,} images of {target.name}, {listed(paths, 2)}"


def positions_hint(ids: Iterable[Id | None], count: int) -> str:
    """Says that ids look like positions, if they do.

    Args:
        ids: the ids, all different
        count: the number of things that they are of

    Returns:
        a clause that begins with a comma, or nothing
    """
    known = [id_ for id_ in ids if id_ is not None]
    numbers = [id_ for id_ in known if isinstance(id_, int)]
    if not numbers or len(numbers) < len(known) or min(numbers) < 0:
        return ""
    for first in (0, 1):
        if min(numbers) >= first and max(numbers) < count + first:
            return f", as if the ids were positions counted from {first}"
    return ""


def _by_name(
    ids: set[Id], as_text: bool, target: PredictionTarget
) -> dict[Id, NamedFiles]:
    """The images of ids that are not ids of images, but may be names of files."""
    unknown = ids - target.rows.keys()
    if not unknown:
        return {}
    paths = target.names
    stems = [os.path.splitext(path)[0] for path in paths]
    numbers = {id_ for id_ in ids if isinstance(id_, int)}
    found: dict[Id, NamedFiles] = {}
    if numbers & unknown:
        numbered = _numbered(stems)
        if numbers <= numbered.keys():
            found = {id_: NamedFiles(tuple(numbered[id_])) for id_ in numbers}
    names = {str(id_): id_ for id_ in unknown if isinstance(id_, str) or as_text}
    names = {name: id_ for name, id_ in names.items() if id_ not in found}
    for paths in (target.filepaths, stems):
        left = [name for name, id_ in names.items() if id_ not in found]
        for name, meaning in zip(
            left, meanings(left, paths, certain=True), strict=True
        ):
            if meaning.rows:
                found[names[name]] = meaning
    return found


def _numbered(stems: Sequence[str]) -> dict[int, list[int]]:
    """The rows of files whose names are numbers, by number."""
    rows: dict[int, list[int]] = {}
    for row, stem in enumerate(stems):
        base = os.path.basename(stem)
        if base.isascii() and base.isdecimal():
            rows.setdefault(int(base), []).append(row)
    return rows


def _file_names(
    values: Sequence[Any], target: PredictionTarget, log: ProblemLog
) -> tuple[list[str | None], dict[str, NamedFiles]]:
    """The file name of each record, and what each means.

    Returns:
        a tuple of both; the names are all ``None`` if not one is that of an image
    """
    names = [v if isinstance(v, str) and v and is_storable(v) else None for v in values]
    distinct = [name for name in dict.fromkeys(names) if name is not None]
    found = meanings(distinct, target.names, certain=True)
    if any(meaning.rows for meaning in found):
        return names, dict(zip(distinct, found, strict=True))
    for name in distinct[:1]:
        log.note(
            rules.IMAGE_IDS_IN_DOUBT,
            "prediction",
            len(names) - names.count(None),
            f"their `file_name`, such as {name!r}, names no image of {target.name}, "
            "so only `image_id` is used",
        )
    return [None] * len(names), {}


def _with_file_names(
    rows: NDArray[np.int64],
    image_ids: Sequence[Any],
    names: Sequence[str | None],
    named: Mapping[str, NamedFiles],
    log: ProblemLog,
) -> NDArray[np.int64]:
    """The rows of images by file names, which take precedence over the ids."""
    decided = rows.copy()
    if not named:
        return decided
    for place, (row, name) in enumerate(zip(rows.tolist(), names, strict=True)):
        if name is not None and row not in named[name].rows:
            decided[place] = named[name].row_or_code
    changed = np.flatnonzero((decided != rows) & (decided >= 0)).tolist()
    # Without an id, the name cannot contradict it
    without = [place for place in changed if image_ids[place] is None]
    if without:
        log.note(
            rules.MATCHED_BY_FILE_STEM,
            "prediction",
            len(without),
            "they have no `image_id`, so their `file_name` is used",
        )
    changed = [place for place in changed if image_ids[place] is not None]
    for place in changed[:1]:
        log.note(
            rules.MATCHED_BY_FILE_NAME,
            "prediction",
            len(changed),
            "their `image_id` is not that of the image that their `file_name` names, "
            f"such as {image_ids[place]!r} beside {names[place]!r}; the file name is "
            "used",
        )
    return decided


def _note_partial(
    by_id: NDArray[np.bool_],
    rows: NDArray[np.int64],
    ids: Sequence[Id | None],
    target: PredictionTarget,
    log: ProblemLog,
) -> None:
    """Notes that only some ids are those of images."""
    unknown = np.flatnonzero(by_id & (rows == NONE)).tolist()
    if not unknown:
        return
    distinct = {ids[place] for place in np.flatnonzero(by_id).tolist()} - {None}
    lost = {ids[place] for place in unknown} - {None}
    if not lost or lost == distinct:
        return
    hint = positions_hint(distinct, len(target.ids))
    log.note(
        rules.IMAGE_IDS_IN_DOUBT,
        "prediction",
        len(unknown),
        f"{len(lost):,} of the {len(distinct):,} different values of `image_id` match "
        f"no image of {target.name}{hint}",
    )
