"""Sets whose AP surprises: each has one thing that the number does not show.

All are made of the same 12 images with a cat and a dog each, and of predictions that
find all but the cat of the second image and the dog of the first.
"""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

from tests.small_coco import SmallCoco

SIZE = 200, 100
NUM_IMAGES = 12
BOXES = {1: [10, 10, 50, 40], 2: [100, 20, 60, 50]}

Coco = dict[str, Any]
Results = list[dict[str, Any]]


def plain() -> tuple[Coco, Results]:
    """A set with nothing to say."""
    images = [
        {
            "id": n,
            "file_name": f"frame_{n:03}a.jpg",
            "width": SIZE[0],
            "height": SIZE[1],
        }
        for n in range(1, NUM_IMAGES + 1)
    ]
    objects = [(image["id"], category) for image in images for category in BOXES]
    annotations = [
        {
            "id": n,
            "image_id": image,
            "category_id": category,
            "bbox": BOXES[category],
            "area": BOXES[category][2] * BOXES[category][3],
            "iscrowd": 0,
        }
        for n, (image, category) in enumerate(objects, start=1)
    ]
    predictions = [
        {
            "image_id": image,
            "category_id": category,
            "bbox": BOXES[category],
            "score": 1 - image / 20,
        }
        for image, category in objects
        if image + category != 3
    ]
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    coco = {"images": images, "annotations": annotations, "categories": categories}
    return coco, predictions


def predictions_by_stem() -> tuple[Coco, Results]:
    """Predictions name images as Ultralytics does: by the file name without ending."""
    coco, predictions = plain()
    names = {image["id"]: Path(image["file_name"]).stem for image in coco["images"]}
    for prediction in predictions:
        prediction["image_id"] = names[prediction["image_id"]]
    return coco, predictions


def predictions_for_the_parent() -> tuple[Coco, Results]:
    """Roboflow's category 0 is the parent of all classes; predictions are of it."""
    coco, predictions = plain()
    coco["categories"] = [
        {"id": 0, "name": "pets", "supercategory": "none"},
        {"id": 1, "name": "cat", "supercategory": "pets"},
        {"id": 2, "name": "dog", "supercategory": "pets"},
    ]
    for annotation in coco["annotations"]:
        annotation["category_id"] = 1
    for prediction in predictions:
        prediction["category_id"] = 0
    return coco, predictions


def ids_of_their_image_only() -> tuple[Coco, Results]:
    """Annotation ids start again in each image, so 18 of 20 are ids of earlier ones."""
    coco, predictions = plain()
    coco["annotations"] = coco["annotations"][:20]
    for n, annotation in enumerate(coco["annotations"]):
        annotation["id"] = n % 2 + 1
    return coco, predictions


def all_crowds() -> tuple[Coco, Results]:
    """Everything is `iscrowd: 1`, as CVAT writes masks."""
    coco, predictions = plain()
    for annotation in coco["annotations"]:
        annotation["iscrowd"] = 1
    return coco, predictions


def annotation_id_0() -> tuple[Coco, Results]:
    """Annotation ids count from 0."""
    coco, predictions = plain()
    for annotation in coco["annotations"]:
        annotation["id"] -= 1
    # The first cat is found, and the last is not
    predictions.append({**predictions[0], "category_id": 1, "bbox": BOXES[1]})
    return coco, predictions


def a_third_not_annotated() -> tuple[Coco, Results]:
    """Nobody has labeled the last four images."""
    coco, predictions = plain()
    coco["annotations"] = [a for a in coco["annotations"] if a["image_id"] <= 8]
    for prediction in predictions:
        prediction["score"] = 0.5 + prediction["image_id"] / 40
    return coco, predictions


def write(folder: Path, coco: Coco, predictions: Results) -> SmallCoco:
    """Writes a set as files, with pictures in gray."""
    from PIL import Image

    paths = SmallCoco(
        folder / "annotations.json", folder / "images", folder / "predictions.json"
    )
    paths.images_dir.mkdir(parents=True)
    for image in coco["images"]:
        Image.new("RGB", SIZE, "gray").save(paths.images_dir / image["file_name"])
    paths.annotations.write_text(json.dumps(coco))
    paths.predictions.write_text(json.dumps(predictions))
    return paths


def without_mutation(coco: Coco, predictions: Results) -> tuple[Coco, Results]:
    """Copies, as pycocotools changes the records that it gets."""
    return deepcopy(coco), deepcopy(predictions)
