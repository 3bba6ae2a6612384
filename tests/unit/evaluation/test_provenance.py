"""What an evaluation says about where its numbers come from."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from fiftyone_coco_audit.evaluation.provenance import (
    Content,
    Provenance,
    SetAside,
    content_of,
)
from fiftyone_coco_audit.evaluation.settings import Settings
from tests.unit.evaluation.scenes import evaluate

BOX = (10.0, 10.0, 40.0, 40.0)

# https://cocodataset.org: 36,781 annotations, 446 of them crowd regions
VAL2017 = Provenance(
    dataset="coco",
    view=False,
    pred_field="predictions",
    gt_field="ground_truth",
    content=Content(5_000, 48, 36_335, 446, 172_000, 80),
    settings=Settings(),
    set_aside=(),
    id_0=(),
    versions={"fiftyone": "1.22.1", "metrics of pycocotools": "2.0.11"},
    evaluated_at="2026-01-02T03:04:05+00:00",
)


def test_the_whole_of_val2017_is_comparable() -> None:
    assert VAL2017.comparable
    assert VAL2017.sentences() == [
        "Evaluated: boxes of `predictions` against `ground_truth` in `coco`, 5,000 "
        "images, 48 of them without labels, 80 classes with objects; 2026-01-02 03:04 "
        "UTC, fiftyone 1.22.1, metrics of pycocotools 2.0.11.",
        "Comparable with published results on COCO val2017.",
    ]


def settings(**options: object) -> Settings:
    return Settings.parse(**options)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {"settings": settings(iou_thresholds=[0.5, 0.75])},
            "the IoU thresholds are 0.5 and 0.75, not .50:.05:.95",
        ),
        (
            {"settings": settings(max_detections=[300])},
            "AP is that of 300 predictions per image and class, not 100",
        ),
        (
            {"settings": settings(area_ranges={"all": (100, 1e10)})},
            "the area range `all` leaves objects out",
        ),
        (
            {"settings": settings(area_ranges={"tiny": (0, 256)})},
            "APs, APm and APl are not those of COCO's area ranges",
        ),
        (
            {
                "settings": settings(iou_type="keypoints", sigmas=[0.1] * 17),
                "content": Content(5_000, 2_307, 10_777, 227, 10_000, 1),
            },
            "the sigmas are not COCO's",
        ),
        (
            {"set_aside": (SetAside("image", "CA101", 1), SetAside("image", "CA1", 2))},
            "the import set aside 3 images (CA101 and CA1)",
        ),
        ({"view": True}, "a view was evaluated"),
        ({"id_0": None}, "objects share annotation ids, which pycocotools mixes up"),
        (
            {"id_0": ("a",)},
            "pycocotools cannot match the 1 object with annotation id 0",
        ),
        (
            {"content": replace(VAL2017.content, images=4_952, unlabeled=0)},
            "COCO val2017 has 5,000 images with 36,781 labels of 80 classes",
        ),
    ],
)
def test_what_makes_it_not_comparable(change: dict[str, object], reason: str) -> None:
    changed = replace(VAL2017, **change)
    assert changed.reasons == (reason,)
    assert f"published results on COCO val2017: {reason}." in str(changed)


def test_it_survives_json() -> None:
    own = Settings.parse(iou_type="segm", area_ranges={"tiny": (0, 256)})
    first = replace(
        VAL2017, settings=own, set_aside=(SetAside("image", "CA101", 1),), id_0=None
    )
    poses = replace(VAL2017, settings=Settings.parse(iou_type="keypoints"))
    for one in (VAL2017, first, poses):
        text = json.loads(json.dumps(one.to_dict()))
        assert text["comparable"] is one.comparable
        assert text["reasons"] == list(one.reasons)
        assert Provenance.from_dict(text) == one


def test_a_part_has_its_own_content() -> None:
    of_two = evaluate(
        [(0, 0, BOX, 0), (0, 1, BOX, 1)], [(1, 2, BOX, 0.9)], num_images=2
    )
    content = content_of(of_two)
    assert content == Content(2, 1, 1, 1, 1, 1)
    part = replace(VAL2017, id_0=("a", "b")).of(content, {"b", "c"})
    assert part.view
    assert part.id_0 == ("b",)
    assert part.content == content
