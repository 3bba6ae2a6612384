"""What a panel of the grid shows: something that was read, and opened from there."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from datetime import datetime
from itertools import count
from threading import Lock
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from fiftyone_coco_audit.findings import Finding
from fiftyone_coco_audit.panels.extents import Extent
from fiftyone_coco_audit.panels.selections import Selection

if TYPE_CHECKING:
    import fiftyone as fo

_Read = TypeVar("_Read")

#: Numbers that are unique in this process
NUMBERS = count(1)

#: Shows whether a dataset has changed: its number of samples, and the time of the
#: newest change of one of them
Version = tuple[int, datetime | None]


class Reading(Protocol):
    """Something that was read from a dataset.

    Its ``number`` is unique in this process.
    """

    number: int

    @property
    def dataset_name(self) -> str:
        """The name of the dataset that was read, whole or in part."""

    def extent(self, what: Finding | Selection) -> Extent:
        """How many labels and images a finding or selection is about."""

    def view(
        self, what: Finding | Selection, *, as_patches: bool
    ) -> fo.SampleCollection:
        """Exactly the samples or labels of a finding or selection."""

    def is_stale(self) -> bool:
        """Whether the dataset has changed since it was read."""


def version_of(dataset: fo.Dataset) -> Version:
    """What tells whether a dataset has changed, without reading it.

    Args:
        dataset: the dataset

    Returns:
        the number of its samples, and the time of the newest change of one of them
    """
    samples: fo.SampleCollection = dataset
    if dataset.media_type == "group":
        # Whatever slice is active now
        kinds = dataset.group_media_types
        images = [name for name, kind in kinds.items() if kind == "image"]
        samples = dataset.select_group_slices(images)
    newest = samples.sort_by("last_modified_at", reverse=True).limit(1)
    return len(samples), next(iter(newest.values("last_modified_at")), None)


class LastUsed(Generic[_Read]):
    """What was read, kept as long as it is among what was used last.

    Args:
        most: how many to keep
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[Hashable, _Read] = OrderedDict()
        # One read at a time: two of the same would take as long, and twice the memory
        self._lock = Lock()

    def get(
        self, key: Hashable, read: Callable[[], _Read], *, anew: bool = False
    ) -> _Read:
        """What is kept under a key; it is read unless it is kept.

        Args:
            key: identifies it
            read: reads it
            anew: whether to read it again
        """
        with self._lock:
            if anew or key not in self._kept:
                self._kept[key] = read()
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
            return self._kept[key]
