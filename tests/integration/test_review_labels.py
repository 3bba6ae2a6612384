"""Verdicts on label issues, and copies of the ground truth that they repair."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone.operators.executor import ExecutionError

from fiftyone_coco_audit import (
    CocoAuditError,
    accept_label_issues,
    apply_label_review,
    evaluate,
    import_coco,
    reject_label_issues,
    review_labels,
)
from fiftyone_coco_audit.evaluation.reviewing import LabelReview

pytestmark = pytest.mark.slow

COPY = "ground_truth_reviewed"


@pytest.fixture(scope="module")
def evaluated(shared_data: Path, mongodb: str) -> Iterator[fo.Dataset]:
    folder = shared_data / "coco_mini"
    dataset = import_coco(
        folder / "annotations.json",
        folder / "images",
        predictions=folder / "predictions.json",
        name="reviewed",
        progress=False,
    )
    evaluate(dataset, progress=False)
    yield dataset
    dataset.delete()


@pytest.fixture
def dataset(evaluated: fo.Dataset) -> fo.Dataset:
    return evaluated.clone()


def labels(dataset: fo.Dataset, field: str = "ground_truth") -> list[Any]:
    names = ("label", "bounding_box", "area", "iscrowd", "coco_id", "rle")
    return dataset.values([f"{field}.detections.{name}" for name in names])


def patches(review: LabelReview, which: str) -> set[tuple[str, str | None]]:
    """The predictions of a view with their partners."""
    view = review.view(which)
    truth: list[Any] = [[None]] * len(view)
    if "ground_truth" in view.get_field_schema():
        truth = [ids or [None] for ids in view.values("ground_truth.detections.id")]
    ids = view.values("predictions.id")
    return {
        (one, other) for one, others in zip(ids, truth, strict=True) for other in others
    }


def test_verdicts_are_kept_with_the_dataset(dataset: fo.Dataset) -> None:
    review = review_labels(dataset)
    frame = review.to_frame()
    assert frame["verdict"].isna().all() and len(frame) == len(review.issues) > 30
    assert "Not enough verdicts: none of" in str(review)
    wrong = frame[frame["kind"] == "wrong class"].iloc[0]
    loose = frame[frame["kind"] == "bad location"].iloc[0]
    missing = frame[frame["kind"] == "missing label"].iloc[0]
    assert review.accept([missing["prediction_id"], wrong["label_id"]]) == 2
    assert review.reject(loose["prediction_id"]) == 1

    again = review_labels(dataset.limit(3))
    given = again.to_frame().set_index("prediction_id")["verdict"].dropna()
    assert given.to_dict() == {
        missing["prediction_id"]: "accepted",
        wrong["prediction_id"]: "accepted",
        loose["prediction_id"]: "rejected",
    }
    assert patches(again, "accepted") == {
        (missing["prediction_id"], None),
        (wrong["prediction_id"], wrong["label_id"]),
    }
    assert patches(again, "rejected") == {(loose["prediction_id"], loose["label_id"])}
    assert len(patches(again, "unreviewed")) == len(frame) - 3
    of_kind = frame[frame["kind"] == "wrong class"]
    assert patches(again, "wrong class") == {
        *zip(of_kind["prediction_id"], of_kind["label_id"], strict=True)
    }
    with pytest.raises(CocoAuditError, match="kind is 'nice', but must be one of"):
        again.view("nice")

    assert review.undo([loose["prediction_id"]]) == 1
    assert (again.verdicts > 0).sum() == 2
    of_sample = (frame["sample_id"] == missing["sample_id"]).sum()
    assert reject_label_issues(dataset, [missing["sample_id"]]).verdicts.tolist().count(
        2
    ) == int(of_sample)
    accept_label_issues(dataset, missing["prediction_id"])
    with pytest.raises(CocoAuditError, match="1 of 2 ids, such as 'nobody', belong to"):
        review.accept([missing["prediction_id"], "nobody"])
    with pytest.raises(CocoAuditError, match="No id was given of evaluation 'eval'"):
        review.accept([])


def test_verdicts_follow_their_evaluation(dataset: fo.Dataset) -> None:
    review = review_labels(dataset)
    one = review.issues.prediction_ids[0]
    review.accept([one])
    key = "coco_audit_review_{}".format
    dataset.rename_evaluation("eval", "mine")
    assert [k for k in dataset.list_runs() if "review" in k] == [key("mine")]
    renamed = review_labels(dataset, "mine")
    assert (renamed.verdicts > 0).sum() == (review.verdicts > 0).sum() == 1
    # The same labels and predictions again: so are their verdicts
    evaluate(dataset, eval_key="mine", progress=False)
    with pytest.raises(CocoAuditError, match="'mine' .* was replaced, renamed or"):
        renamed.accept([one])
    assert (review_labels(dataset, "mine").verdicts > 0).sum() == 1
    dataset.delete_evaluation("mine")
    assert key("mine") not in dataset.list_runs()


def test_accepted_issues_are_put_right_in_a_copy(dataset: fo.Dataset) -> None:
    review = review_labels(dataset)
    with pytest.raises(CocoAuditError, match="is accepted, so there is nothing"):
        review.apply()
    before = labels(dataset)
    review.accept(review.issues.sample_ids.tolist())
    gain = review.gain(num_draws=20)
    applied = review.apply(progress=False)
    assert labels(dataset) == before
    assert sum(applied.changed.values()) == len(review.issues)
    assert applied.view() is review.results.samples
    changes = dataset.values(f"{COPY}.detections.label_review", unwind=True)
    assert {kind: changes.count(kind) for kind in set(changes) - {None}} == {
        kind: count for kind, count in applied.changed.items() if count
    }
    added = applied.changed["missing label"]
    assert dataset.count(f"{COPY}.detections") == 624 + added
    assert not dataset.has_field(f"{COPY}.detections.eval")

    real = evaluate(dataset, gt_field=COPY, eval_key="reviewed", progress=False)
    assert real.summary() == pytest.approx(applied.after, abs=1e-12)
    assert applied.before == review.results.summary()
    assert (gain.before, gain.after) == pytest.approx(
        (applied.before["AP"], applied.after["AP"]), abs=1e-12
    )
    assert gain.difference > 0.01 and gain.low < gain.difference < gain.high
    # A label whose box was replaced has no mask of the old box
    rows = dataset.values([f"{COPY}.detections.{n}" for n in ("label_review", "rle")])
    kinds, masks = (sum(column, []) for column in rows)
    moved = {m for k, m in zip(kinds, masks, strict=True) if k == "bad location"}
    assert moved == {None}

    # Again, with less: it replaces its own copy alone
    review.undo(review.view("wrong class").values("predictions.id"))
    less = apply_label_review(dataset, progress=False)
    assert less.changed["wrong class"] == 0 < less.changed["missing label"]
    assert not dataset.has_field(f"{COPY}.detections.reviewed")
    for taken in ("ground_truth", "predictions", "mine"):
        if taken == "mine":
            dataset.add_sample_field("mine", fo.StringField)
        with pytest.raises(CocoAuditError, match=f"already has a field '{taken}'"):
            review.apply(taken)
    with pytest.raises(CocoAuditError, match=r"contains '\.'"):
        review.apply("a.b")


def test_labels_that_were_changed_meanwhile(dataset: fo.Dataset) -> None:
    review = review_labels(dataset)
    review.accept([review.issues.prediction_ids[0]])
    sample = dataset.first()
    sample.ground_truth.detections[0].label = "zebra"
    sample.save()
    for method in (review.apply, review.gain):
        with pytest.raises(CocoAuditError, match="were changed since they were"):
            method()
    assert not dataset.has_field(COPY)


def test_images_that_were_never_annotated(dataset: fo.Dataset) -> None:
    """They get no labels, and the AP after leaves them out."""
    some = dataset.match_labels(
        fields="predictions", filter=fo.ViewField("confidence") > 0.8
    ).limit(20)
    some.set_field("ground_truth.detections", []).save("ground_truth")
    evaluate(dataset, progress=False)
    review = review_labels(dataset)
    assert "20 of 79 images have no label, and all 20 have a prediction" in str(review)
    never = review.view("unlabeled image")
    review.accept(never.values("predictions.id"))
    applied = review.apply(progress=False)
    assert (
        set(applied.left_out) == set(never.values("sample_id")) <= {*some.values("id")}
    )
    real = evaluate(applied.view(), gt_field=COPY, eval_key="rest", progress=False)
    assert len(real.per_image()) == 79 - len(never)
    assert real.summary() == pytest.approx(applied.after, abs=1e-12)
    assert applied.after["AP"] > applied.before["AP"] + 0.01
    assert f"is without {len(never)} images that nobody annotated" in str(applied)


def test_operators_take_the_selection(dataset: fo.Dataset) -> None:
    """Patches by their ids, labels by theirs, and samples for all of their issues."""

    def decide(verdict: str, **context: Any) -> dict[str, Any]:
        uri = f"@coco-audit/coco-audit/{verdict}_label_issues"
        return foo.execute_operator(uri, {"dataset": dataset, **context}).result

    review = review_labels(dataset)
    wrong = review.view("wrong class")
    patch, other = wrong.values("id")[:2]
    decide("accept", view=wrong, selected=[patch])
    label = wrong[other].ground_truth.detections[0].id
    chosen = [{"label_id": label, "sample_id": patch, "field": "ground_truth"}]
    said = decide("reject", selected=[patch], selected_labels=chosen)
    given = review.to_frame().set_index("prediction_id")["verdict"].dropna()
    assert given.to_dict() == {patch: "accepted", other: "rejected"}
    assert said["eval_key"] == "eval" and "2 of " in said["estimates"][0]
    sample = review.issues.sample_ids[-1]
    decide("accept", selected=[sample])
    frame = review.to_frame()
    accepted = frame.loc[frame["verdict"] == "accepted", "sample_id"]
    assert (accepted == sample).sum() == (frame["sample_id"] == sample).sum()
    with pytest.raises(ExecutionError, match="Nothing is selected"):
        decide("accept")
    applied = foo.execute_operator(
        "@coco-audit/coco-audit/apply_label_review",
        {"dataset": dataset},
        params={"field": "mine"},
    ).result
    assert applied["field"] == "mine" and dataset.has_field("mine")
    assert applied["after"]["AP"] > applied["before"]["AP"]


def test_masks_follow_boxes_where_masks_are_evaluated(shared_data: Path) -> None:
    folder = shared_data / "cocoapi100"
    dataset = import_coco(
        folder / "annotations.json",
        predictions=folder / "predictions_segm.json",
        name="masks under review",
        progress=False,
    )
    evaluate(dataset, iou_type="segm", progress=False)
    review = review_labels(dataset)
    review.accept(review.issues.sample_ids)
    applied = review.apply(progress=False)
    assert applied.changed["missing label"] and applied.changed["bad location"]
    real = evaluate(
        dataset, gt_field=COPY, eval_key="reviewed", iou_type="segm", progress=False
    )
    assert real.summary() == pytest.approx(applied.after, abs=1e-12)
    assert not [note for note in real.notes if "no mask" in note or "no area" in note]
    assert applied.after["AP"] > applied.before["AP"] + 0.02


def test_planted_faults_of_the_demo_raise_ap_as_predicted(demo_files) -> None:
    dataset = import_coco(
        demo_files.annotations,
        demo_files.images,
        predictions=demo_files.predictions,
        progress=False,
    )
    evaluate(dataset, progress=False)
    review = review_labels(dataset)
    manifest = json.loads(demo_files.manifest.read_text())
    plants = {plant["key"]: plant for plant in manifest["plants"]}
    planted = set(map(str, plants["loose_boxes"]["annotation_ids"]))
    ids, coco_ids = dataset.values(
        ["ground_truth.detections.id", "ground_truth.detections.coco_id"], unwind=True
    )
    loose = {
        id_
        for id_, coco_id in zip(ids, coco_ids, strict=True)
        if str(coco_id) in planted
    }
    frame = review.to_frame()
    missing = frame["kind"] == "missing label"
    is_loose = (frame["kind"] == "bad location") & frame["label_id"].isin(loose)
    assert (missing.sum(), is_loose.sum()) == (21, 40)
    review.accept(frame.loc[missing, "prediction_id"])
    unseen = review.estimates().unseen
    lost = len(plants["unlabeled_class"]["boxes"]) - 21
    assert unseen is not None and unseen.low <= lost <= unseen.high <= 2 * lost
    for chosen in (missing, is_loose):
        review.undo(frame["prediction_id"])
        review.accept(frame.loc[chosen, "prediction_id"])
        gain = review.gain(num_draws=50)
        applied = review.apply(progress=False)
        real = evaluate(dataset, gt_field=COPY, eval_key="reviewed", progress=False)
        risen = real.summary()["AP"] - review.results.summary()["AP"]
        assert risen == pytest.approx(gain.difference, abs=1e-12)
        assert 0 < gain.low < risen < gain.high
        assert applied.after == pytest.approx(real.summary(), abs=1e-12)
