"""What drives failure: against scikit-learn, and on detectors of known drivers."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from fiftyone_coco_audit.evaluation.analysis.bootstrap import image_draws
from fiftyone_coco_audit.evaluation.analysis.drivers import Driver, Explained, explain
from fiftyone_coco_audit.evaluation.analysis.logistic import (
    Trials,
    regress,
)
from fiftyone_coco_audit.evaluation.failure_drivers import covered_share
from fiftyone_coco_audit.objects import Objects

NUM_DRAWS = 4


def simulated(num_images: int = 300, seed: int = 0) -> dict[str, NDArray]:
    """Objects of a detector to whom only the size matters, also if classes differ.

    The rare class is small, so a model of the class alone takes it for hard.
    """
    generator = np.random.default_rng(seed)
    image = np.sort(generator.integers(num_images, size=10 * num_images))
    rare = generator.random(len(image)) < 0.2
    size = np.exp(generator.normal(np.where(rare, 3, 4.2), 0.6))
    chance = 1 / (1 + np.exp(-2 * (np.log(size) - 3.6)))
    return {
        "image": image,
        "found": generator.random(len(image)) < chance,
        "size": size,
        "rare": rare,
        "noise": generator.normal(size=len(image)),
    }


def drivers_of(made: dict[str, NDArray]) -> list[Driver]:
    frequency = np.where(made["rare"], made["rare"].sum(), (~made["rare"]).sum())
    return [
        Driver("noise", made["noise"]),
        Driver("class_frequency", frequency.astype(float)),
        Driver("input_size", made["size"]),
    ]


def explained(made: dict[str, NDArray], num_draws: int = 40) -> Explained:
    return explain(
        "recall",
        made["found"],
        made["image"],
        drivers_of(made),
        num_images=int(made["image"].max()) + 1,
        num_draws=num_draws,
    )


@pytest.fixture(scope="module")
def trials() -> Trials:
    made = simulated(60)
    bins = [driver.bins(4) for driver in drivers_of(made)]
    return Trials(
        event=made["found"],
        group=made["image"],
        bins=np.array([place for _, place in bins]).T,
        num_bins=[len(names) for names, _ in bins],
        num_groups=60,
    )


def one_hot(trials: Trials, without: int | None = None) -> NDArray[np.float64]:
    """The values of the variables, a row for each trial."""
    return np.hstack(
        [
            np.eye(num)[trials.bins[:, j]]
            for j, num in enumerate(trials.num_bins)
            if j != without
        ]
    )


def peer() -> LogisticRegression:
    return LogisticRegression(solver="newton-cholesky", tol=1e-10)


def test_coefficients_and_margins_equal_scikit_learn(trials: Trials) -> None:
    ours = trials.model(range(3))
    events, total = ours.merged(*trials.count(np.ones(60, int)))
    beta = ours.fit(events, total)
    table = one_hot(trials)
    model = peer().fit(table, trials.event)
    np.testing.assert_allclose(beta[0], model.intercept_[0], atol=1e-4)
    np.testing.assert_allclose(beta[1:], model.coef_[0], atol=1e-4)
    for j, num in enumerate(trials.num_bins):
        first = sum(trials.num_bins[:j])
        for bin_ in range(num):
            moved = table.copy()
            moved[:, first : first + num] = np.eye(num)[bin_]
            np.testing.assert_allclose(
                ours.held_fixed(beta, total, j)[bin_],
                model.predict_proba(moved)[:, 1].mean(),
                atol=1e-5,
            )


def test_explained_deviance_equals_refitting_with_scikit_learn(trials: Trials) -> None:
    def losses(weights: NDArray[np.int64]) -> list[float]:
        weight = weights[trials.group]

        def loss(table: NDArray[np.float64]) -> float:
            model = peer().fit(table, trials.event, sample_weight=weight)
            chance = model.predict_proba(table)[:, 1]
            return log_loss(trials.event, chance, sample_weight=weight)

        rate = np.average(trials.event, weights=weight)
        null = log_loss(trials.event, np.full(len(weight), rate), sample_weight=weight)
        variables = range(len(trials.num_bins))
        tables = [one_hot(trials)]
        tables += [one_hot(trials, without=j) for j in variables]
        tables += [np.eye(trials.num_bins[j])[trials.bins[:, j]] for j in variables]
        return [loss(table) / null for table in tables]

    table = np.array(
        [losses(np.ones(60, int)), *map(losses, image_draws(60, NUM_DRAWS))]
    )
    found = regress(trials, NUM_DRAWS)
    for expected, ours in (
        (1 - table[:, 0], found.together),
        (table[:, 1:4] - table[:, :1], found.explained),
        (1 - table[:, 4:], found.alone),
    ):
        bias = expected[1:].mean(axis=0) - expected[0]
        np.testing.assert_allclose(ours, expected[1:] - 2 * bias, atol=1e-6)
        np.testing.assert_allclose(ours.mean(axis=0), expected[0] - bias, atol=1e-6)


def test_size_is_found_and_the_class_that_goes_with_it_is_not() -> None:
    many = [explained(simulated(seed=seed), 30) for seed in range(10)]
    wrong, apart = 0, []
    for found in many:
        ranking = found.ranking
        assert ranking.index[0] == "input_size"
        assert ranking["low"].iloc[0] > 0.08
        # By itself, the class seems to matter
        assert ranking.loc["class_frequency", "alone"] > 0.08
        assert (ranking["explained"].iloc[1:] < 0.01).all()
        wrong += (ranking["low"].iloc[1:] > 0).sum()
        bins = found.bins["class_frequency"]
        assert np.ptp(bins["rate"]) > 0.3
        apart.append(np.diff(bins["held_fixed"]).item())
    assert abs(np.mean(apart)) < 0.05
    # Of 95% intervals, 1 in 40 is above 0 by chance
    assert wrong <= 2
    lines = many[0].sentences()
    assert "No effect of their own is shown by: noise and class_frequency." in lines
    assert any("where `input_size` is " in line for line in lines)


@pytest.mark.slow
def test_intervals_hold_the_truth_where_images_differ() -> None:
    """Images are hard or easy, so objects of one image are found or missed alike."""

    def ranking(seed: int, num_images: int, num_draws: int) -> NDArray[np.float64]:
        generator = np.random.default_rng(seed)
        image = np.sort(generator.integers(num_images, size=8 * num_images))
        size = generator.normal(size=len(image))
        hard = generator.normal(size=num_images)[image]
        chance = 1 / (1 + np.exp(-0.7 * size - hard))
        found = explain(
            "recall",
            generator.random(len(image)) < chance,
            image,
            [
                Driver("size", size),
                Driver("of_images", generator.normal(size=num_images)[image]),
                Driver("of_objects", generator.normal(size=len(image))),
            ],
            num_images=num_images,
            num_draws=num_draws,
        )
        rows = found.ranking.loc[["size", "of_images", "of_objects"]]
        return rows[["explained", "low", "high"]].to_numpy()

    truth = ranking(0, 5_000, 3)[0, 0]
    samples = np.array([ranking(seed, 100, 40) for seed in range(1, 17)])
    explained_, low, high = np.moveaxis(samples, 2, 0)
    assert explained_.mean(axis=0) == pytest.approx([truth, 0, 0], abs=0.01)
    assert ((low[:, 0] < truth) & (truth < high[:, 0])).mean() >= 0.8
    assert (low[:, 1:] > 0).mean(axis=0).max() <= 0.05


def test_scores_are_held_fixed_and_not_ranked() -> None:
    """Large boxes are only more precise because their scores are higher."""
    generator = np.random.default_rng(0)
    image = np.sort(generator.integers(200, size=4000))
    score = generator.random(len(image))
    right = generator.random(len(image)) < score
    size = score + generator.normal(scale=0.3, size=len(image))

    def ranking(*drivers: Driver) -> NDArray[np.float64]:
        made = explain("precision", right, image, drivers, num_images=200, num_draws=30)
        assert made.ranking.index.tolist() == ["input_size"]
        assert list(made.bins) == ["input_size"]
        return made.ranking.loc["input_size", ["explained", "low"]].to_numpy()

    sizes = Driver("input_size", size)
    assert ranking(sizes)[1] > 0.05
    share, low = ranking(sizes, Driver("score", score, ranked=False))
    assert low <= 0 and share < 0.005


def test_rates_of_bins_are_counted() -> None:
    made = simulated(40)
    made["size"][made["size"] > 60] = np.nan
    bins = explained(made, 20).bins["input_size"]
    unknown = np.isnan(made["size"])
    assert bins.index[-1] == "(none)"
    assert bins["count"].sum() == len(unknown)
    assert bins.loc["(none)", "count"] == unknown.sum()
    assert bins.loc["(none)", "rate"] == pytest.approx(made["found"][unknown].mean())
    assert (bins["low"] <= bins["rate"]).all() and (bins["rate"] <= bins["high"]).all()


def test_values_are_divided_into_bins() -> None:
    nan = np.nan

    def of(values: list[float], most: int = 4, flag: bool = False) -> tuple[list, list]:
        names, place = Driver("x", np.array(values, float), flag).bins(most)
        return names, place.tolist()

    assert of([1, 2, 3, 4], 2) == (["1 to 2", "3 to 4"], [0, 0, 1, 1])
    # Most objects are not covered by others
    assert of([0, 0, 0, 0, 0, 0.25, 0.5]) == (["0", "0.25 to 0.5"], [0] * 5 + [1, 1])
    assert of([0, 1, nan], flag=True) == (["no", "yes", "(none)"], [0, 1, 2])
    assert of([7, 7, nan]) == (["7", "(none)"], [0, 0, 1])
    assert of([7, 7]) == (["7"], [0, 0])
    assert of([nan]) == (["(none)"], [0])
    assert of([]) == ([], [])
    assert of([1234.5, 1e6], 2)[0] == ["1,230", "1,000,000"]
    for lowest in range(1, 100):  # there always are two bins
        assert len(of([0] * lowest + [1] * (100 - lowest), 2)[0]) == 2


def test_thin_data_are_not_ranked() -> None:
    made = simulated(12)
    found = explained(made, 10)
    assert found.ranking.isna().all(axis=None)
    (note,) = found.sentences()
    assert "too few data to rank what drives recall" in note
    assert "at least 20 images" in note
    bins = found.bins["input_size"]
    assert bins["rate"].notna().all() and bins["held_fixed"].isna().all()

    none = {key: values[:0] for key, values in made.items()}
    empty = explain(
        "recall",
        none["found"],
        none["image"],
        drivers_of({**none, "rare": none["found"]}),
        num_images=0,
        num_draws=3,
    )
    assert np.isnan(empty.rate) and empty.ranking.empty and not empty.bins


def test_drivers_of_one_value_are_named() -> None:
    made = simulated(100)
    drivers = [*drivers_of(made), Driver("anchor_iou", np.full(1000, np.nan))]
    found = explain(
        "recall", made["found"], made["image"], drivers, num_images=100, num_draws=5
    )
    assert "anchor_iou" not in found.ranking.index
    assert found.notes == ("The same for every object: anchor_iou.",)
    alike = [Driver("input_size", np.full(1000, 20.0))]
    found = explain(
        "recall", made["found"], made["image"], alike, num_images=100, num_draws=5
    )
    assert found.sentences() == ["The same for every object: input_size."]


def test_the_largest_share_that_another_box_covers() -> None:
    box = [[0, 0, 10, 10], [5, 0, 10, 10], [0, 9, 10, 10], [0, 0, 10, 10]]
    objects = Objects(
        image=np.array([0, 0, 0, 1]),
        category=np.zeros(4, int),
        box=np.array(box, float),
        area=np.full(4, 100.0),
        crowd=np.zeros(4, bool),
    )
    np.testing.assert_allclose(covered_share(objects), [0.5, 0.5, 0.1, 0])
