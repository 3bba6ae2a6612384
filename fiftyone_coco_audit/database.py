"""Errors of the database, in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.escaping import printable
from fiftyone_coco_audit.fiftyone_internals import leave_database_at_exit

_FULL = 14031  # MongoDB's code OutOfDiskSpace
_NO_SPACE = "no space left", "outofdiskspace", "out of disk space"
_LONGEST_REASON = 200


@contextmanager
def database_errors_explained() -> Iterator[None]:
    """Turns errors of the database into a :class:`CocoAuditError`.

    It serves as a decorator, too.

    Raises:
        CocoAuditError: if the database was lost, is full, or refuses something
    """
    from mongoengine.errors import OperationError
    from pymongo.errors import PyMongoError

    try:
        yield
    except (OperationError, PyMongoError) as error:
        raise CocoAuditError(explained(error)) from error


def leave_lost_database(error: BaseException) -> None:
    """Keeps FiftyOne from cleaning up a lost database when Python ends.

    It would print a traceback.

    Args:
        error: what ended the program
    """
    from mongoengine.errors import OperationError
    from pymongo.errors import PyMongoError

    if isinstance(error.__cause__, (OperationError, PyMongoError)):
        leave_database_at_exit()


def explained(error: Exception) -> str:
    """The meaning of a database error, and what to do about it.

    Args:
        error: an error of pymongo, or of the library that FiftyOne puts before it

    Returns:
        one sentence
    """
    from pymongo.errors import ConnectionFailure, OperationFailure

    if isinstance(error, ConnectionFailure):
        return (
            "MongoDB no longer responds, so this could not be finished: restart it, "
            "with free space on its disk, then run this again"
        )
    reason = " ".join(str(error).split())
    code = error.code if isinstance(error, OperationFailure) else None
    if code == _FULL or any(words in reason.lower() for words in _NO_SPACE):
        return (
            "MongoDB has no disk space left, so this could not be finished: free "
            "some, for example by deleting datasets, then run this again"
        )
    return (
        f"MongoDB refused an operation ({printable(reason, _LONGEST_REASON)}), so "
        "this could not be finished: check its log and your permissions, then run "
        "this again"
    )
