"""The fields that an evaluation writes: their names, types and descriptions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from fiftyone_coco_audit import fields
from fiftyone_coco_audit.coco.schema import keypoints_field, reserved_attributes
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.fields import FieldSpec, Kind
from fiftyone_coco_audit.names import check_field_name

if TYPE_CHECKING:
    import fiftyone as fo

# suffix of the evaluation key: (FiftyOne field type, description)
_SAMPLE_FIELDS: dict[str, tuple[Kind, str]] = {
    "_ap": ("float", "COCO AP of this image alone; null without ground truth"),
    "_ap50": ("float", "COCO AP50 of this image alone; null without ground truth"),
    "_ap75": ("float", "COCO AP75 of this image alone; null without ground truth"),
    "_ap_pooled": (
        "float",
        "AP of this image with all classes ranked together, so that hallucinated "
        "classes lower it; defined for every image",
    ),
    "_precision": ("float", "Precision of this image at score >= {score}"),
    "_recall": ("float", "Recall of this image at score >= {score}"),
    "_f1": ("float", "F1 of this image at score >= {score}"),
    "_tp": ("int", "True positives at {overlap}, whatever their score"),
    "_fp": ("int", "False positives at {overlap}, whatever their score"),
    "_fn": ("int", "Objects that no prediction matches at {overlap}"),
    "_status": ("str", "ok, no ground truth, no predictions, or empty (neither)"),
}
# What is written on request, after the evaluation
INFLUENCE = "_influence"
_LATER_FIELDS: dict[str, tuple[Kind, str]] = {
    INFLUENCE: (
        "float",
        "How much AP would rise if this image were left out; positive if it pulls AP "
        "down",
    ),
}
#: The attribute of labels that ``save_outcomes`` writes
OUTCOME = "_outcome"
_LATER_LABEL_FIELDS: dict[str, tuple[Kind, str]] = {
    OUTCOME: (
        "str",
        "tp, fp or fn at IoU {iou} and score >= {score}; null where COCO ignores the "
        "label, or its score is lower",
    ),
}
_LABEL_FIELDS: dict[str, tuple[Kind, str]] = {
    "": ("str", "tp, fp or fn at {overlap}; null where COCO ignores the label"),
    "_id": ("str", "The label that this one was matched to"),
    "_iou": ("float", "The overlap with the label that this one was matched to"),
    "_error": ("str", "The type of error, based on TIDE"),
}

# FiftyOne itself renames and deletes these, like those of its own evaluations
_STOCK = {"_tp", "_fp", "_fn"}, {"", "_id", "_iou"}

#: The function that the fields belong to
FUNCTION = "evaluate"


def additional_fields(eval_key: str, pred_field: str, gt_field: str) -> list[str]:
    """The fields of an evaluation that FiftyOne's own evaluations do not have.

    Those that are written on request need not be there.
    """
    stock_samples, stock_labels = _STOCK
    return (
        [
            f"{eval_key}{suffix}"
            for suffix in (*_SAMPLE_FIELDS, *_LATER_FIELDS)
            if suffix not in stock_samples
        ]
        + [
            f"{field}.detections.{eval_key}{suffix}"
            for field in (pred_field, gt_field)
            for suffix in (*_LABEL_FIELDS, *_LATER_LABEL_FIELDS)
            if suffix not in stock_labels
        ]
        + [path for path, _, _ in _of_poses(eval_key, (pred_field, gt_field))]
    )


def rename_additional_fields(
    dataset: fo.Dataset,
    eval_key: str,
    new_eval_key: str,
    pred_field: str,
    gt_field: str,
) -> None:
    """Renames :func:`additional_fields`, as far as there are any."""
    paths = zip(
        additional_fields(eval_key, pred_field, gt_field),
        additional_fields(new_eval_key, pred_field, gt_field),
        strict=True,
    )
    mapping = {old: new for old, new in paths if dataset.get_field(old) is not None}
    if mapping:
        dataset.rename_sample_fields(mapping)


def sample_fields(eval_key: str) -> list[str]:
    """The fields of samples of an evaluation."""
    return [f"{eval_key}{suffix}" for suffix in (*_SAMPLE_FIELDS, *_LATER_FIELDS)]


def label_attributes(eval_key: str) -> list[str]:
    """The attributes of labels of an evaluation."""
    return [f"{eval_key}{suffix}" for suffix in (*_LABEL_FIELDS, *_LATER_LABEL_FIELDS)]


def all_fields(eval_key: str, pred_field: str, gt_field: str) -> list[str]:
    """The paths of all fields of an evaluation, also of those that it may not have."""
    both = pred_field, gt_field
    written = [path for path, _, _ in _declarations(eval_key, *both, posed=())]
    return [*written, *optional_fields(eval_key, *both)]


def optional_fields(eval_key: str, pred_field: str, gt_field: str) -> list[str]:
    """The paths of the fields that an evaluation may have."""
    both = pred_field, gt_field
    return [
        *(path for path, _, _ in _of_poses(eval_key, both)),
        *(f"{eval_key}{suffix}" for suffix in _LATER_FIELDS),
        *(spec.path for spec in outcome_specs(eval_key, *both)),
    ]


def specs(
    eval_key: str,
    pred_field: str,
    gt_field: str,
    *,
    overlap: str,
    score: float,
    posed: Iterable[str] = (),
) -> tuple[FieldSpec, ...]:
    """The fields that an evaluation writes at once.

    Args:
        eval_key: the evaluation key
        pred_field: the field of the predictions
        gt_field: the field of the ground truth
        overlap: the threshold of true positives, such as ``"IoU 0.5"``
        score: the minimum score of precision, recall and F1
        posed: those of the fields whose keypoints get the same attributes
    """
    return tuple(
        FieldSpec(path, kind, text.format(overlap=overlap, score=f"{score:g}"))
        for path, kind, text in _declarations(
            eval_key, pred_field, gt_field, posed=posed
        )
    )


def influence_spec(eval_key: str) -> FieldSpec:
    """The field of the influence of images, which is written on request."""
    return FieldSpec(f"{eval_key}{INFLUENCE}", *_LATER_FIELDS[INFLUENCE])


def outcome_specs(
    eval_key: str, pred_field: str, gt_field: str, *, iou: float = 0, score: float = 0
) -> tuple[FieldSpec, ...]:
    """The attributes of outcomes at a threshold, which are written on request.

    Args:
        eval_key: the evaluation key
        pred_field: the field of the predictions
        gt_field: the field of the ground truth
        iou: the IoU that finds an object
        score: the least score of a prediction
    """
    kind, text = _LATER_LABEL_FIELDS[OUTCOME]
    return tuple(
        FieldSpec(
            f"{field}.detections.{eval_key}{OUTCOME}",
            kind,
            text.format(iou=f"{iou:g}", score=f"{score:g}"),
        )
        for field in (pred_field, gt_field)
    )


def check_names_are_free(
    dataset: fo.Dataset, eval_key: str, pred_field: str, gt_field: str
) -> None:
    """Checks that an evaluation would write only into its own fields.

    Raises:
        CocoAuditError: if it would not
    """
    check_field_name(pred_field, "label field")
    check_field_name(gt_field, "label field")
    _check_key(eval_key)
    for other in dataset.list_evaluations():
        if other != eval_key and _share_names(other, eval_key):
            raise CocoAuditError(
                f"An evaluation under the key {eval_key!r} would have fields with the "
                f"same names as those of evaluation {other!r}: choose another eval_key"
            )
    paths = all_fields(eval_key, pred_field, gt_field)
    labels = pred_field, gt_field, *(f"{f}.detections" for f in (pred_field, gt_field))
    fields.check_writable(dataset, [*labels, *paths], FUNCTION)
    own = _fields_to_replace(dataset, eval_key)
    path = fields.foreign_field(
        dataset, [path for path in paths if path not in own], FUNCTION
    )
    if path is not None:
        raise CocoAuditError(
            f"Dataset {dataset.name!r} already has a field {path!r}, which an "
            f"evaluation under the key {eval_key!r} would overwrite: choose another "
            "eval_key, or rename that field"
        )


def _check_key(eval_key: Any) -> None:
    """Checks that a key is a valid name whose fields do not collide with others."""
    import fiftyone as fo

    if not isinstance(eval_key, str) or not eval_key.isidentifier():
        raise CocoAuditError(
            f"eval_key is {eval_key!r}, but must be a valid Python name, such as 'eval'"
        )
    check_field_name(eval_key, "eval_key")
    of_samples, of_labels = _names(eval_key)
    taken = of_samples & set(dir(fo.Sample)) or of_labels & reserved_attributes()
    if taken:
        name = min(taken)
        raise CocoAuditError(
            f"The eval_key cannot be {eval_key!r}, because FiftyOne or this package "
            f"already uses {name!r}; choose another one"
        )


def _names(eval_key: str) -> tuple[set[str], set[str]]:
    """The names of the fields of samples and of the attributes of labels."""
    return set(sample_fields(eval_key)), set(label_attributes(eval_key))


def _share_names(eval_key: str, other_key: str) -> bool:
    pairs = zip(_names(eval_key), _names(other_key), strict=True)
    return any(mine & others for mine, others in pairs)


def _fields_to_replace(dataset: fo.Dataset, eval_key: str) -> set[str]:
    """The fields of the evaluation under a key, whoever made it; none if none is there.

    Raises:
        CocoAuditError: if it is not one of detections
    """
    from fiftyone.utils.eval.detection import DetectionEvaluationConfig

    if eval_key not in dataset.list_evaluations():
        return set()
    config = dataset.get_evaluation_info(eval_key).config
    if not isinstance(config, DetectionEvaluationConfig):
        raise CocoAuditError(
            f"The evaluation {eval_key!r} of dataset {dataset.name!r} is not an "
            "evaluation of detections, so it is not replaced: choose another eval_key"
        )
    stock_samples, stock_labels = _STOCK
    return {
        *(f"{eval_key}{suffix}" for suffix in stock_samples),
        *(
            f"{field}.detections.{eval_key}{suffix}"
            for field in (config.pred_field, config.gt_field)
            for suffix in stock_labels
        ),
    }


def delete_evaluation_fields(
    dataset: fo.Dataset, eval_key: str, pred_field: str, gt_field: str
) -> None:
    """Deletes all fields of an evaluation, as far as there are any."""
    fields.delete_fields(dataset, all_fields(eval_key, pred_field, gt_field))


def _declarations(
    eval_key: str, pred_field: str, gt_field: str, *, posed: Iterable[str]
) -> Iterator[tuple[str, Kind, str]]:
    for suffix, (kind, description) in _SAMPLE_FIELDS.items():
        yield f"{eval_key}{suffix}", kind, description
    for field in (pred_field, gt_field):
        for suffix, (kind, description) in _LABEL_FIELDS.items():
            yield f"{field}.detections.{eval_key}{suffix}", kind, description
    yield from _of_poses(eval_key, posed)


def _of_poses(eval_key: str, fields: Iterable[str]) -> Iterator[tuple[str, Kind, str]]:
    """The attributes of the keypoints of some fields of detections."""
    for field in fields:
        for suffix, (kind, description) in _LABEL_FIELDS.items():
            path = f"{keypoints_field(field)}.keypoints.{eval_key}{suffix}"
            yield path, kind, description
