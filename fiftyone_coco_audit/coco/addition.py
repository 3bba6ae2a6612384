"""Predictions as a new field of a dataset: whole, with their report, or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from fiftyone_coco_audit.coco.report import (
    RUN_KEY,
    ImportReport,
    load_report,
    report_content,
)
from fiftyone_coco_audit.coco.schema import keypoints_field, shows_keypoints
from fiftyone_coco_audit.coco.skeletons import Skeleton
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.fields import FieldSpec, check_writable
from fiftyone_coco_audit.fiftyone_internals import (
    new_run_document,
    reload_samples,
    run_ids,
    sample_collection,
)
from fiftyone_coco_audit.interrupts import interrupts_deferred
from fiftyone_coco_audit.storage.exclusive import exclusive
from fiftyone_coco_audit.storage.room import check_room, stored_samples
from fiftyone_coco_audit.storage.values import insert_documents
from fiftyone_coco_audit.storage.writes import Changes, prepared

if TYPE_CHECKING:
    import fiftyone as fo

_FUNCTION = "add_coco_predictions"


def check_field_is_free(
    dataset: fo.Dataset, pred_field: str, *, overwrite: bool, keypoints: bool = False
) -> None:
    """Checks that predictions can go to a field.

    Args:
        dataset: the dataset as the database has it
        pred_field: the name of the field
        overwrite: whether to replace a field of that name
        keypoints: whether they have keypoints, which go to a field of their own

    Raises:
        CocoAuditError: if they cannot
    """
    own = keypoints_field(pred_field)
    taken = dataset.has_field(own) and own not in _replaced(dataset, pred_field)
    if keypoints and taken:
        raise CocoAuditError(
            f"Dataset {dataset.name!r} already has a field {own!r}, where keypoints "
            "go: choose another pred_field, or delete or rename that field"
        )
    if not dataset.has_field(pred_field):
        return
    if not overwrite:
        raise CocoAuditError(
            f"Dataset {dataset.name!r} already has a field {pred_field!r}; choose "
            "another pred_field, or pass overwrite=True to replace it"
        )
    check_writable(dataset, [pred_field], _FUNCTION)


def _replaced(dataset: fo.Dataset, pred_field: str) -> tuple[str, ...]:
    """The fields that make place for predictions: of a name, and of its keypoints."""
    if not dataset.has_field(pred_field):
        return ()
    poses = (keypoints_field(pred_field),) * shows_keypoints(dataset, pred_field)
    return (pred_field, *poses)


def publish_predictions(
    dataset: fo.Dataset,
    pred_field: str,
    fields: Sequence[FieldSpec],
    documents: Iterable[list[tuple[str, dict[str, Any]]]],
    report: ImportReport,
    *,
    overwrite: bool,
    function: str = _FUNCTION,
    skeleton: Skeleton | None = None,
) -> None:
    """Adds a field of predictions, and says so in the dataset's import report.

    Args:
        dataset: the dataset
        pred_field: the name of the field
        fields: the field and its attributes
        documents: the id of each sample and the values of its fields, some samples at
            a time
        report: what was found in the file
        overwrite: whether to replace a field of that name
        function: the SDK function that adds it
        skeleton: that of their keypoints, if they have any

    Raises:
        CocoAuditError: if another process has added a field of that name meanwhile, or
            a sample is too large with it; nothing is written then
    """
    from bson import ObjectId

    own = keypoints_field(pred_field)
    has_keypoints = own in [spec.path for spec in fields]
    skeletons = {}
    if has_keypoints and skeleton is not None:
        skeletons[f"skeletons.{own}"] = skeleton.stored()
    with prepared(dataset) as write:
        for some in documents:
            insert_documents(
                write.values,
                sample_collection(dataset),
                [{"_id": ObjectId(id_), "sample": values} for id_, values in some],
            )
        with exclusive(dataset) as fresh, interrupts_deferred():
            check_field_is_free(
                fresh, pred_field, overwrite=overwrite, keypoints=has_keypoints
            )
            whole = load_report(fresh) or ImportReport()
            whole.replace_field(pred_field, report)
            run = new_run_document(fresh, RUN_KEY, fresh.init_run(method=function))
            write.add_run(run, [json.dumps(report_content(whole)).encode()])
            old_run = run_ids(fresh, "runs").get(RUN_KEY)
            changes = Changes(
                function,
                fields=tuple(fields),
                deleted=_replaced(fresh, pred_field),
                document={
                    f"runs.{RUN_KEY}": run.id,
                    "info.coco_audit.import": whole.counts(),
                    **skeletons,
                },
                replaced_runs=() if old_run is None else (old_run,),
            )
            stored = stored_samples(sample_collection(fresh))
            check_room(write.values, fresh, stored, changes)
            write.publish(fresh, changes)
    reload_samples(dataset)
