"""What an evaluation takes from a dataset: objects in columns, images in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.columns import LabelColumns, SampleColumns, read_columns
from fiftyone_coco_audit.evaluation.settings import Settings
from fiftyone_coco_audit.evaluation.stored import EvaluatedRows
from fiftyone_coco_audit.progress import Progress
from fiftyone_coco_audit.reading import (
    FieldObjects,
    class_names,
    ensure_sizes,
    read_objects,
)
from fiftyone_coco_audit.rle import mask_areas, masks_of

if TYPE_CHECKING:
    import fiftyone as fo


@dataclass(frozen=True)
class Inputs:
    """The columns of a dataset that is to be evaluated.

    Attributes:
        columns: samples and labels as they were read, without the labels' values
        image: ``(N,)`` place of each sample among the images of the evaluation,
            which are ordered by COCO id
        classes: names of the classes, in the dataset's order
        truth: the ground truth
        predictions: the predictions
        pred_field: the field of the predictions
        gt_field: the field of the ground truth
        annotation_ids: ``(M,)`` COCO id of each ground-truth object, None where a
            label has none
        mask_area: ``(M,)`` pixels of the mask of each ground-truth object, NaN where
            it has none in ``rle``
        notes: sentences on how the data was understood
    """

    columns: SampleColumns
    image: NDArray[np.int64]
    classes: list[str]
    truth: FieldObjects
    predictions: FieldObjects
    pred_field: str
    gt_field: str
    annotation_ids: NDArray[np.object_]
    mask_area: NDArray[np.float64]
    notes: list[str]

    def evaluated_rows(self) -> EvaluatedRows:
        """The samples and labels that the rows of an evaluation will stand for."""
        return EvaluatedRows(
            classes=tuple(self.classes),
            sample_ids=np.array(list(map(str, self.columns.ids)), dtype=object),
            image=self.image,
            truth_ids=self.truth.ids,
            prediction_ids=self.predictions.ids,
        )


def read_inputs(
    samples: fo.SampleCollection,
    pred_field: str,
    gt_field: str,
    settings: Settings,
    *,
    progress: Progress = None,
) -> Inputs:
    """Reads what an evaluation needs, and says what it had to assume.

    Args:
        samples: a dataset or a view of whole images
        pred_field: the field of the predictions
        gt_field: the field of the ground truth
        settings: the parameters of the evaluation
        progress: whether to show a progress bar

    Returns:
        an :class:`Inputs`

    Raises:
        CocoAuditError: if the size of an image cannot be found out
    """
    ensure_sizes(samples, progress)
    masks: dict[str, type] = {"rle": str} if settings.iou_type == "segm" else {}
    columns = read_columns(
        samples,
        {
            gt_field: {"area": float, "iscrowd": float, "coco_id": str, "rle": str},
            pred_field: {"confidence": float, **masks},
        },
        progress=progress,
    )
    notes: list[str] = []
    image = _image_order(columns.coco_id, notes)
    classes = class_names(samples, gt_field, *columns.labels.values())
    truth, predictions = (
        read_objects(
            samples, field, columns, classes, notes, image=image, masks=bool(masks)
        )
        for field in (gt_field, pred_field)
    )
    of_truth = columns.labels[gt_field]
    bare = {field: labels.without_values() for field, labels in columns.labels.items()}
    return Inputs(
        columns=replace(columns, labels=bare),
        image=image,
        classes=classes,
        truth=truth,
        predictions=predictions,
        pred_field=pred_field,
        gt_field=gt_field,
        annotation_ids=of_truth.texts["coco_id"][truth.rows],
        mask_area=_mask_areas(truth, of_truth, columns.size),
        notes=notes,
    )


def _mask_areas(
    truth: FieldObjects, labels: LabelColumns, size: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The pixels of masks, NaN without one.

    Masks of other origin than the import are not read where boxes are evaluated.
    """
    if truth.objects.masks is not None and truth.boxed is not None:
        return np.where(truth.boxed, np.nan, mask_areas(truth.objects.masks))
    area = np.full(len(truth.rows), np.nan)
    counts = labels.texts["rle"][truth.rows].tolist()
    masked = [row for row, text in enumerate(counts) if isinstance(text, str)]
    sizes = size[labels.sample[truth.rows[masked]]]
    area[masked] = mask_areas(masks_of([counts[row] for row in masked], sizes))
    return area


def _image_order(
    coco_id: Sequence[int | float | str | None], notes: list[str]
) -> NDArray[np.int64]:
    """The place of each sample by COCO id, which decides between equal scores."""
    order = list(range(len(coco_id)))
    ids: list[Any] = list(coco_id)
    if any(value is None for value in ids):
        notes.append(
            "Not all samples have a coco_id: equal scores of predictions in different "
            "images are ranked in the order of the samples."
        )
    elif all(isinstance(value, (int, float)) for value in ids):
        # By Python, which compares integers beyond 2^53 with floats exactly
        order.sort(key=ids.__getitem__)
    else:
        order.sort(key=lambda sample: str(ids[sample]))
    image = np.empty(len(coco_id), np.int64)
    image[np.array(order, np.int64)] = np.arange(len(coco_id))
    return image
