"""Types of error, by hand and against TIDE's own counts."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from fiftyone_coco_audit import grouping
from fiftyone_coco_audit.evaluation.error_types import classify_errors
from fiftyone_coco_audit.evaluation.metrics import evaluate_objects
from fiftyone_coco_audit.evaluation.settings import Settings
from tests.reference import columns
from tests.unit.evaluation.scenes import Row, evaluate

HERE = (10.0, 10.0, 40.0, 40.0)
# Shifted by half its width: an overlap of 1/3
LOOSE = (30.0, 10.0, 40.0, 40.0)
# Shifted by 4/5 of its width: an overlap of 1/9
FAR = (42.0, 10.0, 40.0, 40.0)
ELSEWHERE = (300.0, 10.0, 40.0, 40.0)
NO, YES = 0, 1


@pytest.mark.parametrize(
    ("predictions", "expected", "truth"),
    [
        ([(0, 0, HERE, 0.9)], [""], ""),
        ([(0, 0, LOOSE, 0.9)], ["localization"], ""),
        ([(0, 0, FAR, 0.9)], ["localization"], ""),
        ([(0, 1, HERE, 0.9)], ["classification"], ""),
        ([(0, 1, LOOSE, 0.9)], ["both"], "missed"),
        ([(0, 0, ELSEWHERE, 0.9)], ["background"], "missed"),
        ([(0, 1, ELSEWHERE, 0.9)], ["background"], "missed"),
        ([(0, 0, HERE, 0.9), (0, 0, HERE, 0.8)], ["", "duplicate"], ""),
        ([(0, 0, HERE, 0.9), (0, 0, LOOSE, 0.8)], ["", "localization"], ""),
        ([], [], "missed"),
    ],
)
def test_one_object(predictions: list[Row], expected: list[str], truth: str) -> None:
    errors = classify_errors(evaluate([(0, 0, HERE, NO)], predictions))
    assert errors.predictions.tolist() == expected
    assert errors.truth.tolist() == [truth]


def test_crowds_neither_cause_nor_excuse_an_error() -> None:
    errors = classify_errors(
        evaluate(
            [(0, 0, HERE, YES)],
            [(0, 0, HERE, 0.9), (0, 1, HERE, 0.8)],
        )
    )
    assert errors.predictions.tolist() == ["", "background"]
    assert errors.truth.tolist() == [""]


def test_objects_of_other_images_do_not_matter() -> None:
    errors = classify_errors(
        evaluate([(0, 0, HERE, NO)], [(1, 0, HERE, 0.9)], num_images=2)
    )
    assert errors.predictions.tolist() == ["background"]
    assert errors.truth.tolist() == ["missed"]


@pytest.mark.real_data
@pytest.mark.parametrize("at_once", [100, 2_000_000])
def test_counts_equal_tide(
    shared_data: Path, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What tidecv 1.0.1 counts, crowds left out since it errs on what they hold."""
    monkeypatch.setattr(grouping, "_PAIRS_AT_ONCE", at_once)
    folder = shared_data / "coco_mini"
    ground_truth = json.loads((folder / "annotations.json").read_text())
    ground_truth["annotations"] = [
        annotation
        for annotation in ground_truth["annotations"]
        if not annotation["iscrowd"]
    ]
    predictions = json.loads((folder / "predictions.json").read_text())
    truth, detections, num_images, num_categories = columns(ground_truth, predictions)
    errors = classify_errors(
        evaluate_objects(
            truth,
            detections,
            num_images=num_images,
            num_categories=num_categories,
            settings=Settings(),
        )
    )
    assert Counter(errors.predictions.tolist()) == {
        "": 362,
        "classification": 169,
        "localization": 353,
        "both": 165,
        "duplicate": 98,
        "background": 495,
    }
    assert Counter(errors.truth.tolist()) == {"": 440, "missed": 179}
