"""Score thresholds, against scikit-learn, by brute force and by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_curve

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.evaluation.analysis.thresholds import Thresholds, thresholds
from fiftyone_coco_audit.evaluation.metrics import Evaluation
from fiftyone_coco_audit.evaluation.per_image import score_images
from tests.unit.evaluation.scenes import evaluate, random_evaluations

CLASSES = ["cat", "dog", "cow"]
HERE = (10.0, 10.0, 40.0, 40.0)
ELSEWHERE = (300.0, 10.0, 40.0, 40.0)
FAR = (600.0, 10.0, 40.0, 40.0)
NO, YES = 0, 1


def hand_made() -> Thresholds:
    return thresholds(
        evaluate(
            [(0, 0, HERE, NO), (0, 0, ELSEWHERE, NO), (0, 1, HERE, NO)],
            [(0, 0, HERE, 0.9), (0, 0, FAR, 0.6), (0, 0, ELSEWHERE, 0.6)]
            + [(0, 0, FAR, 0.5), (0, 1, FAR, 0.8), (0, 2, FAR, 0.7)],
        ),
        CLASSES,
    )


def test_a_curve_has_a_point_for_each_distinct_score() -> None:
    curve = hand_made().curve("cat")
    assert curve.score.tolist() == [0.9, 0.6, 0.5]
    assert curve.precision.tolist() == [1, 2 / 3, 2 / 4]
    assert curve.recall.tolist() == [1 / 2, 1, 1]
    assert curve.f1.tolist() == [2 / 3, 4 / 5, 4 / 6]
    assert curve[["tp", "fp", "fn"]].values.tolist() == [
        [1, 0, 1],
        [2, 1, 0],
        [2, 2, 0],
    ]
    together = hand_made().curve()
    assert together.score.tolist() == [0.9, 0.8, 0.7, 0.6, 0.5]
    assert together.tp.tolist() == [1, 1, 1, 2, 2]
    assert together.fp.tolist() == [0, 1, 2, 3, 4]


def test_the_best_threshold_is_none_where_no_prediction_is_right() -> None:
    best = hand_made().best()
    assert best.index.tolist() == CLASSES
    np.testing.assert_array_equal(best.score, [0.6, np.nan, np.nan])
    np.testing.assert_array_equal(best.recall, [1, 0, np.nan])
    np.testing.assert_array_equal(best.precision, [2 / 3, np.nan, np.nan])
    assert best.fn.tolist() == [0, 1, 0]
    # 4 / 8 with everything over .6, but 1 of 1 alone gives 2 / 4 too
    overall = hand_made().best_overall()
    assert (overall.score, overall.f1) == (0.9, 0.5)
    assert str(hand_made()) == (
        "At IoU 0.50, F1 over all classes is highest for scores of 0.900 or more: "
        "0.500, with precision 1.000 and recall 0.333."
    )


def test_without_predictions_or_objects() -> None:
    found = thresholds(evaluate([], []), CLASSES)
    assert found.best().score.isna().all()
    assert len(found.curve()) == len(found.curve("cat")) == 0
    assert str(found) == "At IoU 0.50, no prediction is right."


def test_a_plot_keeps_exact_points_with_the_ends_and_the_best() -> None:
    random = np.random.default_rng(0)
    boxes = [(50.0 * n, 10.0, 40.0, 40.0) for n in range(90)]
    found = thresholds(
        evaluate(
            [(0, 0, box, NO) for box in boxes if random.random() < 0.5],
            [(0, 0, box, random.random()) for box in boxes],
        ),
        CLASSES,
    )
    whole, thin = found.curve(), found.curve(points=10)
    assert len(whole) == 90
    assert 10 <= len(thin) <= 11
    kept = whole[whole.score.isin(thin.score)].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, thin)
    assert set(thin.score) > {whole.score.max(), whole.score.min()}
    assert found.best_overall().score in set(thin.score)
    pd.testing.assert_frame_equal(found.curve("cat", points=90), whole)
    with pytest.raises(CocoAuditError, match="points is 0"):
        found.curve(points=0)
    with pytest.raises(CocoAuditError, match="no class `bird`"):
        found.curve("bird")


@given(random_evaluations(), st.sampled_from([0, 5]))
@settings(max_examples=40, deadline=None)
def test_curves_equal_scikit_learn(evaluation: Evaluation, position: int) -> None:
    iou = evaluation.settings.iou_thresholds[position]
    found = thresholds(evaluation, CLASSES, iou=iou)
    ranking = evaluation.ranking()
    for name in (None, *CLASSES):
        curve = found.curve(name)
        counted = ranking.counted[position]
        objects = ranking.truth_category
        if name is not None:
            counted = counted & (ranking.category == CLASSES.index(name))
            objects = objects[objects == CLASSES.index(name)]
        true = ranking.true_positive[position][counted]
        if not true.any():
            assert not curve.tp.any()
            continue
        precision, recall, score = precision_recall_curve(true, ranking.score[counted])
        # scikit-learn takes the true positives for all that is to be found
        recall = recall * true.sum() / len(objects)
        ours = curve[["score", "precision", "recall"]].to_numpy()[::-1]
        theirs = np.column_stack([score, precision[:-1], recall[:-1]])
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


@given(random_evaluations(), st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.55, 0.9, 1.0]))
@settings(max_examples=40, deadline=None)
def test_counts_at_a_score_and_the_best_equal_brute_force(
    evaluation: Evaluation, score: float
) -> None:
    found = thresholds(evaluation, CLASSES)
    ranking = evaluation.ranking()

    def counts(category: int, least: float) -> list[int]:
        here = ranking.counted[0] & (ranking.score >= least)
        here &= ranking.category == category
        tp = int(np.count_nonzero(here & ranking.true_positive[0]))
        objects = int(np.count_nonzero(ranking.truth_category == category))
        return [tp, int(np.count_nonzero(here)) - tp, objects - tp]

    columns = ["tp", "fp", "fn"]
    assert found.at(score)[columns].values.tolist() == [
        counts(category, score) for category in range(3)
    ]
    best = found.best()
    for category, name in enumerate(CLASSES):
        f1 = {}
        for least in set(ranking.score.tolist()):
            tp, fp, fn = counts(category, least)
            if tp:
                f1[least] = 2 * tp / (2 * tp + fp + fn)
        if not f1:
            assert np.isnan(best.score[name])
            continue
        assert best.f1[name] == max(f1.values())
        assert best.score[name] == max(s for s in f1 if f1[s] == max(f1.values()))


def test_counts_equal_those_of_images() -> None:
    truth = [(0, 0, HERE, NO), (0, 1, ELSEWHERE, NO)]
    evaluation = evaluate(truth, [(0, 0, HERE, 0.9), (0, 1, FAR, 0.6)])
    images = score_images(evaluation)
    at = thresholds(evaluation, CLASSES).at(evaluation.settings.score_threshold)
    assert images.precision[0] == at.tp.sum() / (at.tp + at.fp).sum()
    assert images.recall[0] == at.tp.sum() / (at.tp + at.fn).sum()
