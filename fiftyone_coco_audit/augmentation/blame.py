"""Which transform of a pipeline does the damage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fiftyone_coco_audit.augmentation.damage import (
    DEFAULT_THRESHOLDS,
    KINDS,
    DamageTable,
    Thresholds,
)
from fiftyone_coco_audit.augmentation.pipelines import Pipeline
from fiftyone_coco_audit.brief import Told
from fiftyone_coco_audit.wording import counted, percent

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Cause:
    """The transform that one kind of damage is due to, and the figures that show it.

    Attributes:
        kind: the kind of damage
        transform: the number of the transform; None where it is due to none, or where
            there is no such damage
        name: the name of the transform; empty where there is none
        together: the share of objects and draws with that damage, of 1, by the whole
            pipeline
        without: the same without the transform; None where there is none, or where
            nothing goes through the others without it
        alone: the same by the transform alone; likewise
        images: how many images were measured for these shares: where there is a
            transform, those that go through the pipeline with it and without it, if any
    """

    kind: str
    transform: int | None
    name: str
    together: float
    without: float | None
    alone: float | None
    images: int

    def __str__(self) -> str:
        images = counted(self.images, "image")
        if not self.together > 0:
            return f"not seen again in the {images} that were searched for its cause"
        if self.transform is None:
            return (
                f"due to no single transform: {percent(self.together)} with all, on "
                f"{images}"
            )
        without = "the others fail without"
        if self.without is not None:
            without = f"{percent(self.without)} without"
        alone = "it fails alone"
        if self.alone is not None:
            alone = f"{percent(self.alone)} by it alone"
        return (
            f"due to {self.transform}. {self.name}: {percent(self.together)} with it, "
            f"{without}, {alone}, on {images}"
        )


@dataclass(frozen=True, repr=False)
class Blame(Told):
    """What the transforms of a pipeline do together, one left out, and each alone.

    Attributes:
        pipeline: the pipeline
        together: the damage of the whole
        without: the damage without a transform, by its number
        alone: the damage of a transform alone, by its number
    """

    pipeline: Pipeline
    together: DamageTable
    without: dict[int, DamageTable]
    alone: dict[int, DamageTable]

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
            # Else there is nothing to compare with
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

        A transform can do damage that another would do as well; then nothing is gained
        by leaving one out, and the one decides that does most alone.

        Returns:
            the number; None where there is no such damage, or no transform causes it
        """
        frame = self.to_frame(thresholds)
        if not len(frame):
            return None
        of_kind = frame.xs(kind, level="kind")
        if not _shares(self.together, thresholds)[kind] > 0:
            return None
        for by in ("blame", "alone"):
            if of_kind[by].max() > 0:
                return int(of_kind[by].idxmax())
        return None

    def cause(self, kind: str, thresholds: Thresholds = DEFAULT_THRESHOLDS) -> Cause:
        """The transform that :meth:`worst` names, with the figures that show it.

        Args:
            kind: the kind of damage
            thresholds: from where on a measure is damage
        """
        number = self.worst(kind, thresholds)
        if number is None:
            return Cause(
                kind=kind,
                transform=None,
                name="",
                together=float(np.nan_to_num(_shares(self.together, thresholds)[kind])),
                without=None,
                alone=None,
                images=len(np.unique(self.together.sample)),
            )
        figures = self.to_frame(thresholds).loc[(number, kind)]
        without, alone = (
            None if np.isnan(share) else float(share)
            for share in (figures["without"], figures["alone"])
        )
        return Cause(
            kind=kind,
            transform=number,
            name=str(figures["name"]),
            together=float(figures["together"]),
            without=without,
            alone=alone,
            images=int(figures["images"]),
        )

    def sentences(self) -> list[str]:
        """What each kind of damage is due to, the most frequent first."""
        share = _shares(self.together, DEFAULT_THRESHOLDS)
        seen = [kind for kind in KINDS if share[kind] > 0]
        kinds = sorted(seen, key=lambda kind: -share[kind])
        said = [f"{kind}: {self.cause(kind)}" for kind in kinds]
        return said or ["There is no damage."]


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
) -> Blame:
    """Finds out what each transform of a pipeline contributes to the damage.

    A transform draws the same random numbers in the whole, without another one, and
    alone. So the difference is the transform's, not chance.

    Args:
        pipeline: the pipeline
        together: the damage of the whole pipeline
        measure: measures the damage of some pipelines, on the same samples with the
            same seeds; samples that fail are left out

    Returns:
        a :class:`Blame`
    """
    numbers = [step.number for step in pipeline.steps]
    without = [pipeline.without(number) for number in numbers]
    alone = [pipeline.only(number) for number in numbers]
    tables = measure([*without, *alone])
    return Blame(
        pipeline=pipeline,
        together=together,
        without=dict(zip(numbers, tables[: len(numbers)], strict=True)),
        alone=dict(zip(numbers, tables[len(numbers) :], strict=True)),
    )
