"""The settings of an evaluation, checked once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.areas import AREA_RANGES, in_area_ranges
from fiftyone_coco_audit.errors import CocoAuditError

#: COCO's IoU thresholds, exactly as ``pycocotools.cocoeval.Params`` has them
IOU_THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())

#: The suffixes of metrics of COCO's ranges: APs, APm, APl
AREA_SUFFIXES = {"small": "s", "medium": "m", "large": "l"}

_ALL_AREAS = (0.0, 1e5**2)


@dataclass(frozen=True)
class Settings:
    """The parameters of an evaluation, as ``COCOeval`` names them.

    Attributes:
        iou_type: ``"bbox"`` or ``"segm"``
        iou_thresholds: IoU thresholds, ascending; labels are marked as true or
            false at the first
        max_detections: detections per image and class, ascending; AP uses the
            last
        area_ranges: ranges of object area in square pixels by name; the first
            is ``"all"``, outside of which objects and predictions are ignored
        score_threshold: the minimum score of a prediction for an image's
            precision, recall and F1
    """

    iou_type: str = "bbox"
    iou_thresholds: tuple[float, ...] = IOU_THRESHOLDS
    max_detections: tuple[int, ...] = (1, 10, 100)
    area_ranges: tuple[tuple[str, tuple[float, float]], ...] = (
        ("all", _ALL_AREAS),
        *AREA_RANGES.items(),
    )
    score_threshold: float = 0.5

    @classmethod
    def parse(
        cls,
        *,
        iou_type: str = "bbox",
        iou_thresholds: Sequence[float] | None = None,
        max_detections: Sequence[int] = (1, 10, 100),
        area_ranges: Mapping[str, Sequence[float]] | None = None,
        score_threshold: float = 0.5,
    ) -> Settings:
        """Makes settings of a user's arguments.

        Raises:
            CocoAuditError: if an argument makes no sense
        """
        if iou_type not in ("bbox", "segm"):
            raise CocoAuditError(
                f"iou_type is {iou_type!r}, but must be 'bbox' (boxes) or 'segm' "
                "(masks)"
            )
        thresholds = IOU_THRESHOLDS
        if iou_thresholds is not None:
            thresholds = _numbers(iou_thresholds)
        if not thresholds or not all(0 < t <= 1 for t in thresholds):
            raise CocoAuditError(
                f"iou_thresholds is {iou_thresholds!r}, but must be one or more "
                "numbers above 0 and at most 1, such as [0.5, 0.75]"
            )
        limits = _numbers(max_detections)
        if not limits or not all(0 < n < 2**53 and n == int(n) for n in limits):
            raise CocoAuditError(
                f"max_detections is {max_detections!r}, but must be one or more "
                "whole numbers above 0, such as (1, 10, 100)"
            )
        ranges = AREA_RANGES if area_ranges is None else area_ranges
        if not isinstance(ranges, Mapping):
            raise CocoAuditError(
                f"area_ranges is {ranges!r}, but must map names to bounds of "
                "areas, such as {'tiny': (0, 256), 'rest': (256, 1e10)}"
            )
        taken = {"", "50", "75", *(f"{limit:.0f}" for limit in limits)}
        taken.update(AREA_SUFFIXES[name] for name in AREA_SUFFIXES if name in ranges)
        for name, bounds in ranges.items():
            if not isinstance(name, str):
                raise CocoAuditError(
                    f"area_ranges has the name {name!r}, but names must be text, such "
                    "as 'tiny'"
                )
            if name in taken:
                raise CocoAuditError(
                    f"area_ranges has the name {name!r}, but AP{name} or AR{name} is "
                    "another metric: choose another name, such as 'tiny'"
                )
            pair = _numbers(bounds, in_order=False)
            if len(pair) != 2 or not 0 <= pair[0] < pair[1]:
                raise CocoAuditError(
                    f"area_ranges[{name!r}] is {bounds!r}, but must be the minimum "
                    "and maximum area in square pixels, such as (0, 1024)"
                )
        if not any(map(isfinite, _numbers([score_threshold]))):
            raise CocoAuditError(
                f"score_threshold is {score_threshold!r}, but must be a finite number"
            )
        # As in pycocotools, whose areaRng holds "all" beside the others
        bounds_of = {"all": _ALL_AREAS, **ranges}
        return cls(
            iou_type=iou_type,
            iou_thresholds=thresholds,
            max_detections=tuple(int(limit) for limit in limits),
            area_ranges=tuple(
                (name, (float(low), float(high)))
                for name, (low, high) in bounds_of.items()
            ),
            score_threshold=float(score_threshold),
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Settings:
        """Settings from what :func:`dataclasses.asdict` made of them, also by JSON."""
        ranges = ((name, tuple(bounds)) for name, bounds in values["area_ranges"])
        return cls(
            iou_type=values["iou_type"],
            iou_thresholds=tuple(values["iou_thresholds"]),
            max_detections=tuple(values["max_detections"]),
            area_ranges=tuple(ranges),
            score_threshold=values["score_threshold"],
        )

    @property
    def area_names(self) -> tuple[str, ...]:
        """The names of the area ranges, ``"all"`` first."""
        return tuple(name for name, _ in self.area_ranges)

    def in_area_ranges(self, area: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which areas lie in which range, bounds included.

        Args:
            area: ``(N,)`` areas in square pixels

        Returns:
            ``(A, N)``
        """
        return in_area_ranges(area, [bounds for _, bounds in self.area_ranges])

    def threshold_position(self, iou: float) -> int | None:
        """The position of an IoU threshold, ``None`` if it is not among them."""
        close = np.flatnonzero(np.isclose(self.iou_thresholds, iou, rtol=0, atol=1e-9))
        return int(close[0]) if len(close) else None


def _numbers(values: Any, *, in_order: bool = True) -> tuple[float, ...]:
    """A user's numbers, none if there is anything else among them.

    Args:
        values: what should be several numbers
        in_order: whether to give each once, ascending
    """
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        return ()
    numbers = list(values)
    if not all(isinstance(n, Real) and not isinstance(n, bool) for n in numbers):
        return ()
    try:
        found = [float(number) for number in numbers]
    except OverflowError:
        return ()
    return tuple(sorted(set(found)) if in_order else found)
