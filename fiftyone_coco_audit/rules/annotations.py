"""Rules on annotations beyond their boxes: mask, area, rotation, rounding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from fiftyone_coco_audit.areas import AREA_RANGES, in_area_ranges, size_change
from fiftyone_coco_audit.findings import Evidence, Example, rule
from fiftyone_coco_audit.wording import counted, out_of, pixels, plural

if TYPE_CHECKING:
    from fiftyone_coco_audit.statistics.overview import Statistics

#: Areas this close to each other count as equal
_SAME = 0.01


@rule(
    "CA313",
    "empty-mask",
    "error",
    explanation="A mask without a pixel inside its image teaches a segmentation model "
    "nothing, and no prediction can match it in an evaluation of masks.",
    advice="Redraw these masks, or remove the segmentation and keep the box.",
    ignore="If you train and evaluate on boxes only.",
    example=Example(
        "A polygon lies to the right of its image.",
        boxes=[("cat", 9, 9, 20, 20)],
        mask_area=[0],
    ),
    counterexample=Example(
        "A polygon lies half to the right of its image.",
        boxes=[("cat", 9, 9, 20, 20)],
        mask_area=[200],
    ),
)
def empty_mask(statistics: Statistics) -> Iterator[Evidence]:
    """Finds masks that have no pixel in their image.

    Args:
        statistics: of the images
    """
    area = statistics.labeled.mask_area
    if area is None:
        return
    found = np.flatnonzero(area == 0)
    if len(found):
        masks = np.flatnonzero(~np.isnan(area))
        yield Evidence(
            f"{out_of(found, masks, 'mask')} {plural(found, 'has', 'have')} no pixel "
            "inside the image.",
            objects=found,
            figures={"objects": len(found)},
        )


@rule(
    "CA314",
    "wrong-area",
    "warning",
    explanation="COCO's AP for small, medium and large objects uses `area`, so a wrong "
    "one puts objects into the wrong size class.",
    advice="Compute `area` from the masks (pycocotools.mask.area), or from the boxes "
    "if there are none.",
    ignore="If you do not use AP by size.",
    example=Example(
        "The `area` of an object is that of its box, though its mask fills half of it.",
        boxes=[("cat", 9, 9, 60, 60)],
        areas=[3600],
        mask_area=[1800],
    ),
    counterexample=Example(
        "The `area` of an object is a tenth larger than its mask.",
        boxes=[("cat", 9, 9, 60, 60)],
        areas=[1980],
        mask_area=[1800],
    ),
)
def wrong_area(statistics: Statistics) -> Iterator[Evidence]:
    """Finds areas that are far from those of the masks, or more than the boxes'.

    It is a note where no object changes its class of size.

    Args:
        statistics: of the images
    """
    shapes = statistics.shapes
    found = np.flatnonzero(shapes.wrong_area)
    if not len(found):
        return
    area, measured = shapes.area[found], shapes.measured_area[found]
    box = shapes.width[found] * shapes.height[found]
    zero = area <= 0
    of_box = ~zero & (np.abs(area - box) <= _SAME * box)
    kinds = [
        f"{len(which):,} {plural(which, *what)}"
        for which, what in (
            (np.flatnonzero(zero), ("is 0", "are 0")),
            (np.flatnonzero(of_box), ("is that of the box", "are those of the box")),
        )
        if len(which)
    ]
    told = f" ({', '.join(kinds)})" if kinds else ""
    given, true = (
        in_area_ranges(areas, AREA_RANGES.values()) for areas in (area, measured)
    )
    change = size_change(list(AREA_RANGES), given, true)
    effect = "none of them changes its size class"
    if change is not None:
        effect = (
            f"{counted(change.objects, 'object')} "
            f"{'counts' if change.objects == 1 else 'count'} in the wrong size class, "
            f"such as {change.most:,} {change.measured} as {change.given}, so AP by "
            "size is wrong"
        )
    yield Evidence(
        f"The `area` of {out_of(found, shapes, 'object')} is far from that of the mask "
        f"or box{told}; {effect}.",
        objects=found,
        figures={
            "objects": len(found),
            "zero": int(zero.sum()),
            "of_box": int(of_box.sum()),
            "size_class_changes": 0 if change is None else change.objects,
        },
        severity="note" if change is None else None,
    )


@rule(
    "CA315",
    "box-barely-outside",
    "note",
    explanation="Boxes extend up to a pixel beyond the border, mostly because of "
    "rounding, which is harmless in training but makes Albumentations raise a "
    "ValueError.",
    advice="Pass clip=True to A.BboxParams, or clip the boxes to their images.",
    ignore="If you do not use Albumentations, or pass clip=True.",
    example=Example(
        "A box ends half a pixel to the right of its image.",
        boxes=[("cat", 600, 10, 40.5, 20)],
    ),
    counterexample=Example(
        "A box ends where its image does.", boxes=[("cat", 600, 10, 40, 20)]
    ),
)
def box_barely_outside(statistics: Statistics) -> Iterator[Evidence]:
    """Finds boxes that Albumentations rejects, though only rounding puts them outside.

    Args:
        statistics: of the images
    """
    shapes = statistics.shapes
    found = np.flatnonzero(shapes.barely_outside)
    if len(found):
        most = float(shapes.outside[found].max())
        yield Evidence(
            f"{out_of(found, shapes, 'box')} {plural(found, 'extends', 'extend')} "
            f"beyond the border of the image by up to {pixels(most)}, which "
            "Albumentations rejects.",
            objects=found,
            figures={"objects": len(found), "most_px": most},
        )


@rule(
    "CA316",
    "rotation-ignored",
    "warning",
    explanation="An annotation has a `rotation`, as CVAT writes it, but its box is "
    "that of the shape before it was turned, so the box misses parts of the object.",
    advice="Replace each box by the one around the turned shape, or export polygons or "
    "oriented boxes.",
    ignore="If the boxes were drawn around the turned shapes, and the attribute is "
    "left over.",
    example=Example(
        "A box has the attribute `rotation` of 30.",
        boxes=[("cat", 99, 99, 60, 20)],
        rotation=[30],
    ),
    counterexample=Example(
        "A box has the attribute `rotation` of 0.",
        boxes=[("cat", 99, 99, 60, 20)],
        rotation=[0],
    ),
)
def rotation_ignored(statistics: Statistics) -> Iterator[Evidence]:
    """Finds boxes that are not turned as their attribute says.

    Args:
        statistics: of the images
    """
    shapes, rotation = statistics.shapes, statistics.labeled.rotation
    found = np.flatnonzero(shapes.rotation_ignored)
    if rotation is None or not len(found):
        return
    angle = np.abs((rotation[found] + 90) % 180 - 90)
    yield Evidence(
        f"{out_of(found, shapes, 'box')} {plural(found, 'has', 'have')} a `rotation` "
        f"(median {np.median(angle):.0f}°) that the box does not show.",
        objects=found,
        figures={"objects": len(found), "median_degrees": float(np.median(angle))},
    )
