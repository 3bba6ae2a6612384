"""What the panel *Augmentation Preview* shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

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
from fiftyone_coco_audit.panels.base import fields_to, kept
from fiftyone_coco_audit.panels.blocks import (
    Bar,
    Block,
    Button,
    Buttons,
    Choice,
    Control,
    Entry,
    Group,
    Message,
    Options,
    Pictures,
    Text,
)
from fiftyone_coco_audit.panels.preview_controls import (
    BUILT,
    DRAWS,
    STEPS,
    TEXT,
    PreviewControls,
    controls_of,
    draft_of,
)

# Minimum widths of pictures on the page: two columns in half a window of 1440 pixels
_WIDTHS = {"small": 150, "medium": 240, "large": 480}
# Pictures have more pixels than that, as they fill the page and screens show more
_PIXELS, _ZOOM = 2.0, 1.6
_WIDE = 200
_BOX_PARAMETERS = tuple(
    Parameter(name, "number", 0.0, minimum=0, maximum=most)
    for name, most in (
        ("min_visibility", 1.0),
        ("min_area", None),
        ("min_width", None),
        ("min_height", None),
    )
)
_WRITTEN = "JSON or YAML as A.to_dict and A.save write it, or a list of transforms"
_LEGEND = (
    "Red boxes are wrong, and say why. Dashed boxes mark objects that lose their box. "
    "Red stripes cover parts of an object that are outside all of its boxes."
)


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
        # The fill values of their masks are not used here
        if not {"mask", "masks"} & set(one.name.split("_"))
    ]


def page_blocks(ctx: ExecutionContext) -> list[Block]:
    """All that the panel shows.

    Args:
        ctx: the context of an event

    Raises:
        CocoAuditError: if there is nothing to augment
    """
    if ctx.dataset is not None and ctx.dataset.media_type == "group":
        raise CocoAuditError(
            f"Dataset {ctx.dataset.name!r} is grouped, and grouped samples cannot be "
            "augmented here: open a dataset of single images above"
        )
    fields = fields_to("augment", ctx)
    controls = controls_of(ctx)
    sample_id, blocks = _sample(ctx)
    pipeline, source = _pipeline(ctx, controls)
    blocks += [_controls(controls, fields), *source]
    if pipeline is None:
        return blocks
    try:
        if controls.copy != "no":
            blocks.append(_code(controls, pipeline))
        if kind_of_view(ctx.view) == "patches":
            (sample_id,) = ctx.view.select(sample_id).values("sample_id")
        subject = read_subject(ctx.dataset, sample_id, controls.label_field)
        return [*blocks, *_pictures(controls, subject, pipeline)]
    except CocoAuditError as error:
        return [*blocks, Message("failure", str(error), "warning")]


def _sample(ctx: ExecutionContext) -> tuple[str, list[Block]]:
    """The id of the sample that is shown, and how to go on."""
    if ctx.current_sample:
        return str(ctx.current_sample), []
    selected = list(ctx.selected or ())
    total = len(selected) or len(ctx.view)
    if not total:
        raise CocoAuditError("This view has no samples: choose another view")
    position = kept(ctx, "position", 0) % total
    found = (
        selected[position]
        if selected
        else ctx.view.skip(position).limit(1).values("id")[0]
    )
    alone = total == 1
    buttons = [
        Button(name, f"{name.title()} sample", event=f"{name}_sample", disabled=alone)
        for name in ("previous", "next")
    ]
    of = "selected" if selected else "in the grid"
    which = Text("which", f"{position + 1:,} of {total:,} {of}")
    return str(found), [Bar("samples", [*buttons, which])]


def _controls(controls: PreviewControls, fields: Sequence[str]) -> Bar:
    pipelines = [(name, preset.label) for name, preset in PRESETS.items()]
    pipelines += [(BUILT, "Build one ..."), (TEXT, "Paste one ...")]
    number = ("draws", "Draws") if controls.show == DRAWS else ("draw", "Draw")
    shows = [(DRAWS, "Several draws"), (STEPS, "Step by step")]
    sizes = [(name, name.title()) for name in _WIDTHS]
    copies = [("no", "-"), ("python", "Python"), ("json", "JSON")]

    def choice(name: str, label: str, options: Options, width: int) -> Choice:
        return Choice(name, label, options, getattr(controls, name), width, False)

    def entry(name: str, label: str, width: int) -> Entry:
        value = str(getattr(controls, name))
        return Entry(name, label, value, width=width, grows=False)

    pipeline = choice("pipeline", "Pipeline", pipelines, _WIDE)
    parts: list[Control] = [
        replace(pipeline, event="choose_pipeline", grows=True),
        choice("show", "Show", shows, 138),
        entry(*number, 76),
        entry("seed", "Seed", 84),
        choice("size", "Pictures", sizes, 104),
        choice("label_field", "Label field", [(name, name) for name in fields], 146),
        choice("copy", "Copy as", copies, 104),
    ]
    if len(fields) == 1:
        del parts[-2]
    return Bar("controls", parts)


def _pipeline(
    ctx: ExecutionContext, controls: PreviewControls
) -> tuple[Pipeline | None, list[Block]]:
    """The pipeline, None if it is not valid, and what it is made with."""
    made_with: list[Block] = []
    try:
        if controls.pipeline == TEXT:
            text = kept(ctx, "text", None) or ""
            made_with = [
                Entry("text", _WRITTEN, text, "", None, False, "write_text", lines=12)
            ]
            return Pipeline.parse(text), made_with
        if controls.pipeline == BUILT:
            draft = draft_of(ctx)
            made_with = _builder(ctx, draft)
            return draft.pipeline(), [Group("builder", made_with)]
        description = markdown(PRESETS[controls.pipeline].description)
        return Pipeline.parse(controls.pipeline), [Text("description", description)]
    except CocoAuditError as error:
        failed = [*made_with, Message("pipeline_error", str(error), "error")]
        built = controls.pipeline == BUILT
        return None, [Group("builder", failed)] if built else failed


def _builder(ctx: ExecutionContext, draft: PipelineDraft) -> list[Block]:
    """The list of transforms, and a form for the one that is open."""
    opened, names = kept(ctx, "step", 0), draft.names()
    titles = [f"{place}. {name}" for place, name in enumerate(names, 1)]
    steps = [
        Button(
            f"step{place}",
            title,
            event="open_transform",
            params={"place": place},
            filled=place == opened,
        )
        for place, title in enumerate([*titles, "Box filter"])
    ]
    transforms = [(name, name) for name in transform_types()]
    presets = [(name, preset.label) for name, preset in PRESETS.items()]
    once = partial(Choice, value=None, width=_WIDE, grows=False, fixed=True)
    more = [
        once("add", "Add a transform", transforms, event="add_transform"),
        once("begin", "Start over with", presets, event="begin_with"),
    ]
    form = [_parameter(*one) for one in form_of_transform(draft, opened)]
    return [
        Buttons("steps", steps),
        Bar("more", more, gap=2),
        *([_moves(opened, len(names))] if opened < len(names) else []),
        Text("about", _about(draft, opened)),
        Bar("form", form, gap=2),
    ]


def _moves(place: int, count: int) -> Bar:
    def move(name: str, to: int) -> Button:
        out, params = not 0 <= to < count, {"place": place, "to": to}
        event = "move_transform"
        return Button(name, name.title(), event=event, params=params, disabled=out)

    here = {"place": place}
    remove = Button("remove", "Remove", event="remove_transform", params=here)
    return Bar("moves", [move("earlier", place - 1), move("later", place + 1), remove])


def _about(draft: PipelineDraft, place: int) -> str:
    """What is open, in a sentence."""
    if place == len(draft.names()):
        return "**A.BboxParams**: boxes below any of these limits are dropped."
    name, known = markdown(draft.names()[place]), draft.type_of(place)
    if known is None:
        return f"**{name}** contains other transforms: paste a pipeline to change them."
    return f"**{name}**: {markdown(known.summary)}."


def _parameter(parameter: Parameter, value: Any) -> Control:
    options, name, text = options_of(parameter), parameter.name, text_of(value)
    event = "set_parameter"
    if options:
        return Choice(name, name, options, text, 170, False, event, fixed=True)
    return Entry(name, name, text, "", 170, False, event, _allowed(parameter))


def _allowed(parameter: Parameter) -> str:
    """What a parameter may be, in a few words."""
    what = {
        "integer": "a whole number",
        "number": "a number",
        "range": "lowest, highest",
    }.get(parameter.kind, "a Python value")
    low, high = parameter.minimum, parameter.maximum
    if low is not None and high is not None:
        what += f" from {low:g} to {high:g}"
    elif low is not None:
        what += f", at least {low:g}"
    return what


def _pictures(
    controls: PreviewControls, subject: Subject, pipeline: Pipeline
) -> list[Block]:
    seed = controls.seed
    is_stepwise = controls.show == STEPS
    if is_stepwise:
        previews = preview_steps(pipeline, subject, seed=seed, draw=controls.draw - 1)
        lost = fates_by_step(previews)
        told = f"Draw {controls.draw}: {previews[-1].figures()}" if previews else ""
    else:
        previews = preview_draws(pipeline, subject, seed=seed, num_draws=controls.draws)
        told, lost = summary(previews), fates(previews)
    least = _WIDTHS[controls.size]
    made = pictures(subject, previews, lost, width=round(least * _PIXELS), zoom=_ZOOM)
    captions = [f"**Before** · {markdown(str(subject))}"]
    captions += [_caption(preview, steps=is_stepwise) for preview in previews]
    label = "Audit this pipeline on all images"
    head: list[Text | Button] = [
        Text("told", f"**{markdown(told)}**" if told else ""),
        Button("audit", label, event="audit_pipeline"),
    ]
    notes = [_LEGEND, *map(markdown, subject.notes)]
    uris = map(data_uri, made)
    return [
        Bar("head", head),
        Text("legend", "\n\n".join(notes), "0.85rem"),
        Pictures("sheet", list(zip(uris, captions, strict=True)), least),
    ]


def _caption(preview: PreviewImage, *, steps: bool) -> str:
    title, figures = markdown(preview.title), markdown(preview.figures())
    if not steps:
        return f"**{title}** · {figures}"
    height, width = preview.drawn.image.shape[:2]
    did = (
        f"{width} x {height}, {figures}"
        if preview.changed
        else "changes nothing in this draw"
    )
    return f"**{title}** · {did}"


def _code(controls: PreviewControls, pipeline: Pipeline) -> Text:
    as_python = controls.copy == "python"
    text = pipeline.to_python() if as_python else pipeline.to_json()
    return Text("code", f"```{controls.copy}\n{text}\n```", scrolls=True)
