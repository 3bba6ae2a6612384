"""Every rule finds its example, and does not find its counterexample."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

import fiftyone_coco_audit.rules  # noqa: F401  (fills the registry)
from fiftyone_coco_audit.augmentation.damage import KINDS, measure
from fiftyone_coco_audit.augmentation.pipelines import Pipeline
from fiftyone_coco_audit.augmentation.targets import make_target, run
from fiftyone_coco_audit.coco.categories import read_categories
from fiftyone_coco_audit.coco.fitting import Truth, note_misfit
from fiftyone_coco_audit.coco.images import read_images
from fiftyone_coco_audit.coco.matching import PredictionTarget
from fiftyone_coco_audit.coco.objects import ObjectReader, References
from fiftyone_coco_audit.coco.paths import ImageFolder, NoImageFolder
from fiftyone_coco_audit.coco.predictions import read_matched
from fiftyone_coco_audit.coco.report import ProblemLog
from fiftyone_coco_audit.findings import RULES, Rule
from fiftyone_coco_audit.loading.loaders import run_loader
from fiftyone_coco_audit.objects import Objects
from tests.labeled import evidence_of, labeled, statistics_of
from tests.transforms import transform
from tests.unit.evaluation.scenes import improvements
from tests.unit.loading import scenes

VGA = (640, 480)


def rules(need: str) -> Any:
    found = [rule for rule in RULES.values() if rule.needs == need]
    return pytest.mark.parametrize("rule", found, ids=lambda rule: rule.code)


# Rules of files: records of which only some keys are given

RESERVED = {"area", "iscrowd", "coco_id", "confidence", "label", "mask", "rle"}
#: What the keys that an example leaves out are, in its first and its second record
SOUND: dict[str, list[dict[str, Any]]] = {
    "images": [
        {"id": 1, "file_name": "a.jpg", "width": 640, "height": 480},
        {"id": 2, "file_name": "b.jpg", "width": 640, "height": 480},
    ],
    "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    "annotations": [
        {"id": n, "image_id": 1, "category_id": 1, "bbox": [9, 9, 20, 30], "area": 600}
        for n in (1, 2)
    ],
    "predictions": [
        {"image_id": 1, "category_id": 1, "bbox": [9, 9, 20, 30], "score": 0.5}
    ],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", VGA).save(tmp_path / name)
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:10])
    return tmp_path


def codes_of_shift(category_id: int = 0, x: float = 0) -> list[str]:
    """What is found if predictions are right but for what is added to each."""
    images, objects = np.repeat(np.arange(20), 2), np.random.default_rng(0)
    box = np.c_[objects.uniform(0, 400, (40, 2)), np.full((40, 2), 40.0)]
    category, crowd = np.tile([0, 1], 20), np.zeros(40, bool)
    truth = Objects(images, category, box, box[:, 2] * box[:, 3], crowd)
    ids = {10: "cat", 11: "dog", 12: "emu"}
    target = PredictionTarget(
        "dataset 'a'",
        list(range(20)),
        [f"{n}.jpg" for n in range(20)],
        np.tile(VGA, (20, 1)),
        ids,
    )
    log = ProblemLog("coco.json", "predictions")
    found, names = read_matched(
        [
            {
                "image_id": image,
                "category_id": 10 + one + category_id,
                "bbox": [where[0] + x, *where[1:]],
                "score": 0.5,
            }
            for image, one, where in zip(
                images.tolist(), category.tolist(), box.tolist(), strict=True
            )
        ],
        target,
        log,
    )
    known = Truth("ground_truth", truth, list(ids.values()))
    note_misfit(known, found, names, target, log)
    return [problem.code for problem in log.problems]


def codes_of(data: dict[str, Any], folder: Path) -> list[str]:
    """Reads the records of an example, and returns the codes of what is found."""
    if "shift" in data:
        return codes_of_shift(**data["shift"])
    ((kind, shown),) = [item for item in data.items() if item[0] in SOUND]
    records = [
        {**sound, **record} if isinstance(record, dict) else record
        for sound, record in zip(SOUND[kind], shown, strict=False)
    ]
    log = ProblemLog("coco.json", "ground_truth")
    rows, sizes = {1: 0, 2: 1}, np.array([VGA, VGA])
    if kind == "images":
        read_images(
            records, NoImageFolder() if "folder" in data else ImageFolder(folder), log
        )
    elif kind == "categories":
        read_categories(records, log, used={2})
    elif kind == "annotations":
        references = References(rows, rows, sizes)
        ObjectReader(references, log, RESERVED).annotations(records)
    else:
        names = ["a.jpg", "b.jpg", "day/c.jpg", "night/c.jpg"]
        target = PredictionTarget(
            "dataset 'a'",
            [1, 2, 3, 4],
            [f"{folder}/{name}" for name in names],
            sizes[[0, 0, 0, 0]],
            {1: "cat", 2: "dog", 3: "animal"},
            parents=["animal"],
        )
        # Beside a sound one, for a file without any usable one is refused
        read_matched([*records, SOUND[kind][0]], target, log)
    return [problem.code for problem in log.problems]


@rules("file")
def test_of_files(rule: Rule, folder: Path) -> None:
    assert codes_of(rule.example.data, folder) == [rule.code]
    assert codes_of(rule.counterexample.data, folder) == []


# Rules of datasets


def statistics(
    *,
    size: Any = VGA,
    sizes: Any = None,
    boxes: Any = (),
    rows: Any = None,
    shown: Any = None,
    counts: Any = None,
    masks: Any = None,
    resize: str = "letterbox 640",
    anchors: str = "retinanet",
    **more: Any,
) -> Any:
    """The statistics of an example.

    Args:
        size: of each image
        sizes: of all images, which have no objects
        boxes: ``(class, x, y, width, height)`` of the objects of one image
        rows: ``(image, class, box)`` of objects of any images
        shown: classes of the objects of each image
        counts: how many images show one object of each class
        masks: the boxes around the masks
        resize: the resize policy
        anchors: the anchors
        **more: what else is known of the images or objects
    """
    if counts is not None:
        shown = [[name] for name, count in counts.items() for _ in range(count)]
    if shown is not None:
        rows = [
            (n, name, (9, 9, 40, 40)) for n, all_ in enumerate(shown) for name in all_
        ]
    elif rows is None:
        rows = [(0, name, box) for name, *box in boxes]
    number = len(shown) if shown is not None else max([r[0] for r in rows] or [0]) + 1
    columns = {k: np.array(v, float) for k, v in more.items() if k in COLUMNS}
    if masks is not None:
        columns["tight_box"] = np.array(masks, float)
    made = labeled(sizes or [size] * number, rows, **{**more, **columns})
    return statistics_of(made, resize, anchors)


COLUMNS = ("mask_area", "rotation")


@rules("dataset")
def test_of_datasets(rule: Rule) -> None:
    assert evidence_of(rule, statistics(**rule.example.data))
    assert not evidence_of(rule, statistics(**rule.counterexample.data))


# Rules of results


@rules("evaluation")
def test_of_results(rule: Rule) -> None:
    (found,) = rule.examine(improvements(**rule.example.data))
    if found.gain is not None:
        assert 0 < found.gain.low <= found.gain.value <= found.gain.high
        assert str(found.gain) in found.message
    assert not list(rule.examine(improvements(**rule.counterexample.data)))


# Rules of pipelines: one object in an image of 200 x 200


def kinds_of(
    *,
    box: Any,
    pipeline: Any = None,
    mask: str = "",
    category: int = 0,
    side: int = 200,
    **params: Any,
) -> set[str]:
    """The codes of the damage that a pipeline does to one object."""
    image = np.full((side, side, 3), 255, np.uint8)
    x, y, w, h = box
    masks = None
    if mask == "ellipse":
        drawn = np.zeros((side, side), np.uint8)
        center = (int(x + w / 2), int(y + h / 2))
        cv2.ellipse(drawn, center, (w // 2, h // 2), 0, 0, 360, 1, -1)
        masks = [drawn.astype(bool)]
    target = make_target(image, np.array([box], float), masks)
    made = transform(pipeline["transform"], **pipeline["params"])
    parsed = Pipeline.parse(made).with_box_params(**params)
    output = run(parsed, target, seed=0)
    if category:
        output = replace(output, category=output.category + category)
    found = measure(target, output).kinds()
    return {KINDS[kind].code for kind, rows in found.items() if rows.any()}


@rules("pipeline")
def test_of_pipelines(rule: Rule) -> None:
    assert rule.code in kinds_of(**rule.example.data)
    assert rule.code not in kinds_of(**rule.counterexample.data)


# Rules of loaders: what a sound loader delivers of 20 images is changed


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made: dict[str, Any] = {}

    def get(turned: int) -> Any:
        if turned not in made:
            folder = tmp_path_factory.mktemp("images")
            made[turned] = scenes.make_set(folder, turned=turned)
        return made[turned]

    return get


def read_as_stored(path: str) -> np.ndarray:
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    return cv2.cvtColor(cv2.imread(path, flags), cv2.COLOR_BGR2RGB)


def mistakes(labels: Any, data: dict[str, Any]) -> set[str]:
    """The codes of the mistakes of a loader."""
    crowds = None
    if "crowds" in data:
        image = np.arange(0, len(labels), 4)
        box = np.hstack([labels.size[image] * 0.05, labels.size[image] * [0.9, 0.3]])
        zeros = np.zeros(len(image), np.int64)
        crowds = Objects(image, zeros, box, box[:, 2:].prod(axis=1), zeros == 0)
    if "empty" in data:
        kept = np.flatnonzero(labels.objects.image % 5)
        labels = replace(labels, objects=labels.objects.rows(kept))

    def plant(scene: Any, labels: Any) -> Any:
        return delivered(scene, labels, data, crowds)

    def pack(scene: Any) -> Any:
        if "empty" not in data:
            return scenes.dictionary(scene)
        image, made = scenes.torchvision(scene)
        if not len(scene.boxes):
            made["boxes"] = np.zeros(data["empty"])
        return image, made

    reader = scenes.Reader(
        labels,
        data.get("resize"),
        data.get("flip", False),
        plant,
        read_as_stored if data.get("exif") == "ignored" else None,
        pack,
    )
    loader = [[reader[n]] for n in data["order"]] if "order" in data else reader
    found = run_loader(
        labels,
        loader,
        image_ids=[scenes.image_id(n) for n in range(len(labels))],
        category_ids=scenes.CATEGORY_IDS,
        box_format="xyxy",
        crowds=crowds,
        **data.get("options", {}),
    )
    assert not found.failures
    return {one.rule.code for one in found.check.mistakes}


def delivered(scene: Any, labels: Any, data: dict[str, Any], crowds: Any) -> Any:
    """What is delivered of an image."""
    size = np.array(scene.image.shape[1::-1])
    boxes, classes, image = scene.boxes, scene.classes, scene.image
    random = np.random.default_rng(scene.position)
    if "labels_of" in data:
        boxes = scenes.neighbor(scene, labels)
        classes = scenes.neighbors_classes(scene, labels)
    if "image_of" in data:
        image = scenes.neighbors_image(scene, labels)
    if "rows" in data:
        rows = data["rows"](len(boxes))
        boxes, classes = boxes[rows], classes[rows]
    change = data.get("boxes")
    if change == "without padding":
        boxes = scenes.without_padding(scene, labels)
    elif change == "at random":
        boxes = random.random(boxes.shape) * 20
        boxes[:, 2:] += boxes[:, :2] + 3
    elif change:
        boxes = change(boxes, size)
    more = np.zeros((0, 4))
    if data.get("crowds") == "delivered":
        more = crowds.box[crowds.image == scene.position]
        more = np.hstack([more[:, :2], more[:, :2] + more[:, 2:]])
    elif "more" in data:
        corner = random.uniform(0, 60, (data["more"], 2))
        more = np.hstack([corner, corner + random.uniform(4, 9, corner.shape)])
    if len(more):
        boxes = np.vstack([boxes, more])
        classes = np.r_[classes, np.zeros(len(more), np.int64)]
    return replace(
        scene,
        image=data.get("image", lambda i: i)(image),
        boxes=boxes,
        classes=data.get("labels", lambda k: k)(classes),
    )


@pytest.mark.slow
@rules("loader")
def test_of_loaders(rule: Rule, sets: Any) -> None:
    turned = 5 if "exif" in rule.example.data else 0
    assert rule.code in mistakes(sets(turned), rule.example.data)
    assert rule.code not in mistakes(sets(turned), rule.counterexample.data)
