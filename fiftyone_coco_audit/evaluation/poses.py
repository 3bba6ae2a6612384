"""Keypoints of labels as arrays: checked against those of their class."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.evaluation.settings import Settings
from fiftyone_coco_audit.keypoints import padded_triples
from fiftyone_coco_audit.objects import Keypoints
from fiftyone_coco_audit.wording import named, quoted


class Triples(NamedTuple):
    """The attribute ``keypoints`` of ``N`` labels.

    Attributes:
        values: ``(N, J, 3)`` x, y and v; NaN where a label has fewer than ``J``
        number: ``(N,)`` how many a label has; 0 for what is no list of triples
        category: ``(N,)`` positions of the classes
    """

    values: NDArray[np.float64]
    number: NDArray[np.int64]
    category: NDArray[np.int64]


def read_triples(lists: Sequence[Any], category: NDArray[np.int64]) -> Triples:
    """Reads keypoints as COCO files have them, ``[x, y, v, x, y, v, ...]``.

    Args:
        lists: ``N`` lists of numbers, None where a label has none
        category: ``(N,)`` positions of the classes

    Raises:
        ValueError: if one of them holds anything else than numbers
    """
    length = np.array([len(v) if isinstance(v, list) else 0 for v in lists], np.int64)
    number = np.where(length % 3 == 0, length // 3, 0)
    some = (of for of, n in zip(lists, number.tolist(), strict=True) if n)
    try:
        flat = np.array(list(chain.from_iterable(some)), np.float64)
    except TypeError as error:
        raise ValueError(str(error)) from None
    return Triples(padded_triples(flat, number), number, category)


def keypoint_sigmas(
    truth: Triples, predictions: Triples, classes: Sequence[str], settings: Settings
) -> NDArray[np.float64]:
    """The sigmas of the keypoints of each class.

    A class has the number of keypoints that most of its objects have, or else most of
    its predictions.

    Args:
        truth: the keypoints of the ground truth
        predictions: those of the predictions
        classes: ``K`` names of the classes
        settings: the parameters of the evaluation

    Returns:
        ``(K, J)``, NaN where a class has fewer keypoints than ``J``

    Raises:
        CocoAuditError: if there are not as many sigmas as keypoints, or sigmas of an
            unknown class
    """
    unknown = [n for n, _ in settings.sigmas if n is not None and n not in classes]
    if unknown:
        raise CocoAuditError(
            f"sigmas has the class {quoted(str(unknown[0]))}, which the dataset does "
            f"not have: its classes are {named(classes)}"
        )
    numbers = np.zeros(len(classes), np.int64)
    for side in (predictions, truth):
        has = side.number > 0
        pairs, count = np.unique(
            np.column_stack([side.category, side.number])[has],
            axis=0,
            return_counts=True,
        )
        # Of several numbers of a class, the last assignment counts
        category, number = pairs[np.argsort(count, kind="stable")].T
        numbers[category] = number
    sigmas = np.full((len(classes), numbers.max(initial=0)), np.nan)
    for row in np.flatnonzero(numbers).tolist():
        of_class = settings.sigmas_of(classes[row])
        if len(of_class) != numbers[row]:
            raise CocoAuditError(
                f"The class {quoted(classes[row])} has {numbers[row]} keypoints, but "
                f"there are {len(of_class)} sigmas, which say how far each may be off: "
                f"pass sigmas={{{classes[row]!r}: [...]}} with {numbers[row]} numbers"
            )
        sigmas[row, : len(of_class)] = of_class
    return sigmas


def true_keypoints(
    truth: Triples, sigmas: NDArray[np.float64], number: NDArray[np.float64]
) -> Keypoints:
    """The keypoints of the ground truth.

    Labels without keypoints, or not with those of their class, are like those on which
    none is labeled.

    Args:
        truth: the keypoints
        sigmas: what :func:`keypoint_sigmas` returns
        number: ``(N,)`` COCO's ``num_keypoints``; NaN where it is to be counted
    """
    keypoints, usable = _keypoints(truth, sigmas, visible_only=True)
    visible = keypoints.visible & usable[:, None]
    number = np.where(np.isnan(number), visible.sum(axis=1), number)
    return Keypoints(
        keypoints.points,
        visible,
        keypoints.sigmas,
        np.where(usable, number, 0).astype(np.int64),
    )


def predicted_keypoints(
    predictions: Triples, sigmas: NDArray[np.float64]
) -> tuple[Keypoints, NDArray[np.bool_]]:
    """The keypoints of predictions, and which of these are usable.

    Args:
        predictions: the keypoints
        sigmas: what :func:`keypoint_sigmas` returns

    Returns:
        a tuple of the keypoints and ``(N,)`` whether they are as many numbers as those
        of their class
    """
    return _keypoints(predictions, sigmas, visible_only=False)


def _keypoints(
    side: Triples, sigmas: NDArray[np.float64], *, visible_only: bool
) -> tuple[Keypoints, NDArray[np.bool_]]:
    """Keypoints, and which labels have those of their class, all that count finite."""
    places = sigmas.shape[1]
    values = np.full((len(side.number), places, 3), np.nan)
    shared = min(places, side.values.shape[1])
    values[:, :shared] = side.values[:, :shared]
    of_class = sigmas[side.category]
    exists = np.isfinite(of_class)
    visible = exists & (values[..., 2] > 0)
    finite = np.isfinite(values[..., :2]).all(axis=2)
    wanted = visible if visible_only else exists
    usable = (side.number > 0) & (side.number == exists.sum(axis=1))
    usable &= (finite | ~wanted).all(axis=1)
    return Keypoints(values[..., :2], visible, of_class, side.number), usable
