from itertools import permutations

import numpy as np
import pytest

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.statistics.batching import (
    ASPECT_GROUPS,
    BatchPadding,
    aspect_group,
    simulate_batch_padding,
)
from fiftyone_coco_audit.statistics.resizing import ResizePolicy


def test_groups_tell_landscape_from_the_rest_and_put_extremes_apart():
    ratio = np.array([0.2, 0.499, 0.5, 0.75, 1, 1.001, 4 / 3, 2, 2.001, 5])
    names = [ASPECT_GROUPS[code] for code in aspect_group(ratio)]
    assert names == (["tall"] * 2 + ["portrait"] * 3 + ["landscape"] * 3 + ["wide"] * 2)
    # detectron2: width > height or not
    assert np.array_equal(aspect_group(ratio) >= 2, ratio > 1)
    assert aspect_group(np.zeros(0)).shape == (0,)


def test_batches_of_two_shapes_have_the_expected_padding():
    half = 50
    size = np.array([[2.0, 1.0], [1.0, 2.0]]).repeat(half, axis=0)
    found = simulate_batch_padding(
        size, np.arange(2).repeat(half), batch_size=2, epochs=1000
    )
    # Two images drawn without return differ with this probability; a batch of both
    # shapes has 2 * 4 pixels, one of a single shape 2 * 2, and the images have 4
    mixed = half / (2 * half - 1)
    expected = 1 - 4 / (8 * mixed + 4 * (1 - mixed))
    assert found.random == pytest.approx(expected, abs=0.003)
    assert found.grouped == 0
    assert found.saving == pytest.approx(found.random)


def test_random_batches_are_those_of_all_orders():
    size = np.array([[3, 5], [4, 1], [10, 2], [6, 6], [2, 9]], float)

    def pixels(order):
        batches = [size[list(order[start : start + 2])] for start in (0, 2, 4)]
        return sum(len(batch) * batch.max(axis=0).prod() for batch in batches)

    mean = np.mean([pixels(order) for order in permutations(range(5))])
    seeds = [
        simulate_batch_padding(size, batch_size=2, epochs=1, seed=seed).random
        for seed in range(3000)
    ]
    expected = size.prod(axis=1).sum() / mean
    assert 1 / np.mean(1 / (1 - np.array(seeds))) == pytest.approx(expected, abs=0.005)


def test_batches_reach_into_the_next_epoch():
    size = np.array([[2.0, 1.0], [1.0, 2.0]])
    # Two images four times: one batch, which holds both shapes
    found = simulate_batch_padding(size, np.arange(2), batch_size=8, epochs=4)
    assert found.random == 0.5
    assert found.grouped == 0


def test_pads_to_multiples():
    found = simulate_batch_padding(np.array([[33.0, 32.0]]), multiple=32)
    assert found.random == pytest.approx(1 - 33 / 64)


def test_saving_is_of_all_pixels():
    # 100 image pixels: 200 pixels at random, 125 in groups
    assert BatchPadding(random=0.5, grouped=0.2).saving == pytest.approx(75 / 200)


def test_equal_inputs_have_nothing_to_save():
    size = np.random.default_rng(0).integers(100, 900, (50, 2)).astype(float)
    groups = aspect_group(size[:, 0] / size[:, 1])
    for policy in ("letterbox 640", "stretch 300x200"):
        found = simulate_batch_padding(ResizePolicy.parse(policy).canvas(size), groups)
        assert found == BatchPadding(0, 0)
        assert found.saving == 0


def test_a_seed_gives_the_same_batches():
    size = np.random.default_rng(0).integers(100, 900, (50, 2)).astype(float)
    first, again, other = (
        simulate_batch_padding(size, epochs=1, seed=seed).random for seed in (1, 1, 2)
    )
    assert first == again != other


def test_no_images_have_no_padding():
    assert simulate_batch_padding(np.zeros((0, 2))) == BatchPadding(0, 0)


@pytest.mark.parametrize("wrong", ["batch_size", "multiple", "epochs"])
def test_says_that_a_number_is_too_small(wrong):
    with pytest.raises(CocoAuditError, match="must be 1 or more"):
        simulate_batch_padding(np.ones((1, 2)), **{wrong: 0})
