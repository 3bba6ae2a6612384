"""What an evaluation would be if doubtful labels were put right."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.display import TextSummary
from fiftyone_coco_audit.evaluation.analysis.bootstrap import (
    class_mean,
    image_draws,
    interval,
)
from fiftyone_coco_audit.evaluation.analysis.label_issues import KINDS, LabelIssues
from fiftyone_coco_audit.evaluation.metrics import Evaluation, evaluate_objects
from fiftyone_coco_audit.evaluation.ranking import Ranking
from fiftyone_coco_audit.evaluation.subsets import images_only
from fiftyone_coco_audit.objects import Objects


@dataclass(frozen=True, repr=False)
class RepairGain(TextSummary):
    """AP before and after a repair of labels, with the 95% interval of the difference.

    Attributes:
        before: the AP, -1 where there is nothing to be found
        after: the AP with the repaired labels
        low: the lower bound of the difference, NaN where there is none
        high: the upper bound
    """

    before: float
    after: float
    low: float
    high: float

    @property
    def difference(self) -> float:
        """How much AP rises."""
        return self.after - self.before

    def _about(self) -> str:
        return f"of {self.difference:+.4f} AP"

    def sentences(self) -> list[str]:
        """The AP before and after, and the difference."""
        return [
            f"AP {self.before:.4f} before, {self.after:.4f} after: "
            f"{self.difference:+.4f} [{self.low:+.4f}, {self.high:+.4f}]."
        ]


def with_repaired_labels(
    evaluation: Evaluation, issues: LabelIssues, chosen: NDArray[np.int64]
) -> Evaluation:
    """The evaluation as if some issues had been put right in the labels.

    A missing label gets the class, box and mask of its prediction; a wrong class
    becomes that of the prediction; a label in a bad location gets the box and mask of
    the prediction; the second of two labels of the same object is removed. The images
    without labels that were chosen are still there: :func:`kept_images` leaves them
    out.

    Args:
        evaluation: the evaluation that the issues are from, with masks if these are
            evaluated
        issues: its issues
        chosen: positions of issues that are to be put right

    Returns:
        another :class:`.Evaluation`, whose predictions are the same
    """
    truth, predictions = evaluation.truth, evaluation.predictions
    place: dict[str, NDArray[np.int64]] = {
        name: chosen[issues.kind[chosen] == kind] for kind, name in enumerate(KINDS)
    }
    category = truth.category.copy()
    wrong = place["wrong class"]
    category[issues.truth[wrong]] = issues.predicted_class[wrong]
    truth = replace(truth, category=category)
    loose, missing = place["bad location"], place["missing label"]
    keep = np.ones(len(truth), bool)
    keep[issues.truth[place["duplicate label"]]] = False
    # Rows of objects, then of predictions
    source = np.arange(len(truth))
    source[issues.truth[loose]] = len(truth) + issues.prediction[loose]
    source = np.r_[source[keep], len(truth) + issues.prediction[missing]]
    crowd = np.r_[truth.crowd[keep], np.zeros(len(missing), bool)]
    category = np.r_[truth.category[keep], issues.predicted_class[missing]]
    repaired = replace(
        _rows_of_both(truth, predictions, source), category=category, crowd=crowd
    )
    # Within an image, new labels come last
    order = np.argsort(repaired.image, kind="stable")
    return evaluate_objects(
        repaired.rows(order),
        predictions,
        num_images=evaluation.num_images,
        num_categories=evaluation.num_categories,
        settings=evaluation.settings,
    )


def _rows_of_both(
    truth: Objects, predictions: Objects, rows: NDArray[np.int64]
) -> Objects:
    """Rows of one table of the objects and, after them, the predictions."""
    masks = None
    if truth.masks is not None and predictions.masks is not None:
        masks = [*truth.masks, *predictions.masks]
    both = Objects(
        image=np.r_[truth.image, predictions.image],
        category=np.r_[truth.category, predictions.category],
        box=np.r_[truth.box, predictions.box],
        area=np.r_[truth.area, predictions.area],
        crowd=np.r_[truth.crowd, predictions.crowd],
        masks=masks,
    )
    return both.rows(rows)


def kept_images(
    issues: LabelIssues, chosen: NDArray[np.int64], num_images: int
) -> NDArray[np.bool_]:
    """The images that are evaluated after a repair: all but those never annotated.

    Args:
        issues: the issues of an evaluation
        chosen: positions of issues that are to be put right
        num_images: the number of images
    """
    kept = np.ones(num_images, bool)
    never = issues.kind[chosen] == list(KINDS).index("unlabeled image")
    kept[issues.image[chosen[never]]] = False
    return kept


def repaired_evaluation(
    evaluation: Evaluation, issues: LabelIssues, chosen: NDArray[np.int64]
) -> Evaluation:
    """:func:`with_repaired_labels`, of :func:`kept_images` only."""
    repaired = with_repaired_labels(evaluation, issues, chosen)
    kept = kept_images(issues, chosen, evaluation.num_images)
    return repaired if kept.all() else images_only(repaired, kept)


def repair_gain(
    evaluation: Evaluation,
    issues: LabelIssues,
    chosen: NDArray[np.int64],
    *,
    num_draws: int = 200,
) -> RepairGain:
    """How much AP rises if some issues are put right.

    Args:
        evaluation: as for :func:`with_repaired_labels`
        issues: its issues
        chosen: positions of issues that are to be put right
        num_draws: how many times images are drawn for the interval. Both APs of a
            draw are of the same images

    Returns:
        a :class:`RepairGain`
    """
    repaired = with_repaired_labels(evaluation, issues, chosen)
    kept = kept_images(issues, chosen, evaluation.num_images).astype(np.int64)
    rankings = [one.ranking().without_ignored() for one in (evaluation, repaired)]

    def ap(ranking: Ranking, weights: NDArray[np.int64]) -> float:
        return float(class_mean(ranking.average_precision(weights).mean(axis=0)))

    differences = [
        ap(rankings[1], draw * kept) - ap(rankings[0], draw)
        for draw in image_draws(evaluation.num_images, num_draws)
    ]
    low, high = interval(np.array(differences)).tolist()
    before, after = (
        np.nan_to_num(ap(ranking, weights), nan=-1.0)
        for ranking, weights in (
            (rankings[0], np.ones_like(kept)),
            (rankings[1], kept),
        )
    )
    return RepairGain(float(before), float(after), low, high)
