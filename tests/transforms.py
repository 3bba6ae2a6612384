"""Transforms for tests, by the names of Albumentations 2, whichever is installed."""

from typing import Any

import albumentations as A
import numpy as np
import pytest

from fiftyone_coco_audit.augmentation.catalog import spelled, transform_types


def made(cls: type, **params: Any) -> Any:
    """A transform, or ``A.BboxParams``, of what the installed version calls so."""
    return cls(
        **{
            name: tuple(value) if isinstance(value, list) else value
            for name, value in spelled(cls, params).items()
        }
    )


def transform(name: str, **params: Any) -> Any:
    """A transform by its name; the test is skipped where the version has none such."""
    if name not in transform_types():
        pytest.skip(f"Albumentations {A.__version__} has no {name} that takes boxes")
    return made(getattr(A, name), **params)


def needs(has: bool, what: str) -> None:
    """Skips the test where the installed version lacks something."""
    if not has:
        pytest.skip(f"Albumentations {A.__version__} {what}")


#: The first versions of 1.4 moved one box at a time: they made none of mirrored copies
ONE_BOX_AT_A_TIME = hasattr(A.DualTransform, "apply_to_bbox")


def like(given: Any, rows: Any) -> Any:
    """Rows of boxes as a transform was given them: an array, or a list of tuples."""
    if isinstance(given, np.ndarray):
        return np.asarray(rows, given.dtype)
    return [tuple(row) for row in rows]
