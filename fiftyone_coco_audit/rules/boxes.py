"""Rules on single boxes: outside, doubled, loose, thin or empty."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from fiftyone_coco_audit.findings import Evidence, Example, rule
from fiftyone_coco_audit.rules._shared import (
    conversion,
    highest,
)
from fiftyone_coco_audit.statistics.shapes import (
    DUPLICATE_IOU,
    TOLERANCE,
    duplicate_pairs,
    quantiles_per_class,
)
from fiftyone_coco_audit.wording import (
    counted,
    named,
    out_of,
    percent,
    pixels,
    plural,
)

if TYPE_CHECKING:
    from fiftyone_coco_audit.statistics.overview import Statistics


@rule(
    "CA301",
    "box-outside-image",
    "error",
    explanation="A box that extends beyond the border teaches the network to draw "
    "boxes where there are no pixels, and some loaders clip it, drop it or stop.",
    advice="Clip the boxes to their images, and check that the labels belong to these "
    "images at their current size.",
    ignore="If your loader clips boxes.",
    reasons={
        "tolerance": (
            "Coordinates that were rounded to whole pixels, or that count from 1, are "
            "off by up to a pixel."
        ),
    },
    example=Example(
        "A box ends 5 pixels to the right of its image.",
        boxes=[("cat", 600, 10, 45, 20)],
    ),
    counterexample=Example(
        "A box ends half a pixel to the right of its image.",
        boxes=[("cat", 600, 10, 40.5, 20)],
    ),
)
def box_outside_image(
    statistics: Statistics, *, tolerance: float = TOLERANCE
) -> Iterator[Evidence]:
    """Finds boxes that extend beyond the border of their image.

    Args:
        statistics: of the images
        tolerance: how far a box may extend beyond the border, in pixels
    """
    shapes = statistics.shapes
    found = np.flatnonzero(shapes.outside > tolerance)
    if not len(found):
        return
    most = float(shapes.outside[found].max())
    gone = found[shapes.visible_share[found] == 0]
    yield Evidence(
        f"{out_of(found, shapes, 'box')} {plural(found, 'extends', 'extend')} beyond "
        f"the border of the image, by up to {pixels(most)}"
        + (
            f"; {len(gone):,} {plural(gone, 'lies', 'lie')} wholly outside"
            if len(gone)
            else ""
        )
        + ".",
        objects=found,
        figures={"objects": len(found), "most_px": most, "wholly_outside": len(gone)},
        advice=conversion(statistics, found),
    )


@rule(
    "CA302",
    "duplicate-annotation",
    "error",
    explanation="An object that is annotated twice counts twice in the loss, and in an "
    "evaluation one of the two is always missed.",
    advice="Keep one annotation of each pair.",
    ignore="If two objects of a class really share one box, such as a poster of a "
    "person.",
    reasons={
        "min_iou": (
            "COCO's strictest threshold; in 179 photos of COCO no two boxes of a class "
            "overlap by more than 0.8."
        ),
    },
    example=Example(
        "Two boxes of one class are the same.", boxes=[("cat", 9, 9, 100, 100)] * 2
    ),
    counterexample=Example(
        "Two boxes of one class overlap by an IoU of 0.9, and one of another class is "
        "the same.",
        boxes=[
            ("cat", 9, 9, 100, 100),
            ("cat", 9, 9, 100, 90),
            ("dog", 9, 9, 100, 100),
        ],
    ),
)
def duplicate_annotation(
    statistics: Statistics, *, min_iou: float = DUPLICATE_IOU
) -> Iterator[Evidence]:
    """Finds objects of one class and image whose boxes are nearly the same.

    Args:
        statistics: of the images
        min_iou: the IoU that the boxes of duplicates exceed
    """
    pairs = duplicate_pairs(statistics.labeled.objects, min_iou)
    found = np.unique(pairs)
    if len(found):
        yield Evidence(
            f"{out_of(found, statistics.shapes, 'object')} are annotated more than "
            f"once: {counted(len(pairs), 'pair')} of the same class "
            f"{plural(pairs, 'has', 'have')} nearly the same box (IoU over "
            f"{min_iou:g}).",
            objects=found,
            figures={"objects": len(found), "pairs": len(pairs)},
        )


@rule(
    "CA303",
    "loose-box",
    "warning",
    explanation="Boxes that are systematically larger than their objects teach the "
    "network to draw loose boxes, which costs AP at high IoU.",
    advice="Replace the boxes of the class by the boxes around its masks.",
    ignore="If you train on masks only, or if boxes are meant to include a margin.",
    reasons={
        "max_looseness": (
            "The median of every class of COCO is 1.0, and 99% of its boxes are below "
            "1.1 (179 photos)."
        ),
        "min_objects": "A median of 10 objects withstands 4 outliers.",
        "min_iou": "Half is COCO's loosest threshold for being the same object.",
    },
    example=Example(
        "The boxes of a class are a quarter wider and higher than its masks.",
        boxes=[("cat", 9, 9, 50, 50)] * 10,
        masks=[(14, 14, 40, 40)] * 10,
    ),
    counterexample=Example(
        "One of 10 boxes is a quarter wider and higher than its mask.",
        boxes=[("cat", 9, 9, 50, 50)] * 10,
        masks=[(14, 14, 40, 40)] + [(9, 9, 50, 50)] * 9,
    ),
)
def loose_box(
    statistics: Statistics,
    *,
    max_looseness: float = 1.2,
    min_objects: int = 10,
    min_iou: float = 0.5,
) -> Iterator[Evidence]:
    """Finds classes whose boxes are larger than those around their masks.

    Args:
        statistics: of the images
        max_looseness: how many times the area of the box around its mask the median
            box of a class may have
        min_objects: how many objects with masks a class needs to be judged
        min_iou: the minimum IoU of a box and the box around its mask; see
            box-mask-mismatch for boxes with less
    """
    shapes = statistics.shapes
    category = statistics.labeled.objects.category
    num_classes = len(statistics.labeled.classes)
    comparable = shapes.mask_iou >= min_iou
    looseness = np.where(comparable, shapes.looseness, np.nan)
    median = quantiles_per_class(looseness, category, num_classes, (0.5,))[:, 0]
    enough = np.bincount(category[comparable], minlength=num_classes) >= min_objects
    worst = highest(median, enough & (median > max_looseness))
    if not len(worst):
        return
    found = np.flatnonzero(np.isin(category, worst) & (looseness > max_looseness))
    names = statistics.classes.names_of(worst)
    yield Evidence(
        "Boxes are larger in area than the boxes around their masks, by a median of "
        f"{named(names, map(percent, median[worst] - 1), '{1} for {0}')} "
        f"({counted(len(found), 'object')}).",
        objects=found,
        classes=names,
        figures={"objects": len(found), "median_looseness": float(median[worst[0]])},
    )


@rule(
    "CA304",
    "box-mask-mismatch",
    "error",
    explanation="The box and the mask of an object are in different places, so one of "
    "the two is wrong or belongs to another object.",
    advice="Check which of the two is right, and redraw the other.",
    ignore="If you train on boxes only and have checked them.",
    reasons={
        "min_iou": (
            "Half is COCO's loosest threshold; in 179 photos of COCO the lowest IoU is "
            "0.82."
        ),
    },
    example=Example(
        "The mask of an object is in the left third of its box only.",
        boxes=[("cat", 9, 9, 90, 60)],
        masks=[(9, 9, 30, 60)],
    ),
    counterexample=Example(
        "A box is 30% wider and higher than its mask.",
        boxes=[("cat", 9, 9, 130, 130)],
        masks=[(24, 24, 100, 100)],
    ),
)
def box_mask_mismatch(
    statistics: Statistics, *, min_iou: float = 0.5
) -> Iterator[Evidence]:
    """Finds boxes that are not where their mask is.

    Args:
        statistics: of the images
        min_iou: the minimum IoU of a box and the box around its mask
    """
    shapes = statistics.shapes
    found = np.flatnonzero(shapes.mask_iou < min_iou)
    if len(found):
        least = float(shapes.mask_iou[found].min())
        yield Evidence(
            f"{out_of(found, shapes, 'box')} {plural(found, 'has', 'have')} an IoU "
            f"under {min_iou:g} with the box around the object's mask; the lowest is "
            f"{least:.2g}.",
            objects=found,
            figures={"objects": len(found), "least_iou": least},
        )


@rule(
    "CA305",
    "extreme-box-aspect-ratio",
    "warning",
    explanation="A box this thin matches no usual anchor and is often a slip of the "
    "mouse.",
    advice="Check whether the boxes are intended; if so, add anchors of such ratios or "
    "use rotated boxes.",
    ignore="If your objects are that long, such as poles, cables or text lines.",
    reasons={
        "max_ratio": (
            "One of 1,449 boxes in 179 photos of COCO is more elongated; 99.9% are "
            "below 17:1."
        ),
    },
    example=Example("A box of 210 x 10 pixels.", boxes=[("cat", 9, 9, 210, 10)]),
    counterexample=Example("A box of 190 x 10 pixels.", boxes=[("cat", 9, 9, 190, 10)]),
)
def extreme_box_aspect_ratio(
    statistics: Statistics, *, max_ratio: float = 20
) -> Iterator[Evidence]:
    """Finds boxes with one side many times as long as the other.

    Those with a side under a pixel are left to degenerate-box.

    Args:
        statistics: of the images
        max_ratio: how many times as long as the other one side of a box may be
    """
    shapes = statistics.shapes
    thin = np.minimum(shapes.width, shapes.height) >= 1
    found = np.flatnonzero(thin & (shapes.elongation > max_ratio))
    if len(found):
        worst = found[shapes.elongation[found].argmax()]
        yield Evidence(
            f"{out_of(found, shapes, 'box')} {plural(found, 'has', 'have')} one side "
            f"over {max_ratio:g} times as long as the other; the thinnest is "
            f"{shapes.width[worst]:,.3g} x {shapes.height[worst]:,.3g} px.",
            objects=found,
            figures={
                "objects": len(found),
                "largest_ratio": float(shapes.elongation[worst]),
            },
        )


@rule(
    "CA306",
    "degenerate-box",
    "error",
    explanation="A box with a side of less than a pixel holds nothing to learn from, "
    "and its loss can become infinite.",
    advice="Remove the labels, or redraw them.",
    ignore="If your loader drops such boxes.",
    reasons={
        "min_side": (
            "Nothing smaller than a pixel can be seen, and torchvision drops smaller "
            "boxes too."
        ),
    },
    example=Example("A box of 40 x 0.5 pixels.", boxes=[("cat", 9, 9, 40, 0.5)]),
    counterexample=Example("A box of 40 x 1 pixels.", boxes=[("cat", 9, 9, 40, 1)]),
)
def degenerate_box(
    statistics: Statistics, *, min_side: float = 1
) -> Iterator[Evidence]:
    """Finds boxes with a side of almost zero.

    Args:
        statistics: of the images
        min_side: the minimum width and height of a box, in pixels
    """
    shapes = statistics.shapes
    found = np.flatnonzero(np.minimum(shapes.width, shapes.height) < min_side)
    if len(found):
        yield Evidence(
            f"{out_of(found, shapes, 'box')} {plural(found, 'has', 'have')} a side of "
            f"less than {min_side:g} px.",
            objects=found,
            figures={"objects": len(found)},
            advice=conversion(statistics, found),
        )
