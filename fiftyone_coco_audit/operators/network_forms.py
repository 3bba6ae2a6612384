"""What the forms about statistics share: the label field, resizing and anchors."""

from __future__ import annotations

from typing import Any

from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext

from fiftyone_coco_audit.operators.forms import (
    HALF,
    add_choice,
    check,
    detections_fields,
    require_dataset,
    with_choices,
)
from fiftyone_coco_audit.statistics.anchor_presets import DEFAULT_ANCHORS
from fiftyone_coco_audit.statistics.anchor_sets import PRESETS, AnchorSet
from fiftyone_coco_audit.statistics.resizing import DEFAULT_RESIZE, ResizePolicy

#: The usual settings of detectors
_POLICIES = [
    "letterbox 640",
    "letterbox 1280",
    "stretch 512x512",
    "longest_side 1024",
    "shortest_side 800 max 1333",
    "none",
]


def add_ground_truth(inputs: types.Object, ctx: ExecutionContext) -> bool:
    """Adds the choice of the ground truth.

    Returns:
        whether there is a field of detections at all
    """
    require_dataset(ctx)
    fields = detections_fields(ctx.target_view())
    if not fields:
        inputs.view(
            "message",
            types.Warning(
                label="This dataset has no field of detections",
                description="Run COCO Audit: import a dataset first.",
            ),
        ).invalid = True
        return False
    add_choice(
        inputs,
        "label_field",
        fields,
        default="ground_truth" if "ground_truth" in fields else fields[0],
        label="Ground truth",
    )
    return True


def add_network(inputs: types.Object, ctx: ExecutionContext) -> None:
    """Adds how images are resized, and the anchors of the detector."""
    resize = inputs.str(
        "resize",
        default=str(DEFAULT_RESIZE),
        label="Resize policy",
        description="From the list, or text such as: stretch 300x200",
        view=with_choices(_suggested(), _POLICIES),
    )
    anchors = inputs.str(
        "anchors",
        default=DEFAULT_ANCHORS.name,
        label="Anchors of the detector",
        description="A preset, or text: sizes 32,64,128 ratios .5,1,2 strides 8,16,32",
        view=with_choices(_suggested(), PRESETS),
    )
    for prop, name, parse in (
        (resize, "resize", ResizePolicy.parse),
        (anchors, "anchors", AnchorSet.parse),
    ):
        value = ctx.params.get(name)
        if value:
            _check_text(prop, parse, value)


def _check_text(prop: types.Property, parse: Any, value: Any) -> None:
    check(prop, lambda: parse(value))


def _suggested() -> types.AutocompleteView:
    return types.AutocompleteView(space=HALF, allow_user_input=True)
