"""Who works on something unfinished, and whether they are still alive."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any
from uuid import uuid4

_TEXT = re.compile(r"(\w+) \(process (\d+) since (\d+) on (.*)\)")

# The time at which a process started is counted from that of the system, which moves
# when the clock is set
_CLOCK_SECONDS = 10

# The tokens that this process is working under
_in_use: set[str] = set()


@dataclass(frozen=True)
class Owner:
    """One piece of work of one process.

    Args:
        token: names the piece of work
        process: the id of the process
        since: when the process started, in seconds since 1970
        host: the name of the machine
    """

    token: str
    process: int
    since: int
    host: str

    @classmethod
    def parse(cls, text: str) -> Owner | None:
        """The owner whose :meth:`__str__` is a text, or None."""
        found = _TEXT.fullmatch(text)
        if found is None:
            return None
        token, process, since, host = found.groups()
        return cls(token, int(process), int(since), host)

    @classmethod
    def of(cls, document: dict[str, Any]) -> Owner:
        """The owner that a document of the database names, see :meth:`document`."""
        return cls(**document)

    def document(self) -> dict[str, Any]:
        """The owner as a document of the database."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"{self.token} (process {self.process} since {self.since} on {self.host})"
        )

    @property
    def is_here(self) -> bool:
        """Whether it is a process of this machine."""
        return self.host == socket.gethostname()

    @property
    def is_gone(self) -> bool:
        """Whether its process ended, or gave up this piece of work.

        False for processes of other machines, which cannot be asked.
        """
        import psutil

        if not self.is_here:
            return False
        if self.process == os.getpid():
            return self.token not in _in_use
        try:
            since = psutil.Process(self.process).create_time()
        except psutil.NoSuchProcess:
            return True
        return abs(since - self.since) > _CLOCK_SECONDS


@contextmanager
def at_work() -> Iterator[Owner]:
    """Gives an owner that is gone when the block ends, however it ends."""
    import psutil

    process = os.getpid()
    since = int(psutil.Process(process).create_time())
    owner = Owner(uuid4().hex[:12], process, since, socket.gethostname())
    _in_use.add(owner.token)
    try:
        yield owner
    finally:
        _in_use.discard(owner.token)
