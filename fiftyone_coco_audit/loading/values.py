"""The values of delivered pixels, and what they tell of how they were made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.loading.mistakes import Diagnosis, is_more_than_few

CUT = "pixels-cut-to-0-and-1"

#: Contrast, as a multiple of that of the file, under which floats were divided by 255
#: more than once: once makes 0.004, and ImageNet's normalization some 0.017 of it
_DIVIDED_TWICE = 1 / 255 / 20
#: The least maximum that only floats up to 255 have; normalized ones have some 3
_UP_TO_255 = 30.0


@dataclass(frozen=True)
class Values:
    """What is known of the values of an image.

    Attributes:
        kind: ``"f"`` for floats, else that of NumPy
        low: the least
        high: the greatest
        contrast: how many times as far apart they are as in the file, from 0 to 255
    """

    kind: str
    low: float
    high: float
    contrast: float

    @classmethod
    def of(cls, image: NDArray[Any], contrast: float) -> Values:
        """What is known of an image whose contrast is known."""
        return cls(image.dtype.kind, float(image.min()), float(image.max()), contrast)

    @property
    def mistake(self) -> str:
        """The name of what is wrong with them; empty where nothing is."""
        if self.low == self.high:
            return ""
        if self.kind != "f":
            return CUT if self.high <= 1 else ""
        if self.contrast < _DIVIDED_TWICE:
            return "pixels-divided-twice"
        return "pixels-up-to-255" if self.low >= 0 and self.high > _UP_TO_255 else ""


_MISTAKES = {
    "pixels-divided-twice": (
        "{number} of {total} images are floats that were divided by 255 twice: their "
        "largest value is {high:.2g}.",
        "ToTensor() and v2.ToDtype(scale=True) divide already: leave out one division.",
    ),
    "pixels-up-to-255": (
        "{number} of {total} images are floats from 0 to 255.",
        "Most models, such as torchvision's, take 0 to 1: divide by 255 once, unless "
        "yours divides itself.",
    ),
    CUT: (
        "{number} of {total} images are whole numbers of which none is above 1: what "
        "was between 0 and 1 is lost.",
        "Convert to floats before dividing by 255, and not back afterwards.",
    ),
}


def odd_values(
    values: Sequence[Values | None], images: NDArray[np.int64]
) -> Iterator[Diagnosis]:
    """Names what is wrong with the values of images.

    Args:
        values: ``M`` images, of some of which nothing is known
        images: ``(M,)`` their positions

    Yields:
        the mistakes that more than a few have
    """
    for name, (sentence, advice) in _MISTAKES.items():
        rows = [n for n, one in enumerate(values) if one and one.mistake == name]
        total = len(values)
        if not is_more_than_few(len(rows), total):
            continue
        high = float(np.median([one.high for one in values if one]))
        yield Diagnosis(
            name,
            sentence.format(number=f"{len(rows):,}", total=f"{total:,}", high=high),
            advice,
            len(rows) / total,
            np.unique(images[rows]),
            {"samples": len(rows), "largest_value": high},
        )
