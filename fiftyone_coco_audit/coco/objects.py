"""Annotations and predictions of COCO files as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit import rle
from fiftyone_coco_audit.coco import rules
from fiftyone_coco_audit.coco.attributes import read_attributes
from fiftyone_coco_audit.coco.file_names import NONE, SEVERAL
from fiftyone_coco_audit.coco.geometry import (
    Shapes,
    read_areas,
    read_crowds,
    read_shapes,
)
from fiftyone_coco_audit.coco.ids import Id, numbered_anew, read_ids
from fiftyone_coco_audit.coco.keypoints import note_wrong_counts, read_keypoints
from fiftyone_coco_audit.coco.matching import ImagesOf
from fiftyone_coco_audit.coco.records import (
    Faults,
    column,
    dicts,
    note_numbers_as_text,
    read_numbers,
    show,
    show_number,
    taken,
)
from fiftyone_coco_audit.coco.report import ProblemLog
from fiftyone_coco_audit.findings import Rule
from fiftyone_coco_audit.wording import counted

_Kind = Literal["annotation", "prediction"]

_OWN_KEYS = frozenset(
    {
        *("id", "image_id", "category_id", "bbox", "segmentation", "keypoints"),
        "attributes",
    }
)


@dataclass(frozen=True)
class CocoObjects:
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
        keypoints: ``N`` lists ``[x, y, v, x, y, v, ...]`` in pixels, ``None`` where an
            object has none
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
    keypoints: list[list[float] | None]
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

    @property
    def has_keypoints(self) -> bool:
        """Whether any object has keypoints."""
        return self.keypoints.count(None) < len(self)


@dataclass(frozen=True)
class References:
    """The images and categories that objects may refer to.

    Attributes:
        image_rows: the row of each image by its id
        category_rows: the row of each category by its id
        sizes: ``(N, 2)`` width and height of each image in pixels
        unknown_image: words the reason for a missing image
        unknown_category: words the reason for a missing category
        images_of: the image of each record, where not only its id decides
        num_keypoints: how many keypoints each category has, by row; 0 where that is
            not known
    """

    image_rows: Mapping[Id, int]
    category_rows: Mapping[Id, int]
    sizes: NDArray[np.int64]
    unknown_image: Callable[[Id], str] = (
        "its `image_id` is {!r}, which names no image".format
    )
    unknown_category: Callable[[Id], str] = (
        "its `category_id` is {!r}, which names no category".format
    )
    images_of: ImagesOf | None = None
    num_keypoints: Sequence[int] = ()


@dataclass(frozen=True)
class ObjectReader:
    """Reads records of objects into columns.

    Args:
        references: the images and categories
        log: takes the problems
        reserved: names that an attribute cannot have; it gets the prefix ``coco_``
    """

    references: References
    log: ProblemLog
    reserved: Collection[str]

    def annotations(self, records: list[Any]) -> CocoObjects:
        """Reads annotations, which have ids, areas and crowds.

        Args:
            records: the raw records
        """
        kind: _Kind = "annotation"
        raw, names, shapes, fault = self._read(records, kind)
        fault.mark(
            rules.DUPLICATE_ANNOTATION_ID,
            _copies(names, shapes, fault.none),
            lambda row: "an earlier annotation is the same, except for extra keys",
        )
        fault.report(self.log, kind, names.ids)
        names = _numbered_anew(names, fault.none, self.log)

        order = _by_image(names.image, fault.none)
        raw, names, shapes = taken(raw, order), names.take(order), shapes.take(order)
        for record, row, id_ in zip(raw, order.tolist(), names.ids, strict=True):
            if id_ is None:
                reason = f"its `id` is {show(record, 'id')}"
                self.log.add(rules.ANNOTATION_WITHOUT_ID, kind, row, None, reason)
        for rule, of in (
            (rules.BOX_FROM_MASK, shapes.has_mask),
            (rules.BOX_FROM_KEYPOINTS, ~shapes.has_mask),
        ):
            boxless = int((~shapes.has_box & of).sum())
            self.log.note(rule, kind, boxless, "their `bbox` is missing or empty")
        note_wrong_counts(raw, shapes.poses, self.log)
        iscrowd = read_crowds(raw, self.log)
        crowds = int(iscrowd.sum())
        if 2 * crowds > len(raw):
            some = "all" if crowds == len(raw) else f"{crowds:,} of"
            reason = f"`iscrowd` is 1 in {some} {counted(len(raw), kind)}"
            self.log.note(rules.MOSTLY_CROWDS, kind, crowds, reason)
        sizes = self.references.sizes[names.image]
        return replace(
            self._objects(raw, names, shapes, ("area", "iscrowd"), kind),
            area=read_areas(raw, shapes, sizes, self.log),
            iscrowd=iscrowd,
        )

    def predictions(self, records: list[Any]) -> CocoObjects:
        """Reads predictions, which have scores and may have a mask for a box.

        Args:
            records: the raw records
        """
        kind: _Kind = "prediction"
        raw, names, shapes, fault = self._read(records, kind)
        score = read_numbers(column(raw, "score"))
        fault.mark(
            rules.UNUSABLE_SCORE,
            ~np.isfinite(score),
            lambda row: f"its `score` is {show_number(records[row], 'score')}",
        )
        fault.report(self.log, kind, names.ids)

        order = _by_image(names.image, fault.none)
        raw, names, shapes = taken(raw, order), names.take(order), shapes.take(order)
        objects = self._objects(raw, names, shapes, ("score",), kind)
        return replace(objects, score=score[order])

    def _read(
        self, records: list[Any], kind: _Kind
    ) -> tuple[list[dict[str, Any]], _Names, Shapes, Faults]:
        """The keys that all records have, and their faults."""
        fault = Faults(records)
        raw = dicts(records)
        names = _read_names(raw, self.references, kind, fault, self.log)
        annotated = kind == "annotation"
        # The last is that of a record without a category
        numbers = np.array([*self.references.num_keypoints, 0], np.int64)
        wanted = numbers[np.minimum(names.category, len(numbers) - 1)]
        poses = read_keypoints(raw, wanted, fault, annotated=annotated)
        shapes = read_shapes(
            raw,
            self.references.sizes[names.image],
            poses,
            fault,
            flat_poses=not annotated,
        )
        return raw, names, shapes, fault

    def _objects(
        self,
        raw: list[dict[str, Any]],
        names: _Names,
        shapes: Shapes,
        keys: Sequence[str],
        kind: _Kind,
    ) -> CocoObjects:
        """The usable records; some of their ``keys`` are read into other columns."""
        _note_huge(shapes, kind, self.log)
        numbers = [key for key in ("bbox", *keys) if key != "iscrowd"]
        note_numbers_as_text(raw, numbers, kind, self.log)
        consumed = _OWN_KEYS | set(keys)
        return CocoObjects(
            image=names.image,
            category=names.category,
            box=shapes.box,
            ids=names.ids,
            area=None,
            iscrowd=None,
            score=None,
            rle=shapes.rle,
            keypoints=shapes.poses.lists,
            attributes=read_attributes(raw, consumed, self.reserved, kind, self.log),
        )


class _Names(NamedTuple):
    """The ids of records, and the rows that they refer to.

    Attributes:
        image: ``(N,)`` row of each record's image, -1 where there is none
        category: ``(N,)`` row of each record's category, -1 where there is none
        ids: ``N`` ids, ``None`` where a record has none
    """

    image: NDArray[np.int64]
    category: NDArray[np.int64]
    ids: list[Id | None]

    def take(self, rows: NDArray[np.int64]) -> _Names:
        return _Names(self.image[rows], self.category[rows], taken(self.ids, rows))


def _read_names(
    raw: list[dict[str, Any]],
    references: References,
    kind: _Kind,
    fault: Faults,
    log: ProblemLog,
) -> _Names:
    def read(key: str) -> list[Id | None]:
        ids, texts = read_ids(column(raw, key))
        reason = f"their `{key}` is a number as text"
        log.note(rules.NUMBER_AS_TEXT, kind, texts, reason)
        return ids

    def referred(
        key: str, rows: Mapping[Id, int], rule: Rule, unknown: Callable[[Id], str]
    ) -> NDArray[np.int64]:
        ids = read(key)
        images = references.images_of if key == "image_id" else None
        get: Callable[..., int] = rows.get
        found = (
            np.array([get(id_, NONE) for id_ in ids], dtype=np.int64)
            if images is None
            else images.rows
        )

        def reason(row: int) -> str:
            if images is not None:
                return images.reason(row)
            id_ = ids[row]
            if id_ is None:
                return f"its `{key}` is {show(raw[row], key)}"
            return unknown(id_)

        fault.mark(rules.AMBIGUOUS_IMAGE, found == SEVERAL, reason)
        fault.mark(rule, found < 0, reason)
        return found

    return _Names(
        referred(
            "image_id",
            references.image_rows,
            rules.UNKNOWN_IMAGE,
            references.unknown_image,
        ),
        referred(
            "category_id",
            references.category_rows,
            rules.UNKNOWN_CATEGORY,
            references.unknown_category,
        ),
        read("id"),
    )


def _by_image(image: NDArray[np.int64], usable: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The usable rows, grouped by image and else in file order."""
    rows = np.flatnonzero(usable)
    return rows[np.argsort(image[rows], kind="stable")]


def _note_huge(shapes: Shapes, kind: _Kind, log: ProblemLog) -> None:
    """Notes the masks that cannot be drawn over their box."""
    huge = shapes.has_mask & ~rle.drawable(shapes.box)
    log.note(rules.MASK_NOT_SHOWN, kind, int(huge.sum()), "their box is huge")


def _copies(
    names: _Names, shapes: Shapes, usable: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Whether an earlier usable record is the same object with the same id."""
    copies = np.zeros(len(usable), dtype=bool)
    rows = np.flatnonzero(usable)
    times = Counter(taken(names.ids, rows))
    seen: set[tuple[Any, ...]] = set()
    for row in rows.tolist():
        id_ = names.ids[row]
        if id_ is not None and times[id_] > 1:
            place = names.image[row], names.category[row], *shapes.box[row].tolist()
            pose = tuple(shapes.poses.lists[row] or ())
            object_ = id_, *place, shapes.rle[row], pose
            copies[row] = object_ in seen
            seen.add(object_)
    return copies


def _numbered_anew(names: _Names, usable: NDArray[np.bool_], log: ProblemLog) -> _Names:
    """Gives usable records a new id if an earlier one has the same."""
    rows = np.flatnonzero(usable)
    old = taken(names.ids, rows)
    new = numbered_anew(old, names.ids)
    changed = [n for o, n in zip(old, new, strict=True) if o != n]
    if not changed:
        return names
    log.note(
        rules.NEW_ANNOTATION_ID,
        "annotation",
        len(changed),
        f"in file order, the later ones got the free ids from {changed[0]} up",
    )
    ids = list(names.ids)
    for row, id_ in zip(rows.tolist(), new, strict=True):
        ids[row] = id_
    return names._replace(ids=ids)
