"""The operator ``audit_augmentation``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext
from fiftyone.operators.message import GeneratedMessage

from fiftyone_coco_audit.augmentation.blame import Cause
from fiftyone_coco_audit.augmentation.run import (
    FIELD,
    AugmentationAudit,
    audit_augmentation,
)
from fiftyone_coco_audit.escaping import markdown, markdown_table
from fiftyone_coco_audit.operators.base import SdkOperator
from fiftyone_coco_audit.operators.forms import HALF, number_of, refuse
from fiftyone_coco_audit.operators.network_forms import add_ground_truth
from fiftyone_coco_audit.operators.open_panels import open_panel
from fiftyone_coco_audit.operators.pipeline_forms import add_pipeline, pipeline_of
from fiftyone_coco_audit.operators.reports import describe_findings, findings_as_json
from fiftyone_coco_audit.wording import counted, percent


class AuditAugmentation(SdkOperator):
    """Measures what a pipeline does to labels, and opens those that it harms."""

    function = staticmethod(audit_augmentation)
    label = "COCO Audit: audit an augmentation pipeline"
    description = "Measure on pixels what a pipeline does to the labels"
    icon = "auto_fix_high"
    submit = "Audit"

    def fill(self, inputs: types.Object, ctx: ExecutionContext) -> None:
        """Fills the form."""
        if add_ground_truth(inputs, ctx):
            add_pipeline(inputs, ctx)
            _add_draws(inputs, ctx)
            inputs.bool(
                "blame",
                default=False,
                label="Find the transforms that cause the damage",
                description="Leaves out each transform in turn, which takes longer",
            )

    def call(self, ctx: ExecutionContext, progress: Any) -> AugmentationAudit:
        """Measures what the form asks for."""
        arguments = self.arguments(ctx) | {"pipeline": pipeline_of(ctx)}
        arguments.setdefault("write_fields", True)
        return audit_augmentation(ctx.target_view(), **arguments, progress=progress)

    def to_results(
        self, ctx: ExecutionContext, value: AugmentationAudit
    ) -> dict[str, Any]:
        """The findings and what failed, without the ids of labels."""
        return {
            "pipeline": value.pipeline.name,
            **findings_as_json(value.to_frame(), value.notes),
            "causes": {code: asdict(cause) for code, cause in value.causes.items()},
            "failures": list(value.failures.values()),
            "complete": value.complete,
        }

    def open(
        self, ctx: ExecutionContext, value: AugmentationAudit
    ) -> Iterator[GeneratedMessage]:
        """Opens the labels of the most severe finding, the worst images first."""
        yield ctx.ops.reload_dataset()
        if value.findings:
            view = value.view(value.findings[0])
            if view.has_sample_field(FIELD):
                view = view.sort_by(FIELD, reverse=True)
            value.open_in_preview()
            yield ctx.ops.set_view(view)
            yield open_panel(ctx, "augmentation_preview")

    def describe(self, results: dict[str, Any], outputs: types.Object) -> None:
        """Shows the findings."""
        nothing = f"{results['pipeline']} does not harm the labels"
        describe_findings(results, outputs, nothing)
        if results["causes"]:
            outputs.md(_table_of_causes(results), name="table_of_causes")
        failures = results["failures"]
        if failures:
            outputs.md(
                f"{counted(len(failures), 'image')} failed. The first: "
                f"{markdown(str(failures[0]))}",
                name="failed",
            )
        if results["findings"]:
            outputs.md(
                "The grid shows the labels of the first finding, worst images first. "
                "The panel *Augmentation Preview* shows what happens to them. The "
                f"field `{FIELD}` of samples and labels holds the damage.",
                name="next",
            )


_MANNERS = {"": "", "either": " (each of them)", "both": " (together)"}


def _table_of_causes(results: dict[str, Any]) -> str:
    rows = []
    causes = {code: Cause(**cause) for code, cause in results["causes"].items()}
    for code, cause in causes.items():
        if cause.transform is None:
            why = "no single transform" if cause.together else "not reproduced"
            rows.append([code, why, percent(cause.together), "", ""])
            continue
        shares = (cause.together, cause.without, cause.alone)
        figures = ["fails" if s is None else percent(s) for s in shares]
        rows.append([code, cause.who + _MANNERS[cause.how], *figures])
    images = max(cause.images for cause in causes.values())
    head = ["Finding", "Cause", "With it", "Without it", "Alone"]
    table = markdown_table(head, rows, text_columns=2)
    return f"{table}\n\nShares of the objects and draws of {counted(images, 'image')}."


def _add_draws(inputs: types.Object, ctx: ExecutionContext) -> None:
    draws = inputs.int(
        "num_draws",
        default=3,
        label="Draws",
        description="Draws per image",
        view=types.TextFieldView(space=HALF),
    )
    inputs.int(
        "seed",
        default=51,
        label="Seed",
        description="The same seed gives the same numbers",
        view=types.TextFieldView(space=HALF),
    )
    if (number_of(ctx, "num_draws") or 1) < 1:
        refuse(draws, "Must be at least 1")
    visibility = inputs.float(
        "min_visibility",
        label="Minimum visible share of a box (0 to 1)",
        description="Drops boxes with less; overrides the pipeline",
        view=types.TextFieldView(space=HALF),
    )
    if not 0 <= (number_of(ctx, "min_visibility") or 0) <= 1:
        refuse(visibility, "Must be between 0 and 1")
    inputs.float(
        "min_area",
        label="Minimum area of a box",
        description="In square pixels; overrides the pipeline",
        view=types.TextFieldView(space=HALF),
    )
