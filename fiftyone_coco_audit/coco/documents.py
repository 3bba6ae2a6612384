"""The documents that FiftyOne stores for samples and detections.

They are written as they stand in the database: making a ``fiftyone.Detection`` for
each object takes twenty times as long. A test holds them equal to those of FiftyOne's
own importer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timezone
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from fiftyone_coco_audit import rle
from fiftyone_coco_audit.coco.ids import as_stored
from fiftyone_coco_audit.coco.images import Images
from fiftyone_coco_audit.coco.objects import CocoObjects
from fiftyone_coco_audit.coco.schema import keypoints_field
from fiftyone_coco_audit.fiftyone_internals import dataset_id, random_key
from fiftyone_coco_audit.keypoints import padded_triples

if TYPE_CHECKING:
    import fiftyone as fo
    from numpy.typing import NDArray

MISSING_FILE_TAG = "missing_file"


class LabelDocuments:
    """Makes the documents of one label field, some images at a time.

    Args:
        field: the name of the field
        objects: the objects
        names: the name of each category
        sizes: ``(N, 2)`` width and height of each image in pixels
    """

    def __init__(
        self,
        field: str,
        objects: CocoObjects,
        names: list[str],
        sizes: NDArray[np.int64],
    ) -> None:
        self._field = field
        self._objects = objects
        self._names = names
        self._sizes = sizes
        self._ids = as_stored(objects.ids)
        self._offsets = np.searchsorted(objects.image, np.arange(len(sizes) + 1))

    def of_images(self, start: int, stop: int) -> Iterator[dict[str, Any]]:
        """Yields the values of the fields of each of the images.

        There is one for the detections, and one for their keypoints if any has some.
        """
        offsets = self._offsets[start : stop + 1].tolist()
        rows = slice(offsets[0], offsets[-1])
        detections = self._detections(rows)
        poses: list[Any] = []
        if self._objects.has_keypoints:
            poses = self._keypoints(rows, detections)
        for first, last in zip(offsets[:-1], offsets[1:], strict=True):
            here = slice(first - offsets[0], last - offsets[0])
            values = {
                self._field: {"_cls": "Detections", "detections": detections[here]}
            }
            if poses:
                shown = [pose for pose in poses[here] if pose is not None]
                values[keypoints_field(self._field)] = {
                    "_cls": "Keypoints",
                    "keypoints": shown,
                }
            yield values

    def _detections(self, rows: slice) -> list[dict[str, Any]]:
        from bson import ObjectId

        objects = self._objects
        image = objects.image[rows]
        size = self._sizes[image]
        relative = objects.box[rows] / np.concatenate([size, size], axis=1)
        always: dict[str, Iterable[Any]] = {
            "_id": (ObjectId() for _ in image),
            "_cls": repeat("Detection"),
            "attributes": repeat({}),
            "tags": repeat([]),
            "label": [self._names[c] for c in objects.category[rows].tolist()],
            "bounding_box": relative.tolist(),
        }
        for name, column in (
            ("area", objects.area),
            ("iscrowd", objects.iscrowd),
            ("confidence", objects.score),
        ):
            if column is not None:
                always[name] = column[rows].tolist()
        keys = tuple(always)
        documents = [
            dict(zip(keys, values, strict=True))
            for values in zip(*always.values(), strict=False)
        ]

        sometimes = {name: column[rows] for name, column in objects.attributes.items()}
        if objects.has_ids:
            sometimes["coco_id"] = self._ids[rows]
        if objects.has_masks:
            sometimes["rle"] = objects.rle[rows]
            sometimes["mask"] = self._masks(rows)
        if objects.has_keypoints:
            sometimes["keypoints"] = objects.keypoints[rows]
        for name, values in sometimes.items():
            for document, value in zip(documents, values, strict=True):
                if value is not None:
                    document[name] = value
        return documents

    def _keypoints(
        self, rows: slice, detections: list[dict[str, Any]]
    ) -> list[dict[str, Any] | None]:
        """A ``Keypoint`` for each detection, None where it has nothing to show.

        It has the id of the detection, so a selection by ids has both.
        """
        objects = self._objects
        lists = [of or [] for of in objects.keypoints[rows]]
        number = np.array([len(of) // 3 for of in lists], np.int64)
        triples = padded_triples(np.array(list(chain.from_iterable(lists))), number)
        points = triples[..., :2] / self._sizes[objects.image[rows]][:, None]
        annotated = objects.score is None
        if annotated:
            points[triples[..., 2] == 0] = np.nan
        documents: list[dict[str, Any] | None] = []
        for detection, of, shown, v in zip(
            detections, number.tolist(), points, triples[..., 2], strict=True
        ):
            if np.isnan(shown).all():
                documents.append(None)
                continue
            pose = {
                **{key: detection[key] for key in ("_id", "label")},
                "_cls": "Keypoint",
                "attributes": {},
                "tags": [],
                "points": shown[:of].tolist(),
            }
            if annotated:
                pose["visible"] = v[:of].astype(int).tolist()
            else:
                pose |= {
                    "confidence": v[:of].tolist(),
                    "score": detection["confidence"],
                }
            if "coco_id" in detection:
                pose["coco_id"] = detection["coco_id"]
            documents.append(pose)
        return documents

    def _masks(self, rows: slice) -> list[bytes | None]:
        texts = self._objects.rle[rows]
        boxes = self._objects.box[rows]
        drawable = rle.drawable(boxes)
        masked = [i for i, text in enumerate(texts) if text is not None and drawable[i]]
        crops = rle.crops(
            [texts[i] for i in masked],  # type: ignore[misc]
            self._sizes[self._objects.image[rows][masked]],
            boxes[masked],
        )
        masks: list[bytes | None] = [None] * len(texts)
        for i, crop in zip(masked, crops, strict=True):
            masks[i] = rle.pack(crop)
        return masks


def sample_documents(
    dataset: fo.Dataset,
    images: Images,
    labels: Sequence[LabelDocuments],
    start: int,
    stop: int,
) -> list[dict[str, Any]]:
    """Makes the documents of some samples.

    Args:
        dataset: the dataset that the samples are for
        images: the images
        labels: the labels of each field
        start: the first image
        stop: the one after the last image

    Returns:
        a list of documents
    """
    now = datetime.now(timezone.utc)
    coco_ids = as_stored(images.ids)
    columns = [of.of_images(start, stop) for of in labels]
    documents = []
    for row in range(start, stop):
        width, height = images.sizes[row].tolist()
        documents.append(
            {
                "filepath": images.filepaths[row],
                "tags": [MISSING_FILE_TAG] if images.missing[row] else [],
                "metadata": {
                    "_cls": "ImageMetadata",
                    "width": width,
                    "height": height,
                },
                "coco_id": coco_ids[row],
                **{k: v for column in columns for k, v in next(column).items()},
                "_media_type": "image",
                "_rand": random_key(),
                "_dataset_id": dataset_id(dataset),
                "created_at": now,
                "last_modified_at": now,
            }
        )
    return documents
