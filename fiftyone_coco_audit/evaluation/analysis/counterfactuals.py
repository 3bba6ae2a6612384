"""What AP would be if something were different, and how sure the gain is.

A change is the ranking of an evaluation with other outcomes, and the gain is its AP
less that of the evaluation. Intervals come from the paired bootstrap (Efron and
Tibshirani, "An Introduction to the Bootstrap", 1993): both APs are those of the same
draw of images, which is a weight of each image, so nothing is matched again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
from fiftyone_coco_audit.evaluation.ranking import Ranking
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
        self._ranking = evaluation.ranking().without_ignored()
        self._draws = [
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
            for weights in (None, *self._draws)
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
            _after(change, ap, change.average_precision(weights))
            for ap, weights in zip(self._ap[1:], self._draws, strict=True)
        ]
        low, high = interval(class_mean(np.stack(drawn)) - class_mean(self._ap[1:]))
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
