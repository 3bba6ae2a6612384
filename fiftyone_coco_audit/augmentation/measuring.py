"""Draws of samples, measured by worker processes."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.augmentation.damage import DamageTable, measure
from fiftyone_coco_audit.augmentation.pipelines import Pipeline
from fiftyone_coco_audit.augmentation.reading import read_image
from fiftyone_coco_audit.augmentation.targets import (
    AugmentationTarget,
    draw_name,
    make_target,
    run,
)
from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.objects import RLE
from fiftyone_coco_audit.parallel import WorkerDied, map_items
from fiftyone_coco_audit.progress import Progress, progress_bar
from fiftyone_coco_audit.statistics.inputs import LabeledSamples

#: Measurements of some pipelines, or the reason for none, by position of the sample
Found = dict[int, list[DamageTable | str]]


@dataclass(frozen=True, repr=False)
class Item(ShortRepr):
    """A sample for a worker.

    Args:
        position: of the sample
        name: what decides on the draws
        filepath: of the image
        size: width and height of the image as the sample says
        box: ``(N, 4)`` boxes ``[x, y, width, height]`` in pixels
        category: ``(N,)`` position of each object's class
        masks: of each object, or None where there are only boxes
    """

    position: int
    name: str
    filepath: str
    size: tuple[float, float]
    box: NDArray[np.float64]
    category: NDArray[np.int64]
    masks: Sequence[RLE] | None


@dataclass(frozen=True)
class Draws:
    """Draws from some pipelines, measured; what workers run.

    Args:
        pipelines: the pipelines
        num_draws: how often each sample is drawn from each of them
        seed: of the whole run
    """

    pipelines: Sequence[Pipeline]
    num_draws: int
    seed: int

    def __call__(self, item: Item) -> list[DamageTable | str]:
        """Measures the draws of one sample.

        Returns:
            a :class:`.damage.DamageTable` for each pipeline; a sentence where the image
            or a transform failed
        """
        try:
            image = read_image(item.filepath, item.size)
        except CocoAuditError as error:
            return [str(error)] * len(self.pipelines)
        target = make_target(image, item.box, item.masks, category=item.category)
        return [self._measure(one, item, target) for one in self.pipelines]

    def _measure(
        self, pipeline: Pipeline, item: Item, target: AugmentationTarget
    ) -> DamageTable | str:
        tables = []
        for draw in range(self.num_draws):
            try:
                drawn = run(
                    pipeline, target, seed=self.seed, sample=item.name, draw=draw
                )
            except CocoAuditError as error:
                return str(error)
            tables.append(measure(target, drawn, sample=item.position, draw=draw))
        return DamageTable.concatenate(tables)


def draw_items(labeled: LabeledSamples, positions: NDArray[np.int64]) -> list[Item]:
    """The samples at some positions, for workers."""
    images, objects = labeled.images, labeled.images.objects
    first = np.searchsorted(objects.image, positions).tolist()
    last = np.searchsorted(objects.image, positions, side="right").tolist()
    return [
        Item(
            position=position,
            name=draw_name(images.filepaths[position]),
            filepath=images.filepaths[position],
            size=(float(images.size[position, 0]), float(images.size[position, 1])),
            box=objects.box[start:stop],
            category=objects.category[start:stop],
            masks=None if objects.masks is None else objects.masks[start:stop],
        )
        for position, start, stop in zip(positions.tolist(), first, last, strict=True)
    ]


def measured_items(
    draws: Draws,
    items: Sequence[Item],
    executor: Executor | None,
    workers: int | None,
    progress: Progress,
) -> Generator[tuple[int, list[DamageTable | str]], None, None]:
    """Measures items, and yields the position of each sample with its result."""
    results = map_items(draws, items, executor=executor, workers=workers)
    with (
        closing(results),
        progress_bar(progress, total=len(items)) as bar,
    ):
        for place, found in results:
            if isinstance(found, WorkerDied):
                died = f"The process died: {found.message}"
                found = [died] * len(draws.pipelines)
            yield items[place].position, found
            bar.update()


def tables_of(found: Found, pipeline: int) -> DamageTable:
    """What was measured of one pipeline, in the order of the samples."""
    tables = [found[position][pipeline] for position in sorted(found)]
    return DamageTable.concatenate(t for t in tables if isinstance(t, DamageTable))
