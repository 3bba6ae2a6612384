"""The tab *Classes*."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.panels.audit_controls import AuditControls
from fiftyone_coco_audit.panels.blocks import (
    Block,
    Choice,
    Control,
    Entry,
    Plot,
    Row,
    Tab,
)
from fiftyone_coco_audit.panels.figures.bars import bars
from fiftyone_coco_audit.panels.figures.bins import number
from fiftyone_coco_audit.panels.figures.figure import BLUE, GRAY, ORANGE
from fiftyone_coco_audit.panels.figures.heat_maps import heat_map
from fiftyone_coco_audit.panels.figures.scatter import scatter
from fiftyone_coco_audit.panels.selections import Selection
from fiftyone_coco_audit.panels.session import LoadedField
from fiftyone_coco_audit.panels.tabs import sets, sources
from fiftyone_coco_audit.panels.tabs.shared import (
    MOST_CLASSES,
    audited,
    hidden_classes,
    without_objects,
)
from fiftyone_coco_audit.statistics.classes import ClassStatistics
from fiftyone_coco_audit.statistics.resampling import (
    ResamplingEffect,
    default_threshold,
)
from fiftyone_coco_audit.wording import counted, named, percent, quoted

_SIGNIFICANT = 0.05
# Of hundreds of classes a correlation of .12 is significant, and means nothing
_CLEAR = 0.3
# That of LVIS, and of simulate_resampling
_DEFAULT_EXPONENT = 0.5
_MOST_SIDE_EFFECTS = 5


def build(reading: LoadedField, controls: AuditControls) -> Tab:
    """How many of each class, which occur together, and what resampling does."""
    statistics = audited(reading, controls).classes
    if not statistics.objects.any():
        return without_objects(reading)
    order = np.argsort(-statistics.objects, kind="stable")
    folds = len(order) > MOST_CLASSES
    effect, entries = _resampling(statistics, controls)
    with_area = np.flatnonzero(statistics.mean_area > 0)
    blocks: list[Block] = [
        _counts(statistics, order, folds and controls.list_classes != "all"),
        *([_areas(statistics, with_area)] if len(with_area) else []),
        _together(statistics, order[:MOST_CLASSES], controls.color_by),
        Row("resampling", entries),
        _resampled(effect, order[::-1]),
        *sources.blocks(statistics, controls),
        *sets.blocks(reading, controls),
    ]
    shown = Choice(
        "list_classes",
        "Classes",
        [
            ("first", f"{MOST_CLASSES} most common"),
            ("all", f"All {len(order):,}"),
        ],
        controls.list_classes,
    )
    pairs = Choice(
        "color_by",
        "Pairs by",
        [("images", "Images"), ("lift", "Lift")],
        controls.color_by,
    )
    return Tab(blocks, [*([shown] if folds else []), pairs])


def _resampling(
    statistics: ClassStatistics, controls: AuditControls
) -> tuple[ResamplingEffect, list[Control]]:
    """The settings of resampling; the proposal replaces those that are invalid."""
    exponent, exponent_error = _DEFAULT_EXPONENT, ""
    try:
        exponent = float(controls.exponent or _DEFAULT_EXPONENT)
    except ValueError:
        exponent = -1
    if not 0 <= exponent < np.inf:
        exponent_error = f"{controls.exponent!r} is no exponent, such as 0.5"
        exponent = _DEFAULT_EXPONENT
    proposed = default_threshold(statistics.presence, exponent=exponent)
    # The proposal is shown with fewer digits than it has
    shown = number(100 * proposed)
    text, threshold, error = controls.threshold or shown, proposed, ""
    if text != shown:
        try:
            threshold = float(text.strip(" %")) / 100
        except ValueError:
            threshold = -1
        if not 0 <= threshold <= 1:
            threshold, error = proposed, f"{text!r} is no percentage, such as 5"
    entries: list[Control] = [
        Entry(
            "threshold",
            "Repeat classes in under ... % of images",
            text,
            error,
            width=232,
        ),
        Entry(
            "exponent",
            "Exponent",
            controls.exponent or f"{_DEFAULT_EXPONENT:g}",
            exponent_error,
        ),
    ]
    return ResamplingEffect(statistics, threshold, exponent), entries


def _images_of(statistics: ClassStatistics, category: int) -> NDArray[np.int64]:
    presence = statistics.presence
    return presence.image[presence.category == category]


def _counts(
    statistics: ClassStatistics, order: NDArray[np.int64], folded: bool
) -> Plot:
    shown = order[:MOST_CLASSES] if folded else order
    rest = order[len(shown) :]
    names = list(statistics.names_of(shown))
    objects, images = statistics.objects[shown], statistics.images[shown]
    # The bar of all others would make the bars of single classes invisible
    longest = 1.05 * float(objects.max()) if len(rest) else None
    if len(rest):
        names.append(counted(len(rest), "other class"))
        presence = statistics.presence
        others = presence.image[np.isin(presence.category, rest)]
        objects = np.append(objects, statistics.objects[rest].sum())
        images = np.append(images, len(np.unique(others)))

    def pick(trace: int, mark: int) -> Selection:
        place, series = divmod(mark, 2)
        chosen = rest if place == len(shown) else shown[[place]]
        if series == 0:
            return Selection(objects=statistics.rows_of(chosen))
        presence = statistics.presence
        found = presence.image[np.isin(presence.category, chosen)]
        return Selection(images=np.unique(found))

    return Plot(
        "counts",
        _balance(statistics),
        bars(
            names,
            {"objects": objects, "images": images},
            "objects, and images that show the class",
            colors=(BLUE, GRAY),
            longest=longest,
        ),
        pick,
        f"The bars of the {counted(len(rest), 'other class')} extend to "
        f"{counted(int(objects[-1]), 'object')} and "
        f"{counted(int(images[-1]), 'image')}."
        if len(rest)
        else "",
    )


def _balance(statistics: ClassStatistics) -> str:
    present = np.flatnonzero(statistics.objects)
    counts = statistics.objects[present]
    first, last = present[counts.argmax()], present[counts.argmin()]
    absent = len(statistics.objects) - len(present)
    missing = (
        f" {counted(absent, 'class')} {'has' if absent == 1 else 'have'} no objects."
        if absent
        else ""
    )
    commonest, rarest = map(quoted, statistics.names_of([first, last]))
    if len(present) == 1:
        return f"All objects are {commonest}.{missing}"
    if statistics.imbalance.ratio == 1:
        number_of_each = counted(int(counts[0]), "object")
        return f"Each of {len(present):,} classes has {number_of_each}.{missing}"
    return (
        f"{commonest} has {percent(statistics.share[first])} of all objects, {rarest} "
        f"{percent(statistics.share[last])}: {number(statistics.imbalance.ratio)} to "
        f"1. The {len(present):,} classes are as diverse as "
        f"{number(statistics.imbalance.effective_classes)} equally common ones."
        f"{missing}"
    )


def _areas(statistics: ClassStatistics, present: NDArray[np.int64]) -> Plot:
    correlation = statistics.size_count_correlation
    figures = (
        f"the rank correlation of mean area and number of objects is "
        f"{correlation.spearman:.2f} over {correlation.num_classes} classes "
        f"(p = {correlation.p_value:.2g})"
    )
    if correlation.p_value < _SIGNIFICANT and abs(correlation.spearman) >= _CLEAR:
        direction = "larger" if correlation.spearman > 0 else "smaller"
        headline = f"Common classes tend to be {direction}: {figures}."
    elif np.isfinite(correlation.p_value):
        headline = f"No clear relation of size and number of objects: {figures}."
    else:
        headline = (
            "Too few classes differ in size and number of objects to relate the two."
        )
    area, objects = statistics.mean_area[present], statistics.objects[present]
    hover = [
        f"{name}<br>{counted(n, 'object')}<br>mean area {number(mean)} px²"
        for name, n, mean in zip(
            statistics.names_of(present), objects.tolist(), area.tolist(), strict=True
        )
    ]
    return Plot(
        "areas",
        headline,
        scatter(
            objects,
            area,
            hover,
            "objects of the class",
            "mean area (px²)",
            logarithmic=True,
        ),
        lambda trace, mark: Selection(objects=statistics.rows_of(present[[mark]])),
    )


def _together(
    statistics: ClassStatistics, shown: NDArray[np.int64], color_by: str
) -> Plot:
    images = statistics.cooccurrence_among(shown)
    lift = np.nan_to_num(statistics.lift_among(shown))
    names = statistics.names_of(shown)
    values = lift if color_by == "lift" else images.astype(float)
    values = np.where(images > 0, values, np.nan)
    # A class co-occurs with itself in all its images, which would outshine all pairs
    np.fill_diagonal(values, np.nan)
    hover = [
        [
            f"{a} and {b}<br>{counted(n, 'image')}, {number(times)} x chance"
            if a != b
            else f"{a}<br>{counted(n, 'image')}"
            for b, n, times in zip(names, row, lifts, strict=True)
        ]
        for a, row, lifts in zip(names, images.tolist(), lift.tolist(), strict=True)
    ]

    def pick(trace: int, mark: tuple[int, int]) -> Selection:
        one, other = (_images_of(statistics, shown[place]) for place in mark)
        return Selection(images=np.intersect1d(one, other))

    listed = int((statistics.objects > 0).sum())
    return Plot(
        "together",
        _dependence(statistics) + hidden_classes(len(shown), listed, "most common"),
        heat_map(
            values,
            names,
            names,
            hover,
            "",
            "",
            height=max(340, 130 + 16 * len(names)),
        ),
        pick,
    )


def _dependence(statistics: ClassStatistics) -> str:
    tied = statistics.never_apart()
    if len(tied):
        row, column = tied[statistics.images[tied[:, 0]].argmax()].tolist()
        more = len(np.unique(tied[:, 0])) - 1
        are = "is" if more == 1 else "are"
        others = (
            f" {counted(more, 'more class')} {are} never seen without another."
            if more
            else ""
        )
        images = counted(int(statistics.images[row]), "image")
        return (
            f"{named(statistics.names_of([row]))} is never seen without "
            f"{named(statistics.names_of([column]))} (in {images}).{others}"
        )
    pairs = statistics.pairs
    if not len(pairs):
        return "No two classes appear in the same image."
    most = int(pairs.images.argmax())
    pair = [pairs.first[most], pairs.second[most]]
    images = counted(int(pairs.images[most]), "image")
    lift = float(statistics.lift_among(pair)[0, 1])
    return (
        f"{named(statistics.names_of(pair))} appear together most often: in {images}, "
        f"{number(lift)} times as often as by chance."
    )


def _resampled(effect: ResamplingEffect, rarest_first: NDArray[np.int64]) -> Plot:
    statistics = effect.classes
    present = rarest_first[statistics.objects[rarest_first] > 0]
    shown = present[:MOST_CLASSES]
    headline = (
        "Repeating images of classes that appear in fewer than "
        f"{percent(effect.threshold)} of all images makes an epoch "
        f"{effect.epoch_growth:.2f} times as long, and changes the imbalance from "
        f"{number(statistics.imbalance.ratio)} to 1 to "
        f"{number(effect.imbalance_after.ratio)} to "
        f"1.{hidden_classes(len(shown), len(present), 'rarest')}"
    )
    hover = [
        f"repeated {factor:.2f}x, seen {gain:.2f}x"
        for factor, gain in zip(
            effect.factors.category[shown].tolist(),
            effect.image_gain[shown].tolist(),
            strict=True,
        )
    ]
    return Plot(
        "resampled",
        headline,
        bars(
            statistics.names_of(shown),
            {
                "images per epoch": statistics.images[shown],
                "images after resampling": effect.images_after[shown],
            },
            "images per epoch that show the class",
            colors=(GRAY, ORANGE),
            hover=hover,
        ),
        lambda trace, mark: Selection(images=_images_of(statistics, shown[mark // 2])),
        _side_effects(effect),
    )


def _side_effects(effect: ResamplingEffect) -> str:
    """The classes that are raised although they are not rare, in one sentence."""
    found = effect.side_effects()
    if not found:
        return "It raises only classes that are rare themselves."
    told = list(map(str, found[:_MOST_SIDE_EFFECTS]))
    more = len(found) - len(told)
    if more:
        told.append(f"and {counted(more, 'class')} more, by less")
    return f"Its side effects: {'; '.join(told)}."
