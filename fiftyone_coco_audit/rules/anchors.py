"""Rules on anchors, compared with the objects at the network's input."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypedDict

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.findings import Evidence, Example, Severity, rule
from fiftyone_coco_audit.rules._shared import WorstClasses, at
from fiftyone_coco_audit.statistics.anchor_presets import DEFAULT_ANCHORS
from fiftyone_coco_audit.statistics.anchor_sets import UNREACHABLE
from fiftyone_coco_audit.statistics.anchors import AnchorMatches
from fiftyone_coco_audit.wording import (
    counted,
    listed,
    named,
    out_of,
    percent,
    pixels,
    plural,
)

if TYPE_CHECKING:
    from fiftyone_coco_audit.statistics.overview import Statistics


class _Softened(TypedDict, total=False):
    severity: Severity
    advice: str


@rule(
    "CA510",
    "anchors-unreachable",
    "warning",
    explanation="An object that resembles no anchor is background to all of them, or "
    "is learned by a single one that is forced on it, and is found late or never.",
    advice="Enlarge the input, or choose anchors that fit: a finer level for small "
    "objects, other aspect ratios for long ones.",
    ignore="If your detector has no anchors.",
    reasons={
        "max_share": (
            "At the usual 800 x 1333, RetinaNet's anchors miss 6% to 8% of COCO's "
            "objects (179 photos)."
        ),
        "min_objects": (
            "With 50 objects a share of a tenth is known to within 9 points."
        ),
    },
    example=Example(
        "15 of 100 objects are 10 x 10 pixels at the network's input, and the smallest "
        "anchor is 32 x 32.",
        boxes=[("cat", 16, 16, 10, 10)] * 15 + [("cat", 16, 16, 32, 32)] * 85,
        anchors="sizes 32,64,128 ratios .5,1,2 strides 8,16,32",
    ),
    counterexample=Example(
        "5 of 100 objects are 10 x 10 pixels.",
        boxes=[("cat", 16, 16, 10, 10)] * 5 + [("cat", 16, 16, 32, 32)] * 95,
        anchors="sizes 32,64,128 ratios .5,1,2 strides 8,16,32",
    ),
)
def anchors_unreachable(
    statistics: Statistics, *, max_share: float = 0.1, min_objects: int = 50
) -> Iterator[Evidence]:
    """Finds sets with many objects that no anchor matches.

    Args:
        statistics: of the images
        max_share: the share of the objects that may match no anchor
        min_objects: how many objects a set needs to be judged
    """
    matches = statistics.anchor_matches
    found = np.flatnonzero(matches.status == UNREACHABLE)
    if len(matches) < min_objects or len(found) <= max_share * len(matches):
        return
    yield Evidence(
        f"{_share(found, matches)} match no {_anchor_of(matches)} "
        f"({_why(matches)}); their median size is "
        f"{pixels(np.median(matches.input_size[found]))}, that of all objects "
        f"{pixels(np.median(matches.input_size))}.",
        objects=found,
        figures={"objects": len(found), "share": len(found) / len(matches)},
        **_until_chosen(matches),
    )


@rule(
    "CA511",
    "class-unreachable",
    "warning",
    explanation="Many objects of a class match no anchor, so the class is learned "
    "worse than others, whatever its number of objects.",
    advice="Look at the sizes and shapes of the class at the network's input, and add "
    "anchors like them.",
    ignore="If your detector has no anchors.",
    reasons={
        "max_share": "Twice what is tolerated of all objects.",
        "min_objects": (
            "With 20 objects a share of a fifth is known to within 18 points."
        ),
        "min_times": (
            "If a class is missed no more than the others, the class is not the cause."
        ),
    },
    example=Example(
        "One of two classes is 10 x 10 pixels at the network's input, and the smallest "
        "anchor is 32 x 32.",
        boxes=[("ant", 16, 16, 10, 10)] * 20 + [("cat", 16, 16, 32, 32)] * 80,
        anchors="sizes 32,64,128 ratios .5,1,2 strides 8,16,32",
    ),
    counterexample=Example(
        "A fifth of the objects of both classes is 10 x 10 pixels.",
        boxes=(
            [("ant", 16, 16, 10, 10)]
            + [("ant", 16, 16, 32, 32)] * 4
            + [("cat", 16, 16, 10, 10)]
            + [("cat", 16, 16, 32, 32)] * 4
        )
        * 10,
        anchors="sizes 32,64,128 ratios .5,1,2 strides 8,16,32",
    ),
)
def class_unreachable(
    statistics: Statistics,
    *,
    max_share: float = 0.2,
    min_objects: int = 20,
    min_times: float = 1.5,
) -> Iterator[Evidence]:
    """Finds classes with many objects that no anchor matches.

    Args:
        statistics: of the images
        max_share: the share of the objects of a class that may match no anchor
        min_objects: how many objects a class needs to be judged
        min_times: how many times the share of all objects it must be, so that the
            finding is about the class
    """
    matches = statistics.anchor_matches
    if not len(matches):
        return
    unreachable = matches.status == UNREACHABLE
    worst = WorstClasses.of(
        statistics,
        unreachable,
        max_share=max(max_share, min_times * unreachable.mean()),
        min_objects=min_objects,
    )
    if not len(worst):
        return
    others = f", and so do many of {named(worst.names[1:])}" if len(worst) > 1 else ""
    yield Evidence(
        f"{percent(worst.share[0])} of {named(worst.names[:1])} objects "
        f"({worst.affected[0]:,} of {worst.count[0]:,}) match no "
        f"{_anchor_of(matches)} ({_why(matches)}){others}.",
        objects=worst.objects,
        classes=worst.names,
        figures={"share": float(worst.share[0]), "classes": len(worst)},
        **_until_chosen(matches),
    )


@rule(
    "CA512",
    "shape-unreachable",
    "warning",
    explanation="Objects are so long that anchors of the present aspect ratios match "
    "them at no size, so neither a larger input nor more sizes help.",
    advice="Add anchors of more extreme aspect ratios.",
    ignore="If your detector has no anchors.",
    reasons={
        "max_share": (
            "In COCO 2% to 3% of the objects are longer than RetinaNet's anchors reach "
            "(179 photos), as skis and bats are."
        ),
        "min_objects": "Fewer objects are not worth an anchor of their own.",
    },
    example=Example(
        "A tenth of 200 objects is 20 x 200 pixels, and the anchors are at most twice "
        "as long as wide.",
        boxes=[("cat", 16, 16, 20, 200)] * 20 + [("cat", 16, 16, 32, 32)] * 180,
        anchors="sizes 32,64,128 ratios .5,1,2 strides 8,16,32",
    ),
    counterexample=Example(
        "A tenth of 200 objects is 20 x 80 pixels.",
        boxes=[("cat", 16, 16, 20, 80)] * 20 + [("cat", 16, 16, 32, 32)] * 180,
        anchors="sizes 32,64,128 ratios .5,1,2 strides 8,16,32",
    ),
)
def shape_unreachable(
    statistics: Statistics, *, max_share: float = 0.02, min_objects: int = 20
) -> Iterator[Evidence]:
    """Finds sets with many objects that are too long for the anchors.

    Those with a side under a pixel are left to degenerate-box.

    Args:
        statistics: of the images
        max_share: the share of the objects that may be too long
        min_objects: the minimum number of objects that must be too long
    """
    matches = statistics.anchor_matches
    sound = statistics.labeled.objects.box[:, 2:].min(axis=1) >= 1
    found = np.flatnonzero(matches.beyond_ratios & sound)
    if len(found) < min_objects or len(found) <= max_share * len(matches):
        return
    sides = matches.box[found, 2:]
    elongation = np.median(sides.max(axis=1) / sides.min(axis=1))
    shapes = matches.anchors.shapes
    longest = (shapes.max(axis=1) / shapes.min(axis=1)).max()
    yield Evidence(
        f"{_share(found, matches)} are too long for the anchors of {_at(matches)} at "
        f"any size: their median elongation is {elongation:.1f}:1, but the anchors "
        f"are at most {longest:.1f}:1.",
        objects=found,
        figures={"objects": len(found), "median_ratio": float(elongation)},
        **_until_chosen(matches),
    )


@rule(
    "CA513",
    "better-anchors",
    "note",
    explanation="Anchors of the same number, fitted to this set, match many more "
    "objects of images that they were not fitted to.",
    advice="Train with the proposed anchors, which the tab Anchors of the panel COCO "
    "Audit shows, and which figures['anchors'] of the finding holds as text.",
    ignore="If your detector has no anchors, or if you use pretrained heads.",
    reasons={
        "max_reach": "YOLOv5's autoanchor fits no anchors above this limit.",
        "min_gain": (
            "A judgment: a twentieth of the objects is worth training without the "
            "pretrained head."
        ),
    },
    example=Example(
        "All objects are 12 x 12 to 24 x 24 pixels at the network's input, and the "
        "smallest anchor is 32 x 32.",
        rows=[
            (n // 20, "cat", (32 * (n % 20), 9, 12 + n % 12, 12 + n % 12))
            for n in range(400)
        ],
        anchors="sizes 32,64,128 ratios .5,1,2 strides 8,16,32",
    ),
    counterexample=Example(
        "All objects are 32 x 32 to 64 x 64 pixels, and so are the anchors.",
        rows=[(n // 20, "cat", (16, 9, 32 + n % 32, 32 + n % 32)) for n in range(400)],
        anchors="sizes 32,64,128 ratios .5,1,2 strides 8,16,32",
    ),
)
def better_anchors(
    statistics: Statistics, *, max_reach: float = 0.98, min_gain: float = 0.05
) -> Iterator[Evidence]:
    """Finds sets whose fitted anchors match many more of the objects held out.

    Args:
        statistics: of the images
        max_reach: the share of the objects that the present anchors may match before
            none are fitted, by default the limit of YOLOv5's ``autoanchor``
        min_gain: by how much the share of matched objects must grow, at least
    """
    matches = statistics.anchor_matches
    if not len(matches) or 1 - matches.shares["unreachable"] >= max_reach:
        return
    proposal = statistics.anchor_proposal
    before, after = proposal.before, proposal.after
    if not proposal.is_better or after.reach - before.reach < min_gain:
        return
    yield Evidence(
        f"Fitted anchors would match {percent(after.reach)} of the objects of "
        f"{counted(proposal.images, 'image')} held out {at(matches.resize)}, where "
        f"those of {matches.anchors.name} match {percent(before.reach)}.",
        figures={
            "reach_before": before.reach,
            "reach_after": after.reach,
            "mean_iou_before": before.mean_iou,
            "mean_iou_after": after.mean_iou,
            "anchors": str(proposal.anchors),
        },
        **_until_chosen(matches),
    )


@rule(
    "CA514",
    "unused-level",
    "note",
    explanation="A feature map has a large share of all anchors, and so of the "
    "computation and of the easy negatives, but hardly any objects.",
    advice="Leave the level out, or resize the images to a smaller size, so that their "
    "objects use it.",
    ignore="If your detector has no anchors, or if you cannot change its levels.",
    reasons={
        "max_share": (
            "A judgment: a level with fewer than one object in a hundred hardly learns."
        ),
        "min_cost": (
            "A judgment: less than a tenth of the anchors is not worth a change."
        ),
        "min_objects": (
            "With fewer than 300 objects a share of 1% may be chance: none of 300 is "
            "below 1% at 95%."
        ),
    },
    example=Example(
        "1 of 400 objects matches an anchor of the finest of 5 levels, which has 75% "
        "of the anchors.",
        boxes=[("cat", 16, 16, 32, 32)] + [("cat", 32, 32, 64, 64)] * 399,
        size=(640, 640),
    ),
    counterexample=Example(
        "1 of 400 objects matches an anchor of the coarsest of 5 levels, which has "
        "0.3% of the anchors.",
        boxes=[("cat", 9, 9, 620, 620)]
        + [("cat", 16, 16, 32, 32)] * 200
        + [("cat", 32, 32, 64, 64)] * 199,
        size=(640, 640),
    ),
)
def unused_level(
    statistics: Statistics,
    *,
    max_share: float = 0.01,
    min_cost: float = 0.1,
    min_objects: int = 300,
) -> Iterator[Evidence]:
    """Finds levels with many of the anchors but hardly any objects.

    Coarse levels cost almost nothing, and are not reported.

    Args:
        statistics: of the images
        max_share: the share of the objects below which a level is unused
        min_cost: the minimum share of all anchors that a level has to be worth leaving
            out
        min_objects: how many objects a set needs to be judged
    """
    matches = statistics.anchor_matches
    anchors = matches.anchors
    if not anchors.has_anchors or len(matches) < min_objects:
        return
    unused = matches.objects_per_level < max_share * len(matches)
    levels = np.flatnonzero(unused & (anchors.cost >= min_cost))
    if not len(levels):
        return
    found = np.flatnonzero(np.isin(matches.best_level, levels))
    strides = [f"{anchors.levels[level].stride:g}" for level in levels.tolist()]
    cost = float(anchors.cost[levels].sum())
    yield Evidence(
        f"{plural(levels, 'The level', 'The levels')} of stride {listed(strides)} of "
        f"{_at(matches)} {plural(levels, 'has', 'have')} {percent(cost)} of all "
        f"anchors, but the best anchor of only {out_of(found, matches, 'object')}.",
        objects=found,
        figures={"objects": len(found), "cost": cost},
    )


@rule(
    "CA515",
    "objects-share-a-cell",
    "note",
    explanation="Two objects of the same shape are so close that they have the same "
    "best anchor, which learns only one of them.",
    advice="Use finer levels or more anchors, so that objects in crowds get anchors of "
    "their own; Faster R-CNN has cells of 4 pixels for its anchors of 32.",
    ignore="If your detector has no anchors.",
    reasons={
        "max_share": (
            "In COCO up to 1.7% of the objects share their best anchor of YOLOv5 or "
            "RetinaNet (179 photos)."
        ),
        "min_objects": "Fewer objects are not worth a change of anchors.",
    },
    example=Example(
        "A tenth of the objects is 2 pixels beside another one of its size.",
        rows=[(n, "cat", (60 * k, 9, 32, 32)) for n in range(10) for k in range(10)]
        + [(n, "dog", (2, 9, 32, 32)) for n in range(10)],
        size=(640, 640),
    ),
    counterexample=Example(
        "Objects are 20 pixels beside others of their size.",
        rows=[(n, "cat", (60 * k, 9, 32, 32)) for n in range(10) for k in range(10)]
        + [(n, "dog", (20, 9, 32, 32)) for n in range(10)],
        size=(640, 640),
    ),
)
def objects_share_a_cell(
    statistics: Statistics, *, max_share: float = 0.03, min_objects: int = 10
) -> Iterator[Evidence]:
    """Finds sets with many objects that share their best anchor.

    Args:
        statistics: of the images
        max_share: the share of the objects that may share their best anchor
        min_objects: the minimum number of objects that must share theirs
    """
    matches = statistics.anchor_matches
    found = np.flatnonzero(matches.shares_anchor)
    if len(found) < min_objects or len(found) <= max_share * len(matches):
        return
    yield Evidence(
        f"{_share(found, matches)} have the same best anchor of {_at(matches)} as "
        "another object of their image, which can learn only one of them.",
        objects=found,
        figures={"objects": len(found), "share": len(found) / len(matches)},
    )


def _share(found: NDArray[np.int64], matches: AnchorMatches) -> str:
    share = percent(len(found) / len(matches))
    return f"{share} of the objects ({len(found):,} of {len(matches):,})"


def _at(matches: AnchorMatches) -> str:
    return f"{matches.anchors.name} {at(matches.resize)}"


def _until_chosen(matches: AnchorMatches) -> _Softened:
    """Turns findings about the default anchors, which nobody chose, into notes."""
    if matches.anchors != DEFAULT_ANCHORS:
        return {}
    return {
        "severity": "note",
        "advice": f"{matches.anchors.name} is only the default: pass the anchors of "
        "your own detector as `anchors`, or ignore this if it has none.",
    }


def _anchor_of(matches: AnchorMatches) -> str:
    return (
        f"{'anchor' if matches.anchors.has_anchors else 'location'} of {_at(matches)}"
    )


def _why(matches: AnchorMatches) -> str:
    """What it means that an object is unreachable."""
    assignment = matches.anchors.assignment
    if assignment.by == "iou":
        return f"IoU under {assignment.negative:g}"
    if assignment.by == "ratio":
        return f"a side {1 / assignment.negative:g} times longer or shorter"
    return "none in their box belongs to a level for their size"
