import numpy as np
import pytest

from fiftyone_coco_audit.statistics.anchor_drawing import anchors_over_image
from fiftyone_coco_audit.statistics.anchor_sets import AnchorSet
from fiftyone_coco_audit.statistics.anchors import AnchorMatches
from fiftyone_coco_audit.statistics.resizing import ResizePolicy
from tests.labeled import labeled

ONE = "sizes 32 strides 16"


def drawn(sizes, rows, anchors=ONE, resize="letterbox 640", image=0, **kwargs):
    matches = AnchorMatches(
        labeled(sizes, rows), ResizePolicy.parse(resize), AnchorSet.parse(anchors)
    )
    return anchors_over_image(matches, image, **kwargs)


def test_anchors_that_fit_are_drawn_on_their_objects():
    # Twice the size of the input, where the padding of 80 is 5 cells
    rows = [
        (0, "cat", [0, 0, 9, 9]),
        (1, "cat", [288, 128, 64, 64]),
        (1, "cat", [296, 128, 64, 20]),
    ]
    found = drawn([(640, 640), (1280, 960)], rows, image=1, samples_per_level=0)
    assert found.object.tolist() == [1, 2]
    assert found.box[0].tolist() == [288, 128, 64, 64]
    # The other one is 4 x 11 pixels off at the input; the nearest cell is that above
    assert found.box[1].tolist() == [288, 96, 64, 64]
    assert found.iou == pytest.approx([1, 56 * 20 / (64 * 64 + 64 * 20 - 56 * 20)])
    assert found.matched.tolist() == [True, False]
    assert found.level.tolist() == found.anchor.tolist() == [0, 0]


def test_a_stretched_image_has_stretched_anchors():
    rows = [(0, "cat", [100, 100, 50, 50])]
    found = drawn([(1280, 320)], rows, resize="stretch 640")
    assert found.box[0, 2:].tolist() == [64, 16]


def test_samples_of_each_level():
    anchors = "sizes 16,32/64,90 ratios .5,1,2 strides 8,64 offset .5"
    found = drawn([(640, 480)], [], anchors)
    assert len(found) == 6
    assert (found.object == -1).all()
    assert not found.matched.any()
    assert np.isnan(found.iou).all()
    assert found.level.tolist() == [0, 0, 0, 1, 1, 1]
    assert found.anchor.tolist() == [0, 2, 5, 6, 8, 11]
    shapes = AnchorSet.parse(anchors).shapes[found.anchor]
    assert found.box[:, 2:] == pytest.approx(shapes)
    # Middles of the cells at (320, 320) of the input, whose padding is 80
    center = found.box[:, :2] + found.box[:, 2:] / 2
    assert center[:3] == pytest.approx(np.array([[324, 244]] * 3))
    assert center[3:] == pytest.approx(np.array([[352, 272]] * 3))
    assert len(drawn([(640, 480)], [], anchors, samples_per_level=1)) == 2
    assert len(drawn([(640, 480)], [], anchors, samples_per_level=99)) == 12


def test_locations_are_drawn_as_cells():
    rows = [(0, "cat", [96, 96, 50, 50])]
    found = drawn([(640, 640)], rows, "fcos")
    assert found.box[0].tolist() == [120, 120, 8, 8]
    assert found.anchor.tolist() == [-1] * 6
    assert found.level.tolist() == [0, 0, 1, 2, 3, 4]
    assert found.matched.tolist() == [True] + [False] * 5
    assert found.box[1:, 2].tolist() == [8, 16, 32, 64, 128]
    assert np.isnan(found.iou).all()
