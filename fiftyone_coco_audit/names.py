"""What FiftyOne and its database can hold: text, and names of fields."""

from __future__ import annotations

from typing import Any

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.wording import json_kind


def is_storable(text: str) -> bool:
    """Whether a database can hold a text: it has no half of a surrogate pair.

    Python reads such halves from file names in another encoding, and from JSON.
    """
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def kind_of(value: Any) -> str:
    """What a value is that should be something else, for messages."""
    # JSON's names for types, except for those that only Python has
    return "None" if value is None else json_kind(value)


def check_field_name(name: Any, what: str) -> None:
    """Checks that a field can have a name.

    Args:
        name: the name
        what: what it is the name of, for the message

    Raises:
        CocoAuditError: if it cannot
    """
    if not isinstance(name, str):
        problem = "must be text"
    elif not name:
        problem = "is empty"
    elif name.startswith("_"):
        problem = "begins with '_', which FiftyOne reserves for itself"
    elif "__" in name:
        problem = "contains '__', where FiftyOne's database library splits names"
    elif "." in name:
        problem = "contains '.', which separates a field from its attribute"
    elif set(name) & set("$\0") or not is_storable(name):
        problem = "contains a character that no database accepts in a name"
    else:
        return
    raise CocoAuditError(f"The {what} {name!r} {problem}; choose another one")
