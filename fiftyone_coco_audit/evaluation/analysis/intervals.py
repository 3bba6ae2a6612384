"""The COCO numbers of a run, and the differences of two, with 95% intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fiftyone_coco_audit.display import ShortRepr, TextSummary
from fiftyone_coco_audit.evaluation.analysis.bootstrap import (
    class_mean,
    image_draws,
    interval,
)
from fiftyone_coco_audit.evaluation.analysis.slices import FEW_OBJECTS
from fiftyone_coco_audit.evaluation.metrics import Evaluation, coco_metrics
from fiftyone_coco_audit.wording import counted


@dataclass(frozen=True, repr=False)
class MetricDraws(ShortRepr):
    """The precision metrics of a run: of all its images, and of each draw of them.

    Attributes:
        names: the names of ``M`` metrics: AP, AP50, AP75 and AP by area
        overall: ``(1 + num_draws, M)`` means over the classes; the first row is of all
            images, each once
        by_class: ``(1 + num_draws, K)`` the AP of each class, NaN without objects
    """

    names: tuple[str, ...]
    overall: NDArray[np.float64]
    by_class: NDArray[np.float64]

    def _about(self) -> str:
        return f"of {counted(len(self.overall) - 1, 'draw')}"


def draw_metrics(
    evaluation: Evaluation, place: NDArray[np.int64], num_draws: int, seed: int = 0
) -> MetricDraws:
    """The precision metrics of an evaluation and of draws of its images.

    Args:
        evaluation: an evaluation of columns
        place: ``(num_images,)`` the position of each image in the draws, by which runs
            that order the same images differently are drawn alike
        num_draws: the number of draws
        seed: of the random numbers
    """
    metrics = [m for m in coco_metrics(evaluation.settings) if m.limit is None]
    rankings = [
        evaluation.ranking(area).without_ignored()
        for area in range(len(evaluation.settings.area_names))
    ]
    overall, by_class = [], []

    def add(ap: Sequence[NDArray[np.float64]]) -> None:
        by_class.append(ap[0].mean(axis=0))
        overall.append(
            [class_mean(ap[m.area][m.thresholds].mean(axis=0)) for m in metrics]
        )

    add(list(evaluation.ap))
    for draw in image_draws(evaluation.num_images, num_draws, seed):
        add([ranking.average_precision(draw[place]) for ranking in rankings])
    return MetricDraws(
        tuple(m.name for m in metrics), np.array(overall), np.stack(by_class)
    )


@dataclass(frozen=True, repr=False)
class Intervals(TextSummary):
    """The COCO precisions of a run with the bounds of their 95% intervals.

    Attributes:
        draws: the metrics of all images, and of each draw
        classes: the names of the ``K`` classes
        num_objects: ``(K,)`` objects of each class, crowds aside
        num_images: the number of images
    """

    draws: MetricDraws
    classes: tuple[str, ...]
    num_objects: NDArray[np.int64]
    num_images: int

    def _about(self) -> str:
        return f"of {counted(self.num_images, 'image')}"

    def to_frame(self) -> pd.DataFrame:
        """The metrics of all classes together.

        Returns:
            a frame by metric: its value, and the lower and the upper bound; NaN where
            there is nothing to be found
        """
        overall = self.draws.overall
        low, high = interval(overall[1:])
        return pd.DataFrame(
            {"value": overall[0], "low": low, "high": high},
            index=pd.Index(self.draws.names, name="metric"),
        )

    def per_class(self) -> pd.DataFrame:
        """The AP of each class.

        Returns:
            a frame by class: the number of objects, AP, the bounds of its interval, and
            whether the class is thin: of so few objects (under 30) that the interval
            can be far too narrow
        """
        ap = self.draws.by_class
        low, high = interval(ap[1:])
        return pd.DataFrame(
            {
                "objects": self.num_objects,
                "AP": ap[0],
                "AP_low": low,
                "AP_high": high,
                "thin": self.num_objects < FEW_OBJECTS,
            },
            index=pd.Index(self.classes, name="class", dtype=object),
        )

    def sentences(self) -> list[str]:
        """The metrics of all classes together, and what the bounds are."""
        num_draws = len(self.draws.overall) - 1
        return [
            *table_lines(self.to_frame()),
            f"95% intervals: the {counted(self.num_images, 'image')} were drawn with "
            f"replacement {num_draws:,} times.",
        ]


def metric_intervals(
    evaluation: Evaluation,
    classes: Sequence[str],
    place: NDArray[np.int64],
    num_draws: int,
) -> Intervals:
    """The precision metrics of an evaluation with intervals.

    Args:
        evaluation: an evaluation of columns
        classes: the names of its classes
        place: ``(num_images,)`` the position of each image in the draws
        num_draws: the number of draws
    """
    return Intervals(
        draws=draw_metrics(evaluation, place, num_draws),
        classes=tuple(classes),
        num_objects=objects_by_class(evaluation),
        num_images=evaluation.num_images,
    )


def objects_by_class(evaluation: Evaluation) -> NDArray[np.int64]:
    """``(K,)`` how many objects of each class are to be found."""
    objects = evaluation.truth.category[~evaluation.ignored[0]]
    return np.bincount(objects, minlength=evaluation.num_categories)


def metric_differences(
    first: NDArray[np.float64], second: NDArray[np.float64], index: pd.Index
) -> pd.DataFrame:
    """How much higher the metrics of a second run are, with 95% intervals.

    Args:
        first: ``(1 + num_draws, X)`` metrics of all images, then of each draw
        second: the same of the second run, in the same draws if it has these images
        index: what the ``X`` metrics are

    Returns:
        a frame of both metrics as ``a`` and ``b``, ``difference``, its bounds ``low``
        and ``high``, and ``excludes_zero``: whether they are on the same side of 0
    """
    difference = second - first
    low, high = interval(difference[1:])
    return pd.DataFrame(
        {
            "a": first[0],
            "b": second[0],
            "difference": difference[0],
            "low": low,
            "high": high,
            "excludes_zero": (low > 0) | (high < 0),
        },
        index=index,
    )


def table_lines(frame: pd.DataFrame, number: str = "{:.4f}") -> list[str]:
    """The lines of a frame as text, with ``n/a`` where nothing is known."""
    table = frame.to_string(float_format=number.format, na_rep="n/a")
    return [line.rstrip() for line in table.splitlines()]
