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
from fiftyone_coco_audit.evaluation.overlaps import (
    overlaps_within_groups,
    parts_of_pairs,
)

#: The least overlap that is not background, TIDE's ``t_b``
BACKGROUND_IOU = 0.1

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
    matches = evaluation.matches
    true_positive, counted = evaluation.outcomes()
    wrong = np.sort(matches.predictions[counted[0] & ~true_positive[0]])

    found = np.zeros(len(truth), dtype=bool)
    matched = matches.truth[0, 0]
    found[matched[matched != UNMATCHED]] = True
    missed = ~found & ~evaluation.ignored[0]

    errors = np.full(len(predictions), "", dtype="U14")
    mistaken = [np.empty((0, 2), np.int64)]
    for part in parts_of_pairs(predictions.image[wrong], truth.image):
        rows = wrong[part]
        errors[rows], loose, confused = _classify_predictions(evaluation, rows, found)
        missed[loose] = missed[confused[:, 1]] = False
        mistaken.append(confused)
    return ErrorTypes(
        predictions=errors,
        truth=np.where(missed, "missed", ""),
        mistaken=np.concatenate(mistaken),
    )


def _classify_predictions(
    evaluation: Evaluation, wrong: NDArray[np.int64], found: NDArray[np.bool_]
) -> tuple[NDArray[np.str_], NDArray[np.int64], NDArray[np.int64]]:
    """The errors of false positives, and the objects that they are about.

    Returns:
        a tuple of ``(W,)`` errors, the objects of localization errors, and ``(C, 2)``
        predictions and objects of classification errors
    """
    truth, predictions = evaluation.truth, evaluation.predictions
    foreground = evaluation.settings.iou_thresholds[0]
    row, other, overlap = _overlaps_in_images(evaluation, wrong)
    same_class = predictions.category[wrong[row]] == truth.category[other]

    def highest(of: NDArray[np.bool_]) -> NDArray[np.float64]:
        result = np.zeros(len(wrong))
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
    confused = np.column_stack([wrong[row[classification]], other[classification]])
    return np.array(PREDICTION_ERRORS)[kind], other[localization], confused


def _overlaps_in_images(
    evaluation: Evaluation, rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """All pairs of some predictions and the objects that count in their image.

    Returns:
        three ``(P,)`` arrays: the position in ``rows``, the row of the object
        and the overlap
    """
    truth, predictions = evaluation.truth, evaluation.predictions
    objects = np.flatnonzero(~evaluation.ignored[0])
    return overlaps_within_groups(
        predictions,
        truth,
        (rows, predictions.image[rows]),
        (objects, truth.image[objects]),
        masks=evaluation.settings.iou_type == "segm",
    )
