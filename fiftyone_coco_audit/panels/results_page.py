"""What the panel *COCO Results* shows, and its settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from fiftyone.operators.executor import ExecutionContext

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.panels.base import dataset_name
from fiftyone_coco_audit.panels.blocks import Choice, Tab
from fiftyone_coco_audit.panels.controls import revision_of
from fiftyone_coco_audit.panels.loaded_results import LoadedResults, loaded_results
from fiftyone_coco_audit.panels.pages import Page, kept_controls, settled_page
from fiftyone_coco_audit.panels.results_controls import ResultsControls
from fiftyone_coco_audit.panels.tabs.results import (
    classes,
    compare,
    errors,
    images,
    labels,
    next_steps,
    thresholds,
)

if TYPE_CHECKING:
    import fiftyone as fo

TABS: dict[str, Callable[[LoadedResults, ResultsControls], Tab]] = {
    "next_steps": next_steps.build,
    "classes": classes.build,
    "images": images.build,
    "errors": errors.build,
    "thresholds": thresholds.build,
    "compare": compare.build,
    "labels": labels.build,
}


def make_page(ctx: ExecutionContext) -> Page:
    """Makes the page from the settings of the user.

    Args:
        ctx: the context of an event

    Raises:
        CocoAuditError: if there is no evaluation to show
    """
    keys = evaluations(ctx)

    def build(controls: ResultsControls) -> Page:
        if controls.eval_key not in keys:
            # The newest
            controls = replace(controls, eval_key=keys[-1])
        key = controls.eval_key
        loaded = loaded_results(controls.samples(ctx.dataset), key)
        tab = TABS.get(controls.tab, next_steps.build)(loaded, controls)
        subject = Choice("eval_key", "Evaluation", [(one, one) for one in keys], key)
        return Page(controls, subject, loaded, tab, revision_of(ctx))

    return settled_page(ctx, controls_of, build)


def controls_of(ctx: ExecutionContext) -> ResultsControls:
    """The settings of the user."""
    controls: ResultsControls = kept_controls(ctx, ResultsControls)
    return controls


def evaluations(ctx: ExecutionContext) -> list[str]:
    """The evaluations of detections, the newest last.

    Raises:
        CocoAuditError: if there are none
    """
    if ctx.dataset is None:
        raise CocoAuditError("No dataset is open: choose one above")
    keys = evaluations_of(ctx.dataset)
    if not keys:
        raise CocoAuditError(
            f"Dataset {dataset_name(ctx)!r} has no COCO evaluation of detections yet: "
            "evaluate predictions, and their results are shown here"
        )
    return keys


def evaluations_of(dataset: fo.Dataset) -> list[str]:
    """The COCO evaluations of detections of a dataset, the newest last."""
    keys = dataset.list_evaluations(type="detection", method="coco")
    return sorted(keys, key=lambda key: dataset.get_evaluation_info(key).timestamp)
