"""Object keypoint similarity (OKS), COCO's overlap of poses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: COCO's falloff of each of the 17 keypoints of a person, as in ``cocoeval.Params``
COCO_SIGMAS = tuple(
    (
        np.array(
            [0.26, 0.25, 0.25, 0.35, 0.35, 0.79, 0.79, 0.72, 0.72, 0.62, 0.62]
            + [1.07, 1.07, 0.87, 0.87, 0.89, 0.89]
        )
        / 10.0
    ).tolist()
)


def keypoint_similarity(
    points: NDArray[np.float64],
    others: NDArray[np.float64],
    visible: NDArray[np.bool_],
    sigmas: NDArray[np.float64],
    *,
    area: NDArray[np.float64],
    box: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The OKS of predicted and true poses, pair by pair.

    It is ``COCOeval.computeOks`` of pycocotools 2.0.11: the mean over the visible
    keypoints of ``exp(-d**2 / (2 * area * (2 * sigma)**2))``. If none is visible, it is
    the mean over all keypoints, and ``d`` is the distance from the box three times as
    wide and high.

    Args:
        points: ``(P, J, 2)`` predicted keypoints in pixels, NaN where a pose has fewer
            than ``J``
        others: ``(P, J, 2)`` true keypoints in pixels
        visible: ``(P, J)`` which true keypoints are visible (COCO's ``v > 0``)
        sigmas: ``(P, J)`` falloffs of the true keypoints, NaN where a pose has fewer
        area: ``(P,)`` areas of the true objects in square pixels
        box: ``(P, 4)`` their boxes, ``[x, y, width, height]``

    Returns:
        ``(P,)`` similarities in ``[0, 1]``; 0 for poses of different numbers of
        keypoints

    Examples::

        >>> pose = np.array([[[10.0, 10.0], [20.0, 10.0]]])
        >>> moved = pose + np.array([0.0, 3.0])
        >>> visible, sigmas = np.array([[True, False]]), np.array([[0.1, 0.2]])
        >>> of = dict(area=np.array([100.0]), box=np.array([[5.0, 5, 20, 5]]))
        >>> keypoint_similarity(moved, pose, visible, sigmas, **of)
        array([0.32465247])
    """
    exists = np.isfinite(sigmas)
    any_visible = np.asarray(visible.any(axis=1, keepdims=True))
    counts = np.where(any_visible, visible, exists)
    low, high = (
        box[:, None, :2] - box[:, None, 2:],
        box[:, None, :2] + box[:, None, 2:] * 2,
    )
    outside = np.maximum(0, low - points) + np.maximum(0, points - high)
    apart = np.where(any_visible[..., None], points - others, outside)
    with np.errstate(over="ignore"):
        squared = apart[..., 0] ** 2 + apart[..., 1] ** 2
        # In the order of pycocotools, so that a similarity falls on the same side
        error = squared / (sigmas * 2) ** 2 / (area + np.spacing(1))[:, None] / 2
    similarity = np.where(counts, np.exp(-error), 0).sum(axis=1)
    similarity /= np.maximum(counts.sum(axis=1), 1)
    alike = (np.isfinite(points).all(axis=2) == exists).all(axis=1)
    return np.where(alike, similarity, 0.0)


def padded_triples(
    flat: NDArray[np.float64], number: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Keypoints of different numbers as one array.

    Args:
        flat: ``(3 * T,)`` x, y and v of all keypoints
        number: ``(N,)`` how many of them each object has, in this order

    Returns:
        ``(N, J, 3)``, as many as the object with most has; NaN where one has fewer
    """
    places = int(number.max(initial=0))
    padded = np.full((len(number), places, 3), np.nan)
    padded[np.arange(places) < number[:, None]] = flat.reshape(-1, 3)
    return padded
