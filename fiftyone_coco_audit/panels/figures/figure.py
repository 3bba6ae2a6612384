"""The base of all plots: colors, one template, traces and axes.

The App fits the colors of text, axes and background to its dark or light mode;
what is said here of color is legible on both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.escaping import hover_text, plot_text, shortened
from fiftyone_coco_audit.panels.figures.bins import Bins, number

#: Colors of Okabe and Ito, which the color-blind can distinguish, and their uses
BLUE, ORANGE, RED = "#56B4E9", "#E69F00", "#D55E00"
YELLOW, PURPLE = "#F0E442", "#CC79A7"
GRAY = "#8A8F98"
NORMAL, NOTABLE = BLUE, ORANGE

_AFTER_STAMP = "."
_INVISIBLE = "rgba(0,0,0,0)"
# A dark label with white text, which is legible in both modes
_HOVER = {
    "hovertemplate": "%{customdata}<extra></extra>",
    "hoverlabel": {
        "bgcolor": "#2B2F36",
        "bordercolor": GRAY,
        "font": {"color": "#FFFFFF", "size": 12},
    },
}
#: Plotly's template of all plots. What the App sets itself must be in the layout
TEMPLATE = {
    "data": {
        "bar": [_HOVER],
        "scatter": [{**_HOVER, "mode": "markers"}],
        "heatmap": [{**_HOVER, "showscale": False, "xgap": 1, "ygap": 1}],
    },
    "layout": {
        # Plotly adds the position on the axis, which is just the index of a bar: hide
        # it
        "hoverlabel": {
            "bgcolor": _INVISIBLE,
            "bordercolor": _INVISIBLE,
            "font": {"color": _INVISIBLE},
        },
        "legend": {
            "orientation": "h",
            "xanchor": "left",
            "yanchor": "bottom",
            "traceorder": "normal",
        },
        "hovermode": "closest",
        "dragmode": False,
    },
}


@dataclass(frozen=True)
class Figure:
    """A plot for :class:`fiftyone.operators.types.PlotlyView`.

    Args:
        data: Plotly's traces
        layout: Plotly's layout, without what the App sets by its mode
        height: the height in pixels
    """

    data: list[dict[str, Any]]
    layout: dict[str, Any]
    height: int = 300

    def stamped(self, stamp: str) -> list[dict[str, Any]]:
        """The traces with an id of each mark, which the App sends with a click.

        Args:
            stamp: what the ids begin with, see :func:`stamp_of`
        """
        return [{**trace, "ids": _ids(trace, stamp)} for trace in self.data]


def stamp_of(mark_id: str | None) -> str:
    """What :meth:`Figure.stamped` was given, from the id of a mark."""
    return (mark_id or "").partition(_AFTER_STAMP)[0]


def _ids(trace: Mapping[str, Any], stamp: str) -> list[Any]:
    # Plotly draws one mark of all that have the same id
    if trace["type"] != "heatmap":
        return [f"{stamp}{_AFTER_STAMP}{place}" for place in range(len(trace["x"]))]
    # The App looks up the id of a cell by its column first
    rows = trace["z"]
    cell = f"{stamp}{_AFTER_STAMP}"
    return [[cell] * len(rows)] * (len(rows[0]) if rows else 0)


def figure(
    data: Sequence[dict[str, Any]],
    xaxis: dict[str, Any],
    yaxis: dict[str, Any],
    *,
    height: int = 300,
    legend: bool = False,
    **layout: Any,
) -> Figure:
    """A plot in the style of all.

    Args:
        data: its traces
        xaxis: the axis from left to right
        yaxis: the axis from bottom to top
        height: the height in pixels
        legend: whether the names of traces are shown above it
        **layout: more of Plotly's layout
    """
    shared = {
        "template": TEMPLATE,
        "paper_bgcolor": _INVISIBLE,
        "plot_bgcolor": _INVISIBLE,
        "font": {"size": 12},
        "margin": {"t": 28 if legend else 8, "l": 56, "r": 12, "b": 44},
        # The zoom stays when the data change
        "uirevision": "kept",
        "showlegend": legend,
        # Not a share above it: that would be a blank band over tall plots
        "legend": {"x": 0, "y": 1, "bgcolor": _INVISIBLE},
    }
    layout = {**shared, "xaxis": xaxis, "yaxis": yaxis, **layout}
    return Figure(list(data), layout, height)


def trace(
    kind: str, x: Any, y: Any, hover: Sequence[str], color: Any, **more: Any
) -> dict[str, Any]:
    """Marks, and what is shown of each under the pointer.

    Args:
        kind: Plotly's type of the trace, ``"bar"`` or ``"scatter"``
        x: ``(M,)`` positions or lengths
        y: ``(M,)`` the same
        hover: what is shown of each, with ``<br>`` between lines
        color: that of all, or of each
        **more: more of Plotly's attributes; ``marker`` has those besides the color
    """
    return {
        "type": kind,
        "x": np.asarray(x).tolist(),
        "y": np.asarray(y).tolist(),
        "customdata": list(map(hover_text, hover)),
        **more,
        "marker": {"color": color, **more.get("marker", {})},
    }


def axis(title: str, unit: str = "", **more: Any) -> dict[str, Any]:
    """An axis with its title and unit."""
    text = f"{title} ({unit})" if unit else title
    return {"title": {"text": text, "standoff": 6}, **more}


def bare_axis(title: str = "", unit: str = "", **more: Any) -> dict[str, Any]:
    """The same of names or bins, without lines."""
    return {**axis(title, unit), "showgrid": False, "zeroline": False, **more}


def name_ticks(names: Sequence[str], most: int) -> dict[str, Any]:
    """Ticks at 0, 1, 2 and so on.

    Args:
        names: what is written at each
        most: the most characters of each
    """
    return {
        "tickvals": list(range(len(names))),
        "ticktext": [plot_text(shortened(name, most)) for name in names],
    }


def edge_ticks(bins: Bins) -> dict[str, Any]:
    """Ticks where bins meet, the middle of the first bin being 0."""
    return {
        "tickvals": (bins.ticks - 0.5).tolist(),
        "ticktext": [number(edge) for edge in bins.edges[bins.ticks]],
    }


def emphasis(count: int, notable: NDArray[np.bool_] | None) -> list[str]:
    """The color of each of some marks.

    Args:
        count: how many they are
        notable: ``(count,)`` which of them the headline is about
    """
    chosen = np.zeros(count, bool) if notable is None else notable
    return np.where(chosen, NOTABLE, NORMAL).tolist()
