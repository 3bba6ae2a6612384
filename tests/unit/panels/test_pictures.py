"""Pictures are the files, upright, and no larger than they are shown."""

import base64
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from fiftyone_coco_audit.panels.pictures import picture_of


def decoded(uri: str) -> np.ndarray:
    head, _, data = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    return cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), 1)[..., ::-1]


def two_halves(width: int, height: int) -> np.ndarray:
    """Red on the left, blue on the right."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2, 0] = 255
    pixels[:, width // 2 :, 2] = 255
    return pixels


@pytest.mark.parametrize("ending", ["jpg", "png"])
@pytest.mark.parametrize(
    ("size", "expected"), [((300, 200), (300, 200)), ((2400, 1600), (500, 333))]
)
def test_a_picture_is_the_file(tmp_path: Path, ending: str, size, expected):
    path = tmp_path / f"ein Bild é.{ending}"
    Image.fromarray(two_halves(*size)).save(path)
    shown = decoded(picture_of(str(path), max(size), most=500))
    assert shown.shape == (*expected[::-1], 3)
    reference = two_halves(*expected)
    inside = np.r_[5 : expected[0] // 2 - 5, expected[0] // 2 + 5 : expected[0] - 5]
    assert np.abs(shown[:, inside].astype(int) - reference[:, inside]).max() < 12


def test_a_picture_is_upright(tmp_path: Path):
    path = tmp_path / "rotated.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    Image.fromarray(two_halves(80, 40)).save(path, exif=exif)
    shown = decoded(picture_of(str(path), 80))
    assert shown.shape == (80, 40, 3)
    assert shown[10, 20, 0] > 200 and shown[70, 20, 2] > 200  # red above blue


@pytest.mark.parametrize("content", [None, b"", b"no image"])
def test_what_cannot_be_read_is_no_picture(tmp_path: Path, content: bytes | None):
    path = tmp_path / "file.jpg"
    if content is not None:
        path.write_bytes(content)
    assert picture_of(str(path), 100) is None
