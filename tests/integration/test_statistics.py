"""Statistics of datasets: what is read, and what is written as fields."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import pytest
from fiftyone import ViewField as F
from fiftyone.operators.executor import ExecutionError

from fiftyone_coco_audit import (
    CocoAuditError,
    compare_sets,
    compute_statistics,
    delete_fields_of,
    find_partial_labels,
    import_coco,
    simulate_resampling,
)
from fiftyone_coco_audit.statistics.anchor_sets import STATUSES
from fiftyone_coco_audit.statistics.fields import OF_IMAGES, OF_OBJECTS
from fiftyone_coco_audit.statistics.inputs import read_labeled_images
from fiftyone_coco_audit.storage.values import insert_values
from tests.labeled import read_labeled

URI = "@coco-audit/coco-audit/"
OF_SAMPLES = {column.name for column in OF_IMAGES}
OF_LABELS = {column.name for column in OF_OBJECTS}


def detection(label: str, box: list[float], **attributes) -> fo.Detection:
    return fo.Detection(label=label, bounding_box=box, **attributes)


@pytest.fixture
def dataset() -> fo.Dataset:
    """Three images without files: a wide one, a tall one, and one without objects."""
    made = fo.Dataset()
    made.add_samples(
        [
            fo.Sample(
                filepath="/data/site_a/wide.jpg",
                metadata=fo.ImageMetadata(width=1280, height=640),
                tags=["train"],
                ground_truth=fo.Detections(
                    detections=[
                        detection("cat", [0.25, 0.25, 0.25, 0.25], area=1000),
                        detection("cat", [0, 0, 1, 1], iscrowd=1),
                        detection("dog", [0.5, 0.5, 0.5, 0.5]),
                    ]
                ),
            ),
            fo.Sample(
                filepath="/data/site_b/tall.jpg",
                metadata=fo.ImageMetadata(width=320, height=640),
                tags=["val"],
                ground_truth=fo.Detections(
                    detections=[
                        detection("cat", [0.1, 0.1, 0.5, 0.1]),
                        # Without a class, and so without a part in anything
                        detection(None, [0.1, 0.1, 0.5, 0.1]),
                    ]
                ),
            ),
            fo.Sample(
                filepath="/data/site_b/nothing.jpg",
                metadata=fo.ImageMetadata(width=640, height=640),
                tags=["val"],
            ),
        ]
    )
    return made


def labels(samples: fo.Dataset, attribute: str) -> list:
    return samples.values(f"ground_truth.detections.{attribute}", unwind=True)


def test_fields(dataset):
    compute_statistics(dataset, resize="letterbox 640")
    assert dataset.values("aspect_ratio") == [2, 0.5, 1]
    assert dataset.values("megapixels") == [0.8192, 0.2048, 0.4096]
    assert dataset.values("num_objects") == [2, 1, 0]
    assert dataset.values("num_classes") == [2, 1, 0]
    # The crowd and what has no class are no objects
    assert labels(dataset, "box_aspect_ratio") == [2, None, 2, 2.5, None]
    assert labels(dataset, "relative_area") == pytest.approx(
        [1000 / (1280 * 640), None, 0.25, 0.05, None]
    )
    assert labels(dataset, "size_class") == ["small", None, "large", "large", None]
    assert labels(dataset, "truncated") == [False, None, True, False, None]
    # Half as large as in the image, and as large
    assert labels(dataset, "input_size") == pytest.approx(
        [np.sqrt(160 * 80), None, np.sqrt(320 * 160), np.sqrt(160 * 64), None]
    )
    anchor_iou = labels(dataset, "anchor_iou")
    assert all(0 < anchor_iou[row] <= 1 for row in (0, 2, 3))
    groups = ["64 - 128 px", None, "128 - 256 px", "64 - 128 px", None]
    assert labels(dataset, "input_size_class") == groups
    # The default RetinaNet learns objects from an IoU of .5, and ignores those from .4
    assert labels(dataset, "anchor_status") == [
        None if iou is None else STATUSES[(iou < 0.5) + (iou < 0.4)]
        for iou in anchor_iou
    ]


def test_fields_say_what_they_are_and_go_with_one_call(dataset):
    before = set(dataset.get_field_schema(flat=True))
    compute_statistics(dataset, resize="stretch 300", anchors="ssd300")
    added = set(dataset.get_field_schema(flat=True)) - before
    assert added == OF_SAMPLES | {f"ground_truth.detections.{x}" for x in OF_LABELS}
    for path in added:
        field = dataset.get_field(path)
        assert field.description
        assert field.info == {"coco_audit": {"function": "compute_statistics"}}
    path = "ground_truth.detections.input_size"
    assert "stretch 300" in dataset.get_field(path).description
    groups = {group.name: group.paths for group in dataset.app_config.sidebar_groups}
    assert set(groups["statistics"]) == OF_SAMPLES

    compute_statistics(dataset, resize="letterbox 640")
    dataset.reload()
    assert "letterbox 640" in dataset.get_field(path).description

    kept = [group.name for group in dataset.app_config.sidebar_groups]
    kept.remove("statistics")
    delete_fields_of(dataset, "compute_statistics")
    assert set(dataset.get_field_schema(flat=True)) == before
    # Nor does the sidebar go on showing a group of nothing
    dataset.reload()
    assert [group.name for group in dataset.app_config.sidebar_groups] == kept


WRITERS = [
    (compute_statistics, "aspect_ratio"),
    (simulate_resampling, "repeat_factor"),
]


def before_writing(
    monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None]
) -> None:
    def write(*args, **kwargs):
        happens()
        insert_values(*args, **kwargs)

    where = "fiftyone_coco_audit.storage.publishing.insert_values"
    monkeypatch.setattr(where, write)


@pytest.mark.parametrize(("function", "field"), WRITERS)
def test_ctrl_c_leaves_no_field_half_written(dataset, monkeypatch, function, field):
    before_writing(monkeypatch, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        function(dataset)
    assert None not in dataset.values(field)


@pytest.mark.parametrize(("function", "field"), WRITERS)
def test_nothing_is_written_where_labels_have_changed_meanwhile(
    dataset, monkeypatch, function, field
):
    before = set(dataset.get_field_schema(flat=True))

    def change() -> None:
        dataset.limit(1).set_values("ground_truth.detections.label", [["dog"] * 3])

    before_writing(monkeypatch, change)
    with pytest.raises(CocoAuditError, match="changed by someone else"):
        function(dataset)
    assert set(dataset.get_field_schema(flat=True)) == before


def test_a_field_of_other_origin_is_not_overwritten(dataset):
    dataset.add_sample_field("megapixels", fo.FloatField)
    dataset.set_values("megapixels", [1.0, 2.0, 3.0])
    with pytest.raises(CocoAuditError, match="already has a field 'megapixels'"):
        compute_statistics(dataset)
    assert dataset.values("megapixels") == [1, 2, 3]
    assert not dataset.has_field("aspect_ratio")
    statistics = compute_statistics(dataset, write_fields=False)
    assert statistics.images()["megapixels"].tolist() == [0.8192, 0.2048, 0.4096]


def test_a_view_writes_to_what_it_shows(dataset):
    view = dataset.match_tags("val").filter_labels("ground_truth", F("label") == "cat")
    frame = compute_statistics(view).objects()
    assert len(frame) == 1
    assert dataset.values("num_objects") == [None, 1, None]
    assert labels(dataset, "box_aspect_ratio") == [None, None, None, 2.5, None]


def test_frames_are_by_id_and_equal_to_the_fields(dataset):
    statistics = compute_statistics(dataset)
    images, objects, classes = (
        statistics.images(),
        statistics.objects(),
        statistics.classes(),
    )
    assert list(images.index) == dataset.values("id")
    for name in OF_SAMPLES:
        assert images[name].tolist() == dataset.values(name)
    for name in OF_LABELS:
        values = dict(zip(labels(dataset, "id"), labels(dataset, name), strict=True))
        assert objects[name].tolist() == [values[id_] for id_ in objects.index]
    assert objects["class"].tolist() == ["cat", "dog", "cat"]
    assert objects["x"].tolist() == [320, 640, 32]
    assert classes["objects"].to_dict() == {"cat": 2, "dog": 1}
    assert classes["below_16"].sum() == 0


@pytest.mark.real_data
def test_reading_equals_the_files(shared_data: Path, tmp_path: Path):
    files = shared_data / "coco_mini"
    dataset = import_coco(files / "annotations.json", files / "images")
    read = read_labeled_images(dataset, masks=True)
    images, objects = read.images, read.images.objects
    expected, image_ids, annotation_ids = read_labeled(files / "annotations.json")
    assert dataset.values("coco_id") == image_ids
    assert list(images.classes) == list(expected.classes)
    ids = dict(zip(labels(dataset, "id"), labels(dataset, "coco_id"), strict=True))
    rows = np.arange(len(objects))
    assert [ids[id_] for id_ in read.label_ids(rows)] == annotation_ids
    np.testing.assert_array_equal(images.size, expected.size)
    np.testing.assert_array_equal(images.crowds, expected.crowds)
    np.testing.assert_array_equal(images.tight_box, expected.tight_box)
    for name in ("image", "category", "box", "area"):
        np.testing.assert_array_equal(
            getattr(objects, name), getattr(expected.objects, name)
        )


def test_no_field_of_detections(dataset):
    with pytest.raises(CocoAuditError, match="has no field 'truth'"):
        compute_statistics(dataset, label_field="truth")


def test_words_that_mean_nothing(dataset):
    with pytest.raises(CocoAuditError, match="letterbox"):
        compute_statistics(dataset, resize="bigger")
    with pytest.raises(CocoAuditError, match="anchors"):
        compute_statistics(dataset, anchors="no such detector")
    assert not dataset.has_field("aspect_ratio")


def test_resampling(dataset, tmp_path):
    weights = tmp_path / "weights.json"
    made = simulate_resampling(dataset, threshold=1, exponent=1, weights_path=weights)
    # A dog is in one image of three, a cat in two
    assert dataset.values("repeat_factor") == [3, 1.5, 1]
    plan = json.loads(weights.read_text())
    assert plan["weights"] == [3, 1.5, 1]
    assert plan["filepaths"] == dataset.values("filepath")
    assert made.classes()["images_after"].to_dict() == {"cat": 4.5, "dog": 3}
    assert made.images()["repeat_factor"].tolist() == [3, 1.5, 1]

    with pytest.raises(CocoAuditError, match="cannot be written"):
        simulate_resampling(dataset, weights_path=tmp_path / "no" / "weights.json")
    with pytest.raises(CocoAuditError, match="not a share"):
        simulate_resampling(dataset, threshold=2)


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (simulate_resampling, {"threshold": "a"}, "threshold is 'a': it must be a num"),
        (simulate_resampling, {"exponent": None}, "exponent is None: it must be a num"),
        (find_partial_labels, {"by": 5}, "has no field 5 that could tell"),
        (find_partial_labels, {"by": None}, "has no field None that could tell"),
        (find_partial_labels, {"alpha": "a"}, "alpha is 'a': it must be a number"),
        (find_partial_labels, {"alpha": 5}, "alpha is 5, but a significance level"),
        (find_partial_labels, {"alpha": 0}, "alpha is 0, but a significance level"),
    ],
)
def test_arguments_of_another_kind_are_told(dataset, function, arguments, message):
    before = set(dataset.get_field_schema(flat=True))
    with pytest.raises(CocoAuditError, match=message):
        function(dataset, **arguments)
    assert set(dataset.get_field_schema(flat=True)) == before


@pytest.mark.parametrize("other", [None, 5, "val"])
def test_only_datasets_and_views_are_compared(dataset, other):
    with pytest.raises(CocoAuditError, match="Expected a FiftyOne dataset or view"):
        compare_sets(dataset, other)
    with pytest.raises(CocoAuditError, match="Expected a FiftyOne dataset or view"):
        compare_sets(other, dataset)


def test_an_empty_set_is_not_like_any_other(dataset):
    with pytest.raises(CocoAuditError, match="The set 'second' has no images"):
        compare_sets(dataset, dataset.limit(0))


@pytest.mark.parametrize("names", [5, "ab", ("a",), ("a", "b", "c"), ("a", 1)])
def test_two_sets_have_two_names(dataset, names):
    with pytest.raises(CocoAuditError, match="names is .*: it must be two names"):
        compare_sets(dataset, dataset, names=names)


def test_statistics_are_deleted_from_datasets(dataset):
    compute_statistics(dataset)
    with pytest.raises(CocoAuditError, match="Expected a FiftyOne dataset"):
        delete_fields_of(5, "compute_statistics")
    for functions in ((), ("evaluate",), ("compute_statistics", "statistics")):
        with pytest.raises(CocoAuditError, match="name one or more of compute_stat"):
            delete_fields_of(dataset, *functions)
    assert dataset.has_field("aspect_ratio")
    # A view has the fields of its dataset
    delete_fields_of(dataset.limit(1), "compute_statistics")
    assert not dataset.has_field("aspect_ratio")


def test_sets_compared(dataset):
    train, val = dataset.match_tags("train"), dataset.match_tags("val")
    comparison = compare_sets(train, val, names=("train", "val"))
    assert comparison.class_shares()["missing_in"].to_dict() == {
        "cat": "",
        "dog": "val",
    }
    medians = comparison.properties().loc["aspect_ratio"]
    assert medians["median_train"] == 2
    assert medians["median_val"] == 0.75
    assert compare_sets(train, val).names == ("first", "second")


def test_partial_labels_by_folder_tag_and_field():
    def sample(number: int, site: str, tags: list[str], classes: str) -> fo.Sample:
        detections = [detection(name, [0.1, 0.1, 0.5, 0.5]) for name in classes]
        return fo.Sample(
            filepath=f"/data/{site}/{number}.jpg",
            metadata=fo.ImageMetadata(width=100, height=100),
            tags=tags,
            camera=site,
            ground_truth=fo.Detections(detections=detections),
        )

    dataset = fo.Dataset()
    dataset.add_samples(
        [sample(n, "a", ["first"], "cd") for n in range(100)]
        + [sample(n, "b", ["second"], "c") for n in range(100)]
        + [sample(n, "e", ["first"], "cd") for n in range(300)]
    )
    for by, source in (("folder", "b"), ("tags", "second"), ("camera", "b")):
        found = find_partial_labels(dataset, by=by)
        assert found.index.tolist() == [("d", source)]
        result = foo.execute_operator(
            f"{URI}find_partial_labels", {"dataset": dataset}, params={"by": by}
        ).result
        assert result["gaps"] == found.reset_index().to_dict("records")
    # What is asked for has no limit of sources
    many = fo.Dataset()
    many.add_samples(
        [
            sample(n, f"s{n // 20:02}", [f"t{n // 20}"], "c" if n < 40 else "cd")
            for n in range(440)
        ]
    )
    for by, sources in (("folder", ["s00", "s01"]), ("tags", ["t0", "t1"])):
        found = find_partial_labels(many, by=by)
        assert found.index.tolist() == [("d", source) for source in sources]
    with pytest.raises(CocoAuditError, match="no field 'site'"):
        find_partial_labels(dataset, by="site")
    # One source, or none, is no clean result
    one = dataset.match_tags("second")
    many.add_sample_field("lens", fo.StringField)
    for samples, by, said in [
        (one, "folder", "have the same folder, so there are not two sources"),
        (one, "tags", "have the same tag, so"),
        (one, "camera", "have the same value of 'camera', so"),
        (many, "lens", "have no value of 'lens', so"),
    ]:
        with pytest.raises(CocoAuditError, match=said):
            find_partial_labels(samples, by=by)


@pytest.mark.parametrize(
    ("operator", "name"),
    [
        ("simulate_resampling", "threshold"),
        ("simulate_resampling", "exponent"),
        ("find_partial_labels", "alpha"),
        ("audit_augmentation", "num_draws"),
        ("audit_augmentation", "min_visibility"),
        ("apply_augmentation", "num_draws"),
    ],
)
def test_a_number_that_is_none_is_told_by_operators(dataset, tmp_path, operator, name):
    params = {name: "a"}
    if operator == "apply_augmentation":
        params["output_dir"] = str(tmp_path / "augmented")
    with pytest.raises(ExecutionError, match=f"Validation error. Path: {name}"):
        foo.execute_operator(URI + operator, {"dataset": dataset}, params=params)


def test_operators_are_the_functions(dataset):
    operator = foo.get_operator(f"{URI}compute_statistics")
    assert operator(dataset).images().equals(compute_statistics(dataset).images())
    result = foo.execute_operator(
        f"{URI}compute_statistics",
        {"dataset": dataset},
        params={"resize": "stretch 100", "anchors": "yolov5"},
    ).result
    expected = compute_statistics(dataset, resize="stretch 100", anchors="yolov5")
    assert result["sentences"] == expected.statistics.sentences()
    assert labels(dataset, "input_size")[0] == pytest.approx(25)

    result = foo.execute_operator(
        f"{URI}simulate_resampling",
        {"dataset": dataset},
        params={"threshold": 1, "exponent": 1},
    ).result
    assert [c["factor"] for c in result["classes"]] == [3, 1.5]
    # All that the function returns, weights for the loss as well
    frame = simulate_resampling(dataset, threshold=1, exponent=1).classes()
    frame = frame.sort_values("images").reset_index()
    assert result["classes"] == frame.to_dict("records")
    assert {"objects_after", "effective_number_weight"} <= set(frame)

    result = foo.execute_operator(
        f"{URI}compare_sets",
        {"dataset": dataset},
        params={"first": "tag:train", "second": "tag:val"},
    ).result
    assert list(result["names"]) == ["train", "val"]
    assert result["properties"][0]["median_val"] == 0.75
