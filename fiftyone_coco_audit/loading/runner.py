"""A dry run: all samples through reading, decoding and a pipeline."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import closing, nullcontext
from time import perf_counter

import numpy as np

from fiftyone_coco_audit.loading.instruments import timed
from fiftyone_coco_audit.loading.reports import DryRun
from fiftyone_coco_audit.loading.sizes import size_notes
from fiftyone_coco_audit.loading.stages import (
    STAGES,
    Decoding,
    LoadingPipeline,
    SampleOutcome,
    SampleRunner,
    Task,
    died,
    one_thread,
)
from fiftyone_coco_audit.objects import LabeledImages
from fiftyone_coco_audit.parallel import WorkerDied, available_cores, map_items


def run_pipeline(
    labeled: LabeledImages,
    pipeline: LoadingPipeline,
    *,
    decoding: Decoding | None = None,
    executor: Executor | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DryRun:
    """Puts every sample through reading, decoding and a pipeline.

    Whatever fails is caught and put down to its sample, stage and transform. Ctrl-C
    ends it early, and what was measured so far is returned.

    Args:
        labeled: the images and their objects
        pipeline: called with an image, its boxes (``[x, y, width, height]`` in pixels)
            and their ids; it stays as it is
        decoding: how images are decoded
        executor: what runs it; see :func:`.parallel.map_items`
        workers: the number of processes, by default one for each core
        progress: called with the number of samples done and of all

    Returns:
        a :class:`.reports.DryRun`

    Raises:
        CocoAuditError: if the pipeline cannot be sent to other processes, or these
            cannot be started
    """
    decoding = decoding or Decoding()
    passer = SampleRunner(pipeline, decoding)
    passages: list[SampleOutcome | None] = [None] * len(labeled)
    arrivals: list[float] = []
    alone = executor is None and workers == 1
    start = perf_counter()
    complete = True
    with closing(passer), one_thread() if alone else nullcontext():
        results = map_items(
            passer,
            _tasks(labeled),
            executor=executor,
            workers=workers,
            progress=progress,
        )
        try:
            with closing(results):
                for position, found in results:
                    arrivals.append(perf_counter())
                    passages[position] = _survived(found)
        except KeyboardInterrupt:
            complete = False
    end = perf_counter()
    cores = available_cores()
    return _report(
        labeled,
        passages,
        timed(pipeline)[2],
        workers=workers or getattr(executor, "_max_workers", None) or cores,
        cores=cores,
        wall_seconds=end - start,
        rate=_rate(start, arrivals, alone),
        complete=complete,
        turned=getattr(decoding, "exif", True),
    )


def _tasks(labeled: LabeledImages) -> list[Task]:
    ends = np.searchsorted(labeled.objects.image, np.arange(len(labeled) + 1))
    rows = np.arange(len(labeled.objects))
    return [
        Task(
            filepath=path,
            size=(float(width), float(height)),
            boxes=labeled.objects.box[first:last],
            rows=rows[first:last],
        )
        for path, (width, height), first, last in zip(
            labeled.filepaths, labeled.size, ends[:-1], ends[1:], strict=True
        )
    ]


def _survived(found: SampleOutcome | WorkerDied) -> SampleOutcome:
    return found if isinstance(found, SampleOutcome) else died(found)


def _rate(start: float, arrivals: list[float], alone: bool) -> float:
    """Samples per second, without the start of the workers.

    What is ready with the first batch was begun while workers were started: it is
    counted for neither the samples nor the time.
    """
    if not arrivals:
        return 0.0
    if not alone:
        times = np.array(arrivals)
        later = times[times > times[0] + 0.001]
        if len(later) > len(times) / 2:
            return len(later) / float(later[-1] - times[0])
    return len(arrivals) / (arrivals[-1] - start)


def _report(
    labeled: LabeledImages,
    passages: list[SampleOutcome | None],
    names: list[str],
    *,
    workers: int,
    cores: int,
    wall_seconds: float,
    rate: float,
    complete: bool,
    turned: bool,
) -> DryRun:
    run = [passage or SampleOutcome() for passage in passages]
    through = np.array([p is not None and not p.stage for p in passages], bool)
    num_objects = np.bincount(labeled.objects.image, minlength=len(labeled))
    lost = [row for passage in run for row in passage.lost]
    return DryRun(
        filepaths=labeled.filepaths,
        status=np.array([_status(p) for p in passages], "<U10"),
        error=[_sentence(p) for p in run],
        stage=np.array([p.stage for p in run], "<U9"),
        transform=[p.transform for p in run],
        exception=[p.exception for p in run],
        seconds=np.array(
            [[p.seconds.get(stage, np.nan) for stage in STAGES] for p in run]
        ).reshape(-1, len(STAGES)),
        transforms=names,
        transform_seconds=np.array(
            [[p.transforms.get(name, np.nan) for name in names] for p in run]
        ).reshape(len(run), len(names)),
        waiting=np.array([p.waiting if p.seconds else np.nan for p in run]),
        num_bytes=np.array([p.num_bytes for p in run], np.int64),
        lost=np.array(sorted(lost), np.int64),
        num_objects=int(num_objects[through].sum()),
        workers=workers,
        cores=cores,
        wall_seconds=wall_seconds,
        rate=rate,
        complete=complete,
        notes=tuple(size_notes((p.other_size for p in run if p.other_size), turned)),
    )


def _status(passage: SampleOutcome | None) -> str:
    if passage is None:
        return "not run"
    if passage.stage:
        return "failed"
    return "suspicious" if passage.suspicions else "ok"


def _sentence(passage: SampleOutcome) -> str:
    if not passage.stage:
        return " ".join(passage.suspicions)
    where = {
        "read": "The file cannot be read",
        "decode": "The image cannot be decoded",
        "transform": "The pipeline failed",
        "labels": "The labels cannot be transformed",
        "worker": "The process that had it died",
    }[passage.stage]
    if passage.transform:
        where = f"`{passage.transform}` failed"
    kind = (
        ""
        if passage.exception in ("InvalidOutput", "WorkerDied")
        else passage.exception
    )
    failed = f"{where}: {f'{kind}: ' if kind else ''}{passage.message.rstrip('.')}."
    return " ".join([failed, *passage.suspicions])
