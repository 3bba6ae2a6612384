"""The COCO numbers against pycocotools, on random and on real records."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fiftyone_coco_audit.evaluation.metrics import (
    Evaluation,
    average_precision_of,
    without_matches,
)
from fiftyone_coco_audit.evaluation.per_image import score_images
from fiftyone_coco_audit.evaluation.subsets import images_only
from tests.reference import REAL_FILES, evaluated, run_cocoeval

pytestmark = pytest.mark.slow

TOLERANCE = 1e-9
SIZE = 256


def assert_equal_to_pycocotools(
    ground_truth: dict[str, Any], predictions: list, iou_type: str = "bbox"
) -> Evaluation:
    evaluation = evaluated(ground_truth, predictions, iou_type)
    reference = run_cocoeval(ground_truth, predictions, iou_type)
    np.testing.assert_allclose(
        list(evaluation.summary().values()), reference.stats, rtol=0, atol=TOLERANCE
    )
    precision = evaluation.curves.at_recall_levels(evaluation.curves.precision)
    np.testing.assert_allclose(
        precision,
        reference.eval["precision"][:, :, :, 0, -1].transpose(0, 2, 1),
        rtol=0,
        atol=TOLERANCE,
    )
    np.testing.assert_allclose(
        np.nan_to_num(evaluation.recall, nan=-1),
        reference.eval["recall"].transpose(2, 3, 0, 1),
        rtol=0,
        atol=TOLERANCE,
    )
    np.testing.assert_array_equal(
        evaluation.scores_at_recall_levels(),
        reference.eval["scores"][:, :, :, 0, -1].transpose(0, 2, 1),
    )
    return evaluation


def assert_images_equal_to_pycocotools(
    ground_truth: dict[str, Any], predictions: list, iou_type: str = "bbox"
) -> None:
    scores = score_images(evaluated(ground_truth, predictions, iou_type))
    image_ids = sorted(image["id"] for image in ground_truth["images"])
    for image_id, ap in zip(image_ids, scores.ap, strict=True):
        alone = run_cocoeval(ground_truth, predictions, iou_type, [image_id]).stats
        expected = np.array([alone[0], ap[0] if alone[1] < 0 else alone[1], alone[2]])
        if alone[0] == -1:
            assert np.isnan(ap).all()
        else:
            np.testing.assert_allclose(
                [ap.mean(), ap[0], ap[5]], expected, rtol=0, atol=TOLERANCE
            )


# Few places, sizes and scores, so that overlaps, areas and scores often tie
coordinates = st.sampled_from([0, 1, 2, 4, 10, 40])
extents = st.sampled_from([1, 2, 4, 10, 20, 31, 32, 33, 95, 96, 97, 150])
boxes = st.tuples(coordinates, coordinates, extents, extents)
images = st.integers(0, 2)
classes = st.integers(0, 2)
areas = st.sampled_from([0, 10, 1024, 1024.5, 9216, 9217, 20000])
truths = st.lists(
    st.tuples(images, classes, boxes, areas, st.integers(0, 4)), max_size=14
)
detections = st.lists(st.tuples(images, classes, boxes, st.integers(0, 5)), max_size=24)


def scene(objects: list, found: list) -> tuple[dict[str, Any], list]:
    ground_truth = {
        "images": [
            {"id": image_id, "width": SIZE, "height": SIZE} for image_id in (12, 7, 30)
        ],
        "categories": [{"id": c, "name": f"class {c}"} for c in (5, 2, 9)],
        "annotations": [
            {
                "id": n,
                "image_id": (12, 7, 30)[image],
                "category_id": (5, 2, 9)[category],
                "bbox": list(map(float, box)),
                "area": area,
                "iscrowd": int(crowd == 0),
            }
            for n, (image, category, box, area, crowd) in enumerate(objects, start=1)
        ],
    }
    predictions = [
        {
            "image_id": (12, 7, 30)[image],
            "category_id": (5, 2, 9)[category],
            "bbox": list(map(float, box)),
            "score": score / 5,
        }
        for image, category, box, score in found
    ]
    return ground_truth, predictions


@given(truths, detections)
@settings(max_examples=400, deadline=None)
def test_boxes_equal_pycocotools(objects: list, found: list) -> None:
    ground_truth, predictions = scene(objects, found)
    assert_equal_to_pycocotools(ground_truth, predictions)


@given(truths, detections)
@settings(max_examples=100, deadline=None)
def test_each_image_equals_pycocotools_on_it_alone(objects: list, found: list) -> None:
    ground_truth, predictions = scene(objects, found)
    assert_images_equal_to_pycocotools(ground_truth, predictions)


@given(truths.filter(bool), detections)
@settings(max_examples=150, deadline=None)
def test_masks_equal_pycocotools(objects: list, found: list) -> None:
    ground_truth, predictions = scene(objects, found)
    for record in [*ground_truth["annotations"], *predictions]:
        record["segmentation"] = _ellipse(record["bbox"])
    assert_equal_to_pycocotools(ground_truth, predictions, "segm")


def _ellipse(box: list[float]) -> dict[str, Any]:
    from pycocotools import mask as mask_utils

    x, y, width, height = box
    rows, cols = np.mgrid[:SIZE, :SIZE]
    inside = ((cols + 0.5 - x) / width - 0.5) ** 2 + (
        (rows + 0.5 - y) / height - 0.5
    ) ** 2 <= 0.25
    return mask_utils.encode(np.asfortranarray(inside, dtype=np.uint8))


@pytest.mark.parametrize("limits", [(1,), (2, 3), (1, 10, 100)])
def test_limits_on_detections(limits: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    objects = [(0, 0, (10 * n, 10, 9, 9), 81, 1) for n in range(12)]
    found = [
        (0, 0, (10 * (n % 12), 10, 9, 9), s) for n, s in enumerate(rng.permutation(30))
    ]
    ground_truth, predictions = scene(objects, found)
    evaluation = evaluated(ground_truth, predictions, max_detections=limits)
    reference = run_cocoeval(
        ground_truth, predictions, maxDets=[*limits, *[limits[-1]] * (3 - len(limits))]
    )
    for position in range(len(limits)):
        np.testing.assert_allclose(
            np.nan_to_num(evaluation.recall[0, position], nan=-1),
            reference.eval["recall"][:, :, 0, position],
            atol=TOLERANCE,
        )


def test_more_than_100_detections_in_an_image() -> None:
    rng = np.random.default_rng(0)
    objects = [(0, 0, (n, n % 5, 20, 20), 400, 1) for n in range(60)]
    found = [
        (int(image), 0, (int(x), int(y), 20, 20), float(score))
        for image, x, y, score in zip(
            rng.integers(0, 2, 320),
            rng.integers(0, 60, 320),
            rng.integers(0, 5, 320),
            rng.random(320).round(1),
            strict=True,
        )
    ]
    ground_truth, predictions = scene(objects, found)
    evaluation = assert_equal_to_pycocotools(ground_truth, predictions)
    assert len(evaluation.matches.predictions) == 200
    assert_images_equal_to_pycocotools(ground_truth, predictions)


def test_annotation_id_0_can_be_found() -> None:
    ground_truth, predictions = scene(
        [(0, 0, (10, 10, 50, 50), 2500, 1)], [(0, 0, (10, 10, 50, 50), 4)]
    )
    expected = run_cocoeval(ground_truth, predictions).stats[0]
    ground_truth["annotations"][0]["id"] = 0
    assert run_cocoeval(ground_truth, predictions).stats[0] == 0  # the known fault
    assert evaluated(ground_truth, predictions).summary()["AP"] == pytest.approx(
        expected
    )


def assert_fault_of_pycocotools_is_known(
    ground_truth: dict[str, Any], predictions: list, iou_type: str = "bbox"
) -> Evaluation:
    """Without the matches of annotation id 0, all numbers are those of pycocotools."""
    is_zero = [a["id"] == 0 for a in _by_image(ground_truth)]
    evaluation = without_matches(
        evaluated(ground_truth, predictions, iou_type), np.array(is_zero, bool)
    )
    reference = run_cocoeval(ground_truth, predictions, iou_type)
    np.testing.assert_allclose(
        list(evaluation.summary().values()), reference.stats, rtol=0, atol=TOLERANCE
    )
    np.testing.assert_array_equal(
        evaluation.scores_at_recall_levels(),
        reference.eval["scores"][:, :, :, 0, -1].transpose(0, 2, 1),
    )
    return evaluation


def _by_image(ground_truth: dict[str, Any]) -> list[dict[str, Any]]:
    """The annotations in the order of their columns."""
    return sorted(ground_truth["annotations"], key=lambda record: record["image_id"])


@given(truths.filter(bool), detections, st.integers(0, 13))
@settings(max_examples=300, deadline=None)
def test_an_object_that_pycocotools_cannot_find(
    objects: list, found: list, zero: int
) -> None:
    ground_truth, predictions = scene(objects, found)
    ground_truth["annotations"][zero % len(objects)]["id"] = 0
    assert_fault_of_pycocotools_is_known(ground_truth, predictions)


def test_a_crowd_of_annotation_id_0_is_ignored_all_the_same() -> None:
    box = (10, 10, 50, 50)
    ground_truth, predictions = scene(
        [(0, 0, box, 2500, 0), (1, 0, box, 2500, 1)], [(0, 0, box, 5), (1, 0, box, 4)]
    )
    ground_truth["annotations"][0]["id"] = 0
    evaluation = assert_fault_of_pycocotools_is_known(ground_truth, predictions)
    assert evaluation.summary()["AP"] == pytest.approx(1)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("folder", "iou_type"),
    [("balloon", "bbox"), ("balloon", "segm"), ("mmpose4", "bbox")],
)
def test_real_objects_that_pycocotools_cannot_find(
    shared_data: Path, folder: str, iou_type: str
) -> None:
    ground_truth = json.loads((shared_data / folder / "annotations.json").read_text())
    predictions = json.loads((shared_data / folder / "predictions.json").read_text())
    right = evaluated(ground_truth, predictions, iou_type).summary()["AP"]
    aps = set()
    for annotation in ground_truth["annotations"][:6]:
        id_, annotation["id"] = annotation["id"], 0
        evaluation = assert_fault_of_pycocotools_is_known(
            ground_truth, predictions, iou_type
        )
        aps.add(evaluation.summary()["AP"])
        annotation["id"] = id_
    assert min(aps) < right - 0.005


@given(truths, detections, st.sets(images))
@settings(max_examples=150, deadline=None)
def test_the_ap_of_some_images(objects: list, found: list, some: set[int]) -> None:
    ground_truth, predictions = scene(objects, found)
    ids = sorted(image["id"] for image in ground_truth["images"])
    chosen = np.isin(np.arange(3), list(some))
    ap = average_precision_of(evaluated(ground_truth, predictions), chosen)
    expected = -1.0
    if some:
        of_some = [ids[place] for place in sorted(some)]
        expected = run_cocoeval(ground_truth, predictions, image_ids=of_some).stats[0]
    assert ap == pytest.approx(expected, abs=TOLERANCE)


@given(truths, detections, st.sets(images))
@settings(max_examples=50, deadline=None)
def test_an_evaluation_of_some_images(
    objects: list, found: list, some: set[int]
) -> None:
    """It equals one of these images alone, with all that is derived from it."""
    ground_truth, predictions = scene(objects, found)
    chosen = np.isin(np.arange(3), list(some))
    part = images_only(evaluated(ground_truth, predictions), chosen)
    ids = np.array(sorted(image["id"] for image in ground_truth["images"]))[chosen]
    alone = evaluated(
        ground_truth
        | {
            "images": [i for i in ground_truth["images"] if i["id"] in ids],
            "annotations": [
                a for a in ground_truth["annotations"] if a["image_id"] in ids
            ],
        },
        [p for p in predictions if p["image_id"] in ids],
    )
    assert part.num_images == len(ids)
    assert part.summary() == alone.summary()
    for name in ("pairs", "matches", "truth", "predictions"):
        for field in fields(getattr(part, name)):
            np.testing.assert_array_equal(
                getattr(getattr(part, name), field.name),
                getattr(getattr(alone, name), field.name),
            )


@given(truths, detections, st.tuples(*[st.integers(0, 3)] * 3))
@settings(max_examples=40, deadline=None)
def test_weighted_images_equal_copies_of_them(
    objects: list, found: list, weights: tuple[int, ...]
) -> None:
    ground_truth, predictions = scene(objects, found)
    for n, prediction in enumerate(predictions):
        prediction["score"] += n / 1000  # COCOeval ranks ties of copies by copy
    ids = sorted(image["id"] for image in ground_truth["images"])
    copies = [
        (id_, 100 * id_ + n)
        for id_, weight in zip(ids, weights, strict=True)
        for n in range(weight)
    ]
    copied = {
        "images": [{"id": new, "width": SIZE, "height": SIZE} for _, new in copies],
        "categories": ground_truth["categories"],
        "annotations": [
            a | {"image_id": new, "id": 1000 * new + a["id"]}
            for old, new in copies
            for a in ground_truth["annotations"]
            if a["image_id"] == old
        ],
    }
    repeated = [
        p | {"image_id": new}
        for old, new in copies
        for p in predictions
        if p["image_id"] == old
    ]
    evaluation = evaluated(ground_truth, predictions)
    for area, place in enumerate((0, 3, 4, 5)):
        ap = evaluation.ranking(area).average_precision(np.array(weights))
        value = -1.0 if np.isnan(ap).all() else np.nanmean(ap)
        expected = -1.0
        if copies:
            expected = run_cocoeval(copied, repeated).stats[place]
        assert value == pytest.approx(expected, abs=TOLERANCE)


def test_nothing_at_all() -> None:
    evaluation = evaluated(*scene([], []))
    assert set(evaluation.summary().values()) == {-1.0}
    assert score_images(evaluation).status().tolist() == ["empty"] * 3


def test_custom_thresholds_and_areas() -> None:
    rng = np.random.default_rng(1)
    objects = [
        (int(i), int(c), (int(x), 5, 30, 40), 1200, 1)
        for i, c, x in rng.integers(0, 3, (30, 3)) * [1, 1, 37]
    ]
    found = [
        (i, c, (x + int(dx), 5, 30, 40), int(s))
        for (i, c, (x, *_), _, _), dx, s in zip(
            objects, rng.integers(0, 12, 30), rng.integers(0, 5, 30), strict=True
        )
    ]
    ground_truth, predictions = scene(objects, found)
    evaluation = evaluated(
        ground_truth,
        predictions,
        iou_thresholds=[0.75, 0.3],
        area_ranges={"tiny": (0, 1000), "rest": (1000, 1e10)},
    )
    assert list(evaluation.summary()) == [
        "AP", "AP75", "APtiny", "APrest",
        "AR1", "AR10", "AR100", "ARtiny", "ARrest",
    ]  # fmt: skip
    reference = run_cocoeval(
        ground_truth,
        predictions,
        iouThrs=np.array([0.3, 0.75]),
        areaRng=[[0, 1e10], [0, 1000], [1000, 1e10], [0, 1]],
    )
    precision = reference.eval["precision"][..., -1]
    for area, name in enumerate(["AP", "APtiny", "APrest"]):
        values = precision[..., area]
        expected = values[values > -1].mean() if (values > -1).any() else -1
        assert evaluation.summary()[name] == pytest.approx(expected, abs=TOLERANCE)


RANGES = st.tuples(st.sampled_from([0, 5, 100]), st.sampled_from([1000, 9216, 1e10]))


@given(truths, detections, RANGES)
@settings(max_examples=100, deadline=None)
def test_the_range_of_all_areas(
    objects: list, found: list, bounds: tuple[float, float]
) -> None:
    """As pycocotools, whose parameter areaRng holds "all" beside the others."""
    ground_truth, predictions = scene(objects, found)
    ranges = {"tiny": (0, 50), "all": bounds}
    evaluation = evaluated(ground_truth, predictions, area_ranges=ranges)
    assert evaluation.settings.area_names == ("all", "tiny")
    params = {
        "areaRng": [list(bounds), [0, 50]],
        "areaRngLbl": ["all", "tiny"],
    }
    reference = run_cocoeval(ground_truth, predictions, **params)
    assert evaluation.summary()["AP"] == pytest.approx(reference.stats[0], abs=1e-9)
    np.testing.assert_allclose(
        np.nan_to_num(evaluation.ap, nan=-1),
        reference.eval["precision"][..., -1].mean(axis=1).transpose(2, 0, 1),
        rtol=0,
        atol=TOLERANCE,
    )
    scores = score_images(evaluation)
    for place, image_id in enumerate(sorted(i["id"] for i in ground_truth["images"])):
        alone = run_cocoeval(ground_truth, predictions, "bbox", [image_id], **params)
        ap = np.nan_to_num(scores.ap[place], nan=-1).mean()
        assert ap == pytest.approx(alone.stats[0], abs=TOLERANCE)


@pytest.mark.real_data
@pytest.mark.parametrize(("folder", "file", "iou_type"), REAL_FILES)
def test_real_data(shared_data: Path, folder: str, file: str, iou_type: str) -> None:
    ground_truth = json.loads((shared_data / folder / "annotations.json").read_text())
    predictions = json.loads((shared_data / folder / file).read_text())
    if folder == "balloon":
        # Ids count from 0 there, which pycocotools takes for "no match"
        for annotation in ground_truth["annotations"]:
            annotation["id"] += 1
    assert_equal_to_pycocotools(ground_truth, predictions, iou_type)
    assert_images_equal_to_pycocotools(ground_truth, predictions, iou_type)


@pytest.mark.real_data
@pytest.mark.parametrize("digits", [0, 1, 2])
def test_heavy_ties_of_scores(shared_data: Path, digits: int) -> None:
    folder = shared_data / "coco_mini"
    ground_truth = json.loads((folder / "annotations.json").read_text())
    predictions = json.loads((folder / "predictions.json").read_text())
    for prediction in predictions:
        prediction["score"] = round(prediction["score"], digits)
    assert_equal_to_pycocotools(ground_truth, predictions)
    assert_images_equal_to_pycocotools(ground_truth, predictions)


@pytest.mark.real_data
@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_published_figures(shared_data: Path, iou_type: str) -> None:
    folder = shared_data / "cocoapi100"
    ground_truth = json.loads((folder / "annotations.json").read_text())
    predictions = json.loads((folder / f"predictions_{iou_type}.json").read_text())
    published = _published(folder / "published_metrics.txt", iou_type)
    numbers = evaluated(ground_truth, predictions, iou_type).summary()
    assert [round(value, 3) for value in numbers.values()] == published


def _published(path: Path, iou_type: str) -> list[float]:
    section = path.read_text().split(f"type={iou_type}\n")[1].split("-----")[0]
    return [
        float(line.rsplit("=", 1)[1]) for line in section.splitlines() if "@[" in line
    ]
