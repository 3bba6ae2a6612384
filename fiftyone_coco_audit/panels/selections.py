"""What a mark of a plot or a finding stands for: images, or objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.views import view_of_labels

if TYPE_CHECKING:
    import fiftyone as fo

    from fiftyone_coco_audit.statistics.inputs import LabeledSamples


@dataclass(frozen=True)
class Selection:
    """Some images or objects of a set; neither if there is nothing to open.

    Args:
        images: positions of the images, for a selection of images
        objects: rows of the objects, for a selection of objects
    """

    images: NDArray[np.int64] | None = None
    objects: NDArray[np.int64] | None = None

    @classmethod
    def of_images(cls, chosen: NDArray[np.bool_]) -> Selection:
        """The images that a mask chooses."""
        return cls(images=np.flatnonzero(chosen))

    @classmethod
    def of_objects(cls, chosen: NDArray[np.bool_]) -> Selection:
        """The objects that a mask chooses."""
        return cls(objects=np.flatnonzero(chosen))

    def __len__(self) -> int:
        chosen = self.images if self.objects is None else self.objects
        return 0 if chosen is None else len(chosen)

    def __str__(self) -> str:
        """Such as ``"1 image"`` or ``"1,234 objects"``."""
        noun = "image" if self.objects is None else "object"
        return f"{len(self):,} {noun}{'' if len(self) == 1 else 's'}"

    def view(
        self, samples: fo.SampleCollection, labeled: LabeledSamples
    ) -> fo.DatasetView:
        """Opens exactly these samples or labels.

        Args:
            samples: the dataset or view that was read
            labeled: what was read

        Returns:
            a view of the samples, in their order, or of all samples that have one
            of the labels, with only these in the label field
        """
        if self.objects is None:
            assert self.images is not None
            return samples.select(labeled.sample_ids(self.images))
        return view_of_labels(
            samples, labeled.label_field, labeled.label_ids(self.objects)
        )
