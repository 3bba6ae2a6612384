"""What loaders yield, taken apart."""

from __future__ import annotations

import numpy as np
import pytest

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.loading.targets import (
    as_array,
    channels_last,
    unpack_batch,
    unpack_sample,
)

IMAGE = np.zeros((40, 60, 3), np.uint8)
FIRST = np.moveaxis(IMAGE, 2, 0)
BOXES = np.array([[1.0, 2, 3, 4], [5, 6, 7, 8]])
LABELS = np.array([3, 1])


class Tensor:
    """Does what a tensor of PyTorch does, where that is not installed."""

    def __init__(self, array, dtype="float32", device="cuda"):
        self.array = np.asarray(array)
        self.dtype = dtype
        self.device = device
        self.shape = self.array.shape

    def detach(self):
        return Tensor(self.array, self.dtype, "cuda+detached")

    def cpu(self):
        return Tensor(self.array, self.dtype, "cpu")

    def float(self):
        return Tensor(self.array, "float32", self.device)

    def __array__(self, dtype=None, copy=None):
        assert self.device == "cpu" and self.dtype == "float32"
        return self.array

    def __len__(self):
        return len(self.array)

    def __getitem__(self, row):
        return Tensor(self.array[row], self.dtype, self.device)


def unpack_all(batch):
    """The samples of a batch that can all be used."""
    found = unpack_batch(batch)
    for one in found:
        if isinstance(one, Exception):
            raise one
    return found


def same(sample, labels=True):
    assert sample.image.shape == IMAGE.shape
    assert (sample.boxes == BOXES).all()
    assert not labels or sample.labels.tolist() == LABELS.tolist()
    return sample


@pytest.mark.parametrize(
    ("item", "container", "image_id"),
    [
        ((FIRST, {"boxes": BOXES, "labels": LABELS}), "torchvision", None),
        (
            (FIRST, {"boxes": BOXES, "labels": LABELS, "image_id": np.array([7])}),
            "torchvision",
            7,
        ),
        ((IMAGE, {"boxes": BOXES, "class_labels": LABELS}), "class_labels", None),
        (
            {"image": IMAGE, "bboxes": BOXES, "labels": LABELS, "image_id": "a"},
            "plain",
            "a",
        ),
        (
            {"pixel_values": FIRST, "labels": {"boxes": BOXES, "class_labels": LABELS}},
            "class_labels",
            None,
        ),
        (
            (
                IMAGE,
                [
                    {"bbox": [1, 2, 3, 4], "category_id": 3, "image_id": 5},
                    {"bbox": [5, 6, 7, 8], "category_id": 1, "image_id": 5},
                ],
            ),
            "coco",
            5,
        ),
        (
            (
                IMAGE,
                {
                    "image_id": 5,
                    "annotations": [
                        {"bbox": [1, 2, 3, 4], "category_id": 3},
                        {"bbox": [5, 6, 7, 8], "category_id": 1},
                    ],
                },
            ),
            "coco",
            5,
        ),
        ((IMAGE, BOXES, LABELS), "plain", None),
        ((IMAGE, (BOXES, LABELS)), "plain", None),
        ((IMAGE, BOXES, LABELS, 9), "plain", 9),
        ((IMAGE, np.hstack([BOXES, LABELS[:, None]])), "plain", None),
        (
            (Tensor(FIRST), {"boxes": Tensor(BOXES, "bfloat16"), "labels": LABELS}),
            "torchvision",
            None,
        ),
    ],
)
def test_samples(item, container, image_id):
    sample = same(unpack_sample(item))
    assert (sample.container, sample.image_id) == (container, image_id)


def test_rows_of_five_have_the_class_first_or_last():
    yolo = np.array([[3, 0.5, 0.5, 0.25, 0.125], [1, 0.25, 0.5, 0.125, 0.5]])
    sample = unpack_sample((IMAGE, yolo))
    assert sample.labels.tolist() == [3, 1]
    assert (sample.boxes == yolo[:, 1:]).all()
    sample = unpack_sample((IMAGE, np.roll(yolo, -1, axis=1)))
    assert sample.labels.tolist() == [3, 1]
    assert (sample.boxes == yolo[:, 1:]).all()


TARGET = {"boxes": BOXES, "labels": LABELS}


@pytest.mark.parametrize(
    "batch",
    [
        (np.stack([FIRST, FIRST]), [TARGET, TARGET]),
        ([FIRST, FIRST], (TARGET, TARGET)),
        ((IMAGE, IMAGE), ([*[TARGET] * 2])),
        [(FIRST, TARGET), (FIRST, TARGET)],
        [{"image": IMAGE, **TARGET}, {"image": IMAGE, **TARGET}],
        {"image": [IMAGE, IMAGE], "boxes": [BOXES] * 2, "labels": [LABELS] * 2},
        {"pixel_values": np.stack([FIRST] * 2), "labels": [TARGET, TARGET]},
        # What default_collate makes of dictionaries
        (
            np.stack([FIRST] * 2),
            {"boxes": np.stack([BOXES] * 2), "labels": np.stack([LABELS] * 2)},
        ),
        (np.stack([FIRST] * 2), [BOXES, BOXES], [LABELS, LABELS]),
    ],
)
def test_batches(batch):
    samples = unpack_all(batch)
    assert len(samples) == 2
    for sample in samples:
        same(sample)


@pytest.mark.parametrize("as_dictionary", [False, True])
def test_ultralytics_batches(as_dictionary):
    owner = np.array([0, 0, 2])
    rows = np.array([[3, 0.1, 0.2, 0.3, 0.4], [1, 0.5, 0.5, 0.1, 0.1], [2, 0, 0, 1, 1]])
    images = np.stack([FIRST] * 3)
    batch = (images, np.hstack([owner[:, None], rows]))
    if as_dictionary:
        batch = {
            "img": images,
            "batch_idx": owner,
            "cls": rows[:, :1],
            "bboxes": rows[:, 1:],
        }
    samples = unpack_all(batch)
    assert [len(sample.boxes) for sample in samples] == [2, 0, 1]
    assert [sample.labels.tolist() for sample in samples] == [[3, 1], [], [2]]
    assert (samples[0].boxes == rows[:2, 1:]).all()
    assert {sample.container for sample in samples} == {"ultralytics"}


def test_a_single_sample_is_a_batch_of_one():
    (sample,) = unpack_all((FIRST, TARGET))
    same(sample)
    (sample,) = unpack_all({"image": IMAGE, **TARGET})
    same(sample)


@pytest.mark.parametrize("boxes", [np.zeros((0, 4)), [], np.zeros((0, 5))])
def test_a_sample_without_boxes(boxes):
    sample = unpack_sample((IMAGE, boxes))
    assert sample.boxes.shape == (0, 4)
    sample = unpack_sample((IMAGE, {"boxes": boxes[:0], "labels": []}))
    assert sample.boxes.shape == (0, 4)


@pytest.mark.parametrize(
    "item",
    [
        5,
        IMAGE,
        (IMAGE,),
        {"image": IMAGE},
        (IMAGE, {"labels": LABELS}),
        (IMAGE, [{"category_id": 3}]),
        (IMAGE, np.zeros((2, 7))),
    ],
)
def test_what_is_not_known_is_described(item):
    with pytest.raises(CocoAuditError, match="The loader yields .*: known are"):
        unpack_sample(item)


def test_labels_must_go_with_boxes():
    with pytest.raises(CocoAuditError, match="2 boxes with 1 labels"):
        unpack_sample((IMAGE, BOXES, LABELS[:1]))


def test_channels_are_where_numpy_has_them():
    assert channels_last(FIRST).shape == IMAGE.shape
    assert channels_last(IMAGE) is IMAGE
    gray = np.zeros((3, 50))
    assert channels_last(gray) is gray
    assert as_array([Tensor([1, 2]), Tensor([3, 4])]).tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("columns", [4, 5])
def test_lists_of_images_with_rows_are_samples(columns):
    """As collate_fn=list gives them: neither is an image of another batch."""
    batch = [(np.zeros((60, 80, 3)), np.ones((n, columns))) for n in (1, 3)]
    assert [len(one.boxes) for one in unpack_all(batch)] == [1, 3]
    # Two images are, also without colors
    images = [np.zeros((60, 80)), np.zeros((60, 80))]
    targets = [{"boxes": np.ones((n, 4))} for n in (1, 3)]
    assert [len(one.boxes) for one in unpack_all((images, targets))] == [1, 3]


@pytest.mark.parametrize(
    ("shape", "channels"),
    [
        ((3, 40, 60), 3),
        ((40, 60, 3), 3),
        ((1, 40, 60), 1),
        ((40, 60, 4), 4),
        ((6, 40, 60), 6),
        ((40, 60, 6), 6),
        ((2, 40, 60), 2),
        ((224, 300, 300), 224),
        ((3, 8, 8), 3),
        ((8, 8, 3), 3),
        ((3, 4, 4), 3),
        ((4, 4, 3), 3),
        ((3, 2, 2), 3),
        ((2, 2, 3), 3),
        ((3, 1, 1), 3),
        ((1, 1, 3), 3),
        ((1, 50, 3), 3),
        ((3, 50, 1), 3),
    ],
)
def test_the_axis_of_channels_is_found(shape, channels):
    image = np.zeros(shape, np.uint8)
    assert channels_last(image).shape[2] == channels
    assert channels_last(image).size == image.size


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (np.zeros((0, 60, 3)), r"an image of shape \(0, 60, 3\)"),
        (np.zeros((3, 40, 0)), r"an image of shape \(3, 40, 0\)"),
        (np.zeros(5), r"an image of shape \(5,\)"),
        (np.zeros((1, 2, 3, 4, 5)), r"an image of shape \(1, 2, 3, 4, 5\)"),
        (np.array("a.jpg"), "as an image: it must be an array of numbers"),
        (np.array([None, 3]), "as an image: it must be an array of numbers"),
        (np.zeros((4, 4), complex), "of complex128 as an image: it must be an array"),
        (np.full((3, 4, 5), np.nan), "an image with pixels that are not finite"),
        (np.full((3, 4, 5), np.inf, np.float16), "pixels that are not finite"),
    ],
)
def test_what_is_no_image_is_said(image, told):
    with pytest.raises(CocoAuditError, match=told):
        unpack_sample((image, TARGET))
    with pytest.raises(CocoAuditError, match=told):
        unpack_sample({"image": image, **TARGET})


@pytest.mark.parametrize("path", ["a.jpg", b"a.jpg"])
def test_a_path_is_no_image(path):
    told = "as an image: it must be an array of numbers"
    for item in ({"image": path, **TARGET}, (path, TARGET)):
        with pytest.raises(CocoAuditError, match=told):
            unpack_all(item)


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ([None, 1], "None as labels"),
        (["cat", 1], "names and numbers as labels"),
        (["cat", None], "None as labels"),
        ([np.nan, 1], "nan as labels"),
        ([1.5, 1], "1.5 as labels"),
        (np.array([np.inf, 1]), "inf as labels"),
        ([{"id": 1}, {"id": 2}], "as labels"),
        (np.array([b"cat", b"dog"]), "as labels"),
    ],
)
def test_labels_that_name_no_class_are_told(labels, told):
    for item in (
        (IMAGE, BOXES, labels),
        (IMAGE, {"boxes": BOXES, "labels": labels}),
        (
            IMAGE,
            [
                {"bbox": box, "category_id": label}
                for box, label in zip(BOXES, labels, strict=True)
            ],
        ),
    ):
        with pytest.raises(CocoAuditError, match=told):
            unpack_sample(item)


def test_labels_of_other_types_are_the_same():
    for labels in ([3.0, 1.0], np.array([3, 1], object), [np.int64(3), 1], ["3", "1"]):
        found = unpack_sample((IMAGE, BOXES, labels)).labels
        assert [int(one) for one in found] == [3, 1]
    # A class that is no number, among rows of five
    rows = np.hstack([[[np.nan], [1]], BOXES / 10 + 0.01])
    with pytest.raises(CocoAuditError, match="nan as labels"):
        unpack_sample((IMAGE, rows))


@pytest.mark.parametrize(
    "boxes", [np.zeros((4, 3)), np.zeros((2, 2, 4)), [[1, 2, 3], [4, 5]], ["a", "b"]]
)
def test_boxes_of_other_than_four_numbers_are_not_rearranged(boxes):
    with pytest.raises(CocoAuditError, match="as boxes, which must be four numbers"):
        unpack_sample((IMAGE, {"boxes": boxes, "labels": LABELS}))


def test_boxes_may_be_lists():
    same(unpack_sample((IMAGE, {"boxes": BOXES.tolist(), "labels": LABELS.tolist()})))
    same(unpack_sample((IMAGE, BOXES.tolist(), LABELS.tolist())))


@pytest.mark.parametrize(
    "batch",
    [
        (np.stack([FIRST] * 2), [TARGET] * 3),
        (np.stack([FIRST] * 2), [BOXES], [LABELS]),
        {"image": [IMAGE] * 2, "boxes": [BOXES], "labels": [LABELS]},
        {"image": [IMAGE] * 2, "boxes": [BOXES] * 2, "labels": 3},
    ],
)
def test_a_batch_has_as_many_targets_as_images(batch):
    with pytest.raises(CocoAuditError, match="of a batch of 2 images: there must be"):
        unpack_all(batch)


def test_what_is_not_used_of_a_batch_may_be_anything():
    batch = {"image": [IMAGE] * 2, "boxes": [BOXES] * 2, "epoch": 3, "paths": ["a"]}
    assert len(unpack_all(batch)) == 2


def test_batches_of_ultralytics_that_lack_something():
    batch = {"img": np.stack([FIRST] * 2), "batch_idx": np.zeros(2), "cls": LABELS}
    with pytest.raises(CocoAuditError, match="no 'bboxes'"):
        unpack_all(batch)
    with pytest.raises(CocoAuditError, match="1 boxes with 2 labels and 2 numbers"):
        unpack_all({**batch, "bboxes": BOXES[:1]})


def test_one_sample_that_cannot_be_used_leaves_the_others_of_its_batch():
    bad = {"boxes": BOXES, "labels": [None, 1]}
    first, second, third = unpack_batch(([FIRST] * 3, [TARGET, bad, TARGET]))
    same(first)
    same(third)
    assert "None as labels" in str(second)


@pytest.mark.parametrize("batch", [[], ()])
def test_an_empty_batch_is_told(batch):
    with pytest.raises(CocoAuditError, match="The loader yields an empty"):
        unpack_all(batch)


def test_large_numbers_of_few_bytes_are_finite():
    image = np.full((60, 80, 3), 60000, np.float16)
    assert unpack_sample((image, TARGET)).image is image


@pytest.mark.parametrize("owner", [2, -1, 0.5, np.nan])
def test_boxes_of_no_image_of_their_batch_are_not_lost_unseen(owner):
    images = np.stack([FIRST] * 2)
    told = f"boxes of image {owner:g} in a batch of 2 images"
    rows = np.array([[0, 1, 0.5, 0.5, 0.2, 0.2], [owner, 1, 0.5, 0.5, 0.2, 0.2]])
    with pytest.raises(CocoAuditError, match=told):
        unpack_all((images, rows))
    batch = {"batch_idx": rows[:, 0], "cls": rows[:, 1], "bboxes": rows[:, 2:]}
    with pytest.raises(CocoAuditError, match=told):
        unpack_all({"img": images, **batch})
