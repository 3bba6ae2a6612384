"""Rules on objects: their sizes and places, and the format of all boxes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from fiftyone_coco_audit.findings import Evidence, Example, rule
from fiftyone_coco_audit.rules._shared import (
    WorstClasses,
    conversion_of,
    highest,
)
from fiftyone_coco_audit.statistics.shapes import (
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

#: Sizes of a class that differ by less than about 10% count as equal
LEAST_SIGMA = 0.1


@rule(
    "CA307",
    "object-fills-image",
    "note",
    explanation="A box around the whole image says what is there but not where, and is "
    "often a label for classification or a default.",
    advice="Check whether the object really fills the image, and draw its box if not.",
    ignore="If your objects fill their images, as in product photos.",
    reasons={
        "min_share": "6 of 1,449 boxes in 179 photos of COCO cover more.",
    },
    example=Example(
        "A box of 639 x 479 pixels in an image of 640 x 480.",
        boxes=[("cat", 0, 0, 639, 479)],
    ),
    counterexample=Example(
        "A box of 600 x 440 pixels in an image of 640 x 480.",
        boxes=[("cat", 20, 20, 600, 440)],
    ),
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
    explanation="Most objects of a class are cut off by the border, so the network "
    "rarely sees a whole one.",
    advice="Add images that show the whole object, or check whether the images were "
    "cut into tiles that are too small.",
    ignore="If objects are also cut off in use, such as at the edge of a conveyor.",
    reasons={
        "max_share": (
            "In COCO 16% of the objects touch the border, and 29% of the class with "
            "the most (179 photos)."
        ),
        "min_objects": (
            "With 20 objects a share of one half is known to within 20 points "
            "(Wilson's 95% interval)."
        ),
    },
    example=Example(
        "15 of 20 objects of a class touch the border.",
        boxes=[("cat", 0, 99, 30, 30)] * 15 + [("cat", 99, 99, 30, 30)] * 5,
    ),
    counterexample=Example(
        "5 of 20 objects of a class touch the border.",
        boxes=[("cat", 0, 99, 30, 30)] * 5 + [("cat", 99, 99, 30, 30)] * 15,
    ),
)
def many_truncated_objects(
    statistics: Statistics, *, max_share: float = 0.5, min_objects: int = 20
) -> Iterator[Evidence]:
    """Finds classes with most of their objects at the border.

    Objects that fill their image are at the border by right, and are not counted.

    Args:
        statistics: of the images
        max_share: the share of the objects of a class that may touch the border
        min_objects: how many objects a class needs to be judged
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
    advice="Check whether the box and the class are right.",
    ignore="If the class really has objects of such sizes.",
    reasons={
        "max_deviation": (
            "Of a normal distribution fewer than one in a million is farther away; it "
            "finds nothing in 179 photos of COCO."
        ),
        "min_objects": (
            "The central 95% of fewer than 50 objects is decided by one or two of them."
        ),
    },
    example=Example(
        "A cat of 3 x 3 pixels among a hundred of 80 x 80 to 160 x 160.",
        boxes=[("cat", 9, 9, 80 + 0.8 * n, 80 + 0.8 * n) for n in range(100)]
        + [("cat", 9, 9, 3, 3)],
    ),
    counterexample=Example(
        "A cat of 60 x 60 pixels among these.",
        boxes=[("cat", 9, 9, 80 + 0.8 * n, 80 + 0.8 * n) for n in range(100)]
        + [("cat", 9, 9, 60, 60)],
    ),
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
        min_objects: how many objects a class needs to be judged
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
        f"{plural(found, 'its', 'their')} class; the most extreme, a "
        f"{named(statistics.classes.names_of(category))}, is "
        f"{pixels(np.sqrt(shapes.area[farthest]))} across; the median is "
        f"{pixels(typical)}.",
        objects=found,
        classes=names,
        figures={"objects": len(found), "sigma": float(deviation[farthest])},
    )


@rule(
    "CA310",
    "crowded-image",
    "note",
    explanation="Many detectors return at most 100 detections of an image, as those of "
    "torchvision and detectron2 do by default, so further objects are missed.",
    advice="Raise the limit of the detector and of the evaluation, or cut these images "
    "into tiles.",
    ignore="If your detector returns more detections.",
    reasons={
        "max_objects": (
            "COCO evaluates 100 detections an image, which is also the default of "
            "torchvision and detectron2."
        ),
    },
    example=Example(
        "An image with 101 objects.",
        boxes=[("cat", 5 * n, 9, 4, 20) for n in range(101)],
    ),
    counterexample=Example(
        "An image with 100 objects.",
        boxes=[("cat", 5 * n, 9, 4, 20) for n in range(100)],
    ),
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
    explanation="A class is nearly always in the same place, so the network may learn "
    "the place instead of the appearance, and miss the class elsewhere.",
    advice="Add images with the class elsewhere, or use augmentations that move "
    "objects, such as crops, shifts or mosaic.",
    ignore="If the camera and the objects also have fixed places in use.",
    reasons={
        "max_share": (
            "The objects of COCO's common classes spread over half of the image (179 "
            "photos); a twentieth is a square of 22% of each side."
        ),
        "min_images": "With 30 images the central 90% is known to a few percent.",
    },
    example=Example(
        "The gauges of 30 images are in the middle, within a tenth of the width and "
        "height.",
        rows=[(n, "gauge", (280 + 2 * n, 220 + n, 30, 30)) for n in range(30)],
    ),
    counterexample=Example(
        "The gauges of 30 images are spread over half of the height and a third of the "
        "width.",
        rows=[(n, "gauge", (200 + 7 * n, 120 + 8 * n, 30, 30)) for n in range(30)],
    ),
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
        min_images: how many images a class needs to be judged
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
    explanation="Many boxes extend beyond their images or have no size, but all fit in "
    "another format, unit or scale, so none of them is where its object is.",
    advice="Convert all boxes to [x, y, width, height] in pixels and import the file "
    "again; do not clip, remove or redraw any.",
    ignore="If you have checked that the boxes are in COCO's format.",
    example=Example(
        "20 boxes are [x1, y1, x2, y2]; read as [x, y, width, height], many of them "
        "extend beyond their images.",
        boxes=[
            ("cat", 200 + 15 * n, 150 + 8 * n, 300 + 15 * n, 230 + 8 * n)
            for n in range(20)
        ],
    ),
    counterexample=Example(
        "One of 20 boxes extends beyond its image.",
        boxes=[("cat", 25 * n, 15 * n, 80, 60) for n in range(19)]
        + [("cat", 600, 400, 80, 60)],
    ),
    # All of these would be about boxes that do not exist
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
        else f"All {count:,} boxes lie in one corner of their images as [x, y, width, "
        "height] in pixels"
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
