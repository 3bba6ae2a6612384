"""All statistics of a set of images, computed when they are first asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from fiftyone_coco_audit.box_formats import FormatMismatch, find_format_mismatch
from fiftyone_coco_audit.display import TextSummary
from fiftyone_coco_audit.objects import LabeledImages
from fiftyone_coco_audit.statistics.anchor_fitting import Proposal, propose_anchors
from fiftyone_coco_audit.statistics.anchor_sets import AnchorSet
from fiftyone_coco_audit.statistics.anchors import AnchorMatches
from fiftyone_coco_audit.statistics.classes import ClassStatistics
from fiftyone_coco_audit.statistics.images import ImageStatistics
from fiftyone_coco_audit.statistics.network_input import InputStatistics
from fiftyone_coco_audit.statistics.resizing import ResizePolicy
from fiftyone_coco_audit.statistics.shapes import SIZE_CLASSES, ShapeStatistics
from fiftyone_coco_audit.wording import counted, counted_objects, listed, percent

#: Shares of fewer images are rough guesses
FEW_IMAGES = 50


@dataclass(frozen=True, repr=False)
class Statistics(TextSummary):
    """All statistics of a set of images, each computed when it is first asked for.

    Args:
        labeled: the images and their objects
        resize: how images are resized for the network
        anchors: the anchors of the detector
    """

    labeled: LabeledImages
    resize: ResizePolicy
    anchors: AnchorSet

    def _about(self) -> str:
        return f"{self.labeled._about()} at {self.resize}"

    @property
    def is_glimpse(self) -> bool:
        """Whether these are a few images of a larger dataset, chosen by a view.

        Which classes are rare or missing there says nothing about the dataset.
        """
        whole = self.labeled.whole
        return whole is not None and len(self.labeled) < min(FEW_IMAGES, whole)

    @cached_property
    def images(self) -> ImageStatistics:
        """Sizes and aspect ratios of the images, and what resizing does to them."""
        return ImageStatistics(self.labeled.size, self.resize)

    @cached_property
    def shapes(self) -> ShapeStatistics:
        """Sizes, shapes and places of the objects."""
        return ShapeStatistics(self.labeled)

    @cached_property
    def network_input(self) -> InputStatistics:
        """The objects as the network sees them."""
        return InputStatistics(self.labeled, self.resize)

    @cached_property
    def anchor_matches(self) -> AnchorMatches:
        """The anchors, compared with the objects."""
        return AnchorMatches(self.labeled, self.resize, self.anchors)

    @cached_property
    def anchor_proposal(self) -> Proposal:
        """Better anchors, if there are any; takes a second at most."""
        return propose_anchors(self.labeled, self.resize, self.anchors)

    @cached_property
    def misread(self) -> FormatMismatch | None:
        """The format, unit or scale of boxes, if it is not that of COCO."""
        return find_format_mismatch(self.labeled.objects.box, self.labeled.image_size)

    @cached_property
    def classes(self) -> ClassStatistics:
        """Classes, their balance, and which occur together."""
        return ClassStatistics(self.labeled)

    def sentences(self) -> list[str]:
        """The main facts: images, objects, network input, classes."""
        crowds = int(self.labeled.crowds.sum())
        if not len(self.labeled.objects):
            only = f", only {counted(crowds, 'crowd region')}" if crowds else ""
            return [self.images.kind.reason, f"There are no objects{only}."]
        numbers = counted_objects(len(self.labeled.objects), crowds)
        sizes = np.bincount(self.shapes.size_class, minlength=len(SIZE_CLASSES))
        shares = [
            f"{percent(share)} {name}"
            for share, name in zip(sizes / sizes.sum(), SIZE_CLASSES, strict=True)
        ]
        below = self.network_input.share_below((16, 32))["share"]
        median = np.median(self.network_input.input_size)
        anchors = self.anchor_matches.shares
        balance = self.classes.imbalance
        classes = counted(int(np.count_nonzero(self.classes.objects)), "class")
        balanced = f"{classes} has objects."
        if classes != "1 class" and balance.ratio == 1:
            balanced = f"{classes} have objects, the same number each."
        elif classes != "1 class":
            balanced = (
                f"{classes} have objects; the most common has {balance.ratio:,.0f} "
                "times as many as the rarest, and all together are as diverse as "
                f"{balance.effective_classes:.1f} equally common classes."
            )
        return [
            self.images.kind.reason,
            *(
                [f"There are {numbers}; all figures are about the objects."]
                if crowds
                else []
            ),
            f"Objects by COCO's size classes: {listed(shares)}.",
            f"At the network's input ({self.resize}) the median object is {median:.0f} "
            f"px across; {percent(below[16])} of the objects are under 16 px and "
            f"{percent(below[32])} under 32 px.",
            f"With the anchors of {self.anchors.name}, {percent(anchors['positive'])} "
            f"of the objects are positive, {percent(anchors['ignored'])} ignored and "
            f"{percent(anchors['unreachable'])} unreachable.",
            balanced,
        ]

    def resized(self, resize: ResizePolicy) -> Statistics:
        """The same with another policy; what does not depend on it is kept."""
        return self._keeping(
            replace(self, resize=resize), "shapes", "classes", "misread"
        )

    def anchored(self, anchors: AnchorSet) -> Statistics:
        """The same with other anchors; what does not depend on them is kept."""
        return self._keeping(
            replace(self, anchors=anchors),
            "images",
            "shapes",
            "network_input",
            "classes",
            "misread",
        )

    def _keeping(self, other: Statistics, *names: str) -> Statistics:
        for name in names:
            if name in self.__dict__:
                other.__dict__[name] = self.__dict__[name]
        return other
