"""The rules of what pipelines do to labels (CA6xx), one for each kind of damage."""

from functools import partial
from typing import Any

from fiftyone_coco_audit.augmentation.damage import DEFAULT_THRESHOLDS
from fiftyone_coco_audit.findings import Example, rule

pipeline_rule = partial(rule, needs="pipeline", limits=DEFAULT_THRESHOLDS)


def _transform(name: str, **params: Any) -> dict[str, Any]:
    return {"transform": name, "params": {**params, "p": 1}}


def _pad(border_mode: int, side: int) -> dict[str, Any]:
    sides = {"min_height": side, "min_width": side}
    return _transform("PadIfNeeded", border_mode=border_mode, **sides)


def _dropout(side: int) -> dict[str, Any]:
    sides = {"hole_height_range": (side, side), "hole_width_range": (side, side)}
    return _transform("CoarseDropout", num_holes_range=(1, 1), **sides)


_CROP = _transform("Crop", x_min=0, y_min=0, x_max=100, y_max=100)
_FLIP = _transform("HorizontalFlip")

pipeline_rule(
    "CA601",
    "object-without-box",
    "error",
    explanation="Objects that can still be seen lose their box, so the network learns "
    "that they are background.",
    advice="Lower `min_visibility` and `min_area` of the pipeline's bbox_params, or "
    "use a transform that keeps boxes, such as RandomSizedBBoxSafeCrop.",
    ignore="If these objects are meant to become background.",
    reasons={
        "visible": (
            "A judgment: less than a tenth of an object does not show what it is."
        ),
        "pixels": ("An object of 4 x 4 pixels; below that, single pixels decide."),
    },
    example=Example(
        "A crop with min_visibility=0.9 drops the box of an object that is half "
        "visible.",
        pipeline=_CROP,
        box=(80, 20, 40, 40),
        min_visibility=0.9,
    ),
    counterexample=Example(
        "A flip keeps all boxes.",
        pipeline=_FLIP,
        box=(9, 9, 40, 40),
    ),
)
pipeline_rule(
    "CA602",
    "unlabeled-pixels",
    "error",
    explanation="Parts or mirrored copies of objects are outside of all boxes, so the "
    "network learns that they are background.",
    advice="Pad with a constant (border_mode=0) instead of reflecting or wrapping.",
    ignore="If the copies are too distorted to be recognized.",
    reasons={
        "unlabeled": (
            "A judgment, as for the visible share: less than a tenth shows nothing."
        ),
        "pixels": ("An object of 4 x 4 pixels; below that, single pixels decide."),
    },
    example=Example(
        "PadIfNeeded with reflection (border_mode=4) and min_visibility=0.5 drops the "
        "box of a mirrored copy that the new border cuts.",
        pipeline=_pad(4, 250),
        box=(5, 90, 60, 20),
        min_visibility=0.5,
    ),
    counterexample=Example(
        "PadIfNeeded with a constant (border_mode=0).",
        pipeline=_pad(0, 250),
        box=(5, 90, 60, 20),
        min_visibility=0.5,
    ),
)
pipeline_rule(
    "CA603",
    "multiplied-object",
    "warning",
    explanation="One object has several boxes in the output, mirrored copies with "
    "their own labels, which do not occur in real images.",
    advice="Pad with a constant (border_mode=0) instead of reflecting or wrapping.",
    ignore="If mirrored copies do not harm your task.",
    example=Example(
        "PadIfNeeded with reflection mirrors an object with its box.",
        pipeline=_pad(4, 600),
        box=(90, 90, 20, 20),
    ),
    counterexample=Example(
        "PadIfNeeded with a constant (border_mode=0).",
        pipeline=_pad(0, 600),
        box=(90, 90, 20, 20),
    ),
)
pipeline_rule(
    "CA604",
    "loose-box-after-transform",
    "warning",
    explanation="Boxes become far larger than what is left of their objects, so the "
    "network learns to draw loose boxes.",
    advice="Rotate by multiples of 90 degrees (RandomRotate90) or by a few degrees "
    "only, pad with a constant (border_mode=0), and clip boxes before they are "
    "filtered.",
    ignore="If you train on masks or on rotated boxes.",
    reasons={
        "looseness": (
            "At 1.5 the IoU with the tight box is two thirds, so the label itself "
            "fails COCO's higher thresholds."
        ),
        "slack": "Rounding on each side moves a box by up to two pixels.",
    },
    example=Example(
        "Rotating by 45 degrees doubles the area of the box around a square.",
        pipeline=_transform("Rotate", limit=(45, 45)),
        box=(80, 80, 40, 40),
        mask="ellipse",
    ),
    counterexample=Example(
        "RandomRotate90 keeps boxes tight.",
        pipeline=_transform("RandomRotate90"),
        box=(80, 80, 40, 40),
        mask="ellipse",
    ),
)
pipeline_rule(
    "CA605",
    "empty-box",
    "error",
    explanation="Boxes remain around almost nothing of their objects, so the network "
    "learns to find what is not there.",
    advice="Raise `min_visibility` of the pipeline's bbox_params, for example to 0.1, "
    "and set clip=True.",
    ignore="If the loss ignores boxes without pixels.",
    reasons={
        "held": "A judgment: a twentieth of an object shows nothing of its class.",
    },
    example=Example(
        "A crop leaves only the edge of an object's box, and keeps that box.",
        pipeline=_CROP,
        box=(91, 91, 80, 80),
        mask="ellipse",
    ),
    counterexample=Example(
        "A flip keeps the whole object in its box.",
        pipeline=_FLIP,
        box=(91, 91, 80, 80),
        mask="ellipse",
    ),
)
pipeline_rule(
    "CA606",
    "truncated-by-transform",
    "note",
    explanation="More than half of an object is cut off and a box remains around the "
    "rest, which may show nothing that identifies it.",
    advice="Raise `min_visibility` of the pipeline's bbox_params, or use a larger part "
    "of the image in crops.",
    ignore="If your detector has to find objects that are mostly cut off.",
    reasons={
        "truncated": (
            "A judgment: with more than half cut off, what identifies an object may be "
            "gone."
        ),
    },
    example=Example(
        "A crop to a quarter of the image cuts off two thirds of an object.",
        pipeline=_CROP,
        box=(80, 20, 60, 60),
    ),
    counterexample=Example(
        "A crop cuts off a tenth of an object.",
        pipeline=_CROP,
        box=(46, 20, 60, 60),
    ),
)
pipeline_rule(
    "CA607",
    "object-gone",
    "note",
    explanation="Objects leave the image together with their boxes, which is correct, "
    "but too many lost objects are lost training examples.",
    advice="Use a larger part of the image in crops, or rotate and shift by less.",
    ignore="If enough objects are left, as in most crops.",
    reasons={
        "visible": (
            "A judgment: less than a tenth of an object does not show what it is."
        ),
    },
    example=Example(
        "A crop leaves out an object at the border.",
        pipeline=_CROP,
        box=(120, 120, 40, 40),
    ),
    counterexample=Example(
        "A flip keeps all objects.",
        pipeline=_FLIP,
        box=(120, 120, 40, 40),
    ),
)
pipeline_rule(
    "CA608",
    "shrunk-to-nothing",
    "warning",
    explanation="Objects are resized to fewer than 4 pixels across, too small to learn "
    "from, but keep their boxes.",
    advice="Train on a larger input, or set `min_width` and `min_height` of the "
    "pipeline's bbox_params to 4.",
    ignore="If the loss ignores such small objects.",
    reasons={
        "size": "Half a cell of stride 8, the finest of most detectors.",
    },
    example=Example(
        "Resizing to a tenth turns objects of 30 px into 3 px.",
        pipeline=_transform("Resize", height=20, width=20),
        box=(80, 80, 30, 30),
    ),
    counterexample=Example(
        "Resizing to a half turns objects of 30 px into 15 px.",
        pipeline=_transform("Resize", height=100, width=100),
        box=(80, 80, 30, 30),
    ),
)
pipeline_rule(
    "CA609",
    "occluded-by-dropout",
    "warning",
    explanation="A dropout covers most of an object and its box remains, so the "
    "network learns to find what cannot be seen.",
    advice="Use holes that are smaller than the smallest objects, or fewer of them.",
    ignore="If your detector has to find objects behind others.",
    reasons={
        "occluded": ("A judgment: half of an object mostly still shows what it is."),
    },
    example=Example(
        "CoarseDropout with a hole of 54 px covers most of an object of 64 px.",
        pipeline=_dropout(54),
        side=64,
        box=(0, 0, 64, 64),
    ),
    counterexample=Example(
        "CoarseDropout with a hole of 8 px covers little of an object of 60 px.",
        pipeline=_dropout(8),
        side=64,
        box=(2, 2, 60, 60),
    ),
)
pipeline_rule(
    "CA610",
    "swapped-label",
    "error",
    explanation="A box has the class of another object in the output, or lies on "
    "another object, so the label is wrong.",
    advice="Check how the transform orders boxes and label_fields; a custom transform "
    "must keep them together.",
    ignore="Never: the labels are wrong.",
    example=Example(
        "A custom transform gives boxes the class of another object.",
        pipeline=_FLIP,
        category=1,
        box=(20, 20, 40, 40),
    ),
    counterexample=Example(
        "A flip keeps the class of each box.",
        pipeline=_FLIP,
        box=(20, 20, 40, 40),
    ),
)
pipeline_rule(
    "CA611",
    "degenerate-box-after-transform",
    "warning",
    explanation="Boxes with a side of less than a pixel remain, which many losses turn "
    "into NaN.",
    advice="Set `min_width` and `min_height` of the pipeline's bbox_params to 1 or "
    "more.",
    ignore="If your loss accepts boxes without an area.",
    reasons={
        "thin": "Nothing smaller than a pixel can be seen.",
    },
    example=Example(
        "A crop leaves half a pixel of a box.",
        pipeline=_CROP,
        box=(99.5, 20, 60, 60),
    ),
    counterexample=Example(
        "A crop leaves 6 pixels of a box.",
        pipeline=_CROP,
        box=(94, 20, 60, 60),
    ),
)
