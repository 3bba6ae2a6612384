"""Two sets of images compared, such as those for training and for validation."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fiftyone_coco_audit.display import ShortRepr, TextSummary
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.escaping import shortened
from fiftyone_coco_audit.objects import LabeledImages
from fiftyone_coco_audit.wording import counted, percent, plural, quoted

if TYPE_CHECKING:
    import pandas as pd

#: Properties of images, and then of objects, with what they are measured in
IMAGE_PROPERTIES = {
    "aspect_ratio": "width / height",
    "megapixels": "megapixels",
    "num_objects": "objects per image",
}
OBJECT_PROPERTIES = {
    "box_aspect_ratio": "width / height",
    "relative_area": "share of the image",
    "size": "pixels, square root of the area",
}
PROPERTIES = {**IMAGE_PROPERTIES, **OBJECT_PROPERTIES}

# How a difference is described: if the second set has more, and if it has less
_SAYINGS = {
    "aspect_ratio": ("Images are wider", "Images are narrower"),
    "megapixels": ("Images are larger", "Images are smaller"),
    "num_objects": ("Images hold more objects", "Images hold fewer objects"),
    "box_aspect_ratio": ("Boxes are wider", "Boxes are narrower"),
    "relative_area": (
        "Objects fill more of the image",
        "Objects fill less of the image",
    ),
    "size": ("Objects are larger", "Objects are smaller"),
}

# How values up to a limit are described, if the medians are alike
_AT_MOST = {
    "aspect_ratio": "are at most {:.3g} times as wide as high",
    "megapixels": "have at most {:.3g} megapixels",
    "num_objects": "have at most {:.0f} objects",
    "box_aspect_ratio": "are at most {:.3g} times as wide as high",
    "relative_area": "fill at most {:.1%} of their image",
    "size": "are at most {:.3g} px across",
}
# Smaller differences of medians do not show what is different
_ALIKE = 0.05


@dataclass(frozen=True, repr=False)
class KolmogorovSmirnov(ShortRepr):
    """Two-sample Kolmogorov-Smirnov tests, one a group.

    Attributes:
        statistic: ``(G,)`` the largest difference of the two cumulative
            distributions, from 0 to 1; NaN for groups without values on a side
        p_value: ``(G,)`` its chance if both sides were of one distribution; NaN alike
        counts: ``(2, G)`` values on each side
    """

    statistic: NDArray[np.float64]
    p_value: NDArray[np.float64]
    counts: NDArray[np.int64]


def kolmogorov_smirnov(
    first: ArrayLike,
    second: ArrayLike,
    first_group: ArrayLike | None = None,
    second_group: ArrayLike | None = None,
    num_groups: int = 1,
) -> KolmogorovSmirnov:
    """Compares two samples, group by group, all groups at once.

    The p-value is that of Kolmogorov's distribution with the correction of Stephens,
    "Use of the Kolmogorov-Smirnov, Cramér-Von Mises and Related Statistics Without
    Extensive Tables", 1970: close to the exact one from some ten values a side, and
    too great where many values are equal.

    Args:
        first: ``(A,)`` values of one sample
        second: ``(B,)`` values of the other
        first_group: ``(A,)`` the group of each value, from 0; by default all are of one
        second_group: ``(B,)`` the same of the other sample
        num_groups: ``G``

    Returns:
        a :class:`KolmogorovSmirnov`
    """
    from scipy.special import kolmogorov

    value = np.concatenate([np.asarray(first, float), np.asarray(second, float)])
    side = np.repeat([0, 1], [np.size(first), np.size(second)])
    group = np.zeros(len(value), np.int64)
    if first_group is not None and second_group is not None:
        group[side == 0], group[side == 1] = first_group, second_group
    counts = np.stack(
        [np.bincount(group[side == s], minlength=num_groups) for s in (0, 1)]
    )
    compared = counts.min(axis=0) > 0

    order = np.lexsort((value, group))
    order = order[compared[group[order]]]
    value, side, group = value[order], side[order], group[order]
    # How many values of each side there are up to each one, in its group
    before = np.cumsum(np.where(compared, counts, 0), axis=1)
    before = np.pad(before, ((0, 0), (1, 0)))[:, :-1]
    upto = np.stack([np.cumsum(side == s) for s in (0, 1)]) - before[:, group]
    first_share, second_share = upto / counts[:, group]
    # Among equal values, only the last has all of them
    last = np.ones(len(value), bool)
    last[:-1] = (value[1:] != value[:-1]) | (group[1:] != group[:-1])
    statistic = np.where(compared, 0.0, np.nan)
    difference = np.abs(first_share - second_share)
    np.maximum.at(statistic, group[last], difference[last])

    effective = np.sqrt(counts.prod(axis=0) / np.maximum(counts.sum(axis=0), 1))
    effective[~compared] = 1
    scaled = (effective + 0.12 + 0.11 / effective) * statistic
    return KolmogorovSmirnov(statistic, kolmogorov(scaled), counts)


def cramers_v(table: ArrayLike, *, bias_corrected: bool = True) -> float:
    """Cramér's V of a table of counts: 0 if rows and columns are independent, up to 1.

    Without correction two samples of one distribution have a V well above 0 where
    classes are many and objects few; the correction is that of Bergsma, "A
    bias-correction for Cramér's V and Tschuprow's T", 2013.

    Args:
        table: ``(R, C)`` counts; rows and columns without any are left out
        bias_corrected: whether to correct

    Returns:
        V; 0 if there are less than two rows or columns, as nothing can differ then

    Examples::

        >>> cramers_v([[20, 10], [40, 20]])  # the same shares in both rows
        0.0
        >>> round(cramers_v([[20, 0], [0, 20]]), 3)
        1.0
    """
    counts = _without_empty(table)
    rows, columns = counts.shape
    if min(rows, columns) < 2:
        return 0.0
    total = counts.sum()
    phi2 = _chi_square(counts) / total
    if not bias_corrected:
        return float(np.sqrt(phi2 / (min(rows, columns) - 1)))
    phi2 = max(phi2 - (rows - 1) * (columns - 1) / (total - 1), 0)
    least = min(size - (size - 1) ** 2 / (total - 1) for size in (rows, columns)) - 1
    return float(min(np.sqrt(phi2 / least), 1)) if least > 0 else 0.0


def independence_p_value(table: ArrayLike) -> float:
    """The p-value of Pearson's chi-squared test that rows and columns are independent.

    Args:
        table: ``(R, C)`` counts; rows and columns without any are left out

    Returns:
        the p-value; 1 if there are less than two rows or columns
    """
    from scipy.special import chdtrc

    counts = _without_empty(table)
    rows, columns = counts.shape
    if min(rows, columns) < 2:
        return 1.0
    return float(chdtrc((rows - 1) * (columns - 1), _chi_square(counts)))


def _without_empty(table: ArrayLike) -> NDArray[np.float64]:
    counts = np.asarray(table, np.float64)
    return counts[counts.any(axis=1)][:, counts.any(axis=0)]


def _chi_square(counts: NDArray[np.float64]) -> float:
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / counts.sum()
    return float(((counts - expected) ** 2 / expected).sum())


@dataclass(frozen=True, repr=False)
class Comparison(TextSummary):
    """Two sets compared, property by property and class by class.

    Args:
        first: the one set, such as the one for training
        second: the other
        names: what they are called
    """

    first: LabeledImages
    second: LabeledImages
    names: tuple[str, str] = ("first", "second")

    def _about(self) -> str:
        first, second = (
            f"{shortened(name, 40)!r} ({counted(len(one), 'image')})"
            for name, one in zip(self.names, self._sets, strict=True)
        )
        return f"of {first} and {second}"

    def __str__(self) -> str:
        nothing = "No difference beyond chance"
        return super().__str__() if self.sentences() else f"{nothing}: {self!r}"

    def __post_init__(self) -> None:
        if self.names[0] == self.names[1]:
            raise CocoAuditError(
                f"Both sets are called {self.names[0]!r}; give them different names"
            )

    @property
    def _sets(self) -> tuple[LabeledImages, LabeledImages]:
        return self.first, self.second

    @cached_property
    def classes(self) -> list[str]:
        """Names of the ``K`` classes of both, those of the first set first."""
        return list(dict.fromkeys([*self.first.classes, *self.second.classes]))

    @cached_property
    def categories(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The positions in :attr:`classes` of each set's objects."""
        position = {name: row for row, name in enumerate(self.classes)}
        first, second = (
            np.array([position[name] for name in one.classes], np.int64)[
                one.objects.category
            ]
            for one in self._sets
        )
        return first, second

    @cached_property
    def objects(self) -> NDArray[np.int64]:
        """``(2, K)`` objects of each class in each set."""
        return np.stack(
            [np.bincount(rows, minlength=len(self.classes)) for rows in self.categories]
        )

    @cached_property
    def images(self) -> NDArray[np.int64]:
        """``(2, K)`` images of each set that show each class."""
        shown = []
        for one, rows in zip(self._sets, self.categories, strict=True):
            pairs = np.unique(rows * len(one) + one.objects.image)
            category = pairs // max(len(one), 1)
            shown.append(np.bincount(category, minlength=len(self.classes)))
        return np.stack(shown)

    @cached_property
    def share(self) -> NDArray[np.float64]:
        """``(2, K)`` share of each class in each set's objects; 0 without objects."""
        return self.objects / np.maximum(self.objects.sum(axis=1, keepdims=True), 1)

    @cached_property
    def class_drift(self) -> float:
        """Cramér's V, bias-corrected, of set and class over all objects.

        Objects of an image are not independent, so it is the size of an effect and
        no test; below 0.1 is little.
        """
        return cramers_v(self.objects)

    @cached_property
    def values(self) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """By property, the values of both sets, one an image or an object.

        NaN where a property is not defined, as of a box without height.
        """
        first, second = (_values(one) for one in self._sets)
        return {name: (first[name], second[name]) for name in PROPERTIES}

    def properties(self) -> pd.DataFrame:
        """The drift of each property.

        Returns:
            a frame with the index ``property`` and columns ``statistic`` and
            ``p_value`` (Kolmogorov-Smirnov), and for each set the number of values
            (``count_{name}``) and the median (``median_{name}``); NaN where a set has
            no values
        """
        return self._properties.copy()

    @cached_property
    def _properties(self) -> pd.DataFrame:
        import pandas as pd

        rows = {}
        for name in PROPERTIES:
            values = [_defined(value) for value in self.values[name]]
            test = kolmogorov_smirnov(values[0], values[1])
            rows[name] = [
                test.statistic[0],
                test.p_value[0],
                *map(len, values),
                *(np.median(value) if len(value) else np.nan for value in values),
            ]
        frame = pd.DataFrame.from_dict(
            rows,
            orient="index",
            columns=[
                "statistic",
                "p_value",
                *(f"count_{name}" for name in self.names),
                *(f"median_{name}" for name in self.names),
            ],
        )
        return frame.rename_axis("property")

    def properties_by_class(self, min_objects: int = 20) -> pd.DataFrame:
        """The drift of each property of objects within each class.

        Args:
            min_objects: the minimum number of objects of a class in each set

        Returns:
            a frame with the index ``class``, ``property`` and columns ``statistic``
            and ``p_value``, the largest statistic first
        """
        import pandas as pd

        frames = []
        for name in OBJECT_PROPERTIES:
            first, second = self.values[name]
            first_known, second_known = np.isfinite(first), np.isfinite(second)
            test = kolmogorov_smirnov(
                first[first_known],
                second[second_known],
                self.categories[0][first_known],
                self.categories[1][second_known],
                len(self.classes),
            )
            enough = test.counts.min(axis=0) >= max(min_objects, 1)
            frames.append(
                pd.DataFrame(
                    {
                        "class": np.array(self.classes, object)[enough],
                        "property": name,
                        "statistic": test.statistic[enough],
                        "p_value": test.p_value[enough],
                    }
                )
            )
        return (
            pd.concat(frames, ignore_index=True)
            .sort_values("statistic", ascending=False, kind="stable")
            .set_index(["class", "property"])
        )

    def class_shares(self) -> pd.DataFrame:
        """The classes of both sets side by side.

        Returns:
            a frame with the index ``class`` and for each set the columns
            ``images_{name}``, ``objects_{name}`` and ``share_{name}`` of all objects,
            and the column ``missing_in``: the set that has no object of a class that
            the other has, else empty
        """
        import pandas as pd

        absent = self.objects == 0
        only = absent[0] != absent[1]
        missing_in = np.where(only, np.where(absent[0], *self.names), "")
        columns = {
            f"{what}_{name}": row
            for what, table in (
                ("images", self.images),
                ("objects", self.objects),
                ("share", self.share),
            )
            for name, row in zip(self.names, table, strict=True)
        }
        return pd.DataFrame(
            {**columns, "missing_in": missing_in},
            index=pd.Index(self.classes, name="class", dtype=object),
        )

    def distribution(self, name: str, bins: int = 30) -> pd.DataFrame:
        """Histograms of a property in both sets, over common bins.

        Bins are equal on a logarithmic axis, except those of ``num_objects``, which
        are whole numbers.

        Args:
            name: one of :data:`PROPERTIES`
            bins: the number of bins; there may be fewer

        Returns:
            a frame with a row a bin and the columns ``left``, ``right`` and one for
            each set, by its name: the share of its values that are in the bin; the
            last bin holds its right end, too

        Raises:
            CocoAuditError: if there is no such property
        """
        import pandas as pd

        if name not in PROPERTIES:
            raise CocoAuditError(
                f"There is no property {name!r} to compare; name one of "
                f"{', '.join(PROPERTIES)}"
            )
        if {"left", "right"} & set(self.names):
            raise CocoAuditError(
                f"The sets are called {self.names}, which are also the names of the "
                "columns of bins: choose other names"
            )
        values = [_defined(value) for value in self.values[name]]
        edges = _edges(np.concatenate(values), bins, whole=name == "num_objects")
        shares = {
            label: np.histogram(value, edges)[0] / max(len(value), 1)
            for label, value in zip(self.names, values, strict=True)
        }
        return pd.DataFrame({"left": edges[:-1], "right": edges[1:], **shares})

    def sentences(
        self,
        *,
        min_statistic: float = 0.1,
        min_class_drift: float = 0.1,
        max_p_value: float = 0.01,
    ) -> list[str]:
        """Sentences on what differs by more than chance.

        Args:
            min_statistic: the minimum Kolmogorov-Smirnov statistic of a property
            min_class_drift: the minimum Cramér's V
            max_p_value: the maximum chance of such a difference, corrected for
                the number of classes, and of properties (Bonferroni)

        Returns:
            a list of sentences: images of both sets, classes missing on a side, the
            distribution of classes, properties
        """
        return [
            *self._shared_images(),
            *self._missing_classes(max_p_value),
            *self._drifted_classes(min_class_drift, max_p_value),
            *self._drifted_properties(min_statistic, max_p_value),
        ]

    @cached_property
    def shared(self) -> list[str]:
        """The files that are in both sets, in the order of the first."""
        others = set(self.second.filepaths)
        return [p for p in dict.fromkeys(self.first.filepaths) if p in others]

    def _shared_images(self) -> Iterator[str]:
        if self.shared:
            yield (
                f"{counted(len(self.shared), 'image')} of {self.names[0]} "
                f"{plural(self.shared, 'has', 'have')} the same file in "
                f"{self.names[1]}, such as {quoted(os.path.basename(self.shared[0]))}: "
                "remove them from one set, because a model must not be tested on "
                "images that it was trained on."
            )

    def _missing_classes(self, max_p_value: float) -> Iterator[str]:
        sizes = len(self.first), len(self.second)
        least = max_p_value / max(len(self.classes), 1)
        for here, there in ((0, 1), (1, 0)):
            # The chance that none of so many images shows the class; by images, as
            # the objects of an image are not independent
            rate = self.images[here] / max(sizes[here], 1)
            chance = (1 - rate) ** sizes[there]
            rows = np.flatnonzero((self.images[there] == 0) & (chance <= least))
            for row in rows[np.argsort(-self.objects[here][rows], kind="stable")]:
                yield (
                    f"{quoted(self.classes[row])} has {self.objects[here, row]:,} "
                    f"objects in {self.names[here]} and none in {self.names[there]}."
                )

    def _drifted_classes(self, least: float, max_p_value: float) -> Iterator[str]:
        chance = independence_p_value(self.images)
        if self.class_drift < least or chance > max_p_value:
            return
        change = np.abs(self.share[1] - self.share[0])
        row = int(change.argmax())
        before, after = self.share[:, row]
        yield (
            "Classes are distributed differently (Cramér's V "
            f"{self.class_drift:.2f}): {quoted(self.classes[row])} has "
            f"{100 * before:.1f}% of the objects in {self.names[0]} and "
            f"{100 * after:.1f}% in {self.names[1]}."
        )

    def _drifted_properties(self, least: float, max_p_value: float) -> Iterator[str]:
        frame = self._properties
        drifted = frame[
            (frame["statistic"] >= least)
            & (frame["p_value"] * len(frame) <= max_p_value)
        ].sort_values("statistic", ascending=False)
        for row in drifted.itertuples():
            before, after = row[-2:]
            unit = PROPERTIES[row.Index]
            # Such medians do not show the difference
            if abs(after - before) <= _ALIKE * max(abs(before), abs(after)):
                yield self._widest_gap(row.Index, row.statistic)
            else:
                yield (
                    f"{_SAYINGS[row.Index][after < before]} in {self.names[1]}: the "
                    f"median is {after:.3g}, compared with {before:.3g} in "
                    f"{self.names[0]} ({unit}; KS {row.statistic:.2f})."
                )

    def _widest_gap(self, name: str, statistic: float) -> str:
        """What differs if the medians are similar: the shares below some value."""
        first, second = (np.sort(_defined(value)) for value in self.values[name])
        value, before, after = _split(first, second)
        what = "images" if name in IMAGE_PROPERTIES else "objects"
        having = "have no objects"
        if name != "num_objects" or value > 0:
            having = _AT_MOST[name].format(value).replace(" 1 objects", " 1 object")
        return (
            f"{percent(after)} of the {what} in {self.names[1]} {having}, compared "
            f"with {percent(before)} in {self.names[0]}; the medians are about the "
            f"same (KS {statistic:.2f})."
        )


def _values(labeled: LabeledImages) -> dict[str, NDArray[np.float64]]:
    width, height = labeled.size.T
    objects, area = labeled.objects, labeled.objects.area
    counts = np.bincount(objects.image, minlength=len(labeled))
    box_width, box_height = objects.box[:, 2:].T
    pixels = labeled.image_size.prod(axis=1)
    return {
        "aspect_ratio": _positive_ratio(width, height),
        "megapixels": np.where(width * height > 0, width * height / 1e6, np.nan),
        "num_objects": counts.astype(np.float64),
        "box_aspect_ratio": _positive_ratio(box_width, box_height),
        "relative_area": _positive_ratio(area, pixels),
        "size": np.sqrt(np.where(area > 0, area, np.nan)),
    }


def _split(
    first: NDArray[np.float64], second: NDArray[np.float64]
) -> tuple[float, float, float]:
    """The value at which the shares of values up to it differ most.

    Args:
        first: ``(A,)`` values of one set, sorted
        second: ``(B,)`` values of the other, sorted

    Returns:
        a tuple of the value and of the shares of each set's values up to it
    """
    value = np.union1d(first, second)
    before, after = (
        np.searchsorted(side, value, side="right") / len(side)
        for side in (first, second)
    )
    difference = np.abs(after - before)
    # The first of equal values, whose shares may differ by rounding
    most = int((difference >= difference.max() - 1e-9).argmax())
    return float(value[most]), float(before[most]), float(after[most])


def _positive_ratio(above: NDArray, below: NDArray) -> NDArray[np.float64]:
    ratio = np.full(len(above), np.nan)
    return np.divide(above, below, out=ratio, where=(above > 0) & (below > 0))


def _defined(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[np.isfinite(values)]


def _edges(
    values: NDArray[np.float64], bins: int, *, whole: bool
) -> NDArray[np.float64]:
    if not len(values):
        return np.array([0.0, 1.0])
    least, greatest = values.min(), values.max()
    if whole:
        step = np.ceil((greatest - least + 1) / bins)
        return np.arange(least, greatest + 1 + step, step)
    # Such as boxes that all fill their images, but for rounding
    if np.isclose(least, greatest, rtol=1e-9, atol=0):
        return least * np.array([0.95, 1.05])
    edges = np.geomspace(least, greatest, bins + 1)
    edges[[0, -1]] = least, greatest
    return edges
