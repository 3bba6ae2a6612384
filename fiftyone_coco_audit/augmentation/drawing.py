"""Pictures of a sample before and after a pipeline, with the fate of its labels."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import product
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.augmentation.targets import (
    AugmentationTarget,
    AugmentedSample,
    Map,
    window,
)

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

Picture = NDArray[np.uint8]
Color = tuple[int, int, int]

#: The color of everything that went wrong, whatever the colors of labels are
HARM: Color = (229, 56, 59)
_WHITE: Color = (255, 255, 255)
_BLACK: Color = (0, 0, 0)
# Like the App's, but more transparent: stripes and the image must be visible through it
_MASK_OPACITY = 0.35
_QUALITY = 88
# In pixels on the page
_LETTERS = 10.5


@dataclass(frozen=True)
class Outline:
    """A box to draw, with its name.

    Attributes:
        box: ``[x, y, width, height]`` in pixels of the image
        color: RGB
        text: what stands at it
        dashed: whether it marks something that is absent
        flagged: whether it is wrong, which the name stands out for
    """

    box: Sequence[float]
    color: Color
    text: str = ""
    dashed: bool = False
    flagged: bool = False


def picture_before(
    target: AugmentationTarget,
    names: Sequence[str],
    colors: Sequence[Color],
    *,
    lost: Sequence[str] | None = None,
    width: int = 480,
    zoom: float = 1.0,
) -> Picture:
    """Draws the original sample, with a ghost of each object that is lost.

    Args:
        target: the sample
        names: the name of the class of each object
        colors: RGB of each object
        lost: of each object what to say if it gets lost, such as ``"lost"``; empty
            where it does not
        width: of the picture, in pixels
        zoom: how many of them there are to a pixel of the page, on which letters and
            lines have a size that can be read

    Returns:
        ``(height, width, 3)`` RGB
    """
    lost = lost or [""] * len(target)
    kept = [row for row in _rows(target) if not lost[row]]
    ghosts = [row for row in _rows(target) if lost[row]]
    boxes = target.box.tolist()
    outlines = [Outline(boxes[row], colors[row], names[row]) for row in kept]
    outlines += [
        Outline(boxes[row], HARM, f"{names[row]}: {lost[row]}", True, True)
        for row in ghosts
    ]
    image = _resized(target.image, width)
    maps = [_resized_map(layer, image.shape) for layer in target.maps]
    _fill(image, target, maps, colors)
    scale = image.shape[1] / target.image.shape[1]
    _outline(image, outlines, scale, zoom)
    _dot(image, target.keypoints, scale, zoom)
    return image


def picture_after(
    target: AugmentationTarget,
    drawn: AugmentedSample,
    names: Sequence[str],
    colors: Sequence[Color],
    *,
    flags: Sequence[str] | None = None,
    width: int = 480,
    zoom: float = 1.0,
) -> Picture:
    """Draws what a pipeline made of a sample.

    Pixels of objects that are seen outside all of their boxes are striped. Around
    flagged objects without a box, a dashed one is drawn.

    Args:
        target: the sample
        drawn: what became of it, with pixels
        names: the name of the class of each object
        colors: RGB of each object
        flags: of each object what is wrong with its boxes, such as ``"loose 2.1×"``,
            or with having none; empty where nothing is
        width: of the picture, in pixels
        zoom: how many of them there are to a pixel of the page, on which letters and
            lines have a size that can be read

    Returns:
        ``(height, width, 3)`` RGB
    """
    flags = flags or [""] * len(target)
    outlines = []
    for row, box in zip(drawn.object.tolist(), drawn.box.tolist(), strict=True):
        text = f"{names[row]}: {flags[row]}" if flags[row] else names[row]
        color = HARM if flags[row] else colors[row]
        outlines.append(Outline(box, color, text, flagged=bool(flags[row])))
    boxed = set(drawn.object.tolist())
    outlines += [
        Outline(around, HARM, f"{names[row]}: {flag}", dashed=True, flagged=True)
        for row, flag in enumerate(flags)
        if flag and row not in boxed
        for around in [_around(drawn.object_mask(target, row))]
    ]
    image = _resized(as_rgb(drawn.image), width)
    maps = [_resized_map(layer, image.shape) for layer in drawn.maps]
    _fill(image, target, maps, colors)
    scale = image.shape[1] / drawn.image.shape[1]
    _stripe(image, _unlabeled(target, drawn, maps, scale), zoom)
    _outline(image, outlines, scale, zoom)
    _dot(image, drawn.keypoints, scale, zoom)
    return image


def as_rgb(image: NDArray[Any]) -> Picture:
    """Converts any image that a pipeline returns to one that can be shown.

    Args:
        image: ``(H, W)``, ``(H, W, 1)`` or ``(H, W, 3)``, of bytes, or of numbers from
            0 to 1

    Returns:
        ``(H, W, 3)`` RGB
    """
    if image.ndim == 2:
        image = image[..., None]
    if image.dtype.kind == "f":
        image = np.nan_to_num(image) * 255
    image = np.clip(image, 0, 255).astype(np.uint8)
    channels = image[..., :3] if image.shape[2] >= 3 else image[..., :1].repeat(3, 2)
    return np.ascontiguousarray(channels)


def data_uri(picture: Picture) -> str:
    """A picture as a ``data:`` URI."""
    _, data = cv2.imencode(
        ".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    )
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()


def _rows(target: AugmentationTarget) -> list[int]:
    """The objects that can be seen, the largest first, so that none hides another."""
    rows = np.flatnonzero(target.usable)
    area = target.box[rows, 2:].prod(axis=1)
    return [int(row) for row in rows[np.argsort(-area, kind="stable")]]


def _around(mask: NDArray[np.bool_]) -> Sequence[int]:
    return cv2.boundingRect(mask.astype(np.uint8))


def _resized(image: Picture, width: int) -> Picture:
    height = max(round(image.shape[0] * width / image.shape[1]), 1)
    smaller = width < image.shape[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    # Always a copy, because it is drawn on
    return np.array(cv2.resize(image, (width, height), interpolation=how), np.uint8)


def _resized_map(layer: Map, shape: Sequence[int]) -> Map:
    size = shape[1], shape[0]
    return np.asarray(
        cv2.resize(layer, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8
    )


def _fill(
    image: Picture,
    target: AugmentationTarget,
    maps: Sequence[Map],
    colors: Sequence[Color],
) -> None:
    """Colors the pixels of all objects that have a mask, one map at a time."""
    palette = np.asarray(colors, np.float32).reshape(-1, 3)
    masked = np.flatnonzero(target.usable & ~target.from_box)
    for index, layer in enumerate(maps):
        rows = masked[target.map_of[masked] == index]
        known, color = np.zeros(256, bool), np.zeros((256, 3), np.float32)
        known[target.number[rows]] = True
        color[target.number[rows]] = palette[rows]
        seen = known[layer]
        image[seen] = (
            image[seen] * (1 - _MASK_OPACITY) + color[layer[seen]] * _MASK_OPACITY
        ).astype(np.uint8)


def _unlabeled(
    target: AugmentationTarget,
    drawn: AugmentedSample,
    maps: Sequence[Map],
    scale: float,
) -> NDArray[np.bool_]:
    """Where objects are visible outside all of their own boxes."""
    rest = [layer.copy() for layer in maps]
    for row, box in zip(drawn.object.tolist(), drawn.box.tolist(), strict=True):
        layer = rest[target.map_of[row]]
        spot = window([scale * value for value in box], layer.shape)
        layer[spot][layer[spot] == target.number[row]] = 0
    shape = maps[0].shape if maps else (1, 1)
    outside = np.zeros(shape, bool)
    for layer in rest:
        outside |= layer > 0
    if drawn.covered is not None and maps:
        outside &= _resized_map(drawn.covered, shape) == 0
    return outside


def _stripe(image: Picture, where: NDArray[np.bool_], zoom: float) -> None:
    """Stripes that are visible on light and dark images, within an outline."""
    if not where.any():
        return
    period = max(round(8 * zoom), 4)
    height, width = where.shape
    phase = (np.arange(height)[:, None] + np.arange(width)) % period
    image[where & (phase < period * 0.55)] = HARM
    image[where & (phase >= period * 0.55)] //= 2
    image[where & (phase >= period * 0.9)] = _WHITE
    contours, _ = cv2.findContours(
        where.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE
    )
    cv2.drawContours(image, contours, -1, HARM, max(round(zoom), 1), cv2.LINE_AA)


def _outline(
    image: Picture, outlines: Sequence[Outline], scale: float, zoom: float
) -> None:
    """Draws boxes, and then their names, so that no box is drawn over a name."""
    taken: list[tuple[int, int, int, int]] = []
    for outline in outlines:
        _draw_box(image, outline, scale, zoom)
    # Flagged boxes get their places first
    for outline in sorted(outlines, key=lambda one: not one.flagged):
        _draw_name(image, outline, scale, zoom, taken)


def _dot(
    image: Picture, points: NDArray[np.float64], scale: float, zoom: float
) -> None:
    """Draws white points with black edges, which are visible on any image."""
    for x, y in np.rint(points * scale).astype(int).tolist():
        for radius, color in ((3.5, _BLACK), (2.5, _WHITE)):
            cv2.circle(image, (x, y), round(radius * zoom), color, -1, cv2.LINE_AA)


def _corners(outline: Outline, scale: float) -> tuple[int, int, int, int]:
    x, y, width, height = (scale * value for value in outline.box)
    return round(x), round(y), round(x + width) - 1, round(y + height) - 1


def _draw_box(image: Picture, outline: Outline, scale: float, zoom: float) -> None:
    left, top, right, bottom = _corners(outline, scale)
    thick = max(round((2 if outline.flagged else 1.4) * zoom), 1)
    if not outline.dashed:
        cv2.rectangle(image, (left, top), (right, bottom), outline.color, thick)
        return
    edge = np.zeros(image.shape[:2], np.uint8)
    cv2.rectangle(edge, (left, top), (right, bottom), 1, thick)
    rows, columns = np.nonzero(edge)
    # White between the dashes, so that they are visible on any image
    is_dash = (rows + columns) // max(round(6 * zoom), 2) % 2 == 0
    image[rows, columns] = np.where(is_dash[:, None], outline.color, _WHITE)


def _draw_name(
    image: Picture,
    outline: Outline,
    scale: float,
    zoom: float,
    taken: list[tuple[int, int, int, int]],
) -> None:
    """Writes the name above its box, or elsewhere at it where there is no room.

    A name without room beside the others is left out.
    """
    if not outline.text:
        return
    ink = _ink(outline.text, round(_LETTERS * zoom))
    pad = max(round(2 * zoom), 1)
    height, width = ink.shape[0] + 2 * pad, ink.shape[1] + 2 * pad
    if height > image.shape[0] or width > image.shape[1]:
        return
    left, top, right, bottom = _corners(outline, scale)
    for x, y in product(
        (left, right + 1 - width), (top - height, top, bottom + 1, bottom + 1 - height)
    ):
        x = min(max(x, 0), image.shape[1] - width)
        place = (x, y, x + width, y + height)
        inside = 0 <= y <= image.shape[0] - height
        if inside and not any(_overlap(place, other) for other in taken):
            break
    else:
        return
    taken.append(place)
    spot = image[place[1] : place[3], place[0] : place[2]]
    spot[:] = outline.color
    letters = _BLACK if _luminance(outline.color) > 0.4 else _WHITE
    strength = ink[..., None].astype(np.float32) / 255
    inner = spot[pad : pad + ink.shape[0], pad : pad + ink.shape[1]]
    inner[:] = (inner * (1 - strength) + np.array(letters) * strength).astype(np.uint8)


def _overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _luminance(color: Color) -> float:
    """The relative luminance of WCAG 2, which decides on white or black letters."""
    linear = (np.asarray(color) / 255) ** 2.2
    return float(linear @ [0.2126, 0.7152, 0.0722])


@cache
def _font(size: int) -> FreeTypeFont:
    """DejaVu, which has Greek and Cyrillic letters too, and comes with matplotlib."""
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(
        f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", size
    )


@lru_cache(maxsize=2048)
def _ink(text: str, size: int) -> NDArray[np.uint8]:
    """``(H, W)`` where a text has ink, 0 to 255; of the same height for all texts."""
    from PIL import Image, ImageDraw

    font = _font(size)
    ascent, descent = font.getmetrics()
    canvas = Image.new("L", (max(round(font.getlength(text)), 1), ascent + descent))
    ImageDraw.Draw(canvas).text((0, 0), text, fill=255, font=font)
    return np.asarray(canvas)
