"""How images are resized before a network sees them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.statistics.batching import simulate_batch_padding

if TYPE_CHECKING:
    import pandas as pd

ResizeMode = Literal["letterbox", "longest_side", "shortest_side", "stretch", "none"]

# No network takes more, and pixels of such images are still exact integers
_LARGEST = 100_000
_SIZE = r"([1-9]\d*)"
_TEXT = re.compile(
    rf"\s*([a-z_]+)(?:\s+{_SIZE}(?:\s*x\s*{_SIZE})?)?(?:\s+max\s+{_SIZE})?\s*"
)


@dataclass(frozen=True)
class ResizePolicy:
    """How images are resized before a network sees them.

    -   ``letterbox``: to fit into ``width`` x ``height``, the rest is padding; the
        way of YOLO, and of LongestMaxSize with PadIfNeeded
    -   ``longest_side``: so that the longest side has ``width`` pixels
    -   ``shortest_side``: so that the shortest side has ``width`` pixels, but the
        longest at most ``max_side``; the way of detectron2 and torchvision
    -   ``stretch``: to ``width`` x ``height``, whatever their shape; the way of SSD
    -   ``none``: not at all

    Args:
        mode: one of the above
        width: the width, or the side, in pixels
        height: the height in pixels, that of a square by default
        max_side: the limit of the longest side in pixels

    Raises:
        CocoAuditError: if a size is missing, or given where it has no meaning
    """

    mode: ResizeMode
    width: int = 0
    height: int = 0
    max_side: int | None = None

    def __post_init__(self) -> None:
        if self.mode not in get_args(ResizeMode):
            known = ", ".join(get_args(ResizeMode))
            raise CocoAuditError(
                f"Resize mode {self.mode!r} is unknown; the modes are {known}"
            )
        if (self.width > 0) == (self.mode == "none") or self.height < 0:
            needs = "has no size" if self.mode == "none" else "needs a size in pixels"
            example = self.mode if self.mode == "none" else f"{self.mode} 640"
            raise CocoAuditError(
                f"Resize mode {self.mode!r} {needs}: write {example!r}"
            )
        if max(self.width, self.height, self.max_side or 0) > _LARGEST:
            raise CocoAuditError(
                f"Resize {str(self)[:40]!r} is larger than {_LARGEST:,} pixels"
            )
        fills = self.mode in ("letterbox", "stretch")
        if self.height and not fills:
            raise CocoAuditError(
                f"Resize mode {self.mode!r} takes one size, not width x height: write "
                f"'{self.mode} {self.width}', or 'letterbox "
                f"{self.width}x{self.height}'"
            )
        if self.max_side is not None and self.mode != "shortest_side":
            raise CocoAuditError(
                f"Resize mode {self.mode!r} has no 'max': only 'shortest_side' has, as "
                "in 'shortest_side 800 max 1333'"
            )
        if self.max_side is not None and self.max_side < self.width:
            raise CocoAuditError(
                f"Resize 'shortest_side {self.width} max {self.max_side}' allows the "
                "longest side to be less than the shortest: give a max of at least "
                f"{self.width}"
            )
        if fills and not self.height:
            object.__setattr__(self, "height", self.width)

    @classmethod
    def parse(cls, text: str | ResizePolicy) -> ResizePolicy:
        """Reads a policy from text.

        Args:
            text: such as ``"letterbox 640"``, ``"stretch 300x200"``,
                ``"longest_side 1024"``, ``"shortest_side 800 max 1333"``, ``"none"``

        Returns:
            a :class:`ResizePolicy`

        Raises:
            CocoAuditError: if it is none
        """
        if isinstance(text, ResizePolicy):
            return text
        found = _TEXT.fullmatch(str(text))
        if found is None:
            raise CocoAuditError(
                f"resize is {text!r}: it must be like 'letterbox 640', 'stretch "
                "300x200', 'longest_side 1024' or 'shortest_side 800 max 1333'"
            )
        mode, width, height, max_side = found.groups()
        return cls(
            mode,  # type: ignore[arg-type]
            int(width or 0),
            int(height or 0),
            None if max_side is None else int(max_side),
        )

    def __str__(self) -> str:
        """The policy as :meth:`parse` reads it."""
        if self.mode == "none":
            return self.mode
        size = f"{self.width}"
        if self.height not in (0, self.width):
            size += f"x{self.height}"
        limit = "" if self.max_side is None else f" max {self.max_side}"
        return f"{self.mode} {size}{limit}"

    def scale(self, size: NDArray[np.float64]) -> NDArray[np.float64]:
        """The factors for width and height of each image.

        Args:
            size: ``(M, 2)`` widths and heights in pixels

        Returns:
            ``(M, 2)`` factors, before the result is rounded to whole pixels
        """
        if self.mode == "none":
            return np.ones_like(size)
        if self.mode == "stretch":
            return np.array([self.width, self.height]) / size
        if self.mode == "letterbox":
            factor = (np.array([self.width, self.height]) / size).min(axis=1)
        elif self.mode == "longest_side":
            factor = self.width / size.max(axis=1)
        else:
            factor = self.width / size.min(axis=1)
            if self.max_side is not None:
                factor = np.minimum(factor, self.max_side / size.max(axis=1))
        return np.repeat(factor[:, None], 2, axis=1)

    def resized(self, size: NDArray[np.float64]) -> NDArray[np.float64]:
        """Width and height of each image after resizing, in whole pixels.

        Rounded as the one of whom the mode is: detectron2's ``ResizeShortestEdge``
        rounds halves up, ultralytics' ``LetterBox`` and Albumentations'
        ``LongestMaxSize`` round them to even. torchvision's detectors cut fractions
        off, so that theirs may be a pixel less.

        Args:
            size: ``(M, 2)`` widths and heights in pixels

        Returns:
            ``(M, 2)`` widths and heights in pixels

        Examples::

            >>> policy = ResizePolicy.parse("shortest_side 800 max 1333")
            >>> policy.resized(np.array([[640, 480], [1920, 480]]))
            array([[1067.,  800.],
                   [1333.,  333.]])
        """
        exact = size * self.scale(size)
        whole = np.floor(exact + 0.5) if self.mode == "shortest_side" else exact.round()
        return np.maximum(whole, 1)

    def canvas(self, size: NDArray[np.float64]) -> NDArray[np.float64]:
        """Width and height of the network's input for each image, with padding.

        Padding that makes the images of a batch equal is not in it.

        Args:
            size: ``(M, 2)`` widths and heights in pixels

        Returns:
            ``(M, 2)`` widths and heights in pixels
        """
        if self.mode == "letterbox":
            return np.broadcast_to(
                np.array([self.width, self.height], np.float64), size.shape
            )
        return self.resized(size)


DEFAULT_RESIZE = ResizePolicy("letterbox", 640)

#: The strides of common detectors divide it, so sizes are usually its multiples
SIZE_MULTIPLE = 32
#: The longest side that is proposed by default: detectron2's 1333, as a multiple
LONGEST_PROPOSED = 1344
#: Aspect ratios that differ by less than this factor are alike
ALIKE = 1.1


def padding(resize: ResizePolicy, size: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of each image's canvas that is padding.

    Padding that makes the images of a batch equal is not in it; see
    :func:`.batching.simulate_batch_padding`.

    Args:
        resize: how images are resized
        size: ``(M, 2)`` widths and heights in pixels

    Returns:
        ``(M,)`` in [0, 1)

    Examples::

        >>> padding(ResizePolicy("letterbox", 640), np.array([[1280, 960], [99, 99]]))
        array([0.25, 0.  ])
    """
    return 1 - resize.resized(size).prod(axis=1) / resize.canvas(size).prod(axis=1)


def distortion(resize: ResizePolicy, size: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many times more one side of each image is scaled than the other.

    Args:
        resize: how images are resized
        size: ``(M, 2)`` widths and heights in pixels

    Returns:
        ``(M,)`` at least 1; exactly 1 where the shape is kept
    """
    scale = resize.scale(size)
    return scale.max(axis=1) / scale.min(axis=1)


def magnification(
    resize: ResizePolicy, size: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How many times longer things become, as the geometric mean of both directions.

    Args:
        resize: how images are resized
        size: ``(M, 2)`` widths and heights in pixels

    Returns:
        ``(M,)`` under 1 where an image is shrunk, above where it is enlarged
    """
    return np.sqrt(resize.scale(size).prod(axis=1))


def dominant_shape(aspect_ratio: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The largest group of images of one shape.

    Unlike about the mean or the median, there are images about its middle even where
    a set mixes portrait and landscape.

    Args:
        aspect_ratio: ``(M,)`` width / height

    Returns:
        ``(M,)`` whether an image is of it: the most images whose aspect ratios differ
        by at most a factor of :data:`ALIKE`; the narrowest images of several such
    """
    if not len(aspect_ratio):
        return np.zeros(0, np.bool_)
    start = np.sort(aspect_ratio)
    end = np.searchsorted(start, start * ALIKE, side="right")
    first = (end - np.arange(len(start))).argmax()
    low, high = start[first], start[end[first] - 1]
    return (aspect_ratio >= low) & (aspect_ratio <= high)


def propose_sizes(
    size: NDArray[np.float64], longest: int | None = None
) -> pd.DataFrame:
    """Proposes how to resize a set of images, by its dominant shape and common size.

    Proposed are a square letterbox; a letterbox, and a stretch, to the shape that
    most images have; and the shortest side, with a limit that some 95% of the images
    keep by themselves. All sides are multiples of 32, the largest common stride.

    Args:
        size: ``(M, 2)`` widths and heights in pixels
        longest: the longest side in pixels; by default the median of the images of
            the dominant shape, but at most 1344, which is about what detectors are
            trained with

    Returns:
        a frame of :func:`compare_policies`
    """
    return compare_policies(size, _proposed(size, longest) if len(size) else ())


def _proposed(size: NDArray[np.float64], longest: int | None) -> list[ResizePolicy]:
    ratios = size[:, 0] / size[:, 1]
    common = size[dominant_shape(ratios)]
    ratio = float(np.median(common[:, 0] / common[:, 1]))
    if longest is None:
        longest = min(int(np.median(common.max(axis=1))), LONGEST_PROPOSED)
    side = _to_multiple(longest)
    width = side if ratio >= 1 else _to_multiple(longest * ratio)
    height = side if ratio <= 1 else _to_multiple(longest / ratio)
    shortest = min(width, height)
    elongation = float(np.quantile(np.maximum(ratios, 1 / ratios), 0.95))
    return [
        ResizePolicy("letterbox", side),
        ResizePolicy("letterbox", width, height),
        ResizePolicy("stretch", width, height),
        ResizePolicy(
            "shortest_side", shortest, max_side=_to_multiple(shortest * elongation)
        ),
    ]


def _to_multiple(pixels: float) -> int:
    return SIZE_MULTIPLE * max(round(pixels / SIZE_MULTIPLE), 1)


def compare_policies(
    size: NDArray[np.float64], policies: Iterable[ResizePolicy]
) -> pd.DataFrame:
    """What policies do to a set of images, side by side.

    Args:
        size: ``(M, 2)`` widths and heights in pixels
        policies: the policies; one that is given twice is shown once

    Returns:
        a frame whose index is the policy as :meth:`ResizePolicy.parse` reads it, with
        the mean share of ``padding``, the share of ``batch_padding`` in random batches
        of 8, the median ``distortion`` and ``magnification``, and the shares of images
        ``shrunk`` and ``enlarged``; without images it has no rows
    """
    import pandas as pd

    rows = {}
    for policy in policies if len(size) else ():
        factor = magnification(policy, size)
        rows[str(policy)] = (
            padding(policy, size).mean(),
            simulate_batch_padding(policy.canvas(size)).random,
            np.median(distortion(policy, size)),
            np.median(factor),
            (factor < 1).mean(),
            (factor > 1).mean(),
        )
    columns = ["padding", "batch_padding", "distortion", "magnification"]
    frame = pd.DataFrame.from_dict(
        rows, orient="index", columns=[*columns, "shrunk", "enlarged"], dtype=float
    )
    return frame.rename_axis("resize")
