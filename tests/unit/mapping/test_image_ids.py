"""Predictions whose image ids mean other images: said, with what they mean."""

import numpy as np
import pytest

from fiftyone_coco_audit.mapping.diagnosis import ImageSet, diagnose_mapping
from tests.unit.evaluation.scenes import objects

COUNT = 20
RNG = np.random.default_rng(0)
BOXES = np.column_stack([RNG.uniform(0, 400, (COUNT, 2)), np.full((COUNT, 2), 30)])


def said(ids, stems, meant, order=None, extra=0):
    """What is said of one prediction for each image, which is right by ``meant``.

    Args:
        ids: of the images, in the order of the evaluation
        stems: of their files
        meant: the place of the image that each image's prediction is right for
        order: of the images in the dataset
        extra: how many further predictions there are of a low score
    """
    truth = objects([(n, 0, tuple(BOXES[n]), 0) for n in range(COUNT)], predicted=False)
    rows = [
        (n, 0, tuple(BOXES[place]), 0.9)
        for n, place in enumerate(meant)
        if 0 <= place < COUNT
    ]
    rows += [(n % COUNT, 0, (500, 500, 9, 9), 0.1) for n in range(extra)]
    found = objects(sorted(rows), predicted=True)
    places = np.arange(COUNT) if order is None else order
    return diagnosed(truth, found, ids, stems, places)


def diagnosed(truth, found, ids, stems, order):
    images = ImageSet(np.full((COUNT, 2), 600.0), ids, stems, order)
    return diagnose_mapping(truth, found, images, ["cat"])


SEQUENCE = list(range(COUNT))
NAMES = [f"image {n}" for n in range(COUNT)]
MIXED = RNG.permutation(COUNT)
ORDER = np.argsort(MIXED)


@pytest.mark.parametrize("extra", [0, 500])
@pytest.mark.parametrize(
    ("ids", "stems", "meant", "order", "reading"),
    [
        (SEQUENCE, NAMES, np.arange(COUNT) + 1, None, "the id that is one higher"),
        (SEQUENCE, NAMES, np.arange(COUNT) - 1, None, "the id that is one lower"),
        (
            SEQUENCE,
            [f"{n:012}" for n in ORDER],
            MIXED,
            None,
            "the number in the name of the file",
        ),
        (SEQUENCE, NAMES, MIXED, ORDER, "the position of the image, counted from 0"),
        (
            list(range(1, COUNT + 1)),
            NAMES,
            MIXED,
            ORDER,
            "the position of the image, counted from 1",
        ),
    ],
)
def test_what_image_ids_mean_is_said(ids, stems, meant, order, reading, extra):
    diagnosis = said(ids, stems, meant, order, extra)

    (cause,) = diagnosis.causes
    assert cause.condition == f"each `image_id` means {reading}"
    expected = [place if 0 <= place < COUNT else -1 for place in meant]
    found = diagnosis.repair.image
    assert all(a == b for a, b in zip(found, expected, strict=True) if b >= 0)


@pytest.mark.parametrize(
    ("ids", "meant"),
    [
        (SEQUENCE, np.arange(COUNT)),  # right
        (SEQUENCE, np.full(COUNT, 99)),  # no predictions
        (SEQUENCE, RNG.permutation(COUNT)),  # no reading explains them
        ([str(n) for n in SEQUENCE], np.arange(COUNT) + 1),  # ids that are text
        ([None] * COUNT, np.arange(COUNT) + 1),
    ],
)
def test_nothing_is_said_without_evidence(ids, meant):
    assert not said(ids, NAMES, meant)


def test_frames_of_a_video_are_alike_and_say_nothing():
    box = (10, 10, 30, 30)
    truth = objects([(n, 0, box, 0) for n in range(COUNT)], predicted=False)
    found = objects([(n, 0, box, 0.9) for n in range(COUNT)], predicted=True)

    places = np.arange(COUNT)
    assert diagnosed(truth, found, SEQUENCE, NAMES, places) is None
