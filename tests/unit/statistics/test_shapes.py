import numpy as np
import pandas as pd
import pytest
from pycocotools import mask as coco_mask

from fiftyone_coco_audit.statistics.shapes import (
    SIZE_CLASSES,
    ShapeStatistics,
    duplicate_pairs,
    quantiles_per_class,
    size_class,
)
from tests.labeled import labeled, read_labeled

VGA = (640, 480)


def crowd_of(rng, num_images=3, num_objects=60, names="abc"):
    """Random boxes, some of which cross the border."""
    sizes = rng.integers(50, 400, (num_images, 2))
    rows = []
    for image, size in enumerate(sizes):
        for _ in range(num_objects):
            box = [*(rng.random(2) * 1.2 - 0.2) * size, *rng.random(2) * size * 0.7 + 1]
            rows.append((image, rng.choice(list(names)), box))
    return labeled(sizes.tolist(), rows, list(names))


@pytest.fixture
def found():
    return ShapeStatistics(
        labeled(
            [(100, 50), (200, 200), (10, 10)],
            [
                (0, "cat", [10, 10, 30, 15]),
                (0, "dog", [-10, 20, 20, 10]),
                (0, "cat", [0.9, 5, 5, 5]),
                (1, "cat", [120, 150, 80.4, 25]),
            ],
            ["cat", "dog", "owl"],
            areas=[200, 150, 25, 1000],
        )
    )


def test_columns_of_objects(found):
    assert found.width.tolist() == [30, 20, 5, 80.4]
    assert found.height.tolist() == [15, 10, 5, 25]
    assert found.box_aspect_ratio == pytest.approx([2, 2, 1, 3.216])
    assert found.elongation == pytest.approx([2, 2, 1, 3.216])
    assert found.relative_area == pytest.approx([0.04, 0.03, 0.005, 0.025])
    assert found.center[1] == pytest.approx([0, 0.5])
    assert found.outside == pytest.approx([-10, 10, -0.9, 0.4])
    assert found.truncated.tolist() == [False, True, True, True]
    assert found.visible_share == pytest.approx([1, 0.5, 1, 80 / 80.4])
    assert found.image_share == pytest.approx([0.09, 0.02, 0.005, 0.05])


def test_columns_of_images(found):
    assert found.num_objects.tolist() == [3, 1, 0]
    assert found.num_classes.tolist() == [2, 1, 0]


def test_size_classes_are_those_of_cocoeval():
    area = np.array([0, 1023.9, 1024, 1024.1, 9215.9, 9216, 9216.1, 1e9])
    ranges = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e10)}
    names = np.array(SIZE_CLASSES)[size_class(area)]
    for value, name in zip(area, names, strict=True):
        low, high = ranges[name]
        assert low <= value <= high
    assert names[[2, 5]].tolist() == ["medium", "medium"]


def test_boxes_without_area_have_no_shape():
    found = ShapeStatistics(labeled([VGA], [(0, "a", [5, 5, 0, 9])] * 2))
    assert np.isnan(found.box_aspect_ratio).all()
    assert found.visible_share.tolist() == [1, 1]
    assert found.per_class().loc["a", "width_median"] == 0


@pytest.mark.parametrize("sizes", [[], [VGA]])
@pytest.mark.parametrize("classes", [[], ["a", "b"]])
def test_nothing_is_no_error(sizes, classes):
    made = labeled(sizes, [], classes)
    found = ShapeStatistics(made)
    assert found.num_objects.tolist() == [0] * len(sizes)
    assert found.num_classes.tolist() == [0] * len(sizes)
    assert len(found.looseness) == len(found.truncated) == len(found) == 0
    assert found.heat_map(bins=4).tolist() == np.zeros((4, 4)).tolist()
    assert found.center_map(bins=4).tolist() == np.zeros((4, 4)).tolist()
    assert found.central_window.shape == (len(classes), 4)
    assert duplicate_pairs(made.objects).shape == (0, 2)
    frame = found.per_class()
    assert frame.index.tolist() == classes
    assert frame["objects"].tolist() == [0] * len(classes)
    assert frame["truncated"].isna().all()


def test_per_class_is_as_pandas_groups():
    made = crowd_of(np.random.default_rng(0), names="abcd")
    made = labeled(
        made.size.tolist(),
        [
            (int(i), "dab"[c % 3], b.tolist())
            for i, c, b in zip(
                made.objects.image, made.objects.category, made.objects.box, strict=True
            )
        ],
        ["a", "b", "c", "d"],
    )
    found = ShapeStatistics(made)
    table = pd.DataFrame(
        {
            "class": np.array(made.classes)[made.objects.category],
            "image": made.objects.image,
            "width": found.width,
            "area": made.objects.area,
            "aspect_ratio": found.width / found.height,
            "large": made.objects.area > 96**2,
            "truncated": found.truncated,
        }
    )
    groups = table.groupby("class")
    frame = found.per_class()
    assert frame.index.name == "class"
    assert frame.loc["c", "objects"] == 0
    assert frame.loc["c"].drop(["objects", "images"]).isna().all()
    some = frame.drop("c")
    assert some["objects"].tolist() == groups.size().tolist()
    assert some["images"].tolist() == groups["image"].nunique().tolist()
    for name in ("width", "area", "aspect_ratio"):
        for suffix, q in (("05", 0.05), ("median", 0.5), ("95", 0.95)):
            assert some[f"{name}_{suffix}"].to_numpy() == pytest.approx(
                groups[name].quantile(q).to_numpy()
            )
    for name in ("large", "truncated"):
        assert some[name].tolist() == pytest.approx(groups[name].mean().tolist())
    assert some[list(SIZE_CLASSES)].sum(axis=1).to_numpy() == pytest.approx(1)


def test_quantiles_leave_out_what_is_unknown():
    values = np.array([3, np.nan, 1, 7, np.nan])
    found = quantiles_per_class(values, np.array([0, 0, 0, 2, 1]), 4, (0, 0.25, 1))
    assert found[0].tolist() == np.quantile([1, 3], (0, 0.25, 1)).tolist()
    assert np.isnan(found[[1, 3]]).all()
    assert found[2].tolist() == [7, 7, 7]


@pytest.mark.parametrize("category", [None, 1])
def test_heat_map_is_the_coverage_of_drawn_boxes(category):
    """Boxes on a grid of pixels, drawn one by one and averaged in blocks."""
    rng = np.random.default_rng(1)
    start, stop = np.sort(rng.integers(-4, 68, (2, 50, 2)), axis=0)
    rows = [
        (0, "ab"[n % 2], [*first, *(last - first)])
        for n, (first, last) in enumerate(zip(start, stop, strict=True))
    ]
    drawn = np.zeros((64, 64))
    chosen = [row for row in rows if category is None or row[1] == "ab"[category]]
    for _, _, (x, y, w, h) in chosen:
        drawn[max(y, 0) : max(y + h, 0), max(x, 0) : max(x + w, 0)] += 1
    blocks = drawn.reshape(16, 4, 16, 4).mean(axis=(1, 3)) / len(chosen)
    found = ShapeStatistics(labeled([(64, 64)], rows)).heat_map(category, bins=16)
    assert found == pytest.approx(blocks)


def test_heat_map_is_relative_to_each_image():
    rows = [(0, "a", [0, 0, 100, 50]), (1, "a", [0, 0, 10, 40])]
    found = ShapeStatistics(labeled([(200, 100), (20, 40)], rows)).heat_map(bins=2)
    assert found.tolist() == [[1, 0], [0.5, 0]]


def test_heat_map_of_many_objects_is_that_of_all(monkeypatch):
    made = ShapeStatistics(crowd_of(np.random.default_rng(2)))
    whole = made.heat_map()
    monkeypatch.setattr(
        "fiftyone_coco_audit.statistics.shapes._OBJECTS_AT_ONCE", 7, raising=True
    )
    assert made.heat_map() == pytest.approx(whole)


def test_center_map_is_the_histogram_of_centers():
    made = crowd_of(np.random.default_rng(3))
    found = ShapeStatistics(made)
    box, size = made.objects.box, made.image_size
    x, y = np.clip((box[:, :2] + box[:, 2:] / 2) / size, 0, 1).T
    expected, _, _ = np.histogram2d(y, x, bins=8, range=[[0, 1], [0, 1]])
    assert found.center_map(bins=8) == pytest.approx(expected / len(box))
    assert found.center_map(0, bins=8).sum() == pytest.approx(1)


def test_cells_of_the_heat_map_open_their_objects():
    made = crowd_of(np.random.default_rng(4))
    found = ShapeStatistics(made)
    of_class = made.objects.category == 2
    heat = found.heat_map(2, bins=5)
    inside = ((found.center >= 0) & (found.center < 1)).all(axis=1) & of_class
    for row, column in np.ndindex(5, 5):
        covering = found.rows_covering(row, column, 2, bins=5)
        assert of_class[covering].all()
        # Each covers at most the whole cell
        assert heat[row, column] * of_class.sum() <= len(covering)
        centered = (np.floor(found.center * 5) == [column, row]).all(axis=1) & inside
        assert set(np.flatnonzero(centered)) <= set(covering)


def test_central_window_holds_nine_tenths():
    rng = np.random.default_rng(5)
    center = rng.normal([320, 120], [20, 12], (4000, 2))
    rows = [(0, "a", [x - 5, y - 5, 10, 10]) for x, y in center]
    found = ShapeStatistics(labeled([VGA], rows, ["b", "a"])).central_window
    assert np.isnan(found[0]).all()
    normal = 1.645 * np.array([20, 12])
    expected = np.r_[[320, 120] - normal, [320, 120] + normal] / np.tile(VGA, 2)
    assert found[1] == pytest.approx(expected, abs=0.005)


def all_pairs(made, min_iou):
    """Duplicates as pycocotools measures them, pair by pair."""
    objects = made.objects
    overlap = coco_mask.iou(objects.box, objects.box, np.zeros(len(objects)))
    return [
        [one, other]
        for one in range(len(objects))
        for other in range(one + 1, len(objects))
        if objects.image[one] == objects.image[other]
        and objects.category[one] == objects.category[other]
        and overlap[one, other] > min_iou
    ]


@pytest.mark.parametrize("min_iou", [0.3, 0.8, 0.95])
def test_duplicates_are_those_of_all_pairs(min_iou):
    rng = np.random.default_rng(6)
    rows = []
    for image in range(4):
        for _ in range(30):
            box = np.r_[rng.random(2) * 400, rng.random(2) * 150 + 5]
            for _ in range(rng.integers(1, 4)):
                shift = rng.normal(0, 0.02, 4) * np.tile(box[2:], 2)
                rows.append((image, rng.choice(["a", "b"]), (box + shift).tolist()))
    made = labeled([VGA] * 4, rows)
    expected = all_pairs(made, min_iou)
    assert len(expected) > 5
    assert duplicate_pairs(made.objects, min_iou).tolist() == expected


def test_duplicates_of_a_crowd_are_found_at_once():
    rng = np.random.default_rng(7)
    boxes = np.c_[rng.random((20_000, 2)) * [1900, 1000], np.full((20_000, 2), 12)]
    rows = [(n // 2000, "a", box) for n, box in enumerate(boxes.tolist())]
    made = labeled([(1920, 1080)] * 10, [*rows, (9, "a", rows[-5][2])])
    pairs = duplicate_pairs(made.objects)
    assert [19_995, 20_000] in pairs.tolist()


def test_boxes_are_held_against_those_of_masks():
    found = ShapeStatistics(
        labeled(
            [(100, 100)],
            [
                (0, "a", [10, 10, 20, 20]),  # equal
                (0, "a", [10, 10, 40, 20]),  # twice the width
                (0, "a", [9.2, 9.5, 21.3, 21.1]),  # equal, to a pixel
                (0, "a", [80, 10, 40, 20]),  # equal inside the image
                (0, "a", [10, 10, 20, 20]),  # half beside
                (0, "a", [10, 10, 20, 20]),  # no mask
                (0, "a", [10, 10, 20, 20]),  # elsewhere
            ],
            tight_box=np.array(
                [
                    [10, 10, 20, 20],
                    [10, 10, 20, 20],
                    [10, 10, 20, 20],
                    [80, 10, 20, 20],
                    [20, 10, 20, 20],
                    [np.nan] * 4,
                    [60, 60, 20, 20],
                ]
            ),
        )
    )
    expected = [1, 2, 1, 1, 1, np.nan, 1]
    assert found.looseness == pytest.approx(expected, nan_ok=True)
    expected = [1, 0.5, 1, 1, 1 / 3, np.nan, 0]
    assert found.mask_iou == pytest.approx(expected, nan_ok=True)


def test_boxes_without_masks_are_not_compared():
    found = ShapeStatistics(labeled([VGA], [(0, "a", [1, 1, 9, 9])]))
    assert np.isnan(found.looseness).all() and np.isnan(found.mask_iou).all()


def test_many_classes():
    rng = np.random.default_rng(8)
    rows = [(0, f"c{n}", [1, 1, n % 50 + 1, 9]) for n in rng.integers(0, 1200, 3000)]
    found = ShapeStatistics(labeled([VGA], rows, [f"c{n}" for n in range(1200)]))
    frame = found.per_class()
    assert frame["objects"].sum() == 3000
    present = frame["objects"] > 0
    assert frame["width_median"][present].tolist() == [
        int(name[1:]) % 50 + 1 for name in frame.index[present]
    ]


@pytest.mark.real_data
def test_boxes_of_coco_fit_their_masks(shared_data):
    made, _, _ = read_labeled(shared_data / "coco_mini" / "annotations.json")
    found = ShapeStatistics(made)
    assert found.looseness == pytest.approx(1, abs=0.25)
    assert found.mask_iou.min() > 0.7
    assert len(duplicate_pairs(made.objects)) == 0
    assert found.num_objects.sum() == 619
