"""Rules on how large objects are at the network's input."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from fiftyone_coco_audit.findings import Evidence, Example, rule
from fiftyone_coco_audit.rules._shared import WorstClasses, at_input, conversion
from fiftyone_coco_audit.statistics.network_input import LARGEST_INPUT, with_side
from fiftyone_coco_audit.statistics.tiling import propose_tiling
from fiftyone_coco_audit.wording import (
    counted,
    named,
    out_of,
    percent,
    pixels,
    plural,
    quoted,
)

if TYPE_CHECKING:
    from fiftyone_coco_audit.statistics.overview import Statistics


@rule(
    "CA501",
    "tiny-object-at-input",
    "warning",
    explanation="An object smaller than 8 pixels, the finest stride of most detectors, "
    "is smaller than one cell of the finest feature map.",
    advice="Train on a larger input or on tiles, or leave these objects out of "
    "training as ignored regions.",
    ignore="If you do not need these objects.",
    reasons={
        "min_px": (
            "The finest stride of YOLO, RetinaNet and FCOS is 8; 1.4% of COCO's "
            "objects are smaller at 640 (179 photos)."
        ),
    },
    example=Example(
        "A box of 14 x 14 pixels in an image of 1280 x 960 at letterbox 640.",
        size=(1280, 960),
        boxes=[("cat", 9, 9, 14, 14)],
    ),
    counterexample=Example(
        "A box of 14 x 14 pixels in an image of 640 x 480 at letterbox 640.",
        boxes=[("cat", 9, 9, 14, 14)],
    ),
)
def tiny_object_at_input(
    statistics: Statistics, *, min_px: float = 8
) -> Iterator[Evidence]:
    """Finds objects that are tiny at the network's input.

    Args:
        statistics: of the images
        min_px: the minimum size of an object, the square root of its box's area, in
            pixels of the network's input
    """
    size = statistics.network_input.input_size
    found = np.flatnonzero(size < min_px)
    if len(found):
        yield Evidence(
            f"{out_of(found, size, 'object')} "
            f"({percent(len(found) / len(size))}) {plural(found, 'is', 'are')} "
            f"under {min_px:g} px {at_input(statistics.resize)}.",
            objects=found,
            advice=conversion(statistics),
            figures={"objects": len(found), "share": len(found) / len(size)},
        )


@rule(
    "CA502",
    "object-lost-at-input",
    "error",
    explanation="A box with a side of less than one pixel at the network's input is "
    "dropped by some loaders; with others, it trains the network on nothing.",
    advice="Train on a larger input or on tiles, or remove these labels.",
    ignore="If your loader drops such boxes and you do not need them.",
    reasons={
        "min_side": "Nothing smaller than a pixel can be seen.",
    },
    example=Example(
        "A box of 40 x 3 pixels in an image of 4000 x 3000 at letterbox 640.",
        size=(4000, 3000),
        boxes=[("cat", 9, 9, 40, 3)],
    ),
    counterexample=Example(
        "A box of 40 x 3 pixels in an image of 640 x 480 at letterbox 640.",
        boxes=[("cat", 9, 9, 40, 3)],
    ),
)
def object_lost_at_input(
    statistics: Statistics, *, min_side: float = 1
) -> Iterator[Evidence]:
    """Finds boxes that resizing shrinks to almost nothing.

    Those that were so in the file are left to degenerate-box.

    Args:
        statistics: of the images
        min_side: the minimum width and height of a box, in pixels of the network's
            input
    """
    inputs, box = statistics.network_input, statistics.labeled.objects.box
    shortest = np.minimum(inputs.input_width, inputs.input_height)
    found = np.flatnonzero((shortest < min_side) & (box[:, 2:].min(axis=1) >= min_side))
    if len(found):
        yield Evidence(
            f"{out_of(found, inputs, 'object')} "
            f"{plural(found, 'has', 'have')} a side of less than {min_side:g} px "
            f"{at_input(statistics.resize)}.",
            objects=found,
            advice=conversion(statistics),
            figures={"objects": len(found)},
        )


@rule(
    "CA503",
    "class-small-at-input",
    "warning",
    explanation="Many objects of a class are under 16 pixels at the network's input, "
    "where detectors find few and a small shift costs the match.",
    advice="Train on a larger input, such as the one named, or on tiles.",
    ignore="If you do not need the class at that size.",
    reasons={
        "min_px": (
            "Two cells of stride 8; a shift by 3 pixels brings a box of 16 below an "
            "IoU of 0.7."
        ),
        "max_share": (
            "In COCO 11% to 12% of the objects are smaller at 640 (179 photos)."
        ),
        "min_objects": (
            "With 20 objects a share of a quarter is known to within 19 points."
        ),
        "wanted_share": "Single tiny objects should not decide on the input.",
    },
    example=Example(
        "10 of 20 birds are 20 x 20 pixels in an image of 1280 x 960 at letterbox 640.",
        size=(1280, 960),
        boxes=[("bird", 9, 9, 20, 20)] * 10 + [("bird", 9, 9, 90, 90)] * 10,
    ),
    counterexample=Example(
        "10 of 20 birds are 20 x 20 pixels in an image of 640 x 480.",
        boxes=[("bird", 9, 9, 20, 20)] * 10 + [("bird", 9, 9, 90, 90)] * 10,
    ),
)
def class_small_at_input(
    statistics: Statistics,
    *,
    min_px: float = 16,
    max_share: float = 0.25,
    min_objects: int = 20,
    wanted_share: float = 0.95,
) -> Iterator[Evidence]:
    """Finds classes with many objects that are small at the network's input.

    Args:
        statistics: of the images
        min_px: below what size an object is small: the square root of its box's area,
            in pixels of the network's input
        max_share: the share of the objects of a class that may be small
        min_objects: how many objects a class needs to be judged
        wanted_share: the share of each such class that the proposed input brings to
            ``min_px``
    """
    inputs = statistics.network_input
    worst = WorstClasses.of(
        statistics,
        inputs.input_size < min_px,
        max_share=max_share,
        min_objects=min_objects,
    )
    if not len(worst) or statistics.misread is not None:
        return
    sentence = (
        f"{percent(worst.share[0])} of {quoted(worst.names[0])} objects "
        f"({worst.affected[0]:,} of {worst.count[0]:,}) are under {min_px:g} px "
        f"{at_input(statistics.resize)}"
    )
    if len(worst) > 1:
        others = named(worst.names[1:], map(percent, worst.share[1:]), most=2)
        sentence += f", and so are many of {others}"
    figures = {"share": float(worst.share[0]), "objects": len(worst.objects)}
    advice = None
    smallest = inputs.smallest_input(min_px, wanted_share, LARGEST_INPUT)
    sides = None if smallest is None else smallest["side"].iloc[worst.position]
    if sides is not None and sides.isna().any():
        sentence += f"; no input up to {LARGEST_INPUT:,} px is large enough for all"
        advice = "Cut the images into tiles, in training and in inference (SAHI)."
    elif sides is not None:
        side = int(sides.max())
        figures["proposed_side"] = side
        sentence += (
            f"; {with_side(statistics.resize, side)} would bring "
            f"{percent(wanted_share)} of {plural(worst, 'them', 'each')} to that size"
        )
    yield Evidence(
        f"{sentence}.",
        objects=worst.objects,
        classes=worst.names,
        figures=figures,
        advice=advice,
    )


@rule(
    "CA504",
    "most-objects-small",
    "warning",
    explanation="Most objects are under 32 pixels at the network's input, which COCO "
    "calls small, and where detectors reach about half of their usual AP.",
    advice="Train on a larger input or on tiles, add a level of stride 4, and tune by "
    "the AP of small objects.",
    ignore="If the small objects do not matter to you.",
    reasons={
        "min_px": "COCO's limit of small objects.",
        "max_share": (
            "In COCO 34% to 37% of the objects are smaller at 640 (179 photos)."
        ),
        "min_objects": (
            "With 50 objects a share of one half is known to within 13 points."
        ),
    },
    example=Example(
        "60 of 100 objects are 24 x 24 pixels in an image of 640 x 480.",
        boxes=[("cat", 9, 9, 24, 24)] * 60 + [("cat", 9, 9, 90, 90)] * 40,
    ),
    counterexample=Example(
        "40 of 100 objects are 24 x 24 pixels in an image of 640 x 480.",
        boxes=[("cat", 9, 9, 24, 24)] * 40 + [("cat", 9, 9, 90, 90)] * 60,
    ),
)
def most_objects_small(
    statistics: Statistics,
    *,
    min_px: float = 32,
    max_share: float = 0.5,
    min_objects: int = 50,
) -> Iterator[Evidence]:
    """Finds sets with mostly small objects at the network's input.

    Args:
        statistics: of the images
        min_px: below what size an object is small: the square root of its box's area,
            in pixels of the network's input
        max_share: the share of all objects that may be small
        min_objects: how many objects a set needs to be judged
    """
    size = statistics.network_input.input_size
    found = np.flatnonzero(size < min_px)
    if len(size) >= min_objects and len(found) > max_share * len(size):
        yield Evidence(
            f"{percent(len(found) / len(size))} of all objects ({len(found):,} of "
            f"{len(size):,}) are under {min_px:g} px "
            f"{at_input(statistics.resize)}; the median is {pixels(np.median(size))}.",
            objects=found,
            advice=conversion(statistics),
            figures={
                "objects": len(found),
                "share": len(found) / len(size),
                "median_px": float(np.median(size)),
            },
        )


@rule(
    "CA505",
    "tiling-advised",
    "note",
    explanation="No common input size makes the small objects large enough, but tiles "
    "of the images at the present input size would.",
    advice="Cut the images into such tiles, in training and in inference (SAHI).",
    ignore="If you cannot use tiles in inference.",
    reasons={
        "min_px": "As for class-small-at-input.",
        "max_small": "One in twenty is what a larger input would also leave.",
        "largest_input": (
            "A judgment: larger inputs have more than 6 times the pixels of 640."
        ),
        "max_cut": (
            "A judgment: an object that is cut is lost to one tile, so fewer must be "
            "cut than are gained."
        ),
        "min_objects": "With fewer than 20 objects a share of 5% is less than one.",
    },
    example=Example(
        "Objects of 20 x 20 pixels in an image of 4000 x 3000 at letterbox 640.",
        size=(4000, 3000),
        boxes=[("cat", 37 * n, 29 * n, 20, 20) for n in range(100)],
    ),
    counterexample=Example(
        "Objects of 20 x 20 pixels in an image of 1280 x 960.",
        size=(1280, 960),
        boxes=[("cat", 12 * n, 9 * n, 20, 20) for n in range(100)],
    ),
)
def tiling_advised(
    statistics: Statistics,
    *,
    min_px: float = 16,
    max_small: float = 0.05,
    largest_input: int = LARGEST_INPUT,
    max_cut: float = 0.1,
    min_objects: int = 20,
) -> Iterator[Evidence]:
    """Finds sets where tiles leave few objects small, but no common input does.

    Args:
        statistics: of the images
        min_px: below what size an object is small: the square root of its box's area,
            in pixels of the network's input
        max_small: the share of the objects that may be small
        largest_input: the largest side of an input that is tried before tiles are
            advised, in pixels
        max_cut: the maximum share of the objects that tiles may cut
        min_objects: how many objects a set needs to be judged
    """
    labeled, resize = statistics.labeled, statistics.resize
    size = statistics.network_input.input_size
    if resize.mode == "none" or len(size) < min_objects or statistics.misread:
        return
    largest = with_side(resize, max(largest_input, resize.width))
    small = np.flatnonzero(size * (largest.width / resize.width) < min_px)
    if len(small) <= max_small * len(size):
        return
    effect = propose_tiling(labeled, resize, min_px)
    if (
        effect is None
        or effect.share_below(min_px) > max_small
        or effect.num_cut > max_cut * len(size)
    ):
        return
    tiles = effect.num_tiles / len(labeled)
    yield Evidence(
        f"{percent(len(small) / len(size))} of the objects are under {min_px:g} px "
        f"even at {largest}; tiles of {effect.plan.tile} px that overlap by "
        f"{effect.plan.overlap} px, at an input of {effect.input_side} px, leave "
        f"{percent(effect.share_below(min_px))} that small, cut {effect.num_cut:,} of "
        f"{counted(len(size), 'object')}, and number {tiles:.0f} per image.",
        objects=small,
        figures={
            "tile": effect.plan.tile,
            "overlap": effect.plan.overlap,
            "input_side": effect.input_side,
            "tiles_per_image": tiles,
            "cut": effect.num_cut,
            "share_before": float((size < min_px).mean()),
            "share_after": effect.share_below(min_px),
        },
    )


@rule(
    "CA506",
    "input-larger-than-needed",
    "note",
    explanation="Nearly all objects would still be large enough at half the input, "
    "which takes a quarter of the computation and memory.",
    advice="Try the smaller input named here, and compare AP and speed.",
    ignore="If training and inference are fast enough.",
    reasons={
        "min_px": "COCO's limit of small objects.",
        "wanted_share": "Single small objects should not decide on the input.",
        "max_factor": (
            "Half the side is a quarter of the cost; less is not worth training again."
        ),
        "min_objects": (
            "With fewer than 50 objects the smallest percent is less than one."
        ),
    },
    example=Example(
        "99 of 100 objects are 200 x 200 pixels in an image of 640 x 480 at letterbox "
        "640.",
        boxes=[("cat", 9, 9, 200, 200)] * 99 + [("cat", 9, 9, 20, 20)],
    ),
    counterexample=Example(
        "All 100 objects are 60 x 60 pixels in an image of 640 x 480.",
        boxes=[("cat", 9, 9, 60, 60)] * 100,
    ),
)
def input_larger_than_needed(
    statistics: Statistics,
    *,
    min_px: float = 32,
    wanted_share: float = 0.99,
    max_factor: float = 0.5,
    min_objects: int = 50,
) -> Iterator[Evidence]:
    """Finds sets for which a much smaller input would be enough.

    Args:
        statistics: of the images
        min_px: the size that is good enough for an object: the square root of its
            box's area, in pixels of the network's input
        wanted_share: the share of the objects of every class that must have at
            least that size
        max_factor: the maximum side of the smaller input, as a share of the current
        min_objects: how many objects a set needs to be judged
    """
    inputs, resize = statistics.network_input, statistics.resize
    smallest = inputs.smallest_input(min_px, wanted_share, LARGEST_INPUT)
    if smallest is None or len(inputs) < min_objects or statistics.misread:
        return
    sides = smallest["side"][smallest["objects"] > 0]
    if sides.isna().any() or sides.max() > max_factor * resize.width:
        return
    smaller = with_side(resize, int(sides.max()))
    yield Evidence(
        f"At {smaller} {percent(wanted_share)} of the objects of every class would "
        f"still be {min_px:g} px or more, with "
        f"{percent((smaller.width / resize.width) ** 2)} of the pixels of {resize}.",
        figures={"proposed_side": smaller.width},
    )
