"""The operator ``restore_colors``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext
from fiftyone.operators.message import GeneratedMessage

from fiftyone_coco_audit.evaluation.colors import restore_colors
from fiftyone_coco_audit.operators.base import SdkOperator
from fiftyone_coco_audit.operators.color_schemes import show_colors
from fiftyone_coco_audit.operators.forms import require_dataset


class RestoreColors(SdkOperator):
    """Restores the colors from before labels were colored by outcome."""

    function = staticmethod(restore_colors)
    label = "COCO Audit: restore the colors"
    description = "Restore the colors from before an evaluation colored the labels"
    icon = "palette"
    submit = "Restore"

    def fill(self, inputs: types.Object, ctx: ExecutionContext) -> None:
        """Fills the form."""
        require_dataset(ctx)
        inputs.md(
            "This restores the colors from before an evaluation colored the labels by "
            "outcome.",
            name="about",
        )

    def call(self, ctx: ExecutionContext, progress: Any) -> None:
        """Restores the colors."""
        restore_colors(ctx.dataset)

    def to_results(self, ctx: ExecutionContext, value: None) -> dict[str, Any]:
        """The dataset."""
        return {"dataset": ctx.dataset.name}

    def open(self, ctx: ExecutionContext, value: None) -> Iterator[GeneratedMessage]:
        """Shows the colors."""
        yield ctx.ops.reload_dataset()
        yield show_colors(ctx)

    def describe(self, results: dict[str, Any], outputs: types.Object) -> None:
        """Says that the colors are back."""
        message = "The previous colors are back"
        outputs.view("message", types.Success(label=message))
