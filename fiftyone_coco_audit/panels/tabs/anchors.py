"""The tab *Anchors*."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.panels.blocks import Block, Plot, Tab, Text
from fiftyone_coco_audit.panels.controls import Controls
from fiftyone_coco_audit.panels.figures import (
    BLUE,
    GREY,
    ORANGE,
    Bins,
    columns,
    count,
    heat_map,
    histogram,
    number,
    percent,
    stacked_bars,
    with_points,
)
from fiftyone_coco_audit.panels.selections import Selection
from fiftyone_coco_audit.panels.session import Reading
from fiftyone_coco_audit.panels.tabs.shared import (
    MOST_CLASSES,
    NO_OBJECTS,
    anchors_controls,
    audited,
    resize_controls,
)
from fiftyone_coco_audit.statistics.anchor_presets import PRESETS
from fiftyone_coco_audit.statistics.anchors import (
    POSITIVE,
    STATUSES,
    UNREACHABLE,
    AnchorMatches,
)

_COLORS = (BLUE, GREY, ORANGE)
_SCORE_BINS = 20


def build(reading: Reading, controls: Controls) -> Tab:
    """Which objects the anchors of a detector match at the network's input."""
    matches = audited(reading, controls).anchor_matches
    if not len(matches):
        return Tab([Text("none", NO_OBJECTS)])
    blocks: list[Block] = [_status(matches)]
    if matches.anchors.has_anchors:
        blocks += [_score(matches), _sides(matches)]
    blocks += [_by_size(matches), _by_class(matches), _by_level(matches)]
    return Tab(
        blocks,
        [*anchors_controls(controls), *resize_controls(controls)],
    )


def _about(matches: AnchorMatches) -> str:
    anchors = matches.anchors
    kind = "anchors" if anchors.has_anchors else "locations"
    if anchors.name in PRESETS:
        return f"the {kind} of `{anchors.name}` at `{matches.resize}`"
    return f"these {kind} at `{matches.resize}`"


def _status(matches: AnchorMatches) -> Plot:
    shares = matches.shares
    forced = shares["forced"]
    saved = (
        f" {percent(forced)} of the objects have their best anchor only because it is "
        "forced on them."
        if forced
        else ""
    )
    lost = int((matches.status == UNREACHABLE).sum())
    return Plot(
        "status",
        f"{percent(shares['positive'])} of the objects are positive for "
        f"{_about(matches)}; {percent(shares['unreachable'])} ({lost:,} of "
        f"{len(matches):,}) are unreachable.{saved}",
        columns(
            STATUSES,
            np.bincount(matches.status, minlength=len(STATUSES)),
            "",
            "objects",
            notable=np.arange(len(STATUSES)) == UNREACHABLE,
        ),
        lambda trace, mark: Selection.of_objects(matches.status == mark),
    )


def _score(matches: AnchorMatches) -> Plot:
    assignment = matches.anchors.assignment
    score = matches.best_score
    edges = np.linspace(0, 1, _SCORE_BINS + 1).round(12)
    bins = Bins(score, edges, np.arange(0, len(edges), 4))
    by_ratio = assignment.by == "ratio"
    named = "ratio of sides" if by_ratio else "IoU"
    advice = ""
    if not by_ratio:
        grid = float((matches.best_shape_iou - matches.best_iou).mean())
        advice = (
            f"With the centres aligned it would be {number(round(grid, 3))} more on "
            "average; that is what the grid costs."
        )
    return Plot(
        "score",
        f"The median object's best {named} with an anchor is "
        f"{float(np.median(score)):.2f}; it is positive from {assignment.positive:.2g}"
        f" and unreachable below {assignment.negative:.2g}.",
        histogram(
            bins,
            f"best {named} with an anchor",
            "objects",
            notable=edges[1:] <= assignment.negative + 1e-9,
        ),
        lambda trace, mark: Selection.of_objects(bins.index == mark),
        advice,
    )


def _sides(matches: AnchorMatches) -> Plot:
    """The sides of objects and anchors in one picture."""
    shapes = matches.anchors.shapes
    across, down = (
        Bins.of(np.r_[matches.box[:, 2 + side], shapes[:, side]], logarithmic=True)
        for side in (0, 1)
    )
    number_of_objects = len(matches)
    row = len(down) - 1 - down.index[:number_of_objects]
    cell = row * len(across) + across.index[:number_of_objects]
    counts = np.bincount(cell, minlength=len(down) * len(across))
    counts = counts.reshape(len(down), len(across))
    hover = [
        [
            f"{width} wide<br>{height} high<br>{count(n, 'object')}"
            for width, n in zip(across.labels("px"), line, strict=True)
        ]
        for height, line in zip(down.labels("px")[::-1], counts.tolist(), strict=True)
    ]
    figure = heat_map(
        np.where(counts > 0, counts, np.nan),
        across,
        down,
        hover,
        "width at the input (px)",
        "height at the input (px)",
        height=420,
    )
    best = np.bincount(matches.best_anchor, minlength=len(shapes))
    told = [
        f"anchor {width:.0f} x {height:.0f} px<br>best of {count(n, 'object')}"
        for (width, height), n in zip(shapes.tolist(), best.tolist(), strict=True)
    ]
    unused = int((best == 0).sum())
    used = f"{unused:,} of them are the best of none" if unused else "each is of use"

    def pick(trace: int, mark: tuple[int, int] | int) -> Selection:
        if isinstance(mark, tuple):
            return Selection.of_objects(cell == mark[0] * len(across) + mark[1])
        return Selection.of_objects(matches.best_anchor == mark)

    return Plot(
        "sides",
        f"There are {count(len(shapes), 'anchor shape')}; {used}.",
        with_points(
            figure,
            across.place(shapes[:, 0]),
            len(down) - 1 - down.place(shapes[:, 1]),
            told,
        ),
        pick,
    )


def _by_size(matches: AnchorMatches) -> Plot:
    frame = matches.per_size()
    present = np.flatnonzero(frame["objects"].to_numpy())
    worst = frame["anchor_unreachable"].iloc[present]
    at = int(worst.to_numpy().argmax())
    headline = "Objects of all sizes can be reached."
    if worst.iloc[at] > 0:
        headline = (
            f"Of the objects of size {worst.index[at]} at the input, "
            f"{percent(float(worst.iloc[at]))} are unreachable."
        )
    return _stacked(
        "by_size", headline, matches, matches.size_group, present, list(frame.index)
    )


def _by_class(matches: AnchorMatches) -> Plot:
    frame = matches.per_class()
    unreachable = frame["anchor_unreachable"].to_numpy()
    present = np.flatnonzero(frame["objects"].to_numpy())
    # The worst first; the commonest first where none is worse
    order = np.lexsort((-frame["objects"].to_numpy()[present], -unreachable[present]))
    shown = present[order][:MOST_CLASSES]
    hidden = (
        f" The {len(shown)} worst of {len(present):,} classes are shown."
        if len(shown) < len(present)
        else ""
    )
    worst = shown[0]
    headline = f"Objects of all classes can be reached.{hidden}"
    if unreachable[worst] > 0:
        headline = (
            f"Of `{frame.index[worst]}`, {percent(float(unreachable[worst]))} are "
            f"unreachable.{hidden}"
        )
    return _stacked(
        "by_class",
        headline,
        matches,
        matches.labelled.objects.category,
        shown,
        list(frame.index),
    )


def _by_level(matches: AnchorMatches) -> Plot:
    frame = matches.per_level()
    objects, cost = frame["objects"].to_numpy(), frame["cost"].to_numpy()
    share = frame["share"].to_numpy()
    most = int(objects.argmax())
    what = "anchors" if matches.anchors.has_anchors else "locations"
    names = [f"stride {number(stride)}" for stride in frame.index]
    return Plot(
        "by_level",
        f"{percent(float(share[most]))} of the objects are of the level of "
        f"{names[most]}, which has {percent(float(cost[most]))} of all {what}.",
        columns(
            names,
            objects,
            "level of the feature pyramid",
            "objects",
            hover=[
                f"{name}: {percent(part)} of all {what}"
                for name, part in zip(names, cost.tolist(), strict=True)
            ],
        ),
        lambda trace, mark: Selection.of_objects(matches.best_level == mark),
    )


def _stacked(
    name: str,
    headline: str,
    matches: AnchorMatches,
    group: NDArray[np.int64],
    shown: NDArray[np.int64],
    names: Sequence[str],
) -> Plot:
    """Bars of the shares of each status, a bar for each group."""
    table = np.zeros((len(names), len(STATUSES)), np.int64)
    np.add.at(table, (group, matches.status), 1)
    table = table[shown]
    total = table.sum(axis=1)
    labels = [names[row] for row in shown.tolist()]
    return Plot(
        name,
        headline,
        stacked_bars(
            labels,
            {
                status: 100 * table[:, code] / total
                for code, status in enumerate(STATUSES)
            },
            "share of the objects (%)",
            colors=_COLORS,
            hover={
                status: [
                    f"{label}<br>{status}: {count(n, 'object')} of {of:,}"
                    for label, n, of in zip(
                        labels, table[:, code].tolist(), total.tolist(), strict=True
                    )
                ]
                for code, status in enumerate(STATUSES)
            },
        ),
        lambda trace, mark: Selection.of_objects(
            (group == shown[mark]) & (matches.status == POSITIVE + trace)
        ),
    )
