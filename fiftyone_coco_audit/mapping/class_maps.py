"""Which other classes the classes of predictions may mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

#: Where a class means no class
NO_CLASS = -1

# A class is renamed if this share of its predictions agrees; a confused class has less
_AGREED = 0.5
_FEWEST = 2


def class_meanings(
    classes: Sequence[str], ids: Sequence[int] | None = None
) -> Mapping[str, NDArray[np.int64]]:
    """The classes that classes may mean instead, by interpretation.

    Args:
        classes: ``K`` names
        ids: ``K`` ids of the categories in the file, None if they are not known

    Returns:
        by interpretation, ``(K,)`` positions of the classes that are meant, or
        :data:`NO_CLASS`. None of them leaves all classes unchanged
    """
    what = "class positions" if ids is None else "category ids"
    ids = range(1, len(classes) + 1) if ids is None else ids
    place = {id_: row for row, id_ in enumerate(ids)}
    orders: dict[str, Sequence[int]] = {
        "the ids": np.argsort(ids).tolist(),
        "the file": range(len(ids)),
        "the names": sorted(range(len(ids)), key=lambda row: classes[row]),
    }
    found = {
        f"{what} are shifted by +1": [place.get(id_ + 1) for id_ in ids],
        f"{what} are shifted by -1 (the background was counted as a class)": [
            place.get(id_ - 1) for id_ in ids
        ],
    }
    for order, rows in orders.items():
        for first in (0, 1):
            at = {first + n: row for n, row in enumerate(rows)}
            name = (
                f"{what} are read as positions in the order of {order}, counted from "
                f"{first}"
            )
            found[name] = [at.get(id_) for id_ in ids]
    maps: dict[bytes, tuple[str, NDArray[np.int64]]] = {}
    for name, meant in found.items():
        rows_ = np.array([NO_CLASS if row is None else row for row in meant], np.int64)
        if (rows_ != np.arange(len(ids))).any():
            maps.setdefault(rows_.tobytes(), (name, rows_))
    return dict(maps.values())


def fitted_permutation(
    predicted: NDArray[np.int64], truth: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """The permutation of classes under which most predictions have the right class.

    Args:
        predicted: ``(N,)`` classes of predictions
        truth: ``(N,)`` classes of the objects that they lie on
        count: the number of classes, ``K``

    Returns:
        ``(K,)`` the class that each class means. Those of which too little is known
        keep their own, as far as it is free
    """
    from scipy.optimize import linear_sum_assignment

    # Of 100,000 classes, few occur
    used, rows = np.unique(np.concatenate([predicted, truth]), return_inverse=True)
    one, other = np.split(rows, 2)
    table = np.bincount(one * len(used) + other, minlength=len(used) ** 2)
    # A tie is decided for the class itself
    gain = table.reshape(len(used), len(used)) + 1e-3 * np.eye(len(used))
    meant = np.arange(count)
    meant[used] = used[linear_sum_assignment(-gain)[1]]
    return meant


def known_classes(
    predicted: NDArray[np.int64],
    truth: NDArray[np.int64],
    meant: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """The classes whose meaning in a permutation is sure.

    Args:
        predicted: as for :func:`fitted_permutation`
        truth: as for :func:`fitted_permutation`
        meant: ``(K,)`` the permutation

    Returns:
        ``(K,)`` whether at least two predictions, and half of all of the class, agree
    """
    size = len(meant)
    total = np.bincount(predicted, minlength=size)
    agree = np.bincount(predicted[meant[predicted] == truth], minlength=size)
    return (agree >= _FEWEST) & (agree >= _AGREED * total)
