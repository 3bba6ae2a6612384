"""Rules of results: sets with little in them, what classes are named, and sentences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fiftyone_coco_audit.rules  # noqa: F401  (fills the registry)
from fiftyone_coco_audit.evaluation.analysis.counterfactuals import repair
from fiftyone_coco_audit.evaluation.improvements import SMALL
from fiftyone_coco_audit.findings import RULES, Gain
from tests.unit.evaluation.scenes import improvements

HERE, THERE, LOOSE = (10, 10, 40, 40), (300, 300, 40, 40), (24, 10, 40, 40)
OF_RESULTS = [rule for rule in RULES.values() if rule.needs == "evaluation"]


@pytest.mark.parametrize(
    ("truth", "found"),
    [
        ([], []),
        ([("cat", HERE)], []),
        ([], [("cat", HERE, 0.9)]),
        ([("cat", HERE)], [("cat", HERE, 0.9)]),
    ],
    ids=["nothing", "objects", "predictions", "perfect"],
)
def test_sets_with_little_in_them(truth: Any, found: Any) -> None:
    of = improvements([(3, truth, found)], hard={SMALL: 0}, tight=HERE)
    codes = {rule.code for rule in OF_RESULTS for _ in rule.examine(of)}
    # Only that all objects are missed can be said, and nothing about low scores
    assert codes <= {"CA706"}


def test_images_that_were_never_annotated_are_counted() -> None:
    found = [("cat", HERE, 0.8)]
    of = improvements(
        [(127, [("cat", HERE)], found), (74, [], [("cat", HERE, 0.9)])], num_draws=10
    )
    (evidence,) = RULES["CA802"].examine(of)
    before = of.evaluation.summary()["AP"]
    assert evidence.message == (
        "74 of 201 images have no label, and all 74 have a prediction over 0.5: AP is "
        f"{before:.4f} with them and 1.0000 without: {evidence.gain}."
    )
    assert evidence.gain is not None
    assert evidence.gain.value == pytest.approx(1 - before, abs=1e-12)
    assert evidence.images is not None
    assert evidence.images.tolist() == list(range(127, 201))


def test_a_class_with_most_of_the_gain_is_named_alone() -> None:
    of = improvements(
        [
            (10, [("cat", HERE), ("dog", THERE)], [("cat", LOOSE, 0.9)]),
            (10, [("emu", HERE)], [("emu", HERE, 0.9)]),
            (1, [("emu", HERE)], [("emu", LOOSE, 0.9)]),
        ]
    )
    (evidence,) = RULES["CA701"].examine(of)
    assert evidence.classes == ("cat",)
    (evidence,) = RULES["CA701"].examine(of, share=1)
    assert evidence.classes == ("cat", "emu")
    assert not list(RULES["CA701"].examine(of, min_gain=0.9))


def test_a_gain_whose_interval_includes_0_is_not_reported() -> None:
    sound = (50, [("cat", HERE)], [("cat", HERE, 0.9)])
    of = improvements([sound, (1, [("cat", HERE)], [])], num_draws=50)
    change = repair(of.errors, "missed", np.ones(3, bool))
    assert of.gains.value(change) > 0.005
    assert not list(RULES["CA706"].examine(of))


def test_gains_as_text() -> None:
    assert str(Gain(0.034, 0.0214, 0.0456)) == "+.034 AP [.021, .046]"
    assert str(Gain(1, -0.0031, 1.25, "F1")) == "+1.000 F1 [-.003, 1.250]"
    assert Gain(0.1, 0, 0).short == "+.100 AP"
