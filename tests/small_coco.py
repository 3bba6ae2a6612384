"""Four images whose evaluation is known by heart."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

#: The AP of each image, worst first: a miss, a half, a hit, and nothing to find
APS = {"miss.png": 0.0, "half.png": 0.5, "hit.png": 1.0, "nothing.png": None}


class SmallCoco(NamedTuple):
    """The paths of COCO files."""

    annotations: Path
    images_dir: Path
    predictions: Path


def write_small_coco(folder: Path) -> SmallCoco:
    """Writes images of 100 x 100 pixels, annotations and predictions."""
    paths = SmallCoco(
        folder / "annotations.json", folder / "images", folder / "predictions.json"
    )
    paths.images_dir.mkdir(parents=True)
    names = ["hit.png", "nothing.png", "miss.png", "half.png"]
    for name in names:
        Image.new("RGB", (100, 100), "gray").save(paths.images_dir / name)
    objects = [("hit.png", 1), ("miss.png", 2), ("half.png", 1), ("half.png", 2)]
    found = [("hit.png", 1, 0.9), ("half.png", 1, 0.8), ("nothing.png", 1, 0.7)]
    bbox = [10, 10, 40, 40]
    coco: dict[str, list[dict[str, Any]]] = {
        "images": [
            {"id": id_, "file_name": name, "width": 100, "height": 100}
            for id_, name in enumerate(names)
        ],
        "annotations": [
            {
                "id": id_,
                "image_id": names.index(name),
                "category_id": category,
                "bbox": bbox,
                "area": 1600,
                "iscrowd": 0,
            }
            for id_, (name, category) in enumerate(objects)
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    paths.annotations.write_text(json.dumps(coco))
    paths.predictions.write_text(
        json.dumps(
            [
                {
                    "image_id": names.index(name),
                    "category_id": category,
                    "bbox": bbox,
                    "score": score,
                }
                for name, category, score in found
            ]
        )
    )
    return paths
