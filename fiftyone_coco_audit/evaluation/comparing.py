"""Two evaluations: differences, and on the same images, objects won and lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fiftyone_coco_audit.columns import require_samples
from fiftyone_coco_audit.database import database_errors_explained
from fiftyone_coco_audit.display import TextSummary
from fiftyone_coco_audit.errors import CocoAuditError, check_count
from fiftyone_coco_audit.evaluation.analysis.bootstrap import (
    CONFIDENCE,
    bootstrap_ap,
    class_mean,
)
from fiftyone_coco_audit.evaluation.analysis.intervals import (
    MetricDraws,
    draw_metrics,
    metric_differences,
    objects_by_class,
    table_lines,
)
from fiftyone_coco_audit.evaluation.analysis.slices import FEW_OBJECTS
from fiftyone_coco_audit.evaluation.loading_results import load_results
from fiftyone_coco_audit.evaluation.metrics import Evaluation
from fiftyone_coco_audit.evaluation.results import CocoResults
from fiftyone_coco_audit.evaluation.slicing import Source, divide
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


class _Run(NamedTuple):
    """The part of an evaluation that is compared."""

    evaluation: Evaluation
    rows: EvaluatedRows
    source: Source

    @property
    def image_ids(self) -> NDArray[np.object_]:
        """The id of the sample of each image."""
        ids: NDArray[np.object_] = self.rows.sample_ids[self.rows.sample]
        return ids


@dataclass(frozen=True, repr=False)
class RunComparison(TextSummary):
    """A second run, ``b``, compared with a first, ``a``.

    Attributes:
        keys: the evaluation keys of both
        num_images: the number of images of ``a``, and of ``b`` if it has the same
        num_others: the number of images of ``b`` if these are others, else None
        won: ids of the ground-truth labels that only ``b`` finds, at the lowest IoU
            threshold and any score; none on other images
        lost: ids of those that only ``a`` finds
        iou: the lowest IoU threshold
        notes: sentences on what is left out
    """

    keys: tuple[str, str]
    num_images: int
    num_others: int | None
    won: tuple[str, ...]
    lost: tuple[str, ...]
    iou: float
    notes: tuple[str, ...]
    _metrics: pd.DataFrame
    _classes: pd.DataFrame
    _samples: fo.SampleCollection
    _runs: tuple[_Run, _Run]

    def _about(self) -> str:
        first, second = self.keys
        images = counted(self.num_images, "image")
        if self.num_others is None:
            return f"of {second!r} with {first!r} on {images}"
        others = counted(self.num_others, "image")
        return f"of {second!r} on {others} with {first!r} on {images}"

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

    def by(
        self,
        field: str,
        bins: int | Sequence[float] | None = None,
        *,
        num_draws: int = 100,
    ) -> pd.DataFrame:
        """The differences of AP in slices of the objects or images.

        Args:
            field: a field of samples or an attribute of ground-truth labels, as for
                ``results.by()``
            bins: the edges of the slices of numbers, or how many, as for
                ``results.by()``
            num_draws: how many times images are drawn for the intervals

        Returns:
            the columns of :meth:`to_frame` by slice, the number of ``objects`` in ``a``
            and in ``b``, and whether the slice is ``thin``: one of these is under 30.
            Objects or images without a value are the last row, ``(none)``

        Raises:
            CocoAuditError: if there is no such field, or it cannot be divided like that
        """
        check_count("num_draws", num_draws)
        name, names, divisions = divide(self._runs, field, bins)
        places = list(range(len(names)))
        if any(division.leaves_some for division in divisions):
            names, places = [*names, "(none)"], [*places, -1]
        drawn, objects = [], {}
        for letter, division, run, seed in zip(
            "ab", divisions, self._runs, self._seeds, strict=True
        ):
            parts = [division.slice(place).evaluation for place in places]
            columns = [
                _drawn_ap(part, run.image_ids[division.images(place)], num_draws, seed)
                for part, place in zip(parts, places, strict=True)
            ]
            drawn.append(np.stack(columns, axis=1))
            objects[f"objects_{letter}"] = [int((~p.ignored[0]).sum()) for p in parts]
        index = pd.Index(names, name=name, dtype=object)
        frame = metric_differences(drawn[0], drawn[1], index).assign(**objects)
        return frame.assign(thin=frame[[*objects]].min(axis=1) < FEW_OBJECTS)

    @property
    def _seeds(self) -> tuple[int, int]:
        return _seeds(paired=self.num_others is None)

    def won_view(self) -> fo.DatasetView:
        """Exactly the objects that only ``b`` finds.

        Raises:
            CocoAuditError: if the runs are on different images
        """
        return self._view(self.won)

    def lost_view(self) -> fo.DatasetView:
        """Exactly the objects that only ``a`` finds.

        Raises:
            CocoAuditError: if the runs are on different images
        """
        return self._view(self.lost)

    def _view(self, ids: Sequence[str]) -> fo.DatasetView:
        if self.num_others is not None:
            raise CocoAuditError(
                "The two evaluations are of different images, so no object is won or "
                "lost: compare evaluations of the same images"
            )
        return view_of_labels(self._samples, self._runs[0].source.gt_field, ids)

    def sentences(self) -> list[str]:
        """The differences, which classes differ, and what is left out."""
        a, b = map(repr, self.keys)
        images = counted(self.num_images, "image")
        if self.num_others is None:
            title = f"{b} (b) compared with {a} (a) on {images}:"
        else:
            others = counted(self.num_others, "image")
            title = f"{b} on {others} (b) compared with {a} on {images} (a):"
        lines = [title, *table_lines(self._metrics), *self._verdicts()]
        if self.num_others is None:
            lines.append(
                f"At IoU {self.iou:.2f} and any score, {b} finds "
                f"{counted(len(self.won), 'object')} that {a} misses, and misses "
                f"{len(self.lost):,} that {a} finds."
            )
        return [*lines, *(f"Note: {note}" for note in self.notes)]

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
    other: fo.SampleCollection | None = None,
    num_draws: int = 200,
    progress: Progress = None,
) -> RunComparison:
    """Compares two evaluations: two models on the same images, or one on two sets.

    On the same images, both are drawn alike: the interval of a difference is that of
    the differences in the same draws of images, which is far narrower than the
    intervals of the two numbers. Sets of different images are drawn independently.
    Nothing is matched again.

    Args:
        samples: the dataset; of a view, only its images count, with all their labels
        key_a: the first evaluation, such as that of the old model
        key_b: the second evaluation
        other: the dataset or view of the second evaluation, if that is of other images
        num_draws: how many times as many images are drawn with replacement
        progress: whether to show a progress bar where labels are read

    Returns:
        a :class:`RunComparison`: print it, or take its frames and views

    Raises:
        CocoAuditError: if there is no such evaluation, they have no images in common,
            or some in common with those of ``other``, or their ground-truth fields,
            overlaps, limits or areas differ

    Examples::

        compare_runs(dataset, "old", "new")
        train, val = dataset.match_tags("train"), dataset.match_tags("val")
        compare_runs(train, "eval", "eval", other=val)
    """
    check_count("num_draws", num_draws)
    sides = samples, samples if other is None else other
    for side in sides:
        require_samples(side)
    a, b = (
        load_results(side, key, progress=progress)
        for side, key in zip(sides, (key_a, key_b), strict=True)
    )
    _check_comparable(a, b)
    of_a, of_b = (
        _evaluated(results, side) for results, side in zip((a, b), sides, strict=True)
    )
    notes: list[str] = []
    if other is None:
        of_a = of_b = _in_common(a, b, of_a, of_b, notes)
    else:
        _check_apart(a, b, of_a, of_b)
    first, second = _part(a, of_a), _part(b, of_b)
    metrics, classes = _differences(first, second, num_draws, paired=other is None)
    won, lost, remarks = (
        _won_and_lost(first, second)
        if other is None
        else ((), (), _on_other_images(classes))
    )
    whole = root_dataset(samples)
    return RunComparison(
        keys=(key_a, key_b),
        num_images=len(of_a),
        num_others=None if other is None else len(of_b),
        won=won,
        lost=lost,
        iou=a.evaluation.settings.iou_thresholds[0],
        notes=(*notes, *remarks),
        _metrics=metrics,
        _classes=classes,
        # A dataset of groups shows one slice
        _samples=samples if whole.media_type == "group" else whole,
        _runs=(first, second),
    )


def _evaluated(results: CocoResults, samples: fo.SampleCollection) -> NDArray[np.str_]:
    """The ids of the samples that were evaluated, among those of a view."""
    ids = results.rows.sample_ids.astype(str)
    if samples is root_dataset(samples):
        return ids
    return np.intersect1d(ids, np.array(samples.values("id"), str))


def _in_common(
    a: CocoResults,
    b: CocoResults,
    of_a: NDArray[np.str_],
    of_b: NDArray[np.str_],
    notes: list[str],
) -> NDArray[np.str_]:
    """The samples that both runs evaluated; what is left out becomes a note."""
    both = np.intersect1d(of_a, of_b)
    if not len(both):
        raise CocoAuditError(
            f"Evaluations {a.key!r} and {b.key!r} of dataset "
            f"{root_dataset(a.samples).name!r} have none of these images in common: "
            "evaluate both on the same images, or pass those of the second as `other`"
        )
    for key, ids in ((a.key, of_a), (b.key, of_b)):
        alone = len(ids) - len(both)
        if alone:
            notes.append(
                f"{counted(alone, 'image')} that only {key!r} evaluated "
                f"{'is' if alone == 1 else 'are'} left out."
            )
    return both


def _check_apart(
    a: CocoResults, b: CocoResults, of_a: NDArray[np.str_], of_b: NDArray[np.str_]
) -> None:
    for results, ids, name in ((a, of_a, "samples"), (b, of_b, "other")):
        if not len(ids):
            raise CocoAuditError(
                f"Evaluation {results.key!r} has evaluated none of the images in "
                f"`{name}`: evaluate these, or pass others"
            )
    both = np.intersect1d(of_a, of_b)
    if len(both):
        raise CocoAuditError(
            f"{counted(len(both), 'image')} {'is' if len(both) == 1 else 'are'} in "
            "`samples` and in `other`: compare sets without a common image, or leave "
            "out `other` to compare two runs on the same images"
        )


def _on_other_images(classes: pd.DataFrame) -> list[str]:
    """What can make two sets differ apart from the model."""
    notes = ["The images were drawn independently, as they are different ones."]
    known = classes[["a", "b"]].notna()
    alone = int((known["a"] != known["b"]).sum())
    if alone:
        notes.append(
            f"{counted(alone, 'class')} {'has' if alone == 1 else 'have'} objects in "
            f"one set only, which {'changes' if alone == 1 else 'change'} the mean AP."
        )
    return notes


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


def _part(results: CocoResults, sample_ids: NDArray[np.str_]) -> _Run:
    """An evaluation of some of its images."""
    rows, evaluation = results.rows, results.evaluation
    images = np.zeros(evaluation.num_images, bool)
    images[rows.image[np.isin(rows.sample_ids.astype(str), sample_ids)]] = True
    return _Run(
        images_only(evaluation, images),
        rows.of_images(evaluation, images),
        results.source,
    )


def _drawn_ap(
    part: Evaluation, ids: NDArray[np.object_], num_draws: int, seed: int
) -> NDArray[np.float64]:
    """``(1 + num_draws,)`` the AP of all images, and of each draw of them."""
    if not part.num_images:
        return np.full(1 + num_draws, np.nan)
    draws = bootstrap_ap(
        part.ranking(),
        part.num_images,
        num_draws=num_draws,
        seed=seed,
        place=_places(ids),
    )
    return np.r_[class_mean(part.ap[0].mean(axis=0)), class_mean(draws)]


def _seeds(*, paired: bool) -> tuple[int, int]:
    """The seeds of the draws of both runs: alike for the same images."""
    return (0, 0) if paired else (0, 1)


def _places(ids: NDArray[np.object_]) -> NDArray[np.int64]:
    """``(num_images,)`` where each image comes in draws, alike for both runs."""
    place = np.empty(len(ids), np.int64)
    place[np.argsort(ids.astype(str))] = np.arange(len(ids))
    return place


def _differences(
    first: _Run, second: _Run, num_draws: int, *, paired: bool
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The differences of the metrics, and of the AP of each class of either run."""
    names = (*first.rows.classes, *second.rows.classes)
    classes = pd.Index(list(dict.fromkeys(names)), name="class", dtype=object)

    def drawn(run: _Run, seed: int) -> MetricDraws:
        place = _places(run.image_ids)
        draws = draw_metrics(run.evaluation, place, num_draws, seed)
        ap = np.full((len(draws.by_class), len(classes)), np.nan)
        ap[:, classes.get_indexer(run.rows.classes)] = draws.by_class
        return replace(draws, by_class=ap)

    a, b = map(drawn, (first, second), _seeds(paired=paired))
    metrics = pd.Index(a.names, name="metric")
    of_classes = metric_differences(a.by_class, b.by_class, classes)
    objects = pd.concat(
        [
            pd.Series(objects_by_class(run.evaluation), list(run.rows.classes))
            for run in (first, second)
        ],
        axis=1,
    ).reindex(classes, fill_value=0)
    of_classes["objects"] = objects[0].fillna(0).astype(int)
    of_classes["thin"] = objects.min(axis=1, skipna=False).fillna(0) < FEW_OBJECTS
    return metric_differences(a.overall, b.overall, metrics), of_classes


def _won_and_lost(
    first: _Run, second: _Run
) -> tuple[tuple[str, ...], tuple[str, ...], list[str]]:
    """Ids of the objects that only the second, and only the first, run finds.

    Objects that are not the same in both are neither; a note says how many there are.
    """
    tables = [_objects(run.evaluation, run.rows) for run in (first, second)]
    both = tables[0].join(tables[1], how="inner", lsuffix="_a", rsuffix="_b")
    columns = [name for name in tables[0] if name != "found"]
    same = np.ones(len(both), bool)
    for name in columns:
        same &= (both[f"{name}_a"] == both[f"{name}_b"]).to_numpy()
    both = both[same]
    edited = len(tables[0].index.union(tables[1].index)) - len(both)
    won = both.index[both["found_b"] & ~both["found_a"]]
    lost = both.index[both["found_a"] & ~both["found_b"]]
    notes = [
        f"{counted(edited, 'object')} of the ground truth were evaluated by one run "
        "only, or changed between the runs: a part of the differences is due to them. "
        "None of them counts as won or lost."
    ]
    return tuple(won), tuple(lost), notes[: edited > 0]


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
