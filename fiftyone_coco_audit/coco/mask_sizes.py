"""Masks of another size than their image, such as the input of a network.

A mask that was made at the size of a network's input is over the whole image, stretched
or letterboxed. The box of the record decides: the mask has to be in it. Without a box,
only a mask of the image's aspect ratio has one meaning.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit import rle
from fiftyone_coco_audit.boxes import box_iou
from fiftyone_coco_audit.objects import RLE

# A mask is decoded to be resized; more would take too much memory
_MOST_PIXELS = 2**26
# Sides are rounded, up or down
_ROUNDING = 1.0
# A box that is drawn around a mask, or predicted with it, overlaps it more
_OVERLAP = 0.7


def fit_to_image(
    segmentation: dict[str, Any],
    width: int,
    height: int,
    box: NDArray[np.float64],
) -> tuple[dict[str, Any], str] | None:
    """Brings run lengths of another size to that of the image.

    Args:
        segmentation: a dict of ``size`` and ``counts``
        width: of the image in pixels
        height: of the image in pixels
        box: the box of the record, ``[x, y, width, height]``, NaN if it has none

    Returns:
        a tuple of the segmentation at the size of the image, by the nearest pixels, and
        how it was read; None if it has that size already, or its own has no meaning
        that the box confirms
    """
    size = segmentation.get("size")
    size = list(size) if isinstance(size, tuple) else size
    if not (
        isinstance(size, list)
        and len(size) == 2
        and all(isinstance(side, int) and side > 0 for side in size)
        and size != [height, width]
        and max(size[0] * size[1], width * height) <= _MOST_PIXELS
    ):
        return None
    own, image = np.array([[size[1], size[0]]]), np.array([width, height])
    (text,) = rle.compress([{**segmentation, "size": size}], own)
    if isinstance(text, rle.Broken):
        return None
    masks = rle.masks_of([text], own)
    readings = _readings(own[0].astype(float), image.astype(float))
    around = rle.mask_boxes(masks)[0]
    overlaps = np.zeros(len(readings))
    is_resized = _has_shape(own[0], image)
    about = f"its size is {size}, but the image has {[height, width]}"
    if not np.isnan(box).any():
        overlaps = box_iou(
            np.array([_in_image(around, at, side, image) for _, at, side in readings]),
            box,
        )
        # Else the box may be in the mask's pixels, too, which is found out later
        is_resized &= bool(box_iou(around, box) >= _OVERLAP)
        if size == [width, height]:
            (swapped,) = rle.mask_boxes(rle.masks_of([text], image[None]))
            if box_iou(swapped, box) >= max(_OVERLAP, overlaps.max()):
                whole = {"size": [height, width], "counts": text}
                return whole, f"{about}, so width and height were swapped"
    if overlaps.max() < _OVERLAP and not is_resized:
        return None
    name, start, side = readings[int(np.argmax(overlaps))]
    pixels = _resampled(masks[0], start, side, image)
    whole = {"size": [height, width], "counts": pixels}
    return whole, f"{about}, so it was read as {name}"


_Reading = tuple[str, NDArray[np.float64], NDArray[np.float64]]


def _readings(own: NDArray[np.float64], image: NDArray[np.float64]) -> list[_Reading]:
    """Where the image is in a mask: its corner and its sides.

    Args:
        own: ``(2,)`` width and height of the mask
        image: ``(2,)`` width and height of the image
    """
    inside = image * (own / image).min()
    zero = np.zeros(2)
    return [
        ("the resized image", zero, own),
        ("the letterboxed image", (own - inside) / 2, inside),
        ("the image, padded at the right or below", zero, inside),
    ]


def _has_shape(own: NDArray[np.int64], image: NDArray[np.int64]) -> bool:
    """Whether a mask has the aspect ratio of its image, up to rounded sides."""
    low, high = (own - _ROUNDING) / image, (own + _ROUNDING) / image
    return bool(low.max() < high.min())


def _in_image(
    box: NDArray[np.float64],
    start: NDArray[np.float64],
    side: NDArray[np.float64],
    image: NDArray[np.int64],
) -> NDArray[np.float64]:
    """A box in a mask, in pixels of the image."""
    scale = image / side
    return np.concatenate([(box[:2] - start) * scale, box[2:] * scale])


def _resampled(
    mask: RLE,
    start: NDArray[np.float64],
    side: NDArray[np.float64],
    image: NDArray[np.int64],
) -> str:
    """The run lengths of a part of a mask, by the nearest pixels of an image."""
    from pycocotools import mask as coco_mask

    pixels = coco_mask.decode(mask)
    x, y = (
        (start[axis] + (np.arange(image[axis]) + 0.5) * side[axis] / image[axis])
        .astype(int)
        .clip(0, pixels.shape[1 - axis] - 1)
        for axis in (0, 1)
    )
    text: str = coco_mask.encode(np.asfortranarray(pixels[np.ix_(y, x)]))[
        "counts"
    ].decode()
    return text
