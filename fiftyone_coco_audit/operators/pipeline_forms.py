"""What the forms about augmentation pipelines share."""

from __future__ import annotations

from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext

from fiftyone_coco_audit.augmentation.pipelines import Pipeline
from fiftyone_coco_audit.augmentation.presets import PRESETS
from fiftyone_coco_audit.operators.forms import add_choice, check

_OWN = "own"


def add_pipeline(inputs: types.Object, ctx: ExecutionContext) -> None:
    """Adds the choice of a preset, or of a pipeline of one's own as text or a file."""
    if isinstance(ctx.params.get("pipeline"), str):  # a call from Python
        prop = inputs.str("pipeline", label="Pipeline")
        check(prop, lambda: Pipeline.parse(ctx.params["pipeline"]))
        return
    choices = [(name, preset.label) for name, preset in PRESETS.items()]
    add_choice(
        inputs,
        "preset",
        [*choices, (_OWN, "My own")],
        default=next(iter(PRESETS)),
        label="Pipeline",
        description="A good or bad example, a detector's pipeline, or your own",
    )
    if ctx.params.get("preset") != _OWN:
        return
    prop = inputs.str(
        "own_pipeline",
        label="My pipeline",
        description="JSON or YAML of A.to_dict(transform), or the path of a file "
        "written by A.save(transform, path)",
        view=types.LazyFieldView(multiline=True, rows=12),
    )
    text = ctx.params.get("own_pipeline")
    if text:
        check(prop, lambda: Pipeline.parse(text))
    else:
        prop.invalid = True


def form_of(pipeline: str) -> dict[str, str]:
    """What :func:`add_pipeline` holds for a pipeline.

    Args:
        pipeline: the name of a preset, or the text of a pipeline
    """
    if pipeline in PRESETS:
        return {"preset": pipeline}
    return {"preset": _OWN, "own_pipeline": pipeline}


def pipeline_of(ctx: ExecutionContext) -> Pipeline:
    """The pipeline that :func:`add_pipeline` got.

    Raises:
        CocoAuditError: if it is none
    """
    source = ctx.params.get("pipeline")
    if source is None:
        preset = ctx.params.get("preset") or next(iter(PRESETS))
        source = ctx.params.get("own_pipeline", "") if preset == _OWN else preset
    return Pipeline.parse(source)
