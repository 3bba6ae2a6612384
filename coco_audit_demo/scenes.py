"""Composed scenes: objects that lie on a surface, with their exact visible masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np

from coco_audit_demo import textures
from coco_audit_demo.shapes import SHAPES, Raster

# What may lie on top: a coin on a leaf is natural, a coin on a drink is not
_MAX_COVERED = {"mug": 0.08, "clock": 0.12, "ladybug": 0.0}
_MAX_COVERED_DEFAULT = 0.45
_MIN_FRAGMENT = 40
_UPRIGHT = {"clock": 0.4, "mug": 3.2}
_HALFWAY = textures.LIGHT + np.array([0, 0, 1], dtype=np.float32)
_HIGHLIGHT = _HALFWAY / np.linalg.norm(_HALFWAY)


class Box(NamedTuple):
    """A box in whole pixels, as COCO has it."""

    x: int
    y: int
    width: int
    height: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of the box."""
        return (
            slice(self.y, self.y + self.height),
            slice(self.x, self.x + self.width),
        )

    def shifted(self, dx: int, dy: int) -> Box:
        """The same box elsewhere."""
        return Box(self.x + dx, self.y + dy, self.width, self.height)

    def __and__(self, other: Box) -> Box:
        """The part that both boxes share, without extent if there is none."""
        x, y = max(self.x, other.x), max(self.y, other.y)
        right = min(self.x + self.width, other.x + other.width)
        bottom = min(self.y + self.height, other.y + other.height)
        return Box(x, y, max(right - x, 0), max(bottom - y, 0))


@dataclass(frozen=True)
class Prop:
    """An object that a scene asks for.

    Args:
        category: a name of :data:`SHAPES`
        size: diameter in pixels
        place: ``"anywhere"``, ``"clear"`` (touching nothing), ``"border"`` (a third
            of it out of the picture), ``"on_leaf"`` or ``"crowd"`` (a heap of them)
    """

    category: str
    size: float
    place: str = "anywhere"


@dataclass(eq=False)
class SceneObject:
    """An object of a scene.

    Args:
        category: its class
        whole: its box, hidden parts and parts out of the picture included
        box: the tight box of its visible pixels
        mask: its visible pixels inside ``box``
        visible: share of its pixels that can be seen
        place: the place that was asked for
        members: of a crowd, the boxes of its members
    """

    category: str
    whole: Box
    box: Box
    mask: np.ndarray
    visible: float
    place: str
    members: list[Box] = field(default_factory=list)


@dataclass(frozen=True)
class _Sprite:
    rgb: np.ndarray
    alpha: np.ndarray
    mask: np.ndarray
    box: Box


@dataclass(frozen=True)
class _Laid:
    prop: Prop
    whole: Box
    pixels: int
    members: list[Box] = field(default_factory=list)


def draw_scene(
    height: int,
    width: int,
    props: Sequence[Prop],
    min_side: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, list[SceneObject]]:
    """Draws a scene.

    Larger objects lie below smaller ones. An object for which no room is found
    is left out, so that nothing is ever hidden, cut or split beyond recognition.

    Args:
        height: rows
        width: columns
        props: the objects asked for
        min_side: shortest side in pixels that a visible box may have; objects of
            place ``"clear"`` are exempt
        rng: the source of randomness

    Returns:
        the picture, uint8 RGB of shape ``(height, width, 3)``, and its objects
    """
    surface = textures.TEXTURES[rng.integers(len(textures.TEXTURES))]
    stage = _Stage(surface(height, width, rng).astype(np.float32), min_side, rng)
    order = {"crowd": 0, "anywhere": 1, "border": 1, "on_leaf": 2, "clear": 3}
    for prop in sorted(props, key=lambda prop: (order[prop.place], -prop.size)):
        if prop.place == "crowd":
            stage.add_crowd(prop)
        else:
            stage.add(prop)
    return _expose(stage.picture, rng), stage.objects()


class _Stage:
    """A picture under work, with the owner of each pixel."""

    def __init__(
        self, picture: np.ndarray, min_side: int, rng: np.random.Generator
    ) -> None:
        self.picture = picture
        self.frame = Box(0, 0, picture.shape[1], picture.shape[0])
        self.min_side = min_side
        self.rng = rng
        self.owner = np.full(picture.shape[:2], -1, dtype=np.int16)
        self.laid: list[_Laid] = []

    def add(self, prop: Prop) -> None:
        sprite = _render(prop.category, prop.size, self.rng)
        for _ in range(40):
            box = sprite.box.shifted(*self._corner(prop, sprite.box))
            if self._fits(prop, sprite, box):
                self.laid.append(_Laid(prop, box, int(sprite.mask.sum())))
                self._lay(sprite, box, len(self.laid) - 1)
                return

    def add_crowd(self, prop: Prop) -> None:
        spread = 1.6 * prop.size
        room = np.array([self.frame.width, self.frame.height]) - 2.2 * spread
        middle = self.rng.uniform(2.2 * spread, room)
        members = []
        for _ in range(26):
            sprite = _render(prop.category, prop.size, self.rng)
            x, y = middle + spread * np.clip(self.rng.standard_normal(2), -1.5, 1.5)
            box = sprite.box.shifted(int(x), int(y))
            self._lay(sprite, box, len(self.laid))
            members.append(box & self.frame)
        heap = self.owner == len(self.laid)
        self.laid.append(_Laid(prop, _tight(heap), int(heap.sum()), members))

    def objects(self) -> list[SceneObject]:
        found = []
        for index, laid in enumerate(self.laid):
            seen = laid.whole & self.frame
            mask = self.owner[seen.slices] == index
            tight = _tight(mask)
            found.append(
                SceneObject(
                    category=laid.prop.category,
                    whole=laid.whole,
                    box=tight.shifted(seen.x, seen.y),
                    mask=mask[tight.slices],
                    visible=float(mask.sum() / laid.pixels),
                    place=laid.prop.place,
                    members=laid.members,
                )
            )
        return found

    def _corner(self, prop: Prop, box: Box) -> tuple[int, int]:
        room = np.array([self.frame.width - box.width, self.frame.height - box.height])
        margin = 0.15 * np.array([box.width, box.height])
        if prop.place == "clear":
            margin = np.full(2, -4.0)
        x, y = self.rng.uniform(-margin, room + margin)
        if prop.place == "border":
            out = self.rng.uniform(0.30, 0.40)
            low = self.rng.random() < 0.5
            if self.rng.random() < 0.5:
                x = -out * box.width if low else room[0] + out * box.width
            else:
                y = -out * box.height if low else room[1] + out * box.height
        leaves = [laid.whole for laid in self.laid if laid.prop.category == "leaf"]
        if prop.place == "on_leaf" and leaves:
            leaf = leaves[self.rng.integers(len(leaves))]
            jitter = 0.15 * self.rng.standard_normal(2)
            x = leaf.x + (0.5 + jitter[0]) * leaf.width - box.width / 2
            y = leaf.y + (0.5 + jitter[1]) * leaf.height - box.height / 2
        return int(x) - box.x, int(y) - box.y

    def _fits(self, prop: Prop, sprite: _Sprite, box: Box) -> bool:
        seen = box & self.frame
        mask = sprite.mask[seen.shifted(-box.x, -box.y).slices]
        inside = mask.sum() / sprite.mask.sum()
        if prop.place == "border" and seen == box:
            return False
        if prop.place != "border" and inside < 0.75:
            return False
        owners = self.owner[seen.slices][mask]
        if prop.place == "clear":
            return bool((owners < 0).all())
        return self._sound(mask) and all(
            self._stays_sound(self.laid[index], index, seen, mask)
            for index in np.unique(owners[owners >= 0])
        )

    def _stays_sound(
        self, below: _Laid, index: int, seen: Box, mask: np.ndarray
    ) -> bool:
        """Whether enough of an object can be seen if ``mask`` is laid over it."""
        if below.prop.place in ("crowd", "clear"):
            return False
        view = below.whole & self.frame
        shared = view & seen
        left = self.owner[view.slices] == index
        left[shared.shifted(-view.x, -view.y).slices] &= ~mask[
            shared.shifted(-seen.x, -seen.y).slices
        ]
        limit = _MAX_COVERED.get(below.prop.category, _MAX_COVERED_DEFAULT)
        return bool(left.sum() >= (1 - limit) * below.pixels) and self._sound(left)

    def _sound(self, mask: np.ndarray) -> bool:
        """Whether what can be seen is large enough, and in few large pieces."""
        count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
        if not 1 < count <= 4 or stats[1:, cv2.CC_STAT_AREA].min() < _MIN_FRAGMENT:
            return False
        box = _tight(mask)
        return min(box.width, box.height) >= self.min_side

    def _lay(self, sprite: _Sprite, box: Box, index: int) -> None:
        x, y = box.x - sprite.box.x, box.y - sprite.box.y
        size = sprite.alpha.shape[0]
        # A soft shadow at some distance and a dark one where the object touches
        for shift, blur, strength in ((0.055, 0.05, 0.42), (0.018, 0.014, 0.40)):
            pad = int(3 * blur * size) + 3
            shade = cv2.copyMakeBorder(
                sprite.alpha, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=0
            )
            reach = 2 * int(2 * blur * size) + 3
            shade = cv2.stackBlur(shade, (reach, reach))
            move = max(round(shift * size), 1)
            here, there = self._overlap(shade.shape, x - pad + move, y - pad + move)
            self.picture[here] *= 1 - strength * shade[there][..., None]
        here, there = self._overlap(sprite.alpha.shape, x, y)
        picture, alpha = self.picture[here], sprite.alpha[there][..., None]
        picture += alpha * (sprite.rgb[there] - picture)
        seen = box & self.frame
        visible = sprite.mask[seen.shifted(-box.x, -box.y).slices]
        self.owner[seen.slices][visible] = index

    def _overlap(
        self, shape: tuple[int, ...], x: int, y: int
    ) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        seen = Box(x, y, shape[1], shape[0]) & self.frame
        return seen.slices, seen.shifted(-x, -y).slices


def _tight(mask: np.ndarray) -> Box:
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    return Box(
        int(columns[0]),
        int(rows[0]),
        int(columns[-1] - columns[0] + 1),
        int(rows[-1] - rows[0] + 1),
    )


def _render(category: str, size: float, rng: np.random.Generator) -> _Sprite:
    """Paints, turns, scales and lights an object."""
    canvas = Raster(int(np.clip(1.3 * size, 16, 1024)))
    SHAPES[category](canvas, rng)
    turn = rng.uniform(-1, 1) * _UPRIGHT.get(category, np.pi)
    side = int(np.ceil(size)) + 3
    scale = size / canvas.size
    matrix = cv2.getRotationMatrix2D(
        ((canvas.size - 1) / 2, (canvas.size - 1) / 2), np.degrees(turn), scale
    )
    matrix[:, 2] = matrix[:, 2] + (side - canvas.size) / 2
    layers = [*canvas.rgb, canvas.alpha, canvas.relief.astype(np.float32)]
    *rgb, alpha, height = (
        cv2.warpAffine(layer, matrix, (side, side)) for layer in layers
    )
    lit = _light(np.dstack(rgb), height * np.float32(size / 2), canvas.gloss)
    mask = _largest(alpha >= 0.5)
    box = _tight(mask)
    return _Sprite(lit, alpha, mask[box.slices], box)


def _light(rgb: np.ndarray, height: np.ndarray, gloss: float) -> np.ndarray:
    down, right = np.gradient(height)
    length = np.sqrt(right**2 + down**2 + 1)
    facing = (_HIGHLIGHT[2] - right * _HIGHLIGHT[0] - down * _HIGHLIGHT[1]) / length
    shine = 0.55 * gloss * (np.clip(facing, 0, 1) ** 40 - _HIGHLIGHT[2] ** 40)
    return np.clip(rgb * textures.relief(height)[..., None] + shine[..., None], 0, 1)


def _largest(mask: np.ndarray) -> np.ndarray:
    _, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    return parts == 1 + np.argmax(stats[1:, cv2.CC_STAT_AREA])


def _expose(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Uneven light, a color cast, darker corners and the grain of the sensor."""
    height, width = picture.shape[:2]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    light = 1.02 - 0.09 * x - 0.10 * y - 0.07 * (x * x + y * y)
    warmth = rng.uniform(-0.04, 0.05)
    cast = np.array([1 + warmth, 1, 1 - warmth], dtype=np.float32)
    grain = 0.013 * rng.standard_normal((height, width, 1), dtype=np.float32)
    exposed = picture * (light * rng.uniform(0.94, 1.04))[..., None] * cast + grain
    return (np.clip(exposed, 0, 1) * 255 + 0.5).astype(np.uint8)
