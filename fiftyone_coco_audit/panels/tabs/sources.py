"""How the tab *Classes* shows classes that whole sources of images lack."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.panels.audit_controls import AuditControls
from fiftyone_coco_audit.panels.blocks import Block, Choice, Plot, Row, Text
from fiftyone_coco_audit.panels.figures.heat_maps import heat_map
from fiftyone_coco_audit.panels.selections import Selection
from fiftyone_coco_audit.panels.tabs.shared import MOST_CLASSES, hidden_classes
from fiftyone_coco_audit.statistics.classes import ClassStatistics
from fiftyone_coco_audit.statistics.sources import SourceGaps, folders, tagged
from fiftyone_coco_audit.wording import counted, named, percent

_NO_SOURCES = (
    "**The sources of the images are unknown**: all images are in one folder and have "
    "no tags. Tag the images of each camera, site or set, to see here which classes "
    "are not labeled in all of them."
)


def blocks(statistics: ClassStatistics, controls: AuditControls) -> list[Block]:
    """How often each source shows each class, and which lacks one that others have."""
    labeled = statistics.labeled
    found = {"folder": folders(labeled.filepaths), "tag": tagged(labeled.tags)}
    found = {kind: sources for kind, sources in found.items() if len(sources)}
    if not found:
        return [Text("no_sources", _NO_SOURCES)]
    kind = controls.source_by if controls.source_by in found else next(iter(found))
    choice = Choice("source_by", "Sources by", [(k, k) for k in found], kind)
    gaps = SourceGaps(statistics.presence, found[kind])
    return [Row("sources", [choice]), _table(statistics, gaps, kind)]


def _table(statistics: ClassStatistics, gaps: SourceGaps, kind: str) -> Plot:
    """A cell for each source and class; one that is missing is marked."""
    missing = gaps.missing()
    common = np.argsort(-statistics.images, kind="stable")
    # Classes that some sources lack come first
    order = np.r_[missing[:, 1], common[statistics.images[common] > 0]]
    _, first = np.unique(order, return_index=True)
    shown = order[np.sort(first)][:MOST_CLASSES]
    share = gaps.found[:, shown] / np.maximum(gaps.images, 1)[:, None]
    lacks = np.zeros(gaps.found.shape, bool)
    lacks[missing[:, 0], missing[:, 1]] = True
    names, sources = statistics.names_of(shown), gaps.sources.names
    hover = [
        [
            f"{name} in {source}<br>on {n:,} of {counted(images, 'image')}, "
            f"{expected:.0f} expected"
            for name, n, expected in zip(names, row, chances, strict=True)
        ]
        for source, images, row, chances in zip(
            sources,
            gaps.images.tolist(),
            gaps.found[:, shown].tolist(),
            gaps.expected[:, shown].tolist(),
            strict=True,
        )
    ]

    return Plot(
        "source_gaps",
        _headline(statistics, gaps, missing, kind)
        + hidden_classes(
            len(shown), len(first), "worst" if len(missing) else "most common"
        ),
        heat_map(
            np.where(share > 0, share, np.nan),
            names,
            sources,
            hover,
            "",
            kind,
            height=150 + 26 * len(sources),
            marked=lacks[:, shown],
        ),
        lambda trace, mark: Selection(images=gaps.sources.images_of(mark[0])),
    )


def _headline(
    statistics: ClassStatistics,
    gaps: SourceGaps,
    missing: NDArray[np.int64],
    kind: str,
) -> str:
    if not len(missing):
        return f"No class is clearly missing from a whole {kind}."
    source, category = missing[0].tolist()
    images, expected = gaps.images[source], gaps.expected[source, category]
    more = len(missing) - 1
    others = f" {counted(more, 'more gap')} {'is' if more == 1 else 'are'} marked."
    return (
        f"{named(statistics.names_of([category]))} is labeled in none of the "
        f"{counted(int(images), 'image')} of the {kind} "
        f"{named(gaps.sources.names[source : source + 1])}; elsewhere it is in "
        f"{percent(expected / images)}.{others if more else ''}"
    )
