"""Objects whose records are odd: all kept, with the numbers of pycocotools.

The images are 200 x 100 pixels, and each object has the box of ``BOX`` or beside it.
"""

from __future__ import annotations

import subprocess
import sys
import time
from base64 import b64encode
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pymongo.errors import BulkWriteError

from fiftyone_coco_audit.auditing import audit
from fiftyone_coco_audit.coco.importer import add_coco_predictions, import_coco
from fiftyone_coco_audit.coco.report import import_report
from fiftyone_coco_audit.coco.schema import names_for_others, reserved_attributes
from fiftyone_coco_audit.coco.writing import insert_samples
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.evaluation.evaluating import evaluate
from fiftyone_coco_audit.statistics.computing import compute_statistics
from tests.reference import run_cocoeval

BOX = [10, 10, 50, 40]
POLYGON = [10, 10, 60, 10, 60, 50, 10, 50]
RLE = coco_mask.merge(coco_mask.frPyObjects([POLYGON], 100, 200))["counts"]

ODD_MASKS: list[Any] = [
    POLYGON,
    [[[10, 10], [60, 10], [60, 50]]],
    [[]],
    "",
    [[10, 10, 60, 50]],
    [POLYGON, [10, 10, 60, 50]],
    {"size": [100, 200], "counts": str(RLE)},
    {"size": [100, 200], "counts": b64encode(RLE).decode()},
    [[10, 10, 60, 10, 60, float("nan")]],
    {"size": [200, 100], "counts": RLE.decode()},
    None,
    [POLYGON],
]


def coco(annotations: list[dict[str, Any]], images: int = 1) -> dict[str, Any]:
    """A COCO file of so many images with these annotations, the rest as usual."""
    return {
        "images": [
            {"id": id_, "file_name": f"{id_}.png", "width": 200, "height": 100}
            for id_ in range(1, images + 1)
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {
                "id": number,
                "image_id": 1,
                "category_id": 1,
                "bbox": BOX,
                "area": 2000,
                "iscrowd": 0,
                **annotation,
            }
            for number, annotation in enumerate(annotations, 1)
        ],
    }


def found(truth: dict[str, Any], **changes: Any) -> list[dict[str, Any]]:
    """Predictions beside every second object, the last ones worst."""
    return [
        {
            "image_id": annotation["image_id"],
            "category_id": annotation["category_id"],
            "bbox": np.add(BOX, [number % 7, 0, 0, 0]).tolist(),
            "score": 1 - number / 100,
            **changes,
        }
        for number, annotation in enumerate(truth["annotations"])
    ]


def spread(annotations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The annotations, each in an image of its own."""
    return [{**a, "image_id": number} for number, a in enumerate(annotations, 1)]


def summary(truth: Any, predictions: Any, tmp_path: Path) -> list[float]:
    """The 12 numbers of boxes after an import."""
    dataset = import_coco(truth, tmp_path, predictions=predictions, progress=False)
    numbers: list[float] = list(evaluate(dataset, progress=False).summary().values())
    fo.delete_dataset(dataset.name)
    return numbers


def test_boxes_with_odd_masks_give_the_numbers_of_pycocotools(tmp_path: Path) -> None:
    truth = coco(spread([{"segmentation": mask} for mask in ODD_MASKS]), len(ODD_MASKS))
    predictions = [
        {**prediction, "segmentation": mask}
        for prediction, mask in zip(found(truth), reversed(ODD_MASKS), strict=True)
    ]
    dataset = import_coco(truth, tmp_path, predictions=predictions, progress=False)

    report = import_report(dataset)
    assert report.objects == report.predictions["predictions"] == len(ODD_MASKS)
    assert report.set_aside == {}
    assert report.warnings == {"CA115": 8, "CA120": 12, "CA124": 12}
    results = evaluate(dataset, progress=False)
    expected = run_cocoeval(truth, [dict(p) for p in predictions]).stats
    assert list(results.summary().values()) == pytest.approx(expected, abs=1e-12)
    assert expected[0] > 0.5


def test_an_evaluation_of_masks_says_which_labels_have_none(tmp_path: Path) -> None:
    truth = coco(spread([{"segmentation": mask} for mask in ODD_MASKS]), 12)
    dataset = import_coco(
        truth,
        tmp_path,
        predictions=found(truth, segmentation=[POLYGON]),
        progress=False,
    )

    results = evaluate(dataset, iou_type="segm", progress=False)
    assert "5 labels in 'ground_truth' have no mask: the box is used." in results.notes
    (finding,) = audit(dataset, select=["CA115"]).findings
    assert finding.count == 4
    assert "kept with its box, without a mask" in finding.message


def test_a_file_as_via_exports_it_keeps_all_objects(tmp_path: Path) -> None:
    truth = coco([{"segmentation": POLYGON}] * 20)
    dataset = import_coco(truth, tmp_path, invalid="raise", progress=False)

    (masks,) = dataset.values("ground_truth.detections.rle")
    assert masks == [RLE.decode()] * 20
    problems = [p for p in import_report(dataset).problems if p.code == "CA124"]
    assert [problem.position for problem in problems] == list(range(20))
    assert all("flat list" in problem.reason for problem in problems)


def test_masks_without_boxes_give_the_boxes(tmp_path: Path) -> None:
    truth = coco([{"bbox": bbox, "segmentation": POLYGON} for bbox in (None, [])])
    truth["annotations"].append(
        {"id": 3, "image_id": 1, "category_id": 2, "segmentation": [POLYGON]}
    )
    dataset = import_coco(truth, tmp_path, invalid="raise", progress=False)

    (boxes,) = dataset.values("ground_truth.detections.bounding_box")
    assert np.multiply(boxes, [200, 100, 200, 100]).tolist() == [BOX] * 3
    assert import_report(dataset).notes == {"CA131": 1, "CA136": 3}


def test_ids_that_restart_in_each_image(tmp_path: Path) -> None:
    """Pycocotools gives the same numbers once each annotation has an id of its own."""
    annotations = [
        {"id": 1 + number % 3, "image_id": 1 + number // 3, "bbox": [x, 10, 50, 40]}
        for number, x in enumerate([10, 90, 140] * 6 + [10, 90])
    ]
    truth = coco(annotations, images=7)
    predictions = found(truth)
    dataset = import_coco(truth, tmp_path, predictions=predictions, progress=False)

    report = import_report(dataset)
    assert (report.objects, report.set_aside) == (20, {})
    assert report.notes == {"CA137": 17}
    assert dataset.values("ground_truth.detections.coco_id", unwind=True) == [
        *(1, 2, 3),
        *range(4, 21),
    ]
    results = evaluate(dataset, progress=False)
    for number, annotation in enumerate(truth["annotations"], 1):
        annotation["id"] = number
    expected = run_cocoeval(truth, predictions).stats
    assert list(results.summary().values()) == pytest.approx(expected, abs=1e-12)

    again = import_coco(coco(annotations, images=7), tmp_path, progress=False)
    ids = "ground_truth.detections.coco_id"
    assert again.values(ids) == dataset.values(ids)


@pytest.mark.parametrize("crowds", [20, 12])
def test_a_file_of_crowds_is_found(crowds: int, tmp_path: Path) -> None:
    truth = coco([{"iscrowd": int(number < crowds)} for number in range(20)])
    dataset = import_coco(truth, tmp_path, progress=False)

    (finding,) = audit(dataset, select=["CA126"]).findings
    assert (finding.count, finding.severity) == (crowds, "warning")
    assert f"{crowds} annotation records" in finding.message
    assert "CVAT" in finding.advice


def test_the_first_fault_is_named_not_a_note(tmp_path: Path) -> None:
    truth = coco([{}])
    predictions = found(truth, image_id="5")
    with pytest.raises(CocoAuditError, match="the first: its `image_id` is 5"):
        import_coco(truth, tmp_path, predictions=predictions, progress=False)


def test_fields_are_declared_as_fiftyone_declares_them_one_by_one(
    tmp_path: Path,
) -> None:
    extra = {"track": 5, "note": "t", "occluded": True, "level": 0.5}
    truth = coco([{**extra, "segmentation": [POLYGON]}])
    dataset = import_coco(truth, tmp_path, progress=False)

    expected = fo.Dataset()
    detections = "ground_truth.detections"
    own = [f"{detections}.{name}" for name in ("coco_id", "area", "iscrowd", "rle")]
    for path in ("ground_truth", *own, *(f"{detections}.{name}" for name in extra)):
        field = dataset.get_field(path)
        expected.add_sample_field(
            path,
            type(field),
            embedded_doc_type=getattr(field, "document_type", None),
            description=field.description,
            info=field.info,
        )
    assert stored_field(dataset) == stored_field(expected)
    assert {f"{detections}.{name}" for name in extra} < paths(dataset)
    assert dataset.get_field(f"{detections}.track").created_at is not None


def paths(dataset: fo.Dataset) -> set[str]:
    return set(dataset.get_field_schema(flat=True))


def stored_field(dataset: fo.Dataset) -> Any:
    """How a dataset's document has the ground truth, times aside."""

    def timeless(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: timeless(v) for k, v in value.items() if k != "created_at"}
        if isinstance(value, list):
            return sorted((timeless(item) for item in value), key=str)
        return value

    (field,) = (f for f in dataset._doc.sample_fields if f.name == "ground_truth")
    return timeless(field.to_dict())


def test_hundreds_of_attributes(tmp_path: Path) -> None:
    """One by one they took 80 seconds."""
    attributes = {f"attribute_{number}": number for number in range(400)}
    truth = coco([{"attributes": attributes}])
    start = time.monotonic()
    dataset = import_coco(truth, tmp_path, progress=False)
    add_coco_predictions(dataset, found(truth, **attributes), progress=False)

    assert time.monotonic() - start < 30
    for field in ("ground_truth", "predictions"):
        (label,) = dataset.first()[field].detections
        assert [label[name] for name in attributes] == list(range(400))
        named = {f"{field}.detections.{name}" for name in attributes}
        assert named < paths(dataset)


HOSTILE_KEYS = [
    *("", "_cls", "_id", "$where", "$set", "a.b", "a\0b", "\0", "\ud800", "__class__"),
    *("id ", "name ", "items", "save", "mask_path", "a__b", "x" * 5000, "\n", "<b>"),
]


def test_hostile_keys_leave_datasets_that_can_be_read(tmp_path: Path) -> None:
    names = []
    for value in ([], [[]], {}, {"_cls": []}, 1, "x"):
        hostile: dict[str, Any] = dict.fromkeys(HOSTILE_KEYS, value)
        truth = coco([{**hostile, "attributes": hostile}])
        truth["images"][0] |= hostile
        truth["categories"][0] |= hostile
        dataset = import_coco(truth, tmp_path, progress=False)
        add_coco_predictions(dataset, found(truth, **hostile), progress=False)
        assert evaluate(dataset, progress=False).summary()["AP50"] == 1
        names.append(dataset.name)

    # A new process sees the database only
    script = """
import json
import fiftyone as fo
for name in sys.argv[1:]:
    dataset = fo.load_dataset(name)
    assert dataset.first().to_json()
    print(json.loads(dataset.info["coco_audit"]["categories"])[0]["name"])
"""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys{script}", *names],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["cat"] * len(names)


def test_attributes_leave_their_names_to_statistics_and_evaluations(
    tmp_path: Path,
) -> None:
    names = ["truncated", "eval", "eval_iou", "eval_id", "size_class", "input_size"]
    attributes = dict.fromkeys(names, True)
    truth = coco([attributes])
    predictions = found(truth, attributes=attributes)
    dataset = import_coco(truth, tmp_path, predictions=predictions, progress=False)
    compute_statistics(dataset, progress=False)
    evaluate(dataset, progress=False)

    for field in ("ground_truth", "predictions"):
        (label,) = dataset.first()[field].detections
        assert label.eval == "tp"
        assert [label[f"coco_{name}"] for name in names] == [True] * len(names)
    assert dataset.first().ground_truth.detections[0].truncated is False


def test_all_names_that_are_written_on_labels_later_are_left_free() -> None:
    from fiftyone_coco_audit.augmentation.run import FIELD
    from fiftyone_coco_audit.evaluation.fields import label_attributes
    from fiftyone_coco_audit.statistics.fields import OF_OBJECTS

    written = {
        FIELD,
        *label_attributes("eval"),
        *(column.name for column in OF_OBJECTS),
    }
    assert names_for_others() == reserved_attributes() | written


def test_labels_of_an_image_that_are_too_many_for_the_database(tmp_path: Path) -> None:
    before = fo.list_datasets()
    truth = coco([{}] + [{"image_id": 2}] * 90_000, images=3)
    expected = (
        r"90,000 labels, the image `.*2\.png` takes 1\d\.\d MB, but MongoDB allows"
    )
    with pytest.raises(CocoAuditError, match=expected):
        import_coco(truth, tmp_path, progress=False)
    assert fo.list_datasets() == before

    truth["annotations"] = truth["annotations"][:45_000]
    dataset = import_coco(truth, tmp_path, progress=False)
    predictions = found(truth, score=0.5) * 2
    with pytest.raises(
        CocoAuditError, match=r"89,998 more labels, the image `.*2\.png`"
    ):
        add_coco_predictions(dataset, predictions, progress=False)
    assert dataset.count("ground_truth.detections") == 45_000
    assert not [name for name in paths(dataset) if name.startswith("coco_audit")]
    assert not dataset.has_field("predictions")
    fields = dataset._sample_collection.find_one({"coco_id": 1})
    assert not [name for name in fields if name.startswith("coco_audit")]


def test_an_image_whose_masks_and_texts_are_too_large(tmp_path: Path) -> None:
    truth = coco([{"note": "x" * 2**20}] * 17)
    with pytest.raises(CocoAuditError, match="17 labels, the image .* takes 17"):
        import_coco(truth, tmp_path, progress=False)


def test_categories_that_are_too_many_for_the_database(tmp_path: Path) -> None:
    before = fo.list_datasets()
    truth = coco([{}])
    truth["categories"] += [
        {"id": id_, "name": f"class {id_}", "definition": "x" * 500}
        for id_ in range(3, 30_000)
    ]
    with pytest.raises(CocoAuditError, match="29,999 categories of .* take 16"):
        import_coco(truth, tmp_path, progress=False)
    assert fo.list_datasets() == before

    for category in truth["categories"]:
        category.pop("definition", None)
    dataset = import_coco(truth, tmp_path, progress=False)
    assert len(dataset.classes["ground_truth"]) == 29_999


def test_other_refusals_of_the_database_stay_what_they_are(tmp_path: Path) -> None:
    dataset = import_coco(coco([{}]), tmp_path, progress=False)
    document = dataset._sample_collection.find_one()
    with pytest.raises(BulkWriteError, match="duplicate key"):
        insert_samples(dataset, [document])
