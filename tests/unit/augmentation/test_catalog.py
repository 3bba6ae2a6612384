import albumentations as A
import pytest

from fiftyone_coco_audit.augmentation.catalog import (
    label_params,
    plain,
    problem_of,
    spelled,
    transform_types,
)
from fiftyone_coco_audit.augmentation.pipelines import Pipeline


def parameter(transform, name):
    return next(p for p in transform_types()[transform].parameters if p.name == name)


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
    assert made > 75


def test_transforms_of_volumes_of_other_images_and_of_code_are_left_out():
    offered = transform_types()
    for name in ("Rotate", "CoarseDropout", "Blur", "RandomSizedBBoxSafeCrop"):
        assert name in offered
    for name in ("Lambda", "RandomCrop3D", "FDA", "MixUp", "BasicTransform", "Mosaic"):
        assert name not in offered
    assert list(offered) == sorted(offered)


def test_what_moves_pixels_is_told_from_what_changes_colours():
    assert transform_types()["Rotate"].moves_pixels
    assert not transform_types()["Blur"].moves_pixels
    assert transform_types()["Rotate"].p == 0.5
    assert transform_types()["Resize"].p == 1
    assert transform_types()["Rotate"].summary.startswith(
        "Rotate the input by an angle"
    )


def test_numbers_have_their_limits():
    height = parameter("Resize", "height")
    assert (height.kind, height.required, height.minimum) == ("integer", True, 1)
    quality = parameter("ImageCompression", "quality_range")
    assert (quality.kind, quality.is_range, quality.whole) == ("range", True, True)
    assert (quality.minimum, quality.maximum) == (1, 100)
    assert quality.default == [99, 100]
    noise = parameter("GaussNoise", "noise_scale_factor")
    assert (noise.kind, noise.minimum, noise.maximum) == ("number", 0, 1)


def test_choices_and_switches_are_told():
    method = parameter("Rotate", "rotate_method")
    assert (method.kind, method.default) == ("choice", "largest_box")
    assert method.choices == ("largest_box", "ellipse")
    assert parameter("Rotate", "crop_border").kind == "boolean"
    assert parameter("Rotate", "limit").kind == "range"
    assert "p" not in [p.name for p in transform_types()["Rotate"].parameters]
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
    assert problem_of(A.Rotate, {"limit": 3}) is None
    assert problem_of(A.Rotate, {"x": 3}).startswith("has no parameter 'x'")
    assert "limit='a'" in problem_of(A.Rotate, {"limit": "a"})
    assert "needs other parameters" in problem_of(A.LongestMaxSize, {}) or (
        "max_size" in problem_of(A.LongestMaxSize, {})
    )


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
    assert spelled(A.Rotate, {"angle_range": (-5, 5)}) == {"limit": (-5, 5)}
    assert spelled(A.ColorJitter, {"hue_range": (0, 0.1)}) == {"hue": (0, 0.1)}
    assert spelled(A.Rotate, {"limt": 5}) == {"limt": 5}


def test_box_params_of_any_version():
    names = {"coord_format": "coco", "clip_bboxes_on_input": True}
    params = label_params(A.BboxParams, **names, format="yolo", min_area=4)
    assert (params.format, params.clip, params.min_area) == ("yolo", True, 4)
