"""Rules on objects: their boxes and masks, and their sizes and places."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from fiftyone_coco_audit.findings import Evidence, rule
from fiftyone_coco_audit.rules._shared import (
    WorstClasses,
    conversion,
    conversion_of,
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

#: Over this share of the image an object fills it
FILLING = 0.95

#: Sizes of a class that differ by less than some 10% are as good as equal
LEAST_SIGMA = 0.1


@rule(
    "CA301",
    "box-outside-image",
    "error",
    explanation="A box that reaches over the border teaches the network to draw boxes "
    "where there are no pixels, and some loaders cut it, drop it, or stop at it.",
    advice="Clip the boxes to their images, and check that the labels belong to these "
    "images and to their present size.",
    example="A box ends 5 pixels to the right of its image.",
    counterexample="A box ends half a pixel to the right of its image.",
)
def box_outside_image(
    statistics: Statistics, *, tolerance: float = TOLERANCE
) -> Iterator[Evidence]:
    """Finds boxes that reach over the border of their image.

    Args:
        statistics: of the images
        tolerance: how far a box may reach over the border, in pixels
    """
    shapes = statistics.shapes
    found = np.flatnonzero(shapes.outside > tolerance)
    if not len(found):
        return
    most = float(shapes.outside[found].max())
    gone = found[shapes.visible_share[found] == 0]
    yield Evidence(
        f"{out_of(found, shapes, 'box')} {plural(found, 'reaches', 'reach')} over the "
        f"border of the image, by up to {pixels(most)}"
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
    explanation="An object that is annotated twice counts twice in the loss, and in "
    "evaluation one of the two is always missed.",
    advice="Keep one of the annotations of each pair.",
    example="Two boxes of one class are the same.",
    counterexample="Two boxes of one class overlap by an IoU of 0.9, or two of "
    "different classes are the same.",
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
    example="The boxes of a class are a quarter wider and higher than its masks.",
    counterexample="One box of many is a quarter wider and higher than its mask.",
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
        min_objects: the least number of objects with masks of a class to judge it by
        min_iou: the least IoU of a box and the box around its mask; less is no loose
            box but one of another place, see box-mask-mismatch
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
        "Boxes are larger in area than those around their masks, by a median of "
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
    explanation="The box and the mask of an object are at different places, so one of "
    "the two is wrong, or belongs to another object.",
    advice="Check which of the two is right, and redraw the other.",
    example="The mask of an object is in the left third of its box only.",
    counterexample="The box of an object is 30% wider and higher than its mask.",
)
def box_mask_mismatch(
    statistics: Statistics, *, min_iou: float = 0.5
) -> Iterator[Evidence]:
    """Finds boxes that are not where their mask is.

    Args:
        statistics: of the images
        min_iou: the least IoU of a box and the box around its mask
    """
    shapes = statistics.shapes
    found = np.flatnonzero(shapes.mask_iou < min_iou)
    if len(found):
        least = float(shapes.mask_iou[found].min())
        yield Evidence(
            f"{out_of(found, shapes, 'box')} {plural(found, 'has', 'have')} an IoU "
            f"under {min_iou:g} with the box around the object's mask, the least being "
            f"{least:.2g}.",
            objects=found,
            figures={"objects": len(found), "least_iou": least},
        )


@rule(
    "CA305",
    "extreme-box-aspect-ratio",
    "warning",
    explanation="A box this thin matches no usual anchor and is often a slip of the "
    "mouse; a shift by a few pixels halves its IoU.",
    advice="Check whether the boxes are meant, and if so, add anchors of such ratios "
    "or use rotated boxes.",
    example="A box of 210 x 10 pixels.",
    counterexample="A box of 190 x 10 pixels.",
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
            f"over {max_ratio:g} times as long as the other, the thinnest being "
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
    explanation="A box with a side of less than a pixel holds nothing to be learned, "
    "and its loss can become infinite.",
    advice="Remove the labels, or redraw them.",
    example="A box of 40 x 0.5 pixels.",
    counterexample="A box of 40 x 1 pixels.",
)
def degenerate_box(
    statistics: Statistics, *, min_side: float = 1
) -> Iterator[Evidence]:
    """Finds boxes with a side of next to nothing.

    Args:
        statistics: of the images
        min_side: the least width and height of a box, in pixels
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


@rule(
    "CA307",
    "object-fills-image",
    "note",
    explanation="A box around the whole image says what is there but not where; it is "
    "often a label of classification, or a default.",
    advice="Check whether the object really fills the image, and draw its box if not.",
    example="A box of 639 x 479 pixels in an image of 640 x 480.",
    counterexample="A box of 600 x 440 pixels in an image of 640 x 480.",
)
def object_fills_image(
    statistics: Statistics, *, min_share: float = FILLING
) -> Iterator[Evidence]:
    """Finds boxes that cover nearly all of their image.

    Args:
        statistics: of the images
        min_share: the share of the image that a box that fills it exceeds
    """
    shapes = statistics.shapes
    found = np.flatnonzero(shapes.image_share > min_share)
    if len(found):
        yield Evidence(
            f"{out_of(found, shapes, 'box')} {plural(found, 'covers', 'cover')} over "
            f"{percent(min_share)} of the image.",
            objects=found,
            figures={"objects": len(found)},
        )


@rule(
    "CA308",
    "many-truncated-objects",
    "note",
    explanation="Where most objects of a class are cut off by the border, the network "
    "seldom sees a whole one.",
    advice="Add images that show the class whole, or check whether the images were cut "
    "into tiles too small for it.",
    example="15 of 20 objects of a class touch the border.",
    counterexample="5 of 20 objects of a class touch the border.",
)
def many_truncated_objects(
    statistics: Statistics, *, max_share: float = 0.5, min_objects: int = 20
) -> Iterator[Evidence]:
    """Finds classes with most of their objects at the border.

    Objects that fill their image are at the border by right, and are not counted.

    Args:
        statistics: of the images
        max_share: the share of the objects of a class that may touch the border
        min_objects: the least number of objects of a class to judge it by
    """
    shapes = statistics.shapes
    truncated = shapes.truncated & (shapes.image_share <= FILLING)
    worst = WorstClasses.of(
        statistics, truncated, max_share=max_share, min_objects=min_objects
    )
    if len(worst):
        yield Evidence(
            f"Over {percent(max_share)} of the objects of "
            f"{named(worst.names, map(percent, worst.share))} touch the border of "
            "their image.",
            objects=worst.objects,
            classes=worst.names,
            figures={"objects": len(worst.objects), "share": float(worst.share[0])},
        )


@rule(
    "CA309",
    "size-outlier",
    "warning",
    explanation="An object far larger or smaller than others of its class often has "
    "the wrong class, or a box drawn by accident.",
    advice="Check whether box and class are right.",
    example="A cat of 3 x 3 pixels among a hundred of 80 x 80 to 160 x 160.",
    counterexample="A cat of 60 x 60 pixels among these.",
)
def size_outlier(
    statistics: Statistics, *, max_deviation: float = 5, min_objects: int = 50
) -> Iterator[Evidence]:
    """Finds objects that are much larger or smaller than others of their class.

    Sizes are logarithms of the square root of the area, once in pixels and once as a
    share of the image; an outlier is one in both. The standard deviation is that of a
    normal distribution with the same central 95%, which neither a few outliers nor a
    class of both close and far objects lead astray.

    Args:
        statistics: of the images
        max_deviation: how many standard deviations from the median of its class the
            logarithm of an object's size may be
        min_objects: the least number of objects of a class to judge it by
    """
    shapes, objects = statistics.shapes, statistics.labeled.objects
    num_classes = len(statistics.labeled.classes)
    measurable = (shapes.area > 0) & (shapes.relative_area > 0)
    deviation = np.full(len(shapes), np.inf)
    for area in (shapes.area, shapes.relative_area):
        size = np.log(np.where(measurable, area, np.nan)) / 2
        low, median, high = quantiles_per_class(
            size, objects.category, num_classes, (0.025, 0.5, 0.975)
        )[objects.category].T
        sigma = np.maximum((high - low) / (2 * 1.96), LEAST_SIGMA)
        deviation = np.minimum(deviation, np.abs(size - median) / sigma)
    count = np.bincount(objects.category, minlength=num_classes)
    enough = count[objects.category] >= min_objects
    found = np.flatnonzero(enough & (deviation > max_deviation))
    if not len(found):
        return
    farthest = found[deviation[found].argmax()]
    category = objects.category[[farthest]]
    typical = np.sqrt(np.median(shapes.area[objects.category == category]))
    names = statistics.classes.names_of(np.unique(objects.category[found]))
    yield Evidence(
        f"{out_of(found, shapes, 'object')} {plural(found, 'is', 'are')} over "
        f"{max_deviation:g} standard deviations from the usual size of "
        f"{plural(found, 'its', 'their')} class; the farthest, a "
        f"{named(statistics.classes.names_of(category))}, is "
        f"{pixels(np.sqrt(shapes.area[farthest]))} across, where the median is "
        f"{pixels(typical)}.",
        objects=found,
        classes=names,
        figures={"objects": len(found), "sigma": float(deviation[farthest])},
    )


@rule(
    "CA310",
    "crowded-image",
    "note",
    explanation="Many detectors return at most 100 detections of an image, such as "
    "those of torchvision and detectron2 by default, so further objects are missed.",
    advice="Raise the detector's limit of detections and that of the evaluation, or "
    "cut these images into tiles.",
    example="An image with 101 objects.",
    counterexample="An image with 100 objects.",
)
def crowded_image(
    statistics: Statistics, *, max_objects: int = 100
) -> Iterator[Evidence]:
    """Finds images with more objects than can be detected.

    Args:
        statistics: of the images
        max_objects: the most detections that the detector returns for an image
    """
    num_objects = statistics.shapes.num_objects
    found = np.flatnonzero(num_objects > max_objects)
    if len(found):
        lost = int((num_objects[found] - max_objects).sum())
        yield Evidence(
            f"{out_of(found, num_objects, 'image')} "
            f"{plural(found, 'has', 'have')} more than {max_objects:,} objects, up to "
            f"{num_objects.max():,}; at {max_objects:,} detections an image "
            f"{counted(lost, 'object')} cannot be found.",
            images=found,
            figures={"images": len(found), "objects_beyond": lost},
        )


@rule(
    "CA311",
    "position-bias",
    "note",
    explanation="Where a class is nearly always at the same place, the network may "
    "learn the place instead of the looks, and miss the class elsewhere.",
    advice="Add images with the class elsewhere, or use augmentations that move "
    "objects: crops, shifts, mosaic.",
    example="The gauges of 30 images are in the middle, to a tenth of width and "
    "height.",
    counterexample="The gauges of 30 images are anywhere in the middle half of the "
    "height.",
)
def position_bias(
    statistics: Statistics, *, max_share: float = 0.05, min_images: int = 30
) -> Iterator[Evidence]:
    """Finds classes whose objects nearly all have their centers at one place.

    Nearly all is the central 90% in each direction.

    Args:
        statistics: of the images
        max_share: the share of the image that these centers must be spread over, at
            least
        min_images: the least number of images with a class to judge it by
    """
    shapes, objects = statistics.shapes, statistics.labeled.objects
    window = shapes.central_window
    share = (window[:, 2:] - window[:, :2]).prod(axis=1)
    images = statistics.classes.images
    worst = highest(-share, (images >= min_images) & (share < max_share))
    if not len(worst):
        return
    names = statistics.classes.names_of(worst)
    place = window[objects.category]
    inside = (shapes.center >= place[:, :2]) & (shapes.center <= place[:, 2:])
    found = np.flatnonzero(inside.all(axis=1) & np.isin(objects.category, worst))
    concerned = np.isin(objects.category, worst).sum()
    place_of_all = f"the same {percent(share[worst].max())} of the image"
    if not share[worst].max():
        place_of_all = "the same place"
    elif len(names) > 1:
        place_of_all += " or less"
    yield Evidence(
        f"{percent(len(found) / concerned)} of the objects of {named(names)} have "
        f"their centers in {place_of_all}.",
        objects=found,
        classes=names,
        figures={"objects": len(found), "share_of_image": float(share[worst[0]])},
    )


@rule(
    "CA312",
    "wrong-box-format",
    "error",
    explanation="Many boxes leave their images or have no size, and all fit if they "
    "are read in another format, unit or scale: none of them is where its object is.",
    advice="Convert all boxes to [x, y, width, height] in pixels and import the file "
    "again; do not clip, remove or redraw any.",
    example="20 boxes are [x1, y1, x2, y2], of which many leave their images as "
    "[x, y, width, height].",
    counterexample="Of 20 boxes one leaves its image.",
    # All of these would be about boxes that are not there
    implies=(
        "CA301",
        "CA303",
        "CA304",
        "CA305",
        "CA306",
        "CA307",
        "CA308",
        "CA309",
        "CA311",
        "CA314",
        "CA315",
        "CA316",
        "CA409",
        "CA50",
        "CA51",
    ),
)
def wrong_box_format(statistics: Statistics) -> Iterator[Evidence]:
    """Finds boxes that fit their images in another format, unit or scale only.

    Formats are corners and centers, with x or y first; units are the share of the
    image, percent and thousandths; a scale is the same for all images.

    Args:
        statistics: of the images
    """
    misread, count = statistics.misread, len(statistics.shapes)
    if misread is None:
        return
    wrong = round((1 - misread.share_as_read) * count)
    as_read = (
        f"{wrong:,} of {count:,} boxes ({percent(wrong / count)}) do not fit their "
        "images as [x, y, width, height] in pixels"
        if wrong >= 0.03 * count
        else f"All {count:,} boxes keep to one corner of their images as "
        "[x, y, width, height] in pixels"
    )
    yield Evidence(
        f"{as_read}, while {percent(misread.share)} fit as {misread.meaning}.",
        objects=np.arange(count),
        figures={
            "objects": count,
            "share_as_read": misread.share_as_read,
            "share": misread.share,
            "format": str(misread.meaning),
        },
        advice=conversion_of(misread.meaning),
    )
