"""What an evaluation says about its numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fiftyone_coco_audit.evaluation.conditions import conditions
from fiftyone_coco_audit.evaluation.error_types import classify_errors
from fiftyone_coco_audit.evaluation.metrics import evaluate_objects
from fiftyone_coco_audit.evaluation.settings import Settings
from tests import puzzling_sets
from tests.puzzling_sets import Coco, Results
from tests.reference import columns, run_cocoeval


def said(
    coco: Coco,
    predictions: Results,
    *,
    mask_share: float | None = None,
    **options: Any,
) -> list[str]:
    """The conditions, of objects with masks that fill some share of their boxes."""
    coco, predictions = puzzling_sets.without_mutation(coco, predictions)
    truth, found, num_images, num_categories = columns(coco, predictions)
    evaluation = evaluate_objects(
        truth,
        found,
        num_images=num_images,
        num_categories=num_categories,
        settings=Settings.parse(**options),
    )
    by_image = sorted(coco["annotations"], key=lambda record: record["image_id"])
    by_id = sorted(coco["categories"], key=lambda record: record["id"])
    return conditions(
        evaluation,
        classify_errors(evaluation),
        [category["name"] for category in by_id],
        annotation_ids=np.array([a["id"] for a in by_image], object),
        mask_area=None if mask_share is None else mask_share * truth.box[:, 2:].prod(1),
    )


def pycocotools_ap(coco: Coco, predictions: Results, **options: Any) -> str:
    records = puzzling_sets.without_mutation(coco, predictions)
    return f"{run_cocoeval(*records, **options).stats[0]:.4f}"


def test_a_plain_set_needs_no_words() -> None:
    assert said(*puzzling_sets.plain()) == []


def test_scores_above_1() -> None:
    coco, predictions = puzzling_sets.plain()
    for prediction in predictions[1:]:
        prediction["score"] *= 100
    (note,) = said(coco, predictions)
    assert note.startswith("21 of 22 predictions have a score above 1 (the highest is")
    assert "so the score threshold of 0.5 means little" in note
    assert said(coco, predictions, score_threshold=50) == []


def test_all_crowds() -> None:
    (note,) = said(*puzzling_sets.all_crowds())
    assert note.startswith("24 of 24 objects are crowd regions (`iscrowd` 1), which")
    assert "so there is no AP. Set `iscrowd` to 0" in note


def test_mostly_crowds() -> None:
    coco, predictions = puzzling_sets.all_crowds()
    for annotation in coco["annotations"][:2]:
        annotation["iscrowd"] = 0
    note, *_ = said(coco, predictions)
    assert note.startswith("22 of 24 objects are crowd regions")
    assert "the numbers cover only the other 2." in note


def test_a_class_of_crowds() -> None:
    coco, predictions = puzzling_sets.plain()
    for annotation in coco["annotations"]:
        annotation["iscrowd"] = int(annotation["category_id"] == 2)
    assert said(coco, predictions)[0].startswith("`dog` has only crowd regions")


def test_no_objects_at_all() -> None:
    coco, predictions = puzzling_sets.plain()
    coco["annotations"] = []
    assert said(coco, predictions) == [
        "There are no ground-truth objects, so there is no AP."
    ]


def test_no_predictions_at_all() -> None:
    coco, _ = puzzling_sets.plain()
    assert said(coco, []) == [
        "There are no predictions, so every object counts as missed."
    ]


@pytest.mark.parametrize(
    ("limits", "beyond"), [((1, 10, 100), 10), ((1,), 109), ((200,), None)]
)
def test_predictions_beyond_the_limit(limits: tuple, beyond: int | None) -> None:
    coco, predictions = puzzling_sets.plain()
    # The dog of the first image has no prediction, its cat has one
    more = {"image_id": 1, "category_id": 2, "bbox": [1, 1, 2, 2], "score": 0.01}
    notes = said(coco, predictions + [more] * 110, max_detections=limits)
    told = [note for note in notes if "are not counted" in note]
    if beyond is None:
        assert told == []
    else:
        assert told[0].startswith(f"{beyond} of 132 predictions are not counted")
        assert f"only the best {limits[-1]} of each image and class" in told[0]


def test_an_own_range_of_all_areas() -> None:
    notes = said(*puzzling_sets.plain(), area_ranges={"all": (0, 2500)})
    # Cats have 2,000 square pixels, dogs have 3,000
    assert notes[0] == (
        "The range `all` limits every number to areas from 0 to 2,500 square pixels, "
        "which ignores 12 objects."
    )


def test_boxes_of_another_kind() -> None:
    coco, predictions = puzzling_sets.plain()
    for prediction in predictions:
        prediction["bbox"] = [side / 1000 for side in prediction["bbox"]]
    (note,) = said(coco, predictions)
    assert note.startswith("No prediction reaches an IoU of 0.50 with an object of its")
    assert "[x, y, width, height] in pixels" in note


def test_predictions_of_the_parent() -> None:
    assert said(*puzzling_sets.predictions_for_the_parent())[0] == (
        "Predictions of `pets` lie on 22 of 24 objects of `cat`. Predictions of "
        "`cat` find 0 of these. If both are the same class, give them the same name."
    )


def test_category_ids_off_by_one() -> None:
    """Both classes have objects and predictions, but those of each other."""
    coco, predictions = puzzling_sets.plain()
    for prediction in predictions:
        prediction["category_id"] = 3 - prediction["category_id"]
    assert said(coco, predictions) == [
        "Predictions lie on objects of other classes: `cat` on 11 of 12 of `dog` and "
        "`dog` on 11 of 12 of `cat`. Check that both files use the same class ids."
    ]


def test_one_class_under_the_name_of_another() -> None:
    coco, predictions = puzzling_sets.plain()
    cats = [p for p in predictions if p["category_id"] == 1]
    for prediction in cats:
        prediction["category_id"] = 2
    assert said(coco, cats)[0] == (
        "Predictions of `dog` lie on 11 of 12 objects of `cat`. Predictions of "
        "`cat` find 0 of these. Check that both files use the same class ids."
    )


def test_a_detector_that_confuses_some_is_not_one_of_other_names() -> None:
    coco, predictions = puzzling_sets.plain()
    for prediction in predictions[:8]:
        prediction["category_id"] = 3 - prediction["category_id"]
    assert said(coco, predictions) == []


def test_predictions_of_classes_without_objects() -> None:
    coco, predictions = puzzling_sets.plain()
    coco["categories"].append({"id": 3, "name": "cow"})
    cow = {"image_id": 1, "category_id": 3, "bbox": [1, 60, 20, 20], "score": 0.9}
    assert said(coco, [*predictions, cow]) == []  # 1 of 23 explains nothing
    assert said(coco, predictions + [cow] * 3) == [
        "3 of 25 predictions are of classes without objects (`cow`), which AP leaves "
        "out."
    ]


def test_classes_without_predictions() -> None:
    coco, predictions = puzzling_sets.plain()
    some = [p for p in predictions if p["category_id"] == 1]
    # Image 2 has no prediction then
    assert said(coco, some)[0] == (
        "1 of 2 classes with objects has no predictions, so its AP is 0: `dog`."
    )


def test_a_third_not_annotated() -> None:
    coco, predictions = puzzling_sets.a_third_not_annotated()
    (note,) = said(coco, predictions)
    every = pycocotools_ap(coco, predictions)
    labeled = pycocotools_ap(coco, predictions, image_ids=list(range(1, 9)))
    assert note == (
        "4 of 12 images have no label, and all 4 have a prediction over 0.5: AP is "
        f"{every} with them and {labeled} without. Leave out images that were never "
        "annotated."
    )


def test_one_of_each_is_worded_as_one() -> None:
    coco, predictions = puzzling_sets.plain()
    coco["annotations"] = [a for a in coco["annotations"] if a["image_id"] != 12]
    coco["annotations"][0]["area"] = 0
    coco["categories"].append({"id": 3, "name": "cow"})
    some = [p for p in predictions if p["image_id"] in (1, 2, 5, 12)]
    some[-1]["score"] = some[-2]["score"] = 0.99
    cow = {"image_id": 3, "category_id": 3, "bbox": [1, 60, 20, 20], "score": 0.9}
    notes = said(coco, [*some, cow])
    assert notes[0] == (
        "1 of 7 predictions is of classes without objects (`cow`), which AP leaves out."
    )
    assert notes[1].startswith("1 of 12 images has no label, and it has a prediction")
    assert notes[3].startswith("`area` puts 1 of 22 objects into a different size")
    assert "(such as 1 from medium to small)" in notes[3]


def test_images_without_predictions() -> None:
    coco, predictions = puzzling_sets.plain()
    some = [p for p in predictions if p["image_id"] <= 9]
    (note,) = said(coco, some)
    labeled = pycocotools_ap(coco, some, image_ids=list(range(1, 10)))
    assert note == (
        "3 of 12 images with objects have no predictions, so 6 objects are "
        f"missed. Without these images, AP is {labeled}."
    )


@pytest.mark.parametrize(
    ("factor", "mask_share", "words"),
    [
        (0, None, "`area` puts 24 of 24 objects into a different size class"),
        # Of the box in shares of the image: less than a line through the box
        (1e-4, None, "(such as 24 from medium to small)"),
        (16, None, "(such as 24 from medium to large)"),
        (0.3, 0.9, "(such as 24 from medium to small)"),
        (0.4, 1, "`area` puts 12 of 24 objects into a different size class"),
        (1, 0.3, "(such as 24 from small to medium)"),
    ],
)
def test_areas_that_decide_wrongly(
    factor: float, mask_share: float | None, words: str
) -> None:
    coco, predictions = puzzling_sets.plain()
    for annotation in coco["annotations"]:
        annotation["area"] *= factor
    (note,) = said(coco, predictions, mask_share=mask_share)
    assert words in note
    assert "AP and AR by size follow `area`" in note


@pytest.mark.parametrize(
    ("factor", "mask_share"),
    # 0.3 of a box without a mask may be the area of a mask that the file lacks
    [(0.85, None), (1.1, None), (2.9, None), (0.3, None), (0.8, 1), (0.3, 0.3)],
)
def test_areas_that_decide_alike(factor: float, mask_share: float | None) -> None:
    coco, predictions = puzzling_sets.plain()
    for annotation in coco["annotations"]:
        annotation["area"] *= factor
    assert said(coco, predictions, mask_share=mask_share) == []


def test_areas_near_a_bound_are_not_wrong() -> None:
    """The area of a polygon differs from that of its pixels by a few percent."""
    coco, predictions = puzzling_sets.plain()
    for record in [*coco["annotations"], *predictions]:
        record["bbox"] = [*record["bbox"][:2], 32, 32.5]
    for annotation in coco["annotations"]:
        annotation["area"] = 1000
    assert said(coco, predictions) == []


def test_annotation_id_0() -> None:
    coco, predictions = puzzling_sets.annotation_id_0()
    printed = pycocotools_ap(coco, predictions)
    assert said(coco, predictions) == [
        f"pycocotools 2.0.11 prints AP {printed} for the same objects, because it "
        "cannot match the object with annotation id 0."
    ]


def test_an_object_of_id_0_that_nobody_finds_changes_nothing() -> None:
    coco, predictions = puzzling_sets.plain()
    # The dog of the first image
    coco["annotations"][1]["id"] = 0
    assert said(coco, predictions) == []


def test_ids_that_occur_several_times() -> None:
    coco, predictions = puzzling_sets.plain()
    for n, annotation in enumerate(coco["annotations"]):
        annotation["id"] = n % 2
    (note,) = said(coco, predictions)
    assert "12 objects of them have the id 0" in note
    assert "prints other numbers" in note
