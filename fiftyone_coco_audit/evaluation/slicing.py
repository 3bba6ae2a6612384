"""Slices of an evaluation by what the dataset knows of its images and objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.evaluation.analysis.slices import (
    SliceMetrics,
    slice_of_images,
    slice_of_objects,
    slices_of,
)
from fiftyone_coco_audit.evaluation.metrics import Evaluation
from fiftyone_coco_audit.evaluation.stored import EvaluatedRows

if TYPE_CHECKING:
    import fiftyone as fo


def slice_frame(
    evaluation: Evaluation,
    rows: EvaluatedRows,
    dataset: fo.Dataset,
    pred_field: str,
    gt_field: str,
    field: str,
    bins: int | Sequence[float] | None,
    num_draws: int,
) -> pd.DataFrame:
    """See :meth:`fiftyone_coco_audit.evaluation.tables.EvaluationTables.by`."""
    name = field.removeprefix(f"{gt_field}.detections.")
    all_fp = False
    if name == field and dataset.has_field(field):
        values = field_values(dataset, "id", field, rows.sample_ids)
        names, position = slices_of(values, bins)
        place = np.full(evaluation.num_images, -1)
        place[rows.image] = position
        left_over = bool((position < 0).any())

        def metrics(n: int) -> SliceMetrics:
            return slice_of_images(evaluation, place == n, num_draws=num_draws)
    else:
        values, predicted = _of_labels(
            evaluation, rows, dataset, pred_field, gt_field, name
        )
        all_fp = not any(value is not None for value in predicted.tolist())
        names, both = slices_of(np.r_[values, predicted], bins)
        position, of_predictions = both[: len(values)], both[len(values) :]
        left_over = bool((position[~evaluation.ignored[0]] < 0).any())

        def metrics(n: int) -> SliceMetrics:
            return slice_of_objects(
                evaluation,
                position == n,
                None if all_fp else of_predictions == n,
                num_draws=num_draws,
            )

    table = [metrics(n) for n in range(len(names))]
    if left_over:
        names, table = [*names, "(none)"], [*table, metrics(-1)]
    return pd.DataFrame(
        {
            "images": [row.num_images for row in table],
            "objects": [row.num_objects for row in table],
            "AP": [row.ap for row in table],
            "AP_low": [row.ap_interval[0] for row in table],
            "AP_high": [row.ap_interval[1] for row in table],
            "AP_N": [row.normalized_ap for row in table],
            "AP50": [row.ap50 for row in table],
            "AR": [row.recall for row in table],
            "all_fp": all_fp,
            "thin": [row.thin for row in table],
        },
        index=pd.Index(names, name=name, dtype=object),
    )


def field_values(
    samples: fo.SampleCollection, id_path: str, path: str, ids: NDArray[np.object_]
) -> NDArray[np.object_]:
    """The values of a field by id, None for ids that are gone.

    Args:
        samples: the samples
        id_path: the path of the ids
        path: the path of the values
        ids: ``(N,)`` ids

    Returns:
        ``(N,)``
    """
    known, values = samples.values([id_path, path], unwind=True)
    found = pd.Series(values, index=known, dtype=object).reindex(ids)
    return found.where(found.notna(), None).to_numpy(object)


def _of_labels(
    evaluation: Evaluation,
    rows: EvaluatedRows,
    dataset: fo.Dataset,
    pred_field: str,
    gt_field: str,
    name: str,
) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """The values of an attribute of objects and of predictions, None without one."""
    if name == "area":
        areas = evaluation.truth.area, evaluation.predictions.area
        return areas[0].astype(object), areas[1].astype(object)
    sides = (gt_field, rows.truth_ids), (pred_field, rows.prediction_ids)
    values = [
        field_values(
            dataset, f"{field}.detections.id", f"{field}.detections.{name}", ids
        )
        if dataset.has_field(f"{field}.detections.{name}")
        else None
        for field, ids in sides
    ]
    if values[0] is None:
        raise CocoAuditError(
            f"Dataset {dataset.name!r} has neither a field {name!r} nor an attribute "
            f"{name!r} of the labels in {gt_field!r}: choose one that it has, or run "
            "compute_statistics() for sizes and counts"
        )
    if values[1] is None:
        return values[0], np.full(len(rows.prediction_ids), None)
    return values[0], values[1]
