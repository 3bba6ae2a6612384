"""The tab *Anchors*."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.escaping import markdown_table
from fiftyone_coco_audit.files import why_no_file
from fiftyone_coco_audit.panels.audit_controls import AuditControls
from fiftyone_coco_audit.panels.blocks import Block, Button, Buttons, Plot, Tab, Text
from fiftyone_coco_audit.panels.figures.bars import columns, histogram, stacked_bars
from fiftyone_coco_audit.panels.figures.bins import Bins, number
from fiftyone_coco_audit.panels.figures.figure import (
    BLUE,
    GRAY,
    ORANGE,
    PURPLE,
    RED,
    YELLOW,
)
from fiftyone_coco_audit.panels.figures.heat_maps import with_points
from fiftyone_coco_audit.panels.figures.outlines import Outlines, picture_with_boxes
from fiftyone_coco_audit.panels.pictures import picture_of
from fiftyone_coco_audit.panels.selections import Selection
from fiftyone_coco_audit.panels.session import LoadedField
from fiftyone_coco_audit.panels.tabs.shared import (
    MOST_CLASSES,
    anchors_controls,
    audited,
    hidden_classes,
    resize_controls,
    sides_map,
    without_objects,
)
from fiftyone_coco_audit.statistics.anchor_drawing import NO_OBJECT, anchors_over_image
from fiftyone_coco_audit.statistics.anchor_sets import (
    POSITIVE,
    PRESETS,
    STATUSES,
    UNREACHABLE,
    AnchorLevel,
)
from fiftyone_coco_audit.statistics.anchors import AnchorMatches
from fiftyone_coco_audit.statistics.overview import Statistics
from fiftyone_coco_audit.wording import counted, percent, quoted

_COLORS = (BLUE, GRAY, ORANGE)
_SCORE_BINS = 20
_CODE_WIDTH = 56


def build(reading: LoadedField, controls: AuditControls) -> Tab:
    """Which objects the anchors of a detector match at the network's input."""
    statistics = audited(reading, controls)
    matches = statistics.anchor_matches
    if not len(matches):
        return without_objects(reading)
    blocks: list[Block] = [_status(matches)]
    if matches.anchors.has_anchors:
        blocks += _proposed(statistics, controls)
    blocks += _drawn(reading, matches, controls.sample)
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


def _proposed(statistics: Statistics, controls: AuditControls) -> list[Block]:
    """Better anchors, once they were asked for, or the button that asks."""
    if controls.proposed != controls.network:
        ask = Button(
            "propose",
            "Propose better anchors",
            {"proposed": controls.network},
            icon="auto_fix_high",
        )
        return [Buttons("propose_anchors", [ask])]
    proposal = statistics.anchor_proposal
    if not proposal.is_better:
        return [Text("proposal", f"**{proposal.reason}**")]
    before, after = proposal.before, proposal.after
    told = [
        ("Reachable", percent(before.reach), percent(after.reach)),
        ("Positive", percent(before.positive), percent(after.positive)),
        ("Mean IoU", f"{before.mean_iou:.3f}", f"{after.mean_iou:.3f}"),
    ]
    held_out = (
        f"{counted(proposal.objects, 'object')} of "
        f"{counted(proposal.images, 'image')} held out"
    )
    levels = zip(statistics.anchors.levels, proposal.anchors.levels, strict=True)
    shapes = [
        (f"Stride {number(now.stride)}", _shapes(now), _shapes(then))
        for now, then in levels
    ]
    text = str(proposal.anchors)
    return [
        Text(
            "proposal",
            f"**{proposal.reason}**\n\n"
            + markdown_table([held_out, "Current", "Proposed"], told)
            + "\n\n"
            + markdown_table(["Anchors (px)", "Current", "Proposed"], shapes)
            + f"\n\n```python\nanchors = ({_in_lines(text)})\n```",
        ),
        Buttons(
            "use_anchors",
            [Button("use", "Use these anchors", AuditControls.of_anchors(text))],
        ),
    ]


def _in_lines(text: str) -> str:
    """Text as a Python literal that is as narrow as half of a window."""
    parts = re.findall(rf".{{1,{_CODE_WIDTH}}}(?:[,/ ]|$)", text)
    return "".join(f'\n    "{part}"' for part in parts) + "\n"


def _shapes(level: AnchorLevel) -> str:
    """Widths and heights, each kept on its line."""
    return ", ".join(f"{w:.0f}\u2060x\u2060{h:.0f}" for w, h in level.shapes)


def _drawn(reading: LoadedField, matches: AnchorMatches, sample: str) -> list[Block]:
    """The anchors at their true size over a sample, beside its objects."""
    labeled = matches.labeled
    lost = np.bincount(
        labeled.objects.image[matches.status != POSITIVE], minlength=len(labeled)
    )
    shown = np.flatnonzero(np.bincount(labeled.objects.image))
    # Those that show the most errors come first
    order = shown[np.argsort(-lost[shown], kind="stable")]
    ids = reading.labeled.sample_ids(np.arange(len(labeled)))
    image = ids.index(sample) if sample in ids else int(order[0])
    place = np.flatnonzero(order == image)
    following = order[(int(place[0]) + 1) % len(order) if len(place) else 0]
    path = labeled.filepaths[image]
    width, height = labeled.size[image].tolist()
    picture = picture_of(path, int(max(width, height)))
    found = anchors_over_image(matches, image)
    rows = found.object[found.object != NO_OBJECT]
    box = labeled.objects.box[rows]
    best, samples = found.box[: len(rows)], found.box[len(rows) :]
    matched, status = found.matched[: len(rows)], matches.status[rows]
    what = "anchor" if matches.anchors.has_anchors else "location"
    unreachable = status == UNREACHABLE
    headline = (
        f"{quoted(os.path.basename(path))}: {int(matched.sum()):,} of "
        f"{counted(len(rows), 'object')} {'is' if len(rows) == 1 else 'are'} positive, "
        f"{int(unreachable.sum()):,} unreachable."
    )
    missing = ""
    if picture is None:
        missing = f"Its file cannot be shown: {why_no_file(path) or 'it is broken'}."
    plot = Plot(
        "drawn",
        headline,
        picture_with_boxes(
            picture,
            (width, height),
            [
                Outlines(f"{what}s of one cell", samples, GRAY, "dot", shown=False),
                Outlines(f"best {what}", best[matched], YELLOW, "dash"),
                Outlines("object, positive", box[matched], BLUE),
                Outlines("object, ignored", box[~matched & ~unreachable], PURPLE),
                Outlines("object, unreachable", box[unreachable], RED),
                Outlines(
                    f"best {what}, not matched",
                    best[~matched],
                    ORANGE,
                    "dash",
                    shown=False,
                ),
            ],
            box[:, :2] + box[:, 2:] / 2,
            [
                _told(matches, row, iou)
                for row, iou in zip(rows.tolist(), found.iou.tolist(), strict=False)
            ],
        ),
        lambda trace, mark: Selection(objects=rows[[mark]]),
        missing,
    )
    buttons = [
        Button("next", "Next sample", {"sample": ids[following]}, icon="skip_next"),
        Button("selected", "The selected sample", event="draw_selected"),
    ]
    return [plot, Buttons("samples", buttons)]


def _told(matches: AnchorMatches, row: int, iou: float) -> str:
    """What is said of an object and its best anchor."""
    labeled = matches.labeled
    name = labeled.classes[labeled.objects.category[row]]
    width, height = matches.box[row, 2:].tolist()
    level = matches.anchors.levels[matches.best_level[row]]
    told = [f"{name}, {width:.0f} x {height:.0f} px at the input"]
    if matches.anchors.has_anchors:
        width, height = matches.anchor_box[row, 2:].tolist()
        told.append(f"best anchor {width:.0f} x {height:.0f} px, IoU {iou:.2f}")
    told.append(f"stride {number(level.stride)}: {STATUSES[matches.status[row]]}")
    return "<br>".join(told)


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
            f"With the centers aligned it would be {number(round(grid, 3))} higher on "
            "average: this is the cost of the grid."
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
    figure, cell = sides_map(across, down, len(matches), "at the input", height=420)
    best = np.bincount(matches.best_anchor, minlength=len(shapes))
    told = [
        f"anchor {width:.0f} x {height:.0f} px<br>best for {counted(n, 'object')}"
        for (width, height), n in zip(shapes.tolist(), best.tolist(), strict=True)
    ]
    unused = int((best == 0).sum())
    used = (
        f"{unused:,} of them {'is' if unused == 1 else 'are'} the best for no object"
        if unused
        else "each is the best for some object"
    )

    def pick(trace: int, mark: tuple[int, int] | int) -> Selection:
        if isinstance(mark, tuple):
            return Selection.of_objects((cell == mark).all(axis=1))
        return Selection.of_objects(matches.best_anchor == mark)

    return Plot(
        "sides",
        f"There are {counted(len(shapes), 'anchor shape')}; {used}.",
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
    # The worst first; among equals, the most common first
    order = np.lexsort((-frame["objects"].to_numpy()[present], -unreachable[present]))
    shown = present[order][:MOST_CLASSES]
    hidden = hidden_classes(len(shown), len(present), "worst")
    worst = shown[0]
    headline = f"Objects of all classes can be reached.{hidden}"
    if unreachable[worst] > 0:
        headline = (
            f"Of {quoted(frame.index[worst])}, {percent(float(unreachable[worst]))} "
            f"are unreachable.{hidden}"
        )
    return _stacked(
        "by_class",
        headline,
        matches,
        matches.labeled.objects.category,
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
        f"{percent(float(share[most]))} of the objects belong to the level of "
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
                    f"{label}<br>{status}: {counted(n, 'object')} of {of:,}"
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
