"""Blocks that Ctrl-C does not interrupt."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from fiftyone_coco_audit.interrupts import interrupts_deferred


def test_an_interruption_comes_after_the_block() -> None:
    done = []
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), interrupts_deferred():
        os.kill(os.getpid(), signal.SIGINT)
        done.append("the rest")
    assert done == ["the rest"]
    assert signal.getsignal(signal.SIGINT) is handler


def test_an_error_in_the_block_comes_out() -> None:
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError), interrupts_deferred():
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) is handler


def test_in_a_thread_nothing_is_done() -> None:
    def handler_inside() -> object:
        with interrupts_deferred():
            return signal.getsignal(signal.SIGINT)

    with ThreadPoolExecutor(1) as pool:
        inside = pool.submit(handler_inside).result()
    assert inside is signal.getsignal(signal.SIGINT)
