"""All evaluated predictions by class and score: what COCO's curves are made of."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.evaluation.average_precision import (
    Curves,
    precision_recall_curves,
)
from fiftyone_coco_audit.evaluation.matching import UNMATCHED, Matches
from fiftyone_coco_audit.objects import Objects


@dataclass(frozen=True, repr=False)
class Ranking(ShortRepr):
    """``D`` predictions by class and descending score, and ``M`` objects.

    Every AP of an evaluation comes from one of these: with other outcomes, it is the
    AP if errors were repaired; with weights, that of a subset or resample of images.

    Attributes:
        category: ``(D,)`` positions of the predicted classes, non-decreasing
        image: ``(D,)`` positions of the images of the predictions
        score: ``(D,)`` scores, descending within a class; equal ones by image
        true_positive: ``(T, D)`` whether each is a true positive, by IoU threshold
        counted: ``(T, D)`` whether each is a true or a false positive, not ignored
        truth_category: ``(M,)`` positions of the classes of the objects to be found
        truth_image: ``(M,)`` positions of their images
        num_categories: the number of classes, ``K``
    """

    category: NDArray[np.int64]
    image: NDArray[np.int64]
    score: NDArray[np.float64]
    true_positive: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    truth_category: NDArray[np.int64]
    truth_image: NDArray[np.int64]
    num_categories: int

    def __len__(self) -> int:
        return len(self.category)

    def curves(
        self,
        weights: NDArray[np.int64] | None = None,
        normal_positives: float | NDArray[np.int64] | None = None,
    ) -> Curves:
        """The precision-recall curves of the classes.

        Args:
            weights: ``(N,)`` how many times each image occurs, once by default. The
                curves are those of COCOeval on a dataset with that many copies, where
                copies of a prediction rank next to each other
            normal_positives: see :func:`.average_precision.precision_recall_curves`

        Returns:
            curves of ``T`` thresholds and ``K`` groups
        """
        of_truth = None if weights is None else weights[self.truth_image]
        positives = np.bincount(
            self.truth_category, of_truth, minlength=self.num_categories
        )
        return precision_recall_curves(
            self.category,
            self.true_positive,
            self.counted,
            positives.astype(np.int64),
            None if weights is None else weights[self.image],
            normal_positives,
        )

    def average_precision(
        self,
        weights: NDArray[np.int64] | None = None,
        normal_positives: float | NDArray[np.int64] | None = None,
    ) -> NDArray[np.float64]:
        """The AP of each threshold and class.

        Args:
            weights: see :meth:`curves`
            normal_positives: see :func:`.average_precision.precision_recall_curves`

        Returns:
            ``(T, K)``, NaN for classes without objects
        """
        return self.curves(weights, normal_positives).average_precision()

    def without_ignored(self) -> Ranking:
        """The same curves from fewer rows: no prediction is ignored at all thresholds.

        Most predictions are in an area range of their own, so this makes AP by area
        several times faster.
        """
        return self.where(np.asarray(self.counted.any(axis=0), bool))

    def of_classes(self, classes: NDArray[np.bool_]) -> Ranking:
        """The predictions and objects of some classes.

        Args:
            classes: ``(K,)`` which classes; the others have no AP
        """
        return self.where(classes[self.category], classes[self.truth_category])

    def where(
        self, kept: NDArray[np.bool_], truth: NDArray[np.bool_] | slice = slice(None)
    ) -> Ranking:
        """Some of the predictions and objects.

        Args:
            kept: ``(D,)`` which predictions
            truth: ``(M,)`` which objects, all by default
        """
        return replace(
            self,
            category=self.category[kept],
            image=self.image[kept],
            score=self.score[kept],
            true_positive=self.true_positive[:, kept],
            counted=self.counted[:, kept],
            truth_category=self.truth_category[truth],
            truth_image=self.truth_image[truth],
        )


def ranking_order(predictions: Objects, matches: Matches) -> NDArray[np.int64]:
    """The evaluated predictions by class and descending score.

    Args:
        predictions: the predicted objects
        matches: their matches

    Returns:
        ``(D,)`` positions among the evaluated predictions
    """
    category = predictions.category[matches.predictions]
    # Stable, so that equal scores keep the order of the images
    return np.lexsort((-predictions.scores[matches.predictions], category))


def rank_predictions(
    truth: Objects,
    predictions: Objects,
    matches: Matches,
    order: NDArray[np.int64],
    area: int,
    ignored: NDArray[np.bool_],
    in_range: NDArray[np.bool_],
    *,
    num_categories: int,
) -> Ranking:
    """Ranks the predictions of matches.

    Args:
        truth: the ground-truth objects
        predictions: the predicted objects
        matches: the matches
        order: what :func:`ranking_order` returns
        area: the position of the area range among the matches
        ignored: ``(M,)`` whether each ground-truth object is ignored in it
        in_range: ``(D,)`` whether the area of each evaluated prediction is in it
        num_categories: the number of classes

    Returns:
        a :class:`Ranking`
    """
    rows = matches.predictions[order]
    true_positive, counted = outcomes(matches, area, ignored, in_range, order)
    return Ranking(
        category=predictions.category[rows],
        image=predictions.image[rows],
        score=predictions.scores[rows],
        true_positive=true_positive,
        counted=counted,
        truth_category=truth.category[~ignored],
        truth_image=truth.image[~ignored],
        num_categories=num_categories,
    )


def outcomes(
    matches: Matches,
    area: int,
    ignored: NDArray[np.bool_],
    in_range: NDArray[np.bool_],
    ranking: NDArray[np.int64],
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which evaluated predictions are true, and which count at all.

    A prediction that matches an ignored object is ignored, and so is one that
    matches nothing and whose area is out of the range.

    Args:
        matches: the matches
        area: the position of the area range
        ignored: ``(M,)`` whether each ground-truth object is ignored in it
        in_range: ``(D,)`` whether the area of each evaluated prediction is in it
        ranking: ``(D,)`` the order of the evaluated predictions in the result

    Returns:
        two ``(T, D)`` arrays: whether each prediction is a true positive, and
        whether it is a true or a false positive
    """
    matched = matches.truth[area]
    is_matched = matched != UNMATCHED
    hit = is_matched & ~np.take(np.r_[ignored, True], matched)
    place = np.empty_like(ranking)
    place[ranking] = np.arange(len(ranking))
    columns = place[matches.candidates]

    shape = (len(matched), len(ranking))
    true_positive = np.zeros(shape, dtype=bool)
    true_positive[:, columns] = hit
    counted = np.broadcast_to(in_range[ranking], shape).copy()
    counted[:, columns] = np.where(is_matched, hit, in_range[matches.candidates])
    return true_positive, counted
