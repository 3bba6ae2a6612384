"""Predictions that lie on the objects of other images because of wrong image ids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.boxes import box_iou
from fiftyone_coco_audit.evaluation.grouping import pairs_in_parts
from fiftyone_coco_audit.objects import Objects
from fiftyone_coco_audit.wording import percent

_OVERLAP = 0.5
# Enough to distinguish two shares
_MOST_PREDICTIONS = 2000
# Fewer may lie on objects of another image by chance
_FEWEST_PREDICTIONS = 5
# An interpretation of the ids is named if it puts this share of predictions on objects,
# and this many times more than the given ids
_LEAST_SHARE, _TIMES = 0.3, 3.0

_NO_IMAGE = -1


def misplaced_predictions(
    truth: Objects,
    predictions: Objects,
    ids: Sequence[int | str | None],
    stems: Sequence[str],
    order: NDArray[np.int64],
) -> Iterator[str]:
    """Says that predictions would lie on objects if their image ids meant other images.

    Classes are ignored. Where predictions lie on objects as they are, nothing is said.

    Args:
        truth: the ground truth, ordered by image
        predictions: the predictions
        ids: ``M`` ids of the images
        stems: ``M`` names of their files, without the endings
        order: ``(M,)`` position of each image in the order of the dataset

    Yields:
        at most one sentence
    """
    numbers = [id_ for id_ in ids if isinstance(id_, int)]
    if not len(predictions) or not len(truth) or len(numbers) < len(ids):
        return
    # A detector's best predictions lie on objects, many of the others on nothing
    most = min(len(truth), len(predictions), _MOST_PREDICTIONS)
    if most < _FEWEST_PREDICTIONS:
        return
    score = (
        np.zeros(len(predictions)) if predictions.score is None else predictions.score
    )
    sample = predictions.rows(np.argsort(-score, kind="stable")[:most])
    now = _share_on_objects(truth, sample, np.arange(len(ids)))
    if _TIMES * now > 1:
        return  # no other interpretation can be that much better
    shares = {
        meaning: _share_on_objects(truth, sample, image)
        for meaning, image in _meanings(numbers, stems, order).items()
    }
    best = max(shares, key=lambda meaning: shares[meaning])
    if shares[best] >= max(_LEAST_SHARE, _TIMES * now):
        yield (
            f"Of the {most:,} best predictions, {percent(now)} lie on an object of "
            f"their image, but {percent(shares[best])} would if each `image_id` meant "
            f"{best}: write the ids of the COCO file as `image_id`, and add the "
            "predictions again."
        )


def _meanings(
    ids: Sequence[int], stems: Sequence[str], order: NDArray[np.int64]
) -> Mapping[str, NDArray[np.int64]]:
    """The images that ids may mean instead, by interpretation."""
    place = {id_: n for n, id_ in enumerate(ids)}
    named = {
        int(stem): n
        for n, stem in enumerate(stems)
        if stem.isascii() and stem.isdecimal()
    }
    at = {position: n for n, position in enumerate(order.tolist())}
    return {
        name: np.array([places.get(id_ + more, _NO_IMAGE) for id_ in ids], np.int64)
        for name, places, more in (
            ("the id that is one higher", place, 1),
            ("the id that is one lower", place, -1),
            ("the number in the name of the file", named, 0),
            ("the position of the image, counted from 0", at, 0),
            ("the position of the image, counted from 1", at, -1),
        )
    }


def _share_on_objects(
    truth: Objects, predictions: Objects, image: NDArray[np.int64]
) -> float:
    """The share of predictions that lie on an object, if images are others.

    Args:
        truth: the ground truth, ordered by image
        predictions: the predictions
        image: ``(M,)`` the image that is meant by each
    """
    meant, on_objects = image[predictions.image], 0
    for _, rows, things in pairs_in_parts(
        meant, truth.image, predictions.box, truth.box
    ):
        overlap = box_iou(predictions.box[rows], truth.box[things], truth.crowd[things])
        on_objects += len(np.unique(rows[overlap >= _OVERLAP]))
    return on_objects / len(predictions)
