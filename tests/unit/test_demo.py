"""The demo dataset: every planted fault is there, and nothing else is wrong.

The files are examined from scratch with pycocotools, Pillow and OpenCV; the
generator's own code is called only to write them.
"""

import hashlib
import json
import shutil
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

import coco_audit_demo as demo
from fiftyone_coco_audit.errors import CocoAuditError

pytestmark = pytest.mark.slow


@dataclass
class Demo:
    paths: demo.DemoPaths
    coco: dict
    predictions: list
    manifest: dict

    def __post_init__(self):
        self.plants = {plant["key"]: plant for plant in self.manifest["plants"]}
        self.names = {c["id"]: c["name"] for c in self.coco["categories"]}
        self.images = {image["id"]: image for image in self.coco["images"]}
        self.by_image = defaultdict(list)
        for record in self.coco["annotations"]:
            self.by_image[record["image_id"]].append(record)
        self.rles = {
            record["id"]: self.rle(record) for record in self.coco["annotations"]
        }

    def rle(self, record):
        image, shape = self.images[record["image_id"]], record["segmentation"]
        height, width = image["height"], image["width"]
        if isinstance(shape, list):
            return mask_utils.merge(mask_utils.frPyObjects(shape, height, width))
        assert shape["size"] == [height, width]
        if isinstance(shape["counts"], list):
            return mask_utils.frPyObjects(shape, height, width)
        return shape

    def file(self, image):
        return self.paths.images / image["file_name"]

    def images_of(self, name):
        return {
            record["image_id"]
            for record in self.coco["annotations"]
            if self.names[record["category_id"]] == name
        }


def load(paths):
    files = (paths.annotations, paths.predictions, paths.manifest)
    return Demo(paths, *(json.loads(file.read_text()) for file in files))


@pytest.fixture(scope="module")
def made(demo_files):
    return load(demo_files)


@pytest.fixture(scope="module")
def pictures(made):
    """Small gray pictures and figures of every image that can be decoded."""
    figures = {}
    for image in made.coco["images"]:
        try:
            with Image.open(made.file(image)) as file:
                gray = np.asarray(file.convert("L"))
        except OSError:
            continue
        small = cv2.resize(gray, (17, 16), interpolation=cv2.INTER_AREA)
        figures[image["id"]] = {
            "mean": gray.mean() / 255,
            "sharpness": cv2.Laplacian(gray, cv2.CV_64F).var(),
            "hash": (small[:, 1:] > small[:, :-1]).ravel(),
        }
    return figures


def digests(root: Path):
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def box_ious(boxes, others):
    return mask_utils.iou(
        np.asarray(boxes, float).reshape(-1, 4),
        np.asarray(others, float).reshape(-1, 4),
        [0] * len(others),
    )


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("small") / "set"
    return load(demo.generate(path, num_images=60, seed=3))


def test_small_set_has_every_plant(made, small):
    assert small.plants.keys() == made.plants.keys()
    for plant in small.manifest["plants"]:
        assert plant["image_ids"] or plant["categories"], plant["key"]


def test_same_seed_same_bytes(small, tmp_path):
    again = demo.generate(tmp_path / "again", num_images=60, seed=3)
    assert digests(again.root) == digests(small.paths.root)


def test_another_seed_replaces_it_all(small, tmp_path):
    root = tmp_path / "set"
    shutil.copytree(small.paths.root, root)
    demo.generate(root, num_images=60, seed=4)
    other, first = digests(root), digests(small.paths.root)
    assert len(other) == len(first) == 63
    # Black is black
    (black,) = small.plants["black_image"]["file_names"]
    assert set(other.values()) & set(first.values()) == {first[f"images/{black}"]}


def test_refuses_a_folder_that_is_not_its_own(tmp_path):
    (tmp_path / "thesis.txt").write_text("ten years of work")
    with pytest.raises(CocoAuditError, match="not a demo dataset"):
        demo.generate(tmp_path)
    with pytest.raises(CocoAuditError, match="not a demo dataset"):
        demo.generate(tmp_path / "thesis.txt")
    assert (tmp_path / "thesis.txt").exists()


def test_refuses_too_few_images(tmp_path):
    with pytest.raises(CocoAuditError, match="num_images=5"):
        demo.generate(tmp_path / "set", num_images=5)


def test_manifest_names_only_what_exists(made):
    annotation_ids = {record["id"] for record in made.coco["annotations"]}
    for plant in made.manifest["plants"]:
        assert plant["severity"] in {"error", "warning", "note"}
        assert plant["sentence"].endswith(".")
        assert set(plant["image_ids"]) <= set(made.images)
        assert set(plant["annotation_ids"]) <= annotation_ids
        assert set(plant["categories"]) <= set(made.names.values())
        assert all(
            0 <= index < len(made.predictions) for index in plant["prediction_indices"]
        )
        if plant["image_ids"]:
            files = [made.images[index]["file_name"] for index in plant["image_ids"]]
            assert plant["file_names"] == files
    assert made.manifest["counts"] == {
        "images": 200,
        "annotations": len(made.coco["annotations"]),
        "predictions": len(made.predictions),
    }


def test_records_are_sound(made):
    ids = [record["id"] for record in made.coco["annotations"]]
    assert len(set(ids)) == len(ids)
    assert len({image["file_name"] for image in made.coco["images"]}) == 200
    on_disk = {path for path in made.paths.images.rglob("*") if path.is_file()}
    assert on_disk == {made.file(image) for image in made.coco["images"]}
    for record in made.coco["annotations"]:
        assert record["image_id"] in made.images
        assert record["category_id"] in made.names
        assert record["area"] == mask_utils.area(made.rles[record["id"]])


def test_segmentations_are_of_all_kinds(made):
    kinds = Counter(
        type(shape["counts"]).__name__ if isinstance(shape, dict) else "polygon"
        for shape in (record["segmentation"] for record in made.coco["annotations"])
    )
    assert kinds["polygon"] > 300
    assert kinds["str"] > 300
    crowds = [record["id"] for record in made.coco["annotations"] if record["iscrowd"]]
    assert kinds["list"] == len(crowds) == 4
    assert made.manifest["crowd_annotation_ids"] == crowds


def test_masks_have_no_specks(made):
    tiny = set(made.plants["tiny_object"]["annotation_ids"])
    for record in made.coco["annotations"]:
        if record["iscrowd"] or record["id"] in tiny:
            continue
        mask = mask_utils.decode(made.rles[record["id"]])
        _, _, stats, _ = cv2.connectedComponentsWithStats(mask)
        assert stats[1:, cv2.CC_STAT_AREA].min() >= 25, record["id"]


def test_polygons_do_not_cross_themselves(made):
    def turn(a, b, c):
        (ax, ay), (bx, by), (cx, cy) = a.T, b.T, c.T
        return np.sign((bx - ax) * (cy - ay) - (by - ay) * (cx - ax))

    for record in made.coco["annotations"]:
        if isinstance(record["segmentation"], dict):
            continue
        for polygon in record["segmentation"]:
            start = np.reshape(polygon, (-1, 2))
            end = np.roll(start, -1, axis=0)
            first, second = np.triu_indices(len(start), 2)
            a, b, c, d = start[first], end[first], start[second], end[second]
            crossing = (turn(a, b, c) * turn(a, b, d) < 0) & (
                turn(c, d, a) * turn(c, d, b) < 0
            )
            assert not crossing.any(), record["id"]


def test_masks_of_an_image_do_not_overlap(made):
    copies = set(made.plants["duplicate_annotation"]["annotation_ids"][1::2])
    for records in made.by_image.values():
        rles = [made.rles[r["id"]] for r in records if r["id"] not in copies]
        together = int(mask_utils.area(mask_utils.merge(rles)))
        apart = sum(int(mask_utils.area(rle)) for rle in rles)
        # Polygons are allowed half a pixel
        assert apart <= 1.02 * together


def test_extreme_aspect_ratios(made):
    found = [
        image["id"]
        for image in made.coco["images"]
        if not 0.5 <= image["width"] / image["height"] <= 2
    ]
    assert found == made.plants["extreme_aspect_ratio"]["image_ids"]
    shapes = {(made.images[i]["width"], made.images[i]["height"]) for i in found}
    assert shapes == {(1600, 320), (300, 1200)}


def test_image_sizes(made):
    pixels = {i: image["width"] * image["height"] for i, image in made.images.items()}
    usual = np.median(list(pixels.values()))
    huge = [index for index, count in pixels.items() if count > 3 * usual]
    assert huge == made.plants["huge_image"]["image_ids"]
    assert usual == 640 * 480
    sizes = Counter((i["width"], i["height"]) for i in made.coco["images"])
    assert sizes[640, 480] > 140


def test_object_sizes(made):
    tiny = made.plants["tiny_object"]["annotation_ids"]
    small = [
        record["id"]
        for record in made.coco["annotations"]
        if max(record["bbox"][2:]) < 8
    ]
    assert small == tiny
    assert len(tiny) >= 6
    for record in made.coco["annotations"]:
        image = made.images[record["image_id"]]
        width, height = record["bbox"][2:]
        assert min(width, height) >= 3
        assert 1 / 12 < width / height < 12
        if record["id"] not in tiny:
            scale = 640 / max(image["width"], image["height"], 640)
            assert min(width, height) * scale >= 12, record


def test_boxes(made):
    """Boxes are tight and inside, but for those planted."""
    outside, untight = [], []
    for record in made.coco["annotations"]:
        image = made.images[record["image_id"]]
        x, y, width, height = record["bbox"]
        if x < 0 or y < 0 or x + width > image["width"] or y + height > image["height"]:
            outside.append(record["id"])
        if mask_utils.toBbox(made.rles[record["id"]]).tolist() != record["bbox"]:
            untight.append(record["id"])
    loose = made.plants["loose_boxes"]["annotation_ids"]
    assert sorted(outside) == sorted(made.plants["box_outside_image"]["annotation_ids"])
    assert sorted(untight) == sorted(outside + loose)
    assert len(outside) >= 6


def test_loose_boxes(made):
    (name,) = made.plants["loose_boxes"]["categories"]
    of_class = [
        record
        for record in made.coco["annotations"]
        if made.names[record["category_id"]] == name
    ]
    assert [r["id"] for r in of_class] == made.plants["loose_boxes"]["annotation_ids"]
    tight = np.array([mask_utils.toBbox(made.rles[r["id"]])[2:] for r in of_class])
    stretch = np.array([record["bbox"][2:] for record in of_class]) / tight
    assert np.median(stretch) == pytest.approx(1.25, abs=0.03)
    assert 1 <= stretch.min() and stretch.max() < 1.32


def test_duplicates(made):
    found = set()
    for records in made.by_image.values():
        boxes = [record["bbox"] for record in records]
        same = np.triu(box_ious(boxes, boxes) > 0.9, 1)
        found |= {
            (records[i]["id"], records[j]["id"])
            for i, j in np.argwhere(same)
            if records[i]["category_id"] == records[j]["category_id"]
        }
    listed = made.plants["duplicate_annotation"]["annotation_ids"]
    assert found == set(zip(listed[::2], listed[1::2], strict=True))
    assert len(found) == 3


def test_rare_class_appears_only_with_the_commonest(made):
    counts = Counter(made.names[r["category_id"]] for r in made.coco["annotations"])
    rare, commonest = made.plants["rare_class_with_commonest"]["categories"]
    assert counts.most_common()[0][0] == commonest
    assert counts.most_common()[-1][0] == rare
    inside = [
        (one, other)
        for one in counts
        for other in counts
        if one != other and made.images_of(one) <= made.images_of(other)
    ]
    assert inside == [(rare, commonest)]
    assert set(made.plants["rare_class_with_commonest"]["image_ids"]) == made.images_of(
        rare
    )
    assert counts[commonest] / counts[rare] > 20


def test_long_tail(made):
    counts = Counter(made.names[r["category_id"]] for r in made.coco["annotations"])
    tail = {name for name, count in counts.items() if count < 0.05 * counts.total()}
    assert tail == set(made.plants["long_tail"]["categories"])
    assert len(counts) == 10


def test_class_unlabeled_at_one_site(made):
    plant = made.plants["unlabeled_class"]
    (name,) = plant["categories"]
    site_b = {
        index
        for index, image in made.images.items()
        if image["file_name"].startswith("site_b/")
    }
    labeled_at_b = {
        made.names[record["category_id"]]
        for record in made.coco["annotations"]
        if record["image_id"] in site_b
    }
    rare = made.plants["rare_class_with_commonest"]["categories"][0]
    assert set(made.names.values()) - labeled_at_b == {name, rare}
    assert set(plant["image_ids"]) <= site_b
    assert set(plant["image_ids"]) == {box["image_id"] for box in plant["boxes"]}
    share = len(plant["image_ids"]) / (
        len(plant["image_ids"]) + len(made.images_of(name))
    )
    assert 0.25 < share < 0.42
    # The detector sees what the annotators left out
    missing = defaultdict(list)
    for box in plant["boxes"]:
        assert box["category"] == name
        missing[box["image_id"]].append(box["bbox"])
    overlooked = [
        index
        for index, prediction in enumerate(made.predictions)
        if made.names[prediction["category_id"]] == name
        and prediction["image_id"] in missing
        and box_ious([prediction["bbox"]], missing[prediction["image_id"]]).max() > 0.5
    ]
    assert set(overlooked) <= set(plant["prediction_indices"])
    assert len(overlooked) > 0.6 * len(plant["boxes"])


def test_unreadable_file(made, pictures):
    unreadable = set(made.images) - set(pictures)
    assert unreadable == set(made.plants["unreadable_image"]["image_ids"])
    (image_id,) = unreadable
    with Image.open(made.file(made.images[image_id])) as file:
        assert file.size == (640, 480)
    assert made.by_image[image_id]


def test_image_quality(made, pictures):
    (black,) = made.plants["black_image"]["image_ids"]
    assert pictures[black]["mean"] == 0
    assert not made.by_image[black]
    for index, figures in pictures.items():
        if index != black:
            assert 0.15 < figures["mean"] < 0.85
            assert figures["sharpness"] > 150


def test_no_image_resembles_another(pictures):
    hashes = np.array([figures["hash"] for figures in pictures.values()])
    distances = (hashes[:, None] != hashes[None]).sum(axis=2)
    assert distances[np.triu_indices(len(hashes), 1)].min() > 40


def test_exif_rotation(made):
    rotated, mismatched = [], []
    for image in made.coco["images"]:
        with Image.open(made.file(image)) as file:
            if file.getexif().get(0x0112, 1) != 1:
                rotated.append(image["id"])
            if file.size != (image["width"], image["height"]):
                mismatched.append(image["id"])
    assert rotated == mismatched == made.plants["exif_rotated"]["image_ids"]
    (index,) = rotated
    shown = cv2.imread(str(made.file(made.images[index])))
    assert shown.shape == (640, 480, 3)


def test_images_without_objects_or_predictions(made):
    empty = [index for index in made.images if not made.by_image[index]]
    assert empty == made.plants["background_image"]["image_ids"]
    predicted = {prediction["image_id"] for prediction in made.predictions}
    silent = [index for index in made.images if index not in predicted]
    planted = made.plants["no_predictions"]["image_ids"]
    assert set(planted) <= set(silent)
    assert set(silent) - set(planted) <= set(empty)


def test_confused_pair(made):
    seen, mistakes = Counter(), Counter()
    explained = set()
    for index, prediction in enumerate(made.predictions):
        records = made.by_image[prediction["image_id"]]
        if not records:
            continue
        ious = box_ious([prediction["bbox"]], [r["bbox"] for r in records])[0]
        if ious.max() < 0.5:
            continue
        true = made.names[records[ious.argmax()]["category_id"]]
        said = made.names[prediction["category_id"]]
        seen[true] += 1
        mistakes[true, said] += true != said
        if (true, said) == tuple(made.plants["confused_pair"]["categories"]):
            explained.add(index)
    rates = {pair: count / seen[pair[0]] for pair, count in mistakes.items()}
    pair = tuple(made.plants["confused_pair"]["categories"])
    assert rates.pop(pair) > 0.3
    assert max(rates.values()) < 0.12
    listed = set(made.plants["confused_pair"]["prediction_indices"])
    assert len(listed & explained) > 0.85 * len(listed)
    assert all(
        made.names[made.predictions[index]["category_id"]] == pair[1]
        for index in listed
    )


def test_predictions_are_sound(made):
    for prediction in made.predictions:
        image = made.images[prediction["image_id"]]
        x, y, width, height = prediction["bbox"]
        assert x >= 0 and y >= 0 and width > 0 and height > 0
        assert x + width <= image["width"] + 0.02
        assert y + height <= image["height"] + 0.02
        assert 0 < prediction["score"] < 1
        size = prediction["segmentation"]["size"]
        assert size == [image["height"], image["width"]]
        assert mask_utils.area(prediction["segmentation"]) > 0


def test_detector_is_neither_perfect_nor_useless(made):
    truth = COCO(str(made.paths.annotations))
    results = truth.loadRes(str(made.paths.predictions))
    for iou_type in ("bbox", "segm"):
        evaluation = COCOeval(truth, results, iou_type)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        ap, _, _, ap_small, _, ap_large, *_ = evaluation.stats
        assert 0.45 < ap < 0.65
        assert ap_small < ap_large


def test_scores_say_how_good_a_box_is(made):
    scores, ious = [], []
    for prediction in made.predictions:
        boxes = [r["bbox"] for r in made.by_image[prediction["image_id"]]]
        if boxes:
            scores.append(prediction["score"])
            ious.append(box_ious([prediction["bbox"]], boxes).max())
    assert np.corrcoef(scores, ious)[0, 1] > 0.5
