"""Views of an evaluation: which images come first, and which predictions are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fiftyone_coco_audit.coco.schema import keypoints_field
from fiftyone_coco_audit.columns import require_samples
from fiftyone_coco_audit.database import database_errors_explained
from fiftyone_coco_audit.errors import CocoAuditError, check_number
from fiftyone_coco_audit.fiftyone_internals import (
    root_dataset,
    stage_parameters,
    view_stages,
    with_view_stages,
)
from fiftyone_coco_audit.storage.exclusive import up_to_date

if TYPE_CHECKING:
    import fiftyone as fo


@database_errors_explained()
def worst_first(
    samples: fo.SampleCollection,
    eval_key: str = "eval",
    *,
    min_score: float | None = None,
) -> fo.DatasetView:
    """All samples, sorted by ascending AP.

    With equal APs, images with more missed objects come first, then images with more
    false positives. Images without ground truth have no AP and come last. A sort at
    the end of the view is replaced, and so is an earlier ``min_score``.

    Args:
        samples: a dataset or view that :func:`fiftyone_coco_audit.evaluate` evaluated
        eval_key: the name of the evaluation
        min_score: if given, the view hides predictions with a lower score, and their
            keypoints. Those without a score stay.

    Returns:
        a view

    Raises:
        CocoAuditError: if there is no such evaluation, or the score is not a number
    """
    import fiftyone as fo
    from fiftyone import ViewField as F

    require_samples(samples)
    if min_score is not None:
        check_number("min_score", min_score)
    dataset = root_dataset(samples)
    up_to_date(dataset)
    if not dataset.has_field(f"{eval_key}_ap"):
        raise CocoAuditError(
            f"Dataset {dataset.name!r} has no field '{eval_key}_ap', so "
            "its images cannot be sorted by AP: run evaluate() with "
            f"eval_key={eval_key!r} first"
        )
    ap = F(f"{eval_key}_ap")
    by_ap = fo.SortBy(
        [
            # MongoDB sorts null before all numbers
            ((ap == None).if_else(2, ap), 1),  # noqa: E711
            (f"{eval_key}_fn", -1),
            (f"{eval_key}_fp", -1),
            # The App fetches samples in portions, so no two may tie
            ("id", 1),
        ]
    )
    stages, hiding = _stages(showing_all_scores(samples))
    while stages and isinstance(stages[-1], fo.SortBy):
        stages.pop()
    if min_score is not None:
        pred_field = dataset.get_evaluation_info(eval_key).config.pred_field
        # Before the sort: the App has no room for the ends of both
        stages.append(_hiding_low_scores(pred_field, "confidence", min_score))
        poses = keypoints_field(pred_field)
        if dataset.has_field(f"{poses}.keypoints.score"):
            stages.append(_hiding_low_scores(poses, "score", min_score))
    return with_view_stages(samples, [*stages, by_ap, *hiding])


def showing_all_scores(samples: fo.SampleCollection) -> fo.SampleCollection:
    """The same view with the predictions that :func:`worst_first` hides by score.

    Args:
        samples: a dataset or view
    """
    stages = view_stages(samples)
    kept = [stage for stage in stages if _least_score(stage) is None]
    return samples if len(kept) == len(stages) else with_view_stages(samples, kept)


def showing_all_fields(samples: fo.SampleCollection) -> fo.SampleCollection:
    """The same samples and labels, with the fields that a view hides."""
    stages, hiding = _stages(samples)
    return with_view_stages(samples, stages) if hiding else samples


def hidden_by_score(samples: fo.SampleCollection, pred_field: str) -> float | None:
    """The score under which a view hides predictions, as :func:`worst_first` does it.

    Args:
        samples: a dataset or view
        pred_field: the field of the predictions

    Returns:
        the highest such score, or None if the view hides none in this way
    """
    scores = [
        score
        for stage in view_stages(samples)
        if (score := _least_score(stage)) is not None and stage.field == pred_field
    ]
    return max(scores, default=None)


def _hiding_low_scores(field: str, attribute: str, min_score: float) -> fo.FilterLabels:
    import fiftyone as fo
    from fiftyone import ViewField as F

    score = F(attribute)
    shown = (score >= min_score) | (score == None)  # noqa: E711
    return fo.FilterLabels(field, shown, only_matches=False)


def _least_score(stage: fo.ViewStage) -> float | None:
    """The score of a stage that :func:`_hiding_low_scores` made, else None.

    The App gives stages back as they are in MongoDB.
    """
    import fiftyone as fo

    if not isinstance(stage, fo.FilterLabels):
        return None
    match stage_parameters(stage):
        case {
            "only_matches": False,
            "filter": {
                "$or": [
                    {"$gte": [str(path), float() | int() as score]},
                    {"$not": {"$gt": [str(other), None]}},
                ]
            },
        } if path == other and path.endswith((".confidence", ".score")):
            return float(score)
    return None


def _stages(
    samples: fo.SampleCollection,
) -> tuple[list[fo.ViewStage], list[fo.ViewStage]]:
    """The stages of a view: those that choose, and those that only hide fields."""
    import fiftyone as fo

    hides = fo.SelectFields, fo.ExcludeFields
    stages = view_stages(samples)
    return (
        [stage for stage in stages if not isinstance(stage, hides)],
        [stage for stage in stages if isinstance(stage, hides)],
    )
