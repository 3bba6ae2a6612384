"""Images of another size than recorded: which one the boxes fit, and what to do."""

import os

import numpy as np
import pytest
from PIL import Image

from fiftyone_coco_audit.loading.pictures import read_reference
from fiftyone_coco_audit.loading.sizes import OtherSize, compare_sizes, size_notes
from fiftyone_coco_audit.loading.stages import Decoding, SampleRunner, Task
from fiftyone_coco_audit.panels.pictures import picture_of

WIDE = np.array([[10.0, 10, 50, 40], [150, 10, 50, 40]])
TALL = WIDE[:, [1, 0, 3, 2]]
SMALL = WIDE[:1]


@pytest.mark.parametrize(
    ("recorded", "image", "boxes", "expected"),
    [
        ((200, 100), (100, 200), WIDE, (True, True, False)),
        ((200, 100), (100, 200), TALL, (True, False, True)),
        ((200, 100), (100, 200), SMALL, (True, True, True)),
        ((200, 100), (100, 200), SMALL * 5, (True, False, False)),
        ((200, 100), (100, 200), WIDE[:0], (True, True, True)),
        ((200, 100), (400, 200), WIDE * 2, (False, False, True)),
        ((200, 100), (100, 50), WIDE, (False, True, False)),
        ((200, 100), (100, 200), WIDE + [0.5, 0, 0, 0], (True, True, False)),
        ((200, 100), (100, 200), WIDE - [20, 0, 0, 0], (True, False, False)),
    ],
)
def test_which_size_boxes_fit(recorded, image, boxes, expected):
    assert compare_sizes(recorded, image, boxes) == OtherSize(*expected)


@pytest.mark.parametrize(
    ("other", "turned", "advice"),
    [
        (OtherSize(True, False, True), True, "correct width and height in the COCO"),
        (OtherSize(False, False, True), True, "correct width and height in the COCO"),
        (OtherSize(True, True, False), True, "read images without it"),
        (OtherSize(True, True, False), False, "apply the EXIF orientation"),
        (OtherSize(False, True, False), True, "use the images that were labeled"),
        (OtherSize(True, True, True), True, "look at some before you change anything"),
    ],
)
def test_advice_moves_no_right_box(other, turned, advice):
    (note,) = size_notes([other] * 3, turned)

    assert advice in note
    assert "3 images" in note
    if "compute_metadata" in note:
        assert "would move" in note


def test_each_kind_is_counted_on_its_own():
    kinds = [OtherSize(True, False, True)] * 2 + [OtherSize(True, True, False)]

    assert [note[:25] for note in size_notes(kinds, True)] == [
        "The boxes of 2 images fit",
        "The boxes of 1 image fit ",
    ]
    assert not size_notes([], True)


def keep(image, boxes, ids):
    return image, boxes, ids


def run(path, size=(200.0, 100.0), boxes=WIDE):
    task = Task(str(path), size, boxes, np.arange(len(boxes)))
    return SampleRunner(keep, Decoding())(task)


def test_a_dry_run_says_which_size_the_labels_fit(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "a.jpg"
    Image.new("RGB", (200, 100)).save(path, exif=exif)

    passage = run(path)
    assert passage.other_size == OtherSize(True, True, False)
    assert passage.suspicions[0] == (
        "The image decodes to 100 x 200, but its labels are for 200 x 100; its boxes "
        "fit only 200 x 100."
    )


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (os.mkfifo, "it is a named pipe, not a file"),
        (lambda path: path.symlink_to("/dev/zero"), "it is a device, not a file"),
        (lambda path: path.symlink_to(path), "symbolic link that leads back to itself"),
        (
            lambda path: path.symlink_to("no.jpg"),
            "link to no.jpg, which does not exist",
        ),
    ],
)
def test_only_regular_files_are_opened(make, reason, tmp_path):
    path = tmp_path / "a.jpg"
    make(path)

    passage = run(path)
    assert passage.stage == "read"
    assert reason in passage.message
    assert read_reference(str(path), (200, 100)) is None
    assert picture_of(str(path), 200) is None


def test_a_pointer_is_called_one(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")

    passage = run(path)
    assert passage.stage == "decode"
    assert "is a Git LFS pointer" in passage.message
