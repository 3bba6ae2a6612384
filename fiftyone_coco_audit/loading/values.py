"""The values of delivered pixels, and what they reveal about their processing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.findings import Rule
from fiftyone_coco_audit.loading import rules
from fiftyone_coco_audit.loading.mistakes import Mistake, is_more_than_few
from fiftyone_coco_audit.wording import out_of, plural

#: Contrast, as a multiple of that of the file, under which floats were divided by 255
#: more than once: once makes 0.004, and ImageNet's normalization some 0.017 of it
_DIVIDED_TWICE = 1 / 255 / 20
#: The smallest maximum of floats up to 255; normalized ones have about 3
_UP_TO_255 = 30.0


@dataclass(frozen=True)
class Values:
    """Statistics of the values of an image.

    Attributes:
        kind: ``"f"`` for floats, else that of NumPy
        low: the smallest
        high: the largest
        contrast: how many times as far apart they are as in the file, from 0 to 255
    """

    kind: str
    low: float
    high: float
    contrast: float

    @classmethod
    def of(cls, image: NDArray[Any], contrast: float) -> Values:
        """The statistics of an image whose contrast is known."""
        return cls(image.dtype.kind, float(image.min()), float(image.max()), contrast)

    @property
    def mistake(self) -> Rule | None:
        """The rule that they violate; None if they are fine."""
        if self.low == self.high:
            return None
        if self.kind != "f":
            return rules.CUT if self.high <= 1 else None
        if self.contrast < _DIVIDED_TWICE:
            return rules.DIVIDED_TWICE
        return rules.UP_TO_255 if self.low >= 0 and self.high > _UP_TO_255 else None


_MESSAGES = {
    rules.DIVIDED_TWICE: "{images} {hold} floats that were divided by "
    "255 twice: the largest value is {high:.2g}.",
    rules.UP_TO_255: "{images} {hold} floats from 0 to 255.",
    rules.CUT: "{images} {hold} whole numbers, none of them above 1.",
}


def odd_values(
    values: Sequence[Values | None], images: NDArray[np.int64]
) -> Iterator[Mistake]:
    """Names what is wrong with the values of images.

    Args:
        values: ``M`` images, some of them unknown
        images: ``(M,)`` their positions

    Yields:
        the mistakes that more than a few have
    """
    for rule, message in _MESSAGES.items():
        rows = [n for n, one in enumerate(values) if one and one.mistake is rule]
        total = len(values)
        if not is_more_than_few(len(rows), total):
            continue
        high = float(np.median([one.high for one in values if one]))
        yield Mistake(
            message.format(
                images=out_of(rows, values, "image"),
                hold=plural(rows, "holds", "hold"),
                high=high,
            ),
            np.unique(images[rows]),
            figures={"samples": len(rows), "largest_value": high},
            rule=rule,
            share=len(rows) / total,
        )
