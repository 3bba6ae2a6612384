from dataclasses import fields

import albumentations as A
import numpy as np
import pytest

from fiftyone_coco_audit.augmentation.blame import apportion
from fiftyone_coco_audit.augmentation.damage import DamageTable, measure
from fiftyone_coco_audit.augmentation.pipelines import Pipeline, PipelineError
from fiftyone_coco_audit.augmentation.targets import make_target, run
from fiftyone_coco_audit.wording import percent

pytestmark = pytest.mark.slow

TARGET = make_target(
    np.full((200, 300, 3), 255, np.uint8),
    np.array([[20, 20, 60, 60], [150, 80, 80, 40.0], [220, 10, 70, 70]]),
)


def damage(pipelines):
    return [
        DamageTable.concatenate(
            measure(TARGET, run(pipeline, TARGET, draw=draw), draw=draw)
            for draw in range(10)
        )
        for pipeline in pipelines
    ]


def blame_of(transforms):
    pipeline = Pipeline.parse(transforms)
    return apportion(pipeline, damage([pipeline])[0], damage)


def test_the_transform_that_does_the_damage_is_blamed():
    blame = blame_of(
        [A.HorizontalFlip(p=0.5), A.Rotate((45, 45), border_mode=0, p=0.5), A.Blur(p=1)]
    )
    frame = blame.to_frame()
    loose = frame.xs("loose", level="kind")
    assert loose["name"].tolist() == ["HorizontalFlip", "Rotate", "Blur"]
    assert loose.loc[2, "blame"] == loose.loc[2, "together"] > 0.1
    assert loose.loc[2, "alone"] > 0.1
    assert loose.loc[2, "without"] == 0
    # A blur changes no label, and no random number of the others
    assert (frame.loc[3, "blame"] == 0).all() and (frame.loc[3, "alone"] == 0).all()
    assert blame.worst("loose") == 2
    assert blame.worst("multiplied") is None
    cause = blame.cause("loose")
    assert (cause.transform, cause.name, cause.images) == (2, "Rotate", 1)
    assert (cause.together, cause.without, cause.alone) == tuple(
        loose.loc[2, ["together", "without", "alone"]]
    )
    assert str(cause) == (
        f"due to 2. Rotate: {percent(cause.together)} with it, 0% without it, "
        f"{percent(cause.alone)} with it alone, on 1 image"
    )
    assert str(blame.cause("multiplied")) == (
        "not reproduced in the search for its cause, on 1 image"
    )


def test_two_transforms_that_do_the_same_damage_are_named_together():
    crop = A.Crop(0, 0, 100, 200, p=1)
    blame = blame_of([A.Blur(p=1), crop, crop])
    gone = blame.to_frame().xs("gone", level="kind")
    # Without one of them, the other cuts off the same
    assert gone["blame"].tolist() == [0, 0, 0]
    assert gone["alone"].tolist() == pytest.approx([0, 2 / 3, 2 / 3])
    assert list(blame.without_several) == [(2, 3)]
    cause = blame.cause("gone")
    assert (cause.transform, cause.name, cause.partners) == (2, "Crop", ["3. Crop"])
    assert (cause.how, cause.without) == ("either", 0)
    assert str(cause) == (
        "due to 2. Crop and 3. Crop, each of which causes it: 67% with them, 0% "
        "without all of them, 67% with one of them alone, on 1 image"
    )
    assert blame.worst("gone") == 2


def crop_between(scale):
    """A scaling by chance that adds a little to what two crops do."""
    crop = A.CenterCrop(150, 150, p=1)
    return [crop, A.Affine(scale=scale, p=1), crop, A.HorizontalFlip(p=0.5)]


@pytest.mark.parametrize("scale", [(0.98, 1.02), (0.9, 1.1), (1, 1)])
def test_a_transform_that_adds_a_little_is_not_blamed_for_what_others_do(scale):
    cause = blame_of(crop_between(scale)).cause("truncated")
    assert cause.together > 0.5
    assert cause.who == "1. CenterCrop and 3. CenterCrop"


def test_three_of_which_each_suffices_are_named_together():
    crop = A.CenterCrop(150, 150, p=1)
    blame = blame_of([crop, crop, A.Blur(p=1), crop])
    assert list(blame.without_several) == [(1, 2), (1, 4), (2, 4), (1, 2, 4)]
    cause = blame.cause("truncated")
    assert cause.who == "1. CenterCrop, 2. CenterCrop and 4. CenterCrop"
    assert (cause.how, cause.without) == ("either", 0)


def test_crops_that_fail_without_what_comes_before_are_found():
    pad = A.PadIfNeeded(400, 400, border_mode=0, p=1)
    crop = A.CenterCrop(201, 201, p=1)

    def damage_where_it_works(pipelines):
        found = []
        for pipeline in pipelines:
            try:
                found += damage([pipeline])
            except PipelineError:
                found.append(table([], loose=[]))
        return found

    pipeline = Pipeline.parse([pad, crop, crop])
    blame = apportion(pipeline, damage([pipeline])[0], damage_where_it_works)
    cause = blame.cause("truncated")
    assert cause.together > 0
    assert (cause.who, cause.how) == ("2. CenterCrop and 3. CenterCrop", "either")
    assert cause.alone is None
    assert "each fails alone" in str(cause)


def test_two_that_do_damage_only_together_are_named_together():
    target = make_target(
        np.full((200, 300, 3), 255, np.uint8), np.array([[20, 20, 60, 60.0]])
    )
    shift = A.Affine(translate_px={"x": (145, 145), "y": 0}, p=1)
    flip = A.VerticalFlip(p=1)

    def measured(pipelines):
        return [measure(target, run(pipeline, target)) for pipeline in pipelines]

    # Each alone leaves the object in the image
    pipeline = Pipeline.parse([shift, flip, shift])
    blame = apportion(pipeline, measured([pipeline])[0], measured)
    assert not blame.without_several
    cause = blame.cause("gone")
    assert (cause.who, cause.how) == ("1. Affine and 3. Affine", "both")
    assert (cause.together, cause.without, cause.alone) == (1, 0, 0)
    assert str(cause) == (
        "due to 1. Affine and 3. Affine, which cause it together: 100% with them, 0% "
        "without one of them, 0% with one of them alone, on 1 image"
    )


def test_pipelines_are_left_out_together_only_where_no_single_one_explains():
    measured = []

    def count(pipelines):
        measured.append(len(pipelines))
        return damage(pipelines)

    transforms = [A.Rotate((45, 45), border_mode=0, p=1), A.Blur(p=1), A.Blur(p=1)]
    pipeline = Pipeline.parse(transforms)
    blame = apportion(pipeline, damage([pipeline])[0], count)
    assert blame.cause("loose").who == "1. Rotate"
    assert measured == [6]
    # However many there are that do the same, some pairs of them are tried, and all
    measured.clear()
    pipeline = Pipeline.parse([A.CenterCrop(150, 150, p=1)] * 8)
    blame = apportion(pipeline, damage([pipeline])[0], count)
    assert measured == [16, 7]
    assert len(blame.cause("truncated").partners) == 7


def test_of_two_transforms_the_one_without_which_there_is_less_is_named():
    # What the first leaves of the objects, the second cuts off, and the other way round
    left, right = A.Crop(100, 0, 300, 200, p=1), A.Crop(0, 0, 40, 200, p=1)
    blame = blame_of([left, right])
    gone = blame.to_frame().xs("gone", level="kind")
    cause = blame.cause("gone")
    assert cause.transform == gone["blame"].idxmax()
    assert cause.together > cause.without


def test_a_pipeline_without_transforms_has_nobody_to_blame():
    blame = blame_of([])
    assert blame.to_frame().empty
    assert blame.worst("loose") is None
    cause = blame.cause("loose")
    assert (cause.transform, cause.together, cause.without) == (None, 0, None)


def table(samples, *, loose):
    """Judged objects, one a sample, of which some have a box that is loose."""
    (one,) = damage([Pipeline.parse([A.HorizontalFlip(p=1)])])
    rows = np.zeros(len(samples), np.int64)
    values = {field.name: getattr(one, field.name)[rows] for field in fields(one)}
    looseness = np.where(np.isin(samples, loose), 9.0, 1.0)
    return DamageTable(
        **values
        | {
            "sample": np.array(samples),
            "looseness": looseness,
            "slack": np.full(len(samples), 99.0),
        }
    )


def test_shares_are_compared_on_the_samples_that_go_through_both_ways():
    first, second = A.Blur(p=1), A.MedianBlur(p=1)
    tables = [
        table([0, 1], loose=[0, 1]),  # without the first
        table([0, 1, 2, 3], loose=[0]),  # without the second
        table([2], loose=[2]),  # the first alone
        table([0, 1, 2, 3], loose=[0, 1]),  # the second alone
    ]
    together = table([0, 1, 2, 3], loose=[0, 1])
    blame = apportion(Pipeline.parse([first, second]), together, lambda _: tables)
    loose = blame.to_frame().xs("loose", level="kind")
    # Of all four, half would be loose together, which is less than without the first
    assert loose["together"].tolist() == [1, 0.5]
    assert loose["without"].tolist() == [1, 0.25]
    assert loose["blame"].tolist() == [0, 0.25]
    assert loose["images"].tolist() == [2, 4]
    # None of those that the first can do alone is compared
    assert np.isnan(loose.loc[1, "alone"]) and loose.loc[2, "alone"] == 0.5
    assert blame.worst("loose") == 2


def test_nothing_is_blamed_for_what_fails_without_it():
    none = table([], loose=[])
    tables = [none, table([0, 1], loose=[0]), none, none]
    together = table([0, 1], loose=[0])
    pipeline = Pipeline.parse([A.Blur(p=1), A.MedianBlur(p=1)])

    def measure_some(pipelines):
        # Without both nothing goes through either
        return tables if len(pipelines) == 4 else [none]

    blame = apportion(pipeline, together, measure_some)
    frame = blame.to_frame().xs("loose", level="kind")
    assert np.isnan(frame.loc[1, "blame"]) and frame.loc[2, "blame"] == 0
    assert blame.worst("loose") is None
    # Where it does the most alone, that is told
    tables[2] = table([0], loose=[0])
    cause = apportion(pipeline, together, measure_some).cause("loose")
    assert (cause.transform, cause.without, cause.alone) == (1, None, 1)
    assert str(cause) == (
        "due to 1. Blur: 50% with it, the others fail without it, 100% with it alone, "
        "on "
        "2 images"
    )
