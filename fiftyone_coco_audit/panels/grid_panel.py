"""What the panels beside the grid have in common: tabs whose marks open labels.

Such a panel says what it reads, what its tabs are, and what it calls them; clicks, the
grid, and the way back are here.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from typing import ClassVar

from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.fiftyone_internals import stages_of
from fiftyone_coco_audit.panels.base import keep
from fiftyone_coco_audit.panels.blocks import Bar, Button, Buttons, Row, Text
from fiftyone_coco_audit.panels.controls import (
    PanelControls,
    set_control,
    set_controls,
)
from fiftyone_coco_audit.panels.drawing import Drawing, add_tabs, tab_title
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
from fiftyone_coco_audit.panels.pages import DRAWN, Page, shown_controls
from fiftyone_coco_audit.panels.selections import Selection
from fiftyone_coco_audit.panels.stateless import StatelessPanel

CHANGED = "The panel has changed since then, so nothing was opened: click again"


class GridPanel(StatelessPanel):
    """A panel beside the grid, with tabs whose marks open samples or labels."""

    #: Its settings, the names of its tabs, and what it does with a dataset
    controls: ClassVar[type[PanelControls]]
    tabs: ClassVar[Sequence[str]]
    verb: ClassVar[str]
    #: Whether a mark of labels that are hard to see in images opens them as patches
    patches_first: ClassVar[bool] = False

    @abstractmethod
    def make_page(self, ctx: ExecutionContext, *, anew: bool = False) -> Page:
        """Makes the page from the settings of the user, see :mod:`.pages`.

        Args:
            ctx: the context of an event
            anew: whether to read the dataset again

        Raises:
            CocoAuditError: if there is nothing to show
        """

    @abstractmethod
    def subjects(self, ctx: ExecutionContext) -> Sequence[str]:
        """What can be shown, such as the label fields.

        Raises:
            CocoAuditError: if there is none
        """

    @abstractmethod
    def about(self, page: Page) -> str:
        """What is shown, in Markdown."""

    @abstractmethod
    def ways_out(self, ctx: ExecutionContext) -> Buttons:
        """What to do if there is nothing to show."""

    def again(self, *, stale: bool) -> Button:
        """What brings the page up to date.

        Args:
            stale: whether the dataset has changed since it was read
        """
        return Button("recompute", "Recompute", event="recompute", filled=stale)

    def apply_event(self, event: str | None, ctx: ExecutionContext) -> bool:
        """Sets the control that reports a value; returns whether the page changes."""
        if event == "on_change_view":
            return ctx.dataset is not None and grid_has_changed(ctx)
        if event == "change":
            return set_control(ctx, lambda ctx: shown_controls(ctx, self.controls))
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

    def use_dataset(self, ctx: ExecutionContext) -> None:
        """Shows the whole dataset."""
        keep(ctx, stages=None)

    def use_view(self, ctx: ExecutionContext) -> None:
        """Shows what the grid shows now, also when the grid changes later."""
        # A view without a stage is the whole dataset
        keep(ctx, stages=stages_of(ctx.view) or None)

    def recompute(self, ctx: ExecutionContext) -> None:
        """Reads the dataset again."""
        # The page says why a dataset cannot be read
        with suppress(CocoAuditError):
            self.make_page(ctx, anew=True)

    def open_mark(self, ctx: ExecutionContext) -> None:
        """Opens what a bar, a point or a cell stands for."""
        page = self._page_of_click(ctx, stamp_of(ctx.params.get("id")))
        if page is None:
            return
        plot = page.tab.plot(ctx.params["path"].rpartition(".")[2])
        if plot is None:
            ctx.ops.notify(CHANGED, variant="warning")
            return
        index = ctx.params["idx"]
        mark = tuple(index) if isinstance(index, list) else index
        selection = plot.pick(ctx.params["trace_idx"], mark)
        title = page.controls.tab
        self._open(ctx, page, selection, title, as_patches=plot.as_patches)

    def open_selection(self, ctx: ExecutionContext) -> None:
        """Opens what a button stands for."""
        page = self._page_of_click(ctx, ctx.params.get("stamp"))
        if page is None:
            return
        opener = page.tab.opener(ctx.params["name"])
        if opener is None:
            ctx.ops.notify(CHANGED, variant="warning")
            return
        self._open(ctx, page, opener.selection, opener.title or page.controls.tab)

    def _open(
        self,
        ctx: ExecutionContext,
        page: Page,
        selection: Selection,
        title: str,
        *,
        as_patches: bool = False,
    ) -> None:
        if len(selection) == 0:
            ctx.ops.notify("No samples or labels here", variant="info")
            return
        extent = page.reading.extent(selection)
        opened = Opened(selection, tab_title(title).lower(), page.reading, extent)
        as_patches |= self.patches_first and extent.patches_first
        open_in_grid(ctx, opened.shown(as_patches=as_patches))

    def open_finding(self, ctx: ExecutionContext) -> None:
        """Opens what a finding is about."""
        page = self._page_of_click(ctx, ctx.params.get("stamp"))
        if page is None:
            return
        card = page.tab.card(ctx.params["card"])
        if card is None:
            ctx.ops.notify(CHANGED, variant="warning")
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
            shown = self.make_page(ctx)
        except CocoAuditError as error:
            page.view("message", types.Notice(label=str(error)))
            Drawing(self).add_buttons(page, self.ways_out(ctx))
            return
        drawing = Drawing(self, shown.revision, shown.stamp)
        drawing.add_blocks(page, "about", [self._scope(shown), self._grid(ctx)])
        tab = shown.controls.tab
        add_tabs(page, self, self.tabs, tab)
        first = Row("controls", [shown.subject, *shown.tab.controls])
        drawing.add_blocks(page, tab, [first, *shown.tab.blocks])

    def _page_of_click(self, ctx: ExecutionContext, stamp: str | None) -> Page | None:
        """The page that was clicked on; None, with a notice, if it is unknown."""
        try:
            subjects = self.subjects(ctx)
        except CocoAuditError:
            # The page shows a message instead
            return None
        page = DRAWN.get(stamp)
        if page is not None and page.reading.dataset_name != ctx.dataset.name:
            page = None
        if page is None or page.subject.value not in subjects:
            ctx.ops.notify(CHANGED, variant="warning")
            return None
        return page

    def _scope(self, page: Page) -> Bar:
        """What is shown."""
        stale = page.reading.is_stale()
        about = self.about(page)
        if stale:
            about += "; **the dataset has changed since**"
        parts: list[Text | Button] = [Text("about", about)]
        if page.controls.stages is not None:
            label = f"{self.verb} the whole dataset"
            parts.append(Button("use_dataset", label, event="use_dataset"))
        return Bar(
            "scope",
            [
                *parts,
                self.again(stale=stale),
                Button("redraw", "Redraw labels", event="redraw_labels"),
            ],
        )

    def _grid(self, ctx: ExecutionContext) -> Bar:
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
            label = f"{self.verb} this view"
            parts.append(Button("use_view", label, event="use_view"))
        return Bar("grid", parts)
