"""The colors of a dataset in an App that already shows it."""

from __future__ import annotations

from typing import Any

from fiftyone.core.state import build_color_scheme
from fiftyone.operators.executor import ExecutionContext
from fiftyone.operators.message import GeneratedMessage

# The App's names for them
_NAMES = {
    "color_by": "colorBy",
    "color_pool": "colorPool",
    "opacity": "opacity",
    "fields": "fields",
    "label_tags": "labelTags",
    "multicolor_keypoints": "multicolorKeypoints",
    "show_skeletons": "showSkeletons",
    "default_mask_targets_colors": "defaultMaskTargetsColors",
}


def show_colors(ctx: ExecutionContext) -> GeneratedMessage:
    """Shows the color scheme of the dataset.

    The App reads it only when it opens a dataset, and that would close all panels.

    Args:
        ctx: the context of an operator that has changed the color scheme
    """
    scheme: Any = build_color_scheme(None, ctx.dataset)
    return ctx.trigger(
        "set_color_scheme",
        {name: getattr(scheme, key) for key, name in _NAMES.items()},
    )
