"""Segmentations that are not in COCO's format, read as their most likely meaning.

Exporters write polygons flat or as pairs of coordinates, and run lengths as the text
that Python shows of bytes, or in base64. What cannot be read is left out, a polygon at
a time, so that the rest of the object is kept.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit import rle
from fiftyone_coco_audit.coco.mask_sizes import fit_to_image
from fiftyone_coco_audit.wording import counted

_MAX_DEPTH = 5  # lists in lists; COCO has 2
_MAX_CHARACTERS_PER_PIXEL = 7  # of run lengths, against archives that never end
_PACKED = b"\x78"  # how zlib begins
_BYTES_OF_PYTHON = re.compile(r"""b(['"])[0-o]*\1""")


class Masks(NamedTuple):
    """The masks of several segmentations.

    Attributes:
        rle: ``N`` compressed run lengths, ``None`` where there is no mask
        broken: the reason for each segmentation that is not a mask, by row
        remarks: how each that is not in COCO's form was read, by row
    """

    rle: list[str | None]
    broken: dict[int, str]
    remarks: dict[int, str]


def read_coco_masks(
    segmentations: Sequence[Any],
    sizes: NDArray[np.int64],
    boxes: NDArray[np.float64],
) -> Masks:
    """Reads segmentations of any form.

    Args:
        segmentations: ``N`` raw segmentations
        sizes: ``(N, 2)`` width and height of each image
        boxes: ``(N, 4)`` boxes of the records in pixels, NaN where there is none

    Returns:
        the :class:`Masks`
    """
    first = rle.compress(segmentations, sizes)
    texts = [None if isinstance(result, rle.Broken) else result for result in first]
    broken = {
        row: result.reason
        for row, result in enumerate(first)
        if isinstance(result, rle.Broken)
    }
    mended = {
        row: found
        for row in broken
        if (found := mend(segmentations[row], sizes[row], boxes[row])) is not None
    }
    rows = list(mended)
    second = rle.compress(
        [found.segmentation for found in mended.values()], sizes[rows]
    )
    remarks: dict[int, str] = {}
    for row, result in zip(rows, second, strict=True):
        if isinstance(result, str):
            texts[row] = result
            remarks[row] = mended[row].remark
            del broken[row]
    return Masks(texts, broken, remarks)


class Mended(NamedTuple):
    """A segmentation in COCO's form, and what was done to it."""

    segmentation: Any
    remark: str


def mend(
    segmentation: Any, image: NDArray[np.int64], box: NDArray[np.float64]
) -> Mended | None:
    """Brings a segmentation into COCO's form.

    Args:
        segmentation: one that :func:`rle.compress` refuses
        image: ``(2,)`` width and height of the image in pixels
        box: ``(4,)`` the box of the record in pixels, NaN if it has none

    Returns:
        a :class:`Mended`, which may still be refused; ``None`` where the form is not
        known
    """
    remarks: list[str] = []
    width, height = image.tolist()
    if isinstance(segmentation, str):
        with suppress(ValueError, RecursionError):
            segmentation = json.loads(segmentation)
            remarks.append("it is JSON in a string")
    segmentation = _as_list(segmentation)
    if isinstance(segmentation, list) and len(segmentation) == 1:
        (only,) = segmentation
        if isinstance(only, dict) and "counts" in only:
            segmentation = only
            remarks.append("it is a list of one mask")

    mended: Any = None
    if isinstance(segmentation, dict):
        # First as it is, because sound run lengths can be sound base64, too
        fitted = fit_to_image(segmentation, width, height, box)
        if fitted is None:
            mended = _mend_runs(segmentation, width, height, remarks)
            fitted = fit_to_image(mended, width, height, box)
        if fitted is not None:
            mended, remark = fitted
            remarks.append(remark)
    elif isinstance(segmentation, list):
        mended = _mend_polygons(segmentation, remarks)
    if mended is None:
        return None
    return Mended(mended, " and ".join(remarks) or "it is not a plain list")


def _mend_runs(
    segmentation: dict[str, Any], width: int, height: int, remarks: list[str]
) -> dict[str, Any]:
    size, counts = _as_list(segmentation.get("size")), segmentation.get("counts")
    if size is None:
        size = [height, width]
        remarks.append("it has no size, so the image's size was used")
    elif _has_text(size):
        size = [_as_number(side) for side in size]
        remarks.append("its size is text")

    counts = _as_list(counts)
    if _has_text(counts):
        counts = [_as_number(count) for count in counts]
        remarks.append("its counts are numbers as text")
    elif isinstance(counts, str):
        if _BYTES_OF_PYTHON.fullmatch(counts):
            counts = counts[2:-1].replace("\\\\", "\\")
            remarks.append("its counts are Python's text of bytes, b'...'")
        elif (decoded := _of_base64(counts, width * height)) is not None:
            counts = decoded
            remarks.append("its counts are in base64")
    return {"size": size, "counts": counts}


def _of_base64(text: str, pixels: int) -> str | None:
    """Decodes base64, and unpacks it if it is compressed, as in Open Images."""
    with suppress(ValueError, zlib.error):
        content = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        if content.startswith(_PACKED):
            most = _MAX_CHARACTERS_PER_PIXEL * pixels
            content = zlib.decompressobj().decompress(content, most)
        return content.decode("latin-1")
    return None


def _mend_polygons(parts: list[Any], remarks: list[str]) -> list[list[float]] | None:
    sound: list[list[float]] = []
    faults: list[str] = []
    for polygon, form in _polygons(parts):
        forms = [form] if form else []
        if _has_text(polygon):
            polygon = [_as_number(number) for number in polygon]
            forms.append("its coordinates are numbers as text")
        fault = rle.polygon_fault(polygon)
        if fault is None:
            sound.append(polygon)
            remarks += [form for form in forms if form not in remarks]
        else:
            faults.append(fault)
    if faults:
        polygons = counted(len(sound) + len(faults), "polygon")
        were = "was" if len(faults) == 1 else "were"
        remarks.append(f"{len(faults)} of {polygons} {were} left out: {faults[0]}")
    return sound or None


def _polygons(value: Any, depth: int = 1) -> Iterator[tuple[Any, str]]:
    """Yields each polygon of nested lists as one list of coordinates, and its form.

    The form is empty where it is COCO's. Invalid polygons are yielded too.
    """
    value = _as_list(value)
    if not isinstance(value, list) or depth > _MAX_DEPTH:
        yield value, ""
    elif value and all(_is_point(item) for item in value):
        points = [item.values() if isinstance(item, dict) else item for item in value]
        yield [number for point in points for number in point], "its points are pairs"
    elif any(isinstance(item, (list, tuple, dict, np.ndarray)) for item in value):
        for item in value:
            yield from _polygons(item, depth + 1)
    else:
        form = {1: "it is one flat list", 2: ""}.get(depth, "it is nested too deep")
        yield value, form


def _is_point(value: Any) -> bool:
    if isinstance(value, dict):
        return list(value) == ["x", "y"]
    return (
        isinstance(value, (list, tuple))
        and len(value) == 2
        and all(isinstance(number, (int, float, str)) for number in value)
    )


def _as_list(value: Any) -> Any:
    """A tuple or an array as a list; anything else as it is."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value


def _has_text(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(item, str) for item in value)


def _as_number(value: Any) -> Any:
    """A number that is text as a number; anything else as it is."""
    if isinstance(value, str):
        with suppress(ValueError):
            number = float(value)
            return int(number) if number.is_integer() else number
    return value
