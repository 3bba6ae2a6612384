"""Confusion, by hand, by brute force, and against the true positives of AP."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as mask_utils

from coco_audit_demo import DemoPaths
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.evaluation.analysis.confusion import Confusion, confusion
from fiftyone_coco_audit.evaluation.metrics import Evaluation
from fiftyone_coco_audit.objects import Objects
from tests.reference import REAL_FILES, run_cocoeval
from tests.unit.evaluation.scenes import (
    Row,
    crowded_evaluation,
    evaluate,
    evaluated_files,
    random_evaluations,
)

CAT, DOG, COW = range(3)
CLASSES = ["cat", "dog", "cow"]
HERE = (10.0, 10.0, 40.0, 40.0)
# Shifted by a tenth and a fifth of its width: overlaps of 9/11 and 2/3
CLOSE = (14.0, 10.0, 40.0, 40.0)
LOOSE = (18.0, 10.0, 40.0, 40.0)
ELSEWHERE = (300.0, 10.0, 40.0, 40.0)
NO, YES = 0, 1


def confused(
    truth: list[Row], predictions: list[Row], iou: float = 0.5, score: float = 0.0
) -> Confusion:
    return confusion(evaluate(truth, predictions), CLASSES, iou=iou, score=score)


def cells(found: Confusion) -> set[tuple[str | None, str | None, int]]:
    columns = ["true_class", "predicted_class", "count"]
    return set(found.to_frame()[columns].itertuples(index=False, name=None))


@pytest.mark.parametrize(
    ("truth", "predictions", "expected"),
    [
        ([], [], set()),
        ([(0, CAT, HERE, NO)], [(0, CAT, HERE, 0.9)], {("cat", "cat", 1)}),
        ([(0, CAT, HERE, NO)], [(0, DOG, HERE, 0.9)], {("cat", "dog", 1)}),
        (
            [(0, CAT, HERE, NO)],
            [(0, DOG, ELSEWHERE, 0.9)],
            {("cat", None, 1), (None, "dog", 1)},
        ),
        # The right box counts, although one of another class fits better and has a
        # higher score (roboflow/supervision#1853)
        (
            [(0, CAT, HERE, NO)],
            [(0, CAT, LOOSE, 0.6), (0, DOG, HERE, 0.9)],
            {("cat", "cat", 1), (None, "dog", 1)},
        ),
        # A duplicate takes no object of its class, but may one of another
        (
            [(0, CAT, HERE, NO), (0, DOG, CLOSE, NO)],
            [(0, CAT, HERE, 0.9), (0, CAT, HERE, 0.8)],
            {("cat", "cat", 1), ("dog", "cat", 1)},
        ),
        # Of two wrong classes, the higher score takes the object
        (
            [(0, CAT, HERE, NO)],
            [(0, DOG, HERE, 0.6), (0, COW, LOOSE, 0.7)],
            {("cat", "cow", 1), (None, "dog", 1)},
        ),
        # Of two objects, the prediction takes the closer one
        (
            [(0, CAT, CLOSE, NO), (0, DOG, HERE, NO)],
            [(0, COW, HERE, 0.9)],
            {("dog", "cow", 1), ("cat", None, 1)},
        ),
        # A crowd region excuses predictions of its class alone, as in COCO
        (
            [(0, CAT, HERE, YES)],
            [(0, CAT, HERE, 0.9), (0, DOG, HERE, 0.9)],
            {(None, "dog", 1)},
        ),
        # Pairs are of one image
        (
            [(0, CAT, HERE, NO)],
            [(1, DOG, HERE, 0.9)],
            {("cat", None, 1), (None, "dog", 1)},
        ),
    ],
)
def test_cells_by_hand(
    truth: list[Row],
    predictions: list[Row],
    expected: set[tuple[str | None, str | None, int]],
) -> None:
    evaluation = evaluate(truth, predictions, num_images=2)
    assert cells(confusion(evaluation, CLASSES, score=0)) == expected


def test_iou_and_score_decide_what_is_paired() -> None:
    scene = [(0, CAT, HERE, NO)], [(0, DOG, LOOSE, 0.6)]
    pair, apart = {("cat", "dog", 1)}, {("cat", None, 1), (None, "dog", 1)}
    assert cells(confused(*scene, iou=2 / 3, score=0.6)) == pair
    # Not one of the evaluated thresholds
    assert cells(confused(*scene, iou=0.67)) == apart
    assert cells(confused(*scene, iou=0.1)) == pair
    found = confused(*scene, score=0.61)
    assert cells(found) == {("cat", None, 1)}
    assert found.left_out.low_scores == 1


def test_a_cell_gives_its_rows() -> None:
    found = confused(
        [(0, CAT, HERE, NO), (0, CAT, ELSEWHERE, NO)],
        [(0, COW, (90, 90, 9, 9), 0.9), (0, DOG, HERE, 0.8)],
    )
    for cell, prediction, truth in [
        (("cat", "dog"), [1], [0]),
        (("cat", None), [-1], [1]),
        ((None, "cow"), [0], [-1]),
        (("dog", "cat"), [], []),
    ]:
        rows = found.pairs(*cell)
        assert [part.tolist() for part in rows] == [prediction, truth]
    with pytest.raises(CocoAuditError, match=r"no class `cta`: the classes are .*cat"):
        found.pairs("cat", "cta")


def test_the_worst_cells_are_ranked_with_their_share_of_the_class() -> None:
    def at(x: int) -> tuple[float, float, float, float]:
        return (100.0 * x, 10.0, 40.0, 40.0)

    found = confused(
        [(0, CAT, at(x), NO) for x in range(4)] + [(0, DOG, at(4), NO)],
        [(0, CAT, at(0), 0.9), (0, COW, at(1), 0.9), (0, COW, at(2), 0.9)]
        + [(0, CAT, at(4), 0.9)],
    )
    columns = ["true_class", "predicted_class", "count", "share"]
    worst = found.worst()[columns].itertuples(index=False, name=None)
    assert list(worst) == [("cat", "cow", 2, 0.5), ("dog", "cat", 1, 1.0)]
    with_misses = found.worst(background=True)
    assert with_misses[columns[:3]].values.tolist()[1] == ["cat", None, 1]


def test_what_is_left_out_is_counted_and_said() -> None:
    evaluation = evaluate(
        [(0, CAT, HERE, YES), (0, DOG, ELSEWHERE, NO)],
        [(0, CAT, HERE, 0.9), (0, CAT, HERE, 0.8), (0, CAT, HERE, 0.7)]
        + [(0, DOG, HERE, 0.2)],
        max_detections=[2],
    )
    found = confusion(evaluation, CLASSES)
    assert found.score == evaluation.settings.score_threshold
    assert str(found).splitlines() == [
        "At IoU 0.50 and score 0.50: 0 true positives, 0 objects taken for another "
        "class, 1 object missed, 0 predictions on the background.",
        "Left out: 1 object that COCO ignores, 2 predictions that COCO ignores, 1 "
        "prediction with a lower score or none and 1 prediction over the limit per "
        "image and class.",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"iou": 0.09}, "iou is 0.09: it must be from 0.1, the lowest overlap"),
        ({"iou": 1.1}, "to 1"),
        ({"iou": math.nan}, "iou is nan"),
        ({"iou": "0.5"}, "it must be a number"),
        ({"score": math.nan}, "score is nan"),
        ({"score": True}, "score is True: it must be a number"),
    ],
)
def test_bad_arguments(options: dict[str, object], message: str) -> None:
    with pytest.raises(CocoAuditError, match=message):
        confusion(evaluate([], []), CLASSES, **options)


def test_many_classes_take_little_memory() -> None:
    evaluation = evaluate([(0, CAT, HERE, NO)], [(0, DOG, HERE, 0.9)])
    many = [*CLASSES, *map(str, range(100_000))]
    evaluation = replace(evaluation, num_categories=len(many))
    found = confusion(evaluation, many)
    assert cells(found) == {("cat", "dog", 1)}
    with pytest.raises(CocoAuditError, match=r"100,003 classes would take 80.0 GB"):
        found.matrix()
    found = confusion(evaluation, many[:1_200])
    assert found.matrix().nbytes < 12e6


@given(random_evaluations(), st.sampled_from([0.0, 0.1, 0.5, 0.55, 0.9, 1.0]))
@settings(max_examples=40, deadline=None)
def test_the_diagonal_is_the_true_positives_and_the_sums_are_all(
    evaluation: Evaluation, score: float
) -> None:
    ranking = evaluation.ranking()
    for t, iou in enumerate(evaluation.settings.iou_thresholds):
        found = confusion(evaluation, CLASSES, iou=iou, score=score)
        matrix = found.matrix()

        shown = ranking.score >= score
        true = ranking.category[shown & ranking.true_positive[t]]
        np.testing.assert_array_equal(
            np.diagonal(matrix), [*np.bincount(true, minlength=3), 0]
        )
        objects = np.bincount(ranking.truth_category, minlength=3)
        np.testing.assert_array_equal(matrix[:-1].sum(axis=1), objects)
        predicted = ranking.category[shown & ranking.counted[t]]
        np.testing.assert_array_equal(
            matrix[:, :-1].sum(axis=0), np.bincount(predicted, minlength=3)
        )

        out = found.left_out
        not_shown = out.ignored_predictions + out.low_scores + out.over_limit
        assert len(predicted) + not_shown == len(evaluation.predictions)
        assert objects.sum() + out.ignored_objects == len(evaluation.truth)


def test_the_confusion_of_the_demo_is_the_worst_cell(demo_files: DemoPaths) -> None:
    ground_truth, found, evaluation = evaluated_files(
        demo_files.annotations, demo_files.predictions, "bbox"
    )
    plants = json.loads(demo_files.manifest.read_text())["plants"]
    (plant,) = [plant for plant in plants if plant["key"] == "confused_pair"]
    names = {c["id"]: c["name"] for c in ground_truth["categories"]}
    confused = confusion(evaluation, [names[id_] for id_ in sorted(names)])
    worst = confused.worst().iloc[0]
    pair = worst.true_class, worst.predicted_class
    assert list(pair) == plant["categories"]
    indices = sorted(range(len(found)), key=lambda n: found[n]["image_id"])
    predictions = {indices[row] for row in confused.pairs(*pair)[0]}
    assert predictions <= set(plant["prediction_indices"])
    assert len(predictions) == worst["count"] > 0.9 * len(plant["prediction_indices"])


@pytest.mark.real_data
@pytest.mark.parametrize(("folder", "file", "iou_type"), REAL_FILES)
def test_the_diagonal_is_what_pycocotools_matches(
    shared_data: Path, folder: str, file: str, iou_type: str
) -> None:
    ground_truth, predictions, evaluation = evaluated_files(
        shared_data / folder / "annotations.json", shared_data / folder / file, iou_type
    )
    reference = run_cocoeval(ground_truth, predictions, iou_type)
    ids = reference.params.catIds
    names = list(map(str, ids))
    for score in (0.0, 0.3, 0.5):
        true = np.zeros((10, len(ids)), int)
        for cell in reference.evalImgs:
            if cell is not None and cell["aRng"] == reference.params.areaRng[0]:
                right = (cell["dtMatches"] > 0) & ~cell["dtIgnore"].astype(bool)
                right &= np.array(cell["dtScores"]) >= score
                true[:, ids.index(cell["category_id"])] += right.sum(axis=1)
        for t, iou in enumerate(evaluation.settings.iou_thresholds):
            found = confusion(evaluation, names, iou=iou, score=score)
            np.testing.assert_array_equal(np.diagonal(found.matrix())[:-1], true[t])


@pytest.mark.parametrize("iou", [0.5, 0.75, 0.1, 0.31, 0.77, 1.0])
def test_pairs_equal_brute_force(iou: float) -> None:
    for seed in range(20):
        evaluation = crowded_evaluation(seed)
        for score in (0.0, 0.5, 0.55):
            found = confusion(evaluation, CLASSES, iou=iou, score=score)
            rows = found.prediction.tolist(), found.truth.tolist()
            pairs = list(zip(*rows, strict=True))
            assert len(set(pairs)) == len(pairs)
            assert set(pairs) == paired_by_brute_force(evaluation, iou, score)


def paired_by_brute_force(
    evaluation: Evaluation, iou: float, score: float
) -> set[tuple[int, int]]:
    """Matches only what has the score, by the loops of COCOeval.evaluateImg."""
    truth, predictions = evaluation.truth, evaluation.predictions
    low, high = evaluation.settings.area_ranges[0][1]
    ignored = [
        crowd or not low <= area <= high
        for crowd, area in zip(truth.crowd, truth.area, strict=True)
    ]
    overlaps = np.reshape(
        mask_utils.iou(predictions.box, truth.box, truth.crowd),
        (len(predictions), len(truth)),
    )
    objects_left = {m for m in range(len(truth)) if not ignored[m]}
    wrong, pairs = [], set()

    def of(side: Objects, image: int, category: int) -> list[int]:
        here = (side.image == image) & (side.category == category)
        return np.flatnonzero(here).tolist()

    for image, category in product(range(2), range(3)):
        found = of(predictions, image, category)
        found = sorted(found, key=lambda row: -predictions.scores[row])
        taken = set()
        for row in found[: evaluation.settings.max_detections[-1]]:
            if predictions.scores[row] < score:
                continue
            best, partner = min(iou, 1 - 1e-10), None
            for m in sorted(of(truth, image, category), key=lambda m: ignored[m]):
                if m in taken and not truth.crowd[m]:
                    continue
                if partner is not None and not ignored[partner] and ignored[m]:
                    break
                if overlaps[row, m] >= best:
                    best, partner = overlaps[row, m], m
            if partner is None:
                if low <= predictions.area[row] <= high:
                    wrong.append(row)
                continue
            taken.add(partner)
            if not ignored[partner]:
                pairs.add((row, partner))
                objects_left.remove(partner)

    for row in sorted(wrong, key=lambda row: (-predictions.scores[row], row)):
        close = [
            (overlaps[row, m], m)
            for m in objects_left
            if truth.image[m] == predictions.image[row]
            and overlaps[row, m] >= min(iou, 1 - 1e-10)
        ]
        partner = max(close)[1] if close else -1
        pairs.add((row, partner))
        objects_left.discard(partner)
    return pairs | {(-1, m) for m in objects_left}
