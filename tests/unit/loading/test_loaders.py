"""Loaders of the user's own: timed, with what fails caught."""

from __future__ import annotations

import json
import os
import signal
import time

import numpy as np
import pytest

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.loading.loaders import run_loader
from tests.unit.loading.scenes import Reader, image_id, make_set

COUNT = 12


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    return make_set(tmp_path_factory.mktemp("images"), COUNT)


@pytest.fixture
def ids():
    return [image_id(position) for position in range(COUNT)]


class Broken:
    """A dataset that fails for some samples, and needs some time for each."""

    def __init__(self, reader, bad=(), odd=(), seconds=0.0):
        self.reader = reader
        self.bad = bad
        self.odd = odd
        self.seconds = seconds

    def __len__(self):
        return len(self.reader)

    def __getitem__(self, position):
        time.sleep(self.seconds)
        if position in self.bad:
            raise ZeroDivisionError(f"no sample {position}")
        return 5 if position in self.odd else self.reader[position]


def batched(dataset, size):
    for start in range(0, len(dataset), size):
        yield [dataset[n] for n in range(start, min(start + size, len(dataset)))]


def test_a_dataset_is_timed_by_sample(labels, ids):
    calls = []
    run = run_loader(
        labels,
        Broken(Reader(labels), seconds=0.01),
        image_ids=ids,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert run.batch_samples.tolist() == [1] * COUNT
    assert (run.batch_seconds >= 0.01).all()
    # What it sleeps it waits, and does not compute
    assert run.throughput.waiting >= 0.009
    assert run.rate == pytest.approx(COUNT / run.batch_seconds.sum())
    assert calls == [(n, COUNT) for n in range(1, COUNT + 1)]
    assert run.complete and not run.failures
    json.dumps(run.to_dict(), allow_nan=False)


def test_an_iterable_is_timed_by_batch(labels, ids):
    run = run_loader(labels, batched(Reader(labels), 5), image_ids=ids)
    assert run.batch_samples.tolist() == [5, 5, 2]
    assert run.check.num_agreeing == COUNT
    assert run.sentences()[0].startswith("The targets of all 12 samples")


def test_samples_that_fail_are_named_and_the_others_are_held(labels, ids):
    run = run_loader(
        labels, Broken(Reader(labels), bad=(3, 7), odd=(5,)), image_ids=ids
    )
    assert [(f.sample, f.stage, f.exception) for f in run.failures] == [
        (3, "load", "ZeroDivisionError"),
        (5, "targets", "CocoAuditError"),
        (7, "load", "ZeroDivisionError"),
    ]
    assert run.failures[0].message == "no sample 3"
    assert run.check.num_agreeing == COUNT - 3
    assert (
        "3 failures: the first is sample 3 of the loader's dataset"
        in (run.sentences()[0])
    )
    json.dumps(run.to_dict(), allow_nan=False)


def test_order_says_which_image_it_is_even_after_a_failure(labels):
    from tests.unit.loading.scenes import pair

    reader = Reader(labels, pack=lambda scene: (None, *pair(scene)[1:]))
    run = run_loader(labels, Broken(reader, bad=(3,)))
    assert run.check.num_agreeing == COUNT - 1
    assert run.check.mistakes == ()


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
def test_an_interrupt_leaves_what_was_measured(labels, ids):
    def progress(done, total):
        if done == 4:
            os.kill(os.getpid(), signal.SIGINT)

    run = run_loader(labels, Reader(labels), image_ids=ids, progress=progress)
    assert not run.complete
    assert run.check.num_samples == 4
    assert run.sentences()[0] == "It was interrupted after 4 batches."


def test_a_loader_that_never_recovers_is_given_up(labels):
    run = run_loader(labels, Broken(range(1000), bad=range(1000)))
    assert len(run.failures) == 100
    assert "gave up after 100 failures in a row" in run.sentences()[1]


class Unsized:
    """Batches, but nobody knows how many: as an IterableDataset."""

    def __init__(self, batches, error=None):
        self.batches = batches
        self.error = error

    def __len__(self):
        raise TypeError("object of type 'Unsized' has no len()")

    def __iter__(self):
        if self.error is not None:
            raise self.error
        return iter(self.batches)


def test_a_loader_need_not_know_its_length(labels, ids):
    calls = []
    loader = Unsized(list(batched(Reader(labels), 5)))
    run = run_loader(
        labels, loader, image_ids=ids, progress=lambda *done: calls.append(done)
    )
    assert run.check.num_agreeing == COUNT
    assert calls == [(1, 0), (2, 0), (3, 0)]
    assert (run.failures, run.notes) == ((), ())


def test_a_dataset_without_a_length_ends_where_its_index_does(labels, ids):
    class Dataset:
        def __getitem__(self, index):
            if index == 2:
                raise ValueError
            return reader[index]

    reader = Reader(labels)
    run = run_loader(labels, Dataset(), image_ids=ids)
    assert run.check.num_agreeing == COUNT - 1
    assert [(f.sample, f.exception) for f in run.failures] == [(2, "ValueError")]
    assert run.sentences()[0].endswith("sample 2 of the loader's dataset: ValueError.")


def test_a_length_that_fails_is_not_taken_for_none(labels):
    class Mistaken(Unsized):
        def __len__(self):
            return len(self.files)

    with pytest.raises(
        CocoAuditError, match="Mistaken raises AttributeError: .*'files'"
    ):
        run_loader(labels, Mistaken([]))


@pytest.mark.parametrize("error", [OSError("no such folder"), TypeError("no folder")])
def test_what_is_raised_before_the_first_batch_is_its_failure(labels, error):
    run = run_loader(labels, Unsized([], error))
    (failure,) = run.failures
    assert (failure.number, failure.sample, failure.stage) == (0, None, "load")
    assert (failure.exception, failure.message) == (type(error).__name__, str(error))
    json.dumps(run.to_dict(), allow_nan=False)


def test_a_generator_that_fails_is_said_to_have_ended(labels, ids):
    def loader():
        yield from list(batched(Reader(labels), 4))[:2]
        raise ValueError("broken")

    run = run_loader(labels, loader(), image_ids=ids)
    assert run.check.num_agreeing == 8
    assert run.failures[0].number == 2
    assert "ended after 3 batches with a failure" in run.sentences()[1]


def test_a_loader_that_is_shorter_than_its_length_is_told(labels, ids):
    class Short(Unsized):
        def __len__(self):
            return 10

    loader = Short(list(batched(Reader(labels), 4)))
    run = run_loader(labels, loader, image_ids=ids)
    assert run.notes == (
        "The loader ended after 3 batches, though its length is 10: the rest was "
        "not loaded.",
    )


def test_an_exhausted_sample_does_not_end_a_dataset(labels, ids):
    class Dataset(Broken):
        def __getitem__(self, position):
            if position == 3:
                raise StopIteration
            return super().__getitem__(position)

    run = run_loader(labels, Dataset(Reader(labels)), image_ids=ids)
    assert run.check.num_agreeing == COUNT - 1
    assert [(f.sample, f.exception) for f in run.failures] == [(3, "StopIteration")]


def test_one_sample_of_a_batch_that_fails_is_named(labels, ids):
    (first, second, third) = batched(Reader(labels), 4)
    image, target = second[1]
    second[1] = image, {**target, "labels": [None] * len(target["boxes"])}
    run = run_loader(labels, [first, second, third], image_ids=ids)
    assert run.check.num_agreeing == COUNT - 1
    (failure,) = run.failures
    assert (failure.number, failure.place, failure.stage) == (1, 1, "targets")
    assert run.sentences()[0].startswith(
        "1 failure: the first is sample 1 of batch 1: The loader yields None as labels"
    )


class Working:
    """A loader that has workers, of which one dies with a batch, or is interrupted.

    What PyTorch raises then is raised at this batch, or while the one before is
    looked at, as it does so by a signal.
    """

    num_workers = 2

    def __init__(self, batches, raised, at, asynchronous=False):
        self.batches = batches
        self.raised = raised
        self.at = at
        self.asynchronous = asynchronous
        self.fetched = 0
        self.dataset = Broken(range(100), bad=range(100))

    def __iter__(self):
        for number, batch in enumerate(self.batches):
            self.fetched += 1
            if number == self.at and not self.asynchronous:
                raise self.raised
            yield batch

    def progress(self, done, total):
        if self.asynchronous and done == self.at:
            raise self.raised


DEATHS = [
    "DataLoader worker (pid(s) 1234) exited unexpectedly",
    "DataLoader worker (pid 1234) is killed by signal: Killed. ",
    "DataLoader worker (pid 1234) exited unexpectedly with exit code 1. Details are "
    "lost due to multiprocessing. Rerunning with num_workers=0 may give better error "
    "trace.",
]


@pytest.mark.parametrize("message", DEATHS)
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_dead_worker_is_one_failure_and_the_end(labels, ids, message, asynchronous):
    batches = list(batched(Reader(labels), 4))
    loader = Working(batches, RuntimeError(message), 1, asynchronous)
    run = run_loader(labels, loader, image_ids=ids, progress=loader.progress)
    (failure,) = run.failures
    assert (failure.number, failure.sample, failure.stage) == (1, None, "worker")
    assert failure.message.startswith("DataLoader worker (pid")
    assert "Use num_workers=0 to see the reason" in failure.message
    # Once for the time, where that fails, else once again
    assert loader.fetched == (4 if asynchronous else 2)
    assert run.check.num_samples == (4 if asynchronous else 0)
    json.dumps(run.to_dict(), allow_nan=False)


def test_a_loader_that_takes_too_long_is_told(labels):
    error = RuntimeError("DataLoader timed out after 5 seconds")
    run = run_loader(labels, Working([], error, 0))
    assert not run.failures
    run = run_loader(labels, Working([[1]], error, 0))
    (failure,) = run.failures
    assert failure.stage == "worker" and "`timeout`" in failure.message


def test_other_errors_of_a_run_are_not_taken_for_dead_workers(labels):
    loader = Working([[1], [2]], RuntimeError("something else"), 1, True)
    with pytest.raises(RuntimeError, match="something else"):
        run_loader(labels, loader, progress=loader.progress)


def test_an_interrupt_while_time_is_measured_is_one(labels, ids):
    batches = list(batched(Reader(labels), 4))
    run = run_loader(labels, Working(batches, KeyboardInterrupt(), 1), image_ids=ids)
    assert not run.complete
    assert run.sentences() == ["It was interrupted after 0 batches."]


def test_an_interrupt_while_one_sample_is_timed_keeps_the_rest(labels, ids):
    class Interrupted(Broken):
        def __getitem__(self, position):
            raise KeyboardInterrupt

    loader = Working(list(batched(Reader(labels), 4)), None, None)
    loader.dataset = Interrupted(range(COUNT))
    run = run_loader(labels, loader, image_ids=ids)
    assert not run.complete
    assert run.check.num_agreeing == COUNT
    # Of what more workers would give nothing is known
    (speed,) = [one for one in run.sentences() if "a second" in one]
    assert speed.endswith(" ms.")


def test_what_can_be_read_once_is_not_read_for_its_time(labels, ids):
    class Once(Working):
        def __init__(self, batches):
            super().__init__(batches, None, None)
            self.left = iter(batches)

        def __iter__(self):
            return self

        def __next__(self):
            return next(self.left)

    run = run_loader(labels, Once(list(batched(Reader(labels), 4))), image_ids=ids)
    assert run.check.num_agreeing == COUNT


class Index:
    def __getitem__(self, index):
        raise AssertionError


@pytest.mark.parametrize("loader", [5, None, "final", b"final", Index, object()])
def test_what_is_no_loader_is_refused(labels, loader):
    with pytest.raises(
        CocoAuditError, match="The loader is .*: it must be an iterable"
    ):
        run_loader(labels, loader)


def test_no_batches(labels):
    run = run_loader(labels, [])
    assert run.sentences() == [
        "The loader is empty: a generator can be used only once, so create a new one."
    ]
    assert len(run.batch_seconds) == 0
    json.dumps(run.to_dict(), allow_nan=False)
    assert np.isfinite(run.rate)
