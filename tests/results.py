"""Results of evaluations for tests, without a database."""

from datetime import datetime
from types import SimpleNamespace
from typing import Any

import numpy as np

from fiftyone_coco_audit.evaluation.metrics import Evaluation, evaluate_objects
from fiftyone_coco_audit.evaluation.outputs import image_frame, sample_values
from fiftyone_coco_audit.evaluation.settings import Settings
from fiftyone_coco_audit.evaluation.stored import EvaluatedRows
from fiftyone_coco_audit.evaluation.tables import EvaluationTables, Source
from fiftyone_coco_audit.findings import Finding, Gain
from fiftyone_coco_audit.objects import Objects
from fiftyone_coco_audit.panels.loaded_results import LoadedResults

STEPS = tuple(
    Finding(
        code,
        "a-rule",
        "warning",
        f"Something is worth {gain}.",
        "Do it.",
        len(ids),
        (),
        {},
        "predictions",
        label_ids=ids,
        gain=gain,
    )
    for code, gain, ids in (
        ("CA702", Gain(0.034, 0.021, 0.046), ("p0", "p1")),
        ("CA711", Gain(0.01, -0.002, 0.02), ()),
    )
)


def objects(
    rows: list[tuple[int, int, Any]], score: np.ndarray | None = None
) -> Objects:
    """Objects from ``(image, class, box)`` by image."""
    box = np.array([row[2] for row in rows], float).reshape(-1, 4)
    return Objects(
        image=np.array([row[0] for row in rows], np.int64),
        category=np.array([row[1] for row in rows], np.int64),
        box=box,
        area=box[:, 2] * box[:, 3],
        crowd=np.zeros(len(rows), bool),
        score=score,
    )


def random_evaluation(
    num_images: int, num_classes: int, *, seed: int = 13, per_image: float = 6
) -> Evaluation:
    """A set by chance, and a model that finds most of it, with all types of error."""
    rng = np.random.default_rng(seed)
    truth, predicted = [], []
    for image in range(num_images):
        for _ in range(rng.poisson(per_image)):
            # Mostly the first classes
            category = int(num_classes * rng.beta(0.7, 2))
            box = np.r_[rng.uniform(0, 300, 2), rng.uniform(8, 160, 2)]
            truth.append((image, category, box))
            kind = rng.random()
            if kind < 0.15 or image % 10 == 3:
                continue
            if kind < 0.3:
                category = int(rng.integers(num_classes))
            moved = (
                box + rng.normal(0, 0.4 if kind > 0.9 else 0.06, 4) * box[[2, 3, 2, 3]]
            )
            predicted.append((image, category, np.maximum(moved, [0, 0, 2, 2])))
            if kind > 0.85:
                predicted.append((image, category, box))
        if rng.random() < 0.5 and image % 10 != 3:
            box = np.r_[rng.uniform(300, 500, 2), rng.uniform(8, 60, 2)]
            predicted.append((image, int(rng.integers(num_classes)), box))
    return evaluate_objects(
        objects(truth),
        objects(predicted, rng.random(len(predicted)).round(2)),
        num_images=num_images,
        num_categories=num_classes,
        settings=Settings.parse(),
    )


def tables_of(
    evaluation: Evaluation, classes: list[str] | None = None
) -> EvaluationTables:
    """The metrics of an evaluation, with samples in reverse order of its images."""
    number = evaluation.num_images
    names = [f"class {n}" for n in range(evaluation.num_categories)]
    rows = EvaluatedRows(
        classes=tuple(classes or names),
        sample_ids=np.array([f"s{n}" for n in range(number)], object),
        image=np.arange(number)[::-1].copy(),
        truth_ids=np.array([f"g{n}" for n in range(len(evaluation.truth))], object),
        prediction_ids=np.array(
            [f"p{n}" for n in range(len(evaluation.predictions))], object
        ),
    )
    images = image_frame(
        rows,
        sample_values(evaluation, rows.image),
        [f"/data/{'even' if n % 2 == 0 else 'odd'}/{n}.jpg" for n in range(number)],
        list(range(number)),
    )
    dataset: Any = SimpleNamespace(
        name="random",
        media_type="image",
        list_evaluations=lambda **_: ["eval"],
        get_field_schema=lambda **_: {},
        has_field=lambda path: False,
    )
    dataset._root_dataset = dataset
    source = Source(dataset, "predictions", "ground_truth")
    provenance: Any = SimpleNamespace(sentences=list)
    return EvaluationTables(evaluation, rows, images, source, provenance, ())


def loaded_of(
    evaluation: Evaluation, classes: list[str] | None = None
) -> LoadedResults:
    """The same as the panel has it."""
    tables = tables_of(evaluation, classes)
    size = np.full((evaluation.num_images, 2), [640.0, 480.0])
    now = datetime(2026, 1, 1)
    dataset = tables.source.dataset
    loaded = LoadedResults(dataset, "eval", tables, size, (len(size), now), now)
    # Rules of results ask the database what else is known
    loaded.once("steps", lambda: (STEPS, {"CA721": "Sizes are not known."}))
    return loaded
