"""More mistakes of loaders, each planted and named, and what may be meant so."""

from dataclasses import replace

import numpy as np
import pytest

from fiftyone_coco_audit.loading.label_encoding import diagnose_classes
from fiftyone_coco_audit.loading.loaders import run_loader
from fiftyone_coco_audit.objects import Objects
from tests.unit.loading import scenes
from tests.unit.loading.scenes import (
    CATEGORY_IDS,
    CLASSES,
    WAYS,
    Reader,
    changed,
    image_id,
    kept,
    make_set,
)


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    return make_set(tmp_path_factory.mktemp("images"))


def check(reader, loader=None, **options):
    options.setdefault("image_ids", [image_id(n) for n in range(len(reader.labels))])
    options.setdefault("category_ids", CATEGORY_IDS)
    return run_loader(reader.labels, loader or reader, **options).check


def names(found):
    return [one.name for one in found.mistakes]


def packed(make):
    """What a dataset returns, of which the image is changed."""

    def pack(scene):
        _, target = scenes.torchvision(scene)
        return make(scene.image), target

    return pack


# Offsets


@pytest.mark.parametrize(("resize", "flip"), WAYS)
@pytest.mark.parametrize("offset", [(10, 10), (-7, 3), (30, 0), (0, -4)])
def test_an_offset_is_named_with_its_pixels(labels, resize, flip, offset):
    plant = changed(boxes=lambda scene, _: scene.boxes + [*offset, *offset])
    found = check(Reader(labels, resize, flip, plant))
    assert names(found) == ["offset-boxes"]
    (one,) = found.mistakes
    assert one.share == 1 and found.num_agreeing == 0
    told = one.figures["offset_x"], one.figures["offset_y"]
    assert told == pytest.approx(offset, abs=0.6)


def test_boxes_numbered_from_one_are_off_by_a_pixel(labels):
    plant = changed(boxes=lambda scene, _: scene.boxes + 1)
    (one,) = check(Reader(labels, mistake=plant)).mistakes
    assert one.name == "offset-boxes"
    assert "off by +1.0 px in x and +1.0 px in y." in one.message


def test_an_offset_of_the_files_pixels_is_told_as_that(labels):
    def plant(scene, labels):
        height, width = scene.image.shape[:2]
        scale = np.tile([width, height] / labels.size[scene.position], 2)
        return replace(scene, boxes=scene.boxes + 20 * scale)

    (one,) = check(Reader(labels, "stretch", mistake=plant)).mistakes
    assert one.name == "offset-boxes"
    assert "+20.0 px in x and +20.0 px in y of the images before" in one.message


def test_boxes_that_are_rounded_are_no_offset(labels):
    for rounded in (np.round, np.floor, np.ceil):
        plant = changed(boxes=lambda scene, _, r=rounded: r(scene.boxes))
        assert names(check(Reader(labels, "letterbox", True, plant))) == []


def test_an_offset_of_some_samples_is_put_down_to_these(labels):
    def plant(scene, _):
        return replace(scene, boxes=scene.boxes + 12 * (scene.position < 5))

    (one,) = check(Reader(labels, mistake=plant)).mistakes
    assert (one.name, one.images.tolist()) == ("offset-boxes", [0, 1, 2, 3, 4])


# Boxes that are too many


def test_boxes_that_are_there_twice_are_named(labels):
    def plant(scene, _):
        rows = np.tile(np.arange(len(scene.boxes)), 2)
        return replace(scene, boxes=scene.boxes[rows], classes=scene.classes[rows])

    found = check(Reader(labels, "letterbox", True, plant))
    assert names(found) == ["repeated-boxes"]
    assert found.mistakes[0].figures["boxes"] == len(labels.objects)


def with_more(boxes):
    """A mistake that appends boxes of the first class."""

    def plant(scene, labels):
        more = boxes(scene, labels)
        return replace(
            scene,
            boxes=np.vstack([scene.boxes, more]),
            classes=np.r_[scene.classes, np.zeros(len(more), np.int64)],
        )

    return plant


def strangers(scene, _):
    random = np.random.default_rng(scene.position)
    corner = random.uniform(0, 60, (2, 2))
    return np.hstack([corner, corner + random.uniform(4, 9, (2, 2))])


@pytest.mark.parametrize("resize", [None, "letterbox"])
def test_extra_boxes_are_named(labels, resize):
    found = check(Reader(labels, resize, mistake=with_more(strangers)))
    assert "extra-boxes" in names(found)
    (one,) = [d for d in found.mistakes if d.name == "extra-boxes"]
    assert one.figures["boxes"] == pytest.approx(40, abs=6)


def crowds_of(labels):
    """A crowd in every fourth image."""
    image = np.arange(0, len(labels), 4)
    size = labels.size[image]
    box = np.hstack([size * 0.05, size * [0.9, 0.3]])
    zeros = np.zeros(len(image), np.int64)
    return Objects(image, zeros, box, box[:, 2:].prod(axis=1), zeros == 0)


def crowd_boxes(scene, labels):
    crowds = crowds_of(labels)
    height, width = scene.image.shape[:2]
    scale = np.tile([width, height] / labels.size[scene.position], 2)
    found = crowds.box[crowds.image == scene.position]
    return np.hstack([found[:, :2], found[:, :2] + found[:, 2:]]) * scale


@pytest.mark.parametrize("resize", [None, "stretch"])
def test_crowds_as_objects_are_named(labels, resize):
    reader = Reader(labels, resize, mistake=with_more(crowd_boxes))
    found = check(reader, crowds=crowds_of(labels))
    assert names(found) == ["crowds-as-objects"]
    assert found.mistakes[0].images.tolist() == [0, 4, 8, 12, 16]
    # A loader that leaves them out is right
    assert names(check(Reader(labels, resize), crowds=crowds_of(labels))) == []


@pytest.mark.parametrize("records", [False, True])
def test_crowds_that_the_loader_tells_apart_are_no_objects(labels, records):
    def pack(scene):
        more = (labels.objects.image == scene.position).sum()
        crowd = np.arange(len(scene.boxes)) >= more
        if records:
            image, made = scenes.coco(scene)
            for record, is_crowd in zip(made, crowd, strict=True):
                record["iscrowd"] = int(is_crowd)
            return image, made
        image, target = scenes.torchvision(scene)
        return image, {**target, "iscrowd": crowd.astype(np.int64)}

    reader = Reader(labels, mistake=with_more(crowd_boxes), pack=pack)
    assert names(check(reader, crowds=crowds_of(labels))) == []


# Boxes that torchvision stops at


def test_boxes_without_height_are_named(labels):
    def plant(scene, _):
        boxes = scene.boxes.copy()
        boxes[0, 3] = boxes[0, 1]
        return replace(scene, boxes=boxes)

    found = check(Reader(labels, mistake=plant))
    assert "boxes-without-size" in names(found)
    (one,) = [d for d in found.mistakes if d.name == "boxes-without-size"]
    assert one.figures["boxes"] == len(labels)


@pytest.mark.parametrize("shape", [(0,), (0, 4)])
def test_boxes_of_shape_zero_are_named(labels, shape):
    def pack(scene):
        image, target = scenes.torchvision(scene)
        if scene.position % 5 == 0:
            target["boxes"] = np.zeros(shape, np.float32)
            target["labels"] = np.zeros(0, np.int64)
        return image, target

    empty = labels.objects.image % 5 == 0
    objects = labels.objects.rows(np.flatnonzero(~empty))
    reader = Reader(replace(labels, objects=objects), pack=pack)
    found = check(reader)
    assert names(found) == (["flat-boxes"] if shape == (0,) else [])
    if shape == (0,):
        assert found.mistakes[0].images.tolist() == [0, 5, 10, 15]


# Values of pixels


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda image: image / 255 / 255, "pixels-divided-twice"),
        (lambda i: scenes.normalized(i / 255), "pixels-divided-twice"),
        (lambda image: image.astype(np.float32), "pixels-up-to-255"),
        (lambda image: (image / 255).astype(np.uint8), "pixels-cut-to-0-and-1"),
        (lambda image: image, None),
        (lambda image: image / 255, None),
        (lambda image: image / 127.5 - 1, None),
        (scenes.normalized, None),
        # As Caffe and detectron2 have it
        (lambda i: i.astype(np.float32) - [123.7, 116.3, 103.5], None),
    ],
)
@pytest.mark.parametrize("resize", [None, "letterbox"])
def test_values_of_pixels_are_named(labels, make, name, resize):
    found = check(Reader(labels, resize, pack=packed(make)))
    told = [one for one in names(found) if one.startswith("pixels")]
    assert told == ([] if name is None else [name])
    # Cut images without any white are blank
    assert set(names(found)) <= {*told, "blank-images"}
    assert "blank-images" not in names(found) or name == "pixels-cut-to-0-and-1"


# Samples


@pytest.mark.parametrize("pack", [scenes.torchvision, scenes.yolo])
def test_samples_that_come_twice_are_named(labels, pack):
    reader = Reader(labels, "letterbox", pack=pack)
    twice = [[reader[n % 20]] for n in range(40)]
    found = check(reader, twice)
    assert names(found) == ["repeated-samples"]
    assert found.mistakes[0].figures == {"images": 20, "samples": 20}


@pytest.mark.parametrize("pack", [scenes.torchvision, scenes.yolo])
def test_samples_that_never_come_are_named(labels, pack):
    reader = Reader(labels, "letterbox", pack=pack)
    found = check(reader, [[reader[n]] for n in range(14)])
    assert names(found) == ["missing-samples"]
    (one,) = found.mistakes
    assert one.images.tolist() == list(range(14, 20))
    assert one.figures["labels"] == (labels.objects.image >= 14).sum()


class Batches:
    """A loader that may drop its last batch."""

    def __init__(self, samples, drop_last):
        self.samples, self.drop_last, self.batch_size = samples, drop_last, 6

    def __iter__(self):
        last = len(self.samples) - 6 * self.drop_last
        return (self.samples[n : n + 6] for n in range(0, last, 6))


def test_a_last_batch_may_be_dropped(labels):
    reader = Reader(labels)
    samples = [reader[n] for n in range(20)]
    assert names(check(reader, Batches(samples, True))) == []
    assert names(check(reader, Batches(samples, False))) == []
    found = check(reader, Batches(samples[:10], True))
    assert names(found) == ["missing-samples"]


def test_images_without_labels_may_be_left_out(labels):
    some = labels.objects.rows(np.flatnonzero(labels.objects.image < 15))
    reader = Reader(replace(labels, objects=some))
    found = check(reader, [[reader[n]] for n in range(15)])
    assert names(found) == []
    assert found.notes == ("Never loaded: 5 images without labels.",)


def test_samples_that_fail_are_not_missing(labels):
    class Broken(Reader):
        def __getitem__(self, position):
            if position in (3, 7):
                raise OSError("no such file")
            return super().__getitem__(position)

    assert names(check(Broken(labels))) == []


# Classes

UNSORTED_IDS = (13, 2, 11, 5, 7)
RANKS = np.argsort(np.argsort(UNSORTED_IDS))


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("stated", [False, True])
def test_positions_in_the_sorted_ids_are_right(labels, first, stated):
    """As detectron2 numbers classes, and many users of torchvision."""

    def pack(scene):
        return {**scenes.dictionary(scene), "labels": RANKS[scene.classes] + first}

    options = {"first_label": first} if stated else {}
    found = check(Reader(labels, pack=pack), category_ids=UNSORTED_IDS, **options)
    assert names(found) == []
    assert found.label_encoding == f"positions from {first} in the order of the ids"


@pytest.mark.parametrize("ids", [CATEGORY_IDS, UNSORTED_IDS])
def test_torchvisions_background_is_noted(labels, ids):
    order = np.argsort(np.argsort(ids))

    def pack(scene):
        image, target = scenes.torchvision(scene)
        return image, {**target, "labels": order[target["labels"] - 1]}

    found = check(Reader(labels, pack=pack), category_ids=ids)
    assert names(found) == []
    (note,) = found.notes
    assert "background" in note and "number them from 1" in note
    # Other targets may count from 0
    assert check(Reader(labels, pack=scenes.dictionary)).notes == ()


@pytest.mark.parametrize("ids", [CATEGORY_IDS, UNSORTED_IDS, (1, 2, 3, 5, 4)])
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("shift", [0, -1])
def test_category_ids_for_positions_are_called_that(labels, ids, first, shift):
    def pack(scene):
        labels = np.array(ids)[scene.classes] + shift
        return {**scenes.dictionary(scene), "labels": labels}

    found = check(Reader(labels, pack=pack), category_ids=ids, first_label=first)
    if ids == (1, 2, 3, 5, 4) and first == 1 + shift:
        # They are the positions in the sorted ids
        assert names(found) == []
        return
    assert names(found) == ["category-ids"]
    assert f"but positions from {first} are expected" in found.mistakes[0].message


def test_category_ids_of_yolo_are_called_that(labels):
    def pack(scene):
        image, rows = scenes.yolo(scene)
        rows[:, 0] = np.array(CATEGORY_IDS)[scene.classes]
        return image, rows

    def batch(number):
        image, rows = Reader(labels, pack=pack)[number]
        return image[None], np.hstack([np.zeros((len(rows), 1)), rows])

    found = check(Reader(labels), [batch(n) for n in range(20)])
    assert names(found) == ["category-ids"]


def test_ids_that_are_positions_too_are_right():
    truth = np.arange(5).repeat(4)
    found, how = diagnose_classes(
        truth.tolist(), truth, truth, CLASSES, [0, 1, 2, 3, 4], 0
    )
    assert (found, how) == ([], "positions from 0")


def test_some_lost_and_some_extra_boxes_are_both_named(labels):
    lose = kept(lambda scene: np.arange(len(scene.boxes)) != 1)
    add = with_more(strangers)
    plant = lambda scene, labels: add(lose(scene, labels), labels)  # noqa: E731
    found = set(names(check(Reader(labels, mistake=plant))))
    assert found & {"lost-labels", "extra-boxes"}
