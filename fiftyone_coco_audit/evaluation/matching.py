"""COCO's greedy matching of predictions to ground truth, for all images at once.

COCO matches each image and class on its own: predictions by descending score,
each to the free object that it overlaps most, for every IoU threshold and every
range of object areas. Done literally that is a loop over millions of pairs.
Here, most pairs are settled at once, because they compete with nothing: an
object whose candidates have no other candidate goes to the first of them. The
rest, objects that share candidates, is matched in rounds: the first prediction
of every image and class, then the second, and so on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.evaluation.pairs import Pairs
from fiftyone_coco_audit.objects import Objects

#: The position of "no object" in a table of matches
UNMATCHED = -1

# The working set of this many images fits into the processor's cache
_IMAGES_AT_ONCE = 5_000


@dataclass(frozen=True, repr=False)
class Matches(ShortRepr):
    """Which ground-truth object each prediction was matched to.

    ``A`` is the number of area ranges, ``T`` the number of IoU thresholds,
    ``D`` the number of evaluated predictions, ``C`` those of them that overlap
    an object of their class enough to be a candidate at the lowest threshold.

    Attributes:
        predictions: ``(D,)`` rows of the evaluated predictions, by image, class
            and descending score; at most ``max_detections`` an image and class
        rank: ``(D,)`` place of each by score in its image and class, from 0
        candidates: ``(C,)`` positions in ``predictions``
        truth: ``(A, T, C)`` row of the ground-truth object that each candidate
            was matched to, or -1
        overlap: ``(T, C)`` IoU of the match in the first area range, 0 where
            there is none
    """

    predictions: NDArray[np.int64]
    rank: NDArray[np.int64]
    candidates: NDArray[np.int64]
    truth: NDArray[np.int32]
    overlap: NDArray[np.float64]


def evaluated_predictions(
    predictions: Objects, *, num_categories: int, max_detections: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The predictions with the highest scores of each image and class.

    Args:
        predictions: the predicted objects, with scores
        num_categories: the number of classes
        max_detections: predictions per image and class that count

    Returns:
        ``(D,)`` rows of predictions by image, class and descending score, ties in
        their given order, and ``(D,)`` the rank of each in its image and class, from 0
    """
    cells = predictions.image * num_categories + predictions.category
    order = np.lexsort((-predictions.scores, cells))
    rank = rank_in_groups(cells[order])
    kept = rank < max_detections
    return order[kept], rank[kept]


def match(
    truth: Objects,
    predictions: Objects,
    pairs: Pairs,
    evaluated: tuple[NDArray[np.int64], NDArray[np.int64]],
    *,
    iou_thresholds: NDArray[np.float64],
    ignored: NDArray[np.bool_],
) -> Matches:
    """Matches predictions to ground truth as ``COCOeval.evaluateImg`` does.

    Per image and class, predictions are taken by descending score (ties in
    their given order), each matched to the free object with the highest IoU of
    at least the threshold, the later one where two are equal. Objects that
    count are preferred to ignored ones; crowd regions take any number.

    Args:
        truth: the ground-truth objects
        predictions: the predicted objects, with scores
        pairs: all pairs that overlap by the lowest threshold or more
        evaluated: what :func:`evaluated_predictions` returns
        iou_thresholds: ``(T,)`` IoU thresholds
        ignored: ``(A, M)`` whether each ground-truth object is ignored in each
            area range

    Returns:
        a :class:`Matches`
    """
    rows, rank = evaluated
    thresholds = np.minimum(iou_thresholds, 1 - 1e-10)
    category = predictions.category[rows]
    pairs = pairs.where(
        (category[pairs.detection] == truth.category[pairs.truth])
        & (pairs.overlap >= thresholds.min())
    )
    image = predictions.image[rows]
    # Different for each image and class
    cells = np.cumsum(rank == 0)
    num_images = 1 + (image[-1] if len(image) else -1)
    parts = []
    for start in range(0, max(num_images, 1), _IMAGES_AT_ONCE):
        bounds = np.searchsorted(image, [start, start + _IMAGES_AT_ONCE])
        some = pairs.where(slice(*np.searchsorted(pairs.detection, bounds)))
        parts.append(_match_some(some, truth, cells, thresholds, ignored))
    candidates, matched, overlap = zip(*parts, strict=True)
    return Matches(
        predictions=rows,
        rank=rank,
        candidates=np.concatenate(candidates),
        truth=np.concatenate(matched, axis=2),
        overlap=np.concatenate(overlap, axis=1),
    )


def rank_in_groups(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of each row among the consecutive rows of its group, from 0.

    Args:
        groups: ``(N,)`` groups, equal ones side by side

    Examples::

        >>> rank_in_groups(np.array([4, 4, 4, 9, 9]))
        array([0, 1, 2, 0, 1])
    """
    rows = np.arange(len(groups))
    starts = np.r_[True, groups[1:] != groups[:-1]][: len(groups)]
    return rows - np.maximum.accumulate(np.where(starts, rows, 0))


def _match_some(
    pairs: Pairs,
    truth: Objects,
    cells: NDArray[np.int64],
    thresholds: NDArray[np.float64],
    ignored: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]:
    """The candidates among the pairs, and the objects and overlaps of their matches."""
    candidates, candidate = np.unique(pairs.detection, return_inverse=True)
    objects, pair_truth = np.unique(pairs.truth, return_inverse=True)
    crowd, ignored = truth.crowd[objects], ignored[:, objects]

    shape = (len(ignored), len(thresholds), len(candidates))
    matched = np.full(shape, UNMATCHED, dtype=np.int32)
    matched_overlap = np.zeros(shape[1:])

    # An object is contested if one of its candidates has another object too
    alone = np.bincount(candidate, minlength=len(candidates)) == 1
    contested = np.zeros(len(objects), dtype=bool)
    contested[pair_truth[~alone[candidate]]] = True
    apart = ~contested[pair_truth]

    # From here on, positions among the candidates and among these objects
    some = Pairs(candidate.astype(np.int32), pair_truth.astype(np.int32), pairs.overlap)
    common = crowd, thresholds, matched, matched_overlap
    _match_uncontested(some.where(apart), *common)
    _match_contested(some.where(~apart), cells[candidates], ignored, *common)
    rows = np.r_[objects, UNMATCHED].astype(np.int32)
    return candidates.astype(np.int64), rows[matched], matched_overlap


def _match_uncontested(
    pairs: Pairs,
    crowd: NDArray[np.bool_],
    thresholds: NDArray[np.float64],
    matched: NDArray[np.int32],
    matched_overlap: NDArray[np.float64],
) -> None:
    """Gives each object to its first close enough candidate, a crowd to all.

    Each candidate has one object only, so area ranges change nothing.
    """
    order = np.argsort(pairs.truth, kind="stable")
    candidate, truth = pairs.detection[order], pairs.truth[order]
    overlap = pairs.overlap[order]
    for t, threshold in enumerate(thresholds):
        close = np.flatnonzero(overlap >= threshold)
        objects = truth[close]
        first = np.r_[True, objects[1:] != objects[:-1]][: len(objects)]
        won = close[first | crowd[objects]]
        matched[:, t, candidate[won]] = truth[won]
        matched_overlap[t, candidate[won]] = overlap[won]


def _match_contested(
    pairs: Pairs,
    cells: NDArray[np.int64],
    ignored: NDArray[np.bool_],
    crowd: NDArray[np.bool_],
    thresholds: NDArray[np.float64],
    matched: NDArray[np.int32],
    matched_overlap: NDArray[np.float64],
) -> None:
    """Matches in rounds, the n-th contested candidate of every cell at a time.

    The order in which a candidate would take its objects does not depend on
    the threshold: counted before ignored, then by overlap, then the later one.
    """
    truth, overlap = pairs.truth, pairs.overlap
    contested, pair_candidate = np.unique(pairs.detection, return_inverse=True)
    if not len(contested):
        return
    rounds = rank_in_groups(cells[contested])
    for a in range(len(ignored)):
        order = np.lexsort((-truth, -overlap, ignored[a][truth], pair_candidate))
        preference = rank_in_groups(pair_candidate[order])
        pair_round = rounds[pair_candidate[order]]
        # By round, then by preference: each step below is a run of pairs in which
        # no candidate and no object of an image and class appears twice
        steps = np.lexsort((preference, pair_round))
        order = order[steps]
        step = pair_round[steps] * (preference.max() + 1) + preference[steps]
        starts = np.flatnonzero(np.r_[True, step[1:] != step[:-1]])

        taken = np.zeros((len(crowd), len(thresholds)), dtype=bool)
        result = np.full((len(contested), len(thresholds)), UNMATCHED, dtype=np.int32)
        result_overlap = np.zeros((len(contested), len(thresholds)))
        for rows in np.split(order, starts[1:]):
            who, what, iou = pair_candidate[rows], truth[rows], overlap[rows]
            wins = (
                (iou[:, None] >= thresholds)
                & (result[who] == UNMATCHED)
                & (~taken[what] | crowd[what][:, None])
            )
            taken[what] |= wins
            result[who] = np.where(wins, what[:, None], result[who])
            result_overlap[who] = np.where(wins, iou[:, None], result_overlap[who])
        matched[a][:, contested] = result.T
        if a == 0:
            matched_overlap[:, contested] = result_overlap.T
