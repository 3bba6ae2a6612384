"""The panel *COCO Audit*."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext

from fiftyone_coco_audit.auditing import audit_settings
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.escaping import markdown
from fiftyone_coco_audit.findings import Finding, rule_page
from fiftyone_coco_audit.operators.forms import detections_fields
from fiftyone_coco_audit.panels.base import (
    AS_WIDE_AS_NEEDED,
    DatasetPanel,
    dataset_name,
    keep,
    kept,
    require_images,
)
from fiftyone_coco_audit.panels.blocks import (
    Block,
    Button,
    Buttons,
    Card,
    Choice,
    Entry,
    Plot,
    Row,
    Tab,
    Text,
)
from fiftyone_coco_audit.panels.controls import CONTROLS, ENTRIES, ROWS, Controls
from fiftyone_coco_audit.panels.session import READINGS, Reading
from fiftyone_coco_audit.panels.tabs import anchors, classes, findings, images, objects
from fiftyone_coco_audit.panels.tabs.shared import IMPORT
from fiftyone_coco_audit.views import cut_short
from fiftyone_coco_audit.wording import counted, counted_objects

_TABS: dict[str, Callable[[Reading, Controls], Tab]] = {
    "findings": findings.build,
    "images": images.build,
    "objects": objects.build,
    "classes": classes.build,
    "anchors": anchors.build,
}
_DEFAULT_FIELD = "ground_truth"
# Scrolling moves the panel, and does not zoom the plot that happens to be there
_PLOTLY = {"displayModeBar": False, "scrollZoom": False, "responsive": True}
_ALERTS = {"error": "error", "warning": "warning", "note": "info"}
_TAB_LIST = {"container": {"sx": {"borderBottom": 1, "borderColor": "divider"}}}
# Four of them beside each other in half of a window
_CONTROL_WIDTH, _WIDE = "140px", "290px"


@dataclass(frozen=True)
class Page:
    """What the panel shows.

    Args:
        controls: what is set
        fields: the label fields to choose from
        reading: what is audited
        tab: the tab that is shown
    """

    controls: Controls
    fields: Sequence[str]
    reading: Reading
    tab: Tab


class CocoAuditPanel(DatasetPanel):
    """What is in a dataset, what is wrong with it, and the samples that show it.

    Every event but a click draws the page anew from what the panel's state holds, and
    from what has been read before.
    """

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

    def begin(self, ctx: ExecutionContext) -> None:
        """Sets the state for the dataset that is open in the App."""
        rows: dict[str, Any] = {row: {} for row in ROWS}
        ctx.panel.state.set(
            {
                "dataset": dataset_name(ctx),
                "stages": None,
                "audit": None,
                "filled": None,
                **rows,
            }
        )

    def on_change_group_slice(self, ctx: ExecutionContext) -> None:
        """Draws the page anew: it may name the slice that the grid shows."""

    def show_tab(self, ctx: ExecutionContext) -> None:
        """Turns to a tab."""
        keep(ctx, tab=ctx.params["tab"])

    def set_controls(self, ctx: ExecutionContext) -> None:
        """Sets what a button is for."""
        _set(ctx, ctx.params["sets"])

    def draw_selected(self, ctx: ExecutionContext) -> None:
        """Draws over the sample that is selected in the grid."""
        if ctx.selected:
            _set(ctx, {"sample": ctx.selected[-1]})
        else:
            ctx.ops.notify("Select a sample in the grid first", variant="info")

    def use_dataset(self, ctx: ExecutionContext) -> None:
        """Audits the whole dataset."""
        ctx.panel.state.set("stages", None)

    def use_view(self, ctx: ExecutionContext) -> None:
        """Audits what the grid shows now, and stays with that."""
        view = ctx.view
        if view.media_type == "group":
            view = view.select_group_slices(_slice(ctx))
        # A view without a stage is the whole dataset
        ctx.panel.state.set("stages", view._serialize() or None)

    def recompute(self, ctx: ExecutionContext) -> None:
        """Reads the dataset again."""
        _page_if_any(ctx, anew=True)

    def open_mark(self, ctx: ExecutionContext) -> None:
        """Opens what a bar, a point or a cell stands for."""
        page = _page_if_any(ctx)
        if page is None:
            return
        plot = page.tab.plot(ctx.params["path"].rpartition(".")[2])
        if plot is None:
            return
        index = ctx.params["idx"]
        mark = tuple(index) if isinstance(index, list) else index
        selection = plot.pick(ctx.params["trace_idx"], mark)
        if len(selection) == 0:
            ctx.ops.notify("There is nothing in this one", variant="info")
            return
        reading = page.reading
        ctx.ops.set_view(selection.view(reading.samples, reading.labelled))
        cut = cut_short(len(selection)) if selection.objects is not None else None
        ctx.ops.notify(cut or f"The grid shows {selection}", variant="info")

    def open_finding(self, ctx: ExecutionContext) -> None:
        """Opens what a finding is about."""
        page = _page_if_any(ctx)
        if page is None:
            return
        for block in page.tab.blocks:
            if isinstance(block, Card) and block.name == ctx.params["card"]:
                ctx.ops.set_view(block.finding.view(page.reading.samples))
                cut = cut_short(len(block.finding.label_ids))
                if cut is not None:
                    ctx.ops.notify(cut, variant="info")

    def render(self, ctx: ExecutionContext) -> types.Property:
        """The panel as a form."""
        panel = types.Object()
        try:
            page = _page(ctx)
            # Of another tab that was chosen meanwhile, the answer may have come before
            while page.controls.tab != kept(ctx, "tab", page.controls.tab):
                page = _page(ctx)
        except CocoAuditError as error:
            panel.view("message", types.Notice(label=str(error)))
            _add_buttons(panel, self, _ways_out(ctx))
        else:
            _add_header(panel, self, page)
            _add_tabs(panel, self, page)
            _add_body(panel, self, page, _revision(ctx))
        return types.Property(
            panel, view=types.GridView(orientation="vertical", gap=2, pad=2)
        )


def _stack(tab: str, row: str) -> str:
    """The name of what is shown under a row of controls."""
    return tab if row == ROWS[0] else f"{tab}_{row}"


def _set(ctx: ExecutionContext, values: Mapping[str, str]) -> None:
    """Sets controls in place of the user.

    A line of text goes on showing what it was given at first, so that of another
    revision takes its place.
    """
    revision = _revision(ctx) + 1
    named = {
        _name_of(name, revision): value
        for name, value in {**_values(ctx), **values}.items()
    }
    ctx.panel.state.set({ROWS[0]: named, "revision": revision})


def _revision(ctx: ExecutionContext) -> int:
    return ctx.panel.state.revision or 0


def _name_of(name: str, revision: int) -> str:
    """The name of a control in the panel's form and state."""
    return f"{name}_{revision}" if name in ENTRIES else name


def _values(ctx: ExecutionContext) -> dict[str, Any]:
    """What is set, by the names of the controls."""
    rows = [ctx.panel.state.get(row) or {} for row in ROWS]
    values = {name: value for row in rows for name, value in row.items()}
    named = {name: _name_of(name, _revision(ctx)) for name in CONTROLS}
    return {name: values[own] for name, own in named.items() if own in values}


def _controls(ctx: ExecutionContext) -> Controls:
    """What is set: at first by the last audit, and then by the user."""
    state = ctx.panel.state
    settings = audit_settings(ctx.dataset)
    if settings is not None and state.audit != settings.created:
        network = Controls.of_network(settings.resize, settings.anchors)
        rules = Controls.of_rules(settings.left_out, settings.thresholds)
        _set(ctx, {"label_field": settings.label_field, **network, **rules})
        state.set("audit", settings.created)
    tab = kept(ctx, "tab", Controls.tab)
    return Controls.of({**_values(ctx), "tab": tab, "stages": state.stages})


def _page(ctx: ExecutionContext, *, anew: bool = False) -> Page:
    if ctx.dataset is None:
        raise CocoAuditError("No dataset is open: choose one above")
    require_images(ctx.dataset, "audited")
    fields = detections_fields(ctx.dataset)
    if not fields:
        raise CocoAuditError(
            f"Dataset {ctx.dataset.name!r} has no field of detections to audit: add "
            "one with the operator `COCO Audit: import a dataset`, or with your own "
            "labels"
        )
    controls = _controls(ctx)
    if controls.label_field not in fields:
        first = _DEFAULT_FIELD if _DEFAULT_FIELD in fields else fields[0]
        controls = controls.with_field(first)
    samples = controls.samples(ctx.dataset)
    if samples.media_type == "group":
        raise CocoAuditError(_about_groups(ctx))
    build = _TABS.get(controls.tab, findings.build)
    reading = READINGS.get(samples, controls.label_field, anew=anew)
    if ctx.panel.state.filled != _revision(ctx):
        _fill_in(ctx, reading, controls)
    return Page(controls, fields, reading, build(reading, controls))


def _page_if_any(ctx: ExecutionContext, *, anew: bool = False) -> Page | None:
    """The page; None where there is none, for a reason that is drawn in its place."""
    try:
        return _page(ctx, anew=anew)
    except CocoAuditError:
        return None


def _fill_in(ctx: ExecutionContext, reading: Reading, controls: Controls) -> None:
    """Sets all controls of all tabs, with what they show at first.

    The App does so itself for each that is not set when it is first shown, by an event
    of its own. With every change of the state it draws the labels in the grid anew, and
    they vanish for good if it does so twice within a second.
    """
    revision = _revision(ctx)
    rows: dict[str, dict[str, Any]] = {row: {} for row in ROWS}
    for name in CONTROLS:
        rows[ROWS[0]][_name_of(name, revision)] = getattr(controls, name)
    for build in _TABS.values():
        tab = build(reading, controls)
        for row in (Row(ROWS[0], tab.controls), *tab.rows()):
            for control in row.controls:
                rows[row.name][_name_of(control.name, revision)] = control.value
    ctx.panel.state.set({**rows, "filled": revision})


def _about_groups(ctx: ExecutionContext) -> str:
    """What to do where samples are grouped."""
    shown = f"the grid shows {_slice(ctx)!r}"
    if not _has_images_in_slice(ctx):
        shown += ", which has no images"
    return (
        f"Dataset {ctx.dataset.name!r} is grouped, and one slice of images is audited "
        f"at a time; {shown}: choose another slice above the grid"
        f"{' if need be' * _has_images_in_slice(ctx)}"
    )


def _slice(ctx: ExecutionContext) -> str:
    """The slice of groups that the grid shows."""
    return str(ctx.group_slice or ctx.dataset.default_group_slice)


def _has_images_in_slice(ctx: ExecutionContext) -> bool:
    return ctx.dataset.group_media_types.get(_slice(ctx)) == "image"


def _ways_out(ctx: ExecutionContext) -> Buttons:
    """What to do where there is nothing to audit."""
    grouped = ctx.dataset is not None and ctx.dataset.media_type == "group"
    if not grouped or not detections_fields(ctx.dataset):
        return IMPORT
    if not _has_images_in_slice(ctx):
        return Buttons("slice", [])
    label = f"Audit the slice {_slice(ctx)}"
    return Buttons(
        "slice", [Button("slice", label, event="use_view", icon="visibility")]
    )


def _add_header(panel: types.Object, owner: CocoAuditPanel, page: Page) -> None:
    reading, controls = page.reading, page.controls
    labelled = reading.labelled.images
    what = "The whole dataset" if controls.stages is None else "A view"
    told = (
        f"**{what}**: {counted(len(labelled), 'image')}, "
        f"{counted_objects(len(labelled.objects), int(labelled.crowds.sum()))} "
        "· computed "
        f"{reading.read_at:%H:%M}"
    )
    stale = reading.is_stale()
    if stale:
        told += "; **the dataset has changed since**"
    panel.md(told, name="about")
    buttons = panel.btn_group("scope")
    buttons.btn(
        "use_dataset",
        label="Audit the whole dataset",
        on_click=owner.use_dataset,
        variant="outlined",
        disabled=controls.stages is None,
    )
    buttons.btn(
        "use_view",
        label="Audit what the grid shows",
        on_click=owner.use_view,
        variant="outlined",
    )
    buttons.btn(
        "recompute",
        label="Recompute",
        icon="refresh",
        on_click=owner.recompute,
        variant="contained" if stale else "outlined",
    )


def _add_tabs(panel: types.Object, owner: CocoAuditPanel, page: Page) -> None:
    # Not a TabsView, which writes the panel's state: see base.keep()
    tabs = panel.grid("tabs", gap=0, componentsProps=_TAB_LIST)
    for name in _TABS:
        selected = name == page.controls.tab
        tabs.btn(
            name,
            label=name.title(),
            on_click=owner.show_tab,
            params={"tab": name},
            componentsProps=_tab_style(selected),
        )


def _tab_style(selected: bool) -> dict[str, Any]:
    """Makes a button look like a tab."""
    underline = "primary.main" if selected else "transparent"
    look = {
        "color": "primary.main" if selected else "text.secondary",
        "padding": "12px 16px",
        "borderRadius": 0,
        "borderBottom": 2,
        "borderBottomColor": underline,
        "&:hover": {
            "borderBottomColor": underline,
            "backgroundColor": "action.hover",
        },
        "&.Mui-focusVisible": {"outline": "2px solid", "outlineOffset": "-4px"},
    }
    return {
        **AS_WIDE_AS_NEEDED,
        "button": {"variant": "text", "aria-current": selected, "sx": look},
    }


def _add_body(
    panel: types.Object, owner: CocoAuditPanel, page: Page, revision: int
) -> None:
    """The controls of the tab, and its blocks; a row among these begins a new stack."""
    field = Choice(
        "label_field",
        "Label field",
        [(name, name) for name in page.fields],
        page.controls.label_field,
    )
    first = Row(ROWS[0], [field, *page.tab.controls])
    for block in (first, *page.tab.blocks):
        if isinstance(block, Row):
            _add_row(panel, owner, block, revision)
            name = _stack(page.controls.tab, block.name)
            body = panel.v_stack(name, gap=2, width="100%")
        else:
            _add_block(body, owner, block)


def _add_row(
    panel: types.Object, owner: CocoAuditPanel, row: Row, revision: int
) -> None:
    grid = panel.grid(row.name, gap=2)
    for control in row.controls:
        width = _WIDE if control.wide else _CONTROL_WIDTH
        if isinstance(control, Choice):
            _add_choice(grid, owner, control, width)
        else:
            grid.str(
                _name_of(control.name, revision),
                label=control.label,
                default=control.value,
                view=types.LazyFieldView(width=width),
                on_change=owner.change,
            )
    for control in row.controls:
        if isinstance(control, Entry) and control.error:
            warning = types.Warning(label=control.error)
            panel.view(f"{control.name}_error", warning)


def _add_choice(
    row: types.Object, owner: CocoAuditPanel, control: Choice, width: str
) -> None:
    view = types.DropdownView(label=control.label, width=width)
    for value, label in control.options:
        view.add_choice(value, label=label)
    row.enum(
        control.name,
        view.values(),
        view=view,
        default=control.value,
        on_change=owner.change,
    )


def _add_block(body: types.Object, owner: CocoAuditPanel, block: Block) -> None:
    if isinstance(block, Plot):
        advice = f"\n\n{markdown(block.advice)}" if block.advice else ""
        body.md(
            f"**{markdown(block.headline)}**{advice}", name=f"{block.name}_headline"
        )
        # With the form, not as data of the panel: for each piece of these the App draws
        # all plots anew, and it copies them into the state that every event sends
        body.plot(
            block.name,
            data=block.figure.data,
            layout=block.figure.layout,
            config=_PLOTLY,
            on_click=owner.open_mark,
            height=f"{block.figure.height}px",
        )
    elif isinstance(block, Card):
        _add_card(body, owner, block)
    elif isinstance(block, Buttons):
        _add_buttons(body, owner, block)
    elif isinstance(block, Text):
        body.md(block.markdown, name=block.name)


def _add_buttons(body: types.Object, owner: CocoAuditPanel, block: Buttons) -> None:
    group = body.btn_group(block.name)
    for button in block.buttons:
        is_operator = button.event.startswith("@")
        group.btn(
            button.name,
            label=button.label,
            icon=button.icon or None,
            on_click=button.event if is_operator else getattr(owner, button.event),
            prompt=is_operator,
            params=None if is_operator else {"sets": dict(button.sets)},
            variant="outlined",
        )


def _add_card(body: types.Object, owner: CocoAuditPanel, block: Card) -> None:
    finding = block.finding
    card = body.v_stack(block.name, variant="outline", pad=2, gap=1, width="100%")
    heading = types.AlertView(
        label=f"{finding.severity.capitalize()} {finding.code}: {finding.name}",
        severity=_ALERTS[finding.severity],
    )
    card.view("heading", heading)
    card.md(_text_of(finding), name="text")
    if finding.subject:
        card.btn(
            "open",
            label=f"Open {counted(finding.count, finding.subject)}",
            icon="visibility",
            on_click=owner.open_finding,
            params={"card": block.name},
            variant="outlined",
        )


def _text_of(finding: Finding) -> str:
    """What a card says, as Markdown."""
    page = rule_page(finding.code)
    more = f" [What is this rule?]({page})" if page else ""
    return f"**{markdown(finding.message)}**\n\n{markdown(finding.advice)}{more}"
