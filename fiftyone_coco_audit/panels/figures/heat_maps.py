"""Heat maps, with points over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.escaping import hover_text
from fiftyone_coco_audit.panels.figures.bins import Bins
from fiftyone_coco_audit.panels.figures.figure import (
    RED,
    Figure,
    bare_axis,
    edge_ticks,
    figure,
    name_ticks,
    trace,
)

# Starts transparent, so that empty cells have the App's background
_SEQUENTIAL = [[0, "rgba(86,180,233,0.06)"], [0.5, "#3D8FCB"], [1, "#E69F00"]]
# More names below columns would overlap at an angle of 45 degrees
_MOST_SLANTED = 18


def heat_map(
    values: NDArray[Any],
    x_names: Sequence[str] | Bins | None,
    y_names: Sequence[str] | Bins | None,
    hover: Sequence[Sequence[str]],
    x_title: str,
    y_title: str,
    *,
    height: int = 420,
    marked: NDArray[np.bool_] | None = None,
) -> Figure:
    """Cells, the first row at the top.

    Args:
        values: ``(R, C)``, NaN where there is nothing
        x_names: the names of the columns, if they have any, or bins, whose edges are
            between the columns
        y_names: the same of the rows; bins go upwards
        hover: what is shown of each cell
        x_title: the title of the axis
        y_title: the title of the axis
        height: the height in pixels
        marked: ``(R, C)`` the cells that the headline is about
    """
    x_axis, y_axis = _axis(x_names, x_title), _axis(y_names, y_title)
    if isinstance(y_names, Bins):
        y_axis["tickvals"] = [len(y_names) - 1 - at for at in y_axis["tickvals"]]
    if x_names is not None and not isinstance(x_names, Bins):
        many = len(x_names) > _MOST_SLANTED
        upright = {"tickangle": -90, "tickfont": {"size": 10}}
        x_axis |= upright if many else {"tickangle": -45}
    cells = np.where(np.isfinite(values), values, 0).astype(object)
    cells[~np.isfinite(values)] = None
    shown = {
        "type": "heatmap",
        "z": cells.tolist(),
        "customdata": [list(map(hover_text, row)) for row in hover],
        "colorscale": _SEQUENTIAL,
    }
    return figure(
        [shown],
        x_axis,
        {**y_axis, "autorange": "reversed"},
        height=height,
        shapes=[] if marked is None else _frames(marked),
    )


def _axis(names: Sequence[str] | Bins | None, title: str) -> dict[str, Any]:
    ticks: dict[str, Any] = {"showticklabels": False, "ticks": ""}
    if isinstance(names, Bins):
        ticks = edge_ticks(names)
    elif names is not None:
        ticks = name_ticks(names, 16)
    return bare_axis(title, **ticks)


def _frames(marked: NDArray[np.bool_]) -> list[dict[str, Any]]:
    return [
        {
            "type": "rect",
            "x0": column - 0.46,
            "x1": column + 0.46,
            "y0": row - 0.46,
            "y1": row + 0.46,
            "line": {"color": RED, "width": 2.5},
        }
        for row, column in np.argwhere(marked).tolist()
    ]


def with_points(
    heat: Figure,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    hover: Sequence[str],
) -> Figure:
    """A heat map with points over it, as a second trace.

    Args:
        heat: the heat map
        x: ``(P,)`` places in columns, the middle of the first being 0
        y: ``(P,)`` places in rows
        hover: what is shown of each point
    """
    line = {"width": 1.5, "color": "#FFFFFF"}
    marker = {"size": 10, "symbol": "diamond", "line": line}
    above = trace("scatter", x, y, hover, RED, marker=marker)
    return replace(heat, data=[*heat.data, above])
