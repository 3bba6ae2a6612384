"""The output of the user's own loader, unpacked into images and their targets.

Tensors are recognized by what they can do, so that PyTorch need not be there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from numbers import Integral
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.errors import CocoAuditError

#: The conventions that are recognized by the structure of targets
Container = Literal["torchvision", "coco", "ultralytics", "class_labels", "plain"]

_IMAGE_KEYS = ("image", "img", "pixel_values", "images")
_BOX_KEYS = ("boxes", "bboxes", "bbox")
_LABEL_KEYS = (
    "labels",
    "class_labels",
    "category_ids",
    "category_id",
    "cls",
    "classes",
)
_ID_KEYS = ("image_id", "img_id")
_CROWD_KEY = "iscrowd"
_TARGET_KEYS = ("target", "targets", "labels", "annotations")

_USED_KEYS = {*_IMAGE_KEYS, *_BOX_KEYS, *_LABEL_KEYS, *_ID_KEYS, *_TARGET_KEYS}
#: Numbers of channels, the most common first
_CHANNELS = (3, 4, 1)

#: Containers whose boxes are tensors for a model, which must have two axes
_OF_TORCH = ("torchvision", "class_labels")

_KNOWN = (
    "known are (image, {'boxes', 'labels', 'image_id'}), (image, COCO records), "
    "(image, boxes), (image, boxes, labels), a dictionary of these, lists or batches "
    "of them, and (images, rows of [index, class, cx, cy, w, h])"
)


@dataclass(frozen=True)
class LoadedSample:
    """One sample as a loader gave it.

    Attributes:
        image: ``(height, width, channels)`` or ``(height, width)``; None without one
        boxes: ``(n, 4)`` four numbers of each box, whatever they mean
        labels: ``(n,)`` integers or names; None without any
        image_id: what the loader says which image it is; None if it does not
        container: how the targets are put together
        crowd: ``(n,)`` which boxes the loader itself says are crowds; None if it does
            not
        flat: whether there are no boxes, and their array has the shape (0,)
    """

    image: NDArray[Any] | None
    boxes: NDArray[np.float64]
    labels: NDArray[Any] | None = None
    image_id: Any = None
    container: Container = "plain"
    crowd: NDArray[np.bool_] | None = None
    flat: bool = False

    def without_crowds(self) -> LoadedSample:
        """The sample without the boxes that the loader itself says are crowds."""
        if self.crowd is None or not self.crowd.any():
            return self
        kept = ~self.crowd
        labels = None if self.labels is None else self.labels[kept]
        return replace(self, boxes=self.boxes[kept], labels=labels, crowd=None)


def as_array(value: Any) -> NDArray[Any]:
    """Any array, tensor, image or list of numbers as an array.

    Args:
        value: such as a tensor of PyTorch on any device, or an image of Pillow

    Returns:
        an array, which may share its memory
    """
    if isinstance(value, (list, tuple)) and any(map(_is_array, value)):
        return np.array([as_array(one) for one in value])
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        # NumPy has no bfloat16
        if "bfloat16" in str(value.dtype):
            value = value.float()
    return np.asarray(value)


def _is_array(value: Any) -> bool:
    return hasattr(value, "__array__") or hasattr(value, "__array_interface__")


def unpack_sample(item: Any) -> LoadedSample:
    """Takes one sample of a dataset apart.

    Args:
        item: what ``dataset[i]`` returns

    Returns:
        a :class:`LoadedSample`

    Raises:
        CocoAuditError: if it is of no known kind
    """
    if isinstance(item, Mapping):
        image = _first(item, _IMAGE_KEYS)
        return _sample(image, [_target_of(item)])
    if isinstance(item, (tuple, list)) and len(item) >= 2:
        image, *targets = item
        if _is_array(image) or image is None:
            return _sample(image, targets)
    raise CocoAuditError(f"The loader yields {_describe(item)}: {_KNOWN}")


def unpack_batch(batch: Any) -> list[LoadedSample | Exception]:
    """Unpacks a batch; some samples may have an unknown form.

    Args:
        batch: what a loader yields: a batch of any known kind, or a single sample

    Returns:
        each sample, or what is wrong with it

    Raises:
        CocoAuditError: if the batch is of no known kind
    """
    found: list[LoadedSample | Exception] = []
    for unpack in _unpackers(batch):
        try:
            found.append(unpack())
        except Exception as error:
            # The user's own objects may raise any error
            found.append(error)
    return found


def number_of_samples(batch: Any) -> int:
    """How many samples a batch has, without a look at any of them.

    Raises:
        CocoAuditError: if it is of no known kind
    """
    return len(_unpackers(batch))


def _unpackers(batch: Any) -> Sequence[Callable[[], LoadedSample]]:
    """What takes each of the samples of a batch apart."""
    if isinstance(batch, Mapping):
        if "batch_idx" in batch:
            return _ultralytics_dictionary(batch)
        images = _first(batch, _IMAGE_KEYS)
        if images is None or not _are_images(images):
            return [partial(unpack_sample, batch)]
        count = len(images)
        parts = [
            {
                key: _part(value, n, count, repr(key))
                for key, value in batch.items()
                if _is_used(key, value, count)
            }
            for n in range(count)
        ]
        return [partial(unpack_sample, part) for part in parts]
    if isinstance(batch, (tuple, list)) and len(batch):
        first = batch[0]
        if _are_images(first) and len(batch) >= 2:
            return _images_and_targets(first, batch[1:])
        if _is_array(first):
            return [partial(unpack_sample, batch)]
        if _is_image_and_target(batch):
            # Such as the path of an image, which is described as a path
            return [partial(_sample, first, batch[1:])]
        return [partial(unpack_sample, item) for item in batch]
    raise CocoAuditError(f"The loader yields {_describe(batch)}: {_KNOWN}")


def _is_image_and_target(value: Sequence[Any]) -> bool:
    known = isinstance(value, tuple) and len(value) >= 2
    return known and isinstance(value[0], (str, bytes, type(None)))


def _are_images(value: Any) -> bool:
    """Whether it is several images: stacked, or in a list."""
    if isinstance(value, (tuple, list)):
        arrays = all(_is_array(one) and _ndim(one) >= 2 for one in value)
        return bool(value) and arrays and not _are_image_and_boxes(value)
    return _is_array(value) and _ndim(value) == 4


def _are_image_and_boxes(value: Sequence[Any]) -> bool:
    """Whether it is one sample, an image and rows of its boxes."""
    rows = [_ndim(one) == 2 and as_array(one).shape[1] in (4, 5) for one in value[:2]]
    return rows == [False, True]


def _ndim(value: Any) -> int:
    shape = getattr(value, "shape", None)
    return len(as_array(value).shape if shape is None else shape)


def _images_and_targets(
    images: Any, targets: Sequence[Any]
) -> Sequence[Callable[[], LoadedSample]]:
    if _is_array(targets[0]) and as_array(targets[0]).ndim == 2:
        rows = as_array(targets[0])
        if rows.shape[1] == 6 and rows.dtype.kind in "buif":
            rows = rows.astype(np.float64)
            _check_owners(rows[:, 0], len(images))
            return [
                partial(_sample, image, [rows[rows[:, 0] == n][:, 1:]], "ultralytics")
                for n, image in enumerate(images)
            ]
    count = len(images)
    parts = [
        [_part(target, n, count, "targets") for target in targets] for n in range(count)
    ]
    return [
        partial(_sample, image, part) for image, part in zip(images, parts, strict=True)
    ]


def _ultralytics_dictionary(
    batch: Mapping[str, Any],
) -> Sequence[Callable[[], LoadedSample]]:
    missing = [key for key in ("img", "bboxes", "cls") if key not in batch]
    if missing:
        raise CocoAuditError(
            f"The loader yields {_describe(batch)}, with a 'batch_idx' but no "
            f"{missing[0]!r}: batches of Ultralytics have both"
        )
    owner = as_array(batch["batch_idx"]).ravel()
    boxes = _as_boxes(batch["bboxes"])
    labels = _as_labels(batch["cls"])
    if not len(owner) == len(boxes) == len(labels):
        raise CocoAuditError(
            f"The loader yields {len(boxes)} boxes with {len(labels)} labels and "
            f"{len(owner)} numbers of images in one batch: there must be one of each "
            "for each box"
        )
    _check_owners(owner, len(batch["img"]))
    rows = np.hstack([labels[:, None], boxes]).astype(np.float64)
    return [
        partial(_sample, image, [rows[owner == n]], "ultralytics")
        for n, image in enumerate(batch["img"])
    ]


def _check_owners(owner: NDArray[Any], count: int) -> None:
    """Checks that boxes of a batch are of its images, as none must be lost unseen."""
    strange = owner[~np.isin(owner, np.arange(count))]
    if len(strange):
        raise CocoAuditError(
            f"The loader yields boxes of image {strange[0]:g} in a batch of {count} "
            f"images: they must be numbered from 0 to {count - 1}"
        )


def _part(value: Any, place: int, count: int, what: str) -> Any:
    """What belongs to one sample of a batch."""
    if isinstance(value, Mapping):
        return {
            key: _part(one, place, count, repr(key))
            for key, one in value.items()
            if _is_used(key, one, count)
        }
    if value is None:
        return None
    try:
        number = len(value)
    except TypeError:
        if count == 1:
            return value
        # One number for all of them says nothing about each
        number = 0
    if isinstance(value, (str, bytes)) or number != count:
        raise CocoAuditError(
            f"The loader yields {_describe(value)} as {what} of a batch of {count} "
            "images: there must be one for each image"
        )
    return value[place]


def _is_used(key: str, value: Any, count: int) -> bool:
    """Whether a key of a batch is looked at; crowds are, if there is one an image."""
    if key == _CROWD_KEY:
        return hasattr(value, "__len__") and len(value) == count
    return key in _USED_KEYS


def _target_of(item: Mapping[str, Any]) -> Any:
    if _first(item, _BOX_KEYS) is not None:
        return item
    for key in _TARGET_KEYS:
        target = item.get(key)
        if isinstance(target, (Mapping, list, tuple)):
            return target
    raise CocoAuditError(f"The loader yields {_describe(item)}: {_KNOWN}")


def _sample(
    image: Any, targets: Sequence[Any], container: Container = "plain"
) -> LoadedSample:
    raw, labels, image_id, container = _target(targets, container)
    boxes = _as_boxes(raw)
    if labels is not None:
        labels = _as_labels(labels)
        if len(labels) != len(boxes):
            raise CocoAuditError(
                f"The loader yields {len(boxes)} boxes with {len(labels)} labels for "
                "one image: there must be one label for each box"
            )
    return LoadedSample(
        None if image is None else _as_image(image),
        boxes,
        labels,
        image_id,
        container,
        _crowds(targets[0], len(boxes)),
        container in _OF_TORCH and _is_array(raw) and as_array(raw).shape == (0,),
    )


def _crowds(target: Any, count: int) -> NDArray[np.bool_] | None:
    """Which boxes of a target are those of crowds, where it says so."""
    if isinstance(target, Mapping):
        found = target.get(_CROWD_KEY)
        if found is None:
            return _crowds(target.get("annotations"), count)
    elif isinstance(target, (list, tuple)) and target:
        if not all(isinstance(one, Mapping) for one in target):
            return None
        found = [one.get(_CROWD_KEY) or 0 for one in target]
    else:
        return None
    try:
        crowd = as_array(found).reshape(-1).astype(bool)
    except (TypeError, ValueError):
        return None
    return crowd if len(crowd) == count else None


def _as_image(image: Any) -> NDArray[Any]:
    try:
        found = as_array(image)
    except (TypeError, ValueError):
        found = np.array(None)
    if found.dtype.kind not in "buif":
        raise CocoAuditError(
            f"The loader yields {_describe(image)} of {found.dtype} as an image: it "
            "must be an array of numbers"
            if _is_array(image)
            else f"The loader yields {_describe(image)} as an image: it must be an "
            "array of numbers"
        )
    if found.ndim not in (2, 3) or not found.size:
        raise CocoAuditError(
            f"The loader yields an image of shape {found.shape}: it must be (height, "
            "width, channels), (channels, height, width) or (height, width), none of "
            "them 0"
        )
    if found.dtype.kind == "f" and not np.isfinite(found.sum(dtype=np.float64)):
        raise CocoAuditError(
            "The loader yields an image with pixels that are not finite: look for a "
            "division by zero, or for what is NaN in the file"
        )
    return channels_last(found)


def _as_boxes(boxes: Any) -> NDArray[np.float64]:
    try:
        found = np.asarray(as_array(boxes), np.float64)
    except (TypeError, ValueError):
        found = np.array(np.nan)
    if not found.size:
        return np.zeros((0, 4))
    if found.shape == (4,):
        found = found[None]
    if found.ndim != 2 or found.shape[1] != 4:
        raise CocoAuditError(
            f"The loader yields {_describe(boxes)} as boxes, which must be four "
            f"numbers each: {_KNOWN}"
        )
    return found


def _as_labels(labels: Any) -> NDArray[Any]:
    try:
        found = as_array(labels)
    except (TypeError, ValueError):
        found = np.array(None)
    # NumPy turns numbers among strings into strings
    if found.dtype.kind in "OU" and isinstance(labels, (list, tuple)):
        found = np.empty(len(labels), object)
        found[:] = labels
    found = found.reshape(-1)
    if found.dtype.kind == "O":
        kinds = (str, Integral)
        if not any(all(isinstance(one, kind) for one in found) for kind in kinds):
            unusual = [one for one in found if not isinstance(one, kinds)] or found
            raise _bad_label(unusual[0], mixed=isinstance(unusual[0], kinds))
        found = np.array(found.tolist())
    if found.dtype.kind == "f":
        whole = np.isfinite(found) & (found == np.floor(found))
        if not whole.all():
            raise _bad_label(found[~whole][0].item())
        found = found.astype(np.int64)
    if found.dtype.kind not in "biuU":
        raise _bad_label(found[0])
    return found


def _bad_label(label: Any, mixed: bool = False) -> CocoAuditError:
    what = "names and numbers" if mixed else repr(label)
    return CocoAuditError(
        f"The loader yields {what} as labels of one image: the labels must all be "
        "whole numbers, or all names"
    )


_Target = tuple[Any, Any, Any, Container]


def _target(targets: Sequence[Any], container: Container) -> _Target:
    target = targets[0]
    if isinstance(target, Mapping):
        return _dictionary(target)
    if isinstance(target, (list, tuple)) and all(
        isinstance(one, Mapping) for one in target
    ):
        return _records(target)
    if isinstance(target, tuple) and len(target) == 2 and len(targets) == 1:
        targets, target = target, target[0]
    if len(targets) > 1 and _is_identifier(targets[-1]):
        return (*_target(targets[:-1], container)[:2], _scalar(targets[-1]), container)
    try:
        boxes = as_array(target).astype(np.float64)
    except (TypeError, ValueError):
        boxes = np.array(np.nan)
    if not boxes.size:
        return np.zeros((0, 4)), np.zeros(0, np.int64), None, container
    if boxes.ndim != 2 or boxes.shape[1] not in (4, 5):
        raise CocoAuditError(
            f"The loader yields {_describe(target)} as boxes: {_KNOWN}"
        )
    if boxes.shape[1] == 4:
        return boxes, targets[1] if len(targets) > 1 else None, None, container
    return (*_class_apart(boxes), None, container)


def _class_apart(
    rows: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Boxes and classes of rows of five: the class is first as in YOLO, or last."""
    whole = (rows == np.floor(rows)).all(axis=0)
    last = whole[4] and (not whole[0] or rows[:, 1:4].max() > 1)
    place = 4 if last else 0
    return np.delete(rows, place, axis=1), rows[:, place]


def _is_identifier(value: Any) -> bool:
    return isinstance(value, (int, str, np.integer)) or (
        _is_array(value) and as_array(value).ndim == 0
    )


def _scalar(value: Any) -> Any:
    if value is None or isinstance(value, (int, str)):
        return value
    found = as_array(value).ravel().tolist()
    return found[0] if found else None


def _dictionary(target: Mapping[str, Any]) -> _Target:
    image_id = _scalar(_first(target, _ID_KEYS))
    if "annotations" in target:
        boxes, labels, _, kind = _records(target["annotations"])
        return boxes, labels, image_id, kind
    boxes = _first(target, _BOX_KEYS)
    if boxes is None:
        raise CocoAuditError(f"The loader yields {_describe(target)}: {_KNOWN}")
    container: Container = "plain"
    if "boxes" in target:
        container = "class_labels" if "class_labels" in target else "torchvision"
    return boxes, _first(target, _LABEL_KEYS), image_id, container


def _records(records: Any) -> _Target:
    is_list = isinstance(records, (list, tuple))
    if not is_list or not all(isinstance(record, Mapping) for record in records):
        raise CocoAuditError(f"The loader yields {_describe(records)}: {_KNOWN}")
    boxes, labels = [], []
    for record in records:
        box = _first(record, _BOX_KEYS)
        if box is None:
            raise CocoAuditError(f"The loader yields {_describe(records)}: {_KNOWN}")
        found = _as_boxes(box)
        if len(found) != 1:
            raise CocoAuditError(
                f"The loader yields {_describe(box)} as the box of a record: it must "
                "be four numbers"
            )
        boxes.append(found[0])
        labels.append(_scalar(_first(record, _LABEL_KEYS)))
    image_id = _scalar(_first(records[0], _ID_KEYS)) if records else None
    known = any(key in record for record in records for key in _LABEL_KEYS)
    return boxes, labels if known or not records else None, image_id, "coco"


def _first(mapping: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((mapping[key] for key in keys if mapping.get(key) is not None), None)


def channels_last(image: NDArray[Any]) -> NDArray[Any]:
    """An image with its channels where NumPy has them.

    Args:
        image: ``(height, width, channels)``, ``(channels, height, width)`` as in
            PyTorch, or ``(height, width)``. The channels are where there are 3, else
            4, else 1; of other numbers where there are less of them

    Returns:
        ``(height, width, channels)`` or ``(height, width)``
    """
    if image.ndim != 3:
        return image
    first, last = image.shape[0], image.shape[2]
    if (_rareness(first), first) < (_rareness(last), last):
        return np.moveaxis(image, 0, 2)
    return image


def _rareness(channels: int) -> int:
    """How rare a number of channels is, so that the other axis decides."""
    return _CHANNELS.index(channels) if channels in _CHANNELS else len(_CHANNELS)


def _describe(value: Any, depth: int = 1) -> str:
    if isinstance(value, Mapping):
        if not value:
            return "an empty dictionary"
        return f"a dictionary of {', '.join(map(repr, list(value)[:6]))}"
    if isinstance(value, (list, tuple)):
        if not depth:
            return f"a {type(value).__name__}"
        if not value:
            return f"an empty {type(value).__name__}"
        parts = ", ".join(_describe(one, depth - 1) for one in value[:4])
        return f"a {type(value).__name__} of {len(value)} ({parts})"
    if _is_array(value):
        return f"an array of shape {tuple(as_array(value).shape)}"
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
