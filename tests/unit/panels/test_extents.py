"""How much something is about, and how it is best looked at."""

import numpy as np
import pytest

from fiftyone_coco_audit.objects import LabeledImages, Objects
from fiftyone_coco_audit.panels.extents import MOST_PATCHES, Extent, are_hard_to_see


def labeled(boxes: list[list[float]]) -> LabeledImages:
    box = np.array(boxes, float).reshape(-1, 4)
    zeros = np.zeros(len(box), np.int64)
    objects = Objects(zeros, np.arange(len(box)), box, box[:, 2] * box[:, 3], zeros > 0)
    return LabeledImages(
        size=np.array([[640.0, 480.0]]),
        objects=objects,
        classes=[str(n) for n in range(len(box))],
        crowds=np.zeros(1, np.int64),
        filepaths=["a.jpg"],
        tags=[[]],
    )


@pytest.mark.parametrize(
    ("boxes", "hard"),
    [
        ([], False),
        ([[0, 0, 200, 200]], False),
        ([[0, 0, 10, 10]], True),
        # Most of them count
        ([[0, 0, 10, 10], [50, 50, 200, 200], [300, 0, 200, 200]], False),
        ([[0, 0, 10, 10], [50, 50, 10, 10], [300, 0, 200, 200]], True),
        # They hide each other, whatever their classes are
        ([[0, 0, 200, 200], [20, 0, 200, 200], [10, 0, 200, 200]], True),
        ([[0, 0, 200, 200], [20, 0, 200, 200], [300, 0, 200, 200]], True),
        ([[0, 0, 200, 200], [200, 0, 200, 200], [400, 0, 200, 200]], False),
        # A line and a point
        ([[0, 0, 200, 0]], True),
        ([[0, 0, -3, 20]], True),
    ],
)
def test_small_and_hidden_objects_are_hard_to_see(boxes: list[list[float]], hard: bool):
    images = labeled(boxes)
    one = images.objects, images.size
    assert are_hard_to_see(*one, np.arange(len(boxes))) is hard
    assert are_hard_to_see(*one, np.arange(len(boxes))[::-1]) is hard


def test_extents_in_words():
    assert str(Extent(4, 8)) == "8 labels in 4 images"
    assert str(Extent(1, 1)) == "1 label in 1 image"
    assert str(Extent(1234)) == "1,234 images"
    assert str(Extent(2, 3, noun="pair")) == "3 pairs in 2 images"


def test_there_are_patches_of_labels_that_are_not_too_many():
    assert Extent(4, 8).has_patches
    assert not Extent(4).has_patches
    assert not Extent(4, MOST_PATCHES + 1, hard_to_see=True).patches_first
    assert Extent(4, 8, hard_to_see=True).patches_first
    assert not Extent(4, 8).patches_first
