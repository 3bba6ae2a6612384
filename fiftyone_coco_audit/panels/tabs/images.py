"""The tab *Images*."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fiftyone_coco_audit.panels.blocks import Block, Plot, Tab, Text
from fiftyone_coco_audit.panels.controls import Controls
from fiftyone_coco_audit.panels.figures import (
    Bins,
    count,
    histogram,
    number,
    percent,
    scatter,
)
from fiftyone_coco_audit.panels.selections import Selection
from fiftyone_coco_audit.panels.session import Reading
from fiftyone_coco_audit.panels.tabs.shared import (
    NO_IMAGES,
    audited,
    image_bins,
    resize_controls,
)
from fiftyone_coco_audit.statistics.images import PIXELS_4K, ImageStatistics

#: More sizes are not told apart in a plot: the rarest are put together
_MOST_SIZES = 1_500


def build(reading: Reading, controls: Controls) -> Tab:
    """Sizes and shapes of the images, and what resizing does to them."""
    statistics = audited(reading, controls).images
    if not len(statistics):
        return Tab([Text("none", NO_IMAGES)])
    blocks: list[Block] = [
        _shapes(statistics),
        _sizes(statistics),
        _megapixels(statistics),
        _magnification(statistics),
        _padding(statistics),
    ]
    if statistics.resize.mode == "stretch":
        blocks.append(_distortion(statistics))
    blocks.append(_proposals(statistics))
    return Tab(blocks, resize_controls(controls))


def _shapes(statistics: ImageStatistics) -> Plot:
    kind = statistics.kind
    names = {
        "uniform": "The images are of one shape",
        "bimodal": "The images are of a few moderate shapes",
        "extremes": "Many images have extreme shapes",
    }
    bins = Bins.of(statistics.aspect_ratio)
    return Plot(
        "aspect_ratio",
        f"{names[kind.name]}: {_begin_small(kind.reason)}",
        histogram(bins, "aspect ratio, width / height", "images"),
        image_bins(bins),
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
        hidden = f" The {len(shown):,} commonest sizes are shown."
    width, height = sizes[shown].T
    large = width * height >= PIXELS_4K
    most = statistics.common_sizes().iloc[0]
    headline = (
        f"{percent(most['share'])} of the images have the most common size, "
        f"{most['width']:.0f} x {most['height']:.0f}; there "
        f"{'is' if len(sizes) == 1 else 'are'} {count(len(sizes), 'size')}, and "
        f"{count(int(statistics.is_4k.sum()), 'image')} of 4K or more.{hidden}"
    )
    hover = [
        f"{w:.0f} x {h:.0f} px<br>{count(n, 'image')}"
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
    return Plot(
        "megapixels",
        f"The median image has {number(median)} megapixels, the largest "
        f"{number(largest)}.",
        histogram(
            bins,
            "megapixels",
            "images",
            unit="Mpx",
            notable=bins.edges[:-1] >= PIXELS_4K / 1e6,
        ),
        image_bins(bins),
    )


def _magnification(statistics: ImageStatistics) -> Plot:
    factor = statistics.magnification
    bins = Bins.of(factor)
    return Plot(
        "magnification",
        f"`{statistics.resize}` shrinks {percent(statistics.is_shrunk.mean())} of the "
        f"images and enlarges {percent(statistics.is_enlarged.mean())}; the median "
        f"factor is {number(float(np.median(factor)))}.",
        histogram(
            bins,
            "factor by which things get longer",
            "images",
            notable=bins.edges[:-1] >= 1,
        ),
        image_bins(bins),
    )


def _padding(statistics: ImageStatistics) -> Plot:
    shares = 100 * statistics.padding
    bins = Bins.of(shares)
    grouped = statistics.rectangular_padding
    return Plot(
        "padding",
        f"{percent(statistics.padding.mean())} of what `{statistics.resize}` gives the "
        "network is padding.",
        histogram(bins, "padding of the image", "images", unit="%"),
        image_bins(bins),
        f"Batches of 8 padded only as far as needed are {percent(grouped.random)} "
        f"padding when drawn at random and {percent(grouped.grouped)} when grouped by "
        "aspect ratio.",
    )


def _distortion(statistics: ImageStatistics) -> Plot:
    bins = Bins.of(statistics.distortion)
    worst = float(statistics.distortion.max())
    return Plot(
        "distortion",
        f"`{statistics.resize}` stretches the median image "
        f"{number(float(np.median(statistics.distortion)))} times more in one "
        f"direction than in the other, and {number(worst)} times at most.",
        histogram(bins, "stretch of one side over the other", "images"),
        image_bins(bins),
    )


def _proposals(statistics: ImageStatistics) -> Text:
    columns: Sequence[tuple[str, str, Callable[[float], str]]] = (
        ("Padding", "padding", percent),
        ("In batches", "batch_padding", percent),
        ("Distortion", "distortion", number),
        ("Factor", "magnification", number),
        ("Enlarged", "enlarged", percent),
    )
    rows = [
        ["Resize", *(title for title, _, _ in columns)],
        ["---"] * (len(columns) + 1),
        *(
            [f"`{policy}`", *(told(row[key]) for _, key, told in columns)]
            for policy, row in statistics.proposals.iterrows()
        ),
    ]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return Text("proposals", f"**Sizes proposed for these images**\n\n{table}")
