"""Augmented samples as new samples of a dataset."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.augmentation.drawing import as_rgb
from fiftyone_coco_audit.augmentation.pipelines import Pipeline
from fiftyone_coco_audit.augmentation.preview import Subject, read_subject
from fiftyone_coco_audit.augmentation.targets import (
    AugmentedSample,
    draw_name,
    pixels_of,
    run,
)
from fiftyone_coco_audit.columns import require_detections, require_some
from fiftyone_coco_audit.database import database_errors_explained
from fiftyone_coco_audit.errors import CocoAuditError, check_count, check_whole
from fiftyone_coco_audit.fields import FieldSpec, check_paths_are_free
from fiftyone_coco_audit.fiftyone_internals import root_dataset
from fiftyone_coco_audit.interrupts import interrupts_deferred
from fiftyone_coco_audit.progress import Progress, progress_bar
from fiftyone_coco_audit.storage.additions import check_file_is_new
from fiftyone_coco_audit.storage.exclusive import exclusive, up_to_date
from fiftyone_coco_audit.storage.owners import Owner, at_work
from fiftyone_coco_audit.storage.writes import prepared

if TYPE_CHECKING:
    import fiftyone as fo

_FUNCTION = "apply_augmentation"
_FIELDS = (
    FieldSpec("augmented_from", "str", "The id of the source sample"),
    FieldSpec("augmentation", "str", "The pipeline, in the JSON format of A.to_dict"),
    FieldSpec("augmentation_seed", "int", "The seed of the whole run"),
    FieldSpec("augmentation_draw", "int", "The number of the draw, from 0"),
)
_FORMATS = ("png", "jpg")
_PART = ".part-"


@database_errors_explained()
def apply_augmentation(
    samples: fo.SampleCollection,
    pipeline: Any,
    *,
    output_dir: str | os.PathLike[str],
    label_field: str = "ground_truth",
    num_draws: int = 1,
    seed: int = 51,
    tag: str = "augmented",
    image_format: str = "png",
    progress: Progress = None,
) -> fo.DatasetView:
    """Writes augmented images and adds them to the dataset as new samples.

    The draws equal those of the panel *Augmentation Preview* with the same seed. The
    new samples keep the boxes, masks, classes, tags and crowd flags of the remaining
    labels, and all keypoints, with NaN for lost points. Other attributes are dropped,
    because areas or evaluation outcomes would no longer be true. The fields
    ``augmented_from``, ``augmentation``, ``augmentation_seed`` and
    ``augmentation_draw`` record the source, pipeline, seed and draw.

    Either all samples are written, or none.

    Args:
        samples: a dataset or a view of whole images; labels that the view hides are
            ignored
        pipeline: an Albumentations pipeline that can be written as text; see
            :meth:`.pipelines.Pipeline.parse`
        output_dir: the folder for the images
        label_field: the field of the ground truth
        num_draws: the number of draws of each sample
        seed: the random seed
        tag: the only tag of the new samples
        image_format: ``"png"``, which is lossless, or ``"jpg"``
        progress: whether to show a progress bar, as everywhere in FiftyOne

    Returns:
        a view of the new samples

    Raises:
        CocoAuditError: if the arguments or the data do not allow it, or a transform
            fails; nothing is written then
    """
    recipe = _Recipe(Pipeline.parse(pipeline), label_field, seed, tag, image_format)
    check_count("num_draws", num_draws)
    if not isinstance(output_dir, (str, os.PathLike)) or not output_dir:
        raise CocoAuditError(
            f"output_dir is {output_dir!r}: name a folder for the images"
        )
    dataset = _checked_dataset(samples, label_field)
    made: list[fo.Sample] = []
    # A view can hold a sample more than once
    sample_ids = list(dict.fromkeys(samples.values("id")))
    require_some(sample_ids, "augment")
    with (
        _staging(output_dir) as (folder, staging),
        progress_bar(progress, total=len(sample_ids), stage="Augmenting") as bar,
    ):
        for sample_id in bar(sample_ids):
            subject = read_subject(samples, sample_id, label_field, crowds=True)
            labels = {one.id: one for one in _labels(dataset, sample_id, label_field)}
            if not labels.keys() >= {*subject.label_ids}:
                raise CocoAuditError(
                    f"Labels in {label_field!r} of dataset {dataset.name!r} were "
                    "deleted by someone else while images were made: run it again; "
                    "nothing was written"
                )
            for draw in range(num_draws):
                made.append(recipe.make(subject, labels, draw, folder, staging))
        with (
            exclusive(dataset) as fresh,
            interrupts_deferred(),
            prepared(fresh) as write,
        ):
            _check_fields(fresh, label_field)
            write.add_samples(
                made, staging, _FIELDS, function=_FUNCTION, group="augmentation"
            )
    return dataset.select([sample.id for sample in made])


def _checked_dataset(samples: fo.SampleCollection, label_field: str) -> fo.Dataset:
    require_detections(samples, label_field)
    dataset = root_dataset(samples)
    if dataset.media_type == "group":
        raise CocoAuditError(
            f"Dataset {dataset.name!r} is grouped, and new samples would belong to no "
            "group: clone the view of one slice into a new dataset"
        )
    up_to_date(dataset)
    _check_fields(dataset, label_field)
    return dataset


def _check_fields(dataset: fo.Dataset, label_field: str) -> None:
    require_detections(dataset, label_field)
    check_paths_are_free(dataset, [s.path for s in _FIELDS], _FUNCTION, instead="")


@dataclass(frozen=True)
class _Recipe:
    """How new samples are created.

    Args:
        pipeline: the pipeline
        label_field: the field of the ground truth
        seed: of the whole run
        tag: the tag of the new samples
        image_format: the ending of the files
    """

    pipeline: Pipeline
    label_field: str
    seed: int
    tag: str
    image_format: str

    def __post_init__(self) -> None:
        check_whole("seed", self.seed)
        if not isinstance(self.tag, str) or not self.tag:
            raise CocoAuditError(f"tag is {self.tag!r}: it must be text")
        if self.image_format not in _FORMATS:
            raise CocoAuditError(
                f"image_format is {self.image_format!r}: it must be 'png' or 'jpg'"
            )
        # Fail now rather than after all images are written
        self.pipeline.to_json()

    def make(
        self,
        subject: Subject,
        labels: dict[str, fo.Detection],
        draw: int,
        folder: Path,
        staging: Path,
    ) -> fo.Sample:
        """Makes one sample, and writes its image into the staging folder."""
        import fiftyone as fo

        try:
            drawn = run(
                self.pipeline,
                subject.target,
                seed=self.seed,
                sample=draw_name(subject.filepath),
                draw=draw,
            )
        except CocoAuditError as error:
            raise CocoAuditError(
                f"{subject.filepath} (draw {draw}): {error}; nothing was written"
            ) from error
        image = as_rgb(drawn.image)
        stem = Path(subject.filepath).stem
        name = f"{stem}-{subject.sample_id}-{self.seed}-{draw}.{self.image_format}"
        path = folder / name
        check_file_is_new(path)
        size_bytes = _write_image(staging / name, image)
        height, width = image.shape[:2]
        detections = [
            _detection(labels[subject.label_ids[row]], subject, drawn, place, row)
            for place, row in enumerate(drawn.object.tolist())
        ]
        return fo.Sample(
            filepath=str(path),
            tags=[self.tag],
            metadata=fo.ImageMetadata(
                width=width, height=height, num_channels=3, size_bytes=size_bytes
            ),
            augmented_from=subject.sample_id,
            augmentation=self.pipeline.to_json(),
            augmentation_seed=self.seed,
            augmentation_draw=draw,
            **{self.label_field: fo.Detections(detections=detections)},
            **subject.keypoints.after(drawn),
        )


def _labels(
    dataset: fo.Dataset, sample_id: str, label_field: str
) -> Sequence[fo.Detection]:
    # Without fields that another process has added or renamed meanwhile
    found = dataset.select(sample_id).select_fields(label_field).first()[label_field]
    return () if found is None else found.detections


def _detection(
    source: fo.Detection, subject: Subject, drawn: AugmentedSample, place: int, row: int
) -> fo.Detection:
    """One of the remaining boxes, as a label."""
    import fiftyone as fo

    height, width = drawn.image.shape[:2]
    x, y, w, h = drawn.box[place].tolist()
    carried: dict[str, Any] = {}
    if subject.crowd[row]:
        carried["iscrowd"] = source["iscrowd"]
    if source.has_mask:
        carried["mask"] = _crop(subject, drawn, place, row)
    return fo.Detection(
        label=source.label,
        tags=list(source.tags),
        bounding_box=[x / width, y / height, w / width, h / height],
        **carried,
    )


def _crop(
    subject: Subject, drawn: AugmentedSample, place: int, row: int
) -> NDArray[np.bool_]:
    """The pixels of an object in its box, cut where FiftyOne shows them."""
    layer = drawn.maps[subject.target.map_of[row]]
    inside = layer[pixels_of(drawn.box[place], layer.shape)]
    return np.asarray(inside == subject.target.number[row])


def _write_image(path: Path, image: NDArray[np.uint8]) -> int:
    """Writes an image, and returns the number of its bytes."""
    _, data = cv2.imencode(path.suffix, image[..., ::-1])
    return path.write_bytes(data.tobytes())


@contextmanager
def _staging(output_dir: str | os.PathLike[str]) -> Iterator[tuple[Path, Path]]:
    """A folder, and a staging folder in it, whose files are moved to the first.

    Where that fails, the second is deleted, and the first too, if it is new.
    """
    folder = Path(output_dir).expanduser().absolute()
    is_new = not folder.exists()
    with at_work() as owner:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for other in folder.glob(f"{_PART}*"):
                left_by = Owner.parse(other.name.removeprefix(_PART))
                if left_by is not None and left_by.is_gone:
                    shutil.rmtree(other)
            staging = folder / f"{_PART}{owner}"
            staging.mkdir()
        except OSError as error:
            raise CocoAuditError(
                f"{folder} cannot be written to: {error.strerror}; choose another place"
            ) from error
        try:
            yield folder, staging
        except BaseException as error:
            # It is gone once it is published or removed
            if staging.exists():
                shutil.rmtree(staging)
            # Another process may have started to use it
            if is_new and not any(folder.iterdir()):
                folder.rmdir()
            if isinstance(error, OSError):
                raise CocoAuditError(
                    f"The images cannot be written to {folder}: {error.strerror}; "
                    "nothing was written"
                ) from error
            raise
