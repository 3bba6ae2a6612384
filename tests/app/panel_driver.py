"""What a person does in our panels, and what the App tells them."""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
from fiftyone import ViewField as F
from fiftyone.server.view import get_view
from playwright.sync_api import Locator, Page, Request, Response, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout

# In milliseconds; the App sends the change of a control a quarter of a second later
_QUIET, _STEP = 600, 50
_PATIENCE = 10_000

# A tab of ten plots takes a browser some seconds on a machine with other work
expect.set_options(timeout=30_000)

_NUMBERS = itertools.count(1)

LABEL = "COCO Audit: open the panel"

#: Where on the page a point of a plot's axes is
_PLACE = """(plot, [x, y]) => {
    const {xaxis, yaxis} = plot._fullLayout;
    const frame = plot.getBoundingClientRect();
    return [
        frame.left + xaxis._offset + xaxis.d2p(x),
        frame.top + yaxis._offset + yaxis.d2p(y),
    ];
}"""
_DRAWN = "plot => plot._fullLayout !== undefined && plot.data !== undefined"

# A notice goes away by itself, which on a busy machine may be before one looks
_KEEP_NOTICES = """() => {
    const told = window.noticesTold = [];
    const notices = '#notistack-snackbar';
    new MutationObserver(changes => {
        for (const node of changes.flatMap(change => [...change.addedNodes]))
            if (node instanceof Element && (node.matches(notices)
                    || node.querySelector(notices)))
                told.push(node.textContent);
    }).observe(document.body, {childList: true, subtree: true});
}"""
_WITHOUT_NOTICES = "[class*=notistack] { visibility: hidden !important }"
_TOLD = "words => window.noticesTold.some(told => told.includes(words))"


class PanelSession:
    """What the App keeps of an open panel, and what it is told.

    ``form`` is the page, and ``plots`` has the data of its plots, by their paths.
    """

    uri: str
    form: Mapping[str, Any]

    def __init__(self, dataset: fo.Dataset, **context: Any) -> None:
        self.context: dict[str, Any] = {"dataset": dataset, **context}
        self.state: dict[str, Any] = {}
        self.id = f"panel-{next(_NUMBERS)}"
        self.send("on_load")

    def send(self, method: str, **params: Any) -> None:
        """Sends an event to the panel, and keeps what it asks of the App."""
        result = foo.execute_operator(
            self.uri,
            self.context,
            params={
                "panel_id": self.id,
                "panel_state": self.state,
                "__method__": method,
                **params,
            },
        )
        self.output: str | None = None
        self.plots: dict[str, list[dict[str, Any]]] = {}
        self.view: fo.DatasetView | None = None
        self.notices: list[str] = []
        self.prompted: dict[str, Any] = {}
        self.asked: list[str] = []
        for request in result.executor._requests:
            name = request.operator_uri.rpartition("/")[2]
            self.asked.append(name)
            if name == "patch_panel_state":
                self.state.update(request.params["state"])
            elif name == "show_panel_output":
                self.form = request.params["output"]
                self.output = str(self.form)
                self.plots = dict(_plots(self.form))
            elif name == "notify":
                self.notices.append(request.params["message"])
            elif name == "prompt_user_for_operation":
                self.prompted = request.params
            elif name == "set_view":
                self.view = get_view(
                    self.context["dataset"], stages=request.params["view"]
                )

    @property
    def shown(self) -> str:
        """The page, which the event must have drawn anew."""
        assert self.output is not None
        return self.output


def _plots(
    shown: Mapping[str, Any], path: str = ""
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The data of the plots of a page, by their paths."""
    for name, field in shown["type"].get("properties", {}).items():
        if field["view"]["name"] == "PlotlyView":
            yield f"{path}{name}", field["view"]["data"]
        yield from _plots(field, f"{path}{name}.")


@dataclass(frozen=True)
class Opened:
    """What the grid was given when something was opened.

    Args:
        sample_ids: the samples of the first page, in order
        view: the view as the App asked for it
    """

    sample_ids: list[str]
    view: fo.DatasetView


class AuditPanel:
    """The panel, as a person uses it."""

    label = LABEL
    first_tab = "Findings"

    def __init__(self, page: Page, dataset: fo.Dataset) -> None:
        self.page = page
        self.dataset = dataset
        self.events: list[Any] = []
        # One that began before this is not among those that are waited for
        self._under_way: set[Request] = set()
        page.on("request", self._begin)
        page.on("requestfinished", self._end)
        page.on("requestfailed", self._end)
        page.evaluate(_KEEP_NOTICES)

    def _begin(self, request: Request) -> None:
        if request.url.endswith("/operators/execute"):
            self._under_way.add(request)
            self.events.append(request.post_data_json["params"])

    def _end(self, request: Request) -> None:
        self._under_way.discard(request)

    def open_from_palette(self) -> None:
        """Opens it from the browser of operators."""
        self.page.keyboard.press("`")
        self.page.get_by_placeholder("Search operations").fill(self.label)
        self.page.get_by_text(self.label, exact=True).first.click()
        self._wait()

    def open_from_grid(self) -> None:
        """Opens it by its button among the grid's actions."""
        self.page.get_by_text("fact_check", exact=True).first.click()  # its icon
        self._wait()

    def _wait(self) -> None:
        self.tab_called(self.first_tab).wait_for()
        self.settle()

    def settle(self) -> None:
        """Waits until no event of the panel has been under way for a while."""
        quiet = 0
        while quiet < _QUIET:
            self.page.wait_for_timeout(_STEP)
            quiet = 0 if self._under_way else quiet + _STEP

    def labeled(self) -> float:
        """The share of the grid that is in the color of labels."""
        data = np.frombuffer(self.page.get_by_test_id("fo-grid").screenshot(), "u1")
        blue, green, red = np.moveaxis(cv2.imdecode(data, cv2.IMREAD_COLOR), 2, 0)
        return float(((red < 60) & (green > 90) & (blue > 100)).mean())

    def show_labels(self) -> None:
        """Waits until the labels are in the grid."""
        for _ in range(_PATIENCE // _STEP):
            if self.labeled() > 0.005:
                return
            self.page.wait_for_timeout(_STEP)
        raise AssertionError("There are no labels in the grid")

    def grid(self) -> np.ndarray:
        """A picture of the grid, as soon as it no longer changes."""
        before: np.ndarray | None = None
        for _ in range(_PATIENCE // _QUIET * 3):
            grid = self.page.get_by_test_id("fo-grid")
            # A notice lies over the grid, and goes by itself
            data = np.frombuffer(grid.screenshot(style=_WITHOUT_NOTICES), "u1")
            shown = cv2.imdecode(data, cv2.IMREAD_COLOR).astype(int)
            if before is not None and not different(before, shown):
                return shown
            before = shown
            self.page.wait_for_timeout(_QUIET)
        raise AssertionError("The grid does not come to rest")

    def shows_in_grid(self, expected: np.ndarray) -> bool:
        """Whether the grid comes to look so, which may take a while."""
        return any(not different(expected, self.grid()) for _ in range(8))

    def tab_called(self, name: str) -> Locator:
        """The button of a tab."""
        return self.page.get_by_role("button", name=name, exact=True)

    def tab(self, name: str) -> None:
        """Turns to a tab."""
        self.tab_called(name).click()
        self.settle()

    def wait_for_notice(self, words: str) -> None:
        """Waits until the App has told something, be it gone again."""
        self.page.wait_for_function(_TOLD, arg=words)

    def plot(self, headline: str) -> Locator:
        """The plot under the headline that contains some words."""
        found = self.page.locator(
            f"xpath=(//strong[contains(normalize-space(.), {json.dumps(headline)})]"
            "/following::*[contains(@class, 'js-plotly-plot')])[1]"
        )
        found.wait_for()
        found.scroll_into_view_if_needed()
        self.page.wait_for_function(_DRAWN, arg=found.element_handle())
        return found

    def hover(self, plot: Locator, x: float, y: float) -> str:
        """Points at a place of a plot, and returns what it tells."""
        told = plot.locator(".hovertext").first
        # It is told nothing if the plot is drawn anew in that moment
        for _ in range(_PATIENCE // _QUIET * 3):
            left, top = plot.evaluate(_PLACE, [x, y])
            if not 0 < top < self.page.viewport_size["height"]:
                plot.evaluate("plot => plot.scrollIntoView({block: 'center'})")
                left, top = plot.evaluate(_PLACE, [x, y])
            self.page.mouse.move(left - 3, top)
            self.page.mouse.move(left, top)
            try:
                return told.text_content(timeout=_QUIET) or ""
            except PlaywrightTimeout:
                continue
        raise AssertionError("The plot tells nothing there")

    def click(self, plot: Locator, x: float, y: float) -> Opened:
        """Clicks a mark of a plot at a place of its axes."""

        def act() -> None:
            self.hover(plot, x, y)
            left, top = plot.evaluate(_PLACE, [x, y])
            self.page.mouse.click(left, top)

        return self.opened_by(act)

    def opened_by(self, act: Callable[[], None]) -> Opened:
        """What the grid shows after something was done.

        It is done again if nothing comes of it: where the page is drawn anew in that
        moment, a click is lost.
        """
        for patience in (_PATIENCE, None):
            try:
                with self.page.expect_response(
                    _fills_the_grid, timeout=patience
                ) as response:
                    act()
                break
            except PlaywrightTimeout:
                if patience is None:
                    raise
        answer = response.value
        variables = json.loads(answer.request.post_data or "{}")["variables"]
        edges = answer.json()["data"]["samples"]["edges"]
        opened = Opened(
            [edge["node"]["id"] for edge in edges],
            get_view(self.dataset, stages=variables["view"]),
        )
        self.settle()
        return opened


def has_crowd() -> fo.ViewExpression:
    """The labels that are crowd regions, which are no objects."""
    return (F("iscrowd") == 1) | (F("iscrowd") == True)  # noqa: E712


def different(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two pictures differ by more than a cursor does."""
    return one.shape != other.shape or (np.abs(one - other) > 40).mean() > 0.002


def _fills_the_grid(response: Response) -> bool:
    asked = response.request.post_data or ""
    return "paginateSamples" in asked and '"_cls"' in asked
