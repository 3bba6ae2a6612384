"""Image files as pictures for a browser."""

from __future__ import annotations

import base64
from pathlib import Path

import cv2
import numpy as np

#: The longest side of a picture in pixels: that of half a window
LONGEST_SIDE = 1000

_QUALITY = 85
# Decoders of JPEG skip what such a size does not need
_REDUCED = {
    8: cv2.IMREAD_REDUCED_COLOR_8,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    1: cv2.IMREAD_COLOR,
}


def picture_of(path: str, longest: int, most: int = LONGEST_SIDE) -> str | None:
    """An image file as a ``data:`` URI, upright and no larger than it is shown.

    Args:
        path: the path of the file
        longest: the longest side of the image in pixels
        most: that of the picture

    Returns:
        the URI of a JPEG, or None if the file is not there or cannot be decoded
    """
    flag = next(flag for by, flag in _REDUCED.items() if by == 1 or longest / by > most)
    try:
        pixels = cv2.imdecode(np.frombuffer(Path(path).read_bytes(), np.uint8), flag)
    except (OSError, ValueError, cv2.error):
        return None
    if pixels is None:
        return None
    factor = most / max(pixels.shape[:2])
    if factor < 1:
        pixels = cv2.resize(
            pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA
        )
    _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
