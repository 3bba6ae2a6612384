"""How far an AP would move with as many other images of the same kind: the bootstrap.

Images are drawn with replacement, as often as there are images (Efron and Tibshirani,
"An Introduction to the Bootstrap", 1993). Matches of an image do not depend on other
images, so a draw is a weight of each image. Intervals are about sets of the same size:
with more images AP falls a little, as interpolation takes the highest precision.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.evaluation.ranking import Ranking

#: Share of the draws that an interval holds
CONFIDENCE = 0.95


def image_draws(
    num_images: int, num_draws: int, seed: int = 0
) -> Iterator[NDArray[np.int64]]:
    """Draws images with replacement.

    Args:
        num_images: the number of images
        num_draws: the number of draws
        seed: of the random numbers; equal ones give equal draws, which makes two runs
            on the same images comparable draw by draw

    Yields:
        ``(num_images,)`` how many times each image was drawn
    """
    generator = np.random.default_rng(seed)
    for _ in range(num_draws):
        drawn = generator.integers(num_images, size=num_images)
        yield np.bincount(drawn, minlength=num_images)


def bootstrap_ap(
    ranking: Ranking,
    num_images: int,
    *,
    num_draws: int = 200,
    seed: int = 0,
    place: NDArray[np.int64] | slice = slice(None),
) -> NDArray[np.float64]:
    """The AP of each class in each draw of images.

    Args:
        ranking: the predictions of an evaluation
        num_images: the number of images
        num_draws: the number of draws
        seed: of the random numbers
        place: ``(num_images,)`` the position of each image in the draws

    Returns:
        ``(num_draws, K)`` means over the IoU thresholds, NaN where a class has no
        objects in the draw
    """
    draws = image_draws(num_images, num_draws, seed)
    return np.stack(
        [ranking.average_precision(draw[place]).mean(axis=0) for draw in draws]
    )


def class_mean(ap: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over the classes that have an AP, the last axis; NaN without any."""
    known = ~np.isnan(ap)
    total = np.where(known, ap, 0).sum(axis=-1)
    return total / np.where(known.any(axis=-1), known.sum(axis=-1), np.nan)


def interval(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The bounds between which the middle :data:`CONFIDENCE` of draws lie.

    Args:
        values: ``(num_draws, ...)``; draws that are NaN do not count

    Returns:
        ``(2, ...)`` the lower and the upper bound, NaN where all draws are
    """
    tail = (1 - CONFIDENCE) / 2
    bounds = np.full((2, *values.shape[1:]), np.nan)
    known = ~np.isnan(values).all(axis=0)
    bounds[:, known] = np.nanquantile(values[:, known], [tail, 1 - tail], axis=0)
    return bounds
