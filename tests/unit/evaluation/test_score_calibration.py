"""Calibration, against hotcoco and scikit-learn, and on scores made for it."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.evaluation.analysis.calibration import (
    Calibration,
    calibration,
)
from fiftyone_coco_audit.evaluation.metrics import Evaluation
from tests.peers import peer
from tests.reference import REAL_FILES
from tests.unit.evaluation.scenes import evaluate, evaluated_files, random_evaluations

CLASSES = ["cat", "dog", "cow"]
HERE = (10.0, 10.0, 40.0, 40.0)
NO, YES = 0, 1


def scored(scores: NDArray[np.float64], right: NDArray[np.bool_]) -> Evaluation:
    """Cats, 100 in an image and apart, each on an object if it is right."""
    rows = [
        (n // 100, 0, (50.0 * (n % 100), 10.0, 40.0, 40.0)) for n in range(len(scores))
    ]
    return evaluate(
        [(*row, NO) for row, is_right in zip(rows, right, strict=True) if is_right],
        [(*row, score) for row, score in zip(rows, scores.tolist(), strict=True)],
        num_images=len(scores) // 100 + 1,
    )


def test_bins_by_hand() -> None:
    found = calibration(
        scored(
            np.array([0.1, 0.3, 0.5, 0.5, 0.9]),
            np.array([False, True, False, True, True]),
        ),
        CLASSES,
        bins=2,
    )
    # A bound belongs to the lower bin
    assert found.reliability().values.tolist() == [
        [4, pytest.approx(0.35), 0.5, 0.1, 0.5],
        [1, 0.9, 1, 0.9, 0.9],
    ]
    assert found.ece == pytest.approx((4 * 0.15 + 0.1) / 5)
    assert found.mce == pytest.approx(0.15)
    per_class = found.per_class()
    assert per_class.index.tolist() == CLASSES
    assert per_class.loc["cat"].tolist() == pytest.approx([5, 0.14, 0.15, 0.46, 0.6])
    assert per_class.predictions.tolist() == [5, 0, 0]
    assert per_class.drop(columns="predictions").loc["dog"].isna().all()
    assert len(found.reliability("dog")) == 0
    assert str(found) == (
        "At IoU 0.50, the calibration error (ECE) of 5 predictions is 0.140: their "
        "mean score is 0.460, and 60% are right."
    )


def test_bins_of_equal_mass_keep_equal_scores_together() -> None:
    scores = np.array([0.1, 0.2, 0.2, 0.2, 0.3, 0.4])
    found = calibration(scored(scores, scores > 0.15), CLASSES, bins=3, equal_mass=True)
    reliability = found.reliability()
    assert reliability.predictions.tolist() == [4, 2]
    assert reliability.lowest.tolist() == [0.1, 0.3]
    assert reliability.highest.tolist() == [0.2, 0.4]


def test_only_predictions_that_count_and_have_the_score() -> None:
    evaluation = evaluate(
        [(0, 0, HERE, YES), (0, 1, HERE, NO)],
        [(0, 0, HERE, 0.9), (0, 1, HERE, 0.8), (0, 2, HERE, 0.3)]
        + [(0, 2, HERE, -np.inf)],
    )
    found = calibration(evaluation, CLASSES, score=0.5)
    assert found.per_class().predictions.tolist() == [0, 1, 0]
    assert found.ece == pytest.approx(0.2)
    assert str(found).endswith(
        "Left out: 1 object that COCO ignores, 1 prediction that COCO ignores and 2 "
        "predictions with a lower score or none."
    )


def test_without_predictions() -> None:
    found = calibration(evaluate([], []), CLASSES, equal_mass=True)
    assert np.isnan([found.ece, found.mce]).all()
    assert str(found) == "There are no predictions with a score of 0.00 or more."


@pytest.mark.parametrize(
    ("scores", "options", "message"),
    [
        ([0.5, 87.5], {}, "1 of 2 predictions have a score outside 0 to 1, such as 87"),
        ([-0.1], {}, "such as -0.1, so scores are not probabilities"),
        ([0.5], {"bins": 0}, "bins is 0"),
        ([0.5], {"score": np.nan}, "score is nan"),
    ],
)
def test_bad_input(scores: list[float], options: dict, message: str) -> None:
    evaluation = scored(np.array(scores), np.ones(len(scores), bool))
    with pytest.raises(CocoAuditError, match=message):
        calibration(evaluation, CLASSES, **options)


@pytest.mark.parametrize("equal_mass", [False, True])
def test_scores_that_are_probabilities_have_no_error(equal_mass: bool) -> None:
    random = np.random.default_rng(5)
    scores, luck = random.random((2, 20_000))
    calibrated = scored(scores, luck < scores)
    assert calibration(calibrated, CLASSES, equal_mass=equal_mass).ece < 0.01
    # Off by p - p^2, which is 1/6 on average
    overconfident = scored(scores, luck < scores**2)
    found = calibration(overconfident, CLASSES, equal_mass=equal_mass)
    assert found.ece == pytest.approx(1 / 6, abs=0.01)


@given(random_evaluations(), st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_equal_widths_equal_scikit_learn(evaluation: Evaluation, bins: int) -> None:
    found = calibration(evaluation, CLASSES, bins=bins)
    assert_equal_to_scikit_learn(found, evaluation, bins, "uniform")


def test_equal_masses_equal_scikit_learn() -> None:
    scores, luck = np.random.default_rng(1).random((2, 1_000))
    evaluation = scored(scores, luck < scores**3)
    found = calibration(evaluation, CLASSES, bins=20, equal_mass=True)
    assert_equal_to_scikit_learn(found, evaluation, 20, "quantile")


def assert_equal_to_scikit_learn(
    found: Calibration, evaluation: Evaluation, bins: int, strategy: str
) -> None:
    ranking = evaluation.ranking()
    for name in (None, *CLASSES):
        counted = ranking.counted[0]
        if name is not None:
            counted = counted & (ranking.category == CLASSES.index(name))
        reliability = found.reliability(name)
        assert reliability.predictions.sum() == np.count_nonzero(counted)
        if counted.any():
            precision, confidence = calibration_curve(
                ranking.true_positive[0][counted],
                ranking.score[counted],
                n_bins=bins,
                strategy=strategy,
            )
            np.testing.assert_allclose(reliability.precision, precision)
            np.testing.assert_allclose(reliability.confidence, confidence)


@pytest.mark.real_data
@pytest.mark.parametrize("iou", [0.5, 0.75])
@pytest.mark.parametrize(("folder", "file", "iou_type"), REAL_FILES)
def test_equals_hotcoco_on_real_predictions(
    shared_data: Path, tmp_path: Path, folder: str, file: str, iou_type: str, iou: float
) -> None:
    hotcoco = peer("hotcoco")
    ground_truth, predictions, evaluation = evaluated_files(
        shared_data / folder / "annotations.json", shared_data / folder / file, iou_type
    )
    if iou_type == "segm":
        # Or hotcoco takes areas from boxes, as pycocotools does
        predictions = [
            {key: value for key, value in record.items() if key != "bbox"}
            for record in predictions
        ]
    categories = sorted(ground_truth["categories"], key=lambda record: record["id"])
    names = [record["name"] for record in categories]
    # Scores have few decimals, and hotcoco puts bounds into the higher bin: no score
    # is a multiple of 1/7
    found = calibration(evaluation, names, iou=iou, bins=7)

    kept = {key: ground_truth[key] for key in ("images", "annotations", "categories")}
    for name, records in (
        ("truth.json", kept),
        ("predictions.json", predictions),
    ):
        (tmp_path / name).write_text(json.dumps(records))
    with contextlib.redirect_stdout(io.StringIO()):
        reference = hotcoco.COCO(str(tmp_path / "truth.json"))
        results = reference.load_res(str(tmp_path / "predictions.json"))
        evaluator = hotcoco.COCOeval(reference, results, iou_type)
        evaluator.evaluate()
    theirs = evaluator.calibration(n_bins=7, iou_threshold=iou)
    assert found.overall.predictions[0].tolist() == [
        row["count"] for row in theirs["bins"]
    ]
    assert found.ece == pytest.approx(theirs["ece"], abs=1e-9)
    assert found.mce == pytest.approx(theirs["mce"], abs=1e-9)
    per_class = found.per_class().ece.dropna().to_dict()
    assert per_class == pytest.approx(theirs["per_category"], abs=1e-9)
