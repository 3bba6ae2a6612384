"""The pages that a panel of the grid draws, which clicks refer to."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

from fiftyone.operators.executor import ExecutionContext

from fiftyone_coco_audit.panels.base import keep, kept
from fiftyone_coco_audit.panels.blocks import Choice, Tab
from fiftyone_coco_audit.panels.controls import PanelControls


@dataclass(frozen=True)
class Page:
    """What a panel shows.

    Args:
        controls: the settings
        subject: the choice of what is shown, such as the label field
        reading: what is shown
        tab: the tab that is shown
        revision: how often lines of text have been set in place of the user
    """

    controls: Any
    subject: Choice
    reading: Any
    tab: Tab
    revision: int

    @cached_property
    def stamp(self) -> str:
        """Identifies the page among all that show something else.

        Cards and marks carry it, so that a click opens what was there when it was
        made, whatever the panel shows by then.
        """
        what = repr((self.reading.number, self.controls))
        return blake2b(what.encode(), digest_size=6).hexdigest()


class DrawnPages:
    """The pages drawn last, by their stamps.

    Args:
        most: how many to keep
    """

    def __init__(self, most: int = 16) -> None:
        self._most = most
        self._pages: OrderedDict[str, Page] = OrderedDict()

    def add(self, page: Page) -> None:
        """Keeps a page that is drawn."""
        self._pages[page.stamp] = page
        self._pages.move_to_end(page.stamp)
        while len(self._pages) > self._most:
            self._pages.popitem(last=False)

    def get(self, stamp: str | None) -> Page | None:
        """The page of a stamp; None if it is no longer kept."""
        return self._pages.get(stamp or "")


#: The pages of this process, the App's server
DRAWN = DrawnPages()


def settled_page(
    ctx: ExecutionContext,
    controls_of: Callable[[ExecutionContext], PanelControls],
    build: Callable[[Any], Page],
) -> Page:
    """Makes the page from the settings of the user, and keeps it for clicks.

    Args:
        ctx: the context of an event
        controls_of: returns the settings
        build: makes the page from them
    """
    while True:
        controls = controls_of(ctx)
        page = build(controls)
        # A change in the meantime may already have been handled
        if controls == controls_of(ctx):
            DRAWN.add(page)
            keep(ctx, shown=page.stamp)
            return page


def kept_controls(ctx: ExecutionContext, kind: type[PanelControls]) -> Any:
    """The settings that the user has chosen."""
    tab, stages = kept(ctx, "tab", kind.tab), kept(ctx, "stages", None)
    return kind.of({**kept(ctx, "controls", {}), "tab": tab, "stages": stages})


def shown_controls(ctx: ExecutionContext, kind: type[PanelControls]) -> dict[str, Any]:
    """What each control shows: what the user has set, or what was drawn last."""
    drawn: dict[str, Any] = dict.fromkeys(kind.names())
    page = DRAWN.get(kept(ctx, "shown", None))
    if page is not None:
        both = [page.subject, *page.tab.all_controls()]
        drawn |= {one.name: one.value for one in both}
    chosen = kept(ctx, "controls", {}).items()
    return drawn | {name: value for name, value in chosen if value is not None}
