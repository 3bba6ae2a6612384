import albumentations as A
import pytest
from pydantic import BaseModel, model_validator

from fiftyone_coco_audit.augmentation.catalog import (
    label_params,
    plain,
    problem_of,
    spelled,
    transform_types,
)
from fiftyone_coco_audit.augmentation.pipelines import Pipeline
from tests.transforms import needs


def parameter(transform, name):
    known = transform_types()
    parameters = known[transform].parameters if transform in known else ()
    found = next((p for p in parameters if p.name == name), None)
    needs(found is not None, f"has no {name} of {transform}")
    return found


def test_all_transforms_can_be_made_of_their_defaults():
    made = 0
    for name, kind in transform_types().items():
        values = {p.name: p.default for p in kind.parameters if p.default is not None}
        if not any(p.required for p in kind.parameters) and not problem_of(
            getattr(A, name), values
        ):
            pipeline = Pipeline.parse([{"transform": name, "params": values}])
            assert pipeline.steps[0].name == name
            made += 1
    # The others need a size
    assert made > 0.75 * len(transform_types()) > 55


def test_transforms_of_volumes_of_other_images_and_of_code_are_left_out():
    offered = transform_types()
    for name in ("Rotate", "Affine", "Blur", "RandomSizedBBoxSafeCrop"):
        assert name in offered
    for name in ("Lambda", "RandomCrop3D", "FDA", "MixUp", "BasicTransform", "Mosaic"):
        assert name not in offered
    # They hold images, which no text can
    assert "TemplateTransform" not in offered
    assert list(offered) == sorted(offered)


def test_what_moves_pixels_is_told_from_what_changes_colors():
    assert transform_types()["Rotate"].moves_pixels
    assert not transform_types()["Blur"].moves_pixels
    assert transform_types()["Rotate"].p == 0.5
    assert transform_types()["Resize"].p == 1
    assert transform_types()["Rotate"].summary.startswith("Rotate ")


def test_numbers_have_their_limits():
    height = parameter("Resize", "height")
    assert (height.kind, height.required, height.minimum) == ("integer", True, 1)
    quality = parameter("ImageCompression", "quality_range")
    assert (quality.kind, quality.is_range, quality.whole) == ("range", True, True)
    assert (quality.minimum, quality.maximum) == (1, 100)
    assert quality.default == [99, 100]


def test_a_number_has_its_limits():
    noise = parameter("GaussNoise", "noise_scale_factor")
    assert (noise.kind, noise.minimum, noise.maximum) == ("number", 0, 1)


def test_choices_and_switches_are_told():
    method = parameter("Rotate", "rotate_method")
    assert (method.kind, method.default) == ("choice", "largest_box")
    assert method.choices == ("largest_box", "ellipse")
    assert parameter("Rotate", "crop_border").kind == "boolean"
    assert transform_types()["Rotate"].parameters[0].kind == "range"
    assert "p" not in [p.name for p in transform_types()["Rotate"].parameters]


def test_what_may_stand_for_a_number_is_told():
    fill = parameter("CoarseDropout", "fill")
    assert (fill.kind, fill.default) == ("number", 0)
    assert "random" in fill.choices


class Old:
    def __init__(self, min_holes=1, max_holes=8, fill_value=0, p=0.5):
        pass


class New:
    def __init__(self, num_holes_range=(1, 8), fill=0, p=0.5):
        pass


def test_parameters_are_spelled_as_the_version_has_them():
    new = {"num_holes_range": [2, 3], "fill": 4, "p": 1}
    old = {"min_holes": 2, "max_holes": 3, "fill_value": 4, "p": 1}
    assert spelled(Old, new) == old
    assert spelled(New, old) == new
    assert spelled(New, new) == new
    assert spelled(New, {"max_holes": 3}) == {"num_holes_range": [3, 3]}
    assert spelled(New, {"fill_value": None}) == {}
    assert spelled(New, {"unknown": 3}) == {"unknown": 3}


def test_a_problem_names_the_parameter():
    limit = transform_types()["Rotate"].parameters[0].name
    assert problem_of(A.Rotate, {limit: (-3, 3)}) is None
    assert problem_of(A.Rotate, {"x": 3}).startswith("has no parameter 'x'")
    assert f"{limit}='a'" in problem_of(A.Rotate, {limit: "a"})
    assert problem_of(A.Resize, {"width": 3}) == "needs the parameter 'height'"


class Sized:
    """Needs one of two parameters, as transforms can only say of all together."""

    class InitSchema(BaseModel):
        size: int | None = None
        factor: float | None = None

        @model_validator(mode="after")
        def check(self):
            if self.size is None and self.factor is None:
                raise ValueError("Give size or factor.")
            return self

    def __init__(self, size=None, factor=None):
        pass


def test_a_problem_of_several_parameters_is_told():
    assert problem_of(Sized, {"size": 3}) is None
    assert problem_of(Sized, {}) == "is invalid: give size or factor"


@pytest.mark.parametrize("value", [3, 0.5, "a", None, True, [1, [2]], {"a": [1]}])
def test_plain_values_stay(value):
    assert plain(value) == value
    assert plain((1, 2)) == [1, 2]


class Successor:
    """A transform with the names of Albumentations' successor."""

    def __init__(
        self,
        angle_range=(-90, 90),
        hue_range=(0, 0),
        shift_range_x=(0, 0),
        blur_range=(3, 7),
        ensure_safe_output=False,
        p=0.5,
    ):
        pass


class Predecessor:
    """The same with the names of Albumentations 2."""

    def __init__(
        self,
        limit=(-90, 90),
        hue=(0, 0),
        shift_limit_x=(0, 0),
        blur_limit=(3, 7),
        ensure_safe_range=False,
        p=0.5,
    ):
        pass


def test_either_names_are_understood():
    ours = {
        "limit": 10,
        "hue": (-0.1, 0.1),
        "shift_limit_x": (0, 0.2),
        "blur_limit": 5,
        "ensure_safe_range": True,
        "p": 1,
    }
    theirs = spelled(Successor, ours)
    assert theirs == {
        # A single number was short for a range, but of blurs for another one
        "angle_range": [-10, 10],
        "hue_range": (-0.1, 0.1),
        "shift_range_x": (0, 0.2),
        "blur_range": 5,
        "ensure_safe_output": True,
        "p": 1,
    }
    assert spelled(Predecessor, theirs) == ours | {"limit": [-10, 10]}
    assert spelled(Predecessor, {"limt": 5}) == {"limt": 5}
    for names in ({"limit": (-5, 5)}, {"angle_range": (-5, 5)}):
        assert problem_of(A.Rotate, spelled(A.Rotate, names)) is None
    for names in ({"hue": (0, 0.1)}, {"hue_range": (0, 0.1)}):
        assert problem_of(A.ColorJitter, spelled(A.ColorJitter, names)) is None


def test_box_params_of_any_version():
    params = label_params(A.BboxParams, coord_format="coco", format="yolo", min_area=4)
    written = spelled(Boxes, vars(params))
    assert (written["format"], written["min_area"]) == ("yolo", 4)


class Boxes:
    def __init__(self, format, clip=False):
        self.format, self.clip = format, clip


def test_box_params_that_clip_by_the_names_of_the_successor():
    params = label_params(Boxes, coord_format="coco", clip_bboxes_on_input=True)
    assert (params.format, params.clip) == ("coco", True)
