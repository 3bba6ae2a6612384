from time import perf_counter

import albumentations as A
import numpy as np
import pytest

from fiftyone_coco_audit.augmentation.damage import measure
from fiftyone_coco_audit.augmentation.drawing import data_uri
from fiftyone_coco_audit.augmentation.pipelines import Pipeline, preset
from fiftyone_coco_audit.augmentation.preview import (
    Subject,
    fates,
    fates_by_step,
    pictures,
    preview_draws,
    preview_steps,
    rgb,
    summary,
)
from fiftyone_coco_audit.augmentation.targets import draw_name, make_target, run
from tests.transforms import made


def subject(*boxes, height=100, width=200):
    """A sample with objects that are rectangles."""
    image = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    masks = []
    for x, y, w, h in boxes:
        mask = np.zeros((height, width), np.uint8)
        mask[y : y + h, x : x + w] = 1
        masks.append(mask)
    target = make_target(image, np.array(boxes, float).reshape(-1, 4), masks)
    count = len(boxes)
    return Subject(
        sample_id="0123",
        filepath="/images/street.jpg",
        target=target,
        names=["car"] * count,
        colors=[(0, 0, 255)] * count,
        label_ids=[str(row) for row in range(count)],
        crowd=np.zeros(count, bool),
    )


LEFT, RIGHT = (10, 10, 40, 40), (140, 30, 40, 40)
CROP_LEFT = A.Crop(0, 0, 100, 100, p=1)


def of(*transforms, **kwargs):
    return Pipeline.parse(A.Compose(list(transforms), **kwargs))


def test_a_subject_says_what_it_is():
    assert str(subject(LEFT, RIGHT)) == "street.jpg (200 x 100, 2 objects)"


def test_draws_are_those_of_the_audit():
    sample, pipeline = subject(LEFT, RIGHT), preset("rotation")
    shots = preview_draws(pipeline, sample, seed=7, num_draws=3)
    assert [shot.title for shot in shots] == ["Draw 1", "Draw 2", "Draw 3"]
    name = draw_name(sample.filepath)
    for draw, shot in enumerate(shots):
        expected = run(pipeline, sample.target, seed=7, sample=name, draw=draw)
        np.testing.assert_array_equal(shot.drawn.image, expected.image)
        np.testing.assert_array_equal(shot.drawn.box, expected.box)
        table = measure(sample.target, expected, draw=draw)
        np.testing.assert_array_equal(shot.table.looseness, table.looseness)
    again = preview_draws(pipeline, sample, seed=7, num_draws=1)[0]
    other = preview_draws(pipeline, sample, seed=8, num_draws=1)[0]
    np.testing.assert_array_equal(again.drawn.image, shots[0].drawn.image)
    assert not np.array_equal(other.drawn.image, shots[0].drawn.image)


def test_the_last_step_is_the_draw():
    sample, pipeline = subject(LEFT, RIGHT), preset("final")
    steps = preview_steps(pipeline, sample, seed=7, draw=2)
    assert [shot.title for shot in steps] == [str(step) for step in pipeline.steps]
    last = preview_draws(pipeline, sample, seed=7, num_draws=3)[2]
    np.testing.assert_array_equal(steps[-1].drawn.image, last.drawn.image)
    np.testing.assert_array_equal(steps[-1].drawn.box, last.drawn.box)


def test_steps_that_do_nothing_are_told():
    pipeline = of(
        A.HorizontalFlip(p=0), CROP_LEFT, A.LongestMaxSize(100, p=1), A.ToGray(p=1)
    )
    steps = preview_steps(pipeline, subject(LEFT), seed=0, draw=0)
    assert [shot.changed for shot in steps] == [False, True, False, True]


def test_figures_of_labels_that_are_well():
    flip = of(A.HorizontalFlip(p=1))
    (shot,) = preview_draws(flip, subject(LEFT, RIGHT), seed=0, num_draws=1)
    assert shot.figures() == "2 of 2 kept"
    assert shot.flags() == ["", ""]
    assert summary([shot]) == "No label is harmed in 1 draw."
    assert fates([shot]) == ["", ""]


def test_figures_of_lost_and_cut_objects():
    # Of the object in the middle, 30 of 40 columns are cut off
    sample = subject(LEFT, (90, 10, 40, 40), RIGHT)
    shots = preview_draws(of(CROP_LEFT), sample, seed=0, num_draws=2)
    assert shots[0].figures() == "2 of 3 kept, 1 lost, 1 cut"
    assert shots[0].lost.tolist() == [False, False, True]
    assert shots[0].flags() == ["", "cut 75%", ""]
    assert fates(shots) == ["", "", "lost in 2 of 2"]
    assert fates(shots[:1]) == ["", "", "lost"]
    assert summary(shots) == "3 objects in 2 draws: 33% lost and 33% cut."


def test_figures_of_an_object_that_is_seen_without_its_box():
    params = made(A.BboxParams, format="coco", min_visibility=0.9)
    pipeline = of(CROP_LEFT, bbox_params=params)
    (shot,) = preview_draws(pipeline, subject((80, 10, 40, 40)), seed=0, num_draws=1)
    assert shot.figures() == "0 of 1 kept, 1 lost, 1 unlabeled"
    assert shot.flags() == ["no box"]


def test_figures_of_a_loose_box():
    pipeline = of(A.Rotate((45, 45), border_mode=0, rotate_method="largest_box", p=1))
    sample = subject((80, 30, 40, 40))
    # A disc, so that the box around its turned box is twice as large as need be
    y, x = np.mgrid[:100, :200]
    disc = (x - 99.5) ** 2 + (y - 49.5) ** 2 <= 20**2
    round_one = make_target(sample.target.image, sample.target.box, [disc])
    loose = Subject(**{**vars(sample), "target": round_one})
    (shot,) = preview_draws(pipeline, loose, seed=0, num_draws=1)
    assert shot.figures() == "1 of 1 kept, 1 loose"
    factor = shot.drawn.box[0, 2:].prod() / 40**2
    assert factor == pytest.approx(2, abs=0.1)
    assert shot.flags() == [f"loose {factor:.1f}×"]


def test_objects_are_lost_at_a_step():
    pipeline = of(A.HorizontalFlip(p=0), CROP_LEFT, A.HorizontalFlip(p=1))
    steps = preview_steps(pipeline, subject(LEFT, RIGHT), seed=0, draw=0)
    assert fates_by_step(steps) == ["", "lost at 2. Crop"]
    first = preview_steps(of(CROP_LEFT), subject(RIGHT), seed=0, draw=0)
    assert fates_by_step(first) == ["lost at 1. Crop"]


def test_an_empty_pipeline_has_no_steps():
    steps = preview_steps(of(), subject(LEFT), seed=0, draw=0)
    assert steps == []
    assert fates_by_step(steps) == []
    (before,) = pictures(subject(LEFT), steps, [], width=90)
    assert before.shape == (45, 90, 3)


def test_a_sample_without_objects():
    sample = subject()
    shots = preview_draws(preset("rotation"), sample, seed=0, num_draws=2)
    assert shots[0].figures() == "no objects"
    assert summary(shots) == "There are no labels for a pipeline to harm."
    assert len(pictures(sample, shots, fates(shots), width=90)) == 3
    steps = preview_steps(preset("rotation"), sample, seed=0, draw=0)
    assert fates_by_step(steps) == []


def test_there_is_a_picture_of_each_preview():
    sample = subject(LEFT, RIGHT)
    shots = preview_draws(preset("minimal"), sample, seed=0, num_draws=2)
    made = pictures(sample, shots, fates(shots), width=120, zoom=0.5)
    assert [picture.shape for picture in made] == [(60, 120, 3)] + [(120, 120, 3)] * 2
    np.testing.assert_array_equal(made[1], made[2])


@pytest.mark.parametrize("color", ["#ff8000", "#FF8000", "rgb(255, 128, 0)"])
def test_colors(color):
    assert rgb(color) == (255, 128, 0)


def test_colors_by_name():
    assert rgb("yellowgreen") == (154, 205, 50)


def test_drawing_takes_about_as_long_as_the_pipeline():
    # Not in seconds, which depend on the machine and on what else it does: a preview
    # of 8 draws takes 0.15 s where the pipeline alone takes 0.05 s
    rng = np.random.default_rng(1)
    corners = rng.integers(0, [560, 400], (12, 2))
    boxes = [(int(x), int(y), 70, 60) for x, y in corners]
    sample = subject(*boxes, height=480, width=640)
    pipeline = preset("rotation")

    def seconds(job):
        times = []
        for _ in range(5):
            start = perf_counter()
            job()
            times.append(perf_counter() - start)
        return min(times)

    shots = preview_draws(pipeline, sample, seed=0, num_draws=8)
    running = seconds(lambda: preview_draws(pipeline, sample, seed=0, num_draws=8))
    drawing = seconds(
        lambda: [
            data_uri(picture)
            for picture in pictures(sample, shots, fates(shots), width=435, zoom=1.5)
        ]
    )
    assert drawing < 5 * running
