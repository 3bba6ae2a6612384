"""The operator ``compare_sets``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import fiftyone as fo
from bson import json_util
from fiftyone.core.collections import SampleCollection
from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext
from fiftyone.operators.message import GeneratedMessage

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.escaping import markdown_list, markdown_table
from fiftyone_coco_audit.fiftyone_internals import root_dataset, stages_of, with_stages
from fiftyone_coco_audit.operators.base import SdkOperator
from fiftyone_coco_audit.operators.forms import HALF, add_choice, refuse
from fiftyone_coco_audit.operators.network_forms import add_ground_truth
from fiftyone_coco_audit.statistics.comparing import compare_sets
from fiftyone_coco_audit.statistics.drift import Comparison

# The text for a view without a name
_STAGES = "stages:"


class CompareSets(SdkOperator):
    """Compares two parts of a dataset, or two datasets."""

    function = staticmethod(compare_sets)
    label = "COCO Audit: compare two sets"
    description = "Compare images and classes of two sets, such as train and val"
    icon = "compare_arrows"
    submit = "Compare"

    def fill(self, inputs: types.Object, ctx: ExecutionContext) -> None:
        """Fills the form."""
        if add_ground_truth(inputs, ctx):
            choices = _choices(ctx)
            for name, label in (("first", "First set"), ("second", "Second set")):
                prop = add_choice(
                    inputs,
                    name,
                    choices,
                    types.AutocompleteView(space=HALF),
                    required=True,
                    label=label,
                    description="A tag, a saved view, or a dataset",
                )
            if ctx.params.get("first") and (
                ctx.params["first"] == ctx.params.get("second")
            ):
                refuse(prop, "Choose a different set from the first")

    def scheduled(self, params: dict[str, Any]) -> dict[str, Any]:
        """The arguments as a scheduled call keeps them: sets as text."""
        return {
            name: _as_text(value) if isinstance(value, SampleCollection) else value
            for name, value in params.items()
        }

    def call(self, ctx: ExecutionContext, progress: Any) -> Comparison:
        """Compares what the form names."""
        texts = ctx.params["first"], ctx.params["second"]
        first, second = (_samples(ctx, text) for text in texts)
        arguments = self.arguments(ctx) | {"first": first, "second": second}
        if not any(str(text).startswith(_STAGES) for text in texts):
            arguments.setdefault("names", _names(*map(str, texts)))
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
            markdown_list(results["sentences"]) or "The two sets do not differ much.",
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
            "KS and Cramér's V are 0 for equal distributions and 1 for distributions "
            "without a common value. Cramér's V of the classes is "
            f"{results['class_drift']:.2f}.",
            name="drift",
        )


def _names(first: str, second: str) -> tuple[str, str]:
    """What two sets are called: their names, with their kinds if these are equal."""
    names = first.partition(":")[2], second.partition(":")[2]
    return (first, second) if names[0] == names[1] else names


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3g}"


def _choices(ctx: ExecutionContext) -> list[tuple[str, str]]:
    found = [(f"tag:{tag}", f"tag {tag}") for tag in ctx.dataset.distinct("tags")]
    found += [(f"view:{n}", f"saved view {n}") for n in ctx.dataset.list_saved_views()]
    found.append((f"dataset:{ctx.dataset.name}", "this whole dataset"))
    others = [name for name in fo.list_datasets() if name != ctx.dataset.name]
    found += [(f"dataset:{name}", f"dataset {name}") for name in others]
    given = (str(ctx.params.get(name)) for name in ("first", "second"))
    # A scheduled call may refer to views without a name
    return found + [(text, "a view") for text in given if text.startswith(_STAGES)]


def _as_text(samples: SampleCollection) -> str:
    """A set as text that :func:`_samples` understands, whoever reads it."""
    name = root_dataset(samples).name
    stages = stages_of(samples)
    if stages is None:
        return f"dataset:{name}"
    return _STAGES + json_util.dumps({"dataset": name, "stages": stages})


def _samples(ctx: ExecutionContext, text: Any) -> SampleCollection:
    if isinstance(text, SampleCollection):
        return text
    kind, _, name = str(text).partition(":")
    if kind == "tag":
        return ctx.dataset.match_tags(name)
    if kind == "view" and name in ctx.dataset.list_saved_views():
        return ctx.dataset.load_saved_view(name)
    if str(text).startswith(_STAGES):
        view = json_util.loads(name)
        if fo.dataset_exists(view["dataset"]):
            return with_stages(fo.load_dataset(view["dataset"]), view["stages"])
    if kind == "dataset" and fo.dataset_exists(name):
        return fo.load_dataset(name)
    raise CocoAuditError(
        f"No such set: {text!r}. Use 'tag:NAME', 'view:NAME' or 'dataset:NAME'"
    )
