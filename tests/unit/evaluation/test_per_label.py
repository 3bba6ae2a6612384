"""Outcomes of labels against those of pycocotools."""

from __future__ import annotations

from fiftyone_coco_audit.evaluation.error_types import classify_errors
from fiftyone_coco_audit.evaluation.metrics import evaluate_objects
from fiftyone_coco_audit.evaluation.per_label import label_outcomes
from fiftyone_coco_audit.evaluation.settings import Settings
from tests.reference import columns, run_cocoeval

SIDE = 40


def test_objects_of_no_usual_area_are_ignored() -> None:
    """COCO ignores those of a negative area, or one over 1e10, as it does crowds."""
    areas = [-1.0, 1e10 + 1, -1.0, 1e10, 1600.0, 0.0]
    ground_truth = {
        "images": [{"id": 1, "width": 1000, "height": 1000}],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {
                "id": n + 1,
                "image_id": 1,
                "category_id": 1,
                "bbox": [100 * n, 0, SIDE, SIDE],
                "area": area,
                "iscrowd": 0,
            }
            for n, area in enumerate(areas)
        ],
    }
    # One on each object but the third, a second one on the first, a loose one on the
    # second, one of another class on the third
    placed = [(0, 1), (100, 1), (300, 1), (400, 1), (5, 1), (125, 1), (200, 2)]
    predictions = [
        {
            "image_id": 1,
            "category_id": category,
            "bbox": [x, 0, SIDE, SIDE],
            "score": 0.9 - n / 10,
        }
        for n, (x, category) in enumerate(placed)
    ]
    truth, predicted, num_images, num_categories = columns(ground_truth, predictions)
    evaluation = evaluate_objects(
        truth,
        predicted,
        num_images=num_images,
        num_categories=num_categories,
        settings=Settings(),
    )
    of_truth, of_predictions = label_outcomes(evaluation)

    reference = run_cocoeval(ground_truth, predictions)
    expected: dict[str, dict[int, str]] = {"gt": {}, "dt": {}}
    whole = reference.params.areaRng[0]
    for image in reference.evalImgs:
        if image is None or image["aRng"] != whole:
            continue
        for side, ignored, wrong in (
            ("gt", image["gtIgnore"], "fn"),
            ("dt", image["dtIgnore"][0], "fp"),
        ):
            for id_, match, is_ignored in zip(
                image[f"{side}Ids"], image[f"{side}Matches"][0], ignored, strict=True
            ):
                mark = "" if is_ignored else "tp" if match else wrong
                expected[side][id_] = mark
    assert of_truth.mark.tolist() == [expected["gt"][n] for n in sorted(expected["gt"])]
    assert of_predictions.mark.tolist() == [
        expected["dt"][n] for n in sorted(expected["dt"])
    ]
    assert of_truth.mark.tolist() == ["", "", "", "tp", "tp", "fn"]
    # Which ones they are matched to is said all the same
    assert of_truth.partner.tolist() == [0, 1, -1, 2, 3, -1]

    errors = classify_errors(evaluation)
    assert errors.truth.tolist() == ["", "", "", "", "", "missed"]
    assert errors.predictions.tolist() == [*[""] * 4, *["background"] * 3]
