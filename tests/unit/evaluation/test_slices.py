"""Slices against pycocotools, and intervals against a model whose AP is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.cocoeval import COCOeval

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.evaluation.analysis.bootstrap import (
    bootstrap_ap,
    class_mean,
    image_draws,
    interval,
)
from fiftyone_coco_audit.evaluation.analysis.slices import (
    slice_metrics,
    slice_of_images,
    slice_of_objects,
    slices_of,
)
from fiftyone_coco_audit.evaluation.metrics import Evaluation, evaluate_objects
from fiftyone_coco_audit.evaluation.ranking import Ranking
from fiftyone_coco_audit.evaluation.settings import Settings
from tests.reference import columns, run_cocoeval

# Any area inside, and any outside, of the range that stands for a slice
AREAS = {True: 50.0, False: 5000.0}


@pytest.fixture(scope="module", params=["bbox", "segm"])
def real(shared_data: Path, request: pytest.FixtureRequest) -> dict[str, Any]:
    folder, file = {
        "bbox": ("coco_mini", "predictions.json"),
        "segm": ("balloon", "predictions.json"),
    }[request.param]
    ground_truth = json.loads((shared_data / folder / "annotations.json").read_text())
    predictions = json.loads((shared_data / folder / file).read_text())
    truth, found, num_images, num_categories = columns(
        ground_truth, predictions, request.param
    )
    evaluation = evaluate_objects(
        truth,
        found,
        num_images=num_images,
        num_categories=num_categories,
        settings=Settings.parse(iou_type=request.param),
    )
    return {
        "iou_type": request.param,
        "records": (ground_truth, predictions),
        "evaluation": evaluation,
    }


@pytest.mark.slow
@pytest.mark.parametrize("predictions_too", [True, False])
def test_a_slice_of_objects_equals_an_area_range_of_pycocotools(
    real: dict[str, Any], predictions_too: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pycocotools knows no slices but areas, so areas are given the slices."""
    evaluation: Evaluation = real["evaluation"]
    ground_truth, found = real["records"]
    generator = np.random.default_rng(0)
    objects = generator.random(len(evaluation.truth)) < 0.5
    predictions = generator.random(len(evaluation.predictions)) < 0.5
    known = predictions if predictions_too else None
    metrics = slice_metrics(slice_of_objects(evaluation, objects, known), 0)
    # Rows are ordered by image, as the records of each image are
    in_order = sorted(ground_truth["annotations"], key=lambda a: a["image_id"])
    for record, inside in zip(in_order, objects.tolist(), strict=True):
        monkeypatch.setitem(record, "area", AREAS[inside])
    rows = sorted(range(len(found)), key=lambda n: found[n]["image_id"])
    area_of = {
        row + 1: AREAS[inside or not predictions_too]
        for row, inside in zip(rows, predictions.tolist(), strict=True)
    }

    prepare = COCOeval._prepare

    def with_areas(self: COCOeval) -> None:
        for id_, record in self.cocoDt.anns.items():
            record["area"] = area_of[id_]
        prepare(self)

    monkeypatch.setattr(COCOeval, "_prepare", with_areas)
    ranges = [[0, 1e10], [0, 100], [0, 1], [0, 1]]
    reference = run_cocoeval(ground_truth, found, real["iou_type"], areaRng=ranges)
    precision = reference.eval["precision"][:, :, :, 1, -1]
    recall = reference.eval["recall"][:, :, 1, -1]
    assert metrics.ap == pytest.approx(precision[precision > -1].mean(), abs=1e-9)
    at_50 = precision[0]
    assert metrics.ap50 == pytest.approx(at_50[at_50 > -1].mean(), abs=1e-9)
    assert metrics.recall == pytest.approx(recall[recall > -1].mean(), abs=1e-9)
    assert metrics.num_objects == (objects & ~evaluation.truth.crowd).sum()


def test_a_slice_of_images_equals_pycocotools_on_them(real: dict[str, Any]) -> None:
    evaluation: Evaluation = real["evaluation"]
    images = np.arange(evaluation.num_images) % 2 == 0
    metrics = slice_metrics(slice_of_images(evaluation, images), 30)
    ids = sorted(image["id"] for image in real["records"][0]["images"])
    stats = run_cocoeval(*real["records"], real["iou_type"], ids[::2]).stats
    assert (metrics.ap, metrics.ap50, metrics.recall) == pytest.approx(
        (stats[0], stats[1], stats[8]), abs=1e-9
    )
    assert metrics.num_images == len(ids[::2])
    low, high = metrics.ap_interval
    assert low < metrics.ap < high


def test_normalized_precision_of_a_hand_made_case() -> None:
    """Three predictions, right, wrong and right, of one class with 2 objects."""
    ranking = Ranking(
        category=np.zeros(3, int),
        image=np.arange(3),
        score=np.array([0.9, 0.8, 0.7]),
        true_positive=np.array([[True, False, True]]),
        counted=np.ones((1, 3), bool),
        truth_category=np.zeros(2, int),
        truth_image=np.array([0, 2]),
        num_categories=1,
    )
    # Of 8 objects, all found at 1 false positive: precision 8 / 9
    assert ranking.average_precision(normal_positives=8) == pytest.approx(
        (51 * 1 + 50 * 8 / 9) / 101
    )
    same = ranking.average_precision(normal_positives=2)
    np.testing.assert_array_equal(same, ranking.average_precision())


@pytest.mark.parametrize("by_image", [True, False])
def test_normalized_ap_equals_the_formula_on_what_pycocotools_matched(
    real: dict[str, Any], by_image: bool
) -> None:
    evaluation: Evaluation = real["evaluation"]
    ground_truth, found = real["records"]
    ids = sorted(image["id"] for image in ground_truth["images"])
    if by_image:
        images = np.arange(evaluation.num_images) % 2 == 0
        metrics, ids = slice_metrics(slice_of_images(evaluation, images), 0), ids[::2]
    else:
        everything = np.ones(len(evaluation.truth), bool)
        metrics = slice_metrics(slice_of_objects(evaluation, everything, None), 0)
    reference = run_cocoeval(ground_truth, found, real["iou_type"], ids)
    objects = [a["category_id"] for a in ground_truth["annotations"] if not is_crowd(a)]
    normal = len(objects) / len(set(objects)) * len(ids) / evaluation.num_images
    by_class: dict[int, list[dict[str, Any]]] = {}
    for one in reference.evalImgs:
        if one is not None and one["aRng"] == [0, 1e10]:
            by_class.setdefault(one["category_id"], []).append(one)
    aps = []
    for of_class in by_class.values():
        positives = sum(int((one["gtIgnore"] == 0).sum()) for one in of_class)
        if not positives:
            continue
        scores = np.concatenate([one["dtScores"] for one in of_class])
        order = np.argsort(-scores, kind="mergesort")
        matched, ignored = (
            np.concatenate([one[key] for one in of_class], axis=1)[:, order]
            for key in ("dtMatches", "dtIgnore")
        )
        for hits, left_out in zip(matched, ignored, strict=True):
            tp = np.cumsum((hits > 0) & (left_out == 0))
            fp = np.cumsum((hits == 0) & (left_out == 0))
            recall = tp / positives
            with np.errstate(invalid="ignore"):
                precision = recall * normal / (recall * normal + fp)
            aps.append(
                np.mean(
                    [
                        np.nanmax(precision[recall >= level], initial=0)
                        for level in np.linspace(0, 1, 101)
                    ]
                )
            )
    assert metrics.normalized_ap == pytest.approx(np.mean(aps), abs=1e-9)


def is_crowd(annotation: dict[str, Any]) -> bool:
    return bool(annotation.get("iscrowd"))


def test_values_become_slices() -> None:
    def of(*values: object, bins: object = None) -> tuple[list[str], list[int]]:
        names, place = slices_of(np.array(values, dtype=object), bins)
        return names, place.tolist()

    assert of("b", None, "a", "b") == (["a", "b"], [1, -1, 0, 1])
    assert of(True, False, float("nan")) == (["False", "True"], [1, 0, -1])
    assert of(3, 1, 3) == (["1", "3"], [1, 0, 1])
    assert of(3, 1, 30, bins=[1, 3, 10]) == (["1 to 2", "3 to 10"], [1, 0, -1])
    assert of(0.5, 8.25, 8.25, bins=[0, 0.5, 8.25]) == (
        ["0 to 0.5", "0.5 to 8.25"],
        [1, 1, 1],
    )
    assert of(*range(20))[0] == ["0 to 4", "5 to 9", "10 to 14", "15 to 19"]
    assert of(7.5, 7.5, 7.5) == (["7.5"], [0, 0, 0])
    assert of(1, 5, 5, 5, bins=2) == (["1 to 4", "5"], [0, 1, 1, 1])
    assert of(181_300.5, 2e6, bins=1)[0] == ["181,300 to 2,000,000"]
    assert of(None, None) == ([], [-1, -1])
    sizes = "< 8 px", "8 - 16 px", "16 - 32 px", "128 - 256 px", ">= 256 px"
    assert of(*reversed(sizes))[0] == list(sizes)
    assert of("b2", "b10", "a", "", "7")[0] == ["", "7", "a", "b2", "b10"]


@pytest.mark.parametrize(
    ("values", "bins", "said"),
    [
        (list(map(str, range(51))), None, "51 different values"),
        (
            ["a", "b"],
            3,
            "bins are for numbers, but there are other values, such as 'a'",
        ),
        ([1, 2], 0, "bins is 0"),
        ([1, 2], [3], "ascending"),
        ([1, 2], [3, 2], "ascending"),
        ([1, 2], "ab", "ascending"),
    ],
)
def test_what_cannot_be_divided_is_refused(
    values: list, bins: object, said: str
) -> None:
    with pytest.raises(CocoAuditError, match=said):
        slices_of(np.array(values, dtype=object), bins)


def test_equal_seeds_draw_equal_images() -> None:
    draws = list(image_draws(50, 3, seed=4))
    assert all(draw.sum() == 50 for draw in draws)
    np.testing.assert_array_equal(draws, list(image_draws(50, 3, seed=4)))
    assert (draws[0] != draws[1]).any()


def _model(generator: np.random.Generator, num_images: int) -> Ranking:
    """One object an image, found with 60%, and a false positive with 50%."""
    image = np.repeat(np.arange(num_images), 2)
    true = np.tile([True, False], num_images)
    kept = generator.random(2 * num_images) < np.where(true, 0.6, 0.5)
    score = np.where(
        true, generator.random(len(true)) ** 0.5, generator.random(len(true))
    )
    order = np.argsort(-score[kept], kind="stable")
    return Ranking(
        category=np.zeros(kept.sum(), np.int64),
        image=image[kept][order],
        score=score[kept][order],
        true_positive=true[kept][order][None],
        counted=np.ones((1, kept.sum()), bool),
        truth_category=np.zeros(num_images, np.int64),
        truth_image=np.arange(num_images),
        num_categories=1,
    )


@pytest.mark.slow
def test_intervals_hold_the_mean_ap_as_often_as_they_say() -> None:
    """The mean of as many images: AP is lower of more, as it takes highest precisions.

    Of 300 samples, 95% less three standard errors are 91%.
    """
    generator = np.random.default_rng(0)
    num_images = 300
    aps = [_model(generator, num_images).average_precision() for _ in range(3000)]
    held = 0
    for seed in range(300):
        ranking = _model(generator, num_images)
        draws = bootstrap_ap(ranking, num_images, num_draws=200, seed=seed)
        low, high = interval(class_mean(draws))
        held += low <= np.mean(aps) <= high
    assert 0.91 * 300 <= held <= 0.99 * 300


def test_classes_without_objects_in_a_draw_do_not_count() -> None:
    ap = np.array([[0.5, np.nan], [np.nan, np.nan], [0.5, 1.0]])
    np.testing.assert_array_equal(class_mean(ap), [0.5, np.nan, 0.75])
    np.testing.assert_array_equal(
        interval(np.full((4, 2), [1, np.nan])), [[1, np.nan]] * 2
    )
