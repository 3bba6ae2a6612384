"""What an evaluation takes from a dataset: objects in columns, images in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.columns import LabelColumns, SampleColumns, read_columns
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.evaluation.poses import (
    Triples,
    keypoint_sigmas,
    predicted_keypoints,
    read_triples,
    true_keypoints,
)
from fiftyone_coco_audit.evaluation.settings import Settings
from fiftyone_coco_audit.evaluation.stored import EvaluatedRows
from fiftyone_coco_audit.progress import Progress
from fiftyone_coco_audit.reading import (
    FieldObjects,
    class_names,
    counted_labels,
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
        CocoAuditError: if the size of an image cannot be found out, or there are no
            keypoints to evaluate
    """
    ensure_sizes(samples, progress)
    masks = settings.iou_type == "segm"
    of_truth: dict[str, type] = {"area": float, "iscrowd": float, "coco_id": str}
    of_truth["rle"] = str
    of_predictions: dict[str, type] = {"confidence": float}
    if masks:
        of_predictions["rle"] = str
    elif settings.iou_type == "keypoints":
        of_truth |= {"keypoints": list, "num_keypoints": float}
        of_predictions["keypoints"] = list
    columns = read_columns(
        samples, {gt_field: of_truth, pred_field: of_predictions}, progress=progress
    )
    notes: list[str] = []
    image = _image_order(columns.coco_id, notes)
    classes = class_names(samples, gt_field, *columns.labels.values())
    truth, predictions = (
        read_objects(samples, field, columns, classes, notes, image=image, masks=masks)
        for field in (gt_field, pred_field)
    )
    labels = columns.labels[gt_field]
    if settings.iou_type == "keypoints":
        truth, predictions = _with_keypoints(
            (gt_field, truth, labels),
            (pred_field, predictions, columns.labels[pred_field]),
            classes,
            settings,
            notes,
        )
    bare = {field: of.without_values() for field, of in columns.labels.items()}
    return Inputs(
        columns=replace(columns, labels=bare),
        image=image,
        classes=classes,
        truth=truth,
        predictions=predictions,
        pred_field=pred_field,
        gt_field=gt_field,
        annotation_ids=labels.texts["coco_id"][truth.rows],
        mask_area=_mask_areas(truth, labels, columns.size),
        notes=notes,
    )


# A label field, its objects, and its columns
_Side = tuple[str, FieldObjects, LabelColumns]


def _with_keypoints(
    truth: _Side,
    predictions: _Side,
    classes: Sequence[str],
    settings: Settings,
    notes: list[str],
) -> tuple[FieldObjects, FieldObjects]:
    """The objects with the keypoints of their labels.

    Raises:
        CocoAuditError: if one side has no keypoints, or they cannot be compared
    """
    read = _triples(*truth), _triples(*predictions)
    sigmas = keypoint_sigmas(*read, classes, settings)
    field, objects, labels = truth
    number = labels.numbers["num_keypoints"][objects.rows]
    of_truth = true_keypoints(read[0], sigmas, number)
    ignored = (of_truth.number == 0) & ~objects.objects.crowd
    if ignored.any():
        notes.append(
            f"{counted_labels(int(ignored.sum()), field)} no labeled keypoints: "
            "ignored, as COCO does, and so are predictions that match them."
        )
    found_field, found, _ = predictions
    of_predictions, usable = predicted_keypoints(read[1], sigmas)
    if not usable.all():
        notes.append(
            f"{counted_labels(int((~usable).sum()), found_field)} no keypoints, or not "
            "as many as the objects of the class: left out."
        )
    kept = np.flatnonzero(usable)
    return (
        replace(objects, objects=replace(objects.objects, keypoints=of_truth)),
        replace(
            found,
            objects=replace(found.objects, keypoints=of_predictions).rows(kept),
            rows=found.rows[kept],
            ids=found.ids[kept],
        ),
    )


def _triples(field: str, objects: FieldObjects, labels: LabelColumns) -> Triples:
    """The keypoints of the objects of a field.

    Raises:
        CocoAuditError: if they are not numbers, or none has any
    """
    lists = labels.texts["keypoints"][objects.rows].tolist()
    try:
        triples = read_triples(lists, objects.objects.category)
    except ValueError:
        raise CocoAuditError(
            f"The attribute 'keypoints' of the labels in {field!r} is not a list of "
            "numbers on every label: make it [x, y, v, x, y, v, ...] in pixels, or "
            "remove it"
        ) from None
    if len(lists) and not triples.number.any():
        raise CocoAuditError(
            f"No label in {field!r} has keypoints: import a COCO file whose records "
            "have `keypoints`, or set that attribute to [x, y, v, x, y, v, ...] in "
            "pixels"
        )
    return triples


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
