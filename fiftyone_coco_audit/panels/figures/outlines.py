"""Boxes over an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.escaping import plot_text
from fiftyone_coco_audit.panels.figures.figure import Figure, bare_axis, figure, trace

# Half of a window wide
_PICTURE_WIDTH = 580
# For a legend of two lines
_ABOVE_PICTURE = 72
# Visible on light and dark images
_CASING = {"color": "rgba(0,0,0,0.7)", "width": 4}
_POINT = {"size": 6, "line": {"width": 1, "color": "#000000"}}


@dataclass(frozen=True)
class Outlines:
    """Boxes that are drawn alike.

    Args:
        name: what the legend says of them
        box: ``(B, 4)`` boxes ``[x, y, width, height]`` in pixels of the image
        color: the color of the lines
        dash: their style, as Plotly calls it
        shown: whether they are shown before they are chosen in the legend
    """

    name: str
    box: NDArray[np.float64]
    color: str
    dash: str = "solid"
    shown: bool = True

    def traces(self) -> list[dict[str, Any]]:
        """The lines, and darker and wider ones below them."""
        x, y = _corners(self.box)
        common = {
            "type": "scatter",
            "mode": "lines",
            "x": x,
            "y": y,
            "hoverinfo": "skip",
            "legendgroup": self.name,
            "visible": True if self.shown else "legendonly",
        }
        line = {"color": self.color, "width": 2, "dash": self.dash}
        return [
            {**common, "line": _CASING, "showlegend": False},
            {**common, "name": plot_text(self.name), "line": line},
        ]


def picture_with_boxes(
    picture: str | None,
    size: tuple[float, float],
    outlines: Sequence[Outlines],
    centers: NDArray[np.float64],
    hover: Sequence[str],
) -> Figure:
    """Boxes over an image; the points, which are the last trace, tell what they are.

    Args:
        picture: the image as a URI, if it can be shown
        size: its width and height in pixels
        outlines: the boxes, the last ones on top
        centers: ``(P, 2)`` places of the points in pixels of the image
        hover: what is shown of each point
    """
    width, height = size
    image = {
        "source": picture,
        "xref": "x",
        "yref": "y",
        "x": 0,
        "y": 0,
        "sizex": width,
        "sizey": height,
        "sizing": "stretch",
        "layer": "below",
    }
    x, y = centers.T
    marks = trace("scatter", x, y, hover, "#FFFFFF", marker=_POINT, showlegend=False)
    # Boxes beyond the border are visibly beyond it
    margin = 0.04 * max(size)
    bare = bare_axis(visible=False, constrain="domain")
    drawn = float(np.clip(_PICTURE_WIDTH * height / width, 200, _PICTURE_WIDTH))
    return figure(
        [*(trace for one in outlines for trace in one.traces()), marks],
        {**bare, "range": [-margin, width + margin]},
        {**bare, "range": [height + margin, -margin], "scaleanchor": "x"},
        height=round(drawn) + _ABOVE_PICTURE,
        legend=True,
        images=[image] if picture is not None else [],
        margin={"t": _ABOVE_PICTURE, "l": 8, "r": 8, "b": 8},
    )


def _corners(box: NDArray[np.float64]) -> tuple[list[Any], list[Any]]:
    """Boxes as one line, with gaps between them."""
    left, top, width, height = box.T
    gap = np.full(len(box), np.nan)
    x = np.stack([left, left + width, left + width, left, left, gap], axis=1)
    y = np.stack([top, top, top + height, top + height, top, gap], axis=1)
    return _with_gaps(x.ravel()), _with_gaps(y.ravel())


def _with_gaps(values: NDArray[np.float64]) -> list[Any]:
    return [None if value != value else value for value in values.round(2).tolist()]
