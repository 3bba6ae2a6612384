"""What is stored with a dataset beside its samples.

It is kept as the results of a custom run, which FiftyOne keeps outside the dataset's
document, so that its size has no limit and it follows the dataset when that is renamed
or cloned.
"""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from fiftyone_coco_audit.interrupts import interrupts_deferred
from fiftyone_coco_audit.storage.exclusive import exclusive
from fiftyone_coco_audit.storage.writes import Changes, prepared

if TYPE_CHECKING:
    import fiftyone as fo
    from fiftyone.core.odm import RunDocument
    from fiftyone.core.runs import BaseRunConfig

_READ_ATTEMPTS = 5


def run_document(
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

    stages = None
    if isinstance(samples, fo.DatasetView):
        stages = [json_util.dumps(s) for s in samples._serialize(include_uuids=False)]
    return RunDocument(
        id=ObjectId(),
        dataset_id=samples._root_dataset._doc.id,
        key=key,
        version=fo.__version__,
        timestamp=datetime.now(timezone.utc).replace(tzinfo=None),
        config=deepcopy(config.serialize()),
        view_stages=stages,
        results=None,
    )


def run_id(dataset: fo.Dataset, kind: str, key: str) -> Any | None:
    """The id of the document of a run, None if there is no such run.

    Args:
        dataset: the dataset, up to date
        kind: ``"evaluations"`` or ``"runs"``
        key: the key of the run
    """
    document = getattr(dataset._doc, kind).get(key)
    return None if document is None else document.id


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
        run = run_document(dataset, key, config)
        write.add_run(run, [json.dumps(content).encode()])
        with exclusive(dataset) as fresh, interrupts_deferred():
            old = run_id(fresh, "runs", key)
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
    import fiftyone.core.odm as foo

    for _ in range(_READ_ATTEMPTS):
        stored = foo.get_db_conn().datasets.find_one(
            {"_id": dataset._doc.id}, [f"runs.{key}"]
        )
        run = ((stored or {}).get("runs") or {}).get(key)
        if run is None:
            return None
        document = foo.RunDocument.objects(id=run).first()
        if document is not None:
            return document
    return None
