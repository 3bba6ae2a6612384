"""Text from files reaches no terminal, page or plot as anything but text."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from markdown_it import MarkdownIt
from PIL import Image
from playwright.sync_api import Dialog, Page, Request

from fiftyone_coco_audit import cli, evaluate, import_coco
from fiftyone_coco_audit.findings import PAGES
from fiftyone_coco_audit.panels.audit_page import TABS
from fiftyone_coco_audit.panels.results_page import TABS as RESULT_TABS
from tests.app.panel_driver import AuditPanel, PanelSession

_NUMBERS = itertools.count(1)
PLUGIN = "@coco-audit/coco-audit"
NAMES = [
    "\x1b]0;owned\x07\x1b[2J",
    "![seen](http:evil.example.png)",
    "<img src=x onerror=alert(1)>",
    "<a href='http:evil'><b>link</b></a>",
    "[link](javascript:alert(1))",
    "%{y}%{customdata}",
    "&lt;b&gt;",
    "back`tick` *bold* a|b",
    "# heading\n- list",
    "cat\u202egpj.exe",
    "long" * 500,
]
#: What the operators are called with, besides the dataset
CALLS: dict[str, dict[str, Any]] = {
    "audit": {},
    "audit_results": {},
    "evaluate": {},
    "compute_statistics": {},
    "simulate_resampling": {},
    "compare_sets": {"first": "tag:", "second": "dataset:"},
    "dry_run": {},
    "audit_augmentation": {"pipeline": "rotation"},
}


class Session(PanelSession):
    """The panel *COCO Audit*."""

    uri = f"{PLUGIN}/coco_audit"


class Preview(PanelSession):
    """The panel *Augmentation Preview*."""

    uri = f"{PLUGIN}/augmentation_preview"


class Results(PanelSession):
    """The panel *COCO Results*."""

    uri = f"{PLUGIN}/coco_results"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """A COCO file, its images and predictions, with hostile text wherever it can be."""
    folder = tmp_path / "images"
    folder.mkdir()
    images, annotations, predictions = [], [], []
    for n, name in enumerate(NAMES):
        file_name = re.sub(r"[\n/]", "-", f"{n}-{name[:100]}.png")
        Image.effect_noise((100, 80), 60).convert("RGB").save(folder / file_name)
        # The last image is missing, and ids are text
        images.append(
            {"id": f"{n}{name}", "file_name": file_name, "width": 100, "height": 80}
        )
        for k in range(3):
            box = [20 * k, 10, 30, 3 if k else 90]
            shared = {"image_id": f"{n}{name}", "category_id": n, "bbox": box}
            # Some of these keys can be the names of attributes, and some cannot
            own = {name[:60]: name, f"attribute{n}": name}
            annotations.append({**own, **shared, "id": 3 * n + k + 1, "area": 90})
            predictions.append({**shared, "score": 0.3 + 0.2 * k})
        # These cannot be used, and are reported with what they hold
        annotations.append({**shared, "id": name, "image_id": f"no {name}"})
        annotations.append({**shared, "id": f"a{name}", "bbox": name})
        annotations.append({**shared, "id": f"half\ud800{name}"})
        predictions.append({**shared, "category_id": name, "score": 0.5})
        images.append({"id": f"no{name}", "file_name": f"../{name}"})
        images.append(
            {
                "id": f"gone{n}{name}",
                "file_name": f"gone{name}",
                "width": 9,
                "height": 9,
            }
        )
    categories = [{"id": n, "name": name} for n, name in enumerate(NAMES)]
    paths = {
        "annotations": tmp_path / "annotations.json",
        "predictions": tmp_path / "predictions.json",
    }
    coco = {"images": images, "annotations": annotations, "categories": categories}
    paths["annotations"].write_text(json.dumps(coco))
    paths["predictions"].write_text(json.dumps(predictions))
    return {"images_dir": str(folder), **{k: str(path) for k, path in paths.items()}}


@pytest.fixture
def dataset(mongodb: str, files: dict[str, str]) -> Iterator[fo.Dataset]:
    dataset = import_coco(**files, name=f"hostile-{next(_NUMBERS)}")
    for sample, name in zip(dataset.iter_samples(autosave=True), NAMES, strict=False):
        sample.tags = [name]
    yield dataset
    dataset.delete()


def test_terminals_get_text(
    mongodb: str, files: dict[str, str], capsys: pytest.CaptureFixture[str]
):
    arguments = [files["annotations"], files["images_dir"], "--name", "hostile"]
    predictions = ["--predictions", files["predictions"]]
    assert cli.main([*arguments, *predictions]) == 0
    assert cli.main([*arguments, *predictions, "--overwrite", "--invalid=raise"]) == 2
    fo.delete_dataset("hostile")
    out, err = capsys.readouterr()
    assert "owned" in out
    assert "owned" in err or "error" in err
    for text in (out, err):
        # Progress bars move the cursor, and say nothing of the files
        assert re.sub(r"[\n\r]|\x1b\[A", "", text).isprintable()
        assert "long" * 200 not in text


@pytest.mark.parametrize("name", CALLS)
def test_outputs_of_operators_are_text(dataset: fo.Dataset, name: str):
    params = dict(CALLS[name])
    if "first" in params:
        params["first"] += NAMES[1]
        params["second"] += dataset.name
    context = {"dataset": dataset}
    if name == "audit_results":
        foo.execute_operator(f"{PLUGIN}/evaluate", context)
    results = foo.execute_operator(f"{PLUGIN}/{name}", context, params=params).result
    form = foo.get_operator(f"{PLUGIN}/{name}")._outputs(results).to_json()
    assert list(_markdown(form))
    _check(form)


def test_the_import_report_is_text(mongodb: str, files: dict[str, str]):
    uri = f"{PLUGIN}/import_coco"
    params = {
        name: {"absolute_path": path} if name == "images_dir" else path
        for name, path in files.items()
    }
    results = foo.execute_operator(uri, {}, params={**params, "name": "hostile"}).result
    fo.delete_dataset("hostile")
    form = foo.get_operator(uri)._outputs(results).to_json()
    assert "owned" in str(form)
    _check(form)


def test_outputs_of_what_adds_to_a_dataset_are_text(
    dataset: fo.Dataset, files: dict[str, str], tmp_path: Path
):
    calls = {
        "add_coco_predictions": {
            "predictions": files["predictions"],
            "pred_field": "more",
        },
        "apply_augmentation": {
            "pipeline": "rotation",
            "output_dir": str(tmp_path / "augmented"),
            "tag": NAMES[1],
        },
    }
    for name, params in calls.items():
        uri = f"{PLUGIN}/{name}"
        # Of the images, only some are there
        context = {"dataset": dataset, "view": dataset.limit(1)}
        results = foo.execute_operator(uri, context, params=params).result
        _check(foo.get_operator(uri)._outputs(results).to_json())


def test_panels_are_text(dataset: fo.Dataset):
    session = Session(dataset)
    for tab in TABS:
        session.send("show_tab", tab=tab)
        _check(session.form)
    evaluate(dataset)
    results = Results(dataset)
    for tab in RESULT_TABS:
        results.send("show_tab", tab=tab)
        _check(results.form)
    preview = Preview(dataset)
    for _ in NAMES:
        _check(preview.form)
        preview.send("next_sample")


def test_partial_labels_are_text():
    gaps = [
        {"class": one, "source": one, "images": 1, "expected": 1.0, "found": 0}
        for one in NAMES
    ]
    shown = foo.get_operator(f"{PLUGIN}/find_partial_labels")._outputs({"gaps": gaps})
    _check(shown.to_json())


def test_repairs_are_text():
    cause = {"boxes": "20 boxes", "share": 0.9, "share_unchanged": 0.1}
    results = {
        "field": "repaired",
        "diagnosis": " ".join(NAMES),
        "causes": [{"condition": one, **cause} for one in NAMES],
    }
    shown = foo.get_operator(f"{PLUGIN}/repair_predictions")._outputs(results)
    _check(shown.to_json())


@pytest.mark.browser
def test_a_browser_fetches_nothing_and_runs_nothing(
    dataset: fo.Dataset,
    open_app: Callable[[fo.Dataset], Page],
    browser_page: Page,
    screenshot: Callable[[str], None],
):
    dataset.tags = []
    strangers: list[str] = []
    dialogs: list[str] = []

    def note(request: Request) -> None:
        if "127.0.0.1" not in request.url and not request.url.startswith("data:"):
            strangers.append(request.url)

    def dismiss(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    browser_page.on("request", note)
    browser_page.on("dialog", dismiss)
    panel = AuditPanel(open_app(dataset), dataset)
    panel.open_from_grid()
    for tab in ("Images", "Objects", "Classes", "Anchors", "Findings"):
        panel.tab_called(tab).click()
        panel.settle()
        screenshot(tab)
    assert not dialogs
    assert not [url for url in strangers if "evil" in url]


def _check(form: Mapping[str, Any]) -> None:
    """Checks all that a page draws."""
    for text in _markdown(form):
        assert text.replace("\n", "").isprintable()
        for token in MarkdownIt("gfm-like", {"linkify": False}).parse(text):
            assert token.type != "html_block", text
            for child in token.children or ():
                assert child.type not in ("image", "html_inline"), text
                if child.type == "link_open":
                    assert str(child.attrs["href"]).startswith(PAGES), text
    for data in _traces(form):
        for key, text in _strings(data):
            # Word joiners keep sizes on one line
            assert text.replace("\u2060", "").isprintable()
            bare = text.replace("<br>", "").replace("<extra></extra>", "")
            assert "<" not in bare, text
            if key != "hovertemplate":
                assert "%{" not in bare, text


def _fields(form: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield form
    for field in form["type"].get("properties", {}).values():
        yield from _fields(field)


def _markdown(form: Mapping[str, Any]) -> Iterator[str]:
    for field in _fields(form):
        if field["view"] and field["view"]["name"] == "MarkdownView":
            yield str(field.get("default") or field["view"].get("label") or "")


def _traces(form: Mapping[str, Any]) -> Iterator[Any]:
    for field in _fields(form):
        if field["view"] and field["view"]["name"] == "PlotlyView":
            yield field["view"]["data"]
            yield field["view"]["layout"]


def _strings(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """All text of a plot, with the key that it is under."""
    if isinstance(value, str):
        if not value.startswith("data:"):
            yield key, value
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield from _strings(part, name)
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part, key)
