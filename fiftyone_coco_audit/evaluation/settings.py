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
from fiftyone_coco_audit.keypoints import COCO_SIGMAS

#: COCO's IoU thresholds, exactly as ``pycocotools.cocoeval.Params`` has them
IOU_THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())

#: The suffixes of metrics of COCO's ranges: APs, APm, APl
AREA_SUFFIXES = {"small": "s", "medium": "m", "large": "l"}

_ALL_AREAS = (0.0, 1e5**2)


# What COCO limits detections to, and the ranges of areas that it evaluates
_LIMITS = {"bbox": (1, 10, 100), "segm": (1, 10, 100), "keypoints": (20,)}
_RANGES = {
    **dict.fromkeys(("bbox", "segm"), AREA_RANGES),
    "keypoints": {name: AREA_RANGES[name] for name in ("medium", "large")},
}

#: The sigmas of the keypoints of a class by its name, None for all other classes
Sigmas = tuple[tuple[str | None, tuple[float, ...]], ...]


@dataclass(frozen=True)
class Settings:
    """The parameters of an evaluation, as ``COCOeval`` names them.

    Attributes:
        iou_type: ``"bbox"``, ``"segm"`` or ``"keypoints"``
        iou_thresholds: IoU thresholds, ascending; labels are marked as true or
            false at the first. Of keypoints, they are thresholds of OKS
        max_detections: detections per image and class, ascending; AP uses the
            last
        area_ranges: ranges of object area in square pixels by name; the first
            is ``"all"``, outside of which objects and predictions are ignored
        score_threshold: the minimum score of a prediction for an image's
            precision, recall and F1
        sigmas: how far keypoints may be off; none where they are not evaluated
    """

    iou_type: str = "bbox"
    iou_thresholds: tuple[float, ...] = IOU_THRESHOLDS
    max_detections: tuple[int, ...] = _LIMITS["bbox"]
    area_ranges: tuple[tuple[str, tuple[float, float]], ...] = (
        ("all", _ALL_AREAS),
        *AREA_RANGES.items(),
    )
    score_threshold: float = 0.5
    sigmas: Sigmas = ()

    @classmethod
    def parse(
        cls,
        *,
        iou_type: str = "bbox",
        iou_thresholds: Sequence[float] | None = None,
        max_detections: Sequence[int] | None = None,
        area_ranges: Mapping[str, Sequence[float]] | None = None,
        score_threshold: float = 0.5,
        sigmas: Sequence[float] | Mapping[str, Sequence[float]] | None = None,
    ) -> Settings:
        """Makes settings of a user's arguments, by default COCO's of the type.

        Raises:
            CocoAuditError: if an argument makes no sense
        """
        if iou_type not in _LIMITS:
            raise CocoAuditError(
                f"iou_type is {iou_type!r}, but must be 'bbox' (boxes), 'segm' (masks) "
                "or 'keypoints'"
            )
        thresholds = IOU_THRESHOLDS
        if iou_thresholds is not None:
            thresholds = _numbers(iou_thresholds)
        if not thresholds or not all(0 < t <= 1 for t in thresholds):
            raise CocoAuditError(
                f"iou_thresholds is {iou_thresholds!r}, but must be one or more "
                "numbers above 0 and at most 1, such as [0.5, 0.75]"
            )
        limits: tuple[float, ...] = _LIMITS[iou_type]
        if max_detections is not None:
            limits = _numbers(max_detections)
        if not limits or not all(0 < n < 2**53 and n == int(n) for n in limits):
            raise CocoAuditError(
                f"max_detections is {max_detections!r}, but must be one or more "
                "whole numbers above 0, such as (1, 10, 100)"
            )
        ranges = _RANGES[iou_type] if area_ranges is None else area_ranges
        _check_area_ranges(ranges, limits)
        if not any(map(isfinite, _numbers([score_threshold]))):
            raise CocoAuditError(
                f"score_threshold is {score_threshold!r}, but must be a finite number"
            )
        if sigmas is not None and iou_type != "keypoints":
            raise CocoAuditError(
                f"sigmas are of keypoints, but iou_type is {iou_type!r}: leave them "
                "out, or set iou_type to 'keypoints'"
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
            sigmas=_parse_sigmas(sigmas) if iou_type == "keypoints" else (),
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Settings:
        """Settings from what :func:`dataclasses.asdict` made of them, also by JSON."""
        ranges = ((name, tuple(bounds)) for name, bounds in values["area_ranges"])
        sigmas = (
            (name, tuple(of_class)) for name, of_class in values.get("sigmas", ())
        )
        return cls(
            iou_type=values["iou_type"],
            iou_thresholds=tuple(values["iou_thresholds"]),
            max_detections=tuple(values["max_detections"]),
            area_ranges=tuple(ranges),
            score_threshold=values["score_threshold"],
            sigmas=tuple(sigmas),
        )

    @property
    def overlap_name(self) -> str:
        """What an overlap is called: IoU, or OKS of keypoints."""
        return "OKS" if self.iou_type == "keypoints" else "IoU"

    def sigmas_of(self, name: str) -> tuple[float, ...]:
        """The sigmas of the keypoints of a class."""
        of_class = dict(self.sigmas)
        return of_class.get(name, of_class[None])

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


def _check_area_ranges(ranges: Any, limits: Iterable[float]) -> None:
    """Checks a user's ranges of areas.

    Args:
        ranges: what should map names to bounds
        limits: the limits on detections, whose metrics have names too

    Raises:
        CocoAuditError: if a name or a range makes no sense
    """
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


def _parse_sigmas(sigmas: Any) -> Sigmas:
    """A user's sigmas, of all classes or by class; COCO's for the others.

    Raises:
        CocoAuditError: if some are not numbers above 0
    """
    if sigmas is None:
        sigmas = {}
    by_class: dict[Any, Any] = {None: COCO_SIGMAS}
    by_class.update(sigmas if isinstance(sigmas, Mapping) else {None: sigmas})
    parsed = {}
    for name, of_class in by_class.items():
        parsed[name] = _numbers(of_class, in_order=False)
        if not parsed[name] or not all(0 < s and isfinite(s) for s in parsed[name]):
            where = "sigmas" if name is None else f"sigmas[{name!r}]"
            raise CocoAuditError(
                f"{where} is {of_class!r}, but must be a number above 0 for each "
                "keypoint of the class, such as [0.025, 0.1]"
            )
    return tuple(parsed.items())


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
