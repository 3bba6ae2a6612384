"""Whether scores are the probability of being right.

The calibration error is that of Guo et al., "On Calibration of Modern Neural Networks",
ICML 2017. For detectors, a prediction is right if it is a true positive, as in Küppers
et al., "Multivariate Confidence Calibration for Object Detection", CVPRW 2020. Objects
without a prediction have no score, so missed objects do not enter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.display import ShortRepr, TextSummary
from fiftyone_coco_audit.errors import CocoAuditError, check_count
from fiftyone_coco_audit.evaluation.analysis.outcomes import (
    LeftOut,
    check_score,
    class_position,
    outcomes_at,
)
from fiftyone_coco_audit.evaluation.matching import UNMATCHED, rank_in_groups
from fiftyone_coco_audit.evaluation.metrics import Evaluation
from fiftyone_coco_audit.wording import counted, percent

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Bins(ShortRepr):
    """Predictions of ``G`` groups in ``B`` bins of scores, the lowest first.

    Attributes:
        predictions: ``(G, B)`` number of predictions
        confidence: ``(G, B)`` their mean score, NaN in an empty bin
        precision: ``(G, B)`` the share of them that is right, NaN in an empty bin
        lowest: ``(G, B)`` their lowest score, NaN in an empty bin
        highest: ``(G, B)`` their highest score, NaN in an empty bin
    """

    predictions: NDArray[np.int64]
    confidence: NDArray[np.float64]
    precision: NDArray[np.float64]
    lowest: NDArray[np.float64]
    highest: NDArray[np.float64]

    def mean(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The mean of ``(G, B)`` values over the predictions.

        Returns:
            ``(G,)``, NaN for groups without predictions
        """
        total = self.predictions.sum(axis=1)
        weighted = np.where(self.predictions > 0, values * self.predictions, 0)
        return weighted.sum(axis=1) / np.where(total > 0, total, np.nan)

    def gap(self) -> NDArray[np.float64]:
        """How far confidence and precision are apart, ``(G, B)``."""
        return np.abs(self.confidence - self.precision)

    def expected_error(self) -> NDArray[np.float64]:
        """The expected calibration error (ECE): the mean gap over the predictions.

        Returns:
            ``(G,)`` in ``[0, 1]``, NaN for groups without predictions
        """
        return self.mean(self.gap())

    def maximum_error(self) -> NDArray[np.float64]:
        """The maximum calibration error (MCE): the largest gap of a bin.

        Returns:
            ``(G,)`` in ``[0, 1]``, NaN for groups without predictions
        """
        largest = np.where(self.predictions > 0, self.gap(), -1).max(axis=1)
        return np.where(largest < 0, np.nan, largest)


@dataclass(frozen=True, repr=False)
class Calibration(TextSummary):
    """Scores against the share of predictions that is right, at one IoU.

    Attributes:
        iou: the IoU that makes a prediction right
        score: the least score of the predictions
        classes: ``K`` names of classes
        overall: the bins of all classes together
        by_class: the bins of the ``K`` classes
        left_out: what is in no bin
    """

    iou: float
    score: float
    classes: tuple[str, ...]
    overall: Bins
    by_class: Bins
    left_out: LeftOut

    @property
    def ece(self) -> float:
        """The expected calibration error over all classes, NaN without predictions."""
        return float(self.overall.expected_error()[0])

    @property
    def mce(self) -> float:
        """The maximum calibration error over all classes, NaN without predictions."""
        return float(self.overall.maximum_error()[0])

    def per_class(self) -> pd.DataFrame:
        """The calibration of each class.

        Returns:
            a frame by class: the number of predictions, ece, mce, their mean
            confidence and their precision. Where the confidence is higher, the model is
            overconfident. NaN for classes without predictions
        """
        import pandas as pd

        bins = self.by_class
        return pd.DataFrame(
            {
                "predictions": bins.predictions.sum(axis=1),
                "ece": bins.expected_error(),
                "mce": bins.maximum_error(),
                "confidence": bins.mean(bins.confidence),
                "precision": bins.mean(bins.precision),
            },
            index=pd.Index(self.classes, name="class", dtype=object),
        )

    def reliability(self, class_name: str | None = None) -> pd.DataFrame:
        """The reliability curve: precision against confidence.

        Args:
            class_name: a class, all together by default

        Returns:
            a frame of the bins that are not empty, by ascending score: number of
            predictions, mean confidence, precision, lowest and highest score

        Raises:
            NotFoundError: if there is no such class
        """
        import pandas as pd

        bins, group = self.overall, 0
        if class_name is not None:
            bins, group = self.by_class, class_position(self.classes, class_name)
        names = ("predictions", "confidence", "precision", "lowest", "highest")
        frame = pd.DataFrame({name: getattr(bins, name)[group] for name in names})
        return frame[frame.predictions > 0].reset_index(drop=True)

    def sentences(self) -> list[str]:
        """The calibration error overall, and in which direction scores are off."""
        bins = self.overall
        total = int(bins.predictions.sum())
        if not total:
            said = f"There are no predictions with a score of {self.score:.2f} or more."
        else:
            confidence, precision = (
                bins.mean(values)[0] for values in (bins.confidence, bins.precision)
            )
            said = (
                f"At IoU {self.iou:.2f}, the calibration error (ECE) of "
                f"{counted(total, 'prediction')} is {self.ece:.3f}: their mean score "
                f"is {confidence:.3f}, and {percent(precision)} are right."
            )
        return [said, *self.left_out.sentences()]


def calibration(
    evaluation: Evaluation,
    classes: Sequence[str],
    *,
    iou: float = 0.5,
    score: float = 0.0,
    bins: int = 10,
    equal_mass: bool = False,
) -> Calibration:
    """Compares scores with the share of predictions that is right.

    Args:
        evaluation: an evaluation of columns
        classes: ``K`` names of the classes
        iou: the IoU that makes a prediction right
        score: the least score of a prediction
        bins: the number of bins
        equal_mass: whether bins hold equally many predictions, rather than equally
            long ranges of scores. Equal scores share a bin

    Returns:
        a :class:`Calibration`

    Raises:
        CocoAuditError: if an argument cannot be used, or scores are not probabilities
    """
    check_score(score)
    check_count("bins", bins)
    found, counts, _ = outcomes_at(evaluation, iou)
    rows = evaluation.matches.predictions
    values = evaluation.predictions.scores[rows]
    # Predictions without a score rank below all numbers
    outside = (values > 1) | ((values < 0) & (values > -np.inf))
    if outside.any():
        raise CocoAuditError(
            f"{int(outside.sum()):,} of {counted(len(rows), 'prediction')} have a "
            f"score outside 0 to 1, such as {values[outside][0]:g}, so scores are not "
            "probabilities: rescale them, and evaluate again"
        )
    kept = counts & (values >= score)
    category = evaluation.predictions.category[rows[kept]]
    right = found[kept] != UNMATCHED
    overall, by_class = (
        _bins(group, values[kept], right, num_groups, bins, equal_mass)
        for group, num_groups in (
            (np.zeros_like(category), 1),
            (category, len(classes)),
        )
    )
    return Calibration(
        iou=float(iou),
        score=float(score),
        classes=tuple(classes),
        overall=overall,
        by_class=by_class,
        left_out=LeftOut.of(evaluation, counts, score),
    )


def _bins(
    group: NDArray[np.int64],
    score: NDArray[np.float64],
    right: NDArray[np.bool_],
    num_groups: int,
    num_bins: int,
    equal_mass: bool,
) -> Bins:
    """Puts predictions in any order into bins.

    Args:
        group: ``(N,)`` group of each prediction
        score: ``(N,)`` scores in ``[0, 1]``
        right: ``(N,)`` whether each is a true positive
        num_groups: the number of groups, ``G``
        num_bins: the number of bins, ``B``
        equal_mass: see :func:`calibration`
    """
    order = np.lexsort((score, group))
    group, score, right = group[order], score[order], right[order]
    if equal_mass:
        # The place of the first of equal scores, so that all are in one bin
        place = rank_in_groups(group)
        new = np.r_[True, score[1:] != score[:-1]][: len(score)] | (place == 0)
        first = np.maximum.accumulate(np.where(new, np.arange(len(score)), 0))
        size = np.bincount(group, minlength=num_groups)[group]
        bin_ = place[first] * num_bins // size
    else:
        # Bounds belong to the lower bin, as in Guo et al.
        edges = np.linspace(0, 1, num_bins + 1)[1:-1]
        bin_ = np.searchsorted(edges, score, side="left")
    cell = group * num_bins + bin_
    shape = num_groups, num_bins
    count = np.bincount(cell, minlength=num_groups * num_bins)
    filled = np.where(count > 0, count, np.nan)
    confidence, precision = (
        np.bincount(cell, weights=weights, minlength=len(count)) / filled
        for weights in (score, right)
    )
    ends = np.cumsum(count)
    lowest, highest = (
        np.where(count > 0, np.r_[score, np.nan][at], np.nan)
        for at in (ends - count, ends - 1)
    )
    return Bins(
        predictions=count.reshape(shape),
        confidence=confidence.reshape(shape),
        precision=precision.reshape(shape),
        lowest=lowest.reshape(shape),
        highest=highest.reshape(shape),
    )
