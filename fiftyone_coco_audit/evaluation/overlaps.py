"""How much predicted and ground-truth objects overlap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.boxes import box_iou
from fiftyone_coco_audit.grouping import pairs_in_parts
from fiftyone_coco_audit.keypoints import keypoint_similarity
from fiftyone_coco_audit.objects import RLE, Objects


def overlaps_within_groups(
    predictions: Objects,
    truth: Objects,
    left: tuple[NDArray[np.int64], NDArray[np.int64]],
    right: tuple[NDArray[np.int64], NDArray[np.int64]],
    *,
    iou_type: str,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]]:
    """The overlaps of predictions and true objects of the same group.

    They come in parts that fit in memory. Of boxes, pairs with an overlap of 0 may be
    left out.

    Args:
        predictions: the predictions
        truth: the ground truth
        left: ``(N,)`` rows of predictions, and their groups, non-decreasing for masks
        right: ``(M,)`` rows of true objects, and their groups, non-decreasing
        iou_type: what is compared: ``"bbox"``, ``"segm"`` or ``"keypoints"``

    Yields:
        three ``(P,)`` arrays: the position in ``left``, the row of the true object, and
        the overlap
    """
    rows, groups = left
    truth_rows, truth_groups = right
    masks = iou_type == "segm"
    boxes: tuple[NDArray[np.float64], ...] = ()
    if iou_type == "bbox":
        boxes = predictions.box[rows], truth.box[truth_rows]
    encoded = [truth.encoded[row] for row in truth_rows.tolist()] if masks else []
    for _, position, place in pairs_in_parts(groups, truth_groups, *boxes):
        pair, pair_truth = rows[position], truth_rows[place]
        if iou_type == "keypoints":
            found, given = predictions.poses.rows(pair), truth.poses.rows(pair_truth)
            overlap = keypoint_similarity(
                found.points,
                given.points,
                given.visible,
                given.sigmas,
                area=truth.area[pair_truth],
                box=truth.box[pair_truth],
            )
        elif masks:
            overlap = _paired_mask_iou(
                predictions.encoded,
                encoded,
                truth.crowd[truth_rows],
                pair,
                place,
                groups[position],
            )
        else:
            overlap = box_iou(
                predictions.box[pair], truth.box[pair_truth], truth.crowd[pair_truth]
            )
        yield position, pair_truth, overlap


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
    pairs must be all those of their groups, as :func:`pairs_in_parts` gives
    them.

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
