"""What can be asked of an evaluation, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pycocotools.cocoeval import Params

from fiftyone_coco_audit import CocoAuditError
from fiftyone_coco_audit.evaluation.average_precision import RECALL_LEVELS
from fiftyone_coco_audit.evaluation.settings import Settings


def test_the_defaults_are_those_of_pycocotools() -> None:
    settings, params = Settings.parse(), Params("bbox")
    assert list(settings.iou_thresholds) == params.iouThrs.tolist()
    assert RECALL_LEVELS.tolist() == params.recThrs.tolist()
    assert list(settings.max_detections) == params.maxDets
    assert list(settings.area_names) == params.areaRngLbl
    assert [list(bounds) for _, bounds in settings.area_ranges] == params.areaRng
    assert settings == Settings()


def test_bounds_of_areas_are_included() -> None:
    inside = Settings().in_area_ranges(np.array([1024.0, 9216.0, 0.0]))
    assert inside.T.tolist() == [
        [True, True, True, False],
        [True, False, True, True],
        [True, True, False, False],
    ]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"iou_type": "polygons"}, "iou_type"),
        ({"sigmas": [0.1]}, "sigmas"),
        ({"iou_type": "keypoints", "sigmas": []}, "sigmas"),
        ({"iou_type": "keypoints", "sigmas": [0.1, 0]}, "sigmas"),
        ({"iou_type": "keypoints", "sigmas": 0.1}, "sigmas"),
        ({"iou_type": "keypoints", "sigmas": {"hand": [float("inf")]}}, "hand"),
        ({"iou_thresholds": []}, "iou_thresholds"),
        ({"iou_thresholds": [0, 0.5]}, "iou_thresholds"),
        ({"iou_thresholds": [50]}, "iou_thresholds"),
        ({"max_detections": (0, 10)}, "max_detections"),
        ({"max_detections": (1.5,)}, "max_detections"),
        ({"max_detections": ()}, "max_detections"),
        ({"area_ranges": {"small": (10, 5)}}, "area_ranges"),
        ({"area_ranges": {"small": (10,)}}, "area_ranges"),
        ({"score_threshold": float("nan")}, "score_threshold"),
        ({"score_threshold": None}, "score_threshold"),
        ({"score_threshold": "x"}, "score_threshold"),
        ({"score_threshold": 10**400}, "score_threshold"),
        ({"iou_thresholds": 0.5}, "iou_thresholds"),
        ({"iou_thresholds": "0.5"}, "iou_thresholds"),
        ({"iou_thresholds": ["a"]}, "iou_thresholds"),
        ({"iou_thresholds": [float("nan")]}, "iou_thresholds"),
        ({"max_detections": 100}, "max_detections"),
        ({"max_detections": [float("nan")]}, "max_detections"),
        ({"max_detections": [float("inf")]}, "max_detections"),
        ({"max_detections": [10**20]}, "max_detections"),
        ({"max_detections": [10**400]}, "max_detections"),
        ({"area_ranges": []}, "area_ranges"),
        ({"area_ranges": {"x": 3}}, "area_ranges"),
        ({"area_ranges": {"x": ("a", "b")}}, "area_ranges"),
        ({"area_ranges": {5: (0, 5)}}, "the name 5, but names must be text"),
        ({"area_ranges": {"": (0, 5)}}, "AP or AR"),
        ({"area_ranges": {"50": (0, 5)}}, "AP50 or AR50"),
        ({"area_ranges": {"75": (0, 5)}}, "AP75 or AR75"),
        ({"area_ranges": {"100": (0, 5)}}, "AP100 or AR100"),
        ({"area_ranges": {3: (0, 5)}}, "area_ranges"),
        ({"area_ranges": {"s": (0, 5), "small": (0, 9)}}, "APs or ARs"),
    ],
)
def test_nonsense_is_refused(options: dict[str, Any], word: str) -> None:
    with pytest.raises(CocoAuditError, match=word):
        Settings.parse(**options)


def test_numbers_of_numpy_are_numbers() -> None:
    settings = Settings.parse(
        iou_thresholds=np.array([0.75, 0.5]), max_detections=np.array([10, 1])
    )
    assert settings.iou_thresholds == (0.5, 0.75)
    assert settings.max_detections == (1, 10)
