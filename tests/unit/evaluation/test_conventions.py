"""The AP of other tools against the tools, and what a difference is made of."""

from __future__ import annotations

import importlib.metadata
import os
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.evaluation.analysis.conventions import (
    CAUSES,
    TOOLS,
    Conventions,
    conventions,
)
from fiftyone_coco_audit.evaluation.analysis.rescoring import Rescoring
from tests.other_tools import VERSIONS, Records, ap_of_tools
from tests.reference import evaluated, run_cocoeval
from tests.unit.evaluation.scenes import evaluate, random_records

HERE, THERE = (10.0, 10.0, 40.0, 40.0), (300.0, 10.0, 40.0, 40.0)
NOWHERE = (300.0, 300.0, 40.0, 40.0)
NO, YES = 0, 1
# Some packages round AP to single precision
ROUNDING = 1e-7

Case = tuple[dict[str, Any], Records]


def without_ties(predictions: Records, seed: int, lowest: float = 0.0) -> Records:
    """Predictions with other scores, a tenth of them about .001, none of them equal."""
    random = np.random.default_rng(seed)
    rank = random.permutation(len(predictions))
    low = random.random(len(predictions)) < lowest
    score = np.where(low, 0.002, 0.9) * (rank + 1) / len(rank)
    return [
        {**one, "score": value}
        for one, value in zip(predictions, score.tolist(), strict=True)
    ]


def random_case(seed: int) -> Case:
    """Crowd regions, and scores on both sides of .001."""
    ground_truth, predictions = random_records(seed, crowds=0.2)
    return ground_truth, without_ties(predictions, seed, lowest=0.2)


def full_case(seed: int, objects: int, predictions: int) -> Case:
    """An image full of objects and predictions of two classes."""
    random = np.random.default_rng(seed)

    def boxes(count: int) -> list[dict[str, Any]]:
        return [
            {
                "image_id": 1,
                "category_id": int(random.integers(1, 3)),
                "bbox": [*random.uniform(0, 900, 2), *random.uniform(20, 60, 2)],
            }
            for _ in range(count)
        ]

    truth = [
        {**one, "id": n, "iscrowd": 0, "area": one["bbox"][2] * one["bbox"][3]}
        for n, one in enumerate(boxes(objects), start=1)
    ]
    found = [
        {**one, "bbox": (np.array(one["bbox"]) + random.uniform(-5, 5, 4)).tolist()}
        for one in (truth[n] for n in random.integers(0, objects, predictions // 2))
    ]
    found = [{k: one[k] for k in ("image_id", "category_id", "bbox")} for one in found]
    found += boxes(predictions - len(found))
    about = {"images": [{"id": 1, "width": 1000, "height": 1000}]}
    categories = [{"id": n, "name": str(n)} for n in (1, 2)]
    return (
        {**about, "annotations": truth, "categories": categories},
        without_ties(found, seed),
    )


def hundred_objects() -> Case:
    """A class of 100 objects, whose recalls are recall levels; precision falls."""
    ground_truth: dict[str, Any] = {
        "images": [{"id": n, "width": 1900, "height": 200} for n in range(4)],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [
            {
                "id": n + 1,
                "image_id": n % 4,
                "category_id": 1,
                "bbox": [n * 19.0, 10.0, 18.0, 18.0],
                "area": 324.0,
                "iscrowd": 0,
            }
            for n in range(100)
        ],
    }
    found: Records = []
    for n, truth in enumerate(ground_truth["annotations"][:80]):
        right = {key: truth[key] for key in ("image_id", "category_id", "bbox")}
        wrong = {**right, "bbox": [n * 19.0, 100.0, 18.0, 18.0]}
        found += [right] + [wrong] * (n % 3)
    scores = np.linspace(0.9, 0.1, len(found)).tolist()
    return (
        ground_truth,
        [{**one, "score": score} for one, score in zip(found, scores, strict=True)],
    )


def exact_overlaps() -> Case:
    """Objects that are found at an IoU of exactly .50, .55, ..., .95."""
    images = [{"id": n, "width": 100, "height": 100} for n in range(10)]
    truth = [
        {
            "id": n + 1,
            "image_id": n,
            "category_id": 1,
            "bbox": [10, 10, 20, 10],
            "area": 200,
            "iscrowd": 0,
        }
        for n in range(10)
    ]
    found = [
        {
            "image_id": n,
            "category_id": 1,
            "bbox": [10, 10, 10 + n, 10],
            "score": 0.9 - n / 20,
        }
        for n in range(10)
    ]
    categories = [{"id": 1, "name": "cat"}]
    return {"images": images, "annotations": truth, "categories": categories}, found


CASES = {
    "exact overlaps": exact_overlaps(),
    **{f"random-{seed}": random_case(seed) for seed in range(5)},
    "recall levels": hundred_objects(),
    "limit of a class": full_case(1, objects=60, predictions=280),
    "limit of an image": full_case(2, objects=60, predictions=500),
    "limit is raised": full_case(3, objects=340, predictions=500),
}


@pytest.fixture(scope="module")
def ap_elsewhere() -> dict[str, list[float]]:
    for name, version in VERSIONS.items():
        try:
            assert importlib.metadata.version(name) == version
        except importlib.metadata.PackageNotFoundError:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip(f"{name} is not installed")
    return ap_of_tools(list(CASES.values()))


def compared(case: Case) -> Conventions:
    truth = case[0]["annotations"]
    id_0 = np.array([one["id"] == 0 for one in truth])
    return conventions(evaluated(*case), id_0)


def ap_in(result: Conventions) -> dict[str, float]:
    return result.to_frame()["AP"].to_dict()


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["Ultralytics", "supervision", "torchmetrics"])
def test_conventions_are_those_of_the_packages(
    ap_elsewhere: dict[str, list[float]], tool: str
) -> None:
    computed = [ap_in(compared(case))[tool] for case in CASES.values()]
    frame = compared(CASES["recall levels"]).to_frame()
    assert frame["interpolation"]["torchmetrics"] < 0
    frame = compared(CASES["exact overlaps"]).to_frame()
    assert frame["IoU thresholds"]["torchmetrics"] < 0
    assert frame["IoU thresholds"]["Ultralytics"] == 0
    np.testing.assert_allclose(computed, ap_elsewhere[tool], rtol=0, atol=ROUNDING)


def test_versions_are_those_that_are_tested() -> None:
    stated = {tool.name.lower(): tool.version for tool in TOOLS}
    assert stated.items() >= VERSIONS.items()
    assert stated["pycocotools"] == importlib.metadata.version("pycocotools")


@pytest.mark.parametrize("seed", range(5))
def test_pycocotools_with_annotation_id_0(seed: int) -> None:
    ground_truth, predictions = random_records(seed)
    for number, annotation in enumerate(ground_truth["annotations"]):
        annotation["id"] = number
    result = compared((ground_truth, predictions))
    expected = run_cocoeval(ground_truth, predictions).stats[0]
    assert ap_in(result)["pycocotools"] == pytest.approx(expected, abs=1e-12)
    parts = result.to_frame().loc["pycocotools"]
    assert parts["annotation id 0"] == parts["difference"]


@pytest.mark.parametrize("name", ["random-0", "limit of an image", "recall levels"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {
            "iou_thresholds": [0.3, 0.6],
            "max_detections": [1, 20],
            "area_ranges": {"all": (300, 1000)},
        },
    ],
)
def test_parts_add_up_to_the_difference(name: str, options: dict[str, Any]) -> None:
    case = CASES[name]
    evaluation = evaluated(*case, **options)
    id_0 = np.zeros(len(evaluation.truth), bool)
    id_0[0] = True
    result = conventions(evaluation, id_0)
    frame = result.to_frame()
    parts = frame[[name for _, name, _ in CAUSES]].sum(axis=1)
    np.testing.assert_allclose(parts, frame["difference"], rtol=0, atol=1e-12)
    # Skipping what has no effect on the data changes nothing
    at_once = [
        Rescoring(evaluation, id_0).average_precision(tool.convention) for tool in TOOLS
    ]
    np.testing.assert_allclose(frame["AP"], at_once, rtol=0, atol=1e-12)
    # As if the tool had been given COCO's settings to begin with
    standard = conventions(evaluated(*case), id_0)
    np.testing.assert_allclose(frame["AP"], standard.tool_ap, rtol=0, atol=1e-12)


def test_each_cause_by_hand() -> None:
    """Two objects found, with a false positive between them."""
    found = [(0, 0, HERE, 0.9), (0, 0, NOWHERE, 0.8), (0, 0, THERE, 0.7)]
    evaluation = evaluate([(0, 0, HERE, NO), (0, 0, THERE, NO)], found)
    frame = conventions(evaluation, np.array([False, False])).to_frame()
    ours = (51 + 50 * 2 / 3) / 101
    assert frame["AP"]["pycocotools"] == pytest.approx(ours)
    # Precision is 2/3 at a recall of .5 already, and 0 at 1. Trapezoids halve the ends
    linear = (50 * 1 + 50 * 2 / 3 - 1 / 2) / 100
    assert frame["interpolation"]["Ultralytics"] == pytest.approx(linear - ours)
    # Without the first object, as with id 0: 1 of 2 objects, third in the ranking
    frame = conventions(evaluation, np.array([True, False])).to_frame()
    lost = 51 / 3 / 101
    assert frame["annotation id 0"]["pycocotools"] == pytest.approx(lost - ours)


def test_equal_scores_and_crowd_regions_by_hand() -> None:
    truth = [(0, 0, HERE, NO), (0, 0, NOWHERE, YES)]
    found = [(0, 0, NOWHERE, 0.9), (0, 0, THERE, 0.5), (0, 0, HERE, 0.5)]
    result = conventions(evaluate(truth, found), np.zeros(2, bool))
    frame = result.to_frame()
    assert result.ap == pytest.approx(1 / 2)
    assert frame["ties"]["FiftyOne"] == pytest.approx(1 / 2)
    assert frame["crowds"]["Ultralytics"] == pytest.approx(1 / 3 - 1 / 2)
    # Two objects: the first of three is right, and the last
    assert frame["crowds"]["torchmetrics"] == pytest.approx(
        (51 + 50 * 2 / 3) / 101 - 1 / 2
    )
    text = str(result)
    assert "- crowds: " in text
    assert "- ties: " in text
    assert "score cut" not in text


def test_what_is_not_known_is_said() -> None:
    evaluation = evaluate(
        [(0, 0, HERE, NO), (0, 0, THERE, YES)],
        [(0, 0, HERE, 0.9), (0, 0, HERE, 0.8)],
        max_detections=[1],
    )
    assert "share annotation ids" in str(conventions(evaluation, None))
    masks = replace(evaluation, settings=replace(evaluation.settings, iou_type="segm"))
    result = conventions(masks, np.zeros(2, bool))
    assert len(result.notes) == 2
    assert "higher `max_detections`" in result.notes[0]
    assert "Crowd regions are ignored" in result.notes[1]
    assert (result.to_frame()["crowds"].drop("Ultralytics") == 0).all()


def test_nothing_to_compare() -> None:
    poses = evaluate([(0, 0, HERE, NO)], [(0, 0, HERE, 0.9)])
    poses = replace(poses, settings=replace(poses.settings, iou_type="keypoints"))
    with pytest.raises(CocoAuditError, match="is of keypoints"):
        conventions(poses, np.zeros(1, bool))
    with pytest.raises(CocoAuditError, match="no AP, because no object counts"):
        conventions(evaluate([], [(0, 0, HERE, 0.9)]), np.zeros(0, bool))
