"""The operator ``find_partial_labels``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import fiftyone as fo
from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext
from fiftyone.operators.message import GeneratedMessage

from fiftyone_coco_audit.escaping import markdown_table
from fiftyone_coco_audit.operators.base import SdkOperator
from fiftyone_coco_audit.operators.forms import HALF, add_choice, number_of, refuse
from fiftyone_coco_audit.operators.network_forms import add_ground_truth
from fiftyone_coco_audit.statistics.comparing import find_partial_labels
from fiftyone_coco_audit.wording import quoted

if TYPE_CHECKING:
    import pandas as pd

_MOST_ROWS = 20


class FindPartialLabels(SdkOperator):
    """Finds classes that were not labeled in whole sources of images."""

    function = staticmethod(find_partial_labels)
    label = "COCO Audit: find partial labels"
    description = "Find classes that are missing from a whole folder, tag or source"
    icon = "rule_folder"
    submit = "Find"

    def fill(self, inputs: types.Object, ctx: ExecutionContext) -> None:
        """Fills the form."""
        if not add_ground_truth(inputs, ctx):
            return
        add_choice(
            inputs,
            "by",
            ["folder", "tags", *_fields(ctx)],
            default="folder",
            label="Group images by",
            description="What identifies the source of an image",
            space=HALF,
        )
        alpha = inputs.float(
            "alpha",
            default=0.001,
            label="Significance level",
            description="A lower level reports fewer gaps, less likely by chance",
            view=types.TextFieldView(space=HALF),
        )
        if not 0 < (number_of(ctx, "alpha") or 0.001) < 1:
            refuse(alpha, "Must be between 0 and 1")

    def call(self, ctx: ExecutionContext, progress: Any) -> pd.DataFrame:
        """Finds what the form asks for."""
        return find_partial_labels(
            ctx.target_view(), **self.arguments(ctx), progress=progress
        )

    def to_results(self, ctx: ExecutionContext, value: pd.DataFrame) -> dict[str, Any]:
        """The classes and their sources."""
        return {"gaps": value.reset_index().to_dict("records")}

    def open(
        self, ctx: ExecutionContext, value: pd.DataFrame
    ) -> Iterator[GeneratedMessage]:
        """Nothing in the App changes."""
        yield from ()

    def describe(self, results: dict[str, Any], outputs: types.Object) -> None:
        """Shows the classes and their sources."""
        gaps = results["gaps"]
        if not gaps:
            message = "Every source has the expected classes"
            outputs.view("message", types.Success(label=message))
            return
        rows = [
            [
                quoted(gap["class"]),
                quoted(gap["source"]),
                f"{gap['images']:,}",
                f"{gap['expected']:.1f}",
                f"{gap['found']:,}",
            ]
            for gap in gaps[:_MOST_ROWS]
        ]
        head = ["class", "source", "images", "expected with class", "found"]
        outputs.md(markdown_table(head, rows, text_columns=2), name="table")
        if len(gaps) > _MOST_ROWS:
            outputs.md(f"and {len(gaps) - _MOST_ROWS:,} more", name="more")
        outputs.md(
            "From these images, a network learns that these classes are background. "
            "Label them, or leave these images out when training on the class.",
            name="advice",
        )


def _fields(ctx: ExecutionContext) -> list[str]:
    """The fields of samples that can tell sources apart."""
    kinds = (fo.StringField, fo.IntField, fo.BooleanField)
    own = {"id", "filepath", "coco_id"}
    schema = ctx.dataset.get_field_schema(ftype=kinds)
    return [name for name in schema if name not in own]
