"""Draws the demo dataset and writes it to disk."""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from coco_audit_demo import composition
from coco_audit_demo.composition import ImageSpec
from coco_audit_demo.detector import Detection, detect
from coco_audit_demo.planted_faults import (
    PLANTED_FAULTS,
    PlantedFault,
    SceneDraft,
)
from coco_audit_demo.records import Record, annotate
from coco_audit_demo.scenes import SceneObject, draw_scene
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.progress import Progress, progress_bar

# Raised whenever the same seed gives other files than before
VERSION = 1


@dataclass(frozen=True)
class DemoPaths:
    """Where the parts of a demo dataset are.

    Args:
        root: the folder of the demo
    """

    root: Path

    @property
    def annotations(self) -> Path:
        """The COCO file."""
        return self.root / "annotations.json"

    @property
    def predictions(self) -> Path:
        """The COCO results."""
        return self.root / "predictions.json"

    @property
    def manifest(self) -> Path:
        """The list of planted faults."""
        return self.root / "manifest.json"

    @property
    def images(self) -> Path:
        """The folder of images."""
        return self.root / "images"

    def parameters(self) -> dict[str, int] | None:
        """What the demo was generated with, None where there is none."""
        if not self.manifest.is_file():
            return None
        return json.loads(self.manifest.read_text(encoding="utf-8")).get("parameters")


def parameters(num_images: int, seed: int) -> dict[str, int]:
    """All that decides on the content of a demo."""
    return {"version": VERSION, "num_images": num_images, "seed": seed}


def generate(
    output_dir: str | os.PathLike[str],
    *,
    num_images: int = 200,
    seed: int = 51,
    progress: Progress = None,
) -> DemoPaths:
    """Generates the demo dataset.

    The same parameters give the same files, to the byte, with the same versions of
    NumPy, OpenCV, Pillow and pycocotools. An older demo in the folder is replaced,
    once the new one is complete.

    Args:
        output_dir: the folder to write ``annotations.json``, ``predictions.json``,
            ``manifest.json`` and ``images/`` to
        num_images: number of images
        seed: of all randomness
        progress: whether to show a progress bar, as everywhere in FiftyOne, but that
            None means no

    Returns:
        the paths of what was written

    Raises:
        CocoAuditError: if ``num_images`` is too small to hold all planted faults, or
            ``output_dir`` holds anything but a demo dataset
    """
    if num_images < composition.MIN_IMAGES:
        raise CocoAuditError(
            f"num_images={num_images} is too few to hold all planted faults; use at "
            f"least {composition.MIN_IMAGES}"
        )
    paths = DemoPaths(Path(output_dir))
    root = paths.root
    occupied = root.is_file() or (root.is_dir() and any(root.iterdir()))
    if occupied and paths.parameters() is None:
        raise CocoAuditError(
            f"{root} holds files that are not a demo dataset and would be lost; "
            "choose an empty or a new folder"
        )
    work = DemoPaths(root.with_name(root.name + ".partial"))
    if work.root.exists():
        shutil.rmtree(work.root)
    _write(work, num_images, seed, progress)
    if root.exists():
        shutil.rmtree(root)
    work.root.rename(root)
    return paths


def _write(paths: DemoPaths, num_images: int, seed: int, progress: Progress) -> None:
    specs = composition.plan_images(num_images, np.random.default_rng([seed, 0]))
    for site in {Path(spec.file_name).parent for spec in specs}:
        (paths.images / site).mkdir(parents=True)
    drawn = _draw_all(specs, paths.images, seed, progress)
    draft = SceneDraft(
        images_dir=paths.images,
        specs=specs,
        annotations=_annotate(specs, [objects for objects, _ in drawn]),
        detections=[detection for _, found in drawn for detection in found],
        rng=np.random.default_rng([seed, 0, 1]),
    )
    plants = [plant(draft) for plant in PLANTED_FAULTS]
    _dump(paths.annotations, _coco(draft))
    _dump(paths.predictions, _results(draft))
    _dump(paths.manifest, _manifest(draft, plants, num_images, seed))


def _draw_all(
    specs: list[ImageSpec], images_dir: Path, seed: int, progress: Progress
) -> list[tuple[list[SceneObject], list[Detection]]]:
    # NumPy and OpenCV let go of the interpreter's lock. The largest come first, lest
    # the others have to wait for one of them
    largest_first = sorted(specs, key=lambda spec: -spec.width * spec.height)
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
        futures = {
            spec.id: pool.submit(_draw, spec, images_dir, seed)
            for spec in largest_first
        }
        _watch(list(futures.values()), progress)
    return [futures[spec.id].result() for spec in specs]


def _draw(
    spec: ImageSpec, images_dir: Path, seed: int
) -> tuple[list[SceneObject], list[Detection]]:
    rng = np.random.default_rng([seed, spec.id])
    props = composition.choose_props(spec, rng)
    picture, objects = draw_scene(
        spec.height, spec.width, props, composition.min_side(spec), rng
    )
    path = str(images_dir / spec.file_name)
    if not cv2.imwrite(path, picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92]):
        raise OSError(f"OpenCV could not write {path}")
    if spec.kind in ("silent", "black"):
        return objects, []
    found = detect(
        objects, image_id=spec.id, height=spec.height, width=spec.width, rng=rng
    )
    return objects, found


def _watch(futures: list[Future[Any]], progress: Progress) -> None:
    """Shows FiftyOne's progress bar, if wanted, until all are done."""
    if not progress:
        return
    with progress_bar(progress, total=len(futures)) as bar:
        for _ in bar(as_completed(futures)):
            pass


def _annotate(
    specs: list[ImageSpec], scenes: list[list[SceneObject]]
) -> dict[int, tuple[Record, SceneObject]]:
    category_ids = _category_ids()
    annotations: dict[int, tuple[Record, SceneObject]] = {}
    for spec, objects in zip(specs, scenes, strict=True):
        for thing in objects:
            record = annotate(
                thing,
                annotation_id=len(annotations) + 1,
                image_id=spec.id,
                category_id=category_ids[thing.category],
                height=spec.height,
                width=spec.width,
            )
            annotations[record["id"]] = record, thing
    return annotations


def _category_ids() -> dict[str, int]:
    return {cls.name: index for index, cls in enumerate(composition.CLASSES, start=1)}


def _coco(draft: SceneDraft) -> Record:
    return {
        "info": {
            "description": "COCO audit demo: generated scenes with planted faults",
            "version": str(VERSION),
        },
        "licenses": [],
        "images": [
            {
                "id": spec.id,
                "file_name": spec.file_name,
                "width": spec.width,
                "height": spec.height,
            }
            for spec in draft.specs
        ],
        "annotations": [record for record, _ in draft.annotations.values()],
        "categories": [
            {"id": index, "name": cls.name, "supercategory": cls.supercategory}
            for index, cls in enumerate(composition.CLASSES, start=1)
        ],
    }


def _results(draft: SceneDraft) -> list[Record]:
    category_ids = _category_ids()
    return [
        {
            "image_id": detection.image_id,
            "category_id": category_ids[detection.category],
            "bbox": detection.bbox,
            "score": detection.score,
            "segmentation": detection.segmentation,
        }
        for detection in draft.detections
    ]


def _manifest(
    draft: SceneDraft, plants: list[PlantedFault], num_images: int, seed: int
) -> Record:
    return {
        "parameters": parameters(num_images, seed),
        "counts": {
            "images": len(draft.specs),
            "annotations": len(draft.annotations),
            "predictions": len(draft.detections),
        },
        "crowd_annotation_ids": [
            record["id"]
            for record, _ in draft.annotations.values()
            if record["iscrowd"]
        ],
        "plants": [asdict(plant) for plant in plants],
    }


def _dump(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")
