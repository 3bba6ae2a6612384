import numpy as np
import pytest

from fiftyone_coco_audit.statistics.network_input import (
    InputStatistics,
    up_to_multiple,
    with_side,
)
from fiftyone_coco_audit.statistics.resizing import ResizePolicy
from tests.labeled import labeled

parse = ResizePolicy.parse

POLICIES = [
    "letterbox 640",
    "letterbox 640x352",
    "longest_side 1000",
    "shortest_side 800 max 1333",
    "shortest_side 600",
    "stretch 300",
    "stretch 300x200",
]


def objects_of(seed=0, num_objects=400):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(200, 3000, (20, 2)).tolist()
    rows = [
        (int(image), name, [0, 0, *np.exp(rng.normal(3.5, 1, 2))])
        for image, name in zip(
            rng.integers(0, 20, num_objects),
            rng.choice(list("abc"), num_objects),
            strict=True,
        )
    ]
    return labeled(sizes, rows, ["a", "none", "b", "c"])


def test_sizes_at_the_input():
    made = labeled(
        [(1280, 960), (300, 600)],
        [(0, "a", [0, 0, 40, 10]), (1, "a", [5, 5, 30, 60])],
    )
    letterbox = InputStatistics(made, parse("letterbox 640"))
    assert letterbox.input_width.tolist() == [20, 32]
    assert letterbox.input_height.tolist() == [5, 64]
    assert letterbox.input_size == pytest.approx([10, np.sqrt(32 * 64)])
    stretch = InputStatistics(made, parse("stretch 640x480"))
    assert stretch.input_width.tolist() == [20, 64]
    assert stretch.input_height.tolist() == [5, 48]
    detectron = InputStatistics(made, parse("shortest_side 600 max 1000"))
    # 600 / 960 = 0.625 for the first, 1000 / 600 = 1.67 for the second
    assert detectron.input_width == pytest.approx([25, 50])
    none = InputStatistics(made, parse("none"))
    assert none.input_width.tolist() == [40, 30]


def test_sizes_are_of_boxes_whatever_the_area():
    made = labeled([(640, 640)], [(0, "a", [0, 0, 16, 25])], areas=[3])
    assert InputStatistics(made, parse("letterbox 640")).input_size == [20]


def test_shares_below():
    sizes = [3, 4, 7.9, 8, 20, 31, 32, 100]
    names = "aaaabbbb"
    rows = [
        (0, name, [0, 0, side, side]) for name, side in zip(names, sizes, strict=True)
    ]
    found = InputStatistics(
        labeled([(640, 640)], rows, ["a", "none", "b"]), parse("letterbox 640")
    )
    overall = found.share_below()
    assert overall.index.tolist() == [4, 8, 16, 32]
    assert overall["objects"].tolist() == [1, 3, 4, 6]
    assert overall["share"].tolist() == [1 / 8, 3 / 8, 4 / 8, 6 / 8]
    frame = found.per_class((8, 32))
    assert frame.index.tolist() == ["a", "none", "b"]
    assert frame["objects"].tolist() == [4, 0, 4]
    assert frame["below_8"].tolist() == [3, 0, 0]
    assert frame["below_32"].tolist() == [4, 0, 2]
    shares = frame["share_below_32"].to_numpy()
    assert shares == pytest.approx([1, np.nan, 0.5], nan_ok=True)
    assert frame["median_input_size"].to_numpy() == pytest.approx(
        [np.median(sizes[:4]), np.nan, np.median(sizes[4:])], nan_ok=True
    )


@pytest.mark.parametrize("text", POLICIES)
@pytest.mark.parametrize("share", [0.5, 0.95, 1])
def test_smallest_input_is_found_by_trying_all(text, share):
    made, resize = objects_of(), parse(text)
    frame = InputStatistics(made, resize).smallest_input(16, share)
    assert np.isnan(frame.loc["none", "side"])
    # Sizes are proportional to the side; that policies are so is tested below
    size = InputStatistics(made, resize).input_size / resize.width
    for name in "abc":
        of_class = size[made.objects.category == made.classes.index(name)]
        assert frame.loc[name, "side"] == next(
            side
            for side in range(32, 20_000, 32)
            if (of_class * side >= 16 - 1e-9).mean() >= share
        )


@pytest.mark.parametrize("text", POLICIES)
def test_smallest_input_is_what_it_says_at_that_input(text):
    made, resize = objects_of(1), parse(text)
    frame = InputStatistics(made, resize).smallest_input(16, 0.95).drop("none")
    for name, side in frame["side"].items():
        of_class = made.objects.category == made.classes.index(name)
        larger = with_side(resize, int(side))
        size = InputStatistics(made, larger).input_size[of_class]
        assert (size >= 16 - 1e-9).mean() >= 0.95
        assert larger.mode == resize.mode
        smaller = with_side(resize, int(side) - 32)
        size = InputStatistics(made, smaller).input_size[of_class]
        if text not in ("letterbox 640x352", "stretch 300x200"):
            assert (size >= 16).mean() < 0.95


def test_smallest_input_at_the_edges():
    made = labeled(
        [(640, 640)],
        [(0, "a", [0, 0, 16, 16]), (0, "b", [0, 0, 0, 9])],
        ["a", "b"],
    )
    found = InputStatistics(made, parse("letterbox 640"))
    # As large as wanted already, and of no size whatever the input
    assert found.smallest_input(16)["side"].to_numpy() == pytest.approx(
        [640, np.nan], nan_ok=True
    )
    assert found.smallest_input(0.5)["side"]["a"] == 32
    assert InputStatistics(made, parse("none")).smallest_input() is None


def test_policies_of_the_same_kind():
    for text, side, expected in (
        ("letterbox 640", 1280, "letterbox 1280"),
        ("letterbox 640x352", 1280, "letterbox 1280x704"),
        ("letterbox 640x352", 960, "letterbox 960x544"),
        ("stretch 300x200", 600, "stretch 600x416"),
        ("longest_side 1000", 512, "longest_side 512"),
        ("shortest_side 800 max 1333", 1600, "shortest_side 1600 max 2666"),
        ("shortest_side 800", 416, "shortest_side 416"),
    ):
        assert str(with_side(parse(text), side)) == expected


def test_multiples():
    found = up_to_multiple(np.array([1, 32, 32.1, 64.0000000001, np.nan]))
    assert found == pytest.approx([32, 32, 64, 64, np.nan], nan_ok=True)


@pytest.mark.parametrize("sizes", [[], [(640, 480)]])
def test_nothing_is_no_error(sizes):
    for text in (*POLICIES, "none"):
        found = InputStatistics(labeled(sizes, [], ["a"]), parse(text))
        assert len(found.input_size) == 0
        assert found.share_below()["share"].tolist() == [0] * 4
        assert found.per_class()["share_below_8"].isna().all()
        frame = found.smallest_input()
        assert text == "none" or frame["side"].isna().all()
