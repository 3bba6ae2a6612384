"""Results of earlier evaluations, read from their runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fiftyone_coco_audit.columns import require_detections, require_samples
from fiftyone_coco_audit.database import database_errors_explained
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.evaluation.evaluating import compute_results
from fiftyone_coco_audit.evaluation.inputs import read_inputs
from fiftyone_coco_audit.evaluation.outputs import image_frame, sample_values
from fiftyone_coco_audit.evaluation.per_label import label_outcomes
from fiftyone_coco_audit.evaluation.results import (
    STORED,
    CocoResults,
    build_results,
    no_such_evaluation,
    settings_of,
)
from fiftyone_coco_audit.evaluation.stored import evaluation_from_text
from fiftyone_coco_audit.evaluation.views import showing_all_fields
from fiftyone_coco_audit.fiftyone_internals import (
    cached_results,
    find_run_document,
    root_dataset,
    run_ids,
    with_stages,
)
from fiftyone_coco_audit.progress import Progress
from fiftyone_coco_audit.storage.exclusive import up_to_date

if TYPE_CHECKING:
    import fiftyone as fo
    from bson import ObjectId


@database_errors_explained()
def load_results(
    samples: fo.SampleCollection, eval_key: str = "eval", *, progress: Progress = None
) -> CocoResults:
    """Loads the results of an evaluation, in any process.

    What :func:`fiftyone_coco_audit.evaluate` matched was saved with its run, and is not
    matched again. A run that FiftyOne itself made is matched now, as COCO does it, from
    the labels that the dataset has now; its own numbers can differ.

    Args:
        samples: a dataset; of a view, the runs of its dataset are loaded
        eval_key: the name of the evaluation
        progress: whether to show a progress bar where labels are read

    Returns:
        a :class:`fiftyone_coco_audit.evaluation.results.CocoResults`

    Raises:
        CocoAuditError: if there is no such evaluation, or it is not one of detections
    """
    require_samples(samples)
    dataset = root_dataset(samples)
    up_to_date(dataset)
    run = run_ids(dataset, "evaluations").get(eval_key)
    if run is None:
        raise no_such_evaluation(dataset, eval_key)
    cache = cached_results(dataset, "evaluations")
    loaded = cache.get(eval_key)
    if isinstance(loaded, CocoResults) and loaded.run_id == run:
        return loaded
    results = _stored_results(dataset, eval_key, run)
    if results is None:
        results = _matched_again(dataset, eval_key, run, progress)
    results.run_id = run
    cache[eval_key] = results
    return results


def _stored_results(
    dataset: fo.Dataset, eval_key: str, run: ObjectId
) -> CocoResults | None:
    """The results of a run, None if their matches were not saved with it."""
    document = find_run_document(run)
    if document is None or not document.results:
        return None
    text = json.loads(document.results.read()).get(STORED)
    stored = None if text is None else evaluation_from_text(text)
    if stored is None:
        return None
    evaluation, rows = stored
    return build_results(
        _evaluated(dataset, run),
        dataset.get_evaluation_info(eval_key).config,
        eval_key,
        evaluation,
        rows,
        label_outcomes(evaluation),
        image_frame(
            rows,
            sample_values(evaluation, rows.image),
            *_about_images(dataset, rows.sample_ids.tolist()),
        ),
    )


def _matched_again(
    dataset: fo.Dataset, eval_key: str, run: ObjectId, progress: Progress
) -> CocoResults:
    """The results of an evaluation of the labels as the dataset has them now."""
    config = dataset.get_evaluation_info(eval_key).config
    if config.type != "detection" or getattr(config, "method", None) != "coco":
        raise CocoAuditError(
            f"Evaluation {eval_key!r} of dataset {dataset.name!r} is not a COCO "
            "evaluation of detections: evaluate its fields with evaluate()"
        )
    settings = settings_of(config)
    samples = showing_all_fields(_evaluated(dataset, run))
    for field in (config.pred_field, config.gt_field):
        require_detections(samples, field)
    inputs = read_inputs(
        samples, config.pred_field, config.gt_field, settings, progress=progress
    )
    _, results = compute_results(samples, inputs, eval_key, settings)
    results.add_note(
        f"Evaluation {eval_key!r} was saved without its matches, so the labels were "
        "matched now, by COCO's rules: the numbers can differ from the saved ones."
    )
    return results


def _evaluated(dataset: fo.Dataset, run: ObjectId) -> fo.SampleCollection:
    """The dataset or view that a run evaluated."""
    document = find_run_document(run)
    stages = None if document is None else document.view_stages
    return with_stages(dataset, [json.loads(stage) for stage in stages or ()] or None)


def _about_images(
    dataset: fo.Dataset, sample_ids: list[str]
) -> tuple[list[str | None], list[Any]]:
    """The paths and COCO ids of samples, None for those that are gone."""
    ids, paths = dataset.values(["id", "filepath"])
    known = dataset.has_field("coco_id")
    coco_ids = dataset.values("coco_id") if known else [None] * len(ids)
    path_of, coco_id_of = (
        dict(zip(ids, column, strict=True)) for column in (paths, coco_ids)
    )
    return [*map(path_of.get, sample_ids)], [*map(coco_id_of.get, sample_ids)]
