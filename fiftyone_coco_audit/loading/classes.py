"""The classes that a loader gives to objects, held against those of the dataset."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.loading.mistakes import Diagnosis
from fiftyone_coco_audit.wording import percent, quoted

#: Share of labels that must be so for a way of writing classes to be the loader's
NEARLY_ALL = 0.98


def diagnose_classes(
    values: Sequence[int | str],
    truth: NDArray[np.int64],
    images: NDArray[np.int64],
    classes: Sequence[str],
    category_ids: Sequence[int] | None = None,
    first_label: int | None = None,
) -> tuple[list[Diagnosis], str]:
    """Finds out how a loader writes classes, and whether it confuses them.

    Positions from 0, positions from 1 (as of torchvision's detectors, of which 0 is
    the background) and the ids of the dataset are all right.

    Args:
        values: ``P`` labels as the loader gave them: numbers, or names
        truth: ``(P,)`` positions of the classes that the objects have
        images: ``(P,)`` positions of the images
        classes: ``K`` names of the classes
        category_ids: ``K`` ids of the classes
        first_label: the label that the first class is meant to have; then the other
            ways are not right

    Returns:
        the mistakes, at most one, and how the classes are written
    """
    if isinstance(values[0], str):
        position = {name: row for row, name in enumerate(classes)}
        given = np.array([position.get(str(value), -1) for value in values], np.int64)
        known = {"names": np.arange(len(classes))}
    else:
        given = np.array(values, np.int64)
        known = _encodings(len(classes), category_ids, first_label)
    right = {name: given == codes[truth] for name, codes in known.items()}
    possible = {name: np.isin(given, codes) for name, codes in known.items()}
    best = max(
        right,
        # Permuted labels are still among those that there are
        key=lambda name: (
            right[name].mean() >= NEARLY_ALL,
            possible[name].mean(),
            right[name].mean(),
        ),
    )
    if right[best].mean() >= NEARLY_ALL:
        return [], best
    shifted = _shifted(given, truth, known)
    if shifted is not None:
        shift, base = shifted
        wrong = np.ones(len(given), bool)
        by = "one more" if shift > 0 else "one less"
        return [
            _diagnosis(
                "shifted-classes",
                f"All labels are {by} than meant ({base}): {quoted(classes[0])} is "
                f"{known[base][0] + shift}.",
                "Look for a background class that is counted on one side only.",
                wrong,
                images,
                {"shift": shift},
            )
        ], base
    wrong = ~right[best]
    if _consistency(given, truth) < 0.9:
        return [
            _diagnosis(
                "mixed-classes",
                f"{percent(wrong.mean())} of the labels have the class of another "
                "object, in no order.",
                "Look for boxes and labels that are filtered or sorted apart.",
                wrong,
                images,
                {},
            )
        ], ""
    return [_permuted(given, truth, known[best], classes, wrong, images)], best


def _encodings(
    count: int, category_ids: Sequence[int] | None, first_label: int | None
) -> dict[str, NDArray[np.int64]]:
    positions = np.arange(count)
    if first_label is not None:
        return {f"positions from {first_label}": positions + first_label}
    known = {"positions from 0": positions, "positions from 1": positions + 1}
    if category_ids is not None:
        known["category ids"] = np.asarray(category_ids, np.int64)
    return known


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
    """The share of objects that have the commonest label of their class."""
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
) -> Diagnosis:
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
    return _diagnosis(
        "permuted-classes",
        f"{percent(wrong.mean())} of the labels have another class{by_name}: "
        f"{', '.join(shown)}{more}.",
        "Let the loader and the dataset take their classes from the same list.",
        wrong,
        images,
        changed,
    )


def _diagnosis(
    name: str,
    sentence: str,
    advice: str,
    wrong: NDArray[np.bool_],
    images: NDArray[np.int64],
    figures: dict[str, str] | dict[str, int],
) -> Diagnosis:
    return Diagnosis(
        name,
        sentence,
        advice,
        float(wrong.mean()),
        np.unique(images[wrong]),
        dict(figures),
    )
