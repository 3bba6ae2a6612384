"""What the App shows of the results of each operator."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import fiftyone as fo
import pytest
from fiftyone.operators.executor import execute_or_delegate_operator

from coco_audit_demo import DemoPaths
from fiftyone_coco_audit import color_by_outcome, evaluate, import_coco, review_labels
from fiftyone_coco_audit.operators import OPERATORS
from fiftyone_coco_audit.operators.base import SdkOperator
from tests.small_coco import write_small_coco

NAMES = [one.function.__name__ for one in OPERATORS if issubclass(one, SdkOperator)]

#: What each is given besides the dataset; paths are filled in
PARAMS: dict[str, dict[str, Any]] = {
    "import_coco": {
        "annotations": "{small}/annotations.json",
        "images_dir": "{small}/images",
        "predictions": "{small}/predictions.json",
    },
    "add_coco_predictions": {
        "predictions": "{demo}/predictions.json",
        "pred_field": "again",
    },
    "evaluate": {"pred_field": "predictions", "gt_field": "ground_truth"},
    "repair_predictions": {},
    "color_by_outcome": {"eval_key": "eval"},
    "restore_colors": {},
    "accept_label_issues": {"eval_key": "eval"},
    "reject_label_issues": {"eval_key": "eval"},
    "apply_label_review": {"eval_key": "eval"},
    "audit": {},
    "audit_results": {"eval_key": "eval"},
    "compute_statistics": {},
    "simulate_resampling": {"threshold": 0.2},
    "compare_sets": {"first": "tag:some", "second": "tag:others"},
    "find_partial_labels": {"by": "tags", "alpha": 0.5},
    "audit_augmentation": {
        "pipeline": "rotation",
        "num_draws": 1,
        "blame": True,
        "workers": 1,
    },
    "dry_run": {"pipeline": "minimal"},
    "apply_augmentation": {"pipeline": "minimal", "output_dir": "{small}/augmented"},
}

#: Words that the App must show of some
TEXTS = {
    "import_coco": ["The first of each", "annotation", "Set aside"],
    "audit_augmentation": ["| CA604 |", "Rotate |", "Shares of the objects"],
    "simulate_resampling": ["| class |"],
    "compare_sets": ["| median |"],
    "dry_run": ["| share |", "| transform: LongestMaxSize |"],
    "evaluate": ["| AP |", "published results on COCO val2017"],
    "repair_predictions": ["match before", "boxes are read as", "repaired predictions"],
    "audit_results": ["| CA707 |", "Not run: CA721"],
    "accept_label_issues": ["1 of "],
    "apply_label_review": ["AP 0."],
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A COCO file with a record that cannot be used."""
    paths = write_small_coco(tmp_path_factory.mktemp("files") / "small")
    coco = json.loads(paths.annotations.read_text())
    coco["annotations"].append({**coco["annotations"][0], "id": 99, "image_id": 1234})
    paths.annotations.write_text(json.dumps(coco))
    return paths.annotations.parent


@pytest.fixture
def dataset(demo_files: DemoPaths) -> Iterator[fo.Dataset]:
    dataset = import_coco(
        demo_files.annotations, demo_files.images, predictions=demo_files.predictions
    )
    dataset.delete_samples(dataset.skip(24))
    dataset.limit(12).tag_samples("some")
    dataset.skip(12).tag_samples("others")
    yield dataset
    dataset.delete()


def shown_by_app(name: str, dataset: fo.Dataset, params: dict[str, Any]) -> Any:
    """What the App is asked to show at last: the form, and the results."""
    uri = f"@coco-audit/coco-audit/{name}"
    request = {"operator_uri": uri, "params": params, "dataset_name": dataset.name}
    result = asyncio.run(execute_or_delegate_operator(uri, request))
    messages = [json.loads(message.to_json_line())["body"] for message in result.result]
    assert messages[-1]["operator_uri"] == "show_output"
    for message in messages:
        if message["operator_uri"] == "set_progress":
            # It says what is being done
            stage, _, count = message["params"]["label"].partition(": ")
            assert stage[0].isupper() and " of " in count
    return messages[-1]["params"]


def as_drawn(form: Mapping[str, Any], results: Any) -> dict[str, Any]:
    """What each field of a form holds: the result of its name, else its default.

    That is how the App draws it: a result of the same name comes first.
    """
    results = results if isinstance(results, dict) else {}
    drawn = {}
    for name, prop in form["type"]["properties"].items():
        if prop["type"].get("properties"):
            inner = as_drawn(prop, results.get(name))
            drawn |= {f"{name}.{key}": value for key, value in inner.items()}
            continue
        told = prop["view"].get("label")
        drawn[name] = results.get(name, prop.get("default")) or told
    return drawn


def corners(box: list[float]) -> list[float]:
    return [*box[:2], box[0] + box[2], box[1] + box[3]]


def test_each_operator_is_run_here():
    assert sorted(PARAMS) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_no_output_is_empty(
    name: str, dataset: fo.Dataset, small: Path, demo_files: DemoPaths
):
    folders = {"small": small, "demo": demo_files.root}
    params = {
        key: value.format(**folders) if isinstance(value, str) else value
        for key, value in PARAMS[name].items()
    }
    if name in ("restore_colors", "color_by_outcome", "audit_results"):
        evaluate(dataset)
        color_by_outcome(dataset)
    if name == "repair_predictions":
        path = "predictions.detections.bounding_box"
        dataset.set_values(
            path, [list(map(corners, of)) for of in dataset.values(path)]
        )
    if "label_" in name:
        evaluate(dataset)
        review = review_labels(dataset)
        ids = review.issues.prediction_ids[:1].tolist()
        review.accept(ids)
        params |= {"ids": ids} if "issues" in name else {}
    shown = shown_by_app(name, dataset, params)
    assert not {"error", "bug"} & set(shown["results"]), shown["results"]
    drawn = as_drawn(shown["outputs"], shown["results"])
    assert drawn
    for field, value in drawn.items():
        # Not a list or a dict of the results, which a field of text draws as nothing
        assert isinstance(value, str) and value.strip(), field
    for text in TEXTS.get(name, []):
        assert any(text in value for value in drawn.values()), text


def test_an_output_with_the_name_of_a_result_is_found():
    form = {
        "type": {
            "properties": {"causes": {"type": {}, "view": {}, "default": "| table |"}}
        }
    }
    assert as_drawn(form, {}) == {"causes": "| table |"}
    assert as_drawn(form, {"causes": {"CA604": {}}}) == {"causes": {"CA604": {}}}
