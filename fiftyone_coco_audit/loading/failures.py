"""What a loader could not load, and why."""

from __future__ import annotations

import re
from dataclasses import dataclass

# PyTorch's messages if no further batch will come; it would wait for minutes
_DIED = re.compile(
    r"DataLoader worker .*(exited unexpectedly|killed by signal)"
    r"|Pin memory thread exited"
)
_TIMED_OUT = re.compile("DataLoader timed out")


@dataclass(frozen=True)
class LoaderFailure:
    """A batch, or a sample, that could not be loaded or unpacked.

    Attributes:
        number: the number of the batch, from 0
        sample: the index in the dataset that failed; None if it is not known
        stage: ``"load"``, ``"targets"`` if it was loaded but is of no known kind, or
            ``"worker"`` if the process that loads it died, or took too long
        exception: the type of what was raised
        message: what it said
        place: the place of the sample in its batch, from 0; None if it is not known
    """

    number: int
    sample: int | None
    stage: str
    exception: str
    message: str
    place: int | None = None

    def __str__(self) -> str:
        where = f"batch {self.number}"
        if self.sample is not None:
            where = f"sample {self.sample} of the loader's dataset"
        elif self.place is not None:
            where = f"sample {self.place} of batch {self.number}"
        kind = "" if self.exception == "CocoAuditError" else self.exception
        return ": ".join(filter(None, [where, kind, self.message.rstrip(".")]))


def is_end(error: BaseException) -> bool:
    """Whether a PyTorch loader cannot continue after this."""
    text = str(error)
    known = _DIED.search(text) or _TIMED_OUT.search(text)
    return isinstance(error, RuntimeError) and known is not None


def reraise_end(error: Exception) -> None:
    """Raises an error after which a PyTorch loader cannot continue."""
    if is_end(error):
        raise error


def last_failure(number: int, error: Exception) -> LoaderFailure:
    """The failure that ends the loading: a worker that died, or took too long."""
    what = str(error).splitlines()[0].split(". ")[0].rstrip(".")
    what = f"{what[:1].upper()}{what[1:]}"
    if _TIMED_OUT.search(what):
        why = (
            "the batch took longer than the loader's `timeout`, and loading cannot "
            "continue after that. Raise it, or use num_workers=0 to see what takes so "
            "long"
        )
    else:
        why = (
            "the process was killed or crashed, for example for lack of memory, and "
            "loading cannot continue after that. Use num_workers=0 to see the reason "
            "(Python itself may end with it), or fewer workers or smaller batches to "
            "need less memory"
        )
    message = f"{what}: {why}"
    return LoaderFailure(number, None, "worker", type(error).__name__, message)


def failure_of(
    number: int,
    sample: int | None,
    stage: str,
    error: Exception,
    place: int | None = None,
) -> LoaderFailure:
    """A failure of a batch or a sample; see :class:`LoaderFailure`."""
    # PyTorch gives the traceback of a worker's error; its last line is the error
    lines = [line for line in str(error).splitlines() if line.strip()]
    name = type(error).__name__
    message = lines[-1].strip().removeprefix(f"{name}: ") if lines else ""
    return LoaderFailure(number, sample, stage, name, message, place)
