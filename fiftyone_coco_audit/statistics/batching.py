"""What batches cost in padding, and what grouping images by their shape saves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.errors import CocoAuditError

#: Names of the groups that :func:`aspect_group` makes
ASPECT_GROUPS = ("tall", "portrait", "landscape", "wide")

#: Draws of images that make a share sure to some tenths of a percent
ENOUGH_DRAWS = 50_000


def aspect_group(aspect_ratio: NDArray[np.float64]) -> NDArray[np.int64]:
    """The group of images that an image is batched with.

    detectron2's ``AspectRatioGroupedDataset`` tells landscape (``width > height``)
    from the rest. Here each is split once more, since a single image of 5:1 makes a
    whole batch of landscape images twice as large: "tall" is under 1:2, "wide" over
    2:1. Finer groups would save little, and leave batches less random.

    Args:
        aspect_ratio: ``(M,)`` width / height

    Returns:
        ``(M,)`` positions in :data:`ASPECT_GROUPS`

    Examples::

        >>> [ASPECT_GROUPS[group] for group in aspect_group(np.array([0.75, 1.5, 5]))]
        ['portrait', 'landscape', 'wide']
    """
    return np.digitize(aspect_ratio, (0.5, np.nextafter(1, 2), np.nextafter(2, 3)))


@dataclass(frozen=True)
class BatchPadding:
    """The share of the pixels of batches that is padding.

    Args:
        random: when batches are drawn at random
        grouped: when all images of a batch are of one group
    """

    random: float
    grouped: float

    @property
    def saving(self) -> float:
        """The share of all pixels, and so of computation, that grouping saves.

        Negative if grouping costs, as it may where images differ by size but not by
        shape.
        """
        return 1 - (1 - self.random) / (1 - self.grouped)


def simulate_batch_padding(
    resized: NDArray[np.float64],
    groups: NDArray[np.int64] | None = None,
    *,
    batch_size: int = 8,
    multiple: int = 1,
    epochs: int | None = None,
    seed: int = 51,
) -> BatchPadding:
    """Simulates batches that are padded to the largest width and height among them.

    As in training, every epoch has its own order. A batch of a group may reach into
    the next epoch, as in detectron2; only the last batch of each group is smaller.

    Args:
        resized: ``(M, 2)`` widths and heights in pixels that the batches are made of
        groups: ``(M,)`` codes of the groups; None for a single one
        batch_size: the number of images in a batch
        multiple: batches are padded to multiples of this many pixels
        epochs: how often each image is drawn; by default as often as makes some
            50,000 draws, but at least once
        seed: of the random order

    Returns:
        a :class:`BatchPadding`, of zeros where there are no images

    Raises:
        CocoAuditError: if a number is less than 1
    """
    if not len(resized):
        return BatchPadding(0.0, 0.0)
    if epochs is None:
        epochs = max(ENOUGH_DRAWS // len(resized), 1)
    if min(batch_size, multiple, epochs) < 1:
        raise CocoAuditError(
            f"batch_size, multiple and epochs must be 1 or more, not {batch_size}, "
            f"{multiple} and {epochs}"
        )
    rng = np.random.default_rng(seed)
    epoch = np.tile(np.arange(len(resized)), (epochs, 1))
    drawn = rng.permuted(epoch, axis=1).ravel()
    one_group = np.zeros(len(resized), np.int64)

    def share(groups: NDArray[np.int64]) -> float:
        stream = drawn[np.argsort(groups[drawn], kind="stable")]
        return _padding_of_batches(
            resized[stream], groups[stream], batch_size, multiple
        )

    random = share(one_group)
    return BatchPadding(random, random if groups is None else share(groups))


def _padding_of_batches(
    size: NDArray[np.float64],
    groups: NDArray[np.int64],
    batch_size: int,
    multiple: int,
) -> float:
    """The share of padding when images, sorted by group, are batched one by one."""
    position = np.arange(len(size))
    in_group = position - np.searchsorted(groups, groups)
    starts = np.flatnonzero(in_group % batch_size == 0)
    largest = np.maximum.reduceat(size, starts, axis=0)
    padded = (np.ceil(largest / multiple) * multiple).prod(axis=1)
    number = np.diff(starts, append=len(size))
    return float(1 - size.prod(axis=1).sum() / (number * padded).sum())
