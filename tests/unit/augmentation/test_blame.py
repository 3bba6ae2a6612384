import albumentations as A
import numpy as np
import pytest

from fiftyone_coco_audit.augmentation.blame import apportion
from fiftyone_coco_audit.augmentation.damage import DamageTable, measure
from fiftyone_coco_audit.augmentation.pipelines import Pipeline
from fiftyone_coco_audit.augmentation.targets import make_target, run
from fiftyone_coco_audit.wording import percent

TARGET = make_target(
    np.full((200, 300, 3), 255, np.uint8),
    np.array([[20, 20, 60, 60], [150, 80, 80, 40.0], [220, 10, 70, 70]]),
)
audited = []


def audit(pipeline):
    audited.append(pipeline.name)
    return DamageTable.concatenate(
        measure(TARGET, run(pipeline, TARGET, draw=draw), draw=draw)
        for draw in range(10)
    )


def test_the_transform_that_does_the_damage_is_blamed():
    pipeline = Pipeline.parse(
        [A.HorizontalFlip(p=0.5), A.Rotate((45, 45), border_mode=0, p=0.5), A.Blur(p=1)]
    )
    blame = apportion(pipeline, audit)
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
        f"due to 2. Rotate: {percent(cause.together)} with it, 0 % without, "
        f"{percent(cause.alone)} by it alone, on 1 image"
    )
    assert str(blame.cause("multiplied")) == (
        "not seen again in the 1 image that were searched for its cause"
    )


def test_two_transforms_that_do_the_same_damage_are_told_by_what_they_do_alone():
    crop = A.Crop(0, 0, 100, 200, p=1)
    blame = apportion(Pipeline.parse([A.Blur(p=1), crop, crop]), audit)
    gone = blame.to_frame().xs("gone", level="kind")
    # Without one of them, the other cuts off the same
    assert gone["blame"].tolist() == [0, 0, 0]
    assert gone["alone"].tolist() == pytest.approx([0, 2 / 3, 2 / 3])
    assert blame.worst("gone") == 2


def test_of_two_transforms_the_one_without_which_there_is_less_is_named():
    # What the first leaves of the objects, the second cuts off, and the other way round
    left, right = A.Crop(100, 0, 300, 200, p=1), A.Crop(0, 0, 40, 200, p=1)
    blame = apportion(Pipeline.parse([left, right]), audit)
    gone = blame.to_frame().xs("gone", level="kind")
    cause = blame.cause("gone")
    assert cause.transform == gone["blame"].idxmax()
    assert cause.together > cause.without


def test_the_whole_is_measured_once():
    pipeline = Pipeline.parse([A.HorizontalFlip(p=1), A.Blur(p=1)])
    together = audit(pipeline)
    audited.clear()
    apportion(pipeline, audit, together)
    assert len(audited) == 4 and pipeline.name not in audited


def test_a_pipeline_without_transforms_has_nobody_to_blame():
    blame = apportion(Pipeline.parse([]), audit)
    assert blame.to_frame().empty
    assert blame.worst("loose") is None
    cause = blame.cause("loose")
    assert (cause.transform, cause.together, cause.without) == (None, 0, None)
