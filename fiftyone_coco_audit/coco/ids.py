"""Ids as COCO files have them: read, and made of one type."""

from __future__ import annotations

import numbers
import re
from collections.abc import Iterable, Sequence
from itertools import chain, count
from typing import Any

from fiftyone_coco_audit.names import is_storable

Id = int | str

_WHOLE_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,18}")
_MIN_INT64, _MAX_INT64 = -(2**63), 2**63 - 1


def read_ids(values: Sequence[Any]) -> tuple[list[Id | None], int]:
    """Reads ids as COCO tools mean them.

    Whole numbers stay, also when they are written as ``1.0`` or as text. Other text
    stays text, and so does a number beyond 64 bits, which no database holds.

    Args:
        values: the raw ids

    Returns:
        a tuple of the ids, ``None`` where there is none to be had, and the number of
        those that were numbers written as text
    """
    types = set(map(type, values))
    if types <= {type(None)}:
        return list(values), 0
    if types == {int} and fits(min(values)) and fits(max(values)):
        return list(values), 0
    ids = [_read_id(value) for value in values]
    texts = sum(
        isinstance(value, str) and isinstance(id_, int)
        for value, id_ in zip(values, ids, strict=True)
    )
    return ids, texts


def _read_id(value: Any) -> Id | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, numbers.Integral):
        return int(value) if fits(int(value)) else str(value)
    if isinstance(value, float) and value.is_integer():
        return _read_id(int(value))
    if isinstance(value, str) and value and is_storable(value):
        is_number = _WHOLE_NUMBER.fullmatch(value) and fits(int(value))
        return int(value) if is_number else value
    return None


def fits(value: int) -> bool:
    """Whether a database can hold the number."""
    return _MIN_INT64 <= value <= _MAX_INT64


def numbered_anew(
    ids: Sequence[Id | None], taken: Iterable[Id | None]
) -> list[Id | None]:
    """Replaces ids that occurred before by the next free numbers.

    The numbers go on from the largest one that is taken, or fill the gaps from 1 where
    a database holds none that is larger.

    Args:
        ids: the ids
        taken: all ids that no other can have

    Returns:
        the ids, no two of them equal except ``None``
    """
    known = {id_ for id_ in taken if id_ is not None}
    largest = max((id_ for id_ in known if isinstance(id_, int)), default=0)
    free = (
        number
        for number in chain(range(max(largest, 0) + 1, _MAX_INT64 + 1), count(1))
        if number not in known
    )
    seen: set[Id | None] = {None}
    unique: list[Id | None] = []
    for id_ in ids:
        unique.append(next(free) if id_ in seen and id_ is not None else id_)
        seen.add(id_)
    return unique


def as_stored(ids: Sequence[Id | None]) -> list[Id | None]:
    """Makes ids of one type: all text if any is text, since a field has one type."""
    if str in set(map(type, ids)):
        return [None if id_ is None else str(id_) for id_ in ids]
    return list(ids)


def distinct_ids(values: Sequence[Any]) -> set[Id]:
    """The different ids among raw values."""
    return {id_ for id_ in read_ids(values)[0] if id_ is not None}
