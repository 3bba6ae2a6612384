"""Classes: how many of each, in how many images, and which occur together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.objects import LabeledImages
from fiftyone_coco_audit.wording import counted

if TYPE_CHECKING:
    import pandas as pd
    from scipy.sparse import csr_array


@dataclass(frozen=True, repr=False)
class Presence(ShortRepr):
    """Which classes each image shows: one row for each such image and class.

    A table of all images by all classes would be mostly empty: 200,000 images and
    1,200 classes make 240 million cells, and only a million are not empty.

    Attributes:
        image: ``(P,)`` position of the image, non-decreasing
        category: ``(P,)`` position of the class, increasing within an image
        num_objects: ``(P,)`` objects of that class in that image, at least 1
        num_images: ``M``, images without objects included
        num_classes: ``K``, classes without objects included
    """

    image: NDArray[np.int64]
    category: NDArray[np.int64]
    num_objects: NDArray[np.int64]
    num_images: int
    num_classes: int

    def _about(self) -> str:
        images = counted(self.num_images, "image")
        return f"of {counted(self.num_classes, 'class')} in {images}"

    @classmethod
    def of(cls, labeled: LabeledImages) -> Presence:
        """Which classes each image of a set shows."""
        num_classes = len(labeled.classes)
        cells, counts = np.unique(
            labeled.objects.image * num_classes + labeled.objects.category,
            return_counts=True,
        )
        image, category = np.divmod(cells, max(num_classes, 1))
        return cls(image, category, counts, len(labeled), num_classes)

    @cached_property
    def table(self) -> csr_array:
        """``(M, K)`` sparse, 1 where an image shows a class; floats, but exact."""
        from scipy.sparse import csr_array

        return csr_array(
            (np.ones(len(self.image)), (self.image, self.category)),
            shape=(self.num_images, self.num_classes),
        )

    def per_class(self, weights: ArrayLike | None = None) -> NDArray[np.float64]:
        """Sums over the images that show each class: ``(K,)``.

        Args:
            weights: ``(P,)`` what to sum; by default 1, which counts images
        """
        sums = np.bincount(
            self.category,
            None if weights is None else np.asarray(weights, np.float64),
            minlength=self.num_classes,
        )
        return sums.astype(np.float64)


@dataclass(frozen=True)
class Imbalance:
    """How unequal the classes are, those without objects left aside.

    Attributes:
        ratio: the largest count divided by the smallest; 1 without objects
        effective_classes: ``exp(H)`` of the entropy ``H`` of the shares: as many
            equal classes would be as unpredictable; 0 without objects
        inverse_simpson: ``1 / sum(share^2)``, which rare classes hardly move; 0
            without objects
        entropy: ``H / log(number of classes)``, 1 if all are equal, near 0 if one
            has nearly all
    """

    ratio: float
    effective_classes: float
    inverse_simpson: float
    entropy: float

    @classmethod
    def of(cls, counts: ArrayLike) -> Imbalance:
        """Measures the imbalance of counts.

        Args:
            counts: ``(K,)`` objects, or images, of each class

        Examples::

            >>> round(Imbalance.of([50, 50, 50]).effective_classes, 2)
            3.0
            >>> round(Imbalance.of([90, 5, 5]).effective_classes, 2)
            1.48
        """
        present = np.asarray(counts, np.float64)
        present = present[present > 0]
        if not len(present):
            return cls(ratio=1, effective_classes=0, inverse_simpson=0, entropy=1)
        share = present / present.sum()
        entropy = float(-(share * np.log(share)).sum())
        return cls(
            ratio=float(present.max() / present.min()),
            effective_classes=float(np.exp(entropy)),
            inverse_simpson=float(1 / (share**2).sum()),
            entropy=entropy / float(np.log(len(present))) if len(present) > 1 else 1,
        )


@dataclass(frozen=True)
class Correlation:
    """How two properties of classes correlate; NaN where undefined.

    Attributes:
        spearman: the correlation of the ranks, from -1 to 1
        p_value: of the ranks' correlation, two-sided
        pearson: the correlation of the logarithms, from -1 to 1
        num_classes: the number of classes that have both properties
    """

    spearman: float
    p_value: float
    pearson: float
    num_classes: int

    @classmethod
    def of(cls, first: ArrayLike, second: ArrayLike) -> Correlation:
        """Correlates two properties, over the classes where both are positive.

        Args:
            first: ``(K,)``
            second: ``(K,)``
        """
        from scipy.stats import spearmanr

        values = np.stack([np.asarray(first, float), np.asarray(second, float)])
        values = values[:, (values > 0).all(axis=0)]
        count = values.shape[1]
        if count < 3 or (values == values[:, :1]).all(axis=1).any():
            return cls(np.nan, np.nan, np.nan, count)
        spearman = spearmanr(*values)
        pearson = np.corrcoef(np.log(values))[0, 1]
        return cls(
            float(spearman.statistic), float(spearman.pvalue), float(pearson), count
        )


@dataclass(frozen=True, repr=False)
class ClassPairs(ShortRepr):
    """The pairs of classes that any image shows together, one row each.

    20,000 classes make 200 million pairs, and few of them occur.

    Attributes:
        first: ``(P,)`` position of one class, non-decreasing
        second: ``(P,)`` position of the other, greater than ``first``
        images: ``(P,)`` images that show both, at least 1
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    images: NDArray[np.int64]

    def _about(self) -> str:
        return f"of {counted(len(self), 'pair')}"

    def __len__(self) -> int:
        return len(self.first)


@dataclass(frozen=True, repr=False)
class ClassStatistics(ShortRepr):
    """The classes of a set, their balance, and which occur together.

    Args:
        labeled: the images and their objects
    """

    labeled: LabeledImages

    def _about(self) -> str:
        return self.labeled._about()

    @cached_property
    def presence(self) -> Presence:
        """Which classes each image shows."""
        return Presence.of(self.labeled)

    @cached_property
    def objects(self) -> NDArray[np.int64]:
        """``(K,)`` objects of each class."""
        return np.bincount(
            self.labeled.objects.category, minlength=len(self.labeled.classes)
        )

    @cached_property
    def images(self) -> NDArray[np.int64]:
        """``(K,)`` images that show each class."""
        return np.bincount(self.presence.category, minlength=len(self.labeled.classes))

    @cached_property
    def share(self) -> NDArray[np.float64]:
        """``(K,)`` share of each class in all objects; 0 without objects."""
        return self.objects / max(len(self.labeled.objects), 1)

    @cached_property
    def imbalance(self) -> Imbalance:
        """How unequal the classes' numbers of objects are."""
        return Imbalance.of(self.objects)

    @cached_property
    def tail(self) -> NDArray[np.int64]:
        """The positions of rare classes, rarest first.

        These have objects, but fewer than half of an equal share: of 10 classes that
        have objects those under 5%, of 80 those under 0.625%.
        """
        present = self.objects > 0
        rare = present & (2 * self.objects * present.sum() < self.objects.sum())
        return self.by_count(rare)

    @cached_property
    def head(self) -> NDArray[np.int64]:
        """The positions of the fewest classes that hold half of all objects.

        The most common class is the first.
        """
        commonest = self.by_count(self.objects > 0)[::-1]
        held = np.cumsum(self.objects[commonest])
        return commonest[: np.searchsorted(2 * held, self.objects.sum()) + 1]

    def by_count(self, of: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The positions of some classes, the one with the fewest objects first.

        Args:
            of: ``(K,)`` whether to take the class
        """
        rows = np.flatnonzero(of)
        return rows[np.argsort(self.objects[rows], kind="stable")]

    @cached_property
    def mean_area(self) -> NDArray[np.float64]:
        """``(K,)`` mean area of each class in square pixels; NaN without objects."""
        objects = self.labeled.objects
        total = np.bincount(objects.category, objects.area, len(self.objects))
        return total / np.where(self.objects > 0, self.objects, np.nan)

    @cached_property
    def size_count_correlation(self) -> Correlation:
        """How the mean area of classes correlates with their number of objects."""
        return Correlation.of(self.objects, np.nan_to_num(self.mean_area))

    @cached_property
    def pairs(self) -> ClassPairs:
        """The pairs of different classes that any image shows together."""
        shows = self.presence.table
        together = (shows.T @ shows).tocoo()
        upper = together.row < together.col
        first, second = (
            side[upper].astype(np.int64) for side in (together.row, together.col)
        )
        order = np.lexsort((second, first))
        images = together.data[upper].astype(np.int64)
        return ClassPairs(first[order], second[order], images[order])

    def cooccurrence_among(self, classes: ArrayLike) -> NDArray[np.int64]:
        """How many images show two of some classes.

        Args:
            classes: ``C`` positions of classes

        Returns:
            ``(C, C)`` images that show both; on the diagonal those that show the class
        """
        shows = self.presence.table[:, np.asarray(classes, np.int64)]
        return (shows.T @ shows).toarray().astype(np.int64)

    def lift_among(self, classes: ArrayLike) -> NDArray[np.float64]:
        """How many times more often than by chance two of some classes appear together.

        ``P(a, b) / (P(a) P(b))``, with the shares of all images that show ``a``,
        ``b`` and both: 1 if the one does not depend on the other, 0 if they never
        meet, NaN for classes without objects.

        Args:
            classes: ``C`` positions of classes

        Returns:
            ``(C, C)``
        """
        images = self.images[np.asarray(classes, np.int64)]
        shown = np.where(images > 0, images, np.nan)
        chance = shown[:, None] * shown
        return self.cooccurrence_among(classes) * len(self.labeled) / chance

    def images_with(self, category: int) -> NDArray[np.int64]:
        """How many images show each class together with one of them.

        Args:
            category: position of the class

        Returns:
            ``(K,)``; for the class itself all of its images
        """
        presence = self.presence
        shows = np.zeros(presence.num_images, bool)
        shows[presence.image[presence.category == category]] = True
        both = presence.category[shows[presence.image]]
        return np.bincount(both, minlength=presence.num_classes)

    @cached_property
    def cooccurrence(self) -> NDArray[np.int64]:
        """``(K, K)`` images that show both classes; the diagonal is ``images``.

        It grows with the square of the number of classes; :attr:`pairs` does not.
        """
        return self.cooccurrence_among(self._every_class)

    @cached_property
    def lift(self) -> NDArray[np.float64]:
        """``(K, K)`` the same of all classes; see :meth:`lift_among`."""
        return self.lift_among(self._every_class)

    @cached_property
    def always_with(self) -> NDArray[np.bool_]:
        """``(K, K)`` whether every image of the row's class also shows the column's.

        False on the diagonal, and for classes without objects. :meth:`never_apart`
        lists the same pairs without a table.
        """
        always = np.zeros((len(self.images),) * 2, bool)
        always[tuple(self.never_apart().T)] = True
        return always

    def never_apart(self) -> NDArray[np.int64]:
        """The classes that never occur without some other one.

        Returns:
            ``(T, 2)`` the class and the other one, in order
        """
        pairs = self.pairs
        both = np.concatenate(
            [
                np.stack([one, other], axis=1)[pairs.images == self.images[one]]
                for one, other in (
                    (pairs.first, pairs.second),
                    (pairs.second, pairs.first),
                )
            ]
        )
        return both[np.lexsort(both.T[::-1])]

    def chance_of_always_with(self, category: int) -> NDArray[np.float64]:
        """The chance that all images of each class show one of them by coincidence.

        The chance that as many images, drawn without replacement, all show it.

        Args:
            category: position of the class that they would show

        Returns:
            ``(K,)``; 1 for classes without images
        """
        from scipy.special import gammaln

        showing, total = self.images[category], len(self.labeled)
        drawn = np.minimum(self.images, showing)
        chance = np.exp(
            gammaln(showing + 1)
            - gammaln(showing - drawn + 1)
            - gammaln(total + 1)
            + gammaln(total - drawn + 1)
        )
        return np.where(self.images > showing, 0.0, chance)

    @property
    def _every_class(self) -> NDArray[np.int64]:
        return np.arange(len(self.labeled.classes))

    @cached_property
    def images_alone(self) -> NDArray[np.int64]:
        """``(K,)`` images that show this class and no other."""
        presence = self.presence
        shown = np.bincount(presence.image, minlength=presence.num_images)
        alone = shown[presence.image] == 1
        return np.bincount(presence.category[alone], minlength=presence.num_classes)

    @cached_property
    def never_alone(self) -> NDArray[np.bool_]:
        """``(K,)`` classes that have objects, but no image to themselves."""
        return (self.images > 0) & (self.images_alone == 0)

    def rows_of(self, classes: ArrayLike) -> NDArray[np.int64]:
        """The rows of the objects of some classes.

        Args:
            classes: positions of classes
        """
        chosen = np.zeros(len(self.labeled.classes), bool)
        chosen[np.asarray(classes, np.int64)] = True
        return np.flatnonzero(chosen[self.labeled.objects.category])

    def names_of(self, classes: ArrayLike) -> tuple[str, ...]:
        """The names of some classes.

        Args:
            classes: positions of classes
        """
        names = self.labeled.classes
        return tuple(names[row] for row in np.asarray(classes, np.int64).tolist())

    def to_frame(self) -> pd.DataFrame:
        """The classes as a frame, in the dataset's order.

        Returns:
            a frame with the index ``class`` and columns ``objects``, ``images``,
            ``share`` of all objects, ``objects_per_image`` that shows the class,
            ``mean_area`` in square pixels, ``images_alone`` and ``never_alone``;
            NaN where a class has no objects
        """
        import pandas as pd

        images = np.where(self.images > 0, self.images, np.nan)
        return pd.DataFrame(
            {
                "objects": self.objects,
                "images": self.images,
                "share": self.share,
                "objects_per_image": self.objects / images,
                "mean_area": self.mean_area,
                "images_alone": self.images_alone,
                "never_alone": self.never_alone,
            },
            index=pd.Index(self.labeled.classes, name="class", dtype=object),
        )
