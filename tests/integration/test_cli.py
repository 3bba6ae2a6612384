"""The command line, from files to a dataset in the database."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from http.client import HTTPResponse
from pathlib import Path
from urllib.request import Request, urlopen

import fiftyone as fo
import pytest

import fiftyone_coco_audit
from fiftyone_coco_audit import __version__
from fiftyone_coco_audit.cli import main
from fiftyone_coco_audit.evaluation.colors import is_outcome_colors
from tests.small_coco import APS, SmallCoco, write_small_coco


@pytest.fixture
def coco(tmp_path: Path) -> SmallCoco:
    return write_small_coco(tmp_path / "small")


@pytest.fixture
def arguments(coco: SmallCoco) -> list[str]:
    return [str(coco.annotations), str(coco.images_dir)]


def test_import_alone(arguments, capsys):
    assert main(arguments) == 0
    assert len(fo.load_dataset("small")) == 4
    printed = capsys.readouterr().out
    assert "4 images, 4 objects" in printed
    assert "fiftyone app launch small" in printed
    assert "AP" not in printed


def test_the_main_job(arguments, coco, capsys):
    assert main([*arguments, "--predictions", str(coco.predictions)]) == 0
    dataset = fo.load_dataset("small")
    assert dataset.list_evaluations() == ["eval"]
    printed = capsys.readouterr().out
    assert "3 predictions in 'predictions'" in printed
    assert "AP     0.5000" in printed
    # dog: two objects, nothing found; cat: found twice, once where there is none
    at = printed.index("The worst classes (tp, fp and fn at IoU 0.50 and any score)")
    assert printed[at:].splitlines()[1:3] == [
        "  class     AP  objects  predictions  tp  fp  fn",
        "  dog    0.000        2            0   0   0   2",
    ]
    assert "The worst images (tp, fp and fn at IoU 0.50 and any score)" in printed
    # One line each, worst first
    places = [printed.index(name) for name, ap in APS.items() if ap in (0.0, 0.5)]
    assert places == sorted(places)
    assert "nothing.png" not in printed  # no AP
    assert "hit.png" not in printed  # nothing wrong with it
    # The colors are there whenever the App opens the dataset
    assert is_outcome_colors(dataset.app_config.color_scheme)
    assert "In the App: Objects are green" in printed


def test_what_to_do_next_is_selected_and_written(arguments, coco, capsys, tmp_path):
    predictions = ["--predictions", str(coco.predictions)]
    path = tmp_path / "audit.json"
    more = ["--audit-json", str(path), "--select", "CA713", "--fail-on", "note"]
    assert main([*arguments, *predictions, *more]) == 1
    printed = capsys.readouterr().out
    # Nothing was selected for the audit of the dataset
    assert "Auditing" not in printed
    steps = printed.partition("\nWhat to do next, by the AP that it gains")[2]
    assert "The worst images" not in steps
    assert "  CA713        the set  No prediction has a score under" in steps
    written = json.loads(path.read_text())
    assert [f["code"] for f in written["results"]["findings"]] == ["CA713"]
    assert main([*arguments, "--overwrite", *predictions, "--ignore", "CA7,CA8"]) == 0
    printed = capsys.readouterr().out
    assert "Auditing" in printed and "What to do next" not in printed
    assert main([*arguments, "--overwrite", "--select", "CA7"]) == 2
    assert "audit_results(dataset, eval_key) runs rules" in capsys.readouterr().err


def test_masks(arguments, coco, capsys):
    predictions = ["--predictions", str(coco.predictions)]
    assert main([*arguments, *predictions, "--iou-type", "segm"]) == 0
    config = fo.load_dataset("small").get_evaluation_info("eval").config
    assert config.use_masks
    # What the numbers depend on follows them
    printed = capsys.readouterr().out
    note = "Note: 3 labels in 'predictions' have no mask: the box is used.\n"
    assert -1 < printed.find("  AP ") < printed.find(note)


def test_names(arguments, capsys):
    assert main([*arguments, "--name", "my data"]) == 0
    assert "fiftyone app launch 'my data'" in capsys.readouterr().out
    assert main([*arguments, "--name", "my data"]) == 2
    error = capsys.readouterr().err
    assert "Dataset 'my data' already exists" in error
    assert "--overwrite" in error
    assert main([*arguments, "--name", "my data", "--overwrite"]) == 0
    # Without a name, another each time, which is said
    capsys.readouterr()
    assert main(arguments) == 0
    assert "already" not in capsys.readouterr().out
    assert main(arguments) == 0
    assert capsys.readouterr().out.splitlines()[0] == (
        "Dataset 'small' already exists, so the new one is 'small-2'. To replace "
        "the old one, use --name small --overwrite."
    )
    assert {"small", "small-2"} < set(fo.list_datasets())


@pytest.mark.parametrize("name", ["日本", "\udce9", ""])
def test_names_that_no_dataset_can_have(arguments, name, capsys):
    assert main([*arguments, "--name", name]) == 2
    assert "at least one of A-Z, a-z and 0-9" in capsys.readouterr().err


def test_an_address_that_is_taken_stops_it_first(arguments, capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main([*arguments, "--launch", "--port", str(port)]) == 2
    assert f"Port {port} of 127.0.0.1 cannot be used" in capsys.readouterr().err
    assert fo.list_datasets() == []


def test_a_mistake_is_one_sentence(arguments, capsys):
    assert main([f"{arguments[0]}.gz", arguments[1]]) == 2
    error = capsys.readouterr().err
    assert error.startswith("coco-audit: error: ")
    assert len(error.splitlines()) == 1
    assert "annotations.json.gz" in error


@pytest.mark.parametrize(
    "wrong",
    [
        ["--audit-json", ""],
        ["--audit-json", "no/such/folder.json"],
        ["--resize", "letterbox 99999999999999999999"],
        ["--select", ""],
        ["--select", "CA6", "--fail-on", "error"],
    ],
)
def test_what_means_nothing_is_told_before_anything_is_imported(
    arguments, wrong, capsys
):
    assert main([*arguments, *wrong]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not fo.list_datasets()


def test_a_database_that_does_not_answer_is_one_sentence(arguments):
    nobody = "mongodb://127.0.0.1:1"
    started = time.monotonic()
    process = subprocess.run(
        [sys.executable, "-m", "fiftyone_coco_audit.cli", *arguments],
        env=os.environ | {"FIFTYONE_DATABASE_URI": nobody},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert process.returncode == 2
    assert time.monotonic() - started < 25  # FiftyOne alone waits for 30 seconds
    assert process.stderr.startswith("coco-audit: error: The MongoDB server")
    assert len(process.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ("import_coco", "nothing was imported"),
        ("audit", "dataset 'small' is imported, but not audited"),
        ("evaluate", "dataset 'small' is imported and audited, but not evaluated"),
    ],
)
def test_ctrl_c_says_what_is_there(arguments, coco, capsys, monkeypatch, stage, said):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(fiftyone_coco_audit, stage, interrupted)
    assert main([*arguments, "--predictions", str(coco.predictions)]) == 130
    assert capsys.readouterr().err == f"coco-audit: interrupted: {said}\n"
    assert fo.dataset_exists("small") == (stage != "import_coco")


def test_bad_records_stop_it_if_asked(arguments, coco, capsys):
    text = coco.annotations.read_text()
    coco.annotations.write_text(text.replace('"category_id": 2', '"category_id": 3'))
    assert main([*arguments, "--invalid", "raise"]) == 2
    assert fo.list_datasets() == []
    assert main(arguments) == 0
    assert "Set aside" in capsys.readouterr().out


def test_help_and_version(capsys):
    for option, words in [("--help", "examples:"), ("--version", __version__)]:
        with pytest.raises(SystemExit) as exit_:
            main([option])
        assert exit_.value.code == 0
        assert words in capsys.readouterr().out


def _look_at(app: str) -> closing[HTTPResponse]:
    """Listens to what the App tells, as a browser does as long as it shows it."""
    listens = {"subscription": "browser", "initializer": None, "events": ["refresh"]}
    request = Request(
        f"{app}/events",
        json.dumps({**listens, "polling": False}).encode(),
        {"Accept": "text/event-stream", "Content-Type": "application/json"},
    )
    return closing(urlopen(request))


def test_launch_serves_the_app_until_it_is_interrupted(arguments, coco, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "fiftyone_coco_audit.cli", *arguments),
            *("--predictions", str(coco.predictions), "--launch", "--port", str(port)),
        ],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    with process, ExitStack() as stack:
        printed = ""
        for line in process.stdout:
            printed += line
            if "The App is at" in line:
                stack.enter_context(_look_at(f"http://127.0.0.1:{port}"))
                process.send_signal(signal.SIGINT)
                break
        rest = process.stdout.read()
    assert process.returncode == 0, printed + rest
    assert f"The App is at http://127.0.0.1:{port}/" in printed
    assert "Traceback" not in rest
