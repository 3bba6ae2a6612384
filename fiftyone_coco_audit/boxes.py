"""Overlaps of boxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def box_iou(
    boxes: NDArray[np.float64],
    others: NDArray[np.float64],
    crowd: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """The intersection over union of boxes, pair by pair.

    The operations and their order are those of ``bbIou`` in pycocotools'
    ``maskApi.c``, so that an overlap at a threshold falls on the same side.

    Args:
        boxes: ``(..., 4)`` ``[x, y, width, height]``
        others: ``(..., 4)``, which broadcast with the boxes
        crowd: ``(...)`` whether the other box is a crowd region, for which the union is
            the first box alone; by default none is

    Returns:
        ``(...)`` overlaps in ``[0, 1]``

    Examples::

        >>> box_iou(np.array([0, 0, 2, 2]), np.array([[0, 0, 2, 1], [1, 1, 2, 2]]))
        array([0.5       , 0.14285714])
    """
    x, y, w, h = np.moveaxis(np.asarray(boxes, np.float64), -1, 0)
    ox, oy, ow, oh = np.moveaxis(np.asarray(others, np.float64), -1, 0)
    width = np.minimum(w + x, ow + ox) - np.maximum(x, ox)
    height = np.minimum(h + y, oh + oy) - np.maximum(y, oy)
    apart = (width <= 0) | (height <= 0)
    return _iou(np.where(apart, 0.0, width * height), w * h, ow * oh, crowd)


def corner_iou(
    boxes: NDArray[np.float64], others: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The intersection over union of boxes that are given by their corners.

    Args:
        boxes: ``(..., 4)`` ``[x1, y1, x2, y2]``
        others: ``(..., 4)``, which broadcast with the boxes

    Returns:
        ``(...)`` overlaps; 0 for boxes without an area
    """
    low = np.maximum(boxes[..., :2], others[..., :2])
    high = np.minimum(boxes[..., 2:], others[..., 2:])
    shared = corner_area(np.concatenate([low, high], axis=-1))
    return _iou(shared, corner_area(boxes), corner_area(others))


def corner_area(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The areas of boxes ``[x1, y1, x2, y2]``; 0 if their corners are swapped.

    Args:
        boxes: ``(..., 4)``
    """
    return np.clip(boxes[..., 2:] - boxes[..., :2], 0, None).prod(axis=-1)


def size_iou(
    sizes: NDArray[np.float64],
    others: NDArray[np.float64],
    apart: NDArray[np.float64] | float = 0,
) -> NDArray[np.float64]:
    """The intersection over union of boxes of some sizes, their centers aligned.

    Args:
        sizes: ``(2, ...)`` widths and heights
        others: ``(2, ...)``, which broadcast with these
        apart: ``(2, ...)`` how far the centers are from each other, if they are not
            aligned

    Returns:
        ``(...)`` overlaps in ``[0, 1]``

    Examples::

        >>> sizes = np.array([[32, 64], [32, 32]])  # boxes of 32 x 32 and 64 x 32
        >>> anchor = np.array([[32], [32]])
        >>> size_iou(sizes, anchor)
        array([1. , 0.5])
        >>> size_iou(sizes, anchor, apart=np.array([[16, 16], [0, 0]])).round(3)
        array([0.333, 0.5  ])
    """
    shared = np.minimum((sizes + others) / 2 - apart, np.minimum(sizes, others))
    area, other_area = sizes.prod(axis=0), others.prod(axis=0)
    return _iou(np.maximum(shared, 0).prod(axis=0), area, other_area)


def _iou(
    shared: NDArray[np.float64],
    area: NDArray[np.float64],
    other_area: NDArray[np.float64],
    crowd: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    union = area + other_area - shared
    if crowd is not None:
        union = np.where(crowd, area, union)
    return np.divide(shared, union, out=np.zeros_like(union), where=shared > 0)
