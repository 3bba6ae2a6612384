"""What the numbers of an evaluation depend on, in sentences.

Each function looks at one thing that a number does not show: what it leaves out, what
it counts as wrong although nobody checked, and how other tools treat the same data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.areas import measured_areas, size_change, wrong_areas
from fiftyone_coco_audit.evaluation.analysis.unlabeled_images import unlabeled_images
from fiftyone_coco_audit.evaluation.error_types import ErrorTypes
from fiftyone_coco_audit.evaluation.matching import UNMATCHED
from fiftyone_coco_audit.evaluation.metrics import (
    Evaluation,
    average_precision_of,
    without_matches,
)
from fiftyone_coco_audit.evaluation.settings import Settings
from fiftyone_coco_audit.mapping.diagnosis import MappingDiagnosis, Repair
from fiftyone_coco_audit.wording import counted, listed, named, quoted

# Minimum numbers and shares for a condition to explain a metric
_MANY_IMAGES = 0.1
_MANY_PREDICTIONS = 0.05
_MOST_OBJECTS = 0.5
_FEW_FOUND = 0.1
_FEWEST_OBJECTS = 3
# A smaller difference in AP is not worth a note
_VISIBLE = 0.005


def conditions(
    evaluation: Evaluation,
    errors: ErrorTypes,
    classes: Sequence[str],
    *,
    annotation_ids: NDArray[np.object_],
    mask_area: NDArray[np.float64] | None = None,
    diagnosis: MappingDiagnosis | None = None,
) -> list[str]:
    """Says what a reader of the metrics needs to know.

    Args:
        evaluation: an evaluation of columns
        errors: the types of error of its labels
        classes: ``K`` names of the classes
        annotation_ids: ``(M,)`` COCO id of each ground-truth object in its file,
            None where it has none or it is not known
        mask_area: ``(M,)`` pixels of the mask of each object; NaN where it has none,
            None where masks were not read
        diagnosis: how predictions would fit; what it explains is not said again

    Returns:
        sentences, those on more of the numbers first
    """
    renamed = _renamed_classes(evaluation, errors)
    explained = np.zeros(len(classes), bool)
    explained[[row for pair in renamed for row in pair[:2]]] = True
    of_names = _about_names(evaluation, classes, renamed)
    one_sided = _classes_on_one_side(evaluation, classes, explained)
    known = diagnosis.repair if diagnosis else Repair()
    return [
        *_objects_that_count(evaluation, classes),
        *_predictions_that_count(evaluation),
        *(_high_scores(evaluation) if known.score == 1 else ()),
        *(
            of_names or _predictions_that_fit(evaluation)
            if not (diagnosis and diagnosis.causes)
            else ()
        ),
        *(one_sided if known.category is None else ()),
        *_images_on_one_side(evaluation),
        *_areas(evaluation, mask_area),
        *_annotation_id_0(evaluation, annotation_ids),
    ]


def _objects_that_count(
    evaluation: Evaluation, classes: Sequence[str]
) -> Iterator[str]:
    """Crowd regions, and objects outside of the range of all areas."""
    truth, settings = evaluation.truth, evaluation.settings
    if not len(truth):
        yield "There are no ground-truth objects, so there is no AP."
    elif truth.crowd.mean() > _MOST_OBJECTS:
        count, total = int(truth.crowd.sum()), counted(len(truth), "object")
        left = f"so the numbers cover only the other {len(truth) - count:,}"
        if count == len(truth):
            left = "so there is no AP"
        regions = "is a crowd region" if count == 1 else "are crowd regions"
        yield (
            f"{count:,} of {total} {regions} (`iscrowd` 1), which "
            f"COCO never counts, {left}. Set `iscrowd` to 0 for labels of single "
            "objects."
        )
    else:
        of_class = _per_class(evaluation, truth.category)
        crowds = _per_class(evaluation, truth.category[truth.crowd])
        only = _names(classes, (crowds == of_class) & (crowds > 0))
        if only:
            yield (
                f"{named(only)} {_have(len(only))} only crowd regions (`iscrowd` 1), "
                "which COCO never counts, so there is no AP."
            )
    low, high = settings.area_ranges[0][1]
    if (low, high) != Settings().area_ranges[0][1]:
        outside = int((~settings.in_area_ranges(truth.area)[0] & ~truth.crowd).sum())
        yield (
            f"The range `all` limits every number to areas from {low:,g} to {high:,g} "
            f"square pixels, which ignores {counted(outside, 'object')}."
        )


def _predictions_that_count(evaluation: Evaluation) -> Iterator[str]:
    """Missing predictions, and those beyond the limit."""
    predictions, matches = evaluation.predictions, evaluation.matches
    if not len(predictions):
        yield "There are no predictions, so every object counts as missed."
        return
    beyond = len(predictions) - len(matches.predictions)
    if beyond:
        most = evaluation.settings.max_detections[-1]
        yield (
            f"{beyond:,} of {counted(len(predictions), 'prediction')} {_are(beyond)} "
            f"not counted, because only the best {most} of each image and class are."
        )


def _high_scores(evaluation: Evaluation) -> Iterator[str]:
    """Scores on another scale."""
    predictions = evaluation.predictions
    if not len(predictions):
        return
    threshold = evaluation.settings.score_threshold
    score = predictions.scores
    above = int((score > 1).sum())
    if above and threshold <= 1:
        yield (
            f"{above:,} of {counted(len(predictions), 'prediction')} {_have(above)} a "
            f"score above 1 (the highest is {score.max():g}), so the score "
            f"threshold of {threshold:g} means little: set `score_threshold` on the "
            "same scale, or write scores from 0 to 1. AP needs only their order."
        )


def _predictions_that_fit(evaluation: Evaluation) -> Iterator[str]:
    """Predictions, if none of them lies on an object of its class."""
    some = len(evaluation.predictions) and (~evaluation.ignored[0]).any()
    if some and not (evaluation.matches.truth[0, 0] != UNMATCHED).any():
        settings = evaluation.settings
        form = "boxes are [x, y, width, height]"
        if settings.iou_type == "keypoints":
            form = "keypoints are [x, y, v, x, y, v, ...]"
        yield (
            f"No prediction reaches an {settings.overlap_name} of "
            f"{settings.iou_thresholds[0]:.2f} with an object of its class. "
            "Check that the predictions are for these images and classes, and that "
            f"their {form} in pixels."
        )


def _renamed_classes(
    evaluation: Evaluation, errors: ErrorTypes
) -> list[tuple[int, int, int]]:
    """Classes whose objects are found, but under the name of another class.

    Returns:
        tuples of the class of the predictions, that of the objects, and how many of
        these the predictions lie on, most first
    """
    truth, size = evaluation.truth, evaluation.num_categories
    objects, found = _objects_and_found(evaluation)
    prediction, thing = errors.mistaken.T
    predicted = evaluation.predictions.category[prediction]
    # An object counts once for each class that it is mistaken for
    pairs = np.unique(predicted * len(truth) + thing)
    predicted, thing = np.divmod(pairs, max(len(truth), 1))
    cells, taken = np.unique(
        predicted * size + truth.category[thing], return_counts=True
    )
    other, name = np.divmod(cells, max(size, 1))
    renamed = (
        (taken >= _FEWEST_OBJECTS)
        & (taken >= _MOST_OBJECTS * objects[name])
        & (found[name] <= _FEW_FOUND * objects[name])
    )
    found_as = np.column_stack([other, name, taken])[renamed].tolist()
    return sorted(map(tuple, found_as), key=lambda pair: -pair[2])


def _about_names(
    evaluation: Evaluation, classes: Sequence[str], renamed: list[tuple[int, int, int]]
) -> list[str]:
    objects, found = _objects_and_found(evaluation)
    pairs = [
        f"{quoted(classes[other])} on {taken:,} of {objects[name]:,} of "
        f"{quoted(classes[name])}"
        for other, name, taken in renamed
    ]
    advice = "Check that both files use the same class ids."
    if len(pairs) > 1:
        return [
            f"Predictions lie on objects of other classes: {listed(pairs)}. {advice}"
        ]
    for other, name, taken in renamed:
        if not objects[other]:
            advice = "If both are the same class, give them the same name."
        of_name = quoted(classes[name])
        return [
            f"Predictions of {quoted(classes[other])} lie on {taken:,} of "
            f"{counted(int(objects[name]), 'object')} of {of_name}. Predictions of "
            f"{of_name} find {found[name]:,} of these. {advice}"
        ]
    return []


def _objects_and_found(
    evaluation: Evaluation,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many objects of each class count, and how many of these are found."""
    category, counts = evaluation.truth.category, ~evaluation.ignored[0]
    return (
        _per_class(evaluation, category[counts]),
        _per_class(evaluation, category[evaluation.found()]),
    )


def _classes_on_one_side(
    evaluation: Evaluation, classes: Sequence[str], explained: NDArray[np.bool_]
) -> Iterator[str]:
    """Classes without objects, and classes without predictions."""
    objects, _ = _objects_and_found(evaluation)
    if not objects.any() or not len(evaluation.predictions):
        return
    predictions = _per_class(evaluation, evaluation.predictions.category)
    strange = np.where((objects == 0) & ~explained, predictions, 0)
    if strange.any() and strange.sum() >= _MANY_PREDICTIONS * predictions.sum():
        names = _names(classes, strange > 0, by=strange)
        yield (
            f"{int(strange.sum()):,} of "
            f"{counted(int(predictions.sum()), 'prediction')} "
            f"{_are(int(strange.sum()))} of classes without objects ({named(names)}), "
            "which AP leaves out."
        )
    silent = (objects > 0) & (predictions == 0) & ~explained
    if silent.any():
        names = _names(classes, silent, by=objects)
        total = int((objects > 0).sum())
        yield (
            f"{len(names):,} of {counted(total, 'class')} with objects "
            f"{_have(len(names))} no predictions, so "
            f"{'its' if len(names) == 1 else 'their'} AP is 0: "
            f"{named(names)}."
        )


def _images_on_one_side(evaluation: Evaluation) -> Iterator[str]:
    """Images without objects, and images without predictions."""
    truth, size = evaluation.truth, evaluation.num_images
    objects = np.bincount(truth.image[~evaluation.ignored[0]], minlength=size)
    predictions = np.bincount(evaluation.predictions.image, minlength=size)
    if not objects.any() or not predictions.any():
        return
    empty = unlabeled_images(evaluation)
    wrong = empty.unlabeled & (predictions > 0)
    if _ap_without(evaluation, wrong, size) is not None:
        yield f"{empty} Leave out images that were never annotated."
    silent = (objects > 0) & (predictions == 0)
    labeled = int((objects > 0).sum())
    without = _ap_without(evaluation, silent, labeled)
    if without is not None:
        count, missed = int(silent.sum()), int(objects[silent].sum())
        lost = counted(missed, "object")
        yield (
            f"{count:,} of {counted(labeled, 'image')} with objects {_have(count)} no "
            f"predictions, so {lost} {_are(missed)} missed.{without}"
        )


def _ap_without(
    evaluation: Evaluation, images: NDArray[np.bool_], among: int
) -> str | None:
    """What the AP is without some images, None if these do not explain the number."""
    if not images.any():
        return None
    without = average_precision_of(evaluation, ~images)
    if without >= 0 and abs(without - evaluation.summary()["AP"]) >= _VISIBLE:
        return f" Without these images, AP is {without:.4f}."
    return "" if images.sum() >= _MANY_IMAGES * among else None


def _areas(
    evaluation: Evaluation, mask_area: NDArray[np.float64] | None
) -> Iterator[str]:
    """Objects that their `area` puts into another size class than their pixels do."""
    settings, truth = evaluation.settings, evaluation.truth
    side = truth.box[:, 2:]
    measured = measured_areas(side, mask_area)
    wrong = wrong_areas(truth.area, side, mask_area) & ~truth.crowd
    given, true = (
        settings.in_area_ranges(areas[wrong])[1:] for areas in (truth.area, measured)
    )
    change = size_change(settings.area_names[1:], given, true)
    if change is not None:
        yield (
            f"`area` puts {change.objects:,} of "
            f"{counted(int((~truth.crowd).sum()), 'object')} into a different size "
            f"class than the mask or box does (such as {change.most:,} from "
            f"{change.measured} to {change.given}). AP and AR by size follow `area`."
        )


def _annotation_id_0(
    evaluation: Evaluation, annotation_ids: NDArray[np.object_]
) -> Iterator[str]:
    """How pycocotools treats an object whose id is its marker for "no match"."""
    zeros, are_unique = with_id_0(annotation_ids)
    if not zeros.any():
        return
    if not are_unique:
        yield (
            "Several objects share an annotation id, and "
            f"{counted(int(zeros.sum()), 'object')} of them have the id 0: "
            "pycocotools 2.0.11 uses the last object with an id for all of them and "
            "cannot match one with id 0, so it prints other numbers."
        )
        return
    numbers = evaluation.summary()
    for name, value in without_matches(evaluation, zeros).summary().items():
        if f"{value:.4f}" != f"{numbers[name]:.4f}":
            yield (
                f"pycocotools 2.0.11 prints {name} {value:.4f} for the same objects, "
                "because it cannot match the object with annotation id 0."
            )
            return


def with_id_0(annotation_ids: NDArray[np.object_]) -> tuple[NDArray[np.bool_], bool]:
    """Which objects have the annotation id 0.

    Args:
        annotation_ids: ``(M,)`` ids, None where there is none

    Returns:
        a tuple of ``(M,)`` and whether no two objects share an id
    """
    ids = annotation_ids.tolist()
    zeros = np.array([not isinstance(id_, str) and id_ == 0 for id_ in ids], bool)
    known = [id_ for id_ in ids if id_ is not None]
    return zeros, len(set(known)) == len(known)


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _have(count: int) -> str:
    return "has" if count == 1 else "have"


def _per_class(
    evaluation: Evaluation, category: NDArray[np.int64]
) -> NDArray[np.int64]:
    return np.bincount(category, minlength=evaluation.num_categories)


def _names(
    classes: Sequence[str],
    chosen: NDArray[np.bool_],
    by: NDArray[np.int64] | None = None,
) -> list[str]:
    """The names of some classes, those with the most of something first."""
    rows = np.flatnonzero(chosen)
    if by is not None:
        rows = rows[np.argsort(-by[rows], kind="stable")]
    return [classes[row] for row in rows.tolist()]
