"""The panel *Augmentation Preview*: its events, and what a person sees of it."""

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import pytest
from fiftyone.operators.executor import ExecutionContext
from playwright.sync_api import Locator, Page, Response, expect

from fiftyone_coco_audit import audit_augmentation, import_coco
from fiftyone_coco_audit.augmentation.pipelines import Pipeline, preset
from fiftyone_coco_audit.augmentation.presets import PRESETS
from fiftyone_coco_audit.augmentation.preview import (
    label_colors,
    preview_draws,
    read_subject,
)
from fiftyone_coco_audit.operators.pipeline_forms import pipeline_of
from tests.app.driver import Operators
from tests.app.panel_driver import AuditPanel, PanelSession

OpenApp = Callable[[fo.Dataset], Page]
Screenshot = Callable[[str], None]
PANELS = "COCO Audit", "Augmentation Preview"


class Session(PanelSession):
    """The panel *Augmentation Preview*."""

    uri = "@coco-audit/coco-audit/augmentation_preview"

    def send(self, method: str, **params: Any) -> None:
        super().send(method, **params)
        # With every change of it the App draws all labels in the grid anew
        assert not self.state

    @property
    def shown(self) -> str:
        """The page; an event that changes nothing does not draw it anew."""
        return str(self.form)

    def set(self, **controls: Any) -> None:
        for name, value in controls.items():
            method = "choose_pipeline" if name == "pipeline" else "change"
            self.report(method, name, value)

    def report(self, method: str, name: str, value: Any) -> None:
        """A control reports its value."""
        path = next(path for path in self.controls() if _entry(path) == name)
        self.send(method, path=path, value=value)

    def value_of(self, name: str) -> Any:
        """What a control shows."""
        found = {_entry(path): value for path, value in self.controls().items()}
        return found[name]

    def controls(self) -> dict[str, Any]:
        """What the controls show, by their paths."""
        return dict(_controls(self.form))

    def write(self, text: str) -> None:
        """Writes a pipeline as text."""
        self.report("write_text", "text", text)

    def set_parameter(self, name: str, text: str) -> None:
        self.report("set_parameter", name, text)

    def add(self, name: str) -> None:
        self.report("add_transform", "add", name)

    def pictures(self) -> list[str]:
        return re.findall(r"data:image/jpeg;base64,[\w+/=]+", self.shown)


def _entry(path: str) -> str:
    return path.rpartition(".")[2].partition("__")[0]


def _controls(form: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, part in form["type"].get("properties", {}).items():
        if "on_change" in str(part):
            props = part["view"].get("componentsProps") or {}
            value = part["default"]
            if "select" in props:
                value = props["select"]["value"]
            if "properties" not in part["type"]:
                yield f"{path}{name}", value
            yield from _controls(part, f"{path}{name}.")


def unchanged(dataset: fo.Dataset) -> Any:
    dataset.reload()
    return len(dataset), dataset.values("last_modified_at"), dataset.last_modified_at


def test_every_preset(demo_dataset: fo.Dataset):
    before = unchanged(demo_dataset)
    session = Session(demo_dataset)
    assert len(session.pictures()) == 9
    # What is shown first shows something
    assert len(set(session.pictures())) == 9
    session.set(pipeline="final")
    session.set(draws="2")
    for name in set(PRESETS) - {"final"}:
        session.set(pipeline=name)
        assert len(session.pictures()) == 3
        assert PRESETS[name].description in session.shown.replace("\\'", "'")
    assert unchanged(demo_dataset) == before


def test_the_figures_are_those_of_the_sample(demo_dataset: fo.Dataset):
    session = Session(demo_dataset)
    session.set(pipeline="cropping_rotation", seed="5", draws="3")
    subject = read_subject(demo_dataset, demo_dataset.first().id)
    shots = preview_draws(preset("cropping_rotation"), subject, seed=5, num_draws=3)
    told = session.shown
    for shot in shots:
        _, found, told = told.partition(shot.figures())
        assert found
    assert subject.filepath.rpartition("/")[2] in session.shown


def test_half_a_number_is_none(demo_dataset: fo.Dataset):
    session = Session(demo_dataset)
    first = session.pictures()
    assert len(first) == 9
    session.set(draws=None)
    session.set(seed="half")
    assert session.pictures() == first
    # The line shows what is used
    assert session.value_of("draws") == "8" and session.value_of("seed") == "51"
    session.set(draws="0")
    assert len(session.pictures()) == 2 and session.value_of("draws") == "1"
    session.set(draws="10000")
    assert len(session.pictures()) == 25 and session.value_of("draws") == "24"


def test_samples_of_the_view_and_those_selected(demo_dataset: fo.Dataset):
    view = demo_dataset.limit(3)
    names = [path.rpartition("/")[2] for path in view.values("filepath")]
    session = Session(demo_dataset, view=view)
    session.set(draws="1")
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
    assert "2 of 200 in the grid" in session.shown
    session.context["view"] = demo_dataset.skip(100)
    session.send("on_change_view")
    assert "1 of 100 in the grid" in session.shown


def test_another_dataset_begins_anew(demo_dataset: fo.Dataset):
    session = Session(demo_dataset)
    session.set(pipeline="rotation")
    session.send("on_load")
    assert session.value_of("pipeline") == "rotation"
    other = demo_dataset.limit(1).clone()
    session.context["dataset"] = other
    session.send("on_change_dataset")
    assert session.value_of("pipeline") == "ultralytics"
    assert "1 of 1 in the grid" in session.shown
    other.delete()


def test_a_pipeline_is_built(demo_dataset: fo.Dataset):
    session = Session(demo_dataset)
    session.set(pipeline="built", draws="2")
    # It begins with what was shown
    subject = read_subject(demo_dataset, demo_dataset.first().id)
    (shot,) = preview_draws(preset("ultralytics"), subject, seed=51, num_draws=1)
    assert shot.figures() in session.shown
    assert "min_visibility" not in session.shown
    added = next(path for path in session.controls() if _entry(path) == "add")
    session.add("Rotate")
    # The App tells of a choice twice
    session.send("add_transform", path=added, value="Rotate")
    assert session.output is None
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
    session.set(pipeline="minimal")
    session.set(pipeline="built")
    for _ in range(2):
        session.send("remove_transform", place=0)
    assert len(session.pictures()) == 9
    session.set(show="steps")
    assert len(session.pictures()) == 1
    session.report("begin_with", "begin", "rotation")
    assert "3. Rotate" in session.shown
    assert len(session.pictures()) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not valid JSON: line 1"),
        ("- a: [", "is not valid YAML"),
        ('[{"transform": "Rotatte"}]', "did you mean 'Rotate'"),
        ("", "neither the JSON or YAML"),
        ('[{"transform": "Rotate", "params": {"p": 2}}]', "cannot have p=2"),
    ],
)
def test_invalid_text(demo_dataset: fo.Dataset, text: str, message: str):
    session = Session(demo_dataset)
    session.set(pipeline="text")
    # The text begins with what was shown
    assert "LongestMaxSize" in session.value_of("text")
    assert len(session.pictures()) == 9
    session.write(text)
    assert message in session.shown.replace("\\'", "'")
    assert session.pictures() == []


def test_text_and_list_begin_with_what_was_shown(demo_dataset: fo.Dataset):
    session = Session(demo_dataset)
    session.set(pipeline="rotation")
    session.set(pipeline="text")
    assert Pipeline.parse(session.value_of("text")).to_dict() == (
        preset("rotation").to_dict()
    )
    session.write('[{"transform": "VerticalFlip"}]')
    session.set(pipeline="built")
    assert "1. VerticalFlip" in session.shown and "2. " not in session.shown
    # What was begun is kept
    session.set(pipeline="ssd")
    session.set(pipeline="text")
    assert "VerticalFlip" in session.value_of("text")
    # Where it was not valid, with the default
    other = Session(demo_dataset)
    other.set(pipeline="text")
    other.write("nonsense")
    other.set(pipeline="built")
    assert "1. LongestMaxSize" in other.shown


def test_a_choice_may_be_told_twice(demo_dataset: fo.Dataset):
    session = Session(demo_dataset)
    session.set(pipeline="rotation")
    for _ in range(2):
        session.set(pipeline="text")
        assert Pipeline.parse(session.value_of("text")).to_dict() == (
            preset("rotation").to_dict()
        )
    assert session.output is None
    assert len(session.pictures()) == 9


def test_lines_of_text_report_what_they_show_first(demo_dataset: fo.Dataset):
    session = Session(demo_dataset)
    session.set(pipeline="built")
    for path, value in session.controls().items():
        methods = {"add": "add_transform", "begin": "begin_with"}
        method = methods.get(_entry(path), "change")
        if ".form." in path:
            method = "set_parameter"
        elif _entry(path) == "pipeline":
            method = "choose_pipeline"
        session.send(method, path=path, value=value)
        assert session.output is None, path


def test_where_a_user_is_does_not_change(demo_dataset: fo.Dataset):
    session = Session(demo_dataset)
    session.send("next_sample")
    session.context["selected"] = demo_dataset.values("id")[:2]
    session.send("on_change_selected")
    session.send("next_sample")
    assert "2 of 2 selected" in session.shown
    session.set(pipeline="rotation")
    # The App tells of all there is where a user turns back to the panel
    shown = session.shown
    for event in ("on_change_dataset", "on_change_selected", "on_change_view"):
        session.send(event)
    session.send("on_change_current_sample")
    assert session.shown == shown


def test_the_form_of_the_audit_has_the_pipeline(demo_dataset: fo.Dataset):
    session = Session(demo_dataset)
    session.set(pipeline="rotation", seed="7")
    session.send("audit_pipeline")
    assert session.prompted["operator_uri"].endswith("/audit_augmentation")
    assert session.prompted["params"] == {
        "preset": "rotation",
        "label_field": "ground_truth",
        "seed": 7,
        "view_target": "DATASET",
    }
    session.set(pipeline="built")
    session.add("VerticalFlip")
    session.send("audit_pipeline")
    params = session.prompted["params"]
    assert params["preset"] == "own"
    assert "VerticalFlip" in params["own_pipeline"]
    # As the operator reads it
    ctx = ExecutionContext({"params": params, "dataset_name": demo_dataset.name})
    assert "VerticalFlip" in pipeline_of(ctx).to_json()
    operator = foo.get_operator("@coco-audit/coco-audit/audit_augmentation")
    inputs = operator.resolve_type(ctx, "inputs").type.properties
    assert not any(prop.invalid for prop in inputs.values())


def test_what_was_audited_is_shown_next(demo_dataset: fo.Dataset):
    session = Session(demo_dataset)
    view = demo_dataset.limit(3)
    audit_augmentation(view, "rotation", seed=7, workers=1).open_in_preview()
    # Also where the App tells of a change of the view that is none
    session.send("on_change_view")
    assert session.value_of("pipeline") == "rotation"
    assert session.value_of("seed") == "7"
    subject = read_subject(demo_dataset, demo_dataset.first().id)
    (shot,) = preview_draws(preset("rotation"), subject, seed=7, num_draws=1)
    assert shot.figures() in session.shown

    found = audit_augmentation(view, "rotation", min_visibility=0.4, workers=1)
    found.open_in_preview()
    session.context["view"] = view
    session.send("on_change_view")
    assert session.value_of("pipeline") == "text"
    written = Pipeline.parse(session.value_of("text"))
    assert written.to_dict() == found.pipeline.to_dict()
    assert len(session.pictures()) == 9

    # Once only, but also where the panel is opened afterwards
    session.set(pipeline="ssd")
    session.context["view"] = demo_dataset.view()
    session.send("on_change_view")
    assert session.value_of("pipeline") == "ssd"
    assert Session(demo_dataset).value_of("pipeline") == "text"


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
    session.write(
        '[{"transform": "Crop", "params": {"x_max": 9999, "y_max": 9999, "p": 1}}]'
    )
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
    assert "This view has no samples" in empty.shown
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
    assert "and grouped samples cannot be augmented" in Session(groups).shown
    groups.delete()


def test_a_sample_without_labels(demo_dataset: fo.Dataset):
    sample = demo_dataset.first()
    sample["ground_truth"] = None
    sample.save()
    session = Session(demo_dataset)
    assert "There are no labels for a pipeline to harm" in session.shown
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

    def control(self, label: str) -> Locator:
        """A list to choose from."""
        return self.page.locator(
            f"xpath=(//*[normalize-space(text())='{label}'])[last()]"
            "/following::*[@role='combobox'][1]"
        )

    def choose(self, label: str, option: str) -> None:
        """Chooses of a list."""
        self.control(label).click()
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
        # It is sent when the field is left
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
def test_in_the_grid(panel: PreviewPanel, screenshot: Screenshot) -> None:
    before = unchanged(panel.dataset)
    panel.open()
    page = panel.page
    # What is shown first shows something
    assert len(set(panel.pictures())) == 9
    screenshot("first")
    panel.choose("Pipeline", "Minimal")
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

    panel.choose("Show", "Step by step")
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


@pytest.mark.browser
def test_in_the_modal(panel: PreviewPanel, screenshot: Screenshot) -> None:
    page, paths = panel.page, panel.dataset.values("filepath")
    panel.open_in_modal(4)
    expect(page.get_by_text(Path(paths[4]).name).first).to_be_visible()
    # These two lose no object, which the picture before would show
    panel.choose("Pipeline", "Minimal")
    first = panel.pictures()
    panel.choose("Pipeline", "Final")
    assert panel.pictures()[0] == first[0]
    assert panel.pictures()[1:] != first[1:]
    screenshot("final")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text(f"{Path(paths[5]).name} (").first).to_be_visible()
    panel.settle()
    assert panel.pictures()[0] != first[0]
    panel.choose("Show", "Step by step")
    screenshot("steps")
    panel.choose("Pipeline", "Paste one")
    box = page.locator("textarea:visible").first
    panel.write(box, '{"transform": ')
    expect(page.get_by_text("is not valid JSON: line 1")).to_be_visible()
    screenshot("invalid")


@pytest.mark.browser
def test_paste_build_and_copy(panel: PreviewPanel, screenshot: Screenshot) -> None:
    panel.open()
    page = panel.page
    panel.choose("Pipeline", "Paste one")
    box = page.locator("textarea:visible").first
    first = Pipeline.parse(box.input_value()).to_dict()
    assert first == preset("ultralytics").to_dict()
    before = box.bounding_box()
    for text, message in (
        ('[{"transform": "Rotate",]', "is not valid JSON: line 1, column"),
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
@pytest.mark.parametrize(("width", "columns"), [(1440, 2), (1920, 3)])
def test_beside_the_other_panel(
    panel: PreviewPanel,
    operators: Operators,
    screenshot: Screenshot,
    width: int,
    columns: int,
) -> None:
    page = panel.page
    page.set_viewport_size({"width": width, "height": width * 5 // 8})
    panel.open_from_palette()
    operators.run("COCO Audit: preview an augmentation")
    panel.wait()
    # A tab, where a third column would leave no room
    tabs = [page.get_by_text(name, exact=True).first for name in PANELS]
    tops = [tab.bounding_box()["y"] for tab in tabs]
    assert abs(tops[0] - tops[1]) < 3
    content = page.get_by_test_id("panel-content-augmentation_preview")
    expect(page.get_by_test_id("panel-content-coco_audit")).not_to_be_visible()
    # Columns of draws, and what the colors mean is above them
    boxes = [one.bounding_box() for one in content.locator("img").all()]
    assert len({round(box["x"]) for box in boxes}) == columns
    legend = content.get_by_text("Red boxes are wrong").bounding_box()
    assert legend["y"] < boxes[0]["y"] < legend["y"] + 80
    # All of the first two pictures is in view
    assert all(box["y"] + box["height"] < width * 5 // 8 for box in boxes[:2])
    _no_control_is_cut(content)
    # The controls of draws are on one line
    row = [panel.control("Pipeline"), panel.control("Show")]
    row += [panel.field("Draws"), panel.field("Seed")]
    middles = [box["y"] + box["height"] / 2 for box in map(Locator.bounding_box, row)]
    assert max(middles) - min(middles) < 12
    assert content.evaluate("e => e.scrollWidth <= e.clientWidth + 1")
    screenshot("beside")
    # Enter does what the space bar does
    for key, number in (("Enter", 2), ("Space", 3), ("Enter", 4)):
        page.get_by_role("button", name="Next sample").focus()
        panel.does(lambda key=key: page.keyboard.press(key))
        expect(page.get_by_text(f"{number} of 200 in the grid")).to_be_visible()


def _no_control_is_cut(content: Locator) -> None:
    controls = content.get_by_role("combobox").all()
    assert controls
    assert not any(
        control.evaluate("e => e.scrollWidth > e.clientWidth") for control in controls
    )


@pytest.mark.browser
def test_all_of_a_wide_modal_is_used(
    panel: PreviewPanel, screenshot: Screenshot
) -> None:
    page = panel.page
    page.set_viewport_size({"width": 1920, "height": 1080})
    panel.open_in_modal(2)
    page.mouse.move(960, 540)
    content = page.get_by_test_id("panel-content-augmentation_preview").last
    edges = [box["x"] + box["width"] for box in map(_box, content.locator("img").all())]
    arrow = _box(page.get_by_test_id("nav-right-button"))
    screenshot("modal")
    assert 0 <= arrow["x"] - max(edges) < 60
    _no_control_is_cut(content)


def _box(part: Locator) -> Mapping[str, float]:
    found = part.bounding_box()
    assert found
    return found


@pytest.mark.browser
@pytest.mark.parametrize("where", ["grid", "modal"])
def test_audit_this_pipeline(
    panel: PreviewPanel, operators: Operators, screenshot: Screenshot, where: str
) -> None:
    page, dataset = panel.page, panel.dataset
    dataset.delete_samples(dataset.skip(12))
    page.reload()
    page.get_by_test_id("looker").first.wait_for()
    if where == "grid":
        panel.open()
    else:
        panel.open_in_modal(2)
        _no_arrow_covers_a_control(panel)
    panel.choose("Pipeline", "Bad: rotation by up to 45 degrees")
    page.get_by_role("button", name="Audit this pipeline on all images").last.click()
    expect(operators.form).to_contain_text("Bad: rotation by up to 45 degrees")
    screenshot("form")
    shown = operators.submit("Audit")
    expect(shown).to_contain_text("CA604")
    shown.get_by_role("button", name="Done", exact=True).click()
    dataset.reload()
    damaged = dataset.count_values("ground_truth.detections.augmentation_damage")
    assert any("loose" in (kind or "") for kind in damaged)
    panel.settle()
    content = page.get_by_test_id("panel-content-augmentation_preview").last
    expect(content).to_contain_text("Bad: rotation by up to 45 degrees")
    screenshot("after")


def _no_arrow_covers_a_control(panel: PreviewPanel) -> None:
    """The arrows of the modal are beside the controls, and over no picture."""
    page = panel.page
    page.mouse.move(700, 450)
    arrows = page.locator("[data-cy=nav-left-button], [data-cy=nav-right-button]")
    content = page.get_by_test_id("panel-content-augmentation_preview").last
    parts = content.locator("img, button, input, [role=combobox], [role=button]")
    assert arrows.count() and parts.count() > 9
    for arrow in (one.bounding_box() for one in arrows.all()):
        for part in (one.bounding_box() for one in parts.all()):
            is_beside = (
                part["x"] + part["width"] <= arrow["x"]
                or arrow["x"] + arrow["width"] <= part["x"]
            )
            assert is_beside, (arrow, part)


@pytest.mark.browser
@pytest.mark.real_data
def test_twenty_changes_lose_no_label(
    mongodb: str,
    shared_data: Path,
    open_app: OpenApp,
    screenshot: Screenshot,
) -> None:
    folder = shared_data / "balloon"
    dataset = import_coco(
        folder / "annotations.json", folder / "images", name="preview-balloon"
    )
    panel = PreviewPanel(open_app(dataset), dataset)
    panel.open()
    page = panel.page
    page.wait_for_timeout(3_000)
    lookers = page.get_by_test_id("looker")

    def grid() -> Any:
        shots = [lookers.nth(place).screenshot() for place in range(4)]
        decoded = (np.frombuffer(shot, np.uint8) for shot in shots)
        return [cv2.imdecode(one, cv2.IMREAD_COLOR).astype(int) for one in decoded]

    before = grid()
    names = [PRESETS[name].label for name in PRESETS]
    for number in range(20):
        label, option = (
            ("Pipeline", names[number % len(names)])
            if number % 3
            else ("Pictures", ["Small", "Large", "Medium"][number // 3 % 3])
        )
        panel.control(label).click()
        page.get_by_role("option", name=option, exact=True).click()
        page.wait_for_timeout((50, 400, 2_000)[number % 3])
    panel.settle()
    page.wait_for_timeout(3_000)
    screenshot("after")
    for was, now in zip(before, grid(), strict=True):
        assert np.abs(was - now).mean() < 2
    dataset.delete()


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
    # The color is in the picture, with what JPEG makes of it
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
    expect(shown).to_contain_text("Added 3 samples")
    screenshot("results")
    demo_dataset.reload()
    made = demo_dataset.match_tags("augmented")
    assert made.values("augmented_from") == demo_dataset.values("id")[:3]
    assert len(list((tmp_path / "new").iterdir())) == 3
