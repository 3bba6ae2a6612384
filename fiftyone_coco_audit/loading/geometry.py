"""What the numbers of a loader's boxes may mean: a small family of interpretations.

An interpretation says how four numbers become a box in the image of the dataset. Boxes
are compared with the labels in coordinates from 0 to 1 of that image, where overlaps
are the same as in pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.box_formats import FORMATS, corners
from fiftyone_coco_audit.boxes import corner_iou
from fiftyone_coco_audit.loading.pictures import UNTURNED, Place, Turn

SWAPPED_SIZE = "normalized by height and width"
#: Possible units by name; the first two are right
SPACES = (
    "pixels",
    "normalized",
    "original pixels",
    "pixels without padding",
    "normalized without padding",
    "scaled twice",
    "normalized twice",
    "pixels over the original size",
    "original pixels over the new size",
    SWAPPED_SIZE,
    "other scale",
)
RIGHT = SPACES[:2]

#: How boxes may be turned: with their image, only the image, or only the boxes
MOTIONS = ("with the image", "as in the file", "though the image is not")
_FLIPS: tuple[Turn, ...] = (
    (False, True, False),
    (False, False, True),
    (False, True, True),
)


@dataclass(frozen=True)
class BoxInterpretation:
    """A possible meaning of the four numbers of a box.

    Attributes:
        box_format: of :data:`.box_formats.FORMATS`
        swapped: whether y comes before x
        space: of :data:`SPACES`
        motion: of :data:`MOTIONS`
    """

    box_format: str
    swapped: bool
    space: str
    motion: str

    def __str__(self) -> str:
        return f"{self.box_format} {self.space}"


@dataclass(frozen=True)
class ImagePlacement:
    """Where the image of the dataset is in the delivered one.

    Attributes:
        size: width and height of the image of the dataset
        delivered: width and height of what was delivered
        place: where in it the image is
        turns: the ways of turning that it may be
    """

    size: tuple[float, float]
    delivered: tuple[float, float]
    place: Place
    turns: tuple[Turn, ...]

    @property
    def is_moved(self) -> bool:
        """Whether it is surely turned or flipped."""
        return bool(self.turns) and UNTURNED not in self.turns


def interpretations(formats: Sequence[str] = FORMATS) -> list[BoxInterpretation]:
    """All readings, the simplest first."""
    return [
        BoxInterpretation(box_format, swapped, space, motion)
        for motion in MOTIONS
        for swapped in (False, True)
        for space in SPACES
        for box_format in formats
    ]


def interpret_boxes(
    raw: NDArray[np.float64],
    reading: BoxInterpretation,
    canvas: ImagePlacement,
    truth: NDArray[np.float64],
) -> list[NDArray[np.float64]]:
    """The boxes that a reading makes of numbers, in each way of turning it allows.

    Args:
        raw: ``(n, 4)`` four numbers of each box
        reading: what they may mean
        canvas: how the image lies in the one delivered
        truth: ``(m, 4)`` the labels ``[x1, y1, x2, y2]``, from 0 to 1, from which the
            scale is measured for "other scale"

    Returns:
        ``(n, 4)`` boxes ``[x1, y1, x2, y2]``, from 0 to 1, for each way
    """
    made = corners(raw, reading.box_format, reading.swapped)
    found = []
    for turn in _turns(reading.motion, canvas):
        for extent in _extents(canvas, turn):
            scaled = _to_unit(made, reading.space, canvas, turn, extent, truth)
            if scaled is not None:
                found.append(turn_back(scaled, turn))
    return found


def _turns(motion: str, canvas: ImagePlacement) -> tuple[Turn, ...]:
    if motion == "with the image":
        return canvas.turns or (UNTURNED, *_FLIPS)
    if motion == "as in the file":
        return (UNTURNED,) if canvas.is_moved else ()
    return () if canvas.is_moved or not canvas.turns else _FLIPS


def _extents(canvas: ImagePlacement, turn: Turn) -> Iterator[tuple[float, float]]:
    """Width and height that boxes of this turn may take the image to have."""
    width, height = canvas.place[2:]
    yield width, height
    if canvas.is_moved and canvas.turns[0][0] and not turn[0]:
        # Boxes of an upright image, multiplied by the scale of its turned image
        scale = width / canvas.size[1]
        yield canvas.size[0] * scale, canvas.size[1] * scale


def _to_unit(
    boxes: NDArray[np.float64],
    space: str,
    canvas: ImagePlacement,
    turn: Turn,
    extent: tuple[float, float],
    truth: NDArray[np.float64],
) -> NDArray[np.float64] | None:
    """Boxes from 0 to 1 of the image as it lies in the one delivered."""
    place = np.array(canvas.place)
    offset, content = np.tile(place[:2], 2), np.tile(extent, 2)
    delivered = np.tile(canvas.delivered, 2)
    size = np.tile(canvas.size[::-1] if turn[0] else canvas.size, 2)
    if space == "pixels":
        return (boxes - offset) / content
    if space == "normalized":
        return (boxes * delivered - offset) / content
    if space == "original pixels":
        return boxes / size
    if space == "pixels without padding":
        return boxes / content
    if space == "normalized without padding":
        return boxes
    if space == "scaled twice":
        return boxes * size / content**2
    if space == "normalized twice":
        return (boxes * delivered**2 - offset) / content
    if space == "pixels over the original size":
        return (boxes * size - offset) / content
    if space == "original pixels over the new size":
        return boxes * delivered / size
    if space == SWAPPED_SIZE:
        return (boxes * delivered[::-1] - offset) / content
    factor = scale_of(boxes, turn_forth(truth, turn) * content + offset)
    return None if factor is None else (boxes / np.tile(factor, 2) - offset) / content


def scale_of(
    boxes: NDArray[np.float64], truth: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """The factors from the x and y of labels to those of boxes, by least squares.

    Args:
        boxes: ``(n, 4)`` ``[x1, y1, x2, y2]``
        truth: ``(n, 4)`` the labels, in the same order

    Returns:
        the factors of x and y; None if unknown, because there are not as many
        boxes as labels, or fewer than two
    """
    if len(boxes) != len(truth) or len(boxes) < 2:
        return None
    pairs = boxes.reshape(-1, 2), truth.reshape(-1, 2)
    below = (pairs[1] ** 2).sum(axis=0)
    if (below == 0).any():
        return None
    factor: NDArray[np.float64] = (pairs[0] * pairs[1]).sum(axis=0) / below
    return factor if (factor > 0).all() else None


def turn_forth(boxes: NDArray[np.float64], turn: Turn) -> NDArray[np.float64]:
    """Turns boxes ``[x1, y1, x2, y2]``, from 0 to 1, as their image is turned."""
    transpose, flip_x, flip_y = turn
    if transpose:
        boxes = boxes[:, [1, 0, 3, 2]]
    return _flipped(boxes, flip_x, flip_y)


def turn_back(boxes: NDArray[np.float64], turn: Turn) -> NDArray[np.float64]:
    """Undoes :func:`turn_forth`."""
    transpose, flip_x, flip_y = turn
    boxes = _flipped(boxes, flip_x, flip_y)
    return boxes[:, [1, 0, 3, 2]] if transpose else boxes


def _flipped(
    boxes: NDArray[np.float64], flip_x: bool, flip_y: bool
) -> NDArray[np.float64]:
    boxes = boxes.copy()
    if flip_x:
        boxes[:, [0, 2]] = 1 - boxes[:, [2, 0]]
    if flip_y:
        boxes[:, [1, 3]] = 1 - boxes[:, [3, 1]]
    return boxes


def overlaps(
    boxes: NDArray[np.float64],
    truth: NDArray[np.float64],
    tolerance: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """The overlap of every box with every label.

    Args:
        boxes: ``(..., n, 4)`` ``[x1, y1, x2, y2]``
        truth: ``(m, 4)``
        tolerance: ``(2,)`` what x and y may be wrong by to overlap in full; small
            boxes hardly overlap when they are rounded to pixels

    Returns:
        ``(..., n, m)`` intersection over union; 0 for boxes without an area
    """
    boxes = boxes[..., :, None, :]
    found = corner_iou(boxes, truth)
    if tolerance is None:
        return found
    near = (np.abs(boxes - truth) <= np.tile(tolerance, 2)).all(axis=-1)
    return np.where(near, 1.0, found)


def agreements(
    ways: Sequence[NDArray[np.float64]],
    truth: NDArray[np.float64],
    tolerance: NDArray[np.float64] | None = None,
) -> list[float]:
    """How well boxes agree with labels, of which some may have no box.

    Args:
        ways: ``W`` times the same boxes read in another way, ``(n, 4)`` ``[x1, y1, x2,
            y2]``
        truth: ``(m, 4)``
        tolerance: see :func:`overlaps`

    Returns:
        ``W`` means, over the boxes, of the best overlap with a label; 0 without labels
    """
    if not ways or not len(ways[0]) or not len(truth):
        return [0.0] * len(ways)
    found = overlaps(np.stack(ways), truth, tolerance)
    means: list[float] = found.max(axis=-1).mean(axis=-1).tolist()
    return means
