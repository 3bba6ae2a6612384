"""What our panels share: what they keep belongs to one dataset."""

from __future__ import annotations

import fiftyone.operators as foo
from fiftyone.operators.executor import ExecutionContext


class DatasetPanel(foo.Panel):
    """A panel that is drawn anew at every event, from what its state holds.

    Its state names the ``dataset`` that it was made for.
    """

    def on_load(self, ctx: ExecutionContext) -> None:
        """Forgets what was set for another dataset."""
        if ctx.dataset is not None and ctx.panel.state.dataset != ctx.dataset.name:
            self.on_change_dataset(ctx)

    def on_change_dataset(self, ctx: ExecutionContext) -> None:
        """Begins anew with another dataset."""
        raise NotImplementedError

    def change(self, ctx: ExecutionContext) -> None:
        """Draws the page with what was set, which the App has kept already."""
