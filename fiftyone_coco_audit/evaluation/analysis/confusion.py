"""Which classes are taken for which, on top of the matches of an evaluation.

Many confusion matrices match whatever the class first, so that a wrong box can take an
object from a right one, and their diagonal is not the true positives of AP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.display import TextSummary
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.evaluation.analysis.outcomes import (
    LeftOut,
    check_score,
    class_position,
    outcomes_at,
)
from fiftyone_coco_audit.evaluation.matching import UNMATCHED, match, rank_in_groups
from fiftyone_coco_audit.evaluation.metrics import Evaluation
from fiftyone_coco_audit.evaluation.pairs import Pairs
from fiftyone_coco_audit.wording import counted

if TYPE_CHECKING:
    import pandas as pd

#: A matrix of this many classes takes 200 MB
MOST_CLASSES = 5_000


@dataclass(frozen=True, repr=False)
class Confusion(TextSummary):
    """``P`` pairs: each prediction and each object once, with its partner if any.

    Attributes:
        iou: the IoU that makes a pair
        score: the least score of the predictions
        classes: ``K`` names of classes; position ``K`` is the background
        prediction: ``(P,)`` row of the prediction, -1 for a missed object
        truth: ``(P,)`` row of the object, -1 for a prediction on the background
        predicted_class: ``(P,)`` position of the predicted class
        true_class: ``(P,)`` position of the true class
        left_out: what is in no pair
    """

    iou: float
    score: float
    classes: tuple[str, ...]
    prediction: NDArray[np.int64]
    truth: NDArray[np.int64]
    predicted_class: NDArray[np.int64]
    true_class: NDArray[np.int64]
    left_out: LeftOut

    def __len__(self) -> int:
        return len(self.prediction)

    def cells(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """The cells that are not empty, the largest first.

        Returns:
            three ``(C,)`` arrays: positions of the true and of the predicted class,
            and the number of pairs
        """
        size = len(self.classes) + 1
        cell, count = np.unique(
            self.true_class * size + self.predicted_class, return_counts=True
        )
        order = np.argsort(-count, kind="stable")
        true, predicted = np.divmod(cell[order], size)
        return true, predicted, count[order]

    def matrix(self) -> NDArray[np.int64]:
        """The number of pairs by true and predicted class.

        Returns:
            ``(K + 1, K + 1)``, true classes in rows; the last row and column are the
            background. The diagonal is the true positives

        Raises:
            CocoAuditError: if there are more than :data:`MOST_CLASSES`
        """
        size = len(self.classes) + 1
        if size > MOST_CLASSES + 1:
            raise CocoAuditError(
                f"A matrix of {counted(len(self.classes), 'class')} would take "
                f"{8 * size**2 / 1e9:.1f} GB: use to_frame(), which lists the cells "
                "that are not empty"
            )
        matrix = np.zeros((size, size), dtype=np.int64)
        true, predicted, count = self.cells()
        matrix[true, predicted] = count
        return matrix

    def pairs(
        self, true_class: str | None, predicted_class: str | None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The pairs of a cell.

        Args:
            true_class: the class of the objects, None for the background
            predicted_class: the class of the predictions, None for the background

        Returns:
            two ``(C,)`` arrays, rows of predictions and of objects; -1 on the side of
            the background

        Raises:
            NotFoundError: if there is no such class
        """
        true, predicted = (
            len(self.classes) if name is None else class_position(self.classes, name)
            for name in (true_class, predicted_class)
        )
        here = (self.true_class == true) & (self.predicted_class == predicted)
        return self.prediction[here], self.truth[here]

    def to_frame(self) -> pd.DataFrame:
        """The cells that are not empty, the largest first.

        Returns:
            a frame of ``true_class`` and ``predicted_class``, None for the background,
            ``count``, and ``share`` of the objects of the true class, NaN for the
            background
        """
        import pandas as pd

        true, predicted, count = self.cells()
        names = np.array([*self.classes, None], dtype=object)
        objects = np.bincount(self.true_class, minlength=len(self.classes) + 1).astype(
            float
        )
        objects[-1] = np.nan
        return pd.DataFrame(
            {
                "true_class": pd.Series(names[true], dtype=object),
                "predicted_class": pd.Series(names[predicted], dtype=object),
                "count": count,
                "share": count / objects[true],
            }
        )

    def worst(self, *, background: bool = False) -> pd.DataFrame:
        """The cells off the diagonal, the largest first.

        Args:
            background: whether missed objects and predictions on the background are
                among them

        Returns:
            rows of :meth:`to_frame`, numbered anew
        """
        true, predicted, _ = self.cells()
        shown = true != predicted
        if not background:
            shown &= np.maximum(true, predicted) < len(self.classes)
        return self.to_frame()[shown].reset_index(drop=True)

    def sentences(self) -> list[str]:
        """How many pairs are of each kind, and what was left out."""
        right = int(np.count_nonzero(self.true_class == self.predicted_class))
        missed = int(np.count_nonzero(self.prediction == UNMATCHED))
        alone = int(np.count_nonzero(self.truth == UNMATCHED))
        return [
            f"At IoU {self.iou:.2f} and score {self.score:.2f}: "
            f"{counted(right, 'true positive')}, "
            f"{counted(len(self) - right - missed - alone, 'object')} taken for "
            f"another class, {counted(missed, 'object')} missed, "
            f"{counted(alone, 'prediction')} on the background.",
            *self.left_out.sentences(),
        ]


def confusion(
    evaluation: Evaluation,
    classes: Sequence[str],
    *,
    iou: float = 0.5,
    score: float | None = None,
) -> Confusion:
    """Pairs predictions with objects, those of the same class first.

    What the evaluation matched at this IoU stays matched: these are the true positives.
    The predictions and objects that are left are then matched in the same way whatever
    their class: by descending score, each prediction takes the free object that it
    overlaps most, by at least ``iou``. What is left after that is paired with the
    background.

    Args:
        evaluation: an evaluation of columns
        classes: ``K`` names of the classes
        iou: the least IoU of a pair
        score: the least score of a prediction, the evaluation's by default

    Returns:
        a :class:`Confusion`

    Raises:
        CocoAuditError: if the IoU or the score cannot be used
    """
    score = evaluation.settings.score_threshold if score is None else score
    check_score(score)
    rows, predictions = evaluation.matches.predictions, evaluation.predictions
    found, counts, _ = outcomes_at(evaluation, iou)
    shown = np.flatnonzero(counts & (predictions.scores[rows] >= score))

    missed = ~evaluation.ignored[0]
    missed[found[shown][found[shown] != UNMATCHED]] = False
    wrong = shown[found[shown] == UNMATCHED]
    confused, taken = _match_across_classes(evaluation, wrong, missed, iou)
    found[confused] = taken
    missed[taken] = False

    alone = np.flatnonzero(missed)
    prediction = np.r_[rows[shown], np.full(len(alone), UNMATCHED)]
    truth = np.r_[found[shown], alone]
    background = len(classes)
    return Confusion(
        iou=float(iou),
        score=float(score),
        classes=tuple(classes),
        prediction=prediction,
        truth=truth,
        # The last of each is the class of row -1, which is nothing
        predicted_class=np.r_[predictions.category, background][prediction],
        true_class=np.r_[evaluation.truth.category, background][truth],
        left_out=LeftOut.of(evaluation, counts, score),
    )


def _match_across_classes(
    evaluation: Evaluation,
    detections: NDArray[np.int64],
    missed: NDArray[np.bool_],
    iou: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Matches some predictions with some objects as if all were of one class.

    Args:
        evaluation: an evaluation of columns
        detections: ``(W,)`` positions among the evaluated predictions
        missed: ``(M,)`` which objects
        iou: the least IoU

    Returns:
        two ``(C,)`` arrays: positions among the evaluated predictions, and the rows of
        their objects
    """
    truth, predictions = evaluation.truth, evaluation.predictions
    rows = evaluation.matches.predictions
    image, score = predictions.image[rows], predictions.scores[rows]
    # Equal scores keep the order of the labels, as within a class
    some = detections[
        np.lexsort((rows[detections], -score[detections], image[detections]))
    ]
    place = np.full(len(rows), UNMATCHED, dtype=np.int32)
    place[some] = np.arange(len(some))
    pairs = evaluation.pairs
    pairs = pairs.where((place[pairs.detection] != UNMATCHED) & missed[pairs.truth])
    order = np.lexsort((pairs.truth, place[pairs.detection]))
    matches = match(
        replace(truth, category=np.zeros_like(truth.category)),
        replace(predictions, category=np.zeros_like(predictions.category)),
        Pairs(place[pairs.detection][order], pairs.truth[order], pairs.overlap[order]),
        (rows[some], rank_in_groups(image[some])),
        iou_thresholds=np.array([iou], float),
        ignored=evaluation.ignored[:1],
    )
    matched = matches.truth[0, 0]
    is_matched = matched != UNMATCHED
    return (
        some[matches.candidates[is_matched]],
        matched[is_matched].astype(np.int64),
    )
