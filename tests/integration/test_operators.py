"""The operators, through each of their doors but the browser's."""

import asyncio
import json
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone import ViewField as F
from fiftyone.operators import types
from fiftyone.operators.delegated import DelegatedOperationService
from fiftyone.operators.executor import (
    ExecutionContext,
    ExecutionError,
    execute_or_delegate_operator,
)

from fiftyone_coco_audit import (
    CocoAuditError,
    compare_sets,
    evaluate,
    import_coco,
    import_report,
    outcome_colors,
    worst_first,
)
from tests.small_coco import APS, SmallCoco, write_small_coco

PLUGIN = "@coco-audit/coco-audit"
FIELDS = {"pred_field": "predictions", "gt_field": "ground_truth"}


@pytest.fixture
def coco(tmp_path: Path) -> SmallCoco:
    return write_small_coco(tmp_path / "small")


@pytest.fixture
def dataset(coco: SmallCoco) -> fo.Dataset:
    return import_coco(
        coco.annotations,
        coco.images_dir,
        predictions=coco.predictions,
        name="of operators",
    )


def operator(name: str) -> foo.Operator:
    return foo.get_operator(f"{PLUGIN}/{name}")


def execute(name: str, ctx: dict[str, Any], **params: Any) -> dict[str, Any]:
    return foo.execute_operator(f"{PLUGIN}/{name}", ctx, params=params).result


def run_delegated() -> Any:
    service = DelegatedOperationService()
    service.execute_queued_operations(limit=1)
    (operation,) = service.list_operations()
    service.delete_operation(operation.id)
    return operation


def form(name: str, params: dict[str, Any], **request: Any) -> dict[str, Any]:
    """The properties of the form of an operator."""
    ctx = ExecutionContext({"params": params, **request})
    return operator(name).resolve_type(ctx, "inputs").type.properties


def request_as_app(name: str, params: dict[str, Any], **request: Any) -> Any:
    """What FiftyOne's server does on a request of the App."""
    uri = f"{PLUGIN}/{name}"
    request |= {"operator_uri": uri, "params": params}
    return asyncio.run(execute_or_delegate_operator(uri, request))


def ask_as_app(name: str, params: dict[str, Any], **request: Any) -> list[Any]:
    """What the App is told, as pairs of the operator to trigger and its parameters."""
    result = request_as_app(name, params, **request)
    assert result.is_generator
    messages = [json.loads(message.to_json_line())["body"] for message in result.result]
    return [(message["operator_uri"], message["params"]) for message in messages]


def filenames(samples: Any) -> list[str]:
    return [Path(path).name for path in samples.values("filepath")]


class TestInPython:
    def test_an_operator_is_the_function_of_the_sdk(self, dataset):
        results = operator("evaluate")(dataset, eval_key="mine")
        assert results.summary() == evaluate(dataset).summary()
        assert set(dataset.list_evaluations()) == {"mine", "eval"}

    def test_import_and_predictions(self, coco):
        dataset = operator("import_coco")(coco.annotations, coco.images_dir)
        report = operator("add_coco_predictions")(dataset, coco.predictions)
        assert report.predictions == {"predictions": 3}
        assert dataset.count("predictions.detections") == 3

    def test_a_mistake_is_raised_as_it_is(self, dataset):
        with pytest.raises(CocoAuditError, match="valid Python name"):
            operator("evaluate")(dataset, eval_key="not a name")


class TestExecuteOperator:
    def test_evaluate_a_dataset(self, dataset):
        result = execute("evaluate", {"dataset": dataset}, eval_key="mine")
        expected = evaluate(dataset)
        assert result["eval_key"] == "mine"
        assert result["summary"] == expected.summary()
        assert result["notes"] == list(expected.notes)
        assert result["fields"] == ["predictions", "ground_truth"]
        assert result["images"] == [4, 4]

    def test_evaluate_a_view(self, dataset):
        view = dataset.match_tags("none", bool=False).limit(2)
        result = execute("evaluate", {"view": view})
        assert result["summary"] == evaluate(view, eval_key="same").summary()
        assert result["images"] == [2, 4]
        assert dataset.count("eval_status") == 2

    def test_evaluate_a_selection(self, dataset):
        selected = dataset.take(2, seed=1).values("id")
        ctx = {
            "dataset": dataset,
            "selected": selected,
            "view_target": "SELECTED_SAMPLES",
        }
        execute("evaluate", ctx)
        assert dataset.exists("eval_status").values("id") == dataset.select(
            selected
        ).values("id")

    def test_parameters_that_the_form_has_as_text(self, dataset):
        numbers = {"iou_thresholds": [0.5, 0.75], "max_detections": [1, 10]}
        given = execute("evaluate", {"dataset": dataset}, **numbers)
        typed = execute(
            "evaluate",
            {"dataset": dataset},
            iou_thresholds="0.5, 0.75",
            max_detections="1 10",
        )
        for results in (given, typed):
            del results["provenance"]["evaluated_at"]
        assert given == typed
        assert given["summary"] == evaluate(dataset, **numbers).summary()

    def test_import_and_predictions(self, coco):
        result = execute(
            "import_coco",
            {},
            annotations=str(coco.annotations),
            images_dir=str(coco.images_dir),
        )
        assert result["dataset"] == "small"
        dataset = fo.load_dataset("small")
        result = execute(
            "add_coco_predictions",
            {"dataset": dataset},
            predictions={"absolute_path": str(coco.predictions)},
        )
        assert result["counts"]["predictions"] == {"predictions": 3}
        assert dataset.count("predictions.detections") == 3

    @pytest.mark.parametrize("name", ["evaluate", "add_coco_predictions"])
    def test_without_a_dataset(self, name):
        with pytest.raises(CocoAuditError, match="No dataset is open"):
            execute(name, {}, predictions="predictions.json")

    def test_a_mistake_fails(self, dataset):
        with pytest.raises(ExecutionError, match="valid Python name"):
            execute("evaluate", {"dataset": dataset}, eval_key="not a name")
        dataset.clone_sample_field("coco_id", "eval_ap")
        with pytest.raises(ExecutionError, match="already has a field 'eval_ap'"):
            execute("evaluate", {"dataset": dataset})


class TestDelegated:
    @pytest.fixture(autouse=True)
    def no_operations(self):
        assert DelegatedOperationService().list_operations() == []

    def test_evaluate(self, dataset):
        request = operator("evaluate")(dataset, **FIELDS, delegate=True)
        assert request.delegated
        assert not dataset.has_evaluation("eval")
        operation = run_delegated()
        assert operation.run_state == "completed"
        assert operation.status.progress == 1
        assert operation.status.label == "Writing values: 4 of 4 images"
        dataset.reload()
        expected = evaluate(dataset, eval_key="same").summary()
        assert operation.result.result["summary"] == expected
        assert "numbers" in operation.metadata["outputs_schema"]["type"]["properties"]

    def test_evaluate_a_view(self, dataset):
        operator("evaluate")(dataset.limit(1), delegate=True)
        run_delegated()
        dataset.reload()
        assert dataset.count("eval_status") == 1

    def test_compare_two_datasets(self, dataset, coco):
        other = import_coco(coco.annotations, coco.images_dir, name="other")
        operator("compare_sets")(dataset, other, delegate=True)
        operation = run_delegated()
        assert operation.run_state == "completed", operation.result.error
        expected = compare_sets(dataset, other)
        assert operation.result.result["sentences"] == expected.sentences()
        assert operation.result.result["names"][1] == "other"

    @pytest.mark.parametrize("names", [None, ("some", "others")])
    def test_compare_two_views(self, dataset, names):
        """Views without a name, of stages with values of every kind."""
        ids = dataset.values("id")
        first = dataset.select(ids[:3]).match(F("filepath").ends_with(".png"))
        second = dataset.exclude(ids[:2]).sort_by("coco_id", reverse=True)
        operator("compare_sets")(first, second, names=names, delegate=True)
        operation = run_delegated()
        assert operation.run_state == "completed", operation.result.error
        expected = compare_sets(first, second, names=names)
        assert operation.result.result["sentences"] == expected.sentences()
        assert operation.result.result["names"] == list(names or ("first", "second"))
        assert operation.result.result["class_drift"] == expected.class_drift

    def test_names_are_no_sets(self, dataset):
        compare = operator("compare_sets")
        for names in ((dataset.name, "other"), (dataset, "other"), (dataset, None)):
            with pytest.raises(CocoAuditError, match="Expected a FiftyOne dataset"):
                compare(*names, delegate=True)
        with pytest.raises(CocoAuditError, match="No dataset is open"):
            foo.execute_operator(compare.uri, {}, params={"first": "a", "second": "b"})

    def test_compare_with_a_set_that_is_gone(self, dataset, coco):
        other = import_coco(coco.annotations, coco.images_dir, name="other")
        operator("compare_sets")(dataset, other[:2], delegate=True)
        fo.delete_dataset("other")
        operation = run_delegated()
        assert operation.run_state == "failed"
        assert "No such set" in operation.result.error

    def test_import_from_a_relative_path(self, coco, monkeypatch, tmp_path):
        monkeypatch.chdir(coco.images_dir.parent)
        operator("import_coco")("annotations.json", "images", delegate=True)
        monkeypatch.chdir(tmp_path)
        assert run_delegated().run_state == "completed"
        assert len(fo.load_dataset("small")) == 4

    def test_what_is_not_given_is_not_scheduled(self, coco):
        operator("import_coco")(
            coco.annotations,
            coco.images_dir,
            predictions=None,
            progress=print,
            delegate=True,
        )
        assert run_delegated().run_state == "completed"
        assert len(fo.load_dataset("small")) == 4

    def test_parsed_content_is_not_scheduled(self, coco):
        with pytest.raises(CocoAuditError, match="must be a path, not an object"):
            operator("import_coco")({"images": []}, coco.images_dir, delegate=True)

    def test_a_failure_is_one(self, dataset):
        dataset.clear_sample_field("metadata")
        for path in dataset.values("filepath"):
            Path(path).unlink()
        operator("evaluate")(dataset, delegate=True)
        operation = run_delegated()
        assert operation.run_state == "failed"
        assert "The size of 4 images is unknown" in operation.result.error


class TestApp:
    def test_evaluate_shows_progress_then_the_worst_images(self, dataset):
        told = ask_as_app("evaluate", FIELDS, dataset_name=dataset.name)
        names = [name for name, _ in told]
        progress = names.count("set_progress")
        assert progress >= 2
        assert names[:progress] == ["set_progress"] * progress
        assert names[progress:] == ["reload_dataset", "set_view", "show_output"]
        assert told[progress - 1][1] == {
            "label": "Writing values: 4 of 4 images",
            "progress": 1,
            "variant": "linear",
        }
        view = fo.DatasetView._build(dataset, told[-2][1]["view"])
        assert filenames(view) == list(APS)
        assert told[-1][1]["results"]["summary"] == evaluate(dataset).summary()

    def test_evaluate_colors_labels_only_if_asked(self, dataset):
        request = {"dataset_name": dataset.name}
        told = ask_as_app("evaluate", {**FIELDS, "eval_key": "one"}, **request)
        assert "set_color_scheme" not in [name for name, _ in told]
        dataset.reload()
        assert dataset.app_config.color_scheme is None
        asked = {**FIELDS, "eval_key": "two", "color_labels": True}
        told = ask_as_app("evaluate", asked, **request)
        names = [name.rpartition("/")[2] for name, _ in told if name != "set_progress"]
        # None of these closes a panel
        assert names == [
            "reload_dataset",
            "set_color_scheme",
            "set_view",
            "show_output",
        ]
        (live,) = (params for name, params in told if name.endswith("color_scheme"))
        dataset.reload()
        assert live["fields"] == list(dataset.app_config.color_scheme.fields)
        assert live["colorBy"] == "value"
        truth, predictions = dataset.app_config.color_scheme.fields
        assert (truth["path"], predictions["path"]) == ("ground_truth", "predictions")
        assert truth["colorByAttribute"] == predictions["colorByAttribute"] == "two"

    def test_the_colors_come_back(self, dataset):
        request = {"dataset_name": dataset.name}
        ask_as_app("evaluate", {**FIELDS, "color_labels": True}, **request)
        told = ask_as_app("restore_colors", {}, **request)
        (live,) = (params for name, params in told if name.endswith("color_scheme"))
        assert live["fields"] is None and live["colorPool"] and live["opacity"] == 0.7
        dataset.reload()
        assert dataset.app_config.color_scheme is None
        ((_, shown),) = ask_as_app("restore_colors", {}, **request)
        assert "nothing to restore" in shown["results"]["error"]

    def test_evaluate_hides_low_scores_and_evaluates_them_all_the_same(self, dataset):
        scores = [[0.3] * len(one) for one in dataset.values("predictions.detections")]
        dataset.set_values("predictions.detections.confidence", scores)
        expected = evaluate(dataset).summary()
        view = None
        for threshold in (0.5, 0.2):
            told = ask_as_app(
                "evaluate",
                {**FIELDS, "score_threshold": threshold},
                dataset_name=dataset.name,
                view=view,
            )
            view = told[-2][1]["view"]
            shown = fo.DatasetView._build(dataset, view)
            assert shown.count("predictions.detections") == (threshold < 0.3) * 3
            assert filenames(shown) == list(APS)
            results = told[-1][1]["results"]
            assert results["summary"] == expected
        # The second time the grid hid all predictions
        assert any("evaluated too" in note for note in results["notes"])
        properties = form("evaluate", FIELDS, dataset_name=dataset.name, view=view)
        assert "below 0.2" in properties["hidden"].view.label

    @pytest.mark.parametrize(
        ("panel", "other"),
        [
            ("augmentation_preview", "coco_audit"),
            ("coco_audit", "augmentation_preview"),
        ],
    )
    def test_a_panel_opens_beside_the_other(self, dataset, panel, other):
        grid = fo.Space(children=[fo.Panel(type="Samples")])
        right = fo.Space(children=[fo.Panel(type=other)])

        def asked(*spaces: fo.Space, **request: Any) -> tuple[str, dict[str, Any]]:
            layout = fo.Space(children=list(spaces), orientation="horizontal")
            result = request_as_app(
                f"open_{panel}",
                {},
                dataset_name=dataset.name,
                spaces=layout.to_dict(),
                **request,
            )
            (message,) = result.executor._requests
            return message.operator_uri.rpartition("/")[2], message.params

        name, params = asked(grid, right)
        assert name == "set_spaces"
        left, shared = fo.Space.from_dict(params["spaces"]).children
        assert [child.type for child in left.children] == ["Samples"]
        assert [child.type for child in shared.children] == [other, panel]
        assert shared.active_child == shared.children[1].component_id
        assert shared.children[0].component_id == right.children[0].component_id
        # Beside the grid where the other is not open, and once only
        for spaces in ([grid], [grid, shared]):
            name, params = asked(*spaces)
            assert (name, params.get("layout")) == ("open_panel", "horizontal")

    def test_a_panel_opens_from_a_sample(self, dataset):
        def asked(panel: str, spaces: fo.Space) -> list[tuple[str, dict[str, Any]]]:
            result = request_as_app(
                f"open_{panel}",
                {},
                dataset_name=dataset.name,
                spaces=spaces.to_dict(),
                current_sample=str(dataset.first().id),
            )
            return [
                (message.operator_uri.rpartition("/")[2], message.params)
                for message in result.executor._requests
            ]

        grid = fo.Space(children=[fo.Panel(type="Samples")])
        # The preview is a tab there, without room for columns
        ((name, params),) = asked("augmentation_preview", grid)
        assert (name, params.get("layout")) == ("open_panel", None)
        # The other panel is shown with the grid alone, and is opened once only
        layout = grid
        for _ in range(2):
            (closed, _), (name, params) = asked("coco_audit", layout)
            assert (closed, name) == ("close_sample", "set_spaces")
            layout = fo.Space.from_dict(params["spaces"])
            left, right = layout.children
            assert left.children[0].component_id == grid.children[0].component_id
            assert [child.type for child in right.children] == ["coco_audit"]
            assert right.active_child == right.children[0].component_id

    def test_evaluate_a_view_that_hides_fields(self, dataset):
        view = dataset.select_fields(["predictions", "ground_truth"])
        told = ask_as_app(
            "evaluate", FIELDS, dataset_name=dataset.name, view=view._serialize()
        )
        assert [name for name, _ in told[-2:]] == ["set_view", "show_output"]
        opened = fo.DatasetView._build(dataset, told[-2][1]["view"])
        assert filenames(opened) == list(APS)
        assert told[-1][1]["results"]["summary"] == evaluate(dataset).summary()

    def test_a_mistake_in_opening_is_shown_as_one_sentence(self, dataset, monkeypatch):
        def refuse(*args: Any, **kwargs: Any) -> None:
            raise CocoAuditError("no view")

        monkeypatch.setattr(
            "fiftyone_coco_audit.operators.evaluate.worst_first", refuse
        )
        told = ask_as_app("evaluate", FIELDS, dataset_name=dataset.name)
        assert told[-1][0] == "show_output"
        assert told[-1][1]["results"] == {"error": "no view"}

    def test_import_opens_the_dataset(self, coco):
        told = ask_as_app(
            "import_coco",
            {
                "annotations": {"absolute_path": str(coco.annotations)},
                "images_dir": {"absolute_path": str(coco.images_dir)},
                "predictions": {"absolute_path": str(coco.predictions)},
                "name": "",
            },
        )
        assert told[-2] == ("open_dataset", {"dataset": "small"})
        counts = told[-1][1]["results"]["counts"]
        assert counts == import_report(fo.load_dataset("small")).counts()

    def test_a_mistake_is_shown_as_one_sentence(self, coco, tmp_path):
        captions = tmp_path / "captions.json"
        captions.write_text('{"images": [], "annotations": [{"caption": "a cat"}]}')
        with pytest.raises(CocoAuditError) as raised:
            import_coco(captions, coco.images_dir)
        ((name, shown),) = ask_as_app(
            "import_coco",
            {
                "annotations": {"absolute_path": str(captions)},
                "images_dir": {"absolute_path": str(coco.images_dir)},
            },
        )
        assert name == "show_output"
        assert shown["results"] == {"error": str(raised.value)}
        message = shown["outputs"]["type"]["properties"]["message"]
        assert message["view"]["name"] == "Error"
        assert message["view"]["label"] == str(raised.value)

    def test_a_bug_is_shown_with_its_traceback(self, dataset, monkeypatch, caplog):
        def broken(*args: Any, **kwargs: Any) -> None:
            raise RuntimeError("a bug")

        monkeypatch.setattr("fiftyone_coco_audit.operators.evaluate.evaluate", broken)
        ((_, shown),) = ask_as_app("evaluate", FIELDS, dataset_name=dataset.name)
        assert "RuntimeError: a bug" in shown["results"]["bug"]
        assert "RuntimeError: a bug" in caplog.text

    def test_delegated_from_the_app(self, dataset):
        result = request_as_app(
            "evaluate", FIELDS, dataset_name=dataset.name, request_delegation=True
        )
        assert result.delegated
        assert run_delegated().run_state == "completed"


class TestForms:
    def test_a_repaired_field_is_not_replaced_unasked(self, dataset):
        request = {"dataset_name": dataset.name}
        assert form("repair_predictions", {}, **request)["output_field"].default == (
            "predictions_repaired"
        )
        params = {"output_field": "predictions"}
        properties = form("repair_predictions", params, **request)
        assert properties["output_field"].invalid
        assert "already has this field" in properties["output_field"].error_message
        params["overwrite"] = True
        assert not form("repair_predictions", params, **request)["output_field"].invalid

    def test_results_are_audited_of_the_latest_evaluation(self, dataset):
        request = {"dataset_name": dataset.name}
        properties = form("audit_results", {}, **request)
        assert properties["message"].invalid and "eval_key" not in properties
        evaluate(dataset, eval_key="first")
        evaluate(dataset, eval_key="second")
        properties = form("audit_results", {"select": "CA3"}, **request)
        assert properties["eval_key"].type.values == ["first", "second"]
        assert properties["eval_key"].default == "second"
        assert "selects no rule that can run here" in properties["select"].error_message
        assert not form("audit_results", {"select": "CA7"}, **request)["select"].invalid
        result = execute("audit_results", {"dataset": dataset}, select="CA713")
        assert result["eval_key"] == "second"
        assert [f["code"] for f in result["findings"]] == ["CA713"]

    def test_evaluate_proposes_the_fields(self, dataset):
        dataset.rename_sample_field("predictions", "yolo")
        properties = form("evaluate", {}, dataset_name=dataset.name)
        assert properties["pred_field"].type.values == ["ground_truth", "yolo"]
        assert properties["pred_field"].default == "yolo"
        assert properties["gt_field"].default == "ground_truth"
        assert isinstance(properties["view_target"], types.ViewTargetProperty)

    def test_evaluate_asks_for_predictions(self, dataset):
        dataset.delete_sample_field("predictions")
        properties = form("evaluate", {}, dataset_name=dataset.name)
        assert properties["message"].invalid
        assert "only 'ground_truth'" in properties["message"].view.description

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("eval_key", "not a name", "valid Python name"),
            ("gt_field", "predictions", "a different field"),
            ("iou_thresholds", "0.5, 1.5", "above 0 and at most 1"),
            ("iou_thresholds", "half", "not a list of numbers"),
            ("max_detections", "0", "whole numbers above 0"),
            ("max_detections", "nan", "whole numbers above 0"),
            ("max_detections", "inf", "whole numbers above 0"),
            ("iou_thresholds", "nan", "above 0 and at most 1"),
            ("eval_key", "instance", "already uses"),
        ],
    )
    def test_evaluate_refuses(self, dataset, name, value, message):
        params = FIELDS | {"eval_key": "eval"}
        properties = form("evaluate", params, dataset_name=dataset.name)
        assert not any(prop.invalid for prop in properties.values())
        prop = form("evaluate", params | {name: value}, dataset_name=dataset.name)[name]
        assert prop.invalid
        assert message in prop.error_message

    def test_evaluate_colors_where_the_dataset_has_no_colors_of_its_own(self, dataset):
        def chosen() -> bool:
            return form("evaluate", {}, dataset_name=dataset.name)[
                "color_labels"
            ].default

        assert chosen()
        dataset.app_config.color_scheme = outcome_colors(eval_key="other")
        dataset.save()
        assert chosen()
        dataset.app_config.color_scheme.opacity = 0.9
        dataset.save()
        assert not chosen()

    def test_evaluate_says_what_is_replaced(self, dataset):
        params = FIELDS | {"eval_key": "eval"}
        assert "replaces" not in form("evaluate", params, dataset_name=dataset.name)
        evaluate(dataset)
        replaces = form("evaluate", params, dataset_name=dataset.name)["replaces"]
        assert replaces.view.label == "This replaces the evaluation 'eval'"
        replaces = form(
            "evaluate",
            params | {"view_target": "SELECTED_SAMPLES"},
            dataset_name=dataset.name,
            selected=dataset.limit(2).values("id"),
        )["replaces"]
        assert isinstance(replaces.view, types.Warning)
        assert "with one of 2 of 4 images" in replaces.view.label

    def test_evaluate_says_where_there_are_no_masks(self, dataset):
        sample = dataset.first()
        sample["ground_truth"].detections[0]["rle"] = "PP5Q1"
        sample.save()
        params = FIELDS | {"iou_type": "segm"}
        properties = form("evaluate", params, dataset_name=dataset.name)
        assert "boxes_of_pred_field" in properties
        assert "boxes_of_gt_field" not in properties

    def test_import_refuses(self, coco, dataset):
        properties = form(
            "import_coco",
            {
                "annotations": {"absolute_path": f"{coco.annotations}.gz"},
                "images_dir": str(coco.annotations),
                "predictions": str(coco.predictions),
                "name": dataset.name,
                "label_field": "detections",
                "pred_field": "detections",
            },
        )
        messages = {n: p.error_message for n, p in properties.items() if p.invalid}
        assert messages == {
            "annotations": f"No such file: {coco.annotations}.gz",
            "images_dir": f"No such folder: {coco.annotations}",
            "name": f"Dataset {dataset.name!r} already exists",
            "pred_field": "Choose a different field from the annotations",
        }

    def test_import_may_replace_a_dataset(self, dataset):
        params = {"name": dataset.name, "overwrite": True}
        assert not form("import_coco", params)["name"].invalid

    def test_import_proposes_a_name(self, coco):
        params = {"annotations": str(coco.annotations)}
        assert form("import_coco", params)["name"].view.description == "Default: small"
        fo.Dataset("small")
        description = form("import_coco", params)["name"].view.description
        assert description == "Default: small-2"

    def test_import_proposes_a_name_where_the_file_has_none(self, tmp_path):
        (tmp_path / "日本.json").write_text("{}")
        params = {"annotations": str(tmp_path / "日本.json")}
        assert "Default: " in form("import_coco", params)["name"].view.description

    def test_import_refuses_what_is_no_path(self):
        prop = form("import_coco", {"annotations": 3, "name": "\ud800"})
        assert "must be a path" in prop["annotations"].error_message
        assert "choose another dataset name" in prop["name"].error_message

    def test_predictions_may_replace_a_field(self, dataset, coco):
        params = {"predictions": str(coco.predictions), "pred_field": "predictions"}
        ctx = {"dataset_name": dataset.name}
        properties = form("add_coco_predictions", params, **ctx)
        assert "already has this field" in properties["pred_field"].error_message
        properties = form("add_coco_predictions", params | {"overwrite": True}, **ctx)
        assert not properties["pred_field"].invalid


class TestWorstFirst:
    def test_none_is_left_out(self, dataset):
        evaluate(dataset)
        view = worst_first(dataset)
        assert dict(zip(filenames(view), view.values("eval_ap"), strict=True)) == APS
        assert filenames(view) == list(APS)

    def test_on_a_view(self, dataset):
        evaluate(dataset)
        view = worst_first(dataset.exists("eval_ap"))
        assert filenames(view) == [name for name, ap in APS.items() if ap is not None]

    def test_on_a_sorted_view(self, dataset):
        evaluate(dataset)
        view = dataset.exists("eval_ap").sort_by("filepath")
        again = worst_first(worst_first(view))
        assert again == worst_first(dataset.exists("eval_ap"))
        first = worst_first(view.limit(2))
        assert filenames(first) == ["half.png", "hit.png"]

    def test_on_a_view_that_hides_fields(self, dataset):
        evaluate(dataset)
        view = dataset.select_fields("predictions").exclude_fields("eval_fn")
        worst = worst_first(view.limit(3))
        assert filenames(worst) == ["miss.png", "hit.png", "nothing.png"]
        assert filenames(worst_first(view)) == list(APS)
        assert worst_first(worst_first(view)) == worst_first(view)
        assert "eval_ap" not in worst.get_field_schema()

    def test_without_an_evaluation(self, dataset):
        with pytest.raises(CocoAuditError, match="run evaluate"):
            worst_first(dataset, "other")
