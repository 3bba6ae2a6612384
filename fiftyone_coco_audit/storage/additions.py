"""New samples and their image files: either all of them are added, or none."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fiftyone_coco_audit.columns import batches
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.fields import delete_fields
from fiftyone_coco_audit.fiftyone_internals import sample_collection
from fiftyone_coco_audit.wording import quoted

if TYPE_CHECKING:
    import fiftyone as fo
    from pymongo.collection import Collection

logger = logging.getLogger(__name__)

_PATHS_AT_ONCE = 500


def check_file_is_new(path: Path) -> None:
    """Checks that a file can be written without overwriting another.

    Raises:
        CocoAuditError: if it cannot
    """
    if path.exists():
        raise CocoAuditError(
            f"{quoted(str(path))} already exists: choose another output_dir or "
            "another seed"
        )


def check_addition(
    dataset: fo.Dataset, samples: Sequence[fo.Sample], new_fields: Iterable[str]
) -> None:
    """Checks that samples can be added under the paths that they have.

    Whatever has one of these paths later is one of them.

    Args:
        dataset: the dataset, which nobody else changes meanwhile
        samples: the samples
        new_fields: the fields that they have and the dataset does not

    Raises:
        CocoAuditError: if they cannot
    """
    known = {*dataset.get_field_schema(), *new_fields}
    for sample in samples:
        missing = [name for name in sample.field_names if name not in known]
        if missing:
            raise CocoAuditError(
                f"Field {missing[0]!r} of dataset {dataset.name!r} was deleted by "
                "someone else while images were made: run it again; nothing was written"
            )
        check_file_is_new(Path(sample.filepath))
    for some in batches(samples, _PATHS_AT_ONCE):
        paths = {"filepath": {"$in": [sample.filepath for sample in some]}}
        other = sample_collection(dataset).find_one(paths, ["filepath"])
        if other is not None:
            raise CocoAuditError(
                f"Dataset {dataset.name!r} already has a sample for "
                f"{quoted(other['filepath'])}, whose file is missing: delete that "
                "sample, or choose another output_dir or another seed"
            )


def add_samples(
    dataset: fo.Dataset, samples: Sequence[fo.Sample], staging: Path
) -> None:
    """Moves the files of samples to where they belong, and adds the samples.

    Args:
        dataset: the dataset
        samples: the samples
        staging: the folder that holds their files, which is removed
    """
    for sample in samples:
        path = Path(sample.filepath)
        (staging / path.name).replace(path)
    dataset.add_samples(samples, expand_schema=False, progress=False)
    staging.rmdir()


def take_back(
    dataset: fo.Dataset | None, files: Collection, added: Mapping[str, Any]
) -> None:
    """Removes samples and files, however many of them were added.

    Args:
        dataset: the dataset, which nobody else changes meanwhile; None if it is gone
        files: a document for each file, whose id is its path
        added: the paths of the ``fields`` that were declared for them, and of the
            ``staging`` folder
    """
    for some in batches(files.find(), _PATHS_AT_ONCE):
        paths = [document["_id"] for document in some]
        if dataset is not None:
            of_them = sample_collection(dataset).find(
                {"filepath": {"$in": paths}}, ["_id"]
            )
            dataset.delete_samples([str(found["_id"]) for found in of_them])
        for path in paths:
            try:
                Path(path).unlink(missing_ok=True)
            except OSError as error:
                logger.warning(
                    "%s was left by apply_augmentation and cannot be removed: %s",
                    quoted(path),
                    error.strerror,
                )
    if dataset is not None:
        delete_fields(dataset, added["fields"])
    shutil.rmtree(added["staging"], ignore_errors=True)
