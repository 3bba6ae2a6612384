"""The panel *COCO Audit* as the App keeps it, without a browser."""

from collections.abc import Iterator, Mapping
from typing import Any

from fiftyone_coco_audit.panels.inputs import STATELESS
from tests.app.panel_driver import PanelSession


class Session(PanelSession):
    """The panel *COCO Audit*."""

    uri = "@coco-audit/coco-audit/coco_audit"
    #: The names of rows of controls, and the controls that keep their first value
    rows = ("controls", "resampling", "sources", "sets")
    entries = ("resize_size", "custom_anchors", "threshold", "exponent")
    revision = 0

    def send(self, method: str, **params: Any) -> None:
        super().send(method, **params)
        # The App draws all labels anew with each change of the state
        assert not self.state
        self.plots = {
            path.removeprefix(f"{STATELESS}."): data
            for path, data in self.plots.items()
        }

    def turn_to(self, tab: str, **controls: Any) -> None:
        for name, value in controls.items():
            self.change(name, value)
        self.send("show_tab", tab=tab)

    def change(self, control: str, value: Any) -> None:
        self.send(
            "change", path=f"{STATELESS}.row.{self.name_of(control)}", value=value
        )

    def name_of(self, control: str) -> str:
        if control not in self.entries:
            return control
        revisions = [int(name.partition("__")[2] or 0) for name in self.controls()]
        self.revision = max([self.revision, *revisions])
        return f"{control}__{self.revision}"

    def controls(self) -> dict[str, Any]:
        """What the controls show, by the names that they are drawn under."""
        shown: dict[str, Any] = {}
        page = self.form["type"]["properties"][STATELESS]["type"]["properties"]
        for row in (page[name] for name in self.rows if name in page):
            for control, part in row["type"]["properties"].items():
                props = part["view"].get("componentsProps") or {}
                value = part["default"]
                if "select" in props:
                    value = props["select"]["value"]
                elif "autocomplete" in props:
                    value = props["autocomplete"]["value"]["value"]
                shown[control] = value
        return shown

    def value_of(self, control: str) -> str:
        return self.controls()[self.name_of(control)]

    def click(self, path: str, mark: Any, trace: int = 0) -> list[str]:
        """Clicks a mark, and returns the labels that are opened."""
        self.press(path, mark, trace)
        assert self.view is not None
        return self.view.values("ground_truth.detections.id", unwind=True)

    def press(self, path: str, mark: Any, trace: int = 0) -> None:
        """Clicks a mark."""
        self.send("open_mark", **self.mark(path, mark, trace))

    def mark(self, path: str, mark: Any, trace: int = 0) -> dict[str, Any]:
        """What the App sends with a click on a mark."""
        ids = self.plots[path][trace]["ids"]
        found = ids[mark[1]][mark[0]] if isinstance(mark, list) else ids[mark]
        return {"path": path, "idx": mark, "trace_idx": trace, "id": found}

    def cards(self, *, as_patches: bool = False) -> list[dict[str, Any]]:
        """What the buttons of the findings that open something send, in order."""
        buttons = [
            button["view"]["params"]
            for button in properties_of(self.form)
            if button["view"]["name"] == "Button"
            and "open_finding" in str(button["view"]["operator"])
        ]
        return [one for one in buttons if one["as_patches"] == as_patches]


def properties_of(form: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """All that a form consists of."""
    for part in form["type"].get("properties", {}).values():
        yield part
        yield from properties_of(part)
