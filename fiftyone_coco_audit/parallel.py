"""A function mapped over items, by the processes of this machine or any executor."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    wait,
)
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import resource_tracker
from typing import Any, Generic, TypeVar

from fiftyone_coco_audit.errors import CocoAuditError, check_count
from fiftyone_coco_audit.interrupts import interrupts_deferred

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Batches are small, so that the last one does not keep the other workers waiting
LARGEST_BATCH = 16
BATCHES_PER_WORKER = 8
#: Batches handed out for each worker, so that none waits for the next. loky queues no
#: more, beyond the one that runs
AHEAD = 2
_is_worker = False


@dataclass(frozen=True)
class WorkerDied:
    """Stands for the result of an item whose worker crashed or ran out of memory.

    Args:
        message: what is known of the cause
    """

    message: str


def available_cores() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def is_expendable() -> bool:
    """Whether this process may crash: it is a worker that others can do without."""
    return _is_worker or multiprocessing.current_process().daemon


def check_workers(executor: Executor | None, workers: int | None) -> None:
    """Checks what is to run the work before any of it starts.

    Raises:
        CocoAuditError: if either is not what it should be
    """
    if workers is not None:
        check_count("workers", workers)
    # Not all executors derive from Python's class
    able = callable(getattr(executor, "submit", None))
    if executor is not None and (isinstance(executor, type) or not able):
        raise CocoAuditError(
            f"executor is {executor!r}: it must be an executor, such as a "
            "ProcessPoolExecutor or a Dask client's get_executor()"
        )


def map_items(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    executor: Executor | None = None,
    workers: int | None = None,
    batch_size: int | None = None,
    ordered: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Generator[tuple[int, Result | WorkerDied], None, None]:
    """Maps a function over items, in batches that run at the same time.

    A worker that dies does not end the work. The items that may have caused it are
    tried again one by one, and those that kill their worker again yield a
    :class:`WorkerDied`. Use it within :func:`contextlib.closing`, so that the processes
    end at once when the work stops early or is interrupted.

    Args:
        function: a function that can be pickled, as can its items and results; it may
            be defined in a notebook or a script, with or without a main guard. What it
            raises ends the work and is raised here
        items: the items
        executor: what runs the batches, such as a Dask client's ``get_executor()``; by
            default processes of this machine, which end with the work
        workers: the number of processes, by default one for each core. With 1, the work
            runs in this process, where a crash cannot be survived. For an ``executor``
            that does not say how many it has, the number to assume
        batch_size: the number of items that a worker gets at once; by default at most
            16, and fewer where there are few
        ordered: whether results come in the order of the items, or as they are ready
        progress: called with the number of items done and of all

    Yields:
        the position of an item, and its result

    Raises:
        CocoAuditError: if the function cannot be sent to other processes, or these
            cannot be started
    """
    check_workers(executor, workers)
    if workers is None:
        workers = getattr(executor, "_max_workers", None) or available_cores()
    results: Generator[tuple[int, Any], None, None]
    if executor is None and workers == 1:
        results = ((position, function(item)) for position, item in enumerate(items))
    else:
        if batch_size is None:
            share = len(items) // (workers * BATCHES_PER_WORKER)
            batch_size = min(max(share, 1), LARGEST_BATCH)
        runner: _Runner[Item, Result]
        if executor is None:
            runner = _ProcessRunner(function, workers)
        else:
            runner = _ExecutorRunner(function, executor)
        results = _as_completed(runner, items, batch_size, AHEAD * workers)
        if ordered:
            results = _in_order(results)
    try:
        for done, result in enumerate(results, start=1):
            yield result
            if progress is not None:
                progress(done, len(items))
    finally:
        results.close()


@dataclass(frozen=True)
class _Outcome(Generic[Result]):
    """Results of a batch, or what the function raised.

    Anything else that a future raises is therefore the executor's.
    """

    results: list[Result]
    error: Exception | None = None

    def get(self) -> list[Result]:
        if self.error is not None:
            raise self.error
        return self.results


def _run(function: Callable[[Item], Result], batch: Sequence[Item]) -> _Outcome[Result]:
    try:
        return _Outcome([function(item) for item in batch])
    except Exception as error:
        return _Outcome([], error)


@lru_cache(maxsize=2)
def _loaded(function: bytes) -> Callable[[Any], Any]:
    return pickle.loads(function)


def _run_pickled(function: bytes, batch: Sequence[Any]) -> _Outcome[Any]:
    """Runs a function that each process unpickles once."""
    try:
        loaded = _loaded(function)
    except Exception as error:
        return _Outcome([], _unpicklable(f"{type(error).__name__}: {error}"))
    return _run(loaded, batch)


def _unpicklable(reason: str) -> CocoAuditError:
    return CocoAuditError(
        f"The work cannot be sent to other processes ({reason}): use workers=1, or "
        "leave out what cannot be pickled"
    )


class _Processes(Generic[Item, Result]):
    """Processes that run a function, started where they are first needed."""

    def __init__(self, function: Callable[[Item], Result], workers: int) -> None:
        self.function = function
        self.workers = workers
        self._pool: Any = None
        self._pickled = b""

    def submit(self, batch: Sequence[Item]) -> Future[_Outcome[Result]]:
        """Runs a batch.

        Raises:
            BrokenExecutor: if a process has died since they were started
        """
        if self._pool is None:
            self._start()
        return self._submit(_run_pickled, self._pickled, batch)

    def _start(self) -> None:
        # Importing it takes a third of a second, which work in this process can do
        # without
        from joblib import wrap_non_picklable_objects
        from joblib.externals.loky import ProcessPoolExecutor

        try:
            # By value, if a notebook or a script has defined it
            portable = wrap_non_picklable_objects(self.function, keep_wrapper=False)
            self._pickled = pickle.dumps(portable)
        except Exception as error:
            raise _unpicklable(str(error)) from error
        self._pool = ProcessPoolExecutor(
            self.workers,
            initializer=_start_worker,
            initargs=(os.getpid(),),
            # A crash is reported with its item, not printed by the process
            env={"PYTHONFAULTHANDLER": ""},
        )
        try:
            self._submit(os.getpid).result()
        except BrokenExecutor as error:
            self.end()
            raise CocoAuditError(
                "Worker processes end as soon as they start: use workers=1"
            ) from error

    def _submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        # Processes start here, and inherit that Ctrl-C is left to this one; a call that
        # it interrupts leaves the pool half done
        with interrupts_deferred(), _interrupts_blocked():
            future: Future[Any] = self._pool.submit(function, *args)
        return future

    def end(self) -> None:
        """Ends the processes at once, whatever they do."""
        if self._pool is None:
            return
        with interrupts_deferred():
            with suppress(BrokenExecutor):
                # Items that loky has not yet started raise a KeyError in its thread
                # when
                # it drops it, so let it come to the end of its queue
                last = self._submit(os.getpid)
                while not (last.running() or last.done()):
                    time.sleep(0.001)
            self._pool.shutdown(kill_workers=True)
            self._pool = None


class Elsewhere(Generic[Item, Result]):
    """A function that runs in a process of its own, so that it may crash.

    The process starts when it is first needed and again after a crash, and ends with
    :meth:`close`. Threads take turns.

    Args:
        function: a function that can be pickled, as can its items and results
    """

    def __init__(self, function: Callable[[Item], Result]) -> None:
        self._process = _Processes(function, workers=1)
        self._turn = threading.Lock()

    def __call__(self, item: Item) -> Result | WorkerDied:
        """Calls the function, and raises what it raises.

        Returns:
            its result, or :class:`WorkerDied` if the process crashed
        """
        with self._turn:
            try:
                outcome = self._process.submit([item]).result()
            except BrokenExecutor:
                self._process.end()
                return WorkerDied("the worker process crashed or ran out of memory")
        return outcome.get()[0]

    def close(self) -> None:
        """Ends the process, at once."""
        with self._turn:
            self._process.end()


class _Runner(Generic[Item, Result]):
    """Runs batches: what differs between our own processes and an executor."""

    def submit(self, batch: Sequence[Item]) -> Future[_Outcome[Result]]:
        raise NotImplementedError

    def survives(self, error: BaseException) -> bool:
        """Whether work can go on after an error that the function did not raise."""
        raise NotImplementedError

    def alone(self, item: Item) -> Result | WorkerDied:
        """Runs one item that may be why a worker died."""
        raise NotImplementedError

    def close(self, running: Sequence[Future[Any]]) -> None:
        """Ends the work; nobody waits for the batches that are ``running``."""
        raise NotImplementedError


class _ProcessRunner(_Runner[Item, Result]):
    def __init__(self, function: Callable[[Item], Result], workers: int) -> None:
        self.processes = _Processes(function, workers)
        self.elsewhere = Elsewhere(function)

    def submit(self, batch: Sequence[Item]) -> Future[_Outcome[Result]]:
        return self.processes.submit(batch)

    def survives(self, error: BaseException) -> bool:
        broken = isinstance(error, BrokenExecutor)
        if broken:
            self.processes.end()
        return broken

    def alone(self, item: Item) -> Result | WorkerDied:
        return self.elsewhere(item)

    def close(self, running: Sequence[Future[Any]]) -> None:
        self.processes.end()
        self.elsewhere.close()


class _ExecutorRunner(_Runner[Item, Result]):
    """An executor that somebody else has made, and will end."""

    def __init__(self, function: Callable[[Item], Result], executor: Executor) -> None:
        self.function = function
        self.executor = executor

    def submit(self, batch: Sequence[Item]) -> Future[_Outcome[Result]]:
        return self.executor.submit(_run, self.function, batch)

    def survives(self, error: BaseException) -> bool:
        if isinstance(error, BrokenExecutor):
            raise CocoAuditError(
                f"A worker of the executor died, and the executor with it ({error}): "
                "leave out `executor` to find the item that caused it"
            ) from error
        return True

    def alone(self, item: Item) -> Result | WorkerDied:
        try:
            outcome = self.submit([item]).result()
        except Exception as error:
            return WorkerDied(f"the worker process died ({error})")
        return outcome.get()[0]

    def close(self, running: Sequence[Future[Any]]) -> None:
        for future in running:
            future.cancel()


def _as_completed(
    runner: _Runner[Item, Result], items: Sequence[Item], size: int, in_flight: int
) -> Generator[tuple[int, Any], None, None]:
    starts = iter(range(0, len(items), size))
    running: dict[Future[_Outcome[Result]], int] = {}
    try:
        while True:
            suspects = []
            while len(running) < in_flight:
                start = next(starts, None)
                if start is None:
                    break
                try:
                    future = runner.submit(items[start : start + size])
                except BrokenExecutor as broken:
                    # The futures that run raise it, too
                    if not running:
                        runner.survives(broken)
                    suspects.append(start)
                    break
                running[future] = start
            if not running and not suspects:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                start = running.pop(future)
                error = future.exception()
                if error is None:
                    yield from enumerate(future.result().get(), start=start)
                elif runner.survives(error):
                    suspects.append(start)
                    if isinstance(error, BrokenExecutor):
                        # Everything that ran in the pool is lost with it
                        suspects.extend(running.values())
                        running.clear()
                        break
                else:
                    raise error
            for start in sorted(suspects):
                stop = min(start + size, len(items))
                for position in range(start, stop):
                    yield position, runner.alone(items[position])
    finally:
        runner.close(list(running))


def _in_order(
    results: Generator[tuple[int, Result], None, None],
) -> Generator[tuple[int, Result], None, None]:
    early: dict[int, Result] = {}
    position = 0
    with closing(results):
        for found, result in results:
            early[found] = result
            while position in early:
                yield position, early.pop(position)
                position += 1


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Keeps Ctrl-C from this thread, and from processes that it starts, for good."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # The tracker unblocks them when it starts
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(parent: int) -> None:
    """Makes a worker leave Ctrl-C to its parent, and end when the parent is killed."""
    global _is_worker
    _is_worker = True
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=[parent], daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
