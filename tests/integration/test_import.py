"""Importing COCO files into a real database."""

import gzip
import json
import os
import sys
import time
from pathlib import Path

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from fiftyone_coco_audit.coco import addition, importer, staging
from fiftyone_coco_audit.coco.importer import add_coco_predictions, import_coco
from fiftyone_coco_audit.coco.names import default_dataset_name
from fiftyone_coco_audit.coco.report import import_report
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.evaluation.evaluating import evaluate
from fiftyone_coco_audit.names import kind_of
from fiftyone_coco_audit.reading import imported_categories
from fiftyone_coco_audit.storage.owners import at_work
from tests.reference import run_cocoeval

POLYGON = [[10.5, 10, 30, 10, 30, 40, 10, 40]]


@pytest.fixture(autouse=True)
def new_datasets():
    """Lists the datasets that the test has made; none is left behind."""
    before = set(fo.list_datasets())

    def names():
        return sorted(set(fo.list_datasets()) - before)

    yield names
    for name in names():
        fo.delete_dataset(name)


def import_as_fiftyone_does(annotations, images_dir, **options):
    """Imports boxes by FiftyOne's own importer."""
    return fo.Dataset.from_dir(
        dataset_type=fo.types.COCODetectionDataset,
        data_path=str(images_dir),
        labels_path=str(annotations),
        label_field={"detections": "ground_truth", "coco_id": "coco_id"},
        label_types="detections",
        progress=False,
        **{"include_id": True, **options},
    )


@pytest.fixture
def images_dir(tmp_path):
    folder = tmp_path / "images"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.png", "sub/b.png", "c.png"):
        Image.new("RGB", (64, 48)).save(folder / name)
    return folder


def coco(**changes):
    return {
        "images": [
            {"id": 0, "file_name": "a.png", "width": 64, "height": 48},
            {"id": 7, "file_name": "sub/b.png", "width": 64, "height": 48},
            {"id": 3, "file_name": "c.png", "width": 64, "height": 48},
        ],
        "categories": [{"id": 9, "name": "dog"}, {"id": 0, "name": "cat"}],
        "annotations": [
            {
                "id": 0,
                "image_id": 7,
                "category_id": 0,
                "bbox": [10.1, 10.2, 20.3, 29.7],
                "area": 123.456,
                "iscrowd": 0,
                "segmentation": POLYGON,
            },
            {
                "id": 5,
                "image_id": 0,
                "category_id": 9,
                "bbox": [1, 2, 3, 4],
                "area": 12,
                "iscrowd": 1,
                "occluded": True,
            },
        ],
        **changes,
    }


def results():
    mask = coco_mask.merge(coco_mask.frPyObjects(POLYGON, 48, 64))["counts"].decode()
    return [
        {"image_id": 7, "category_id": 9, "bbox": [1.5, 2, 3, 4], "score": 0.123456789},
        {
            "image_id": 0,
            "category_id": 0,
            "score": 1,
            "segmentation": {"size": [48, 64], "counts": mask},
        },
        {"image_id": 7, "category_id": 0, "bbox": [2, 2, 3, 4], "score": 0.5},
    ]


def import_quietly(*args, **kwargs):
    return import_coco(*args, progress=False, **kwargs)


def add_quietly(*args, **kwargs):
    return add_coco_predictions(*args, progress=False, **kwargs)


def test_what_is_stored(images_dir):
    dataset = import_quietly(coco(), images_dir, predictions=results(), name="x")

    assert (dataset.name, dataset.media_type, dataset.persistent) == (
        "x",
        "image",
        True,
    )
    assert dataset.values("coco_id") == [0, 7, 3]
    assert dataset.values("filepath") == [
        str(images_dir / name) for name in ("a.png", "sub/b.png", "c.png")
    ]
    assert dataset.values("tags") == [[], [], []]
    assert dataset.classes == {"ground_truth": ["dog", "cat"]}
    assert imported_categories(dataset) == coco()["categories"]

    crowd = dataset.first().ground_truth.detections[0]
    assert (crowd.label, crowd.coco_id, crowd.area, crowd.iscrowd) == ("dog", 5, 12, 1)
    assert crowd.occluded is True
    assert crowd.mask is None
    assert not crowd.has_field("rle")
    (cat,) = dataset.skip(1).first().ground_truth.detections
    assert (cat.label, cat.coco_id, cat.area, cat.iscrowd) == ("cat", 0, 123.456, 0)
    assert cat.mask.shape == (30, 20)
    assert dataset.values("ground_truth.detections.rle")[1] == [
        results()[1]["segmentation"]["counts"]
    ]
    assert dataset.last().ground_truth.detections == []
    assert dataset.last().predictions.detections == []

    first, second = dataset.skip(1).first().predictions.detections
    assert (first.label, first.confidence) == ("dog", 0.123456789)
    assert (second.label, second.confidence) == ("cat", 0.5)
    (masked,) = dataset.first().predictions.detections
    expected = coco_mask.toBbox(results()[1]["segmentation"]) / [64, 48, 64, 48]
    assert masked.bounding_box == expected.tolist()


def test_fields_are_declared_and_say_who_wrote_them(images_dir):
    dataset = import_quietly(coco(), images_dir, predictions=results())

    types = {
        "coco_id": fo.IntField,
        "ground_truth.detections.coco_id": fo.IntField,
        "ground_truth.detections.area": fo.FloatField,
        "ground_truth.detections.iscrowd": fo.IntField,
        "ground_truth.detections.rle": fo.StringField,
        "ground_truth.detections.occluded": fo.BooleanField,
        "predictions.detections.rle": fo.StringField,
    }
    for path, type_ in types.items():
        field = dataset.get_field(path)
        assert isinstance(field, type_), path
        assert field.description
        assert field.info == {"coco_audit": {"function": "import_coco"}}
    assert not dataset.has_field("predictions.detections.area")
    assert dataset.count_values("ground_truth.detections.occluded")[True] == 1


def test_documents_are_those_of_the_stock_importer(images_dir, tmp_path):
    content = coco()
    for annotation in content["annotations"]:
        annotation.setdefault("occluded", False)
        annotation.setdefault("segmentation", POLYGON)
    path = tmp_path / "gt.json"
    path.write_text(json.dumps(content))
    stock = fo.Dataset.from_dir(
        dataset_type=fo.types.COCODetectionDataset,
        data_path=str(images_dir),
        labels_path=str(path),
        label_field={"segmentations": "ground_truth", "coco_id": "coco_id"},
        label_types="segmentations",
        include_id=True,
        progress=False,
    )
    ours = import_quietly(path, images_dir)

    def by_path(dataset):
        return {d["filepath"]: d for d in dataset._sample_collection.find()}

    stocks = by_path(stock)
    for filepath, document in by_path(ours).items():
        expected = stocks[filepath]
        # Theirs has no field of labels where there are none.
        labels = expected.pop("ground_truth", {"_cls": "Detections", "detections": []})
        ids = {"_id", "_dataset_id", "created_at", "last_modified_at", "_rand"}
        assert {key: type(expected[key]) for key in ids} == {
            key: type(document[key]) for key in ids
        }
        assert 0.999 <= document["_rand"] <= 1
        assert document["_dataset_id"] == ours._doc.id
        found = document.pop("ground_truth")
        assert {k: v for k, v in expected.items() if k not in ids} == {
            k: v for k, v in document.items() if k not in ids
        }
        assert found["_cls"] == labels["_cls"]
        assert set(found) == set(labels)
        for mine, theirs in zip(found["detections"], labels["detections"], strict=True):
            assert set(mine) - set(theirs) == {"area", "rle", "coco_id"}
            for key, value in theirs.items():
                assert type(mine[key]) is type(value)
                if key not in ("_id", "mask"):
                    assert mine[key] == value
    assert stock.values("metadata.width") == ours.values("metadata.width")


@pytest.mark.real_data
@pytest.mark.parametrize("folder", ["coco_mini", "balloon"])
def test_masks_are_those_of_the_stock_importer(folder, shared_data):
    annotations = shared_data / folder / "annotations.json"
    images = shared_data / folder / "images"
    stock = fo.Dataset.from_dir(
        dataset_type=fo.types.COCODetectionDataset,
        data_path=str(images),
        labels_path=str(annotations),
        label_types="segmentations",
        include_id=True,
        progress=False,
    )
    theirs = dict(
        zip(
            stock.values("coco_id"),
            stock.values("segmentations.detections.mask"),
            strict=True,
        )
    )
    ours = import_quietly(annotations, images)

    for id_, masks in zip(
        *ours.values(["coco_id", "ground_truth.detections.mask"]), strict=True
    ):
        for mine, expected in zip(masks, theirs[id_] or [], strict=True):
            np.testing.assert_array_equal(mine, expected)


@pytest.mark.real_data
@pytest.mark.parametrize("folder", ["coco_mini", "balloon", "cocoapi100", "mmpose4"])
def test_round_trip_of_real_files(folder, shared_data):
    folder = shared_data / folder
    segm = folder / "predictions_segm.json"
    predictions = segm if segm.exists() else folder / "predictions.json"
    path = folder / "annotations.json"
    dataset = import_quietly(path, folder, predictions=predictions)

    reference = COCO(path)
    widths, heights, ids = dataset.values(
        ["metadata.width", "metadata.height", "coco_id"]
    )
    sizes = dict(
        zip(ids, zip(widths, heights, widths, heights, strict=True), strict=True)
    )
    assert ids == [image["id"] for image in reference.dataset["images"]]

    names = {c["id"]: c["name"] for c in reference.dataset["categories"]}
    columns = ("coco_id", "label", "bounding_box", "area", "iscrowd", "rle")
    found = dataset.values([f"ground_truth.detections.{c}" for c in columns])
    for id_, *of_image in zip(ids, *found, strict=True):
        records = [a for a in reference.dataset["annotations"] if a["image_id"] == id_]
        for record, ann_id, label, box, area, iscrowd, text in zip(
            records, *of_image, strict=True
        ):
            assert ann_id == record["id"]
            assert label == names[record["category_id"]]
            np.testing.assert_allclose(
                np.multiply(box, sizes[id_]), record["bbox"], atol=1e-9, rtol=0
            )
            assert (area, iscrowd) == (record["area"], record["iscrowd"])
            assert text == reference.annToRLE(record)["counts"].decode()

    records = json.loads(predictions.read_text())
    columns = ("label", "bounding_box", "confidence")
    found = dataset.values([f"predictions.detections.{c}" for c in columns])
    for id_, *of_image in zip(ids, *found, strict=True):
        mine = [r for r in records if r["image_id"] == id_]
        for record, label, box, confidence in zip(mine, *of_image, strict=True):
            expected = record.get("bbox")
            if expected is None:
                expected = coco_mask.toBbox(record["segmentation"])
            np.testing.assert_allclose(
                np.multiply(box, sizes[id_]), expected, atol=1e-9, rtol=0
            )
            assert (label, confidence) == (
                names[record["category_id"]],
                record["score"],
            )
    if "segmentation" in records[0]:
        texts = dataset.values("predictions.detections.rle", unwind=True)
        assert sorted(texts) == sorted(r["segmentation"]["counts"] for r in records)


@pytest.mark.real_data
def test_uncompressed_crowd(shared_data, tmp_path):
    path = shared_data / "bad" / "json" / "crowd_rle_datumaro.json"
    dataset = import_quietly(path, tmp_path)

    reference = COCO(path)
    expected = [
        reference.annToRLE(a)["counts"].decode()
        for a in reference.dataset["annotations"]
    ]
    labels = dataset.first().ground_truth.detections
    assert [label.rle for label in labels] == expected
    assert [label.iscrowd for label in labels] == [0, 1]
    assert (labels[0].x, labels[0].y) == (1, "hello")  # CVAT's attributes


def test_ids_of_text_make_all_ids_text(images_dir):
    content = coco()
    content["images"][0]["id"] = "first"
    content["annotations"][1]["image_id"] = "first"
    dataset = import_quietly(content, images_dir)

    assert dataset.values("coco_id") == ["first", "7", "3"]
    assert isinstance(dataset.get_field("coco_id"), fo.StringField)
    assert dataset.count("ground_truth.detections") == 2
    assert add_quietly(dataset, results()).predictions == {"predictions": 2}


def test_missing_files_are_marked(images_dir):
    (images_dir / "c.png").unlink()
    dataset = import_quietly(coco(), images_dir)

    assert dataset.values("tags") == [[], [], ["missing_file"]]
    assert import_report(dataset).missing_files == 1
    assert dataset.info["coco_audit"]["import"]["missing_files"] == 1


def test_the_report_comes_back_after_rename_and_clone(images_dir, worker):
    content = coco()
    content["annotations"] += [{"id": "ö", "image_id": 99, "category_id": 0}] * 3
    dataset = import_quietly(content, images_dir, name="x")
    report = import_report(dataset)

    assert report.set_aside == {"CA110": 3}
    assert [p.position for p in report.problems] == [2, 3, 4]
    problem = report.problems[0]
    assert (problem.record_id, problem.kind, problem.field) == (
        "ö",
        "annotation",
        "ground_truth",
    )
    assert "99" in problem.reason
    assert dataset.info["coco_audit"]["import"] == report.counts()
    frame = report.to_frame()
    assert frame["code"].tolist() == ["CA110"] * 3
    assert "CA110 unknown-image" in str(report)
    assert "3 images, 2 objects" in str(report)

    dataset.name = "y"
    assert import_report(fo.load_dataset("y")) == report
    assert import_report(dataset.clone("z")) == report

    there = "result = import_report(fo.load_dataset('y')).problems[2].position"
    assert worker.run(there) == 4


def test_many_problems_exceed_no_limit(images_dir):
    content = coco()
    content["annotations"] = [
        {"id": i, "image_id": -1, "category_id": 0, "bbox": [0, 0, 1, 1]}
        for i in range(200_000)  # some 40 MB, where a document may have 16
    ]
    report = import_report(import_quietly(content, images_dir))

    assert report.set_aside == {"CA110": 200_000}
    assert len(report.problems) == 200_000


def test_a_dataset_without_a_report():
    with pytest.raises(CocoAuditError, match="no import report"):
        import_report(fo.Dataset())


def test_invalid_raise_names_the_first_and_imports_nothing(images_dir, new_datasets):
    content = coco()
    content["annotations"].insert(1, {"id": 42, "image_id": 9, "category_id": 0})

    with pytest.raises(CocoAuditError, match=r"annotation 42 at position 1.*CA110"):
        import_quietly(content, images_dir, name="x", invalid="raise")
    assert new_datasets() == []

    dataset = import_quietly(coco(), images_dir, invalid="raise")
    predictions = [*results(), {"image_id": 9}]
    with pytest.raises(CocoAuditError, match=r"prediction at position 3.*CA110"):
        add_quietly(dataset, predictions, invalid="raise")
    assert not dataset.has_field("predictions")


def test_a_warning_is_no_reason_to_raise(images_dir):
    (images_dir / "a.png").unlink()

    assert len(import_quietly(coco(), images_dir, invalid="raise")) == 3


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"name": "taken"}, "Dataset 'taken' already exists"),
        ({"name": "Taken!"}, "too similar to that of dataset 'taken'"),
        ({"name": "???"}, "at least one of A-Z, a-z and 0-9"),
        ({"name": "日本"}, "at least one of A-Z, a-z and 0-9"),
        ({"name": "\ud800x"}, "choose another dataset name"),
        ({"name": 3}, "choose another dataset name"),
        ({"persistent": "x"}, "persistent must be True or False"),
        ({"overwrite": "no"}, "overwrite must be True or False"),
        ({"label_field": "coco_id"}, "cannot be called 'coco_id'"),
        ({"label_field": "metadata"}, "cannot be called 'metadata'"),
        ({"label_field": "a.b"}, "'a.b' contains '.'"),
        ({"label_field": "_x"}, "'_x' begins with '_'"),
        ({"label_field": "a__b"}, "'a__b' contains '__'"),
        ({"label_field": "a\0b"}, "contains a character"),
        ({"label_field": "a$b"}, "contains a character"),
        ({"label_field": "\ud800"}, "contains a character"),
        ({"label_field": ""}, "is empty"),
        ({"label_field": []}, "must be text"),
        ({"pred_field": "a\0b", "predictions": []}, "contains a character"),
        ({"pred_field": "tags", "predictions": []}, "cannot be called 'tags'"),
        ({"pred_field": "ground_truth", "predictions": []}, "cannot both go"),
        ({"invalid": "stop"}, "'skip' or 'raise'"),
        ({"images_dir": "/no/such/folder"}, "no image folder"),
        ({"images_dir": "~nouser/x"}, "no image folder"),
        ({"images_dir": ""}, "has an invalid path, ''"),
        ({"images_dir": "a\0b"}, "has an invalid path"),
        ({"images_dir": 3}, "image folder must be a path, not a number"),
        ({"images_dir": []}, "image folder must be a path, not a list"),
        ({"images_dir": b"/tmp"}, "image folder must be a path, not .* bytes"),
        *(
            ({role: value}, f"{role} file must be a path, not {kind_of(value)}")
            for role in ("annotations", "predictions")
            for value in (3, True, b"x.json", ({},))
        ),
        ({"annotations": None}, "annotations file must be a path, not None"),
        ({"annotations": "~nouser/x.json"}, "No such file"),
        ({"annotations": "a\0b"}, "has an invalid path"),
        ({"predictions": "a\0b"}, "has an invalid path"),
        ({"annotations": "/no/such/file.json"}, "No such file"),
        ({"annotations": "/"}, "cannot be read"),
        ({"annotations": results()}, "as `predictions`"),
        ({"annotations": {}}, "no list `images`"),
        ({"annotations": {"images": {}}}, "`images` of .* is an object"),
        ({"annotations": {"images": []}}, "lists no images, .*: give a COCO file"),
        ({"annotations": {"images": [{}]}}, "no usable image.*CA102"),
        ({"annotations": coco(categories=None)}, "has no `categories`"),
        ({"predictions": coco()}, "looks like ground truth"),
        ({"predictions": {"a": 1}}, "no list `images`"),
        ({"predictions": [{"image_id": 1, "caption": ""}]}, "No record of"),
        (
            {"predictions": [{"image_id": 1, "bbox": [1, 1, 1, 1]}]},
            "`image_id` is 1, which names no image of .* has 0, for example",
        ),
        (
            {"predictions": [{"image_id": 0, "bbox": [1, 1, 1, 1]}]},
            "The only prediction of .* cannot be used .* `category_id` is missing",
        ),
    ],
)
def test_input_that_cannot_be_used(kwargs, message, images_dir, new_datasets):
    fo.Dataset("taken")
    arguments = {"annotations": coco(), "images_dir": images_dir, **kwargs}

    with pytest.raises(CocoAuditError, match=message):
        import_quietly(**arguments)
    assert new_datasets() == ["taken"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "empty"),
        (b"\n", "empty"),
        (b'{"images": [', "not valid JSON"),
        (b"nul", "not valid JSON"),
        (b'{"a": "\\udce9"', "not valid JSON .*surrogate"),
        (b'{"a": "\\ud800x"' + b"[" * 10**6, "not valid JSON"),
        (gzip.compress(b"{}", mtime=0), "compressed; unpack it first"),
        (b"\xff\xfe{}", "in UTF-16"),
        ("{}".encode("utf-16-le"), "in UTF-16"),
        ('{"name": "café"}'.encode("latin-1"), "not in UTF-8.*byte 13 is 0xe9"),
    ],
)
def test_files_that_are_not_json(content, problem, images_dir, tmp_path):
    path = tmp_path / "gt.json"
    path.write_bytes(content)

    with pytest.raises(CocoAuditError, match=rf"gt\.json is {problem}"):
        import_quietly(path, images_dir)


@pytest.mark.parametrize("parsed", [True, False])
def test_half_characters_are_set_aside(parsed, images_dir, tmp_path):
    """Python reads them from file names, and from JSON; no database holds them."""
    content = coco()
    content["images"][2]["file_name"] = "caf\udce9.png"
    content["categories"].append({"id": 3, "name": "\udce9", "nick": "x"})
    content["categories"][0]["nick"] = "\ud800"
    content["annotations"][0] |= {"note": "\udce9", "\ud800": 1, "fine": "é"}
    content["annotations"][1] |= {"note": "good"}
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(content))
    dataset = import_quietly(content if parsed else path, images_dir)

    report = import_report(dataset)
    assert report.set_aside == {"CA104": 1, "CA108": 1}
    assert report.notes == {"CA132": 3}
    assert dataset.values("ground_truth.detections.fine") == [[None], ["é"]]
    assert imported_categories(dataset) == [
        {"id": 9, "name": "dog"},
        {"id": 0, "name": "cat"},
    ]


def test_a_file_whose_name_is_not_utf8(images_dir, tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.json")
    path.write_text(
        json.dumps(coco(annotations=[{"image_id": 99, "bbox": [1, 1, 1, 1]}]))
    )
    problem = import_report(import_quietly(path, images_dir)).problems[0]
    assert problem.file == "caf\\udce9.json"


def test_a_folder_whose_name_is_not_utf8(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    with pytest.raises(CocoAuditError, match="a name that is not UTF-8"):
        import_quietly(coco(), folder)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("日本.json", "data-of-mine"),
        (os.fsdecode(b"caf\xe9.json"), "data-of-mine"),
        ("annotations.json", "data-of-mine"),
        ("night 日本.json", "night 日本"),
    ],
)
def test_default_names(name, expected, tmp_path):
    assert default_dataset_name(tmp_path / "data-of-mine" / name) == expected


def test_a_dataset_is_called_as_its_file_and_never_twice(images_dir, tmp_path):
    path = tmp_path / "street.json"
    path.write_text(json.dumps(coco()))
    assert import_quietly(path, images_dir).name == "street"
    with pytest.raises(CocoAuditError, match="Dataset 'street' already exists"):
        import_quietly(path, images_dir)
    assert import_quietly(path, images_dir, overwrite=True).name == "street"


def test_a_default_name_where_no_folder_has_one():
    assert default_dataset_name("/日本/日本.json") == "coco"


@pytest.mark.parametrize("dataset", [None, "name", 3])
def test_a_report_of_what_is_no_dataset(dataset):
    with pytest.raises(CocoAuditError, match="a FiftyOne dataset or view, not"):
        import_report(dataset)


def test_an_import_that_is_interrupted_at_the_end(
    images_dir, monkeypatch, new_datasets
):
    import_quietly(coco(images=coco()["images"][:1]), images_dir, name="x")
    publish = staging._publish_dataset
    calls = []

    def interrupted(dataset, name):
        calls.append(name)
        if len(calls) == 1:
            old = fo.load_dataset(name)
            old.name = staging_name
            raise KeyboardInterrupt
        publish(dataset, name)

    with at_work() as owner:
        staging_name = f"{staging._PREFIX}{owner}"
    monkeypatch.setattr(staging, "_publish_dataset", interrupted)
    with pytest.raises(KeyboardInterrupt):
        import_quietly(coco(), images_dir, name="x", overwrite=True)
    assert new_datasets() == ["x"]
    assert len(fo.load_dataset("x")) == 3


def test_a_read_only_field_is_not_replaced(images_dir):
    dataset = import_quietly(coco(), images_dir, predictions=results())
    field = dataset.get_field("predictions")
    field.read_only = True
    field.save()
    with pytest.raises(CocoAuditError, match="'predictions' .* is read-only"):
        add_quietly(dataset, results()[:1], overwrite=True)
    assert dataset.count("predictions.detections") == 3


def test_predictions_are_needed(images_dir):
    dataset = import_quietly(coco(), images_dir)
    with pytest.raises(CocoAuditError, match="predictions .*path, not None"):
        add_quietly(dataset, None)
    with pytest.raises(CocoAuditError, match="contains '__'"):
        add_quietly(dataset, results(), pred_field="a__b")


def test_a_byte_order_mark_is_skipped(images_dir, tmp_path):
    path = tmp_path / "gt.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(coco()).encode())

    assert len(import_quietly(str(path), images_dir)) == 3


def test_overwrite(images_dir, new_datasets):
    old = import_quietly(coco(), images_dir, name="x")
    new = import_quietly(
        coco(images=coco()["images"][:1]), images_dir, name="x", overwrite=True
    )

    assert old.deleted
    assert new_datasets() == ["x"]
    assert len(fo.load_dataset("x")) == len(new) == 1
    assert set(new.info) == {"coco_audit"}


def test_a_failed_overwrite_leaves_the_old_dataset(
    images_dir, monkeypatch, new_datasets
):
    old = import_quietly(coco(), images_dir, name="x")
    monkeypatch.setattr(importer, "save_run", lambda *args: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        import_quietly(coco(), images_dir, name="x", overwrite=True)
    assert new_datasets() == ["x"]
    assert len(old) == 3


def test_datasets_that_are_not_persistent(images_dir):
    assert not import_quietly(coco(), images_dir, persistent=False).persistent


def test_progress_is_reported(images_dir, monkeypatch):
    monkeypatch.setattr(importer, "_IMAGES_AT_ONCE", 1)
    seen = []
    dataset = import_coco(
        coco(), images_dir, progress=lambda bar: seen.append(bar.iteration)
    )
    assert seen[-1] == 3

    seen.clear()
    add_coco_predictions(
        dataset, results(), progress=lambda bar: seen.append(bar.iteration)
    )
    assert seen[-1] == 3


def test_a_failure_gives_the_output_back(images_dir, monkeypatch):
    """Though the error, as in a notebook, keeps all frames alive."""
    before = sys.stdout
    monkeypatch.setattr(importer, "insert_samples", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError) as caught:
        import_coco(coco(), images_dir, progress=True)
    assert caught.tb and sys.stdout is before


def test_full_predictions_with_ids_of_their_own(images_dir):
    content = {
        "images": [
            {"id": "p1", "file_name": "sub/b.png"},
            {"id": 2, "file_name": "a.png"},
            {"id": 3, "file_name": "elsewhere.png"},
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "whale"}],
        "annotations": [
            {"image_id": "p1", "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5},
            {"image_id": 2, "category_id": 1, "bbox": [5, 6, 7, 8], "score": 0.25},
            {"image_id": 3, "category_id": 1, "bbox": [5, 6, 7, 8], "score": 0.25},
            {"image_id": 4, "category_id": 1, "bbox": [5, 6, 7, 8], "score": 0.25},
            {"image_id": 2, "category_id": 2, "bbox": [5, 6, 7, 8], "score": 0.25},
        ],
    }
    dataset = import_quietly(coco(), images_dir, predictions=content)

    assert dataset.values("predictions.detections.label") == [["cat"], ["cat"], []]
    assert dataset.values("predictions.detections.confidence") == [[0.25], [0.5], []]
    report = import_report(dataset)
    assert report.set_aside == {"CA110": 2, "CA111": 1}
    assert "elsewhere.png" in report.problems[0].reason
    assert "its category 'whale' is not in" in report.problems[2].reason

    # The same on a dataset that knows nothing of COCO.
    other = fo.Dataset()
    other.add_samples(
        [fo.Sample(filepath=str(images_dir / n)) for n in ("a.png", "sub/b.png")],
        progress=False,
    )
    report = add_quietly(other, content)
    assert report.predictions == {"predictions": 3}
    assert other.values("predictions.detections.label") == [["cat", "whale"], ["cat"]]
    assert import_report(other).predictions == {"predictions": 3}
    with pytest.raises(CocoAuditError, match="import its COCO file"):
        add_quietly(other, results(), pred_field="more")


def test_sizes_that_the_metadata_do_not_say_are_computed(images_dir):
    dataset = import_quietly(coco(), images_dir, predictions=results())
    dataset = dataset.match({"filepath": {"$regex": "a.png$"}}).clone()
    boxes = dataset.values("predictions.detections.bounding_box")
    dataset.set_values("metadata.width", [0])
    add_quietly(dataset, results(), overwrite=True)
    assert dataset.values("predictions.detections.bounding_box") == boxes
    dataset.set_values("metadata.width", [0])
    Path(dataset.first().filepath).unlink()
    with pytest.raises(CocoAuditError, match="size of 1 image is unknown"):
        add_quietly(dataset, results(), overwrite=True)


def test_full_predictions_whose_images_are_not_told_apart(images_dir):
    content = {
        "images": [
            {"id": 1, "file_name": "a.png"},
            {"id": 1, "file_name": "b.png"},
            {"id": 2, "file_name": "val/a.png"},
            {"id": 3, "file_name": "./a.png"},
            {"id": 4},
        ],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [
            {"image_id": n, "category_id": 1, "bbox": [1, 2, 3, 4], "score": n / 10}
            for n in (1, 3)
        ],
    }
    dataset = import_quietly(coco(), images_dir, predictions=content)

    # The first of an id counts; what two records call the same file is said
    assert dataset.values("predictions.detections.confidence") == [[0.1, 0.3], [], []]
    report = import_report(dataset)
    assert report.set_aside == {"CA103": 1, "CA104": 1}
    assert report.warnings == {"CA121": 1}
    problem = next(p for p in report.problems if p.code == "CA121")
    assert (problem.record_id, problem.position) == (3, 3)


def test_full_predictions_of_other_images(images_dir):
    content = {"images": [{"id": 1, "file_name": "d.png"}], "annotations": []}

    with pytest.raises(CocoAuditError, match="The only image of .* is not in "):
        import_quietly(coco(), images_dir, predictions=content)


def test_predictions_for_a_dataset_without_samples(images_dir):
    dataset = import_quietly(coco(), images_dir)
    dataset.delete_samples(dataset)

    with pytest.raises(CocoAuditError, match="has no samples"):
        add_quietly(dataset, {"images": [], "annotations": []})


def test_predictions_named_by_file_stem(images_dir):
    predictions = [{**results()[0], "image_id": "b"}, {**results()[0], "image_id": "7"}]
    dataset = import_quietly(coco(), images_dir, predictions=predictions)

    assert dataset.values("predictions.detections.label") == [[], ["dog", "dog"], []]
    assert import_report(dataset).notes == {"CA130": 1, "CA133": 1}


def test_adding_predictions(images_dir):
    dataset = import_quietly(coco(), images_dir)
    together = import_quietly(coco(), images_dir, predictions=results())
    report = add_quietly(dataset, [*results(), {"image_id": 99}])

    assert str(report).startswith("3 predictions in 'predictions'")
    assert report.set_aside == {"CA110": 1}
    paths = ("label", "bounding_box", "confidence", "rle")
    paths = [f"predictions.detections.{path}" for path in paths]
    assert dataset.values(paths) == together.values(paths)
    field = dataset.get_field("predictions")
    assert field.info == {"coco_audit": {"function": "add_coco_predictions"}}
    assert dataset.get_field("predictions.detections.rle").description

    with pytest.raises(CocoAuditError, match="already has a field 'predictions'"):
        add_quietly(dataset, results())
    add_quietly(dataset, results()[:1], overwrite=True)
    add_quietly(dataset, results()[:2], pred_field="more")
    assert dataset.count("predictions.detections") == 1
    assert dataset.count("more.detections") == 2
    whole = import_report(dataset)
    assert whole.predictions == {"predictions": 1, "more": 2}
    assert (whole.objects, whole.problems) == (2, [])
    assert dataset.info["coco_audit"]["import"] == whole.counts()
    assert set(dataset.get_field_schema()) == {
        *together.get_field_schema(),
        "more",
    }


def test_samples_in_memory_see_added_predictions(images_dir):
    dataset = import_quietly(coco(), images_dir)
    sample = dataset.first()
    add_quietly(dataset, results())

    assert len(sample.predictions.detections) == 1


def test_predictions_are_added_to_datasets_of_images(images_dir):
    dataset = import_quietly(coco(), images_dir)
    videos = fo.Dataset()
    videos.add_sample(fo.Sample(filepath="/data/a.mp4"))
    for what, said in [
        (dataset.limit(1), f"not to a view: pass the dataset {dataset.name!r} itself"),
        (fo.Dataset(), "has no samples, so there is nothing to add predictions to"),
        (videos, "holds media of type 'video', but predictions can only be"),
        (dataset.name, "Expected a FiftyOne dataset or view, not text"),
        (None, "Expected a FiftyOne dataset or view, not None"),
    ]:
        with pytest.raises(CocoAuditError, match=said):
            add_quietly(what, results())


def test_a_failed_addition_leaves_the_old_field(images_dir, monkeypatch):
    dataset = import_quietly(coco(), images_dir, predictions=results())
    monkeypatch.setattr(addition, "check_room", lambda *args: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        add_quietly(dataset, results()[:1], overwrite=True)
    assert dataset.count("predictions.detections") == 3
    assert "coco_audit" not in " ".join(dataset.get_field_schema())


KILLED = """
    import json
    from fiftyone_coco_audit.coco import importer, staging

    def killed_in_call(number, function):
        calls = 0
        def count(*args, **kwargs):
            nonlocal calls
            calls += 1
            if calls == number:
                kill()
            return function(*args, **kwargs)
        return count

    importer._IMAGES_AT_ONCE = 1
    annotations = json.loads({annotations!r})
    predictions = json.loads({predictions!r})
    {sabotage}
    {action}
"""

IMPORT = "importer.import_coco(annotations, {images_dir!r}, name='x', overwrite=True)"
SABOTAGE_IMPORT = {
    "at the second portion": (
        "importer.sample_documents = killed_in_call(2, importer.sample_documents)"
    ),
    "before the report": "importer.save_run = kill",
    "before it is published": "staging._publish_dataset = kill",
    "when the old one is renamed": (
        "fo.Dataset.name = fo.Dataset.name.setter("
        "killed_in_call(1, fo.Dataset.name.fset))"
    ),
    "when the new one is renamed": (
        "fo.Dataset.name = fo.Dataset.name.setter("
        "killed_in_call(2, fo.Dataset.name.fset))"
    ),
    "when the old one is deleted": "fo.Dataset.delete = kill",
}


@pytest.mark.parametrize("sabotage", SABOTAGE_IMPORT.values(), ids=SABOTAGE_IMPORT)
def test_an_import_that_is_killed(sabotage, images_dir, new_datasets, worker):
    import_quietly(coco(images=coco()["images"][:1]), images_dir, name="x")
    action = IMPORT.format(images_dir=str(images_dir))
    texts = {"annotations": json.dumps(coco()), "predictions": "[]"}
    worker.is_killed(KILLED.format(sabotage=sabotage, action=action, **texts))

    # Under its name there is the old one, or the new one, or for the moment none.
    if fo.dataset_exists("x"):
        assert len(fo.load_dataset("x")) in (1, 3)
    assert len(new_datasets()) > 1

    import_quietly(coco(), images_dir, name="y")
    assert new_datasets() == ["x", "y"]
    assert len(fo.load_dataset("x")) in (1, 3)
    assert import_report(fo.load_dataset("x")).images == len(fo.load_dataset("x"))


def test_a_first_import_that_is_killed(images_dir, new_datasets, worker):
    sabotage = SABOTAGE_IMPORT["at the second portion"]
    action = IMPORT.format(images_dir=str(images_dir))
    texts = {"annotations": json.dumps(coco()), "predictions": "[]"}
    worker.is_killed(KILLED.format(sabotage=sabotage, action=action, **texts))
    (left,) = new_datasets()
    assert left.startswith("coco-audit import ")

    import_quietly(coco(), images_dir, name="y")
    assert new_datasets() == ["y"]


def test_an_import_that_is_under_way_is_left_alone(images_dir, new_datasets, worker):
    worker.start(
        """
        from fiftyone_coco_audit.coco import staging
        with staging.staged_dataset("x", overwrite=False, persistent=False):
            time.sleep(60)
        """
    )
    deadline = time.monotonic() + 60
    while not new_datasets() and time.monotonic() < deadline:
        time.sleep(0.1)
    (other,) = new_datasets()
    import_quietly(coco(), images_dir, name="y")
    assert new_datasets() == [other, "y"]


def test_results_for_a_dataset_that_fiftyone_has_imported(demo_files):
    stock = import_as_fiftyone_does(demo_files.annotations, demo_files.images)
    report = add_coco_predictions(stock, str(demo_files.predictions), progress=False)
    truth = json.loads(demo_files.annotations.read_text())
    results = json.loads(demo_files.predictions.read_text())
    assert report.predictions == {"predictions": len(results)}
    assert not report.problems
    evaluated = evaluate(stock, progress=False)
    found = evaluated.summary()
    assert found["AP"] == pytest.approx(run_cocoeval(truth, results).stats[0], abs=1e-9)
    # FiftyOne's importer leaves areas out, on which sizes depend: this is said
    assert any("no area: that of the box is used" in note for note in evaluated.notes)
    for annotation in truth["annotations"]:
        _, _, width, height = annotation["bbox"]
        annotation["area"] = width * height
    expected = run_cocoeval(truth, results).stats.tolist()
    assert list(found.values()) == pytest.approx(expected, abs=1e-9)
    assert min(expected) > 0.1


def stock_dataset(images_dir, tmp_path, **options):
    path = tmp_path / "gt.json"
    path.write_text(json.dumps(coco()))
    return import_as_fiftyone_does(path, images_dir, **options)


RESULTS = [{"image_id": 7, "category_id": 0, "bbox": [10, 10, 20, 30], "score": 0.5}]


def test_categories_that_are_not_known_are_asked_for(images_dir, tmp_path):
    stock = stock_dataset(images_dir, tmp_path)
    categories = stock.info.pop("categories")
    stock.save()
    with pytest.raises(CocoAuditError, match="does not have the ids of its categories"):
        add_coco_predictions(stock, RESULTS)
    # What the sentence says is enough
    stock.info["categories"] = categories
    stock.save()
    assert not add_coco_predictions(stock, RESULTS, progress=False).problems
    assert stock.distinct("predictions.detections.label") == ["cat"]


@pytest.mark.parametrize(
    ("categories", "reason"),
    [
        ([{"id": 0, "name": "cat"}, {"id": 0, "name": "dog"}], "CA109"),
        ([{"id": 0, "name": "cat"}, {"id": 1, "name": "cat"}], "CA123"),
        ([{"id": 0}], "category .* its `name` is missing"),
        ([{"id": 0, "name": "cat"}], "such as `dog`"),
        (["cat", "dog"], "category"),
    ],
)
def test_categories_that_cannot_be_those_of_the_labels(
    images_dir, tmp_path, categories, reason
):
    stock = stock_dataset(images_dir, tmp_path)
    stock.info["categories"] = categories
    stock.save()
    with pytest.raises(CocoAuditError, match=reason) as refused:
        add_coco_predictions(stock, RESULTS)
    assert 'set dataset.info["categories"]' in str(refused.value)
    assert not stock.has_field("predictions")


def test_images_without_an_id_or_with_that_of_another(images_dir, tmp_path):
    stock = stock_dataset(images_dir, tmp_path)
    first = stock.first()
    first["coco_id"] = stock.last()["coco_id"]
    first.save()
    with pytest.raises(CocoAuditError, match="several images with the same `coco_id`"):
        add_coco_predictions(stock, RESULTS)
    stock.delete_sample_field("coco_id")
    with pytest.raises(CocoAuditError, match="no `coco_id`: .* include_id=True"):
        add_coco_predictions(stock, RESULTS)
