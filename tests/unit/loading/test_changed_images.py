"""Images that were changed without their boxes, and those whose colors only were."""

from dataclasses import replace

import albumentations as A
import cv2
import numpy as np
import pytest

from fiftyone_coco_audit.loading.loaders import run_loader
from fiftyone_coco_audit.loading.structure import compare_edges, edges
from tests.labeled import read_labeled
from tests.unit.loading.scenes import Reader, changed, image_id, kept, make_set

pytestmark = pytest.mark.slow


def of_image(change):
    """A mistake that changes images by a function of them and their number."""
    return changed(image=lambda scene, _: change(scene.image, scene.position))


def warped(matrix, border=cv2.BORDER_CONSTANT):
    def change(image, _):
        height, width = image.shape[:2]
        return cv2.warpAffine(
            image, matrix(width, height), (width, height), borderMode=border
        )

    return change


def rotated(degrees):
    return warped(lambda w, h: cv2.getRotationMatrix2D((w / 2, h / 2), degrees, 1))


def shifted(x, y=0, border=cv2.BORDER_CONSTANT):
    return warped(lambda w, h: np.array([[1, 0, x], [0, 1, y]], np.float32), border)


def cropped(least, most):
    """A random crop that is resized back."""

    def change(image, number):
        random = np.random.default_rng(number)
        height, width = image.shape[:2]
        share = random.uniform(least, most)
        h, w = int(height * share), int(width * share)
        y, x = random.integers(height - h + 1), random.integers(width - w + 1)
        return cv2.resize(image[y : y + h, x : x + w], (width, height))

    return change


def noise(image, number):
    return np.random.default_rng(number).integers(0, 256, image.shape, np.uint8)


def smooth_noise(image, number):
    small = np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8)
    return cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_CUBIC)


CHANGES = {
    "crop": cropped(0.5, 0.9),
    "small crop": cropped(0.85, 0.9),
    "rotated by 5": rotated(5),
    "rotated by -5": rotated(-5),
    "rotated by 20": rotated(20),
    "shifted by 30": shifted(30),
    "shifted by -30 in y": shifted(0, -30, cv2.BORDER_REFLECT),
    "noise": noise,
    "smooth noise": smooth_noise,
}


def augmented(*transforms):
    composed = A.Compose(transforms)

    def change(image, number):
        composed.set_random_seed(number)
        return composed(image=image)["image"]

    return change


HOLES = {"hole_height_range": (0.1, 0.15), "hole_width_range": (0.1, 0.15), "p": 1}
#: What leaves everything in its place
COLORS = {
    "jitter": augmented(A.ColorJitter(0.8, 0.8, 0.8, 0.5, p=1)),
    "gray": augmented(A.ToGray(p=1)),
    "inverted": augmented(A.InvertImg(p=1)),
    "solarized": augmented(A.Solarize(p=1)),
    "posterized": augmented(A.Posterize(num_bits=2, p=1)),
    "equalized": augmented(A.Equalize(p=1)),
    "clahe": augmented(A.CLAHE(8, p=1)),
    "blurred": augmented(A.GaussianBlur(blur_limit=(9, 15), p=1)),
    "noisy": augmented(A.GaussNoise(std_range=(0.2, 0.4), p=1)),
    "compressed": augmented(A.ImageCompression(quality_range=(5, 10), p=1)),
    "holes": augmented(A.CoarseDropout(num_holes_range=(4, 8), **HOLES)),
    "channels": augmented(A.ChannelShuffle(p=1)),
    "fog": augmented(A.RandomFog(p=1)),
    "gamma": augmented(A.RandomGamma((30, 250), p=1)),
    "many": augmented(
        A.ColorJitter(0.8, 0.8, 0.8, 0.5, p=1),
        A.CLAHE(p=0.5),
        A.Solarize(p=0.3),
        A.GaussNoise(std_range=(0.1, 0.2), p=1),
        A.CoarseDropout(num_holes_range=(2, 4), **HOLES),
    ),
}


@pytest.fixture(scope="module")
def photos(shared_data):
    folder = shared_data / "coco_mini"
    labels, _, _ = read_labeled(folder / "annotations.json")
    paths = [str(folder / "images" / name) for name in labels.filepaths]
    return first(replace(labels, filepaths=paths), 30)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return make_set(tmp_path_factory.mktemp("images"))


def first(labels, count):
    """The first images of a set."""
    objects = labels.objects.rows(np.flatnonzero(labels.objects.image < count))
    return replace(
        labels,
        size=labels.size[:count],
        objects=objects,
        crowds=labels.crowds[:count],
        filepaths=labels.filepaths[:count],
        tags=labels.tags[:count],
        tight_box=None,
    )


def check(reader):
    ids = [image_id(n) for n in range(len(reader))]
    return run_loader(reader.labels, reader, image_ids=ids).check


def names(found):
    return [one.name for one in found.mistakes]


@pytest.mark.real_data
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("resize", [None, "letterbox"])
def test_a_changed_photo_with_unchanged_boxes_is_named(photos, change, resize):
    found = check(Reader(photos, resize, mistake=of_image(CHANGES[change])))
    assert "image-changed-alone" in names(found)
    (one,) = [d for d in found.mistakes if d.name == "image-changed-alone"]
    # Of small images, some parts are too small to be found
    assert one.share > (0.5 if resize is None else 0.15)
    assert found.num_agreeing <= found.num_compared * (1 - one.share) + 0.5
    if change == "shifted by 30" and resize is None:
        assert one.figures["pixels"] == pytest.approx(30, abs=3)


@pytest.mark.parametrize(
    "change",
    [name for name in CHANGES if name not in ("rotated by 5", "rotated by -5")],
)
def test_a_changed_drawing_with_unchanged_boxes_is_named(drawn, change):
    found = check(Reader(drawn, mistake=of_image(CHANGES[change])))
    assert "image-changed-alone" in names(found)


@pytest.mark.real_data
@pytest.mark.parametrize("change", COLORS)
@pytest.mark.parametrize("resize", ["stretch", "letterbox"])
def test_colors_may_be_changed(photos, change, resize):
    reader = Reader(photos, resize, True, of_image(COLORS[change]))
    found = check(reader)
    assert set(names(found)) <= {"swapped-channels"}
    assert found.num_agreeing == found.num_compared
    assert found.notes == ()


@pytest.mark.real_data
def test_a_photo_that_is_changed_with_its_boxes_is_not_accused(photos):
    """Small shifts, after which boxes still lie on the labels, for the most part."""

    def plant(scene, _):
        image = shifted(16, 8)(scene.image, 0)
        return replace(scene, image=image, boxes=scene.boxes + [16, 8, 16, 8])

    found = check(Reader(photos, mistake=plant))
    assert names(found) == []


@pytest.mark.real_data
def test_one_changed_photo_may_be_chance(photos):
    def plant(image, number):
        return noise(image, number) if number == 3 else image

    assert names(check(Reader(photos, mistake=of_image(plant)))) == []


@pytest.mark.real_data
def test_what_is_changed_in_color_is_turned_with_its_boxes(photos):
    """Colors that thumbnails do not stand are seen through."""

    def plant(scene, _):
        image = COLORS["inverted"](scene.image, 0)
        return replace(scene, image=np.ascontiguousarray(image[:, ::-1]))

    assert names(check(Reader(photos, mistake=plant))) == ["image-turned-alone"]


def test_edges_of_nothing_are_like_nothing():
    plain = edges(np.full((96, 96), 7))
    found = compare_edges(plain, plain)
    assert (found.correlation, found.is_moved) == (0, False)


def test_boxes_and_images_may_both_be_wrong(drawn):
    """Every fourth box is lost, and the image is rotated."""

    def plant(scene, labels):
        scene = kept(lambda s: np.arange(len(s.boxes)) % 4 > 0)(scene, labels)
        return replace(scene, image=rotated(20)(scene.image, 0))

    assert "image-changed-alone" in names(check(Reader(drawn, mistake=plant)))
