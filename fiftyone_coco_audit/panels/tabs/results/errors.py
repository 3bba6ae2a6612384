"""The tab *Errors*: what each type of error costs, and the parts of oLRP."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fiftyone_coco_audit.evaluation.analysis.error_costs import (
    FALSE_NEGATIVES,
    FALSE_POSITIVES,
    ErrorCosts,
)
from fiftyone_coco_audit.evaluation.analysis.outcomes import outcomes_at
from fiftyone_coco_audit.evaluation.error_types import (
    ERROR_TYPES,
    MISSED,
    ErrorTypes,
    classify_errors,
)
from fiftyone_coco_audit.evaluation.matching import UNMATCHED
from fiftyone_coco_audit.panels.blocks import Block, Plot, Tab
from fiftyone_coco_audit.panels.figures.bars import bars
from fiftyone_coco_audit.panels.figures.figure import BLUE, GRAY
from fiftyone_coco_audit.panels.figures.heat_maps import heat_map
from fiftyone_coco_audit.panels.loaded_results import LoadedResults
from fiftyone_coco_audit.panels.results_controls import ResultsControls
from fiftyone_coco_audit.panels.selections import Selection
from fiftyone_coco_audit.panels.tabs.results.shared import (
    chosen_class,
    class_choice,
    points,
    without_objects,
)
from fiftyone_coco_audit.panels.tabs.shared import MOST_CLASSES, hidden_classes
from fiftyone_coco_audit.wording import counted, quoted

_TOTALS = {
    FALSE_POSITIVES: "all wrong predictions removed",
    FALSE_NEGATIVES: "all missed objects forgiven",
}


def build(loaded: LoadedResults, controls: ResultsControls) -> Tab:
    """What each type of error costs, in AP."""
    if not loaded.has_objects:
        return without_objects()
    costs = loaded.once("error_costs", loaded.results.error_costs)
    errors = loaded.once("errors", lambda: classify_errors(loaded.evaluation))
    chosen = chosen_class(loaded, controls)
    blocks: list[Block] = [_costs(loaded, costs, errors, chosen)]
    if chosen is None:
        blocks.append(_by_class(loaded, costs, errors))
    blocks.append(_olrp(loaded, chosen))
    return Tab(blocks, [class_choice(loaded, controls)])


def _costs(
    loaded: LoadedResults, costs: ErrorCosts, errors: ErrorTypes, chosen: str | None
) -> Plot:
    frame = costs.to_frame() if chosen is None else costs.per_class().loc[chosen]
    at = frame.columns[1]
    own = None if chosen is None else loaded.classes.index(chosen)
    hover = [
        f"{_described(name)}<br>{counted(n, 'error')}"
        for name, n in zip(costs.types, frame["errors"].tolist(), strict=True)
    ]
    gains = np.nan_to_num(frame[["dAP", at]].to_numpy(float))
    return Plot(
        "costs",
        _told_of_costs(frame, chosen),
        bars(
            [_shown(name) for name in costs.types],
            {"dAP": gains[:, 0], at: gains[:, 1]},
            "AP that would be gained without these errors",
            colors=(BLUE, GRAY),
            hover=hover,
            number_format=".4f",
        ),
        lambda trace, mark: _labels_of(loaded, errors, costs.types[mark // 2], own),
        "Each type is repaired alone, so the bars do not add up.",
    )


def _told_of_costs(frame: pd.DataFrame, chosen: str | None) -> str:
    own = frame.drop([FALSE_POSITIVES, FALSE_NEGATIVES])["dAP"]
    of = "" if chosen is None else f" of {quoted(chosen)}"
    if own.isna().all():
        return f"There are no objects{of}, so errors cost no AP."
    worst = own.idxmax()
    if own[worst] <= 0:
        return f"No type of error costs any AP{of}."
    return (
        f"The errors that cost most AP{of} are of type {worst} "
        f"({_described(worst)}): {points(own[worst])}."
    )


def _shown(name: str) -> str:
    return name.replace("_", " ")


def _described(name: str) -> str:
    return _TOTALS.get(name) or ERROR_TYPES[name].description


def _labels_of(
    loaded: LoadedResults, errors: ErrorTypes, name: str, own: int | None
) -> Selection:
    """The labels of a type of error, of a class by its position, or of all."""
    evaluation = loaded.evaluation
    truth, predictions = evaluation.truth, evaluation.predictions
    of_truth = np.ones(len(truth), bool) if own is None else truth.category == own
    of_predictions = (
        np.ones(len(predictions), bool) if own is None else predictions.category == own
    )
    if name == MISSED:
        return Selection.of_objects((errors.truth == MISSED) & of_truth)
    if name == FALSE_NEGATIVES:
        missed = ~evaluation.found() & ~evaluation.ignored[0]
        return Selection.of_objects(missed & of_truth)
    if name == FALSE_POSITIVES:
        return Selection.of_predictions((errors.predictions != "") & of_predictions)
    rows = np.flatnonzero((errors.predictions == name) & of_predictions)
    target = errors.target[rows]
    # These are about an object, and are shown with it
    about = bool(len(rows)) and bool((target >= 0).all())
    return Selection(objects=target if about else None, predictions=rows)


def _by_class(loaded: LoadedResults, costs: ErrorCosts, errors: ErrorTypes) -> Plot:
    types = list(ERROR_TYPES)
    # (K, E)
    gains = costs.ap_gain.mean(axis=1).T[:, : len(types)]
    known = np.flatnonzero(~np.isnan(gains[:, 0]))
    worst = known[np.argsort(-gains[known].max(axis=1), kind="stable")]
    shown = worst[:MOST_CLASSES]
    names = [loaded.classes[row] for row in shown.tolist()]
    counts = costs.counts[: len(types), 0].T
    hover = [
        [
            f"{name}, {kind}<br>{counted(n, 'error')}<br>dAP {points(gain)}"
            for kind, n, gain in zip(types, row, of_class, strict=True)
        ]
        for name, row, of_class in zip(
            names, counts[shown].tolist(), gains[shown].tolist(), strict=True
        )
    ]
    row, column = np.unravel_index(int(gains[shown].argmax()), gains[shown].shape)
    return Plot(
        "costs_by_class",
        f"In one class, {types[column]} of {quoted(names[row])} costs most: "
        f"{points(float(gains[shown][row, column]))} of its AP."
        f"{hidden_classes(len(shown), len(known), 'worst')}",
        heat_map(
            np.where(counts[shown] > 0, gains[shown], np.nan),
            types,
            names,
            hover,
            "type of error",
            "",
            height=max(300, 150 + 18 * len(names)),
        ),
        lambda trace, mark: _labels_of(
            loaded, errors, types[mark[1]], int(shown[mark[0]])
        ),
    )


def _olrp(loaded: LoadedResults, chosen: str | None) -> Plot:
    found = loaded.once("olrp", loaded.results.olrp)
    means = found.to_frame().loc[chosen] if chosen else found.summary()
    own = None if chosen is None else loaded.classes.index(chosen)
    evaluation = loaded.evaluation
    parts = {
        "oLRP_Loc": ("localization", "1 - IoU of the right predictions"),
        "oLRP_FP": ("false positives", "share of the predictions that are wrong"),
        "oLRP_FN": ("false negatives", "share of the objects that are missed"),
    }
    values = np.nan_to_num([float(means[name]) for name in parts])

    def pick(trace: int, mark: int) -> Selection:
        """The labels at the best score threshold of each class."""
        object_of, counts, _ = outcomes_at(evaluation, found.iou)
        rows = evaluation.matches.predictions
        category = evaluation.predictions.category[rows]
        limit = np.nan_to_num(found.score_threshold, nan=np.inf)
        kept = counts & (evaluation.predictions.scores[rows] >= limit[category])
        right = kept & (object_of != UNMATCHED)
        if mark == 2:
            missed = ~evaluation.ignored[0]
            missed[object_of[right]] = False
            category = evaluation.truth.category
            return Selection.of_objects(missed & ((own is None) | (category == own)))
        kept &= (own is None) | (category == own)
        if mark == 1:
            return Selection(predictions=rows[kept & ~right])
        right &= kept
        return Selection(objects=object_of[right], predictions=rows[right])

    of = f" of {quoted(chosen)}" if chosen else ""
    return Plot(
        "olrp",
        f"Optimal LRP{of} is {points(float(means['oLRP']))} at IoU {found.iou:.2f} "
        "(0 is perfect, 1 the worst), each class at its best score threshold.",
        bars(
            [name for name, _ in parts.values()],
            {"part": values},
            "part of the error",
            colors=(BLUE,),
            hover=[told for _, told in parts.values()],
            number_format=".3f",
        ),
        pick,
    )
