"""What repeating the images of rare classes does to all classes.

Repeat factors are those of Gupta et al., "LVIS: A Dataset for Large Vocabulary
Instance Segmentation", CVPR 2019, and of detectron2's sampler.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fiftyone_coco_audit.display import ShortRepr, TextSummary
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.files import write_text
from fiftyone_coco_audit.statistics.classes import (
    ClassStatistics,
    Imbalance,
    Presence,
)
from fiftyone_coco_audit.wording import percent, quoted

if TYPE_CHECKING:
    import pandas as pd

#: In :attr:`RepeatFactors.source`: no class is behind it
NO_CLASS = -1


@dataclass(frozen=True, repr=False)
class RepeatFactors(ShortRepr):
    """How often classes and images are to be repeated, 1 being not at all.

    Attributes:
        category: ``(K,)`` the factor of each class
        image: ``(M,)`` the factor of each image, the largest of its classes
        source: ``(M,)`` the class that the image is repeated for, the first of equal
            ones; :data:`NO_CLASS` where it is not
    """

    category: NDArray[np.float64]
    image: NDArray[np.float64]
    source: NDArray[np.int64]


def repeat_factors(
    presence: Presence, threshold: float, exponent: float = 0.5
) -> RepeatFactors:
    """How often classes and images are to be repeated.

    With ``f(c)`` the share of images that show class ``c``, its factor is
    ``max(1, (threshold / f(c)) ** exponent)``, and an image's is the largest of its
    classes'; images without objects, and classes without images, have 1.

    Args:
        presence: which classes each image shows
        threshold: the share of images below which a class is repeated
        exponent: 0 repeats nothing, 1 would bring every class that never meets
            another to the threshold; LVIS takes 0.5

    Returns:
        a :class:`RepeatFactors`

    Raises:
        CocoAuditError: if the threshold is not a share or the exponent is negative

    Examples::

        >>> presence = Presence(  # four images show class 0, the last one class 1 too
        ...     image=np.array([0, 1, 2, 3, 3]),
        ...     category=np.array([0, 0, 0, 0, 1]),
        ...     num_objects=np.ones(5, int),
        ...     num_images=4,
        ...     num_classes=2,
        ... )
        >>> factors = repeat_factors(presence, threshold=1)
        >>> factors.category  # (1 / 1) ** .5 and (1 / .25) ** .5
        array([1., 2.])
        >>> factors.image
        array([1., 1., 1., 2.])
    """
    if not 0 <= threshold <= 1:
        raise CocoAuditError(
            f"The threshold of resampling is {threshold:g}, which is not a share of "
            "images; give one between 0 and 1, such as 0.01"
        )
    if not 0 <= exponent < np.inf:
        raise CocoAuditError(
            f"The exponent of resampling is {exponent:g}, which would favor common "
            "classes; give 0 or more, such as 0.5"
        )
    images = presence.per_class()
    wanted = threshold * presence.num_images
    category = np.maximum(wanted / np.where(images > 0, images, np.inf), 1) ** exponent

    image = np.ones(presence.num_images)
    source = np.full(presence.num_images, NO_CLASS)
    factor = category[presence.category]
    order = np.lexsort((presence.category, -factor, presence.image))
    shown, first = np.unique(presence.image[order], return_index=True)
    image[shown] = factor[order[first]]
    source[shown] = presence.category[order[first]]
    source[image == 1] = NO_CLASS
    return RepeatFactors(category, image, source)


def default_threshold(
    presence: Presence, *, exponent: float = 0.5, max_factor: float = 10
) -> float:
    """Proposes a threshold for a set: half of the classes are below it.

    Where more than half are equally rare, it is the next number of images above theirs.

    LVIS's own 0.001 is of use to sets of its size only: among 1,000 images no class
    is rarer than that. Where the rarest class would be repeated more than
    ``max_factor`` times, which at an exponent of 0.5 the rarest classes of LVIS come
    to, the threshold is lower: more of the same few images is overfitting.

    Args:
        presence: which classes each image shows
        exponent: how strongly classes are repeated
        max_factor: how often an image may be repeated

    Returns:
        a share of images; 0 without objects
    """
    images = presence.per_class()
    images = images[images > 0]
    if not len(images):
        return 0.0
    above_the_rarest = images[images > images.min()]
    wanted = np.median(images)
    if len(above_the_rarest):
        wanted = max(wanted, above_the_rarest.min())
    if exponent > 0:
        wanted = min(wanted, images.min() * max_factor ** (1 / exponent))
    return float(wanted / presence.num_images)


@dataclass(frozen=True)
class SideEffect:
    """A class that is raised although it is not rare, as rare ones appear with it.

    Args:
        name: the class
        gain: by what its images are multiplied
        through: the class for which most of its additional images are repeated
        through_gain: by what the images of that class are multiplied
        through_share: the share of the additional images that is due to it
    """

    name: str
    gain: float
    through: str
    through_gain: float
    through_share: float

    def __str__(self) -> str:
        others = " and others" if self.through_share < 0.5 else ""
        return (
            f"raising {quoted(self.through)} {self.through_gain:.2g}x{others} raises "
            f"{quoted(self.name)} {self.gain:.2g}x"
        )


@dataclass(frozen=True, repr=False)
class ResamplingEffect(TextSummary):
    """What repeating images does to all classes, per epoch and in expectation.

    A sampler repeats an image ``floor(r)`` times, and once more with the probability
    of the rest, so that its expectation is its factor ``r``. Drawing as many images
    with weights of ``r`` has the same expectations.

    Args:
        classes: the classes of the set
        threshold: the share of images below which a class is repeated
        exponent: see :func:`repeat_factors`
    """

    classes: ClassStatistics
    threshold: float
    exponent: float = 0.5

    def _about(self) -> str:
        return f"{self.classes._about()} at a threshold of {percent(self.threshold)}"

    @cached_property
    def factors(self) -> RepeatFactors:
        """The factors of classes and images."""
        return repeat_factors(self.classes.presence, self.threshold, self.exponent)

    @cached_property
    def epoch_length(self) -> float:
        """Images in an epoch; without resampling it is the number of images."""
        return float(self.factors.image.sum())

    @cached_property
    def epoch_growth(self) -> float:
        """The factor of an epoch's length; 1 without images."""
        return self.epoch_length / max(len(self.factors.image), 1) or 1.0

    @cached_property
    def images_after(self) -> NDArray[np.float64]:
        """``(K,)`` images per epoch that show each class."""
        presence = self.classes.presence
        return presence.per_class(self.factors.image[presence.image])

    @cached_property
    def objects_after(self) -> NDArray[np.float64]:
        """``(K,)`` objects per epoch of each class."""
        presence = self.classes.presence
        return presence.per_class(
            self.factors.image[presence.image] * presence.num_objects
        )

    @cached_property
    def image_gain(self) -> NDArray[np.float64]:
        """``(K,)`` the factor of the images of each class; 1 without any."""
        return _gain(self.classes.images, self.images_after)

    @cached_property
    def object_gain(self) -> NDArray[np.float64]:
        """``(K,)`` the factor of the objects of each class; 1 without any."""
        return _gain(self.classes.objects, self.objects_after)

    @cached_property
    def imbalance_after(self) -> Imbalance:
        """How unequal the classes' numbers of objects are in an epoch."""
        return Imbalance.of(self.objects_after)

    @cached_property
    def _due(
        self,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """``(P,)`` class repeated, class seen with it, and additional images of that.

        Only pairs that occur: all pairs of 20,000 classes would take gigabytes.
        """
        presence = self.classes.presence
        size = max(presence.num_classes, 1)
        source = self.factors.source[presence.image]
        repeated = source != NO_CLASS
        cell = source[repeated] * size + presence.category[repeated]
        more = self.factors.image[presence.image[repeated]] - 1
        cells, inverse = np.unique(cell, return_inverse=True)
        additional = np.bincount(inverse, more, minlength=len(cells))
        return cells // size, cells % size, additional.astype(np.float64)

    @cached_property
    def additional_images(self) -> NDArray[np.float64]:
        """``(K, K)`` additional images of the column's class for the row's sake.

        The row is the class that gives an image its factor.
        """
        size = self.classes.presence.num_classes
        table = np.zeros((size, size))
        source, category, additional = self._due
        table[source, category] = additional
        return table

    @cached_property
    def raised_through(self) -> NDArray[np.int64]:
        """``(K,)`` the class that most additional images of each class are due to.

        :data:`NO_CLASS` where there are no additional images.
        """
        source, category, additional = self._due
        through = np.full(self.classes.presence.num_classes, NO_CLASS)
        # The last value written stays: the largest, and the first of equal ones
        order = np.lexsort((-source, additional))
        order = order[additional[order] > 0]
        through[category[order]] = source[order]
        return through

    def sentences(self) -> list[str]:
        """What it does to an epoch, and to classes that are not rare."""
        if self.epoch_growth == 1:
            return [
                f"No image is repeated at a threshold of {percent(self.threshold)}: "
                "no class is that rare."
            ]
        before, after = self.classes.imbalance.ratio, self.imbalance_after.ratio
        return [
            "Repeating images of classes that appear in fewer than "
            f"{percent(self.threshold)} of all images makes an epoch "
            f"{self.epoch_growth:.2f} times as long; the most common class has "
            f"{before:.3g} times the objects of the rarest before, and {after:.3g} "
            "times after.",
            *(f"As a side effect, {effect}." for effect in self.side_effects()[:5]),
        ]

    def raised(self, min_gain: float = 1.05) -> NDArray[np.int64]:
        """The positions of classes that are raised although their own factor is 1.

        Args:
            min_gain: by what the images of a class must be multiplied to count

        Returns:
            positions, the largest gain first
        """
        rows = np.flatnonzero(
            (self.factors.category == 1)
            & (self.raised_through != NO_CLASS)
            & (self.image_gain >= min_gain)
        )
        return rows[np.argsort(-self.image_gain[rows], kind="stable")]

    def side_effects(self, min_gain: float = 1.05) -> list[SideEffect]:
        """The classes of :meth:`raised`, each with the class that it is raised by.

        Args:
            min_gain: by what the images of a class must be multiplied to count

        Returns:
            a list, the largest gain first
        """
        rows = self.raised(min_gain)
        through = self.raised_through[rows]
        source, category, additional = self._due
        total = np.bincount(category, additional, minlength=len(self.raised_through))
        main = source == self.raised_through[category]
        most = np.zeros(len(total))
        most[category[main]] = additional[main]
        share = most[rows] / total[rows]
        columns = (
            self.classes.names_of(rows),
            self.image_gain[rows].tolist(),
            self.classes.names_of(through),
            self.image_gain[through].tolist(),
            share.tolist(),
        )
        return [SideEffect(*effect) for effect in zip(*columns, strict=True)]

    def to_frame(self) -> pd.DataFrame:
        """The classes before and after, in the dataset's order.

        Returns:
            a frame with the index ``class`` and columns ``factor``, ``images``,
            ``images_after``, ``image_gain``, ``objects``, ``objects_after``,
            ``object_gain`` and ``raised_through``: the class that most additional
            images are due to, empty where there are none
        """
        import pandas as pd

        names = self.classes.labeled.classes
        return pd.DataFrame(
            {
                "factor": self.factors.category,
                "images": self.classes.images,
                "images_after": self.images_after,
                "image_gain": self.image_gain,
                "objects": self.classes.objects,
                "objects_after": self.objects_after,
                "object_gain": self.object_gain,
                "raised_through": [
                    "" if row == NO_CLASS else names[row]
                    for row in self.raised_through.tolist()
                ],
            },
            index=pd.Index(names, name="class", dtype=object),
        )


def _gain(before: NDArray, after: NDArray) -> NDArray[np.float64]:
    return np.divide(after, before, out=np.ones(len(before)), where=before > 0)


def inverse_frequency_weights(counts: ArrayLike) -> NDArray[np.float64]:
    """Weights of classes in the loss, ``1 / count``, their mean being 1.

    Args:
        counts: ``(K,)`` objects of each class

    Returns:
        ``(K,)``; classes without objects have 1, and are not part of the mean

    Examples::

        >>> inverse_frequency_weights([100, 50, 50])
        array([0.6, 1.2, 1.2])
    """
    counts = np.asarray(counts, np.float64)
    return _mean_one(np.where(counts > 0, counts, np.inf))


def effective_number_weights(
    counts: ArrayLike, beta: float = 0.999
) -> NDArray[np.float64]:
    """Weights of classes in the loss by effective numbers, their mean being 1.

    ``(1 - beta) / (1 - beta ** count)``, of Cui et al., "Class-Balanced Loss Based on
    Effective Number of Samples", CVPR 2019: new objects of a class say less and less,
    so that beyond some ``1 / (1 - beta)`` of them more do not lower the weight.

    Args:
        counts: ``(K,)`` objects of each class
        beta: 0 weighs all classes alike, toward 1 it becomes ``1 / count``

    Returns:
        ``(K,)``; classes without objects have 1, and are not part of the mean

    Raises:
        CocoAuditError: if beta is not in [0, 1)
    """
    if not 0 <= beta < 1:
        raise CocoAuditError(
            f"The beta of the class weights is {beta:g}; give at least 0 and less than "
            "1, such as 0.999"
        )
    counts = np.asarray(counts, np.float64)
    effective = (1 - beta**counts) / (1 - beta)
    return _mean_one(np.where(counts > 0, effective, np.inf))


def _mean_one(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """``1 / numbers`` with a mean of 1, and 1 where the number is infinite."""
    present = np.isfinite(numbers)
    if not present.any():
        return np.ones(len(numbers))
    weights = 1 / numbers
    return np.where(present, weights / weights[present].mean(), 1.0)


def save_sampler_weights(
    path: str | os.PathLike[str], filepaths: Sequence[str], weights: ArrayLike
) -> Path:
    """Writes what a PyTorch ``WeightedRandomSampler`` needs to a JSON file.

    The file has ``filepaths``, ``weights`` and ``num_samples``, the length of an
    epoch. For a data set in the order of ``filepaths`` it is read by::

        plan = json.loads(Path("weights.json").read_text())
        sampler = WeightedRandomSampler(plan["weights"], plan["num_samples"])

    An existing file is replaced as a whole, or stays unchanged.

    Args:
        path: of the file
        filepaths: ``M`` paths of the images
        weights: ``(M,)`` their weights, such as :attr:`RepeatFactors.image`

    Returns:
        the path of the file

    Raises:
        CocoAuditError: if weights and images are not of the same number, if a sampler
            could not draw by these weights, or if the file cannot be written
    """
    values = np.asarray(weights, np.float64)
    if values.shape != (len(filepaths),):
        raise CocoAuditError(
            f"There are {values.size} weights for {len(filepaths)} images; give one "
            "weight per image"
        )
    if not (np.isfinite(values).all() and (values >= 0).all() and values.any()):
        raise CocoAuditError(
            "The weights of a sampler must be finite and not negative, and one of "
            "them must be more than 0"
        )
    plan = {
        "filepaths": list(filepaths),
        "weights": values.tolist(),
        "num_samples": max(round(values.sum()), 1),
    }
    return write_text(path, json.dumps(plan))
