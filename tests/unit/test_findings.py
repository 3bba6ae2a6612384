"""One fact is told once, and views of a few images say nothing on rare classes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import fiftyone_coco_audit.rules  # noqa: F401  (fills the registry)
from fiftyone_coco_audit.auditing import examine
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.findings import RULES, Finding, without_repeats
from fiftyone_coco_audit.objects import LabeledImages
from fiftyone_coco_audit.rule_selection import rules_not_run, selected_rules
from tests.labeled import evidence_of, labeled, statistics_of


def finding(code: str, *classes: str) -> Finding:
    rule = RULES[code]
    return Finding(
        code, rule.name, rule.severity, "", "", 0, classes, {}, "ground_truth"
    )


def codes(*findings: Finding) -> list[str]:
    return [one.code for one in without_repeats(findings)]


def test_a_finding_that_follows_from_another_is_left_out():
    few, imbalance = finding("CA403", "cat", "dog", "ant"), finding("CA401", "cat")
    tail = finding("CA402", "cat", "dog")
    assert codes(imbalance, tail, few) == ["CA403"]
    assert codes(imbalance, tail) == ["CA401", "CA402"]
    assert codes(tail) == ["CA402"]
    assert codes(finding("CA120"), finding("CA212")) == ["CA212"]
    assert codes(finding("CA120")) == ["CA120"]


def test_a_finding_on_other_classes_is_kept():
    few = finding("CA403", "cat")
    assert codes(few, finding("CA401", "cat", "dog")) == ["CA403", "CA401"]
    assert codes(
        few, finding("CA401", "cat", "dog"), finding("CA402", "cat", "dog")
    ) == [
        "CA403",
        "CA401",
    ]


def test_rules_that_others_have_added_imply_nothing():
    own = replace(finding("CA120"), code="OWN1")
    assert codes(own, finding("CA120")) == ["OWN1", "CA120"]


def rare(whole: int | None) -> LabeledImages:
    """Five images: 60 cats, one dog, no bird."""
    rows = [(n % 5, "cat", [9.0 * (n // 5), 1, 8, 8]) for n in range(60)]
    made = labeled(
        [(200, 100)] * 5, [*rows, (1, "dog", [150, 50, 20, 20])], ["bird", "cat", "dog"]
    )
    return replace(made, whole=whole)


ON_CLASSES = ("CA401", "CA403", "CA404")


@pytest.mark.parametrize("code", ON_CLASSES)
@pytest.mark.parametrize("whole", [None, 5])
def test_small_datasets_get_warnings_on_rare_and_missing_classes(code, whole):
    assert evidence_of(code, statistics_of(rare(whole)))
    assert not rules_not_run([RULES[code]], statistics_of(rare(whole)), has_file=True)


@pytest.mark.parametrize("code", [f"CA4{n:02}" for n in (1, 2, 3, 4, 5, 6, 7, 11)])
def test_views_of_a_few_images_do_not(code):
    statistics = statistics_of(rare(whole=6))
    assert evidence_of(code, statistics) is None
    (reason,) = rules_not_run([RULES[code]], statistics, has_file=True).values()
    assert reason.startswith("The view holds 5 of 6 images, too few to say")


def test_views_of_many_images_do():
    made = rare(whole=500)
    many = replace(
        made,
        size=np.tile(made.size[:1], (50, 1)),
        crowds=np.zeros(50, np.int64),
        filepaths=[f"{n}.jpg" for n in range(50)],
        tags=[[]] * 50,
    )
    assert evidence_of("CA404", statistics_of(many))


def test_severity_and_advice_of_what_was_found_come_before_those_of_the_rule():
    sides = [(10, 10)] * 20 + [(60, 60)] * 80
    rows = [
        (0, "cat", [60 * (n % 10), 60 * (n // 10), *side])
        for n, side in enumerate(sides)
    ]
    made = labeled([(640, 640)], rows)

    class Read:
        label_field = "ground_truth"

        def label_ids(self, objects):
            return [str(row) for row in objects]

    def found(anchors):
        statistics = statistics_of(made, anchors=anchors)
        (one,) = examine(Read(), statistics, [RULES["CA510"]])
        return one

    default = found("retinanet")
    assert default.severity == "note"
    assert default.advice == (
        "retinanet is only the default: pass the anchors of your own detector as "
        "`anchors`, or ignore this if it has none."
    )
    chosen = found("sizes 32,64,128 ratios .5,1,2 strides 8,16,32")
    assert (chosen.severity, chosen.advice) == ("warning", RULES["CA510"].advice)


def codes_of(rules):
    return {rule.code for rule in rules}


def test_a_selection_that_cannot_run_is_refused():
    assert codes_of(selected_rules()) == {
        code for code, rule in RULES.items() if rule.needs in ("file", "dataset")
    }
    assert codes_of(selected_rules(needs=["pipeline"])) == {
        code for code, rule in RULES.items() if rule.needs == "pipeline"
    }
    for select, needs, words in (
        ("CA601", ["dataset"], "audit_augmentation"),
        ("CA3, object-gone", ["dataset"], "'object-gone' selects no rule"),
        ("CA3", ["pipeline"], r"audit\(dataset\) runs"),
        ("CA1", ["dataset"], "a whole dataset that import_coco created"),
    ):
        with pytest.raises(CocoAuditError, match=words):
            selected_rules(select, needs=needs)


def test_rules_that_cannot_run_are_given_with_the_reason():
    statistics = statistics_of(rare(whole=6))
    wanted = selected_rules(["CA"])
    reasons = rules_not_run(wanted, statistics, has_file=False)
    kinds = {rule.needs for rule in wanted if rule.code in reasons}
    assert kinds >= {"file", "pipeline", "dataset"}
    assert {"CA101", "CA401", "CA601"} <= set(reasons)
    with_file = rules_not_run(wanted, statistics, has_file=True)
    assert set(reasons) - set(with_file) == codes_of(selected_rules("CA1"))
