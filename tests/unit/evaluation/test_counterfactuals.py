"""Gains: records are edited and evaluated again by pycocotools, also of each draw."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest

from fiftyone_coco_audit.boxes import box_iou
from fiftyone_coco_audit.evaluation.analysis.bootstrap import image_draws
from fiftyone_coco_audit.evaluation.analysis.counterfactuals import (
    Change,
    Gains,
    found_like_others,
    repair,
)
from fiftyone_coco_audit.evaluation.analysis.edits import (
    merged,
    relabeled,
    with_boxes,
    without_images,
    without_predictions,
)
from fiftyone_coco_audit.evaluation.analysis.error_costs import (
    error_costs,
    errors_by_threshold,
)
from fiftyone_coco_audit.evaluation.analysis.label_issues import KINDS, label_issues
from fiftyone_coco_audit.evaluation.analysis.repaired_labels import (
    with_repaired_labels,
)
from fiftyone_coco_audit.evaluation.analysis.suppression import neighbors
from fiftyone_coco_audit.evaluation.error_types import ERROR_TYPES
from fiftyone_coco_audit.evaluation.metrics import Evaluation
from tests.reference import Records, evaluated, run_cocoeval
from tests.unit.evaluation.scenes import (
    crowded_evaluation,
    random_records,
    rows_of,
)

TOLERANCE = 1e-9
SEEDS = range(4)
NUM_DRAWS = 4


class Case:
    """Records in the order of the rows of their evaluation."""

    def __init__(self, seed: int) -> None:
        self.truth, found = random_records(seed, crowds=0.1)
        self.rng = np.random.default_rng(seed)
        self.has_ties = seed % 2 == 0
        if not self.has_ties:
            for n, record in enumerate(found):
                record["score"] += 1e-4 * n
        for records in (self.truth["annotations"], found):
            records.sort(key=lambda record: record["image_id"])
        self.found: Records = found
        self.evaluation = evaluated(self.truth, found)

    @property
    def objects(self) -> Records:
        return self.truth["annotations"]

    def gain(self, objects: Records, found: Records) -> float:
        """The gain of other records, by pycocotools."""
        before = ap_of(self.truth, self.objects, self.found)
        return ap_of(self.truth, objects, found) - before

    def check(self, change: Change, objects: Records, found: Records) -> None:
        """Compares the gain on all images, and those on draws of them."""
        gains = gains_of(self.evaluation)
        expected = self.gain(objects, found)
        assert gains.value(change) == pytest.approx(expected, abs=TOLERANCE)
        if self.has_ties:  # pycocotools ranks copies of an image in turn
            return

        drawn = []
        for weights in image_draws(self.evaluation.num_images, NUM_DRAWS):
            before = drawn_ap(self.truth, self.objects, self.found, weights)
            drawn.append(drawn_ap(self.truth, objects, found, weights) - before)
        gain = gains.of(change)
        low, high = np.nanquantile(drawn, [0.025, 0.975])
        assert gain.value == pytest.approx(expected, abs=TOLERANCE)
        assert gain.low == pytest.approx(low, abs=TOLERANCE)
        assert gain.high == pytest.approx(high, abs=TOLERANCE)


def gains_of(evaluation: Evaluation) -> Gains:
    return Gains(evaluation, np.arange(evaluation.num_images), NUM_DRAWS)


def ap_of(truth: dict[str, Any], objects: Records, found: Records) -> float:
    """The AP of records by pycocotools, objects with ids from 1."""
    numbered = [{**record, "id": n} for n, record in enumerate(objects, 1)]
    ap = float(run_cocoeval({**truth, "annotations": numbered}, found).stats[0])
    return np.nan if ap < 0 else ap


def drawn_ap(
    truth: dict[str, Any], objects: Records, found: Records, weights: np.ndarray
) -> float:
    """The AP of as many copies of each image."""
    copies, detections = drawn(truth, objects, found, weights)
    return ap_of(copies, copies["annotations"], detections)


def drawn(
    truth: dict[str, Any], objects: Records, found: Records, weights: np.ndarray
) -> tuple[dict[str, Any], Records]:
    """As many copies of each image; those of a prediction rank next to each other."""
    images, copies = [], {}
    for image, count in zip(truth["images"], weights.tolist(), strict=True):
        copies[image["id"]] = [len(images) + n + 1 for n in range(count)]
        images += [{**image, "id": one} for one in copies[image["id"]]]

    def copied(records: Records) -> Records:
        return [
            {**record, "image_id": one}
            for record in records
            for one in copies[record["image_id"]]
        ]

    return {**truth, "images": images, "annotations": copied(objects)}, copied(found)


@pytest.mark.parametrize("seed", SEEDS)
def test_all_errors_of_a_type_gain_what_they_cost(seed: int) -> None:
    evaluation = Case(seed).evaluation
    errors = tuple(errors_by_threshold(evaluation))
    costs = error_costs(evaluation, list(map(str, range(5)))).to_frame()["dAP"]
    gains, every = gains_of(evaluation), np.ones(5, bool)
    for name in ERROR_TYPES:
        value = gains.value(repair(errors, name, every))
        assert value == pytest.approx(costs[name], abs=TOLERANCE)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", [name for name in ERROR_TYPES if name != "missed"])
def test_errors_of_one_class_repaired_in_the_records(name: str, seed: int) -> None:
    case = Case(seed)
    evaluation = case.evaluation
    errors = tuple(errors_by_threshold(evaluation))
    one = np.arange(5) == seed % 5
    after = []
    for at in errors:
        wrong = at.of_type(name)[0] & one[evaluation.predictions.category]
        repaired, last = [], 0.0
        for record, is_wrong, target, right in zip(
            case.found, wrong, at.types.target, at.right_class, strict=True
        ):
            if is_wrong and right < 0:
                continue
            if is_wrong:
                thing = case.objects[target]
                same = thing["category_id"] == record["category_id"]
                # One that changes its class ranks after equal scores there
                last += 0 if same else 1e-9
                record = {
                    **record,
                    "bbox": thing["bbox"] if same else record["bbox"],
                    "category_id": thing["category_id"],
                    "score": record["score"] - (0 if same else last),
                }
            repaired.append(record)
        iou = at.evaluation.settings.iou_thresholds[len(after)]
        run = run_cocoeval(case.truth, repaired, iouThrs=np.array([iou]))
        precision = run.eval["precision"][0, :, :, 0, -1]
        known = precision[:, precision[0] > -1]
        after.append(known.mean())
    before = ap_of(case.truth, case.objects, case.found)
    value = gains_of(evaluation).value(repair(errors, name, one))
    assert value == pytest.approx(np.mean(after) - before, abs=TOLERANCE)
    assert case.found == sorted(case.found, key=lambda record: record["image_id"])


@pytest.mark.parametrize("seed", SEEDS)
def test_labels_change_their_boxes(seed: int) -> None:
    case = Case(seed)
    rows = np.flatnonzero(case.rng.random(len(case.objects)) < 0.4)
    boxes = case.evaluation.truth.box[rows] + case.rng.uniform(-5, 5, (len(rows), 4))
    boxes = np.maximum(boxes, 1)
    objects = deepcopy(case.objects)
    for row, box in zip(rows, boxes.tolist(), strict=True):
        objects[row]["bbox"] = box
    case.check(with_boxes(case.evaluation, rows, boxes), objects, case.found)


@pytest.mark.parametrize("seed", SEEDS)
def test_issues_are_put_right(seed: int) -> None:
    case = Case(seed)
    issues = label_issues(case.evaluation, rows_of(case.evaluation))
    after = with_repaired_labels(case.evaluation, issues, np.arange(len(issues)))
    kinds = list(KINDS)
    objects: list[Any] = deepcopy(case.objects)
    for kind, prediction, truth in zip(
        issues.kind, issues.prediction, issues.truth, strict=True
    ):
        found = case.found[prediction]
        name = kinds[kind]
        if name == "missing label":
            keys = ("image_id", "category_id", "bbox")
            area = found["bbox"][2] * found["bbox"][3]
            objects.append({key: found[key] for key in keys})
            objects[-1].update(area=area, iscrowd=0)
        elif name == "wrong class":
            objects[truth]["category_id"] = found["category_id"]
        elif name == "bad location":
            objects[truth]["bbox"] = found["bbox"]
        elif name == "duplicate label":
            objects[truth] = None
    objects = [record for record in objects if record is not None]
    change = relabeled(case.evaluation, after, np.arange(5))
    case.check(change, objects, case.found)


@pytest.mark.parametrize("seed", SEEDS)
def test_images_are_left_out(seed: int) -> None:
    case = Case(seed)
    images = case.rng.random(6) < 0.4
    kept = [n + 1 for n in np.flatnonzero(~images).tolist()]
    case.check(
        without_images(case.evaluation, images),
        [record for record in case.objects if record["image_id"] in kept],
        [record for record in case.found if record["image_id"] in kept],
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_predictions_are_removed(seed: int) -> None:
    case = Case(seed)
    rows = case.evaluation.matches.predictions
    removed = case.rng.random(len(rows)) < 0.4
    gone = set(rows[removed].tolist())
    found = [record for row, record in enumerate(case.found) if row not in gone]
    case.check(without_predictions(case.evaluation, removed), case.objects, found)


@pytest.mark.parametrize("seed", SEEDS)
def test_two_classes_become_one(seed: int) -> None:
    case = Case(seed)
    first, second = case.rng.choice(5, 2, replace=False).tolist()

    def one(records: Records) -> Records:
        return [
            {**record, "category_id": first + 1}
            if record["category_id"] == second + 1
            else record
            for record in records
        ]

    change = merged(case.evaluation, first, second)
    case.check(change, one(case.objects), one(case.found))


@pytest.mark.parametrize("seed", [1, 3, 5, 7])
def test_half_of_the_objects_are_found_like_the_others(seed: int) -> None:
    """Twins of the other objects take their place, found by twins of predictions."""
    case = Case(seed)
    evaluation = case.evaluation
    # As many others as objects in each class, crowds aside
    chosen = np.zeros(len(case.objects), bool)
    for category in range(5):
        free = ~evaluation.truth.crowd & (evaluation.truth.category == category)
        rows = np.flatnonzero(free)
        chosen[rows[: len(rows) // 2]] = len(rows) % 2 == 0
    value = gains_of(evaluation).value(found_like_others(evaluation, chosen))

    after = []
    matches = evaluation.matches
    for t, iou in enumerate(evaluation.settings.iou_thresholds):
        partner = np.full(len(case.found), -1)
        partner[matches.predictions[matches.candidates]] = matches.truth[0, t]
        images = [*case.truth["images"]]
        objects = [
            o for o, is_one in zip(case.objects, chosen, strict=True) if not is_one
        ]
        found = []
        has_half = np.zeros(5, bool)
        has_half[evaluation.truth.category[chosen]] = True
        for row, record in enumerate(case.objects):
            if not chosen[row] and has_half[evaluation.truth.category[row]]:
                if record["iscrowd"]:
                    continue
                images.append({**images[0], "id": 100 + row})
                objects.append({**record, "image_id": 100 + row})
        for row, record in enumerate(case.found):
            of = partner[row]
            if of >= 0 and chosen[of]:
                continue
            found.append(record)
            if of >= 0 and not case.objects[of]["iscrowd"]:
                if has_half[evaluation.truth.category[of]]:
                    box = case.objects[of]["bbox"]
                    found.append({**record, "image_id": 100 + int(of), "bbox": box})
        truth = {
            **case.truth,
            "images": images,
            "annotations": [{**o, "id": n} for n, o in enumerate(objects, 1)],
        }
        run = run_cocoeval(truth, found, iouThrs=np.array([iou]))
        precision = run.eval["precision"][0, :, :, 0, -1]
        after.append(precision[:, precision[0] > -1].mean())
    before = ap_of(case.truth, case.objects, case.found)
    assert value == pytest.approx(np.mean(after) - before, abs=TOLERANCE)
    assert chosen.any()


@pytest.mark.parametrize("iou", [0.1, 0.3, 0.5, 0.7])
def test_suppression_is_greedy(iou: float) -> None:
    evaluation = crowded_evaluation(3)
    rows = evaluation.matches.predictions
    predictions = evaluation.predictions
    expected = np.zeros(len(rows), bool)
    for one in range(len(rows)):
        expected[one] = any(
            not expected[other]
            and predictions.image[rows[one]] == predictions.image[rows[other]]
            and predictions.category[rows[one]] == predictions.category[rows[other]]
            and box_iou(predictions.box[rows[one]], predictions.box[rows[other]]) > iou
            for other in range(one)
        )
    removed = neighbors(evaluation, 0.1).suppressed(iou)
    assert removed.tolist() == expected.tolist()
    assert expected.any()


@pytest.mark.parametrize("seed", [1, 3, 5])
def test_weights_are_copies_of_images(seed: int) -> None:
    """Repairs and likenesses of a draw are those of a set with so many copies."""
    case = Case(seed)
    chosen = case.rng.random(len(case.objects)) < 0.4
    for record, is_chosen in zip(case.objects, chosen.tolist(), strict=True):
        record["hard"] = is_chosen
    every = np.ones(5, bool)

    def changes(of: Evaluation, hard: list[bool]) -> list[Change]:
        errors = tuple(errors_by_threshold(of))
        repairs = [repair(errors, name, every) for name in ERROR_TYPES]
        return [*repairs, found_like_others(of, np.array(hard, bool))]

    def after(change: Change, of: Evaluation, weights: np.ndarray | None) -> np.ndarray:
        before = of.ranking().average_precision(weights).mean(axis=0)
        changed = change.average_precision(weights)
        return np.where(change.classes & ~np.isnan(changed), changed, before)

    (weights,) = image_draws(6, 1, seed)
    truth, found = drawn(case.truth, case.objects, case.found, weights)
    by_image = sorted(truth["annotations"], key=lambda record: record["image_id"])
    hard = [record["hard"] for record in by_image]
    copies = evaluated(truth, found)
    for change, copied in zip(
        changes(case.evaluation, chosen.tolist()), changes(copies, hard), strict=True
    ):
        np.testing.assert_allclose(
            after(change, case.evaluation, weights),
            after(copied, copies, None),
            atol=TOLERANCE,
        )
