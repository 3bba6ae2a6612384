"""Boxes and labels, matched one to one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.loading.geometry import overlaps


def match_boxes(
    boxes: NDArray[np.float64],
    truth: NDArray[np.float64],
    tolerance: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Matches boxes to labels, one to one, for the largest sum of overlaps.

    Args:
        boxes: ``(n, 4)`` ``[x1, y1, x2, y2]``
        truth: ``(m, 4)``
        tolerance: ``(2,)`` what boxes may be wrong by

    Returns:
        the rows of the boxes and of the labels of each pair that overlaps by half
    """
    from scipy.optimize import linear_sum_assignment

    found = overlaps(boxes, truth, tolerance)
    left, right = linear_sum_assignment(-found)
    good = found[left, right] >= 0.5
    return left[good], right[good]
