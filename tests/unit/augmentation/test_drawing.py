import base64
from dataclasses import replace

import albumentations as A
import cv2
import numpy as np
import pytest

from fiftyone_coco_audit.augmentation import drawing
from fiftyone_coco_audit.augmentation.drawing import (
    HARM,
    as_rgb,
    data_uri,
    picture_after,
    picture_before,
)
from fiftyone_coco_audit.augmentation.pipelines import Pipeline
from fiftyone_coco_audit.augmentation.targets import make_target, run
from tests.transforms import made, transform

BLUE, GREEN = (0, 0, 255), (0, 255, 0)
WHITE = (255, 255, 255)


def gray(height=100, width=200):
    return np.full((height, width, 3), 100, np.uint8)


def ellipse(box, height=100, width=200):
    x, y, w, h = box
    rows, columns = np.mgrid[:height, :width]
    center = x + w / 2 - 0.5, y + h / 2 - 0.5
    return ((columns - center[0]) / w * 2) ** 2 + ((rows - center[1]) / h * 2) ** 2 <= 1


def two_objects(masks=True):
    boxes = np.array([[20.0, 30, 40, 50], [120, 20, 60, 40]])
    return make_target(gray(), boxes, [ellipse(b) for b in boxes] if masks else None)


def is_color(picture, color):
    return (picture == np.array(color)).all(axis=2)


def nothing(**params):
    return Pipeline.parse(A.Compose([A.NoOp()], **params))


def test_boxes_are_where_they_are():
    target = two_objects(masks=False)
    picture = picture_before(target, ["", ""], [BLUE, GREEN], width=200)
    for (x, y, w, h), color in zip(target.box.astype(int), (BLUE, GREEN), strict=True):
        expected = np.zeros((100, 200), bool)
        expected[y : y + h, x : x + w] = True
        expected[y + 1 : y + h - 1, x + 1 : x + w - 1] = False
        np.testing.assert_array_equal(is_color(picture, color), expected)
    others = ~is_color(picture, BLUE) & ~is_color(picture, GREEN)
    assert (picture[others] == 100).all()


@pytest.mark.parametrize("width", [100, 600])
def test_boxes_keep_their_place_at_any_size(width):
    picture = picture_before(two_objects(), ["", ""], [BLUE, GREEN], width=width)
    scale = width / 200
    assert picture.shape == (100 * scale, width, 3)
    rows, columns = np.nonzero(is_color(picture, BLUE))
    corners = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    np.testing.assert_allclose(corners, scale * np.array([20, 30, 60, 80]), atol=1)


def test_masks_are_seen_through():
    target = two_objects()
    picture = picture_before(target, ["", ""], [BLUE, GREEN], width=200)
    mask, (x, y, w, h) = ellipse(target.box[0]), target.box[0].astype(int)
    inner = np.zeros_like(mask)
    inner[y + 2 : y + h - 2, x + 2 : x + w - 2] = True
    tinted = np.array([100 * 0.65, 100 * 0.65, 100 * 0.65 + 255 * 0.35])
    assert (np.abs(picture[mask & inner] - tinted) <= 1).all()
    assert (picture[~mask & inner] == 100).all()


def test_objects_without_a_mask_are_not_filled():
    target = two_objects(masks=False)
    picture = picture_before(target, ["", ""], [BLUE, GREEN], width=200)
    assert (picture[40:70, 30:50] == 100).all()


def test_what_gets_lost_is_dashed():
    target = two_objects(masks=False)
    picture = picture_before(
        target, ["a", "b"], [BLUE, GREEN], lost=["", "lost"], width=200
    )
    bottom = picture[59, 120:180]
    red, white = (is_color(bottom[None], color)[0] for color in (HARM, WHITE))
    assert (red | white).all()
    assert min(red.sum(), white.sum()) >= 0.3 * len(bottom)
    assert 6 <= np.count_nonzero(np.diff(red)) <= 12
    assert not is_color(picture, GREEN).any()
    assert is_color(picture[79:80, 20:60], BLUE).all()


def test_striped_is_what_is_seen_outside_of_boxes():
    # A box of half the object's width is what the pipeline leaves of the first
    boxes = np.array([[20.0, 30, 40, 50], [120, 20, 60, 40]])
    masks = [ellipse(box) for box in boxes]
    target = make_target(gray(), boxes, masks)
    drawn = run(nothing(), target)
    drawn.box[0, 2] = 20
    picture = picture_after(target, drawn, ["", ""], [BLUE, GREEN], width=200)
    whole = picture_after(
        target, run(nothing(), target), ["", ""], [BLUE, GREEN], width=200
    )
    changed = (picture != whole).any(axis=2)
    # The box ends at 40, a pixel more is a matter of rounding, and the old box at 60
    unlabeled = masks[0].copy()
    unlabeled[:, :42] = unlabeled[:, 59:] = False
    assert unlabeled.sum() > 500
    assert changed[unlabeled].all()
    assert (is_color(picture, HARM) & unlabeled).sum() > 0.3 * unlabeled.sum()
    assert not changed[:, :38].any()
    assert not changed[:, 62:].any()


def test_copies_have_stripes_where_no_box_is():
    target = make_target(gray(), np.array([[0.0, 0, 20, 20]]))
    padding = A.PadIfNeeded(200, 200, border_mode=cv2.BORDER_REFLECT, p=1)
    drawn = run(Pipeline.parse(padding), target)
    # Whatever boxes the version makes of copies, the one of the object alone is left
    drawn = replace(
        drawn,
        box=np.array([[0.0, 50, 20, 20]]),
        object=drawn.object[:1],
        category=drawn.category[:1],
    )
    picture = picture_after(target, drawn, [""], [BLUE], width=200)
    striped = is_color(picture, HARM)
    assert not striped[50:70].any()
    assert striped[30:50, :20].sum() > 0.3 * 20 * 20
    striped[30:50, :20] = False
    assert not striped.any()


def test_what_a_dropout_covers_is_not_seen():
    target = make_target(gray(), np.array([[20.0, 20, 100, 60]]))
    pipeline = Pipeline.parse(
        A.Compose(
            [
                transform(
                    "CoarseDropout",
                    num_holes_range=(1, 1),
                    hole_height_range=(30, 30),
                    hole_width_range=(30, 30),
                    fill=7,
                    p=1,
                )
            ],
            bbox_params=made(A.BboxParams, format="coco", min_area=1e6),
        )
    )
    drawn = run(pipeline, target)
    assert len(drawn.box) == 0 and drawn.covered is not None
    picture = picture_after(target, drawn, ["thing"], [BLUE], width=200)
    hole = cv2.erode(drawn.covered, np.ones((5, 5))) > 0
    assert hole.sum() > 300
    assert not is_color(picture, HARM)[hole].any()
    assert is_color(picture, HARM)[~hole & (target.maps[0] > 0)].any()


def test_flagged_boxes_are_red():
    target = two_objects(masks=False)
    drawn = run(nothing(), target)
    picture = picture_after(
        target, drawn, ["a", "b"], [BLUE, GREEN], flags=["loose 2×", ""], width=200
    )
    assert not is_color(picture, BLUE).any()
    assert is_color(picture[79:80, 20:60], HARM).all()
    assert is_color(picture[59:60, 120:180], GREEN).all()


def test_flagged_objects_without_a_box_are_pointed_at():
    target = two_objects()
    params = made(A.BboxParams, format="coco", min_area=2100)
    drawn = run(nothing(bbox_params=params), target)
    assert drawn.object.tolist() == [1]
    plain = picture_after(target, drawn, ["a", "b"], [BLUE, GREEN], width=200)
    picture = picture_after(
        target, drawn, ["a", "b"], [BLUE, GREEN], flags=["no box", ""], width=200
    )
    x, y, w, h = target.tight[0].tolist()
    top = picture[y + h - 1, x : x + w]
    assert is_color(top[None], WHITE).any() and is_color(top[None], HARM).any()
    assert (plain[y + h - 1, x] == 100).all()


def chips(picture, plain):
    """The rectangles in which names are written."""
    changed = (picture != plain).any(axis=2).astype(np.uint8)
    count, _, stats, _ = cv2.connectedComponentsWithStats(changed)
    return [stats[n, :4].tolist() for n in range(1, count)]


def test_names_stand_above_their_boxes():
    target = two_objects(masks=False)
    colors = [BLUE, GREEN]
    plain = picture_before(target, ["", ""], colors, width=400)
    picture = picture_before(target, ["mug", "leaf"], colors, width=400)
    found = sorted(chips(picture, plain))
    assert len(found) == 2
    for (x, y, _, h), box in zip(found, 2 * target.box, strict=True):
        assert x == box[0] and y + h == box[1]
    # White on blue, black on green
    (x, y, w, h), (x2, y2, w2, h2) = found
    assert is_color(picture[y : y + h, x : x + w], WHITE).any()
    assert is_color(picture[y2 : y2 + h2, x2 : x2 + w2], (0, 0, 0)).any()


def test_names_never_cover_one_another(monkeypatch):
    places = []
    overlap = drawing._overlap

    def watched(a, b):
        places.extend([a, b])
        return overlap(a, b)

    monkeypatch.setattr(drawing, "_overlap", watched)
    rng = np.random.default_rng(3)
    boxes = np.concatenate(
        [rng.uniform(0, 60, (40, 2)), rng.uniform(4, 30, (40, 2))], 1
    )
    target = make_target(gray(100, 100), boxes)
    picture = picture_before(target, ["class"] * 40, [BLUE] * 40, width=300)
    # Letters are white only: their number tells how many names there are
    one = picture_before(
        make_target(gray(100, 100), np.array([[10.0, 50, 30, 30]])),
        ["class"],
        [BLUE],
        width=300,
    )
    letters = [int(is_color(made, WHITE).sum()) for made in (picture, one)]
    assert 5 * letters[1] < letters[0] < 40 * letters[1]
    assert letters[0] % letters[1] == 0
    assert places


def test_a_name_that_has_no_room_is_left_out():
    target = make_target(gray(20, 20), np.array([[2.0, 2, 10, 10]]))
    plain = picture_before(target, [""], [BLUE], width=40)
    named = picture_before(target, ["far too long a name"], [BLUE], width=40)
    np.testing.assert_array_equal(named, plain)


def test_letters_of_other_alphabets():
    latin, greek, cyrillic = (drawing._ink(text, 20) for text in ("ab", "αβ", "аб"))
    assert not np.array_equal(greek[:, :10], cyrillic[:, :10])
    missing = drawing._ink("\U000f0000", 20)
    assert not any(np.array_equal(missing, ink) for ink in (latin, greek, cyrillic))


@pytest.mark.parametrize("size", [(1, 1), (3, 900), (900, 3), (480, 640)])
def test_any_image_and_no_objects(size):
    target = make_target(gray(*size), np.zeros((0, 4)))
    drawn = run(nothing(), target)
    for picture in (
        picture_before(target, [], [], width=90),
        picture_after(target, drawn, [], [], width=90),
    ):
        assert picture.shape == (max(round(size[0] * 90 / size[1]), 1), 90, 3)
        assert (picture == 100).all()


def test_boxes_without_an_area_are_not_drawn():
    target = make_target(gray(), np.array([[500.0, 500, 10, 10]]))
    picture = picture_before(target, ["gone"], [BLUE], width=200)
    assert (picture == 100).all()


def test_the_sample_is_left_as_it_is():
    target = two_objects()
    before = target.image.copy(), target.maps[0].copy()
    drawn = run(nothing(), target)
    picture_before(target, ["a", "b"], [BLUE, GREEN], width=200)
    picture_after(target, drawn, ["a", "b"], [BLUE, GREEN], width=200)
    np.testing.assert_array_equal(target.image, before[0])
    np.testing.assert_array_equal(target.maps[0], before[1])
    np.testing.assert_array_equal(drawn.image, before[0])


@pytest.mark.parametrize(
    "image",
    [
        np.full((4, 5), 128, np.uint8),
        np.full((4, 5, 1), 128, np.uint8),
        np.full((4, 5, 3), 128 / 255, np.float32),
        np.full((4, 5, 4), 128, np.int32),
    ],
)
def test_any_kind_of_image_can_be_shown(image):
    shown = as_rgb(image)
    assert shown.dtype == np.uint8
    assert (shown == np.full((4, 5, 3), 128)).all()


def test_a_data_uri_is_the_picture():
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    picture = np.stack(np.broadcast_arrays(ramp, ramp[:, None], 128), 2)
    kind, _, text = data_uri(picture.astype(np.uint8)).partition(",")
    assert kind == "data:image/jpeg;base64"
    data = np.frombuffer(base64.b64decode(text), np.uint8)
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1].astype(int)
    assert np.abs(decoded - picture).mean() < 3


def test_keypoints_are_dots():
    image = np.full((80, 120, 3), 128, np.uint8)
    target = make_target(image, np.zeros((0, 4)), keypoints=np.array([[30.0, 20.0]]))
    shown = picture_before(target, [], [], width=240)
    assert (shown[40, 60] == 255).all() and (shown[60, 60] == 128).all()
    drawn = run(Pipeline.parse([A.VerticalFlip(p=1)]), target)
    shown = picture_after(target, drawn, [], [], width=240)
    assert (shown[2 * 59, 60] == 255).all() and (shown[40, 60] == 128).all()
