"""Audits of datasets: what is found, stored and opened."""

import json
import re
from dataclasses import replace
from pathlib import Path

import fiftyone as fo
import fiftyone.core.odm as foo_odm
import fiftyone.operators as foo
import pytest
from bson import ObjectId
from PIL import Image

from fiftyone_coco_audit import (
    CocoAuditError,
    audit,
    compute_statistics,
    import_coco,
    import_report,
    load_audit,
    views,
)
from fiftyone_coco_audit.auditing import RUN_KEY
from fiftyone_coco_audit.rule_selection import selected_rules
from fiftyone_coco_audit.runs import save_run

URI = "@coco-audit/coco-audit/"

# Codes of the rules that find a plant of the demo
CODES = {
    "extreme_aspect_ratio": "CA201",
    "huge_image": "CA202",
    "background_image": "CA208",
    "box_outside_image": "CA301",
    "duplicate_annotation": "CA302",
    "loose_boxes": "CA303",
    "long_tail": "CA402",
    "rare_class_with_commonest": "CA407",
    "unlabeled_class": "CA408",
    "tiny_object": "CA501",
}
# Tiny objects are also far from the usual size of their class
ALSO = {"CA309": "tiny_object"}


@pytest.fixture
def dataset(demo_files) -> fo.Dataset:
    return import_coco(demo_files.annotations, demo_files.images)


def coco_ids(view: fo.DatasetView) -> list[int]:
    return sorted(view.values("coco_id"))


def label_ids(view: fo.DatasetView) -> list[int]:
    return sorted(view.values("ground_truth.detections.coco_id", unwind=True))


def test_the_planted_faults_are_found_and_nothing_else(demo_files, dataset):
    found = audit(dataset)
    manifest = json.loads(demo_files.manifest.read_text())
    plants = {plant["key"]: plant for plant in manifest["plants"]}
    assert sorted(f.code for f in found) == sorted([*CODES.values(), *ALSO])
    for key, code in CODES.items():
        finding, plant = found[code], plants[key]
        view = found.view(finding)
        assert finding.severity == plant["severity"], key
        if key == "unlabeled_class":
            # Which images show a mug is not known: all of the source are named
            assert finding.classes == tuple(plant["categories"])
            site = dataset.match(fo.ViewField("filepath").contains_str("site_b"))
            assert coco_ids(view) == coco_ids(site)
            assert set(plant["image_ids"]) <= set(coco_ids(view))
        elif key == "long_tail":
            assert set(finding.classes) == set(plant["categories"])
            assert set(view.distinct("ground_truth.detections.label")) == set(
                plant["categories"]
            )
        elif plant["annotation_ids"]:
            assert label_ids(view) == sorted(plant["annotation_ids"])
            assert finding.count == len(plant["annotation_ids"])
            assert finding.subject == "label"
        else:
            assert coco_ids(view) == sorted(plant["image_ids"])
            assert finding.count == len(plant["image_ids"])
            assert finding.subject == "sample"
    for code, key in ALSO.items():
        assert set(label_ids(found.view(code))) <= set(plants[key]["annotation_ids"])


def test_an_audit_is_stored(dataset):
    with pytest.raises(CocoAuditError, match="has no stored audit"):
        load_audit(dataset)
    found = audit(dataset)
    again = load_audit(fo.load_dataset(dataset.name))
    assert again == found
    assert again.to_frame().equals(found.to_frame())
    assert json.loads(again.to_json()) == json.loads(found.to_json())
    assert label_ids(again.view("CA302")) == label_ids(found.view("CA302"))
    # It is one of several runs, and goes with the dataset
    audit(dataset, select=["CA302"])
    assert [f.code for f in load_audit(dataset.clone())] == ["CA302"]


def test_audits_that_were_replaced_take_no_room(dataset):
    audit(dataset, select=["CA302"])
    files = foo_odm.get_db_conn()["fs.files"]
    before = files.count_documents({})
    audit(dataset, select=["CA302"])
    assert files.count_documents({}) == before


def test_an_audit_of_a_view_is_stored_with_it(dataset):
    found = audit(dataset.limit(40))
    again = load_audit(fo.load_dataset(dataset.name))
    assert again == found
    whole = next(finding for finding in again if not finding.subject)
    assert len(again.view(whole)) == 40
    for finding in found:
        assert again.view(finding).values("id") == found.view(finding).values("id")


def test_what_is_no_finding_is_told(dataset):
    found = audit(dataset, select=["CA302"])
    with pytest.raises(CocoAuditError, match="'CA501'.*; its findings are: CA302"):
        found.view("CA501")
    with pytest.raises(CocoAuditError, match="None.*; its findings are: CA302"):
        found.view(None)
    for kind in (KeyError, CocoAuditError):
        with pytest.raises(kind, match="^There is no finding 'CA999' in this audit"):
            found["CA999"]
    with pytest.raises(CocoAuditError, match="Expected a FiftyOne dataset or view"):
        load_audit("demo")


def test_rules_are_selected_ignored_and_tuned(dataset):
    assert [f.code for f in audit(dataset, select=["CA3"], ignore=["CA309"])] == [
        "CA301",
        "CA302",
        "CA303",
    ]
    assert [f.code for f in audit(dataset, select="huge-image, CA402")] == [
        "CA202",
        "CA402",
    ]
    strict = audit(
        dataset,
        select=["CA501"],
        thresholds={"CA501": {"min_px": 32}},
    )
    sizes = audit(dataset, select=["CA501"])
    assert strict["CA501"].count > sizes["CA501"].count
    for arguments, words in (
        ({"select": ["CA9"]}, "no rule 'CA9'"),
        ({"ignore": [""]}, "no rule ''"),
        ({"select": ""}, "No rule is left"),
        ({"select": []}, "No rule is left"),
        ({"select": [None]}, "no rule None"),
        ({"ignore": ["CA"]}, "No rule is left"),
        ({"thresholds": {"CA501": {"size": 1}}}, "no threshold 'size'"),
        ({"thresholds": {"CA501": {"min_px": "1"}}}, "'1', which is not a number"),
        ({"thresholds": {"CA501": {"min_px": float("nan")}}}, "not a number"),
        ({"thresholds": {"CA501": 1}}, "must be like"),
        ({"thresholds": {"CA601": {"visible": 0.5}}}, "here. audit_augmentation"),
    ):
        with pytest.raises(CocoAuditError, match=words):
            audit(dataset, **arguments)


def test_what_is_left_out_may_be_said_by_none(dataset):
    assert len(audit(dataset, ignore=None)) == len(audit(dataset))
    with pytest.raises(CocoAuditError, match="'fatal'"):
        audit(dataset, select=["CA3"]).at_least("fatal")


def test_thresholds_by_code_and_by_name_add_up(dataset):
    by_code = {"min_px": 32}
    both = {"CA501": by_code, "tiny-object-at-input": {}}
    found = audit(dataset, select=["CA501"], thresholds=both)
    expected = audit(dataset, select=["CA501"], thresholds={"CA501": by_code})
    assert found["CA501"].count == expected["CA501"].count


@pytest.mark.parametrize("size", [0, None])
@pytest.mark.parametrize("side", ["width", "height"])
def test_sizes_that_the_metadata_do_not_say_are_computed(dataset, side, size):
    expected = audit(dataset).findings
    path = f"metadata.{side}"
    before = dataset.values(path)
    dataset.set_values(path, [size, *before[1:]])
    assert audit(dataset).findings == expected
    assert dataset.values(path) == before


def test_files_that_cannot_be_read_keep_what_metadata_they_have(dataset, tmp_path):
    dataset = dataset.limit(2).clone()
    sample = dataset.first()
    sample.filepath = str(tmp_path / "gone.jpg")
    sample.metadata.height = 0
    sample.metadata.mime_type = "image/jpeg"
    sample.save()
    with pytest.raises(CocoAuditError, match="size of 1 image is unknown"):
        audit(dataset)
    dataset.reload()
    assert dataset.first().metadata.mime_type == "image/jpeg"
    readable = {"metadata.width": {"$gt": 0}, "metadata.height": {"$gt": 0}}
    assert audit(dataset.match(readable)).num_images == 1


def test_views_of_groups_are_told(dataset):
    with pytest.raises(CocoAuditError, match="call its flatten"):
        audit(dataset.group_by("coco_id"))


def test_other_media_than_images_are_told():
    videos = fo.Dataset()
    videos.add_sample(
        fo.Sample(filepath="/videos/1.mp4", ground_truth=fo.Detections(detections=[]))
    )
    with pytest.raises(CocoAuditError, match="has samples of type video"):
        audit(videos)


def test_more_labels_than_a_view_can_hold(dataset, monkeypatch, caplog):
    found = audit(dataset, select=["CA302"])
    labels = found["CA302"].label_ids
    assert len(labels) > 1
    found.view("CA302")
    assert "The view shows" not in caplog.text
    monkeypatch.setattr(views, "MOST_LABELS", 1)
    view = found.view("CA302")
    assert view.values("ground_truth.detections.id", unwind=True) == [labels[0]]
    assert f"The view shows the first 1 of {len(labels)} labels" in caplog.text


def test_a_view_of_as_many_labels_as_it_can_hold(dataset):
    ids = [str(ObjectId()) for _ in range(views.MOST_LABELS + 100_000)]
    ids[0] = dataset.first().ground_truth.detections[0].id
    assert len(views.view_of_labels(dataset, "ground_truth", ids)) == 1


def test_a_view_is_audited_alone(dataset):
    view = dataset.match(fo.ViewField("coco_id") <= 60)
    found = audit(view)
    assert found.num_images == len(view)
    for finding in found:
        assert set(finding.sample_ids) <= set(view.values("id"))
    assert set(found.view("CA302").values("id")) < set(view.values("id"))


def test_what_the_import_set_aside_is_found(demo_files, tmp_path):
    coco = json.loads(demo_files.annotations.read_text())
    coco["annotations"][7]["image_id"] = 9999
    coco["annotations"][8]["image_id"] = 9999
    coco["images"][0]["file_name"] = "gone.jpg"
    file = tmp_path / "annotations.json"
    file.write_text(json.dumps(coco))
    dataset = import_coco(file, demo_files.images)
    found = audit(dataset, select=["CA1"])
    assert [(f.code, f.severity, f.count) for f in found] == [
        ("CA110", "error", 2),
        ("CA120", "warning", 1),
    ]
    assert found["CA110"].message == (
        "A record refers to an image that does not exist: 2 annotation records of "
        "annotations.json set aside by the import; the first, annotation "
        f"{coco['annotations'][7]['id']} at position 7: its `image_id` is 9999, which "
        "names no image."
    )
    assert coco_ids(found.view("CA120")) == [coco["images"][0]["id"]]


@pytest.mark.real_data
@pytest.mark.parametrize("folder", ["coco_mini", "balloon"])
def test_real_data_have_no_errors(shared_data: Path, folder: str):
    """Both sets are small, and so unbalanced; no label of theirs is wrong."""
    files = shared_data / folder
    dataset = import_coco(files / "annotations.json", files / "images")
    found = audit(dataset)
    assert found.counts["error"] == 0, str(found)


def test_text(dataset):
    found = audit(dataset)
    lines = found.to_text(120).splitlines()
    assert lines[0] == (
        "200 images, 1,746 objects and 4 crowd regions: 3 errors, 5 warnings, 3 notes"
    )
    assert max(map(len, lines)) <= 120
    assert "8 of 1,746 boxes extend beyond the border" in str(found)
    assert (
        audit(dataset, select=["CA110"])
        .to_text()
        .splitlines()[0]
        .endswith("no findings")
    )


def test_rules_that_were_not_run_are_told(dataset):
    """No findings of one rule must not read like no findings of all."""
    assert not any("left out" in note for note in audit(dataset).notes)

    found = audit(dataset, ignore=["CA2"], thresholds={"few-objects": {}})
    assert not any("thresholds" in note for note in found.notes)
    assert any(
        re.fullmatch(r"\d+ of \d+ rules left out: CA2.*\.", n) for n in found.notes
    )
    assert load_audit(dataset).notes == found.notes

    (note,) = audit(dataset, select=["CA301"]).notes
    rules = len(selected_rules())
    assert note == f"Only 1 of {rules} rules run, because of select: CA301."

    found = audit(dataset, thresholds={"few-objects": {"min_objects": 5}})
    assert found.notes[-1] == "Thresholds changed from their defaults: CA403."


def test_findings_by_name(dataset):
    found = audit(dataset)
    finding = found["CA301"]
    assert found[finding.name] == finding
    assert found.view(finding.name) == found.view("CA301")


@pytest.mark.parametrize("function", [load_audit, import_report])
def test_views_hold_what_their_datasets_hold(dataset, function):
    audit(dataset)
    assert str(function(dataset.limit(3))) == str(function(dataset))
    with pytest.raises(CocoAuditError, match="a FiftyOne dataset or view, not"):
        function(dataset.name)


def test_crowd_regions_are_told_beside_the_objects(demo_files, dataset):
    manifest = json.loads(demo_files.manifest.read_text())
    crowds = len(manifest["crowd_annotation_ids"])
    found = audit(dataset, select=["CA301"])
    assert found.num_crowds == crowds > 1
    assert found.num_objects + crowds == dataset.count("ground_truth.detections")
    assert f"{found.num_objects:,} objects and {crowds} crowd regions: " in str(found)
    assert json.loads(found.to_json())["num_crowds"] == crowds
    (said,) = [
        sentence
        for sentence in compute_statistics(
            dataset, write_fields=False
        ).statistics.sentences()
        if "crowd" in sentence
    ]
    assert f"{found.num_objects:,} objects and {crowds} crowd regions; " in said


def test_audits_stored_without_a_number_of_crowds_can_be_loaded(dataset):
    found = audit(dataset, select=["CA301"])
    stored = found.as_dict()
    del stored["num_crowds"]
    save_run(dataset, RUN_KEY, dataset.init_run(method="audit"), {"audit": stored})
    assert load_audit(dataset) == replace(found, num_crowds=0)


def test_text_says_what_took_no_part(dataset):
    def has_no_class(sample: fo.Sample) -> None:
        sample["ground_truth"].detections[0].label = None
        sample.save()

    own = dataset.clone()
    has_no_class(
        own.match(fo.ViewField("ground_truth.detections").length() > 1).first()
    )
    told = "  1 label in 'ground_truth' has no class or no box: left out."
    for rules in (["CA301"], ["CA110"]):
        assert told in audit(own, select=rules).to_text().splitlines()


def test_empty_sets():
    dataset = fo.Dataset()
    with pytest.raises(CocoAuditError, match="no field 'ground_truth'"):
        audit(dataset)
    dataset.add_sample_field(
        "ground_truth", fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections
    )
    dataset.media_type = "image"
    (finding,) = audit(dataset)
    assert finding.code == "CA413"
    assert finding.message == "There are no images."
    assert len(finding.view(dataset)) == 0


def test_operator_is_the_function(dataset):
    expected = audit(dataset, ignore=["CA2"])
    called = foo.get_operator(f"{URI}audit")(dataset, ignore=["CA2"])
    assert called.findings == expected.findings
    result = foo.execute_operator(
        f"{URI}audit", {"dataset": dataset}, params={"ignore": "CA2"}
    ).result
    assert result["counts"] == expected.counts
    assert [f["message"] for f in result["findings"]] == [
        f.message for f in expected.findings
    ]
    assert [f["count"] for f in result["findings"]] == [
        f.count for f in expected.findings
    ]
    assert load_audit(dataset).findings == expected.findings
    assert result["num_objects"] == expected.num_objects
    assert result["num_crowds"] == expected.num_crowds


B = [10, 10, 50, 40]


def write_coco(folder: Path, annotations: list[dict]) -> Path:
    """A COCO file of an image of 200 x 100 pixels for each annotation."""
    images = [
        {"id": n, "file_name": f"{n}.png", "width": 200, "height": 100}
        for n in range(len(annotations))
    ]
    file = folder / "annotations.json"
    for image in images:
        Image.new("RGB", (200, 100)).save(folder / image["file_name"])
    sound = {"category_id": 1, "bbox": B, "area": 2000, "iscrowd": 0}
    coco = {
        "images": images,
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [
            {"id": n + 1, "image_id": n, **sound, **one}
            for n, one in enumerate(annotations)
        ],
    }
    file.write_text(json.dumps(coco))
    return file


def test_what_annotations_say_beside_their_box(tmp_path):
    half = [[10, 10, 60, 10, 60, 50]]  # a triangle, half of the box
    file = write_coco(
        tmp_path,
        [
            {"segmentation": half, "area": 1000},
            {"segmentation": half, "area": 2000},
            {"segmentation": half, "area": 0},
            {"segmentation": [[300, 10, 360, 10, 360, 50]], "area": 1200},
            {"bbox": [150.5, 10, 50, 40]},
            {"attributes": {"rotation": 30.0, "occluded": False}},
            {"attributes": {"rotation": 0.0, "occluded": False}},
        ],
    )
    dataset = import_coco(file, tmp_path)
    found = audit(dataset)
    ids = {code: label_ids(found.view(code)) for code in ("CA313", "CA314", "CA315")}
    assert ids == {"CA313": [4], "CA314": [2, 3], "CA315": [5]}
    assert label_ids(found.view("CA316")) == [6]
    # 0 is small, as the mask is
    assert found["CA314"].figures["size_class_changes"] == 1
    assert (found["CA313"].severity, found["CA315"].severity) == ("error", "note")


def test_boxes_by_their_corners_are_one_finding(tmp_path):
    """Nothing advises to clip, to remove or to enlarge what is only misread."""
    corners = [[100 + n, 40 + n, 160 + n, 90 + n] for n in range(10)] * 2
    file = write_coco(tmp_path, [{"bbox": box, "area": 3000} for box in corners])
    dataset = import_coco(file, tmp_path)
    found = audit(dataset)
    finding = found["CA312"]
    assert finding.message == (
        "20 of 20 boxes (100%) do not fit their images as [x, y, width, height] in "
        "pixels, while 100% fit as [x1, y1, x2, y2]."
    )
    assert finding.count == 20
    others = [f.code for f in found if f.code.startswith(("CA3", "CA5"))]
    assert others == ["CA312"]
    alone = audit(dataset, select=["CA301"])["CA301"]
    assert alone.advice.startswith("100% of the boxes fit as [x1, y1, x2, y2]. Convert")


def test_one_fact_is_told_once(tmp_path):
    """Missing files are found by the import and by the audit."""
    file = write_coco(tmp_path, [{}, {}, {}])
    empty = tmp_path / "empty"
    empty.mkdir()
    found = audit(import_coco(file, empty))
    codes = [f.code for f in found]
    assert "CA212" in codes and "CA120" not in codes
    assert "Import again with the folder" in found["CA212"].advice
    (empty / "0.png").write_bytes((tmp_path / "0.png").read_bytes())
    some = audit(import_coco(file, empty, overwrite=True))["CA212"]
    assert some.advice == "Put the missing files into the image folder."


def test_views_of_a_few_images_say_nothing_on_missing_classes(dataset):
    found = audit(dataset.limit(3))
    assert not [f for f in found if f.code in ("CA401", "CA403", "CA404")]
    assert any("3 of 200 images, too few to say" in note for note in found.notes)
    assert audit(dataset).not_run == {}


def test_what_cannot_run_is_refused_or_listed(dataset):
    view = dataset.limit(60)
    foreign = fo.Dataset()
    foreign.add_samples([sample.copy() for sample in dataset.limit(3)])
    for samples, select, words in (
        (dataset, ["CA6"], "'CA6' selects no rule that can run here. audit_augm"),
        (dataset, ["CA301", "CA601"], "'CA601' selects no rule"),
        (view, ["CA1"], "No rule can run. Not run: CA101, .* need a whole dataset"),
        (foreign, ["CA1"], "a whole dataset that import_coco created"),
        (dataset.limit(3), ["CA401"], "3 of 200 images, too few to say"),
    ):
        with pytest.raises(CocoAuditError, match=words):
            audit(samples, select=select)
    listed = audit(view, select=["CA1", "CA302"])
    assert "CA101" in listed.not_run and "CA302" not in listed.not_run
    assert json.loads(listed.to_json())["not_run"] == listed.not_run
    assert load_audit(dataset).not_run == listed.not_run
    assert "Not run: CA101, CA102, CA103 and" in listed.to_text()
    # The file of an import was read, and nothing was wrong with it
    assert audit(dataset, select=["CA1"]).not_run == {}
