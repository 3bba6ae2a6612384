"""How the tab *Classes* compares two sets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.escaping import markdown, markdown_list
from fiftyone_coco_audit.panels.audit_controls import AuditControls
from fiftyone_coco_audit.panels.blocks import Block, Choice, Plot, Row, Text
from fiftyone_coco_audit.panels.figures.bars import bars, paired_histogram
from fiftyone_coco_audit.panels.figures.bins import Bins
from fiftyone_coco_audit.panels.figures.figure import BLUE, ORANGE
from fiftyone_coco_audit.panels.parts import images_of, parts_of, rows_of
from fiftyone_coco_audit.panels.selections import Selection
from fiftyone_coco_audit.panels.session import LoadedField
from fiftyone_coco_audit.panels.tabs.shared import MOST_CLASSES
from fiftyone_coco_audit.statistics.drift import (
    IMAGE_PROPERTIES,
    PROPERTIES,
    Comparison,
)
from fiftyone_coco_audit.wording import counted, quoted

_NO_SETS = (
    "**There are not yet two sets to compare.** Tag the images for training and for "
    "validation, or save views of them, to see here how they differ."
)
_NONE = "-"
_COLORS = (BLUE, ORANGE)


def blocks(reading: LoadedField, controls: AuditControls) -> list[Block]:
    """How two sets differ in their classes, and in what is chosen."""
    parts = parts_of(reading)
    if len(parts) < 2:
        return [Text("no_sets", _NO_SETS)]
    names = dict(parts)
    values = [controls.first_set, controls.second_set]
    chosen = [value if value in names else _NONE for value in values]
    options = [(_NONE, "..."), *parts]
    row = Row(
        "sets",
        [
            Choice("first_set", "Compare", options, chosen[0]),
            Choice("second_set", "with", options, chosen[1]),
            Choice(
                "compared",
                "by",
                [(name, name.replace("_", " ")) for name in PROPERTIES],
                controls.compared,
            ),
        ],
    )
    if _NONE in chosen or chosen[0] == chosen[1]:
        return [row, Text("no_sets", "**Choose two sets to compare.**")]
    compared = _Compared.of(reading, (chosen[0], chosen[1]), names)
    if not all(len(images) for images in compared.images):
        empty = compared.names[0 if not len(compared.images[0]) else 1]
        return [
            row,
            Text("no_sets", f"**None of these images are in {markdown(empty)}.**"),
        ]
    return [
        row,
        Text("sets", compared.told()),
        compared.classes(),
        compared.distribution(controls.compared),
    ]


class _Compared:
    """Two sets and where they are from.

    Args:
        reading: what is audited
        images: positions of the images of each set
        names: what the sets are called
    """

    def __init__(
        self,
        reading: LoadedField,
        images: tuple[NDArray[np.int64], NDArray[np.int64]],
        names: tuple[str, str],
    ) -> None:
        labeled = reading.labeled.images
        self.images, self.names = images, names
        self._rows = tuple(rows_of(labeled, one) for one in images)
        first, second = (labeled.part(one) for one in images)
        self._comparison = Comparison(first, second, names)

    @classmethod
    def of(
        cls, reading: LoadedField, parts: tuple[str, str], names: dict[str, str]
    ) -> _Compared:
        """Two parts of what is audited."""
        first, second = (images_of(reading, part) for part in parts)
        return cls(reading, (first, second), (names[parts[0]], names[parts[1]]))

    def told(self) -> str:
        """What differs, in a list."""
        sentences = self._comparison.sentences()
        first, second = self.names
        if not sentences:
            told = f"{first} and {second} are alike in everything that is compared."
            return f"**{markdown(told)}**"
        return markdown_list(sentences)

    def classes(self) -> Plot:
        """The share of each class, those that differ most first."""
        comparison = self._comparison
        first, second = share = comparison.share
        order = np.argsort(-np.abs(second - first), kind="stable")
        shown = order[share[:, order].any(axis=0)][:MOST_CLASSES]
        names = [comparison.classes[row] for row in shown.tolist()]

        def pick(trace: int, mark: int) -> Selection:
            place, side = divmod(mark, 2)
            category = comparison.categories[side]
            return Selection(objects=self._rows[side][category == shown[place]])

        headline = "There are no objects in either set."
        if len(shown):
            before, after = 100 * share[:, shown[0]]
            headline = (
                f"{quoted(names[0])} differs most: {before:.1f}% of the objects in "
                f"{self.names[0]}, {after:.1f}% in {self.names[1]}."
            )
        return Plot(
            "set_classes",
            headline,
            bars(
                names,
                {
                    name: 100 * side[shown]
                    for name, side in zip(self.names, share, strict=True)
                },
                "share of the objects of the set (%)",
                colors=_COLORS,
                hover=[
                    f"{n:,} and {counted(m, 'object')}"
                    for n, m in comparison.objects[:, shown].T.tolist()
                ],
                number_format=".1f",
            ),
            pick,
        )

    def distribution(self, name: str) -> Plot:
        """A property of images or objects in both sets."""
        of_images = name in IMAGE_PROPERTIES
        frame = self._comparison.distribution(name)
        edges = np.append(frame["left"], frame["right"].iloc[-1])
        bins, places = [], []
        for side, values in enumerate(self._comparison.values[name]):
            known = np.isfinite(values)
            everything = self.images[side] if of_images else self._rows[side]
            bins.append(Bins(values[known], edges, np.arange(0)))
            places.append(everything[known])

        def pick(trace: int, mark: int) -> Selection:
            found = places[trace][bins[trace].index == mark]
            return Selection(images=found) if of_images else Selection(objects=found)

        row = self._comparison.properties().loc[name]
        before, after = (row[f"median_{set_}"] for set_ in self.names)
        what = name.replace("_", " ")
        return Plot(
            "set_property",
            f"The median {what} is {before:.3g} in {self.names[0]} and {after:.3g} in "
            f"{self.names[1]}; the distributions are {row['statistic']:.2f} apart "
            "(Kolmogorov-Smirnov, 0 to 1).",
            paired_histogram(
                edges,
                {set_: frame[set_].to_numpy() for set_ in self.names},
                [one.counts for one in bins],
                f"{what} ({PROPERTIES[name]})",
                "images" if of_images else "objects",
                colors=_COLORS,
            ),
            pick,
        )
