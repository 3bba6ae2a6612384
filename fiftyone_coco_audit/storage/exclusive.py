"""A dataset as the database has it, for one writer at a time.

A notebook and the App's server hold the same dataset, each with a copy of its schema,
runs and info that is as old as its last reload. Whoever changes these takes them from
the database first, and nobody else changes them meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.storage.locks import locked
from fiftyone_coco_audit.storage.writes import has_notes, settle

if TYPE_CHECKING:
    import fiftyone as fo
    from bson import ObjectId

# The datasets that each thread has for itself at the moment
_held = threading.local()


@contextmanager
def exclusive(dataset: fo.Dataset) -> Iterator[fo.Dataset]:
    """Gives a dataset as it is now, which nobody else changes during the block.

    What processes that died have left of their writes is finished or removed first.
    The dataset of the caller is brought up to date after the block.

    Args:
        dataset: the dataset

    Yields:
        the dataset, loaded anew; changes are made to this one, as FiftyOne requires
        ``save()`` after changes of ``info`` and the like

    Raises:
        CocoAuditError: if the dataset was deleted
    """
    key = dataset._doc.id
    held: dict[ObjectId, fo.Dataset] = _held.__dict__.setdefault("datasets", {})
    if key in held:
        yield held[key]
        return
    with locked(key):
        _save_changes(dataset)
        fresh = _loaded_anew(dataset)
        settle(fresh)
        held[key] = fresh
        try:
            yield fresh
        finally:
            del held[key]
            refresh(dataset, fresh.name)


def up_to_date(dataset: fo.Dataset) -> None:
    """Brings a loaded dataset up to date, and finishes what dead processes began.

    Where another dataset has taken its name, such as by an import with
    ``overwrite=True``, it is that dataset afterwards, as ``reload()`` has it.

    Args:
        dataset: the dataset

    Raises:
        CocoAuditError: if the dataset was deleted
    """
    import fiftyone as fo

    if dataset.deleted:
        raise _deleted(dataset)
    document = _document(dataset)
    if document is None and fo.dataset_exists(dataset.name):
        dataset.reload()
        document = _document(dataset)
    if document is None:
        raise _deleted(dataset)
    if has_notes():
        with exclusive(dataset):
            return
    # What somebody is publishing is whole afterwards
    with locked(dataset._doc.id):
        _save_changes(dataset)
        refresh(dataset, document["name"])


def refresh(dataset: fo.Dataset, name: str, *, samples: bool = False) -> None:
    """Brings a loaded dataset to the state in the database.

    Args:
        dataset: the dataset
        name: its name, which another process may have changed
        samples: whether to reload samples that are in memory, too
    """
    import fiftyone as fo

    if name != dataset.name:
        if fo.Dataset._instances.get(dataset.name) is dataset:
            del fo.Dataset._instances[dataset.name]
        dataset._doc.name = name
        fo.Dataset._instances[name] = dataset
    before = _run_ids(dataset)
    dataset._reload(hard=True)
    after = _run_ids(dataset)
    # FiftyOne would go on giving the results of runs that were replaced
    for kind, cache in (
        ("evaluations", dataset._evaluation_cache),
        ("runs", dataset._run_cache),
    ):
        for key in list(cache):
            if before[kind].get(key) != after[kind].get(key):
                cache.pop(key, None)
    if samples:
        fo.Sample._reload_docs(dataset._sample_collection_name, hard=True)


def _run_ids(dataset: fo.Dataset) -> dict[str, dict[str, Any]]:
    return {
        kind: {key: run.id for key, run in getattr(dataset._doc, kind).items()}
        for kind in ("evaluations", "runs")
    }


def _loaded_anew(dataset: fo.Dataset) -> fo.Dataset:
    """The dataset as another object, which no other thread knows of."""
    import fiftyone as fo

    document = _document(dataset)
    if document is None:
        raise _deleted(dataset)
    return fo.Dataset._make_instance(
        name=document["name"], _create=False, _virtual=True
    )


def _document(dataset: fo.Dataset) -> dict[str, Any] | None:
    import fiftyone.core.odm as foo

    found: dict[str, Any] | None = foo.get_db_conn().datasets.find_one(
        {"_id": dataset._doc.id}, ["name"]
    )
    return found


def _deleted(dataset: fo.Dataset) -> CocoAuditError:
    return CocoAuditError(
        f"Dataset {dataset.name!r} was deleted or replaced by another process: load "
        "it again with fiftyone.load_dataset(name)"
    )


def _save_changes(dataset: fo.Dataset) -> None:
    """Saves what the caller has changed of a dataset, which a reload would lose.

    Its copy of the schema can be old, and marks itself as changed when it is loaded.
    """
    import fiftyone.core.odm as foo

    changes = {
        operator: {
            path: value
            for path, value in values.items()
            if path.partition(".")[0] not in ("sample_fields", "frame_fields")
        }
        for operator, values in zip(
            ("$set", "$unset"), dataset._doc._delta(), strict=True
        )
    }
    update = {operator: values for operator, values in changes.items() if values}
    if update:
        foo.get_db_conn().datasets.update_one({"_id": dataset._doc.id}, update)
