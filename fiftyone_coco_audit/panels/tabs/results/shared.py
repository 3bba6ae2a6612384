"""What several tabs of the panel *COCO Results* show."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fiftyone_coco_audit.evaluation.analysis.intervals import Intervals
from fiftyone_coco_audit.evaluation.pairs import BACKGROUND_IOU
from fiftyone_coco_audit.panels.blocks import (
    Choice,
    Control,
    Plot,
    Slider,
    Tab,
    Text,
)
from fiftyone_coco_audit.panels.figures.bars import bars
from fiftyone_coco_audit.panels.figures.figure import BLUE
from fiftyone_coco_audit.panels.loaded_results import LoadedResults
from fiftyone_coco_audit.panels.results_controls import ResultsControls
from fiftyone_coco_audit.panels.selections import Selection
from fiftyone_coco_audit.panels.tabs.shared import MOST_CLASSES
from fiftyone_coco_audit.wording import counted

#: The colors of the article: right and wrong predictions, missed objects, ground truth
TP, FP, FN, GT = "#f28e2b", "#17a2b8", "#e5383b", "#3fa34d"

#: How many times images are drawn for the intervals of a plot
NUM_DRAWS = 100

_IOU_STEP = 0.05
_ALL = "all classes"
_SORTS = (("AP", "Lowest AP"), ("objects", "Most objects"), ("name", "Name"))


def without_objects() -> Tab:
    """The tab of an evaluation in which there is nothing to be found."""
    return Tab(
        [
            Text(
                "none",
                "**There are no objects to be found.** Evaluate images that have "
                "ground truth, or choose another evaluation.",
            )
        ]
    )


def intervals(loaded: LoadedResults) -> Intervals:
    """The precisions with intervals, which are drawn once."""
    return loaded.once(
        "intervals", lambda: loaded.results.intervals(num_draws=NUM_DRAWS)
    )


def per_class(loaded: LoadedResults) -> pd.DataFrame:
    """The metrics of each class with the bounds of the interval of AP."""

    def compute() -> pd.DataFrame:
        bounds = intervals(loaded).per_class()
        more = bounds[["AP_low", "AP_high", "thin"]]
        return loaded.results.per_class().join(more)

    return loaded.once("per_class", compute)


def class_choice(loaded: LoadedResults, controls: ResultsControls) -> Choice:
    """The choice of a class, or of all."""
    options = [(_ALL, _ALL), *((name, name) for name in loaded.classes)]
    chosen = chosen_class(loaded, controls) or _ALL
    return Choice("class_name", "Class", options, chosen)


def chosen_class(loaded: LoadedResults, controls: ResultsControls) -> str | None:
    """The class that is looked at, None for all."""
    name = controls.class_name
    return name if name and name in loaded.classes else None


def sliders(loaded: LoadedResults, controls: ResultsControls) -> list[Control]:
    """The controls of the least score and IoU."""
    scores = loaded.evaluation.predictions.scores
    highest = float(max(1.0, scores.max(initial=1.0)))
    lowest = min(BACKGROUND_IOU, loaded.evaluation.settings.iou_thresholds[0])
    return [
        Slider("score", "Score", least_score(loaded, controls), high=highest),
        Slider("iou", "IoU", controls.iou, lowest, 0.95, _IOU_STEP),
    ]


def least_score(loaded: LoadedResults, controls: ResultsControls) -> float:
    """The least score of predictions that is set, the evaluation's by default."""
    if controls.score is None:
        return float(loaded.evaluation.settings.score_threshold)
    # The App sends whole numbers without a point
    return float(controls.score)


def list_controls(num_classes: int, controls: ResultsControls) -> list[Choice]:
    """Which classes come first, and how many of them are shown."""
    order = Choice("sort_by", "Sort by", _SORTS, controls.sort_by)
    if num_classes <= MOST_CLASSES:
        return [order]
    options = [("first", f"{MOST_CLASSES} first"), ("all", f"All {num_classes:,}")]
    return [order, Choice("list_classes", "Classes", options, controls.list_classes)]


def listed_classes(frame: pd.DataFrame, controls: ResultsControls) -> NDArray[np.int64]:
    """The positions of the classes with objects that are shown, in order.

    Args:
        frame: what :func:`per_class` returns
        controls: the settings
    """
    known = np.flatnonzero(frame["objects"] > 0)
    part = frame.iloc[known]
    common = -part["objects"].to_numpy()
    # The most common of equally bad classes first
    order = np.lexsort((common, part["AP"].to_numpy()))
    if controls.sort_by == "objects":
        order = np.argsort(common, kind="stable")
    elif controls.sort_by == "name":
        order = np.argsort(part.index.to_numpy(str), kind="stable")
    folds = controls.list_classes != "all"
    return known[order[:MOST_CLASSES] if folds else order]


def and_more(shown: int, present: int, noun: str) -> str:
    """Says how many things are not shown, if any."""
    if shown >= present:
        return ""
    more = counted(present - shown, f"more {noun}")
    return f" {shown:,} are shown; there are {more}."


@dataclass(frozen=True)
class Metric:
    """Values with intervals.

    Args:
        value: ``(B,)``
        low: ``(B,)`` lower bounds
        high: ``(B,)`` upper bounds
    """

    value: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @classmethod
    def of(cls, frame: pd.DataFrame, name: str = "AP") -> Metric:
        """A column of a frame, with the columns of its bounds."""
        columns = (name, f"{name}_low", f"{name}_high")
        return cls(*(frame[column].to_numpy(float) for column in columns))

    def texts(self) -> list[str]:
        """Each with its interval, such as ``".345 [.310, .380]"``."""
        return [
            with_interval(*one)
            for one in zip(
                self.value.tolist(), self.low.tolist(), self.high.tolist(), strict=True
            )
        ]


def with_interval(value: float, low: float, high: float, sign: str = "") -> str:
    """A number of AP with its interval, such as ``".345 [.310, .380]"``.

    Args:
        value: the number
        low: the lower bound of its interval, NaN if it is unknown
        high: the upper bound
        sign: ``"+"`` if positive numbers have a sign
    """
    shown = points(value, sign)
    if np.isnan(low) or np.isnan(high):
        return shown
    return f"{shown} [{points(low, sign)}, {points(high, sign)}]"


def points(value: float, sign: str = "") -> str:
    """A number of AP, such as ``".345"``, ``"n/a"`` if there is none."""
    if np.isnan(value):
        return "n/a"
    # Without the sign of a zero
    shown = f"{value:{sign}.3f}" if abs(value) >= 0.0005 else "0.000"
    return re.sub(r"^([+-]?)0\.", r"\1.", shown)


def metric_bars(
    name: str,
    headline: str,
    names: Sequence[str],
    metric: Metric,
    pick: Callable[[int], Selection],
    *,
    title: str = "AP",
    hover: Sequence[str] | None = None,
    advice: str = "",
) -> Plot:
    """Bars of values with their intervals.

    Args:
        name: the name of the plot
        headline: its headline
        names: ``B`` names of the bars
        metric: their values
        pick: what a bar stands for
        title: of the axis
        hover: what is shown of each besides its value
        advice: what to do
    """
    lengths = np.nan_to_num(metric.value)
    more = hover or [""] * len(names)
    told = [
        f"{title} {text}{one and f'<br>{one}'}"
        for text, one in zip(metric.texts(), more, strict=True)
    ]
    return Plot(
        name,
        headline,
        bars(
            names,
            {title: lengths},
            f"{title}, with its 95% interval",
            colors=(BLUE,),
            hover=told,
            number_format=".3f",
            bounds=(metric.low, metric.high),
        ),
        lambda trace, mark: pick(mark),
        advice,
    )
