from pathlib import Path

import numpy as np
import pytest
from scipy.stats import entropy, pearsonr, spearmanr
from sklearn.metrics import mutual_info_score

from fiftyone_coco_audit.statistics.classes import (
    ClassStatistics,
    Correlation,
    Imbalance,
    Presence,
)
from tests.labeled import labeled, read_labeled

BOX = [0, 0, 10, 10]


def scene(shown, classes=None):
    """A set of images from the names of the objects in each."""
    rows = [(image, name, BOX) for image, names in enumerate(shown) for name in names]
    return labeled([(100, 100)] * len(shown), rows, classes)


def random_scene(seed=0, num_images=60, classes="abcdefgh"):
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(1, len(classes) + 1)
    return scene(
        [
            rng.choice(list(classes), rng.integers(0, 6), p=weights / weights.sum())
            for _ in range(num_images)
        ],
        list(classes),
    )


def dense(found):
    """Objects of each class in each image, by a loop."""
    table = np.zeros((len(found), len(found.classes)), int)
    for image, category in zip(
        found.objects.image, found.objects.category, strict=True
    ):
        table[image, category] += 1
    return table


# Three images: two cats and a dog; a cat; nothing. A class without objects.
PETS = scene([["cat", "cat", "dog"], ["cat"], []], ["dog", "bird", "cat"])


def test_presence_has_a_row_for_each_image_and_class():
    presence = Presence.of(PETS)
    assert presence.image.tolist() == [0, 0, 1]
    assert presence.category.tolist() == [0, 2, 2]
    assert presence.num_objects.tolist() == [1, 2, 1]
    assert (presence.num_images, presence.num_classes) == (3, 3)
    assert presence.table.toarray().tolist() == [[1, 0, 1], [0, 0, 1], [0, 0, 0]]
    assert presence.per_class().tolist() == [1, 0, 2]
    assert presence.per_class(presence.num_objects).tolist() == [1, 0, 3]


def test_counts_by_hand():
    classes = ClassStatistics(PETS)
    assert classes.objects.tolist() == [1, 0, 3]
    assert classes.images.tolist() == [1, 0, 2]
    assert classes.share.tolist() == [0.25, 0, 0.75]
    assert classes.images_alone.tolist() == [0, 0, 1]
    assert classes.never_alone.tolist() == [True, False, False]
    assert classes.cooccurrence.tolist() == [[1, 0, 1], [0, 0, 0], [1, 0, 2]]
    assert classes.always_with.tolist() == [
        [False, False, True],
        [False, False, False],
        [False, False, False],
    ]
    # P(dog, cat) = 1/3, P(dog) = 1/3, P(cat) = 2/3
    assert classes.lift[0, 2] == pytest.approx((1 / 3) / (1 / 3 * 2 / 3))
    assert np.isnan(classes.lift[1]).all() and np.isnan(classes.lift[:, 1]).all()


@pytest.mark.parametrize("seed", range(3))
def test_counts_agree_with_a_full_table(seed):
    found = random_scene(seed)
    classes, table = ClassStatistics(found), dense(found)
    shown = table > 0
    together = shown.T.astype(int) @ shown
    assert classes.objects.tolist() == table.sum(axis=0).tolist()
    assert classes.images.tolist() == shown.sum(axis=0).tolist()
    assert (classes.cooccurrence == together).all()
    assert (classes.presence.table.toarray() == shown).all()
    alone = shown & (shown.sum(axis=1) == 1)[:, None]
    assert classes.images_alone.tolist() == alone.sum(axis=0).tolist()
    rate = shown.mean(axis=0)
    np.testing.assert_allclose(
        classes.lift, together / len(found) / np.outer(rate, rate)
    )
    for one in range(len(found.classes)):
        for other in range(len(found.classes)):
            always = bool(shown[shown[:, one], other].all()) and one != other
            assert classes.always_with[one, other] == always


@pytest.mark.parametrize("seed", range(3))
def test_pairs_that_occur_agree_with_the_full_tables(seed):
    classes = ClassStatistics(random_scene(seed))
    pairs, together = classes.pairs, classes.cooccurrence
    upper = np.triu(together, 1)
    assert (np.argwhere(upper) == np.stack([pairs.first, pairs.second], 1)).all()
    assert pairs.images.tolist() == upper[upper > 0].tolist()
    assert (np.argwhere(classes.always_with) == classes.never_apart()).all()
    for row in range(len(together)):
        assert classes.images_with(row).tolist() == together[row].tolist()
    some = np.array([2, 0])
    assert (classes.cooccurrence_among(some) == together[np.ix_(some, some)]).all()
    np.testing.assert_array_equal(
        classes.lift_among(some), classes.lift[np.ix_(some, some)]
    )


def test_lift_says_how_far_classes_depend_on_each_other():
    # Mutual information is the mean log-lift of all four combinations
    found = random_scene(5, 200, "ab")
    classes, shown = ClassStatistics(found), dense(found) > 0
    joint = classes.cooccurrence[0, 1] / len(found)
    rate = classes.images / len(found)
    cells = [
        (joint, rate[0] * rate[1]),
        (rate[0] - joint, rate[0] * (1 - rate[1])),
        (rate[1] - joint, (1 - rate[0]) * rate[1]),
        (1 - rate.sum() + joint, (1 - rate[0]) * (1 - rate[1])),
    ]
    assert classes.lift[0, 1] == pytest.approx(cells[0][0] / cells[0][1])
    information = sum(p * np.log(p / q) for p, q in cells)
    assert information == pytest.approx(mutual_info_score(*shown.T))


def test_imbalance_by_hand():
    found = Imbalance.of([6, 0, 3, 3])
    assert found.ratio == 2
    # H = 1/2 ln 2 + 2 * 1/4 ln 4 = 3/2 ln 2
    assert found.effective_classes == pytest.approx(2**1.5)
    assert found.inverse_simpson == pytest.approx(1 / (1 / 4 + 1 / 16 + 1 / 16))
    assert found.entropy == pytest.approx(1.5 * np.log(2) / np.log(3))


def test_imbalance_agrees_with_scipy():
    counts = np.random.default_rng(0).integers(1, 1000, 50)
    found = Imbalance.of(counts)
    assert found.effective_classes == pytest.approx(np.exp(entropy(counts)))
    assert found.entropy == pytest.approx(entropy(counts, base=50))


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([], Imbalance(1, 0, 0, 1)),
        ([0, 0], Imbalance(1, 0, 0, 1)),
        ([7, 0], Imbalance(1, 1, 1, 1)),
    ],
)
def test_imbalance_without_classes_to_compare(counts, expected):
    assert Imbalance.of(counts) == expected


def test_equal_classes_are_all_effective():
    found = Imbalance.of([5] * 8)
    assert found.effective_classes == pytest.approx(8)
    assert found.inverse_simpson == pytest.approx(8)
    assert found.entropy == pytest.approx(1)


def test_tail_is_below_half_of_an_equal_share():
    # 100 objects of four classes: an equal share is 25, half of it 12.5
    counts = {"a": 60, "b": 15, "c": 13, "d": 12, "e": 0}
    classes = ClassStatistics(
        scene([[n] * k for n, k in counts.items()], list("abcde"))
    )
    assert classes.names_of(classes.tail) == ("d",)
    assert classes.names_of(classes.head) == ("a",)


def test_head_is_the_fewest_classes_that_hold_half():
    classes = ClassStatistics(scene([["a"] * 4, ["b"] * 3, ["c"] * 3, ["d"] * 2]))
    assert classes.names_of(classes.head) == ("a", "c")
    exactly_half = ClassStatistics(scene([["a"] * 5, ["b"] * 3, ["c"] * 2]))
    assert exactly_half.names_of(exactly_half.head) == ("a",)


def test_rows_and_names_of_classes():
    classes = ClassStatistics(PETS)
    assert classes.rows_of([2]).tolist() == [0, 1, 3]
    assert classes.rows_of([]).tolist() == []
    assert classes.names_of(np.array([2, 0])) == ("cat", "dog")
    assert classes.by_count(classes.objects >= 0).tolist() == [1, 0, 2]


def test_mean_area_and_its_correlation_with_count():
    rng = np.random.default_rng(1)
    names = [f"c{n}" for n in range(9)]
    rows = [
        (0, name, [0, 0, side, rng.integers(1, 50)])
        for index, name in enumerate(names)
        for side in rng.integers(1, 60, index % 5 + 1)
    ]
    classes = ClassStatistics(labeled([(100, 100)], rows, [*names, "none"]))
    areas = [
        np.mean([row[2][2] * row[2][3] for row in rows if row[1] == name])
        for name in names
    ]
    np.testing.assert_allclose(classes.mean_area[:-1], areas)
    assert np.isnan(classes.mean_area[-1])
    found = classes.size_count_correlation
    counts = [index % 5 + 1 for index in range(9)]
    rank = spearmanr(counts, areas)
    assert found.num_classes == 9
    assert found.spearman == pytest.approx(rank.statistic)
    assert found.p_value == pytest.approx(rank.pvalue)
    assert found.pearson == pytest.approx(
        pearsonr(np.log(counts), np.log(areas)).statistic
    )


@pytest.mark.parametrize(
    ("first", "second", "count"),
    [
        ([], [], 0),
        ([1, 2], [1, 2], 2),
        ([3, 3, 3], [1, 2, 3], 3),
        ([1, 2, 0], [1] * 3, 2),
    ],
)
def test_correlation_that_is_not_defined(first, second, count):
    found = Correlation.of(first, second)
    assert np.isnan([found.spearman, found.p_value, found.pearson]).all()
    assert found.num_classes == count


def test_frame_is_in_the_order_of_the_dataset():
    frame = ClassStatistics(PETS).to_frame()
    assert frame.index.tolist() == ["dog", "bird", "cat"]
    assert frame.index.name == "class"
    assert frame.loc["cat", "objects_per_image"] == 1.5
    assert frame.loc["cat", "mean_area"] == 100
    assert frame["images"].tolist() == [1, 0, 2]
    assert frame["never_alone"].tolist() == [True, False, False]
    assert frame.loc["bird", ["objects_per_image", "mean_area"]].isna().all()


@pytest.mark.parametrize(
    ("num_images", "classes"), [(0, []), (0, ["a"]), (2, []), (2, ["a", "b"])]
)
def test_sets_without_objects(num_images, classes):
    found = ClassStatistics(labeled([(10, 10)] * num_images, [], classes))
    count = len(classes)
    assert found.objects.tolist() == found.images.tolist() == [0] * count
    assert found.share.tolist() == [0] * count
    assert found.cooccurrence.shape == found.lift.shape == (count, count)
    assert not found.always_with.any() and not found.never_alone.any()
    assert len(found.tail) == len(found.head) == 0
    assert found.size_count_correlation.num_classes == 0
    assert len(found.to_frame()) == count


def test_1200_classes():
    names = [f"c{n}" for n in range(1200)]
    found = ClassStatistics(scene([names[n : n + 3] for n in range(1198)], names))
    assert found.cooccurrence.shape == (1200, 1200)
    # Each triple of neighbors meets once, so pairs of neighbors meet twice
    assert found.cooccurrence[500, 498:503].tolist() == [1, 2, 3, 2, 1]
    assert found.lift[500, 501] == pytest.approx(2 * 1198 / 9)
    assert not found.never_alone[found.images == 0].any()


@pytest.mark.real_data
def test_real_data_agree_with_a_full_table(shared_data: Path):
    found, _, _ = read_labeled(shared_data / "coco_mini" / "annotations.json")
    classes, shown = ClassStatistics(found), dense(found) > 0
    assert (classes.cooccurrence == shown.T.astype(int) @ shown).all()
    assert classes.objects.sum() == len(found.objects)


def test_equal_classes_are_said_to_be_equal():
    from tests.labeled import statistics_of

    rows = [(0, name, [10, 10, 50, 50]) for name in ("cat", "dog")]
    said = statistics_of(labeled([(640, 480)], rows)).sentences()[-1]
    assert said == "2 classes have objects, the same number each."
    rows.append((0, "cat", [70, 70, 50, 50]))
    said = statistics_of(labeled([(640, 480)], rows)).sentences()[-1]
    assert "the most common has 2 times as many as the rarest" in said
