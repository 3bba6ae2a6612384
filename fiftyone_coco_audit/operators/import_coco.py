"""The operator ``import_coco``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import fiftyone as fo
from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext
from fiftyone.operators.message import GeneratedMessage

from fiftyone_coco_audit.coco.importer import import_coco
from fiftyone_coco_audit.coco.names import default_dataset_name
from fiftyone_coco_audit.coco.report import import_report
from fiftyone_coco_audit.coco.staging import check_dataset_name
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.operators.base import SdkOperator
from fiftyone_coco_audit.operators.forms import (
    add_label_field,
    add_path,
    check,
    path_of,
    refuse,
)
from fiftyone_coco_audit.operators.reports import (
    add_invalid,
    describe_report,
    report_as_json,
)


class ImportCoco(SdkOperator):
    """Imports COCO files as a new dataset, and opens it."""

    function = staticmethod(import_coco)
    label = "COCO Audit: import a dataset"
    description = "Import a COCO file and its images without loss, as a new dataset"
    icon = "file_open"
    submit = "Import"
    paths = ("annotations", "images_dir", "predictions")

    def fill(self, inputs: types.Object, ctx: ExecutionContext) -> None:
        """Fills the form."""
        add_path(
            inputs,
            ctx,
            "annotations",
            required=True,
            label="Annotations",
            description="A COCO file with instances (.json)",
        )
        add_path(
            inputs,
            ctx,
            "images_dir",
            directory=True,
            label="Images",
            description="The folder that file names in the COCO file are relative to. "
            "Without it, only steps that need pixels are skipped",
        )
        add_path(
            inputs,
            ctx,
            "predictions",
            label="Predictions",
            description="Optional: a list of COCO results, or a COCO file with scores",
        )
        _add_name(inputs, ctx)
        _add_fields(inputs, ctx)
        add_invalid(inputs)

    def call(self, ctx: ExecutionContext, progress: Any) -> fo.Dataset:
        """Imports what the form names."""
        arguments = self.arguments(ctx)
        arguments.setdefault("name", default_dataset_name(arguments["annotations"]))
        return import_coco(**arguments, progress=progress)

    def to_results(self, ctx: ExecutionContext, value: fo.Dataset) -> dict[str, Any]:
        """The name of the dataset and what the import found."""
        return {"dataset": value.name, **report_as_json(import_report(value))}

    def open(
        self, ctx: ExecutionContext, value: fo.Dataset
    ) -> Iterator[GeneratedMessage]:
        """Opens the dataset."""
        yield ctx.ops.open_dataset(value.name)

    def describe(self, results: dict[str, Any], outputs: types.Object) -> None:
        """Shows what the import found."""
        outputs.md(f"Imported as dataset **{results['dataset']}**", name="title")
        describe_report(results, outputs)
        has_predictions = bool(results["counts"]["predictions"])
        following = "evaluate predictions" if has_predictions else "add predictions"
        outputs.md(
            "Next: run **COCO Audit: open the panel** to see what is wrong with the "
            f"data, or **COCO Audit: {following}**.",
            name="next",
        )


def _add_name(inputs: types.Object, ctx: ExecutionContext) -> None:
    description = "Default: the name of the file or its folder"
    with suppress(CocoAuditError):
        if annotations := path_of(ctx, "annotations"):
            description = f"Default: {default_dataset_name(annotations)}"
    prop = inputs.str("name", label="Name of the dataset", description=description)
    name = ctx.params.get("name")
    if not name:
        return
    if name not in fo.list_datasets():
        check(prop, lambda: check_dataset_name(name, overwrite=False))
        return
    inputs.bool(
        "overwrite",
        default=False,
        label="Replace the existing dataset",
        description="It stays unchanged until the new one is complete",
    )
    if not ctx.params.get("overwrite"):
        refuse(prop, f"Dataset {name!r} already exists")


def _add_fields(inputs: types.Object, ctx: ExecutionContext) -> None:
    add_label_field(inputs, ctx, "label_field", "ground_truth", "annotations")
    prop = add_label_field(inputs, ctx, "pred_field", "predictions", "predictions")
    fields = [ctx.params.get(name) for name in ("label_field", "pred_field")]
    if fields[0] == fields[1] is not None:
        refuse(prop, "Choose a different field from the annotations")
