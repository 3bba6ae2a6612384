"""Generated COCO files of any size, much like those of a real detector."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

WIDTH, HEIGHT = 640, 480
NUM_CLASSES = 80
OBJECTS_PER_IMAGE = 7.3
PREDICTIONS_PER_IMAGE = 34


@dataclass(frozen=True)
class Files:
    """The files of a generated set."""

    annotations: Path
    predictions: Path
    images: Path


def generate(folder: Path, num_images: int, *, masks: bool, seed: int = 0) -> Files:
    """Makes a set, or finds the one that was made before.

    Per image there are some 7 objects of 80 long-tailed classes, and some 34
    predictions: most objects are found, some twice, many predictions are not
    about any object. Every image is the same small JPEG under another name.

    Args:
        folder: where to keep the sets
        num_images: the number of images
        masks: whether objects have masks: polygons for the ground truth,
            run-length encodings for the predictions
        seed: the seed

    Returns:
        the :class:`Files`
    """
    folder = folder / f"{num_images}-{'masks' if masks else 'boxes'}-{seed}"
    files = Files(folder / "gt.json", folder / "predictions.json", folder / "images")
    if files.predictions.exists():
        return files

    files.images.mkdir(parents=True, exist_ok=True)
    _write_images(files.images, num_images)
    rng = np.random.default_rng(seed)
    truth = _objects(rng, num_images, round(num_images * OBJECTS_PER_IMAGE))
    found = _predictions(rng, num_images, truth)
    files.annotations.write_text(json.dumps(_ground_truth(truth, num_images, masks)))
    files.predictions.write_text(json.dumps(_results(found, masks)))
    return files


@dataclass(frozen=True)
class _Rows:
    image: np.ndarray
    category: np.ndarray
    box: np.ndarray
    score: np.ndarray


def _objects(rng: np.random.Generator, num_images: int, count: int) -> _Rows:
    frequency = 1 / np.arange(1, NUM_CLASSES + 1)
    size = np.exp(rng.normal(4, 1, (count, 2))).clip(4, 400)
    corner = rng.random((count, 2)) * ([WIDTH, HEIGHT] - size)
    return _Rows(
        image=np.sort(rng.integers(0, num_images, count)),
        category=rng.choice(NUM_CLASSES, count, p=frequency / frequency.sum()),
        box=np.round(np.concatenate([corner, size], axis=1), 2),
        score=np.ones(count),
    )


def _predictions(rng: np.random.Generator, num_images: int, truth: _Rows) -> _Rows:
    rows = np.repeat(
        np.arange(len(truth.image)),
        rng.choice([0, 1, 2], len(truth.image), p=[0.2, 0.5, 0.3]),
    )
    noise = rng.normal(0, 0.07, (len(rows), 4)) * np.tile(truth.box[rows, 2:], 2)
    close = truth.box[rows] + noise
    close[:, 2:] = close[:, 2:].clip(2)
    confused = rng.random(len(rows)) < 0.08
    category = np.where(
        confused, rng.integers(0, NUM_CLASSES, len(rows)), truth.category[rows]
    )
    other = _objects(
        rng, num_images, round(num_images * PREDICTIONS_PER_IMAGE) - len(rows)
    )
    image = np.concatenate([truth.image[rows], other.image])
    score = np.concatenate(
        [rng.beta(4, 2, len(rows)), rng.beta(1, 6, len(other.image))]
    )
    order = np.lexsort((-score, image))
    return _Rows(
        image=image[order],
        category=np.concatenate([category, other.category])[order],
        box=np.round(np.concatenate([close, other.box])[order], 3),
        score=np.round(score[order], 4),
    )


def _ground_truth(rows: _Rows, num_images: int, masks: bool) -> dict[str, Any]:
    records = _records(rows)
    for number, record in enumerate(records, start=1):
        x, y, width, height = record["bbox"]
        record |= {
            "id": number,
            "iscrowd": 0,
            "area": round(width * height * np.pi / 4, 2),
            "segmentation": [_ellipse(x, y, width, height)] if masks else [],
        }
    return {
        "images": [
            {
                "id": number,
                "file_name": f"{number:06}.jpg",
                "width": WIDTH,
                "height": HEIGHT,
            }
            for number in range(num_images)
        ],
        "categories": [
            {"id": number + 1, "name": f"class {number + 1}"}
            for number in range(NUM_CLASSES)
        ],
        "annotations": records,
    }


def _results(rows: _Rows, masks: bool) -> list[dict[str, Any]]:
    from pycocotools import mask as mask_utils

    records = _records(rows)
    for record, score in zip(records, rows.score.tolist(), strict=True):
        record["score"] = score
        if masks:
            encoded = mask_utils.frPyObjects(
                [_ellipse(*record["bbox"])], HEIGHT, WIDTH
            )[0]
            record["segmentation"] = {
                "size": encoded["size"],
                "counts": encoded["counts"].decode(),
            }
    return records


def _records(rows: _Rows) -> list[dict[str, Any]]:
    return [
        {"image_id": image, "category_id": category + 1, "bbox": box}
        for image, category, box in zip(
            rows.image.tolist(), rows.category.tolist(), rows.box.tolist(), strict=True
        )
    ]


_ANGLES = np.linspace(0, 2 * np.pi, 28, endpoint=False)


def _ellipse(x: float, y: float, width: float, height: float) -> list[float]:
    points = np.stack(
        [
            (x + width / 2 * (1 + np.cos(_ANGLES))).clip(0, WIDTH),
            (y + height / 2 * (1 + np.sin(_ANGLES))).clip(0, HEIGHT),
        ],
        axis=1,
    )
    return np.round(points, 2).ravel().tolist()


def _write_images(folder: Path, count: int) -> None:
    from PIL import Image

    first = folder / f"{0:06}.jpg"
    Image.new("RGB", (WIDTH, HEIGHT), "gray").save(first)
    for number in range(1, count):
        path = folder / f"{number:06}.jpg"
        if not path.exists():
            path.hardlink_to(first)
