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

# Measured on 1,642 predictions of YOLOX-Nano on 79 images of COCO val2017. Predictions
# that are made of the ground truth alone have higher scores and fewer classes, which is
# easier for evaluators.
_LEVELS = (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)
# Share of objects found at IoU .5, by quarters of their size
_RECALL = (0.22, 0.52, 0.74, 0.84)
# The overlap with the object, by levels
_IOU_FOUND = (0.5, 0.54, 0.66, 0.8, 0.885, 0.957, 0.99)
_IOU_LOOSE = (0.1, 0.13, 0.2, 0.3, 0.41, 0.48, 0.5)
# Gives overlap and score of those that find an object the measured correlation of .44
_IOU_AND_SCORE = 0.6
_REPEATS = 0.5  # objects of the class of the one before, in an image
_IN_IMAGE = 0.4  # wrong predictions of the class of an object nearby
# How much more wrong predictions there are in some images, and of some classes
_LEAST, _MOST = 0.1, 1.9
_FAVORED = 0.6  # in logarithms


@dataclass(frozen=True)
class _Kind:
    """A kind of predictions.

    Attributes:
        share: of those that find no object
        score: by levels
        iou: with an object, by levels, or None if they are about none
        right_class: whether they have its class
    """

    share: float
    score: tuple[float, ...]
    iou: tuple[float, ...] | None
    right_class: bool


_FOUND = _Kind(0, (0.05, 0.07, 0.18, 0.47, 0.75, 0.9, 0.96), _IOU_FOUND, True)
_WRONG = (
    # Duplicates, loose boxes, other classes, both, and background
    _Kind(0.19, (0.05, 0.055, 0.07, 0.1, 0.16, 0.37, 0.67), _IOU_FOUND, True),
    _Kind(0.22, (0.05, 0.054, 0.07, 0.12, 0.22, 0.56, 0.91), _IOU_LOOSE, True),
    _Kind(0.14, (0.05, 0.054, 0.064, 0.09, 0.19, 0.5, 0.83), _IOU_FOUND, False),
    _Kind(0.13, (0.05, 0.052, 0.063, 0.09, 0.14, 0.34, 0.69), _IOU_LOOSE, False),
    _Kind(0.32, (0.05, 0.052, 0.062, 0.09, 0.14, 0.33, 0.84), None, False),
)


@dataclass(frozen=True)
class Files:
    """The files of a generated set."""

    annotations: Path
    predictions: Path
    images: Path


def generate(folder: Path, num_images: int, *, masks: bool, seed: int = 0) -> Files:
    """Makes a set, or finds the one that was made before.

    Per image there are some 7 objects of 80 long-tailed classes, and some 34
    predictions with the scores, overlaps and classes of a real detector's. Every image
    is the same small JPEG under another name.

    Args:
        folder: where to keep the sets
        num_images: the number of images
        masks: whether objects have masks: polygons for the ground truth,
            run-length encodings for the predictions
        seed: the seed

    Returns:
        the :class:`Files`
    """
    folder = folder / f"{num_images}-{'masks' if masks else 'boxes'}-{seed}-profile"
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


def _frequency() -> np.ndarray:
    """The shares of the classes, about those of COCO: 19% persons, and a long tail."""
    rest = 1 / (np.arange(2, NUM_CLASSES + 1) + 1.5)
    return np.r_[0.19, 0.81 * rest / rest.sum()]


def _boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    size = np.exp(rng.normal(4.05, 0.95, (count, 1)) + rng.normal(0, 0.53, (count, 2)))
    size = size.clip(4, 400)
    corner = rng.random((count, 2)) * ([WIDTH, HEIGHT] - size)
    return np.concatenate([corner, size], axis=1)


def _objects(rng: np.random.Generator, num_images: int, count: int) -> _Rows:
    # Some images are full and others nearly empty
    crowding = rng.gamma(1.7, size=num_images)
    image = np.sort(rng.choice(num_images, count, p=crowding / crowding.sum()))
    drawn = rng.choice(NUM_CLASSES, count, p=_frequency())
    new = np.r_[True, image[1:] != image[:-1]] | (rng.random(count) >= _REPEATS)
    return _Rows(
        image=image,
        category=drawn[np.maximum.accumulate(np.where(new, np.arange(count), 0))],
        box=np.round(_boxes(rng, count), 2),
        score=np.ones(count),
    )


def _predictions(rng: np.random.Generator, num_images: int, truth: _Rows) -> _Rows:
    area = truth.box[:, 2:].prod(axis=1)
    quarter = np.argsort(np.argsort(area)) * len(_RECALL) // max(len(area), 1)
    found = np.flatnonzero(rng.random(len(area)) < np.array(_RECALL)[quarter])
    missing = round(num_images * PREDICTIONS_PER_IMAGE) - len(found)
    favor = rng.uniform(_LEAST, _MOST, num_images)[truth.image]
    classes = _frequency() * np.exp(rng.normal(0, _FAVORED, NUM_CLASSES))
    parts = [_of_kind(rng, truth, found, _FOUND, classes)]
    for kind in _WRONG:
        # Those of the right class and place are of objects that are found
        among = found if kind.iou is _IOU_FOUND and kind.right_class else slice(None)
        rows, weight = np.arange(len(area))[among], favor[among]
        about = rng.choice(rows, round(missing * kind.share), p=weight / weight.sum())
        parts.append(_of_kind(rng, truth, about, kind, classes))
    image, category, box, score = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("image", "category", "box", "score")
    )
    order = np.lexsort((-score, image))
    return _Rows(
        image=image[order],
        category=category[order],
        box=np.round(box[order], 3),
        score=np.round(score[order], 4),
    )


def _of_kind(
    rng: np.random.Generator,
    truth: _Rows,
    about: np.ndarray,
    kind: _Kind,
    classes: np.ndarray,
) -> _Rows:
    """Predictions of a kind, each about an object, or in its image only."""
    count = len(about)
    # Two uniform variables whose ranks are about as alike as in the measurement
    one, two = rng.normal(size=(2, count))
    alike = _IOU_AND_SCORE * one + np.sqrt(1 - _IOU_AND_SCORE**2) * two
    levels = [np.argsort(np.argsort(v)) / max(count - 1, 1) for v in (one, alike)]
    box = _boxes(rng, count)
    if kind.iou is not None:
        iou = np.interp(levels[1], _LEVELS, kind.iou)
        box = _at_iou(rng, truth.box[about], iou)
    category = truth.category[about]
    if not kind.right_class:
        # That of another object, mostly of the same image, or any
        near = np.minimum(about + 1, len(truth.image) - 1)
        other = rng.choice(NUM_CLASSES, count, p=classes / classes.sum())
        in_image = rng.random(count) < _IN_IMAGE
        category = np.where(in_image, truth.category[near], other)
    return _Rows(
        image=truth.image[about],
        category=category,
        box=box,
        score=np.interp(levels[0], _LEVELS, kind.score),
    )


def _at_iou(rng: np.random.Generator, box: np.ndarray, iou: np.ndarray) -> np.ndarray:
    """Boxes that are shifted or scaled so that they overlap others by so much."""
    how = rng.integers(0, 4, len(box))[:, None]
    sides = box[:, 2:]
    shift = (1 - iou) / (1 + iou) * rng.choice([-1, 1], len(box))
    axis = np.stack([how[:, 0] == 0, how[:, 0] == 1], axis=1)
    scale = np.where(how == 2, np.sqrt(iou)[:, None], 1 / np.sqrt(iou)[:, None])
    scaled = np.where(how < 2, sides, sides * scale)
    corner = box[:, :2] + (sides - scaled) / 2 + axis * shift[:, None] * sides
    return np.concatenate([corner, scaled], axis=1)


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
