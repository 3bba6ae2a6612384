"""Labeled objects of a set of images as columns: the input of pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.wording import counted, counted_objects

#: A COCO run-length encoding, ``{"size": [height, width], "counts": ...}``
RLE = dict[str, object]


@dataclass(frozen=True, repr=False)
class Keypoints(ShortRepr):
    """The keypoints of ``N`` objects, in as many places as one has at most, ``J``.

    Attributes:
        points: ``(N, J, 2)`` x and y in pixels; NaN where an object has fewer
        visible: ``(N, J)`` whether each is visible, COCO's ``v > 0``
        sigmas: ``(N, J)`` how far each may be off, as COCO defines it; NaN where an
            object has fewer
        number: ``(N,)`` COCO's ``num_keypoints``: objects with 0 are ignored
    """

    points: NDArray[np.float64]
    visible: NDArray[np.bool_]
    sigmas: NDArray[np.float64]
    number: NDArray[np.int64]

    def _about(self) -> str:
        return f"of {counted(len(self.points), 'object')}"

    def rows(self, rows: slice | NDArray[np.int64]) -> Keypoints:
        """Some of them, by slice or by ``(R,)`` rows."""
        return Keypoints(
            self.points[rows], self.visible[rows], self.sigmas[rows], self.number[rows]
        )


@dataclass(frozen=True, repr=False)
class Objects(ShortRepr):
    """Ground-truth or predicted objects, one row each, grouped by image.

    Attributes:
        image: ``(N,)`` position of each object's image, non-decreasing; within
            an image the rows keep the order of the labels
        category: ``(N,)`` position of each object's class
        box: ``(N, 4)`` boxes in pixels, ``[x, y, width, height]``
        area: ``(N,)`` areas in square pixels, as COCO's size classes use them
        crowd: ``(N,)`` whether the object is a crowd region
        score: ``(N,)`` confidences of predictions, ``None`` for ground truth
        masks: one run-length encoding an object, ``None`` where only boxes
            are known
        keypoints: their keypoints, ``None`` where these are not known
    """

    image: NDArray[np.int64]
    category: NDArray[np.int64]
    box: NDArray[np.float64]
    area: NDArray[np.float64]
    crowd: NDArray[np.bool_]
    score: NDArray[np.float64] | None = None
    masks: Sequence[RLE] | None = None
    keypoints: Keypoints | None = None

    def __len__(self) -> int:
        return len(self.image)

    @property
    def scores(self) -> NDArray[np.float64]:
        """The confidences of predictions.

        Raises:
            ValueError: if these are not predictions
        """
        if self.score is None:
            raise ValueError("ground truth has no scores")
        return self.score

    @property
    def encoded(self) -> Sequence[RLE]:
        """The masks.

        Raises:
            ValueError: if only boxes are known
        """
        if self.masks is None:
            raise ValueError("objects without masks")
        return self.masks

    @property
    def poses(self) -> Keypoints:
        """The keypoints.

        Raises:
            ValueError: if they are not known
        """
        if self.keypoints is None:
            raise ValueError("objects without keypoints")
        return self.keypoints

    def of_images(self, start: int, stop: int) -> tuple[slice, Objects]:
        """The rows of the images ``start <= image < stop``.

        Returns:
            a tuple of the slice of rows and the objects of these rows
        """
        first, last = np.searchsorted(self.image, [start, stop])
        rows = slice(int(first), int(last))
        return rows, self.rows(rows)

    def rows(self, rows: slice | NDArray[np.int64]) -> Objects:
        """Some of the objects, by slice or by ``(R,)`` rows."""
        masks = self.masks
        if masks is not None:
            masks = (
                masks[rows] if isinstance(rows, slice) else [masks[row] for row in rows]
            )
        return Objects(
            image=self.image[rows],
            category=self.category[rows],
            box=self.box[rows],
            area=self.area[rows],
            crowd=self.crowd[rows],
            score=None if self.score is None else self.score[rows],
            masks=masks,
            keypoints=None if self.keypoints is None else self.keypoints.rows(rows),
        )


@dataclass(frozen=True, repr=False)
class LabeledImages(ShortRepr):
    """A set of images with their ground-truth objects: what statistics are about.

    Crowd regions are not single objects and are not included, because detectors are not
    trained on them either; they are only counted.

    Attributes:
        size: ``(M, 2)`` width and height of each image in pixels
        objects: ``N`` objects, none of them a crowd region
        classes: ``K`` names of classes, in the dataset's order; also those without
            objects
        crowds: ``(M,)`` number of crowd regions in each image
        filepaths: ``M`` paths of the images
        tags: ``M`` lists of the images' tags
        tight_box: ``(N, 4)`` boxes ``[x, y, width, height]`` around the masks, in
            pixels; NaN where an object has no mask; None where masks were not read
        mask_area: ``(N,)`` pixels of the masks inside the images; NaN where an object
            has no mask; None where masks were not read
        rotation: ``(N,)`` degrees by which the objects are turned; NaN where the file
            does not say; None if it never does
        whole: images of the whole dataset, if these are only a part of it
        parents: names of classes that only group others
    """

    size: NDArray[np.float64]
    objects: Objects
    classes: Sequence[str]
    crowds: NDArray[np.int64]
    filepaths: Sequence[str]
    tags: Sequence[Sequence[str]]
    tight_box: NDArray[np.float64] | None = None
    mask_area: NDArray[np.float64] | None = None
    rotation: NDArray[np.float64] | None = None
    whole: int | None = None
    parents: Sequence[str] = ()

    def _about(self) -> str:
        objects = counted_objects(len(self.objects), int(self.crowds.sum()))
        return f"of {counted(len(self), 'image')}, {objects}"

    def __len__(self) -> int:
        return len(self.size)

    @property
    def image_size(self) -> NDArray[np.float64]:
        """``(N, 2)`` width and height of each object's image in pixels."""
        return self.size[self.objects.image]

    def part(self, images: NDArray[np.int64]) -> LabeledImages:
        """Some of the images, with their objects.

        Args:
            images: positions of images, increasing
        """
        rows = np.flatnonzero(np.isin(self.objects.image, images))
        objects = self.objects.rows(rows)
        tight = self.tight_box
        return replace(
            self,
            size=self.size[images],
            objects=replace(objects, image=np.searchsorted(images, objects.image)),
            crowds=self.crowds[images],
            filepaths=[self.filepaths[image] for image in images.tolist()],
            tags=[self.tags[image] for image in images.tolist()],
            tight_box=None if tight is None else tight[rows],
            mask_area=None if self.mask_area is None else self.mask_area[rows],
            rotation=None if self.rotation is None else self.rotation[rows],
        )
