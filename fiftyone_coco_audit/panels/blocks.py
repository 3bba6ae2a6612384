"""The blocks that panels are made of, before they become a form of the App."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fiftyone_coco_audit.findings import Finding
from fiftyone_coco_audit.panels.extents import Extent
from fiftyone_coco_audit.panels.figures.figure import Figure
from fiftyone_coco_audit.panels.selections import Selection

#: Maps the position of a trace and that of a mark in it, ``(row, column)`` in a
#: heat map, to what the mark stands for
Pick = Callable[[int, Any], Selection]

#: Pairs of values and their labels
Options = Sequence[tuple[str, str]]

#: Four of them fit side by side in half of a window of 1440 pixels
CONTROL_WIDTH = 112


@dataclass(frozen=True)
class Plot:
    """A plot under its headline; each mark opens what it stands for.

    Args:
        name: a name that no other block of the tab has
        headline: a sentence with the figure that the plot shows
        figure: the plot
        pick: what a mark stands for
        advice: what to do about it
        as_patches: whether marks always open as patches
    """

    name: str
    headline: str
    figure: Figure
    pick: Pick
    advice: str = ""
    as_patches: bool = False


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
        size: the size of the letters
        scrolls: whether a line that is too long scrolls, as code does
    """

    name: str
    markdown: str
    size: str = "1rem"
    scrolls: bool = False


@dataclass(frozen=True)
class Message:
    """A message, such as why something is not shown.

    Args:
        name: a name that no other block has
        text: one sentence or more
        severity: ``"note"``, ``"warning"`` or ``"error"``
    """

    name: str
    text: str
    severity: str = "note"


@dataclass(frozen=True)
class Choice:
    """A control with a list of options.

    Args:
        name: the field of the panel's controls that it sets
        label: what it is called
        options: pairs of values and their labels
        value: the chosen value; None for a list whose options act once
        width: its width in pixels
        grows: whether it uses some of the free width of the row
        event: the event of another choice
        fixed: whether it keeps its first value, as a line of text does
    """

    name: str
    label: str
    options: Options
    value: str | None
    width: int = CONTROL_WIDTH
    grows: bool = True
    event: str = "change"
    fixed: bool = False


@dataclass(frozen=True)
class Entry:
    """A control that is a line of text.

    Args:
        name: the field of the panel's controls that it sets
        label: its label
        value: the text
        error: what is wrong with the text
        width: its width in pixels; None for the full width
        grows: whether it uses some of the free width of the row
        event: the event of another text
        caption: what may be written
        lines: how many lines it has
    """

    name: str
    label: str
    value: str
    error: str = ""
    width: int | None = CONTROL_WIDTH
    grows: bool = True
    event: str = "change"
    caption: str = ""
    lines: int = 1


@dataclass(frozen=True)
class Slider:
    """A control that is a number in a range.

    Args:
        name: the field of the panel's controls that it sets
        label: its label
        value: the number
        low: the lowest number
        high: the highest number
        step: the distance between numbers
        event: the event of another number
    """

    name: str
    label: str
    value: float
    low: float = 0.0
    high: float = 1.0
    step: float = 0.01
    event: str = "change"


Control = Choice | Entry | Slider


@dataclass(frozen=True)
class Row:
    """Controls for what is below them.

    Args:
        name: a name that no other row of the tab has
        controls: the controls
    """

    name: str
    controls: Sequence[Control]


@dataclass(frozen=True)
class Button:
    """A button, which sets controls unless it has another event.

    Args:
        name: a name that no other block of the tab has
        label: what is written on it
        sets: values by the names of the panel's controls
        event: another event of the panel, or the URI of an operator whose form it
            opens
        icon: the name of a Material icon
        params: the parameters of the event
        disabled: whether it does nothing now
        filled: whether it stands out
    """

    name: str
    label: str
    sets: Mapping[str, str] = field(default_factory=dict)
    event: str = "set_controls"
    icon: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    disabled: bool = False
    filled: bool = False


@dataclass(frozen=True)
class Opener:
    """A button that opens some images or labels.

    Args:
        name: a name that no other block of the tab has
        label: what is written on it
        selection: what it opens
        title: what that is called
    """

    name: str
    label: str
    selection: Selection
    title: str = ""


@dataclass(frozen=True)
class Buttons:
    """Buttons beside each other.

    Args:
        name: a name that no other block of the tab has
        buttons: the buttons
    """

    name: str
    buttons: Sequence[Button | Opener]


@dataclass(frozen=True)
class Bar:
    """Texts, controls and small buttons beside each other.

    Args:
        name: a name that no other block has
        parts: what is in it
        gap: the space between them
    """

    name: str
    parts: Sequence[Text | Button | Control]
    gap: int = 1


@dataclass(frozen=True)
class Pictures:
    """Pictures under each other and beside each other, as many as fit.

    Args:
        name: a name that no other block has
        pictures: pairs of a URI and a caption in Markdown
        width: the minimum width of each in pixels
    """

    name: str
    pictures: Sequence[tuple[str, str]]
    width: int


@dataclass(frozen=True)
class Group:
    """Blocks in a frame.

    Args:
        name: a name that no other block has
        blocks: the blocks
    """

    name: str
    blocks: Sequence[Block]


Block = Plot | Card | Text | Message | Row | Control | Buttons | Bar | Pictures | Group


@dataclass(frozen=True)
class Tab:
    """A tab of the panel.

    Args:
        blocks: what it shows, from the top
        controls: its settings
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

    def opener(self, name: str) -> Opener | None:
        """A button that opens something by its name, None if the tab has none."""
        rows = (block.buttons for block in self.blocks if isinstance(block, Buttons))
        known = (one for row in rows for one in row if isinstance(one, Opener))
        return next((one for one in known if one.name == name), None)
