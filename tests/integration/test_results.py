"""Results that are loaded again, and their subsets, in a real database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import fiftyone as fo
import numpy as np
import pandas as pd
import pytest
from fiftyone import ViewField as F
from pymongo.database import Database

from fiftyone_coco_audit import (
    CocoAuditError,
    compute_statistics,
    evaluate,
    evaluation_notes,
    import_coco,
    load_results,
)
from fiftyone_coco_audit.evaluation.analysis.drivers import Drivers
from fiftyone_coco_audit.evaluation.results import CocoResults
from fiftyone_coco_audit.evaluation.tables import EvaluationTables
from fiftyone_coco_audit.fiftyone_internals import cached_results, database
from tests.workers import Worker

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def evaluated(
    shared_data: Path, mongodb: str
) -> Iterator[tuple[fo.Dataset, CocoResults]]:
    folder = shared_data / "coco_mini"
    dataset = import_coco(
        folder / "annotations.json",
        folder / "images",
        predictions=folder / "predictions.json",
        name="of results",
        progress=False,
    )
    yield dataset, evaluate(dataset, progress=False)
    dataset.delete()


def loaded(dataset: fo.Dataset, eval_key: str = "eval") -> CocoResults:
    """Results as another process loads them."""
    cached_results(dataset, "evaluations").clear()
    return load_results(dataset, eval_key, progress=False)


def assert_equal(left: EvaluationTables, right: EvaluationTables) -> None:
    assert left.summary() == right.summary()
    pd.testing.assert_frame_equal(left.per_class(), right.per_class())
    pd.testing.assert_frame_equal(left.per_image(), right.per_image())


def test_results_are_loaded_as_they_were(evaluated) -> None:
    dataset, results = evaluated
    assert load_results(dataset) is results
    again = loaded(dataset)
    assert again is not results
    assert_equal(again, results)
    assert str(again) == str(results)
    assert repr(again) == repr(results)
    assert again.notes == evaluation_notes(dataset)
    assert again.mAP() == results.mAP()
    # An IoU that was not evaluated is matched from the overlaps that were kept
    cells = [found.confusion(iou=0.52).to_frame() for found in (again, results)]
    pd.testing.assert_frame_equal(*cells)
    assert load_results(dataset.limit(3)) is again


def test_nothing_is_matched_again(evaluated, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, results = evaluated

    def fails(*_: object, **__: object) -> None:
        raise AssertionError("overlaps were computed")

    for name in ("overlapping_pairs", "match"):
        monkeypatch.setattr(f"fiftyone_coco_audit.evaluation.metrics.{name}", fails)
    assert_equal(loaded(dataset), results)
    loaded(dataset).of(dataset.limit(20))


def test_another_process_loads_and_sees_a_replaced_run(
    evaluated, worker: Worker
) -> None:
    dataset, _ = evaluated
    clone = dataset.clone()
    evaluate(clone, eval_key="k", progress=False)
    assert load_results(clone, "k").evaluation.settings.iou_thresholds[0] == 0.5
    images, before, after = worker.run(
        f"""
        ds = fo.load_dataset({clone.name!r})
        before = load_results(ds, "k")
        images = len(before.of(ds.limit(10)).per_image())
        evaluate(ds, eval_key="k", iou_thresholds=[0.75])
        after = load_results(ds, "k")
        result = images, before.summary()["AP75"], after.summary()["AP75"]
        """
    )
    assert images == 10 and before == after
    assert load_results(clone, "k").evaluation.settings.iou_thresholds == (0.75,)


def test_a_view_equals_its_own_evaluation(evaluated) -> None:
    dataset, _ = evaluated
    results = loaded(dataset)
    view = dataset.match(F("metadata.width") > 500).sort_by("coco_id", reverse=True)
    of_view = evaluate(view, eval_key="view", progress=False)
    part = results.of(view)
    assert part.summary() == of_view.summary()
    frames = part.per_image(), of_view.per_image()
    pd.testing.assert_frame_equal(*(frame.sort_index() for frame in frames))
    assert part.notes[0].startswith(f"Only {len(view)} of 79 images count here")
    assert repr(part) == (
        f"<EvaluationTables of {len(view)} images, AP {part.summary()['AP']:.4f} "
        f"with {len(part.notes)} notes>"
    )
    # Of a subset, and of the view's own run
    few = view.limit(5)
    assert_equal(part.of(few), results.of(few))
    again = loaded(dataset, "view")
    assert_equal(again, of_view)
    assert len(again.samples) == len(view)
    more = again.of(dataset)
    assert (
        more.notes[0] == f"The view has {79 - len(view)} samples more, not evaluated."
    )
    assert more.summary() == of_view.summary()
    with pytest.raises(CocoAuditError, match="None of the 1 sample of the view"):
        again.of(dataset.exclude(view.values("id")).limit(1))


def test_labels_and_samples_that_are_gone(evaluated) -> None:
    """The numbers are those of the evaluation, whatever happened to the labels."""
    dataset, results = evaluated
    clone = dataset.clone()
    clone.delete_samples(clone.limit(2))
    clone.delete_sample_field("predictions")
    again = loaded(clone)
    assert again.summary() == results.summary()
    assert again.per_image()["filepath"].isna().sum() == 2
    assert len(again.by("metadata.width", 2)) == 3


def test_runs_that_fiftyone_made_are_matched_on_loading(evaluated) -> None:
    dataset, results = evaluated
    clone = dataset.clone()
    clone.evaluate_detections(
        "predictions", "ground_truth", eval_key="own", compute_mAP=True, progress=False
    )
    own = loaded(clone, "own")
    assert own.summary() == results.summary()
    assert "saved without its matches" in own.notes[-1]
    clone.evaluate_detections(
        "predictions",
        "ground_truth",
        eval_key="oi",
        method="open-images",
        progress=False,
    )
    with pytest.raises(CocoAuditError, match="'oi' .* is not a COCO evaluation"):
        loaded(clone, "oi")
    with pytest.raises(CocoAuditError, match="no evaluation 'nope'"):
        load_results(clone, "nope")


def test_stored_matches_follow_their_run(evaluated) -> None:
    """No blob stays behind, and a renamed or cloned run loads."""
    dataset, results = evaluated
    clone = dataset.clone()
    clone.rename_evaluation("eval", "first")
    assert_equal(loaded(clone, "first"), results)

    def blobs(db: Database) -> set[object]:
        return set(db["fs.chunks"].distinct("files_id"))

    before = blobs(database())
    clone.delete_evaluation("first")
    clone.delete()
    assert len(before - blobs(database())) >= 1


def test_slices(evaluated) -> None:
    dataset, _ = evaluated
    results = loaded(dataset)
    numbers = results.summary()
    by_area = results.by("area", [0, 1024, 9216, 1e10], num_draws=20)
    np.testing.assert_allclose(
        by_area["AP"], [numbers[name] for name in ("APs", "APm", "APl")], atol=1e-12
    )
    np.testing.assert_allclose(
        by_area["AR"], [numbers[name] for name in ("ARs", "ARm", "ARl")], atol=1e-12
    )
    assert (by_area["AP_low"] < by_area["AP"]).all()
    assert (by_area["AP"] < by_area["AP_high"]).all()
    assert not by_area["all_fp"].any()
    assert by_area["objects"].sum() == 619

    compute_statistics(dataset, progress=False)
    small = results.by("ground_truth.detections.input_size", [0, 32, 1e4], num_draws=0)
    assert small["all_fp"].all()
    assert small["AP_low"].isna().all()
    by_width = results.by("metadata.width", [0, 500, 1000])
    wide = dataset.match(F("metadata.width") >= 500)
    assert by_width["AP"].iloc[1] == results.of(wide).summary()["AP"]
    assert by_width.index.tolist() == ["0 to 499", "500 to 1,000"]
    with pytest.raises(CocoAuditError, match="neither a field 'nope'"):
        results.by("nope")
    with pytest.raises(CocoAuditError, match="79 different values"):
        results.by("filepath")


def test_drivers_of_failure(evaluated) -> None:
    dataset, _ = evaluated
    results = loaded(dataset)

    def drivers(**options: object) -> Drivers:
        return results.drivers(score=0.1, num_draws=10, **options)

    measured = drivers(photometry=True, workers=1, progress=False)
    frame, bins = measured.to_frame(), measured.bins()
    shared = {"input_size", "class_frequency", "num_objects", "brightness", "sharpness"}
    assert set(frame.loc["recall"].index) >= {*shared, "covered_share", "anchor_iou"}
    assert set(frame.loc["precision"].index) >= shared
    assert frame.loc["recall"].index[0] == "input_size"
    counted_objects = bins.loc["recall"].groupby("driver")["count"].sum()
    assert set(counted_objects) == {619}
    # Those that compute_statistics writes are the same
    statistics = compute_statistics(dataset, write_fields=False, progress=False)
    size = statistics.objects()["input_size"]
    lowest = bins.loc["recall"].loc["input_size"].index[0].split(" to ")[0]
    assert float(lowest) == pytest.approx(size.min(), rel=1e-2)
    at_score = results.confusion(score=0.1)
    right = bins.loc["precision"].loc["truncated"]
    assert (right["rate"] * right["count"]).sum() == pytest.approx(
        at_score.matrix().trace()
    )
    assert "Damage by augmentation was not measured" in str(measured)

    # Fields of samples and labels, where they are
    dataset.set_values("brightness", [0.1] * 40 + [None] * 39)
    dataset.set_values("augmentation_damage", [0.5] * 60 + [None] * 19)
    path = "ground_truth.detections.augmentation_damage"
    ids = dataset.values("ground_truth.detections.id", unwind=True)
    dataset.set_label_values(path, {ids[0]: "lost", ids[1]: None}, dynamic=True)
    bins = drivers().bins()
    assert bins.loc["recall"].loc["brightness"].index.tolist() == ["0.1", "(none)"]
    harmed = bins.loc["recall"].loc["augmentation_damage"]["count"]
    assert harmed["yes"] == 1 and harmed["(none)"] > 50
    assert "drivers(photometry=True)" in str(drivers())

    few = results.of(dataset.take(10, seed=0)).drivers()
    assert few.to_frame().isna().all(axis=None)
    assert "too few data to rank what drives recall" in str(few)
    with pytest.raises(CocoAuditError, match="num_draws is 0"):
        results.drivers(num_draws=0)
    dataset.delete_sample_fields(["brightness", "augmentation_damage"])
    dataset.delete_sample_field(path)


def test_influence_is_saved_with_its_evaluation(evaluated) -> None:
    dataset, results = evaluated
    frame = results.influence()
    assert frame.index.equals(results.per_image().index)
    part = results.of(dataset.exclude(frame.index[3]))
    change = part.summary()["AP"] - results.summary()["AP"]
    assert frame["influence"].iloc[3] == pytest.approx(change, abs=1e-12)

    clone = dataset.clone()
    view = clone.limit(20)
    of_view = evaluate(view, eval_key="view", progress=False)
    before = list(clone.get_field_schema())
    of_view.save_influence()
    assert (
        clone.values("view_influence")[:20]
        == of_view.influence()["influence"].replace(np.nan, None).tolist()
    )
    assert clone.values("view_influence")[20:] == [None] * 59
    assert set(clone.get_field_schema()) == {*before, "view_influence"}
    assert (
        "view_influence"
        in clone.load_evaluation_view("view", select_fields=True).get_field_schema()
    )
    loaded(clone, "view").save_influence()

    evaluate(view, eval_key="view", progress=False)
    assert not clone.has_field("view_influence")
    with pytest.raises(CocoAuditError, match="'view' .* was replaced"):
        of_view.save_influence()
    assert not clone.has_field("view_influence")
    clone.add_sample_field("view_influence", fo.FloatField)
    with pytest.raises(CocoAuditError, match="already has a field 'view_influence'"):
        loaded(clone, "view").save_influence()


def test_label_issues_of_the_demo_are_what_was_planted(demo_files) -> None:
    """All mugs of one site, and the labels that stand twice."""
    dataset = import_coco(
        demo_files.annotations,
        demo_files.images,
        predictions=demo_files.predictions,
        progress=False,
    )
    results = evaluate(dataset, progress=False)
    plants = {
        plant["key"]: plant
        for plant in json.loads(demo_files.manifest.read_text())["plants"]
    }
    issues = results.label_issues()
    frame = issues.to_frame()
    assert frame["kind"].value_counts().to_dict() == {
        "missing label": 21,
        "duplicate label": 3,
        "bad location": 44,
    }
    loose = frame[frame["kind"] == "bad location"]
    assert (loose["predicted_class"] == "citrus").sum() == 40
    known = {str(id_) for id_ in plants["loose_boxes"]["annotation_ids"]}
    coco_id = dict(
        zip(
            *dataset.values(
                ["ground_truth.detections.id", "ground_truth.detections.coco_id"],
                unwind=True,
            ),
            strict=True,
        )
    )
    of_citrus = loose.loc[loose["predicted_class"] == "citrus", "label_id"]
    assert {str(coco_id[id_]) for id_ in of_citrus} <= known
    records = json.loads(demo_files.predictions.read_text())
    planted = [records[n] for n in plants["unlabeled_class"]["prediction_indices"]]
    median = issues.sure[results.rows.classes.index("mug")]
    sure = [record for record in planted if record["score"] >= median]
    missing = frame[frame["kind"] == "missing label"]
    assert set(missing["predicted_class"]) == {"mug"}
    # One of them overlaps another object
    assert {*missing["score"]} < {record["score"] for record in sure}
    assert len(missing) == len(sure) - 1

    view = results.label_issues_view("duplicate label")
    twice = view.values("ground_truth.detections.coco_id", unwind=True)
    assert set(twice) <= set(plants["duplicate_annotation"]["annotation_ids"])
    assert len(view) == 3
    patches = results.label_issues_view("missing label")
    assert patches.values("predictions.id") == missing["prediction_id"].tolist()
    with pytest.raises(CocoAuditError, match="kind is 'lost', but must be one of"):
        results.label_issues_view("lost")
