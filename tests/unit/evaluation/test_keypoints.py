"""Keypoints against pycocotools, on random scenes and real poses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.cocoeval import COCOeval

from fiftyone_coco_audit import CocoAuditError
from fiftyone_coco_audit.evaluation.analysis.influence import image_influence
from fiftyone_coco_audit.evaluation.metrics import Evaluation
from fiftyone_coco_audit.evaluation.per_image import score_images
from fiftyone_coco_audit.evaluation.poses import (
    keypoint_sigmas,
    predicted_keypoints,
    read_triples,
    true_keypoints,
)
from fiftyone_coco_audit.evaluation.settings import Settings
from fiftyone_coco_audit.evaluation.stored import (
    EvaluatedRows,
    evaluation_as_text,
    evaluation_from_text,
)
from fiftyone_coco_audit.evaluation.subsets import images_only
from fiftyone_coco_audit.keypoints import COCO_SIGMAS
from tests.poses import IMAGES, SIGMAS, random_poses, real_poses
from tests.reference import evaluated, run_cocoeval

pytestmark = pytest.mark.slow

NAMES = "AP AP50 AP75 APm APl AR AR50 AR75 ARm ARl"


def evaluate(coco: dict[str, Any], found: list, **options: Any) -> Evaluation:
    sigmas = {str(place): SIGMAS[n] for place, n in enumerate(sorted(SIGMAS))}
    return evaluated(coco, found, "keypoints", sigmas=sigmas, **options)


def reference(
    coco: dict[str, Any], found: list, category: int, images: Any = None, **params: Any
) -> COCOeval:
    """Runs pycocotools on one class, as it has one set of sigmas."""
    return run_cocoeval(
        *json.loads(json.dumps([coco, found])),
        "keypoints",
        images,
        catIds=[category],
        kpt_oks_sigmas=np.array(SIGMAS[category]),
        **params,
    )


def or_nan(values: Any) -> np.ndarray:
    return np.where(np.asarray(values) < 0, np.nan, values)


def assert_equal(ours: Any, theirs: Any) -> None:
    """Equal to pycocotools, whose -1 is our NaN."""
    np.testing.assert_allclose(ours, or_nan(theirs), rtol=0, atol=1e-9)


@pytest.mark.parametrize("seeds", [range(n, n + 40) for n in range(0, 200, 40)])
def test_random_poses_equal_pycocotools(seeds: range) -> None:
    for seed in seeds:
        coco, found = random_poses(seed, boxes=bool(seed % 2))
        limit = 3 if seed % 5 == 0 else 20
        evaluation = evaluate(coco, found, max_detections=[limit])
        by_class = evaluation.by_class()
        assert list(by_class) == NAMES.split()
        curves = or_nan(evaluation.curves.at_recall_levels(evaluation.curves.precision))
        for place, category in enumerate(sorted(SIGMAS)):
            expected = reference(coco, found, category, maxDets=[limit])
            if limit == 20:  # else it has no numbers
                assert_equal([of[place] for of in by_class.values()], expected.stats)
            precision = expected.eval["precision"][:, :, 0, :, -1]
            assert_equal(curves[:, place], precision[..., 0])
            assert_equal(evaluation.ap[:, :, place], precision.mean(axis=1).T)
            recall = expected.eval["recall"][:, 0].transpose(1, 2, 0)
            assert_equal(evaluation.recall[..., place], recall)


def test_each_image_equals_pycocotools_on_it_alone() -> None:
    for seed in range(12):
        coco, found = random_poses(seed, boxes=False)
        ours = score_images(evaluate(coco, found)).ap
        for image, of_image in zip(sorted(IMAGES), ours, strict=True):
            alone = [reference(coco, found, n, [image]) for n in SIGMAS]
            ap = or_nan(
                [e.eval["precision"][:, :, 0, 0, -1].mean(axis=1) for e in alone]
            )
            if np.isnan(ap).all():
                assert np.isnan(of_image).all()
            else:
                assert_equal(of_image, np.nanmean(ap, axis=0))


def test_similarities_are_those_of_pycocotools() -> None:
    coco, found = random_poses(3, boxes=True)
    ids = {n: place for place, n in enumerate(sorted(IMAGES))}
    evaluation = evaluate(coco, found, iou_thresholds=[1e-12])
    truth, pairs = evaluation.truth, evaluation.pairs
    rows = evaluation.matches.predictions[pairs.detection]
    category = evaluation.predictions.category[rows]
    compared = 0
    for place, n in enumerate(sorted(SIGMAS)):
        oks = reference(coco, found, n).ious
        for image, position in ids.items():
            ours = (truth.image[pairs.truth] == position) & (category == place)
            ours &= truth.category[pairs.truth] == place
            theirs = np.asarray(oks[image, n])
            expected = theirs[theirs >= 1e-12]
            np.testing.assert_allclose(
                np.sort(pairs.overlap[ours]), np.sort(expected), rtol=1e-12
            )
            compared += len(expected)
    assert compared > 20


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("folder", "name"),
    [("coco_mini", "keypoints.json"), ("mmpose4", "annotations.json")],
)
def test_real_poses_equal_pycocotools(
    shared_data: Path, folder: str, name: str
) -> None:
    coco, found = real_poses(shared_data / folder, name)
    evaluation = evaluated(coco, found, "keypoints")
    expected = run_cocoeval(coco, found, "keypoints").stats
    assert expected.min() > 0
    np.testing.assert_allclose(
        list(evaluation.summary().values()), expected, rtol=0, atol=1e-9
    )


@pytest.mark.real_data
def test_what_is_stored_is_what_was_evaluated(shared_data: Path) -> None:
    coco, found = real_poses(shared_data / "mmpose4", "annotations.json")
    evaluation = evaluated(coco, found, "keypoints")
    ids = [
        np.array([f"{n:024x}" for n in range(count)], object)
        for count in (4, len(evaluation.truth), len(evaluation.predictions))
    ]
    rows = EvaluatedRows(("person",), ids[0], np.arange(4), *ids[1:])
    stored = evaluation_from_text(evaluation_as_text(evaluation, rows))
    assert stored is not None
    loaded = stored[0]
    assert loaded.settings == evaluation.settings
    assert loaded.summary() == evaluation.summary()
    # Of the stored matches too, parts are what pycocotools finds in them
    influence = image_influence(loaded.ranking(), 4)
    image_ids = sorted(image["id"] for image in coco["images"])
    for place, image in enumerate(image_ids):
        others = np.arange(4) != place
        rest = [n for n in image_ids if n != image]
        expected = run_cocoeval(coco, found, "keypoints", rest).stats
        part = images_only(loaded, others)
        assert_equal(list(part.summary().values()), expected)
        assert influence[place] + loaded.summary()["AP"] == pytest.approx(expected[0])


ONE = np.array([0])
CLASSES = ["person", "hand"]


def sigmas_of(truth: list, found: list, **options: Any) -> np.ndarray:
    sides = (
        read_triples(lists, np.array(category, np.int64).reshape(-1))
        for lists, category in (truth, found)
    )
    settings = Settings.parse(iou_type="keypoints", **options)
    return keypoint_sigmas(*sides, CLASSES, settings)


def test_sigmas_are_those_of_the_most_frequent_number() -> None:
    two, three = [1.0] * 6, [1.0] * 9
    truth = [[two, three, three, None], [1, 1, 1, 1]]
    found = [[two, two, two, [1.0] * 51], [1, 1, 1, 0]]
    sigmas = sigmas_of(truth, found, sigmas={"hand": (0.1, 0.2, 0.3)})
    assert sigmas[1, :3].tolist() == [0.1, 0.2, 0.3]
    assert np.isnan(sigmas[1, 3:]).all()
    assert sigmas[0].tolist() == list(COCO_SIGMAS)


@pytest.mark.parametrize(
    ("sigmas", "said"),
    [
        (None, "`hand` has 2 keypoints, but there are 17 sigmas"),
        ({"hand": (0.1,)}, "`hand` has 2 keypoints, but there are 1 sigma"),
        ({"foot": (0.1, 0.1)}, "`foot`, which the dataset does not have"),
    ],
)
def test_each_keypoint_needs_a_sigma(sigmas: Any, said: str) -> None:
    with pytest.raises(CocoAuditError, match=said):
        sigmas_of([[[1.0] * 6], [1]], [[], []], sigmas=sigmas)


NAN = float("nan")


@pytest.mark.parametrize(
    ("values", "number", "usable"),
    [
        ([5, 5, 2, 9, 9, 1], 2, True),
        ([5, 5, 2, 0, 0, 0], 1, True),
        ([5, 5, 2, NAN, NAN, 0], 1, False),  # but where only visible ones count
        ([5, 5, 2, NAN, 9, 1], 0, False),
        ([5, 5, 2], 0, False),
        ([5, 5, 2, 9, 9], 0, False),
        ([], 0, False),
        (None, 0, False),
        ("5, 5, 2, 9, 9, 1", 0, False),
    ],
)
def test_keypoints_that_are_not_those_of_the_class(
    values: Any, number: int, usable: bool
) -> None:
    sigmas = np.array([[0.1, 0.2]])
    triples = read_triples([values], ONE)
    true = true_keypoints(triples, sigmas, np.array([NAN]))
    assert true.number.tolist() == [number]
    assert true.visible.sum() == number
    assert predicted_keypoints(triples, sigmas)[1].tolist() == [usable]


def test_keypoints_of_text_are_refused() -> None:
    for wrong in ("x", [1], {}):
        with pytest.raises(ValueError):
            read_triples([[1, 1, wrong]], ONE)


def test_poses_of_other_numbers_of_keypoints_do_not_overlap() -> None:
    """Classes with as many keypoints can be confused, others cannot."""
    box = {"image_id": 7, "bbox": [0, 0, 50, 50]}
    truth = {"id": 1, "area": 2500, "iscrowd": 0, "num_keypoints": 2, **box}
    coco = {
        "images": [{"id": 7, "width": 99, "height": 99}],
        "categories": [{"id": n, "name": str(n)} for n in range(3)],
        "annotations": [
            {**truth, "category_id": 0, "keypoints": [5, 5, 2, 9, 9, 2]},
            {**truth, "category_id": 1, "keypoints": [5, 5, 2, 9, 9, 2, 9, 5, 2]},
        ],
    }
    found = [{"score": 0.5, **box, "category_id": 2, "keypoints": [5, 5, 2, 9, 9, 2]}]
    sigmas = {"0": [0.1, 0.1], "1": [0.1, 0.1, 0.1], "2": [0.1, 0.1]}
    pairs = evaluated(coco, found, "keypoints", sigmas=sigmas).pairs
    assert pairs.truth.tolist() == [0]
    assert pairs.overlap.tolist() == [1]
