"""The fields that the import declares, each with what it means and who wrote it."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from fiftyone_coco_audit.coco.ids import Id
from fiftyone_coco_audit.coco.objects import Objects
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.fields import field_info
from fiftyone_coco_audit.names import check_field_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import fiftyone as fo

_DESCRIPTIONS = {
    "coco_id": "The id in the COCO file",
    "area": "The area in square pixels, as COCO's size classes use it",
    "iscrowd": "Whether the object is a crowd (1) or a single thing (0)",
    "rle": "The mask over the full image, as compressed COCO run lengths",
}
# What statistics, evaluations under the usual key and audits of augmentation write on
# labels, and would refuse to write in place of an attribute of the file
_WRITTEN_LATER = frozenset(
    {
        *("box_aspect_ratio", "relative_area", "size_class", "truncated"),
        *("input_size", "anchor_iou", "augmentation_damage"),
        *("eval", "eval_id", "eval_iou", "eval_error"),
    }
)


def reserved_attributes() -> set[str]:
    """Returns the names that an attribute of a file cannot have on a label."""
    import fiftyone as fo

    return {*dir(fo.Detection), *_DESCRIPTIONS}


def names_for_others() -> set[str]:
    """Returns the names that an attribute of a file leaves to FiftyOne and to us."""
    return reserved_attributes() | _WRITTEN_LATER


def check_label_field(name: str) -> None:
    """Checks that a label field can have the name.

    Raises:
        CocoAuditError: if it cannot
    """
    from fiftyone.core.sample import get_default_sample_fields

    check_field_name(name, "label field")
    if name in {*get_default_sample_fields(), "coco_id"}:
        raise CocoAuditError(
            f"The label field cannot be called {name!r} because FiftyOne or the import "
            "uses that name; choose another one"
        )


def declare_coco_id(dataset: fo.Dataset, ids: Sequence[Id | None]) -> None:
    """Declares the field of the ids of images."""
    field = _id_field(ids)
    dataset.add_sample_field(field.pop("name"), **field)


def _id_field(ids: Sequence[Id | None]) -> dict[str, Any]:
    """A field of ids: text if any id is text, else whole numbers."""
    import fiftyone as fo

    has_text = str in set(map(type, ids))
    type_ = fo.StringField if has_text else fo.IntField
    return _field("coco_id", type_, _DESCRIPTIONS["coco_id"], "import_coco")


def declare_label_field(
    dataset: fo.Dataset,
    name: str,
    objects: Objects,
    function: str,
    info: dict[str, Any] | None = None,
) -> None:
    """Declares a field of detections, with all that its labels have beyond FiftyOne's.

    Args:
        dataset: the dataset
        name: the name of the field
        objects: the objects that it will hold
        function: the SDK function that writes it
        info: the ``info`` of the field; by default, the function
    """
    import fiftyone as fo

    # As one field: each change of a schema rewrites it as a whole
    detections = {
        "name": "detections",
        "ftype": fo.ListField,
        "subfield": fo.EmbeddedDocumentField,
        "embedded_doc_type": fo.Detection,
        "fields": list(_attribute_fields(objects, function)),
    }
    dataset.add_sample_field(
        name,
        fo.EmbeddedDocumentField,
        embedded_doc_type=fo.Detections,
        fields=[detections],
        description="Objects of a COCO file"
        if function == "import_coco"
        else "Predictions of a COCO file",
        info=info or field_info(function),
    )


def _attribute_fields(objects: Objects, function: str) -> Iterator[dict[str, Any]]:
    import fiftyone as fo

    if objects.has_ids:
        yield _id_field(objects.ids)
    types: dict[str, type[fo.Field]] = {}
    if objects.area is not None:
        types["area"] = fo.FloatField
    if objects.iscrowd is not None:
        types["iscrowd"] = fo.IntField
    if objects.has_masks:
        types["rle"] = fo.StringField
    field_of = {
        str: fo.StringField,
        int: fo.IntField,
        float: fo.FloatField,
        bool: fo.BooleanField,
    }
    for key, values in objects.attributes.items():
        types[key] = field_of[type(next(v for v in values if v is not None))]
    for key, type_ in types.items():
        description = _DESCRIPTIONS.get(key, f"{key!r} of the COCO file")
        yield _field(key, type_, description, function)


def _field(
    name: str, type_: type[fo.Field], description: str, function: str
) -> dict[str, Any]:
    return {
        "name": name,
        "ftype": type_,
        "description": description,
        "info": field_info(function),
        # FiftyOne sets it only of fields that are not in lists, and in UTC without zone
        "created_at": datetime.now(timezone.utc).replace(tzinfo=None),
    }
