"""COCO masks as run lengths: checked, compressed, measured, cut to their boxes.

COCO stores a mask as the lengths of its runs, column by column, the first run being
background; written as text they are called compressed. ``pycocotools`` reads beyond
its memory on text that is none of its own, so whatever comes from a file is decoded
and checked here before anything is handed to it.

The text (``rleToString`` of ``maskApi.c``) has five bits a character, the lowest
first, the sixth says that more follow and the sign is the top bit of the last
character's five; from the fourth run on, the difference to the run two before is
written.
"""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from numbers import Real
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.objects import RLE
from fiftyone_coco_audit.wording import counted, json_kind

_FIRST_CHARACTER = 48
_MAX_CHARACTERS_PER_RUN = 7  # 35 bits, more than any run of an image needs
_MAX_PIXELS = 2**31  # pycocotools counts pixels in 32 bits
_MAX_OUTLINE = 4_000_000  # pycocotools takes 80 bytes per pixel of a polygon's outline
_MAX_COORDINATE = 100_000_000  # pycocotools multiplies by 5 in 32 bits
_MAX_CROP = 2**26  # the App draws each mask as an image of its box
# pycocotools converts numbers of its results through a C int, and raises
# OverflowError for lists of 256 and more under NumPy 2
_AREA_SLICE = 255
_CHARACTERS_AT_ONCE = 2**17  # the arrays of a portion stay in the processor's cache


class Broken(NamedTuple):
    """A segmentation that is not a mask, and why."""

    reason: str


@dataclass(frozen=True)
class RunLengths:
    """The run lengths of several masks, one after the other.

    Attributes:
        counts: ``(R,)`` lengths of all runs
        offsets: ``(N + 1,)`` mask ``i`` has the runs ``offsets[i]:offsets[i + 1]``
    """

    counts: NDArray[np.int64]
    offsets: NDArray[np.int64]

    def sums(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Sums one value per run over each mask: ``(R,)`` to ``(N,)``."""
        total = np.concatenate([[0], np.cumsum(values)])
        sums: NDArray[np.int64] = np.diff(total[self.offsets])
        return sums

    def indices(self) -> NDArray[np.int64]:
        """The place of each run in its own mask, from 0: ``(R,)``."""
        starts = np.repeat(self.offsets[:-1], np.diff(self.offsets))
        return np.arange(len(self.counts)) - starts


def compress(
    segmentations: Sequence[Any], sizes: NDArray[np.int64]
) -> list[str | Broken]:
    """Turns segmentations of any COCO kind into compressed run lengths.

    Polygons and lists of runs become what ``pycocotools.coco.COCO.annToRLE`` makes
    of them; valid text stays unchanged.

    Args:
        segmentations: ``N`` lists of polygons, or dicts of ``size`` and ``counts``
        sizes: ``(N, 2)`` width and height of each image

    Returns:
        for each segmentation the text, or a :class:`Broken` with the reason
    """
    results: list[str | Broken] = [Broken("")] * len(segmentations)
    texts: list[int] = []
    for i, (segmentation, (width, height)) in enumerate(
        zip(segmentations, sizes.tolist(), strict=True)
    ):
        result = _compress_one(segmentation, width, height)
        results[i] = result
        if isinstance(segmentation, dict) and isinstance(result, str):
            texts.append(i)

    row = 0
    for runs, sound in _decode([results[i] for i in texts]):  # type: ignore[misc]
        part = texts[row : row + len(sound)]
        row += len(part)
        totals = runs.sums(runs.counts)
        pixels = sizes[part].prod(axis=1)
        for i, ok, total, area in zip(part, sound, totals, pixels, strict=True):
            if not ok:
                results[i] = Broken("the text of its run lengths is malformed")
            elif total != area:
                reason = f"its runs cover {total} pixels, but the image has {area}"
                results[i] = Broken(reason)
    return results


def _compress_one(segmentation: Any, width: int, height: int) -> str | Broken:
    """Compresses one segmentation; text is passed on unchecked."""
    if width * height >= _MAX_PIXELS:
        return Broken(f"an image of {width} x {height} is too large for a mask")
    if isinstance(segmentation, list):
        return _compress_polygons(segmentation, width, height)
    if not isinstance(segmentation, dict):
        return Broken(f"it is {json_kind(segmentation)}, not a list or an object")

    size = segmentation.get("size")
    if (
        not isinstance(size, (list, tuple))
        or not all(isinstance(side, Real) for side in size)
        or list(size) != [height, width]
    ):
        return Broken(f"its size is {size}, but the image has {[height, width]}")
    counts = segmentation.get("counts")
    if isinstance(counts, (bytes, bytearray, memoryview)):
        counts = bytes(counts).decode("latin-1")
    if isinstance(counts, str):
        return counts
    if isinstance(counts, (list, np.ndarray)):
        return _compress_runs(counts, width, height)
    return Broken(f"its counts are {json_kind(counts)}, not a list or text")


def _compress_runs(
    counts: list[Any] | NDArray[Any], width: int, height: int
) -> str | Broken:
    from pycocotools import mask as coco_mask

    try:
        runs = np.asarray(counts)
    except ValueError:
        return Broken("its counts are not a plain list of numbers")
    if runs.ndim != 1 or runs.dtype.kind not in "iuf":
        return Broken("its counts are not a plain list of numbers")
    if not ((runs >= 0) & (runs <= width * height) & (runs == np.floor(runs))).all():
        return Broken("its counts are not all whole numbers from 0")
    total = int(runs.sum())
    if total != width * height:
        return Broken(
            f"its runs cover {total} pixels, but the image has {width * height}"
        )
    uncompressed = {"size": [height, width], "counts": runs.astype(int).tolist()}
    text: str = coco_mask.frPyObjects(uncompressed, height, width)["counts"].decode()
    return text


def _compress_polygons(polygons: list[Any], width: int, height: int) -> str | Broken:
    from pycocotools import mask as coco_mask

    if not polygons:
        return Broken("it has no polygon")
    outline = 0.0
    for polygon in polygons:
        fault = polygon_fault(polygon)
        if fault is not None:
            return Broken(fault)
        points = np.array(polygon, dtype=np.float64).reshape(-1, 2)
        edges = np.abs(points - np.roll(points, 1, axis=0))
        outline += float(edges.max(axis=1).sum())
    if outline > _MAX_OUTLINE:
        return Broken(f"its outline is {outline:.0f} pixels long, too long to draw")
    parts = coco_mask.frPyObjects(polygons, height, width)
    text: str = coco_mask.merge(parts)["counts"].decode()
    return text


def polygon_fault(polygon: Any) -> str | None:
    """Returns why a value is not a polygon that can be drawn, ``None`` if it is one."""
    if not isinstance(polygon, (list, tuple)) or not all(
        issubclass(t, Real) and not issubclass(t, bool) for t in set(map(type, polygon))
    ):
        return "a polygon is not a list of numbers"
    if len(polygon) % 2:
        return f"a polygon has {len(polygon)} numbers, an odd count"
    if len(polygon) < 6:
        return f"a polygon has {counted(len(polygon) // 2, 'point')} but needs 3"
    try:
        near = -_MAX_COORDINATE <= min(polygon) <= max(polygon) <= _MAX_COORDINATE
    except OverflowError:  # a NumPy number compared with one of any length
        near = False
    if not near or math.isnan(sum(polygon)):  # NaN slips through comparisons
        return "a point of a polygon is not finite or far away"
    return None


def decode(texts: Sequence[str]) -> RunLengths:
    """Decodes compressed run lengths.

    Args:
        texts: ``N`` texts

    Returns:
        the :class:`RunLengths`

    Raises:
        ValueError: if a text is malformed
    """
    parts = list(_decode(texts))
    if not all(sound.all() for _, sound in parts):
        raise ValueError("malformed run lengths")
    sizes = [np.diff(runs.offsets) for runs, _ in parts]
    return RunLengths(
        np.concatenate([np.empty(0, np.int64), *(runs.counts for runs, _ in parts)]),
        np.concatenate([[0], np.cumsum(np.concatenate([np.empty(0, int), *sizes]))]),
    )


def _decode(texts: Sequence[str]) -> Iterator[tuple[RunLengths, NDArray[np.bool_]]]:
    """Decodes in portions, and says whether each text is valid."""
    start, characters = 0, 0
    for stop, text in enumerate(texts, 1):
        characters += len(text)
        if characters >= _CHARACTERS_AT_ONCE or stop == len(texts):
            yield _decode_portion(texts[start:stop])
            start, characters = stop, 0


def _decode_portion(texts: Sequence[str]) -> tuple[RunLengths, NDArray[np.bool_]]:
    sound = np.array([text.isascii() for text in texts], dtype=bool)
    texts = [text if ok else "" for text, ok in zip(texts, sound, strict=True)]
    offsets = np.concatenate([[0], np.cumsum([len(text) for text in texts])])
    codes = np.frombuffer("".join(texts).encode(), np.uint8).astype(np.int64)
    codes -= _FIRST_CHARACTER
    bad = (codes < 0) | (codes > 63)

    is_last = (codes & 32) == 0
    ends = offsets[1:][np.diff(offsets) > 0] - 1
    bad[ends] |= ~is_last[ends]
    is_last[ends] = True

    last = np.flatnonzero(is_last)
    first = np.concatenate([[0], last[:-1] + 1])[: len(last)]
    length = last - first + 1
    bad[last] |= length > _MAX_CHARACTERS_PER_RUN
    place = np.arange(len(codes)) - np.repeat(first, length)
    bits = (codes & 31) << (5 * np.minimum(place, _MAX_CHARACTERS_PER_RUN))
    values = np.add.reduceat(bits, first) if len(first) else bits
    negative = (codes[last] & 16) != 0
    values -= negative.astype(np.int64) << (
        5 * np.minimum(length, _MAX_CHARACTERS_PER_RUN)
    )

    runs_before = np.concatenate([[0], np.cumsum(is_last)])
    runs = RunLengths(values, runs_before[offsets])
    counts = _undo_differences(runs)
    bad[last] |= counts < 0
    bad_before = np.concatenate([[0], np.cumsum(bad)])
    sound &= np.diff(bad_before[offsets]) == 0
    return RunLengths(counts, runs.offsets), sound


def _undo_differences(runs: RunLengths) -> NDArray[np.int64]:
    """Adds to each run from the fourth on the one two before it."""
    index = runs.indices()
    counts = runs.counts.copy()
    for rows in (index % 2 == 1, (index % 2 == 0) & (index > 0)):
        total = np.concatenate([[0], np.cumsum(np.where(rows, runs.counts, 0))])
        before = np.repeat(total[runs.offsets[:-1]], np.diff(runs.offsets))
        counts[rows] = (total[1:] - before)[rows]
    return counts


def masks_of(texts: Iterable[str | None], sizes: NDArray[Any]) -> list[RLE]:
    """Masks in the form that pycocotools accepts.

    Args:
        texts: ``N`` compressed run lengths that :func:`compress` has passed
        sizes: ``(N, 2)`` width and height of each image
    """
    return [
        {"size": [int(height), int(width)], "counts": text}
        for text, (width, height) in zip(texts, sizes.tolist(), strict=True)
    ]


def mask_areas(masks: Sequence[RLE]) -> NDArray[np.float64]:
    """The number of pixels of each mask.

    Returns:
        ``(N,)`` areas in square pixels
    """
    from pycocotools import mask as coco_mask

    slices = [
        coco_mask.area(cast(list, masks[start : start + _AREA_SLICE]))
        for start in range(0, len(masks), _AREA_SLICE)
    ]
    return np.concatenate([np.zeros(0), *slices]).astype(np.float64)


def mask_boxes(masks: Sequence[RLE]) -> NDArray[np.float64]:
    """The box around each mask, as ``COCO.loadRes`` takes it.

    Returns:
        ``(N, 4)`` boxes ``[x, y, width, height]`` in pixels, of size 0 where a mask
        is empty
    """
    from pycocotools import mask as coco_mask

    if not len(masks):
        return np.empty((0, 4))
    return np.asarray(coco_mask.toBbox(cast(list, masks)), np.float64).reshape(-1, 4)


def drawable(pixel_boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Returns whether a mask over each box is of a size that can be drawn: ``(N,)``."""
    with np.errstate(over="ignore"):
        pixels: NDArray[np.float64] = np.maximum(pixel_boxes[:, 2:], 1).prod(axis=1)
    return pixels <= _MAX_CROP


def crops(
    texts: Sequence[str],
    sizes: NDArray[np.int64],
    pixel_boxes: NDArray[np.float64],
) -> Iterator[NDArray[np.bool_]]:
    """Cuts masks to their boxes, as FiftyOne stores them.

    The borders of a box are rounded as FiftyOne's own importer does. Where a box
    leaves the image the mask is padded, since the App stretches it over the box.
    Only the crop is ever dense: the place of each run's end in the image is turned
    into its place in the crop.

    Args:
        texts: ``N`` compressed run lengths that :func:`compress` has passed
        sizes: ``(N, 2)`` width and height of each image
        pixel_boxes: ``(N, 4)`` boxes ``[x, y, width, height]`` that are
            :func:`drawable`

    Yields:
        a ``(box height, box width)`` mask, at least one pixel
    """
    runs = decode(texts)
    far = float(_MAX_PIXELS)
    low = np.rint(pixel_boxes[:, :2]).clip(-far, far).astype(np.int64)
    high = np.rint(pixel_boxes[:, :2] + pixel_boxes[:, 2:]).clip(-far, far)
    high = np.maximum(high.astype(np.int64), low + 1)
    inner_low = low.clip(0, sizes)
    inner_high = high.clip(0, sizes)
    columns, rows = (inner_high - inner_low).T

    per_run = np.repeat(np.arange(len(texts)), np.diff(runs.offsets))
    total = np.cumsum(runs.counts)
    before = np.concatenate([[0], total])[runs.offsets[:-1]]
    ends = total - before[per_run]
    x, y = np.divmod(ends, sizes[per_run, 1])
    x -= inner_low[per_run, 0]
    y -= inner_low[per_run, 1]
    inside = (x >= 0) & (x < columns[per_run])
    ends = x.clip(0, columns[per_run]) * rows[per_run]
    ends += np.where(inside, y.clip(0, rows[per_run]), 0)

    index = runs.indices()
    lengths = np.diff(ends, prepend=0)
    lengths[index == 0] = ends[index == 0]
    is_mask = index % 2 == 1

    padding = np.stack([inner_low - low, high - inner_high], axis=2)[:, ::-1]
    padded: list[bool] = padding.any(axis=(1, 2), keepdims=True).ravel().tolist()
    for i, (start, stop) in enumerate(
        zip(runs.offsets[:-1].tolist(), runs.offsets[1:].tolist(), strict=True)
    ):
        crop = np.repeat(is_mask[start:stop], lengths[start:stop])
        crop = crop.reshape(columns[i], rows[i]).T
        if not crop.size:
            yield np.zeros((high - low)[i, ::-1], dtype=bool)
        elif padded[i]:
            yield np.pad(crop, padding[i])
        else:
            yield crop


def pack(mask: NDArray[np.bool_]) -> bytes:
    """Packs a mask as :func:`fiftyone.core.utils.serialize_numpy_array` does.

    The lowest level of compression is several times faster and reads back alike.
    """
    return zlib.compress(_npy_header(mask.shape) + mask.tobytes(), 1)


@lru_cache(maxsize=2**16)
def _npy_header(shape: tuple[int, ...]) -> bytes:
    with io.BytesIO() as file:
        np.lib.format.write_array_header_1_0(
            file, {"shape": shape, "fortran_order": False, "descr": "|b1"}
        )
        return file.getvalue()
