"""Boxes of another format are named, and sound ones never accused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import fiftyone_coco_audit.rules  # noqa: F401  (fills the registry)
from fiftyone_coco_audit.box_formats import BoxEncoding, corners, find_format_mismatch
from fiftyone_coco_audit.findings import RULES, Finding, without_repeats
from fiftyone_coco_audit.statistics.network_input import LARGEST_INPUT
from tests.labeled import (
    evidence_by_code,
    evidence_of,
    labeled,
    read_labeled,
    statistics_of,
)

Boxes = NDArray[np.float64]


def other_formats(box: Boxes, size: Boxes) -> dict[str, Boxes]:
    """Sound boxes, written in other ways, by what the finding calls these."""
    edges = np.hstack([box[:, :2], box[:, :2] + box[:, 2:]])
    centers = np.hstack([box[:, :2] + box[:, 2:] / 2, box[:, 2:]])
    whole = np.tile(size, 2)
    return {
        "[x1, y1, x2, y2]": edges,
        "[center x, center y, width, height]": centers,
        "[x, y, width, height] from 0 to 1": box / whole,
        "[x1, y1, x2, y2] from 0 to 1": edges / whole,
        "[center x, center y, width, height] from 0 to 1": centers / whole,
        "[x, y, width, height] in percent of the image": 100 * box / whole,
        "[x1, y1, x2, y2] in percent of the image": 100 * edges / whole,
        "[x1, y1, x2, y2] (or y first) from 0 to 1000": 1000 * edges / whole,
        "[y1, x1, y2, x2]": edges[:, [1, 0, 3, 2]],
        "[y, x, height, width], or in images whose width and height are swapped": (
            box[:, [1, 0, 3, 2]]
        ),
        "[x, y, width, height] divided by 2": 2 * box,
        "[x, y, width, height] multiplied by 4": box / 4,
        "[x, y, width, height] divided by 3 (x) and 1.7 (y)": box * [3, 1.7, 3, 1.7],
    }


SETS = ("coco_mini", "cocoapi100")


@pytest.mark.real_data
@pytest.mark.parametrize("folder", SETS)
def test_each_wrong_format_of_real_boxes_is_named(shared_data: Path, folder: str):
    made, _, _ = read_labeled(shared_data / folder / "annotations.json")
    for name, box in other_formats(made.objects.box, made.image_size).items():
        wrong = replace(made, objects=replace(made.objects, box=box), tight_box=None)
        statistics = statistics_of(wrong)
        evidence = evidence_of("CA312", statistics)
        assert evidence is not None, name
        assert evidence.figures["format"] == name
        assert evidence.message.endswith(f"100% fit as {name}.")
        assert ("dry_run" in evidence.advice) == ("swapped" in name)
        assert len(evidence.objects) == len(box)


@pytest.mark.real_data
@pytest.mark.parametrize("folder", [*SETS, "balloon", "mmpose4"])
def test_sound_boxes_are_never_accused(shared_data: Path, folder: str):
    made, _, _ = read_labeled(shared_data / folder / "annotations.json")
    rng = np.random.default_rng(51)
    for shift in (0, 0.5, 2, 8):
        box = made.objects.box + rng.normal(0, shift, (len(made.objects), 4))
        assert find_format_mismatch(box, made.image_size) is None, shift


def test_the_demo_is_not_accused(demo_files):
    made, _, _ = read_labeled(demo_files.annotations)
    assert statistics_of(made).misread is None


@pytest.mark.real_data
@pytest.mark.parametrize(
    "name", ["[x1, y1, x2, y2]", "[x, y, width, height] from 0 to 1"]
)
def test_nothing_else_is_said_of_boxes_that_are_not_there(shared_data: Path, name: str):
    made, _, _ = read_labeled(shared_data / "coco_mini" / "annotations.json")
    box = other_formats(made.objects.box, made.image_size)[name]
    statistics = statistics_of(replace(made, objects=replace(made.objects, box=box)))
    found = evidence_by_code(sorted(RULES), statistics)
    told = without_repeats(
        Finding(code, "", RULES[code].severity, e.message, "", 0, e.classes, {}, "gt")
        for code, e in found.items()
    )
    left = {finding.code for finding in told}
    assert "CA312" in left
    assert not left & {"CA301", "CA304", "CA306", "CA501", "CA503", "CA504", "CA510"}
    # Asked for by itself, none of them advises to clip, to remove or to enlarge
    for code in {"CA301", "CA306", "CA501", "CA502", "CA504"} & set(found):
        assert f"fit as {name}. Convert all boxes" in found[code].advice
    assert not {"CA503", "CA505", "CA506"} & set(found)


@pytest.mark.real_data
def test_proposed_inputs_have_a_limit(shared_data: Path):
    """Normalized boxes asked for an input of 38,016 pixels."""
    made, _, _ = read_labeled(shared_data / "coco_mini" / "annotations.json")
    box = made.objects.box / 60
    statistics = statistics_of(replace(made, objects=replace(made.objects, box=box)))
    inputs = statistics.network_input
    assert inputs.smallest_input()["side"].max() > 10_000
    sides = inputs.smallest_input(largest=LARGEST_INPUT)["side"]
    assert sides.isna().any() and sides.max() <= 1536
    assert inputs.smallest_input_of_all(largest=LARGEST_INPUT) is None


def test_tiles_are_advised_where_no_input_is_large_enough():
    rows = [(n, "ant", [10.0 * n, 300, 20, 20]) for n in range(30)]
    statistics = statistics_of(labeled([(8000, 6000)] * 30, rows))
    evidence = evidence_of("CA503", statistics)
    assert evidence.message.endswith(
        "; no input up to 1,536 px is large enough for all."
    )
    assert evidence.advice.startswith("Cut the images into tiles")
    assert "proposed_side" not in evidence.figures
    present = statistics_of(labeled([(8000, 6000)] * 30, rows), "letterbox 4000")
    assert present.network_input.smallest_input(8, largest=LARGEST_INPUT)[
        "side"
    ].tolist() == [3200]


def test_a_few_boxes_outside_are_no_other_format():
    rng = np.random.default_rng(51)
    box = np.hstack([rng.uniform(0, 400, (100, 2)), rng.uniform(20, 80, (100, 2))])
    size = np.full((100, 2), 480.0)
    box[:6, 0] = 450
    assert find_format_mismatch(box, size) is None
    # Nor are boxes of images that are larger than the file says, which end anywhere
    assert find_format_mismatch(box * 1.4, size) is None


def test_boxes_at_one_place_are_no_percentages():
    box = np.tile([0.0, 0, 100, 100], (50, 1))
    assert find_format_mismatch(box, np.full((50, 2), 640.0)) is None


def test_too_few_boxes_fit_anything():
    box = np.array([[150.0, 60, 190, 90]] * 9)
    size = np.full((9, 2), [200.0, 100])
    assert find_format_mismatch(box, size) is None
    more = find_format_mismatch(np.tile(box, (2, 1)), np.tile(size, (2, 1)))
    assert more.meaning == BoxEncoding("xyxy")
    assert (more.share, more.share_as_read) == (1, 0)


def test_corners_of_each_format():
    assert corners(np.array([[10.0, 20, 4, 6]]), "xywh").tolist() == [[10, 20, 14, 26]]
    assert corners(np.array([[12.0, 23, 4, 6]]), "cxcywh").tolist() == [
        [10, 20, 14, 26]
    ]
    swapped = corners(np.array([[20.0, 10, 26, 14]]), "xyxy", True)
    assert swapped.tolist() == [[10, 20, 14, 26]]


def test_the_example_of_the_rule():
    rows = [(0, "cat", [150, 60, 190, 90])] * 20
    assert evidence_of("CA312", statistics_of(labeled([(200, 100)], rows))).message == (
        "20 of 20 boxes (100%) do not fit their images as [x, y, width, height] in "
        "pixels, while 100% fit as [x1, y1, x2, y2]."
    )
    rows = [(0, "cat", [10, 10, 50, 40])] * 19 + [(0, "cat", [180, 10, 50, 40])]
    assert not evidence_of("CA312", statistics_of(labeled([(200, 100)], rows)))
