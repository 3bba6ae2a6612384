"""Sizes, shapes and places of objects, and how their boxes fit each other and masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.areas import AREA_RANGES, measured_areas, wrong_areas
from fiftyone_coco_audit.boxes import box_iou, corner_area, corner_iou
from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.objects import LabeledImages, Objects

if TYPE_CHECKING:
    import pandas as pd

#: COCO's classes of size, by area
SIZE_CLASSES = tuple(AREA_RANGES)
#: The areas in square pixels that separate them
SMALL_AREA, LARGE_AREA = (AREA_RANGES[name][0] for name in ("medium", "large"))

#: Edges this near in pixels are as good as equal: polygons have fractions, masks not
TOLERANCE = 1.0

#: Boxes of a class that overlap more than this are one object twice
DUPLICATE_IOU = 0.95

# What Albumentations forgives at the right and lower border, as a share of the side
_FORGIVEN = 1.001e-5

# A rotation by less is none
_LEAST_DEGREES = 0.5

# Bounds the memory of heat maps of millions of objects
_OBJECTS_AT_ONCE = 100_000


def corners(box: NDArray[np.float64]) -> NDArray[np.float64]:
    """Boxes by their corners.

    Args:
        box: ``(N, 4)`` boxes ``[x, y, width, height]``

    Returns:
        ``(N, 4)`` left, top, right, bottom
    """
    return np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], axis=1)


def size_class(area: NDArray[np.float64]) -> NDArray[np.int64]:
    """COCO's class of size of each object.

    ``COCOeval`` counts an area of exactly 32^2 as both small and medium, and one of
    exactly 96^2 as both medium and large. Here both are medium, so that each object
    is in one class.

    Args:
        area: ``(N,)`` areas in square pixels

    Returns:
        ``(N,)`` positions in :data:`SIZE_CLASSES`

    Examples::

        >>> size_class(np.array([31, 32, 96, 97]) ** 2.0)
        array([0, 1, 1, 2])
    """
    return (area >= SMALL_AREA).astype(np.int64) + (area > LARGE_AREA)


def quantiles_per_class(
    values: NDArray[np.float64],
    category: NDArray[np.int64],
    num_classes: int,
    quantiles: Sequence[float],
) -> NDArray[np.float64]:
    """The quantiles of each class, as ``numpy.quantile`` interpolates them.

    Args:
        values: ``(N,)``; NaN are left out
        category: ``(N,)`` position of each value's class
        num_classes: ``K``
        quantiles: ``Q`` numbers in [0, 1]

    Returns:
        ``(K, Q)``; NaN for classes without values
    """
    known = ~np.isnan(values)
    values, category = values[known], category[known]
    ordered = values[np.lexsort((values, category))]
    count = np.bincount(category, minlength=num_classes)
    present = count > 0
    first = (np.cumsum(count) - count)[present, None]
    last = count[present, None] - 1
    position = last * np.asarray(quantiles, np.float64)
    below = np.floor(position).astype(np.int64)
    low, high = ordered[first + below], ordered[first + np.minimum(below + 1, last)]
    result = np.full((num_classes, len(quantiles)), np.nan)
    result[present] = low + (position - below) * (high - low)
    return result


def duplicate_pairs(
    objects: Objects, min_iou: float = DUPLICATE_IOU
) -> NDArray[np.int64]:
    """The pairs of objects of one class whose boxes are almost the same.

    Boxes that overlap by ``t`` have left edges within ``1 - t`` of the width of the
    left one. So only few pairs have to be measured, even of a thousand objects in an
    image.

    Args:
        objects: the objects
        min_iou: the intersection over union that duplicates exceed

    Returns:
        ``(P, 2)`` rows of the two objects of each pair, both ways in order
    """
    if not len(objects):
        return np.zeros((0, 2), np.int64)
    left, width = objects.box[:, 0], np.maximum(objects.box[:, 2], 0)
    cell = objects.image * (objects.category.max() + 1) + objects.category
    group = np.unique(cell, return_inverse=True)[1]
    order = np.lexsort((left, group))
    # Groups are 1 apart on this axis, places within a group less than a half
    extent = 2 * (np.ptp(left) + width.max() + 1)
    place = (left - left.min()) / extent + group
    # Slightly more than needed, as the exact measure decides
    reach = place + ((1 - min_iou) * width + 0.001) / extent
    end = np.searchsorted(place[order], reach[order], side="right")
    start = np.arange(len(order)) + 1
    count = np.maximum(end - start, 0)
    one = np.repeat(np.arange(len(order)), count)
    other = np.arange(len(one)) - np.repeat(np.cumsum(count) - count, count)
    pairs = order[np.stack([one, other + start[one]], axis=1)]
    overlap = box_iou(objects.box[pairs[:, 0]], objects.box[pairs[:, 1]])
    pairs = np.sort(pairs[overlap > min_iou], axis=1)
    return pairs[np.lexsort(pairs.T[::-1])]


@dataclass(frozen=True, repr=False)
class ShapeStatistics(ShortRepr):
    """Sizes, shapes and places of objects.

    Args:
        labeled: the images and their objects
    """

    labeled: LabeledImages

    def _about(self) -> str:
        return self.labeled._about()

    def __len__(self) -> int:
        return len(self.labeled.objects)

    @property
    def width(self) -> NDArray[np.float64]:
        """``(N,)`` widths of the boxes in pixels."""
        return self.labeled.objects.box[:, 2]

    @property
    def height(self) -> NDArray[np.float64]:
        """``(N,)`` heights of the boxes in pixels."""
        return self.labeled.objects.box[:, 3]

    @property
    def area(self) -> NDArray[np.float64]:
        """``(N,)`` areas in square pixels: those of masks, where the file says so."""
        return self.labeled.objects.area

    @cached_property
    def box_aspect_ratio(self) -> NDArray[np.float64]:
        """``(N,)`` width / height of the boxes; NaN where a side is not positive."""
        sound = (self.width > 0) & (self.height > 0)
        return np.where(sound, self.width, np.nan) / np.where(sound, self.height, 1)

    @cached_property
    def elongation(self) -> NDArray[np.float64]:
        """``(N,)`` longest / shortest side; NaN where a side is not positive."""
        return np.maximum(self.box_aspect_ratio, 1 / self.box_aspect_ratio)

    @cached_property
    def relative_area(self) -> NDArray[np.float64]:
        """``(N,)`` area as a share of the image's."""
        return self.area / self.labeled.image_size.prod(axis=1)

    @cached_property
    def size_class(self) -> NDArray[np.int64]:
        """``(N,)`` see :func:`size_class`."""
        return size_class(self.area)

    @cached_property
    def center(self) -> NDArray[np.float64]:
        """``(N, 2)`` x and y of the boxes' centers as shares of the image."""
        box = self.labeled.objects.box
        return (box[:, :2] + box[:, 2:] / 2) / self.labeled.image_size

    @cached_property
    def outside(self) -> NDArray[np.float64]:
        """``(N,)`` the most pixels by which a box extends beyond the border.

        Negative where there is room between the two.
        """
        edges, size = corners(self.labeled.objects.box), self.labeled.image_size
        return np.concatenate([-edges[:, :2], edges[:, 2:] - size], axis=1).max(axis=1)

    @cached_property
    def barely_outside(self) -> NDArray[np.bool_]:
        """``(N,)`` whether a box is beyond the border only by rounding.

        Albumentations (``check_bboxes``) stops at boxes that leave 0 to 1 by more than
        ``numpy.isclose`` forgives: nothing at 0, and 1e-5 of the side at 1.
        """
        edges = corners(self.labeled.objects.box) / np.tile(self.labeled.image_size, 2)
        over = (edges[:, :2] < -1e-7).any(axis=1)
        over |= (edges[:, 2:] > 1 + _FORGIVEN).any(axis=1)
        return over & (self.outside <= TOLERANCE)

    @cached_property
    def measured_area(self) -> NDArray[np.float64]:
        """``(N,)`` pixels of the masks, and areas of the boxes that have none."""
        side = self.labeled.objects.box[:, 2:]
        return measured_areas(side, self.labeled.mask_area)

    @cached_property
    def wrong_area(self) -> NDArray[np.bool_]:
        """``(N,)`` see :func:`.wrong_areas`."""
        side = self.labeled.objects.box[:, 2:]
        return wrong_areas(self.area, side, self.labeled.mask_area)

    @cached_property
    def rotation_ignored(self) -> NDArray[np.bool_]:
        """``(N,)`` whether a box is that of an object before it was turned.

        Not where a mask that does not fill its box ends where the box does: then the
        box is around what was turned.
        """
        rotation = self.labeled.rotation
        if rotation is None:
            return np.zeros(len(self), bool)
        turned = np.abs((np.nan_to_num(rotation) + 90) % 180 - 90) > _LEAST_DEGREES
        pixels = self.labeled.mask_area
        if pixels is None:
            return turned
        box = self.width * self.height
        with np.errstate(invalid="ignore"):
            around = (self.mask_iou > 0.9) & (pixels < 0.95 * box)
        return turned & ~around

    @cached_property
    def truncated(self) -> NDArray[np.bool_]:
        """``(N,)`` whether a box reaches the border, to one pixel."""
        return self.outside >= -TOLERANCE

    @cached_property
    def visible_share(self) -> NDArray[np.float64]:
        """``(N,)`` share of the box that is inside the image; 1 without an area."""
        area = self.width * self.height
        inside = corner_area(self._clipped)
        return np.divide(inside, area, out=np.ones(len(self)), where=area > 0)

    @cached_property
    def image_share(self) -> NDArray[np.float64]:
        """``(N,)`` share of the image that the box covers."""
        return corner_area(self._clipped) / self.labeled.image_size.prod(axis=1)

    @cached_property
    def _clipped(self) -> NDArray[np.float64]:
        """``(N, 4)`` corners of what of the boxes is inside the images."""
        limit = np.tile(self.labeled.image_size, 2)
        return np.clip(corners(self.labeled.objects.box), 0, limit)

    @cached_property
    def num_objects(self) -> NDArray[np.int64]:
        """``(M,)`` objects in each image."""
        return np.bincount(
            self.labeled.objects.image, minlength=len(self.labeled)
        ).astype(np.int64)

    @cached_property
    def num_classes(self) -> NDArray[np.int64]:
        """``(M,)`` classes in each image."""
        objects = self.labeled.objects
        num_classes = max(len(self.labeled.classes), 1)
        cells = np.unique(objects.image * num_classes + objects.category)
        return np.bincount(cells // num_classes, minlength=len(self.labeled)).astype(
            np.int64
        )

    @cached_property
    def looseness(self) -> NDArray[np.float64]:
        """``(N,)`` area of the box / area of the box around its mask.

        Of the box only what is inside the image counts, as a mask ends there. Edges
        within a pixel of each other count as equal. NaN where there is no mask.
        """
        box, tight = self._box_and_tight_box
        return corner_area(box) / corner_area(tight)

    @cached_property
    def mask_iou(self) -> NDArray[np.float64]:
        """``(N,)`` intersection over union of the box and the box around its mask.

        Measured as :attr:`looseness`.
        """
        box, tight = self._box_and_tight_box
        return np.where(np.isnan(tight[:, 0]), np.nan, corner_iou(box, tight))

    @cached_property
    def _box_and_tight_box(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Corners of both, where their edges are less than a pixel apart equal."""
        if self.labeled.tight_box is None:
            tight = np.full((len(self), 4), np.nan)
        else:
            tight = corners(self.labeled.tight_box)
        near = np.abs(self._clipped - tight) <= TOLERANCE
        return np.where(near, tight, self._clipped), tight

    @cached_property
    def central_window(self) -> NDArray[np.float64]:
        """``(K, 4)`` where in the image the centers of each class are.

        Left, top, right and bottom of the central 90% in each direction, as shares of
        the image; NaN without objects.
        """
        category, num_classes = self._category
        x, y = (
            quantiles_per_class(values, category, num_classes, (0.05, 0.95))
            for values in self.center.T
        )
        return np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=1)

    @property
    def _category(self) -> tuple[NDArray[np.int64], int]:
        return self.labeled.objects.category, len(self.labeled.classes)

    def heat_map(
        self, category: int | None = None, bins: int = 32
    ) -> NDArray[np.float64]:
        """Where in the image the boxes of a class are.

        Args:
            category: position of the class; None for all objects
            bins: the number of rows, and of columns, that images are divided into

        Returns:
            ``(bins, bins)``, from the top and from the left: the share of objects
            that cover a point in that part of the image, on average over its points;
            zeros without objects
        """
        rows = self._rows(category)
        total = np.zeros((bins, bins))
        size = np.tile(self.labeled.image_size, 2)
        for start in range(0, len(rows), _OBJECTS_AT_ONCE):
            some = rows[start : start + _OBJECTS_AT_ONCE]
            left, top, right, bottom = (bins * self._clipped[some] / size[some]).T
            total += _covered(top, bottom, bins).T @ _covered(left, right, bins)
        return total / max(len(rows), 1)

    def center_map(
        self, category: int | None = None, bins: int = 32
    ) -> NDArray[np.float64]:
        """Where in the image the centers of the boxes of a class are.

        Args:
            category: position of the class; None for all objects
            bins: the number of rows, and of columns, that images are divided into

        Returns:
            ``(bins, bins)``, from the top and from the left: the share of the
            objects with their center there; a center outside counts at the border
        """
        rows = self._rows(category)
        cells = np.floor(self.center[rows].T * bins).astype(np.int64)
        column, row = np.clip(cells, 0, bins - 1)
        counts = np.bincount(row * bins + column, minlength=bins * bins)
        return counts.reshape(bins, bins) / max(len(rows), 1)

    def rows_covering(
        self, row: int, column: int, category: int | None = None, bins: int = 32
    ) -> NDArray[np.int64]:
        """The objects that cover some of one cell of :meth:`heat_map`.

        Args:
            row: of the map, from the top
            column: of the map, from the left
            category: position of the class; None for all objects
            bins: as for the map

        Returns:
            rows of objects
        """
        rows = self._rows(category)
        size = np.tile(self.labeled.image_size[rows], 2)
        left, top, right, bottom = (bins * self._clipped[rows] / size).T
        across = np.minimum(right, column + 1) > np.maximum(left, column)
        down = np.minimum(bottom, row + 1) > np.maximum(top, row)
        return rows[across & down]

    def _rows(self, category: int | None) -> NDArray[np.int64]:
        if category is None:
            return np.arange(len(self))
        return np.flatnonzero(self.labeled.objects.category == category)

    def per_class(self) -> pd.DataFrame:
        """The objects of each class, in the dataset's order.

        Returns:
            a frame with the index ``class`` and columns ``objects``, ``images`` that
            show the class, quantiles such as ``width_05``, ``width_median`` and
            ``width_95`` of ``width``, ``height``, ``area`` and ``aspect_ratio``, and
            the shares ``small``, ``medium``, ``large`` and ``truncated``; NaN where
            a class has no objects
        """
        import pandas as pd

        category, num_classes = self._category
        count = np.bincount(category, minlength=num_classes)
        shown = np.unique(self.labeled.objects.image * num_classes + category)
        columns: dict[str, NDArray] = {
            "objects": count,
            "images": np.bincount(shown % max(num_classes, 1), minlength=num_classes),
        }
        for name, values in (
            ("width", self.width),
            ("height", self.height),
            ("area", self.area),
            ("aspect_ratio", self.box_aspect_ratio),
        ):
            found = quantiles_per_class(
                values, category, num_classes, (0.05, 0.5, 0.95)
            )
            for suffix, quantile in zip(("05", "median", "95"), found.T, strict=True):
                columns[f"{name}_{suffix}"] = quantile
        for code, name in enumerate(SIZE_CLASSES):
            columns[name] = self.share_per_class(self.size_class == code)
        columns["truncated"] = self.share_per_class(self.truncated)
        return pd.DataFrame(
            columns, index=pd.Index(self.labeled.classes, name="class", dtype=object)
        )

    def share_per_class(self, which: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The share of some objects in each class.

        Args:
            which: ``(N,)`` whether an object is one of them

        Returns:
            ``(K,)``; NaN for classes without objects
        """
        category, num_classes = self._category
        count = np.bincount(category, minlength=num_classes)
        found = np.bincount(category[which], minlength=num_classes)
        return found / np.where(count > 0, count, np.nan)


def _covered(
    start: NDArray[np.float64], end: NDArray[np.float64], bins: int
) -> NDArray[np.float64]:
    """``(N, bins)`` the share of each unit interval from 0 that ``N`` spans cover."""
    unit = np.arange(bins)
    overlap = np.minimum(end[:, None], unit + 1) - np.maximum(start[:, None], unit)
    return np.maximum(overlap, 0)
