"""Whether what is seen in an image is where it is in its file.

Edges are compared, since strong changes of color leave them in their place. Each part
of the file's image is looked for around its place in the delivered one. If the parts
have moved as one affine map says, so has the image. If none is found, it shows another.
The limits were measured on photos of COCO: rotations from 5 degrees, shifts from 15
pixels and crops to 90% are told from color jitter, inversion, noise, blur,
compression, shadows, fog and dropouts of any usual strength.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

#: The side of the images that are compared
SIDE = 96
#: The side of the parts, and how far from its place each is looked for
_PART, _REACH = 24, 16
#: Correlation of edges over the whole image above which nothing has moved
_SAME = 0.85
#: Correlations from which a part is found, and from which its image is the same
_FOUND, _STILL = 0.5, 0.4
#: Correlation of edges, and share of parts in their place, under which an image shows
#: something else
_UNLIKE = 0.2
#: The number of parts that must have moved alike, and their share of those found
_LEAST_PARTS, _ALIKE = 5, 0.6
#: How far parts may be from where the map has them, and from where they were
_NEAR, _FAR = 1.0, 1.5
#: Below this contrast of its edges, relative to the whole, a part counts as flat
_PLAIN = 0.3


@dataclass(frozen=True)
class Structure:
    """How what is seen in an image lies in comparison with its file.

    Attributes:
        correlation: of the edges
        still: the share of parts that are in their place
        moved: ``(2,)`` by how much the parts have moved in x and y, as the median of
            their distances from 0 to 1 of the image; zeros if they have not
    """

    correlation: float
    still: float
    moved: tuple[float, float] = (0.0, 0.0)

    @property
    def is_moved(self) -> bool:
        """Whether the image was shifted, turned, scaled or cropped."""
        return any(self.moved)

    @property
    def is_unlike(self) -> bool:
        """Whether nothing of the file is seen near its place."""
        return not self.is_moved and max(self.correlation, self.still) < _UNLIKE

    @property
    def is_same(self) -> bool:
        """Whether the image shows what its file does, each thing in its place."""
        return not self.is_moved and min(self.correlation, self.still) > _STILL


def edges(gray: NDArray[Any]) -> NDArray[np.float32]:
    """The strength of edges, as far as they stand out of what is around them.

    Args:
        gray: ``(96, 96)`` gray values of any range

    Returns:
        ``(96, 96)``
    """
    smooth = cv2.GaussianBlur(gray.astype(np.float32), (0, 0), 1.0)
    x, y = (cv2.Sobel(smooth, cv2.CV_32F, *axis) for axis in ((1, 0), (0, 1)))
    strength = np.sqrt(np.hypot(x, y))
    return np.asarray(strength - cv2.blur(strength, (31, 31)), np.float32)


def correlation(file: NDArray[np.float32], delivered: NDArray[np.float32]) -> float:
    """The correlation of two arrays."""
    centered = file - file.mean(), delivered - delivered.mean()
    length = np.sqrt(np.prod([(one**2).sum() for one in centered], dtype=np.float64))
    return float((centered[0] * centered[1]).sum() / max(length, 1e-12))


def compare_edges(
    file: NDArray[np.float32], delivered: NDArray[np.float32]
) -> Structure:
    """Finds out where the parts of a file's image are in the delivered one.

    Args:
        file: ``(96, 96)`` :func:`edges` of the file's image
        delivered: ``(96, 96)`` those of the delivered image, turned back

    Returns:
        a :class:`Structure`
    """
    whole = correlation(file, delivered)
    if whole >= _SAME:
        return Structure(whole, 1.0)
    padded = np.pad(delivered, _REACH)
    limit = _PLAIN * file.std()
    corners, found = [], []
    for top in range(0, SIDE, _PART):
        for left in range(0, SIDE, _PART):
            part = file[top : top + _PART, left : left + _PART]
            if part.std() <= limit:
                continue
            size = _PART + 2 * _REACH
            around = padded[top : top + size, left : left + size]
            values = cv2.matchTemplate(around, part, cv2.TM_CCOEFF_NORMED)
            values = np.nan_to_num(values, posinf=0, neginf=0)
            y, x = np.unravel_index(values.argmax(), values.shape)
            near = slice(_REACH - 1, _REACH + 2)
            corners.append((left, top))
            found.append((values.max(), values[near, near].max(), x, y))
    if not found:
        return Structure(whole, 0.0)
    table = np.array(found, np.float64)
    still = float((table[:, 1] > _STILL).mean())
    places = np.array(corners, np.float64)
    clear = table[:, 0] > _FOUND
    return Structure(
        whole, still, _moved(places[clear], table[clear, 2:] - _REACH, len(table))
    )


def _moved(
    places: NDArray[np.float64], steps: NDArray[np.float64], parts: int
) -> tuple[float, float]:
    """By how much parts have moved, if an affine map says so of most of them."""
    least = max(_LEAST_PARTS, _ALIKE * len(places), parts / 4)
    if len(places) < least:
        return 0.0, 0.0
    affine, _ = cv2.estimateAffine2D(
        places, places + steps, method=cv2.RANSAC, ransacReprojThreshold=_NEAR
    )
    if affine is None:
        return 0.0, 0.0
    mapped = places @ affine[:, :2].T + affine[:, 2]
    alike = np.abs(mapped - places - steps).max(axis=1) <= 1.5 * _NEAR
    if alike.sum() < least:
        return 0.0, 0.0
    way = (mapped - places)[alike]
    if np.median(np.hypot(*way.T)) < _FAR:
        return 0.0, 0.0
    x, y = np.median(np.abs(way), axis=0) / SIDE
    return float(x), float(y)
