"""The panel *COCO Results* in a real browser: what is clicked is what is opened."""

from collections.abc import Callable, Iterator

import fiftyone as fo
import pytest
from fiftyone import ViewField as F
from playwright.sync_api import Page, expect

from coco_audit_demo import DemoPaths
from fiftyone_coco_audit import audit_results, compare_runs, evaluate, import_coco
from fiftyone_coco_audit.evaluation.results import CocoResults
from tests.app.panel_driver import AuditPanel, Opened

pytestmark = pytest.mark.browser

Screenshot = Callable[[str], None]

TABS = ("Next steps", "Classes", "Images", "Errors", "Thresholds", "Compare")


class ResultsPanel(AuditPanel):
    """The panel, as a person uses it."""

    label = "COCO Audit: open the results"
    first_tab = "Next steps"


@pytest.fixture(scope="module")
def results(mongodb: str, demo_files: DemoPaths) -> Iterator[CocoResults]:
    """The demo, evaluated whole, and without predictions of low score."""
    dataset = import_coco(
        demo_files.annotations,
        demo_files.images,
        predictions=demo_files.predictions,
        name="results-in-the-app",
    )
    sure = F("confidence") > 0.6
    dataset.clone_sample_field("predictions", "sure")
    dataset.filter_labels("sure", sure, only_matches=False).save("sure")
    evaluate(dataset, "sure", eval_key="sure")
    yield evaluate(dataset)
    dataset.delete()


@pytest.fixture
def panel(results: CocoResults, open_app: Callable[[fo.Dataset], Page]) -> ResultsPanel:
    shown = ResultsPanel(open_app(results.samples), results.samples)
    shown.open_from_palette()
    return shown


def ids_of(opened: Opened, field: str) -> list[str]:
    if opened.view._is_patches:
        return sorted(opened.view.values("id"))
    return sorted(opened.view.values(f"{field}.detections.id", unwind=True))


def test_what_is_clicked_is_opened(
    panel: ResultsPanel, results: CocoResults, screenshot: Screenshot
):
    page = panel.page
    evaluation, rows = results.evaluation, results.rows
    step = next(one for one in audit_results(results.samples) if one.label_ids)
    expect(page.get_by_text(str(step.gain)).first).to_be_visible()
    first = page.get_by_role("button", name=f"Open {step.count:,} labels").first
    opened = panel.opened_by(first.click)
    assert ids_of(opened, step.label_field) == sorted(step.label_ids)
    screenshot("next-step")

    panel.tab("Classes")
    worst = results.per_class()["AP"].idxmin()
    value = results.per_class()["AP"].min()
    opened = panel.click(panel.plot("AP is"), value / 2, 0)
    own = evaluation.truth.category == rows.classes.index(worst)
    expected = rows.truth_ids[own & ~evaluation.ignored[0]].tolist()
    assert ids_of(opened, "ground_truth") == sorted(expected)

    found = results.confusion()
    plot = panel.plot("is taken for")
    names = plot.evaluate("plot => plot._fullLayout.yaxis.ticktext")
    cell = found.worst().iloc[0]
    at = [names.index(cell[side]) for side in ("predicted_class", "true_class")]
    opened = panel.click(plot, *at)
    prediction, _ = found.pairs(cell["true_class"], cell["predicted_class"])
    assert opened.view._is_patches
    assert ids_of(opened, "predictions") == sorted(rows.prediction_ids[prediction])

    panel.tab("Images")
    influence = results.influence()["influence"].sort_values(ascending=False)
    opened = panel.click(panel.plot("pulls AP down most"), influence.iloc[0] / 2, 0)
    assert opened.view.values("id") == [influence.index[0]]

    panel.tab("Errors")
    errors = results.error_costs().to_frame()
    worst = errors["dAP"].iloc[:6].idxmax()
    place = errors.index.get_loc(worst) - 0.2
    plot = panel.plot("The errors that cost most")
    opened = panel.click(plot, errors["dAP"][worst] / 2, place)
    assert len(ids_of(opened, "predictions")) == errors["errors"][worst]

    panel.tab("Compare")
    compared = compare_runs(results.samples, "sure", "eval", num_draws=2)
    told = f"Open {len(compared.won):,} objects won"
    opened = panel.opened_by(page.get_by_role("button", name=told).click)
    assert ids_of(opened, "ground_truth") == sorted(compared.won)
    screenshot("won")


def test_sliders_move_the_panel_and_the_grid(
    panel: ResultsPanel, results: CocoResults, screenshot: Screenshot
):
    page = panel.page
    panel.tab("Thresholds")
    content = page.get_by_test_id("panel-content-coco_results")
    sliders = content.locator(".MuiSlider-root")
    values = []
    for number, share in enumerate((0.7, 0.3)):
        width = sliders.nth(number).bounding_box()["width"]
        sliders.nth(number).click(position={"x": share * width, "y": 5})
        panel.settle()
        value = sliders.nth(number).get_by_role("slider").input_value()
        values.append(float(value))
    score, iou = values
    assert abs(score - 0.7) < 0.05 and 0.3 < iou < 0.45
    told = f"a score of {score:.2f} or more, at IoU {iou:.2f}"
    expect(page.get_by_text(told)).to_be_visible()
    found = results.score_thresholds(iou=iou).at(score)[["tp", "fp", "fn"]].sum()
    opened = panel.click(panel.plot(told), found["fp"] / 2, 1)
    assert len(ids_of(opened, "predictions")) == found["fp"]

    page.get_by_role("button", name="Show this matching in the grid").click()
    panel.wait_for_notice(f"Labels are colored by their outcome at score {score:.2f}")
    panel.settle()
    screenshot("colored")
    values = results.samples.count_values("predictions.detections.eval_outcome")
    assert (values["tp"], values["fp"]) == (found["tp"], found["fp"])
