import numpy as np
import pytest

from fiftyone_coco_audit.rules import anchors as rules
from fiftyone_coco_audit.statistics.anchor_sets import PRESETS, AnchorSet
from fiftyone_coco_audit.wording import percent
from tests.labeled import (
    evidence_by_code,
    evidence_of,
    labeled,
    read_labeled,
    statistics_of,
)

SQUARE = (640, 640)
CODES = [rule.code for rule in vars(rules).values() if hasattr(rule, "code")]


def found(rule, made, anchors="retinanet", resize="letterbox 640", **thresholds):
    """The evidence of a rule; None where it finds nothing."""
    return evidence_of(rule, statistics_of(made, resize, anchors), **thresholds)


def objects(*groups, apart=64):
    """Objects, each group so many of a class and of some sides, 100 an image.

    Their centers are on multiples of 32 pixels.
    """
    rows = []
    for number, name, (width, height) in groups:
        for _ in range(number):
            n = len(rows)
            x = apart * (n % 10) + 32 - width / 2
            y = apart * (n // 10 % 10) + 32 - height / 2
            rows.append((n // 100, name, [x, y, width, height]))
    return labeled([SQUARE] * max(-(-len(rows) // 100), 1), rows)


TINY, COMMON = (10, 10), (32, 32)


def test_anchors_that_do_not_reach():
    rule = rules.anchors_unreachable
    made = objects((15, "cat", TINY), (85, "cat", COMMON))
    evidence = found(rule, made)
    assert evidence.objects.tolist() == list(range(15))
    assert evidence.message == (
        "15% of the objects (15 of 100) match no anchor of retinanet at letterbox "
        "640 (IoU under 0.4); their median size is 10 px, that of all objects 32 px."
    )
    assert not found(rule, objects((5, "cat", TINY), (95, "cat", COMMON)))
    assert not found(rule, made, max_share=0.15)
    assert not found(rule, objects((30, "cat", TINY)))
    assert found(rule, objects((30, "cat", TINY)), min_objects=30)
    # A larger input brings them within reach, and so do finer anchors
    assert not found(rule, made, resize="letterbox 1920")
    assert not found(rule, made, "sizes 8,32 strides 8,16")


@pytest.mark.parametrize(
    ("anchors", "sides", "says"),
    [
        ("yolov5", (2, 2), "anchor of yolov5 at letterbox 640 (a side 4 times longer"),
        ("fcos", (3, 3), "location of fcos at letterbox 640 (none in their"),
    ],
)
def test_other_ways_not_to_be_reached(anchors, sides, says):
    evidence = found(rules.anchors_unreachable, objects((60, "cat", sides)), anchors)
    assert len(evidence.objects) == 60
    assert f"match no {says}" in evidence.message


def test_classes_that_are_not_reached():
    rule = rules.class_unreachable
    made = objects(
        (8, "ant", COMMON), (22, "ant", TINY), (20, "bee", TINY), (200, "cat", COMMON)
    )
    evidence = found(rule, made)
    assert evidence.classes == ("bee", "ant")
    assert evidence.objects.tolist() == list(range(8, 50))
    assert evidence.message == (
        "100% of `bee` objects (20 of 20) match no anchor of retinanet at letterbox "
        "640 (IoU under 0.4), and so do many of `ant`."
    )
    everywhere = [(n, c, TINY) for c in "abc" for n in (30,)]
    assert not found(rule, objects(*everywhere))
    assert not found(rule, objects((19, "ant", TINY), (200, "cat", COMMON)))
    few = (20, "ant", TINY), (80, "ant", COMMON), (200, "cat", COMMON)
    assert not found(rule, objects(*few))
    assert found(rule, objects(*few), max_share=0.19).classes == ("ant",)


def test_shapes_that_no_anchor_has():
    rule = rules.shape_unreachable
    made = objects((30, "cat", (20, 200)), (270, "cat", COMMON))
    evidence = found(rule, made)
    assert evidence.objects.tolist() == list(range(30))
    assert evidence.message == (
        "10% of the objects (30 of 300) are too long for the anchors of retinanet at "
        "letterbox 640 at any size: their median elongation is 10.0:1, but the anchors "
        "are at most 2.0:1."
    )
    assert not found(rule, objects((30, "cat", (20, 80)), (270, "cat", COMMON)))
    assert not found(rule, objects((19, "cat", (20, 200)), (81, "cat", COMMON)))
    assert not found(rule, made, max_share=0.1)
    assert not found(rule, made, "sizes 32,64 ratios .1,1,10 strides 8,16")
    assert not found(rule, made, "fcos")
    # Boxes of no width are degenerate, and have no ratio
    flat = objects((30, "cat", (0, 200)), (30, "cat", (0.5, 200)), (30, "cat", COMMON))
    assert not found(rule, flat)
    both = objects((30, "cat", (0, 200)), (30, "cat", (20, 200)), (30, "cat", COMMON))
    evidence = found(rule, both)
    assert evidence.objects.tolist() == list(range(30, 60))
    assert evidence.figures["median_ratio"] == pytest.approx(10)
    # A stretch may make them shorter
    assert not found(rule, made, resize="stretch 640x160")


def test_anchors_that_would_be_better():
    rule = rules.better_anchors
    rng = np.random.default_rng(0)
    small = objects(*((1, "cat", side) for side in rng.uniform(12, 24, (1000, 2))))
    evidence = found(rule, small)
    before, after = (evidence.figures[f"reach_{when}"] for when in ("before", "after"))
    assert after > before + 0.05
    assert evidence.message == (
        f"Fitted anchors would match {percent(after)} of the objects of 3 images "
        "held out at letterbox 640, where those of retinanet match "
        f"{percent(before)}."
    )
    proposed = AnchorSet.parse(evidence.figures["anchors"])
    assert proposed == statistics_of(small).anchor_proposal.anchors
    assert not found(rule, small, proposed)
    assert not found(rule, small, min_gain=after - before + 0.01)
    assert not found(rule, small, max_reach=before)
    assert not found(rule, small, "fcos")
    fits = objects(*((1, "cat", side) for side in rng.uniform(32, 64, (1000, 2))))
    assert not found(rule, fits)


def test_anchors_that_do_are_not_fitted():
    made = statistics_of(objects((400, "cat", COMMON)))
    assert not evidence_of(rules.better_anchors, made)
    assert "anchor_proposal" not in vars(made)


def test_levels_without_objects():
    rule = rules.unused_level
    large = objects((1, "cat", COMMON), (399, "cat", (64, 64)))
    evidence = found(rule, large)
    assert evidence.objects.tolist() == [0]
    assert evidence.message == (
        "The level of stride 8 of retinanet at letterbox 640 has 75% of all anchors, "
        "but the best anchor of only 1 of 400 objects."
    )
    assert found(rule, objects((400, "cat", (300, 300)))).message == (
        "The levels of stride 8 and 16 of retinanet at letterbox 640 have 94% of all "
        "anchors, but the best anchor of only 0 of 400 objects."
    )
    # Hardly any anchor is of the coarsest level
    coarse = ((1, "cat", (620, 620)), (200, "cat", COMMON), (199, "cat", (64, 64)))
    assert not found(rule, objects(*coarse))
    assert not found(rule, objects((299, "cat", (64, 64))))
    assert not found(rule, objects((5, "cat", COMMON), (395, "cat", (64, 64))))
    assert not found(rule, large, "fcos")


def test_objects_that_share_a_cell():
    rule = rules.objects_share_a_cell
    pairs = labeled(
        [SQUARE] * 10,
        [
            row
            for image in range(10)
            for n in range(10)
            for row in (
                [(image, "cat", [60 * n, 10, 32, 32])]
                + [(image, "dog", [60 * n + 2, 10, 32, 32])] * (n == 0)
            )
        ],
    )
    evidence = found(rule, pairs)
    assert evidence.objects.tolist() == [
        row for image in range(10) for row in (11 * image, 11 * image + 1)
    ]
    assert evidence.message == (
        "18% of the objects (20 of 110) have the same best anchor of retinanet at "
        "letterbox 640 as another object of their image, which can learn only one of "
        "them."
    )
    assert not found(rule, pairs, max_share=0.19)
    assert not found(rule, pairs, min_objects=21)
    assert not found(rule, pairs, "fcos")
    # Cells of 4 pixels at the same anchors
    assert not found(rule, pairs, "faster_rcnn_fpn")
    assert not found(rule, objects((100, "cat", (32, 32)), apart=20))


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("sizes", [[], [SQUARE]])
def test_sets_without_objects(code, name, sizes):
    made = statistics_of(labeled(sizes, classes=["cat"]), anchors=name)
    assert not evidence_of(code, made)


def test_codes():
    assert CODES == [f"CA51{n}" for n in range(6)]


@pytest.mark.parametrize("resize", ["letterbox 640", "shortest_side 800 max 1333"])
def test_the_demo_has_no_such_fault(demo_files, resize):
    made, _, _ = read_labeled(demo_files.annotations)
    assert evidence_by_code(CODES, statistics_of(made, resize)) == {}


@pytest.mark.real_data
def test_coco_at_the_size_that_retinanet_is_trained_with(shared_data):
    coco, _, _ = read_labeled(shared_data / "coco_mini" / "annotations.json")
    made = statistics_of(coco, "shortest_side 800 max 1333")
    assert evidence_by_code(CODES, made) == {}


@pytest.mark.real_data
def test_coco_at_a_small_size(shared_data):
    coco, _, _ = read_labeled(shared_data / "coco_mini" / "annotations.json")
    # A fifth of its objects is small there, as is known of COCO
    assert list(evidence_by_code(CODES, statistics_of(coco))) == ["CA510", "CA513"]
