"""Slices of evaluations by what the dataset knows of their images and objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.evaluation.analysis.slices import (
    Slice,
    slice_metrics,
    slice_of_images,
    slice_of_objects,
    slices_of,
)
from fiftyone_coco_audit.evaluation.metrics import Evaluation
from fiftyone_coco_audit.evaluation.stored import EvaluatedRows
from fiftyone_coco_audit.views import all_images

if TYPE_CHECKING:
    import fiftyone as fo


class Source(NamedTuple):
    """The dataset and fields of an evaluation."""

    dataset: fo.Dataset
    pred_field: str
    gt_field: str


@dataclass(frozen=True, repr=False)
class Division(ShortRepr):
    """An evaluation whose images or objects are divided.

    Attributes:
        evaluation: the evaluation in columns
        place: position of the slice of each image, or of each object; -1 outside all
        predicted: position of the slice of each prediction; None if images are divided,
            or nothing is known of predictions
        of_images: whether images are divided
    """

    evaluation: Evaluation
    place: NDArray[np.int64]
    predicted: NDArray[np.int64] | None
    of_images: bool

    def _about(self) -> str:
        return f"into {self.place.max(initial=-1) + 1} slices"

    @property
    def leaves_some(self) -> bool:
        """Whether images, or objects that count, are outside all slices."""
        place = self.place
        if not self.of_images:
            place = place[~self.evaluation.ignored[0]]
        return bool((place < 0).any())

    def images(self, position: int) -> NDArray[np.bool_]:
        """``(num_images,)`` which images a slice is evaluated on."""
        if self.of_images:
            return self.place == position
        return np.ones(self.evaluation.num_images, bool)

    def slice(self, position: int) -> Slice:
        """The slice at a position, -1 for what is outside all."""
        if self.of_images:
            return slice_of_images(self.evaluation, self.images(position))
        return slice_of_objects(
            self.evaluation,
            self.place == position,
            None if self.predicted is None else self.predicted == position,
        )


def divide(
    runs: Sequence[tuple[Evaluation, EvaluatedRows, Source]],
    field: str,
    bins: int | Sequence[float] | None,
) -> tuple[str, list[str], list[Division]]:
    """Divides evaluations into the same slices.

    Args:
        runs: evaluations, the samples and labels of their rows, and their sources
        field: see :meth:`.tables.EvaluationTables.by`
        bins: see :meth:`.tables.EvaluationTables.by`

    Returns:
        a tuple of the name of the field, the names of the slices, and a
        :class:`Division` of each evaluation

    Raises:
        CocoAuditError: if a dataset has no such field, or it cannot be divided like
            that
    """
    dataset, _, gt_field = runs[0][2]
    name = field.removeprefix(f"{gt_field}.detections.")
    of_images = name == field and dataset.has_field(field)
    parts: list[NDArray[np.object_]] = []
    for evaluation, rows, source in runs:
        if of_images:
            values = np.full(evaluation.num_images, None)
            values[rows.image] = field_values(
                source.dataset, "id", field, rows.sample_ids
            )
            parts += [values, np.full(0, None)]
        else:
            parts += _of_labels(evaluation, rows, *source, name)
    names, place = slices_of(np.concatenate(parts), bins)
    split = np.split(place, np.cumsum([len(part) for part in parts])[:-1])
    unknown = all(value is None for part in parts[1::2] for value in part.tolist())
    divisions = [
        Division(evaluation, place, None if unknown else predicted, of_images)
        for (evaluation, *_), place, predicted in zip(
            runs, split[::2], split[1::2], strict=True
        )
    ]
    return name, names, divisions


def slice_frame(
    run: tuple[Evaluation, EvaluatedRows, Source],
    field: str,
    bins: int | Sequence[float] | None,
    num_draws: int,
) -> pd.DataFrame:
    """See :meth:`fiftyone_coco_audit.evaluation.tables.EvaluationTables.by`."""
    name, names, (division,) = divide([run], field, bins)
    places = list(range(len(names)))
    if division.leaves_some:
        names, places = [*names, "(none)"], [*places, -1]
    table = [slice_metrics(division.slice(place), num_draws) for place in places]
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
            "all_fp": not division.of_images and division.predicted is None,
            "thin": [row.thin for row in table],
        },
        index=pd.Index(names, name=name, dtype=object),
    )


def field_values(
    dataset: fo.Dataset, id_path: str, path: str, ids: NDArray[np.object_]
) -> NDArray[np.object_]:
    """The values of a field by id, None for ids that are gone.

    Args:
        dataset: the dataset
        id_path: the path of the ids
        path: the path of the values
        ids: ``(N,)`` ids

    Returns:
        ``(N,)``
    """
    known, values = all_images(dataset).values([id_path, path], unwind=True)
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
