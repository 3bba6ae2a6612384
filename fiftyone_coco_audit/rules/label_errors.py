"""Rules on labels that predictions make doubtful (CA8xx): what corrections gain."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.evaluation.analysis.edits import relabeled, without_images
from fiftyone_coco_audit.evaluation.analysis.repaired_labels import (
    with_repaired_labels,
)
from fiftyone_coco_audit.evaluation.analysis.unlabeled_images import unlabeled_images
from fiftyone_coco_audit.evaluation.improvements import Improvements
from fiftyone_coco_audit.evaluation.matching import UNMATCHED
from fiftyone_coco_audit.findings import Evidence, Example, Gain, rule
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
LOOSE = (30, 10, 40, 40)
_SOUND = (("cat", HERE),), (("cat", HERE, 0.9),)
_TWO_CATS = (
    (("cat", HERE), ("cat", THERE)),
    (("cat", HERE, 0.9), ("cat", THERE, 0.9)),
)


@label_rule(
    "CA801",
    "missing-labels",
    "warning",
    explanation="Sure predictions lie where nothing is labeled, as if labels were "
    "missing.",
    advice="Look at them, and add the labels of the objects that are there.",
    ignore="If nothing is there: then they are errors of the detector.",
    reasons=REASONS,
    implies=("CA704",),
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
    for rows, classes, gain in _corrected(
        improvements, "missing label", min_gain, share
    ):
        names, said = names_of(improvements, classes)
        yield Evidence(
            f"{counted(len(rows), 'sure prediction')} of {said} "
            f"{plural(rows, 'lies', 'lie')} where nothing is labeled; if these labels "
            f"are missing and are added: {gain}.",
            predictions=improvements.label_issues.prediction[rows],
            classes=names,
            figures={"labels": len(rows)},
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
    implies=("CA704",),
    reasons={
        "min_gain": REASONS["min_gain"],
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
    min_share: float = 0.5,
) -> Iterator[Evidence]:
    """Finds images without labels that are full of predictions.

    Args:
        improvements: the evaluation
        min_gain: the least gain in AP
        min_share: the least share of the images without labels that have a prediction
            over the ``score_threshold`` of the evaluation
    """
    found = unlabeled_images(improvements.evaluation)
    suspects, total = int(found.suspect.sum()), len(found)
    if not suspects or suspects < min_share * total:
        return
    change = without_images(improvements.evaluation, found.unlabeled)
    gain = worthwhile(improvements, change, min_gain)
    if gain is not None:
        yield Evidence(
            f"{str(found).removesuffix('.')}: {gain}.",
            images=np.flatnonzero(found.unlabeled),
            figures={
                "images": total,
                "suspect": suspects,
                "ap": found.ap,
                "ap_without": found.ap_without,
            },
            gain=gain,
        )


@label_rule(
    "CA803",
    "wrong-class-labels",
    "warning",
    explanation="Sure predictions of another class fit objects that nothing of their "
    "own class finds, and the detector rarely confuses the two.",
    advice="Look at the labels, and correct the class of those that are wrong.",
    ignore="If the labels are right: then they are errors of the detector.",
    reasons={"min_gain": REASONS["min_gain"]},
    example=Example(
        "Sixty cats are found, and five more objects labeled as cats are found as "
        "dogs.",
        scenes=[
            (30, *_TWO_CATS),
            (10, (("dog", HERE),), (("dog", HERE, 0.9),)),
            (5, (("cat", HERE),), (("dog", HERE, 0.95),)),
        ],
    ),
    counterexample=Example(
        "The detector finds half of the cats as dogs, so it confuses the two.",
        scenes=[
            (10, *_TWO_CATS),
            (10, (("dog", HERE),), (("dog", HERE, 0.9),)),
            (20, (("cat", HERE),), (("dog", HERE, 0.95),)),
        ],
    ),
)
def wrong_class_labels(
    improvements: Improvements, *, min_gain: float = MIN_GAIN
) -> Iterator[Evidence]:
    """Finds labels with the wrong class.

    Args:
        improvements: the evaluation
        min_gain: the least gain in AP
    """
    yield from _labels(
        improvements,
        "wrong class",
        min_gain,
        "{labels} of {classes} {fit} a sure prediction of another class; with the "
        "class of the prediction: {gain}.",
    )


@label_rule(
    "CA804",
    "badly-located-labels",
    "warning",
    explanation="Sure predictions of the right class overlap objects far less than "
    "usual, as if the boxes of these labels were wrong.",
    advice="Look at the labels, and correct the boxes that are wrong.",
    ignore="If the labels are right: then they are errors of the detector.",
    reasons=REASONS,
    example=Example(
        "Twenty cats are found with their box, and five with an IoU of .33.",
        scenes=[
            (10, *_TWO_CATS),
            (5, (("cat", LOOSE),), (("cat", HERE, 0.95),)),
        ],
    ),
    counterexample=Example(
        "Twenty cats are found with their box.", scenes=[(10, *_TWO_CATS)]
    ),
)
def badly_located_labels(
    improvements: Improvements, *, min_gain: float = MIN_GAIN, share: float = SHARE
) -> Iterator[Evidence]:
    """Finds labels with a box that does not fit.

    Args:
        improvements: the evaluation
        min_gain: the least gain in AP
        share: the least share of the gain of all classes for which a class has a
            finding of its own
    """
    yield from _labels(
        improvements,
        "bad location",
        min_gain,
        "{labels} of {classes} {fit} a sure prediction badly; with the box of the "
        "prediction: {gain}.",
        share,
    )


@label_rule(
    "CA805",
    "duplicate-labels",
    "warning",
    explanation="Two objects of a class have nearly the same box, and only one of them "
    "can be found.",
    advice="Remove one of the two labels.",
    ignore="If they are two objects.",
    reasons={"min_gain": REASONS["min_gain"]},
    example=Example(
        "Ten images with two cats, which are found, and five with a cat that is "
        "labeled twice.",
        scenes=[
            (10, *_TWO_CATS),
            (5, (("cat", HERE), ("cat", HERE)), (("cat", HERE, 0.9),)),
        ],
    ),
    counterexample=Example(
        "Twenty cats with one label each.", scenes=[(10, *_TWO_CATS)]
    ),
)
def duplicate_labels(
    improvements: Improvements, *, min_gain: float = MIN_GAIN
) -> Iterator[Evidence]:
    """Finds objects that are labeled twice.

    Args:
        improvements: the evaluation
        min_gain: the least gain in AP
    """
    yield from _labels(
        improvements,
        "duplicate label",
        min_gain,
        "{labels} of {classes} {repeat} another one; if removed: {gain}.",
    )


def _corrected(
    improvements: Improvements, kind: str, min_gain: float, share: float
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.bool_], Gain]]:
    """Issues of a kind that are worth correcting.

    Args:
        improvements: the evaluation
        kind: one of :data:`.label_issues.KINDS`
        min_gain: the least gain in AP
        share: as for :func:`._gains.by_class`; above 1, classes are not divided

    Yields:
        positions of the issues, ``(K,)`` their classes, and the gain
    """
    issues, evaluation = improvements.label_issues, improvements.evaluation
    here = issues.of_kind(kind)
    if not len(here) or evaluation.settings.iou_type != "bbox":
        return
    category = issues.predicted_class[here]
    true = issues.true_class[here]
    whole = relabeled(
        evaluation,
        with_repaired_labels(evaluation, issues, here),
        np.r_[category, true[true != UNMATCHED]],
    )
    count = np.bincount(category, minlength=evaluation.num_categories)
    for classes, gain in by_class(improvements, whole, count, min_gain, share):
        yield here[classes[category]], classes, gain


def _labels(
    improvements: Improvements,
    kind: str,
    min_gain: float,
    sentence: str,
    share: float = np.inf,
) -> Iterator[Evidence]:
    """The labels with issues of a kind, by default of all classes together."""
    issues = improvements.label_issues
    for rows, _, gain in _corrected(improvements, kind, min_gain, share):
        true = np.arange(len(improvements.classes))
        names, said = names_of(improvements, np.isin(true, issues.true_class[rows]))
        yield Evidence(
            sentence.format(
                labels=counted(len(rows), "label"),
                classes=said,
                fit=plural(rows, "fits", "fit"),
                repeat=plural(rows, "repeats", "repeat"),
                gain=gain,
            ),
            objects=np.sort(issues.truth[rows]),
            classes=names,
            figures={"labels": len(rows)},
            gain=gain,
        )
