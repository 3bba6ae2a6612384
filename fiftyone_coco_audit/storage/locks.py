"""One writer at a time: a lock for each dataset, kept in the database.

The lock of a process that died is broken at once if the process ran on this machine.
The holder renews its lease while it works; a lock of another machine is broken when
that stops.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from fiftyone_coco_audit.fiftyone_internals import database
from fiftyone_coco_audit.storage.owners import Owner, at_work

if TYPE_CHECKING:
    from bson import ObjectId
    from pymongo.collection import Collection

logger = logging.getLogger(__name__)

COLLECTION = "coco_audit.locks"
_LEASE = timedelta(seconds=60)
_POLL_SECONDS = 0.02
_PATIENCE_SECONDS = 5.0


@contextmanager
def locked(dataset_id: ObjectId) -> Iterator[None]:
    """Holds the lock of a dataset; waits until nobody else does.

    Args:
        dataset_id: the id of the dataset
    """
    locks = database()[COLLECTION]
    with at_work() as owner:
        _acquire(locks, dataset_id, owner)
        held = {"_id": dataset_id, "owner.token": owner.token}
        ended = threading.Event()
        threading.Thread(target=_renew, args=(locks, held, ended), daemon=True).start()
        try:
            yield
        finally:
            ended.set()
            locks.delete_one(held)


def _acquire(locks: Collection, dataset_id: ObjectId, owner: Owner) -> None:
    from pymongo.errors import DuplicateKeyError

    started, warned = time.monotonic(), False
    while True:
        until = _now(locks) + _LEASE
        document = {"_id": dataset_id, "owner": owner.document(), "until": until}
        try:
            locks.insert_one(document)
            return
        except DuplicateKeyError:
            holder = locks.find_one({"_id": dataset_id})
        if holder is not None and _is_abandoned(locks, holder):
            # Only this one: another process may have been faster
            token = holder["owner"]["token"]
            locks.delete_one({"_id": dataset_id, "owner.token": token})
            continue
        if not warned and time.monotonic() - started > _PATIENCE_SECONDS:
            logger.info("Waiting for another process that is writing to the dataset...")
            warned = True
        time.sleep(_POLL_SECONDS)


def _is_abandoned(locks: Collection, holder: dict[str, Any]) -> bool:
    owner = Owner.of(holder["owner"])
    if owner.is_here:
        return owner.is_gone
    expired: bool = holder["until"] < _now(locks)
    return expired


def _renew(locks: Collection, held: dict[str, Any], ended: threading.Event) -> None:
    from pymongo.errors import PyMongoError

    while not ended.wait(_LEASE.total_seconds() / 6):
        try:
            locks.update_one(held, {"$set": {"until": _now(locks) + _LEASE}})
        except PyMongoError as error:  # the holder notices that by itself
            logger.debug("The lease was not renewed: %s", error)


def _now(locks: Collection) -> datetime:
    """The time of the server, since clocks of machines differ."""
    now: datetime = locks.database.command("hello")["localTime"]
    return now
