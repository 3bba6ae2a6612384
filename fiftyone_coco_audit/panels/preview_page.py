"""What the panel *Augmentation Preview* shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext

from fiftyone_coco_audit.augmentation.building import PipelineDraft, options_of, text_of
from fiftyone_coco_audit.augmentation.catalog import Parameter, transform_types
from fiftyone_coco_audit.augmentation.drawing import data_uri
from fiftyone_coco_audit.augmentation.pipelines import Pipeline
from fiftyone_coco_audit.augmentation.presets import PRESETS
from fiftyone_coco_audit.augmentation.preview import (
    PreviewImage,
    Subject,
    fates,
    fates_by_step,
    pictures,
    preview_draws,
    preview_steps,
    read_subject,
    summary,
)
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.escaping import markdown
from fiftyone_coco_audit.fiftyone_internals import kind_of_view
from fiftyone_coco_audit.operators.forms import add_choice, detections_fields
from fiftyone_coco_audit.panels.base import (
    AS_WIDE_AS_NEEDED,
    kept,
    require_image_dataset,
)
from fiftyone_coco_audit.panels.compact import NOT_WIDENED, add_small_button, add_text
from fiftyone_coco_audit.panels.controls import name_of, revision_of
from fiftyone_coco_audit.panels.inputs import add_button, add_dropdown, stateless_page
from fiftyone_coco_audit.panels.preview_controls import (
    BUILT,
    DRAWS,
    STEPS,
    TEXT,
    PreviewControls,
    controls_of,
    draft_of,
)

if TYPE_CHECKING:
    from fiftyone_coco_audit.panels.preview import AugmentationPreviewPanel

# The least widths of pictures on the page: two columns in half a window of 1440 pixels
_WIDTHS = {"small": 150, "medium": 240, "large": 480}
# Pictures have more pixels than that, as they fill the page and screens show more
_PIXELS, _ZOOM = 2.0, 1.6
# With these, the controls of draws are on one line there
_WIDE, _CHOICE, _SMALL, _SHOW = "200px", "146px", "104px", "138px"
_NARROW = {"draws": "76px", "draw": "76px", "seed": "84px"}
_PARAMETER = "170px"
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
# In the modal, the App draws its arrows over the edges of the panel
_BETWEEN_ARROWS = {"container": {"sx": {"paddingX": "52px"}}}
_LEGEND = (
    "Red boxes are wrong, and say why. Dashed boxes mark objects that lose their box. "
    "Red stripes cover parts of an object that are outside all of its boxes."
)


def add_page(
    panel: types.Object, owner: AugmentationPreviewPanel, ctx: ExecutionContext
) -> None:
    """Adds all that the panel shows.

    Args:
        panel: the form of the panel
        owner: the panel, whose events the controls are
        ctx: the context of an event
    """
    beside = _BETWEEN_ARROWS if ctx.current_sample else {}
    body = stateless_page(
        panel, gap=1, pad=2, componentsProps={**NOT_WIDENED, **beside}
    )
    try:
        _fill(body, owner, ctx)
    except CocoAuditError as error:
        body.view("message", types.Notice(label=str(error)))


def form_of_transform(draft: PipelineDraft, place: int) -> list[tuple[Parameter, Any]]:
    """The parameters of what is open in the list of transforms, with their values.

    Args:
        draft: the list
        place: that of a transform, or the one behind the last for the filter of boxes
    """
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


def _fill(
    body: types.Object, owner: AugmentationPreviewPanel, ctx: ExecutionContext
) -> None:
    if ctx.dataset is None:
        raise CocoAuditError("No dataset is open: choose one above")
    require_image_dataset(ctx.dataset, "augmented")
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
    controls = controls_of(ctx)
    sample_id = _add_sample(body, owner, ctx)
    _add_controls(body, owner, ctx, controls, fields)
    pipeline = _add_pipeline(body, owner, ctx, controls)
    if pipeline is None:
        return
    if controls.copy != "no":
        _add_code(body, controls, pipeline)
    try:
        if kind_of_view(ctx.view) == "patches":
            (sample_id,) = ctx.view.select(sample_id).values("sample_id")
        subject = read_subject(ctx.dataset, sample_id, controls.label_field)
        _add_pictures(body, owner, controls, subject, pipeline)
    except CocoAuditError as error:
        body.view("failure", types.Warning(label=str(error)))


def _add_sample(
    body: types.Object, owner: AugmentationPreviewPanel, ctx: ExecutionContext
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
    row = body.grid("samples", gap=1, align_y="center")
    for name, label, event in (
        ("previous", "Previous sample", owner.previous_sample),
        ("next", "Next sample", owner.next_sample),
    ):
        add_small_button(row, name, label, event, disabled=total == 1)
    of = "selected" if selected else "in the grid"
    add_text(row, "which", f"{position + 1:,} of {total:,} {of}", grows=True)
    return str(found)


def _add_controls(
    body: types.Object,
    owner: AugmentationPreviewPanel,
    ctx: ExecutionContext,
    controls: PreviewControls,
    fields: Sequence[str],
) -> None:
    row = body.grid("controls", gap=1)
    pipelines = [(name, preset.label) for name, preset in PRESETS.items()]
    pipelines += [(BUILT, "Build one ..."), (TEXT, "Paste one ...")]
    add_dropdown(
        row,
        "pipeline",
        "Pipeline",
        pipelines,
        controls.pipeline,
        owner.choose_pipeline,
        _WIDE,
        grows=True,
    )
    shows = [(DRAWS, "Several draws"), (STEPS, "Step by step")]
    add_dropdown(row, "show", "Show", shows, controls.show, owner.change, _SHOW)
    entry, label = ("draws", "Draws") if controls.show == DRAWS else ("draw", "Draw")
    for name, called in ((entry, label), ("seed", "Seed")):
        row.str(
            name_of(name, revision_of(ctx)),
            label=called,
            default=str(getattr(controls, name)),
            view=types.LazyFieldView(width=_NARROW[name]),
            on_change=owner.change,
        )
    sizes = [(name, name.title()) for name in _WIDTHS]
    add_dropdown(row, "size", "Pictures", sizes, controls.size, owner.change, _SMALL)
    if len(fields) > 1:
        options = [(name, name) for name in fields]
        add_dropdown(
            row,
            "label_field",
            "Label field",
            options,
            controls.label_field,
            owner.change,
            _CHOICE,
        )
    copies = [("no", "-"), ("python", "Python"), ("json", "JSON")]
    add_dropdown(row, "copy", "Copy as", copies, controls.copy, owner.change, _SMALL)


def _add_pipeline(
    body: types.Object,
    owner: AugmentationPreviewPanel,
    ctx: ExecutionContext,
    controls: PreviewControls,
) -> Pipeline | None:
    """Adds what a pipeline is made with; returns it, None if it is not valid."""
    place = body
    try:
        if controls.pipeline == TEXT:
            text = kept(ctx, "text", None) or ""
            body.str(
                name_of("text", revision_of(ctx)),
                label="JSON or YAML as A.to_dict and A.save write it, or a list of "
                "transforms",
                default=text,
                view=types.LazyFieldView(multiline=True, rows=12),
                on_change=owner.write_text,
            )
            return Pipeline.parse(text)
        if controls.pipeline == BUILT:
            draft = draft_of(ctx)
            place = _add_builder(body, owner, ctx, draft)
            return draft.pipeline()
        preset = PRESETS[controls.pipeline]
        add_text(body, "description", markdown(preset.description))
        return Pipeline.parse(controls.pipeline)
    except CocoAuditError as error:
        place.view("pipeline_error", types.Error(label=str(error)))
        return None


def _add_builder(
    body: types.Object,
    owner: AugmentationPreviewPanel,
    ctx: ExecutionContext,
    draft: PipelineDraft,
) -> types.Object:
    """Adds the list of transforms, and a form for the one that is open."""
    opened, names = kept(ctx, "step", 0), draft.names()
    builder = body.v_stack("builder", gap=1, width="100%", variant="outline", pad=2)
    steps = builder.grid("steps", gap=1)
    titles = [f"{place}. {name}" for place, name in enumerate(names, 1)]
    for place, title in enumerate([*titles, "Filter of boxes"]):
        add_button(
            steps,
            f"step{place}",
            title,
            variant="contained" if place == opened else "outlined",
            on_click=owner.open_transform,
            params={"place": place},
            componentsProps=AS_WIDE_AS_NEEDED,
        )
    more = builder.grid("more", gap=2)
    view = types.AutocompleteView(
        label="Add a transform", width=_WIDE, allow_user_input=False
    )
    added = name_of("add", revision_of(ctx))
    add_choice(more, added, transform_types(), view, on_change=owner.add_transform)
    presets = [(name, preset.label) for name, preset in PRESETS.items()]
    view = types.DropdownView(label="Begin anew with", width=_WIDE)
    begun = name_of("begin", revision_of(ctx))
    add_choice(more, begun, presets, view, on_change=owner.begin_with)
    if opened < len(names):
        _add_moves(builder, owner, opened, len(names))
    add_text(builder, "about", _about(draft, opened))
    form = builder.grid("form", gap=2)
    for parameter, value in form_of_transform(draft, opened):
        _add_parameter(form, owner, ctx, parameter, text_of(value))
    return builder


def _add_moves(
    builder: types.Object, owner: AugmentationPreviewPanel, place: int, count: int
) -> None:
    row = builder.grid("moves", gap=1)
    for name, label, to in (
        ("earlier", "Earlier", place - 1),
        ("later", "Later", place + 1),
    ):
        params = {"place": place, "to": to}
        is_out = not 0 <= to < count
        add_small_button(
            row, name, label, owner.move_transform, params=params, disabled=is_out
        )
    add_small_button(
        row, "remove", "Remove", owner.remove_transform, params={"place": place}
    )


def _about(draft: PipelineDraft, place: int) -> str:
    """What is open, in a sentence."""
    if place == len(draft.names()):
        return "**A.BboxParams**: boxes that fall short of one of these are dropped."
    name, known = markdown(draft.names()[place]), draft.type_of(place)
    if known is None:
        return f"**{name}** holds transforms of its own: paste one to change these."
    return f"**{name}**: {markdown(known.summary)}."


def _add_parameter(
    form: types.Object,
    owner: AugmentationPreviewPanel,
    ctx: ExecutionContext,
    parameter: Parameter,
    text: str,
) -> None:
    options, name = options_of(parameter), name_of(parameter.name, revision_of(ctx))
    event = owner.set_parameter
    if options:
        add_dropdown(form, name, parameter.name, options, text, event, _PARAMETER)
        return
    form.str(
        name,
        label=parameter.name,
        default=text,
        view=types.LazyFieldView(width=_PARAMETER, caption=_allowed(parameter)),
        on_change=event,
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
    body: types.Object,
    owner: AugmentationPreviewPanel,
    controls: PreviewControls,
    subject: Subject,
    pipeline: Pipeline,
) -> None:
    seed = controls.seed
    is_stepwise = controls.show == STEPS
    if is_stepwise:
        shots = preview_steps(pipeline, subject, seed=seed, draw=controls.draw - 1)
        lost = fates_by_step(shots)
        told = f"Draw {controls.draw}: {shots[-1].figures()}" if shots else ""
    else:
        shots = preview_draws(pipeline, subject, seed=seed, num_draws=controls.draws)
        told, lost = summary(shots), fates(shots)
    least = _WIDTHS[controls.size]
    made = pictures(subject, shots, lost, width=round(least * _PIXELS), zoom=_ZOOM)
    captions = [f"**Before** · {markdown(str(subject))}"]
    captions += [_caption(shot, steps=is_stepwise) for shot in shots]
    head = body.grid("head", gap=1, align_y="center")
    add_text(head, "told", f"**{markdown(told)}**" if told else "", grows=True)
    label = "Audit this pipeline on all images"
    add_small_button(head, "audit", label, owner.audit_pipeline)
    notes = [_LEGEND, *map(markdown, subject.notes)]
    add_text(body, "legend", "\n\n".join(notes), size="0.85rem")
    sheet = body.grid("sheet", gap=1, componentsProps=_columns(least))
    for place, (picture, caption) in enumerate(zip(made, captions, strict=True)):
        tile = sheet.v_stack(f"tile{place}", width="100%", gap=0)
        tile.str(
            "picture",
            default=data_uri(picture),
            view=types.ImageView(width="100%", alt=caption),
        )
        add_text(tile, "caption", caption, size="0.9rem")


def _columns(least: int) -> dict[str, Any]:
    """As many columns as fit, which share the width."""
    columns = f"repeat(auto-fill, minmax(min({least}px, 100%), 1fr))"
    return {
        "grid": {
            "sx": {
                "display": "grid",
                "gridTemplateColumns": columns,
                "alignItems": "start",
            }
        }
    }


def _caption(shot: PreviewImage, *, steps: bool) -> str:
    title, figures = markdown(shot.title), markdown(shot.figures())
    if not steps:
        return f"**{title}** · {figures}"
    height, width = shot.drawn.image.shape[:2]
    did = (
        f"{width} x {height}, {figures}"
        if shot.changed
        else "changes nothing in this draw"
    )
    return f"**{title}** · {did}"


def _add_code(
    body: types.Object, controls: PreviewControls, pipeline: Pipeline
) -> None:
    as_python = controls.copy == "python"
    text = pipeline.to_python() if as_python else pipeline.to_json()
    body.md(f"```{controls.copy}\n{text}\n```", name="code", componentsProps=_SCROLLING)
