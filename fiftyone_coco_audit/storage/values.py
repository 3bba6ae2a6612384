"""Values of samples and labels, kept beside a dataset until all of them are there.

There is one document for each sample, so that the database itself can bring them to
the samples in one request. That can be done twice with the same outcome.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timezone
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import numpy as np

from fiftyone_coco_audit.columns import SampleColumns, batches
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.memory import garbage_collection_paused
from fiftyone_coco_audit.progress import Progress, progress_bar
from fiftyone_coco_audit.wording import counted, quoted

if TYPE_CHECKING:
    from pymongo.collection import Collection

_DOCUMENTS_AT_ONCE = 500
# While the database writes, the next documents are made
_WRITERS = 2
#: The most that MongoDB stores of one sample
MOST_BYTES = 16 * 2**20


def insert_values(
    values: Collection,
    samples: Collection,
    columns: SampleColumns,
    of_samples: Mapping[str, Sequence[Any]],
    of_labels: Mapping[str, Mapping[str, Sequence[Any]]],
    *,
    progress: Progress = None,
) -> None:
    """Writes values into a collection of their own.

    Args:
        values: the collection
        samples: the collection of the samples
        columns: the samples and labels that the values are of
        of_samples: a value for each sample, by field
        of_labels: a value for each label, by label field and attribute; None is
            written too
        progress: whether to show a progress bar, as everywhere in FiftyOne
    """
    pending: deque[Future] = deque()
    with (
        garbage_collection_paused(),
        progress_bar(progress, total=len(columns), stage="Writing values") as bar,
        ThreadPoolExecutor(_WRITERS) as pool,
    ):
        documents = _documents(columns, of_samples, of_labels)
        for batch in chain(batches(documents, _DOCUMENTS_AT_ONCE), [None] * _WRITERS):
            if len(pending) == _WRITERS or batch is None and pending:
                bar.update(pending.popleft().result())
            if batch is not None:
                pending.append(pool.submit(insert_documents, values, samples, batch))


def insert_documents(
    values: Collection, samples: Collection, documents: list[dict[str, Any]]
) -> int:
    """Inserts documents, and returns their number.

    Args:
        values: the collection
        samples: the collection of the samples
        documents: the documents, each with the id of its sample

    Raises:
        CocoAuditError: if one is larger than MongoDB can store
    """
    from bson import encode
    from bson.errors import InvalidDocument
    from pymongo.errors import OperationFailure

    try:
        values.insert_many(documents, ordered=False)
    except (InvalidDocument, OperationFailure) as error:
        sizes = [len(encode(document)) for document in documents]
        if max(sizes) <= MOST_BYTES:
            raise
        largest = documents[sizes.index(max(sizes))]
        raise no_room(samples, largest, max(sizes)) from error
    return len(documents)


def no_room(samples: Collection, values: dict[str, Any], size: int) -> CocoAuditError:
    """The error for a sample that would be larger than MongoDB can store.

    Args:
        samples: the collection of the samples
        values: the document of the values for the sample
        size: how many bytes the sample would have
    """
    labels = sum(
        len(value.get("detections", ()))
        for value in values["sample"].values()
        if isinstance(value, dict)
    )
    what = counted(labels, "more label") if labels else "these values"
    sample = samples.find_one({"_id": values["_id"]}, ["filepath"]) or {}
    return CocoAuditError(
        f"With {what}, the image {quoted(str(sample.get('filepath')))} takes "
        f"{size / 2**20:.1f} MB, but MongoDB allows 16 MB per image; cut the image "
        "into tiles, or leave labels out. Nothing was written"
    )


def _documents(
    columns: SampleColumns,
    of_samples: Mapping[str, Sequence[Any]],
    of_labels: Mapping[str, Mapping[str, Sequence[Any]]],
) -> Iterator[dict[str, Any]]:
    from bson import ObjectId

    names = list(of_samples)
    rows: Iterator[Any] = zip(columns.ids, *of_samples.values(), strict=True)
    labels = []
    for field, attributes in of_labels.items():
        read = columns.labels[field]
        positions = np.arange(len(columns))
        stops = np.searchsorted(read.sample, positions, side="right").tolist()
        keys = ("_id", *attributes)
        of_label = zip(map(ObjectId, read.ids), *attributes.values(), strict=True)
        labels.append((field, keys, np.diff(stops, prepend=0).tolist(), of_label))
    for sample, (sample_id, *row) in enumerate(rows):
        yield {
            "_id": sample_id,
            "sample": dict(zip(names, row, strict=True)),
            "labels": {
                field: [
                    dict(zip(keys, label, strict=True))
                    for label in islice(of_label, counts[sample])
                ]
                for field, keys, counts, of_label in labels
            },
        }


def merge_values(
    values: Collection,
    samples: Collection,
    sample_fields: Iterable[str],
    label_lists: Mapping[str, str],
) -> None:
    """Writes values to their samples and labels.

    A label that was added meanwhile gets none. One request does it, but a process that
    reads meanwhile can see some samples without and some with them.

    Args:
        values: the collection of the values
        samples: the collection of the samples
        sample_fields: the fields of samples
        label_lists: the name of the list of labels by label field whose labels have
            values
    """
    new: dict[str, Any] = {name: f"$$new.sample.{name}" for name in sample_fields}
    new.update({field: _with_values(field, of) for field, of in label_lists.items()})
    new["last_modified_at"] = datetime.now(timezone.utc)
    values.aggregate(
        [
            {
                "$merge": {
                    "into": samples.name,
                    "on": "_id",
                    "let": {"new": "$$ROOT"},
                    "whenMatched": [{"$set": new}],
                    "whenNotMatched": "discard",
                }
            }
        ]
    )


def _with_values(field: str, labels: str) -> dict[str, Any]:
    """A label field whose labels have the values that are in ``$$new``."""
    stored, given = f"${field}.{labels}", f"$$new.labels.{field}"
    in_order = {
        "$map": {
            "input": {"$zip": {"inputs": [stored, given]}},
            "as": "pair",
            "in": {"$mergeObjects": [{"$first": "$$pair"}, {"$last": "$$pair"}]},
        }
    }
    # The view hides some of the labels, or they were changed since
    found = {
        "$let": {
            "vars": {"place": {"$indexOfArray": ["$$ids", "$$label._id"]}},
            "in": {
                "$cond": [
                    {"$gte": ["$$place", 0]},
                    {"$arrayElemAt": [given, "$$place"]},
                    {},
                ]
            },
        }
    }
    by_id = {
        "$let": {
            "vars": {"ids": f"{given}._id"},
            "in": {
                "$map": {
                    "input": stored,
                    "as": "label",
                    "in": {"$mergeObjects": ["$$label", found]},
                }
            },
        }
    }
    same = {"$eq": [f"{stored}._id", f"{given}._id"]}
    changed = {"$cond": [same, in_order, by_id]}
    return {
        "$cond": [
            {"$isArray": [stored]},
            {"$mergeObjects": [f"${field}", {labels: changed}]},
            f"${field}",
        ]
    }
