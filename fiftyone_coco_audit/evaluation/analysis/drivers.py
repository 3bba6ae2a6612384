"""What drives failure: properties of objects and predictions against the outcome.

Small objects can be missed because they are small, because they are crowded, or because
their class is rare. So each property is judged with the others held fixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fiftyone_coco_audit.display import ShortRepr, TextSummary
from fiftyone_coco_audit.evaluation.analysis.bootstrap import interval
from fiftyone_coco_audit.evaluation.analysis.intervals import table_lines
from fiftyone_coco_audit.evaluation.analysis.logistic import (
    Regression,
    Trials,
    regress,
)
from fiftyone_coco_audit.evaluation.analysis.outcomes import LeftOut
from fiftyone_coco_audit.evaluation.analysis.slices import FEW_OBJECTS
from fiftyone_coco_audit.wording import counted, listed, percent

# The bins of a driver, as many as the data allow
_BINS = (10, 8, 6, 4, 3, 2)
_CONTROL_BINS = 10
# Events for each coefficient: Peduzzi et al., "A Simulation Study of the Number of
# Events per Variable in Logistic Regression Analysis", 1996
_EVENTS = 10
# In fewer images, a draw could miss them all
_IMAGES = 20
# Of the frame of bins
_COLUMNS = "count rate low high held_fixed held_low held_high thin".split()
# Drivers whose range is said in a sentence
_SAID = 3


@dataclass(frozen=True, repr=False)
class Driver(ShortRepr):
    """A property that may drive failure.

    Attributes:
        name: the name of the property, that of its field if there is one
        values: ``(N,)`` its values, NaN where there is none
        is_flag: whether the values are 0 for no and 1 for yes
        ranked: whether it is of interest itself, rather than only held fixed
    """

    name: str
    values: NDArray[np.float64]
    is_flag: bool = False
    ranked: bool = True

    def __len__(self) -> int:
        return len(self.values)

    def of(self, rows: NDArray[np.bool_]) -> Driver:
        """The driver of some of the rows ``(N,)``."""
        return replace(self, values=self.values[rows])

    def bins(self, most: int) -> tuple[list[str], NDArray[np.int64]]:
        """Divides the values into bins of about as many each; equal ones share a bin.

        Args:
            most: the largest number of bins

        Returns:
            the names of the bins, at least two if there are two values, then
            ``"(none)"`` if some have none; and ``(N,)`` the bin of each value
        """
        distinct, position, count = np.unique(
            self.values[~np.isnan(self.values)], return_inverse=True, return_counts=True
        )
        middle = (np.cumsum(count) - count / 2) / max(count.sum(), 1)
        first, bin_ = np.unique((middle * most).astype(int), True, True)[1:]
        last = np.append(first, len(distinct))[1:] - 1
        ends = zip(distinct[first], distinct[last], strict=True)
        names = [self._name(low, high) for low, high in ends]
        place = np.full(len(self), len(names))
        place[~np.isnan(self.values)] = bin_[position]
        return names + ["(none)"] * (len(position) < len(self)), place

    def _name(self, low: float, high: float) -> str:
        if self.is_flag:
            return "yes" if low else "no"
        ends = (float(f"{value:.3g}") for value in (low, high))
        return " to ".join(dict.fromkeys(f"{value:,.10g}" for value in ends))


@dataclass(frozen=True, repr=False)
class Explained(ShortRepr):
    """What drives recall, or precision.

    Attributes:
        measure: ``"recall"`` or ``"precision"``
        rate: the recall of all objects, or the precision of all predictions
        count: how many these are
        together: the share of the deviance that all drivers explain, those that are
            only held fixed as well; NaN where the data are too thin
        ranking: a frame by driver, see :meth:`Drivers.to_frame`
        bins: frames by bin, by driver, see :meth:`Drivers.bins`
        notes: what is not ranked, and why
    """

    measure: str
    rate: float
    count: int
    together: float
    ranking: pd.DataFrame
    bins: dict[str, pd.DataFrame]
    notes: tuple[str, ...]

    def _about(self) -> str:
        return f"of {self.measure}"

    def sentences(self) -> list[str]:
        """The ranking, the range of the first driver, and what shows no effect."""
        table = self.ranking
        if table["explained"].isna().all():
            return list(self.notes)
        shown = table["low"] > 0
        lines = [
            f"What drives {self.measure} (all together explain {self.together:.3f}):",
            *table_lines(table, "{:.3f}"),
        ]
        for name in table.index[shown][:_SAID]:
            bins = self.bins[name]
            rates = bins.loc[~bins["thin"], "held_fixed"]
            if len(rates) > 1:
                lines.append(
                    f"With the others held fixed, {self.measure} is "
                    f"{percent(rates.min())} where `{name}` is {rates.idxmin()}, and "
                    f"{percent(rates.max())} where it is {rates.idxmax()}."
                )
        rest = table.index[~shown].tolist()
        if rest:
            lines.append(
                f"No effect of their own is shown by: {listed(rest, most=len(rest))}."
            )
        return [*lines, *self.notes]


@dataclass(frozen=True, repr=False)
class Drivers(TextSummary):
    """What drives failure.

    Attributes:
        iou: the IoU that finds an object
        score: the least score of a prediction
        recall: what decides whether objects are found
        precision: what decides whether predictions are right, at equal scores
        num_draws: the number of draws of images
        left_out: what is neither among the objects nor the predictions
        notes: which drivers were not measured, and how they can be
    """

    iou: float
    score: float
    recall: Explained
    precision: Explained
    num_draws: int
    left_out: LeftOut
    notes: tuple[str, ...]

    def _about(self) -> str:
        return (
            f"of {counted(self.recall.count, 'object')} and "
            f"{counted(self.precision.count, 'prediction')}"
        )

    def to_frame(self) -> pd.DataFrame:
        """The drivers, by what each explains with the others held fixed.

        Returns:
            a frame by measure (``"recall"`` or ``"precision"``) and driver:
            ``explained``, the share of the deviance that is lost without the driver,
            with its 95% interval ``low`` and ``high``; and ``alone``, the share that
            the driver explains by itself. What chance adds is subtracted, so they can
            be negative. NaN where the data are too thin
        """
        parts = {part.measure: part.ranking for part in self._parts}
        return pd.concat(parts, names=["measure", "driver"])

    def bins(self) -> pd.DataFrame:
        """Recall and precision against each driver.

        Returns:
            a frame by measure, driver and bin: the ``count`` of objects or predictions,
            their recall or precision as ``rate`` with the 95% interval ``low`` and
            ``high``; ``held_fixed``, the rate if all were in this bin and otherwise as
            they are, with ``held_low`` and ``held_high``; and whether the bin is
            ``thin``: of fewer than 30
        """
        frames = {
            (part.measure, name): frame
            for part in self._parts
            for name, frame in part.bins.items()
        }
        if not frames:
            return pd.DataFrame(columns=_COLUMNS)
        return pd.concat(frames, names=["measure", "driver", "bin"])

    @property
    def _parts(self) -> tuple[Explained, Explained]:
        return self.recall, self.precision

    def sentences(self) -> list[str]:
        """What drives recall and precision, what the numbers are, and what is not."""
        recall, precision = self.recall, self.precision
        least = f"a score of {self.score:.2f} or more"
        at = f"At IoU {self.iou:.2f} and {least if self.score > 0 else 'any score'}"
        ranked = not self.to_frame()["explained"].isna().all()
        means = (
            "explained: the share of the deviance that is lost without the driver, and "
            f"its 95% interval over {self.num_draws:,} draws of the images; alone: the "
            "share that the driver explains by itself. What chance adds is subtracted."
        )
        return [
            f"{at}, {percent(recall.rate)} of {counted(recall.count, 'object')} are "
            f"found, and {percent(precision.rate)} of "
            f"{counted(precision.count, 'prediction')} are right.",
            *recall.sentences(),
            *precision.sentences(),
            *([means] if ranked else []),
            *self.left_out.sentences(),
            *self.notes,
        ]


def explain(
    measure: str,
    event: NDArray[np.bool_],
    image: NDArray[np.int64],
    drivers: Sequence[Driver],
    *,
    num_images: int,
    num_draws: int,
) -> Explained:
    """Ranks the drivers of one measure.

    Args:
        measure: ``"recall"`` or ``"precision"``
        event: ``(N,)`` whether each object is found, or each prediction right
        image: ``(N,)`` the image of each
        drivers: the drivers, ``(N,)`` each
        num_images: the number of images
        num_draws: the number of draws of images for intervals
    """
    noun, yes, no = {
        "recall": ("object", "found", "missed"),
        "precision": ("prediction", "right", "wrong"),
    }[measure]
    same = [one.name for one in drivers if len(one.bins(_BINS[-1])[0]) < 2]
    used = [one for one in drivers if one.name not in same]
    events = min(event.sum(), (~event).sum())
    names, places, needed = _divided(used, len(event), events)
    trials = Trials(event, image, places, [*map(len, names)], num_images)
    images = min(len(np.unique(image[event == it])) for it in (True, False))
    thin = events < needed or images < _IMAGES
    notes = []
    if thin:
        notes.append(
            f"There are too few data to rank what drives {measure}: it takes "
            f"{needed:,} {noun}s that are {yes} and as many that are {no}, both in at "
            f"least {_IMAGES} images. There are {event.sum():,} and "
            f"{(~event).sum():,}."
        )
    if same and len(event):
        notes.append(f"The same for every {noun}: {listed(same, most=len(same))}.")
    found = None if thin else regress(trials, num_draws)
    ranked = [j for j, one in enumerate(used) if one.ranked]
    ranking = _ranking([used[j].name for j in ranked], ranked, found)
    tables = {
        used[j].name: _bins_frame(names[j], j, trials, found, num_draws) for j in ranked
    }
    return Explained(
        measure=measure,
        rate=float(event.mean()) if len(event) else np.nan,
        count=len(event),
        together=float(found.together.mean()) if found else np.nan,
        ranking=ranking,
        bins={name: tables[name] for name in ranking.index},
        notes=tuple(notes),
    )


def _divided(
    drivers: Sequence[Driver], size: int, events: int
) -> tuple[list[list[str]], NDArray[np.int64], int]:
    """Divides drivers into as many bins as the data allow.

    Args:
        drivers: ``J`` drivers
        size: the number ``N`` of objects or predictions
        events: how many of these are of the rarer outcome

    Returns:
        the names of the bins of each driver, ``(N, J)`` the bin of each value, and how
        many of the rarer outcome it takes
    """
    for most in _BINS:
        divided = [one.bins(most if one.ranked else _CONTROL_BINS) for one in drivers]
        names = [of_driver for of_driver, _ in divided]
        coefficients = 1 + sum(len(of_driver) - 1 for of_driver in names)
        # Bins are not to be thin either
        needed = max(_EVENTS * coefficients, most * FEW_OBJECTS // 2)
        if events >= needed:
            break
    places = np.array([place for _, place in divided], np.int64)
    return names, places.reshape(len(drivers), size).T, needed


def _ranking(
    names: Sequence[str], variables: Sequence[int], found: Regression | None
) -> pd.DataFrame:
    """See :meth:`Drivers.to_frame`."""
    index = pd.Index(names, name="driver", dtype=object)
    columns = ["explained", "low", "high", "alone"]
    frame = pd.DataFrame(np.nan, index, columns)
    if found is not None:
        draws = found.explained[:, variables]
        frame["explained"] = draws.mean(axis=0)
        frame["low"], frame["high"] = interval(draws)
        frame["alone"] = found.alone[:, variables].mean(axis=0)
    return frame.sort_values("explained", ascending=False, kind="stable")


def _bins_frame(
    names: Sequence[str],
    variable: int,
    trials: Trials,
    found: Regression | None,
    num_draws: int,
) -> pd.DataFrame:
    """See :meth:`Drivers.bins`."""
    rates = trials.rates(variable, num_draws)
    none = np.full_like(rates, np.nan)
    margins = none if found is None else found.margins[variable]
    count = np.bincount(trials.bins[:, variable], minlength=len(names))
    low, high = interval(rates[1:])
    held_low, held_high = interval(margins[1:])
    return pd.DataFrame(
        {
            "count": count,
            "rate": rates[0],
            "low": low,
            "high": high,
            "held_fixed": margins[0],
            "held_low": held_low,
            "held_high": held_high,
            "thin": count < FEW_OBJECTS,
        },
        pd.Index(names, name="bin", dtype=object),
        _COLUMNS,
    )
