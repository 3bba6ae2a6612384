import albumentations as A
import pytest

from fiftyone_coco_audit.augmentation.building import (
    PipelineDraft,
    options_of,
    text_of,
    value_of,
)
from fiftyone_coco_audit.augmentation.catalog import transform_types
from fiftyone_coco_audit.augmentation.pipelines import Pipeline, preset
from fiftyone_coco_audit.augmentation.presets import PRESETS
from fiftyone_coco_audit.errors import CocoAuditError
from tests.transforms import made

TRANSFORMS = [
    A.HorizontalFlip(p=0.5),
    A.Rotate((-10, 10), p=1),
    A.OneOf([A.Blur(), A.Sharpen()]),
]


def built(*transforms, **kwargs):
    return PipelineDraft.of(Pipeline.parse(A.Compose(list(transforms), **kwargs)))


@pytest.mark.parametrize("name", PRESETS)
def test_a_draft_is_the_pipeline_it_began_with(name):
    draft = PipelineDraft.from_json(PipelineDraft.of(preset(name)).to_json())
    assert draft.pipeline().to_dict() == preset(name).to_dict()


def test_transforms_move_and_go():
    draft = built(*TRANSFORMS)
    assert draft.names() == ["HorizontalFlip", "Rotate", "OneOf"]
    moved = draft.move(2, 0)
    assert moved.names() == ["OneOf", "HorizontalFlip", "Rotate"]
    assert moved.move(0, 2) == draft
    assert draft.remove(1).names() == ["HorizontalFlip", "OneOf"]
    # A draft never changes
    assert draft == built(*TRANSFORMS)
    assert draft.type_of(1) is transform_types()["Rotate"]
    assert draft.type_of(2) is None


def test_all_transforms_can_be_removed():
    draft = built(A.HorizontalFlip()).remove(0)
    assert draft.names() == []
    assert len(draft.pipeline()) == 0


def test_values_are_set_and_left_to_their_defaults():
    # By the name of the installed version: "limit" or "angle_range"
    limit = transform_types()["Rotate"].parameters[0].name
    draft = built(*TRANSFORMS).set(1, limit, [-5, 30])
    assert draft.pipeline().step(2).params[limit] == [-5, 30]
    draft = draft.set(1, limit, None)
    assert draft.pipeline().step(2).params[limit] == [-90, 90]
    with pytest.raises(CocoAuditError, match=f"2, Rotate cannot have {limit}='wide'"):
        draft.set(1, limit, "wide").pipeline()


def test_boxes_are_filtered_as_set():
    draft = built(
        *TRANSFORMS, bbox_params=made(A.BboxParams, format="coco", min_area=9)
    )
    draft = draft.set_box_param("min_visibility", 0.3)
    params = draft.pipeline().box_params
    assert (params["min_area"], params["min_visibility"]) == (9, 0.3)
    draft = draft.set_box_param("min_area", None)
    assert "min_area" not in draft.pipeline().box_params
    assert draft.pipeline().box_params["min_visibility"] == 0.3


def test_every_transform_can_be_added_as_it_is():
    empty = built()
    for name in transform_types():
        pipeline = empty.add(name).pipeline()
        assert [step.name for step in pipeline.steps] == [name]
        assert pipeline.step(1).params["p"] == 1


def test_every_default_survives_the_form():
    for kind in transform_types().values():
        for parameter in kind.parameters:
            text = text_of(parameter.default)
            # An empty list cannot be told from nothing, which is the default
            assert value_of(text) == (parameter.default or value_of(text))
            options = [option for option, _ in options_of(parameter)]
            assert not options or not text or text in options


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        (" -.5 ", "-.5"),
        ("-0.5, 2", [-0.5, 2]),
        ("[1, 2]", [1, 2]),
        ("true", True),
        ("random", "random"),
        ('{"shift": 1}', {"shift": 1}),
        ("", None),
    ],
)
def test_what_is_typed(text, value):
    assert value_of(text) == value


def test_numbers_of_opencv_have_names():
    rotate = {one.name: one for one in transform_types()["Rotate"].parameters}
    assert ("2", "reflect") in options_of(rotate["border_mode"])
    assert ("0", "nearest") in options_of(rotate["interpolation"])
    assert options_of(transform_types()["Rotate"].parameters[0]) == []
    assert options_of(rotate["crop_border"]) == [("true", "yes"), ("false", "no")]
