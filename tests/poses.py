"""Scenes of poses: random ones, and real ones with predictions made from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from fiftyone_coco_audit.keypoints import COCO_SIGMAS

#: The classes of random scenes by id, and the sigmas of their keypoints
SIGMAS = {3: COCO_SIGMAS, 1: (0.05, 0.1), 8: (0.02, 0.2, 0.07, 0.07, 0.1)}
IMAGES = 12, 7, 30


def random_poses(seed: int, *, boxes: bool) -> tuple[dict[str, Any], list]:
    """Objects of three classes, with crowds, hidden poses, and many equal scores."""
    rng = np.random.default_rng(seed)
    objects: list[dict[str, Any]] = []
    predictions: list[dict[str, Any]] = []

    def pose(points: np.ndarray, v: np.ndarray) -> list[float]:
        return np.column_stack([points, v]).ravel().tolist()

    for image in IMAGES:
        for category, sigmas in SIGMAS.items():
            for _ in range(rng.integers(0, 5)):
                box = np.r_[rng.integers(0, 100, 2), rng.choice([20, 60, 150], 2)]
                points = box[:2] + rng.random((len(sigmas), 2)) * box[2:]
                v = rng.integers(0, 3, len(sigmas)) * (rng.random() < 0.8)
                objects.append(
                    {
                        "id": len(objects) + 1,
                        "image_id": image,
                        "category_id": category,
                        "bbox": box.tolist(),
                        "area": float(rng.choice([0, 900, 1024, 9216, 20_000])),
                        "iscrowd": int(rng.random() < 0.15),
                        "keypoints": pose(points * (v > 0)[:, None], v),
                        # Some files count others than those with v > 0
                        "num_keypoints": int((v > 0).sum() * (rng.random() < 0.95)),
                    }
                )
                for _ in range(rng.integers(0, 4)):
                    moved = points + rng.normal(0, rng.choice([0, 2, 8]), points.shape)
                    predictions.append({"keypoints": pose(moved, v)})
                    predictions[-1] |= {"image_id": image, "category_id": category}
            if rng.random() < 0.5:
                points = rng.integers(-50, 300, (len(sigmas), 2))
                predictions.append({"keypoints": pose(points, np.ones(len(sigmas)))})
                predictions[-1] |= {"image_id": image, "category_id": category}
    for one in predictions:
        one["score"] = float(rng.integers(1, 6) / 5)
        if boxes:
            sides = rng.choice([10, 40, 96], 2)
            one["bbox"] = [0.0, 0.0, *sides.tolist()]
    rng.shuffle(predictions)
    return {
        "images": [{"id": n, "width": 300, "height": 300} for n in IMAGES],
        "categories": [{"id": n, "name": str(n)} for n in SIGMAS],
        "annotations": objects,
    }, predictions


def real_poses(folder: Path, name: str) -> tuple[dict[str, Any], list]:
    """Real people, and poses moved from theirs, some of them without a pose."""
    coco = json.loads((folder / name).read_text())
    rng = np.random.default_rng(0)
    found = []
    for annotation in coco["annotations"]:
        pose = np.array(annotation["keypoints"], float).reshape(-1, 3)
        for spread in (2, 9, 30)[: rng.integers(0, 4)]:
            moved = pose.copy()
            moved[:, :2] += rng.normal(0, spread, (17, 2))
            found.append(
                {
                    "image_id": annotation["image_id"],
                    "category_id": annotation["category_id"],
                    "keypoints": moved.ravel().tolist(),
                    "score": float(rng.integers(1, 10) / 10),
                }
            )
    return coco, found
