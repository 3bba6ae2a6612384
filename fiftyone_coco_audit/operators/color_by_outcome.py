"""The operator ``color_by_outcome``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext
from fiftyone.operators.message import GeneratedMessage

from fiftyone_coco_audit.evaluation.colors import LEGEND, color_by_outcome
from fiftyone_coco_audit.evaluation.fields import OUTCOME
from fiftyone_coco_audit.operators.base import SdkOperator
from fiftyone_coco_audit.operators.color_schemes import show_colors
from fiftyone_coco_audit.operators.forms import add_choice, require_dataset


class ColorByOutcome(SdkOperator):
    """Colors labels by their outcome in an evaluation."""

    function = staticmethod(color_by_outcome)
    label = "COCO Audit: color labels by outcome"
    description = "Color right and wrong predictions, found and missed objects"
    icon = "palette"
    submit = "Color"

    def fill(self, inputs: types.Object, ctx: ExecutionContext) -> None:
        """Fills the form."""
        require_dataset(ctx)
        keys = _evaluations(ctx)
        if not keys:
            told = types.Warning(
                label="There is no evaluation to color labels by",
                description="Run COCO Audit: evaluate predictions first.",
            )
            inputs.view("message", told).invalid = True
            return
        undone = "**COCO Audit: restore the colors** brings back the present ones."
        inputs.md(f"{LEGEND} {undone}", name="about")
        newest = keys[-1]
        add_choice(inputs, "eval_key", keys, default=newest, label="Evaluation")
        if _has_outcomes(ctx, ctx.params.get("eval_key") or newest):
            inputs.bool(
                "saved",
                default=False,
                label="At the saved threshold",
                description="By the outcomes that were last written to the labels at "
                "another IoU and score, in the panel COCO Results",
            )

    def call(self, ctx: ExecutionContext, progress: Any) -> str:
        """Colors the labels."""
        key = ctx.params.get("eval_key") or _evaluations(ctx)[-1]
        color_by_outcome(ctx.dataset, key, saved=bool(ctx.params.get("saved")))
        return str(key)

    def to_results(self, ctx: ExecutionContext, value: str) -> dict[str, Any]:
        """The evaluation."""
        return {"eval_key": value, "dataset": ctx.dataset.name}

    def open(self, ctx: ExecutionContext, value: str) -> Iterator[GeneratedMessage]:
        """Shows the colors."""
        yield ctx.ops.reload_dataset()
        yield show_colors(ctx)

    def describe(self, results: dict[str, Any], outputs: types.Object) -> None:
        """Says what the colors mean."""
        message = f"The labels are colored by the outcomes of '{results['eval_key']}'"
        outputs.view("message", types.Success(label=message))
        outputs.md(LEGEND, name="legend")


def _evaluations(ctx: ExecutionContext) -> list[str]:
    return list(ctx.dataset.list_evaluations(type="detection"))


def _has_outcomes(ctx: ExecutionContext, eval_key: str) -> bool:
    """Whether outcomes at another threshold were written to the labels."""
    if eval_key not in ctx.dataset.list_evaluations():
        return False
    field = ctx.dataset.get_evaluation_info(eval_key).config.gt_field
    path = f"{field}.detections.{eval_key}{OUTCOME}"
    return ctx.dataset.get_field(path) is not None
