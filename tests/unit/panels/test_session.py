"""What has been read stays, and is known to be old when the dataset has changed."""

from datetime import datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from fiftyone_coco_audit.panels.audit_controls import AuditControls
from fiftyone_coco_audit.panels.session import LoadedField, LoadedFields
from fiftyone_coco_audit.statistics.anchor_presets import DEFAULT_ANCHORS
from fiftyone_coco_audit.statistics.anchor_sets import PRESETS
from fiftyone_coco_audit.statistics.resizing import DEFAULT_RESIZE, ResizePolicy
from tests.labeled import labeled

NOON = datetime(2026, 1, 1, 12)


class Dataset:
    """As much of a dataset as a session asks for."""

    def __init__(self, name: str = "one", num_samples: int = 3) -> None:
        self._root_dataset = self
        self._doc = SimpleNamespace(id=name)
        self.media_type = "image"
        self.num_samples = num_samples
        self.modified = NOON

    def __len__(self) -> int:
        return self.num_samples

    def sort_by(self, field: str, reverse: bool) -> "Dataset":
        assert (field, reverse) == ("last_modified_at", True)
        return self

    def limit(self, most: int) -> "Dataset":
        assert most == 1
        return self

    def values(self, field: str) -> list[datetime]:
        return [self.modified] if self.num_samples else []

    def view(self, *stages: str) -> SimpleNamespace:
        return SimpleNamespace(
            _root_dataset=self, _serialize=lambda include_uuids: list(stages)
        )


def nothing(samples: object, label_field: str) -> None:
    """Prepares samples that have all that there is to know."""


@pytest.fixture
def reads() -> list[tuple[object, str]]:
    return []


@pytest.fixture
def readings(reads: list[tuple[object, str]]) -> LoadedFields:
    def read(samples: object, label_field: str, masks: bool) -> SimpleNamespace:
        assert masks  # as audit() reads, or the findings would be others
        reads.append((samples, label_field))
        return SimpleNamespace(images=labeled([(640, 480)]))

    return LoadedFields(read, most=2, prepare=nothing)


def test_nothing_is_read_twice(readings: LoadedFields, reads: list):
    dataset = Dataset()
    first = readings.get(dataset, "ground_truth")
    assert readings.get(dataset, "ground_truth") is first
    assert len(reads) == 1


def test_other_fields_and_views_are_other_readings(readings: LoadedFields, reads: list):
    dataset = Dataset()
    readings.get(dataset, "ground_truth")
    readings.get(dataset, "predictions")
    view = dataset.view("Limit 3")
    readings.get(view, "predictions")
    readings.get(dataset.view("Limit 3"), "predictions")
    assert reads == [
        (dataset, "ground_truth"),
        (dataset, "predictions"),
        (view, "predictions"),
    ]


def test_those_used_last_are_kept(readings: LoadedFields, reads: list):
    one, two, three = Dataset("1"), Dataset("2"), Dataset("3")
    for dataset in (one, two, one, three):
        readings.get(dataset, "f")
    assert len(reads) == 3
    readings.get(one, "f")
    assert len(reads) == 3
    readings.get(two, "f")
    assert len(reads) == 4


def test_a_reading_is_made_anew_when_asked(readings: LoadedFields, reads: list):
    dataset = Dataset()
    first = readings.get(dataset, "f")
    second = readings.get(dataset, "f", anew=True)
    assert second is not first
    assert readings.get(dataset, "f") is second
    assert len(reads) == 2


@pytest.mark.parametrize("change", ["modified", "added", "removed"])
def test_a_reading_knows_that_its_dataset_has_changed(
    readings: LoadedFields, change: str
):
    dataset = Dataset()
    reading = readings.get(dataset.view("Limit 3"), "f")
    assert not reading.is_stale()
    if change == "modified":
        dataset.modified += timedelta(seconds=1)
    else:
        dataset.num_samples += 1 if change == "added" else -1
    assert reading.is_stale()
    assert not readings.get(dataset.view("Limit 3"), "f", anew=True).is_stale()


def test_a_change_while_reading_is_not_missed():
    dataset = Dataset()

    def read(samples: object, label_field: str, masks: bool) -> SimpleNamespace:
        dataset.modified += timedelta(seconds=1)
        return SimpleNamespace(images=labeled([(640, 480)]))

    assert LoadedFields(read, prepare=nothing).get(dataset, "f").is_stale()


def test_an_empty_dataset_has_a_version(readings: LoadedFields):
    reading = readings.get(Dataset(num_samples=0), "f")
    assert reading.version == (0, None)
    assert not reading.is_stale()


def test_what_does_not_change_is_not_computed_again():
    images = labeled([(640, 480)], [(0, "cat", [10, 10, 50, 60])])
    reading = LoadedField(None, SimpleNamespace(images=images), (1, NOON), NOON)
    first = reading.statistics(DEFAULT_RESIZE, DEFAULT_ANCHORS)
    shapes, network_input = first.shapes, first.network_input
    assert reading.statistics(DEFAULT_RESIZE, DEFAULT_ANCHORS) is first

    other_anchors = next(a for a in PRESETS.values() if a != DEFAULT_ANCHORS)
    anchored = reading.statistics(DEFAULT_RESIZE, other_anchors)
    assert anchored.network_input is network_input

    resized = reading.statistics(ResizePolicy("stretch", 320), other_anchors)
    assert resized.shapes is shapes
    assert np.allclose(resized.network_input.input_size, np.sqrt(50 * 60 / 2 * 2 / 3))


def test_controls_come_from_what_the_app_kept():
    assert AuditControls.of(None) == AuditControls()
    kept = {"tab": "images", "resize_size": "320", "stages": None, "label_field": None}
    controls = AuditControls.of({**kept, "images": {"plot": []}})
    assert controls == AuditControls(tab="images", resize_size="320")


@pytest.mark.parametrize(
    ("mode", "size", "expected"),
    [
        ("letterbox", "640", "letterbox 640"),
        ("stretch", " 300x200 ", "stretch 300x200"),
        ("shortest_side", "800 max 1333", "shortest_side 800 max 1333"),
        ("none", "640", "none"),
    ],
)
def test_controls_are_a_resize_policy(mode: str, size: str, expected: str):
    policy, error = AuditControls(resize_mode=mode, resize_size=size).resize()
    assert (str(policy), error) == (expected, "")


@pytest.mark.parametrize("size", ["", "wide", "0", "640x"])
def test_a_size_that_is_none_is_told_and_the_default_shown(size: str):
    policy, error = AuditControls(resize_size=size).resize()
    assert policy == DEFAULT_RESIZE
    assert "letterbox 640" in error


def test_anchors_that_are_none_are_told_and_the_default_shown():
    for controls in (
        AuditControls(anchors="yolo v99"),
        AuditControls(anchors="custom", custom_anchors="yolo v99"),
    ):
        anchors, error = controls.anchor_set()
        assert anchors == DEFAULT_ANCHORS
        assert "yolo" in error
    assert AuditControls().anchor_set() == (DEFAULT_ANCHORS, "")
