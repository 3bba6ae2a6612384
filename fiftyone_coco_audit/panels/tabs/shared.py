"""What several tabs show."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.findings import Finding
from fiftyone_coco_audit.panels.audit_controls import CUSTOM, AuditControls
from fiftyone_coco_audit.panels.blocks import (
    Button,
    Buttons,
    Choice,
    Control,
    Entry,
    Plot,
    Tab,
    Text,
)
from fiftyone_coco_audit.panels.figures.bars import histogram
from fiftyone_coco_audit.panels.figures.bins import Bins
from fiftyone_coco_audit.panels.figures.figure import Figure
from fiftyone_coco_audit.panels.figures.heat_maps import heat_map
from fiftyone_coco_audit.panels.selections import Selection
from fiftyone_coco_audit.panels.session import LoadedField
from fiftyone_coco_audit.statistics.anchor_sets import PRESETS
from fiftyone_coco_audit.statistics.overview import Statistics
from fiftyone_coco_audit.wording import counted

#: Longer lists of classes are folded
MOST_CLASSES = 30

NO_OBJECTS = (
    "**There are no objects.** Choose another label field, or, if this is a view, "
    "audit the whole dataset."
)
NO_IMAGES = (
    "**There are no images.** Import some, or, if this is a view, audit the whole "
    "dataset."
)
IMPORT = Buttons(
    "import",
    [
        Button(
            "import_coco",
            "Import a dataset",
            event="@coco-audit/coco-audit/import_coco",
            icon="upload_file",
        )
    ],
)

_MODES = (
    ("letterbox", "Letterbox"),
    ("longest_side", "Longest side"),
    ("shortest_side", "Shortest side"),
    ("stretch", "Stretch"),
    ("none", "None"),
)


def without_objects(reading: LoadedField) -> Tab:
    """The tab of a set that has nothing to be shown, and what to do about it."""
    if not len(reading.labeled.images):
        return Tab([Text("none", NO_IMAGES), IMPORT])
    return Tab([Text("none", NO_OBJECTS)])


def audited(reading: LoadedField, controls: AuditControls) -> Statistics:
    """The statistics with the resize policy and the anchors that are set."""
    return reading.statistics(controls.resize()[0], controls.anchor_set()[0])


def resize_controls(controls: AuditControls) -> list[Control]:
    """The controls of the resize policy."""
    mode = Choice("resize_mode", "Resize", _MODES, controls.resize_mode)
    if controls.resize_mode == "none":
        return [mode]
    size = Entry(
        "resize_size",
        "Pixels",
        controls.resize_size,
        controls.resize()[1],
    )
    return [mode, size]


def anchors_controls(controls: AuditControls) -> list[Control]:
    """The controls of the anchors: a preset, or text."""
    presets = [(name, name) for name in PRESETS]
    choice = Choice(
        "anchors", "Anchors", [*presets, (CUSTOM, "custom ...")], controls.anchors
    )
    if controls.anchors != CUSTOM:
        return [choice]
    text = Entry(
        "custom_anchors",
        "Custom anchors",
        controls.custom_anchors,
        controls.anchor_set()[1],
    )
    return [choice, text]


def finding_name(finding: Finding) -> str:
    """A name that is unique to a finding among all audits."""
    ids = finding.label_ids or finding.sample_ids
    what = (finding.label_field, finding.message, finding.count, ids[:1], ids[-1:])
    return f"{finding.code}_{blake2b(repr(what).encode(), digest_size=6).hexdigest()}"


def hidden_classes(shown: int, present: int, which: str) -> str:
    """Says that not all classes are shown, if so.

    Args:
        shown: how many are
        present: how many there are
        which: those that are, such as ``"worst"``
    """
    if shown >= present:
        return ""
    return f" The {shown:,} {which} of {present:,} classes are shown."


def image_histogram(
    name: str, headline: str, bins: Bins, title: str, advice: str = "", **more: Any
) -> Plot:
    """A histogram over images, with more arguments of :func:`.bars.histogram`."""
    return Plot(
        name,
        headline,
        histogram(bins, title, "images", **more),
        lambda trace, mark: Selection.of_images(bins.index == mark),
        advice,
    )


def sides_map(
    across: Bins, down: Bins, num_objects: int, what: str, height: int
) -> tuple[Figure, NDArray[np.int64]]:
    """How many objects have which width and height.

    Args:
        across: widths in bins, those of the objects first
        down: heights in bins, in the same order
        num_objects: how many are objects
        what: what the sides are of, such as ``"of the box"``
        height: that of the plot in pixels

    Returns:
        a tuple of the plot, and ``(num_objects, 2)`` the row and column of each object
    """
    # Rows are drawn from the top, heights grow upwards
    row, column = len(down) - 1 - down.index[:num_objects], across.index[:num_objects]
    cells = row * len(across) + column
    counts = np.bincount(cells, minlength=len(down) * len(across))
    counts = counts.reshape(len(down), len(across))
    hover = [
        [
            f"{w} wide<br>{h} high<br>{counted(n, 'object')}"
            for w, n in zip(across.labels("px"), line, strict=True)
        ]
        for h, line in zip(down.labels("px")[::-1], counts.tolist(), strict=True)
    ]
    titles = f"width {what} (px)", f"height {what} (px)"
    shown = np.where(counts > 0, counts, np.nan)
    figure = heat_map(shown, across, down, hover, *titles, height=height)
    return figure, np.stack([row, column], axis=1)
