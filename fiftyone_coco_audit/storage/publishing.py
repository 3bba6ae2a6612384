"""Publishes values of samples and labels, and their runs, to a dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fiftyone_coco_audit.columns import (
    SampleColumns,
    dataset_of,
    read_columns,
    require_detection_field,
)
from fiftyone_coco_audit.database import database_errors_explained
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.fields import (
    FieldSpec,
    check_paths_are_free,
    check_writable,
    delete_fields,
    fields_of,
)
from fiftyone_coco_audit.fiftyone_internals import (
    reload_samples,
    root_dataset,
    sample_collection,
)
from fiftyone_coco_audit.interrupts import interrupts_deferred
from fiftyone_coco_audit.progress import Progress
from fiftyone_coco_audit.storage.exclusive import exclusive, refresh, up_to_date
from fiftyone_coco_audit.storage.room import StoredSample, check_room, stored_samples
from fiftyone_coco_audit.storage.values import insert_values
from fiftyone_coco_audit.storage.writes import Changes, prepared
from fiftyone_coco_audit.wording import counted

if TYPE_CHECKING:
    import fiftyone as fo

    from fiftyone_coco_audit.fiftyone_internals import RunDocument


#: The functions whose fields can be deleted
WRITERS = ("compute_statistics", "simulate_resampling", "dry_run", "audit_augmentation")


class SamplesChanged(CocoAuditError):
    """Labels have changed since values were computed from them."""


def publish_values(
    samples: fo.SampleCollection,
    columns: SampleColumns,
    of_samples: Mapping[str, Sequence[Any]],
    of_labels: Mapping[str, Mapping[str, Sequence[Any]]],
    changes: Callable[[fo.Dataset], Changes],
    *,
    run: tuple[RunDocument, Iterable[bytes]] | None = None,
    progress: Progress = None,
) -> None:
    """Writes fields of samples and labels: all of them, or nothing.

    Other processes can change the dataset until the last moment: what the values were
    computed from must be what it was, and nothing else is taken from the loaded
    dataset. Ctrl-C comes after the last moment.

    Args:
        samples: the dataset or view that the columns were read from
        columns: the samples and labels as they were read
        of_samples: a value for each sample, by field
        of_labels: a value for each label, by label field and attribute; None is
            written too
        changes: says what else is to change, given the dataset as it is then; raises
            :class:`CocoAuditError` if that is not allowed
        run: a run that becomes a part of the dataset with the values, and what its
            results are in JSON
        progress: whether to show a progress bar, as everywhere in FiftyOne

    Raises:
        CocoAuditError: if it cannot be written; nothing is written then
    """
    dataset = root_dataset(samples)
    if len(set(columns.ids)) < len(columns):
        raise CocoAuditError(
            f"The view of dataset {dataset.name!r} holds a sample more than once, so "
            "it has no single value to write: use a view that holds each once"
        )
    with prepared(dataset) as write:
        insert_values(
            write.values,
            sample_collection(dataset),
            columns,
            of_samples,
            of_labels,
            progress=progress,
        )
        if run is not None:
            write.add_run(*run)
        with exclusive(dataset) as fresh, interrupts_deferred():
            # A field that was missing when it was read looked empty
            for field in columns.attributes:
                require_detection_field(fresh, field)
            planned = changes(fresh)
            stored = stored_samples(sample_collection(fresh))
            _check_unchanged(samples, columns, stored)
            check_room(write.values, fresh, stored, planned)
            write.publish(fresh, planned)
    reload_samples(dataset)


def publish_fields(
    samples: fo.SampleCollection,
    columns: SampleColumns,
    fields: Sequence[FieldSpec],
    of_samples: Mapping[str, Sequence[Any]],
    of_labels: Mapping[str, Mapping[str, Sequence[Any]]],
    *,
    function: str,
    group: str,
    progress: Progress = None,
) -> None:
    """Writes fields of a function's own: all of them, or nothing.

    Args:
        samples: the dataset or view that the columns were read from
        columns: the samples and labels as they were read
        fields: the fields, which must be the function's own if they are there
        of_samples: a value for each sample, by field
        of_labels: a value for each label, by label field and attribute
        function: the SDK function that writes them
        group: the group in the App's sidebar for the fields of samples
        progress: whether to show a progress bar, as everywhere in FiftyOne

    Raises:
        CocoAuditError: if they cannot be written; nothing is written then
    """
    paths = [field.path for field in fields]

    def changes(dataset: fo.Dataset) -> Changes:
        for field in of_labels:
            require_detection_field(dataset, field)
        check_paths_are_free(dataset, paths, function)
        check_writable(dataset, [*of_labels, *paths], function)
        return Changes(function, fields=tuple(fields), group=group)

    # Check now rather than after all values are written
    dataset = root_dataset(samples)
    up_to_date(dataset)
    changes(dataset)
    # A long computation is not lost in the last second
    with interrupts_deferred():
        publish_values(
            samples, columns, of_samples, of_labels, changes, progress=progress
        )


def may_write_part(dataset: fo.Dataset, function: str) -> bool:
    """Whether what an interrupted run has found may be written.

    It must not replace what an earlier run has found, maybe of more samples.

    Args:
        dataset: the dataset
        function: the SDK function that was interrupted
    """
    up_to_date(dataset)
    return not fields_of(dataset, function)


@database_errors_explained()
def delete_fields_of(samples: fo.SampleCollection, *functions: str) -> None:
    """Deletes the fields that functions of this package wrote to a dataset.

    Args:
        samples: the dataset; for a view, the fields of its dataset are deleted
        *functions: one or more of :data:`WRITERS`

    Raises:
        CocoAuditError: if it is not a dataset, or another function is named
    """
    dataset = dataset_of(samples)
    if not functions or not set(functions) <= set(WRITERS):
        raise CocoAuditError(
            f"functions is {functions!r}: name one or more of {', '.join(WRITERS)}"
        )
    up_to_date(dataset)
    with exclusive(dataset) as fresh, interrupts_deferred():
        for function in functions:
            delete_fields(fresh, fields_of(fresh, function))


def _check_unchanged(
    samples: fo.SampleCollection,
    columns: SampleColumns,
    stored: Mapping[Any, StoredSample],
) -> None:
    """Checks that samples and labels have not changed since they were read.

    Raises:
        SamplesChanged: if they are not
    """
    before = zip(columns.ids, columns.modified, strict=True)
    changed = sum(
        id_ not in stored or stored[id_].modified != time for id_, time in before
    )
    if not changed:
        return
    # Another of our functions may have written to them, which does not matter
    dataset = root_dataset(samples)
    refresh(dataset, dataset.name)
    now = read_columns(samples, columns.attributes, progress=False)
    if now.digest != columns.digest:
        raise SamplesChanged(
            f"The labels of {counted(changed, 'sample')} of dataset {dataset.name!r} "
            "were changed by someone else during this run: run it again"
        )
