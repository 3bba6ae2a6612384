"""Every measure is held against what a transform is known to do to a known mask."""

import json
import warnings

import albumentations as A
import cv2
import numpy as np
import pytest

from fiftyone_coco_audit.augmentation.damage import (
    KINDS,
    DamageTable,
    Thresholds,
    measure,
)
from fiftyone_coco_audit.augmentation.pipelines import Pipeline
from fiftyone_coco_audit.augmentation.presets import PRESETS
from fiftyone_coco_audit.augmentation.targets import make_target, run, window
from tests.transforms import ONE_BOX_AT_A_TIME, like, made, transform

HEIGHT, WIDTH = 480, 640


def white():
    return np.full((HEIGHT, WIDTH, 3), 255, np.uint8)


def grid():
    """The centers of all pixels, from the center of the image."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return x + 0.5 - WIDTH / 2, y + 0.5 - HEIGHT / 2


def ellipse(a, b):
    """An ellipse about the center of the image, and its box."""
    x, y = grid()
    box = [WIDTH / 2 - a, HEIGHT / 2 - b, 2 * a, 2 * b]
    return (x / a) ** 2 + (y / b) ** 2 <= 1, box


def damage(transforms, boxes, masks=None, *, category=None, seed=0):
    """The measures of one draw, and the draw."""
    target = make_target(white(), np.array(boxes, float), masks, category=category)
    drawn = run(Pipeline.parse(transforms), target, seed=seed)
    return measure(target, drawn), drawn


def kinds(table, row=0, **thresholds):
    return {
        name for name, of in table.kinds(Thresholds(**thresholds)).items() if of[row]
    }


HARMLESS = {
    "nothing": A.NoOp(p=1),
    "horizontal flip": A.HorizontalFlip(p=1),
    "vertical flip": A.VerticalFlip(p=1),
    "transpose": A.Transpose(p=1),
    "turn": A.Rotate((90, 90), p=1),
    "turns": A.RandomRotate90(p=1),
    "constant padding": A.PadIfNeeded(700, 900, border_mode=0, p=1),
    "colors": A.ColorJitter(p=1),
    "half size": A.Resize(HEIGHT // 2, WIDTH // 2, p=1),
    "double size": A.Resize(2 * HEIGHT, 2 * WIDTH, p=1),
    "stretch": A.Resize(HEIGHT, WIDTH // 2, p=1),
    "crop around": A.Crop(150, 100, 490, 380, p=1),
}


@pytest.mark.parametrize("name", HARMLESS)
@pytest.mark.parametrize("masked", [False, True])
def test_what_keeps_labels_whole_is_no_damage(name, masked):
    mask, box = ellipse(100, 60)
    table, _ = damage(HARMLESS[name], [box], [mask] if masked else None)
    assert kinds(table) == set()
    assert table.boxes[0] == 1
    assert table.looseness[0] == pytest.approx(1, abs=0.02)
    assert table.truncated[0] == pytest.approx(0, abs=1e-3)
    assert table.held[0] == pytest.approx(1, abs=1e-3)
    assert table.unlabeled[0] == table.occluded[0] == 0


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        (A.HorizontalFlip(p=1), np.fliplr),
        (A.VerticalFlip(p=1), np.flipud),
        (A.Transpose(p=1), np.transpose),
        (A.Crop(300, 200, 640, 480, p=1), lambda mask: mask[200:, 300:]),
    ],
)
def test_flips_turns_and_crops_move_exactly_the_pixels(transform, expected):
    mask, box = ellipse(100, 60)
    target = make_target(white(), np.array([box]), [mask])
    drawn = run(Pipeline.parse(transform), target)
    np.testing.assert_array_equal(drawn.object_mask(target, 0), expected(mask))
    assert measure(target, drawn).pixels[0] == expected(mask).sum()


def test_resizing_changes_the_size_and_truncates_nothing():
    table, _ = damage(A.Resize(HEIGHT // 2, WIDTH // 4, p=1), [[40, 40, 80, 160]])
    assert table.whole[0] == pytest.approx(80 * 160 / 8)
    assert table.pixels[0] == 80 * 160 / 8
    assert table.truncated[0] == 0
    assert table.size[0] == pytest.approx(np.sqrt(80 * 160 / 8))


def test_a_crop_truncates_by_the_share_that_it_cuts_off():
    # A quarter, a half and all of 100 pixels lie left of it; the last is inside
    boxes = [[75, 50, 100, 20], [50, 100, 100, 20], [0, 150, 100, 20], [200, 9, 50, 50]]
    table, drawn = damage(A.Crop(100, 0, 640, 480, p=1), boxes)
    np.testing.assert_allclose(table.truncated, [0.25, 0.5, 1, 0])
    np.testing.assert_array_equal(table.pixels, [1500, 1000, 0, 2500])
    np.testing.assert_array_equal(drawn.object, [0, 1, 3])
    assert [kinds(table, row) for row in range(4)] == [
        set(),
        {"truncated"},
        {"gone"},
        set(),
    ]


def test_a_crop_that_is_resized_truncates_by_the_same_share():
    transforms = [A.Crop(100, 0, 640, 480, p=1), A.Resize(300, 300, p=1)]
    table, _ = damage(transforms, [[50, 100, 100, 200]])
    assert table.truncated[0] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(("a", "b"), [(100, 100), (150, 75), (180, 30)])
def test_an_ellipse_turned_by_45_degrees_has_a_box_too_large_by_a_known_factor(a, b):
    mask, box = ellipse(a, b)
    table, drawn = damage(A.Rotate((45, 45), border_mode=0, p=1), [box], [mask])
    tight = 2 * (a**2 + b**2)
    around = 2 * (a + b) ** 2
    np.testing.assert_allclose(drawn.box[0, 2:].prod(), around, rtol=1e-4)
    assert table.looseness[0] == pytest.approx(around / tight, rel=0.03)
    slack = np.sqrt(2) * (a + b) - np.sqrt(2 * (a**2 + b**2))
    assert table.slack[0] == pytest.approx(slack, abs=1.5)
    assert table.truncated[0] == pytest.approx(0, abs=0.01)
    assert kinds(table) == ({"loose"} if around / tight > 1.5 else set())


@pytest.mark.parametrize(("width", "height"), [(150, 150), (200, 100), (240, 60)])
def test_a_rectangle_turned_by_45_degrees(width, height):
    box = [(WIDTH - width) / 2, (HEIGHT - height) / 2, width, height]
    x, y = grid()
    mask = (np.abs(x) < width / 2) & (np.abs(y) < height / 2)
    # Its own pixels touch all sides of the new box
    table, _ = damage(A.Rotate((45, 45), border_mode=0, p=1), [box], [mask])
    assert table.looseness[0] == pytest.approx(1, abs=0.03)
    # Without a mask it is not known which pixels are its own: the upper bound
    table, _ = damage(A.Rotate((45, 45), border_mode=0, p=1), [box])
    bound = (width + height) ** 2 / (2 * width * height)
    assert table.looseness[0] == pytest.approx(bound, rel=0.01)
    assert kinds(table) == {"loose"}


def test_a_diamond_turned_upright_has_four_times_the_box_it_needs():
    x, y = grid()
    mask = np.abs(x) + np.abs(y) <= 100
    table, _ = damage(
        A.Rotate((45, 45), border_mode=0, p=1), [[220, 140, 200, 200]], [mask]
    )
    assert table.looseness[0] == pytest.approx(4, rel=0.04)


def test_a_box_that_was_loose_before_is_not_blamed_on_the_pipeline():
    mask, box = ellipse(50, 50)
    wide = [box[0] - 50, box[1] - 50, 200, 200]
    table, _ = damage(A.HorizontalFlip(p=1), [wide], [mask])
    assert table.looseness[0] == pytest.approx(1, abs=0.01)
    assert kinds(table) == set()


def test_an_object_rotated_out_keeps_a_box_around_next_to_nothing():
    # Found with Albumentations 2.0.8, for an object of 15,000 pixels
    image = np.full((600, 800, 3), 255, np.uint8)
    mask = np.zeros(image.shape[:2], bool)
    mask[40:140, 635:785] = True
    target = make_target(image, np.array([[635.0, 40, 150, 100]]), [mask])
    transforms = [A.LongestMaxSize(640), A.Rotate((45, 45), border_mode=0, p=1)]
    drawn = run(Pipeline.parse(transforms), target, seed=0)
    table = measure(target, drawn)
    # Shrunk to 120 x 80, it shows a tip of 16.6 px
    assert drawn.box[0, 2] == pytest.approx(200 / np.sqrt(2), abs=0.1)
    assert drawn.box[0, 3] == pytest.approx(16.6, abs=0.1)
    assert table.pixels[0] == pytest.approx(272, abs=1)
    assert table.whole[0] == pytest.approx(0.8**2 * 15_000, rel=0.001)
    assert table.truncated[0] == pytest.approx(1 - 272 / 9_600, abs=0.001)
    # The tip is a triangle, twice as wide as high, of whole pixels
    assert table.looseness[0] == pytest.approx(141.4 * 16.6 / (32 * 16), rel=0.01)
    assert kinds(table) == {"empty", "loose", "truncated"}


def test_padding_by_reflection_turns_two_boxes_into_six():
    padding = A.PadIfNeeded(HEIGHT, 3 * WIDTH, border_mode=4, p=1)
    boxes = [[100, 100, 50, 40], [300, 200, 60, 60]]
    table, drawn = damage(padding, boxes)
    if ONE_BOX_AT_A_TIME:
        assert kinds(table, 0) == kinds(table, 1) == {"unlabeled"}
        return
    assert len(drawn.box) == 6
    np.testing.assert_array_equal(table.boxes, [3, 3])
    np.testing.assert_array_equal(table.pixels, [3 * 50 * 40, 3 * 60 * 60])
    np.testing.assert_allclose(table.held, 3)
    np.testing.assert_array_equal(table.truncated, 0)
    assert kinds(table, 0) == kinds(table, 1) == {"multiplied"}


def test_a_rotation_that_crops_its_border_drops_one_of_two_objects():
    rotate = A.Rotate((45, 45), border_mode=0, crop_border=True, p=1)
    mask, box = ellipse(60, 60)
    table, drawn = damage(rotate, [box, [5, 5, 100, 150]], [mask, None])
    assert drawn.object.tolist() == [0]
    np.testing.assert_array_equal(table.boxes, [1, 0])
    assert table.pixels[1] == 0 and table.truncated[1] == 1
    assert kinds(table, 1) == {"gone"}


class Mirrored(A.Affine):
    """Makes no boxes for mirrored copies, as the first versions of 1.4 did."""

    def apply_to_bboxes(self, bboxes, **params):
        moved = np.array(bboxes)
        moved[:, [0, 2]] += 100 / WIDTH
        return like(bboxes, moved)


def test_mirrored_copies_without_a_box_are_unlabeled():
    # Moved by 100 to the right, the mirrored image begins left of the object
    shift = {"translate_px": {"x": (100, 100), "y": (0, 0)}, "border_mode": 2, "p": 1}
    table, drawn = damage(made(Mirrored, **shift), [[10, 50, 40, 30]])
    assert table.unlabeled[0] == 40 * 30
    assert table.pixels[0] == 2 * 40 * 30
    assert kinds(table) == {"unlabeled"}
    target = make_target(white(), np.array([[10, 50, 40, 30.0]]))
    # Seen outside its box
    mask = drawn.object_mask(target, 0)
    mask[window(drawn.box[0].tolist(), mask.shape)] = False
    assert mask.sum() == 1200 and mask[50:80, 50:90].all()
    # Albumentations 2 makes a box for each copy
    table, _ = damage(made(A.Affine, **shift), [[10, 50, 40, 30]])
    assert kinds(table) == {"unlabeled" if ONE_BOX_AT_A_TIME else "multiplied"}


def test_an_object_that_is_seen_without_a_box_is_dropped():
    pipeline = A.Compose(
        [A.Crop(100, 0, 640, 480, p=1)],
        bbox_params=made(A.BboxParams, format="coco", min_visibility=0.6),
    )
    table, _ = damage(pipeline, [[50, 50, 100, 20], [92, 100, 100, 20]])
    assert kinds(table, 0) == {"dropped", "unlabeled"}
    assert table.unlabeled[0] == 1000
    assert kinds(table, 1) == set()


DROPOUTS = {
    "CoarseDropout": {
        "num_holes_range": (4, 4),
        "hole_height_range": (90, 90),
        "hole_width_range": (120, 120),
    },
    "GridDropout": {"ratio": 0.5},
    "XYMasking": {
        "num_masks_x": (3, 3),
        "num_masks_y": (3, 3),
        "mask_x_length": (60, 60),
        "mask_y_length": (60, 60),
    },
    "Erasing": {"scale": (0.2, 0.2)},
}


@pytest.mark.parametrize("name", DROPOUTS)
@pytest.mark.parametrize("turned", [False, True])
def test_what_dropouts_overwrite_is_occluded(name, turned):
    dropout = transform(name, **DROPOUTS[name], p=1)
    mask, box = ellipse(150, 100)
    transforms = [dropout, A.Transpose(p=1)] if turned else [dropout]
    table, drawn = damage(transforms, [box], [mask])
    black = (drawn.image == 0).all(axis=-1)
    assert black.any()
    np.testing.assert_array_equal(drawn.covered != 0, black)
    seen = (mask.T if turned else mask) & ~black
    assert table.visible[0] == seen.sum()
    assert table.pixels[0] == mask.sum()
    assert table.occluded[0] == pytest.approx(1 - seen.sum() / mask.sum())
    assert table.truncated[0] == 0
    assert ("occluded" in kinds(table)) == (table.occluded[0] >= 0.5)


def test_dropouts_that_do_not_run_overwrite_nothing():
    table, drawn = damage(transform("CoarseDropout", p=0), [[10, 10, 50, 50]])
    assert drawn.covered is None and table.occluded[0] == 0


def test_a_dropout_inside_a_choice_is_measured_too():
    dropout = transform(
        "CoarseDropout",
        num_holes_range=(1, 1),
        hole_height_range=(470, 470),
        hole_width_range=(630, 630),
        p=1,
    )
    choice = A.OneOf([dropout], p=1)
    table, _ = damage(choice, [[200, 200, 100, 100]], seed=1)
    assert table.occluded[0] == 1 and table.visible[0] == 0
    # Albumentations 2 drops the box of what is wholly covered
    left = {"empty", "occluded"} if table.boxes[0] else {"gone"}
    assert kinds(table) == left


def test_an_object_resized_to_next_to_nothing_is_shrunk():
    boxes = [[100, 100, 45, 45], [300, 100, 8, 8], [200, 300, 200, 150]]
    table, _ = damage(A.Resize(48, 64, p=1), boxes)
    np.testing.assert_allclose(table.size, [4.5, 0.8, np.sqrt(300)])
    limit = {"size": 5, "pixels": 0}
    assert kinds(table, 0, **limit) >= {"shrunk"}
    assert "shrunk" in kinds(table, 1, **limit)
    assert kinds(table, 2, **limit) == set()


def test_what_is_shrunk_needs_no_other_limits():
    # By a tenth, to 3 px and to 6 px across, and one that was as small before
    boxes = [[100, 100, 30, 30], [300, 100, 60, 60], [200, 300, 3, 3]]
    table, _ = damage(A.Resize(48, 64, p=1), boxes)
    assert kinds(table, 0) == {"shrunk"}
    assert kinds(table, 1) == kinds(table, 2) == set()
    assert table.shares().loc["shrunk", "count"] == 1


def test_what_has_lost_its_box_is_not_shrunk():
    transforms = A.Compose(
        [A.Resize(48, 64, p=1)],
        bbox_params=made(A.BboxParams, format="coco", min_width=4, min_height=4),
    )
    table, drawn = damage(transforms, [[100, 100, 30, 30], [300, 100, 60, 60]])
    np.testing.assert_array_equal(drawn.object, [1])
    assert kinds(table, 0) == kinds(table, 1) == set()


def test_a_box_that_is_next_to_a_line_is_degenerate():
    table, _ = damage(A.Crop(0, 0, 200, 480, p=1), [[199.5, 50, 100, 90]])
    assert table.thinnest[0] == pytest.approx(0.5, abs=1e-4)
    assert "degenerate" in kinds(table)


class Permuted(A.NoOp):
    """Mixes up which box is whose."""

    def apply_to_bboxes(self, bboxes, **params):
        given = np.array(bboxes)
        return like(bboxes, np.concatenate([given[::-1, :4], given[:, 4:]], axis=1))


class Renamed(A.NoOp):
    """Gives all boxes one class."""

    def apply_to_bboxes(self, bboxes, **params):
        renamed = np.array(bboxes)
        renamed[:, -1] = 3
        return like(bboxes, renamed)


def test_labels_that_change_hands_are_found():
    boxes = [[50, 50, 100, 80], [400, 300, 90, 100]]
    category = np.array([1, 3])
    table, _ = damage(Permuted(p=1), boxes, category=category)
    assert table.swapped.tolist() == [True, True]
    assert kinds(table) == {"empty", "swapped", "unlabeled"}
    table, _ = damage(Renamed(p=1), boxes, category=category)
    assert table.swapped.tolist() == [True, False]
    table, _ = damage(A.NoOp(p=1), boxes, category=category)
    assert not table.swapped.any()


def test_objects_of_a_few_pixels_are_not_judged():
    table, _ = damage(A.Crop(0, 0, 300, 300, p=1), [[400, 400, 3, 4]])
    assert table.boxes[0] == 0 and kinds(table) == set()
    assert kinds(table, pixels=0) == {"gone"}


def test_labels_that_were_unusable_are_not_judged():
    table, _ = damage(A.NoOp(p=1), [[900, 10, 5, 5], [10, 10, 50, 50]])
    assert table.judged.tolist() == [False, True]
    assert kinds(table) == set()
    assert len(table.shares()) == len(KINDS)


def many(preset="rotation", seed=0):
    rng = np.random.default_rng(5)
    tables = []
    for sample in range(4):
        corner = rng.uniform(0, [540, 380], (6, 2))
        boxes = np.concatenate([corner, rng.uniform(5, 100, (6, 2))], axis=1)
        target = make_target(white(), boxes, category=np.arange(6) % 3)
        pipeline = Pipeline.parse(preset)
        for draw in range(3):
            drawn = run(pipeline, target, seed=seed, sample=str(sample), draw=draw)
            tables.append(measure(target, drawn, sample=sample, draw=draw))
    return DamageTable.concatenate(tables)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_same_seed_gives_the_same_numbers(preset):
    import pandas as pd

    first, second = many(preset).to_frame(), many(preset).to_frame()
    pd.testing.assert_frame_equal(first, second, check_exact=True)
    if preset not in ("minimal", "reflection_padding"):
        assert not first.equals(many(preset, seed=1).to_frame())


def test_summaries_count_rows_and_objects():
    table = many()
    assert len(table) == 4 * 3 * 6
    found = table.kinds()["loose"]
    assert 0 < found.sum() < len(table)
    shares = table.shares()
    assert shares.loc["loose", "count"] == found.sum()
    assert shares.loc["loose", "share"] == pytest.approx(found.mean())
    pairs = set(zip(table.sample[found], table.object[found], strict=True))
    assert shares.loc["loose", "objects"] == len(pairs)

    by_class = table.by_class(["a", "b", "c", "none"])
    assert list(by_class.index.get_level_values(0).unique()) == ["a", "b", "c", "none"]
    for place, name in enumerate(["a", "b", "c"]):
        rows = table.category == place
        assert by_class.loc[(name, "loose"), "count"] == found[rows].sum()
        assert by_class.loc[(name, "loose"), "share"] == pytest.approx(
            found[rows].mean()
        )
    assert by_class.loc["none"].to_numpy().sum() == 0

    by_size = table.by_size()
    small = table.area < 32**2
    assert by_size.loc[("small", "loose"), "count"] == found[small].sum()
    assert by_size.loc[:, "count"].groupby("kind").sum()["loose"] == found.sum()


def test_no_rows_at_all_are_summed_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = DamageTable.concatenate([])
        assert len(table) == 0 and table.judged.dtype == bool
        assert table.shares()["count"].sum() == 0
        assert len(table.by_class([])) == 0
        assert table.to_frame().empty
        empty = make_target(white(), np.zeros((0, 4)))
        assert len(measure(empty, run(Pipeline.parse("minimal"), empty))) == 0


@pytest.mark.real_data
def test_presets_do_to_real_labels_what_they_say(shared_data):
    from pycocotools import mask as coco_mask

    folder = shared_data / "coco_mini"
    coco = json.loads((folder / "annotations.json").read_text())
    tables = {name: [] for name in PRESETS}
    for image in coco["images"][:25]:
        paths = list(folder.rglob(image["file_name"]))
        labels = [
            label
            for label in coco["annotations"]
            if label["image_id"] == image["id"] and not label["iscrowd"]
        ]
        size = image["height"], image["width"]
        masks = [
            coco_mask.merge(coco_mask.frPyObjects(label["segmentation"], *size))
            for label in labels
        ]
        pixels = (
            cv2.cvtColor(cv2.imread(str(paths[0])), cv2.COLOR_BGR2RGB)
            if paths
            else np.zeros((*size, 3), np.uint8)
        )
        boxes = np.array([label["bbox"] for label in labels]).reshape(-1, 4)
        target = make_target(pixels, boxes, masks)
        for name, into in tables.items():
            drawn = run(Pipeline.parse(name), target, sample=image["file_name"])
            into.append(measure(target, drawn))
    shares = {
        name: DamageTable.concatenate(into).shares()["share"]
        for name, into in tables.items()
    }
    assert shares["minimal"].sum() == 0
    assert shares["detectron2"].sum() == 0
    copies = "unlabeled" if ONE_BOX_AT_A_TIME else "multiplied"
    assert shares["reflection_padding"][copies] > 0.1
    assert shares["rotation"]["loose"] > 0.1
    assert shares["cropping_rotation"]["gone"] > 0.05
    assert shares["cropping_rotation"]["empty"] > shares["ultralytics"]["empty"]
