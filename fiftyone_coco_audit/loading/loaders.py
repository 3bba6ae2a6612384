"""A loader of the user's own: timed, and its targets held against the labels."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from time import perf_counter, thread_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.brief import Told
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.loading.diagnosis import LoaderCheck, TargetChecker
from fiftyone_coco_audit.loading.targets import (
    number_of_samples,
    unpack_batch,
    unpack_sample,
)
from fiftyone_coco_audit.loading.throughput import Throughput
from fiftyone_coco_audit.objects import LabelledImages
from fiftyone_coco_audit.parallel import available_cores
from fiftyone_coco_audit.wording import counted

#: What is measured apart, where loading goes on while targets are looked at
MEASURED_BATCHES = 32
MEASURED_SAMPLES = 32
#: A loader that fails so often in a row will not recover
LAST_FAILURE = 100

# What PyTorch says where no further batch will come: it would wait for it for minutes
_DIED = re.compile(
    r"DataLoader worker .*(exited unexpectedly|killed by signal)"
    r"|Pin memory thread exited"
)
_TIMED_OUT = re.compile("DataLoader timed out")


@dataclass(frozen=True)
class LoaderFailure:
    """A batch, or a sample, that could not be loaded or taken apart.

    Attributes:
        number: the number of the batch, from 0
        sample: the index in the dataset that failed; None if it is not known
        stage: ``"load"``, ``"targets"`` if it was loaded but is of no known kind, or
            ``"worker"`` if the process that loads it died, or took too long
        exception: the type of what was raised
        message: what it said
        place: the place of the sample in its batch, from 0; None if it is not known
    """

    number: int
    sample: int | None
    stage: str
    exception: str
    message: str
    place: int | None = None

    def __str__(self) -> str:
        where = f"batch {self.number}"
        if self.sample is not None:
            where = f"sample {self.sample} of the loader's dataset"
        elif self.place is not None:
            where = f"sample {self.place} of batch {self.number}"
        kind = "" if self.exception == "CocoAuditError" else self.exception
        return ": ".join(filter(None, [where, kind, self.message.rstrip(".")]))


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
        notes: sentences on what was not loaded, and why
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
            number = counted(len(self.failures), "failure")
            said.append(f"{number}: the first is {self.failures[0]}.")
        said += self.notes
        said += self.check.sentences()
        if batches and self.rate:
            said.append(self._speed())
        return said

    def _speed(self) -> str:
        half = 1000 * float(np.median(self.batch_seconds))
        workers = f"{self.workers} worker{'' if self.workers == 1 else 's'}"
        said = (
            f"With {workers} it loads {self.rate:.0f} samples a second, a batch in "
            f"{half:.0f} ms"
        )
        if not self.throughput.samples_per_second(1):
            # What one sample costs could not be measured
            return f"{said}."
        enough = self.throughput.enough_workers()
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
            "notes": list(self.notes),
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

    Whatever fails is caught. Where a worker process of the loader dies, no further
    batch is waited for. Ctrl-C ends it early, and what was measured so far is returned.

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
    _require_loader(loader)
    workers = getattr(loader, "num_workers", 0)
    workers = workers if isinstance(workers, int) else 0
    single = is_dataset(loader)
    record = _Record()
    cost, rate = None, None
    complete = True
    try:
        # What can be read once only is not read for the time that it takes
        if workers and not single and not hasattr(type(loader), "__next__"):
            rate = _burst(loader, record)
        _load(loader, single, checker, record, progress)
        # Not before all is loaded, as what kills a worker would kill this process
        if workers:
            cost = _cost(getattr(loader, "dataset", None))
    except KeyboardInterrupt:
        complete = False
    except RuntimeError as error:
        # PyTorch raises it wherever this process is when a worker dies
        if not _is_end(error):
            raise
        record.failures.append(_last_failure(record.number, error))
    if not workers:
        done = max(sum(record.samples), 1)
        cost = sum(record.seconds) / done, sum(record.used) / done
        taken = sum(record.seconds)
        rate = sum(record.samples) / taken if taken else 0.0
    taken, computing = cost or (0.0, 0.0)
    return LoaderRun(
        batch_seconds=np.array(record.seconds, np.float64),
        batch_samples=np.array(record.samples, np.int64),
        rate=rate or 0.0,
        workers=workers,
        throughput=Throughput(
            min(computing, taken), max(taken - computing, 0.0), available_cores()
        ),
        failures=tuple(record.failures),
        check=checker.result(),
        complete=complete,
        notes=tuple(record.notes),
    )


def length_of(loader: Any) -> int | None:
    """The number of batches or samples of a loader; None if it does not say.

    Raises:
        CocoAuditError: if it has one, which fails
    """
    try:
        return len(loader)
    except (TypeError, NotImplementedError):
        # Such as that of a DataLoader whose IterableDataset has none
        return None
    except Exception as error:
        raise CocoAuditError(
            f"len() of the {type(loader).__name__} raises {type(error).__name__}: "
            f"{error}; mend its __len__, or leave it out where the length is not known"
        ) from error


def is_dataset(loader: Any) -> bool:
    """Whether it gives single samples by their index, rather than batches."""
    kind = type(loader)
    if isinstance(loader, (list, tuple, dict)) or not hasattr(kind, "__getitem__"):
        return False
    # PyTorch's have an index all the same, which raises
    if any(base.__name__ == "IterableDataset" for base in kind.__mro__):
        return False
    return length_of(loader) is not None or not hasattr(kind, "__iter__")


def _require_loader(loader: Any) -> None:
    kind = type(loader)
    able = hasattr(kind, "__iter__") or hasattr(kind, "__getitem__")
    if isinstance(loader, (str, bytes)) or not able:
        what = f"class {loader.__name__}" if isinstance(loader, type) else kind.__name__
        raise CocoAuditError(
            f"The loader is a {what}: it must be an iterable of batches, or a dataset "
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
    """

    seconds: list[float] = field(default_factory=list)
    used: list[float] = field(default_factory=list)
    samples: list[int] = field(default_factory=list)
    failures: list[LoaderFailure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    number: int = 0


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
        else:
            record.seconds.append(wall)
            record.used.append(computing)
            size = _check(checker, item, loader, single, position, record)
            record.samples.append(size)
            in_a_row = 0
        # What fails has its place in the order all the same
        position += size or _size(loader, single, record.samples)
        record.number += 1
        if progress is not None:
            progress(record.number, total or 0)
        if in_a_row >= LAST_FAILURE:
            record.notes.append(
                f"It was given up after {in_a_row} failures in a row: what comes after "
                "was not loaded."
            )
            return
    if not record.number and not total:
        record.notes.append(
            "The loader is empty: of a generator, which gives what it has once only, "
            "make a new one."
        )
        return
    things = counted(record.number, "sample" if single else "batch")
    if total is not None and record.number < total:
        record.notes.append(
            f"The loader ended after {things}, though its length is {total:,}: what "
            "comes after was not loaded."
        )
    elif total is None and in_a_row:
        record.notes.append(
            f"The loader ended after {things} with a failure: a generator that raises "
            "cannot go on, and what comes after was not loaded."
        )


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
            _reraise_end(error)
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
            _reraise_end(error)
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


def _is_end(error: BaseException) -> bool:
    """Whether a loader of PyTorch can give nothing more after this."""
    text = str(error)
    known = _DIED.search(text) or _TIMED_OUT.search(text)
    return isinstance(error, RuntimeError) and known is not None


def _reraise_end(error: Exception) -> None:
    if _is_end(error):
        raise error


def _last_failure(number: int, error: Exception) -> LoaderFailure:
    what = str(error).splitlines()[0].split(". ")[0].rstrip(".")
    what = f"{what[:1].upper()}{what[1:]}"
    if _TIMED_OUT.search(what):
        why = (
            "the batch took longer than the loader's `timeout`, which no loading goes "
            "on after. Raise it, or see with num_workers=0 what takes so long"
        )
    else:
        why = (
            "the process was killed or crashed, for lack of memory for example, and no "
            "loading goes on after that. With num_workers=0 the reason is shown, or "
            "Python itself ends with it; with fewer workers or smaller batches "
            "less memory is needed"
        )
    message = f"{what}: {why}"
    return LoaderFailure(number, None, "worker", type(error).__name__, message)


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
    """Holds a batch against the labels, and returns its number of samples."""
    number = record.number
    if single:
        try:
            sample = unpack_sample(item)
        except Exception as error:
            record.failures.append(_failure(number, number, "targets", error))
        else:
            checker.add(sample, position)
        return 1
    try:
        loaded = unpack_batch(item)
    except Exception as error:
        _reraise_end(error)
        record.failures.append(_failure(number, None, "targets", error))
        return 0
    size = _batch_size_in_order(loader)
    for place, one in enumerate(loaded):
        if isinstance(one, Exception):
            index = None if size is None else number * size + place
            failure = _failure(number, index, "targets", one, place)
            record.failures.append(failure)
        else:
            checker.add(one, position + place)
    return len(loaded)


def _batch_size_in_order(loader: Any) -> int | None:
    """The size of batches that are made of a dataset in its order; None of others."""
    size = getattr(loader, "batch_size", None)
    sampler = type(getattr(loader, "sampler", None)).__name__
    in_order = is_dataset(getattr(loader, "dataset", None))
    return size if in_order and sampler == "SequentialSampler" else None


def _attributed(
    loader: Any, single: bool, number: int, error: Exception
) -> list[LoaderFailure]:
    """What failed: the samples of the batch, where these can be loaded one by one."""
    if single:
        return [_failure(number, number, "load", error)]
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
                _reraise_end(own)
                found.append(_failure(number, index, "load", own, place))
    return found or [_failure(number, None, "load", error)]


def _failure(
    number: int,
    sample: int | None,
    stage: str,
    error: Exception,
    place: int | None = None,
) -> LoaderFailure:
    # Of what a worker raised, PyTorch tells the traceback, whose last line is the error
    lines = [line for line in str(error).splitlines() if line.strip()]
    name = type(error).__name__
    message = lines[-1].strip().removeprefix(f"{name}: ") if lines else ""
    return LoaderFailure(number, sample, stage, name, message, place)


def _burst(loader: Any, record: _Record) -> float:
    """Samples per second of a loader with workers, which is asked for nothing else.

    While targets are looked at its workers go on, and the next batches are there at
    once. The first batch, which waits for the workers to start, does not count.
    """
    start, samples = perf_counter(), 0
    try:
        iterator = iter(loader)
    except Exception as error:
        _reraise_end(error)
        return 0.0
    for number in range(MEASURED_BATCHES):
        record.number = number
        try:
            batch = next(iterator)
            size = number_of_samples(batch)
        except StopIteration:
            break
        except Exception as error:
            _reraise_end(error)
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
            _reraise_end(error)
    return (perf_counter() - start) / some, (thread_time() - used) / some
