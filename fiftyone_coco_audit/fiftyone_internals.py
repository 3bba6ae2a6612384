"""All private parts of FiftyOne that this package uses.

FiftyOne may change them with any release. No other module uses them, and
``tests/integration/test_fiftyone_internals.py`` holds each function to what the package
expects of it, so this module is what has to be changed for a new FiftyOne.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from copy import deepcopy
from datetime import datetime, timezone
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

from fiftyone_coco_audit.errors import CocoAuditError

if TYPE_CHECKING:
    import fiftyone as fo
    import psutil
    from bson import ObjectId
    from fiftyone.core.odm import RunDocument as RunDocument
    from fiftyone.core.runs import BaseRunConfig
    from fiftyone.operators.store import ExecutionStore
    from pymongo.collection import Collection
    from pymongo.command_cursor import CommandCursor
    from pymongo.database import Database

Stages = list[dict[str, Any]]
RunKind = Literal["evaluations", "runs"]
RUN_KINDS: tuple[RunKind, ...] = ("evaluations", "runs")

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def _private(
    function: Callable[_Parameters, _Result],
) -> Callable[_Parameters, _Result]:
    """Says that the installed FiftyOne is at fault if it lacks a private name."""

    @wraps(function)
    def checked(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
        try:
            return function(*args, **kwargs)
        except (AttributeError, ImportError) as error:
            if not (error.name or "").startswith(("_", "fiftyone")):
                raise
            import fiftyone as fo

            raise CocoAuditError(
                f"FiftyOne {fo.__version__} does not work with this version of "
                f"FiftyOne COCO Audit ({error}): install an older FiftyOne, or a newer "
                "FiftyOne COCO Audit"
            ) from error

    return checked


@_private
def root_dataset(samples: fo.SampleCollection) -> fo.Dataset:
    """The dataset itself, or the one that a view is of."""
    return samples._root_dataset


@_private
def own_dataset(samples: fo.SampleCollection) -> fo.Dataset:
    """The dataset itself, or the one that holds the samples of a view.

    A view of patches has one that FiftyOne generated.
    """
    import fiftyone as fo

    # A deleted dataset cannot be queried
    return samples if isinstance(samples, fo.Dataset) else samples._dataset


@_private
def dataset_id(dataset: fo.Dataset) -> ObjectId:
    """The id of a dataset, which it keeps when it is renamed."""
    return dataset._doc.id


# Views


@_private
def stages_of(samples: fo.SampleCollection) -> Stages | None:
    """The stages of a view as JSON can hold them, None for a dataset."""
    if samples is root_dataset(samples):
        return None
    stages: Stages = samples._serialize(include_uuids=False)
    return stages


@_private
def with_stages(dataset: fo.Dataset, stages: Stages | None) -> fo.SampleCollection:
    """The view of a dataset that :func:`stages_of` describes."""
    import fiftyone as fo

    return dataset if stages is None else fo.DatasetView._build(dataset, stages)


@_private
def view_stages(samples: fo.SampleCollection) -> list[fo.ViewStage]:
    """The stages of a view as objects, none for a dataset."""
    return list(samples.view()._stages)


@_private
def with_view_stages(
    samples: fo.SampleCollection, stages: Iterable[fo.ViewStage]
) -> fo.DatasetView:
    """The view with other stages in place of its own."""
    view = own_dataset(samples).view()
    for stage in stages:
        view = view.add_stage(stage)
    return view


@_private
def stage_parameters(stage: fo.ViewStage) -> dict[str, Any]:
    """The parameters of a stage as MongoDB has them, by name."""
    return dict(stage._serialize(include_uuid=False)["kwargs"])


@_private
def kind_of_view(samples: fo.SampleCollection) -> str:
    """What a view shows.

    Returns:
        ``"images"``, also for a dataset, or ``"patches"``, ``"frames"``, ``"clips"``
        or ``"dynamic_groups"``
    """
    for kind in ("patches", "frames", "clips", "dynamic_groups"):
        if getattr(samples, f"_is_{kind}"):
            return kind
    return "images"


@_private
def aggregate(
    samples: fo.SampleCollection, pipeline: Sequence[dict[str, Any]]
) -> CommandCursor:
    """The result of a MongoDB aggregation on the samples of a dataset or view."""
    return samples._aggregate(post_pipeline=list(pipeline))


# The database


@_private
def database() -> Database:
    """FiftyOne's database."""
    import fiftyone.core.odm as foo

    return foo.get_db_conn()


@_private
def sample_collection(dataset: fo.Dataset) -> Collection:
    """The documents of the samples of a dataset."""
    return dataset._sample_collection


@_private
def stored_dataset(dataset_id: ObjectId, fields: Sequence[str]) -> Any:
    """Fields of a dataset's document as the database has it, None if it is gone."""
    return database().datasets.find_one({"_id": dataset_id}, fields)


@_private
def update_stored_dataset(dataset: fo.Dataset, update: dict[str, Any]) -> None:
    """Changes a dataset's document in the database, but not the loaded dataset."""
    database().datasets.update_one({"_id": dataset_id(dataset)}, update)


@_private
def random_key() -> float:
    """The number that a new document of a sample has as ``_rand``."""
    from fiftyone.core.odm.sample import _generate_rand

    key: float = _generate_rand()
    return key


@_private
def execution_store(dataset: fo.Dataset, name: str) -> ExecutionStore:
    """The values that operators and panels keep for a dataset under a name."""
    from fiftyone.operators.store import ExecutionStore

    return ExecutionStore.create(name, dataset_id(dataset))


@_private
def leave_database_at_exit() -> None:
    """Keeps FiftyOne from deleting its temporary datasets as Python ends."""
    from fiftyone.core.odm.database import _delete_non_persistent_datasets_if_allowed

    atexit.unregister(_delete_non_persistent_datasets_if_allowed)


# Loaded datasets and samples


@_private
def loaded_anew(name: str) -> fo.Dataset:
    """A dataset as a new object, which no other thread uses."""
    import fiftyone as fo

    return fo.Dataset._make_instance(name=name, _create=False, _virtual=True)


@_private
def reload_dataset(dataset: fo.Dataset) -> None:
    """Brings a loaded dataset to the state in the database, but not its samples."""
    dataset._reload(hard=True)


@_private
def reload_samples(dataset: fo.Dataset) -> None:
    """Brings the loaded samples of a dataset to the state in the database."""
    import fiftyone as fo

    fo.Sample._reload_docs(dataset._sample_collection_name, hard=True)


@_private
def rename_loaded(dataset: fo.Dataset, name: str) -> None:
    """Gives a loaded dataset its current name in the database."""
    import fiftyone as fo

    if fo.Dataset._instances.get(dataset.name) is dataset:
        del fo.Dataset._instances[dataset.name]
    dataset._doc.name = name
    fo.Dataset._instances[name] = dataset


@_private
def unsaved_changes(dataset: fo.Dataset) -> dict[str, dict[str, Any]]:
    """What ``save()`` would change of a dataset's document, by operator and path."""
    return dict(zip(("$set", "$unset"), dataset._doc._delta(), strict=True))


@_private
def add_to_sidebar_group(dataset: fo.Dataset, paths: Sequence[str], group: str) -> None:
    """Moves fields to a group of the App's sidebar."""
    dataset._add_paths_to_sidebar_group(paths, group)


# Runs


@_private
def run_ids(dataset: fo.Dataset, kind: RunKind) -> dict[str, ObjectId]:
    """The ids of the documents of runs, by key, as the loaded dataset has them."""
    return {key: run.id for key, run in getattr(dataset._doc, kind).items()}


@_private
def lost_runs(dataset: fo.Dataset, kind: RunKind) -> list[str]:
    """The keys of runs whose documents are gone."""
    from bson import DBRef

    runs = getattr(dataset._doc, kind).items()
    return [key for key, run in runs if isinstance(run, DBRef)]


@_private
def cached_results(dataset: fo.Dataset, kind: RunKind) -> MutableMapping[str, Any]:
    """The results of runs that the loaded dataset keeps, by key."""
    caches: dict[RunKind, MutableMapping[str, Any]] = {
        "evaluations": dataset._evaluation_cache,
        "runs": dataset._run_cache,
    }
    return caches[kind]


@_private
def new_run_document(
    samples: fo.SampleCollection, key: str, config: BaseRunConfig
) -> RunDocument:
    """The document of a run, as ``BaseRun.save_run_info`` makes it.

    Args:
        samples: the dataset or view of the run
        key: the key of the run
        config: the configuration of the run
    """
    import fiftyone as fo
    from bson import ObjectId, json_util
    from fiftyone.core.odm import RunDocument

    stages = stages_of(samples)
    return RunDocument(
        id=ObjectId(),
        dataset_id=dataset_id(root_dataset(samples)),
        key=key,
        version=fo.__version__,
        timestamp=datetime.now(timezone.utc).replace(tzinfo=None),
        config=deepcopy(config.serialize()),
        view_stages=None if stages is None else list(map(json_util.dumps, stages)),
        results=None,
    )


@_private
def find_run_document(run_id: ObjectId) -> RunDocument | None:
    """The document of a run as the database has it, None if it is gone."""
    from fiftyone.core.odm import RunDocument

    return RunDocument.objects(id=run_id).first()


@_private
def delete_run_document(run_id: ObjectId) -> None:
    """Deletes the document of a run and its results, as ``BaseRun.delete_run`` does.

    Nothing happens if there is none.
    """
    document = find_run_document(run_id)
    if document is not None:
        if document.results:
            document.results.delete()
        document.delete()


# The App


@_private
def server_processes(port: int) -> list[psutil.Process]:
    """The processes of the App's server that this process has started at a port."""
    from fiftyone.core.session.session import _server_services

    service = _server_services.get(port)
    return service.child.children(recursive=True) if service else []
