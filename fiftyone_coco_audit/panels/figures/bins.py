"""Values in bins, and numbers formatted for plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

#: Values that span more than this factor are put into logarithmic bins
_SPAN_OF_LOGARITHMIC = 50
_MOST_TICKS = 9


@dataclass(frozen=True)
class Bins:
    """Values in bins: all that a histogram needs, and the content of each bar.

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
        # All values are equal: one bin for them, between two empty ones
        step = 10.0 ** np.floor(np.log10(abs(low) or 1.0)) / 2
        return low + step * np.array([-1.5, -0.5, 0.5, 1.5]), np.arange(4)
    raw = span / most
    magnitude = 10.0 ** np.floor(np.log10(raw))
    step = magnitude * next(s for s in (1, 2, 2.5, 5, 10) if s * magnitude >= raw)
    units = np.arange(np.floor(low / step), np.floor(high / step) + 2)
    # Unrounded products would print as 0.30000000000000004
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
