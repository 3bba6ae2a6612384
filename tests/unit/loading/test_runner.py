"""A dry run: every failure is caught and put down to what failed, and all is timed."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import albumentations as A
import numpy as np
import pytest

from fiftyone_coco_audit.augmentation.pipelines import Pipeline
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.loading.pipelines import AlbumentationsPipeline
from fiftyone_coco_audit.loading.runner import run_pipeline
from fiftyone_coco_audit.loading.stages import Decoding, SampleRunner, Task
from fiftyone_coco_audit.wording import percent
from tests.hostile import CRASHING
from tests.unit.loading.scenes import make_set

pytestmark = pytest.mark.slow

COUNT = 10


@pytest.fixture
def labels(tmp_path):
    return make_set(tmp_path, COUNT)


def unchanged(image, boxes, ids):
    return image, boxes, ids


class Planted:
    """A pipeline that does something else to the samples of some objects."""

    def __init__(self, result, rows):
        self.result = result
        self.rows = set(rows)

    def __call__(self, image, boxes, ids):
        if self.rows & set(ids.tolist()):
            return self.result(image, boxes, ids)
        return image, boxes, ids


class Flaky(A.ImageOnlyTransform):
    """Raises for images of one width."""

    def __init__(self, width):
        super().__init__(p=1.0)
        self.width = width

    def apply(self, img, **params):
        if img.shape[1] == self.width:
            raise ZeroDivisionError("no such width")
        return img


class Nothing(Flaky):
    """Returns None for images of one width."""

    def apply(self, img, **params):
        return None if img.shape[1] == self.width else img


class Slow(A.ImageOnlyTransform):
    def __init__(self):
        super().__init__(p=1.0)

    def apply(self, img, **params):
        time.sleep(0.01)
        return img


def pipeline(*transforms, **box_params):
    boxes = A.BboxParams(format="coco", label_fields=[], **box_params)
    composed = A.Compose(list(transforms), bbox_params=boxes)
    return AlbumentationsPipeline(Pipeline.parse(composed))


def test_images_without_labels_draw_by_their_pixels():
    brighten = pipeline(A.RandomBrightnessContrast(p=1))
    none = np.zeros((0, 4)), np.zeros(0, np.int64)

    def gains():
        images = [np.full((64, 64, 3), 100 + n, np.uint8) for n in range(5)]
        return [int(brighten(i, *none)[0][0, 0, 0]) - int(i[0, 0, 0]) for i in images]

    found = gains()
    assert len(set(found)) > 3
    assert gains() == found


def rows_of(labels, position):
    return np.flatnonzero(labels.objects.image == position)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_sound_set_goes_through(labels, workers):
    run = run_pipeline(labels, pipeline(A.HorizontalFlip(p=1)), workers=workers)
    assert run.counts() == {"ok": COUNT, "suspicious": 0, "failed": 0, "not run": 0}
    assert run.complete
    assert list(run.error) == [""] * COUNT
    assert run.transforms == ["HorizontalFlip"]
    assert np.isfinite(run.seconds).all()
    assert len(run.lost) == 0
    assert run.num_objects == len(labels.objects)
    assert run.num_bytes.tolist() == [os.path.getsize(p) for p in labels.filepaths]
    assert run.failures().empty
    assert run.sentences()[0] == f"All {COUNT} samples went through."


@pytest.mark.parametrize("workers", [1, 2])
def test_what_cannot_be_read_or_decoded_is_told(labels, workers):
    Path(labels.filepaths[1]).unlink()
    Path(labels.filepaths[3]).write_bytes(b"no image")
    Path(labels.filepaths[4]).write_bytes(b"")
    run = run_pipeline(labels, unchanged, workers=workers)
    assert np.flatnonzero(run.status == "failed").tolist() == [1, 3, 4]
    assert run.stage[[1, 3, 4]].tolist() == ["read", "decode", "decode"]
    assert "The file cannot be read: FileNotFoundError" in run.error[1]
    assert "OpenCV cannot decode it" in run.error[3]
    assert "the file is empty" in run.error[4]
    assert run.counts()["ok"] == COUNT - 3
    frame = run.failures()
    assert frame.loc[("decode", "", "ValueError"), "samples"] == 2
    assert frame.loc[("read", "", "FileNotFoundError"), "first"] == labels.filepaths[1]


def test_an_image_that_is_cut_off_is_suspicious(labels):
    path = Path(labels.filepaths[2])
    data = path.read_bytes()
    path.write_bytes(data[: int(0.9 * len(data))])
    run = run_pipeline(labels, unchanged, workers=1)
    assert run.status[2] in ("suspicious", "failed")
    assert run.error[2]
    run = run_pipeline(
        labels, unchanged, decoding=Decoding(decoder="pillow"), workers=1
    )
    assert (run.status[2], run.stage[2]) == ("failed", "decode")


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_the_missing_end_of_a_file_is_seen(tmp_path, suffix):
    import cv2

    path = tmp_path / f"image{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3)).astype(np.uint8)
    cv2.imwrite(str(path), noise)
    task = Task(str(path), (300.0, 200.0), np.zeros((0, 4)), np.zeros(0, np.int64))
    passer = SampleRunner(unchanged, Decoding())
    assert passer(task).suspicions == []
    path.write_bytes(path.read_bytes()[:-5000])
    passage = passer(task)
    assert passage.stage == "decode" or "cut off" in passage.suspicions[0]


def test_images_that_exif_data_turn_are_turned_if_asked(tmp_path):
    labels = make_set(tmp_path, COUNT, turned=1)
    for decoder in ("opencv", "pillow"):
        run = run_pipeline(labels, unchanged, decoding=Decoding(decoder), workers=1)
        assert run.counts()["ok"] == COUNT
        run = run_pipeline(
            labels, unchanged, decoding=Decoding(decoder, exif=False), workers=1
        )
        assert np.flatnonzero(run.status == "suspicious").tolist() == [COUNT - 1]
        assert "decodes to 150 x 90, but its labels are for 90 x 150" in run.error[-1]


def test_decoders_agree_and_channels_can_be_reversed(labels):
    data = Path(labels.filepaths[0]).read_bytes()
    rgb = Decoding()(data)
    assert (Decoding("pillow")(data) == rgb).all()
    assert (Decoding(channels="bgr")(data) == rgb[..., ::-1]).all()
    assert (Decoding("pillow", channels="bgr")(data) == rgb[..., ::-1]).all()
    with pytest.raises(CocoAuditError, match="decoder is 'pil'"):
        Decoding("pil")


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("transform", "exception", "message"),
    [
        (Flaky(160), "ZeroDivisionError", "`Flaky` failed: ZeroDivisionError: no such"),
        (
            Nothing(160),
            "InvalidOutput",
            "`Nothing` failed: returned None for the image.",
        ),
    ],
)
def test_the_transform_that_fails_is_named(
    labels, transform, exception, message, workers
):
    wide = np.flatnonzero(labels.size[:, 0] == 160)
    inner = A.OneOf([transform], p=1)
    run = run_pipeline(
        labels, pipeline(A.HorizontalFlip(p=1), inner, A.Blur(p=1)), workers=workers
    )
    assert np.flatnonzero(run.status == "failed").tolist() == wide.tolist()
    name = type(transform).__name__
    assert {run.transform[n] for n in wide} == {name}
    assert {run.exception[n] for n in wide} == {exception}
    assert set(run.stage[wide]) == {"transform"}
    assert run.error[wide[0]].startswith(message)
    # What comes after it was not called
    assert np.isnan(run.transform_seconds[wide, 2]).all()
    assert np.isfinite(run.transform_seconds[:, :2]).all()


def test_a_label_that_cannot_be_transformed_is_named(labels):
    row = rows_of(labels, 4)[1]
    labels.objects.box[row] = [500, 10, 20, 20]
    run = run_pipeline(labels, pipeline(A.HorizontalFlip(p=1)), workers=1)
    assert np.flatnonzero(run.status == "failed").tolist() == [4]
    assert (run.stage[4], run.transform[4]) == ("labels", "")
    assert run.error[4].startswith("The labels cannot be transformed: ValueError")
    assert run.error[4].endswith("(label [500, 10, 20, 20]).")


@pytest.mark.parametrize(("over", "told"), [(0.5, "0.5 px"), (0.02, "0.02 px")])
def test_a_label_over_the_border_by_rounding_costs_a_word(labels, over, told):
    """Such boxes are the commonest reason why training with Albumentations stops."""
    row = rows_of(labels, 4)[1]
    width = labels.size[4, 0]
    labels.objects.box[row] = [width - 20 + over, 10, 20, 20]
    run = run_pipeline(labels, pipeline(A.HorizontalFlip(p=1)), workers=1)
    assert run.status[4] == "failed"
    assert run.error[4].endswith(
        f", beyond the border by up to {told}: Albumentations rejects such boxes "
        "unless A.BboxParams has clip=True."
    )
    clipped = pipeline(A.HorizontalFlip(p=1), clip=True)
    assert run_pipeline(labels, clipped, workers=1).status[4] == "ok"


def test_a_label_inside_by_rounding_is_not_refused(labels):
    row = rows_of(labels, 4)[1]
    labels.objects.box[row] = [labels.size[4, 0] - 20 + 1e-4, 10, 20, 20]
    run = run_pipeline(labels, pipeline(A.HorizontalFlip(p=1)), workers=1)
    assert run.status[4] == "ok"


@pytest.mark.parametrize(
    ("result", "stage", "message"),
    [
        (lambda image, boxes, ids: None, "transform", "returned None"),
        (lambda image, boxes, ids: 5, "transform", "returned a number for a sample"),
        (
            lambda image, boxes, ids: ("no image", boxes, ids),
            "transform",
            "returned text for the image",
        ),
        (
            lambda image, boxes, ids: (image[:0], boxes, ids),
            "transform",
            "returned an image of 0 x",
        ),
        (
            lambda image, boxes, ids: (image * np.float32("nan"), boxes, ids),
            "transform",
            "pixels that are not finite",
        ),
        (
            lambda image, boxes, ids: (image, boxes * np.nan, ids),
            "labels",
            "boxes that are not finite",
        ),
        (
            lambda image, boxes, ids: (image, boxes[1:], ids),
            "labels",
            "boxes with",
        ),
        (
            lambda image, boxes, ids: (image, boxes[:, :3], ids),
            "labels",
            "boxes of shape",
        ),
        (
            lambda image, boxes, ids: (image, boxes, ids + 1000),
            "labels",
            "boxes with ids that were not given",
        ),
    ],
)
def test_nonsense_is_found(labels, result, stage, message):
    planted = Planted(result, rows_of(labels, 3))
    run = run_pipeline(labels, planted, workers=1)
    assert np.flatnonzero(run.status == "failed").tolist() == [3]
    assert run.stage[3] == stage
    assert run.exception[3] == "InvalidOutput"
    assert message in run.error[3]


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (
            lambda image, boxes, ids: (image, boxes + [500, 0, 0, 0], ids),
            "outside of the image after the pipeline.",
        ),
        (
            lambda image, boxes, ids: (image, boxes * [1, 1, 0, 1], ids),
            "without an area after the pipeline.",
        ),
    ],
)
def test_boxes_that_cannot_be_right_are_suspicious(labels, result, message):
    run = run_pipeline(labels, Planted(result, rows_of(labels, 3)), workers=1)
    assert np.flatnonzero(run.status == "suspicious").tolist() == [3]
    assert message in run.error[3]


def test_objects_that_are_lost_silently_are_counted_apart(labels):
    lost = [int(rows_of(labels, 2)[0]), int(rows_of(labels, 5)[1])]

    def drop(image, boxes, ids):
        keep = ~np.isin(ids, lost)
        return image, boxes[keep], ids[keep]

    run = run_pipeline(labels, drop, workers=1)
    assert run.lost.tolist() == lost
    assert run.counts()["ok"] == COUNT
    assert any(f"2 of {len(labels.objects)} objects" in s for s in run.sentences())


class Killer(Planted):
    def __call__(self, image, boxes, ids):
        if self.rows & set(ids.tolist()):
            os._exit(1)
        return image, boxes, ids


def test_a_sample_that_kills_its_process_is_found(labels):
    run = run_pipeline(labels, Killer(None, rows_of(labels, 6)), workers=2)
    assert np.flatnonzero(run.status == "failed").tolist() == [6]
    assert run.stage[6] == "worker"
    assert run.error[6].startswith("The process that had it died")
    assert run.counts()["ok"] == COUNT - 1


@pytest.mark.parametrize(
    ("workers", "decoder", "kind"),
    [
        (1, "opencv", "whole"),
        (1, "opencv", "broken"),
        (1, "pillow", "whole"),
        (1, "pillow", "broken"),
        (2, "opencv", "whole"),
        ("threads", "opencv", "whole"),
    ],
)
def test_a_file_that_crashes_the_decoder_is_found(labels, workers, decoder, kind):
    """As in training, where nothing but the loader says which file it was."""
    Path(labels.filepaths[3]).write_bytes(CRASHING[kind])
    options = {"workers": workers}
    if workers == "threads":
        options = {"executor": ThreadPoolExecutor(2)}
    decoding = Decoding(decoder=decoder)
    found = run_pipeline(labels, unchanged, decoding=decoding, **options)
    others = np.arange(len(labels)) != 3
    assert (found.status[others] == "ok").all()
    if decoder == "opencv":
        assert (found.status[3], found.stage[3]) == ("failed", "worker")
        assert "process that had it died" in found.error[3]
    elif kind == "broken":
        assert (found.status[3], found.stage[3]) == ("failed", "decode")
    else:
        # It is another image than the labels are for
        assert found.status[3] == "suspicious"
    assert not multiprocessing.active_children()


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
def test_an_interrupt_leaves_what_was_measured(labels):
    def progress(done, total):
        if done == 4:
            os.kill(os.getpid(), signal.SIGINT)

    run = run_pipeline(labels, unchanged, workers=1, progress=progress)
    assert not run.complete
    assert run.status.tolist() == ["ok"] * 4 + ["not run"] * (COUNT - 4)
    assert run.sentences()[0] == f"It was interrupted after 4 of {COUNT} samples."
    assert run.throughput.computing > 0
    json.dumps(run.to_dict(), allow_nan=False)


def test_any_executor_will_do(labels):
    with ThreadPoolExecutor(2) as executor:
        run = run_pipeline(labels, pipeline(A.HorizontalFlip(p=1)), executor=executor)
    assert run.counts()["ok"] == COUNT
    assert np.isfinite(run.transform_seconds).all()


def test_a_slow_transform_is_the_bottleneck(labels):
    made = pipeline(A.HorizontalFlip(p=1), Slow(), Slow())
    run = run_pipeline(labels, made, workers=1)
    assert run.transforms == ["HorizontalFlip", "Slow", "Slow (2)"]
    times = run.transform_times()
    assert (times.loc[["Slow", "Slow (2)"], "p50"] >= 10).all()
    assert (times["p50"] <= times["p95"]).all() and (times["p95"] <= times["max"]).all()
    assert run.bottleneck.kind == "transform"
    assert run.bottleneck.name.startswith("Slow")
    assert str(run.bottleneck).startswith(percent(run.bottleneck.share))
    assert run.stage_times()["share"].sum() == pytest.approx(1)
    # Of the parts of a sample nothing is missing and nothing counted twice
    inside = np.nansum(run.transform_seconds, axis=1)
    assert inside == pytest.approx(run.seconds[:, 2])
    assert run.slowest(3)["seconds"].is_monotonic_decreasing


def test_the_pipeline_of_the_user_stays_as_it_is(labels):
    made = pipeline(A.HorizontalFlip(p=1))
    before = list(made.compose.transforms)
    run_pipeline(labels, made, workers=1)
    assert list(made.compose.transforms) == before


def test_two_runs_draw_alike(labels):
    made = pipeline(A.RandomSizedBBoxSafeCrop(60, 60, p=0.5), A.RandomCrop(50, 50))
    first, second = (run_pipeline(labels, made, workers=n) for n in (1, 2))
    assert len(first.lost)
    assert first.lost.tolist() == second.lost.tolist()


def test_results_can_be_written_as_json(labels):
    Path(labels.filepaths[1]).unlink()
    run = run_pipeline(labels, pipeline(A.HorizontalFlip(p=1)), workers=1)
    stored = json.loads(json.dumps(run.to_dict(), allow_nan=False))
    assert stored["failed"] == 1
    assert stored["failures"][0]["stage"] == "read"
    assert set(stored["stages"]) == {"read", "decode", "transform", "labels"}


def test_no_samples(labels):
    empty = replace(
        labels,
        size=np.zeros((0, 2)),
        objects=labels.objects.rows(np.zeros(0, np.int64)),
        crowds=np.zeros(0, np.int64),
        filepaths=[],
        tags=[],
    )
    for workers in (1, 2):
        run = run_pipeline(empty, unchanged, workers=workers)
        assert len(run) == 0 and run.complete
        assert run.sentences() == []
        json.dumps(run.to_dict(), allow_nan=False)


def test_a_pipeline_that_cannot_be_sent_is_told(labels):
    held = Planted(threading.Lock(), [0])
    with pytest.raises(CocoAuditError, match="cannot be sent to other processes"):
        run_pipeline(labels, held, workers=2)


def test_a_pipeline_may_be_a_local_function(labels):
    run = run_pipeline(labels, lambda *sample: sample, workers=2)
    assert set(run.status) == {"ok"}
