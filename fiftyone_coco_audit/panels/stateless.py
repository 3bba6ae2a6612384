"""What our panels have in common: every event draws the page anew."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext

from fiftyone_coco_audit.panels.compact import NOT_WIDENED
from fiftyone_coco_audit.panels.inputs import STATELESS


class StatelessPanel(foo.Panel):
    """A panel whose state is empty.

    Every event draws the page anew from what :mod:`.base` keeps for the panel and the
    dataset.
    """

    def execute(self, ctx: ExecutionContext) -> Any:
        """Draws nothing if nothing has changed.

        The App reports a change of the view several times, and a change of a line of
        text when it first shows the line.
        """
        if self.apply_event(ctx.params.get("__method__"), ctx):
            return super().execute(ctx)
        return None

    def apply_event(self, event: str | None, ctx: ExecutionContext) -> bool:
        """Sets the control that reports a value; returns whether the page changes."""
        raise NotImplementedError

    def on_change_dataset(self, ctx: ExecutionContext) -> None:
        """Draws the page of another dataset."""
        self.on_load(ctx)

    def render(self, ctx: ExecutionContext) -> types.Property:
        """The panel as a form."""
        panel = types.Object()
        style = {**NOT_WIDENED, **self.style(ctx)}
        self.draw(panel.v_stack(STATELESS, gap=1, pad=2, componentsProps=style), ctx)
        # As wide as the panel, not as its longest line
        view = types.GridView(orientation="vertical", componentsProps=NOT_WIDENED)
        return types.Property(panel, view=view)

    def style(self, ctx: ExecutionContext) -> dict[str, Any]:
        """More properties of the page."""
        return {}

    def draw(self, page: types.Object, ctx: ExecutionContext) -> None:
        """Draws the page."""
        raise NotImplementedError
