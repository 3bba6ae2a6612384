"""Samples of a loader, each matched with its image and its labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.loading.geometry import ImagePlacement
from fiftyone_coco_audit.loading.pictures import (
    SAME,
    SIDE,
    TURNS,
    Reference,
    compare,
    locate,
    places,
    read_reference,
    thumbnails,
)
from fiftyone_coco_audit.loading.targets import LoadedSample
from fiftyone_coco_audit.loading.values import Values
from fiftyone_coco_audit.objects import LabeledImages

#: What the pixels show: the right image, another one of the dataset, neither of them
#: as a whole, one color though the file has more, or nothing that can be recognized
Pixels = Literal["same", "other", "altered", "blank", "unknown"]

#: How many failed searches for images in the whole dataset end the search
LAST_SEARCH = 20
#: The number of places where an image is searched if its colors differ from its file
MOST_PLACES = 3
#: Smaller shifts of delivered pixels may come from resizing
LEAST_MOVED = 2.0


@dataclass(frozen=True)
class MatchedSample:
    """A sample of a loader, and its image in the dataset.

    Attributes:
        position: of the image whose labels it is compared with
        claimed: whether the loader itself says which image it is
        pixels: what its pixels show
        other: the position of the image that its pixels are of, if it is another
        canvases: how the image may lie in the one delivered
        orientation: what the EXIF data of the file say; 1 is upright
        color: correlation of red minus blue with that of the file; NaN if not known
        sample: what was loaded, without its pixels
        moved: by how many delivered pixels what is seen was moved, in x and y
        unlike: whether what is seen is nowhere near its place in the file
        values: what is known of the values of its pixels
    """

    position: int
    claimed: bool
    pixels: Pixels
    other: int
    canvases: tuple[ImagePlacement, ...]
    orientation: int
    color: float
    sample: LoadedSample
    moved: tuple[float, float] = (0.0, 0.0)
    unlike: bool = False
    values: Values | None = None


class SampleMatcher:
    """Finds which image each sample shows, and where its pixels are in it.

    Args:
        labeled: the images and their labels
        image_ids: the ids that the loader may call the images by, by default their
            positions
    """

    def __init__(
        self, labeled: LabeledImages, image_ids: Sequence[Any] | None = None
    ) -> None:
        self.labeled = labeled
        ids = range(len(labeled)) if image_ids is None else image_ids
        self.position_of = {str(one): row for row, one in enumerate(ids)}
        self.unknown_ids = 0
        self._references: dict[int, Reference | None] = {}
        self._vain_searches = 0

    def match(self, sample: LoadedSample, number: int) -> MatchedSample | None:
        """Finds the image of a sample, and compares their pixels.

        Args:
            sample: the sample
            number: its number in the order of the loader, which says which image it is
                unless the sample does, or its pixels say otherwise

        Returns:
            a :class:`MatchedSample`; None if nothing says which image it is
        """
        claimed = sample.image_id is not None
        position: int | None = number if number < len(self.labeled) else None
        if claimed:
            position = self.position_of.get(str(sample.image_id))
            self.unknown_ids += position is None
        image = sample.image
        bare = replace(sample, image=None)
        if image is None:
            if position is None:
                return None
            size = self._size(position)
            whole = ImagePlacement(size, size, (0.0, 0.0, *size), ())
            return MatchedSample(
                position, claimed, "unknown", -1, (whole,), 1, np.nan, bare
            )
        held = None if position is None else self._compared(image, position, bare)
        known = ("same", "blank", "unknown")
        if held is not None and (held.pixels in known or any(held.moved)):
            return replace(held, claimed=claimed)
        found = self._search(image)
        if found is None or found == position:
            return held and replace(held, claimed=claimed)
        if position is None or not claimed:
            return self._compared(image, found, bare)
        elsewhere = self._compared(image, found, bare)
        return MatchedSample(
            position, True, "other", found, elsewhere.canvases, 1, np.nan, bare
        )

    def _compared(
        self, image: NDArray[Any], position: int, bare: LoadedSample
    ) -> MatchedSample:
        size = self._size(position)
        delivered = float(image.shape[1]), float(image.shape[0])
        shape = image if image.ndim == 3 else image[..., None]
        reference = self._reference(position)
        if reference is None:
            anywhere = tuple(
                ImagePlacement(size, delivered, p, ()) for p in places(shape, size)
            )
            return MatchedSample(
                position, False, "unknown", -1, anywhere, 1, np.nan, bare
            )
        likeness = compare(image, reference, size)
        turns = likeness.turns
        where = (likeness.place, *likeness.others) if turns else ()
        where = where or tuple(islice(places(shape, size), MOST_PLACES))
        found = locate(image, reference, where, turns or TURNS)
        structure, place = found.structure, found.place
        moved = structure.moved[0] * place[2], structure.moved[1] * place[3]
        if np.hypot(*moved) < LEAST_MOVED:
            moved = 0.0, 0.0
        pixels: Pixels = "same" if turns else "altered"
        if any(moved) or structure.is_unlike:
            pixels = "altered"
        elif not turns and structure.is_same:
            # Its colors differ, but not its content
            pixels, turns, where = "same", (found.turn,), (place,)
        is_blank = not turns and image.min() == image.max()
        if is_blank:
            pixels = "blank"
        if not turns:
            where = tuple(places(shape, size))
        return MatchedSample(
            position,
            False,
            pixels,
            -1,
            tuple(ImagePlacement(size, delivered, place, turns) for place in where),
            reference.orientation,
            likeness.color,
            bare,
            moved,
            structure.is_unlike and not is_blank,
            Values.of(image, found.contrast),
        )

    def _search(self, image: NDArray[Any]) -> int | None:
        """The position of the image that the pixels are of."""
        if self._vain_searches >= LAST_SEARCH:
            return None
        known, standard = self._index
        best = np.zeros(len(known))
        for gray in thumbnails(image):
            turned = standard @ gray
            best = np.maximum(best, turned.max(axis=1))
        for row in np.argsort(-best)[:3].tolist():
            if best[row] < SAME - 0.1:
                break
            position = int(known[row])
            reference = self._reference(position)
            if reference and compare(image, reference, self._size(position)).turns:
                return position
        self._vain_searches += 1
        return None

    @cached_property
    def _index(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """``(R,)`` positions and ``(R, 8, 256)`` gray values of all readable images."""
        known, gray = [], []
        for position in range(len(self.labeled)):
            reference = self._reference(position)
            if reference is not None:
                known.append(position)
                gray.append(reference.gray)
        shape = (len(known), len(TURNS), SIDE * SIDE)
        return np.array(known, np.int64), np.array(gray, np.float32).reshape(shape)

    def _reference(self, position: int) -> Reference | None:
        if position not in self._references:
            self._references[position] = read_reference(
                self.labeled.filepaths[position], self._size(position)
            )
        return self._references[position]

    def _size(self, position: int) -> tuple[float, float]:
        width, height = self.labeled.size[position]
        return float(width), float(height)
