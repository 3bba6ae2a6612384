"""The panel *COCO Audit*."""

from __future__ import annotations

from collections.abc import Sequence

import fiftyone.operators as foo
from fiftyone.operators.executor import ExecutionContext

from fiftyone_coco_audit.fiftyone_internals import stages_of
from fiftyone_coco_audit.operators.forms import detections_fields
from fiftyone_coco_audit.panels.audit_controls import AuditControls
from fiftyone_coco_audit.panels.audit_page import (
    TABS,
    has_images_in_slice,
    make_page,
    slice_of,
)
from fiftyone_coco_audit.panels.base import fields_to, keep
from fiftyone_coco_audit.panels.blocks import Button, Buttons
from fiftyone_coco_audit.panels.controls import set_controls
from fiftyone_coco_audit.panels.grid_panel import GridPanel
from fiftyone_coco_audit.panels.pages import Page
from fiftyone_coco_audit.panels.tabs.shared import IMPORT
from fiftyone_coco_audit.wording import counted, counted_objects


class CocoAuditPanel(GridPanel):
    """What is in a dataset, what is wrong with it, and the samples that show it."""

    controls = AuditControls
    tabs = tuple(TABS)
    verb = "Audit"

    @property
    def config(self) -> foo.PanelConfig:
        """The configuration of the panel."""
        return foo.PanelConfig(
            name="coco_audit",
            label="COCO Audit",
            icon="fact_check",
            surfaces="grid",
            allow_multiple=False,
            help_markdown="What is in the dataset, and what is wrong with it. Click a "
            "bar, a point or a cell to open exactly its samples or labels.",
        )

    def make_page(self, ctx: ExecutionContext, *, anew: bool = False) -> Page:
        """Makes the page, see :func:`.audit_page.make_page`."""
        return make_page(ctx, anew=anew)

    def subjects(self, ctx: ExecutionContext) -> Sequence[str]:
        """The label fields."""
        return fields_to("audit", ctx)

    def draw_selected(self, ctx: ExecutionContext) -> None:
        """Draws anchors over the sample that is selected in the grid."""
        if ctx.selected:
            set_controls(ctx, {"sample": ctx.selected[-1]})
        else:
            ctx.ops.notify("Select a sample in the grid first", variant="info")

    def use_view(self, ctx: ExecutionContext) -> None:
        """Audits what the grid shows now, one slice of groups."""
        view = ctx.view
        if view.media_type == "group":
            view = view.select_group_slices(slice_of(ctx))
        keep(ctx, stages=stages_of(view) or None)

    def ways_out(self, ctx: ExecutionContext) -> Buttons:
        """What to do if there is nothing to audit."""
        grouped = ctx.dataset is not None and ctx.dataset.media_type == "group"
        if not grouped or not detections_fields(ctx.dataset):
            return IMPORT
        if not has_images_in_slice(ctx):
            return Buttons("slice", [])
        label = f"Audit the slice {slice_of(ctx)}"
        return Buttons(
            "slice", [Button("slice", label, event="use_view", icon="visibility")]
        )

    def about(self, page: Page) -> str:
        """What is audited."""
        labeled = page.reading.labeled.images
        whole = page.controls.stages is None
        return (
            f"**{'The whole dataset' if whole else 'A view'}**: "
            f"{counted(len(labeled), 'image')}, "
            f"{counted_objects(len(labeled.objects), int(labeled.crowds.sum()))} "
            f"· computed {page.reading.read_at:%H:%M}"
        )
