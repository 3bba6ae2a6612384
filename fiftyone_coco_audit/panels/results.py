"""The panel *COCO Results*."""

from __future__ import annotations

from collections.abc import Sequence

import fiftyone.operators as foo
from fiftyone.operators.executor import ExecutionContext

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.evaluation.colors import color_by_outcome
from fiftyone_coco_audit.evaluation.loading_results import load_results
from fiftyone_coco_audit.operators.color_schemes import show_colors
from fiftyone_coco_audit.operators.forms import detections_fields
from fiftyone_coco_audit.panels.base import kept
from fiftyone_coco_audit.panels.blocks import Button, Buttons
from fiftyone_coco_audit.panels.grid_panel import GridPanel
from fiftyone_coco_audit.panels.label_reviews import apply_review, decide
from fiftyone_coco_audit.panels.pages import Page
from fiftyone_coco_audit.panels.results_controls import ResultsControls
from fiftyone_coco_audit.panels.results_page import TABS, evaluations, make_page
from fiftyone_coco_audit.panels.tabs.results.shared import least_score, points
from fiftyone_coco_audit.panels.tabs.shared import IMPORT
from fiftyone_coco_audit.wording import counted, counted_objects

_EVALUATE = "@coco-audit/coco-audit/evaluate"


class CocoResultsPanel(GridPanel):
    """Where a model fails, why, and what to do next."""

    controls = ResultsControls
    tabs = tuple(TABS)
    verb = "Show"
    patches_first = True

    @property
    def config(self) -> foo.PanelConfig:
        """The configuration of the panel."""
        return foo.PanelConfig(
            name="coco_results",
            label="COCO Results",
            icon="query_stats",
            surfaces="grid",
            allow_multiple=False,
            help_markdown="Where the model fails, and what to do next. Click a bar, a "
            "point or a cell to open exactly its images, labels or pairs.",
        )

    def make_page(self, ctx: ExecutionContext, *, anew: bool = False) -> Page:
        """Makes the page, see :func:`.results_page.make_page`."""
        return make_page(ctx)

    def subjects(self, ctx: ExecutionContext) -> Sequence[str]:
        """The evaluations."""
        return evaluations(ctx)

    def write_outcomes(self, ctx: ExecutionContext) -> None:
        """Writes the outcomes at the chosen threshold to labels, and colors these."""
        page = self.make_page(ctx)
        loaded, controls = page.reading, page.controls
        score = least_score(loaded, controls)
        try:
            results = load_results(ctx.dataset, loaded.eval_key)
            results.save_outcomes(iou=controls.iou, score=score)
            color_by_outcome(ctx.dataset, loaded.eval_key, saved=True)
        except CocoAuditError as error:
            ctx.ops.notify(str(error), variant="error")
            return
        loaded.refresh_version()
        ctx.ops.reload_dataset()
        show_colors(ctx)
        ctx.ops.notify(
            f"Labels are colored by their outcome at score {score:.2f} and IoU "
            f"{controls.iou:.2f}, which is in {loaded.eval_key}_outcome",
            variant="info",
        )

    def ways_out(self, ctx: ExecutionContext) -> Buttons:
        """What to do if there is nothing to show."""
        if ctx.dataset is None or len(detections_fields(ctx.dataset)) < 2:
            return IMPORT
        buttons = [
            Button("evaluate", "Evaluate predictions", event=_EVALUATE, filled=True)
        ]
        if kept(ctx, "stages", None) is not None:
            label = "Show the whole dataset"
            buttons.append(Button("use_dataset", label, event="use_dataset"))
        return Buttons("ways", buttons)

    def again(self, *, stale: bool) -> Button:
        """What evaluates the dataset again."""
        return Button("again", "Evaluate again", event=_EVALUATE, filled=stale)

    def decide(self, ctx: ExecutionContext) -> None:
        """Gives a verdict on the label issues that are selected in the grid."""
        decide(ctx)

    def apply_review(self, ctx: ExecutionContext) -> None:
        """Puts the accepted label issues right in a copy of the ground truth."""
        apply_review(ctx)

    def about(self, page: Page) -> str:
        """What was evaluated."""
        loaded = page.reading
        evaluation = loaded.evaluation
        crowds = int(evaluation.truth.crowd.sum())
        whole = page.controls.stages is None
        ap = loaded.results.summary()["AP"]
        return (
            f"**{'All that was evaluated' if whole else 'A view'}**: "
            f"{counted(len(loaded.size), 'image')}, "
            f"{counted_objects(len(evaluation.truth) - crowds, crowds)}, "
            f"{counted(len(evaluation.predictions), 'prediction')} · "
            f"AP {points(ap) if ap >= 0 else 'n/a'}"
        )
