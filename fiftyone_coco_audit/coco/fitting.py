"""Whether predictions fit the ground truth beside which they are imported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fiftyone_coco_audit.coco import rules
from fiftyone_coco_audit.coco.matching import PredictionTarget
from fiftyone_coco_audit.coco.objects import CocoObjects
from fiftyone_coco_audit.coco.report import ProblemLog
from fiftyone_coco_audit.mapping.diagnosis import (
    ImageSet,
    diagnose_mapping,
    highest_in_percent,
    share_that_fits,
)
from fiftyone_coco_audit.objects import Objects

# Of the best boxes of a detector with an AP of .1, about a fifth fit
_FEW = 0.3


class Truth(NamedTuple):
    """The ground truth of a dataset: its field, its objects and their classes."""

    field: str
    objects: Objects
    classes: Sequence[str]


def as_objects(found: CocoObjects) -> Objects:
    """Annotations or predictions as columns, without masks."""
    crowd = np.zeros(len(found), bool) if found.iscrowd is None else found.iscrowd != 0
    area = found.box[:, 2] * found.box[:, 3] if found.area is None else found.area
    return Objects(found.image, found.category, found.box, area, crowd, found.score)


def note_misfit(
    truth: Truth,
    found: CocoObjects,
    names: Sequence[str],
    target: PredictionTarget,
    log: ProblemLog,
) -> None:
    """Notes if predictions do not fit, but would if they were read differently.

    It costs little where they fit: of the best boxes, a part is compared.

    Args:
        truth: the ground truth
        found: the predictions
        names: the names of their categories
        target: the images and categories that both refer to
        log: gets the note
    """
    classes = list(dict.fromkeys([*truth.classes, *names]))
    row = {name: n for n, name in enumerate(classes)}
    category = np.array([row[name] for name in names], np.int64)[found.category]
    predictions = replace(as_objects(found), category=category)
    fits = share_that_fits(truth.objects, predictions, len(target.ids)) >= _FEW
    if fits and highest_in_percent(predictions) is None:
        return
    ids = {name: id_ for id_, name in (target.categories or {}).items()}
    numbers = [id_ for id_ in map(ids.get, classes) if isinstance(id_, int)]
    diagnosis = diagnose_mapping(
        truth.objects,
        predictions,
        ImageSet(
            size=target.sizes.astype(np.float64),
            ids=target.ids,
            stems=[Path(path).stem for path in target.filepaths],
            order=np.arange(len(target.ids)),
        ),
        classes,
        numbers if len(numbers) == len(classes) else None,
    )
    if diagnosis is not None:
        reason = f"{diagnosis} {diagnosis.advice(log.field, truth.field)}"
        log.note(rules.PREDICTIONS_DO_NOT_FIT, "prediction", len(found), reason)
