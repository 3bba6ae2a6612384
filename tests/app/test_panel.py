"""The panel in a real browser: what is clicked is what the grid then shows."""

import json
from collections.abc import Callable

import fiftyone as fo
import numpy as np
import pytest
from fiftyone import ViewField as F
from playwright.sync_api import Page, expect

from coco_audit_demo import DemoPaths
from fiftyone_coco_audit import audit
from fiftyone_coco_audit.statistics.anchor_fitting import propose_anchors
from fiftyone_coco_audit.statistics.anchor_sets import PRESETS
from fiftyone_coco_audit.statistics.anchors import AnchorMatches
from fiftyone_coco_audit.statistics.resizing import ResizePolicy
from tests.app.driver import Operators
from tests.app.panel_driver import AuditPanel, Opened, has_crowd
from tests.labeled import read_labeled

pytestmark = pytest.mark.browser

OpenApp = Callable[[fo.Dataset], Page]
Screenshot = Callable[[str], None]

GROUND_TRUTH = "ground_truth.detections"
# What is worth a picture and is not at the top of its tab
BELOW = {"Classes": "is labeled in none of", "Anchors": "objects are positive, "}
HALVES = {"train": slice(0, 120), "val": slice(120, 200)}


@pytest.fixture
def panel(demo_dataset: fo.Dataset, open_app: OpenApp) -> AuditPanel:
    """The panel of the demo, not opened yet."""
    return AuditPanel(open_app(demo_dataset), demo_dataset)


def shows_samples(opened: Opened, expected: list[str]) -> None:
    """Checks that the grid shows exactly these samples, with all their labels."""
    assert sorted(opened.view.values("id")) == sorted(expected)
    assert set(opened.sample_ids) <= set(expected)
    assert opened.sample_ids
    dataset = opened.view._root_dataset
    everything = dataset.select(expected).count(GROUND_TRUTH)
    assert opened.view.count(GROUND_TRUTH) == everything


def shows_labels(opened: Opened, expected: list[str]) -> None:
    """Checks that the grid shows exactly these labels of the ground truth."""
    found = opened.view.values(f"{GROUND_TRUTH}.id", unwind=True)
    assert sorted(found) == sorted(expected)
    dataset = opened.view._root_dataset
    samples = dataset.select_labels(ids=expected, fields="ground_truth").values("id")
    assert sorted(opened.view.values("id")) == sorted(samples)
    assert set(opened.sample_ids) <= set(samples)
    assert opened.sample_ids


def labels_where(dataset: fo.Dataset, condition: fo.ViewExpression) -> list[str]:
    view = dataset.filter_labels("ground_truth", condition)
    return view.values(f"{GROUND_TRUTH}.id", unwind=True)


def test_each_tab(
    theme: str,
    demo_dataset: fo.Dataset,
    browser_page: Page,
    open_app: OpenApp,
    screenshot: Screenshot,
):
    browser_page.set_viewport_size({"width": 1600, "height": 1000})
    panel = AuditPanel(open_app(demo_dataset), demo_dataset)
    panel.open_from_palette()
    page = panel.page
    expect(
        page.get_by_text("200 images, 1,746 objects and 4 crowd regions")
    ).to_be_visible()
    for name in ("Findings", "Images", "Objects", "Classes", "Anchors"):
        panel.tab(name)
        content = page.get_by_test_id("panel-content-coco_audit")
        if name != "Findings":
            content.locator(".js-plotly-plot").first.wait_for()
        if name == "Anchors":
            page.get_by_role("button", name="Propose better anchors").click()
            panel.settle()
        # Nothing sticks out to the right
        assert content.evaluate("""e => [e, ...e.querySelectorAll('*')].every(
            one => getComputedStyle(one).overflowX === 'visible'
                || one.scrollWidth <= one.clientWidth + 1
                || one.closest('.MuiTabs-root, .MuiInputBase-root') !== null)""")
        panel.show_labels()
        screenshot(name.lower())
        if name in BELOW:
            panel.plot(BELOW[name])
            page.wait_for_timeout(500)
            screenshot(f"{name.lower()}-below")


def test_a_finding(panel: AuditPanel, demo_files: DemoPaths):
    plants = json.loads(demo_files.manifest.read_text())["plants"]
    planted = next(p for p in plants if p["key"] == "box_outside_image")
    panel.open_from_grid()
    page = panel.page
    expect(page.get_by_text("boxes extend beyond the border")).to_be_visible()
    button = page.get_by_role("button", name="Open 8 labels").first
    opened = panel.opened_by(button.click)
    expected = planted["annotation_ids"]
    shows_labels(opened, labels_where(panel.dataset, F("coco_id").is_in(expected)))


def test_a_bar_of_a_histogram(panel: AuditPanel):
    panel.open_from_palette()
    panel.tab("Images")
    plot = panel.plot("have the most common size")
    ratio = np.array(panel.dataset.values(F("metadata.width") / F("metadata.height")))
    ids = np.array(panel.dataset.values("id"))

    plot = panel.plot("The images are of")
    # A bar of two images is hardly to be seen: it is hit by its column
    told = panel.hover(plot, 24, 100)
    assert "5 to 5.2" in told and "2 images" in told
    opened = panel.click(plot, 24, 100)
    shows_samples(opened, ids[(ratio >= 5) & (ratio < 5.2)].tolist())
    panel.wait_for_notice("The grid shows 2 images")

    opened = panel.click(panel.plot("have the most common size"), 3840, 2160)
    large = panel.dataset.match(F("metadata.width") == 3840)
    assert len(large) == 1
    shows_samples(opened, large.values("id"))


def test_marks_of_classes(panel: AuditPanel, demo_files: DemoPaths):
    tagged = {name: panel.dataset[part] for name, part in HALVES.items()}
    for name, view in tagged.items():
        view.tag_samples(name)
    panel.open_from_palette()
    panel.tab("Classes")
    plot = panel.plot("leaf has")
    names = plot.evaluate("plot => plot._fullLayout.yaxis.ticktext")
    row = names.index("ladybug")
    opened = panel.click(plot, 100, row - 0.2)
    shows_labels(opened, labels_where(panel.dataset, F("label") == "ladybug"))
    opened = panel.click(plot, 100, row + 0.2)
    with_ladybug = panel.dataset.match(
        F(GROUND_TRUTH).filter(F("label") == "ladybug").length() > 0
    )
    shows_samples(opened, with_ladybug.values("id"))

    plot = panel.plot("is never seen without")
    names = plot.evaluate("plot => plot._fullLayout.xaxis.ticktext")
    opened = panel.click(plot, names.index("clock"), names.index("coin"))
    both = panel.dataset
    for name in ("clock", "coin"):
        labels = F(GROUND_TRUTH).filter((F("label") == name) & ~has_crowd())
        both = both.match(labels.length() > 0)
    assert 0 < len(both) < 20
    shows_samples(opened, both.values("id"))

    plants = json.loads(demo_files.manifest.read_text())["plants"]
    planted = next(p for p in plants if p["key"] == "unlabeled_class")
    plot = panel.plot("is labeled in none of the")
    place = [
        plot.evaluate(f"plot => plot._fullLayout.{axis}.ticktext").index(name)
        for axis, name in (("xaxis", "mug"), ("yaxis", "site_b"))
    ]
    opened = panel.click(plot, *place)
    site = panel.dataset.match(F("filepath").contains_str("site_b/"))
    shows_samples(opened, site.values("id"))
    assert set(planted["image_ids"]) <= set(opened.view.values("coco_id"))

    page = panel.page
    expect(page.get_by_text("Choose two sets to compare")).to_be_visible()
    for name in HALVES:
        page.get_by_role("combobox").filter(has_text="...").first.click()
        page.get_by_role("option", name=f"tag {name}", exact=True).click()
        panel.settle()
    plot = panel.plot("differs most")
    (first, *_) = plot.evaluate("plot => plot._fullLayout.yaxis.ticktext")
    opened = panel.click(plot, 1, 0.2)
    shows_labels(opened, labels_where(tagged["val"], F("label") == first))


def test_a_bar_of_anchors(panel: AuditPanel, demo_files: DemoPaths):
    labeled, _, annotation_ids = read_labeled(demo_files.annotations)
    resize = ResizePolicy("letterbox", 640)
    matches = AnchorMatches(labeled, resize, PRESETS["retinanet"])
    expected = {annotation_ids[row] for row in np.flatnonzero(matches.status == 2)}
    assert expected

    panel.open_from_palette()
    panel.tab("Anchors")
    opened = panel.click(panel.plot("are unreachable"), 2, 5)
    found = opened.view.values(f"{GROUND_TRUTH}.coco_id", unwind=True)
    assert set(found) == expected
    ids = opened.view.values(f"{GROUND_TRUTH}.id", unwind=True)
    shows_labels(opened, ids)

    # They are drawn over the sample with the most of them, which a point opens
    plot = panel.plot("objects are positive, ")
    x, y = plot.evaluate("plot => [plot.data.at(-1).x[0], plot.data.at(-1).y[0]]")
    opened = panel.click(plot, x, y)
    sample = opened.view.one(F())
    box = sample.ground_truth.detections[0].bounding_box
    assert (box[0] + box[2] / 2) * sample.metadata.width == pytest.approx(x, abs=0.1)
    assert (box[1] + box[3] / 2) * sample.metadata.height == pytest.approx(y, abs=0.1)

    page = panel.page
    page.get_by_role("button", name="Propose better anchors").click()
    panel.settle()
    expect(page.get_by_text("the fitted anchors reach")).to_be_visible()
    page.get_by_role("button", name="Use these anchors").click()
    panel.settle()
    expect(page.get_by_text("of the objects are positive for these")).to_be_visible()
    proposal = propose_anchors(labeled, resize, PRESETS["retinanet"])
    custom = page.get_by_role("textbox").nth(-2)
    expect(custom).to_have_value(str(proposal.anchors))


def test_controls_redraw_and_stay(panel: AuditPanel):
    panel.open_from_palette()
    panel.tab("Objects")
    page = panel.page
    expect(page.get_by_text("are under 16 px at an input of").first).to_be_visible()
    pixels = page.get_by_role("textbox").last
    before = pixels.bounding_box()
    pixels.fill("160")
    pixels.press("Tab")
    panel.settle()
    expect(page.get_by_text("letterbox 160").first).to_be_visible()
    assert page.get_by_role("textbox").last.bounding_box() == before

    pixels.fill("a lot")
    pixels.press("Tab")
    panel.settle()
    expect(page.get_by_text("it must be like 'letterbox 640'")).to_be_visible()

    panel.tab("Anchors")
    page.get_by_role("textbox").last.fill("640")
    page.get_by_role("textbox").last.press("Tab")
    panel.settle()
    page.get_by_role("combobox").filter(has_text="retinanet").click()
    page.get_by_role("option", name="yolov5").click()
    panel.settle()
    expect(page.get_by_text("yolov5").first).to_be_visible()
    expect(page.get_by_text("There are 9 anchor shapes")).to_be_visible()

    # A newer audit is what the panel shows next
    audit(panel.dataset, resize="letterbox 1280", select=["CA2"])
    panel.tab("Images")
    expect(page.get_by_text("letterbox 1280").first).to_be_visible()
    expect(page.get_by_role("textbox").last).to_have_value("1280")


def test_names_in_a_searched_list_are_not_cut(
    demo_dataset: fo.Dataset, open_app: OpenApp
):
    labels = demo_dataset.values(f"{GROUND_TRUTH}.label")
    names = iter(range(10_000))
    renamed = [
        [f"a class of a long name, {next(names) % 40}" for _ in one] for one in labels
    ]
    demo_dataset.set_values(f"{GROUND_TRUTH}.label", renamed)
    page = open_app(demo_dataset)
    page.set_viewport_size({"width": 1440, "height": 900})
    panel = AuditPanel(page, demo_dataset)
    panel.open_from_palette()
    panel.tab("Objects")
    page.locator("input[role=combobox]").fill("name, 39")
    option = page.get_by_role("option")
    expect(option).to_have_text("a class of a long name, 39")
    assert option.evaluate("shown => shown.scrollWidth <= shown.clientWidth")


def test_enter_does_what_the_space_bar_does(panel: AuditPanel):
    panel.open_from_palette()
    for tab, key in (("Images", "Enter"), ("Objects", "Space"), ("Findings", "Enter")):
        panel.tab_called(tab).press(key)
        panel.settle()
        expect(panel.page.locator("[aria-current=true]")).to_have_text(tab)
    button = panel.page.get_by_role("button", name="Open 8 labels")
    opened = panel.opened_by(lambda: button.first.press("Enter"))
    assert len(opened.view) == 4


def test_turning_to_tabs_changes_no_state(panel: AuditPanel):
    # With every change of it the App draws the labels in the grid anew, and of two in a
    # moment it loses them
    panel.open_from_palette()
    panel.events.clear()
    for tab in ("Images", "Objects", "Classes", "Anchors", "Objects", "Findings"):
        panel.tab_called(tab).click()
    panel.settle()
    turned = [e for e in panel.events if e["__method__"] == "show_tab"]
    assert len(turned) == 6
    assert not any(event["panel_state"] for event in panel.events)
    expect(panel.page.locator("[aria-current=true]")).to_have_text("Findings")


def test_a_dataset_without_labels_can_be_given_some(
    demo_dataset: fo.Dataset, open_app: OpenApp, operators: Operators
):
    demo_dataset.delete_sample_fields(["ground_truth", "predictions"])
    page = open_app(demo_dataset)
    page.get_by_text("fact_check", exact=True).first.click()
    expect(page.get_by_text("has no field of detections to audit")).to_be_visible()
    page.get_by_role("button", name="Import a dataset").click()
    expect(operators.form.get_by_text("Annotations").first).to_be_visible()


def test_what_the_grid_shows_is_audited_when_asked(
    panel: AuditPanel, screenshot: Screenshot
):
    panel.open_from_palette()
    panel.tab("Images")
    page = panel.page
    panel.click(panel.plot("The images are of"), 24, 100)
    # A click alone changes nothing
    expect(
        page.get_by_text("200 images, 1,746 objects and 4 crowd regions")
    ).to_be_visible()
    page.get_by_role("button", name="Audit this view").click()
    panel.settle()
    expect(page.get_by_text("A view")).to_be_visible()
    expect(page.get_by_text(": 2 images")).to_be_visible()
    screenshot("view")
    page.get_by_role("button", name="Audit the whole dataset").click()
    panel.settle()
    expect(
        page.get_by_text("200 images, 1,746 objects and 4 crowd regions")
    ).to_be_visible()


def test_a_changed_dataset_is_told(panel: AuditPanel, screenshot: Screenshot):
    panel.open_from_palette()
    page = panel.page
    expect(page.get_by_text("changed since")).not_to_be_visible()
    sample = panel.dataset.first()
    sample["ground_truth"].detections = []
    sample.save()
    panel.tab("Images")
    expect(page.get_by_text("the dataset has changed since")).to_be_visible()
    screenshot("stale")
    page.get_by_role("button", name="Recompute").click()
    panel.settle()
    expect(page.get_by_text("changed since")).not_to_be_visible()
    expect(
        page.get_by_text("200 images, 1,746 objects and 4 crowd regions")
    ).not_to_be_visible()


# Whether a control shows less than it holds, and whether a head breaks in a word
_CUT = "e => e.scrollWidth > e.clientWidth"
_BROKEN = """head => {
    const words = document.createTreeWalker(head, NodeFilter.SHOW_TEXT);
    for (let text; text = words.nextNode();)
        for (const {0: word, index} of text.data.matchAll(/\\S+/g)) {
            const range = document.createRange();
            range.setStart(text, index);
            range.setEnd(text, index + word.length);
            if (range.getClientRects().length > 1) return true;
        }
    return false;
}"""


def test_nothing_is_cut_in_a_small_window(panel: AuditPanel, screenshot: Screenshot):
    panel.page.set_viewport_size({"width": 1440, "height": 900})
    panel.open_from_palette()
    content = panel.page.get_by_test_id("panel-content-coco_audit")
    heads = 0
    for tab in ("Findings", "Images", "Objects", "Classes", "Anchors"):
        panel.tab(tab)
        if tab == "Anchors":
            content.get_by_role("button", name="Propose better anchors").click()
            panel.settle()
        screenshot(tab)
        controls = content.get_by_role("combobox").all()
        assert controls
        assert not any(control.evaluate(_CUT) for control in controls)
        shown = content.get_by_role("columnheader").all()
        assert not [one.text_content() for one in shown if one.evaluate(_BROKEN)]
        heads += len(shown)
    assert heads > 12
