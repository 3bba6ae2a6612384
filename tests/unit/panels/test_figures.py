"""Plots hold the numbers they are made of, and each bar what its interval says."""

import json

import numpy as np
import pytest

from fiftyone_coco_audit.panels.figures.bars import (
    bars,
    columns,
    histogram,
    stacked_bars,
)
from fiftyone_coco_audit.panels.figures.bins import Bins, number
from fiftyone_coco_audit.panels.figures.heat_maps import heat_map
from fiftyone_coco_audit.panels.figures.scatter import scatter

VALUES = {
    "even": np.linspace(0.31, 4.7, 501),
    "with a zero": np.r_[0.0, np.linspace(3, 900, 77)],
    "wide": np.geomspace(0.003, 4000, 333),
    "whole": np.arange(40.0),
    "negative": np.linspace(-3, 5, 81),
    "huge and near": 1e6 + np.arange(10.0),
    "one value": np.full(7, 640.0),
    "zeros": np.zeros(3),
    "a single one": np.array([0.75]),
}


@pytest.mark.parametrize("logarithmic", [None, True, False])
@pytest.mark.parametrize("name", VALUES)
def test_bins_hold_each_value_once_where_their_edges_say(name, logarithmic):
    values = VALUES[name]
    bins = Bins.of(values, logarithmic=logarithmic)
    assert bins.counts.sum() == len(values)
    assert len(bins) <= 26
    assert (np.diff(bins.edges) > 0).all()
    expected, _ = np.histogram(np.maximum(values, bins.edges[0]), bins.edges)
    assert bins.counts.tolist() == expected.tolist()
    for place in range(len(bins)):
        inside = values[bins.index == place]
        assert len(inside) == bins.counts[place]
        assert (inside < bins.edges[place + 1]).all()
        assert place == 0 or (inside >= bins.edges[place]).all()


def test_no_values_are_an_empty_bin():
    for logarithmic in (None, True, False):
        bins = Bins.of(np.zeros(0), logarithmic=logarithmic)
        assert bins.counts.tolist() == [0]
        assert histogram(bins, "size", "objects").data[0]["y"] == [0]


def test_logarithmic_bins_meet_at_powers_of_two():
    bins = Bins.of(np.geomspace(3, 900, 100), logarithmic=True)
    assert {4.0, 8.0, 16.0, 32.0, 512.0} <= set(bins.edges.tolist())
    ticks = bins.edges[bins.ticks]
    assert np.log2(ticks) == pytest.approx(np.rint(np.log2(ticks)), abs=0)


def test_even_bins_meet_at_decimals():
    bins = Bins.of(np.linspace(0.31, 4.7, 50))
    assert bins.edges.tolist() == [round(0.2 * n, 1) for n in range(1, 25)]
    assert bins.edges[bins.ticks].tolist() == [0.8, 1.6, 2.4, 3.2, 4.0, 4.8]


def test_a_wide_span_is_logarithmic_by_itself():
    assert np.ptp(np.diff(np.log(Bins.of(VALUES["wide"]).edges))) < 1e-9
    assert np.ptp(np.diff(Bins.of(VALUES["even"]).edges)) < 1e-9


def test_zeros_are_told_in_logarithmic_bins():
    with_zero = Bins.of(np.array([0.0, 8, 20]), logarithmic=True)
    assert with_zero.labels("px")[0] == "0 to 11.3 px"
    without = Bins.of(np.array([8.0, 20]), logarithmic=True)
    assert without.labels("px")[0] == "8 to 11.3 px"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0, "0"),
        (12, "12"),
        (1234.5, "1,234"),
        (0.30000000000000004, "0.3"),
        (45.2548, "45.3"),
        (float("nan"), "n/a"),
    ],
)
def test_numbers_have_the_digits_that_they_mean(value, told):
    assert number(value) == told


def test_a_histogram_shows_the_counts_with_axes_and_unit():
    bins = Bins.of(np.array([1.0, 2, 2, 9]))
    figure = histogram(bins, "width", "objects", unit="px")
    (trace,) = figure.data
    assert trace["y"] == bins.counts.tolist()
    assert len(trace["customdata"]) == len(trace["x"]) == len(bins)
    assert figure.layout["xaxis"]["title"]["text"] == "width (px)"
    assert figure.layout["yaxis"]["title"]["text"] == "objects"
    ticks = dict(
        zip(
            figure.layout["xaxis"]["tickvals"],
            figure.layout["xaxis"]["ticktext"],
            strict=True,
        )
    )
    # The left end of the first bar is the first edge
    assert ticks[-0.5] == number(bins.edges[0])


def test_bars_of_a_name_lie_beside_each_other():
    figure = bars(
        ["a", "b"], {"objects": np.array([5, 3]), "images": np.array([2, 1])}, "x",
        colors=("red", "blue"),
    )  # fmt: skip
    trace = figure.data[0]
    assert trace["x"] == [5, 2, 3, 1]
    assert np.diff(trace["y"]).tolist() == pytest.approx([0.4, 0.6, 0.4])
    assert np.add.reduceat(trace["y"], [0, 2]) / 2 == pytest.approx([0, 1])
    assert trace["marker"]["color"] == ["red", "blue"] * 2
    assert [entry["name"] for entry in figure.data[1:]] == ["objects", "images"]
    assert figure.layout["yaxis"]["ticktext"] == ["a", "b"]


@pytest.mark.parametrize(("most", "step"), [(0, 1), (3, 1), (4, 1), (5, None)])
def test_axes_of_small_counts_have_no_halves(most: int, step: int | None):
    counts = np.array([0, most])
    upright = columns(["a", "b"], counts, "class", "objects").layout["yaxis"]
    lying = bars(["a", "b"], {"objects": counts}, "objects").layout["xaxis"]
    assert upright.get("dtick") == lying.get("dtick") == step
    shares = bars(["a", "b"], {"share": counts / 8}, "share").layout["xaxis"]
    assert "dtick" not in shares


def test_long_names_are_cut_on_the_axis_and_whole_under_the_pointer():
    name = "n" * 58 + "17"
    figure = bars([name], {"objects": np.array([1])}, "x")
    (cut,) = figure.layout["yaxis"]["ticktext"]
    assert cut == "n" * 12 + "…" + "n" * 9 + "17"
    assert figure.data[0]["customdata"] == [f"{name}<br>1 object"]


def test_hover_texts_say_one_object_and_no_decimals():
    lengths = {"px": np.array([1640.0]), "objects": np.array([1])}
    figure = bars(["a"], lengths, "x", colors=("red", "blue"))
    assert figure.data[0]["customdata"] == ["a<br>1,640 px", "a<br>1 object"]
    assert columns(["a"], np.array([1]), "x", "images").data[0]["customdata"] == [
        "a<br>1 image"
    ]


def test_a_heat_map_has_no_color_where_there_is_nothing():
    figure = heat_map(
        np.array([[1, np.nan], [0, 4]]), ["a", "b"], None, [["", ""]] * 2, "x", "y"
    )
    assert figure.data[0]["z"] == [[1, None], [0, 4]]
    assert figure.layout["yaxis"]["autorange"] == "reversed"


@pytest.mark.parametrize(("number", "angle"), [(3, -45), (18, -45), (19, -90)])
def test_many_names_below_columns_are_upright(number: int, angle: int):
    names = [f"class_{place}" for place in range(number)]
    hover = [names] * number
    figure = heat_map(np.ones((number, number)), names, names, hover, "", "")
    assert figure.layout["xaxis"]["tickangle"] == angle
    # They are some 12 pixels apart in half of a window of 1440 pixels
    size = figure.layout["xaxis"].get("tickfont", figure.layout["font"])["size"]
    assert size == (10 if angle == -90 else 12)


def test_edges_of_bins_run_upwards_beside_a_heat_map():
    down = Bins.of(np.array([1.0, 8]), logarithmic=True)
    values = np.zeros((len(down), 1))
    figure = heat_map(values, None, down, [[""]] * len(down), "x", "y")
    axis = figure.layout["yaxis"]
    lowest = max(zip(axis["tickvals"], axis["ticktext"], strict=True))
    assert lowest == (len(down) - 0.5, "1")


def test_points_grow_by_area():
    figure = scatter(
        np.array([1, 2]), np.array([3, 4]), ["a", "b"], "x", "y",
        size=np.array([1, 100]),
    )  # fmt: skip
    small, large = figure.data[0]["marker"]["size"]
    assert (large - 7) == pytest.approx(10 * (small - 7))


def test_all_figures_are_json_without_colors_of_the_mode():
    ones = np.array([1, 2])
    figures = [
        histogram(Bins.of(ones.astype(float)), "x", "images"),
        bars(["a", "b"], {"n": ones}, "x"),
        stacked_bars(
            ["a", "b"], {"n": ones}, "x", colors=["red"], hover={"n": ["", ""]}
        ),
        columns(["a", "b"], ones, "x", "images", notable=np.array([True, False])),
        scatter(ones, ones, ["", ""], "x", "y", logarithmic=True),
        heat_map(np.ones((2, 2)), ["a", "b"], ["a", "b"], [["", ""]] * 2, "x", "y"),
    ]
    for figure in figures:
        json.dumps([figure.data, figure.layout], allow_nan=False)
        assert figure.layout["paper_bgcolor"] == "rgba(0,0,0,0)"
        assert "color" not in figure.layout["font"]
