"""Instance masks of labels as exact run-length encodings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.columns import SampleColumns
from fiftyone_coco_audit.objects import RLE

if TYPE_CHECKING:
    import fiftyone as fo


def has_masks(samples: fo.SampleCollection, field: str) -> bool:
    """Whether any label of a field has a mask."""
    from fiftyone import ViewField as F

    mask = F("mask").exists() | F("mask_path").exists() | F("rle").exists()
    labels = F(f"{field}.detections").filter(mask)
    return len(samples.match(labels.length() > 0).limit(1)) > 0


def read_label_masks(
    samples: fo.SampleCollection,
    field: str,
    columns: SampleColumns,
    rows: NDArray[np.int64],
    box: NDArray[np.float64],
) -> tuple[list[RLE], NDArray[np.bool_]]:
    """The masks of labels, over their whole images.

    Labels of an import have the run lengths of their file in ``rle``. For all
    others, ``mask`` or ``mask_path`` is laid into the image where FiftyOne shows
    it, and a label without either is taken for its box.

    Args:
        samples: the samples that the columns were read from
        field: the label field
        columns: the columns, with the attribute ``rle`` of the field
        rows: ``(N,)`` rows of the labels
        box: ``(N, 4)`` their boxes in pixels

    Returns:
        a tuple of ``N`` run-length encodings, and ``(N,)`` whether each is the box
        for want of a mask
    """
    labels = columns.labels[field]
    counts = labels.texts["rle"]
    sizes = [
        [int(height), int(width)]
        for width, height in columns.size[labels.sample[rows]].tolist()
    ]
    masks: list[RLE | None] = [
        None if counts[row] is None else {"size": size, "counts": counts[row]}
        for row, size in zip(rows.tolist(), sizes, strict=True)
    ]
    unknown = [position for position, mask in enumerate(masks) if mask is None]
    boxed = np.zeros(len(masks), bool)
    if not unknown:
        return masks, boxed  # type: ignore[return-value]

    shown = _shown_masks(
        samples, field, sorted({columns.ids[labels.sample[rows[n]]] for n in unknown})
    )
    for position in unknown:
        mask = shown.get(labels.ids[rows[position]])
        boxed[position] = mask is None
        masks[position] = _encode(mask, box[position], sizes[position])
    return masks, boxed  # type: ignore[return-value]


def _shown_masks(
    samples: fo.SampleCollection, field: str, sample_ids: list
) -> dict[str, NDArray[np.bool_]]:
    """The masks that FiftyOne shows, by label id.

    Its importer makes masks without pixels of objects that are thinner than a pixel:
    these say nothing, and their boxes are taken.
    """
    view = samples.select([str(sample_id) for sample_id in sample_ids])
    return {
        detection.id: mask
        for sample in view.select_fields(field)
        if sample[field] is not None
        for detection in sample[field].detections
        if (mask := detection.get_mask()) is not None and mask.size
    }


def _encode(
    mask: NDArray[np.bool_] | None, box: NDArray[np.float64], size: list[int]
) -> RLE:
    """Lays a mask, or the box where there is none, into an image of a size.

    Only what lies in the image is ever made: a box may be as large as it likes.
    """
    from pycocotools import mask as mask_utils

    # The pixels of a box as in FiftyOne's importer, which made the crop
    left, top = np.rint(box[:2])
    right, bottom = np.rint(box[:2] + box[2:])
    height, width = size
    rows, in_crop_rows = _span(top, bottom, height)
    columns, in_crop_columns = _span(left, right, width)

    canvas = np.zeros(size, np.uint8, order="F")
    if mask is None:
        canvas[rows, columns] = 1
    else:
        crop = np.asarray(mask) > 0
        from_rows = _nearest(in_crop_rows, bottom - top, crop.shape[0])
        from_columns = _nearest(in_crop_columns, right - left, crop.shape[1])
        canvas[rows, columns] = crop[np.ix_(from_rows, from_columns)]
    return mask_utils.encode(canvas)


def _span(
    low: np.float64, high: np.float64, size: int
) -> tuple[slice, NDArray[np.float64]]:
    """The pixels of an image that a side of a box covers, and their places on it."""
    high = max(high, low + 1)
    first, last = int(np.clip(low, 0, size)), int(np.clip(high, 0, size))
    return slice(first, last), np.arange(first, last, dtype=np.float64) - low


def _nearest(
    places: NDArray[np.float64], length: np.float64, size: int
) -> NDArray[np.int64]:
    """The pixels of a mask that is stretched over a length, as OpenCV chooses them."""
    scale = 1 / (max(length, 1) / size)
    return np.minimum(np.floor(places * scale).astype(np.int64), size - 1)
