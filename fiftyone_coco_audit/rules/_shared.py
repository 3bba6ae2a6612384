"""Helpers of several checks: the worst classes, and the size that figures are for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.statistics.resizing import ResizePolicy
from fiftyone_coco_audit.wording import counted, percent

if TYPE_CHECKING:
    from fiftyone_coco_audit.box_formats import BoxEncoding
    from fiftyone_coco_audit.statistics.overview import Statistics

# This many impossible boxes have a single cause
_LEAST_UNFIT, _MANY_UNFIT = 5, 0.1


def highest(values: NDArray, of: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The positions of some values, the highest first, equal ones in order.

    Args:
        values: ``(K,)`` numbers; NaN only where they are not used
        of: ``(K,)`` whether to use the value
    """
    rows = np.flatnonzero(of)
    return rows[np.argsort(-values[rows], kind="stable")]


@dataclass(frozen=True)
class WorstClasses:
    """The classes with a large share of their objects concerned, the worst first.

    Args:
        position: ``(W,)`` positions of the classes
        names: their names
        share: ``(W,)`` share of the objects of each class that is concerned
        affected: ``(W,)`` number of the objects of each class that are concerned
        count: ``(W,)`` number of objects of each class
        objects: rows of all objects of these classes that are concerned
    """

    position: NDArray[np.int64]
    names: tuple[str, ...]
    share: NDArray[np.float64]
    affected: NDArray[np.int64]
    count: NDArray[np.int64]
    objects: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        statistics: Statistics,
        affected: NDArray[np.bool_],
        *,
        max_share: float,
        min_objects: int,
    ) -> WorstClasses:
        """The classes with more than a share of their objects concerned.

        Args:
            statistics: of the images
            affected: ``(N,)`` whether each object is concerned
            max_share: the share of the objects of a class that may be
            min_objects: how many objects a class needs to be judged
        """
        category = statistics.labeled.objects.category
        num_classes = len(statistics.labeled.classes)
        count = np.bincount(category, minlength=num_classes)
        number = np.bincount(category[affected], minlength=num_classes)
        share = number / np.maximum(count, 1)
        worst = highest(share, (count >= min_objects) & (share > max_share))
        return cls(
            position=worst,
            names=statistics.classes.names_of(worst),
            share=share[worst],
            affected=number[worst],
            count=count[worst],
            objects=np.flatnonzero(affected & np.isin(category, worst)),
        )

    def __len__(self) -> int:
        return len(self.position)


def conversion(
    statistics: Statistics, unfit: NDArray[np.int64] | None = None
) -> str | None:
    """What to do about boxes in another format, other than clip or remove them.

    Args:
        statistics: of the images
        unfit: the rows of boxes that cannot be right in COCO's format

    Returns:
        a sentence; None if boxes have the right format
    """
    misread = statistics.misread
    if misread is not None:
        return (
            f"{percent(misread.share)} of the boxes fit as {misread.meaning}. "
            + conversion_of(misread.meaning)
        )
    if unfit is not None and len(unfit) >= max(
        _LEAST_UNFIT, _MANY_UNFIT * len(statistics.shapes)
    ):
        return (
            "Do not clip or remove so many boxes: they have one cause, such as boxes "
            "in another format or scale, or images of another size than those that "
            "were labeled. Find it, correct the file, and import it again."
        )
    return None


def conversion_of(meaning: BoxEncoding) -> str:
    """What to do about boxes that are not ``[x, y, width, height]`` in pixels.

    Args:
        meaning: their actual format
    """
    again = "import the file again; do not clip, remove or redraw any."
    if meaning.may_be_swapped_size:
        return (
            "Find out with dry_run whether the file has width and height of its images "
            "swapped. If so, correct these; if not, convert all boxes to [x, y, width, "
            f"height] in pixels. Then {again}"
        )
    return f"Convert all boxes to [x, y, width, height] in pixels and {again}"


def at(resize: ResizePolicy, form: str = "at {}") -> str:
    """At what size of the images a figure holds, as part of a sentence.

    Args:
        resize: how images are resized for the network
        form: the phrase for any policy except "none"
    """
    if resize.mode == "none":
        return "at the images' own size"
    return form.format(resize)


def at_input(resize: ResizePolicy) -> str:
    """The same for the network's input."""
    return at(resize, "at an input of {}")


def and_more(names: Sequence[str]) -> str:
    """How many classes there are besides the first, to continue a sentence."""
    return f", and {counted(len(names) - 1, 'class')} more" if len(names) > 1 else ""
