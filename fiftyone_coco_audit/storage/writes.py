"""Writes to a dataset that are complete or absent, whenever their process dies.

A write is prepared beside the dataset: its values in a collection of their own, its
runs as documents that the dataset does not refer to yet. One note in the database then
says that it is to be published. What follows can be done twice with the same outcome,
so whoever finds the note of a dead process finishes what it began; without the note,
all that was prepared is removed. For new samples with files it is the other way round:
whoever finds the note takes back all of them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fiftyone_coco_audit.columns import batches, lost_fields
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.fields import FieldSpec, declare_fields, delete_fields
from fiftyone_coco_audit.fiftyone_internals import (
    RUN_KINDS,
    add_to_sidebar_group,
    database,
    dataset_id,
    delete_run_document,
    lost_runs,
    reload_dataset,
    sample_collection,
    stored_dataset,
    update_stored_dataset,
)
from fiftyone_coco_audit.storage.additions import (
    add_samples,
    check_addition,
    take_back,
)
from fiftyone_coco_audit.storage.owners import Owner, at_work
from fiftyone_coco_audit.storage.values import merge_values

if TYPE_CHECKING:
    import fiftyone as fo
    from pymongo.collection import Collection

    from fiftyone_coco_audit.fiftyone_internals import RunDocument

logger = logging.getLogger(__name__)

COLLECTION = "coco_audit.writes"
VALUES = "coco_audit.values."
# For a process of another machine, which cannot be asked whether it is still at work
_MOST_TIME = timedelta(days=1)
_FILES_AT_ONCE = 10_000


@dataclass(frozen=True)
class Changes:
    """What a write does to a dataset, apart from the values of samples and labels.

    Args:
        function: the SDK function that writes
        fields: the fields to declare
        deleted: the paths of fields to delete before
        emptied: the paths of fields that lose their values before
        document: values of the dataset's document in the database, by path
        replaced_runs: the ids of the documents of runs that are not needed afterwards
        group: the group in the App's sidebar that the fields of samples go to
    """

    function: str
    fields: tuple[FieldSpec, ...] = ()
    deleted: tuple[str, ...] = ()
    emptied: tuple[str, ...] = ()
    document: Mapping[str, Any] = field(default_factory=dict)
    replaced_runs: tuple[Any, ...] = ()
    group: str | None = None

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Changes:
        """What :meth:`stored` gave."""
        fields = tuple(FieldSpec(**spec) for spec in stored["fields"])
        # A path has dots, which the name of a field in the database must not have
        return cls(**{**stored, "fields": fields, "document": dict(stored["document"])})

    def stored(self) -> dict[str, Any]:
        """The same as a document of the database."""
        return {**asdict(self), "document": list(self.document.items())}

    @property
    def sample_fields(self) -> list[str]:
        """The fields of samples that have values."""
        return [spec.path for spec in self.fields if "." not in spec.path]

    @property
    def label_lists(self) -> dict[str, str]:
        """The label fields whose labels have values, if they were not replaced.

        Each has the name of its list of labels, ``"detections"`` or ``"keypoints"``.
        """
        own = set(self.sample_fields)
        paths = (spec.path.split(".") for spec in self.fields)
        return {path[0]: path[1] for path in paths if path[0] not in own}


class Write:
    """A write that is being prepared.

    Args:
        dataset: the dataset
        owner: who prepares it
    """

    def __init__(self, dataset: fo.Dataset, owner: Owner) -> None:
        self._dataset = dataset
        self._notes = _notes()
        self._id = owner.token
        self._notes.insert_one(
            {
                "_id": self._id,
                "owner": owner.document(),
                "dataset": dataset_id(dataset),
                "created": datetime.now(timezone.utc),
                "runs": [],
                "changes": None,
                "added": None,
            }
        )

    @property
    def values(self) -> Collection:
        """The collection for the values."""
        return _values(self._id)

    def add_run(self, document: RunDocument, results: Iterable[bytes]) -> None:
        """Saves a run and its results, which no dataset refers to yet.

        Args:
            document: the document of the run
            results: what is written to the file of its results
        """
        from bson import ObjectId

        file = ObjectId()
        ids = {"run": document.id, "file": file}
        self._notes.update_one({"_id": self._id}, {"$push": {"runs": ids}})
        document.results.new_file(_id=file, content_type="application/json")
        for part in results:
            document.results.write(part)
        document.results.close()
        document.save(upsert=True)

    def publish(self, dataset: fo.Dataset, changes: Changes) -> None:
        """Makes all of it a part of the dataset.

        Args:
            dataset: the dataset, which nobody else changes meanwhile
            changes: what else is to change

        Raises:
            CocoAuditError: if someone else deletes or renames one of the fields
        """
        from pymongo import ReturnDocument

        note = self._notes.find_one_and_update(
            {"_id": self._id},
            {"$set": {"changes": changes.stored()}},
            return_document=ReturnDocument.AFTER,
        )
        _finish(dataset, note)
        lost = lost_fields(dataset, changes.sample_fields)
        if lost:
            raise CocoAuditError(
                f"Field {lost[0]!r} of dataset {dataset.name!r} was deleted or renamed "
                f"by someone else while {changes.function} was writing it, so it has "
                "no values: run it again"
            )

    def add_samples(
        self,
        samples: Sequence[fo.Sample],
        staging: Path,
        fields: Sequence[FieldSpec],
        *,
        function: str,
        group: str,
    ) -> None:
        """Adds new samples and their files to the dataset: all of them, or none.

        Nobody else may change the dataset meanwhile.

        Args:
            samples: the samples, with the paths that their files are to have
            staging: the folder that holds their files
            fields: fields of samples to declare
            function: the SDK function that adds them
            group: the group in the App's sidebar that the fields go to

        Raises:
            CocoAuditError: if they cannot be added
        """
        paths = [spec.path for spec in fields]
        new = [path for path in paths if not self._dataset.has_field(path)]
        check_addition(self._dataset, samples, new)
        # Not in the note, whose size has a limit
        files = ({"_id": sample.filepath} for sample in samples)
        for some in batches(files, _FILES_AT_ONCE):
            self.values.insert_many(some)
        added = {"fields": new, "staging": str(staging)}
        self._notes.update_one({"_id": self._id}, {"$set": {"added": added}})
        declare_fields(self._dataset, fields, function)
        add_samples(self._dataset, samples, staging)
        used = {name for sample in samples for name in sample.field_names}
        lost = lost_fields(self._dataset, sorted(used))
        if lost:
            raise CocoAuditError(
                f"Field {lost[0]!r} of dataset {self._dataset.name!r} was deleted or "
                "renamed by someone else while samples were added: run it again; "
                "nothing was written"
            )
        add_to_sidebar_group(self._dataset, paths, group)
        _forget({"_id": self._id})

    def discard(self) -> None:
        """Removes what was prepared, if it was not published."""
        note = self._notes.find_one({"_id": self._id, "changes": None})
        if note is not None:
            _discard(note, self._dataset)


@contextmanager
def prepared(dataset: fo.Dataset) -> Iterator[Write]:
    """Gives a write that is removed after the block if it was not published.

    Args:
        dataset: the dataset
    """
    with at_work() as owner:
        write = Write(dataset, owner)
        try:
            yield write
        finally:
            write.discard()


def settle(dataset: fo.Dataset) -> None:
    """Finishes what dead processes were publishing, and removes what they prepared.

    Args:
        dataset: the dataset, which nobody else changes meanwhile
    """
    for note in list(_notes().find()):
        is_begun = note["changes"] or note["added"]
        if note["dataset"] != dataset_id(dataset):
            if is_begun and stored_dataset(note["dataset"], ["_id"]):
                continue  # until somebody needs that dataset
            if _is_abandoned(note):
                _discard(note, None)
        # No other process has exclusive access to the dataset
        elif note["changes"]:
            _finish(dataset, note)
        elif note["added"] or _is_abandoned(note):
            _discard(note, dataset)
    _drop_runs(dataset, lost_run_paths(dataset))


def has_notes() -> bool:
    """Whether there is a write that is being prepared or published, by anybody."""
    return _notes().find_one({}, ["_id"]) is not None


def _is_abandoned(note: Mapping[str, Any]) -> bool:
    owner = Owner.of(note["owner"])
    if owner.is_here:
        return owner.is_gone
    now = datetime.now(timezone.utc).replace(tzinfo=None)
    return bool(now - note["created"] > _MOST_TIME)


def _finish(dataset: fo.Dataset, note: Mapping[str, Any]) -> None:
    """Publishes a write, from wherever an earlier attempt stopped."""
    from pymongo.errors import ConnectionFailure

    try:
        _apply(dataset, note)
    except ConnectionFailure:
        raise  # whoever finds the database again will finish it
    except Exception as error:
        _give_up(dataset, note)
        _explain_lost_fields(dataset, note, error)
        raise
    for run in Changes.of(note["changes"]).replaced_runs:
        delete_run_document(run)
    _forget(note)


def _apply(dataset: fo.Dataset, note: Mapping[str, Any]) -> None:
    changes = Changes.of(note["changes"])
    if changes.document:
        update_stored_dataset(dataset, {"$set": changes.document})
        reload_dataset(dataset)
    delete_fields(dataset, changes.deleted)
    declare_fields(dataset, changes.fields, changes.function)
    samples = sample_collection(dataset)
    if changes.emptied:
        samples.update_many({}, [{"$unset": list(changes.emptied)}])
    if changes.fields:
        merge_values(
            _values(note["_id"]), samples, changes.sample_fields, changes.label_lists
        )
        # Nobody would see or delete the values of a field that is lost
        lost = lost_fields(dataset, changes.sample_fields)
        if lost:
            samples.update_many({}, [{"$unset": lost}])
    if changes.group is not None:
        add_to_sidebar_group(dataset, changes.sample_fields, changes.group)


def _give_up(dataset: fo.Dataset, note: Mapping[str, Any]) -> None:
    """Removes everything of a write that the database refuses."""
    changes = Changes.of(note["changes"])
    logger.warning(
        "What %s was writing to dataset %r could not be finished, and was removed",
        changes.function,
        dataset.name,
    )
    runs = tuple(f"{kind}." for kind in RUN_KINDS)
    _drop_runs(dataset, [path for path in changes.document if path.startswith(runs)])
    delete_fields(dataset, [spec.path for spec in changes.fields])
    for run in changes.replaced_runs:
        delete_run_document(run)
    _discard(note, dataset)


def _explain_lost_fields(
    dataset: fo.Dataset, note: Mapping[str, Any], error: Exception
) -> None:
    """Says that a field of labels is lost, if that is why a write failed.

    Raises:
        CocoAuditError: if one is
    """
    changes = Changes.of(note["changes"])
    lost = lost_fields(dataset, changes.label_lists)
    if lost:
        raise CocoAuditError(
            f"Field {lost[0]!r} of dataset {dataset.name!r} was deleted or renamed by "
            f"someone else while {changes.function} was writing to it, so all that "
            "it wrote was removed: run it again with another field"
        ) from error


def lost_run_paths(dataset: fo.Dataset) -> list[str]:
    """The paths of runs whose documents are gone, in the dataset's document.

    ``delete_evaluation()`` leaves them when its process dies. FiftyOne lists them no
    more, but refuses to look at them.

    Args:
        dataset: the dataset
    """
    return [f"{kind}.{key}" for kind in RUN_KINDS for key in lost_runs(dataset, kind)]


def _drop_runs(dataset: fo.Dataset, paths: Sequence[str]) -> None:
    """Removes runs, by their paths in the dataset's document, from that document."""
    if paths:
        update_stored_dataset(dataset, {"$unset": dict.fromkeys(paths, "")})
        reload_dataset(dataset)


def _discard(note: Mapping[str, Any], dataset: fo.Dataset | None) -> None:
    from gridfs import GridFS

    if note["added"]:
        take_back(dataset, _values(note["_id"]), note["added"])
    files = GridFS(database())
    for ids in note["runs"]:
        # Parts of a file that was not closed are found by its id only
        files.delete(ids["file"])
        database().runs.delete_one({"_id": ids["run"]})
    _forget(note)


def _forget(note: Mapping[str, Any]) -> None:
    values = _values(note["_id"])
    for name in ("", ".trial", ".some"):
        values.database.drop_collection(f"{values.name}{name}")
    _notes().delete_one({"_id": note["_id"]})


def _notes() -> Collection:
    return database()[COLLECTION]


def _values(write_id: str) -> Collection:
    return database()[f"{VALUES}{write_id}"]
