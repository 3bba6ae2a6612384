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
    Bar,
    Block,
    Button,
    Buttons,
    Card,
    Choice,
    Control,
    Entry,
    Group,
    Message,
    Opener,
    Pictures,
    Plot,
    Row,
    Slider,
    Text,
)
from fiftyone_coco_audit.panels.compact import NOT_WIDENED, add_small_button, add_text
from fiftyone_coco_audit.panels.controls import name_of
from fiftyone_coco_audit.panels.inputs import add_button, add_control

# Scrolling moves the panel instead of zooming the plot under the pointer
_PLOTLY = {"displayModeBar": False, "scrollZoom": False, "responsive": True}
_COLORS = {"error": "error.main", "warning": "warning.main", "note": "info.main"}
_TAB_LIST = {"container": {"sx": {"borderBottom": 1, "borderColor": "divider"}}}
_MESSAGES = {"note": types.Notice, "warning": types.Warning, "error": types.Error}
# Long lines do not widen the elements above and below them
_SCROLLING = {"item": {"sx": {"minWidth": 0, "overflowX": "auto"}}}
_CARD_TEXT = "0.9rem"


@dataclass(frozen=True)
class Drawing:
    """Draws the blocks of a page.

    Args:
        owner: the panel, which has the events of buttons
        revision: the revision of lines of text
        stamp: what cards and marks carry, see :class:`.pages.Page`
    """

    owner: foo.Panel
    revision: int = 0
    stamp: str = ""

    def add_blocks(
        self, page: types.Object, name: str, blocks: Sequence[Block]
    ) -> None:
        """Adds blocks; each row of controls begins a new stack.

        The headline of what a row controls is above the row, since it is read first.

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
            add: dict[type, Any] = {
                Plot: self._add_plot,
                Card: self._add_card,
                Message: self._add_message,
                Choice: self._add_control,
                Entry: self._add_control,
                Slider: self._add_control,
                Buttons: self.add_buttons,
                Bar: self._add_bar,
                Pictures: self._add_pictures,
                Group: self._add_group,
            }
            if type(block) in add:
                add[type(block)](body, block)

    def _add_message(self, body: types.Object, block: Message) -> None:
        body.view(block.name, _MESSAGES[block.severity](label=block.text))

    def _add_group(self, body: types.Object, block: Group) -> None:
        frame = {"gap": 1, "width": "100%", "variant": "outline", "pad": 2}
        group = body.v_stack(block.name, **frame)
        self.add_blocks(group, block.name, block.blocks)

    def _add_bar(self, body: types.Object, block: Bar) -> None:
        has_text = any(isinstance(part, Text) for part in block.parts)
        centered = {"align_y": "center"} if has_text else {}
        bar = body.grid(block.name, gap=block.gap, **centered)
        for part in block.parts:
            if isinstance(part, Text):
                add_text(bar, part.name, part.markdown, grows=True, size=part.size)
            elif isinstance(part, Button):
                add_small_button(bar, part.name, part.label, **self._event(part))
            else:
                self._add_control(bar, part)

    def _add_control(self, body: types.Object, control: Control) -> None:
        is_fixed = not isinstance(control, Choice) or control.fixed
        name = name_of(control.name, self.revision) if is_fixed else control.name
        add_control(body, name, control, getattr(self.owner, control.event))

    def _add_pictures(self, body: types.Object, block: Pictures) -> None:
        columns = f"repeat(auto-fill, minmax(min({block.width}px, 100%), 1fr))"
        style = {"display": "grid", "alignItems": "start"}
        style["gridTemplateColumns"] = columns
        sheet = body.grid(block.name, gap=1, componentsProps={"grid": {"sx": style}})
        for place, (picture, caption) in enumerate(block.pictures):
            tile = sheet.v_stack(f"tile{place}", width="100%", gap=0)
            view = types.ImageView(width="100%", alt=caption)
            tile.str("picture", default=picture, view=view)
            add_text(tile, "caption", caption, size=_CARD_TEXT)

    def add_buttons(self, body: types.Object, block: Buttons) -> None:
        """Adds buttons beside each other."""
        group = body.grid(block.name, gap=1)
        for button in block.buttons:
            add_button(
                group,
                button.name,
                button.label,
                componentsProps=AS_WIDE_AS_NEEDED,
                **self._event(button),
            )

    def _event(self, button: Button | Opener) -> dict[str, Any]:
        if isinstance(button, Opener):
            return {
                "icon": "filter_list",
                "on_click": self.owner.open_selection,
                "params": {"name": button.name, "stamp": self.stamp},
                "disabled": len(button.selection) == 0,
                "variant": "outlined",
            }
        variant = "contained" if button.filled else "outlined"
        look: dict[str, Any] = {"variant": variant}
        if button.icon:
            look["icon"] = button.icon
        if button.event.startswith("@"):
            return {"on_click": button.event, "prompt": True, **look}
        params = dict(button.params)
        if button.event == "set_controls":
            params = {"sets": dict(button.sets)}
        event = getattr(self.owner, button.event)
        more = {"params": params or None, "disabled": button.disabled}
        return {"on_click": event, **more, **look}

    def _add_headline(self, body: types.Object, block: Plot | Text | Any) -> None:
        """The text of a block."""
        if isinstance(block, Text) and block.scrolls:
            body.md(block.markdown, name=block.name, componentsProps=_SCROLLING)
        elif isinstance(block, Text):
            add_text(body, block.name, block.markdown, size=block.size)
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
        for control in row.controls:
            self._add_control(grid, control)
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
        first = str(finding.gain) if finding.gain else finding.severity.capitalize()
        title = f"**{markdown(first)}** · {finding.code} {markdown(finding.name)}"
        add_text(head, "heading", title, grows=True, size=_CARD_TEXT)
        for label, as_patches in _ways(block):
            add_small_button(
                head,
                "patches" if as_patches else "open",
                label,
                on_click=self.owner.open_finding,
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
    """Adds the tabs, whose names an event reports."""
    # Not a TabsView, which writes the panel's state: see inputs.STATELESS
    tabs = page.grid("tabs", gap=0, componentsProps=_TAB_LIST)
    for name in names:
        add_button(
            tabs,
            name,
            tab_title(name),
            on_click=owner.show_tab,
            params={"tab": name},
            look=_tab_look(name == shown),
            componentsProps=AS_WIDE_AS_NEEDED,
        )


def tab_title(name: str) -> str:
    """What is written on a tab."""
    return name.replace("_", " ").capitalize()


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
