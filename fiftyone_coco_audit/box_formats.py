"""What the four numbers of a box may mean, and which meaning fits a set of images.

Boxes of another format, unit or scale than COCO's look like many small faults: they
leave the image, have no size, or are tiny. Read as they were meant, they fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FORMATS = ("xyxy", "xywh", "cxcywh")

#: How far a box may extend beyond the border of its image, in pixels
OVER_BORDER = 1.0
#: A box with a shorter side, in pixels, is empty
LEAST_SIDE = 1.0

# How many misfits and fits suggest a common cause: fewer misfits are enough
# if all boxes fit in another format
_SIGNS = ((0.1, 0.95), (0.03, 0.99))
_FITS = _SIGNS[0][1]
# Among formats that fit about equally many boxes, the simpler one wins
_AS_MANY = 0.01
# Fewer boxes may fit any format by chance
_LEAST_BOXES, _LEAST_WRONG = 10, 3
# Boxes cut off by a border end within this share of the side of it
_AT_BORDER = 0.01
# The largest number in a unit must be at least this share of its limit
_NEAR_MOST = 0.9
# How much a scale must differ from 1 to be distinguishable from a set without objects
# near the right and lower borders
_LARGER, _SMALLER = 1.1, 0.7

# The largest number in each unit; pixels have none
_UNITS = {
    "pixels": None,
    "normalized": 1.0,
    "percent": 100.0,
    "thousandths": 1000.0,
}
_ORDERS = {
    ("xyxy", False): "[x1, y1, x2, y2]",
    ("xywh", False): "[x, y, width, height]",
    ("cxcywh", False): "[center x, center y, width, height]",
    ("xyxy", True): "[y1, x1, y2, x2]",
    ("xywh", True): "[y, x, height, width]",
}


def corners(
    raw: NDArray[np.float64], box_format: str, swapped: bool = False
) -> NDArray[np.float64]:
    """Boxes of a format as ``[x1, y1, x2, y2]``, in the same units.

    Args:
        raw: ``(n, 4)``
        box_format: of :data:`FORMATS`
        swapped: whether y comes before x

    Returns:
        ``(n, 4)``
    """
    if swapped:
        raw = raw[:, [1, 0, 3, 2]]
    if box_format == "xyxy":
        return raw
    first, size = raw[:, :2], raw[:, 2:]
    if box_format == "cxcywh":
        first = first - size / 2
    return np.hstack([first, first + size])


@dataclass(frozen=True)
class BoxEncoding:
    """A possible meaning of the four numbers of a box.

    Attributes:
        box_format: of :data:`FORMATS`
        unit: ``"pixels"``, ``"normalized"`` (0 to 1 of the image), ``"percent"`` or
            ``"thousandths"`` of it
        swapped: whether y comes before x
        scale: by what x and y of pixels have to be divided
    """

    box_format: str = "xywh"
    unit: str = "pixels"
    swapped: bool = False
    scale: tuple[float, float] = (1.0, 1.0)

    def __str__(self) -> str:
        order = _ORDERS[self.box_format, self.swapped]
        if self.scale != (1.0, 1.0):
            smaller = max(self.scale) < 1
            x, y = (f"{1 / f if smaller else f:.3g}" for f in self.scale)
            factors = x if x == y else f"{x} (x) and {y} (y)"
            return f"{order} {'multiplied' if smaller else 'divided'} by {factors}"
        if self.unit == "normalized":
            return f"{order} from 0 to 1"
        if self.unit == "percent":
            return f"{order} in percent of the image"
        if self.unit == "thousandths":
            other = " (or y first)" if self.box_format == "xyxy" else ""
            return f"{order}{other} from 0 to 1000"
        if self.may_be_swapped_size:
            return f"{order}, or in images whose width and height are swapped"
        return order

    @property
    def may_be_swapped_size(self) -> bool:
        """Whether boxes also fit if the width and height of images are swapped."""
        return self.swapped and self.box_format == "xywh" and self.unit == "pixels"

    def in_pixels(
        self, raw: NDArray[np.float64], size: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Boxes of this meaning, ``[x1, y1, x2, y2]`` in pixels.

        Args:
            raw: ``(n, 4)`` four numbers of each box
            size: ``(n, 2)`` width and height of the image of each box

        Returns:
            ``(n, 4)``
        """
        made = corners(raw, self.box_format, self.swapped)
        most = _UNITS[self.unit]
        if most is not None:
            made = made * np.tile(size, 2) / most
        return made / np.tile(self.scale, 2)

    def fits(
        self, raw: NDArray[np.float64], size: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Whether boxes of this meaning have a size and lie in their images.

        Args:
            raw: ``(n, 4)`` four numbers of each box
            size: ``(n, 2)`` width and height of the image of each box

        Returns:
            ``(n,)``
        """
        made = self.in_pixels(raw, size)
        low, high = made[:, :2], made[:, 2:]
        inside = (low >= -OVER_BORDER) & (high <= size + OVER_BORDER)
        # Boxes in pixels may be slightly thinner after division
        least = LEAST_SIDE / np.maximum(self.scale, 1)
        return np.all(inside & (high - low >= least), axis=1)

    def fills_unit(self, raw: NDArray[np.float64]) -> bool:
        """Whether numbers come near the largest of a unit that pixels may fit, too.

        Args:
            raw: ``(n, 4)`` four numbers of each box
        """
        most = _UNITS[self.unit]
        if most is None or self.unit == "normalized":
            return True
        edges = corners(raw, self.box_format, self.swapped)[:, 2:]
        return bool((edges.max(axis=0) >= _NEAR_MOST * most).all())


#: COCO's
EXPECTED = BoxEncoding()


@dataclass(frozen=True)
class FormatMismatch:
    """Boxes whose format is not the one that they are read in.

    Attributes:
        meaning: what fits
        share: the share of the boxes that fit under it
        share_as_read: the share that fit as they are read
    """

    meaning: BoxEncoding
    share: float
    share_as_read: float


def find_format_mismatch(
    raw: NDArray[np.float64], size: NDArray[np.float64]
) -> FormatMismatch | None:
    """Finds the format of boxes that do not fit their images.

    Sets of sound boxes are never found: all boxes but a tenth have to fit them as they
    are, unless none of many reaches beyond a fraction of its image.

    Args:
        raw: ``(n, 4)`` four numbers of each box, read as ``[x, y, width, height]``
        size: ``(n, 2)`` width and height of the image of each box, in pixels

    Returns:
        a :class:`FormatMismatch`, or None where the boxes fit or nothing else fits them
    """
    if len(raw) < _LEAST_BOXES:
        return None
    as_read = EXPECTED.fits(raw, size)
    share_as_read = float(as_read.mean())
    found = _best(meanings(), raw, size)
    if found is None or not _explains(found[1], as_read):
        found = _best((_in_corner(raw, size), _scaled(raw, size)), raw, size)
        if found is None or found[1] < _FITS:
            return None
    return FormatMismatch(*found, share_as_read)


def _best(
    options: Iterable[BoxEncoding | None],
    raw: NDArray[np.float64],
    size: NDArray[np.float64],
) -> tuple[BoxEncoding, float] | None:
    """The simplest of the formats that fit about as many boxes, and their share."""
    shares = {
        option: float(option.fits(raw, size).mean())
        for option in options
        if option is not None and option.fills_unit(raw)
    }
    if not shares:
        return None
    best = max(shares.values())
    return next(found for found in shares.items() if found[1] >= best - _AS_MANY)


def _explains(share: float, as_read: NDArray[np.bool_]) -> bool:
    wrong = 1 - float(as_read.mean())
    return int(np.count_nonzero(~as_read)) >= _LEAST_WRONG and any(
        wrong >= misfits and share >= max(fits, 1 - wrong + misfits)
        for misfits, fits in _SIGNS
    )


def meanings() -> Iterator[BoxEncoding]:
    """All meanings but the expected one and scales, the simplest first."""
    for swapped in (False, True):
        for unit in _UNITS:
            for box_format in FORMATS:
                meaning = BoxEncoding(box_format, unit, swapped)
                if meaning != EXPECTED and (box_format, swapped) in _ORDERS:
                    yield meaning


def _in_corner(
    raw: NDArray[np.float64], size: NDArray[np.float64]
) -> BoxEncoding | None:
    """Percent or thousandths: no number exceeds these, in much larger images."""
    for unit in ("percent", "thousandths"):
        most = _UNITS[unit]
        assert most is not None
        if (size <= 2 * most).any(axis=1).mean() > 1 - _FITS:
            continue
        for box_format in ("xywh", "cxcywh", "xyxy"):
            meaning = BoxEncoding(box_format, unit)
            edges = corners(raw, box_format)
            inside = (edges[:, 2:] <= (1 + _AT_BORDER) * most).all(axis=1)
            if (
                inside.mean() >= _SIGNS[1][1]
                and _is_spread(edges / most)
                and meaning.fills_unit(raw[inside])
                and meaning.fits(raw, size).mean() >= _FITS
            ):
                return meaning
    return None


def _is_spread(edges: NDArray[np.float64]) -> bool:
    """Whether boxes are all over the square from 0 to 1, not at one place of it."""
    return bool((np.quantile(edges[:, :2], 0.9, axis=0) >= 0.5).all())


def _scaled(raw: NDArray[np.float64], size: NDArray[np.float64]) -> BoxEncoding | None:
    """A scale that is the same for all: boxes cut off by a border show where it is."""
    share = (raw[:, :2] + raw[:, 2:]) / size
    scale = np.quantile(share, 0.995, axis=0)
    if not (np.isfinite(scale) & (scale > 0)).all():
        return None
    off = (scale > _LARGER) if (scale > 1).any() else (scale < _SMALLER)
    at_border = np.abs(share / scale - 1) <= _AT_BORDER
    enough = max(3.0, _AT_BORDER * len(raw))
    if not off.all() or (at_border.sum(axis=0) < enough).any():
        return None
    if not _is_spread(np.hstack([raw[:, :2] / size, share]) / np.tile(scale, 2)):
        return None
    # Most of those boxes end exactly at the border
    x, y = (
        float(np.median(share[near, axis])) for axis, near in enumerate(at_border.T)
    )
    return BoxEncoding(scale=(round(x, 3), round(y, 3)))
