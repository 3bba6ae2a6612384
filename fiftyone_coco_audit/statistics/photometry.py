"""How bright and how sharp images are, measured on their pixels."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.decoding import decode, read_file
from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.parallel import WorkerDied, map_items
from fiftyone_coco_audit.progress import Progress, progress_bar
from fiftyone_coco_audit.wording import counted

#: The longest side in pixels that images are resized to, as sharpness depends on size
LONGEST_SIDE = 512


@dataclass(frozen=True, repr=False)
class Photometry(ShortRepr):
    """Brightness and sharpness of ``M`` images.

    Attributes:
        brightness: ``(M,)`` mean gray level in ``[0, 1]``
        sharpness: ``(M,)`` variance of the Laplacian, low if blurred. Both are NaN for
            images that cannot be decoded
        failures: why images cannot be decoded, by position
    """

    brightness: NDArray[np.float64]
    sharpness: NDArray[np.float64]
    failures: dict[int, str]

    def __len__(self) -> int:
        return len(self.brightness)

    def _about(self) -> str:
        return f"of {counted(len(self), 'image')}"


def brightness(gray: NDArray[np.uint8]) -> float:
    """The mean gray level, from 0 for black to 1 for white.

    Args:
        gray: ``(H, W)`` gray levels
    """
    return float(gray.mean() / 255)


def sharpness(gray: NDArray[np.uint8]) -> float:
    """The variance of the Laplacian, in squared gray levels of 0 to 255.

    Pech-Pacheco et al., "Diatom Autofocusing in Brightfield Microscopy", ICPR 2000. It
    also is low where there is little to see, such as a clear sky.

    Args:
        gray: ``(H, W)`` gray levels
    """
    import cv2

    return float(cv2.Laplacian(gray, cv2.CV_64F).var())


def to_gray(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image in gray, resized to :data:`LONGEST_SIDE`.

    Args:
        image: ``(H, W, 3)`` RGB

    Returns:
        ``(h, w)``, the longer of which is :data:`LONGEST_SIDE`
    """
    import cv2

    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    scale = LONGEST_SIDE / max(gray.shape)
    height, width = (max(round(side * scale), 1) for side in gray.shape)
    # Shrinking by averages keeps noise and aliasing from being taken for detail
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    resized = cv2.resize(gray, (width, height), interpolation=method)
    return np.asarray(resized, np.uint8)


def measure_file(path: str) -> tuple[float, float] | str:
    """The brightness and sharpness of an image file, or why it cannot be decoded."""
    try:
        gray = to_gray(decode(read_file(path)))
    except Exception as error:
        return getattr(error, "strerror", None) or str(error) or type(error).__name__
    return brightness(gray), sharpness(gray)


def measure_files(
    paths: Sequence[str],
    *,
    executor: Executor | None = None,
    workers: int | None = None,
    progress: Progress = None,
) -> Photometry:
    """Decodes image files in parallel, and measures their brightness and sharpness.

    Args:
        paths: ``M`` paths of image files
        executor: as for :func:`.parallel.map_items`
        workers: as for :func:`.parallel.map_items`
        progress: whether to show a progress bar, as everywhere in FiftyOne

    Returns:
        a :class:`Photometry`
    """
    values = np.full((len(paths), 2), np.nan)
    failures = {}
    results = map_items(measure_file, paths, executor=executor, workers=workers)
    with (
        closing(results),
        progress_bar(progress, total=len(paths), stage="Measuring images") as bar,
    ):
        for position, found in results:
            if isinstance(found, WorkerDied):
                found = f"the process died: {found.message}"
            if isinstance(found, str):
                failures[position] = found
            else:
                values[position] = found
            bar.update()
    return Photometry(values[:, 0], values[:, 1], dict(sorted(failures.items())))
