"""Malformed and quirky files met in the wild: a report, or one clear sentence."""

import json

import fiftyone as fo
import pytest

from fiftyone_coco_audit.coco.importer import import_coco
from fiftyone_coco_audit.coco.report import import_report
from fiftyone_coco_audit.errors import CocoAuditError

pytestmark = pytest.mark.real_data

# File: images, objects, records set aside by code, notes by code.
IMPORTED = {
    "compressed_rle_gt": (3, 5, {}, {}),
    "crowd_rle_datumaro": (1, 2, {}, {}),
    "invalid_cocohelper": (1, 1, {"CA110": 45}, {}),
    "invalid_panlabel": (1, 1, {"CA103": 1, "CA110": 1, "CA111": 1}, {}),
    "lvis_1230_cats": (100, 977, {}, {}),
    "mixed_ids_cocohelper": (14, 46, {}, {}),
    "no_annotations_imageinfo": (347, 0, {}, {}),
    "no_area_no_iscrowd": (3, 9, {}, {"CA131": 9}),
    "orphans_cardamage": (27, 43, {"CA110": 952}, {}),
    "orphans_widerperson": (3116, 7568, {"CA110": 852}, {}),
    "poly_lt3pts": (1, 1, {}, {"CA132": 21}),
    "posetrack_neg_xy": (3, 14, {}, {"CA131": 14, "CA132": 28}),
    "string_image_id": (1, 14, {}, {"CA130": 2}),
    "visdrone50_empty_seg": (50, 3326, {}, {}),
}
# Of records that are kept, by code; missing files aside
WARNED = {"poly_lt3pts": {"CA115": 1, "CA146": 1}}
REFUSED = {
    "captions_not_instances": "it looks like a file of captions",
    "sam_json_not_coco": "no list `images`.*Segment Anything",
    "truncated_18_bytes": "is not valid JSON",
    "zero_bytes": "is empty",
}
# File, ground truth: predictions, records set aside by code, notes by code.
PREDICTED = {
    ("pred_ignore_test", "bad/json/string_image_id"): (63, {}, {"CA130": 2}),
    ("pred_orphans_yolact_food", "coco_mini/annotations"): (500, {"CA110": 14446}, {}),
}
MISMATCHED = {
    ("pred_ignore_test", "coco_mini/annotations"): "is 2299, .* has 397133",
    ("pred_image_id_zero_based", "coco_mini/annotations"): "is 0, .* has 397133",
    ("pred_image_id_zero_based", "balloon/annotations"): "`category_id` is 1",
    ("pred_orphans_yolact_food", "balloon/annotations"): "is 402473, .* has 0",
    ("pred_string_ids_gtsrb", "coco_mini/annotations"): "00013_00068_00029",
    ("pred_yolact_webformat", "coco_mini/annotations"): "YOLACT's web viewer",
}
PREDICTIONS = {file for file, _ in [*PREDICTED, *MISMATCHED]}


@pytest.fixture
def folder(shared_data):
    return shared_data / "bad" / "json"


def test_each_file_is_tested(folder):
    assert {path.stem for path in folder.glob("*.json")} == {
        *IMPORTED,
        *REFUSED,
        *PREDICTIONS,
    }


@pytest.mark.parametrize("file", IMPORTED)
def test_imported(file, folder, tmp_path):
    images, objects, set_aside, notes = IMPORTED[file]
    dataset = import_coco(folder / f"{file}.json", tmp_path, progress=False)

    report = import_report(dataset)
    assert (report.images, report.objects) == (images, objects)
    assert report.set_aside == set_aside
    assert report.notes == notes
    assert report.missing_files == images
    warnings = {c: n for c, n in report.warnings.items() if c != "CA120"}
    assert warnings == WARNED.get(file, {})
    assert dataset.count() == images
    assert dataset.count("ground_truth.detections") == objects
    assert str(report)

    content = json.loads((folder / f"{file}.json").read_bytes())
    listed = {
        "image": content["images"],
        "annotation": content["annotations"],
        "category": content["categories"],
    }
    for problem in report.problems:
        if problem.position is not None:
            record = listed[problem.kind][problem.position]
            assert str(record["id"]) == str(problem.record_id)


@pytest.mark.parametrize("file", [*REFUSED, *sorted(PREDICTIONS)])
def test_refused_as_annotations(file, folder, tmp_path):
    before = fo.list_datasets()
    with pytest.raises(CocoAuditError, match=REFUSED.get(file, file)) as error:
        import_coco(folder / f"{file}.json", tmp_path, name="x", progress=False)

    assert "\n" not in str(error.value)
    assert fo.list_datasets() == before


@pytest.mark.parametrize("case", PREDICTED, ids="-".join)
def test_predictions(case, folder, shared_data, tmp_path):
    file, annotations = case
    count, set_aside, notes = PREDICTED[case]
    dataset = import_coco(
        shared_data / f"{annotations}.json",
        tmp_path,
        predictions=folder / f"{file}.json",
        progress=False,
    )

    report = import_report(dataset)
    assert report.predictions == {"predictions": count}
    assert (report.set_aside, report.notes) == (set_aside, notes)
    assert dataset.count("predictions.detections") == count


@pytest.mark.parametrize("case", MISMATCHED, ids="-".join)
def test_predictions_of_other_images(case, folder, shared_data, tmp_path):
    file, annotations = case
    before = fo.list_datasets()
    with pytest.raises(CocoAuditError, match=MISMATCHED[case]) as error:
        import_coco(
            shared_data / f"{annotations}.json",
            tmp_path,
            predictions=folder / f"{file}.json",
            progress=False,
        )

    assert "\n" not in str(error.value)
    assert fo.list_datasets() == before
