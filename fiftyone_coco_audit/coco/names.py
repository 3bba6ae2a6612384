"""A dataset's name where the user gives none."""

from __future__ import annotations

import os
from pathlib import Path

# What COCO files are called whatever they are about
_SAYS_NOTHING = {"annotation", "annotations", "coco", "instances", "labels", "results"}


def default_dataset_name(annotations: str | os.PathLike[str]) -> str:
    """A name for the dataset of a COCO file, of the file or its folder, and free.

    Args:
        annotations: the path of the COCO file

    Returns:
        a name that no dataset has
    """
    import fiftyone as fo

    path = Path(annotations).absolute()
    candidates = [path.name.split(".")[0].strip("_ "), *(p.name for p in path.parents)]
    name = next((n for n in candidates if n and n.lower() not in _SAYS_NOTHING), "coco")
    taken = {fo.core.utils.to_slug(other) for other in fo.list_datasets()}
    unique, number = name, 1
    while fo.core.utils.to_slug(unique) in taken:
        number += 1
        unique = f"{name}-{number}"
    return unique
