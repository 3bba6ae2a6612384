"""Non-maximum suppression of the predictions that an evaluation already has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.boxes import box_iou
from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.evaluation.metrics import Evaluation
from fiftyone_coco_audit.grouping import pairs_in_parts


@dataclass(frozen=True, repr=False)
class Neighbors(ShortRepr):
    """``P`` pairs of overlapping predictions of an image and class.

    Attributes:
        rank: ``(D,)`` place of each evaluated prediction in its image and class
        first: ``(P,)`` position of the one with the higher score
        second: ``(P,)`` position of the other
        overlap: ``(P,)`` the IoU of their boxes
    """

    rank: NDArray[np.int64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    overlap: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.first)

    def suppressed(self, iou: float) -> NDArray[np.bool_]:
        """What greedy suppression in each image and class removes.

        Args:
            iou: a prediction goes if its IoU with a kept one of a higher score is above

        Returns:
            ``(D,)``
        """
        close = np.flatnonzero(self.overlap > iou)
        close = close[np.argsort(self.rank[self.first[close]], kind="stable")]
        rank = self.rank[self.first[close]]
        removed = np.zeros(len(self.rank), bool)
        for pairs in np.split(close, np.flatnonzero(np.diff(rank)) + 1):
            kept = pairs[~removed[self.first[pairs]]]
            removed[self.second[kept]] = True
        return removed


def neighbors(evaluation: Evaluation, at_least: float) -> Neighbors:
    """The pairs of evaluated predictions of an image and class that overlap.

    Args:
        evaluation: an evaluation of columns
        at_least: the lowest IoU of their boxes
    """
    matches = evaluation.matches
    box = evaluation.predictions.box[matches.predictions]
    cell = np.cumsum(matches.rank == 0)
    parts = []
    for _, first, second in pairs_in_parts(cell, cell, box, box):
        later = second > first
        first, second = first[later], second[later]
        overlap = box_iou(box[first], box[second])
        close = overlap >= at_least
        parts.append((first[close], second[close], overlap[close]))
    return Neighbors(matches.rank, *map(np.concatenate, zip(*parts, strict=True)))
