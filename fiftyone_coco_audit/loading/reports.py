"""What a dry run has found and measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.display import TextSummary
from fiftyone_coco_audit.loading.stages import STAGES
from fiftyone_coco_audit.loading.throughput import Throughput
from fiftyone_coco_audit.wording import counted, percent

if TYPE_CHECKING:
    import pandas as pd

#: The possible results of a sample
STATUSES = ("ok", "suspicious", "failed", "not run")


@dataclass(frozen=True)
class Bottleneck:
    """Where most of the time goes.

    Attributes:
        name: a stage, or a transform
        kind: ``"disk"``, ``"decode"``, ``"transform"`` or ``"labels"``
        share: its share of the time of all samples
        advice: one sentence on what to try
    """

    name: str
    kind: str
    share: float
    advice: str

    def __str__(self) -> str:
        where = {
            "disk": "reading files",
            "decode": "decoding",
            "labels": "the labels (converting, filtering and checking boxes)",
        }.get(self.kind, f"`{self.name}`")
        return (
            f"{percent(self.share)} of the time goes to {where}, more than elsewhere."
        )


@dataclass(frozen=True, repr=False)
class DryRun(TextSummary):
    """The results of ``M`` samples, and how long they took.

    Attributes:
        filepaths: the paths of the images
        status: ``(M,)`` of :data:`STATUSES`
        error: ``M`` sentences on what failed or is suspicious, else ""
        stage: ``(M,)`` the stage that failed, of :data:`.stages.STAGES` or
            ``"worker"`` where the process died; else ""
        transform: ``(M,)`` the transform that failed, where one did
        exception: ``(M,)`` the type of what it raised
        seconds: ``(M, 4)`` time of each stage; NaN where it was not reached
        transforms: names of the transforms, in order
        transform_seconds: ``(M, T)`` time of each transform; NaN where it was not
            reached or not called
        waiting: ``(M,)`` seconds waited for the disk; NaN where not read
        num_bytes: ``(M,)`` sizes of the files; 0 where not read
        lost: rows of the objects that went in and did not come out of a pipeline that
            did not fail
        num_objects: the number of objects that went into a pipeline that did not fail
        workers: the number of processes
        cores: the number of cores of this machine
        wall_seconds: from the start of the work to its end, starting workers included
        rate: samples per second as measured, without the start of workers
        complete: False if it was interrupted
        notes: sentences on how the data was understood
    """

    filepaths: Sequence[str]
    status: NDArray[np.str_]
    error: Sequence[str]
    stage: NDArray[np.str_]
    transform: Sequence[str]
    exception: Sequence[str]
    seconds: NDArray[np.float64]
    transforms: Sequence[str]
    transform_seconds: NDArray[np.float64]
    waiting: NDArray[np.float64]
    num_bytes: NDArray[np.int64]
    lost: NDArray[np.int64]
    num_objects: int
    workers: int
    cores: int
    wall_seconds: float
    rate: float
    complete: bool
    notes: tuple[str, ...] = ()

    def _about(self) -> str:
        counts = [f"{n:,} {status}" for status, n in self.counts().items() if n]
        samples = counted(len(self), "sample")
        return f"of {samples}: {', '.join(counts)}" if counts else f"of {samples}"

    def __len__(self) -> int:
        return len(self.filepaths)

    def counts(self) -> dict[str, int]:
        """The number of samples by status."""
        found = Counter(self.status.tolist())
        return {status: found[status] for status in STATUSES}

    @cached_property
    def sample_seconds(self) -> NDArray[np.float64]:
        """``(M,)`` seconds that each sample took; NaN where it was not run."""
        reached = np.isfinite(self.seconds)
        total = np.where(reached, self.seconds, 0).sum(axis=1)
        return np.where(reached.any(axis=1), total, np.nan)

    @cached_property
    def throughput(self) -> Throughput:
        """The time of one sample, and an estimate for any number of workers."""
        total = self.sample_seconds[np.isfinite(self.sample_seconds)]
        if not len(total):
            return Throughput(0.0, 0.0, self.cores)
        each = float(total.mean())
        waiting = float(np.nansum(self.waiting)) / len(total)
        efficiency = min(self.rate * each / self.workers, 1.0) if self.rate else 1.0
        return Throughput(max(each - waiting, 0.0), waiting, self.cores, efficiency)

    def stage_times(self) -> pd.DataFrame:
        """How long each stage took.

        Returns:
            a frame whose index is the stage, with the columns ``share`` (of the time of
            all samples), ``mean``, ``p50``, ``p95``, ``max`` (milliseconds a sample)
            and ``samples``, the number that reached it
        """
        return self._times("stage", STAGES, self.seconds)

    def transform_times(self) -> pd.DataFrame:
        """How long each transform took, where it was called.

        Returns:
            a frame like that of :meth:`stage_times`, whose index is the transform
        """
        return self._times("transform", self.transforms, self.transform_seconds)

    def _times(
        self, index: str, names: Sequence[str], seconds: NDArray[np.float64]
    ) -> pd.DataFrame:
        import pandas as pd

        overall = np.nansum(self.sample_seconds)
        rows = {}
        for name, column in zip(names, seconds.T, strict=True):
            taken = 1000 * column[np.isfinite(column)]
            if len(taken):
                half, most = np.quantile(taken, [0.5, 0.95])
                share = taken.sum() / 1000 / overall if overall else 0.0
                rows[name] = (share, taken.mean(), half, most, taken.max(), len(taken))
        columns = ["share", "mean", "p50", "p95", "max", "samples"]
        frame = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
        return frame.astype({"samples": int}).rename_axis(index)

    def slowest(self, count: int = 10) -> pd.DataFrame:
        """The samples that took longest.

        Args:
            count: how many

        Returns:
            a frame whose index is the path, with the columns ``seconds``, those of the
            stages, and ``megabytes``
        """
        order = np.argsort(-np.nan_to_num(self.sample_seconds), kind="stable")[:count]
        frame = self.to_frame().iloc[order]
        return frame[["seconds", *STAGES, "megabytes"]].dropna(subset="seconds")

    def failures(self) -> pd.DataFrame:
        """What failed, the most frequent first.

        Returns:
            a frame whose index is ``stage``, ``transform`` and ``exception``, with the
            columns ``samples``, the number, and ``first`` and ``message``, the path of
            one of them and what was said of it
        """
        import pandas as pd

        keys = ["stage", "transform", "exception"]
        frame = pd.DataFrame(
            {
                "stage": self.stage,
                "transform": self.transform,
                "exception": self.exception,
                "first": self.filepaths,
                "message": self.error,
            }
        )[self.status == "failed"]
        grouped = frame.groupby(keys, sort=False)
        found = grouped.agg(
            samples=("first", "size"),
            first=("first", "first"),
            message=("message", "first"),
        )
        return found.sort_values("samples", ascending=False, kind="stable")

    def to_frame(self) -> pd.DataFrame:
        """All samples.

        Returns:
            a frame whose index is ``filepath``, with the columns ``status``, ``error``,
            ``failed_stage``, ``failed_transform``, ``exception``, ``seconds``, those of
            each of :data:`.stages.STAGES`, and ``megabytes``
        """
        import pandas as pd

        return pd.DataFrame(
            {
                "status": self.status,
                "error": list(self.error),
                "failed_stage": self.stage,
                "failed_transform": list(self.transform),
                "exception": list(self.exception),
                "seconds": self.sample_seconds,
                **dict(zip(STAGES, self.seconds.T, strict=True)),
                "megabytes": self.num_bytes / 1e6,
            },
            index=pd.Index(list(self.filepaths), name="filepath"),
        )

    @cached_property
    def bottleneck(self) -> Bottleneck | None:
        """Where most of the time goes; None where nothing was run."""
        total = np.nansum(self.seconds)
        if not total:
            return None
        stages = dict(zip(STAGES, np.nansum(self.seconds, axis=0), strict=True))
        each = dict(
            zip(self.transforms, np.nansum(self.transform_seconds, axis=0), strict=True)
        )
        # A pipeline that does not reveal its steps counts as one step
        each = each or {"pipeline": stages["transform"]}
        costs = {
            ("disk", "disk"): stages["read"],
            ("decode", "decode"): stages["decode"],
            ("labels", "labels"): stages["labels"],
            **{("transform", name): cost for name, cost in each.items()},
        }
        kind, name = max(costs, key=lambda key: costs[key])
        return Bottleneck(
            name, kind, float(costs[kind, name] / total), _ADVICE[kind].format(name)
        )

    def sentences(self) -> list[str]:
        """What is worth saying, the most important first."""
        counts = self.counts()
        run = len(self) - counts["not run"]
        said = []
        if not self.complete:
            said.append(
                f"It was interrupted after {run:,} of {counted(len(self), 'sample')}."
            )
        if not run:
            return [*said, *self.notes]
        if counts["failed"]:
            worst = self.failures().iloc[0]
            said.append(
                f"{counts['failed']:,} of {counted(run, 'sample')} failed: the first "
                f"is {worst['first']}: {worst['message']}"
            )
        else:
            all_of_them = "The sample" if run == 1 else f"All {run:,} samples"
            said.append(f"{all_of_them} went through.")
        if counts["suspicious"]:
            first = int(np.flatnonzero(self.status == "suspicious")[0])
            said.append(
                f"Suspicious: {counts['suspicious']:,} of {counted(run, 'sample')}; "
                f"the first is {self.filepaths[first]}: {self.error[first]}"
            )
        if len(self.lost):
            share = len(self.lost) / self.num_objects
            said.append(
                f"The pipeline loses {len(self.lost):,} of "
                f"{counted(self.num_objects, 'object')} ({percent(share)})."
            )
        if self.bottleneck is not None:
            said.append(f"{self.bottleneck} {self.bottleneck.advice}")
            said.append(self._speed())
        return [*said, *self.notes]

    def _speed(self) -> str:
        costs = self.throughput
        enough = costs.enough_workers()
        workers = "1 worker" if self.workers == 1 else f"{self.workers} workers"
        process = "processes" if self.workers == 1 else "process"
        said = f"{workers} {process} {self.rate:.0f} samples a second"
        if enough > self.workers:
            more = costs.samples_per_second(enough)
            return (
                f"{said}; {enough} would do about {more:.0f}, and more than that "
                "would not help."
            )
        return f"{said}; more would not be faster on {counted(self.cores, 'core')}."

    def to_dict(self) -> dict[str, Any]:
        """The figures, without the samples' own, as JSON can hold them."""
        costs = self.throughput
        found = self.bottleneck
        return {
            "samples": len(self),
            **self.counts(),
            "complete": self.complete,
            "lost_objects": len(self.lost),
            "objects": self.num_objects,
            "workers": self.workers,
            "cores": self.cores,
            "wall_seconds": self.wall_seconds,
            "samples_per_second": self.rate,
            "samples_per_second_with": {
                str(k): costs.samples_per_second(k) for k in (1, 2, 4, 8, 16)
            },
            "bottleneck": None
            if found is None
            else {"name": found.name, "kind": found.kind, "share": found.share},
            "stages": self.stage_times().to_dict(orient="index"),
            "transforms": self.transform_times().to_dict(orient="index"),
            "failures": self.failures().reset_index().to_dict(orient="records"),
            "sentences": self.sentences(),
        }


_ADVICE = {
    "disk": "Put the files on a faster disk, or together in larger ones.",
    "decode": "Store images at the size that training needs, or decode them smaller.",
    "labels": "Look for labels that are converted or checked one by one.",
    "transform": "Apply `{}` after the image is shrunk, or run it on the GPU.",
}
