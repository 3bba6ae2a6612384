"""The most that MongoDB stores of one sample, known before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from fiftyone_coco_audit.fiftyone_internals import sample_collection
from fiftyone_coco_audit.storage.values import MOST_BYTES, merge_values, no_room
from fiftyone_coco_audit.storage.writes import Changes

if TYPE_CHECKING:
    import fiftyone as fo
    from pymongo.collection import Collection


class StoredSample(NamedTuple):
    """A sample in the database.

    Attributes:
        modified: when it was last modified
        size: its size in bytes
    """

    modified: datetime | None
    size: int


def stored_samples(samples: Collection) -> dict[Any, StoredSample]:
    """All samples of a collection, by id."""
    project = {"last_modified_at": 1, "bytes": {"$bsonSize": "$$ROOT"}}
    return {
        found["_id"]: StoredSample(found.get("last_modified_at"), found["bytes"])
        for found in samples.aggregate([{"$project": project}])
    }


def check_room(
    values: Collection,
    dataset: fo.Dataset,
    stored: Mapping[Any, StoredSample],
    changes: Changes,
) -> None:
    """Checks that no sample gets larger than MongoDB can store.

    Args:
        values: the collection of the values
        dataset: the dataset
        stored: its samples
        changes: says which fields have values

    Raises:
        CocoAuditError: if one would
    """
    from pymongo.errors import OperationFailure

    largest = max((sample.size for sample in stored.values()), default=0)
    maybe = [
        found["_id"]
        for found in values.aggregate(
            [
                {"$project": {"bytes": {"$bsonSize": "$$ROOT"}}},
                {"$match": {"bytes": {"$gt": MOST_BYTES - largest}}},
            ]
        )
        if found["_id"] in stored
        and stored[found["_id"]].size + found["bytes"] > MOST_BYTES
    ]
    if not maybe:
        return
    # Values often take the place of others: tried on copies
    samples = sample_collection(dataset)
    trial = values.database[f"{values.name}.trial"]
    some = values.database[f"{values.name}.some"]
    try:
        for source, copy in ((samples, trial), (values, some)):
            source.aggregate([{"$match": {"_id": {"$in": maybe}}}, {"$out": copy.name}])
        merge_values(some, trial, changes.sample_fields, changes.label_lists)
    except OperationFailure as error:
        for document in values.find({"_id": {"$in": maybe}}):
            size = _size_with(samples.find_one(document["_id"]), document, changes)
            if size > MOST_BYTES:
                raise no_room(samples, document, size) from error
        raise
    finally:
        for copy in (trial, some):
            copy.drop()


def _size_with(
    sample: dict[str, Any] | None, values: Mapping[str, Any], changes: Changes
) -> int:
    """How many bytes a sample would have with its values."""
    from bson import encode

    sample = sample or {}
    sample.update({name: values["sample"].get(name) for name in changes.sample_fields})
    for field, labels in changes.label_lists.items():
        new = {label["_id"]: label for label in values["labels"][field]}
        for label in (sample.get(field) or {}).get(labels) or ():
            label.update(new.get(label["_id"], {}))
    return len(encode(sample))
