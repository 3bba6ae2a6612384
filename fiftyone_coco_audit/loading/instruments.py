"""The transforms of a pipeline, each timed and its output checked."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np

from fiftyone_coco_audit.names import kind_of
from fiftyone_coco_audit.wording import counted


class InvalidOutput(ValueError):
    """What a transform or a pipeline returned cannot be an image with labels."""


@dataclass
class Stopwatch:
    """Where the time of one call of a pipeline goes, and which transform raised.

    Attributes:
        seconds: time by name of transform, of those that were called
        culprit: the innermost transform that raised, or returned invalid output
    """

    seconds: dict[str, float] = field(default_factory=dict)
    culprit: str = ""

    def reset(self) -> None:
        """Resets it for the next call."""
        self.seconds = {}
        self.culprit = ""


class _Timed:
    """A transform that reports its time to a stopwatch; otherwise it is unchanged.

    It is not a subclass of the transform's class, since Albumentations keeps a registry
    of these, but it claims to be of that class, since compositions ask.
    """

    def __init__(self, transform: Any, name: str, watch: Stopwatch) -> None:
        self.__dict__.update(_transform=transform, _name=name, _watch=watch)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        watch = self._watch
        start = perf_counter()
        try:
            result = self._transform(*args, **kwargs)
            check_output(result)
        except Exception:
            watch.culprit = watch.culprit or self._name
            raise
        finally:
            passed = perf_counter() - start
            watch.seconds[self._name] = watch.seconds.get(self._name, 0.0) + passed
        return result

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return type(self._transform)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transform, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._transform, name, value)


def check_output(result: Any) -> None:
    """Ensures that what a transform returned can be used.

    Args:
        result: what it returned; if it is a dictionary with an image, as in
            Albumentations, the image is looked at

    Raises:
        InvalidOutput: if it is None, or its image is not an array of pixels
    """
    if result is None:
        raise InvalidOutput("returned None")
    if isinstance(result, dict) and "image" in result:
        ensure_image(result["image"])


def ensure_image(image: Any) -> None:
    """Ensures that something is an image with pixels.

    Args:
        image: an array, or a tensor

    Raises:
        InvalidOutput: if it is not
    """
    shape = getattr(image, "shape", None)
    if shape is None or not hasattr(image, "dtype"):
        raise InvalidOutput(f"returned {kind_of(image)} for the image")
    if len(shape) not in (2, 3) or 0 in shape:
        size = " x ".join(map(str, shape)) or "no size"
        raise InvalidOutput(f"returned an image of {size}")


def ensure_boxes(boxes: Any, ids: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Ensures that something is the boxes of a sample.

    Args:
        boxes: ``n`` boxes
        ids: what they belong to

    Returns:
        the boxes, ``(n, 4)``

    Raises:
        InvalidOutput: if it is not
    """
    try:
        found = np.asarray(boxes, np.float64)
    except (TypeError, ValueError):
        raise InvalidOutput(f"returned {kind_of(boxes)} for the boxes") from None
    if not found.size:
        found = found.reshape(0, 4)
    if found.ndim != 2 or found.shape[1] != 4:
        size = " x ".join(map(str, found.shape))
        raise InvalidOutput(f"returned boxes of shape {size}")
    if ids is None or len(ids) != len(found):
        count = "no" if ids is None else len(ids)
        raise InvalidOutput(f"returned {counted(len(found), 'box')} with {count} ids")
    if not np.isfinite(found).all():
        raise InvalidOutput("returned boxes that are not finite")
    return found


def timed(pipeline: Any) -> tuple[Callable[..., Any], Stopwatch, list[str]]:
    """A copy of a pipeline whose transforms report their times to a stopwatch.

    Found are the transforms of everything that keeps them in a list ``transforms``, as
    the compositions of Albumentations and torchvision do, and of pipelines that hold
    such a composition as an attribute.

    Args:
        pipeline: a pipeline, which stays as it is

    Returns:
        the copy, its stopwatch, and the names of its transforms in order: those that
        occur several times are numbered
    """
    watch = Stopwatch()
    made = copy.deepcopy(pipeline)
    names: list[str] = []
    for holder in _compositions(made):
        _instrument(holder, watch, names)
    return made, watch, names


def _compositions(pipeline: Any) -> Iterator[Any]:
    if _is_composition(pipeline):
        yield pipeline
    else:
        yield from filter(_is_composition, vars(_attributes(pipeline)).values())


def _attributes(pipeline: Any) -> Any:
    return pipeline if hasattr(pipeline, "__dict__") else object


def _is_composition(thing: Any) -> bool:
    found = getattr(thing, "transforms", None)
    return isinstance(found, (list, tuple)) and all(map(callable, found))


def _instrument(holder: Any, watch: Stopwatch, names: list[str]) -> None:
    made = []
    for transform in holder.transforms:
        if _is_composition(transform):
            _instrument(transform, watch, names)
            made.append(transform)
            continue
        name = getattr(transform, "__name__", None) or type(transform).__name__
        earlier = sum(other.split(" (")[0] == name for other in names)
        names.append(f"{name} ({earlier + 1})" if earlier else name)
        made.append(_Timed(transform, names[-1], watch))
    holder.transforms = type(holder.transforms)(made)
