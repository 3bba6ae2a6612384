"""What AP would be if something were different, and how sure the gain is.

A change is the ranking of an evaluation with other outcomes, and the gain is its AP
less that of the evaluation. Intervals come from the paired bootstrap (Efron and
Tibshirani, "An Introduction to the Bootstrap", 1993): both APs are those of the same
draw of images, which is a weight of each image, so nothing is matched again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.evaluation.analysis.bootstrap import (
    class_mean,
    image_draws,
    interval,
)
from fiftyone_coco_audit.evaluation.analysis.error_costs import ErrorsAt
from fiftyone_coco_audit.evaluation.metrics import Evaluation
from fiftyone_coco_audit.evaluation.ranking import Ranking, ranking_order
from fiftyone_coco_audit.findings import Gain
from fiftyone_coco_audit.wording import counted

Weights = NDArray[np.int64]


@dataclass(frozen=True, repr=False)
class Change(ShortRepr):
    """Other outcomes of some of the ``K`` classes of an evaluation.

    Attributes:
        rankings: the predictions of these classes; one ranking of all ``T`` thresholds,
            or one of each
        classes: ``(K,)`` which classes can have another AP
        keeps_classes: whether a class that has nothing left to be found keeps its AP,
            rather than having none
    """

    rankings: Sequence[Ranking]
    classes: NDArray[np.bool_]
    keeps_classes: bool = False

    def _about(self) -> str:
        return f"of {counted(int(self.classes.sum()), 'class')}"

    def of_classes(self, classes: NDArray[np.bool_]) -> Change:
        """The change in some of its classes only, ``(K,)``."""
        some = self.classes & classes
        parts = [ranking.of_classes(some) for ranking in self.rankings]
        return Change(parts, some, self.keeps_classes)

    def average_precision(self, weights: Weights | None = None) -> NDArray[np.float64]:
        """``(K,)`` mean AP over the thresholds; see :meth:`.ranking.Ranking.curves`."""
        ap = [ranking.average_precision(weights) for ranking in self.rankings]
        mean: NDArray[np.float64] = np.concatenate(ap).mean(axis=0)
        return mean


@dataclass(frozen=True, repr=False)
class FoundLikeOthers(Change):
    """Some objects found like the others of their class: at the same recall and scores.

    With ``N`` objects of a class, precision at recall ``R`` is ``R N / (R N + F)``,
    where ``R`` is the recall of the other objects, and ``F`` the false positives. That
    is the normalized precision of Hoiem et al., "Diagnosing Error in Object Detectors",
    ECCV 2012, for the number of objects that there are. A class without others keeps
    its AP.

    Attributes:
        category: ``(M,)`` classes of all objects that are to be found
        image: ``(M,)`` their images
    """

    category: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    image: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def of_classes(self, classes: NDArray[np.bool_]) -> FoundLikeOthers:
        """The change in some of its classes only, ``(K,)``."""
        part = super().of_classes(classes)
        return replace(self, rankings=part.rankings, classes=part.classes)

    def average_precision(self, weights: Weights | None = None) -> NDArray[np.float64]:
        """``(K,)`` mean AP over the thresholds."""
        (ranking,) = self.rankings
        counts = np.bincount(
            self.category,
            None if weights is None else weights[self.image],
            minlength=len(self.classes),
        )
        ap = ranking.average_precision(weights, counts.astype(np.int64))
        mean: NDArray[np.float64] = ap.mean(axis=0)
        return mean


def found_like_others(
    evaluation: Evaluation, objects: NDArray[np.bool_]
) -> FoundLikeOthers:
    """The change of finding some objects like the others of their class.

    Args:
        evaluation: an evaluation of columns
        objects: ``(M,)`` which objects; what was matched to them does not count
    """
    ranking = evaluation.ranking()
    order = ranking_order(evaluation.predictions, evaluation.matches)
    matches = evaluation.matches
    on_them = np.zeros((len(matches.truth[0]), len(order)), bool)
    # The last is that of predictions that match nothing
    on_them[:, matches.candidates] = np.r_[objects, False][matches.truth[0]]
    on_them = on_them[:, order]
    counts = ~evaluation.ignored[0]
    others = replace(
        ranking,
        true_positive=ranking.true_positive & ~on_them,
        counted=ranking.counted & ~on_them,
    ).where(np.ones(len(order), bool), ~objects[counts])
    classes = np.zeros(evaluation.num_categories, bool)
    classes[evaluation.truth.category[objects & counts]] = True
    return FoundLikeOthers(
        [others.of_classes(classes).without_ignored()],
        classes,
        keeps_classes=True,
        category=ranking.truth_category,
        image=ranking.truth_image,
    )


class Gains:
    """How much AP changes of an evaluation gain, on the same draws of its images."""

    def __init__(
        self, evaluation: Evaluation, place: NDArray[np.int64], num_draws: int
    ) -> None:
        """Draws the images.

        Args:
            evaluation: an evaluation of columns
            place: ``(num_images,)`` the position of each image in the draws
            num_draws: how many times as many images are drawn
        """
        #: How many times each image occurs in each draw
        self._ranking = evaluation.ranking().without_ignored()
        self.draws = [
            draw[place] for draw in image_draws(evaluation.num_images, num_draws)
        ]

    @property
    def ap(self) -> NDArray[np.float64]:
        """``(K,)`` the AP of each class as it is, NaN for classes without objects."""
        return self._ap[0]

    @cached_property
    def _ap(self) -> NDArray[np.float64]:
        """``(1 + num_draws, K)`` AP on all images, and on each draw."""
        ap = [
            self._ranking.average_precision(weights).mean(axis=0)
            for weights in (None, *self.draws)
        ]
        return np.stack(ap)

    def by_class(self, change: Change) -> NDArray[np.float64]:
        """The AP of each class after a change.

        Args:
            change: the change

        Returns:
            ``(K,)``, NaN for classes without objects
        """
        return _after(change, self._ap[0], change.average_precision())

    def value(self, change: Change) -> float:
        """How much AP a change gains on all images."""
        gain = class_mean(self.by_class(change)) - class_mean(self._ap[0])
        return float(gain)

    def of(self, change: Change) -> Gain:
        """How much AP a change gains, with a 95% interval."""
        drawn = [
            class_mean(_after(change, ap, change.average_precision(weights)))
            for ap, weights in zip(self._ap[1:], self.draws, strict=True)
        ]
        low, high = interval(np.array(drawn) - class_mean(self._ap[1:]))
        return Gain(self.value(change), float(low), float(high))


def _after(
    change: Change, before: NDArray[np.float64], changed: NDArray[np.float64]
) -> NDArray[np.float64]:
    if change.keeps_classes:
        changed = np.where(np.isnan(changed), before, changed)
    return np.where(change.classes, changed, before)


def repair(errors: Sequence[ErrorsAt], name: str, classes: NDArray[np.bool_]) -> Change:
    """The change of repairing errors of one type, as :mod:`.error_types` defines it.

    Args:
        errors: the errors at each threshold
        name: one of :data:`.error_types.ERROR_TYPES`
        classes: ``(K,)`` the classes whose errors are repaired: those of the
            predictions, or of the objects that are missed
    """
    rankings = []
    affected = np.zeros(len(classes), bool)
    for at in errors:
        predicted = at.evaluation.predictions.category
        true = at.evaluation.truth.category
        wrong, missed = at.of_type(name)
        wrong, missed = wrong & classes[predicted], missed & classes[true]
        rankings.append(at.repaired(wrong, missed))
        # The last is that of predictions that are removed
        others = np.zeros(len(classes) + 1, bool)
        others[at.right_class[wrong]] = True
        affected |= others[:-1]
        affected[predicted[wrong]] = True
        affected[true[missed]] = True
    parts = [ranking.of_classes(affected).without_ignored() for ranking in rankings]
    return Change(parts, affected, keeps_classes=True)
