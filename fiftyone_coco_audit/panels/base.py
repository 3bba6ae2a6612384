"""The base of our panels: values that they keep for each dataset."""

from __future__ import annotations

from typing import Any

from fiftyone.operators.executor import ExecutionContext

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.operators.forms import detections_fields

#: Props of a component that shares a row of a grid
AS_WIDE_AS_NEEDED = {"item": {"sx": {"width": "auto"}}}

# The state of panels, by their ids and datasets; no event tells that an App was closed
_KEPT: dict[tuple[str, str], dict[str, Any]] = {}
_MOST = 1000


def keep(ctx: ExecutionContext, **values: Any) -> None:
    """Keeps what a panel shows, such as the current tab.

    This process, the App's server, keeps it, and not the panel's state: with each
    change of the state, the App reloads its page and redraws the labels in the grid,
    and loses them if the next change comes too early.
    """
    _KEPT.setdefault(_key(ctx), {}).update(values)
    while len(_KEPT) > _MOST:
        _KEPT.pop(next(iter(_KEPT)))


def kept(ctx: ExecutionContext, name: str, default: Any) -> Any:
    """The value that :func:`keep` stored for a panel, or the default."""
    return _KEPT.get(_key(ctx), {}).get(name, default)


def _key(ctx: ExecutionContext) -> tuple[str, str]:
    return str(ctx.panel.id), dataset_name(ctx) or ""


def dataset_name(ctx: ExecutionContext) -> str | None:
    """The name of the dataset that is open in the App."""
    return None if ctx.dataset is None else str(ctx.dataset.name)


def fields_to(verb: str, ctx: ExecutionContext) -> list[str]:
    """The label fields that a panel can work on; groups may have some.

    Args:
        verb: what the panel does with images, such as ``"audit"``
        ctx: the context of an event

    Raises:
        CocoAuditError: if there are none
    """
    dataset = ctx.dataset
    if dataset is None:
        raise CocoAuditError("No dataset is open: choose one above")
    if dataset.media_type not in (None, "image", "group"):
        raise CocoAuditError(
            f"Only images can be {verb}ed, and the samples of dataset "
            f"{dataset.name!r} are of type {dataset.media_type!r}: open a dataset of "
            "images above"
        )
    fields = detections_fields(dataset)
    if not fields:
        raise CocoAuditError(
            f"Dataset {dataset.name!r} has no field of detections to {verb}: add one "
            "with the operator `COCO Audit: import a dataset`, or with your own labels"
        )
    return fields
