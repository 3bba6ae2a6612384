"""Which image and class is meant, from the files of users to the numbers of COCO."""

import json
import os

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fiftyone_coco_audit import (
    CocoAuditError,
    add_coco_predictions,
    audit,
    audit_augmentation,
    check_loader,
    compute_statistics,
    dry_run,
    evaluate,
    import_coco,
    import_report,
)
from fiftyone_coco_audit.augmentation.preview import read_subject
from fiftyone_coco_audit.cli import main
from fiftyone_coco_audit.files import NO_IMAGES
from fiftyone_coco_audit.reading import ensure_sizes

BOX = [10, 10, 50, 40]
IMPORT_COCO = "@coco-audit/coco-audit/import_coco"


def coco(names, categories=({"id": 1, "name": "cat"},), category=1, **image):
    """Images of 200 x 100 with one object each; ids from 100."""
    ids = range(100, 100 + len(names))
    return {
        "images": [
            {"id": id_, "file_name": name, "width": 200, "height": 100, **image}
            for id_, name in zip(ids, names, strict=True)
        ],
        "annotations": [
            {
                "id": id_,
                "image_id": id_,
                "category_id": category,
                "bbox": BOX,
                "area": 2000,
                "iscrowd": 0,
            }
            for id_ in ids
        ],
        "categories": list(categories),
    }


def results(*image_ids, category=1, **more):
    return [
        {"image_id": id_, "category_id": category, "bbox": BOX, "score": 0.9, **more}
        for id_ in image_ids
    ]


def codes(dataset):
    return [problem.code for problem in import_report(dataset).problems]


def pycocotools_ap(annotations, predictions, tmp_path):
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(annotations))
    truth = COCO(str(path))
    run = COCOeval(truth, truth.loadRes(predictions), "bbox")
    run.evaluate()
    run.accumulate()
    run.summarize()
    return run.stats[0]


def test_without_images_all_is_done_that_needs_no_pixels(tmp_path):
    truth = coco(["a.jpg", "C:\\set\\b.jpg", "/etc/passwd", "../d.jpg"])
    predictions = results(100, 101, 103)
    dataset = import_coco(truth, None, predictions=predictions)

    assert codes(dataset) == ["CA142"]
    assert not dataset.count_sample_tags()
    assert all(path.startswith(NO_IMAGES) for path in dataset.values("filepath"))
    expected = pycocotools_ap(truth, predictions, tmp_path)
    assert evaluate(dataset, progress=False).metrics()["AP"] == pytest.approx(expected)
    found = {finding.code for finding in audit(dataset).findings}
    assert "CA142" in found
    assert not found & {"CA120", "CA212"}
    compute_statistics(dataset)
    assert None not in dataset.values("ground_truth.detections.input_size", unwind=True)
    for needs_pixels in (
        lambda: dry_run(dataset, "rotation"),
        lambda: audit_augmentation(dataset, "rotation"),
    ):
        with pytest.raises(CocoAuditError, match="imported without their files"):
            needs_pixels()
    with pytest.raises(CocoAuditError, match="without a folder of images"):
        read_subject(dataset, dataset.first().id, "ground_truth")


def test_findings_on_lost_files_name_the_images_of_each_kind(tmp_path):
    Image.new("RGB", (200, 100)).save(tmp_path / "a.jpg")
    dataset = import_coco(coco(["a.jpg", "b.jpg", "/x/c.jpg", "../d.jpg"]), tmp_path)

    assert import_report(dataset).missing_files == 3
    assert all(path.startswith(f"{tmp_path}/") for path in dataset.values("filepath"))
    found = {f.code: f.view(dataset).values("coco_id") for f in audit(dataset).findings}
    assert found["CA105"] == [102, 103]
    # CA212 tells of all that are missing where they are most
    assert found.get("CA120", [101]) == [101]


def test_without_images_a_loader_is_compared_by_its_targets_alone():
    dataset = import_coco(coco(["a.jpg", "b.jpg"]))
    target = {"boxes": np.array([[10, 10, 60, 50.0]]), "labels": np.array([1])}
    image = np.zeros((100, 200, 3), np.uint8)
    batches = [([image], [{**target, "image_id": id_}]) for id_ in (100, 101)]

    run = check_loader(dataset, batches, progress=False)
    assert "imported without image files, so only targets were compared" in str(run)
    assert {code[:4] for code in run.not_run} == {"CA64"}
    with pytest.raises(CocoAuditError, match="No rule can run. The dataset was"):
        check_loader(dataset, batches, select="swapped-channels", progress=False)


def test_without_images_a_size_must_be_recorded():
    with pytest.raises(CocoAuditError, match="CA106"):
        import_coco(coco(["a.jpg"], width=None))


def test_the_command_line_and_the_operator_take_no_folder(tmp_path, capsys):
    annotations, predictions = tmp_path / "truth.json", tmp_path / "p.json"
    annotations.write_text(json.dumps(coco(["x/a.jpg", "b.jpg"])))
    predictions.write_text(json.dumps(results(100)))

    assert main([str(annotations), "--predictions", str(predictions)]) == 0
    printed = capsys.readouterr().out
    assert "AP     0.50" in printed
    assert "CA142 no-image-files" in printed
    assert "\n  b.jpg" in printed
    made = foo.execute_operator(
        IMPORT_COCO, {}, params={"annotations": str(annotations), "name": "no-folder"}
    )
    assert made.result["counts"]["notes"] == {"CA142": 2}
    assert len(fo.load_dataset("no-folder")) == 2


@pytest.mark.parametrize(
    "records",
    [
        # Ultralytics' int(stem) beside the file name
        [*results(100, file_name="7.jpg"), *results(7, file_name="100.jpg")],
        results("7", "100.jpg"),
        results("7.jpg", "sub/100.jpg"),
        results(7, 100),
    ],
)
def test_evidence_on_images_leads_to_the_right_ap(records, tmp_path):
    truth = coco(["7.jpg", "sub/100.jpg"])
    truth["annotations"][1]["bbox"] = [100, 50, 20, 20]
    for record in records:
        if str(record.get("file_name", record["image_id"])).count("100"):
            record["bbox"] = [100, 50, 20, 20]
    dataset = import_coco(truth, predictions=records)

    assert evaluate(dataset, progress=False).metrics()["AP"] == pytest.approx(1.0)
    assert {"CA133", "CA143"} & set(codes(dataset))


def test_ids_that_fit_only_partly_are_warned_of():
    truth = coco([f"{n}_x.jpg" for n in range(20)])
    dataset = import_coco(truth, predictions=results(*range(90, 110)))

    report = import_report(dataset)
    assert report.set_aside == {"CA110": 10}
    assert report.warnings == {"CA128": 10}
    assert "CA128" in {finding.code for finding in audit(dataset).findings}


def test_predictions_that_are_added_later_are_matched_alike():
    dataset = import_coco(coco(["x/c.jpg", "y/c.jpg", "d.jpg"]))
    report = add_coco_predictions(dataset, results("c", "y/c", "C:\\z\\D.jpg"))

    assert report.set_aside == {"CA119": 1}
    assert "names 2 images" in report.problems[-1].reason
    scores = dataset.values("predictions.detections.confidence")
    assert scores == [[], [0.9], [0.9]]


PARENT = {"id": 0, "name": "fish-hbcs", "supercategory": "none"}
SAME = {"id": 0, "name": "fish", "supercategory": "none"}
CHILD = {"id": 1, "name": "fish", "supercategory": "fish-hbcs"}
OF_SAME = {"id": 1, "name": "fish", "supercategory": "fish"}


@pytest.mark.parametrize("categories", [(PARENT, CHILD), (SAME, OF_SAME)])
def test_a_parent_of_roboflow_is_called_one(categories):
    truth = coco(["a.jpg", "b.jpg"], categories)
    of_the_file = {
        "images": truth["images"],
        "annotations": results(100, 101),
        "categories": [{"id": 1, "name": "fish"}],
    }
    dataset = import_coco(truth, predictions=of_the_file)

    assert set(dataset.values("ground_truth.detections.label", unwind=True)) == {"fish"}
    assert import_report(dataset).notes["CA144"] == 1
    assert not import_report(dataset).warnings
    found = {finding.code for finding in audit(dataset).findings}
    assert "CA144" in found
    assert "CA404" not in found
    assert evaluate(dataset, progress=False).metrics()["AP"] == pytest.approx(1.0)


def test_predictions_for_a_parent_say_why_the_ap_is_0(tmp_path):
    truth = coco(["a.jpg", "b.jpg"], (SAME, OF_SAME))
    predictions = results(100, 101, category=0)
    dataset = import_coco(truth, predictions=predictions)

    expected = pycocotools_ap(truth, predictions, tmp_path)
    assert evaluate(dataset, progress=False).metrics()["AP"] == pytest.approx(expected)
    assert import_report(dataset).warnings == {"CA129": 2}
    report = add_coco_predictions(dataset, predictions, pred_field="again")
    assert report.warnings == {"CA129": 2}


def test_sizes_are_read_of_regular_files_only(tmp_path):
    Image.new("RGB", (20, 10)).save(tmp_path / "a.png")
    os.mkfifo(tmp_path / "b.png")
    (tmp_path / "c.png").symlink_to("/dev/zero")
    (tmp_path / "d.png").symlink_to("d.png")
    dataset = fo.Dataset()
    dataset.add_samples(
        [fo.Sample(filepath=f"{tmp_path}/{name}.png") for name in "abcd"],
        progress=False,
    )

    with pytest.raises(CocoAuditError, match="3 images .*b.png: it is a named pipe"):
        ensure_sizes(dataset, False)
    assert dataset.values("metadata.width") == [20, None, None, None]


def test_an_image_without_a_size_takes_the_one_that_fiftyone_has(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", (200, 100)).save(tmp_path / name, exif=exif)
    truth = coco(["a.jpg", "b.jpg"], width=None)
    dataset = import_coco(truth, tmp_path)
    imported = dataset.values("metadata.width"), dataset.values("metadata.height")
    dataset.compute_metadata(overwrite=True, progress=False)

    assert imported == ([100, 100], [200, 200])
    found = dataset.values("metadata.width"), dataset.values("metadata.height")
    assert found == imported
    assert dry_run(dataset, "minimal", workers=1).counts()["suspicious"] == 0


def test_a_dry_run_says_of_all_images_which_size_their_labels_fit(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    truth = coco(["a.jpg", "b.jpg"])
    truth["annotations"][0]["bbox"] = [140, 10, 50, 40]
    truth["annotations"][1]["bbox"] = [140, 10, 50, 40]
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", (200, 100)).save(tmp_path / name, exif=exif)
    dataset = import_coco(truth, tmp_path)
    run = dry_run(dataset, "minimal", workers=1)

    assert run.counts()["failed"] == 2  # the boxes are outside the turned image
    assert "decodes to 100 x 200, but its labels are for 200 x 100" in run.error[0]
    assert any("The boxes of 2 images fit the recorded size" in n for n in run.notes)
    assert "read images without it" in str(run.sentences())


def test_positions_for_ids_do_not_give_an_ap_of_0_in_silence():
    truth = coco([f"{n}_x.jpg" for n in range(20)])
    for n, annotation in enumerate(truth["annotations"]):
        annotation["bbox"] = [9 * n, 5, 8, 50]
    predictions = [
        {"image_id": a["image_id"] - 1, "category_id": 1, "bbox": a["bbox"], "score": 1}
        for a in truth["annotations"][1:]
    ]
    results_ = evaluate(import_coco(truth, predictions=predictions), progress=False)

    assert results_.metrics()["AP"] == 0
    notes = " ".join(results_.notes)
    assert "match if each `image_id` means the id that is one higher" in notes
