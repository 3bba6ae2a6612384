"""How well the anchors of a detector match the objects at the network's input."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.boxes import size_iou
from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.objects import LabeledImages
from fiftyone_coco_audit.statistics.anchor_sets import (
    POSITIVE,
    STATUSES,
    UNREACHABLE,
    AnchorSet,
    Shape,
)
from fiftyone_coco_audit.statistics.resizing import ResizePolicy

if TYPE_CHECKING:
    import pandas as pd

#: Between these sizes at the network's input :meth:`AnchorMatches.per_size` divides
SIZE_EDGES = (8, 16, 32, 64, 128, 256, 512)

#: The names of the sizes between these edges
SIZE_GROUPS = (
    f"< {SIZE_EDGES[0]} px",
    *(f"{low} - {high} px" for low, high in pairwise(SIZE_EDGES)),
    f">= {SIZE_EDGES[-1]} px",
)

#: What stands for the anchor of an object that has none
NO_ANCHOR = -1


def boxes_at_input(labeled: LabeledImages, resize: ResizePolicy) -> NDArray[np.float64]:
    """The boxes of the objects in pixels of the network's input.

    A letterbox has its image in the middle, as that of ultralytics and PadIfNeeded of
    Albumentations; all other padding is to the right and below.

    Args:
        labeled: the images and their objects
        resize: how images are resized

    Returns:
        ``(N, 4)`` boxes ``[x, y, width, height]``
    """
    scale, shift = input_transform(labeled.size, resize)
    image, box = labeled.objects.image, labeled.objects.box
    sides = np.maximum(box[:, 2:], 0)
    return np.hstack([box[:, :2] * scale[image] + shift[image], sides * scale[image]])


def input_transform(
    size: NDArray[np.float64], resize: ResizePolicy
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How pixels of images become those of the network's input.

    Args:
        size: ``(M, 2)`` widths and heights of the images
        resize: how they are resized

    Returns:
        two ``(M, 2)`` arrays, the scale and the shift of
        ``input = scale * image + shift``
    """
    shift = np.floor((resize.canvas(size) - resize.resized(size)) / 2)
    return resize.scale(size), shift


def anchor_ratio(sides: NDArray[np.float64], shape: Shape) -> NDArray[np.float64]:
    """The minimum of ``w / aw``, ``aw / w``, ``h / ah`` and ``ah / h``, as in YOLOv5.

    Args:
        sides: ``(2, N)`` widths and heights of the boxes
        shape: width and height of the anchor

    Returns:
        ``(N,)`` in [0, 1]
    """
    anchor = np.array(shape)[:, None]
    return (np.minimum(sides, anchor) / np.maximum(sides, anchor)).min(axis=0)


@dataclass(frozen=True, repr=False)
class AnchorMatches(ShortRepr):
    """How well the anchors match the objects at the network's input.

    Of all places of an anchor, the nearest to an object's center is the best, since the
    overlap of two intervals only grows when their centers get closer. So only that
    place is examined, and the best IoU is still exact.

    Effects of the objects of an image on each other are ignored, except in
    :attr:`shares_anchor`.

    Args:
        labeled: the images and their objects
        resize: how images are resized for the network
        anchors: the anchors
    """

    labeled: LabeledImages
    resize: ResizePolicy
    anchors: AnchorSet

    def _about(self) -> str:
        return self.labeled._about()

    def __len__(self) -> int:
        return len(self.labeled.objects)

    @cached_property
    def box(self) -> NDArray[np.float64]:
        """``(N, 4)`` the objects' boxes in pixels of the network's input."""
        return boxes_at_input(self.labeled, self.resize)

    @cached_property
    def input_size(self) -> NDArray[np.float64]:
        """``(N,)`` square roots of the areas of these boxes."""
        return np.sqrt(self.box[:, 2:].prod(axis=1))

    @cached_property
    def _center(self) -> NDArray[np.float64]:
        return self.box[:, :2] + self.box[:, 2:] / 2

    @cached_property
    def _canvas(self) -> NDArray[np.float64]:
        return self.resize.canvas(self.labeled.size)[self.labeled.objects.image]

    def _cell(self, stride: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """``(N, 2)`` column and row of the cell whose anchor is the nearest."""
        cell = np.floor(self._center / stride - self.anchors.offset + 0.5)
        # A feature map has a cell for each stride that is begun
        return np.clip(cell, 0, np.ceil(self._canvas / stride) - 1)

    def _place(self, stride: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """``(N, 2)`` the center of that anchor, in pixels of the network's input."""
        return (self._cell(stride) + self.anchors.offset) * stride

    def off_center(self, level: int) -> NDArray[np.float64]:
        """How far objects are from the nearest center of a level's anchors.

        Args:
            level: position of the level

        Returns:
            ``(2, N)`` horizontal and vertical distances, in pixels of the network's
            input
        """
        place = self._place(self.anchors.levels[level].stride)
        return np.ascontiguousarray(np.abs(place - self._center).T)

    def _best(self, by: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """The best score of each object, and the anchor that has it.

        Args:
            by: ``"iou"`` in place, ``"shape"`` for the IoU with the centers aligned,
                or ``"ratio"``
        """
        score = np.zeros(len(self))
        best = np.full(len(self), NO_ANCHOR)
        # Rows are contiguous, which makes this several times faster
        sides = np.ascontiguousarray(self.box[:, 2:].T)
        number = 0
        for position, level in enumerate(self.anchors.levels):
            off = self.off_center(position) if by == "iou" else 0
            for shape in level.shapes:
                if by == "ratio":
                    found = anchor_ratio(sides, shape)
                else:
                    found = size_iou(sides, np.array(shape)[:, None], off)
                better = (found > score) | (best == NO_ANCHOR)
                score[better] = found[better]
                best[better] = number
                number += 1
        return score, best

    @cached_property
    def _by_iou(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        return self._best("iou")

    @cached_property
    def _assigned(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """The best score by the assignment, and the position of its anchor."""
        by = self.anchors.assignment.by
        if by == "iou":
            return self._by_iou
        if by == "ratio":
            return self._best("ratio")
        return self._in_box.astype(np.float64), np.full(len(self), NO_ANCHOR)

    @cached_property
    def _in_box(self) -> NDArray[np.bool_]:
        """``(N,)`` whether the nearest location of an object's level is in its box."""
        off = np.abs(self._place(self._stride) - self._center)
        inside = (off < self.box[:, 2:] / 2).all(axis=1)
        return inside & (self._half_side < self._ends[-1])

    @cached_property
    def _half_side(self) -> NDArray[np.float64]:
        return self.box[:, 2:].max(axis=1) / 2

    @cached_property
    def _ends(self) -> NDArray[np.float64]:
        return np.array(
            [level.reach[1] for level in self.anchors.levels if level.reach]
        )

    @property
    def _stride(self) -> NDArray[np.float64]:
        """``(N, 1)`` the stride of each object's level."""
        strides = np.array([level.stride for level in self.anchors.levels])
        return strides[self.best_level, None]

    @property
    def best_iou(self) -> NDArray[np.float64]:
        """``(N,)`` the best IoU with any anchor at its place; NaN without anchors."""
        if not self.anchors.has_anchors:
            return np.full(len(self), np.nan)
        return self._by_iou[0]

    @cached_property
    def best_shape_iou(self) -> NDArray[np.float64]:
        """``(N,)`` the best IoU with any anchor, their centers aligned; NaN without.

        What it is more than :attr:`best_iou` is what the grid costs.
        """
        if not self.anchors.has_anchors:
            return np.full(len(self), np.nan)
        return self._best("shape")[0]

    @property
    def best_score(self) -> NDArray[np.float64]:
        """``(N,)`` the best score in [0, 1], as :class:`Assignment` scores anchors."""
        return self._assigned[0]

    @property
    def best_anchor(self) -> NDArray[np.int64]:
        """``(N,)`` the anchor that has it, -1 without anchors."""
        return self._assigned[1]

    @cached_property
    def best_level(self) -> NDArray[np.int64]:
        """``(N,)`` the level of this anchor.

        Without anchors the one that has the distance from the object's middle to its
        farthest side in its range; the last one if none has.
        """
        if self.anchors.has_anchors:
            return self.anchors.level_of[self.best_anchor]
        return np.searchsorted(self._ends[:-1], self._half_side, side="right")

    @cached_property
    def anchor_box(self) -> NDArray[np.float64]:
        """``(N, 4)`` this anchor at its place, in pixels of the network's input.

        Without anchors a square of the level's stride about the location.
        """
        if self.anchors.has_anchors:
            sides = self.anchors.shapes[self.best_anchor]
        else:
            sides = np.repeat(self._stride, 2, axis=1)
        return np.hstack([self._place(self._stride) - sides / 2, sides])

    @cached_property
    def status(self) -> NDArray[np.int64]:
        """``(N,)`` positions in :data:`STATUSES`, forced matches left aside."""
        return self.anchors.assignment.status(self.best_score)

    @cached_property
    def is_forced(self) -> NDArray[np.bool_]:
        """``(N,)`` whether an object only has its best anchor because it is forced."""
        forced = self.anchors.assignment.force_best
        return forced & (self.status != POSITIVE) & (self.best_score > 0)

    @cached_property
    def shares(self) -> dict[str, float]:
        """The share of objects of each of :data:`STATUSES`, and of those forced.

        0 without objects.
        """
        count = np.bincount(self.status, minlength=len(STATUSES)) / max(len(self), 1)
        shares = dict(zip(STATUSES, count.tolist(), strict=True))
        return {**shares, "forced": float(self.is_forced.sum() / max(len(self), 1))}

    @cached_property
    def objects_per_level(self) -> NDArray[np.int64]:
        """``(L,)`` the number of objects whose best anchor each level has."""
        return np.bincount(self.best_level, minlength=len(self.anchors.levels))

    @cached_property
    def beyond_ratios(self) -> NDArray[np.bool_]:
        """``(N,)`` whether an object is too long for the anchors at any size.

        Of all boxes of one aspect ratio, one of the object's own area fits it best.
        Where the ratios differ by a factor of ``k ** 2``, the IoU is then
        ``1 / (2 k - 1)``, and the score by ratio ``1 / k``.
        """
        if not self.anchors.has_anchors:
            return np.zeros(len(self), np.bool_)
        ratios = np.log(self.anchors.shapes[:, 1] / self.anchors.shapes[:, 0])
        sides = np.log(np.maximum(self.box[:, 2:], np.finfo(np.float64).tiny))
        off = (sides[:, 1] - sides[:, 0])[:, None] - np.unique(ratios.round(6))
        # No exponent overflows: nothing is as long as that
        k = np.exp(np.minimum(np.abs(off).min(axis=1), 100) / 2)
        assignment = self.anchors.assignment
        score = 1 / (2 * k - 1) if assignment.by == "iou" else 1 / k
        return assignment.status(score) == UNREACHABLE

    @cached_property
    def shares_anchor(self) -> NDArray[np.bool_]:
        """``(N,)`` whether the best anchor at its place is another object's too.

        An anchor learns one object only. False without anchors.
        """
        if not (self.anchors.has_anchors and len(self)):
            return np.zeros(len(self), np.bool_)
        column, row = self._cell(self._stride).astype(np.int64).T
        keys = (self.labeled.objects.image, self.best_anchor, column, row)
        order = np.lexsort(keys)
        same = np.all([key[order][1:] == key[order][:-1] for key in keys], axis=0)
        shared = np.zeros(len(self), np.bool_)
        shared[order] = np.r_[same, False] | np.r_[False, same]
        return shared

    @cached_property
    def size_group(self) -> NDArray[np.int64]:
        """``(N,)`` rows of :meth:`per_size`: between which edges the size is."""
        return np.searchsorted(SIZE_EDGES, self.input_size, side="right")

    def per_class(self) -> pd.DataFrame:
        """How the anchors match the objects of each class, in the dataset's order.

        Returns:
            a frame with the index ``class`` and columns ``objects``,
            ``mean_anchor_iou`` and the shares ``anchor_positive``,
            ``anchor_ignored``, ``anchor_unreachable`` and ``anchor_forced``; NaN where
            there are no objects, the IoU also without anchors
        """
        import pandas as pd

        index = pd.Index(self.labeled.classes, name="class", dtype=object)
        return self._grouped(self.labeled.objects.category, index)

    def per_size(self) -> pd.DataFrame:
        """How the anchors match the objects by their size at the network's input.

        Returns:
            a frame with the columns of :meth:`per_class` and the index ``size``, such
            as ``"16 - 32 px"``; a row for each of :attr:`size_group`
        """
        import pandas as pd

        return self._grouped(self.size_group, pd.Index(SIZE_GROUPS, name="size"))

    def per_level(self) -> pd.DataFrame:
        """The objects of each level.

        Returns:
            a frame with the index ``stride`` and the columns of :meth:`per_class`,
            ``share`` of all objects, the number of ``anchors`` of a cell, and ``cost``,
            the level's share of all anchors or locations of an image
        """
        import pandas as pd

        strides = [level.stride for level in self.anchors.levels]
        frame = self._grouped(self.best_level, pd.Index(strides, name="stride"))
        frame.insert(1, "share", frame["objects"] / max(len(self), 1))
        frame.insert(2, "anchors", [len(level.shapes) for level in self.anchors.levels])
        frame.insert(3, "cost", self.anchors.cost)
        return frame

    def to_frame(self) -> pd.DataFrame:
        """All objects, by row.

        Returns:
            a frame with columns ``anchor_iou``, ``shape_iou``, ``level``, ``anchor``,
            ``status`` and ``forced``
        """
        import pandas as pd

        return pd.DataFrame(
            {
                "anchor_iou": self.best_iou,
                "shape_iou": self.best_shape_iou,
                "level": self.best_level,
                "anchor": self.best_anchor,
                "status": np.array(STATUSES, dtype=object)[self.status],
                "forced": self.is_forced,
            }
        ).rename_axis("object")

    def _grouped(self, group: NDArray[np.int64], index: pd.Index) -> pd.DataFrame:
        import pandas as pd

        def sums(weights: NDArray[Any]) -> NDArray[np.float64]:
            return np.bincount(group, weights, len(index)).astype(np.float64)

        count = np.bincount(group, minlength=len(index))
        some = np.where(count > 0, count, np.nan)
        columns = {"objects": count, "mean_anchor_iou": sums(self.best_iou) / some}
        for code, name in enumerate(STATUSES):
            columns[f"anchor_{name}"] = sums(self.status == code) / some
        columns["anchor_forced"] = sums(self.is_forced) / some
        return pd.DataFrame(columns, index=index)
