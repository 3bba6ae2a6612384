"""Files that are no COCO files: read where that is clear, else called what they are."""

import json
import os
from pathlib import Path

import pytest

from fiftyone_coco_audit import CocoAuditError
from fiftyone_coco_audit.coco.paths import ImageFolder
from fiftyone_coco_audit.coco.read import read_annotations, read_predictions

RESULT = {"image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5], "score": 0.5}
LFS = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
    b"size 12345\n"
)

FOREIGN = {
    "lfs": (LFS, "is a Git LFS pointer and not the file itself; run `git lfs pull`"),
    "annex": (b"/annex/objects/MD5E-s5--a.json\n", "is a git-annex pointer.*annex get"),
    "dvc": (b"outs:\n- md5: a\n  path: a.json\n", "is a DVC pointer .*`dvc pull`"),
    "web": (b"<!DOCTYPE html>\n<html><head>", "is a web page"),
    "web-bare": (b"\n <html lang='en'>", "is a web page"),
    "voc": (b"<annotation><folder>", "is XML, as Pascal VOC"),
    "cvat": (b'<?xml version="1.0"?>', "is XML, as Pascal VOC and CVAT"),
    "yolo": (b"0 0.5 0.5 0.1 0.2\n1 0.1 0.1 0.1 0.1\n", "is a YOLO text file"),
    "pickle": (b"\x80\x04\x95\x10\0", "is a Python pickle"),
    "numpy": (b"\x93NUMPY\x01\0v\0", "is a NumPy array"),
    "zip": (b"PK\x03\x04\x14\0", "is compressed"),
    "python": (b"{'images': [], 'annotations': []}", "is text of Python"),
    "utf-16": ("{}".encode("utf-16"), "is in UTF-16"),
    "latin": (b'{"a": "\xe9"}', "is not in UTF-8"),
    "cut": (b'{"images": [{"id": 1}, {"i', "is not valid JSON"),
    "cut-lines": (b'{"a": 1}\n{"a": 2}\n{"a"', "is JSON Lines, and line 3 is not"),
}


@pytest.mark.parametrize("read", [read_annotations, read_predictions])
@pytest.mark.parametrize(("content", "message"), FOREIGN.values(), ids=FOREIGN)
def test_files_that_are_no_json(content, message, read, tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(content)

    with pytest.raises(CocoAuditError, match=message) as raised:
        read(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_is_no_regular_file_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for read in (read_annotations, read_predictions):
        for source, said in [
            ("/dev/zero", r"/dev/zero cannot be read \(it is a device, not a file\)"),
            (tmp_path / "pipe", "it is a named pipe, not a file"),
            (tmp_path, "it is a folder, not a file"),
            ("https://host/a.json", "file https://host/a.json is a URL: download it"),
            ("s3://bucket/a.json", "file s3://bucket/a.json is a URL: download it"),
        ]:
            with pytest.raises(CocoAuditError, match=said):
                read(source)
    with pytest.raises(CocoAuditError, match="image folder http:/.* is a URL"):
        ImageFolder(Path("http://host/images"))


def test_json_lines_of_predictions_are_read(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text("".join(json.dumps(RESULT) + "\n" for _ in range(3)) + "\n")

    assert read_predictions(path).predictions == [RESULT] * 3


def test_json_lines_of_annotations_are_called_that(tmp_path):
    path = tmp_path / "metadata.jsonl"
    path.write_text('{"file_name": "a.jpg"}\n{"file_name": "b.jpg"}\n')

    with pytest.raises(CocoAuditError, match="is JSON Lines, with a record on each"):
        read_annotations(path)


@pytest.mark.parametrize("key", ["predictions", "detections", "results", "annotations"])
def test_results_in_a_dict_are_read(key):
    source = {"info": {"model": "x"}, key: [RESULT]}

    assert read_predictions(source).predictions == [RESULT]
    with pytest.raises(CocoAuditError, match="only results, .* as `predictions`"):
        read_annotations(source)


def test_two_lists_of_results_are_not_chosen_from():
    source = {"predictions": [RESULT], "detections": [RESULT]}

    with pytest.raises(CocoAuditError, match="has no list `images`"):
        read_predictions(source)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"shapes": [], "imagePath": "a.jpg"}, "looks like a LabelMe file"),
        ({"_via_img_metadata": {}}, "looks like a VIA project"),
        ({"a.jpg5": {"filename": "a.jpg", "regions": []}}, "a VIA export"),
        ({"type": "FeatureCollection", "features": []}, "looks like GeoJSON"),
        ({"image": {}, "annotations": []}, "Segment Anything"),
        ({"message": "Not Found"}, "a server's response"),
        ([{"data": {"image": "a"}, "annotations": []}], "a Label Studio export"),
        ([{"image": "a.jpg", "annotations": []}], "a CreateML file"),
    ],
)
def test_files_of_other_tools(source, message):
    with pytest.raises(CocoAuditError, match=message):
        read_annotations(source)


def test_detectron2_by_image_is_called_that():
    source = [{"image_id": 1, "instances": [RESULT]}]

    with pytest.raises(CocoAuditError, match="detectron2's predictions by image"):
        read_predictions(source)
