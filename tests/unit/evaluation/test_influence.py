"""The influence of each image against an evaluation without it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fiftyone_coco_audit.evaluation.analysis import influence
from fiftyone_coco_audit.evaluation.analysis.influence import image_influence
from fiftyone_coco_audit.evaluation.metrics import Evaluation, evaluate_objects
from fiftyone_coco_audit.evaluation.settings import Settings
from fiftyone_coco_audit.evaluation.subsets import images_only
from tests.reference import columns, run_cocoeval
from tests.unit.evaluation.scenes import (
    evaluate,
    evaluated_files,
    random_records,
)

BOX = (0.0, 0.0, 10.0, 10.0)
ASIDE = (50.0, 50.0, 10.0, 10.0)


def ap_of(evaluation: Evaluation) -> float:
    ap = evaluation.summary()["AP"]
    return np.nan if ap == -1 else ap


def one_by_one(evaluation: Evaluation) -> NDArray[np.float64]:
    num_images = evaluation.num_images
    return np.array(
        [
            ap_of(images_only(evaluation, np.arange(num_images) != n))
            for n in range(num_images)
        ]
    ) - ap_of(evaluation)


def of(evaluation: Evaluation) -> NDArray[np.float64]:
    return image_influence(evaluation.ranking(), evaluation.num_images)


@pytest.mark.parametrize("most_elements", [1, 1 << 18])
def test_random_scenes(most_elements: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(influence, "_MOST_ELEMENTS", most_elements)
    defined = 0
    for seed in range(40):
        truth, predictions, num_images, num_categories = columns(
            *random_records(seed, crowds=0.1)
        )
        evaluation = evaluate_objects(
            truth,
            predictions,
            num_images=num_images,
            num_categories=num_categories,
            settings=Settings.parse(),
        )
        expected = one_by_one(evaluation)
        defined += np.count_nonzero(~np.isnan(expected))
        np.testing.assert_allclose(of(evaluation), expected, rtol=0, atol=1e-12)
    assert defined > 100


def test_real_predictions_equal_pycocotools(shared_data: Path) -> None:
    folder = shared_data / "coco_mini"
    ground_truth, found, evaluation = evaluated_files(
        folder / "annotations.json", folder / "predictions.json", "bbox"
    )
    values = of(evaluation)
    np.testing.assert_allclose(values, one_by_one(evaluation), rtol=0, atol=1e-12)
    ids = sorted(image["id"] for image in ground_truth["images"])
    for n in (int(values.argmax()), int(values.argmin())):
        rest = run_cocoeval(ground_truth, found, image_ids=ids[:n] + ids[n + 1 :])
        whole = run_cocoeval(ground_truth, found)
        expected = rest.stats[0] - whole.stats[0]
        assert values[n] == pytest.approx(expected, abs=1e-9)


def test_an_image_that_pulls_ap_down_has_a_positive_influence() -> None:
    """AP is .505 with the missed object (51 of 101 levels), 1 or 0 without an image."""
    truth = [(0, 0, BOX, 0), (1, 0, BOX, 0)]
    evaluation = evaluate(truth, [(0, 0, BOX, 0.9)], num_images=3)
    half = 51 / 101
    np.testing.assert_allclose(of(evaluation), [-half, 1 - half, 0], atol=1e-12)


def test_a_class_whose_only_objects_are_in_an_image_leaves_the_mean() -> None:
    """Class 1 has AP 0; without image 1, it has no objects."""
    truth = [(0, 0, BOX, 0), (1, 1, BOX, 0)]
    found = [(0, 0, BOX, 0.9), (0, 1, ASIDE, 0.8)]
    evaluation = evaluate(truth, found, num_images=2)
    assert ap_of(evaluation) == pytest.approx(0.5)
    np.testing.assert_allclose(of(evaluation), [-0.5, 0.5], atol=1e-12)


def test_without_objects_there_is_no_influence() -> None:
    assert np.isnan(of(evaluate([], [(0, 0, BOX, 0.9)], num_images=2))).all()
    alone = evaluate([(0, 0, BOX, 0)], [(0, 0, BOX, 0.9)], num_images=2)
    np.testing.assert_array_equal(of(alone), [np.nan, 0])
