"""What an evaluation takes from a dataset: objects in columns, images in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.columns import (
    LabelColumns,
    Progress,
    SampleColumns,
    pixel_boxes,
    read_columns,
)
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.evaluation.overlaps import mask_areas
from fiftyone_coco_audit.evaluation.settings import Settings
from fiftyone_coco_audit.masks import read_masks
from fiftyone_coco_audit.objects import RLE, Objects

if TYPE_CHECKING:
    import fiftyone as fo


@dataclass(frozen=True)
class Side:
    """The usable objects of one label field.

    Attributes:
        objects: the objects, images in the order of the evaluation
        rows: ``(N,)`` row of each object in the columns of the labels
        ids: ``(N,)`` id of the label of each object, as text
        num_labels: the number of labels, usable or not
    """

    objects: Objects
    rows: NDArray[np.int64]
    ids: NDArray[np.object_]
    num_labels: int


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
        notes: sentences on how the data was understood
    """

    columns: SampleColumns
    image: NDArray[np.int64]
    classes: list[str]
    truth: Side
    predictions: Side
    pred_field: str
    gt_field: str
    notes: list[str]


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
    _ensure_sizes(samples, progress)
    masks: dict[str, type] = {"rle": str} if settings.iou_type == "segm" else {}
    columns = read_columns(
        samples,
        {
            gt_field: {"area": float, "iscrowd": float, **masks},
            pred_field: {"confidence": float, **masks},
        },
        progress=progress,
    )
    notes: list[str] = []
    image = _image_order(columns.coco_id, notes)
    classes = _classes(samples, gt_field, *columns.labels.values())
    position = {name: place for place, name in enumerate(classes)}

    def side(field: str, labels: LabelColumns) -> Side:
        category = np.array(
            [-1 if name is None else position[name] for name in labels.label], np.int64
        )
        usable = (category >= 0) & np.isfinite(labels.box).all(axis=1)
        if not usable.all():
            notes.append(
                f"{(~usable).sum():,} labels in {field!r} have no class or no box, "
                "and take no part."
            )
        rows = np.flatnonzero(usable)
        rows = rows[np.argsort(image[labels.sample[rows]], kind="stable")]
        sample = labels.sample[rows]
        box = pixel_boxes(labels.box[rows], columns.size[sample])
        encoded = None
        if masks:
            encoded, boxes = read_masks(samples, field, columns, rows, box)
            if boxes:
                notes.append(
                    f"{boxes:,} labels in {field!r} have no mask: their box is used."
                )
        return Side(
            objects=Objects(
                image=image[sample],
                category=category[rows],
                box=box,
                area=_areas(field, labels, rows, box, encoded, notes),
                crowd=_crowd(labels, rows),
                score=_scores(field, labels, rows, notes),
                masks=encoded,
            ),
            rows=rows,
            ids=labels.ids[rows],
            num_labels=len(labels),
        )

    truth, predictions = (
        side(field, columns.labels[field]) for field in (gt_field, pred_field)
    )
    bare = {field: labels.without_values() for field, labels in columns.labels.items()}
    return Inputs(
        columns=replace(columns, labels=bare),
        image=image,
        classes=classes,
        truth=truth,
        predictions=predictions,
        pred_field=pred_field,
        gt_field=gt_field,
        notes=notes,
    )


def _ensure_sizes(samples: fo.SampleCollection, progress: Progress) -> None:
    unknown = samples.exists("metadata.width", False)
    if not len(unknown):
        return
    unknown.compute_metadata(progress=progress, skip_failures=True)
    unknown = samples.exists("metadata.width", False)
    if len(unknown):
        raise CocoAuditError(
            f"The size of {len(unknown):,} images is not known and their files cannot "
            f"be read (the first is {unknown.first().filepath}): put the files there, "
            "or leave these samples out with samples.exists('metadata.width')"
        )


def _image_order(
    coco_id: Sequence[int | str | None], notes: list[str]
) -> NDArray[np.int64]:
    """The place of each sample by COCO id, which decides between equal scores."""
    order = list(range(len(coco_id)))
    if any(value is None for value in coco_id):
        notes.append(
            "Not all samples have a coco_id: where predictions of two images have "
            "the same score, the order of the samples decides."
        )
    elif all(isinstance(value, int) for value in coco_id):
        order = np.argsort(np.array(coco_id, np.int64), kind="stable").tolist()
    else:
        order.sort(key=lambda sample: str(coco_id[sample]))
    image = np.empty(len(coco_id), np.int64)
    image[np.array(order, np.int64)] = np.arange(len(coco_id))
    return image


def _classes(
    samples: fo.SampleCollection, gt_field: str, *sides: LabelColumns
) -> list[str]:
    """The dataset's classes, then those that only occur."""
    declared = samples.classes.get(gt_field) or samples.default_classes or []
    known = dict.fromkeys(declared)
    for labels in sides:
        known.update(dict.fromkeys(sorted({n for n in labels.label if n is not None})))
    return list(known)


def _areas(
    field: str,
    labels: LabelColumns,
    rows: NDArray[np.int64],
    box: NDArray[np.float64],
    masks: Sequence[RLE] | None,
    notes: list[str],
) -> NDArray[np.float64]:
    """Areas by the labels' own ``area``; of predictions, by mask or box, as COCO."""
    measured = mask_areas(masks) if masks is not None else box[:, 2] * box[:, 3]
    if "area" not in labels.numbers:
        return measured
    given = labels.numbers["area"][rows]
    unknown = np.isnan(given)
    if unknown.any():
        of = "mask" if masks is not None else "box"
        notes.append(
            f"{unknown.sum():,} labels in {field!r} have no area: that of their {of} "
            "is used."
        )
    return np.where(unknown, measured, given)


def _crowd(labels: LabelColumns, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    if "iscrowd" not in labels.numbers:
        return np.zeros(len(rows), dtype=bool)
    return np.nan_to_num(labels.numbers["iscrowd"][rows]) != 0


def _scores(
    field: str, labels: LabelColumns, rows: NDArray[np.int64], notes: list[str]
) -> NDArray[np.float64] | None:
    if "confidence" not in labels.numbers:
        return None
    scores = labels.numbers["confidence"][rows]
    unknown = np.isnan(scores)
    if unknown.any():
        notes.append(
            f"{unknown.sum():,} predictions in {field!r} have no confidence: they are "
            "ranked last."
        )
    return np.where(unknown, -np.inf, scores)
