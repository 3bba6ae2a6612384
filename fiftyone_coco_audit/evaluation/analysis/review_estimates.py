"""What verdicts on label issues say about the issues that nobody has looked at.

Issues of a kind are divided into ranges of scores. Within a range, those that were
reviewed count as drawn at random, so the share that was accepted estimates the
precision of the range. Its interval is Wilson's ("Probable inference, the law of
succession, and statistical inference", JASA 1927), as Brown, Cai and DasGupta recommend
for few trials ("Interval estimation for a binomial proportion", Statistical Science
2001). The number of errors among the others is beta-binomial under Jeffreys' prior,
whose interval they recommend too; the total over the ranges is a convolution.

A label that is missing is proposed only if the detector sees the object. How many it
does not see is estimated as of animals that are caught twice (Lincoln and Petersen;
Seber, "The Estimation of Animal Abundance", 1982): the annotators are one catch and
the sure predictions the other, so the share of labeled objects that sure predictions
find is the share of missing ones that are proposed. What both overlook more often than
by chance, such as tiny objects, makes the estimate too low.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.display import TextSummary
from fiftyone_coco_audit.evaluation.analysis.bootstrap import CONFIDENCE
from fiftyone_coco_audit.evaluation.analysis.label_issues import KINDS, LabelIssues
from fiftyone_coco_audit.wording import counted, percent

if TYPE_CHECKING:
    import pandas as pd

#: Verdicts as they are stored, by their number in arrays; 0 is none
VERDICTS = ("", "accepted", "rejected")
ACCEPTED, REJECTED = 1, 2

#: Fewer verdicts say too little about the other issues of a range
FEW_VERDICTS = 10

# Ranges of scores of a kind, and the fewest issues of each
_MOST_RANGES = 4
_FEWEST_ISSUES = 30
# Of 97.5% of a normal distribution
_NORMAL_QUANTILE = 1.959963984540054
# With fewer found objects, a class takes the share of all classes
_FEW_FOUND = 5
_DRAWS = 4_000


@dataclass(frozen=True)
class Estimate:
    """A number of errors, with its 95% interval.

    Attributes:
        expected: the expected number
        low: the lower bound
        high: the upper bound
    """

    expected: float
    low: int
    high: int

    def __str__(self) -> str:
        if self.low == self.high:
            return f"{self.low:,}"
        return f"{self.expected:,.0f} [{self.low:,}, {self.high:,}]"


@dataclass(frozen=True, repr=False)
class ReviewEstimates(TextSummary):
    """Precision of the issues in ``S`` ranges of scores, and the errors left.

    Attributes:
        kind: ``(S,)`` positions in :data:`.KINDS`, non-decreasing
        lowest: ``(S,)`` the lowest score of a range
        highest: ``(S,)`` the highest score
        issues: ``(S,)`` the number of issues
        accepted: ``(S,)`` how many of them were accepted
        rejected: ``(S,)`` how many of them were rejected
        remaining: the errors among the issues without a verdict in ranges that have
            enough verdicts, None if no range has
        unseen: the missing labels that no issue shows, as far as the detector
            overlooks objects independently of the annotators; None if some range of
            missing labels has too few verdicts, or there are none
    """

    kind: NDArray[np.int64]
    lowest: NDArray[np.float64]
    highest: NDArray[np.float64]
    issues: NDArray[np.int64]
    accepted: NDArray[np.int64]
    rejected: NDArray[np.int64]
    remaining: Estimate | None
    unseen: Estimate | None

    def __len__(self) -> int:
        return len(self.kind)

    @property
    def unreviewed(self) -> NDArray[np.int64]:
        """``(S,)`` the number of issues without a verdict."""
        return self.issues - self.accepted - self.rejected

    @property
    def enough(self) -> NDArray[np.bool_]:
        """``(S,)`` whether there are enough verdicts to say something of the others."""
        verdicts = self.accepted + self.rejected
        return (verdicts >= FEW_VERDICTS) | (verdicts == self.issues)

    def to_frame(self) -> pd.DataFrame:
        """The ranges, the highest scores of each kind first.

        Returns:
            a frame of the kind, the lowest and highest score, the number of issues,
            of accepted and of rejected ones, the precision with the bounds of its 95%
            interval, NaN without verdicts, and whether verdicts are enough
        """
        import pandas as pd

        verdicts = self.accepted + self.rejected
        low, high = wilson_interval(self.accepted, verdicts)
        return pd.DataFrame(
            {
                "kind": np.array(list(KINDS), dtype=object)[self.kind],
                "lowest": self.lowest,
                "highest": self.highest,
                "issues": self.issues,
                "accepted": self.accepted,
                "rejected": self.rejected,
                "precision": self.accepted / np.where(verdicts > 0, verdicts, np.nan),
                "low": low,
                "high": high,
                "enough": self.enough,
            }
        )

    def sentences(self) -> list[str]:
        """The progress, the precision, and the errors that are left."""
        accepted, rejected = int(self.accepted.sum()), int(self.rejected.sum())
        total = accepted + rejected
        of_all = counted(int(self.issues.sum()), "label issue")
        if not total:
            return [
                f"Not enough verdicts: none of {of_all} was accepted or rejected yet."
            ]
        low, high = wilson_interval(np.array(accepted), np.array(total)).tolist()
        return [
            f"{total:,} of {of_all} {'has' if total == 1 else 'have'} a verdict: "
            f"{percent(accepted / total)} [{percent(low)}, {percent(high)}] were "
            "accepted.",
            *self._about_remaining(),
            *self._about_unseen(),
        ]

    def _about_remaining(self) -> Iterator[str]:
        left = self.unreviewed
        if not left.any():
            return
        if self.remaining is None:
            yield (
                "Not enough verdicts to say how many of the other "
                f"{counted(int(left.sum()), 'label issue')} are errors: give at least "
                f"{FEW_VERDICTS} in a range of scores, chosen at random."
            )
            return
        covered = counted(int(left[self.enough].sum()), "label issue")
        yield f"Among the other {covered}, about {self.remaining} are errors."
        others = int(left[~self.enough].sum())
        if others:
            yield (
                f"Not in this number: {counted(others, 'label issue')} of other kinds "
                f"or scores, where there are fewer than {FEW_VERDICTS} verdicts."
            )

    def _about_unseen(self) -> Iterator[str]:
        if self.unseen is not None:
            yield (
                f"At least about {self.unseen} more labels are missing that no "
                "issue shows, because the detector overlooks objects too."
            )
        yield (
            "Errors that no prediction points to, such as loose boxes of objects that "
            "the detector misses, are in none of these numbers."
        )


def review_estimates(
    issues: LabelIssues, verdicts: NDArray[np.integer]
) -> ReviewEstimates:
    """Estimates the precision of issues, and the errors that are left.

    Args:
        issues: the issues
        verdicts: ``(I,)`` positions in :data:`VERDICTS`

    Returns:
        a :class:`ReviewEstimates`
    """
    range_of, num_ranges = _ranges(issues)

    def count(chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.bincount(range_of[chosen], minlength=num_ranges)

    # Issues are by kind and descending score, so each range is a slice
    sizes = count(np.ones(len(issues), bool))
    ends = np.cumsum(sizes)
    found = ReviewEstimates(
        kind=issues.kind[ends - 1],
        lowest=issues.score[ends - 1],
        highest=issues.score[ends - sizes],
        issues=sizes,
        accepted=count(verdicts == ACCEPTED),
        rejected=count(verdicts == REJECTED),
        remaining=None,
        unseen=None,
    )
    left = found.unreviewed
    usable = found.enough
    remaining = None
    if left[usable].any():
        remaining = _summarized(_errors_left(found, usable))
    is_missing = found.kind == list(KINDS).index("missing label")
    unseen = None
    if found.accepted[is_missing].any() and usable[is_missing].all():
        unseen = _unseen(issues, verdicts, _errors_left(found, is_missing))
    return replace(found, remaining=remaining, unseen=unseen)


def wilson_interval(
    successes: NDArray[np.int64], trials: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Wilson's 95% interval of the probability of success.

    Args:
        successes: numbers of successes
        trials: numbers of trials

    Returns:
        the lower and the upper bounds as two rows, NaN without trials
    """
    n = np.where(trials > 0, trials, np.nan)
    share, square = successes / n, _NORMAL_QUANTILE**2 / n
    center = (share + square / 2) / (1 + square)
    half = np.sqrt(share * (1 - share) * square + square**2 / 4) / (1 + square)
    # Rounding must not make 0 of 10 less than 0
    return np.clip(np.stack([center - half, center + half]), 0, 1)


def _ranges(issues: LabelIssues) -> tuple[NDArray[np.int64], int]:
    """The range of each issue, which are by kind and descending score."""
    range_of, start = np.zeros(len(issues), np.int64), 0
    for kind in range(len(KINDS)):
        here = np.flatnonzero(issues.kind == kind)
        if not len(here):
            continue
        num = int(np.clip(len(here) // _FEWEST_ISSUES, 1, _MOST_RANGES))
        # Equal scores share a range
        first = np.searchsorted(-issues.score[here], -issues.score[here], side="left")
        _, number = np.unique(first * num // len(here), return_inverse=True)
        range_of[here] = start + number
        start = int(range_of[here[-1]]) + 1
    return range_of, start


def _errors_left(
    found: ReviewEstimates, ranges: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The probability of 0, 1, ... errors among the unreviewed issues of ranges."""
    probability = np.ones(1)
    for row in np.flatnonzero(ranges).tolist():
        one = _beta_binomial(
            int(found.unreviewed[row]),
            int(found.accepted[row]) + 0.5,
            int(found.rejected[row]) + 0.5,
        )
        probability = np.convolve(probability, one)
    return probability / probability.sum()


def _beta_binomial(n: int, a: float, b: float) -> NDArray[np.float64]:
    """The probability of 0 to ``n`` successes."""
    from scipy.special import betaln, gammaln

    k = np.arange(n + 1)
    ways = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    return np.exp(ways + betaln(k + a, n - k + b) - betaln(a, b))


def _summarized(probability: NDArray[np.float64]) -> Estimate:
    tail, total = (1 - CONFIDENCE) / 2, np.cumsum(probability)
    low, high = np.searchsorted(total, [tail, 1 - tail]).tolist()
    return Estimate(float(probability @ np.arange(len(probability))), low, high)


def _unseen(
    issues: LabelIssues, verdicts: NDArray[np.integer], left: NDArray[np.float64]
) -> Estimate:
    """The missing labels that no issue shows.

    Args:
        issues: the issues
        verdicts: ``(I,)`` positions in :data:`VERDICTS`
        left: the probability of 0, 1, ... missing labels among those without a verdict
    """
    generator = np.random.default_rng(0)
    missing = issues.kind == list(KINDS).index("missing label")
    of_class = issues.predicted_class[missing & (verdicts == ACCEPTED)]
    classes, accepted = np.unique(of_class, return_counts=True)
    objects, found = issues.objects[classes], issues.found[classes]
    few = found < _FEW_FOUND
    objects = np.where(few, issues.objects.sum(), objects)
    found = np.where(few, issues.found.sum(), found)
    size = (_DRAWS, len(classes))
    # Of each draw: how often a class is found, and how many of it the issues show
    share = generator.beta(found + 0.5, objects - found + 0.5, size)
    more = generator.choice(len(left), size=_DRAWS, p=left)
    mix = generator.dirichlet(accepted + 0.5, _DRAWS)
    shown = accepted + generator.multinomial(more, mix) + 0.5 / len(classes)
    unseen = generator.negative_binomial(shown, share).sum(axis=1)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(unseen, [tail, 1 - tail], method="inverted_cdf").tolist()
    return Estimate(float(unseen.mean()), int(low), int(high))
