"""Optimal LRP, by hand and against vernier."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.evaluation.analysis.olrp import optimal_lrp
from tests.peers import peer
from tests.reference import REAL_FILES, evaluated, read_records
from tests.unit.evaluation.scenes import Row, evaluate, random_records

HERE = (10.0, 10.0, 40.0, 40.0)
# An IoU of .6 with HERE, and one of .5
CLOSE = (20.0, 10.0, 40.0, 40.0)
HALF = (10.0, 10.0, 40.0, 20.0)
THERE = (300.0, 10.0, 40.0, 40.0)
NOWHERE = (300.0, 300.0, 40.0, 40.0)
NO, YES = 0, 1
NAN = np.nan
CLASSES = ["cat", "dog", "emu"]


@pytest.mark.parametrize(
    ("truth", "predictions", "expected"),
    [
        # oLRP, the parts, and the score
        ([(0, 0, HERE, NO)], [(0, 0, HERE, 0.9)], [0, 0, 0, 0, 0.9]),
        ([(0, 0, HERE, NO)], [(0, 0, CLOSE, 0.9)], [0.8, 0.4, 0, 0, 0.9]),
        # The threshold keeps a false positive, or leaves out an object
        (
            [(0, 0, HERE, NO)],
            [(0, 0, NOWHERE, 0.9), (0, 0, HERE, 0.8)],
            [1 / 2, 0, 1 / 2, 0, 0.8],
        ),
        (
            [(0, 0, HERE, NO), (0, 0, THERE, NO)],
            [
                (0, 0, HERE, 0.9),
                (0, 0, NOWHERE, 0.8),
                (0, 0, NOWHERE, 0.8),
                (0, 0, NOWHERE, 0.8),
                (0, 0, THERE, 0.7),
            ],
            [1 / 2, 0, 0, 1 / 2, 0.9],
        ),
        # Equal scores stay or go together
        (
            [(0, 0, HERE, NO)],
            [(0, 0, HERE, 0.9), (0, 0, NOWHERE, 0.9)],
            [1 / 2, 0, 1 / 2, 0, 0.9],
        ),
        # Of equally good thresholds, the highest
        (
            [(0, 0, THERE, NO), (0, 0, HERE, NO)],
            [(0, 0, THERE, 0.9), (0, 0, HALF, 0.8)],
            [1 / 2, 0, 0, 1 / 2, 0.9],
        ),
        # Nothing is found
        ([(0, 0, HERE, NO)], [], [1, NAN, NAN, 1, NAN]),
        ([(0, 0, HERE, NO)], [(0, 0, NOWHERE, 0.9)], [1, NAN, NAN, 1, NAN]),
        # What lies in a crowd does not count
        (
            [(0, 0, HERE, NO), (0, 0, THERE, YES)],
            [(0, 0, THERE, 0.9), (0, 0, HERE, 0.8)],
            [0, 0, 0, 0, 0.8],
        ),
        ([(0, 0, HERE, YES)], [(0, 0, HERE, 0.9)], [NAN] * 5),
        ([(0, 1, HERE, NO)], [(0, 0, HERE, 0.9)], [NAN] * 5),
        ([], [], [NAN] * 5),
    ],
)
def test_one_class(
    truth: list[Row], predictions: list[Row], expected: list[float]
) -> None:
    frame = optimal_lrp(evaluate(truth, predictions), CLASSES).to_frame()
    np.testing.assert_allclose(frame.loc["cat"], expected, rtol=0, atol=1e-12)


def test_the_mean_is_over_classes_with_objects() -> None:
    evaluation = evaluate(
        [(0, 0, HERE, NO), (0, 1, THERE, NO)],
        [(0, 0, CLOSE, 0.9), (0, 2, THERE, 0.8)],
    )
    olrp = optimal_lrp(evaluation, CLASSES)
    assert olrp.summary() == pytest.approx(
        {"oLRP": 0.9, "oLRP_Loc": 0.4, "oLRP_FP": 0, "oLRP_FN": 0.5}
    )
    assert str(olrp).splitlines()[0] == (
        "oLRP      0.9000  at IoU 0.50, 0 is perfect and 1 the worst"
    )
    nothing = optimal_lrp(evaluate([], []), CLASSES)
    assert "oLRP         n/a" in str(nothing)


def test_no_overlap_is_above_one() -> None:
    with pytest.raises(CocoAuditError, match="iou is 1"):
        optimal_lrp(evaluate([], []), CLASSES, iou=1)


def assert_equal_to_vernier(
    ground_truth: dict[str, Any], predictions: list, iou_type: str, iou: float
) -> None:
    vernier = peer("vernier.instance")
    evaluation = evaluated(ground_truth, predictions, iou_type)
    categories = sorted(one["id"] for one in ground_truth["categories"])
    mine = optimal_lrp(evaluation, list(map(str, categories)), iou=iou)
    theirs = vernier.optimal_lrp(
        json.dumps(ground_truth).encode(),
        # It reads boxes of masks too, though it does not need them
        json.dumps([{"bbox": [0, 0, 1, 1], **one} for one in predictions]).encode(),
        iou=vernier.Segm() if iou_type == "segm" else vernier.Bbox(),
        tp_threshold=mine.iou,
        tau_grid=sorted({record["score"] for record in predictions}),
    )
    assert [one.category_id for one in theirs.per_class] == categories
    for name, values in {
        "olrp": mine.olrp,
        "olrp_loc": mine.localization / (1 - mine.iou),
        "olrp_fp": mine.false_positive,
        "olrp_fn": mine.false_negative,
        "tau": mine.score_threshold,
    }.items():
        expected = np.array([getattr(one, name) for one in theirs.per_class])
        if name == "olrp_fp":
            # 0 or not a number where nothing is found
            expected[np.isnan(mine.localization)] = np.nan
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-9, err_msg=name)
    means = mine.summary()
    assert means["oLRP"] == pytest.approx(theirs.olrp, abs=1e-9)
    assert means["oLRP_FN"] == pytest.approx(theirs.fn, abs=1e-9)
    if theirs.loc:
        loose = means["oLRP_Loc"] / (1 - mine.iou)
        assert loose == pytest.approx(theirs.loc, abs=1e-9)


@pytest.mark.parametrize("iou", [0.5, 0.75, 0.62])
@pytest.mark.parametrize("seed", range(20))
def test_equal_to_vernier(seed: int, iou: float) -> None:
    assert_equal_to_vernier(*random_records(seed, crowds=0.1), "bbox", iou)


@pytest.mark.real_data
def test_the_page_shows_what_is_printed(shared_data: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "evaluation.md").read_text()
    ground_truth, predictions = read_records(
        shared_data / "coco_mini", "predictions.json", "bbox"
    )
    names = {one["id"]: one["name"] for one in ground_truth["categories"]}
    evaluation = evaluated(ground_truth, predictions)
    olrp = optimal_lrp(evaluation, [names[n] for n in sorted(names)])
    assert f"```text\n{olrp}\n```" in page
    frame = olrp.to_frame().loc[["person", "car", "cat", "chair"]]
    table = frame.to_string(float_format="{:.4f}".format)
    assert "\n".join(line.rstrip() for line in table.splitlines()) in page


@pytest.mark.real_data
@pytest.mark.parametrize(("folder", "name", "iou_type"), REAL_FILES)
def test_equal_to_vernier_on_real_records(
    folder: str, name: str, iou_type: str, shared_data: Path
) -> None:
    ground_truth, predictions = read_records(shared_data / folder, name, iou_type)
    assert_equal_to_vernier(ground_truth, predictions, iou_type, 0.5)
