"""Reads a label field for every job: objects in columns, and the assumptions made."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.columns import LabelColumns, SampleColumns, pixel_boxes
from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.fiftyone_internals import root_dataset
from fiftyone_coco_audit.files import why_no_file
from fiftyone_coco_audit.masks import read_label_masks
from fiftyone_coco_audit.objects import RLE, Objects
from fiftyone_coco_audit.progress import Progress, drawn_alone, staged
from fiftyone_coco_audit.rle import mask_areas
from fiftyone_coco_audit.wording import counted

if TYPE_CHECKING:
    import fiftyone as fo


@dataclass(frozen=True, repr=False)
class FieldObjects(ShortRepr):
    """The usable objects of one label field.

    Attributes:
        objects: the objects, ordered by image
        rows: ``(N,)`` row of each object in the columns of the labels
        ids: ``(N,)`` id of the label of each object, as text
        num_labels: the number of labels, usable or not
        boxed: ``(N,)`` whether each mask is the box for want of one; None where no
            masks were read
    """

    objects: Objects
    rows: NDArray[np.int64]
    ids: NDArray[np.object_]
    num_labels: int
    boxed: NDArray[np.bool_] | None = None


def ensure_sizes(
    samples: fo.SampleCollection, progress: Progress, *, required: bool = True
) -> None:
    """Finds out the sizes of images whose metadata do not say them, or say 0.

    Args:
        samples: a dataset or a view
        progress: whether to show a progress bar
        required: whether images must have a size; else those that cannot be read have
            none

    Raises:
        CocoAuditError: if the size of an image cannot be found out
    """
    if samples.media_type not in (None, "image"):
        raise CocoAuditError(
            f"Dataset {root_dataset(samples).name!r} has samples of type "
            f"{samples.media_type}: only images can be audited"
        )
    # A missing value is not greater than 0 either
    sizes_known = {"metadata.width": {"$gt": 0}, "metadata.height": {"$gt": 0}}
    unknown = samples.match({"$nor": [sizes_known]})
    if not len(unknown):
        return
    ids, filepaths, metadata = unknown.values(["id", "filepath", "metadata"])
    before = dict(zip(ids, metadata, strict=True))
    # FiftyOne would wait for ever at a named pipe
    no_files = [n for n, path in enumerate(filepaths) if why_no_file(path) is not None]
    if len(no_files) < len(ids):
        files = unknown.exclude([ids[n] for n in no_files]) if no_files else unknown
        with drawn_alone(staged(progress, "Reading sizes of images")) as shown:
            files.compute_metadata(overwrite=True, progress=shown, skip_failures=True)
    still_unknown, paths = unknown.values(["id", "filepath"])
    # FiftyOne removes the metadata of files that cannot be read
    lost = {id_: before[id_] for id_ in still_unknown if before.get(id_) is not None}
    if lost:
        root_dataset(samples).set_values("metadata", lost, key_field="id")
    if required and still_unknown:
        first, *_ = paths
        reason = why_no_file(first) or "it is broken"
        raise CocoAuditError(
            f"The size of {counted(len(still_unknown), 'image')} is unknown, because "
            f"the file cannot be read (the first is {first}: {reason}): put the files "
            "in place, set the width and height in the metadata of these samples, or "
            f"leave them out with samples.match({sizes_known})"
        )


def class_names(
    samples: fo.SampleCollection, field: str, *sides: LabelColumns
) -> list[str]:
    """The dataset's classes, then those that only occur."""
    declared = samples.classes.get(field) or samples.default_classes or []
    known = dict.fromkeys(declared)
    for labels in sides:
        known.update(dict.fromkeys(sorted({n for n in labels.label if n is not None})))
    return list(known)


def parent_classes(samples: fo.SampleCollection) -> list[str]:
    """The classes of a dataset that only group others, as its import has found."""
    info = root_dataset(samples).info.get("coco_audit", {})
    return list(info.get("parents", ()))


def imported_categories(samples: fo.SampleCollection) -> list[dict[str, Any]] | None:
    """The categories of the COCO file that a dataset is from, None if it is from none.

    They are kept as text. FiftyOne walks through all that ``info`` holds whenever it
    loads or saves a dataset, which takes seconds for thousands of records.
    """
    info = root_dataset(samples).info.get("coco_audit", {})
    stored = info.get("categories")
    return None if stored is None else json.loads(stored)


def read_objects(
    samples: fo.SampleCollection,
    field: str,
    columns: SampleColumns,
    classes: Sequence[str],
    notes: list[str],
    *,
    image: NDArray[np.int64] | None = None,
    masks: bool = False,
) -> FieldObjects:
    """Turns the labels of a field into objects, and notes what had to be assumed.

    Args:
        samples: the samples that the columns were read from
        field: the label field
        columns: the columns; ``area``, ``iscrowd``, ``confidence`` and ``rle`` are
            used as far as they were read
        classes: names of the classes
        notes: gets a sentence on each assumption
        image: ``(M,)`` position of each sample among the images, by default its own
        masks: whether to read masks

    Returns:
        a :class:`FieldObjects`
    """
    labels = columns.labels[field]
    place = np.arange(len(columns)) if image is None else image
    position: dict[str | None, int] = {name: n for n, name in enumerate(classes)}
    category = np.array([position.get(name, -1) for name in labels.label], np.int64)
    usable = (category >= 0) & np.isfinite(labels.box).all(axis=1)
    if not usable.all():
        notes.append(
            f"{counted_labels(int((~usable).sum()), field)} no class or no box: left "
            "out."
        )
    rows = np.flatnonzero(usable)
    rows = rows[np.argsort(place[labels.sample[rows]], kind="stable")]
    sample = labels.sample[rows]
    box = pixel_boxes(labels.box[rows], columns.size[sample])
    encoded = boxed = None
    if masks:
        encoded, boxed = read_label_masks(samples, field, columns, rows, box)
        if boxed.any():
            notes.append(
                f"{counted_labels(int(boxed.sum()), field)} no mask: the box is used."
            )
    return FieldObjects(
        objects=Objects(
            image=place[sample],
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
        boxed=boxed,
    )


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
            f"{counted_labels(int(unknown.sum()), field)} no area: that of the {of} is "
            "used."
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
            f"{counted_labels(int(unknown.sum()), field, 'prediction')} no confidence: "
            "ranked last."
        )
    return np.where(unknown, -np.inf, scores)


def counted_labels(count: int, field: str, noun: str = "label") -> str:
    """The number of labels of a field, as the start of a sentence."""
    return f"{counted(count, noun)} in {field!r} {'has' if count == 1 else 'have'}"
