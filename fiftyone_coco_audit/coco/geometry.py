"""Boxes, masks, areas and crowds of raw records as columns."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit import rle
from fiftyone_coco_audit.coco import rules
from fiftyone_coco_audit.coco.keypoints import Poses
from fiftyone_coco_audit.coco.mending import read_coco_masks
from fiftyone_coco_audit.coco.records import (
    Faults,
    column,
    read_number,
    read_numbers,
    show_number,
    taken,
    unpacked,
)
from fiftyone_coco_audit.coco.report import ProblemLog


def boxes_of_records(
    values: Sequence[Any],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Boxes as ``(N, 4)``, and whether each is a list of four numbers."""
    if str in set(map(type, values)):
        values = [unpacked(value) for value in values]
    four = np.array(
        [isinstance(v, (list, tuple)) and len(v) == 4 for v in values], bool
    )
    boxes = np.full((len(values), 4), np.nan)
    flat = list(
        chain.from_iterable(v for v, ok in zip(values, four, strict=True) if ok)
    )
    boxes[four] = read_numbers(flat).reshape(-1, 4)
    if not set(map(type, flat)) <= {int, float}:
        are_numbers = [
            isinstance(v, numbers.Real) or not np.isnan(read_number(v)) for v in flat
        ]
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
        has_box: ``(N,)`` whether the record has a box; if not, it is that of the mask
            or else the keypoints
        poses: the keypoints
    """

    box: NDArray[np.float64]
    rle: list[str | None]
    has_box: NDArray[np.bool_]
    poses: Poses

    @property
    def has_mask(self) -> NDArray[np.bool_]:
        """``(N,)`` whether there is a mask."""
        return np.array([mask is not None for mask in self.rle], dtype=bool)

    def take(self, rows: NDArray[np.int64]) -> Shapes:
        """Returns some of the rows."""
        return Shapes(
            self.box[rows],
            taken(self.rle, rows),
            self.has_box[rows],
            self.poses.take(rows),
        )


def read_shapes(
    raw: list[dict[str, Any]],
    sizes: NDArray[np.int64],
    poses: Poses,
    fault: Faults,
    *,
    flat_poses: bool,
) -> Shapes:
    """Reads the boxes and masks of records.

    A box needs no mask: a segmentation that cannot be read costs the mask alone. And
    masks and keypoints need no box: without one that can be used, the box is that
    around the mask, or else around the keypoints.

    Args:
        raw: ``N`` records
        sizes: ``(N, 2)`` width and height of each record's image
        poses: their keypoints
        fault: gets the records without a usable shape, and what to say of the others
        flat_poses: whether boxes around keypoints may have no width or no height

    Returns:
        the :class:`Shapes`; only the rows without a fault count
    """
    boxes = column(raw, "bbox")
    box, is_four = boxes_of_records(boxes)
    usable = is_four & are_usable(box)

    segmentations = column(raw, "segmentation")
    present = np.array([not _is_empty(s) for s in segmentations], dtype=bool)
    masked = np.flatnonzero(present & fault.none)
    known = np.where(usable[:, None], box, np.nan)[masked]
    masks = read_coco_masks(taken(segmentations, masked), sizes[masked], known)
    texts: list[str | None] = [None] * len(raw)
    for row, text in zip(masked.tolist(), masks.rle, strict=True):
        texts[row] = text
    broken = {int(masked[i]): reason for i, reason in masks.broken.items()}
    remarks = {int(masked[i]): remark for i, remark in masks.remarks.items()}
    has_mask = np.array([text is not None for text in texts], dtype=bool)

    replaced = np.flatnonzero(~usable & has_mask)
    masks_alone = rle.masks_of(taken(texts, replaced), sizes[replaced])
    box[replaced] = rle.mask_boxes(masks_alone)
    has_pose = ~usable & ~has_mask & np.isfinite(poses.box).all(axis=1)
    box[has_pose] = poses.box[has_pose]

    def shown(row: int) -> str:
        shown = f"its `bbox` is {show_number(raw[row], 'bbox')}"
        if np.isfinite(box[row]).all() and (box[row, 2:] > 0).all():
            shown = f"{shown}, which is too large to compute with"
        if has_mask[row]:
            return f"{shown}, and its mask is empty"
        if has_pose[row]:
            return f"{shown}, and its keypoints are on a line along a side"
        if row in broken:
            return f"{shown}, and its segmentation is not a mask: {broken[row]}"
        if row in poses.broken:
            return f"{shown}, and {poses.broken[row]}"
        return shown

    fault.mark(rules.NO_BOX, ~is_four & ~has_mask & ~has_pose, shown)
    unusable = ~are_usable(box) & ~(has_pose & flat_poses)
    fault.mark(rules.UNUSABLE_BOX, unusable, shown)
    fault.warn(rules.BROKEN_SEGMENTATION, broken)
    fault.warn(rules.UNUSUAL_SEGMENTATION, remarks)
    has_box = np.array([not _is_empty(value) for value in boxes], dtype=bool)
    wrong = np.flatnonzero(has_box & (~usable & has_mask | has_pose)).tolist()
    fault.warn(
        rules.BOX_REPLACED,
        {row: f"its `bbox` is {show_number(raw[row], 'bbox')}" for row in wrong},
    )
    return Shapes(box, texts, has_box, poses)


def _is_empty(value: Any) -> bool:
    return value is None or isinstance(value, (list, tuple)) and not value


def read_areas(
    records: list[dict[str, Any]],
    shapes: Shapes,
    sizes: NDArray[np.int64],
    log: ProblemLog,
) -> NDArray[np.float64]:
    """The areas in the file, or else those of the masks, or else of the boxes."""
    areas = read_numbers(column(records, "area"))
    absent = ~np.isfinite(areas) | (areas < 0)
    log.note(rules.NO_AREA, "annotation", int(absent.sum()), "their area was computed")
    areas[absent] = shapes.box[absent, 2] * shapes.box[absent, 3]
    rows = np.flatnonzero(absent & shapes.has_mask)
    areas[rows] = rle.mask_areas(rle.masks_of(taken(shapes.rle, rows), sizes[rows]))
    return areas


def read_crowds(records: list[dict[str, Any]], log: ProblemLog) -> NDArray[np.int64]:
    """Whether each record is a crowd: ``(N,)`` of 0 and 1."""
    values = column(records, "iscrowd")
    if not set(map(type, values)) <= {int, type(None)} or set(values) - {0, 1, None}:
        unusual = [
            value
            for value in values
            if value is not None
            and not (isinstance(value, numbers.Real) and value in (0, 1))
        ]
        reason = f"their `iscrowd` is {unusual[0]!r}, for example" if unusual else ""
        log.note(rules.UNUSUAL_CROWD, "annotation", len(unusual), reason)
    return np.array([_is_crowd(value) for value in values], dtype=np.int64)


def _is_crowd(value: Any) -> bool:
    """Whether an ``iscrowd`` is true, even if it is text such as ``"0"``."""
    if isinstance(value, str):
        return value.strip().lower() not in ("", "0", "0.0", "false", "no", "none")
    return bool(value.tolist() if isinstance(value, np.ndarray) else value)
