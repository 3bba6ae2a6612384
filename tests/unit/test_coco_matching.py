"""Which image a prediction means: ids, names, numbers in names, positions."""

import json

import numpy as np
import pytest

from fiftyone_coco_audit import CocoAuditError
from fiftyone_coco_audit.coco.file_names import NONE, SEVERAL
from fiftyone_coco_audit.coco.matching import (
    PredictionTarget,
    match_images,
    positions_hint,
)
from fiftyone_coco_audit.coco.predictions import read_matched
from fiftyone_coco_audit.coco.report import ProblemLog

STEM, NAME, DOUBT = "CA133", "CA143", "CA128"


def target(images, **options):
    """A target of images by id and path."""
    return PredictionTarget(
        "a.json",
        list(images),
        [f"/data/{path}" for path in images.values()],
        np.full((len(images), 2), (200, 100)),
        {1: "cat", 2: "dog"},
        **options,
    )


def match(records, images):
    log = ProblemLog("p.json", "predictions")
    found = match_images(records, target(images), log)
    return found, {problem.code: problem for problem in log.problems}


def of(image_id, **more):
    return {"image_id": image_id, **more}


@pytest.mark.parametrize(
    ("images", "ids", "rows", "codes"),
    [
        # Ids are ids, whatever files are called
        ({7: "1.jpg", 1: "7.jpg"}, [7, 1], [0, 1], []),
        ({139: "000000000139.jpg"}, [139, "139"], [0, 0], []),
        # Names without and with their ending, with folders, of another machine
        ({7: "a.jpg", 8: "b.jpg"}, ["a", "b"], [0, 1], [STEM]),
        ({7: "0001.jpg", 8: "0002.jpg"}, ["0001.jpg", "0002.jpg"], [0, 1], [STEM]),
        ({7: "val/0001.jpg", 8: "b.jpg"}, ["val/0001.jpg"], [0], [STEM]),
        ({7: "val/0001.jpg", 8: "val/1.jpg"}, ["val/0001"], [0], [STEM]),
        ({7: "val/c.jpg", 8: "test/c.jpg"}, ["val/c", "test/c.jpg"], [0, 1], [STEM]),
        ({7: "val/c.jpg"}, ["C:\\set\\val\\c.jpg"], [0], [STEM]),
        ({7: "val/c.jpg"}, ["C.JPG"], [0], [STEM]),
        ({7: "a.b.jpg"}, ["a.b", "a.b.jpg"], [0, 0], [STEM]),
        ({7: "139.jpg", 8: "b.jpg"}, ["139"], [0], [STEM]),
        ({7: "139.jpg", 8: "b.jpg"}, ["139", "b"], [0, 1], [STEM]),
        # Ultralytics' int(stem), where not all of these are ids
        ({0: "0001.jpg", 1: "0002.jpg"}, [1, 2], [0, 1], [STEM]),
        ({5: "17.jpg", 6: "18.jpg"}, [17, 18, 18], [0, 1, 1], [STEM]),
        # Two images of one stem
        ({7: "x/c.jpg", 8: "y/c.jpg"}, ["c", 7], [SEVERAL, 0], []),
        ({7: "c.jpg", 8: "y/c.jpg"}, ["c.jpg"], [SEVERAL], []),
        ({0: "x/1.jpg", 1: "y/1.jpg", 2: "2.jpg"}, [1, 2], [1, 2], []),
        ({5: "x/1.jpg", 6: "y/1.jpg", 7: "2.jpg"}, [1, 2], [SEVERAL, 2], [STEM]),
        # No image at all
        ({7: "a.jpg"}, ["d"], [NONE], []),
        ({7: "a.jpg", 8: "b.jpg"}, [7, 9], [0, NONE], [DOUBT]),
        ({7: "a.jpg"}, [None, True, "", [], 7], [NONE, NONE, NONE, NONE, 0], []),
    ],
)
def test_image_ids(images, ids, rows, codes):
    found, noted = match([of(id_) for id_ in ids], images)

    assert found.rows.tolist() == rows
    assert list(noted) == codes


@pytest.mark.parametrize(
    ("images", "records", "rows", "codes"),
    [
        # They agree
        ({1: "a.jpg"}, [of(1, file_name="a.jpg")], [0], []),
        ({1: "x/a.jpg", 2: "y/a.jpg"}, [of(2, file_name="a.jpg")], [1], []),
        # The file name decides
        (
            {0: "2.jpg", 1: "1.jpg", 2: "0.jpg"},
            [of(0, file_name="0.jpg"), of(1, file_name="1.jpg")],
            [2, 1],
            [NAME],
        ),
        ({1: "a.jpg", 2: "b.jpg"}, [of(1, file_name="/x/b.jpg")], [1], [NAME]),
        ({1: "a.jpg"}, [of(99, file_name="a.jpg"), of(1)], [0, 0], [NAME]),
        ({1: "x/a.jpg", 2: "y/a.jpg"}, [of(1, file_name="y/a.jpg")], [1], [NAME]),
        ({1: "a.jpg"}, [of(None, file_name="a.jpg")], [0], [STEM]),
        ({1: "a.jpg"}, [{"file_name": "a.jpg"}], [0], [STEM]),
        (
            {1: "a.jpg", 2: "b.jpg"},
            [of(None, file_name="a.jpg"), of(1, file_name="b.jpg")],
            [0, 1],
            [STEM, NAME],
        ),
        # ... also if it names no image, or several
        (
            {1: "a.jpg", 2: "b.jpg"},
            [of(1, file_name="x.jpg"), of(2, file_name="b.jpg")],
            [NONE, 1],
            [],
        ),
        (
            {1: "x/a.jpg", 2: "y/a.jpg", 3: "b.jpg"},
            [of(3, file_name="a.jpg"), of(4, file_name="a.jpg")],
            [SEVERAL, SEVERAL],
            [],
        ),
        # No file name is that of an image: they decide nothing, and that is said
        ({1: "a.jpg"}, [of(1, file_name="x.jpg")], [0], [DOUBT]),
        # What is no name is none
        ({1: "a.jpg"}, [of(1, file_name=5), of(1, file_name=["a"])], [0, 0], []),
        ({1: "a.jpg"}, [of(1, file_name=""), of(1, file_name=None)], [0, 0], []),
    ],
)
def test_file_names(images, records, rows, codes):
    found, noted = match(records, images)

    assert found.rows.tolist() == rows
    assert list(noted) == codes


def test_notes_say_how_many_and_which():
    images = {0: "2.jpg", 1: "1.jpg", 2: "0.jpg"}
    _, noted = match([of(n, file_name=f"{n}.jpg") for n in (0, 1, 2, 0)], images)

    assert noted[NAME].records == 3
    assert "such as 0 beside '0.jpg'; the file name is used" in noted[NAME].reason


def test_a_name_of_two_images_is_said_to_name_two():
    found, _ = match([of("c")], {7: "x/c.jpg", 8: "y/c.jpg"})

    assert found.reason(0) == (
        "its `image_id` is 'c', which names 2 images of a.json, /data/x/c.jpg and "
        "/data/y/c.jpg"
    )


@pytest.mark.parametrize(
    ("ids", "hint"),
    [
        (range(20), "counted from 0"),
        (range(1, 20), "counted from 0"),
        (range(1, 21), "counted from 1"),
        ([3, 20], "counted from 1"),
        ([3, 21], ""),
        ([-1, 3], ""),
        ([], ""),
        (["a"], ""),
        (["a", 3], ""),
        ([None, 3], "counted from 0"),
    ],
)
def test_positions(ids, hint):
    assert hint in positions_hint(ids, 20)
    assert bool(positions_hint(ids, 20)) == bool(hint)


def test_ids_that_overlap_only_partly_are_said_to_do_so():
    images = {n: f"{n:02}_x.jpg" for n in range(1, 21)}
    _, noted = match([of(n) for n in range(20)], images)

    assert noted[DOUBT].severity == "warning"
    assert noted[DOUBT].reason == (
        "1 of the 20 different values of `image_id` match no image of a.json, "
        "as if the ids were positions counted from 0"
    )


def predictions(*records):
    common = {"category_id": 1, "bbox": [10, 10, 50, 40], "score": 0.5}
    return [{**common, **record} for record in records]


def read(source, to):
    log = ProblemLog("", "predictions")
    objects, names = read_matched(source, to, log)
    return objects, names, {problem.code: problem for problem in log.problems}


def test_ids_that_are_all_positions_are_refused_with_that_guess():
    images = {n: f"{n}_x.jpg" for n in range(100, 120)}
    with pytest.raises(CocoAuditError, match="positions counted from 0"):
        read(predictions(*map(of, range(20))), target(images))


def test_names_need_no_ids_of_images():
    to = target({7: "a.jpg", 8: "17.jpg"})
    without = PredictionTarget(
        to.name, [None, None], to.filepaths, to.sizes, to.categories
    )
    records = predictions(of("a"), of(3, file_name="17.jpg"))

    assert read(records, without)[0].image.tolist() == [0, 1]
    assert read(predictions(of(17)), without)[0].image.tolist() == [1]
    with pytest.raises(CocoAuditError, match="have no `coco_id`"):
        read(predictions(of(5)), without)


def test_a_shared_stem_is_set_aside_by_a_code_of_its_own():
    to = target({7: "x/c.jpg", 8: "y/c.jpg"})
    objects, _, noted = read(predictions(of("c"), of(7), of("c")), to)

    assert len(objects) == 1
    assert noted["CA119"].severity == "error"
    assert "names 2 images" in noted["CA119"].reason


def test_class_ids_that_look_like_positions_are_said_to_do_so():
    records = [{"image_id": 1, "category_id": n} for n in (0, 1)]
    _, _, noted = read(predictions(*records), target({1: "a.jpg"}))

    assert noted["CA111"].reason.endswith("as if the ids were positions counted from 0")


def test_the_name_of_a_category_is_no_id():
    """Nor is the only id beside it a position."""
    records = predictions(of(1), of(1, category_id="cat"))
    objects, _, noted = read(records, target({1: "a.jpg"}))

    assert len(objects) == 1
    assert noted["CA111"].reason == (
        "its `category_id` is 'cat', the name of the category 1 of a.json"
    )


def test_predictions_of_a_parent_are_warned_of():
    to = target({1: "a.jpg"}, parents=["cat"])
    objects, _, noted = read(predictions(of(1), of(1, category_id=2)), to)

    assert len(objects) == 2
    assert (noted["CA129"].severity, noted["CA129"].records) == ("warning", 1)
    assert "they are of cat, which groups other categories" in noted["CA129"].reason


def coco(images, annotations, categories):
    return {
        "images": [{"id": n, "file_name": name} for n, name in images.items()],
        "annotations": predictions(*annotations),
        "categories": categories,
    }


def test_a_coco_file_of_another_machine_is_matched_by_base_names():
    file = coco(
        {1: "C:\\set\\b.jpg", 2: "x/c.jpg"}, [of(1), of(2)], [{"id": 1, "name": "cat"}]
    )
    to = target({7: "a.jpg", 8: "b.jpg", 9: "y/c.jpg", 10: "z/c.jpg"})
    objects, _, noted = read(file, to)

    assert objects.image.tolist() == [1]
    assert noted["CA140"].records == 1
    assert "its image 'x/c.jpg' names 2 images of a.json" in noted["CA119"].reason


def test_a_class_that_has_predictions_gets_the_name_that_its_parent_has_too():
    categories = [
        {"id": 0, "name": "dog", "supercategory": "none"},
        {"id": 1, "name": "dog", "supercategory": "dog"},
    ]
    file = coco({1: "a.jpg"}, [of(1, category_id=1)], categories)
    objects, names, noted = read(file, target({7: "a.jpg"}))

    assert [names[c] for c in objects.category] == ["dog"]
    assert list(noted) == ["CA144"]


def test_json_is_read_alike(tmp_path):
    path = tmp_path / "p.json"
    path.write_text(json.dumps(predictions(of("a.jpg"))))

    assert len(read(path, target({7: "a.jpg"}))[0]) == 1
