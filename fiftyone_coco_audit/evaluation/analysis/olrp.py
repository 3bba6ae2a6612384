"""Optimal LRP: one error per class, its parts, and the score threshold that is best.

Oksuz et al., "One Metric to Measure them All: Localisation Recall Precision (LRP) for
Evaluating Visual Detection Tasks", TPAMI 2021. With ``tp``, ``fp`` and ``fn`` of the
predictions whose score is at least ``s``, and the IoU threshold ``t``::

    LRP(s) = (sum of (1 - IoU) of the tp / (1 - t) + fp + fn) / (tp + fp + fn)

oLRP is the lowest LRP of any ``s``: 0 is perfect, 1 the worst. Crowd regions, all else
that COCO ignores, and predictions matched to these do not count.

vernier 0.5.4 gives the same if its thresholds are all scores, not 0, .01, ..., 1. But
it divides the localization part by ``1 - t``, where the paper has the mean of
``1 - IoU``, and its false positive part can be 0 where nothing is found, which lowers
its mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fiftyone_coco_audit.display import TextSummary
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.evaluation.analysis.outcomes import LeftOut
from fiftyone_coco_audit.evaluation.analysis.thresholds import thresholds
from fiftyone_coco_audit.evaluation.metrics import Evaluation
from fiftyone_coco_audit.wording import counted


@dataclass(frozen=True, repr=False)
class OptimalLRP(TextSummary):
    """The optimal LRP of ``K`` classes.

    Attributes:
        iou: the IoU that finds an object
        classes: the names of the classes
        olrp: ``(K,)`` optimal LRP in ``[0, 1]``: 1 where nothing is better than no
            predictions at all, NaN for classes without objects
        localization: ``(K,)`` mean of 1 - IoU of the true positives at the best score
            threshold; NaN where there are none
        false_positive: ``(K,)`` share of the predictions there that are false
            positives, 1 - precision; NaN where ``localization`` is
        false_negative: ``(K,)`` share of the objects that are not found there, 1 -
            recall; NaN for classes without objects
        score_threshold: ``(K,)`` the best score threshold, the highest of equally good
            ones; NaN where ``localization`` is
        left_out: what is in no number
    """

    iou: float
    classes: tuple[str, ...]
    olrp: NDArray[np.float64]
    localization: NDArray[np.float64]
    false_positive: NDArray[np.float64]
    false_negative: NDArray[np.float64]
    score_threshold: NDArray[np.float64]
    left_out: LeftOut

    def _about(self) -> str:
        return f"of {counted(len(self.classes), 'class')}"

    def to_frame(self) -> pd.DataFrame:
        """The optimal LRP of each class.

        Returns:
            a frame by class: ``oLRP``, its parts ``oLRP_Loc``, ``oLRP_FP`` and
            ``oLRP_FN``, and the best score threshold, ``score``
        """
        return pd.DataFrame(
            {
                "oLRP": self.olrp,
                "oLRP_Loc": self.localization,
                "oLRP_FP": self.false_positive,
                "oLRP_FN": self.false_negative,
                "score": self.score_threshold,
            },
            index=pd.Index(self.classes, name="class", dtype=object),
        )

    def summary(self) -> dict[str, float]:
        """The means over the classes that have the number.

        Returns:
            a dict of ``oLRP``, ``oLRP_Loc``, ``oLRP_FP`` and ``oLRP_FN``, NaN where no
            class has the number
        """
        means = self.to_frame().drop(columns="score").mean()
        return {name: float(value) for name, value in means.items()}

    def sentences(self) -> list[str]:
        """The means, what each is, and what is left out."""
        meanings = {
            "oLRP": f"at IoU {self.iou:.2f}, 0 is perfect and 1 the worst",
            "oLRP_Loc": "1 - IoU of the true positives",
            "oLRP_FP": "share of the predictions that are wrong, 1 - precision",
            "oLRP_FN": "share of the objects that are not found, 1 - recall",
        }
        lines = [
            f"{name:<8}  {'   n/a' if np.isnan(value) else f'{value:.4f}'}  "
            f"{meanings[name]}"
            for name, value in self.summary().items()
        ]
        return [*lines, *self.left_out.sentences()]


def optimal_lrp(
    evaluation: Evaluation, classes: Sequence[str], *, iou: float = 0.5
) -> OptimalLRP:
    """Finds the optimal LRP of each class.

    Args:
        evaluation: an evaluation of columns
        classes: the names of its ``K`` classes
        iou: the IoU that finds an object, evaluated or not

    Returns:
        an :class:`OptimalLRP`

    Raises:
        CocoAuditError: if the IoU cannot be used
    """
    at_scores = thresholds(evaluation, classes, iou=iou)
    if iou == 1:
        raise CocoAuditError(
            "iou is 1, but LRP rates how far overlaps are above it: give less, such as "
            "0.5"
        )
    curves = at_scores.by_class
    tp, fp, objects = curves.true_positives, curves.false_positives, curves.objects
    loose = tp - curves.overlap
    to_find = objects[curves.group]
    lrp = (loose / (1 - iou) + fp + to_find - tp) / (fp + to_find)
    # Equal ones differ in their last digits, which come from sums
    best = curves.best(-lrp.round(12))

    def at_best(values: NDArray[np.float64], otherwise: float) -> NDArray[np.float64]:
        found = np.append(values, otherwise)[best]
        return np.where(objects > 0, found, np.nan)

    with np.errstate(invalid="ignore"):
        return OptimalLRP(
            iou=float(iou),
            classes=tuple(classes),
            olrp=at_best(lrp, 1),
            localization=at_best(loose / tp, np.nan),
            false_positive=at_best(fp / (fp + tp), np.nan),
            false_negative=at_best(1 - tp / to_find, 1),
            score_threshold=at_best(curves.score, np.nan),
            left_out=at_scores.left_out,
        )
