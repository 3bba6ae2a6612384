"""Rules on labels that predictions make doubtful (CA8xx): what corrections gain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.evaluation.analysis.counterfactuals import Change
from fiftyone_coco_audit.evaluation.analysis.edits import (
    LabelEdits,
    relabeled,
    without_images,
)
from fiftyone_coco_audit.evaluation.improvements import Improvements
from fiftyone_coco_audit.findings import Evidence, Example, rule
from fiftyone_coco_audit.rules._gains import (
    MIN_GAIN,
    REASONS,
    SHARE,
    by_class,
    names_of,
    worthwhile,
)
from fiftyone_coco_audit.wording import counted, plural

label_rule = partial(rule, needs="evaluation")

HERE, THERE, ELSEWHERE = (10, 10, 40, 40), (300, 300, 40, 40), (300, 10, 40, 40)
_SOUND = (("cat", HERE),), (("cat", HERE, 0.9),)


@label_rule(
    "CA801",
    "missing-labels",
    "warning",
    explanation="Sure predictions lie where nothing is labeled, as if labels were "
    "missing.",
    advice="Look at them, and add the labels of the objects that are there.",
    ignore="If nothing is there: then they are errors of the detector.",
    reasons=REASONS,
    example=Example(
        "Ten images with three cats, of which one is found with the highest score and "
        "not labeled.",
        scenes=[
            (
                10,
                [("cat", HERE), ("cat", ELSEWHERE)],
                [("cat", HERE, 0.5), ("cat", ELSEWHERE, 0.5), ("cat", THERE, 0.9)],
            )
        ],
    ),
    counterexample=Example(
        "Ten images in which the prediction beside the cats has a low score.",
        scenes=[
            (
                10,
                [("cat", HERE), ("cat", ELSEWHERE)],
                [("cat", HERE, 0.5), ("cat", ELSEWHERE, 0.5), ("cat", THERE, 0.1)],
            )
        ],
    ),
)
def missing_labels(
    improvements: Improvements, *, min_gain: float = MIN_GAIN, share: float = SHARE
) -> Iterator[Evidence]:
    """Finds classes whose AP rises if what sure predictions see is labeled.

    Args:
        improvements: the evaluation
        min_gain: the least gain in AP
        share: the least share of the gain of all classes for which a class has a
            finding of its own
    """
    issues, evaluation = improvements.label_issues, improvements.evaluation
    here = issues.of_kind("missing label")
    rows, category = issues.prediction[here], issues.predicted_class[here]

    def added(classes: NDArray[np.bool_]) -> Change:
        edits = LabelEdits.none(evaluation)
        return relabeled(evaluation, replace(edits, added=rows[classes[category]]))

    count = np.bincount(category, minlength=evaluation.num_categories)
    for classes, gain in by_class(improvements, added, count, min_gain, share):
        names, said = names_of(improvements, classes)
        found = rows[classes[category]]
        yield Evidence(
            f"{counted(len(found), 'sure prediction')} of {said} "
            f"{plural(found, 'lies', 'lie')} where nothing is labeled; if the labels "
            f"were missing and are added: {gain}",
            predictions=found,
            classes=names,
            figures={"labels": len(found)},
            gain=gain,
        )


@label_rule(
    "CA802",
    "unannotated-images",
    "warning",
    explanation="Images without any label have predictions with a high score, as if "
    "nobody had annotated them.",
    advice="Look at them: label their objects, or leave the images out.",
    ignore="If they show nothing of your classes.",
    reasons={
        "min_gain": REASONS["min_gain"],
        "min_score": "From this score on, COCO Audit shows predictions by default.",
        "min_share": "A judgment: a detector that sees something in most of the images "
        "without labels is rarely wrong about all of them.",
    },
    example=Example(
        "Ten images with a cat, which is found, and five without labels, in which a "
        "cat is found too.",
        scenes=[(10, *_SOUND), (5, [], [("cat", HERE, 0.95)])],
    ),
    counterexample=Example(
        "Ten images with a cat, which is found, and five without labels or sure "
        "predictions.",
        scenes=[(10, *_SOUND), (5, [], [("cat", HERE, 0.3)])],
    ),
)
def unannotated_images(
    improvements: Improvements,
    *,
    min_gain: float = MIN_GAIN,
    min_score: float = 0.5,
    min_share: float = 0.5,
) -> Iterator[Evidence]:
    """Finds images without labels that are full of predictions.

    Args:
        improvements: the evaluation
        min_gain: the least gain in AP
        min_score: the least score of a prediction
        min_share: the least share of the images without labels that have such a
            prediction
    """
    evaluation = improvements.evaluation
    predictions = evaluation.predictions
    empty = np.ones(evaluation.num_images, bool)
    empty[evaluation.truth.image] = False
    high = np.zeros(evaluation.num_images, bool)
    high[predictions.image[predictions.scores >= min_score]] = True
    found = empty & high
    number, total = int(found.sum()), int(empty.sum())
    if not number or number < min_share * total:
        return
    change = without_images(evaluation, found)
    gain = worthwhile(improvements, change, min_gain)
    if gain is None:
        return
    ap = evaluation.summary()["AP"]
    of_these = f"all {number:,}" if number == total else f"{number:,} of these"
    yield Evidence(
        f"{total:,} of {counted(evaluation.num_images, 'image')} have no label, and "
        f"{of_these} have a prediction with a score of {min_score:g} or more; AP is "
        f"{_short(ap)} with them, {_short(ap + gain.value)} without: {gain}",
        images=np.flatnonzero(found),
        figures={"images": number, "unlabeled": total, "ap": ap},
        gain=gain,
    )


def _short(ap: float) -> str:
    return f"{ap:.2f}".removeprefix("0")
