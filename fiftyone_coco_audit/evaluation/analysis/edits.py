"""What AP would be with other labels, classes or predictions, matched anew.

Overlaps of what stays as it is are those of the evaluation. Those of new boxes are
computed from boxes, also where masks were evaluated. Predictions over the limit of an
image and class stay left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.evaluation.analysis.counterfactuals import Change
from fiftyone_coco_audit.evaluation.matching import (
    UNMATCHED,
    evaluated_predictions,
    match,
    rank_in_groups,
)
from fiftyone_coco_audit.evaluation.metrics import Evaluation
from fiftyone_coco_audit.evaluation.pairs import (
    BACKGROUND_IOU,
    Pairs,
    overlapping_pairs,
)
from fiftyone_coco_audit.evaluation.ranking import (
    Ranking,
    rank_predictions,
    ranking_order,
)
from fiftyone_coco_audit.objects import Objects
from fiftyone_coco_audit.wording import counted


@dataclass(frozen=True, repr=False)
class LabelEdits(ShortRepr):
    """Other labels for the ``M`` objects of an evaluation.

    Attributes:
        category: ``(M,)`` the class of each object, -1 if it is removed
        box: ``(M, 4)`` the box of each object, ``[x, y, width, height]``
        added: ``(A,)`` rows of predictions whose class and box become objects
    """

    category: NDArray[np.int64]
    box: NDArray[np.float64]
    added: NDArray[np.int64]

    @classmethod
    def none(cls, evaluation: Evaluation) -> LabelEdits:
        """The labels as they are, to be changed with :func:`dataclasses.replace`."""
        truth = evaluation.truth
        return cls(truth.category, truth.box, np.zeros(0, np.int64))

    def _about(self) -> str:
        removed = int((self.category == UNMATCHED).sum())
        return (
            f"{counted(len(self.added), 'object')} added, "
            f"{counted(removed, 'object')} removed"
        )


def relabeled(evaluation: Evaluation, edits: LabelEdits) -> Change:
    """The change of other labels.

    Args:
        evaluation: an evaluation of columns
        edits: the labels
    """
    old, predictions = evaluation.truth, evaluation.predictions
    moved = (edits.box != old.box).any(axis=1)
    changed = moved | (edits.category != old.category)
    affected = _classes(
        evaluation,
        old.category[changed],
        edits.category[changed & (edits.category != UNMATCHED)],
        predictions.category[edits.added],
    )
    kept = np.flatnonzero(edits.category != UNMATCHED)
    source = np.r_[kept, len(old) + np.arange(len(edits.added))]
    image = np.r_[old.image[kept], predictions.image[edits.added]]
    order = np.argsort(image, kind="stable")
    added = edits.added
    truth = Objects(
        image=image[order],
        category=np.r_[edits.category[kept], predictions.category[added]][order],
        box=np.vstack([edits.box[kept], predictions.box[added]])[order],
        area=np.r_[old.area[kept], predictions.area[added]][order],
        crowd=np.r_[old.crowd[kept], np.zeros(len(added), bool)][order],
    )
    is_new = np.r_[moved[kept], np.ones(len(added), bool)][order]
    place = np.full(len(old) + len(added), UNMATCHED, np.int32)
    place[source[order]] = np.arange(len(order))
    place[: len(old)][moved] = UNMATCHED
    same = evaluation.pairs.where(place[evaluation.pairs.truth] != UNMATCHED)
    fresh = _new_pairs(evaluation, truth, np.flatnonzero(is_new))
    pairs = _in_order(
        np.r_[same.detection, fresh.detection],
        np.r_[place[same.truth], fresh.truth],
        np.r_[same.overlap, fresh.overlap],
    )
    rows = evaluation.matches.predictions
    return _matched(
        evaluation,
        truth,
        predictions,
        pairs,
        (rows, evaluation.matches.rank),
        evaluation.in_range[0],
        affected,
    )


def without_images(evaluation: Evaluation, images: NDArray[np.bool_]) -> Change:
    """The change of leaving out images.

    Args:
        evaluation: an evaluation of columns
        images: ``(num_images,)`` which images
    """
    ranking = evaluation.ranking()
    truth = images[ranking.truth_image]
    affected = _classes(
        evaluation,
        ranking.category[images[ranking.image]],
        ranking.truth_category[truth],
    )
    return _change(ranking.where(~images[ranking.image], ~truth), affected)


def without_predictions(evaluation: Evaluation, removed: NDArray[np.bool_]) -> Change:
    """The change of removing predictions.

    Args:
        evaluation: an evaluation of columns
        removed: ``(D,)`` which of the evaluated predictions
    """
    matches, predictions = evaluation.matches, evaluation.predictions
    rows = matches.predictions[~removed]
    affected = _classes(evaluation, predictions.category[matches.predictions[removed]])
    cells = np.cumsum(matches.rank == 0)[~removed]
    number = np.where(removed, UNMATCHED, np.cumsum(~removed) - 1)
    return _matched(
        evaluation,
        evaluation.truth,
        predictions,
        _renumbered(evaluation.pairs, number),
        (rows, rank_in_groups(cells)),
        evaluation.in_range[0, ~removed],
        affected,
    )


def merged(evaluation: Evaluation, first: int, second: int) -> Change:
    """The change of making one class of two.

    Args:
        evaluation: an evaluation of columns
        first: the position of the class that stays
        second: the position of the class that becomes the first
    """

    def one(category: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.where(category == second, first, category)

    old = evaluation.matches.predictions
    truth = replace(evaluation.truth, category=one(evaluation.truth.category))
    some = evaluation.predictions.rows(np.sort(old))
    some = replace(some, category=one(some.category), masks=None)
    rows, rank = evaluated_predictions(
        some,
        num_categories=evaluation.num_categories,
        max_detections=evaluation.settings.max_detections[-1],
    )
    position = np.full(len(some), UNMATCHED)
    position[rows] = np.arange(len(rows))
    # From a position among the old evaluated predictions to one among the new
    sorted_place = np.searchsorted(np.sort(old), old)
    number = position[sorted_place]
    in_range = np.zeros(len(rows), bool)
    in_range[number[number != UNMATCHED]] = evaluation.in_range[0][number != UNMATCHED]
    return _matched(
        evaluation,
        truth,
        some,
        _renumbered(evaluation.pairs, number),
        (rows, rank),
        in_range,
        _classes(evaluation, np.array([first, second])),
    )


def _classes(
    evaluation: Evaluation, *categories: NDArray[np.int64]
) -> NDArray[np.bool_]:
    found = np.zeros(evaluation.num_categories, bool)
    found[np.concatenate(categories)] = True
    return found


def _change(ranking: Ranking, affected: NDArray[np.bool_]) -> Change:
    return Change([ranking.of_classes(affected).without_ignored()], affected)


def _new_pairs(
    evaluation: Evaluation, truth: Objects, rows: NDArray[np.int64]
) -> Pairs:
    """The pairs of predictions with some objects, by their boxes."""
    found = overlapping_pairs(
        truth.rows(rows),
        evaluation.predictions,
        evaluation.matches.predictions,
        at_least=min(BACKGROUND_IOU, evaluation.settings.iou_thresholds[0]),
        iou_type="bbox",
    )
    return Pairs(found.detection, rows[found.truth].astype(np.int32), found.overlap)


def _renumbered(pairs: Pairs, number: NDArray[np.int64]) -> Pairs:
    """Pairs of predictions with other numbers, without those whose number is -1."""
    kept = pairs.where(number[pairs.detection] != UNMATCHED)
    return _in_order(number[kept.detection], kept.truth, kept.overlap)


def _in_order(
    detection: NDArray[np.integer],
    truth: NDArray[np.integer],
    overlap: NDArray[np.float64],
) -> Pairs:
    order = np.lexsort((truth, detection))
    return Pairs(
        detection[order].astype(np.int32),
        truth[order].astype(np.int32),
        overlap[order],
    )


def _matched(
    evaluation: Evaluation,
    truth: Objects,
    predictions: Objects,
    pairs: Pairs,
    evaluated: tuple[NDArray[np.int64], NDArray[np.int64]],
    in_range: NDArray[np.bool_],
    affected: NDArray[np.bool_],
) -> Change:
    """The change of other objects and predictions, over all areas.

    Args:
        evaluation: the evaluation as it is
        truth: the objects
        predictions: the predictions
        pairs: those that overlap, by position among the evaluated predictions
        evaluated: what :func:`.matching.evaluated_predictions` returns
        in_range: ``(D,)`` whether the area of each evaluated prediction is in the range
        affected: ``(K,)`` the classes that can have another AP
    """
    settings = evaluation.settings
    category = predictions.category[evaluated[0]]
    ignored = truth.crowd | ~settings.in_area_ranges(truth.area)[:1]
    matches = match(
        truth,
        predictions,
        pairs.where(affected[category[pairs.detection]]),
        evaluated,
        iou_thresholds=np.array(settings.iou_thresholds),
        ignored=ignored,
    )
    ranking = rank_predictions(
        truth,
        predictions,
        matches,
        ranking_order(predictions, matches),
        0,
        ignored[0],
        in_range,
        num_categories=evaluation.num_categories,
    )
    return _change(ranking, affected)
