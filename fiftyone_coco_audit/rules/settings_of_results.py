"""Rules on what happens to predictions after the network (CA71x)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from fiftyone_coco_audit.evaluation.analysis.bootstrap import interval
from fiftyone_coco_audit.evaluation.analysis.edits import (
    relabeled,
    without_predictions,
)
from fiftyone_coco_audit.evaluation.analysis.outcomes import outcomes_at
from fiftyone_coco_audit.evaluation.analysis.suppression import neighbors
from fiftyone_coco_audit.evaluation.analysis.thresholds import thresholds
from fiftyone_coco_audit.evaluation.improvements import Improvements
from fiftyone_coco_audit.evaluation.matching import UNMATCHED
from fiftyone_coco_audit.evaluation.metrics import evaluate_objects
from fiftyone_coco_audit.findings import Evidence, Example, Gain, rule
from fiftyone_coco_audit.rules._gains import MIN_GAIN, REASONS, worthwhile
from fiftyone_coco_audit.wording import counted

settings_rule = partial(rule, needs="evaluation")

HERE, THERE = (10, 10, 40, 40), (300, 300, 40, 40)
_CAT = (("cat", HERE),)
_CATS = (("cat", HERE), ("cat", THERE))
_FOUND = ("cat", HERE, 0.9), ("cat", THERE, 0.5)

# Thresholds of suppression that detectors use
_SUPPRESSION = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
# COCO's lowest threshold, at which thresholds of scores are usually chosen
_IOU = 0.5


@settings_rule(
    "CA711",
    "looser-suppression-than-best",
    "warning",
    explanation="Predictions of a class overlap each other so much that removing some "
    "of them raises AP.",
    advice="Set the IoU threshold of non-maximum suppression to this value.",
    ignore="If your application merges predictions itself.",
    reasons={"min_gain": REASONS["min_gain"]},
    implies=("CA703",),
    example=Example(
        "Ten images with two cats, one of them found twice before the other.",
        scenes=[(10, _CATS, (_FOUND[0], ("cat", HERE, 0.8), _FOUND[1]))],
    ),
    counterexample=Example(
        "Ten images with two cats, each found once.", scenes=[(10, _CATS, _FOUND)]
    ),
)
def looser_suppression_than_best(
    improvements: Improvements, *, min_gain: float = MIN_GAIN
) -> Iterator[Evidence]:
    """Finds the threshold of non-maximum suppression that gives the highest AP.

    Boxes of predictions are suppressed greedily in each image and class. Predictions
    that the detector has suppressed already cannot come back.

    Args:
        improvements: the evaluation
        min_gain: the least gain in AP
    """
    evaluation = improvements.evaluation
    pairs = neighbors(evaluation, min(_SUPPRESSION))
    best = None
    before = -1
    for iou in _SUPPRESSION:
        removed = pairs.suppressed(iou)
        count = int(removed.sum())
        if count in (0, before):
            continue
        before = count
        change = without_predictions(evaluation, removed)
        value = improvements.gains.value(change)
        if best is None or value > best[0]:
            best = value, iou, removed, change
    if best is None:
        return
    _, iou, removed, change = best
    gain = worthwhile(improvements, change, min_gain)
    if gain is not None:
        rows = evaluation.matches.predictions[removed]
        yield Evidence(
            f"Non-maximum suppression of each class at an IoU of {iou:g} removes "
            f"{len(rows):,} of {counted(len(removed), 'prediction')}: {gain}.",
            predictions=rows,
            figures={"iou": iou, "predictions": len(rows)},
            gain=gain,
        )


@settings_rule(
    "CA712",
    "better-score-threshold",
    "note",
    explanation="F1 is clearly higher at another score threshold than the one that was "
    "used.",
    advice="Use this threshold where predictions are accepted or rejected by score, "
    "and evaluate with all scores.",
    ignore="If false alarms and missed objects do not matter alike to you.",
    reasons={
        "min_gain": "A judgment: a point of F1 is less than most would tune for.",
    },
    example=Example(
        "Ten images with a cat that is found with a score of .4, under the threshold "
        "of .5.",
        scenes=[(10, _CAT, (("cat", HERE, 0.4),))],
    ),
    counterexample=Example(
        "Ten images with a cat that is found with a score of .9.",
        scenes=[(10, _CAT, (("cat", HERE, 0.9),))],
    ),
)
def better_score_threshold(
    improvements: Improvements, *, min_gain: float = 0.01
) -> Iterator[Evidence]:
    """Finds the score threshold with the highest F1 over all classes.

    It is chosen on all images, and the interval is that of the difference at this
    threshold.

    Args:
        improvements: the evaluation
        min_gain: the least gain in F1 over that at the evaluation's ``score_threshold``
    """
    evaluation = improvements.evaluation
    if not (~evaluation.ignored[0]).any() or not len(evaluation.predictions):
        return
    found, counts, _ = outcomes_at(evaluation, _IOU)
    rows = evaluation.matches.predictions
    image, score = (
        evaluation.predictions.image[rows],
        evaluation.predictions.scores[rows],
    )
    size = evaluation.num_images
    objects = np.bincount(
        evaluation.truth.image[~evaluation.ignored[0]], minlength=size
    )
    best = thresholds(evaluation, improvements.classes, iou=_IOU).best_overall()
    settings = evaluation.settings
    used = settings.score_threshold
    if np.isnan(best.score):
        return

    every = np.stack([np.ones(size, np.int64), *improvements.gains.draws])

    def f1(at: float) -> np.ndarray:
        kept = counts & (score >= at)
        right = np.bincount(image[kept & (found != UNMATCHED)], minlength=size)
        total = np.bincount(image[kept], minlength=size) + objects
        return 2 * (every @ right) / np.maximum(every @ total, 1)

    now, then = f1(used), f1(best.score)
    low, high = interval((then - now)[1:]).tolist()
    gain = Gain(float(then[0] - now[0]), low, high, "F1")
    if gain.value >= min_gain and low > 0:
        yield Evidence(
            f"At {settings.overlap_name} {_IOU:.2f}, F1 is {then[0]:.3f} with scores "
            f"of {best.score:.3f} or more, and {now[0]:.3f} with {used:g} or more, the "
            f"score_threshold of the evaluation; AP stays the same: {gain}.",
            figures={"score": float(best.score), "f1": float(then[0])},
            gain=gain,
        )


@settings_rule(
    "CA713",
    "low-scores-cut",
    "note",
    explanation="No prediction has a low score, so they were probably cut, which "
    "lowers AP: it counts predictions of any score.",
    advice="Write all predictions to the file, or those of a score of .001 or more, "
    "and evaluate again.",
    ignore="If your detector has no low scores.",
    reasons={
        "lowest": "Detectors are evaluated on COCO with cuts from .001 (YOLO) to .05 "
        "(Faster R-CNN, RetinaNet).",
    },
    example=Example(
        "Ten images with two cats, of which one is found, with a score of .9.",
        scenes=[(10, _CATS, _FOUND[:1])],
    ),
    counterexample=Example(
        "Ten images with two cats, of which one is found, and a prediction with a "
        "score of .01.",
        scenes=[(10, _CATS, (_FOUND[0], ("dog", THERE, 0.01)))],
    ),
)
def low_scores_cut(
    improvements: Improvements, *, lowest: float = 0.05
) -> Iterator[Evidence]:
    """Finds predictions from which those of a low score are missing.

    What they would gain cannot be known.

    Args:
        improvements: the evaluation
        lowest: the lowest score over which scores seem to be cut
    """
    evaluation = improvements.evaluation
    scores = evaluation.predictions.scores
    missed = int((~evaluation.ignored[0] & ~evaluation.found()).sum())
    if not len(scores) or not missed or not lowest < scores.min() <= 1:
        return
    yield Evidence(
        f"No prediction has a score under {scores.min():.3g}, and "
        f"{counted(missed, 'object')} are not found; what predictions of a lower score "
        "would gain is not known.",
        figures={"lowest": float(scores.min()), "missed": missed},
    )


@settings_rule(
    "CA714",
    "detections-over-limit",
    "warning",
    explanation="Images have more predictions of a class than the evaluation takes, "
    "and those that it leaves out would raise AP.",
    advice="Evaluate with a higher limit in `max_detections`, and say so beside the "
    "number.",
    ignore="If you need numbers that can be compared with those of COCO.",
    reasons={"min_gain": REASONS["min_gain"]},
    example=Example(
        "Ten images with two cats, which are found, evaluated with one detection per "
        "image and class.",
        scenes=[(10, _CATS, _FOUND)],
        max_detections=[1],
    ),
    counterexample=Example(
        "Ten images with two cats, which are found, evaluated with two detections per "
        "image and class.",
        scenes=[(10, _CATS, _FOUND)],
        max_detections=[2],
    ),
)
def detections_over_limit(
    improvements: Improvements, *, min_gain: float = MIN_GAIN
) -> Iterator[Evidence]:
    """Finds evaluations whose limit on detections costs AP.

    Args:
        improvements: the evaluation
        min_gain: the least gain in AP
    """
    evaluation = improvements.evaluation
    predictions, settings = evaluation.predictions, evaluation.settings
    over = np.ones(len(predictions), bool)
    over[evaluation.matches.predictions] = False
    if not over.any() or settings.iou_type != "bbox":
        return
    after = evaluate_objects(
        evaluation.truth,
        predictions,
        num_images=evaluation.num_images,
        num_categories=evaluation.num_categories,
        settings=replace(settings, max_detections=(len(predictions),)),
    )
    change = relabeled(evaluation, after, np.unique(predictions.category[over]))
    gain = worthwhile(improvements, change, min_gain)
    if gain is not None:
        rows = np.flatnonzero(over)
        yield Evidence(
            f"{counted(len(rows), 'prediction')} are over the limit of "
            f"{settings.max_detections[-1]:,} per image and class; without the limit: "
            f"{gain}.",
            predictions=rows,
            figures={"predictions": len(rows)},
            gain=gain,
        )
