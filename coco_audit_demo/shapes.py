"""The objects of the demo scenes, seen from above, one function per class.

A shape paints on a :class:`Raster`, a square of side 2 around (0, 0) with x to the
right and y down, and fits in the circle of radius 1. It leaves colors, coverage and
heights there; light, shadow, rotation and size are the scene's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from coco_audit_demo.textures import value_noise

Color = Sequence[float] | NDArray[Any]
T = TypeVar("T")


class Raster:
    """Colors, coverage and heights of one object.

    Args:
        size: side in pixels

    Attributes:
        rgb: colors in [0, 1], float32 of shape ``(3, size, size)``
        alpha: coverage in [0, 1], float32 of shape ``(size, size)``
        relief: heights where 1 is half the canvas, float32 of shape ``(size, size)``
        gloss: strength of the highlights
        x: abscissae in [-1, 1], of shape ``(1, size)``
        y: ordinates in [-1, 1], of shape ``(size, 1)``
        r: distances from the middle, of shape ``(size, size)``
        angle: polar angles in radians, of shape ``(size, size)``
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.rgb: NDArray[Any] = np.zeros((3, size, size), dtype=np.float32)
        self.alpha: NDArray[Any] = np.zeros((size, size), dtype=np.float32)
        self.relief: NDArray[Any] = np.zeros((size, size), dtype=np.float32)
        self.gloss = 0.0
        ticks = (2 * np.arange(size, dtype=np.float32) + 1) / size - 1
        self.x, self.y = ticks[None, :], ticks[:, None]
        self.r = np.hypot(self.x, self.y)
        self.angle = np.arctan2(self.y, self.x)

    def inside(self, distance: np.ndarray) -> np.ndarray:
        """Anti-aliased coverage of the points where ``distance`` is negative."""
        distance = distance.astype(np.float32, copy=False)
        return np.clip(0.5 - distance * (self.size / 2), 0, 1)

    def body(self, distance: np.ndarray, color: Color) -> np.ndarray:
        """Adds material to the object and returns its coverage."""
        cover = self.inside(distance)
        self.alpha = np.maximum(self.alpha, cover)
        # A pixel further, so that no edge is mixed with the black of the canvas
        self.paint(self.inside(distance - 3 / self.size), color)
        return cover

    def paint(self, weight: np.ndarray, color: Color) -> None:
        """Moves the colors toward ``color`` by ``weight``."""
        for channel, value in zip(self.rgb, color, strict=True):
            channel += weight * (np.float32(value) - channel)

    def tone(self, factor: np.ndarray) -> None:
        """Makes the colors darker or lighter."""
        self.rgb *= factor

    def segment(
        self, start: tuple[float, float], end: tuple[float, float]
    ) -> np.ndarray:
        """Distances from the line between two points."""
        (x0, y0), (x1, y1) = start, end
        dx, dy = x1 - x0, y1 - y0
        along = ((self.x - x0) * dx + (self.y - y0) * dy) / (dx * dx + dy * dy)
        along = np.clip(along, 0, 1)
        return np.hypot(self.x - x0 - along * dx, self.y - y0 - along * dy)

    def ellipse(self, x: float, y: float, rx: float, ry: float) -> np.ndarray:
        """Signed distances from an ellipse, near enough for round ones."""
        radius = np.hypot((self.x - x) / rx, (self.y - y) / ry)
        return (radius - 1) * min(rx, ry)

    def text(self, text: str, x: float, y: float, height: float) -> np.ndarray:
        """Coverage of a line of text centered at a point."""
        layer = np.zeros((self.size, self.size), dtype=np.uint8)
        font = cv2.FONT_HERSHEY_DUPLEX
        scale = height * self.size / 2 / 22
        stroke = max(round(scale * 2.2), 1)
        (width, tall), _ = cv2.getTextSize(text, font, scale, stroke)
        left = (x + 1) * self.size / 2 - width / 2
        base = (y + 1) * self.size / 2 + tall / 2
        cv2.putText(
            layer, text, (round(left), round(base)), font, scale, 255, stroke, 16
        )
        return layer.astype(np.float32) / 255


def _rise(distance: np.ndarray, width: float) -> np.ndarray:
    """A smooth step from 0 at the outline to 1 at ``width`` inside it."""
    t = np.clip(-distance / width, 0, 1)
    return t * t * (3 - 2 * t)


def _choose(rng: np.random.Generator, options: Sequence[T]) -> T:
    return options[int(rng.integers(len(options)))]


def _vary(rng: np.random.Generator, color: Color, spread: float = 0.05) -> Color:
    return np.clip(np.asarray(color) + rng.uniform(-spread, spread, 3), 0, 1)


def leaf(canvas: Raster, rng: np.random.Generator) -> None:
    """An autumn leaf with midrib, side veins and a saw-toothed edge."""
    seasons = [
        ((0.33, 0.50, 0.17), (0.50, 0.62, 0.24)),
        ((0.24, 0.42, 0.20), (0.42, 0.56, 0.28)),
        ((0.80, 0.54, 0.13), (0.90, 0.72, 0.25)),
        ((0.74, 0.33, 0.12), (0.88, 0.55, 0.20)),
        ((0.60, 0.17, 0.12), (0.80, 0.35, 0.18)),
    ]
    inner, outer = _choose(rng, seasons)
    bend = rng.uniform(-0.12, 0.12)
    x = canvas.x - bend * (canvas.y**2 - 0.4)
    along = np.clip((canvas.y + 0.93) / 1.55, 0, 1)
    teeth = 1 + 0.09 * (np.abs(((along * 13) % 1) - 0.5) * 2 - 0.5)
    breadth = rng.uniform(0.88, 1.28) * along**0.72 * (1 - along) ** 0.5 * teeth
    side = np.abs(x)
    blade = np.where((along > 0) & (along < 1), side - breadth, 0.2)
    canvas.body(
        np.maximum(np.abs(x) - 0.032, np.maximum(0.5 - canvas.y, canvas.y - 0.96)),
        np.multiply(inner, 0.8),
    )
    canvas.body(blade, inner)
    across = np.clip(side / np.maximum(breadth, 1e-3), 0, 1.2)
    mottle = value_noise(canvas.size, canvas.size, rng, canvas.size / 7, 3)
    canvas.paint(canvas.inside(blade) * np.clip(across + 0.15 * mottle, 0, 1), outer)
    wave = ((canvas.y + 0.75 * side) * 5.2) % 1
    vein = np.exp(-((np.minimum(wave, 1 - wave) / 0.07) ** 2)) * (along < 0.96)
    rib = np.exp(-((side / (0.028 * (1.3 - along + 0.3))) ** 2)) * (canvas.y > -0.85)
    canvas.paint(canvas.inside(blade) * 0.45 * vein, np.multiply(outer, 1.15))
    canvas.paint(canvas.inside(blade) * 0.80 * rib, np.multiply(outer, 1.25))
    canvas.tone(1 + 0.07 * mottle)
    canvas.relief = canvas.inside(blade) * (
        0.09 * np.sqrt(np.clip(across, 0, 1)) * (1.15 - across) * 2
        + 0.008 * vein
        + 0.02 * rib
    )
    canvas.gloss = 0.10


def flower(canvas: Raster, rng: np.random.Generator) -> None:
    """A blossom of five to twelve petals around a golden heart."""
    colors = [
        ((0.95, 0.94, 0.90), (0.86, 0.82, 0.78)),
        ((0.93, 0.53, 0.66), (0.75, 0.20, 0.42)),
        ((0.62, 0.48, 0.84), (0.36, 0.22, 0.62)),
        ((0.95, 0.80, 0.25), (0.88, 0.55, 0.10)),
        ((0.45, 0.60, 0.90), (0.22, 0.33, 0.70)),
    ]
    tip, throat = _choose(rng, colors)
    petals = int(rng.choice([5, 6, 8, 12]))
    phase = (canvas.angle * petals / (2 * np.pi)) % 1 - 0.5
    lobe = np.sqrt(np.clip(1 - (2 * phase) ** 2, 0, 1))
    outline = 0.96 * (0.62 + 0.38 * lobe)
    distance = (canvas.r - outline) * 0.8
    cover = canvas.body(distance, tip)
    reach = canvas.r / 0.96
    streak = 0.5 + 0.5 * np.cos(phase * 2 * np.pi * 5)
    canvas.paint(cover * np.clip(1.05 - 1.35 * reach + 0.20 * streak, 0, 1), throat)
    to_next = (0.5 - np.abs(phase)) * 2 * np.pi / petals * canvas.r
    gap = np.exp(-((to_next / 0.035) ** 2))
    canvas.tone(1 - 0.45 * gap * (reach > 0.25))
    heart = canvas.inside(canvas.r - 0.25)
    seeds = np.sin(canvas.x * 46) * np.sin(canvas.y * 46)
    canvas.paint(heart, (0.90, 0.68, 0.16))
    canvas.tone(1 + 0.22 * heart * seeds - 0.25 * heart * (canvas.r > 0.2))
    canvas.relief = cover * (0.16 * lobe * reach * (1.3 - reach) * 2) * (1 - heart)
    canvas.relief += heart * (0.16 * np.sqrt(np.clip(1 - (canvas.r / 0.3) ** 2, 0, 1)))
    canvas.gloss = 0.06


def coin(canvas: Raster, rng: np.random.Generator) -> None:
    """A struck coin: rim, milled edge, a number in a ring of beads."""
    metals = [(0.86, 0.68, 0.32), (0.76, 0.77, 0.79), (0.74, 0.46, 0.30)]
    metal = _vary(rng, _choose(rng, metals), 0.03)
    mill = 0.008 * np.sign(np.sin(canvas.angle * 70))
    disc = canvas.r - 0.95 - mill
    canvas.body(disc, metal)
    number = cv2.GaussianBlur(
        canvas.text(str(_choose(rng, ["1", "2", "5", "10", "20"])), 0, 0, 0.72),
        (0, 0),
        max(canvas.size / 130, 0.5),
    )
    beads = np.clip(np.cos(canvas.angle * 36), 0, 1) * np.exp(
        -(((canvas.r - 0.74) / 0.035) ** 2)
    )
    rim = np.exp(-(((canvas.r - 0.88) / 0.05) ** 4))
    canvas.relief = 0.05 * _rise(disc, 0.05) + 0.05 * rim + 0.035 * (number + beads)
    wear = value_noise(canvas.size, canvas.size, rng, canvas.size / 5, 4)
    field = 1 - np.clip(rim + number + beads, 0, 1)
    canvas.tone(1 + 0.05 * wear - 0.16 * field)
    # Brushed metal throws a bright bow-tie, whichever way the coin is turned
    canvas.tone(1 + 0.16 * np.cos(2 * (canvas.angle - 0.8)))
    canvas.gloss = 0.75


def button(canvas: Raster, rng: np.random.Generator) -> None:
    """A colored plastic button with raised rim and stitched holes."""
    plastics = [
        (0.78, 0.20, 0.22),
        (0.17, 0.42, 0.66),
        (0.93, 0.75, 0.28),
        (0.25, 0.55, 0.42),
        (0.90, 0.87, 0.80),
        (0.45, 0.28, 0.52),
    ]
    color = _vary(rng, _choose(rng, plastics))
    disc = canvas.r - 0.95
    canvas.body(disc, color)
    rim = np.exp(-(((canvas.r - 0.80) / 0.14) ** 4))
    canvas.relief = 0.10 * _rise(disc, 0.10) + 0.12 * rim
    canvas.tone(1 - 0.14 * canvas.inside(canvas.r - 0.66))
    spots = (
        [(-0.24, -0.24), (0.24, -0.24), (-0.24, 0.24), (0.24, 0.24)]
        if rng.random() < 0.7
        else [(-0.26, 0.0), (0.26, 0.0)]
    )
    for x, y in spots:
        hole = np.hypot(canvas.x - x, canvas.y - y)
        canvas.paint(canvas.inside(hole - 0.13), np.multiply(color, 0.22))
        canvas.relief -= 0.05 * canvas.inside(hole - 0.14)
    thread = _choose(rng, [(0.95, 0.93, 0.88), (0.20, 0.20, 0.25)])
    for start, end in zip(spots[::2], spots[1::2], strict=True):
        canvas.paint(canvas.inside(canvas.segment(start, end) - 0.055), thread)
    canvas.gloss = 0.55


def pencil(canvas: Raster, rng: np.random.Generator) -> None:
    """A sharpened hexagonal pencil with ferrule and eraser."""
    paints = [
        (0.93, 0.70, 0.14),
        (0.80, 0.18, 0.16),
        (0.14, 0.45, 0.32),
        (0.18, 0.35, 0.65),
        (0.15, 0.15, 0.18),
    ]
    paint = _choose(rng, paints)
    half = 0.145
    x, y = canvas.x, canvas.y + 0 * canvas.r
    taper = np.clip((0.99 - x) / 0.36, 0, 1) * half
    shaft = np.maximum(np.abs(y) - taper, -0.98 - x)
    cover = canvas.body(shaft, paint)
    facet = np.clip(np.round((y / half + 1) * 1.5 - 0.5), 0, 2)
    canvas.tone(np.array([1.18, 1.0, 0.72], np.float32)[facet.astype(int)])
    scallop = 0.66 - 0.05 * np.cos(y / half * 3 * np.pi)
    grain = 1 + 0.06 * np.sin(y * 90 + x * 6)
    canvas.paint(cover * canvas.inside(scallop - x), (0.86, 0.68, 0.47))
    canvas.tone(np.where(x > scallop, grain, 1).astype(np.float32))
    canvas.paint(cover * canvas.inside(0.86 - x), np.multiply(paint, 0.55))
    canvas.paint(cover * canvas.inside(x + 0.70), (0.74, 0.74, 0.76))
    ridges = 1 + 0.22 * np.sin(x * 110)
    canvas.tone(np.where((x > -0.86) & (x < -0.70), ridges, 1).astype(np.float32))
    canvas.paint(cover * canvas.inside(x + 0.86), (0.88, 0.53, 0.52))
    canvas.relief = cover * np.sqrt(np.clip(1.05 - (y / half) ** 2, 0, 1)) * half * 0.8
    canvas.gloss = 0.35


def mug(canvas: Raster, rng: np.random.Generator) -> None:
    """A mug from above: handle, rim and a drink with a ring of froth."""
    glazes = [
        (0.92, 0.91, 0.88),
        (0.25, 0.45, 0.58),
        (0.76, 0.32, 0.24),
        (0.36, 0.52, 0.40),
        (0.90, 0.72, 0.36),
    ]
    drinks = [
        ((0.20, 0.11, 0.06), (0.46, 0.28, 0.15)),
        ((0.66, 0.45, 0.28), (0.92, 0.82, 0.68)),
        ((0.55, 0.26, 0.08), (0.72, 0.42, 0.16)),
    ]
    glaze, (drink, froth) = _choose(rng, glazes), _choose(rng, drinks)
    center = -0.17
    r = np.hypot(canvas.x - center, canvas.y)
    handle = canvas.segment((0.4, 0.0), (0.86, 0.0)) - 0.115
    canvas.body(handle, np.multiply(glaze, 0.96))
    wall = r - 0.80
    canvas.body(wall, glaze)
    inner = canvas.inside(r - 0.68)
    canvas.paint(inner, np.multiply(glaze, 0.62))
    pool = canvas.inside(r - 0.61)
    canvas.paint(pool, drink)
    swirl = value_noise(canvas.size, canvas.size, rng, canvas.size / 5, 3)
    ring = np.exp(-(((r - 0.56 - 0.012 * swirl) / 0.035) ** 2))
    crema = np.clip(0.45 * swirl - 0.15, 0, 1) * (1 - r)
    canvas.paint(pool * np.clip(ring * 0.8 + crema, 0, 1), froth)
    # The wall's shadow; even all round, as the canvas is still to be turned
    canvas.tone(1 - 0.35 * pool * np.exp(-(((r - 0.63) / 0.06) ** 2)))
    lip = np.exp(-(((r - 0.74) / 0.065) ** 4))
    canvas.relief = 0.10 * _rise(handle, 0.11) * (1 - canvas.inside(wall))
    canvas.relief += 0.22 * _rise(wall, 0.06) * (1 - inner) + 0.03 * lip
    canvas.relief += 0.12 * inner * (1 - pool)
    canvas.gloss = 0.55


def citrus(canvas: Raster, rng: np.random.Generator) -> None:
    """A slice of orange, lemon, lime or grapefruit."""
    fruits = [
        ((0.95, 0.56, 0.12), (0.98, 0.66, 0.20)),
        ((0.94, 0.80, 0.22), (0.98, 0.90, 0.45)),
        ((0.45, 0.65, 0.20), (0.74, 0.84, 0.42)),
        ((0.93, 0.52, 0.30), (0.90, 0.36, 0.32)),
    ]
    peel, flesh = _choose(rng, fruits)
    disc = canvas.r - 0.95
    canvas.body(disc, peel)
    pith = canvas.inside(canvas.r - 0.86)
    canvas.paint(pith, (0.97, 0.93, 0.80))
    parts = int(rng.integers(8, 11))
    phase = (canvas.angle * parts / (2 * np.pi)) % 1 - 0.5
    edge = (0.5 - np.abs(phase)) * 2 * np.pi / parts * canvas.r
    wedge = np.maximum(canvas.r - 0.79, np.maximum(0.035 - edge, 0.10 - canvas.r))
    pulp = canvas.inside(wedge)
    canvas.paint(pulp, flesh)
    cells = value_noise(canvas.size, canvas.size, rng, canvas.size / 22, 2)
    rays = np.sin(phase * 34 + 2 * cells) * 0.5
    canvas.tone(1 + pulp * (0.09 * rays + 0.06 * cells))
    canvas.relief = 0.10 * _rise(disc, 0.06) + pulp * (
        0.03 * _rise(wedge, 0.07) + 0.006 * cells
    )
    canvas.gloss = 0.40


def starfish(canvas: Raster, rng: np.random.Generator) -> None:
    """A starfish with rounded arms and rows of pale warts."""
    skins = [(0.86, 0.42, 0.22), (0.74, 0.25, 0.24), (0.52, 0.34, 0.58)]
    skin = _vary(rng, _choose(rng, skins))
    plump = rng.uniform(0.19, 0.24)
    turns = np.arange(5) * 2 * np.pi / 5 - np.pi / 2 + rng.normal(0, 0.07, 5)
    distance = np.full_like(canvas.r, 9)
    spine = np.full_like(canvas.r, 9)
    for turn in turns:
        tip = (0.82 * np.cos(turn), 0.82 * np.sin(turn))
        ray = canvas.segment((0.0, 0.0), tip)
        along = np.clip((canvas.x * tip[0] + canvas.y * tip[1]) / 0.82**2, 0, 1)
        arm = ray - plump * (1.15 - 0.65 * along)
        spine = np.minimum(spine, ray)
        # A soft minimum rounds the corners between the arms
        mix = np.clip(0.5 + 0.5 * (distance - arm) / 0.12, 0, 1)
        distance = distance + (arm - distance) * mix - 0.12 * mix * (1 - mix)
    cover = canvas.body(distance, skin)
    dome = np.sqrt(np.clip(-distance / (plump * 1.1), 0, 1))
    canvas.paint(cover * (1 - dome) * 0.5, np.multiply(skin, 0.7))
    warts = np.clip(np.sin(canvas.r * 42), 0, 1) * np.exp(-((spine / 0.035) ** 2))
    bumps = np.clip(value_noise(canvas.size, canvas.size, rng, canvas.size / 34), 0, 2)
    canvas.paint(cover * warts * 0.8, (0.98, 0.86, 0.66))
    canvas.paint(cover * np.clip(bumps - 0.9, 0, 1) * 0.6, (0.97, 0.78, 0.55))
    canvas.relief = cover * (0.16 * dome + 0.02 * warts + 0.012 * bumps)
    canvas.gloss = 0.12


def clock(canvas: Raster, rng: np.random.Generator) -> None:
    """A round clock with numerals and two hands."""
    frames = [
        (0.20, 0.22, 0.26),
        (0.72, 0.24, 0.20),
        (0.70, 0.55, 0.28),
        (0.20, 0.40, 0.50),
    ]
    frame = _choose(rng, frames)
    disc = canvas.r - 0.96
    canvas.body(disc, frame)
    face = canvas.inside(canvas.r - 0.82)
    canvas.paint(face, (0.96, 0.95, 0.91))
    ink = np.array((0.13, 0.13, 0.16))
    for ticks, length, width in ((60, 0.04, 0.008), (12, 0.09, 0.020)):
        phase = (canvas.angle * ticks / (2 * np.pi) + 0.5) % 1 - 0.5
        off = np.abs(phase) * 2 * np.pi / ticks * canvas.r - width
        mark = np.maximum(off, np.maximum(canvas.r - 0.78, 0.78 - length - canvas.r))
        canvas.paint(canvas.inside(mark), ink)
    numerals = (("12", 0, -0.54), ("3", 0.56, 0), ("6", 0, 0.54), ("9", -0.56, 0))
    for text, x, y in numerals:
        canvas.paint(canvas.text(text, x, y, 0.20), ink)
    minutes = rng.uniform(0, 720)
    for turn, length, width in ((720, 0.40, 0.045), (60, 0.62, 0.030)):
        angle = 2 * np.pi * (minutes % turn) / turn - np.pi / 2
        tip = (length * np.cos(angle), length * np.sin(angle))
        canvas.paint(canvas.inside(canvas.segment((0.0, 0.0), tip) - width), ink)
    canvas.paint(canvas.inside(canvas.r - 0.07), (0.78, 0.22, 0.18))
    canvas.relief = 0.14 * _rise(disc, 0.07) - 0.08 * canvas.inside(canvas.r - 0.84)
    canvas.tone(1 - 0.22 * face * np.clip((canvas.r - 0.72) / 0.10, 0, 1))
    canvas.gloss = 0.40


def ladybug(canvas: Raster, rng: np.random.Generator) -> None:
    """A ladybug with seven spots."""
    black = (0.09, 0.09, 0.10)
    for height in (-0.30, 0.05, 0.40):
        for side in (-1, 1):
            foot = (side * 0.86, height * 1.15)
            canvas.body(canvas.segment((0.0, height), foot) - 0.055, black)
    head = canvas.ellipse(0, -0.66, 0.40, 0.28)
    canvas.body(head, black)
    shell = canvas.ellipse(0, 0.12, 0.74, 0.80)
    cover = canvas.body(shell, _vary(rng, (0.83, 0.14, 0.10), 0.04))
    spots = [(0.0, -0.42, 0.15)]
    for side in (-1, 1):
        spots += [
            (side * 0.40, -0.16, 0.14),
            (side * 0.30, 0.26, 0.15),
            (side * 0.42, 0.60, 0.10),
        ]
        cheek = np.hypot(canvas.x - side * 0.2, canvas.y + 0.74) - 0.08
        canvas.paint(canvas.inside(cheek), (0.95, 0.94, 0.90))
    for x, y, radius in spots:
        spot = np.hypot(canvas.x - x, canvas.y - y) - radius
        canvas.paint(cover * canvas.inside(spot), black)
    canvas.paint(cover * canvas.inside(np.abs(canvas.x) - 0.022 + 0 * canvas.y), black)
    canvas.relief = 0.15 * _rise(head, 0.3) + 0.45 * np.sqrt(np.clip(-shell, 0, 1))
    canvas.gloss = 0.7


_ALL = (leaf, flower, coin, button, pencil, mug, citrus, starfish, clock, ladybug)

SHAPES: dict[str, Callable[[Raster, np.random.Generator], None]] = {
    shape.__name__: shape for shape in _ALL
}
