"""Precision, recall and F1 of the predictions with at least some score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.display import ShortRepr, TextSummary
from fiftyone_coco_audit.errors import check_count
from fiftyone_coco_audit.evaluation.analysis.outcomes import (
    LeftOut,
    check_score,
    class_position,
    outcomes_at,
)
from fiftyone_coco_audit.evaluation.matching import UNMATCHED
from fiftyone_coco_audit.evaluation.metrics import Evaluation

if TYPE_CHECKING:
    import pandas as pd

#: The position of no prediction at all among the points of a curve
NOTHING = -1


@dataclass(frozen=True, repr=False)
class ScoreCurves(ShortRepr):
    """The curves of ``G`` groups, with a point for each distinct score of a group.

    Attributes:
        start: ``(G + 1,)`` position of the first point of each group, and their number
        score: ``(P,)`` scores, descending in a group
        true_positives: ``(P,)`` true positives with at least this score
        false_positives: ``(P,)`` false positives with at least this score
        overlap: ``(P,)`` sum of the IoUs of the true positives
        objects: ``(G,)`` objects to be found
    """

    start: NDArray[np.int64]
    score: NDArray[np.float64]
    true_positives: NDArray[np.int64]
    false_positives: NDArray[np.int64]
    overlap: NDArray[np.float64]
    objects: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.score)

    @property
    def group(self) -> NDArray[np.int64]:
        """``(P,)`` group of each point."""
        return np.repeat(np.arange(len(self.objects)), np.diff(self.start))

    def best(self, quality: NDArray[np.float64] | None = None) -> NDArray[np.int64]:
        """The best point of each group, of equally good ones that of the highest score.

        Args:
            quality: ``(P,)`` how good each point is, by default its F1

        Returns:
            ``(G,)`` positions of points, :data:`NOTHING` for groups whose best has no
            true positive
        """
        group = self.group
        if quality is None:
            objects = self.objects[group]
            _, _, quality = rates(self.true_positives, self.false_positives, objects)
        order = np.lexsort((-quality, group))
        best = np.full(len(self.objects), NOTHING)
        filled = np.diff(self.start) > 0
        best[filled] = order[self.start[:-1][filled]]
        return np.where(np.r_[self.true_positives, 0][best] > 0, best, NOTHING)

    def at(self, score: float) -> NDArray[np.int64]:
        """The point at any score.

        Returns:
            ``(G,)`` positions of points, :data:`NOTHING` for groups without a
            prediction of this score
        """
        reached = np.bincount(
            self.group[self.score >= score], minlength=len(self.objects)
        )
        return np.where(reached > 0, self.start[:-1] + reached - 1, NOTHING)

    def frame(
        self, points: NDArray[np.int64], group: NDArray[np.int64]
    ) -> pd.DataFrame:
        """Some points as rows.

        Args:
            points: ``(R,)`` positions of points or :data:`NOTHING`
            group: ``(R,)`` their groups

        Returns:
            a frame of score, precision, recall, f1, tp, fp and fn
        """
        import pandas as pd

        tp, fp, score = (
            np.append(values, nothing)[points]
            for values, nothing in (
                (self.true_positives, 0),
                (self.false_positives, 0),
                (self.score, np.nan),
            )
        )
        objects = self.objects[group]
        precision, recall, f1 = rates(tp, fp, objects)
        return pd.DataFrame(
            {
                "score": score,
                "precision": precision,
                "recall": recall,
                "f1": f1,
                "tp": tp,
                "fp": fp,
                "fn": objects - tp,
            }
        )


def rates(
    true_positives: NDArray[np.int64],
    false_positives: NDArray[np.int64],
    objects: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Precision, recall and F1.

    Returns:
        three arrays in ``[0, 1]``; precision is NaN without predictions, recall without
        objects, and F1, their harmonic mean, without both
    """
    predictions = true_positives + false_positives
    with np.errstate(invalid="ignore"):
        return (
            true_positives / predictions,
            true_positives / objects,
            2 * true_positives / (predictions + objects),
        )


@dataclass(frozen=True, repr=False)
class Thresholds(TextSummary):
    """What each score threshold would give, at one IoU.

    Attributes:
        iou: the IoU that finds an object
        classes: ``K`` names of classes
        overall: the curve of all classes together
        by_class: the curves of the ``K`` classes
        left_out: what is in no curve
    """

    iou: float
    classes: tuple[str, ...]
    overall: ScoreCurves
    by_class: ScoreCurves
    left_out: LeftOut

    def best(self) -> pd.DataFrame:
        """The threshold of the highest F1 of each class.

        Returns:
            a frame by class: score, precision, recall, f1, tp, fp and fn of the
            predictions with at least this score. The score is NaN where no prediction
            is right, so that none is best
        """
        return self._by_class(self.by_class.best())

    def at(self, score: float) -> pd.DataFrame:
        """The metrics of each class at one threshold.

        Args:
            score: the threshold

        Returns:
            a frame as of :meth:`best`, with the lowest score that is kept

        Raises:
            CocoAuditError: if the score is not a number
        """
        check_score(score)
        return self._by_class(self.by_class.at(score))

    def best_overall(self) -> pd.Series:
        """The threshold of the highest F1 of all classes together.

        Returns:
            the columns of :meth:`best`, counted over all classes
        """
        return self.overall.frame(self.overall.best(), np.array([0])).iloc[0]

    def curve(
        self, class_name: str | None = None, *, points: int | None = None
    ) -> pd.DataFrame:
        """Precision, recall and F1 against the score.

        Args:
            class_name: a class, all together by default
            points: about how many points to keep for a plot, all by default. Those
                that are kept are exact; the ends and the best are among them

        Returns:
            a frame by descending score, with the columns of :meth:`best`

        Raises:
            CocoAuditError: if there is no such class, or less than one point
        """
        curves, group = self.overall, 0
        if class_name is not None:
            curves, group = self.by_class, class_position(self.classes, class_name)
        shown = np.arange(*curves.start[group : group + 2])
        if points is not None:
            check_count("points", points)
            if len(shown) > points:
                even = np.linspace(shown[0], shown[-1], points).round().astype(int)
                best = curves.best()[group]
                shown = np.union1d(even, best if best != NOTHING else even)
        return curves.frame(shown, np.full(len(shown), group))

    def sentences(self) -> list[str]:
        """The best threshold overall, and what is left out."""
        best = self.best_overall()
        if np.isnan(best.score):
            said = f"At IoU {self.iou:.2f}, no prediction is right."
        else:
            said = (
                f"At IoU {self.iou:.2f}, F1 over all classes is highest for scores of "
                f"{best.score:.3f} or more: {best.f1:.3f}, with precision "
                f"{best.precision:.3f} and recall {best.recall:.3f}."
            )
        return [said, *self.left_out.sentences()]

    def _by_class(self, points: NDArray[np.int64]) -> pd.DataFrame:
        import pandas as pd

        frame = self.by_class.frame(points, np.arange(len(self.classes)))
        return frame.set_axis(pd.Index(self.classes, name="class", dtype=object))


def thresholds(
    evaluation: Evaluation, classes: Sequence[str], *, iou: float = 0.5
) -> Thresholds:
    """Precision, recall and F1 at every score, per class and of all classes together.

    Args:
        evaluation: an evaluation of columns
        classes: ``K`` names of the classes
        iou: the IoU that finds an object

    Returns:
        a :class:`Thresholds`

    Raises:
        CocoAuditError: if the IoU cannot be used
    """
    found, counts, overlap = outcomes_at(evaluation, iou)
    rows = evaluation.matches.predictions[counts]
    category = evaluation.predictions.category[rows]
    score = evaluation.predictions.scores[rows]
    true_positive, overlap = found[counts] != UNMATCHED, overlap[counts]
    objects = np.bincount(
        evaluation.truth.category[~evaluation.ignored[0]], minlength=len(classes)
    )
    return Thresholds(
        iou=float(iou),
        classes=tuple(classes),
        overall=_score_curves(
            np.zeros_like(category),
            score,
            true_positive,
            overlap,
            objects.sum(keepdims=True),
        ),
        by_class=_score_curves(category, score, true_positive, overlap, objects),
        left_out=LeftOut.of(evaluation, counts),
    )


def _score_curves(
    group: NDArray[np.int64],
    score: NDArray[np.float64],
    true_positive: NDArray[np.bool_],
    overlap: NDArray[np.float64],
    objects: NDArray[np.int64],
) -> ScoreCurves:
    """The curves of predictions in any order.

    Args:
        group: ``(N,)`` group of each prediction
        score: ``(N,)`` scores
        true_positive: ``(N,)`` whether each is a true positive, not a false one
        overlap: ``(N,)`` IoU of each true positive, 0 for false ones
        objects: ``(G,)`` objects to be found
    """
    order = np.lexsort((-score, group))
    group, score = group[order], score[order]
    true = np.r_[0, np.cumsum(true_positive[order])]
    overlaps = np.r_[0, np.cumsum(overlap[order])]
    # Predictions of equal scores are kept or dropped together
    last = np.r_[(np.diff(group) > 0) | (score[1:] != score[:-1]), True][: len(group)]
    points = np.flatnonzero(last)
    groups = np.arange(len(objects) + 1)
    first = np.searchsorted(group, groups)[group[points]]
    tp = true[points + 1] - true[first]
    return ScoreCurves(
        start=np.searchsorted(group[points], groups),
        score=score[points],
        true_positives=tp,
        false_positives=points + 1 - first - tp,
        overlap=overlaps[points + 1] - overlaps[first],
        objects=objects,
    )
