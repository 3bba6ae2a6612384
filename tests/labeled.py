"""Sets of labeled images for tests: made by hand, or read, and what rules find."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fiftyone_coco_audit.findings import RULES, Evidence, Rule
from fiftyone_coco_audit.objects import LabeledImages, Objects
from fiftyone_coco_audit.statistics.anchor_presets import DEFAULT_ANCHORS
from fiftyone_coco_audit.statistics.anchor_sets import AnchorSet
from fiftyone_coco_audit.statistics.overview import Statistics
from fiftyone_coco_audit.statistics.resizing import DEFAULT_RESIZE, ResizePolicy

Row = tuple[int, str, Sequence[float]]


def labeled(
    sizes: Sequence[tuple[float, float]],
    rows: Sequence[Row] = (),
    classes: Sequence[str] | None = None,
    *,
    filepaths: Sequence[str] | None = None,
    tags: Sequence[Sequence[str]] | None = None,
    crowds: Sequence[int] | None = None,
    areas: Sequence[float] | None = None,
    tight_box: Any = None,
    parents: Sequence[str] = (),
    **more: Any,
) -> LabeledImages:
    """Makes a set by hand.

    Args:
        sizes: width and height of each image
        rows: ``(image, class, [x, y, width, height])`` of each object, by image
        classes: names of all classes, by default those that occur, sorted
        filepaths: by default ``images/0.jpg`` and so on
        tags: by default none
        crowds: by default none
        areas: by default those of the boxes
        tight_box: by default none
        parents: classes that only group others; by default none
        **more: further attributes, such as ``mask_area``
    """
    rows = sorted(rows, key=lambda row: row[0])
    names = list(classes) if classes is not None else sorted({r[1] for r in rows})
    box = np.array([row[2] for row in rows], np.float64).reshape(-1, 4)
    area = box[:, 2] * box[:, 3] if areas is None else np.array(areas, np.float64)
    return LabeledImages(
        size=np.array(sizes, np.float64).reshape(-1, 2),
        objects=Objects(
            image=np.array([row[0] for row in rows], np.int64),
            category=np.array([names.index(row[1]) for row in rows], np.int64),
            box=box,
            area=area,
            crowd=np.zeros(len(rows), bool),
        ),
        classes=names,
        crowds=np.zeros(len(sizes), np.int64) if crowds is None else np.array(crowds),
        filepaths=filepaths or [f"images/{n}.jpg" for n in range(len(sizes))],
        tags=tags or [[] for _ in sizes],
        tight_box=tight_box,
        parents=parents,
        **more,
    )


def read_labeled(annotations: Path) -> tuple[LabeledImages, list[Any], list[Any]]:
    """Reads a sound COCO file.

    Returns:
        a tuple of the set, the ids of its images and the ids of its annotations, in
        the order of its rows
    """
    from pycocotools import mask as coco_mask

    coco = json.loads(annotations.read_text())
    images, categories = coco["images"], coco["categories"]
    image_row = {image["id"]: row for row, image in enumerate(images)}
    category_row = {c["id"]: row for row, c in enumerate(categories)}
    records = sorted(coco["annotations"], key=lambda a: image_row[a["image_id"]])
    crowds = np.zeros(len(images), np.int64)
    for record in records:
        crowds[image_row[record["image_id"]]] += record.get("iscrowd", 0)
    records = [record for record in records if not record.get("iscrowd", 0)]
    tight = np.full((len(records), 4), np.nan)
    pixels = np.full(len(records), np.nan)
    for row, record in enumerate(records):
        segmentation = record.get("segmentation")
        image = images[image_row[record["image_id"]]]
        if segmentation:
            rles = (
                coco_mask.frPyObjects(segmentation, image["height"], image["width"])
                if isinstance(segmentation, list)
                or isinstance(segmentation["counts"], list)
                else segmentation
            )
            merged = coco_mask.merge(rles) if isinstance(rles, list) else rles
            tight[row] = coco_mask.toBbox(merged)
            pixels[row] = coco_mask.area(merged)
    box = np.array([r["bbox"] for r in records], np.float64).reshape(-1, 4)
    found = LabeledImages(
        size=np.array([[i["width"], i["height"]] for i in images], np.float64),
        objects=Objects(
            image=np.array([image_row[r["image_id"]] for r in records], np.int64),
            category=np.array(
                [category_row[r["category_id"]] for r in records], np.int64
            ),
            box=box,
            area=np.array([r["area"] for r in records], np.float64),
            crowd=np.zeros(len(records), bool),
        ),
        classes=[category["name"] for category in categories],
        crowds=crowds,
        filepaths=[image["file_name"] for image in images],
        tags=[[] for _ in images],
        tight_box=tight,
        mask_area=pixels,
    )
    return found, [i["id"] for i in images], [r["id"] for r in records]


def statistics_of(
    labeled: LabeledImages,
    resize: str | ResizePolicy = DEFAULT_RESIZE,
    anchors: str | AnchorSet = DEFAULT_ANCHORS,
) -> Statistics:
    """The statistics of a set, by default at the network that audits take."""
    return Statistics(labeled, ResizePolicy.parse(resize), AnchorSet.parse(anchors))


def evidence_of(
    rule: Rule | str, statistics: Statistics, **thresholds: Any
) -> Evidence | None:
    """What a rule, or that of a code, finds; None for nothing, and never two things."""
    if isinstance(rule, str):
        rule = RULES[rule]
    evidence = list(rule.examine(statistics, **thresholds))
    assert len(evidence) <= 1
    return evidence[0] if evidence else None


def evidence_by_code(
    codes: Iterable[str], statistics: Statistics
) -> dict[str, Evidence]:
    """What rules find, by the codes of those that find anything.

    Those of results look at something else, and are passed over.
    """
    codes = [code for code in codes if RULES[code].needs != "evaluation"]
    found = {code: evidence_of(code, statistics) for code in codes}
    return {code: evidence for code, evidence in found.items() if evidence}
