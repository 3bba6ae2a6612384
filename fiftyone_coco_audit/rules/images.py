"""Rules on the sizes and shapes of images, and on what resizing does to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.coco.documents import MISSING_FILE_TAG
from fiftyone_coco_audit.findings import Evidence, rule
from fiftyone_coco_audit.rules._shared import at
from fiftyone_coco_audit.statistics.images import PIXELS_4K, is_far
from fiftyone_coco_audit.statistics.overview import FEW_IMAGES
from fiftyone_coco_audit.statistics.resizing import propose_sizes
from fiftyone_coco_audit.statistics.series import Unlabeled
from fiftyone_coco_audit.wording import counted, out_of, percent, plural

if TYPE_CHECKING:
    from fiftyone_coco_audit.statistics.overview import Statistics

# Fewer are no sign of anything
_LEAST_UNLABELED = 5
# Fewer will do where they are a quarter of the set
_LEAST_OF_SMALL_SET, _QUARTER = 4, 0.25


@rule(
    "CA201",
    "extreme-image-aspect-ratio",
    "warning",
    explanation="An image that is much longer than the others becomes a sliver when "
    "it is resized like them, and most of what the network gets of it is padding.",
    advice="Cut long images into tiles, or leave them out of training.",
    example="An image of 1600 x 320 among images of 640 x 480.",
    counterexample="Images of 480 x 640 among images of 640 x 480, or only images of "
    "1600 x 320.",
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
            f"{factor:g} times as elongated as the typical {typical:.2f}:1, the "
            f"longest {images.elongation[longest]:.2f}:1 "
            f"({_size(images.size[longest])}).",
            images=found,
            figures={"images": len(found), "typical_ratio": typical},
        )


@rule(
    "CA202",
    "huge-image",
    "note",
    explanation="An image with many times the pixels of the others costs memory and "
    "time to decode in each epoch, for detail that resizing throws away.",
    advice="Store these images at the size of the others, or cut them into tiles.",
    example="An image of 3840 x 2160 among images of 640 x 480.",
    counterexample="Images that are all of 3840 x 2160.",
)
def huge_image(
    statistics: Statistics, *, min_pixels: float = PIXELS_4K, factor: float = 4.0
) -> Iterator[Evidence]:
    """Finds images of 4K and above that are much larger than the median.

    Args:
        statistics: of the images
        min_pixels: the least number of pixels of a huge image, by default that of 4K
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
            f"{min_pixels / 1e6:.1f} megapixels or more; the largest, of "
            f"{_size(images.size[largest])}, has {times[largest]:.0f} times the pixels "
            "of the median image.",
            images=found,
            figures={"images": len(found), "largest_times": float(times[largest])},
        )


@rule(
    "CA203",
    "mixed-aspect-ratios",
    "note",
    explanation="Where many images are far from square in different ways, no single "
    "input shape fits, and batches drawn at random are mostly padding.",
    advice="Group batches by aspect ratio (compute_statistics writes the field "
    "aspect_group) and pad each batch only to its own largest image.",
    example="Half of the images are 900 x 300, the others 300 x 900.",
    counterexample="Half of the images are 640 x 480, the others 480 x 640.",
)
def mixed_aspect_ratios(
    statistics: Statistics, *, min_saving: float = 0.1
) -> Iterator[Evidence]:
    """Finds sets of the kind "extremes" that grouped batches would serve better.

    Args:
        statistics: of the images
        min_saving: the least share of all pixels that grouping must save
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
    explanation="Padding costs as much computation and memory as the image, and "
    "leaves fewer pixels to the objects.",
    advice="Resize to the shape of the images, or pad each batch only as far as its "
    "images need, grouped by aspect ratio.",
    example="Images of 1920 x 1080 are resized by letterbox 640.",
    counterexample="Images of 640 x 480 are resized by letterbox 640.",
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
    # Among extremes, a shape that fits the most of them makes the others tiny
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
    explanation="Stretched far out of shape, objects look unlike those that the "
    "network was pretrained on, and anchors fit them worse.",
    advice="Keep the aspect ratio by letterbox, or stretch to the images' own shape.",
    example="Images of 1920 x 1080 are resized by stretch 640.",
    counterexample="Images of 640 x 480 are resized by stretch 640.",
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
    "objects that are small for the network's strides.",
    advice="Try a smaller input, which is faster, and keep the larger one only if it "
    "finds more small objects.",
    example="Images of 240 x 180 are resized by letterbox 640.",
    counterexample="Images of 640 x 480 are resized by shortest_side 800 max 1333.",
)
def images_enlarged(
    statistics: Statistics, *, factor: float = 2.0, min_share: float = 0.5
) -> Iterator[Evidence]:
    """Finds resizing that enlarges most images much.

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
    explanation="Shrunk more than 4 times, an object of 32 pixels is less than 8 "
    "pixels across, which is one cell of the finest feature map of most detectors.",
    advice="Try a larger input or tiles; the sizes of objects at the network's input "
    "tell whether it is needed.",
    example="Images of 4000 x 3000 are resized by letterbox 640.",
    counterexample="Images of 1920 x 1080 are resized by letterbox 640.",
)
def images_shrunk_much(
    statistics: Statistics, *, factor: float = 4.0, min_share: float = 0.5
) -> Iterator[Evidence]:
    """Finds resizing that shrinks most images much.

    Args:
        statistics: of the images
        factor: how many times an image may be shrunk
        min_share: the share of the images that must be shrunk more than that
    """
    times = 1 / statistics.images.magnification
    yield from _if_many(statistics, times, factor, min_share, "shrunk")


@rule(
    "CA208",
    "image-without-objects",
    "note",
    explanation="An image without labels teaches the network that nothing is there: "
    "good if that is so, harmful if it was not annotated.",
    advice="Check whether these images are meant as negatives, and annotate or remove "
    "those that are not.",
    example="An image has neither objects nor crowd regions.",
    counterexample="An image has only a crowd region.",
)
def image_without_objects(
    statistics: Statistics, *, many: float = 0.1
) -> Iterator[Evidence]:
    """Finds images that have neither objects nor crowd regions.

    It is a warning where they are many, unless their names or folders say that they
    are meant to show nothing. A set in which no image has objects is left to
    no-objects.

    Args:
        statistics: of the images
        many: the share of the images from which on it is a warning
    """
    labeled = statistics.labeled
    if not len(labeled.objects):
        return
    unlabeled = Unlabeled.of(labeled)
    found = unlabeled.images
    if not len(found):
        return
    doubtful = int((~unlabeled.negative).sum())
    share = doubtful / len(labeled)
    least = _LEAST_OF_SMALL_SET if share >= _QUARTER else _LEAST_UNLABELED
    grave = share >= many and doubtful >= least
    signs = _signs_of_no_annotation(unlabeled, statistics) if grave else ""
    told = f" ({percent(len(found) / len(labeled))})" if grave else ""
    yield Evidence(
        f"{out_of(found, labeled, 'image')}{told} {plural(found, 'has', 'have')} "
        f"neither objects nor crowd regions{signs}.",
        images=found,
        figures={
            "images": len(found),
            "alike": int(unlabeled.alike.sum()),
            "named_negative": int(unlabeled.negative.sum()),
            "longest_run": unlabeled.longest_run,
        },
        severity="warning" if grave else None,
        advice="Annotate these images or leave them out of training and evaluation, "
        "but for those that you know to show no object."
        if signs
        else None,
    )


def _signs_of_no_annotation(unlabeled: Unlabeled, statistics: Statistics) -> str:
    """What speaks for it that images were not annotated, rather than negatives."""
    count = len(unlabeled.images)
    signs = []
    if unlabeled.copies:
        signs.append(f"{unlabeled.copies:,} are copies of an image with labels")
    alike = int(unlabeled.alike.sum())
    if 2 * alike >= count:
        signs.append(
            f"{alike:,} are of one folder, size and kind of name with images that "
            "have labels"
        )
    if 4 * unlabeled.longest_run >= count:
        signs.append(f"{unlabeled.longest_run:,} follow one another in the file")
    per_image = statistics.shapes.num_objects
    typical = float(np.median(per_image[per_image > 0]))
    if signs and typical >= 2:
        signs.append(f"the others hold {typical:.0f} objects each in the median")
    return f"; probably they were not annotated: {', '.join(signs)}" if signs else ""


@rule(
    "CA209",
    "grouping-saves-padding",
    "note",
    explanation="A batch is padded to its largest image, so that portrait and "
    "landscape images in one batch make each other padding.",
    advice="Group batches by aspect ratio (compute_statistics writes the field "
    "aspect_group), as detectron2 does by default.",
    example="Half of the images are 640 x 480, the others 480 x 640, at "
    "shortest_side 800.",
    counterexample="The same images at letterbox 640, which makes all inputs equal.",
)
def grouping_saves_padding(
    statistics: Statistics, *, min_saving: float = 0.1
) -> Iterator[Evidence]:
    """Finds sets whose inputs vary in shape, so that grouped batches cost less.

    Args:
        statistics: of the images
        min_saving: the least share of all pixels that grouping must save
    """
    images = statistics.images
    saving = images.batch_padding.saving
    # Of a set of extremes mixed-aspect-ratios has said so already
    if saving >= min_saving and images.kind.name != "extremes":
        yield Evidence(
            f"{percent(images.batch_padding.random)} of random batches is padding "
            f"{at(statistics.resize)}; grouped by aspect ratio it is "
            f"{percent(images.batch_padding.grouped)}, which saves "
            f"{percent(saving)} of the pixels.",
            figures={"saving": saving},
        )


@rule(
    "CA210",
    "few-images",
    "note",
    explanation="Shares and quantiles of few images are rough guesses of those of the "
    "data that the model will meet.",
    advice="Take all shares as rough, and add images before tuning anything on them.",
    example="A set of 13 images.",
    counterexample="A set of 50 images.",
)
def few_images(
    statistics: Statistics, *, min_images: int = FEW_IMAGES
) -> Iterator[Evidence]:
    """Finds sets of few images, and says how sure a share of one half is.

    Args:
        statistics: of the images
        min_images: the least number of images that is enough
    """
    number = len(statistics.images)
    if 0 < number < min_images:
        # Wilson's 95% interval around one half
        margin = 1.96 / (2 * np.sqrt(number + 1.96**2))
        yield Evidence(
            f"The set has only {counted(number, 'image')}: 50% of these may stand for "
            f"anything from {percent(0.5 - margin)} to {percent(0.5 + margin)} of all "
            "such images.",
            figures={"images": number},
        )


@rule(
    "CA211",
    "duplicate-file",
    "warning",
    explanation="A file that several samples show counts several times in training, "
    "and leaks if one of them is for validation.",
    advice="Keep one sample of each file, with all its labels.",
    example="Two samples have the same filepath.",
    counterexample="Two samples have files of the same name in different folders.",
)
def duplicate_file(statistics: Statistics) -> Iterator[Evidence]:
    """Finds samples of the same filepath."""
    import pandas as pd

    filepaths = pd.Series(statistics.labeled.filepaths, dtype=object)
    repeated = filepaths.duplicated(keep=False).to_numpy()
    found = np.flatnonzero(repeated)
    if len(found):
        files = filepaths[repeated].nunique()
        yield Evidence(
            f"{out_of(found, filepaths, 'image')} share a filepath with another: these "
            f"{len(found):,} samples show {counted(files, 'file')}.",
            images=found,
            figures={"files": files, "samples": len(found)},
        )


@rule(
    "CA212",
    "most-files-missing",
    "error",
    explanation="Most image files are not where the dataset says, so most images can "
    "neither be shown nor trained on.",
    advice="Put the missing files into the image folder.",
    example="Of 3 images 2 have the tag missing_file.",
    counterexample="Of 4 images 2 have the tag missing_file.",
    implies=("CA120",),
)
def most_files_missing(
    statistics: Statistics, *, max_share: float = 0.5
) -> Iterator[Evidence]:
    """Finds sets whose import found few of the image files.

    Args:
        statistics: of the images
        max_share: the share of the images whose files may be missing
    """
    labeled = statistics.labeled
    found = np.flatnonzero([MISSING_FILE_TAG in tags for tags in labeled.tags])
    if len(found) <= max_share * len(labeled):
        return
    advice = None
    if len(found) == len(labeled):
        advice = (
            "Import again with the folder that the file names start from, or put the "
            "files there."
        )
    yield Evidence(
        f"The files of {out_of(found, labeled, 'image')} are missing; the first is "
        f"{labeled.filepaths[found[0]]}.",
        images=found,
        figures={"images": len(found)},
        advice=advice,
    )


def _if_many(
    statistics: Statistics,
    times: NDArray[np.float64],
    factor: float,
    min_share: float,
    changed: str,
) -> Iterator[Evidence]:
    """The images that resizing changes much, where they are many.

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
            f"{factor:g} times at {statistics.resize}, these in the median "
            f"{median:.1f} times.",
            images=found,
            figures={"images": len(found), "median_times": median},
        )


def _size(size: NDArray[np.float64]) -> str:
    width, height = size
    return f"{width:.0f} x {height:.0f}"
