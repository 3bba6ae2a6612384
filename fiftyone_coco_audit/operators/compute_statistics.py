"""The operator ``compute_statistics``."""

from __future__ import annotations

from typing import Any

from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext

from fiftyone_coco_audit.escaping import markdown_list
from fiftyone_coco_audit.operators.base import SdkOperator
from fiftyone_coco_audit.operators.network_forms import add_ground_truth, add_network
from fiftyone_coco_audit.statistics.computing import (
    DatasetStatistics,
    compute_statistics,
)


class ComputeStatistics(SdkOperator):
    """Computes statistics of images and objects, and writes them as fields."""

    function = staticmethod(compute_statistics)
    label = "COCO Audit: compute statistics"
    description = "Add fields for sizes, shapes, network input and anchors"
    icon = "straighten"
    submit = "Compute"

    def fill(self, inputs: types.Object, ctx: ExecutionContext) -> None:
        """Fills the form."""
        if add_ground_truth(inputs, ctx):
            add_network(inputs, ctx)

    def call(self, ctx: ExecutionContext, progress: Any) -> DatasetStatistics:
        """Computes what the form asks for."""
        return compute_statistics(
            ctx.target_view(), **self.arguments(ctx), progress=progress
        )

    def to_results(
        self, ctx: ExecutionContext, value: DatasetStatistics
    ) -> dict[str, Any]:
        """The sentences that sum the statistics up."""
        return {
            "sentences": value.statistics.sentences(),
            "notes": list(value.labeled.notes),
        }

    def describe(self, results: dict[str, Any], outputs: types.Object) -> None:
        """Shows the sentences."""
        outputs.md(markdown_list(results["sentences"] + results["notes"]), name="text")
        outputs.md(
            "Reload the page to see the fields in the sidebar, in the group "
            "*statistics*. Fields of labels, such as `input_size`, are below their "
            "label field. The panel *COCO Audit* plots all of them.",
            name="next",
        )
