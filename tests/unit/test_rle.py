"""Run lengths against pycocotools."""

import math

import numpy as np
import pytest
from fiftyone.core.utils import deserialize_numpy_array
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from fiftyone_coco_audit import rle

SQUARE = [1, 1, 4, 1, 4, 4, 1, 4]


def sizes_of(*masks):
    return np.array([mask.shape[::-1] for mask in masks])


def text_of(mask):
    return coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"].decode()


def compress_one(segmentation, width=10, height=8):
    (result,) = rle.compress([segmentation], np.array([[width, height]]))
    return result


@st.composite
def masks(draw):
    height, width = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    pixels = draw(
        st.lists(st.booleans(), min_size=height * width, max_size=height * width)
    )
    return np.array(pixels, dtype=bool).reshape(height, width)


@st.composite
def polygons(draw):
    # Beyond the image too: annotators often draw over its border.
    coordinate = st.floats(-5, 25, width=32)
    return draw(
        st.lists(
            st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=8).map(
                lambda points: [float(c) for point in points for c in point]
            ),
            min_size=1,
            max_size=3,
        )
    )


@st.composite
def boxes(draw):
    x, y = draw(st.floats(-20, 20)), draw(st.floats(-20, 20))
    return [x, y, draw(st.floats(0.01, 30)), draw(st.floats(0.01, 30))]


@given(st.lists(masks(), max_size=5))
def test_text_is_decoded_as_pycocotools_encodes_it(examples):
    runs = rle.decode([text_of(mask) for mask in examples])

    assert len(runs.offsets) == len(examples) + 1
    for i, mask in enumerate(examples):
        counts = runs.counts[runs.offsets[i] : runs.offsets[i + 1]]
        pixels = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
        np.testing.assert_array_equal(pixels.reshape(mask.T.shape).T, mask)


def test_long_runs_are_decoded():
    counts = [1_000_000_000, 700_000_000, 3, 1, 5, 300_000_000, 0, 1]
    size = [1, sum(counts)]
    text = coco_mask.frPyObjects({"size": size, "counts": counts}, *size)["counts"]

    assert rle.decode([text.decode()]).counts.tolist() == counts


def test_portions_are_joined(monkeypatch):
    examples = [np.eye(n, dtype=bool) for n in range(1, 9)]
    texts = [text_of(mask) for mask in examples]
    whole = rle.decode(texts)
    monkeypatch.setattr(rle, "_CHARACTERS_AT_ONCE", 10)
    parts = rle.decode(texts)

    np.testing.assert_array_equal(parts.counts, whole.counts)
    np.testing.assert_array_equal(parts.offsets, whole.offsets)
    assert (
        rle.compress(
            [{"size": [n, n], "counts": text} for n, text in enumerate(texts, 1)],
            sizes_of(*examples),
        )
        == texts
    )


def test_decoding_malformed_text_is_an_error():
    with pytest.raises(ValueError, match="malformed"):
        rle.decode(["P"])


@given(st.lists(masks(), min_size=1, max_size=5))
def test_areas_and_boxes(examples):
    texts = [text_of(mask) for mask in examples]
    coded = rle.masks_of(texts, sizes_of(*examples))
    found = rle.mask_boxes(coded)

    assert rle.mask_areas(coded).tolist() == [mask.sum() for mask in examples]
    for box, mask, text in zip(found, examples, texts, strict=True):
        expected = coco_mask.toBbox({"size": mask.shape, "counts": text})
        assert box.tolist() == expected.tolist()


def test_areas_of_more_masks_than_pycocotools_can_take_at_once():
    texts, sizes = [text_of(np.ones((2, 3)))] * 300, np.array([[3, 2]] * 300)
    assert rle.mask_areas(rle.masks_of(texts, sizes)).tolist() == [6] * 300


def test_areas_and_boxes_of_nothing():
    assert rle.mask_areas([]).shape == (0,)
    assert rle.mask_boxes([]).shape == (0, 4)


@given(polygons())
def test_polygons_become_what_pycocotools_makes_of_them(example):
    coco = COCO()
    coco.imgs = {1: {"height": 16, "width": 20}}
    expected = coco.annToRLE({"image_id": 1, "segmentation": example})

    assert compress_one(example, 20, 16) == expected["counts"].decode()


@given(masks())
def test_lists_of_runs_are_compressed(mask):
    flat = np.concatenate([[0], mask.T.ravel(), [2]])
    ends = np.flatnonzero(np.diff(flat.astype(int)))
    counts = np.diff([0, *ends]).tolist() if not flat[1] else None
    if counts is None:  # the first run is background, if only of length 0
        counts = [0, *np.diff([0, *ends[1:]]).tolist()]
    segmentation = {"size": list(mask.shape), "counts": counts}

    assert compress_one(segmentation, *mask.shape[::-1]) == text_of(mask)


@pytest.mark.parametrize("kind", [str, str.encode, lambda t: bytearray(t.encode())])
def test_sound_text_stays_as_it_is(kind):
    # Sound, yet not what pycocotools would write: a run of length 0 inside.
    counts = [10, 0, 0, 5, 65]
    text = coco_mask.frPyObjects({"size": [8, 10], "counts": counts}, 8, 10)["counts"]
    text = text.decode()

    assert compress_one({"size": [8, 10], "counts": kind(text)}) == text


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        ([[]], "0 points but needs 3"),
        ([[1, 1, 4, 4]], "2 points but needs 3"),
        ([SQUARE, [1, 1, 4, 1, 4]], "5 numbers, an odd count"),
        ([[1, 1, 4, 1, 4, math.nan]], "not finite"),
        ([[1, 1, 4, 1, math.inf, 2]], "not finite"),
        ([[1, 1, 4, 1, 10**400, 2]], "not finite or far away"),
        ([[1e12, 1e12, 1e12 + 1, 1e12, 1e12, 1e12 + 1]], "far away"),
        ([[0, 0, 9e6, 0, 9e6, 1]], "too long to draw"),
        ([[1, 1, 4, 1, "4", 4]], "not a list of numbers"),
        ([[1, 1, 4, 1, True, 4]], "not a list of numbers"),
        (SQUARE, "not a list of numbers"),
        ("abc", "it is text"),
        (5, "it is a number"),
        ({"counts": [80]}, "its size is None"),
        ({"size": [10, 8], "counts": [80]}, "its size is [10, 8]"),
        ({"size": [8, 10], "counts": [79]}, "cover 79 pixels, but the image has 80"),
        ({"size": [8, 10], "counts": [81, -1]}, "whole numbers"),
        ({"size": [8, 10], "counts": [79.5, 0.5]}, "whole numbers"),
        ({"size": [8, 10], "counts": [math.nan, 80]}, "whole numbers"),
        ({"size": [8, 10], "counts": [2**32 + 80]}, "whole numbers"),
        ({"size": [8, 10], "counts": [10**30]}, "plain list of numbers"),
        ({"size": [8, 10], "counts": ["80"]}, "plain list of numbers"),
        ({"size": [8, 10], "counts": [[80]]}, "plain list of numbers"),
        ({"size": [8, 10], "counts": [80, [1]]}, "plain list of numbers"),
        ({"size": [8, 10], "counts": None}, "its counts are null"),
        ({"size": [8, 10], "counts": ""}, "cover 0 pixels"),
        ({"size": [8, 10], "counts": "1"}, "cover 1 pixels"),
        ({"size": [8, 10], "counts": "P"}, "malformed"),  # says that more follows
        ({"size": [8, 10], "counts": "O"}, "malformed"),  # a run of length -1
        ({"size": [8, 10], "counts": "P" * 40 + "1"}, "malformed"),
        ({"size": [8, 10], "counts": " 0"}, "malformed"),
        ({"size": [8, 10], "counts": "p0"}, "malformed"),
        ({"size": [8, 10], "counts": "é0"}, "malformed"),
        ({"size": [8, 10], "counts": b"\xff0"}, "malformed"),
    ],
)
def test_broken_segmentations(segmentation, reason):
    result = compress_one(segmentation)

    assert isinstance(result, rle.Broken)
    assert reason in result.reason


def test_images_too_large_for_a_mask():
    size = [2**16, 2**16]
    result = compress_one({"size": size, "counts": [2**32]}, *size)

    assert isinstance(result, rle.Broken)


def test_broken_text_leaves_its_neighbors_alone():
    mask = np.eye(8, 10, dtype=bool)
    good = {"size": [8, 10], "counts": text_of(mask)}
    bad = [{"size": [8, 10], "counts": c} for c in ("P", "", "oooooooooo", "é", "O")]
    mixed = [good, bad[0], good, bad[1], bad[2], good, bad[3], bad[4], good]

    results = rle.compress(mixed, np.array([[10, 8]] * len(mixed)))

    assert [r == text_of(mask) for r in results] == [s is good for s in mixed]


@given(st.text(st.characters(max_codepoint=130), max_size=12))
def test_whatever_text_passes_is_read_alike_by_pycocotools(text):
    result = compress_one({"size": [8, 10], "counts": text})

    if not isinstance(result, rle.Broken):
        mask = coco_mask.decode({"size": [8, 10], "counts": text})
        assert (
            mask.sum() == rle.mask_areas(rle.masks_of([text], np.array([[10, 8]])))[0]
        )


@given(masks(), boxes())
def test_crops_are_the_mask_under_the_box(mask, box):
    x, y, w, h = box
    x0, y0 = round(x), round(y)
    x1, y1 = max(round(x + w), x0 + 1), max(round(y + h), y0 + 1)
    margin = 60  # beyond all boxes that are drawn
    padded = np.pad(mask, margin)
    expected = padded[y0 + margin : y1 + margin, x0 + margin : x1 + margin]

    (crop,) = rle.crops([text_of(mask)], sizes_of(mask), np.array([box]))

    np.testing.assert_array_equal(crop, expected)


def test_crops_of_several_masks():
    examples = [np.eye(n, 7, dtype=bool) for n in range(3, 9)]
    found = rle.crops(
        [text_of(mask) for mask in examples],
        sizes_of(*examples),
        np.array([[1, 1, 3, 2]] * len(examples), dtype=float),
    )

    for crop, mask in zip(found, examples, strict=True):
        np.testing.assert_array_equal(crop, mask[1:3, 1:4])


def test_huge_boxes_are_not_drawable():
    pixel_boxes = np.array(
        [[0, 0, 8000, 8000], [0, 0, 1e9, 1e-3], [0, 0, 1e300, 1e300]]
    )

    assert rle.drawable(pixel_boxes).tolist() == [True, False, False]


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (400, 300)])
def test_packed_masks_read_back_with_fiftyone(shape):
    mask = np.random.default_rng(0).random(shape) > 0.5

    found = deserialize_numpy_array(rle.pack(mask.T))

    assert found.dtype == bool
    np.testing.assert_array_equal(found, mask.T)
