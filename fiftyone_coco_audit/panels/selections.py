"""What a mark of a plot stands for: images, objects, predictions, or pairs of these."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Selection:
    """Some images or labels of a set; none of them if there is nothing to open.

    Args:
        images: positions of the images, for a selection of images
        objects: rows of the objects, for a selection of objects
        predictions: rows of the predictions, for a selection of predictions. Together
            with as many objects, they are pairs
    """

    images: NDArray[np.int64] | None = None
    objects: NDArray[np.int64] | None = None
    predictions: NDArray[np.int64] | None = None

    @classmethod
    def of_images(cls, chosen: NDArray[np.bool_]) -> Selection:
        """The images that a mask chooses."""
        return cls(images=np.flatnonzero(chosen))

    @classmethod
    def of_objects(cls, chosen: NDArray[np.bool_]) -> Selection:
        """The objects that a mask chooses."""
        return cls(objects=np.flatnonzero(chosen))

    @classmethod
    def of_predictions(cls, chosen: NDArray[np.bool_]) -> Selection:
        """The predictions that a mask chooses."""
        return cls(predictions=np.flatnonzero(chosen))

    def __len__(self) -> int:
        chosen = (self.predictions, self.objects, self.images)
        return next((len(rows) for rows in chosen if rows is not None), 0)
