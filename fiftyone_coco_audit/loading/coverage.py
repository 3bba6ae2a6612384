"""Whether a loader returns all images, once each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.loading import rules
from fiftyone_coco_audit.loading.mistakes import Mistake
from fiftyone_coco_audit.wording import counted, out_of, plural


def find_coverage(
    times: NDArray[np.int64], labels: NDArray[np.int64], excused: int | None
) -> tuple[list[Mistake], list[str]]:
    """Names images that are loaded more than once, or never.

    Args:
        times: ``(M,)`` how often each image came
        labels: ``(M,)`` how many labels each has
        excused: how many may be missing, because they failed or were in a dropped last
            batch; None if the loader was not read to its end

    Returns:
        the mistakes, and sentences on what may be meant so
    """
    found: list[Mistake] = []
    again = np.flatnonzero(times > 1)
    if len(again):
        number = int((times[again] - 1).sum())
        found.append(
            Mistake(
                f"{out_of(again, times, 'image')} {plural(again, 'is', 'are')} loaded "
                f"more than once in an epoch: {counted(number, 'sample')} too many.",
                again,
                figures={"images": len(again), "samples": number},
                rule=rules.REPEATED_SAMPLES,
                share=len(again) / len(times),
            )
        )
    missing = np.flatnonzero((times == 0) & (labels > 0))
    empty = int(((times == 0) & (labels == 0)).sum())
    if excused is None:
        return found, []
    if len(missing) > excused:
        found.append(
            Mistake(
                f"{out_of(missing, times, 'image')} {plural(missing, 'is', 'are')} "
                f"never loaded, with {counted(int(labels[missing].sum()), 'label')}.",
                missing,
                figures={"images": len(missing), "labels": int(labels[missing].sum())},
                rule=rules.MISSING_SAMPLES,
                share=len(missing) / len(times),
            )
        )
    if empty and len(missing) + empty > excused:
        return found, [f"Never loaded: {counted(empty, 'image')} without labels."]
    return found, []
