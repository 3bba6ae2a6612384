"""Evaluation of a FiftyOne dataset: read columns, compute, write columns."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import numpy as np

from fiftyone_coco_audit.coco.report import ImportReport, load_report
from fiftyone_coco_audit.coco.schema import keypoints_field, shows_keypoints
from fiftyone_coco_audit.columns import (
    require_detections,
    require_samples,
    require_some,
)
from fiftyone_coco_audit.database import database_errors_explained
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.evaluation.colors import colors_of_replaced
from fiftyone_coco_audit.evaluation.conditions import conditions, with_id_0
from fiftyone_coco_audit.evaluation.error_types import ErrorTypes, classify_errors
from fiftyone_coco_audit.evaluation.fields import (
    all_fields,
    check_names_are_free,
    specs,
)
from fiftyone_coco_audit.evaluation.import_notes import (
    has_new_ids,
    import_notes,
    set_aside,
)
from fiftyone_coco_audit.evaluation.inputs import Inputs, read_inputs
from fiftyone_coco_audit.evaluation.metrics import Evaluation, evaluate_objects
from fiftyone_coco_audit.evaluation.outputs import (
    image_frame,
    label_values,
    sample_values,
)
from fiftyone_coco_audit.evaluation.panel_notes import keep_user_note, show_in_panel
from fiftyone_coco_audit.evaluation.per_label import label_outcomes
from fiftyone_coco_audit.evaluation.provenance import Provenance, content_of
from fiftyone_coco_audit.evaluation.repairing import diagnose_inputs
from fiftyone_coco_audit.evaluation.settings import Settings
from fiftyone_coco_audit.evaluation.views import hidden_by_score, showing_all_fields
from fiftyone_coco_audit.fiftyone_internals import (
    cached_results,
    new_run_document,
    root_dataset,
    run_ids,
)
from fiftyone_coco_audit.mapping.diagnosis import (
    MappingDiagnosis,
    Repair,
    highest_in_percent,
)
from fiftyone_coco_audit.memory import garbage_collection_paused
from fiftyone_coco_audit.progress import Progress
from fiftyone_coco_audit.storage.exclusive import up_to_date
from fiftyone_coco_audit.storage.publishing import publish_values
from fiftyone_coco_audit.storage.writes import Changes

if TYPE_CHECKING:
    import fiftyone as fo

    from fiftyone_coco_audit.evaluation.results import CocoResults
    from fiftyone_coco_audit.fiftyone_internals import RunDocument

# Predictions that are not read as they were meant have an AP near 0. That of COCO's
# ids counted without gaps, which are right for the first 11 classes, is .06
_LOW_AP = 0.1

# Values of the fields of samples, and of those of labels by label field
_Values = tuple[dict[str, list[Any]], dict[str, dict[str, list[Any]]]]

logger = logging.getLogger(__name__)


@database_errors_explained()
def evaluate(
    samples: fo.SampleCollection,
    pred_field: str = "predictions",
    gt_field: str = "ground_truth",
    *,
    eval_key: str = "eval",
    iou_type: str = "bbox",
    iou_thresholds: Sequence[float] | None = None,
    max_detections: Sequence[int] | None = None,
    area_ranges: Mapping[str, Sequence[float]] | None = None,
    score_threshold: float = 0.5,
    sigmas: Sequence[float] | Mapping[str, Sequence[float]] | None = None,
    progress: Progress = None,
) -> CocoResults:
    """Evaluates detections exactly like pycocotools, and computes AP per image.

    The 12 numbers, or 10 of keypoints, equal those of ``pycocotools.cocoeval`` 2.0.11
    on the same data. The evaluation is saved under ``eval_key`` as a FiftyOne
    evaluation run, and these fields are written, all described in ``docs/fields.md``:

    -   on samples: ``{eval_key}_ap``, ``_ap50``, ``_ap75``, ``_ap_pooled``,
        ``_precision``, ``_recall``, ``_f1``, ``_tp``, ``_fp``, ``_fn``,
        ``_status``
    -   on labels: ``{eval_key}``, ``{eval_key}_id``, ``_iou``, ``_error``

    An evaluation with the same key is replaced when the new one is complete.

    Args:
        samples: a dataset, or a view of whole images; labels that the view
            hides are ignored
        pred_field: the field of the predicted detections
        gt_field: the field of the ground truth
        eval_key: the name of the evaluation, a valid Python name
        iou_type: ``"bbox"`` for boxes, ``"segm"`` for masks or ``"keypoints"`` for the
            attribute ``keypoints`` of the detections
        iou_thresholds: thresholds of IoU, or of OKS of keypoints; by default, COCO's
            .50:.05:.95. The lowest one separates true from false positives
        max_detections: limits on the detections per image and class; by default, 1, 10
            and 100, or 20 of keypoints. AP uses the highest
        area_ranges: minimum and maximum area in square pixels by name; by default,
            COCO's small, medium and large, of keypoints only medium and large.
            ``"all"`` limits every metric
        score_threshold: the minimum score of a prediction for the precision,
            recall and F1 of an image
        sigmas: how far each keypoint may be off, as COCO defines it, for all classes or
            by class; by default, COCO's for the 17 keypoints of a person
        progress: whether to show progress bars, as everywhere in FiftyOne

    Returns:
        a :class:`fiftyone_coco_audit.evaluation.results.CocoResults`

    Raises:
        CocoAuditError: if the arguments or the data do not allow it; nothing is
            written then
    """
    settings = Settings.parse(
        iou_type=iou_type,
        iou_thresholds=iou_thresholds,
        max_detections=max_detections,
        area_ranges=area_ranges,
        score_threshold=score_threshold,
        sigmas=sigmas,
    )
    replaced = _check(samples, pred_field, gt_field, eval_key)
    with garbage_collection_paused():
        logger.info("Reading labels...")
        shown = showing_all_fields(samples)
        inputs = read_inputs(shown, pred_field, gt_field, settings, progress=progress)
        values, results = compute_results(samples, inputs, eval_key, settings)
        logger.info("Writing results...")
        _publish(shown, inputs, values, results, replaced, progress)
    cached_results(root_dataset(samples), "evaluations")[eval_key] = results
    return results


def _check(
    samples: fo.SampleCollection, pred_field: str, gt_field: str, eval_key: str
) -> Any:
    """Checks the data, and gives the id of the run that is to be replaced, if any."""
    require_samples(samples)
    dataset = root_dataset(samples)
    up_to_date(dataset)
    for field in (pred_field, gt_field):
        require_detections(samples, field)
    if pred_field == gt_field:
        raise CocoAuditError(
            f"pred_field and gt_field are both {gt_field!r}: choose two different "
            "fields"
        )
    check_names_are_free(dataset, eval_key, pred_field, gt_field)
    return run_ids(dataset, "evaluations").get(eval_key)


def compute_results(
    samples: fo.SampleCollection, inputs: Inputs, eval_key: str, settings: Settings
) -> tuple[_Values, CocoResults]:
    """Evaluates what was read.

    Args:
        samples: the dataset or view
        inputs: its columns
        eval_key: the name of the evaluation
        settings: the parameters

    Returns:
        a tuple of the values of fields, and the results
    """
    from fiftyone_coco_audit.evaluation.results import build_results, run_config

    require_some(inputs.columns, "evaluate")
    evaluation = evaluate_objects(
        inputs.truth.objects,
        inputs.predictions.objects,
        num_images=len(inputs.columns),
        num_categories=len(inputs.classes),
        settings=settings,
    )
    errors = classify_errors(evaluation)
    of_samples = sample_values(evaluation, inputs.image)
    outcomes = label_outcomes(evaluation)
    of_labels = label_values(inputs, *outcomes, errors)
    report = load_report(root_dataset(samples)) or ImportReport()
    notes = _notes(samples, inputs, evaluation, errors, report)
    rows = inputs.evaluated_rows()
    results = build_results(
        samples,
        run_config(_provenance(samples, inputs, evaluation, report), notes),
        eval_key,
        evaluation,
        rows,
        outcomes,
        image_frame(
            rows, of_samples, samples.values("filepath"), inputs.columns.coco_id
        ),
    )
    return (of_samples, of_labels), results


def _publish(
    shown: fo.SampleCollection,
    inputs: Inputs,
    values: _Values,
    results: CocoResults,
    replaced: Any,
    progress: Progress,
) -> None:
    """Writes the fields and the run, and shows the notes in the App."""
    from fiftyone_coco_audit.evaluation.results import results_as_json

    of_samples, of_labels = values
    eval_key = results.key
    run = new_run_document(results.samples, eval_key, results.config)
    earlier: list[tuple[Any, Sequence[str]]] = []
    columns = inputs.columns
    labels = {
        field: {f"{eval_key}{suffix}": v for suffix, v in values.items()}
        for field, values in of_labels.items()
    }
    # Keypoints have the ids of their detections, and get the same values
    for field in _posed(results):
        pose = keypoints_field(field)
        labels[pose] = labels[field]
        columns = columns.with_labels(pose, columns.labels[field])
    publish_values(
        shown,
        columns,
        {f"{eval_key}{suffix}": values for suffix, values in of_samples.items()},
        labels,
        lambda fresh: _changes(fresh, results, run, replaced, earlier),
        run=(run, results_as_json(results)),
        progress=progress,
    )
    dataset = root_dataset(shown)
    results.run_id = run.id
    show_in_panel(dataset, run.id, results.notes)
    if earlier:
        old_run, old_notes = earlier[-1]
        keep_user_note(dataset, old_run, run.id, old_notes)


def _posed(results: CocoResults) -> list[str]:
    """The fields whose keypoints the App shows, if these were evaluated."""
    if results.evaluation.settings.iou_type != "keypoints":
        return []
    fields = results.config.pred_field, results.config.gt_field
    dataset = root_dataset(results.samples)
    return [field for field in fields if shows_keypoints(dataset, field)]


def _provenance(
    samples: fo.SampleCollection,
    inputs: Inputs,
    evaluation: Evaluation,
    report: ImportReport,
) -> Provenance:
    import fiftyone as fo

    import fiftyone_coco_audit

    id_0, are_unique = with_id_0(inputs.annotation_ids)
    if has_new_ids(report, inputs.gt_field):
        are_unique = False
    dataset = root_dataset(samples)
    return Provenance(
        dataset=dataset.name,
        view=samples is not dataset,
        pred_field=inputs.pred_field,
        gt_field=inputs.gt_field,
        content=content_of(evaluation),
        settings=evaluation.settings,
        set_aside=set_aside(report, inputs.gt_field, inputs.pred_field),
        id_0=tuple(inputs.truth.ids[id_0].tolist()) if are_unique else None,
        versions={
            "fiftyone_coco_audit": fiftyone_coco_audit.__version__,
            "fiftyone": fo.__version__,
            "numpy": np.__version__,
            "metrics of pycocotools": "2.0.11",
        },
        evaluated_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )


def _notes(
    samples: fo.SampleCollection,
    inputs: Inputs,
    evaluation: Evaluation,
    errors: ErrorTypes,
    report: ImportReport,
) -> list[str]:
    """Everything that the metrics leave out or depend on, from import to matching."""
    notes = import_notes(
        report,
        inputs.gt_field,
        inputs.pred_field,
        iou_type=evaluation.settings.iou_type,
        whole=len(inputs.columns) == len(root_dataset(samples)),
    )
    ids = inputs.annotation_ids
    if has_new_ids(report, inputs.gt_field):
        ids = np.full(len(ids), None)
    diagnosis = _diagnosis(samples, inputs, evaluation)
    of_data = conditions(
        evaluation,
        errors,
        inputs.classes,
        annotation_ids=ids,
        mask_area=inputs.mask_area,
        diagnosis=diagnosis,
    )
    of_mapping = _note_on_mapping(diagnosis, inputs)
    of_view = _note_on_view(samples, inputs.pred_field)
    return [*notes, *of_mapping, *of_data, *inputs.notes, *of_view]


def _diagnosis(
    samples: fo.SampleCollection, inputs: Inputs, evaluation: Evaluation
) -> MappingDiagnosis | None:
    """How predictions would fit, if they do not, and whether scores are in percent."""
    low = 0 <= evaluation.summary()["AP"] < _LOW_AP
    # Poses can be wrong where boxes, by which it is diagnosed, are right
    if low and evaluation.settings.iou_type != "keypoints":
        return diagnose_inputs(samples, inputs)
    highest = highest_in_percent(evaluation.predictions)
    if highest is None or evaluation.settings.score_threshold > 1:
        return None
    return MappingDiagnosis((), Repair(score=100), highest)


def _note_on_mapping(diagnosis: MappingDiagnosis | None, inputs: Inputs) -> list[str]:
    if diagnosis is None:
        return []
    return [f"{diagnosis} {diagnosis.advice(inputs.pred_field, inputs.gt_field)}"]


def _note_on_view(samples: fo.SampleCollection, pred_field: str) -> list[str]:
    """A note if the view is from worst_first() and leaves predictions out."""
    score = hidden_by_score(samples, pred_field)
    if score is None:
        return []
    return [
        f"The view hides predictions with a score below {score:g}, so they were not "
        "evaluated: to include them, evaluate the dataset"
    ]


def _changes(
    dataset: fo.Dataset,
    results: CocoResults,
    run: RunDocument,
    replaced: Any,
    earlier: list[tuple[Any, Sequence[str]]],
) -> Changes:
    """What an evaluation changes in a dataset as it is now.

    Args:
        dataset: the dataset
        results: the results
        run: the document of the run
        replaced: the id of the run that was under its key when it was begun, if any
        earlier: gets the id and the notes of the run that is replaced, if any
    """
    from fiftyone_coco_audit.evaluation.results import FIELDS_OPERATOR, notes_of

    key, config = results.key, results.config
    labels = config.pred_field, config.gt_field
    check_names_are_free(dataset, key, *labels)
    old = run_ids(dataset, "evaluations").get(key)
    if old not in (None, replaced):
        results.add_note(
            f"Another process evaluated dataset {dataset.name!r} under the key {key!r} "
            "at the same time; its evaluation was replaced."
        )
        logger.warning(results.notes[-1])
        run.config = deepcopy(config.serialize())
        run.save()
    settings = results.evaluation.settings
    fields = specs(
        key,
        *labels,
        overlap=f"{settings.overlap_name} {config.iou:g}",
        score=settings.score_threshold,
        posed=_posed(results),
    )
    paths = [spec.path for spec in fields]
    # What was written on request is about the run that is replaced
    old_paths = all_fields(key, *labels)
    is_view = results.samples is not root_dataset(results.samples)
    if old is not None:
        old_config = dataset.get_evaluation_info(key).config
        earlier.append((old, notes_of(old_config.custom_metrics)))
        old_paths += all_fields(key, old_config.pred_field, old_config.gt_field)
        others = set(old_config.custom_metrics or ()) - {FIELDS_OPERATOR}
        if others:
            old_config.build().cleanup_custom_metrics(dataset, key, metric_uris=others)
    return Changes(
        "evaluate",
        fields=fields,
        deleted=tuple(set(old_paths) - set(paths)),
        # Samples and labels that are not evaluated now must lose their old values
        emptied=tuple(paths) if is_view else (),
        document={f"evaluations.{key}": run.id, **colors_of_replaced(dataset, key)},
        replaced_runs=() if old is None else (old,),
        group=key,
    )
