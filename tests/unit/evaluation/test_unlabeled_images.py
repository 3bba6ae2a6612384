"""Images without labels, on real data and by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fiftyone_coco_audit.evaluation.analysis.unlabeled_images import unlabeled_images
from fiftyone_coco_audit.evaluation.metrics import evaluate_objects
from fiftyone_coco_audit.evaluation.settings import Settings
from tests.reference import columns, run_cocoeval
from tests.unit.evaluation.scenes import evaluate, evaluated_files

BOX = (0.0, 0.0, 50.0, 50.0)


@pytest.mark.real_data
def test_real_images_that_were_not_annotated(shared_data: Path) -> None:
    """More than a third of the images lose their labels, all of them with objects."""
    folder = shared_data / "coco_mini"
    coco, predictions, whole = evaluated_files(
        folder / "annotations.json", folder / "predictions.json", "bbox"
    )
    images = sorted(image["id"] for image in coco["images"])
    sure = {p["image_id"] for p in predictions if p["score"] > 0.5}
    lost = [id_ for id_ in images if id_ in sure][::2]
    coco["annotations"] = [a for a in coco["annotations"] if a["image_id"] not in lost]
    truth, detections, num_images, num_categories = columns(coco, predictions)
    found = unlabeled_images(
        evaluate_objects(
            truth,
            detections,
            num_images=num_images,
            num_categories=num_categories,
            settings=Settings.parse(),
        )
    )
    kept = [id_ for id_ in images if id_ not in lost]
    ap = run_cocoeval(coco, predictions).stats[0]
    without = run_cocoeval(coco, predictions, image_ids=kept).stats[0]
    assert (found.ap, found.ap_without) == pytest.approx((ap, without), abs=1e-12)
    assert without - ap > 0.05
    assert str(found) == (
        f"{len(lost)} of 79 images have no label, and all {len(lost)} have a "
        f"prediction over 0.5: AP is {ap:.4f} with them and {without:.4f} without."
    )
    assert [images[n] for n in np.flatnonzero(found.suspect)] == lost
    assert unlabeled_images(whole).sentences() == []


def test_74_of_201_images() -> None:
    """Those with labels are found at IoU .70; the others look the same."""
    loose = (0.0, 0.0, 50.0, 35.0)
    truth = [(image, 0, BOX, 0) for image in range(127)]
    predictions = [(image, 0, loose, 0.6) for image in range(201)]
    found = unlabeled_images(evaluate(truth, predictions, num_images=201))
    # With equal scores, images come in their order: those with labels first
    assert found.ap == found.ap_without == pytest.approx(0.5)
    predictions = [
        (image, 0, loose, 0.9 if image >= 127 else 0.6) for image in range(201)
    ]
    found = unlabeled_images(evaluate(truth, predictions, num_images=201))
    assert found.ap == pytest.approx(0.5 * 127 / 201)
    assert str(found) == (
        "74 of 201 images have no label, and all 74 have a prediction over 0.5: AP is "
        "0.3159 with them and 0.5000 without."
    )


def test_some_and_none_have_a_sure_prediction() -> None:
    truth = [(0, 0, BOX, 0)]
    predictions = [(0, 0, BOX, 0.9), (1, 0, BOX, 0.5), (2, 0, BOX, 0.6)]
    found = unlabeled_images(evaluate(truth, predictions, num_images=3))
    assert str(found).startswith(
        "2 of 3 images have no label, and 1 has a prediction over 0.5: AP is 1.0000"
    )
    found = unlabeled_images(evaluate(truth, predictions[:2], num_images=2))
    assert str(found).startswith("1 of 2 images has no label, and none has a")
    # A crowd region is a label
    crowd = evaluate([*truth, (1, 0, BOX, 1)], predictions[:2], num_images=2)
    assert unlabeled_images(crowd).sentences() == []


def test_no_labels_at_all() -> None:
    found = unlabeled_images(evaluate([], [(0, 0, BOX, 0.9)]))
    assert str(found) == (
        "1 of 1 image has no label, and it has a prediction over 0.5."
    )
    assert unlabeled_images(evaluate([], [], num_images=0)).sentences() == []
