"""Runs a training loader: its speed, and its targets compared with the labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import count
from time import perf_counter, thread_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.display import TextSummary
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.findings import Finding, WithFindings
from fiftyone_coco_audit.loading.diagnosis import LoaderCheck, TargetChecker
from fiftyone_coco_audit.loading.failures import (
    LoaderFailure,
    failure_of,
    is_end,
    last_failure,
    reraise_end,
)
from fiftyone_coco_audit.loading.targets import (
    number_of_samples,
    unpack_batch,
    unpack_sample,
)
from fiftyone_coco_audit.loading.throughput import Throughput
from fiftyone_coco_audit.names import kind_of
from fiftyone_coco_audit.objects import LabeledImages, Objects
from fiftyone_coco_audit.parallel import available_cores
from fiftyone_coco_audit.wording import counted

#: What is measured separately if loading continues while targets are checked
MEASURED_BATCHES = 32
MEASURED_SAMPLES = 32
#: A loader that fails this often in a row will not recover
LAST_FAILURE = 100


@dataclass(frozen=True, repr=False)
class LoaderRun(WithFindings, TextSummary):
    """What a training loader returned, and how long it took.

    Attributes:
        batch_seconds: ``(B,)`` time until each batch was there
        batch_samples: ``(B,)`` the number of samples in each
        rate: samples per second as measured
        workers: the number of processes of the loader itself; 0 for none
        throughput: the cost of one sample, and the speed with any number of workers
        failures: what could not be loaded
        check: the targets, compared with the labels
        complete: False if it was interrupted
        notes: sentences on what was not loaded, and why
        findings: the mistakes of the loader with the ids of samples and labels
        samples: the dataset or view that the loader reads
        not_run: why selected rules were not run, by code
    """

    batch_seconds: NDArray[np.float64]
    batch_samples: NDArray[np.int64]
    rate: float
    workers: int
    throughput: Throughput
    failures: tuple[LoaderFailure, ...]
    check: LoaderCheck
    complete: bool
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    samples: Any = None
    not_run: Mapping[str, str] = field(default_factory=dict)

    def _about(self) -> str:
        samples = counted(int(self.batch_samples.sum()), "sample")
        return (
            f"of {samples} in {counted(len(self.batch_seconds), 'batch')}: "
            f"{counted(len(self.failures), 'failure')}, "
            f"{counted(len(self.check.mistakes), 'mistake')}"
        )

    def sentences(self) -> list[str]:
        """What is worth saying, the most important first."""
        said = []
        batches = len(self.batch_seconds)
        if not self.complete:
            said.append(f"It was interrupted after {counted(batches, 'batch')}.")
        if self.failures:
            number = counted(len(self.failures), "failure")
            said.append(f"{number}: the first is {self.failures[0]}.")
        said += self.notes
        said += self.check.sentences()
        if batches and self.rate:
            said.append(self._speed())
        return said

    def _speed(self) -> str:
        half = 1000 * float(np.median(self.batch_seconds))
        workers = counted(self.workers, "worker")
        said = (
            f"With {workers} it loads {self.rate:.0f} samples a second, a batch in "
            f"{half:.0f} ms"
        )
        if not self.throughput.samples_per_second(1):
            # The time of one sample could not be measured
            return f"{said}."
        enough = self.throughput.enough_workers()
        if enough > max(self.workers, 1):
            more = self.throughput.samples_per_second(enough)
            return f"{said}; {enough} workers would load some {more:.0f}."
        return (
            f"{said}; more would not be faster on "
            f"{counted(self.throughput.cores, 'core')}."
        )

    def to_dict(self) -> dict[str, Any]:
        """All results, in a form for JSON."""
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
            "not_run": dict(self.not_run),
            "findings": [asdict(finding) for finding in self.findings],
            "complete": self.complete,
            "notes": list(self.notes),
            "sentences": self.sentences(),
        }


def run_loader(
    labeled: LabeledImages,
    loader: Any,
    *,
    image_ids: Sequence[Any] | None = None,
    category_ids: Sequence[int] | None = None,
    box_format: str | None = None,
    first_label: int | None = None,
    channels: str = "rgb",
    crowds: Objects | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> LoaderRun:
    """Loads everything that a loader has, and compares its targets with the labels.

    Whatever fails is caught. Where a worker process of the loader dies, no further
    batch is waited for. Ctrl-C ends it early, and what was measured so far is returned.

    Args:
        labeled: the images and their labels
        loader: an iterable of batches, such as a ``DataLoader`` of PyTorch, or a
            dataset with ``__getitem__`` and ``__len__``. Switch off random
            augmentation, except flips, rotations by 90 degrees and colors
        image_ids: the ids that the loader may call the images by; see
            :class:`.diagnosis.TargetChecker`, also for the following
        category_ids: the ids that the loader may call the classes by
        box_format: the intended format of the boxes
        first_label: the intended label of the first class
        channels: the intended order of channels
        crowds: the crowd regions of the images, if they are known
        progress: called with the number of batches done and of all; 0 if the loader
            does not say

    Returns:
        a :class:`LoaderRun`

    Raises:
        CocoAuditError: if it is neither of these, or an option is not possible
    """
    checker = TargetChecker(
        labeled,
        image_ids=image_ids,
        category_ids=category_ids,
        box_format=box_format,
        first_label=first_label,
        channels=channels,
        crowds=crowds,
    )
    _require_loader(loader)
    workers = _num_workers(loader)
    single = is_dataset(loader)
    record = _Record()
    cost, rate, complete = None, None, True
    try:
        # An iterator that can be read only once is not read to measure its time
        if workers and not single and not hasattr(type(loader), "__next__"):
            rate = _burst(loader, record)
        _load(loader, single, checker, record, progress)
        # Only after everything is loaded: what kills a worker would kill this process
        if workers:
            cost = _cost(getattr(loader, "dataset", None))
    except KeyboardInterrupt:
        complete = False
    except RuntimeError as error:
        # PyTorch raises it at any point of this process when a worker dies
        if not is_end(error):
            raise
        record.failures.append(last_failure(record.number, error))
    cost, rate = (cost, rate) if workers else (record.cost(), record.rate())
    return LoaderRun(
        batch_seconds=np.array(record.seconds, np.float64),
        batch_samples=np.array(record.samples, np.int64),
        rate=rate or 0.0,
        workers=workers,
        throughput=_throughput(*cost or (0.0, 0.0)),
        failures=tuple(record.failures),
        check=checker.result(_excused(loader, record) if complete else None),
        complete=complete,
        notes=tuple(record.notes),
    )


def _num_workers(loader: Any) -> int:
    workers = getattr(loader, "num_workers", 0)
    return workers if isinstance(workers, int) else 0


def _throughput(taken: float, computing: float) -> Throughput:
    """What seconds for a sample allow, and those in which the processor computes."""
    waiting = max(taken - computing, 0.0)
    return Throughput(min(computing, taken), waiting, available_cores())


def length_of(loader: Any) -> int | None:
    """The number of batches or samples of a loader; None if it does not say.

    Raises:
        CocoAuditError: if it has one, which fails
    """
    try:
        return len(loader)
    except (TypeError, NotImplementedError):
        # Such as the length of a DataLoader whose IterableDataset has none
        return None
    except Exception as error:
        raise CocoAuditError(
            f"len() of the {type(loader).__name__} raises {type(error).__name__}: "
            f"{error}; fix its __len__, or leave it out if the length is unknown"
        ) from error


def is_dataset(loader: Any) -> bool:
    """Whether it gives single samples by their index, rather than batches."""
    kind = type(loader)
    if isinstance(loader, (list, tuple, dict)) or not hasattr(kind, "__getitem__"):
        return False
    # PyTorch's have __getitem__ all the same, which raises
    if any(base.__name__ == "IterableDataset" for base in kind.__mro__):
        return False
    return length_of(loader) is not None or not hasattr(kind, "__iter__")


def _require_loader(loader: Any) -> None:
    kind = type(loader)
    able = hasattr(kind, "__iter__") or hasattr(kind, "__getitem__")
    if isinstance(loader, (str, bytes)) or not able:
        is_class = isinstance(loader, type)
        what = f"the class {loader.__name__}" if is_class else kind_of(loader)
        raise CocoAuditError(
            f"The loader is {what}: it must be an iterable of batches, or a dataset "
            "with __getitem__ and __len__"
        )


@dataclass
class _Record:
    """What was loaded so far.

    Attributes:
        seconds: time until each batch was there
        used: of these, those that this process computed
        samples: the number of samples in each batch
        failures: what could not be loaded
        notes: sentences on what was not loaded
        number: of the batch that is being loaded
        missed: how many samples failed
        ended: whether the loader was read to its end
    """

    seconds: list[float] = field(default_factory=list)
    used: list[float] = field(default_factory=list)
    samples: list[int] = field(default_factory=list)
    failures: list[LoaderFailure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    number: int = 0
    missed: int = 0
    ended: bool = False

    def cost(self) -> tuple[float, float]:
        """The seconds of a sample, and those of them that this process computed."""
        done = max(sum(self.samples), 1)
        return sum(self.seconds) / done, sum(self.used) / done

    def rate(self) -> float:
        """The samples in a second."""
        taken = sum(self.seconds)
        return sum(self.samples) / taken if taken else 0.0


def _excused(loader: Any, record: _Record) -> int | None:
    """How many images may be missing; None if the loader did not finish."""
    if not record.ended:
        return None
    dropped = getattr(loader, "drop_last", False) is True
    size = getattr(loader, "batch_size", None)
    return record.missed + (size - 1 if dropped and isinstance(size, int) else 0)


def _load(
    loader: Any,
    single: bool,
    checker: TargetChecker,
    record: _Record,
    progress: Callable[[int, int], None] | None,
) -> None:
    total = length_of(loader)
    position = in_a_row = 0
    record.number = 0
    for item, wall, computing in _timed(loader, single):
        if isinstance(item, _Raised):
            found = _attributed(loader, single, record.number, item.error)
            record.failures.extend(found)
            size = 0
            in_a_row += 1
            record.missed += _size(loader, single, record.samples)
        else:
            record.seconds.append(wall)
            record.used.append(computing)
            failed = len(record.failures)
            size = _check(checker, item, loader, single, position, record)
            record.samples.append(size)
            failed = len(record.failures) - failed
            record.missed += failed if size else _size(loader, single, record.samples)
            in_a_row = 0
        # A failed sample keeps its place in the order
        position += size or _size(loader, single, record.samples)
        record.number += 1
        if progress is not None:
            progress(record.number, total or 0)
        if in_a_row >= LAST_FAILURE:
            record.notes.append(
                f"The check gave up after {in_a_row} failures in a row: the rest was "
                "not loaded."
            )
            return
    if not record.number and not total:
        record.notes.append(
            "The loader is empty: a generator can be used only once, so create a new "
            "one."
        )
        return
    things = counted(record.number, "sample" if single else "batch")
    if total is not None and record.number < total:
        record.notes.append(
            f"The loader ended after {things}, though its length is {total:,}: the "
            "rest was not loaded."
        )
    elif total is None and in_a_row:
        record.notes.append(
            f"The loader ended after {things} with a failure: a generator cannot "
            "continue after an error, so the rest was not loaded."
        )
    else:
        record.ended = True


@dataclass(frozen=True)
class _Raised:
    error: Exception


def _timed(loader: Any, single: bool) -> Iterator[tuple[Any, float, float]]:
    """Each item, or what was raised for it, and the seconds that it took."""
    if single:
        length = length_of(loader)
        indices = count() if length is None else iter(range(length))
        fetches = (_by_index(loader, index, length is None) for index in indices)
    else:
        try:
            iterator = iter(loader)
        except Exception as error:
            reraise_end(error)
            yield _Raised(error), 0.0, 0.0
            return
        fetches = (_next_of(iterator) for _ in count())
    for fetch in fetches:
        start, used = perf_counter(), thread_time()
        try:
            item = fetch()
        except _Exhausted:
            return
        except Exception as error:
            reraise_end(error)
            item = _Raised(error)
        yield item, perf_counter() - start, thread_time() - used


class _Exhausted(Exception):
    """There is nothing more to load."""


def _by_index(loader: Any, index: int, is_open: bool) -> Callable[[], Any]:
    def fetch() -> Any:
        try:
            return loader[index]
        except IndexError:
            if is_open:
                raise _Exhausted from None
            raise

    return fetch


def _next_of(iterator: Iterator[Any]) -> Callable[[], Any]:
    def fetch() -> Any:
        try:
            return next(iterator)
        except StopIteration:
            raise _Exhausted from None

    return fetch


def _size(loader: Any, single: bool, samples: Sequence[int]) -> int:
    """The number of samples in a full batch."""
    known = getattr(loader, "batch_size", None)
    if single or not isinstance(known, int):
        return 1 if single else max(samples, default=1)
    return known


def _check(
    checker: TargetChecker,
    item: Any,
    loader: Any,
    single: bool,
    position: int,
    record: _Record,
) -> int:
    """Compares a batch with the labels, and returns its number of samples."""
    number = record.number
    if single:
        try:
            sample = unpack_sample(item)
        except Exception as error:
            record.failures.append(failure_of(number, number, "targets", error))
        else:
            checker.add(sample, position)
        return 1
    try:
        loaded = unpack_batch(item)
    except Exception as error:
        reraise_end(error)
        record.failures.append(failure_of(number, None, "targets", error))
        return 0
    size = _batch_size_in_order(loader)
    for place, one in enumerate(loaded):
        if isinstance(one, Exception):
            index = None if size is None else number * size + place
            failure = failure_of(number, index, "targets", one, place)
            record.failures.append(failure)
        else:
            checker.add(one, position + place)
    return len(loaded)


def _batch_size_in_order(loader: Any) -> int | None:
    """The size of batches that follow the order of a dataset; None for others."""
    size = getattr(loader, "batch_size", None)
    sampler = type(getattr(loader, "sampler", None)).__name__
    in_order = is_dataset(getattr(loader, "dataset", None))
    return size if in_order and sampler == "SequentialSampler" else None


def _attributed(
    loader: Any, single: bool, number: int, error: Exception
) -> list[LoaderFailure]:
    """What failed: the samples of the batch, where these can be loaded one by one."""
    if single:
        return [failure_of(number, number, "load", error)]
    size = _batch_size_in_order(loader)
    found = []
    if size is not None:
        dataset = loader.dataset
        length = length_of(dataset) or 0
        for place, index in enumerate(
            range(number * size, min((number + 1) * size, length))
        ):
            try:
                dataset[index]
            except Exception as own:
                reraise_end(own)
                found.append(failure_of(number, index, "load", own, place))
    return found or [failure_of(number, None, "load", error)]


def _burst(loader: Any, record: _Record) -> float:
    """Samples per second of a loader with workers that does nothing else.

    While targets are looked at its workers go on, and the next batches are there at
    once. The first batch, which waits for the workers to start, does not count.
    """
    start, samples = perf_counter(), 0
    try:
        iterator = iter(loader)
    except Exception as error:
        reraise_end(error)
        return 0.0
    for number in range(MEASURED_BATCHES):
        record.number = number
        try:
            batch = next(iterator)
            size = number_of_samples(batch)
        except StopIteration:
            break
        except Exception as error:
            reraise_end(error)
            size = 0
        if number:
            samples += size
        else:
            start = perf_counter()
    taken = perf_counter() - start
    return samples / taken if samples else 0.0


def _cost(dataset: Any) -> tuple[float, float]:
    """Seconds, and seconds of a core, that one sample takes in this process."""
    length = length_of(dataset)
    if not length or not is_dataset(dataset):
        return 0.0, 0.0
    some = min(length, MEASURED_SAMPLES)
    start, used = perf_counter(), thread_time()
    for index in np.linspace(0, length - 1, some).astype(int).tolist():
        try:
            dataset[index]
        except Exception as error:
            reraise_end(error)
    return (perf_counter() - start) / some, (thread_time() - used) / some
