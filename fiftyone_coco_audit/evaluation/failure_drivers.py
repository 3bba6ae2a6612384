"""The drivers of failure that the labels, the dataset and the images tell."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.errors import check_count
from fiftyone_coco_audit.evaluation.analysis.drivers import Driver, Drivers, explain
from fiftyone_coco_audit.evaluation.analysis.intervals import objects_by_class
from fiftyone_coco_audit.evaluation.analysis.outcomes import (
    LeftOut,
    check_score,
    outcomes_at,
)
from fiftyone_coco_audit.evaluation.matching import UNMATCHED
from fiftyone_coco_audit.evaluation.metrics import Evaluation
from fiftyone_coco_audit.evaluation.overlaps import overlaps_within_groups
from fiftyone_coco_audit.evaluation.slicing import field_values
from fiftyone_coco_audit.evaluation.stored import EvaluatedRows
from fiftyone_coco_audit.objects import LabeledImages, Objects
from fiftyone_coco_audit.parallel import check_workers
from fiftyone_coco_audit.progress import Progress
from fiftyone_coco_audit.statistics.anchor_sets import AnchorSet
from fiftyone_coco_audit.statistics.overview import Statistics
from fiftyone_coco_audit.statistics.photometry import measure_files
from fiftyone_coco_audit.statistics.resizing import ResizePolicy
from fiftyone_coco_audit.wording import counted

if TYPE_CHECKING:
    import fiftyone as fo

# The field of samples and of labels that audit_augmentation writes
_DAMAGE = "augmentation_damage"
_PHOTOMETRY = ("brightness", "sharpness")


def covered_share(objects: Objects) -> NDArray[np.float64]:
    """How much of each object's box another object's box covers.

    Which of the two is in front is not known.

    Args:
        objects: ``N`` objects

    Returns:
        ``(N,)`` the largest share that one other box of the image covers
    """
    # The overlap with a crowd region is the share of the box that is in it
    others = replace(objects, crowd=np.ones(len(objects), bool))
    rows = np.arange(len(objects)), objects.image
    share = np.zeros(len(objects))
    for row, other, overlap in overlaps_within_groups(
        objects, others, rows, rows, iou_type="bbox"
    ):
        apart = row != other
        np.maximum.at(share, row[apart], overlap[apart])
    return share


@dataclass(frozen=True, repr=False)
class Images(ShortRepr):
    """What is known of the images of an evaluation.

    Attributes:
        samples: the samples
        rows: the samples and labels of the rows of the evaluation
    """

    samples: fo.SampleCollection
    rows: EvaluatedRows

    def __len__(self) -> int:
        return len(self.rows.sample_ids)

    def values(self, path: str) -> NDArray[np.object_]:
        """``(M,)`` values of a field of the samples, None where there is none."""
        values = field_values(self.samples, "id", path, self.rows.sample_ids)
        return values[self.rows.sample]

    def numbers(self, path: str) -> NDArray[np.float64]:
        """``(M,)`` the same as numbers, NaN where there is none."""
        return self.values(path).astype(np.float64)

    def has_numbers(self, path: str) -> bool:
        """Whether the samples have a field of numbers of this name."""
        import fiftyone as fo

        field = self.samples.get_field(path)
        return isinstance(field, (fo.FloatField, fo.IntField))

    @property
    def size(self) -> NDArray[np.float64]:
        """``(M, 2)`` widths and heights in pixels."""
        sides = [self.numbers(f"metadata.{side}") for side in ("width", "height")]
        return np.stack(sides, axis=1)


def failure_drivers(
    evaluation: Evaluation,
    images: Images,
    gt_field: str,
    *,
    iou: float,
    score: float | None,
    resize: str | ResizePolicy,
    anchors: str | Mapping[str, Any] | AnchorSet,
    photometry: bool,
    num_draws: int,
    executor: Executor | None,
    workers: int | None,
    progress: Progress,
) -> Drivers:
    """See :meth:`fiftyone_coco_audit.evaluation.tables.EvaluationTables.drivers`."""
    score = evaluation.settings.score_threshold if score is None else score
    check_score(score)
    check_count("num_draws", num_draws)
    check_workers(executor, workers)
    policy, anchor_set = ResizePolicy.parse(resize), AnchorSet.parse(anchors)
    found, counts, _ = outcomes_at(evaluation, iou)
    rows = evaluation.matches.predictions
    high = evaluation.predictions.scores[rows] >= score

    of_images, notes = _of_images(images, photometry, executor, workers, progress)
    known = Known(evaluation, images, of_images, policy, anchor_set)
    is_found = np.zeros(len(evaluation.truth), bool)
    is_found[found[high & (found != UNMATCHED)]] = True
    to_find = np.flatnonzero(~evaluation.ignored[0])
    shown = counts & high
    recall, precision = (
        explain(
            measure,
            event,
            image,
            drivers,
            num_images=evaluation.num_images,
            num_draws=num_draws,
        )
        for measure, event, image, drivers in (
            (
                "recall",
                is_found[to_find],
                evaluation.truth.image[to_find],
                known.of_objects(gt_field),
            ),
            (
                "precision",
                (found != UNMATCHED)[shown],
                evaluation.predictions.image[rows[shown]],
                known.of_predictions(rows[shown]),
            ),
        )
    )
    return Drivers(
        iou=float(iou),
        score=float(score),
        recall=recall,
        precision=precision,
        num_draws=num_draws,
        left_out=LeftOut.of(evaluation, counts, score),
        notes=notes,
    )


@dataclass(frozen=True, repr=False)
class Known(ShortRepr):
    """What is known of objects and predictions.

    Attributes:
        evaluation: an evaluation of columns
        images: its images
        of_images: the drivers that images have, ``(M,)`` each
        resize: how images are resized for the network
        anchors: the anchors of the detector
    """

    evaluation: Evaluation
    images: Images
    of_images: Mapping[str, NDArray[np.float64]]
    resize: ResizePolicy
    anchors: AnchorSet

    def of_objects(self, gt_field: str) -> list[Driver]:
        """The drivers of the objects to be found.

        Args:
            gt_field: the field of their labels
        """
        single = np.flatnonzero(~self.evaluation.truth.crowd)
        objects = self.evaluation.truth.rows(single)
        statistics = self._statistics(objects)
        drivers = [
            *self._of_boxes(statistics),
            Driver("covered_share", covered_share(objects)),
            Driver("anchor_iou", statistics.anchor_matches.best_iou),
        ]
        if _DAMAGE in self.of_images:
            path, rows = f"{gt_field}.detections", self.images.rows
            damage = field_values(
                self.images.samples, f"{path}.id", f"{path}.{_DAMAGE}", rows.truth_ids
            )[single]
            harmed = np.array([kind is not None for kind in damage.tolist()], float)
            # Labels without damage have no value, as have those not measured
            harmed[np.isnan(self.of_images[_DAMAGE])[objects.image]] = np.nan
            drivers = [driver for driver in drivers if driver.name != _DAMAGE]
            drivers.append(Driver(_DAMAGE, harmed, is_flag=True))
        to_find = ~self.evaluation.ignored[0][single]
        return [driver.of(to_find) for driver in drivers]

    def of_predictions(self, rows: NDArray[np.int64]) -> list[Driver]:
        """The drivers of some predictions.

        Args:
            rows: their rows
        """
        predictions = self.evaluation.predictions.rows(rows)
        return [
            *self._of_boxes(self._statistics(predictions)),
            Driver("score", predictions.scores, ranked=False),
        ]

    def _statistics(self, objects: Objects) -> Statistics:
        labeled = LabeledImages(
            size=self.images.size,
            objects=objects,
            classes=self.images.rows.classes,
            crowds=np.zeros(self.evaluation.num_images, np.int64),
            filepaths=(),
            tags=(),
        )
        return Statistics(labeled, self.resize, self.anchors)

    def _of_boxes(self, statistics: Statistics) -> list[Driver]:
        """The drivers that both objects and predictions have."""
        boxes, shapes = statistics.labeled.objects, statistics.shapes
        truth = self.evaluation.truth
        num_objects = np.bincount(
            truth.image[~truth.crowd], minlength=self.evaluation.num_images
        )
        frequency = objects_by_class(self.evaluation)
        truncated = np.where(np.isnan(shapes.outside), np.nan, shapes.truncated)
        return [
            Driver("input_size", statistics.network_input.input_size),
            Driver("box_aspect_ratio", shapes.box_aspect_ratio),
            Driver("truncated", truncated, is_flag=True),
            Driver("num_objects", num_objects[boxes.image].astype(np.float64)),
            Driver("class_frequency", frequency[boxes.category].astype(np.float64)),
            *(
                Driver(name, values[boxes.image])
                for name, values in self.of_images.items()
            ),
        ]


def _of_images(
    images: Images,
    photometry: bool,
    executor: Executor | None,
    workers: int | None,
    progress: Progress,
) -> tuple[dict[str, NDArray[np.float64]], tuple[str, ...]]:
    """The drivers that images have, by name, and notes on those that they have not."""
    known = {
        name: images.numbers(name)
        for name in (*_PHOTOMETRY, _DAMAGE)
        if images.has_numbers(name)
    }
    notes = []
    if photometry:
        paths = [path or "" for path in images.values("filepath").tolist()]
        measured = measure_files(
            paths, executor=executor, workers=workers, progress=progress
        )
        known.update(brightness=measured.brightness, sharpness=measured.sharpness)
        for position, reason in list(measured.failures.items())[:1]:
            notes.append(
                f"{counted(len(measured.failures), 'image')} could not be decoded and "
                f"have neither brightness nor sharpness, such as "
                f"{paths[position]!r}: {reason}."
            )
    if not known.keys() >= set(_PHOTOMETRY):
        notes.append(
            "Brightness and sharpness of the images were not measured: "
            "drivers(photometry=True) decodes the images and does."
        )
    if _DAMAGE not in known:
        notes.append(
            "Damage by augmentation was not measured: audit_augmentation() with "
            "write_fields=True does."
        )
    return known, tuple(notes)
