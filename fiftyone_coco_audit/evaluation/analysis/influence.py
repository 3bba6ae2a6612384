"""How much each image pulls AP up or down: the AP if it were left out, less the AP.

Every image is left out in turn, without any approximation. That changes only the curves
of the classes that occur in it. A true positive that ranks after ``a`` true positives
and ``b`` predictions of the image moves from precision ``k / n`` to
``(k - a) / (n - b)``. A class without each of its images is a row of a matrix.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.evaluation.analysis.bootstrap import class_mean
from fiftyone_coco_audit.evaluation.average_precision import RECALL_LEVELS
from fiftyone_coco_audit.evaluation.matching import rank_in_groups
from fiftyone_coco_audit.evaluation.ranking import Ranking

# Elements of a matrix at a time
_MOST_ELEMENTS = 1 << 18


def image_influence(ranking: Ranking, num_images: int) -> NDArray[np.float64]:
    """The change of AP if an image were left out, for each image.

    It is positive if the image pulls AP down. A class whose only objects are in the
    image has no AP without it, so the mean is over the other classes, as in COCOeval.

    Args:
        ranking: the predictions of an evaluation
        num_images: the number of images, ``N``

    Returns:
        ``(N,)`` the mean AP without the image less that of all images, exact to
        rounding error; NaN if there is no AP without the image, or at all
    """
    ap = ranking.average_precision().mean(axis=0)
    known = np.flatnonzero(~np.isnan(ap))
    by_class = np.argsort(ranking.truth_category, kind="stable")
    bounds = np.arange(ranking.num_categories + 1)
    truth = np.searchsorted(ranking.truth_category[by_class], bounds)
    detections = np.searchsorted(ranking.category, bounds)

    total = np.full(num_images, ap[known].sum())
    count = np.full(num_images, len(known))
    for c in known.tolist():
        own = slice(detections[c], detections[c + 1])
        images, without = _ap_without_each_image(
            ranking.image[own],
            ranking.true_positive[:, own],
            ranking.counted[:, own],
            ranking.truth_image[by_class[truth[c] : truth[c + 1]]],
        )
        has_ap = ~np.isnan(without)
        total[images] += np.where(has_ap, without, 0) - ap[c]
        count[images] -= ~has_ap
    return total / np.where(count > 0, count, np.nan) - class_mean(ap)


def _ap_without_each_image(
    image: NDArray[np.int64],
    true_positive: NDArray[np.bool_],
    counted: NDArray[np.bool_],
    truth_image: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The AP of a class without each of the images that it occurs in.

    Args:
        image: ``(D,)`` images of the predictions, by descending score
        true_positive: ``(T, D)``
        counted: ``(T, D)``
        truth_image: ``(M,)`` images of the objects

    Returns:
        ``(I,)`` images, and ``(I,)`` APs, NaN where the image has all of the objects
    """
    images, place = np.unique(np.r_[image, truth_image], return_inverse=True)
    place, of_truth = place[: len(image)], place[len(image) :]
    left = len(truth_image) - np.bincount(of_truth, minlength=len(images))
    ap = np.zeros(len(images))
    for hit, counts in zip(true_positive, counted, strict=True):
        ap += _ap_at_threshold(place[counts], hit[counts], left)
    return images, np.where(left > 0, ap / len(true_positive), np.nan)


def _ap_at_threshold(
    place: NDArray[np.int64], hit: NDArray[np.bool_], left: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The AP at a threshold without each image.

    Args:
        place: ``(D,)`` positions of the images of the predictions that count
        hit: ``(D,)`` whether each is a true positive
        left: ``(I,)`` how many objects the other images have

    Returns:
        ``(I,)``
    """
    ap = np.zeros(len(left))
    rank = np.flatnonzero(hit) + 1
    if not len(rank):
        return ap
    # The first true positive that each prediction ranks before, or is
    column = np.searchsorted(rank, np.arange(1, len(place) + 1))
    own = np.flatnonzero(column < len(rank))
    own = own[np.argsort(place[own], kind="stable")]
    start = np.searchsorted(place[own], np.arange(len(left) + 1))
    step = max(1, _MOST_ELEMENTS // (len(rank) + len(RECALL_LEVELS)))
    for first in range(0, len(left), step):
        last = min(first + step, len(left))
        some = own[start[first] : start[last]]
        ap[first:last] = _ap_of_rows(
            place[some] - first, column[some], hit[some], rank, left[first:last]
        )
    return ap


def _ap_of_rows(
    row: NDArray[np.int64],
    column: NDArray[np.int64],
    hit: NDArray[np.bool_],
    rank: NDArray[np.int64],
    left: NDArray[np.int64],
) -> NDArray[np.float64]:
    """The AP without each of some images.

    Args:
        row: ``(D,)`` positions of the images of their predictions, non-decreasing
        column: ``(D,)`` the first true positive that each ranks before, or is
        hit: ``(D,)`` whether each is a true positive
        rank: ``(K,)`` the ranks of all true positives, from 1
        left: ``(I,)`` how many objects the other images have

    Returns:
        ``(I,)``
    """
    num_rows, own = len(left), row[hit]
    # Precision rises as long as true positives follow each other
    kept = np.flatnonzero(np.diff(rank, append=rank[-1] + 2) > 1)
    shape = num_rows, len(kept)

    def without(total: NDArray[np.int64], of: NDArray[np.bool_] | slice) -> NDArray:
        cell = row[of] * len(kept) + np.searchsorted(kept, column[of])
        removed = np.bincount(cell, minlength=num_rows * len(kept)).reshape(shape)
        return total[kept] - np.cumsum(removed, axis=1, out=removed)

    # A true positive of the image itself now repeats the one before it, or is 0 of 0
    precision = without(np.arange(1, len(rank) + 1), hit) / np.maximum(
        without(rank, slice(None)), 1
    )
    backwards = precision[:, ::-1]
    np.maximum.accumulate(backwards, axis=1, out=backwards)

    needed = _needed(left)
    index = needed - 1
    nth = rank_in_groups(own)
    for n in range(nth.max(initial=-1) + 1):
        # Its place among the other images' true positives
        others_before = column[hit][nth == n] - n
        index[own[nth == n]] += others_before[:, None] < needed[own[nth == n]]
    reached = index < len(rank)
    peak = np.searchsorted(kept, np.arange(len(rank)))
    at_levels = np.take_along_axis(precision, peak[np.where(reached, index, 0)], axis=1)
    return np.where(reached, at_levels, 0).sum(axis=1) / len(RECALL_LEVELS)


def _needed(num_objects: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many of some objects must be found to reach each recall level.

    Args:
        num_objects: ``(I,)`` objects; of none, none are needed

    Returns:
        ``(I, 101)``
    """
    numbers, which = np.unique(num_objects, return_inverse=True)
    rows = [
        np.searchsorted(np.arange(1, number + 1) / number, RECALL_LEVELS) + 1
        for number in numbers.tolist()
    ]
    return np.stack(rows)[which]
