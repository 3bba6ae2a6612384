"""On real masks: no label is lost, and nothing opens but what was clicked."""

from collections.abc import Callable
from itertools import cycle

import fiftyone as fo
import pytest
from fiftyone import ViewField as F
from playwright.sync_api import ConsoleMessage, Page, Request, expect

from fiftyone_coco_audit import audit
from tests.app.panel_driver import AuditPanel, has_crowd

pytestmark = [pytest.mark.browser, pytest.mark.real_data]

OpenApp = Callable[[fo.Dataset], Page]
Screenshot = Callable[[str], None]

# In milliseconds: as fast as one can, as a person does, and the pace that was worst
PACES = (0, 150, 400, 900, 1800)
CHANGES = 20


class Watched:
    """What the App does that loses labels, as long as it is looked at."""

    def __init__(self, page: Page) -> None:
        self.spaces = 0
        self.errors: list[str] = []
        page.on("request", self._count)
        page.on("console", self._keep)

    def _count(self, request: Request) -> None:
        self.spaces += "setSpacesMutation" in (request.post_data or "")

    def _keep(self, message: ConsoleMessage) -> None:
        if "DataCloneError" in message.text:
            self.errors.append(message.text)


def choose(panel: AuditPanel, place: int, option: str) -> None:
    content = panel.page.get_by_test_id("panel-content-coco_audit")
    content.get_by_role("combobox").nth(place).click()
    panel.page.get_by_role("option", name=option, exact=True).click()


def test_twenty_changes_of_controls_lose_no_label(masks: fo.Dataset, open_app: OpenApp):
    panel = AuditPanel(open_app(masks), masks)
    panel.open_from_palette()
    panel.tab("Anchors")
    panel.show_labels()
    before = panel.grid()
    watched = Watched(panel.page)
    changes = [
        lambda: choose(panel, 1, "yolov5"),
        lambda: choose(panel, 2, "Stretch"),
        lambda: panel.page.get_by_role("textbox").last.fill("512"),
        lambda: choose(panel, 1, "retinanet"),
        lambda: choose(panel, 2, "Longest side"),
        lambda: panel.page.get_by_role("textbox").last.fill("800"),
    ]
    for _, change, pace in zip(range(CHANGES), cycle(changes), cycle(PACES)):
        change()
        panel.page.wait_for_timeout(pace)
    panel.settle()
    expect(panel.page.get_by_text("stretch 800").first).to_be_visible()
    assert not watched.spaces
    assert not watched.errors
    assert panel.shows_in_grid(before)


def test_fast_clicks_open_what_was_clicked_last(
    masks: fo.Dataset, open_app: OpenApp, screenshot: Screenshot
):
    found = [finding for finding in audit(masks) if finding.subject]
    panel = AuditPanel(open_app(masks), masks)
    panel.open_from_palette()
    watched = Watched(panel.page)
    cards = panel.page.get_by_role("button").filter(has_text="Open ")
    for n in range(12):
        # Each other click is made while the panel is being drawn anew
        last = (5 * n + 2) % len(found)
        cards.nth(last).click()
        panel.page.wait_for_timeout(PACES[n % 3])
    finding = found[last]
    content = panel.page.get_by_test_id("panel-content-coco_audit")
    expect(content.get_by_text("The grid shows")).to_contain_text(finding.code)
    panel.settle()
    opened = [e for e in panel.events if e.get("__method__") == "open_finding"]
    assert opened[-1]["card"].startswith(finding.code)
    assert not watched.errors
    shown = panel.grid()
    screenshot("clicked")
    panel.page.get_by_role("button", name="Redraw labels").click()
    panel.settle()
    assert panel.shows_in_grid(shown)


def test_fast_clicks_on_bars_while_the_panel_redraws(
    masks: fo.Dataset, open_app: OpenApp
):
    panel = AuditPanel(open_app(masks), masks)
    panel.open_from_palette()
    panel.tab("Classes")
    plot = panel.page.locator(".js-plotly-plot").first
    names = plot.evaluate("plot => plot._fullLayout.yaxis.ticktext")
    is_named = F("label") == names[0]
    expected = masks.filter_labels("ground_truth", is_named & ~has_crowd())
    # Another choice is under way as the bar is clicked
    panel.hover(plot, 0.5, -0.2)
    choose(panel, -1, "Lift")
    opened = panel.click(plot, 0.5, -0.2)
    ids = opened.view.values("ground_truth.detections.id", unwind=True)
    assert ids == expected.values("ground_truth.detections.id", unwind=True)
    panel.show_labels()
