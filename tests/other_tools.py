"""The AP of other packages, in a process of its own: they change global settings.

Run with the cases as JSON on standard input, it prints the AP of each case, by tool.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

Records = list[dict[str, Any]]

#: The packages, each at the version that conventions state
VERSIONS = {"ultralytics": "8.4.190", "torchmetrics": "1.9.0", "supervision": "0.31.2"}


def ap_of_tools(cases: list[tuple[dict[str, Any], Records]]) -> dict[str, list[float]]:
    """The AP of each case by package.

    Args:
        cases: COCO ground truth and predictions
    """
    with tempfile.TemporaryDirectory() as folder:
        output = subprocess.run(
            [sys.executable, __file__],
            input=json.dumps(cases),
            env={**os.environ, "YOLO_CONFIG_DIR": folder, "YOLO_OFFLINE": "true"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert output.returncode == 0, output.stderr
    return json.loads(output.stdout.splitlines()[-1])


def _by_image(ground_truth: dict[str, Any], records: Records) -> list[Records]:
    images = sorted(image["id"] for image in ground_truth["images"])
    found: dict[Any, Records] = {image: [] for image in images}
    for record in records:
        found[record["image_id"]].append(record)
    return [found[image] for image in images]


def _corners(records: Records) -> np.ndarray:
    box = np.array([record["bbox"] for record in records], float).reshape(-1, 4)
    return np.c_[box[:, :2], box[:, :2] + box[:, 2:]]


def _column(records: Records, name: str, kind: type = float) -> np.ndarray:
    return np.array([record.get(name, 0) for record in records], kind)


def _ultralytics(ground_truth: dict[str, Any], predictions: Records) -> float:
    import torch
    from ultralytics.models.yolo.detect import DetectionValidator
    from ultralytics.utils.metrics import ap_per_class, box_iou

    validator = object.__new__(DetectionValidator)
    validator.iouv = torch.linspace(0.5, 0.95, 10)
    # As the converter of COCO files writes labels, and as `val` keeps predictions
    objects = [one for one in ground_truth["annotations"] if not one["iscrowd"]]
    truths = _by_image(ground_truth, objects)
    dataset = SimpleNamespace(
        labels=[{"cls": np.zeros((len(one), 1))} for one in truths]
    )
    arguments = SimpleNamespace(max_det=300)
    validator._check_max_det(arguments, {"val": dataset})
    stats: list[tuple[np.ndarray, ...]] = []
    for truth, found in zip(
        truths,
        _by_image(ground_truth, predictions),
        strict=True,
    ):
        kept = [one for one in found if one["score"] > 0.001]
        kept = sorted(kept, key=lambda one: -one["score"])[: arguments.max_det]
        category, score = _column(kept, "category_id"), _column(kept, "score")
        target = _column(truth, "category_id")
        correct = np.zeros((len(kept), 10), bool)
        if kept and truth:
            iou = box_iou(*(torch.tensor(_corners(side)) for side in (truth, kept)))
            correct = validator.match_predictions(
                torch.tensor(category), torch.tensor(target), iou
            ).numpy()
        stats.append((correct, score, category, target))
    columns = [np.concatenate(column) for column in zip(*stats, strict=True)]
    return float(ap_per_class(*columns)[5].mean())


def _torchmetrics(ground_truth: dict[str, Any], predictions: Records) -> float:
    import torch
    from torchmetrics.detection.mean_ap import MeanAveragePrecision

    metric = MeanAveragePrecision(box_format="xywh")

    def tensors(records: Records) -> dict[str, Any]:
        boxes = [record["bbox"] for record in records]
        return {
            "boxes": torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4),
            "labels": torch.tensor(_column(records, "category_id", int)),
            "scores": torch.tensor(_column(records, "score")),
        }

    metric.warn_on_many_detections = False
    for truth, found in zip(
        _by_image(ground_truth, ground_truth["annotations"]),
        _by_image(ground_truth, predictions),
        strict=True,
    ):
        metric.update([tensors(found)], [tensors(truth)])
    return float(metric.compute()["map"])


def _supervision(ground_truth: dict[str, Any], predictions: Records) -> float:
    from supervision import Detections
    from supervision.metrics import MeanAveragePrecision

    metric = MeanAveragePrecision()

    def detections(records: Records, **columns: Any) -> Detections:
        return Detections(
            xyxy=_corners(records),
            class_id=_column(records, "category_id", int),
            **columns,
        )

    for truth, found in zip(
        _by_image(ground_truth, ground_truth["annotations"]),
        _by_image(ground_truth, predictions),
        strict=True,
    ):
        about = {name: _column(truth, name) for name in ("iscrowd", "area")}
        metric.update(
            detections(found, confidence=_column(found, "score")),
            detections(truth, data=about),
        )
    return float(metric.compute().map50_95)


def _replace_torchvision(folder: Path) -> None:
    """Does without torchvision, whose extension must fit the build of PyTorch.

    Of it, torchmetrics needs a conversion of boxes that are in the right format
    already, and Ultralytics the version.
    """
    from torchmetrics.detection import mean_ap

    vars(mean_ap)["_TORCHVISION_AVAILABLE"] = True
    package, ops = ModuleType("torchvision"), ModuleType("torchvision.ops")
    vars(ops)["box_convert"] = lambda boxes, in_fmt, out_fmt: boxes
    sys.modules.update({"torchvision": package, "torchvision.ops": ops})
    about = folder / "torchvision-0.dist-info" / "METADATA"
    about.parent.mkdir()
    about.write_text("Name: torchvision\nVersion: 0.28.0\n")
    sys.path.insert(0, str(folder))


if __name__ == "__main__":
    given = json.load(sys.stdin)
    _replace_torchvision(Path(os.environ["YOLO_CONFIG_DIR"]))
    computed = {
        "Ultralytics": [_ultralytics(*case) for case in given],
        "supervision": [_supervision(*case) for case in given],
        "torchmetrics": [_torchmetrics(*case) for case in given],
    }
    print(json.dumps(computed))
