"""What several checks share: which classes come first, and at what size a figure is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.statistics.resizing import ResizePolicy


def highest(values: NDArray, of: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The positions of some values, the highest first, equal ones in order.

    Args:
        values: ``(K,)`` numbers; NaN only where they are not taken
        of: ``(K,)`` whether to take the value
    """
    rows = np.flatnonzero(of)
    return rows[np.argsort(-values[rows], kind="stable")]


def at(resize: ResizePolicy, form: str = "at {}") -> str:
    """At what size of the images a figure holds, as a sentence says it.

    Args:
        resize: how images are resized for the network
        form: how it is said of any policy but "none"
    """
    if resize.mode == "none":
        return "at the images' own size"
    return form.format(resize)


def at_input(resize: ResizePolicy) -> str:
    """The same of what the network gets."""
    return at(resize, "at an input of {}")
