"""The classes of objects from a loader, compared with those of the dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.findings import Rule
from fiftyone_coco_audit.loading import rules
from fiftyone_coco_audit.loading.mistakes import Mistake
from fiftyone_coco_audit.wording import listed, percent, quoted

#: Share of labels that must fit an encoding of classes to call it the loader's
NEARLY_ALL = 0.98
#: The start of the names of encodings that count classes from 0, in any order
FROM_ZERO = "positions from 0"
_BY_ID = "category ids"


def diagnose_classes(
    values: Sequence[int | str],
    truth: NDArray[np.int64],
    images: NDArray[np.int64],
    classes: Sequence[str],
    category_ids: Sequence[int] | None = None,
    first_label: int | None = None,
) -> tuple[list[Mistake], str]:
    """Finds out how a loader writes classes, and whether it confuses them.

    Positions from 0, positions from 1 (as for torchvision's detectors, where 0 is the
    background) and the ids of the dataset are all right. Positions may also be
    those in the sorted ids, as in detectron2.

    Args:
        values: ``P`` labels as the loader gave them: numbers, or names
        truth: ``(P,)`` positions of the classes that the objects have
        images: ``(P,)`` positions of the images
        classes: ``K`` names of the classes
        category_ids: ``K`` ids of the classes
        first_label: the intended label of the first class; the other ways are then
            wrong

    Returns:
        the mistakes, and how the classes are written
    """
    is_name = np.array([isinstance(value, str) for value in values], bool)
    if is_name.any() and not is_name.all():
        return [_of_two_kinds(is_name, images)], ""
    found: list[Mistake] = []
    whose = "the labels"
    if is_name.all():
        names = [str(value) for value in values]
        given = _codes_of(names, classes)
        known = {"names": np.arange(len(classes))}
        foreign = given >= len(classes)
        if foreign.any():
            found = [_of_unknown_names(names, foreign, truth, images, classes)]
            if foreign.all():
                return found, ""
            whose = "the other labels"
            given, truth, images = given[~foreign], truth[~foreign], images[~foreign]
    else:
        given = np.array(values, np.int64)
        known = _encodings(len(classes), category_ids, first_label)
        if first_label is not None:
            shift = _shift_of_ids(given, truth, category_ids, known)
            if shift is not None:
                of_ids = _of_ids(given, truth, classes, images, first_label, shift)
                return [of_ids], _BY_ID
    right = {name: given == codes[truth] for name, codes in known.items()}
    possible = {name: np.isin(given, codes) for name, codes in known.items()}
    best = max(
        right,
        # Permuted labels are still possible labels
        key=lambda name: (
            right[name].mean() >= NEARLY_ALL,
            possible[name].mean(),
            right[name].mean(),
        ),
    )
    if right[best].mean() >= NEARLY_ALL:
        return found, best
    # Neighbors of a name in a list are not closer to it than others
    shifted = None if is_name.all() else _shifted(given, truth, known)
    if shifted is not None:
        shift, base = shifted
        return [_of_shift(shift, base, known[base][0], classes[0], images)], base
    wrong = ~right[best]
    if _consistency(given, truth) < 0.9:
        return [*found, _of_no_order(wrong, images, whose)], ""
    permuted = _permuted(given, truth, known[best], classes, wrong, images, whose)
    return [*found, permuted], best


def _of_shift(
    shift: int, base: str, first: int, name: str, images: NDArray[np.int64]
) -> Mistake:
    by = "one higher" if shift > 0 else "one lower"
    return _mistake(
        rules.SHIFTED_CLASSES,
        (
            f"All labels are {by} than expected ({base}): {quoted(name)} is "
            f"{first + shift}."
        ),
        np.ones(len(images), bool),
        images,
        {"shift": shift},
    )


def _of_no_order(
    wrong: NDArray[np.bool_], images: NDArray[np.int64], whose: str
) -> Mistake:
    return _mistake(
        rules.MIXED_CLASSES,
        f"{percent(wrong.mean())} of {whose} have the class of another object, "
        "without any pattern.",
        wrong,
        images,
        {},
    )


def _codes_of(names: Sequence[str], classes: Sequence[str]) -> NDArray[np.int64]:
    """The positions of classes; unknown names get the numbers after these."""
    position = {name: row for row, name in enumerate(classes)}
    return np.array(
        [position.setdefault(name, len(position)) for name in names], np.int64
    )


def _of_two_kinds(is_name: NDArray[np.bool_], images: NDArray[np.int64]) -> Mistake:
    rarer = is_name if is_name.mean() <= 0.5 else ~is_name
    some, others = ("names", "numbers") if rarer is is_name else ("numbers", "names")
    return _mistake(
        rules.MIXED_LABEL_KINDS,
        f"{percent(rarer.mean())} of the labels are {some}, the others {others}, so "
        "the classes cannot be compared with those of the dataset.",
        rarer,
        images,
        {"names": int(is_name.sum()), "numbers": int((~is_name).sum())},
    )


def _of_unknown_names(
    names: Sequence[str],
    foreign: NDArray[np.bool_],
    truth: NDArray[np.int64],
    images: NDArray[np.int64],
    classes: Sequence[str],
) -> Mistake:
    """Names of classes that the dataset does not have, the most frequent first."""
    pairs = Counter(
        (names[row], int(truth[row])) for row in np.flatnonzero(foreign).tolist()
    )
    meant: dict[str, str] = {}
    for (name, row), _ in pairs.most_common():
        meant.setdefault(name, classes[row])
    told = listed(
        [f"{quoted(one)} for {quoted(other)}" for one, other in meant.items()]
    )
    return _mistake(
        rules.UNKNOWN_CLASSES,
        f"{percent(foreign.mean())} of the labels have names that are not classes of "
        f"the dataset: {told}.",
        foreign,
        images,
        meant,
    )


def _encodings(
    count: int, category_ids: Sequence[int] | None, first_label: int | None
) -> dict[str, NDArray[np.int64]]:
    """The labels of all classes in each way of writing them that is right."""
    orders = {"": np.arange(count)}
    if category_ids is not None:
        ids = np.asarray(category_ids, np.int64)
        ranks = np.argsort(np.argsort(ids, kind="stable"), kind="stable")
        if (ranks != orders[""]).any():
            orders[" in the order of the ids"] = ranks
    firsts = (0, 1) if first_label is None else (first_label,)
    known = {
        f"positions from {first}{order}": ranks + first
        for order, ranks in orders.items()
        for first in firsts
    }
    if category_ids is not None and first_label is None:
        known[_BY_ID] = ids
    return known


def _shift_of_ids(
    given: NDArray[np.int64],
    truth: NDArray[np.int64],
    category_ids: Sequence[int] | None,
    known: dict[str, NDArray[np.int64]],
) -> int | None:
    """The shift from category ids to labels; None if labels are not category ids."""
    if category_ids is None:
        return None
    right = max((given == codes[truth]).mean() for codes in known.values())
    ids = np.asarray(category_ids, np.int64)[truth]
    for shift in (0, -1):
        if (given == ids + shift).mean() >= NEARLY_ALL > right:
            return shift
    return None


def _of_ids(
    given: NDArray[np.int64],
    truth: NDArray[np.int64],
    classes: Sequence[str],
    images: NDArray[np.int64],
    first_label: int,
    shift: int,
) -> Mistake:
    worst = int(given.argmax())
    less = " minus 1" if shift else ""
    return _mistake(
        rules.CATEGORY_IDS,
        f"The labels are the category ids of the file{less}, but positions from "
        f"{first_label} are expected: {quoted(classes[truth[worst]])} is "
        f"{given[worst]}.",
        np.ones(len(given), bool),
        images,
        {"largest_label": int(given[worst])},
    )


def _shifted(
    given: NDArray[np.int64],
    truth: NDArray[np.int64],
    known: dict[str, NDArray[np.int64]],
) -> tuple[int, str] | None:
    for base, codes in known.items():
        for shift in (-1, 1):
            if (given == codes[truth] + shift).mean() >= NEARLY_ALL:
                return shift, base
    return None


def _consistency(given: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    """The share of objects that have the most common label of their class."""
    codes, inverse = np.unique(given, return_inverse=True)
    pairs, counts = np.unique(truth * len(codes) + inverse, return_counts=True)
    largest = np.zeros(int(truth.max()) + 1, np.int64)
    np.maximum.at(largest, pairs // len(codes), counts)
    return float(largest.sum() / len(truth))


def _permuted(
    given: NDArray[np.int64],
    truth: NDArray[np.int64],
    codes: NDArray[np.int64],
    classes: Sequence[str],
    wrong: NDArray[np.bool_],
    images: NDArray[np.int64],
    whose: str,
) -> Mistake:
    name_of = dict(zip(codes.tolist(), classes, strict=True))
    changed: dict[str, str] = {}
    for row in np.unique(truth[wrong]).tolist():
        found, counts = np.unique(given[truth == row], return_counts=True)
        value = int(found[counts.argmax()])
        if value != codes[row]:
            changed[classes[row]] = name_of.get(value, str(value))
    shown = [
        f"{quoted(one)} becomes {quoted(other)}"
        for one, other in list(changed.items())[:3]
    ]
    more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
    alphabetical = dict(zip(classes, sorted(classes), strict=True))
    in_alphabet = {name: row for row, name in enumerate(sorted(classes))}
    is_sorted = alphabetical != {name: name for name in classes} and all(
        classes[in_alphabet[one]] == other for one, other in changed.items()
    )
    by_name = ", as if the classes were sorted by name" if is_sorted else ""
    return _mistake(
        rules.PERMUTED_CLASSES,
        f"{percent(wrong.mean())} of {whose} have another class{by_name}: "
        f"{', '.join(shown)}{more}.",
        wrong,
        images,
        changed,
    )


def _mistake(
    rule: Rule,
    message: str,
    wrong: NDArray[np.bool_],
    images: NDArray[np.int64],
    figures: dict[str, str] | dict[str, int],
) -> Mistake:
    return Mistake(
        message,
        np.unique(images[wrong]),
        figures=dict(figures),
        rule=rule,
        share=float(wrong.mean()),
    )
