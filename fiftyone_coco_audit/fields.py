"""The fields that our functions write: declared, recognized and deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.fiftyone_internals import reload_dataset
from fiftyone_coco_audit.sidebar import groups_of, remove_empty_groups

if TYPE_CHECKING:
    import fiftyone as fo

Kind = Literal[
    "float", "int", "str", "bool", "floats", "ints", "detections", "keypoints"
]


@dataclass(frozen=True)
class FieldSpec:
    """A field of samples, or an attribute of labels.

    Args:
        path: its path in a sample, such as ``"ground_truth.detections.input_size"``
        kind: the type of its values
        description: what it holds, which the App shows
    """

    path: str
    kind: Kind
    description: str


def field_info(function: str) -> dict[str, Any]:
    """The ``info`` of a field, which names the function that wrote it."""
    return {"coco_audit": {"function": function}}


def declare_fields(
    dataset: fo.Dataset, fields: Sequence[FieldSpec], function: str
) -> None:
    """Declares fields on a dataset's schema; existing ones are updated.

    Args:
        dataset: the dataset
        fields: the fields
        function: the SDK function that writes them
    """
    import fiftyone as fo

    types: dict[Kind, Callable[..., fo.Field]] = {
        "float": fo.FloatField,
        "int": fo.IntField,
        "str": fo.StringField,
        "bool": fo.BooleanField,
        "floats": lambda **about: fo.ListField(fo.FloatField(), **about),
        "ints": lambda **about: fo.ListField(fo.IntField(), **about),
        "detections": partial(fo.EmbeddedDocumentField, fo.Detections),
        "keypoints": partial(fo.EmbeddedDocumentField, fo.Keypoints),
    }
    info = field_info(function)
    declared = {spec.path for spec in fields}
    new = {}
    for spec in fields:
        root = spec.path.partition(".")[0]
        if root not in declared and not dataset.has_field(root):
            continue  # deleted meanwhile
        old = dataset.get_field(spec.path)
        if old is None:
            new[spec.path] = types[spec.kind](description=spec.description, info=info)
        elif (old.description, old.info) != (spec.description, info):
            old.description = spec.description
            old.info = info
            old.save()
    # One schema change for all fields: each change rewrites the schema
    if new:
        dataset.add_dynamic_sample_fields(new)


def foreign_field(
    dataset: fo.Dataset, paths: Iterable[str], function: str
) -> str | None:
    """The first of some fields that exists and was not written by the function."""
    for path in paths:
        field = dataset.get_field(path)
        if field is not None and field.info != field_info(function):
            return path
    return None


def check_paths_are_free(
    dataset: fo.Dataset,
    paths: Iterable[str],
    function: str,
    instead: str = ", or pass write_fields=False",
) -> None:
    """Checks that a function would not write into fields of other origin.

    Args:
        dataset: the dataset
        paths: of the fields
        function: the name of the function
        instead: what else can be done

    Raises:
        CocoAuditError: if it would
    """
    path = foreign_field(dataset, paths, function)
    if path is not None:
        raise CocoAuditError(
            f"Dataset {dataset.name!r} already has a field {path!r}, which {function} "
            f"would overwrite: rename that field first{instead}"
        )


def check_writable(dataset: fo.Dataset, paths: Iterable[str], function: str) -> None:
    """Checks that no field is read-only; missing ones are skipped.

    Raises:
        CocoAuditError: if one is
    """
    for path in paths:
        field = dataset.get_field(path)
        if field is not None and field.read_only:
            raise CocoAuditError(
                f"Field {path!r} of dataset {dataset.name!r} is read-only, and "
                f"{function} would write into it: set its read_only to False first"
            )


def fields_of(dataset: fo.Dataset, function: str) -> list[str]:
    """The paths of the fields that a function wrote."""
    schema = dataset.get_field_schema(flat=True)
    info = field_info(function)
    return [path for path, field in schema.items() if field.info == info]


def delete_fields(dataset: fo.Dataset, paths: Iterable[str]) -> None:
    """Deletes fields; missing ones are skipped."""
    known = [path for path in paths if dataset.get_field(path) is not None]
    if not known:
        return
    groups = groups_of(dataset, known)
    try:
        dataset.delete_sample_fields(known)
    except (AttributeError, ValueError):
        reload_dataset(dataset)
        if all(dataset.get_field(path) is not None for path in known):
            raise
        # Someone else deleted some of them, or what they are in
        delete_fields(dataset, known)
    remove_empty_groups(dataset, groups)
