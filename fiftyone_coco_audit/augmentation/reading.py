"""The image of a sample, in the size and orientation of its labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.decoding import decode, read_file
from fiftyone_coco_audit.errors import CocoAuditError


def read_image(filepath: str, size: Sequence[float]) -> NDArray[np.uint8]:
    """Reads an image whose labels are for an image of a given size.

    Args:
        filepath: the path of the image
        size: the width and height that its sample has; NaN where it has none

    Returns:
        ``(H, W, 3)`` the image, RGB

    Raises:
        CocoAuditError: if it cannot be read, or has another size
    """
    try:
        image = decode(read_file(filepath))
    except Exception as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise CocoAuditError(
            f"The image cannot be read: {reason or type(error).__name__}"
        ) from error
    height, width = image.shape[:2]
    if not np.isnan(size).any() and tuple(size) != (width, height):
        raise CocoAuditError(
            f"The image has {width} x {height} pixels, but its sample says "
            f"{size[0]:g} x {size[1]:g}, so its labels may be misplaced: run dry_run "
            "to see which of the two sizes the boxes fit, and what to do"
        )
    return image
