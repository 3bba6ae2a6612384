"""What each type of error costs: the AP that a detector would gain without it.

The method is TIDE's: Bolya et al., "TIDE: A General Toolbox for Identifying Object
Detection Errors", ECCV 2020, whose dAP is the cost. Each type is repaired alone, in all
classes at once, and the AP is that of the same ranking with other outcomes.

Crowd regions, all else that COCO ignores, and predictions matched to these are neither
errors nor the cause or excuse of one. hotcoco 1.3 gives the same costs, except that it
takes a prediction that lies partly in a crowd region of its class for a localization
error.

tidecv 1.0.1 gives the same costs of a class, except where we follow COCO:

- tidecv takes 100 predictions an image; we take 100 an image and class.
- It takes predictions in crowd regions for errors, and repairs can make these true
  positives.
- Its recall levels are ``i / 100``. ``numpy.linspace(0, 1, 101)``, which COCO uses,
  differs in the last digit, which can decide whether a level is reached.
- Once anything is repaired, it ranks false positives first among equal scores; we keep
  the order of the images. Of equal overlaps, it matches the first; we match the last.
- Its mean is over classes with objects or predictions, of which a repair can leave
  fewer; ours is over classes with objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fiftyone_coco_audit.display import ShortRepr, TextSummary
from fiftyone_coco_audit.evaluation.analysis.outcomes import LeftOut
from fiftyone_coco_audit.evaluation.error_types import (
    ERROR_TYPES,
    ErrorTypes,
    classify_errors,
)
from fiftyone_coco_audit.evaluation.matching import UNMATCHED
from fiftyone_coco_audit.evaluation.metrics import Evaluation
from fiftyone_coco_audit.evaluation.ranking import Ranking, ranking_order
from fiftyone_coco_audit.wording import counted

#: All false positives removed, and all objects that were not found forgiven: TIDE's
#: FalsePos and FalseNeg
FALSE_POSITIVES, FALSE_NEGATIVES = "false_positives", "false_negatives"

#: How crowd regions count
CROWDS = (
    "Objects that COCO ignores, such as crowd regions, neither cause nor excuse errors."
)

_REMOVED = -1


@dataclass(frozen=True, repr=False)
class ErrorCosts(TextSummary):
    """What ``E`` types of error cost, by ``T`` IoU thresholds and ``K`` classes.

    Attributes:
        types: the names of :data:`ERROR_TYPES`, then :data:`FALSE_POSITIVES` and
            :data:`FALSE_NEGATIVES`
        iou_thresholds: the IoU thresholds
        classes: the names of the classes
        counts: ``(E, T, K)`` errors, by the class of the prediction, or of the object
            that was not found
        ap_gain: ``(E, T, K)`` how much higher the AP of each class is if all errors of
            a type are repaired, NaN for classes without objects
        left_out: what neither is an error nor causes or excuses one, such as crowd
            regions; predictions as at the lowest IoU threshold
    """

    types: tuple[str, ...]
    iou_thresholds: tuple[float, ...]
    classes: tuple[str, ...]
    counts: NDArray[np.int64]
    ap_gain: NDArray[np.float64]
    left_out: LeftOut

    def _about(self) -> str:
        return f"of {counted(len(self.classes), 'class')}"

    def to_frame(self) -> pd.DataFrame:
        """The cost of each type, the mean over the classes with objects.

        Returns:
            a frame by type: the errors at the lowest IoU threshold, their cost there
            (``dAP50`` at .50), and ``dAP``, the mean over all thresholds
        """
        known = self.ap_gain[:, :, ~np.isnan(self.ap_gain[0, 0])]
        mean = known.mean(axis=2) if known.size else np.full(known.shape[:2], np.nan)
        return self._frame(
            self.counts[:, 0].sum(axis=1), mean, pd.Index(self.types, name="type")
        )

    def per_class(self) -> pd.DataFrame:
        """The same of each class.

        An error of one class can cost another AP: a cat that was taken for a dog is a
        false positive of dogs and a cat not found. It counts among the errors of dogs.

        Returns:
            a frame by class and type, NaN for the costs of classes without objects
        """
        return self._frame(
            self.counts[:, 0].T.ravel(),
            self.ap_gain.transpose(2, 0, 1).reshape(-1, len(self.iou_thresholds)),
            pd.MultiIndex.from_product(
                [self.classes, self.types], names=["class", "type"]
            ),
        )

    def _frame(
        self, counts: NDArray[np.int64], ap_gain: NDArray[np.float64], index: pd.Index
    ) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "errors": counts,
                f"dAP{100 * self.iou_thresholds[0]:g}": ap_gain[:, 0],
                "dAP": ap_gain.mean(axis=1),
            },
            index=index,
        )

    def sentences(self) -> list[str]:
        """The costs of all classes together, and what is left out."""
        table = self.to_frame().to_string(float_format="{:.4f}".format)
        lines = [line.rstrip() for line in table.splitlines()]
        left_out = self.left_out.sentences()
        if self.left_out.ignored_objects:
            left_out.append(CROWDS)
        return [*lines, *left_out]


def error_costs(evaluation: Evaluation, classes: Sequence[str]) -> ErrorCosts:
    """Finds how much AP each type of error costs.

    A localization or classification error that is repaired finds its object if that is
    not found yet. Of several errors about one object, of both types, the one with the
    highest score does; the others are removed, also where their type alone is repaired.
    One that changes its class ranks after equal scores there. Where a repair leaves a
    class nothing to be found, it gains nothing.

    Args:
        evaluation: an evaluation of columns
        classes: the names of its ``K`` classes

    Returns:
        an :class:`ErrorCosts`
    """
    thresholds = evaluation.settings.iou_thresholds
    counts, ap_gain = [], []
    for errors, ap in zip(
        errors_by_threshold(evaluation), evaluation.ap[0], strict=True
    ):
        for wrong, missed, removed in errors.by_type():
            counts.append(errors.counts(wrong, missed))
            without = errors.repaired(wrong, missed, removed=removed)
            repaired = without.average_precision()[0]
            ap_gain.append(np.where(np.isnan(ap), np.nan, np.fmax(repaired - ap, 0)))
    types = (*ERROR_TYPES, FALSE_POSITIVES, FALSE_NEGATIVES)
    shape = (len(thresholds), len(types), evaluation.num_categories)
    return ErrorCosts(
        types=types,
        iou_thresholds=thresholds,
        classes=tuple(classes),
        counts=np.reshape(counts, shape).swapaxes(0, 1),
        ap_gain=np.reshape(ap_gain, shape).swapaxes(0, 1),
        left_out=LeftOut.of(evaluation, evaluation.outcomes()[1][0]),
    )


@dataclass(frozen=True, repr=False)
class ErrorsAt(ShortRepr):
    """The errors at one IoU threshold, and what repairing them does.

    Attributes:
        evaluation: the evaluation
        rows: ``(D,)`` rows of the predictions of the ranking
        ranking: the ranking at this threshold alone
        types: the type of error of each prediction and object
        not_found: ``(M,)`` which objects were not found
        right_class: ``(N,)`` the class in which each prediction finds an object once
            repaired, -1 if it would be removed
    """

    evaluation: Evaluation
    rows: NDArray[np.int64]
    ranking: Ranking
    types: ErrorTypes
    not_found: NDArray[np.bool_]
    right_class: NDArray[np.int64]

    def of_type(self, name: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """``(N,)`` which predictions, and ``(M,)`` objects, are errors of a type."""
        return self.types.predictions == name, self.types.truth == name

    def by_type(self) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_], bool]]:
        """The errors of each of :attr:`ErrorCosts.types`.

        Yields:
            what :meth:`of_type` returns, and whether predictions are only removed
        """
        for name in ERROR_TYPES:
            yield *self.of_type(name), False
        wrong = self.types.predictions != ""
        yield wrong, np.zeros_like(self.not_found), True
        yield np.zeros_like(wrong), self.not_found, True

    def counts(
        self, wrong: NDArray[np.bool_], missed: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        """``(K,)`` errors by the class of the prediction, or of the object."""
        size = self.evaluation.num_categories
        predicted = self.evaluation.predictions.category[wrong]
        true = self.evaluation.truth.category[missed]
        return np.bincount(predicted, minlength=size) + np.bincount(
            true, minlength=size
        )

    def repaired(
        self,
        wrong: NDArray[np.bool_],
        missed: NDArray[np.bool_],
        *,
        removed: bool = False,
    ) -> Ranking:
        """The ranking without some errors.

        Args:
            wrong: ``(N,)`` which predictions are repaired
            missed: ``(M,)`` which objects need not be found
            removed: whether predictions are removed even if they would find an object
        """
        right_class = self.right_class[self.rows]
        return _repaired(
            self.ranking,
            wrong[self.rows],
            np.full_like(right_class, _REMOVED) if removed else right_class,
            missed[~self.evaluation.ignored[0]],
        )


def errors_by_threshold(evaluation: Evaluation) -> Iterator[ErrorsAt]:
    """The errors of an evaluation at each of its IoU thresholds.

    Args:
        evaluation: an evaluation of columns
    """
    ranking = evaluation.ranking()
    order = ranking_order(evaluation.predictions, evaluation.matches)
    for t in range(len(evaluation.settings.iou_thresholds)):
        errors = classify_errors(evaluation, t)
        not_found = ~evaluation.found(t) & ~evaluation.ignored[0]
        yield ErrorsAt(
            evaluation=evaluation,
            rows=evaluation.matches.predictions[order],
            ranking=replace(
                ranking,
                true_positive=ranking.true_positive[[t]],
                counted=ranking.counted[[t]],
            ),
            types=errors,
            not_found=not_found,
            right_class=_classes_after_repair(evaluation, errors, not_found),
        )


def _classes_after_repair(
    evaluation: Evaluation, errors: ErrorTypes, not_found: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """The class in which each prediction finds its object once repaired, or -1."""
    target, scores = errors.target, evaluation.predictions.scores
    claims = np.flatnonzero(target != UNMATCHED)
    claims = claims[not_found[target[claims]]]
    claims = claims[np.lexsort((-scores[claims], target[claims]))]
    objects, best = np.unique(target[claims], return_index=True)
    result = np.full(len(target), _REMOVED)
    result[claims[best]] = evaluation.truth.category[objects]
    return result


def _repaired(
    ranking: Ranking,
    wrong: NDArray[np.bool_],
    right_class: NDArray[np.int64],
    missed: NDArray[np.bool_],
) -> Ranking:
    """A ranking without some errors.

    Args:
        ranking: ``D`` predictions at one threshold, and ``M`` objects
        wrong: ``(D,)`` which predictions are repaired
        right_class: ``(D,)`` the class in which each of them finds an object, or -1
        missed: ``(M,)`` which objects need not be found
    """
    corrected = wrong & (right_class != _REMOVED)
    category = np.where(corrected, right_class, ranking.category)
    true_positive = ranking.true_positive | corrected
    kept = ranking.counted & (corrected | ~wrong)
    moved = category != ranking.category
    order: slice | NDArray[np.int64] = slice(None)
    if moved.any():
        order = np.lexsort((moved, -ranking.score, category))
    return replace(
        ranking,
        category=category[order],
        image=ranking.image[order],
        score=ranking.score[order],
        true_positive=true_positive[:, order],
        counted=kept[:, order],
        truth_category=ranking.truth_category[~missed],
        truth_image=ranking.truth_image[~missed],
    )
