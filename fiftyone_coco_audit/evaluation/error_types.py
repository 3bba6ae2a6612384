"""What kind of error each wrong prediction and each missed object is.

The types and their order are TIDE's: Bolya et al., "TIDE: A General Toolbox for
Identifying Object Detection Errors", ECCV 2020.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.evaluation.matching import UNMATCHED
from fiftyone_coco_audit.evaluation.metrics import Evaluation
from fiftyone_coco_audit.evaluation.pairs import BACKGROUND_IOU, Pairs


@dataclass(frozen=True)
class HighestOverlaps:
    """The highest IoU of each evaluated prediction with objects of its image.

    Attributes:
        same_class: ``(D,)`` with objects of its class; 0 where there are none
        other_class: ``(D,)`` with objects of other classes
        found: ``(D,)`` with objects of its class that another prediction has found
        foreground: the IoU that finds an object, TIDE's ``t_f``
    """

    same_class: NDArray[np.float64]
    other_class: NDArray[np.float64]
    found: NDArray[np.float64]
    foreground: float


class Repair(Enum):
    """What repairing an error does.

    A corrected prediction finds its object. If the object is found already, or a
    higher-scoring error is about it too, the prediction is removed instead.
    """

    CORRECT_BOX = "the prediction gets the box of its object"
    CORRECT_CLASS = "the prediction gets the class of its object"
    REMOVE = "the prediction is removed"
    FORGIVE = "the object need not be found"


@dataclass(frozen=True)
class ErrorType:
    """A type of error.

    Attributes:
        description: what it is, in a few words
        repair: what repairing it does
        fits: which evaluated predictions it fits if they are false positives, or None
            for errors of objects: those that no prediction found and that no repair
            of a prediction would let it find
    """

    description: str
    repair: Repair
    fits: Callable[[HighestOverlaps], NDArray[np.bool_]] | None = None


#: The type of error of objects
MISSED = "missed"

#: The types of error by name. The first that fits a false positive counts, and the last
#: of them fits all
ERROR_TYPES: dict[str, ErrorType] = {
    "localization": ErrorType(
        "right class, loose box",
        Repair.CORRECT_BOX,
        lambda iou: (
            (iou.same_class >= BACKGROUND_IOU) & (iou.same_class <= iou.foreground)
        ),
    ),
    "classification": ErrorType(
        "good box, wrong class",
        Repair.CORRECT_CLASS,
        lambda iou: iou.other_class >= iou.foreground,
    ),
    "duplicate": ErrorType(
        "an object that was found already",
        Repair.REMOVE,
        lambda iou: iou.found >= iou.foreground,
    ),
    "background": ErrorType(
        "nothing there",
        Repair.REMOVE,
        lambda iou: np.maximum(iou.same_class, iou.other_class) <= BACKGROUND_IOU,
    ),
    "both": ErrorType(
        "wrong class and loose box",
        Repair.REMOVE,
        lambda iou: np.ones(len(iou.other_class), np.bool_),
    ),
    MISSED: ErrorType(
        "an object that no prediction found or nearly found", Repair.FORGIVE
    ),
}


@dataclass(frozen=True)
class ErrorTypes:
    """The type of error of every object.

    Attributes:
        predictions: ``(N,)`` one of :data:`ERROR_TYPES` for every false positive;
            empty for all other predictions
        truth: ``(M,)`` ``"missed"`` for every object that was not found and that no
            localization or classification error is about; empty for all others
        target: ``(N,)`` row of the object that a localization or classification
            error is about: of those that the prediction overlaps most, the first;
            -1 for all other predictions
        mistaken: ``(C, 2)`` row of each prediction of the wrong class, and row of
            the object that it lies on; several rows where overlaps are equal
    """

    predictions: NDArray[np.str_]
    truth: NDArray[np.str_]
    target: NDArray[np.int64]
    mistaken: NDArray[np.int64]


def classify_errors(evaluation: Evaluation, threshold: int = 0) -> ErrorTypes:
    """Finds the type of error of every false positive and missed object.

    Crowd regions, and all else that COCO ignores, neither cause nor excuse an error.

    Args:
        evaluation: an evaluation of columns
        threshold: the position of the IoU threshold whose matches decide, TIDE's
            ``t_f``; the lowest by default

    Returns:
        an :class:`ErrorTypes`
    """
    truth, predictions = evaluation.truth, evaluation.predictions
    rows = evaluation.matches.predictions
    ignored = evaluation.ignored[0]
    true_positive, counted = evaluation.outcomes()
    wrong = counted[threshold] & ~true_positive[threshold]

    found = evaluation.found(threshold)
    pairs = evaluation.pairs.where(
        wrong[evaluation.pairs.detection] & ~ignored[evaluation.pairs.truth]
    )
    kind, about = _classify_predictions(
        evaluation, pairs, found, evaluation.settings.iou_thresholds[threshold]
    )
    errors = np.full(len(predictions), "", kind.dtype)
    errors[rows[wrong]] = kind[wrong]

    detection, thing = rows[pairs.detection[about]], pairs.truth[about]
    target = np.full(len(predictions), UNMATCHED)
    # Of several objects, the last assignment counts
    target[detection[::-1]] = thing[::-1]
    missed = ~found & ~ignored
    missed[target[target != UNMATCHED]] = False

    confused = predictions.category[detection] != truth.category[thing]
    mistaken = np.column_stack([detection, thing])[confused].astype(np.int64)
    return ErrorTypes(
        predictions=errors,
        truth=np.where(missed, MISSED, ""),
        target=target,
        mistaken=mistaken[np.lexsort(mistaken.T[::-1])],
    )


def _classify_predictions(
    evaluation: Evaluation,
    pairs: Pairs,
    found: NDArray[np.bool_],
    foreground: float,
) -> tuple[NDArray[np.str_], NDArray[np.bool_]]:
    """The errors of evaluated predictions, as if all of them were wrong.

    Args:
        evaluation: the evaluation
        pairs: ``P`` pairs of wrong predictions and objects that count
        found: ``(M,)`` whether each object was found
        foreground: the IoU that finds an object

    Returns:
        ``(D,)`` errors, and ``(P,)`` whether each pair is of a prediction and an
        object that a repair would let it find
    """
    rows = evaluation.matches.predictions
    row, other, overlap = pairs.detection, pairs.truth, pairs.overlap
    same = (
        evaluation.predictions.category[rows[row]] == evaluation.truth.category[other]
    )

    def highest(of: NDArray[np.bool_]) -> NDArray[np.float64]:
        result = np.zeros(len(rows))
        np.maximum.at(result, row[of], overlap[of])
        return result

    iou = HighestOverlaps(
        highest(same), highest(~same), highest(same & found[other]), foreground
    )
    fits = {name: one.fits for name, one in ERROR_TYPES.items() if one.fits is not None}
    first = np.argmax([fit(iou) for fit in fits.values()], axis=0)

    def repaired_by(repair: Repair) -> NDArray[np.bool_]:
        return np.array([ERROR_TYPES[name].repair is repair for name in fits])[first][
            row
        ]

    return np.array(list(fits))[first], np.where(
        same,
        repaired_by(Repair.CORRECT_BOX) & (overlap == iou.same_class[row]),
        repaired_by(Repair.CORRECT_CLASS) & (overlap == iou.other_class[row]),
    )
