"""How many labels in how many images something is about, and how to look at them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.objects import Objects
from fiftyone_coco_audit.statistics.shapes import duplicate_pairs
from fiftyone_coco_audit.wording import counted

#: The App creates a dataset of patches, which takes 1 ms per patch
MOST_PATCHES = 10_000

#: Labels whose side is less than this share of their image's are hardly seen in the
#: grid, where images are some 150 pixels wide: the side is 7 pixels there
_SMALL_SIDE = 0.05

#: Boxes that overlap by more than this IoU hide each other's outlines
_HIDING_IOU = 0.3


@dataclass(frozen=True)
class Extent:
    """How many labels or images something is about.

    Args:
        images: the number of images
        labels: the number of labels, where it is about labels
        hard_to_see: whether most of the labels are small or hide each other in whole
            images
        noun: what is counted, where it is about labels
    """

    images: int
    labels: int | None = None
    hard_to_see: bool = False
    noun: str = "label"

    def __str__(self) -> str:
        """Such as ``"8 labels in 4 images"``."""
        images = counted(self.images, "image")
        if self.labels is None:
            return images
        return f"{counted(self.labels, self.noun)} in {images}"

    @property
    def has_patches(self) -> bool:
        """Whether each label can be shown by itself."""
        return self.labels is not None and 0 < self.labels <= MOST_PATCHES

    @property
    def patches_first(self) -> bool:
        """Whether that shows more than whole images do."""
        return self.has_patches and self.hard_to_see


def are_hard_to_see(
    objects: Objects, size: NDArray[np.float64], rows: NDArray[np.int64]
) -> bool:
    """Whether most of some objects are small, or hide each other.

    Args:
        objects: the objects of all images
        size: ``(N, 2)`` width and height of each image
        rows: rows of the objects
    """
    if not len(rows):
        return False
    objects = objects.rows(np.sort(rows))
    width, height = objects.box[:, 2:].T
    sides = size[objects.image].prod(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        side = np.sqrt(np.maximum(width * height, 0) / sides)
    if np.median(np.nan_to_num(side)) < _SMALL_SIDE:
        return True
    alike = replace(objects, category=np.zeros_like(objects.category))
    hidden = np.unique(duplicate_pairs(alike, _HIDING_IOU))
    return bool(2 * len(hidden) > len(objects))
