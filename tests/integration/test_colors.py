"""The colors of labels after an evaluation, and which predictions a view hides."""

from pathlib import Path

import fiftyone as fo
import pytest
from fiftyone import ViewField as F

from fiftyone_coco_audit import (
    CocoAuditError,
    color_by_outcome,
    evaluate,
    import_coco,
    outcome_colors,
    restore_colors,
    worst_first,
)
from fiftyone_coco_audit.evaluation.colors import is_outcome_colors
from fiftyone_coco_audit.evaluation.views import hidden_by_score, showing_all_scores
from tests.small_coco import APS, write_small_coco


@pytest.fixture
def dataset(tmp_path: Path) -> fo.Dataset:
    coco = write_small_coco(tmp_path / "small")
    dataset = import_coco(
        coco.annotations, coco.images_dir, predictions=coco.predictions
    )
    for sample in dataset:
        for place, label in enumerate(sample["predictions"].detections):
            label.confidence = [0.9, 0.2][place % 2]
        if sample["predictions"].detections:
            first = sample["predictions"].detections[0].copy()
            first.confidence = 0.3
            unsure = first.copy()
            unsure.confidence = None
            sample["predictions"].detections += [first, unsure]
        sample.save()
    return dataset


def own_scheme() -> fo.ColorScheme:
    return fo.ColorScheme(color_pool=["#123456"], color_by="field")


class TestColors:
    def test_they_live_with_the_dataset(self, dataset, worker):
        evaluate(dataset)
        scheme = color_by_outcome(dataset)
        assert is_outcome_colors(scheme)
        # Another process opens it
        fields = worker.run(
            f"""
            scheme = fo.load_dataset({dataset.name!r}).app_config.color_scheme
            result = {{field["path"]: field["colorByAttribute"]
                       for field in scheme.fields}}
            """
        )
        assert fields == {"ground_truth": "eval", "predictions": "eval"}

    def test_what_is_ignored_is_gray(self):
        for field in outcome_colors().fields:
            (color,) = (
                one["color"] for one in field["valueColors"] if one["value"] == "none"
            )
            red, green, blue = (color[i : i + 2] for i in (1, 3, 5))
            assert red == green == blue

    @pytest.mark.parametrize("own", [True, False])
    def test_restored(self, dataset, own):
        if own:
            dataset.app_config.color_scheme = own_scheme()
            dataset.save()
        for key in ("one", "two", "two"):
            evaluate(dataset, eval_key=key)
            color_by_outcome(dataset, key)
        scheme = dataset.app_config.color_scheme
        # They follow the last evaluation
        assert {field["colorByAttribute"] for field in scheme.fields} == {"two"}
        restore_colors(dataset)
        dataset.reload()
        scheme = dataset.app_config.color_scheme
        assert (scheme.color_pool == ["#123456"]) if own else scheme is None
        assert "coco_audit_colors" not in dataset.info
        with pytest.raises(CocoAuditError, match="nothing to restore"):
            restore_colors(dataset)

    def test_those_that_a_user_made_later_stay(self, dataset):
        evaluate(dataset)
        color_by_outcome(dataset)
        dataset.app_config.color_scheme = own_scheme()
        dataset.save()
        with pytest.raises(CocoAuditError, match="nothing to restore"):
            restore_colors(dataset)
        dataset.delete_evaluation("eval")
        assert dataset.app_config.color_scheme.color_pool == ["#123456"]

    def test_they_follow_a_rename(self, dataset):
        evaluate(dataset)
        color_by_outcome(dataset)
        dataset.rename_evaluation("eval", "better")
        dataset.reload()
        scheme = dataset.app_config.color_scheme
        assert {field["colorByAttribute"] for field in scheme.fields} == {"better"}
        assert "better" in dataset.list_evaluations()

    @pytest.mark.parametrize("own", [True, False])
    def test_they_go_with_the_evaluation(self, dataset, own):
        if own:
            dataset.app_config.color_scheme = own_scheme()
            dataset.save()
        for key in ("one", "two"):
            evaluate(dataset, eval_key=key)
        color_by_outcome(dataset, "two")
        dataset.delete_evaluation("one")
        assert is_outcome_colors(dataset.app_config.color_scheme)
        dataset.delete_evaluation("two")
        dataset.reload()
        scheme = dataset.app_config.color_scheme
        assert (scheme.color_pool == ["#123456"]) if own else scheme is None
        assert dataset.list_evaluations() == []
        assert not dataset.has_field("two_ap")

    def test_without_an_evaluation(self, dataset):
        with pytest.raises(CocoAuditError, match="has no evaluation 'other'"):
            color_by_outcome(dataset, "other")
        assert dataset.app_config.color_scheme is None

    def test_the_state_is_that_of_the_database(self, dataset, worker):
        evaluate(dataset)
        # Another process sets colors meanwhile
        worker.run(
            f"""
            theirs = fo.load_dataset({dataset.name!r})
            theirs.app_config.color_scheme = fo.ColorScheme(color_pool=["#123456"])
            theirs.info["theirs"] = 1
            theirs.save()
            """
        )
        color_by_outcome(dataset)
        restore_colors(dataset)
        assert dataset.app_config.color_scheme.color_pool == ["#123456"]
        assert dataset.info["theirs"] == 1

    def test_views_have_the_colors_of_their_datasets(self, dataset):
        evaluate(dataset)
        color_by_outcome(dataset.limit(1))
        assert dataset.app_config.color_scheme is not None
        restore_colors(dataset.limit(1))
        for function in (color_by_outcome, restore_colors):
            with pytest.raises(CocoAuditError, match="a FiftyOne dataset or view"):
                function(dataset.name)


class TestHiddenPredictions:
    @pytest.mark.parametrize("score", ["0.5", True, [0.5]])
    def test_only_by_numbers(self, dataset, score):
        """MongoDB compares all with all: such a score would hide nothing."""
        evaluate(dataset)
        with pytest.raises(CocoAuditError, match="min_score is .*: it must be a numb"):
            worst_first(dataset, min_score=score)

    def test_only_those_of_low_score(self, dataset):
        evaluate(dataset)
        view = worst_first(dataset, min_score=0.5)
        assert [Path(path).name for path in view.values("filepath")] == list(APS)
        shown = view.values("predictions.detections.confidence", unwind=True)
        expected = dataset.values("predictions.detections.confidence", unwind=True)
        assert sorted(map(str, shown)) == sorted(
            str(score) for score in expected if score is None or score >= 0.5
        )
        assert view.count("ground_truth.detections") == 4

    def test_all_come_back(self, dataset):
        evaluate(dataset)
        view = worst_first(dataset, min_score=0.5)
        everything = showing_all_scores(view)
        assert everything == worst_first(dataset)
        assert hidden_by_score(view, "predictions") == 0.5
        assert hidden_by_score(view, "ground_truth") is None
        assert hidden_by_score(everything, "predictions") is None
        # As the App gives it back
        again = fo.DatasetView._build(dataset, view._serialize())
        assert hidden_by_score(again, "predictions") == 0.5
        assert showing_all_scores(again) == worst_first(dataset)
        assert worst_first(again, min_score=0.25) == worst_first(
            dataset, min_score=0.25
        )

    def test_the_filters_of_a_user_stay(self, dataset):
        evaluate(dataset)
        for view in (
            dataset.filter_labels("predictions", F("confidence") >= 0.5),
            dataset.filter_labels("predictions", F("label") == "cat"),
            dataset.filter_labels(
                "predictions", F("confidence") >= 0.5, only_matches=False
            ),
        ):
            assert showing_all_scores(view) == view
            assert hidden_by_score(view, "predictions") is None

    def test_an_evaluation_of_such_a_view_says_so(self, dataset):
        evaluate(dataset)
        view = worst_first(dataset, min_score=0.5)
        results = evaluate(view, eval_key="seen")
        assert any("score below 0.5" in note for note in results.notes)
        assert not any("below" in note for note in evaluate(dataset).notes)
