"""Keypoints of records and skeletons of categories, checked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO

from fiftyone_coco_audit.coco.objects import CocoObjects, ObjectReader, References
from fiftyone_coco_audit.coco.report import ProblemLog
from fiftyone_coco_audit.coco.skeletons import (
    common_skeleton,
    note_skeletons,
    read_skeleton,
    skeletons_of,
)
from tests.poses import random_poses


def read(
    *records: dict[str, Any], predicted: bool = False, count: int = 2
) -> tuple[CocoObjects, list[tuple[str, str]]]:
    """The objects of records, and the code and reason of each problem."""
    log = ProblemLog("coco.json", "ground_truth")
    size = np.array([[100, 100]])
    references = References({1: 0}, {1: 0}, size, num_keypoints=[count])
    reader = ObjectReader(references, log, set())
    common = {"image_id": 1, "category_id": 1}
    other = {"score": 0.5} if predicted else {"id": 1, "area": 9, "iscrowd": 0}
    whole = [{**common, **other, **record} for record in records]
    objects = (reader.predictions if predicted else reader.annotations)(whole)
    return objects, [(problem.code, problem.reason) for problem in log.problems]


def test_boxes_of_predictions_are_those_of_load_res() -> None:
    coco, found = random_poses(5, boxes=False)
    ours = [
        read(record, predicted=True, count=len(record["keypoints"]) // 3)[0]
        for record in (
            {"keypoints": one["keypoints"], "score": one["score"]} for one in found
        )
    ]
    truth = COCO()
    truth.dataset = coco
    truth.createIndex()
    theirs = truth.loadRes(found).dataset["annotations"]
    expected = [record["bbox"] for record in theirs]
    np.testing.assert_array_equal([of.box[0] for of in ours], expected)


def test_a_predicted_pose_without_extent_is_kept() -> None:
    """COCO keeps it with an area of 0."""
    objects, problems = read({"keypoints": [7, 8, 1, 7, 8, 1]}, predicted=True)
    assert objects.box.tolist() == [[7, 8, 0, 0]]
    assert not problems
    objects, ((code, reason),) = read({"keypoints": [7, 8, 1, 7, 8, 1]})
    assert not len(objects)
    assert code == "CA113"
    assert "its keypoints are on a line along a side" in reason


def test_the_box_of_an_annotation_is_around_its_labeled_keypoints() -> None:
    objects, problems = read({"keypoints": [10, 10, 2, 0, 0, 0, 30, 20, 1]}, count=3)
    assert objects.box.tolist() == [[10, 10, 20, 10]]
    assert [code for code, _ in problems] == ["CA147"]
    objects, problems = read(
        {"bbox": [5, 5, 0, 5], "keypoints": [10, 10, 2, 30, 20, 1]}
    )
    assert objects.box.tolist() == [[10, 10, 20, 10]]
    assert problems == [("CA125", "its `bbox` is [5, 5, 0, 5]")]


def test_without_a_box_the_reason_is_in_the_keypoints() -> None:
    for record, reason in (
        ({"keypoints": [1, 2]}, "`keypoints` are 2 numbers"),
        ({"keypoints": [1, 1, 2, 5, 5, 9]}, "keypoint 2 in its `keypoints` is"),
        ({"keypoints": [0] * 6}, "its `bbox` is missing"),
    ):
        objects, problems = read(record)
        assert not len(objects)
        ((code, said),) = problems
        assert code == "CA112"
        assert reason in said


@pytest.mark.parametrize(
    ("keypoints", "predicted", "kept"),
    [
        ([1, 1, 0.75, 5, 5, -3], True, True),  # COCO does not use the third
        ([1, 1, 0.75, 5, 5, 1], False, False),
        ([1, 1, 2, 10**400, 5, 1], False, False),
        ([1, 1, float("inf"), 5, 5, 1], True, False),
        ([1, 1, 2, True, 5, 1], False, False),
        ([1, 1, 2, None, 5, 1], True, False),
        ("[1, 1, 2, 5, 5, 1]", False, True),
        ((1, 1, 2, 5, 5, 1), False, True),
        ([1, 1, 2], False, False),
        ({}, False, False),
    ],
)
def test_which_keypoints_are_kept(keypoints: Any, predicted: bool, kept: bool) -> None:
    record = {"bbox": [1, 1, 9, 9], "keypoints": keypoints}
    objects, problems = read(record, predicted=predicted)
    assert objects.has_keypoints is kept
    assert [code for code, _ in problems] == ([] if kept else ["CA146"])


def test_no_keypoints_are_no_problem() -> None:
    objects, problems = read({"bbox": [1, 1, 9, 9], "keypoints": []})
    assert objects.keypoints == [None]
    assert not problems


def test_poses_of_the_same_id_and_box_are_not_copies() -> None:
    box = {"bbox": [1, 1, 9, 9]}
    first, other = [1, 1, 2, 5, 5, 1], [1, 1, 2, 5, 5, 2]
    objects, _ = read({**box, "keypoints": first}, {**box, "keypoints": other})
    assert objects.keypoints == [first, other]
    objects, _ = read({**box, "keypoints": first}, {**box, "keypoints": first})
    assert objects.keypoints == [first]


PERSON = {"name": "person", "keypoints": ["a", "b", "c"], "skeleton": [[1, 2], [3, 1]]}


@pytest.mark.parametrize(
    ("changes", "edges", "fault"),
    [
        ({}, [[0, 1], [2, 0]], ""),
        ({"skeleton": None}, [], ""),
        ({"skeleton": [[0, 1], [1, 2]]}, [[0, 1]], "has [0, 1], but 3 keypoints"),
        ({"skeleton": [[1, 2], [1, 4]]}, [[0, 1]], "has [1, 4], but 3 keypoints"),
        ({"skeleton": [[1, 2, 3]]}, [], "has [1, 2, 3]"),
        ({"skeleton": "x"}, [], "is 'x'"),
    ],
)
def test_lines_that_cannot_be_drawn(changes: dict, edges: list, fault: str) -> None:
    skeleton = read_skeleton({**PERSON, **changes})
    assert skeleton is not None
    assert skeleton.stored() == {"labels": ["a", "b", "c"], "edges": edges}
    assert fault in skeleton.fault
    assert bool(skeleton.fault) is bool(fault)


@pytest.mark.parametrize("labels", [None, [], "nose", [1, 2]])
def test_a_category_without_names_of_keypoints_has_no_skeleton(labels: Any) -> None:
    assert read_skeleton({**PERSON, "keypoints": labels}) is None


def test_one_skeleton_for_all_categories_or_none() -> None:
    others = [{"name": "car"}, {**PERSON, "name": "child"}]
    assert common_skeleton(skeletons_of([PERSON, *others])) == read_skeleton(PERSON)
    different = skeletons_of([PERSON, {"name": "hand", "keypoints": ["thumb"]}])
    assert common_skeleton(different) is None
    log = ProblemLog("coco.json", "ground_truth")
    note_skeletons(different, log)
    ((code, records),) = [(p.code, p.records) for p in log.problems]
    assert (code, records) == ("CA149", 2)
