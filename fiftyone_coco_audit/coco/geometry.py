"""Boxes, masks, areas and crowds of raw records as columns."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.coco import rle, rules
from fiftyone_coco_audit.coco.records import (
    Faults,
    column,
    read_numbers,
    show,
    taken,
)
from fiftyone_coco_audit.coco.report import ProblemLog


def read_boxes(values: Sequence[Any]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Boxes as ``(N, 4)``, and whether each is a list of four numbers."""
    four = np.array(
        [isinstance(v, (list, tuple)) and len(v) == 4 for v in values], bool
    )
    boxes = np.full((len(values), 4), np.nan)
    flat = list(
        chain.from_iterable(v for v, ok in zip(values, four, strict=True) if ok)
    )
    boxes[four] = read_numbers(flat).reshape(-1, 4)
    if not set(map(type, flat)) <= {int, float}:
        are_numbers = [isinstance(v, numbers.Real) for v in flat]
        four[four] = np.array(are_numbers, bool).reshape(-1, 4).all(axis=1)
    return boxes, four


def are_usable(boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether boxes have positive sides, and corners and areas that are numbers."""
    left, top, width, height = boxes.T
    with np.errstate(over="ignore", invalid="ignore"):
        computed = np.array([left + width, top + height, width * height])
    finite = np.isfinite(boxes).all(axis=1) & np.isfinite(computed).all(axis=0)
    return np.asarray(finite & (width > 0) & (height > 0))


@dataclass(frozen=True)
class Shapes:
    """Boxes and masks, one row each.

    Attributes:
        box: ``(N, 4)`` boxes ``[x, y, width, height]`` in pixels
        rle: ``N`` compressed run lengths, ``None`` where there is no mask
    """

    box: NDArray[np.float64]
    rle: list[str | None]

    @property
    def has_mask(self) -> NDArray[np.bool_]:
        """``(N,)`` whether there is a mask."""
        return np.array([mask is not None for mask in self.rle], dtype=bool)

    def take(self, rows: NDArray[np.int64]) -> Shapes:
        """Returns some of the rows."""
        return Shapes(self.box[rows], taken(self.rle, rows))

    def note_huge(
        self, kind: Literal["annotation", "prediction"], log: ProblemLog
    ) -> None:
        """Notes the masks that cannot be drawn over their box."""
        huge = self.has_mask & ~rle.drawable(self.box)
        log.note(rules.MASK_NOT_SHOWN, kind, int(huge.sum()), "their box is huge")


def read_shapes(
    raw: list[dict[str, Any]],
    sizes: NDArray[np.int64],
    fault: Faults,
    *,
    box_from_mask: bool,
) -> Shapes:
    """Reads the boxes and masks of records.

    Args:
        raw: ``N`` records
        sizes: ``(N, 2)`` width and height of each record's image
        fault: marks the records whose shape cannot be used
        box_from_mask: whether a mask is enough

    Returns:
        a :class:`Shapes`
    """
    segmentations = [
        None if s is None or s == [] else s for s in column(raw, "segmentation")
    ]
    has_mask = np.array([s is not None for s in segmentations], dtype=bool)
    box, has_box = read_boxes(column(raw, "bbox"))

    def shown(row: int) -> str:
        return f"its `bbox` is {show(raw[row], 'bbox')}"

    fault.mark(rules.NO_BOX, ~(has_box | (has_mask & box_from_mask)), shown)
    fault.mark(rules.UNUSABLE_BOX, has_box & ~are_usable(box), shown)

    masked = np.flatnonzero(has_mask & fault.none)
    masks: list[str | None] = [None] * len(raw)
    reasons: dict[int, str] = {}
    found = rle.compress(taken(segmentations, masked), sizes[masked])
    for row, result in zip(masked.tolist(), found, strict=True):
        if isinstance(result, rle.Broken):
            reasons[row] = result.reason
        else:
            masks[row] = result
    broken = np.zeros(len(raw), dtype=bool)
    broken[list(reasons)] = True
    fault.mark(rules.BROKEN_SEGMENTATION, broken, reasons.__getitem__)

    if box_from_mask:
        boxless = np.flatnonzero(~has_box & has_mask & fault.none)
        box[boxless] = rle.boxes(taken(masks, boxless), sizes[boxless])
        empty = ~are_usable(box)
        fault.mark(rules.UNUSABLE_BOX, empty, lambda row: "its mask is empty")
    return Shapes(box, masks)


def read_areas(
    records: list[dict[str, Any]], shapes: Shapes, log: ProblemLog
) -> NDArray[np.float64]:
    """The areas of the file, else of the masks, else of the boxes."""
    areas = read_numbers(column(records, "area"))
    absent = ~np.isfinite(areas) | (areas < 0)
    log.note(rules.NO_AREA, "annotation", int(absent.sum()), "their area was computed")
    areas[absent] = shapes.box[absent, 2] * shapes.box[absent, 3]
    rows = np.flatnonzero(absent & shapes.has_mask)
    areas[rows] = rle.areas(taken(shapes.rle, rows))
    return areas


def read_crowds(records: list[dict[str, Any]]) -> NDArray[np.int64]:
    """Whether each record is a crowd: ``(N,)`` of 0 and 1."""
    values = column(records, "iscrowd")
    return np.array([_is_crowd(value) for value in values], dtype=np.int64)


def _is_crowd(value: Any) -> bool:
    """Whether an ``iscrowd`` says so, also where it is text such as ``"0"``."""
    if isinstance(value, str):
        return value.strip().lower() not in ("", "0", "0.0", "false", "no", "none")
    return bool(value)
