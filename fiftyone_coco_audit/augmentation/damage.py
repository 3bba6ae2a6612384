"""What pipelines do to labels, measured on the pixels of the objects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from math import sqrt
from typing import TYPE_CHECKING, Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.areas import AREA_RANGES
from fiftyone_coco_audit.augmentation.targets import (
    AugmentationTarget,
    AugmentedSample,
    Map,
    window,
)
from fiftyone_coco_audit.boxes import box_iou
from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.wording import counted

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Thresholds:
    """The limits above which a measure is called damage.

    With the defaults, scaling and padding with a constant are not damage, and usual
    training augmentation does little.

    Attributes:
        pixels: the minimum number of pixels that a whole object has in the output to be
            checked, except for shrinking
        visible: the share of an object that must be visible for its box to be missed
        unlabeled: the share of an object that is visible outside its boxes
        looseness: how many times larger a box is than the tight one
        slack: how many pixels wider than the tight box a loose box must be, as squares
            of the same areas
        held: a box that holds less than this share of its object is empty
        truncated: the share of an object that was cut off
        occluded: the share of the visible part that a dropout has overwritten
        size: the square root of a box's area, in pixels, under which it is too small to
            be learned, if it was not before
        thin: boxes with a side under this many pixels are degenerate
    """

    pixels: float = 16.0
    visible: float = 0.1
    unlabeled: float = 0.1
    looseness: float = 1.5
    slack: float = 2.0
    held: float = 0.05
    truncated: float = 0.5
    occluded: float = 0.5
    size: float = 4.0
    thin: float = 1.0


DEFAULT_THRESHOLDS = Thresholds()


@dataclass(frozen=True, repr=False)
class DamageTable(ShortRepr):
    """Measures of objects, one row per object and draw.

    "Whole" below is the number of pixels that the object would have in the output if
    nothing of it were cut off: its pixels in the source times the magnification. That
    is measured where the object is seen; so resizing is never taken for truncation.

    Attributes:
        sample: ``(R,)`` position of the sample
        object: ``(R,)`` row of the object in its sample
        draw: ``(R,)`` number of the draw
        category: ``(R,)`` position of the class
        area: ``(R,)`` area of the box in the source, in square pixels
        judged: ``(R,)`` whether it had a box with an area in the source
        boxes: ``(R,)`` how many boxes are left
        whole: ``(R,)`` see above
        pixels: ``(R,)`` pixels in the output, those that dropouts overwrote included;
            mirrored copies count
        visible: ``(R,)`` pixels in the output that no dropout has overwritten
        unlabeled: ``(R,)`` visible pixels outside all boxes of the object, a pixel of
            rounding aside
        held: ``(R,)`` share of the whole that is visible in the boxes; more than 1
            with mirrored copies
        truncated: ``(R,)`` share of the whole that is not in the output, 0 to 1
        occluded: ``(R,)`` share of the pixels that dropouts overwrote, 0 to 1
        looseness: ``(R,)`` area of the box against the box around the pixels in it, as
            a multiple of what that was in the source, for the worst of several boxes;
            without a mask against the pixels of the transformed box, which is an upper
            bound for objects that fill their box as rectangles and ellipses do. NaN
            without a box with pixels
        slack: ``(R,)`` by how many pixels a square of that box's area is too wide; NaN
            where looseness is
        size: ``(R,)`` square root of the area that the whole box has in the output
        thinnest: ``(R,)`` the shortest side of the boxes in pixels; NaN without a box
        swapped: ``(R,)`` whether a box came out with another class, or lies on another
            object while its own is elsewhere
    """

    sample: NDArray[np.int64]
    object: NDArray[np.int64]
    draw: NDArray[np.int64]
    category: NDArray[np.int64]
    area: NDArray[np.float64]
    judged: NDArray[np.bool_]
    boxes: NDArray[np.int64]
    whole: NDArray[np.float64]
    pixels: NDArray[np.int64]
    visible: NDArray[np.int64]
    unlabeled: NDArray[np.int64]
    held: NDArray[np.float64]
    truncated: NDArray[np.float64]
    occluded: NDArray[np.float64]
    looseness: NDArray[np.float64]
    slack: NDArray[np.float64]
    size: NDArray[np.float64]
    thinnest: NDArray[np.float64]
    swapped: NDArray[np.bool_]

    def _about(self) -> str:
        samples = counted(len(np.unique(self.sample)), "sample")
        return f"of {counted(len(self), 'object')} in draws of {samples}"

    def __len__(self) -> int:
        return len(self.sample)

    @classmethod
    def concatenate(cls, tables: Iterable[DamageTable]) -> DamageTable:
        """The rows of several tables, in order."""
        parts = list(tables)
        columns = [[getattr(part, one.name) for part in parts] for one in fields(cls)]
        if not parts:
            columns = [[np.zeros(0, _dtype(str(one.type)))] for one in fields(cls)]
        return cls(*(np.concatenate(column) for column in columns))

    def of_samples(self, samples: NDArray[np.int64]) -> DamageTable:
        """The rows of some samples, by their positions."""
        rows = np.isin(self.sample, samples)
        return type(self)(*(getattr(self, one.name)[rows] for one in fields(self)))

    def kinds(
        self, thresholds: Thresholds = DEFAULT_THRESHOLDS
    ) -> dict[str, NDArray[np.bool_]]:
        """What kinds of damage each row has.

        Args:
            thresholds: from where on a measure is damage

        Returns:
            ``(R,)`` for each of :data:`KINDS`
        """
        large = self.judged & (self.whole >= thresholds.pixels)
        return {
            name: (self.judged if kind.of_few_pixels else large)
            & kind.found(self, thresholds)
            for name, kind in KINDS.items()
        }

    def to_frame(self) -> pd.DataFrame:
        """All measures, with the sample, the object and the draw as index."""
        import pandas as pd

        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        return pd.DataFrame(columns).set_index(["sample", "object", "draw"])

    def shares(self, thresholds: Thresholds = DEFAULT_THRESHOLDS) -> pd.DataFrame:
        """How frequent each kind of damage is.

        Args:
            thresholds: from where on a measure is damage

        Returns:
            a frame by kind: ``count`` rows, ``share`` of the rows judged, ``objects``
            concerned in any draw
        """
        return self._summary(np.zeros(len(self), np.int64), ["all"], thresholds).loc[
            "all"
        ]

    def by_class(
        self, classes: Sequence[str], thresholds: Thresholds = DEFAULT_THRESHOLDS
    ) -> pd.DataFrame:
        """The same for each class, with the class and the kind as index."""
        return self._summary(self.category, classes, thresholds)

    def by_size(self, thresholds: Thresholds = DEFAULT_THRESHOLDS) -> pd.DataFrame:
        """The same for COCO's sizes of boxes in the source."""
        limits = [AREA_RANGES[name][0] for name in ("medium", "large")]
        size = np.searchsorted(limits, self.area, side="right")
        return self._summary(size, list(AREA_RANGES), thresholds)

    def _summary(
        self,
        group: NDArray[np.int64],
        names: Sequence[str],
        thresholds: Thresholds,
    ) -> pd.DataFrame:
        import pandas as pd

        key = self.sample * (int(self.object.max(initial=0)) + 1) + self.object
        rows = np.bincount(group[self.judged], minlength=len(names))
        parts = []
        for kind, found in self.kinds(thresholds).items():
            count = np.bincount(group[found], minlength=len(names))
            _, first = np.unique(key[found], return_index=True)
            objects = np.bincount(group[found][first], minlength=len(names))
            share = np.divide(count, rows, out=np.zeros(len(names)), where=rows > 0)
            parts.append(
                pd.DataFrame(
                    {
                        "group": list(names),
                        "kind": kind,
                        "count": count,
                        "share": share,
                        "objects": objects,
                    }
                )
            )
        frame = pd.concat(parts).set_index(["group", "kind"])
        return frame.sort_index(level="group", sort_remaining=False, kind="stable")


@dataclass(frozen=True)
class Kind:
    """A kind of damage.

    Attributes:
        code: the code of its rule
        explanation: what it is, in one sentence
        found: finds the rows of a table that have it
        of_few_pixels: whether it also applies to objects with fewer pixels than
            :attr:`Thresholds.pixels`
    """

    code: str
    explanation: str
    found: Callable[[DamageTable, Thresholds], NDArray[np.bool_]]
    of_few_pixels: bool = False


def _dropped(table: DamageTable, limits: Thresholds) -> NDArray[np.bool_]:
    seen = table.visible >= limits.visible * table.whole
    return (table.boxes == 0) & seen & (table.visible >= limits.pixels)


#: All kinds of damage by name
KINDS: dict[str, Kind] = {
    "dropped": Kind(
        "CA601", "The object is still visible, but has lost its box.", _dropped
    ),
    "gone": Kind(
        "CA607",
        "Almost nothing of the object is left, and it has lost its box.",
        lambda table, limits: (table.boxes == 0) & ~_dropped(table, limits),
    ),
    "unlabeled": Kind(
        "CA602",
        "Parts or copies of the object are visible outside all of its boxes.",
        lambda table, limits: (
            (table.unlabeled >= limits.unlabeled * table.whole)
            & (table.unlabeled >= limits.pixels)
        ),
    ),
    "multiplied": Kind(
        "CA603", "The object has several boxes.", lambda table, limits: table.boxes > 1
    ),
    "loose": Kind(
        "CA604",
        "The box is much larger than what is left of the object.",
        lambda table, limits: (
            (table.looseness >= limits.looseness) & (table.slack >= limits.slack)
        ),
    ),
    "empty": Kind(
        "CA605",
        "The box contains almost nothing of its object.",
        lambda table, limits: (table.boxes > 0) & (table.held < limits.held),
    ),
    "truncated": Kind(
        "CA606",
        "Much of the object is cut off, and its box remains around the rest.",
        lambda table, limits: (table.boxes > 0) & (table.truncated >= limits.truncated),
    ),
    "shrunk": Kind(
        "CA608",
        "The object is shrunk to almost nothing, but keeps its box.",
        lambda table, limits: (
            (table.boxes > 0)
            & (table.size < limits.size)
            & (table.area >= limits.size**2)
        ),
        of_few_pixels=True,
    ),
    "occluded": Kind(
        "CA609",
        "A dropout covers much of the object, but its box remains.",
        lambda table, limits: (table.boxes > 0) & (table.occluded >= limits.occluded),
    ),
    "swapped": Kind(
        "CA610",
        "The box has another class, or lies on another object.",
        lambda table, limits: table.swapped,
    ),
    "degenerate": Kind(
        "CA611",
        "The box is almost a line.",
        lambda table, limits: table.thinnest < limits.thin,
    ),
}


def _dtype(annotation: str) -> Any:
    """The type of the numbers of a column, by its annotation."""
    return getattr(np, annotation.removeprefix("NDArray[np.").removesuffix("]"))


def measure(
    target: AugmentationTarget,
    drawn: AugmentedSample,
    *,
    sample: int = 0,
    draw: int = 0,
) -> DamageTable:
    """Measures what one draw did to the labels of a sample.

    Args:
        target: the sample
        drawn: what :func:`.targets.run` made of it, with pixels
        sample: position of the sample
        draw: number of the draw

    Returns:
        a :class:`DamageTable` with one row for each object, in their order
    """
    count = len(target)
    boxes = np.bincount(drawn.object, minlength=count)
    thinnest = np.full(count, np.nan)
    np.fmin.at(thinnest, drawn.object, drawn.box[:, 2:].min(axis=1))
    area = target.box[:, 2:].prod(axis=1)
    found = _in_boxes(target, drawn, boxes, area)
    outside = unlabeled = _counts(found.rest, target)
    if drawn.covered is not None:
        uncovered = 1 - drawn.covered
        unlabeled = _counts([layer * uncovered for layer in found.rest], target)
    pixels, visible = found.inside + outside, found.shown + unlabeled

    # If nothing remains of the source, its size is unknown
    magnification = found.magnification
    magnification[np.isnan(magnification)] = 1.0
    whole = target.pixels * magnification
    safe = np.maximum(whole, 1e-9)
    return DamageTable(
        sample=np.full(count, sample, np.int64),
        object=np.arange(count),
        draw=np.full(count, draw, np.int64),
        category=target.category,
        area=area,
        judged=target.usable,
        boxes=boxes,
        whole=whole,
        pixels=pixels,
        visible=visible,
        unlabeled=unlabeled,
        held=found.shown / safe,
        truncated=np.clip(1 - pixels / safe, 0, 1) * target.usable,
        occluded=1 - visible / np.maximum(pixels, 1) - (pixels == 0),
        looseness=found.looseness,
        slack=found.slack,
        size=np.sqrt(area * magnification),
        thinnest=thinnest,
        swapped=found.swapped,
    )


@dataclass(frozen=True)
class _InBoxes:
    """What the boxes of a draw contain of their objects, in the order of the objects.

    Attributes:
        inside: pixels in boxes of their own
        shown: those of them that nothing covers
        looseness, slack: of the tightest box; see :class:`DamageTable`
        magnification: of the image around the last box
        swapped: whether a box has another class or is on another object
        rest: the maps without what is in a box of its own
    """

    inside: NDArray[np.int64]
    shown: NDArray[np.int64]
    looseness: NDArray[np.float64]
    slack: NDArray[np.float64]
    magnification: NDArray[np.float64]
    swapped: NDArray[np.bool_]
    rest: list[Map]


def _in_boxes(
    target: AugmentationTarget,
    drawn: AugmentedSample,
    boxes: NDArray[np.int64],
    area: NDArray[np.float64],
) -> _InBoxes:
    count = len(target)
    inside, shown = np.zeros(count, np.int64), np.zeros(count, np.int64)
    looseness, slack = np.full(count, np.nan), np.full(count, np.nan)
    magnification = np.full(count, drawn.magnification.overall)
    swapped = np.zeros(count, bool)
    renamed = drawn.category != target.category[drawn.object]
    np.logical_or.at(swapped, drawn.object, renamed)

    # How large the boxes of the source are, relative to what is compared below
    needed = np.where(target.from_box, target.pixels, target.tight[:, 2:].prod(axis=1))
    before = (area / np.maximum(needed, 1)).tolist()
    rest = [layer.copy() for layer in drawn.maps]
    uncovered = None if drawn.covered is None else 1 - drawn.covered
    for place, (row, box) in enumerate(
        zip(drawn.object.tolist(), drawn.box.tolist(), strict=True)
    ):
        layer, number = target.map_of[row], int(target.number[row])
        spot = window(box, drawn.image.shape)
        own = _where(drawn.maps[layer][spot], number)
        _, _, width, height = cv2.boundingRect(own) if own.size else (0, 0, 0, 0)
        if drawn.magnification.grid is not None:
            magnification[row] = drawn.magnification.around(*box)
        if not width:
            swapped[row] |= _on_another(target, drawn, place)
            continue
        least = before[row] * (
            cv2.countNonZero(own) if target.from_box[row] else width * height
        )
        if not box[2] * box[3] <= looseness[row] * least:
            looseness[row] = box[2] * box[3] / least
            slack[row] = sqrt(box[2] * box[3]) - sqrt(least)
        if boxes[row] > 1:
            # Boxes of copies can overlap
            own &= _where(rest[layer][spot], number)
        inside[row] += cv2.countNonZero(own)
        rest[layer][spot] &= ~own
        if uncovered is not None:
            own *= uncovered[spot]
        shown[row] += cv2.countNonZero(own)
    return _InBoxes(inside, shown, looseness, slack, magnification, swapped, rest)


def _where(layer: Map, number: int) -> Map:
    """255 where a map has a number, for OpenCV."""
    return np.asarray(cv2.compare(layer, cast(Any, number), cv2.CMP_EQ), np.uint8)


def _counts(maps: Sequence[Map], target: AugmentationTarget) -> NDArray[np.int64]:
    """``(N,)`` number of pixels of each object."""
    counts = np.zeros((len(maps) + 1, 256), np.int64)
    for index, layer in enumerate(maps):
        # Almost nothing is left in most maps, which this check finds quickly
        if cv2.countNonZero(layer):
            counts[index] = np.bincount(layer[layer > 0], minlength=256)
    return counts[target.map_of, target.number]


def _on_another(target: AugmentationTarget, drawn: AugmentedSample, place: int) -> bool:
    """Whether a box without its own object fits another one."""
    row, box = int(drawn.object[place]), drawn.box[place]
    mask = drawn.maps[target.map_of[row]] == target.number[row]
    if not mask.any():
        return False
    others = np.flatnonzero(target.usable & (np.arange(len(target)) != row))
    around = np.zeros((len(others), 4))
    for index, other in enumerate(others.tolist()):
        mask = drawn.maps[target.map_of[other]] == target.number[other]
        around[index] = cv2.boundingRect(mask.astype(np.uint8))
    return bool((box_iou(box, around) >= 0.5).any())
