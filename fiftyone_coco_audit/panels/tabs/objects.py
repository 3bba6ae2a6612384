"""The tab *Objects*."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.escaping import markdown_table
from fiftyone_coco_audit.panels.audit_controls import AuditControls
from fiftyone_coco_audit.panels.blocks import Block, Choice, Pick, Plot, Tab, Text
from fiftyone_coco_audit.panels.figures.bars import bars, columns, histogram
from fiftyone_coco_audit.panels.figures.bins import Bins, number
from fiftyone_coco_audit.panels.figures.figure import ORANGE
from fiftyone_coco_audit.panels.figures.heat_maps import heat_map
from fiftyone_coco_audit.panels.selections import Selection
from fiftyone_coco_audit.panels.session import LoadedField
from fiftyone_coco_audit.panels.tabs.shared import (
    MOST_CLASSES,
    audited,
    hidden_classes,
    image_histogram,
    resize_controls,
    sides_map,
    without_objects,
)
from fiftyone_coco_audit.statistics.network_input import LARGEST_INPUT, SIZES
from fiftyone_coco_audit.statistics.overview import Statistics
from fiftyone_coco_audit.statistics.shapes import SIZE_CLASSES, TOLERANCE
from fiftyone_coco_audit.statistics.tiling import propose_tiling
from fiftyone_coco_audit.wording import counted, listed, named, percent, quoted

#: Objects smaller than this at the network's input are hard to find
SMALL_INPUT = 16
# An object that is enlarged to a size may be smaller by a floating-point error
_ROUNDED = 1 - 1e-9
_ALL = "*"
_POSITION_BINS = 20
_PER_IMAGE_COLUMNS = 30


@dataclass(frozen=True)
class _Chosen:
    """The objects of one class, or all."""

    statistics: Statistics
    category: int | None

    @property
    def rows(self) -> NDArray[np.int64]:
        categories = self.statistics.labeled.objects.category
        if self.category is None:
            return np.arange(len(categories))
        return np.flatnonzero(categories == self.category)

    @property
    def name(self) -> str:
        if self.category is None:
            return "objects"
        return f"{quoted(self.statistics.labeled.classes[self.category])} objects"

    def pick(self, group: NDArray[np.int64], rows: NDArray[np.int64]) -> Pick:
        """A selection of the rows whose group is the mark."""
        return lambda trace, mark: Selection(objects=rows[group == mark])


def build(reading: LoadedField, controls: AuditControls) -> Tab:
    """Sizes, shapes and places of the objects, as labeled and at the input."""
    statistics = audited(reading, controls)
    labeled = statistics.labeled
    if not len(labeled.objects):
        return without_objects(reading)
    names = list(labeled.classes)
    present = np.flatnonzero(statistics.classes.objects)
    category = names.index(controls.class_name) if controls.class_name in names else -1
    chosen = _Chosen(statistics, category if category in present else None)
    blocks: list[Block] = [_input_size(chosen)]
    if chosen.category is None and statistics.resize.mode != "none":
        blocks.append(_alternatives(statistics))
    if chosen.category is None and len(present) > 1:
        needed = _smallest_input(statistics)
        blocks += [_small_by_class(statistics), *([needed] if needed else [])]
    blocks += [
        _size_classes(chosen),
        _sides(chosen),
        _aspect_ratio(chosen),
        _relative_area(chosen),
        _place(chosen),
        _border(chosen),
        _per_image(chosen),
    ]
    if chosen.category is None:
        blocks.append(_classes_per_image(statistics))
    options = [(_ALL, "All classes")]
    options += [(name, name) for name in sorted(names[row] for row in present)]
    shown = _ALL if chosen.category is None else controls.class_name
    return Tab(
        blocks,
        [Choice("class_name", "Class", options, shown), *resize_controls(controls)],
    )


def _input_size(chosen: _Chosen) -> Plot:
    statistics = chosen.statistics
    rows = chosen.rows
    size = statistics.network_input.input_size[rows]
    bins = Bins.of(size, logarithmic=True)
    below = int((size < SMALL_INPUT).sum())
    small = below / len(size)
    return Plot(
        "input_size",
        f"{percent(small)} of the {chosen.name} ({below:,} of "
        f"{len(size):,}) are under {SMALL_INPUT} px at an input of "
        f"`{statistics.resize}`; the median has {number(float(np.median(size)))} px.",
        histogram(
            bins,
            "size at the network's input, square root of the area",
            "objects",
            unit="px",
            notable=bins.edges[1:] <= SMALL_INPUT,
        ),
        chosen.pick(bins.index, rows),
        f"Objects under {listed([str(pixels) for pixels in SIZES], len(SIZES))} px: "
        f"{listed([f'{(size < pixels).sum():,}' for pixels in SIZES], len(SIZES))}.",
    )


def _alternatives(statistics: Statistics) -> Text:
    """What a larger input or tiles would do for the small objects."""
    small = float((statistics.network_input.input_size < SMALL_INPUT).mean())
    rows = [["Current", f"`{statistics.resize}`", "1", percent(small), "0"]]
    told = []
    policy = statistics.network_input.smallest_input_of_all(
        SMALL_INPUT, largest=LARGEST_INPUT
    )
    if policy is not None:
        larger = statistics.resized(policy).network_input.input_size
        left = float((larger < SMALL_INPUT * _ROUNDED).mean())
        rows.append(["Smallest for 95%", f"`{policy}`", "1", percent(left), "0"])
        told.append(
            f"With `{policy}` or larger, 95% of the objects have {SMALL_INPUT} px or "
            "more."
        )
    tiles = propose_tiling(statistics.labeled, statistics.resize, SMALL_INPUT)
    if tiles is not None:
        plan, left = tiles.plan, tiles.share_below(SMALL_INPUT)
        share = float(tiles.cut.mean())
        rows.append(
            [
                f"Tiles of {plan.tile} px that share {plan.overlap} px",
                f"`{statistics.resize}`",
                number(float(plan.tiles_per_image.mean())),
                percent(left),
                f"{tiles.num_cut:,} ({percent(share)})",
            ]
        )
        if left < small:
            told.append(
                f"With tiles of {plan.tile} px, {percent(left)} remain below "
                f"{SMALL_INPUT} px."
            )
    headline = " ".join(told) or "Neither a larger input nor tiles would help."
    head = ["", "Input", "Tiles per image", f"Under {SMALL_INPUT} px", "Objects cut"]
    return Text("alternatives", f"**{headline}**\n\n{markdown_table(head, rows)}")


def _smallest_input(statistics: Statistics) -> Plot | None:
    """The input that each class needs, and the objects that decide on it."""
    frame = statistics.network_input.smallest_input(SMALL_INPUT)
    if frame is None or not frame["side"].notna().any():
        return None
    side, limit = frame["side"].to_numpy(), frame["size"].to_numpy()
    order = np.argsort(-np.nan_to_num(side), kind="stable")
    shown = order[: min(MOST_CLASSES, int(np.isfinite(side).sum()))]
    names = statistics.classes.names_of(shown)
    category = statistics.labeled.objects.category
    decides = statistics.network_input.input_size <= limit[category]
    deciding = np.bincount(category[decides], minlength=len(side))
    present = statistics.resize.width
    lacking = int((side > present).sum())
    have = "no class needs"
    if lacking:
        have = f"{counted(lacking, 'class')} {'needs' if lacking == 1 else 'need'}"
    # Nobody trains at 38,016 px, which a nearly empty box would need
    largest = max(LARGEST_INPUT, present)
    needed = f"a side of {side[shown[0]]:,.0f} px"
    if side[shown[0]] > largest:
        needed = f"more than {largest:,} px, so tiles,"
    return Plot(
        "smallest_input",
        f"{named(names[:1])} needs {needed} to have 95% of "
        f"its objects at {SMALL_INPUT} px or more; {have} more than {present:,}."
        f"{hidden_classes(len(shown), int(np.isfinite(side).sum()), 'worst')}",
        bars(
            names,
            {"px": np.minimum(side[shown], largest)},
            "side of the input that the class needs (px)",
            hover=[
                f"decided by its {counted(n, 'smallest object')}"
                for n in deciding[shown].tolist()
            ],
        ),
        lambda trace, mark: Selection.of_objects(decides & (category == shown[mark])),
    )


def _small_by_class(statistics: Statistics) -> Plot:
    frame = statistics.network_input.per_class((SMALL_INPUT,))
    share = frame[f"share_below_{SMALL_INPUT}"].to_numpy()
    below = frame[f"below_{SMALL_INPUT}"].to_numpy()
    order = np.argsort(-np.nan_to_num(share, nan=-1.0), kind="stable")
    present, affected = int(np.isfinite(share).sum()), int((below > 0).sum())
    # Of many classes, those without such objects are not worth a bar
    worth = affected if affected and present > MOST_CLASSES else present
    shown = order[: min(MOST_CLASSES, worth)]
    names = statistics.classes.names_of(shown)
    headline = f"No class has objects under {SMALL_INPUT} px."
    if affected:
        have = f"{counted(affected, 'class')} {'has' if affected == 1 else 'have'}"
        headline = (
            f"{have} objects under {SMALL_INPUT} px; the largest share is "
            f"{percent(share[shown[0]])}, in {quoted(names[0])}."
            f"{hidden_classes(len(shown), worth, 'worst')}"
        )
    small = statistics.network_input.input_size < SMALL_INPUT
    category = statistics.labeled.objects.category
    return Plot(
        "small_by_class",
        headline,
        bars(
            names,
            {"% of the class": 100 * share[shown]},
            f"objects under {SMALL_INPUT} px at the input (% of the class)",
            colors=(ORANGE,),
            hover=[
                f"{n:,} of {total:,}"
                for n, total in zip(
                    below[shown].tolist(),
                    statistics.classes.objects[shown].tolist(),
                    strict=True,
                )
            ],
            number_format=".1f",
        ),
        lambda trace, mark: Selection.of_objects(small & (category == shown[mark])),
    )


def _size_classes(chosen: _Chosen) -> Plot:
    rows = chosen.rows
    group = chosen.statistics.shapes.size_class[rows]
    counts = np.bincount(group, minlength=3)
    shares = ", ".join(
        f"{percent(n / len(rows))} {name}"
        for name, n in zip(SIZE_CLASSES, counts.tolist(), strict=True)
    )
    return Plot(
        "size_class",
        f"By COCO's areas the {chosen.name} are {shares}.",
        columns(
            [
                "small<br>under 32² px²",
                "medium<br>32² to 96² px²",
                "large<br>over 96² px²",
            ],
            counts,
            "",
            "objects",
            hover=SIZE_CLASSES,
        ),
        chosen.pick(group, rows),
    )


def _sides(chosen: _Chosen) -> Plot:
    rows = chosen.rows
    shapes = chosen.statistics.shapes
    across = Bins.of(shapes.width[rows], logarithmic=True, most=16)
    down = Bins.of(shapes.height[rows], logarithmic=True, most=16)
    figure, cell = sides_map(across, down, len(rows), "of the box", height=380)
    return Plot(
        "sides",
        f"The median of the {chosen.name} is "
        f"{number(float(np.median(shapes.width[rows])))} px wide and "
        f"{number(float(np.median(shapes.height[rows])))} px high.",
        figure,
        lambda trace, mark: Selection(objects=rows[(cell == mark).all(axis=1)]),
    )


def _aspect_ratio(chosen: _Chosen) -> Plot:
    ratio = chosen.statistics.shapes.box_aspect_ratio[chosen.rows]
    sound = np.isfinite(ratio)
    rows, ratio = chosen.rows[sound], ratio[sound]
    bins = Bins.of(ratio, logarithmic=True)
    headline = f"None of the {chosen.name} has both a width and a height."
    if len(ratio):
        wide, tall = float((ratio > 2).mean()), float((ratio < 0.5).mean())
        headline = (
            f"{percent(wide)} of the {chosen.name} are more than twice as wide as "
            f"high, {percent(tall)} more than twice as high as wide."
        )
    return Plot(
        "aspect_ratio",
        headline,
        histogram(bins, "aspect ratio of the box, width / height", "objects"),
        chosen.pick(bins.index, rows),
    )


def _relative_area(chosen: _Chosen) -> Plot:
    rows = chosen.rows
    share = 100 * chosen.statistics.shapes.relative_area[rows]
    bins = Bins.of(share, logarithmic=True)
    return Plot(
        "relative_area",
        f"The median of the {chosen.name} covers {number(float(np.median(share)))}% "
        "of its image.",
        histogram(bins, "area", "objects", unit="% of the image"),
        chosen.pick(bins.index, rows),
    )


def _place(chosen: _Chosen) -> Plot:
    shapes = chosen.statistics.shapes
    covered = shapes.heat_map(chosen.category, _POSITION_BINS)
    middle = slice(_POSITION_BINS // 4, _POSITION_BINS - _POSITION_BINS // 4)
    total = float(covered.sum())
    headline = f"The {chosen.name} cover no part of the image."
    if total:
        share = float(covered[middle, middle].sum()) / total
        headline = (
            f"{percent(share)} of what the {chosen.name} cover lies in the middle "
            "quarter of the image."
        )
    return Plot(
        "place",
        headline,
        heat_map(
            covered,
            None,
            None,
            [
                [f"{percent(value)} of them cover this place" for value in line]
                for line in covered.tolist()
            ],
            "from left to right",
            "from top to bottom",
            height=380,
        ),
        lambda trace, mark: Selection(
            objects=shapes.rows_covering(
                mark[0], mark[1], chosen.category, _POSITION_BINS
            )
        ),
    )


def _border(chosen: _Chosen) -> Plot:
    rows = chosen.rows
    shapes = chosen.statistics.shapes
    truncated = shapes.truncated[rows]
    group = truncated.astype(int) + (shapes.outside[rows] > TOLERANCE)
    counts = np.bincount(group, minlength=3)
    return Plot(
        "border",
        f"{percent(float(truncated.mean()))} of the {chosen.name} touch the border of "
        f"the image; {counts[2]:,} extend beyond it.",
        columns(
            ["inside", "at the border", "beyond the border"],
            counts,
            "",
            "objects",
            notable=np.array([False, False, True]),
        ),
        chosen.pick(group, rows),
    )


def _per_image(chosen: _Chosen) -> Plot:
    labeled = chosen.statistics.labeled
    numbers = np.bincount(labeled.objects.image[chosen.rows], minlength=len(labeled))
    headline = (
        f"{percent(float((numbers == 0).mean()))} of the images have no {chosen.name}; "
        f"the median has {number(float(np.median(numbers)))}, the fullest "
        f"{numbers.max():,}."
    )
    return _whole_numbers("per_image", headline, numbers, "objects in the image")


def _classes_per_image(statistics: Statistics) -> Plot:
    numbers = statistics.shapes.num_classes
    headline = (
        f"The median image shows {counted(int(np.median(numbers)), 'class')}, at most "
        f"{numbers.max():,}."
    )
    return _whole_numbers(
        "classes_per_image", headline, numbers, "classes in the image"
    )


def _whole_numbers(
    name: str, headline: str, numbers: NDArray[np.int64], title: str
) -> Plot:
    """A column for each number, or bins where there are many."""
    if numbers.max() >= _PER_IMAGE_COLUMNS:
        bins = Bins.of(numbers.astype(float))
        return image_histogram(name, headline, bins, title)
    names: Sequence[str] = [str(n) for n in range(int(numbers.max()) + 1)]
    return Plot(
        name,
        headline,
        columns(
            names,
            np.bincount(numbers),
            title,
            "images",
            hover=[f"{title}: {n}" for n in names],
        ),
        lambda trace, mark: Selection.of_images(numbers == mark),
    )
