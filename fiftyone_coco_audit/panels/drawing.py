"""Blocks as a form of the App."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from fiftyone_coco_audit.escaping import markdown
from fiftyone_coco_audit.findings import Finding, rule_page
from fiftyone_coco_audit.panels.base import AS_WIDE_AS_NEEDED
from fiftyone_coco_audit.panels.blocks import (
    Block,
    Button,
    Buttons,
    Card,
    Choice,
    Entry,
    Plot,
    Row,
    Text,
)
from fiftyone_coco_audit.panels.compact import NOT_WIDENED, add_small_button, add_text
from fiftyone_coco_audit.panels.controls import name_of
from fiftyone_coco_audit.panels.inputs import add_button, add_dropdown, add_entry

# Scrolling moves the panel, and does not zoom the plot that happens to be there
_PLOTLY = {"displayModeBar": False, "scrollZoom": False, "responsive": True}
_COLORS = {"error": "error.main", "warning": "warning.main", "note": "info.main"}
_TAB_LIST = {"container": {"sx": {"borderBottom": 1, "borderColor": "divider"}}}
# Four of them beside each other in half of a window of 1440 pixels
_CONTROL_WIDTH, _WIDE = "112px", "232px"
_CARD_TEXT = "0.9rem"


@dataclass(frozen=True)
class Drawing:
    """How the blocks of a page are drawn.

    Args:
        owner: the panel, whose events the buttons are
        stamp: what cards and marks carry, see :class:`.page.Page`
        revision: that of lines of text
    """

    owner: foo.Panel
    stamp: str
    revision: int

    def add_blocks(
        self, page: types.Object, name: str, blocks: Sequence[Block]
    ) -> None:
        """Adds blocks; each row of controls begins a new stack.

        The headline of what a row controls is above the row, as it is read first.

        Args:
            page: what they are added to
            name: the name of the stacks
            blocks: the blocks, a row first
        """
        body, headed = page, False
        for block, after in zip(blocks, [*blocks[1:], None], strict=True):
            if isinstance(block, Row):
                headed = isinstance(after, Plot | Text)
                if headed:
                    self._add_headline(page, after)
                self._add_row(page, block)
                stack = name if block is blocks[0] else f"{name}_{block.name}"
                body = page.v_stack(stack, gap=1, componentsProps=NOT_WIDENED)
                continue
            if isinstance(block, Plot | Text) and not headed:
                self._add_headline(body, block)
            headed = False
            if isinstance(block, Plot):
                self._add_plot(body, block)
            elif isinstance(block, Card):
                self._add_card(body, block)
            elif isinstance(block, Buttons):
                self.add_buttons(body, block)

    def add_buttons(self, body: types.Object, block: Buttons) -> None:
        """Adds buttons beside each other."""
        group = body.grid(block.name, gap=1)
        for button in block.buttons:
            add_button(
                group,
                button.name,
                button.label,
                icon=button.icon or None,
                variant="outlined",
                componentsProps=AS_WIDE_AS_NEEDED,
                **self._event(button),
            )

    def _event(self, button: Button) -> dict[str, Any]:
        if button.event.startswith("@"):
            return {"on_click": button.event, "prompt": True}
        event = getattr(self.owner, button.event)
        return {"on_click": event, "params": {"sets": dict(button.sets)}}

    def _add_headline(self, body: types.Object, block: Plot | Text | Any) -> None:
        """What is read first of a block: all of a text."""
        if isinstance(block, Text):
            add_text(body, block.name, block.markdown)
        else:
            advice = f"\n\n{markdown(block.advice)}" if block.advice else ""
            text = f"**{markdown(block.headline)}**{advice}"
            add_text(body, f"{block.name}_headline", text, margin=".35rem 0")

    def _add_plot(self, body: types.Object, block: Plot) -> None:
        # With the form, not as data of the panel: for each piece of these the App draws
        # all plots anew, and it copies them into the state that every event sends
        body.plot(
            block.name,
            data=block.figure.stamped(self.stamp),
            layout=block.figure.layout,
            config=_PLOTLY,
            on_click=self.owner.open_mark,
            height=f"{block.figure.height}px",
        )

    def _add_row(self, page: types.Object, row: Row) -> None:
        grid = page.grid(row.name, gap=1)
        change = self.owner.change
        for control in row.controls:
            name, label, value = control.name, control.label, control.value
            width = _WIDE if control.wide else _CONTROL_WIDTH
            more = (value, change, width)
            if isinstance(control, Choice):
                add_dropdown(grid, name, label, control.options, *more, grows=True)
            else:
                name = name_of(name, self.revision)
                add_entry(grid, name, label, *more, grows=True)
        for control in row.controls:
            if isinstance(control, Entry) and control.error:
                warning = types.Warning(label=control.error)
                page.view(f"{control.name}_error", warning)

    def _add_card(self, body: types.Object, block: Card) -> None:
        finding, color = block.finding, _COLORS[block.finding.severity]
        card = body.v_stack(
            block.name,
            gap=0,
            componentsProps={
                "grid": {
                    "sx": {
                        **NOT_WIDENED["grid"]["sx"],
                        "borderLeft": "4px solid",
                        "borderLeftColor": color,
                        "backgroundColor": "action.hover",
                        "padding": "4px 8px 6px 10px",
                    }
                }
            },
        )
        head = card.grid("head", gap=1, align_y="center")
        title = (
            f"**{finding.severity.capitalize()}** · {finding.code} "
            f"{markdown(finding.name)}"
        )
        add_text(head, "heading", title, grows=True, size=_CARD_TEXT)
        for label, as_patches in _ways(block):
            add_small_button(
                head,
                "patches" if as_patches else "open",
                label,
                self.owner.open_finding,
                params={
                    "card": block.name,
                    "stamp": self.stamp,
                    "as_patches": as_patches,
                },
            )
        add_text(card, "text", _text_of(finding), size=_CARD_TEXT)


def add_tabs(
    page: types.Object, owner: foo.Panel, names: Sequence[str], shown: str
) -> None:
    """Adds the tabs, the names of which an event reports."""
    # Not a TabsView, which writes the panel's state: see inputs.STATELESS
    tabs = page.grid("tabs", gap=0, componentsProps=_TAB_LIST)
    for name in names:
        add_button(
            tabs,
            name,
            name.title(),
            on_click=owner.show_tab,
            params={"tab": name},
            look=_tab_look(name == shown),
            componentsProps=AS_WIDE_AS_NEEDED,
        )


def _tab_look(selected: bool) -> dict[str, Any]:
    """Makes a button look like a tab."""
    underline = "primary.main" if selected else "transparent"
    look: Mapping[str, Any] = {
        "color": "primary.main" if selected else "text.secondary",
        "padding": "6px 14px",
        "borderRadius": 0,
        "borderBottom": 2,
        "borderBottomColor": underline,
        "&:hover": {
            "borderBottomColor": underline,
            "backgroundColor": "action.hover",
        },
        "&.Mui-focusVisible": {"outline": "2px solid", "outlineOffset": "-4px"},
    }
    return {"variant": "text", "aria-current": selected, "sx": look}


def _ways(card: Card) -> list[tuple[str, bool]]:
    """How a card can be opened, the best way first: label, and whether as patches."""
    if not card.finding.subject:
        return []
    if not card.extent.has_patches:
        return [(f"Open {card.extent}", False)]
    if card.extent.patches_first:
        labels, _, images = str(card.extent).partition(" in ")
        return [(f"Open {labels} as patches", True), (f"In {images}", False)]
    return [(f"Open {card.extent}", False), ("As patches", True)]


def _text_of(finding: Finding) -> str:
    """What a card says, as Markdown."""
    page = rule_page(finding.code)
    more = f" [What is this rule?]({page})" if page else ""
    return f"**{markdown(finding.message)}** {markdown(finding.advice)}{more}"
