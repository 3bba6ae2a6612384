"""Rules on the sizes and shapes of images, and on what resizing does to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.findings import Evidence, Example, rule
from fiftyone_coco_audit.rules._shared import at
from fiftyone_coco_audit.statistics.images import PIXELS_4K, is_far
from fiftyone_coco_audit.statistics.resizing import propose_sizes
from fiftyone_coco_audit.wording import out_of, percent, plural

if TYPE_CHECKING:
    from fiftyone_coco_audit.statistics.overview import Statistics


@rule(
    "CA201",
    "extreme-image-aspect-ratio",
    "warning",
    explanation="An image that is much longer than the others is mostly padding after "
    "resizing, and its objects become tiny.",
    advice="Cut long images into tiles, or leave them out of training.",
    ignore="If you cut long images into tiles when you load them.",
    reasons={
        "factor": (
            "Of 179 photos of COCO the longest is 2.2 times as elongated as the "
            "median; 4:3 and 3:2 in portrait and landscape stay below 1.2."
        ),
    },
    example=Example(
        "An image of 1600 x 320 among images of 640 x 480.",
        sizes=[(640, 480)] * 9 + [(1600, 320)],
    ),
    counterexample=Example(
        "Images of 480 x 640 among images of 640 x 480.",
        sizes=[(640, 480)] * 9 + [(480, 640)],
    ),
)
def extreme_image_aspect_ratio(
    statistics: Statistics, *, factor: float = 2.5
) -> Iterator[Evidence]:
    """Finds images that are much more elongated than the median.

    Args:
        statistics: of the images
        factor: how many times as elongated (longest / shortest side) as the median
            image an image may be
    """
    images = statistics.images
    if not len(images):
        return
    typical = float(np.median(images.elongation))
    found = np.flatnonzero(images.elongation > factor * typical)
    if len(found):
        longest = found[images.elongation[found].argmax()]
        yield Evidence(
            f"{out_of(found, images, 'image')} {plural(found, 'is', 'are')} over "
            f"{factor:g} times as elongated as the typical {typical:.2f}:1; the "
            f"most extreme is {images.elongation[longest]:.2f}:1 "
            f"({_size(images.size[longest])}).",
            images=found,
            figures={"images": len(found), "typical_ratio": typical},
        )


@rule(
    "CA202",
    "huge-image",
    "note",
    explanation="An image with many times the pixels of the others costs memory and "
    "decoding time in each epoch, for detail that resizing throws away.",
    advice="Store these images at the size of the others, or cut them into tiles.",
    ignore="If decoding is not your bottleneck, or if you train on crops at full size.",
    reasons={
        "min_pixels": ("4K (3840 x 2160) is the largest common size of video."),
        "factor": (
            "Four times the pixels is twice each side, one step of a feature pyramid."
        ),
    },
    example=Example(
        "An image of 3840 x 2160 among images of 640 x 480.",
        sizes=[(640, 480)] * 9 + [(3840, 2160)],
    ),
    counterexample=Example("All images are 3840 x 2160.", sizes=[(3840, 2160)] * 10),
)
def huge_image(
    statistics: Statistics, *, min_pixels: float = PIXELS_4K, factor: float = 4.0
) -> Iterator[Evidence]:
    """Finds images of 4K and above that are much larger than the median.

    Args:
        statistics: of the images
        min_pixels: the minimum number of pixels of a huge image, by default that of 4K
            (3840 x 2160)
        factor: how many times the pixels of the median image it must have, at least
    """
    images = statistics.images
    if not len(images):
        return
    pixels = images.size.prod(axis=1)
    times = pixels / np.median(pixels)
    found = np.flatnonzero((pixels >= min_pixels) & (times >= factor))
    if len(found):
        largest = found[pixels[found].argmax()]
        yield Evidence(
            f"{out_of(found, images, 'image')} {plural(found, 'has', 'have')} "
            f"{min_pixels / 1e6:.1f} megapixels or more; the largest "
            f"({_size(images.size[largest])}) has {times[largest]:.0f} times the "
            "pixels of the median image.",
            images=found,
            figures={"images": len(found), "largest_times": float(times[largest])},
        )


@rule(
    "CA203",
    "mixed-aspect-ratios",
    "note",
    explanation="Many images are far from square in different ways, so no single input "
    "shape fits, and random batches are mostly padding.",
    advice="Group batches by aspect ratio (compute_statistics writes the field "
    "aspect_group) and pad each batch only to its own largest image.",
    ignore="If you resize all images to one shape anyway.",
    reasons={
        "min_saving": (
            "A judgment: a tenth of the training time is worth a line in the data "
            "loader."
        ),
    },
    example=Example(
        "Half of the images are 900 x 300, the others 300 x 900.",
        sizes=[(900, 300), (300, 900)] * 50,
    ),
    counterexample=Example(
        "Half of the images are 640 x 480, the others 480 x 640.",
        sizes=[(640, 480), (480, 640)] * 50,
    ),
)
def mixed_aspect_ratios(
    statistics: Statistics, *, min_saving: float = 0.1
) -> Iterator[Evidence]:
    """Finds sets of the kind "extremes" that grouped batches would serve better.

    Args:
        statistics: of the images
        min_saving: the minimum share of all pixels that grouping must save
    """
    images = statistics.images
    saving = images.rectangular_padding.saving
    if images.kind.name == "extremes" and saving >= min_saving:
        found = np.flatnonzero(is_far(images.aspect_ratio))
        yield Evidence(
            f"{percent(len(found) / len(images))} of the images have an aspect ratio "
            "far from 1 and from the most common one; in batches padded to their "
            f"largest image, grouping by aspect ratio saves {percent(saving)} of the "
            f"pixels {at(statistics.resize)}.",
            images=found,
            figures={"images": len(found), "saving": saving},
        )


@rule(
    "CA204",
    "heavy-padding",
    "warning",
    explanation="Padding costs as much computation and memory as the image, and leaves "
    "fewer pixels for the objects.",
    advice="Resize to the shape of the images, or pad each batch only as far as its "
    "images need, grouped by aspect ratio.",
    ignore="If training is fast enough and small objects are large enough.",
    reasons={
        "max_padding": (
            "Photos of 4:3 in a square have 25% padding and those of 3:2 33%; COCO has "
            "28%, measured on 179 photos."
        ),
    },
    example=Example(
        "Images of 1920 x 1080 at letterbox 640.", sizes=[(1920, 1080)] * 10
    ),
    counterexample=Example(
        "Images of 640 x 480 at letterbox 640.", sizes=[(640, 480)] * 10
    ),
)
def heavy_padding(
    statistics: Statistics, *, max_padding: float = 0.4
) -> Iterator[Evidence]:
    """Finds resizing that makes much of the network's input padding.

    Args:
        statistics: of the images
        max_padding: the share of the network's input, averaged over the images, that
            may be padding
    """
    images, resize = statistics.images, statistics.resize
    if not len(images):
        return
    padding = float(images.padding.mean())
    if padding <= max_padding:
        return
    proposed = propose_sizes(images.size, max(resize.width, resize.height))
    letterboxes = proposed["padding"][proposed.index.str.startswith("letterbox")]
    least, instead = float(letterboxes.min()), f"at {letterboxes.idxmin()}"
    # Among extreme shapes, an input that fits most of them makes the others tiny
    if images.kind.name == "extremes" or least >= padding:
        least = images.rectangular_padding.grouped
        instead = "in batches padded only as needed, grouped by aspect ratio,"
    yield Evidence(
        f"{percent(padding)} of the network's input is padding at {resize}; "
        f"{instead} it would be {percent(least)}.",
        images=np.flatnonzero(images.padding > max_padding),
        figures={"padding": padding, "least_padding": least},
    )


@rule(
    "CA205",
    "distortion",
    "warning",
    explanation="Strongly stretched objects look unlike those that the network was "
    "pretrained on, and anchors fit them worse.",
    advice="Keep the aspect ratio with a letterbox, or stretch to the shape of the "
    "images.",
    ignore="If you deploy the model with the same distortion.",
    reasons={
        "factor": (
            "Photos of 3:2 in a square are stretched 1.5 times, which is common "
            "practice; this is just above."
        ),
        "min_share": (
            "COCO has 6% of such images (179 photos), so a quarter is no accident."
        ),
    },
    example=Example(
        "Images of 1920 x 1080 at stretch 640.",
        sizes=[(1920, 1080)] * 10,
        resize="stretch 640",
    ),
    counterexample=Example(
        "Images of 640 x 480 at stretch 640.",
        sizes=[(640, 480)] * 10,
        resize="stretch 640",
    ),
)
def distortion(
    statistics: Statistics, *, factor: float = 1.6, min_share: float = 0.25
) -> Iterator[Evidence]:
    """Finds resizing that distorts many images by more than 3:2 made square.

    Args:
        statistics: of the images
        factor: how many times more one side of an image may be scaled than the other
        min_share: the share of the images that must be distorted more than that
    """
    times = statistics.images.distortion
    yield from _if_many(statistics, times, factor, min_share, "distorted")


@rule(
    "CA206",
    "images-enlarged",
    "note",
    explanation="Enlarging adds computation but no detail, though it can help with "
    "objects that are small compared to the strides of the network.",
    advice="Try a smaller input, which is faster, and keep the larger one only if it "
    "finds more small objects.",
    ignore="If the larger input finds more of your small objects.",
    reasons={
        "factor": (
            "The usual 800 x 1333 enlarges COCO by a median of 1.9 times, measured on "
            "179 photos."
        ),
        "min_share": "Half of the images is the typical image.",
    },
    example=Example("Images of 240 x 180 at letterbox 640.", sizes=[(240, 180)] * 10),
    counterexample=Example(
        "Images of 640 x 480 at shortest_side 800 max 1333.",
        sizes=[(640, 480)] * 10,
        resize="shortest_side 800 max 1333",
    ),
)
def images_enlarged(
    statistics: Statistics, *, factor: float = 2.0, min_share: float = 0.5
) -> Iterator[Evidence]:
    """Finds resizing that enlarges most images strongly.

    Args:
        statistics: of the images
        factor: how many times an image may be enlarged
        min_share: the share of the images that must be enlarged more than that
    """
    times = statistics.images.magnification
    yield from _if_many(statistics, times, factor, min_share, "enlarged")


@rule(
    "CA207",
    "images-shrunk-much",
    "note",
    explanation="Images are shrunk more than 4 times, so an object of 32 pixels covers "
    "less than one cell of the finest feature map of most detectors.",
    advice="Try a larger input or tiles; check the sizes of the objects at the "
    "network's input first.",
    ignore="If your objects are large enough at the network's input; CA501 to CA504 "
    "measure that.",
    reasons={
        "factor": (
            "32 pixels, the limit of COCO's small objects, become 8, the finest stride "
            "of most detectors."
        ),
        "min_share": "Half of the images is the typical image.",
    },
    example=Example(
        "Images of 4000 x 3000 at letterbox 640.", sizes=[(4000, 3000)] * 10
    ),
    counterexample=Example(
        "Images of 1920 x 1080 at letterbox 640.", sizes=[(1920, 1080)] * 10
    ),
)
def images_shrunk_much(
    statistics: Statistics, *, factor: float = 4.0, min_share: float = 0.5
) -> Iterator[Evidence]:
    """Finds resizing that shrinks most images strongly.

    Args:
        statistics: of the images
        factor: how many times an image may be shrunk
        min_share: the share of the images that must be shrunk more than that
    """
    times = 1 / statistics.images.magnification
    yield from _if_many(statistics, times, factor, min_share, "shrunk")


@rule(
    "CA209",
    "grouping-saves-padding",
    "note",
    explanation="A batch is padded to its largest image, so portrait and landscape "
    "images in one batch pad each other.",
    advice="Group batches by aspect ratio (compute_statistics writes the field "
    "aspect_group), as detectron2 does by default.",
    ignore="If you resize all images to one shape anyway.",
    reasons={
        "min_saving": (
            "A judgment: a tenth of the training time is worth a line in the data "
            "loader; grouping saves COCO 30% at shortest_side 800."
        ),
    },
    example=Example(
        "Half of the images are 640 x 480, the others 480 x 640, at shortest_side 800.",
        sizes=[(640, 480), (480, 640)] * 50,
        resize="shortest_side 800",
    ),
    counterexample=Example(
        "The same images at letterbox 640, which makes all inputs equal.",
        sizes=[(640, 480), (480, 640)] * 50,
    ),
)
def grouping_saves_padding(
    statistics: Statistics, *, min_saving: float = 0.1
) -> Iterator[Evidence]:
    """Finds sets whose inputs vary in shape, so that grouped batches cost less.

    Args:
        statistics: of the images
        min_saving: the minimum share of all pixels that grouping must save
    """
    images = statistics.images
    saving = images.batch_padding.saving
    # For a set of extreme shapes, mixed-aspect-ratios already reports this
    if saving >= min_saving and images.kind.name != "extremes":
        yield Evidence(
            f"{percent(images.batch_padding.random)} of random batches is padding "
            f"{at(statistics.resize)}; grouped by aspect ratio it is "
            f"{percent(images.batch_padding.grouped)}, which saves "
            f"{percent(saving)} of the pixels.",
            figures={"saving": saving},
        )


def _if_many(
    statistics: Statistics,
    times: NDArray[np.float64],
    factor: float,
    min_share: float,
    changed: str,
) -> Iterator[Evidence]:
    """The images that resizing changes strongly, if there are many.

    Args:
        statistics: of the images
        times: ``(N,)`` how many times each image is changed
        factor: how many times is much
        min_share: the share of the images from which on they are many
        changed: what is done to them, as a sentence says it
    """
    found = np.flatnonzero(times > factor)
    if len(found) > min_share * len(times):
        median = float(np.median(times[found]))
        yield Evidence(
            f"{percent(len(found) / len(times))} of the images are {changed} over "
            f"{factor:g} times at {statistics.resize}, by a median of {median:.1f} "
            "times.",
            images=found,
            figures={"images": len(found), "median_times": median},
        )


def _size(size: NDArray[np.float64]) -> str:
    width, height = size
    return f"{width:.0f} x {height:.0f}"
