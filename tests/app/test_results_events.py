"""The panel *COCO Results* in a real dataset: what a click opens is what was shown."""

from collections.abc import Iterator

import fiftyone as fo
import numpy as np
import pytest
from fiftyone import ViewField as F

from coco_audit_demo import DemoPaths
from fiftyone_coco_audit import (
    CocoAuditError,
    audit_results,
    color_by_outcome,
    compare_runs,
    evaluate,
    import_coco,
    review_labels,
)
from fiftyone_coco_audit.evaluation.results import CocoResults
from fiftyone_coco_audit.evaluation.saving_outcomes import outcomes_of_labels
from fiftyone_coco_audit.panels.tabs.results.slices import fields_to_divide_by
from tests.app.audit_session import Session, properties_of

EVALUATE = "@coco-audit/coco-audit/evaluate"


class ResultsSession(Session):
    """The panel *COCO Results*."""

    uri = "@coco-audit/coco-audit/coco_results"
    rows = ("controls", "threshold", "filters", "range", "slices")
    entries = ("score", "iou", "path", "ap_from", "ap_to")


@pytest.fixture(scope="module")
def results(mongodb: str, demo_files: DemoPaths) -> Iterator[CocoResults]:
    dataset = import_coco(
        demo_files.annotations,
        demo_files.images,
        predictions=demo_files.predictions,
        name="results-panel",
    )
    yield evaluate(dataset)
    dataset.delete()


@pytest.fixture
def session(results: CocoResults) -> ResultsSession:
    return ResultsSession(results.samples)


def ids_of(view: fo.DatasetView, field: str) -> list[str]:
    return sorted(view.values(f"{field}.detections.id", unwind=True))


def test_a_class_bar_opens_its_objects(session: ResultsSession, results: CocoResults):
    assert "AP " in session.shown
    session.turn_to("classes")
    worst = results.per_class()["AP"].idxmin()
    session.press("classes.ap", 0)
    whole = session.view
    if whole._is_patches:
        assert set(whole.values("ground_truth.label")) == {worst}
        session.send("open_otherwise", as_patches=False)
    labels = session.view.values("ground_truth.detections.label", unwind=True)
    assert set(labels) == {worst}
    assert len(labels) == results.per_class()["objects"][worst]
    assert not session.view.has_field("predictions") or not any(
        session.view.values("predictions")
    )


def test_what_ap_can_be_divided_by(results: CocoResults):
    found = dict(fields_to_divide_by(results.samples, "ground_truth"))
    assert found["ground_truth.detections.area"] == "area of objects"
    assert found["metadata.width"] == "metadata.width of images"
    assert not [path for path in found if "eval" in path or path.endswith("id")]


def test_pairs_open_as_patches_and_in_images(
    session: ResultsSession, results: CocoResults
):
    session.turn_to("classes", class_name="", sort_by="name")
    frame = results.per_class()
    first = frame.index[frame["objects"] > 0].sort_values()[0]
    session.press("classes.outcomes", 0)
    assert session.view._is_patches
    rows, evaluation = results.rows, results.evaluation
    (right, *_), _ = evaluation.outcomes()
    own = evaluation.matches.predictions[right]
    own = own[evaluation.predictions.category[own] == rows.classes.index(first)]
    expected = sorted(rows.prediction_ids[own].tolist())
    assert sorted(session.view.values("predictions.id")) == expected
    assert f"{len(expected)} pairs in" in session.shown
    session.send("open_otherwise", as_patches=False)
    assert ids_of(session.view, "predictions") == expected
    assert len(ids_of(session.view, "ground_truth")) == len(expected)


def test_an_error_bar_opens_its_labels(session: ResultsSession, results: CocoResults):
    session.turn_to("errors")
    costs = results.error_costs()
    for mark, name in enumerate(costs.types):
        session.press("errors.costs", 2 * mark)
        count = costs.to_frame()["errors"][name]
        if session.view._is_patches:
            assert len(session.view) == count
        else:
            fields = ("predictions", "ground_truth")
            assert count in [
                len(ids_of(session.view, field))
                for field in fields
                if session.view.has_field(field)
            ]


def test_next_steps_open_their_labels(session: ResultsSession, results: CocoResults):
    session.turn_to("next_steps")
    audit = audit_results(results.samples)
    assert audit.findings[0].gain is not None
    assert str(audit.findings[0].gain) in session.shown.replace("\\", "")
    steps = [finding for finding in audit if finding.subject]
    cards = session.cards()
    assert len(cards) == len(steps)
    for finding, card in zip(steps[:4], cards, strict=False):
        session.send("open_finding", **card)
        if finding.sample_ids:
            assert sorted(session.view.values("id")) == sorted(finding.sample_ids)
        else:
            opened = ids_of(session.view, finding.label_field)
            assert opened == sorted(finding.label_ids)


def test_filtered_images_open_in_their_order(
    session: ResultsSession, results: CocoResults
):
    session.turn_to("images", status="no predictions")
    buttons = [
        part["view"]["params"]
        for part in properties_of(session.form)
        if "open_selection" in str(part["view"].get("operator"))
    ]
    session.send("open_selection", **buttons[0])
    frame = results.per_image()
    expected = frame.index[frame["status"] == "no predictions"]
    assert sorted(session.view.values("id")) == sorted(expected)
    session.change("status", "")
    session.press("images_range.influence", 0)
    worst = results.influence()["influence"].idxmax()
    assert session.view.values("id") == [worst]


def test_two_runs_are_compared(results: CocoResults):
    dataset = results.samples.limit(60).clone()
    try:
        evaluate(dataset, eval_key="old")
        kept = dataset.filter_labels("predictions", F("confidence") > 0.4)
        kept.save()
        evaluate(dataset, eval_key="new")
        session = ResultsSession(dataset)
        session.turn_to("compare", eval_key="new")
        compared = compare_runs(dataset, "old", "new", num_draws=5)
        change = compared.to_frame().loc["AP", "difference"]
        told = f"AP changes by {change:+.3f}".replace("0.", ".")
        assert told in session.shown.replace("\\", "")
        assert not compared.won and compared.lost
        names = [
            part["view"]["params"]
            for part in properties_of(session.form)
            if "open_selection" in str(part["view"].get("operator"))
        ]
        session.send("open_selection", **names[1])
        if session.view._is_patches:
            session.send("open_otherwise", as_patches=False)
        assert ids_of(session.view, "ground_truth") == sorted(compared.lost)
    finally:
        dataset.delete()


def test_a_matching_is_written_to_the_labels(results: CocoResults):
    dataset = results.samples.limit(40).clone()
    try:
        written = evaluate(dataset, eval_key="own")
        session = ResultsSession(dataset)
        session.turn_to("thresholds", score=0.7)
        session.change("iou", 0.65)
        assert "score of 0.70 or more, at IoU 0.65" in session.shown
        session.send("write_outcomes")
        assert "Labels are colored by their outcome" in session.notices[0]
        assert {"reload_dataset", "set_color_scheme"} <= set(session.asked)
        assert "changed since" not in session.shown
        outcomes = outcomes_of_labels(written.evaluation, iou=0.65, score=0.7)
        rows = written.rows
        for field, ids, expected in zip(
            ("ground_truth", "predictions"),
            (rows.truth_ids, rows.prediction_ids),
            outcomes,
            strict=True,
        ):
            paths = [f"{field}.detections.id", f"{field}.detections.own_outcome"]
            stored = dict(zip(*dataset.values(paths, unwind=True), strict=True))
            assert [stored[one] for one in ids.tolist()] == expected.tolist()
        scheme = dataset.app_config.color_scheme
        assert {f["colorByAttribute"] for f in scheme.fields} == {"own_outcome"}
        # They go with the evaluation, and leave the colors to what replaces it
        dataset.rename_evaluation("own", "other")
        assert dataset.has_field("ground_truth.detections.other_outcome")
        evaluate(dataset, eval_key="other")
        assert not dataset.has_field("ground_truth.detections.other_outcome")
        scheme = dataset.app_config.color_scheme
        assert {f["colorByAttribute"] for f in scheme.fields} == {"other"}
        with pytest.raises(CocoAuditError, match="no attribute 'other_outcome'"):
            color_by_outcome(dataset, "other", saved=True)
        with pytest.raises(CocoAuditError, match="was replaced"):
            written.save_outcomes()
    finally:
        dataset.delete()


def test_a_view_alone_is_shown(session: ResultsSession, results: CocoResults):
    session.context["view"] = results.samples.limit(20)
    session.send("use_view")
    assert "A view**: 20 images" in session.shown
    ap = results.of(results.samples.limit(20)).summary()["AP"]
    assert f"AP {ap:.3f}".replace("0.", ".") in session.shown
    session.turn_to("errors")
    session.send("use_dataset")
    assert "200 images" in session.shown


def test_without_an_evaluation_the_way_out_is_to_evaluate(results: CocoResults):
    dataset = results.samples.limit(3).clone()
    try:
        dataset.delete_evaluations()
        session = ResultsSession(dataset)
        assert "no COCO evaluation of detections yet" in session.shown
        assert EVALUATE in session.shown
    finally:
        dataset.delete()


def test_results_that_are_replaced_are_loaded_anew(results: CocoResults):
    dataset = results.samples.limit(20).clone()
    try:
        evaluate(dataset, eval_key="again")
        session = ResultsSession(dataset)
        assert "20 images" in session.shown
        session.turn_to("classes")
        mark = session.mark("classes.ap", 0)
        evaluate(dataset.limit(5), eval_key="again")
        session.send("show_tab", tab="classes")
        assert "5 images" in session.shown
        # The mark of the page before opens what was there
        session.send("open_mark", **mark)
        assert session.view is not None
        dataset.delete_evaluations()
        session.send("open_mark", **mark)
        assert session.view is None
    finally:
        dataset.delete()


def test_all_sizes_of_images_are_known(results: CocoResults):
    from fiftyone_coco_audit.panels.loaded_results import loaded_results

    loaded = loaded_results(results.samples, "eval")
    assert np.all(loaded.size > 0)
    assert loaded_results(results.samples, "eval") is loaded


@pytest.fixture
def reviewed(results: CocoResults) -> Iterator[fo.Dataset]:
    """A dataset whose label issues a test may give verdicts on."""
    dataset = results.samples.clone()
    yield dataset
    dataset.delete()


def test_label_issues_are_opened_accepted_rejected_and_applied(reviewed: fo.Dataset):
    session, review = ResultsSession(reviewed), review_labels(reviewed)
    frame = review.to_frame()
    session.turn_to("labels")
    assert "4 of 200 images have no label, and" in session.shown
    assert "none of 68 label issues was accepted or rejected yet" in session.shown
    kinds = list(dict.fromkeys(frame["kind"]))
    for mark, kind in enumerate(kinds):
        session.press("labels.issues", mark, 2)
        own = frame[frame["kind"] == kind]
        view = session.view
        assert view._is_patches
        assert sorted(view.values("predictions.id")) == sorted(own["prediction_id"])
        if own["label_id"].notna().any():
            partners = view.values("ground_truth.detections.id", unwind=True)
            assert sorted(partners) == sorted(own["label_id"])
    missing = frame.loc[frame["kind"] == "missing label", "prediction_id"].tolist()
    session.context["selected"] = missing[:12]
    session.send("decide", decision="accept", eval_key="eval")
    assert session.notices == ["12 label issues accepted"]
    assert "clear_selected_samples" in session.asked
    session.context["selected"] = missing[12:14]
    session.send("decide", decision="reject", eval_key="eval")
    given = review.to_frame().set_index("prediction_id")["verdict"].dropna()
    assert given.to_dict() == {
        **dict.fromkeys(missing[:12], "accepted"),
        **dict.fromkeys(missing[12:14], "rejected"),
    }
    assert "14 of 68 label issues have a verdict: 86% " in session.shown
    for trace, expected in enumerate((missing[:12], missing[12:14], missing[14:])):
        session.press("labels.issues", 0, trace)
        assert sorted(session.view.values("predictions.id")) == sorted(expected)
    session.press("labels.precision", 0)
    assert sorted(session.view.values("predictions.id")) == sorted(missing[:14])

    session.context["selected"] = []
    session.send("decide", decision="undo", eval_key="eval")
    assert "Nothing is selected" in session.notices[0]
    session.context["selected"] = [reviewed.first().id[::-1]]
    session.send("decide", decision="undo", eval_key="eval")
    assert "belong to no label issue" in session.notices[0]

    session.send("apply_review", eval_key="eval")
    assert reviewed.count("ground_truth_reviewed.detections.label_review") == 12
    assert "12 missing labels. AP 0." in session.shown
    session.context["selected"] = missing[:12]
    session.send("decide", decision="undo", eval_key="eval")
    assert "12 missing labels. AP 0." not in session.shown
    session.send("apply_review", eval_key="eval")
    assert "is accepted, so there is nothing to apply" in session.notices[0]


def test_label_issues_of_a_view(reviewed: fo.Dataset):
    """They are those of the whole evaluation that are in its images."""
    frame = review_labels(reviewed).to_frame()
    loose = frame[frame["kind"] == "bad location"]
    session = ResultsSession(reviewed)
    view = reviewed.select(loose["sample_id"].iloc[:4].tolist())
    session.context["view"] = view
    session.send("use_view")
    session.turn_to("labels")
    own = frame[frame["sample_id"].isin(view.values("id"))]
    mark = list(dict.fromkeys(own["kind"])).index("bad location")
    session.press("labels.issues", mark, 2)
    own = own[own["kind"] == "bad location"]
    assert sorted(session.view.values("predictions.id")) == sorted(own["prediction_id"])
    partners = session.view.values("ground_truth.detections.id", unwind=True)
    assert sorted(partners) == sorted(own["label_id"])
