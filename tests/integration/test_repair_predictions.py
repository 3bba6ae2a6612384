"""Predictions that do not fit: said where the AP is, and repaired in a new field."""

import json

import fiftyone as fo
import numpy as np
import pytest

from fiftyone_coco_audit import (
    CocoAuditError,
    add_coco_predictions,
    evaluate,
    import_coco,
    import_report,
    repair_predictions,
)
from fiftyone_coco_audit.cli import main

SIDE = 30


CATEGORIES = [
    {"id": n, "name": name} for n, name in ((3, "cat"), (4, "dog"), (5, "cow"))
]


def box(label):
    x, y, w, h = label.bounding_box
    return [x * 640, y * 480, w * 640, h * 480]


def made(count=20, *, size=(640, 480), change=None):
    """Images of one cat and one dog each, all found, by predictions to be changed."""
    coco, found = records_of(change, count, size=size)
    return import_coco(coco, predictions=found)


def records_of(change=None, count=20, *, size=(640, 480)):
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 400, (count, 2, 2)).round()
    records = [
        {"image_id": n, "category_id": 3 + c, "bbox": [*corners[n, c].tolist(), 40, 30]}
        for n in range(count)
        for c in (0, 1)
    ]
    coco = {
        "images": [
            {"id": n, "file_name": f"i{n}.jpg", "width": size[0], "height": size[1]}
            for n in range(count)
        ],
        "categories": CATEGORIES,
        "annotations": [
            {"id": n, "area": 1200, "iscrowd": 0, **r} for n, r in enumerate(records, 1)
        ],
    }
    found = [
        {**r, "score": 0.5 + n / 100, "source": "a"} for n, r in enumerate(records)
    ]
    return coco, [change(r) if change else r for r in found]


def shifted(record):
    return {**record, "category_id": record["category_id"] + 1}


def corners(record):
    x, y, w, h = record["bbox"]
    return {**record, "bbox": [x, y, x + w, y + h]}


def misfits(report):
    return [p for p in report.problems if p.code == "CA150"]


def test_the_import_says_that_predictions_do_not_fit():
    dataset = made(change=shifted)
    (problem,) = misfits(import_report(dataset))
    assert (problem.field, problem.severity) == ("predictions", "note")
    assert problem.records == import_report(dataset).predictions["predictions"]
    assert "match if category ids are shifted by -1" in problem.reason
    assert "'predictions', 'predictions_repaired')`" in problem.reason
    # Once is enough in the notes of an evaluation
    notes = evaluate(dataset, progress=False).notes
    assert sum("shifted by -1" in note for note in notes) == 1
    repair_predictions(dataset, progress=False)
    assert [p.field for p in misfits(import_report(dataset))] == ["predictions"]

    assert not misfits(import_report(made()))


@pytest.mark.parametrize("imported", [True, False])
def test_so_does_the_addition_of_predictions(imported):
    dataset = made()
    if not imported:
        # As from FiftyOne's own importer
        dataset.info = {"categories": CATEGORIES}
        dataset.classes = {}
        dataset.save()
    records = [
        {"image_id": id_, "category_id": ids[d.label], "score": 0.5, "bbox": box(d)}
        for id_, labels in zip(
            *dataset.values(["coco_id", "ground_truth"]), strict=True
        )
        for d in labels.detections
        for ids in [{c["name"]: c["id"] for c in CATEGORIES}]
    ]
    right = add_coco_predictions(dataset, records, pred_field="right", progress=False)
    assert not misfits(right)
    wrong = [corners(record) for record in records]
    report = add_coco_predictions(dataset, wrong, pred_field="wrong", progress=False)
    (problem,) = misfits(report)
    assert "boxes are read as [x1, y1, x2, y2]" in problem.reason
    assert "'wrong', 'wrong_repaired')`" in problem.reason
    assert misfits(import_report(dataset)) == [problem]


def test_the_command_line_prints_it(tmp_path, capsys):
    coco, found = records_of(corners)
    for name, content in (("coco", coco), ("found", found)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    predictions = ["--predictions", str(tmp_path / "found.json")]
    assert main([str(tmp_path / "coco.json"), *predictions]) == 0
    printed = capsys.readouterr().out
    imported = printed[: printed.index("Auditing...")]
    assert "CA150 predictions-do-not-fit" in imported
    assert "boxes are read as [x1, y1, x2, y2]" in imported


@pytest.mark.parametrize(
    ("change", "condition"),
    [
        (shifted, "category ids are shifted by -1"),
        (corners, "boxes are read as [x1, y1, x2, y2]"),
        (lambda r: {**r, "image_id": r["image_id"] - 1}, "the id that is one higher"),
    ],
)
def test_the_note_gives_the_call_that_repairs(change, condition):
    dataset = made(change=change)
    before = evaluate(dataset, progress=False)

    (note,) = [n for n in before.notes if "repair_predictions" in n]
    assert condition in note
    call = "`repair_predictions(dataset, 'predictions', 'predictions_repaired')`"
    assert call in note
    # One cause, one note
    words = (
        "lie on objects of other",
        "have no predictions, so",
        "No prediction reach",
    )
    assert not any(word in n for word in words for n in before.notes)
    diagnosis = repair_predictions(dataset, progress=False)
    after = evaluate(dataset, "predictions_repaired", eval_key="after", progress=False)

    assert str(diagnosis) in note
    kept = len(before.evaluation.predictions)
    assert before.summary()["AP"] < 0.1
    assert after.evaluation.found().sum() == kept == len(after.evaluation.predictions)
    assert not any("repair_predictions" in note for note in after.notes)


def test_labels_are_copied_with_what_they_were_given():
    dataset = made(change=corners)
    evaluate(dataset, progress=False)
    repair_predictions(dataset, progress=False)

    old, new = (
        [d for labels in dataset.values(field) for d in labels.detections]
        for field in ("predictions", "predictions_repaired")
    )
    assert [d.source for d in new] == ["a"] * 40
    assert [d.confidence for d in new] == [d.confidence for d in old]
    assert not {d.id for d in new} & {d.id for d in old}
    # The evaluation was of the others
    assert all(d.has_attribute("eval") for d in old)
    assert not any(d.has_attribute("eval") for d in new)
    assert not dataset.has_field("predictions_repaired.detections.eval")
    path = "predictions_repaired.detections.source"
    assert isinstance(dataset.get_field(path), fo.StringField)
    field = dataset.get_field("predictions_repaired")
    assert "boxes are read as [x1, y1, x2, y2]" in field.description
    info = field.info
    assert info == {"coco_audit": {"function": "repair_predictions"}}
    assert import_report(dataset).predictions["predictions_repaired"] == 40


@pytest.mark.real_data
@pytest.mark.parametrize("percent", [False, True])
def test_real_predictions_get_the_ap_of_the_right_ones(shared_data, percent):
    folder = shared_data / "coco_mini"
    found = json.loads((folder / "predictions.json").read_text())
    dataset = import_coco(folder / "annotations.json", predictions=found)
    right = evaluate(dataset, progress=False).summary()
    sizes = dict(zip(*dataset.values(["coco_id", "metadata"]), strict=True))
    for record in found:
        size = sizes[record["image_id"]]
        factors = 416 / size.width, 416 / size.height
        record["bbox"] = [
            a * b for a, b in zip(record["bbox"], factors * 2, strict=True)
        ]
        record["score"] *= 100 if percent else 1
    add_coco_predictions(dataset, found, pred_field="wrong")

    wrong = evaluate(dataset, "wrong", eval_key="wrong", progress=False)
    assert wrong.summary()["AP"] < 0.05
    (note,) = [n for n in wrong.notes if "repair_predictions" in n]
    assert "(stretch 416)" in note
    assert ("Scores seem to be in percent" in note) == percent
    assert not any("score above 1" in note for note in wrong.notes)
    repair_predictions(dataset, "wrong", "right", progress=False)
    repaired = evaluate(dataset, "right", eval_key="right", progress=False)
    assert repaired.summary() == pytest.approx(right, abs=1e-6)
    assert repaired.per_image()["f1"].to_numpy() == pytest.approx(
        evaluate(dataset, progress=False).per_image()["f1"].to_numpy(), nan_ok=True
    )


def test_masks_are_drawn_into_the_repaired_boxes():
    def with_mask(record):
        x, y, w, h = record["bbox"]
        return {**record, "segmentation": [[x, y, x + w, y, x, y + h]]}

    dataset = made(change=lambda r: corners(with_mask(r)))
    repair_predictions(dataset, progress=False)

    right = made(change=with_mask)
    expected, new = (
        [d for labels in of.values(field) for d in labels.detections]
        for of, field in ((right, "predictions"), (dataset, "predictions_repaired"))
    )
    assert [d.rle for d in new] == [d.rle for d in expected]
    for one, other in zip(new, expected, strict=True):
        assert one.mask.tolist() == other.mask.tolist()


def test_scores_in_percent_are_said_where_ap_is_right():
    dataset = made(change=lambda r: {**r, "score": 100 * r["score"]})
    results = evaluate(dataset, progress=False)

    assert results.summary()["AP"] == 1
    (note,) = [n for n in results.notes if "score" in n]
    assert "Scores seem to be in percent (the highest is 89)" in note
    assert "repair_predictions(" in note
    repair_predictions(dataset, progress=False)
    scores = dataset.values("predictions_repaired.detections.confidence", unwind=True)
    assert max(scores) == pytest.approx(0.89)


def test_a_view_is_repaired_alone():
    dataset = made(change=corners)
    repair_predictions(dataset[:15], output_field="some", progress=False)

    counts = [len(d.detections) if d else 0 for d in dataset.values("some")]
    assert counts == [2] * 15 + [0] * 5


def test_what_cannot_be_repaired_is_said_and_nothing_is_written():
    dataset = made()
    with pytest.raises(CocoAuditError, match="Nothing was written: no other meaning"):
        repair_predictions(dataset, progress=False)
    assert not dataset.has_field("predictions_repaired")

    dataset = made(change=corners)
    with pytest.raises(CocoAuditError, match="choose a new field"):
        repair_predictions(dataset, output_field="ground_truth", progress=False)
    repair_predictions(dataset, progress=False)
    with pytest.raises(CocoAuditError, match="already has a field"):
        repair_predictions(dataset, progress=False)
    repair_predictions(dataset, overwrite=True, progress=False)
