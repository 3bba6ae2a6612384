"""The operators that open our panels."""

from __future__ import annotations

from collections.abc import Iterator

import fiftyone as fo
import fiftyone.operators as foo
from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext
from fiftyone.operators.message import GeneratedMessage

_PANELS = {"coco_audit", "coco_results", "augmentation_preview"}
_IN_MODAL = {"augmentation_preview"}


def open_panel(ctx: ExecutionContext, name: str) -> GeneratedMessage | None:
    """Opens one of our panels: as a tab beside the other one, else beside the grid.

    A third column would leave no room for any of them. An open sample is closed for a
    panel that the App cannot show beside it.

    Args:
        ctx: the context of an operator
        name: the name of the panel
    """
    if ctx.current_sample:
        if name in _IN_MODAL:
            # If it is already a tab
            return ctx.ops.open_panel(name, is_active=True)
        ctx.ops.close_sample()
        return ctx.ops.set_spaces(spaces=_showing(ctx.spaces, name))
    spaces = ctx.spaces
    if spaces is not None and not any(_with_panels(spaces, {name})):
        beside = next(_with_panels(spaces, _PANELS), None)
        if beside is not None:
            panel = fo.Panel(type=name)
            beside.children.append(panel)
            beside.active_child = panel.component_id
            return ctx.ops.set_spaces(spaces=spaces)
    return ctx.ops.open_panel(name, is_active=True, layout="horizontal")


def _showing(spaces: fo.Space, name: str) -> fo.Space:
    """The layout of the grid, with one of our panels in view."""
    column = next(_with_panels(spaces, {name}), None) or next(
        _with_panels(spaces, _PANELS), None
    )
    if column is None:
        column = fo.Space()
        spaces = fo.Space(children=[spaces, column], orientation="horizontal")
    panel = next((child for child in column.children if child.type == name), None)
    if panel is None:
        panel = fo.Panel(type=name)
        column.children.append(panel)
    column.active_child = panel.component_id
    return spaces


def _with_panels(space: fo.Space, names: set[str]) -> Iterator[fo.Space]:
    """The spaces that one of some panels is a tab of."""
    if any(child.type in names for child in space.children if _is_panel(child)):
        yield space
    for child in space.children:
        if not _is_panel(child):
            yield from _with_panels(child, names)


def _is_panel(child: fo.Space | fo.Panel) -> bool:
    return isinstance(child, fo.Panel)


class _OpenPanel(foo.Operator):
    """Opens a panel beside the grid, or shows the one that is open."""

    panel: str
    label: str
    description: str
    icon: str

    @property
    def config(self) -> foo.OperatorConfig:
        """The configuration of the operator."""
        return foo.OperatorConfig(
            name=f"open_{self.panel}",
            label=self.label,
            description=self.description,
            icon=self.icon,
            risk_level=types.RiskLevel.LOW,
        )

    def execute(self, ctx: ExecutionContext) -> None:
        """Opens the panel."""
        open_panel(ctx, self.panel)


class OpenCocoAudit(_OpenPanel):
    """Opens the panel *COCO Audit*."""

    panel = "coco_audit"
    label = "COCO Audit: open the panel"
    description = "Show what is in the dataset, and what is wrong with it"
    icon = "fact_check"

    def resolve_placement(self, ctx: ExecutionContext) -> types.Placement:
        """A button among the grid's actions."""
        return types.Placement(
            types.Places.SAMPLES_GRID_ACTIONS,
            types.Button(label=self.label, icon=self.icon, prompt=False),
        )


class OpenCocoResults(_OpenPanel):
    """Opens the panel *COCO Results*."""

    panel = "coco_results"
    label = "COCO Audit: open the results"
    description = "Show where the model fails, and what to do next"
    icon = "query_stats"


class OpenAugmentationPreview(_OpenPanel):
    """Opens the panel *Augmentation Preview*."""

    panel = "augmentation_preview"
    label = "COCO Audit: preview an augmentation"
    description = "Show what a pipeline does to a sample and its labels"
    icon = "compare"
