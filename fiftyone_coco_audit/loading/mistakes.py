"""What a mistake of a loader is called, and how it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_MOST_NAMES = 3


@dataclass(frozen=True)
class Diagnosis:
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


def listed(names: Sequence[str]) -> str:
    """Names of classes in a sentence: three, and the number of the rest."""
    shown = [f"`{name}`" for name in names[:_MOST_NAMES]]
    more = len(names) - len(shown)
    if more:
        return f"{', '.join(shown)} and {more} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if shown[1:] else shown)
