"""Plots of lines with points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.escaping import plot_text
from fiftyone_coco_audit.panels.figures.figure import (
    GRAY,
    Figure,
    axis,
    figure,
    trace,
)

_UNIT_RANGE = [0, 1.02]


def lines(
    x: NDArray[np.float64],
    series: Mapping[str, NDArray[np.float64]],
    hover: Mapping[str, Sequence[str]],
    x_title: str,
    y_title: str,
    *,
    colors: Sequence[str],
    at: float | None = None,
) -> Figure:
    """Lines over one axis, a trace for each, from 0 to 1.

    Args:
        x: ``(P,)``
        series: ``(P,)`` values by the name of the line, NaN where there are none
        hover: what is shown of each point, by the name of the line
        x_title: the title of the axis
        y_title: the title of the axis
        colors: of each line
        at: where a vertical line is drawn
    """
    data = [
        trace(
            "scatter",
            x,
            [None if value != value else value for value in values.tolist()],
            hover[name],
            color,
            name=plot_text(name),
            mode="lines+markers",
            line={"color": color, "width": 2},
            marker={"size": 5},
        )
        for (name, values), color in zip(series.items(), colors, strict=True)
    ]
    mark: list[dict[str, Any]] = []
    if at is not None:
        style = {"color": GRAY, "width": 1.5, "dash": "dash"}
        ends = {"x0": at, "x1": at, "y0": 0, "y1": 1, "yref": "paper"}
        mark = [{"type": "line", **ends, "line": style}]
    return figure(
        data,
        axis(x_title),
        axis(y_title, range=_UNIT_RANGE),
        legend=True,
        shapes=mark,
    )


def with_diagonal(plot: Figure) -> Figure:
    """The same plot with a line from 0, 0 to 1, 1."""
    diagonal = {"type": "line", "x0": 0, "y0": 0, "x1": 1, "y1": 1}
    style = {"line": {"color": GRAY, "width": 1.5, "dash": "dash"}}
    shapes = [*plot.layout["shapes"], {**diagonal, **style}]
    return Figure(plot.data, {**plot.layout, "shapes": shapes}, plot.height)
