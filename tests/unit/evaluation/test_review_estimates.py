"""Estimates from verdicts: on issues of known truth, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import betabinom, binomtest

from fiftyone_coco_audit.evaluation.analysis.label_issues import KINDS, LabelIssues
from fiftyone_coco_audit.evaluation.analysis.review_estimates import (
    ACCEPTED,
    REJECTED,
    ReviewEstimates,
    review_estimates,
    wilson_interval,
)
from fiftyone_coco_audit.evaluation.stored import EvaluatedRows

MISSING, _, WRONG, LOOSE, _ = range(len(KINDS))
NOBODY = np.array([], dtype=object)


def made(
    kind: NDArray[np.int64],
    score: NDArray[np.float64],
    objects: tuple[int, ...] = (100,),
    found: tuple[int, ...] = (50,),
    category: NDArray[np.int64] | None = None,
) -> LabelIssues:
    """Issues by kind and descending score."""
    order = np.lexsort((-score, kind))
    rows = np.arange(len(kind))
    category = np.zeros(len(kind), np.int64) if category is None else category
    none = np.array([], np.int64)
    return LabelIssues(
        rows=EvaluatedRows(tuple("abcdefgh"), NOBODY, none, NOBODY, NOBODY),
        kind=kind[order],
        score=score[order],
        confidence=score[order],
        overlap=score[order],
        image=rows,
        prediction=rows,
        truth=np.full(len(kind), -1),
        predicted_class=category[order],
        true_class=np.full(len(kind), -1),
        sure=np.zeros(8),
        objects=np.array(objects),
        found=np.array(found),
    )


def verdicts_of(
    truth: NDArray[np.bool_], reviewed: NDArray[np.bool_]
) -> NDArray[np.int64]:
    return np.where(reviewed, np.where(truth, ACCEPTED, REJECTED), 0)


def test_wilson_is_that_of_scipy() -> None:
    accepted = np.array([0, 1, 5, 10, 37])
    low, high = wilson_interval(accepted, np.array([10, 10, 10, 10, 40]))
    for k, n, a, b in zip(accepted, (10, 10, 10, 10, 40), low, high, strict=True):
        expected = binomtest(int(k), n).proportion_ci(method="wilson")
        assert (a, b) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert np.isnan(wilson_interval(np.array([0]), np.array([0]))).all()


def test_one_range_is_a_beta_binomial() -> None:
    kind = np.full(29, LOOSE)
    issues = made(kind, np.linspace(0.9, 0.1, 29))
    truth = np.arange(29) % 3 > 0
    reviewed = np.arange(29) < 12
    found = review_estimates(issues, verdicts_of(truth, reviewed))
    (row,) = found.to_frame().to_dict("records")
    assert (row["issues"], row["accepted"], row["rejected"]) == (29, 8, 4)
    assert row["kind"] == "bad location" and row["enough"]
    assert row["precision"] == pytest.approx(8 / 12)
    left = betabinom(17, 8.5, 4.5)
    assert found.remaining is not None
    assert found.remaining.expected == pytest.approx(left.mean(), abs=1e-9)
    bounds = left.ppf([0.025, 0.975])
    assert [found.remaining.low, found.remaining.high] == bounds.tolist()
    assert found.unseen is None
    assert "Among the other 17 label issues, about 11 [" in str(found)


def test_few_verdicts_are_not_enough() -> None:
    issues = made(np.full(40, WRONG), np.linspace(0.9, 0.5, 40))
    none = review_estimates(issues, np.zeros(40, np.int64))
    assert str(none) == (
        "Not enough verdicts: none of 40 label issues was accepted or rejected yet."
    )
    reviewed = np.arange(40) < 9
    few = review_estimates(issues, verdicts_of(reviewed, reviewed))
    assert few.remaining is None
    assert "Not enough verdicts to say how many of the other 31 label issues" in str(
        few
    )
    everything = review_estimates(issues, verdicts_of(reviewed, np.ones(40, bool)))
    assert everything.remaining is None and everything.enough.all()
    assert "Not enough" not in str(everything) and "other" not in str(everything)


def test_ranges_without_verdicts_are_named() -> None:
    """The surest were reviewed: that says nothing about the others."""
    issues = made(np.full(120, WRONG), np.linspace(0.9, 0.5, 120))
    reviewed = np.arange(120) < 20
    found = review_estimates(issues, verdicts_of(reviewed, reviewed))
    assert found.issues.tolist() == [30] * 4
    assert found.enough.tolist() == [True, False, False, False]
    assert found.lowest[0] > found.highest[1]
    assert found.remaining is not None and found.remaining.high <= 10
    assert "Not in this number: 90 label issues of other kinds or scores" in str(found)


def test_equal_scores_share_a_range() -> None:
    issues = made(np.full(120, WRONG), np.r_[np.full(80, 0.9), np.full(40, 0.5)])
    found = review_estimates(issues, np.zeros(120, np.int64))
    assert found.issues.tolist() == [80, 40]


def test_nothing_was_proposed() -> None:
    empty = np.array([], np.int64)
    found = review_estimates(made(empty, empty.astype(float)), empty)
    assert len(found) == 0 and len(found.to_frame()) == 0


def simulated(
    random: np.random.Generator, *, sure_of: float
) -> tuple[ReviewEstimates, int, int]:
    """Estimates, and the errors that are left in truth: proposed, and not proposed.

    Labels of three classes are missing at random, a detector finds each class with
    a probability of its own, and precision falls with the score.
    """
    recall = np.array([0.4, 0.5, 0.7])
    lost = random.poisson([60, 40, 50])
    objects = np.array([400, 300, 200])
    seen = random.binomial(lost, recall)
    category = np.repeat(np.arange(3), seen)
    wrong = random.integers(40, 80)
    is_error = np.r_[np.ones(len(category), bool), np.zeros(wrong, bool)]
    score = np.r_[random.beta(4, 2, len(category)), random.beta(2, 3, wrong)]
    other = random.random(150)
    kind = np.r_[np.full(len(score), MISSING), np.full(150, LOOSE)]
    is_error = np.r_[is_error, random.random(150) < other * sure_of]
    score = np.r_[score, other]
    order = np.lexsort((-score, kind))
    issues = made(
        kind,
        score,
        tuple(objects),
        tuple(random.binomial(objects, recall)),
        np.r_[category, random.integers(0, 3, wrong + 150)],
    )
    reviewed = random.random(len(kind)) < 0.5
    found = review_estimates(issues, verdicts_of(is_error[order], reviewed))
    covered = np.repeat(found.enough, found.issues)
    left = int((is_error[order] & ~reviewed & covered).sum())
    return found, left, int((lost - seen).sum())


def test_intervals_hold_the_truth_in_95_of_100_runs() -> None:
    random = np.random.default_rng(5)
    holds: list[list[bool]] = [[], []]
    widths = []
    for _ in range(400):
        found, *truths = simulated(random, sure_of=random.uniform(0.3, 1))
        estimates = found.remaining, found.unseen
        for held, estimate, truth in zip(holds, estimates, truths, strict=True):
            if estimate is not None:
                held.append(estimate.low <= truth <= estimate.high)
        widths.append(found.remaining.high - found.remaining.low)
    for held in holds:
        assert len(held) >= 350
        # Binomial: three standard errors about 95%
        assert 0.915 <= np.mean(held) <= 0.985, np.mean(held)
    # And they say something: about 140 label issues are left
    assert np.median(widths) < 40
