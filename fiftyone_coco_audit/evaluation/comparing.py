"""Two evaluations of the same images: differences, and objects won and lost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fiftyone_coco_audit.columns import require_samples
from fiftyone_coco_audit.database import database_errors_explained
from fiftyone_coco_audit.display import TextSummary
from fiftyone_coco_audit.errors import CocoAuditError, check_count
from fiftyone_coco_audit.evaluation.analysis.bootstrap import CONFIDENCE
from fiftyone_coco_audit.evaluation.analysis.intervals import (
    MetricDraws,
    draw_metrics,
    objects_by_class,
    paired_differences,
    table_lines,
)
from fiftyone_coco_audit.evaluation.analysis.slices import FEW_OBJECTS
from fiftyone_coco_audit.evaluation.loading_results import load_results
from fiftyone_coco_audit.evaluation.metrics import Evaluation
from fiftyone_coco_audit.evaluation.results import CocoResults
from fiftyone_coco_audit.evaluation.stored import EvaluatedRows
from fiftyone_coco_audit.evaluation.subsets import images_only
from fiftyone_coco_audit.fiftyone_internals import root_dataset
from fiftyone_coco_audit.progress import Progress
from fiftyone_coco_audit.views import view_of_labels
from fiftyone_coco_audit.wording import counted, named

if TYPE_CHECKING:
    import fiftyone as fo

# Runs that differ in these are not comparable
_SETTINGS = "iou_type", "iou_thresholds", "max_detections", "area_ranges", "sigmas"


@dataclass(frozen=True, repr=False)
class RunComparison(TextSummary):
    """A second run, ``b``, compared with a first, ``a``.

    Attributes:
        keys: the evaluation keys of both
        num_images: the number of images that both evaluated
        won: ids of the ground-truth labels that only ``b`` finds, at the lowest IoU
            threshold and any score
        lost: ids of those that only ``a`` finds
        iou: the lowest IoU threshold
        notes: sentences on what is left out
    """

    keys: tuple[str, str]
    num_images: int
    won: tuple[str, ...]
    lost: tuple[str, ...]
    iou: float
    notes: tuple[str, ...]
    _metrics: pd.DataFrame
    _classes: pd.DataFrame
    _samples: fo.SampleCollection
    _gt_field: str

    def _about(self) -> str:
        first, second = self.keys
        return f"of {second!r} with {first!r} on {counted(self.num_images, 'image')}"

    def to_frame(self) -> pd.DataFrame:
        """The differences of AP, AP50, AP75 and AP by area.

        Returns:
            a frame by metric: its value in both runs as ``a`` and ``b``, the
            ``difference`` b - a with the bounds of its 95% interval, ``low`` and
            ``high``, and ``excludes_zero``: whether both bounds are on one side of 0
        """
        return self._metrics.copy()

    def per_class(self) -> pd.DataFrame:
        """The differences of the AP of each class.

        Returns:
            the columns of :meth:`to_frame` by class, the number of ``objects`` in
            ``a``, and whether the class is ``thin``: of so few objects (under 30) that
            the interval can be far too narrow
        """
        return self._classes.copy()

    def won_view(self) -> fo.DatasetView:
        """Exactly the objects that only ``b`` finds."""
        return view_of_labels(self._samples, self._gt_field, self.won)

    def lost_view(self) -> fo.DatasetView:
        """Exactly the objects that only ``a`` finds."""
        return view_of_labels(self._samples, self._gt_field, self.lost)

    def sentences(self) -> list[str]:
        """The differences, which classes differ, and what is left out."""
        a, b = map(repr, self.keys)
        return [
            f"{b} (b) compared with {a} (a) on {counted(self.num_images, 'image')}:",
            *table_lines(self._metrics),
            *self._verdicts(),
            f"At IoU {self.iou:.2f} and any score, {b} finds "
            f"{counted(len(self.won), 'object')} that {a} misses, and misses "
            f"{len(self.lost):,} that {a} finds.",
            *(f"Note: {note}" for note in self.notes),
        ]

    def _verdicts(self) -> list[str]:
        ap = self._metrics.loc["AP"]
        if np.isnan(ap["difference"]):
            return ["There are no objects, so there is no AP to compare."]
        lines = [
            "The interval of AP excludes 0."
            if ap["excludes_zero"]
            else "The interval of AP holds 0: the difference may be chance."
        ]
        # The interval of a class of one image has no width, whatever the difference
        known = self._classes[~self._classes["thin"]].dropna(subset="difference")
        differ = known[known["excludes_zero"]].sort_values(
            "difference", key=np.abs, ascending=False
        )
        if len(known):
            shown = [f"{value:+.3f}" for value in differ["difference"]]
            names = named(differ.index.tolist(), shown)
            lines.append(
                f"Of the {counted(len(known), 'class')} with {FEW_OBJECTS} objects or "
                f"more, {len(differ):,} {'has' if len(differ) == 1 else 'have'} an "
                f"interval that excludes 0{': ' if names else ''}{names}. By chance "
                f"alone, {(1 - CONFIDENCE) * len(known):.1f} would."
            )
        return lines


@database_errors_explained()
def compare_runs(
    samples: fo.SampleCollection,
    key_a: str,
    key_b: str,
    *,
    num_draws: int = 200,
    progress: Progress = None,
) -> RunComparison:
    """Compares two evaluations of the same images, such as those of two models.

    Both are drawn alike: the interval of a difference is that of the differences in the
    same draws of images, which is far narrower than the intervals of the two numbers.
    Nothing is matched again. Runs of different datasets are not compared.

    Args:
        samples: the dataset; of a view, only its images count, with all their labels
        key_a: the first evaluation, such as that of the old model
        key_b: the second evaluation
        num_draws: how many times as many images are drawn with replacement
        progress: whether to show a progress bar where labels are read

    Returns:
        a :class:`RunComparison`: print it, or take its frames and views

    Raises:
        CocoAuditError: if there is no such evaluation, they have no images in common,
            or their ground-truth fields, overlaps, limits or areas differ
    """
    check_count("num_draws", num_draws)
    require_samples(samples)
    a, b = (load_results(samples, key, progress=progress) for key in (key_a, key_b))
    _check_comparable(a, b)
    whole = root_dataset(samples)
    of_a, of_b = (results.rows.sample_ids.astype(str) for results in (a, b))
    if samples is not whole:
        chosen = np.array(samples.values("id"), str)
        of_a, of_b = np.intersect1d(of_a, chosen), np.intersect1d(of_b, chosen)
    both = np.intersect1d(of_a, of_b)
    if not len(both):
        raise CocoAuditError(
            f"Evaluations {key_a!r} and {key_b!r} of dataset {whole.name!r} have none "
            "of these images in common: evaluate both on the same images"
        )
    notes = []
    for key, ids in ((key_a, of_a), (key_b, of_b)):
        alone = len(ids) - len(both)
        if alone:
            notes.append(
                f"{counted(alone, 'image')} that only {key!r} evaluated "
                f"{'is' if alone == 1 else 'are'} left out."
            )
    first, second = _part(a, both), _part(b, both)
    metrics, classes = _differences(first, second, num_draws)
    won, lost, edited = _won_and_lost(first, second)
    if edited:
        notes.append(
            f"{counted(edited, 'object')} of the ground truth were evaluated by one "
            "run only, or changed between the runs: a part of the differences is due "
            "to them. None of them counts as won or lost."
        )
    return RunComparison(
        keys=(key_a, key_b),
        num_images=len(both),
        won=won,
        lost=lost,
        iou=a.evaluation.settings.iou_thresholds[0],
        notes=tuple(notes),
        _metrics=metrics,
        _classes=classes,
        # A dataset of groups shows one slice
        _samples=samples if whole.media_type == "group" else whole,
        _gt_field=a.config.gt_field,
    )


def _check_comparable(a: CocoResults, b: CocoResults) -> None:
    values = [
        {
            "gt_field": results.config.gt_field,
            **{name: getattr(results.evaluation.settings, name) for name in _SETTINGS},
        }
        for results in (a, b)
    ]
    for name, of_a in values[0].items():
        if of_a != values[1][name]:
            raise CocoAuditError(
                f"Evaluations {a.key!r} and {b.key!r} differ in {name} ({of_a!r} and "
                f"{values[1][name]!r}), so their numbers cannot be compared: evaluate "
                f"both with the same {name}"
            )


def _part(
    results: CocoResults, sample_ids: NDArray[np.str_]
) -> tuple[Evaluation, EvaluatedRows]:
    """An evaluation of some of its images."""
    rows, evaluation = results.rows, results.evaluation
    images = np.zeros(evaluation.num_images, bool)
    images[rows.image[np.isin(rows.sample_ids.astype(str), sample_ids)]] = True
    return images_only(evaluation, images), rows.of_images(evaluation, images)


def _differences(
    first: tuple[Evaluation, EvaluatedRows],
    second: tuple[Evaluation, EvaluatedRows],
    num_draws: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The differences of the metrics, and of the AP of each class of either run."""
    samples = pd.Index(first[1].sample_ids)
    classes = pd.Index(
        list(dict.fromkeys((*first[1].classes, *second[1].classes))),
        name="class",
        dtype=object,
    )

    def drawn(evaluation: Evaluation, rows: EvaluatedRows) -> MetricDraws:
        place = samples.get_indexer(rows.sample_ids)[rows.sample]
        draws = draw_metrics(evaluation, place, num_draws)
        ap = np.full((len(draws.by_class), len(classes)), np.nan)
        ap[:, classes.get_indexer(rows.classes)] = draws.by_class
        return replace(draws, by_class=ap)

    a, b = drawn(*first), drawn(*second)
    metrics = pd.Index(a.names, name="metric")
    of_classes = paired_differences(a.by_class, b.by_class, classes)
    of_classes["objects"] = pd.Series(
        objects_by_class(first[0]), index=list(first[1].classes)
    ).reindex(classes, fill_value=0)
    of_classes["thin"] = of_classes["objects"] < FEW_OBJECTS
    return paired_differences(a.overall, b.overall, metrics), of_classes


def _won_and_lost(
    first: tuple[Evaluation, EvaluatedRows], second: tuple[Evaluation, EvaluatedRows]
) -> tuple[tuple[str, ...], tuple[str, ...], int]:
    """Ids of the objects that only the second, and only the first, run finds.

    Objects that are not the same in both are neither; how many there are comes last.
    """
    tables = [_objects(*run) for run in (first, second)]
    both = tables[0].join(tables[1], how="inner", lsuffix="_a", rsuffix="_b")
    columns = [name for name in tables[0] if name != "found"]
    same = np.ones(len(both), bool)
    for name in columns:
        same &= (both[f"{name}_a"] == both[f"{name}_b"]).to_numpy()
    both = both[same]
    edited = len(tables[0].index.union(tables[1].index)) - len(both)
    won = both.index[both["found_b"] & ~both["found_a"]]
    lost = both.index[both["found_a"] & ~both["found_b"]]
    return tuple(won), tuple(lost), edited


def _objects(evaluation: Evaluation, rows: EvaluatedRows) -> pd.DataFrame:
    """The objects to be found, by label id, and whether they are found."""
    truth, counts = evaluation.truth, ~evaluation.ignored[0]
    frame = pd.DataFrame(
        {
            "class": np.array(rows.classes, object)[truth.category],
            **dict(zip(("x", "y", "width", "height"), truth.box.T, strict=True)),
            "area": truth.area,
            "found": evaluation.found(),
        },
        index=pd.Index(rows.truth_ids),
    )
    return frame[counts]
