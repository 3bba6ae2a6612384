"""Masks of another size than their image are brought to it, if there is no doubt."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from fiftyone_coco_audit.coco.mending import read_coco_masks
from tests.reference import encode, evaluated

WIDTH, HEIGHT = 64, 48
BOX = [10.0, 12.0, 30.0, 20.0]
NOTHING = [np.nan] * 4


def ellipse(width=WIDTH, height=HEIGHT, box=BOX):
    """A mask that fills a box."""
    x, y, w, h = box
    across, down = np.arange(width) + 0.5, np.arange(height)[:, None] + 0.5
    distance = ((across - x - w / 2) / w) ** 2 + ((down - y - h / 2) / h) ** 2
    return (distance <= 0.25).astype(np.uint8)


def as_rle(pixels):
    found = coco_mask.encode(np.asfortranarray(pixels))
    return {"size": list(found["size"]), "counts": found["counts"].decode()}


def resized(pixels, width, height):
    image = Image.fromarray(pixels).resize((width, height), Image.Resampling.NEAREST)
    return np.asarray(image)


def letterboxed(pixels, side, *, centered=True):
    height, width = pixels.shape
    scale = side / max(height, width)
    inner = resized(pixels, round(width * scale), round(height * scale))
    low = [(side - length) // 2 if centered else 0 for length in inner.shape]
    canvas = np.zeros((side, side), np.uint8)
    canvas[low[0] : low[0] + inner.shape[0], low[1] : low[1] + inner.shape[1]] = inner
    return canvas


def read(pixels, box=BOX):
    size = np.array([[WIDTH, HEIGHT]])
    masks = read_coco_masks([as_rle(pixels)], size, np.array([box]))
    (text,) = masks.rle
    if text is None:
        return None, masks.broken[0]
    mask = coco_mask.decode({"size": [HEIGHT, WIDTH], "counts": text})
    return mask, masks.remarks[0]


@pytest.mark.parametrize("size", [(128, 96), (32, 24), (200, 150), (160, 160)])
def test_resized_masks_are_resized_by_the_nearest_pixels(size):
    other = resized(ellipse(), *size)
    mask, remark = read(other)
    assert mask.tolist() == resized(other, WIDTH, HEIGHT).tolist()
    image = f"its size is {[*size[::-1]]}, but the image has [48, 64]"
    assert remark == f"{image}, so it was read as the resized image"


@pytest.mark.parametrize(
    ("centered", "name"),
    [(True, "letterboxed image"), (False, "image, padded at the right or below")],
)
def test_letterboxed_masks_are_cut_out(centered, name):
    mask, remark = read(letterboxed(ellipse(), 128, centered=centered))
    assert mask.tolist() == ellipse().tolist()
    assert remark.endswith(f"so it was read as the {name}")


def test_width_and_height_may_be_swapped():
    swapped = {**as_rle(ellipse()), "size": [WIDTH, HEIGHT]}
    masks = read_coco_masks([swapped], np.array([[WIDTH, HEIGHT]]), np.array([BOX]))
    assert masks.rle == [as_rle(ellipse())["counts"]]
    assert masks.remarks[0].endswith("so width and height were swapped")


def test_without_a_box_the_aspect_ratio_decides():
    mask, _ = read(resized(ellipse(), 128, 96), NOTHING)
    assert mask.tolist() == ellipse().tolist()
    mask, reason = read(resized(ellipse(), 160, 160), NOTHING)
    assert mask is None
    assert reason == "its size is [160, 160], but the image has [48, 64]"


def test_a_box_in_pixels_of_the_mask_is_left_to_be_found_out():
    mask, _ = read(resized(ellipse(), 256, 192), [4 * value for value in BOX])
    assert mask.tolist() == ellipse().tolist()


@pytest.mark.parametrize("pixels", [np.ones((28, 28), np.uint8), ellipse(96, 96)])
def test_a_mask_that_no_reading_puts_into_its_box_is_left_out(pixels):
    """Such as a crop, which spans the box alone."""
    mask, reason = read(pixels, [40.0, 30.0, 8.0, 9.0])
    assert mask is None
    assert "but the image has [48, 64]" in reason


def test_a_mask_too_large_to_decode_is_left_out():
    huge = {"size": [60_000, 30_000], "counts": [60_000 * 30_000]}
    masks = read_coco_masks([huge], np.array([[64, 48]]), np.array([BOX]))
    assert masks.rle == [None]


@pytest.mark.real_data
@pytest.mark.parametrize("change", ["stretched", "letterboxed"])
def test_real_masks_get_nearly_the_ap_of_the_right_ones(shared_data: Path, change):
    folder = shared_data / "balloon"
    ground_truth = json.loads((folder / "annotations.json").read_text())
    found = json.loads((folder / "predictions.json").read_text())
    size = {i["id"]: (i["width"], i["height"]) for i in ground_truth["images"]}
    right = evaluated(ground_truth, found, "segm").summary()["AP"]
    sizes = np.array([size[one["image_id"]] for one in found])
    wrong = []
    for one, (width, height) in zip(found, sizes.tolist(), strict=True):
        pixels = coco_mask.decode(encode(one["segmentation"], height, width))
        make = letterboxed if change == "letterboxed" else resized
        side = (1024,) if change == "letterboxed" else (1024, 1024)
        wrong.append(as_rle(make(pixels, *side)))
    boxes = np.array([one["bbox"] for one in found])
    masks = read_coco_masks(wrong, sizes, boxes)
    assert None not in masks.rle
    words = {"stretched": "resized image", "letterboxed": "letterboxed image"}
    # All but a few whose image is nearly square
    fits = [words[change] in remark for remark in masks.remarks.values()]
    assert np.mean(fits) > 0.9
    mended = [
        {**one, "segmentation": {"size": [height, width], "counts": text}}
        for one, text, (width, height) in zip(
            found, masks.rle, sizes.tolist(), strict=True
        )
    ]
    ap = evaluated(ground_truth, mended, "segm").summary()["AP"]
    assert ap == pytest.approx(right, abs=0.03)
