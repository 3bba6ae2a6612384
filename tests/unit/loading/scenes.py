"""Small sets of images in a folder, and loaders that read them well or badly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from fiftyone_coco_audit.objects import LabeledImages
from tests.labeled import labeled

CLASSES = ("zebra", "ant", "mole", "cat", "bee")
SIZES = ((160, 120), (120, 160), (200, 100), (128, 128), (90, 150))
#: Ids of images and classes that are no positions, as those of COCO
CATEGORY_IDS = (2, 5, 7, 11, 13)
TURNED = 6


def image_id(position: int) -> int:
    return 1000 + 7 * position


#: How images may be resized, and whether some are flipped: each at least once
WAYS = [(None, False), ("stretch", True), ("letterbox", True)]


def make_set(folder: Path, count: int = 20, seed: int = 3, turned: int = 0):
    """Images of noise, color and rectangles, the last ones turned by EXIF."""
    random = np.random.default_rng(seed)
    sizes, rows, paths = [], [], []
    for position in range(count):
        width, height = SIZES[position % len(SIZES)]
        noise = random.uniform(0, 255, (5, 6, 3)).astype(np.float32)
        pixels = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
        pixels[..., 0] += np.linspace(0, 80, width)
        for _ in range(random.integers(3, 7)):
            w, h = random.integers(14, 50, 2).tolist()
            x = int(random.integers(0, width - w))
            y = int(random.integers(0, height - h))
            name = CLASSES[random.integers(len(CLASSES))]
            pixels[y : y + h, x : x + w] = random.uniform(0, 255, 3)
            rows.append((position, name, (x, y, w, h)))
        image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
        path = folder / f"{position:03}.png"
        exif = Image.Exif()
        if position >= count - turned:
            # What is shown is the image turned by a quarter to the right
            image = image.transpose(Image.Transpose.ROTATE_90)
            exif[274] = TURNED
        image.save(path, exif=exif)
        sizes.append((width, height))
        paths.append(str(path))
    return labeled(sizes, rows, CLASSES, filepaths=paths)


@dataclass(frozen=True)
class Scene:
    """What a loader has read of one image: the array, corners and positions."""

    image: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray
    position: int


@dataclass(frozen=True)
class Reader:
    """A dataset that is sound, unless a mistake is planted.

    Args:
        labels: the images and their labels
        resize: None, ``"stretch"`` or ``"letterbox"``, to 96 x 128
        flip: whether every second image is mirrored with its boxes
        mistake: a function of what was read, after resizing and flipping
        read: a function that reads an image instead of a sound one
        pack: a function that makes of it what the dataset returns
    """

    labels: LabeledImages
    resize: str | None = None
    flip: bool = False
    mistake: Callable[[Scene, LabeledImages], Scene] = lambda scene, labels: scene
    read: Callable[[str], np.ndarray] | None = None
    pack: Callable[[Scene], Any] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, position: int) -> Any:
        if not 0 <= position < len(self):
            raise IndexError(position)
        objects = self.labels.objects
        mine = objects.image == position
        boxes = objects.box[mine].copy()
        boxes[:, 2:] += boxes[:, :2]
        path = self.labels.filepaths[position]
        image = (self.read or read_upright)(path)
        size = tuple(int(v) for v in self.labels.size[position])
        image, boxes = resized(image, boxes, size, self.resize)
        if self.flip and position % 2:
            width = image.shape[1]
            image = np.ascontiguousarray(image[:, ::-1])
            boxes[:, [0, 2]] = width - boxes[:, [2, 0]]
        scene = Scene(image, boxes, objects.category[mine].copy(), position)
        return (self.pack or torchvision)(self.mistake(scene, self.labels))

    def with_mistake(self, mistake) -> Reader:
        return replace(self, mistake=mistake)


def read_upright(path: str) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)


def resized(image, boxes, size, how):
    """The boxes are scaled by the size that the labels are for, as loaders do."""
    height, width = image.shape[:2]
    if how is None:
        return image, boxes
    if how == "stretch":
        scale = np.array([96 / size[0], 128 / size[1]])
        return cv2.resize(image, (96, 128)), boxes * np.tile(scale, 2)
    factor = min(96 / width, 128 / height)
    small = cv2.resize(image, (round(width * factor), round(height * factor)))
    left, top = (96 - small.shape[1]) // 2, (128 - small.shape[0]) // 2
    canvas = np.full((128, 96, 3), 114, np.uint8)
    canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
    return canvas, boxes * factor + [left, top, left, top]


def xywh(boxes):
    return np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])


def cxcywh(boxes):
    return np.hstack([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]])


def unit(scene):
    height, width = scene.image.shape[:2]
    return scene.boxes / [width, height, width, height]


def normalized(image):
    """As PyTorch has it: channels first, by ImageNet's mean and deviation."""
    scaled = (image / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    return np.moveaxis(scaled.astype(np.float32), 2, 0)


def torchvision(scene):
    return normalized(scene.image), {
        "boxes": scene.boxes.astype(np.float32),
        "labels": scene.classes + 1,
        "image_id": np.array([image_id(scene.position)]),
    }


def detr(scene):
    return normalized(scene.image), {
        "boxes": cxcywh(unit(scene)),
        "class_labels": scene.classes,
        "image_id": image_id(scene.position),
    }


def coco(scene):
    return scene.image, [
        {
            "bbox": box.tolist(),
            "category_id": CATEGORY_IDS[row],
            "image_id": image_id(scene.position),
        }
        for box, row in zip(xywh(scene.boxes), scene.classes, strict=True)
    ]


def yolo(scene):
    return scene.image, np.hstack([scene.classes[:, None], cxcywh(unit(scene))])


def pair(scene):
    return scene.image, xywh(scene.boxes), [CLASSES[row] for row in scene.classes]


def dictionary(scene):
    return {
        "image": scene.image,
        "bboxes": scene.boxes,
        "labels": scene.classes,
        "image_id": image_id(scene.position),
    }


def changed(**fields):
    """A mistake that replaces fields, by functions of the scene and the labels."""

    def plant(scene, labels):
        made = {name: make(scene, labels) for name, make in fields.items()}
        return replace(scene, **made)

    return plant


def kept(rows):
    """A mistake that keeps only some of the objects."""

    def plant(scene, labels):
        keep = rows(scene)
        return replace(scene, boxes=scene.boxes[keep], classes=scene.classes[keep])

    return plant


def original_boxes(scene, labels):
    mine = labels.objects.image == scene.position
    found = labels.objects.box[mine].copy()
    found[:, 2:] += found[:, :2]
    return found


def without_padding(scene, labels):
    height, width = scene.image.shape[:2]
    size = labels.size[scene.position]
    return original_boxes(scene, labels) * min(width / size[0], height / size[1])


def scaled_twice(scene, labels):
    height, width = scene.image.shape[:2]
    return scene.boxes * np.tile([width, height] / labels.size[scene.position], 2)


def neighbor(scene, labels):
    other = (scene.position + 1) % len(labels)
    return original_boxes(replace(scene, position=other), labels)


def neighbors_classes(scene, labels):
    other = (scene.position + 1) % len(labels)
    return labels.objects.category[labels.objects.image == other]


def neighbors_image(scene, labels):
    path = labels.filepaths[(scene.position + 1) % len(labels)]
    height, width = scene.image.shape[:2]
    return cv2.resize(read_upright(path), (width, height))


PERMUTATION = np.array([0, 3, 2, 1, 4])
ALPHABETICAL = np.array([sorted(CLASSES).index(name) for name in CLASSES])

#: Mistakes that any resizing may go with: what to plant, and how it must be named
MISTAKES = {
    "no mistake": (changed(), None),
    "every third label is lost": (
        kept(lambda s: np.arange(len(s.boxes)) % 3 > 0),
        "lost-labels",
    ),
    "a class is lost": (kept(lambda s: s.classes != 2), "lost-labels"),
    "all labels of some images are lost": (
        kept(lambda s: np.full(len(s.boxes), s.position % 5 > 0)),
        "lost-labels",
    ),
    "two classes are swapped": (
        changed(classes=lambda s, _: PERMUTATION[s.classes]),
        "permuted-classes",
    ),
    "classes are sorted by name": (
        changed(classes=lambda s, _: ALPHABETICAL[s.classes]),
        "permuted-classes",
    ),
    "classes are mixed": (
        changed(classes=lambda s, _: np.roll(s.classes, 1)),
        "mixed-classes",
    ),
    "x and y are swapped": (
        changed(boxes=lambda s, _: s.boxes[:, [1, 0, 3, 2]]),
        "swapped-x-y",
    ),
    "xywh is taken for xyxy": (
        changed(boxes=lambda s, _: xywh(s.boxes)),
        "box-format-mismatch",
    ),
    "cxcywh is taken for xyxy": (
        changed(boxes=lambda s, _: cxcywh(s.boxes)),
        "box-format-mismatch",
    ),
    "normalized is taken for pixels": (
        changed(boxes=lambda s, _: unit(s)),
        "wrong-box-unit",
    ),
    "boxes are three times too large": (
        changed(boxes=lambda s, _: 3 * s.boxes),
        "wrong-box-scale",
    ),
    "labels of the next image": (
        changed(boxes=neighbor, classes=neighbors_classes),
        "shuffled-labels",
    ),
    "the next image": (changed(image=neighbors_image), "shuffled-images"),
    "only the image is flipped": (
        changed(image=lambda s, _: np.ascontiguousarray(s.image[:, ::-1])),
        "image-turned-alone",
    ),
    "BGR for RGB": (
        changed(image=lambda s, _: np.ascontiguousarray(s.image[..., ::-1])),
        "swapped-channels",
    ),
}
#: Mistakes of resizing itself
RESIZING_MISTAKES = {
    ("stretch", "boxes are not resized"): (
        changed(boxes=original_boxes),
        "wrong-box-scale",
    ),
    ("letterbox", "boxes are not resized"): (
        changed(boxes=original_boxes),
        "wrong-box-scale",
    ),
    ("stretch", "boxes are resized twice"): (
        changed(boxes=scaled_twice),
        "wrong-box-scale",
    ),
    ("letterbox", "boxes are not moved by padding"): (
        changed(boxes=without_padding),
        "padding-forgotten",
    ),
}
