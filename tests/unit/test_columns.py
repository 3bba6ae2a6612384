"""Boxes come back from relative coordinates as the file had them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiftyone_coco_audit.columns import pixel_boxes

sides = st.integers(1, 20_000)
decimals = st.integers(0, 2_000_000).map(lambda n: n / 100)
many_decimals = st.integers(0, 2 * 10**12).map(lambda n: n / 10**8)
single_precision = st.floats(0, 20_000, width=32).filter(lambda x: x == 0 or x > 1e-3)


@given(
    st.lists(
        st.tuples(
            st.tuples(*[st.one_of(decimals, many_decimals, single_precision)] * 4),
            st.tuples(sides, sides),
        ),
        min_size=1,
        max_size=50,
    )
)
def test_boxes_come_back_exactly(rows: list) -> None:
    box = np.array([row[0] for row in rows])
    size = np.array([row[1] for row in rows], dtype=float)
    relative = box / np.tile(size, 2)
    np.testing.assert_array_equal(pixel_boxes(relative, size), box)


@given(st.floats(0, 20_000), sides)
def test_any_number_comes_back_to_rounding_error(value: float, side: int) -> None:
    box = np.array([[value] * 4])
    size = np.array([[side, side]], dtype=float)
    assert pixel_boxes(box / side, size) == pytest.approx(box, rel=1e-15, abs=1e-10)


def test_plain_products_do_not_come_back() -> None:
    """The reason for the function: were it gone, overlaps would flip."""
    value = np.arange(1, 20_000) / 100
    assert (value / 427 * 427 != value).any()
