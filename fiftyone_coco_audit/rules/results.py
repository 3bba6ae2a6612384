"""Rules on what a detector gets wrong (CA7xx): what repairing it would gain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.evaluation.analysis.confusion import confusion
from fiftyone_coco_audit.evaluation.analysis.counterfactuals import repair
from fiftyone_coco_audit.evaluation.analysis.edits import merged
from fiftyone_coco_audit.evaluation.analysis.intervals import objects_by_class
from fiftyone_coco_audit.evaluation.error_types import ERROR_TYPES, MISSED, Repair
from fiftyone_coco_audit.evaluation.improvements import Improvements
from fiftyone_coco_audit.evaluation.matching import UNMATCHED
from fiftyone_coco_audit.findings import Evidence, Example, rule
from fiftyone_coco_audit.rules._gains import (
    MIN_GAIN,
    REASONS,
    SHARE,
    by_class,
    names_of,
    worthwhile,
)
from fiftyone_coco_audit.wording import counted, percent, quoted

results_rule = partial(rule, needs="evaluation")

HERE, LOOSE, THERE = (10, 10, 40, 40), (24, 10, 40, 40), (300, 300, 40, 40)


def errors_of(kind: str) -> Callable[..., Iterator[Evidence]]:
    """The check of a type of error.

    Args:
        kind: one of :data:`.error_types.ERROR_TYPES`
    """

    def check(
        improvements: Improvements, *, min_gain: float = MIN_GAIN, share: float = SHARE
    ) -> Iterator[Evidence]:
        """Finds the classes whose errors of a type cost most.

        Args:
            improvements: the evaluation
            min_gain: the least gain in AP
            share: the least share of the gain of all classes for which a class has a
                finding of its own
        """
        size = improvements.evaluation.num_categories
        error, errors = ERROR_TYPES[kind], improvements.errors
        count = sum(
            (at.counts(*at.of_type(kind)) for at in errors), np.zeros(size, np.int64)
        )
        change_of = partial(repair, errors, kind)
        moves = error.repair is Repair.CORRECT_CLASS
        for classes, gain in by_class(
            improvements,
            change_of(count > 0),
            count,
            min_gain,
            share,
            change_of if moves else None,
        ):
            iou, predictions, objects = _shown(improvements, kind, classes)
            names, said = names_of(improvements, classes)
            number = len(objects) if kind == MISSED else len(predictions)
            overlap = improvements.evaluation.settings.overlap_name
            every = f"at all {overlap} thresholds " if len(errors) > 1 else ""
            yield Evidence(
                f"{counted(number, _NOUNS.get(kind, f'{kind} error'))} of {said} at "
                f"{overlap} {iou:.2f} ({error.description}); if repaired {every}"
                f"({error.repair.value}): {gain}.",
                predictions=None if kind == MISSED else predictions,
                objects=objects,
                classes=names,
                figures={"errors": number, "iou": iou},
                gain=gain,
            )

    return check


_NOUNS = {MISSED: "missed object", "both": "class-and-box error"}


def _shown(
    improvements: Improvements, kind: str, classes: NDArray[np.bool_]
) -> tuple[float, NDArray[np.int64], NDArray[np.int64]]:
    """The errors of a type at the IoU threshold that shows them best.

    That is the lowest; for boxes, many of which are a little loose, the middle one; the
    one with the most, if these have none.

    Args:
        improvements: the evaluation
        kind: the type of error
        classes: ``(K,)`` the classes of the errors

    Returns:
        a tuple of the threshold, rows of predictions, and rows of the objects that are
        missed, or that these predictions are about
    """
    errors, evaluation = improvements.errors, improvements.evaluation
    found = [
        (
            wrong & classes[evaluation.predictions.category],
            missed & classes[evaluation.truth.category],
        )
        for wrong, missed in (at.of_type(kind) for at in errors)
    ]
    counts = [np.count_nonzero(wrong) + np.count_nonzero(gone) for wrong, gone in found]
    is_loose = ERROR_TYPES[kind].repair is Repair.CORRECT_BOX
    place = len(counts) // 2 if is_loose else 0
    if not counts[place]:
        place = int(np.argmax(counts))
    wrong, missed = found[place]
    target = errors[place].types.target[wrong]
    return (
        evaluation.settings.iou_thresholds[place],
        np.flatnonzero(wrong),
        np.union1d(np.flatnonzero(missed), target[target != UNMATCHED]),
    )


def _scene(*truth: Any, found: Any) -> dict[str, Any]:
    """Ten images with the same objects and predictions."""
    return {"scenes": [(10, truth, found)]}


_HALF_CONFUSED = [("cat", HERE, 0.8), ("dog", THERE, 0.9)]
# Pairs of classes with the most confusions
_MOST_PAIRS = 5

_SOUND = Example(
    "Ten images with a cat, found by a prediction with its box.",
    **_scene(("cat", HERE), found=[("cat", HERE, 0.9)]),
)

results_rule(
    "CA701",
    "localization-errors",
    "warning",
    explanation="Predictions have the right class and lie on an object, but their "
    "boxes do not fit it.",
    advice="Compare the boxes with the labels in the view: if labels are loose, "
    "correct them; if predictions are, train longer, at a larger input, or with an IoU "
    "loss.",
    ignore="If loose boxes are good enough for your task.",
    reasons=REASONS,
    example=Example(
        "Ten images with a cat, found by a prediction with an IoU of .48.",
        **_scene(("cat", HERE), found=[("cat", LOOSE, 0.9)]),
    ),
    counterexample=_SOUND,
)(errors_of("localization"))

results_rule(
    "CA702",
    "classification-errors",
    "warning",
    explanation="Predictions fit an object of another class.",
    advice="Look at the objects in the view: label both classes by the same criteria, "
    "and add training images of the class that is rarer.",
    ignore="If you do not need to tell these classes apart.",
    reasons=REASONS,
    example=Example(
        "Ten images with a cat and a dog, where both are found as dogs.",
        **_scene(
            ("cat", HERE),
            ("dog", THERE),
            found=[("dog", HERE, 0.9), ("dog", THERE, 0.8)],
        ),
    ),
    counterexample=_SOUND,
)(errors_of("classification"))


@results_rule(
    "CA707",
    "confused-classes",
    "warning",
    explanation="The detector takes objects of one class for another so often that AP "
    "would be higher if they were one class.",
    advice="Merge the two classes, or define them so that images show the difference, "
    "and check their labels.",
    ignore="If you need to tell these classes apart.",
    reasons={
        "min_gain": REASONS["min_gain"],
        "min_share": "A tenth, up to which label issues take a confusion for rare.",
    },
    implies=("CA702",),
    example=Example(
        "Twenty cats and twenty dogs, where every second cat is found as a dog.",
        scenes=[
            (10, [("cat", HERE), ("cat", THERE)], _HALF_CONFUSED),
            (20, [("dog", HERE)], [("dog", HERE, 0.8)]),
        ],
    ),
    counterexample=Example(
        "Twenty cats and twenty dogs, all found, and the dogs with further "
        "predictions where nothing is.",
        scenes=[
            (20, [("cat", HERE)], [("cat", HERE, 0.9)]),
            (20, [("dog", HERE)], [("dog", THERE, 0.9), ("dog", HERE, 0.8)]),
        ],
    ),
)
def confused_classes(
    improvements: Improvements, *, min_gain: float = MIN_GAIN, min_share: float = 0.1
) -> Iterator[Evidence]:
    """Finds pairs of classes that one class would replace.

    AP is then a mean over one class less.

    Args:
        improvements: the evaluation
        min_gain: the least gain in AP
        min_share: the least share of the objects of a class that are taken for the
            other
    """
    evaluation, classes = improvements.evaluation, improvements.classes
    lowest = min(evaluation.settings.iou_thresholds)
    pairs = confusion(evaluation, classes, iou=lowest, score=-np.inf)
    true, predicted, count = pairs.cells()
    objects = objects_by_class(evaluation)
    seen: set[tuple[int, int]] = set()
    for one, other, number in zip(
        true.tolist(), predicted.tolist(), count.tolist(), strict=True
    ):
        first, second = min(one, other), max(one, other)
        if second == len(classes) or one == other or (first, second) in seen:
            continue
        if len(seen) == _MOST_PAIRS:
            return
        if number < min_share * objects[one]:
            continue
        seen.add((first, second))
        change = merged(evaluation, first, second)
        gain = worthwhile(improvements, change, min_gain)
        if gain is None:
            continue
        named_pair = quoted(classes[one]), quoted(classes[other])
        rows, things = (
            np.concatenate(side)
            for side in zip(
                pairs.pairs(classes[one], classes[other]),
                pairs.pairs(classes[other], classes[one]),
                strict=True,
            )
        )
        yield Evidence(
            f"{percent(number / objects[one])} of the {named_pair[0]} objects "
            f"({number:,} of {objects[one]:,}) are found as {named_pair[1]} only; if "
            f"the two were one class: {gain}.",
            predictions=rows,
            objects=things,
            classes=(classes[one], classes[other]),
            figures={"objects": number, "share": number / objects[one]},
            gain=gain,
        )


results_rule(
    "CA703",
    "duplicate-predictions",
    "warning",
    explanation="Objects are found several times, and each further prediction is a "
    "false positive.",
    advice="Lower the IoU threshold of non-maximum suppression.",
    ignore="If your application merges predictions itself.",
    reasons=REASONS,
    example=Example(
        "Ten images with two cats, one of them found twice before the other.",
        **_scene(
            ("cat", HERE),
            ("cat", THERE),
            found=[("cat", HERE, 0.9), ("cat", HERE, 0.8), ("cat", THERE, 0.7)],
        ),
    ),
    counterexample=_SOUND,
)(errors_of("duplicate"))

results_rule(
    "CA704",
    "background-errors",
    "warning",
    explanation="Predictions lie where nothing is labeled.",
    advice="Look at them: if something is there, add the labels; if not, add images "
    "like these without objects to the training set.",
    ignore="If false alarms do not matter to you.",
    reasons=REASONS,
    example=Example(
        "Ten images with a cat, and a surer prediction of a cat where nothing is.",
        **_scene(("cat", HERE), found=[("cat", THERE, 0.9), ("cat", HERE, 0.8)]),
    ),
    counterexample=_SOUND,
)(errors_of("background"))

results_rule(
    "CA705",
    "wrong-class-and-box",
    "warning",
    explanation="Predictions overlap objects of other classes loosely.",
    advice="Look at them: they often are parts of objects, or groups of objects.",
    ignore="If false alarms do not matter to you.",
    reasons=REASONS,
    example=Example(
        "Ten images with a cat and a dog, and a surer prediction of a dog loosely "
        "around the cat.",
        **_scene(
            ("cat", HERE),
            ("dog", THERE),
            found=[("dog", LOOSE, 0.9), ("dog", THERE, 0.8)],
        ),
    ),
    counterexample=_SOUND,
)(errors_of("both"))

results_rule(
    "CA706",
    "missed-objects",
    "warning",
    explanation="No prediction finds these objects, or nearly finds them.",
    advice="Look at what they have in common (small, dark, hidden, rare), and add "
    "training images of that kind.",
    ignore="If these objects need not be found.",
    reasons=REASONS,
    example=Example(
        "Ten images with two cats, one of which has no prediction.",
        **_scene(("cat", HERE), ("cat", THERE), found=[("cat", HERE, 0.9)]),
    ),
    counterexample=_SOUND,
)(errors_of("missed"))
