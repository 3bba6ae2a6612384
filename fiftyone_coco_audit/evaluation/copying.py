"""Copies of label fields, without what was computed from their labels."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from fiftyone_coco_audit.fields import FieldSpec, Kind
from fiftyone_coco_audit.fiftyone_internals import aggregate

if TYPE_CHECKING:
    import fiftyone as fo

# Functions whose attributes belong to the labels themselves
_SOURCES = (
    "import_coco",
    "add_coco_predictions",
    "repair_predictions",
    "review_labels",
)


def copied_fields(
    dataset: fo.Dataset,
    field: str,
    output_field: str,
    description: str,
    lost: Collection[str] = (),
) -> tuple[list[FieldSpec], set[str]]:
    """The fields to declare for a copy, and the attributes that are not copied.

    Args:
        dataset: the dataset
        field: the field of detections to copy
        output_field: the field for the copy
        description: what the copy holds, which the App shows
        lost: further attributes that are not copied
    """
    import fiftyone as fo

    kinds: dict[type, Kind] = {
        fo.FloatField: "float",
        fo.IntField: "int",
        fo.StringField: "str",
        fo.BooleanField: "bool",
    }
    specs = [FieldSpec(output_field, "detections", description)]
    derived, own = set(lost), set(dir(fo.Detection))
    prefix = f"{field}.detections."
    for path, declared in dataset.get_field_schema(flat=True).items():
        name = path.removeprefix(prefix)
        if name == path or "." in name or name in derived:
            continue
        writer = (declared.info or {}).get("coco_audit", {}).get("function")
        if writer is not None and writer not in _SOURCES:
            derived.add(name)
            continue
        kind = kinds.get(type(declared))
        if isinstance(declared, fo.ListField) and type(declared.field) is fo.FloatField:
            kind = "floats"
        if kind is not None and name not in own:
            path = f"{output_field}.detections.{name}"
            specs.append(FieldSpec(path, kind, declared.description or ""))
    return specs, derived


def copied_labels(
    samples: fo.SampleCollection, field: str, derived: set[str]
) -> list[list[dict[str, Any]]]:
    """The documents of labels of each sample, as copies with ids of their own.

    Args:
        samples: a dataset or view
        field: the field of detections
        derived: attributes that are not copied
    """
    from bson import ObjectId

    found = aggregate(samples, [{"$project": {"labels": f"${field}.detections"}}])
    return [
        [
            {**{k: v for k, v in label.items() if k not in derived}, "_id": ObjectId()}
            for label in document.get("labels") or ()
        ]
        for document in found
    ]
