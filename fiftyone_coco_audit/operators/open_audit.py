"""The operator ``open_coco_audit``."""

from __future__ import annotations

import fiftyone.operators as foo
from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext

LABEL = "COCO Audit: open the panel"
ICON = "fact_check"


class OpenCocoAudit(foo.Operator):
    """Opens the panel *COCO Audit* beside the grid."""

    @property
    def config(self) -> foo.OperatorConfig:
        """The configuration of the operator."""
        return foo.OperatorConfig(
            name="open_coco_audit",
            label=LABEL,
            description="What is in the dataset, and what is wrong with it",
            icon=ICON,
            risk_level=types.RiskLevel.LOW,
        )

    def resolve_placement(self, ctx: ExecutionContext) -> types.Placement:
        """A button among the grid's actions."""
        return types.Placement(
            types.Places.SAMPLES_GRID_ACTIONS,
            types.Button(label=LABEL, icon=ICON, prompt=False),
        )

    def execute(self, ctx: ExecutionContext) -> None:
        """Opens the panel, or shows the one that is open."""
        ctx.ops.open_panel("coco_audit", layout="horizontal", is_active=True)
