"""The panel *Augmentation Preview*."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext

from fiftyone_coco_audit.augmentation.building import (
    Draft,
    options_of,
    text_of,
    value_of,
)
from fiftyone_coco_audit.augmentation.catalog import Parameter, transform_types
from fiftyone_coco_audit.augmentation.drawing import data_uri
from fiftyone_coco_audit.augmentation.handover import Preview, handed_over
from fiftyone_coco_audit.augmentation.pipelines import Pipeline
from fiftyone_coco_audit.augmentation.presets import PRESETS
from fiftyone_coco_audit.augmentation.preview import (
    Shot,
    Subject,
    draw_shots,
    fates,
    fates_by_step,
    pictures,
    read_subject,
    step_shots,
    summary,
)
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.escaping import markdown
from fiftyone_coco_audit.operators.forms import detections_fields
from fiftyone_coco_audit.panels.base import (
    AS_WIDE_AS_NEEDED,
    DatasetPanel,
    dataset_name,
    keep,
    kept,
    require_images,
)

_DEFAULT_FIELD = "ground_truth"
#: In place of the name of a preset
_TEXT, _BUILT = "text", "built"
_DRAWS, _STEPS = "draws", "steps"
_MOST_DRAWS = 24
# Widths of pictures on the page; they have more pixels, for screens that show more
_WIDTHS = {"small": 190, "medium": 290, "large": 600}
_ZOOM = 1.5
_CONTROL_WIDTH, _NARROW, _WIDE, _PARAMETER = "200px", "90px", "260px", "170px"
_BOX_PARAMETERS = tuple(
    Parameter(name, "number", 0.0, minimum=0, maximum=most)
    for name, most in (
        ("min_visibility", 1.0),
        ("min_area", None),
        ("min_width", None),
        ("min_height", None),
    )
)
# Long lines are not to widen all that is above and below them
_SCROLLING = {"item": {"sx": {"minWidth": 0, "overflowX": "auto"}}}
_LEGEND = (
    "Red boxes are wrong, and say why; dashed ones are of objects that lose theirs. "
    "Red stripes cover what is seen of objects outside all of their boxes."
)


@dataclass(frozen=True)
class Controls:
    """What is set in the panel.

    Args:
        label_field: the field of the ground truth
        pipeline: the name of a preset, ``"text"`` or ``"built"``
        show: ``"draws"`` or ``"steps"``, one transform at a time
        draws: how many draws are shown
        draw: the one of which steps are shown, from 1
        seed: of all draws
        size: of the pictures
        copy: whether and as what the pipeline is shown as text
    """

    label_field: str
    pipeline: str = "minimal"
    show: str = _DRAWS
    draws: int = 8
    draw: int = 1
    seed: int = 51
    size: str = "medium"
    copy: str = "no"

    @classmethod
    def of(cls, state: Mapping[str, Any] | None, fields: Sequence[str]) -> Controls:
        """Reads what the App has kept, which may be nothing, or half of a number.

        Args:
            state: values by the names of the fields
            fields: the label fields that there are
        """
        kept = {name: value for name, value in (state or {}).items() if value}
        label_field = str(kept.get("label_field"))
        if label_field not in fields:
            first = next(iter(fields), _DEFAULT_FIELD)
            label_field = _DEFAULT_FIELD if _DEFAULT_FIELD in fields else first
        draws, draw = kept.get("draws", cls.draws), kept.get("draw", cls.draw)
        seed = (state or {}).get("seed")
        return cls(
            label_field=label_field,
            pipeline=kept.get("pipeline", cls.pipeline),
            show=kept.get("show", cls.show),
            draws=min(max(int(draws), 1), _MOST_DRAWS),
            draw=max(int(draw), 1),
            seed=cls.seed if seed is None else int(seed),
            size=kept.get("size", cls.size),
            copy=kept.get("copy", cls.copy),
        )


class AugmentationPreviewPanel(DatasetPanel):
    """What an augmentation pipeline does to a sample and its labels; writes nothing.

    Every event draws the page anew from what the panel's state holds.
    """

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

    def execute(self, ctx: ExecutionContext) -> Any:
        """Passes over what the App calls a change of the view, and is none.

        It says so several times after each event of a panel.
        """
        if (
            ctx.params.get("__method__") == "on_change_view"
            and ctx.panel.state.view == _stages(ctx)
            and _left(ctx) is None
        ):
            return None
        return super().execute(ctx)

    def on_load(self, ctx: ExecutionContext) -> None:
        """Shows what an audit has left to be looked at."""
        super().on_load(ctx)
        self._take_over(ctx)

    def begin(self, ctx: ExecutionContext) -> None:
        """Sets the state for the dataset that is open in the App."""
        fields = detections_fields(ctx.dataset) if ctx.dataset is not None else []
        ctx.panel.state.set(
            {
                "dataset": dataset_name(ctx),
                # The App would tell of each control that is not set yet
                "controls": asdict(Controls.of({}, fields)),
                "view": _stages(ctx),
                "text": None,
                "draft": None,
                "step": 0,
                "revision": 0,
            }
        )
        keep(ctx, position=0, selected=ctx.selected, source=Controls.pipeline)

    def on_change_view(self, ctx: ExecutionContext) -> None:
        """Begins with the first sample of another view."""
        ctx.panel.state.set("view", _stages(ctx))
        keep(ctx, position=0)
        self._take_over(ctx)

    def on_change_selected(self, ctx: ExecutionContext) -> None:
        """Begins with the first of the samples that are selected now."""
        # The App tells of the same ones where the user turns back to the panel
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

    def choose_pipeline(self, ctx: ExecutionContext) -> None:
        """Turns to a preset; text and list begin with what was shown before."""
        chosen, state = ctx.params.get("value"), ctx.panel.state
        source = kept(ctx, "source", Controls.pipeline)
        # The App tells of a choice twice, before it has the answer to the first time
        if chosen != source:
            keep(ctx, source=chosen, before=source)
        if chosen == _TEXT and not state.text:
            state.set("text", _shown_before(ctx).to_json())
        elif chosen == _BUILT and not state.draft:
            self._build(ctx, Draft.of(_shown_before(ctx)))

    def begin_with(self, ctx: ExecutionContext) -> None:
        """Begins the list anew with a preset."""
        if ctx.params.get("value") in PRESETS:
            self._build(ctx, Draft.of(Pipeline.parse(ctx.params["value"])))

    def add_transform(self, ctx: ExecutionContext) -> None:
        """Adds a transform at the end, and opens it."""
        # The App tells of a choice twice, also of one that is no longer there
        anew = ctx.params["path"] == f"builder.more{ctx.panel.state.revision}.add"
        if anew and ctx.params.get("value") in transform_types():
            draft = _draft(ctx).add(ctx.params["value"])
            self._build(ctx, draft, len(draft.names()) - 1)

    def open_transform(self, ctx: ExecutionContext) -> None:
        """Shows the parameters of a transform."""
        self._build(ctx, _draft(ctx), ctx.params["place"])

    def move_transform(self, ctx: ExecutionContext) -> None:
        """Moves a transform up or down."""
        place, to = ctx.params["place"], ctx.params["to"]
        self._build(ctx, _draft(ctx).move(place, to), to)

    def remove_transform(self, ctx: ExecutionContext) -> None:
        """Takes a transform out."""
        place = ctx.params["place"]
        self._build(ctx, _draft(ctx).remove(place), max(place - 1, 0))

    def set_parameter(self, ctx: ExecutionContext) -> None:
        """Sets a parameter of what is open: a transform, or the filter of boxes."""
        draft, place = _draft(ctx), ctx.panel.state.step
        name = ctx.params["path"].rpartition(".")[2]
        value = value_of(str(ctx.params.get("value") or ""))
        if place < len(draft.names()):
            draft = draft.set(place, name, value)
        else:
            draft = draft.set_box_param(name, value)
        ctx.panel.state.set("draft", draft.to_json())

    def _take_over(self, ctx: ExecutionContext) -> None:
        """Turns to the pipeline that was audited last, if it was not shown yet."""
        left = _left(ctx)
        if left is None:
            return
        state, (number, preview) = ctx.panel.state, left
        source = preview.pipeline if preview.pipeline in PRESETS else _TEXT
        if source == _TEXT:
            state.set("text", preview.pipeline)
        controls = Controls.of(state.controls, detections_fields(ctx.dataset))
        shown = replace(
            controls,
            pipeline=source,
            label_field=preview.label_field,
            seed=preview.seed,
        )
        state.set({"controls": asdict(shown), "handed_over": number})
        keep(ctx, source=source)

    def _build(self, ctx: ExecutionContext, draft: Draft, place: int = 0) -> None:
        """Keeps a list that has changed, and opens one of its transforms."""
        revision = ctx.panel.state.revision + 1
        texts = {one.name: text_of(value) for one, value in _form(draft, place)}
        ctx.panel.state.set(
            {
                "draft": draft.to_json(),
                "step": place,
                "revision": revision,
                # Controls of another name, which keep nothing of those before; the
                # App would tell of each that is not set yet
                "builder": {f"form{revision}": texts},
            }
        )

    def render(self, ctx: ExecutionContext) -> types.Property:
        """The panel as a form."""
        panel = types.Object()
        try:
            _fill(panel, self, ctx)
        except CocoAuditError as error:
            panel.view("message", types.Notice(label=str(error)))
        return types.Property(
            panel, view=types.GridView(orientation="vertical", gap=2, pad=2)
        )


def _stages(ctx: ExecutionContext) -> str:
    """The view of the grid as text."""
    return json.dumps(ctx.view._serialize(), default=str) if ctx.dataset else ""


def _left(ctx: ExecutionContext) -> tuple[str, Preview] | None:
    """What an audit has left to be shown, and its id, if it is not shown yet."""
    left = None if ctx.dataset is None else handed_over(ctx.dataset)
    return None if left is None or left[0] == ctx.panel.state.handed_over else left


def _shown_before(ctx: ExecutionContext) -> Pipeline:
    """The pipeline before another one was chosen, the default if it was not valid."""
    before = kept(ctx, "before", Controls.pipeline)
    try:
        if before == _BUILT:
            return _draft(ctx).pipeline()
        return Pipeline.parse(ctx.panel.state.text if before == _TEXT else before)
    except CocoAuditError:
        return Pipeline.parse(Controls.pipeline)


def _draft(ctx: ExecutionContext) -> Draft:
    return Draft.from_json(ctx.panel.state.draft)


def _fill(
    panel: types.Object, owner: AugmentationPreviewPanel, ctx: ExecutionContext
) -> None:
    if ctx.dataset is None:
        raise CocoAuditError("No dataset is open: choose one above")
    require_images(ctx.dataset, "augmented")
    if ctx.dataset.media_type == "group":
        raise CocoAuditError(
            f"Dataset {ctx.dataset.name!r} is grouped, and its samples cannot be "
            "augmented here: open a dataset of single images above"
        )
    fields = detections_fields(ctx.dataset)
    if not fields:
        raise CocoAuditError(
            f"Dataset {ctx.dataset.name!r} has no field of detections to augment: add "
            "one with the operator `COCO Audit: import a dataset`, or with your own "
            "labels"
        )
    controls = Controls.of(ctx.panel.state.controls, fields)
    sample_id = _add_sample(panel, owner, ctx)
    _add_controls(panel, owner, controls, fields)
    pipeline = _add_pipeline(panel, owner, ctx, controls)
    if pipeline is None:
        return
    _add_copy(panel, controls, pipeline)
    body = panel.v_stack("body", gap=1, width="100%")
    try:
        if ctx.view._is_patches:
            (sample_id,) = ctx.view.select(sample_id).values("sample_id")
        subject = read_subject(ctx.dataset, sample_id, controls.label_field)
        _add_pictures(body, controls, subject, pipeline)
    except CocoAuditError as error:
        body.view("failure", types.Warning(label=str(error)))


def _add_sample(
    panel: types.Object, owner: AugmentationPreviewPanel, ctx: ExecutionContext
) -> str:
    """Adds which sample is shown, and how to go on; returns its id."""
    if ctx.current_sample:
        return str(ctx.current_sample)
    selected = list(ctx.selected or ())
    total = len(selected) or len(ctx.view)
    if not total:
        raise CocoAuditError("There is no sample in this view: choose another one")
    position = kept(ctx, "position", 0) % total
    found = (
        selected[position]
        if selected
        else ctx.view.skip(position).limit(1).values("id")[0]
    )
    row = panel.h_stack("samples", gap=2, align_y="center")
    row.btn(
        "previous",
        label="Previous sample",
        icon="navigate_before",
        variant="outlined",
        on_click=owner.previous_sample,
        disabled=total == 1,
    )
    row.btn(
        "next",
        label="Next sample",
        icon="navigate_next",
        variant="outlined",
        on_click=owner.next_sample,
        disabled=total == 1,
    )
    of = "selected" if selected else "in the grid"
    row.md(f"{position + 1:,} of {total:,} {of}", name="which")
    return str(found)


def _add_controls(
    panel: types.Object,
    owner: AugmentationPreviewPanel,
    controls: Controls,
    fields: Sequence[str],
) -> None:
    row = panel.grid("controls", gap=2)
    pipelines = [(name, preset.label) for name, preset in PRESETS.items()]
    pipelines += [(_BUILT, "Build one ..."), (_TEXT, "Paste one ...")]
    _add_choice(
        row,
        "pipeline",
        "Pipeline",
        pipelines,
        controls.pipeline,
        owner.choose_pipeline,
        _WIDE,
    )
    shows = [(_DRAWS, "Several draws"), (_STEPS, "One transform at a time")]
    _add_choice(row, "show", "Show", shows, controls.show, owner.change)
    shown: tuple[str, str, int, int, int | None]
    shown = ("draw", "Draw", controls.draw, 1, None)
    if controls.show == _DRAWS:
        shown = ("draws", "Draws", controls.draws, 1, _MOST_DRAWS)
    for name, label, value, least, most in (
        shown,
        ("seed", "Seed", controls.seed, 0, None),
    ):
        row.int(
            name,
            label=label,
            default=value,
            min=least,
            max=most,
            view=types.TextFieldView(width=_NARROW),
            on_change=owner.change,
        )
    sizes = [(name, name.title()) for name in _WIDTHS]
    _add_choice(row, "size", "Pictures", sizes, controls.size, owner.change, "110px")
    if len(fields) > 1:
        options = [(name, name) for name in fields]
        _add_choice(
            row,
            "label_field",
            "Label field",
            options,
            controls.label_field,
            owner.change,
            "150px",
        )
    copies = [("no", "-"), ("python", "Python"), ("json", "JSON")]
    _add_choice(row, "copy", "Copy as", copies, controls.copy, owner.change, "110px")


def _add_choice(
    row: types.Object,
    name: str,
    label: str,
    options: Sequence[tuple[str, str]],
    value: str,
    on_change: Any,
    width: str = _CONTROL_WIDTH,
) -> None:
    view = types.DropdownView(label=label, width=width)
    for option, called in options:
        view.add_choice(option, label=called)
    row.enum(name, view.values(), view=view, default=value, on_change=on_change)


def _add_pipeline(
    panel: types.Object,
    owner: AugmentationPreviewPanel,
    ctx: ExecutionContext,
    controls: Controls,
) -> Pipeline | None:
    """Adds what a pipeline is made with; returns it, None if it is not valid."""
    place = panel
    if controls.pipeline == _TEXT:
        text = ctx.panel.state.text or ""
        panel.str(
            "text",
            label="JSON or YAML as A.to_dict and A.save write it, or a list of "
            "transforms",
            default=text,
            view=types.LazyFieldView(multiline=True, rows=12),
            on_change=owner.change,
        )
        read: Callable[[], Pipeline] = partial(Pipeline.parse, text)
    elif controls.pipeline == _BUILT:
        draft = _draft(ctx)
        place, read = _add_builder(panel, owner, ctx, draft), draft.pipeline
    else:
        panel.md(PRESETS[controls.pipeline].description, name="description")
        read = partial(Pipeline.parse, controls.pipeline)
    try:
        return read()
    except CocoAuditError as error:
        place.view("pipeline_error", types.Error(label=str(error)))
        return None


def _add_builder(
    panel: types.Object,
    owner: AugmentationPreviewPanel,
    ctx: ExecutionContext,
    draft: Draft,
) -> types.Object:
    """Adds the list of transforms, and a form for the one that is open."""
    revision, opened = ctx.panel.state.revision, ctx.panel.state.step
    names = draft.names()
    builder = panel.v_stack("builder", gap=1, width="100%", variant="outline", pad=2)
    steps = builder.grid("steps", gap=1)
    titles = [f"{place}. {name}" for place, name in enumerate(names, 1)]
    for place, title in enumerate([*titles, "Filter of boxes"]):
        steps.btn(
            f"step{place}",
            label=title,
            variant="contained" if place == opened else "outlined",
            on_click=owner.open_transform,
            params={"place": place},
            componentsProps=AS_WIDE_AS_NEEDED,
        )
    more = builder.grid(f"more{revision}", gap=2)
    view = types.AutocompleteView(
        label="Add a transform", width=_WIDE, allow_user_input=False
    )
    for name in transform_types():
        view.add_choice(name, label=name)
    more.enum("add", view.values(), view=view, on_change=owner.add_transform)
    view = types.DropdownView(label="Begin anew with", width=_WIDE)
    for name, preset in PRESETS.items():
        view.add_choice(name, label=preset.label)
    more.enum("begin", view.values(), view=view, on_change=owner.begin_with)
    if opened < len(names):
        _add_moves(builder, owner, opened, len(names))
    builder.md(_about(draft, opened), name="about")
    form = builder.grid(f"form{revision}", gap=2)
    for parameter, value in _form(draft, opened):
        _add_parameter(form, owner, parameter, text_of(value))
    return builder


def _add_moves(
    builder: types.Object, owner: AugmentationPreviewPanel, place: int, count: int
) -> None:
    row = builder.h_stack("moves", gap=1)
    for name, label, icon, to in (
        ("earlier", "Earlier", "arrow_back", place - 1),
        ("later", "Later", "arrow_forward", place + 1),
    ):
        row.btn(
            name,
            label=label,
            icon=icon,
            variant="outlined",
            on_click=owner.move_transform,
            params={"place": place, "to": to},
            disabled=not 0 <= to < count,
        )
    row.btn(
        "remove",
        label="Remove",
        icon="delete",
        variant="outlined",
        on_click=owner.remove_transform,
        params={"place": place},
    )


def _about(draft: Draft, place: int) -> str:
    """What is open, in a sentence."""
    if place == len(draft.names()):
        return "**A.BboxParams**: boxes that fall short of one of these are dropped."
    name, known = draft.names()[place], draft.type_of(place)
    if known is None:
        return f"**{name}** holds transforms of its own: paste one to change these."
    return f"**{name}**: {known.summary}."


def _form(draft: Draft, place: int) -> list[tuple[Parameter, Any]]:
    """The parameters of what is open, with their values."""
    if place == len(draft.names()):
        values = draft.document["transform"].get("bbox_params") or {}
        return [(one, values.get(one.name, one.default)) for one in _BOX_PARAMETERS]
    known, record = draft.type_of(place), draft.records[place]
    if known is None:
        return []
    return [
        (one, record.get(one.name, one.default))
        for one in (Parameter("p", "number", known.p, minimum=0, maximum=1),)
        + known.parameters
        # What masks of their own are filled with is of no use here
        if not {"mask", "masks"} & set(one.name.split("_"))
    ]


def _add_parameter(
    form: types.Object, owner: AugmentationPreviewPanel, parameter: Parameter, text: str
) -> None:
    options, name = options_of(parameter), parameter.name
    if options:
        _add_choice(form, name, name, options, text, owner.set_parameter, _PARAMETER)
        return
    form.str(
        name,
        label=name,
        default=text,
        view=types.LazyFieldView(width=_PARAMETER, caption=_allowed(parameter)),
        on_change=owner.set_parameter,
    )


def _allowed(parameter: Parameter) -> str:
    """What a parameter may be, in a few words."""
    what = {
        "integer": "a whole number",
        "number": "a number",
        "range": "lowest, highest",
    }.get(parameter.kind, "as in Python")
    low, high = parameter.minimum, parameter.maximum
    if low is not None and high is not None:
        what += f" from {low:g} to {high:g}"
    elif low is not None:
        what += f", at least {low:g}"
    return what


def _add_pictures(
    body: types.Object, controls: Controls, subject: Subject, pipeline: Pipeline
) -> None:
    seed = controls.seed
    if controls.show == _STEPS:
        shots = step_shots(pipeline, subject, seed=seed, draw=controls.draw - 1)
        lost = fates_by_step(shots)
        told = f"Draw {controls.draw}: {shots[-1].figures()}" if shots else ""
    else:
        shots = draw_shots(pipeline, subject, seed=seed, num_draws=controls.draws)
        told, lost = summary(shots), fates(shots)
    width = _WIDTHS[controls.size]
    made = pictures(subject, shots, lost, width=round(width * _ZOOM), zoom=_ZOOM)
    captions = [f"**Before** · {markdown(str(subject))}"]
    captions += [_caption(shot, steps=controls.show == _STEPS) for shot in shots]
    body.md(f"**{markdown(told)}**", name="told")
    sheet = body.grid("sheet", gap=2)
    for place, (picture, caption) in enumerate(zip(made, captions, strict=True)):
        tile = sheet.v_stack(f"tile{place}", width=f"{width}px", gap=0)
        tile.str(
            "picture",
            default=data_uri(picture),
            view=types.ImageView(width="100%", alt=caption),
        )
        tile.md(caption, name="caption")
    body.md("\n\n".join([_LEGEND, *map(markdown, subject.notes)]), name="legend")


def _caption(shot: Shot, *, steps: bool) -> str:
    if not steps:
        return f"**{shot.title}** · {shot.figures()}"
    height, width = shot.drawn.image.shape[:2]
    did = (
        f"{width} x {height}, {shot.figures()}"
        if shot.changed
        else "changes nothing in this draw"
    )
    return f"**{shot.title}** · {did}"


def _add_copy(panel: types.Object, controls: Controls, pipeline: Pipeline) -> None:
    if controls.copy == "no":
        return
    as_python = controls.copy == "python"
    text = pipeline.to_python() if as_python else pipeline.to_json()
    panel.md(
        f"```{controls.copy}\n{text}\n```", name="code", componentsProps=_SCROLLING
    )
