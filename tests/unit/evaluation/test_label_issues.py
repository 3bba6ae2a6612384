"""Doubtful labels: hand-made cases, and faults planted in real labels."""

from __future__ import annotations

import numpy as np
import pytest

from fiftyone_coco_audit.evaluation.analysis.label_issues import (
    KINDS,
    LabelIssues,
    label_issues,
)
from fiftyone_coco_audit.evaluation.stored import EvaluatedRows
from tests.unit.evaluation.scenes import Row, evaluate

CLASSES = ("cat", "dog", "bird")


def found(truth: list[Row], predictions: list[Row], **options: int) -> LabelIssues:
    evaluation = evaluate(truth, predictions, **options)
    ids = (
        np.array([f"{side}{n}" for n in range(count)], dtype=object)
        for side, count in (
            ("sample", evaluation.num_images),
            ("label", len(truth)),
            ("prediction", len(predictions)),
        )
    )
    samples, labels, detections = ids
    images = np.arange(evaluation.num_images)[::-1]
    rows = EvaluatedRows(CLASSES, samples[::-1], images, labels, detections)
    return label_issues(evaluation, rows)


def issues(of: LabelIssues) -> list[tuple[str, int, int]]:
    """Kinds, rows of predictions, and rows of objects."""
    names = [list(KINDS)[kind] for kind in of.kind.tolist()]
    return list(zip(names, of.prediction.tolist(), of.truth.tolist(), strict=True))


def right(image: int, category: int = 0, score: float = 0.6) -> tuple[Row, Row]:
    """An object that is found."""
    box = (0, 0, 50, 50)
    return (image, category, box, 0), (image, category, box, score)


def test_a_sure_prediction_where_nothing_is_labeled() -> None:
    (truth, prediction) = right(0)
    far, near = (200, 200, 40, 40), (10, 10, 50, 50)
    of = found(
        [truth],
        [prediction, (0, 1, far, 0.9), (0, 2, far, 0.59), (0, 1, near, 0.9)],
    )
    assert issues(of) == [("missing label", 1, -1)]
    assert of.score.tolist() == [0.9]
    assert of.sure.tolist() == [0.6] * 3


def test_images_without_labels_are_one_issue_each() -> None:
    (truth, prediction) = right(0)
    box = (0, 0, 50, 50)
    of = found(
        [truth],
        [prediction, (1, 0, box, 0.7), (1, 1, (90, 90, 9, 9), 0.8), (2, 0, box, 0.1)],
        num_images=3,
    )
    assert issues(of) == [("unlabeled image", 2, -1)]
    assert of.image.tolist() == [1]
    (row,) = of.to_frame().to_dict("records")
    assert row == {
        "kind": "unlabeled image",
        "score": 0.8,
        "predicted_class": "dog",
        "labeled_class": None,
        "sample_id": "sample1",
        "prediction_id": "prediction2",
        "label_id": None,
        "reason": "`dog` with a score of 0.80 (sure from 0.60) in an image without any "
        "label",
    }


def test_what_is_on_a_crowd_is_not_missing() -> None:
    (truth, prediction) = right(0)
    far = (200, 200, 40, 40)
    of = found([truth, (0, 1, far, 1)], [prediction, (0, 0, far, 0.9)])
    assert issues(of) == []


def test_an_object_that_another_class_fits() -> None:
    rows = [right(image, category) for image in range(6) for category in (0, 1)]
    truth, predictions = map(list, zip(*rows, strict=True))
    box = (100, 100, 50, 50)
    swapped = [(0, 0, box, 0)], [(0, 1, box, 0.9)]
    of = found(
        sorted(truth + swapped[0]), sorted(predictions + swapped[1]), num_images=6
    )
    assert issues(of) == [("wrong class", 2, 1)]
    (row,) = of.to_frame().to_dict("records")
    assert (row["predicted_class"], row["labeled_class"]) == ("dog", "cat")
    # Three of ten: the detector confuses them
    often = [(n, 0, box, 0) for n in range(3)], [(n, 1, box, 0.9) for n in range(3)]
    of = found(sorted(truth + often[0]), sorted(predictions + often[1]), num_images=6)
    assert issues(of) == []


def test_a_box_in_the_wrong_place() -> None:
    (truth, prediction) = right(0)
    labeled, seen = (100, 100, 60, 60), (120, 100, 60, 60)  # IoU .5
    further, apart = (130, 100, 60, 60), (150, 100, 60, 60)  # IoU .33 and .09
    for box, expected in ((seen, False), (further, True), (apart, False)):
        of = found([truth, (0, 0, labeled, 0)], [prediction, (0, 0, box, 0.9)])
        kinds = [kind for kind, *_ in issues(of) if kind == "bad location"]
        assert bool(kinds) == expected
    # Another prediction finds it
    of = found(
        [truth, (0, 0, labeled, 0)],
        [prediction, (0, 0, further, 0.9), (0, 0, labeled, 0.2)],
    )
    assert issues(of) == []


def test_a_box_that_is_far_looser_than_others() -> None:
    rows = [right(image) for image in range(12)]
    truth, predictions = map(list, zip(*rows, strict=True))
    usual = [(n, 0, (0, 0, 50, 51 + n % 3), 0) for n in range(12)]
    for width, expected in ((75, True), (50, False)):
        loose = (0, 1, (100, 100, width, 50), 0)
        of = found(
            sorted([*usual, loose]),
            sorted([*predictions, (0, 1, (100, 100, 50, 50), 0.9)]),
            num_images=12,
        )
        assert bool(issues(of)) == expected
        if expected:
            assert issues(of) == [("bad location", 1, 1)]
            assert of.score.tolist() == [pytest.approx(0.9 / 3)]
            assert of.reasons() == [
                "`dog` with a score of 0.90 (sure from 0.60) has an IoU of only 0.67 "
                "with the label"
            ]


def test_each_prediction_speaks_about_one_object() -> None:
    """It fits an object of another class, and lies on two of its own."""
    (truth, prediction) = right(0)
    here = (100, 100, 60, 60)
    halves = [(0, 1, (100, 100, 28, 60), 0), (0, 1, (132, 100, 28, 60), 0)]
    of = found([truth, *halves], [prediction, (0, 1, here, 0.9)])
    assert [kind for kind, *_ in issues(of)] == ["bad location"]
    of = found([truth, *halves, (0, 0, here, 0)], [prediction, (0, 1, here, 0.9)])
    assert issues(of) == [("wrong class", 1, 3)]
    assert of.objects.tolist() == [2, 2, 0]
    assert of.found.tolist() == [1, 0, 0]


def test_an_object_that_is_labeled_twice() -> None:
    (truth, prediction) = right(0)
    again, beside = (1, 1, 50, 50), (15, 0, 50, 50)
    of = found([truth, (0, 0, again, 0)], [prediction])
    assert [kind for kind, *_ in issues(of)] == ["duplicate label"]
    assert issues(found([truth, (0, 0, beside, 0)], [prediction])) == []
    assert issues(found([truth, (0, 1, again, 0)], [prediction])) == []


def test_nothing_at_all() -> None:
    assert issues(found([], [])) == []
    assert issues(found([], [(0, 0, (0, 0, 9, 9), 0.9)])) == []
    assert "missing label: 0 times" in found([], []).sentences()[0]


def test_planted_faults_are_found_and_little_else() -> None:
    """A detector that finds 80%, on 400 images with a fault of each kind in some."""
    generator = np.random.default_rng(0)
    truth: list[Row] = []
    predictions: list[Row] = []
    planted = dict.fromkeys(KINDS, 0)
    for image in range(400):
        for place in range(6):
            box = (60 * place, 10, 40.0, 40.0)
            category = int(generator.integers(3))
            labels = [(image, category, box, 0)]
            kind = "" if place else ("missing label", "wrong class", "", "")[image % 4]
            if kind == "missing label":
                labels = []
            elif kind == "wrong class":
                labels = [(image, (category + 1) % 3, box, 0)]
            truth += labels
            if generator.random() < 0.8:
                jitter = generator.normal(0, 1, 4)
                score = generator.beta(8, 3)
                predictions.append((image, category, tuple(box + jitter), score))
                if kind:
                    planted[kind] += 1
    of = found(truth, predictions, num_images=400)
    for kind in ("missing label", "wrong class"):
        # Half of the true positives are sure, and so about half of these are found
        assert 0.35 * planted[kind] <= len(of.of_kind(kind)) <= 0.65 * planted[kind]
    assert len(of) == sum(len(of.of_kind(k)) for k in ("missing label", "wrong class"))
