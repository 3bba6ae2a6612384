"""COCO records of drawn objects: run lengths, polygons, boxes and areas."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from pycocotools import mask as mask_utils

from coco_audit_demo.scenes import Box, SceneObject

Record = dict[str, Any]

# Outlines are traced on masks blown up this much, which keeps them on the edges of
# the pixels, and thin parts from folding onto themselves
_ZOOM = 4
_TOLERANCE = 0.5


def encode(mask: np.ndarray, box: Box, height: int, width: int) -> Record:
    """Compressed run lengths of a mask that is given inside a box.

    Args:
        mask: boolean array of shape ``(box.height, box.width)``
        box: where it lies; must be inside the image
        height: rows of the image
        width: columns of the image

    Returns:
        a COCO segmentation, ``counts`` as a string
    """
    full = np.zeros((height, width), dtype=np.uint8, order="F")
    full[box.slices] = mask
    rle = mask_utils.encode(full)
    return {"size": [height, width], "counts": rle["counts"].decode("ascii")}


def annotate(
    thing: SceneObject,
    *,
    annotation_id: int,
    image_id: int,
    category_id: int,
    height: int,
    width: int,
) -> Record:
    """The healthy annotation of an object.

    Crowds are given as uncompressed run lengths, every second object as polygons
    where these can tell its shape, the rest as compressed run lengths. ``bbox`` and
    ``area`` are those of the segmentation as pycocotools decodes it.

    Args:
        thing: the object
        annotation_id: its id
        image_id: id of its image
        category_id: id of its class
        height: rows of the image
        width: columns of the image

    Returns:
        a COCO annotation
    """
    rle = encode(thing.mask, thing.box, height, width)
    segmentation: Record | list[list[float]] = rle
    if thing.place == "crowd":
        segmentation = {"size": [height, width], "counts": _run_lengths(rle)}
    elif thing.place != "clear" and annotation_id % 2 and not _has_hole(thing.mask):
        polygons = _polygons(thing.mask, thing.box)
        filled = mask_utils.merge(mask_utils.frPyObjects(polygons, height, width))
        # Where a part is thin, filling its outline may break single pixels off
        if _pieces(mask_utils.decode(filled)) == _pieces(thing.mask):
            segmentation, rle = polygons, filled
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": [int(value) for value in mask_utils.toBbox(rle)],
        "area": int(mask_utils.area(rle)),
        "iscrowd": int(thing.place == "crowd"),
        "segmentation": segmentation,
    }


def _run_lengths(rle: Record) -> list[int]:
    flat = mask_utils.decode(rle).ravel(order="F")
    edges = np.flatnonzero(np.diff(flat, prepend=0, append=2))
    return np.diff(edges, prepend=0).tolist()


def _has_hole(mask: np.ndarray) -> bool:
    background = cv2.copyMakeBorder(
        (~mask).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1
    )
    count, _ = cv2.connectedComponents(background, connectivity=4)
    return count > 2


def _pieces(mask: np.ndarray) -> int:
    count, _ = cv2.connectedComponents(mask.astype(np.uint8))
    return count - 1


def _polygons(mask: np.ndarray, box: Box) -> list[list[float]]:
    zoomed = np.kron(mask, np.ones((_ZOOM, _ZOOM), dtype=np.uint8))
    outlines, _ = cv2.findContours(
        zoomed.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    polygons = []
    for outline in outlines:
        corners = cv2.approxPolyDP(outline, _TOLERANCE * _ZOOM, True)[:, 0, :]
        points = (corners + 0.5) / _ZOOM + (box.x, box.y)
        polygons.append(points.round(2).ravel().tolist())
    return polygons
