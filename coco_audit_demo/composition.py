"""What each image of the demo shows: classes, sizes, kinds of image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coco_audit_demo.scenes import Prop


@dataclass(frozen=True)
class ObjectClass:
    """A class of objects.

    Args:
        name: its name, also the name of its shape
        supercategory: as COCO has it
        weight: how often it is chosen, relative to the others
        smallest: least diameter, as a share of the picture's shorter side
        largest: greatest diameter
    """

    name: str
    supercategory: str
    weight: float
    smallest: float
    largest: float


CLASSES = (
    ObjectClass("leaf", "nature", 36, 0.16, 0.42),
    ObjectClass("flower", "nature", 20, 0.10, 0.30),
    ObjectClass("coin", "small things", 14, 0.06, 0.14),
    ObjectClass("button", "small things", 11, 0.06, 0.13),
    ObjectClass("pencil", "desk", 8, 0.36, 0.62),
    ObjectClass("mug", "table", 8, 0.28, 0.44),
    ObjectClass("citrus", "table", 6, 0.14, 0.26),
    ObjectClass("starfish", "nature", 3, 0.18, 0.36),
    ObjectClass("clock", "desk", 2.2, 0.26, 0.42),
    ObjectClass("ladybug", "nature", 0, 0.07, 0.10),
)
COMMONEST, RARE, LOOSE, UNLABELED = "leaf", "ladybug", "citrus", "mug"
CONFUSED, MISTAKEN_FOR = "coin", "button"

# Kind of image -> number of images, fixed or as a share of all
_KINDS: dict[str, int | float] = {
    "panorama": 2,
    "tall": 2,
    "huge": 1,
    "tiny": 3,
    "border": 4,
    "duplicate": 3,
    "unreadable": 1,
    "black": 1,
    "exif": 1,
    "background": 3,
    "silent": 2,
    "crowd": 4,
    "rare": 0.05,
}
_SIZES = {
    "panorama": (1600, 320),
    "tall": (300, 1200),
    "huge": (3840, 2160),
    "exif": (480, 640),
}
_PLAIN_SIZES = ((640, 480), (480, 640), (800, 600))
MIN_IMAGES = 60


@dataclass(frozen=True)
class ImageSpec:
    """An image to be drawn.

    Args:
        id: its COCO id
        file_name: its path below the folder of images; the first part is the site
            where it was taken
        width: in pixels
        height: in pixels
        kind: ``"plain"`` or what is special about it
    """

    id: int
    file_name: str
    width: int
    height: int
    kind: str


def plan_images(num_images: int, rng: np.random.Generator) -> list[ImageSpec]:
    """Decides on size, site and kind of each image.

    Args:
        num_images: number of images, at least :data:`MIN_IMAGES`
        rng: the source of randomness

    Returns:
        the images in the order of their ids, which start at 1; a third of them, all
        plain, are from ``site_b``
    """
    special = []
    for kind, count in _KINDS.items():
        number = count if isinstance(count, int) else max(3, round(count * num_images))
        special += [(kind, "site_a")] * number
    plain_b = [("plain", "site_b")] * (num_images // 3)
    plain_a = [("plain", "site_a")] * (num_images - len(special) - len(plain_b))
    pairs = special + plain_b + plain_a
    specs = []
    for image_id, index in enumerate(rng.permutation(num_images), start=1):
        kind, site = pairs[index]
        plain_size = _PLAIN_SIZES[rng.choice(3, p=[0.8, 0.1, 0.1])]
        if kind != "plain":
            plain_size = _PLAIN_SIZES[0]
        width, height = _SIZES.get(kind, plain_size)
        specs.append(
            ImageSpec(image_id, f"{site}/{image_id:06d}.jpg", width, height, kind)
        )
    return specs


def min_side(spec: ImageSpec) -> int:
    """Shortest side that a healthy box may have: 14 pixels at an input of 640."""
    return round(14 * max(spec.width, spec.height, 640) / 640)


def choose_props(spec: ImageSpec, rng: np.random.Generator) -> list[Prop]:
    """Chooses the objects of an image.

    Args:
        spec: the image
        rng: the source of randomness

    Returns:
        objects of two to five classes; none for the kinds without objects
    """
    if spec.kind in ("black", "background"):
        return []
    side = min(spec.width, spec.height, 0.866 * np.sqrt(spec.width * spec.height))
    zoom = rng.uniform(0.65, 1.2)
    weights = np.array([one.weight for one in CLASSES])
    weights /= weights.sum()
    mix = rng.choice(len(CLASSES), size=rng.integers(2, 6), replace=False, p=weights)
    count = 3 + rng.poisson(6)
    if spec.kind in ("panorama", "huge"):
        count += 8
    liking = np.sqrt(weights[mix])
    chosen = rng.choice(mix, size=count, p=liking / liking.sum())

    def prop(cls: ObjectClass, place: str = "anywhere") -> Prop:
        share = np.exp(rng.uniform(np.log(cls.smallest), np.log(cls.largest)))
        return Prop(cls.name, float(side * zoom * share), place)

    by_name = {cls.name: cls for cls in CLASSES}
    props = [prop(CLASSES[index]) for index in chosen]
    if spec.kind == "rare":
        props.append(Prop(COMMONEST, float(rng.uniform(130, 190))))
        sizes = rng.uniform(34, 46, size=rng.integers(1, 3))
        props += [Prop(RARE, float(size), "on_leaf") for size in sizes]
    if spec.kind == "tiny":
        names = rng.choice(["coin", "button", "flower"], size=3)
        sizes = rng.uniform(5.5, 7.5, size=3)
        props += [
            Prop(str(name), float(size), "clear")
            for name, size in zip(names, sizes, strict=True)
        ]
    if spec.kind == "border":
        props += [
            prop(by_name[str(name)], "border")
            for name in rng.choice(["leaf", "flower", "starfish"], size=2)
        ]
    if spec.kind == "crowd":
        name = rng.choice(["flower", "coin", "leaf"])
        props.append(Prop(str(name), float(rng.uniform(28, 38)), "crowd"))
    return props
