"""Transforms adapted to measure damage; loads Albumentations."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import albumentations as A

#: The target that carries the labels' pixels; the successor of Albumentations takes
#: more of them only beside it
MASK = "mask"
#: What the names of further such targets begin with
LAYER = "pixels"
#: The name of the target in which dropouts mark what they overwrite
COVERED = "covered"

_DROPOUTS = {
    "CoarseDropout",
    "ConstrainedCoarseDropout",
    "Erasing",
    "FrequencyMasking",
    "GridDropout",
    "TimeMasking",
    "XYMasking",
}
_DROPOUT_FILLS = ("fill_mask", "mask_fill_value")
_MASK_FILLS = ("fill_mask", "mask_value", "cval_mask", "pad_cval_mask")


class DropoutMarker(A.BaseCompose):
    """Lets a dropout mark what it overwrites, and leave the labels' pixels alone.

    A dropout moves nothing. So the pixels of labels need not go through it, and its
    fill value for masks is free to mark a target of its own. What geometric transforms
    do later, they do to both.
    """

    def __init__(self, dropout: Any):
        super().__init__([dropout], p=dropout.p)
        for name in _DROPOUT_FILLS:
            if hasattr(dropout, name):
                setattr(dropout, name, 1)

    @classmethod
    def is_serializable(cls) -> bool:
        """Whether it can be written to a file: never, as it is not in the pipeline."""
        return False

    def __call__(
        self, *args: Any, force_apply: bool = False, **data: Any
    ) -> dict[str, Any]:
        """Applies the dropout to everything except the pixels of labels."""
        (dropout,) = self.transforms
        return _spared(partial(dropout, *args, force_apply=force_apply), data)

    def apply_in_invocation(
        self, *args: Any, force_apply: bool = False, **data: Any
    ) -> dict[str, Any]:
        """The same, as the successor of Albumentations calls nested transforms."""
        apply = self.transforms[0].apply_in_invocation
        return _spared(partial(apply, *args, force_apply=force_apply), data)


def _spared(apply: Callable[..., Any], data: dict[str, Any]) -> dict[str, Any]:
    """Applies something to everything except the pixels of labels."""
    names = [name for name in data if name == MASK or name.startswith(LAYER)]
    layers = {name: data.pop(name) for name in names}
    return {**apply(**data), **layers}


def with_label_targets(transform: Any) -> Any:
    """Makes a transform carry ids instead of masks; changes it in place.

    Ids must not be interpolated, and what comes from outside the image has none.

    Args:
        transform: a transform, or a composition of transforms

    Returns:
        the transform, or what takes its place
    """
    if isinstance(transform, A.BaseCompose):
        transform.transforms = [
            with_label_targets(child) for child in transform.transforms
        ]
        # The successor of Albumentations has compiled the former transforms
        if hasattr(transform, "_compile_execution_plan"):
            transform._compile_execution_plan()
        return transform
    if type(transform).__name__ in _DROPOUTS:
        return DropoutMarker(transform)
    for name in _MASK_FILLS:
        if hasattr(transform, name):
            setattr(transform, name, 0)
    if hasattr(transform, "mask_drop_value"):
        # PixelDropout drops other pixels of masks than of the image: none, here
        transform.mask_drop_value = None
    if hasattr(transform, "mask_interpolation"):
        transform.mask_interpolation = 0
    if getattr(transform, "area_for_downscale", None) == "image_mask":
        transform.area_for_downscale = "image"
    return transform


def nodes(transform: Any, key: str) -> list[tuple[str, Any]]:
    """A transform and all inside it that draw random numbers.

    Args:
        transform: a transform, or a composition of transforms
        key: a name for it

    Returns:
        tuples of a name and a transform, the outer before the inner; the name does
        not depend on what else is in the pipeline
    """
    if isinstance(transform, DropoutMarker):
        return nodes(transform.transforms[0], key)
    found = [(key, transform)]
    if isinstance(transform, A.BaseCompose):
        for place, child in enumerate(transform.transforms):
            found += nodes(child, f"{key}.{place}")
    return found
