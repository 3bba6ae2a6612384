"""The operator ``compare_sets``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import fiftyone as fo
from fiftyone.core.collections import SampleCollection
from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext
from fiftyone.operators.message import GeneratedMessage

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.escaping import markdown_list, markdown_table
from fiftyone_coco_audit.operators.base import SdkOperator
from fiftyone_coco_audit.operators.forms import HALF, add_choice, refuse
from fiftyone_coco_audit.operators.network_forms import add_ground_truth
from fiftyone_coco_audit.statistics.comparing import compare_sets
from fiftyone_coco_audit.statistics.drift import Comparison


class CompareSets(SdkOperator):
    """Compares two parts of a dataset, or two datasets."""

    function = staticmethod(compare_sets)
    label = "COCO Audit: compare two sets"
    description = "Training against validation: what differs in images and classes"
    icon = "compare_arrows"
    submit = "Compare"

    def fill(self, inputs: types.Object, ctx: ExecutionContext) -> None:
        """Fills the form."""
        if add_ground_truth(inputs, ctx):
            choices = _choices(ctx)
            for name, label in (("first", "This set"), ("second", "Against that set")):
                prop = add_choice(
                    inputs,
                    name,
                    choices,
                    types.AutocompleteView,
                    space=HALF,
                    required=True,
                    label=label,
                )
            if ctx.params.get("first") and (
                ctx.params["first"] == ctx.params.get("second")
            ):
                refuse(prop, "Choose another set than the first")

    def call(self, ctx: ExecutionContext, progress: Any) -> Comparison:
        """Compares what the form names."""
        texts = ctx.params["first"], ctx.params["second"]
        first, second = (_samples(ctx, text) for text in texts)
        arguments = self.arguments(ctx) | {"first": first, "second": second}
        arguments.setdefault("names", texts)
        return compare_sets(**arguments, progress=progress)

    def to_results(self, ctx: ExecutionContext, value: Comparison) -> dict[str, Any]:
        """What differs, in words and numbers."""
        properties = value.properties().reset_index()
        return {
            "names": list(value.names),
            "sentences": value.sentences(),
            "class_drift": value.class_drift,
            "properties": properties.astype(object)
            .where(properties.notna(), None)
            .to_dict("records"),
        }

    def open(
        self, ctx: ExecutionContext, value: Comparison
    ) -> Iterator[GeneratedMessage]:
        """Nothing in the App changes."""
        yield from ()

    def describe(self, results: dict[str, Any], outputs: types.Object) -> None:
        """Shows what differs."""
        first, second = results["names"]
        outputs.md(
            markdown_list(results["sentences"])
            or "The two sets are alike in all that is compared.",
            name="text",
        )
        figures = [f"median_{first}", f"median_{second}", "statistic"]
        rows = [
            [p["property"], *(_number(p[figure]) for figure in figures)]
            for p in results["properties"]
        ]
        head = ["median", first, second, "KS"]
        outputs.md(markdown_table(head, rows), name="table")
        outputs.md(
            f"Classes: Cramer's V {results['class_drift']:.2f} (0 alike, 1 disjoint)",
            name="drift",
        )


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3g}"


def _choices(ctx: ExecutionContext) -> list[tuple[str, str]]:
    found = [(f"tag:{tag}", f"tag {tag}") for tag in ctx.dataset.distinct("tags")]
    found += [(f"view:{n}", f"saved view {n}") for n in ctx.dataset.list_saved_views()]
    found.append((f"dataset:{ctx.dataset.name}", "this whole dataset"))
    others = [name for name in fo.list_datasets() if name != ctx.dataset.name]
    return found + [(f"dataset:{name}", f"dataset {name}") for name in others]


def _samples(ctx: ExecutionContext, text: Any) -> SampleCollection:
    if isinstance(text, SampleCollection):
        return text
    kind, _, name = str(text).partition(":")
    if kind == "tag":
        return ctx.dataset.match_tags(name)
    if kind == "view" and name in ctx.dataset.list_saved_views():
        return ctx.dataset.load_saved_view(name)
    if kind == "dataset" and fo.dataset_exists(name):
        return fo.load_dataset(name)
    raise CocoAuditError(
        f"There is no set {text!r} to compare: name 'tag:NAME', 'view:NAME' or "
        "'dataset:NAME'"
    )
