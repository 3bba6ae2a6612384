"""The operators that open our panels."""

from __future__ import annotations

import fiftyone.operators as foo
from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext


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
        ctx.ops.open_panel(self.panel, layout="horizontal", is_active=True)


class OpenCocoAudit(_OpenPanel):
    """Opens the panel *COCO Audit*."""

    panel = "coco_audit"
    label = "COCO Audit: open the panel"
    description = "What is in the dataset, and what is wrong with it"
    icon = "fact_check"

    def resolve_placement(self, ctx: ExecutionContext) -> types.Placement:
        """A button among the grid's actions."""
        return types.Placement(
            types.Places.SAMPLES_GRID_ACTIONS,
            types.Button(label=self.label, icon=self.icon, prompt=False),
        )


class OpenAugmentationPreview(_OpenPanel):
    """Opens the panel *Augmentation Preview*."""

    panel = "augmentation_preview"
    label = "COCO Audit: preview an augmentation"
    description = "What a pipeline makes of a sample and its labels"
    icon = "compare"
