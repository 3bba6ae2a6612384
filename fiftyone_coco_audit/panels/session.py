"""What the panel has read, kept in the App's server: no redraw reads it again."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any

from fiftyone_coco_audit.auditing import (
    examine,
    import_findings,
    selected_rules,
)
from fiftyone_coco_audit.findings import RULES, Finding, severest_first, told_once
from fiftyone_coco_audit.statistics.inputs import (
    LabelledSamples,
    make_readable,
    read_labelled_images,
)
from fiftyone_coco_audit.statistics.overview import Statistics

if TYPE_CHECKING:
    import fiftyone as fo

    from fiftyone_coco_audit.statistics.anchor_sets import AnchorSet
    from fiftyone_coco_audit.statistics.resizing import ResizePolicy

_READINGS = 4

#: How a dataset is told from what it was: its number of samples, and when the newest
#: change of one of them was
Version = tuple[int, datetime | None]


@dataclass
class Reading:
    """One label field of a dataset or view as it was read, and its statistics.

    Args:
        samples: the dataset or view
        labelled: its images and objects, with the ids of their samples and labels
        version: what the dataset was when it was read
        read_at: when that was
    """

    samples: fo.SampleCollection
    labelled: LabelledSamples
    version: Version
    read_at: datetime
    _statistics: Statistics | None = field(default=None, init=False)
    _findings: tuple[tuple[Any, ...], tuple[Finding, ...]] | None = field(
        default=None, init=False
    )

    def statistics(self, resize: ResizePolicy, anchors: AnchorSet) -> Statistics:
        """The statistics; what a policy or anchors do not change is not made again."""
        found = self._statistics or Statistics(self.labelled.images, resize, anchors)
        if found.resize != resize:
            found = found.resized(resize)
        if found.anchors != anchors:
            found = found.anchored(anchors)
        self._statistics = found
        return found

    def findings(
        self,
        statistics: Statistics,
        left_out: Sequence[str] = (),
        thresholds: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> tuple[Finding, ...]:
        """What the rules find in statistics of this reading, the gravest first.

        Args:
            statistics: the statistics
            left_out: codes of rules that are not run
            thresholds: thresholds that are not to be the default, by code
        """
        asked = statistics, left_out, thresholds
        kept = self._findings
        if kept is None or kept[0][0] is not statistics or kept[0][1:] != asked[1:]:
            rules = selected_rules(ignore=[code for code in left_out if code in RULES])
            found = examine(self.labelled, statistics, rules, thresholds)
            of_import = [f for f in self._of_import if f.code not in left_out]
            told = told_once([*of_import, *found])
            self._findings = asked, severest_first(told)
            return self._findings[1]
        return kept[1]

    @cached_property
    def _of_import(self) -> list[Finding]:
        return import_findings(self.samples, selected_rules())

    def is_stale(self) -> bool:
        """Whether the dataset has changed since it was read."""
        return version_of(self.samples._root_dataset) != self.version


def version_of(dataset: fo.Dataset) -> Version:
    """Tells a dataset from what it was before, without reading it.

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


class Readings:
    """The readings used last.

    Args:
        read: reads a label field of samples
        most: how many to keep
        prepare: writes what has to be known of samples before they are read
    """

    def __init__(
        self,
        read: Callable[..., LabelledSamples] = read_labelled_images,
        most: int = _READINGS,
        prepare: Callable[[fo.SampleCollection, str], None] = make_readable,
    ) -> None:
        self._read = read
        self._prepare = prepare
        self._most = most
        self._kept: OrderedDict[tuple[str, ...], Reading] = OrderedDict()
        # One read at a time: two of the same would take as long, and twice the memory
        self._lock = Lock()

    def get(
        self, samples: fo.SampleCollection, label_field: str, *, anew: bool = False
    ) -> Reading:
        """What was read of samples; they are read if they have not been.

        Args:
            samples: a dataset or view
            label_field: the field of the ground truth
            anew: whether to read again what has been read

        Raises:
            CocoAuditError: if the field holds no detections
        """
        dataset = samples._root_dataset
        stages: list[Any] = [] if samples is dataset else samples._serialize()
        key = (str(dataset._doc.id), label_field, json.dumps(stages, default=str))
        with self._lock:
            if anew or key not in self._kept:
                # What we write ourselves is no change
                self._prepare(samples, label_field)
                # Before it is read: a change meanwhile is one that may not be in it
                version = version_of(dataset)
                labelled = self._read(samples, label_field, masks=True)
                self._kept[key] = Reading(samples, labelled, version, datetime.now())
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
            return self._kept[key]


#: Those of this process, which is the App's server
READINGS = Readings()
