"""The tab *Images*."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fiftyone_coco_audit.escaping import markdown_table
from fiftyone_coco_audit.panels.audit_controls import AuditControls
from fiftyone_coco_audit.panels.blocks import Block, Plot, Tab, Text
from fiftyone_coco_audit.panels.figures.bins import Bins, number
from fiftyone_coco_audit.panels.figures.scatter import scatter
from fiftyone_coco_audit.panels.selections import Selection
from fiftyone_coco_audit.panels.session import LoadedField
from fiftyone_coco_audit.panels.tabs.shared import (
    audited,
    image_histogram,
    resize_controls,
    without_objects,
)
from fiftyone_coco_audit.statistics.images import PIXELS_4K, ImageStatistics
from fiftyone_coco_audit.statistics.resizing import compare_policies
from fiftyone_coco_audit.wording import counted, percent

if TYPE_CHECKING:
    import pandas as pd

#: More sizes are not readable in a plot: the rarest are merged
_MOST_SIZES = 1_500
#: A saving below this share of the pixels is not mentioned
_SAVING = 0.01


def build(reading: LoadedField, controls: AuditControls) -> Tab:
    """Sizes and shapes of the images, and what resizing does to them."""
    statistics = audited(reading, controls).images
    if not len(statistics):
        return without_objects(reading)
    blocks: list[Block] = [
        _shapes(statistics),
        _sizes(statistics),
        _megapixels(statistics),
        _magnification(statistics),
        _padding(statistics),
    ]
    if statistics.resize.mode == "stretch":
        blocks.append(_distortion(statistics))
    blocks += [_batches(statistics), _proposals(statistics)]
    return Tab(blocks, resize_controls(controls))


def _shapes(statistics: ImageStatistics) -> Plot:
    kind = statistics.kind
    names = {
        "uniform": "The images are of one shape",
        "bimodal": "The images are of a few moderate shapes",
        "extremes": "Many images have extreme shapes",
    }
    return image_histogram(
        "aspect_ratio",
        f"{names[kind.name]}: {_begin_small(kind.reason)}",
        Bins.of(statistics.aspect_ratio),
        "aspect ratio, width / height",
        "Group batches by aspect ratio; it saves padding."
        if kind.name == "extremes"
        else "",
    )


def _begin_small(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _sizes(statistics: ImageStatistics) -> Plot:
    sizes, inverse, counts = np.unique(
        statistics.size, axis=0, return_inverse=True, return_counts=True
    )
    place = inverse.reshape(-1)
    hidden = ""
    shown = np.argsort(-counts, kind="stable")[:_MOST_SIZES]
    if len(shown) < len(sizes):
        hidden = f" The {len(shown):,} most common sizes are shown."
    width, height = sizes[shown].T
    large = width * height >= PIXELS_4K
    most = statistics.common_sizes().iloc[0]
    headline = (
        f"{percent(most['share'])} of the images have the most common size, "
        f"{most['width']:.0f} x {most['height']:.0f}; there "
        f"{'is' if len(sizes) == 1 else 'are'} {counted(len(sizes), 'size')}, and "
        f"{counted(int(statistics.is_4k.sum()), 'image')} of 4K or more.{hidden}"
    )
    hover = [
        f"{w:.0f} x {h:.0f} px<br>{counted(n, 'image')}"
        for w, h, n in zip(
            width.tolist(), height.tolist(), counts[shown].tolist(), strict=True
        )
    ]
    return Plot(
        "sizes",
        headline,
        scatter(
            width,
            height,
            hover,
            "width (px)",
            "height (px)",
            size=counts[shown],
            notable=large,
        ),
        lambda trace, mark: Selection.of_images(place == shown[mark]),
    )


def _megapixels(statistics: ImageStatistics) -> Plot:
    megapixels = statistics.megapixels
    bins = Bins.of(megapixels)
    median, largest = float(np.median(megapixels)), float(megapixels.max())
    return image_histogram(
        "megapixels",
        f"The median image has {number(median)} megapixels, the largest "
        f"{number(largest)}.",
        bins,
        "megapixels",
        unit="Mpx",
        notable=bins.edges[:-1] >= PIXELS_4K / 1e6,
    )


def _magnification(statistics: ImageStatistics) -> Plot:
    factor = statistics.magnification
    bins = Bins.of(factor)
    enlarged = np.bincount(bins.index[statistics.is_enlarged], minlength=len(bins))
    return image_histogram(
        "magnification",
        f"`{statistics.resize}` shrinks {percent(statistics.is_shrunk.mean())} of the "
        f"images and enlarges {percent(statistics.is_enlarged.mean())}; the median "
        f"factor is {number(float(np.median(factor)))}.",
        bins,
        "magnification (size at the input / size of the image)",
        # Images that keep their size are in one bin with the first enlarged ones
        notable=2 * enlarged > bins.counts,
    )


def _padding(statistics: ImageStatistics) -> Plot:
    return image_histogram(
        "padding",
        f"With `{statistics.resize}`, {percent(statistics.padding.mean())} of the "
        "network's input is padding.",
        Bins.of(100 * statistics.padding),
        "padding of the image",
        unit="%",
    )


def _distortion(statistics: ImageStatistics) -> Plot:
    worst = float(statistics.distortion.max())
    return image_histogram(
        "distortion",
        f"`{statistics.resize}` stretches the median image "
        f"{number(float(np.median(statistics.distortion)))} times more in one "
        f"direction than in the other, and {number(worst)} times at most.",
        Bins.of(statistics.distortion),
        "ratio of the two sides' scale factors",
    )


def _batches(statistics: ImageStatistics) -> Text:
    """What grouping by aspect ratio saves, in both ways that batches are padded."""
    ways = (
        (f"to the size of `{statistics.resize}`", statistics.batch_padding),
        ("only as far as its images need", statistics.rectangular_padding),
    )
    best = max(padding.saving for _, padding in ways)
    headline = "Grouping batches by aspect ratio would save nothing."
    if best > _SAVING:
        headline = (
            "Grouping batches by aspect ratio saves up to "
            f"{percent(best)} of the computation."
        )
    rows = [
        [f"padded {way}", percent(p.random), percent(p.grouped), percent(p.saving)]
        for way, p in ways
    ]
    head = ["Batches of 8", "Padding at random", "Grouped", "Saved"]
    return Text("batches", f"**{headline}**\n\n{markdown_table(head, rows)}")


def _proposals(statistics: ImageStatistics) -> Text:
    import pandas as pd

    size, resize = statistics.size, statistics.resize
    proposals = statistics.proposals
    frame = pd.concat(
        [
            compare_policies(size, [resize]),
            proposals.drop(index=str(resize), errors="ignore"),
        ]
    )
    columns: Sequence[tuple[str, str, Callable[[float], str]]] = (
        ("Padding", "padding", percent),
        ("In batches of 8", "batch_padding", percent),
        ("Median distortion", "distortion", number),
        ("Shrunk", "shrunk", percent),
        ("Enlarged", "enlarged", percent),
    )
    rows = [
        [f"`{policy}`", *(told(row[key]) for _, key, told in columns)]
        for policy, row in frame.iterrows()
    ]
    shown = markdown_table(["Resize", *(title for title, _, _ in columns)], rows)
    return Text("proposals", f"**{_least_padding(frame, str(resize))}**\n\n{shown}")


def _least_padding(frame: pd.DataFrame, present: str) -> str:
    """Which of the sizes that keep the shapes of all images has the least padding."""
    keeping = frame[[not policy.startswith("stretch") for policy in frame.index]]
    padding = 1 - (1 - keeping["padding"]) * (1 - keeping["batch_padding"])
    best = padding.idxmin()
    if present not in padding.index:
        return (
            f"`{best}` keeps the shapes of all images, at {percent(padding[best])} "
            "padding."
        )
    if padding[present] - padding[best] < _SAVING:
        return "No other size proposed for these images has less padding."
    return (
        f"With batches of 8 drawn at random, `{best}` has {percent(padding[best])} "
        f"padding in all; `{present}` has {percent(padding[present])}."
    )
