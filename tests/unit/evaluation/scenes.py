"""Small scenes for hand-made cases."""

from __future__ import annotations

from operator import itemgetter

import numpy as np
from hypothesis import strategies as st

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
