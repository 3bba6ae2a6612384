"""What an evaluation says about its numbers, wherever these are shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone.operators.store import ExecutionStore

from fiftyone_coco_audit import (
    CocoAuditError,
    add_coco_predictions,
    audit,
    evaluate,
    evaluation_notes,
    import_coco,
)
from fiftyone_coco_audit.cli import main
from fiftyone_coco_audit.evaluation.panel_notes import STORE_NAME, as_markdown
from tests import puzzling_sets
from tests.puzzling_sets import Coco, Results, without_mutation
from tests.reference import run_cocoeval
from tests.workers import Worker

Made = tuple[Coco, Results]

#: Each set, what its notes must say, and whether pycocotools reads it
SETS: list[tuple[Callable[[], Made], list[str], bool]] = [
    (
        puzzling_sets.predictions_by_stem,
        ["CA133 matched-by-file-stem, 22 predictions"],
        False,
    ),
    (
        puzzling_sets.predictions_for_the_parent,
        ["Predictions of `pets` lie on 22 of 24 objects of `cat`"],
        True,
    ),
    (
        puzzling_sets.ids_of_their_image_only,
        ["CA137 new-annotation-id, 18 annotations", "pycocotools uses the last"],
        False,
    ),
    (
        puzzling_sets.all_crowds,
        ["24 of 24 objects are crowd regions", "there is no AP"],
        True,
    ),
    (
        puzzling_sets.annotation_id_0,
        ["pycocotools 2.0.11 prints AP 0.8020", "with annotation id 0"],
        False,
    ),
    (
        puzzling_sets.a_third_not_annotated,
        ["4 of 12 images have no label, and all 4 have", "and 0.8713 without"],
        True,
    ),
]


def imported(tmp_path: Path, coco: Coco, predictions: Results) -> fo.Dataset:
    coco, predictions = without_mutation(coco, predictions)
    return import_coco(coco, tmp_path, predictions=predictions)


def panel_note(dataset: fo.Dataset, eval_key: str = "eval") -> str | None:
    """What the panel Model Evaluation shows above the numbers."""
    store = ExecutionStore.create(STORE_NAME, dataset._doc.id)
    notes = store.get("notes") or {}
    return notes.get(str(dataset._doc.evaluations[eval_key].id))


@pytest.mark.parametrize(
    ("make", "words", "is_same"), SETS, ids=[make.__name__ for make, _, _ in SETS]
)
def test_the_tool_alone_says_why(
    make: Callable[[], Made],
    words: list[str],
    is_same: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    coco, predictions = make()
    paths = puzzling_sets.write(tmp_path / "set", coco, predictions)
    arguments = [str(paths.annotations), str(paths.images_dir)]
    assert main([*arguments, "--predictions", str(paths.predictions)]) == 0
    printed = capsys.readouterr().out
    dataset = fo.load_dataset("set")
    results = dataset.load_evaluation_results("eval")
    for word in words:
        assert word in printed[printed.index("  AP ") :]
        assert word in " ".join(evaluation_notes(dataset))
    assert panel_note(dataset) == as_markdown(evaluation_notes(dataset))
    if is_same:
        printed_by_others = run_cocoeval(*without_mutation(coco, predictions)).stats[0]
        assert results.mAP() == pytest.approx(printed_by_others, abs=1e-9)


def test_a_plain_set_has_no_notes(tmp_path: Path) -> None:
    dataset = imported(tmp_path, *puzzling_sets.plain())
    results = evaluate(dataset)
    assert results.notes == evaluation_notes(dataset) == ()
    assert repr(results).endswith("12 images, AP 0.9109>")
    assert str(results).splitlines()[0] == "  12 images, 24 objects, 22 predictions"
    assert panel_note(dataset) is None


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("folder", "iou_type"), [("balloon", "segm"), ("mmpose4", "bbox")]
)
def test_the_ap_that_pycocotools_prints(
    shared_data: Path, tmp_path: Path, folder: str, iou_type: str
) -> None:
    files = shared_data / folder
    coco = json.loads((files / "annotations.json").read_text())
    predictions = json.loads((files / "predictions.json").read_text())

    def theirs(found: dict[str, Any]) -> float:
        records = without_mutation(coco, predictions)
        for annotation in records[0]["annotations"]:
            annotation["id"] *= annotation["id"] != found["id"]
        return run_cocoeval(*records, iou_type).stats[0]

    printed_alike = []
    for found in coco["annotations"][:4]:
        id_, found["id"] = found["id"], 0
        results = evaluate(imported(tmp_path, coco, predictions), iou_type=iou_type)
        found["id"] = id_
        ours, others = (f"{ap:.4f}" for ap in (results.mAP(), theirs(found)))
        said = " ".join(results.notes)
        assert (f"pycocotools 2.0.11 prints AP {others} for" in said) == (
            ours != others
        )
        printed_alike.append(ours == others)
    assert not all(printed_alike)


def test_what_the_import_set_aside(tmp_path: Path) -> None:
    coco, predictions = puzzling_sets.plain()
    for annotation in coco["annotations"][4:]:
        annotation["bbox"] = [10, 10, 20]
    coco["annotations"][4]["bbox"] = [10, 10, 0, 20]
    coco["images"].append({"id": None, "file_name": "x.jpg"})
    predictions[5]["image_id"] = 99
    predictions[6]["image_id"] = 98
    dataset = imported(tmp_path, coco, predictions)
    notes = evaluate(dataset).notes
    assert [note.split(",")[0] for note in notes[:3]] == [
        "The import set aside 1 of 13 images of `<annotations>`",
        "The import set aside 20 of 24 annotations of `<annotations>`",
        "The import set aside 2 of 22 predictions of `<predictions>`",
    ]
    assert "CA112 no-box (19): A record has no `bbox`" in notes[1]
    assert "CA113 unusable-box (1): A box has a side" in notes[1]
    assert "CA110 unknown-image (2): A record refers to an image" in notes[2]
    # Missing files change no number
    assert "CA120" not in " ".join(notes)


@pytest.mark.parametrize("extra", [0, 1])
def test_predictions_whose_file_name_decides(tmp_path: Path, extra: int) -> None:
    """Ultralytics writes the digits of a file name as `image_id`."""
    coco, predictions = puzzling_sets.plain()
    names = {image["id"]: image["file_name"] for image in coco["images"]}
    for image in coco["images"]:
        image["id"] += 100
    for annotation in coco["annotations"]:
        annotation["image_id"] += 100
    for prediction in predictions:
        prediction["file_name"] = names[prediction["image_id"]]
        prediction["image_id"] += 100 * extra + extra
    dataset = imported(tmp_path, coco, predictions)
    results = evaluate(dataset)
    assert results.summary()["AP"] == pytest.approx(0.9109, abs=5e-5)
    assert "matched-by-file-name, 22 predictions" in " ".join(results.notes)


def test_what_is_wrong_with_masks_only_matters_to_masks(tmp_path: Path) -> None:
    coco, predictions = puzzling_sets.plain()
    coco["annotations"][0]["segmentation"] = [[1, 1, 9, 1]]
    dataset = imported(tmp_path, coco, predictions)
    assert evaluate(dataset).notes == ()
    notes = " ".join(evaluate(dataset, iou_type="segm").notes)
    assert "CA115 broken-segmentation, 1 annotation of" in notes


def test_no_number_of_pycocotools_where_ids_are_new(tmp_path: Path) -> None:
    """The ids of the dataset differ, but pycocotools reads those of the file."""
    coco, predictions = puzzling_sets.annotation_id_0()
    coco["annotations"][5]["id"] = coco["annotations"][6]["id"] = 0
    dataset = imported(tmp_path, coco, predictions)
    assert (
        len(set(dataset.values("ground_truth.detections.coco_id", unwind=True))) == 24
    )
    notes = " ".join(evaluate(dataset).notes)
    assert "CA137 new-annotation-id, 2 annotations" in notes
    assert "prints" not in notes


def test_notes_are_on_the_fields_that_are_evaluated(tmp_path: Path) -> None:
    coco, predictions = puzzling_sets.plain()
    dataset = imported(tmp_path, coco, predictions)
    predictions[0]["image_id"] = 99
    add_coco_predictions(dataset, predictions, pred_field="other")
    assert evaluate(dataset).notes == ()
    (note, *_) = evaluate(dataset, "other", eval_key="second").notes
    assert "1 of 22 predictions" in note
    # A part of the dataset does not have all that was set aside
    notes = evaluate(dataset[:6], "other", eval_key="third").notes
    assert "These counts cover the whole import, not only this view." in " ".join(notes)


def test_predictions_in_two_files_of_one_field(tmp_path: Path) -> None:
    """Only those that are there now count."""
    coco, predictions = puzzling_sets.plain()
    dataset = imported(
        tmp_path, coco, [{**predictions[0], "score": None}, *predictions]
    )
    assert "1 of 23 predictions" in evaluate(dataset).notes[0]
    add_coco_predictions(dataset, predictions, overwrite=True)
    assert evaluate(dataset).notes == ()


@pytest.mark.parametrize("masks", [False, True])
def test_areas_are_held_against_masks_where_there_are_any(
    tmp_path: Path, masks: bool
) -> None:
    """A thin diagonal has far fewer pixels than its box."""
    coco, predictions = puzzling_sets.plain()
    for annotation in coco["annotations"]:
        x, y, width, height = annotation["bbox"]
        right, bottom = x + width, y + height
        polygon = [x, y, x + 2, y, right, bottom, right - 2, bottom]
        if masks:
            annotation["segmentation"] = [polygon]
            annotation["area"] = width * height  # as Roboflow writes it
    dataset = imported(tmp_path, coco, predictions)
    for iou_type in ("bbox", "segm"):
        notes = " ".join(evaluate(dataset, iou_type=iou_type).notes)
        said = "`area` puts 24 of 24 objects into a different size class"
        assert (said in notes) == masks


def test_areas_of_masks_of_other_origin_are_believed(tmp_path: Path) -> None:
    """Masks that FiftyOne made are not read for boxes."""
    import numpy as np

    dataset = imported(tmp_path, *puzzling_sets.plain())
    mask = np.eye(40, dtype=bool)
    dataset.set_values("ground_truth.detections.mask", [[mask, mask]] * 12)
    for area, is_noted in ((100.0, False), (1.0, True), (10_000.0, True)):
        dataset.set_values("ground_truth.detections.area", [[area] * 2] * 12)
        assert ("`area` puts" in " ".join(evaluate(dataset).notes)) == is_noted


def test_the_audit_and_the_evaluation_judge_areas_alike(tmp_path: Path) -> None:
    coco, predictions = puzzling_sets.plain()
    factors = (0, 1e-4, 0.03, 0.3, 0.5, 0.8, 1, 1.2, 1.4, 4, 16, 100)
    for annotation, factor in zip(coco["annotations"], factors * 2, strict=True):
        x, y, width, height = annotation["bbox"]
        if annotation["id"] > len(factors):
            half = [x, y, x + width, y, x + width, y + height / 2, x, y + height / 2]
            low = [x, y + height - 1, x + 1, y + height - 1, x + 1, y + height]
            annotation["segmentation"] = [half, low]
        annotation["area"] = width * height * factor
    dataset = imported(tmp_path, coco, predictions)
    (finding,) = audit(dataset, select="CA314")
    changes = finding.figures["size_class_changes"]
    for iou_type in ("bbox", "segm"):
        notes = " ".join(evaluate(dataset, iou_type=iou_type).notes)
        assert f"`area` puts {changes} of 24 objects into a different size" in notes
    assert 0 < changes < finding.figures["objects"] < 24


def test_another_process_reads_the_notes(tmp_path: Path, worker: Worker) -> None:
    dataset = imported(tmp_path, *puzzling_sets.annotation_id_0())
    notes = evaluate(dataset).notes
    assert notes
    read, in_panel = worker.run(
        f"""
        dataset = fo.load_dataset({dataset.name!r})
        config = dataset.load_evaluation_results("eval").config
        (metric,) = config.custom_metrics.values()
        result = evaluation_notes(dataset, "eval"), tuple(metric["notes"])
        """
    )
    assert read == in_panel == notes


def test_evaluations_without_notes(tmp_path: Path) -> None:
    dataset = imported(tmp_path, *puzzling_sets.plain())
    dataset.evaluate_detections("predictions", eval_key="stock")
    assert evaluation_notes(dataset, "stock") == ()
    with pytest.raises(CocoAuditError, match="no evaluation 'x'.*'stock'"):
        evaluation_notes(dataset, "x")


def test_the_operator_returns_the_notes(tmp_path: Path) -> None:
    dataset = imported(tmp_path, *puzzling_sets.all_crowds())
    result = foo.execute_operator(
        "@coco-audit/coco-audit/evaluate",
        {"dataset": dataset},
        params={"eval_key": "eval"},
    ).result
    assert result["notes"] == list(evaluation_notes(dataset))
    assert "crowd regions" in result["notes"][0]


def test_the_panel_reads_what_is_written_for_it(tmp_path: Path) -> None:
    """What FiftyOne's own code loads is what we stored."""
    from fiftyone.operators.executor import ExecutionContext
    from plugins.panels.model_evaluation import STORE_NAME as PANEL
    from plugins.panels.model_evaluation import EvaluationPanel
    from plugins.utils.model_evaluation import get_store

    assert STORE_NAME == PANEL
    dataset = imported(tmp_path, *puzzling_sets.all_crowds())
    evaluate(dataset)
    ctx = ExecutionContext({"dataset_name": dataset.name})
    ctx._dataset = dataset
    assert get_store(ctx).get("notes") == {
        EvaluationPanel().get_evaluation_id(dataset, "eval"): panel_note(dataset)
    }
    assert "crowd regions (`iscrowd` 1)" in panel_note(dataset)


def set_panel_note(dataset: fo.Dataset, note: str, eval_key: str = "eval") -> None:
    """What a user does by the pencil in the panel."""
    store = ExecutionStore.create(STORE_NAME, dataset._doc.id)
    run_id = str(dataset._doc.evaluations[eval_key].id)
    store.set("notes", {**(store.get("notes") or {}), run_id: note})


def test_what_a_user_wrote_in_the_panel_stays(tmp_path: Path) -> None:
    dataset = imported(tmp_path, *puzzling_sets.all_crowds())
    ours = as_markdown(evaluate(dataset).notes)
    evaluate(dataset, eval_key="other")
    set_panel_note(dataset, "mine", "other")
    set_panel_note(dataset, f"{ours}\n\nChecked by Ann", "eval")
    evaluate(dataset)
    assert panel_note(dataset) == f"Checked by Ann\n\n{ours}"
    dataset.set_values("ground_truth.detections.iscrowd", [[0, 0]] * 12)
    evaluate(dataset)
    assert panel_note(dataset) == "Checked by Ann"
    assert panel_note(dataset, "other") == "mine"


def test_notes_in_the_panel_follow_the_evaluation(tmp_path: Path) -> None:
    dataset = imported(tmp_path, *puzzling_sets.all_crowds())
    evaluate(dataset)
    note = panel_note(dataset)
    dataset.rename_evaluation("eval", "renamed")
    assert panel_note(dataset, "renamed") == note
    assert panel_note(dataset.clone(), "renamed") == note
    dataset.delete_evaluation("renamed")
    store = ExecutionStore.create(STORE_NAME, dataset._doc.id)
    assert not store.get("notes")


def test_names_in_notes_are_text_in_the_panel(tmp_path: Path) -> None:
    coco, predictions = puzzling_sets.predictions_for_the_parent()
    coco["categories"][1]["name"] = "![x](http://host/x.png)`cat"
    dataset = imported(tmp_path, coco, predictions)
    evaluate(dataset)
    assert "`![x](http://host/x.png)'cat`" in panel_note(dataset)


def test_many_notes_at_once_lose_none(tmp_path: Path) -> None:
    """Two threads change the notes of two runs: the store is one value for all."""
    from concurrent.futures import ThreadPoolExecutor

    from fiftyone_coco_audit.evaluation.panel_notes import show_in_panel

    dataset = imported(tmp_path, *puzzling_sets.plain())
    with ThreadPoolExecutor(4) as pool:
        for done in [
            pool.submit(show_in_panel, dataset, f"run{n}", [f"note {n}"])
            for n in range(12)
        ]:
            done.result()
    notes: dict[str, Any] = ExecutionStore.create(STORE_NAME, dataset._doc.id).get(
        "notes"
    )
    assert notes == {f"run{n}": f"- note {n}" for n in range(12)}
