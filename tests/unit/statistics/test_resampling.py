import json
import os

import numpy as np
import pytest

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.statistics.classes import ClassStatistics, Imbalance
from fiftyone_coco_audit.statistics.resampling import (
    NO_CLASS,
    ResamplingEffect,
    default_threshold,
    effective_number_weights,
    inverse_frequency_weights,
    repeat_factors,
    save_sampler_weights,
)
from tests.labeled import labeled

BOX = [0, 0, 10, 10]


def scene(shown, classes=None):
    """The classes of images, from the names of the objects in each."""
    rows = [(image, name, BOX) for image, names in enumerate(shown) for name in names]
    return ClassStatistics(labeled([(100, 100)] * len(shown), rows, classes))


# A toaster in 1 of 16 images, with two people there; people in 3 more; cats in 8
KITCHEN = scene(
    [["toaster", "person", "person"], *[["person"]] * 3, *[["cat"]] * 8, *[[]] * 4],
    ["person", "toaster", "cat", "dog"],
)


def random_scene(seed=0, num_images=40, num_classes=8):
    rng = np.random.default_rng(seed)
    names = [f"c{n}" for n in range(num_classes)]
    weights = 1 / np.arange(1, num_classes + 1) ** 1.5
    return scene(
        [
            rng.choice(names, rng.integers(0, 5), p=weights / weights.sum())
            for _ in range(num_images)
        ],
        names,
    )


def reference_factors(classes, threshold, exponent):
    """The definition, image by image."""
    shown = classes.presence.table.toarray() > 0
    category = [
        max(1.0, (threshold / share) ** exponent) if share else 1.0
        for share in shown.mean(axis=0)
    ]
    image = [
        max((category[c] for c in np.flatnonzero(row)), default=1.0) for row in shown
    ]
    return category, image


def test_repeat_factors_by_hand():
    factors = repeat_factors(KITCHEN.presence, threshold=0.25)
    # f = 1/4, 1/16, 1/2 and none
    assert factors.category.tolist() == [1, 2, 1, 1]
    assert factors.image.tolist() == [2] + [1] * 15
    assert factors.source.tolist() == [1] + [NO_CLASS] * 15


@pytest.mark.parametrize("exponent", [0, 0.5, 1])
@pytest.mark.parametrize("threshold", [0, 0.05, 0.3, 1])
def test_repeat_factors_agree_with_the_definition(threshold, exponent):
    classes = random_scene()
    factors = repeat_factors(classes.presence, threshold, exponent)
    category, image = reference_factors(classes, threshold, exponent)
    np.testing.assert_allclose(factors.category, category)
    np.testing.assert_allclose(factors.image, image)
    repeated = factors.source != NO_CLASS
    assert (repeated == (factors.image > 1)).all()
    np.testing.assert_array_equal(
        factors.category[factors.source[repeated]], factors.image[repeated]
    )
    shown = classes.presence.table.toarray() > 0
    assert shown[np.flatnonzero(repeated), factors.source[repeated]].all()


def test_first_of_equally_rare_classes_is_the_source():
    classes = scene([["b", "a"], *[[]] * 9])
    assert repeat_factors(classes.presence, 0.5).source[0] == 0


@pytest.mark.parametrize(
    ("threshold", "exponent", "words"),
    [
        (1.5, 0.5, "not a share of images"),
        (-0.1, 0.5, "not a share of images"),
        (np.nan, 0.5, "not a share of images"),
        (0.1, -1, "favor common"),
        (0.1, np.inf, "favor common"),
    ],
)
def test_impossible_settings_are_refused(threshold, exponent, words):
    with pytest.raises(CocoAuditError, match=words):
        repeat_factors(KITCHEN.presence, threshold, exponent)


def test_effect_by_hand():
    effect = ResamplingEffect(KITCHEN, threshold=0.25)
    assert effect.epoch_length == 17
    assert effect.epoch_growth == 17 / 16
    assert effect.images_after.tolist() == [5, 2, 8, 0]
    assert effect.objects_after.tolist() == [7, 2, 8, 0]
    assert effect.image_gain.tolist() == [1.25, 2, 1, 1]
    assert effect.object_gain.tolist() == [1.4, 2, 1, 1]
    assert effect.imbalance_after == Imbalance.of([7, 2, 8])
    additional = np.zeros((4, 4))
    additional[1, [0, 1]] = 1
    assert effect.additional_images.tolist() == additional.tolist()
    assert effect.raised_through.tolist() == [1, 1, NO_CLASS, NO_CLASS]


def test_side_effects_name_the_class_behind_them():
    (found,) = ResamplingEffect(KITCHEN, threshold=0.25).side_effects()
    assert str(found) == "raising `toaster` 2x raises `person` 1.2x"
    assert (found.name, found.through) == ("person", "toaster")
    assert (found.gain, found.through_gain, found.through_share) == (1.25, 2, 1)
    assert ResamplingEffect(KITCHEN, 0.25).side_effects(min_gain=1.3) == []


def test_side_effects_are_due_to_the_class_that_repeats_most():
    # f: a 1/16, b 2/16, person 8/16; r: 2, sqrt(2), 1; 1 additional image by a,
    # 2 * .414 by b
    shown = [["a", "person"], *[["b", "person"]] * 2, *[["person"]] * 5, *[[]] * 8]
    (found,) = ResamplingEffect(scene(shown), threshold=0.25).side_effects()
    more = 2 * (2**0.5 - 1)
    assert found.through == "a"
    assert found.through_share == pytest.approx(1 / (1 + more))
    assert str(found) == "raising `a` 2x raises `person` 1.2x"
    assert found.gain == pytest.approx(1 + (1 + more) / 8)


def test_side_effects_of_many_classes_name_the_first():
    # Each of a, b and c in 1 of 16 images: r is 2; people in these and 1 more
    shown = [["a", "person"], ["b", "person"], ["c", "person"], ["person"], *[[]] * 12]
    (found,) = ResamplingEffect(scene(shown), threshold=0.25).side_effects()
    assert found.through_share == pytest.approx(1 / 3)
    assert str(found) == "raising `a` 2x and others raises `person` 1.8x"


@pytest.mark.parametrize("seed", range(3))
def test_additional_images_add_up(seed):
    effect = ResamplingEffect(random_scene(seed), threshold=0.5)
    np.testing.assert_allclose(
        effect.classes.images + effect.additional_images.sum(axis=0),
        effect.images_after,
    )
    rare = effect.factors.category > 1
    assert (effect.image_gain >= effect.factors.category * (1 - 1e-12)).all()
    assert rare.any() and not effect.additional_images[~rare].any()
    raised = effect.raised()
    assert not rare[raised].any()
    assert [e.name for e in effect.side_effects()] == list(
        effect.classes.names_of(raised)
    )


def test_expectations_agree_with_a_sampler():
    """Stochastic rounding, as detectron2's sampler does it, drawn 4,000 times."""
    classes = random_scene(7)
    effect = ResamplingEffect(classes, threshold=0.4)
    rng = np.random.default_rng(0)
    whole = np.floor(effect.factors.image)
    rest = effect.factors.image - whole
    assert (rest > 0).any()
    times = whole + (rng.random((4000, len(rest))) < rest)
    table = np.zeros((len(rest), len(classes.objects)))
    np.add.at(
        table,
        (classes.labeled.objects.image, classes.labeled.objects.category),
        1,
    )
    for expected, drawn in (
        (effect.objects_after, times @ table),
        (effect.images_after, times @ (table > 0)),
        (effect.epoch_length, times.sum(axis=1)),
    ):
        error = np.abs(drawn.mean(axis=0) - expected)
        assert (error <= 4.5 * drawn.std(axis=0) / len(times) ** 0.5 + 1e-9).all()


def test_weighted_draws_have_the_same_expectations():
    """A WeightedRandomSampler draws images with replacement by their weights."""
    classes = random_scene(7)
    effect = ResamplingEffect(classes, threshold=0.4)
    chance = effect.factors.image / effect.factors.image.sum()
    drawn = np.random.default_rng(0).choice(len(chance), 200_000, p=chance)
    shown = classes.presence.table.toarray()[drawn].mean(axis=0)
    expected = effect.images_after / effect.epoch_length
    tolerance = 4.5 * np.sqrt(expected * (1 - expected) / len(drawn)) + 1e-9
    assert (np.abs(shown - expected) <= tolerance).all()


def test_frame():
    frame = ResamplingEffect(KITCHEN, threshold=0.25).to_frame()
    assert frame.index.tolist() == ["person", "toaster", "cat", "dog"]
    assert frame["raised_through"].tolist() == ["toaster", "toaster", "", ""]
    assert frame["factor"].tolist() == [1, 2, 1, 1]
    assert frame["images_after"].tolist() == [5, 2, 8, 0]
    assert frame["object_gain"].tolist() == [1.4, 2, 1, 1]


@pytest.mark.parametrize("exponent", [0.25, 0.5, 1, 2])
def test_default_threshold_keeps_its_limit_at_any_exponent(exponent):
    rows = [(n, "ab"[n % 2], [0, 0, 9, 9]) for n in range(1000)]
    images = labeled([(64, 48)] * 1000, [*rows, (0, "rare", [9, 9, 9, 9])])
    classes = ClassStatistics(images)
    threshold = default_threshold(classes.presence, exponent=exponent)
    factors = ResamplingEffect(classes, threshold, exponent).factors.image
    assert factors.max() <= 10 * (1 + 1e-9)


def test_default_threshold_is_the_median():
    # Images with each class: 1, 4 and 8 of 16
    assert default_threshold(KITCHEN.presence) == 4 / 16


def test_default_threshold_repeats_classes_that_are_rarest_together():
    # Images with each class: 1, 1, 1 and 8 of 10
    classes = scene([["a", "b", "c"], *[["d"]] * 8, []])
    threshold = default_threshold(classes.presence)
    assert threshold == 8 / 10
    repeated = repeat_factors(classes.presence, threshold).category > 1
    assert repeated.tolist() == [True, True, True, False]
    # All are as rare: there is nothing to be gained
    assert default_threshold(scene([["a"], ["b"], []]).presence) == 1 / 3


def test_default_threshold_spares_the_rarest():
    classes = scene([["rare"], *[["a", "b"]] * 999])
    threshold = default_threshold(classes.presence, max_factor=5)
    assert threshold == pytest.approx(25 / 1000)
    factors = repeat_factors(classes.presence, threshold)
    assert factors.category.max() == pytest.approx(5)


@pytest.mark.parametrize("shown", [[], [[]]])
def test_sets_without_objects(shown):
    classes = scene(shown, ["a"])
    effect = ResamplingEffect(classes, default_threshold(classes.presence))
    assert effect.threshold == 0
    assert effect.epoch_length == len(shown)
    assert effect.epoch_growth == 1
    assert effect.image_gain.tolist() == [1]
    assert effect.side_effects() == []
    assert effect.to_frame()["raised_through"].tolist() == [""]


def test_sets_without_classes():
    effect = ResamplingEffect(scene([[]], []), 0.5)
    assert effect.side_effects() == [] and len(effect.to_frame()) == 0


def test_inverse_frequency_weights():
    # 1/1, 1/2, 1/4 over their mean of 7/12; a class without objects stays neutral
    np.testing.assert_allclose(
        inverse_frequency_weights([1, 0, 2, 4]), [12 / 7, 1, 6 / 7, 3 / 7]
    )


def test_effective_number_weights():
    beta = 0.999
    counts = [1, 10, 1000, 100_000]
    # The sum of the series is what the closed form stands for
    effective = np.array([sum(beta**n for n in range(count)) for count in counts])
    found = effective_number_weights(counts, beta)
    np.testing.assert_allclose(found, 1 / effective / np.mean(1 / effective))
    assert effective_number_weights([5, 0, 50], beta=0).tolist() == [1, 1, 1]
    near = effective_number_weights([5, 50], beta=1 - 1e-9)
    np.testing.assert_allclose(near, inverse_frequency_weights([5, 50]), rtol=1e-6)


@pytest.mark.parametrize(
    "weights", [inverse_frequency_weights, effective_number_weights]
)
def test_weights_of_classes_without_objects(weights):
    assert weights([]).tolist() == []
    assert weights([0, 0]).tolist() == [1, 1]
    assert weights([3, 0, 1])[[0, 2]].mean() == pytest.approx(1)


@pytest.mark.parametrize("beta", [1, -0.1, np.nan])
def test_impossible_beta_is_refused(beta):
    with pytest.raises(CocoAuditError, match="beta of the class weights"):
        effective_number_weights([1, 2], beta)


def test_saved_weights_are_what_a_sampler_takes(tmp_path):
    effect = ResamplingEffect(random_scene(3), threshold=0.4)
    weights = effect.factors.image
    path = save_sampler_weights(
        tmp_path / "weights.json", effect.classes.labeled.filepaths, weights
    )
    plan = json.loads(path.read_text())
    assert plan["filepaths"] == list(effect.classes.labeled.filepaths)
    # torch.as_tensor(weights, dtype=torch.double) and an int of at least 1
    assert all(isinstance(weight, float) for weight in plan["weights"])
    assert plan["weights"] == weights.tolist()
    assert plan["num_samples"] == round(weights.sum())
    assert type(plan["num_samples"]) is int
    assert os.listdir(tmp_path) == ["weights.json"]


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ([1.0], "1 weights for 2 images"),
        ([1.0, np.nan], "finite and not negative"),
        ([1.0, -1.0], "finite and not negative"),
        ([0.0, 0.0], "more than 0"),
    ],
)
def test_weights_that_no_sampler_takes_are_refused(tmp_path, weights, words):
    with pytest.raises(CocoAuditError, match=words):
        save_sampler_weights(tmp_path / "weights.json", ["a.jpg", "b.jpg"], weights)
    assert os.listdir(tmp_path) == []


def test_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "weights.json"
    path.write_text("before")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(CocoAuditError, match="No space left on device"):
        save_sampler_weights(path, ["a.jpg"], [1.0])
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["weights.json"]


def test_write_into_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(CocoAuditError, match="cannot be written"):
        save_sampler_weights(tmp_path / "none" / "weights.json", ["a.jpg"], [1.0])
