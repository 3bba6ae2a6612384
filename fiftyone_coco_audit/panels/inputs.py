"""Controls of a panel that the App keeps out of the panel's state.

With every change of that state the App stores its layout, loads its page again and
draws all labels in the grid again; after a second change within two seconds, labels
with masks are gone. So a control only reports its value, the panel keeps it (see
:func:`.base.keep`), and draws the control with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext

from fiftyone_coco_audit.operators.forms import add_choice

#: The name of the object that holds the whole form of a panel. The App sets the value
#: of a control at its path in a copy of the state, with Lodash's ``set``, and reports
#: path and value to the panel. Lodash sets nothing at a path that begins with this
#: word, which would change other objects, so the state remains what it was.
STATELESS = "prototype"

#: Lists of more options can be searched
_MOST_OPTIONS = 12

#: The event of a control that changes
Change = Callable[[ExecutionContext], None]

# Less space and smaller letters than the App's, so that four controls in half of a
# window of 1440 pixels show all of `ground_truth`
_LETTERS = "0.9rem"
_SELECT = {
    ".MuiSelect-select": {
        # The App fades a value that it does not find in the state
        "opacity": 1,
        "fontSize": _LETTERS,
        "lineHeight": "1.4375rem",
        "paddingLeft": "8px",
        "&&": {"paddingRight": "22px"},
    },
    ".MuiSelect-icon": {"right": "1px"},
}
_SEARCHED = {
    "& .MuiOutlinedInput-root.MuiInputBase-sizeSmall": {
        "paddingLeft": "2px",
        "&&": {"paddingRight": "24px"},
    },
    "& .MuiOutlinedInput-root .MuiAutocomplete-endAdornment": {"right": "1px"},
    "& input": {"fontSize": _LETTERS},
}
# As wide as its control, the list would cut names where they begin to differ
_FOUND = {
    "popper": {
        "placement": "bottom-start",
        "style": {"width": "max-content", "minWidth": "140px", "maxWidth": "420px"},
        "sx": {"& .MuiAutocomplete-option": {"overflowWrap": "anywhere"}},
    }
}


def stateless_page(panel: types.Object, **view: Any) -> types.Object:
    """Adds the object that a panel is drawn into.

    Args:
        panel: the form of the panel
        **view: options of the stack that it is
    """
    return panel.v_stack(STATELESS, **view)


def changed_control(ctx: ExecutionContext) -> tuple[str, Any]:
    """The name of the control that reports a change, and its value."""
    return str(ctx.params["path"]).rpartition(".")[2], ctx.params.get("value")


def add_dropdown(
    row: types.Object,
    name: str,
    label: str,
    options: Sequence[tuple[str, str]],
    value: str,
    change: Change,
    width: str,
    *,
    grows: bool = False,
) -> None:
    """Adds a list to choose from; a long one can be searched.

    Args:
        row: what it is added to
        name: its name
        label: what it is called
        options: pairs of values and what they are called
        value: the value that is chosen
        change: the event of another choice
        width: its width
        grows: whether it takes some of the width that is left in the row
    """
    view: types.Choices
    place = _place(width, grows)
    if len(options) > _MOST_OPTIONS:
        chosen = {"id": value, "value": value, "label": dict(options).get(value, value)}
        view = types.AutocompleteView(
            label=label,
            width=width,
            allow_user_input=False,
            allow_clearing=False,
            componentsProps={
                "autocomplete": {
                    "value": chosen,
                    "sx": _SEARCHED,
                    "slotProps": _FOUND,
                },
                **place,
            },
        )
    else:
        view = types.DropdownView(
            label=label,
            width=width,
            componentsProps={"select": {"value": value, "sx": _SELECT}, **place},
        )
    add_choice(row, name, options, view, on_change=change)


def add_entry(
    row: types.Object,
    name: str,
    label: str,
    value: str,
    change: Change,
    width: str,
    *,
    grows: bool = False,
) -> None:
    """Adds a line of text.

    It keeps what it was first given: another value needs another name. It reports its
    first value once, as if that were a change.

    Args:
        row: what it is added to
        name: its name
        label: what it is called
        value: the text
        change: the event of another text
        width: its width
        grows: whether it takes some of the width that is left in the row
    """
    row.str(
        name,
        label=label,
        default=value,
        view=types.LazyFieldView(width=width, componentsProps=_place(width, grows)),
        on_change=change,
    )


def _place(width: str, grows: bool) -> dict[str, Any]:
    """Props of a control for its place in the row."""
    if not grows:
        return {}
    return {"item": {"sx": {"flex": f"1 1 {width}", "maxWidth": f"calc(1.6*{width})"}}}


def add_button(row: types.Object, name: str, label: str, **options: Any) -> None:
    """Adds a button that answers to `Enter` as it does to the space bar.

    The App withholds `Enter` from buttons of the browser, but not from what only looks
    like one.

    Args:
        row: what it is added to
        name: its name
        label: what is written on it
        **options: those of :meth:`fiftyone.operators.types.Object.btn`; ``look`` has
            properties of the button
    """
    look = {"component": "div", **options.pop("look", {})}
    props = {**options.pop("componentsProps", {}), "button": look}
    row.btn(name, label=label, componentsProps=props, **options)
