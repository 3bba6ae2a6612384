"""The outcome of each label (true, false, missed or ignored) and its match."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.evaluation.matching import UNMATCHED
from fiftyone_coco_audit.evaluation.metrics import Evaluation


@dataclass(frozen=True)
class LabelOutcomes:
    """The outcome of ``N`` labels of one side at the lowest IoU threshold.

    Attributes:
        mark: ``(N,)`` ``"tp"`` or ``"fp"`` for a prediction, ``"tp"`` or
            ``"fn"`` for an object, and empty for what COCO ignores: crowds,
            objects whose area is outside the range of all areas, predictions that
            match one of these, predictions beyond the limit
        partner: ``(N,)`` row of the label that it was matched to on the other
            side, -1 if it was not. A prediction can be matched to a crowd; a
            crowd itself has no partner, since it can have many
        overlap: ``(N,)`` their overlap, NaN if it was not matched
    """

    mark: NDArray[np.str_]
    partner: NDArray[np.int64]
    overlap: NDArray[np.float64]


def label_outcomes(evaluation: Evaluation) -> tuple[LabelOutcomes, LabelOutcomes]:
    """Finds the outcome of every label of an evaluation.

    Args:
        evaluation: an evaluation of columns

    Returns:
        a tuple of the outcomes of the ground truth and of the predictions
    """
    matches, crowd = evaluation.matches, evaluation.truth.crowd
    ignored = evaluation.ignored[0]
    true_positive, counted = evaluation.outcomes()
    predicted_mark = np.full(len(evaluation.predictions), "", dtype="U2")
    predicted_mark[matches.predictions[counted[0]]] = "fp"
    predicted_mark[matches.predictions[true_positive[0]]] = "tp"

    matched = matches.truth[0, 0]
    is_matched = matched != UNMATCHED
    objects = matched[is_matched]
    predictions = matches.predictions[matches.candidates[is_matched]]
    overlap = matches.overlap[0][is_matched]
    single = ~crowd[objects]
    truth_mark = np.where(ignored, "", "fn")
    truth_mark[objects[~ignored[objects]]] = "tp"
    return (
        _outcomes(truth_mark, objects[single], predictions[single], overlap[single]),
        _outcomes(predicted_mark, predictions, objects, overlap),
    )


def _outcomes(
    mark: NDArray[np.str_],
    rows: NDArray[np.integer],
    partners: NDArray[np.integer],
    overlaps: NDArray[np.float64],
) -> LabelOutcomes:
    partner = np.full(len(mark), UNMATCHED, dtype=np.int64)
    overlap = np.full(len(mark), np.nan)
    partner[rows] = partners
    overlap[rows] = overlaps
    return LabelOutcomes(mark, partner, overlap)
