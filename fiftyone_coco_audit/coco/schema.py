"""The fields that the import declares, each with what it means and who wrote it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fiftyone_coco_audit.coco.ids import Id
from fiftyone_coco_audit.coco.objects import CocoObjects
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.fields import FieldSpec, Kind, field_info
from fiftyone_coco_audit.names import check_field_name
from fiftyone_coco_audit.statistics.fields import OF_OBJECTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import fiftyone as fo

OBJECTS, PREDICTIONS = "Objects of a COCO file", "Predictions of a COCO file"

_KINDS: dict[type, Kind] = {str: "str", int: "int", float: "float", bool: "bool"}
_DESCRIPTIONS = {
    "coco_id": "The id in the COCO file",
    "area": "The area in square pixels, as COCO's size classes use it",
    "iscrowd": "Whether the label is a crowd region (1) or a single object (0)",
    "rle": "The mask over the full image, as compressed COCO run lengths",
    "keypoints": "x and y in pixels and v of each keypoint, as in the COCO file",
}
# Attributes that statistics, evaluations with the default key and augmentation audits
# write to labels, and would refuse to write over an attribute from the file
_WRITTEN_LATER = frozenset(
    {
        *(column.name for column in OF_OBJECTS),
        *("augmentation_damage", "eval", "eval_id", "eval_iou", "eval_error"),
        "eval_outcome",
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


def coco_id_field(ids: Sequence[Id | None], path: str) -> FieldSpec:
    """The field of ids in a COCO file: text if any id is text, else whole numbers."""
    has_text = str in set(map(type, ids))
    return FieldSpec(path, "str" if has_text else "int", _DESCRIPTIONS["coco_id"])


def fields_of_labels(name: str, objects: CocoObjects, content: str) -> list[FieldSpec]:
    """A field of detections, and the attributes that they have beyond FiftyOne's own.

    Keypoints have a second field, which shows them.

    Args:
        name: the name of the field
        objects: the objects that it is for
        content: what it holds
    """
    specs = [FieldSpec(name, "detections", content)]
    kinds: dict[str, Kind] = {}
    if objects.has_ids:
        specs.append(coco_id_field(objects.ids, f"{name}.detections.coco_id"))
    if objects.area is not None:
        kinds["area"] = "float"
    if objects.iscrowd is not None:
        kinds["iscrowd"] = "int"
    if objects.has_masks:
        kinds["rle"] = "str"
    if objects.has_keypoints:
        kinds["keypoints"] = "floats"
    for key, values in objects.attributes.items():
        kinds[key] = _KINDS[type(next(v for v in values if v is not None))]
    for key, kind in kinds.items():
        description = _DESCRIPTIONS.get(key, f"{key!r} of the COCO file")
        specs.append(FieldSpec(f"{name}.detections.{key}", kind, description))
    if objects.has_keypoints:
        specs += _fields_of_keypoints(name, objects)
    return specs


def keypoints_field(name: str) -> str:
    """The field that shows the keypoints of the detections of a field."""
    return f"{name}_keypoints"


def shows_keypoints(dataset: fo.Dataset, name: str) -> bool:
    """Whether a dataset has, from an import, the field of keypoints of a field.

    Args:
        dataset: the dataset
        name: the name of the field of detections
    """
    field = dataset.get_field(keypoints_field(name))
    imports = map(field_info, ("import_coco", "add_coco_predictions"))
    return field is not None and field.info in imports


def _fields_of_keypoints(name: str, objects: CocoObjects) -> list[FieldSpec]:
    field = keypoints_field(name)
    about = f"The keypoints of {name!r}, with the ids of its labels"
    specs = [FieldSpec(field, "keypoints", about)]
    if objects.has_ids:
        specs.append(coco_id_field(objects.ids, f"{field}.keypoints.coco_id"))
    if objects.score is None:
        path, said = "visible", "0 not labeled, 1 hidden, 2 visible, of each point"
        specs.append(FieldSpec(f"{field}.keypoints.{path}", "ints", said))
    else:
        said = "The score of the prediction"
        specs.append(FieldSpec(f"{field}.keypoints.score", "float", said))
    return specs
