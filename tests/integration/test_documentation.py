"""What the pages tell users to run does run, as it stands there."""

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from unittest.mock import MagicMock, patch

import fiftyone as fo
import pytest

from fiftyone_coco_audit import cli, import_coco
from fiftyone_coco_audit.findings import RULES
from fiftyone_coco_audit.statistics.anchor_sets import PRESETS, AnchorSet
from fiftyone_coco_audit.statistics.fields import OF_IMAGES, OF_OBJECTS
from fiftyone_coco_audit.statistics.resizing import ResizePolicy
from tests.small_coco import write_small_coco

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
STATISTICS = (DOCS / "statistics.md").read_text()
PAGES = [
    ROOT / "README.md",
    *(
        DOCS / name
        for name in (
            "statistics.md",
            "audit.md",
            "evaluation.md",
            "augmentation.md",
        )
    ),
    DOCS / "rules" / "README.md",
]
FIRST = "from fiftyone_coco_audit import audit"


class Block(NamedTuple):
    """A fenced block of a page."""

    line: int
    text: str


def blocks(page: str, language: str) -> list[Block]:
    found = re.finditer(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    return [Block(page.count("\n", 0, m.start(1)) + 1, m.group(1)) for m in found]


def commands(page: str) -> Iterator[list[str]]:
    """The arguments of each call of ``coco-audit`` in a page."""
    for block in blocks(page, "shell"):
        for line in block.text.replace("\\\n", " ").splitlines():
            program, *arguments = shlex.split(line, comments=True) or [""]
            if program == "coco-audit":
                yield arguments


def run(page: Path, names: dict[str, object]) -> list[Block]:
    """Runs the Python of a page from top to bottom, as in one notebook.

    Args:
        page: the page
        names: what is there already

    Returns:
        the blocks that were run; not those for which PyTorch would have to be there
    """
    text = page.read_text()
    run = []
    for block in blocks(text, "py"):
        if "import torch" in block.text or "from torch" in block.text:
            if importlib.util.find_spec("torch") is None:
                continue
        # Errors are reported at the line of the page
        code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
        exec(code, names)
        run.append(block)
    return run


@pytest.fixture
def dataset(tmp_path, monkeypatch) -> fo.Dataset:
    """The files that the pages speak of, in the current folder, imported."""
    files = write_small_coco(tmp_path)
    monkeypatch.chdir(tmp_path)
    Path("other_model.json").write_bytes(files.predictions.read_bytes())
    made = import_coco(
        files.annotations,
        files.images_dir,
        predictions=files.predictions,
        name="of the page",
    )
    # The page on evaluation reviews a sure prediction in an image without labels
    path = "predictions.detections.confidence"
    scores = made.values(path)
    made.set_values(path, [[0.95] if of == [0.7] else of for of in scores])
    made[:2].tag_samples("train")
    made[2:].tag_samples("val")
    return made


@pytest.fixture
def shifted(dataset) -> fo.Dataset:
    """An image whose predictions are all of the next class."""
    classes = "cat", "dog", "bird"

    def labels(shift: int, **attributes: float) -> fo.Detections:
        return fo.Detections(
            detections=[
                fo.Detection(
                    label=classes[(n + shift) % 3],
                    bounding_box=[n % 6 / 6, n // 6 / 6, 0.1, 0.1],
                    **attributes,
                )
                for n in range(36)
            ]
        )

    sample = fo.Sample(
        filepath=dataset.first().filepath,
        ground_truth=labels(0),
        predictions=labels(1, confidence=0.9),
    )
    made = fo.Dataset()
    made.add_sample(sample)
    return made


@pytest.fixture
def poses() -> fo.Dataset:
    """A person, and a prediction of it."""
    pose = {"image_id": 1, "category_id": 1, "keypoints": [10, 20, 2] * 17}
    person = {**pose, "id": 1, "bbox": [5, 5, 40, 40], "area": 1600}
    coco = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 100}],
        "annotations": [person],
        "categories": [{"id": 1, "name": "person"}],
    }
    return import_coco(coco, predictions=[{**pose, "score": 0.9}])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_python_of_a_page_runs(page, dataset, shifted, poses, monkeypatch):
    app = MagicMock()
    monkeypatch.setattr(fo, "launch_app", app)
    names: dict[str, object] = {
        "dataset": dataset,
        "shifted": shifted,
        "poses": poses,
        "__name__": "page",
    }
    exec(FIRST, names)
    with patch.dict(RULES):
        assert run(page, names)
    assert app.called == ("launch_app" in page.read_text())


def test_the_afternoon_prints_what_it_says(shared_data, monkeypatch, capsys):
    """On the real data of the page; lines of ``...`` stand for others."""
    monkeypatch.chdir(shared_data / "coco_mini")
    monkeypatch.setattr(fo.config, "show_progress_bars", False)
    page = DOCS / "afternoon.md"
    text, names = page.read_text(), {}
    shown = blocks(text, "text")
    for block in blocks(text, "py"):
        exec(compile(block.text, str(page), "exec"), names)
        printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
        while shown and shown[0].line < block.line:
            shown.pop(0)
        following = text.splitlines()[block.line + block.text.count("\n") :][:3]
        if "```text" not in following:
            continue
        for line in shown[0].text.splitlines():
            assert line.strip() == "..." or line.rstrip() in printed


def test_a_block_that_fails_is_told_with_its_line(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n```py\na = 1\n```\n\n```py\n\nb = a / 0\n```\n")
    with pytest.raises(ZeroDivisionError) as failure:
        run(page, {})
    last = failure.traceback[-1]
    assert (str(last.path), last.lineno + 1) == (str(page), 9)


def test_the_rule_on_the_page_finds_what_it_says(dataset):
    names: dict[str, object] = {"dataset": dataset}
    rule = next(
        block
        for block in blocks((DOCS / "audit.md").read_text(), "py")
        if "@rule" in block.text
    )
    with patch.dict(RULES):
        exec(FIRST, names)
        exec(rule.text, names)
        found = names["audit"](dataset, select=["OWN1"])  # type: ignore[operator]
        strict = names["audit"](  # type: ignore[operator]
            dataset, select=["OWN1"], thresholds={"OWN1": {"max_share": 1}}
        )
    assert [f.message for f in found] == ["4 of 4 boxes are exactly square."]
    assert found["OWN1"].count == 4
    assert len(strict) == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_of_a_page_are_understood(page):
    for arguments in commands(page.read_text()):
        if arguments != ["--help"]:
            cli._rules(cli._parser().parse_args(arguments))


def test_the_gate_ends_with_the_exit_codes_of_the_page(dataset, monkeypatch, capsys):
    monkeypatch.setattr(cli, "_check_database", lambda: None)
    (arguments,) = commands((DOCS / "audit.md").read_text())
    assert cli.main(arguments) == 0
    assert Path("audit.json").exists()
    assert cli.main([*arguments, "--fail-on", "note"]) == 1
    assert cli.main(["missing.json", "images/"]) == 2
    capsys.readouterr()


def test_the_page_on_statistics_names_every_preset():
    row = re.compile(r"^\| (`.*) \| .* \| .* \|$", re.MULTILINE)
    named = {name for cells in row.findall(STATISTICS) for name in _code(cells)}
    assert set(PRESETS) <= named


def test_the_texts_of_policies_and_anchors_can_be_read():
    rows = re.findall(r"^\| (`[^|]*`) \|", STATISTICS, re.MULTILINE)
    texts = [text for cells in rows for text in _code(cells)]
    anchors = [t for t in texts if "strides" in t]
    of_sizes = [t for t in texts if re.fullmatch(r"none|[a-z_]+ \d.*", t)]
    policies = [t for t in of_sizes if t not in anchors]
    assert len(policies) == 7
    assert len(anchors) == 3
    for text in policies:
        assert ResizePolicy.parse(text)
    for text in anchors:
        assert AnchorSet.parse(text)
    for more in ("iou .5,.4", "iou .5,.4 force", "ratio 4"):
        assert f"`{more}`" in STATISTICS
        assert AnchorSet.parse(f"{anchors[0]} {more} offset .5").offset == 0.5


def test_fields_that_the_page_speaks_of_are_written():
    known = {column.name for column in (*OF_IMAGES, *OF_OBJECTS)}
    assert set(re.findall(r'F\("(\w+)"\)', STATISTICS)) <= known
    assert re.findall(r'F\("(\w+)"\)', STATISTICS)


def _code(text: str) -> list[str]:
    return re.findall(r"`([^`]*)`", text)
