"""What statistics take from a dataset: its images and their ground truth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.columns import SampleColumns, read_columns, require_detections
from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.fiftyone_internals import root_dataset
from fiftyone_coco_audit.masks import has_masks
from fiftyone_coco_audit.memory import garbage_collection_paused
from fiftyone_coco_audit.objects import LabeledImages, Objects
from fiftyone_coco_audit.progress import Progress
from fiftyone_coco_audit.reading import (
    class_names,
    ensure_sizes,
    parent_classes,
    read_objects,
)
from fiftyone_coco_audit.rle import mask_areas, mask_boxes
from fiftyone_coco_audit.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import fiftyone as fo


# The attribute of CVAT for the rotation of an object in degrees
_ROTATION = "rotation"


@dataclass(frozen=True, repr=False)
class LabeledSamples(ShortRepr):
    """Samples as labeled images, and the way from these back to the dataset.

    Attributes:
        images: the images, in the order of the samples
        columns: samples and labels as they were read, without the labels' values
        rows: ``(N,)`` row of each object in the columns of the labels
        label_field: the label field
        notes: sentences on how the data was understood
        crowds: the crowd regions, which are not objects
    """

    images: LabeledImages
    columns: SampleColumns
    rows: NDArray[np.int64]
    label_field: str
    notes: list[str]
    crowds: Objects

    def _about(self) -> str:
        return self.images._about()

    @property
    def left_out(self) -> list[str]:
        """A sentence on labels that are not objects: their class or box is unknown."""
        total = len(self.columns.labels[self.label_field])
        count = total - len(self.rows) - int(self.images.crowds.sum())
        if not count:
            return []
        return [
            f"{counted(count, 'label')} in {self.label_field!r} with no class or no "
            f"box {'is' if count == 1 else 'are'} ignored."
        ]

    def sample_ids(self, images: NDArray[np.int64]) -> list[str]:
        """The ids of the samples at some positions."""
        return [str(self.columns.ids[image]) for image in images.tolist()]

    def label_ids(self, objects: NDArray[np.int64]) -> list[str]:
        """The ids of the labels of some objects."""
        ids = self.columns.labels[self.label_field].ids
        found: list[str] = ids[self.rows[objects]].tolist()
        return found

    def label_column(self, values: Sequence | NDArray) -> list:
        """Spreads values of the objects over all labels of the field.

        Returns:
            a list with None for labels that are not objects, such as crowds
        """
        column = np.full(len(self.columns.labels[self.label_field]), None, dtype=object)
        column[self.rows] = values
        return column.tolist()


def make_readable(
    samples: fo.SampleCollection,
    label_field: str,
    *,
    sizes_required: bool = True,
    progress: Progress = None,
) -> None:
    """Finds out the sizes of images, which is all that reading writes to samples.

    Args:
        samples: a dataset or a view of whole images
        label_field: the field of the ground truth
        sizes_required: whether all images must have a size
        progress: whether to show a progress bar

    Raises:
        CocoAuditError: if the field holds no detections, or the size of an image
            cannot be found out
    """
    require_detections(samples, label_field)
    ensure_sizes(samples, progress, required=sizes_required)


def read_labeled_images(
    samples: fo.SampleCollection,
    label_field: str = "ground_truth",
    *,
    masks: bool = False,
    keep_masks: bool = False,
    sizes_required: bool = True,
    progress: Progress = None,
) -> LabeledSamples:
    """Reads a label field of a dataset or view for statistics.

    Args:
        samples: a dataset or a view of whole images
        label_field: the field of the ground truth
        masks: whether to read the boxes around masks too, where there are any
        keep_masks: whether to keep these masks with the objects
        sizes_required: whether all images must have a size, as all that can be read
            have
        progress: whether to show a progress bar, as everywhere in FiftyOne

    Returns:
        a :class:`LabeledSamples`

    Raises:
        CocoAuditError: if the field holds no detections, or the size of an image
            cannot be found out
    """
    make_readable(
        samples, label_field, sizes_required=sizes_required, progress=progress
    )
    masks = masks and has_masks(samples, label_field)
    attributes: dict[str, type] = {"area": float, "iscrowd": float}
    if masks:
        attributes["rle"] = str
    if _is_number(samples, f"{label_field}.detections.{_ROTATION}"):
        attributes[_ROTATION] = float
    notes: list[str] = []
    with garbage_collection_paused():
        columns = read_columns(samples, {label_field: attributes}, progress=progress)
        # Files that cannot be read may still have labels
        known = (columns.size > 0).all(axis=1, keepdims=True)
        columns = replace(columns, size=np.where(known, columns.size, 1.0))
        labels = columns.labels[label_field]
        filepaths, tags = samples.values(["filepath", "tags"])
        classes = class_names(samples, label_field, labels)
        found = read_objects(samples, label_field, columns, classes, notes, masks=masks)
    crowd = found.objects.crowd
    kept = np.flatnonzero(~crowd)
    objects = found.objects.rows(kept)
    rotation = labels.numbers.get(_ROTATION)
    bare = {label_field: labels.without_values()}
    return LabeledSamples(
        images=LabeledImages(
            size=columns.size,
            objects=objects if keep_masks else replace(objects, masks=None),
            classes=classes,
            crowds=np.bincount(found.objects.image[crowd], minlength=len(columns)),
            filepaths=filepaths,
            tags=tags,
            tight_box=_tight_boxes(objects) if masks else None,
            mask_area=_mask_areas(objects, found.boxed, kept),
            rotation=None if rotation is None else rotation[found.rows[kept]],
            whole=len(root_dataset(samples)),
            parents=parent_classes(samples),
        ),
        columns=replace(columns, labels=bare),
        rows=found.rows[kept],
        label_field=label_field,
        notes=notes,
        crowds=replace(found.objects.rows(np.flatnonzero(crowd)), masks=None),
    )


def _tight_boxes(objects: Objects) -> NDArray[np.float64]:
    box = mask_boxes(objects.encoded)
    return np.where((box[:, 2:] > 0).all(axis=1, keepdims=True), box, np.nan)


def _mask_areas(
    objects: Objects, boxed: NDArray[np.bool_] | None, kept: NDArray[np.int64]
) -> NDArray[np.float64] | None:
    if boxed is None:
        return None
    return np.where(boxed[kept], np.nan, mask_areas(objects.encoded))


def _is_number(samples: fo.SampleCollection, path: str) -> bool:
    import fiftyone as fo

    return isinstance(samples.get_field(path), (fo.FloatField, fo.IntField))
