"""The outcomes of labels at any IoU and score, as attributes of the labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fiftyone_coco_audit.columns import read_columns, require_samples
from fiftyone_coco_audit.database import database_errors_explained
from fiftyone_coco_audit.evaluation.analysis.outcomes import check_score, outcomes_at
from fiftyone_coco_audit.evaluation.fields import OUTCOME, outcome_specs
from fiftyone_coco_audit.evaluation.matching import UNMATCHED
from fiftyone_coco_audit.evaluation.metrics import Evaluation
from fiftyone_coco_audit.evaluation.saving_influence import changes_of
from fiftyone_coco_audit.fiftyone_internals import root_dataset
from fiftyone_coco_audit.storage.exclusive import up_to_date
from fiftyone_coco_audit.storage.publishing import publish_values

if TYPE_CHECKING:
    from fiftyone_coco_audit.evaluation.results import CocoResults


def outcomes_of_labels(
    evaluation: Evaluation, *, iou: float, score: float
) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """The outcome of every label among the predictions with at least some score.

    Args:
        evaluation: an evaluation of columns
        iou: the IoU that finds an object, evaluated or not
        score: the least score of a prediction

    Returns:
        ``(M,)`` outcomes of objects, ``"tp"``, ``"fn"`` or None where COCO ignores
        them, and ``(N,)`` of predictions, ``"tp"``, ``"fp"`` or None where COCO ignores
        them or their score is lower

    Raises:
        CocoAuditError: if the IoU or the score cannot be used
    """
    check_score(score)
    found, counts, _ = outcomes_at(evaluation, iou)
    rows = evaluation.matches.predictions
    kept = counts & (evaluation.predictions.scores[rows] >= score)
    right = kept & (found != UNMATCHED)
    of_truth = np.full(len(evaluation.truth), "fn", object)
    of_truth[evaluation.ignored[0]] = None
    of_truth[found[right]] = "tp"
    of_predictions = np.full(len(evaluation.predictions), None, object)
    of_predictions[rows[kept]] = "fp"
    of_predictions[rows[right]] = "tp"
    return of_truth, of_predictions


@database_errors_explained()
def write_outcomes(results: CocoResults, *, iou: float, score: float) -> None:
    """See :meth:`fiftyone_coco_audit.evaluation.results.CocoResults.save_outcomes`."""
    samples, key = results.samples, results.key
    _, pred_field, gt_field = results.source
    outcomes = outcomes_of_labels(results.evaluation, iou=iou, score=score)
    specs = outcome_specs(key, pred_field, gt_field, iou=iou, score=score)
    require_samples(samples)
    dataset = root_dataset(samples)
    up_to_date(dataset)
    changes = changes_of(results, specs, "the outcomes of labels")
    # Check now rather than after all values are written
    changes(dataset)
    columns = read_columns(samples, {pred_field: {}, gt_field: {}})
    rows = results.rows
    values: dict[str, dict[str, list[Any]]] = {}
    for field, ids, marks in (
        (gt_field, rows.truth_ids, outcomes[0]),
        (pred_field, rows.prediction_ids, outcomes[1]),
    ):
        known = pd.Series(marks, index=ids, dtype=object)
        found = known.reindex(columns.labels[field].ids)
        values[field] = {f"{key}{OUTCOME}": found.where(found.notna(), None).tolist()}
    publish_values(samples, columns, {}, values, changes)
