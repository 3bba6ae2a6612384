"""Rules on images as samples: how many, without objects, repeated or missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from fiftyone_coco_audit.coco.documents import MISSING_FILE_TAG
from fiftyone_coco_audit.findings import Evidence, Example, rule
from fiftyone_coco_audit.statistics.overview import FEW_IMAGES
from fiftyone_coco_audit.statistics.series import Unlabeled
from fiftyone_coco_audit.wording import counted, out_of, percent, plural

if TYPE_CHECKING:
    from fiftyone_coco_audit.statistics.overview import Statistics

# Fewer are not significant
_LEAST_UNLABELED = 5
# Fewer are significant if they are a quarter of the set
_LEAST_OF_SMALL_SET, _QUARTER = 4, 0.25


@rule(
    "CA208",
    "image-without-objects",
    "note",
    explanation="An image without labels teaches the network that nothing is there, "
    "which is right for negatives and wrong for images that were not annotated.",
    advice="Check whether these images are meant as negatives, and annotate or remove "
    "the others.",
    ignore="If these images are meant to show no objects.",
    reasons={
        "many": (
            "A judgment: fewer than a tenth rarely change a detector, whether they are "
            "negatives or not."
        ),
    },
    example=Example(
        "One of two images has neither objects nor crowd regions.", shown=[["cat"], []]
    ),
    counterexample=Example(
        "One of two images has only a crowd region.", shown=[["cat"], []], crowds=[0, 1]
    ),
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
        many: the share of the images from which the finding is a warning
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
        "except those that you know show no objects."
        if signs
        else None,
    )


def _signs_of_no_annotation(unlabeled: Unlabeled, statistics: Statistics) -> str:
    """Signs that images were not annotated, rather than negatives."""
    count = len(unlabeled.images)
    signs = []
    if unlabeled.copies:
        signs.append(f"{unlabeled.copies:,} are copies of an image with labels")
    alike = int(unlabeled.alike.sum())
    if 2 * alike >= count:
        signs.append(
            f"{alike:,} have the same folder, size and kind of name as images with "
            "labels"
        )
    if 4 * unlabeled.longest_run >= count:
        signs.append(f"{unlabeled.longest_run:,} follow one another in the file")
    per_image = statistics.shapes.num_objects
    typical = float(np.median(per_image[per_image > 0]))
    if signs and typical >= 2:
        signs.append(f"the others have a median of {typical:.0f} objects")
    return f"; probably they were not annotated: {', '.join(signs)}" if signs else ""


@rule(
    "CA210",
    "few-images",
    "note",
    explanation="Shares and quantiles of a few images are rough estimates of the data "
    "that the model will meet.",
    advice="Treat all shares as rough, and add images before you tune anything on "
    "them.",
    ignore="If you have no more images and treat shares as rough.",
    reasons={
        "min_images": (
            "From 50 images a share of one half is known to within 13 points (Wilson's "
            "95% interval)."
        ),
    },
    example=Example("A set of 13 images.", sizes=[(640, 480)] * 13),
    counterexample=Example("A set of 50 images.", sizes=[(640, 480)] * 50),
)
def few_images(
    statistics: Statistics, *, min_images: int = FEW_IMAGES
) -> Iterator[Evidence]:
    """Finds sets of few images, and says how uncertain a share of one half is.

    Args:
        statistics: of the images
        min_images: how many images are enough
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
    ignore="If samples of one file are in one split and meant to be repeated.",
    example=Example(
        "Two samples have the same file path.",
        sizes=[(640, 480)] * 2,
        filepaths=["a/1.jpg", "a/1.jpg"],
    ),
    counterexample=Example(
        "Two samples have files of the same name in different folders.",
        sizes=[(640, 480)] * 2,
        filepaths=["a/1.jpg", "b/1.jpg"],
    ),
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
    "neither be shown nor used for training.",
    advice="Put the missing files into the image folder.",
    ignore="If you only need statistics of the labels.",
    reasons={
        "max_share": (
            "More than half are missing if the folder is wrong; single missing files "
            "are CA120."
        ),
    },
    example=Example(
        "2 of 3 images have the tag missing_file.",
        sizes=[(640, 480)] * 3,
        tags=[["missing_file"]] * 2 + [[]],
    ),
    counterexample=Example(
        "2 of 4 images have the tag missing_file.",
        sizes=[(640, 480)] * 4,
        tags=[["missing_file"]] * 2 + [[]] * 2,
    ),
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
            "Import again with the folder that the file names are relative to, or put "
            "the files there."
        )
    yield Evidence(
        f"The files of {out_of(found, labeled, 'image')} are missing; the first is "
        f"{labeled.filepaths[found[0]]}.",
        images=found,
        figures={"images": len(found)},
        advice=advice,
    )
