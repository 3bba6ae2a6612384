"""The panel *Augmentation Preview*: its events, and what a person sees of it."""

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import fiftyone as fo
import numpy as np
import pytest
from playwright.sync_api import Locator, Page, Response, expect

from fiftyone_coco_audit import audit_augmentation
from fiftyone_coco_audit.augmentation.pipelines import Pipeline, preset
from fiftyone_coco_audit.augmentation.presets import PRESETS
from fiftyone_coco_audit.augmentation.preview import (
    draw_shots,
    label_colors,
    read_subject,
)
from tests.app.driver import Operators
from tests.app.panel_driver import AuditPanel, PanelSession

OpenApp = Callable[[fo.Dataset], Page]
Screenshot = Callable[[str], None]


class Session(PanelSession):
    """The panel *Augmentation Preview*."""

    uri = "@coco-audit/coco-audit/augmentation_preview"

    def set(self, **controls: Any) -> None:
        self.state["controls"].update(controls)
        method = "choose_pipeline" if "pipeline" in controls else "change"
        self.send(method, value=controls.get("pipeline"), path="controls")

    def set_parameter(self, name: str, text: str) -> None:
        path = f"builder.form{self.state['revision']}.{name}"
        self.send("set_parameter", path=path, value=text)

    def add(self, name: str, revision: int | None = None) -> None:
        revision = self.state["revision"] if revision is None else revision
        self.send("add_transform", path=f"builder.more{revision}.add", value=name)

    def pictures(self) -> list[str]:
        return re.findall(r"data:image/jpeg;base64,[\w+/=]+", self.shown)


def unchanged(dataset: fo.Dataset) -> Any:
    dataset.reload()
    return len(dataset), dataset.values("last_modified_at"), dataset.last_modified_at


def test_every_preset(demo_dataset: fo.Dataset):
    before = unchanged(demo_dataset)
    session = Session(demo_dataset)
    assert len(session.pictures()) == 9
    for name in PRESETS:
        session.set(pipeline=name, draws=2)
        assert len(session.pictures()) == 3
        assert PRESETS[name].description in session.shown.replace("\\'", "'")
    assert unchanged(demo_dataset) == before


def test_the_figures_are_those_of_the_sample(demo_dataset: fo.Dataset):
    session = Session(demo_dataset)
    session.set(pipeline="cropping_rotation", seed=5, draws=3)
    subject = read_subject(demo_dataset, demo_dataset.first().id)
    shots = draw_shots(preset("cropping_rotation"), subject, seed=5, num_draws=3)
    told = session.shown
    for shot in shots:
        _, found, told = told.partition(shot.figures())
        assert found
    assert subject.filepath.rpartition("/")[2] in session.shown


def test_half_a_number_is_none(demo_dataset: fo.Dataset):
    session = Session(demo_dataset)
    session.set(draws=None, seed=None)
    assert len(session.pictures()) == 9
    first = session.pictures()
    session.set(draws=0, seed=51)
    assert session.pictures() == first
    session.set(draws=10_000)
    assert len(session.pictures()) == 25


def test_samples_of_the_view_and_those_selected(demo_dataset: fo.Dataset):
    view = demo_dataset.limit(3)
    names = [path.rpartition("/")[2] for path in view.values("filepath")]
    session = Session(demo_dataset, view=view)
    session.set(draws=1)
    for position in (0, 1, 2, 0):
        assert names[position] in session.shown
        assert f"{position + 1} of 3 in the grid" in session.shown
        session.send("next_sample")
    session.send("previous_sample")
    session.send("previous_sample")
    assert names[2] in session.shown

    session.context["selected"] = view.values("id")[1:]
    session.send("on_change_selected")
    assert names[1] in session.shown and "1 of 2 selected" in session.shown
    session.send("next_sample")
    assert names[2] in session.shown
    # In the modal, it is the sample that is open there
    session.context["current_sample"] = view.first().id
    session.send("on_change_current_sample")
    assert names[0] in session.shown and "Next sample" not in session.shown


def test_only_another_view_begins_anew(demo_dataset: fo.Dataset):
    session = Session(demo_dataset)
    session.send("next_sample")
    # The App tells of changes that are none
    session.send("on_change_view")
    assert session.output is None
    session.send("change")
    assert "2 of 200 in the grid" in session.shown
    session.context["view"] = demo_dataset.skip(100)
    session.send("on_change_view")
    assert "1 of 100 in the grid" in session.shown


def test_another_dataset_begins_anew(demo_dataset: fo.Dataset):
    session = Session(demo_dataset)
    session.set(pipeline="rotation")
    session.send("on_load")
    assert session.state["controls"]["pipeline"] == "rotation"
    other = demo_dataset.limit(1).clone()
    session.context["dataset"] = other
    session.send("on_change_dataset")
    assert session.state["controls"]["pipeline"] == "minimal"
    assert "1 of 1 in the grid" in session.shown
    other.delete()


def test_a_pipeline_is_built(demo_dataset: fo.Dataset):
    session = Session(demo_dataset)
    session.set(pipeline="ultralytics")
    session.set(pipeline="built", draws=2)
    # It begins with what was shown
    subject = read_subject(demo_dataset, demo_dataset.first().id)
    (shot,) = draw_shots(preset("ultralytics"), subject, seed=51, num_draws=1)
    assert shot.figures() in session.shown
    assert "min_visibility" not in session.shown
    session.add("Rotate")
    # The App tells of a choice twice
    session.add("Rotate", revision=session.state["revision"] - 1)
    assert "6. Rotate" in session.shown and "7. Rotate" not in session.shown
    session.set_parameter("limit", "-5, 5")
    session.set_parameter("border_mode", "2")
    session.send("move_transform", place=5, to=4)
    assert "5. Rotate" in session.shown
    session.set_parameter("limit", "wide")
    assert "Transform 5, Rotate cannot have limit='wide'" in session.shown.replace(
        "\\'", "'"
    )
    assert session.pictures() == []
    session.set_parameter("limit", "")
    session.send("remove_transform", place=0)
    session.send("open_transform", place=5)
    assert "A.BboxParams" in session.shown
    session.set_parameter("min_visibility", "0.5")
    session.set(copy="python")
    for text in ("A.Rotate(", "border_mode=2", "min_visibility=0.5", "min_width=2"):
        assert text in session.shown
    assert "LongestMaxSize" not in session.shown.partition("import albumentations")[2]
    assert "limit=" not in session.shown.partition("A.Rotate(")[2].partition(")")[0]


def test_a_list_without_transforms(demo_dataset: fo.Dataset):
    session = Session(demo_dataset)
    session.set(pipeline="built")
    for _ in range(2):
        session.send("remove_transform", place=0)
    assert len(session.pictures()) == 9
    session.set(show="steps")
    assert len(session.pictures()) == 1
    session.send("begin_with", value="rotation")
    assert "3. Rotate" in session.shown
    assert len(session.pictures()) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no valid JSON in line 1"),
        ("- a: [", "is no valid YAML"),
        ('[{"transform": "Rotatte"}]', "did you mean 'Rotate'"),
        ("", "neither JSON or YAML"),
        ('[{"transform": "Rotate", "params": {"p": 2}}]', "cannot have p=2"),
    ],
)
def test_invalid_text(demo_dataset: fo.Dataset, text: str, message: str):
    session = Session(demo_dataset)
    session.set(pipeline="text")
    # The text begins with what was shown
    assert "LongestMaxSize" in session.state["text"]
    assert len(session.pictures()) == 9
    session.state["text"] = text
    session.send("change", path="text", value=text)
    assert message in session.shown.replace("\\'", "'")
    assert session.pictures() == []


def test_text_and_list_begin_with_what_was_shown(demo_dataset: fo.Dataset):
    session = Session(demo_dataset)
    session.set(pipeline="rotation")
    session.set(pipeline="text")
    assert Pipeline.parse(session.state["text"]).to_dict() == (
        preset("rotation").to_dict()
    )
    session.state["text"] = '[{"transform": "VerticalFlip"}]'
    session.send("change", path="text")
    session.set(pipeline="built")
    assert "1. VerticalFlip" in session.shown and "2. " not in session.shown
    # What was begun is kept
    session.set(pipeline="ssd")
    session.set(pipeline="text")
    assert "VerticalFlip" in session.state["text"]
    # Where it was not valid, with the default
    session.state["draft"] = None
    session.state["text"] = "nonsense"
    session.set(pipeline="built")
    assert "2. PadIfNeeded" in session.shown


def test_a_choice_may_be_told_twice_at_once(demo_dataset: fo.Dataset):
    session = Session(demo_dataset)
    session.set(pipeline="rotation")
    state = json.loads(json.dumps(session.state))
    for _ in range(2):
        session.state = json.loads(json.dumps(state))
        session.set(pipeline="text")
        assert Pipeline.parse(session.state["text"]).to_dict() == (
            preset("rotation").to_dict()
        )
        assert len(session.pictures()) == 9


def test_where_a_user_is_changes_no_state(demo_dataset: fo.Dataset):
    # With every change of it the App draws the labels in the grid anew
    session = Session(demo_dataset)
    before = json.dumps(session.state)
    session.send("next_sample")
    session.context["selected"] = demo_dataset.values("id")[:2]
    session.send("on_change_selected")
    session.send("next_sample")
    assert "2 of 2 selected" in session.shown
    assert json.dumps(session.state) == before
    session.set(pipeline="rotation")
    changed = json.loads(before)
    changed["controls"]["pipeline"] = "rotation"
    assert session.state == changed
    # The App tells of all there is where a user turns back to the panel
    shown = session.shown
    for event in ("on_change_dataset", "on_change_selected", "on_change_view"):
        session.send(event)
    session.send("change")
    assert session.shown == shown
    assert session.state == changed


def test_what_was_audited_is_shown_next(demo_dataset: fo.Dataset):
    session = Session(demo_dataset)
    view = demo_dataset.limit(3)
    audit_augmentation(view, "rotation", seed=7, workers=1).open_in_preview()
    # Also where the App tells of a change of the view that is none
    session.send("on_change_view")
    assert session.state["controls"]["pipeline"] == "rotation"
    subject = read_subject(demo_dataset, demo_dataset.first().id)
    (shot,) = draw_shots(preset("rotation"), subject, seed=7, num_draws=1)
    assert shot.figures() in session.shown

    found = audit_augmentation(view, "rotation", min_visibility=0.4, workers=1)
    found.open_in_preview()
    session.context["view"] = view
    session.send("on_change_view")
    assert session.state["controls"]["pipeline"] == "text"
    assert Pipeline.parse(session.state["text"]).to_dict() == found.pipeline.to_dict()
    assert len(session.pictures()) == 9

    # Once only, but also where the panel is opened afterwards
    session.set(pipeline="ssd")
    session.context["view"] = demo_dataset.view()
    session.send("on_change_view")
    assert session.state["controls"]["pipeline"] == "ssd"
    assert Session(demo_dataset).state["controls"]["pipeline"] == "text"


def test_patches_are_of_samples(demo_dataset: fo.Dataset):
    patches = demo_dataset.limit(2).to_patches("ground_truth")
    session = Session(demo_dataset, view=patches)
    first, last = demo_dataset.limit(2).values("filepath")
    assert first.rpartition("/")[2] in session.shown
    session.context["current_sample"] = patches.last().id
    session.send("on_change_current_sample")
    assert last.rpartition("/")[2] in session.shown


def test_a_transform_that_fails(demo_dataset: fo.Dataset):
    session = Session(demo_dataset)
    session.set(pipeline="text")
    session.state["text"] = (
        '[{"transform": "Crop", "params": {"x_max": 9999, "y_max": 9999, "p": 1}}]'
    )
    session.send("change", path="text")
    assert "Transform 1, Crop, failed" in session.shown


def test_an_image_that_cannot_be_read(demo_dataset: fo.Dataset, tmp_path: Path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no image")
    sample = demo_dataset.first()
    sample.filepath = str(bad)
    sample.save()
    session = Session(demo_dataset)
    assert "bad.jpg: The image cannot be read" in session.shown
    session.send("next_sample")
    assert len(session.pictures()) == 9
    bad.unlink()
    session.send("previous_sample")
    assert "bad.jpg: The image cannot be read: No such file" in session.shown


def test_nothing_to_show(demo_dataset: fo.Dataset):
    empty = Session(demo_dataset, view=demo_dataset.limit(1).match({"coco_id": -1}))
    assert "There is no sample in this view" in empty.shown
    bare = fo.Dataset()
    bare.add_sample(fo.Sample(filepath="/images/none.jpg"))
    assert "has no field of detections to augment" in Session(bare).shown
    bare.delete()
    video = fo.Dataset()
    video.add_sample(fo.Sample(filepath="/videos/none.mp4"))
    assert "Only images can be augmented" in Session(video).shown
    video.delete()
    groups = fo.Dataset()
    groups.add_group_field("group", default="left")
    sample = fo.Sample(filepath="/images/none.jpg", group=fo.Group().element("left"))
    groups.add_sample(sample)
    assert "is grouped, and its samples cannot be augmented" in Session(groups).shown
    groups.delete()


def test_a_sample_without_labels(demo_dataset: fo.Dataset):
    sample = demo_dataset.first()
    sample["ground_truth"] = None
    sample.save()
    session = Session(demo_dataset)
    assert "There are no labels that a pipeline could harm" in session.shown
    assert len(session.pictures()) == 9


class PreviewPanel(AuditPanel):
    """The panel, as a person uses it."""

    def open(self) -> None:
        """Opens it beside the grid."""
        self.page.get_by_title("New panel").first.click()
        self.page.get_by_text("Augmentation Preview", exact=True).first.click()
        self.wait()

    def open_in_modal(self, place: int) -> None:
        """Opens a sample of the grid, and turns to the panel."""
        self.page.get_by_test_id("looker").nth(place).click()
        tab = self.page.get_by_text("Augmentation Preview", exact=True).first
        tab.wait_for()
        tab.click()
        self.wait()

    def wait(self) -> None:
        """Waits for the pictures."""
        self.page.get_by_text("Before", exact=True).first.wait_for()
        self.settle()

    def does(self, act: Callable[[], None]) -> None:
        """Does something, and waits until the panel shows what comes of it."""
        with self.page.expect_response(_answers_the_panel):
            act()
        self.settle()

    def press(self, button: str) -> None:
        """Presses a button."""
        self.does(self.page.get_by_role("button", name=button, exact=True).click)

    def write(self, field: Locator, text: str) -> None:
        """Fills in a field, and leaves it."""
        field.fill(text)
        self.does(lambda: field.press("Tab"))

    def choose(self, label: str, option: str) -> None:
        """Chooses of a list."""
        control = self.page.locator(
            f"xpath=(//*[normalize-space(text())='{label}'])[last()]"
            "/following::*[@role='combobox'][1]"
        )
        control.click()
        self.does(self.page.get_by_role("option", name=option).click)

    def field(self, label: str) -> Locator:
        """A field to type into."""
        return self.page.locator(
            f"xpath=(//*[normalize-space(text())='{label}'])[last()]"
            "/following::input[1]"
        )

    def enter(self, label: str, text: str) -> None:
        """Fills in a field."""
        field = self.field(label)
        # A number is sent as it is typed, a text when its field is left
        self.does(lambda: (field.fill(text), field.press("Tab")))

    def pictures(self) -> list[str]:
        """What is shown, the sample as it is at first."""
        images = self.page.locator("img[src^='data:image/jpeg']")
        return images.evaluate_all("all => all.map(one => one.src)")


def _answers_the_panel(response: Response) -> bool:
    asked = response.request.post_data or ""
    return (
        response.url.endswith("/operators/execute")
        and "augmentation_preview" in asked
        and "on_change_view" not in asked
    )


@pytest.fixture
def panel(demo_dataset: fo.Dataset, open_app: OpenApp) -> PreviewPanel:
    """The panel of the demo, not opened yet."""
    return PreviewPanel(open_app(demo_dataset), demo_dataset)


@pytest.mark.browser
def test_in_the_grid(
    theme: str, panel_of_demo: PreviewPanel, screenshot: Screenshot
) -> None:
    panel = panel_of_demo
    before = unchanged(panel.dataset)
    panel.open()
    page = panel.page
    expect(page.get_by_text("No label is harmed in 8 draws.")).to_be_visible()
    minimal = panel.pictures()
    assert len(minimal) == 9 and len(set(minimal[1:])) == 1

    panel.choose("Pipeline", "Bad: rotation by up to 45 degrees")
    rotated = panel.pictures()
    assert len(set(rotated)) == 9
    expect(page.get_by_text("loose").first).to_be_visible()
    screenshot("rotation")
    panel.enter("Seed", "52")
    assert not set(panel.pictures()[1:]) & set(rotated[1:])
    panel.enter("Seed", "51")
    assert panel.pictures() == rotated

    panel.choose("Show", "One transform at a time")
    for step in ("1. LongestMaxSize", "2. PadIfNeeded", "3. Rotate"):
        expect(page.get_by_text(step, exact=True)).to_be_visible()
    steps = panel.pictures()
    assert len(steps) == 4 and steps[-1] == rotated[1]
    expect(page.get_by_text("changes nothing in this draw")).to_be_visible()
    screenshot("steps")
    panel.choose("Show", "Several draws")

    panel.press("Next sample")
    expect(page.get_by_text("2 of 200 in the grid")).to_be_visible()
    assert panel.pictures()[0] != rotated[0]
    panel.choose("Pipeline", "Bad: rotation that crops its border")
    screenshot("crop")
    panel.choose("Pipeline", "Bad: padding by reflection")
    screenshot("reflection")
    assert unchanged(panel.dataset) == before
    # Nothing sticks out to the right
    content = page.get_by_test_id("panel-content-augmentation_preview")
    assert content.evaluate("e => e.scrollWidth <= e.clientWidth + 1")


@pytest.fixture
def panel_of_demo(theme: str, panel: PreviewPanel) -> PreviewPanel:
    """The panel, in either of the App's modes."""
    return panel


@pytest.mark.browser
def test_in_the_modal(
    theme: str, panel_of_demo: PreviewPanel, screenshot: Screenshot
) -> None:
    panel = panel_of_demo
    page, paths = panel.page, panel.dataset.values("filepath")
    panel.open_in_modal(4)
    expect(page.get_by_text(Path(paths[4]).name).first).to_be_visible()
    first = panel.pictures()
    panel.choose("Pipeline", "Final")
    assert panel.pictures()[0] == first[0]
    assert panel.pictures()[1:] != first[1:]
    screenshot("final")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text(f"{Path(paths[5]).name} (").first).to_be_visible()
    panel.settle()
    assert panel.pictures()[0] != first[0]
    panel.choose("Show", "One transform at a time")
    screenshot("steps")
    panel.choose("Pipeline", "Paste one")
    box = page.locator("textarea:visible").first
    panel.write(box, '{"transform": ')
    expect(page.get_by_text("is no valid JSON in line 1")).to_be_visible()
    screenshot("invalid")


@pytest.mark.browser
def test_paste_build_and_copy(panel: PreviewPanel, screenshot: Screenshot) -> None:
    panel.open()
    page = panel.page
    panel.choose("Pipeline", "Paste one")
    box = page.locator("textarea:visible").first
    assert Pipeline.parse(box.input_value()).to_dict() == preset("minimal").to_dict()
    before = box.bounding_box()
    for text, message in (
        ('[{"transform": "Rotate",]', "is no valid JSON in line 1, column"),
        ('[{"transform": "Rotatte"}]', "did you mean 'Rotate'?"),
    ):
        panel.write(box, text)
        shown = page.get_by_text(message)
        expect(shown).to_be_visible()
        assert box.bounding_box() == before
        # Right below the field
        top = shown.bounding_box()["y"] - before["y"] - before["height"]
        assert 0 < top < 60
        assert panel.pictures() == []
    screenshot("invalid")
    panel.write(box, '[{"transform": "Rotate", "params": {"limit": [20, 20], "p": 1}}]')
    expect(page.get_by_text("did you mean")).not_to_be_visible()
    assert len(panel.pictures()) == 9

    panel.choose("Pipeline", "Build one")
    add = page.get_by_placeholder("Type or select a value")
    add.fill("ShiftScale")
    panel.does(page.get_by_role("option", name="ShiftScaleRotate", exact=True).click)
    button = page.get_by_role("button", name="2. ShiftScaleRotate")
    expect(button).to_be_visible()
    panel.enter("rotate_limit", "-10, 10")
    panel.press("Earlier")
    expect(page.get_by_role("button", name="1. ShiftScaleRotate")).to_be_visible()
    screenshot("build")
    panel.enter("rotate_limit", "wide")
    expect(page.get_by_text("cannot have rotate_limit='wide'")).to_be_visible()
    panel.enter("rotate_limit", "5, 5")
    assert len(panel.pictures()) == 9
    panel.choose("Copy as", "Python")
    code = page.get_by_text("transform = A.Compose").first
    expect(code).to_be_visible()
    content = page.get_by_test_id("panel-content-augmentation_preview")
    assert content.evaluate("e => e.scrollWidth <= e.clientWidth + 1")
    screenshot("copy")
    panel.press("Remove")
    expect(page.get_by_role("button", name="1. Rotate")).to_be_visible()


@pytest.mark.browser
def test_selected_samples(panel: PreviewPanel) -> None:
    page, paths = panel.page, panel.dataset.values("filepath")
    panel.open()
    for place in (6, 2):
        looker = page.get_by_test_id("looker").nth(place)
        # It lies outside of a small picture, and is moved in by the App
        box = looker.get_by_test_id("looker-checkbox-input-")
        panel.does(lambda box=box: box.dispatch_event("click"))
    expect(page.get_by_text("1 of 2 selected")).to_be_visible()
    names = set()
    for _ in range(2):
        told = page.get_by_text(re.compile(r"\w+\.jpg \(")).first.text_content() or ""
        names.add(told.partition("· ")[2].partition(" (")[0])
        panel.press("Next sample")
    assert names == {Path(paths[place]).name for place in (6, 2)}


@pytest.mark.browser
def test_colors_are_those_of_the_app(panel: PreviewPanel) -> None:
    panel.open()
    entry = panel.page.get_by_test_id("ground_truth-field").first
    app = entry.evaluate(
        """e => [e.parentElement, ...e.parentElement.querySelectorAll('*')].map(
            one => getComputedStyle(one).backgroundColor)"""
    )
    subject = read_subject(panel.dataset, panel.dataset.first().id)
    (color,) = set(subject.colors)
    assert f"rgb({color[0]}, {color[1]}, {color[2]})" in app
    assert label_colors(panel.dataset, "ground_truth", ["x"], ["x"]) == [color]
    # The colour is in the picture, with what JPEG makes of it
    data = base64.b64decode(panel.pictures()[0].partition(",")[2])
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    near = np.abs(picture[..., ::-1].astype(int) - color).max(axis=2) < 24
    assert near.sum() > 500


@pytest.mark.browser
def test_apply_augmentation(
    demo_dataset: fo.Dataset,
    open_app: OpenApp,
    operators: Operators,
    screenshot: Screenshot,
    tmp_path: Path,
) -> None:
    demo_dataset.delete_samples(demo_dataset.skip(3))
    open_app(demo_dataset)
    form = operators.open("COCO Audit: apply an augmentation")
    button = form.get_by_role("button", name="Apply", exact=True)
    expect(button).to_be_disabled()
    folder = form.locator(
        "xpath=(.//*[text()='Folder for the images'])/following::input"
    )
    folder.first.fill(str(tmp_path / "new"))
    expect(button).to_be_enabled()
    screenshot("form")
    shown = operators.submit("Apply")
    expect(shown).to_contain_text("3 samples were added")
    screenshot("results")
    demo_dataset.reload()
    made = demo_dataset.match_tags("augmented")
    assert made.values("augmented_from") == demo_dataset.values("id")[:3]
    assert len(list((tmp_path / "new").iterdir())) == 3
