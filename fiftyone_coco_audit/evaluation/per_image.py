"""Scores of each image, defined for every image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.evaluation.average_precision import precision_recall_curves
from fiftyone_coco_audit.evaluation.metrics import Evaluation

#: The status of an image: whether it has ground truth and predictions
STATUSES = ("ok", "no ground truth", "no predictions", "empty")


@dataclass(frozen=True)
class ImageScores:
    """Scores of ``N`` images; NaN where a score is not defined.

    Attributes:
        ap: ``(N, T)`` what ``COCOeval`` gives when it is run on that image
            alone, at each threshold: the mean over the classes that have
            ground truth (other than crowd) in the image; NaN without any
        ap_pooled: ``(N,)`` average precision, over the thresholds, of the
            image's predictions of all classes ranked together, so that a
            hallucinated class lowers it; 1 where there is nothing to be found and
            nothing was predicted, 0 where there is nothing and something was
        num_truth: ``(N,)`` ground-truth objects other than crowd
        num_predictions: ``(N,)`` predictions
        true_positives: ``(N,)`` predictions matched at the first threshold,
            whatever their score
        false_positives: ``(N,)`` predictions matched to nothing
        false_negatives: ``(N,)`` objects that nothing was matched to
        precision: ``(N,)`` of the predictions of the minimum score and above, the
            share that is matched; NaN where there are none
        recall: ``(N,)`` share of the objects that these find; NaN without any
        f1: ``(N,)`` harmonic mean of the two, ``2 TP / (2 TP + FP + FN)``; NaN
            where there is neither object nor prediction
    """

    ap: NDArray[np.float64]
    ap_pooled: NDArray[np.float64]
    num_truth: NDArray[np.int64]
    num_predictions: NDArray[np.int64]
    true_positives: NDArray[np.int64]
    false_positives: NDArray[np.int64]
    false_negatives: NDArray[np.int64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]

    def status(self) -> NDArray[np.str_]:
        """One of :data:`STATUSES` for every image.

        Returns:
            ``(N,)``
        """
        return np.array(STATUSES)[
            1 * (self.num_truth == 0) + 2 * (self.num_predictions == 0)
        ]


def score_images(evaluation: Evaluation) -> ImageScores:
    """Scores every image of an evaluation.

    Args:
        evaluation: an evaluation of columns

    Returns:
        an :class:`ImageScores`
    """
    truth, predictions = evaluation.truth, evaluation.predictions
    num_images = evaluation.num_images
    rows = evaluation.matches.predictions
    image = predictions.image[rows]
    score = predictions.scores[rows]
    true_positive, counted = evaluation.outcomes()
    positives = ~evaluation.ignored[0]
    num_truth = np.bincount(truth.image[positives], minlength=num_images)

    def count(of: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.bincount(image[of], minlength=num_images)

    tp, fp = true_positive[0], counted[0] & ~true_positive[0]
    confident = score >= evaluation.settings.score_threshold
    confident_tp, confident_fp = count(tp & confident), count(fp & confident)
    return ImageScores(
        ap=_class_mean_ap(evaluation, true_positive, counted),
        ap_pooled=_pooled_ap(evaluation, num_truth),
        num_truth=num_truth,
        num_predictions=np.bincount(predictions.image, minlength=num_images),
        true_positives=count(tp),
        false_positives=count(fp),
        false_negatives=num_truth - count(tp),
        precision=_ratio(confident_tp, confident_tp + confident_fp),
        recall=_ratio(confident_tp, num_truth),
        f1=_ratio(2 * confident_tp, confident_tp + confident_fp + num_truth),
    )


def _class_mean_ap(
    evaluation: Evaluation,
    true_positive: NDArray[np.bool_],
    counted: NDArray[np.bool_],
) -> NDArray[np.float64]:
    truth, predictions = evaluation.truth, evaluation.predictions
    positives = ~evaluation.ignored[0]
    cells, num_positives = np.unique(
        (truth.image * evaluation.num_categories + truth.category)[positives],
        return_counts=True,
    )
    rows = evaluation.matches.predictions
    cell = predictions.image[rows] * evaluation.num_categories
    cell += predictions.category[rows]
    group = np.searchsorted(cells, cell)
    known = np.r_[cells, -1][group] == cell
    ap = precision_recall_curves(
        group[known], true_positive[:, known], counted[:, known], num_positives
    ).average_precision()

    images = cells // evaluation.num_categories
    total = np.stack(
        [np.bincount(images, row, minlength=evaluation.num_images) for row in ap],
        axis=1,
    )
    num_classes = np.bincount(images, minlength=evaluation.num_images)
    return _ratio(total, num_classes[:, None])


def _pooled_ap(
    evaluation: Evaluation, num_truth: NDArray[np.int64]
) -> NDArray[np.float64]:
    rows = evaluation.matches.predictions
    image = evaluation.predictions.image[rows]
    ranking = np.lexsort((rows, -evaluation.predictions.scores[rows], image))
    true_positive, counted = evaluation.outcomes(ranking)
    image = image[ranking]
    curves = precision_recall_curves(image, true_positive, counted, num_truth)
    # Without objects to find, ignored predictions (on crowds) do not lower AP
    spurious = np.bincount(image[counted[0]], minlength=len(num_truth))
    return np.where(
        num_truth > 0, curves.average_precision().mean(axis=0), spurious == 0
    )


def _ratio(numerator: NDArray, denominator: NDArray) -> NDArray[np.float64]:
    """The ratio, NaN where the denominator is 0."""
    return numerator / np.where(denominator == 0, np.nan, denominator)
