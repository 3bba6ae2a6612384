"""A simulated detector with the habits of a real one.

It misses what is small, hidden or rare, places boxes less well there, is surer of
what it places well, and adds duplicates and things that are not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from coco_audit_demo.composition import CLASSES
from coco_audit_demo.records import Record, encode
from coco_audit_demo.scenes import Box, SceneObject
from fiftyone_coco_audit.boxes import box_iou

_SHARE = {cls.name: max(cls.weight, 1) / 100 for cls in CLASSES}


@dataclass(eq=False)
class Detection:
    """One prediction.

    Args:
        image_id: id of its image
        category: the predicted class
        bbox: ``[x, y, width, height]`` in pixels
        score: confidence in (0, 1)
        segmentation: compressed run lengths
        target: the object it was made from; None for a false alarm
        iou: overlap of ``bbox`` with the tight box of ``target``
    """

    image_id: int
    category: str
    bbox: list[float]
    score: float
    segmentation: Record
    target: SceneObject | None
    iou: float


def detect(
    objects: Sequence[SceneObject],
    *,
    image_id: int,
    height: int,
    width: int,
    rng: np.random.Generator,
) -> list[Detection]:
    """Simulates the detections in one image.

    Args:
        objects: what there is to see, annotated or not
        image_id: id of the image
        height: its rows
        width: its columns
        rng: the source of randomness

    Returns:
        detections by descending score
    """
    found: list[Detection] = []

    def report(
        category: str,
        box: np.ndarray,
        score: float,
        shape: np.ndarray,
        target: SceneObject | None = None,
        iou: float = 0.0,
    ) -> None:
        bbox = _inside(box, height, width)
        pixels = _pixels(bbox, height, width)
        resized = cv2.resize(
            shape.astype(np.float32),
            (pixels.width, pixels.height),
            interpolation=cv2.INTER_LINEAR,
        )
        segmentation = encode(resized >= 0.5, pixels, height, width)
        found.append(
            Detection(
                image_id=image_id,
                category=category,
                bbox=bbox.round(2).tolist(),
                score=round(float(score), 5),
                segmentation=segmentation,
                target=target,
                iou=iou,
            )
        )

    for thing in objects:
        if thing.place == "crowd":
            for member in thing.members:
                if rng.random() < 0.4:
                    box = _jitter(np.array(member, float), 0.06, rng)
                    report(thing.category, box, rng.beta(4, 4), _disc())
            continue
        truth = np.array(thing.box, float)
        skill = _skill(thing, height, width)
        if rng.random() > skill:
            continue
        box = _jitter(truth, 0.022 + 0.11 * (1 - skill), rng)
        iou = float(box_iou(box, truth))
        score = _sigmoid(7 * (iou - 0.62) + 1.5 * (skill - 0.7) + rng.normal(0, 0.8))
        category = thing.category
        if rng.random() < 0.03:
            category = _guess(rng)
            score *= 0.7
        report(category, box, score, thing.mask, thing, iou)
        if rng.random() < 0.07:
            box = _jitter(truth, 0.13, rng)
            score *= rng.uniform(0.25, 0.8)
            report(
                thing.category,
                box,
                score,
                thing.mask,
                thing,
                float(box_iou(box, truth)),
            )

    scale = max(height, width) / 640
    for _ in range(rng.poisson(1.6)):
        sides = scale * np.exp(rng.uniform(np.log(22), np.log(140), size=2))
        sides = np.minimum(sides, [0.8 * width, 0.8 * height])
        corner = rng.uniform(0, [width, height] - sides)
        box = np.concatenate([corner, sides])
        report(_guess(rng), box, 0.02 + 0.9 * rng.beta(1.1, 4.5), _disc())
    return sorted(found, key=lambda detection: -detection.score)


def _skill(thing: SceneObject, height: int, width: int) -> float:
    """Probability of being found: by size at the input, visibility and frequency."""
    side = np.sqrt(thing.mask.sum()) * 640 / max(height, width, 640)
    return _sigmoid(
        1.9
        + 1.1 * np.log2(min(side, 128) / 32)
        + 4.0 * (min(thing.visible, 1) - 0.9)
        + 0.55 * np.log2(_SHARE[thing.category] / 0.1)
    )


def _sigmoid(value: float) -> float:
    return float(1 / (1 + np.exp(-value)))


def _guess(rng: np.random.Generator) -> str:
    names = list(_SHARE)
    weights = np.array(list(_SHARE.values()))
    return names[rng.choice(len(names), p=weights / weights.sum())]


def _jitter(box: np.ndarray, spread: float, rng: np.random.Generator) -> np.ndarray:
    """Moves each edge by a normal error, relative to the box's own sides."""
    x, y, w, h = box
    left, top, right, bottom = rng.normal(0, spread, 4).clip(-0.3, 0.3)
    return np.array(
        [x + left * w, y + top * h, w * (1 + right - left), h * (1 + bottom - top)]
    )


def _inside(box: np.ndarray, height: int, width: int) -> np.ndarray:
    corner = np.clip(box[:2], 0, [width - 4, height - 4])
    end = np.clip(box[:2] + box[2:], corner + 4, [width, height])
    return np.concatenate([corner, end - corner])


def _pixels(box: np.ndarray, height: int, width: int) -> Box:
    left, top = np.floor(box[:2] + 0.5).astype(int)
    right, bottom = np.floor(box[:2] + box[2:] + 0.5).astype(int)
    whole = Box(int(left), int(top), int(right - left), int(bottom - top))
    return whole & Box(0, 0, width, height)


def _disc(size: int = 64) -> np.ndarray:
    ticks = (2 * np.arange(size) + 1) / size - 1
    return np.hypot(ticks[:, None], ticks[None, :]) <= 1
