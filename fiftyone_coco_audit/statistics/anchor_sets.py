"""Anchors of detectors: their shapes, where they are, and which objects they learn."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.escaping import shortened
from fiftyone_coco_audit.statistics.anchor_text import (
    EXAMPLE,
    kind_of_words,
    read_words,
    write_words,
)
from fiftyone_coco_audit.wording import counted

#: Width and height in pixels of the network's input
Shape = tuple[float, float]

#: What an object can be to the anchors
STATUSES = ("positive", "ignored", "unreachable")
POSITIVE, IGNORED, UNREACHABLE = range(len(STATUSES))

#: Anchors by the name of their detector, which :mod:`.anchor_presets` fills
PRESETS: dict[str, AnchorSet] = {}


@dataclass(frozen=True)
class AnchorLevel:
    """The anchors of one feature map.

    Args:
        stride: the distance of its cells in pixels of the network's input
        shapes: the anchors at each cell; none where there are only locations
        reach: only where there are no anchors: the smallest and, exclusive, the largest
            distance in pixels of the network's input between a location and the
            farthest side of its object
    """

    stride: float
    shapes: tuple[Shape, ...] = ()
    reach: tuple[float, float] | None = None


@dataclass(frozen=True)
class Assignment:
    """How a detector decides which anchors learn an object.

    Each way is a score of an object and an anchor in [0, 1], and two limits for it.

    Args:
        by: ``"iou"``, the IoU at the anchor's place; ``"ratio"``, the lowest of
            ``w / aw``, ``aw / w``, ``h / ah`` and ``ah / h``, wherever the anchor is;
            ``"distance"``, 1 if a location of the object's level is in its box, else 0
        positive: an object is learned by anchors of this score and above; by ratio,
            above it
        negative: an object whose best score is less, or by ratio is not more, is
            background to all anchors; between the two, it is ignored
        force_best: whether the best anchor learns an object whatever its score
    """

    by: Literal["iou", "ratio", "distance"]
    positive: float
    negative: float
    force_best: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.negative <= self.positive <= 1:
            raise CocoAuditError(
                f"anchors are positive from {self.positive:g} and negative below "
                f"{self.negative:g}, which is impossible: both must be above 0 and at "
                "most 1, and the first at least the second, as in 'iou .5,.4' or "
                "'ratio 4'"
            )

    @classmethod
    def by_ratio(cls, limit: float) -> Assignment:
        """YOLOv5's: no side of an object is ``limit`` times longer or shorter.

        Raises:
            CocoAuditError: if the limit is less than 1
        """
        if not limit >= 1:
            raise CocoAuditError(
                f"anchors have a ratio of {limit:g}, which no object can meet: give 1 "
                "or more, as in 'ratio 4'"
            )
        return cls("ratio", 1 / limit, 1 / limit)

    @classmethod
    def by_distance(cls) -> Assignment:
        """That of detectors without anchors."""
        return cls("distance", 1, 1)

    def status(self, score: NDArray[np.float64]) -> NDArray[np.int64]:
        """What objects are to the anchors.

        Args:
            score: ``(N,)`` the best of each object

        Returns:
            ``(N,)`` positions in :data:`STATUSES`
        """
        reaches = np.greater if self.by == "ratio" else np.greater_equal
        status = np.where(reaches(score, self.negative), IGNORED, UNREACHABLE)
        status[reaches(score, self.positive)] = POSITIVE
        return status


@dataclass(frozen=True, repr=False)
class AnchorSet(ShortRepr):
    """The anchors of a detector.

    Sets are equal if they do the same, whatever they are called.

    Args:
        name: what it is called
        levels: its feature maps
        assignment: which anchors learn an object
        offset: where in its cell an anchor is centered: at ``(x + offset) * stride``

    Raises:
        CocoAuditError: if a number cannot be what it is given as
    """

    name: str = field(compare=False)
    levels: tuple[AnchorLevel, ...]
    assignment: Assignment
    offset: float = 0.0

    def _about(self) -> str:
        return f"{shortened(self.name, 40)!r} of {counted(len(self.levels), 'level')}"

    def __post_init__(self) -> None:
        strides = [level.stride for level in self.levels]
        sides = self.shapes.ravel().tolist()
        if not strides or not all(0 < v < math.inf for v in [*strides, *sides]):
            raise CocoAuditError(
                f"anchors {self.name!r} have a stride or a side that is not a "
                "positive number of pixels, or no stride at all: give something like "
                "'sizes 32,64,128 ratios .5,1,2 strides 8,16,32'"
            )
        by_distance = self.assignment.by == "distance"
        if any((level.reach is None) == by_distance for level in self.levels):
            raise CocoAuditError(
                f"anchors {self.name!r} have ranges of distances, or none, which does "
                f"not fit their assignment by {self.assignment.by}: give ranges "
                "without sizes or anchors, as in 'ranges 64,128 strides 8,16,32'"
            )
        if any(bool(level.shapes) == by_distance for level in self.levels):
            raise CocoAuditError(
                f"anchors {self.name!r} have a level without anchors: give at least "
                "one for each stride"
            )
        if not 0 <= self.offset < 1:
            raise CocoAuditError(
                f"anchors {self.name!r} have an offset of {self.offset:g}, which is "
                "outside their cell: give 0 for its corner or .5 for its middle"
            )

    @classmethod
    def parse(cls, anchors: str | Mapping[str, Any] | AnchorSet) -> AnchorSet:
        """Reads anchors.

        Args:
            anchors: the name of one of :data:`PRESETS`, or words that
                are each followed by their values. What there is:

                -   ``sizes 32,64,128 ratios .5,1,2 strides 8,16,32``: square roots of
                    areas, the same number for each stride, and heights / widths, 1 by
                    default
                -   ``anchors 10x13,16x30/30x61,62x45 strides 8,16``: widths and
                    heights, those of a level separated by ``/``
                -   ``ranges 64,128,256 strides 8,16,32``: no anchors, but how far from
                    a location the farthest side of an object may be; without the last
                    one, any distance

                How they are assigned: ``iou .5,.4``, the minimum IoU of a positive, and
                of one that is not negative, which is also the default; ``force`` if
                the best one is positive anyway; or ``ratio 4``, as in YOLOv5. Where
                they are: ``offset .5`` for the middle of the cell, in place of its
                corner.

                A dict has these words as keys, as :meth:`to_dict` makes it, and may
                have a ``name``

        Returns:
            an :class:`AnchorSet`

        Raises:
            CocoAuditError: if they cannot be understood
        """
        if isinstance(anchors, AnchorSet):
            return anchors
        if isinstance(anchors, Mapping):
            return _of_words(anchors)
        text = str(anchors)
        preset = PRESETS.get(text.strip().lower())
        return _of_words(read_words(text, PRESETS)) if preset is None else preset

    def __str__(self) -> str:
        """The name of the preset, or the anchors as :meth:`parse` reads them.

        To a hundredth of a pixel.
        """
        if PRESETS.get(self.name) == self:
            return self.name
        return write_words(self._words())

    def to_dict(self) -> dict[str, Any]:
        """The anchors as a dict that JSON can hold and :meth:`parse` reads."""
        return {"name": self.name, **self._words()}

    def _words(self) -> dict[str, Any]:
        words: dict[str, Any] = {}
        if self.has_anchors:
            words["anchors"] = [
                [list(shape) for shape in level.shapes] for level in self.levels
            ]
        else:
            ends = [level.reach[1] for level in self.levels if level.reach]
            words["ranges"] = [end for end in ends if end < math.inf]
        words["strides"] = [level.stride for level in self.levels]
        if self.assignment.by == "ratio":
            words["ratio"] = 1 / self.assignment.positive
        elif self.has_anchors:
            words["iou"] = [self.assignment.positive, self.assignment.negative]
            if self.assignment.force_best:
                words["force"] = True
        words["offset"] = self.offset
        return words

    @property
    def has_anchors(self) -> bool:
        """Whether there are anchors, not only locations."""
        return self.assignment.by != "distance"

    @cached_property
    def shapes(self) -> NDArray[np.float64]:
        """``(A, 2)`` widths and heights of the anchors, level by level."""
        shapes = [shape for level in self.levels for shape in level.shapes]
        return np.array(shapes, np.float64).reshape(-1, 2)

    @cached_property
    def level_of(self) -> NDArray[np.int64]:
        """``(A,)`` the level of each anchor."""
        counts = [len(level.shapes) for level in self.levels]
        return np.repeat(np.arange(len(self.levels)), counts)

    @cached_property
    def cost(self) -> NDArray[np.float64]:
        """``(L,)`` the share of each level in an image's anchors, or locations."""
        number = [max(len(lv.shapes), 1) / lv.stride**2 for lv in self.levels]
        return np.array(number) / sum(number)


def shapes_of_sizes(
    sizes: Iterable[float], ratios: Iterable[float]
) -> tuple[Shape, ...]:
    """The anchors of one level that detectron2 and torchvision make of sizes.

    Args:
        sizes: square roots of the areas
        ratios: heights / widths

    Returns:
        widths and heights, size by size

    Raises:
        CocoAuditError: if a ratio is not positive
    """
    ratios = list(ratios)
    if not all(ratio > 0 for ratio in ratios):
        raise CocoAuditError(
            "anchors have a ratio (height / width) that is not positive: give some "
            "like 'ratios .5,1,2'"
        )
    return tuple(
        (size / math.sqrt(ratio), size * math.sqrt(ratio))
        for size in sizes
        for ratio in ratios
    )


def levels_of_ranges(
    strides: Sequence[float], ends: Sequence[float]
) -> tuple[AnchorLevel, ...]:
    """The levels of a detector without anchors.

    Args:
        strides: of the levels
        ends: the largest distance of each level, at which the next one begins; that
            of the last one may be left out

    Raises:
        CocoAuditError: if there are not as many, or they do not grow
    """
    bounds = [0.0, *ends, *[math.inf] * (len(ends) == len(strides) - 1)]
    if len(bounds) != len(strides) + 1 or not (np.diff(bounds) > 0).all():
        raise CocoAuditError(
            f"anchors have ranges that end at {list(ends)} for {len(strides)} strides: "
            "give one end for each stride but the last, each greater than the one "
            "before"
        )
    return tuple(
        AnchorLevel(stride, reach=reach)
        for stride, reach in zip(
            strides, zip(bounds[:-1], bounds[1:], strict=True), strict=True
        )
    )


def _of_words(values: Mapping[str, Any]) -> AnchorSet:
    """The anchors that words and their values describe."""
    kind = kind_of_words(values)
    try:
        strides = [float(stride) for stride in values["strides"]]
        return AnchorSet(
            name=str(values.get("name", "custom anchors")),
            levels=_levels(kind, values, strides),
            assignment=_assignment(kind, values),
            offset=float(values.get("offset", 0.5 if kind == "ranges" else 0)),
        )
    except CocoAuditError:
        raise
    except (IndexError, TypeError, ValueError):
        raise CocoAuditError(
            f"anchors {dict(values)!r} have an invalid value: give something like "
            f"{EXAMPLE}"
        ) from None


def _levels(
    kind: str, values: Mapping[str, Any], strides: Sequence[float]
) -> tuple[AnchorLevel, ...]:
    if kind == "ranges":
        return levels_of_ranges(strides, [float(end) for end in values["ranges"]])
    given = values[kind]
    shapes: Sequence[Sequence[Shape]]
    if kind == "sizes":
        ratios = [float(ratio) for ratio in values.get("ratios", (1,))]
        groups = [given] if np.isscalar(given[0]) else given
        shapes = [
            [_rounded(shape) for shape in shapes_of_sizes(sizes, ratios)]
            for sizes in _per_level(groups, len(strides), kind)
        ]
    else:
        groups = [given] if np.isscalar(given[0][0]) else given
        shapes = _per_level(groups, len(strides), kind)
    return tuple(
        AnchorLevel(stride, tuple((float(w), float(h)) for w, h in level))
        for stride, level in zip(strides, shapes, strict=True)
    )


def _per_level(groups: Sequence[Any], number: int, kind: str) -> Sequence[Any]:
    """As many groups as levels: a single one is divided equally among them."""
    if len(groups) == 1 and number and len(groups[0]) % number == 0:
        each = len(groups[0]) // number
        return [groups[0][each * k : each * (k + 1)] for k in range(number)]
    if len(groups) != number:
        raise CocoAuditError(
            f"anchors have {sum(map(len, groups))} {kind}, which cannot be divided "
            f"among {number} strides: give as many for each, or separate those of the "
            "levels by '/'"
        )
    return groups


def _rounded(shape: Shape) -> Shape:
    # To what the text of a set shows, so that it reads back as the same set
    return round(shape[0], 2), round(shape[1], 2)


def _assignment(kind: str, values: Mapping[str, Any]) -> Assignment:
    if kind == "ranges":
        return Assignment.by_distance()
    if "ratio" in values:
        return Assignment.by_ratio(float(values["ratio"]))
    positive, negative = values.get("iou", (0.5, 0.4))
    return Assignment(
        "iou", float(positive), float(negative), bool(values.get("force", False))
    )
