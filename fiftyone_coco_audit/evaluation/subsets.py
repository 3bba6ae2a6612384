"""Evaluations of a part of the images, taken from the matches of all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.evaluation.matching import UNMATCHED, Matches
from fiftyone_coco_audit.evaluation.metrics import Evaluation, accumulate
from fiftyone_coco_audit.evaluation.pairs import Pairs


def images_only(evaluation: Evaluation, images: NDArray[np.bool_]) -> Evaluation:
    """The evaluation as if only some of the images had been evaluated.

    Images are matched on their own, so no match changes.

    Args:
        evaluation: an evaluation of columns
        images: ``(num_images,)`` which images

    Returns:
        an :class:`~fiftyone_coco_audit.evaluation.metrics.Evaluation` whose images are
        numbered anew, with masks only where the whole has them
    """
    matches, pairs = evaluation.matches, evaluation.pairs
    truth = images[evaluation.truth.image]
    predictions = images[evaluation.predictions.image]
    detections = predictions[matches.predictions]
    candidates = detections[matches.candidates]
    number = _numbers(images)
    truth_number = np.r_[_numbers(truth), UNMATCHED].astype(np.int32)
    detection_number = _numbers(detections)
    some_pairs = pairs.where(detections[pairs.detection])
    some_truth = evaluation.truth.rows(np.flatnonzero(truth))
    some_predictions = evaluation.predictions.rows(np.flatnonzero(predictions))
    return accumulate(
        replace(some_truth, image=number[some_truth.image]),
        replace(some_predictions, image=number[some_predictions.image]),
        Pairs(
            detection_number[some_pairs.detection].astype(np.int32),
            truth_number[some_pairs.truth],
            some_pairs.overlap,
        ),
        Matches(
            predictions=_numbers(predictions)[matches.predictions[detections]],
            rank=matches.rank[detections],
            candidates=detection_number[matches.candidates[candidates]],
            truth=truth_number[matches.truth[:, :, candidates]],
            overlap=matches.overlap[:, candidates],
        ),
        evaluation.ignored[:, truth],
        num_images=int(np.count_nonzero(images)),
        num_categories=evaluation.num_categories,
        settings=evaluation.settings,
    )


def _numbers(kept: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The number of each row among the kept ones, from 0."""
    return np.cumsum(kept) - 1
