"""Inserts documents into the database, with a clear error if one is too large.

MongoDB holds at most 16 MB in a document: the labels of an image, or all categories of
a dataset. Documents of images are measured only after MongoDB has refused one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fiftyone_coco_audit.coco.categories import Categories
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.fiftyone_internals import sample_collection
from fiftyone_coco_audit.wording import counted, quoted

if TYPE_CHECKING:
    import fiftyone as fo

_MOST_BYTES = 16 * 2**20
# Stored by FiftyOne with the categories: their names again, and the schema
_BYTES_FOR_THE_REST = 4 * 2**20


def insert_samples(dataset: fo.Dataset, documents: list[dict[str, Any]]) -> None:
    """Inserts documents of samples.

    Args:
        dataset: the dataset
        documents: the documents

    Raises:
        CocoAuditError: naming the image, if a document is too large
    """
    from bson import encode

    with _refusals() as refused:
        sample_collection(dataset).insert_many(documents)
    if refused:
        sizes = [len(encode(document)) for document in documents]
        _raise_for_largest(documents, sizes, refused[0])


@contextmanager
def _refusals() -> Iterator[list[Exception]]:
    """Collects the error of a database that refuses to write."""
    from bson.errors import InvalidDocument
    from pymongo.errors import OperationFailure

    refused: list[Exception] = []
    try:
        yield refused
    except (InvalidDocument, OperationFailure) as error:
        refused.append(error)


def _raise_for_largest(
    documents: Sequence[dict[str, Any]], sizes: Sequence[int], refused: Exception
) -> None:
    size = max(sizes)
    if size <= _MOST_BYTES:
        raise refused
    document = documents[sizes.index(size)]
    count = sum(
        len(value["detections"])
        for value in document.values()
        if isinstance(value, dict) and "detections" in value
    )
    labels = counted(count, "label")
    raise CocoAuditError(
        f"With {labels}, the image {quoted(document['filepath'])} takes "
        f"{size / 2**20:.1f} MB, but MongoDB allows 16 MB per image; cut the image "
        "into tiles, or leave labels out"
    ) from refused


def check_categories_fit(categories: Categories, file: str) -> None:
    """Checks that a dataset can hold the categories of a file.

    Raises:
        CocoAuditError: if they are too large
    """
    from bson import encode

    size = len(encode({"records": categories.records, "names": categories.names}))
    if size > _MOST_BYTES - _BYTES_FOR_THE_REST:
        raise CocoAuditError(
            f"The {len(categories.ids):,} categories of {file} take "
            f"{size / 2**20:.1f} MB, but MongoDB allows 16 MB for them and everything "
            "else that describes a dataset; leave out keys other than `id` and "
            "`name`, or categories without objects"
        )
