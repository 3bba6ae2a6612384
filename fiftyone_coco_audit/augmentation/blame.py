"""Which transform of a pipeline causes the damage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from fiftyone_coco_audit.augmentation.damage import (
    DEFAULT_THRESHOLDS,
    KINDS,
    DamageTable,
    Thresholds,
)
from fiftyone_coco_audit.augmentation.pipelines import Pipeline
from fiftyone_coco_audit.display import TextSummary
from fiftyone_coco_audit.wording import counted, percent

if TYPE_CHECKING:
    import pandas as pd


#: The share of the damage from which a transform explains it
EXPLAINS = 0.5
#: Shares of the damage under which a transform has nothing to do with it
LITTLE = 0.05
#: The share of the damage that a transform must do alone to be searched with others
SUSPECT = 0.2
#: How many suspects are left out two at a time
MOST_SUSPECTS = 4


@dataclass(frozen=True)
class Cause:
    """The transforms that one kind of damage is due to, and the figures that show it.

    Attributes:
        kind: the kind of damage
        transform: the number of the transform, the first of several; None where it is
            due to none, or if there is no such damage
        name: the name of the transform; empty where there is none
        together: the share of objects and draws with that damage, of 1, by the whole
            pipeline
        without: the same without the transform; of several without all of them
            (``"either"``), or the largest without one of them (``"both"``). None where
            there is no transform, or where nothing goes through the others without it
        alone: the same by the transform alone; of several the largest; likewise
        images: how many images were measured for these shares: where there is a
            transform, those that go through the pipeline with it and without it, if any
        partners: the other transforms that are guilty, such as ``"3. CenterCrop"``
        how: how several are guilty: ``"either"`` if each of them does the damage, so
            that nothing is gained without one, ``"both"`` if none does it without the
            others; empty for one
    """

    kind: str
    transform: int | None
    name: str
    together: float
    without: float | None
    alone: float | None
    images: int
    partners: list[str] = field(default_factory=list)
    how: str = ""

    @property
    def who(self) -> str:
        """The guilty transforms, such as ``"1. CenterCrop and 3. CenterCrop"``."""
        if self.transform is None:
            return ""
        *most, last = [f"{self.transform}. {self.name}", *self.partners]
        return f"{', '.join(most)} and {last}" if most else last

    def __str__(self) -> str:
        images = counted(self.images, "image")
        if not self.together > 0:
            return f"not reproduced in the search for its cause, on {images}"
        if self.transform is None:
            return (
                f"not due to a single transform: {percent(self.together)} with all, "
                f"on {images}"
            )
        without = "the others fail without it"
        alone = "it fails alone"
        if self.how:
            without = "the others fail without them"
            alone = "each fails alone"
        if self.without is not None:
            less = percent(self.without)
            without = {
                "": f"{less} without it",
                "either": f"{less} without all of them",
                "both": f"{less} without one of them",
            }[self.how]
        if self.alone is not None:
            more = percent(self.alone)
            alone = f"{more} with {'one of them' if self.how else 'it'} alone"
        manner = {
            "": "",
            "either": ", each of which causes it",
            "both": ", which cause it together",
        }[self.how]
        with_it = f"{percent(self.together)} with {'them' if self.how else 'it'}"
        return f"due to {self.who}{manner}: {with_it}, {without}, {alone}, on {images}"


@dataclass(frozen=True)
class _Guilty:
    """The numbers of transforms, how they are guilty, and the damage without them."""

    numbers: tuple[int, ...]
    how: str = ""
    together: float = 0.0
    without: float = 0.0
    images: int = 0


@dataclass(frozen=True, repr=False)
class Blame(TextSummary):
    """What the transforms of a pipeline do together, one left out, and each alone.

    Attributes:
        pipeline: the pipeline
        together: the damage of the whole
        without: the damage without a transform, by its number
        alone: the damage of a transform alone, by its number
        without_several: the damage without several transforms, by their numbers;
            measured where no single one explains the damage
    """

    pipeline: Pipeline
    together: DamageTable
    without: dict[int, DamageTable]
    alone: dict[int, DamageTable]
    without_several: dict[tuple[int, ...], DamageTable] = field(default_factory=dict)

    def _about(self) -> str:
        return f"of {counted(len(self.pipeline), 'transform')}"

    def to_frame(self, thresholds: Thresholds = DEFAULT_THRESHOLDS) -> pd.DataFrame:
        """The damage that each transform is to blame for.

        A transform can be what lets others work at all, as one that makes images large
        enough to be cropped. So what is without it is compared on the images that go
        through both ways.

        Args:
            thresholds: from where on a measure is damage

        Returns:
            a frame by number of the transform and kind of damage: its ``name``, the
            share of objects and draws with that damage ``together``, ``without`` the
            transform and by it ``alone``, and its ``blame``, the share that there would
            not be without it; below 0 where it prevents some; NaN where no image goes
            through. ``images`` is how many these shares are of
        """
        import pandas as pd

        rows = []
        for step in self.pipeline.steps:
            without, alone = self.without[step.number], self.alone[step.number]
            both = np.intersect1d(self.together.sample, without.sample)
            # Otherwise there is nothing to compare with
            base = both if len(both) else self.together.sample
            whole = _shares(self.together.of_samples(base), thresholds)
            less = _shares(without.of_samples(base), thresholds)
            by_it = _shares(alone.of_samples(base), thresholds)
            rows += [
                {
                    "transform": step.number,
                    "kind": kind,
                    "name": step.name,
                    "together": whole[kind],
                    "without": less[kind],
                    "alone": by_it[kind],
                    "blame": whole[kind] - less[kind],
                    "images": len(np.unique(base)),
                }
                for kind in KINDS
            ]
        columns = ["transform", "kind", "name"]
        columns += ["together", "without", "alone", "blame", "images"]
        frame = pd.DataFrame(rows, columns=columns)
        return frame.set_index(["transform", "kind"])

    def worst(
        self, kind: str, thresholds: Thresholds = DEFAULT_THRESHOLDS
    ) -> int | None:
        """The number of the transform that most of one kind of damage is due to.

        Of several that are guilty together it is the first; see :meth:`cause`.

        Returns:
            the number; None where there is no such damage, or no transform causes it
        """
        guilty = self._guilty(kind, thresholds)
        return guilty.numbers[0] if guilty else None

    def cause(self, kind: str, thresholds: Thresholds = DEFAULT_THRESHOLDS) -> Cause:
        """The transforms that a kind of damage is due to, with the figures.

        Args:
            kind: the kind of damage
            thresholds: from where on a measure is damage
        """
        guilty = self._guilty(kind, thresholds)
        if guilty is None:
            return Cause(
                kind=kind,
                transform=None,
                name="",
                together=float(np.nan_to_num(_shares(self.together, thresholds)[kind])),
                without=None,
                alone=None,
                images=len(np.unique(self.together.sample)),
            )
        figures = self.to_frame(thresholds).xs(kind, level="kind")
        figures = figures.loc[list(guilty.numbers)]
        first = figures.iloc[0]
        without: float = figures["without"].max()
        if guilty.how == "either":
            without = guilty.without
        several = guilty.how == "either"
        return Cause(
            kind=kind,
            transform=guilty.numbers[0],
            name=str(first["name"]),
            together=guilty.together if several else float(first["together"]),
            without=_known(without),
            alone=_known(figures["alone"].max()),
            images=guilty.images if several else int(first["images"]),
            partners=[str(self.pipeline.step(n)) for n in guilty.numbers[1:]],
            how=guilty.how,
        )

    def _guilty(self, kind: str, thresholds: Thresholds) -> _Guilty | None:
        """The cause of a kind of damage: one transform, several, or none."""
        frame = self.to_frame(thresholds)
        total = _shares(self.together, thresholds)[kind]
        if not len(frame) or not total > 0:
            return None
        of_kind = frame.xs(kind, level="kind")
        blame, alone = of_kind["blame"], of_kind["alone"]
        best = blame.max()
        if best >= EXPLAINS * total:
            return _with_accomplices(blame, alone)
        group = self._best_group(kind, thresholds)
        if group is not None:
            # Its members do more together than the sum of their parts
            gain = group.together - group.without
            parts = blame.loc[list(group.numbers)].clip(lower=0).sum()
            if gain >= EXPLAINS * group.together and gain > 1.5 * max(parts, best):
                return group
        if best >= LITTLE * total:
            return _with_accomplices(blame, alone)
        if alone.max() >= SUSPECT * total:
            return _Guilty((int(alone.idxmax()),))
        return None

    def _best_group(self, kind: str, thresholds: Thresholds) -> _Guilty | None:
        """The smallest group whose removal explains the damage."""
        found = []
        for numbers, table in self.without_several.items():
            both = np.intersect1d(self.together.sample, table.sample)
            if len(both):
                whole, less = (
                    _shares(one.of_samples(both), thresholds)[kind]
                    for one in (self.together, table)
                )
                found.append(_Guilty(numbers, "either", whole, less, len(both)))

        def rank(one: _Guilty) -> tuple[bool, int, float]:
            gain = one.together - one.without
            return gain < EXPLAINS * one.together, len(one.numbers), -gain

        return min(found, key=rank, default=None)

    def _suspects(self, thresholds: Thresholds) -> list[tuple[int, ...]]:
        """Which transforms to leave out together if no single one explains the damage.

        They are those that do it alone, and those that fail alone, two at a time, and
        all at once: what several do, none of them adds.
        """
        frame = self.to_frame(thresholds)
        found: dict[tuple[int, ...], None] = {}
        for kind, total in _shares(self.together, thresholds).items():
            if not len(frame) or not total > 0:
                continue
            of_kind = frame.xs(kind, level="kind")
            if of_kind["blame"].max() >= EXPLAINS * total:
                continue
            alone = of_kind["alone"].fillna(SUSPECT * total)
            alone = alone[alone >= SUSPECT * total]
            suspects = alone.sort_values(ascending=False, kind="stable").index.tolist()
            pairs = combinations(sorted(suspects[:MOST_SUSPECTS]), 2)
            found |= dict.fromkeys(pairs)
            if len(suspects) > 2:
                found[tuple(sorted(suspects))] = None
        return list(found)

    def sentences(self) -> list[str]:
        """What each kind of damage is due to, the most frequent first."""
        share = _shares(self.together, DEFAULT_THRESHOLDS)
        seen = [kind for kind in KINDS if share[kind] > 0]
        kinds = sorted(seen, key=lambda kind: -share[kind])
        said = [f"{kind}: {self.cause(kind)}" for kind in kinds]
        return said or ["There is no damage."]


def _known(share: float) -> float | None:
    return None if np.isnan(share) else float(share)


def _with_accomplices(blame: pd.Series, alone: pd.Series) -> _Guilty:
    """The most guilty transform, and those that it depends on."""
    first = int(blame.idxmax())
    most = blame[first]
    # A transform that fails alone may still cause the damage
    if not alone[first] < EXPLAINS * most:
        return _Guilty((first,))
    others = (blame >= EXPLAINS * most) & (alone < EXPLAINS * most)
    numbers = tuple(blame.index[others].tolist())
    return _Guilty(numbers, "both" if len(numbers) > 1 else "")


def _shares(table: DamageTable, thresholds: Thresholds) -> dict[str, float]:
    """The share of each kind of damage; NaN where nothing was judged."""
    judged = int(table.judged.sum())
    return {
        kind: float(np.count_nonzero(found) / judged) if judged else float("nan")
        for kind, found in table.kinds(thresholds).items()
    }


def apportion(
    pipeline: Pipeline,
    together: DamageTable,
    measure: Callable[[Sequence[Pipeline]], Sequence[DamageTable]],
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
) -> Blame:
    """Finds out what each transform of a pipeline contributes to the damage.

    A transform draws the same random numbers in the whole, without another one, and
    alone. So the difference is the transform's, not chance. Where no transform explains
    a kind of damage, those that do it alone are left out in pairs, and all at once.

    Args:
        pipeline: the pipeline
        together: the damage of the whole pipeline
        measure: measures the damage of some pipelines, on the same samples with the
            same seeds; samples that fail are left out
        thresholds: from where on a measure is damage

    Returns:
        a :class:`Blame`
    """
    numbers = [step.number for step in pipeline.steps]
    without = [pipeline.without(number) for number in numbers]
    alone = [pipeline.only(number) for number in numbers]
    tables = measure([*without, *alone])
    blame = Blame(
        pipeline=pipeline,
        together=together,
        without=dict(zip(numbers, tables[: len(numbers)], strict=True)),
        alone=dict(zip(numbers, tables[len(numbers) :], strict=True)),
    )
    several = blame._suspects(thresholds)
    if not several:
        return blame
    tables = measure([pipeline.without(*group) for group in several])
    return replace(blame, without_several=dict(zip(several, tables, strict=True)))
