"""Raw COCO records, checked in bulk and turned into tables.

Every function takes the records as they were parsed, sets the unusable ones aside in
a :class:`ProblemLog` and returns the rest as columns. Nothing here knows FiftyOne.
"""

from __future__ import annotations

import math
import numbers
import re
from collections import Counter
from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.coco import rle, rules
from fiftyone_coco_audit.coco.paths import ImageFolder
from fiftyone_coco_audit.coco.report import ProblemLog
from fiftyone_coco_audit.findings import Rule
from fiftyone_coco_audit.names import is_storable

Id = int | str

_WHOLE_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,18}")
_MIN_INT64, _MAX_INT64 = -(2**63), 2**63 - 1
_OWN_KEYS = frozenset(
    {"id", "image_id", "category_id", "bbox", "segmentation", "attributes"}
)


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


@dataclass(frozen=True)
class Categories:
    """The categories of a file, one row each, in file order.

    Attributes:
        ids: ``N`` ids
        names: ``N`` names, no two alike
        records: ``N`` records with ``id`` and ``name`` as in the other columns, and
            what else a database can hold
    """

    ids: list[Id]
    names: list[str]
    records: list[dict[str, Any]]


@dataclass(frozen=True)
class Objects:
    """Annotations or predictions, grouped by image and else in file order.

    Attributes:
        image: ``(N,)`` row of each object's image, non-decreasing
        category: ``(N,)`` row of each object's category
        box: ``(N, 4)`` boxes ``[x, y, width, height]`` in pixels
        ids: ``N`` ids, ``None`` where a record has none
        area: ``(N,)`` areas in square pixels, for annotations
        iscrowd: ``(N,)`` 0 or 1, for annotations
        score: ``(N,)`` scores, for predictions
        rle: ``N`` compressed run lengths over the full image, ``None`` where an
            object has no mask
        attributes: further values by name, ``N`` each, ``None`` where a record
            has none
    """

    image: NDArray[np.int64]
    category: NDArray[np.int64]
    box: NDArray[np.float64]
    ids: list[Id | None]
    area: NDArray[np.float64] | None
    iscrowd: NDArray[np.int64] | None
    score: NDArray[np.float64] | None
    rle: list[str | None]
    attributes: dict[str, list[Any]]

    def __len__(self) -> int:
        return len(self.image)

    @property
    def has_ids(self) -> bool:
        """Whether any object has an id."""
        return self.ids.count(None) < len(self)

    @property
    def has_masks(self) -> bool:
        """Whether any object has a mask."""
        return self.rle.count(None) < len(self)


def read_ids(values: Sequence[Any]) -> tuple[list[Id | None], int]:
    """Reads ids as COCO tools mean them.

    Whole numbers stay, also when they are written as ``1.0`` or as text. Other text
    stays text, and so does a number beyond 64 bits, which no database holds.

    Args:
        values: the raw ids

    Returns:
        a tuple of the ids, ``None`` where there is none to be had, and the number of
        those that were numbers written as text
    """
    types = set(map(type, values))
    if types <= {type(None)}:
        return list(values), 0
    if types == {int} and _fits(min(values)) and _fits(max(values)):
        return list(values), 0
    ids = [_read_id(value) for value in values]
    texts = sum(
        isinstance(value, str) and isinstance(id_, int)
        for value, id_ in zip(values, ids, strict=True)
    )
    return ids, texts


def _read_id(value: Any) -> Id | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, numbers.Integral):
        return int(value) if _fits(int(value)) else str(value)
    if isinstance(value, float) and value.is_integer():
        return _read_id(int(value))
    if isinstance(value, str) and value and is_storable(value):
        is_number = _WHOLE_NUMBER.fullmatch(value) and _fits(int(value))
        return int(value) if is_number else value
    return None


def _fits(value: int) -> bool:
    """Whether a database can hold the number."""
    return _MIN_INT64 <= value <= _MAX_INT64


def as_stored(ids: Sequence[Id | None]) -> list[Id | None]:
    """Makes ids of one type: all text if any is text, since a field has one type."""
    if str in set(map(type, ids)):
        return [None if id_ is None else str(id_) for id_ in ids]
    return list(ids)


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
                f"its `width` is {_show(record, 'width')} and its `height` "
                f"{_show(record, 'height')}"
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
    positions: dict[Id, _Add] = {}
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


_Add = Callable[[Rule, str], None]


def _named_images(
    records: list[Any], kept: Container[Id], log: ProblemLog
) -> Iterator[tuple[dict[str, Any], Id, str, _Add]]:
    """As :func:`_identified`, with the file name, and without images that have none."""
    for record, id_, add in _identified(records, "image", kept, log):
        name = record.get("file_name")
        if isinstance(name, str) and name and is_storable(name):
            yield record, id_, name, add
        else:
            reason = f"its `file_name` is {_show(record, 'file_name')}"
            add(rules.IMAGE_WITHOUT_FILE_NAME, reason)


def _identified(
    records: list[Any],
    kind: Literal["image", "category"],
    kept: Container[Id],
    log: ProblemLog,
) -> Iterator[tuple[dict[str, Any], Id, _Add]]:
    """Sets records without an id of their own aside and yields the others.

    Args:
        records: the raw records
        kind: what they are
        kept: the ids of the records that have been kept so far
        log: takes the problems

    Yields:
        tuples of a record, its id, and a function that logs a problem of it
    """
    without_id, duplicate = {
        "image": (rules.IMAGE_WITHOUT_ID, rules.DUPLICATE_IMAGE_ID),
        "category": (rules.CATEGORY_WITHOUT_ID, rules.DUPLICATE_CATEGORY_ID),
    }[kind]
    ids, texts = read_ids(_column(_dicts(records), "id"))
    for position, (record, id_) in enumerate(zip(records, ids, strict=True)):

        def add(rule: Rule, reason: str, p: int = position, i: Any = id_) -> None:
            log.add(rule, kind, p, i, reason)

        if not isinstance(record, dict):
            add(rules.NOT_A_RECORD, _not_a_record(record))
        elif id_ is None:
            add(without_id, f"its `id` is {_show(record, 'id')}")
        elif id_ in kept:
            add(duplicate, f"an earlier {kind} has the same id")
        else:
            yield record, id_, add
    log.note(rules.ID_AS_TEXT, kind, texts, "their `id` is a number as text")


def _size(width: Any, height: Any) -> tuple[int, int] | None:
    sides = _numbers([width, height])
    if ((sides >= 1) & (sides < 2**31) & (sides == np.floor(sides))).all():
        return int(sides[0]), int(sides[1])
    return None


def read_categories(records: list[Any], log: ProblemLog) -> Categories:
    """Reads the list ``categories`` of a COCO file.

    A later category of the same name is kept apart by its id: ``"cat (id 7)"``.

    Args:
        records: the raw records
        log: takes the problems

    Returns:
        a :class:`Categories`
    """
    kept: dict[Id, dict[str, Any]] = {}
    names: set[str] = set()

    for record, id_, add in _identified(records, "category", kept, log):
        name = record.get("name")
        if type(name) is int:
            name = str(name)
        if not (isinstance(name, str) and name and is_storable(name)):
            add(rules.CATEGORY_WITHOUT_NAME, f"its `name` is {_show(record, 'name')}")
            continue
        if name in names:
            reason = f"an earlier category is called {name!r} too"
            add(rules.DUPLICATE_CATEGORY_NAME, reason)
        while name in names:  # one may be called "cat (id 7)" in the file
            name = f"{name} (id {id_})"
        names.add(name)
        extra = {key: v for key, v in record.items() if _is_storable(key, v)}
        kept[id_] = {**extra, "id": id_, "name": name}

    return Categories(
        ids=list(kept),
        names=[record["name"] for record in kept.values()],
        records=list(kept.values()),
    )


def read_objects(
    records: list[Any],
    image_rows: Mapping[Id, int],
    category_rows: Mapping[Id, int],
    sizes: NDArray[np.int64],
    log: ProblemLog,
    *,
    kind: Literal["annotation", "prediction"],
    reserved: Collection[str],
    unknown_image: Callable[
        [Id | None], str
    ] = "its `image_id` is {!r}, which names no image".format,
    unknown_category: Callable[
        [Id | None], str
    ] = "its `category_id` is {!r}, which names no category".format,
) -> Objects:
    """Reads annotations or predictions.

    Args:
        records: the raw records
        image_rows: the row of each image by its id
        category_rows: the row of each category by its id
        sizes: ``(N, 2)`` width and height of each image in pixels
        log: takes the problems
        kind: ``"annotation"`` needs ids without duplicates and has areas and crowds;
            ``"prediction"`` needs scores and may have a mask for a box
        reserved: names that an attribute cannot have; it gets the prefix ``coco_``
        unknown_image: words the reason for an image that is not there
        unknown_category: words the reason for a category that is not there

    Returns:
        an :class:`Objects`
    """
    predicted = kind == "prediction"
    raw = _dicts(records)
    fault = _Faults(len(raw))

    fault.mark(
        rules.NOT_A_RECORD,
        np.array([not isinstance(r, dict) for r in records], dtype=bool),
        lambda row: _not_a_record(records[row]),
    )

    image_ids, image_texts = read_ids(_column(raw, "image_id"))
    image = _rows(image_rows, image_ids)
    fault.mark(
        rules.UNKNOWN_IMAGE,
        image < 0,
        lambda row: (
            f"its `image_id` is {_show(raw[row], 'image_id')}"
            if image_ids[row] is None
            else unknown_image(image_ids[row])
        ),
    )

    category_ids, category_texts = read_ids(_column(raw, "category_id"))
    category = _rows(category_rows, category_ids)
    fault.mark(
        rules.UNKNOWN_CATEGORY,
        category < 0,
        lambda row: (
            f"its `category_id` is {_show(raw[row], 'category_id')}"
            if category_ids[row] is None
            else unknown_category(category_ids[row])
        ),
    )

    segmentations = [
        None if s is None or s == [] else s for s in _column(raw, "segmentation")
    ]
    has_mask = np.array([s is not None for s in segmentations], dtype=bool)
    box, has_box = _boxes(_column(raw, "bbox"))
    fault.mark(
        rules.NO_BOX,
        ~(has_box | has_mask) if predicted else ~has_box,
        lambda row: f"its `bbox` is {_show(raw[row], 'bbox')}",
    )
    fault.mark(
        rules.UNUSABLE_BOX,
        has_box & ~_usable(box),
        lambda row: f"its `bbox` is {_show(raw[row], 'bbox')}",
    )

    score = None
    if predicted:
        score = _numbers(_column(raw, "score"))
        fault.mark(
            rules.UNUSABLE_SCORE,
            ~np.isfinite(score),
            lambda row: f"its `score` is {_show(raw[row], 'score')}",
        )

    masked = np.flatnonzero(has_mask & fault.none)
    masks: list[str | None] = [None] * len(raw)
    reasons: dict[int, str] = {}
    for row, result in zip(
        masked.tolist(),
        rle.compress([segmentations[row] for row in masked], sizes[image[masked]]),
        strict=True,
    ):
        if isinstance(result, rle.Broken):
            reasons[row] = result.reason
        else:
            masks[row] = result
    broken = np.zeros(len(raw), dtype=bool)
    broken[list(reasons)] = True
    fault.mark(rules.BROKEN_SEGMENTATION, broken, reasons.__getitem__)

    if predicted:
        boxless = np.flatnonzero(~has_box & has_mask & fault.none)
        box[boxless] = rle.boxes([masks[r] for r in boxless], sizes[image[boxless]])
        fault.mark(rules.UNUSABLE_BOX, ~_usable(box), lambda row: "its mask is empty")

    ids, id_texts = read_ids(_column(raw, "id"))
    if not predicted:
        fault.mark(
            rules.DUPLICATE_ANNOTATION_ID,
            _repeated(ids, fault.none),
            lambda row: "an earlier annotation has the same id",
        )

    fault.report(log, kind, raw, ids)
    kept = np.flatnonzero(fault.none)
    order = kept[np.argsort(image[kept], kind="stable")]
    rows = order.tolist()
    raw = [raw[row] for row in rows]
    ids = [ids[row] for row in rows]
    masks = [masks[row] for row in rows]

    for key, texts in (
        ("image_id", image_texts),
        ("category_id", category_texts),
        ("id", id_texts),
    ):
        log.note(rules.ID_AS_TEXT, kind, texts, f"their `{key}` is a number as text")
    large = ~rle.drawable(box[order]) & np.array([m is not None for m in masks], bool)
    log.note(rules.MASK_NOT_SHOWN, kind, int(large.sum()), "their box is huge")
    area = iscrowd = None
    consumed = {"score"} if predicted else {"area", "iscrowd"}
    if not predicted:
        for row in np.flatnonzero([id_ is None for id_ in ids]):
            log.add(
                rules.ANNOTATION_WITHOUT_ID,
                kind,
                rows[row],
                None,
                f"its `id` is {_show(raw[row], 'id')}",
            )
        area = _areas(raw, box[order], masks, sizes[image[order]], log)
        iscrowd = np.array([_is_crowd(c) for c in _column(raw, "iscrowd")], np.int64)

    return Objects(
        image=image[order],
        category=category[order],
        box=box[order],
        ids=ids,
        area=area,
        iscrowd=iscrowd,
        score=None if score is None else score[order],
        rle=masks,
        attributes=_attributes(raw, _OWN_KEYS | consumed, reserved, kind, log),
    )


class _Faults:
    """The first fault of each record; later ones of the same record do not count."""

    def __init__(self, count: int) -> None:
        self.none = np.ones(count, dtype=bool)
        self._found: dict[int, tuple[Rule, Callable[[int], str]]] = {}

    def mark(
        self, rule: Rule, bad: NDArray[np.bool_], reason: Callable[[int], str]
    ) -> None:
        new = np.flatnonzero(bad & self.none).tolist()
        self._found.update(dict.fromkeys(new, (rule, reason)))
        self.none[new] = False

    def report(
        self,
        log: ProblemLog,
        kind: Literal["annotation", "prediction"],
        records: list[dict[str, Any]],
        ids: list[Id | None],
    ) -> None:
        for row, (rule, reason) in sorted(self._found.items(), key=lambda f: f[0]):
            log.add(rule, kind, row, ids[row], reason(row))


def _dicts(records: Sequence[Any]) -> list[dict[str, Any]]:
    """The records, empty where one is not an object."""
    return [record if isinstance(record, dict) else {} for record in records]


def _column(records: Sequence[dict[str, Any]], key: str) -> list[Any]:
    return [record.get(key) for record in records]


def _rows(rows: Mapping[Id, int], ids: list[Id | None]) -> NDArray[np.int64]:
    """The row of each id, -1 where there is none."""
    get: Callable[..., int] = rows.get
    return np.array([get(id_, -1) for id_ in ids], dtype=np.int64)


def _repeated(ids: list[Id | None], usable: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether an earlier usable record has the same id."""
    repeated = np.zeros(len(ids), dtype=bool)
    seen: set[Id] = set()
    for row in np.flatnonzero(usable).tolist():
        id_ = ids[row]
        if id_ in seen:
            repeated[row] = True
        elif id_ is not None:
            seen.add(id_)
    return repeated


def _numbers(values: Sequence[Any]) -> NDArray[np.float64]:
    """Values as numbers: NaN for what is none, infinite for what is too large."""
    if set(map(type, values)) <= {float, int}:
        with suppress(OverflowError):
            return np.array(values, dtype=np.float64)
    return np.array([_number(value) for value in values], dtype=np.float64)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _is_crowd(value: Any) -> bool:
    """Whether an ``iscrowd`` says so, also where it is text such as ``"0"``."""
    if isinstance(value, str):
        return value.strip().lower() not in ("", "0", "0.0", "false", "no", "none")
    return bool(value)


def _boxes(values: Sequence[Any]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Boxes as ``(N, 4)``, and whether each is a list of four numbers."""
    four = np.array(
        [isinstance(v, (list, tuple)) and len(v) == 4 for v in values], bool
    )
    boxes = np.full((len(values), 4), np.nan)
    flat = list(
        chain.from_iterable(v for v, ok in zip(values, four, strict=True) if ok)
    )
    boxes[four] = _numbers(flat).reshape(-1, 4)
    if not set(map(type, flat)) <= {int, float}:
        are_numbers = [isinstance(v, numbers.Real) for v in flat]
        four[four] = np.array(are_numbers, bool).reshape(-1, 4).all(axis=1)
    return boxes, four


def _usable(boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether boxes have positive sides, and corners and areas that are numbers."""
    left, top, width, height = boxes.T
    with np.errstate(over="ignore", invalid="ignore"):
        computed = np.array([left + width, top + height, width * height])
    finite = np.isfinite(boxes).all(axis=1) & np.isfinite(computed).all(axis=0)
    return np.asarray(finite & (width > 0) & (height > 0))


def _areas(
    records: list[dict[str, Any]],
    boxes: NDArray[np.float64],
    masks: list[str | None],
    sizes: NDArray[np.int64],
    log: ProblemLog,
) -> NDArray[np.float64]:
    """The areas of the file, else of the masks, else of the boxes."""
    areas = _numbers(_column(records, "area"))
    absent = ~np.isfinite(areas) | (areas < 0)
    log.note(rules.NO_AREA, "annotation", int(absent.sum()), "their area was computed")
    areas[absent] = boxes[absent, 2] * boxes[absent, 3]
    has_mask = np.array([mask is not None for mask in masks], dtype=bool)
    rows = np.flatnonzero(absent & has_mask)
    areas[rows] = rle.areas([masks[row] for row in rows])
    return areas


def _attributes(
    records: list[dict[str, Any]],
    consumed: Collection[str],
    reserved: Collection[str],
    kind: Literal["annotation", "prediction"],
    log: ProblemLog,
) -> dict[str, list[Any]]:
    """Extra keys, and those of CVAT's ``attributes``, that make a label attribute."""
    columns = {
        key: _column(records, key) for key in set().union(*records) - set(consumed)
    }
    for row, more in enumerate(_column(records, "attributes")):
        if isinstance(more, dict):
            for key, value in more.items():
                columns.setdefault(key, [None] * len(records))[row] = value

    attributes: dict[str, list[Any]] = {}
    for key in sorted(columns):
        values = columns[key]
        present = Counter(map(type, values))
        present.pop(type(None), None)
        if not present:
            continue
        name = key
        # Two keys never share a name: `tags` may stand beside `coco_tags`
        while name in reserved or name in attributes or name != key and name in columns:
            name = f"coco_{name}"
        if set(present) == {int, float}:
            values = [None if v is None else _number(v) for v in values]
        elif not (
            len(present) == 1
            and set(present) <= {str, int, float, bool}
            and all(_is_plain(v) for v in values)
        ):
            name = ""
        if not _is_attribute_name(name):
            types = " and ".join(sorted(t.__name__ for t in present))
            count = sum(present.values())
            reason = f"the key {key!r} holds {types} and was not kept"
            log.note(rules.ATTRIBUTE_NOT_KEPT, kind, count, reason)
            continue
        attributes[name] = values
    return attributes


def _is_storable(key: str, value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_storable(key, item) for item in value)
    return _is_plain(value) and _is_attribute_name(key)


def _is_plain(value: Any) -> bool:
    """Whether a value is text or a number that a database can hold, or none."""
    if isinstance(value, str):
        return is_storable(value)
    if isinstance(value, int):
        return _fits(value)
    return value is None or isinstance(value, float)


def _is_attribute_name(name: str) -> bool:
    """Whether FiftyOne can have an attribute of that name."""
    return (
        bool(name)
        and not name.startswith("_")
        and not set(name) & set(".$\0")
        and is_storable(name)
    )


def _not_a_record(value: Any) -> str:
    return f"it is a {type(value).__name__}, not an object"


def _show(record: dict[str, Any], key: str) -> str:
    """The value of a key for a message, cut where it is long."""
    if key not in record:
        return "missing"
    text = repr(record[key])
    return text if len(text) <= 60 else f"{text[:57]}..."
