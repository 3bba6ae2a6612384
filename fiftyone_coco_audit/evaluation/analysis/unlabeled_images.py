"""Images without any label, and the AP that they cost.

If they were never annotated, every prediction in them counts as wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.display import TextSummary
from fiftyone_coco_audit.evaluation.metrics import Evaluation, average_precision_of
from fiftyone_coco_audit.wording import counted


@dataclass(frozen=True, repr=False)
class UnlabeledImages(TextSummary):
    """The images without any label, crowd regions included.

    Attributes:
        unlabeled: ``(num_images,)`` whether an image has no label
        suspect: ``(num_images,)`` those of them that have a prediction over ``score``
        score: the score
        ap: the AP of all images, -1 where there is nothing to be found
        ap_without: the AP without the images without labels
    """

    unlabeled: NDArray[np.bool_]
    suspect: NDArray[np.bool_]
    score: float
    ap: float
    ap_without: float

    def __len__(self) -> int:
        return int(np.count_nonzero(self.unlabeled))

    def sentences(self) -> list[str]:
        """How many there are, and AP with and without them; nothing without any."""
        count, suspects = len(self), int(np.count_nonzero(self.suspect))
        if not count:
            return []
        images = counted(len(self.unlabeled), "image")
        have = "has" if count == 1 else "have"
        share = "none" if not suspects else f"{suspects:,}"
        if suspects == count:
            share = "it" if count == 1 else f"all {count:,}"
        has = "has" if suspects <= 1 else "have"
        said = (
            f"{count:,} of {images} {have} no label, and {share} {has} a prediction "
            f"over {self.score:g}"
        )
        if self.ap < 0 or not len(self.unlabeled) > count:
            return [f"{said}."]
        them = "it" if count == 1 else "them"
        return [
            f"{said}: AP is {self.ap:.4f} with {them} and {self.ap_without:.4f} "
            "without."
        ]


def unlabeled_images(evaluation: Evaluation) -> UnlabeledImages:
    """Finds images without labels, and those that a prediction says to have objects.

    Args:
        evaluation: an evaluation of columns; its ``score_threshold`` is the score over
            which a prediction says so
    """
    unlabeled = np.ones(evaluation.num_images, bool)
    unlabeled[evaluation.truth.image] = False
    score = evaluation.settings.score_threshold
    predictions = evaluation.predictions
    suspect = np.zeros(evaluation.num_images, bool)
    suspect[predictions.image[predictions.scores > score]] = True
    ap = evaluation.summary()["AP"]
    without = average_precision_of(evaluation, ~unlabeled) if unlabeled.any() else ap
    return UnlabeledImages(unlabeled, suspect & unlabeled, score, ap, without)
