"""Costs of errors: by hand, by repairing records, and against hotcoco and tidecv."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from fiftyone_coco_audit.evaluation import average_precision
from fiftyone_coco_audit.evaluation.analysis.error_costs import (
    FALSE_NEGATIVES,
    FALSE_POSITIVES,
    ErrorCosts,
    error_costs,
)
from fiftyone_coco_audit.evaluation.error_types import classify_errors
from fiftyone_coco_audit.evaluation.metrics import Evaluation
from fiftyone_coco_audit.evaluation.settings import IOU_THRESHOLDS
from fiftyone_coco_audit.evaluation.subsets import images_only
from tests.peers import peer
from tests.reference import (
    REAL_FILES,
    encode,
    evaluated,
    read_records,
    run_cocoeval,
)
from tests.unit.evaluation.scenes import Row, evaluate, random_records

TOLERANCE = 1e-9
HERE = (10.0, 10.0, 40.0, 40.0)
# An IoU of 1/3 with HERE
LOOSE = (30.0, 10.0, 40.0, 40.0)
THERE = (300.0, 10.0, 40.0, 40.0)
NOWHERE = (300.0, 300.0, 40.0, 40.0)
NO, YES = 0, 1
CLASSES = ["cat", "dog", "emu"]
#: AP of one of two objects found, without and after a false positive
HALF, QUARTER = 51 / 101, 51 / 202


@pytest.mark.parametrize(
    ("truth", "predictions", "expected"),
    [
        # The only object is found by the repaired prediction
        (
            [(0, 0, HERE, NO)],
            [(0, 0, LOOSE, 0.9)],
            {"localization": {0: 1}, "false_positives": {}, "false_negatives": {}},
        ),
        # It was found, so the loose prediction before it goes
        (
            [(0, 0, HERE, NO)],
            [(0, 0, LOOSE, 0.9), (0, 0, HERE, 0.8)],
            {"localization": {0: 0.5}, "false_positives": {0: 0.5}},
        ),
        # A false positive of one class and an object not found of another
        (
            [(0, 0, HERE, NO), (0, 1, THERE, NO)],
            [(0, 1, HERE, 0.9), (0, 1, THERE, 0.8)],
            {"classification": {0: 1, 1: 0.5}, "false_positives": {1: 0.5}},
        ),
        # Of two errors about one object, the one with the higher score is corrected;
        # the other is removed, which helps nobody
        (
            [(0, 0, HERE, NO)],
            [(0, 1, HERE, 0.9), (0, 0, LOOSE, 0.8)],
            {"classification": {0: 1}},
        ),
        (
            [(0, 0, HERE, NO)],
            [(0, 1, HERE, 0.7), (0, 0, LOOSE, 0.8)],
            {"localization": {0: 1}},
        ),
        (
            [(0, 0, HERE, NO), (0, 0, THERE, NO)],
            [(0, 0, HERE, 0.9), (0, 0, HERE, 0.8), (0, 0, THERE, 0.7)],
            {
                "duplicate": {0: 1 - (51 + 50 * 2 / 3) / 101},
                "false_positives": {0: 1 - (51 + 50 * 2 / 3) / 101},
            },
        ),
        (
            [(0, 0, HERE, NO)],
            [(0, 0, NOWHERE, 0.9), (0, 0, HERE, 0.8)],
            {"background": {0: 0.5}, "false_positives": {0: 0.5}},
        ),
        (
            [(0, 0, HERE, NO), (0, 1, THERE, NO)],
            [(0, 1, LOOSE, 0.9), (0, 1, THERE, 0.8)],
            {"both": {1: 0.5}, "false_positives": {1: 0.5}},
        ),
        (
            [(0, 0, HERE, NO), (0, 0, THERE, NO)],
            [(0, 0, THERE, 0.9)],
            {"missed": {0: 1 - HALF}, "false_negatives": {0: 1 - HALF}},
        ),
        # Not found, but a repair would find it
        (
            [(0, 0, HERE, NO), (0, 0, THERE, NO)],
            [(0, 1, HERE, 0.9), (0, 0, THERE, 0.8)],
            {"classification": {0: 1 - HALF}, "false_negatives": {0: 1 - HALF}},
        ),
        # Nothing of the class would be left to be found
        ([(0, 0, HERE, NO), (0, 1, THERE, NO)], [(0, 1, THERE, 0.9)], {}),
        # Perfect recall leaves the false positive, perfect precision the missed object
        (
            [(0, 0, HERE, NO), (0, 0, THERE, NO)],
            [(0, 0, NOWHERE, 0.9), (0, 0, THERE, 0.8)],
            {
                "background": {0: HALF - QUARTER},
                "missed": {0: 0.5 - QUARTER},
                "false_positives": {0: HALF - QUARTER},
                "false_negatives": {0: 0.5 - QUARTER},
            },
        ),
        # What lies in a crowd is no error; what lies beside it is background
        (
            [(0, 0, HERE, YES), (0, 0, THERE, NO)],
            [(0, 0, HERE, 0.9), (0, 0, THERE, 0.8)],
            {},
        ),
        (
            [(0, 0, HERE, YES), (0, 1, THERE, NO)],
            [(0, 1, HERE, 0.9), (0, 1, THERE, 0.8)],
            {"background": {1: 0.5}, "false_positives": {1: 0.5}},
        ),
        # A class without objects costs no AP
        ([(0, 0, HERE, NO)], [(0, 0, HERE, 0.8), (0, 2, THERE, 0.9)], {}),
        ([], [(0, 0, HERE, 0.8)], {}),
        ([(0, 0, HERE, NO)], [], {}),
    ],
)
def test_one_image(
    truth: list[Row], predictions: list[Row], expected: dict[str, dict[int, float]]
) -> None:
    evaluation = evaluate(truth, predictions, iou_thresholds=[0.5])
    costs = error_costs(evaluation, CLASSES)
    with_objects = {row[1] for row in truth if not row[3]}
    for name, gain in zip(costs.types, costs.ap_gain[:, 0], strict=True):
        np.testing.assert_allclose(
            gain,
            [
                expected.get(name, {}).get(k, 0) if k in with_objects else np.nan
                for k in range(3)
            ],
            rtol=0,
            atol=1e-12,
            err_msg=name,
        )


def test_frames_are_in_ap_of_all_classes_and_of_each() -> None:
    evaluation = evaluate(
        [(0, 0, HERE, NO), (0, 1, THERE, NO), (0, 2, NOWHERE, YES)],
        [(0, 1, HERE, 0.9), (0, 1, THERE, 0.8), (0, 2, NOWHERE, 0.7)],
        iou_thresholds=[0.4, 0.5],
    )
    costs = error_costs(evaluation, CLASSES)
    frame = costs.to_frame()
    assert frame.columns.tolist() == ["errors", "dAP40", "dAP"]
    assert frame.loc["classification"].tolist() == [1, 0.75, 0.75]
    assert frame.loc["false_positives"].tolist() == [1, 0.25, 0.25]
    frame = costs.per_class()
    assert frame.index.tolist()[:1] == [("cat", "localization")]
    assert frame.loc[("cat", "classification")].tolist() == [0, 1, 1]
    assert frame.loc[("dog", "classification")].tolist() == [1, 0.5, 0.5]
    assert frame.loc["emu", "dAP"].isna().all()
    assert "crowd regions, neither cause" in str(costs)
    assert (costs.left_out.ignored_objects, costs.left_out.ignored_predictions) == (
        1,
        1,
    )


def costs_of(
    ground_truth: dict[str, Any], predictions: list, iou_type: str = "bbox"
) -> tuple[Evaluation, ErrorCosts]:
    evaluation = evaluated(ground_truth, predictions, iou_type)
    names = list(map(str, range(evaluation.num_categories)))
    return evaluation, error_costs(evaluation, names)


def without_crowds(ground_truth: dict[str, Any]) -> dict[str, Any]:
    objects = [one for one in ground_truth["annotations"] if not one.get("iscrowd")]
    return {**ground_truth, "annotations": objects}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("position", [0, 5])
def test_pycocotools_agrees_once_the_records_are_repaired(
    seed: int, position: int
) -> None:
    """Each type of error is repaired in the records, and these evaluated anew."""
    ground_truth, predictions = random_records(seed, crowds=0.1)
    ground_truth["annotations"].sort(key=lambda record: record["image_id"])
    predictions.sort(key=lambda record: record["image_id"])
    iou = IOU_THRESHOLDS[position]
    evaluation, costs = costs_of(ground_truth, predictions)
    errors = classify_errors(evaluation, position)
    objects = ground_truth["annotations"]
    free = evaluation.truth.crowd | evaluation.found(position)
    best: dict[int, int] = {}
    for n in sorted(range(len(predictions)), key=lambda n: -predictions[n]["score"]):
        target = int(errors.target[n])
        if target >= 0 and not free[target]:
            best.setdefault(target, n)

    def ap(of: list, found: list) -> NDArray[np.float64]:
        evaluator = run_cocoeval(
            {**ground_truth, "annotations": of}, found, iouThrs=np.array([iou])
        )
        return evaluator.eval["precision"][0, :, :, 0, -1].mean(axis=0)

    before = ap(objects, predictions)
    for name, gain in zip(costs.types, costs.ap_gain[:, position], strict=True):
        repaired, missed = [], errors.truth == name
        if name == FALSE_NEGATIVES:
            missed = ~free
        for n, record in enumerate(predictions):
            is_wrong = errors.predictions[n] != "" and name == FALSE_POSITIVES
            if errors.predictions[n] != name and not is_wrong:
                repaired.append(record)
                continue
            target = int(errors.target[n])
            if best.get(target) == n and not is_wrong:
                right = {key: objects[target][key] for key in ("category_id", "bbox")}
                # Among equal scores of its new class, it ranks last
                last = record["score"] - 1e-6 * (name == "classification")
                repaired.append({**record, **right, "score": last})
        kept = [
            one for one, is_gone in zip(objects, missed, strict=True) if not is_gone
        ]
        after = ap(kept, repaired)
        expected = np.where(after < 0, 0, after - before)
        np.testing.assert_allclose(
            gain,
            np.where(before < 0, np.nan, expected),
            rtol=0,
            atol=TOLERANCE,
            err_msg=name,
        )


def test_some_images_cost_what_they_cost_alone() -> None:
    ground_truth, predictions = random_records(3, crowds=0.1)
    evaluation, _ = costs_of(ground_truth, predictions)
    images = np.arange(6) % 2 == 0
    some = {
        **ground_truth,
        "images": [one for one in ground_truth["images"] if one["id"] % 2],
        "annotations": [
            one for one in ground_truth["annotations"] if one["image_id"] % 2
        ],
    }
    _, alone = costs_of(some, [one for one in predictions if one["image_id"] % 2])
    costs = error_costs(images_only(evaluation, images), alone.classes)
    pd.testing.assert_frame_equal(costs.per_class(), alone.per_class())
    assert costs.left_out == alone.left_out


#: hotcoco's names
NAMES = {
    "localization": "Loc",
    "classification": "Cls",
    "duplicate": "Dupe",
    "background": "Bkg",
    "both": "Both",
    "missed": "Miss",
    "false_positives": "FP",
    "false_negatives": "FN",
}


def assert_equal_to_hotcoco(
    ground_truth: dict[str, Any],
    predictions: list,
    folder: Path,
    iou_type: str = "bbox",
    positions: range = range(10),
) -> None:
    hotcoco = peer("hotcoco")
    path = folder / "annotations.json"
    names = ("images", "annotations", "categories")
    path.write_text(json.dumps({name: ground_truth[name] for name in names}))
    truth = hotcoco.COCO(str(path))
    evaluator = hotcoco.COCOeval(truth, truth.load_res(predictions), iou_type)
    evaluator.evaluate()
    _, costs = costs_of(ground_truth, predictions, iou_type)
    for position in positions:
        iou = IOU_THRESHOLDS[position]
        expected = evaluator.tide_errors(pos_thr=iou)
        gains = np.nanmean(costs.ap_gain[:, position], axis=1).tolist()
        assert dict(zip(costs.types, gains, strict=True)) == pytest.approx(
            {name: expected["delta_ap"][NAMES[name]] for name in costs.types},
            abs=TOLERANCE,
        ), iou
        counts = costs.counts[:, position].sum(axis=1).tolist()
        assert dict(zip(costs.types[:6], counts[:6], strict=True)) == {
            name: expected["counts"][NAMES[name]] for name in costs.types[:6]
        }, iou


@pytest.mark.parametrize("seed", range(20))
def test_equal_to_hotcoco(seed: int, tmp_path: Path) -> None:
    assert_equal_to_hotcoco(*random_records(seed), tmp_path)


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize(("folder", "name", "iou_type"), REAL_FILES)
def test_equal_to_hotcoco_on_real_records(
    folder: str, name: str, iou_type: str, shared_data: Path, tmp_path: Path
) -> None:
    ground_truth, predictions = read_records(shared_data / folder, name, iou_type)
    assert_equal_to_hotcoco(
        without_crowds(ground_truth), predictions, tmp_path, iou_type
    )


@pytest.mark.real_data
def test_the_page_shows_what_is_printed(shared_data: Path) -> None:
    page = Path(__file__).parents[3] / "docs" / "evaluation.md"
    _, costs = costs_of(
        *read_records(shared_data / "coco_mini", "predictions.json", "bbox")
    )
    assert f"```text\n{costs}\n```" in page.read_text()


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize(
    ("folder", "name"),
    [("coco_mini", "predictions.json"), ("cocoapi100", "predictions_bbox.json")],
)
def test_differs_from_hotcoco_only_beside_crowds(
    folder: str, name: str, shared_data: Path, tmp_path: Path
) -> None:
    """With crowd regions, but not what lies in one of its class in part only."""
    ground_truth, predictions = read_records(shared_data / folder, name, "bbox")
    crowds = [one for one in ground_truth["annotations"] if one.get("iscrowd")]
    assert crowds
    for position in (0, 6, 9):

        def beside(record: dict[str, Any], crowd: dict[str, Any], most: float) -> bool:
            x, y, width, height = record["bbox"]
            left, top, wide, high = crowd["bbox"]
            inside = max(0, min(x + width, left + wide) - max(x, left))
            inside *= max(0, min(y + height, top + high) - max(y, top))
            return 0.1 <= inside / (width * height) <= most and all(
                record[key] == crowd[key] for key in ("image_id", "category_id")
            )

        most = IOU_THRESHOLDS[position]
        kept = [
            record
            for record in predictions
            if not any(beside(record, crowd, most) for crowd in crowds)
        ]
        assert_equal_to_hotcoco(
            ground_truth, kept, tmp_path, positions=range(position, position + 1)
        )


def tide_run(
    ground_truth: dict[str, Any], predictions: list, iou_type: str, iou: float
) -> Any:
    """A run of tidecv without its limit on detections."""
    quantify, data = peer("tidecv.quantify"), peer("tidecv.data")
    truth, found = data.Data("truth"), data.Data("found", max_dets=10**6)
    truth.max_dets = 10**6
    sizes = {one["id"]: (one["height"], one["width"]) for one in ground_truth["images"]}
    for image in sorted(sizes):
        truth.add_image(image, str(image))

    def of(record: dict[str, Any]) -> dict[str, Any]:
        mask = None
        if iou_type == "segm":
            mask = encode(record["segmentation"], *sizes[record["image_id"]])
        return {"box": record.get("bbox"), "mask": mask}

    for one in ground_truth["annotations"]:
        truth.add_ground_truth(one["image_id"], one["category_id"], **of(one))
    for one in predictions:
        found.add_detection(
            one["image_id"], one["category_id"], one["score"], **of(one)
        )
    mode = "bbox" if iou_type == "bbox" else "mask"
    return quantify.TIDERun(truth, found, iou, 0.1, mode, 10**6)


def assert_equal_to_tidecv(
    ground_truth: dict[str, Any],
    predictions: list,
    iou_type: str = "bbox",
    positions: tuple[int, ...] = (0, 5),
) -> None:
    errors = peer("tidecv.errors.main_errors")
    ground_truth = without_crowds(ground_truth)
    # Equal scores are told apart
    predictions = [
        {**record, "score": record["score"] - 1e-7 * n}
        for n, record in enumerate(predictions)
    ]
    _, costs = costs_of(ground_truth, predictions, iou_type)
    types = {
        "localization": errors.BoxError,
        "classification": errors.ClassError,
        "duplicate": errors.DuplicateError,
        "background": errors.BackgroundError,
        "both": errors.OtherError,
        "missed": errors.MissedError,
    }
    categories = sorted(one["id"] for one in ground_truth["categories"])
    for position in positions:
        run = tide_run(ground_truth, predictions, iou_type, IOU_THRESHOLDS[position])
        repaired = {
            name: run.fix_errors(lambda error, kind=kind: isinstance(error, kind))
            for name, kind in types.items()
        }
        repaired[FALSE_POSITIVES] = run.fix_errors(
            transform=errors.FalsePositiveError.fix
        )
        repaired[FALSE_NEGATIVES] = run.fix_errors(false_neg_dict=run.false_negatives)
        for k, category in enumerate(categories):
            before = run.ap_data.objs[category].get_ap()
            for name, gain in zip(costs.types, costs.ap_gain[:, position], strict=True):
                if not np.isnan(gain[k]):
                    after = repaired[name].objs[category].get_ap()
                    assert 100 * gain[k] == pytest.approx(
                        after - before, abs=TOLERANCE
                    ), (name, category, position)


@pytest.fixture
def levels_of_tidecv(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = np.array([n / 100 for n in range(101)])
    monkeypatch.setattr(average_precision, "RECALL_LEVELS", levels)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_equal_to_tidecv(seed: int, levels_of_tidecv: None) -> None:
    assert_equal_to_tidecv(*random_records(seed))


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize(("folder", "name", "iou_type"), REAL_FILES)
def test_equal_to_tidecv_on_real_records(
    folder: str,
    name: str,
    iou_type: str,
    shared_data: Path,
    levels_of_tidecv: None,
) -> None:
    ground_truth, predictions = read_records(shared_data / folder, name, iou_type)
    assert_equal_to_tidecv(ground_truth, predictions, iou_type, positions=(0,))
