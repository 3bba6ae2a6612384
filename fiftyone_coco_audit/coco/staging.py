"""All or nothing: datasets that get their name only when they are complete.

They are built under a name that says what they are and whose they are, and get their
own name at the end. What is left under such a name by an error or an interruption is
removed at once, and by a killed process in the next import; or the job is finished,
where everything was written and only the renaming was cut short.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from fiftyone_coco_audit.coco.names import dataset_slug
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.storage.owners import Owner, at_work

if TYPE_CHECKING:
    import fiftyone as fo

_PREFIX = "coco-audit import "
_KEY = "coco_audit_staging"


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
                f"Dataset {name!r} already exists: choose another name, or pass "
                "overwrite=True to replace it"
            )
        if other != name and dataset_slug(other) == slug:
            raise CocoAuditError(
                f"The name {name!r} is too similar to that of dataset {other!r}: both "
                f"are {slug!r} in the App's address; choose another name"
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
        with at_work() as owner:
            dataset = fo.Dataset(f"{_PREFIX}{owner}")
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

    with at_work() as owner:
        old = fo.load_dataset(name) if fo.dataset_exists(name) else None
        if old is not None:
            old.name = f"{_PREFIX}{owner}"
        dataset.name = name
        if old is not None:
            old.delete()


def _clear_datasets() -> None:
    """Removes incomplete datasets, and publishes complete ones."""
    import fiftyone as fo
    from fiftyone.core.dataset import DatasetNotFoundError

    # FiftyOne itself clears the datasets that processes of other machines left behind
    stale = [name for name in fo.list_datasets(f"{_PREFIX}*") if _is_abandoned(name)]
    datasets = []
    for name in stale:
        with suppress(DatasetNotFoundError):  # another import was faster
            datasets.append(fo.load_dataset(name))
    # The complete ones first: the dataset to be replaced is deleted only afterwards.
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


def _is_abandoned(name: str) -> bool:
    owner = Owner.parse(name.removeprefix(_PREFIX))
    return owner is not None and owner.is_gone
