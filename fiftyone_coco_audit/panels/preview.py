"""The panel *Augmentation Preview*: what its events do."""

from __future__ import annotations

import json
from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext

from fiftyone_coco_audit.augmentation.building import PipelineDraft, text_of, value_of
from fiftyone_coco_audit.augmentation.catalog import transform_types
from fiftyone_coco_audit.augmentation.pipelines import Pipeline
from fiftyone_coco_audit.augmentation.presets import PRESETS
from fiftyone_coco_audit.augmentation.preview_request import (
    RequestedPreview,
    requested_preview,
)
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.fiftyone_internals import stages_of
from fiftyone_coco_audit.operators.pipeline_forms import form_of
from fiftyone_coco_audit.panels.base import keep, kept
from fiftyone_coco_audit.panels.blocks import Message
from fiftyone_coco_audit.panels.controls import (
    control_of,
    revision_of,
    set_control,
    set_controls,
)
from fiftyone_coco_audit.panels.drawing import Drawing
from fiftyone_coco_audit.panels.inputs import changed_control
from fiftyone_coco_audit.panels.preview_controls import (
    TEXT,
    controls_of,
    draft_of,
    keep_draft,
    pipeline_as_text,
    shown_controls,
    turn_to_pipeline,
)
from fiftyone_coco_audit.panels.preview_page import form_of_transform, page_blocks
from fiftyone_coco_audit.panels.stateless import StatelessPanel

_AUDIT = "@coco-audit/coco-audit/audit_augmentation"


class AugmentationPreviewPanel(StatelessPanel):
    """What an augmentation pipeline does to a sample and its labels; writes nothing."""

    @property
    def config(self) -> foo.PanelConfig:
        """The configuration of the panel."""
        return foo.PanelConfig(
            name="augmentation_preview",
            label="Augmentation Preview",
            icon="compare",
            surfaces="grid modal",
            allow_multiple=False,
            help_markdown="What an augmentation pipeline makes of this sample and its "
            "labels. Nothing is written.",
        )

    def apply_event(self, event: str | None, ctx: ExecutionContext) -> bool:
        """Sets the control that reports a value; returns whether the page changes."""
        if event == "on_change_view":
            return _has_changed(ctx)
        return event not in _SETTERS or _SETTERS[event](ctx)

    def on_load(self, ctx: ExecutionContext) -> None:
        """Shows what an audit asked for."""
        if ctx.dataset is None:
            return
        if kept(ctx, "view", None) is None:
            keep(ctx, view=_stages(ctx), selected=ctx.selected)
        _take_over(ctx)

    def on_change_view(self, ctx: ExecutionContext) -> None:
        """Begins with the first sample of another view."""
        keep(ctx, view=_stages(ctx), position=0)
        _take_over(ctx)

    def on_change_selected(self, ctx: ExecutionContext) -> None:
        """Begins with the first of the samples that are selected now."""
        # The App reports the same ones when the user returns to the panel
        if ctx.selected != kept(ctx, "selected", None):
            keep(ctx, position=0, selected=ctx.selected)

    def on_change_current_sample(self, ctx: ExecutionContext) -> None:
        """Draws the page with the sample that is open now."""

    def next_sample(self, ctx: ExecutionContext) -> None:
        """Goes on to the next sample of the view, or of those selected."""
        keep(ctx, position=kept(ctx, "position", 0) + 1)

    def previous_sample(self, ctx: ExecutionContext) -> None:
        """Goes back to the sample before."""
        keep(ctx, position=kept(ctx, "position", 0) - 1)

    def change(self, ctx: ExecutionContext) -> None:
        """Draws the page with a control that the user has set."""

    def choose_pipeline(self, ctx: ExecutionContext) -> None:
        """Draws the page with another pipeline."""

    def write_text(self, ctx: ExecutionContext) -> None:
        """Draws the page with another text."""

    def set_parameter(self, ctx: ExecutionContext) -> None:
        """Draws the page with a parameter that the user has set."""

    def add_transform(self, ctx: ExecutionContext) -> None:
        """Draws the page with one more transform, which is open."""

    def begin_with(self, ctx: ExecutionContext) -> None:
        """Draws the page with a list that begins anew with a preset."""

    def open_transform(self, ctx: ExecutionContext) -> None:
        """Shows the parameters of a transform."""
        keep_draft(ctx, draft_of(ctx), ctx.params["place"])

    def move_transform(self, ctx: ExecutionContext) -> None:
        """Moves a transform up or down."""
        place, to = ctx.params["place"], ctx.params["to"]
        keep_draft(ctx, draft_of(ctx).move(place, to), to)

    def remove_transform(self, ctx: ExecutionContext) -> None:
        """Removes a transform."""
        place = ctx.params["place"]
        keep_draft(ctx, draft_of(ctx).remove(place), max(place - 1, 0))

    def audit_pipeline(self, ctx: ExecutionContext) -> None:
        """Opens the form of the audit, filled in with the pipeline that is shown."""
        pipeline, controls = pipeline_as_text(ctx), controls_of(ctx)
        if pipeline is None:
            return
        ctx.prompt(
            _AUDIT,
            params={
                **form_of(pipeline),
                "label_field": controls.label_field,
                "seed": controls.seed,
                "view_target": "DATASET",
            },
        )

    def style(self, ctx: ExecutionContext) -> dict[str, Any]:
        """Space at the edges in the modal, where the App draws its arrows."""
        return {"container": {"sx": {"paddingX": "52px"}}} if ctx.current_sample else {}

    def draw(self, page: types.Object, ctx: ExecutionContext) -> None:
        """Draws the page."""
        try:
            blocks = page_blocks(ctx)
        except CocoAuditError as error:
            blocks = [Message("message", str(error))]
        Drawing(self, revision_of(ctx)).add_blocks(page, "preview", blocks)


def _change(ctx: ExecutionContext) -> bool:
    return set_control(ctx, shown_controls)


def _choose_pipeline(ctx: ExecutionContext) -> bool:
    return turn_to_pipeline(ctx, str(ctx.params.get("value")))


def _write_text(ctx: ExecutionContext) -> bool:
    name, text = changed_control(ctx)
    if control_of(ctx, name) is None or (text or "") == kept(ctx, "text", ""):
        return False
    keep(ctx, text=text or "")
    return True


def _begin_with(ctx: ExecutionContext) -> bool:
    name, preset = changed_control(ctx)
    if control_of(ctx, name) is None or preset not in PRESETS:
        return False
    keep_draft(ctx, PipelineDraft.of(Pipeline.parse(preset)))
    return True


def _add_transform(ctx: ExecutionContext) -> bool:
    name, transform = changed_control(ctx)
    # The App reports a choice twice, even one that no longer exists
    if control_of(ctx, name) is None or transform not in transform_types():
        return False
    draft = draft_of(ctx).add(transform)
    keep_draft(ctx, draft, len(draft.names()) - 1)
    return True


def _set_parameter(ctx: ExecutionContext) -> bool:
    """Sets a parameter of what is open: a transform, or the filter of boxes."""
    (drawn_as, text), draft = changed_control(ctx), draft_of(ctx)
    place = kept(ctx, "step", 0)
    name, text = control_of(ctx, drawn_as), str(text or "")
    shown = {one.name: text_of(value) for one, value in form_of_transform(draft, place)}
    if name is None or shown.get(name) == text:
        return False
    is_of_boxes = place >= len(draft.names())
    value = value_of(text)
    draft = (
        draft.set_box_param(name, value)
        if is_of_boxes
        else draft.set(place, name, value)
    )
    keep(ctx, draft=draft.to_json())
    return True


#: Stores a value that a control reports, and returns whether it has changed
_SETTERS = {
    "change": _change,
    "choose_pipeline": _choose_pipeline,
    "write_text": _write_text,
    "set_parameter": _set_parameter,
    "add_transform": _add_transform,
    "begin_with": _begin_with,
}


def _has_changed(ctx: ExecutionContext) -> bool:
    """Whether the grid shows something else, or there is something to take over."""
    return kept(ctx, "view", None) != _stages(ctx) or _left(ctx) is not None


def _stages(ctx: ExecutionContext) -> str:
    """The view of the grid as text."""
    return json.dumps(stages_of(ctx.view), default=str) if ctx.dataset else ""


def _left(ctx: ExecutionContext) -> tuple[str, RequestedPreview] | None:
    """What an audit has left to be shown, and its id, if it is not shown yet."""
    left = None if ctx.dataset is None else requested_preview(ctx.dataset)
    shown = kept(ctx, "requested_preview", None)
    return None if left is None or left[0] == shown else left


def _take_over(ctx: ExecutionContext) -> None:
    """Turns to the pipeline that was audited last, if it was not shown yet."""
    left = _left(ctx)
    if left is None:
        return
    number, preview = left
    source = preview.pipeline if preview.pipeline in PRESETS else TEXT
    if source == TEXT:
        keep(ctx, text=preview.pipeline)
    keep(ctx, requested_preview=number)
    shown = {"label_field": preview.label_field, "seed": preview.seed}
    set_controls(ctx, {"pipeline": source, **shown})
