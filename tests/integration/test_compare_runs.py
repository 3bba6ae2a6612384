"""Two runs on the same images, compared in a real database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fiftyone as fo
import numpy as np
import pandas as pd
import pytest

from fiftyone_coco_audit import (
    CocoAuditError,
    compare_runs,
    evaluate,
    import_coco,
    load_results,
)
from fiftyone_coco_audit.evaluation.analysis.bootstrap import image_draws

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def dataset(shared_data: Path) -> Iterator[fo.Dataset]:
    """Real predictions, and others that lack some, doubt some and find some more."""
    folder = shared_data / "coco_mini"
    dataset = import_coco(
        folder / "annotations.json",
        folder / "images",
        predictions=folder / "predictions.json",
        progress=False,
    )
    dataset.clone_sample_field("predictions", "other")
    generator = np.random.default_rng(0)
    for sample in dataset.iter_samples(autosave=True):
        labels = sample["other"].detections if sample["other"] else []
        kept = [label for label in labels if generator.random() < 0.9]
        for label in kept:
            label.confidence *= generator.uniform(0.5, 1)
        missed = sample["ground_truth"].detections if sample["ground_truth"] else []
        kept += [
            fo.Detection(label=m.label, bounding_box=m.bounding_box, confidence=0.6)
            for m in missed
            if generator.random() < 0.05
        ]
        sample["other"] = fo.Detections(detections=kept)
    evaluate(dataset, eval_key="old", progress=False)
    evaluate(dataset, "other", eval_key="new", progress=False)
    yield dataset
    dataset.delete()


def test_differences_have_the_intervals_of_paired_draws(dataset: fo.Dataset) -> None:
    comparison = compare_runs(dataset, "old", "new", num_draws=20)
    frame = comparison.to_frame()
    runs = [load_results(dataset, key) for key in ("old", "new")]
    old, new = (run.summary() for run in runs)
    assert frame.index.tolist() == ["AP", "AP50", "AP75", "APs", "APm", "APl"]
    for name, row in frame.iterrows():
        assert (row["a"], row["b"]) == (old[name], new[name])
        assert row["difference"] == new[name] - old[name] != 0
    ap = [
        [
            np.nanmean(
                run.evaluation.ranking().average_precision(draw[run.rows.sample])
            )
            for run in runs
        ]
        for draw in image_draws(79, 20)
    ]
    bounds = np.quantile(np.diff(ap), [0.025, 0.975])
    np.testing.assert_allclose(frame.loc["AP", ["low", "high"]].astype(float), bounds)
    of_classes = comparison.per_class()
    by_class = [run.per_class()["AP"] for run in runs]
    pd.testing.assert_series_equal(
        of_classes["difference"], by_class[1] - by_class[0], check_names=False
    )
    objects = runs[0].per_class()["objects"]
    assert of_classes["objects"].tolist() == objects.tolist()
    assert of_classes.index[~of_classes["thin"]].tolist() == [
        "person",
        "bottle",
        "book",
    ]
    alone = runs[0].intervals(num_draws=20).to_frame()
    assert alone.loc["AP", "low"] < old["AP"] < alone.loc["AP", "high"]
    widths = alone["high"] - alone["low"]
    assert (frame["high"] - frame["low"])["AP"] < widths["AP"]


def test_a_run_does_not_differ_from_itself(dataset: fo.Dataset) -> None:
    comparison = compare_runs(dataset, "old", "old", num_draws=5)
    for frame in (comparison.to_frame(), comparison.per_class()):
        known = frame.dropna(subset="a")
        assert len(known) > 3
        assert (known[["difference", "low", "high"]] == 0).all(axis=None)
        assert not known["excludes_zero"].any()
    assert comparison.won == comparison.lost == ()
    assert len(comparison.won_view()) == 0
    assert "holds 0" in str(comparison)


def test_objects_won_and_lost_open(dataset: fo.Dataset) -> None:
    comparison = compare_runs(dataset, "old", "new", num_draws=2)
    paths = [f"ground_truth.detections.{name}" for name in ("id", "old", "new")]
    marks = list(zip(*dataset.values(paths, unwind=True), strict=True))
    won = {id_ for id_, old, new in marks if (old, new) == ("fn", "tp")}
    lost = {id_ for id_, old, new in marks if (old, new) == ("tp", "fn")}
    assert won and lost
    assert set(comparison.won) == won
    assert set(comparison.lost) == lost
    opened = [
        set(view.values("ground_truth.detections.id", unwind=True))
        for view in (comparison.won_view(), comparison.lost_view())
    ]
    assert opened == [won, lost]
    assert repr(comparison) == "<RunComparison of 'new' with 'old' on 79 images>"
    told = (
        f"'new' finds {len(won)} objects that 'old' misses, and misses {len(lost)} "
        "that 'old' finds."
    )
    assert told in str(comparison)


def test_what_one_run_alone_evaluated_is_left_out(dataset: fo.Dataset) -> None:
    part = evaluate(dataset.limit(50), "other", eval_key="part", progress=False)
    comparison = compare_runs(dataset, "old", "part", num_draws=2)
    assert comparison.num_images == 50
    assert comparison.notes == ("29 images that only 'old' evaluated are left out.",)
    frame = comparison.to_frame()
    assert frame.loc["AP", "b"] == part.summary()["AP"]
    old = load_results(dataset, "old")
    assert frame.loc["AP", "a"] == old.of(dataset.limit(50)).summary()["AP"]
    few = compare_runs(dataset.limit(7), "old", "part", num_draws=2)
    assert (few.num_images, few.notes) == (7, ())
    with pytest.raises(CocoAuditError, match="none of these images in common"):
        compare_runs(dataset.skip(50), "old", "part")
    dataset.delete_evaluation("part")


def test_slices_have_the_ap_that_each_run_has_there(dataset: fo.Dataset) -> None:
    comparison = compare_runs(dataset, "old", "new", num_draws=2)
    runs = [load_results(dataset, key) for key in ("old", "new")]
    for field, bins in (("area", [0, 1024, 9216, 1e10]), ("metadata.width", 2)):
        frame = comparison.by(field, bins, num_draws=5)
        alone = [run.by(field, bins, num_draws=5) for run in runs]
        assert frame.index.tolist() == alone[0].index.tolist()
        for name, of_run in zip("ab", alone, strict=True):
            np.testing.assert_array_equal(frame[name], of_run["AP"])
            np.testing.assert_array_equal(frame[f"objects_{name}"], of_run["objects"])
        assert (frame["difference"] == frame["b"] - frame["a"]).all()
        assert (frame["low"] < frame["high"]).all()
    same = compare_runs(dataset, "old", "old", num_draws=2).by("area", 3, num_draws=5)
    assert (same[["difference", "low", "high"]] == 0).all(axis=None)


def test_one_model_on_two_sets(dataset: fo.Dataset) -> None:
    some, others = dataset.limit(30), dataset.skip(30)
    comparison = compare_runs(some, "old", "old", other=others, num_draws=20)
    assert (comparison.num_images, comparison.num_others) == (30, 49)
    run = load_results(dataset, "old")
    frame = comparison.to_frame()
    alone = [run.of(part) for part in (some, others)]
    for name, of_part in zip("ab", alone, strict=True):
        assert frame.loc["AP", name] == of_part.summary()["AP"]
    ap = [
        [
            np.nanmean(
                part.evaluation.ranking().average_precision(draw[part.rows.sample])
            )
            for draw in image_draws(part.evaluation.num_images, 20, seed)
        ]
        for seed, part in enumerate(alone)
    ]
    bounds = np.quantile(np.subtract(ap[1], ap[0]), [0.025, 0.975])
    np.testing.assert_allclose(frame.loc["AP", ["low", "high"]].astype(float), bounds)
    told = str(comparison)
    assert "'old' on 49 images (b) compared with 'old' on 30 images (a)" in told
    assert "drawn independently" in told and "in one set only" in told
    assert "finds" not in told
    slices = comparison.by("area", [0, 1024, 1e10], num_draws=5)
    assert slices["b"].tolist() == alone[1].by("area", [0, 1024, 1e10])["AP"].tolist()
    with pytest.raises(CocoAuditError, match="different images, so no object is won"):
        comparison.won_view()
    with pytest.raises(CocoAuditError, match="10 images are in `samples` and in"):
        compare_runs(dataset.limit(40), "old", "new", other=others)


def test_edited_labels_are_neither_won_nor_lost(dataset: fo.Dataset) -> None:
    clone = dataset.clone()
    sample = clone.first()
    edited = [label.id for label in sample["ground_truth"].detections]
    for label in sample["ground_truth"].detections:
        label.label = "else"
    sample.save()
    evaluate(clone, "other", eval_key="new", progress=False)
    comparison = compare_runs(clone, "old", "new", num_draws=2)
    whole = compare_runs(dataset, "old", "new", num_draws=2)
    assert set(whole.won) - set(edited) == set(comparison.won)
    assert set(whole.lost) - set(edited) == set(comparison.lost)
    assert comparison.notes[0].startswith(f"{len(edited)} objects of the ground truth")
    assert "else" in comparison.per_class().index
    clone.delete()


def test_runs_that_cannot_be_compared(dataset: fo.Dataset) -> None:
    clone = dataset.clone()
    evaluate(clone, eval_key="loose", iou_thresholds=[0.3], progress=False)
    with pytest.raises(CocoAuditError, match="'old' and 'loose' differ in iou_thresh"):
        compare_runs(clone, "old", "loose")
    clone.clone_sample_field("ground_truth", "truth")
    evaluate(clone, "other", "truth", eval_key="truthful", progress=False)
    with pytest.raises(CocoAuditError, match="differ in gt_field .*'truth'"):
        compare_runs(clone, "old", "truthful")
    with pytest.raises(CocoAuditError, match="has no evaluation 'nope'"):
        compare_runs(clone, "old", "nope")
    with pytest.raises(CocoAuditError, match="num_draws is 0"):
        compare_runs(clone, "old", "new", num_draws=0)
    clone.delete()
