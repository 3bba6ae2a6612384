"""A copy of the ground truth in which label issues are put right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.coco.schema import check_label_field
from fiftyone_coco_audit.columns import read_columns
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.evaluation.analysis.label_issues import KINDS, LabelIssues
from fiftyone_coco_audit.evaluation.copying import copied_fields, copied_labels
from fiftyone_coco_audit.evaluation.verdicts import FUNCTION
from fiftyone_coco_audit.fields import FieldSpec, check_writable, foreign_field
from fiftyone_coco_audit.fiftyone_internals import aggregate, root_dataset, run_ids
from fiftyone_coco_audit.progress import Progress
from fiftyone_coco_audit.storage.publishing import publish_values
from fiftyone_coco_audit.storage.writes import Changes

if TYPE_CHECKING:
    import fiftyone as fo

    from fiftyone_coco_audit.evaluation.results import CocoResults

#: The field of a copy, unless another is chosen
REVIEWED_FIELD = "ground_truth_reviewed"

#: The attribute of labels that says what was put right
CHANGE = "label_review"

# What a label takes from a prediction in whose place it is
_GEOMETRY = "bounding_box", "mask", "rle"

_Label = dict[str, Any]


def check_run(dataset: fo.Dataset, results: CocoResults) -> None:
    """Checks that an evaluation is still the one that results are of.

    Raises:
        CocoAuditError: if it is not
    """
    if run_ids(dataset, "evaluations").get(results.key) != results.run_id:
        raise CocoAuditError(
            f"Evaluation {results.key!r} of dataset {dataset.name!r} was replaced, "
            "renamed or deleted since its labels were reviewed: call review_labels() "
            "again"
        )


def check_copy(dataset: fo.Dataset, results: CocoResults, field: str) -> None:
    """Checks that a field is free for a copy, or holds an earlier one.

    Raises:
        CocoAuditError: if it does not
    """
    check_label_field(field)
    config = results.config
    if (
        field in (config.pred_field, config.gt_field)
        or foreign_field(dataset, [field], FUNCTION) is not None
    ):
        raise CocoAuditError(
            f"Dataset {dataset.name!r} already has a field {field!r}, which is not a "
            "reviewed copy and would be lost: choose another field"
        )
    check_writable(dataset, [field], FUNCTION)


def write_copy(
    results: CocoResults,
    issues: LabelIssues,
    accepted: NDArray[np.int64],
    area: NDArray[np.float64],
    field: str,
    progress: Progress,
) -> None:
    """Writes the copy: all of it, or nothing.

    Args:
        results: the evaluation
        issues: its label issues
        accepted: positions of those that are put right
        area: ``(D,)`` areas of the predictions as they are evaluated
        field: the field for the copy
        progress: whether to show progress bars

    Raises:
        CocoAuditError: if it cannot be written
    """
    dataset, config = root_dataset(results.samples), results.config
    samples = results.opened_in
    columns = read_columns(samples, {config.gt_field: {}}, progress=progress)
    about = f"{config.gt_field!r} with the accepted label issues of {results.key!r}"
    specs, derived = copied_fields(dataset, config.gt_field, field, about)
    said = "The kind of issue that was put right in this label"
    own = [
        FieldSpec(f"{field}.detections.{CHANGE}", "str", said),
        FieldSpec(f"{field}.detections.area", "float", "Area in square pixels"),
    ]
    known = {spec.path for spec in specs}
    specs += [spec for spec in own if spec.path not in known]

    labels = copied_labels(samples, config.gt_field, derived)
    ids = columns.labels[config.gt_field].ids.tolist()
    predictions = _documents(
        samples, config.pred_field, issues.sample_ids[accepted].tolist()
    )
    _put_right(
        dict(zip(map(str, columns.ids), labels, strict=True)),
        dict(zip(ids, chain.from_iterable(labels), strict=True)),
        predictions,
        issues,
        accepted,
        area,
        masks=results.evaluation.settings.iou_type == "segm",
    )

    def changes(fresh: fo.Dataset) -> Changes:
        check_run(fresh, results)
        check_copy(fresh, results, field)
        deleted = (field,) if fresh.has_field(field) else ()
        return Changes(FUNCTION, fields=tuple(specs), deleted=deleted)

    documents = [{"_cls": "Detections", "detections": some} for some in labels]
    publish_values(samples, columns, {field: documents}, {}, changes, progress=progress)


def _put_right(
    labels_of: Mapping[str, list[_Label]],
    label_of: Mapping[str, _Label],
    predictions: Mapping[str, _Label],
    issues: LabelIssues,
    accepted: NDArray[np.int64],
    area: NDArray[np.float64],
    *,
    masks: bool,
) -> None:
    """Puts issues right in documents of labels.

    Args:
        labels_of: the labels by sample, which are changed
        label_of: the same labels by the id of what they are a copy of
        predictions: the predictions by id
        issues: the issues
        accepted: positions of those to put right
        area: ``(D,)`` areas of the predictions
        masks: whether masks follow boxes
    """
    classes, kinds = issues.rows.classes, list(KINDS)
    geometry = _GEOMETRY if masks else _GEOMETRY[:1]
    for sample, prediction_id, label_id, kind, predicted, row in zip(
        issues.sample_ids[accepted].tolist(),
        issues.prediction_ids[accepted].tolist(),
        issues.label_ids[accepted].tolist(),
        [kinds[kind] for kind in issues.kind[accepted].tolist()],
        [classes[category] for category in issues.predicted_class[accepted].tolist()],
        issues.prediction[accepted].tolist(),
        strict=True,
    ):
        if kind == "unlabeled image":
            continue
        if kind == "duplicate label":
            labels_of[sample].remove(label_of[label_id])
            continue
        if kind == "missing label":
            label = _empty_label()
            labels_of[sample].append(label)
        else:
            label = label_of[label_id]
        label[CHANGE] = kind
        if kind != "bad location":
            label["label"] = predicted
        if kind != "wrong class":
            for name in _GEOMETRY:
                label.pop(name, None)
            prediction = predictions[prediction_id]
            label.update({k: prediction[k] for k in geometry if k in prediction})
            label["area"] = float(area[row])


def _documents(
    samples: fo.SampleCollection, field: str, sample_ids: Iterable[str]
) -> dict[str, _Label]:
    """The documents of all labels of some samples, by id."""
    found = aggregate(
        samples.select(sorted(set(sample_ids))),
        [{"$project": {"labels": f"${field}.detections"}}],
    )
    return {
        str(label["_id"]): label
        for document in found
        for label in document.get("labels") or ()
    }


def _empty_label() -> _Label:
    from bson import ObjectId

    return {
        "_id": ObjectId(),
        "_cls": "Detection",
        "attributes": {},
        "tags": [],
    }
