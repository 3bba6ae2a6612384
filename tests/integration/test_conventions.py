"""An evaluation in other tools, and where its numbers come from, with a database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fiftyone as fo
import pytest

from fiftyone_coco_audit import (
    audit_results,
    evaluate,
    import_coco,
    load_results,
    load_results_audit,
)
from fiftyone_coco_audit.evaluation.provenance import Provenance, SetAside
from fiftyone_coco_audit.fiftyone_internals import cached_results
from tests.reference import run_cocoeval
from tests.unit.evaluation.scenes import random_records


def records() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """24 images with many equal scores, crowd regions, and an annotation id 0."""
    ground_truth: dict[str, Any] = {"images": [], "annotations": []}
    predictions: list[dict[str, Any]] = []
    for seed in range(4):
        truth, found = random_records(seed, crowds=0.15)
        ground_truth["categories"] = truth["categories"]
        for record in [*truth["annotations"], *found]:
            record["image_id"] += 10 * seed
        for image in truth["images"]:
            ground_truth["images"].append(
                {**image, "id": image["id"] + 10 * seed, "file_name": f"{seed}{image}"}
            )
        ground_truth["annotations"] += truth["annotations"]
        predictions += found
    total = len(ground_truth["annotations"])
    for number, annotation in enumerate(ground_truth["annotations"]):
        annotation["id"] = (number + total - 3) % total
    return ground_truth, predictions


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> fo.Dataset:
    ground_truth, predictions = records()
    stray = {**predictions[0], "image_id": 999}
    return import_coco(
        ground_truth,
        tmp_path_factory.mktemp("images"),
        predictions=[*predictions, stray],
        name="conventions",
    )


def test_fiftyone_and_pycocotools_give_what_is_said(dataset: fo.Dataset) -> None:
    results = evaluate(dataset)
    said = results.conventions().to_frame()
    theirs = dataset.evaluate_detections(
        "predictions", "ground_truth", compute_mAP=True, progress=False
    )
    assert said["AP"]["FiftyOne"] == pytest.approx(theirs.mAP(), abs=1e-9)
    assert said["ties"]["FiftyOne"] > 0.001
    assert said["version"]["FiftyOne"] == fo.__version__
    reference = run_cocoeval(*records())
    assert said["AP"]["pycocotools"] == pytest.approx(reference.stats[0], abs=1e-9)
    assert said["annotation id 0"]["pycocotools"] != 0


def test_provenance_is_kept_with_the_run(dataset: fo.Dataset, tmp_path: Path) -> None:
    results = evaluate(dataset, eval_key="kept")
    made = results.provenance
    assert made.set_aside == (SetAside("prediction", "CA110", 1),)
    assert [bool(made.id_0), made.view, made.comparable] == [True, False, False]
    assert made.versions["fiftyone"] == fo.__version__
    printed = str(results)
    assert "Evaluated: boxes of `predictions` against `ground_truth`" in printed
    assert "the import set aside 1 prediction (CA110)" in printed
    cached_results(dataset, "evaluations").pop("kept")
    loaded = load_results(dataset, "kept")
    assert loaded is not results
    assert loaded.provenance == made
    assert loaded.conventions().to_frame().equals(results.conventions().to_frame())
    audited = audit_results(dataset, "kept", num_draws=2)
    assert json.loads(audited.to_json())["provenance"] == made.to_dict()
    assert load_results_audit(dataset, "kept").provenance == made.to_dict()
    some = loaded.of(dataset[:5])
    assert some.provenance.view
    assert some.provenance.content.images == 5
    assert some.conventions().ap == some.summary()["AP"]
    config = dataset.get_evaluation_info("kept").config
    (own,) = config.custom_metrics.values()
    assert Provenance.from_dict(own["provenance"]) == made
    assert evaluate(dataset[:5], eval_key="some").provenance.view
