"""Evaluation of datasets in a real database."""

from __future__ import annotations

import cProfile
import json
import os
import pstats
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import pytest
from fiftyone import ViewField as F
from PIL import Image

from fiftyone_coco_audit import (
    CocoAuditError,
    audit,
    color_by_outcome,
    compute_statistics,
    dry_run,
    evaluate,
    import_coco,
    import_report,
    load_results,
    views,
    worst_first,
)
from fiftyone_coco_audit.evaluation.fields import additional_fields, all_fields
from fiftyone_coco_audit.reading import imported_categories
from tests.reference import REAL_FILES, run_cocoeval

TOLERANCE = 1e-9
FIELDS = "predictions", "ground_truth"


def fields_of_boxes(eval_key: str, pred_field: str, gt_field: str) -> list[str]:
    """The fields of an evaluation that is not of keypoints."""
    paths = all_fields(eval_key, pred_field, gt_field)
    return [path for path in paths if ".keypoints." not in path]


def written(eval_key: str, pred_field: str, gt_field: str) -> list[str]:
    """The fields that an evaluation of boxes writes at once."""
    on_request = {f"{eval_key}_influence"}
    for field in (pred_field, gt_field):
        on_request.add(f"{field}.detections.{eval_key}_outcome")
    paths = fields_of_boxes(eval_key, pred_field, gt_field)
    return [path for path in paths if path not in on_request]


def detection(label: str, x: float, **attributes: Any) -> fo.Detection:
    """A square of 100 pixels in an image of 1,000 x 500."""
    return fo.Detection(
        label=label, bounding_box=[x / 1000, 0.2, 0.1, 0.2], **attributes
    )


@pytest.fixture
def dataset(tmp_path: Path) -> fo.Dataset:
    """A dataset that was not imported by us: no COCO ids, areas or metadata."""
    path = tmp_path / "image.png"
    Image.new("RGB", (1000, 500)).save(path)
    samples = [
        fo.Sample(
            filepath=path,
            ground_truth=fo.Detections(
                detections=[detection("cat", 0), detection("dog", 300)]
            ),
            predictions=fo.Detections(
                detections=[
                    detection("cat", 10, confidence=0.9),
                    detection("cat", 300, confidence=0.8),
                    detection("bird", 600, confidence=0.4),
                ]
            ),
        ),
        fo.Sample(
            filepath=path,
            ground_truth=fo.Detections(detections=[detection("dog", 0)]),
            predictions=fo.Detections(),
        ),
        fo.Sample(
            filepath=path,
            ground_truth=fo.Detections(),
            predictions=fo.Detections(detections=[detection("cat", 0, confidence=0.7)]),
        ),
        fo.Sample(filepath=path),
    ]
    dataset = fo.Dataset()
    dataset.add_samples(samples)
    return dataset


def marks(samples: fo.SampleCollection, field: str, key: str = "eval") -> list:
    return samples.values(f"{field}.detections.{key}")


def test_costs_of_errors_have_the_names_of_classes(dataset: fo.Dataset) -> None:
    dataset.default_classes = ["bird", "cat", "dog"]
    costs = evaluate(dataset).error_costs()
    frame = costs.per_class()
    assert list(dict.fromkeys(frame.index.get_level_values("class"))) == [
        "bird",
        "cat",
        "dog",
    ]
    assert frame["dAP"].isna()["bird"].all()
    assert frame.loc[("cat", "classification"), "errors"] == 1
    assert frame.loc[("dog", "missed"), "errors"] == 1


def test_olrp_has_the_names_of_classes(dataset: fo.Dataset) -> None:
    dataset.default_classes = ["bird", "cat", "dog"]
    results = evaluate(dataset)
    frame = results.olrp().to_frame()
    assert frame.index.tolist() == results.per_class().index.tolist()
    # The box is shifted by a tenth of its width: an IoU of .9 / 1.1
    assert frame.loc["cat"].tolist() == pytest.approx([4 / 11, 2 / 11, 0, 0, 0.9])
    assert frame["oLRP"].isna().tolist() == [True, False, False]


def test_curves_are_of_the_classes_that_occur(dataset: fo.Dataset) -> None:
    """Of 100,000 classes few occur; curves of all would take gigabytes."""
    dataset.default_classes = ["cat", "dog", *(f"n{n}" for n in range(100_000)), "bird"]
    results = evaluate(dataset)
    assert results.classes.tolist() == ["cat", "dog", "bird"]
    assert results.precision.shape == results.thresholds.shape == (10, 3, 101)
    frame = results.per_class()
    assert frame.index.tolist() == dataset.default_classes
    assert frame.loc[["cat", "dog"], "objects"].tolist() == [1, 2]
    assert frame.loc["n7", ["objects", "predictions", "fp"]].tolist() == [0, 0, 0]
    assert results.mAP() == pytest.approx(results.summary()["AP"], abs=TOLERANCE)
    assert frame["AP"].mean() == pytest.approx(results.summary()["AP"], abs=TOLERANCE)


def test_categories_that_do_not_occur_cost_little(tmp_path: Path) -> None:
    """FiftyOne walks through all that it knows of a dataset whenever it loads it."""
    calls = []
    for count in (1_000, 6_000):
        categories = [
            {"id": n, "name": f"n{n}", "supercategory": "x"} for n in range(count)
        ]
        box = {"image_id": 1, "category_id": 7, "bbox": [10, 10, 20, 20]}
        image = {"id": 1, "file_name": "a.png", "width": 100, "height": 100}
        dataset = import_coco(
            {"images": [image], "annotations": [box], "categories": categories},
            predictions=[{**box, "score": 0.9}],
            progress=False,
        )

        assert imported_categories(dataset) == categories
        with cProfile.Profile() as profile:
            assert evaluate(dataset).summary()["AP"] == pytest.approx(1)
        calls.append(pstats.Stats(profile).total_calls)
    assert calls[1] - calls[0] < 200 * 5_000, calls


@pytest.mark.parametrize("num_classes", [2, 5_000])
def test_an_evaluation_without_any_label_can_be_loaded(
    dataset: fo.Dataset, num_classes: int
) -> None:
    dataset.default_classes = [f"n{n}" for n in range(num_classes)]
    results = evaluate(dataset.skip(3))
    assert results.per_class().index.tolist() == dataset.default_classes
    stored = dataset.load_evaluation_results("eval", cache=False)
    assert stored.mAP() == -1


@pytest.mark.real_data
@pytest.mark.parametrize(("folder", "file", "iou_type"), REAL_FILES)
def test_files_to_numbers(
    shared_data: Path, tmp_path: Path, folder: str, file: str, iou_type: str
) -> None:
    """From the files through the database to the numbers of pycocotools."""
    files = shared_data / folder
    images = files / "images"
    dataset = import_coco(
        files / "annotations.json",
        images if images.is_dir() else tmp_path,
        predictions=files / file,
    )
    results = evaluate(dataset, iou_type=iou_type)

    ground_truth = json.loads((files / "annotations.json").read_text())
    predictions = json.loads((files / file).read_text())
    if folder == "balloon":
        for annotation in ground_truth["annotations"]:
            annotation["id"] += 1
    reference = run_cocoeval(ground_truth, predictions, iou_type)
    np.testing.assert_allclose(
        list(results.summary().values()), reference.stats, rtol=0, atol=TOLERANCE
    )
    assert results.mAP() == pytest.approx(reference.stats[0], abs=TOLERANCE)
    by_id = sorted(ground_truth["categories"], key=lambda category: category["id"])
    order = [list(results.classes).index(category["name"]) for category in by_id]
    np.testing.assert_array_equal(
        results.thresholds[:, order],
        reference.eval["scores"][:, :, :, 0, -1].transpose(0, 2, 1),
    )
    assert list(results.summary()) == [
        "AP", "AP50", "AP75", "APs", "APm", "APl",
        "AR1", "AR10", "AR100", "ARs", "ARm", "ARl",
    ]  # fmt: skip

    for coco_id, *scores in zip(
        *dataset.values(["coco_id", "eval_ap", "eval_ap50", "eval_ap75"]), strict=True
    ):
        alone = run_cocoeval(ground_truth, predictions, iou_type, [coco_id]).stats[:3]
        expected = [None] * 3 if alone[0] == -1 else pytest.approx(alone, abs=TOLERANCE)
        assert scores == expected


@pytest.mark.real_data
@pytest.mark.parametrize("digits", [0, 1])
def test_ties_of_scores(shared_data: Path, digits: int) -> None:
    """FiftyOne's own evaluation gives .2427 for .1827 here."""
    files = shared_data / "coco_mini"
    ground_truth = json.loads((files / "annotations.json").read_text())
    predictions = json.loads((files / "predictions.json").read_text())
    for prediction in predictions:
        prediction["score"] = round(prediction["score"], digits)
    dataset = import_coco(ground_truth, files / "images", predictions=predictions)
    np.testing.assert_allclose(
        list(evaluate(dataset).summary().values()),
        run_cocoeval(ground_truth, predictions).stats,
        rtol=0,
        atol=TOLERANCE,
    )


@pytest.mark.parametrize("ids", [[10.0, 9.0], [10, 9.5], [10, 9]])
def test_ids_that_are_numbers_are_ordered_as_numbers(
    dataset: fo.Dataset, ids: list[float]
) -> None:
    """The image of the lower id comes first where scores are equal."""
    wrong, right = dataset[:2]
    wrong["predictions"] = fo.Detections(detections=[detection("dog", 0, confidence=1)])
    wrong["ground_truth"] = fo.Detections()
    right["predictions"] = fo.Detections(detections=[detection("dog", 0, confidence=1)])
    for sample in (wrong, right):
        sample.save()
    dataset.add_sample_field("coco_id", fo.FloatField)
    dataset[:2].set_values("coco_id", ids)
    assert evaluate(dataset[:2]).summary()["AP"] == pytest.approx(1)


def test_a_dataset_of_other_origin(dataset: fo.Dataset) -> None:
    results = evaluate(dataset)
    assert dataset.values("eval_status") == [
        "ok",
        "no predictions",
        "no ground truth",
        "empty",
    ]
    # cat: found at .50 to .80 of overlap 9/11; dog: not found
    assert dataset.values("eval_ap") == [pytest.approx(0.35), 0, None, None]
    assert dataset.values("eval_ap_pooled")[1:] == [0, 0, 1]
    assert marks(dataset, "predictions") == [["tp", "fp", "fp"], [], ["fp"], None]
    assert marks(dataset, "ground_truth") == [["tp", "fn"], ["fn"], [], None]
    assert dataset.values("predictions.detections.eval_error")[0] == [
        None,
        "classification",
        "background",
    ]
    assert list(dataset.values(["eval_tp", "eval_fp", "eval_fn"])) == [
        [1, 0, 0, 0],
        [2, 0, 1, 0],
        [1, 1, 0, 0],
    ]
    assert any("coco_id" in note for note in results.notes)
    assert any("no area" in note for note in results.notes)


def test_labels_name_their_partners(dataset: fo.Dataset) -> None:
    evaluate(dataset)
    sample = dataset.first()
    cat, dog = sample.ground_truth.detections
    found, wrong, _ = sample.predictions.detections
    assert (found.eval_id, cat.eval_id) == (cat.id, found.id)
    assert found.eval_iou == cat.eval_iou == pytest.approx(9 / 11)
    assert (wrong.eval_id, wrong.eval_iou) == ("", None)
    assert (dog.eval_id, dog.eval_iou, dog.eval_error) == ("", None, None)


def test_per_class_and_per_image(dataset: fo.Dataset) -> None:
    results = evaluate(dataset)
    per_class = results.per_class()
    counts = ["objects", "predictions", "tp", "fp", "fn"]
    assert per_class.loc["cat", counts].tolist() == [1, 3, 1, 2, 0]
    assert np.isnan(per_class.loc["bird", "AP"])
    assert per_class["AP"].mean() == pytest.approx(results.summary()["AP"])
    per_image = results.per_image()
    assert per_image.index.tolist() == dataset.values("id")
    assert per_image["status"].tolist() == dataset.values("eval_status")
    assert per_image["fn"].sum() == 2


def test_analyses_are_by_class_name(dataset: fo.Dataset) -> None:
    results = evaluate(dataset, score_threshold=0.4)
    confusion = results.confusion()
    assert confusion.score == 0.4
    cells = confusion.worst(background=True).iloc[:, :3]
    # The cat at 300 is a dog; the other dog and two predictions are alone
    assert set(cells.itertuples(index=False, name=None)) == {
        ("dog", "cat", 1),
        ("dog", None, 1),
        (None, "cat", 1),
        (None, "bird", 1),
    }
    assert len(results.confusion(iou=0.9).pairs("cat", "cat")[0]) == 0
    best = results.score_thresholds().best()
    assert best.score["cat"] == 0.9
    assert best.index.tolist() == results.per_class().index.tolist()
    calibration = results.calibration(bins=1)
    assert calibration.per_class().predictions["cat"] == 3
    assert calibration.ece == pytest.approx((0.9 + 0.8 + 0.7 + 0.4) / 4 - 1 / 4)


def patches(view: fo.DatasetView, field: str, other: str) -> list[tuple]:
    """The place of the label of each patch, and those of the others that it shows."""
    shown = []
    for patch in view:
        assert patch[field].id == patch.id
        others = patch[other].detections if patch.has_field(other) else []
        labels = [patch[field], *others]
        shown.append(tuple(round(1000 * label.bounding_box[0]) for label in labels))
    return sorted(shown)


def test_a_cell_of_the_confusion_opens_its_pairs(dataset: fo.Dataset) -> None:
    """Of all labels of both classes in an image, only those that are a pair."""
    sample = dataset.first()
    sample["ground_truth"].detections += [detection("dog", x) for x in (800, 500)]
    sample["predictions"].detections += [
        detection("cat", 810, confidence=0.6),
        detection("dog", 505, confidence=0.9),
    ]
    sample.save()
    results = evaluate(dataset, score_threshold=0)

    pairs = results.confusion_view("dog", "cat")
    assert patches(pairs, *FIELDS) == [(300, 300), (810, 800)]
    # As the App sends it back
    again = fo.DatasetView._build(dataset, pairs._serialize())
    assert patches(again, *FIELDS) == [(300, 300), (810, 800)]
    for cell, expected in {
        ("dog", "dog"): [(505, 500)],
        (None, "cat"): [(0,)],
        (None, "bird"): [(600,)],
        ("cat", "dog"): [],
    }.items():
        assert patches(results.confusion_view(*cell), *FIELDS) == expected
    missed = results.confusion_view("dog", None)
    assert patches(missed, *FIELDS[::-1]) == [(0,)]
    few = results.confusion_view("dog", "cat", score=0.7, iou=0.9)
    assert patches(few, *FIELDS) == [(300, 300)]
    others = results.of(dataset.skip(1))
    assert patches(others.confusion_view("dog", "cat"), *FIELDS) == []
    assert patches(others.confusion_view(None, "cat"), *FIELDS) == [(0,)]
    with pytest.raises(CocoAuditError, match="no class `cow`"):
        results.confusion_view("cow", None)


def test_pairs_that_a_view_cannot_hold_are_said(
    dataset: fo.Dataset,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    results = evaluate(dataset)
    monkeypatch.setattr(views, "MOST_PAIRS", 0)
    assert len(results.confusion_view("cat", "cat")) == 0
    assert "the first 0 of 1 pairs" in caplog.text


def test_results_agree_with_the_labels(dataset: fo.Dataset) -> None:
    evaluate(dataset)
    dataset.clear_cache()
    results = dataset.load_evaluation_results("eval", cache=False)
    pairs = Counter(zip(results.ytrue.tolist(), results.ypred.tolist(), strict=True))
    assert pairs == {
        ("cat", "cat"): 1,
        ("(none)", "cat"): 2,
        ("(none)", "bird"): 1,
        ("dog", "(none)"): 2,
    }
    assert results.metrics()["AP50"] == 0.5
    patches = dataset.to_evaluation_patches("eval")
    assert patches.count_values("type") == {"tp": 1, "fp": 3, "fn": 2}


def test_a_view_of_some_samples(dataset: fo.Dataset) -> None:
    view = dataset.limit(1)
    results = evaluate(view)
    assert len(results.per_image()) == 1
    assert dataset.values("eval_status") == ["ok", None, None, None]
    assert dataset.load_evaluation_view("eval") == view
    assert dataset.get_evaluation_info("eval").config.iou == 0.5


def test_labels_that_a_view_hides_take_no_part(dataset: fo.Dataset) -> None:
    view = dataset.filter_labels("ground_truth", F("label") == "dog")
    view = view.filter_labels("predictions", F("label") == "bird", only_matches=False)
    evaluate(view)
    assert marks(dataset, "ground_truth") == [[None, "fn"], ["fn"], [], None]
    assert marks(dataset, "predictions") == [[None, None, "fp"], [], [None], None]


def test_every_field_says_what_it_is(dataset: fo.Dataset) -> None:
    evaluate(dataset, score_threshold=0.25)
    for path in written("eval", *FIELDS):
        field = dataset.get_field(path)
        assert field.description, path
        assert field.info == {"coco_audit": {"function": "evaluate"}}
    assert "0.25" in dataset.get_field("eval_f1").description
    groups = {group.name: group.paths for group in dataset.app_config.sidebar_groups}
    assert groups["eval"][:2] == ["eval_ap", "eval_ap50"]


def test_rename_and_delete_take_all_fields_along(dataset: fo.Dataset) -> None:
    evaluate(dataset).save_influence()
    before = {path: dataset.values(path) for path in fields_of_boxes("eval", *FIELDS)}
    dataset.rename_evaluation("eval", "night")
    assert not [path for path in before if dataset.get_field(path) is not None]
    for old, new in zip(before, fields_of_boxes("night", *FIELDS), strict=True):
        assert dataset.values(new) == before[old]
    dataset.delete_evaluation("night")
    schema = dataset.get_field_schema(flat=True)
    assert not [path for path in schema if "night" in path]


def test_a_key_that_occurs_in_the_names_of_fields(dataset: fo.Dataset) -> None:
    evaluate(dataset, eval_key="pred")
    dataset.rename_evaluation("pred", "truth")
    assert dataset.get_field("predictions.detections.truth_error") is not None
    dataset.delete_evaluation("truth")
    assert "predictions.detections.truth_error" not in dataset.get_field_schema(
        flat=True
    )


def test_evaluating_again_replaces_all(dataset: fo.Dataset) -> None:
    evaluate(dataset)
    first = dataset.values("eval_status")
    results = evaluate(dataset.limit(1), iou_thresholds=[0.9])
    assert dataset.list_evaluations() == ["eval"]
    assert dataset.values("eval_status") == [first[0], None, None, None]
    assert marks(dataset, "predictions")[2] == [None]
    assert marks(dataset, "predictions")[0] == ["fp", "fp", "fp"]
    assert dataset.load_evaluation_results("eval") is results
    assert results.key == "eval"


def spoil_after_reading(dataset: fo.Dataset) -> Callable[[Any], None]:
    """A progress callback by which somebody adds a label while we compute."""

    def spoil(bar: Any) -> None:
        if not dataset.tags:
            dataset.tags = ["spoilt"]
            sample = dataset.first()
            sample.ground_truth.detections.append(detection("cat", 700))
            sample.save()

    return spoil


def test_a_failure_leaves_nothing_behind(dataset: fo.Dataset) -> None:
    dataset.compute_metadata()
    schema = set(dataset.get_field_schema(flat=True))
    with pytest.raises(CocoAuditError, match="changed by someone else"):
        evaluate(dataset, progress=spoil_after_reading(dataset))
    assert dataset.list_evaluations() == []
    assert set(dataset.get_field_schema(flat=True)) == schema


def test_a_label_that_somebody_deletes_meanwhile(dataset: fo.Dataset) -> None:
    dataset.compute_metadata()

    def spoil(bar: Any) -> None:
        if not dataset.tags:
            dataset.tags = ["spoilt"]
            sample = dataset.first()
            del sample.ground_truth.detections[0]
            sample.save()

    with pytest.raises(CocoAuditError, match="labels of 1 sample .* changed by some"):
        evaluate(dataset.view(), progress=spoil)
    assert dataset.list_evaluations() == []


def test_a_failure_leaves_the_old_evaluation(dataset: fo.Dataset) -> None:
    evaluate(dataset)
    before = [dataset.values(path) for path in ("eval_ap", "eval_status")]
    schema = set(dataset.get_field_schema(flat=True))
    with pytest.raises(CocoAuditError, match="changed by someone else"):
        evaluate(dataset, iou_thresholds=[0.9], progress=spoil_after_reading(dataset))
    assert [dataset.values(path) for path in ("eval_ap", "eval_status")] == before
    assert set(dataset.get_field_schema(flat=True)) == schema
    assert dataset.get_evaluation_info("eval").config.iou == 0.5


def test_nothing_to_evaluate(dataset: fo.Dataset) -> None:
    """The evaluation that is there is not replaced by nothing."""
    evaluate(dataset)
    before = dataset.values("eval_ap")
    with pytest.raises(CocoAuditError, match="no images to evaluate"):
        evaluate(dataset.match(F("filepath") == "no such file"))
    assert dataset.values("eval_ap") == before
    assert dataset.list_evaluations() == ["eval"]


def test_evaluating_again_while_a_sample_is_alive(dataset: fo.Dataset) -> None:
    sample = dataset.first()
    evaluate(dataset)
    evaluate(dataset, iou_thresholds=[0.9])
    assert dataset.get_evaluation_info("eval").config.iou == 0.9
    assert sample.eval_tp == 0


@pytest.mark.parametrize("renamed", FIELDS)
def test_a_label_field_that_was_renamed(dataset: fo.Dataset, renamed: str) -> None:
    evaluate(dataset)
    dataset.rename_sample_field(renamed, "yolo")
    fields = tuple("yolo" if field == renamed else field for field in FIELDS)
    evaluate(dataset, *fields, iou_thresholds=[0.9])
    assert dataset.list_evaluations() == ["eval"]
    assert dataset.get_evaluation_info("eval").config.iou == 0.9
    assert marks(dataset, fields[0])[0] == ["fp", "fp", "fp"]
    schema = dataset.get_field_schema(flat=True)
    ours = {path for path in schema if path.rpartition(".")[2].startswith("eval")}
    assert ours == set(written("eval", *fields))


def test_a_field_of_the_user_in_another_label_field(dataset: fo.Dataset) -> None:
    """The key is there, but not on the predictions that are evaluated now."""
    evaluate(dataset)
    dataset.clone_sample_field("ground_truth", "others")
    copied = {p for p in written("eval", "others", "others") if "others" in p}
    dataset.delete_sample_fields(list(copied))
    dataset.add_sample_field("others.detections.eval_iou", fo.FloatField)
    dataset.set_values("others.detections.eval_iou", [[7.0, 7.0], [7.0], [], None])
    with pytest.raises(
        CocoAuditError, match="already has a field 'others.detections.eval_iou'"
    ):
        evaluate(dataset, "others")
    assert dataset.sum("others.detections.eval_iou") == 21
    assert dataset.get_evaluation_info("eval").config.pred_field == "predictions"


def test_a_field_of_the_user_beside_an_evaluation_of_fiftyone(
    dataset: fo.Dataset,
) -> None:
    dataset.evaluate_detections("predictions", eval_key="eval", progress=False)
    dataset.add_sample_field("eval_ap", fo.FloatField)
    with pytest.raises(CocoAuditError, match="already has a field 'eval_ap'"):
        evaluate(dataset)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("eval", "eval_iou"),
        ("eval_iou", "eval"),
        ("eval", "eval_error"),
        ("eval_id", "eval"),
    ],
)
def test_keys_whose_fields_would_collide(
    dataset: fo.Dataset, first: str, second: str
) -> None:
    evaluate(dataset, eval_key=first)
    before = [dataset.values(path) for path in written(first, *FIELDS)]
    with pytest.raises(CocoAuditError, match=f"names as those of evaluation '{first}'"):
        evaluate(dataset, eval_key=second)
    assert [dataset.values(path) for path in written(first, *FIELDS)] == before
    evaluate(dataset, eval_key=f"{first}_ap")


@pytest.mark.parametrize(
    "key",
    [
        *("instance", "has_mask", "field_names", "clean", "validate", "label", "coco"),
        *("a__b", "_x", "", "class x", None, 3, []),
    ],
)
def test_keys_that_are_refused(dataset: fo.Dataset, key: Any) -> None:
    with pytest.raises(CocoAuditError, match="eval_key"):
        evaluate(dataset, eval_key=key)
    assert dataset.list_evaluations() == []


@pytest.mark.parametrize("name", ["a__b", "a\0b", [], None, 3])
def test_label_fields_that_are_refused(dataset: fo.Dataset, name: Any) -> None:
    if name == "a__b":
        dataset.clone_sample_field("predictions", "a__b")
    with pytest.raises(CocoAuditError):
        evaluate(dataset, name)
    with pytest.raises(CocoAuditError):
        evaluate(dataset, "predictions", name)


@pytest.mark.parametrize("samples", [None, "name", [], 3, fo.Sample("image.png")])
def test_what_is_no_dataset(samples: Any) -> None:
    with pytest.raises(CocoAuditError, match="a FiftyOne dataset or view, not"):
        evaluate(samples)
    with pytest.raises(CocoAuditError, match="a FiftyOne dataset or view, not"):
        worst_first(samples)


@pytest.mark.parametrize(
    "function", [evaluate, worst_first, audit, import_report, color_by_outcome, dry_run]
)
def test_deleted_datasets(dataset: fo.Dataset, function: Any) -> None:
    """FiftyOne's own error would be a traceback that does not say what to do."""
    view = dataset.limit(1)
    fo.delete_dataset(dataset.name)
    more = ("minimal",) if function is dry_run else ()
    for samples in (dataset, view):
        with pytest.raises(CocoAuditError, match="was deleted: import it again"):
            function(samples, *more)


@pytest.mark.parametrize("path", ["predictions", "ground_truth", "eval_ap"])
def test_read_only_fields(dataset: fo.Dataset, path: str) -> None:
    evaluate(dataset)
    before = dataset.values("eval_ap")
    field = dataset.get_field(path)
    field.read_only = True
    field.save()
    with pytest.raises(CocoAuditError, match=f"'{path}' .* is read-only"):
        evaluate(dataset)
    assert dataset.values("eval_ap") == before


def test_the_key_of_an_evaluation_of_another_kind(dataset: fo.Dataset) -> None:
    for name in ("truth", "guess"):
        dataset.set_values(name, [fo.Classification(label="cat")] * 4)
    dataset.evaluate_classifications("guess", "truth", eval_key="eval")
    with pytest.raises(CocoAuditError, match="is not an evaluation of detections"):
        evaluate(dataset)
    assert dataset.values("eval") == [True] * 4


def test_a_view_that_holds_a_sample_twice(dataset: fo.Dataset) -> None:
    view = dataset[:3].concat(dataset[:3])
    with pytest.raises(CocoAuditError, match="holds a sample more than once"):
        evaluate(view)
    assert dataset.list_evaluations() == []


def test_what_a_view_hides_of_labels_counts(dataset: fo.Dataset) -> None:
    """Hidden fields are hidden from the eye, not from the evaluation."""
    sample = dataset.first()
    for label in sample.ground_truth.detections:
        label["iscrowd"], label["area"] = 1, 50.0
    for label in sample.predictions.detections:
        label["iscrowd"] = 0
    sample.save()
    dataset.add_dynamic_sample_fields()
    expected = evaluate(dataset, eval_key="whole").summary()
    view = dataset.select_fields(
        [f"{f}.detections.{a}" for f in FIELDS for a in ("label", "bounding_box")]
    )
    results = evaluate(view)
    assert results.summary() == expected
    assert marks(dataset, "ground_truth") == marks(dataset, "ground_truth", "whole")
    assert dataset.load_evaluation_view("eval") == view


def test_replaces_an_evaluation_of_fiftyone(dataset: fo.Dataset) -> None:
    dataset.limit(1).evaluate_detections("predictions", eval_key="eval")
    evaluate(dataset)
    assert dataset.values("eval_status")[0] == "ok"
    assert dataset.values("eval_tp") == [1, 0, 0, 0]


def test_masks_of_other_origin(dataset: fo.Dataset) -> None:
    """Half a mask each, left and right: boxes agree, masks do not."""
    sample = dataset.first()
    left = np.zeros((100, 100), bool)
    left[:, :50] = True
    sample.ground_truth.detections[0].mask = left
    sample.predictions.detections[0].mask = left
    sample.predictions.detections[0].bounding_box = [0, 0.2, 0.1, 0.2]
    sample.ground_truth.detections[1].mask = left
    sample.predictions.detections[1].mask = ~left
    sample.predictions.detections[1].label = "dog"
    sample.save()
    results = evaluate(dataset.limit(1), iou_type="segm")
    assert marks(dataset, "ground_truth")[0] == ["tp", "fn"]
    assert marks(dataset, "predictions")[0] == ["tp", "fp", "fp"]
    assert any("no mask" in note for note in results.notes)


def test_labels_without_class_box_or_confidence(dataset: fo.Dataset) -> None:
    sample = dataset.first()
    sample.ground_truth.detections.append(fo.Detection(bounding_box=[0, 0, 1, 1]))
    sample.ground_truth.detections.append(fo.Detection(label="cat"))
    sample.predictions.detections[0].confidence = None
    sample.save()
    results = evaluate(dataset)
    assert marks(dataset, "ground_truth")[0] == ["tp", "fn", None, None]
    notes = " ".join(results.notes)
    assert "2 labels in 'ground_truth'" in notes
    assert "1 prediction in 'predictions' has no confidence" in notes


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"pred_field": "nothing"}, "has no field 'nothing'; .*'ground_truth'"),
        ({"pred_field": "filepath"}, "does not hold Detections"),
        ({"pred_field": "ground_truth"}, "are both 'ground_truth'"),
        ({"eval_key": "not a name"}, "must be a valid Python name"),
        ({"eval_key": "taken"}, "already has a field 'taken_ap'"),
        ({"iou_type": "boxes"}, "iou_type is 'boxes'"),
    ],
)
def test_mistakes(dataset: fo.Dataset, options: dict[str, Any], sentence: str) -> None:
    dataset.add_sample_field("taken_ap", fo.FloatField)
    schema = list(dataset.get_field_schema(flat=True))
    with pytest.raises(CocoAuditError, match=sentence):
        evaluate(dataset, **options)
    assert list(dataset.get_field_schema(flat=True)) == schema
    assert dataset.list_evaluations() == []


def test_a_slice_of_groups(dataset: fo.Dataset) -> None:
    grouped = fo.Dataset()
    grouped.add_group_field("group", default="left")
    for sample in dataset:
        group = fo.Group()
        for name in ("left", "right"):
            of_slice = sample.copy()
            of_slice["group"] = group.element(name)
            grouped.add_sample(of_slice)
    left, right = map(grouped.select_group_slices, ("left", "right"))

    numbers = evaluate(dataset, *FIELDS).summary()
    assert evaluate(left, *FIELDS).summary() == numbers
    assert left.values("eval_ap") == dataset.values("eval_ap")
    assert right.values("eval_ap") == [None] * len(dataset)
    compute_statistics(left)
    assert left.count("aspect_ratio") == len(dataset)

    of_right = evaluate(right, *FIELDS, eval_key="right", score_threshold=0)
    assert patches(of_right.confusion_view("dog", "cat"), *FIELDS) == [(300, 300)]
    assert patches(of_right.confusion_view(None, "bird"), *FIELDS) == [(600,)]
    assert of_right.by("id", num_draws=0)["images"].tolist() == [1] * len(dataset)
    of_left = load_results(grouped, "eval")
    attributes = of_left.by("aspect_ratio", num_draws=0), of_left.by("size_class")
    for frame in attributes:
        assert "(none)" not in frame.index


def test_patches_are_refused(dataset: fo.Dataset) -> None:
    with pytest.raises(CocoAuditError, match="not of whole images"):
        evaluate(dataset.to_patches("ground_truth"))


def test_images_that_cannot_be_read(dataset: fo.Dataset) -> None:
    sample = dataset.first()
    Path(sample.filepath).unlink()
    with pytest.raises(CocoAuditError, match="size of 4 images is unknown"):
        evaluate(dataset)


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
@pytest.mark.parametrize("size", [{"width": 0}, {"height": None}])
def test_sizes_that_the_metadata_do_not_say_are_computed(
    dataset: fo.Dataset, size: dict[str, int | None], iou_type: str
) -> None:
    expected = evaluate(dataset, iou_type=iou_type, eval_key="sound").summary()
    for side, value in size.items():
        dataset.set_values(f"metadata.{side}", [value] * len(dataset))
    assert evaluate(dataset, iou_type=iou_type).summary() == expected
    assert dataset.distinct("metadata.width") == [1000]
    assert dataset.distinct("metadata.height") == [500]


def test_without_this_package(dataset: fo.Dataset, tmp_path: Path) -> None:
    """FiftyOne alone loads, shows, renames and deletes what we saved."""
    evaluate(dataset, iou_thresholds=[0.9])
    evaluate(dataset)  # in the place of another
    evaluate(dataset, eval_key="other")
    script = f"""
        import sys

        class Absent:
            def find_spec(self, name, *_):
                if name.split(".")[0] == "fiftyone_coco_audit":
                    raise ModuleNotFoundError(name)

        sys.meta_path.insert(0, Absent())

        import fiftyone as fo

        dataset = fo.load_dataset({dataset.name!r})
        results = dataset.load_evaluation_results("eval")
        assert type(results) is fo.utils.eval.coco.COCODetectionResults, type(results)
        assert abs(results.mAP() - 0.35) < 1e-9, results.mAP()
        assert results.metrics()["AP50"] == 0.5
        assert results.precision.shape == (10, 3, 101)
        results.plot_pr_curves(classes=["cat"])
        assert results.confusion_matrix().sum() == 1
        assert dataset.to_evaluation_patches("eval").count() == 6
        dataset.rename_evaluation("eval", "renamed")
        assert dataset.values("renamed_tp") == [1, 0, 0, 0]
        dataset.delete_evaluation("renamed")
        dataset.delete_evaluation("other")
        assert dataset.list_evaluations() == []
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**os.environ, "FIFTYONE_PLUGINS_DIR": str(tmp_path / "no-plugins")},
        check=True,
    )
    dataset.reload()
    left = [p for p in additional_fields("eval", *FIELDS) if dataset.get_field(p)]
    assert left == [p for p in written("eval", *FIELDS) if p in left]
    assert "eval_ap" in left
