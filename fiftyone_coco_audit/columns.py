"""Label fields as NumPy columns, read in bulk.

FiftyOne hands out one Python object for every label; at hundreds of thousands
of labels that costs minutes. Here a label field is read through one database
cursor into arrays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2b
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.fiftyone_internals import (
    aggregate,
    dataset_id,
    kind_of_view,
    own_dataset,
    root_dataset,
    stored_dataset,
)
from fiftyone_coco_audit.memory import garbage_collection_paused
from fiftyone_coco_audit.names import kind_of
from fiftyone_coco_audit.progress import Progress, progress_bar

if TYPE_CHECKING:
    import fiftyone as fo
    from bson import ObjectId

_DOCUMENTS_AT_ONCE = 500


@dataclass(frozen=True, repr=False)
class LabelColumns(ShortRepr):
    """The labels of one field, one row each, in the order of the samples.

    Attributes:
        sample: ``(N,)`` position of each label's sample, non-decreasing
        ids: ``(N,)`` ids of the labels, as text
        label: ``N`` class names, None where a label has none
        box: ``(N, 4)`` boxes relative to the image, ``[x, y, width, height]``
            in ``[0, 1]``; NaN where a label has no usable box
        numbers: ``(N,)`` further attributes by name, NaN where a label has none
        texts: ``(N,)`` further attributes by name, text or lists, None where a label
            has none
    """

    sample: NDArray[np.int64]
    ids: NDArray[np.object_]
    label: list[str | None]
    box: NDArray[np.float64]
    numbers: dict[str, NDArray[np.float64]]
    texts: dict[str, NDArray[np.object_]]

    def __len__(self) -> int:
        return len(self.ids)

    def without_values(self) -> LabelColumns:
        """The same labels, without the columns that take much memory."""
        return replace(self, label=[], box=self.box[:0], numbers={}, texts={})


@dataclass(frozen=True, repr=False)
class SampleColumns(ShortRepr):
    """Samples and the labels of some of their fields, as columns.

    Attributes:
        ids: ``N`` sample ids
        size: ``(N, 2)`` width and height of each image in pixels; NaN where the
            sample has no metadata
        coco_id: ``N`` ids of the images in the COCO file, None where there is
            none
        modified: when each sample was last modified before it was read
        labels: the labels by field
        attributes: the attributes that were read of them, by field and name
        digest: another one if anything that was read is another
    """

    ids: list[ObjectId]
    size: NDArray[np.float64]
    coco_id: list[int | str | None]
    modified: list[datetime | None]
    labels: dict[str, LabelColumns]
    attributes: Mapping[str, Mapping[str, type]]
    digest: str

    def __len__(self) -> int:
        return len(self.ids)

    def with_labels(self, field: str, labels: LabelColumns) -> SampleColumns:
        """The same samples with the labels of another field."""
        return replace(self, labels={**self.labels, field: labels})


def require_samples(samples: Any) -> None:
    """Checks that something is a dataset or a view, and is not deleted.

    Raises:
        CocoAuditError: if it is not one, or was deleted
    """
    from fiftyone.core.collections import SampleCollection

    if not isinstance(samples, SampleCollection):
        raise CocoAuditError(
            f"Expected a FiftyOne dataset or view, not {kind_of(samples)}: load the "
            "dataset with fiftyone.load_dataset(name) and pass that"
        )
    # Everything else on a deleted dataset raises FiftyOne's own error, without advice
    dataset = own_dataset(samples)
    if dataset.deleted:
        raise CocoAuditError(
            f"Dataset {dataset.name!r} was deleted: import it again, or load another "
            "with fiftyone.load_dataset(name)"
        )


def require_some(images: Sized, verb: str) -> None:
    """Checks that there are images.

    Args:
        images: the images, or columns of them
        verb: what is to be done with them, for the message

    Raises:
        CocoAuditError: if there are none
    """
    if not len(images):
        raise CocoAuditError(
            f"There are no images to {verb}, because the dataset or view is empty: "
            "add some, or widen the view"
        )


def dataset_of(samples: Any) -> fo.Dataset:
    """The dataset of a view, or a dataset itself.

    Raises:
        CocoAuditError: if it is neither
    """
    require_samples(samples)
    return root_dataset(samples)


def require_detections(samples: fo.SampleCollection, field: str) -> None:
    """Checks that a field of the samples holds detections of whole images.

    Raises:
        CocoAuditError: if it does not
    """
    require_samples(samples)
    kind = kind_of_view(samples)
    if kind == "dynamic_groups":
        raise CocoAuditError(
            "This view groups samples: call its flatten(), or use the dataset itself"
        )
    if samples.media_type == "group":
        raise CocoAuditError(
            f"Dataset {root_dataset(samples).name!r} is grouped: choose the slice with "
            "select_group_slices() and pass that view"
        )
    if kind != "images":
        raise CocoAuditError(
            f"This is a view of {kind}, not of whole images: use the dataset itself, "
            "or a view that filters its samples or labels"
        )
    require_detection_field(samples, field)


def require_detection_field(samples: fo.SampleCollection, field: str) -> None:
    """Checks that a field is one of detections, of whatever kind the samples are.

    Raises:
        CocoAuditError: if it is not
    """
    import fiftyone as fo

    schema = samples.get_field_schema()
    detections = [
        name
        for name, candidate in schema.items()
        if getattr(candidate, "document_type", None) is fo.Detections
    ]
    known = ", ".join(map(repr, detections)) or "none"
    if field not in list(schema):
        raise CocoAuditError(
            f"Dataset {root_dataset(samples).name!r} has no field {field!r}; its "
            f"fields of detections are: {known}"
        )
    if field not in detections:
        raise CocoAuditError(
            f"Field {field!r} of dataset {root_dataset(samples).name!r} does not hold "
            f"Detections but {schema[field]}; its fields of detections are: {known}"
        )


def read_columns(
    samples: fo.SampleCollection,
    fields: Mapping[str, Mapping[str, type]],
    *,
    progress: Progress = None,
) -> SampleColumns:
    """Reads label fields of a dataset or view into columns.

    Args:
        samples: a dataset or a view of whole images
        fields: the attributes to read, ``float``, ``str`` or ``list``, by label field
            and name, besides the id, class and box that every label has
        progress: whether to show a progress bar, as everywhere in FiftyOne

    Returns:
        a :class:`SampleColumns`

    Raises:
        CocoAuditError: if an attribute that should be a number is none, or a field was
            deleted meanwhile
    """
    project: dict[str, Any] = {
        "size": ["$metadata.width", "$metadata.height"],
        "coco_id": 1,
        "last_modified_at": 1,
    }
    for f, (field, attributes) in enumerate(fields.items()):
        for name in ("_id", "label", "bounding_box", *attributes):
            project[f"f{f}_{name}"] = f"${field}.detections.{name}"
            # MongoDB leaves out attributes that a label lacks, which would shift the
            # column: ask for an explicit null
            if name != "_id":
                project[f"f{f}_{name}"] = {
                    "$map": {
                        "input": {"$ifNull": [f"${field}.detections", []]},
                        "in": {"$ifNull": [f"$$this.{name}", None]},
                    }
                }

    ids: list[ObjectId] = []
    sizes: list[list[float | None]] = []
    coco_ids: list[int | str | None] = []
    modified: list[datetime | None] = []
    parts: dict[str, list[LabelColumns]] = {field: [] for field in fields}
    names: dict[str | None, str | None] = {}
    cursor = aggregate(samples, [{"$project": project}])
    with (
        garbage_collection_paused(),
        progress_bar(progress, total=len(samples), stage="Reading labels") as bar,
    ):
        # Without samples, the columns have no rows
        for documents in chain(batches(cursor, _DOCUMENTS_AT_ONCE), [[]]):
            for f, (field, attributes) in enumerate(fields.items()):
                parts[field].append(
                    _label_columns(
                        documents, field, f"f{f}_", attributes, len(ids), names
                    )
                )
            ids.extend(document["_id"] for document in documents)
            sizes.extend(document["size"] for document in documents)
            coco_ids.extend(document.get("coco_id") for document in documents)
            modified.extend(document.get("last_modified_at") for document in documents)
            bar.update(len(documents))
    _require_still(root_dataset(samples), fields)
    size = np.array(sizes, dtype=np.float64).reshape(-1, 2)
    labels = {field: _concatenate(parts.pop(field)) for field in fields}
    return SampleColumns(
        ids=ids,
        size=size,
        coco_id=coco_ids,
        modified=modified,
        labels=labels,
        attributes=fields,
        digest=_digest(ids, size, coco_ids, labels),
    )


def _require_still(dataset: fo.Dataset, fields: Iterable[str]) -> None:
    """Checks that no field was lost while it was read.

    Raises:
        CocoAuditError: if one was
    """
    lost = lost_fields(dataset, fields)
    if lost:
        raise CocoAuditError(
            f"Dataset {dataset.name!r} has no field {lost[0]!r} any more: someone else "
            "deleted or renamed it, or deleted the dataset, just now; run this again "
            "with what is there"
        )


def lost_fields(dataset: fo.Dataset, fields: Iterable[str]) -> list[str]:
    """Those of some fields that the database no longer has.

    To whoever reads it, a field that another process deletes or renames meanwhile looks
    like one without labels.

    Args:
        dataset: the dataset
        fields: names of fields of samples
    """
    stored = stored_dataset(dataset_id(dataset), ["sample_fields.name"]) or {}
    names = {field["name"] for field in stored.get("sample_fields", ())}
    return [field for field in fields if field not in names]


def pixel_boxes(
    box: NDArray[np.float64], size: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Turns relative boxes into pixels, as the file that they came from had them.

    A box that was divided by the image's size does not come back exactly when
    it is multiplied again: 53,803 of 172,000 boxes of a real detector change in
    the last bits, enough to move an overlap across a threshold. What a file
    holds is nearly always a decimal of a few places, or a number of single
    precision: the product is taken for that where it is that close.

    Args:
        box: ``(N, 4)`` boxes relative to the image
        size: ``(N, 2)`` width and height of the image of each box, in pixels

    Returns:
        ``(N, 4)`` boxes in pixels
    """
    raw = box * np.tile(size, 2)
    rounding_error = 4 * np.spacing(np.abs(raw))
    with np.errstate(over="ignore"):  # what is too large for one is not taken for it
        single = raw.astype(np.float32).astype(np.float64)
        decimal = np.round(raw, 10)
    near_single = np.abs(single - raw) <= rounding_error
    near_decimal = np.abs(decimal - raw) <= rounding_error
    return np.where(near_decimal, decimal, np.where(near_single, single, raw))


def _digest(
    ids: Sequence[ObjectId],
    size: NDArray[np.float64],
    coco_ids: Sequence[int | str | None],
    labels: Mapping[str, LabelColumns],
) -> str:
    """A short text that shows whether data read later are the same."""
    made = blake2b(digest_size=16)
    made.update(b"".join(id_.binary for id_ in ids))
    made.update(size.tobytes())
    made.update(repr(coco_ids).encode())
    for of_field in labels.values():
        made.update(of_field.sample.tobytes())
        made.update("".join(of_field.ids).encode())
        made.update(of_field.box.tobytes())
        for numbers in of_field.numbers.values():
            made.update(numbers.tobytes())
        columns: list[Iterable[Any]] = [of_field.label, *of_field.texts.values()]
        for texts in columns:
            made.update("\0".join(map(str, texts)).encode(errors="surrogatepass"))
    return made.hexdigest()


def _label_columns(
    documents: Sequence[Mapping[str, Any]],
    field: str,
    prefix: str,
    attributes: Mapping[str, type],
    first_sample: int,
    names: dict[str | None, str | None],
) -> LabelColumns:
    def column(name: str) -> Iterator[Any]:
        return chain.from_iterable(document[prefix + name] for document in documents)

    def numbers(name: str) -> NDArray[np.float64]:
        try:
            return np.array(list(column(name)), dtype=np.float64)
        except (TypeError, ValueError):
            raise CocoAuditError(
                f"The attribute {name!r} of the labels in {field!r} is not a number on "
                "every label: make it one, or remove it"
            ) from None

    counts = [len(document[prefix + "label"]) for document in documents]
    ids = chain.from_iterable(
        document.get(prefix + "_id", ()) for document in documents
    )
    return LabelColumns(
        sample=np.repeat(np.arange(len(documents)) + first_sample, counts),
        ids=np.array([str(label_id) for label_id in ids], dtype=object),
        # One string per class, not per label
        label=[names.setdefault(name, name) for name in column("label")],
        box=_boxes(list(column("bounding_box"))),
        numbers={name: numbers(name) for name, of in attributes.items() if of is float},
        texts={
            name: np.fromiter(column(name), dtype=object)
            for name, of in attributes.items()
            if of is not float
        },
    )


def _boxes(values: list[Any]) -> NDArray[np.float64]:
    unusable = [float("nan")] * 4
    flat = chain.from_iterable(
        value if value is not None and len(value) == 4 else unusable for value in values
    )
    return np.fromiter(flat, np.float64, 4 * len(values)).reshape(-1, 4)


def _concatenate(parts: list[LabelColumns]) -> LabelColumns:
    return LabelColumns(
        sample=np.concatenate([part.sample for part in parts]),
        ids=np.concatenate([part.ids for part in parts]),
        label=list(chain.from_iterable(part.label for part in parts)),
        box=np.concatenate([part.box for part in parts]),
        numbers={
            name: np.concatenate([part.numbers[name] for part in parts])
            for name in parts[0].numbers
        },
        texts={
            name: np.concatenate([part.texts[name] for part in parts])
            for name in parts[0].texts
        },
    )


def batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Yields lists of some items each."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
