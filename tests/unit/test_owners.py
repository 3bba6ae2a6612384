"""Who is still at work on something, and who is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import psutil
import pytest

from fiftyone_coco_audit.storage.owners import Owner, at_work


@pytest.mark.parametrize("seconds", [-1, 0, 1, 3600])
def test_this_process_is_at_work_until_the_end_whatever_the_clock_says(seconds):
    with at_work() as owner:
        moved = replace(owner, since=owner.since + seconds)
        assert not moved.is_gone
    assert moved.is_gone


@pytest.mark.parametrize(
    ("seconds", "gone"), [(-1, False), (0, False), (1, False), (-60, True), (60, True)]
)
def test_another_process_is_known_by_when_it_started(seconds, gone):
    """Give or take what setting the clock does to that time."""
    code = "import sys; sys.stdin.read()"
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    with at_work() as own:
        since = int(psutil.Process(other.pid).create_time())
        owner = replace(own, process=other.pid, since=since + seconds)
        assert owner.is_gone == gone
        other.communicate()
        assert owner.is_gone


def test_what_another_machine_does_is_not_known():
    with at_work() as owner:
        assert not replace(owner, host="elsewhere", process=os.getpid() + 1).is_gone
        assert Owner.parse(str(owner)) == owner
