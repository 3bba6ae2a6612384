"""Brightness and sharpness against SciPy, and files that cannot be decoded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter
from scipy.ndimage import laplace

from fiftyone_coco_audit.statistics.photometry import (
    LONGEST_SIDE,
    brightness,
    measure_files,
    sharpness,
    to_gray,
)


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, size=(300, 400, 3), dtype=np.uint8)


def test_sharpness_is_the_variance_of_the_laplacian(noise: np.ndarray) -> None:
    gray = noise[..., 0]
    expected = laplace(gray.astype(float), mode="mirror").var()
    assert sharpness(gray) == pytest.approx(expected, rel=1e-12)
    assert sharpness(np.full((20, 30), 7, np.uint8)) == 0


@pytest.mark.parametrize(("level", "expected"), [(0, 0.0), (51, 0.2), (255, 1.0)])
def test_brightness(level: int, expected: float) -> None:
    assert brightness(np.full((20, 30), level, np.uint8)) == pytest.approx(expected)


def test_images_are_measured_at_one_size(noise: np.ndarray) -> None:
    assert to_gray(noise).shape == (384, LONGEST_SIDE)
    assert to_gray(noise[:1]).shape == (1, LONGEST_SIDE)
    assert to_gray(noise[:, :9]).shape == (LONGEST_SIDE, 15)


def test_files_are_measured_in_their_order(noise: np.ndarray, tmp_path: Path) -> None:
    image = Image.fromarray(noise)
    paths = [tmp_path / name for name in ("sharp.png", "blurred.png", "dark.jpg")]
    image.save(paths[0])
    image.filter(ImageFilter.GaussianBlur(3)).save(paths[1])
    image.point(lambda level: level // 4).save(paths[2])
    broken = tmp_path / "broken.png"
    broken.write_bytes(paths[0].read_bytes()[:60])
    every = [*map(str, paths), str(broken), str(tmp_path / "none.jpg")]
    found = measure_files(every, workers=1, progress=False)
    assert found.sharpness[0] > 10 * found.sharpness[1] > 0
    assert found.brightness[0] > 3 * found.brightness[2] > 0
    assert found.brightness[0] == pytest.approx(0.5, abs=0.01)
    assert np.isnan(found.brightness[3:]).all() and np.isnan(found.sharpness[3:]).all()
    assert list(found.failures) == [3, 4]
    assert found.failures[4] == "No such file or directory"
    assert len(measure_files([], progress=False)) == 0
