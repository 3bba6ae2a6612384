"""The metrics of slices: of objects or images that have something in common."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.evaluation.analysis.bootstrap import (
    bootstrap_ap,
    class_mean,
    interval,
)
from fiftyone_coco_audit.evaluation.matching import match
from fiftyone_coco_audit.evaluation.metrics import Evaluation, accumulate
from fiftyone_coco_audit.evaluation.subsets import images_only
from fiftyone_coco_audit.wording import counted

#: Slices of fewer objects are thin: one object more or less moves their recall by 3%
FEW_OBJECTS = 30

# More slices than these are identifiers, not groups
_MOST_SLICES = 50
_QUANTILES = 4


@dataclass(frozen=True, repr=False)
class Slice(ShortRepr):
    """Objects or images that have something in common.

    Attributes:
        evaluation: an evaluation in which only these count
        num_images: its images; for a slice of objects, those with any of these
        normal_positives: see :func:`.average_precision.precision_recall_curves`
    """

    evaluation: Evaluation
    num_images: int
    normal_positives: float

    def _about(self) -> str:
        return f"of {counted(self.num_images, 'image')}"


@dataclass(frozen=True)
class SliceMetrics:
    """The metrics of one slice.

    Attributes:
        num_images: its images; for a slice of objects, those with any of these
        num_objects: its objects, crowds aside
        ap: AP, NaN without objects
        ap_interval: the lower and the upper bound of AP over draws of images
        normalized_ap: AP of the normalized precision, NaN without objects
        ap50: AP at the threshold .50, NaN if that is not among the thresholds
        recall: mean recall over the thresholds and classes, at most detections (AR)
    """

    num_images: int
    num_objects: int
    ap: float
    ap_interval: tuple[float, float]
    normalized_ap: float
    ap50: float
    recall: float

    @property
    def thin(self) -> bool:
        """Whether there are too few objects to conclude from."""
        return self.num_objects < FEW_OBJECTS


def slice_of_images(evaluation: Evaluation, images: NDArray[np.bool_]) -> Slice:
    """Some of the images, as if only these had been evaluated.

    Args:
        evaluation: an evaluation of columns
        images: ``(num_images,)`` which images
    """
    part = images_only(evaluation, images)
    # Fewer images have fewer false positives, too
    normal = mean_objects(evaluation) * part.num_images / max(evaluation.num_images, 1)
    return Slice(part, part.num_images, normal)


def mean_objects(evaluation: Evaluation) -> float:
    """The mean number of objects of the classes that have any, crowds aside.

    Hoiem et al. normalize precision to .15 of the number of images, which is about
    this mean on their dataset, PASCAL VOC.
    """
    category = evaluation.truth.category[~evaluation.ignored[0]]
    return len(category) / max(len(np.unique(category)), 1)


def slice_of_objects(
    evaluation: Evaluation,
    objects: NDArray[np.bool_],
    predictions: NDArray[np.bool_] | None,
) -> Slice:
    """Some of the objects, evaluated as COCO does those of an area range.

    The other objects are ignored: they are neither missed, nor are predictions of them
    wrong. They are matched last, as in COCOeval, from the overlaps that are known.

    Args:
        evaluation: an evaluation of columns
        objects: ``(M,)`` which objects
        predictions: ``(N,)`` which predictions are of their kind: others that match
            nothing are ignored. None if that cannot be known: all count
    """
    settings = evaluation.settings
    rows = evaluation.matches.predictions
    ignored = (evaluation.ignored[0] | ~objects)[None]
    in_range = evaluation.in_range[:1]
    if predictions is not None:
        in_range = in_range & predictions[rows]
    matches = match(
        evaluation.truth,
        evaluation.predictions,
        evaluation.pairs,
        (rows, evaluation.matches.rank),
        iou_thresholds=np.array(settings.iou_thresholds),
        ignored=ignored,
    )
    part = accumulate(
        evaluation.truth,
        evaluation.predictions,
        evaluation.pairs,
        matches,
        ignored,
        num_images=evaluation.num_images,
        num_categories=evaluation.num_categories,
        settings=settings,
        in_range=in_range,
    )
    with_any = np.unique(evaluation.truth.image[~ignored[0]])
    return Slice(part, len(with_any), mean_objects(evaluation))


def slice_metrics(of: Slice, num_draws: int) -> SliceMetrics:
    """The metrics of a slice.

    Args:
        of: the slice
        num_draws: the number of draws of images for the interval
    """
    part = of.evaluation
    at_50 = part.settings.threshold_position(0.5)
    ap, ranking = part.ap[0], part.ranking()
    normalized = ranking.average_precision(normal_positives=of.normal_positives)
    bounds = (np.nan, np.nan)
    if num_draws and part.num_images:
        draws = bootstrap_ap(ranking, part.num_images, num_draws=num_draws)
        bounds = tuple(interval(class_mean(draws)).tolist())
    return SliceMetrics(
        num_images=of.num_images,
        num_objects=int((~part.ignored[0]).sum()),
        ap=float(class_mean(ap.mean(axis=0))),
        ap_interval=bounds,
        normalized_ap=float(class_mean(normalized.mean(axis=0))),
        ap50=float(np.nan if at_50 is None else class_mean(ap[at_50])),
        recall=float(class_mean(part.recall[0, -1].mean(axis=0))),
    )


def slices_of(
    values: NDArray[np.object_], bins: int | Sequence[float] | None
) -> tuple[list[str], NDArray[np.int64]]:
    """Divides values into slices.

    Args:
        values: ``(N,)`` numbers, texts or booleans, None where nothing is known
        bins: the edges of the slices of numbers, each slice with its lower and without
            its upper edge, the last with both; or a number of slices with about as many
            values each. By default, texts, booleans and few whole numbers are a slice
            each, and other numbers are 4

    Returns:
        a tuple of the names of slices, and ``(N,)`` positions among them, -1 where
        nothing is known or no slice holds the value

    Raises:
        CocoAuditError: if the values cannot be divided like that
    """
    known = np.array([value is not None and value == value for value in values], bool)
    given = values[known].tolist()
    position = np.full(len(values), -1)
    numeric = all(isinstance(value, (int, float)) for value in given) and not all(
        isinstance(value, bool) for value in given
    )
    whole = numeric and all(value == int(value) for value in given)
    if bins is None and (not numeric or (whole and len(set(given)) <= 10)):
        kinds = sorted(set(given), key=_natural_order)
        if len(kinds) > _MOST_SLICES:
            raise CocoAuditError(
                f"There are {len(kinds):,} different values, which are too many slices "
                f"to compare (the most are {_MOST_SLICES}): choose a field that groups"
            )
        place_of = {kind: n for n, kind in enumerate(kinds)}
        position[known] = [place_of[value] for value in given]
        return [str(kind) for kind in kinds], position
    if not numeric:
        raise CocoAuditError(
            "bins are for numbers, but there are other values, such as "
            f"{next(v for v in given if not isinstance(v, (int, float)))!r}: leave out "
            "bins, and each value is a slice"
        )
    numbers = np.array(given, float)
    edges = _edges(numbers, _QUANTILES if bins is None else bins)
    inside = (numbers >= edges[0]) & (numbers <= edges[-1])
    place = np.searchsorted(edges, numbers, side="right") - 1
    position[known] = np.where(inside, np.minimum(place, len(edges) - 2), -1)
    return _names(edges, whole=whole), position


def _natural_order(value: Any) -> tuple:
    """A key that orders texts by their numbers: "< 8 px", "8 - 16 px", "16 - 32 px"."""
    if not isinstance(value, str):
        return str(type(value)), value
    parts = [
        (0, int(part), "") if part.isdecimal() else (1, 0, part)
        for part in re.split(r"(\d+)", value.lstrip("<>= "))
        if part
    ]
    return str(str), parts[:1], not value.startswith("<"), parts[1:], value


def _names(edges: NDArray[np.float64], *, whole: bool) -> list[str]:
    """The names of slices of numbers, such as ``"16 to 31"`` where all are whole."""
    lower, upper = edges[:-1], edges[1:].copy()
    if whole:
        lower = np.ceil(lower)
        upper[:-1] = np.ceil(upper[:-1]) - 1
    shown = [
        [f"{n:,.0f}" if whole else f"{float(f'{n:.4g}'):,.10g}" for n in bounds]
        for bounds in (lower.tolist(), upper.tolist())
    ]
    return [
        low if low == high else f"{low} to {high}"
        for low, high in zip(*shown, strict=True)
    ]


def _edges(
    numbers: NDArray[np.float64], bins: int | Sequence[float]
) -> NDArray[np.float64]:
    if isinstance(bins, int):
        if not 1 <= bins <= _MOST_SLICES:
            raise CocoAuditError(
                f"bins is {bins}, but must be from 1 to {_MOST_SLICES}, or the edges"
            )
        shares = np.linspace(0, 1, bins + 1)
        edges = np.quantile(numbers, shares) if len(numbers) else shares
        # Where many numbers are the highest, they are a slice of their own
        return np.r_[np.unique(edges[:-1]), edges[-1]]
    try:
        edges = np.array([float(edge) for edge in bins])
    except (TypeError, ValueError):
        edges = np.array([])
    if not 2 <= len(edges) <= _MOST_SLICES + 1 or not (np.diff(edges) > 0).all():
        raise CocoAuditError(
            f"bins is {bins!r}, but must be a number of slices, or two or more "
            "ascending edges, such as [0, 16, 32, 96]"
        )
    return edges
