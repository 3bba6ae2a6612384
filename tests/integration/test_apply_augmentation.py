"""Augmented samples: what is written, what it is linked to, and nothing if it fails."""

import signal
from pathlib import Path

import albumentations as A
import cv2
import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import pytest

from fiftyone_coco_audit import CocoAuditError, audit_augmentation
from fiftyone_coco_audit.augmentation.applying import apply_augmentation
from fiftyone_coco_audit.augmentation.pipelines import Pipeline
from fiftyone_coco_audit.augmentation.preview import (
    label_colors,
    preview_draws,
    read_subject,
    rgb,
)
from fiftyone_coco_audit.augmentation.targets import draw_name, pixels_of, run
from fiftyone_coco_audit.panels.pictures import picture_of
from tests.hostile import CRASHING

URI = "@coco-audit/coco-audit/apply_augmentation"
FLIP = [{"transform": "HorizontalFlip", "params": {"p": 1}}]
CROP = [
    {
        "transform": "Crop",
        "params": {"x_min": 0, "y_min": 0, "x_max": 40, "y_max": 60, "p": 1},
    }
]
FIELDS = {
    "augmented_from",
    "augmentation",
    "augmentation_seed",
    "augmentation_draw",
}


def picture(path: Path, seed: int) -> str:
    image = np.random.default_rng(seed).integers(0, 255, (60, 80, 3), np.uint8)
    cv2.imwrite(str(path), image)
    return str(path)


@pytest.fixture
def dataset(tmp_path: Path) -> fo.Dataset:
    """An image with a mask, a box and a crowd, and one without labels."""
    made = fo.Dataset()
    mask = np.zeros((30, 20), bool)
    mask[:15] = True
    made.add_samples(
        [
            fo.Sample(
                filepath=picture(tmp_path / "street.png", 0),
                tags=["train"],
                metadata=fo.ImageMetadata(width=80, height=60),
                coco_id=7,
                ground_truth=fo.Detections(
                    detections=[
                        fo.Detection(
                            label="cat",
                            bounding_box=[10 / 80, 20 / 60, 20 / 80, 30 / 60],
                            mask=mask,
                            tags=["checked"],
                            area=300.0,
                            coco_id=1,
                        ),
                        fo.Detection(
                            label="dog",
                            bounding_box=[50 / 80, 0, 20 / 80, 10 / 60],
                        ),
                        fo.Detection(
                            label="dog", bounding_box=[0, 0, 0.5, 0.2], iscrowd=1
                        ),
                    ]
                ),
            ),
            fo.Sample(filepath=picture(tmp_path / "empty.png", 1)),
        ]
    )
    return made


def state(dataset: fo.Dataset) -> tuple:
    dataset.reload()
    return (
        dataset.values("id"),
        dataset.values("last_modified_at"),
        sorted(dataset.get_field_schema(flat=True)),
        dataset.tags,
    )


def test_a_flip(dataset: fo.Dataset, tmp_path: Path):
    before = state(dataset)
    view = apply_augmentation(dataset, FLIP, output_dir=tmp_path / "new", seed=3)
    assert len(dataset) == 4
    assert len(view) == 2
    first = view.first()
    source = dataset.first()
    assert first.tags == ["augmented"]
    assert first.augmented_from == source.id
    assert (first.augmentation_seed, first.augmentation_draw) == (3, 0)
    assert first.coco_id is None
    image = cv2.imread(first.filepath)
    np.testing.assert_array_equal(image, cv2.imread(source.filepath)[:, ::-1])
    assert (first.metadata.width, first.metadata.height) == (80, 60)
    assert first.metadata.size_bytes == Path(first.filepath).stat().st_size

    cat, dog, crowd = first.ground_truth.detections
    assert [one.label for one in (cat, dog, crowd)] == ["cat", "dog", "dog"]
    assert cat.tags == ["checked"]
    assert cat.bounding_box == pytest.approx([50 / 80, 20 / 60, 20 / 80, 30 / 60])
    np.testing.assert_array_equal(
        cat.mask, source.ground_truth.detections[0].mask[:, ::-1]
    )
    assert dog.mask is None
    assert crowd["iscrowd"] == 1 and crowd.bounding_box[0] == pytest.approx(0.5)
    # What would not be true of them any more
    assert not cat.has_field("area") or cat["area"] is None
    assert not cat.has_field("coco_id") or cat["coco_id"] is None
    assert cat.id not in source.ground_truth.detections
    # The source is as it was
    assert state(dataset)[0][:2] == before[0]
    assert state(dataset)[1][:2] == before[1]
    assert dataset.app_config.sidebar_groups is not None


def test_they_can_be_made_again(dataset: fo.Dataset, tmp_path: Path):
    view = apply_augmentation(
        dataset, "final", output_dir=tmp_path / "new", num_draws=3, seed=11, tag="more"
    )
    assert len(view) == 6
    assert view.count_sample_tags() == {"more": 6}
    for sample in view:
        subject = read_subject(dataset, sample.augmented_from, crowds=True)
        drawn = run(
            Pipeline.parse(sample.augmentation),
            subject.target,
            seed=sample.augmentation_seed,
            sample=draw_name(dataset[sample.augmented_from].filepath),
            draw=sample.augmentation_draw,
        )
        image = cv2.imread(sample.filepath)[..., ::-1]
        np.testing.assert_array_equal(image, drawn.image)
        size = np.tile(drawn.image.shape[1::-1], 2)
        boxes = [one.bounding_box * size for one in sample.ground_truth.detections]
        np.testing.assert_allclose(np.reshape(boxes, (-1, 4)), drawn.box)


def test_they_are_what_the_preview_shows(dataset: fo.Dataset, tmp_path: Path):
    view = apply_augmentation(
        dataset[:1], "rotation", output_dir=tmp_path / "n", num_draws=2
    )
    subject = read_subject(dataset, dataset.first().id)
    shots = preview_draws(Pipeline.parse("rotation"), subject, seed=51, num_draws=2)
    for shot, path in zip(shots, view.values("filepath"), strict=True):
        np.testing.assert_array_equal(cv2.imread(path)[..., ::-1], shot.drawn.image)


def test_a_mask_is_cut_with_its_box(dataset: fo.Dataset, tmp_path: Path):
    crop = [
        {
            "transform": "Crop",
            "params": {"x_min": 15, "y_min": 25, "x_max": 80, "y_max": 60, "p": 1},
        }
    ]
    view = apply_augmentation(dataset[:1], crop, output_dir=tmp_path / "new")
    cat = view.first().ground_truth.detections[0]
    assert cat.bounding_box == pytest.approx([0, 0, 15 / 65, 25 / 35])
    expected = np.zeros((25, 15), bool)
    expected[:10] = True
    np.testing.assert_array_equal(cat.mask, expected)


def test_what_is_left_of_labels(dataset: fo.Dataset, tmp_path: Path):
    view = apply_augmentation(dataset, CROP, output_dir=tmp_path / "new")
    first, second = view
    assert [one.label for one in first.ground_truth.detections] == ["cat", "dog"]
    assert second.ground_truth.detections == []
    assert (first.metadata.width, first.metadata.height) == (40, 60)


def test_jpeg(dataset: fo.Dataset, tmp_path: Path):
    view = apply_augmentation(
        dataset, FLIP, output_dir=tmp_path / "new", image_format="jpg"
    )
    for path in map(Path, view.values("filepath")):
        assert path.suffix == ".jpg" and path.read_bytes()[:2] == b"\xff\xd8"


def nothing_written(dataset: fo.Dataset, before: tuple, folder: Path) -> None:
    assert state(dataset) == before
    assert not folder.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_draws": 0}, "num_draws is 0"),
        ({"seed": None}, "^seed is None: it must be a whole number"),
        ({"seed": "x"}, "^seed is 'x': it must be"),
        ({"seed": True}, "^seed is True: it must be"),
        ({"tag": 3}, "^tag is 3: it must be"),
        ({"image_format": "gif"}, "must be 'png' or 'jpg'"),
        ({"label_field": "labels"}, "has no field 'labels'"),
        ({"pipeline": "[{}]"}, "Transform 1 of the list"),
        (
            {
                "pipeline": [
                    {
                        "transform": "Crop",
                        "params": {"x_max": 100, "y_max": 100, "p": 1},
                    }
                ]
            },
            r"street.png \(draw 0\): Transform 1, Crop, failed.*nothing was written",
        ),
    ],
)
def test_nothing_is_written_where_it_cannot_be_done(
    dataset: fo.Dataset, tmp_path: Path, arguments: dict, message: str
):
    before = state(dataset)
    arguments = {"pipeline": FLIP, **arguments}
    with pytest.raises(CocoAuditError, match=message):
        apply_augmentation(dataset, **arguments, output_dir=tmp_path / "new")
    nothing_written(dataset, before, tmp_path / "new")


@pytest.mark.parametrize("folder", [3, None, ""])
def test_a_folder_that_is_no_path_is_refused(dataset: fo.Dataset, folder):
    before = state(dataset)
    with pytest.raises(CocoAuditError, match="^output_dir is .*: name a folder"):
        apply_augmentation(dataset, FLIP, output_dir=folder)
    assert state(dataset) == before


def test_nothing_is_written_where_an_image_is_corrupt(
    dataset: fo.Dataset, tmp_path: Path
):
    (tmp_path / "empty.png").write_bytes(b"no image")
    before = state(dataset)
    with pytest.raises(CocoAuditError, match="empty.png: The image cannot be read"):
        apply_augmentation(dataset, FLIP, output_dir=tmp_path / "new")
    nothing_written(dataset, before, tmp_path / "new")


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_written_where_the_database_fails(
    dataset: fo.Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
):
    before = state(dataset)
    add_samples = fo.Dataset.add_samples

    def adds_one(self, samples, **kwargs):
        add_samples(self, samples[:1], **kwargs)
        raise error("the database is gone")

    monkeypatch.setattr(fo.Dataset, "add_samples", adds_one)
    with pytest.raises(error, match="the database is gone"):
        apply_augmentation(dataset, FLIP, output_dir=tmp_path / "new")
    # That fields were added and deleted again shows in the time of modification
    ids, _, fields, tags = before
    assert (state(dataset)[0], *state(dataset)[2:]) == (ids, fields, tags)
    assert not (tmp_path / "new").exists()


def test_files_that_are_there_are_kept(dataset: fo.Dataset, tmp_path: Path):
    folder = tmp_path / "new"
    apply_augmentation(dataset, FLIP, output_dir=folder)
    files = {path: path.read_bytes() for path in folder.iterdir()}
    before = state(dataset)
    with pytest.raises(CocoAuditError, match="already exists: choose another"):
        apply_augmentation(dataset[:2], FLIP, output_dir=folder)
    assert {path: path.read_bytes() for path in folder.iterdir()} == files
    assert state(dataset) == before
    more = apply_augmentation(dataset[:2], FLIP, output_dir=folder, seed=1)
    assert len(more) == 2 and len(list(folder.iterdir())) == 4


def test_fields_of_others_are_kept(dataset: fo.Dataset, tmp_path: Path):
    dataset.add_sample_field("augmentation", fo.StringField)
    dataset.set_values("augmentation", ["mine", "mine"])
    with pytest.raises(CocoAuditError, match="already has a field 'augmentation'"):
        apply_augmentation(dataset, FLIP, output_dir=tmp_path / "new")
    assert dataset.values("augmentation") == ["mine", "mine"]


def test_a_folder_that_cannot_be_made(dataset: fo.Dataset, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CocoAuditError, match="cannot be written to"):
        apply_augmentation(dataset, FLIP, output_dir=tmp_path / "file" / "new")


def test_a_transform_of_the_users_own(dataset: fo.Dataset, tmp_path: Path):
    class Own(A.HorizontalFlip):
        pass

    before = state(dataset)
    with pytest.raises(CocoAuditError, match="cannot be written as text"):
        apply_augmentation(dataset, A.Compose([Own()]), output_dir=tmp_path / "new")
    nothing_written(dataset, before, tmp_path / "new")


def test_the_operator(dataset: fo.Dataset, tmp_path: Path):
    result = foo.execute_operator(
        URI,
        {"dataset": dataset, "view": dataset[:1]},
        params={
            "pipeline": "minimal",
            "output_dir": str(tmp_path / "new"),
            "num_draws": 2,
            "tag": "kept",
        },
    ).result
    made = dataset.match_tags("kept")
    assert result == {"samples": made.values("id")}
    assert len(made) == 2
    assert set(dataset.get_field_schema()) >= FIELDS
    assert dataset.get_field("augmented_from").description


def test_reading_writes_nothing(dataset: fo.Dataset):
    """Not even sizes of images that are not known."""
    before = state(dataset)
    subject = read_subject(dataset, dataset.last().id)
    assert subject.target.image.shape == (60, 80, 3)
    assert state(dataset) == before
    assert dataset.last().metadata is None


def test_crowds_are_no_objects_of_the_preview(dataset: fo.Dataset):
    subject = read_subject(dataset, dataset.first().id)
    assert subject.names == ["cat", "dog"]
    with_crowds = read_subject(dataset, dataset.first().id, crowds=True)
    assert with_crowds.crowd.tolist() == [False, False, True]
    ids = dataset.first().ground_truth.detections
    assert list(with_crowds.label_ids) == [one.id for one in ids]


def test_an_image_of_another_size_than_its_sample_says(dataset: fo.Dataset):
    sample = dataset.first()
    sample.metadata.width = 81
    sample.save()
    with pytest.raises(CocoAuditError, match=r"80 x 60 pixels.*says 81 x 60"):
        read_subject(dataset, sample.id)


def test_of_a_view_only_the_labels_that_it_shows_are_taken(dataset, tmp_path):
    view = dataset.filter_labels("ground_truth", fo.ViewField("label") == "cat")
    new = apply_augmentation(view, FLIP, output_dir=tmp_path / "new")
    assert new.values("ground_truth.detections.label") == [["cat"]]
    assert len(dataset.first().ground_truth.detections) == 3


def test_keypoints_go_along(dataset, tmp_path):
    sample = dataset.first()
    nan = float("nan")
    sample["pose"] = fo.Keypoints(
        keypoints=[
            fo.Keypoint(label="cat", points=[[0.25, 0.5], [nan, nan], [0.75, 0.5]]),
            fo.Keypoint(label="dog", points=[[0.9, 0.9]], tags=["checked"]),
        ]
    )
    sample.save()
    flipped, empty = apply_augmentation(dataset, FLIP, output_dir=tmp_path / "flip")
    cat, dog = flipped.pose.keypoints
    # A flip mirrors the last pixel onto the first
    assert np.array(cat.points)[[0, 2]] == pytest.approx(
        np.array([[59 / 80, 0.5], [19 / 80, 0.5]])
    )
    assert np.isnan(cat.points[1]).all()
    assert (dog.label, dog.tags) == ("dog", ["checked"])
    assert not empty.pose.keypoints
    cut = apply_augmentation(dataset[:1], CROP, output_dir=tmp_path / "cut").first()
    (cat,) = cut.pose.keypoints
    assert cat.points[0] == pytest.approx([0.5, 0.5])
    assert np.isnan(cat.points[1:]).all()
    assert dataset.first().pose == sample.pose


def test_a_sample_that_a_view_has_twice_is_drawn_once(dataset, tmp_path):
    view = dataset.concat(dataset.limit(1))
    assert len(view) == 3
    assert len(apply_augmentation(view, FLIP, output_dir=tmp_path / "new")) == 2


def test_ctrl_c_while_samples_are_added_leaves_them_whole(
    dataset, tmp_path, monkeypatch
):
    added = fo.Dataset.add_samples

    def interrupted(self, *args, **kwargs):
        signal.raise_signal(signal.SIGINT)
        return added(self, *args, **kwargs)

    monkeypatch.setattr(fo.Dataset, "add_samples", interrupted)
    with pytest.raises(KeyboardInterrupt):
        apply_augmentation(dataset, FLIP, output_dir=tmp_path / "new")
    new = dataset.match_tags("augmented")
    assert len(new) == 2 and all(Path(path).exists() for path in new.values("filepath"))


def test_a_mask_at_the_border_has_pixels():
    box = np.array([79.6, 59.6, 0.4, 0.4])
    rows, columns = pixels_of(box, (60, 80))
    assert (rows, columns) == (slice(59, 60), slice(79, 80))


def test_a_sample_that_is_gone(dataset: fo.Dataset):
    sample_id = dataset.first().id
    dataset.delete_samples(sample_id)
    with pytest.raises(CocoAuditError, match="no longer in the dataset"):
        read_subject(dataset, sample_id)


CLASSES = ["cat", "dog"]


def colors(dataset: fo.Dataset, **scheme) -> list[tuple[int, int, int]]:
    dataset.app_config.color_scheme = fo.ColorScheme(**scheme)
    return label_colors(dataset, "ground_truth", ["dog", "cat", "dog"], CLASSES)


def test_colors_of_a_scheme(dataset: fo.Dataset):
    pool = ["#000001", "#000002"]
    value = {"path": "ground_truth", "valueColors": [{"value": "cat", "color": "red"}]}
    field = {"path": "ground_truth", "fieldColor": "#0000ff"}
    red, dog = (255, 0, 0), (0, 0, 2)
    assert colors(dataset, color_by="field", fields=[field]) == [(0, 0, 255)] * 3
    found = colors(dataset, color_by="value", color_pool=pool, fields=[value])
    assert found == [dog, red, dog]
    found = colors(dataset, color_by="instance", color_pool=pool)
    assert found == [(0, 0, 1), (0, 0, 2), (0, 0, 1)]


def test_colors_without_a_scheme(dataset: fo.Dataset):
    found = label_colors(dataset, "ground_truth", ["cat"], CLASSES)
    assert found[0] in [rgb(color) for color in fo.app_config.color_pool]


def test_grouped_datasets_are_refused(tmp_path: Path) -> None:
    grouped = fo.Dataset()
    grouped.add_group_field("group", default="left")
    path = picture(tmp_path / "left.png", 0)
    grouped.add_sample(
        fo.Sample(
            filepath=path,
            group=fo.Group().element("left"),
            ground_truth=fo.Detections(
                detections=[fo.Detection(label="cat", bounding_box=[0, 0, 0.5, 0.5])]
            ),
        )
    )
    view = grouped.select_group_slices("left")

    with pytest.raises(CocoAuditError, match="is grouped.* clone the view"):
        apply_augmentation(view, FLIP, output_dir=tmp_path / "out")
    assert not (tmp_path / "out").exists()

    made = apply_augmentation(view.clone(), FLIP, output_dir=tmp_path / "out")
    assert len(made) == 1


def test_masks_without_pixels_are_taken_for_their_boxes(
    dataset: fo.Dataset, tmp_path: Path
) -> None:
    sample = dataset.first()
    sample.ground_truth.detections[0].mask = np.zeros((30, 0), bool)
    sample.save()

    made = apply_augmentation(dataset[:1], FLIP, output_dir=tmp_path / "out")

    assert made.first().ground_truth.detections[0].mask.all()


@pytest.mark.parametrize("kind", CRASHING)
def test_a_file_that_crashes_the_decoder_does_not_end_this_process(
    dataset, tmp_path, kind
):
    """In the App this process is the server."""
    sample = dataset.first()
    Path(sample.filepath).write_bytes(CRASHING[kind])
    sample.metadata = fo.ImageMetadata(width=14, height=12)
    sample.save()
    folder = tmp_path / "augmented"
    # What the panels show
    assert (picture_of(sample.filepath, 14) is None) == (kind == "broken")
    audited = audit_augmentation(dataset, FLIP, num_draws=1, workers=1)
    if kind == "whole":
        assert read_subject(dataset, sample.id).target.image.shape == (12, 14, 3)
        assert audited.failures == {}
        assert len(apply_augmentation(dataset, FLIP, output_dir=folder)) == 2
        return
    assert list(audited.failures) == [0]
    assert sample.filepath in audited.failures[0]
    with pytest.raises(CocoAuditError, match="street.png: The image cannot be read"):
        apply_augmentation(dataset, FLIP, output_dir=folder)
    with pytest.raises(CocoAuditError, match="cannot be read"):
        read_subject(dataset, sample.id)
    with pytest.raises(CocoAuditError, match="cannot be read"):
        read_subject(dataset, sample.id)
    assert len(dataset) == 2 and not folder.exists()
