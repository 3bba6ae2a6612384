"""The operator ``simulate_resampling``."""

from __future__ import annotations

from typing import Any

from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext

from fiftyone_coco_audit.escaping import markdown_list, markdown_table
from fiftyone_coco_audit.operators.base import SdkOperator
from fiftyone_coco_audit.operators.forms import HALF, number_of, refuse
from fiftyone_coco_audit.operators.network_forms import add_ground_truth
from fiftyone_coco_audit.statistics.sampling import Resampling, simulate_resampling
from fiftyone_coco_audit.wording import quoted

_MAX_CLASSES = 20

_HEAD = (
    "class",
    "factor",
    "images",
    "after",
    "times",
    "objects",
    "after",
    "weight",
    "by effective number",
)


class SimulateResampling(SdkOperator):
    """Simulates the repetition of images of rare classes."""

    function = staticmethod(simulate_resampling)
    paths = ("weights_path",)
    label = "COCO Audit: simulate resampling"
    description = "Show what repeating images of rare classes does to all classes"
    icon = "balance"
    submit = "Simulate"

    def fill(self, inputs: types.Object, ctx: ExecutionContext) -> None:
        """Fills the form."""
        if add_ground_truth(inputs, ctx):
            _add_parameters(inputs, ctx)

    def call(self, ctx: ExecutionContext, progress: Any) -> Resampling:
        """Simulates what the form asks for."""
        return simulate_resampling(
            ctx.target_view(), **self.arguments(ctx), progress=progress
        )

    def to_results(self, ctx: ExecutionContext, value: Resampling) -> dict[str, Any]:
        """The classes before and after, and the side effects."""
        frame = value.classes().sort_values("images").reset_index()
        return {
            "threshold": value.threshold,
            "epoch_growth": value.effect.epoch_growth,
            "imbalance": [
                value.effect.classes.imbalance.ratio,
                value.effect.imbalance_after.ratio,
            ],
            "classes": frame.to_dict("records"),
            "side_effects": [str(effect) for effect in value.side_effects()],
        }

    def describe(self, results: dict[str, Any], outputs: types.Object) -> None:
        """Shows the classes before and after."""
        before, after = results["imbalance"]
        outputs.md(
            f"At a threshold of {results['threshold']:.3g}, an epoch has "
            f"{results['epoch_growth']:.2f} times as many images. The most common "
            f"class has {before:.3g} times the objects of the rarest before, "
            f"and {after:.3g} times after it.",
            name="sentence",
        )
        rows = [
            [
                quoted(c["class"]),
                f"{c['factor']:.2f}",
                f"{c['images']:,}",
                f"{c['images_after']:,.0f}",
                f"{c['image_gain']:.2f}",
                f"{c['objects']:,}",
                f"{c['objects_after']:,.0f}",
                f"{c['inverse_frequency_weight']:.2f}",
                f"{c['effective_number_weight']:.2f}",
            ]
            for c in results["classes"][:_MAX_CLASSES]
        ]
        outputs.md(markdown_table(_HEAD, rows), name="table")
        more = len(results["classes"]) - _MAX_CLASSES
        if more > 0:
            outputs.md(f"and {more:,} more common classes", name="more")
        if results["side_effects"]:
            effects = markdown_list(results["side_effects"][:10])
            outputs.md(f"Side effects:\n{effects}", name="effects")
        outputs.md(
            "Each image now has a `repeat_factor`. To write the weights for a sampler, "
            "use `simulate_resampling(...).save_weights(path)`.",
            name="next",
        )


def _add_parameters(inputs: types.Object, ctx: ExecutionContext) -> None:
    threshold = inputs.float(
        "threshold",
        label="Threshold",
        description="Repeats classes in a smaller share of images. Default: one that "
        "suits the dataset",
        view=types.TextFieldView(space=HALF),
    )
    exponent = inputs.float(
        "exponent",
        default=0.5,
        label="Exponent",
        description="How strongly to repeat: 0 is not at all, LVIS uses 0.5",
        view=types.TextFieldView(space=HALF),
    )
    inputs.str(
        "weights_path",
        label="Weights file",
        description="Optional: a JSON file to write for a PyTorch "
        "WeightedRandomSampler",
    )
    if not 0 <= (number_of(ctx, "threshold") or 0) <= 1:
        refuse(threshold, "Must be between 0 and 1")
    if (number_of(ctx, "exponent") or 0) < 0:
        refuse(exponent, "Cannot be negative")
