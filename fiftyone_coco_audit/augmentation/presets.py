"""Pipelines to start from: the article's, its bad examples, and what detectors use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# OpenCV's border modes
_CONSTANT, _REFLECT = 0, 4

_Transform = tuple[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Preset:
    """A pipeline to start from.

    Attributes:
        name: the name by which it is chosen
        label: the name that is shown
        description: one sentence on what it is
        harmful: whether it is an example of what not to do
        transforms: names and parameters, by the names of Albumentations 2; other
            versions' names are found when it is built
        box_params: ``A.BboxParams`` by name
    """

    name: str
    label: str
    description: str
    transforms: Sequence[_Transform]
    harmful: bool = False
    box_params: Mapping[str, Any] = field(default_factory=dict)


def _letterbox(size: int, **padding: Any) -> list[_Transform]:
    padding = {"border_mode": _CONSTANT, "fill": 0, **padding}
    return [
        ("LongestMaxSize", {"max_size": size, "p": 1.0}),
        (
            "PadIfNeeded",
            {"min_height": size, "min_width": size, **padding, "p": 1.0},
        ),
    ]


_FLIP: _Transform = ("HorizontalFlip", {"p": 0.5})

#: All presets by name
PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            "minimal",
            "Minimal: letterbox",
            "The minimum: the image is scaled to fit and padded with black. No label "
            "is harmed.",
            _letterbox(640),
        ),
        Preset(
            "final",
            "Final: flip, compression, light, dropout",
            "A moderate pipeline for training: the minimal one with a flip, JPEG "
            "compression, brightness and contrast, and dropouts of up to 32 pixels.",
            [
                *_letterbox(640),
                _FLIP,
                ("ImageCompression", {"quality_range": (70, 100), "p": 0.5}),
                (
                    "RandomBrightnessContrast",
                    {"brightness_limit": 0.3, "contrast_limit": 0.3, "p": 0.5},
                ),
                (
                    "CoarseDropout",
                    {
                        "num_holes_range": (1, 8),
                        "hole_height_range": (8, 32),
                        "hole_width_range": (8, 32),
                        "fill": 0,
                        "p": 0.5,
                    },
                ),
            ],
        ),
        Preset(
            "reflection_padding",
            "Bad: padding by reflection",
            "A bad example: mirrored copies of objects appear in the "
            "padding, with several boxes or with none.",
            _letterbox(640, border_mode=_REFLECT),
            harmful=True,
        ),
        Preset(
            "rotation",
            "Bad: rotation by up to 45 degrees",
            "A bad example: a box that is rotated with its corners is much larger "
            "than its object.",
            [
                *_letterbox(640),
                (
                    "Rotate",
                    {
                        "limit": (-45, 45),
                        "border_mode": _CONSTANT,
                        "fill": 0,
                        "p": 1.0,
                    },
                ),
            ],
            harmful=True,
        ),
        Preset(
            "cropping_rotation",
            "Bad: rotation that crops its border",
            "A bad example: objects that the crop cuts off are lost, or keep a box "
            "around almost nothing.",
            [
                (
                    "Rotate",
                    {
                        "limit": (-45, 45),
                        "border_mode": _CONSTANT,
                        "fill": 0,
                        "crop_border": True,
                        "p": 1.0,
                    },
                ),
                *_letterbox(640),
            ],
            harmful=True,
        ),
        Preset(
            "ultralytics",
            "Ultralytics without mosaic",
            "The default of Ultralytics YOLO without the mosaic: color changes, "
            "scaling by up to half and shifts by up to a tenth on gray, a flip, and "
            "its box filter.",
            [
                *_letterbox(640, fill=114),
                (
                    "Affine",
                    {
                        "scale": (0.5, 1.5),
                        "translate_percent": (-0.1, 0.1),
                        "keep_ratio": True,
                        "border_mode": _CONSTANT,
                        "fill": 114,
                        "p": 1.0,
                    },
                ),
                (
                    "ColorJitter",
                    {
                        "brightness": (0.6, 1.4),
                        "contrast": (1.0, 1.0),
                        "saturation": (0.3, 1.7),
                        "hue": (-0.015, 0.015),
                        "p": 1.0,
                    },
                ),
                _FLIP,
            ],
            box_params={"min_width": 2, "min_height": 2, "min_visibility": 0.1},
        ),
        Preset(
            "ssd",
            "SSD: crop that keeps boxes whole",
            "Like SSD: color changes, a random crop that cuts no box, stretched to "
            "300 x 300, and a flip.",
            [
                (
                    "ColorJitter",
                    {
                        "brightness": (0.875, 1.125),
                        "contrast": (0.5, 1.5),
                        "saturation": (0.5, 1.5),
                        "hue": (-0.05, 0.05),
                        "p": 0.5,
                    },
                ),
                ("RandomSizedBBoxSafeCrop", {"height": 300, "width": 300, "p": 1.0}),
                _FLIP,
            ],
        ),
        Preset(
            "detectron2",
            "Detectron2: shortest side and flip",
            "The default of detectron2: the shortest side is resized to 640 to 800 "
            "pixels, and a flip. Its limit of 1333 for the longest side is left out.",
            [
                (
                    "SmallestMaxSize",
                    {"max_size": [640, 672, 704, 736, 768, 800], "p": 1.0},
                ),
                _FLIP,
            ],
        ),
    )
}
