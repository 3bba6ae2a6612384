import json

import numpy as np
import pytest

from fiftyone_coco_audit.rules import boxes, network_input
from fiftyone_coco_audit.rules import objects as rules
from tests.labeled import (
    evidence_by_code,
    evidence_of,
    labeled,
    read_labeled,
    statistics_of,
)

VGA = (640, 480)
CODES = [f"CA3{number:02}" for number in range(1, 13)]


def found(rule, made, **thresholds):
    """The evidence of a rule; None where it finds nothing."""
    return evidence_of(rule, statistics_of(made), **thresholds)


def one_image(*boxes, **kwargs):
    return labeled([VGA], [(0, "cat", box) for box in boxes], **kwargs)


def test_boxes_outside_their_image():
    rule = boxes.box_outside_image
    evidence = found(
        rule,
        one_image(
            [10, 10, 50, 50],
            [595, 10, 50, 50],
            [-1.5, 10, 50, 50],
            [10, 500, 50, 50],
        ),
    )
    assert evidence.objects.tolist() == [1, 2, 3]
    assert evidence.message == (
        "3 of 4 boxes extend beyond the border of the image, by up to 70 px; 1 lies "
        "wholly outside."
    )
    assert found(rule, one_image([630, 10, 50, 50])).message == (
        "1 box extends beyond the border of the image, by up to 40 px."
    )
    assert not found(rule, one_image([590.5, -0.9, 50, 50], [0, 0, *VGA]))
    for over, told in [(1.3, "1.3 px"), (2, "2 px"), (1.04, "1 px"), (12.4, "12 px")]:
        message = found(rule, one_image([590 + over, 10, 50, 50])).message
        assert message.endswith(f"by up to {told}.")
    assert found(rule, one_image([595, 10, 50, 50]), tolerance=5) is None


def test_duplicate_annotations_are_of_one_class_and_image():
    rule = boxes.duplicate_annotation
    box, same = [10, 10, 100, 100], [11, 10, 100, 101]
    evidence = found(rule, one_image(box, [300, 10, 100, 100], same, box))
    assert evidence.objects.tolist() == [0, 2, 3]
    assert evidence.message == (
        "3 of 4 objects are annotated more than once: 3 pairs of the same class have "
        "nearly the same box (IoU over 0.95)."
    )
    assert not found(rule, one_image(box, [10, 10, 100, 111]))
    assert not found(rule, labeled([VGA], [(0, "cat", box), (0, "dog", box)]))
    assert not found(rule, labeled([VGA] * 2, [(0, "cat", box), (1, "cat", box)]))


def with_masks(classes, growths):
    """Objects with masks of 80 x 80 px, and boxes around these grown by factors."""
    tight = np.array([[100, 100, 80, 80]] * len(growths), float)
    rows = [
        (n, name, [140 - 40 * growth, 140 - 40 * growth, 80 * growth, 80 * growth])
        for n, (name, growth) in enumerate(zip(classes, growths, strict=True))
    ]
    return labeled([VGA] * len(rows), rows, tight_box=tight)


def test_loose_boxes_are_systematic():
    rule = boxes.loose_box
    classes = ["cat", "dog"] * 12
    evidence = found(rule, with_masks(classes, [1.25, 1.0] * 11 + [1.05, 1.25]))
    assert evidence.objects.tolist() == list(range(0, 22, 2))
    assert evidence.classes == ("cat",)
    assert evidence.message == (
        "Boxes are larger in area than the boxes around their masks, by a median of "
        "56% for `cat` (11 objects)."
    )
    # One of many, too little, too few, and no masks at all
    assert not found(rule, with_masks(classes, [1.25] + [1.0] * 23))
    assert not found(rule, with_masks(classes, [1.08] * 24))
    assert not found(rule, with_masks(["cat"] * 9, [1.25] * 9))
    assert not found(rule, one_image(*[[10, 10, 50, 50]] * 20))


def test_loose_boxes_name_the_worst_class_first():
    classes = ["a", "b", "c", "d", "e"] * 10
    evidence = found(
        boxes.loose_box, with_masks(classes, [1.2, 1.3, 1.15, 1.25, 1.0] * 10)
    )
    assert evidence.classes == ("b", "d", "a", "c")
    assert "69% for `b`, 56% for `d`, 44% for `a` and 1 more" in evidence.message


def test_box_and_mask_of_different_places():
    rule = boxes.box_mask_mismatch
    tight = np.array([[10, 10, 40, 40], [10, 10, 40, 40], [10, 10, 13, 40]], float)
    made = one_image(
        [10, 10, 40, 40], [40, 10, 40, 40], [10, 10, 40, 40], tight_box=tight
    )
    evidence = found(rule, made)
    assert evidence.objects.tolist() == [1, 2]
    assert evidence.message == (
        "2 of 3 boxes have an IoU under 0.5 with the box around the object's mask; the "
        "lowest is 0.14."
    )
    assert not found(rule, with_masks(["cat"] * 20, [1.3] * 20))
    # What differs so much is not called loose as well
    assert not found(boxes.loose_box, with_masks(["cat"] * 20, [1.6] * 20))
    assert len(found(rule, with_masks(["cat"] * 20, [1.6] * 20)).objects) == 20


def test_extreme_box_aspect_ratios():
    rule = boxes.extreme_box_aspect_ratio
    evidence = found(
        rule, one_image([0, 0, 210, 10], [0, 0, 190, 10], [5, 5, 10, 400], [9, 9, 9, 0])
    )
    assert evidence.objects.tolist() == [0, 2]
    assert evidence.message == (
        "2 of 4 boxes have one side over 20 times as long as the other; the thinnest "
        "is 10 x 400 px."
    )
    assert not found(rule, one_image([0, 0, 190, 10]))
    assert not found(rule, one_image([0, 0, 190, 0.5]))


def test_degenerate_boxes():
    rule = boxes.degenerate_box
    evidence = found(
        rule, one_image([9, 9, 40, 0.5], [9, 9, 40, 1], [9, 9, 0, 9], [9, 9, -3, 9])
    )
    assert evidence.objects.tolist() == [0, 2, 3]
    assert evidence.message == "3 of 4 boxes have a side of less than 1 px."
    assert found(rule, one_image([9, 9, 40, 0.5], [9, 9, 40, 1])).message == (
        "1 of 2 boxes has a side of less than 1 px."
    )
    assert not found(rule, one_image([9, 9, 40, 1]))


def test_objects_that_fill_their_image():
    rule = rules.object_fills_image
    evidence = found(
        rule, one_image([1, 0, 639, 479], [20, 20, 600, 440], [-99, -99, 900, 900])
    )
    assert evidence.objects.tolist() == [0, 2]
    assert evidence.message == "2 of 3 boxes cover over 95% of the image."
    assert not found(rule, one_image([20, 20, 600, 440]))


def at_border(number, of, name="cat"):
    boxes = [[0, 100, 40, 40]] * number + [[100, 100, 40, 40]] * (of - number)
    return [(image, name, box) for image, box in enumerate(boxes)]


def test_classes_that_are_mostly_truncated():
    rule = rules.many_truncated_objects
    rows = at_border(15, 20) + at_border(5, 20, "dog") + at_border(19, 19, "owl")
    evidence = found(rule, labeled([VGA] * 20, rows))
    assert evidence.classes == ("cat",)
    assert len(evidence.objects) == 15
    assert evidence.message == (
        "Over 50% of the objects of `cat` (75%) touch the border of their image."
    )
    assert not found(rule, labeled([VGA] * 20, at_border(5, 20)))
    assert not found(rule, labeled([VGA] * 19, at_border(19, 19)))
    full = [(image, "cat", [0, 0, *VGA]) for image in range(20)]
    assert not found(rule, labeled([VGA] * 20, full))


def of_sizes(sides, sizes=None):
    rows = [(n, "cat", [100, 100, side, side]) for n, side in enumerate(sides)]
    return labeled(sizes or [VGA] * len(rows), rows)


def test_size_outliers():
    rule = rules.size_outlier
    sides = np.geomspace(80, 160, 100).tolist()
    evidence = found(rule, of_sizes([*sides, 3, 60]))
    assert evidence.objects.tolist() == [100]
    assert evidence.message == (
        "1 of 102 objects is over 5 standard deviations from the usual size of its "
        "class; the most extreme, a `cat`, is 3 px across; the median is 112 px."
    )
    assert found(rule, of_sizes([*sides, 3, 2])).message.startswith(
        "2 of 102 objects are over 5 standard deviations from the usual size of their"
    )
    assert not found(rule, of_sizes([*sides, 60]))
    assert not found(rule, of_sizes([*sides[:40], 3]))


def test_sizes_of_a_normal_or_a_mixed_class_are_no_outliers():
    rng = np.random.default_rng(0)
    assert not found(
        rules.size_outlier, of_sizes(np.exp(rng.normal(4, 0.5, 3000)).tolist())
    )
    close = np.exp(rng.normal(6, 0.1, 100)).tolist()
    far = np.exp(rng.normal(2, 0.1, 2000)).tolist()
    assert not found(rules.size_outlier, of_sizes(close + far))
    assert not found(rules.size_outlier, of_sizes([50.0] * 100 + [60.0]))


def test_objects_of_large_images_are_no_outliers():
    """Ten times as large in pixels, but not as a share of the image."""
    sides = [*np.geomspace(80, 100, 100), 900]
    made = of_sizes(sides, [VGA] * 100 + [(6400, 4800)])
    assert not found(rules.size_outlier, made)
    assert found(rules.size_outlier, of_sizes(sides)) is not None


def test_crowded_images():
    rule = rules.crowded_image
    rows = [(n % 2, "cat", [n, n, 50, 50]) for n in range(200)]
    assert not found(rule, labeled([VGA] * 3, rows))
    evidence = found(rule, labeled([VGA] * 3, [*rows, (1, "cat", [9, 9, 9, 9])]))
    assert evidence.images.tolist() == [1]
    assert evidence.objects is None
    assert evidence.message == (
        "1 of 3 images has more than 100 objects, up to 101; at 100 detections an "
        "image 1 object cannot be found."
    )


def around(spread, number=30, name="gauge", images=None, seed=0):
    rng = np.random.default_rng(seed)
    center = np.array([320, 240]) + rng.uniform(-1, 1, (number, 2)) * spread
    return [
        (n % (images or number), name, [x - 10, y - 10, 20, 20])
        for n, (x, y) in enumerate(center.tolist())
    ]


def test_classes_that_are_always_at_the_same_place():
    rule = rules.position_bias
    made = labeled([VGA] * 30, around((64, 48)) + around((300, 120), name="leaf"))
    evidence = found(rule, made)
    assert evidence.classes == ("gauge",)
    assert (made.objects.category[evidence.objects] == 0).all()
    # 90% of 90%
    assert len(evidence.objects) == 24
    assert 0.02 < evidence.figures["share_of_image"] < 0.2 * 0.2
    assert evidence.message == (
        "80% of the objects of `gauge` have their centers in the same 3.1% of the "
        "image."
    )
    assert not found(rule, labeled([VGA] * 30, around((300, 120))))
    # Many objects of few images
    assert not found(rule, labeled([VGA] * 30, around((64, 48), 290, images=29)))


@pytest.mark.parametrize("code", CODES)
def test_nothing_has_no_findings(code):
    for made in (labeled([]), labeled([VGA]), labeled([VGA], [], ["a", "b"])):
        assert not evidence_of(code, statistics_of(made))


def test_findings_of_1200_classes_are_short():
    rng = np.random.default_rng(1)
    rows = [
        (int(n), f"class {n % 1200}", [-9, -9, side, 0.5])
        for n, side in zip(range(30_000), rng.uniform(1, 99, 30_000), strict=True)
    ]
    examined = statistics_of(labeled([VGA] * 30_000, rows))
    for evidence in evidence_by_code(CODES, examined).values():
        assert len(evidence.message) < 250


@pytest.mark.parametrize("few", [True, False])
@pytest.mark.parametrize(
    ("rule", "box"),
    [
        # Twice the size, as of the images before they were made smaller
        (boxes.box_outside_image, [150, 40, 120, 80]),
        (boxes.degenerate_box, [10, 10, 0.4, 0.4]),
        (boxes.degenerate_box, [10, 10, 30, 0]),
    ],
)
def test_many_boxes_that_cannot_be_right_are_not_to_be_clipped_or_removed(
    rule, box, few
):
    sound = [60, 20, 50, 40]
    rows = [(n, "cat", box if n < 4 or not few else sound) for n in range(20)]
    rows += [(n, "cat", [100, 50, 60, 40]) for n in range(20)]
    evidence = found(rule, labeled([(200, 100)] * 20, rows))
    if few:
        assert evidence.advice is None
    else:
        assert evidence.advice.startswith("Do not clip or remove so many boxes")


def test_finds_exactly_the_planted_labels_of_the_demo(demo_files):
    made, _, ids = read_labeled(demo_files.annotations)
    manifest = json.loads(demo_files.manifest.read_text())
    planted = {plant["key"]: plant["annotation_ids"] for plant in manifest["plants"]}
    codes = [*CODES, network_input.tiny_object_at_input.code]
    evidence = evidence_by_code(codes, statistics_of(made))
    named = {code: set(np.array(ids)[e.objects]) for code, e in evidence.items()}
    # Objects planted as tiny are far from the sizes of their classes
    assert named.pop("CA309", set()) <= set(planted["tiny_object"])
    assert named == {
        "CA301": set(planted["box_outside_image"]),
        "CA302": set(planted["duplicate_annotation"]),
        "CA303": set(planted["loose_boxes"]),
        "CA501": set(planted["tiny_object"]),
    }
    assert evidence["CA303"].classes == ("citrus",)


@pytest.mark.real_data
def test_sound_photographs_have_no_errors(shared_data):
    made, _, _ = read_labeled(shared_data / "coco_mini" / "annotations.json")
    evidence = evidence_by_code(CODES, statistics_of(made))
    # The spine of a book of 2 x 53 px, and what was photographed from near
    assert evidence.keys() == {"CA305", "CA307"}
    assert len(evidence["CA305"].objects) == 1
    assert len(evidence["CA307"].objects) == 4
