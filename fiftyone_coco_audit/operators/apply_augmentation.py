"""The operator ``apply_augmentation``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import fiftyone as fo
from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext
from fiftyone.operators.message import GeneratedMessage

from fiftyone_coco_audit.augmentation.applying import apply_augmentation
from fiftyone_coco_audit.operators.base import SdkOperator
from fiftyone_coco_audit.operators.forms import (
    HALF,
    add_choice,
    number_of,
    refuse,
)
from fiftyone_coco_audit.operators.network_forms import add_ground_truth
from fiftyone_coco_audit.operators.pipeline_forms import add_pipeline, pipeline_of
from fiftyone_coco_audit.wording import counted


class ApplyAugmentation(SdkOperator):
    """Writes augmented images, and adds them as new samples."""

    function = staticmethod(apply_augmentation)
    paths = ("output_dir",)
    label = "COCO Audit: apply an augmentation"
    description = "Add augmented images as new samples, linked to their sources"
    icon = "library_add"
    submit = "Apply"

    def fill(self, inputs: types.Object, ctx: ExecutionContext) -> None:
        """Fills the form."""
        if add_ground_truth(inputs, ctx):
            _add_parameters(inputs, ctx)

    def call(self, ctx: ExecutionContext, progress: Any) -> fo.DatasetView:
        """Makes what the form asks for."""
        arguments = self.arguments(ctx) | {"pipeline": pipeline_of(ctx)}
        return apply_augmentation(ctx.target_view(), **arguments, progress=progress)

    def to_results(
        self, ctx: ExecutionContext, value: fo.DatasetView
    ) -> dict[str, Any]:
        """The ids of the new samples."""
        return {"samples": value.values("id")}

    def open(
        self, ctx: ExecutionContext, value: fo.DatasetView
    ) -> Iterator[GeneratedMessage]:
        """Shows the new samples."""
        yield ctx.ops.reload_dataset()
        yield ctx.ops.set_view(value)

    def describe(self, results: dict[str, Any], outputs: types.Object) -> None:
        """Says how many there are."""
        outputs.md(
            f"Added **{counted(len(results['samples']), 'sample')}**. The grid shows "
            "only these. `augmented_from` is the id of the source of each.",
            name="sentence",
        )


def _add_parameters(inputs: types.Object, ctx: ExecutionContext) -> None:
    add_pipeline(inputs, ctx)
    inputs.str(
        "output_dir",
        required=True,
        label="Folder for the images",
        description="A path on the machine of the App's server, created if necessary",
    )
    number = inputs.int(
        "num_draws",
        default=1,
        label="Draws per sample",
        view=types.TextFieldView(space=HALF),
    )
    if (number_of(ctx, "num_draws") or 1) < 1:
        refuse(number, "Must be at least 1")
    inputs.int("seed", default=51, label="Seed", view=types.TextFieldView(space=HALF))
    inputs.str(
        "tag",
        default="augmented",
        label="Tag of the new samples",
        view=types.TextFieldView(space=HALF),
    )
    add_choice(
        inputs,
        "image_format",
        [("png", "PNG, lossless"), ("jpg", "JPEG, smaller")],
        default="png",
        label="Format",
        space=HALF,
    )
