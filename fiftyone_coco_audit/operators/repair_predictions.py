"""The operator ``repair_predictions``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext

from fiftyone_coco_audit.escaping import markdown, markdown_table
from fiftyone_coco_audit.evaluation.repairing import repair_predictions
from fiftyone_coco_audit.evaluation.views import showing_all_scores
from fiftyone_coco_audit.mapping.diagnosis import MappingDiagnosis
from fiftyone_coco_audit.operators.base import SdkOperator
from fiftyone_coco_audit.operators.forms import (
    add_both_sides,
    add_label_field,
    refuse,
    require_dataset,
)
from fiftyone_coco_audit.wording import percent


class RepairPredictions(SdkOperator):
    """Says why predictions do not fit, and adds them as they were meant."""

    function = staticmethod(repair_predictions)
    label = "COCO Audit: repair predictions"
    description = (
        "Find wrong class ids, box formats, image ids or scores, and add the repaired "
        "predictions as a new field"
    )
    icon = "build"
    submit = "Repair"

    def fill(self, inputs: types.Object, ctx: ExecutionContext) -> None:
        """Fills the form."""
        require_dataset(ctx)
        if not add_both_sides(inputs, ctx, "A repair"):
            return
        name = "output_field"
        field = _output_field(ctx)
        prop = add_label_field(inputs, ctx, name, field, "repaired predictions")
        if field in ctx.dataset.get_field_schema():
            inputs.bool("overwrite", default=False, label="Replace the field")
            if not ctx.params.get("overwrite"):
                refuse(prop, f"Dataset {ctx.dataset.name!r} already has this field")

    def call(self, ctx: ExecutionContext, progress: Any) -> MappingDiagnosis:
        """Repairs the predictions that the form names."""
        # The last evaluation has opened a view that hides predictions
        samples = showing_all_scores(ctx.target_view())
        arguments = self.arguments(ctx) | {"output_field": _output_field(ctx)}
        return repair_predictions(samples, **arguments, progress=progress)

    def to_results(
        self, ctx: ExecutionContext, value: MappingDiagnosis
    ) -> dict[str, Any]:
        """What was wrong, how much fits before and after, and the new field."""
        return {
            "field": _output_field(ctx),
            "diagnosis": str(value),
            "causes": [asdict(cause) for cause in value.causes],
        }

    def describe(self, results: dict[str, Any], outputs: types.Object) -> None:
        """Shows what was wrong, and how much fits before and after."""
        outputs.md(markdown(results["diagnosis"]), name="diagnosis")
        if results["causes"]:
            rows = [
                [
                    cause["condition"],
                    f"{percent(cause['share_unchanged'])} of {cause['boxes']}",
                    percent(cause["share"]),
                ]
                for cause in results["causes"]
            ]
            head = ["repair", "match before", "after"]
            outputs.md(markdown_table(head, rows), name="shares")
        outputs.md(
            f"The repaired predictions are in {markdown(results['field'])}. Next: "
            "**COCO Audit: evaluate predictions**",
            name="next",
        )


def _output_field(ctx: ExecutionContext) -> str:
    """The field that the form names, or would."""
    pred_field = ctx.params.get("pred_field") or "predictions"
    return ctx.params.get("output_field") or f"{pred_field}_repaired"
