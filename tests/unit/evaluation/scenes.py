"""Small scenes for hand-made cases."""

from __future__ import annotations

import numpy as np

from fiftyone_coco_audit.evaluation.metrics import Evaluation, evaluate_objects
from fiftyone_coco_audit.evaluation.settings import Settings
from fiftyone_coco_audit.objects import Objects

# (image, class, box) and a score or whether it is a crowd
Row = tuple[int, int, tuple[float, float, float, float], float]


def objects(rows: list[Row], *, predicted: bool) -> Objects:
    box = np.array([row[2] for row in rows], float).reshape(-1, 4)
    last = np.array([row[3] for row in rows], float)
    return Objects(
        image=np.array([row[0] for row in rows], np.int64),
        category=np.array([row[1] for row in rows], np.int64),
        box=box,
        area=box[:, 2] * box[:, 3],
        crowd=np.zeros(len(rows), bool) if predicted else last.astype(bool),
        score=last if predicted else None,
    )


def evaluate(
    truth: list[Row], predictions: list[Row], *, num_images: int = 1, **options: object
) -> Evaluation:
    return evaluate_objects(
        objects(truth, predicted=False),
        objects(predictions, predicted=True),
        num_images=num_images,
        num_categories=3,
        settings=Settings.parse(**options),
    )
