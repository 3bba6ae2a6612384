"""What the panel has read, kept in the App's server, so no redraw reads it again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.auditing import (
    examine,
    import_findings,
    report_of_whole,
)
from fiftyone_coco_audit.coco.report import ImportReport
from fiftyone_coco_audit.fiftyone_internals import dataset_id, root_dataset, stages_of
from fiftyone_coco_audit.findings import (
    RULES,
    Finding,
    Rule,
    severest_first,
    without_repeats,
)
from fiftyone_coco_audit.panels.extents import MOST_PATCHES, Extent, are_hard_to_see
from fiftyone_coco_audit.panels.reading import NUMBERS, LastUsed, Version, version_of
from fiftyone_coco_audit.panels.selections import Selection
from fiftyone_coco_audit.rule_selection import (
    not_run_notes,
    rules_not_run,
    selected_rules,
)
from fiftyone_coco_audit.statistics.inputs import (
    LabeledSamples,
    make_readable,
    read_labeled_images,
)
from fiftyone_coco_audit.statistics.overview import Statistics
from fiftyone_coco_audit.views import view_of_labels

if TYPE_CHECKING:
    import fiftyone as fo

    from fiftyone_coco_audit.statistics.anchor_sets import AnchorSet
    from fiftyone_coco_audit.statistics.resizing import ResizePolicy

_READINGS = 4


@dataclass
class LoadedField:
    """One label field of a dataset or view, and its statistics.

    Args:
        samples: the dataset or view
        labeled: its images and objects, with the ids of their samples and labels
        version: the version of the dataset when it was read
        read_at: the time when it was read

    Its ``number`` is unique in this process.
    """

    samples: fo.SampleCollection
    labeled: LabeledSamples
    version: Version
    read_at: datetime
    number: int = field(default_factory=lambda: next(NUMBERS), init=False)
    _statistics: Statistics | None = field(default=None, init=False)
    _findings: tuple[tuple[Any, ...], tuple[Finding, ...]] | None = field(
        default=None, init=False
    )

    def statistics(self, resize: ResizePolicy, anchors: AnchorSet) -> Statistics:
        """The statistics; what does not depend on a change is not computed again."""
        found = self._statistics or Statistics(self.labeled.images, resize, anchors)
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
        """What the rules find in statistics of this field, the most severe first.

        Args:
            statistics: the statistics
            left_out: codes of rules that are not run
            thresholds: thresholds that are not to be the default, by code
        """
        asked = statistics, left_out, thresholds
        kept = self._findings
        if kept is None or kept[0][0] is not statistics or kept[0][1:] != asked[1:]:
            rules = self._rules(left_out)
            found = examine(self.labeled, statistics, rules, thresholds)
            of_import = [f for f in self._of_import if f.code not in left_out]
            told = without_repeats([*of_import, *found])
            self._findings = asked, severest_first(told)
            return self._findings[1]
        return kept[1]

    def not_run(self, statistics: Statistics, left_out: Sequence[str]) -> list[str]:
        """Sentences on the rules that cannot run.

        Args:
            statistics: statistics of this field
            left_out: codes of rules that are left out
        """
        has_file = self._report is not None
        return not_run_notes(
            rules_not_run(self._rules(left_out), statistics, has_file=has_file)
        )

    @staticmethod
    def _rules(left_out: Sequence[str]) -> list[Rule]:
        return selected_rules(ignore=[code for code in left_out if code in RULES])

    @cached_property
    def _report(self) -> ImportReport | None:
        return report_of_whole(self.samples)

    @cached_property
    def _of_import(self) -> list[Finding]:
        return import_findings(self.samples, self._report, selected_rules())

    @property
    def dataset_name(self) -> str:
        """The name of the dataset that was read, whole or in part."""
        return str(root_dataset(self.samples).name)

    def extent(self, what: Finding | Selection) -> Extent:
        """How many labels and images a finding or selection is about.

        Args:
            what: a finding or selection of this field
        """
        if isinstance(what, Selection):
            if what.objects is None:
                return Extent(len(what))
            return self._extent_of_rows(what.objects)
        if not what.label_ids:
            return Extent(len(what.sample_ids))
        columns = self.labeled.columns.labels[self.labeled.label_field]
        known = [self._labels[i] for i in what.label_ids if i in self._labels]
        place = np.array(known, np.int64)
        images = len(np.unique(columns.sample[place]))
        row = self._row_of_label[place]
        return self._extent(images, what.count, row[row >= 0])

    def _extent_of_rows(self, rows: NDArray[np.int64]) -> Extent:
        images = len(np.unique(self.labeled.images.objects.image[rows]))
        return self._extent(images, len(rows), rows)

    def _extent(self, images: int, labels: int, rows: NDArray[np.int64]) -> Extent:
        # More are not shown as patches
        few, own = labels <= MOST_PATCHES, self.labeled.images
        hard = few and are_hard_to_see(own.objects, own.size, rows)
        return Extent(images, labels, hard)

    def view(
        self, what: Finding | Selection, *, as_patches: bool
    ) -> fo.SampleCollection:
        """Exactly the samples or labels of a finding or selection of this field.

        Args:
            what: the finding or selection
            as_patches: whether each label is shown by itself
        """
        view = self._view(what)
        return view.to_patches(self.labeled.label_field) if as_patches else view

    def _view(self, what: Finding | Selection) -> fo.DatasetView:
        if isinstance(what, Finding):
            return what.view(self.samples)
        if what.objects is None:
            assert what.images is not None
            return self.samples.select(self.labeled.sample_ids(what.images))
        return view_of_labels(
            self.samples,
            self.labeled.label_field,
            self.labeled.label_ids(what.objects),
        )

    @cached_property
    def _labels(self) -> dict[str, int]:
        """The position of each label by its id."""
        ids = self.labeled.columns.labels[self.labeled.label_field].ids
        return {label: place for place, label in enumerate(ids.tolist())}

    @cached_property
    def _row_of_label(self) -> NDArray[np.int64]:
        """The row of the object of each label; -1 if it is not an object."""
        row = np.full(len(self._labels), -1)
        row[self.labeled.rows] = np.arange(len(self.labeled.rows))
        return row

    def is_stale(self) -> bool:
        """Whether the dataset has changed since it was read."""
        return version_of(root_dataset(self.samples)) != self.version


class LoadedFields:
    """The label fields used last.

    Args:
        read: reads a label field of samples
        most: how many to keep
        prepare: writes what must be known about samples before they are read
    """

    def __init__(
        self,
        read: Callable[..., LabeledSamples] = read_labeled_images,
        most: int = _READINGS,
        prepare: Callable[[fo.SampleCollection, str], None] = make_readable,
    ) -> None:
        self._read = read
        self._prepare = prepare
        self._kept: LastUsed[LoadedField] = LastUsed(most)

    def get(
        self, samples: fo.SampleCollection, label_field: str, *, anew: bool = False
    ) -> LoadedField:
        """A label field of samples, which is read unless it is kept.

        Args:
            samples: a dataset or view
            label_field: the field of the ground truth
            anew: whether to read it again

        Raises:
            CocoAuditError: if the field holds no detections
        """
        dataset = root_dataset(samples)
        key = (
            str(dataset_id(dataset)),
            label_field,
            json.dumps(stages_of(samples), default=str),
        )

        def read() -> LoadedField:
            # Our own writes do not count as changes
            self._prepare(samples, label_field)
            # Before reading: changes in the meantime may be missing from what is read
            version = version_of(dataset)
            labeled = self._read(samples, label_field, masks=True)
            return LoadedField(samples, labeled, version, datetime.now())

        return self._kept.get(key, read, anew=anew)


#: The label fields of this process, which is the App's server
READINGS = LoadedFields()
