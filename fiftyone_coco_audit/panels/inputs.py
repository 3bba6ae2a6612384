"""Controls of a panel that the App keeps out of the panel's state.

With every change of that state the App stores its layout, loads its page again and
draws all labels in the grid again; after a second change within two seconds, labels
with masks are gone. So a control only reports its value, the panel keeps it (see
:func:`.base.keep`), and draws the control with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext

from fiftyone_coco_audit.operators.forms import add_choice
from fiftyone_coco_audit.panels.blocks import Choice, Control, Slider

#: The name of the object that holds the whole form of a panel. The App sets the value
#: of a control at its path in a copy of the state, with Lodash's ``set``, and reports
#: path and value to the panel. Lodash sets nothing at a path that begins with this
#: word, which would change other objects, so the state remains what it was.
STATELESS = "prototype"

#: Lists of more options can be searched
_MOST_OPTIONS = 12

#: The event when a control changes
Change = Callable[[ExecutionContext], None]

# Less space and smaller letters than the App's, so that four controls in half of a
# window of 1440 pixels show all of `ground_truth`
_LETTERS = "0.9rem"
_SELECT = {
    ".MuiSelect-select": {
        # The App fades out a value that is not in the state
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
_SLIDER = {
    "flex": "1 1 220px",
    "width": "auto",
    "& > .MuiBox-root": {"padding": "0 8px"},
}
# If the list were as wide as its control, it would cut names where they start to differ
_FOUND = {
    "popper": {
        "placement": "bottom-start",
        "style": {"width": "max-content", "minWidth": "140px", "maxWidth": "420px"},
        "sx": {"& .MuiAutocomplete-option": {"overflowWrap": "anywhere"}},
    }
}


def changed_control(ctx: ExecutionContext) -> tuple[str, Any]:
    """The name of the control that reports a change, and its value."""
    return str(ctx.params["path"]).rpartition(".")[2], ctx.params.get("value")


def add_control(row: types.Object, name: str, control: Control, change: Change) -> None:
    """Adds a list to choose from, searched if it is long, a line of text, or a slider.

    A line of text, or a slider, keeps what it was first given: another value needs
    another name. A line reports its first value once, as if that were a change.

    Args:
        row: what it is added to
        name: the name that it is drawn under
        control: the control
        change: the event of another value
    """
    if isinstance(control, Slider):
        _add_slider(row, name, control, change)
        return
    width = f"{control.width}px" if control.width else None
    place: dict[str, Any] = {}
    if control.grows:
        flex = {"flex": f"1 1 {width}", "maxWidth": f"calc(1.6*{width})"}
        place = {"item": {"sx": flex}}
    if isinstance(control, Choice):
        view = _choices(control, {"label": control.label, "width": width}, place)
        add_choice(row, name, control.options, view, on_change=change)
        return
    more: dict[str, Any] = {"componentsProps": place} if place else {}
    if width:
        more["width"] = width
    if control.lines > 1:
        more |= {"multiline": True, "rows": control.lines}
    if control.caption:
        more["caption"] = control.caption
    row.str(
        name,
        label=control.label,
        default=control.value,
        view=types.LazyFieldView(**more),
        on_change=change,
    )


def _add_slider(row: types.Object, name: str, control: Slider, change: Change) -> None:
    """Adds a slider, which reports its value when it is released."""
    view = types.SliderView(
        label=f"{control.label} {control.value:.2f}",
        value_label_display="auto",
        value_precision=2,
        view_multiple_of=control.step,
        componentsProps={
            # Its value is not in the state
            "slider": {"defaultValue": control.value, "size": "small"},
            "item": {"sx": _SLIDER},
        },
    )
    row.float(
        name,
        min=control.low,
        max=control.high,
        default=control.value,
        view=view,
        on_change=change,
    )


def _choices(
    control: Choice, more: dict[str, Any], place: dict[str, Any]
) -> types.Choices:
    value, many = control.value, len(control.options) > _MOST_OPTIONS
    if value is None:
        if many:
            return types.AutocompleteView(allow_user_input=False, **more)
        return types.DropdownView(**more)
    if not many:
        select = {"value": value, "sx": _SELECT}
        return types.DropdownView(componentsProps={"select": select, **place}, **more)
    label = dict(control.options).get(value, value)
    chosen = {"id": value, "value": value, "label": label}
    search = {"value": chosen, "sx": _SEARCHED, "slotProps": _FOUND}
    return types.AutocompleteView(
        allow_user_input=False,
        allow_clearing=False,
        componentsProps={"autocomplete": search, **place},
        **more,
    )


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
