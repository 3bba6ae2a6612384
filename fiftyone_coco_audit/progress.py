"""Progress bars that say what is being done, one drawn at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fiftyone.core.utils import ProgressBar

#: Whether to show progress, or what is called with each bar, as everywhere in FiftyOne
Progress = bool | None | Callable[[Any], None]

# A bar replaces sys.stdout while it is drawn: two threads would restore each other's
_drawing = threading.RLock()


def staged(progress: Progress, stage: str) -> Progress:
    """Names what progress is about.

    A function that is called with progress bars finds the name as their ``stage``. If
    a caller has named the stage already, that name stays.

    Args:
        progress: whether to show progress bars, or a function
        stage: what is being done, such as ``"Reading labels"``
    """
    if not callable(progress):
        return progress

    def report(bar: Any) -> None:
        bar.stage = stage
        progress(bar)

    return report


@contextmanager
def drawn_alone(progress: Progress) -> Iterator[Progress]:
    """Gives the progress to show: none while another thread draws its bar.

    A bar that is not drawn anyway hides no other.

    Args:
        progress: whether to show progress bars, or a function
    """
    import fiftyone as fo

    shows = fo.config.show_progress_bars
    is_drawn = progress if isinstance(progress, bool) else bool(shows)
    alone = is_drawn and _drawing.acquire(blocking=False)
    try:
        yield progress if alone or not is_drawn else False
    finally:
        if alone:
            _drawing.release()


@contextmanager
def progress_bar(
    progress: Progress, *, total: int | None = None, stage: str | None = None
) -> Iterator[ProgressBar]:
    """Shows FiftyOne's progress bar during the block.

    While another thread draws its bar, this one is not drawn. A function is called
    all the same.

    Args:
        progress: whether to show a progress bar, as everywhere in FiftyOne
        total: the number of steps, if it is known
        stage: what is being done, for functions that are called with the bar
    """
    import fiftyone.core.utils as fou

    class Undrawn(fou.ProgressBar):
        """Calls the function, and draws nothing."""

        def __init__(self) -> None:
            super().__init__(total=total, progress=False)

        def set_iteration(self, *args: Any, **kwargs: Any) -> None:
            super().set_iteration(*args, **kwargs)
            if callable(progress):
                progress(self)

    if stage is not None:
        progress = staged(progress, stage)
    with drawn_alone(progress) as shown:
        drawn = shown is progress
        bar = fou.ProgressBar(total=total, progress=shown) if drawn else Undrawn()
        with bar:
            yield bar
