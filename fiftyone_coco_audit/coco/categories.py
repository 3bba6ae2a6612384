"""The list ``categories`` of a COCO file as a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fiftyone_coco_audit.coco import rules
from fiftyone_coco_audit.coco.ids import Id
from fiftyone_coco_audit.coco.records import (
    identified,
    is_attribute_name,
    is_plain,
    show,
)
from fiftyone_coco_audit.coco.report import ProblemLog
from fiftyone_coco_audit.names import is_storable


@dataclass(frozen=True)
class Categories:
    """The categories of a file, one row each, in file order.

    Attributes:
        ids: ``N`` ids
        names: ``N`` names, no two alike
        records: ``N`` records with ``id`` and ``name`` as in the other columns, and
            what else a database can hold
    """

    ids: list[Id]
    names: list[str]
    records: list[dict[str, Any]]


def read_categories(records: list[Any], log: ProblemLog) -> Categories:
    """Reads the list ``categories`` of a COCO file.

    A later category of the same name is kept apart by its id: ``"cat (id 7)"``.

    Args:
        records: the raw records
        log: takes the problems

    Returns:
        a :class:`Categories`
    """
    kept: dict[Id, dict[str, Any]] = {}
    names: set[str] = set()

    for record, id_, add in identified(records, "category", kept, log):
        name = record.get("name")
        if type(name) is int:
            name = str(name)
        if not (isinstance(name, str) and name and is_storable(name)):
            add(rules.CATEGORY_WITHOUT_NAME, f"its `name` is {show(record, 'name')}")
            continue
        if name in names:
            reason = f"an earlier category is called {name!r} too"
            add(rules.DUPLICATE_CATEGORY_NAME, reason)
        while name in names:  # one may be called "cat (id 7)" in the file
            name = f"{name} (id {id_})"
        names.add(name)
        extra = {key: v for key, v in record.items() if _is_storable(key, v)}
        kept[id_] = {**extra, "id": id_, "name": name}

    return Categories(
        ids=list(kept),
        names=[record["name"] for record in kept.values()],
        records=list(kept.values()),
    )


def _is_storable(key: str, value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_storable(key, item) for item in value)
    return is_plain(value) and is_attribute_name(key)
