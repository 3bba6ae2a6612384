"""Pairs of large groups: those of boxes that are apart are left out, and no other."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fiftyone_coco_audit import grouping
from fiftyone_coco_audit.boxes import box_iou
from fiftyone_coco_audit.evaluation.error_types import classify_errors
from fiftyone_coco_audit.evaluation.metrics import evaluate_objects
from fiftyone_coco_audit.evaluation.settings import Settings
from fiftyone_coco_audit.objects import Objects

# Few values, so that boxes touch, coincide and have no or a negative side; thirds and
# tenths, whose sums are rounded
numbers = st.sampled_from([0.0, 0.1, 0.2, 0.3, 1 / 3, 2 / 3, 1.0, 3.0, 7.5, 1e6])
sides = st.sampled_from([-1.0, 0.0, 0.1, 0.2, 1 / 3, 1.0, 3.0, 1000.0])
rows = st.lists(
    st.tuples(st.integers(0, 2), st.tuples(numbers, numbers, sides, sides)), max_size=20
)


def all_pairs(left: list[int], right: list[int], *boxes: Any) -> list[tuple[int, int]]:
    """The pairs of all parts, which must be of the rows of each part."""
    found = []
    ends = [0]
    for part, mine, other in grouping.pairs_in_parts(
        np.array(left, np.int64), np.array(right, np.int64), *boxes
    ):
        assert part.start == ends[-1]
        assert np.isin(mine, np.arange(part.start, part.stop)).all()
        found += list(zip(mine.tolist(), other.tolist(), strict=True))
        ends.append(part.stop)
    assert ends[-1] == len(left)
    return found


@given(rows, rows, st.integers(0, 30), st.integers(1, 100))
@settings(max_examples=300, deadline=None)
def test_no_pair_that_overlaps_is_left_out(
    mine: list, others: list, many: int, at_once: int
) -> None:
    others.sort(key=lambda row: row[0])
    left, right = ([row[0] for row in side] for side in (mine, others))
    boxes, other_boxes = (
        np.array([row[1] for row in side], float).reshape(-1, 4)
        for side in (mine, others)
    )
    every = [(n, m) for n, a in enumerate(left) for m, b in enumerate(right) if a == b]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grouping, "_MANY_PAIRS", many)
        patch.setattr(grouping, "_PAIRS_AT_ONCE", at_once)
        assert all_pairs(left, right) == every
        found = all_pairs(left, right, boxes, other_boxes)
    assert found == sorted(found) and set(found) <= set(every)

    def overlap(pair: tuple[int, int]) -> bool:
        return bool(box_iou(boxes[pair[0]], other_boxes[pair[1]]) > 0)

    assert [*filter(overlap, found)] == [*filter(overlap, every)]
    of_group = Counter(left[row] for row, _ in every)
    for row, other in found:
        if of_group[left[row]] > many and (boxes[row, 2:] > 0).all():
            assert overlap((row, other)) or (other_boxes[other, 2:] <= 0).any()


def crowded(count: int, classes: int, seed: int) -> Objects:
    """Objects at random in an image of 2000 x 1500 pixels."""
    rng = np.random.default_rng(seed)
    side = rng.uniform(5, 40, (count, 2))
    corner = rng.uniform(0, 1, (count, 2)) * ([2000, 1500] - side)
    return Objects(
        image=np.zeros(count, np.int64),
        category=rng.integers(0, classes, count),
        box=np.hstack([corner, side]).round(2),
        area=side.prod(axis=1),
        crowd=rng.uniform(0, 1, count) < 0.01,
        score=rng.uniform(0, 1, count).round(3),
    )


def test_an_evaluation_is_the_same_to_the_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, predictions = crowded(1_000, 2, 1), crowded(800, 2, 2)

    def evaluated() -> list[NDArray]:
        made = evaluate_objects(
            truth,
            predictions,
            num_images=1,
            num_categories=2,
            settings=Settings.parse(iou_thresholds=[0.001, 0.3], max_detections=[500]),
        )
        errors = classify_errors(made)
        return [
            made.matches.candidates,
            made.matches.truth,
            made.matches.overlap,
            made.ap,
            made.recall,
            errors.predictions,
            errors.truth,
            errors.mistaken,
        ]

    sorted_boxes = evaluated()
    monkeypatch.setattr(grouping, "_MANY_PAIRS", 10**9)
    for mine, plain in zip(sorted_boxes, evaluated(), strict=True):
        np.testing.assert_array_equal(mine, plain)


def test_few_pairs_of_a_crowded_image_are_compared() -> None:
    """Of 306 million, which took more memory than there is if compared all at once."""
    truth, found = crowded(35_000, 1, 1), crowded(8_750, 1, 2)
    count = 0
    for _, mine, _ in grouping.pairs_in_parts(
        found.image, truth.image, found.box, truth.box
    ):
        count += len(mine)
    assert count < 306_250_000 / 500


def test_pairs_of_a_crowded_image_are_taken_in_parts() -> None:
    parts = [
        len(mine)
        for _, mine, _ in grouping.pairs_in_parts(
            np.zeros(500, np.int64), np.zeros(35_000, np.int64)
        )
    ]
    assert sum(parts) == 500 * 35_000
    assert max(parts) <= grouping._PAIRS_AT_ONCE + 35_000
