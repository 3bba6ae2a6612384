"""Further keys of annotations and predictions as attributes of labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from itertools import chain
from typing import Any, Literal

from fiftyone_coco_audit.coco import rules
from fiftyone_coco_audit.coco.records import (
    column,
    is_attribute_name,
    is_plain,
    read_number,
)
from fiftyone_coco_audit.coco.report import ProblemLog

# Each is a field of the dataset, with a value or None for every label
_MOST_KEYS = 1000


def read_attributes(
    records: list[dict[str, Any]],
    consumed: Collection[str],
    reserved: Collection[str],
    kind: Literal["annotation", "prediction"],
    log: ProblemLog,
) -> dict[str, list[Any]]:
    """Extra keys, and those of CVAT's ``attributes``, that make a label attribute."""
    more = [m if isinstance(m, dict) else {} for m in column(records, "attributes")]
    keys = _most_frequent([*records, *more], kind, log)
    columns = {key: column(records, key) for key in keys - set(consumed)}
    for row, values_of in enumerate(more):
        for key in keys & values_of.keys():
            columns.setdefault(key, [None] * len(records))[row] = values_of[key]

    attributes: dict[str, list[Any]] = {}
    for key in sorted(columns, key=str):
        values = columns[key]
        present = Counter(map(type, values))
        present.pop(type(None), None)
        if not present:
            continue
        name = key
        # Two keys never share a name: a file may have both `tags` and `coco_tags`
        while name in reserved or name in attributes or name != key and name in columns:
            name = f"coco_{name}"
        why = ""
        if set(present) == {int, float}:
            values = [None if v is None else read_number(v) for v in values]
        elif not (
            len(present) == 1
            and set(present) <= {str, int, float, bool}
            and all(is_plain(v) for v in values)
        ):
            types = " and ".join(sorted(t.__name__ for t in present))
            # If the type is usually kept, the value is the problem
            if len(present) == 1 and set(present) <= {str, int}:
                types = f"{types} that no database can hold"
            why = f"holds {types} and"
        if not why and not is_attribute_name(name):
            why = "cannot be the name of an attribute and"
        if why:
            count = sum(present.values())
            reason = f"the key {key!r} {why} was not kept"
            log.note(rules.ATTRIBUTE_NOT_KEPT, kind, count, reason)
            continue
        attributes[name] = values
    return attributes


def _most_frequent(
    records: list[dict[str, Any]],
    kind: Literal["annotation", "prediction"],
    log: ProblemLog,
) -> set[Any]:
    """The keys of records, or those that most have where there are too many."""
    keys: set[Any] = set().union(*records)
    if len(keys) <= _MOST_KEYS:
        return keys
    counts = Counter(chain.from_iterable(records)).most_common()
    rest = counts[_MOST_KEYS:]
    reason = (
        f"there are {len(keys):,} keys, but only the {_MOST_KEYS:,} most frequent are "
        f"read; {rest[0][0]!r} is the first of the others"
    )
    log.note(rules.ATTRIBUTE_NOT_KEPT, kind, sum(n for _, n in rest), reason)
    return {key for key, _ in counts[:_MOST_KEYS]}
