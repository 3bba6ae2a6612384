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
    assert run.check.diagnoses == ()


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


def test_no_loader(labels):
    with pytest.raises(CocoAuditError, match="must be an iterable"):
        run_loader(labels, 5)
    run = run_loader(labels, [])
    assert run.sentences() == []
    assert len(run.batch_seconds) == 0
    json.dumps(run.to_dict(), allow_nan=False)
    assert np.isfinite(run.rate)
