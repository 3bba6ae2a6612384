"""Partial labels: classes that are not labeled in whole sources of images.

When sets are mixed that were each labeled for their own classes, objects of the other
classes are taught as background.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.statistics.classes import Presence

if TYPE_CHECKING:
    import pandas as pd

# More folders than this are probably scenes or videos, each with its own classes, not
# sites, cameras or sets that should have the same classes labeled
_MAX_SOURCES = 20


@dataclass(frozen=True, repr=False)
class Sources(ShortRepr):
    """The sources of images. An image may be from several sources, or none.

    Attributes:
        names: of the ``S`` sources
        image: ``(P,)`` position of an image
        source: ``(P,)`` position of a source that it is of
    """

    names: tuple[str, ...]
    image: NDArray[np.int64]
    source: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def of(cls, values: Iterable[Iterable[str]]) -> Sources:
        """Makes sources of names.

        Args:
            values: for each image the names of its sources, such as its tags, or a
                list of the one value of a field
        """
        pairs = [
            (image, name) for image, names in enumerate(values) for name in set(names)
        ]
        names = sorted({name for _, name in pairs})
        position = {name: source for source, name in enumerate(names)}
        rows = np.array([(i, position[n]) for i, n in pairs], np.int64).reshape(-1, 2)
        return cls(tuple(names), rows[:, 0], rows[:, 1])

    def images_of(self, sources: ArrayLike) -> NDArray[np.int64]:
        """The positions of the images of some sources, in increasing order.

        Args:
            sources: positions of sources, or of one
        """
        return np.unique(self.image[np.isin(self.source, sources)])


NO_SOURCES = Sources((), np.zeros(0, np.int64), np.zeros(0, np.int64))


def folders(filepaths: Sequence[str], max_sources: int = _MAX_SOURCES) -> Sources:
    """Sources by the first folder in which paths differ.

    Args:
        filepaths: ``M`` paths of images
        max_sources: the most folders that are taken for sources

    Returns:
        the :class:`Sources`, ``"."`` being the folder that holds the others; none if
        all images are in one folder, or in too many

    Examples::

        >>> folders(["/data/site_a/1.jpg", "/data/site_b/night/2.jpg"]).names
        ('site_a', 'site_b')
    """
    parents = [os.path.dirname(path) for path in filepaths]
    parts = {parent: parent.split(os.sep) if parent else [] for parent in set(parents)}
    depth = len(os.path.commonprefix(list(parts.values())))
    name = {parent: (part[depth:] or ["."])[0] for parent, part in parts.items()}
    if not 1 < len(set(name.values())) <= max_sources:
        return NO_SOURCES
    return Sources.of([name[parent]] for parent in parents)


def tagged(tags: Sequence[Sequence[str]], max_sources: int = _MAX_SOURCES) -> Sources:
    """Sources by tag.

    Args:
        tags: ``M`` lists of tags
        max_sources: the most tags that are taken for sources

    Returns:
        the :class:`Sources`; none if there are no tags, or too many
    """
    if len({tag for of_image in tags for tag in of_image}) > max_sources:
        return NO_SOURCES
    return Sources.of(tags)


@dataclass(frozen=True, repr=False)
class SourceGaps(ShortRepr):
    """How often sources show classes, against how often all other images do.

    Args:
        presence: which classes each image shows
        sources: where each image is from
    """

    presence: Presence
    sources: Sources

    @cached_property
    def images(self) -> NDArray[np.int64]:
        """``(S,)`` images of each source."""
        return np.bincount(self.sources.source, minlength=len(self.sources))

    @cached_property
    def found(self) -> NDArray[np.int64]:
        """``(S, K)`` images of the source that show the class."""
        from scipy.sparse import csr_array

        shows, sources = self.presence.table, self.sources
        is_of = csr_array(
            (np.ones(len(sources.image)), (sources.source, sources.image)),
            shape=(len(sources), shows.shape[0]),
        )
        return (is_of @ shows).toarray().astype(np.int64)

    @cached_property
    def elsewhere(self) -> NDArray[np.int64]:
        """``(S, K)`` images that are not of the source and show the class."""
        return self.presence.per_class().astype(np.int64) - self.found

    @cached_property
    def expected(self) -> NDArray[np.float64]:
        """``(S, K)`` images that would show the class at the rate of all others.

        0 where there are no other images.
        """
        images = self.images[:, None]
        others = self.presence.num_images - images
        return self.elsewhere * images / np.maximum(others, 1)

    @cached_property
    def p_value(self) -> NDArray[np.float64]:
        """``(S, K)`` the chance of so few images with the class, or of fewer.

        It is Fisher's exact test, one-sided: the images that show the class fall to
        this source and to all others as drawn without replacement. Unlike a binomial
        test it does not take the rate elsewhere, itself an estimate, for the truth.
        """
        from scipy.stats import hypergeom

        total = self.presence.per_class().astype(np.int64)
        chance = np.ones(self.found.shape)
        occurs = np.flatnonzero(total)
        chance[:, occurs] = hypergeom.cdf(
            self.found[:, occurs],
            max(self.presence.num_images, 1),
            total[occurs],
            self.images[:, None],
        )
        return np.minimum(chance, 1.0)

    @cached_property
    def adjusted_p_value(self) -> NDArray[np.float64]:
        """``(S, K)`` the same, corrected for as many tests as there are (Bonferroni).

        A test is a source with a class that occurs anywhere.
        """
        tests = len(self.sources) * np.count_nonzero(self.presence.per_class())
        return np.minimum(self.p_value * tests, 1.0)

    @cached_property
    def coverage(self) -> NDArray[np.float64]:
        """``(S, K)`` share of the other images whose sources do have the class.

        Where it is low, the class is at home in one place and nothing is amiss with
        the others. Images of no source count as if their source had it.
        """
        lacking = np.where(self.found == 0, self.images[:, None], 0)
        others = np.maximum(self.presence.num_images - self.images, 1)[:, None]
        return np.maximum(1 - (lacking.sum(axis=0) - lacking) / others, 0)

    @cached_property
    def num_common(self) -> NDArray[np.int64]:
        """``(S,)`` classes of each source that also occur elsewhere."""
        return np.count_nonzero((self.found > 0) & (self.elsewhere > 0), axis=1)

    @cached_property
    def num_classes(self) -> NDArray[np.int64]:
        """``(S,)`` classes that each source shows."""
        return np.count_nonzero(self.found, axis=1)

    def missing(self, alpha: float = 0.001, coverage: float = 0.8) -> NDArray[np.int64]:
        """Classes that are probably not labeled in a source.

        None of its images show the class though many should, most others are of
        sources that have it, and the source has other classes in common with these:
        one that has none is of other things, or holds backgrounds.

        Args:
            alpha: the maximum adjusted p-value
            coverage: the minimum :attr:`coverage`

        Returns:
            ``(G, 2)`` positions of source and class, the lowest p-value first
        """
        return self._gaps(
            (self.found == 0)
            & (self.adjusted_p_value <= alpha)
            & (self.coverage >= coverage)
            & (self.num_common > 0)[:, None]
        )

    def deficient(self, alpha: float = 0.001, ratio: float = 0.2) -> NDArray[np.int64]:
        """Classes that a source shows, but much less often than all others do.

        The weaker sign: they may be labeled in a part of the source only, or be
        rarer there.

        Args:
            alpha: the maximum adjusted p-value
            ratio: the maximum share of the expected images that are found

        Returns:
            ``(G, 2)`` positions of source and class, the lowest p-value first
        """
        return self._gaps(
            (self.found > 0)
            & (self.adjusted_p_value <= alpha)
            & (self.found <= ratio * self.expected)
        )

    def _gaps(self, of: NDArray[np.bool_]) -> NDArray[np.int64]:
        pairs = np.argwhere(of)
        return pairs[np.argsort(self.p_value[of], kind="stable")]

    def to_frame(
        self,
        classes: Sequence[str],
        alpha: float = 0.001,
        *,
        coverage: float = 0.8,
        ratio: float = 0.2,
    ) -> pd.DataFrame:
        """The missing classes as a frame, then the deficient ones.

        Args:
            classes: names of all classes
            alpha: see :meth:`missing`
            coverage: see :meth:`missing`
            ratio: see :meth:`deficient`

        Returns:
            a frame with the index ``class``, ``source`` and columns ``kind``
            (``"missing"`` or ``"deficient"``), ``images`` in the source, ``expected``
            with the class, ``found``, ``p_value`` and ``adjusted_p_value``
        """
        import pandas as pd

        missing = self.missing(alpha, coverage)
        deficient = self.deficient(alpha, ratio)
        source, category = np.concatenate([missing, deficient]).T
        index = pd.MultiIndex.from_arrays(
            [
                np.array(classes, object)[category],
                np.array(self.sources.names, object)[source],
            ],
            names=["class", "source"],
        )
        kinds = ["missing"] * len(missing) + ["deficient"] * len(deficient)
        return pd.DataFrame(
            {
                "kind": kinds,
                "images": self.images[source],
                "expected": self.expected[source, category],
                "found": self.found[source, category],
                "p_value": self.p_value[source, category],
                "adjusted_p_value": self.adjusted_p_value[source, category],
            },
            index=index,
        )
