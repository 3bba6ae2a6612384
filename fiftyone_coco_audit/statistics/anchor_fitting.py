"""Anchors fitted to the objects of a set, and what they gain on images not seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.boxes import size_iou
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.objects import LabeledImages
from fiftyone_coco_audit.statistics.anchor_sets import AnchorLevel, AnchorSet, Shape
from fiftyone_coco_audit.statistics.anchors import (
    AnchorMatches,
    anchor_ratio,
)
from fiftyone_coco_audit.statistics.resizing import ResizePolicy
from fiftyone_coco_audit.wording import counted, percent

Method = Literal["kmeans", "evolve"]

#: Boxes that anchors are fitted to, drawn from more; they fix the quantiles of sizes to
#: a percent or so, which is less than what the anchors of one level are apart
MOST_BOXES = 4000
#: Boxes with a side of fewer pixels are not fitted to, as in YOLOv5's autoanchor
LEAST_SIDE = 2.0
#: Objects for each anchor under which anchors would be fitted to chance
LEAST_PER_ANCHOR = 5
#: The share of the images that anchors are not fitted to, but measured on
HELD_OUT = 0.3
#: What reach or mean IoU must gain to be more than chance
LEAST_GAIN = 0.005

_ROUNDS = 30
_GENERATIONS = 3000
# YOLOv5's: how much an anchor's sides change, and how much at most
_MUTATION, _MUTATION_RANGE = 0.1, (0.3, 3.0)

#: The scores of all boxes and an anchor: its position in the set, and its shape
_Score = Callable[[int, Shape], NDArray[np.float64]]


def fit_anchors(
    sides: NDArray[np.float64],
    number: int,
    *,
    method: Method = "evolve",
    seed: int = 51,
) -> NDArray[np.float64]:
    """Fits anchors to boxes, wherever these are.

    First by k-means with the distance ``1 - IoU`` of boxes with the same center
    (Redmon and Farhadi, "YOLO9000", CVPR 2017, section 2), but with medians for
    centers, which a few huge boxes do not pull away; k-means++ draws the first ones.
    Then they may evolve; see :func:`refit_anchors`.

    Of more than :data:`MOST_BOXES` boxes that many are drawn.

    Args:
        sides: ``(N, 2)`` widths and heights in pixels of the network's input
        number: the number of anchors
        method: ``"kmeans"``, or ``"evolve"`` for both steps, which makes the mean of
            the best IoU larger, counting only IoUs of .5 and above
        seed: of all that is random

    Returns:
        ``(number, 2)`` widths and heights by area

    Raises:
        CocoAuditError: if there are no boxes of 2 pixels or more, or no anchors to fit
    """
    rng = np.random.default_rng(seed)
    boxes = sides[_drawn(sides, rng)]
    if not len(boxes) or number < 1:
        raise CocoAuditError(
            f"{number} anchors cannot be fitted to {len(boxes)} boxes of "
            f"{LEAST_SIDE:g} x {LEAST_SIDE:g} pixels or more: at least one "
            "anchor and one box are needed"
        )
    shapes = _k_means(boxes, number, rng)
    if method == "evolve":
        columns = np.ascontiguousarray(boxes.T)
        shapes = _Evolution(
            lambda _, shape: size_iou(columns, np.array(shape)[:, None]), 0.5, shapes
        ).evolved(rng)
    return _by_area(shapes)


def refit_anchors(matches: AnchorMatches, *, seed: int = 51) -> AnchorSet:
    """Fits a set of anchors to objects, with as many for each level as it has.

    It begins with the anchors of :func:`fit_anchors`, the smallest for the first level
    and so on as in YOLO, or with the present ones if these are fitter. They evolve as
    in YOLOv5's ``autoanchor``: sides are multiplied by random factors, and what is
    fitter is kept. The fitness is its as well, the mean over the objects of the best
    score, 0 where that is not positive; but it is the score that the set's assignment
    has, so that an IoU is one at the anchor's place on the feature map of its level.
    One anchor is changed at a time, so that only its scores have to be computed.

    Args:
        matches: the objects and the present anchors
        seed: of all that is random

    Returns:
        an :class:`.anchor_sets.AnchorSet`, to a hundredth of a pixel

    Raises:
        CocoAuditError: if there is nothing to fit, or nothing to fit to
    """
    anchors = matches.anchors
    fitted = fit_anchors(
        matches.box[:, 2:], len(anchors.shapes), method="kmeans", seed=seed
    )
    rng = np.random.default_rng(seed)
    rows = _drawn(matches.box[:, 2:], rng)
    columns = np.ascontiguousarray(matches.box[rows, 2:].T)
    off = [matches.off_center(level)[:, rows] for level in range(len(anchors.levels))]

    def score(position: int, shape: Shape) -> NDArray[np.float64]:
        if anchors.assignment.by == "ratio":
            return anchor_ratio(columns, shape)
        off_center = off[anchors.level_of[position]]
        return size_iou(columns, np.array(shape)[:, None], off_center)

    positive = anchors.assignment.positive
    starts = [
        _Evolution(score, positive, shapes) for shapes in (anchors.shapes, fitted)
    ]
    evolved = max(starts, key=lambda start: start.fitness).evolved(rng)
    counts = [len(level.shapes) for level in anchors.levels]
    parts = np.split(evolved.round(2), np.cumsum(counts)[:-1])
    levels = tuple(
        AnchorLevel(level.stride, tuple((w, h) for w, h in _by_area(part).tolist()))
        for level, part in zip(anchors.levels, parts, strict=True)
    )
    return replace(anchors, name=f"{anchors.name}, refitted", levels=levels)


def _drawn(sides: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows of the boxes to fit to."""
    rows = np.flatnonzero((sides >= LEAST_SIDE).all(axis=1))
    return rng.permutation(rows)[:MOST_BOXES]


def _by_area(shapes: NDArray[np.float64]) -> NDArray[np.float64]:
    return shapes[np.argsort(shapes.prod(axis=1), kind="stable")]


def _k_means(
    boxes: NDArray[np.float64], number: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    shapes = _k_means_plus_plus(boxes, number, rng)
    members = np.full(len(boxes), -1)
    for _ in range(_ROUNDS):
        nearest = size_iou(boxes.T[:, :, None], shapes.T[:, None]).argmax(axis=1)
        if (nearest == members).all():
            break
        members = nearest
        for cluster in np.unique(members):
            shapes[cluster] = np.median(boxes[members == cluster], axis=0)
    return shapes


def _k_means_plus_plus(
    boxes: NDArray[np.float64], number: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Boxes that are far from each other (Arthur and Vassilvitskii, SODA 2007)."""
    shapes = np.empty((number, 2))
    distance = np.ones(len(boxes))
    for position in range(number):
        weight = distance**2
        total = weight.sum()
        # If all boxes are already drawn, any of them will do
        chance = weight / total if total > 0 else None
        shapes[position] = boxes[rng.choice(len(boxes), p=chance)]
        iou = size_iou(boxes.T, shapes[position][:, None])
        distance = np.minimum(distance, 1 - iou)
    return shapes


class _Evolution:
    """Anchors that evolve.

    Args:
        score: the scores of all boxes and an anchor
        positive: the minimum score that counts
        shapes: ``(A, 2)`` the anchors
    """

    def __init__(
        self, score: _Score, positive: float, shapes: NDArray[np.float64]
    ) -> None:
        self._score, self._positive = score, positive
        self._shapes = shapes.copy()
        pairs = enumerate(shapes.tolist())
        self._scores = np.array([score(at, (w, h)) for at, (w, h) in pairs])
        self._rank()

    def _rank(self) -> None:
        """Finds the best score of each box, its anchor, and the second best."""
        scores = self._scores
        self._first = scores.argmax(axis=0)
        self._best = scores.max(axis=0)
        self._second = np.zeros_like(self._best)
        if len(scores) > 1:
            self._second = np.partition(scores, -2, axis=0)[-2]
        self.fitness = self._fitness(self._best)

    def _fitness(self, best: NDArray[np.float64]) -> float:
        return float(np.where(best >= self._positive, best, 0).mean())

    def evolved(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """``(A, 2)`` the anchors after some generations."""
        for generation in range(_GENERATIONS):
            at = generation % len(self._shapes)
            factor = (1 + _MUTATION * rng.standard_normal(2)).clip(*_MUTATION_RANGE)
            mutant = np.maximum(self._shapes[at] * factor, LEAST_SIDE)
            column = self._score(at, (mutant[0], mutant[1]))
            others = np.where(self._first == at, self._second, self._best)
            if self._fitness(np.maximum(others, column)) > self.fitness:
                self._shapes[at], self._scores[at] = mutant, column
                self._rank()
        return self._shapes


@dataclass(frozen=True)
class Fit:
    """How well anchors match objects.

    Args:
        reach: the share of the objects that are not unreachable
        positive: the share that is positive
        mean_iou: the mean best IoU at the anchors' places
    """

    reach: float
    positive: float
    mean_iou: float

    @classmethod
    def of(cls, matches: AnchorMatches) -> Fit:
        """Measures matches; zeros without objects."""
        if not len(matches):
            return cls(0.0, 0.0, 0.0)
        shares = matches.shares
        return cls(
            1 - shares["unreachable"],
            shares["positive"],
            float(matches.best_iou.mean()),
        )


@dataclass(frozen=True)
class Proposal:
    """Anchors that are proposed in place of others.

    Args:
        anchors: the proposed ones; the present ones if these are to be kept
        before: how the present ones match the objects held out
        after: how the proposed ones do; the same as before if there are none
        images: the number of images held out
        objects: the number of objects held out
        reason: one sentence that says why
    """

    anchors: AnchorSet
    before: Fit
    after: Fit
    images: int
    objects: int
    reason: str

    @property
    def is_better(self) -> bool:
        """Whether others than the present anchors are proposed."""
        return self.after is not self.before


def propose_anchors(
    labeled: LabeledImages,
    resize: ResizePolicy,
    anchors: AnchorSet,
    *,
    seed: int = 51,
) -> Proposal:
    """Proposes better anchors, with the same levels and as many for each.

    They are fitted to the objects of 70% of the images and measured on the others,
    at their places on the feature maps. They are proposed only if they are better
    there: neither reach nor mean IoU is less, and one is more by :data:`LEAST_GAIN`.

    Args:
        labeled: the images and their objects
        resize: how images are resized for the network
        anchors: the present anchors
        seed: of the division of the images, and of the fit

    Returns:
        a :class:`Proposal`
    """
    held_out = np.zeros(len(labeled), np.bool_)
    order = np.random.default_rng(seed).permutation(len(labeled))
    held_out[order[: round(HELD_OUT * len(labeled))]] = True
    unseen = labeled.part(np.flatnonzero(held_out))
    before = Fit.of(AnchorMatches(unseen, resize, anchors))

    def keep(reason: str) -> Proposal:
        return Proposal(
            anchors, before, before, len(unseen), len(unseen.objects), reason
        )

    if not anchors.has_anchors:
        return keep("There are no anchors to fit.")
    seen = AnchorMatches(labeled.part(np.flatnonzero(~held_out)), resize, anchors)
    number = len(anchors.shapes)
    large = np.count_nonzero((seen.box[:, 2:] >= LEAST_SIDE).all(axis=1))
    if large < LEAST_PER_ANCHOR * number or not len(unseen.objects):
        return keep(
            f"{counted(int(large), 'object')} {'is' if large == 1 else 'are'} too few "
            f"to fit {counted(number, 'anchor')}: this takes "
            f"{LEAST_PER_ANCHOR * number:,}, and some more to measure them on."
        )
    fitted = refit_anchors(seen, seed=seed)
    after = Fit.of(AnchorMatches(unseen, resize, fitted))
    gains = (after.reach - before.reach, after.mean_iou - before.mean_iou)
    if min(gains) < 0 or max(gains) < LEAST_GAIN:
        return keep(
            f"Keep the current anchors: on {counted(len(unseen), 'held-out image')}, "
            f"fitted anchors reach {percent(after.reach)} of the objects (mean IoU "
            f"{after.mean_iou:.2f}), and the current ones {percent(before.reach)} "
            f"({before.mean_iou:.2f})."
        )
    return Proposal(
        fitted,
        before,
        after,
        len(unseen),
        len(unseen.objects),
        f"On {counted(len(unseen), 'held-out image')}, the fitted anchors reach "
        f"{percent(after.reach)} of the objects (mean IoU {after.mean_iou:.2f}), and "
        f"the current ones {percent(before.reach)} ({before.mean_iou:.2f}).",
    )
