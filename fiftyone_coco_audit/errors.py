"""The one exception that this package raises for a user's mistake."""

from __future__ import annotations

from numbers import Integral, Real

from fiftyone_coco_audit.escaping import printable


class CocoAuditError(ValueError):
    """Input that cannot be used, explained in one sentence.

    The message says what is wrong, where (file, record, field), why it cannot
    be used and what to do about it. The command line and the App show the
    message alone, never a traceback. Control characters in it are escaped.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class NotFoundError(CocoAuditError, KeyError):
    """A missing key, with the existing ones."""

    __str__ = Exception.__str__  # KeyError would quote the sentence


def check_count(name: str, value: object) -> None:
    """Checks that an argument is a number of things, at least one.

    Raises:
        CocoAuditError: if it is not
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise CocoAuditError(
            f"{name} is {value!r}: it must be a whole number of at least 1"
        )


def check_whole(name: str, value: object) -> None:
    """Checks that an argument is a whole number, such as a seed.

    Raises:
        CocoAuditError: if it is not
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise CocoAuditError(f"{name} is {value!r}: it must be a whole number")


def check_number(name: str, value: object) -> None:
    """Checks that an argument is a number, of whatever size.

    Raises:
        CocoAuditError: if it is not
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise CocoAuditError(f"{name} is {value!r}: it must be a number")
