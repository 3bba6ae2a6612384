import json
import pickle
import random
import subprocess
import sys

import albumentations as A
import numpy as np
import pytest

from fiftyone_coco_audit.augmentation.catalog import transform_types
from fiftyone_coco_audit.augmentation.pipelines import (
    Pipeline,
    PipelineError,
    preset,
)
from fiftyone_coco_audit.augmentation.presets import PRESETS
from fiftyone_coco_audit.augmentation.targets import make_target, run
from fiftyone_coco_audit.errors import CocoAuditError
from tests.transforms import like, made, needs
from tests.transforms import transform as named

ROTATE = {"transform": "Rotate", "params": {"limit": [-10, 10], "p": 1}}
FLIP = {"transform": "HorizontalFlip", "params": {"p": 0.5}}


class Halve(A.ImageOnlyTransform):
    """A transform of the user's own."""

    def apply(self, img, **params):
        return img // 2


def compose():
    return A.Compose(
        [
            A.OneOf([A.HorizontalFlip(p=1), A.VerticalFlip(p=1)], p=0.5),
            A.Affine(scale=(0.5, 1.5), rotate=(-5, 5), p=0.7),
            A.Normalize(),
        ],
        bbox_params=made(
            A.BboxParams,
            format="yolo",
            label_fields=["names"],
            min_visibility=0.3,
            min_area=4,
        ),
        p=0.9,
    )


def target(size=(60, 80), boxes=((10, 10, 20, 20), (40, 30, 30, 20))):
    image = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    return make_target(image, np.array(boxes, float))


def names(pipeline):
    return [step.name for step in pipeline.steps]


def test_a_python_object_its_dictionary_json_and_yaml_are_the_same_pipeline(tmp_path):
    yaml = pytest.importorskip("yaml")
    pipeline = Pipeline.parse(compose())
    assert names(pipeline) == ["OneOf", "Affine", "Normalize"]
    assert pipeline.p == 0.9
    assert pipeline.box_params["min_visibility"] == 0.3
    assert pipeline.steps[1].params["rotate"] == [-5, 5]
    A.save(compose(), str(tmp_path / "p.json"))
    A.save(compose(), tmp_path / "p.yaml", data_format="yaml")
    sources = [
        A.to_dict(compose()),
        json.dumps(A.to_dict(compose()), default=list),
        yaml.safe_dump(json.loads(json.dumps(A.to_dict(compose())))),
        tmp_path / "p.json",
        str(tmp_path / "p.yaml"),
        pipeline.to_json(),
        pipeline,
    ]
    for source in sources:
        assert Pipeline.parse(source).to_dict() == pipeline.to_dict()
    assert Pipeline.parse(tmp_path / "p.json").name == "p"


def test_albumentations_reads_what_is_written():
    again = A.from_dict(json.loads(Pipeline.parse(compose()).to_json()))
    assert Pipeline.parse(again).to_dict() == Pipeline.parse(compose()).to_dict()


@pytest.mark.parametrize("name", PRESETS)
def test_the_python_text_of_a_preset_builds_it(name):
    made = {}
    exec(preset(name).to_python(), made)
    assert Pipeline.parse(made["transform"]).to_dict() == preset(name).to_dict()


def test_python_text_has_only_what_is_not_the_default():
    steps = [FLIP, {"transform": "Rotate", "params": {"limit": 9.5, "p": 1}}]
    limit = transform_types()["Rotate"].parameters[0].name
    assert Pipeline.parse(steps).to_python() == (
        "import albumentations as A\n\ntransform = A.Compose(\n    [\n"
        "        A.HorizontalFlip(),\n"
        f"        A.Rotate(p=1.0, {limit}=(-9.5, 9.5)),\n    ],\n)\n"
    )


def test_a_list_of_transforms_a_single_one_and_steps_are_pipelines():
    assert names(Pipeline.parse([A.HorizontalFlip(), A.Blur()])) == [
        "HorizontalFlip",
        "Blur",
    ]
    assert names(Pipeline.parse(A.Blur())) == ["Blur"]
    assert names(Pipeline.parse(A.OneOf([A.Blur()]))) == ["OneOf"]
    assert names(Pipeline.parse([FLIP, ROTATE])) == ["HorizontalFlip", "Rotate"]
    assert names(Pipeline.parse(json.dumps([FLIP]))) == ["HorizontalFlip"]
    assert len(Pipeline.parse([])) == 0


def test_compositions_within_are_kept_as_they_are():
    inner = A.SomeOf(
        [A.HorizontalFlip(p=1), A.Sequential([A.Blur(p=0.3)], p=0.2)],
        n=1,
        replace=False,
        p=0.7,
    )
    (step,) = Pipeline.parse(Pipeline.parse([inner]).to_json()).steps
    assert (step.transform.n, step.transform.p, step.transform.replace) == (
        1,
        0.7,
        False,
    )
    assert step.transform.transforms[1].p == 0.2
    assert step.transform.transforms[1].transforms[0].p == 0.3


def test_what_the_user_has_is_not_changed():
    dropout = named("CoarseDropout", p=1)
    before = A.to_dict(dropout)
    run(Pipeline.parse(A.Compose([dropout])), target())
    assert A.to_dict(dropout) == before


def test_parameters_of_another_version_are_understood():
    old = [
        {
            "transform": "ImageCompression",
            "params": {"quality_lower": 70, "quality_upper": 90, "always_apply": True},
        },
        {
            "transform": "PadIfNeeded",
            "params": {"border_mode": 0, "value": 7, "always_apply": False},
        },
    ]
    compression, padding = Pipeline.parse(old).steps
    has, padded = compression.params, padding.params
    quality = has.get("quality_range") or [has["quality_lower"], has["quality_upper"]]
    assert quality == [70, 90]
    assert has.get("always_apply") or has["p"] == 1
    assert (padded["fill"] if "fill" in padded else padded["value"]) == 7


def nested(depth, wrap=A.Sequential):
    """A flip in as many compositions."""
    made = A.HorizontalFlip(p=1)
    for _ in range(depth):
        made = wrap([made], p=1)
    return made


@pytest.mark.parametrize("depth", [21, 200])
@pytest.mark.parametrize("wrap", [A.Sequential, A.OneOf])
@pytest.mark.parametrize("as_text", [False, True])
def test_pipelines_that_are_nested_too_deep_are_refused(depth, wrap, as_text):
    if not as_text:
        source = A.Compose([nested(depth, wrap)])
    else:
        inner = {"__class_fullname__": "HorizontalFlip", "p": 1}
        for _ in range(depth):
            inner = {
                "__class_fullname__": wrap.__name__,
                "p": 1,
                "transforms": [inner],
            }
        source = {"transform": {"__class_fullname__": "Compose", "transforms": [inner]}}
    with pytest.raises(CocoAuditError, match="nested too deeply.* 20 levels deep"):
        Pipeline.parse(source)


def test_a_pipeline_that_holds_itself_is_refused():
    composed = A.Sequential([A.HorizontalFlip(p=1)])
    pipeline = A.Compose([composed])
    composed.transforms = [*composed.transforms, composed]
    with pytest.raises(CocoAuditError, match="or contains itself"):
        Pipeline.parse(pipeline)


def test_the_deepest_pipelines_run_and_can_be_sent():
    pipeline = Pipeline.parse(A.Compose([nested(20)]))
    pipeline = pickle.loads(pickle.dumps(pipeline))
    image = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    drawn = run(pipeline, make_target(image, np.array([[0, 0, 2, 2.0]])))
    assert np.array_equal(drawn.image, image[:, ::-1])
    assert drawn.box == pytest.approx(np.array([[3, 0, 2, 2]]), abs=1e-5)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ('{"transform": ', "is not valid JSON: line 1, column 14: expecting value"),
        ("a: b: c", "is not valid YAML in line 1, column 5"),
        ("[" * 50_000, "is nested too deeply"),
        ("&a\n__class_fullname__: Compose\ntransforms: [*a]", "or contains itself"),
        ("[" + 5_000 * "9" + "]", "is not valid JSON: exceeds the limit"),
        ("a: 2024-99-99", "is not valid YAML: month must be in 1..12"),
        ("!!python/object/apply:os.system [echo]", "is not valid YAML in line 1"),
        ("A.Compose([A.Blur()])", "is Python code, which is never run"),
        ("import albumentations as A\nA", "is Python code, which is never run"),
        ([{"transform": "DualTransform"}], "1 is 'DualTransform', which the installed"),
        ("foo", "'foo', which is neither the JSON or YAML .* presets minimal, final"),
        ("", "which is neither the JSON"),
        ("none.json", "'none.json' cannot be read: No such file"),
        ({"a": 1}, "without 'transform' as A.to_dict"),
        (3, "The pipeline is a number: pass an"),
        ([A.Blur(), 3], "Transform 2 is a number, which is not a transform"),
        ([FLIP, {"transfrom": "Rotate"}], "Transform 2 of the list"),
        ([FLIP, {"transform": "Rotat"}], "2 is 'Rotat'.* did you mean 'Rotate'"),
        ([{"transform": "Lambda"}], "1 is 'Lambda', which the installed"),
        ([{"transform": "Resize"}], "1, Resize needs the parameter 'height'"),
        (
            [{"transform": "OneOf", "params": {"p": 3, "transforms": []}}],
            "1, OneOf cannot have p=3",
        ),
        (
            [{"transform": "SomeOf", "params": {"n": "x", "transforms": []}}],
            "1, SomeOf cannot have n='x'",
        ),
        (
            [{"transform": "Rotate", "params": {"limt": 3}}],
            "1, Rotate has no parameter 'limt': .* are (limit|angle_range), ",
        ),
        (
            [{"transform": "Rotate", "params": {"limit": "a"}}],
            "1, Rotate cannot have (limit|angle_range)='a'",
        ),
        (
            [FLIP, {"transform": "HorizontalFlip", "params": {"p": 2}}],
            "2, HorizontalFlip cannot have p=2: input should be less than or equal",
        ),
        (
            [{"transform": "CoarseDropout", "params": {"num_holes_range": [5, 1]}}],
            r"1, CoarseDropout (cannot have num_holes_range=|is not .*)\[5, 1\]",
        ),
        ([{"transform": "Rotate", "params": [3]}], "params .* not a dictionary"),
        (
            {"transform": {"__class_fullname__": "Compose", "p": 3, "transforms": []}},
            "p=3, which is not between 0 and 1",
        ),
        (
            {
                "__class_fullname__": "Compose",
                "transforms": [],
                "bbox_params": {"format": "coco", "min_visbility": 1},
            },
            "BboxParams have no parameter 'min_visbility'",
        ),
        ({"__class_fullname__": "Compose"}, "no list of 'transforms'"),
    ],
)
def test_what_is_no_pipeline_is_said_in_one_sentence(source, message):
    with pytest.raises(CocoAuditError, match=message):
        Pipeline.parse(source)


@pytest.mark.parametrize(
    "name", ["os.system", "subprocess.Popen", "builtins.eval", "albumentationsx.Rotate"]
)
@pytest.mark.parametrize("nested", [False, True])
def test_no_class_but_those_of_albumentations_is_made(name, nested):
    record = {"__class_fullname__": name, "args": "true"}
    if nested:
        record = {"__class_fullname__": "OneOf", "transforms": [record]}
    source = {"transform": {"__class_fullname__": "Compose", "transforms": [record]}}
    with pytest.raises(CocoAuditError, match="is not a transform of Albumentations"):
        Pipeline.parse(source)


def test_a_transform_of_the_users_own_works_but_is_not_written_as_text():
    pipeline = Pipeline.parse([A.HorizontalFlip(p=0), Halve(p=1)])
    sample = target()
    np.testing.assert_array_equal(run(pipeline, sample).image, sample.image // 2)
    with pytest.raises(CocoAuditError, match="Transform 2, Halve, cannot be written"):
        pipeline.to_json()


def test_the_users_box_params_decide_which_boxes_are_left():
    crop = A.Crop(0, 0, 20, 60, p=1)
    for visibility, left in ((0.0, [0]), (0.6, [])):
        pipeline = Pipeline.parse(
            A.Compose(
                [crop],
                bbox_params=made(
                    A.BboxParams, format="coco", min_visibility=visibility
                ),
            )
        )
        # Of the first box one half is left, of the second nothing
        assert run(pipeline, target()).object.tolist() == left


def test_steps_are_left_out_taken_alone_and_taken_in_order():
    pipeline = Pipeline.parse([FLIP, ROTATE, {"transform": "Blur"}])
    assert names(pipeline.without(2)) == ["HorizontalFlip", "Blur"]
    assert [step.number for step in pipeline.without(2).steps] == [1, 3]
    assert names(pipeline.only(2)) == ["Rotate"]
    assert names(pipeline.prefix(2)) == ["HorizontalFlip", "Rotate"]
    assert names(pipeline.prefix(0)) == []
    with pytest.raises(CocoAuditError, match="no transform 4: its transforms are 1, 2"):
        pipeline.without(4)


def images(pipeline, samples=("a", "b", "c"), draws=4, seed=0):
    sample = target()
    return {
        (name, draw): run(pipeline, sample, seed=seed, sample=name, draw=draw).image
        for name in samples
        for draw in range(draws)
    }


def same(left, right):
    return all(
        left[key].shape == right[key].shape and (left[key] == right[key]).all()
        for key in left
    )


def test_the_same_arguments_draw_the_same_in_whatever_order():
    pipeline = Pipeline.parse(compose())
    expected = images(pipeline)
    again = images(Pipeline.parse(compose()), samples=("c", "b", "a"))
    assert same(expected, again)
    assert same(expected, images(pickle.loads(pickle.dumps(pipeline))))
    assert not same(expected, images(pipeline, seed=1))
    assert len({image.tobytes() for image in expected.values()}) > 6


class Own(A.ImageOnlyTransform):
    """Draws from what all Python shares, as a user's own transform may."""

    def apply(self, img, **params):
        shift = random.randrange(200) + np.random.randint(50)  # noqa: NPY002
        return np.full_like(img, shift)


def test_a_transform_that_draws_from_shared_sources_draws_the_same_too():
    pipeline = Pipeline.parse([Own(p=1)])

    def drawn(draw):
        return run(pipeline, target(), seed=1, sample="a", draw=draw).image[0, 0, 0]

    before = random.getstate()
    values = [drawn(draw) for draw in range(5)]
    assert [drawn(draw) for draw in range(5)] == values
    assert len(set(values)) > 1
    assert random.getstate() == before


@pytest.mark.slow
def test_another_process_draws_the_same():
    code = (
        "import numpy as np\n"
        "from fiftyone_coco_audit.augmentation.pipelines import Pipeline\n"
        "from fiftyone_coco_audit.augmentation.targets import make_target, run\n"
        "image = np.arange(4800, dtype=np.uint8).reshape(40, 40, 3)\n"
        "target = make_target(image, np.array([[4., 4, 9, 9]]))\n"
        "pipeline = Pipeline.parse('ultralytics')\n"
        "drawn = run(pipeline, target, seed=3, sample='x', draw=2)\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", code + "print(drawn.box.tolist(), drawn.image.sum())"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    here = {}
    exec(code, here)
    drawn = here["drawn"]
    assert out.strip() == f"{drawn.box.tolist()} {drawn.image.sum()}"


def test_transforms_draw_independently_of_each_other():
    flips = Pipeline.parse([A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5)])
    sample = target(boxes=[(0, 0, 10, 10)])
    corners = [tuple(run(flips, sample, draw=n).box[0, :2] > 0) for n in range(200)]
    for corner in ((0, 0), (0, 1), (1, 0), (1, 1)):
        # A binomial of 200 draws at 1/4 is outside these bounds once in 10,000 times
        assert 27 <= corners.count(corner) <= 75


def test_a_transform_draws_the_same_without_the_others():
    needs(
        hasattr(A.BasicTransform, "set_random_state")
        and not hasattr(A.BasicTransform, "sample_parameters"),
        "has no source of random numbers of each transform's own",
    )
    whole = Pipeline.parse([A.HorizontalFlip(p=0.5), A.Rotate((-40, 40), p=1)])
    alone = whole.only(2)
    sample = target()
    kept = 0
    for draw in range(20):
        drawn, other = (run(one, sample, draw=draw) for one in (whole, alone))
        flipped = run(whole.only(1), sample, draw=draw).box
        if np.allclose(flipped, sample.box):
            kept += 1
            np.testing.assert_array_equal(drawn.image, other.image)
    assert 0 < kept < 20


def test_what_only_makes_numbers_of_pixels_is_left_out_of_draws():
    pipeline = Pipeline.parse([A.HorizontalFlip(p=1), A.Normalize(p=1)])
    sample = target()
    np.testing.assert_array_equal(run(pipeline, sample).image, sample.image[:, ::-1])


def test_the_transform_that_fails_is_named():
    inner = A.OneOf([A.RandomCrop(500, 500, p=1)], p=1)
    pipeline = Pipeline.parse([A.HorizontalFlip(p=1), inner])
    with pytest.raises(PipelineError, match="^Transform 2, OneOf, failed: ") as raised:
        run(pipeline, target())
    assert raised.value.step == pipeline.steps[1]
    again = pickle.loads(pickle.dumps(raised.value))
    assert (str(again), again.step) == (str(raised.value), pipeline.steps[1])


def test_nonsense_that_comes_back_is_refused():
    class Nonsense(A.HorizontalFlip):
        def apply_to_bboxes(self, bboxes, **params):
            return like(bboxes, np.array(bboxes)[:, :4])

    class Multiplied(A.HorizontalFlip):
        def apply_to_bboxes(self, bboxes, **params):
            return like(bboxes, np.array(bboxes) + [0, 0, 0, 0, 7, 7])

    for transform, message in (
        (Nonsense(p=1), "^The pipeline (returns|does not return|failed)"),
        (Multiplied(p=1), "^The pipeline returns ids that no label had"),
    ):
        with pytest.raises(PipelineError, match=message):
            run(Pipeline.parse([transform]), target())


def test_the_presets_are_described_and_three_are_bad():
    assert [p.name for p in PRESETS.values() if p.harmful] == [
        "reflection_padding",
        "rotation",
        "cropping_rotation",
    ]
    assert all(p.description.endswith(".") for p in PRESETS.values())
    with pytest.raises(CocoAuditError, match="no preset 'x': the presets are minimal"):
        preset("x")


def test_the_minimal_preset_is_a_letterbox():
    drawn = run(preset("minimal"), target((240, 320), [(32, 0, 32, 24)]))
    assert drawn.image.shape == (640, 640, 3)
    np.testing.assert_allclose(drawn.box, [[64, 80, 64, 48]], atol=1e-4)
    assert not drawn.image[:80].any() and not drawn.image[560:].any()
