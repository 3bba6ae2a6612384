"""The panel's events as the App sends them, without a browser."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import fiftyone as fo
import numpy as np
import pytest
from fiftyone import ViewField as F
from fiftyone.operators.operations import _serialize_view
from fiftyone.server.view import get_view

from fiftyone_coco_audit import audit, import_coco, views
from fiftyone_coco_audit.escaping import markdown
from fiftyone_coco_audit.findings import RULES, Evidence, rule_page
from fiftyone_coco_audit.panels.audit_controls import AuditControls
from fiftyone_coco_audit.panels.audit_page import TABS
from fiftyone_coco_audit.panels.blocks import Tab
from fiftyone_coco_audit.panels.session import LoadedField, LoadedFields
from fiftyone_coco_audit.statistics.anchor_sets import PRESETS
from fiftyone_coco_audit.statistics.anchors import AnchorMatches
from fiftyone_coco_audit.statistics.inputs import read_labeled_images
from fiftyone_coco_audit.statistics.resizing import ResizePolicy
from tests.app.audit_session import Session
from tests.small_coco import write_small_coco

GROUND_TRUTH = "ground_truth.detections"
Make = Callable[..., fo.Dataset]


@pytest.fixture
def make(mongodb: str) -> Iterator[Make]:
    """A function that makes a dataset of images that are not there."""
    made = []

    def dataset(
        num_images: int, labels: list[list[str]] | None = None, field: str | None = None
    ) -> fo.Dataset:
        dataset = fo.Dataset()
        made.append(dataset)
        if field is not None:
            dataset.add_sample_field(
                field, fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections
            )
        samples = []
        for n in range(num_images):
            sample = fo.Sample(
                filepath=str(Path("/images") / f"{n}.jpg"),
                metadata=fo.ImageMetadata(width=640, height=480),
            )
            if labels is not None:
                sample["ground_truth"] = fo.Detections(
                    detections=[
                        fo.Detection(label=label, bounding_box=[0.1, 0.1, 0.2, 0.3])
                        for label in labels[n % len(labels)]
                    ]
                )
            samples.append(sample)
        dataset.add_samples(samples, progress=False)
        return dataset

    yield dataset
    for dataset in made:
        dataset.delete()


def test_findings_are_those_of_an_audit(demo_dataset: fo.Dataset):
    session = Session(demo_dataset)
    expected = audit(demo_dataset)
    assert len(expected) > 5
    places = [session.shown.index(repr(markdown(f.message))[1:-1]) for f in expected]
    assert places == sorted(places)
    opened = [finding for finding in expected if finding.subject]
    for finding, card in zip(opened, session.cards(), strict=True):
        session.send("open_finding", **card)
        view = expected.view(finding)
        assert session.view.values("id") == view.values("id")
        path = "ground_truth.detections.id"
        assert session.view.values(path) == view.values(path)


def test_a_notice_says_that_a_view_can_hold_no_more_labels(
    demo_dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(views, "MOST_LABELS", 1)
    session = Session(demo_dataset)
    opened = [finding for finding in audit(demo_dataset) if finding.subject]
    for finding, card in zip(opened, session.cards(), strict=True):
        session.send("open_finding", **card)
        count = len(finding.label_ids)
        cut = f"The view shows the first 1 of {count} labels, the most that it can hold"
        assert (session.notices == [cut]) == (count > 1)
    session.turn_to("classes")
    assert len(session.click("classes.counts", 0)) == 1
    (notice,) = session.notices
    assert notice.startswith("The view shows the first 1 of ")


def test_the_panel_runs_the_rules_of_the_last_audit(demo_dataset: fo.Dataset):
    tuned = {"CA309": {"max_deviation": 4}}
    expected = audit(demo_dataset, ignore=["CA2", "CA408"], thresholds=tuned)
    session = Session(demo_dataset)
    for finding in expected:
        assert repr(markdown(finding.message))[1:-1] in session.shown
    assert not any(code in session.shown for code in ("CA201:", "CA408:"))
    assert "rules left out, other thresholds for CA309" in session.shown

    everything = {"left_out": "", "thresholds": ""}
    session.send("set_controls", sets=everything)
    for finding in audit(demo_dataset):
        assert repr(markdown(finding.message))[1:-1] in session.shown
    assert "As in the last audit" not in session.shown


def test_a_finding_links_the_page_of_its_rule(demo_dataset: fo.Dataset, monkeypatch):
    def check(statistics: object) -> Iterator[Evidence]:
        yield Evidence("Something of our own is wrong.")

    own = replace(RULES["CA301"], code="OWN1", advice="Change it.", check=check)
    monkeypatch.setitem(RULES, own.code, own)
    session = Session(demo_dataset)
    found = audit(demo_dataset)
    assert "OWN1" in [finding.code for finding in found]
    for finding in found:
        advice = markdown(finding.advice)
        link = f"{advice} [What is this rule?]({rule_page(finding.code)})"
        assert (repr(link)[1:-1] in session.shown) == (finding.code != "OWN1")
    assert "Change it." in session.shown
    assert "None)" not in session.shown


def test_the_panel_starts_from_the_last_audit(demo_dataset: fo.Dataset):
    settings = {"resize": "letterbox 1280", "anchors": "yolov5"}
    audit(demo_dataset, select=["CA2"], **settings)
    session = Session(demo_dataset)
    session.turn_to("anchors")
    assert "`yolov5` at `letterbox 1280`" in session.shown
    labeled = read_labeled_images(demo_dataset).images
    matches = AnchorMatches(
        labeled, ResizePolicy.parse("letterbox 1280"), PRESETS["yolov5"]
    )
    assert (
        session.plots["anchors.status"][0]["y"]
        == np.bincount(matches.status, minlength=3).tolist()
    )
    # What the user then sets stays
    session.turn_to("anchors", anchors="ssd300")
    session.turn_to("images")
    session.turn_to("anchors")
    assert "`ssd300` at `letterbox 1280`" in session.shown
    # Until there is a newer audit, which may be of other anchors altogether
    text = "anchors 10x13,16x30 strides 8 iou 0.5,0.4 offset 0"
    audit(
        demo_dataset,
        label_field="predictions",
        resize="none",
        anchors=text,
        select=["CA2"],
    )
    session.send("on_load")
    assert "these anchors at `none`" in session.shown
    assert session.value_of("label_field") == "predictions"
    assert session.value_of("custom_anchors") == text


def test_what_an_import_set_aside_is_among_the_findings(tmp_path: Path, mongodb: str):
    files = write_small_coco(tmp_path / "set")
    coco = json.loads(files.annotations.read_text())
    coco["annotations"][0]["image_id"] = 99
    files.annotations.write_text(json.dumps(coco))
    dataset = import_coco(files.annotations, files.images_dir)
    try:
        expected = audit(dataset)
        assert "set aside by the import" in expected["CA110"].message
        session = Session(dataset)
        for finding in expected:
            assert repr(markdown(finding.message))[1:-1] in session.shown
        session.context["view"] = dataset.limit(1)
        session.send("use_view")
        assert "set aside by the import" not in session.shown
    finally:
        dataset.delete()


def test_buttons_set_controls_and_lines_of_text_follow(demo_dataset: fo.Dataset):
    session = Session(demo_dataset)
    session.turn_to("classes", threshold="5", resize_size="320")
    assert "fewer than 5%" in session.shown
    session.turn_to("anchors")
    assert "at `letterbox 320`" in session.shown
    text = "sizes 16,32 strides 8,16"
    session.send("set_controls", sets={"anchors": "custom", "custom_anchors": text})
    assert "these anchors at `letterbox 320`" in session.shown
    # Another line of text than the one before, which would go on showing its own
    assert "custom_anchors__0" not in session.shown
    assert "custom_anchors__1" in session.shown
    session.turn_to("classes")
    assert "fewer than 5%" in session.shown


def test_the_selected_sample_is_drawn(demo_dataset: fo.Dataset):
    session = Session(demo_dataset)
    session.turn_to("anchors")
    sample = demo_dataset.match(F(GROUND_TRUTH).length() > 3).skip(2).first()
    session.send("draw_selected")
    assert Path(sample.filepath).name not in session.shown
    session.context["selected"] = [sample.id]
    session.send("draw_selected")
    assert Path(sample.filepath).name in session.shown
    labels = [d for d in sample.ground_truth.detections if not d["iscrowd"]]
    points = session.plots["anchors.drawn"][-1]
    assert len(points["x"]) == len(labels)
    x, y, width, height = np.array([d.bounding_box for d in labels]).T
    size = sample.metadata
    assert points["x"] == pytest.approx((x + width / 2) * size.width)
    assert points["y"] == pytest.approx((y + height / 2) * size.height)
    opened = session.click("anchors.drawn", 1, len(session.plots["anchors.drawn"]) - 1)
    assert opened == [labels[1].id]


def test_saved_views_are_compared(demo_dataset: fo.Dataset):
    demo_dataset.save_view("first", demo_dataset.limit(50))
    demo_dataset.save_view("rest", demo_dataset.skip(50))
    session = Session(demo_dataset)
    session.turn_to("classes", first_set="view:first", second_set="view:rest")
    assert "differs most" in session.shown
    opened = session.click("classes_sets.set_classes", 0)
    ids = set(demo_dataset.limit(50).values(f"{GROUND_TRUTH}.id", unwind=True))
    assert opened and set(opened) <= ids


def test_nothing_is_read_twice(
    demo_dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch
):
    reads = []

    def read(*args: Any, **kwargs: Any) -> Any:
        reads.append(args)
        return read_labeled_images(*args, **kwargs)

    monkeypatch.setattr(
        "fiftyone_coco_audit.panels.audit_page.READINGS", LoadedFields(read)
    )
    session = Session(demo_dataset)
    for tab in TABS:
        session.turn_to(tab)
        session.turn_to(tab, resize_mode="stretch", resize_size="320")
    session.turn_to("classes", threshold="5")
    session.turn_to("anchors", anchors="yolov5")
    session.click("anchors.status", 0)
    assert len(reads) == 1
    session.send("recompute")
    assert len(reads) == 2


def test_a_grid_of_everything_is_the_whole_dataset(make: Make):
    dataset = make(3, [["cat"]])
    session = Session(dataset, view=dataset.view())
    session.send("use_view")
    assert "The whole dataset" in session.shown
    session.context["view"] = dataset.limit(2)
    session.send("use_view")
    assert "A view" in session.shown


def test_an_empty_dataset(make: Make):
    session = Session(make(0, field="ground_truth"))
    assert "There are no objects" not in session.shown
    for tab in TABS:
        session.turn_to(tab)
        assert session.plots == {}
    session.turn_to("images")
    assert "There are no images" in session.shown


def test_a_dataset_without_labels(make: Make):
    session = Session(make(2))
    assert "has no field of detections to audit" in session.shown
    assert "@coco-audit/coco-audit/import_coco" in session.shown
    session.turn_to("anchors")
    assert session.plots == {}


@pytest.mark.parametrize(
    ("event", "params"),
    [
        ("recompute", {}),
        ("open_finding", {"card": "CA101", "stamp": "", "as_patches": False}),
        ("open_mark", {"path": "images.aspect_ratio", "idx": 0, "trace_idx": 0}),
    ],
)
def test_labels_that_are_deleted_meanwhile_are_told(
    make: Make, event: str, params: dict[str, Any]
):
    dataset = make(3, [["cat"]])
    session = Session(dataset)
    dataset.delete_sample_field("ground_truth")
    session.send(event, **params)
    assert "has no field of detections to audit" in session.shown


def test_images_without_objects(make: Make):
    session = Session(make(2, field="labels"))
    assert "2 images, 0 objects" in session.shown
    session.turn_to("objects")
    assert "There are no objects" in session.shown
    session.turn_to("images")
    assert session.plots["images.sizes"][0]["x"] == [640]


def test_sizes_that_are_found_out_are_no_change_of_the_dataset(
    make: Make, tmp_path: Path
):
    path = str(tmp_path / "image.png")
    assert cv2.imwrite(path, np.zeros((48, 64, 3), "u1"))
    dataset = make(1, [["cat"]])
    dataset.set_values("filepath", [path])
    dataset.clear_sample_field("metadata")
    session = Session(dataset)
    assert "1 image, 1 object" in session.shown
    assert "changed since" not in session.shown


def test_a_view_of_three_samples(demo_dataset: fo.Dataset):
    view = demo_dataset.limit(3)
    session = Session(demo_dataset, view=view)
    assert "200 images" in session.shown
    session.send("use_view")
    assert ": 3 images" in session.shown
    # It stays with that view, whatever the grid shows next
    session.context["view"] = demo_dataset.skip(100)
    for tab in TABS:
        session.turn_to(tab)
        assert ": 3 images" in session.shown
    session.turn_to("images")
    session.press("images.sizes", 0)
    assert set(session.view.values("id")) <= set(view.values("id"))
    session.send("use_dataset")
    assert "200 images" in session.shown


def test_1200_classes(make: Make):
    labels = [[f"class {40 * n + k}" for k in range(40)] for n in range(30)]
    session = Session(make(30, labels))
    for tab in TABS:
        session.turn_to(tab)
    session.turn_to("classes")
    assert len(session.plots["classes.counts"][0]["x"]) == 2 * 31
    assert len(session.click("classes.counts", 60)) == 1170
    session.turn_to("classes", list_classes="all")
    assert len(session.plots["classes.counts"][0]["x"]) == 2 * 1200
    session.turn_to("objects", class_name="class 7")
    assert "1 of 1" in session.shown or "0 of 1" in session.output


@pytest.fixture
def grouped(make: Make) -> fo.Dataset:
    """Two groups of a left and a right image, and of a scan without any."""
    dataset = make(0)
    dataset.add_group_field("group", default="left")
    samples = []
    for n in range(2):
        group = fo.Group()
        for name, labels in (("left", ["cat"]), ("right", ["cat", "dog"])):
            samples.append(
                fo.Sample(
                    filepath=f"/images/{name}{n}.jpg",
                    metadata=fo.ImageMetadata(width=640, height=480),
                    group=group.element(name),
                    ground_truth=fo.Detections(
                        detections=[
                            fo.Detection(label=label, bounding_box=[0.1, 0.1, 0.2, 0.3])
                            for label in labels
                        ]
                    ),
                )
            )
        scan = fo.Sample(filepath=f"/images/{n}.pcd", group=group.element("scan"))
        samples.append(scan)
    dataset.add_samples(samples, progress=False)
    return dataset


def test_a_slice_of_groups_is_audited(grouped: fo.Dataset):
    session = Session(grouped, view=grouped.view(), group_slice="left")
    assert "one slice of images is audited at a time" in session.shown
    assert "select_group_slices" not in session.shown
    assert "import_coco" not in session.shown
    assert "Audit the slice left" in session.shown
    session.context["group_slice"] = "right"
    session.send("on_change_group_slice")
    assert "Audit the slice right" in session.shown
    session.send("use_view")
    assert "A view**: 2 images, 4 objects" in session.shown
    session.turn_to("classes")
    opened = session.click("classes.counts", 0)
    right = grouped.select_group_slices("right")
    expected = right.filter_labels("ground_truth", F("label") == "cat")
    assert opened == expected.values("ground_truth.detections.id", unwind=True)
    # The slice that the grid shows now is another one; nothing has changed
    session.context["group_slice"] = "left"
    session.send("on_change_group_slice")
    assert "2 images, 4 objects" in session.shown
    assert "has changed" not in session.shown
    session.send("use_dataset")
    assert "Audit the slice left" in session.shown


def test_a_slice_without_images_is_not_offered(grouped: fo.Dataset):
    session = Session(grouped, view=grouped.view(), group_slice="scan")
    assert "which has no images: choose another slice above the grid" in session.shown
    assert "Audit the slice" not in session.shown


def test_videos_are_none_to_audit(make: Make):
    dataset = make(0)
    dataset.add_sample(fo.Sample(filepath="/videos/1.mp4"))
    session = Session(dataset)
    assert "Only images can be audited" in session.shown
    assert "'video'" in session.shown
    assert "has no field" not in session.shown


def test_another_dataset_begins_anew(demo_dataset: fo.Dataset, make: Make):
    session = Session(demo_dataset, view=demo_dataset.limit(3))
    session.send("use_view")
    session.turn_to("images", label_field="predictions")
    session.context = {"dataset": make(2, [["cat"]])}
    session.send("on_change_dataset")
    assert "The whole dataset**: 2 images, 2 objects" in session.shown


def test_nothing_is_lost_where_a_user_turns_back(demo_dataset: fo.Dataset):
    session = Session(demo_dataset, view=demo_dataset.limit(3))
    session.send("use_view")
    session.turn_to("images", label_field="predictions")
    shown = session.shown
    # The App tells of the dataset then, which is the same
    for event in ("on_load", "on_change_dataset", "on_change_group_slice"):
        session.send(event)
        assert session.shown == shown


def test_the_tab_chosen_last_is_shown(
    demo_dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch
):
    session = Session(demo_dataset)
    build = TABS["anchors"]

    def interrupted(reading: LoadedField, controls: AuditControls) -> Tab:
        session.send("show_tab", tab="classes")
        return build(reading, controls)

    monkeypatch.setitem(TABS, "anchors", interrupted)
    session.turn_to("anchors")
    assert "Pairs by" in session.shown and "Propose better" not in session.shown


def test_many_labels_are_opened_at_once(make: Make):
    names = ["cat"] * 10 + ["dog"] * 10
    dataset = make(500, [names])
    session = Session(dataset)
    session.turn_to("classes")
    expected = dataset.filter_labels("ground_truth", F("label") == "cat")
    opened = session.click("classes.counts", 0)
    assert len(opened) == 5_000
    assert opened == expected.values("ground_truth.detections.id", unwind=True)


def test_labels_are_those_of_select_labels(demo_dataset: fo.Dataset):
    ids = demo_dataset.values("ground_truth.detections.id", unwind=True)
    chosen = np.random.default_rng(51).choice(ids, 300, replace=False).tolist()
    view = views.view_of_labels(demo_dataset, "ground_truth", chosen)
    expected = demo_dataset.select_labels(ids=chosen, fields="ground_truth")
    for path in ("id", "ground_truth.detections.id", "predictions.detections.id"):
        assert view.values(path) == expected.values(path)
    sent = get_view(demo_dataset, stages=_serialize_view(view))
    assert sent.values("id") == expected.values("id")
