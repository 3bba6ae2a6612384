"""What kind of error each wrong prediction and each missed object is.

The types and their order are TIDE's: Bolya et al., "TIDE: A General Toolbox for
Identifying Object Detection Errors", ECCV 2020.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.evaluation.matching import UNMATCHED
from fiftyone_coco_audit.evaluation.metrics import Evaluation
from fiftyone_coco_audit.evaluation.pairs import BACKGROUND_IOU, Pairs

#: The types of error of predictions, in the order in which they are tested
PREDICTION_ERRORS = (
    "localization",
    "classification",
    "duplicate",
    "background",
    "both",
)


@dataclass(frozen=True)
class ErrorTypes:
    """The type of error of every object.

    Attributes:
        predictions: ``(N,)`` one of :data:`PREDICTION_ERRORS` for every false
            positive: right class, loose box (``"localization"``); good box,
            wrong class (``"classification"``); an object that was found already
            (``"duplicate"``); nothing there (``"background"``); wrong class and
            loose box (``"both"``). Empty for all other predictions
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
    errors = np.full(len(predictions), "", dtype="U14")
    errors[rows[wrong]] = np.array(PREDICTION_ERRORS)[kind[wrong]]
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
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    """The errors of evaluated predictions, as if all of them were wrong.

    Args:
        evaluation: the evaluation
        pairs: ``P`` pairs of wrong predictions and objects that count
        found: ``(M,)`` whether each object was found

    Returns:
        ``(D,)`` positions in :data:`PREDICTION_ERRORS`, and for each of the pairs
        whether it is a localization or a classification error
    """
    rows = evaluation.matches.predictions
    foreground = evaluation.settings.iou_thresholds[0]
    row, other, overlap = pairs.detection, pairs.truth, pairs.overlap
    same_class = (
        evaluation.predictions.category[rows[row]] == evaluation.truth.category[other]
    )

    def highest(of: NDArray[np.bool_]) -> NDArray[np.float64]:
        result = np.zeros(len(rows))
        np.maximum.at(result, row[of], overlap[of])
        return result

    same, different = highest(same_class), highest(~same_class)
    taken = highest(same_class & found[other])
    tests = [
        (same >= BACKGROUND_IOU) & (same <= foreground),
        different >= foreground,
        taken >= foreground,
        np.maximum(same, different) <= BACKGROUND_IOU,
    ]
    kind = np.select(tests, [0, 1, 2, 3], default=4)
    localization = (kind[row] == 0) & same_class & (overlap == same[row])
    classification = (kind[row] == 1) & ~same_class & (overlap == different[row])
    return kind, localization, classification
