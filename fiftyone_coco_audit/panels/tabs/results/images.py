"""The tab *Images*: which images are found well, and which pull AP down."""

from __future__ import annotations

import re
from pathlib import PurePath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fiftyone_coco_audit.panels.blocks import (
    Block,
    Buttons,
    Choice,
    Control,
    Entry,
    Opener,
    Plot,
    Row,
    Slider,
    Tab,
    Text,
)
from fiftyone_coco_audit.panels.figures.bars import bars, histogram
from fiftyone_coco_audit.panels.figures.bins import Bins
from fiftyone_coco_audit.panels.figures.figure import BLUE, GRAY, ORANGE
from fiftyone_coco_audit.panels.loaded_results import LoadedResults
from fiftyone_coco_audit.panels.results_controls import ResultsControls
from fiftyone_coco_audit.panels.selections import Selection
from fiftyone_coco_audit.panels.tabs.results.shared import (
    and_more,
    chosen_class,
    class_choice,
    points,
    without_objects,
)
from fiftyone_coco_audit.wording import counted

NO_PREDICTIONS = "no predictions"
_ANY = "any status"
_STATUSES = (NO_PREDICTIONS, "no ground truth", "empty", "ok")
_MOST_IMAGES = 20
_EDGES = np.linspace(0, 1, 21)


def build(loaded: LoadedResults, controls: ResultsControls) -> Tab:
    """The images that the filters leave, the worst first."""
    if not len(loaded.size):
        return without_objects()
    frame = loaded.once("images", lambda: _images(loaded))
    matches, error = _matching(loaded, frame, controls)
    # Those without predictions first, then by AP; without AP last
    order = matches[
        np.lexsort(
            (
                np.nan_to_num(frame["ap"].to_numpy()[matches], nan=2),
                frame["status"].to_numpy()[matches] != NO_PREDICTIONS,
            )
        )
    ]
    found = counted(len(order), "image")
    everything = len(order) == len(frame)
    said = f"**All {found}**" if everything else f"**{found} of {len(frame):,}**"
    head: list[Block] = [
        Row("filters", _filters(controls, error)),
        Row("range", _range(controls)),
        Text("matching", f"{said} match, those without predictions first."),
        Buttons(
            "open",
            [Opener("matching_images", f"Open {found}", Selection(images=order))],
        ),
    ]
    if not len(order):
        return Tab(head, [class_choice(loaded, controls)])
    blocks: list[Block] = [
        _statuses(frame, order),
        _histogram(frame, order),
        _worst(frame, order),
        _influence(loaded, frame, order),
    ]
    return Tab([*head, *blocks], [class_choice(loaded, controls)])


def _images(loaded: LoadedResults) -> pd.DataFrame:
    frame = loaded.results.per_image().reset_index(drop=True)
    return frame.assign(
        ap=pd.to_numeric(frame["ap"]),
        filepath=frame["filepath"].fillna("").astype(str),
    )


def _filters(controls: ResultsControls, error: str) -> list[Control]:
    statuses = [(name, name) for name in (_ANY, *_STATUSES)]
    status = controls.status if controls.status in _STATUSES else _ANY
    return [
        Entry("path", "Path or regular expression", controls.path, error, width=232),
        Choice("status", "Status", statuses, status),
    ]


def _range(controls: ResultsControls) -> list[Control]:
    return [
        Slider("ap_from", "AP ≥", controls.ap_from),
        Slider("ap_to", "AP ≤", controls.ap_to),
    ]


def _matching(
    loaded: LoadedResults, frame: pd.DataFrame, controls: ResultsControls
) -> tuple[NDArray[np.int64], str]:
    """The positions of the images that the filters leave, and what is wrong."""
    keep, error = np.ones(len(frame), bool), ""
    if controls.path:
        try:
            pattern = re.compile(controls.path)
        except re.error as wrong:
            error = f"This is no regular expression ({wrong}): it is searched as text"
            pattern = re.compile(re.escape(controls.path))
        keep &= [pattern.search(path) is not None for path in frame["filepath"]]
    if controls.status in _STATUSES:
        keep &= (frame["status"] == controls.status).to_numpy()
    chosen = chosen_class(loaded, controls)
    if chosen is not None:
        own = loaded.classes.index(chosen)
        evaluation = loaded.evaluation
        of_truth = loaded.image_of_truth[evaluation.truth.category == own]
        predicted = evaluation.predictions.category == own
        shows = np.zeros(len(frame), bool)
        shows[of_truth] = True
        shows[loaded.image_of_prediction[predicted]] = True
        keep &= shows
    if controls.ap_from > 0 or controls.ap_to < 1:
        ap = frame["ap"].to_numpy()
        # Sliders have two digits
        keep &= (ap >= controls.ap_from - 1e-9) & (ap <= controls.ap_to + 1e-9)
    return np.flatnonzero(keep), error


def _statuses(frame: pd.DataFrame, order: NDArray[np.int64]) -> Plot:
    status = frame["status"].to_numpy()[order]
    counts = np.array([int((status == name).sum()) for name in _STATUSES])
    missing = counted(int(counts[0]), "image")
    return Plot(
        "statuses",
        f"{missing} with objects {'has' if counts[0] == 1 else 'have'} no predictions."
        if counts[0]
        else "All images with objects have predictions.",
        bars(
            _STATUSES,
            {"images": counts},
            "images",
            colors=(BLUE,),
            bar_colors=[ORANGE, GRAY, GRAY, BLUE],
        ),
        lambda trace, mark: Selection(images=order[status == _STATUSES[mark]]),
    )


def _histogram(frame: pd.DataFrame, order: NDArray[np.int64]) -> Plot:
    ap = frame["ap"].to_numpy()[order]
    known = ~np.isnan(ap)
    bins = Bins(ap[known], _EDGES, np.arange(0, len(_EDGES), 4))
    headline = "No image has an AP: none has ground truth."
    if known.any():
        headline = (
            f"The median AP of an image is {points(float(np.median(ap[known])))}; "
            f"{counted(int((ap[known] == 0).sum()), 'image')} have an AP of 0."
        )
    return Plot(
        "ap_of_images",
        headline,
        histogram(bins, "AP of the image alone", "images"),
        lambda trace, mark: Selection(images=order[known][bins.index == mark]),
    )


def _worst(frame: pd.DataFrame, order: NDArray[np.int64]) -> Plot:
    shown = order[:_MOST_IMAGES]
    part = frame.iloc[shown]
    hover = [
        f"{row.filepath}<br>{row.status}<br>AP {points(row.ap)}: {row.tp} right, "
        f"{row.fp} wrong, {row.fn} missed"
        for row in part.itertuples()
    ]
    return Plot(
        "worst",
        f"The worst images: {PurePath(part['filepath'].iloc[0]).name} first."
        f"{and_more(len(shown), len(order), 'image')}",
        bars(
            _names(part),
            {"AP": np.nan_to_num(part["ap"].to_numpy())},
            "AP of the image alone",
            colors=(BLUE,),
            hover=hover,
            number_format=".3f",
            longest=1.0,
        ),
        lambda trace, mark: Selection(images=shown[[mark]]),
    )


def _influence(
    loaded: LoadedResults, frame: pd.DataFrame, order: NDArray[np.int64]
) -> Block:
    influence = loaded.once("influence", loaded.results.influence)
    values = influence["influence"].to_numpy(float)[order]
    ranked = order[np.argsort(-np.nan_to_num(values, nan=-1), kind="stable")]
    worst = ranked[influence["influence"].to_numpy(float)[ranked] > 0]
    if not len(worst):
        return Text("influence", "**No image pulls AP down.**")
    shown = worst[:_MOST_IMAGES]
    part = frame.iloc[shown]
    gains = influence["influence"].to_numpy(float)[shown]
    return Plot(
        "influence",
        f"{PurePath(part['filepath'].iloc[0]).name} pulls AP down most: without it, AP "
        f"would be {gains[0]:.4f} higher.{and_more(len(shown), len(worst), 'image')}",
        bars(
            _names(part),
            {"rise of AP": gains},
            "rise of AP without the image",
            colors=(ORANGE,),
            hover=part["filepath"].tolist(),
            number_format=".5f",
        ),
        lambda trace, mark: Selection(images=shown[[mark]]),
    )


def _names(part: pd.DataFrame) -> list[str]:
    return [PurePath(path).name for path in part["filepath"]]
