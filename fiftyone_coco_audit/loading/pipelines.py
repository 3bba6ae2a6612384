"""An Albumentations pipeline as the dry run calls it."""

from __future__ import annotations

import copy
import random
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.augmentation.catalog import compose
from fiftyone_coco_audit.augmentation.targets import pixels_of

if TYPE_CHECKING:
    from fiftyone_coco_audit.augmentation.pipelines import Pipeline

_IDS = "label_ids"
# Transforms that fail without a mask, even if it is not that of the objects
_LOOK_AT_MASKS = {"CropNonEmptyMaskIfExists", "MaskDropout"}


class AlbumentationsPipeline:
    """A pipeline with all of its transforms, those too that only make numbers.

    Unlike where pipelines are looked at, nothing is left out, as ``Normalize`` and
    ``ToTensorV2`` take their time as well. What is drawn depends on the seed and the
    image, so that what fails fails again. Masks do not go along; transforms that look
    for one are given the boxes, filled.

    Args:
        pipeline: the pipeline
        seed: the seed of the whole run
    """

    def __init__(self, pipeline: Pipeline, seed: int = 51) -> None:
        self.seed = seed
        self.lacks_box_params = pipeline.lacks_box_params
        box_params = {**pipeline.box_params, "format": "coco", "label_fields": [_IDS]}
        self.compose = compose(
            [copy.deepcopy(step.transform) for step in pipeline.steps],
            box_params=box_params,
            p=pipeline.p,
        )
        self.with_mask = _looks_at_masks(self.compose)

    def __call__(
        self, image: NDArray[Any], boxes: NDArray[np.float64], ids: NDArray[np.int64]
    ) -> tuple[Any, Any, Any]:
        """Transforms an image and its boxes; see :class:`.stages.Pipeline`."""
        seed_by_image(self.compose, self.seed, image)
        data: dict[str, Any] = {"image": image, "bboxes": boxes, _IDS: ids}
        if self.with_mask:
            data["mask"] = np.zeros(image.shape[:2], np.uint8)
            for box in boxes:
                data["mask"][pixels_of(box, image.shape)] = 1
        result = self.compose(**data)
        return result["image"], result["bboxes"], np.asarray(result[_IDS], np.int64)


def seed_by_image(composed: Any, seed: int, image: NDArray[Any]) -> None:
    """Has a composition draw next what depends on a seed and an image alone.

    Versions that draw from sources that all Python shares are left alone.
    """
    if hasattr(composed, "set_random_state"):
        pixels = zlib.crc32(image[::32, ::32].tobytes())
        number = zlib.crc32(f"{seed}/{image.shape}/{pixels}".encode())
        composed.set_random_state(
            np.random.Generator(np.random.Philox(key=number)), random.Random(number)
        )


def _looks_at_masks(transform: Any) -> bool:
    return type(transform).__name__ in _LOOK_AT_MASKS or any(
        map(_looks_at_masks, getattr(transform, "transforms", None) or ())
    )
