"""One sample through a pipeline: its image, boxes and the pixels of its objects.

What a transform does to an object is seen on the object's pixels. So these go through
the very same call as image and boxes, as maps of numbers: many objects share a map, a
further one is only needed where objects overlap, and numbers are never interpolated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit import rle
from fiftyone_coco_audit.augmentation.pipelines import (
    CLASSES,
    IDS,
    KEYPOINT_IDS,
    Pipeline,
    PipelineError,
)
from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.names import kind_of
from fiftyone_coco_audit.objects import RLE
from fiftyone_coco_audit.wording import counted

Map = NDArray[np.uint8]
#: Rows and columns of an image
Place = tuple[slice, slice]

# A map holds bytes, which every transform of masks can move; 0 is background
_PER_MAP = 255
# The distance in pixels between the points that measure the magnification
_RULE = 64
# Single precision represents whole numbers up to this exactly
_COUNTABLE = 2**24


@dataclass(frozen=True, repr=False)
class AugmentationTarget(ShortRepr):
    """A sample as a pipeline is given it; made by :func:`make_target`.

    Attributes:
        image: ``(H, W, 3)`` the image, RGB
        box: ``(N, 4)`` boxes ``[x, y, width, height]`` in pixels, inside the image
        category: ``(N,)`` position of each object's class
        usable: ``(N,)`` whether a box has an area in the image; the others are left out
        maps: maps of the size of the image, in which objects are numbers
        map_of: ``(N,)`` the map in which each object is
        number: ``(N,)`` the number that it has there, 0 for those left out
        pixels: ``(N,)`` how many pixels it has
        tight: ``(N, 4)`` the box around these pixels
        from_box: ``(N,)`` whether the box was taken for the object, without a mask
        keypoints: ``(K, 2)`` points in pixels
        notes: sentences on what had to be changed to be transformed at all
    """

    image: NDArray[np.uint8]
    box: NDArray[np.float64]
    category: NDArray[np.int64]
    usable: NDArray[np.bool_]
    maps: tuple[Map, ...]
    map_of: NDArray[np.int64]
    number: NDArray[np.uint8]
    pixels: NDArray[np.int64]
    tight: NDArray[np.int64]
    from_box: NDArray[np.bool_]
    keypoints: NDArray[np.float64]
    notes: tuple[str, ...] = ()

    def _about(self) -> str:
        height, width = self.image.shape[:2]
        return f"of {width} x {height} pixels, {counted(len(self), 'object')}"

    def __len__(self) -> int:
        return len(self.box)


@dataclass(frozen=True, repr=False)
class Magnification(ShortRepr):
    """By how much areas are magnified, at each place.

    Attributes:
        overall: for the whole image; NaN where nothing of the source is left
        grid: ``(R, C)`` at points of a grid, NaN where nothing is to be measured; None
            where it is the same everywhere
        spacing: the distance of the points, in pixels
        offset: the x and y of the first point
    """

    overall: float
    grid: NDArray[np.float64] | None = None
    spacing: int = 1
    offset: float = 0.0

    def around(self, x: float, y: float, width: float, height: float) -> float:
        """The magnification inside a box, in pixels of the output."""
        if self.grid is None:
            return self.overall
        low = [max(int((v - self.offset) / self.spacing), 0) for v in (x, y)]
        high = [
            max(int((v - self.offset) / self.spacing) + 1, 0)
            for v in (x + width, y + height)
        ]
        local = self.grid[low[1] : high[1] + 1, low[0] : high[0] + 1]
        local = local[~np.isnan(local)]
        return float(np.median(local)) if len(local) else self.overall


@dataclass(frozen=True, repr=False)
class AugmentedSample(ShortRepr):
    """What a pipeline made of a sample, once.

    Attributes:
        image: the image
        box: ``(B, 4)`` the boxes that are left, ``[x, y, width, height]`` in pixels
        object: ``(B,)`` the row of the object that each box belongs to; an object can
            have none, one, or several
        category: ``(B,)`` position of each box's class, as it came out
        keypoints: ``(P, 2)`` the points that are left
        keypoint: ``(P,)`` which point of the source each is
        maps: the transformed maps of :class:`AugmentationTarget`; () if not asked for
        covered: ``(H, W)`` what was overwritten by dropouts, 1 where it was; None if
            there is none
        magnification: how many times larger areas have become
    """

    image: NDArray[Any]
    box: NDArray[np.float64]
    object: NDArray[np.int64]
    category: NDArray[np.int64]
    keypoints: NDArray[np.float64]
    keypoint: NDArray[np.int64]
    maps: tuple[Map, ...] = ()
    covered: Map | None = None
    magnification: Magnification = Magnification(float("nan"))

    def _about(self) -> str:
        height, width = self.image.shape[:2]
        return f"of {width} x {height} pixels, {counted(len(self.box), 'box')}"

    def object_mask(self, target: AugmentationTarget, row: int) -> NDArray[np.bool_]:
        """``(H, W)`` where an object is seen; what a dropout has overwritten is not."""
        mask = self.maps[target.map_of[row]] == target.number[row]
        if not target.number[row]:
            mask[:] = False
        return mask if self.covered is None else mask & (self.covered == 0)


def window(box: Sequence[float], shape: Sequence[int]) -> Place:
    """The pixels of a box, and one more on each side for rounding.

    Args:
        box: ``[x, y, width, height]`` in pixels
        shape: height and width of the image

    Returns:
        slices of rows and columns
    """
    x, y, width, height = box
    left, top = max(int(x) - 1, 0), max(int(y) - 1, 0)
    right, bottom = ceil(x + width) + 1, ceil(y + height) + 1
    return slice(top, min(bottom, shape[0])), slice(left, min(right, shape[1]))


def pixels_of(box: NDArray[np.float64], shape: Sequence[int]) -> Place:
    """The pixels whose centers are in a box, but at least one.

    Args:
        box: ``[x, y, width, height]`` in pixels
        shape: height and width of the image

    Returns:
        slices of rows and columns
    """
    slices = []
    for start, extent, limit in (
        (box[1], box[3], shape[0]),
        (box[0], box[2], shape[1]),
    ):
        first = min(round(float(start)), limit - 1)
        last = min(max(round(float(start + extent)), first + 1), limit)
        slices.append(slice(first, last))
    return slices[0], slices[1]


def make_target(
    image: NDArray[np.uint8],
    box: NDArray[np.float64],
    masks: Sequence[NDArray[Any] | RLE | None] | None = None,
    *,
    category: NDArray[np.int64] | None = None,
    keypoints: NDArray[np.float64] | None = None,
) -> AugmentationTarget:
    """Makes a sample ready to go through pipelines.

    Boxes are clipped to the image, since Albumentations refuses others. A mask is
    clipped to its box: mask pixels outside of it are not the pipeline's fault.

    Args:
        image: ``(H, W, 3)`` the image
        box: ``(N, 4)`` boxes ``[x, y, width, height]`` in pixels
        masks: of each object an ``(H, W)`` mask, a run-length encoding, or None where
            its box is to be taken for it
        category: ``(N,)`` position of each object's class, by default 0
        keypoints: ``(K, 2)`` points in pixels

    Returns:
        a :class:`AugmentationTarget`
    """
    height, width = image.shape[:2]
    clipped, usable, notes = _clip(np.asarray(box, np.float64), width, height)
    count = len(clipped)
    packed = _Packing(height, width)
    places = [window(one, (height, width)) for one in clipped.tolist()]
    shapes = _shapes(masks or [None] * count, places, (height, width))
    for row in range(count):
        if usable[row]:
            packed.add(clipped[row], places[row], shapes[row])
        else:
            packed.skip()
    return AugmentationTarget(
        image=image,
        box=clipped,
        category=(
            np.zeros(count, np.int64) if category is None else np.asarray(category)
        ),
        usable=usable,
        maps=tuple(packed.maps),
        map_of=np.array(packed.map_of, np.int64),
        number=np.array(packed.number, np.uint8),
        pixels=np.array(packed.pixels, np.int64),
        tight=np.array(packed.tight, np.int64).reshape(-1, 4),
        from_box=np.array(packed.from_box, bool),
        keypoints=(
            np.zeros((0, 2)) if keypoints is None else np.asarray(keypoints, np.float64)
        ),
        notes=notes,
    )


def _clip(
    box: NDArray[np.float64], width: int, height: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_], tuple[str, ...]]:
    box = box.reshape(-1, 4)
    corners = np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], axis=1)
    inside = np.clip(corners, 0, [width, height, width, height])
    size = inside[:, 2:] - inside[:, :2]
    # A comparison with NaN is False, so that such boxes are left out as well
    usable = (size > 0).all(axis=1) & np.isfinite(inside).all(axis=1)
    moved = usable & (np.abs(inside - corners) > 1e-6).any(axis=1)
    notes = []
    if moved.any():
        notes.append(f"{counted(int(moved.sum()), 'box')} clipped to the image")
    if not usable.all():
        unseen = counted(int((~usable).sum()), "box")
        notes.append(f"{unseen} without an area in the image left out")
    clipped = np.concatenate([inside[:, :2], size], axis=1)
    return np.where(usable[:, None], clipped, 0.0), usable, tuple(notes)


class _Packing:
    """Puts objects into as few maps as their overlaps allow, by first fit."""

    def __init__(self, height: int, width: int):
        self.size = height, width
        self.maps: list[Map] = []
        self.used: list[int] = []
        self.map_of: list[int] = []
        self.number: list[int] = []
        self.pixels: list[int] = []
        self.tight: list[tuple[int, int, int, int]] = []
        self.from_box: list[bool] = []

    def skip(self) -> None:
        self._note(0, 0, 0, (0, 0, 0, 0), True)

    def add(self, box: NDArray[np.float64], place: Place, shape: Map | None) -> None:
        from_box = shape is None or not shape.any()
        if shape is None or from_box:
            place = pixels_of(box, self.size)
            rows, columns = place
            size = rows.stop - rows.start, columns.stop - columns.start
            shape = np.ones(size, np.uint8)
        x, y, width, height = cv2.boundingRect(shape)
        rows, columns = place
        tight = (columns.start + x, rows.start + y, width, height)
        index = self._free(place, shape)
        self.used[index] += 1
        self.maps[index][place][shape != 0] = self.used[index]
        self._note(index, self.used[index], cv2.countNonZero(shape), tight, from_box)

    def _free(self, place: Place, shape: Map) -> int:
        for index, known in enumerate(self.maps):
            if self.used[index] < _PER_MAP and not (known[place] * shape).any():
                return index
        self.maps.append(np.zeros(self.size, np.uint8))
        self.used.append(0)
        return len(self.maps) - 1

    def _note(
        self,
        index: int,
        number: int,
        pixels: int,
        tight: tuple[int, int, int, int],
        from_box: bool,
    ) -> None:
        self.map_of.append(index)
        self.number.append(number)
        self.pixels.append(pixels)
        self.tight.append(tight)
        self.from_box.append(from_box)


def _shapes(
    masks: Sequence[NDArray[Any] | RLE | None],
    places: Sequence[Place],
    size: tuple[int, int],
) -> list[Map | None]:
    """The part of each mask in its window, 1 inside the mask; None without a mask."""
    encoded = {
        row: cast(str | bytes, mask["counts"])
        for row, mask in enumerate(masks)
        if isinstance(mask, dict)
    }
    boxes = [
        [across.start, down.start, across.stop - across.start, down.stop - down.start]
        for down, across in (places[row] for row in encoded)
    ]
    crops = rle.crops(
        [c if isinstance(c, str) else c.decode() for c in encoded.values()],
        np.tile(size[::-1], (len(boxes), 1)),
        np.array(boxes, np.float64).reshape(-1, 4),
    )
    shapes: list[Map | None] = [
        np.ascontiguousarray(mask[place] != 0, np.uint8)
        if isinstance(mask, np.ndarray)
        else None
        for mask, place in zip(masks, places, strict=True)
    ]
    for row, crop in zip(encoded, crops, strict=True):
        shapes[row] = np.ascontiguousarray(crop, np.uint8)
    return shapes


@lru_cache(maxsize=4)
def _places(height: int, width: int) -> NDArray[np.float32]:
    """A map of the position of each pixel, counted row by row from 1.

    Single precision is what all transforms of masks take, and counts so far exactly.
    """
    cell = _cell(height, width)
    rows, columns = -(-height // cell), _columns(width, cell)
    count = np.arange(1, rows * columns + 1, dtype=np.float32)
    squares = count.reshape(rows, columns)
    if cell > 1:
        squares = squares.repeat(cell, axis=0).repeat(cell, axis=1)
    return np.ascontiguousarray(squares[:height, :width])


def _cell(height: int, width: int) -> int:
    """The side of the squares that are counted: 1 but for huge images."""
    return int(np.ceil(np.sqrt(height * width / _COUNTABLE)))


def _columns(width: int, cell: int) -> int:
    return -(-width // cell)


def draw_name(filepath: str) -> str:
    """The key of a sample's draws: the end of the path of its image.

    The id of the sample would be another one after each import, the whole path on each
    machine; and the names of files alone may be all the same.

    Args:
        filepath: the path of the image

    Returns:
        the name of the file and of the two folders around it
    """
    return "/".join(Path(filepath).parts[-3:])


def run(
    pipeline: Pipeline,
    target: AugmentationTarget,
    *,
    seed: int = 0,
    sample: str = "",
    draw: int = 0,
    pixels: bool = True,
) -> AugmentedSample:
    """Sends a sample through a pipeline once.

    Args:
        pipeline: the pipeline
        target: the sample
        seed: the seed of the whole run
        sample: a name of the sample; samples of different names draw differently
        draw: the number of the draw
        pixels: whether the pixels of objects go with it, from which damage is measured

    Returns:
        an :class:`AugmentedSample`; always the same for the same arguments

    Raises:
        PipelineError: if a transform fails, or does not return an image with boxes
    """
    from fiftyone_coco_audit.augmentation.dropouts import COVERED, LAYER, MASK

    size = target.image.shape[0], target.image.shape[1]
    rows = np.flatnonzero(target.usable)
    corners = target.box[rows].copy()
    corners[:, 2:] += corners[:, :2]
    data: dict[str, Any] = {
        "image": target.image,
        "bboxes": corners,
        # Some versions accept only Python's own number types
        IDS: rows.tolist(),
        CLASSES: target.category[rows].tolist(),
    }
    if len(target.keypoints):
        data["keypoints"] = target.keypoints
        data[KEYPOINT_IDS] = list(range(len(target.keypoints)))
    names = [MASK, *(f"{LAYER}{index}" for index in range(1, len(target.maps)))]
    places = f"{LAYER}_places"
    if pixels:
        data.update(zip(names, target.maps or [np.zeros(size, np.uint8)], strict=True))
        data[places] = _places(*size)
        if pipeline.has_dropout:
            data[COVERED] = np.zeros(size, np.uint8)
        pipeline.add_layers([*names[1:], places, COVERED])
    result = pipeline(seed, sample, draw, **data)
    left = _left(result, len(target))
    if not pixels:
        return left
    from dataclasses import replace

    for name in (*names, places, COVERED):
        if name in data:
            _check_layer(result.get(name), data[name], left.image.shape[:2])
    covered = result.get(COVERED)
    return replace(
        left,
        maps=tuple(result[name] for name in names[: len(target.maps)]),
        covered=None if covered is None or not covered.any() else covered,
        magnification=_magnification(result[places], *size),
    )


def _check_layer(found: Any, given: NDArray[Any], size: tuple[int, ...]) -> None:
    """Checks that a layer that moves with the image has come out like it."""
    shape = getattr(found, "shape", None)
    if shape != size or found.dtype != given.dtype:
        what = kind_of(found)
        if shape is not None:
            what = f"{found.dtype} of {' x '.join(map(str, shape))}"
        raise PipelineError(
            f"The pipeline returns masks that are {what}, but the image is "
            f"{' x '.join(map(str, size))} and the masks were {given.dtype}: one of "
            "its transforms does not treat images and masks alike"
        )


def _left(result: Any, count: int) -> AugmentedSample:
    """Image and labels of what a pipeline has given back, checked."""
    try:
        image = result["image"]
        height, width = image.shape[:2]
        ids = np.asarray(result[IDS], np.int64).reshape(-1)
        classes = np.asarray(result[CLASSES], np.int64).reshape(-1)
        corners = np.zeros((0, 4))
        if len(ids):
            corners = np.asarray(result["bboxes"], np.float64)[:, :4]
        points, point_ids = np.zeros((0, 2)), np.zeros(0, np.int64)
        if len(result.get(KEYPOINT_IDS, ())):
            points = np.asarray(result["keypoints"], np.float64)[:, :2]
            point_ids = np.asarray(result[KEYPOINT_IDS], np.int64)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise PipelineError(
            f"The pipeline does not return an image with boxes: {error}"
        ) from error
    if len(corners) != len(ids) or len(classes) != len(ids):
        raise PipelineError(
            f"The pipeline returns {len(corners)} boxes but {len(ids)} ids, so labels "
            "get mixed up: a transform, or this version of Albumentations, does not "
            "keep them together"
        )
    if len(ids) and not (0 <= ids.min() and ids.max() < count):
        raise PipelineError("The pipeline returns ids that no label had")
    if not (height and width):
        raise PipelineError("The pipeline returns an image without pixels")
    corners[:, 2:] -= corners[:, :2]
    return AugmentedSample(
        image=image,
        box=corners,
        object=ids,
        category=classes,
        keypoints=points,
        keypoint=point_ids,
    )


def _magnification(
    places: NDArray[np.float32], height: int, width: int
) -> Magnification:
    """Measures how much areas were magnified, from the origin of each pixel.

    Two steps of some pixels in the output, one to the right and one down, are two
    vectors in the source, whose cross product is the area that the square between them
    had there.
    """
    stride = max(min(places.shape) // 32, 1)
    place = places[::stride, ::stride].astype(np.float64) - 1
    place[place < 0] = np.nan
    known = ~np.isnan(place)
    shortest = min(known.any(axis=0).sum(), known.any(axis=1).sum())
    # If they were farther apart, points would often lie in different copies of the
    # source
    reach = min(_RULE, min(height, width) // 4) // stride
    apart = max(min(reach, int(shortest) // 3), 1)
    distance = apart * stride
    cell = _cell(height, width)
    y, x = np.divmod(place, _columns(width, cell))
    points = cell * np.stack([x, y])
    here = points[:, :-apart, :-apart]
    right = points[:, :-apart, apart:] - here
    down = points[:, apart:, :-apart] - here
    area = np.abs(right[0] * down[1] - right[1] * down[0])
    seen = area[area > 0]
    if not len(seen):
        return Magnification(float("nan"))
    middle = float(np.median(seen))
    if middle == distance**2 and np.mean(seen == middle) >= 0.5:
        # Nothing was resized, despite what is measured where copies meet
        return Magnification(1.0)
    like = seen[np.abs(seen - middle) <= 0.1 * middle]
    # The median of two different values would equal neither
    overall = float(distance**2 / (like.mean() if len(like) else middle))
    if len(like) >= 0.7 * len(seen):
        return Magnification(overall)
    area[~(area > 0)] = np.nan
    return Magnification(overall, distance**2 / area, stride, distance / 2)
