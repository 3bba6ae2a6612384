"""Further keys of annotations and predictions as attributes of labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any, Literal

from fiftyone_coco_audit.coco import rules
from fiftyone_coco_audit.coco.records import (
    column,
    is_attribute_name,
    is_plain,
    read_number,
)
from fiftyone_coco_audit.coco.report import ProblemLog


def read_attributes(
    records: list[dict[str, Any]],
    consumed: Collection[str],
    reserved: Collection[str],
    kind: Literal["annotation", "prediction"],
    log: ProblemLog,
) -> dict[str, list[Any]]:
    """Extra keys, and those of CVAT's ``attributes``, that make a label attribute."""
    columns = {
        key: column(records, key) for key in set().union(*records) - set(consumed)
    }
    for row, more in enumerate(column(records, "attributes")):
        if isinstance(more, dict):
            for key, value in more.items():
                columns.setdefault(key, [None] * len(records))[row] = value

    attributes: dict[str, list[Any]] = {}
    for key in sorted(columns):
        values = columns[key]
        present = Counter(map(type, values))
        present.pop(type(None), None)
        if not present:
            continue
        name = key
        # Two keys never share a name: `tags` may stand beside `coco_tags`
        while name in reserved or name in attributes or name != key and name in columns:
            name = f"coco_{name}"
        if set(present) == {int, float}:
            values = [None if v is None else read_number(v) for v in values]
        elif not (
            len(present) == 1
            and set(present) <= {str, int, float, bool}
            and all(is_plain(v) for v in values)
        ):
            name = ""
        if not is_attribute_name(name):
            types = " and ".join(sorted(t.__name__ for t in present))
            count = sum(present.values())
            reason = f"the key {key!r} holds {types} and was not kept"
            log.note(rules.ATTRIBUTE_NOT_KEPT, kind, count, reason)
            continue
        attributes[name] = values
    return attributes
