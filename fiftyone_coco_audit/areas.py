"""Wrong areas of objects, and the size classes that they put objects into."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: COCO's ranges of object area in square pixels, including their bounds
AREA_RANGES = {
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e5**2),
}

# Polygons and pixels differ by less
_ALLOWED_SHARE = 0.25


def in_area_ranges(
    area: NDArray[np.float64], ranges: Iterable[tuple[float, float]]
) -> NDArray[np.bool_]:
    """Which areas lie in which range, as COCOeval decides it.

    Args:
        area: ``(N,)`` areas in square pixels
        ranges: least and greatest area of each of ``A`` ranges, included

    Returns:
        ``(A, N)``
    """
    bounds = np.array(list(ranges), np.float64).reshape(-1, 2)
    return (area >= bounds[:, :1]) & (area <= bounds[:, 1:])


def measured_areas(
    side: NDArray[np.float64], mask_area: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """The areas of masks, and of the boxes of objects that have none.

    Args:
        side: ``(N, 2)`` width and height of the boxes in pixels
        mask_area: ``(N,)`` pixels of the masks; NaN where an object has none, None
            where masks were not read

    Returns:
        ``(N,)`` areas in square pixels
    """
    box = np.maximum(side, 0).prod(axis=1)
    return box if mask_area is None else np.where(np.isnan(mask_area), box, mask_area)


def wrong_areas(
    area: NDArray[np.float64],
    side: NDArray[np.float64],
    mask_area: NDArray[np.float64] | None,
) -> NDArray[np.bool_]:
    """Whether an area cannot be that of the object.

    The area of a mask may differ from it by a quarter, or by a pixel all along half of
    the outline: polygons and pixels differ by that. Without a mask, an area less than
    that of the box may be that of a mask which the file does not have, down to a line
    through the box. A mask without pixels has no area to compare.

    Args:
        area: ``(N,)`` areas in square pixels, as they are given
        side: ``(N, 2)`` width and height of the boxes in pixels
        mask_area: ``(N,)`` pixels of the masks; NaN where an object has none, None
            where masks were not read

    Returns:
        ``(N,)``
    """
    measured = measured_areas(side, mask_area)
    has_mask = np.zeros(len(area), bool) if mask_area is None else ~np.isnan(mask_area)
    allowed = np.maximum(_ALLOWED_SHARE * measured, side.sum(axis=1))
    differs = np.abs(area - measured) > allowed
    line = side.max(axis=1) / 2
    impossible = (area < line) | (area > measured + allowed)
    return (measured >= 1) & np.where(has_mask, differs, impossible)


class SizeChange(NamedTuple):
    """Objects whose area puts them into another size class.

    Attributes:
        objects: how many they are
        most: how many of these change alike, where most do
        measured: the class that these are of, ``"none"`` if of none
        given: the class that their area puts them into, ``"none"`` if into none
    """

    objects: int
    most: int
    measured: str
    given: str


def size_change(
    names: Sequence[str], given: NDArray[np.bool_], measured: NDArray[np.bool_]
) -> SizeChange | None:
    """What areas do to the size classes of objects.

    Args:
        names: what the ``A`` classes are called
        given: ``(A, N)`` whether an object is in a class by its given area
        measured: ``(A, N)`` whether it is by its mask or box

    Returns:
        a :class:`SizeChange`, None if no object changes its class
    """
    changed = (given != measured).any(axis=0)
    if not changed.any():
        return None

    def first(inside: NDArray[np.bool_]) -> NDArray[np.int64]:
        # The last row stands for no class at all
        return np.vstack([inside[:, changed], np.ones(changed.sum(), bool)]).argmax(0)

    kinds = [*names, "none"]
    pair = first(measured) * len(kinds) + first(given)
    most = int(np.bincount(pair).argmax())
    true, said = divmod(most, len(kinds))
    return SizeChange(
        int(changed.sum()), int((pair == most).sum()), kinds[true], kinds[said]
    )
