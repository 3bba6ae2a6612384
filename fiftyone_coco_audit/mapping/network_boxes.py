"""Boxes that were left in the input of a network, and the size of that input."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.box_formats import FORMATS, BoxEncoding, corners
from fiftyone_coco_audit.statistics.resizing import ResizePolicy

# Sides of boxes are compared as logarithms: 4% of length
_BIN = 0.04
# The middle of those that agree shifts which do
_ROUNDS = 3
# Pairs of boxes by chance agree on no scale; so many must
_FEWEST_VOTES = 5
# Boxes and objects of other shapes do not belong together
_SAME_SHAPE = 0.2
# A common size of inputs is preferred to a measured one this close
_ROUND, _STEPS = 0.03, (128, 64, 32, 100, 50)
# Scaled by less, boxes are loose rather than of another scale
_LEAST_FACTOR, _MOST_FACTOR = 1.1, 20
# detectron2's "shortest side 800, longest at most 1333"
_LONGEST_TO_SHORTEST = 5 / 3


@dataclass(frozen=True)
class NetworkBoxes:
    """Boxes ``[x1, y1, x2, y2]`` (or another format) in the input of a network.

    Attributes:
        box_format: of :data:`.box_formats.FORMATS`
        resize: how images become the input. Width 1 stands for numbers from 0 to 1
    """

    box_format: str
    resize: ResizePolicy

    def __str__(self) -> str:
        order = str(BoxEncoding(self.box_format))
        if self.resize.width == 1:
            shape = self.resize.mode.replace("_", " ")
            return f"{order} from 0 to 1 of the input ({shape})"
        return f"{order} in the input of the network ({self.resize})"

    def in_pixels(
        self, raw: NDArray[np.float64], size: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Boxes ``[x1, y1, x2, y2]`` in pixels of their images.

        The padding of a letterbox is that of ultralytics' ``scale_boxes``, which rounds
        it to whole pixels.

        Args:
            raw: ``(n, 4)`` four numbers of each box
            size: ``(n, 2)`` width and height of the image of each box

        Returns:
            ``(n, 4)``
        """
        scale, offset = self.resize.scale(size), np.zeros_like(size)
        if self.resize.mode == "letterbox":
            offset = (self.resize.canvas(size) - size * scale) / 2
            if self.resize.width > 1:
                offset = np.round(offset - 0.1)
        made = corners(raw, self.box_format) - np.tile(offset, 2)
        return made / np.tile(scale, 2)


BoxReading = BoxEncoding | NetworkBoxes


def network_readings(
    raw: NDArray[np.float64],
    size: NDArray[np.float64],
    truth: NDArray[np.float64],
    pairs: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> Iterator[BoxReading]:
    """What boxes may mean if their images were resized, as the sides of boxes suggest.

    Of all pairs of a box and an object in an image, those that belong together agree on
    the scale, which is the most frequent one. Common sizes of inputs near it come
    before the measured one.

    Args:
        raw: ``(n, 4)`` four numbers of each box
        size: ``(n, 2)`` width and height of the image of each box
        truth: ``(m, 4)`` objects ``[x, y, width, height]`` in pixels
        pairs: two ``(P,)`` arrays, the box and the object of each pair

    Yields:
        readings, the simplest first
    """
    rows, things = pairs
    for box_format in FORMATS:
        made = corners(raw, box_format)
        sides = (made[:, 2:] - made[:, :2])[rows]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.log(sides / truth[things, 2:])
        in_image = np.log(size[rows])
        for factor in _agreed(ratio):
            if _LEAST_FACTOR < max(factor, 1 / factor) < _MOST_FACTOR:
                for value in (float(f"{factor:.2g}"), factor):
                    yield BoxEncoding(box_format, scale=(value, value))
        for mode, base in (("letterbox", np.max), ("shortest_side", np.min)):
            for side in _agreed(ratio + base(in_image, axis=1, keepdims=True)):
                for width in _round_sizes(side):
                    yield from _of_side(box_format, mode, width)
        by_axis = _agreed(ratio + in_image, apart=True)
        # The product of no sizes would be one, of none
        sizes = product(*map(_round_sizes, by_axis)) if by_axis else ()
        for width, height in sorted(sizes, key=lambda sides: sides[0] != sides[1]):
            yield NetworkBoxes(box_format, ResizePolicy("stretch", width, height))


def _of_side(box_format: str, mode: str, width: int) -> Iterator[NetworkBoxes]:
    """The ways of resizing that give images the same scale."""
    if mode == "letterbox":
        yield NetworkBoxes(box_format, ResizePolicy("longest_side", width))
        yield NetworkBoxes(box_format, ResizePolicy("letterbox", width))
        return
    yield NetworkBoxes(box_format, ResizePolicy("shortest_side", width))
    longest = int(width * _LONGEST_TO_SHORTEST)
    limited = ResizePolicy("shortest_side", width, max_side=longest)
    yield NetworkBoxes(box_format, limited)


def _agreed(ratio: NDArray[np.float64], *, apart: bool = False) -> list[float]:
    """The most frequent scales of width and height, none if few agree.

    Args:
        ratio: ``(P, 2)`` logarithms of the scales of each pair
        apart: whether both may differ; else there is one for both
    """
    votes = ratio[np.isfinite(ratio).all(axis=1)]
    if not apart:
        alike = np.ptp(votes, axis=1) <= _SAME_SHAPE
        votes = votes[alike].mean(axis=1, keepdims=True)
    if len(votes) < _FEWEST_VOTES:
        return []
    cells, counts = np.unique(np.floor(votes / _BIN), axis=0, return_counts=True)
    # Neighbors count too, as a peak may lie between two cells
    steps = list(product((-1, 0, 1), repeat=votes.shape[1]))
    around, place = np.unique(
        np.concatenate([cells + step for step in steps]), axis=0, return_inverse=True
    )
    total = np.bincount(place.ravel(), np.tile(counts, len(steps)))
    middle, near = (around[total.argmax()] + 0.5) * _BIN, votes[:0]
    for _ in range(_ROUNDS):
        near = votes[(np.abs(votes - middle) <= 1.5 * _BIN).all(axis=1)]
        if len(near) < _FEWEST_VOTES:
            return []
        middle = np.median(near, axis=0)
    scales: list[float] = np.exp(middle).tolist()
    return scales


def _round_sizes(side: float) -> list[int]:
    """Sizes of inputs that a measured side may be, the most common first."""
    if not 0.5 <= side <= 10_000:
        return []
    found = [step * round(side / step) for step in _STEPS]
    known = [size for size in found if size and abs(size / side - 1) <= _ROUND]
    return list(dict.fromkeys([*known, max(round(side), 1)]))
