"""The names of datasets: what they can be, and one where the user gives none."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from fiftyone_coco_audit.coco.paths import absolute_path
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.names import is_storable

# Common names of COCO files, which say nothing about the dataset
_SAYS_NOTHING = {"annotation", "annotations", "coco", "instances", "labels", "results"}


def dataset_slug(name: Any) -> str:
    """The name of a dataset as the App's address has it.

    Raises:
        CocoAuditError: if a dataset cannot have the name
    """
    import fiftyone.core.utils as fou

    with suppress(ValueError):
        if isinstance(name, str) and is_storable(name):
            slug: str = fou.to_slug(name)
            return slug
    raise CocoAuditError(
        f"A dataset cannot be called {name!r}: a name is text of at most 1,551 "
        "characters with at least one of A-Z, a-z and 0-9; choose another dataset name"
    )


def default_dataset_name(annotations: str | os.PathLike[str]) -> str:
    """A name for the dataset of a COCO file, of the file or its folder, and free.

    Args:
        annotations: the path of the COCO file

    Returns:
        a name that no dataset has
    """
    name = name_of_file(annotations)
    unique, number = name, 1
    taken = _slugs()
    while dataset_slug(unique) in taken:
        number += 1
        unique = f"{name}-{number}"
    return unique


def dataset_of_that_name(annotations: str | os.PathLike[str]) -> str | None:
    """The dataset for which :func:`default_dataset_name` has to add a number.

    Args:
        annotations: the path of the COCO file

    Returns:
        its name; None where the name of the file or its folder is free
    """
    return _slugs().get(dataset_slug(name_of_file(annotations)))


def name_of_file(annotations: Any) -> str:
    """A name for the dataset of a COCO file: that of the file, or of its folder."""
    path = Path(absolute_path(annotations, "annotations file"))
    candidates = [path.name.split(".")[0].strip("_ "), *(p.name for p in path.parents)]
    return next(filter(_says_something, candidates), "coco")


def _slugs() -> dict[str, str]:
    """The names of all datasets by their slug in the App's address."""
    import fiftyone as fo

    return {dataset_slug(name): name for name in fo.list_datasets()}


def _says_something(name: str) -> bool:
    """Whether a dataset can have this name, and the name is meaningful."""
    with suppress(CocoAuditError):
        return dataset_slug(name) not in _SAYS_NOTHING
    return False
