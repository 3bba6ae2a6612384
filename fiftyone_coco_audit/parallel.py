"""A function mapped over items, by the processes of this machine or any executor."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

from fiftyone_coco_audit.errors import CocoAuditError, check_count

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Batches are so small that a worker's last one does not keep the others waiting
LARGEST_BATCH = 16
BATCHES_PER_WORKER = 8
_MAIN = threading.Lock()
_is_worker = False
#: Batches handed out for each worker, so that none waits for the next
AHEAD = 2


@dataclass(frozen=True)
class WorkerDied:
    """What is known of an item whose worker died: of a crash, or for lack of memory.

    Args:
        message: what the executor said
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
    """Checks what is to run the work, before any is begun.

    Raises:
        CocoAuditError: if it is no executor, or no number of processes
    """
    if workers is not None:
        check_count("workers", workers)
    # Not all executors are of the class that Python has for them
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
    """Maps a function over items, in batches that are worked on at the same time.

    A worker that dies does not end the work: the items that it may have died of are
    tried again one by one, and those that kill a worker of their own are told by
    :class:`WorkerDied`. Use it within :func:`contextlib.closing`, so that its processes
    are ended at once where the work is stopped early, or interrupted.

    Args:
        function: a function that can be pickled, as must be its items and results. What
            it raises ends the work and is raised here
        items: the items
        executor: what runs the batches, such as a Dask client's ``get_executor()``; by
            default a pool of processes of this machine, which is ended in the end
        workers: the number of processes; 1 works in this process, where a crash cannot
            be survived. By default one for each core, but 1 where the function is made
            of what a notebook or a script without a main guard has defined, since
            processes would run that script once more. Of an ``executor`` that does not
            say, how many it is taken to have
        batch_size: the number of items that a worker gets at once; by default at most
            16, and less where there are few
        ordered: whether the results are to come in the order of the items, or as they
            are ready
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
        if executor is None and _is_of_main(function) and not _is_guarded():
            workers = 1
    results: Generator[tuple[int, Any], None, None]
    if executor is None and workers == 1:
        results = ((position, function(item)) for position, item in enumerate(items))
    else:
        if batch_size is None:
            share = len(items) // (workers * BATCHES_PER_WORKER)
            batch_size = min(max(share, 1), LARGEST_BATCH)
        crew: _Crew[Item, Result]
        if executor is None:
            crew = _ProcessCrew(function, workers)
        else:
            crew = _HiredCrew(function, executor)
        results = _as_completed(crew, items, batch_size, AHEAD * workers)
        if ordered:
            results = _in_order(results)
    try:
        for done, result in enumerate(results, start=1):
            yield result
            if progress is not None:
                progress(done, len(items))
    finally:
        results.close()


class _Crew(Generic[Item, Result]):
    """Those who do the work: what differs between our own processes and others'."""

    def submit(self, batch: Sequence[Item]) -> Future[_Outcome[Result]]:
        raise NotImplementedError

    def survived(self, error: BaseException) -> bool:
        """Whether work can go on after this error, which is none of the function's."""
        raise NotImplementedError

    def alone(self, item: Item) -> _Outcome[Result]:
        """The outcome of one item that a worker may die of.

        Raises:
            Exception: if it does
        """
        raise NotImplementedError

    def close(self, running: Iterable[Future[Any]], at_once: bool) -> None:
        """Ends the work; ``running`` are the batches that nobody waits for."""
        raise NotImplementedError


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
    """As :func:`_run`, of a function that each process unpickles once."""
    try:
        loaded = _loaded(function)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        return _Outcome([], CocoAuditError(_unpicklable(reason)))
    return _run(loaded, batch)


def _unpicklable(reason: str) -> str:
    return (
        f"The work cannot be sent to other processes ({reason}): define functions and "
        "classes in a module that can be imported, or use workers=1"
    )


def _pickled(function: Any) -> bytes:
    try:
        return pickle.dumps(function)
    except Exception as error:
        raise CocoAuditError(_unpicklable(str(error))) from error


def _is_of_main(function: Any) -> bool:
    """Whether a function, or what it holds, was defined in the script that runs."""
    return b"__main__" in _pickled(function)


def _is_guarded() -> bool:
    """Whether the script that runs can be imported, as far as its text tells."""
    path = getattr(sys.modules["__main__"], "__file__", None)
    if path is None:
        return False
    try:
        return "__name__" in Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


class Elsewhere(Generic[Item, Result]):
    """A function that runs in a process of its own, so that it may crash.

    The process is started where it is first needed, again after a crash, and ended by
    :meth:`close`. Threads take turns.

    Args:
        function: a function that can be pickled, as must be its items and results
    """

    def __init__(self, function: Callable[[Item], Result]) -> None:
        self.function = function
        self._pool: ProcessPoolExecutor | None = None
        self._turn = threading.Lock()

    def __call__(self, item: Item) -> Result | WorkerDied:
        """Calls the function, and raises what it raises.

        Returns:
            its result, or :class:`WorkerDied` if the process crashed
        """
        try:
            outcome = self.outcome(item)
        except BrokenExecutor as error:
            return _death(error)
        return outcome.get()[0]

    def outcome(self, item: Item) -> _Outcome[Result]:
        """What the function returns or raises.

        Raises:
            BrokenExecutor: if the process crashed
        """
        with self._turn:
            if self._pool is None:
                self._pool = _start_pool(1)
            try:
                starting = nullcontext if _is_of_main(self.function) else _without_main
                with starting():
                    work = _pickled(self.function)
                    future = self._pool.submit(_run_pickled, work, [item])
                return future.result()
            except BrokenExecutor:
                self._end()
                raise

    def close(self) -> None:
        """Ends the process, at once."""
        with self._turn:
            self._end()

    def _end(self) -> None:
        if self._pool is not None:
            _end_pool(self._pool, at_once=True)
            self._pool = None


class _ProcessCrew(_Crew[Item, Result]):
    def __init__(self, function: Callable[[Item], Result], workers: int) -> None:
        self.function = _pickled(function)
        self.starting = nullcontext if _is_of_main(function) else _without_main
        self.workers = workers
        self.elsewhere = Elsewhere(function)
        self.pool = self._start()

    def _start(self) -> ProcessPoolExecutor:
        """Starts the processes; large batches are sent to living ones only."""
        pool = _start_pool(self.workers)
        try:
            with self.starting():
                started = pool.submit(os.getpid)
            started.result()
        except BrokenExecutor as broken:
            _end_pool(pool, at_once=True)
            raise CocoAuditError(
                "Worker processes end as soon as they are started: in a script, put "
                "the work under `if __name__ == '__main__':`, or use workers=1"
            ) from broken
        return pool

    def submit(self, batch: Sequence[Item]) -> Future[_Outcome[Result]]:
        # Some versions of Python start further processes only here
        with self.starting():
            return self.pool.submit(_run_pickled, self.function, batch)

    def survived(self, error: BaseException) -> bool:
        if not isinstance(error, BrokenExecutor):
            return False
        _end_pool(self.pool, at_once=True)
        self.pool = self._start()
        return True

    def alone(self, item: Item) -> _Outcome[Result]:
        return self.elsewhere.outcome(item)

    def close(self, running: Iterable[Future[Any]], at_once: bool) -> None:
        # The pool ends its own futures; where one is canceled and a process is gone,
        # a thread of the pool prints an InvalidStateError
        _end_pool(self.pool, at_once)
        self.elsewhere.close()


class _HiredCrew(_Crew[Item, Result]):
    """An executor that somebody else has made, and will end."""

    def __init__(self, function: Callable[[Item], Result], executor: Executor) -> None:
        self.function = function
        self.executor = executor

    def submit(self, batch: Sequence[Item]) -> Future[_Outcome[Result]]:
        return self.executor.submit(_run, self.function, batch)

    def survived(self, error: BaseException) -> bool:
        if isinstance(error, BrokenExecutor):
            raise CocoAuditError(
                f"A worker of the executor died, and the executor with it ({error}): "
                "leave `executor` out to be told which item it died of"
            ) from error
        return True

    def alone(self, item: Item) -> _Outcome[Result]:
        return self.executor.submit(_run, self.function, [item]).result()

    def close(self, running: Iterable[Future[Any]], at_once: bool) -> None:
        """Takes our batches back, and leaves the executor as it is."""
        for future in running:
            future.cancel()


def _as_completed(
    crew: _Crew[Item, Result], items: Sequence[Item], size: int, in_flight: int
) -> Generator[tuple[int, Any], None, None]:
    starts = iter(range(0, len(items), size))
    running: dict[Future[_Outcome[Result]], int] = {}
    finished = False
    try:
        while True:
            suspects = []
            while len(running) < in_flight:
                start = next(starts, None)
                if start is None:
                    break
                try:
                    future = crew.submit(items[start : start + size])
                except BrokenExecutor:
                    # Told by the futures that run, too
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
                elif crew.survived(error):
                    suspects.append(start)
                    if isinstance(error, BrokenExecutor):
                        # All that ran in the pool went with it
                        suspects.extend(running.values())
                        running.clear()
                        break
                else:
                    raise error
            for start in sorted(suspects):
                stop = min(start + size, len(items))
                for position in range(start, stop):
                    yield position, _alone(crew, items[position])
        finished = True
    finally:
        crew.close(running, at_once=not finished)


def _alone(crew: _Crew[Item, Result], item: Item) -> Result | WorkerDied:
    try:
        outcome = crew.alone(item)
    except Exception as error:
        return _death(error)
    return outcome.get()[0]


def _death(error: Exception) -> WorkerDied:
    return WorkerDied(f"the worker process died ({error})")


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


def _start_pool(workers: int) -> ProcessPoolExecutor:
    # A fork would copy locks that FiftyOne's threads hold, and wait for them for ever.
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context(
        "forkserver" if "forkserver" in methods else "spawn"
    )
    return ProcessPoolExecutor(workers, context, initializer=_start_worker)


@contextmanager
def _without_main() -> Iterator[None]:
    """Has processes that are started not run the script of this one once more.

    They do so for what is defined there, which the work has no need of, and a script
    that is not made for it would begin its work anew.
    """
    with _MAIN:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


def _start_worker() -> None:
    """Makes a worker leave Ctrl-C to its parent, and end when this is killed."""
    global _is_worker
    _is_worker = True
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=[parent], daemon=True).start()


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


def _drain(pool: Any) -> None:
    """Takes what is being sent to dead workers, which would wait for ever for them."""
    thread, queue = pool._executor_manager_thread, pool._call_queue
    while thread is not None and thread.is_alive():
        with suppress(OSError):  # it is closed in the end
            if queue._reader.poll():
                os.read(queue._reader.fileno(), 2**20)
        thread.join(0.001)


def _end_pool(pool: ProcessPoolExecutor, at_once: bool) -> None:
    # terminate_workers() came with Python 3.14
    processes = list((getattr(pool, "_processes", None) or {}).values())
    if at_once:
        for process in processes:
            process.terminate()
        if sys.version_info < (3, 11, 5):
            _drain(pool)
    pool.shutdown(wait=True, cancel_futures=True)
    for process in processes:
        process.join()
