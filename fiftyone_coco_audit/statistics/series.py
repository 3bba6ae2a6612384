"""Images of one series: named alike, in one folder, and of one size."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.objects import LabeledImages

# Names of copies that Roboflow makes of an image differ only by this
_ROBOFLOW = re.compile(r"\.rf\.[0-9A-Za-z]+(?=\.|$)")
_HEXADECIMAL = re.compile(
    r"(?<![0-9A-Za-z])(?=[0-9a-f-]*\d)[0-9a-f-]{8,}", re.IGNORECASE
)
_NUMBER = re.compile(r"\d+")
# Names of folders and files of images that are meant to show nothing
_NEGATIVE = re.compile(
    r"(?<![a-z])(neg|negatives?|background|backgrounds|bg|empty|nothing|no_?objects?)"
    r"(?![a-z])",
    re.IGNORECASE,
)


def series_of(filepaths: Sequence[str], size: NDArray[np.float64]) -> NDArray[np.int64]:
    """The series of each image, with the same size and name, except for numbers.

    Args:
        filepaths: ``M`` paths
        size: ``(M, 2)`` width and height

    Returns:
        ``(M,)`` numbers of series

    Examples::

        >>> paths = ["a/img_01.jpg", "a/img_02.jpg", "a/other.jpg"]
        >>> series_of(paths, np.full((3, 2), 100.0)).tolist()
        [0, 0, 1]
    """
    known: dict[tuple[str, str, float, float], int] = {}
    keys = []
    for path, (width, height) in zip(filepaths, size.tolist(), strict=True):
        folder, name = os.path.split(path)
        name = _HEXADECIMAL.sub("#", _ROBOFLOW.sub("", name))
        # Portrait and landscape photographs are from one camera
        key = folder, _NUMBER.sub("#", name), *sorted((width, height))
        keys.append(known.setdefault(key, len(known)))
    return np.array(keys, np.int64)


@dataclass(frozen=True)
class Unlabeled:
    """Images without any label, and signs that they were not annotated.

    Attributes:
        images: ``(U,)`` positions of the images
        alike: ``(U,)`` whether images with labels are named alike, in the same folder
            and of the same size
        negative: ``(U,)`` whether folder or name say that nothing is to be seen
        longest_run: how many of them follow one another, at most, in the order of the
            images
        copies: how many have a copy, by Roboflow, that has labels
    """

    images: NDArray[np.int64]
    alike: NDArray[np.bool_]
    negative: NDArray[np.bool_]
    longest_run: int
    copies: int

    @classmethod
    def of(cls, labeled: LabeledImages) -> Unlabeled:
        """Finds the images of a set that have neither objects nor crowd regions."""
        objects = np.bincount(labeled.objects.image, minlength=len(labeled))
        empty = (objects == 0) & (labeled.crowds == 0)
        series = series_of(labeled.filepaths, labeled.size)
        found = np.flatnonzero(empty)
        filled = np.bincount(series[~empty], minlength=series.max(initial=-1) + 1)
        paths = [labeled.filepaths[image] for image in found.tolist()]
        negative = [
            any(map(_NEGATIVE.search, path.replace("\\", "/").split("/")[-2:]))
            for path in paths
        ]
        return cls(
            images=found,
            alike=filled[series[found]] > 0,
            negative=np.array(negative, bool),
            longest_run=_longest_run(empty),
            copies=_copies(labeled.filepaths, empty),
        )


def _longest_run(of: NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(np.r_[False, of, False].astype(int)))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def _copies(filepaths: Sequence[str], empty: NDArray[np.bool_]) -> int:
    """The number of images without labels that have a copy with labels."""
    sources = [
        _ROBOFLOW.sub("", path) if _ROBOFLOW.search(path) else None
        for path in filepaths
    ]
    flags = empty.tolist()
    labeled = {s for s, e in zip(sources, flags, strict=True) if s and not e}
    return sum(e and s in labeled for s, e in zip(sources, flags, strict=True))
