"""Label issues in a real browser: what is selected is what gets the verdict."""

from collections.abc import Callable

import fiftyone as fo
import pytest
from playwright.sync_api import Page, expect

from fiftyone_coco_audit import evaluate, review_labels
from tests.app.test_results_panel import ResultsPanel

pytestmark = pytest.mark.browser


def test_issues_are_accepted_and_rejected(
    demo_dataset: fo.Dataset,
    browser_page: Page,
    open_app: Callable[[fo.Dataset], Page],
    screenshot: Callable[[str], None],
):
    evaluate(demo_dataset)
    review = review_labels(demo_dataset)
    frame = review.to_frame()
    missing = set(frame.loc[frame["kind"] == "missing label", "prediction_id"])
    # Enough for an estimate
    review.accept(sorted(missing)[:12])
    panel = ResultsPanel(open_app(demo_dataset), demo_dataset)
    page = panel.page
    panel.open_from_palette()
    panel.tab("Labels")
    expect(page.get_by_text("4 of 200 images have no label").first).to_be_visible()
    plot = panel.plot("68 label issues")
    screenshot("tab")
    opened = panel.click(plot, 15, 0)
    assert sorted(opened.view.values("predictions.id")) == sorted(missing)[12:]

    for n, decision in enumerate(("Accept", "Reject")):
        looker = page.get_by_test_id("looker").nth(n)
        # It lies outside of a small picture, and is moved in by the App
        looker.get_by_test_id("looker-checkbox-input-").dispatch_event("click")
        page.get_by_role("button", name=f"{decision} the selection").click()
        panel.wait_for_notice(f"1 label issue {decision.lower()}ed")
        panel.settle()
    verdicts = review.to_frame().set_index("prediction_id")["verdict"]
    first, second = opened.sample_ids[:2]
    assert verdicts[first] == "accepted" and verdicts[second] == "rejected"
    assert verdicts.notna().sum() == 14
    page.get_by_role("button", name="to a copy").click()
    expect(page.get_by_text("before,").first).to_be_visible()
    panel.settle()
    demo_dataset.reload()
    assert demo_dataset.count("ground_truth_reviewed.detections.label_review") == 13
    page.get_by_text("before,").first.scroll_into_view_if_needed()
    screenshot("applied")
