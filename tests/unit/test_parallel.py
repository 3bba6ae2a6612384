"""A function mapped over items: order, crashes, interrupts, and nothing left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial

import pytest

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.parallel import WorkerDied, map_items

pytestmark = pytest.mark.slow


def square(number):
    return number * number


def first_after_another(folder, number):
    """Item 0 waits until another worker has done an item."""
    until = time.monotonic() + 60
    while number == 0 and not any(folder.iterdir()) and time.monotonic() < until:
        time.sleep(0.05)
    (folder / str(number)).touch()
    return number


@dataclass
class Large:
    """An item of many bytes."""

    number: int
    content: bytes


def crash_on_large(item):
    return crash(item.number)


def crash(number):
    if number in (3, 17):
        os._exit(1)
    return number


def fail(number):
    raise KeyError(number)


def process_id(_):
    return os.getpid()


def stuck(number):
    if number == 2:
        time.sleep(600)
    return number


def children():
    return [child for child in multiprocessing.active_children() if child.is_alive()]


@pytest.mark.parametrize("workers", [1, 2])
def test_every_item_is_mapped_once(workers):
    calls = []
    results = dict(
        map_items(
            square,
            range(100),
            workers=workers,
            progress=lambda done, total: calls.append((done, total)),
        )
    )
    assert results == {n: n * n for n in range(100)}
    assert calls == [(n, 100) for n in range(1, 101)]
    assert not children()


def test_nothing_is_mapped():
    assert list(map_items(square, [], workers=2)) == []


@pytest.mark.parametrize("executor", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_any_executor_will_do_and_is_left_open(executor):
    with executor(2) as pool:
        assert dict(map_items(square, range(50), executor=pool)) == {
            n: n * n for n in range(50)
        }
        assert pool.submit(square, 3).result() == 9


def test_results_come_as_they_are_ready_or_in_order(tmp_path):
    options = {"workers": 2, "batch_size": 1}
    work = partial(first_after_another, tmp_path)
    ready = [position for position, _ in map_items(work, range(8), **options)]
    assert sorted(ready) == list(range(8))
    assert ready[0] != 0
    in_order = map_items(work, range(8), ordered=True, **options)
    assert [position for position, _ in in_order] == list(range(8))


def test_work_is_done_elsewhere_unless_by_one_worker():
    alone = {found for _, found in map_items(process_id, range(8), workers=1)}
    assert alone == {os.getpid()}
    others = {found for _, found in map_items(process_id, range(8), workers=2)}
    assert os.getpid() not in others


def test_no_more_than_a_few_batches_are_handed_out():
    taken = []

    class Items(list):
        def __getitem__(self, rows):
            taken.append(rows.start)
            return super().__getitem__(rows)

    with ThreadPoolExecutor(2) as pool:
        results = map_items(
            square, Items(range(100)), executor=pool, batch_size=5, workers=2
        )
        with closing(results):
            next(results)
            assert len(taken) <= 4 + 2


def test_a_crash_is_put_down_to_the_item_that_caused_it():
    results = dict(map_items(crash, range(40), workers=2, batch_size=4))
    assert len(results) == 40
    died = {n for n, found in results.items() if isinstance(found, WorkerDied)}
    assert died == {3, 17}
    assert all(results[n] == n for n in range(40) if n not in died)
    assert not children()


def test_a_crash_while_more_is_sent_than_a_pipe_holds():
    items = [Large(n, bytes(300_000)) for n in range(24)]
    results = dict(map_items(crash_on_large, items, workers=2, batch_size=2))
    died = {n for n, found in results.items() if isinstance(found, WorkerDied)}
    assert len(results) == 24 and died == {3, 17}
    assert not children()


@pytest.mark.parametrize("workers", [1, 2])
def test_what_the_function_raises_is_raised(workers):
    with pytest.raises(KeyError):
        list(map_items(fail, range(4), workers=workers))
    assert not children()


def test_an_executor_that_breaks_is_reported():
    with (
        ProcessPoolExecutor(1) as pool,
        pytest.raises(CocoAuditError, match="leave out `executor`"),
    ):
        list(map_items(crash, range(8), executor=pool))


def test_an_executor_that_was_broken_before_is_reported():
    with ProcessPoolExecutor(1) as pool:
        with suppress(BrokenExecutor):
            pool.submit(crash, 3).result()
        with pytest.raises(CocoAuditError, match="leave out `executor`"):
            list(map_items(square, range(8), executor=pool))


def test_what_cannot_be_pickled_is_said():
    lock = threading.Lock()
    with pytest.raises(CocoAuditError, match="cannot be sent to other processes"):
        list(map_items(lambda n: lock, range(4), workers=2))


class Unloadable:
    """Pickled here, but not unpickled in a worker."""

    def __call__(self, number):
        return number

    def __reduce__(self):
        return int, ("no number",)


def test_what_a_worker_cannot_unpickle_is_said():
    with pytest.raises(CocoAuditError, match=r"cannot be sent .*ValueError"):
        list(map_items(Unloadable(), range(4), workers=2))


def test_no_workers_are_a_mistake():
    with pytest.raises(CocoAuditError, match="whole number of at least 1"):
        list(map_items(square, range(4), workers=0))


def test_stopping_early_ends_the_processes():
    results = map_items(stuck, range(8), workers=2, batch_size=1)
    with closing(results):
        next(results)
    assert not children()


def crash_soon(number):
    time.sleep(0 if number < 2 else 0.2)
    return crash(number)


@pytest.mark.parametrize("function", [stuck, crash_soon])
def test_stopping_early_prints_nothing(monkeypatch, capfd, function):
    raised = []
    monkeypatch.setattr(threading, "excepthook", raised.append)
    with closing(map_items(function, range(40), workers=2, batch_size=1)) as found:
        next(found)
        # Meanwhile, a worker may have died
        time.sleep(0.3)
    assert not raised
    assert not children()
    assert capfd.readouterr() == ("", "")


def test_batches_that_nobody_waits_for_are_taken_back():
    worked_on = []

    def work(number):
        worked_on.append(number)
        time.sleep(0.2)

    with ThreadPoolExecutor(1) as pool:
        options = {"executor": pool, "batch_size": 1, "workers": 4}
        with closing(map_items(work, range(40), **options)) as found:
            next(found)
    # Of the 8 that were handed out
    assert len(worked_on) <= 3


@contextmanager
def run_script(tmp_path, text):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(text))
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=os.getcwd(),
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


STUCK = """
    import os, time
    from contextlib import closing
    from fiftyone_coco_audit.parallel import map_items

    def stuck(number):
        if number < 4:
            return os.getpid()
        time.sleep(600)

    if __name__ == "__main__":
        seen = set()
        results = map_items(stuck, range(8), workers=2, batch_size=1)
        try:
            with closing(results):
                for _, pid in results:
                    seen.add(pid)
                    print(pid, flush=True)
        except KeyboardInterrupt:
            print("interrupted", len(seen) > 0, flush=True)
"""


def wait_until_gone(pids):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        gone = []
        for pid in pids:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                gone.append(pid)
        if len(gone) == len(pids):
            return True
        time.sleep(0.1)
    return False


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_process_survives_an_interrupt_or_the_death_of_the_parent(tmp_path, number):
    with run_script(tmp_path, STUCK) as process:
        assert process.stdout is not None
        pids = {int(process.stdout.readline()) for _ in range(4)}
        if number == signal.SIGINT:
            # As a terminal does: to the whole group
            os.killpg(process.pid, number)
        else:
            process.kill()
        out, error = process.communicate(timeout=30)
        assert wait_until_gone(pids)
    if number == signal.SIGINT:
        assert "interrupted True" in out
        assert not error


SCRIPT = """
    import os
    from dataclasses import dataclass
    from fiftyone_coco_audit.parallel import map_items

    @dataclass
    class Found:
        item: bytes
        pid: int

    def work(item):
        return Found(item, os.getpid())

    print("begun")
    found = dict(map_items(work, [b"0" * 200_000] * 8, workers=2))
    assert all(isinstance(one, Found) for one in found.values())
    print(len(found), os.getpid() in {one.pid for one in found.values()})
"""


@pytest.mark.parametrize("guard", ["", "if __name__ == '__main__':"])
def test_a_script_may_use_what_it_defines_with_or_without_a_guard(tmp_path, guard):
    text = textwrap.dedent(SCRIPT)
    if guard:
        above, work = text.split("print", 1)
        text = f"{above}{guard}\n{textwrap.indent('print' + work, '    ')}"
    with run_script(tmp_path, text) as process:
        out, error = process.communicate(timeout=120)
    assert not process.returncode, error
    assert out.splitlines() == ["begun", "8 False"]
    assert not error


@pytest.mark.parametrize("executor", [4, "threads", ThreadPoolExecutor])
def test_what_is_no_executor_is_refused(executor):
    with pytest.raises(CocoAuditError, match="^executor is .* must be an executor"):
        list(map_items(square, range(3), executor=executor))
