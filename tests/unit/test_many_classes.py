"""Lists of 20,000 classes and more, of which few occur, take little memory and time."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import fiftyone_coco_audit.rules  # noqa: F401  (fills the registry)
from fiftyone_coco_audit.evaluation.improvements import Improvements
from fiftyone_coco_audit.evaluation.metrics import Evaluation, evaluate_objects
from fiftyone_coco_audit.evaluation.settings import Settings
from fiftyone_coco_audit.findings import RULES
from tests.labeled import evidence_by_code, labeled, statistics_of
from tests.unit.evaluation.scenes import objects, rows_of

#: ImageNet-21k
MANY = 21_841
# A table of all pairs of these has 477 million cells
MOST_BYTES = 500e6


def peak(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def two_objects(num_classes: int = MANY):
    names = [f"n{row:08d}" for row in range(num_classes)]
    rows = [(0, names[3], [10, 10, 50, 40]), (0, names[-1], [80, 10, 50, 40])]
    paths = ["a/0.jpg", "b/1.jpg"]
    return labeled([(200, 100)] * 2, rows, names, filepaths=paths)


@pytest.mark.parametrize("num_classes", [MANY, 100_000])
def test_all_rules_on_two_objects_of_many_classes(num_classes):
    made = two_objects(num_classes)
    found = {}
    used = peak(
        lambda: found.update(evidence_by_code(sorted(RULES), statistics_of(made)))
    )
    assert used < MOST_BYTES, f"{used / 1e6:.0f} MB"
    assert found["CA404"].figures == {"classes": num_classes - 2}


def test_rules_of_results_on_two_of_many_classes():
    here, loose = (10, 10, 40, 40), (24, 10, 40, 40)
    truth = [(n, n % 2 * 70_000, here, 0) for n in range(20)]
    found = [(n, n % 2 * 70_000, (here, loose)[n % 2], 0.9) for n in range(20)]
    evaluation = evaluate_objects(
        objects(truth, predicted=False),
        objects(found, predicted=True),
        num_images=20,
        num_categories=100_000,
        settings=Settings.parse(),
    )
    of = Improvements(evaluation, rows_of(evaluation), 20)
    codes = []
    rules = [rule for rule in RULES.values() if rule.needs == "evaluation"]
    used = peak(
        lambda: codes.extend(rule.code for rule in rules for _ in rule.examine(of))
    )
    assert used < MOST_BYTES, f"{used / 1e6:.0f} MB"
    assert sorted(codes) == ["CA701", "CA713", "CA804"]


def test_rare_classes_that_are_never_apart_are_found_among_many():
    names = [f"n{row:08d}" for row in range(MANY)]
    leaf, ladybug, *others = names[5], names[2], *names[10:18]
    rows = [(n, leaf, [10, 10, 50, 40]) for n in range(20)]
    rows += [(n // 5, leaf, [80, 50, 50, 40]) for n in range(100)]
    rows += [(n, ladybug, [80, 10, 5, 4]) for n in range(6)]
    rows += [(20 + n, name, [10, 10, 9, 9]) for n, name in enumerate(others * 3)]
    made = labeled([(200, 100)] * 60, rows, names)
    found = {}
    used = peak(
        lambda: found.update(evidence_by_code(["CA407", "CA411"], statistics_of(made)))
    )
    assert used < MOST_BYTES
    assert found["CA407"].classes == (ladybug, leaf)


def evaluated(num_categories: int) -> Evaluation:
    made = two_objects(num_categories)
    predictions = replace(made.objects, score=np.array([0.9, 0.8]))
    return evaluate_objects(
        made.objects,
        predictions,
        num_images=2,
        num_categories=num_categories,
        settings=Settings.parse(),
    )


def test_an_evaluation_of_two_objects_of_many_classes():
    found = []
    used = peak(lambda: found.append(evaluated(MANY)))
    assert used < MOST_BYTES, f"{used / 1e6:.0f} MB"
    (evaluation,) = found
    assert evaluation.summary()["AP"] == 1
    by_class = evaluation.by_class()["AP"]
    assert len(by_class) == MANY
    assert np.flatnonzero(by_class == 1).tolist() == [3, MANY - 1]
    assert np.isnan(np.delete(by_class, [3, MANY - 1])).all()


def test_curves_of_some_groups_are_those_of_all():
    curves = evaluated(40).curves
    some = np.array([2, 3, 39])
    every = curves.at_recall_levels(curves.precision)
    assert (curves.at_recall_levels(curves.precision, some) == every[:, some]).all()
    assert every[0, :, 0].tolist() == [-1] * 3 + [1] + [-1] * 35 + [1]
