"""The operator ``dry_run``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fiftyone import ViewField as F
from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext
from fiftyone.operators.message import GeneratedMessage

from fiftyone_coco_audit.escaping import markdown_list, markdown_table
from fiftyone_coco_audit.loading.checking import dry_run
from fiftyone_coco_audit.loading.reports import DryRun
from fiftyone_coco_audit.operators.base import SdkOperator
from fiftyone_coco_audit.operators.network_forms import add_ground_truth
from fiftyone_coco_audit.operators.pipeline_forms import add_pipeline, pipeline_of
from fiftyone_coco_audit.wording import percent


class RunDry(SdkOperator):
    """Runs a pipeline on all samples, and opens those that fail."""

    function = staticmethod(dry_run)
    label = "COCO Audit: dry-run the data loading"
    description = "Read, decode and augment all images, and show which ones fail"
    icon = "speed"
    submit = "Run"

    def fill(self, inputs: types.Object, ctx: ExecutionContext) -> None:
        """Fills the form."""
        if add_ground_truth(inputs, ctx):
            add_pipeline(inputs, ctx)

    def call(self, ctx: ExecutionContext, progress: Any) -> DryRun:
        """Runs what the form asks for."""
        arguments = self.arguments(ctx) | {"pipeline": pipeline_of(ctx)}
        result = dry_run(ctx.target_view(), **arguments, progress=progress)
        assert isinstance(result, DryRun)  # as it is of a pipeline
        return result

    def to_results(self, ctx: ExecutionContext, value: DryRun) -> dict[str, Any]:
        """What failed, how fast it is, and why."""
        return value.to_dict()

    def open(self, ctx: ExecutionContext, value: DryRun) -> Iterator[GeneratedMessage]:
        """Opens the samples that failed or are suspicious."""
        yield ctx.ops.reload_dataset()
        failed = ctx.target_view().match(
            F("dry_run_status").is_in(["failed", "suspicious"])
        )
        if failed:
            yield ctx.ops.set_view(failed)

    def describe(self, results: dict[str, Any], outputs: types.Object) -> None:
        """Shows what failed, and the times."""
        outputs.md(markdown_list(results["sentences"]), name="text")
        rows = [
            [
                f"{part}{name}",
                percent(times["share"]),
                *(f"{times[figure]:.2f}" for figure in ("mean", "p50", "p95", "max")),
            ]
            for key, part in (("stages", ""), ("transforms", "transform: "))
            for name, times in results[key].items()
        ]
        head = ["milliseconds", "share", "mean", "p50", "p95", "max"]
        outputs.md(markdown_table(head, rows), name="table")
