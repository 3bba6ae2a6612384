"""How large objects are at the network's input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.objects import LabeledImages
from fiftyone_coco_audit.statistics.resizing import SIZE_MULTIPLE, ResizePolicy
from fiftyone_coco_audit.statistics.shapes import quantiles_per_class

if TYPE_CHECKING:
    import pandas as pd

#: Sizes in pixels that matter; the smallest strides of detectors are 4 and 8, and
#: COCO calls less than 32 small
SIZES = (4, 8, 16, 32)

#: The largest side that rules and panels propose. EfficientDet-D7 has it, and the
#: largest models of YOLO 1,280. Cost grows with its square; beyond it tiles are cheaper
LARGEST_INPUT = 1536


def up_to_multiple(
    pixels: NDArray[np.float64] | float, multiple: int = SIZE_MULTIPLE
) -> NDArray[np.float64]:
    """The smallest multiple of at least this many pixels, but at least one.

    Args:
        pixels: sizes; NaN stays NaN
        multiple: by default the largest common stride
    """
    # An excess by floating-point error is not rounded up
    number = np.ceil(np.asarray(pixels) / multiple - 1e-9)
    return multiple * np.maximum(number, 1)


def with_side(resize: ResizePolicy, side: int) -> ResizePolicy:
    """A policy of the same kind for another size.

    All else is scaled along: the height of a letterbox, in multiples of 32, and the
    limit of the longest side.

    Args:
        resize: any policy but "none"
        side: the new ``width`` in pixels

    Returns:
        a policy that scales each image by at least ``side / resize.width`` times as
        much, and by exactly that if neither height nor limit had to be rounded up

    Examples::

        >>> print(with_side(ResizePolicy("shortest_side", 800, max_side=1333), 400))
        shortest_side 400 max 667
    """
    factor = side / resize.width
    if resize.mode in ("letterbox", "stretch"):
        square = resize.height == resize.width
        height = side if square else int(up_to_multiple(resize.height * factor))
        return ResizePolicy(resize.mode, side, height)
    limit = resize.max_side
    return ResizePolicy(
        resize.mode,
        side,
        max_side=None if limit is None else int(np.ceil(limit * factor - 1e-9)),
    )


@dataclass(frozen=True, repr=False)
class InputStatistics(ShortRepr):
    """How large objects are at the network's input.

    Args:
        labeled: the images and their objects
        resize: how images are resized for the network
    """

    labeled: LabeledImages
    resize: ResizePolicy

    def _about(self) -> str:
        return self.labeled._about()

    def __len__(self) -> int:
        return len(self.labeled.objects)

    @cached_property
    def _sides(self) -> NDArray[np.float64]:
        scale = self.resize.scale(self.labeled.size)
        sides = np.maximum(self.labeled.objects.box[:, 2:], 0)
        return sides * scale[self.labeled.objects.image]

    @property
    def input_width(self) -> NDArray[np.float64]:
        """``(N,)`` widths of the boxes in pixels of the network's input."""
        return self._sides[:, 0]

    @property
    def input_height(self) -> NDArray[np.float64]:
        """``(N,)`` heights of the boxes in pixels of the network's input."""
        return self._sides[:, 1]

    @cached_property
    def input_size(self) -> NDArray[np.float64]:
        """``(N,)`` square roots of the boxes' areas in pixels of the network's input.

        Of boxes, not of masks: it is by its box that a detector assigns an object to
        a level, an anchor or a cell, and so sets with and without masks compare.
        """
        return np.sqrt(self._sides.prod(axis=1))

    def share_below(self, thresholds: Sequence[float] = SIZES) -> pd.DataFrame:
        """How many of all objects are smaller than some sizes.

        Args:
            thresholds: sizes in pixels of the network's input

        Returns:
            a frame with the index ``below`` and columns ``objects``, a number, and
            ``share`` of all; 0 without objects
        """
        import pandas as pd

        counts = np.searchsorted(np.sort(self.input_size), thresholds)
        return pd.DataFrame(
            {"objects": counts, "share": counts / max(len(self), 1)},
            index=pd.Index(thresholds, name="below"),
        )

    def per_class(self, thresholds: Sequence[float] = SIZES) -> pd.DataFrame:
        """How many objects of each class are smaller than some sizes.

        Args:
            thresholds: sizes in pixels of the network's input

        Returns:
            a frame with the index ``class`` and columns ``objects``,
            ``median_input_size``, and for each threshold a number such as
            ``below_16`` and a share such as ``share_below_16``; the median and the
            shares are NaN where a class has no objects
        """
        import pandas as pd

        category, num_classes = self._category
        count = np.bincount(category, minlength=num_classes)
        median = quantiles_per_class(self.input_size, category, num_classes, (0.5,))
        columns = {"objects": count, "median_input_size": median[:, 0]}
        for threshold in thresholds:
            small = category[self.input_size < threshold]
            below = np.bincount(small, minlength=num_classes)
            columns[f"below_{threshold:g}"] = below
            columns[f"share_below_{threshold:g}"] = below / np.where(
                count > 0, count, np.nan
            )
        return pd.DataFrame(columns, index=self._class_index)

    def smallest_input(
        self,
        target_px: float = 16,
        share: float = 0.95,
        largest: float = np.inf,
    ) -> pd.DataFrame | None:
        """The smallest input at which most objects of each class are large enough.

        In closed form: sizes at the network's input are proportional to the side of
        the policy, as all else of it is scaled along (see :func:`with_side`).

        Args:
            target_px: the size in pixels of the network's input that is large enough
            share: the share of the objects that are to be of that size or larger
            largest: the largest side to name, where the present one is not larger

        Returns:
            a frame with the index ``class`` and columns ``objects``, ``size`` of the
            object that has to be enlarged, at the present input, and ``side``, the
            ``width`` of a policy of the same kind, a multiple of 32; NaN where no
            side will do. None for "none", which has no side
        """
        import pandas as pd

        if self.resize.mode == "none":
            return None
        category, num_classes = self._category
        ordered = self.input_size[np.lexsort((self.input_size, category))]
        count = np.bincount(category, minlength=num_classes)
        present = count > 0
        size = np.full(num_classes, np.nan)
        size[present] = ordered[(np.cumsum(count) - _least(count, share))[present]]
        return pd.DataFrame(
            {
                "objects": count,
                "size": size,
                "side": self._side(size, target_px, largest),
            },
            index=self._class_index,
        )

    def smallest_input_of_all(
        self,
        target_px: float = 16,
        share: float = 0.95,
        largest: float = np.inf,
    ) -> ResizePolicy | None:
        """The smallest input at which most of all objects are large enough.

        Args:
            target_px: the size in pixels of the network's input that is large enough
            share: the share of the objects that are to be of that size or larger
            largest: the largest side to name, where the present one is not larger

        Returns:
            a policy of the same kind, with a multiple of 32 for its side; None where
            there is none, as for "none" and without objects
        """
        if self.resize.mode == "none" or not len(self):
            return None
        size = np.sort(self.input_size)[-_least(len(self), share)]
        side = self._side(size, target_px, largest)
        return None if np.isnan(side) else with_side(self.resize, int(side))

    def _side(
        self, size: NDArray[np.float64], target_px: float, largest: float
    ) -> NDArray[np.float64]:
        reachable = np.where(size > 0, size, np.nan)
        side = up_to_multiple(self.resize.width * target_px / reachable)
        present = float(up_to_multiple(self.resize.width))
        return np.where(side <= max(largest, present), side, np.nan)

    @property
    def _category(self) -> tuple[NDArray[np.int64], int]:
        return self.labeled.objects.category, len(self.labeled.classes)

    @property
    def _class_index(self) -> pd.Index:
        import pandas as pd

        return pd.Index(self.labeled.classes, name="class", dtype=object)


def _least(count: Any, share: float) -> Any:
    """The smallest number of objects that is at least a share, but at least one."""
    return np.maximum(np.ceil(share * count - 1e-9), 1).astype(np.int64)
