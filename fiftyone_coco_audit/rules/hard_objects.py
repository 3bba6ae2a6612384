"""Rules on objects that an audit of the dataset knows to be hard (CA72x, CA806)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from fiftyone_coco_audit.evaluation.analysis.counterfactuals import found_like_others
from fiftyone_coco_audit.evaluation.analysis.edits import with_boxes
from fiftyone_coco_audit.evaluation.improvements import SMALL, UNREACHABLE, Improvements
from fiftyone_coco_audit.findings import Evidence, Example, rule
from fiftyone_coco_audit.rules._gains import (
    MIN_GAIN,
    REASONS,
    SHARE,
    by_class,
    names_of,
)
from fiftyone_coco_audit.wording import percent, plural

hard_rule = partial(rule, needs="evaluation")

HERE, THERE, LOOSE = (10, 10, 9, 9), (300, 300, 40, 40), (296, 296, 48, 48)


def hard_objects(kind: str) -> Callable[..., Iterator[Evidence]]:
    """The check of a kind of hard objects.

    Args:
        kind: one of the kinds of :attr:`.improvements.Improvements.hard`
    """

    def check(
        improvements: Improvements, *, min_gain: float = MIN_GAIN, share: float = SHARE
    ) -> Iterator[Evidence]:
        """Finds classes whose hard objects are found less than the others.

        Args:
            improvements: the evaluation
            min_gain: the least gain in AP
            share: the least share of the gain of all classes for which a class has a
                finding of its own
        """
        hard = improvements.hard.get(kind)
        if hard is None:
            return
        truth, size = improvements.evaluation.truth, len(improvements.classes)
        counts = ~improvements.evaluation.ignored[0]
        here = hard.objects & counts
        count = np.bincount(truth.category[here], minlength=size)
        if not count.any():
            return
        whole = found_like_others(improvements.evaluation, here)
        for classes, gain in by_class(improvements, whole, count, min_gain, share):
            rows = np.flatnonzero(here & classes[truth.category])
            of = int((counts & classes[truth.category]).sum())
            names, said = names_of(improvements, classes)
            yield Evidence(
                f"{percent(len(rows) / of)} of the objects of {said} ({len(rows):,} of "
                f"{of:,}) {plural(rows, 'is', 'are')} {hard.words}; if these were "
                f"found like the others of their class: {gain}.",
                objects=rows,
                classes=names,
                figures={"objects": len(rows), "share": len(rows) / of},
                gain=gain,
            )

    return check


_SMALL_MISSED = (("cat", HERE), ("cat", THERE)), (("cat", THERE, 0.9),)
_BOTH_FOUND = (
    (("cat", HERE), ("cat", THERE)),
    (("cat", HERE, 0.9), ("cat", THERE, 0.9)),
)

hard_rule(
    "CA721",
    "small-objects-missed",
    "warning",
    explanation="Objects that are small at the input of the network are found less "
    "than the others of their class.",
    advice="Train and predict with a larger input, or on tiles of the images.",
    ignore="If you do not need these objects.",
    reasons=REASONS,
    example=Example(
        "Ten images with a cat of 9 x 9 pixels, which is missed, and a large one.",
        scenes=[(10, *_SMALL_MISSED)],
        hard={SMALL: 0},
    ),
    counterexample=Example(
        "Ten images with a cat of 9 x 9 pixels and a large one, both found.",
        scenes=[(10, *_BOTH_FOUND)],
        hard={SMALL: 0},
    ),
)(hard_objects(SMALL))

hard_rule(
    "CA722",
    "unreachable-objects-missed",
    "warning",
    explanation="Objects that no anchor reaches are found less than the others of "
    "their class.",
    advice="Use anchors of the sizes and shapes that `compute_statistics` proposes, or "
    "a detector without anchors.",
    ignore="If your detector has no anchors.",
    reasons=REASONS,
    example=Example(
        "Ten images with a cat that no anchor reaches, which is missed, and one that "
        "an anchor reaches.",
        scenes=[(10, *_SMALL_MISSED)],
        hard={UNREACHABLE: 0},
    ),
    counterexample=Example(
        "Ten images with a cat that no anchor reaches and another one, both found.",
        scenes=[(10, *_BOTH_FOUND)],
        hard={UNREACHABLE: 0},
    ),
)(hard_objects(UNREACHABLE))


@hard_rule(
    "CA806",
    "boxes-looser-than-masks",
    "warning",
    explanation="The boxes of labels are larger than their masks, and the predictions "
    "fit the masks.",
    advice="Replace the boxes of these labels by the boxes around their masks.",
    ignore="If the boxes should contain more than the masks.",
    reasons=REASONS,
    implies=("CA701", "CA804"),
    example=Example(
        "Ten images with a cat whose box is 48 pixels wide, its mask and its "
        "prediction 40.",
        scenes=[(10, (("cat", LOOSE),), (("cat", THERE, 0.9),))],
        tight=THERE,
    ),
    counterexample=Example(
        "Ten images with a cat whose box is that of its prediction, and larger than "
        "its mask.",
        scenes=[(10, (("cat", LOOSE),), (("cat", LOOSE, 0.9),))],
        tight=THERE,
    ),
)
def boxes_looser_than_masks(
    improvements: Improvements, *, min_gain: float = MIN_GAIN, share: float = SHARE
) -> Iterator[Evidence]:
    """Finds labels that fit the predictions better with the boxes of their masks.

    Args:
        improvements: the evaluation
        min_gain: the least gain in AP
        share: the least share of the gain of all classes for which a class has a
            finding of its own
    """
    rows, boxes = improvements.tight
    if not len(rows):
        return
    evaluation, size = improvements.evaluation, len(improvements.classes)
    category = evaluation.truth.category[rows]
    whole = with_boxes(evaluation, rows, boxes)
    count = np.bincount(category, minlength=size)
    for classes, gain in by_class(improvements, whole, count, min_gain, share):
        found = rows[classes[category]]
        names, said = names_of(improvements, classes)
        yield Evidence(
            f"{len(found):,} {plural(found, 'box', 'boxes')} of {said} "
            f"{plural(found, 'is', 'are')} larger than the mask; with the box of the "
            f"mask: {gain}.",
            objects=found,
            classes=names,
            figures={"labels": len(found)},
            gain=gain,
        )
