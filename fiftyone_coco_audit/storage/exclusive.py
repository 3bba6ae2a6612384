"""A dataset as the database has it, for one writer at a time.

A notebook and the App's server hold the same dataset, each with a copy of its schema,
runs and info that is as old as its last reload. Whoever changes these takes them from
the database first, and nobody else changes them in the meantime.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.fiftyone_internals import (
    RUN_KINDS,
    cached_results,
    dataset_id,
    loaded_anew,
    reload_dataset,
    reload_samples,
    rename_loaded,
    run_ids,
    stored_dataset,
    unsaved_changes,
    update_stored_dataset,
)
from fiftyone_coco_audit.storage.locks import locked
from fiftyone_coco_audit.storage.writes import has_notes, lost_run_paths, settle

if TYPE_CHECKING:
    import fiftyone as fo
    from bson import ObjectId

# The datasets that each thread has for itself at the moment
_held = threading.local()


@contextmanager
def exclusive(dataset: fo.Dataset) -> Iterator[fo.Dataset]:
    """Gives the current state of a dataset, which nobody else changes during the block.

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
    key = dataset_id(dataset)
    held: dict[ObjectId, fo.Dataset] = _held.__dict__.setdefault("datasets", {})
    if key in held:
        yield held[key]
        return
    with locked(key):
        _save_changes(dataset)
        name = _name_of(dataset)
        if name is None:
            raise _deleted(dataset)
        fresh = loaded_anew(name)
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
    name = _name_of(dataset)
    if name is None and fo.dataset_exists(dataset.name):
        dataset.reload()
        name = _name_of(dataset)
    if name is None:
        raise _deleted(dataset)
    if has_notes():
        with exclusive(dataset):
            return
    # A publication in progress is complete afterwards
    with locked(dataset_id(dataset)):
        _save_changes(dataset)
        refresh(dataset, name)
    if lost_run_paths(dataset):
        with exclusive(dataset):
            return


def refresh(dataset: fo.Dataset, name: str, *, samples: bool = False) -> None:
    """Brings a loaded dataset to the state in the database.

    Args:
        dataset: the dataset
        name: its name, which another process may have changed
        samples: whether to reload samples that are in memory, too
    """
    if name != dataset.name:
        rename_loaded(dataset, name)
    before = {kind: run_ids(dataset, kind) for kind in RUN_KINDS}
    reload_dataset(dataset)
    # FiftyOne would keep returning the results of replaced runs
    for kind in RUN_KINDS:
        cache, after = cached_results(dataset, kind), run_ids(dataset, kind)
        for key in list(cache):
            if before[kind].get(key) != after.get(key):
                cache.pop(key, None)
    if samples:
        reload_samples(dataset)


def _name_of(dataset: fo.Dataset) -> str | None:
    """The name that the database has for the dataset, None if it is gone."""
    stored = stored_dataset(dataset_id(dataset), ["name"])
    return None if stored is None else str(stored["name"])


def _deleted(dataset: fo.Dataset) -> CocoAuditError:
    return CocoAuditError(
        f"Dataset {dataset.name!r} was deleted or replaced by another process: load "
        "it again with fiftyone.load_dataset(name)"
    )


def _save_changes(dataset: fo.Dataset) -> None:
    """Saves what the caller has changed of a dataset, which a reload would lose.

    Its copy of the schema can be old, and marks itself as changed when it is loaded.
    """
    changes = {
        operator: {
            path: value
            for path, value in values.items()
            if path.partition(".")[0] not in ("sample_fields", "frame_fields")
        }
        for operator, values in unsaved_changes(dataset).items()
    }
    update = {operator: values for operator, values in changes.items() if values}
    if update:
        update_stored_dataset(dataset, update)
