"""Whole or not at all: datasets and fields that appear under their name when done.

Both are built under a name that says what they are and whose they are, and get their
own name at the end. What is left under such a name by an error or an interruption is
removed at once, and by a killed process in the next import; or the job is finished,
where everything was written and only the renaming was cut short.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from fiftyone_coco_audit.coco.names import dataset_slug
from fiftyone_coco_audit.coco.objects import Objects
from fiftyone_coco_audit.coco.schema import declare_label_field
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.fields import field_info

if TYPE_CHECKING:
    import fiftyone as fo

_PREFIX = "coco-audit import "
_FIELD_PREFIX = "coco_audit_import_"
_OWNER = re.compile(rf"{_PREFIX}\w+ \(process (\d+) since (\d+) on (.*)\)")
_KEY = "coco_audit_staging"

# The names that this process is working under
_in_use: set[str] = set()


def check_dataset_name(name: str, *, overwrite: bool) -> None:
    """Checks that a dataset can be made under a name.

    Raises:
        CocoAuditError: if it cannot
    """
    import fiftyone as fo

    slug = dataset_slug(name)
    for other in fo.list_datasets():
        if other == name and not overwrite:
            raise CocoAuditError(
                f"There is a dataset {name!r} already; choose another name, or pass "
                "overwrite=True to replace it"
            )
        if other != name and dataset_slug(other) == slug:
            raise CocoAuditError(
                f"The name {name!r} is too like that of the dataset {other!r}, both "
                f"being {slug!r} in the App's address; choose another name"
            )


@contextmanager
def staged_dataset(
    name: str, *, overwrite: bool, persistent: bool
) -> Iterator[fo.Dataset]:
    """Gives a new dataset that gets its name when the block ends without error.

    On an error nothing is left behind.

    Args:
        name: the name of the dataset
        overwrite: whether to replace a dataset of that name; it stays what it is
            until the new one is whole
        persistent: whether it outlives the database's session
    """
    import fiftyone as fo

    _clear_datasets()
    try:
        with _own_name() as own:
            dataset = fo.Dataset(own)
            dataset.media_type = "image"
            yield dataset
            check_dataset_name(name, overwrite=overwrite)
            dataset.info[_KEY] = {"name": name}
            dataset.persistent = True
            _publish_dataset(dataset, name)
    except BaseException:
        _clear_datasets()
        raise
    del dataset.info[_KEY]
    dataset.persistent = persistent


def _publish_dataset(dataset: fo.Dataset, name: str) -> None:
    import fiftyone as fo

    with _own_name() as beside:
        old = fo.load_dataset(name) if fo.dataset_exists(name) else None
        if old is not None:
            old.name = beside
        dataset.name = name
        if old is not None:
            old.delete()


def _clear_datasets() -> None:
    """Removes what was left unfinished; publishes what is whole."""
    import fiftyone as fo
    from fiftyone.core.dataset import DatasetNotFoundError

    stale = [name for name in fo.list_datasets(f"{_PREFIX}*") if _is_abandoned(name)]
    datasets = []
    for name in stale:
        with suppress(DatasetNotFoundError):  # another import was faster
            datasets.append(fo.load_dataset(name))
    # The whole ones first: a dataset that was to be replaced goes only afterwards.
    for dataset in sorted(datasets, key=lambda d: _KEY not in d.info):
        name = dataset.info.get(_KEY, {}).get("name")
        if name is not None and _may_take(name, dataset):
            _publish_dataset(dataset, name)
            del dataset.info[_KEY]
            dataset.save()
        else:
            dataset.delete()


def _may_take(name: str, dataset: fo.Dataset) -> bool:
    """Whether the name is free, or still that of the dataset to be replaced."""
    import fiftyone as fo

    if not fo.dataset_exists(name):
        return True
    older: bool = fo.load_dataset(name).created_at < dataset.created_at
    return older


@contextmanager
def staged_field(
    dataset: fo.Dataset, name: str, objects: Objects, function: str
) -> Iterator[str]:
    """Gives the name of a new field of detections, which is ``name`` after the block.

    A field of that name is replaced; it stays what it is until the new one is whole.
    On an error nothing is left behind.

    Args:
        dataset: the dataset
        name: the name of the field
        objects: the objects that it will hold
        function: the SDK function that writes it
    """
    clear_fields(dataset)
    staged = f"{_FIELD_PREFIX}{uuid4().hex[:12]}"
    info = field_info(function)
    try:
        with _own_name() as own:
            staging: dict[str, Any] = {"owner": own, "name": name, "whole": False}
            marked = {**info, _KEY: staging}
            declare_label_field(dataset, staged, objects, function, marked)
            yield staged
            field = dataset.get_field(staged)
            field.info = {**info, _KEY: {**staging, "whole": True}}
            field.save()
            _publish_field(dataset, staged, name)
    except BaseException:
        dataset.reload()
        clear_fields(dataset)
        raise


def _publish_field(dataset: fo.Dataset, staged: str, name: str) -> None:
    if staged != name:
        if dataset.has_field(name):
            dataset.delete_sample_field(name)
        dataset.rename_sample_field(staged, name)
        dataset.reload()  # the field still thinks it has its former name
    field = dataset.get_field(name)
    field.info = {key: value for key, value in field.info.items() if key != _KEY}
    field.save()


def clear_fields(dataset: fo.Dataset) -> None:
    """Removes the fields that were left unfinished; publishes what is whole."""
    for staged, field in dataset.get_field_schema().items():
        staging = (field.info or {}).get(_KEY)
        if staging is None or not _is_abandoned(staging["owner"]):
            continue
        name = staging["name"]
        old = dataset.get_field(name)
        may_take = staged == name or old is None or old.created_at < field.created_at
        if staging["whole"] and may_take:
            _publish_field(dataset, staged, name)
        else:
            dataset.delete_sample_field(staged)


@contextmanager
def _own_name() -> Iterator[str]:
    """A new name that says which process on which machine it belongs to."""
    import psutil

    pid = os.getpid()
    since = int(psutil.Process(pid).create_time())
    name = (
        f"{_PREFIX}{uuid4().hex[:12]} "
        f"(process {pid} since {since} on {socket.gethostname()})"
    )
    _in_use.add(name)
    try:
        yield name
    finally:
        _in_use.discard(name)


def _is_abandoned(name: str) -> bool:
    """Whether nobody works under a name any more: its process ended, or gave up.

    What other machines left is FiftyOne's to clear, as it does with all datasets
    that are not persistent.
    """
    import psutil

    owner = _OWNER.fullmatch(name)
    if owner is None or owner[3] != socket.gethostname():
        return False
    try:
        alive = int(psutil.Process(int(owner[1])).create_time()) == int(owner[2])
        return not alive or int(owner[1]) == os.getpid() and name not in _in_use
    except psutil.NoSuchProcess:
        return True
