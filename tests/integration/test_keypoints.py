"""Keypoints from a COCO file to the numbers of pycocotools, in a real database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import pytest
from fiftyone import ViewField as F
from fiftyone.operators.executor import ExecutionContext

from fiftyone_coco_audit import (
    CocoAuditError,
    add_coco_predictions,
    audit_results,
    compare_runs,
    evaluate,
    evaluation_notes,
    import_coco,
    import_report,
    load_results,
    repair_predictions,
    review_labels,
    worst_first,
)
from fiftyone_coco_audit.cli import main
from fiftyone_coco_audit.evaluation.views import showing_all_scores
from fiftyone_coco_audit.fiftyone_internals import cached_results
from tests.poses import real_poses
from tests.reference import run_cocoeval

pytestmark = pytest.mark.slow
real_data = pytest.mark.real_data

EVALUATE = "@coco-audit/coco-audit/evaluate"
NAMES = "AP AP50 AP75 APm APl AR AR50 AR75 ARm ARl"


def each(samples: fo.SampleCollection, path: str) -> list[Any]:
    """The values of all labels."""
    return list(chain.from_iterable(of or () for of in samples.values(path)))


@pytest.fixture(scope="module")
def poses(
    shared_data: Path, mongodb: str
) -> Iterator[tuple[fo.Dataset, dict[str, Any], list]]:
    folder = shared_data / "coco_mini"
    coco, found = real_poses(folder, "keypoints.json")
    dataset = import_coco(
        json.loads(json.dumps(coco)),
        folder / "images",
        predictions=json.loads(json.dumps(found)),
        name="of poses",
        progress=False,
    )
    yield dataset, coco, found
    dataset.delete()


@real_data
def test_the_numbers_are_those_of_pycocotools(poses) -> None:
    dataset, coco, found = poses
    results = evaluate(dataset, iou_type="keypoints", progress=False)
    expected = run_cocoeval(coco, found, "keypoints").stats
    assert list(results.summary()) == NAMES.split()
    np.testing.assert_allclose(
        list(results.summary().values()), expected, rtol=0, atol=1e-9
    )
    assert "OKS 0.50:0.95" in str(results)
    ignored = sum(
        a["num_keypoints"] == 0 and not a["iscrowd"] for a in coco["annotations"]
    )
    assert f"{ignored} labels in 'ground_truth' have no labeled keypoints" in str(
        results
    )
    # Outcomes are on the detections
    marks = dataset.count_values("predictions.detections.eval")
    assert marks["tp"] == results.per_class()["tp"].sum()
    assert sum(dataset.values("eval_tp")) == marks["tp"]
    assert dataset.get_field("eval_tp").description.startswith("True positives at OKS")

    cached_results(dataset, "evaluations").clear()
    again = load_results(dataset)
    assert again.summary() == results.summary()
    assert str(again) == str(results)
    assert evaluation_notes(dataset) == results.notes
    part = dataset.limit(40)
    alone = run_cocoeval(coco, found, "keypoints", part.values("coco_id")).stats
    np.testing.assert_allclose(
        list(again.of(part).summary().values()), alone, rtol=0, atol=1e-9
    )
    assert again.by("metadata.width", bins=[0, 500, 1000])["objects"].sum() > 0
    for table in ("error_costs", "olrp", "confusion", "score_thresholds"):
        assert str(getattr(again, table)())
    assert again.intervals(num_draws=10).to_frame().index.tolist() == NAMES.split()[:5]
    assert not again.influence()["influence"].isna().any()


@real_data
def test_what_poses_cannot_say_is_refused(poses) -> None:
    dataset, *_ = poses
    results = evaluate(dataset, iou_type="keypoints", progress=False)
    for asked in (
        results.conventions,
        results.label_issues,
        lambda: results.label_issues_view("missing label"),
        lambda: review_labels(dataset),
    ):
        with pytest.raises(CocoAuditError, match="keypoints|Keypoints"):
            asked()
    audited = audit_results(dataset, num_draws=5)
    assert "CA801" in audited.not_run
    assert "CA7" in {finding.code[:3] for finding in audited}
    drivers = results.drivers(num_draws=5)
    assert len(drivers.to_frame())


@real_data
def test_runs_of_other_sigmas_are_not_compared(poses) -> None:
    dataset, *_ = poses
    for key, sigmas in (("strict", [0.02] * 17), ("loose", [0.2] * 17)):
        evaluate(
            dataset, iou_type="keypoints", eval_key=key, sigmas=sigmas, progress=False
        )
    strict, loose = load_results(dataset, "strict"), load_results(dataset, "loose")
    assert strict.summary()["AP"] < loose.summary()["AP"]
    with pytest.raises(CocoAuditError, match="sigmas"):
        compare_runs(dataset, "strict", "loose", progress=False)


@real_data
def test_a_run_without_matches_is_matched_as_it_was(poses, monkeypatch) -> None:
    dataset, *_ = poses
    options = {"iou_thresholds": [0.3, 0.6], "sigmas": [0.05] * 17}
    made = evaluate(dataset, iou_type="keypoints", progress=False, **options)
    cached_results(dataset, "evaluations").clear()
    # As if another version had saved it
    monkeypatch.setattr("fiftyone_coco_audit.evaluation.stored._LAYOUT", -1)
    again = load_results(dataset)
    assert "saved without its matches" in again.notes[-1]
    assert again.evaluation.settings == made.evaluation.settings
    assert again.summary() == made.summary()


@real_data
def test_keypoints_are_shown_as_fiftyone_shows_them(poses, shared_data: Path) -> None:
    """Points, visibility and skeleton are those of FiftyOne's own importer."""
    dataset, coco, _ = poses
    folder = shared_data / "coco_mini"
    theirs = fo.Dataset.from_dir(
        dataset_type=fo.types.COCODetectionDataset,
        data_path=str(folder / "images"),
        labels_path=str(folder / "keypoints.json"),
        label_types="keypoints",
        label_field="keypoints",
        progress=False,
    )
    field = theirs.get_field_schema(embedded_doc_type=fo.Keypoints)
    (name,) = field

    def shown(samples: fo.Dataset, path: str) -> dict[str, list]:
        return {
            sample.filename: [
                (pose.points, pose["visible"])
                for pose in (sample[path] or fo.Keypoints()).keypoints
                if any(pose["visible"])
            ]
            for sample in samples.iter_samples(progress=False)
        }

    expected, ours = shown(theirs, name), shown(dataset, "ground_truth_keypoints")
    np.testing.assert_equal(ours, expected)
    labeled = [a["id"] for a in coco["annotations"] if any(a["keypoints"])]
    ids = each(dataset, "ground_truth_keypoints.keypoints.coco_id")
    assert sorted(ids) == sorted(labeled)

    (category,) = coco["categories"]
    for path in ("ground_truth_keypoints", "predictions_keypoints"):
        skeleton = dataset.skeletons[path]
        assert skeleton.labels == category["keypoints"]
        assert [[a + 1, b + 1] for a, b in skeleton.edges] == category["skeleton"]


@real_data
def test_a_selection_by_ids_has_detections_and_their_keypoints(poses) -> None:
    dataset, _, found = poses
    evaluate(dataset, iou_type="keypoints", eval_key="pose", progress=False)
    wrong = dataset.filter_labels("predictions", F("pose") == "fp")
    ids = wrong.values("predictions.detections.id", unwind=True)
    view = dataset.select_labels(ids=ids)
    shown = each(view, "predictions_keypoints.keypoints.id")
    assert sorted(ids) == sorted(shown)
    assert 0 < len(ids) < len(found)
    scores = each(dataset, "predictions_keypoints.keypoints.score")
    assert sorted(scores) == sorted(record["score"] for record in found)


@real_data
def test_poses_of_low_scores_are_hidden_with_their_boxes(poses) -> None:
    dataset, _, found = poses
    evaluate(dataset, iou_type="keypoints", progress=False)
    view = worst_first(dataset, min_score=0.5)
    shown = each(view, "predictions.detections.id")
    assert sorted(shown) == sorted(each(view, "predictions_keypoints.keypoints.id"))
    assert len(shown) == sum(record["score"] >= 0.5 for record in found)
    every = showing_all_scores(view)
    assert len(each(every, "predictions_keypoints.keypoints.id")) == len(found)


BOX = {"image_id": 1, "category_id": 1, "bbox": [10, 10, 40, 40]}


def small(**changes: Any) -> dict[str, Any]:
    """A file of one person with two keypoints, and of a car that has none."""
    person = {"id": 1, "keypoints": [20, 20, 2, 40, 40, 1], **BOX, **changes}
    return {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 100}],
        "annotations": [
            {"area": 1600, "iscrowd": 0, **person},
            {"area": 1600, "iscrowd": 0, **BOX, "id": 2, "category_id": 2},
        ],
        "categories": [
            {"id": 1, "name": "person", "keypoints": ["head", "foot"]},
            {"id": 2, "name": "car"},
        ],
    }


def found(**changes: Any) -> list[dict[str, Any]]:
    pose = {"keypoints": [20, 20, 0.5, 40, 40, 0.25], "score": 0.9, **BOX, **changes}
    return [pose, {**BOX, "category_id": 2, "score": 0.8}]


SIGMAS = {"person": [0.1, 0.1]}


def test_poses_have_the_outcomes_of_their_detections() -> None:
    coco, second = small(), {"image_id": 2}
    coco["images"].append({**coco["images"][0], "id": 2, "file_name": "b.jpg"})
    coco["annotations"] += [
        {**a, **second, "id": a["id"] + 2} for a in coco["annotations"]
    ]
    wrong = found(keypoints=[90, 90, 1, 95, 95, 1], **second)
    dataset = import_coco(coco, predictions=found() + wrong, progress=False)
    options = {"iou_type": "keypoints", "sigmas": SIGMAS, "progress": False}

    def outcomes(path: str, key: str = "eval") -> dict[str, tuple]:
        names = "id", key, f"{key}_id", f"{key}_iou", f"{key}_error"
        rows = zip(*(each(dataset, f"{path}.{name}") for name in names), strict=True)
        return {id_: values for id_, *values in rows}

    def paths(key: str) -> list[str]:
        schema = dataset.get_field_schema(flat=True)
        return [path for path in schema if f"keypoints.{key}" in path]

    evaluate(dataset, **options)
    for field in ("ground_truth", "predictions"):
        ours = outcomes(f"{field}_keypoints.keypoints")
        of_detections = outcomes(f"{field}.detections")
        assert ours == {id_: of_detections[id_] for id_ in ours}
        assert len({mark for mark, *_ in ours.values()}) == 2
    shown = dataset.filter_labels("predictions_keypoints", F("eval") == "fp")
    assert shown.count("predictions_keypoints.keypoints") == 1
    before = outcomes("predictions_keypoints.keypoints")
    evaluate(dataset.limit(1), **options)
    shown = dataset.limit(1)
    part = each(shown, "predictions_keypoints.keypoints.id")
    after = outcomes("predictions_keypoints.keypoints")
    assert {id_: after[id_] for id_ in part} == {id_: before[id_] for id_ in part}
    assert not any(any(v) for id_, v in after.items() if id_ not in set(part))

    dataset.rename_evaluation("eval", "other")
    assert len(paths("other")) == 8
    assert not paths("eval")
    assert outcomes("predictions_keypoints.keypoints", "other") == after
    evaluate(dataset, eval_key="other", progress=False)
    assert not paths("other")
    evaluate(dataset, **options)
    assert len(paths("eval")) == 8
    dataset.delete_evaluation("eval")
    assert not paths("eval")
    assert dataset.has_field("predictions_keypoints.keypoints.score")


def test_labels_without_keypoints_are_ignored_or_left_out() -> None:
    dataset = import_coco(small(), predictions=found(), progress=False)
    assert not import_report(dataset).problems[1:]  # the missing image files
    results = evaluate(dataset, iou_type="keypoints", sigmas=SIGMAS, progress=False)
    assert results.summary()["AP"] == 1
    assert results.per_class()["objects"].tolist() == [1, 0]
    said = "\n".join(results.notes)
    assert "1 label in 'ground_truth' has no labeled keypoints: ignored" in said
    assert "1 label in 'predictions' has no keypoints, or not as many" in said
    third = each(dataset, "predictions_keypoints.keypoints.confidence")
    assert third == [[0.5, 0.25]]
    with pytest.raises(CocoAuditError, match="`person` has 2 keypoints, but there are"):
        evaluate(dataset, iou_type="keypoints", eval_key="no", progress=False)
    assert dataset.list_evaluations() == ["eval"]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ([20, 20, 2, 40, 40], "are 5 numbers, not three for each"),
        ([20, 20, 2], "are 1, but its category has 2"),
        ([20, 20, 2, 40, float("nan"), 1], "keypoint 2 in its `keypoints` is [40, nan"),
        ([20, 20, 2, 40, 40, 3], "keypoint 2 in its `keypoints` is [40, 40, 3]"),
        ("head", "are text, not a list"),
        ([[20, 20, 2], [40, 40, 1]], "hold more than numbers"),
    ],
)
def test_a_box_is_not_lost_with_its_keypoints(broken: Any, reason: str) -> None:
    dataset = import_coco(small(keypoints=broken), progress=False)
    assert dataset.count("ground_truth.detections") == 2
    assert not dataset.has_field("ground_truth_keypoints")
    _, problem = import_report(dataset).problems
    assert (problem.code, problem.record_id) == ("CA146", 1)
    assert reason in problem.reason


def test_no_keypoints_is_one_sentence() -> None:
    coco = small(keypoints=None)
    dataset = import_coco(coco, predictions=found(), progress=False)
    with pytest.raises(CocoAuditError, match="No label in 'ground_truth' has keyp"):
        evaluate(dataset, iou_type="keypoints", progress=False)
    label = dataset.first().ground_truth.detections[0]
    label["keypoints"] = [1, 2, "x"]
    dataset.set_values("ground_truth.detections.keypoints", [[[1, 2, "x"], None]])
    with pytest.raises(CocoAuditError, match="'keypoints' .* is not a list of numbers"):
        evaluate(dataset, iou_type="keypoints", progress=False)
    assert not dataset.list_evaluations()


@real_data
def test_the_example_results_of_coco_are_imported(shared_data: Path) -> None:
    folder = shared_data / "cocoapi100"
    path = folder / "predictions_keypoints_noGT.json"
    dataset = import_coco(folder / "annotations.json", predictions=path, progress=False)
    records = json.loads(path.read_text())
    kept = each(dataset, "predictions.detections.keypoints")
    assert sorted(kept) == sorted(record["keypoints"] for record in records)
    assert dataset.count("predictions_keypoints.keypoints") == len(records) == 125
    # Their ground truth has no keypoints, and says none of their names
    assert not dataset.skeletons
    with pytest.raises(CocoAuditError, match="No label in 'ground_truth' has keyp"):
        evaluate(dataset, iou_type="keypoints", progress=False)


def test_predictions_with_keypoints_are_replaced_with_them() -> None:
    dataset = import_coco(small(), progress=False)
    add_coco_predictions(dataset, found(), progress=False)
    assert dataset.skeletons["predictions_keypoints"].labels == ["head", "foot"]
    assert dataset.count("predictions_keypoints.keypoints") == 1
    twice = [*found(), *found()[:1]]
    add_coco_predictions(dataset, twice, overwrite=True, progress=False)
    assert dataset.count("predictions_keypoints.keypoints") == 2
    boxes = found(keypoints=None)
    add_coco_predictions(dataset, boxes, overwrite=True, progress=False)
    assert not dataset.has_field("predictions_keypoints")
    dataset.add_sample_field("predictions_keypoints", fo.StringField)
    with pytest.raises(CocoAuditError, match="'predictions_keypoints', where keypoi"):
        add_coco_predictions(dataset, found(), overwrite=True, progress=False)
    assert dataset.count("predictions.detections") == 2
    with pytest.raises(CocoAuditError, match="choose another name"):
        import_coco(
            small(),
            predictions=found(),
            label_field="p_keypoints",
            pred_field="p",
            progress=False,
        )


@real_data
def test_the_form_offers_keypoints_where_there_are_any(poses) -> None:
    dataset, *_ = poses
    boxes = import_coco(small(keypoints=None), predictions=found(), progress=False)

    def properties(on: fo.Dataset, **params: Any) -> dict[str, Any]:
        context = ExecutionContext({"dataset_name": on.name, "params": params})
        operator = foo.get_operator(EVALUATE)
        return operator.resolve_type(context, "inputs").type.properties

    def offered(on: fo.Dataset) -> list[str]:
        return [choice.value for choice in properties(on)["iou_type"].view.choices]

    assert offered(dataset) == ["bbox", "segm", "keypoints"]
    assert offered(boxes) == ["bbox", "segm"]
    form = properties(dataset, iou_type="keypoints", sigmas="0.1 0")
    assert "above 0" in form["sigmas"].error_message
    assert "COCO's 20" in form["max_detections"].view.description
    assert "sigmas" not in properties(dataset, sigmas="0.1")


@real_data
def test_the_operator_evaluates_keypoints(poses) -> None:
    dataset, *_ = poses
    result = foo.execute_operator(
        EVALUATE,
        {"dataset": dataset},
        params={"iou_type": "keypoints", "eval_key": "form", "sigmas": "0.1 " * 17},
    )
    results = load_results(dataset, "form")
    assert result.result["summary"] == results.summary()
    assert results.evaluation.settings.sigmas_of("person") == (0.1,) * 17


@real_data
def test_repaired_predictions_keep_keypoints_unless_boxes_are_read_anew(poses) -> None:
    dataset, coco, _ = poses
    kept = ("image_id", "category_id", "keypoints", "bbox")
    exact = [{key: a[key] for key in kept} | {"score": 90} for a in coco["annotations"]]
    corners = [{**one, "bbox": xyxy(one["bbox"])} for one in exact]
    for field, records in (("percent", exact), ("corners", corners)):
        add_coco_predictions(dataset, records, pred_field=field, progress=False)
        repair_predictions(dataset, field, f"{field}_repaired", progress=False)
    before, after = (
        each(dataset, f"{field}.detections.keypoints")
        for field in ("percent", "percent_repaired")
    )
    assert before == after
    assert dataset.get_field("percent_repaired.detections.keypoints").description
    assert not any(each(dataset, "corners_repaired.detections.keypoints"))
    assert not dataset.has_field("corners_repaired.detections.keypoints")


def xyxy(box: list[float]) -> list[float]:
    x, y, width, height = box
    return [x, y, x + width, y + height]


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--iou-type", "keypoints", "--sigmas", "0.1,0.1"], 0, "AR75   1.0000   OKS"),
        (["--iou-type", "keypoints"], 2, "`person` has 2 keypoints, but there are 17"),
        (["--sigmas", "0.1"], 2, "sigmas are of keypoints"),
    ],
)
def test_the_command_line_evaluates_keypoints(
    options: list[str], code: int, said: str, tmp_path: Path, capsys: Any
) -> None:
    paths = tmp_path / "posed.json", tmp_path / "found.json"
    for path, content in zip(paths, (small(), found()), strict=True):
        path.write_text(json.dumps(content))
    assert main([str(paths[0]), "--predictions", str(paths[1]), *options]) == code
    printed = capsys.readouterr()
    assert said in printed.out + printed.err
    assert ("posed" in fo.list_datasets()) is (options[0] == "--iou-type")
