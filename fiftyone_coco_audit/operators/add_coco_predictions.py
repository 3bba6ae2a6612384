"""The operator ``add_coco_predictions``."""

from __future__ import annotations

from typing import Any

from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext

from fiftyone_coco_audit.coco.importer import add_coco_predictions
from fiftyone_coco_audit.coco.report import ImportReport
from fiftyone_coco_audit.operators.base import SdkOperator
from fiftyone_coco_audit.operators.forms import (
    add_label_field,
    add_path,
    refuse,
    require_dataset,
)
from fiftyone_coco_audit.operators.reports import (
    add_invalid,
    describe_report,
    report_as_json,
)


class AddCocoPredictions(SdkOperator):
    """Adds a file of predictions to the dataset, as a new label field."""

    function = staticmethod(add_coco_predictions)
    label = "COCO Audit: add predictions"
    description = "Add a file of COCO predictions to this dataset, as a new field"
    icon = "playlist_add"
    submit = "Add"
    paths = ("predictions",)

    def fill(self, inputs: types.Object, ctx: ExecutionContext) -> None:
        """Fills the form."""
        require_dataset(ctx)
        add_path(
            inputs,
            ctx,
            "predictions",
            required=True,
            label="Predictions",
            description="A list of COCO results, matched by ids, or a COCO file with "
            "scores, matched by file and category names",
        )
        prop = add_label_field(inputs, ctx, "pred_field", "predictions", "predictions")
        if ctx.params.get("pred_field") in ctx.dataset.get_field_schema():
            inputs.bool("overwrite", default=False, label="Replace the field")
            if not ctx.params.get("overwrite"):
                refuse(prop, f"Dataset {ctx.dataset.name!r} already has this field")
        add_invalid(inputs)

    def call(self, ctx: ExecutionContext, progress: Any) -> ImportReport:
        """Adds the predictions that the form names."""
        return add_coco_predictions(
            ctx.dataset, **self.arguments(ctx), progress=progress
        )

    def to_results(self, ctx: ExecutionContext, value: ImportReport) -> dict[str, Any]:
        """What the import found."""
        return report_as_json(value)

    def describe(self, results: dict[str, Any], outputs: types.Object) -> None:
        """Shows what the import found."""
        describe_report(results, outputs)
        outputs.md("Next: **COCO Audit: evaluate predictions**", name="next")
