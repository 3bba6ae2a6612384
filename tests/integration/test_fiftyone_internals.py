"""What the package expects of FiftyOne's private parts, each held to it."""

import json
import subprocess
import sys
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from bson import ObjectId, json_util

from fiftyone_coco_audit import CocoAuditError
from fiftyone_coco_audit import fiftyone_internals as internals


@pytest.fixture
def dataset() -> fo.Dataset:
    dataset = fo.Dataset()
    box = [0.1, 0.1, 0.5, 0.5]
    labels = fo.Detections(detections=[fo.Detection(label="cat", bounding_box=box)])
    samples = [
        fo.Sample(filepath=f"/{n}.jpg", labels=labels.copy(), n=n, group=n % 2)
        for n in range(3)
    ]
    dataset.add_samples(samples, progress=False)
    return dataset


@pytest.fixture
def run_key(dataset: fo.Dataset) -> str:
    """The key of a run that was saved with FiftyOne's own functions."""
    dataset.register_run("audit", dataset.init_run(method="audit"))
    results = dataset.init_run_results("audit", numbers=[1, 2])
    dataset.save_run_results("audit", results)
    return "audit"


def stored(dataset: fo.Dataset, *fields: str) -> Any:
    return internals.stored_dataset(internals.dataset_id(dataset), fields)


class TestErrors:
    def test_a_missing_private_name_names_fiftyone(self, dataset, monkeypatch):
        monkeypatch.delattr(fo.Dataset, "_reload")
        with pytest.raises(
            CocoAuditError, match=f"FiftyOne {fo.__version__} .*_reload"
        ):
            internals.reload_dataset(dataset)

    def test_other_errors_are_left_alone(self):
        with pytest.raises(
            AttributeError, match="'int' object has no attribute 'view'"
        ):
            internals.view_stages(1)


class TestViews:
    def test_root_dataset(self, dataset):
        assert internals.root_dataset(dataset) is dataset
        assert internals.root_dataset(dataset.limit(1)) is dataset
        patches = dataset.to_patches("labels")
        assert internals.root_dataset(patches) is dataset
        assert internals.own_dataset(dataset.limit(1)) is dataset
        assert internals.own_dataset(patches).values("id") == patches.values("id")

    def test_stages_survive_json(self, dataset):
        view = dataset.match(fo.ViewField("n") > 0).select(dataset.first().id).limit(2)
        stages = json.loads(json.dumps(internals.stages_of(view)))
        again = internals.with_stages(dataset, stages)
        assert again == view and "_uuid" not in str(stages)
        assert internals.stages_of(dataset) is None
        assert internals.with_stages(dataset, None) is dataset
        assert internals.stages_of(dataset.view()) == []

    def test_stages_are_exchanged(self, dataset):
        view = dataset.limit(2).sort_by("n", reverse=True)
        stages = internals.view_stages(view)
        assert [type(stage) for stage in stages] == [fo.Limit, fo.SortBy]
        assert internals.with_view_stages(view, stages[:1]) == dataset.limit(2)
        # Of a view of patches, the patches stay
        patches = dataset.to_patches("labels").limit(1)
        assert len(internals.with_view_stages(patches, [])) == 3

    def test_stage_parameters(self):
        stage = fo.FilterLabels("labels", fo.ViewField("confidence") >= 0.5)
        parameters = internals.stage_parameters(stage)
        assert parameters["filter"] == {"$gte": ["$labels.confidence", 0.5]}
        assert parameters["only_matches"] is True

    def test_kind_of_view(self, dataset):
        kinds = {
            "images": [dataset, dataset.limit(1)],
            "patches": [dataset.to_patches("labels")],
            "dynamic_groups": [dataset.group_by("group")],
        }
        for kind, views in kinds.items():
            assert {internals.kind_of_view(view) for view in views} == {kind}
        video = fo.Dataset()
        sample = fo.Sample(filepath="/a.mp4", events=fo.TemporalDetections())
        sample.frames[1] = fo.Frame(filepath="/1.jpg")
        video.add_sample(sample)
        assert internals.kind_of_view(video.to_clips("events")) == "clips"
        frames = video.to_frames(sample_frames=False)
        assert internals.kind_of_view(frames) == "frames"

    def test_aggregate(self, dataset):
        view = dataset.sort_by("n", reverse=True).limit(2)
        found = internals.aggregate(view, [{"$project": {"n": 1}}])
        assert [document["n"] for document in found] == [2, 1]


class TestDatabase:
    def test_documents_of_datasets_and_samples(self, dataset):
        assert stored(dataset, "name")["name"] == dataset.name
        assert internals.stored_dataset(ObjectId(), ["name"]) is None
        documents = list(internals.sample_collection(dataset).find())
        assert [document["filepath"] for document in documents] == [
            "/0.jpg",
            "/1.jpg",
            "/2.jpg",
        ]
        # What our own documents of samples have
        assert {type(document["_rand"]) for document in documents} == {float}
        assert isinstance(internals.random_key(), float)
        assert documents[0]["_dataset_id"] == internals.dataset_id(dataset)
        assert documents[0]["_media_type"] == "image"
        assert documents[0]["labels"]["_cls"] == "Detections"
        assert documents[0]["labels"]["detections"][0]["_cls"] == "Detection"

    def test_a_change_of_the_document_is_loaded_by_a_reload(self, dataset):
        internals.update_stored_dataset(dataset, {"$set": {"info": {"a": 1}}})
        assert dataset.info == {}
        internals.reload_dataset(dataset)
        assert dataset.info == {"a": 1}

    def test_execution_store(self, dataset):
        internals.execution_store(dataset, "mine").set("key", {"a": 1})
        again = foo.store.ExecutionStore.create("mine", internals.dataset_id(dataset))
        assert again.get("key") == {"a": 1}

    def test_temporary_datasets_can_be_left_at_exit(self, mongodb):
        code = (
            "import sys, fiftyone as fo;"
            "from fiftyone_coco_audit.fiftyone_internals import leave_database_at_exit;"
            "fo.Dataset(sys.argv[1]); leave_database_at_exit()"
        )
        subprocess.run([sys.executable, "-c", code, "left"], check=True)
        assert internals.database().datasets.find_one({"name": "left"})


class TestLoadedDatasets:
    def test_loaded_anew_is_another_object(self, dataset):
        again = internals.loaded_anew(dataset.name)
        assert again is not dataset and again == dataset
        assert fo.load_dataset(dataset.name) is dataset

    def test_samples_in_memory_are_reloaded(self, dataset):
        sample = dataset.first()
        change = {"$set": {"n": 7}}
        internals.sample_collection(dataset).update_one({"n": 0}, change)
        assert sample.n == 0
        internals.reload_samples(dataset)
        assert sample.n == 7

    def test_the_new_name_is_loaded(self, dataset):
        before, name = dataset.name, f"{dataset.name}-renamed"
        change = {"$set": {"name": name, "slug": name}}
        internals.update_stored_dataset(dataset, change)
        internals.rename_loaded(dataset, name)
        internals.reload_dataset(dataset)
        assert dataset.name == name and fo.load_dataset(name) is dataset
        assert not fo.dataset_exists(before)

    def test_unsaved_changes(self, dataset):
        dataset.save()
        assert not any(internals.unsaved_changes(dataset).values())
        dataset.info["a"] = 1
        assert internals.unsaved_changes(dataset) == {
            "$set": {"info.a": 1},
            "$unset": {},
        }

    def test_sidebar_groups(self, dataset):
        internals.add_to_sidebar_group(dataset, ["n", "group"], "mine")
        dataset.reload()
        groups = {g.name: g.paths for g in dataset.app_config.sidebar_groups}
        assert groups["mine"] == ["n", "group"] and "n" not in groups["primitives"]


class TestRuns:
    def test_ids_and_cached_results(self, dataset, run_key):
        run_id = stored(dataset, "runs")["runs"][run_key]
        assert internals.run_ids(dataset, "runs") == {run_key: run_id}
        assert internals.run_ids(dataset, "evaluations") == {}
        results = dataset.load_run_results(run_key)
        cached = internals.cached_results(dataset, "runs")
        assert cached[run_key] is results
        del cached[run_key]
        assert dataset.load_run_results(run_key) is not results
        assert internals.cached_results(dataset, "evaluations") == {}

    def test_a_document_is_like_fiftyones_own(self, dataset, run_key):
        view = dataset.limit(1)
        config = view.init_run(method="audit")
        view.register_run("view", config)
        for samples, key in ((dataset, run_key), (view, "view")):
            own = internals.find_run_document(internals.run_ids(dataset, "runs")[key])
            assert own is not None
            ours = internals.new_run_document(samples, key, config)
            for name in ("dataset_id", "key", "version", "config"):
                assert ours[name] == own[name], name
            ours_and_own = [
                [json_util.loads(stage) for stage in document.view_stages or ()]
                for document in (ours, own)
            ]
            assert ours_and_own[0] == ours_and_own[1]

    def test_deletion_takes_the_results(self, dataset, run_key):
        run_id = internals.run_ids(dataset, "runs")[run_key]
        document = internals.find_run_document(run_id)
        assert document is not None
        file = {"_id": document.results.grid_id}
        files = internals.database()["fs.files"]
        assert files.count_documents(file) == 1
        for _ in range(2):
            internals.delete_run_document(run_id)
            assert internals.find_run_document(run_id) is None
            assert files.count_documents(file) == 0
        # As the dataset refers to it, FiftyOne could not delete the dataset
        assert not internals.lost_runs(dataset, "runs")
        internals.reload_dataset(dataset)
        assert internals.lost_runs(dataset, "runs") == [run_key]
        assert internals.run_ids(dataset, "runs") == {run_key: run_id}
        unset = {"$unset": {f"runs.{run_key}": ""}}
        internals.update_stored_dataset(dataset, unset)
        internals.reload_dataset(dataset)


def test_processes_of_a_server_that_is_not_ours():
    assert internals.server_processes(1) == []
