"""What a pipeline does to the labels of a dataset: measured, named and written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import fiftyone_coco_audit.augmentation.rules  # noqa: F401  (fills the registry)
from fiftyone_coco_audit.augmentation.blame import Blame, Cause, apportion
from fiftyone_coco_audit.augmentation.damage import (
    DEFAULT_THRESHOLDS,
    KINDS,
    DamageTable,
    Thresholds,
)
from fiftyone_coco_audit.augmentation.measuring import (
    Draws,
    Found,
    draw_items,
    measured_items,
    tables_of,
)
from fiftyone_coco_audit.augmentation.pipelines import Pipeline
from fiftyone_coco_audit.augmentation.preview_request import (
    RequestedPreview,
    request_preview,
)
from fiftyone_coco_audit.columns import require_some
from fiftyone_coco_audit.database import database_errors_explained
from fiftyone_coco_audit.display import of_samples
from fiftyone_coco_audit.errors import CocoAuditError, check_count, check_whole
from fiftyone_coco_audit.escaping import shortened
from fiftyone_coco_audit.fields import FieldSpec
from fiftyone_coco_audit.fiftyone_internals import root_dataset
from fiftyone_coco_audit.files import require_images
from fiftyone_coco_audit.findings import (
    RULES,
    Evidence,
    Finding,
    Rule,
    WithFindings,
    make_finding,
    severest_first,
)
from fiftyone_coco_audit.parallel import check_workers
from fiftyone_coco_audit.progress import Progress, staged
from fiftyone_coco_audit.rule_selection import (
    not_run_notes,
    run_elsewhere,
    selected_rules,
)
from fiftyone_coco_audit.statistics.inputs import (
    LabeledSamples,
    read_labeled_images,
)
from fiftyone_coco_audit.storage.publishing import (
    SamplesChanged,
    may_write_part,
    publish_fields,
)
from fiftyone_coco_audit.wording import counted, percent

if TYPE_CHECKING:
    import fiftyone as fo
    import pandas as pd

_FUNCTION = "audit_augmentation"
# Tolerates rounding of boxes that touch the border, in pixels
_TOLERANCE = 0.01
#: The name of the field of samples and of the attribute of labels
FIELD = "augmentation_damage"


@dataclass(frozen=True, repr=False)
class AugmentationAudit(WithFindings):
    """The damage of a pipeline to the labels of a dataset.

    Args:
        samples: the dataset or view
        labeled: its images and objects
        pipeline: the pipeline
        table: measures of all objects and draws
        failures: sentences on samples that failed, with the paths of their images, by
            position
        thresholds: the limits above which a measure is damage
        min_share: the minimum share of objects and draws for a finding
        num_draws: the number of draws of each sample
        seed: the random seed
        complete: False if it was interrupted
        notes: sentences on assumptions about the data
        causes: the cause of each finding, by its code, if requested
        codes: the codes of the rules that are run
    """

    samples: fo.SampleCollection
    labeled: LabeledSamples
    pipeline: Pipeline
    table: DamageTable
    failures: dict[int, str]
    thresholds: Thresholds
    min_share: float
    num_draws: int
    seed: int
    complete: bool
    notes: tuple[str, ...] = ()
    causes: Mapping[str, Cause] = field(default_factory=dict)
    codes: frozenset[str] = frozenset(kind.code for kind in KINDS.values())

    def _about(self) -> str:
        return (
            f"{of_samples(self.samples)} by {shortened(self.pipeline.name, 40)!r}: "
            f"{counted(len(np.unique(self.table.sample)), 'image')}, "
            f"{counted(self.num_draws, 'draw')} of each, "
            f"{counted(len(self.findings), 'finding')}"
        )

    @cached_property
    def kinds(self) -> dict[str, NDArray[np.bool_]]:
        """``(R,)`` rows of the table with each kind of damage."""
        return self.table.kinds(self.thresholds)

    def shares(self) -> pd.DataFrame:
        """The frequency of each kind; see :meth:`.damage.DamageTable.shares`."""
        return self.table.shares(self.thresholds)

    def by_class(self) -> pd.DataFrame:
        """The frequency by class and kind."""
        return self.table.by_class(self.labeled.images.classes, self.thresholds)

    def by_size(self) -> pd.DataFrame:
        """The frequency by COCO size class and kind."""
        return self.table.by_size(self.thresholds)

    def objects(self) -> pd.DataFrame:
        """The measures of all objects and draws, by label id and draw."""
        import pandas as pd

        frame = self.table.to_frame().reset_index()
        names = np.array(self.labeled.images.classes, dtype=object)
        frame.insert(0, "class", names[self.table.category])
        ids = self.labeled.label_ids(self._rows)
        frame.index = pd.MultiIndex.from_arrays(
            [ids, self.table.draw], names=["id", "draw"]
        )
        return frame.drop(columns=["sample", "object", "draw", "category"])

    def blame(
        self,
        max_samples: int = 100,
        *,
        executor: Executor | None = None,
        workers: int | None = None,
        progress: Progress = None,
    ) -> Blame:
        """The effect of each transform: left out, and alone.

        Args:
            max_samples: the number of samples to draw again, evenly spread
            executor: the executor, as for :func:`audit_augmentation`
            workers: the number of processes, as for :func:`audit_augmentation`
            progress: whether to show a progress bar, as everywhere in FiftyOne

        Returns:
            a :class:`.blame.Blame`
        """
        # Samples on which the whole pipeline fails cannot be compared
        positions = np.array(
            [n for n in range(len(self.labeled.images)) if n not in self.failures],
            np.int64,
        )
        if len(positions) > max_samples:
            spread = np.linspace(0, len(positions) - 1, max_samples)
            positions = positions[spread.round().astype(int)]
        items = draw_items(self.labeled, positions)

        def measure_all(pipelines: Sequence[Pipeline]) -> list[DamageTable]:
            draws = Draws(pipelines, self.num_draws, self.seed)
            measured: Found = {}
            finding = staged(progress, "Finding the transforms to blame")
            with closing(
                measured_items(draws, items, executor, workers, finding)
            ) as results:
                measured.update(results)
            return [tables_of(measured, n) for n in range(len(pipelines))]

        together = self.table.of_samples(positions)
        return apportion(self.pipeline, together, measure_all, self.thresholds)

    def with_causes(self, max_samples: int = 100, **options: Any) -> AugmentationAudit:
        """The same audit with the cause of each finding in :attr:`causes`.

        Args:
            max_samples: how many samples to draw again, evenly spread
            **options: ``executor``, ``workers`` and ``progress`` of :meth:`blame`
        """
        if not self.findings:
            return self
        blame = self.blame(max_samples, **options)
        kind_of = {kind.code: name for name, kind in KINDS.items()}
        causes = {
            finding.code: blame.cause(kind_of[finding.code], self.thresholds)
            for finding in self.findings
        }
        return replace(self, causes=causes)

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """The kinds of damage above ``min_share``, the most severe first."""
        judged = max(int(self.table.judged.sum()), 1)
        return severest_first(
            self._finding(kind, rows)
            for kind, rows in self.kinds.items()
            if np.count_nonzero(rows) / judged > self.min_share
            and KINDS[kind].code in self.codes
        )

    def view(self, finding: Finding | str) -> fo.DatasetView:
        """Exactly the labels of a finding, or of a kind of damage.

        Args:
            finding: a finding, its code, or a kind of :data:`.damage.KINDS`
        """
        if isinstance(finding, str) and finding in KINDS and self.kinds[finding].any():
            finding = self._finding(finding, self.kinds[finding])
        return super().view(finding)

    def worst(self, count: int = 20) -> pd.DataFrame:
        """The draws with the most damage.

        Args:
            count: the number of draws

        Returns:
            a frame with the index ``id`` of the sample and ``draw``, and a column for
            each kind: the number of objects with that damage

        Raises:
            CocoAuditError: if ``count`` is not a whole number of at least 1
        """
        import pandas as pd

        check_count("count", count)
        frame = pd.DataFrame(
            {"sample": self.table.sample, "draw": self.table.draw, **self.kinds}
        )
        harmed = frame.groupby(["sample", "draw"]).sum()
        order = np.argsort(-harmed.sum(axis=1).to_numpy(), kind="stable")[:count]
        worst = harmed.iloc[order].reset_index()
        worst.insert(0, "id", self.labeled.sample_ids(worst.pop("sample").to_numpy()))
        return worst.set_index(["id", "draw"])

    def open_in_preview(self) -> None:
        """Shows this pipeline and its draws in the panel *Augmentation Preview*.

        The panel shows them when it opens, or when the view of the App changes, such as
        to :meth:`view` of a finding.

        Raises:
            CocoAuditError: if the pipeline cannot be written as text
        """
        request_preview(
            root_dataset(self.samples),
            RequestedPreview.of(self.pipeline, self.labeled.label_field, self.seed),
        )

    def write_fields(self, *, progress: Progress = None) -> None:
        """Writes the damage to the fields ``augmentation_damage``.

        In labels, it is the most frequent kind of damage. In samples, it is the share
        of objects and draws with any damage.

        Args:
            progress: whether to show a progress bar, as everywhere in FiftyOne

        Raises:
            CocoAuditError: if other fields have these names
        """
        samples, field = self.samples, self.labeled.label_field
        path = f"{field}.detections.{FIELD}"
        specs = [
            FieldSpec(
                FIELD,
                "float",
                "Share of objects and draws with damage by the pipeline "
                f"{self.pipeline.name}",
            ),
            FieldSpec(
                path,
                "str",
                f"The most frequent damage by the pipeline {self.pipeline.name}",
            ),
        ]
        try:
            publish_fields(
                samples,
                self.labeled.columns,
                specs,
                {FIELD: self._share_of_samples()},
                {field: {FIELD: self.labeled.label_column(self._kind_of_objects())}},
                function=_FUNCTION,
                group="augmentation",
                progress=progress,
            )
        except SamplesChanged as error:
            raise CocoAuditError(
                f"The samples or the labels in {field!r} have changed since the "
                "measurement: run audit_augmentation again"
            ) from error

    @cached_property
    def _rows(self) -> NDArray[np.int64]:
        """``(R,)`` row of each object among all objects."""
        image = self.labeled.images.objects.image
        first = np.searchsorted(image, np.arange(len(self.labeled.images)))
        rows: NDArray[np.int64] = first[self.table.sample] + self.table.object
        return rows

    @cached_property
    def _num_judged(self) -> int:
        """How many objects were measured and could be judged."""
        return len(np.unique(self._rows[self.table.judged]))

    def _share_of_samples(self) -> list[float | None]:
        count = len(self.labeled.images)
        table, harmed = self.table, np.zeros(len(self.table), bool)
        for rows in self.kinds.values():
            harmed |= rows
        judged = np.bincount(table.sample[table.judged], minlength=count)
        number = np.bincount(table.sample[harmed], minlength=count)
        return [
            n / total if total else None
            for n, total in zip(number.tolist(), judged.tolist(), strict=True)
        ]

    def _kind_of_objects(self) -> NDArray[np.object_]:
        counts = np.stack(
            [
                np.bincount(self._rows[rows], minlength=len(self.labeled.rows))
                for rows in self.kinds.values()
            ]
        )
        names = np.array([*self.kinds, None], dtype=object)
        return names[np.where(counts.any(axis=0), counts.argmax(axis=0), -1)]

    def _finding(self, kind: str, rows: NDArray[np.bool_]) -> Finding:
        share = np.count_nonzero(rows) / max(int(self.table.judged.sum()), 1)
        objects = np.unique(self._rows[rows])
        of_class = np.bincount(self.table.category[rows])
        commonest = np.argsort(-of_class, kind="stable")
        classes = [self.labeled.images.classes[c] for c in commonest if of_class[c] > 0]
        number = counted(len(objects), "object")
        draws = (
            "one draw" if self.num_draws == 1 else f"any of {self.num_draws:,} draws"
        )
        evidence = Evidence(
            f"{KINDS[kind].explanation.rstrip('.')}: {percent(share)} of all objects "
            f"and draws, {number} of {self._num_judged:,} in {draws}.",
            objects=objects,
            classes=tuple(classes),
            figures={"share": share, "objects": len(objects)},
        )
        return make_finding(RULES[KINDS[kind].code], evidence, self.labeled)

    def __str__(self) -> str:
        about = (
            f"{self.pipeline.name}: "
            f"{counted(len(np.unique(self.table.sample)), 'image')}, "
            f"{counted(self.num_draws, 'draw')} of each"
        )
        lines = [about if self.complete else f"{about}, interrupted"]
        if self.failures:
            first = next(iter(self.failures.values()))
            number = counted(len(self.failures), "image")
            lines.append(f"  {number} failed: the first is {first}")
        nothing = "no findings" if len(self.table) else "nothing was measured"
        for finding in self.findings:
            lines.append(f"  {finding}")
            if finding.code in self.causes:
                lines.append(f"    {self.causes[finding.code]}")
        if not self.findings:
            lines.append(f"  {nothing}")
        lines += [f"  {note}" for note in self.notes]
        return "\n".join(lines)


@database_errors_explained()
def audit_augmentation(
    samples: fo.SampleCollection,
    pipeline: Any,
    *,
    label_field: str = "ground_truth",
    num_draws: int = 3,
    seed: int = 51,
    min_visibility: float | None = None,
    min_area: float | None = None,
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
    min_share: float = 0.002,
    select: Iterable[str] | None = None,
    ignore: Iterable[str] = (),
    blame: bool = False,
    write_fields: bool = False,
    executor: Executor | None = None,
    workers: int | None = None,
    progress: Progress = None,
) -> AugmentationAudit:
    """Measures on pixels what an augmentation pipeline does to labels.

    Each object's mask, or its box if it has none, goes through the same call of the
    pipeline as the image. The resulting boxes are compared with the resulting pixels.
    Without masks, looseness is an upper bound.

    Ctrl-C ends it early and returns the results so far.

    Args:
        samples: a dataset or a view of whole images
        pipeline: an Albumentations pipeline: an object, the result of ``A.to_dict``,
            JSON or YAML, the path of a file, or the name of a preset; see
            :meth:`.pipelines.Pipeline.parse`
        label_field: the field of the ground truth
        num_draws: the number of draws of each sample
        seed: the same seed gives the same numbers
        min_visibility: the share of its area that a box must keep; overrides the
            pipeline's ``A.BboxParams``
        min_area: the minimum area of a box in square pixels; overrides the pipeline's
            ``A.BboxParams``
        thresholds: the limits above which a measure is damage
        min_share: the share of objects and draws above which damage is a finding
        select: codes or names of the rules to run, such as ``["CA601"]``; all rules of
            pipelines by default
        ignore: those not to run
        blame: whether to find the transform that causes each finding, by leaving
            out each in turn, on up to 100 samples; see :attr:`AugmentationAudit.causes`
        write_fields: whether to write the fields ``augmentation_damage``
        executor: what runs it, such as a Dask client's ``get_executor()``; by default
            processes of this machine
        workers: the number of processes, by default one for each core
        progress: whether to show a progress bar, as everywhere in FiftyOne

    Returns:
        an :class:`AugmentationAudit`

    Raises:
        CocoAuditError: if the pipeline or the data do not allow it
    """
    parsed = Pipeline.parse(pipeline).with_box_params(
        min_visibility=min_visibility, min_area=min_area
    )
    rules = selected_rules(select, ignore, ["pipeline"])
    _check_options(num_draws, seed, min_share, thresholds)
    check_workers(executor, workers)
    labeled = _read(samples, label_field)
    draws = Draws([parsed], num_draws, seed)
    measured, complete = _measured(draws, labeled, executor, workers, progress)
    audit = _audit_of(
        samples, labeled, draws, measured, complete, thresholds, min_share, rules
    )
    if blame and complete:
        audit = _with_causes(audit, executor, workers, progress)
    return _written(audit, progress) if write_fields else audit


def _check_options(
    num_draws: int, seed: int, min_share: float, thresholds: Thresholds
) -> None:
    check_count("num_draws", num_draws)
    check_whole("seed", seed)
    if not isinstance(min_share, (int, float)) or not 0 <= min_share <= 1:
        raise CocoAuditError(f"min_share is {min_share!r}: it must be from 0 to 1")
    if not isinstance(thresholds, Thresholds):
        raise CocoAuditError(
            f"thresholds is {thresholds!r}: it must be Thresholds(...) of "
            "fiftyone_coco_audit.augmentation.damage"
        )


def _read(samples: fo.SampleCollection, label_field: str) -> LabeledSamples:
    labeled = read_labeled_images(
        samples,
        label_field,
        masks=True,
        keep_masks=True,
        sizes_required=False,
        progress=False,
    )
    require_some(labeled.images, "augment")
    require_images(labeled.images.filepaths)
    return labeled


def _measured(
    draws: Draws,
    labeled: LabeledSamples,
    executor: Executor | None,
    workers: int | None,
    progress: Progress,
) -> tuple[Found, bool]:
    """What was measured of all samples, and whether it is complete."""
    items = draw_items(labeled, np.arange(len(labeled.images)))
    measuring = staged(progress, "Measuring draws")
    found: Found = {}
    with closing(measured_items(draws, items, executor, workers, measuring)) as results:
        try:
            found.update(results)
        except KeyboardInterrupt:
            return found, False
    return found, True


def _audit_of(
    samples: fo.SampleCollection,
    labeled: LabeledSamples,
    draws: Draws,
    measured: Found,
    complete: bool,
    thresholds: Thresholds,
    min_share: float,
    rules: Sequence[Rule],
) -> AugmentationAudit:
    not_run = not_run_notes(run_elsewhere(rules, ["pipeline"]))
    table = tables_of(measured, 0)
    return AugmentationAudit(
        samples=samples,
        labeled=labeled,
        pipeline=draws.pipelines[0],
        table=table,
        failures={
            position: f"{labeled.images.filepaths[position]}: {found}"
            for position, (found,) in sorted(measured.items())
            if isinstance(found, str)
        },
        thresholds=thresholds,
        min_share=min_share,
        num_draws=draws.num_draws,
        seed=draws.seed,
        complete=complete,
        notes=(*labeled.left_out, *_notes(labeled, table), *not_run),
        codes=frozenset(rule.code for rule in rules),
    )


def _with_causes(
    audit: AugmentationAudit,
    executor: Executor | None,
    workers: int | None,
    progress: Progress,
) -> AugmentationAudit:
    try:
        return audit.with_causes(executor=executor, workers=workers, progress=progress)
    except KeyboardInterrupt:
        note = "The search for the transforms to blame was interrupted."
        return replace(audit, notes=(*audit.notes, note))


def _written(audit: AugmentationAudit, progress: Progress) -> AugmentationAudit:
    """Writes the fields, unless a part of the measures would replace the whole."""
    part = len(audit.table) and may_write_part(root_dataset(audit.samples), _FUNCTION)
    if audit.complete or part:
        audit.write_fields(progress=progress)
        return audit
    note = (
        "It was interrupted, so no fields were written: call write_fields() to write "
        "them."
    )
    return replace(audit, notes=(*audit.notes, note))


def _notes(labeled: LabeledSamples, table: DamageTable) -> list[str]:
    """Sentences on labels that were changed to be measured."""
    notes = []
    objects = labeled.images.objects
    if objects.masks is None and len(objects):
        notes.append(
            f"The labels in {labeled.label_field!r} have no masks: their boxes are "
            "used instead, so looseness is an upper bound."
        )
    low = objects.box[:, :2]
    high, size = low + objects.box[:, 2:], labeled.images.image_size
    seen = (np.minimum(high, size) > np.maximum(low, 0)).all(axis=1)
    out = (low < 0) | (high > size + _TOLERANCE)
    outside = int((out.any(axis=1) & seen).sum())
    if outside:
        notes.append(
            f"Clipped {counted(outside, 'box')} to the image: Albumentations refuses "
            "boxes that extend beyond it, unless BboxParams have clip=True."
        )
    first = table.draw == 0
    unseen = int(np.count_nonzero(first & ~table.judged))
    if unseen:
        notes.append(f"Ignored {counted(unseen, 'box')} without an area in the image.")
    return notes
