"""A loader of the user's own: timed, and its targets held against the labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter, thread_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.brief import Told
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.loading.diagnosis import LoaderCheck, TargetChecker
from fiftyone_coco_audit.loading.targets import unpack_batch, unpack_sample
from fiftyone_coco_audit.loading.throughput import Throughput
from fiftyone_coco_audit.objects import LabelledImages
from fiftyone_coco_audit.parallel import available_cores
from fiftyone_coco_audit.wording import counted

#: What is measured apart, where loading goes on while targets are looked at
MEASURED_BATCHES = 32
MEASURED_SAMPLES = 32
#: A loader that fails so often in a row will not recover
LAST_FAILURE = 100


@dataclass(frozen=True)
class LoaderFailure:
    """A batch, or a sample, that could not be loaded or taken apart.

    Attributes:
        number: the number of the batch, from 0
        sample: the index in the dataset that failed; None if it is not known
        stage: ``"load"``, or ``"targets"`` if it was loaded but is of no known kind
        exception: the type of what was raised
        message: what it said
    """

    number: int
    sample: int | None
    stage: str
    exception: str
    message: str


@dataclass(frozen=True, repr=False)
class LoaderRun(Told):
    """What a loader of the user's own gave, and how long it took.

    Attributes:
        batch_seconds: ``(B,)`` time until each batch was there
        batch_samples: ``(B,)`` the number of samples in each
        rate: samples per second as measured
        workers: the number of processes that the loader has itself; 0 for none
        throughput: what one sample costs, and what any number of workers would give
        failures: what could not be loaded
        check: the targets, held against the labels
        complete: False if it was interrupted
    """

    batch_seconds: NDArray[np.float64]
    batch_samples: NDArray[np.int64]
    rate: float
    workers: int
    throughput: Throughput
    failures: tuple[LoaderFailure, ...]
    check: LoaderCheck
    complete: bool

    def _about(self) -> str:
        samples = counted(int(self.batch_samples.sum()), "sample")
        return (
            f"of {samples} in {counted(len(self.batch_seconds), 'batch')}: "
            f"{counted(len(self.failures), 'failure')}, "
            f"{counted(len(self.check.diagnoses), 'mistake')}"
        )

    def sentences(self) -> list[str]:
        """What is worth saying, the most important first."""
        said = []
        batches = len(self.batch_seconds)
        if not self.complete:
            said.append(f"It was interrupted after {counted(batches, 'batch')}.")
        if self.failures:
            first = self.failures[0]
            where = f"batch {first.number}"
            if first.sample is not None:
                where = f"sample {first.sample} of the loader's dataset"
            said.append(
                f"{counted(len(self.failures), 'failure')}: the first is {where}: "
                f"{first.exception}: {first.message.rstrip('.')}."
            )
        said += self.check.sentences()
        if batches and self.rate:
            said.append(self._speed())
        return said

    def _speed(self) -> str:
        enough = self.throughput.enough_workers()
        half = 1000 * float(np.median(self.batch_seconds))
        workers = f"{self.workers} worker{'' if self.workers == 1 else 's'}"
        said = (
            f"With {workers} it loads {self.rate:.0f} samples a second, a batch in "
            f"{half:.0f} ms"
        )
        if enough > max(self.workers, 1):
            more = self.throughput.samples_per_second(enough)
            return f"{said}; {enough} workers would load some {more:.0f}."
        return f"{said}; more would not be faster on {self.throughput.cores} cores."

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        times = 1000 * self.batch_seconds
        return {
            "batches": len(times),
            "samples": int(self.batch_samples.sum()),
            "samples_per_second": self.rate,
            "workers": self.workers,
            "samples_per_second_with": {
                str(k): self.throughput.samples_per_second(k) for k in (1, 2, 4, 8, 16)
            },
            "batch_milliseconds": {
                "p50": float(np.quantile(times, 0.5)),
                "p95": float(np.quantile(times, 0.95)),
                "max": float(times.max()),
            }
            if len(times)
            else {},
            "failures": [vars(failure) for failure in self.failures],
            "check": self.check.to_dict(),
            "complete": self.complete,
            "sentences": self.sentences(),
        }


def run_loader(
    labelled: LabelledImages,
    loader: Any,
    *,
    image_ids: Sequence[Any] | None = None,
    category_ids: Sequence[int] | None = None,
    box_format: str | None = None,
    first_label: int | None = None,
    channels: str = "rgb",
    progress: Callable[[int, int], None] | None = None,
) -> LoaderRun:
    """Loads everything that a loader has, and holds its targets against the labels.

    Whatever fails is caught. Ctrl-C ends it early, and what was measured so far is
    returned.

    Args:
        labelled: the images and their labels
        loader: an iterable of batches, such as a ``DataLoader`` of PyTorch, or a
            dataset with ``__getitem__`` and ``__len__``. Random augmentation but flips
            and turns should be switched off, since boxes cannot be held against labels
            with it
        image_ids: the ids that the loader may call the images by; see
            :class:`.diagnosis.TargetChecker`, also for the following
        category_ids: the ids that the loader may call the classes by
        box_format: what the boxes are meant to be
        first_label: the label that the first class is meant to have
        channels: the order of channels that is meant
        progress: called with the number of batches done and of all; 0 if the loader
            does not say

    Returns:
        a :class:`LoaderRun`

    Raises:
        CocoAuditError: if it is neither of these, or an option is not possible
    """
    checker = TargetChecker(
        labelled,
        image_ids=image_ids,
        category_ids=category_ids,
        box_format=box_format,
        first_label=first_label,
        channels=channels,
    )
    workers = int(getattr(loader, "num_workers", 0) or 0)
    single = is_dataset(loader)
    burst = _burst(loader) if workers else None
    total = len(loader) if hasattr(loader, "__len__") else 0
    seconds: list[float] = []
    used: list[float] = []
    samples: list[int] = []
    failures: list[LoaderFailure] = []
    complete = True
    position = 0
    try:
        for number, (item, wall, computing) in enumerate(_timed(loader, single)):
            if isinstance(item, _Raised):
                failures.extend(_attributed(loader, single, number, item.error))
                found = 0
            else:
                seconds.append(wall)
                used.append(computing)
                found = _check(checker, item, single, number, position, failures)
                samples.append(found)
            # What fails has its place in the order all the same
            position += found or _size(loader, single, samples)
            if progress is not None:
                progress(number + 1, total)
    except KeyboardInterrupt:
        complete = False
    count = max(sum(samples), 1)
    taken, computing = sum(seconds) / count, sum(used) / count
    rate = sum(samples) / sum(seconds) if sum(seconds) else 0.0
    if burst is not None:
        rate = burst
        taken, computing = _cost(getattr(loader, "dataset", None))
    return LoaderRun(
        batch_seconds=np.array(seconds, np.float64),
        batch_samples=np.array(samples, np.int64),
        rate=rate,
        workers=workers,
        throughput=Throughput(
            min(computing, taken), max(taken - computing, 0.0), available_cores()
        ),
        failures=tuple(failures),
        check=checker.result(),
        complete=complete,
    )


def is_dataset(loader: Any) -> bool:
    """Whether it gives single samples by their index, rather than batches."""
    return (
        hasattr(loader, "__getitem__")
        and hasattr(loader, "__len__")
        and not isinstance(loader, (list, tuple, dict))
    )


@dataclass(frozen=True)
class _Raised:
    error: Exception


def _timed(loader: Any, single: bool) -> Iterator[tuple[Any, float, float]]:
    """Each item, or what was raised for it, and the seconds that it took."""
    if single:
        fetches: Iterator[Callable[[], Any]] = (
            lambda index=index: loader[index]  # type: ignore[misc]
            for index in range(len(loader))
        )
    else:
        try:
            iterator = iter(loader)
        except TypeError:
            raise CocoAuditError(
                f"The loader is a {type(loader).__name__}: it must be an iterable of "
                "batches, or a dataset with __getitem__ and __len__"
            ) from None
        fetches = iter(lambda: lambda: next(iterator), None)
    in_a_row = 0
    for fetch in fetches:
        start, used = perf_counter(), thread_time()
        try:
            item = fetch()
            in_a_row = 0
        except StopIteration:
            return
        except Exception as error:
            item = _Raised(error)
            in_a_row += 1
        yield item, perf_counter() - start, thread_time() - used
        if in_a_row >= LAST_FAILURE:
            return


def _size(loader: Any, single: bool, samples: Sequence[int]) -> int:
    """The number of samples in a full batch."""
    known: int = getattr(loader, "batch_size", None) or max(samples, default=1)
    return 1 if single else known


def _check(
    checker: TargetChecker,
    item: Any,
    single: bool,
    number: int,
    position: int,
    failures: list[LoaderFailure],
) -> int:
    try:
        loaded = [unpack_sample(item)] if single else unpack_batch(item)
    except Exception as error:
        sample = number if single else None
        failures.append(_failure(number, sample, "targets", error))
        return 1 if single else 0
    for place, one in enumerate(loaded):
        checker.add(one, position + place)
    return len(loaded)


def _attributed(
    loader: Any, single: bool, number: int, error: Exception
) -> list[LoaderFailure]:
    """What failed: the samples of the batch, where these can be loaded one by one."""
    if single:
        return [_failure(number, number, "load", error)]
    dataset: Any = getattr(loader, "dataset", None)
    size: int | None = getattr(loader, "batch_size", None)
    sampler = type(getattr(loader, "sampler", None)).__name__
    found = []
    if is_dataset(dataset) and size is not None and sampler == "SequentialSampler":
        for index in range(number * size, min((number + 1) * size, len(dataset))):
            try:
                dataset[index]
            except Exception as own:
                found.append(_failure(number, index, "load", own))
    return found or [_failure(number, None, "load", error)]


def _failure(
    number: int, sample: int | None, stage: str, error: Exception
) -> LoaderFailure:
    # Of what a worker raised, PyTorch tells the traceback, whose last line is the error
    lines = [line for line in str(error).splitlines() if line.strip()]
    message = lines[-1].strip() if lines else ""
    return LoaderFailure(number, sample, stage, type(error).__name__, message)


def _burst(loader: Any) -> float:
    """Samples per second of a loader with workers, which is asked for nothing else.

    While targets are looked at its workers go on, and the next batches are there at
    once. The first batch, which waits for the workers to start, does not count.
    """
    iterator = iter(loader)
    start, samples = 0.0, 0
    for number in range(MEASURED_BATCHES):
        try:
            batch = next(iterator)
            size = len(unpack_batch(batch))
        except StopIteration:
            break
        except Exception:
            size = 0
        if number:
            samples += size
        else:
            start = perf_counter()
    taken = perf_counter() - start
    return samples / taken if samples else 0.0


def _cost(dataset: Any) -> tuple[float, float]:
    """Seconds, and seconds of a core, that one sample takes in this process."""
    if not is_dataset(dataset):
        return 0.0, 0.0
    count = min(len(dataset), MEASURED_SAMPLES)
    start, used = perf_counter(), thread_time()
    for index in np.linspace(0, len(dataset) - 1, count).astype(int).tolist():
        try:
            dataset[index]
        except Exception:
            continue
    return (perf_counter() - start) / max(count, 1), (thread_time() - used) / max(
        count, 1
    )
