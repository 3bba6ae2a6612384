"""Logistic regression on binned variables: what explains an event, all else equal.

The shares of deviance explained are McFadden's, "Conditional Logit Analysis of
Qualitative Choice Behavior", 1974, less what a variable of pure noise would explain:
their bias as the bootstrap estimates it (Efron and Tibshirani, "An Introduction to the
Bootstrap", 1993, chapter 10). Rates with the other variables held fixed are predictive
margins: Graubard and Korn, "Predictive Margins with Survey Data", Biometrics 1999.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.evaluation.analysis.bootstrap import image_draws
from fiftyone_coco_audit.wording import counted

# scikit-learn's default. It keeps a bin without any event finite
_PENALTY = 1.0
_MOST_STEPS = 50
# After a step of this size, what is left is about its square
_LAST_STEP = 3e-3


@dataclass(frozen=True, repr=False)
class Trials(ShortRepr):
    """``N`` trials in groups, each with an event or not, and ``J`` binned variables.

    Attributes:
        event: ``(N,)`` whether each had the event
        group: ``(N,)`` group of each, such as its image
        bins: ``(N, J)`` bin of each variable
        num_bins: ``J`` numbers of bins
        num_groups: the number of groups
    """

    event: NDArray[np.bool_]
    group: NDArray[np.int64]
    bins: NDArray[np.int64]
    num_bins: Sequence[int]
    num_groups: int

    def _about(self) -> str:
        return f"of {counted(len(self.event), 'row')}"

    @cached_property
    def _cells(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """``(C, J)`` combinations of bins that occur, and ``(N,)`` that of each trial.

        There are far fewer than trials, and all of one have the same chance.
        """
        return combinations_of(self.bins, self.num_bins)

    @property
    def cells(self) -> NDArray[np.int64]:
        """``(C, J)`` the combinations of bins that occur."""
        return self._cells[0]

    def count(
        self, weights: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """``(C,)`` events and ``(C,)`` trials of each combination.

        Args:
            weights: ``(num_groups,)`` how many times each group occurs
        """
        cell, weight = self._cells[1], weights[self.group].astype(np.float64)
        num = len(self.cells)
        events, total = (
            np.bincount(cell, counts, minlength=num).astype(np.float64)
            for counts in (weight * self.event, weight)
        )
        return events, total

    def rates(self, variable: int, num_draws: int) -> NDArray[np.float64]:
        """The rate of events in each bin of a variable.

        Args:
            variable: its position
            num_draws: the number of draws of groups

        Returns:
            ``(1 + num_draws, B)``, the first row of all groups; NaN in an empty bin
        """
        bins, num = self.cells[:, variable], self.num_bins[variable]
        rates = []
        draws = image_draws(self.num_groups, num_draws)
        for weights in chain([np.ones(self.num_groups, np.int64)], draws):
            events, total = (
                np.bincount(bins, counts, minlength=num)
                for counts in self.count(weights)
            )
            rates.append(events / np.where(total > 0, total, np.nan))
        return np.array(rates)

    def model(self, variables: Sequence[int]) -> Model:
        """A model of some of the variables."""
        # The intercept is a variable of one bin
        num_bins = [1, *(self.num_bins[j] for j in variables)]
        bins = np.pad(self.cells[:, list(variables)], ((0, 0), (1, 0)))
        bins, place = combinations_of(bins, num_bins)
        columns = np.ascontiguousarray(bins.T) + np.cumsum([0, *num_bins[:-1]])[:, None]
        return Model(place, columns, tuple(num_bins))


def combinations_of(
    bins: NDArray[np.int64], num_bins: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The combinations of bins that occur.

    Args:
        bins: ``(N, J)`` bins of variables
        num_bins: ``J`` numbers of bins

    Returns:
        ``(C, J)`` combinations, and ``(N,)`` the row of each
    """
    number = np.zeros(len(bins), np.int64)
    for column, num in zip(bins.T, num_bins, strict=True):
        number = np.unique(number * num + column, return_inverse=True)[1]
    first, row = np.unique(number, return_index=True, return_inverse=True)[1:]
    return bins[first], row


@dataclass(frozen=True, repr=False)
class Model(ShortRepr):
    """A logistic regression with a coefficient for each bin, the intercept first.

    It has a ridge penalty and equals scikit-learn's ``LogisticRegression()``: half the
    sum of the squared coefficients, without the intercept, is added to the negative
    log-likelihood.

    Attributes:
        place: ``(N,)`` the row of each combination of more variables
        columns: ``(V, C)`` the coefficients that apply to each combination of bins
        num_bins: ``V`` numbers of bins of the variables, 1 for the intercept
    """

    place: NDArray[np.int64]
    columns: NDArray[np.int64]
    num_bins: tuple[int, ...]

    def _about(self) -> str:
        return f"of {counted(len(self.num_bins) - 1, 'variable')}"

    def merged(self, *counts: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """``(C,)`` counts of ``(N,)`` counts of combinations of more variables."""
        num = self.columns.shape[1]
        return [
            np.bincount(self.place, count, num).astype(np.float64) for count in counts
        ]

    @cached_property
    def _pairs(self) -> list[tuple[slice, slice, NDArray[np.int64]]]:
        """The columns of two variables, and ``(C,)`` the cell of their cross table."""
        ends = np.cumsum(self.num_bins)
        spans = [
            slice(end - n, end) for end, n in zip(ends, self.num_bins, strict=True)
        ]
        local = self.columns - (ends - self.num_bins)[:, None]
        pairs = combinations_with_replacement(range(len(spans)), 2)
        return [
            (spans[j], spans[k], local[j] * self.num_bins[k] + local[k])
            for j, k in pairs
        ]

    def log_odds(self, beta: NDArray[np.float64]) -> NDArray[np.float64]:
        """``(C,)`` log-odds of the event, of coefficients ``(P,)``."""
        return np.asarray(beta[self.columns].sum(axis=0))

    def deviance(
        self,
        beta: NDArray[np.float64],
        events: NDArray[np.float64],
        total: NDArray[np.float64],
    ) -> float:
        """Twice the negative log-likelihood of ``(C,)`` events in as many trials."""
        odds = self.log_odds(beta)
        return 2 * float(np.sum(total * np.logaddexp(0, odds) - events * odds))

    def _hessian(self, weight: NDArray[np.float64]) -> NDArray[np.float64]:
        """``(P, P)`` the weighted cross tables of all pairs of variables."""
        hessian = np.zeros((sum(self.num_bins),) * 2)
        for rows, columns, cell in self._pairs:
            shape = rows.stop - rows.start, columns.stop - columns.start
            table = np.bincount(cell, weight, shape[0] * shape[1]).reshape(shape)
            hessian[rows, columns] = table
            hessian[columns, rows] = table.T
        return hessian

    def fit(
        self,
        events: NDArray[np.float64],
        total: NDArray[np.float64],
        start: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64]:
        """Fits the model by Newton's method.

        Args:
            events: ``(C,)`` weighted number of events
            total: ``(C,)`` weighted number of trials; overall, there are both trials
                with and without an event
            start: ``(P,)`` coefficients to begin with

        Returns:
            ``(P,)`` coefficients

        Raises:
            ArithmeticError: if it does not converge
        """
        size = sum(self.num_bins)
        penalty = np.r_[0, np.full(size - 1, _PENALTY)]

        def loss(beta: NDArray[np.float64]) -> float:
            fit = self.deviance(beta, events, total)
            return (fit + float(penalty @ beta**2)) / 2

        beta = np.zeros(size) if start is None else start
        best = loss(beta)
        for _ in range(_MOST_STEPS):
            chance = sigmoid(self.log_odds(beta))
            left = np.tile(events - total * chance, len(self.num_bins))
            gradient = np.bincount(self.columns.ravel(), left, size) - penalty * beta
            curvature = self._hessian(total * chance * (1 - chance)) + np.diag(penalty)
            step = np.linalg.solve(curvature, gradient)
            tried = loss(beta + step)
            # The loss is convex, so a shorter step in this direction is better
            while tried > best + 1e-9 * best and np.abs(step).max() > _LAST_STEP:
                step = step / 2
                tried = loss(beta + step)
            beta, best = beta + step, tried
            if np.abs(step).max() <= _LAST_STEP:
                return beta
        raise ArithmeticError("the logistic regression did not converge")

    def held_fixed(
        self, beta: NDArray[np.float64], total: NDArray[np.float64], variable: int
    ) -> NDArray[np.float64]:
        """The rate if all were in one bin of a variable, and otherwise as they are.

        Args:
            beta: ``(P,)`` coefficients
            total: ``(C,)`` weighted trials of each combination
            variable: the position of the variable, from 0 after the intercept

        Returns:
            ``(B,)`` mean of the predicted chances for each of its bins
        """
        first = sum(self.num_bins[: variable + 1])
        of_bins = beta[first : first + self.num_bins[variable + 1]]
        others = self.log_odds(beta) - beta[self.columns[variable + 1]]
        return np.asarray(total @ sigmoid(others[:, None] + of_bins) / total.sum())


def sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """``1 / (1 + exp(-x))`` without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(values / 2)))


@dataclass(frozen=True, repr=False)
class Regression(ShortRepr):
    """What ``J`` variables explain, over ``num_draws`` draws of the groups.

    The shares are corrected for chance: their means are about 0 for a variable of pure
    noise. They can be negative.

    Attributes:
        explained: ``(num_draws, J)`` the share of the deviance that is explained by the
            variable only: what is lost without it
        alone: ``(num_draws, J)`` the share explained by a model of the variable alone
        together: ``(num_draws,)`` the share that all variables explain together
        margins: for each variable, ``(1 + num_draws, B)`` what
            :meth:`Model.held_fixed` returns; the first row is of all groups
    """

    explained: NDArray[np.float64]
    alone: NDArray[np.float64]
    together: NDArray[np.float64]
    margins: tuple[NDArray[np.float64], ...]

    def _about(self) -> str:
        return f"of {counted(len(self.margins), 'variable')}"


def without_chance(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares less what chance adds to them.

    Chance adds to a share as much as drawing the groups adds to it once more. So draws
    have it twice.

    Args:
        shares: ``(1 + num_draws, ...)``, the first of all groups, then of draws

    Returns:
        ``(num_draws, ...)``
    """
    draws = shares[1:]
    return np.asarray(draws - 2 * (draws.mean(axis=0) - shares[0]))


def regress(trials: Trials, num_draws: int) -> Regression:
    """Explains events by variables, over draws of the groups with replacement.

    Args:
        trials: the trials; there are both events and others in any draw
        num_draws: the number of draws
    """
    variables = range(len(trials.num_bins))
    full, null = trials.model(variables), trials.model([])
    without = [trials.model([k for k in variables if k != j]) for j in variables]
    models = [null, full, *without, *(trials.model([j]) for j in variables)]
    starts: list[NDArray[np.float64] | None] = [None] * len(models)
    left: list[list[float]] = []
    margins = []
    draws = image_draws(trials.num_groups, num_draws)
    for weights in chain([np.ones(trials.num_groups, np.int64)], draws):
        cells = trials.count(weights)
        counts = [model.merged(*cells) for model in models]
        betas = [
            model.fit(count[0], count[1], start)
            for model, count, start in zip(models, counts, starts, strict=True)
        ]
        fitted = zip(models, betas, counts, strict=True)
        left.append([model.deviance(beta, *count) for model, beta, count in fitted])
        margins.append([full.held_fixed(betas[1], counts[1][1], j) for j in variables])
        if starts[0] is None:
            starts = list(betas)
    shares = np.array(left)
    shares /= shares[:, :1]
    less, alone = np.split(shares[:, 2:], 2, axis=1)
    return Regression(
        explained=without_chance(less - shares[:, 1:2]),
        alone=without_chance(1 - alone),
        together=without_chance(1 - shares[:, 1]),
        margins=tuple(map(np.array, zip(*margins, strict=True))),
    )
