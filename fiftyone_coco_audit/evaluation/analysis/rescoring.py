"""An evaluation repeated under another convention of how AP is computed.

What overlaps is known, so predictions are matched again only where a convention changes
what is matched, and a ranking is enough where it does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.areas import in_area_ranges
from fiftyone_coco_audit.boxes import box_iou
from fiftyone_coco_audit.evaluation.average_precision import RECALL_LEVELS
from fiftyone_coco_audit.evaluation.matching import (
    UNMATCHED,
    evaluated_predictions,
    match,
    rank_in_groups,
)
from fiftyone_coco_audit.evaluation.metrics import (
    Evaluation,
    accumulate,
    without_matches,
)
from fiftyone_coco_audit.evaluation.pairs import (
    BACKGROUND_IOU,
    Pairs,
    overlapping_pairs,
)
from fiftyone_coco_audit.evaluation.ranking import Ranking
from fiftyone_coco_audit.evaluation.settings import IOU_THRESHOLDS, Settings

# What predictions are matched by
_OF_MATCHING = ("area_range", "min_score", "limit", "crowds", "iou_thresholds")
# The area below a curve at the recall levels, by trapezoids
_TRAPEZOIDS = np.r_[0.5, np.ones(len(RECALL_LEVELS) - 2), 0.5] / 100


class Limit(NamedTuple):
    """How many predictions of an image count, those with the highest scores.

    Attributes:
        most: how many
        of_class: whether of each class, not of all together. If of all together, they
            are at least the number of objects of any image, as in Ultralytics
    """

    most: int
    of_class: bool = True


@dataclass(frozen=True)
class Convention:
    """How AP is computed, by default as COCO defines it.

    Attributes:
        area_range: bounds of the areas that count, in square pixels
        min_score: the score that predictions must exceed, if any
        limit: how many predictions count
        crowds: whether crowd regions are ignored with what is matched to them, removed
            before the evaluation, or objects like others
        matches_id_0: whether an object with annotation id 0 can be found
        iou_thresholds: the IoU thresholds
        ties: whether equal scores are ranked by image, or true positives first
        interpolation: how a curve is averaged: COCO's 101 steps, the same at recall
            levels of single precision, or linear between the points of the curve
    """

    area_range: tuple[float, float] = Settings().area_ranges[0][1]
    min_score: float | None = None
    limit: Limit = Limit(100)
    crowds: Literal["ignored", "removed", "objects"] = "ignored"
    matches_id_0: bool = True
    iou_thresholds: tuple[float, ...] = IOU_THRESHOLDS
    ties: Literal["images", "true first"] = "images"
    interpolation: Literal["steps", "single", "linear"] = "steps"


class Rescoring:
    """An evaluation to be repeated under conventions.

    Predictions are matched again only where a convention changes what is matched; what
    overlaps is known, except beyond the limit of the evaluation.
    """

    def __init__(self, evaluation: Evaluation, id_0: NDArray[np.bool_] | None) -> None:
        settings, truth = evaluation.settings, evaluation.truth
        self.evaluation = evaluation
        self.id_0 = id_0
        self.masks = settings.iou_type == "segm"
        self.own = Convention(
            area_range=settings.area_ranges[0][1],
            limit=Limit(settings.max_detections[-1]),
            iou_thresholds=settings.iou_thresholds,
        )
        self.most_objects = np.bincount(truth.image, ~truth.crowd, minlength=1).max()
        self.pairs = _pairs_of_rows(evaluation)
        self.matched = {self._of_matching(self.own): evaluation}

    def notes(self) -> Iterator[str]:
        """What masks that are not kept make impossible."""
        evaluation = self.evaluation
        if self.masks and len(self._beyond()):
            yield (
                "Predictions beyond the limit of the evaluation have no overlaps, so "
                "they match nothing here: evaluate with a higher `max_detections`."
            )
        if self.masks and evaluation.truth.crowd.any():
            yield (
                "Crowd regions are ignored as in COCO in every row but Ultralytics', "
                "because only the share of a mask in a crowd region is kept."
            )
        if self.id_0 is None:
            yield (
                "Objects share annotation ids. pycocotools mixes them up, which its AP "
                "here leaves out."
            )

    def _beyond(self) -> NDArray[np.int64]:
        """The predictions that the evaluation left out."""
        evaluation = self.evaluation
        rows = np.arange(len(evaluation.predictions))
        return np.setdiff1d(rows, evaluation.matches.predictions)

    def differ(self, one: Convention, other: Convention, name: str) -> bool:
        """Whether conventions that differ in one field differ on these data."""
        truth, predictions = self.evaluation.truth, self.evaluation.predictions
        if one == other:
            return False
        if name == "area_range":
            inside = [
                in_area_ranges(
                    np.concatenate([truth.area, predictions.area]), [way.area_range]
                )
                for way in (one, other)
            ]
            return bool((inside[0] != inside[1]).any())
        if name in ("min_score", "limit"):
            return not np.array_equal(self._kept(one), self._kept(other))
        if name == "crowds":
            possible = not self.masks or other.crowds != "objects"
            return bool(truth.crowd.any()) and possible
        if name == "matches_id_0":
            return self.id_0 is not None and bool(self.id_0.any())
        if name == "iou_thresholds":
            overlap = self._pairs(one).overlap
            reached = [
                np.searchsorted(way.iou_thresholds, overlap, side="right")
                for way in (one, other)
            ]
            same = len(one.iou_thresholds) == len(other.iou_thresholds)
            return not same or bool((reached[0] != reached[1]).any())
        return True

    def average_precision(self, convention: Convention) -> float:
        """The mean AP under a convention."""
        key = self._of_matching(convention)
        if key not in self.matched:
            self.matched[key] = self._match(convention)
        evaluation = self.matched[key]
        if not convention.matches_id_0 and self.id_0 is not None:
            evaluation = without_matches(evaluation, self.id_0)
        ranking = evaluation.ranking()
        if convention.ties == "true first":
            ap = np.concatenate(
                [
                    _average_precision(one, convention.interpolation)
                    for one in _true_first(ranking)
                ]
            )
        else:
            ap = _average_precision(ranking, convention.interpolation)
        return float(np.nanmean(ap.mean(axis=0)))

    def _of_matching(self, convention: Convention) -> tuple[object, ...]:
        return tuple(getattr(convention, name) for name in _OF_MATCHING)

    def _kept(self, convention: Convention) -> NDArray[np.bool_]:
        """Which predictions count under a convention."""
        predictions = self.evaluation.predictions
        kept = np.ones(len(predictions), bool)
        if convention.min_score is not None:
            kept = predictions.scores > convention.min_score
        rows = np.flatnonzero(kept)
        image = predictions.image[rows]
        most, of_class = convention.limit
        groups = image
        if of_class:
            groups = image * self.evaluation.num_categories + predictions.category[rows]
        else:
            most = max(most, int(self.most_objects))
        order = np.lexsort((-predictions.scores[rows], groups))
        kept[rows[order]] = rank_in_groups(groups[order]) < most
        return kept

    def _pairs(self, convention: Convention) -> Pairs:
        """The pairs under a convention, by rows of predictions."""
        evaluation, pairs = self.evaluation, self.pairs
        crowd = evaluation.truth.crowd[pairs.truth]
        if convention.crowds == "removed":
            return pairs.where(~crowd)
        if convention.crowds == "objects":
            of_crowds = box_iou(
                evaluation.predictions.box[pairs.detection[crowd]],
                evaluation.truth.box[pairs.truth[crowd]],
            )
            overlap = pairs.overlap.copy()
            overlap[crowd] = of_crowds
            return replace(pairs, overlap=overlap)
        return pairs

    def _match(self, convention: Convention) -> Evaluation:
        """The evaluation of predictions that are matched anew under a convention."""
        evaluation = self.evaluation
        truth, predictions = evaluation.truth, evaluation.predictions
        if convention.crowds == "objects":
            truth = replace(truth, crowd=np.zeros_like(truth.crowd))
        rows = np.flatnonzero(self._kept(convention))
        order, rank = evaluated_predictions(
            replace(predictions, masks=None).rows(rows),
            num_categories=evaluation.num_categories,
            max_detections=max(len(rows), 1),
        )
        settings = replace(
            evaluation.settings,
            iou_thresholds=convention.iou_thresholds,
            area_ranges=(("all", convention.area_range),),
        )
        ignored = truth.crowd | ~settings.in_area_ranges(truth.area)
        matches = match(
            truth,
            predictions,
            _pairs_of(self._pairs(convention), rows[order], len(predictions)),
            (rows[order], rank),
            iou_thresholds=np.array(convention.iou_thresholds),
            ignored=ignored,
        )
        return accumulate(
            truth,
            predictions,
            evaluation.pairs,
            matches,
            ignored,
            num_images=evaluation.num_images,
            num_categories=evaluation.num_categories,
            settings=settings,
        )


def _pairs_of_rows(evaluation: Evaluation) -> Pairs:
    """The overlapping pairs by rows of predictions, of boxes also beyond the limit."""
    pairs, evaluated = evaluation.pairs, evaluation.matches.predictions
    found = [(evaluated[pairs.detection], pairs)]
    beyond = np.setdiff1d(np.arange(len(evaluation.predictions)), evaluated)
    if len(beyond) and evaluation.settings.iou_type == "bbox":
        more = overlapping_pairs(
            evaluation.truth,
            evaluation.predictions,
            beyond,
            at_least=BACKGROUND_IOU,
            iou_type="bbox",
        )
        found.append((beyond[more.detection], more))
    return Pairs(
        detection=np.concatenate([rows for rows, _ in found]).astype(np.int32),
        truth=np.concatenate([some.truth for _, some in found]),
        overlap=np.concatenate([some.overlap for _, some in found]),
    )


def _pairs_of(pairs: Pairs, rows: NDArray[np.int64], total: int) -> Pairs:
    """The pairs of some predictions, by their positions among these, in order."""
    place = np.full(total, UNMATCHED)
    place[rows] = np.arange(len(rows))
    detection = place[pairs.detection]
    order = np.lexsort((pairs.truth, detection))
    order = order[detection[order] != UNMATCHED]
    return replace(pairs.where(order), detection=detection[order].astype(np.int32))


def _true_first(ranking: Ranking) -> Iterator[Ranking]:
    """The ranking at each threshold, with true positives first of equal scores."""
    for true_positive, counted_ in zip(
        ranking.true_positive, ranking.counted, strict=True
    ):
        order = np.lexsort((~true_positive, -ranking.score, ranking.category))
        yield replace(
            ranking,
            category=ranking.category[order],
            image=ranking.image[order],
            score=ranking.score[order],
            true_positive=true_positive[None, order],
            counted=counted_[None, order],
        )


def _average_precision(ranking: Ranking, interpolation: str) -> NDArray[np.float64]:
    """``(T, K)`` AP of a ranking, NaN for classes without objects."""
    curves = ranking.curves()
    if interpolation == "steps":
        return curves.average_precision()
    rank = rank_in_groups(curves.curve)
    recall = (rank + 1) / curves.num_positives[curves.curve % curves.shape[1]]
    if interpolation == "single":
        reached = np.searchsorted(_single_levels(), recall, side="right")
        levels = np.where(rank == 0, reached, np.diff(reached, prepend=0))
        return replace(curves, levels=levels).average_precision()
    # How many predictions of its class count up to each true positive
    start = np.searchsorted(ranking.category, ranking.category[curves.detection])
    total = np.cumsum(np.pad(ranking.counted, ((0, 0), (1, 0))), axis=1, dtype=np.int64)
    row = curves.curve // curves.shape[1]
    place = total[row, curves.detection + 1] - total[row, start]
    ap = np.where(curves.num_positives > 0, np.zeros(curves.shape), np.nan)
    bounds = np.flatnonzero(np.r_[True, np.diff(curves.curve) != 0, True])
    for first, last in pairwise(bounds[: len(curves.curve) + 1].tolist()):
        some = slice(first, last)
        ap.flat[curves.curve[first]] = _area_below(
            recall[some], curves.precision[some], np.diff(place[some], prepend=0) > 1
        )
    return ap


def _area_below(
    recall: NDArray[np.float64],
    precision: NDArray[np.float64],
    after_false: NDArray[np.bool_],
) -> float:
    """Ultralytics' AP of a curve: linear interpolation at 101 levels, trapezoids.

    Its curve has a point for each prediction, with the highest precision from there on.
    False positives between two true positives have the recall of the first, and the
    last of them the highest precision of the second, so that a step is in place of the
    line between the two.

    Args:
        recall: ``(P,)`` recall at each true positive
        precision: ``(P,)`` highest precision from there on
        after_false: ``(P,)`` whether a false positive comes right before it
    """
    before = np.r_[0.0, recall[:-1]]
    # A point at the recall before, with the precision of this one
    x = np.column_stack([before, recall]).ravel()
    y = np.repeat(precision, 2)
    keep = np.column_stack([after_false, np.ones(len(recall), bool)]).ravel()
    x = np.r_[0.0, x[keep], recall[-1], 1.0]
    y = np.r_[1.0, y[keep], 0.0, 0.0]
    return float(np.interp(RECALL_LEVELS, x, y) @ _TRAPEZOIDS)


def _single_levels() -> NDArray[np.float64]:
    """The recall levels of ``torch.linspace(0, 1, 101)``, in single precision."""
    place = np.arange(101)
    step = float(np.float32(0.01))
    levels = np.where(place < 50, step * place, 1 - step * (100 - place))
    return levels.astype(np.float32).astype(float)
