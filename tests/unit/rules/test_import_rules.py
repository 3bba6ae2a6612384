"""The examples of the rules on COCO files, read as they stand, are true."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fiftyone_coco_audit.coco import rules
from fiftyone_coco_audit.coco.categories import read_categories
from fiftyone_coco_audit.coco.images import read_images
from fiftyone_coco_audit.coco.matching import PredictionTarget
from fiftyone_coco_audit.coco.objects import References, read_annotated
from fiftyone_coco_audit.coco.paths import ImageFolder, NoImageFolder
from fiftyone_coco_audit.coco.predictions import read_matched
from fiftyone_coco_audit.coco.report import ProblemLog
from fiftyone_coco_audit.findings import Rule

RULES = [rule for rule in vars(rules).values() if isinstance(rule, Rule)]
SIZES = np.array([[640, 480], [640, 480]])
RESERVED = {"area", "iscrowd", "coco_id", "confidence", "label", "mask", "rle"}

# What the keys that an example leaves out are, in its first and its second record
SOUND: dict[str, list[dict[str, Any]]] = {
    "image": [
        {"id": 1, "file_name": "a.jpg", "width": 640, "height": 480},
        {"id": 2, "file_name": "b.jpg", "width": 640, "height": 480},
    ],
    "category": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    "annotation": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [9, 9, 20, 30], "area": 600},
        {"id": 2, "image_id": 1, "category_id": 1, "bbox": [9, 9, 20, 30], "area": 600},
    ],
    "prediction": [
        {"image_id": 1, "category_id": 1, "bbox": [9, 9, 20, 30], "score": 0.5}
    ],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", (640, 480)).save(tmp_path / name)
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:10])
    return tmp_path


def parse(example: str) -> tuple[str, list[Any]]:
    """Returns what kind of records an example shows, and the whole records."""
    match = re.match(r"The (image|categor|annotation|prediction)(y|ies|s)? `", example)
    assert match, example
    kind = "category" if match[1] == "categor" else match[1]
    shown = [json.loads(code) for code in re.findall(r"`([^`]+)`", example)]
    return kind, [
        {**sound, **record} if isinstance(record, dict) else record
        for sound, record in zip(SOUND[kind][: len(shown)], shown, strict=True)
    ]


def codes_of(example: str, folder: Path) -> list[str]:
    """Reads the records of an example, and returns the codes of what is found."""
    kind, records = parse(example)
    log = ProblemLog("coco.json", "ground_truth")
    rows = {1: 0, 2: 1}
    if kind == "image":
        nowhere = "no folder" in example
        read_images(records, NoImageFolder() if nowhere else ImageFolder(folder), log)
    elif kind == "category":
        read_categories(records, log, used={2})
    elif kind == "annotation":
        read_annotated(records, References(rows, rows, SIZES), log, reserved=RESERVED)
    else:
        names = ["a.jpg", "b.jpg", "day/c.jpg", "night/c.jpg"]
        target = PredictionTarget(
            "dataset 'a'",
            [1, 2, 3, 4],
            [f"{folder}/{name}" for name in names],
            SIZES[[0, 0, 0, 0]],
            {1: "cat", 2: "dog", 3: "animal"},
            parents=["animal"],
        )
        # Beside a sound one, for a file of which nothing can be used is refused
        read_matched([*records, SOUND[kind][0]], target, log)
    return [problem.code for problem in log.problems]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_the_example_triggers_the_rule_and_nothing_else(
    rule: Rule, folder: Path
) -> None:
    assert codes_of(rule.example, folder) == [rule.code]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_the_counterexample_triggers_nothing(rule: Rule, folder: Path) -> None:
    assert codes_of(rule.counterexample, folder) == []
