"""Sizes and shapes of images, and what resizing does to them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.statistics import resizing
from fiftyone_coco_audit.statistics.batching import (
    BatchPadding,
    aspect_group,
    simulate_batch_padding,
)
from fiftyone_coco_audit.statistics.resizing import (
    ALIKE,
    SIZE_MULTIPLE,
    ResizePolicy,
    dominant_shape,
)
from fiftyone_coco_audit.wording import counted, percent

if TYPE_CHECKING:
    import pandas as pd

#: The pixels of a 4K (UHD) image
PIXELS_4K = 3840 * 2160
#: Between these aspect ratios images are close to square
MODERATE_RATIOS = (0.7, 1.5)


@dataclass(frozen=True)
class ImageKind:
    """Which kind of set the images make by their shapes.

    Args:
        name: one of the kinds of :func:`image_kind`
        reason: one sentence with the figures that say why
    """

    name: Literal["uniform", "bimodal", "extremes"]
    reason: str


def image_kind(aspect_ratio: NDArray[np.float64]) -> ImageKind:
    """Which of three kinds of set the images make by their shapes.

    The kinds are those of Cieslik's "How to Do Data Exploration for Image
    Segmentation and Object Detection", here with limits:

    -   ``uniform``: at least 95% of the aspect ratios are within 10% of the dominant
        one, whatever that is
    -   ``extremes``: more than 10% are far from square, and by a factor of more than
        1.5 from the dominant one too; see :func:`is_far`
    -   ``bimodal``: the rest, such as photographs of 4:3 and 3:4

    Args:
        aspect_ratio: ``(M,)`` width / height

    Returns:
        an :class:`ImageKind`; a set without images is uniform
    """
    if not len(aspect_ratio):
        return ImageKind("uniform", "There are no images.")
    dominant = dominant_aspect_ratio(aspect_ratio)
    alike = (_factor(aspect_ratio, dominant) <= ALIKE).mean()
    far = is_far(aspect_ratio).mean()
    span = f"from {aspect_ratio.min():.2f} to {aspect_ratio.max():.2f}"
    if alike >= 0.95:
        return ImageKind(
            "uniform",
            f"{percent(alike)} of the images have about the same aspect ratio "
            f"(width / height) of {dominant:.2f}.",
        )
    if far > 0.1:
        return ImageKind(
            "extremes",
            f"{percent(far)} of the images are far from square and from the most "
            f"common aspect ratio (width / height) of {dominant:.2f}; the set ranges "
            f"{span}.",
        )
    return ImageKind(
        "bimodal",
        f"{percent(1 - far)} of the images are close to square, or to the "
        f"most common aspect ratio (width / height) of {dominant:.2f}; "
        f"{percent((aspect_ratio > 1).mean())} are landscape and "
        f"{percent((aspect_ratio < 1).mean())} portrait.",
    )


def dominant_aspect_ratio(aspect_ratio: NDArray[np.float64]) -> float:
    """The median of the images of the dominant shape.

    Args:
        aspect_ratio: ``(M,)`` width / height, at least one
    """
    return float(np.median(aspect_ratio[dominant_shape(aspect_ratio)]))


def is_far(aspect_ratio: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which images are neither nearly square nor of about the dominant shape.

    Nearly square is .7-1.5, as in Cieslik's article, to 10%, so that photographs of
    2:3 and 3:2 are inside; about the dominant shape is within a factor of 1.5, so that
    4:3 among 16:9 is not extreme.

    Args:
        aspect_ratio: ``(M,)`` width / height

    Returns:
        ``(M,)``
    """
    if not len(aspect_ratio):
        return np.zeros(0, np.bool_)
    low, high = MODERATE_RATIOS
    square = (aspect_ratio >= low / ALIKE) & (aspect_ratio <= high * ALIKE)
    return ~square & (_factor(aspect_ratio, dominant_aspect_ratio(aspect_ratio)) > high)


def _factor(values: NDArray[np.float64], other: float) -> NDArray[np.float64]:
    return np.maximum(values / other, other / values)


@dataclass(frozen=True, repr=False)
class ImageStatistics(ShortRepr):
    """Sizes and shapes of images, and what resizing does to them.

    Args:
        size: ``(M, 2)`` width and height of each image in pixels
        resize: how images are resized for the network
    """

    size: NDArray[np.float64]
    resize: ResizePolicy

    def _about(self) -> str:
        return f"of {counted(len(self), 'image')} at {self.resize}"

    def __len__(self) -> int:
        return len(self.size)

    @cached_property
    def aspect_ratio(self) -> NDArray[np.float64]:
        """``(M,)`` width / height."""
        return self.size[:, 0] / self.size[:, 1]

    @cached_property
    def elongation(self) -> NDArray[np.float64]:
        """``(M,)`` longest / shortest side, at least 1."""
        return np.maximum(self.aspect_ratio, 1 / self.aspect_ratio)

    @cached_property
    def megapixels(self) -> NDArray[np.float64]:
        """``(M,)`` millions of pixels."""
        return self.size.prod(axis=1) / 1e6

    @cached_property
    def is_4k(self) -> NDArray[np.bool_]:
        """``(M,)`` whether an image has the pixels of 3840 x 2160 or more."""
        return self.size.prod(axis=1) >= PIXELS_4K

    @cached_property
    def kind(self) -> ImageKind:
        """Which kind of set the images make; see :func:`image_kind`."""
        return image_kind(self.aspect_ratio)

    @cached_property
    def padding(self) -> NDArray[np.float64]:
        """``(M,)`` see :func:`.resizing.padding`."""
        return resizing.padding(self.resize, self.size)

    @cached_property
    def distortion(self) -> NDArray[np.float64]:
        """``(M,)`` see :func:`.resizing.distortion`."""
        return resizing.distortion(self.resize, self.size)

    @cached_property
    def magnification(self) -> NDArray[np.float64]:
        """``(M,)`` see :func:`.resizing.magnification`."""
        return resizing.magnification(self.resize, self.size)

    @cached_property
    def is_shrunk(self) -> NDArray[np.bool_]:
        """``(M,)`` whether resizing makes an image smaller."""
        return self.magnification < 1

    @cached_property
    def is_enlarged(self) -> NDArray[np.bool_]:
        """``(M,)`` whether resizing makes an image larger."""
        return self.magnification > 1

    @cached_property
    def aspect_group(self) -> NDArray[np.int64]:
        """``(M,)`` positions in :data:`.batching.ASPECT_GROUPS`."""
        return aspect_group(self.aspect_ratio)

    @cached_property
    def batch_padding(self) -> BatchPadding:
        """Padding between the images of a batch, at random and by aspect group."""
        return simulate_batch_padding(self.resize.canvas(self.size), self.aspect_group)

    @cached_property
    def rectangular_padding(self) -> BatchPadding:
        """The same where a batch is padded only as far as its images need.

        As in detectron2, and as ultralytics' ``rect`` does in place of a letterbox:
        to multiples of 32.
        """
        return simulate_batch_padding(
            self.resize.resized(self.size), self.aspect_group, multiple=SIZE_MULTIPLE
        )

    @cached_property
    def proposals(self) -> pd.DataFrame:
        """See :func:`.resizing.propose_sizes`."""
        return resizing.propose_sizes(self.size)

    def common_sizes(self) -> pd.DataFrame:
        """The sizes that images have, the most common first, of these the largest.

        Returns:
            a frame with columns ``width``, ``height``, ``count`` and ``share``
        """
        import pandas as pd

        sizes, count = np.unique(self.size, axis=0, return_counts=True)
        order = np.lexsort((-sizes.prod(axis=1), -count))
        return pd.DataFrame(
            {
                "width": sizes[order, 0].astype(np.int64),
                "height": sizes[order, 1].astype(np.int64),
                "count": count[order],
                "share": count[order] / max(len(self), 1),
            }
        )

    def to_frame(self) -> pd.DataFrame:
        """All images, by position.

        Returns:
            a frame with a row for each image
        """
        import pandas as pd

        return pd.DataFrame(
            {
                "width": self.size[:, 0],
                "height": self.size[:, 1],
                "aspect_ratio": self.aspect_ratio,
                "megapixels": self.megapixels,
                "padding": self.padding,
                "distortion": self.distortion,
                "magnification": self.magnification,
            }
        ).rename_axis("image")

    def summary(self) -> pd.DataFrame:
        """Quantiles of the columns of :meth:`to_frame`.

        Returns:
            a frame with a row for each, and columns ``min``, ``5%``, ``median``,
            ``95%`` and ``max``; NaN without images
        """
        names = {0.0: "min", 0.05: "5%", 0.5: "median", 0.95: "95%", 1.0: "max"}
        quantiles = self.to_frame().quantile(list(names))
        return quantiles.rename(names).T
