"""What all rules together find in known sets, and nothing else: they are calibrated."""

from __future__ import annotations

from pathlib import Path

import pytest

import fiftyone_coco_audit.rules  # noqa: F401  (fills the registry)
from fiftyone_coco_audit.findings import RULES
from tests.labeled import evidence_by_code, read_labeled, statistics_of


def codes_found(annotations: Path) -> list[str]:
    made, _, _ = read_labeled(annotations)
    return list(evidence_by_code(sorted(RULES), statistics_of(made)))


def errors(codes: list[str]) -> list[str]:
    return [code for code in codes if RULES[code].severity == "error"]


def test_the_demo_has_its_planted_faults_only(demo_files):
    assert codes_found(demo_files.annotations) == [
        "CA201",  # panoramas and towers among images of 4:3
        "CA202",  # an image of 4K among images of 640 x 480
        "CA208",  # pictures of the mere background
        "CA301",  # boxes that were moved over the border
        "CA302",  # objects that are annotated twice
        "CA303",  # the boxes of the citrus, drawn too large
        "CA309",  # of the tiny objects the flowers and coins, far below others
        "CA402",  # four classes of few objects beside two of many
        "CA407",  # ladybugs, which are on leaves only
        "CA408",  # the mugs of site_b, which nobody labeled
        "CA501",  # the tiny objects
    ]


@pytest.mark.real_data
def test_photographs_of_coco(shared_data):
    """79 photographs and 80 classes, of which most can only be rare."""
    found = codes_found(shared_data / "coco_mini" / "annotations.json")
    assert found == [
        "CA305",  # the spine of a book, 2 x 53 pixels
        "CA307",  # four things that were photographed from near
        "CA401",  # 117 people, and 2 or fewer objects of 28 classes
        "CA402",  # 9 classes hold half of the objects
        "CA403",  # 64 classes have fewer than 10 objects
        "CA404",  # hot dog and teddy bear are not in these photographs
        "CA501",  # nine objects are less than 8 pixels at an input of 640
        "CA510",  # a fifth of all is smaller than RetinaNet's anchors reach at 640
        "CA513",  # which anchors fitted to them do
    ]
    assert errors(found) == []


@pytest.mark.real_data
def test_photographs_of_balloons(shared_data):
    """13 large photographs of one class."""
    found = codes_found(shared_data / "balloon" / "annotations.json")
    assert found == [
        "CA210",  # 13 images
        "CA501",  # a balloon of 7 pixels in the distance
        "CA510",  # 11 of 50 balloons are smaller than RetinaNet's anchors reach at 640
    ]
    assert errors(found) == []


@pytest.mark.real_data
def test_the_sample_of_cocoapi(shared_data):
    """100 photographs and 80 classes."""
    found = codes_found(shared_data / "cocoapi100" / "annotations.json")
    assert found == [
        "CA307",  # two things that were photographed from near
        "CA401",  # 250 people, and 5 or fewer objects of 33 classes
        "CA402",  # 7 classes hold half of the objects
        "CA403",  # 49 classes have fewer than 10 objects
        "CA404",  # ten classes are not in these photographs
        "CA501",  # twelve objects are less than 8 pixels at an input of 640
        "CA503",  # half of the bottles are in the background of rooms
        "CA510",  # a fifth of all is smaller than RetinaNet's anchors reach at 640
        "CA511",  # and more than half of the bottles
        "CA512",  # 25 objects are as long as skis, bats and spoons
        "CA513",  # which anchors fitted to them do
    ]
    assert errors(found) == []
