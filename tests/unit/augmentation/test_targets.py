from dataclasses import is_dataclass, replace

import albumentations as A
import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from fiftyone_coco_audit.augmentation.pipelines import Pipeline
from fiftyone_coco_audit.augmentation.targets import (
    _magnification,
    make_target,
    run,
    window,
)
from tests.transforms import needs


def picture(height=48, width=64):
    return np.random.default_rng(0).integers(1, 255, (height, width, 3), np.uint8)


def overlapping(count=12, seed=0):
    """Random ellipses, some of which overlap, and their boxes."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:48, :64]
    masks, boxes = [], []
    while len(masks) < count:
        cx, cy, a, b = rng.uniform([5, 5, 3, 3], [60, 44, 12, 12])
        mask = ((x - cx) / a) ** 2 + ((y - cy) / b) ** 2 <= 1
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        masks.append(mask)
        boxes.append([columns[0], rows[0], np.ptp(columns) + 1.0, np.ptp(rows) + 1.0])
    return masks, np.array(boxes)


@pytest.mark.parametrize("encoded", [False, True])
def test_masks_come_out_as_each_alone_would(encoded):
    masks, boxes = overlapping()
    given = masks
    if encoded:
        given = [coco_mask.encode(np.asfortranarray(m.astype(np.uint8))) for m in masks]
    target = make_target(picture(), boxes, given)
    assert 1 < len(target.maps) < len(masks)
    np.testing.assert_array_equal(target.pixels, [mask.sum() for mask in masks])
    np.testing.assert_array_equal(target.tight, boxes)
    transform = A.Affine(rotate=(20, 20), scale=(1.2, 1.2), p=1)
    drawn = run(Pipeline.parse(transform), target)
    for row, mask in enumerate(masks):
        expected = transform(image=picture(), mask=mask.astype(np.uint8))["mask"]
        np.testing.assert_array_equal(drawn.object_mask(target, row), expected != 0)


def test_no_object_is_mixed_with_another_by_interpolation():
    masks, boxes = overlapping()
    pipeline = Pipeline.parse(
        [
            A.Rotate((30, 30), mask_interpolation=1, fill_mask=255, p=1),
            A.LongestMaxSize(29, area_for_downscale="image_mask", p=1),
            A.OneOf([A.Perspective(mask_interpolation=2, fill_mask=7, p=1)], p=1),
        ]
    )
    target = make_target(picture(), boxes, masks)
    for before, after in zip(target.maps, run(pipeline, target).maps, strict=True):
        assert set(np.unique(after)) <= set(np.unique(before)) | {0}


def test_more_objects_than_a_byte_can_number_take_another_map():
    x, y = np.meshgrid(np.arange(0, 60, 3.0), np.arange(0, 45, 3.0))
    boxes = np.stack([x.ravel(), y.ravel(), *np.full((2, x.size), 2.0)], axis=1)
    target = make_target(picture(), boxes)
    assert [len(np.unique(layer)) - 1 for layer in target.maps] == [255, 45]
    assert target.from_box.all()
    drawn = run(Pipeline.parse(A.HorizontalFlip(p=1)), target)
    for row in (0, 254, 255, 299):
        mask = drawn.object_mask(target, row)
        left, top = 62 - int(boxes[row, 0]), int(boxes[row, 1])
        assert mask.sum() == 4 and mask[top : top + 2, left : left + 2].all()


def test_boxes_that_albumentations_refuses_are_clipped_or_left_out():
    boxes = np.array(
        [
            [-5, 10, 20, 10],
            [60, 40, 30, 30],
            [70, 10, 5, 5],
            [10, 10, 0, 5],
            [np.nan, 1, 2, 3],
            [5, 5, 10, 10],
        ]
    )
    target = make_target(picture(), boxes)
    assert target.usable.tolist() == [True, True, False, False, False, True]
    np.testing.assert_array_equal(
        target.box[target.usable], [[0, 10, 15, 10], [60, 40, 4, 8], [5, 5, 10, 10]]
    )
    assert target.notes == (
        "2 boxes clipped to the image",
        "3 boxes without an area in the image left out",
    )
    drawn = run(Pipeline.parse(A.VerticalFlip(p=1)), target)
    assert drawn.object.tolist() == [0, 1, 5]
    assert not drawn.object_mask(target, 2).any()


@pytest.mark.parametrize("box", [[63.9, 47.9, 0.1, 0.1], [3.2, 4.2, 0.3, 30]])
def test_the_thinnest_box_has_a_pixel(box):
    target = make_target(picture(), np.array([box]))
    assert target.pixels[0] >= 1
    run(Pipeline.parse("minimal"), target)


def test_a_mask_is_clipped_to_its_box_and_an_empty_one_is_the_box():
    full, empty = np.ones((48, 64), bool), np.zeros((48, 64), bool)
    target = make_target(
        picture(), np.array([[10, 10, 20, 10.0], [40, 10, 5, 4]]), [full, empty]
    )
    # One pixel on each side is rounding
    assert target.pixels.tolist() == [22 * 12, 20]
    assert target.from_box.tolist() == [False, True]


@pytest.mark.parametrize("transform", [A.HorizontalFlip(p=1), A.Blur(p=1)])
def test_a_sample_without_labels_goes_through(transform):
    target = make_target(picture(), np.zeros((0, 4)))
    drawn = run(Pipeline.parse([transform, A.CoarseDropout(p=1)]), target)
    assert drawn.box.shape == (0, 4) and drawn.maps == ()
    assert drawn.magnification.overall == 1


def test_labels_keep_their_class_and_their_order_of_ids():
    masks, boxes = overlapping()
    classes = np.arange(len(boxes)) % 5 + 70
    target = make_target(picture(), boxes, masks, category=classes)
    drawn = run(Pipeline.parse(A.RandomSizedBBoxSafeCrop(40, 40, p=1)), target)
    np.testing.assert_array_equal(drawn.category, classes[drawn.object])


def test_keypoints_keep_their_number():
    points = np.array([[3.0, 4], [60, 40], [30, 20]])
    target = make_target(picture(), np.zeros((0, 4)), keypoints=points)
    drawn = run(Pipeline.parse(A.Crop(20, 10, 64, 48, p=1)), target)
    assert drawn.keypoint.tolist() == [1, 2]
    np.testing.assert_allclose(drawn.keypoints, points[1:] - [20, 10])
    # The same pipeline takes a sample without keypoints
    pipeline = Pipeline.parse(A.HorizontalFlip(p=1))
    for keypoints in (None, points, None):
        run(pipeline, make_target(picture(), np.zeros((0, 4)), keypoints=keypoints))


def test_without_pixels_image_and_boxes_are_the_same():
    masks, boxes = overlapping()
    target = make_target(picture(), boxes, masks)
    for name in ("ultralytics", "final", "ssd"):
        pipeline = Pipeline.parse(name)
        for draw in range(5):
            bare = run(pipeline, target, draw=draw, pixels=False)
            full = run(pipeline, target, draw=draw)
            np.testing.assert_array_equal(bare.image, full.image)
            np.testing.assert_array_equal(bare.box, full.box)
            np.testing.assert_array_equal(bare.object, full.object)


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        (A.NoOp(p=1), 1),
        (A.HorizontalFlip(p=1), 1),
        (A.Transpose(p=1), 1),
        (A.Crop(11, 7, 50, 40, p=1), 1),
        (A.PadIfNeeded(200, 200, p=1), 1),
        (A.PadIfNeeded(200, 200, border_mode=4, p=1), 1),
        (A.Resize(96, 128, p=1), 4),
        (A.Resize(96, 64, p=1), 2),
    ],
)
def test_the_magnification_of_whole_pixels_is_exact(transform, expected):
    drawn = run(Pipeline.parse(transform), make_target(picture(), np.zeros((0, 4))))
    assert drawn.magnification.overall == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("factor", [0.37, 0.64, 1.7])
@pytest.mark.parametrize("angle", [0, 17, 45])
def test_the_magnification_of_any_affine_transform_is_measured(factor, angle):
    transform = A.Affine(
        scale=(factor, factor), rotate=(angle, angle), fit_output=True, p=1
    )
    target = make_target(picture(480, 640), np.zeros((0, 4)))
    measured = run(Pipeline.parse(transform), target).magnification.overall
    assert measured == pytest.approx(factor**2, rel=0.01)


@pytest.mark.parametrize(("scale", "precision"), [(1, 0.1), (0.4, 0.2)])
def test_the_magnification_of_a_perspective_is_local(scale, precision):
    height, width = round(480 * scale), round(640 * scale)
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    corners *= np.array([width, height], np.float32)
    moved = corners.copy()
    moved[:2, 0] += scale * np.array([200, -200], np.float32)
    matrix = cv2.getPerspectiveTransform(corners, moved)
    trapezium = {"matrix": matrix, "matrix_bbox": matrix}
    trapezium |= {"max_width": width, "max_height": height}

    def drawing(self, *args, **kwargs):
        found = getattr(super(Trapezium, self), hook)(*args, **kwargs)
        if is_dataclass(found):
            return replace(found, params={**found.params, **trapezium})
        return {**found, **trapezium}

    # What draws a transform's parameters has had three names
    hook = next(
        name
        for name in (
            "sample_parameters",
            "get_params_dependent_on_data",
            "get_params_dependent_on_targets",
        )
        if name in vars(A.Perspective)
    )
    Trapezium = type("Trapezium", (A.Perspective,), {hook: drawing})
    needs(
        hook != "sample_parameters" or scale < 1,
        "fails on masks of more than 256 x 256 pixels",
    )
    boxes = scale * np.array([[250, 20, 140, 60], [250, 400, 140, 60]])
    target = make_target(picture(height, width), boxes)
    drawn = run(Pipeline.parse(Trapezium(p=1)), target)
    far, near = (drawn.magnification.around(*box) for box in drawn.box)
    counts = [drawn.object_mask(target, row).sum() for row in (0, 1)]
    assert near > 2 * far
    assert far == pytest.approx(counts[0] / target.pixels[0], rel=precision)
    assert near == pytest.approx(counts[1] / target.pixels[1], rel=precision)


def test_huge_images_are_measured_too(monkeypatch):
    from fiftyone_coco_audit.augmentation import targets

    # As if single precision counted no further than the 307,200 pixels by threes
    monkeypatch.setattr(targets, "_COUNTABLE", 40_000)
    targets._places.cache_clear()
    sample = make_target(picture(480, 640), np.zeros((0, 4)))
    for transform, expected in (
        (A.Crop(100, 100, 500, 400, p=1), 1),
        (A.Resize(240, 320, p=1), 0.25),
        (A.Affine(rotate=(30, 30), p=1), 1),
    ):
        measured = run(Pipeline.parse(transform), sample).magnification.overall
        assert measured == pytest.approx(expected, rel=0.03)
    targets._places.cache_clear()


def test_nothing_of_the_source_has_no_magnification():
    transform = A.Affine(translate_px={"x": (500, 500), "y": (500, 500)}, p=1)
    target = make_target(picture(), np.array([[4, 4, 8, 8.0]]))
    drawn = run(Pipeline.parse(transform), target)
    assert np.isnan(drawn.magnification.overall)
    assert len(drawn.box) == 0


def test_a_window_is_the_pixels_of_a_box_and_one_more():
    assert window([10.5, 3, 5, 4], (48, 64)) == (slice(2, 8), slice(9, 17))
    assert window([0, 0, 64, 48], (48, 64)) == (slice(0, 48), slice(0, 64))


def test_a_magnification_between_two_others():
    # Half of what is left is twice as wide as it was, the other half four times
    height, width = 8, 8
    places = np.arange(1, 65, dtype=np.float32).reshape(height, width)
    mixed = np.zeros((4, 8), np.float32)
    mixed[0:2, 0:2] = places[:2, :2]
    mixed[0:2, 4:6] = places[0:8:4, 0:8:4]
    found = _magnification(mixed, height, width)
    assert found.overall == pytest.approx(1 / np.median([1, 16]))
