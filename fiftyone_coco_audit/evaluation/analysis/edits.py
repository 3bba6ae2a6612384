"""What AP would be with other labels, classes or predictions, matched anew.

Predictions over the limit of an image and class stay left out where others are removed,
because their overlaps are not kept.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.evaluation.analysis.counterfactuals import Change
from fiftyone_coco_audit.evaluation.matching import (
    UNMATCHED,
    evaluated_predictions,
    match,
    rank_in_groups,
)
from fiftyone_coco_audit.evaluation.metrics import Evaluation, evaluate_objects
from fiftyone_coco_audit.evaluation.pairs import Pairs
from fiftyone_coco_audit.evaluation.ranking import (
    Ranking,
    rank_predictions,
    ranking_order,
)
from fiftyone_coco_audit.objects import Objects


def relabeled(
    evaluation: Evaluation, after: Evaluation, categories: NDArray[np.int64]
) -> Change:
    """The change of other labels.

    Args:
        evaluation: an evaluation of columns
        after: the same predictions evaluated against other labels
        categories: the classes whose labels differ
    """
    return _change(after.ranking(), _classes(evaluation, categories))


def with_boxes(
    evaluation: Evaluation, objects: NDArray[np.int64], boxes: NDArray[np.float64]
) -> Change:
    """The change of other boxes of labels, where boxes are evaluated.

    Args:
        evaluation: an evaluation of columns
        objects: ``(B,)`` rows of objects
        boxes: ``(B, 4)`` their boxes, ``[x, y, width, height]``
    """
    truth = evaluation.truth
    box = truth.box.copy()
    box[objects] = boxes
    after = evaluate_objects(
        replace(truth, box=box),
        evaluation.predictions,
        num_images=evaluation.num_images,
        num_categories=evaluation.num_categories,
        settings=evaluation.settings,
    )
    return relabeled(evaluation, after, truth.category[objects])


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


def _renumbered(pairs: Pairs, number: NDArray[np.int64]) -> Pairs:
    """Pairs of predictions with other numbers, without those whose number is -1."""
    kept = pairs.where(number[pairs.detection] != UNMATCHED)
    detection = number[kept.detection]
    order = np.lexsort((kept.truth, detection))
    return Pairs(
        detection[order].astype(np.int32), kept.truth[order], kept.overlap[order]
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
