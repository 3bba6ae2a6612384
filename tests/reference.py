"""pycocotools as the reference, and COCO records as columns for the pure functions."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fiftyone_coco_audit.evaluation.metrics import Evaluation, evaluate_objects
from fiftyone_coco_audit.evaluation.poses import (
    keypoint_sigmas,
    predicted_keypoints,
    read_triples,
    true_keypoints,
)
from fiftyone_coco_audit.evaluation.settings import Settings
from fiftyone_coco_audit.objects import Objects

Records = list[dict[str, Any]]

#: Folder of the real data, file of predictions, and what must overlap
REAL_FILES = [
    ("coco_mini", "predictions.json", "bbox"),
    ("balloon", "predictions.json", "bbox"),
    ("balloon", "predictions.json", "segm"),
    ("mmpose4", "predictions.json", "bbox"),
    ("cocoapi100", "predictions_bbox.json", "bbox"),
    ("cocoapi100", "predictions_segm.json", "segm"),
]


def run_cocoeval(
    ground_truth: dict[str, Any],
    predictions: Records,
    iou_type: str = "bbox",
    image_ids: list[Any] | None = None,
    **params: Any,
) -> COCOeval:
    """Runs ``COCOeval`` quietly, with masks' own areas for masks."""
    if iou_type == "segm":
        # With boxes there, loadRes takes their areas for those of the masks
        predictions = [
            {key: value for key, value in record.items() if key != "bbox"}
            for record in predictions
        ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = ground_truth
        truth.createIndex()
        if predictions:
            detections = truth.loadRes(predictions)
        else:
            detections = COCO()
            detections.dataset = {**ground_truth, "annotations": []}
            detections.createIndex()
        evaluator = COCOeval(truth, detections, iou_type)
        for name, value in params.items():
            setattr(evaluator.params, name, value)
        if image_ids is not None:
            evaluator.params.imgIds = image_ids
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator


def columns(
    ground_truth: dict[str, Any], predictions: Records, iou_type: str = "bbox"
) -> tuple[Objects, Objects, int, int]:
    """COCO records as ground-truth and predicted objects.

    Returns:
        a tuple of both, the number of images and the number of classes
    """
    images = {
        image_id: place
        for place, image_id in enumerate(
            sorted(i["id"] for i in ground_truth["images"])
        )
    }
    sizes = {
        images[image["id"]]: (image["height"], image["width"])
        for image in ground_truth["images"]
    }
    # pycocotools' tables have the classes in this order
    categories = {
        category_id: place
        for place, category_id in enumerate(
            sorted(category["id"] for category in ground_truth["categories"])
        )
    }

    def objects(records: Records, *, predicted: bool) -> Objects:
        records = sorted(records, key=lambda record: images[record["image_id"]])
        image = np.array([images[r["image_id"]] for r in records], np.int64)
        masks = None
        if iou_type == "segm":
            masks = [
                encode(record["segmentation"], *sizes[place])
                for record, place in zip(records, image.tolist(), strict=True)
            ]
        box = np.array([_box(record) for record in records], float).reshape(-1, 4)
        if not predicted:
            area = [r["area"] for r in records]
        elif masks is None:
            area = (box[:, 2] * box[:, 3]).tolist()
        else:
            area = [float(mask_utils.area(mask)) for mask in masks]
        return Objects(
            image=image,
            category=np.array(
                [categories[r["category_id"]] for r in records], np.int64
            ),
            box=box,
            area=np.array(area, float),
            crowd=np.array([bool(r.get("iscrowd")) for r in records], bool),
            score=np.array([r["score"] for r in records]) if predicted else None,
            masks=masks,
        )

    return (
        objects(ground_truth["annotations"], predicted=False),
        objects(predictions, predicted=True),
        len(images),
        len(categories),
    )


def _box(record: dict[str, Any]) -> Any:
    if record.get("bbox"):
        return record["bbox"]
    if "segmentation" in record:
        return mask_utils.toBbox(record["segmentation"])
    # As loadRes
    x, y = record["keypoints"][0::3], record["keypoints"][1::3]
    return min(x), min(y), max(x) - min(x), max(y) - min(y)


def _with_keypoints(
    sides: tuple[Objects, Objects],
    records: tuple[Records, Records],
    num_categories: int,
    settings: Settings,
) -> tuple[Objects, Objects]:
    """Objects with the keypoints of their records; classes are called by positions."""
    by_image = [sorted(side, key=lambda record: record["image_id"]) for side in records]
    truth, found = (
        read_triples([r["keypoints"] for r in of_side], objects.category)
        for of_side, objects in zip(by_image, sides, strict=True)
    )
    classes = [str(n) for n in range(num_categories)]
    sigmas = keypoint_sigmas(truth, found, classes, settings)
    number = np.array([r["num_keypoints"] for r in by_image[0]], float)
    predicted, usable = predicted_keypoints(found, sigmas)
    assert usable.all()
    return (
        replace(sides[0], keypoints=true_keypoints(truth, sigmas, number)),
        replace(sides[1], keypoints=predicted),
    )


def evaluated(
    ground_truth: dict[str, Any],
    predictions: list,
    iou_type: str = "bbox",
    **options: Any,
) -> Evaluation:
    """Evaluates COCO records from columns."""
    truth, detections, num_images, num_categories = columns(
        ground_truth, predictions, iou_type
    )
    settings = Settings.parse(iou_type=iou_type, **options)
    if iou_type == "keypoints":
        records = ground_truth["annotations"], predictions
        truth, detections = _with_keypoints(
            (truth, detections), records, num_categories, settings
        )
    return evaluate_objects(
        truth,
        detections,
        num_images=num_images,
        num_categories=num_categories,
        settings=settings,
    )


def read_records(
    folder: Path, name: str, iou_type: str
) -> tuple[dict[str, Any], Records]:
    """The ground truth and predictions of one of :data:`REAL_FILES`."""
    ground_truth = json.loads((folder / "annotations.json").read_text())
    predictions = json.loads((folder / name).read_text())
    if iou_type == "segm":
        for record in predictions:
            record.pop("bbox", None)
    return ground_truth, predictions


def encode(segmentation: Any, height: int, width: int) -> dict[str, Any]:
    """A segmentation of any kind as ``COCO.annToRLE`` encodes it."""
    if isinstance(segmentation, list):
        return mask_utils.merge(mask_utils.frPyObjects(segmentation, height, width))
    if isinstance(segmentation["counts"], list):
        return mask_utils.frPyObjects(segmentation, height, width)
    return segmentation
