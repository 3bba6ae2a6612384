"""Pairs of rows that belong together, such as to the same image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

# Bounds the memory of pairs, as one image can have hundreds of millions of them; so
# many stay in the processor's cache
_PAIRS_AT_ONCE = 100_000
# In a group of so many pairs, sorting the boxes takes less time than comparing all
_MANY_PAIRS = 20_000


@dataclass(frozen=True)
class _Ranges:
    """The right rows of some left rows, which are side by side in an order.

    Attributes:
        order: ``(M,)`` right rows
        rows: ``(N,)`` left rows, increasing
        first: ``(N,)`` place in the order of the first of each left row
        count: ``(N,)`` how many each left row has
    """

    order: NDArray[np.int64]
    rows: NDArray[np.int64]
    first: NDArray[np.int64]
    count: NDArray[np.int64]

    def pairs(self, part: slice) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The left and the right row of each pair of the left rows in a part."""
        some = slice(*np.searchsorted(self.rows, [part.start, part.stop]))
        count = self.count[some]
        place = np.repeat(self.first[some] - (np.cumsum(count) - count), count)
        place += np.arange(len(place))
        return np.repeat(self.rows[some], count), self.order[place]


def pairs_in_parts(
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    boxes: NDArray[np.float64] | None = None,
    others: NDArray[np.float64] | None = None,
) -> Iterator[tuple[slice, NDArray[np.int64], NDArray[np.int64]]]:
    """The pairs of a left and a right row that belong to the same group.

    They come in parts that fit in memory, each with all pairs of some left rows. If
    boxes are given, pairs of boxes that are apart are left out of large groups.

    Args:
        left: ``(N,)`` group of each left row
        right: ``(M,)`` group of each right row, non-decreasing
        boxes: ``(N, 4)`` box of each left row, ``[x, y, width, height]``
        others: ``(M, 4)`` box of each right row

    Yields:
        the left rows of a part, and two ``(P,)`` arrays, the left and the right row of
        each of its pairs, ordered by left row, then by right row

    Examples::

        >>> list(pairs_in_parts(np.array([0, 7, 2]), np.array([0, 0, 2])))
        [(slice(0, 3, None), array([0, 0, 2]), array([0, 1, 2]))]
    """
    first = np.searchsorted(right, left, side="left")
    count = np.searchsorted(right, left, side="right") - first
    of_group = np.bincount(first, count, minlength=len(right) + 1)
    is_large = (of_group[first] > _MANY_PAIRS) & (count > 0)
    if boxes is None or others is None or not is_large.any():
        ranges = _Ranges(np.arange(len(right)), np.arange(len(left)), first, count)
        for part in _parts(count):
            yield part, *ranges.pairs(part)
        return
    small, large = np.flatnonzero(~is_large), np.flatnonzero(is_large)
    whole = _Ranges(np.arange(len(right)), small, first[small], count[small])
    in_large = np.flatnonzero(of_group[np.searchsorted(right, right)] > _MANY_PAIRS)
    cut = _ranges_of_boxes(left, right, boxes, others, large, in_large)
    count[large] = sum(ranges.count for ranges in cut)
    for part in _parts(count):
        found = [whole.pairs(part)]
        for ranges in cut:
            rows, places = ranges.pairs(part)
            near = _touch(boxes[rows], others[places])
            found.append((rows[near], places[near]))
        rows, places = map(np.concatenate, zip(*found, strict=True))
        order = np.lexsort((places, rows))
        yield part, rows[order], places[order]


def _parts(count: NDArray[np.int64]) -> Iterator[slice]:
    """Cuts rows that have so many pairs each into parts that fit in memory."""
    part = np.cumsum(count) // _PAIRS_AT_ONCE
    bounds = np.flatnonzero(np.diff(part)) + 1
    for start, stop in pairwise([0, *bounds.tolist(), len(count)]):
        yield slice(start, stop)


def _touch(
    boxes: NDArray[np.float64], others: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether boxes share an area, pair by pair, as :func:`.boxes.box_iou` has it."""
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    other_low, other_high = others[:, :2], others[:, :2] + others[:, 2:]
    touch: NDArray[np.bool_] = np.all((low < other_high) & (other_low < high), axis=1)
    return touch


def _ranges_of_boxes(
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    boxes: NDArray[np.float64],
    others: NDArray[np.float64],
    rows: NDArray[np.int64],
    other_rows: NDArray[np.int64],
) -> list[_Ranges]:
    """Right rows whose boxes may share a stretch of x with some left rows, or of y.

    Args:
        left: as for :func:`pairs_in_parts`
        right: as for :func:`pairs_in_parts`
        boxes: as for :func:`pairs_in_parts`
        others: as for :func:`pairs_in_parts`
        rows: the left rows
        other_rows: the right rows

    Returns:
        ranges for the axis in which there are fewer pairs
    """
    by_axis = []
    for axis in (0, 1):
        low = boxes[rows, axis]
        high = low + boxes[rows, 2 + axis]
        start, side = others[other_rows, axis], others[other_rows, 2 + axis]
        order = np.lexsort((start, right[other_rows]))
        order = order[side[order] > 0]
        octave = np.frexp(side[order])[1]
        ranges = []
        # Of boxes of about one width, those that reach a point start close to it
        for one in np.unique(octave):
            some = order[octave == one]
            starts, groups = start[some], right[other_rows[some]]
            # These rise with the starts, and are never before the ends as rounded
            ends = starts + side[some].max()
            first = _place(groups, ends, left[rows], low, "right")
            last = _place(groups, starts, left[rows], high, "left")
            count = np.maximum(last - first, 0)
            ranges.append(_Ranges(other_rows[some], rows, first, count))
        by_axis.append(ranges)
    return min(by_axis, key=lambda ranges: sum(some.count.sum() for some in ranges))


def _place(
    groups: NDArray[np.int64],
    values: NDArray[np.float64],
    of: NDArray[np.int64],
    wanted: NDArray[np.float64],
    side: Literal["left", "right"],
) -> NDArray[np.int64]:
    """``np.searchsorted`` for values that are sorted within groups.

    Args:
        groups: ``(M,)`` groups, non-decreasing
        values: ``(M,)`` values, non-decreasing within a group
        of: ``(N,)`` group of each wanted value
        wanted: ``(N,)`` wanted values
        side: as for ``np.searchsorted``

    Returns:
        ``(N,)`` places in the ``M``
    """
    # Whole numbers in the same order, so that group and value become one key
    ranks = np.sort(values)
    known = np.searchsorted(ranks, values)
    sought = np.searchsorted(ranks, wanted, side=side)
    size = len(values) + 1
    return np.searchsorted(groups * size + known, of * size + sought)
