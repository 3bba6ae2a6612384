"""Small scenes, made by hand or at random."""

from __future__ import annotations

import json
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from fiftyone_coco_audit.evaluation.improvements import HardObjects, Improvements
from fiftyone_coco_audit.evaluation.metrics import Evaluation, evaluate_objects
from fiftyone_coco_audit.evaluation.settings import Settings
from fiftyone_coco_audit.evaluation.stored import EvaluatedRows
from fiftyone_coco_audit.objects import Objects
from tests.reference import columns

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


CLASSES = ("cat", "dog", "emu")


def improvements(
    scenes: Any,
    num_draws: int = 20,
    hard: Any = (),
    tight: Any = None,
    **options: Any,
) -> Improvements:
    """Improvements of images of which some are alike.

    Args:
        scenes: how many images there are of each kind, their objects ``(class, box)``
            and predictions ``(class, box, score)``
        num_draws: draws of images
        hard: kinds of hard objects, and which object of each image is of that kind
        tight: the box of the mask of each object
        **options: of the evaluation
    """
    truth: list[Row] = []
    predictions: list[Row] = []
    first = 0
    for count, things, found in scenes:
        for image in range(first, first + count):
            truth += [(image, CLASSES.index(name), box, 0) for name, box in things]
            predictions += [
                (image, CLASSES.index(name), box, score) for name, box, score in found
            ]
        first += count
    evaluation = evaluate(truth, predictions, num_images=first, **options)
    image = evaluation.truth.image
    nth = np.arange(len(image)) - np.searchsorted(image, image)
    return Improvements(
        evaluation,
        rows_of(evaluation),
        num_draws,
        {kind: HardObjects(nth == row, kind) for kind, row in dict(hard).items()},
        (np.arange(len(image)), np.tile(np.array(tight, float), (len(image), 1)))
        if tight
        else (np.zeros(0, np.int64), np.zeros((0, 4))),
    )


def rows_of(evaluation: Evaluation) -> EvaluatedRows:
    """Made-up ids for the rows of an evaluation."""
    samples, labels, predictions = (
        np.array([f"{side}{n}" for n in range(count)], dtype=object)
        for side, count in (
            ("sample", evaluation.num_images),
            ("label", len(evaluation.truth)),
            ("prediction", len(evaluation.predictions)),
        )
    )
    images = np.arange(evaluation.num_images)
    return EvaluatedRows(
        tuple(map(str, range(evaluation.num_categories)))
        if evaluation.num_categories != len(CLASSES)
        else CLASSES,
        samples,
        images,
        labels,
        predictions,
    )


@st.composite
def random_evaluations(draw: st.DrawFn) -> Evaluation:
    """Evaluations in which overlaps and scores often tie, of crowds and of limits."""
    image, category = st.integers(0, 1), st.integers(0, 2)
    place, extent = st.sampled_from([0, 4, 10]), st.sampled_from([9, 10, 12, 40])
    box = st.tuples(place, place, extent, extent)
    truth = st.tuples(image, category, box, st.integers(0, 5).map(lambda n: n == 0))
    predicted = st.tuples(image, category, box, st.sampled_from([0.1, 0.5, 0.6, 0.9]))
    by_image = itemgetter(0)
    return evaluate(
        sorted(draw(st.lists(truth, max_size=12)), key=by_image),
        sorted(draw(st.lists(predicted, max_size=24)), key=by_image),
        num_images=2,
        max_detections=[4],
        area_ranges={"all": (0, draw(st.sampled_from([400, 1e10])))},
    )


def crowded_evaluation(seed: int) -> Evaluation:
    """An evaluation of two images in which nearly everything overlaps."""
    random = np.random.default_rng(seed)

    def rows(count: int, lasts: list[float]) -> list[Row]:
        return [
            (
                int(image),
                int(random.integers(3)),
                (*random.integers(0, 4, 2), *random.integers(8, 12, 2)),
                float(random.choice(lasts)),
            )
            for image in np.sort(random.integers(0, 2, count))
        ]

    return evaluate(
        rows(12, [0, 0, 0, 0, 1]),
        rows(24, [0.1, 0.5, 0.6, 0.9]),
        num_images=2,
        max_detections=[4],
        area_ranges={"all": (0, float(random.choice([90, 1e10])))},
    )


def random_records(seed: int, crowds: float = 0.0) -> tuple[dict[str, Any], list]:
    """Six images with all kinds of errors and many equal scores."""
    rng = np.random.default_rng(seed)
    images = [{"id": n, "width": 100, "height": 100} for n in range(1, 7)]
    objects: list[dict[str, Any]] = []
    predictions: list[dict[str, Any]] = []

    def record(image: int, category: int, box: NDArray[np.float64]) -> dict[str, Any]:
        return {"image_id": image, "category_id": category, "bbox": box.tolist()}

    def random_box() -> NDArray[np.float64]:
        return np.r_[rng.uniform(0, 60, 2), rng.uniform(8, 40, 2)]

    for image in range(1, 7):
        for _ in range(rng.integers(0, 5)):
            box, category = random_box(), int(rng.integers(1, 5))
            objects.append(
                {
                    **record(image, category, box),
                    "id": len(objects) + 1,
                    "area": float(box[2] * box[3]),
                    "iscrowd": int(rng.random() < crowds),
                }
            )
            for _ in range(rng.integers(0, 4)):
                shift = rng.uniform(-6, 6, 4) * (rng.random() < 0.7)
                other = int(rng.integers(1, 6))
                predictions.append(
                    record(image, category if rng.random() < 0.6 else other, box)
                )
                predictions[-1]["bbox"] = np.maximum(box + shift, 0).tolist()
        predictions += [
            record(image, int(rng.integers(1, 6)), random_box())
            for _ in range(rng.integers(0, 2))
        ]
    for one in predictions:
        one["score"] = float(rng.integers(1, 10) / 10)
    rng.shuffle(predictions)
    categories = [{"id": n, "name": str(n)} for n in range(1, 6)]
    return (
        {"images": images, "annotations": objects, "categories": categories},
        predictions,
    )


def evaluated_files(
    annotations: Path, predictions: Path, iou_type: str
) -> tuple[dict[str, Any], list[dict[str, Any]], Evaluation]:
    """Records of files, with ids from 1, and their evaluation."""
    ground_truth = json.loads(annotations.read_text())
    found = json.loads(predictions.read_text())
    for annotation in ground_truth["annotations"]:
        # 0 is "no match" in pycocotools
        annotation["id"] += 1
    truth, detections, num_images, num_categories = columns(
        ground_truth, found, iou_type
    )
    evaluation = evaluate_objects(
        truth,
        detections,
        num_images=num_images,
        num_categories=num_categories,
        settings=Settings.parse(iou_type=iou_type),
    )
    return ground_truth, found, evaluation
