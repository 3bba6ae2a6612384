"""A database that is lost, or has no space left, while we work on it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pymongo import MongoClient

from fiftyone_environment import CACHE, ROOT
from mongodb import find_server, running
from tests.small_coco import SmallCoco, write_small_coco

LOST = (
    "MongoDB no longer responds, so this could not be finished: restart it, "
    "with free space on its disk, then run this again"
)
FULL = (
    "MongoDB has no disk space left, so this could not be finished: free "
    "some, for example by deleting datasets, then run this again"
)

# The command line, which waits for a line of input where it prints the name of a stage
PAUSING = """
import sys
from fiftyone_coco_audit import cli

stage, printing = sys.argv.pop(1), sys.stdout.write

def write(text):
    printed = printing(text)
    if stage and stage in text:
        print(flush=True)
        sys.stdin.readline()
    return printed

sys.stdout.write = write
sys.exit(cli.main())
"""


@pytest.fixture
def coco(tmp_path: Path) -> SmallCoco:
    return write_small_coco(tmp_path / "small")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 512 MB, of which an empty database takes 300."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512m", "tmpfs", str(disk)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def coco_audit(
    uri: str,
    coco: SmallCoco,
    *options: str,
    at: tuple[str, Callable[[], None]] | None = None,
) -> tuple[int, str]:
    """Runs the command line, and something else while it waits at a stage.

    Returns:
        its exit code, and what it printed as an error
    """
    arguments = [coco.annotations, coco.images_dir, "--predictions", coco.predictions]
    stage, happens = at or ("", None)
    process = subprocess.Popen(
        [*(sys.executable, "-c", PAUSING, stage), *map(str, arguments), *options],
        env=os.environ | {"FIFTYONE_DATABASE_URI": uri},
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if happens is not None:
        assert process.stdout is not None
        assert any(line.startswith(stage) for line in process.stdout)
        happens()
    printed, error = process.communicate("\n")
    assert "Traceback" not in printed + error
    said = [line for line in error.splitlines() if line.startswith("coco-audit:")]
    return process.returncode, "\n".join(said)


def kill_server(uri: str) -> None:
    """Kills a database server."""
    with MongoClient(uri) as client:
        server = client.admin.command("serverStatus")["pid"]
    os.kill(server, signal.SIGKILL)


def fill(disk: Path) -> Path:
    """Leaves no space on a disk.

    Returns:
        the file that takes it
    """
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (2**20, 2**12):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    return filler


@pytest.mark.parametrize("stage", ["Importing", "Auditing", "Evaluating"])
def test_a_lost_database_is_one_sentence(
    stage: str, coco: SmallCoco, tmp_path: Path
) -> None:
    """Exit code 1 would mean findings."""
    with running(find_server(CACHE / "mongodb"), tmp_path / "database") as uri:
        code, said = coco_audit(
            *(uri, coco, "--fail-on", "error"), at=(stage, lambda: kill_server(uri))
        )
    assert (code, said) == (2, f"coco-audit: error: {LOST}")


@pytest.mark.parametrize("stage", ["Importing", "Evaluating"])
def test_a_full_disk_is_one_sentence(
    stage: str, coco: SmallCoco, small_disk: Path
) -> None:
    """MongoDB ends where it finds no space; with more, all can be done again."""
    server, database = find_server(CACHE / "mongodb"), small_disk / "database"
    with running(server, database) as uri:
        code, said = coco_audit(
            *(uri, coco, "--name", "full"), at=(stage, lambda: fill(small_disk))
        )
    assert code == 2
    assert said in (f"coco-audit: error: {LOST}", f"coco-audit: error: {FULL}")

    (small_disk / "filler").unlink()
    with running(server, database) as uri:
        assert coco_audit(uri, coco, "--name", "full", "--overwrite") == (0, "")
        with MongoClient(uri) as client:
            stored = client[os.environ["FIFTYONE_DATABASE_NAME"]]
            assert stored.datasets.count_documents({}) == 1
            assert not stored["coco_audit.writes"].count_documents({})
            assert not stored["coco_audit.locks"].count_documents({})
            runs = {run["results"] for run in stored.runs.find()}
            assert {*stored["fs.chunks"].distinct("files_id")} == runs


def test_predictions_can_be_added_after_a_crash_of_the_database(
    coco: SmallCoco, tmp_path: Path
) -> None:
    """MongoDB then gives 0 as the number of samples, and so does FiftyOne."""
    server, database = find_server(CACHE / "mongodb"), tmp_path / "database"
    with running(server, database) as uri:
        assert coco_audit(uri, coco, "--name", "survivor") == (0, "")
        kill_server(uri)
    code = (
        "import sys, fiftyone as fo; from fiftyone_coco_audit import *\n"
        "ds = fo.load_dataset('survivor'); samples = len(ds)\n"
        "add_coco_predictions(ds, sys.argv[1], pred_field='more', progress=False)\n"
        "assert evaluate(ds, 'more', eval_key='m', progress=False).key == 'm'\n"
        "print(samples, ds.count('more.detections'))"
    )
    with running(server, database) as uri:
        done = subprocess.run(
            [sys.executable, "-c", code, str(coco.predictions)],
            env=os.environ | {"FIFTYONE_DATABASE_URI": uri},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.stdout == "0 3\n", done.stderr
