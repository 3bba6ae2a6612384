"""Backgrounds of the demo scenes: surfaces on which objects lie.

Every surface is a function ``(height, width, rng) -> rgb``, a float32 array of shape
``(height, width, 3)`` in [0, 1], made of value noise and the light of
:func:`relief`. Features have the size they would have in a 640 x 480 picture, and
grow with the picture, so that a 4K scene is the same table seen by a better camera.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

Texture = Callable[[int, int, np.random.Generator], np.ndarray]

# Toward the viewer, from the upper left: x to the right, y down, z out of the picture
_TO_LAMP = np.array([-0.45, -0.55, 0.70], dtype=np.float32)
LIGHT = _TO_LAMP / np.linalg.norm(_TO_LAMP)


def value_noise(
    height: int,
    width: int,
    rng: np.random.Generator,
    cell: float | tuple[float, float],
    octaves: int = 1,
) -> np.ndarray:
    """Smooth random values, summed over octaves of halving cell and amplitude.

    Args:
        height: rows
        width: columns
        rng: the source of randomness
        cell: size of the coarsest features in pixels, or ``(vertical, horizontal)``
        octaves: number of layers

    Returns:
        a float32 array of shape ``(height, width)`` with mean about 0 and standard
        deviation about 1
    """
    rows, columns = cell if isinstance(cell, tuple) else (cell, cell)
    total = np.zeros((height, width), dtype=np.float32)
    power = 0.0
    for octave in range(octaves):
        shrink = 0.5**octave
        grid_height = int(np.ceil(height / max(rows * shrink, 1))) + 3
        grid_width = int(np.ceil(width / max(columns * shrink, 1))) + 3
        grid = rng.standard_normal((grid_height, grid_width), dtype=np.float32)
        layer = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        total += shrink * layer
        power += shrink**2
    # Interpolation between the grid's points takes away some of the variance
    return total / np.float32(0.75 * np.sqrt(power))


def relief(surface: np.ndarray) -> np.ndarray:
    """Lambertian shade of a height field, 1 where it is flat.

    Args:
        surface: heights in pixels, of shape ``(height, width)``

    Returns:
        factors of the same shape, in [0.25, 1.5]
    """
    surface = surface.astype(np.float32, copy=False)
    normal_x, normal_y = -_slope(surface, 1), -_slope(surface, 0)
    length = np.sqrt(normal_x**2 + normal_y**2 + 1)
    lit = (normal_x * LIGHT[0] + normal_y * LIGHT[1] + LIGHT[2]) / length
    return np.clip(lit / LIGHT[2], 0.25, 1.5)


def _slope(surface: np.ndarray, axis: int) -> np.ndarray:
    kernel = np.array([[-0.5, 0, 0.5]], dtype=np.float32)
    return cv2.filter2D(
        surface,
        cv2.CV_32F,
        kernel if axis == 1 else kernel.T,
        borderType=cv2.BORDER_REPLICATE,
    )


def blend(
    low: Sequence[float], high: Sequence[float], weight: np.ndarray
) -> np.ndarray:
    """Colors between ``low`` (weight 0) and ``high`` (weight 1), not clipped."""
    start = np.asarray(low, dtype=np.float32)
    step = np.asarray(high, dtype=np.float32) - start
    return start + weight[..., None] * step


def _scale(height: int, width: int) -> float:
    return float(max(np.sqrt(height * width / (640 * 480)), 0.75))


def wood(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A table of planks with long grain."""
    scale = _scale(height, width)
    tones = [
        ((0.38, 0.23, 0.13), (0.62, 0.42, 0.26)),
        ((0.52, 0.36, 0.22), (0.78, 0.60, 0.41)),
        ((0.30, 0.22, 0.17), (0.50, 0.39, 0.31)),
    ]
    dark, pale = tones[rng.integers(len(tones))]
    plank = scale * rng.uniform(85, 130)
    rows = np.arange(height, dtype=np.float32)[:, None] + rng.uniform(0, plank)
    board = np.floor(rows / plank).astype(int)
    shade = rng.uniform(-0.18, 0.18, board.max() + 1).astype(np.float32)[board]
    shift = rng.uniform(0, 400, board.max() + 1).astype(np.float32)[board]
    warp = value_noise(height, width, rng, (40 * scale, 260 * scale), 2)
    rings = np.sin((rows + shift) / (3.2 * scale) + 4.0 * warp)
    fiber = value_noise(height, width, rng, (1.6 * scale, 70 * scale), 2)
    pores = value_noise(height, width, rng, (1.2 * scale, 18 * scale))
    rgb = blend(dark, pale, 0.5 + shade + 0.14 * rings + 0.12 * fiber)
    rgb *= (1 - 0.10 * np.clip(pores - 0.8, 0, 2))[..., None]
    seam = np.minimum(rows % plank, plank - rows % plank) / scale
    return rgb * (1 - 0.55 * np.exp(-((seam / 1.6) ** 2)))[..., None]


def linen(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A woven table cloth in a quiet color, with broad folds."""
    scale = _scale(height, width)
    cloths = [
        (0.80, 0.76, 0.68),
        (0.58, 0.66, 0.70),
        (0.72, 0.60, 0.55),
        (0.52, 0.58, 0.48),
    ]
    color = np.array(cloths[rng.integers(len(cloths))], dtype=np.float32)
    pitch = 2 * np.pi / (5.0 * scale)
    rows = np.arange(height, dtype=np.float32)[:, None]
    columns = np.arange(width, dtype=np.float32)[None, :]
    warp = np.sin(columns * pitch + 0.5 * value_noise(height, width, rng, 30 * scale))
    weft = np.sin(rows * pitch + 0.5 * value_noise(height, width, rng, 30 * scale))
    slub = value_noise(height, width, rng, (2 * scale, 40 * scale))
    slub += value_noise(height, width, rng, (40 * scale, 2 * scale))
    folds = value_noise(height, width, rng, 240 * scale)
    shade = relief(scale * (0.22 * np.maximum(warp, weft) + 5 * folds))
    return color * (shade * (1 + 0.045 * slub))[..., None]


def sand(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Dry sand with ripples."""
    scale = _scale(height, width)
    rows = np.arange(height, dtype=np.float32)[:, None]
    columns = np.arange(width, dtype=np.float32)[None, :]
    angle = rng.uniform(0.2, 1.2)
    warp = value_noise(height, width, rng, 160 * scale, 2)
    along = np.cos(angle) * columns + np.sin(angle) * rows
    ripple = np.sin(along / (8 * scale) + 1.6 * warp)
    grain = value_noise(height, width, rng, 1.5 * scale)
    dunes = value_noise(height, width, rng, 90 * scale, 4)
    shade = relief(scale * (0.9 * ripple + 1.1 * dunes) + 0.14 * scale * grain)
    rgb = blend((0.76, 0.63, 0.45), (0.88, 0.77, 0.59), 0.5 + 0.25 * dunes)
    return rgb * shade[..., None]


def slate(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A dark, rough slab of stone."""
    scale = _scale(height, width)
    tones = [(0.30, 0.33, 0.37), (0.36, 0.34, 0.33), (0.27, 0.33, 0.33)]
    color = np.array(tones[rng.integers(len(tones))], dtype=np.float32)
    rough = value_noise(height, width, rng, (46 * scale, 80 * scale), 6)
    steps = np.floor(1.6 * value_noise(height, width, rng, 170 * scale, 5))
    layers = cv2.GaussianBlur(steps, (0, 0), 0.9 * scale)
    shade = relief(scale * (2.0 * rough + 1.1 * layers))
    tint = 1 + 0.10 * value_noise(height, width, rng, 60 * scale, 3)
    return color * (shade * tint)[..., None]


def marble(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A polished slab, pale or dark, with veins."""
    scale = _scale(height, width)
    slabs = [
        ((0.82, 0.81, 0.79), (0.52, 0.52, 0.54)),
        ((0.25, 0.34, 0.32), (0.66, 0.72, 0.68)),
        ((0.74, 0.66, 0.60), (0.52, 0.38, 0.34)),
    ]
    body, vein = slabs[rng.integers(len(slabs))]
    rows = np.arange(height, dtype=np.float32)[:, None]
    columns = np.arange(width, dtype=np.float32)[None, :]
    angle = rng.uniform(0.3, 1.3)
    along = (np.cos(angle) * columns + np.sin(angle) * rows) / (70 * scale)
    cloud = value_noise(height, width, rng, 130 * scale, 5)
    broad = np.exp(-9 * np.abs(np.sin(along + 1.1 * cloud)))
    fine = np.exp(-22 * np.abs(np.sin(1.9 * along - 1.6 * cloud)))
    speck = value_noise(height, width, rng, 2 * scale, 2)
    strength = np.clip(0.5 + 0.5 * value_noise(height, width, rng, 90 * scale, 2), 0, 1)
    rgb = blend(body, vein, 0.08 * cloud + strength * (0.55 * broad + 0.35 * fine))
    return rgb * (1 + 0.02 * speck)[..., None]


def felt(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A felt mat: short fibers in all directions."""
    scale = _scale(height, width)
    mats = [
        (0.22, 0.40, 0.33),
        (0.25, 0.34, 0.52),
        (0.50, 0.24, 0.27),
        (0.62, 0.52, 0.30),
    ]
    color = np.array(mats[rng.integers(len(mats))], dtype=np.float32)
    fibers = value_noise(height, width, rng, (1.5 * scale, 9 * scale), 2)
    fibers += value_noise(height, width, rng, (9 * scale, 1.5 * scale), 2)
    wear = value_noise(height, width, rng, 150 * scale, 3)
    shade = relief(0.20 * scale * fibers + 1.6 * scale * wear)
    return color * (shade * (1 + 0.05 * fibers + 0.04 * wear))[..., None]


TEXTURES: tuple[Texture, ...] = (wood, linen, sand, slate, marble, felt)
