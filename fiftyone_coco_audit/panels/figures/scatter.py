"""Plots of points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.panels.figures.bins import number
from fiftyone_coco_audit.panels.figures.figure import (
    Figure,
    axis,
    emphasis,
    figure,
    trace,
)


def scatter(
    x: NDArray[Any],
    y: NDArray[Any],
    hover: Sequence[str],
    x_title: str,
    y_title: str,
    *,
    size: NDArray[Any] | None = None,
    notable: NDArray[np.bool_] | None = None,
    logarithmic: bool = False,
) -> Figure:
    """Points.

    Args:
        x: ``(P,)``
        y: ``(P,)``
        hover: what is shown of each point
        x_title: the title of the axis with its unit
        y_title: the same
        size: ``(P,)`` what the area of each point is in proportion to
        notable: ``(P,)`` which points the headline is about
        logarithmic: whether the axes are
    """
    diameter: Any = 9
    if size is not None and len(size):
        diameter = (7 + 23 * np.sqrt(size / size.max())).round(1).tolist()
    marker = {"size": diameter, "opacity": 0.8, "line": {"width": 0}}

    def scale(values: NDArray[Any], title: str) -> dict[str, Any]:
        kind = _logarithmic(values) if logarithmic else {"rangemode": "tozero"}
        return axis(title, zeroline=False, **kind)

    return figure(
        [trace("scatter", x, y, hover, emphasis(len(x), notable), marker=marker)],
        scale(x, x_title),
        scale(y, y_title),
        height=340,
    )


def _logarithmic(values: NDArray[Any]) -> dict[str, Any]:
    """An axis with ticks at 1, 2 and 5 times powers of ten, or at these alone."""
    low, high = np.log10([values.min() / 1.3, values.max() * 1.3])
    powers = 10.0 ** np.arange(np.floor(low), np.ceil(high))
    steps = (1, 2, 5) if len(powers) <= 3 else (1,)
    ticks = np.outer(powers, steps).ravel()
    return {
        "type": "log",
        "range": [float(low), float(high)],
        "tickvals": ticks.tolist(),
        "ticktext": [number(tick) for tick in ticks],
    }
