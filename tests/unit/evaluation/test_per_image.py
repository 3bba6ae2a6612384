"""Scores of single images, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fiftyone_coco_audit.evaluation.per_image import ImageScores, score_images
from tests.unit.evaluation.scenes import Row, evaluate

HERE = (10.0, 10.0, 40.0, 40.0)
THERE = (200.0, 200.0, 40.0, 40.0)
NO, YES = 0, 1


def scores(
    truth: list[Row], predictions: list[Row], num_images: int = 1, **options: object
) -> ImageScores:
    return score_images(evaluate(truth, predictions, num_images=num_images, **options))


def test_every_image_has_a_status_and_a_pooled_score() -> None:
    found = scores(
        truth=[(0, 0, HERE, NO), (2, 0, HERE, NO)],
        predictions=[(0, 0, HERE, 0.9), (1, 0, HERE, 0.9)],
        num_images=4,
    )
    assert found.status().tolist() == [
        "ok",
        "no ground truth",
        "no predictions",
        "empty",
    ]
    assert found.ap_pooled.tolist() == [1, 0, 0, 1]
    np.testing.assert_array_equal(found.ap.mean(axis=1), [1, np.nan, 0, np.nan])


def test_a_class_that_is_not_there_costs_in_the_pooled_score_only() -> None:
    found = scores(
        truth=[(0, 0, HERE, NO)],
        predictions=[(0, 0, HERE, 0.5), (0, 1, THERE, 0.9)],
    )
    assert found.ap.mean() == 1
    # Ranked together, the object is the second of two: precision 1/2
    assert found.ap_pooled[0] == 0.5


def test_the_mean_is_over_the_classes_that_are_there() -> None:
    found = scores(
        truth=[(0, 0, HERE, NO), (0, 1, THERE, NO)],
        predictions=[(0, 0, HERE, 0.9)],
    )
    assert found.ap[0].tolist() == [0.5] * 10
    # One of two objects, at precision 1, reaches recall levels 0 to .50
    assert found.ap_pooled[0] == pytest.approx(51 / 101)


def test_precision_recall_and_f1_are_of_confident_predictions() -> None:
    found = scores(
        truth=[(0, 0, HERE, NO), (0, 1, THERE, NO)],
        predictions=[(0, 0, HERE, 0.5), (0, 1, THERE, 0.49), (0, 2, HERE, 0.8)],
    )
    assert (found.true_positives, found.false_positives, found.false_negatives) == (
        2,
        1,
        0,
    )
    assert found.precision[0] == 1 / 2
    assert found.recall[0] == 1 / 2
    assert found.f1[0] == 1 / 2


def test_undefined_scores_are_nan() -> None:
    found = scores(truth=[(0, 0, HERE, NO)], predictions=[(0, 0, HERE, 0.1)])
    assert np.isnan(found.precision[0])
    assert found.recall[0] == 0
    assert found.f1[0] == 0
    nothing = scores(truth=[], predictions=[])
    assert np.isnan([nothing.precision[0], nothing.recall[0], nothing.f1[0]]).all()


def test_crowds_neither_count_nor_cost() -> None:
    found = scores(
        truth=[(0, 0, (0, 0, 100, 100), YES)],
        predictions=[(0, 0, HERE, 0.9), (0, 0, (50, 50, 40, 40), 0.8)],
    )
    assert found.status().tolist() == ["no ground truth"]
    assert found.ap_pooled[0] == 1
    assert found.false_positives[0] == 0
    assert found.false_negatives[0] == 0
