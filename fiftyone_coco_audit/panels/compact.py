"""Text and buttons without extra space."""

from __future__ import annotations

from typing import Any

from fiftyone.operators import types

from fiftyone_coco_audit.panels.base import AS_WIDE_AS_NEEDED
from fiftyone_coco_audit.panels.inputs import add_button

# Long names without spaces do not widen the elements around them
_COMPACT = {
    "& p": {"margin": 0},
    "& p + p": {"marginTop": "0.3rem"},
    "overflowWrap": "anywhere",
    # Numbers and column heads are not broken; long names in cells may be
    "& th": {"overflowWrap": "break-word"},
    "& th, & td": {"padding": "6px 10px"},
}
_SMALL = {"padding": "1px 8px", "& .MuiTypography-root": {"fontSize": "0.85rem"}}
#: Props of a stack that keeps its width even if a plot in it was drawn in a wider panel
NOT_WIDENED = {"grid": {"sx": {"gridTemplateColumns": "minmax(0, 1fr)"}}}


def add_text(
    body: types.Object,
    name: str,
    text: str,
    *,
    grows: bool = False,
    margin: str = "0",
    size: str = "1rem",
) -> None:
    """Adds Markdown without the space that the App leaves around it.

    Args:
        body: what it is added to
        name: its name
        text: the Markdown
        grows: whether it takes the width that buttons beside it leave
        margin: the space around it
        size: the size of the letters
    """
    letters = {"& p, & strong, & a, & code": {"fontSize": size}}
    style = {"container": {"sx": {**_COMPACT, **letters, "margin": margin}}}
    if grows:
        style["item"] = {"sx": {"flex": "1 1 160px", "width": "auto"}}
    body.md(text, name=name, componentsProps=style)


def add_small_button(row: types.Object, name: str, label: str, **options: Any) -> None:
    """Adds a button that is as high as a line of text.

    Args:
        row: what it is added to
        name: its name
        label: what is written on it
        **options: those of :func:`.inputs.add_button`
    """
    add_button(
        row,
        name,
        label,
        look={"sx": _SMALL},
        componentsProps=AS_WIDE_AS_NEEDED,
        **{"variant": "outlined", **options},
    )
