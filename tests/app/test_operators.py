"""The operators through their forms, in a real browser."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import fiftyone as fo
import pytest
from playwright.sync_api import Page, Response, expect

from fiftyone_coco_audit import evaluate, import_coco, worst_first
from tests.app.driver import Operators
from tests.app.panel_driver import AuditPanel
from tests.small_coco import SmallCoco, write_small_coco

pytestmark = pytest.mark.browser

EVALUATE = "COCO Audit: evaluate predictions"
RESTORE = "COCO Audit: restore the colors"
IMPORT = "COCO Audit: import a dataset"
ADD = "COCO Audit: add predictions"

#: The color of objects that were found, on the entry of their field in the sidebar
FOUND = "rgb(63, 163, 77)"
SHOWS_COLOR = """color => [...document.querySelectorAll("*")].some(
    element => getComputedStyle(element).backgroundColor === color
)"""

OpenApp = Callable[[fo.Dataset], Page]
Screenshot = Callable[[str], None]


@pytest.fixture
def coco(mongodb: str, tmp_path: Path) -> Iterator[SmallCoco]:
    yield write_small_coco(tmp_path / "small")
    fo.delete_datasets("small*")


def asks_for_sorted_samples(response: Response) -> bool:
    """Whether a response has the first samples of a sorted grid."""
    asked = response.request.post_data or ""
    if "paginateSamples" not in asked or "SortBy" not in asked:
        return False
    # The grid asks for its second page at once, and can have it first
    return response.request.post_data_json["variables"].get("after") is None


def grid(response: Response) -> list[str]:
    """The ids of the samples that the App was given for its grid, in order."""
    edges = response.json()["data"]["samples"]["edges"]
    return [edge["node"]["id"] for edge in edges]


def test_evaluate(
    demo_dataset: fo.Dataset,
    open_app: OpenApp,
    operators: Operators,
    screenshot: Screenshot,
):
    page = open_app(demo_dataset)
    AuditPanel(page, demo_dataset).open_from_palette()
    operators.open(EVALUATE)
    screenshot("form")
    assert not page.evaluate(SHOWS_COLOR, FOUND)
    with page.expect_response(asks_for_sorted_samples) as sorted_samples:
        shown = operators.submit("Evaluate")
    # Without opening the dataset again
    page.wait_for_function(SHOWS_COLOR, arg=FOUND)

    demo_dataset.reload()
    expected = evaluate(demo_dataset, eval_key="again").summary()
    for name, value in expected.items():
        expect(shown).to_contain_text(name)
        expect(shown).to_contain_text(f"{value:.4f}")
    expect(shown).to_contain_text("Labels that COCO ignores are gray")
    screenshot("results")
    shown.get_by_role("button", name="Done").click()
    # The panel that was open still is
    expect(page.get_by_test_id("panel-content-coco_audit")).to_be_visible()

    for field in ("eval_ap", "eval_status"):
        expect(page.get_by_test_id(f"sidebar-entry-draggable-{field}")).to_be_visible()
    worst = worst_first(demo_dataset).values("id")
    given = grid(sorted_samples.value)
    assert len(given) > 10
    assert given == worst[: len(given)]
    expect(page.get_by_text("200 samples")).to_be_visible()
    expect(page.locator("input[value='FilterLabels']")).to_be_visible()
    screenshot("colors")

    operators.open(RESTORE, has_entries=False)
    operators.submit("Restore").get_by_role("button", name="Done").click()
    page.wait_for_function(f"color => !({SHOWS_COLOR})(color)", arg=FOUND)
    expect(page.get_by_test_id("panel-content-coco_audit")).to_be_visible()
    screenshot("restored")


def test_evaluate_keeps_the_colors_that_a_dataset_has(
    demo_dataset: fo.Dataset,
    open_app: OpenApp,
    operators: Operators,
    screenshot: Screenshot,
):
    demo_dataset.app_config.color_scheme = fo.ColorScheme(color_pool=["#123456"])
    demo_dataset.save()
    open_app(demo_dataset)
    form = operators.open(EVALUATE)
    expect(form.get_by_role("checkbox")).not_to_be_checked()
    expect(form).to_contain_text("This replaces the color scheme of the dataset")
    screenshot("form")
    operators.submit("Evaluate")
    demo_dataset.reload()
    assert demo_dataset.app_config.color_scheme.color_pool == ["#123456"]
    assert demo_dataset.app_config.color_scheme.fields is None


def test_evaluate_offers_the_selection(
    demo_dataset: fo.Dataset,
    open_app: OpenApp,
    operators: Operators,
    screenshot: Screenshot,
):
    page = open_app(demo_dataset)
    for place in (0, 1):
        # Its box to tick is in that corner
        page.get_by_test_id("looker").nth(place).click(position={"x": 20, "y": 20})
    form = operators.open(EVALUATE)
    form.get_by_text("Current selection").click()
    name = form.get_by_role("textbox").last
    name.fill("not a name")
    expect(form).to_contain_text("must be a valid Python name")
    expect(form.get_by_role("button", name="Evaluate", exact=True)).to_be_disabled()
    screenshot("refused")
    name.fill("two")
    expect(form.get_by_role("button", name="Evaluate", exact=True)).to_be_enabled()
    operators.submit("Evaluate")
    demo_dataset.reload()
    assert demo_dataset.count("two_status") == 2


def test_import(
    coco: SmallCoco,
    demo_dataset: fo.Dataset,
    open_app: OpenApp,
    operators: Operators,
    screenshot: Screenshot,
):
    page = open_app(demo_dataset)
    form = operators.open(IMPORT)
    annotations, images_dir, predictions = (
        form.get_by_role("textbox").nth(place) for place in range(3)
    )
    annotations.fill(f"{coco.annotations}.gz")
    images_dir.fill(str(coco.images_dir))
    expect(form).to_contain_text(f"No such file: {coco.annotations}.gz")
    expect(form.get_by_role("button", name="Import", exact=True)).to_be_disabled()
    screenshot("refused")

    document = json.loads(coco.annotations.read_text())
    document["annotations"].append(
        {**document["annotations"][0], "id": 77, "image_id": 1234}
    )
    coco.annotations.write_text(json.dumps(document))
    annotations.fill(str(coco.annotations))
    predictions.fill(str(coco.predictions))
    expect(form).to_contain_text("Default: small")
    shown = operators.submit("Import")
    expect(shown).to_contain_text("4 images, 4 objects, 3 predictions in predictions")
    expect(shown).to_contain_text("The first of each kind:")
    expect(shown).to_contain_text("annotation 77")
    expect(page).to_have_url(f"{page.url.rpartition('/')[0]}/small")
    screenshot("results")
    assert fo.load_dataset("small").count("predictions.detections") == 3


def test_import_shows_a_mistake_as_one_sentence(
    coco: SmallCoco, open_app: OpenApp, operators: Operators
):
    dataset = import_coco(coco.annotations, coco.images_dir, name="small")
    coco.annotations.write_text("{}")
    open_app(dataset)
    form = operators.open(IMPORT)
    form.get_by_role("textbox").nth(0).fill(str(coco.annotations))
    form.get_by_role("textbox").nth(1).fill(str(coco.images_dir))
    expect(form).to_contain_text("Default: small-2")
    shown = operators.submit("Import")
    expect(shown.get_by_role("alert")).to_contain_text("annotations.json")
    expect(shown).not_to_contain_text("Traceback")


def test_add_predictions(coco: SmallCoco, open_app: OpenApp, operators: Operators):
    dataset = import_coco(coco.annotations, coco.images_dir, name="small")
    page = open_app(dataset)
    form = operators.open(ADD)
    form.get_by_role("textbox").first.fill(str(coco.predictions))
    form.get_by_role("textbox").last.fill("yolo")
    shown = operators.submit("Add")
    expect(shown).to_contain_text("3 predictions in yolo")
    shown.get_by_role("button", name="Done").click()
    expect(page.get_by_test_id("sidebar-entry-draggable-yolo")).to_be_visible()
