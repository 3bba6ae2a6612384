"""Evaluation of a FiftyOne dataset: read columns, compute, write columns."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fiftyone_coco_audit.coco.report import RUN_KEY, import_report
from fiftyone_coco_audit.columns import (
    Progress,
    SampleColumns,
    require_detections,
    write_columns,
)
from fiftyone_coco_audit.database import database_errors_explained
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.evaluation.conditions import conditions
from fiftyone_coco_audit.evaluation.error_types import ErrorTypes, classify_errors
from fiftyone_coco_audit.evaluation.fields import (
    check_names_are_free,
    declare_fields,
    delete_fields,
    replacement_key,
    sample_fields,
)
from fiftyone_coco_audit.evaluation.import_notes import has_new_ids, import_notes
from fiftyone_coco_audit.evaluation.inputs import Inputs, read_inputs
from fiftyone_coco_audit.evaluation.matching import UNMATCHED
from fiftyone_coco_audit.evaluation.metrics import Evaluation, evaluate_objects
from fiftyone_coco_audit.evaluation.misplaced import misplaced_predictions
from fiftyone_coco_audit.evaluation.outputs import (
    image_frame,
    label_values,
    match_rows,
    sample_values,
)
from fiftyone_coco_audit.evaluation.panel_notes import show_in_panel
from fiftyone_coco_audit.evaluation.per_image import score_images
from fiftyone_coco_audit.evaluation.per_label import label_outcomes
from fiftyone_coco_audit.evaluation.replacement import (
    finish_replacement,
    replace_evaluation,
)
from fiftyone_coco_audit.evaluation.settings import Settings
from fiftyone_coco_audit.evaluation.views import hidden_by_score, showing_all_fields
from fiftyone_coco_audit.interrupts import interrupts_held
from fiftyone_coco_audit.memory import garbage_collection_paused

if TYPE_CHECKING:
    import fiftyone as fo

    from fiftyone_coco_audit.evaluation.results import CocoResults

# From so many matches on, image ids cannot be wrong throughout
_FEW_MATCHED = 0.2

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
    max_detections: Sequence[int] = (1, 10, 100),
    area_ranges: Mapping[str, Sequence[float]] | None = None,
    score_threshold: float = 0.5,
    progress: Progress = None,
) -> CocoResults:
    """Evaluates detections exactly as pycocotools does, and each image by itself.

    The 12 numbers equal those of ``pycocotools.cocoeval`` 2.0.11 on the same
    data. The evaluation is saved under ``eval_key`` as a FiftyOne evaluation
    run, and these fields are written, all described in ``docs/fields.md``:

    -   on samples: ``{eval_key}_ap``, ``_ap50``, ``_ap75``, ``_ap_pooled``,
        ``_precision``, ``_recall``, ``_f1``, ``_tp``, ``_fp``, ``_fn``,
        ``_status``
    -   on labels: ``{eval_key}``, ``{eval_key}_id``, ``_iou``, ``_error``

    An evaluation under the same key is replaced, when the new one is whole.

    Args:
        samples: a dataset, or a view of whole images; labels that the view
            hides do not take part
        pred_field: the field of the predicted detections
        gt_field: the field of the ground truth
        eval_key: the name of the evaluation, a valid Python name
        iou_type: what overlaps: ``"bbox"`` or ``"segm"``
        iou_thresholds: IoU thresholds, COCO's .50:.05:.95 by default; true and
            false positives are told at the lowest
        max_detections: limits on the detections per image and class; AP uses
            the highest
        area_ranges: least and greatest area in square pixels by name, COCO's
            small, medium and large by default; ``"all"`` limits every number
        score_threshold: the least score of a prediction for the precision,
            recall and F1 of an image
        progress: whether to show progress bars, as everywhere in FiftyOne

    Returns:
        a :class:`fiftyone_coco_audit.evaluation.results.CocoResults`

    Raises:
        CocoAuditError: if the arguments or the data do not allow it; nothing is
            written then
    """
    from fiftyone_coco_audit.evaluation.results import build_results, run_config

    settings = Settings.parse(
        iou_type=iou_type,
        iou_thresholds=iou_thresholds,
        max_detections=max_detections,
        area_ranges=area_ranges,
        score_threshold=score_threshold,
    )
    for field in (pred_field, gt_field):
        require_detections(samples, field)
    if pred_field == gt_field:
        raise CocoAuditError(
            f"pred_field and gt_field are both {gt_field!r}: nothing can be learnt "
            "from labels compared with themselves"
        )
    dataset = samples._root_dataset
    finish_replacement(dataset)
    check_names_are_free(dataset, eval_key, pred_field, gt_field)
    # One that replaces another is written beside it first
    replaces = eval_key in dataset.list_evaluations()
    beside = replacement_key(eval_key)
    key = beside if replaces else eval_key
    for left_by_a_killed_process in {key, beside}:
        _delete(dataset, left_by_a_killed_process, pred_field, gt_field)

    with garbage_collection_paused():
        logger.info("Reading labels...")
        inputs = read_inputs(
            showing_all_fields(samples),
            pred_field,
            gt_field,
            settings,
            progress=progress,
        )
        if not len(inputs.columns):
            raise CocoAuditError(
                "There are no images to evaluate, since the dataset or view is empty: "
                "add some, or widen the view"
            )
        evaluation = evaluate_objects(
            inputs.truth.objects,
            inputs.predictions.objects,
            num_images=len(inputs.columns),
            num_categories=len(inputs.classes),
            settings=settings,
        )
        outcomes = label_outcomes(evaluation)
        errors = classify_errors(evaluation)
        of_samples = sample_values(inputs, score_images(evaluation), settings)
        of_labels = label_values(inputs, *outcomes, errors)
        notes = _notes(samples, inputs, evaluation, errors)
        results = build_results(
            samples,
            run_config(pred_field, gt_field, settings, notes),
            key,
            evaluation,
            match_rows(inputs, *outcomes),
            inputs.classes,
            image_frame(samples, inputs.columns, of_samples),
        )

        logger.info("Writing results...")
        _save(samples, inputs.columns, results, key, of_samples, of_labels, progress)
        if replaces:
            with interrupts_held():
                replace_evaluation(dataset, eval_key, results)
    return results


def _notes(
    samples: fo.SampleCollection,
    inputs: Inputs,
    evaluation: Evaluation,
    errors: ErrorTypes,
) -> list[str]:
    """All that the numbers leave out and depend on, from the import to the matches."""
    dataset, notes, ids = samples._root_dataset, [], inputs.annotation_ids
    if dataset.has_run(RUN_KEY):
        report = import_report(dataset)
        notes = import_notes(
            report,
            inputs.gt_field,
            inputs.pred_field,
            masks=evaluation.settings.iou_type == "segm",
            whole=len(inputs.columns) == len(dataset),
        )
        if has_new_ids(report, inputs.gt_field):
            ids = np.full(len(ids), None)
    misplaced = _misplaced(samples, inputs, evaluation)
    of_data = conditions(
        evaluation,
        errors,
        inputs.classes,
        annotation_ids=ids,
        measured_area=inputs.measured_area,
    )
    of_view = _told_of_view(samples, inputs.pred_field)
    return [*notes, *misplaced, *of_data, *inputs.notes, *of_view]


def _misplaced(
    samples: fo.SampleCollection, inputs: Inputs, evaluation: Evaluation
) -> list[str]:
    """Says that predictions belong to other images, if few lie on objects."""
    truth, predictions = evaluation.truth, evaluation.predictions
    matched = np.count_nonzero(evaluation.matches.truth[0, 0] != UNMATCHED)
    if matched > _FEW_MATCHED * min(len(truth), len(predictions)):
        return []
    place = np.argsort(inputs.image)
    ids, paths = inputs.columns.coco_id, samples.values("filepath")
    return list(
        misplaced_predictions(
            truth,
            predictions,
            [ids[sample] for sample in place.tolist()],
            [Path(paths[sample]).stem for sample in place.tolist()],
            place,
        )
    )


def _told_of_view(samples: fo.SampleCollection, pred_field: str) -> list[str]:
    """A note where the view that worst_first() made leaves predictions out."""
    score = hidden_by_score(samples, pred_field)
    if score is None:
        return []
    return [
        f"The view hides predictions with a score below {score:g}, so they were not "
        "evaluated: evaluate the dataset for the numbers of all predictions"
    ]


def _save(
    samples: fo.SampleCollection,
    columns: SampleColumns,
    results: CocoResults,
    key: str,
    of_samples: Mapping[str, Sequence[Any]],
    of_labels: Mapping[str, Mapping[str, Sequence[Any]]],
    progress: Progress,
) -> None:
    """Saves an evaluation whole: fields, run and results, or nothing of them."""
    from fiftyone_coco_audit.evaluation.results import save_results

    dataset = samples._root_dataset
    config = results.config
    fields = config.pred_field, config.gt_field
    try:
        declare_fields(
            dataset,
            key,
            *fields,
            iou=config.iou,
            score=results.evaluation.settings.score_threshold,
        )
        write_columns(
            samples,
            columns,
            {f"{key}{suffix}": values for suffix, values in of_samples.items()},
            {
                field: {f"{key}{suffix}": values for suffix, values in columns.items()}
                for field, columns in of_labels.items()
            },
            progress=progress,
        )
        results.backend.register_run(samples, key)
        save_results(dataset, key, results)
        show_in_panel(dataset, dataset._doc.evaluations[key].id, results.notes)
        samples._add_paths_to_sidebar_group(sample_fields(key), key)
    except BaseException:
        _delete(dataset, key, *fields)
        raise


def _delete(dataset: fo.Dataset, key: str, pred_field: str, gt_field: str) -> None:
    """Deletes an evaluation and all of its fields, also those of a half-written one."""
    if key in dataset.list_evaluations():
        dataset.delete_evaluation(key)
    delete_fields(dataset, key, pred_field, gt_field)
