"""The tab *Classes*: AP and outcomes of each class, sizes, and confusions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fiftyone_coco_audit.evaluation.analysis.confusion import Confusion
from fiftyone_coco_audit.evaluation.metrics import coco_metrics
from fiftyone_coco_audit.panels.blocks import Block, Plot, Row, Tab, Text
from fiftyone_coco_audit.panels.figures.bars import stacked_bars
from fiftyone_coco_audit.panels.figures.heat_maps import heat_map
from fiftyone_coco_audit.panels.loaded_results import LoadedResults
from fiftyone_coco_audit.panels.results_controls import ResultsControls
from fiftyone_coco_audit.panels.selections import Selection
from fiftyone_coco_audit.panels.tabs.results import slices
from fiftyone_coco_audit.panels.tabs.results.shared import (
    FN,
    FP,
    TP,
    Metric,
    and_more,
    chosen_class,
    class_choice,
    intervals,
    least_score,
    list_controls,
    listed_classes,
    metric_bars,
    per_class,
    points,
    sliders,
    without_objects,
)
from fiftyone_coco_audit.wording import counted, percent, quoted

# More classes in a matrix cannot be read
_MOST_CONFUSED = 20
_AREAS = {"small": "under 32² px", "medium": "32² to 96² px", "large": "over 96² px"}


def build(loaded: LoadedResults, controls: ResultsControls) -> Tab:
    """How well each class is found, and what it is taken for."""
    if not loaded.has_objects:
        return without_objects()
    frame = per_class(loaded)
    chosen = chosen_class(loaded, controls)
    order = listed_classes(frame, controls)
    if chosen is not None:
        order = np.array([loaded.classes.index(chosen)])
    blocks: list[Block] = [
        _precision(loaded, frame, order),
        _outcomes(loaded, frame, order),
        _sizes(loaded),
        Row("matching", sliders(loaded, controls)),
        _confusion(loaded, controls),
        *slices.blocks(loaded, controls),
    ]
    present = int((frame["objects"] > 0).sum())
    return Tab(
        blocks, [class_choice(loaded, controls), *list_controls(present, controls)]
    )


def _precision(
    loaded: LoadedResults, frame: pd.DataFrame, order: NDArray[np.int64]
) -> Plot:
    evaluation, part = loaded.evaluation, frame.iloc[order]
    category = evaluation.truth.category
    counts = ~evaluation.ignored[0]
    known = frame[frame["objects"] > 0]
    worst, best = known["AP"].idxmin(), known["AP"].idxmax()
    overall = points(float(known["AP"].mean()))
    headline = f"AP is {overall} over {counted(len(known), 'class')}."
    if len(known) > 1:
        headline = (
            f"AP is {overall} over {len(known):,} classes, from "
            f"{points(known['AP'].min())} of {quoted(worst)} to "
            f"{points(known['AP'].max())} of {quoted(best)}."
        )
    absent = len(frame) - len(known)
    if absent:
        has = "has" if absent == 1 else "have"
        headline += f" {counted(absent, 'class')} without objects {has} no AP."
    hover = [
        counted(n, "object") + (": too few to be sure" if thin else "")
        for n, thin in zip(part["objects"].tolist(), part["thin"].tolist(), strict=True)
    ]
    return metric_bars(
        "ap",
        headline + and_more(len(order), len(known), "class"),
        part.index.tolist(),
        Metric.of(part),
        lambda mark: Selection.of_objects(counts & (category == order[mark])),
        hover=hover,
    )


def _outcomes(
    loaded: LoadedResults, frame: pd.DataFrame, order: NDArray[np.int64]
) -> Plot:
    evaluation, part = loaded.evaluation, frame.iloc[order]
    outcomes = {"TP": "tp", "FP": "fp", "FN": "fn"}
    wrong = {"TP": "right", "FP": "wrong", "FN": "missed"}

    def pick(trace: int, mark: int) -> Selection:
        own = order[mark]
        if trace == 2:
            missed = ~evaluation.ignored[0] & ~evaluation.found()
            return Selection.of_objects(missed & (evaluation.truth.category == own))
        (true_positive, *_), (counts, *_) = evaluation.outcomes()
        rows = evaluation.matches.predictions
        chosen = true_positive if trace == 0 else counts & ~true_positive
        chosen = chosen & (evaluation.predictions.category[rows] == own)
        if trace == 1:
            return Selection(predictions=rows[chosen])
        found = np.full(len(rows), -1)
        found[evaluation.matches.candidates] = evaluation.matches.truth[0, 0]
        return Selection(objects=found[chosen], predictions=rows[chosen])

    totals = frame[list(outcomes.values())].sum()
    hover: dict[str, Sequence[str]] = {
        name: [
            f"{one}<br>{n:,} {wrong[name]}"
            for one, n in zip(part.index, part[column].tolist(), strict=True)
        ]
        for name, column in outcomes.items()
    }
    return Plot(
        "outcomes",
        f"At {loaded.results.counting}, {totals['tp']:,} predictions are right, "
        f"{totals['fp']:,} are wrong, and {counted(int(totals['fn']), 'object')} "
        "are missed.",
        stacked_bars(
            part.index.tolist(),
            {name: part[column].to_numpy() for name, column in outcomes.items()},
            "right and wrong predictions, missed objects",
            colors=(TP, FP, FN),
            hover=hover,
        ),
        pick,
    )


def _sizes(loaded: LoadedResults) -> Block:
    evaluation = loaded.evaluation
    metrics = [
        m for m in coco_metrics(evaluation.settings) if m.area and m.limit is None
    ]
    frame = intervals(loaded).to_frame().loc[[metric.name for metric in metrics]]
    names = [evaluation.settings.area_names[m.area] for m in metrics]
    number = [int((~evaluation.ignored[m.area]).sum()) for m in metrics]
    metric = Metric(*(frame[c].to_numpy(float) for c in ("value", "low", "high")))
    if np.isnan(metric.value).all():
        return Text("sizes", "**There is no AP by size.**")
    worst = int(np.nanargmin(metric.value))
    return metric_bars(
        "sizes",
        f"By size, AP is lowest for {names[worst]} objects: "
        f"{points(float(metric.value[worst]))}.",
        [f"{name} ({_AREAS[name]})" if name in _AREAS else name for name in names],
        metric,
        lambda mark: Selection.of_objects(~evaluation.ignored[metrics[mark].area]),
        hover=[counted(n, "object") for n in number],
    )


def _confusion(loaded: LoadedResults, controls: ResultsControls) -> Plot:
    chosen = chosen_class(loaded, controls)
    iou, score = controls.iou, least_score(loaded, controls)
    found = loaded.results.confusion(iou=iou, score=score)
    shown = _most_confused(found, chosen)
    names = [*(loaded.classes[row] for row in shown.tolist()), "background"]
    place = np.full(len(loaded.classes) + 1, -1)
    place[[*shown, -1]] = np.arange(len(names))
    true, predicted, count = found.cells()
    inside = (place[true] >= 0) & (place[predicted] >= 0)
    counts = np.zeros((len(names), len(names)), np.int64)
    counts[place[true[inside]], place[predicted[inside]]] = count[inside]
    total = np.bincount(true, weights=count, minlength=len(place))[[*shown, -1]]
    share = counts / np.maximum(total, 1)[:, None]
    hover = [
        [_told_of_cell(a, b, n, of) for b, n, of in zip(names, row, parts, strict=True)]
        for a, row, parts in zip(names, counts.tolist(), share.tolist(), strict=True)
    ]

    def pick(trace: int, mark: tuple[int, int]) -> Selection:
        row, column = (np.r_[shown, len(loaded.classes)][at] for at in mark)
        here = (found.true_class == row) & (found.predicted_class == column)
        prediction, truth = found.prediction[here], found.truth[here]
        return Selection(
            objects=None if row == len(loaded.classes) else truth,
            predictions=None if column == len(loaded.classes) else prediction,
        )

    return Plot(
        "confusion",
        _told_of_confusion(found, len(shown)),
        heat_map(
            np.where(counts > 0, share, np.nan),
            names,
            names,
            hover,
            "predicted class",
            "true class",
            height=max(340, 150 + 18 * len(names)),
        ),
        pick,
    )


def _most_confused(found: Confusion, chosen: str | None) -> NDArray[np.int64]:
    """The classes that are confused most, or those confused with one."""
    true, predicted, count = found.cells()
    background = len(found.classes)
    wrong = (true != predicted) & (true < background) & (predicted < background)
    if chosen is not None:
        own = found.classes.index(chosen)
        wrong &= (true == own) | (predicted == own)
    pairs = np.stack([true[wrong], predicted[wrong]], axis=1).ravel()
    classes = list(dict.fromkeys(pairs.tolist()))
    if chosen is not None:
        classes = list(dict.fromkeys([own, *classes]))
    elif len(classes) < _MOST_CONFUSED:
        objects = np.bincount(found.true_class, minlength=background + 1)[:-1]
        common = np.argsort(-objects, kind="stable")
        common = common[objects[common] > 0]
        classes = list(dict.fromkeys([*classes, *common.tolist()]))
    return np.array(sorted(classes[:_MOST_CONFUSED]), np.int64)


def _told_of_cell(true: str, predicted: str, count: int, share: float) -> str:
    pairs = counted(count, "pair")
    if true == predicted == "background":
        return "nothing"
    if true == "background":
        return f"{predicted} where there is nothing<br>{counted(count, 'prediction')}"
    if predicted == "background":
        return f"{true} missed<br>{counted(count, 'object')}, {percent(share)} of them"
    if true == predicted:
        return f"{true}, right<br>{pairs}, {percent(share)} of its objects"
    return f"{true} taken for {predicted}<br>{pairs}, {percent(share)} of its objects"


def _told_of_confusion(found: Confusion, shown: int) -> str:
    worst = found.worst()
    at = f"At IoU {found.iou:.2f} and score {found.score:.2f}, "
    if not len(worst):
        return f"{at}no object is taken for another class."
    first = worst.iloc[0]
    present = len(np.unique(found.true_class[found.true_class < len(found.classes)]))
    hidden = f" The {shown:,} most confused classes are shown." * (shown < present)
    return (
        f"{at}{quoted(first['true_class'])} is taken for "
        f"{quoted(first['predicted_class'])} most often: "
        f"{counted(int(first['count']), 'time')}, {percent(first['share'])} of its "
        f"objects.{hidden}"
    )
