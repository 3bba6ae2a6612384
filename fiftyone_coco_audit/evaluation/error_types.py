"""What kind of error each wrong prediction and each missed object is.

The types and their order are TIDE's: Bolya et al., "TIDE: A General Toolbox for
Identifying Object Detection Errors", ECCV 2020.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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


#: The types of error of predictions, and which false positives are of each: the first
#: that fits counts, and the last fits all
PREDICTION_ERRORS: dict[str, Callable[[HighestOverlaps], NDArray[np.bool_]]] = {
    # Right class, loose box
    "localization": lambda iou: (
        (iou.same_class >= BACKGROUND_IOU) & (iou.same_class <= iou.foreground)
    ),
    # Good box, wrong class
    "classification": lambda iou: iou.other_class >= iou.foreground,
    # An object that was found already
    "duplicate": lambda iou: iou.found >= iou.foreground,
    # Nothing there
    "background": lambda iou: (
        np.maximum(iou.same_class, iou.other_class) <= BACKGROUND_IOU
    ),
    # Wrong class and loose box
    "both": lambda iou: np.ones(len(iou.other_class), np.bool_),
}


@dataclass(frozen=True)
class ErrorTypes:
    """The type of error of every object.

    Attributes:
        predictions: ``(N,)`` one of :data:`PREDICTION_ERRORS` for every false
            positive; empty for all other predictions
        truth: ``(M,)`` ``"missed"`` for every object that was not found and
            that no localization or classification error is about; empty for
            all others
        mistaken: ``(C, 2)`` row of each prediction of the wrong class, and row of
            the object that it lies on; several rows where overlaps are equal
    """

    predictions: NDArray[np.str_]
    truth: NDArray[np.str_]
    mistaken: NDArray[np.int64]


def classify_errors(evaluation: Evaluation) -> ErrorTypes:
    """Finds the type of error of every false positive and missed object.

    Matches at the lowest IoU threshold (TIDE's ``t_f``) decide. Crowd regions,
    and all else that COCO ignores, neither cause nor excuse an error.

    Args:
        evaluation: an evaluation of columns

    Returns:
        an :class:`ErrorTypes`
    """
    truth, predictions = evaluation.truth, evaluation.predictions
    rows = evaluation.matches.predictions
    true_positive, counted = evaluation.outcomes()
    wrong = counted[0] & ~true_positive[0]

    found = np.zeros(len(truth), dtype=bool)
    matched = evaluation.matches.truth[0, 0]
    found[matched[matched != UNMATCHED]] = True
    missed = ~found & ~evaluation.ignored[0]

    of_wrong = wrong[evaluation.pairs.detection]
    pairs = evaluation.pairs.where(
        of_wrong & ~evaluation.ignored[0][evaluation.pairs.truth]
    )
    kind, loose, confused = _classify_predictions(evaluation, pairs, found)
    missed[pairs.truth[loose | confused]] = False
    errors = np.full(len(predictions), "", kind.dtype)
    errors[rows[wrong]] = kind[wrong]
    mistaken = np.column_stack(
        [rows[pairs.detection[confused]], pairs.truth[confused].astype(np.int64)]
    )
    return ErrorTypes(
        predictions=errors,
        truth=np.where(missed, "missed", ""),
        mistaken=mistaken[np.lexsort(mistaken.T[::-1])],
    )


def _classify_predictions(
    evaluation: Evaluation, pairs: Pairs, found: NDArray[np.bool_]
) -> tuple[NDArray[np.str_], NDArray[np.bool_], NDArray[np.bool_]]:
    """The errors of evaluated predictions, as if all of them were wrong.

    Args:
        evaluation: the evaluation
        pairs: ``P`` pairs of wrong predictions and objects that count
        found: ``(M,)`` whether each object was found

    Returns:
        ``(D,)`` errors, and for each of the pairs whether it is a localization or a
        classification error
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

    foreground = evaluation.settings.iou_thresholds[0]
    iou = HighestOverlaps(
        highest(same), highest(~same), highest(same & found[other]), foreground
    )
    first = np.argmax([fits(iou) for fits in PREDICTION_ERRORS.values()], axis=0)
    kind = np.array(list(PREDICTION_ERRORS))[first]
    localization = (kind[row] == "localization") & same
    classification = (kind[row] == "classification") & ~same
    return (
        kind,
        localization & (overlap == iou.same_class[row]),
        classification & (overlap == iou.other_class[row]),
    )
