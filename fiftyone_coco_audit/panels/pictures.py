"""Image files as pictures for a browser."""

from __future__ import annotations

import base64
from typing import Any

import cv2
from numpy.typing import NDArray

from fiftyone_coco_audit.decoding import decode, read_file

#: The longest side of a picture in pixels: that of half a window
LONGEST_SIDE = 1000

_QUALITY = 85
# The factors by which JPEG decoders can reduce the size
_REDUCTIONS = (8, 4, 2, 1)


def picture_of(path: str, longest: int, most: int = LONGEST_SIDE) -> str | None:
    """An image file as a ``data:`` URI, upright and no larger than it is shown.

    Args:
        path: the path of the file
        longest: the longest side of the image in pixels
        most: that of the picture

    Returns:
        the URI of a JPEG, or None if the file is missing or cannot be decoded
    """
    reduction = next(by for by in _REDUCTIONS if by == 1 or longest / by > most)
    try:
        pixels: NDArray[Any] = decode(read_file(path), reduction=reduction)
    except Exception:
        # Whatever is wrong with the file, it has no picture
        return None
    factor = most / max(pixels.shape[:2])
    if factor < 1:
        pixels = cv2.resize(
            pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA
        )
    _, data = cv2.imencode(
        ".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    )
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
