"""Pairs of predicted and ground-truth objects, and how much they overlap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.boxes import box_iou
from fiftyone_coco_audit.objects import RLE, Objects

# Bounds the memory of pairs, as one image can have hundreds of millions of them; so
# many stay in the processor's cache
_PAIRS_AT_ONCE = 100_000


def pairs_within_groups(
    left: NDArray[np.int64], right: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All pairs of a left and a right row that belong to the same group.

    Args:
        left: ``(N,)`` group of each left row
        right: ``(M,)`` group of each right row, non-decreasing

    Returns:
        two ``(P,)`` arrays, the left and the right row of each pair, ordered by
        left row, then by right row

    Examples::

        >>> pairs_within_groups(np.array([0, 7, 2]), np.array([0, 0, 2]))
        (array([0, 0, 2]), array([0, 1, 2]))
    """
    first = np.searchsorted(right, left, side="left")
    count = np.searchsorted(right, left, side="right") - first
    left_rows = np.repeat(np.arange(len(left)), count)
    ends = np.cumsum(count)
    within = np.arange(len(left_rows)) - np.repeat(ends - count, count)
    return left_rows, np.repeat(first, count) + within


def parts_of_pairs(
    left: NDArray[np.int64], right: NDArray[np.int64]
) -> Iterator[slice]:
    """Cuts left rows into parts whose pairs fit in memory.

    Args:
        left: as for :func:`pairs_within_groups`
        right: as for :func:`pairs_within_groups`

    Yields:
        the rows of each part
    """
    first, last = (
        np.searchsorted(right, left, side=side) for side in ("left", "right")
    )
    part = np.cumsum(last - first) // _PAIRS_AT_ONCE
    bounds = np.flatnonzero(np.diff(part)) + 1
    for start, stop in pairwise([0, *bounds.tolist(), len(left)]):
        yield slice(start, stop)


def overlaps_within_groups(
    predictions: Objects,
    truth: Objects,
    left: tuple[NDArray[np.int64], NDArray[np.int64]],
    right: tuple[NDArray[np.int64], NDArray[np.int64]],
    *,
    masks: bool,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """The overlaps of all predictions and true objects of the same group.

    Args:
        predictions: the predictions
        truth: the ground truth
        left: ``(N,)`` rows of predictions, and their groups, non-decreasing if masks
            are compared
        right: ``(M,)`` rows of true objects, and their groups, non-decreasing
        masks: whether to compare masks, not boxes

    Returns:
        three ``(P,)`` arrays: the position in ``left``, the row of the true object, and
        the overlap
    """
    rows, groups = left
    truth_rows, truth_groups = right
    position, place = pairs_within_groups(groups, truth_groups)
    pair, pair_truth = rows[position], truth_rows[place]
    if masks:
        overlap = _paired_mask_iou(
            predictions.encoded,
            [truth.encoded[row] for row in truth_rows.tolist()],
            truth.crowd[truth_rows],
            pair,
            place,
            groups[position],
        )
    else:
        overlap = box_iou(
            predictions.box[pair], truth.box[pair_truth], truth.crowd[pair_truth]
        )
    return position, pair_truth, overlap


def _paired_mask_iou(
    predicted: Sequence[RLE],
    truth: Sequence[RLE],
    crowd: NDArray[np.bool_],
    predicted_rows: NDArray[np.int64],
    truth_rows: NDArray[np.int64],
    groups: NDArray[np.int64],
) -> NDArray[np.float64]:
    """The overlap of the masks of each pair, by ``pycocotools.mask.iou``.

    pycocotools takes a block of predictions against a block of truths, so the
    pairs must be all those of their groups, as :func:`pairs_within_groups`
    gives them.

    Args:
        predicted: ``N`` run-length encodings
        truth: ``M`` run-length encodings
        crowd: ``(M,)`` whether each truth is a crowd region
        predicted_rows: ``(P,)`` predicted row of each pair
        truth_rows: ``(P,)`` true row of each pair
        groups: ``(P,)`` group of each pair, non-decreasing

    Returns:
        ``(P,)`` overlaps in ``[0, 1]``
    """
    from pycocotools import mask as mask_utils

    overlaps = np.zeros(len(groups))
    bounds = np.flatnonzero(np.r_[True, groups[1:] != groups[:-1], True])
    if not len(groups):
        return overlaps
    for start, stop in pairwise(bounds.tolist()):
        truth_block = np.arange(truth_rows[start], truth_rows[stop - 1] + 1)
        predicted_block = predicted_rows[start : stop : len(truth_block)]
        block = mask_utils.iou(
            [predicted[row] for row in predicted_block],
            [truth[row] for row in truth_block],
            crowd[truth_block],
        )
        overlaps[start:stop] = np.asarray(block).ravel()
    return overlaps
