"""Repairs of labels against evaluations of labels that were repaired by hand."""

from __future__ import annotations

from operator import itemgetter
from pathlib import Path

import numpy as np
import pytest

from fiftyone_coco_audit.evaluation.analysis.label_issues import KINDS, label_issues
from fiftyone_coco_audit.evaluation.analysis.repaired_labels import (
    repair_gain,
    repaired_evaluation,
)
from fiftyone_coco_audit.evaluation.metrics import Evaluation
from fiftyone_coco_audit.evaluation.stored import EvaluatedRows
from tests.reference import run_cocoeval
from tests.unit.evaluation.scenes import Row, evaluate, evaluated_files

NAMES = ("cat", "dog", "bird")
GEOMETRY = "bbox", "segmentation"


def rows_of(evaluation: Evaluation, names: tuple[str, ...] = NAMES) -> EvaluatedRows:
    def ids(count: int) -> np.ndarray:
        return np.array([str(n) for n in range(count)], dtype=object)

    return EvaluatedRows(
        names,
        ids(evaluation.num_images),
        np.arange(evaluation.num_images),
        ids(len(evaluation.truth)),
        ids(len(evaluation.predictions)),
    )


def scene() -> tuple[list[Row], list[Row], list[Row]]:
    """Labels with an error of each kind, predictions, and the labels put right."""
    right = [(n, c, (60 * c, 0, 50, 50), 0) for n in range(6) for c in range(3)]
    predictions = [(*row[:3], 0.6 + 0.01 * n) for n, row in enumerate(right)]
    missing, wrong = (0, 0, (300, 0, 40, 40), 0), (1, 1, (300, 0, 40, 40), 0)
    loose, again = (2, 2, (300, 0, 40, 40), 0), (3, 0, (1, 0, 50, 50), 0)
    predictions += [(*row[:3], 0.95) for row in (missing, wrong, loose)]
    labels = [
        *right,
        (*wrong[:1], 2, *wrong[2:]),
        (*loose[:2], (320, 0, 60, 40), 0),
        again,
    ]
    # The sixth image has no label at all
    labels = [row for row in labels if row[0] != 5]
    repaired = [row for row in [*right, missing, wrong, loose] if row[0] != 5]
    return (
        sorted(labels, key=lambda row: row[0]),
        sorted(predictions, key=lambda row: row[0]),
        sorted(repaired, key=lambda row: row[0]),
    )


def test_each_kind_is_put_right() -> None:
    labels, predictions, repaired = scene()
    evaluation = evaluate(labels, predictions, num_images=6)
    issues = label_issues(evaluation, rows_of(evaluation))
    assert [len(issues.of_kind(kind)) for kind in KINDS] == [1] * 5
    every = np.arange(len(issues))
    after = repaired_evaluation(evaluation, issues, every)
    kept = [row for row in predictions if row[0] != 5]
    assert after.summary() == evaluate(repaired, kept, num_images=5).summary()
    assert after.summary()["AP"] == 1
    assert repaired_evaluation(evaluation, issues, every[:0]).summary() == (
        evaluation.summary()
    )
    gain = repair_gain(evaluation, issues, every, num_draws=20)
    assert gain.before == evaluation.summary()["AP"]
    assert gain.after == 1
    assert 0 < gain.low <= gain.difference <= gain.high
    assert str(gain) == (
        f"AP {gain.before:.4f} before, 1.0000 after: {gain.difference:+.4f} "
        f"[{gain.low:+.4f}, {gain.high:+.4f}]."
    )


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("folder", "file", "iou_type"),
    [
        ("coco_mini", "predictions.json", "bbox"),
        ("cocoapi100", "predictions_segm.json", "segm"),
    ],
)
def test_real_labels_against_pycocotools(
    folder: str, file: str, iou_type: str, shared_data: Path
) -> None:
    """Records are changed one by one, as a user would."""
    path = shared_data / folder
    coco, predictions, evaluation = evaluated_files(
        path / "annotations.json", path / file, iou_type
    )
    categories = sorted(category["id"] for category in coco["categories"])
    issues = label_issues(evaluation, rows_of(evaluation, tuple(map(str, categories))))
    assert len(issues) > 30
    after = repaired_evaluation(evaluation, issues, np.arange(len(issues)))

    annotations = sorted(coco["annotations"], key=itemgetter("image_id"))
    predicted = sorted(predictions, key=itemgetter("image_id"))
    for n, (kind, p, t) in enumerate(
        zip(issues.kind, issues.prediction, issues.truth, strict=True)
    ):
        prediction = predicted[p]
        area = float(evaluation.predictions.area[p])
        shape = {key: prediction[key] for key in GEOMETRY if key in prediction}
        match list(KINDS)[kind]:
            case "wrong class":
                annotations[t]["category_id"] = prediction["category_id"]
            case "bad location":
                annotations[t] |= {**shape, "area": area}
            case "missing label":
                new = {"image_id": prediction["image_id"], "id": 10**13 + n}
                new |= {"category_id": prediction["category_id"], "area": area}
                annotations.append({**new, **shape, "iscrowd": 0})
    expected = run_cocoeval({**coco, "annotations": annotations}, predictions, iou_type)
    np.testing.assert_allclose(
        list(after.summary().values()), expected.stats, atol=1e-12
    )
    assert after.summary()["AP"] > evaluation.summary()["AP"] + 0.01
