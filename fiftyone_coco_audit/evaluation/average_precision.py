"""Average precision of ranked detections, for many groups at once.

A group is whatever is ranked together: a class over all images, a class in one
image, or all of one image. Recall moves only at true positives, so the
precision-recall curve of a group is known from its true positives alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.evaluation.matching import rank_in_groups

#: COCO's 101 recall values, exactly as ``pycocotools.cocoeval.Params`` has them
RECALL_LEVELS = np.linspace(0.0, 1.0, 101)
RECALL_LEVELS.flags.writeable = False


@dataclass(frozen=True, repr=False)
class Curves(ShortRepr):
    """The precision-recall curves of ``T`` thresholds and ``G`` groups.

    One row for each true positive, by threshold, group and rank.

    Attributes:
        shape: ``(T, G)``
        curve: ``(P,)`` the curve, ``threshold * G + group``
        detection: ``(P,)`` position of the true positive in the ranking
        precision: ``(P,)`` highest precision at this recall or above
        levels: ``(P,)`` how many recall levels this true positive is the first
            to reach
        num_positives: ``(G,)`` objects to be found
    """

    shape: tuple[int, int]
    curve: NDArray[np.int64]
    detection: NDArray[np.int64]
    precision: NDArray[np.float64]
    levels: NDArray[np.int64]
    num_positives: NDArray[np.int64]

    def average_precision(self) -> NDArray[np.float64]:
        """The mean of the interpolated precision over the recall levels.

        Returns:
            ``(T, G)`` average precision in ``[0, 1]``, NaN for groups without
            anything to be found
        """
        total = np.bincount(
            self.curve,
            weights=self.precision * self.levels,
            minlength=self.shape[0] * self.shape[1],
        ).reshape(self.shape)
        return np.where(self.num_positives > 0, total / len(RECALL_LEVELS), np.nan)

    def recall(self, among: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        """The share of the objects that are found.

        Args:
            among: ``(P,)`` which true positives count, all by default

        Returns:
            ``(T, G)`` recall in ``[0, 1]``, NaN for groups without anything to
            be found
        """
        curve = self.curve if among is None else self.curve[among]
        found = np.bincount(curve, minlength=self.shape[0] * self.shape[1])
        positives = np.where(self.num_positives > 0, self.num_positives, np.nan)
        return found.reshape(self.shape) / positives

    def at_recall_levels(
        self, values: NDArray[np.float64], groups: NDArray[np.int64] | None = None
    ) -> NDArray[np.float64]:
        """Spreads a value of each true positive over the recall levels.

        Args:
            values: ``(P,)``, such as :attr:`precision`
            groups: ``(R,)`` positions of the groups to spread, increasing, all by
                default; those with a true positive must be among them

        Returns:
            ``(T, R, 101)`` the value of the first true positive that reaches
            each level, 0 where none does, -1 for groups without anything to be
            found (pycocotools' convention)
        """
        num_thresholds, num_groups = self.shape
        if groups is None:
            groups = np.arange(num_groups)
        threshold, group = np.divmod(self.curve, max(num_groups, 1))
        curve = threshold * len(groups) + np.searchsorted(groups, group)
        table = np.zeros((num_thresholds * len(groups), len(RECALL_LEVELS)))
        rows = np.repeat(curve, self.levels)
        table[rows, rank_in_groups(rows)] = np.repeat(values, self.levels)
        curves = table.reshape(num_thresholds, len(groups), len(RECALL_LEVELS))
        curves[:, self.num_positives[groups] == 0] = -1
        return curves


def precision_recall_curves(
    group: NDArray[np.int64],
    true_positive: NDArray[np.bool_],
    counted: NDArray[np.bool_],
    num_positives: NDArray[np.int64],
    weights: NDArray[np.int64] | None = None,
    normal_positives: float | NDArray[np.int64] | None = None,
) -> Curves:
    """The interpolated precision-recall curves of ``COCOeval.accumulate``.

    Args:
        group: ``(D,)`` group of each detection, non-decreasing; within a group
            the detections stand by descending score
        true_positive: ``(T, D)`` whether each is a true positive
        counted: ``(T, D)`` whether each is a true or a false positive, rather
            than ignored
        num_positives: ``(G,)`` number of objects to be found in each group
        weights: ``(D,)`` how many times each detection occurs, once by default; the
            objects to be found are counted likewise
        normal_positives: the number ``N`` of objects in the normalized precision of
            Hoiem, Chodpathumwan and Dai, "Diagnosing Error in Object Detectors", ECCV
            2012: ``R N / (R N + F)`` at recall ``R`` with ``F`` false positives. One
            number, or ``(G,)``; by default that of each group, which gives precision
            itself

    Returns:
        a :class:`Curves`

    Examples::

        >>> curves = precision_recall_curves(
        ...     group=np.array([0, 0, 0]),
        ...     true_positive=np.array([[True, False, True]]),
        ...     counted=np.array([[True, True, True]]),
        ...     num_positives=np.array([2]),
        ... )
        >>> curves.precision  # 1 of 1, then 2 of 3
        array([1.        , 0.66666667])
        >>> curves.average_precision().round(4)  # (51 * 1 + 50 * 2/3) / 101
        array([[0.835]])
    """
    num_groups = len(num_positives)
    if weights is not None:
        true_positive = true_positive & (weights > 0)
    threshold, detection = np.nonzero(true_positive)
    groups = group[detection]
    curve = threshold * num_groups + groups
    rank = rank_in_groups(curve)
    if weights is None:
        found = rank + 1
    else:
        total = np.cumsum(weights[detection])
        starts = np.flatnonzero(rank == 0)
        before = np.repeat(np.r_[0, total][starts], np.diff(np.r_[starts, len(rank)]))
        found = total - before

    weighted = counted if weights is None else counted * weights
    counts = np.cumsum(weighted, axis=1, dtype=np.int32)
    group_start = np.searchsorted(group, np.arange(num_groups))
    start = group_start[groups]
    before = np.where(start > 0, counts[threshold, start - 1], 0)
    false = counts[threshold, detection] - before - found
    true = found.astype(np.float64)
    if normal_positives is not None:
        normal = np.broadcast_to(normal_positives, num_positives.shape)
        true *= normal[groups] / num_positives[groups]
    precision = true / (true + false)

    recall = found / num_positives[groups]
    reached = np.searchsorted(RECALL_LEVELS, recall, side="right")
    levels = np.diff(reached, prepend=0)
    levels = np.where(rank == 0, reached, levels)
    return Curves(
        shape=(len(true_positive), num_groups),
        curve=curve,
        detection=detection,
        precision=_highest_from_here(precision, curve),
        levels=levels,
        num_positives=num_positives,
    )


def _highest_from_here(
    values: NDArray[np.float64], groups: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The highest of each value and those after it in its group.

    Args:
        values: ``(N,)`` values in ``(0, 1]``
        groups: ``(N,)`` groups, non-decreasing

    Returns:
        ``(N,)``
    """
    backwards = values[::-1]
    # The values of a group are raised above those of all groups before it.
    # This loses digits, so it only locates the highest value
    lifted = backwards + (rank_in_groups(groups[::-1]) == 0).cumsum()
    highest = np.where(
        lifted == np.maximum.accumulate(lifted), np.arange(len(lifted)), 0
    )
    return backwards[np.maximum.accumulate(highest)][::-1]
