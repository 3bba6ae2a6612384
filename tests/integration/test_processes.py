"""Several processes and threads on one dataset, and processes that are killed."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.core.odm as foo
import pytest

import fiftyone_coco_audit as ca
from fiftyone_coco_audit.evaluation.colors import is_outcome_colors
from fiftyone_coco_audit.evaluation.fields import specs
from fiftyone_coco_audit.storage.exclusive import up_to_date
from tests.small_coco import APS, SmallCoco, write_small_coco
from tests.workers import Worker, WorkerFailed

NAME = "shared by processes"
STATISTICS = ("aspect_ratio", "megapixels", "num_objects", "num_classes")
OF_OBJECTS = ("relative_area", "size_class", "input_size", "anchor_iou")


def written(eval_key: str) -> list[str]:
    """The fields that an evaluation writes at once."""
    fields = specs(
        eval_key, "predictions", "ground_truth", overlap="IoU 0.5", score=0.5
    )
    return [field.path for field in fields]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> SmallCoco:
    paths = write_small_coco(tmp_path_factory.mktemp("small") / "coco")
    predictions = json.loads(paths.predictions.read_text())
    # In percent, so that there is something to repair
    for record in predictions:
        record["score"] *= 100
    paths.predictions.write_text(json.dumps(predictions))
    return paths


@pytest.fixture
def dataset(files: SmallCoco) -> fo.Dataset:
    return imported(files)


def imported(files: SmallCoco) -> fo.Dataset:
    return ca.import_coco(
        files.annotations,
        files.images_dir,
        predictions=files.predictions,
        name=NAME,
        progress=False,
    )


@pytest.fixture
def pair(mongodb: str) -> Iterator[tuple[Worker, Worker]]:
    """Two processes."""
    workers = Worker(), Worker()
    yield workers
    for worker in workers:
        worker.end()


def load(files: SmallCoco, *workers: Worker) -> None:
    """Has processes load the dataset, as it is now."""
    for worker in workers:
        worker.run(
            f"""
            predictions = {str(files.predictions)!r}
            ds = fo.load_dataset({NAME!r}, reload=True)
            ds.clear_cache()
            """
        )


# What a process can do, and who has to be told of a field that is there already
WRITERS = {
    "evaluate": "evaluate(ds)",
    "evaluate a view": "evaluate(ds.limit(2), eval_key='part')",
    "statistics": "compute_statistics(ds)",
    "resampling": "simulate_resampling(ds)",
    "audit": "audit(ds)",
    "dry run": "dry_run(ds, 'minimal', workers=1)",
    "augmentation": "audit_augmentation(ds, 'minimal', num_draws=1, workers=1, "
    "write_fields=True)",
    "predictions": "add_coco_predictions(ds, predictions, pred_field='p2', "
    "overwrite=True)",
    "repair": "repair_predictions(ds, output_field='p3', overwrite=True)",
}


def assert_whole(done: set[str]) -> None:
    """All that was done is there, whole, and nothing else."""
    dataset = fo.load_dataset(NAME, reload=True)
    dataset.clear_cache()
    values, database = dataset.values, foo.get_db_conn()
    aps = [APS[Path(path).name] for path in values("filepath")]
    expected_fields: set[str] = set()
    if "evaluate" in done:
        assert values("eval_ap") == [
            None if ap is None else pytest.approx(ap, abs=1e-9) for ap in aps
        ]
        outcomes = Counter(values("predictions.detections.eval", unwind=True))
        assert outcomes == {"tp": 2, "fp": 1}
        assert None not in values("ground_truth.detections.eval", unwind=True)
        expected_fields |= set(written("eval"))
        assert dataset.load_evaluation_results("eval").samples == dataset
    if "evaluate a view" in done:
        assert sum(status is not None for status in values("part_status")) == 2
        expected_fields |= set(written("part"))
    if "statistics" in done:
        for name in STATISTICS:
            assert None not in values(name)
        for name in OF_OBJECTS:
            assert None not in values(f"ground_truth.detections.{name}", unwind=True)
    if "resampling" in done:
        assert None not in values("repeat_factor")
    if "dry run" in done:
        assert values("dry_run_status") == ["ok"] * 4
    if "augmentation" in done:
        share = values("augmentation_damage")
        assert sum(value is not None for value in share) == 3
    if "predictions" in done:
        assert dataset.count("p2.detections") == 3
        assert ca.import_report(dataset).predictions["p2"] == 3
        assert dataset.info["coco_audit"]["import"]["predictions"]["p2"] == 3
    if "repair" in done:
        scores = values("p3.detections.confidence", unwind=True)
        assert scores == pytest.approx([0.9, 0.7, 0.8])
        assert ca.import_report(dataset).predictions["p3"] == 3
    if "audit" in done:
        assert ca.load_audit(dataset).num_objects == 4
    assert expected_fields <= {*dataset.get_field_schema(flat=True)}
    assert_tidy(dataset)
    keys = {"evaluate": "eval", "evaluate a view": "part"}
    evaluations = {key for writer, key in keys.items() if writer in done}
    assert set(dataset.list_evaluations()) == evaluations
    assert database["coco_audit.locks"].count_documents({}) == 0


def assert_tidy(dataset: fo.Dataset) -> None:
    """Nothing is stored twice, or belongs to nobody."""
    database = foo.get_db_conn()
    document = database.datasets.find_one({"_id": dataset._doc.id})
    assert_names_once(document["sample_fields"])
    groups = document["app_config"].get("sidebar_groups") or []
    paths = [path for group in groups for path in group["paths"]]
    assert max(Counter(paths).values(), default=1) == 1
    assert max(Counter(group["name"] for group in groups).values(), default=1) == 1

    runs = {*document["evaluations"].values(), *document["runs"].values()}
    stored = list(database.runs.find({"_dataset_id": dataset._doc.id}))
    assert {run["_id"] for run in stored} == runs
    files = {run["results"] for run in database.runs.find()} - {None}
    assert {file["_id"] for file in database["fs.files"].find()} == files
    assert set(database["fs.chunks"].distinct("files_id")) == files
    names = database.list_collection_names()
    assert not [name for name in names if name.startswith("coco_audit.values")]
    assert database["coco_audit.writes"].count_documents({}) == 0
    samples = {d["sample_collection_name"] for d in database.datasets.find()}
    assert {name for name in names if name.startswith("samples.")} <= samples


def assert_names_once(fields: list[dict[str, Any]]) -> None:
    names = [field["name"] for field in fields]
    assert len(names) == len(set(names)), names
    for field in fields:
        assert_names_once(field.get("fields") or [])


# A repair writes as an addition of predictions does
@pytest.mark.parametrize("first", [name for name in WRITERS if name != "repair"])
def test_one_process_after_another(
    first: str, dataset: fo.Dataset, files: SmallCoco, pair: tuple[Worker, Worker]
) -> None:
    """A holds the dataset as it was before B wrote, and writes once more."""
    a, b = pair
    load(files, a, b)
    done = {first}
    a.run(WRITERS[first])
    for second in WRITERS:
        b.run(WRITERS[second])
        a.run(WRITERS[first])
        done.add(second)
    assert_whole(done)
    # B has not heard of the last of these
    b.run(WRITERS[first])
    assert_whole(done)


@pytest.mark.parametrize("first", WRITERS)
def test_two_processes_at_once(
    first: str, dataset: fo.Dataset, files: SmallCoco, pair: tuple[Worker, Worker]
) -> None:
    names = list(WRITERS)
    load(files, *pair)
    done = {first}
    for second in names[names.index(first) :]:
        for worker, writer in zip(pair, (first, second), strict=True):
            worker.start(WRITERS[writer])
        for worker in pair:
            worker.result()
        done.add(second)
        assert_whole(done)


def test_two_threads_at_once(dataset: fo.Dataset, files: SmallCoco) -> None:
    """They share one loaded dataset."""
    chosen = ["evaluate", "evaluate a view", "statistics", "audit", "predictions"]
    names = {**vars(ca), "ds": dataset, "predictions": files.predictions}
    names |= {name: getattr(ca, name) for name in ca.__all__}
    failed: list[BaseException] = []

    def write(writer: str) -> None:
        try:
            eval(WRITERS[writer], dict(names))
        except BaseException as error:
            failed.append(error)

    done = set()
    for position, first in enumerate(chosen):
        for second in chosen[position:]:
            threads = [
                threading.Thread(target=write, args=(writer,))
                for writer in (first, second)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if failed:
                raise failed[0]
            done |= {first, second}
            assert_whole(done)


def test_the_loaded_dataset_knows_what_its_own_writes_have_done(
    dataset: fo.Dataset, files: SmallCoco, pair: tuple[Worker, Worker]
) -> None:
    load(files, *pair)
    a, b = pair
    b.run("evaluate(ds, eval_key='other'); compute_statistics(ds)")
    result = a.run(
        """
        sample = ds.first()
        evaluate(ds)
        result = (
            ds.list_evaluations(), ds.has_field('other_ap'), ds.has_field('megapixels'),
            sample.eval_tp is not None, ds.first().other_tp is not None,
        )
        """
    )
    assert result == (["eval", "other"], True, True, True, True)


@pytest.mark.parametrize("own", ["eval_ap", "input_size", "repeat_factor"])
def test_a_field_that_somebody_made_meanwhile_is_not_overwritten(
    own: str, dataset: fo.Dataset, files: SmallCoco, pair: tuple[Worker, Worker]
) -> None:
    load(files, *pair)
    path = f"ground_truth.detections.{own}" if own == "input_size" else own
    value = "[[7.0]] * 4" if own == "input_size" else "[7.0] * 4"
    pair[1].run(
        f"""
        ds.add_sample_field({path!r}, fo.FloatField)
        for sample in ds.iter_samples(autosave=True):
            if {own!r} == 'input_size':
                for label in sample.ground_truth.detections:
                    label.input_size = 7.0
            else:
                sample[{own!r}] = 7.0
        """
    )
    writers = ("evaluate", "statistics", "resampling")
    refused = 0
    for writer in writers:
        try:
            pair[0].run(WRITERS[writer])
        except WorkerFailed as error:
            assert f"already has a field {path!r}" in str(error)
            refused += 1
    assert refused == 1, value
    dataset.reload()
    assert set(dataset.values(path, unwind=True)) == {7.0}
    assert_tidy(dataset)


def test_predictions_that_another_process_has_added_are_not_replaced(
    dataset: fo.Dataset, files: SmallCoco, pair: tuple[Worker, Worker]
) -> None:
    a, b = pair
    load(files, a, b)
    b.run("add_coco_predictions(ds, predictions, pred_field='p2')")
    with pytest.raises(WorkerFailed, match="already has a field 'p2'"):
        a.run(
            """
            some = [dict(image_id=0, category_id=1, bbox=[1, 1, 5, 5], score=0.5)]
            add_coco_predictions(ds, some, pred_field='p2')
            """
        )
    report = a.run("result = import_report(ds).predictions")
    assert report == {"predictions": 3, "p2": 3}
    assert_whole({"predictions"})


def test_predictions_of_one_name_at_once(
    dataset: fo.Dataset, files: SmallCoco, pair: tuple[Worker, Worker]
) -> None:
    load(files, *pair)
    for worker in pair:
        worker.start("add_coco_predictions(ds, predictions, pred_field='p2')")
    outcomes = []
    for worker in pair:
        try:
            outcomes.append(worker.result())
        except WorkerFailed as error:
            outcomes.append(str(error).strip().splitlines()[-1])
    assert outcomes.count(None) == 1
    (refused,) = (outcome for outcome in outcomes if outcome)
    assert (
        "CocoAuditError: Dataset" in refused and "already has a field 'p2'" in refused
    )
    assert_whole({"predictions"})


# What happens to a dataset while another process computes, and what that says
MEANWHILE = {
    "a field is deleted": ("ds.delete_sample_field('predictions')", "has no field"),
    "a field is renamed": (
        "ds.rename_sample_field('predictions', 'yolo')",
        "fields of detections are: 'ground_truth', 'yolo'",
    ),
    "samples are deleted": ("ds.delete_samples(ds.take(1))", "of 1 sample .* changed"),
    "a label is changed": (
        "s = ds.first(); s.ground_truth.detections[0].label = 'dog'; s.save()",
        "of 1 sample .* were changed by someone else",
    ),
    "the dataset is deleted": ("ds.delete()", "was deleted or replaced"),
    "the dataset is renamed": ("ds.name = 'renamed meanwhile'", None),
    "a field is read-only": (
        "f = ds.get_field('predictions'); f.read_only = True; f.save()",
        "'predictions' .* is read-only",
    ),
    "it is evaluated": ("evaluate(ds)", None),
    "statistics are computed": ("compute_statistics(ds)", None),
    "the evaluation is deleted": ("ds.delete_evaluation('old')", None),
}


def paused(worker: Worker, code: str, folder: Path) -> None:
    """Has a process run code until it has computed what it is about to write."""
    worker.start(
        f"""
        import pathlib, time
        folder = pathlib.Path({str(folder)!r})
        insert = publishing.insert_values

        def wait(*args, **kwargs):
            (folder / "ready").touch()
            while not (folder / "go").exists():
                time.sleep(0.01)
            insert(*args, **kwargs)

        publishing.insert_values = wait
        try:
            {code}
        finally:
            publishing.insert_values = insert
        """
    )
    while not (folder / "ready").exists():
        assert not worker.has_answered, worker.result()
        time.sleep(0.01)


@pytest.mark.parametrize("event", MEANWHILE)
def test_what_happens_while_somebody_evaluates(
    event: str,
    dataset: fo.Dataset,
    files: SmallCoco,
    pair: tuple[Worker, Worker],
    tmp_path: Path,
) -> None:
    a, b = pair
    ca.evaluate(dataset, eval_key="old", progress=False)
    load(files, a, b)
    happens, sentence = MEANWHILE[event]
    paused(a, "result = evaluate(ds).notes", tmp_path)
    b.run(happens)
    (tmp_path / "go").touch()
    if sentence is None:
        notes = a.result()
        said = [note for note in notes if "at the same time" in note]
        assert len(said) == (event == "it is evaluated")
        dataset = fo.load_dataset(a.run("result = ds.name"), reload=True)
        assert dataset.values("eval_tp") == [1, 0, 0, 1]
        assert dataset.has_evaluation("old") == ("deleted" not in event)
    else:
        with pytest.raises(WorkerFailed, match=sentence):
            a.result()
        if "dataset is deleted" in event:
            assert not fo.dataset_exists(NAME)
            assert not foo.get_db_conn()["coco_audit.writes"].count_documents({})
            return
        dataset.reload()
        assert not [p for p in dataset.get_field_schema(flat=True) if "eval_" in p]
    assert_tidy(dataset)


# What works on a field: its code, what was done before, and the field
LOSERS = {
    **{
        name: (WRITERS[name], "", "ground_truth")
        for name in ("evaluate", "statistics", "resampling", "audit", "dry run")
    },
    "augmentation": (WRITERS["augmentation"], "", "ground_truth"),
    "evaluate again": (
        "evaluate(ds, iou_thresholds=[0.9])",
        "evaluate(ds)",
        "predictions",
    ),
    "evaluate masks": ("evaluate(ds, iou_type='segm')", "", "predictions"),
    "statistics again": (
        "compute_statistics(ds, resize='stretch 64')",
        "compute_statistics(ds)",
        "ground_truth",
    ),
    "new predictions": (WRITERS["predictions"], "", "predictions"),
    "predictions again": (
        "add_coco_predictions(ds, predictions, overwrite=True)",
        "",
        "predictions",
    ),
    "apply": (
        "apply_augmentation(ds, 'minimal', output_dir=folder / 'new')",
        "",
        "ground_truth",
    ),
    "delete fields": (
        "delete_fields_of(ds, 'compute_statistics')",
        "compute_statistics(ds)",
        "ground_truth",
    ),
    "delete evaluation": (
        "ds.delete_evaluation('eval')",
        "evaluate(ds)",
        "predictions",
    ),
}
# Where it stops while another process deletes or renames that field
STOPS = {
    "before it reads": "columns.aggregate",
    "after it has read": "columns.SampleColumns.__init__",
    "before it publishes": "writes.Write.publish",
    "before it adds samples": "writes.check_addition",
    "before it declares fields": "writes.declare_fields",
    "before it copies values": "writes.merge_values",
    "before it deletes fields": "fo.Dataset.delete_sample_fields",
}
LOST = {
    "deleted": "ds.delete_sample_field({field!r})",
    "renamed": "ds.rename_sample_field({field!r}, 'theirs')",
}


def stopped(worker: Worker, code: str, stop: str, folder: Path) -> bool:
    """Has a process run code until it comes to a function; whether it came there."""
    worker.start(
        f"""
        folder, whole = pathlib.Path({str(folder)!r}), {stop}

        def wait(*args, **kwargs):
            {stop} = whole
            (folder / "ready").touch()
            while not (folder / "go").exists():
                time.sleep(0.01)
            return whole(*args, **kwargs)

        {stop} = wait
        try:
            {code}
        finally:
            {stop} = whole
        """
    )
    while not (folder / "ready").exists() and not worker.has_answered:
        time.sleep(0.01)
    return (folder / "ready").exists()


@pytest.mark.parametrize("loser", LOSERS)
def test_a_field_that_is_lost_to_whoever_works_on_it(
    loser: str,
    files: SmallCoco,
    pair: tuple[Worker, Worker],
    tmp_path: Path,
) -> None:
    """It says so, or has done its work; nothing comes back, and nothing is left."""
    a, b = pair
    code, before, field = LOSERS[loser]
    stops = 0
    # One event at each stop, the other one for the next loser
    first = [*LOSERS].index(loser)
    for number, stop in enumerate(STOPS.values()):
        event = [*LOST][(first + number) % len(LOST)]
        if fo.dataset_exists(NAME):
            fo.delete_dataset(NAME)
        dataset = imported(files)
        load(files, a, b)
        b.run(before)
        load(files, a)
        dataset.reload()
        schema = {*dataset.get_field_schema(flat=True)}
        folder = tmp_path / str(number)
        folder.mkdir()
        if not stopped(a, code, stop, folder):
            a.result()
            continue
        stops += 1
        b.run(LOST[event].format(field=field))
        (folder / "go").touch()
        error = None
        try:
            a.result()
        except WorkerFailed as failed:
            error = str(failed).strip().splitlines()[-1]
            assert error.startswith("fiftyone_coco_audit.errors.CocoAuditError"), failed
            assert repr(field) in error

        dataset.reload()
        assert_tidy(dataset)
        now = {*dataset.get_field_schema(flat=True)}
        # There they have been replaced, but new ones are not there yet
        replaced = loser == "predictions again" and stop in (
            "writes.declare_fields",
            "writes.merge_values",
        )
        if event == "renamed" and not replaced:
            most = 4 if field == "ground_truth" else 3
            assert dataset.has_field("theirs"), stop
            assert dataset.count("theirs.detections") == most, stop
        if loser == "predictions again" and field in now:
            assert error is None and dataset.count("predictions.detections") == 3
            continue
        assert field not in now, stop
        assert not dataset._sample_collection.count_documents(
            {field: {"$exists": True}}
        )
        if error is not None:
            left = {path for path in now - schema if not path.startswith("theirs")}
            assert not left, (stop, error)
    assert stops


def test_a_loaded_dataset_that_is_old(
    dataset: fo.Dataset, files: SmallCoco, pair: tuple[Worker, Worker]
) -> None:
    """All that reads, deletes and renames takes what the database has."""
    a, b = pair
    load(files, a, b)
    b.run("evaluate(ds); compute_statistics(ds); audit(ds)")
    first, audited = a.run(
        """
        result = worst_first(ds).first().filepath, load_audit(ds).num_objects
        """
    )
    assert first.endswith("miss.png") and audited == 4
    b.run("evaluate(ds, iou_thresholds=[0.9]); compute_statistics(ds)")
    a.run("delete_fields_of(ds, 'compute_statistics')")
    a.run("ds.rename_evaluation('eval', 'other')")
    b.run("evaluate(ds, eval_key='other')")
    a.run("ds.delete_evaluation('other')")
    dataset.reload()
    schema = dataset.get_field_schema(flat=True)
    assert not [path for path in schema if "eval" in path or "other" in path]
    assert not [path for path in schema if path.endswith("size_class")]
    assert_tidy(dataset)


def test_colors_wait_for_whoever_changes_the_dataset(
    dataset: fo.Dataset, files: SmallCoco, pair: tuple[Worker, Worker], tmp_path: Path
) -> None:
    a, b = pair
    ca.evaluate(dataset, progress=False)
    load(files, a, b)
    a.start(
        f"""
        folder = pathlib.Path({str(tmp_path)!r})
        with exclusive(ds) as fresh:
            (folder / "ready").touch()
            while not (folder / "go").exists():
                time.sleep(0.01)
            fresh.app_config.color_scheme = fo.ColorScheme(color_pool=["#123456"])
            fresh.info["theirs"] = 1
            fresh.save()
        """
    )
    while not (tmp_path / "ready").exists():
        assert not a.has_answered, a.result()
        time.sleep(0.01)
    b.start("ds.info['mine'] = 2; color_by_outcome(ds)")
    time.sleep(0.5)
    assert not b.has_answered
    (tmp_path / "go").touch()
    a.result()
    b.result()
    dataset.reload()
    assert is_outcome_colors(dataset.app_config.color_scheme)
    a.run("restore_colors(ds)")
    dataset.reload()
    assert dataset.app_config.color_scheme.color_pool == ["#123456"]
    assert (dataset.info["theirs"], dataset.info["mine"]) == (1, 2)
    assert "coco_audit_colors" not in dataset.info


def test_what_was_not_saved_is_not_lost(
    dataset: fo.Dataset, files: SmallCoco, pair: tuple[Worker, Worker]
) -> None:
    a, b = pair
    load(files, a, b)
    b.run("ds.info['b'] = 1; ds.save()")
    a.run("ds.info['a'] = 1; ds.tags = ['mine']; evaluate(ds)")
    dataset.reload()
    assert (dataset.info["a"], dataset.info["b"]) == (1, 1)
    assert dataset.tags == ["mine"]


def test_a_dataset_that_was_imported_again(
    dataset: fo.Dataset, files: SmallCoco, pair: tuple[Worker, Worker]
) -> None:
    """Whoever holds the old one goes on with that of its name."""
    a, b = pair
    load(files, a, b)
    b.run(
        f"import_coco({str(files.annotations)!r}, {str(files.images_dir)!r}, "
        f"predictions=predictions, name={NAME!r}, overwrite=True)"
    )
    assert a.run("evaluate(ds); result = import_report(ds).images") == 4
    fo.Dataset._instances.pop(NAME, None)
    assert_whole({"evaluate"})


# Where a process is killed, as code that has it killed there
KILLS = {
    "while values are written": "writes.Write.values = property(kill)",
    "before a run is saved": "foo.RunDocument.save = kill",
    "after a run is saved": "after(writes.Write, 'add_run')",
    "before it is published": "writes._apply = kill",
    "before fields are declared": "writes.declare_fields = kill",
    "before values are copied": "writes.merge_values = kill",
    "after some values are copied": "some()",
    "after values are copied": "after(writes, 'merge_values')",
    "before what was replaced is deleted": "writes.delete_run_document = kill",
    "before it is forgotten": "writes._forget = kill",
}
SABOTAGE = """
    def after(of, name):
        whole = getattr(of, name)
        setattr(of, name, lambda *args, **kwargs: kill(whole(*args, **kwargs)))

    def some():
        def merge(given, samples, *fields):
            one = given.database["coco_audit.one"]
            one.insert_one(given.find_one())
            kill(whole(one, samples, *fields))
        whole, writes.merge_values = writes.merge_values, merge
"""


# What is killed, and what was done before
KILLED = {
    "evaluate": ("evaluate(ds)", None),
    "evaluate again": ("evaluate(ds, iou_thresholds=[0.9])", "evaluate"),
    "statistics": ("compute_statistics(ds, resize='stretch 64')", "statistics"),
    "audit": ("audit(ds, select=['CA3'])", "audit"),
    "predictions": (
        "add_coco_predictions(ds, predictions, overwrite=True)",
        None,
    ),
    "repair": (WRITERS["repair"], None),
    "outcomes": ("load_results(ds).save_outcomes(iou=0.5)", "evaluate"),
}
# Only there is something to kill
POINTS = {
    "statistics": [*list(KILLS)[:1], *list(KILLS)[3:8], "before it is forgotten"],
    "audit": [*list(KILLS)[1:4], *list(KILLS)[8:]],
    # The same as of predictions
    "repair": [
        "while values are written",
        "before values are copied",
        "before it is forgotten",
    ],
    "outcomes": [
        "while values are written",
        "before fields are declared",
        "after some values are copied",
    ],
}


@pytest.mark.parametrize("killed", KILLED)
def test_a_process_that_is_killed(
    killed: str, dataset: fo.Dataset, files: SmallCoco, mongodb: str
) -> None:
    """Whatever comes next finds the old or the new, whole, and nothing is left."""
    code, before = KILLED[killed]
    names = {name: getattr(ca, name) for name in ca.__all__} | {"ds": dataset}
    if before is not None:
        eval(WRITERS[before], names)
    points = POINTS.get(killed, list(KILLS))
    if before is None and killed == "evaluate":
        points = [point for point in points if "what was replaced" not in point]
    for point in points:
        worker = Worker()
        load(files, worker)
        worker.run(SABOTAGE)
        worker.is_killed(f"{KILLS[point]}\n{code}")
        ca.load_audit(dataset) if killed == "audit" else up_to_date(dataset)
        assert_tidy(dataset)
        schema = dataset.get_field_schema(flat=True)
        if killed.startswith("evaluate"):
            has_run = dataset.has_evaluation("eval")
            paths = written("eval")
            assert [path in schema for path in paths] == [has_run] * len(paths)
            if has_run:
                iou = dataset.get_evaluation_info("eval").config.iou
                assert dataset.values("eval_tp") == [1, 0, 0, 1]
                assert f"IoU {iou:g}," in dataset.get_field("eval_tp").description
            if killed == "evaluate" and has_run:
                dataset.delete_evaluation("eval")
                assert_tidy(dataset)
                left = dataset.get_field_schema(flat=True)
                assert not [path for path in left if "eval" in path]
        elif killed == "statistics":
            path = "ground_truth.detections.input_size"
            (size,) = {round(v, 3) for v in dataset.values(path, unwind=True)}
            said = dataset.get_field(path).description
            assert (size == 25.6) == ("stretch 64" in said), (size, said)
        elif killed == "outcomes":
            paths = [f"predictions.detections.eval{end}" for end in ("", "_outcome")]
            if paths[1] in schema:
                assert dataset.values(paths[0]) == dataset.values(paths[1])
                dataset.delete_sample_fields(
                    [path for path in schema if path.endswith("eval_outcome")]
                )
        else:
            assert dataset.count("predictions.detections") == 3
            if dataset.has_field("p3"):
                assert dataset.count("p3.detections") == 3
    if killed.startswith("evaluate"):
        ca.evaluate(dataset, progress=False)
        assert_whole({"evaluate"})


# Where a process is killed that adds augmented samples: the last has added all of them
AUGMENTING = {
    "before its note is written": "writes.check_addition = kill",
    "before files are moved": "writes.add_samples = kill",
    "after a file is moved": "after(additions.Path, 'replace')",
    "before samples are added": "fo.Dataset.add_samples = kill",
    "after a sample is added": """
        add = fo.Dataset.add_samples
        fo.Dataset.add_samples = lambda ds, made, **_: kill(add(ds, made[:1]))
    """,
    "after samples are added": "after(fo.Dataset, 'add_samples')",
    "before it is forgotten": "writes._forget = kill",
    "after it is forgotten": "after(writes, '_forget')",
}
APPLY = "apply_augmentation(ds, 'minimal', output_dir={!r})"


def killed_in_augmenting(files: SmallCoco, code: str, folder: Path) -> None:
    worker = Worker()
    load(files, worker)
    worker.run(SABOTAGE)
    worker.run(code)
    worker.is_killed(APPLY.format(str(folder)))


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("document", ["foo.RunDocument", "foo.DatasetDocument"])
def test_a_process_that_is_killed_while_it_deletes_an_evaluation(
    document: str,
    moment: str,
    dataset: fo.Dataset,
    files: SmallCoco,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """FiftyOne deletes it in steps; whatever is left, it can be evaluated again."""
    ca.evaluate(dataset, progress=False)
    ca.evaluate(dataset, eval_key="other", progress=False)
    worker = Worker()
    load(files, worker)
    worker.run(SABOTAGE)
    method = "delete" if document == "foo.RunDocument" else "save"
    killed = f"after({document}, {method!r})"
    if moment == "before":
        killed = f"{document}.{method} = kill"
    worker.is_killed(f"{killed}\nds.delete_evaluation('eval')")
    # Whoever only reads drops what FiftyOne would call corrupted
    ca.import_report(dataset)
    references = foo.get_db_conn().datasets.find_one(dataset._doc.id)["evaluations"]
    assert set(references) == set(dataset.list_evaluations())
    assert "corrupted" not in caplog.text
    ca.compute_statistics(dataset, progress=False)
    assert dataset.has_evaluation("other")
    ca.evaluate(dataset, progress=False)
    assert dataset.values("eval_tp") == [1, 0, 0, 1]
    assert_tidy(dataset)
    dataset.delete_evaluations()
    fields = dataset.get_field_schema(flat=True)
    assert not [path for path in fields if "eval" in path or "other" in path]
    assert_tidy(dataset)


@pytest.mark.parametrize("later", ["evaluate", "apply"])
def test_a_process_that_is_killed_while_it_adds_augmented_samples(
    later: str, dataset: fo.Dataset, files: SmallCoco, tmp_path: Path
) -> None:
    """There are all samples and all files, or none."""
    before = sorted(dataset.get_field_schema())
    for number, (point, code) in enumerate(AUGMENTING.items()):
        folder = tmp_path / str(number)
        killed_in_augmenting(files, code, folder)
        is_added = point == "after it is forgotten"
        if later == "apply" and not is_added:
            # In the same folder, which shall have no trace of what was begun
            view = ca.apply_augmentation(dataset, "minimal", output_dir=folder)
            assert len(view) == len(dataset) - 4 == 4
            assert {*view.values("filepath")} == {*map(str, folder.iterdir())}
            assert_tidy(dataset)
            dataset.delete_samples(view)
            continue
        up_to_date(dataset)
        new = dataset.match_tags("augmented")
        assert len(new) == len(dataset) - 4 == 4 * is_added, point
        left = [*map(str, folder.iterdir())]
        if point == "before its note is written":
            (name,) = left  # which the next call in this folder removes
            assert ".part-" in name
        else:
            assert sorted(new.values("filepath")) == sorted(left), point
        if not is_added and later == "evaluate":
            assert sorted(dataset.get_field_schema()) == before
        assert_tidy(dataset)
    assert foo.get_db_conn()["coco_audit.locks"].count_documents({}) == 0


def test_a_process_that_is_killed_while_it_takes_back_augmented_samples(
    dataset: fo.Dataset, files: SmallCoco, tmp_path: Path
) -> None:
    code = AUGMENTING["before it is forgotten"]
    killed_in_augmenting(files, code, tmp_path / "new")
    for code in ("after(additions.Path, 'unlink')", "additions.delete_fields = kill"):
        worker = Worker()
        load(files, worker)
        worker.run(SABOTAGE)
        worker.is_killed(f"{code}\nup_to_date(ds)")
    up_to_date(dataset)
    assert len(dataset) == 4 and not dataset.has_field("augmented_from")
    assert not list((tmp_path / "new").iterdir())
    assert_tidy(dataset)


def test_files_of_augmented_samples_whose_dataset_was_deleted(
    dataset: fo.Dataset, files: SmallCoco, tmp_path: Path
) -> None:
    code = AUGMENTING["after samples are added"]
    killed_in_augmenting(files, code, tmp_path / "new")
    other = fo.Dataset()
    up_to_date(other)
    assert len(list((tmp_path / "new").glob("*.png"))) == 4
    dataset.delete()
    up_to_date(other)
    assert not list((tmp_path / "new").iterdir())
    assert foo.get_db_conn()["coco_audit.writes"].count_documents({}) == 0


def test_augmented_samples_of_two_processes_at_once(
    dataset: fo.Dataset, files: SmallCoco, pair: tuple[Worker, Worker], tmp_path: Path
) -> None:
    """In one folder with one seed, one of them comes too late."""
    load(files, *pair)
    for worker in pair:
        worker.start(APPLY.format(str(tmp_path)))
    failed = []
    for worker in pair:
        try:
            worker.result()
        except WorkerFailed as error:
            failed.append(str(error))
    assert len(failed) == 1 and "already exists: choose another" in failed[0]
    dataset.reload()
    new = dataset.match_tags("augmented")
    assert len(new) == 4 and len(dataset) == 8
    assert {*new.values("filepath")} == {*map(str, tmp_path.iterdir())}
    assert_tidy(dataset)


def test_a_dataset_that_changes_while_augmented_samples_are_made(
    dataset: fo.Dataset, files: SmallCoco, pair: tuple[Worker, Worker], tmp_path: Path
) -> None:
    a, b = pair
    load(files, a, b)
    a.run(
        f"""
        stop, ready, go = applying.exclusive, *map(
            pathlib.Path, ({str(tmp_path / "ready")!r}, {str(tmp_path / "go")!r})
        )

        def wait(*args):
            ready.touch()
            while not go.exists():
                time.sleep(0.01)
            return stop(*args)

        applying.exclusive = wait
        """
    )
    a.start(APPLY.format(str(tmp_path / "new")))
    while not (tmp_path / "ready").exists():
        assert not a.has_answered, a.result()
        time.sleep(0.01)
    b.run("ds.delete_sample_field('ground_truth')")
    (tmp_path / "go").touch()
    with pytest.raises(WorkerFailed, match="has no field 'ground_truth'"):
        a.result()
    dataset.reload()
    assert len(dataset) == 4 and not dataset.has_field("ground_truth")
    assert not dataset.has_field("augmented_from")
    assert not (tmp_path / "new").exists()
    assert_tidy(dataset)


@pytest.fixture
def doubtful(dataset: fo.Dataset) -> fo.Dataset:
    """Five label issues: a prediction beside each label, and one on another class."""
    seen = [
        {"image_id": image, "category_id": 1, "bbox": box, "score": score}
        for image in range(4)
        for box, score in (([10, 10, 40, 40], 0.8), ([60, 60, 20, 20], 0.9))
    ]
    ca.add_coco_predictions(dataset, seen, pred_field="sure", progress=False)
    ca.evaluate(dataset, "sure", eval_key="doubt", progress=False)
    assert len(ca.review_labels(dataset, "doubt").issues) == 5
    return dataset


def verdicts_on(dataset: fo.Dataset) -> dict[str, str]:
    frame = ca.review_labels(dataset, "doubt").to_frame().set_index("prediction_id")
    return frame["verdict"].dropna().to_dict()


def test_verdicts_of_two_processes_at_once(
    doubtful: fo.Dataset, files: SmallCoco, pair: tuple[Worker, Worker]
) -> None:
    load(files, *pair)
    ids = ca.review_labels(doubtful, "doubt").issues.prediction_ids.tolist()
    expected = {}
    for worker, verdict, some in zip(
        pair, ("accept", "reject"), (ids[:2], ids[2:]), strict=True
    ):
        # Loaded before the other one writes
        worker.run("review = review_labels(ds, 'doubt')")
        expected |= dict.fromkeys(some, f"{verdict}ed")
        worker.start(
            f"for id_ in {some!r} * 3: review.undo([id_]); review.{verdict}([id_])"
        )
    for worker in pair:
        worker.result()
    assert verdicts_on(doubtful) == expected
    pair[0].run("review.apply()")
    doubtful.reload()
    assert_tidy(doubtful)


# What is killed: its code, and where there is something to kill
REVIEWING = {
    "accept": ("accept_label_issues(ds, {id!r}, 'doubt')", POINTS["audit"]),
    "apply": ("apply_label_review(ds, 'doubt')", POINTS["statistics"]),
}


@pytest.mark.parametrize("killed", REVIEWING)
def test_a_process_that_is_killed_while_labels_are_reviewed(
    killed: str, doubtful: fo.Dataset, files: SmallCoco
) -> None:
    """There is the old or the new, whole, and never a change of the ground truth."""
    first, second, *_ = ca.review_labels(doubtful, "doubt").issues.prediction_ids
    ca.accept_label_issues(doubtful, [first], "doubt")
    truth = doubtful.values("ground_truth.detections.id")
    code, points = REVIEWING[killed]
    for point in points:
        worker = Worker()
        load(files, worker)
        worker.run(SABOTAGE)
        worker.is_killed(f"{KILLS[point]}\n{code.format(id=second)}")
        up_to_date(doubtful)
        assert_tidy(doubtful)
        assert doubtful.values("ground_truth.detections.id") == truth
        given = verdicts_on(doubtful)
        assert given in ({first: "accepted"}, {first: "accepted", second: "accepted"})
        if killed == "apply" and doubtful.has_field("ground_truth_reviewed"):
            assert doubtful.count("ground_truth_reviewed.detections") == 5
    ca.apply_label_review(doubtful, "doubt", progress=False)
    assert_tidy(doubtful)
