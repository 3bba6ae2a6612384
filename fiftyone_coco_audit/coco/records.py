"""Raw records in bulk: their keys as columns, and their faults.

Every table of a COCO file is read with these; nothing here knows what a record is.
"""

from __future__ import annotations

import json
import math
import numbers
import re
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.coco import rules
from fiftyone_coco_audit.coco.ids import Id, fits, read_ids
from fiftyone_coco_audit.coco.report import ProblemLog
from fiftyone_coco_audit.findings import Rule
from fiftyone_coco_audit.names import is_storable
from fiftyone_coco_audit.wording import json_kind

_Value = TypeVar("_Value")

AddProblem = Callable[[Rule, str], None]

_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")


def identified(
    records: list[Any],
    kind: Literal["image", "category"],
    kept: Container[Id],
    log: ProblemLog,
) -> Iterator[tuple[dict[str, Any], Id, AddProblem]]:
    """Sets aside records without a unique id, and yields the others.

    Args:
        records: the raw records
        kind: what they are
        kept: the ids of the records that have been kept so far
        log: takes the problems

    Yields:
        tuples of a record, its id, and a function that logs a problem of it
    """
    without_id, duplicate = {
        "image": (rules.IMAGE_WITHOUT_ID, rules.DUPLICATE_IMAGE_ID),
        "category": (rules.CATEGORY_WITHOUT_ID, rules.DUPLICATE_CATEGORY_ID),
    }[kind]
    ids, texts = read_ids(column(dicts(records), "id"))
    for position, (record, id_) in enumerate(zip(records, ids, strict=True)):

        def add(rule: Rule, reason: str, p: int = position, i: Any = id_) -> None:
            log.add(rule, kind, p, i, reason)

        if not isinstance(record, dict):
            add(rules.NOT_A_RECORD, not_a_record(record))
        elif id_ is None:
            add(without_id, f"its `id` is {show(record, 'id')}")
        elif id_ in kept:
            add(duplicate, f"an earlier {kind} has the same id")
        else:
            yield record, id_, add
    log.note(rules.NUMBER_AS_TEXT, kind, texts, "their `id` is a number as text")


class Faults:
    """The first fault of each record, and the warnings of those without.

    Args:
        records: ``N`` raw records; those that are not objects already have a fault

    Attributes:
        none: ``(N,)`` whether nothing is wrong with a record
    """

    def __init__(self, records: Sequence[Any]) -> None:
        self.none = np.ones(len(records), dtype=bool)
        self._found: dict[int, tuple[Rule, Callable[[int], str]]] = {}
        self._warnings: list[tuple[int, Rule, str]] = []
        self.mark(
            rules.NOT_A_RECORD,
            np.array([not isinstance(r, dict) for r in records], dtype=bool),
            lambda row: not_a_record(records[row]),
        )

    def mark(
        self, rule: Rule, bad: NDArray[np.bool_], reason: Callable[[int], str]
    ) -> None:
        """Marks records.

        Args:
            rule: what is wrong
            bad: ``(N,)`` with which records
            reason: words the reason for a row
        """
        new = np.flatnonzero(bad & self.none).tolist()
        self._found.update(dict.fromkeys(new, (rule, reason)))
        self.none[new] = False

    def warn(self, rule: Rule, reasons: Mapping[int, str]) -> None:
        """Adds warnings to records, unless they are set aside.

        Args:
            rule: what it is
            reasons: the reason for each row
        """
        self._warnings += [(row, rule, reason) for row, reason in reasons.items()]

    def report(
        self,
        log: ProblemLog,
        kind: Literal["annotation", "prediction"],
        ids: list[Id | None],
    ) -> None:
        """Logs the fault of each record, or else its warnings.

        Args:
            log: takes them
            kind: what the records are
            ids: their ids
        """
        found = [(row, rule, why(row)) for row, (rule, why) in self._found.items()]
        found += [warning for warning in self._warnings if self.none[warning[0]]]
        for row, rule, reason in sorted(found, key=lambda problem: problem[0]):
            log.add(rule, kind, row, ids[row], reason)


def dicts(records: Sequence[Any]) -> list[dict[str, Any]]:
    """The records, empty where one is not an object."""
    return [record if isinstance(record, dict) else {} for record in records]


def column(records: Sequence[dict[str, Any]], key: str) -> list[Any]:
    """The values of a key, ``None`` where a record has none."""
    return [record.get(key) for record in records]


def taken(values: Sequence[_Value], rows: NDArray[np.int64]) -> list[_Value]:
    """The values of some rows."""
    return [values[row] for row in rows.tolist()]


def read_numbers(values: Sequence[Any]) -> NDArray[np.float64]:
    """Values as numbers: NaN for other values, infinity for too large numbers."""
    if set(map(type, values)) <= {float, int}:
        with suppress(OverflowError):
            return np.array(values, dtype=np.float64)
    return np.array([read_number(value) for value in values], dtype=np.float64)


def read_number(value: Any) -> float:
    """A value as a number, even if it is text, such as ``"0.9"``.

    Returns:
        the number: NaN for what is none, infinite for what is too large
    """
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf


def unpacked(value: Any) -> Any:
    """A list that is JSON in a text as a list, anything else as it is."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        with suppress(ValueError, RecursionError):
            return json.loads(value)
    return value


def note_numbers_as_text(
    records: Sequence[dict[str, Any]],
    keys: Sequence[str],
    kind: Literal["image", "annotation", "prediction"],
    log: ProblemLog,
) -> None:
    """Notes how many records have text where a number or a list of numbers belongs."""
    for key in keys:
        values = column(records, key)
        inner = chain.from_iterable(v for v in values if isinstance(v, list))
        if str not in {*map(type, values), *map(type, inner)}:
            continue  # as it nearly always is, and a million times as fast
        texts = sum(_is_number_as_text(value, key == "bbox") for value in values)
        log.note(rules.NUMBER_AS_TEXT, kind, texts, f"their `{key}` is text")


def _is_number_as_text(value: Any, is_list: bool) -> bool:
    parts = unpacked(value) if is_list else [value]
    if not isinstance(parts, list):
        return False
    has_text = isinstance(value, str) or str in set(map(type, parts))
    return has_text and not any(math.isnan(read_number(part)) for part in parts)


def is_plain(value: Any) -> bool:
    """Whether a value is text or a number that a database can hold, or none."""
    if isinstance(value, str):
        return is_storable(value)
    if isinstance(value, int):
        return fits(value)
    return value is None or isinstance(value, float)


def is_attribute_name(name: Any) -> bool:
    """Whether FiftyOne can have an attribute of that name."""
    return (
        isinstance(name, str)
        and bool(name)
        and not name.startswith("_")
        and not set(name) & set(".$\0")
        and is_storable(name)
    )


def not_a_record(value: Any) -> str:
    """The reason for an entry that is not a JSON object."""
    return f"it is {json_kind(value)}, not an object"


def show_number(record: dict[str, Any], key: str) -> str:
    """Like :func:`show`, for a number or a list of numbers."""
    value = record.get(key)
    if isinstance(value, str):
        return f"{show(record, key)}, which is text"
    if isinstance(value, list) and str in set(map(type, value)):
        return f"{show(record, key)}, which holds text"
    return show(record, key)


def show(record: dict[str, Any], key: str) -> str:
    """The value of a key for a message, cut where it is long."""
    if key not in record:
        return "missing"
    text = repr(record[key])
    return text if len(text) <= 60 else f"{text[:57]}..."
