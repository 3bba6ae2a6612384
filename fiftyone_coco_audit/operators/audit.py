"""The operator ``audit``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext
from fiftyone.operators.message import GeneratedMessage

from fiftyone_coco_audit.auditing import Audit, audit
from fiftyone_coco_audit.operators.base import SdkOperator
from fiftyone_coco_audit.operators.forms import add_rules
from fiftyone_coco_audit.operators.network_forms import add_ground_truth, add_network
from fiftyone_coco_audit.operators.open_panels import open_panel
from fiftyone_coco_audit.operators.reports import describe_findings, findings_as_json
from fiftyone_coco_audit.rule_selection import OF_DATASETS


class RunAudit(SdkOperator):
    """Runs all rules on the dataset, and opens the panel with what they found."""

    function = staticmethod(audit)
    label = "COCO Audit: audit the dataset"
    description = "Find what is wrong with images, objects and classes, with advice"
    icon = "fact_check"
    submit = "Audit"

    def fill(self, inputs: types.Object, ctx: ExecutionContext) -> None:
        """Fills the form."""
        if add_ground_truth(inputs, ctx):
            add_network(inputs, ctx)
            add_rules(inputs, ctx, OF_DATASETS, ("CA3, CA501", "CA207, CA4"))

    def call(self, ctx: ExecutionContext, progress: Any) -> Audit:
        """Runs the rules that the form asks for."""
        return audit(ctx.target_view(), **self.arguments(ctx), progress=progress)

    def to_results(self, ctx: ExecutionContext, value: Audit) -> dict[str, Any]:
        """The findings, without the ids of what they are about."""
        return {
            "num_images": value.num_images,
            "num_objects": value.num_objects,
            "num_crowds": value.num_crowds,
            "counts": value.counts,
            "from_sample": bool(ctx.current_sample),
            **findings_as_json(value.to_frame(), value.notes),
        }

    def open(self, ctx: ExecutionContext, value: Audit) -> Iterator[GeneratedMessage]:
        """Opens the panel, unless that would close the sample that is open."""
        if not ctx.current_sample:
            yield open_panel(ctx, "coco_audit")

    def describe(self, results: dict[str, Any], outputs: types.Object) -> None:
        """Shows the findings."""
        describe_findings(results, outputs, "No findings")
        if results["from_sample"]:
            outputs.md(
                "The operator **COCO Audit: open the panel** shows the labels of each "
                "finding in the grid.",
                name="next",
            )
