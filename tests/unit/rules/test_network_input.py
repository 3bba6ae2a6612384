import numpy as np
import pytest

from fiftyone_coco_audit.rules import network_input as rules
from fiftyone_coco_audit.statistics.tiling import tiling_effect
from tests.labeled import (
    evidence_by_code,
    evidence_of,
    labeled,
    read_labeled,
    statistics_of,
)

VGA, LARGE, HUGE = (640, 480), (1280, 960), (4000, 3000)
CODES = [rule.code for rule in vars(rules).values() if hasattr(rule, "code")]


def found(rule, made, resize="letterbox 640", **thresholds):
    """The evidence of a rule; None where it finds nothing."""
    return evidence_of(rule, statistics_of(made, resize), **thresholds)


def squares(size, *groups):
    """One image with groups of a number of squares, each ``(class, number, side)``."""
    return labeled(
        [size],
        [
            (0, name, [5, 5, side, side])
            for name, number, side in groups
            for _ in range(number)
        ],
    )


def test_tiny_objects():
    rule = rules.tiny_object_at_input
    made = squares(LARGE, ("bird", 2, 14), ("bird", 1, 16), ("cat", 1, 100))
    evidence = found(rule, made)
    assert evidence.objects.tolist() == [0, 1]
    assert evidence.message == (
        "2 of 4 objects (50%) are under 8 px at an input of letterbox 640."
    )
    assert found(rule, squares(LARGE, ("bird", 1, 14))).message == (
        "1 object (100%) is under 8 px at an input of letterbox 640."
    )
    assert not found(rule, squares(VGA, ("bird", 1, 14)))
    assert not found(rule, made, "letterbox 1280")
    assert found(rule, made, min_px=7) is None


def test_lost_objects():
    rule = rules.object_lost_at_input
    made = labeled(
        [HUGE],
        [(0, "a", [9, 9, 40, 3]), (0, "a", [9, 9, 40, 7]), (0, "a", [9, 9, 40, 0.5])],
    )
    evidence = found(rule, made)
    assert evidence.objects.tolist() == [0]
    assert evidence.message == (
        "1 of 3 objects has a side of less than 1 px at an input of letterbox 640."
    )
    assert not found(rule, labeled([VGA], [(0, "a", [9, 9, 40, 3])]))


def test_class_that_is_small():
    rule = rules.class_small_at_input
    made = squares(LARGE, ("bird", 10, 20), ("bird", 10, 90), ("cat", 50, 90))
    evidence = found(rule, made)
    assert evidence.objects.tolist() == list(range(10))
    assert evidence.classes == ("bird",)
    assert evidence.message == (
        "50% of `bird` objects (10 of 20) are under 16 px at an input of letterbox "
        "640; letterbox 1024 would bring 95% of them to that size."
    )
    assert evidence.figures["proposed_side"] == 1024
    assert not found(rule, made, "letterbox 1024")
    assert not found(rule, squares(VGA, ("bird", 10, 20), ("bird", 10, 90)))
    assert not found(rule, squares(LARGE, ("bird", 5, 20), ("bird", 15, 90)))
    assert not found(rule, squares(LARGE, ("bird", 19, 20)))


def test_classes_that_are_small():
    made = squares(
        LARGE, ("a", 20, 20), ("b", 8, 16), ("b", 12, 90), ("c", 20, 25), ("d", 40, 20)
    )
    evidence = found(rules.class_small_at_input, made)
    assert evidence.classes == ("a", "c", "d", "b")
    assert evidence.message == (
        "100% of `a` objects (20 of 20) are under 16 px at an input of letterbox 640, "
        "and so are many of `c` (100%), `d` (100%) and 1 more; letterbox 1280 would "
        "bring 95% of each to that size."
    )


def test_class_that_is_small_in_images_as_they_are():
    evidence = found(rules.class_small_at_input, squares(VGA, ("a", 20, 9)), "none")
    assert evidence.message == (
        "100% of `a` objects (20 of 20) are under 16 px at the images' own size."
    )


def test_most_objects_small():
    rule = rules.most_objects_small
    evidence = found(rule, squares(VGA, ("a", 60, 24), ("b", 40, 90)))
    assert evidence.objects.tolist() == list(range(60))
    assert evidence.message == (
        "60% of all objects (60 of 100) are under 32 px at an input of letterbox 640; "
        "the median is 24 px."
    )
    assert not found(rule, squares(VGA, ("a", 40, 24), ("b", 60, 90)))
    assert not found(rule, squares(VGA, ("a", 49, 24)))


def scattered(size, side, number=100):
    places = np.random.default_rng(0).random((number, 2)) * (np.array(size) - side)
    return labeled([size], [(0, "a", [*xy, side, side]) for xy in places.tolist()])


def test_tiling_is_advised():
    rule = rules.tiling_advised
    made = scattered(HUGE, 20)
    evidence = found(rule, made)
    assert len(evidence.objects) == 100
    figures = evidence.figures
    effect = tiling_effect(made, figures["tile"], figures["overlap"], 640)
    assert (figures["tile"], figures["overlap"]) == (800, 32)
    assert effect.num_cut == figures["cut"] == 0
    assert figures["tiles_per_image"] == effect.num_tiles == 6 * 4
    assert (figures["share_before"], figures["share_after"]) == (1, 0)
    assert evidence.message == (
        "100% of the objects are under 16 px even at letterbox 1536; tiles of 800 px "
        "that overlap by 32 px, at an input of 640 px, leave 0% that small, cut 0 of "
        "100 objects, and number 24 per image."
    )


def test_tiling_is_not_advised_where_it_does_not_help():
    rule = rules.tiling_advised
    # A larger input would do, there are no pixels to show, too few objects
    assert not found(rule, scattered(LARGE, 20))
    assert not found(rule, scattered(HUGE, 4))
    assert not found(rule, scattered(HUGE, 20, number=19))
    assert not found(rule, scattered(HUGE, 9), "none")
    # As many would be cut as are small
    large = scattered(HUGE, 2000).objects.box.tolist()
    small = scattered(HUGE, 20).objects.box.tolist()
    mixed = labeled([HUGE], [(0, "a", box) for box in large + small])
    assert not found(rule, mixed)


def test_input_is_larger_than_needed():
    rule = rules.input_larger_than_needed
    evidence = found(rule, squares(VGA, ("a", 99, 200), ("a", 1, 20)))
    # 640 * 32 / 200 = 102.4
    assert evidence.message == (
        "At letterbox 128 99% of the objects of every class would still be 32 px or "
        "more, with 4% of the pixels of letterbox 640."
    )
    assert evidence.figures == {"proposed_side": 128}
    assert not found(rule, squares(VGA, ("a", 99, 60)))
    assert not found(rule, squares(VGA, ("a", 49, 200)))
    assert not found(rule, squares(VGA, ("a", 99, 200)), "none")
    # One class of few but small objects
    assert not found(rule, squares(VGA, ("a", 500, 200), ("b", 3, 40)))


def test_codes_are_in_order():
    assert CODES == [f"CA{number}" for number in range(501, 507)]
    assert rules.tiny_object_at_input.name == "tiny-object-at-input"


@pytest.mark.parametrize("resize", ["letterbox 640", "shortest_side 800", "none"])
@pytest.mark.parametrize("code", CODES)
def test_nothing_has_no_findings(code, resize):
    for made in (labeled([]), labeled([VGA]), labeled([VGA], [], ["a", "b"])):
        assert not evidence_of(code, statistics_of(made, resize))


@pytest.mark.real_data
@pytest.mark.parametrize("resize", ["letterbox 640", "shortest_side 800 max 1333"])
def test_photographs_have_only_some_tiny_objects(shared_data, resize):
    made, _, _ = read_labeled(shared_data / "coco_mini" / "annotations.json")
    evidence = evidence_by_code(CODES, statistics_of(made, resize))
    assert evidence.keys() == {"CA501"}
    box, size = made.objects.box, made.image_size
    scale = np.minimum(640 / size.max(axis=1), np.inf)
    if resize != "letterbox 640":
        scale = np.minimum(800 / size.min(axis=1), 1333 / size.max(axis=1))
    expected = np.flatnonzero(np.sqrt(box[:, 2] * box[:, 3]) * scale < 8)
    assert evidence["CA501"].objects.tolist() == expected.tolist()
