"""What the panel has opened in the grid, how else it can be shown, and the way back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fiftyone.operators.executor import ExecutionContext

from fiftyone_coco_audit.fiftyone_internals import stages_of, with_stages
from fiftyone_coco_audit.findings import Finding
from fiftyone_coco_audit.panels.base import keep, kept
from fiftyone_coco_audit.panels.extents import Extent
from fiftyone_coco_audit.panels.reading import Reading
from fiftyone_coco_audit.panels.selections import Selection
from fiftyone_coco_audit.views import cut_short

if TYPE_CHECKING:
    import fiftyone as fo


@dataclass(frozen=True)
class Opened:
    """Something that was opened in the grid.

    Args:
        what: the finding, or what a mark stands for
        title: what that is called
        reading: what it was found in
        extent: how much it is
        as_patches: whether each label is shown by itself
    """

    what: Finding | Selection
    title: str
    reading: Reading
    extent: Extent
    as_patches: bool = False

    @classmethod
    def of(cls, what: Finding | Selection, title: str, reading: Reading) -> Opened:
        """A selection of a reading, in whole images."""
        return cls(what, title, reading, reading.extent(what))

    def __str__(self) -> str:
        how = ", as patches" if self.as_patches else ""
        return f"{self.extent}{how} ({self.title})"

    def shown(self, *, as_patches: bool) -> Opened:
        """The same in whole images, or as patches."""
        return replace(self, as_patches=as_patches and self.extent.has_patches)

    def view(self) -> fo.SampleCollection:
        """What the grid is to show."""
        return self.reading.view(self.what, as_patches=self.as_patches)


def open_in_grid(ctx: ExecutionContext, opened: Opened) -> None:
    """Opens something in the grid, unless something else was asked for meanwhile."""
    number = kept(ctx, "asked", 0) + 1
    keep(ctx, asked=number)
    view = opened.view()
    if kept(ctx, "asked", 0) != number:
        return
    before = kept(ctx, "before", [])
    if grid_of(ctx) != kept(ctx, "opened_grid", None):
        # With the filters of the sidebar, which the App drops
        before = stages_of(ctx.view)
    grid = _told(stages_of(view) or [])
    keep(ctx, opened=opened, opened_grid=grid, before=before, grid=grid)
    ctx.ops.set_view(view)
    labels = 0 if opened.as_patches else opened.extent.labels or 0
    cut = cut_short(labels)
    ctx.ops.notify(cut or f"The grid shows {opened}", variant="info")


def open_otherwise(ctx: ExecutionContext, *, as_patches: bool) -> None:
    """Shows what was opened last in whole images, or as patches."""
    opened = kept(ctx, "opened", None)
    if opened is not None:
        open_in_grid(ctx, opened.shown(as_patches=as_patches))


def go_back(ctx: ExecutionContext) -> None:
    """Shows in the grid what it showed before something was opened."""
    stages = kept(ctx, "before", [])
    keep(ctx, asked=kept(ctx, "asked", 0) + 1, opened=None, grid=_told(stages))
    if stages:
        ctx.ops.set_view(with_stages(ctx.dataset, stages))
    else:
        ctx.ops.clear_view()


def grid_of(ctx: ExecutionContext) -> str:
    """What the grid shows as the App reports it, as text.

    The view itself is not made, which takes long where it is one of patches.
    """
    asked = ctx.request_params
    more = [asked.get(name) or None for name in ("filters", "extended", "view_name")]
    return _told(asked.get("view") or [], more if any(more) else None)


def grid_has_changed(ctx: ExecutionContext) -> bool:
    """Notes what the grid shows now, and returns whether that is something else."""
    grid = grid_of(ctx)
    changed = grid != kept(ctx, "grid", None)
    keep(ctx, grid=grid)
    return changed


def shown_in_grid(ctx: ExecutionContext) -> Opened | None:
    """What was opened last, if the grid still shows it."""
    opened: Opened | None = kept(ctx, "opened", None)
    shows_it = kept(ctx, "grid", None) == kept(ctx, "opened_grid", None)
    return opened if shows_it else None


def grid_shows_all(ctx: ExecutionContext) -> bool:
    """Whether the grid shows the whole dataset."""
    return bool(kept(ctx, "grid", _told([])) == _told([]))


def _told(stages: Sequence[Any], more: Any = None) -> str:
    """Stages as text, without what FiftyOne keeps in them for itself."""
    shown = [
        (stage["_cls"], [pair for pair in stage["kwargs"] if pair[0][:1] != "_"])
        for stage in stages
    ]
    return json.dumps([shown, more], default=str)
