"""Pipelines and datasets: damage to labels, dry runs, loaders."""

import json
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import albumentations as A
import cv2
import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import pytest
from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext

from fiftyone_coco_audit import (
    CocoAuditError,
    apply_augmentation,
    audit,
    audit_augmentation,
    check_loader,
    delete_fields_of,
    dry_run,
)
from fiftyone_coco_audit.augmentation.run import AugmentationAudit
from fiftyone_coco_audit.loading.stages import Decoding
from fiftyone_coco_audit.storage.values import insert_values
from fiftyone_coco_audit.wording import percent

URI = "@coco-audit/coco-audit/"

BOXES = {"left": [0.1, 0.1, 0.2, 0.4], "right": [0.6, 0.5, 0.3, 0.4]}


def ellipse(width: int, height: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width] + 0.5
    return ((2 * x / width - 1) ** 2 + (2 * y / height - 1) ** 2) <= 1


@pytest.fixture
def dataset(tmp_path: Path) -> fo.Dataset:
    """Six images of 120 x 80 pixels with two ellipses; one has no file."""
    made = fo.Dataset()
    for number in range(6):
        path = tmp_path / f"{number}.png"
        image = np.full((80, 120, 3), 40 * number, np.uint8)
        for x, y, w, h in BOXES.values():
            x, y, w, h = round(120 * x), round(80 * y), round(120 * w), round(80 * h)
            image[y : y + h, x : x + w] = 255
        if number != 5:
            cv2.imwrite(str(path), image)
        detections = [
            fo.Detection(
                label=name,
                bounding_box=box,
                mask=ellipse(round(120 * box[2]), round(80 * box[3])),
            )
            for name, box in BOXES.items()
        ]
        made.add_sample(
            fo.Sample(
                filepath=str(path),
                metadata=fo.ImageMetadata(width=120, height=80),
                ground_truth=fo.Detections(detections=detections),
            )
        )
    return made


def labels(dataset: fo.Dataset, attribute: str) -> list:
    return dataset.values(f"ground_truth.detections.{attribute}", unwind=True)


# Cuts off the left half of each image, and with it all but an edge of `left`
LEFT_HALF_CUT = A.Compose(
    [A.Crop(x_min=40, y_min=0, x_max=120, y_max=80)],
    bbox_params=A.BboxParams("coco", label_fields=[]),
)


def test_damage_is_found_on_the_labels_that_have_it(dataset):
    found = audit_augmentation(dataset, LEFT_HALF_CUT, num_draws=2, workers=1)
    assert [f.code for f in found.findings] == ["CA607"]
    view = found.view("CA607")
    assert set(view.distinct("ground_truth.detections.label")) == {"left"}
    assert view.count("ground_truth.detections") == 5
    assert "50% of all objects and draws" in found.findings[0].message
    assert found.findings[0].classes == ("left",)
    # The file that is not there is attributed, and does not end the run
    assert list(found.failures) == [5]
    assert found.failures[5].startswith(f"{dataset.last().filepath}: The image cannot")
    assert f"1 image failed: the first is {found.failures[5]}" in str(found)
    assert "1 image failed" in str(found)
    shares = found.by_class()["share"]
    assert shares["left", "gone"] == 1
    assert shares["right", "gone"] == 0


def test_a_harmless_pipeline_has_no_findings(dataset):
    flips = A.Compose([A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5)])
    found = audit_augmentation(dataset, flips, workers=1)
    assert found.findings == ()
    assert not found.notes


def test_the_same_seed_gives_the_same_numbers_in_any_number_of_processes(dataset):
    one, two, other = (
        audit_augmentation(dataset, "rotation", num_draws=2, seed=seed, workers=workers)
        for seed, workers in ((7, 1), (7, 2), (8, 1))
    )
    assert one.objects().equals(two.objects())
    assert not one.objects().equals(other.objects())


def test_another_import_gives_the_same_numbers(dataset, tmp_path):
    copied = dataset.clone()
    for sample in copied.iter_samples(autosave=True):
        folder = tmp_path / "elsewhere" / "/".join(Path(sample.filepath).parts[-3:-1])
        folder.mkdir(parents=True, exist_ok=True)
        if Path(sample.filepath).exists():
            shutil.copy(sample.filepath, folder)
        sample.filepath = str(folder / Path(sample.filepath).name)
    again = fo.Dataset()
    again.add_samples([sample.copy() for sample in copied])
    assert not set(again.values("id")) & set(dataset.values("id"))
    one, two = (
        audit_augmentation(samples, "rotation", num_draws=2, workers=1)
        .objects()
        .reset_index(drop=True)
        for samples in (dataset, again)
    )
    assert one.equals(two)
    assert one["looseness"].nunique() > 10


def test_blame(dataset):
    pipeline = [A.HorizontalFlip(p=1), A.Rotate((45, 45), border_mode=0, p=1)]
    found = audit_augmentation(dataset, pipeline, num_draws=1, workers=1)
    assert "CA604" in [f.code for f in found.findings]
    blame = found.blame()
    assert blame.worst("loose") == 2
    assert blame.to_frame()["blame"][1, "loose"] == 0


def test_each_finding_names_the_transform_to_blame(dataset):
    pipeline = [
        A.Rotate((45, 45), border_mode=0, p=1),
        A.PadIfNeeded(240, 360, border_mode=cv2.BORDER_REFLECT_101, p=1),
    ]
    plain = audit_augmentation(dataset, pipeline, num_draws=2, workers=1)
    assert plain.causes == {} and "due to" not in str(plain)
    found = audit_augmentation(dataset, pipeline, num_draws=2, workers=1, blame=True)
    assert found.findings == plain.findings
    assert list(found.causes) == [f.code for f in found.findings]
    frame = found.blame().to_frame()
    for code, cause in found.causes.items():
        shares = frame.loc[cause.transform, cause.kind]
        assert (
            cause.together == shares["together"] == found.shares()["share"][cause.kind]
        )
        assert (cause.without, cause.alone) == (shares["without"], shares["alone"])
        assert cause.images == 5
        lines = str(found).splitlines()
        (place,) = [n for n, line in enumerate(lines) if code in line]
        assert lines[place + 1] == f"    {cause}"
    # The rotation makes boxes loose, the padding makes copies
    assert {code: cause.name for code, cause in found.causes.items()} == {
        "CA603": "PadIfNeeded",
        "CA604": "Rotate",
    }
    assert all(c.without == 0 and c.alone == 1 for c in found.causes.values())


def test_blame_leaves_out_what_failed(dataset):
    # The image that is twice as large can be cropped
    cut = [A.RandomCrop(100, 100, p=1), A.CenterCrop(50, 50, p=1)]
    big = dataset.first()
    cv2.imwrite(big.filepath, np.full((160, 240, 3), 9, np.uint8))
    big.metadata = fo.ImageMetadata(width=240, height=160)
    big.save()
    found = audit_augmentation(dataset, cut, num_draws=1, workers=1, blame=True)
    assert sorted(found.failures) == [1, 2, 3, 4, 5]
    assert {cause.images for cause in found.causes.values()} == {1}
    blame = found.blame()
    assert set(blame.to_frame()["images"]) == {1}
    for table in (blame.together, *blame.without.values(), *blame.alone.values()):
        assert set(table.sample) == {0}


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_is_blamed_for_the_failures_that_it_prevents(dataset, workers):
    # Without the first, no image can be cropped, so that nothing is harmed
    pipeline = [
        A.Resize(300, 450, p=1),
        A.RandomCrop(300, 300, p=1),
        A.Rotate((45, 45), border_mode=0, p=1),
    ]
    found = audit_augmentation(
        dataset, pipeline, num_draws=2, workers=workers, blame=True
    )
    assert found.causes["CA604"].name == "Rotate"
    assert "Resize" not in {cause.name for cause in found.causes.values()}
    blame = found.blame(workers=workers)
    assert np.isnan(blame.to_frame().loc[1, "without"]).all()
    assert blame.to_frame().loc[3, "without"].notna().all()


def test_images_of_another_size_than_their_samples_say_are_failures(dataset):
    sample = dataset.first()
    cv2.imwrite(sample.filepath, np.full((160, 240, 3), 9, np.uint8))
    found = audit_augmentation(dataset, "minimal", num_draws=1, workers=1)
    assert list(found.failures) == [0, 5]
    assert found.failures[0].startswith(
        f"{sample.filepath}: The image has 240 x 160 pixels, but its sample says "
        "120 x 80"
    )


def test_ctrl_c_in_the_search_for_blame_keeps_what_was_measured(dataset, monkeypatch):
    def interrupted(self, max_samples=100, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(AugmentationAudit, "blame", interrupted)
    found = audit_augmentation(dataset, LEFT_HALF_CUT, workers=1, blame=True)
    assert [f.code for f in found.findings] == ["CA607"]
    assert found.causes == {}
    assert "The search for the transforms to blame was interrupted." in str(found)


def test_damage_as_fields(dataset):
    found = audit_augmentation(
        dataset, LEFT_HALF_CUT, num_draws=1, workers=1, write_fields=True
    )
    damage = labels(dataset, "augmentation_damage")
    assert damage == ["gone", None] * 5 + [None, None]
    assert dataset.values("augmentation_damage") == [0.5] * 5 + [None]
    assert found.worst(3)["gone"].tolist() == [1, 1, 1]
    for count in ("x", 0, None, 1.5):
        with pytest.raises(CocoAuditError, match="count is .* must be a whole number"):
            found.worst(count)
    delete_fields_of(dataset, "audit_augmentation")
    assert not dataset.has_field("augmentation_damage")


def test_no_images_are_not_taken_for_unharmed_ones(dataset, tmp_path):
    nothing = dataset.limit(0)
    for call in (
        lambda: audit_augmentation(nothing, "minimal"),
        lambda: apply_augmentation(nothing, "minimal", output_dir=tmp_path / "new"),
        lambda: dry_run(nothing, "minimal"),
        lambda: check_loader(nothing, []),
    ):
        with pytest.raises(CocoAuditError, match="There are no images to .*: add some"):
            call()
    assert not (tmp_path / "new").exists()


def test_boxes_without_masks_are_judged_with_a_note(dataset):
    for sample in dataset:
        for detection in sample.ground_truth.detections:
            detection.mask = None
        sample.save()
    found = audit_augmentation(dataset, "minimal", num_draws=1, workers=1)
    assert found.findings == ()
    assert "upper bound" in found.notes[0]
    assert found.notes[0] in str(found)


def test_a_pipeline_that_is_none(dataset):
    for source in ("no such preset", "{", {"transform": {}}, [{"transform": "Rot"}]):
        with pytest.raises(CocoAuditError) as caught:
            audit_augmentation(dataset, source)
        assert "\n" not in str(caught.value)
    with pytest.raises(CocoAuditError, match="num_draws is 0"):
        audit_augmentation(dataset, "minimal", num_draws=0)


def test_dry_run(dataset):
    result = dry_run(dataset, "final", workers=1)
    assert result.counts()["ok"] == 5
    assert dataset.values("dry_run_status") == ["ok"] * 5 + ["failed"]
    errors = dataset.values("dry_run_error")
    assert errors[:5] == [None] * 5
    assert "cannot be read" in errors[5]
    assert all(second > 0 for second in dataset.values("dry_run_seconds")[:5])
    delete_fields_of(dataset, "dry_run")
    assert not dataset.has_field("dry_run_status")


def test_labels_that_take_no_part_are_told(dataset):
    sample = dataset.first()
    sample.ground_truth.detections[0].bounding_box = [float("nan"), 0.1, 0.2, 0.2]
    sample.save()
    told = "1 label in 'ground_truth' with no class or no box is ignored."
    assert told in dry_run(dataset, "minimal", workers=1).sentences()
    assert told in audit_augmentation(dataset, "minimal", workers=1).notes


def fails_on_dark(image, boxes, ids):
    if image[0, 0, 0] == 80:
        raise RuntimeError("too dark")
    return image, boxes, ids


BOX_PARAMS = A.BboxParams(format="coco", label_fields=["ids"])
FLIP = A.HorizontalFlip(p=1)


@pytest.mark.parametrize(
    ("pipeline", "added"),
    [
        (A.Compose([FLIP]), True),
        (A.ReplayCompose([FLIP]), True),
        (json.dumps(A.to_dict(A.Compose([FLIP]))), True),
        (A.Compose([FLIP], bbox_params=BOX_PARAMS), False),
        (A.to_dict(A.Compose([FLIP], bbox_params=BOX_PARAMS)), False),
        ([FLIP], False),
        (FLIP, False),
        ("minimal", False),
    ],
)
def test_a_dry_run_says_where_it_added_box_params(dataset, pipeline, added):
    """Training would stop there, or silently keep boxes where they were."""
    result = dry_run(dataset.limit(2), pipeline, workers=1, write_fields=False)
    assert result.counts()["ok"] == 2, result.error
    told = [note for note in result.notes if "has no bbox_params" in note]
    assert len(told) == added
    assert set(told) <= set(result.sentences())


def test_a_dry_run_of_a_function_attributes_what_it_raises(dataset):
    result = dry_run(dataset, fails_on_dark, workers=1)
    assert dataset.values("dry_run_status")[2] == "failed"
    assert "too dark" in dataset.values("dry_run_error")[2]
    assert result.counts() == {"ok": 4, "suspicious": 0, "failed": 2, "not run": 0}


class Swapped:
    """A dataset whose author has swapped x and y."""

    def __init__(self, dataset: fo.Dataset) -> None:
        self.samples = list(dataset)[:5]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int):
        sample = self.samples[index]
        image = cv2.imread(sample.filepath)[..., ::-1]
        boxes, classes = [], []
        for detection in sample.ground_truth.detections:
            x, y, w, h = np.array(detection.bounding_box) * [120, 80, 120, 80]
            boxes.append([y, x, y + h, x + w])
            classes.append(["left", "right"].index(detection.label))
        return image, {"boxes": np.array(boxes), "labels": np.array(classes)}


def test_a_loader_is_held_against_the_labels(dataset):
    view = dataset.limit(5)
    checked = check_loader(view, Swapped(dataset))
    found = checked["swapped-x-y"]
    assert (found.code, found.severity) == ("CA621", "error")
    assert checked.at_least("error") == checked.findings
    assert checked.view("CA621").values("id") == view.values("id")
    assert checked.to_dict()["findings"][0]["sample_ids"] == tuple(view.values("id"))
    # The same through the one function for all
    again = dry_run(view, Swapped(dataset))
    assert again.to_frame().equals(checked.to_frame())


def test_rules_of_loaders_are_selected_and_ignored(dataset):
    view = dataset.limit(5)
    ignored = check_loader(view, Swapped(dataset), ignore=["swapped-x-y"])
    assert not ignored.findings and not ignored.check.mistakes
    assert check_loader(view, Swapped(dataset), select="CA62").findings
    assert not check_loader(view, Swapped(dataset), select="CA64").findings
    for select, words in (("CA3", "audit"), ("CA601", "audit_augmentation")):
        with pytest.raises(CocoAuditError, match=f"no rule that can run here. {words}"):
            check_loader(view, Swapped(dataset), select=select)
    assert "CA601" in check_loader(view, Swapped(dataset), select="CA6").not_run
    with pytest.raises(CocoAuditError, match="check_loader"):
        audit_augmentation(view, "rotation", select="CA621")


def test_crowds_that_a_loader_takes_for_objects_are_named(dataset):
    view = dataset.limit(5)
    for sample in view.iter_samples(autosave=True):
        sample.ground_truth.detections.append(
            fo.Detection(label="left", bounding_box=[0.5, 0, 0.5, 0.4], iscrowd=1)
        )

    class WithCrowds(Swapped):
        def __getitem__(self, position):
            image, target = super().__getitem__(position)
            return image, {**target, "boxes": target["boxes"][:, [1, 0, 3, 2]]}

    (found,) = check_loader(view, WithCrowds(dataset)).check.mistakes
    assert (found.name, found.figures["boxes"]) == ("crowds-as-objects", 5)


def test_a_loader_without_a_length_shows_its_progress(dataset, capsys):
    class Stream:
        def __len__(self):
            raise TypeError("object of type 'Stream' has no len()")

        def __iter__(self):
            return iter([[source[n]] for n in range(5)])

    source = Swapped(dataset)
    for function in (check_loader, dry_run):
        checked = function(dataset.limit(5), Stream(), progress=True)
        assert any("swap" in one.name for one in checked.check.mistakes)
        assert checked.check.num_samples == 5 and not checked.failures
        # How many there will be is not known
        told = capsys.readouterr().out
        assert "? remaining" in told and "%" not in told


def test_threads_do_not_mix_their_draws(dataset):
    alone = audit_augmentation(dataset, "rotation", workers=1)
    with ThreadPoolExecutor(4) as threads:
        for _ in range(3):
            found = audit_augmentation(dataset, "rotation", executor=threads)
            assert found.shares().equals(alone.shares())


@pytest.fixture
def unread(dataset) -> fo.Dataset:
    """The same without metadata, and with a file that is no image."""
    Path(dataset.skip(4).first().filepath).write_bytes(b"no image")
    dataset.set_values("metadata", [None] * len(dataset))
    return dataset


def test_unreadable_images_without_metadata_are_failures_of_their_own(unread):
    result = dry_run(unread, "minimal", workers=1)
    assert result.counts() == {"ok": 4, "suspicious": 0, "failed": 2, "not run": 0}
    found = audit_augmentation(unread, "minimal", workers=1)
    assert list(found.failures) == [4, 5]
    assert str(found).startswith("minimal: 4 images")
    with pytest.raises(CocoAuditError, match="The size of 2 images is unknown"):
        audit(unread)


class Unmasked(A.DualTransform):
    """Moves images, but gives back masks of another kind."""

    def __init__(self, wrong):
        super().__init__(p=1)
        self.wrong = wrong

    def apply(self, img, **params):
        return img

    def apply_to_bboxes(self, bboxes, **params):
        return bboxes

    def apply_to_mask(self, mask, **params):
        return self.wrong(mask)


@pytest.mark.parametrize(
    "wrong",
    [lambda m: None, lambda m: m[:10, :10], lambda m: m.astype(np.float64) / 2],
)
def test_masks_that_do_not_move_with_their_image_are_failures(dataset, wrong):
    found = audit_augmentation(dataset, [Unmasked(wrong)], num_draws=1, workers=1)
    assert len(found.failures) == 6 and len(found.table) == 0
    assert "masks" in found.failures[0] or "Transform 1" in found.failures[0]
    assert "nothing was measured" in str(found)


def test_kinds_that_are_no_finding_can_be_opened(dataset):
    found = audit_augmentation(
        dataset, LEFT_HALF_CUT, num_draws=1, workers=1, min_share=0.9
    )
    assert found.findings == ()
    assert labels(found.view("gone"), "label") == ["left"] * 5
    with pytest.raises(CocoAuditError, match="'swapped'"):
        found.view("swapped")


@pytest.mark.parametrize(
    ("field", "write"),
    [
        ("dry_run_status", lambda d: dry_run(d, "minimal", workers=1)),
        (
            "augmentation_damage",
            lambda d: audit_augmentation(
                d, LEFT_HALF_CUT, num_draws=1, workers=1, write_fields=True
            ),
        ),
    ],
)
def test_ctrl_c_leaves_no_field_half_written(dataset, monkeypatch, field, write):
    def interrupted(*args, **kwargs):
        signal.raise_signal(signal.SIGINT)
        insert_values(*args, **kwargs)

    where = "fiftyone_coco_audit.storage.publishing.insert_values"
    monkeypatch.setattr(where, interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(dataset)
    assert None not in dataset.values(field)[:5]


@pytest.mark.parametrize("before", [True, False])
def test_an_interrupted_audit_does_not_replace_the_fields_of_another(
    dataset, monkeypatch, before
):
    if before:
        audit_augmentation(
            dataset, LEFT_HALF_CUT, num_draws=1, workers=1, write_fields=True
        )
        values = dataset.values("augmentation_damage")

    def interrupted(*args):
        yield from ()
        raise KeyboardInterrupt

    monkeypatch.setattr(
        "fiftyone_coco_audit.augmentation.run.measured_items", interrupted
    )
    found = audit_augmentation(dataset, "minimal", workers=1, write_fields=True)
    assert "so no fields were written" in found.notes[-1]
    if before:
        assert dataset.values("augmentation_damage") == values
    else:
        assert not dataset.has_field("augmentation_damage")


def test_fields_are_written_as_often_as_wanted(dataset):
    one = audit_augmentation(dataset, LEFT_HALF_CUT, num_draws=1, workers=1)
    other = audit_augmentation(dataset, "minimal", num_draws=1, workers=1)
    one.write_fields()
    other.write_fields()
    assert not any(labels(dataset, "augmentation_damage"))
    one.write_fields()
    assert labels(dataset, "augmentation_damage").count("gone") == 5
    sample = dataset.first()
    sample.ground_truth.detections = sample.ground_truth.detections[1:]
    sample.save()
    with pytest.raises(CocoAuditError, match="changed since the measurement"):
        other.write_fields()


def test_boxes_without_an_area_in_the_image_are_told(dataset):
    sample = dataset.first()
    sample.ground_truth.detections[0].bounding_box = [1.1, 0.1, 0.2, 0.4]
    sample.ground_truth.detections[1].bounding_box = [0.1, 0.1, 0, 0.4]
    sample.save()
    found = audit_augmentation(dataset, "minimal", num_draws=2, workers=1)
    assert found.notes == ("Ignored 2 boxes without an area in the image.",)
    assert found.shares()["count"].sum() == 0


def test_an_empty_view_is_refused(dataset):
    with pytest.raises(CocoAuditError, match="no images|no samples"):
        audit_augmentation(dataset.limit(1).skip(1), "minimal", workers=1)


@pytest.mark.parametrize("nested", [False, True])
def test_a_dry_run_of_a_transform_that_looks_at_masks(dataset, nested):
    crop = A.CropNonEmptyMaskIfExists(40, 40, p=1)
    pipeline = [A.OneOf([crop], p=1)] if nested else [crop]
    result = dry_run(dataset, pipeline, workers=1)
    assert result.counts() == {"ok": 5, "suspicious": 0, "failed": 1, "not run": 0}


def interrupt_dry_runs(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Has every dry run interrupted when it has decoded some images."""
    decode = Decoding.__call__
    decoded = []

    def interrupted(self, data):
        decoded.append(data)
        if len(decoded) > after:
            signal.raise_signal(signal.SIGINT)
        return decode(self, data)

    monkeypatch.setattr(Decoding, "__call__", interrupted)


@pytest.mark.parametrize("after", [0, 1, 3])
def test_an_interrupted_dry_run_leaves_the_fields_of_the_last(
    dataset, monkeypatch, after
):
    dry_run(dataset, "minimal", workers=1)
    fields = ("dry_run_status", "dry_run_error", "dry_run_seconds")
    before = dataset.values(fields)
    interrupt_dry_runs(monkeypatch, after)
    found = dry_run(dataset, "final", workers=1)
    assert not found.complete
    assert found.counts()["not run"] == len(dataset) - after
    said = "It was interrupted, so no results were written to the samples."
    assert found.sentences()[-1] == said
    assert dataset.values(fields) == before


@pytest.mark.parametrize("after", [0, 2])
def test_an_interrupted_dry_run_is_written_where_none_was_before(
    dataset, monkeypatch, after
):
    interrupt_dry_runs(monkeypatch, after)
    found = dry_run(dataset, "minimal", workers=1)
    assert dataset.has_field("dry_run_status") == (after > 0)
    if after:
        assert dataset.values("dry_run_status") == found.status.tolist()
        assert found.counts() == {"ok": 2, "suspicious": 0, "failed": 0, "not run": 4}


def test_boxes_out_of_the_image_are_told(dataset):
    sample = dataset.first()
    sample.ground_truth.detections[0].bounding_box = [-0.1, 0.1, 0.2, 0.4]
    sample.save()
    (note,) = audit_augmentation(dataset, "minimal", num_draws=1, workers=1).notes
    assert note.startswith("Clipped 1 box to the image")


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_draws": "3"},
        {"num_draws": 2.5},
        {"workers": "2"},
        {"thresholds": None},
        {"min_share": -1},
        {"seed": None},
        {"seed": "x"},
        {"seed": True},
        {"executor": 4},
    ],
)
def test_arguments_of_the_wrong_kind_are_named(dataset, wrong):
    (name,) = wrong
    with pytest.raises(CocoAuditError, match=f"^{name} is .* must be"):
        audit_augmentation(dataset, "minimal", **wrong)


@pytest.mark.parametrize("source", ["minimal", [[]]], ids=["pipeline", "loader"])
@pytest.mark.parametrize(
    "wrong",
    [{"seed": None}, {"seed": "x"}, {"executor": 4}, {"workers": 0}, {"decoding": 3}],
)
def test_arguments_of_a_dry_run_are_checked_before_it(dataset, source, wrong):
    (name,) = wrong
    with pytest.raises(CocoAuditError, match=f"^{name} is .* must be"):
        dry_run(dataset, source, **wrong)
    assert not dataset.has_field("dry_run_status")


@pytest.mark.parametrize(
    "wrong", [{"box_format": 3}, {"first_label": "a"}, {"channels": None}]
)
def test_arguments_about_a_loader_are_checked_before_it_is_read(dataset, wrong):
    class Unread:
        def __iter__(self):
            pytest.fail("it was read")

    (name,) = wrong
    with pytest.raises(CocoAuditError, match=f"^{name} is .* must be"):
        check_loader(dataset, Unread(), **wrong)


def test_a_list_of_batches_is_a_loader(dataset):
    loader = [[Swapped(dataset)[n]] for n in range(5)]
    checked = dry_run(dataset.limit(5), loader)
    assert any("swap" in one.name for one in checked.check.mistakes)


def test_other_limits_of_boxes_than_those_of_the_pipeline(dataset):
    # It leaves a strip of `left`, whose box has a quarter of its area
    cut = [{"transform": "Crop", "params": {"x_min": 30, "x_max": 120, "y_max": 80}}]
    as_it_is = audit_augmentation(dataset, cut, num_draws=1, workers=1)
    assert [f.code for f in as_it_is.findings] == ["CA606"]
    for limits in ({"min_visibility": 0.3}, {"min_area": 300}):
        found = audit_augmentation(dataset, cut, num_draws=1, workers=1, **limits)
        # The strip is still visible, but has lost its box
        assert [f.code for f in found.findings] == ["CA601", "CA602"], limits
        ((name, value),) = limits.items()
        assert found.pipeline.name == f"pipeline with {name}={value}"
        assert found.pipeline.box_params == limits
    for wrong in (2, "half"):
        with pytest.raises(CocoAuditError, match="min_visibility"):
            audit_augmentation(dataset, cut, min_visibility=wrong)


def test_operators(dataset):
    result = foo.execute_operator(
        f"{URI}audit_augmentation",
        {"dataset": dataset},
        params={"pipeline": "rotation", "num_draws": 1},
    ).result
    expected = audit_augmentation(dataset, "rotation", num_draws=1)
    assert [f["message"] for f in result["findings"]] == [
        f.message for f in expected.findings
    ]
    assert result["failures"] == list(expected.failures.values())
    assert result["causes"] == {}
    assert dataset.has_field("augmentation_damage")

    result = foo.execute_operator(
        f"{URI}dry_run", {"dataset": dataset}, params={"pipeline": "minimal"}
    ).result
    assert result["failed"] == 1
    assert dataset.values("dry_run_status")[5] == "failed"


def test_the_operator_names_the_transforms_to_blame(dataset):
    pipeline = [
        {"transform": "HorizontalFlip", "params": {"p": 1}},
        {
            "transform": "Rotate",
            "params": {"limit": [45, 45], "border_mode": 0, "p": 1},
        },
    ]
    params = {"pipeline": json.dumps(pipeline), "num_draws": 1, "blame": True}
    name = f"{URI}audit_augmentation"
    result = foo.execute_operator(name, {"dataset": dataset}, params=params).result
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    expected = audit_augmentation(dataset, pipeline, num_draws=1, workers=1, blame=True)
    assert result["causes"] == {c: asdict(v) for c, v in expected.causes.items()}
    cause = result["causes"]["CA604"]
    assert (cause["transform"], cause["name"]) == (2, "Rotate")
    outputs = types.Object()
    foo.get_operator(name).describe(result, outputs)
    table = outputs.properties["table_of_causes"].default
    shares = " | ".join(percent(cause[k]) for k in ("together", "without", "alone"))
    assert f"| CA604 | 2\\. Rotate | {shares} |" in table
    assert table.endswith("Shares of the objects and draws of 5 images.")
    foo.get_operator(name).describe({**result, "causes": {}}, plain := types.Object())
    assert "table_of_causes" not in plain.properties


def test_the_form_asks_whether_to_find_the_blame(dataset):
    ctx = ExecutionContext({"dataset_name": dataset.name, "params": {}})
    operator = foo.get_operator(f"{URI}audit_augmentation")
    asked = operator.resolve_input(ctx).type.properties["blame"]
    assert asked.default is False
    assert asked.view.label == "Find the transforms that cause the damage"
