"""Pipelines over the images of the demo: what our measuring adds to a bare loop."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from benchmarks.data import Files
from benchmarks.timing import Seconds, timed

_DRAWS = 3


def damage_ours(_: Files, seconds: Seconds, options: dict[str, Any]) -> float:
    """``audit_augmentation`` in one process, three draws an image."""
    from fiftyone_coco_audit import audit_augmentation

    view, _ = _sound()
    how = {"num_draws": _DRAWS, "workers": 1, "progress": False}
    # As for the bare loop: loading Albumentations is not timed
    audit_augmentation(view.limit(1), options["preset"], **how)
    with timed(seconds, "total"):
        audit = audit_augmentation(view, options["preset"], **how)
    return float(len(view) - len(audit.failures))


def damage_bare(_: Files, seconds: Seconds, options: dict[str, Any]) -> float:
    """The same images and boxes decoded once and drawn three times, and no more."""
    return _bare(seconds, options["preset"], _DRAWS)


def dry_run_in_one(_: Files, seconds: Seconds, options: dict[str, Any]) -> float:
    """``dry_run`` in this process."""
    return _dry_run(seconds, options["preset"], workers=1)


def dry_run_in_two(_: Files, seconds: Seconds, options: dict[str, Any]) -> float:
    """``dry_run`` in two processes."""
    return _dry_run(seconds, options["preset"], workers=2)


def _dry_run(seconds: Seconds, preset: str, workers: int) -> float:
    from fiftyone_coco_audit import dry_run

    view, _ = _sound()
    how = {"workers": workers, "write_fields": False, "progress": False}
    dry_run(view.limit(1), preset, **how)
    with timed(seconds, "total"):
        run = dry_run(view, preset, **how)
    # Without the start of processes, which takes the same for any number of images
    seconds["running"] = len(view) / run.rate
    return float(len(view) - run.counts()["failed"])


def dry_run_bare(_: Files, seconds: Seconds, options: dict[str, Any]) -> float:
    """The same images and boxes read, decoded and drawn once, and as there."""
    done = _bare(seconds, options["preset"], 1, seed=51)
    seconds["running"] = seconds["total"]
    return done


def _bare(
    seconds: Seconds, preset: str, draws: int, *, seed: int | None = None
) -> float:
    """Reads images and sends them through a pipeline; returns how many there were."""
    import albumentations as A
    import cv2

    from fiftyone_coco_audit.augmentation.pipelines import Pipeline
    from fiftyone_coco_audit.loading.pipelines import seed_by_image

    pipeline = Pipeline.parse(preset)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compose = A.Compose(
            [step.transform for step in pipeline.steps],
            bbox_params=A.BboxParams(
                **{**pipeline.box_params, "format": "coco", "label_fields": ["ids"]}
            ),
        )
    _, samples = _sound()
    cv2.setNumThreads(0)  # one core, as in each of our processes
    done = 0
    with timed(seconds, "total"):
        for filepath, boxes, ids in samples:
            with open(filepath, "rb") as file:
                data = np.frombuffer(file.read(), np.uint8)
            image = cv2.imdecode(data, cv2.IMREAD_COLOR)
            if image is None:
                continue
            image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
            if seed is not None:
                # Some draws take several times as long as others
                seed_by_image(compose, seed, image)
            for _ in range(draws):
                compose(image=image, bboxes=boxes, ids=ids)
            done += 1
    return float(done)


def _sound() -> tuple[Any, list[tuple[str, np.ndarray, np.ndarray]]]:
    """The images of which Albumentations takes all boxes, since these are inside.

    Returns:
        a view of them; and of each its file, its boxes and numbers for these
    """
    import fiftyone as fo

    from fiftyone_coco_audit.statistics.inputs import read_labeled_images

    dataset = fo.load_dataset("benchmark ours")
    labeled = read_labeled_images(dataset, progress=False)
    images, objects = labeled.images, labeled.images.objects
    low, high = objects.box[:, :2], objects.box[:, :2] + objects.box[:, 2:]
    outside = ((low < 0) | (high > images.image_size)).any(axis=1)
    sound = np.setdiff1d(np.arange(len(images)), objects.image[outside])
    ends = np.searchsorted(objects.image, np.arange(len(images) + 1))
    return dataset.select(labeled.sample_ids(sound)), [
        (
            images.filepaths[position],
            objects.box[ends[position] : ends[position + 1]],
            np.arange(ends[position], ends[position + 1]),
        )
        for position in sound.tolist()
    ]
