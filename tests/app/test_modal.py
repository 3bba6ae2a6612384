"""Operators that are run from an open sample: labels stay, and the result is shown."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import fiftyone as fo
import numpy as np
import pytest
from fiftyone import ViewField as F
from playwright.sync_api import Locator, Page, expect

from fiftyone_coco_audit import add_coco_predictions, evaluate
from tests.app.driver import Operators
from tests.app.panel_driver import different

pytestmark = [pytest.mark.browser, pytest.mark.real_data]

OpenApp = Callable[[fo.Dataset], Page]
Screenshot = Callable[[str], None]

AUDIT = "COCO Audit: audit the dataset"
OPEN = "COCO Audit: open the panel"
EVALUATE = "COCO Audit: evaluate predictions"
FIELDS = "ground_truth", "predictions"
# In milliseconds, what the App takes to draw masks
_DRAWN, _REPEATS = 700, 30


@pytest.fixture
def masks(masks: fo.Dataset) -> fo.Dataset:
    """A real dataset with masks and predictions."""
    folder = Path(masks.first().filepath).parents[1]
    add_coco_predictions(masks, folder / "predictions.json")
    return masks


def picture(of: Locator) -> np.ndarray:
    """What a part of the page shows as soon as it no longer changes."""
    before: np.ndarray | None = None
    for _ in range(_REPEATS):
        of.wait_for()
        # The App may put another element in its place at any time
        if frame := of.bounding_box():
            shot = np.frombuffer(of.page.screenshot(clip=frame), np.uint8)
            shown = cv2.imdecode(shot, cv2.IMREAD_COLOR).astype(int)
            if before is not None and not different(before, shown):
                return shown
            before = shown
        of.page.wait_for_timeout(_DRAWN)
    raise AssertionError("The picture does not come to rest")


def hide_labels(sidebar: Locator) -> None:
    for field in FIELDS:
        sidebar.get_by_test_id(f"checkbox-{field}").first.click()


def drawn(page: Page) -> list[bool]:
    """Which pictures of the grid have labels: they look different without any."""
    grid, sidebar = page.get_by_test_id("fo-grid"), page.get_by_test_id("sidebar")
    shown = picture(grid)
    hide_labels(sidebar)
    bare = picture(grid)
    origin = grid.bounding_box()
    boxes = [one.bounding_box() for one in page.get_by_test_id("looker").all()]
    return [
        different(
            shown[part := _part_of(box, origin)],
            bare[part],
        )
        for box in boxes
        if box["y"] + box["height"] <= origin["y"] + origin["height"]
    ]


def _part_of(box: Mapping[str, float], origin: Mapping[str, float]) -> Any:
    left, top = round(box["x"] - origin["x"]), round(box["y"] - origin["y"])
    return np.s_[top : top + round(box["height"]), left : left + round(box["width"])]


class OpenSample:
    """A sample that is open, above the grid."""

    def __init__(self, page: Page, place: int) -> None:
        self.page = page
        tile = page.get_by_test_id("looker").nth(place)
        box = tile.bounding_box()
        # Elsewhere in a small one is the box that selects it
        tile.click(position={"x": box["width"] - 6, "y": box["height"] - 6})
        self.modal = page.get_by_test_id("modal")
        self.looker = self.modal.get_by_test_id("modal-looker-container")
        self.looker.wait_for()

    def picture(self) -> np.ndarray:
        # Without the controls, which go away some time after the pointer has moved
        self.page.mouse.move(1450, 850)
        return picture(self.looker)

    def shows(self, expected: np.ndarray) -> bool:
        """Whether it comes to show something, which may take a while."""
        return any(not different(expected, self.picture()) for _ in range(8))

    def close(self) -> None:
        self.page.mouse.click(8, 500)
        self.modal.wait_for(state="detached")


def sure_places(dataset: fo.Dataset) -> Mapping[int, str]:
    """Samples that lose none of their predictions to a score threshold of 0.5."""
    scores = dataset.values(F("predictions.detections.confidence"))
    ids = dataset.values("id")
    return {n: ids[n] for n, of in enumerate(scores) if of and min(of) >= 0.5}


def test_labels_stay_as_they_are(
    masks: fo.Dataset, open_app: OpenApp, operators: Operators, screenshot: Screenshot
):
    page = open_app(masks)
    place = next(iter(sure_places(masks)))
    sample = OpenSample(page, place)
    before = sample.picture()
    operators.open(AUDIT)
    shown = operators.submit("Audit")
    expect(shown).to_contain_text("CA501")
    shown.get_by_role("button", name="Done").click()
    assert sample.shows(before)
    operators.open(EVALUATE)
    operators.form.get_by_role("checkbox").click()
    shown = operators.submit("Evaluate")
    screenshot("result")
    masks.reload()
    for value in evaluate(masks, eval_key="again").summary().values():
        expect(shown).to_contain_text(f"{value:.4f}")
    shown.get_by_role("button", name="Done").click()
    screenshot("modal")
    assert sample.shows(before)
    sample.close()
    screenshot("grid")
    assert all(drawn(page))


def test_colored_labels_are_drawn(
    masks: fo.Dataset, open_app: OpenApp, operators: Operators, screenshot: Screenshot
):
    page = open_app(masks)
    sample = OpenSample(page, next(iter(sure_places(masks))))
    before = sample.picture()
    for _ in range(2):
        operators.open(EVALUATE)
        shown = operators.submit("Evaluate")
        expect(shown).to_contain_text("Labels that COCO ignores are gray")
        shown.get_by_role("button", name="Done").click()
        # In other colors
        assert different(before, sample.picture())
    screenshot("modal")
    shown = sample.picture()
    hide_labels(sample.modal.get_by_test_id("sidebar"))
    assert different(shown, sample.picture())
    sample.close()
    screenshot("grid")
    if not all(drawn(page)):
        # The App itself can lose labels: two evaluations followed each other
        page.reload()
        page.get_by_test_id("looker").first.wait_for()
        assert all(drawn(page))


def test_a_panel_of_the_grid_closes_the_sample(
    masks: fo.Dataset, open_app: OpenApp, operators: Operators
):
    page = open_app(masks)
    content = page.get_by_test_id("panel-content-coco_audit")
    # It is opened, and then it is there
    for _ in range(2):
        sample = OpenSample(page, 1)
        operators.run(OPEN)
        sample.modal.wait_for(state="detached")
        expect(content).to_contain_text("The whole dataset")
    expect(content).to_have_count(1)
    assert all(drawn(page))
