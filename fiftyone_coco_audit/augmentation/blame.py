"""Which transform of a pipeline does the damage."""

from __future__ import annotations

from collections.abc import Callable
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
        without: the same without the transform; None where there is none
        alone: the same by the transform alone; likewise
        images: how many images were measured for these shares
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
        if not self.together:
            return f"not seen again in the {images} that were searched for its cause"
        if self.without is None or self.alone is None:
            return (
                f"due to no single transform: {percent(self.together)} with all, on "
                f"{images}"
            )
        return (
            f"due to {self.transform}. {self.name}: {percent(self.together)} with it, "
            f"{percent(self.without)} without, {percent(self.alone)} by it alone, on "
            f"{images}"
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

        Args:
            thresholds: from where on a measure is damage

        Returns:
            a frame by number of the transform and kind of damage: its ``name``, the
            share of objects and draws with that damage ``together``, ``without`` the
            transform and by it ``alone``, and its ``blame``, the share that there would
            not be without it; below 0 where it prevents some
        """
        import pandas as pd

        whole = _shares(self.together, thresholds)
        rows = []
        for step in self.pipeline.steps:
            without = _shares(self.without[step.number], thresholds)
            alone = _shares(self.alone[step.number], thresholds)
            rows += [
                {
                    "transform": step.number,
                    "kind": kind,
                    "name": step.name,
                    "together": whole[kind],
                    "without": without[kind],
                    "alone": alone[kind],
                    "blame": whole[kind] - without[kind],
                }
                for kind in KINDS
            ]
        columns = ["transform", "kind", "name", "together", "without", "alone", "blame"]
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
        if not of_kind["together"].iloc[0]:
            return None
        by = "blame" if of_kind["blame"].max() > 0 else "alone"
        if of_kind[by].max() <= 0:
            return None
        return int(of_kind[by].idxmax())

    def cause(self, kind: str, thresholds: Thresholds = DEFAULT_THRESHOLDS) -> Cause:
        """The transform that :meth:`worst` names, with the figures that show it.

        Args:
            kind: the kind of damage
            thresholds: from where on a measure is damage
        """
        number = self.worst(kind, thresholds)
        without = alone = None
        if number is not None:
            without = _shares(self.without[number], thresholds)[kind]
            alone = _shares(self.alone[number], thresholds)[kind]
        return Cause(
            kind=kind,
            transform=number,
            name="" if number is None else self.pipeline.step(number).name,
            together=_shares(self.together, thresholds)[kind],
            without=without,
            alone=alone,
            images=len(np.unique(self.together.sample)),
        )

    def sentences(self) -> list[str]:
        """What each kind of damage is due to, the most frequent first."""
        share = _shares(self.together, DEFAULT_THRESHOLDS)
        kinds = sorted(filter(share.get, KINDS), key=lambda kind: -share[kind])
        said = [f"{kind}: {self.cause(kind)}" for kind in kinds]
        return said or ["There is no damage."]


def _shares(table: DamageTable, thresholds: Thresholds) -> dict[str, float]:
    judged = max(int(table.judged.sum()), 1)
    return {
        kind: float(np.count_nonzero(found) / judged)
        for kind, found in table.kinds(thresholds).items()
    }


def apportion(
    pipeline: Pipeline,
    audit: Callable[[Pipeline], DamageTable],
    together: DamageTable | None = None,
) -> Blame:
    """Finds out what each transform of a pipeline contributes to the damage.

    A transform draws the same random numbers in the whole, without another one, and
    alone. So the difference is the transform's, not chance.

    Args:
        pipeline: the pipeline
        audit: measures the damage of a pipeline, on the same samples with the same
            seeds each time
        together: the damage of the whole pipeline, if it is known already

    Returns:
        a :class:`Blame`
    """
    numbers = [step.number for step in pipeline.steps]
    return Blame(
        pipeline=pipeline,
        together=audit(pipeline) if together is None else together,
        without={number: audit(pipeline.without(number)) for number in numbers},
        alone={number: audit(pipeline.only(number)) for number in numbers},
    )
