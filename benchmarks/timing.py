"""How the steps of a task are timed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

Seconds = dict[str, float]


@contextlib.contextmanager
def timed(seconds: Seconds, step: str) -> Iterator[None]:
    """Adds the time of a block to a step."""
    start = time.perf_counter()
    yield
    seconds[step] = seconds.get(step, 0) + time.perf_counter() - start
