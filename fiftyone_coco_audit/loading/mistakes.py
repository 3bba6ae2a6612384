"""What a mistake of a loader is called, and how it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.wording import counted

#: The share of samples up to which something may be chance
FEW = 0.05
#: The number of samples up to which it may be as well
LEAST = 2


def is_more_than_few(number: int, total: int) -> bool:
    """Whether as many of some samples are more than chance."""
    return number > max(FEW * total, LEAST)


@dataclass(frozen=True, repr=False)
class Diagnosis(ShortRepr):
    """A mistake that a loader makes.

    Attributes:
        name: a short name in kebab case
        sentence: what is wrong, with the figure that shows it
        advice: what to do
        share: the share of samples concerned; of labels, where it is about these
        images: positions of the images concerned
        figures: the numbers behind the sentence, by name
        objects: rows of the objects concerned, where these are known
    """

    name: str
    sentence: str
    advice: str
    share: float
    images: NDArray[np.int64]
    figures: Mapping[str, float | int | str] = field(default_factory=dict)
    objects: NDArray[np.int64] | None = None

    def _about(self) -> str:
        return f"{self.name}: {counted(len(self.images), 'image')}"

    def __str__(self) -> str:
        return f"{self.sentence} {self.advice}"
