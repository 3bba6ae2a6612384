"""The tab *Thresholds*: scores and IoUs, the best of them, and calibration."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.evaluation.analysis.outcomes import outcomes_at
from fiftyone_coco_audit.evaluation.analysis.thresholds import Thresholds
from fiftyone_coco_audit.evaluation.matching import UNMATCHED
from fiftyone_coco_audit.panels.blocks import (
    Block,
    Button,
    Buttons,
    Message,
    Plot,
    Row,
    Tab,
    Text,
)
from fiftyone_coco_audit.panels.figures.bars import bars
from fiftyone_coco_audit.panels.figures.figure import BLUE, GRAY, ORANGE, PURPLE
from fiftyone_coco_audit.panels.figures.lines import lines, with_diagonal
from fiftyone_coco_audit.panels.loaded_results import LoadedResults
from fiftyone_coco_audit.panels.results_controls import ResultsControls
from fiftyone_coco_audit.panels.selections import Selection
from fiftyone_coco_audit.panels.tabs.results.shared import (
    FN,
    FP,
    TP,
    and_more,
    chosen_class,
    class_choice,
    least_score,
    list_controls,
    listed_classes,
    points,
    sliders,
    without_objects,
)
from fiftyone_coco_audit.wording import counted, percent, quoted

# Points of a curve: more cannot be told apart
_POINTS = 120
_COLOR_OPERATOR = "@coco-audit/coco-audit/color_by_outcome"


def build(loaded: LoadedResults, controls: ResultsControls) -> Tab:
    """What each score threshold would give, at the IoU that is chosen."""
    if not loaded.has_objects:
        return without_objects()
    matched = loaded.once(
        ("matched", controls.iou), lambda: Matched(loaded, controls.iou)
    )
    score = least_score(loaded, controls)
    chosen = chosen_class(loaded, controls)
    frame = loaded.results.per_class()
    present = int((frame["objects"] > 0).sum())
    blocks: list[Block] = [
        _outcomes(matched, score, chosen),
        _write(),
        _curves(matched, score, chosen),
        _calibration(matched, score, chosen),
    ]
    if chosen is None:
        blocks.append(_best(matched, listed_classes(frame, controls), present))
    return Tab(
        [Row("threshold", sliders(loaded, controls)), *blocks],
        [class_choice(loaded, controls), *list_controls(present, controls)],
    )


@dataclass(frozen=True)
class Matched:
    """Predictions and objects, matched at an IoU.

    Args:
        loaded: the results
        iou: the IoU that finds an object
    """

    loaded: LoadedResults
    iou: float

    @cached_property
    def thresholds(self) -> Thresholds:
        """What each score threshold would give."""
        return self.loaded.results.score_thresholds(iou=self.iou)

    @cached_property
    def _outcomes(
        self,
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.float64]]:
        return outcomes_at(self.loaded.evaluation, self.iou)

    def labels(
        self,
        kind: str,
        score: float | NDArray[np.float64],
        own: int | None,
        below: float = np.inf,
    ) -> Selection:
        """Right or wrong predictions of some scores, or the objects that they miss.

        Args:
            kind: ``"TP"``, ``"FP"``, ``"FN"``, or ``"all"`` predictions
            score: their least score, of all classes or of each
            own: the position of a class, None for all
            below: their highest score
        """
        evaluation = self.loaded.evaluation
        found, counts, _ = self._outcomes
        rows = evaluation.matches.predictions
        category = evaluation.predictions.category[rows]
        scores = evaluation.predictions.scores[rows]
        least = score[category] if isinstance(score, np.ndarray) else score
        kept = counts & (scores >= least) & (scores <= below)
        right = kept & (found != UNMATCHED)
        if kind == "FN":
            missed = ~evaluation.ignored[0]
            missed[found[right]] = False
            of_truth = evaluation.truth.category
            return Selection.of_objects(missed & ((own is None) | (of_truth == own)))
        of_class = (own is None) | (category == own)
        if kind == "TP":
            right &= of_class
            return Selection(objects=found[right], predictions=rows[right])
        chosen = kept if kind == "all" else kept & ~right
        return Selection(predictions=rows[chosen & of_class])


def _own(matched: Matched, chosen: str | None) -> int | None:
    return None if chosen is None else matched.loaded.classes.index(chosen)


def _outcomes(matched: Matched, score: float, chosen: str | None) -> Plot:
    own = _own(matched, chosen)
    names = {
        "TP": ("right predictions", "right", TP),
        "FP": ("wrong predictions", "wrong", FP),
        "FN": ("missed objects", "missed", FN),
    }
    counts = [len(matched.labels(kind, score, own)) for kind in names]
    tp, fp, fn = counts
    shares = (
        f"precision {_ratio(tp, tp + fp)}, recall {_ratio(tp, tp + fn)}, "
        f"F1 {_ratio(2 * tp, 2 * tp + fp + fn)}"
    )
    of = "" if chosen is None else f" of {quoted(chosen)}"
    return Plot(
        "threshold_outcomes",
        f"Predictions{of} with a score of {score:.2f} or more, at IoU "
        f"{matched.iou:.2f}: {shares}.",
        bars(
            [told for told, _, _ in names.values()],
            {"labels": np.array(counts)},
            "labels",
            bar_colors=[color for _, _, color in names.values()],
            hover=[
                f"{n:,} {word}"
                for n, (_, word, _) in zip(counts, names.values(), strict=True)
            ],
        ),
        lambda trace, mark: matched.labels(list(names)[mark], score, own),
    )


def _ratio(part: int, whole: int) -> str:
    return points(part / whole if whole else np.nan)


def _write() -> Buttons:
    return Buttons(
        "write",
        [
            Button(
                "write_outcomes",
                "Show this matching in the grid",
                event="write_outcomes",
                icon="edit",
            ),
            Button(
                "color",
                "Color labels by outcome",
                event=_COLOR_OPERATOR,
                icon="palette",
            ),
        ],
    )


def _curves(matched: Matched, score: float, chosen: str | None) -> Plot:
    found = matched.thresholds
    own = _own(matched, chosen)
    curve = found.curve(chosen, points=_POINTS)
    curve = curve[np.isfinite(curve["score"])]
    best = found.best_overall() if chosen is None else found.best().loc[chosen]
    kinds = {"precision": "FP", "recall": "FN", "f1": "all"}
    amounts = {
        "precision": [f"{n:,} wrong" for n in curve["fp"].astype(int)],
        "recall": [f"{n:,} missed" for n in curve["fn"].astype(int)],
        "f1": [
            counted(n, "prediction") for n in (curve["tp"] + curve["fp"]).astype(int)
        ],
    }
    names = {"precision": "precision", "recall": "recall", "f1": "F1"}
    hover = {
        shown: [
            f"score {s:.3f} or more<br>{amount}<br>{shown} {points(value)}"
            for s, value, amount in zip(
                curve["score"], curve[name], amounts[name], strict=True
            )
        ]
        for name, shown in names.items()
    }
    scores = curve["score"].to_numpy(float)

    def pick(trace: int, mark: int) -> Selection:
        return matched.labels(list(kinds.values())[trace], float(scores[mark]), own)

    return Plot(
        "curves",
        _told_of_best(best, chosen, matched.iou),
        lines(
            scores,
            {shown: curve[name].to_numpy(float) for name, shown in names.items()},
            hover,
            "least score",
            "precision, recall, F1",
            colors=(BLUE, ORANGE, PURPLE),
            at=score,
        ),
        pick,
    )


def _told_of_best(best: pd.Series, chosen: str | None, iou: float) -> str:
    of = "over all classes" if chosen is None else f"of {quoted(chosen)}"
    if np.isnan(best["score"]):
        return f"At IoU {iou:.2f}, no prediction {of} is right."
    return (
        f"F1 {of} is highest for scores of {best['score']:.3f} or more: "
        f"{points(best['f1'])}, with precision {points(best['precision'])} and recall "
        f"{points(best['recall'])}."
    )


def _calibration(matched: Matched, score: float, chosen: str | None) -> Block:
    try:
        found = matched.loaded.results.calibration(iou=matched.iou, score=score)
    except CocoAuditError as error:
        return Message("calibration", str(error))
    frame = found.reliability(chosen)
    if not len(frame):
        return Text("calibration", "**There are no predictions to calibrate.**")
    own = _own(matched, chosen)
    ece = found.ece if chosen is None else found.per_class()["ece"][chosen]
    total = int(frame["predictions"].sum())
    confidence = float(np.average(frame["confidence"], weights=frame["predictions"]))
    precision = float(np.average(frame["precision"], weights=frame["predictions"]))
    kind = "overconfident" if confidence > precision else "underconfident"
    hover = [
        f"scores {row.lowest:.3f} to {row.highest:.3f}"
        f"<br>{counted(int(row.predictions), 'prediction')}"
        f"<br>{percent(row.precision)} are right"
        for row in frame.itertuples()
    ]

    def pick(trace: int, mark: int) -> Selection:
        row = frame.iloc[mark]
        lowest, highest = float(row["lowest"]), float(row["highest"])
        return matched.labels("all", lowest, own, highest)

    shown = lines(
        frame["confidence"].to_numpy(float),
        {"share that is right": frame["precision"].to_numpy(float)},
        {"share that is right": hover},
        "mean score",
        "share of predictions that is right",
        colors=(BLUE,),
    )
    return Plot(
        "calibration",
        f"The calibration error (ECE) of {counted(total, 'prediction')} is "
        f"{points(float(ece))}. "
        f"The model is {kind}: the mean score is {points(confidence)}, and "
        f"{percent(precision)} of the predictions are right.",
        with_diagonal(shown),
        pick,
    )


def _best(matched: Matched, order: NDArray[np.int64], present: int) -> Plot:
    frame = matched.thresholds.best()
    known = order[np.isfinite(frame["score"].to_numpy(float)[order])]
    part = frame.iloc[known]
    limit = np.nan_to_num(frame["score"].to_numpy(float), nan=np.inf)
    hover = [
        f"{counted(int(row.tp + row.fp), 'prediction')}<br>F1 {points(row.f1)}, "
        f"precision {points(row.precision)}, recall {points(row.recall)}"
        for row in part.itertuples()
    ]
    headline = "No prediction of any class is right."
    if len(part):
        low, high = part["score"].min(), part["score"].max()
        headline = (
            f"The best score threshold of a class is between {low:.3f} and "
            f"{high:.3f}.{and_more(len(order), present, 'class')}"
        )
    return Plot(
        "best",
        headline,
        bars(
            part.index.tolist(),
            {"best threshold": part["score"].to_numpy(float)},
            "score threshold with the highest F1",
            colors=(GRAY,),
            hover=hover,
            number_format=".3f",
        ),
        lambda trace, mark: matched.labels("all", limit, int(known[mark])),
    )
