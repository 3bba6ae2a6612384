"""The panel *COCO Audit*."""

from __future__ import annotations

from contextlib import suppress

import fiftyone.operators as foo
from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.fiftyone_internals import stages_of
from fiftyone_coco_audit.operators.forms import detections_fields
from fiftyone_coco_audit.panels.audit_controls import ROWS
from fiftyone_coco_audit.panels.audit_page import (
    DRAWN,
    TABS,
    Page,
    has_images_in_slice,
    make_page,
    shown_controls,
    slice_of,
)
from fiftyone_coco_audit.panels.base import fields_to, keep
from fiftyone_coco_audit.panels.blocks import Bar, Button, Buttons, Choice, Row, Text
from fiftyone_coco_audit.panels.controls import set_control, set_controls
from fiftyone_coco_audit.panels.drawing import Drawing, add_tabs
from fiftyone_coco_audit.panels.figures.figure import stamp_of
from fiftyone_coco_audit.panels.opening import (
    Opened,
    go_back,
    grid_has_changed,
    grid_shows_all,
    open_in_grid,
    open_otherwise,
    shown_in_grid,
)
from fiftyone_coco_audit.panels.stateless import StatelessPanel
from fiftyone_coco_audit.panels.tabs.shared import IMPORT
from fiftyone_coco_audit.wording import counted, counted_objects

_CHANGED = "The panel has changed since then, so nothing was opened: click again"


class CocoAuditPanel(StatelessPanel):
    """What is in a dataset, what is wrong with it, and the samples that show it."""

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

    def apply_event(self, event: str | None, ctx: ExecutionContext) -> bool:
        """Sets the control that reports a value; returns whether the page changes."""
        if event == "on_change_view":
            return ctx.dataset is not None and grid_has_changed(ctx)
        if event == "change":
            return set_control(ctx, shown_controls)
        return True

    def on_load(self, ctx: ExecutionContext) -> None:
        """Draws the page of the dataset, which may have been shown before."""
        if ctx.dataset is not None:
            grid_has_changed(ctx)

    def on_change_view(self, ctx: ExecutionContext) -> None:
        """Draws the page anew: it says what the grid shows."""

    def on_change_group_slice(self, ctx: ExecutionContext) -> None:
        """Draws the page anew: it may name the slice that the grid shows."""

    def change(self, ctx: ExecutionContext) -> None:
        """Draws the page with a control that the user has set."""

    def show_tab(self, ctx: ExecutionContext) -> None:
        """Turns to a tab."""
        keep(ctx, tab=ctx.params["tab"])

    def set_controls(self, ctx: ExecutionContext) -> None:
        """Sets the controls of a button."""
        set_controls(ctx, ctx.params["sets"])

    def draw_selected(self, ctx: ExecutionContext) -> None:
        """Draws anchors over the sample that is selected in the grid."""
        if ctx.selected:
            set_controls(ctx, {"sample": ctx.selected[-1]})
        else:
            ctx.ops.notify("Select a sample in the grid first", variant="info")

    def use_dataset(self, ctx: ExecutionContext) -> None:
        """Audits the whole dataset."""
        keep(ctx, stages=None)

    def use_view(self, ctx: ExecutionContext) -> None:
        """Audits what the grid shows now, also when the grid changes later."""
        view = ctx.view
        if view.media_type == "group":
            view = view.select_group_slices(slice_of(ctx))
        # A view without a stage is the whole dataset
        keep(ctx, stages=stages_of(view) or None)

    def recompute(self, ctx: ExecutionContext) -> None:
        """Reads the dataset again."""
        # The page says why a dataset cannot be read
        with suppress(CocoAuditError):
            make_page(ctx, anew=True)

    def open_mark(self, ctx: ExecutionContext) -> None:
        """Opens what a bar, a point or a cell stands for."""
        page = _page_of_click(ctx, stamp_of(ctx.params.get("id")))
        if page is None:
            return
        plot = page.tab.plot(ctx.params["path"].rpartition(".")[2])
        if plot is None:
            ctx.ops.notify(_CHANGED, variant="warning")
            return
        index = ctx.params["idx"]
        mark = tuple(index) if isinstance(index, list) else index
        selection = plot.pick(ctx.params["trace_idx"], mark)
        if len(selection) == 0:
            ctx.ops.notify("No samples or labels here", variant="info")
            return
        open_in_grid(ctx, Opened.of(selection, page.controls.tab, page.reading))

    def open_finding(self, ctx: ExecutionContext) -> None:
        """Opens what a finding is about."""
        page = _page_of_click(ctx, ctx.params.get("stamp"))
        if page is None:
            return
        card = page.tab.card(ctx.params["card"])
        if card is None:
            ctx.ops.notify(_CHANGED, variant="warning")
            return
        opened = Opened(card.finding, card.finding.code, page.reading, card.extent)
        as_patches = bool(ctx.params.get("as_patches"))
        open_in_grid(ctx, opened.shown(as_patches=as_patches))

    def open_otherwise(self, ctx: ExecutionContext) -> None:
        """Shows what was opened last in whole images, or as patches."""
        open_otherwise(ctx, as_patches=ctx.params["as_patches"])

    def go_back(self, ctx: ExecutionContext) -> None:
        """Shows in the grid what it showed before something was opened."""
        go_back(ctx)

    def redraw_labels(self, ctx: ExecutionContext) -> None:
        """Has the App load the samples in the grid again, and draw their labels."""
        ctx.ops.reload_samples()

    def draw(self, page: types.Object, ctx: ExecutionContext) -> None:
        """Draws the page."""
        try:
            shown = make_page(ctx)
        except CocoAuditError as error:
            page.view("message", types.Notice(label=str(error)))
            Drawing(self).add_buttons(page, _ways_out(ctx))
            return
        drawing = Drawing(self, shown.revision, shown.stamp)
        drawing.add_blocks(page, "about", [_about(shown), _grid(ctx)])
        controls = shown.controls
        add_tabs(page, self, list(TABS), controls.tab)
        fields = [(name, name) for name in shown.fields]
        field = Choice("label_field", "Label field", fields, controls.label_field)
        first = Row(ROWS[0], [field, *shown.tab.controls])
        drawing.add_blocks(page, controls.tab, [first, *shown.tab.blocks])


def _page_of_click(ctx: ExecutionContext, stamp: str | None) -> Page | None:
    """The page that was clicked on; None, with a notice, if it is unknown."""
    fields = _fields_if_any(ctx)
    page = DRAWN.get(stamp)
    if page is not None and page.reading.dataset_name != ctx.dataset.name:
        page = None
    if page is None or page.controls.label_field not in fields:
        if fields:
            ctx.ops.notify(_CHANGED, variant="warning")
        return None
    return page


def _fields_if_any(ctx: ExecutionContext) -> list[str]:
    """The fields to audit; none if the page shows a message instead."""
    try:
        return fields_to("audit", ctx)
    except CocoAuditError:
        return []


def _ways_out(ctx: ExecutionContext) -> Buttons:
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


def _about(page: Page) -> Bar:
    """What is audited."""
    labeled = page.reading.labeled.images
    whole = page.controls.stages is None
    about = (
        f"**{'The whole dataset' if whole else 'A view'}**: "
        f"{counted(len(labeled), 'image')}, "
        f"{counted_objects(len(labeled.objects), int(labeled.crowds.sum()))} "
        f"· computed {page.reading.read_at:%H:%M}"
    )
    stale = page.reading.is_stale()
    if stale:
        about += "; **the dataset has changed since**"
    parts: list[Text | Button] = [Text("about", about)]
    if not whole:
        label = "Audit the whole dataset"
        parts.append(Button("use_dataset", label, event="use_dataset"))
    return Bar(
        "scope",
        [
            *parts,
            Button("recompute", "Recompute", event="recompute", filled=stale),
            Button("redraw", "Redraw labels", event="redraw_labels"),
        ],
    )


def _grid(ctx: ExecutionContext) -> Bar:
    """What the grid shows, and the way back from it."""
    opened = shown_in_grid(ctx)
    everything = opened is None and grid_shows_all(ctx)
    shown = f"**{opened}**" if opened else "another view"
    if everything:
        shown = "the whole dataset"
    parts: list[Text | Button] = [Text("shown", f"The grid shows {shown}")]
    if opened is not None:
        if opened.extent.has_patches:
            label = "In images" if opened.as_patches else "As patches"
            how = {"as_patches": not opened.as_patches}
            other = Button("otherwise", label, event="open_otherwise", params=how)
            parts.append(other)
        parts.append(Button("back", "Back", event="go_back"))
    if not everything:
        parts.append(Button("use_view", "Audit this view", event="use_view"))
    return Bar("grid", parts)
