"""The results of evaluations that a panel shows, kept in the App's server."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.evaluation.loading_results import load_results
from fiftyone_coco_audit.evaluation.metrics import Evaluation
from fiftyone_coco_audit.evaluation.tables import EvaluationTables
from fiftyone_coco_audit.fiftyone_internals import (
    dataset_id,
    root_dataset,
    run_ids,
    stages_of,
)
from fiftyone_coco_audit.findings import Finding
from fiftyone_coco_audit.objects import Objects
from fiftyone_coco_audit.panels.extents import MOST_PATCHES, Extent, are_hard_to_see
from fiftyone_coco_audit.panels.reading import NUMBERS, LastUsed, Version, version_of
from fiftyone_coco_audit.panels.selections import Selection
from fiftyone_coco_audit.views import view_of_fields

if TYPE_CHECKING:
    import fiftyone as fo

_Value = TypeVar("_Value")


@dataclass
class LoadedResults:
    """The results of an evaluation, of all its images or of those of a view.

    Images are numbered in the order of ``results.per_image()``; labels are the rows of
    ``results.evaluation``.

    Args:
        samples: the dataset, or the view whose images count
        eval_key: the name of the evaluation
        results: its results
        size: ``(N, 2)`` width and height of each image, 0 where it is unknown
        version: the version of the dataset when they were loaded
        read_at: the time when they were loaded
        whole: the results of all images that were evaluated, if these are not

    Its ``number`` is unique in this process.
    """

    samples: fo.SampleCollection
    eval_key: str
    results: EvaluationTables
    size: NDArray[np.float64]
    version: Version
    read_at: datetime
    whole: EvaluationTables | None = None
    number: int = field(default_factory=lambda: next(NUMBERS), init=False)
    _computed: dict[Hashable, Any] = field(default_factory=dict, init=False)

    @property
    def dataset_name(self) -> str:
        """The name of the dataset that was evaluated."""
        return str(root_dataset(self.samples).name)

    @property
    def evaluation(self) -> Evaluation:
        """The evaluation in columns."""
        return self.results.evaluation

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.results.rows.classes

    @property
    def has_objects(self) -> bool:
        """Whether there is anything to be found."""
        return bool((~self.evaluation.ignored[0]).any())

    def once(self, key: Hashable, compute: Callable[[], _Value]) -> _Value:
        """What a function returns, which is computed once for these results.

        Args:
            key: identifies it
            compute: computes it
        """
        if key not in self._computed:
            self._computed[key] = compute()
        value: _Value = self._computed[key]
        return value

    @cached_property
    def image_of_truth(self) -> NDArray[np.int64]:
        """``(M,)`` the image of each object."""
        return self.results.rows.sample[self.evaluation.truth.image]

    @cached_property
    def image_of_prediction(self) -> NDArray[np.int64]:
        """``(P,)`` the image of each prediction."""
        return self.results.rows.sample[self.evaluation.predictions.image]

    def extent(self, what: Finding | Selection) -> Extent:
        """How many labels and images a finding or selection is about.

        Args:
            what: a finding or selection of these results
        """
        if isinstance(what, Finding):
            what = self._selection_of(what)
        if what.images is not None:
            return Extent(len(what))
        evaluation = self.evaluation
        if what.predictions is None:
            assert what.objects is not None
            return self._extent(evaluation.truth, what.objects)
        if what.objects is None:
            return self._extent(evaluation.predictions, what.predictions)
        images = np.unique(evaluation.predictions.image[what.predictions])
        # Whole images do not show which labels belong together
        return Extent(len(images), len(what), hard_to_see=True, noun="pair")

    def _extent(self, objects: Objects, rows: NDArray[np.int64]) -> Extent:
        size = self.size[self.results.rows.sample]
        few = len(rows) <= MOST_PATCHES
        images = len(np.unique(objects.image[rows]))
        return Extent(images, len(rows), few and are_hard_to_see(objects, size, rows))

    def _selection_of(self, finding: Finding) -> Selection:
        """What a finding is about, by rows."""
        if not finding.label_ids:
            return Selection(images=np.arange(len(finding.sample_ids)))
        rows = self.results.rows
        of_truth = finding.label_field == self.results.source.gt_field
        ids = rows.truth_ids if of_truth else rows.prediction_ids
        chosen = np.flatnonzero(np.isin(ids.astype(str), finding.label_ids))
        if of_truth:
            return Selection(objects=chosen)
        return Selection(predictions=chosen)

    def view(
        self, what: Finding | Selection, *, as_patches: bool
    ) -> fo.SampleCollection:
        """Exactly the samples or labels of a finding or selection of these results.

        Args:
            what: the finding or selection
            as_patches: whether each label, or pair, is shown by itself
        """
        samples = self.results.opened_in
        if isinstance(what, Finding):
            view = what.view(samples)
            return view.to_patches(what.label_field) if as_patches else view
        rows = self.results.rows
        if what.images is not None:
            return samples.select(rows.sample_ids[what.images].tolist(), ordered=True)
        if as_patches:
            return self.results.patches_of(what.predictions, what.objects)
        _, pred_field, gt_field = self.results.source
        sides = (
            (gt_field, rows.truth_ids, what.objects),
            (pred_field, rows.prediction_ids, what.predictions),
        )
        return view_of_fields(
            samples,
            {name: ids[at].tolist() for name, ids, at in sides if at is not None},
        )

    def is_stale(self) -> bool:
        """Whether the dataset has changed since they were loaded."""
        return version_of(root_dataset(self.samples)) != self.version

    def refresh_version(self) -> None:
        """Takes a write of our own for no change of the dataset."""
        self.version = version_of(root_dataset(self.samples))


#: The results that this process, the App's server, used last
RESULTS: LastUsed[LoadedResults] = LastUsed(4)


def loaded_results(samples: fo.SampleCollection, eval_key: str) -> LoadedResults:
    """The results of an evaluation, which are loaded unless they are kept.

    Args:
        samples: the dataset; of a view, only its images count
        eval_key: the name of the evaluation

    Raises:
        CocoAuditError: if there is no such evaluation, it is not one of detections, or
            none of the images were evaluated
    """
    dataset = root_dataset(samples)
    run = run_ids(dataset, "evaluations").get(eval_key)
    stages = stages_of(samples)
    key = (str(dataset_id(dataset)), str(run), json.dumps(stages, default=str))

    def read() -> LoadedResults:
        version = version_of(dataset)
        whole: EvaluationTables = load_results(dataset, eval_key)
        results = whole.of(samples) if stages else whole
        size, now = _sizes(results), datetime.now()
        return LoadedResults(samples, eval_key, results, size, version, now, whole)

    return RESULTS.get(key, read)


def _sizes(results: EvaluationTables) -> NDArray[np.float64]:
    """``(N, 2)`` width and height of each image, 0 where it is unknown."""
    paths = ["id", "metadata.width", "metadata.height"]
    ids, width, height = results.opened_in.values(paths)
    known = dict(zip(ids, zip(width, height, strict=True), strict=True))
    sizes = [known.get(one, (0, 0)) for one in results.rows.sample_ids.tolist()]
    return np.nan_to_num(np.array(sizes, float).reshape(-1, 2))
