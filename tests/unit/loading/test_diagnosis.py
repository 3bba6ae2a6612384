"""Mistakes that are planted into a loader, each named; none where there is none."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.loading.diagnosis import TargetChecker
from fiftyone_coco_audit.loading.loaders import run_loader
from fiftyone_coco_audit.loading.targets import unpack_sample
from tests.labeled import read_labeled
from tests.unit.loading import scenes
from tests.unit.loading.scenes import (
    CATEGORY_IDS,
    MISTAKES,
    RESIZING_MISTAKES,
    WAYS,
    Reader,
    changed,
    image_id,
    kept,
    make_set,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    return make_set(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def turned_labels(tmp_path_factory):
    return make_set(tmp_path_factory.mktemp("turned"), turned=5)


def check(reader, **options):
    options.setdefault("image_ids", [image_id(n) for n in range(len(reader))])
    options.setdefault("category_ids", CATEGORY_IDS)
    run = run_loader(reader.labels, reader, **options)
    assert not run.failures
    return run.check


def names(found):
    return [one.name for one in found.mistakes]


@pytest.mark.parametrize(("resize", "flip"), WAYS)
@pytest.mark.parametrize(
    ("pack", "box_format", "encoding"),
    [
        (scenes.torchvision, "xyxy pixels", "positions from 1"),
        (scenes.detr, "cxcywh normalized", "positions from 0"),
        (scenes.coco, "xywh pixels", "category ids"),
        (scenes.yolo, "cxcywh normalized", "positions from 0"),
        (scenes.pair, "xywh pixels", "names"),
        (scenes.dictionary, "xyxy pixels", "positions from 0"),
    ],
)
def test_a_sound_loader_is_sound(labels, pack, box_format, encoding, resize, flip):
    found = check(Reader(labels, resize, flip, pack=pack))
    assert names(found) == []
    assert found.notes == ()
    assert (found.box_format, found.label_encoding) == (box_format, encoding)
    assert found.num_samples == found.num_compared == found.num_agreeing == len(labels)


@pytest.mark.parametrize(("resize", "flip"), WAYS)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named(labels, mistake, resize, flip):
    plant, name = MISTAKES[mistake]
    found = check(Reader(labels, resize, flip, plant))
    if name == "image-turned-alone" and flip:
        # Those that were flipped before are upright again, but their boxes are not
        assert names(found) == [name, "boxes-turned-alone"]
    else:
        assert names(found) == ([] if name is None else [name])
    assert found.notes == ()


@pytest.mark.parametrize("case", RESIZING_MISTAKES, ids=" ".join)
def test_a_mistake_of_resizing_is_named(labels, case):
    plant, name = RESIZING_MISTAKES[case]
    assert names(check(Reader(labels, case[0], False, plant))) == [name]


def read_as_stored(path):
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    return cv2.cvtColor(cv2.imread(path, flags), cv2.COLOR_BGR2RGB)


@pytest.mark.parametrize("resize", [None, "stretch", "letterbox"])
def test_ignored_exif_data_are_named(turned_labels, resize):
    assert names(check(Reader(turned_labels, resize))) == []
    found = check(Reader(turned_labels, resize, read=read_as_stored))
    assert names(found) == ["exif-ignored"]
    assert found.mistakes[0].images.tolist() == [15, 16, 17, 18, 19]
    assert found.mistakes[0].share == 0.25


def test_several_mistakes_are_all_named(labels):
    def plant(scene, _):
        boxes = scenes.xywh(scene.boxes)[:, [1, 0, 3, 2]]
        return replace(
            scene,
            image=np.ascontiguousarray(scene.image[..., ::-1]),
            boxes=boxes[1:],
            classes=scenes.PERMUTATION[scene.classes][1:],
        )

    found = check(Reader(labels, "letterbox", True, plant))
    assert sorted(names(found)) == [
        "box-format-mismatch",
        "lost-labels",
        "permuted-classes",
        "swapped-channels",
        "swapped-x-y",
    ]


def test_a_mistake_of_some_samples_is_put_down_to_these(labels):
    def plant(scene, _):
        if scene.position not in (3, 9, 14):
            return scene
        return replace(scene, boxes=scene.boxes[:, [1, 0, 3, 2]])

    (found,) = check(Reader(labels, "stretch", True, plant)).mistakes
    assert found.name == "swapped-x-y"
    assert found.images.tolist() == [3, 9, 14]
    assert found.share == pytest.approx(3 / 20)


def test_lost_labels_are_exactly_those_that_were_lost(labels):
    plant = kept(lambda scene: scene.classes != 2)
    (found,) = check(Reader(labels, "letterbox", True, plant)).mistakes
    lost = np.flatnonzero(labels.objects.category == 2)
    assert found.objects.tolist() == lost.tolist()
    assert found.share == len(lost) / len(labels.objects)
    assert "all of `mole`" in found.message


def test_small_labels_that_are_lost_are_told_by_their_size(labels):
    side = np.sqrt(labels.objects.box[:, 2:].prod(axis=1))
    limit = np.quantile(side, 0.3)

    def large(scene):
        return side[labels.objects.image == scene.position] > limit

    (found,) = check(Reader(labels, mistake=kept(large))).mistakes
    assert found.name == "lost-labels"
    assert f"smaller than about {side[side <= limit].max():.0f} px" in found.message


@pytest.mark.parametrize("factor", [0.5, 3])
def test_the_factor_is_measured(labels, factor):
    plant = changed(boxes=lambda scene, _: factor * scene.boxes)
    (found,) = check(Reader(labels, "letterbox", False, plant)).mistakes
    assert found.figures["factor_x"] == pytest.approx(factor, rel=1e-3)
    assert found.figures["factor_y"] == pytest.approx(factor, rel=1e-3)


def test_the_permutation_is_told(labels):
    plant = changed(classes=lambda scene, _: scenes.PERMUTATION[scene.classes])
    (found,) = check(Reader(labels, mistake=plant)).mistakes
    assert dict(found.figures) == {"ant": "cat", "cat": "ant"}
    wrong = np.isin(labels.objects.category, [1, 3]).mean()
    assert found.share == pytest.approx(wrong, abs=0.1)
    plant = changed(classes=lambda scene, _: scenes.ALPHABETICAL[scene.classes])
    (found,) = check(Reader(labels, mistake=plant)).mistakes
    assert "as if the classes were sorted by name" in found.message


@pytest.mark.parametrize(
    ("pack", "plant", "options"),
    [
        # -1 for the first class is right in no way
        (scenes.dictionary, -1, {}),
        # Ultralytics counts from 0
        (scenes.detr, 1, {"first_label": 0}),
        (scenes.torchvision, -1, {"first_label": 1}),
        (scenes.dictionary, 2, {"first_label": 1}),
    ],
)
def test_shifted_classes_are_named(labels, pack, plant, options):
    mistake = changed(classes=lambda scene, _: scene.classes + plant)
    found = check(Reader(labels, mistake=mistake, pack=pack), **options)
    assert names(found) == ["shifted-classes"]


def test_ids_of_classes_less_one_are_named(labels):
    def pack(scene):
        ids = np.array(CATEGORY_IDS)[scene.classes] - 1
        return {**scenes.dictionary(scene), "labels": ids}

    (found,) = check(Reader(labels, pack=pack)).mistakes
    assert found.name == "shifted-classes"
    assert found.message.startswith("All labels are one lower than expected")


def test_without_ids_images_are_recognized_in_any_order(labels):
    order = np.random.default_rng(0).permutation(len(labels))
    reader = Reader(labels, "letterbox", True, pack=scenes.yolo)
    run = run_loader(labels, [[reader[int(n)]] for n in order])
    assert names(run.check) == []
    assert run.check.num_agreeing == len(labels)
    plant, name = MISTAKES["x and y are swapped"]
    reader = replace(reader, mistake=plant)
    run = run_loader(labels, [[reader[int(n)]] for n in order])
    assert names(run.check) == [name]


def test_random_crops_cannot_be_held_and_this_is_said(labels):
    random = np.random.default_rng(1)

    def crop(scene, _):
        height, width = scene.image.shape[:2]
        x, y = random.integers(width // 4, width // 2), random.integers(height // 2)
        image = scene.image[y : y + height // 2, x : x + width // 2]
        return replace(scene, image=image, boxes=scene.boxes - [x, y, x, y])

    found = check(Reader(labels, mistake=crop))
    assert names(found) == []
    assert len(found.notes) == 1
    assert "switch off such augmentation" in found.notes[0]


def test_targets_without_images_are_held_too(labels):
    def pack(scene):
        _, target = scenes.torchvision(scene)
        return None, target

    assert names(check(Reader(labels, pack=pack))) == []
    plant, name = MISTAKES["x and y are swapped"]
    assert names(check(Reader(labels, mistake=plant, pack=pack))) == [name]


def test_a_loader_may_be_meant_to_give_bgr(labels):
    assert names(check(Reader(labels), channels="bgr")) == ["swapped-channels"]
    plant, _ = MISTAKES["BGR for RGB"]
    assert names(check(Reader(labels, mistake=plant), channels="bgr")) == []


def test_the_format_that_is_meant_may_be_said(labels):
    reader = Reader(labels, pack=scenes.pair)
    assert names(check(reader, box_format="xywh")) == []
    assert names(check(reader, box_format="xyxy")) == ["box-format-mismatch"]
    both = ["box-format-mismatch", "wrong-box-unit"]
    assert names(check(reader, box_format="cxcywh normalized")) == both


def test_unknown_ids_are_counted_and_images_recognized_all_the_same(labels):
    found = check(Reader(labels), image_ids=range(len(labels)))
    assert names(found) == []
    assert found.num_agreeing == len(labels)
    assert found.notes == ("Not in the dataset: the image ids of 20 samples.",)


def test_no_samples_no_labels_no_boxes(labels, tmp_path):
    assert TargetChecker(labels).result().mistakes == ()
    empty = replace(
        labels, objects=labels.objects.rows(np.zeros(0, np.int64)), tight_box=None
    )
    found = check(Reader(empty))
    assert (names(found), found.notes, found.num_compared) == ([], (), 0)
    found = check(Reader(labels, mistake=kept(lambda s: np.zeros(len(s.boxes), bool))))
    assert names(found) == ["lost-labels"]
    assert found.mistakes[0].share == 1


@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize("step", [1, 2])
def test_boxes_of_no_known_kind_are_named(labels, broken, step):
    rng = np.random.default_rng(3)

    def plant(scene, _):
        if scene.position % step:
            return scene
        corner = rng.random((len(scene.boxes), 2)) * 20
        boxes = np.hstack([corner, corner + 3 + rng.random(corner.shape) * 20])
        return replace(scene, boxes=boxes * np.nan if broken else boxes)

    found = check(Reader(labels, mistake=plant))
    assert names(found)[0] == "unknown-boxes"
    (first, *_) = found.mistakes
    assert first.share == 1 / step
    assert first.figures["not_finite"] == (len(labels) / step if broken else 0)
    assert "agree with them" not in " ".join(found.sentences())
    assert found.num_agreeing == len(labels) - len(labels) / step


def test_one_sample_of_one_box_is_not_enough_for_a_diagnosis(labels):
    checker = TargetChecker(labels, image_ids=[image_id(n) for n in range(20)])
    image, target = Reader(labels)[0]
    target = {
        **target,
        "boxes": target["boxes"][:1] * 2,
        "labels": target["labels"][:1],
    }
    checker.add(unpack_sample((image, target)))
    assert names(checker.result()) == []


@pytest.mark.parametrize(
    "options",
    [
        {"box_format": "xxyy"},
        {"box_format": "xyxy feet"},
        {"box_format": 3},
        {"box_format": ""},
        {"first_label": "a"},
        {"first_label": 0.5},
        {"first_label": True},
        {"channels": "rbg"},
        {"channels": 3},
    ],
)
def test_impossible_options_are_refused(labels, options):
    (name,) = options
    with pytest.raises(CocoAuditError, match=f"^{name} is .* must be"):
        TargetChecker(labels, **options)


@pytest.mark.real_data
@pytest.mark.parametrize("resize", [None, "letterbox"])
def test_real_images_and_small_objects(shared_data, resize):
    folder = shared_data / "coco_mini"
    labels, _, _ = read_labeled(folder / "annotations.json")
    paths = [str(folder / "images" / name) for name in labels.filepaths]
    labels = replace(labels, filepaths=paths)
    sound = Reader(labels, resize, True)
    found = check(sound, category_ids=None)
    assert (names(found), found.notes) == ([], ())
    assert found.num_agreeing == len(labels)
    for mistake in ("x and y are swapped", "BGR for RGB", "a class is lost"):
        plant, name = MISTAKES[mistake]
        assert names(check(sound.with_mistake(plant), category_ids=None)) == [name]


def padded(image, boxes, size):
    """Padded at the right and the bottom to a multiple of 32."""
    height, width = (-(-side // 32) * 32 for side in image.shape[:2])
    canvas = np.zeros((height, width, 3), np.uint8)
    canvas[: image.shape[0], : image.shape[1]] = image
    return canvas, boxes


@pytest.mark.parametrize("axis", [0, 1])
def test_padding_and_then_a_flip_are_sound(labels, axis):
    def pad_and_flip(scene, labels):
        image, boxes = padded(scene.image, scene.boxes.copy(), None)
        if scene.position % 2:
            image = np.flip(image, axis)
            places = [1, 3] if axis == 0 else [0, 2]
            boxes[:, places] = image.shape[axis] - boxes[:, places[::-1]]
        return replace(scene, image=image, boxes=boxes)

    found = check(Reader(labels, mistake=pad_and_flip))
    assert (names(found), found.notes) == ([], ())
    assert found.num_agreeing == len(labels)


def test_little_padding_is_not_taken_for_resizing(labels):
    """Where thumbnails cannot tell the one from the other, boxes do."""

    def pad(scene, labels):
        image = np.pad(scene.image, ((0, 0), (0, 4), (0, 0)))
        return replace(scene, image=image)

    found = check(Reader(labels, mistake=pad))
    assert (names(found), found.notes) == ([], ())
    assert found.num_agreeing == len(labels)


def test_boxes_without_the_padding_of_batches_are_those_of_detr(labels):
    def detr(scene):
        image, target = scenes.detr(scene)
        return np.pad(image, ((0, 0), (0, 60), (0, 40))), target

    found = check(Reader(labels, pack=detr))
    assert names(found) == []
    assert found.num_agreeing == len(labels)
    assert found.box_format == "cxcywh normalized without padding"
    assert "as DETR expects them" in found.notes[0]

    # Padding at the left is none of DETR's
    def centered(scene):
        image, target = scenes.detr(scene)
        return np.pad(image, ((0, 0), (60, 60), (40, 40))), target

    assert names(check(Reader(labels, pack=centered))) == ["padding-forgotten"]


@pytest.mark.parametrize("resize", [None, "stretch", "letterbox"])
def test_labels_of_other_images_are_resized_and_turned_with_the_image(labels, resize):
    """Boxes are looked up by the wrong index, in pixels of images of other sizes."""

    def plant(scene, labels):
        height, width = scene.image.shape[:2]
        size = labels.size[scene.position]
        boxes = scenes.neighbor(scene, labels)
        factor = np.array([width, height]) / size
        if resize == "letterbox":
            factor = np.full(2, factor.min())
        left = np.tile((np.array([width, height]) - size * factor) / 2, 2)
        boxes = boxes * np.tile(factor, 2) + left
        image = scene.image
        if scene.position % 2:
            image = np.ascontiguousarray(image[:, ::-1])
            boxes[:, [0, 2]] = width - boxes[:, [2, 0]]
        classes = scenes.neighbors_classes(scene, labels)
        return replace(scene, image=image, boxes=boxes, classes=classes)

    assert names(check(Reader(labels, resize, mistake=plant))) == ["shuffled-labels"]


def renamed(names_of):
    def pack(scene):
        given = [names_of(scenes.CLASSES[row]) for row in scene.classes]
        return scene.image, scenes.xywh(scene.boxes), given

    return pack


def test_names_that_the_dataset_does_not_have_are_named(labels):
    pack = renamed(lambda name: {"ant": "Ant", "cat": "kitten"}.get(name, name))
    (found,) = check(Reader(labels, pack=pack)).mistakes
    assert found.name == "unknown-classes"
    assert dict(found.figures) == {"Ant": "ant", "kitten": "cat"}
    assert "`Ant` for `ant`" in found.message
    wrong = np.isin(labels.objects.category, [1, 3]).mean()
    assert found.share == pytest.approx(wrong, abs=0.1)


def test_names_that_are_all_unknown_are_not_shifted(labels):
    found = check(Reader(labels, pack=renamed(lambda name: f"my {name}")))
    assert names(found) == ["unknown-classes"]
    assert found.mistakes[0].share == 1
    assert found.label_encoding == ""


def test_names_of_the_next_class_are_permuted_not_shifted(labels):
    following = dict(
        zip(scenes.CLASSES, [*scenes.CLASSES[1:], "none of them"], strict=True)
    )
    found = check(Reader(labels, pack=renamed(following.get)))
    assert sorted(names(found)) == ["permuted-classes", "unknown-classes"]
    permuted = next(one for one in found.mistakes if one.name == "permuted-classes")
    assert permuted.message.startswith("100% of the other labels")


def test_names_in_some_samples_and_numbers_in_others_are_told(labels):
    def pack(scene):
        image, boxes, given = scenes.pair(scene)
        return image, boxes, scene.classes if scene.position % 4 else given

    (found,) = check(Reader(labels, pack=pack)).mistakes
    assert found.name == "mixed-label-kinds"
    assert 0.1 < found.share < 0.5
    assert "names, the others numbers" in found.message


@pytest.mark.parametrize("first", [True, False])
def test_images_of_many_bands_are_recognized(labels, first):
    def pack(scene):
        image, boxes, given = scenes.pair(scene)
        bands = np.concatenate([image[..., ::-1], 255 - image], axis=2)
        return np.moveaxis(bands, 2, 0) if first else bands, boxes, given

    found = check(Reader(labels, pack=pack))
    # That red is first of them is nobody's promise
    assert (names(found), found.notes) == ([], ())
    assert found.num_agreeing == len(labels)


@pytest.mark.parametrize(
    ("shape", "kind"), [((1, 1, 3), np.uint8), ((1, 100), bool), ((2, 2, 3), np.int64)]
)
def test_images_of_a_few_pixels_agree_with_nothing(labels, shape, kind):
    def pack(scene):
        _, boxes, given = scenes.pair(scene)
        noise = np.random.default_rng(scene.position).uniform(0, 255, shape)
        return noise.astype(kind), boxes, given

    # Without ids all images are searched for them
    found = check(Reader(labels, pack=pack), image_ids=None)
    assert found.num_agreeing == 0
    assert found.mistakes or found.notes


def test_blank_images_are_named(labels):
    # As of a conversion to whole numbers after the division by 256
    def pack(scene):
        image, boxes, given = scenes.pair(scene)
        made = image / 256 if scene.position % 2 else image
        return made.astype(np.uint8), boxes, given

    found = check(Reader(labels, pack=pack))
    assert names(found) == ["blank-images"]
    assert found.mistakes[0].figures["samples"] == len(labels) // 2
    assert found.mistakes[0].share == 0.5
    assert (found.notes, found.num_agreeing) == ((), len(labels))


@pytest.mark.parametrize("factor", [np.inf, 1e300])
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_boxes_of_any_numbers_give_no_warnings(labels, factor):
    plant = changed(boxes=lambda scene, _: (scene.boxes + 1) * factor)
    found = check(Reader(labels, pack=scenes.dictionary, mistake=plant))
    assert found.num_agreeing == 0
