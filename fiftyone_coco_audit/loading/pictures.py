"""Images from a loader, compared with their files.

What is compared is a thumbnail of 16 x 16: it withstands resizing, normalization and
changes of color, and tells flips, turns, swapped channels and other images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.files import open_file
from fiftyone_coco_audit.loading import structure
from fiftyone_coco_audit.loading.structure import Structure

SIDE = 16
#: Correlation of thumbnails from which two images count as the same
SAME = 0.85
#: Turns that are this much worse than the best are wrong
CLEARLY_WORSE = 0.04
#: Places in the delivered image whose correlations differ by less count as equal
NEARLY_SAME = 0.01
#: Standard deviation of gray values, in [0, 255], below which nothing can be recognized
FLAT = 1.0
# The types that OpenCV can resize
_MOST_CHANNELS = 4

#: ``(transpose, flip x, flip y)``, done in this order: the 8 ways to turn and to flip
TURNS = tuple(
    (transpose, flip_x, flip_y)
    for transpose in (False, True)
    for flip_x in (False, True)
    for flip_y in (False, True)
)
Turn = tuple[bool, bool, bool]
UNTURNED: Turn = (False, False, False)

#: x, y, width and height of the part of a delivered image that is the file's image
Place = tuple[float, float, float, float]


@dataclass(frozen=True)
class Reference:
    """The image of a file, as the labels see it.

    Attributes:
        thumbnail: ``(16, 16, 3)`` RGB
        orientation: what its EXIF data say; 1 is upright
        gray: ``(8, 256)`` its gray values in each of :data:`TURNS`, standardized
        large: ``(96, 96)`` its gray values, for :mod:`.structure`
    """

    thumbnail: NDArray[np.float32]
    orientation: int
    gray: NDArray[np.float32]
    large: NDArray[np.uint8]


@dataclass(frozen=True)
class Likeness:
    """How a delivered image is made of an image.

    Attributes:
        turns: the ways of turning that it may be; several if the image is symmetric;
            none if it is not that image, or not as a whole
        place: where in the delivered image it is
        others: where else it may be as far as one can see, next to little padding
        correlation: of the thumbnails
        color: the correlation of red minus blue with that of the file: -1 where the
            channels are swapped; NaN where there is no color
    """

    turns: tuple[Turn, ...]
    place: Place
    correlation: float
    color: float = np.nan
    others: tuple[Place, ...] = ()


def read_reference(filepath: str, size: tuple[float, float]) -> Reference | None:
    """Reads the image of a file.

    Args:
        filepath: the path
        size: width and height that the labels are for: an image that is turned by its
            EXIF data is taken as it is stored if its labels are

    Returns:
        a :class:`Reference`; None if the file cannot be read
    """
    from PIL import Image, ImageOps

    try:
        with open_file(filepath) as file, Image.open(file) as image:
            orientation = image.getexif().get(274, 1)
            stored = image.size
            image.draft("RGB", (8 * SIDE, 8 * SIDE))
            upright = ImageOps.exif_transpose(image)
            as_stored = stored == size and stored[::-1] != size and orientation > 4
            turned = (image if as_stored else upright).convert("RGB")
            small = turned.resize((SIDE, SIDE), Image.Resampling.BOX)
            large = turned.resize((structure.SIDE,) * 2, Image.Resampling.BOX)
    except Exception:
        return None
    thumbnail = np.asarray(small, np.float32)
    gray = thumbnail.mean(axis=2)
    if gray.std() < FLAT:
        return None
    turned_gray = np.stack([turn_array(gray, turn).ravel() for turn in TURNS])
    return Reference(
        thumbnail,
        int(orientation),
        _standardized(turned_gray),
        np.asarray(large, np.float32).mean(axis=2).astype(np.uint8),
    )


def turn_array(array: NDArray[Any], turn: Turn) -> NDArray[Any]:
    """Turns the first two axes of an array."""
    transpose, flip_x, flip_y = turn
    if transpose:
        array = np.swapaxes(array, 0, 1)
    if flip_x:
        array = array[:, ::-1]
    return array[::-1] if flip_y else array


def compare(
    image: NDArray[Any], reference: Reference, size: tuple[float, float]
) -> Likeness:
    """Finds out how a delivered image is made of an image.

    Args:
        image: ``(height, width, channels)`` or ``(height, width)``, of any range
        reference: the image
        size: its width and height

    Returns:
        a :class:`Likeness`
    """
    image = image if image.ndim == 3 else image[..., None]
    # It is unknown which bands of a multispectral image are red and blue
    colored = image.shape[2] <= _MOST_CHANNELS
    found: dict[Turn, tuple[float, Place, NDArray[np.float32]]] = {}
    values: list[tuple[Turn, Place, float]] = []
    for transposed in (False, True):
        rows = [row for row, turn in enumerate(TURNS) if turn[0] == transposed]
        dimensions = size[::-1] if transposed else size
        for place in places(image, dimensions):
            thumbnail = _thumbnail(image, place)
            gray = thumbnail.mean(axis=2)
            if not np.isfinite(gray).all() or gray.std() == 0:
                continue
            likeness = reference.gray[rows] @ _standardized(gray.reshape(1, -1))[0]
            for row, value in zip(rows, likeness.tolist(), strict=True):
                values.append((TURNS[row], place, value))
                # The first of several equal places is the simplest
                if value > found.get(TURNS[row], (-1.0,))[0] + NEARLY_SAME:
                    found[TURNS[row]] = value, place, thumbnail
    if not found:
        return Likeness((), (0, 0, image.shape[1], image.shape[0]), 0.0)
    best = max(found, key=lambda turn: found[turn][0])
    correlation, place, thumbnail = found[best]
    turns = tuple(
        turn
        for turn, (value, _, _) in found.items()
        if correlation >= SAME and value > correlation - CLEARLY_WORSE
    )
    color = np.nan
    if turns and colored:
        color = _color(thumbnail, turn_array(reference.thumbnail, best))
    alike = dict.fromkeys(
        other
        for turn, other, value in values
        if turn == best and other != place and value > correlation - NEARLY_SAME
    )
    return Likeness(turns, place, correlation, color, tuple(alike))


@dataclass(frozen=True)
class Located:
    """What a delivered image shows, and where.

    Attributes:
        structure: whether that is where it should be
        place: where in the delivered image the file's image fits best
        turn: the way of turning that fits best
        contrast: how many times as far apart its gray values are as in the file
    """

    structure: Structure
    place: Place
    turn: Turn
    contrast: float


def locate(
    image: NDArray[Any],
    reference: Reference,
    candidates: Sequence[Place],
    turns: Sequence[Turn],
) -> Located:
    """Finds out whether what is seen in a delivered image is where it should be.

    Args:
        image: ``(height, width, channels)`` or ``(height, width)``, of any range
        reference: the image that it should be
        candidates: where in the delivered image it may be
        turns: the ways of turning that it may be

    Returns:
        what is known of it
    """
    image = image if image.ndim == 3 else image[..., None]
    file = structure.edges(reference.large)
    best, chosen = -np.inf, (candidates[0], turns[0], file, file, 0.0)
    for place in candidates:
        gray = _thumbnail(image, place, structure.SIDE).mean(axis=2)
        delivered = structure.edges(gray)
        for turn in turns:
            turned = turn_array(file, turn)
            value = structure.correlation(turned, delivered)
            # The first of several equal ones is the simplest
            if value > best + NEARLY_SAME:
                best = value
                chosen = place, turn, turned, delivered, float(gray.std())
    place, turn, turned, delivered, spread = chosen
    found = structure.compare_edges(np.ascontiguousarray(turned), delivered)
    contrast = spread / max(float(reference.large.std()), 1e-12)
    return Located(found, place, turn, contrast)


def places(image: NDArray[Any], size: tuple[float, float]) -> Iterator[Place]:
    """Where in a delivered image the file's image may be, the simplest first.

    Args:
        image: ``(height, width, channels)``
        size: width and height of the file's image

    Yields:
        all of it; without padding in the middle, or at the right and the bottom, with
        the image as large as fits, or as it was; likewise at the left, at the top or
        both, where a flip has come after the padding; or without a border of one color
    """
    height, width = image.shape[:2]
    scale = min(width / size[0], height / size[1])
    fit = size[0] * scale, size[1] * scale
    yield 0.0, 0.0, float(width), float(height)
    if abs(fit[0] - width) > 1 or abs(fit[1] - height) > 1:
        yield from _padded((width, height), fit)
    elif (width, height) == size:
        return
    if size[0] <= width and size[1] <= height:
        yield from _padded((width, height), size)
    trimmed = _without_border(image)
    if trimmed is not None:
        ratio = trimmed[2] / trimmed[3] * size[1] / size[0]
        if 0.97 < ratio < 1.03:
            yield trimmed


def _padded(
    delivered: tuple[float, float], size: tuple[float, float]
) -> Iterator[Place]:
    """Where an image of a size can be in a larger one."""
    left, top = delivered[0] - size[0], delivered[1] - size[1]
    yield left / 2, top / 2, *size
    yield 0.0, 0.0, *size
    for x, y in dict.fromkeys([(left, 0.0), (0.0, top), (left, top)]):
        if (x, y) != (0.0, 0.0):
            yield x, y, *size


def thumbnails(image: NDArray[Any]) -> list[NDArray[np.float32]]:
    """The gray values of an image, with and without a border of one color.

    Args:
        image: ``(height, width, channels)`` or ``(height, width)``

    Returns:
        ``(256,)`` each, standardized as those of a :class:`Reference`
    """
    image = image if image.ndim == 3 else image[..., None]
    whole = (0.0, 0.0, float(image.shape[1]), float(image.shape[0]))
    parts = [whole, _without_border(image)]
    return [
        _standardized(_thumbnail(image, part).mean(axis=2).reshape(1, -1))[0]
        for part in parts
        if part is not None
    ]


def _without_border(image: NDArray[Any]) -> Place | None:
    """The part of an image that is not of the color of a corner."""
    height, width = image.shape[:2]
    for corner in (image[-1, -1], image[0, 0]):
        # If one row and one column in eight have no border, there is none
        found = image
        for part in (image[::8, ::8], image):
            found = (part != corner).any(axis=2)
            if found[:, [0, -1]].any(axis=0).all() and found[[0, -1]].any(axis=1).all():
                break
        else:
            columns = np.flatnonzero(found.any(axis=0))
            rows = np.flatnonzero(found.any(axis=1))
            if len(columns) and (len(columns) < width or len(rows) < height):
                left, top = float(columns[0]), float(rows[0])
                right, bottom = float(columns[-1] + 1), float(rows[-1] + 1)
                return left, top, right - left, bottom - top
    return None


def _thumbnail(
    image: NDArray[Any], place: Place, side: int = SIDE
) -> NDArray[np.float32]:
    import cv2

    left, top, width, height = place
    # A part of a pixel counts as one, also at the end
    y = min(round(top), image.shape[0] - 1)
    x = min(round(left), image.shape[1] - 1)
    rows = slice(y, max(round(top + height), y + 1))
    columns = slice(x, max(round(left + width), x + 1))
    part = image[rows, columns]
    if part.shape[2] > _MOST_CHANNELS:
        part = part[..., :3]
    # A few samples of a large image are enough for a mean
    step = max(min(part.shape[:2]) // max(8 * SIDE, 3 * side), 1)
    part = part[::step, ::step]
    if part.dtype not in (np.uint8, np.float32):
        part = part.astype(np.float32)
    small = cv2.resize(
        np.ascontiguousarray(part), (side, side), interpolation=cv2.INTER_AREA
    )
    return small.reshape(side, side, -1).astype(np.float32)


def _standardized(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of mean 0 and length 1, whose product is their correlation."""
    centered = rows - rows.mean(axis=1, keepdims=True)
    length = np.sqrt((centered**2).sum(axis=1, keepdims=True))
    return centered / np.maximum(length, 1e-12)


def _color(thumbnail: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    if thumbnail.shape[2] < 3:
        return np.nan
    pairs = [
        (image[..., 0] - image[..., 2]).reshape(1, -1)
        for image in (thumbnail, reference)
    ]
    if pairs[1].std() < 2 * FLAT or pairs[0].std() == 0:
        return np.nan
    return float((_standardized(pairs[0]) * _standardized(pairs[1])).sum())
