"""Labels that a detector's predictions make doubtful.

The kinds are those of ObjectLab (Tkachenko et al., "ObjectLab: Automated Diagnosis of
Mislabeled Images in Object Detection Data", 2023), duplicates, and images that were
never labeled. Here each has a threshold that is read from the detector's own right
predictions, so it needs no calibrated scores: a prediction is *sure* if its score is at
least the median of the true positives of its class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.boxes import box_iou
from fiftyone_coco_audit.display import TextSummary
from fiftyone_coco_audit.evaluation.analysis.outcomes import outcomes_at
from fiftyone_coco_audit.evaluation.matching import UNMATCHED
from fiftyone_coco_audit.evaluation.metrics import Evaluation
from fiftyone_coco_audit.evaluation.stored import EvaluatedRows
from fiftyone_coco_audit.wording import counted

if TYPE_CHECKING:
    pass

if TYPE_CHECKING:
    import pandas as pd

#: The kinds of issues by name, and what each means
KINDS = {
    "missing label": "a sure prediction where nothing is labeled",
    "unlabeled image": "an image without any label, with a sure prediction",
    "wrong class": "a sure prediction of another class fits an object that nothing of "
    "its own class finds, and the detector rarely confuses the two",
    "bad location": "a sure prediction overlaps an object of its class that nothing "
    "finds",
    "duplicate label": "two objects of a class are in the same place, and the detector "
    "finds one of them",
}

# An overlap that leaves no doubt that a prediction and an object are the same thing
_SAME = 0.7
# COCO finds an object from here on, and a box of half that overlap is of a neighbor
_FOUND = 0.5
_LOOSE = 0.25
# Boxes of two objects that overlap that much are rarely of two things
_TWICE = 0.85
# Classes that are confused more often say more about the detector than about labels
_RARELY = 0.1
# With fewer true positives a class takes the median of all classes
_FEW = 5

# Kind, position among the evaluated predictions, row of the object, score
_Issues = tuple[
    NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]
]


@dataclass(frozen=True, repr=False)
class LabelIssues(TextSummary):
    """Doubtful labels, the most doubtful of each kind first.

    Attributes:
        rows: the samples and labels that the rows stand for
        kind: ``(I,)`` positions in :data:`KINDS`
        score: ``(I,)`` how sure the detector is, in the units of its scores
        image: ``(I,)`` positions of the images
        prediction: ``(I,)`` row of the prediction
        truth: ``(I,)`` row of the object, -1 where none is labeled
        predicted_class: ``(I,)`` positions of the predicted classes
        true_class: ``(I,)`` positions of the labeled classes, -1 where none is
        sure: ``(K,)`` the score from which a prediction of each class is sure
    """

    rows: EvaluatedRows
    kind: NDArray[np.int64]
    score: NDArray[np.float64]
    image: NDArray[np.int64]
    prediction: NDArray[np.int64]
    truth: NDArray[np.int64]
    predicted_class: NDArray[np.int64]
    true_class: NDArray[np.int64]
    sure: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.kind)

    def of_kind(self, name: str) -> NDArray[np.int64]:
        """Positions of the issues of a kind of :data:`KINDS`, by descending score."""
        return np.flatnonzero(self.kind == list(KINDS).index(name))

    def to_frame(self) -> pd.DataFrame:
        """The issues, the most doubtful of each kind first.

        Returns:
            a frame of ``kind``, ``score``, ``predicted_class``, ``labeled_class``, and
            the ids of the sample, the prediction and the label; None where there is no
            label
        """
        import pandas as pd

        classes = np.array([*self.rows.classes, None], dtype=object)
        samples = np.empty_like(self.rows.sample_ids)
        samples[self.rows.image] = self.rows.sample_ids
        labels = np.r_[self.rows.truth_ids, np.array([None], dtype=object)]
        columns = {
            "kind": np.array(list(KINDS), dtype=object)[self.kind],
            "predicted_class": classes[self.predicted_class],
            "labeled_class": classes[self.true_class],
            "sample_id": samples[self.image],
            "prediction_id": self.rows.prediction_ids[self.prediction],
            "label_id": labels[self.truth],
        }
        frame = pd.DataFrame(
            {n: pd.Series(v, dtype=object) for n, v in columns.items()}
        )
        frame.insert(1, "score", self.score)
        return frame

    def sentences(self) -> list[str]:
        """How many issues of each kind there are."""
        lines = [
            f"{name}: {counted(len(self.of_kind(name)), 'time')} ({meaning})."
            for name, meaning in KINDS.items()
        ]
        return [
            *lines,
            "A prediction is sure if its score is at least the median of the true "
            "positives of its class. What the detector misses too is not found.",
        ]


def label_issues(evaluation: Evaluation, rows: EvaluatedRows) -> LabelIssues:
    """Finds labels that predictions make doubtful.

    Objects and predictions that COCO ignores are left out. Each object has one
    issue at most, by the prediction that fits it best.

    Args:
        evaluation: an evaluation of columns
        rows: the samples and labels of its rows

    Returns:
        a :class:`LabelIssues`
    """
    evaluated = evaluation.matches.predictions
    category = evaluation.predictions.category[evaluated]
    score = evaluation.predictions.scores[evaluated]
    found, counts, _ = outcomes_at(evaluation, _FOUND)
    sure_from = _sure_scores(category, score, found != UNMATCHED, len(rows.classes))
    sure = counts & (found == UNMATCHED) & (score >= sure_from[category])
    missed = ~evaluation.ignored[0]
    missed[found[found != UNMATCHED]] = False

    parts = [
        _on_background(evaluation, sure),
        _of_other_class(evaluation, sure, missed),
        _of_loose_box(evaluation, sure, missed),
        _labeled_twice(evaluation, found, missed),
    ]
    kind, detection, truth, strength = map(np.concatenate, zip(*parts, strict=True))
    order = np.lexsort((-strength, kind))
    prediction = evaluated[detection[order]]
    return LabelIssues(
        rows=rows,
        kind=kind[order],
        score=strength[order],
        image=evaluation.predictions.image[prediction],
        prediction=prediction,
        truth=truth[order],
        predicted_class=evaluation.predictions.category[prediction],
        # The last is that of row -1
        true_class=np.r_[evaluation.truth.category, -1][truth[order]],
        sure=sure_from,
    )


def _issues(
    name: str,
    detection: NDArray[np.int64],
    truth: NDArray[np.int64],
    score: NDArray[np.float64],
) -> _Issues:
    return np.full(len(score), list(KINDS).index(name)), detection, truth, score


def _sure_scores(
    category: NDArray[np.int64],
    score: NDArray[np.float64],
    right: NDArray[np.bool_],
    num_categories: int,
) -> NDArray[np.float64]:
    """The median score of the true positives of each class; infinite without any."""
    if not right.any():
        return np.full(num_categories, np.inf)
    medians = np.full(num_categories, np.median(score[right]))
    order = np.lexsort((score[right], category[right]))
    of_class, ordered = category[right][order], score[right][order]
    count = np.bincount(of_class, minlength=num_categories)
    start = np.cumsum(count) - count
    many = np.flatnonzero(count >= _FEW)
    low, high = start[many] + (count[many] - 1) // 2, start[many] + count[many] // 2
    medians[many] = (ordered[low] + ordered[high]) / 2
    return medians


def _on_background(evaluation: Evaluation, sure: NDArray[np.bool_]) -> _Issues:
    """Missing labels, and one issue for each image that has no label at all."""
    rows = evaluation.matches.predictions
    image = evaluation.predictions.image[rows]
    score = evaluation.predictions.scores[rows]
    alone = sure.copy()
    alone[evaluation.pairs.detection] = False
    labeled = np.zeros(evaluation.num_images, bool)
    labeled[evaluation.truth.image] = True
    missing = np.flatnonzero(alone & labeled[image])
    others = np.flatnonzero(alone & ~labeled[image])
    others = others[np.lexsort((-score[others], image[others]))]
    first = others[np.unique(image[others], return_index=True)[1]]
    detection = np.r_[missing, first]
    names = list(KINDS)
    kind = np.repeat(
        [names.index("missing label"), names.index("unlabeled image")],
        [len(missing), len(first)],
    )
    return kind, detection, np.full(len(detection), UNMATCHED), score[detection]


def _of_other_class(
    evaluation: Evaluation,
    sure: NDArray[np.bool_],
    missed: NDArray[np.bool_],
) -> _Issues:
    rows = evaluation.matches.predictions
    pairs = evaluation.pairs
    predicted = evaluation.predictions.category[rows[pairs.detection]]
    true = evaluation.truth.category[pairs.truth]
    keep = (predicted != true) & (pairs.overlap >= _SAME)
    keep &= sure[pairs.detection] & missed[pairs.truth]
    detection, truth = pairs.detection[keep], pairs.truth[keep]
    score = evaluation.predictions.scores[rows[detection]]
    chosen = _best_of_each(truth, score)
    detection, truth, score = detection[chosen], truth[chosen], score[chosen]

    # How often the detector confuses the two, but for the object in question
    confusion = true[keep][chosen] * evaluation.num_categories + predicted[keep][chosen]
    _, place, count = np.unique(confusion, return_inverse=True, return_counts=True)
    objects = np.bincount(
        evaluation.truth.category[~evaluation.ignored[0]],
        minlength=evaluation.num_categories,
    )
    others = np.maximum(objects[evaluation.truth.category[truth]] - 1, 1)
    rare = (count[place] - 1) / others <= _RARELY
    return _issues("wrong class", detection[rare], truth[rare], score[rare])


def _of_loose_box(
    evaluation: Evaluation, sure: NDArray[np.bool_], missed: NDArray[np.bool_]
) -> _Issues:
    rows, pairs = evaluation.matches.predictions, evaluation.pairs
    same = (
        evaluation.predictions.category[rows[pairs.detection]]
        == evaluation.truth.category[pairs.truth]
    )
    keep = same & sure[pairs.detection] & missed[pairs.truth]
    keep &= (pairs.overlap >= _LOOSE) & (pairs.overlap < _FOUND)
    detection, truth = pairs.detection[keep], pairs.truth[keep]
    chosen = _best_of_each(truth, pairs.overlap[keep])
    detection, truth = detection[chosen], truth[chosen]
    score = evaluation.predictions.scores[rows[detection]]
    strength = score * (1 - pairs.overlap[keep][chosen])
    return _issues("bad location", detection, truth, strength)


def _labeled_twice(
    evaluation: Evaluation, found: NDArray[np.int64], missed: NDArray[np.bool_]
) -> _Issues:
    rows, pairs = evaluation.matches.predictions, evaluation.pairs
    truth_class = evaluation.truth.category
    partner = found[pairs.detection]
    keep = (partner != UNMATCHED) & missed[pairs.truth]
    keep &= truth_class[partner] == truth_class[pairs.truth]
    detection, truth = pairs.detection[keep], pairs.truth[keep]
    overlap = box_iou(
        evaluation.truth.box[truth],
        evaluation.truth.box[partner[keep]],
        np.zeros(len(truth), bool),
    )
    twice = overlap >= _TWICE
    detection, truth, overlap = detection[twice], truth[twice], overlap[twice]
    chosen = _best_of_each(truth, overlap)
    score = evaluation.predictions.scores[rows[detection[chosen]]]
    return _issues("duplicate label", detection[chosen], truth[chosen], score)


def _best_of_each(
    group: NDArray[np.integer], value: NDArray[np.float64]
) -> NDArray[np.int64]:
    """The positions of the highest value of each group."""
    order = np.lexsort((-value, group))
    return order[np.unique(group[order], return_index=True)[1]]
