"""How an evaluation is looked at: which images first, and in which colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fiftyone_coco_audit.columns import require_samples
from fiftyone_coco_audit.errors import CocoAuditError

if TYPE_CHECKING:
    import fiftyone as fo

_TRUTH = {"tp": "#3fa34d", "fn": "#e5383b"}
_PREDICTIONS = {"tp": "#f28e2b", "fp": "#17a2b8"}


def worst_first(samples: fo.SampleCollection, eval_key: str = "eval") -> fo.DatasetView:
    """The samples by ascending AP, none left out.

    Where APs are equal, images with more objects missed come first, then those with
    more false positives. Images without ground truth have no AP and come last.
    A sort that the view ends with is replaced.

    Args:
        samples: a dataset or view that :func:`fiftyone_coco_audit.evaluate` evaluated
        eval_key: the name of the evaluation

    Returns:
        a view

    Raises:
        CocoAuditError: if there is no such evaluation
    """
    import fiftyone as fo
    from fiftyone import ViewField as F

    from fiftyone_coco_audit.evaluation.replacement import finish_replacement

    require_samples(samples)
    finish_replacement(samples._root_dataset)
    if not samples._root_dataset.has_field(f"{eval_key}_ap"):
        raise CocoAuditError(
            f"Dataset {samples._root_dataset.name!r} has no field '{eval_key}_ap', so "
            "its images cannot be sorted by AP: run evaluate() with "
            f"eval_key={eval_key!r} first"
        )
    ap = F(f"{eval_key}_ap")
    by_ap = fo.SortBy(
        [
            # MongoDB sorts null before any number
            ((ap == None).if_else(2, ap), 1),  # noqa: E711
            (f"{eval_key}_fn", -1),
            (f"{eval_key}_fp", -1),
            # The App asks for the samples in portions: no two may tie
            ("id", 1),
        ]
    )
    stages, hiding = _stages(samples)
    while stages and isinstance(stages[-1], fo.SortBy):
        stages.pop()
    return _view(samples, [*stages, by_ap, *hiding])


def showing_all_fields(samples: fo.SampleCollection) -> fo.SampleCollection:
    """The same samples and labels, with the fields that a view hides."""
    stages, hiding = _stages(samples)
    return _view(samples, stages) if hiding else samples


def _stages(
    samples: fo.SampleCollection,
) -> tuple[list[fo.ViewStage], list[fo.ViewStage]]:
    """The stages of a view: those that choose, and those that only hide fields."""
    import fiftyone as fo

    hides = fo.SelectFields, fo.ExcludeFields
    stages = samples.view()._stages
    return (
        [stage for stage in stages if not isinstance(stage, hides)],
        [stage for stage in stages if isinstance(stage, hides)],
    )


def _view(
    samples: fo.SampleCollection, stages: Sequence[fo.ViewStage]
) -> fo.DatasetView:
    view = samples.view()._dataset.view()
    for stage in stages:
        view = view.add_stage(stage)
    return view


def outcome_colors(
    pred_field: str = "predictions",
    gt_field: str = "ground_truth",
    eval_key: str = "eval",
) -> fo.ColorScheme:
    """Colours labels by their outcome: what was found quiet, what went wrong loud.

    Args:
        pred_field: the field of the predictions
        gt_field: the field of the ground truth
        eval_key: the name of the evaluation

    Returns:
        a color scheme, for a session or for ``dataset.app_config``
    """
    import fiftyone as fo

    return fo.ColorScheme(
        color_by="value",
        opacity=0.5,
        fields=[
            {
                "path": field,
                "colorByAttribute": eval_key,
                "fieldColor": colors["tp"],
                "valueColors": [
                    {"value": outcome, "color": color}
                    for outcome, color in colors.items()
                ],
            }
            for field, colors in ((gt_field, _TRUTH), (pred_field, _PREDICTIONS))
        ],
    )


def is_outcome_colors(scheme: fo.ColorScheme) -> bool:
    """Whether a color scheme is as :func:`outcome_colors` makes it for some evaluation.

    Args:
        scheme: the color scheme
    """
    fields = scheme.fields or []
    if len(fields) != 2:
        return False
    truth, predictions = fields
    made = outcome_colors(
        predictions.get("path"), truth.get("path"), truth.get("colorByAttribute")
    )
    return _content(scheme) == _content(made)


def _content(scheme: fo.ColorScheme) -> dict[str, Any]:
    return {name: value for name, value in scheme.to_dict().items() if name != "_id"}
