"""Datasets, views and parts of a dataset, compared with each other."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from fiftyone_coco_audit.columns import require_samples
from fiftyone_coco_audit.database import database_errors_explained
from fiftyone_coco_audit.errors import CocoAuditError, check_number
from fiftyone_coco_audit.fiftyone_internals import root_dataset
from fiftyone_coco_audit.progress import Progress
from fiftyone_coco_audit.statistics.classes import ClassStatistics
from fiftyone_coco_audit.statistics.drift import Comparison
from fiftyone_coco_audit.statistics.inputs import read_labeled_images
from fiftyone_coco_audit.statistics.sources import (
    SourceGaps,
    Sources,
    folders,
    tagged,
)

if TYPE_CHECKING:
    import fiftyone as fo
    import pandas as pd


@database_errors_explained()
def compare_sets(
    first: fo.SampleCollection,
    second: fo.SampleCollection,
    *,
    label_field: str = "ground_truth",
    second_label_field: str | None = None,
    names: tuple[str, str] | None = None,
    progress: Progress = None,
) -> Comparison:
    """Compares two sets, such as training and validation data.

    Both can be datasets, or views such as ``dataset.match_tags("train")``.

    Args:
        first: the first set, such as the training set
        second: the second set
        label_field: the field of the ground truth
        second_label_field: the field of the second set; by default, the same
        names: what they are called; by default their datasets' names, or "first" and
            "second" where both are of one dataset
        progress: whether to show progress bars, as everywhere in FiftyOne

    Returns:
        a :class:`.drift.Comparison`

    Raises:
        CocoAuditError: if the arguments or the data do not allow it
    """
    for samples in (first, second):
        require_samples(samples)
    if names is None:
        names = (root_dataset(first).name, root_dataset(second).name)
        if names[0] == names[1]:
            names = ("first", "second")
    elif (
        not isinstance(names, (tuple, list))
        or len(names) != 2
        or not all(isinstance(name, str) for name in names)
    ):
        raise CocoAuditError(
            f"names is {names!r}: it must be two names, such as ('train', 'val')"
        )
    fields = label_field, second_label_field or label_field
    one, other = (
        read_labeled_images(samples, field, progress=progress).images
        for samples, field in zip((first, second), fields, strict=True)
    )
    for images, name in zip((one, other), names, strict=True):
        if not len(images):
            raise CocoAuditError(
                f"The set {name!r} has no images, so there is nothing to compare: "
                "check the view"
            )
    return Comparison(one, other, names)


@database_errors_explained()
def find_partial_labels(
    samples: fo.SampleCollection,
    *,
    label_field: str = "ground_truth",
    by: str = "folder",
    alpha: float = 0.001,
    progress: Progress = None,
) -> pd.DataFrame:
    """Finds classes that are missing from whole sources of images.

    Args:
        samples: a dataset or a view of whole images
        label_field: the field of the ground truth
        by: what identifies a source: ``"folder"``, ``"tags"``, or a sample field with
            text, numbers or lists of them
        alpha: the significance level, corrected for the number of tests
        progress: whether to show a progress bar, as everywhere in FiftyOne

    Returns:
        the frame of :meth:`.sources.SourceGaps.to_frame`, by class and source

    Raises:
        CocoAuditError: if there is no such field, there are fewer than two sources,
            or the data do not allow it
    """
    check_number("alpha", alpha)
    if not 0 < alpha < 1:
        raise CocoAuditError(
            f"alpha is {alpha!r}, but a significance level must be between 0 and 1, "
            "such as 0.001"
        )
    labeled = read_labeled_images(samples, label_field, progress=progress)
    images = labeled.images
    # The limits are for automatic checks, not for explicit requests
    if by == "folder":
        sources = folders(images.filepaths, max_sources=sys.maxsize)
    elif by == "tags":
        sources = tagged(images.tags, max_sources=sys.maxsize)
    else:
        sources = _by_field(samples, by)
    if len(sources) < 2:
        # A folder that holds all images is not called a source
        few = "the same" if len(sources) or by == "folder" else "no"
        what = {"folder": "folder", "tags": "tag"}.get(by, f"value of {by!r}")
        raise CocoAuditError(
            f"The images of {root_dataset(samples).name!r} have {few} {what}, so "
            "there are not two sources to compare: set `by` to 'folder', 'tags' or a "
            "field that tells sources apart"
        )
    presence = ClassStatistics(images).presence
    return SourceGaps(presence, sources).to_frame(images.classes, alpha)


def _by_field(samples: fo.SampleCollection, field: str) -> Sources:
    if not isinstance(field, str) or not samples.has_field(field):
        raise CocoAuditError(
            f"Dataset {root_dataset(samples).name!r} has no field {field!r} that could "
            "tell the sources of its images apart: name a field, 'folder' or 'tags'"
        )
    return Sources.of(
        map(str, value)
        if isinstance(value, (list, tuple))
        else [str(value)]
        if value is not None
        else []
        for value in samples.values(field)
    )
