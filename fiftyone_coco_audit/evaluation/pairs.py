"""The pairs of predictions and objects that overlap, whatever their classes.

They are all that matching, types of error and confusion need to know of boxes and
masks, so overlaps are computed once an evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.evaluation.overlaps import overlaps_within_groups
from fiftyone_coco_audit.objects import Objects

#: The lowest overlap that is not background, TIDE's ``t_b``
BACKGROUND_IOU = 0.1


@dataclass(frozen=True, repr=False)
class Pairs(ShortRepr):
    """``P`` pairs of a prediction and an object of its image.

    Attributes:
        detection: ``(P,)`` positions among the evaluated predictions, non-decreasing
        truth: ``(P,)`` rows of ground-truth objects, increasing within a detection
        overlap: ``(P,)`` their IoU; for a crowd region, the share of the prediction
            that is in it; of keypoints, their OKS
    """

    detection: NDArray[np.int32]
    truth: NDArray[np.int32]
    overlap: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.detection)

    def where(self, keep: NDArray[np.bool_] | slice) -> Pairs:
        """Some of the pairs."""
        return Pairs(self.detection[keep], self.truth[keep], self.overlap[keep])


def overlapping_pairs(
    truth: Objects,
    predictions: Objects,
    evaluated: NDArray[np.int64],
    *,
    at_least: float,
    iou_type: str,
) -> Pairs:
    """Finds all pairs of the same image that overlap.

    Args:
        truth: the ground-truth objects
        predictions: the predicted objects
        evaluated: ``(D,)`` rows of the predictions to pair, by image
        at_least: the lowest overlap
        iou_type: what overlaps are of: ``"bbox"``, ``"segm"`` or ``"keypoints"``

    Returns:
        a :class:`Pairs`
    """
    parts = []
    for detection, row, overlap in overlaps_within_groups(
        predictions,
        truth,
        (evaluated, predictions.image[evaluated]),
        (np.arange(len(truth)), truth.image),
        iou_type=iou_type,
    ):
        close = overlap >= at_least
        parts.append(
            Pairs(
                detection[close].astype(np.int32),
                row[close].astype(np.int32),
                overlap[close],
            )
        )
    return Pairs(
        np.concatenate([part.detection for part in parts]),
        np.concatenate([part.truth for part in parts]),
        np.concatenate([part.overlap for part in parts]),
    )
