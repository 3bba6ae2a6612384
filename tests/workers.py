"""Processes that hold a dataset of the session's database and do what they are told.

FiftyOne is imported once, by a server that forks the workers.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import textwrap
import traceback
from multiprocessing.connection import Connection
from typing import Any

_CONTEXT = multiprocessing.get_context("forkserver")
_SECONDS = 120


class Worker:
    """A process that runs code, in one namespace."""

    def __init__(self) -> None:
        _CONTEXT.set_forkserver_preload(["tests.worker_modules"])
        self._here, there = _CONTEXT.Pipe()
        self.process = _CONTEXT.Process(target=_serve, args=(there,), daemon=True)
        self.process.start()
        there.close()

    def start(self, code: str) -> None:
        """Has it run some code."""
        self._here.send(textwrap.dedent(code))

    def result(self) -> Any:
        """What the code left as ``result``, or else the error that it raised."""
        assert self._here.poll(_SECONDS), "the worker does not answer"
        result, error = self._here.recv()
        if error is not None:
            raise WorkerFailed(error)
        return result

    @property
    def has_answered(self) -> bool:
        """Whether there is a result."""
        return self._here.poll()

    def run(self, code: str) -> Any:
        """Has it run some code to the end."""
        self.start(code)
        return self.result()

    def is_killed(self, code: str) -> None:
        """Has it run code that kills it."""
        self.start(code)
        self.process.join(_SECONDS)
        assert self.process.exitcode == -signal.SIGKILL, self.result()

    def end(self) -> None:
        """Ends the process."""
        self.process.kill()
        self.process.join()


class WorkerFailed(Exception):
    """An error that the code of a worker raised, as text with its traceback."""


def _serve(commands: Connection) -> None:
    namespace: dict[str, Any] = {"kill": kill}
    exec("from tests.worker_modules import *", namespace)
    while True:
        try:
            code = commands.recv()
        except EOFError:
            return
        namespace["result"] = None
        try:
            exec(code, namespace)
            answer = namespace["result"], None
        except BaseException:
            answer = None, traceback.format_exc()
        commands.send(answer)


def kill(*_: Any, **__: Any) -> None:
    """Kills this process, in place of any function."""
    os.kill(os.getpid(), signal.SIGKILL)
