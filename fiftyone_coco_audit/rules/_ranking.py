"""Which classes a finding names first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def highest(values: NDArray, of: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The positions of some values, the highest first, equal ones in order.

    Args:
        values: ``(K,)`` numbers; NaN only where they are not taken
        of: ``(K,)`` whether to take the value
    """
    rows = np.flatnonzero(of)
    return rows[np.argsort(-values[rows], kind="stable")]
