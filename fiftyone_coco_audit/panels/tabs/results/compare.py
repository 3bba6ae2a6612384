"""The tab *Compare*: two evaluations of the same images."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.escaping import markdown, markdown_table
from fiftyone_coco_audit.evaluation.analysis.slices import FEW_OBJECTS
from fiftyone_coco_audit.evaluation.comparing import RunComparison, compare_runs
from fiftyone_coco_audit.fiftyone_internals import root_dataset
from fiftyone_coco_audit.panels.blocks import (
    Block,
    Button,
    Buttons,
    Choice,
    Message,
    Opener,
    Plot,
    Tab,
    Text,
)
from fiftyone_coco_audit.panels.figures.bars import bars
from fiftyone_coco_audit.panels.figures.figure import BLUE, GRAY, ORANGE
from fiftyone_coco_audit.panels.loaded_results import LoadedResults
from fiftyone_coco_audit.panels.results_controls import ResultsControls
from fiftyone_coco_audit.panels.selections import Selection
from fiftyone_coco_audit.panels.tabs.results.shared import (
    NUM_DRAWS,
    and_more,
    points,
    with_interval,
    without_objects,
)
from fiftyone_coco_audit.panels.tabs.shared import MOST_CLASSES
from fiftyone_coco_audit.wording import counted, quoted

_EVALUATE = "@coco-audit/coco-audit/evaluate"


def build(loaded: LoadedResults, controls: ResultsControls) -> Tab:
    """How much better or worse this evaluation is than another one."""
    if not loaded.has_objects:
        return without_objects()
    dataset = root_dataset(loaded.samples)
    keys = dataset.list_evaluations(type="detection", method="coco")
    others = [key for key in keys if key != loaded.eval_key]
    if not others:
        return Tab(
            [
                Text(
                    "none",
                    "**There is no other evaluation to compare this one with.** Add "
                    "the predictions of another model, and evaluate them under "
                    "another name.",
                ),
                Buttons(
                    "evaluate",
                    [Button("second", "Evaluate predictions", event=_EVALUATE)],
                ),
            ]
        )
    second = controls.second_key if controls.second_key in others else others[-1]
    options = [(key, key) for key in others]
    choice = Choice("second_key", "Compare with", options, second)
    try:
        found = loaded.once(
            ("compared", second),
            lambda: compare_runs(
                loaded.samples, second, loaded.eval_key, num_draws=NUM_DRAWS
            ),
        )
    except CocoAuditError as error:
        return Tab([Message("compared", str(error), "warning")], [choice])
    return Tab(_blocks(loaded, found), [choice])


def _blocks(loaded: LoadedResults, found: RunComparison) -> list[Block]:
    frame = found.to_frame()
    rows = [
        [
            str(name),
            points(row["a"]),
            points(row["b"]),
            with_interval(row["difference"], row["low"], row["high"], "+"),
        ]
        for name, row in frame.iterrows()
    ]
    head = ["", markdown(found.keys[0]), markdown(found.keys[1]), "Difference"]
    won, lost = (_rows_of(loaded, ids) for ids in (found.won, found.lost))
    return [
        Text(
            "compared",
            f"**{markdown(_verdict(found, frame.loc['AP']))}**\n\n"
            f"{markdown_table(head, rows)}",
        ),
        Buttons("objects", [_opener("won", won), _opener("lost", lost)]),
        _classes(loaded, found, won, lost),
        *(Text(f"note{n}", markdown(note)) for n, note in enumerate(found.notes)),
    ]


def _rows_of(loaded: LoadedResults, ids: tuple[str, ...]) -> NDArray[np.int64]:
    return np.flatnonzero(np.isin(loaded.results.rows.truth_ids.astype(str), ids))


def _opener(name: str, rows: NDArray[np.int64]) -> Opener:
    return Opener(name, f"Open {counted(len(rows), 'object')} {name}", _of(rows), name)


def _of(rows: NDArray[np.int64]) -> Selection:
    return Selection(objects=rows)


def _verdict(found: RunComparison, ap: pd.Series) -> str:
    first, second = (quoted(key) for key in found.keys)
    images = counted(found.num_images, "image")
    if np.isnan(ap["difference"]):
        return f"{first} and {second} have no AP on {images}."
    change = with_interval(ap["difference"], ap["low"], ap["high"], "+")
    sure = "" if ap["excludes_zero"] else ", which may be chance"
    return f"From {first} to {second}, AP changes by {change} on {images}{sure}."


def _classes(
    loaded: LoadedResults,
    found: RunComparison,
    won: NDArray[np.int64],
    lost: NDArray[np.int64],
) -> Plot:
    frame = found.per_class()
    known = frame.dropna(subset="difference")
    order = np.argsort(-known["difference"].abs().to_numpy(), kind="stable")
    part = known.iloc[order[:MOST_CLASSES]]
    category = loaded.evaluation.truth.category
    position = {name: n for n, name in enumerate(loaded.classes)}
    own = [position.get(name, -1) for name in part.index]
    both = np.sort(np.r_[won, lost])
    counts = [[int((category[rows] == n).sum()) for rows in (both, won)] for n in own]
    hover = [
        f"{with_interval(row.difference, row.low, row.high, '+')}"
        f"<br>{counted(changed, 'object')} changed: {gained:,} won, "
        f"{changed - gained:,} lost"
        for row, (changed, gained) in zip(part.itertuples(), counts, strict=True)
    ]
    sure = int((known["excludes_zero"] & ~known["thin"]).sum())
    colors = [
        GRAY
        if not row.excludes_zero or row.thin
        else BLUE
        if row.difference > 0
        else ORANGE
        for row in part.itertuples()
    ]
    return Plot(
        "compared_classes",
        f"{counted(sure, 'class') if sure else 'No class'} with {FEW_OBJECTS} objects "
        f"or more {'have' if sure > 1 else 'has'} an interval that excludes 0."
        f"{and_more(len(part), len(known), 'class')}",
        bars(
            part.index.tolist(),
            {"difference of AP": part["difference"].to_numpy(float)},
            "difference of AP, with its 95% interval",
            colors=(BLUE,),
            bar_colors=colors,
            hover=hover,
            number_format="+.3f",
            bounds=(part["low"].to_numpy(float), part["high"].to_numpy(float)),
        ),
        lambda trace, mark: _of(both[category[both] == own[mark]]),
    )
