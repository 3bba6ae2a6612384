"""A database that is lost while the command line works on it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pymongo import MongoClient

from fiftyone_environment import CACHE, ROOT
from mongodb import find_server, running
from tests.small_coco import write_small_coco


@pytest.mark.parametrize("stage", ["Importing", "Auditing", "Evaluating"])
def test_a_lost_database_is_one_sentence(stage: str, tmp_path: Path) -> None:
    """Exit code 1 would mean findings."""
    coco = write_small_coco(tmp_path / "small")
    with running(find_server(CACHE / "mongodb"), tmp_path / "database") as uri:
        with MongoClient(uri) as client:
            server = client.admin.command("serverStatus")["pid"]
        arguments = [coco.annotations, coco.images_dir, "--fail-on", "error"]
        process = subprocess.Popen(
            [
                *(sys.executable, "-u", "-m", "fiftyone_coco_audit.cli"),
                *map(str, arguments),
                *("--predictions", str(coco.predictions)),
            ],
            env=os.environ | {"FIFTYONE_DATABASE_URI": uri},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(stage):
                os.kill(server, signal.SIGKILL)
                break
        printed, error = process.communicate()
    assert process.returncode == 2
    assert "Traceback" not in printed + error
    said = [line for line in error.splitlines() if line.startswith("coco-audit:")]
    assert said == [
        "coco-audit: error: The MongoDB does not answer any more, so this could not be "
        "finished: start it again, with free space on its disk, then run this again"
    ]
