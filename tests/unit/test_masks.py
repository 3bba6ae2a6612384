"""Masks and boxes laid into their images."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as mask_utils

from fiftyone_coco_audit.masks import _encode

SIZE = [12, 20]  # height and width


def laid(mask: np.ndarray | None, box: list[float]) -> np.ndarray:
    return mask_utils.decode(_encode(mask, np.array(box, np.float64), SIZE))


@given(
    left=st.integers(-30, 30),
    top=st.integers(-30, 30),
    width=st.integers(1, 50),
    height=st.integers(1, 50),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    seed=st.integers(0, 99),
)
def test_a_mask_is_stretched_over_its_box_as_opencv_does(
    left: int, top: int, width: int, height: int, shape: tuple[int, int], seed: int
) -> None:
    mask = np.random.default_rng(seed).random(shape) > 0.5
    stretched = cv2.resize(
        mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST
    )
    # A canvas with a border wide enough for every box
    canvas = np.zeros((SIZE[0] + 150, SIZE[1] + 150), np.uint8)
    canvas[top + 60 : top + 60 + height, left + 60 : left + 60 + width] = stretched

    expected = canvas[60 : 60 + SIZE[0], 60 : 60 + SIZE[1]]
    np.testing.assert_array_equal(laid(mask, [left, top, width, height]), expected)


@pytest.mark.parametrize(
    ("box", "pixels"),
    [
        ([2, 3, 4, 5], 20),
        ([-2, -3, 4, 5], 4),
        ([-9, 3, 4, 5], 0),
        ([2, -9, 4, 5], 0),
        ([25, 3, 4, 5], 0),
        ([0, 0, 0.2, 0.2], 1),
        ([-1e9, 0, 2e9, 5], 100),
        ([0, 0, 1e200, 1e100], 240),
        ([1e200, 0, 5, 5], 0),
    ],
)
def test_a_box_in_place_of_a_mask(box: list[float], pixels: int) -> None:
    assert laid(None, box).sum() == pixels
    assert laid(np.ones((3, 3), bool), box).sum() == pixels
