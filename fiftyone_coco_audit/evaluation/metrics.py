"""COCO's detection metrics from columns of objects: no database, no files.

Everything follows ``pycocotools.cocoeval`` 2.0.11 and equals it to rounding
error, with one exception: there, an object whose annotation id is 0 can never
be found, because its id also stands for "no match". Here it can.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.evaluation.average_precision import Curves
from fiftyone_coco_audit.evaluation.matching import (
    UNMATCHED,
    Matches,
    evaluated_predictions,
    match,
)
from fiftyone_coco_audit.evaluation.pairs import (
    BACKGROUND_IOU,
    Pairs,
    overlapping_pairs,
)
from fiftyone_coco_audit.evaluation.ranking import (
    Ranking,
    outcomes,
    rank_predictions,
    ranking_order,
)
from fiftyone_coco_audit.evaluation.settings import AREA_SUFFIXES, Settings
from fiftyone_coco_audit.objects import Objects
from fiftyone_coco_audit.wording import counted


@dataclass(frozen=True)
class Metric:
    """One of the COCO numbers, by positions in the settings.

    Attributes:
        name: such as ``"AP"``, ``"AP50"``, ``"APs"`` or ``"AR100"``
        thresholds: the IoU thresholds that it is the mean over
        area: the area range
        limit: the limit on detections of a recall, None for a precision
    """

    name: str
    thresholds: slice
    area: int = 0
    limit: int | None = None


def coco_metrics(settings: Settings) -> list[Metric]:
    """The COCO numbers, in pycocotools' order.

    Returns:
        AP, AP50 and AP75 where these thresholds are among the settings', AP by
        area, then AR by the number of detections and by area. Areas have their
        name, or COCO's ``s``, ``m`` and ``l``. Of keypoints, AR is given as AP is, at
        the highest number of detections
    """
    every = slice(None)
    areas = [
        (AREA_SUFFIXES.get(name, name), position)
        for position, name in enumerate(settings.area_names)
    ][1:]
    limits = settings.max_detections
    positions = {iou: settings.threshold_position(iou / 100) for iou in (50, 75)}

    def at_thresholds(name: str, limit: int | None) -> Iterator[Metric]:
        yield Metric(name, every, 0, limit)
        for iou, position in positions.items():
            if position is not None:
                at = slice(position, position + 1)
                yield Metric(f"{name}{iou}", at, 0, limit)

    highest = len(limits) - 1
    of_limits = (
        at_thresholds("AR", highest)
        if settings.iou_type == "keypoints"
        else (Metric(f"AR{limit}", every, 0, n) for n, limit in enumerate(limits))
    )
    return [
        *at_thresholds("AP", None),
        *(Metric(f"AP{name}", every, area) for name, area in areas),
        *of_limits,
        *(Metric(f"AR{name}", every, area, highest) for name, area in areas),
    ]


@dataclass(frozen=True, repr=False)
class Evaluation(ShortRepr):
    """What an evaluation of columns found.

    ``A`` area ranges, ``T`` IoU thresholds, ``K`` classes, ``L`` limits on the
    detections per image.

    Attributes:
        settings: the parameters
        truth: the ground-truth objects
        predictions: the predicted objects
        num_images: the number of images
        num_categories: the number of classes, ``K``
        pairs: the predictions and objects that overlap, whatever their classes
        matches: which prediction was matched to which object
        ignored: ``(A, M)`` whether each ground-truth object is ignored (crowd,
            or its area out of the range)
        in_range: ``(A, D)`` whether the area of each evaluated prediction is in
            the range
        ap: ``(A, T, K)`` average precision, NaN for classes without objects
        recall: ``(A, L, T, K)`` recall, NaN for classes without objects
        curves: the curves of each class over all areas
        curve_scores: the score of each true positive of ``curves``
    """

    settings: Settings
    truth: Objects
    predictions: Objects
    num_images: int
    num_categories: int
    pairs: Pairs
    matches: Matches
    ignored: NDArray[np.bool_]
    in_range: NDArray[np.bool_]
    ap: NDArray[np.float64]
    recall: NDArray[np.float64]
    curves: Curves
    curve_scores: NDArray[np.float64]

    def _about(self) -> str:
        return (
            f"of {counted(self.num_images, 'image')}, "
            f"{counted(len(self.truth), 'object')}, "
            f"{counted(len(self.predictions), 'prediction')}"
        )

    def by_class(self) -> dict[str, NDArray[np.float64]]:
        """The COCO numbers of each class.

        Returns:
            a dict by the names of :func:`coco_metrics`, each ``(K,)``, NaN for
            classes without objects
        """
        return {
            metric.name: (
                self.ap[metric.area, metric.thresholds]
                if metric.limit is None
                else self.recall[metric.area, metric.limit, metric.thresholds]
            ).mean(axis=0)
            for metric in coco_metrics(self.settings)
        }

    def summary(self) -> dict[str, float]:
        """The COCO numbers: the means of :meth:`by_class` over the classes.

        Returns:
            a dict in pycocotools' order; -1, as in pycocotools, where there is
            nothing to be found
        """
        return {
            name: float(np.nanmean(values)) if not np.isnan(values).all() else -1.0
            for name, values in self.by_class().items()
        }

    def scores_at_recall_levels(
        self, classes: NDArray[np.int64] | None = None
    ) -> NDArray[np.float64]:
        """The score at which each class reaches each recall level, over all areas.

        Equals ``COCOeval.eval["scores"]``: recall 0 is reached by the first
        prediction of a class, true or not.

        Args:
            classes: ``(C,)`` positions of classes, increasing, all by default; those
                that occur must be among them

        Returns:
            ``(T, C, 101)``; 0 where a level is not reached, -1 for classes without
            objects
        """
        if classes is None:
            classes = np.arange(self.num_categories)
        scores = self.curves.at_recall_levels(self.curve_scores, classes)
        rows = self.matches.predictions
        highest = np.full(self.num_categories, -np.inf)
        np.maximum.at(
            highest, self.predictions.category[rows], self.predictions.scores[rows]
        )
        highest = highest[classes]
        reached = (self.curves.num_positives[classes] > 0) & np.isfinite(highest)
        scores[:, reached, 0] = highest[reached]
        return scores

    def ranking(self, area: int = 0) -> Ranking:
        """All evaluated predictions by class and score.

        Args:
            area: the position of the area range
        """
        return rank_predictions(
            self.truth,
            self.predictions,
            self.matches,
            ranking_order(self.predictions, self.matches),
            area,
            self.ignored[area],
            self.in_range[area],
            num_categories=self.num_categories,
        )

    def outcomes(
        self, ranking: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """See :func:`outcomes`, over all areas, as matched unless ranked."""
        if ranking is None:
            ranking = np.arange(len(self.matches.predictions))
        return outcomes(self.matches, 0, self.ignored[0], self.in_range[0], ranking)

    def found(self, threshold: int = 0) -> NDArray[np.bool_]:
        """Which objects are found, over all areas.

        Args:
            threshold: the position of the IoU threshold

        Returns:
            ``(M,)``, False for ignored objects
        """
        matched = self.matches.truth[0, threshold]
        found = np.zeros(len(self.truth), dtype=bool)
        found[matched[matched != UNMATCHED]] = True
        return found & ~self.ignored[0]


def evaluate_objects(
    truth: Objects,
    predictions: Objects,
    *,
    num_images: int,
    num_categories: int,
    settings: Settings,
) -> Evaluation:
    """Evaluates predictions against ground truth as ``COCOeval`` does.

    Args:
        truth: the ground-truth objects; images are ordered by their id, which
            decides between equal scores of two images, as in COCO
        predictions: the predicted objects, with scores
        num_images: the number of images
        num_categories: the number of classes
        settings: the parameters

    Returns:
        an :class:`Evaluation`
    """
    evaluated = evaluated_predictions(
        predictions,
        num_categories=num_categories,
        max_detections=settings.max_detections[-1],
    )
    thresholds = np.array(settings.iou_thresholds)
    pairs = overlapping_pairs(
        truth,
        predictions,
        evaluated[0],
        at_least=min(BACKGROUND_IOU, thresholds[0]),
        iou_type=settings.iou_type,
    )
    ignored = truth.crowd | ~settings.in_area_ranges(truth.area)
    if truth.keypoints is not None:
        ignored |= truth.keypoints.number == 0
    matches = match(
        truth,
        predictions,
        pairs,
        evaluated,
        iou_thresholds=thresholds,
        ignored=ignored,
    )
    return accumulate(
        truth,
        predictions,
        pairs,
        matches,
        ignored,
        num_images=num_images,
        num_categories=num_categories,
        settings=settings,
    )


def accumulate(
    truth: Objects,
    predictions: Objects,
    pairs: Pairs,
    matches: Matches,
    ignored: NDArray[np.bool_],
    *,
    num_images: int,
    num_categories: int,
    settings: Settings,
    in_range: NDArray[np.bool_] | None = None,
) -> Evaluation:
    """The numbers of matches, as ``COCOeval.accumulate`` takes them together.

    Args:
        truth: the ground-truth objects
        predictions: the predicted objects
        pairs: those that overlap
        matches: those that were matched
        ignored: ``(A, M)`` whether each object is ignored in each area range
        num_images: the number of images
        num_categories: the number of classes
        settings: the parameters
        in_range: ``(A, D)`` whether each evaluated prediction, if it matches nothing,
            is wrong in each area range, not ignored; by default, if its area is in it

    Returns:
        an :class:`Evaluation`
    """
    if in_range is None:
        in_range = settings.in_area_ranges(predictions.area[matches.predictions])
    order = ranking_order(predictions, matches)
    limits = settings.max_detections
    ap, recall, curves = [], [], []
    for a in range(len(ignored)):
        ranking = rank_predictions(
            truth,
            predictions,
            matches,
            order,
            a,
            ignored[a],
            in_range[a],
            num_categories=num_categories,
        )
        curve = ranking.curves()
        ap.append(curve.average_precision())
        true_rank = matches.rank[order[curve.detection]]
        recall.append(np.stack([curve.recall(true_rank < limit) for limit in limits]))
        curves.append((curve, ranking.score[curve.detection]))
    return Evaluation(
        settings=settings,
        truth=truth,
        predictions=predictions,
        num_images=num_images,
        num_categories=num_categories,
        pairs=pairs,
        matches=matches,
        ignored=ignored,
        in_range=in_range,
        ap=np.stack(ap),
        recall=np.stack(recall),
        curves=curves[0][0],
        curve_scores=curves[0][1],
    )


def without_matches(evaluation: Evaluation, objects: NDArray[np.bool_]) -> Evaluation:
    """The evaluation as it would be if some objects could not be found.

    What was matched to one of them counts as matched to nothing, and the object is
    taken nonetheless. That is how pycocotools treats an object whose annotation
    id is 0, its sign of "no match". Where an object is ignored anyway, pycocotools
    ignores what is matched to it before it looks at the id.

    Args:
        evaluation: an evaluation of columns
        objects: ``(M,)`` which ground-truth objects cannot be found

    Returns:
        another :class:`Evaluation`
    """
    matched = evaluation.matches.truth
    lost = np.concatenate(
        [objects & ~evaluation.ignored, np.zeros((len(matched), 1), bool)], axis=1
    )
    is_lost = np.stack([lost[a][matched[a]] for a in range(len(matched))])
    return accumulate(
        evaluation.truth,
        evaluation.predictions,
        evaluation.pairs,
        replace(
            evaluation.matches,
            truth=np.where(is_lost, np.int32(UNMATCHED), matched),
            overlap=np.where(is_lost[0], 0.0, evaluation.matches.overlap),
        ),
        evaluation.ignored,
        num_images=evaluation.num_images,
        num_categories=evaluation.num_categories,
        settings=evaluation.settings,
    )


def average_precision_of(evaluation: Evaluation, images: NDArray[np.bool_]) -> float:
    """The AP of some of the images, as if only these had been evaluated.

    Args:
        evaluation: an evaluation of columns
        images: ``(num_images,)`` which images

    Returns:
        what COCOeval gives with ``params.imgIds`` of these images: -1 where there is
        nothing to be found
    """
    ap = evaluation.ranking().average_precision(images.astype(np.int64))
    return -1.0 if np.isnan(ap).all() else float(np.nanmean(ap))
