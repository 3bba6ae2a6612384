"""The real App, and a real browser to look at it."""

import itertools
import os
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import fiftyone as fo
import pytest
from fiftyone.core.service import ServerService
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from browser import find_browser
from coco_audit_demo import DemoPaths
from fiftyone_coco_audit import import_coco
from fiftyone_environment import CACHE
from tests.app.driver import Operators

SCREENSHOTS = CACHE / "screenshots"
_NUMBERS = itertools.count(1)
BROWSER_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


# Not for the whole session: as long as it runs, so does an event loop of Playwright,
# and FiftyOne's execute_operator() then returns a task in place of a result.
@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    """A Chromium without a window."""
    program = find_browser()
    if program is None:
        refuse = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        refuse("no browser: `python scripts/browser.py` gets one, CHROMIUM names one")
    with sync_playwright() as playwright:
        playwright.selectors.set_test_id_attribute("data-cy")  # the App's own
        chromium = playwright.chromium.launch(
            executable_path=program, args=BROWSER_OPTIONS
        )
        yield chromium
        chromium.close()


# The App is loaded twice as fast with the files of the page before
@pytest.fixture(scope="module")
def browser_context(browser: Browser) -> Iterator[BrowserContext]:
    """Pages of 1600 x 1000 pixels."""
    context = browser.new_context(viewport={"width": 1600, "height": 1000})
    yield context
    context.close()


@pytest.fixture
def browser_page(
    browser_context: BrowserContext, request: pytest.FixtureRequest
) -> Iterator[Page]:
    """A page; what it shows at the end is kept as a picture."""
    page = browser_context.new_page()
    # A promotion covers the App's buttons on a first visit.
    promotion = page.get_by_role("button", name="Dismiss", exact=True)
    page.add_locator_handler(promotion, lambda button: button.click())
    yield page
    page.screenshot(path=_picture(request))
    page.remove_locator_handler(promotion)
    if page.url.startswith("http"):
        page.evaluate("localStorage.clear(); sessionStorage.clear()")
    page.close()
    browser_context.clear_cookies()


@pytest.fixture
def screenshot(
    browser_page: Page, request: pytest.FixtureRequest
) -> Callable[[str], None]:
    """A function that keeps what the page shows as a picture, under a given name."""
    return lambda name: browser_page.screenshot(path=_picture(request, f"-{name}"))


def _picture(request: pytest.FixtureRequest, suffix: str = "") -> Path:
    name = re.sub(r"[^\w.-]+", "-", request.node.name).strip("-")
    return SCREENSHOTS / f"{name}{suffix}.png"


@pytest.fixture(scope="session")
def app_url(mongodb: str) -> Iterator[str]:
    """The address of the real App, which has no session that would speak to it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = ServerService(port, address="127.0.0.1", do_not_track=True)
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture
def open_app(app_url: str, browser_page: Page) -> Callable[[fo.Dataset], Page]:
    """A function that shows a dataset in the App, and returns the page."""

    def show(dataset: fo.Dataset) -> Page:
        browser_page.goto(f"{app_url}/datasets/{dataset.slug}")
        browser_page.get_by_test_id("looker").first.wait_for()
        return browser_page

    return show


@pytest.fixture
def demo_dataset(mongodb: str, demo_files: DemoPaths) -> Iterator[fo.Dataset]:
    """The demo, imported and not evaluated yet."""
    dataset = import_coco(
        demo_files.annotations,
        demo_files.images,
        predictions=demo_files.predictions,
        # The App's server remembers the view of a dataset by its name
        name=f"demo-{next(_NUMBERS)}",
    )
    yield dataset
    dataset.delete()


@pytest.fixture(params=["dark", "light"])
def theme(request: pytest.FixtureRequest, browser_page: Page) -> str:
    """The App in either of its modes; in others of our tests it is dark."""
    browser_page.add_init_script(f"localStorage.setItem('mui-mode', '{request.param}')")
    return request.param


@pytest.fixture
def operators(browser_page: Page) -> Operators:
    """The operators of the App that the page shows."""
    return Operators(browser_page)


@pytest.fixture(params=["balloon", "coco_mini"])
def masks(
    mongodb: str, shared_data: Path, request: pytest.FixtureRequest
) -> Iterator[fo.Dataset]:
    """A real dataset with masks."""
    folder = shared_data / request.param
    dataset = import_coco(
        folder / "annotations.json",
        folder / "images",
        # The App's server remembers the view of a dataset by its name
        name=f"masks-{next(_NUMBERS)}",
    )
    yield dataset
    dataset.delete()
