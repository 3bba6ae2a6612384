"""The faults planted in the demo, one function each.

A plant spoils the draft or, where the fault was drawn, only points at it. Everything
that no plant names is healthy, so checks can be tested for what they find and for
what they leave alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from coco_audit_demo import composition
from coco_audit_demo.composition import ImageSpec
from coco_audit_demo.detector import Detection
from coco_audit_demo.records import Record
from coco_audit_demo.scenes import SceneObject

_ROTATE_TO_SHOW = 6  # EXIF: turn the stored picture a quarter clockwise
_ORIENTATION_TAG = 0x0112


@dataclass
class SceneDraft:
    """The demo before it is written, image files excepted.

    Args:
        images_dir: folder of the image files
        specs: the images
        annotations: COCO annotations by id, with the objects they describe
        detections: the predictions in the order of the file
        rng: the source of randomness
    """

    images_dir: Path
    specs: list[ImageSpec]
    annotations: dict[int, tuple[Record, SceneObject]]
    detections: list[Detection]
    rng: np.random.Generator

    def of_kind(self, *kinds: str) -> list[ImageSpec]:
        """The images of some kinds."""
        return [spec for spec in self.specs if spec.kind in kinds]

    def of_class(self, name: str) -> list[tuple[Record, SceneObject]]:
        """The annotations of a class, crowds excepted."""
        return [
            (record, thing)
            for record, thing in self.annotations.values()
            if thing.category == name and not record["iscrowd"]
        ]

    def of_place(self, place: str) -> list[tuple[Record, SceneObject]]:
        """The annotations of the objects in some place."""
        return [pair for pair in self.annotations.values() if pair[1].place == place]


@dataclass
class PlantedFault:
    """An entry of the manifest.

    Args:
        key: stable name of the fault
        sentence: what is wrong
        severity: ``"error"``, ``"warning"`` or ``"note"``: what a check should say
        image_ids: COCO ids of the images concerned
        annotation_ids: COCO ids of the annotations concerned
        prediction_indices: positions in the file of predictions
        categories: names of the classes concerned
        file_names: of the images concerned, as in the COCO file
        boxes: objects that have no annotation: ``image_id``, ``category``, ``bbox``
    """

    key: str
    sentence: str
    severity: str
    image_ids: list[int] = field(default_factory=list)
    annotation_ids: list[int] = field(default_factory=list)
    prediction_indices: list[int] = field(default_factory=list)
    categories: list[str] = field(default_factory=list)
    file_names: list[str] = field(default_factory=list)
    boxes: list[Record] = field(default_factory=list)


def _on_images(
    key: str, sentence: str, severity: str, specs: Iterable[ImageSpec]
) -> PlantedFault:
    specs = list(specs)
    return PlantedFault(
        key,
        sentence,
        severity,
        image_ids=[spec.id for spec in specs],
        file_names=[spec.file_name for spec in specs],
    )


def _on_labels(
    key: str,
    sentence: str,
    severity: str,
    draft: SceneDraft,
    records: Iterable[Record],
    categories: Iterable[str] = (),
) -> PlantedFault:
    records = list(records)
    concerned = {record["image_id"] for record in records}
    plant = _on_images(
        key, sentence, severity, (spec for spec in draft.specs if spec.id in concerned)
    )
    plant.annotation_ids = [record["id"] for record in records]
    plant.categories = list(categories)
    return plant


def extreme_aspect_ratios(draft: SceneDraft) -> PlantedFault:
    """Panoramas and their upright counterparts, drawn as such."""
    return _on_images(
        "extreme_aspect_ratio",
        "Images of 5:1 and 1:4 among images of about 4:3 become slivers when they are "
        "resized to a square input.",
        "warning",
        draft.of_kind("panorama", "tall"),
    )


def huge_image(draft: SceneDraft) -> PlantedFault:
    """A 4K image, drawn as such."""
    return _on_images(
        "huge_image",
        "One image has 27 times the pixels of the others and costs memory and time to "
        "decode.",
        "note",
        draft.of_kind("huge"),
    )


def tiny_objects(draft: SceneDraft) -> PlantedFault:
    """Objects of a few pixels, drawn as such."""
    return _on_labels(
        "tiny_object",
        "Objects of less than 8 pixels across are smaller than a stride of the "
        "network.",
        "warning",
        draft,
        (record for record, _ in draft.of_place("clear")),
    )


def rare_with_commonest(draft: SceneDraft) -> PlantedFault:
    """A class that never appears alone, drawn as such."""
    return _on_labels(
        "rare_class_with_commonest",
        f"Every image with a {composition.RARE}, the rarest class, also shows a "
        f"{composition.COMMONEST}, the most common, so oversampling one inflates the "
        "other.",
        "warning",
        draft,
        (record for record, _ in draft.of_class(composition.RARE)),
        [composition.RARE, composition.COMMONEST],
    )


def long_tail(draft: SceneDraft) -> PlantedFault:
    """Classes with less than one label in twenty, drawn as such."""
    counts = Counter(thing.category for _, thing in draft.annotations.values())
    tail = [
        cls.name
        for cls in composition.CLASSES
        if counts[cls.name] < 0.05 * sum(counts.values())
    ]
    return PlantedFault(
        "long_tail",
        "A few classes hold most of the labels; those named here have less than 5% "
        "each.",
        "note",
        categories=tail,
    )


def unlabeled_class(draft: SceneDraft) -> PlantedFault:
    """Takes the labels of one class out of the images of one site."""
    name = composition.UNLABELED
    site_b = {spec.id for spec in draft.specs if spec.file_name.startswith("site_b/")}
    dropped = [
        (record, thing)
        for record, thing in draft.of_class(name)
        if record["image_id"] in site_b
    ]
    plant = _on_labels(
        "unlabeled_class",
        f"No {name} is labeled in the images of site_b, a third of all, though they "
        "show some; the boxes listed here are missing.",
        "error",
        draft,
        (record for record, _ in dropped),
        [name],
    )
    plant.annotation_ids = []
    plant.boxes = [
        {
            "image_id": record["image_id"],
            "category": name,
            "bbox": [int(value) for value in thing.box],
        }
        for record, thing in dropped
    ]
    hidden = {id(thing) for _, thing in dropped}
    plant.prediction_indices = [
        index
        for index, detection in enumerate(draft.detections)
        if id(detection.target) in hidden and detection.category == name
    ]
    for record, _ in dropped:
        del draft.annotations[record["id"]]
    return plant


def boxes_outside(draft: SceneDraft) -> PlantedFault:
    """Lets boxes of objects at the border run on outside."""
    records = []
    for record, thing in draft.of_place("border"):
        record["bbox"] = [int(value) for value in thing.whole]
        records.append(record)
    return _on_labels(
        "box_outside_image",
        "Boxes extend beyond the border of the image, to where the hidden part of the "
        "object would be.",
        "error",
        draft,
        records,
    )


def duplicate_annotations(draft: SceneDraft) -> PlantedFault:
    """Annotates one object of an image twice."""
    pairs = []
    for spec in draft.of_kind("duplicate"):
        candidates = [
            record
            for record, thing in draft.annotations.values()
            if record["image_id"] == spec.id and thing.category != composition.LOOSE
        ]
        original = max(candidates, key=lambda record: record["area"])
        copy = {**original, "id": max(draft.annotations) + 1}
        draft.annotations[copy["id"]] = (copy, draft.annotations[original["id"]][1])
        pairs += [original, copy]
    return _on_labels(
        "duplicate_annotation",
        "An object is annotated twice with the same class, box and mask; originals "
        "and copies are listed in turn.",
        "error",
        draft,
        pairs,
    )


def loose_boxes(draft: SceneDraft) -> PlantedFault:
    """Widens the boxes of one class around their centers, but not the masks."""
    heights = {spec.id: spec.height for spec in draft.specs}
    widths = {spec.id: spec.width for spec in draft.specs}
    records = []
    for record, _ in draft.of_class(composition.LOOSE):
        x, y, w, h = record["bbox"]
        grow_x, grow_y = draft.rng.uniform(0.10, 0.15, size=2)
        left, top = max(x - grow_x * w, 0), max(y - grow_y * h, 0)
        right = min(x + w + grow_x * w, widths[record["image_id"]])
        bottom = min(y + h + grow_y * h, heights[record["image_id"]])
        record["bbox"] = [
            round(float(value), 1) for value in (left, top, right - left, bottom - top)
        ]
        records.append(record)
    return _on_labels(
        "loose_boxes",
        f"The boxes of {composition.LOOSE} are some 25% wider and higher than the "
        "objects; their masks are tight.",
        "warning",
        draft,
        records,
        [composition.LOOSE],
    )


def confused_pair(draft: SceneDraft) -> PlantedFault:
    """Lets the detector take one class for another, nearly every second time."""
    mistakes = [
        index
        for index, detection in enumerate(draft.detections)
        if detection.target is not None
        and detection.target.category == detection.category == composition.CONFUSED
        and draft.rng.random() < 0.45
    ]
    for index in mistakes:
        draft.detections[index].category = composition.MISTAKEN_FOR
    concerned = {draft.detections[index].image_id for index in mistakes}
    plant = _on_images(
        "confused_pair",
        f"The detector takes a {composition.CONFUSED} for a "
        f"{composition.MISTAKEN_FOR} nearly half of the time; the reverse is rare.",
        "warning",
        (spec for spec in draft.specs if spec.id in concerned),
    )
    plant.categories = [composition.CONFUSED, composition.MISTAKEN_FOR]
    plant.prediction_indices = mistakes
    return plant


def no_predictions(draft: SceneDraft) -> PlantedFault:
    """Images with objects in which the detector finds nothing, left out by it."""
    return _on_images(
        "no_predictions",
        "The file of predictions has none for these images, though they show labeled "
        "objects.",
        "warning",
        draft.of_kind("silent"),
    )


def background_images(draft: SceneDraft) -> PlantedFault:
    """Images without objects, drawn as such."""
    return _on_images(
        "background_image",
        "Images without any object or annotation; useful if meant as negatives.",
        "note",
        draft.of_kind("background", "black"),
    )


def unreadable_file(draft: SceneDraft) -> PlantedFault:
    """Cuts image files off in the middle."""
    specs = draft.of_kind("unreadable")
    for spec in specs:
        path = draft.images_dir / spec.file_name
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
    return _on_images(
        "unreadable_image",
        "The file is cut off in the middle: its header is intact, its pixels are not.",
        "error",
        specs,
    )


def black_image(draft: SceneDraft) -> PlantedFault:
    """Blackens images."""
    specs = draft.of_kind("black")
    for spec in specs:
        black = Image.new("RGB", (spec.width, spec.height))
        black.save(draft.images_dir / spec.file_name, quality=92)
    return _on_images("black_image", "The image is completely black.", "error", specs)


def exif_rotation(draft: SceneDraft) -> PlantedFault:
    """Stores images on their side, with the tag that says so."""
    specs = draft.of_kind("exif")
    for spec in specs:
        path = draft.images_dir / spec.file_name
        exif = Image.Exif()
        exif[_ORIENTATION_TAG] = _ROTATE_TO_SHOW
        with Image.open(path) as upright:
            stored = upright.transpose(Image.Transpose.ROTATE_90)
        stored.save(path, quality=92, exif=exif)
    return _on_images(
        "exif_rotated",
        "The file stores 640 x 480 pixels and EXIF orientation 6, while the COCO "
        "record and its boxes describe the upright 480 x 640 picture that a viewer "
        "shows, so a loader that ignores the tag trains on boxes that are off by a "
        "quarter turn.",
        "warning",
        specs,
    )


# Labels are taken away before those that stay are copied or counted
PLANTED_FAULTS: tuple[Callable[[SceneDraft], PlantedFault], ...] = (
    unlabeled_class,
    extreme_aspect_ratios,
    huge_image,
    tiny_objects,
    boxes_outside,
    loose_boxes,
    duplicate_annotations,
    rare_with_commonest,
    long_tail,
    unreadable_file,
    black_image,
    exif_rotation,
    background_images,
    confused_pair,
    no_predictions,
)
