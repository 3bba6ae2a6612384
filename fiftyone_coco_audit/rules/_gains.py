"""What rules of results share: which classes a cause is reported for, and its gain."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.evaluation.analysis.counterfactuals import Change
from fiftyone_coco_audit.evaluation.improvements import Improvements
from fiftyone_coco_audit.findings import Gain
from fiftyone_coco_audit.wording import counted, named

MIN_GAIN = 0.005
SHARE = 0.25
REASONS = {
    "min_gain": "A judgment: less than half a point of AP is rarely worth a change.",
    "share": "A judgment: at most four classes stand out; a long list helps nobody.",
}

# So many classes with the most errors, and with the highest gains, are looked at
_CANDIDATES = 4


def by_class(
    improvements: Improvements,
    whole: Change,
    count: NDArray[np.int64],
    min_gain: float,
    share: float,
    change_of: Callable[[NDArray[np.bool_]], Change] | None = None,
) -> Iterator[tuple[NDArray[np.bool_], Gain]]:
    """Divides a cause among the classes that it concerns most, and the others.

    Args:
        improvements: the evaluation
        whole: the change where the cause is dealt with in all classes
        count: ``(K,)`` how often each class is concerned
        min_gain: the least gain to report
        share: the least share of the gain for which a class is reported on its own
        change_of: the change where the cause is dealt with in some ``(K,)`` classes, if
            that changes other classes too

    Yields:
        ``(K,)`` which classes, and the gain; its interval excludes 0
    """
    gains = improvements.gains
    total = gains.value(whole)
    if not total >= min_gain:
        return
    part_of = whole.of_classes if change_of is None else change_of
    rise = np.nan_to_num(gains.by_class(whole) - gains.ap)
    concerned = count > 0
    candidates = {
        *np.argsort(-rise, kind="stable")[:_CANDIDATES].tolist(),
        *np.argsort(-count, kind="stable")[:_CANDIDATES].tolist(),
    }
    rest = concerned.copy()
    parts = []
    for one in sorted(candidates):
        alone = np.arange(len(count)) == one
        change = part_of(alone & concerned)
        if gains.value(change) >= max(min_gain, share * total):
            parts.append((alone, change))
            rest[one] = False
    if not parts:
        parts = [(concerned, whole)]
    elif rest.any():
        parts.append((rest, part_of(rest)))
    for classes, change in parts:
        gain = worthwhile(improvements, change, min_gain)
        if gain is not None:
            yield classes, gain


def worthwhile(
    improvements: Improvements, change: Change, min_gain: float
) -> Gain | None:
    """The gain of a change, None if it is low or its interval includes 0."""
    if not improvements.gains.value(change) >= min_gain:
        return None
    gain = improvements.gains.of(change)
    # To the digits that are shown
    return gain if round(gain.low, 3) > 0 else None


def names_of(
    improvements: Improvements, classes: NDArray[np.bool_]
) -> tuple[tuple[str, ...], str]:
    """The names of classes, and what a sentence says: a few names, or their number."""
    names = tuple(improvements.classes[row] for row in np.flatnonzero(classes))
    said = named(names) if len(names) <= 3 else counted(len(names), "class")
    return names, said
