"""Progress that says what is being done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fiftyone_coco_audit.columns import Progress


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
