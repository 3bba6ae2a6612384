"""Labels that a detector's predictions make doubtful.

The kinds are those of ObjectLab (Tkachenko et al., "ObjectLab: Automated Diagnosis of
Mislabeled Images in Object Detection Data", 2023), duplicates, and images that were
never labeled. Here each has a threshold that is read from the detector's own right
predictions, so it needs no calibrated scores: a prediction is *sure* if its score is at
least the median of the true positives of its class.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.boxes import box_iou
from fiftyone_coco_audit.display import TextSummary
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.evaluation.analysis.outcomes import outcomes_at
from fiftyone_coco_audit.evaluation.matching import UNMATCHED
from fiftyone_coco_audit.evaluation.metrics import Evaluation
from fiftyone_coco_audit.evaluation.stored import EvaluatedRows
from fiftyone_coco_audit.wording import counted, quoted

if TYPE_CHECKING:
    import pandas as pd

#: The kinds of issues by name, and what each means
KINDS = {
    "missing label": "a sure prediction where nothing is labeled",
    "unlabeled image": "an image without any label, with a sure prediction",
    "wrong class": "a sure prediction of another class fits an object that nothing of "
    "its own class finds, and the detector rarely confuses the two",
    "bad location": "a sure prediction overlaps an object of its class that nothing "
    "finds, or finds it with a far lower overlap than usual",
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
# Quartile ranges below the first quartile, where Tukey's values are "far out"
# ("Exploratory Data Analysis", 1977)
_FAR_OUT = 3

# What an issue says, by kind
_REASONS = {
    "missing label": "{predicted} with a score of {score:.2f} (sure from {sure:.2f}) "
    "where nothing is labeled",
    "unlabeled image": "{predicted} with a score of {score:.2f} (sure from "
    "{sure:.2f}) in an image without any label",
    "wrong class": "{predicted} with a score of {score:.2f} (sure from {sure:.2f}) "
    "fits an object labeled {labeled}, at an IoU of {overlap:.2f}",
    "bad location": "{predicted} with a score of {score:.2f} (sure from {sure:.2f}) "
    "has an IoU of only {overlap:.2f} with the label",
    "duplicate label": "two labels of {labeled} have an IoU of {overlap:.2f}, and the "
    "detector finds one of them",
}


class _Issues(NamedTuple):
    """Issues of a kind: positions among the evaluated predictions, rows of objects."""

    kind: NDArray[np.int64]
    detection: NDArray[np.int64]
    truth: NDArray[np.int64]
    overlap: NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class LabelIssues(TextSummary):
    """Doubtful labels, the most doubtful of each kind first.

    Attributes:
        rows: the samples and labels that the rows stand for
        kind: ``(I,)`` positions in :data:`KINDS`
        score: ``(I,)`` how doubtful each label is: the score of the prediction, of a
            bad location times 1 - IoU
        confidence: ``(I,)`` the score of the prediction
        overlap: ``(I,)`` its IoU with the object, or that of two duplicates; NaN where
            nothing is labeled
        image: ``(I,)`` positions of the images
        prediction: ``(I,)`` row of the prediction
        truth: ``(I,)`` row of the object, -1 where none is labeled
        predicted_class: ``(I,)`` positions of the predicted classes
        true_class: ``(I,)`` positions of the labeled classes, -1 where none is
        sure: ``(K,)`` the score from which a prediction of each class is sure
        objects: ``(K,)`` the number of objects of each class, crowds aside
        found: ``(K,)`` how many of them a sure prediction finds
    """

    rows: EvaluatedRows
    kind: NDArray[np.int64]
    score: NDArray[np.float64]
    confidence: NDArray[np.float64]
    overlap: NDArray[np.float64]
    image: NDArray[np.int64]
    prediction: NDArray[np.int64]
    truth: NDArray[np.int64]
    predicted_class: NDArray[np.int64]
    true_class: NDArray[np.int64]
    sure: NDArray[np.float64]
    objects: NDArray[np.int64]
    found: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.kind)

    def of_kind(self, name: str) -> NDArray[np.int64]:
        """Positions of the issues of a kind of :data:`KINDS`, by descending score."""
        return np.flatnonzero(self.kind == list(KINDS).index(name))

    def where(self, keep: NDArray[np.bool_]) -> LabelIssues:
        """Some of the issues."""
        own = {
            name: values[keep]
            for name, values in vars(self).items()
            if name not in ("rows", "sure", "objects", "found")
        }
        return replace(self, **own)

    @property
    def sample_ids(self) -> NDArray[np.object_]:
        """``(I,)`` the ids of the samples."""
        return self.rows.sample_ids[self.rows.sample[self.image]]

    @property
    def prediction_ids(self) -> NDArray[np.object_]:
        """``(I,)`` the ids of the predictions."""
        return self.rows.prediction_ids[self.prediction]

    @property
    def label_ids(self) -> NDArray[np.object_]:
        """``(I,)`` the ids of the labels, None where there is none."""
        return np.r_[self.rows.truth_ids, np.array([None], dtype=object)][self.truth]

    def reasons(self) -> list[str]:
        """Why each is an issue, with the numbers that make it one."""
        names = list(_REASONS.values())
        # The last is that of background
        classes = [*map(quoted, self.rows.classes), ""]
        columns = zip(
            self.kind.tolist(),
            self.predicted_class.tolist(),
            self.true_class.tolist(),
            self.confidence.tolist(),
            self.overlap.tolist(),
            self.sure[self.predicted_class].tolist(),
            strict=True,
        )
        return [
            names[kind].format(
                predicted=classes[predicted],
                labeled=classes[true],
                score=score,
                overlap=overlap,
                sure=sure,
            )
            for kind, predicted, true, score, overlap, sure in columns
        ]

    def to_frame(self) -> pd.DataFrame:
        """The issues, the most doubtful of each kind first.

        Returns:
            a frame of ``kind``, ``score``, ``predicted_class``, ``labeled_class``, the
            ids of the sample, the prediction and the label, and ``reason``: a sentence
            with the numbers; None where there is no label
        """
        import pandas as pd

        classes = np.array([*self.rows.classes, None], dtype=object)
        columns = {
            "kind": np.array(list(KINDS), dtype=object)[self.kind],
            "predicted_class": classes[self.predicted_class],
            "labeled_class": classes[self.true_class],
            "sample_id": self.sample_ids,
            "prediction_id": self.prediction_ids,
            "label_id": self.label_ids,
            "reason": np.array(self.reasons(), dtype=object),
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

    Objects and predictions that COCO ignores are left out. Each object has one issue
    at most, and each prediction speaks about one object, except that it can show that
    several are labeled twice.

    Args:
        evaluation: an evaluation of columns
        rows: the samples and labels of its rows

    Returns:
        a :class:`LabelIssues`

    Raises:
        CocoAuditError: if keypoints were evaluated
    """
    if evaluation.settings.iou_type == "keypoints":
        raise CocoAuditError(
            "Keypoints cannot show whether a label is missing or wrong: evaluate boxes "
            "or masks, and look at the label issues of those"
        )
    evaluated = evaluation.matches.predictions
    category = evaluation.predictions.category[evaluated]
    score = evaluation.predictions.scores[evaluated]
    found, counts, found_at = outcomes_at(evaluation, _FOUND)
    is_right = found != UNMATCHED
    sure_from = _sure_scores(category, score, is_right, len(rows.classes))
    high = counts & (score >= sure_from[category])
    sure, right = high & ~is_right, high & is_right
    missed = ~evaluation.ignored[0]
    missed[found[is_right]] = False

    twice = _labeled_twice(evaluation, found, missed)
    missed[twice.truth] = False
    wrong = _of_other_class(evaluation, sure, missed)
    missed[wrong.truth] = False
    alone = _on_background(evaluation, sure)
    sure[wrong.detection] = False
    loose = _loosely_found(right, found, found_at)
    parts = [alone, wrong, _of_loose_box(evaluation, sure, missed), loose, twice]
    kind, detection, truth, overlap = map(np.concatenate, zip(*parts, strict=True))
    strength = score[detection].copy()
    is_loose = kind == _position("bad location")
    strength[is_loose] *= 1 - overlap[is_loose]
    order = np.lexsort((-strength, kind))
    prediction = evaluated[detection[order]]
    num_classes = len(rows.classes)
    of_class = evaluation.truth.category
    return LabelIssues(
        rows=rows,
        kind=kind[order],
        score=strength[order],
        confidence=evaluation.predictions.scores[prediction],
        overlap=overlap[order],
        image=evaluation.predictions.image[prediction],
        prediction=prediction,
        truth=truth[order],
        predicted_class=evaluation.predictions.category[prediction],
        # The last is that of row -1
        true_class=np.r_[of_class, -1][truth[order]],
        sure=sure_from,
        objects=np.bincount(of_class[~evaluation.ignored[0]], minlength=num_classes),
        found=np.bincount(category[right], minlength=num_classes),
    )


def _position(kind: str) -> int:
    return list(KINDS).index(kind)


def _issues(
    name: str,
    detection: NDArray[np.int64],
    truth: NDArray[np.int64],
    overlap: NDArray[np.float64],
) -> _Issues:
    kind = np.full(len(detection), _position(name))
    return _Issues(kind, detection, truth, overlap)


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
    kind = np.repeat(
        [_position("missing label"), _position("unlabeled image")],
        [len(missing), len(first)],
    )
    nothing = np.full(len(detection), UNMATCHED)
    return _Issues(kind, detection, nothing, np.full(len(detection), np.nan))


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
    chosen = _best_of_each(truth, evaluation.predictions.scores[rows[detection]])
    chosen = chosen[_best_of_each(detection[chosen], pairs.overlap[keep][chosen])]
    detection, truth = detection[chosen], truth[chosen]

    # How often the detector confuses the two, but for the object in question
    confusion = true[keep][chosen] * evaluation.num_categories + predicted[keep][chosen]
    _, place, count = np.unique(confusion, return_inverse=True, return_counts=True)
    objects = np.bincount(
        evaluation.truth.category[~evaluation.ignored[0]],
        minlength=evaluation.num_categories,
    )
    others = np.maximum(objects[evaluation.truth.category[truth]] - 1, 1)
    rare = (count[place] - 1) / others <= _RARELY
    overlap = pairs.overlap[keep][chosen]
    return _issues("wrong class", detection[rare], truth[rare], overlap[rare])


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
    overlap = pairs.overlap[keep]
    chosen = _best_of_each(truth, overlap)
    chosen = chosen[_best_of_each(detection[chosen], overlap[chosen])]
    return _issues("bad location", detection[chosen], truth[chosen], overlap[chosen])


def _loosely_found(
    right: NDArray[np.bool_], found: NDArray[np.int64], overlap: NDArray[np.float64]
) -> _Issues:
    """Objects that sure predictions find with a far lower overlap than others."""
    detection = np.flatnonzero(right)
    if not len(detection):
        return _issues("bad location", detection, detection, overlap[detection])
    low, high = np.quantile(overlap[detection], [0.25, 0.75])
    far = detection[overlap[detection] < low - _FAR_OUT * (high - low)]
    return _issues("bad location", far, found[far], overlap[far])


def _labeled_twice(
    evaluation: Evaluation, found: NDArray[np.int64], missed: NDArray[np.bool_]
) -> _Issues:
    pairs, truth_class = evaluation.pairs, evaluation.truth.category
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
    return _issues("duplicate label", detection[chosen], truth[chosen], overlap[chosen])


def _best_of_each(
    group: NDArray[np.integer], value: NDArray[np.float64]
) -> NDArray[np.int64]:
    """The positions of the highest value of each group."""
    order = np.lexsort((-value, group))
    return order[np.unique(group[order], return_index=True)[1]]
