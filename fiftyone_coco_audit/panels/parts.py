"""Parts of what is audited: the images with a tag, or those of a saved view."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.fiftyone_internals import root_dataset
from fiftyone_coco_audit.objects import LabeledImages
from fiftyone_coco_audit.panels.session import LoadedField

_TAG, _VIEW = "tag:", "view:"


def parts_of(reading: LoadedField) -> list[tuple[str, str]]:
    """The parts of what is audited.

    Args:
        reading: what is audited

    Returns:
        pairs of a part and its label
    """
    tags = {tag for tags in reading.labeled.images.tags for tag in tags}
    views = root_dataset(reading.samples).list_saved_views()
    return [
        *((f"{_TAG}{tag}", f"tag {tag}") for tag in sorted(tags)),
        *((f"{_VIEW}{view}", f"view {view}") for view in views),
    ]


def images_of(reading: LoadedField, part: str) -> NDArray[np.int64]:
    """The positions of the images of a part.

    Only the ids of the samples of a saved view are read; labels that it leaves out
    still count.

    Args:
        reading: what is audited
        part: one of :func:`parts_of`
    """
    if part.startswith(_TAG):
        tag = part.removeprefix(_TAG)
        has_tag = [tag in tags for tags in reading.labeled.images.tags]
        return np.flatnonzero(np.array(has_tag, bool))
    view = root_dataset(reading.samples).load_saved_view(part.removeprefix(_VIEW))
    everything = np.arange(len(reading.labeled.images))
    ids = reading.labeled.sample_ids(everything)
    return np.flatnonzero(np.isin(ids, view.values("id")))


def rows_of(labeled: LabeledImages, images: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rows of the objects of some images, in increasing order."""
    return np.flatnonzero(np.isin(labeled.objects.image, images))
