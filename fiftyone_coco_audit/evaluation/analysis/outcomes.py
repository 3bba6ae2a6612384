"""What became of predictions at any IoU, whether it was evaluated or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isnan

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.errors import CocoAuditError, NotFoundError, check_number
from fiftyone_coco_audit.evaluation.matching import UNMATCHED, Matches, match
from fiftyone_coco_audit.evaluation.metrics import Evaluation
from fiftyone_coco_audit.evaluation.pairs import BACKGROUND_IOU
from fiftyone_coco_audit.evaluation.ranking import outcomes
from fiftyone_coco_audit.wording import counted, listed, named, quoted


def outcomes_at(
    evaluation: Evaluation, iou: float
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.float64]]:
    """What each evaluated prediction found at an IoU, over all areas.

    The true positives of the predictions with at least some score are the same with
    and without the others: COCO matches by descending score, so a prediction never
    takes an object from one with a higher score.

    Args:
        evaluation: an evaluation of columns
        iou: the IoU that finds an object

    Returns:
        ``(D,)`` the row of the object of its class that each prediction found, -1 for
        none; ``(D,)`` whether it is a true or a false positive, not ignored; and
        ``(D,)`` its IoU with the object that it found, 0 for none

    Raises:
        CocoAuditError: if overlaps as low as ``iou`` were not kept
    """
    matches = _matches_at(evaluation, iou)
    found = np.full(len(matches.predictions), UNMATCHED, dtype=np.int64)
    found[matches.candidates] = matches.truth[0, 0]
    (true_positive,), (counts,) = outcomes(
        matches,
        0,
        evaluation.ignored[0],
        evaluation.in_range[0],
        np.arange(len(found)),
    )
    overlap = np.zeros(len(found))
    overlap[matches.candidates] = matches.overlap[0]
    return (
        np.where(true_positive, found, UNMATCHED),
        counts,
        np.where(true_positive, overlap, 0),
    )


def _matches_at(evaluation: Evaluation, iou: float) -> Matches:
    """The matches at one IoU in the first area range, evaluated or not."""
    check_number("iou", iou)
    lowest = min(BACKGROUND_IOU, evaluation.settings.iou_thresholds[0])
    if not lowest <= iou <= 1:
        raise CocoAuditError(
            f"iou is {iou!r}: it must be from {lowest:g}, the lowest overlap that an "
            "evaluation keeps, to 1"
        )
    matches = evaluation.matches
    position = evaluation.settings.threshold_position(iou)
    if position is not None:
        return replace(
            matches,
            truth=matches.truth[:1, position : position + 1],
            overlap=matches.overlap[position : position + 1],
        )
    return match(
        evaluation.truth,
        evaluation.predictions,
        evaluation.pairs,
        (matches.predictions, matches.rank),
        iou_thresholds=np.array([iou], float),
        ignored=evaluation.ignored[:1],
    )


@dataclass(frozen=True)
class LeftOut:
    """How much of an evaluation is not among some numbers.

    Attributes:
        ignored_objects: objects that COCO ignores: crowd regions, and those whose area
            is out of the range of all areas
        ignored_predictions: predictions that COCO ignores: matched to such an object,
            or to none and out of the range
        low_scores: predictions with a lower score than asked for, or none
        over_limit: predictions whose image has too many of their class
    """

    ignored_objects: int
    ignored_predictions: int
    low_scores: int
    over_limit: int

    @classmethod
    def of(
        cls,
        evaluation: Evaluation,
        counts: NDArray[np.bool_],
        score: float = -np.inf,
    ) -> LeftOut:
        """Counts what is left out.

        Args:
            evaluation: an evaluation of columns
            counts: ``(D,)`` which evaluated predictions are true or false positives
            score: the least score of the predictions
        """
        high = evaluation.predictions.scores >= score
        evaluated = high[evaluation.matches.predictions]
        shown = int(np.count_nonzero(high))
        return cls(
            ignored_objects=int(np.count_nonzero(evaluation.ignored[0])),
            ignored_predictions=int(np.count_nonzero(evaluated & ~counts)),
            low_scores=len(high) - shown,
            over_limit=shown - int(np.count_nonzero(evaluated)),
        )

    def sentences(self) -> list[str]:
        """What is left out, if anything."""
        parts = [
            f"{counted(count, noun)}{why}"
            for count, noun, why in (
                (self.ignored_objects, "object", " that COCO ignores"),
                (self.ignored_predictions, "prediction", " that COCO ignores"),
                (self.low_scores, "prediction", " with a lower score or none"),
                (self.over_limit, "prediction", " over the limit per image and class"),
            )
            if count
        ]
        return [f"Left out: {listed(parts, most=4)}."] if parts else []


def check_score(score: float) -> None:
    """Checks the least score of predictions, which can be infinite.

    Raises:
        CocoAuditError: if it is not a number
    """
    check_number("score", score)
    if isnan(score):
        raise CocoAuditError("score is nan: it must be a number")


def class_position(classes: Sequence[str], name: str) -> int:
    """The position of a class.

    Raises:
        NotFoundError: if there is no such class
    """
    if name not in classes:
        raise NotFoundError(
            f"There is no class {quoted(str(name))}: the classes are {named(classes)}"
        )
    return classes.index(name)
