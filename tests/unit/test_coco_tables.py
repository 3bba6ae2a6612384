"""Every rule of COCO records: a record that triggers it, and one that does not."""

import json
import math
import re
import zlib
from base64 import b64encode

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from fiftyone_coco_audit.coco import rules
from fiftyone_coco_audit.coco.categories import read_categories
from fiftyone_coco_audit.coco.ids import as_stored, numbered_anew, read_ids
from fiftyone_coco_audit.coco.images import read_images
from fiftyone_coco_audit.coco.objects import ObjectReader, References
from fiftyone_coco_audit.coco.paths import ImageFolder
from fiftyone_coco_audit.coco.report import ProblemLog

RESERVED = {
    *("area", "iscrowd", "rle", "coco_id"),
    *("id", "tags", "label", "mask", "index"),
}
POLYGON = [[10, 10, 30, 10, 30, 40, 10, 40]]


@pytest.fixture
def log():
    return ProblemLog("x.json", "ground_truth")


@pytest.fixture
def folder(tmp_path):
    Image.new("RGB", (64, 48)).save(tmp_path / "a.png")
    (tmp_path / "sub").mkdir()
    Image.new("RGB", (20, 10)).save(tmp_path / "sub" / "b.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    return ImageFolder(tmp_path)


def image(**changes):
    return {"id": 1, "file_name": "a.png", "width": 64, "height": 48, **changes}


def annotation(**changes):
    return {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "bbox": [10, 10, 20, 30],
        "area": 500,
        "iscrowd": 0,
        **changes,
    }


def prediction(**changes):
    return {
        "image_id": 1,
        "category_id": 1,
        "bbox": [10, 10, 20, 30],
        "score": 0.5,
        **changes,
    }


def read(records, log, *, kind="annotation"):
    references = References({1: 0, 2: 1}, {0: 0, 1: 1}, np.array([[64, 48], [20, 10]]))
    reader = ObjectReader(references, log, RESERVED)
    return (reader.annotations if kind == "annotation" else reader.predictions)(records)


def without(record, key):
    return {k: v for k, v in record.items() if k != key}


def codes(log):
    return [problem.code for problem in log.problems]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0),
        (-7, -7),
        (2**63 - 1, 2**63 - 1),
        (2**63, str(2**63)),
        (7.0, 7),
        (7.5, None),
        (math.nan, None),
        (math.inf, None),
        (True, None),
        (None, None),
        ("", None),
        ([], None),
        ({}, None),
        (np.int32(5), 5),
        ("2299", 2299),
        ("0", 0),
        ("-3", -3),
        ("007", "007"),
        ("-0", "-0"),
        ("+3", "+3"),
        ("1e3", "1e3"),
        ("9" * 19, "9" * 19),
        ("img_1", "img_1"),
        ("٣", "٣"),
    ],
)
def test_ids(value, expected):
    ids, texts = read_ids([value])

    assert ids == [expected]
    assert type(ids[0]) is type(expected)
    assert texts == (isinstance(value, str) and isinstance(expected, int))


def test_ids_are_stored_as_one_type():
    assert as_stored([1, None, 2]) == [1, None, 2]
    assert as_stored([1, None, "a"]) == ["1", None, "a"]


IMAGE_FAULTS = [
    (rules.NOT_A_RECORD, "a.png"),
    (rules.NOT_A_RECORD, None),
    (rules.IMAGE_WITHOUT_ID, without(image(), "id")),
    (rules.IMAGE_WITHOUT_ID, image(id=True)),
    (rules.IMAGE_WITHOUT_FILE_NAME, without(image(), "file_name")),
    (rules.IMAGE_WITHOUT_FILE_NAME, image(file_name="")),
    (rules.IMAGE_WITHOUT_FILE_NAME, image(file_name=5)),
    (rules.IMAGE_WITHOUT_FILE_NAME, image(file_name="\udce9.png")),
    (rules.IMAGE_WITHOUT_ID, image(id="\udce9")),
    (rules.IMAGE_WITHOUT_FILE_NAME, image(file_name="a\0.png")),
    (rules.IMAGE_WITHOUT_FILE_NAME, image(file_name=".")),
    (rules.IMAGE_WITHOUT_FILE_NAME, image(file_name="..\\..")),
    (rules.IMAGE_WITHOUT_FILE_NAME, image(file_name="https://host/?size=5")),
    (rules.IMAGE_WITHOUT_SIZE, without(image(file_name="none.png"), "width")),
    (rules.IMAGE_WITHOUT_SIZE, without(image(file_name="broken.png"), "height")),
    (rules.IMAGE_WITHOUT_SIZE, image(file_name="broken.png", width=0)),
    (rules.IMAGE_WITHOUT_SIZE, image(file_name="broken.png", height=-5)),
    (rules.IMAGE_WITHOUT_SIZE, image(file_name="broken.png", height=4.5)),
    (rules.IMAGE_WITHOUT_SIZE, image(file_name="broken.png", height="4.5")),
    (rules.IMAGE_WITHOUT_SIZE, image(file_name="broken.png", height=10**400)),
]


@pytest.mark.parametrize(("rule", "record"), IMAGE_FAULTS)
def test_images_set_aside(rule, record, folder, log):
    images = read_images([image(id=9), record], folder, log)

    assert images.ids == [9]
    (problem,) = log.problems
    assert (problem.code, problem.position) == (rule.code, 1)
    assert problem.severity == "error"


def test_duplicate_image_ids(folder, log):
    images = read_images([image(), image(file_name="sub/b.png")], folder, log)

    assert images.ids == [1]
    assert codes(log) == [rules.DUPLICATE_IMAGE_ID.code]


def test_a_duplicate_of_an_image_that_was_set_aside_is_used(folder, log):
    images = read_images([image(file_name="."), image()], folder, log)

    assert images.ids == [1]
    assert codes(log) == [rules.IMAGE_WITHOUT_FILE_NAME.code]


def test_two_images_of_one_file_are_both_kept(folder, log):
    images = read_images([image(), image(id=2, file_name="sub/../a.png")], folder, log)

    assert images.ids == [1, 2]
    assert codes(log) == [rules.DUPLICATE_FILE_NAME.code]
    assert log.problems[0].severity == "warning"


@pytest.mark.parametrize(
    "file_name", ["a.png", "sub/b.png", "./a.png", "sub/../a.png", "sub//b.png"]
)
def test_paths_inside_the_folder(file_name, folder, log):
    images = read_images([image(file_name=file_name)], folder, log)

    assert not log.problems
    assert images.missing.tolist() == [False]
    name = file_name.rpartition("/")[2]
    assert images.filepaths[0].endswith(f"/{name}")


def test_an_absolute_path_inside_the_folder(folder, log):
    path = f"{folder.path}/sub/b.png"

    assert read_images([image(file_name=path)], folder, log).filepaths == [path]
    assert not log.problems


def test_a_folder_whose_name_begins_alike_is_outside(folder, log):
    name = f"{folder.path}2/none.png"
    images = read_images([image(file_name=name)], folder, log)

    assert codes(log) == [rules.PATH_OUTSIDE.code]
    assert images.filepaths == [f"{folder.path}{name}"]


@pytest.mark.parametrize(
    "file_name",
    [
        *("/etc/passwd", "../../etc/passwd", "sub/../../x.png", "..\\..\\x.png"),
        *("C:\\x.png", "file:///x.png", "https://host/x/y.png?z=a", "//server/x.png"),
    ],
)
def test_paths_that_lead_out_are_not_followed_and_lose_no_image(file_name, folder, log):
    images = read_images([image(file_name=file_name)], folder, log)

    assert images.missing.tolist() == [True]
    assert images.filepaths[0].startswith(f"{folder.path}/")
    (problem,) = log.problems
    assert problem.severity == "warning"
    assert "has no file of that name among its 3 files, such as a.png" in problem.reason


@pytest.mark.parametrize("file_name", ["none.png", "sub/none.png", "sub"])
def test_missing_files(file_name, folder, log):
    images = read_images([image(file_name=file_name)], folder, log)

    assert images.ids == [1]
    assert images.missing.tolist() == [True]
    assert codes(log) == [rules.MISSING_FILE.code]
    assert log.problems[0].severity == "warning"


@pytest.mark.parametrize("changes", [{"width": None}, {"height": "?"}])
def test_sizes_from_files(changes, folder, log):
    images = read_images([image(**changes)], folder, log)

    assert images.sizes.tolist() == [[64, 48]]
    assert codes(log) == [rules.SIZE_FROM_FILE.code]


def test_whole_sizes_may_be_floats(folder, log):
    images = read_images([image(width=640.0)], folder, log)

    assert images.sizes.tolist() == [[640, 48]]
    assert not log.problems


def test_image_ids_as_text_are_noted(folder, log):
    images = read_images(
        [image(id="5"), image(id="x", file_name="sub/b.png")], folder, log
    )

    assert images.ids == [5, "x"]
    (problem,) = log.problems
    assert (problem.code, problem.records) == (rules.NUMBER_AS_TEXT.code, 1)


@pytest.mark.parametrize(
    ("rule", "record"),
    [
        (rules.NOT_A_RECORD, "cat"),
        (rules.CATEGORY_WITHOUT_ID, {"name": "cat"}),
        (rules.CATEGORY_WITHOUT_ID, {"id": None, "name": "cat"}),
        (rules.DUPLICATE_CATEGORY_ID, {"id": 0, "name": "cat"}),
        (rules.CATEGORY_WITHOUT_NAME, {"id": 1}),
        (rules.CATEGORY_WITHOUT_NAME, {"id": 1, "name": ""}),
        (rules.CATEGORY_WITHOUT_NAME, {"id": 1, "name": ["cat"]}),
        (rules.CATEGORY_WITHOUT_NAME, {"id": 1, "name": "\udce9"}),
    ],
)
def test_categories_set_aside(rule, record, log):
    categories = read_categories([{"id": 0, "name": "dog"}, record], log)

    assert categories.names == ["dog"]
    assert codes(log) == [rule.code]


def test_categories_keep_file_order_and_their_keys(log):
    records = [
        {"id": 7, "name": "cat", "supercategory": "animal", "keypoints": ["a", "b"]},
        {"id": 0, "name": "dog", "huge": 2**70, "nested": {"a": 1}, "a.b": 1},
    ]
    categories = read_categories(records, log)

    assert categories.ids == [7, 0]
    assert categories.records == [records[0], {"id": 0, "name": "dog"}]
    assert not log.problems


def test_categories_of_one_name_get_no_name_that_is_taken(log):
    records = [
        {"id": 1, "name": "cat"},
        {"id": 2, "name": "cat (id 3)"},
        {"id": 3, "name": "cat"},
    ]
    names = read_categories(records, log).names
    assert names == ["cat", "cat (id 3)", "cat (id 3) (id 3)"]


def test_categories_of_one_name_are_kept_apart(log):
    records = [{"id": 3, "name": "cat"}, {"id": 7, "name": "cat"}]
    categories = read_categories(records, log)

    assert categories.names == ["cat", "cat (id 7)"]
    assert codes(log) == [rules.DUPLICATE_CATEGORY_NAME.code]


@pytest.mark.parametrize(
    "key", ["", "_cls", "_id", "$where", "a.b", "a\0b", "\0", "\ud800", 5, None]
)
@pytest.mark.parametrize("value", [[], [[]], 1, "x", None])
def test_keys_of_categories_that_no_database_takes_are_left_out(key, value, log):
    record = {"id": 1, "name": "cat", key: value, "skeleton": [[1, 2], [2, 3]]}
    (kept,) = read_categories([record], log).records

    assert kept == {"id": 1, "name": "cat", "skeleton": [[1, 2], [2, 3]]}
    assert not log.problems


@pytest.mark.parametrize("value", [{}, [{"_cls": []}], [[2**63]], (1,)])
def test_values_of_categories_that_no_database_takes_are_left_out(value, log):
    deep = []
    for _ in range(10_000):
        deep = [deep]
    record = {"id": 1, "name": "cat", "extra": value, "deep": deep}

    assert read_categories([record], log).records == [{"id": 1, "name": "cat"}]


COMMON_FAULTS = [
    (rules.NOT_A_RECORD, lambda record: None),
    (rules.NOT_A_RECORD, lambda record: [record]),
    (rules.UNKNOWN_IMAGE, lambda record: {**record, "image_id": 3}),
    (rules.UNKNOWN_IMAGE, lambda record: {**record, "image_id": "one"}),
    (rules.UNKNOWN_IMAGE, lambda record: {**record, "image_id": True}),
    (rules.UNKNOWN_IMAGE, lambda record: {**record, "image_id": [1]}),
    (rules.UNKNOWN_IMAGE, lambda record: without(record, "image_id")),
    (rules.UNKNOWN_CATEGORY, lambda record: {**record, "category_id": 2}),
    (rules.UNKNOWN_CATEGORY, lambda record: without(record, "category_id")),
    (rules.NO_BOX, lambda record: without(record, "bbox")),
    (rules.NO_BOX, lambda record: {**record, "bbox": []}),
    (rules.NO_BOX, lambda record: {**record, "bbox": [1, 2, 3]}),
    (rules.NO_BOX, lambda record: {**record, "bbox": "1234"}),
    (rules.NO_BOX, lambda record: {**record, "bbox": [1, 2, "3 px", 4]}),
    (rules.NO_BOX, lambda record: {**record, "bbox": [1, 2, None, 4]}),
    (rules.UNUSABLE_BOX, lambda record: {**record, "bbox": [1, 2, 0, 4]}),
    (rules.UNUSABLE_BOX, lambda record: {**record, "bbox": [1, 2, 3, -4]}),
    (rules.UNUSABLE_BOX, lambda record: {**record, "bbox": [math.nan, 2, 3, 4]}),
    (rules.UNUSABLE_BOX, lambda record: {**record, "bbox": [1, 2, math.inf, 4]}),
    (rules.UNUSABLE_BOX, lambda record: {**record, "bbox": [1, 2, 10**400, 4]}),
    (rules.UNUSABLE_BOX, lambda record: {**record, "bbox": [1, 2, 1e308, 1e308]}),
    (rules.UNUSABLE_BOX, lambda record: {**record, "bbox": [1e308, 2, 1e308, 0.1]}),
    (
        rules.NO_BOX,
        lambda record: {**record, "bbox": None, "segmentation": [[1, 1, 9, 9]]},
    ),
    (
        rules.UNUSABLE_BOX,
        lambda record: {**record, "bbox": [1, 2, 0, 4], "segmentation": {}},
    ),
    (
        rules.UNUSABLE_BOX,
        lambda record: {
            **record,
            "bbox": [],
            "segmentation": {"size": [48, 64], "counts": [48 * 64]},
        },
    ),
]


@pytest.mark.parametrize("kind", ["annotation", "prediction"])
@pytest.mark.parametrize(("rule", "spoil"), COMMON_FAULTS)
def test_objects_set_aside(rule, spoil, kind, log):
    good = annotation(id=8) if kind == "annotation" else prediction(id=8)
    objects = read([spoil({**good, "id": 9}), good], log, kind=kind)

    assert objects.ids == [8]
    (problem,) = log.problems
    assert (problem.code, problem.position, problem.kind) == (rule.code, 0, kind)


@pytest.mark.parametrize("score", [None, "high", math.nan, math.inf, True])
def test_predictions_without_a_score(score, log):
    objects = read([prediction(score=score), prediction()], log, kind="prediction")

    assert objects.score.tolist() == [0.5]
    assert codes(log) == [rules.UNUSABLE_SCORE.code]


def test_copies_of_annotations_are_set_aside(log):
    records = [
        annotation(id=1, image_id=5),  # set aside, so that its id is free
        annotation(id=1, segmentation=POLYGON),
        annotation(id=1, segmentation=[POLYGON[0]], area=7, note="a copy all the same"),
    ]
    objects = read(records, log)

    assert (objects.ids, objects.area.tolist()) == ([1], [500])
    assert codes(log) == [
        rules.UNKNOWN_IMAGE.code,
        rules.DUPLICATE_ANNOTATION_ID.code,
    ]


@pytest.mark.parametrize(
    "other",
    [
        {"image_id": 2},
        {"category_id": 0},
        {"bbox": [10, 10, 20, 30.5]},
        {"segmentation": POLYGON},
    ],
)
def test_different_annotations_of_one_id_are_all_kept(other, log):
    records = [
        annotation(id=1),
        annotation(id=1, **other),
        annotation(id=5, image_id=9),  # set aside, but its id stays taken
        annotation(id=1, bbox=[0, 0, 5, 5]),
        annotation(id=1),
        annotation(id=3),
    ]
    objects = read(records, log)

    assert sorted(objects.ids) == [1, 3, 6, 7]
    assert [(p.code, p.records) for p in log.problems] == [
        (rules.UNKNOWN_IMAGE.code, 1),
        (rules.DUPLICATE_ANNOTATION_ID.code, 1),
        (rules.NEW_ANNOTATION_ID.code, 2),
    ]
    assert "from 6 up" in log.problems[-1].reason


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([1, 1, 1], [1, 2, 3]),
        ([4, 4, 9, 4], [4, 10, 9, 11]),
        ([0, 0], [0, 1]),
        ([-5, -5], [-5, 1]),
        (["a", "a", "a"], ["a", 1, 2]),
        ([2**63 - 1, 2**63 - 1, 1], [2**63 - 1, 2, 1]),
        ([None, None, 1], [None, None, 1]),
        ([], []),
    ],
)
def test_ids_are_numbered_anew(ids, expected):
    assert numbered_anew(ids, ids) == expected


@pytest.mark.parametrize(
    ("crowds", "count", "said"),
    [(20, 20, "all 20"), (11, 20, "11 of 20"), (1, 1, "all 1 annotation")],
)
def test_most_annotations_are_crowds(crowds, count, said, log):
    read([annotation(id=n, iscrowd=int(n < crowds)) for n in range(count)], log)

    (problem,) = log.problems
    assert (problem.code, problem.records) == (rules.MOSTLY_CROWDS.code, crowds)
    assert said in problem.reason


@pytest.mark.parametrize(("crowds", "count"), [(0, 0), (0, 5), (10, 20)])
def test_few_annotations_are_crowds(crowds, count, log):
    read([annotation(id=n, iscrowd=int(n < crowds)) for n in range(count)], log)

    assert not log.problems


def test_predictions_may_share_an_id(log):
    objects = read([prediction(id=1), prediction(id=1)], log, kind="prediction")

    assert objects.ids == [1, 1]
    assert not log.problems


def test_annotations_without_an_id_are_kept(log):
    objects = read([without(annotation(), "id"), annotation(id=0)], log)

    assert objects.ids == [None, 0]
    assert codes(log) == [rules.ANNOTATION_WITHOUT_ID.code]


def test_objects_are_grouped_by_image_in_file_order(log):
    records = [
        annotation(id=5, image_id=2, category_id=0),
        annotation(id=4, iscrowd=1),
        annotation(id=3, image_id=2),
        annotation(id=2, bbox=[-3.5, 40, 100, 1e-3]),  # beyond the image is no fault
    ]
    objects = read(records, log)

    assert objects.ids == [4, 2, 5, 3]
    assert objects.image.tolist() == [0, 0, 1, 1]
    assert objects.category.tolist() == [1, 1, 0, 1]
    assert objects.iscrowd.tolist() == [1, 0, 0, 0]
    assert objects.box[1].tolist() == [-3.5, 40, 100, 1e-3]
    assert not log.problems


def test_no_objects_at_all(log):
    assert len(read([], log)) == 0
    assert len(read([], log, kind="prediction")) == 0


def test_areas_and_crowds_that_are_missing(log):
    records = [
        annotation(id=1, area=7.25, iscrowd=None),
        without(annotation(id=2), "area"),
        without(annotation(id=3, segmentation=POLYGON), "area"),
        annotation(id=4, area=-1),
        annotation(id=5, area=math.nan, iscrowd=True),
        without(annotation(id=6, area="big"), "iscrowd"),
        annotation(id=7, area=0),
    ]
    objects = read(records, log)

    mask_area = coco_mask.area(coco_mask.merge(coco_mask.frPyObjects(POLYGON, 48, 64)))
    assert objects.area.tolist() == [7.25, 600, mask_area, 600, 600, 600, 0]
    assert objects.iscrowd.tolist() == [0, 0, 0, 0, 1, 0, 0]
    (problem,) = log.problems
    assert (problem.code, problem.records) == (rules.NO_AREA.code, 5)


@pytest.mark.parametrize(
    ("value", "crowd"),
    [
        *[(value, 0) for value in ("0", " 0 ", "0.0", "", "false", "False", 0.0, [])],
        *[(value, 1) for value in ("1", "true", 1.0, 2)],
        (np.array([0, 0]), 1),  # of a caller; of no meaning, and not to stop at
    ],
)
def test_crowds_as_text(value, crowd, log):
    assert read([annotation(iscrowd=value)], log).iscrowd.tolist() == [crowd]


def test_an_iscrowd_that_is_not_0_or_1_is_noted():
    for value, crowd, noted in [
        *[(value, 1, True) for value in (2, -1, 0.5, "yes", [0])],
        *[(value, 0, True) for value in ("0", "", [])],
        *[(value, int(value or 0), False) for value in (0, 1, True, False, 1.0, None)],
    ]:
        log = ProblemLog("a.json", "ground_truth")
        records = [annotation(id=n, iscrowd=value if n else 0) for n in range(3)]
        assert read(records, log).iscrowd.tolist() == [0, crowd, crowd]
        notes = [p for p in log.problems if p.code == rules.UNUSUAL_CROWD.code]
        assert [p.records for p in notes] == [2] * noted
        assert not notes or repr(value) in notes[0].reason


def test_numbers_as_text_are_read_and_noted(folder):
    for kind, changes in {
        "annotation": {"bbox": ["1", "2", "3", 4.5], "area": "100"},
        "prediction": {"bbox": "[1, 2, 3, 4.5]", "score": " 9e-1 "},
    }.items():
        log = ProblemLog("a.json", "ground_truth")
        make = annotation if kind == "annotation" else prediction
        objects = read([make(id=8), make(id=9, **changes)], log, kind=kind)
        assert objects.box[1].tolist() == [1, 2, 3, 4.5]
        assert (objects.area if kind == "annotation" else objects.score)[1] in (
            100,
            0.9,
        )
        assert set(codes(log)) == {rules.NUMBER_AS_TEXT.code}
        assert [p.records for p in log.problems] == [1, 1]
    log = ProblemLog("a.json", "ground_truth")
    images = read_images([image(width="640", height="48.0")], folder, log)
    assert images.sizes.tolist() == [[640, 48]]
    assert set(codes(log)) == {rules.NUMBER_AS_TEXT.code}


def test_the_reason_for_a_number_that_cannot_be_used_is_the_true_one():
    for kind, changes, code, said in [
        ("prediction", {"score": "0,9"}, "CA114", "is '0,9', which is text"),
        ("prediction", {"score": "nan"}, "CA114", "is 'nan', which is text"),
        ("annotation", {"bbox": ["a", 1, 2, 3]}, "CA112", "3], which holds text"),
        ("annotation", {"bbox": "1 2 3 4"}, "CA112", "'1 2 3 4', which is text"),
        ("annotation", {"bbox": [1e300] * 4}, "CA113", "too large to compute with"),
        ("prediction", {"bbox": [1e308, 1, 1e308, 1]}, "CA113", "too large to compute"),
        ("annotation", {"bbox": [1, 1, 0, 5]}, "CA113", "is [1, 1, 0, 5]"),
    ]:
        log = ProblemLog("a.json", "ground_truth")
        make = annotation if kind == "annotation" else prediction
        assert not len(read([make(**changes)], log, kind=kind))
        (problem,) = log.problems
        assert problem.code == code
        assert problem.reason.endswith(said) or said in problem.reason


@pytest.mark.parametrize("segmentation", [None, []])
def test_empty_segmentations_are_boxes_without_a_mask(segmentation, log):
    objects = read([annotation(segmentation=segmentation)], log)

    assert objects.rle == [None]
    assert not objects.has_masks
    assert not log.problems


def test_masks_follow_their_objects(log):
    text = coco_mask.merge(coco_mask.frPyObjects(POLYGON, 48, 64))["counts"].decode()
    records = [
        annotation(id=1, image_id=2),
        annotation(id=2, segmentation=POLYGON),
        annotation(id=3, segmentation={"size": [48, 64], "counts": text}),
        annotation(id=4, segmentation={"size": [10, 20], "counts": text}),
    ]
    objects = read(records, log)

    assert objects.ids == [2, 3, 4, 1]
    assert objects.rle == [text, text, None, None]
    assert codes(log) == [rules.BROKEN_SEGMENTATION.code]


@pytest.mark.parametrize("kind", ["annotation", "prediction"])
@pytest.mark.parametrize(
    "segmentation",
    [
        "",
        "no mask",
        "[[1, 2",
        7,
        {},
        [[]],
        [[], []],
        [[[]]],
        [None],
        [[10, 10, 60, 50]],
        [[10, 10], [60, 50]],
        [[10, 10, 60, 10, 60, 50, 10]],
        [[10, 10, 60, 10, 60, None]],
        [[10, 10, 60, 10, 60, True]],
        [[10, 10, 60, 10, 60, math.nan]],
        [[math.nan, 10, 60, 10, 60, 40]],
        [[10, 10, 60, 10, 60, 1e30]],
        [[10, 10, 60, 10, 60, "wide"]],
        [[[[[[[10, 10, 60, 10, 60, 40]]]]]]],
        [[10, 10, 60, 10, 60, 10**400]],
        [[np.float32(10), 10, 60, 10, 60, 10**400]],
        "[]",
        {"size": [48, 64], "counts": "garbage"},
        {"size": [48, 64], "counts": "b'garbage'"},
        {"size": [48, 64], "counts": "Z2FyYmFnZQ=="},
        {"size": [48, 64]},
        {"size": [48, 64], "counts": [1, 2, 3]},
        {"size": [64, 48], "counts": [48 * 64]},
        {"size": [np.array([1, 2]), 64], "counts": [48 * 64]},
        {"size": None, "counts": [5]},
        [{"size": [48, 64], "counts": [48 * 64]}, {"size": [9, 9], "counts": [81]}],
    ],
    ids=repr,
)
def test_a_box_is_never_lost_with_its_mask(segmentation, kind, log):
    make = annotation if kind == "annotation" else prediction
    objects = read([make(id=9, segmentation=segmentation)], log, kind=kind)

    assert objects.box.tolist() == [[10, 10, 20, 30]]
    assert objects.rle == [None]
    (problem,) = log.problems
    assert problem.code == rules.BROKEN_SEGMENTATION.code
    assert (problem.record_id, problem.position, problem.kind) == (9, 0, kind)
    assert problem.severity == "warning"
    assert problem.reason


COMPRESSED = coco_mask.merge(coco_mask.frPyObjects(POLYGON, 48, 64))["counts"]
PAIRS = [[10, 10], [30, 10], [30, 40], [10, 40]]
UNUSUAL = [
    (POLYGON[0], "one flat list"),
    ([PAIRS], "pairs"),
    (PAIRS, "pairs"),
    ([[{"x": x, "y": y} for x, y in PAIRS]], "pairs"),
    ([POLYGON], "nested too deep"),
    ([[PAIRS]], "pairs"),
    ([[str(number) for number in POLYGON[0]]], "coordinates are numbers as text"),
    (json.dumps(POLYGON), "JSON in a string"),
    (json.dumps(PAIRS), "JSON in a string and its points are pairs"),
    (np.array(POLYGON), "not a plain list"),
    ([*POLYGON, [10, 10, 60, 50]], "1 of 2 polygons was left out: .* has 2 points"),
    ([[1, 1], *POLYGON, []], "2 of 3 polygons were left out: .* has 1 point but"),
    ([*POLYGON, [1, 1, 9, 1, 9, math.inf]], "1 of 2 polygons was left out: .* finite"),
    ([*POLYGON, [1, 1, 9, 1, 9]], "1 of 2 polygons was left out: .* odd"),
    ({"size": [48, 64], "counts": str(COMPRESSED)}, r"Python's text of bytes"),
    ({"size": [48, 64], "counts": b64encode(COMPRESSED).decode()}, "base64"),
    ({"size": [48, 64], "counts": b64encode(COMPRESSED).decode().strip("=")}, "base64"),
    (
        {"size": [48, 64], "counts": b64encode(zlib.compress(COMPRESSED)).decode()},
        "base64",
    ),
    ({"size": ["48", "64"], "counts": COMPRESSED.decode()}, "size is text"),
    ({"counts": COMPRESSED.decode()}, "no size"),
    ([{"size": [48, 64], "counts": COMPRESSED.decode()}], "a list of one mask"),
    (
        {"size": [48, 64], "counts": ["490", *["30", "18"] * 19, "30", "1640"]},
        "counts are numbers as text",
    ),
]


@pytest.mark.parametrize("kind", ["annotation", "prediction"])
@pytest.mark.parametrize(("segmentation", "remark"), UNUSUAL, ids=repr)
def test_masks_that_are_not_in_the_form_of_coco(segmentation, remark, kind, log):
    make = annotation if kind == "annotation" else prediction
    objects = read([make(id=9, segmentation=segmentation)], log, kind=kind)

    assert objects.rle == [COMPRESSED.decode()]
    assert objects.box.tolist() == [[10, 10, 20, 30]]
    (problem,) = log.problems
    assert problem.code == rules.UNUSUAL_SEGMENTATION.code
    assert (problem.record_id, problem.position, problem.kind) == (9, 0, kind)
    assert re.search(remark, problem.reason)


def test_the_text_of_bytes_with_a_backslash(log):
    """Python shows a backslash of run lengths as two."""
    runs = [44, 4, 48 * 64 - 48]
    rle = coco_mask.frPyObjects({"size": [48, 64], "counts": runs}, 48, 64)
    assert b"\\" in rle["counts"]
    mask = {"size": [48, 64], "counts": str(rle["counts"])}
    objects = read([annotation(segmentation=mask)], log)

    assert objects.rle == [rle["counts"].decode()]


def test_packed_run_lengths_that_never_end(log):
    bomb = b64encode(zlib.compress(b"0" * 2**28)).decode()
    mask = {"size": [48, 64], "counts": bomb}
    objects = read([annotation(segmentation=mask)], log)

    assert objects.rle == [None]
    assert codes(log) == [rules.BROKEN_SEGMENTATION.code]


def test_masks_in_text_that_is_nested_without_end(log):
    objects = read([annotation(segmentation="[" * 100_000)], log)

    assert objects.rle == [None]
    assert codes(log) == [rules.BROKEN_SEGMENTATION.code]


@pytest.mark.parametrize("bbox", [None, [], ()])
def test_annotations_get_their_box_from_the_mask(bbox, log):
    records = [
        without(annotation(id=1, segmentation=POLYGON), "bbox"),
        annotation(id=2, segmentation=POLYGON[0], bbox=bbox),
        annotation(id=3, segmentation={"size": [48, 64], "counts": str(COMPRESSED)}),
    ]
    objects = read(records, log)

    assert objects.box.tolist() == [[10, 10, 20, 30]] * 3
    assert [(p.code, p.records) for p in log.problems] == [
        (rules.UNUSUAL_SEGMENTATION.code, 1),
        (rules.UNUSUAL_SEGMENTATION.code, 1),
        (rules.BOX_FROM_MASK.code, 2),
    ]


@pytest.mark.parametrize("kind", ["annotation", "prediction"])
@pytest.mark.parametrize(
    "bbox",
    [[0, 0, 0, 0], [10, 10, 20], [1, 2, 3, -4], [math.nan] * 4, "1234", ["a"] * 4, {}],
)
def test_boxes_that_cannot_be_used_are_replaced_by_that_of_the_mask(bbox, kind, log):
    make = annotation if kind == "annotation" else prediction
    objects = read([make(id=9, segmentation=POLYGON, bbox=bbox)], log, kind=kind)

    assert objects.box.tolist() == [[10, 10, 20, 30]]
    (problem,) = log.problems
    assert (problem.code, problem.record_id) == (rules.BOX_REPLACED.code, 9)
    assert repr(bbox) in problem.reason


def test_nothing_is_said_of_masks_of_records_that_are_set_aside(log):
    read([prediction(segmentation=POLYGON[0], score=None)], log, kind="prediction")

    assert codes(log) == [rules.UNUSABLE_SCORE.code]


def test_predictions_get_their_box_from_the_mask(log):
    text = coco_mask.merge(coco_mask.frPyObjects(POLYGON, 48, 64))["counts"].decode()
    mask = {"size": [48, 64], "counts": text}
    empty = {"size": [48, 64], "counts": [48 * 64]}
    records = [
        without(prediction(segmentation=mask), "bbox"),
        prediction(segmentation=mask, bbox=[]),
        prediction(segmentation=mask),
        prediction(segmentation=empty, bbox=[]),
        prediction(segmentation=empty),
    ]
    objects = read(records, log, kind="prediction")

    from_mask = coco_mask.toBbox(mask).tolist()
    given = [10, 10, 20, 30]
    assert objects.box.tolist() == [from_mask, from_mask, given, given]
    assert codes(log) == [rules.UNUSABLE_BOX.code]


def test_masks_of_huge_boxes_are_noted(log):
    read([annotation(segmentation=POLYGON, bbox=[0, 0, 1e9, 1e9])], log)

    assert codes(log) == [rules.MASK_NOT_SHOWN.code]


def test_extra_keys_of_one_type_are_kept(log):
    records = [
        annotation(id=1, ignore=0, note="x", level=1, tags="t", label=3),
        annotation(id=2, level=0.5, attributes={"occluded": True, "truncated": False}),
        annotation(id=3, note=None, score=0.25, attributes=None),
    ]
    objects = read(records, log)

    assert objects.attributes == {
        "coco_label": [3, None, None],
        "coco_tags": ["t", None, None],
        "ignore": [0, None, None],
        "level": [1.0, 0.5, None],
        "note": ["x", None, None],
        "occluded": [None, True, None],
        "score": [None, None, 0.25],
        "truncated": [None, False, None],
    }
    assert not log.problems


def test_keys_never_share_a_name(log):
    records = [annotation(id=1, tags="t", coco_tags="u", attributes={"coco_id": 2})]
    objects = read(records, log)

    assert objects.attributes == {
        "coco_coco_id": [2],
        "coco_coco_tags": ["t"],
        "coco_tags": ["u"],
    }


def test_a_key_that_would_take_the_place_of_the_id(log):
    objects = read([annotation(id=1, attributes={"id": 1.5})], log)

    assert objects.attributes == {"coco_coco_id": [1.5]}
    assert objects.ids == [1]


def test_a_prediction_keeps_its_own_area_beside_ours(log):
    objects = read([prediction(area=9.5)], log, kind="prediction")

    assert objects.attributes == {"coco_area": [9.5]}
    assert objects.area is None


@pytest.mark.parametrize(
    "values",
    [
        {"list": [1, 2, 3]},
        {"nested": {"a": 1}},
        {"huge": 2**63},
        {"a.b": 1},
        {"_private": 1},
        {"$set": 1},
        {"half": "\ud800"},
        {"\ud800": 1},
    ],
)
def test_extra_keys_that_cannot_be_kept_are_noted(values, log):
    objects = read([annotation(**values)], log)

    assert objects.attributes == {}
    (problem,) = log.problems
    assert (problem.code, problem.records) == (rules.ATTRIBUTE_NOT_KEPT.code, 1)
    assert repr(next(iter(values))) in problem.reason


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"track": 2**70}, "holds int that no database can hold"),
        ({"half": "\ud800"}, "holds str that no database can hold"),
        ({"a.b": 1}, "cannot be the name of an attribute"),
        ({"a.b": {}}, "holds dict"),
    ],
)
def test_why_an_extra_key_is_not_kept(values, why, log):
    """Most often its values are not plain, but not always."""
    read([annotation(**values)], log)

    (key,) = values
    assert log.problems[0].reason == f"the key {key!r} {why} and was not kept"


def test_keys_that_are_no_text_are_noted(log):
    objects = read([annotation(attributes={5: 1, None: 2}), annotation(id=2)], log)

    assert objects.attributes == {}
    assert codes(log) == [rules.ATTRIBUTE_NOT_KEPT.code] * 2


def test_the_most_frequent_of_too_many_keys_are_kept(log):
    """A value or none for each pair of label and key would fill any memory."""
    records = [
        annotation(id=id_, seen=1, attributes={f"only_{id_}": 1}) for id_ in range(3000)
    ]
    objects = read(records, log)

    assert objects.attributes["seen"] == [1] * 3000
    assert 900 < len(objects.attributes) <= 1000
    (problem,) = log.problems
    assert problem.code == rules.ATTRIBUTE_NOT_KEPT.code
    assert len(objects.attributes) - 1 + problem.records == 3000
    assert "3,008 keys" in problem.reason


def test_extra_keys_of_mixed_types_are_noted(log):
    records = [annotation(id=1, a=1), annotation(id=2, a="1"), annotation(id=3, a=True)]
    objects = read(records, log)

    assert objects.attributes == {}
    assert log.problems[0].records == 3


def test_ids_as_text_are_noted(log):
    objects = read([annotation(id="7", image_id="1"), annotation(id=8)], log)

    assert objects.ids == [7, 8]
    assert [p.records for p in log.problems] == [1, 1]
    assert set(codes(log)) == {rules.NUMBER_AS_TEXT.code}
