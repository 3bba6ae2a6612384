"""Anchors at their true size over an image, beside its objects.

As in figure 7 of Cieslik's "How to Do Data Exploration for Image Segmentation and
Object Detection".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.boxes import box_iou
from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.statistics.anchor_sets import POSITIVE
from fiftyone_coco_audit.statistics.anchors import (
    NO_ANCHOR,
    AnchorMatches,
    input_transform,
)

#: Stands for the object of an anchor that is only shown for its size
NO_OBJECT = -1


@dataclass(frozen=True, repr=False)
class DrawnAnchors(ShortRepr):
    """Anchors to be drawn over an image: first those of its objects, then samples.

    Attributes:
        box: ``(B, 4)`` boxes ``[x, y, width, height]`` in pixels of the image; they may
            extend beyond its border
        level: ``(B,)`` their levels
        anchor: ``(B,)`` their positions in the set; -1 where it has only locations, of
            which squares of the stride are drawn
        object: ``(B,)`` the row of the object that it is the best anchor of; -1 for a
            sample
        iou: ``(B,)`` the IoU with this object; NaN for samples and locations
        matched: ``(B,)`` whether this object is positive; False for samples
    """

    box: NDArray[np.float64]
    level: NDArray[np.int64]
    anchor: NDArray[np.int64]
    object: NDArray[np.int64]
    iou: NDArray[np.float64]
    matched: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.box)


def anchors_over_image(
    matches: AnchorMatches, image: int, *, samples_per_level: int = 3
) -> DrawnAnchors:
    """The best anchors of an image's objects, and samples of all anchors.

    The samples are about the cell in the middle of the network's input. Of the anchors
    of a level, which are taken as equally far apart in their order, the first and the
    last are among them.

    Args:
        matches: the anchors compared with the objects
        image: position of the image
        samples_per_level: the number of samples of each level, at most

    Returns:
        a :class:`DrawnAnchors`
    """
    rows = np.flatnonzero(matches.labeled.objects.image == image)
    size = matches.labeled.size[image : image + 1]
    level, anchor, samples = _samples(matches, size, samples_per_level)
    count = len(samples)
    return DrawnAnchors(
        box=_to_image(matches, size, np.vstack([matches.anchor_box[rows], samples])),
        level=np.r_[matches.best_level[rows], level],
        anchor=np.r_[matches.best_anchor[rows], anchor],
        object=np.r_[rows, np.full(count, NO_OBJECT)],
        iou=np.r_[_iou_of_best(matches, rows), np.full(count, np.nan)],
        matched=np.r_[matches.status[rows] == POSITIVE, np.zeros(count, np.bool_)],
    )


def _samples(
    matches: AnchorMatches, size: NDArray[np.float64], most: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """The levels, positions and boxes, at the network's input, of some anchors."""
    anchors = matches.anchors
    middle = matches.resize.canvas(size)[0] / 2
    levels: list[int] = []
    numbers: list[int] = []
    boxes = []
    for position, level in enumerate(anchors.levels):
        of_level = np.flatnonzero(anchors.level_of == position)
        if anchors.has_anchors:
            picked = np.linspace(0, len(of_level) - 1, min(most, len(of_level)))
            chosen = of_level[picked.round().astype(np.int64)]
            sides = anchors.shapes[chosen]
        else:
            chosen = np.full(min(most, 1), NO_ANCHOR)
            sides = np.full((len(chosen), 2), level.stride)
        cell = np.floor(middle / level.stride)
        place = (cell + anchors.offset) * level.stride
        levels += [position] * len(chosen)
        numbers += chosen.tolist()
        boxes.append(np.hstack([place - sides / 2, sides]))
    return np.array(levels, np.int64), np.array(numbers, np.int64), np.vstack(boxes)


def _to_image(
    matches: AnchorMatches, size: NDArray[np.float64], box: NDArray[np.float64]
) -> NDArray[np.float64]:
    scale, shift = input_transform(size, matches.resize)
    return np.hstack([(box[:, :2] - shift) / scale, box[:, 2:] / scale])


def _iou_of_best(
    matches: AnchorMatches, rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    if not matches.anchors.has_anchors:
        return np.full(len(rows), np.nan)
    return box_iou(matches.anchor_box[rows], matches.box[rows])
