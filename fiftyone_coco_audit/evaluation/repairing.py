"""Predictions that do not fit, diagnosed in a dataset and repaired in a new field."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit import rle
from fiftyone_coco_audit.coco.addition import check_field_is_free, publish_predictions
from fiftyone_coco_audit.coco.report import ImportReport, load_report
from fiftyone_coco_audit.coco.rules import PREDICTIONS_DO_NOT_FIT
from fiftyone_coco_audit.coco.schema import check_label_field
from fiftyone_coco_audit.columns import batches, require_detections, require_samples
from fiftyone_coco_audit.database import database_errors_explained
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.evaluation.copying import copied_fields, copied_labels
from fiftyone_coco_audit.evaluation.inputs import Inputs, read_inputs
from fiftyone_coco_audit.evaluation.settings import Settings
from fiftyone_coco_audit.evaluation.views import showing_all_fields
from fiftyone_coco_audit.fiftyone_internals import root_dataset
from fiftyone_coco_audit.mapping.diagnosis import (
    ImageSet,
    MappingDiagnosis,
    diagnose_mapping,
)
from fiftyone_coco_audit.objects import Objects
from fiftyone_coco_audit.progress import Progress
from fiftyone_coco_audit.reading import imported_categories
from fiftyone_coco_audit.storage.exclusive import up_to_date

if TYPE_CHECKING:
    import fiftyone as fo

_FUNCTION = "repair_predictions"
_IMAGES_AT_ONCE = 500


@database_errors_explained()
def repair_predictions(
    samples: fo.SampleCollection,
    pred_field: str = "predictions",
    output_field: str = "predictions_repaired",
    gt_field: str = "ground_truth",
    *,
    overwrite: bool = False,
    progress: Progress = None,
) -> MappingDiagnosis:
    """Adds predictions as they were meant, as a new field.

    Wrong category ids, box formats, image ids and scores in percent are found by what
    fits the ground truth; the docstring of :mod:`.mapping.diagnosis` describes it.
    The given field is not changed, and what was computed of its labels is not copied.

    Args:
        samples: a dataset, or a view of whole images; other images get no predictions
        pred_field: the field of the predictions
        output_field: the field for the repaired predictions
        gt_field: the field of the ground truth
        overwrite: whether to replace a field of that name
        progress: whether to show a progress bar, as everywhere in FiftyOne

    Returns:
        a :class:`.MappingDiagnosis`, which says what was wrong

    Raises:
        CocoAuditError: if no other interpretation explains the predictions, or the
            fields do not allow it; nothing is written then
    """
    require_samples(samples)
    dataset = root_dataset(samples)
    up_to_date(dataset)
    for field in (pred_field, gt_field):
        require_detections(samples, field)
    check_label_field(output_field)
    if output_field in (pred_field, gt_field):
        raise CocoAuditError(
            f"output_field is {output_field!r}, the field of the predictions or the "
            "ground truth: choose a new field"
        )
    check_field_is_free(dataset, output_field, overwrite=overwrite)
    shown = showing_all_fields(samples)
    inputs = read_inputs(shown, pred_field, gt_field, Settings(), progress=progress)
    diagnosis = diagnose_inputs(samples, inputs)
    if diagnosis is None:
        raise CocoAuditError(
            f"Nothing was written: no other meaning of the classes, boxes, images or "
            f"scores in {pred_field!r} fits {gt_field!r} decisively better"
        )
    about = f"{pred_field!r}, repaired: {diagnosis}"
    # What the numbers of boxes mean says nothing about those of keypoints
    lost = {"keypoints"} if diagnosis.repair.box is not None else ()
    fields, derived = copied_fields(dataset, pred_field, output_field, about, lost)
    place = np.argsort(inputs.image)
    size = inputs.columns.size[place]
    rows, repaired = diagnosis.repair.apply(inputs.predictions.objects, size)
    labels = list(chain.from_iterable(copied_labels(shown, pred_field, derived)))
    read = [labels[row] for row in inputs.predictions.rows[rows].tolist()]
    moved = size[inputs.predictions.objects.image[rows]] != size[repaired.image]
    _change(read, repaired, inputs.classes, size[repaired.image], moved.any(axis=1))
    stops = np.searchsorted(repaired.image, inputs.image, side="right").tolist()
    starts = np.searchsorted(repaired.image, inputs.image, side="left").tolist()
    documents = (
        (
            str(id_),
            {output_field: {"_cls": "Detections", "detections": read[start:stop]}},
        )
        for id_, start, stop in zip(inputs.columns.ids, starts, stops, strict=True)
    )
    publish_predictions(
        dataset,
        output_field,
        fields,
        batches(documents, _IMAGES_AT_ONCE),
        _report(dataset, pred_field, output_field, len(read)),
        overwrite=overwrite,
        function=_FUNCTION,
    )
    return diagnosis


def _change(
    labels: Sequence[dict[str, Any]],
    repaired: Objects,
    classes: Sequence[str],
    size: NDArray[np.float64],
    resized: NDArray[np.bool_],
) -> None:
    """Writes what was repaired into documents of labels.

    A mask in ``rle`` is over its whole image, and is left out if that has another size.
    The App's ``mask`` is drawn anew from it, or else stays what it is within the box.

    Args:
        labels: ``N`` documents
        repaired: ``N`` predictions as they were meant
        classes: names of the classes
        size: ``(N, 2)`` width and height of the image of each
        resized: ``(N,)`` whether that image has another size than the given one
    """
    names = [classes[category] for category in repaired.category.tolist()]
    boxes = (repaired.box / np.tile(size, 2)).tolist()
    scores = repaired.scores.tolist()
    for label, name, box, score, lost in zip(
        labels, names, boxes, scores, resized.tolist(), strict=True
    ):
        label.update(label=name, bounding_box=box)
        if label.get("confidence") is not None:
            label["confidence"] = score
        if lost:
            label.pop("rle", None)
    drawable = rle.drawable(repaired.box).tolist()
    rows = [
        row for row, label in enumerate(labels) if label.get("rle") and drawable[row]
    ]
    texts = [labels[row]["rle"] for row in rows]
    crops = rle.crops(texts, size[rows].astype(np.int64), repaired.box[rows])
    for row, crop in zip(rows, crops, strict=True):
        labels[row]["mask"] = rle.pack(crop)


def _report(
    dataset: fo.Dataset, pred_field: str, output_field: str, count: int
) -> ImportReport:
    """What the import found in the predictions is true of the repaired ones, too.

    All but that they do not fit.
    """
    known = load_report(dataset) or ImportReport()
    problems = [p._replace(field=output_field) for p in known.problems]
    return ImportReport(
        predictions={output_field: count},
        problems=[
            new
            for new, old in zip(problems, known.problems, strict=True)
            if old.field == pred_field and old.code != PREDICTIONS_DO_NOT_FIT.code
        ],
    )


def diagnose_inputs(
    samples: fo.SampleCollection, inputs: Inputs
) -> MappingDiagnosis | None:
    """Finds out whether predictions would fit if they were read differently.

    Args:
        samples: the samples that were read
        inputs: their columns

    Returns:
        as :func:`.diagnose_mapping`
    """
    place, columns = np.argsort(inputs.image), inputs.columns
    paths = samples.values("filepath")
    images = ImageSet(
        size=columns.size[place],
        ids=[columns.coco_id[sample] for sample in place.tolist()],
        stems=[Path(paths[sample]).stem for sample in place.tolist()],
        order=place,
    )
    return diagnose_mapping(
        inputs.truth.objects,
        inputs.predictions.objects,
        images,
        inputs.classes,
        _category_ids(samples, inputs.classes),
    )


def _category_ids(
    samples: fo.SampleCollection, classes: Sequence[str]
) -> list[int] | None:
    """The ids of classes in the COCO file, None unless all are known whole numbers."""
    stored = imported_categories(samples) or root_dataset(samples).info.get(
        "categories"
    )
    records = stored if isinstance(stored, list) else []
    known = {c.get("name"): c.get("id") for c in records if isinstance(c, dict)}
    ids = [known.get(name) for name in classes]
    numbers = [id_ for id_ in ids if isinstance(id_, int)]
    return numbers if len(numbers) == len(ids) else None
