"""Plots as plain Plotly dicts, made of arrays.

The App fits the colors of text, axes and background to its dark or light mode;
what is said here of color is legible on both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.escaping import hover_text, plot_text, shortened

#: Colors of Okabe and Ito, which the color-blind tell apart, and their uses
BLUE, ORANGE, RED = "#56B4E9", "#E69F00", "#D55E00"
YELLOW, PURPLE = "#F0E442", "#CC79A7"
GRAY = "#8A8F98"
NORMAL, NOTABLE = BLUE, ORANGE

# From transparent, so that empty cells are as dark or light as the App
_SEQUENTIAL = [[0, "rgba(86,180,233,0.06)"], [0.5, "#3D8FCB"], [1, "#E69F00"]]

#: Values that span more than this factor are put into logarithmic bins
_SPAN_OF_LOGARITHMIC = 50
_MOST_TICKS = 9
# More names below columns would run into each other at half of a right angle
_MOST_SLANTED = 18
_AFTER_STAMP = "."
# As wide as half of a window
_PICTURE_WIDTH = 580
# For a legend of two lines
_ABOVE_PICTURE = 72

# What is under the pointer, in both modes
_TOLD = {
    "bgcolor": "#2B2F36",
    "bordercolor": GRAY,
    "font": {"color": "#FFFFFF", "size": 12},
}
# Plotly adds the place on the axis, which is the number of a bar: out of sight with it
_INVISIBLE = "rgba(0,0,0,0)"
_UNTOLD = {
    "bgcolor": _INVISIBLE,
    "bordercolor": _INVISIBLE,
    "font": {"color": _INVISIBLE},
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


@dataclass(frozen=True)
class Bins:
    """Values put into bins: all that a histogram needs, and what is in each bar.

    Args:
        values: ``(N,)`` finite numbers
        edges: ``(B + 1,)`` ascending; all but the last bin exclude their upper edge.
            Values below the first or above the last are in the outermost bins
        ticks: positions of the edges that are the roundest numbers
    """

    values: NDArray[np.float64]
    edges: NDArray[np.float64]
    ticks: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        values: NDArray[np.float64],
        *,
        logarithmic: bool | None = None,
        most: int = 24,
    ) -> Bins:
        """Chooses round edges, in even steps or in even ratios.

        Args:
            values: ``(N,)`` finite numbers
            logarithmic: whether in ratios, which positive numbers alone have; by
                default where these span a wide range and all are positive
            most: the number of bins that is not to be exceeded by much
        """
        positive = values[values > 0] if logarithmic else values
        if not len(positive):
            return cls(values, np.array([0.0, 1.0]), np.arange(2))
        low, high = float(positive.min()), float(positive.max())
        if logarithmic is None:
            logarithmic = low > 0 and high / low > _SPAN_OF_LOGARITHMIC
        edges, ticks = (_even_ratios if logarithmic else _even_steps)(low, high, most)
        return cls(values, edges, ticks)

    def __len__(self) -> int:
        return len(self.edges) - 1

    @cached_property
    def index(self) -> NDArray[np.int64]:
        """``(N,)`` the bin of each value."""
        place = np.searchsorted(self.edges, self.values, side="right") - 1
        return np.clip(place, 0, len(self) - 1)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """``(B,)`` the number of values in each bin."""
        return np.bincount(self.index, minlength=len(self))

    def place(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where values are on an axis of the bins, the middle of the first being 0.

        Args:
            values: ``(P,)`` between the first and the last edge, positive where bins
                are logarithmic
        """
        ratio = self.edges[1:] / np.where(self.edges[:-1] > 0, self.edges[:-1], 1)
        if self.edges[0] > 0 and np.ptp(ratio) < 1e-9:
            return np.log(values / self.edges[0]) / np.log(ratio[0]) - 0.5
        return np.interp(values, self.edges, np.arange(len(self.edges))) - 0.5

    def labels(self, unit: str = "") -> list[str]:
        """The interval of each bin, such as ``"16 to 32 px"``."""
        ends = [number(edge) for edge in self.edges]
        if len(self.values) and self.values.min() < self.edges[0]:
            ends[0] = "0"
        return [
            f"{start} to {stop}{unit and f' {unit}'}"
            for start, stop in zip(ends[:-1], ends[1:], strict=True)
        ]


def _even_steps(
    low: float, high: float, most: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    span = high - low
    if span <= 1e-9 * max(abs(low), abs(high)):
        # All values are one: a bin of it, between two empty ones
        step = 10.0 ** np.floor(np.log10(abs(low) or 1.0)) / 2
        return low + step * np.array([-1.5, -0.5, 0.5, 1.5]), np.arange(4)
    raw = span / most
    magnitude = 10.0 ** np.floor(np.log10(raw))
    step = magnitude * next(s for s in (1, 2, 2.5, 5, 10) if s * magnitude >= raw)
    units = np.arange(np.floor(low / step), np.floor(high / step) + 2)
    # Products alone would print as 0.30000000000000004
    return np.round(units * step, 12), _roundest(units, (1, 2, 4, 5, 10))


def _even_ratios(
    low: float, high: float, most: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Powers of two, or of its root, so that 16 and 32 pixels are among the edges."""
    per_octave = 2 if 2 * np.log2(high / low) <= most else 1
    first, last = np.floor(per_octave * np.log2([low, high]))
    units = np.arange(first, last + 2)
    strides = [per_octave * stride for stride in (1, 2, 4, 8, 16)]
    return 2.0 ** (units / per_octave), _roundest(units, strides)


def _roundest(units: NDArray[np.float64], strides: Sequence[int]) -> NDArray[np.int64]:
    """The positions of the multiples of the first stride that has few of them."""
    found = [np.flatnonzero(units % stride == 0) for stride in strides]
    return next((some for some in found if len(some) <= _MOST_TICKS), found[-1])


def number(value: float) -> str:
    """A number with as many digits as a reader wants: three, or all of an integer."""
    if not np.isfinite(value):
        return "n/a"
    if abs(value) >= 1000 or float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.3g}"


def histogram(
    bins: Bins,
    title: str,
    noun: str,
    *,
    unit: str = "",
    notable: NDArray[np.bool_] | None = None,
) -> Figure:
    """A histogram of bars, one a bin.

    Args:
        bins: the values in their bins
        title: the title of the axis, without its unit
        noun: what is counted, in the plural
        unit: the unit of the values
        notable: ``(B,)`` which bars the headline is about
    """
    return _upright(
        bins.counts,
        bins.labels(unit),
        noun,
        notable,
        gap=0.06,
        axis={"title": _axis(title, unit), **_edges(bins)},
    )


def bars(
    names: Sequence[str],
    series: dict[str, NDArray[Any]],
    title: str,
    *,
    colors: Sequence[str] = (NORMAL,),
    hover: Sequence[str] | None = None,
    number_format: str = ",",
    longest: float | None = None,
) -> Figure:
    """Horizontal bars with their names, the first at the top, series side by side.

    All bars are of one trace: bar ``n`` is that of name ``n // S`` in series
    ``n % S`` of ``S``.

    Args:
        names: ``B`` names of the bars
        series: ``(B,)`` lengths by the name of the series
        title: of the axis of lengths
        colors: of each series
        hover: what is shown of each name besides its length
        number_format: the format of the lengths
        longest: the length that the axis ends at, if not at that of the longest bar
    """
    num_names, num_series = len(names), len(series)
    thickness = 0.8 / num_series
    offsets = (np.arange(num_series) - (num_series - 1) / 2) * thickness
    lengths = np.stack([np.asarray(values) for values in series.values()], axis=1)
    told = [
        f"{hover_text(name)}{more and f'<br>{hover_text(more)}'}"
        f"<br>%{{x:{number_format}}} {plot_text(label)}"
        for name, more in zip(names, hover or [""] * num_names, strict=True)
        for label in series
    ]
    data: list[dict[str, Any]] = [
        {
            "type": "bar",
            "orientation": "h",
            "x": lengths.ravel().tolist(),
            "y": (np.arange(num_names)[:, None] + offsets).ravel().tolist(),
            "width": thickness * 0.9,
            "marker": {"color": list(colors) * num_names},
            "hoverlabel": _TOLD,
            "hovertemplate": [f"{text}<extra></extra>" for text in told],
            "showlegend": False,
        }
    ]
    if num_series > 1:
        data += [_legend_entry(*entry) for entry in zip(series, colors, strict=True)]
    return Figure(
        data=data,
        layout=_layout(
            xaxis={
                "title": _axis(title),
                "rangemode": "tozero",
                **({} if longest is None else {"range": [0, longest]}),
            },
            yaxis=_names_axis(names),
            # A bar is hit by its line: a single object has one of no length
            hovermode="y",
            **(_legend() if num_series > 1 else {}),
        ),
        height=max(200, 90 + (12 + 10 * num_series) * num_names),
    )


def stacked_bars(
    names: Sequence[str],
    series: dict[str, NDArray[Any]],
    title: str,
    *,
    colors: Sequence[str],
    hover: dict[str, Sequence[str]],
) -> Figure:
    """Horizontal bars of parts, the first at the top, a trace for each part.

    Args:
        names: ``B`` names of the bars
        series: ``(B,)`` lengths by the name of the part
        title: of the axis of lengths
        colors: of each part
        hover: what is shown of each name, by the name of the part
    """
    return Figure(
        data=[
            {
                "type": "bar",
                "orientation": "h",
                "name": plot_text(part),
                "x": np.asarray(lengths).tolist(),
                "y": list(range(len(names))),
                "customdata": list(map(hover_text, hover[part])),
                "marker": {"color": color},
                "hoverlabel": _TOLD,
                "hovertemplate": "%{customdata}<extra></extra>",
            }
            for (part, lengths), color in zip(series.items(), colors, strict=True)
        ],
        layout=_layout(
            xaxis={"title": _axis(title), "rangemode": "tozero"},
            yaxis=_names_axis(names),
            barmode="stack",
            bargap=0.2,
            **_legend(),
        ),
        height=max(200, 90 + 22 * len(names)),
    )


def paired_histogram(
    edges: NDArray[np.float64],
    series: dict[str, NDArray[np.float64]],
    counts: Sequence[NDArray[np.int64]],
    title: str,
    noun: str,
    *,
    colors: Sequence[str],
) -> Figure:
    """Histograms over common bins, beside each other, a trace for each.

    Args:
        edges: ``(B + 1,)`` ascending
        series: ``(B,)`` shares by the name of the set
        counts: ``(B,)`` what the shares are of, for each set
        title: of the axis, with the unit
        noun: what is counted, in the plural
        colors: of each set
    """
    ticks = np.arange(0, len(edges), max(1, -(-len(edges) // _MOST_TICKS)))
    bins = Bins(np.zeros(0), edges, ticks)
    return Figure(
        data=[
            {
                "type": "bar",
                "name": plot_text(name),
                "x": list(range(len(bins))),
                "y": (100 * shares).tolist(),
                "customdata": [
                    hover_text(f"{label}<br>{name}: {n:,} {noun}")
                    for label, n in zip(bins.labels(), amounts.tolist(), strict=True)
                ],
                "marker": {"color": color},
                "hoverlabel": _TOLD,
                "hovertemplate": "%{customdata}, %{y:.1f}%<extra></extra>",
            }
            for (name, shares), amounts, color in zip(
                series.items(), counts, colors, strict=True
            )
        ],
        layout=_layout(
            xaxis={
                "title": _axis(title),
                **_edges(bins),
                "range": [-0.6, len(bins) - 0.4],
                "showgrid": False,
                "zeroline": False,
            },
            yaxis={"title": _axis(noun, "% of the set"), "rangemode": "tozero"},
            barmode="group",
            bargap=0.15,
            **_legend(),
        ),
    )


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


def picture_with_boxes(
    picture: str | None,
    size: tuple[float, float],
    outlines: Sequence[Outlines],
    points: NDArray[np.float64],
    hover: Sequence[str],
) -> Figure:
    """Boxes over an image; the points, which are the last trace, tell what they are.

    Args:
        picture: the image as a URI, if it can be shown
        size: its width and height in pixels
        outlines: the boxes, the last ones on top
        points: ``(P, 2)`` places of the points in pixels of the image
        hover: what is shown of each point
    """
    width, height = size
    images = []
    if picture is not None:
        images = [
            {
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
        ]
    lines: list[dict[str, Any]] = []
    for one in outlines:
        x, y = _corners(one.box)
        common = {
            "type": "scatter",
            "mode": "lines",
            "x": x,
            "y": y,
            "hoverinfo": "skip",
            "legendgroup": one.name,
            "visible": True if one.shown else "legendonly",
        }
        # On light and on dark images alike
        casing = {"color": "rgba(0,0,0,0.7)", "width": 4}
        line = {"color": one.color, "width": 2, "dash": one.dash}
        lines.append({**common, "line": casing, "showlegend": False})
        lines.append({**common, "name": plot_text(one.name), "line": line})
    marks = {
        "type": "scatter",
        "mode": "markers",
        "x": points[:, 0].tolist(),
        "y": points[:, 1].tolist(),
        "customdata": list(map(hover_text, hover)),
        "marker": {
            "color": "#FFFFFF",
            "size": 6,
            "line": {"width": 1, "color": "#000000"},
        },
        "hoverlabel": _TOLD,
        "hovertemplate": "%{customdata}<extra></extra>",
        "showlegend": False,
    }
    # What reaches over the border is seen to do so
    margin = 0.04 * max(size)
    bare = {"showgrid": False, "zeroline": False, "visible": False}
    layout = _layout(
        xaxis={**bare, "range": [-margin, width + margin], "constrain": "domain"},
        yaxis={
            **bare,
            "range": [height + margin, -margin],
            "scaleanchor": "x",
            "constrain": "domain",
        },
        images=images,
        **_legend(),
    )
    layout["margin"] = {"t": _ABOVE_PICTURE, "l": 8, "r": 8, "b": 8}
    drawn = float(np.clip(_PICTURE_WIDTH * height / width, 200, _PICTURE_WIDTH))
    return Figure([*lines, marks], layout, height=round(drawn) + _ABOVE_PICTURE)


def _corners(box: NDArray[np.float64]) -> tuple[list[Any], list[Any]]:
    """Boxes as one line, with gaps between them."""
    left, top, width, height = box.T
    gap = np.full(len(box), np.nan)
    x = np.stack([left, left + width, left + width, left, left, gap], axis=1)
    y = np.stack([top, top, top + height, top + height, top, gap], axis=1)
    return _with_gaps(x.ravel()), _with_gaps(y.ravel())


def _with_gaps(values: NDArray[np.float64]) -> list[Any]:
    return [None if value != value else value for value in values.round(2).tolist()]


def _names_axis(names: Sequence[str]) -> dict[str, Any]:
    return {
        "tickvals": list(range(len(names))),
        "ticktext": [plot_text(shortened(name, 24)) for name in names],
        "range": [len(names) - 0.4, -0.6],
        "showgrid": False,
        "zeroline": False,
    }


def _legend_entry(name: str, color: str) -> dict[str, Any]:
    return {
        "type": "bar",
        "name": plot_text(name),
        "x": [None],
        "y": [None],
        "marker": {"color": color},
        "hoverinfo": "skip",
    }


def columns(
    names: Sequence[str],
    counts: NDArray[np.int64],
    title: str,
    noun: str,
    *,
    notable: NDArray[np.bool_] | None = None,
    hover: Sequence[str] | None = None,
) -> Figure:
    """Upright bars with their names.

    Args:
        names: ``B`` names of the bars
        counts: ``(B,)`` their heights
        title: of the axis of names
        noun: what is counted, in the plural
        notable: ``(B,)`` which bars the headline is about
        hover: what is shown in place of the name
    """
    return _upright(
        counts,
        hover or names,
        noun,
        notable,
        gap=0.2,
        axis={
            "title": _axis(title),
            "tickvals": list(range(len(names))),
            "ticktext": list(map(hover_text, names)),
        },
    )


def _upright(
    counts: NDArray[np.int64],
    hover: Sequence[str],
    noun: str,
    notable: NDArray[np.bool_] | None,
    *,
    gap: float,
    axis: dict[str, Any],
) -> Figure:
    """Upright bars at 0, 1, 2 and so on.

    Args:
        counts: ``(B,)`` their heights
        hover: what is shown of each
        noun: what is counted, in the plural
        notable: ``(B,)`` which bars the headline is about
        gap: between bars, as a share of their distance
        axis: the title and the ticks of the axis of bars
    """
    number = len(counts)
    emphasized = np.zeros(number, bool) if notable is None else notable
    return Figure(
        data=[
            {
                "type": "bar",
                "x": list(range(number)),
                "y": counts.tolist(),
                "customdata": list(map(hover_text, hover)),
                "marker": {"color": np.where(emphasized, NOTABLE, NORMAL).tolist()},
                "hoverlabel": _TOLD,
                "hovertemplate": f"%{{customdata}}<br>%{{y:,}} {noun}<extra></extra>",
            }
        ],
        layout=_layout(
            xaxis={
                **axis,
                "range": [-0.6, number - 0.4],
                "showgrid": False,
                "zeroline": False,
            },
            yaxis={"title": _axis(noun), "rangemode": "tozero"},
            bargap=gap,
            # A bar is hit by its column: a single image has one of no height
            hovermode="x",
        ),
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
    colors = np.where(
        np.zeros(len(x), bool) if notable is None else notable, NOTABLE, NORMAL
    )
    diameter: Any = 9
    if size is not None and len(size):
        diameter = (7 + 23 * np.sqrt(size / size.max())).round(1).tolist()

    def axis(values: NDArray[Any], title: str) -> dict[str, Any]:
        kind = _logarithmic(values) if logarithmic else {"rangemode": "tozero"}
        return {"title": _axis(title), "zeroline": False, **kind}

    return Figure(
        data=[
            {
                "type": "scatter",
                "mode": "markers",
                "x": np.asarray(x).tolist(),
                "y": np.asarray(y).tolist(),
                "customdata": list(map(hover_text, hover)),
                "marker": {
                    "color": colors.tolist(),
                    "size": diameter,
                    "opacity": 0.8,
                    "line": {"width": 0},
                },
                "hoverlabel": _TOLD,
                "hovertemplate": "%{customdata}<extra></extra>",
            }
        ],
        layout=_layout(
            xaxis=axis(x, x_title),
            yaxis=axis(y, y_title),
        ),
        height=340,
    )


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

    def axis(names: Sequence[str] | Bins | None, title: str) -> dict[str, Any]:
        ticks: dict[str, Any] = {"showticklabels": False, "ticks": ""}
        if isinstance(names, Bins):
            ticks = _edges(names)
        elif names is not None:
            ticks = {
                "tickvals": list(range(len(names))),
                "ticktext": [plot_text(shortened(name, 16)) for name in names],
            }
        return {"title": _axis(title), "showgrid": False, "zeroline": False, **ticks}

    x_axis, y_axis = axis(x_names, x_title), axis(y_names, y_title)
    if isinstance(y_names, Bins):
        y_axis["tickvals"] = [len(y_names) - 1 - at for at in y_axis["tickvals"]]
    if x_names is not None and not isinstance(x_names, Bins):
        x_axis |= _slanted(len(x_names))
    cells = np.where(np.isfinite(values), values, 0).astype(object)
    cells[~np.isfinite(values)] = None
    return Figure(
        data=[
            {
                "type": "heatmap",
                "z": cells.tolist(),
                "customdata": [list(map(hover_text, row)) for row in hover],
                "hoverlabel": _TOLD,
                "hovertemplate": "%{customdata}<extra></extra>",
                "colorscale": _SEQUENTIAL,
                "showscale": False,
                "xgap": 1,
                "ygap": 1,
            }
        ],
        layout=_layout(
            xaxis=x_axis,
            yaxis={**y_axis, "autorange": "reversed"},
            shapes=[] if marked is None else _frames(marked),
        ),
        height=height,
    )


def _slanted(number: int) -> dict[str, Any]:
    """How names below columns are written: upright, and smaller, if there are many."""
    if number <= _MOST_SLANTED:
        return {"tickangle": -45}
    return {"tickangle": -90, "tickfont": {"size": 10}}


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


def _edges(bins: Bins) -> dict[str, Any]:
    """Ticks where bins meet, the middle of the first bin being 0."""
    return {
        "tickvals": (bins.ticks - 0.5).tolist(),
        "ticktext": [number(edge) for edge in bins.edges[bins.ticks]],
    }


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


def with_points(
    figure: Figure,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    hover: Sequence[str],
) -> Figure:
    """A heat map with points over it, as a second trace.

    Args:
        figure: the heat map
        x: ``(P,)`` places in columns, the middle of the first being 0
        y: ``(P,)`` places in rows
        hover: what is shown of each point
    """
    points = {
        "type": "scatter",
        "mode": "markers",
        "x": x.tolist(),
        "y": y.tolist(),
        "customdata": list(map(hover_text, hover)),
        "marker": {
            "color": RED,
            "size": 10,
            "symbol": "diamond",
            "line": {"width": 1.5, "color": "#FFFFFF"},
        },
        "hoverlabel": _TOLD,
        "hovertemplate": "%{customdata}<extra></extra>",
    }
    return replace(figure, data=[*figure.data, points])


def _axis(title: str, unit: str = "") -> dict[str, Any]:
    return {"text": f"{title} ({unit})" if unit else title, "standoff": 6}


def _legend() -> dict[str, Any]:
    return {
        "showlegend": True,
        "legend": {
            "orientation": "h",
            "x": 0,
            # Not a share above it: that would be a blank band over tall plots
            "y": 1,
            "xanchor": "left",
            "yanchor": "bottom",
            "traceorder": "normal",
            "bgcolor": _INVISIBLE,
        },
    }


def _layout(**more: Any) -> dict[str, Any]:
    return {
        "paper_bgcolor": _INVISIBLE,
        "plot_bgcolor": _INVISIBLE,
        "hoverlabel": _UNTOLD,
        "font": {"size": 12},
        "margin": {"t": 28 if more.get("showlegend") else 8, "l": 56, "r": 12, "b": 44},
        "hovermode": "closest",
        "dragmode": False,
        # What the user zoomed into stays while the data change
        "uirevision": "kept",
        **more,
    }
