"""What a user has set in a panel, and how its controls report it.

A line of text keeps what it was first given. It is drawn under a name with a revision,
so that another value of it takes its place, and reports of what is gone are known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

from fiftyone.operators.executor import ExecutionContext

from fiftyone_coco_audit.fiftyone_internals import with_stages
from fiftyone_coco_audit.panels.base import keep, kept
from fiftyone_coco_audit.panels.inputs import changed_control

if TYPE_CHECKING:
    import fiftyone as fo

_Controls = TypeVar("_Controls", bound="PanelControls")

# Between the name of a control and its revision
_AT = "__"


@dataclass(frozen=True)
class PanelControls:
    """The settings of a panel of the grid; those of its tabs are added to these.

    Args:
        tab: the tab that is shown
        stages: those of the view that is shown, None for the whole dataset
    """

    tab: str = ""
    stages: list[dict[str, Any]] | None = None

    @classmethod
    def of(cls: type[_Controls], state: Mapping[str, Any] | None) -> _Controls:
        """Reads settings that were kept, if any.

        Args:
            state: values by the names of the fields
        """
        known = {one.name for one in fields(cls)}
        return cls(
            **{
                name: value
                for name, value in (state or {}).items()
                if name in known and (value is not None or name == "stages")
            }
        )

    @classmethod
    def names(cls) -> list[str]:
        """The settings below the tabs."""
        known = [one.name for one in fields(cls)]
        return [name for name in known if name not in ("tab", "stages")]

    def samples(self, dataset: fo.Dataset) -> fo.SampleCollection:
        """What is shown.

        Args:
            dataset: the dataset of the App
        """
        return with_stages(dataset, self.stages)


def set_controls(ctx: ExecutionContext, values: Mapping[str, Any]) -> None:
    """Sets controls in place of the user."""
    keep(ctx, controls={**kept(ctx, "controls", {}), **values})
    renew(ctx)


def set_control(
    ctx: ExecutionContext, shown: Callable[[ExecutionContext], Mapping[str, Any]]
) -> bool:
    """Sets the control that reports a value.

    Args:
        ctx: the context of the event
        shown: returns what each control shows, with what is set by then

    Returns:
        whether that changed anything. A line of text reports its first value too.
    """
    name, value = changed_control(ctx)
    control, before = control_of(ctx, name), shown(ctx)
    if control is None or str(before.get(control, value)) == str(value):
        return False
    keep(ctx, controls={**kept(ctx, "controls", {}), control: value})
    now = shown(ctx)[control]
    if control != name and str(now) != str(value):
        # The line shows the value in use, whatever was typed
        renew(ctx)
        return True
    return bool(now != before[control])


def renew(ctx: ExecutionContext) -> None:
    """Draws lines of text anew."""
    keep(ctx, revision=revision_of(ctx) + 1)


def revision_of(ctx: ExecutionContext) -> int:
    """How often lines of text have been drawn anew."""
    return int(kept(ctx, "revision", 0))


def name_of(control: str, revision: int) -> str:
    """The name that a line of text is drawn under."""
    return f"{control}{_AT}{revision}"


def control_of(ctx: ExecutionContext, name: str) -> str | None:
    """The control that is drawn under a name, None if it is drawn no more."""
    control, at, revision = name.partition(_AT)
    return None if at and revision != str(revision_of(ctx)) else control
