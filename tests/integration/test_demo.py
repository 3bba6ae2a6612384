"""The program of the demo, from generating to serving."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import fiftyone as fo
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

import coco_audit_demo as demo
from fiftyone_coco_audit.evaluation.colors import is_outcome_colors

IMAGES = "60"


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo.generate(
        tmp_path_factory.mktemp("demo") / "set", num_images=int(IMAGES)
    ).root


def run(output: Path, *arguments: str) -> int:
    return demo.main(
        ["--output", str(output), "--num-images", IMAGES, "--no-app", *arguments]
    )


def test_generates_imports_and_evaluates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "set"
    assert run(output, "--name", "demo-new", "--seed", "9") == 0

    printed = capsys.readouterr().out
    assert f"Generating {IMAGES} images in {output}" in printed
    assert str(output / "manifest.json") in printed
    manifest = json.loads((output / "manifest.json").read_text())
    assert manifest["parameters"]["seed"] == 9

    dataset = fo.load_dataset("demo-new")
    assert dataset.persistent
    assert is_outcome_colors(dataset.app_config.color_scheme)
    assert "Colors: objects found are green" in printed
    assert len(dataset) == manifest["counts"]["images"]
    assert dataset.count("ground_truth.detections") == manifest["counts"]["annotations"]
    assert dataset.count("predictions.detections") == manifest["counts"]["predictions"]
    # The faults are in the data, not in the records
    report = dataset.info["coco_audit"]["import"]
    assert report["set_aside"] == report["warnings"] == {}
    assert all(Path(path).is_file() for path in dataset.values("filepath"))


def test_prints_the_numbers_of_pycocotools(
    output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(output, "--name", "demo-numbers") == 0
    printed = capsys.readouterr().out

    truth = COCO(str(output / "annotations.json"))
    results = truth.loadRes(str(output / "predictions.json"))
    evaluation = COCOeval(truth, results, "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    numbers = re.findall(r"^ +A[PR]\w* +(\d\.\d{4}) ", printed, re.MULTILINE)
    assert [float(number) for number in numbers] == pytest.approx(
        evaluation.stats, abs=5.1e-5
    )


def test_prints_the_worst_images(
    output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(output, "--name", "demo-worst") == 0
    printed = capsys.readouterr().out
    rows = re.findall(
        r"^ +(site_\S+\.jpg) +(.+?) +(\d\.\d{3}) +(\d+) +(\d+) +(\d+)$",
        printed,
        re.MULTILINE,
    )
    assert "The worst classes (tp, fp and fn at IoU 0.50 and any score)" in printed
    steps = printed.partition("\nWhat to do next, by the AP that it gains")[2]
    assert re.search(r"^ +CA\d{3} +\+\.\d{3} AP +\d+ labels +", steps, re.MULTILINE)
    dataset = fo.load_dataset("demo-worst")
    scores = sorted(ap for ap in dataset.values("eval_ap") if ap is not None)
    assert [float(row[2]) for row in rows] == pytest.approx(scores[:10], abs=5.1e-4)
    for file, status, _, *counts in rows:
        sample = dataset[str(output / "images" / file)]
        assert sample["eval_status"] == status
        fields = ("eval_tp", "eval_fp", "eval_fn")
        assert [int(count) for count in counts] == [sample[name] for name in fields]
    silent = next(
        plant
        for plant in json.loads((output / "manifest.json").read_text())["plants"]
        if plant["key"] == "no_predictions"
    )
    assert {row[0] for row in rows if row[1] == "no predictions"} == set(
        silent["file_names"]
    )


def test_uses_what_is_there(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = (output / "manifest.json").stat().st_mtime_ns
    assert run(output, "--name", "demo-again") == 0
    assert run(output, "--name", "demo-again") == 0
    assert f"Using the demo in {output}" in capsys.readouterr().out
    assert (output / "manifest.json").stat().st_mtime_ns == written


def test_spares_the_dataset_of_another(
    output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = fo.Dataset("demo-mine")
    mine.add_sample(fo.Sample("thesis.png"))
    assert run(output, "--name", "demo-mine") == 1
    assert "'demo-mine' is not the demo" in capsys.readouterr().err
    assert mine.values("filepath")[0].endswith("thesis.png")


def test_an_address_that_is_taken_stops_it_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        arguments = ["--output", str(tmp_path / "set"), "--port", str(port)]
        assert demo.main(arguments) == 1
    assert f"Port {port} of 127.0.0.1 cannot be used" in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


def test_serves_the_app(output: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-u", "-m", "coco_audit_demo"]
    command += ["--output", str(output), "--num-images", IMAGES]
    command += ["--name", "demo-served", "--port", str(port)]
    log = output.with_suffix(".log")
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        address = f"http://127.0.0.1:{port}/"
        deadline = time.monotonic() + 120
        while f"The App is at {address} " not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        with urllib.request.urlopen(address, timeout=30) as page:
            assert b"<title>FiftyOne</title>" in page.read()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        process.kill()
    with pytest.raises(OSError):
        urllib.request.urlopen(address, timeout=5)
