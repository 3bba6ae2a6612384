"""What a tab of the panel is made of, before it is a form of the App."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fiftyone_coco_audit.findings import Finding
from fiftyone_coco_audit.panels.extents import Extent
from fiftyone_coco_audit.panels.figures.figure import Figure
from fiftyone_coco_audit.panels.selections import Selection

#: From the position of a trace and that of a mark in it, ``(row, column)`` in a
#: heat map, to what the mark stands for
Pick = Callable[[int, Any], Selection]


@dataclass(frozen=True)
class Plot:
    """A plot under its headline, every mark of which opens what it stands for.

    Args:
        name: a name that no other block of the tab has
        headline: a sentence with the figure that the plot shows
        figure: the plot
        pick: what a mark stands for
        advice: what to do about it
    """

    name: str
    headline: str
    figure: Figure
    pick: Pick
    advice: str = ""


@dataclass(frozen=True)
class Card:
    """A finding, with buttons that open what it is about.

    Args:
        name: a name that no other finding has, so that no other card takes its place
        finding: the finding
        extent: how many labels or images it is about
    """

    name: str
    finding: Finding
    extent: Extent


@dataclass(frozen=True)
class Text:
    """Some Markdown.

    Args:
        name: a name that no other block of the tab has
        markdown: the text
    """

    name: str
    markdown: str


@dataclass(frozen=True)
class Choice:
    """A control that is a list to choose from.

    Args:
        name: the field of the panel's controls that it sets
        label: what it is called
        options: pairs of values and what they are called
        value: the value that is chosen
        wide: whether it takes twice the width
    """

    name: str
    label: str
    options: Sequence[tuple[str, str]]
    value: str
    wide: bool = False


@dataclass(frozen=True)
class Entry:
    """A control that is a line of text.

    Args:
        name: the field of the panel's controls that it sets
        label: what it is called
        value: the text
        error: what is wrong with the text
        wide: whether it takes twice the width
    """

    name: str
    label: str
    value: str
    error: str = ""
    wide: bool = False


Control = Choice | Entry


@dataclass(frozen=True)
class Row:
    """Controls of what is below them.

    Args:
        name: one of :data:`.audit_controls.ROWS`
        controls: the controls
    """

    name: str
    controls: Sequence[Control]


@dataclass(frozen=True)
class Button:
    """A button that sets controls.

    Args:
        name: a name that no other block of the tab has
        label: what is written on it
        sets: values by the names of fields of the panel's controls
        event: the event of the panel that it is instead of setting controls, or the
            URI of an operator whose form it opens
        icon: the name of a Material icon
    """

    name: str
    label: str
    sets: Mapping[str, str] = field(default_factory=dict)
    event: str = "set_controls"
    icon: str = ""


@dataclass(frozen=True)
class Buttons:
    """Buttons beside each other.

    Args:
        name: a name that no other block of the tab has
        buttons: the buttons
    """

    name: str
    buttons: Sequence[Button]


Block = Plot | Card | Text | Row | Buttons


@dataclass(frozen=True)
class Tab:
    """A tab of the panel.

    Args:
        blocks: what it shows, from the top
        controls: what of all that can be set
    """

    blocks: Sequence[Block]
    controls: Sequence[Control] = ()

    def all_controls(self) -> list[Control]:
        """The controls of the tab, and those in rows among its blocks."""
        rows = (block.controls for block in self.blocks if isinstance(block, Row))
        return [*self.controls, *(control for row in rows for control in row)]

    def plot(self, name: str) -> Plot | None:
        """A plot by its name, None if the tab has none of that name."""
        plots = (block for block in self.blocks if isinstance(block, Plot))
        return next((plot for plot in plots if plot.name == name), None)

    def card(self, name: str) -> Card | None:
        """A card by its name, None if the tab has none of that name."""
        cards = (block for block in self.blocks if isinstance(block, Card))
        return next((card for card in cards if card.name == name), None)
