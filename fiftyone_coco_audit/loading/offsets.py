"""Boxes that are all off by the same number of pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.loading import rules
from fiftyone_coco_audit.loading.geometry import BoxInterpretation, interpret_boxes
from fiftyone_coco_audit.loading.interpretation import (
    LEAST_BOXES,
    ROUNDING,
    ComparedSample,
    positions,
)
from fiftyone_coco_audit.loading.mistakes import Mistake, is_more_than_few
from fiftyone_coco_audit.loading.pictures import UNTURNED

#: The minimum offset in pixels if images are as large as in their files
_LEAST_OFFSET = 0.75
#: The share of the boxes of a sample that must be off by the same number of pixels
_MOST_BOXES = 0.75
#: The share of samples that must be off, for offsets of a pixel
_ALL = 0.9
#: Pairs of a box and a label of its size that are compared, the nearest first
_MOST_PAIRS = 400


@dataclass(frozen=True)
class _Offset:
    """How much the boxes of a sample are off.

    Attributes:
        held: the sample
        delivered: ``(2,)`` pixels of the delivered image, in x and y
        original: ``(2,)`` pixels of the file
        boxes: ``(n, 4)`` the boxes without it, from 0 to 1
        count: how many of them are off by that
    """

    held: ComparedSample
    delivered: NDArray[np.float64]
    original: NDArray[np.float64]
    boxes: NDArray[np.float64]
    count: int


def find_offsets(
    samples: Sequence[ComparedSample], expected: BoxInterpretation, total: int
) -> tuple[list[Mistake], list[ComparedSample]]:
    """Finds the pixels that many boxes are off by.

    Args:
        samples: samples whose boxes have the intended format, or an unknown one; those
            that are explained get their ``reading`` and ``boxes``
        expected: the intended format of the boxes
        total: the number of samples, for the shares

    Returns:
        the mistakes, and the samples that have them
    """
    known = [found for one in samples for found in _offset_of(one, expected)]
    if not known:
        return [], []
    ways = {
        "": np.array([one.delivered for one in known]),
        " of the images before they are resized or flipped": np.array(
            [one.original for one in known]
        ),
    }
    groups = {whose: _cluster(values) for whose, values in ways.items()}
    whose = max(groups, key=lambda one: len(groups[one]))
    chosen = [known[row] for row in groups[whose].tolist()]
    x, y = np.median(ways[whose][groups[whose]], axis=0).tolist()
    boxes = sum(one.count for one in chosen)
    # An offset of a pixel in some samples may come from the rounding of a flip
    little = max(abs(x), abs(y)) <= ROUNDING and len(chosen) < _ALL * total
    if little or not is_more_than_few(len(chosen), total) or boxes < LEAST_BOXES:
        return [], []
    for one in chosen:
        one.held.reading, one.held.boxes = expected, one.boxes
    held = [one.held for one in chosen]
    found = Mistake(
        f"The boxes of {len(held):,} of {total:,} samples are off by {x:+.1f} px in x "
        f"and {y:+.1f} px in y{whose}.",
        positions(held),
        figures={"samples": len(held), "offset_x": x, "offset_y": y},
        rule=rules.OFFSET,
        share=len(held) / total,
    )
    return [found], held


def _offset_of(one: ComparedSample, expected: BoxInterpretation) -> Iterator[_Offset]:
    """By how much the boxes of a sample are off; nothing if that is unknown."""
    canvas = one.sample.canvases[0]
    size = np.array(canvas.place[2:])
    best: tuple[int, NDArray[np.float64], NDArray[np.float64]] | None = None
    for boxes in interpret_boxes(one.sample.sample.boxes, expected, canvas, one.truth):
        found = _commonest(boxes * np.tile(size, 2), one.truth * np.tile(size, 2))
        if found is not None and (best is None or found[0] > best[0]):
            best = *found, boxes
    if best is None:
        return
    count, way, boxes = best
    transpose, flip_x, flip_y = canvas.turns[0] if canvas.turns else UNTURNED
    turned = (way[::-1] if transpose else way) * [1 - 2 * flip_x, 1 - 2 * flip_y]
    exact = canvas.delivered == canvas.size
    padding = np.array(canvas.place[:2])
    # Boxes that are not shifted by the padding have their own rule
    forgotten = padding.any() and (np.abs(turned + padding) <= ROUNDING).all()
    if np.abs(way).max() > (_LEAST_OFFSET if exact else ROUNDING) and not forgotten:
        upright = size[::-1] if transpose else size
        original = way * np.array(canvas.size) / upright
        yield _Offset(one, turned, original, boxes - np.tile(way / size, 2), count)


def _commonest(
    given: NDArray[np.float64], truth: NDArray[np.float64]
) -> tuple[int, NDArray[np.float64]] | None:
    """How many boxes are off by the same pixels, and by which; the smallest if tied."""
    same = _same_sizes(given, truth)
    ways = (given[:, None, :2] - truth[None, :, :2])[same]
    if not len(ways):
        return None
    order = np.argsort(np.abs(ways).max(axis=1), kind="stable")[:_MOST_PAIRS]
    ways, owner = ways[order], np.nonzero(same)[0][order]
    near = np.abs(ways[:, None] - ways[None]).max(axis=2) <= ROUNDING
    count = np.array([len(np.unique(owner[row])) for row in near])
    row = int(count.argmax())
    if count[row] < _MOST_BOXES * len(given):
        return None
    return int(count[row]), np.median(ways[near[row]], axis=0)


def _same_sizes(
    given: NDArray[np.float64], truth: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """``(n, m)`` which boxes are as large as which labels, up to rounding."""
    sizes = [boxes[:, 2:] - boxes[:, :2] for boxes in (given, truth)]
    apart = np.abs(sizes[0][:, None] - sizes[1][None])
    return np.asarray(apart.max(axis=2) <= ROUNDING)


def _cluster(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """The rows of the values that are near the one that most are near."""
    # A few are enough to find it
    tried = values[:: -(-len(values) // 500)]
    near = np.abs(values[None] - tried[:, None]).max(axis=2) <= ROUNDING
    return np.flatnonzero(near[near.sum(axis=1).argmax()])
