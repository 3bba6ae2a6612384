"""Image files as pixels: as OpenCV decodes them, and never with a crash."""

import os
from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image

from fiftyone_coco_audit.augmentation.reading import read_image
from fiftyone_coco_audit.decoding import decode, is_safe_for_opencv, read_file
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.loading.pictures import read_reference
from fiftyone_coco_audit.loading.runner import run_pipeline
from fiftyone_coco_audit.loading.stages import Decoding
from fiftyone_coco_audit.panels.pictures import picture_of
from fiftyone_coco_audit.parallel import Elsewhere, WorkerDied
from tests.hostile import CRASHING, opencv_dies_of
from tests.labeled import labeled


@pytest.fixture(params=CRASHING)
def crashing(request, tmp_path):
    """A PNG that OpenCV crashes on, though Pillow may decode it."""
    path = tmp_path / f"{request.param}.png"
    path.write_bytes(CRASHING[request.param])
    return path


def pixels(seed=0):
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return cv2.resize(small, (80, 60), interpolation=cv2.INTER_CUBIC)


def written(mode, **options):
    file = BytesIO()
    Image.fromarray(pixels()).convert(mode).save(file, **options)
    return file.getvalue()


def of_sixteen_bits(suffix):
    return cv2.imencode(suffix, pixels()[..., 0].astype(np.uint16) * 257)[1].tobytes()


def test_the_files_of_these_tests_crash_opencv(crashing):
    assert opencv_dies_of(crashing)


def test_what_crashes_opencv_is_decoded_or_refused(crashing):
    if crashing.stem == "whole":
        assert decode(crashing.read_bytes()).shape == (12, 14, 3)
        assert read_image(str(crashing), (14, 12)).shape == (12, 14, 3)
        assert picture_of(str(crashing), 14).startswith("data:image/jpeg")
    else:
        with pytest.raises(OSError, match="truncated"):
            decode(crashing.read_bytes())
        with pytest.raises(CocoAuditError, match="cannot be read: .* truncated"):
            read_image(str(crashing), (14, 12))
        assert picture_of(str(crashing), 14) is None


@pytest.mark.parametrize(
    "data",
    [
        written("RGB", format="JPEG"),
        written("L", format="JPEG"),
        written("RGB", format="PNG"),
        written("RGBA", format="PNG"),
        written("P", format="PNG"),
        written("1", format="PNG"),
        written("RGB", format="BMP"),
        written("RGB", format="TIFF"),
        written("L", format="TIFF", compression="tiff_lzw"),
        written("RGB", format="WEBP", lossless=True),
        written("P", format="GIF"),
        written("RGB", format="PPM"),
        of_sixteen_bits(".png"),
        of_sixteen_bits(".tif"),
        of_sixteen_bits(".pgm"),
    ],
)
def test_pixels_are_those_of_opencv(data):
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(decode(data), cv2.cvtColor(expected, cv2.COLOR_BGR2RGB))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_images_are_turned_as_their_exif_data_say(kind, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    data = written("RGB", format=kind, exif=exif)
    turned = (80, 60, 3) if orientation == 6 else (60, 80, 3)
    assert decode(data).shape == turned
    assert decode(data, exif=False).shape == (60, 80, 3)


def test_only_the_first_picture_of_an_animation_is_decoded():
    first, second = (Image.fromarray(pixels(seed)) for seed in (0, 1))
    file = BytesIO()
    first.save(file, "PNG", save_all=True, append_images=[second])
    assert not is_safe_for_opencv(file.getvalue())
    assert np.array_equal(decode(file.getvalue()), np.asarray(first))


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", b"GIF89a", b"<html>"])
def test_what_is_no_image_raises(data):
    with pytest.raises(Exception, match="empty|cannot"):
        decode(data)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are POSIX's")
def test_only_regular_files_are_opened(tmp_path):
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    loop = tmp_path / "loop.jpg"
    loop.symlink_to(loop)
    for path in map(str, (pipe, loop)):
        with pytest.raises(OSError):
            read_file(path)
        with pytest.raises(CocoAuditError, match="named pipe|leads back to itself"):
            read_image(path, (8, 6))
        assert picture_of(path, 8) is None
        assert read_reference(path, (8, 6)) is None
    labels = labeled([(8, 6)] * 2, filepaths=[str(pipe), str(loop)])
    found = run_pipeline(labels, lambda *sample: sample, workers=1)
    assert found.stage.tolist() == ["read", "read"]
    assert "named pipe" in found.error[0] and "leads back to itself" in found.error[1]


@pytest.mark.skipif(
    not os.access("/proc/kmsg", os.R_OK), reason="this stream is Linux's, and root's"
)
def test_streams_that_look_like_files_are_not_waited_for(tmp_path):
    """Reading the first one waits for the next message of the kernel."""
    for stream in ("/proc/kmsg", "/proc/self/mem"):
        link = tmp_path / f"{stream.replace('/', '_')}.jpg"
        link.symlink_to(stream)
        assert read_file(link) == b""
        with pytest.raises(CocoAuditError, match="the file is empty"):
            read_image(str(link), (8, 6))


def test_a_process_of_its_own_survives_what_it_runs(crashing):
    elsewhere = Elsewhere(Decoding())
    good = written("RGB", format="PNG")
    try:
        for _ in range(2):
            assert np.array_equal(elsewhere(good), decode(good))
            assert isinstance(elsewhere(crashing.read_bytes()), WorkerDied)
        with pytest.raises(ValueError, match="the file is empty"):
            elsewhere(b"")
    finally:
        elsewhere.close()
    elsewhere.close()
