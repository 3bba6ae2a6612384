"""The list ``categories`` of a COCO file as a table."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fiftyone_coco_audit.coco import rules
from fiftyone_coco_audit.coco.ids import Id
from fiftyone_coco_audit.coco.records import (
    AddProblem,
    identified,
    is_attribute_name,
    is_plain,
    show,
)
from fiftyone_coco_audit.coco.report import ProblemLog
from fiftyone_coco_audit.coco.skeletons import Skeleton, note_skeletons, skeletons_of
from fiftyone_coco_audit.names import is_storable
from fiftyone_coco_audit.wording import listed

_MAX_DEPTH = 10  # nested lists, such as a skeleton; databases have a limit too


@dataclass(frozen=True)
class Categories:
    """The categories of a file, one row each, in file order.

    Attributes:
        ids: ``N`` ids
        names: ``N`` names, no two alike
        records: ``N`` records with ``id`` and ``name`` as in the other columns, and
            what else a database can hold
        parents: the names of those that only group others
    """

    ids: list[Id]
    names: list[str]
    records: list[dict[str, Any]]
    parents: list[str]

    @cached_property
    def skeletons(self) -> dict[str, Skeleton]:
        """The keypoints of the categories that have any, by name."""
        return skeletons_of(self.records)


def read_categories(
    records: list[Any], log: ProblemLog, *, used: Container[Id] | None = None
) -> Categories:
    """Reads the list ``categories`` of a COCO file.

    Of several categories of one name, the first that has objects keeps it. The others
    get their id in the name: ``"cat (id 7)"``.

    Args:
        records: the raw records
        log: takes the problems
        used: the ids that objects have; ``None`` if that is not known

    Returns:
        a :class:`Categories`
    """
    kept: dict[Id, tuple[str, dict[str, Any], AddProblem]] = {}
    for record, id_, add in identified(records, "category", kept, log):
        name = record.get("name")
        if type(name) is int:
            name = str(name)
        if isinstance(name, str) and name and is_storable(name):
            kept[id_] = name, record, add
        else:
            add(rules.CATEGORY_WITHOUT_NAME, f"its `name` is {show(record, 'name')}")

    parents = [] if used is None else _parents(kept, used)
    owners: dict[str, Id] = {}
    for id_ in sorted(kept, key=lambda id_: used is not None and id_ not in used):
        owners.setdefault(kept[id_][0], id_)
    names = {id_: name for name, id_ in owners.items()}
    for id_, (name, _, add) in kept.items():
        if id_ in names:
            continue
        if id_ not in parents:
            reason = f"category {owners[name]!r} is also called {name!r}"
            add(rules.DUPLICATE_CATEGORY_NAME, reason)
        unique = name
        while unique in owners:  # one may be called "cat (id 7)" in the file
            unique = f"{unique} (id {id_})"
        owners[unique] = id_
        names[id_] = unique

    called = [names[id_] for id_ in parents]
    reason = f"{listed(called)}: no objects, and the `supercategory` of others"
    log.note(rules.PARENT_CATEGORY, "category", len(parents), reason)
    categories = Categories(
        ids=list(kept),
        names=[names[id_] for id_ in kept],
        records=[
            {**_storable(record), "id": id_, "name": names[id_]}
            for id_, (_, record, _) in kept.items()
        ],
        parents=called,
    )
    note_skeletons(categories.skeletons, log)
    return categories


def _parents(
    kept: Mapping[Id, tuple[str, dict[str, Any], AddProblem]], used: Container[Id]
) -> list[Id]:
    """The categories without objects that are the ``supercategory`` of another."""
    children: dict[str, set[Id]] = {}
    for id_, (_, record, _) in kept.items():
        above = record.get("supercategory")
        if isinstance(above, str):
            children.setdefault(above, set()).add(id_)
    return [
        id_
        for id_, (name, _, _) in kept.items()
        if id_ not in used and children.get(name, set()) - {id_}
    ]


def _storable(record: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in record.items()
        if is_attribute_name(key) and _is_plain_or_list(value)
    }


def _is_plain_or_list(value: Any, depth: int = 1) -> bool:
    if isinstance(value, list):
        return depth < _MAX_DEPTH and all(
            _is_plain_or_list(item, depth + 1) for item in value
        )
    return is_plain(value)
