"""One evaluation in the place of another, so that a killed process leaves one whole.

The new evaluation is written under a key of its own first. Then one change of the
dataset's document gives its run the key of the old one, and notes that the fields are
to follow. These are copied, then deleted under their former names. All of that can be
done again: whoever finds the note finishes what was begun.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from fiftyone_coco_audit.evaluation.fields import (
    all_fields,
    declare_fields_like,
    delete_fields,
    label_attributes,
    replacement_key,
    sample_fields,
)
from fiftyone_coco_audit.evaluation.panel_notes import keep_user_note
from fiftyone_coco_audit.fields import delete_fields as delete_paths

if TYPE_CHECKING:
    import fiftyone as fo

    from fiftyone_coco_audit.evaluation.results import CocoResults

# In the dataset's info, from the change of its runs until its fields have followed
_NOTE = "coco_audit_replacement"


def replace_evaluation(
    dataset: fo.Dataset, eval_key: str, results: CocoResults
) -> None:
    """Puts the evaluation under the replacement key in the place of another.

    Args:
        dataset: the dataset
        eval_key: the key of the evaluation that is to be replaced
        results: the results of the one that replaces it
    """
    from fiftyone_coco_audit.evaluation.results import FIELDS_OPERATOR

    key = replacement_key(eval_key)
    old, new = (dataset._doc.evaluations[name] for name in (eval_key, key))
    old_config = dataset.get_evaluation_info(eval_key).config
    new.key = eval_key
    new.save()
    note = {
        "eval_key": eval_key,
        "run": new.id,
        "old_run": old.id,
        "labels": [results.config.pred_field, results.config.gt_field],
        "old_labels": [old_config.pred_field, old_config.gt_field],
        "copied": False,
    }
    _change_document(
        dataset,
        {
            "$set": {f"evaluations.{eval_key}": new.id, f"info.{_NOTE}": note},
            "$unset": {f"evaluations.{key}": ""},
        },
    )
    results._key = eval_key
    cache = getattr(dataset, results.backend._results_cache_field())
    cache.pop(key, None)
    cache[eval_key] = results
    others = set(old_config.custom_metrics or ()) - {FIELDS_OPERATOR}
    if others:
        run = old_config.build()
        run.cleanup_custom_metrics(dataset, eval_key, metric_uris=others)
    finish_replacement(dataset)


def finish_replacement(dataset: fo.Dataset) -> None:
    """Brings the fields of an evaluation to where its run is, if they are not there.

    Args:
        dataset: the dataset
    """
    note = _note(dataset)
    if note is None:
        return
    dataset._reload(hard=True)  # another process may have begun it
    eval_key, labels = note["eval_key"], note["labels"]
    run = dataset._doc.evaluations.get(eval_key)
    if not note["copied"] and run is not None and run.id == note["run"]:
        old_paths = all_fields(eval_key, *note["old_labels"])
        delete_paths(dataset, set(old_paths) - set(all_fields(eval_key, *labels)))
        declare_fields_like(dataset, eval_key, replacement_key(eval_key), *labels)
        _copy_values(dataset, eval_key, labels)
        dataset._add_paths_to_sidebar_group(sample_fields(eval_key), eval_key)
        _change_document(dataset, {"$set": {f"info.{_NOTE}.copied": True}})
    _forget(dataset, note)


def discard_replacement(dataset: fo.Dataset, eval_key: str) -> None:
    """Deletes what has not followed the run of an evaluation that is being deleted.

    Args:
        dataset: the dataset
        eval_key: the key of the evaluation
    """
    note = _note(dataset)
    if note is not None and note["eval_key"] == eval_key:
        delete_paths(dataset, all_fields(eval_key, *note["old_labels"]))
        _forget(dataset, note)


def _forget(dataset: fo.Dataset, note: dict[str, Any]) -> None:
    """Deletes what is not needed any more when the fields have followed their run."""
    from fiftyone.core.odm import RunDocument

    from fiftyone_coco_audit.evaluation.results import notes_of

    key = replacement_key(note["eval_key"])
    delete_fields(dataset, key, *note["labels"])
    dataset._delete_empty_sidebar_group(key)
    old = RunDocument.objects(id=note["old_run"]).first()
    if old is not None:
        notes = notes_of(old.config.get("custom_metrics"))
        keep_user_note(dataset, note["old_run"], note["run"], notes)
        # As BaseRun.delete_run does
        if old.results:
            old.results.delete()
        old.delete()
    _change_document(dataset, {"$unset": {f"info.{_NOTE}": ""}})


def _note(dataset: fo.Dataset) -> dict[str, Any] | None:
    """What another process may have noted since the dataset was loaded."""
    import fiftyone.core.odm as foo

    document = foo.get_db_conn().datasets.find_one(
        {"_id": dataset._doc.id}, [f"info.{_NOTE}"]
    )
    return ((document or {}).get("info") or {}).get(_NOTE)


def _change_document(dataset: fo.Dataset, update: dict[str, Any]) -> None:
    """Changes a dataset's document at once, where FiftyOne takes several steps."""
    import fiftyone.core.odm as foo

    foo.get_db_conn().datasets.update_one({"_id": dataset._doc.id}, update)
    dataset._reload(hard=True)


def _copy_values(dataset: fo.Dataset, eval_key: str, labels: list[str]) -> None:
    """Gives the fields of an evaluation the values of its replacement, in one update.

    FiftyOne would rename the attributes of labels, which takes several times as long.
    """
    import fiftyone as fo

    key = replacement_key(eval_key)
    pairs = zip(sample_fields(eval_key), sample_fields(key), strict=True)
    values: dict[str, Any] = {new: f"${name}" for new, name in pairs}
    pairs = zip(label_attributes(eval_key), label_attributes(key), strict=True)
    of_label = {new: f"$$label.{name}" for new, name in pairs}
    for field in labels:
        of_labels = {
            "input": f"${field}.detections",
            "as": "label",
            "in": {"$mergeObjects": ["$$label", of_label]},
        }
        values[field] = {
            "$cond": [
                {"$isArray": [f"${field}.detections"]},
                {"$mergeObjects": [f"${field}", {"detections": {"$map": of_labels}}]},
                f"${field}",
            ]
        }
    values["last_modified_at"] = datetime.now(timezone.utc)
    # What was not evaluated now has no values to copy, and must not keep its old ones
    old = all_fields(eval_key, *labels)
    dataset._sample_collection.update_many({}, [{"$unset": old}, {"$set": values}])
    fo.Sample._reload_docs(dataset._sample_collection_name)
