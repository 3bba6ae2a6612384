"""Wrong mappings are named and repaired; bad models are not accused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from coco_audit_demo import DemoPaths
from fiftyone_coco_audit.evaluation.metrics import evaluate_objects
from fiftyone_coco_audit.evaluation.settings import Settings
from fiftyone_coco_audit.mapping.diagnosis import ImageSet, diagnose_mapping
from fiftyone_coco_audit.objects import Objects
from tests.reference import columns

real_data = pytest.mark.real_data


class Case:
    """A ground truth, and predictions of it that a test makes wrong."""

    def __init__(self, coco, predictions):
        self.coco, self.predictions = coco, predictions
        self.images = sorted(coco["images"], key=lambda image: image["id"])
        self.categories = sorted(coco["categories"], key=lambda c: c["id"])
        self.size = {i["id"]: (i["width"], i["height"]) for i in self.images}

    @property
    def image_set(self):
        order = [self.coco["images"].index(image) for image in self.images]
        return ImageSet(
            np.array([self.size[image["id"]] for image in self.images], float),
            [image["id"] for image in self.images],
            [Path(image["file_name"]).stem for image in self.images],
            np.array(order),
        )

    def with_boxes(self, change):
        """Each box as ``change(x, y, w, h, width of image, height)`` makes it."""
        return [
            {**p, "bbox": change(*p["bbox"], *self.size[p["image_id"]])}
            for p in self.predictions
        ]

    def objects(self, predictions):
        return columns(self.coco, predictions)[:2]

    def diagnose(self, predictions):
        return diagnose_mapping(
            *self.objects(predictions),
            self.image_set,
            [category["name"] for category in self.categories],
            [category["id"] for category in self.categories],
        )

    def ap(self, predictions: Objects) -> float:
        evaluation = evaluate_objects(
            self.objects([])[0],
            predictions,
            num_images=len(self.images),
            num_categories=len(self.categories),
            settings=Settings(),
        )
        return evaluation.summary()["AP"]

    def is_repaired(self, wrong, condition):
        """Checks that predictions are read as the right ones, for the reason given."""
        diagnosis = self.diagnose(wrong)
        assert [cause.condition for cause in diagnosis.causes] == [condition]
        given = self.objects(wrong)[1]
        _, repaired = diagnosis.repair.apply(given, self.image_set.size)
        right = self.ap(self.objects(self.predictions)[1])
        assert self.ap(given) < 0.1 < right
        assert self.ap(repaired) == pytest.approx(right, abs=1e-6)
        assert diagnosis.left_out == len(given) - len(repaired)
        return diagnosis


def read(folder: Path, predictions="predictions.json") -> Case:
    coco, found = (
        json.loads((folder / name).read_text())
        for name in ("annotations.json", predictions)
    )
    return Case(coco, found)


@pytest.fixture
def mini(shared_data):
    return read(shared_data / "coco_mini")


@pytest.fixture
def dense(mini):
    """The same with ids from 1 without gaps, and categories of no object about them."""
    ids = {c["id"]: n for n, c in enumerate(mini.categories, 1)}
    rename(mini.coco["annotations"], ids)
    rename(mini.predictions, ids)
    names = ["none", *(c["name"] for c in mini.categories), "nothing"]
    categories = [{"id": n, "name": name} for n, name in enumerate(names)]
    return Case({**mini.coco, "categories": categories}, mini.predictions)


def rename(records, ids):
    for record in records:
        record["category_id"] = ids[record["category_id"]]


def letterbox(side):
    def change(x, y, w, h, width, height):
        scale = side / max(width, height)
        left, top = (round((side - s * scale) / 2 - 0.1) for s in (width, height))
        return [x * scale + left, y * scale + top, w * scale, h * scale]

    return change


def to_corners(change):
    def changed(*box):
        x, y, w, h = change(*box)
        return [x, y, x + w, y + h]

    return changed


def scaled(factors):
    def change(x, y, w, h, *size):
        across, down = factors(*size)
        return [x * across, y * down, w * across, h * down]

    return change


def shortest(width, height):
    return (min(800 / min(width, height), 1333 / max(width, height)),) * 2


XYWH, XYXY = "[x, y, width, height]", "[x1, y1, x2, y2]"
CENTERS = "[center x, center y, width, height]"
IN_INPUT = "in the input of the network"


@real_data
@pytest.mark.parametrize(
    ("change", "meaning"),
    [
        (to_corners(lambda *box: box[:4]), XYXY),
        (lambda x, y, w, h, *_: [x + w / 2, y + h / 2, w, h], CENTERS),
        (scaled(lambda w, h: (1 / w, 1 / h)), f"{XYWH} from 0 to 1"),
        (to_corners(scaled(lambda w, h: (1 / w, 1 / h))), f"{XYXY} from 0 to 1"),
        (scaled(lambda w, h: (0.5, 0.5)), f"{XYWH} multiplied by 2"),
        (
            scaled(lambda w, h: (320 / w, 320 / h)),
            f"{XYWH} {IN_INPUT} (stretch 320)",
        ),
        (
            scaled(lambda w, h: (1280 / w, 768 / h)),
            f"{XYWH} {IN_INPUT} (stretch 1280x768)",
        ),
        (
            scaled(lambda w, h: (416 / max(w, h),) * 2),
            f"{XYWH} {IN_INPUT} (longest_side 416)",
        ),
        (scaled(shortest), f"{XYWH} {IN_INPUT} (shortest_side 800 max 1333)"),
        (letterbox(416), f"{XYWH} {IN_INPUT} (letterbox 416)"),
        (letterbox(640), f"{XYWH} {IN_INPUT} (letterbox 640)"),
        (to_corners(letterbox(640)), f"{XYXY} {IN_INPUT} (letterbox 640)"),
    ],
)
def test_boxes_of_another_format_or_space(mini, change, meaning):
    mini.is_repaired(mini.with_boxes(change), f"boxes are read as {meaning}")


@real_data
@pytest.mark.parametrize(
    ("shift", "condition"),
    [
        (1, "category ids are shifted by -1 (the background was counted as a class)"),
        (-1, "category ids are shifted by +1"),
    ],
)
def test_shifted_category_ids(dense, shift, condition):
    wrong = [{**p, "category_id": p["category_id"] + shift} for p in dense.predictions]

    diagnosis = dense.is_repaired(wrong, condition)

    (cause,) = diagnosis.causes
    assert cause.share > 0.8 > 0.1 > cause.share_unchanged
    assert f" of {cause.boxes} match if {condition}; unchanged, " in str(diagnosis)


@real_data
@pytest.mark.parametrize("first", [0, 1])
def test_positions_for_category_ids(mini, first):
    """COCO's 80 ids go up to 90: positions that are no id cannot be imported."""
    ids = [category["id"] for category in mini.categories]
    known = [p for p in mini.predictions if ids.index(p["category_id"]) + first in ids]
    case = Case(mini.coco, known)
    wrong = [
        {**p, "category_id": ids.index(p["category_id"]) + first}
        for p in case.predictions
    ]

    case.is_repaired(
        wrong,
        "category ids are read as positions in the order of the ids, counted from "
        f"{first}",
    )


@real_data
def test_permuted_classes(mini):
    counts = np.bincount([a["category_id"] for a in mini.coco["annotations"]])
    chosen = np.argsort(-counts)[:8].tolist()
    case = Case(
        {
            **mini.coco,
            "annotations": [
                a for a in mini.coco["annotations"] if a["category_id"] in chosen
            ],
            "categories": [c for c in mini.categories if c["id"] in chosen],
        },
        [p for p in mini.predictions if p["category_id"] in chosen],
    )
    order = [3, 0, 4, 1, 6, 7, 5, 2]
    to = {one: chosen[other] for one, other in zip(chosen, order, strict=True)}
    wrong = [{**p, "category_id": to[p["category_id"]]} for p in case.predictions]

    diagnosis = case.diagnose(wrong)

    assert diagnosis.causes[0].condition.startswith("classes are permuted (")
    case.is_repaired(wrong, diagnosis.causes[0].condition)


@real_data
def test_two_causes_at_once(dense):
    wrong = [
        {**p, "category_id": p["category_id"] - 1}
        for p in dense.with_boxes(to_corners(letterbox(416)))
    ]
    diagnosis = dense.diagnose(wrong)

    assert [cause.condition for cause in diagnosis.causes] == [
        f"boxes are read as {XYXY} {IN_INPUT} (letterbox 416)",
        "category ids are shifted by +1",
    ]
    given, size = dense.objects(wrong)[1], dense.image_set.size
    right = dense.ap(dense.objects(dense.predictions)[1])
    repaired = diagnosis.repair.apply(given, size)[1]
    assert dense.ap(repaired) == pytest.approx(right, abs=1e-6)


@real_data
def test_scores_in_percent(mini):
    wrong = [{**p, "score": 100 * p["score"]} for p in mini.predictions]
    diagnosis = mini.diagnose(wrong)

    assert not diagnosis.causes
    assert "in percent (the highest is 95.936), so" in str(diagnosis)
    _, repaired = diagnosis.repair.apply(mini.objects(wrong)[1], mini.image_set.size)
    assert repaired.scores == pytest.approx(mini.objects(mini.predictions)[1].scores)


def bad_model(truth: Objects, size, count: int, seed: int) -> Objects:
    """Few loose boxes of confused classes, others anywhere, and scores without order.

    Every third is biased: its boxes are all too large or too far to one side.
    """
    rng = np.random.default_rng(seed)
    found = truth.rows(np.flatnonzero(rng.random(len(truth)) < rng.uniform(0.1, 0.9)))
    loose = rng.uniform(0.05, 0.6)
    bias = rng.normal(0, 0.15, 4) * (seed % 3 == 0)
    noise = rng.normal(0, loose, (len(found), 4)) + bias
    side = found.box[:, 2:]
    box = np.hstack(
        [found.box[:, :2] + side * noise[:, :2], side * np.exp(noise[:, 2:])]
    )
    # From confusion with one or two other classes to any
    table = rng.dirichlet(np.full(count, rng.choice([0.02, 0.1, 1])), count)
    drawn = [rng.choice(count, p=table[category]) for category in found.category]
    right = rng.random(len(found)) < rng.uniform(0, 0.5)
    category = np.where(right, found.category, drawn)
    more = int(rng.uniform(0, 3) * len(found))
    image = rng.integers(0, len(size), more)
    sides = rng.uniform(0.02, 0.7, (more, 2)) * size[image]
    anywhere = np.hstack([rng.random((more, 2)) * (size[image] - sides), sides])
    order = np.argsort(np.r_[found.image, image], kind="stable")
    box = np.vstack([box, anywhere])[order]
    return Objects(
        image=np.r_[found.image, image][order],
        category=np.r_[category, rng.integers(0, count, more)][order],
        box=box,
        area=box[:, 2] * box[:, 3],
        crowd=np.zeros(len(order), bool),
        score=rng.permutation(len(order)) / len(order),
    )


@real_data
@pytest.mark.parametrize("seed", range(20))
def test_a_bad_model_is_not_accused(mini, seed):
    truth, _ = mini.objects([])
    truth = truth.rows(np.flatnonzero(~truth.crowd))
    names = [category["name"] for category in mini.categories]
    found = bad_model(truth, mini.image_set.size, len(names), seed)

    ids = [category["id"] for category in mini.categories]
    assert mini.ap(found) < 0.3
    assert diagnose_mapping(truth, found, mini.image_set, names, ids) is None


@real_data
@pytest.mark.parametrize("seed", [4, 40, 45, 59])
def test_a_model_that_mistakes_each_class_for_one_other_is_not_accused(mini, seed):
    """Half of its boxes have that class. Such a permutation would fit only them."""
    rng = np.random.default_rng(seed)
    truth, _ = mini.objects([])
    truth = truth.rows(np.flatnonzero(~truth.crowd))
    found = truth.rows(np.flatnonzero(rng.random(len(truth)) < 0.7))
    taken_for, share = rng.integers(0, 80, 80), rng.uniform(0.4, 0.65)
    is_taken = rng.random(len(found)) < share
    category = np.where(
        is_taken, taken_for[found.category], rng.integers(0, 80, len(found))
    )
    found = replace(found, category=category, score=rng.random(len(found)))
    names = [category["name"] for category in mini.categories]

    assert diagnose_mapping(truth, found, mini.image_set, names) is None


@real_data
@pytest.mark.parametrize(
    ("folder", "predictions"),
    [
        ("coco_mini", "predictions.json"),
        ("balloon", "predictions.json"),
        ("mmpose4", "predictions.json"),
        ("cocoapi100", "predictions_bbox.json"),
    ],
)
def test_right_predictions_are_not_accused(shared_data, folder, predictions):
    case = read(shared_data / folder, predictions)

    assert case.diagnose(case.predictions) is None


def test_the_demo_is_not_accused(demo_files: DemoPaths):
    coco = json.loads(demo_files.annotations.read_text())
    ids = {image["id"] for image in coco["images"]}
    found = json.loads(demo_files.predictions.read_text())
    coco["annotations"] = [a for a in coco["annotations"] if len(a["bbox"]) == 4]

    case = Case(coco, [p for p in found if p["image_id"] in ids])
    assert case.diagnose(case.predictions) is None


def test_another_name_of_one_class_is_no_shift():
    """It may be a synonym or a parent class, on which the note on names tells more."""
    boxes = [[20 * n, 10, 15, 15] for n in range(30)]
    coco = {
        "images": [
            {"id": n, "file_name": f"{n}.jpg", "width": 700, "height": 50}
            for n in range(30)
        ],
        "categories": [{"id": 1, "name": "pets"}, {"id": 2, "name": "cat"}],
        "annotations": [
            {"image_id": n, "category_id": 2, "bbox": box, "area": 225}
            for n, box in enumerate(boxes)
        ],
    }
    found = [
        {"image_id": n, "category_id": 1, "bbox": box, "score": 0.9}
        for n, box in enumerate(boxes)
    ]

    assert Case(coco, found).diagnose(found) is None


def test_nothing_to_look_at_is_no_evidence():
    coco = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 9, "height": 9}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [],
    }
    assert Case(coco, []).diagnose([]) is None
