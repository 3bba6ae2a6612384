"""Draws of images against pycocotools on copies, and intervals of known generators."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from fiftyone_coco_audit.evaluation.analysis.bootstrap import image_draws
from fiftyone_coco_audit.evaluation.analysis.intervals import (
    draw_metrics,
    metric_differences,
    metric_intervals,
)
from fiftyone_coco_audit.evaluation.metrics import Evaluation, evaluate_objects
from fiftyone_coco_audit.evaluation.settings import Settings
from tests.reference import columns, run_cocoeval
from tests.unit.evaluation.scenes import Row, evaluate, random_records

Files = tuple[dict[str, Any], list[dict[str, Any]]]
METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl")


def records(seed: int) -> Files:
    """Records of six images without equal scores, whose order would matter."""
    ground_truth, found = random_records(seed)
    scores = np.random.default_rng(seed).permutation(len(found)) + 1
    for record, score in zip(found, scores.tolist(), strict=True):
        record["score"] = score / (len(found) + 1)
    return ground_truth, found


def evaluated(files: Files) -> Evaluation:
    truth, predictions, num_images, num_categories = columns(*files)
    return evaluate_objects(
        truth,
        predictions,
        num_images=num_images,
        num_categories=num_categories,
        settings=Settings.parse(),
    )


def copies(files: Files, draw: NDArray[np.int64]) -> Files:
    """The records with as many copies of each image as were drawn."""
    ground_truth, found = files
    ids = sorted(image["id"] for image in ground_truth["images"])
    times = dict(zip(ids, draw.tolist(), strict=True))

    def copied(rows: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
        return [
            {**row, key: 100 * row[key] + n}
            for row in rows
            for n in range(times[row[key]])
        ]

    annotations = copied(ground_truth["annotations"], "image_id")
    return {
        **ground_truth,
        "images": copied(ground_truth["images"], "id"),
        "annotations": [{**row, "id": n} for n, row in enumerate(annotations, 1)],
    }, copied(found, "image_id")


def test_paired_draws_equal_pycocotools_on_copies_of_the_images() -> None:
    ground_truth, found = records(3)
    worse = [record for n, record in enumerate(found) if n % 4]
    runs = [(ground_truth, found), (ground_truth, worse)]
    place = np.arange(6)
    draws = [draw_metrics(evaluated(run), place, 5) for run in runs]
    assert draws[0].names == METRICS
    for row, draw in enumerate([np.ones(6, int), *image_draws(6, 5)]):
        stats = [run_cocoeval(*copies(run, draw)).stats[:6] for run in runs]
        for n in range(2):
            expected = np.where(stats[n] == -1, np.nan, stats[n])
            np.testing.assert_allclose(draws[n].overall[row], expected, atol=1e-9)
    frame = metric_differences(
        draws[0].overall, draws[1].overall, pd.Index(draws[0].names)
    )
    difference = draws[1].overall[:, 0] - draws[0].overall[:, 0]
    assert frame.loc["AP", "difference"] == difference[0] != 0
    np.testing.assert_allclose(
        frame.loc["AP", ["low", "high"]].astype(float),
        np.quantile(difference[1:], [0.025, 0.975]),
    )


def test_runs_that_order_images_differently_are_drawn_alike() -> None:
    ground_truth, found = records(5)

    def backwards(rows: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
        return [{**row, key: 7 - row[key]} for row in rows]

    other = {
        **ground_truth,
        "images": backwards(ground_truth["images"], "id"),
        "annotations": backwards(ground_truth["annotations"], "image_id"),
    }
    one = draw_metrics(evaluated((ground_truth, found)), np.arange(6), 20)
    same = draw_metrics(
        evaluated((other, backwards(found, "image_id"))), np.arange(6)[::-1], 20
    )
    np.testing.assert_allclose(one.overall, same.overall, atol=1e-12)
    np.testing.assert_allclose(one.by_class, same.by_class, atol=1e-12)


def test_intervals_of_metrics_and_classes() -> None:
    evaluation = evaluated(records(3))
    intervals = metric_intervals(evaluation, "abcde", np.arange(6), 50)
    frame, of_classes = intervals.to_frame(), intervals.per_class()
    numbers = evaluation.summary()
    shown = frame["value"].fillna(-1).to_dict()
    assert shown == {name: numbers[name] for name in METRICS}
    assert frame.loc["AP", "low"] < numbers["AP"] < frame.loc["AP", "high"]
    np.testing.assert_array_equal(of_classes["AP"], evaluation.by_class()["AP"])
    assert of_classes["objects"].sum() == len(evaluation.truth)
    assert of_classes[of_classes["objects"] == 0]["AP_low"].isna().all()
    assert "6 images were drawn with replacement 50 times" in str(intervals)
    assert repr(intervals) == "<Intervals of 6 images>"


def _runs(generator: np.random.Generator, num_images: int) -> list[Evaluation]:
    """A detector, and one that finds other objects and hallucinates less."""
    box = (0.0, 0.0, 10.0, 10.0)
    aside = (50.0, 50.0, 10.0, 10.0)
    truth: list[Row] = [(n, 0, box, 0) for n in range(num_images)]
    hard = generator.random(num_images)
    runs = []
    for finds, wrong in ((0.6, 0.5), (0.7, 0.4)):
        found = hard + generator.normal(0, 0.1, num_images) < finds
        rows: list[Row] = []
        for n in range(num_images):
            if found[n]:
                rows.append((n, 0, box, float(generator.random() ** 0.5)))
            if generator.random() < wrong:
                rows.append((n, 0, aside, float(generator.random())))
        runs.append(evaluate(truth, rows, num_images=num_images, iou_thresholds=[0.5]))
    return runs


@pytest.mark.slow
def test_intervals_of_differences_hold_the_mean_difference() -> None:
    """Of 100 images, 93% do; of 120 samples, three standard errors less are 86%."""
    generator = np.random.default_rng(1)
    num_images, samples = 100, 120
    ap = [
        [run.summary()["AP"] for run in _runs(generator, num_images)]
        for _ in range(200)
    ]
    mean = float(np.diff(ap).mean())
    held = excluded = 0
    for _ in range(samples):
        first, second = (
            draw_metrics(run, np.arange(num_images), 100)
            for run in _runs(generator, num_images)
        )
        frame = metric_differences(
            first.overall, second.overall, pd.Index(first.names)
        ).loc["AP"]
        held += frame["low"] <= mean <= frame["high"]
        excluded += frame["excludes_zero"]
    assert 0.86 * samples <= held < samples
    # The difference is twice its standard deviation, so half of the samples see it
    assert mean == pytest.approx(0.117, abs=0.01)
    assert 0.4 * samples <= excluded <= 0.9 * samples


@pytest.mark.parametrize(
    ("drawn", "excludes"),
    [([0, 0], False), ([-1, 1], False), ([0.1, 0.2], True), ([-0.2, -0.1], True)],
)
def test_whether_an_interval_excludes_zero(drawn: list[float], excludes: bool) -> None:
    second = np.array([0, *drawn], float)[:, None]
    frame = metric_differences(np.zeros((3, 1)), second, pd.Index(["AP"]))
    assert frame["excludes_zero"].tolist() == [excludes]
