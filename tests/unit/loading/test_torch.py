"""A real DataLoader of PyTorch, with planted mistakes of each kind."""

from __future__ import annotations

import os
import time
from dataclasses import replace

import numpy as np
import pytest

from fiftyone_coco_audit.loading.loaders import run_loader
from tests.unit.loading import scenes
from tests.unit.loading.scenes import (
    CATEGORY_IDS,
    MISTAKES,
    RESIZING_MISTAKES,
    Reader,
    image_id,
    make_set,
)

pytestmark = pytest.mark.slow

if os.environ.get("CI") == "true":
    import torch
else:
    torch = pytest.importorskip("torch")

COUNT = 20


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    return make_set(tmp_path_factory.mktemp("images"), COUNT)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tensors(value):
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(value))
    if isinstance(value, dict):
        return {key: tensors(one) for key, one in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(tensors(one) for one in value)
    return value


class Dataset(torch.utils.data.Dataset):
    def __init__(self, reader, bad=()):
        self.reader = reader
        self.bad = bad

    def __len__(self):
        return len(self.reader)

    def __getitem__(self, position):
        if position in self.bad:
            raise ZeroDivisionError(f"no sample {position}")
        return tensors(self.reader[position])


def zipped(batch):
    return tuple(zip(*batch, strict=True))


def ultralytics(batch):
    """As the loaders of Ultralytics: all boxes of a batch, and whose they are."""
    images, rows = zip(*batch, strict=True)
    owner = torch.cat([torch.full((len(one),), float(n)) for n, one in enumerate(rows)])
    rows = torch.cat(rows)
    return {
        "img": torch.stack(images),
        "batch_idx": owner,
        "cls": rows[:, :1],
        "bboxes": rows[:, 1:],
    }


def load(reader, *, bad=(), collate=zipped, **options):
    return torch.utils.data.DataLoader(
        Dataset(reader, bad), batch_size=4, collate_fn=collate, **options
    )


def check(labels, loader):
    ids = [image_id(position) for position in range(COUNT)]
    run = run_loader(labels, loader, image_ids=ids, category_ids=CATEGORY_IDS)
    assert not run.failures
    assert run.check.num_samples == COUNT
    return run


def names(run):
    return [found.name for found in run.check.mistakes]


@pytest.mark.parametrize("resize", [None, "stretch", "letterbox"])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(
    "pack", [scenes.torchvision, scenes.detr, scenes.coco, scenes.dictionary]
)
def test_a_sound_loader_is_sound(labels, pack, resize, shuffle):
    collate = list if pack is scenes.dictionary else zipped
    reader = Reader(labels, resize, True, pack=pack)
    run = check(labels, load(reader, shuffle=shuffle, collate=collate))
    assert (names(run), run.check.notes) == ([], ())
    assert run.check.num_agreeing == COUNT


@pytest.mark.parametrize("resize", [None, "letterbox"])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named(labels, mistake, resize):
    plant, name = MISTAKES[mistake]
    run = check(labels, load(Reader(labels, resize, mistake=plant), shuffle=True))
    assert names(run) == ([] if name is None else [name])


@pytest.mark.parametrize("case", RESIZING_MISTAKES, ids=" ".join)
def test_a_mistake_of_resizing_is_named(labels, case):
    plant, name = RESIZING_MISTAKES[case]
    assert names(check(labels, load(Reader(labels, case[0], mistake=plant)))) == [name]


@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_of_ultralytics_in_any_order(labels, shuffle):
    reader = Reader(labels, "letterbox", True, pack=scenes.yolo)
    run = check(labels, load(reader, collate=ultralytics, shuffle=shuffle))
    assert names(run) == []
    assert run.check.num_agreeing == COUNT
    for mistake in ("two classes are swapped", "x and y are swapped", "BGR for RGB"):
        plant, name = MISTAKES[mistake]
        loader = load(replace(reader, mistake=plant), collate=ultralytics)
        assert names(check(labels, loader)) == [name]


def test_workers_are_timed_and_told(labels):
    run = check(labels, load(Reader(labels, "stretch"), num_workers=2))
    assert (names(run), run.workers) == ([], 2)
    assert run.rate > 0
    assert run.throughput.computing > 0


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_sample_that_fails_is_named(labels, num_workers):
    loader = load(Reader(labels), bad=(6,), num_workers=num_workers)
    run = run_loader(labels, loader, image_ids=[image_id(n) for n in range(COUNT)])
    (failure,) = run.failures
    assert (failure.number, failure.sample) == (1, 6)
    assert failure.exception == "ZeroDivisionError"
    assert failure.message == "no sample 6"
    assert run.check.num_agreeing == COUNT - 4


class Deadly(Dataset):
    """A worker that has one of the samples dies, or does nothing for a long time."""

    def __init__(self, reader, bad, seconds=None):
        super().__init__(reader)
        self.deadly = bad
        self.seconds = seconds
        self.home = os.getpid()

    def __getitem__(self, position):
        if position == self.deadly:
            assert os.getpid() != self.home, "this process would die"
            if self.seconds is None:
                os._exit(1)
            time.sleep(self.seconds)
        return super().__getitem__(position)


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("end", ["death", "timeout"])
def test_a_worker_that_dies_or_hangs_is_waited_for_once(labels, end, persistent):
    dataset = Deadly(Reader(labels), 9, 60 if end == "timeout" else None)
    loader = torch.utils.data.DataLoader(
        dataset,
        batch_size=4,
        collate_fn=zipped,
        num_workers=2,
        persistent_workers=persistent,
        timeout=2 if end == "timeout" else 0,
    )
    start = time.monotonic()
    run = run_loader(labels, loader)
    assert time.monotonic() - start < 30
    (failure,) = run.failures
    assert (failure.stage, failure.exception) == ("worker", "RuntimeError")
    assert "num_workers=0" in str(failure)


class Stream(torch.utils.data.IterableDataset):
    def __init__(self, reader):
        self.reader = reader

    def __iter__(self):
        for position in range(len(self.reader)):
            yield tensors(self.reader[position])


class SizedStream(Stream):
    def __len__(self):
        return len(self.reader)


@pytest.mark.parametrize("kind", [Stream, SizedStream])
@pytest.mark.parametrize("num_workers", [None, 0, 1])
def test_streams_are_loaders_too(labels, kind, num_workers):
    loader = kind(Reader(labels))
    if num_workers is not None:
        loader = torch.utils.data.DataLoader(
            loader, batch_size=4, collate_fn=zipped, num_workers=num_workers
        )
    run = check(labels, loader)
    assert (names(run), run.notes) == ([], ())
    assert run.check.num_agreeing == COUNT


def failing_start(_):
    raise ValueError("no start")


def test_workers_that_do_not_start_are_told(labels):
    loader = load(Reader(labels), num_workers=1, worker_init_fn=failing_start)
    run = run_loader(labels, loader)
    assert run.failures[0].message == "no start"
    assert "batch 0: ValueError: no start." in run.sentences()[0]
