"""Cutting large images into tiles, so that the network sees small objects larger."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.objects import LabeledImages
from fiftyone_coco_audit.statistics.network_input import (
    InputStatistics,
    up_to_multiple,
)
from fiftyone_coco_audit.statistics.resizing import SIZE_MULTIPLE, ResizePolicy
from fiftyone_coco_audit.statistics.shapes import corners

#: More pixels than this many times those of the file show no more of an object
MOST_ENLARGED = 2


@dataclass(frozen=True)
class TilePlan:
    """Where the tiles of each image are.

    Along each side tiles start ``tile - overlap`` pixels apart, and the last is moved
    back to end with the image, as SAHI does it. A side shorter than a tile is one tile.

    Attributes:
        size: ``(M, 2)`` width and height of each image in pixels
        tile: side of the square tiles in pixels
        overlap: pixels that neighboring tiles share, at least
    """

    size: NDArray[np.float64]
    tile: int
    overlap: int

    def __post_init__(self) -> None:
        if not 0 <= self.overlap < self.tile:
            raise CocoAuditError(
                f"Tiles of {self.tile} px cannot overlap by {self.overlap} px: the "
                "overlap must be 0 or more, and less than the tile"
            )

    @property
    def step(self) -> int:
        """Pixels from one tile to the next."""
        return self.tile - self.overlap

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """``(M, 2)`` tiles across and down each image."""
        further = np.ceil((self.size - self.tile) / self.step)
        return np.maximum(further, 0).astype(np.int64) + 1

    @cached_property
    def tiles_per_image(self) -> NDArray[np.int64]:
        """``(M,)`` tiles of each image."""
        return self.counts.prod(axis=1)

    @cached_property
    def tile_size(self) -> NDArray[np.float64]:
        """``(M, 2)`` width and height of the tiles of each image in pixels."""
        return np.minimum(self.size, self.tile)

    def starts(self, image: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The left edges of the columns of tiles of an image, and the tops of the rows.

        Args:
            image: position of the image

        Examples::

            >>> left, top = plan_tiles(np.array([[900.0, 300.0]]), 400, 100).starts(0)
            >>> left.tolist(), top.tolist()  # the last column ends with the image
            ([0.0, 300.0, 500.0], [0.0])
        """
        last = self.size[image] - self.tile_size[image]
        left, top = (
            np.minimum(np.arange(count) * self.step, end)
            for count, end in zip(self.counts[image], last, strict=True)
        )
        return left, top


def plan_tiles(size: NDArray[np.float64], tile: int, overlap: int) -> TilePlan:
    """Plans how images are cut into tiles.

    Args:
        size: ``(M, 2)`` width and height of each image in pixels
        tile: side of the square tiles in pixels
        overlap: pixels that neighboring tiles share, at least

    Returns:
        a :class:`TilePlan`

    Raises:
        CocoAuditError: if the overlap is not less than the tile
    """
    return TilePlan(size, tile, overlap)


@dataclass(frozen=True, repr=False)
class TilingEffect(ShortRepr):
    """What cutting images into tiles does to the objects.

    Attributes:
        plan: where the tiles are
        input_side: the side in pixels that the longer side of a tile is resized to
        visible_share: ``(N,)`` share of the box, as far as it is inside the image,
            that the tile with the most of it shows; 1 if it lies whole in one
        input_size: ``(N,)`` square root of the area of that part of the box, in
            pixels of the network's input
    """

    plan: TilePlan
    input_side: int
    visible_share: NDArray[np.float64]
    input_size: NDArray[np.float64]

    @property
    def cut(self) -> NDArray[np.bool_]:
        """``(N,)`` whether no tile shows the whole object."""
        return self.visible_share < 1

    @property
    def num_tiles(self) -> int:
        """The number of tiles of all images."""
        return int(self.plan.tiles_per_image.sum())

    @property
    def num_cut(self) -> int:
        """The number of objects that no tile shows whole."""
        return int(np.count_nonzero(self.cut))

    def share_below(self, pixels: float) -> float:
        """The share of objects that are smaller at the network's input; 0 of none."""
        # The proposed tile makes some objects exactly as large as the target
        small = self.input_size < pixels * (1 - 1e-9)
        return float(small.sum() / max(len(small), 1))


def tiling_effect(
    labeled: LabeledImages, tile: int, overlap: int, input_side: int
) -> TilingEffect:
    """What cutting images into tiles does to the objects.

    The tiles of an image are all pairs of a column and a row, so the tile that shows
    most of a box is in the column that shows most of its width, and in the row that
    shows most of its height. Among tiles of equal width, this is the one whose
    center is nearest to that of the box.

    Args:
        labeled: the images and their objects
        tile: side of the square tiles in pixels
        overlap: pixels that neighboring tiles share, at least
        input_side: the side in pixels that the longer side of a tile is resized to

    Returns:
        a :class:`TilingEffect`

    Raises:
        CocoAuditError: if the overlap is not less than the tile
    """
    plan = plan_tiles(labeled.size, tile, overlap)
    image, size = labeled.objects.image, labeled.image_size
    edges = np.clip(corners(labeled.objects.box), 0, np.tile(size, 2))
    start, end = edges[:, :2], edges[:, 2:]
    tile_size, last = plan.tile_size[image], plan.counts[image] - 1

    middle = (start + end - tile_size) / 2
    regular = np.clip(np.rint(middle / plan.step), 0, np.maximum(last - 1, 0))

    def shown(tile_start: NDArray[np.float64]) -> NDArray[np.float64]:
        tile_end = tile_start + tile_size
        return np.minimum(end, tile_end) - np.maximum(start, tile_start)

    most = np.maximum(shown(regular * plan.step), shown(size - tile_size))
    most = np.maximum(most, 0)
    length = np.maximum(end - start, 0)
    share = np.divide(most, length, out=np.ones_like(length), where=length > 0)
    scale = input_side / plan.tile_size.max(axis=1)
    return TilingEffect(
        plan,
        input_side,
        visible_share=np.where(share > 1 - 1e-9, 1, share).prod(axis=1),
        input_size=np.sqrt(most.prod(axis=1)) * scale[image],
    )


def input_side(resize: ResizePolicy) -> int:
    """The side that square tiles get under a policy, in pixels.

    Args:
        resize: any policy but "none"
    """
    if resize.mode in ("letterbox", "stretch"):
        return min(resize.width, resize.height)
    return resize.width


def propose_tiling(
    labeled: LabeledImages, resize: ResizePolicy, target_px: float = 16
) -> TilingEffect | None:
    """Proposes tiles that make most objects large enough for the network.

    The tile is the largest multiple of 32 that makes 95% of the objects at least
    ``target_px`` large at the input that the policy has, but not so small that it
    would be enlarged more than twice. The overlap is the smallest multiple of 32 that
    holds the longer sides of 95% of the objects, so that each of these fits into some
    tile, but at most half of the tile.

    Args:
        labeled: the images and their objects
        resize: how images are resized for the network without tiles
        target_px: the size in pixels of the network's input that is large enough

    Returns:
        the :class:`TilingEffect`, or None if tiles do not help: without objects,
        if no image is larger than a tile, and for the policy "none"
    """
    if resize.mode == "none" or not len(labeled.objects):
        return None
    sides = InputStatistics(labeled, ResizePolicy("none"))
    small = float(np.quantile(sides.input_size, 0.05))
    long = float(np.quantile(labeled.objects.box[:, 2:].max(axis=1), 0.95))
    side = input_side(resize)
    wanted = SIZE_MULTIPLE * int(side * small / target_px // SIZE_MULTIPLE)
    tile = max(wanted, int(up_to_multiple(side / MOST_ENLARGED)))
    if (labeled.size <= tile).all():
        return None
    overlap = min(int(up_to_multiple(long)), tile // 2)
    return tiling_effect(labeled, tile, overlap, side)
