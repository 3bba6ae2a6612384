"""Audits of results: what is found in the demo, stored and opened."""

import json
from collections.abc import Iterator
from typing import Any

import fiftyone as fo
import numpy as np
import pytest
from pycocotools import mask as mask_utils

from fiftyone_coco_audit import (
    CocoAuditError,
    audit,
    audit_results,
    auditing_results,
    compute_statistics,
    evaluate,
    import_coco,
    load_audit,
    load_results,
    load_results_audit,
    review_labels,
)
from fiftyone_coco_audit.evaluation.known_findings import hard_objects


@pytest.fixture(scope="module")
def dataset(demo_files, mongodb) -> Iterator[fo.Dataset]:
    made = import_coco(
        demo_files.annotations,
        demo_files.images,
        predictions=demo_files.predictions,
        name="audited results",
    )
    audit(made)
    evaluate(made)
    yield made
    fo.delete_dataset(made.name)


@pytest.fixture(scope="module")
def found(dataset):
    return audit_results(dataset)


@pytest.fixture(scope="module")
def plants(demo_files):
    manifest = json.loads(demo_files.manifest.read_text())
    return {plant["key"]: plant for plant in manifest["plants"]}


def test_findings_are_ranked_by_what_they_gain(dataset, found):
    gains = [f.gain.value for f in found if f.gain and f.gain.metric == "AP"]
    assert gains == sorted(gains, reverse=True)
    assert all(f.gain.low <= f.gain.value <= f.gain.high for f in found if f.gain)
    frame = found.to_frame()
    assert frame["gain"][: len(gains)].tolist() == gains
    for finding in found:
        path = f"{finding.label_field}.detections.id"
        view = found.view(finding)
        if finding.subject == "label":
            assert set(view.values(path, unwind=True)) == set(finding.label_ids)


def test_missing_labels_are_the_planted_ones(found, plants, dataset):
    finding = found["CA801"]
    ids = dataset.values("predictions.detections.id", unwind=True)
    assert len(ids) > len(finding.label_ids)
    assert finding.classes == tuple(plants["unlabeled_class"]["categories"])
    images = set(plants["unlabeled_class"]["image_ids"])
    assert set(found.view(finding).values("coco_id")) <= images


def test_loose_boxes_are_the_planted_ones(found, plants):
    ids = found.view("CA806").values("ground_truth.detections.coco_id", unwind=True)
    assert sorted(ids) == sorted(plants["loose_boxes"]["annotation_ids"])
    assert found["CA806"].related == ("CA303",)
    # One cause is one finding
    assert not any("citrus" in f.classes for f in found if f.code in ("CA701", "CA804"))


def test_the_confused_pair_is_the_planted_one(found, plants, demo_files):
    plant = plants["confused_pair"]
    assert found["CA707"].classes == tuple(plant["categories"])
    records = json.loads(demo_files.predictions.read_text())
    planted = {
        (records[n]["image_id"], records[n]["score"])
        for n in plant["prediction_indices"]
    }
    view = found.view("CA707")
    scores = view.values("predictions.detections.confidence")
    shown = {
        (image, score)
        for image, some in zip(view.values("coco_id"), scores, strict=True)
        for score in some
    }
    # Some boxes have an IoU under .5, and a few others are confused by chance
    assert len(shown & planted) >= 0.85 * max(len(shown), len(planted))
    assert {f.classes for f in found if f.code == "CA702"} == {
        f.classes for f in found if f.code == "CA702" and "button" not in f.classes
    }


def test_labels_that_are_put_right_gain_what_was_predicted(dataset, found):
    before = load_results(dataset).summary()["AP"]

    def gain_with(field: str) -> float:
        after = evaluate(dataset, gt_field=field, eval_key=f"of_{field}")
        dataset.delete_evaluation(f"of_{field}")
        return after.summary()["AP"] - before

    missing = found["CA801"]
    review = review_labels(dataset)
    review.accept(missing.label_ids)
    review.apply("reviewed")
    rise = gain_with("reviewed")
    assert rise == pytest.approx(missing.gain.value, abs=1e-6)
    assert missing.gain.low <= rise <= missing.gain.high

    loose = found["CA806"]
    dataset.clone_sample_field("ground_truth", "tight")
    for sample in loose.view(dataset).iter_samples():
        size = sample.metadata.width, sample.metadata.height
        tight = {
            label.id: (np.reshape(mask_box(label, size), (2, 2)) / size).ravel()
            for label in sample.ground_truth.detections
        }
        whole = dataset[sample.id]
        for label in whole.tight.detections:
            if label.id in tight:
                label.bounding_box = tight[label.id].tolist()
        whole.save()
    rise = gain_with("tight")
    assert rise == pytest.approx(loose.gain.value, abs=1e-6)
    assert loose.gain.low <= rise <= loose.gain.high
    dataset.delete_sample_fields(["tight", "reviewed"])


def mask_box(label: fo.Detection, size: tuple[int, int]) -> list[float]:
    """The box around the mask of a label, in pixels."""
    height, width = size[::-1]
    counts = label.rle.encode()
    return mask_utils.toBbox({"size": [height, width], "counts": counts}).tolist()


def test_an_audit_of_results_is_stored(dataset, found):
    assert load_results_audit(fo.load_dataset(dataset.name)) == found
    evaluate(dataset, eval_key="again")
    with pytest.raises(CocoAuditError, match="'again'.* not audited: run audit_res"):
        load_results_audit(dataset, "again")
    with pytest.raises(CocoAuditError, match="no evaluation 'none'; .* 'again'"):
        audit_results(dataset, "none")
    audit_results(dataset, "again", select=["CA706"])
    dataset.rename_evaluation("again", "third")
    assert load_results_audit(dataset, "third").eval_key == "third"
    dataset.delete_evaluation("third")
    audits = [key for key in dataset.list_runs() if "results" in key]
    assert audits == ["coco_audit_results_eval"]


def test_what_cannot_be_used_is_refused(dataset):
    for arguments, words in (
        ({"select": ["CA3"]}, "'CA3' selects no rule that can run here. audit[(]"),
        ({"num_draws": 0}, "num_draws is 0"),
        ({"thresholds": {"CA701": {"size": 1}}}, "no threshold 'size'"),
        ({"thresholds": {"CA301": {"margin": 1}}}, "no thresholds here"),
    ):
        with pytest.raises(CocoAuditError, match=words):
            audit_results(dataset, **arguments)
    with pytest.raises(CocoAuditError, match="here. audit_results[(]dataset, eval_key"):
        audit(dataset, select="CA7")


def test_what_says_that_objects_are_hard_is_named(dataset, plants):
    results = load_results(dataset)
    about = dataset, "ground_truth", results.rows
    assert hard_objects(*about, None) == {}
    hard = hard_objects(*about, load_audit(dataset).findings)
    assert hard["small"].words == "small at the input of the network (CA501)"
    ids = dataset.values(
        ["ground_truth.detections.id", "ground_truth.detections.coco_id"], unwind=True
    )
    coco_id = dict(zip(*ids, strict=True))
    small = results.rows.truth_ids[hard["small"].objects]
    planted = plants["tiny_object"]["annotation_ids"]
    assert sorted(coco_id[one] for one in small) == sorted(planted)

    compute_statistics(dataset)
    hard = hard_objects(*about, None)
    assert hard["small"].words == (
        "under 16 px at the input of the network (`input_size_class`)"
    )
    sizes = dataset.values("ground_truth.detections.input_size", unwind=True)
    count = sum(size is not None and size < 16 for size in sizes)
    assert hard["small"].objects.sum() == count > 0
    # Nobody has chosen anchors yet
    assert "unreachable" not in hard
    steps = audit_results(dataset, select=["CA72"])
    assert "CA722" in steps.not_run
    assert "if it has any, pass them to compute_statistics" in steps.notes[-1]
    compute_statistics(dataset, anchors="ssd300")
    hard = hard_objects(*about, None)
    assert hard["unreachable"].words == "reached by no anchor (`anchor_status`)"
    statuses = dataset.values("ground_truth.detections.anchor_status", unwind=True)
    unreachable = statuses.count("unreachable")
    assert hard["unreachable"].objects.sum() == unreachable > 0


def test_what_masks_do_not_tell_is_not_run(dataset):
    evaluate(dataset, iou_type="segm", eval_key="masks")
    steps = audit_results(dataset, "masks", select=["CA801", "CA802"])
    assert list(steps.not_run) == ["CA801"]
    assert steps.notes[-1].startswith("Not run: CA801. What changed labels would gain")
    with pytest.raises(CocoAuditError, match="No rule can run. Not run: CA801. What"):
        audit_results(dataset, "masks", select=["CA801"])
    dataset.delete_evaluation("masks")


def test_an_evaluation_that_is_replaced_meanwhile_is_told(dataset, monkeypatch):
    evaluate(dataset, eval_key="again")
    read = auditing_results._improvements

    def replaced(*arguments: Any) -> Any:
        evaluate(dataset, eval_key="again")
        return read(*arguments)

    monkeypatch.setattr(auditing_results, "_improvements", replaced)
    with pytest.raises(CocoAuditError, match="was replaced or deleted while it was"):
        audit_results(dataset, "again", select=["CA713"])
    with pytest.raises(CocoAuditError, match="'again'.* not audited"):
        load_results_audit(dataset, "again")
    dataset.delete_evaluation("again")
