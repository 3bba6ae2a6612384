import numpy as np
import pytest

import fiftyone_coco_audit.rules  # noqa: F401  (fills the registry)
from fiftyone_coco_audit.findings import RULES
from tests.labeled import (
    evidence_by_code,
    evidence_of,
    labeled,
    read_labeled,
    statistics_of,
)

CODES = [f"CA{number}" for number in range(313, 317)]


def found(code, boxes, size=(200, 100), **more):
    """What a rule finds in images of one object each."""
    rows = [(n, "cat", box) for n, box in enumerate(boxes)]
    return evidence_of(code, statistics_of(labeled([size] * len(rows), rows, **more)))


B = [10, 10, 50, 40]


def test_masks_without_a_pixel_in_the_image():
    """The IoU of such a mask is NaN, which no comparison finds."""
    evidence = found("CA313", [B] * 4, mask_area=np.array([0, 900, np.nan, 0]))
    assert evidence.objects.tolist() == [0, 3]
    assert evidence.message == "2 of 3 masks have no pixel inside the image."
    assert not found("CA313", [B], mask_area=np.array([1.0]))
    assert not found("CA313", [B], mask_area=np.array([np.nan]))
    assert not found("CA313", [B])


def area(given, mask, box=B):
    pixels = None if mask is None else np.array([mask], float)
    return found("CA314", [box], (2000, 1000), areas=[given], mask_area=pixels)


def test_areas_of_zero():
    evidence = area(0, 1500)
    assert evidence.message == (
        "The `area` of 1 object is far from that of the mask or box (1 are 0); 1 "
        "object counts in the wrong size class, such as 1 medium as small, so AP by "
        "size is wrong."
    ).replace("1 are 0", "1 is 0")
    assert evidence.severity is None
    assert area(0, None).figures["zero"] == 1
    # It stays small
    assert area(0, 900).severity == "note"


def test_areas_of_the_box_where_there_are_masks():
    boxes = [[10, 10, 40, 40]] * 3 + [[10, 10, 20, 20]]
    evidence = found(
        "CA314",
        boxes,
        areas=[1600, 1600, 820, 400],
        mask_area=np.array([800.0, 800, 800, 200]),
    )
    assert evidence.objects.tolist() == [0, 1, 3]
    assert evidence.message == (
        "The `area` of 3 of 4 objects is far from that of the mask or box (3 are those "
        "of the box); 2 objects count in the wrong size class, such as 2 small as "
        "medium, so AP by size is wrong."
    )
    assert evidence.figures["size_class_changes"] == 2


@pytest.mark.parametrize(
    ("given", "mask"),
    [(2000, 1900), (1500, 1550), (1200, None), (2000, None), (1500, 0)],
)
def test_areas_that_may_be_right(given, mask):
    """Near the mask; of a mask that the file does not have; of an empty mask."""
    assert not area(given, mask)


def test_areas_far_beyond_the_box():
    evidence = area(200_000, None)
    assert "1 medium as large" in evidence.message
    assert area(1e-3, 1500)


@pytest.mark.parametrize(
    ("box", "outside"),
    [
        ([150.5, 10, 50, 40], True),
        ([-0.5, 10, 50, 40], True),
        ([10, 60.03, 50, 40], True),
        ([150, 60, 50, 40], False),
        ([150, 60, 50.001, 40], False),
        ([152, 10, 50, 40], False),
    ],
)
def test_boxes_over_the_border_by_rounding(box, outside):
    """Exactly those that Albumentations refuses and that are no error."""
    from albumentations.core.bbox_utils import check_bboxes

    evidence = found("CA315", [box])
    assert bool(evidence) == outside
    corners = np.array([[box[0], box[1], box[0] + box[2], box[1] + box[3]]])
    try:
        check_bboxes(corners / [200, 100, 200, 100])
        refused = False
    except ValueError:
        refused = True
    assert refused == bool(evidence or found("CA301", [box]))


def test_how_far_boxes_reach_is_said():
    assert found("CA315", [B, [150.5, 10, 50, 40]]).message == (
        "1 of 2 boxes extends beyond the border of the image by up to 0.5 px, which "
        "Albumentations rejects."
    )


def test_rotations_that_boxes_do_not_show():
    rotation = np.array([0, 30, -30, 180, np.nan, 359.9, 90])
    evidence = found("CA316", [B] * 7, rotation=rotation)
    assert evidence.objects.tolist() == [1, 2, 6]
    assert evidence.message == (
        "3 of 7 boxes have a `rotation` (median 30°) that the box does not show."
    )
    assert not found("CA316", [B])
    assert not found("CA316", [B], rotation=np.array([0.0]))


def test_boxes_around_a_turned_mask_are_right():
    tight = np.array([B], float)
    more = {"rotation": np.array([30.0]), "tight_box": tight}
    assert not found("CA316", [B], mask_area=np.array([1100.0]), **more)
    # A mask that fills the box was not turned either
    assert found("CA316", [B], mask_area=np.array([2000.0]), **more)
    # Nor is the box that of a mask elsewhere
    more["tight_box"] = np.array([[0, 0, 70, 70.0]])
    assert found("CA316", [B], mask_area=np.array([1100.0]), **more)


@pytest.mark.real_data
@pytest.mark.parametrize("folder", ["coco_mini", "balloon", "cocoapi100", "mmpose4"])
def test_real_annotations_are_sound(shared_data, folder):
    made, _, _ = read_labeled(shared_data / folder / "annotations.json")
    assert not evidence_by_code(CODES, statistics_of(made))


def test_severities():
    assert [RULES[code].severity for code in CODES] == [
        "error",
        "warning",
        "note",
        "warning",
    ]
