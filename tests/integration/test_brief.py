"""What a notebook or a terminal shows of results: a line, or sentences if printed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cached_property
from typing import Any

import fiftyone as fo
import numpy as np
import pytest

from fiftyone_coco_audit import (
    audit,
    audit_augmentation,
    check_loader,
    compare_sets,
    compute_statistics,
    dry_run,
    evaluate,
    import_coco,
    import_report,
    simulate_resampling,
)
from fiftyone_coco_audit.augmentation.pipelines import Pipeline
from fiftyone_coco_audit.augmentation.preview import preview_draws, read_subject

IMAGES = 12


@pytest.fixture(scope="module")
def view(demo_files, mongodb) -> Iterator[fo.DatasetView]:
    dataset = import_coco(
        demo_files.annotations,
        demo_files.images,
        predictions=demo_files.predictions,
        name="demo-brief",
    )
    yield dataset.take(IMAGES, seed=51)
    dataset.delete()


@pytest.fixture(scope="module")
def results(view) -> dict[str, Any]:
    """What the functions of the SDK give back, by their names."""
    dataset = view._root_dataset
    subject = read_subject(view, view.first().id)
    augmented = audit_augmentation(view, "rotation", num_draws=1, workers=1)
    return {
        "import_report": import_report(dataset),
        "audit": audit(dataset),
        "audit of a view": audit(view),
        "compute_statistics": compute_statistics(view, write_fields=False),
        "simulate_resampling": simulate_resampling(view, write_fields=False),
        "compare_sets": compare_sets(view[:6], view[6:]),
        "evaluate": evaluate(dataset),
        "audit_augmentation": augmented,
        "blame": augmented.blame(2),
        "preview": [
            subject,
            *preview_draws(Pipeline.parse("rotation"), subject, seed=51, num_draws=1),
        ],
        "dry_run": dry_run(view, "rotation", workers=1),
        "check_loader": check_loader(view, [([], []) for _ in range(IMAGES)]),
    }


def parts(value: Any, depth: int = 6) -> Iterator[Any]:
    """A value and what its public attributes hold, as far as this is ours."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value[:3]:
            yield from parts(item, depth)
        return
    kind = type(value)
    if not depth or not kind.__module__.startswith("fiftyone_coco_audit"):
        return
    yield value
    names = {field.name for field in fields(value)} if is_dataclass(value) else set()
    names |= {
        name
        for cls in kind.__mro__[:-1]
        if cls.__module__.startswith("fiftyone_coco_audit")
        for name, member in vars(cls).items()
        if isinstance(member, (cached_property, property)) and name[0] != "_"
    }
    for name in sorted(names):
        try:
            held = getattr(value, name)
        except ValueError:  # such as the scores of ground truth
            continue
        yield from parts(held, depth - 1)


NAMES = [
    "import_report",
    "audit",
    "audit of a view",
    "compute_statistics",
    "simulate_resampling",
    "compare_sets",
    "evaluate",
    "audit_augmentation",
    "blame",
    "preview",
    "dry_run",
    "check_loader",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_result_and_what_it_holds_are_a_line_each(results, name: str):
    shown = list(parts(results[name]))
    assert shown
    for value in shown:
        line = repr(value)
        assert "\n" not in line
        holds_much = any(
            isinstance(held, np.ndarray) or name.endswith("ids")
            for name, held in getattr(value, "__dict__", {}).items()
        )
        assert len(line) < 400, type(value)
        if holds_much:
            assert line.startswith(f"<{type(value).__name__}"), line


@pytest.mark.parametrize("name", NAMES)
def test_printed_it_says_something(results, name: str):
    found = results[name]
    for value in found if isinstance(found, list) else [found]:
        text = str(value)
        assert len(text) < 10_000
        assert text != repr(value)
        assert " object at 0x" not in text


def test_a_line_says_what_it_is_of_and_what_was_found(results):
    found = results["audit"]
    severities = [f"{n} {name}{'s' * (n != 1)}" for name, n in found.counts.items()]
    assert repr(found) == (
        "<Audit of 'demo-brief': 200 images, 1,746 objects and 4 crowd regions, "
        f"{', '.join(severities)}>"
    )
    assert repr(results["audit of a view"]).startswith("<Audit of a view of 'demo-")
    finding = found["CA301"]
    assert repr(finding) == "<Finding CA301 box-outside-image: error, 8 labels>"
    evaluated = results["evaluate"]
    ap = evaluated.summary()["AP"]
    assert repr(evaluated) == (
        f"<CocoResults 'eval' of 'demo-brief': 200 images, AP {ap:.4f} with 1 note>"
    )
    assert f"AP     {ap:.4f}" in str(evaluated)
    statistics = results["compute_statistics"]
    assert str(statistics).startswith(statistics.statistics.sentences()[0])
    assert "epoch" in str(results["simulate_resampling"])


def test_results_can_be_shown_after_their_dataset_is_gone():
    dataset = fo.Dataset("demo-gone")
    dataset.add_sample(
        fo.Sample(
            "gone.png",
            metadata=fo.ImageMetadata(width=64, height=48),
            ground_truth=fo.Detections(),
        )
    )
    of_all, of_view = audit(dataset), audit(dataset.limit(1))
    dataset.delete()
    assert repr(of_all).startswith("<Audit of 'demo-gone': 1 image, 0 objects, ")
    assert repr(of_view).startswith("<Audit of a view of 'demo-gone': ")


def test_the_evaluation_is_still_saved_as_before(results):
    stored = fo.load_dataset("demo-brief").load_evaluation_results("eval", cache=False)
    assert stored.mAP() == pytest.approx(results["evaluate"].summary()["AP"])
