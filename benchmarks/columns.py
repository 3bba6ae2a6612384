"""Generated COCO files as columns, without a database."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from benchmarks.data import HEIGHT, WIDTH, Files
from fiftyone_coco_audit.objects import Objects
from fiftyone_coco_audit.rle import mask_areas


def read(files: Files, *, masks: bool) -> tuple[Objects, Objects, int, int]:
    """The ground truth, the predictions, the numbers of images and of classes."""
    ground_truth = json.loads(files.annotations.read_text())
    predictions = json.loads(files.predictions.read_text())
    return (
        _objects(ground_truth["annotations"], masks, predicted=False),
        _objects(predictions, masks, predicted=True),
        len(ground_truth["images"]),
        len(ground_truth["categories"]),
    )


def _objects(records: list[dict[str, Any]], masks: bool, *, predicted: bool) -> Objects:
    from pycocotools import mask as mask_utils

    box = np.array([record["bbox"] for record in records])
    encoded = None
    if masks and predicted:
        encoded = [record["segmentation"] for record in records]
    elif masks:
        encoded = [
            mask_utils.frPyObjects(record["segmentation"], HEIGHT, WIDTH)[0]
            for record in records
        ]
    if not predicted:
        area = np.array([record["area"] for record in records], float)
    elif encoded is None:
        area = box[:, 2] * box[:, 3]
    else:
        area = mask_areas(encoded)
    return Objects(
        image=np.array([record["image_id"] for record in records]),
        category=np.array([record["category_id"] for record in records]) - 1,
        box=box,
        area=area,
        crowd=np.zeros(len(records), bool),
        score=np.array([record["score"] for record in records]) if predicted else None,
        masks=encoded,
    )
