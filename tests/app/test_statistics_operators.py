"""The operators of statistics through their forms, in a real browser."""

import re
from collections.abc import Callable
from pathlib import Path

import fiftyone as fo
import pytest
from fiftyone import ViewField as F
from playwright.sync_api import Page, expect

from fiftyone_coco_audit import (
    audit,
    audit_augmentation,
    compare_sets,
    simulate_resampling,
)
from fiftyone_coco_audit.auditing import audit_settings
from fiftyone_coco_audit.findings import rule_page
from tests.app.driver import Operators

pytestmark = pytest.mark.browser

OpenApp = Callable[[fo.Dataset], Page]
Screenshot = Callable[[str], None]


def test_audit(
    demo_dataset: fo.Dataset,
    open_app: OpenApp,
    operators: Operators,
    screenshot: Screenshot,
):
    page = open_app(demo_dataset)
    form = operators.open("COCO Audit: audit the dataset")
    button = form.get_by_role("button", name="Audit", exact=True)
    resize = form.get_by_role("combobox").nth(1)
    resize.fill("bigger")
    expect(form).to_contain_text("Resize mode 'bigger' is unknown")
    expect(button).to_be_disabled()
    screenshot("refused")
    resize.fill("")
    page.get_by_role("option", name="letterbox 1280").click()
    expect(resize).to_have_value("letterbox 1280")
    expect(button).to_be_enabled()
    # One that is not in the list
    resize.fill("letterbox 1200")
    expect(button).to_be_enabled()
    screenshot("form")
    shown = operators.submit("Audit")
    demo_dataset.reload()
    assert audit_settings(demo_dataset).resize == "letterbox 1200"
    expected = audit(demo_dataset, resize="letterbox 1200")
    for finding in expected:
        link = shown.get_by_role("link", name=finding.code)
        expect(link.first).to_have_attribute("href", rule_page(finding.code))
    screenshot("results")
    shown.get_by_role("button", name="Done").click()
    expect(page.get_by_text("COCO Audit", exact=True).first).to_be_visible()


def test_compute_statistics(
    demo_dataset: fo.Dataset,
    open_app: OpenApp,
    operators: Operators,
    screenshot: Screenshot,
):
    open_app(demo_dataset)
    operators.open("COCO Audit: compute statistics")
    screenshot("form")
    shown = operators.submit("Compute")
    expect(shown).to_contain_text("At the network's input (letterbox 640)")
    screenshot("results")
    demo_dataset.reload()
    assert demo_dataset.count("ground_truth.detections.input_size") == 1746


def test_simulate_resampling(
    demo_dataset: fo.Dataset,
    open_app: OpenApp,
    operators: Operators,
    screenshot: Screenshot,
):
    open_app(demo_dataset)
    form = operators.open("COCO Audit: simulate resampling")
    form.get_by_role("spinbutton").first.fill("0.1")
    screenshot("form")
    shown = operators.submit("Simulate")
    expected = simulate_resampling(demo_dataset, threshold=0.1, write_fields=False)
    rarest = expected.classes().sort_values("images").iloc[0]
    expect(shown).to_contain_text(f"{rarest['factor']:.2f}")
    screenshot("results")
    demo_dataset.reload()
    assert demo_dataset.bounds("repeat_factor")[1] == pytest.approx(rarest["factor"])


def test_compare_sets(
    demo_dataset: fo.Dataset,
    open_app: OpenApp,
    operators: Operators,
    screenshot: Screenshot,
):
    site = demo_dataset.match(fo.ViewField("filepath").contains_str("site_a"))
    site.tag_samples("site_a")
    demo_dataset.match_tags("site_a", bool=False).tag_samples("site_b")
    open_app(demo_dataset)
    form = operators.open("COCO Audit: compare two sets")
    for place, name in ((0, "tag site_a"), (1, "tag site_b")):
        form.get_by_role("combobox").nth(place + 1).fill(name)
        operators.page.get_by_role("option", name=name).click()
    screenshot("form")
    shown = operators.submit("Compare")
    first, second = (demo_dataset.match_tags(tag) for tag in ("site_a", "site_b"))
    expected = compare_sets(first, second, names=("site_a", "site_b"))
    assert expected.sentences()
    expect(shown).to_contain_text("mug")
    screenshot("results")


def test_audit_augmentation(
    demo_dataset: fo.Dataset,
    open_app: OpenApp,
    operators: Operators,
    screenshot: Screenshot,
):
    few = demo_dataset.limit(12)
    demo_dataset.delete_samples(demo_dataset.exclude(few.values("id")).values("id"))
    page = open_app(demo_dataset)
    form = operators.open("COCO Audit: audit an augmentation pipeline")
    form.get_by_role("combobox").nth(1).click()
    page.get_by_role("option", name="Bad: rotation by up to 45 degrees").click()
    form.get_by_role("checkbox").click()
    screenshot("form")
    shown = operators.submit("Audit")
    expect(shown).to_contain_text("CA604")
    # The table of the transforms to blame
    expect(shown.get_by_role("table")).to_contain_text("3. Rotate")
    screenshot("results")
    demo_dataset.reload()
    found = audit_augmentation(demo_dataset, "rotation", workers=1)
    damage = demo_dataset.values("ground_truth.detections.augmentation_damage")
    loose = sum(labels.count("loose") for labels in damage)
    assert 0 < loose <= found.shares().loc["loose", "objects"]
    # What happens to them is beside the grid
    shown.get_by_role("button", name="Done").click()
    panel = page.get_by_test_id("panel-content-augmentation_preview")
    expect(panel).to_contain_text("Bad: rotation by up to 45 degrees")
    expect(panel).to_contain_text("1 of ")
    expect(panel.locator("img")).to_have_count(9)
    # The worst comes first
    most = demo_dataset.bounds("augmentation_damage")[1]
    harmed = demo_dataset.match(F("augmentation_damage") == most)
    worst = [Path(path).name for path in harmed.values("filepath")]
    expect(panel).to_contain_text(re.compile(rf"({'|'.join(worst)}) \("))
    expect(page.get_by_test_id("looker").first).to_be_visible()
    screenshot("preview")
