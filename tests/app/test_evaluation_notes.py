"""Notes on the numbers of an evaluation, in a real browser."""

from collections.abc import Callable, Iterator
from pathlib import Path

import fiftyone as fo
import pytest
from playwright.sync_api import Page, expect

from fiftyone_coco_audit import evaluation_notes, import_coco
from tests import puzzling_sets
from tests.app.driver import Operators

pytestmark = pytest.mark.browser


@pytest.fixture
def dataset(mongodb: str, tmp_path: Path) -> Iterator[fo.Dataset]:
    coco, predictions = puzzling_sets.a_third_not_annotated()
    coco["categories"][0]["name"] = "![x](http://host/x.png)_cat_"
    coco["annotations"][0]["area"] = 10
    coco["annotations"][1]["bbox"] = None
    predictions.append({**predictions[0], "image_id": 99})
    paths = puzzling_sets.write(tmp_path / "puzzling", coco, predictions)
    dataset = import_coco(
        paths.annotations,
        paths.images_dir,
        predictions=paths.predictions,
        name="puzzling",
    )
    yield dataset
    dataset.delete()


def test_notes_follow_the_number_wherever_it_is_shown(
    dataset: fo.Dataset,
    open_app: Callable[[fo.Dataset], Page],
    operators: Operators,
    screenshot: Callable[[str], None],
) -> None:
    page = open_app(dataset)
    operators.open("COCO Audit: evaluate predictions")
    shown = operators.submit("Evaluate")
    dataset.reload()
    notes = evaluation_notes(dataset)
    assert len(notes) >= 4
    for note in notes:
        expect(shown).to_contain_text(_as_shown(note))
    expect(shown).to_contain_text("IoU 0.50 and any score")
    screenshot("results")
    shown.get_by_role("button", name="Done").click()

    page.get_by_title("New panel").first.click()
    page.get_by_text("Model Evaluation", exact=True).first.click()
    panel = page.get_by_test_id("panel-content-model_evaluation_panel_builtin")
    expect(panel).to_contain_text(_as_shown(notes[0]), timeout=60_000)
    screenshot("list")
    panel.get_by_text("eval", exact=True).first.click()
    expect(panel).to_contain_text("Evaluation notes", timeout=60_000)
    for note in notes:
        expect(panel).to_contain_text(_as_shown(note), timeout=60_000)
    panel.get_by_role("button", name="Read more").click()
    screenshot("panel")


def _as_shown(note: str) -> str:
    """Code has no backticks where it is shown."""
    return note.replace("`", "")
