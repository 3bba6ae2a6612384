"""Plots of bars, upright or lying, and histograms."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.escaping import hover_text, plot_text
from fiftyone_coco_audit.panels.figures.bins import Bins
from fiftyone_coco_audit.panels.figures.figure import (
    GRAY,
    NORMAL,
    Figure,
    axis,
    bare_axis,
    edge_ticks,
    emphasis,
    figure,
    name_ticks,
    trace,
)

_MOST_TICKS = 9


def histogram(
    bins: Bins,
    title: str,
    noun: str,
    *,
    unit: str = "",
    notable: NDArray[np.bool_] | None = None,
) -> Figure:
    """A histogram, one bar per bin.

    Args:
        bins: the values in their bins
        title: the title of the axis, without its unit
        noun: what is counted, in the plural
        unit: the unit of the values
        notable: ``(B,)`` which bars the headline is about
    """
    ticks = bare_axis(title, unit, **edge_ticks(bins))
    return _upright(bins.counts, bins.labels(unit), noun, notable, 0.06, ticks)


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
    ticks = bare_axis(
        title, tickvals=list(range(len(names))), ticktext=list(map(hover_text, names))
    )
    return _upright(counts, hover or names, noun, notable, 0.2, ticks)


def _upright(
    counts: NDArray[np.int64],
    hover: Sequence[str],
    noun: str,
    notable: NDArray[np.bool_] | None,
    gap: float,
    ticks: dict[str, Any],
) -> Figure:
    """Upright bars at 0, 1, 2 and so on, ``gap`` of their distance between them."""
    told = [
        f"{text}<br>{_amount(f'{count:,}', noun)}"
        for text, count in zip(hover, counts.tolist(), strict=True)
    ]
    colors = emphasis(len(counts), notable)
    return figure(
        [trace("bar", range(len(counts)), counts, told, colors)],
        {**ticks, "range": [-0.6, len(counts) - 0.4]},
        _length_axis(noun, counts),
        bargap=gap,
        # A click selects the column of a bar: the bar of a single image has no height
        hovermode="x",
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
    place, labels = range(len(bins)), bins.labels()
    data = []
    for (name, shares), amounts, color in zip(
        series.items(), counts, colors, strict=True
    ):
        percent = 100 * shares
        told = [
            f"{label}<br>{name}: {_amount(f'{count:,}', noun)}, {share:.1f}%"
            for label, count, share in zip(
                labels, amounts.tolist(), percent.tolist(), strict=True
            )
        ]
        data.append(trace("bar", place, percent, told, color, name=plot_text(name)))
    return figure(
        data,
        bare_axis(title, **edge_ticks(bins), range=[-0.6, len(bins) - 0.4]),
        axis(noun, "% of the set", rangemode="tozero"),
        legend=True,
        barmode="group",
        bargap=0.15,
    )


def bars(
    names: Sequence[str],
    series: dict[str, NDArray[Any]],
    title: str,
    *,
    colors: Sequence[str] = (NORMAL,),
    hover: Sequence[str] | None = None,
    number_format: str = ",.0f",
    longest: float | None = None,
    bounds: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
    bar_colors: Sequence[str] | None = None,
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
        bounds: ``(B,)`` and ``(B,)`` the lower and upper bounds of the intervals of
            the lengths, of a single series
        bar_colors: of each bar of a single series, instead
    """
    num_names, num_series = len(names), len(series)
    thickness = 0.8 / num_series
    offsets = (np.arange(num_series) - (num_series - 1) / 2) * thickness
    lengths = np.stack([np.asarray(values) for values in series.values()], axis=1)
    told = [
        f"{name}{more and f'<br>{more}'}<br>{_amount(length, label)}"
        for name, more, row in zip(
            names, hover or [""] * num_names, lengths.tolist(), strict=True
        )
        for label, length in zip(
            series, (f"{value:{number_format}}" for value in row), strict=True
        )
    ]
    shown = trace(
        "bar",
        lengths.ravel(),
        (np.arange(num_names)[:, None] + offsets).ravel(),
        told,
        bar_colors or list(colors) * num_names,
        orientation="h",
        width=thickness * 0.9,
        showlegend=False,
    )
    if bounds is not None:
        shown["error_x"] = _whiskers(lengths[:, 0], *bounds)
    entries = [
        trace("bar", [None], [None], [], color, name=plot_text(label), hoverinfo="skip")
        for label, color in zip(series, colors, strict=True)
        if num_series > 1
    ]
    scale = _length_axis(title, lengths)
    if longest is not None:
        scale["range"] = [0, longest]
    return figure(
        [shown, *entries],
        scale,
        _names_axis(names),
        height=max(200, 90 + (12 + 10 * num_series) * num_names),
        legend=num_series > 1,
        # A click selects the row of a bar: the bar of a single object has no length
        hovermode="y",
    )


def _whiskers(
    values: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> dict[str, Any]:
    """Plotly's lines from lower to upper bounds, none where they are unknown."""
    return {
        "type": "data",
        "symmetric": False,
        "array": np.nan_to_num(high - values).tolist(),
        "arrayminus": np.nan_to_num(values - low).tolist(),
        "color": GRAY,
        "thickness": 1.5,
        "width": 3,
    }


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
    place, more = range(len(names)), {"orientation": "h"}
    data = [
        trace("bar", lengths, place, hover[part], color, name=plot_text(part), **more)
        for (part, lengths), color in zip(series.items(), colors, strict=True)
    ]
    return figure(
        data,
        axis(title, rangemode="tozero"),
        _names_axis(names),
        height=max(200, 90 + 22 * len(names)),
        legend=True,
        barmode="stack",
        bargap=0.2,
    )


def _length_axis(title: str, lengths: NDArray[Any]) -> dict[str, Any]:
    """The axis of lengths, without ticks at 0.5 and 1.5 where they are small counts."""
    few = np.issubdtype(lengths.dtype, np.integer) and lengths.max(initial=0) < 5
    step: dict[str, Any] = {"dtick": 1} if few else {}
    return axis(title, rangemode="tozero", **step)


def _amount(number: str, noun: str) -> str:
    """A number and what it counts, such as "1 object" or "2 images per epoch"."""
    if number == "1":
        noun = re.sub(r"^(image|object)s\b", r"\1", noun)
    return f"{number} {noun}"


def _names_axis(names: Sequence[str]) -> dict[str, Any]:
    return bare_axis(**name_ticks(names, 24), range=[len(names) - 0.4, -0.6])
