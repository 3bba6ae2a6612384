"""Errors of the database, in one sentence."""

import inspect

import pytest
from mongoengine.errors import OperationError
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    NetworkTimeout,
    OperationFailure,
    ServerSelectionTimeoutError,
    WriteError,
)

import fiftyone_coco_audit
from fiftyone_coco_audit import CocoAuditError
from fiftyone_coco_audit.database import database_errors_explained

LOST = "no longer responds.*restart it"
FULL = "no disk space left.*free some"
REFUSED = "refused an operation .*check its log"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (AutoReconnect("connection closed"), LOST),
        (NetworkTimeout("timed out"), LOST),
        (ServerSelectionTimeoutError("refused: {servers: [...]}"), LOST),
        (OperationFailure("cannot build an index", code=14031), FULL),
        (WriteError("28: No space left on device"), FULL),
        (OperationError("Could not save: OutOfDiskSpace"), FULL),
        (OperationFailure("not authorized on fiftyone", code=13), REFUSED),
        (BulkWriteError({"writeErrors": [{"errmsg": "x" * 9_000}]}), REFUSED),
        (OperationFailure("\x1b[2J two\nlines"), REFUSED),
    ],
)
def test_one_sentence_that_says_what_to_do(error: Exception, sentence: str):
    with pytest.raises(CocoAuditError, match=sentence) as raised:
        with database_errors_explained():
            raise error
    said = str(raised.value)
    assert "run this again" in said
    assert len(said) < 400
    assert said.isprintable()
    assert raised.value.__cause__ is error


def test_other_errors_stay_what_they_are():
    for error in (CocoAuditError("a mistake"), KeyError("x"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as raised, database_errors_explained():
            raise error
        assert raised.value is error


# This one reads nothing
PURE = {"outcome_colors"}


@pytest.mark.parametrize(
    "name", sorted(n for n in fiftyone_coco_audit.__all__ if n[0].islower())
)
def test_every_function_of_the_sdk_explains_them(name: str):
    function = getattr(fiftyone_coco_audit, name)
    made_by = (
        function.__globals__["__name__"] if hasattr(function, "__wrapped__") else ""
    )
    assert (made_by == "contextlib") != (name in PURE)
    assert inspect.signature(function).parameters
