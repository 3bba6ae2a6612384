"""Results that are stored with a dataset, besides its samples.

It is kept as the results of a custom run, which FiftyOne keeps outside the dataset's
document, so that its size has no limit and it follows the dataset when that is renamed
or cloned.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fiftyone_coco_audit.fiftyone_internals import (
    dataset_id,
    find_run_document,
    new_run_document,
    run_ids,
    stored_dataset,
)
from fiftyone_coco_audit.interrupts import interrupts_deferred
from fiftyone_coco_audit.storage.exclusive import exclusive
from fiftyone_coco_audit.storage.writes import Changes, prepared

if TYPE_CHECKING:
    import fiftyone as fo
    from fiftyone.core.runs import BaseRunConfig

    from fiftyone_coco_audit.fiftyone_internals import RunDocument

_READ_ATTEMPTS = 5


def save_run(
    dataset: fo.Dataset,
    key: str,
    config: BaseRunConfig,
    results: dict[str, Any],
    **document: Any,
) -> None:
    """Stores results with a dataset, in place of those under the same key.

    Args:
        dataset: the dataset
        key: the key of the run
        config: its configuration, as ``dataset.init_run()`` makes it
        results: what JSON can hold, by name
        **document: values of the dataset's document that change with it, by path
    """
    content = {"cls": "fiftyone.core.runs.RunResults", **results}
    with prepared(dataset) as write:
        run = new_run_document(dataset, key, config)
        write.add_run(run, [json.dumps(content).encode()])
        with exclusive(dataset) as fresh, interrupts_deferred():
            old = run_ids(fresh, "runs").get(key)
            write.publish(
                fresh,
                Changes(
                    config.method,
                    document={f"runs.{key}": run.id, **document},
                    replaced_runs=() if old is None else (old,),
                ),
            )


def load_run(dataset: fo.Dataset, key: str) -> dict[str, Any] | None:
    """The results stored under a key as the database has them, None if there are none.

    Args:
        dataset: the dataset
        key: the key of the run
    """
    from bson import json_util
    from gridfs.errors import CorruptGridFile, NoFile

    for attempt in range(_READ_ATTEMPTS):
        document = stored_run(dataset, key)
        if document is None or not document.results:
            return None
        try:
            results: dict[str, Any] = json_util.loads(document.results.read())
        except (NoFile, CorruptGridFile):  # replaced by another process just now
            if attempt == _READ_ATTEMPTS - 1:
                raise
            continue
        results.pop("cls", None)
        return results
    return None


def stored_run(dataset: fo.Dataset, key: str) -> RunDocument | None:
    """The document of a run as the database has it, None if there is none.

    Args:
        dataset: the dataset
        key: the key of the run
    """
    for _ in range(_READ_ATTEMPTS):
        stored = stored_dataset(dataset_id(dataset), [f"runs.{key}"])
        run = ((stored or {}).get("runs") or {}).get(key)
        if run is None:
            return None
        document = find_run_document(run)
        if document is not None:
            return document
    return None
