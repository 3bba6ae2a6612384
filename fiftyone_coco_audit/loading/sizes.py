"""Images of another size than their labels are for: which of the two the labels fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.wording import counted

#: Boxes may be this many pixels outside of their image, for rounding
OUTSIDE_TOLERANCE = 1.0

Size = tuple[float, float]


class OtherSize(NamedTuple):
    """How an image differs from the size that its labels are for.

    Attributes:
        swapped: whether width and height are those of the other, swapped
        fits_recorded: whether all boxes are inside the recorded size
        fits_image: whether all boxes are inside the image
    """

    swapped: bool
    fits_recorded: bool
    fits_image: bool


def compare_sizes(recorded: Size, image: Size, boxes: NDArray[np.float64]) -> OtherSize:
    """Finds out which of two sizes boxes fit.

    Args:
        recorded: width and height that the dataset says, in pixels
        image: those of the image
        boxes: ``(n, 4)`` ``[x, y, width, height]`` in pixels of the recorded size

    Returns:
        an :class:`OtherSize`
    """
    low = boxes[:, :2].min(initial=0)
    corner = (boxes[:, :2] + boxes[:, 2:]).max(axis=0, initial=0)

    def fits(size: Size) -> bool:
        inside = (corner <= np.array(size) + OUTSIDE_TOLERANCE).all()
        return bool(inside and low >= -OUTSIDE_TOLERANCE)

    return OtherSize(recorded == image[::-1], fits(recorded), fits(image))


def other_size_sentence(recorded: Size, image: Size, other: OtherSize) -> str:
    """Says that an image has another size than recorded, and which its boxes fit."""
    sizes = [f"{width:g} x {height:g}" for width, height in (image, recorded)]
    fit = {
        (True, True): "both",
        (True, False): f"only {sizes[0]}",
        (False, True): f"only {sizes[1]}",
        (False, False): "neither",
    }[other.fits_image, other.fits_recorded]
    return (
        f"The image decodes to {sizes[0]}, but its labels are for {sizes[1]}; its "
        f"boxes fit {fit}."
    )


def size_notes(found: Iterable[OtherSize], turned: bool) -> list[str]:
    """Says of all images of another size which one their boxes fit, and what to do.

    Args:
        found: of each such image
        turned: whether images are turned by their EXIF data when they are read

    Returns:
        a sentence or two for each kind of them
    """
    counts = Counter(found)
    image_only = sum(n for o, n in counts.items() if o.fits_image > o.fits_recorded)
    recorded = {o: n for o, n in counts.items() if o.fits_recorded > o.fits_image}
    as_stored = sum(n for o, n in recorded.items() if o.swapped)
    scaled = sum(n for o, n in recorded.items() if not o.swapped)
    unclear = counts.total() - image_only - as_stored - scaled
    notes = []
    if image_only:
        notes.append(
            f"The boxes of {counted(image_only, 'image')} fit the image, not the "
            "recorded size: correct width and height in the COCO file and import it "
            "again. compute_metadata(overwrite=True) would move the boxes, which "
            "FiftyOne stores relative to the recorded size."
        )
    if as_stored:
        advice = (
            "read images without it (cv2.IMREAD_IGNORE_ORIENTATION, "
            "Decoding(exif=False) here), or turn the boxes too."
            if turned
            else "apply the EXIF orientation of the images when you read them."
        )
        notes.append(
            f"The boxes of {counted(as_stored, 'image')} fit the recorded size, which "
            f"has width and height swapped, as if EXIF data turned the image: {advice}"
        )
    if scaled:
        notes.append(
            f"The boxes of {counted(scaled, 'image')} fit the recorded size, not the "
            "image: use the images that were labeled, or scale width, height and "
            "boxes in the COCO file and import it again."
        )
    if unclear:
        notes.append(
            f"The boxes of {counted(unclear, 'image')} with another size than "
            "recorded fit both sizes or neither: look at some before you change "
            "anything. compute_metadata(overwrite=True) would move them."
        )
    return notes
