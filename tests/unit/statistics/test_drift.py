from itertools import count
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chi2_contingency, ks_2samp
from scipy.stats.contingency import association

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.objects import LabeledImages
from fiftyone_coco_audit.statistics.drift import (
    PROPERTIES,
    Comparison,
    cramers_v,
    independence_p_value,
    kolmogorov_smirnov,
)
from tests.labeled import labeled, read_labeled

_NUMBERS = count()


def made(sizes, rows=(), classes=None):
    """Labeled images, no two of one file."""
    paths = [f"images/{next(_NUMBERS)}.jpg" for _ in sizes]
    return labeled(sizes, rows, classes, filepaths=paths)


def random_set(seed, scale=1.0, classes="abc", weights=None, num_images=60):
    rng = np.random.default_rng(seed)
    rows = [
        (image, name, [0, 0, *(scale * rng.lognormal(3, 0.5, 2))])
        for image in range(num_images)
        for name in rng.choice(list(classes), rng.poisson(4), p=weights)
    ]
    sizes = rng.integers(300, 700, (num_images, 2))
    return made([tuple(size) for size in sizes], rows, list(classes))


def reference_values(found):
    """The properties, object by object."""
    rows = list(zip(found.objects.image, found.objects.box, strict=True))
    size = found.size
    return {
        "aspect_ratio": [w / h for w, h in size],
        "megapixels": [w * h / 1e6 for w, h in size],
        "num_objects": [
            sum(image == one for one, _ in rows) for image in range(len(size))
        ],
        "box_aspect_ratio": [b[2] / b[3] for _, b in rows],
        "relative_area": [b[2] * b[3] / (size[i][0] * size[i][1]) for i, b in rows],
        "size": [(b[2] * b[3]) ** 0.5 for _, b in rows],
    }


@pytest.mark.parametrize(
    ("first", "second", "statistic"),
    [
        ([1, 2, 3], [1, 2, 3], 0),
        ([1, 2], [3, 4], 1),
        ([1, 1, 1, 2], [1, 2, 2, 2], 0.5),
        ([5], [5], 0),
        ([3, 1, 2, 4], [2.5], 0.5),
    ],
)
def test_kolmogorov_smirnov_by_hand(first, second, statistic):
    found = kolmogorov_smirnov(first, second)
    assert found.statistic.tolist() == [statistic]
    assert found.counts.tolist() == [[len(first)], [len(second)]]


@pytest.mark.parametrize("shift", [0, 0.2, 0.5])
@pytest.mark.parametrize(("a", "b"), [(10, 12), (40, 200), (500, 400)])
@pytest.mark.parametrize("digits", [0, 6])
def test_kolmogorov_smirnov_agrees_with_scipy(a, b, shift, digits):
    rng = np.random.default_rng(a)
    first = np.round(rng.normal(0, 1, a), digits)
    second = np.round(rng.normal(shift, 1, b), digits)
    found = kolmogorov_smirnov(first, second)
    expected = ks_2samp(first, second, method="exact")
    assert found.statistic[0] == pytest.approx(expected.statistic, abs=1e-12)
    if digits:  # With ties scipy's exact p-value is one of values without any
        assert found.p_value[0] == pytest.approx(expected.pvalue, rel=0.15, abs=2e-3)


def test_values_that_differ_by_rounding_only_are_one_bin():
    # Of boxes that fill their images
    sizes = [(641 + n, 480) for n in range(4)]
    rows = [(n, "a", [0, 0, *size]) for n, size in enumerate(sizes)]
    one = made(sizes[:2], rows[:2], ["a"])
    other = made(sizes[2:], [(n - 2, *row) for n, *row in rows[2:]], ["a"])
    one.objects.area[:] *= 1 + 1e-15
    frame = Comparison(one, other).distribution("relative_area")
    assert len(frame) == 1


def test_sets_are_not_called_as_the_edges_of_bins():
    found = Comparison(random_set(0), random_set(1), ("left", "right"))
    with pytest.raises(CocoAuditError, match="choose other names"):
        found.distribution("aspect_ratio")


def test_groups_are_compared_apart():
    rng = np.random.default_rng(3)
    groups = rng.integers(0, 5, 300), rng.integers(0, 5, 200)
    groups[0][groups[0] == 2] = 1  # None of group 2 on the first side
    values = rng.integers(0, 20, 300), rng.integers(0, 25, 200)
    found = kolmogorov_smirnov(*values, *groups, 7)
    for group in range(7):
        first, second = (v[g == group] for v, g in zip(values, groups, strict=True))
        assert found.counts[:, group].tolist() == [len(first), len(second)]
        if len(first) and len(second):
            alone = kolmogorov_smirnov(first, second)
            assert found.statistic[group] == alone.statistic[0]
            assert found.p_value[group] == alone.p_value[0]
            assert alone.statistic[0] == pytest.approx(
                ks_2samp(first, second).statistic, abs=1e-12
            )
        else:
            assert np.isnan([found.statistic[group], found.p_value[group]]).all()


def test_p_values_of_one_distribution_are_uniform():
    rng = np.random.default_rng(1)
    found = kolmogorov_smirnov(
        rng.random(60_000), rng.random(60_000), *[np.arange(60_000) % 1000] * 2, 1000
    )
    # The statistic of 60 values a side has few values, so it errs to the safe side
    assert 0.02 < (found.p_value < 0.05).mean() < 0.07
    assert 0.35 < (found.p_value < 0.5).mean() < 0.6


def test_cramers_v_agrees_with_scipy():
    rng = np.random.default_rng(0)
    for shape in [(2, 2), (2, 9), (4, 6)]:
        table = rng.integers(1, 60, shape)
        assert cramers_v(table, bias_corrected=False) == pytest.approx(
            association(table, method="cramer")
        )
        assert independence_p_value(table) == pytest.approx(
            chi2_contingency(table, correction=False).pvalue
        )


def test_bias_correction_by_hand():
    # phi2 = 0.04 of 100 objects in a 2 x 2 table: (.04 - 1/99) / (2 - 1/99 - 1)
    table = [[30, 20], [20, 30]]
    assert cramers_v(table, bias_corrected=False) == pytest.approx(0.2)
    expected = ((0.04 - 1 / 99) / (1 - 1 / 99)) ** 0.5
    assert cramers_v(table) == pytest.approx(expected)


def test_bias_correction_leaves_nothing_of_chance():
    rng = np.random.default_rng(0)
    share = np.full(200, 1 / 200)
    tables = [rng.multinomial([600, 600], share) for _ in range(50)]
    assert np.mean([cramers_v(t, bias_corrected=False) for t in tables]) > 0.3
    assert np.mean([cramers_v(t) for t in tables]) < 0.05
    assert cramers_v([[50, 0], [0, 50]]) == pytest.approx(1)


@pytest.mark.parametrize(
    "table", [np.zeros((2, 0)), np.zeros((2, 3)), [[5, 3], [0, 0]], [[5, 0], [3, 0]]]
)
def test_nothing_to_differ(table):
    assert cramers_v(table) == cramers_v(table, bias_corrected=False) == 0
    assert independence_p_value(table) == 1


def test_cramers_v_of_two_objects():
    assert cramers_v([[1, 0], [0, 1]]) == 0
    assert cramers_v([[1, 0], [0, 1]], bias_corrected=False) == 1


def test_values_agree_with_a_loop():
    first, second = random_set(0), random_set(1)
    found = Comparison(first, second)
    for side, one in enumerate((first, second)):
        expected = reference_values(one)
        assert set(found.values) == set(expected) == set(PROPERTIES)
        for name, values in expected.items():
            np.testing.assert_allclose(found.values[name][side], values)


def test_properties_frame():
    first, second = random_set(0), random_set(1, scale=1.5)
    found = Comparison(first, second, ("train", "val"))
    frame = found.properties()
    assert frame.index.tolist() == list(PROPERTIES)
    for name in PROPERTIES:
        one, other = (reference_values(s)[name] for s in (first, second))
        row, test = frame.loc[name], ks_2samp(one, other)
        assert row["statistic"] == pytest.approx(test.statistic, abs=1e-9)
        assert row["p_value"] == pytest.approx(test.pvalue, rel=0.15, abs=0.01)
        assert row["median_train"] == pytest.approx(np.median(one))
        assert row["median_val"] == pytest.approx(np.median(other))
        assert (row["count_train"], row["count_val"]) == (len(one), len(other))


def test_properties_by_class_frame():
    first = random_set(0, weights=[0.7, 0.29, 0.01])
    second = random_set(1, scale=1.5)
    frame = Comparison(first, second).properties_by_class(min_objects=10)
    assert set(frame.index.get_level_values("class")) == {"a", "b"}
    assert frame["statistic"].is_monotonic_decreasing
    for (name, measured), row in frame.iterrows():
        sides = []
        for one in (first, second):
            of_class = one.objects.category == one.classes.index(name)
            sides.append(np.array(reference_values(one)[measured])[of_class])
        expected = ks_2samp(*sides).statistic
        assert row["statistic"] == pytest.approx(expected, abs=1e-9)


def test_classes_are_matched_by_name():
    box = [0, 0, 9, 9]
    first = made([(99, 99)], [(0, "cat", box)] * 3 + [(0, "dog", box)], ["dog", "cat"])
    second = made([(99, 99)], [(0, "cat", box), (0, "bird", box)], ["bird", "cat"])
    found = Comparison(first, second, ("train", "val"))
    assert found.classes == ["dog", "cat", "bird"]
    assert found.objects.tolist() == [[1, 3, 0], [0, 1, 1]]
    frame = found.class_shares()
    assert frame.index.tolist() == ["dog", "cat", "bird"]
    assert frame["objects_train"].tolist() == [1, 3, 0]
    assert frame["share_val"].tolist() == [0, 0.5, 0.5]
    assert frame["images_train"].tolist() == [1, 1, 0]
    assert frame["missing_in"].tolist() == ["val", "", "train"]


def test_class_drift_is_cramers_v_of_set_and_class():
    first = random_set(0, weights=[0.6, 0.3, 0.1])
    second = random_set(1, weights=[0.1, 0.3, 0.6])
    found = Comparison(first, second)
    table = [np.bincount(one.objects.category) for one in (first, second)]
    assert found.class_drift == pytest.approx(cramers_v(table))
    assert found.class_drift == pytest.approx(association(table), abs=0.02)
    assert found.class_drift > 0.4


@pytest.mark.parametrize("name", PROPERTIES)
def test_histograms_have_common_bins_and_all_values(name):
    first, second = random_set(0), random_set(1, scale=2, num_images=20)
    found = Comparison(first, second, ("train", "val"))
    frame = found.distribution(name, bins=12)
    assert len(frame) <= 12
    assert (frame["right"][:-1].to_numpy() == frame["left"][1:].to_numpy()).all()
    edges = [*frame["left"], frame["right"].iloc[-1]]
    for label, values in zip(("train", "val"), found.values[name], strict=True):
        assert frame[label].sum() == pytest.approx(1)
        expected = np.histogram(values, edges)[0] / len(values)
        assert frame[label].tolist() == pytest.approx(expected.tolist())
    if name == "num_objects":
        assert (frame["left"] % 1 == 0).all()
    else:
        ratio = frame["right"] / frame["left"]
        np.testing.assert_allclose(ratio, ratio.iloc[0])


def test_histogram_of_one_value():
    one = made([(640, 480)] * 3)
    frame = Comparison(one, one).distribution("aspect_ratio")
    assert frame["first"].tolist() == frame["second"].tolist() == [1]
    assert frame["left"][0] < 4 / 3 < frame["right"][0]


def test_unknown_property_is_refused():
    with pytest.raises(CocoAuditError, match="no property 'color'"):
        Comparison(random_set(0), random_set(1)).distribution("color")


def test_two_sets_need_two_names():
    with pytest.raises(CocoAuditError, match="different names"):
        Comparison(random_set(0), random_set(1), ("train", "train"))


def test_objects_without_size_are_left_out():
    rows = [(0, "a", [0, 0, 0, 5]), (0, "a", [0, 0, 4, 4])]
    one = made([(10, 10)], rows)
    frame = Comparison(one, one).properties()
    assert frame.loc["size", "count_first"] == 1
    assert frame.loc["box_aspect_ratio", "count_first"] == 1
    assert frame.loc["num_objects", "median_first"] == 2


def test_sentences_say_what_differs():
    first = random_set(0, classes="abcd", weights=[0.6, 0.2, 0.1, 0.1])
    second = random_set(1, 2, weights=[0.1, 0.3, 0.6])
    said = Comparison(first, second, ("train", "val")).sentences()
    objects = (first.objects.category == 3).sum()
    assert said[0] == f"`d` has {objects} objects in train and none in val."
    assert said[1].startswith("Classes are distributed differently (Cramér's V 0.")
    one, other = (np.median(reference_values(s)["size"]) for s in (first, second))
    medians = f"the median is {other:.3g}, compared with {one:.3g} in train"
    assert f"Objects are larger in val: {medians}" in "".join(said)
    assert "KS" in said[-1] and "% " in said[1]
    back = Comparison(second, first, ("train", "val")).sentences()
    assert back[0] == f"`d` has {objects} objects in val and none in train."
    assert "Objects are smaller in val" in "".join(back)


def test_images_of_both_sets_are_named():
    found = random_set(0)
    for first, second, said in [
        ([0, 1, 2], [3, 4], ""),
        ([0, 1, 2], [2, 3], "1 image of train has the same file in val, such as `"),
        ([0, 1, 2], [1, 2], "2 images of train have the same file in val, such as `"),
    ]:
        parts = found.part(np.array(first)), found.part(np.array(second))
        sentences = Comparison(*parts, ("train", "val")).sentences()
        assert "".join(sentences).startswith(said)
        assert bool(said) == ("must not be tested on" in "".join(sentences))


def test_where_medians_are_alike_the_share_that_differs_is_named():
    narrow = made([(9, 9)] * 90, [(n, "a", [0, 0, 8, 8]) for n in range(90)])
    sides = np.repeat([4, 8, 16], 30)
    wide = made(
        [(9, 9)] * 90, [(n, "a", [0, 0, s, s]) for n, s in enumerate(sides.tolist())]
    )
    assert (
        "33% of the objects in second are at most 4 px across, compared with 0% in "
        "first; the medians are about the same (KS 0.33)."
    ) in Comparison(narrow, wide).sentences()


def with_counts(*counts: tuple[int, int]) -> LabeledImages:
    """Images with numbers of objects: ``(number of images, objects in each)``."""
    numbers = [objects for images, objects in counts for _ in range(images)]
    rows = [
        (n, "a", [5, 5, 9, 9]) for n, count in enumerate(numbers) for _ in range(count)
    ]
    return made([(100, 100)] * len(numbers), rows)


def test_images_without_objects_are_named_where_medians_are_alike():
    first = with_counts((9, 0), (82, 1), (9, 2))
    second = with_counts((37, 0), (54, 1), (9, 2))
    (said,) = Comparison(first, second, ("train", "val")).sentences()
    assert said == (
        "37% of the images in val have no objects, compared with 9% in train; the "
        "medians are about the same (KS 0.28)."
    )


def test_many_objects_are_named_where_medians_are_alike():
    first = with_counts((60, 2), (40, 3))
    second = with_counts((60, 2), (10, 3), (30, 9))
    (said,) = Comparison(first, second, ("train", "val")).sentences()
    assert said.startswith(
        "70% of the images in val have at most 3 objects, compared with 100% in train"
    )


def test_one_object_is_named_in_the_singular():
    first, second = with_counts((100, 1)), with_counts((60, 1), (40, 3))
    (said,) = Comparison(first, second, ("train", "val")).sentences()
    assert said.startswith("60% of the images in val have at most 1 object, compared")


def test_shapes_are_named_where_medians_are_alike():
    def boxes(*sizes):
        rows = [(n, "a", [0, 0, *size]) for n, size in enumerate(sizes * 30)]
        return made([(100, 100)] * len(rows), rows)

    square = boxes((20, 20), (20, 20), (20, 20))
    mixed = boxes((40, 10), (20, 20), (10, 40))
    said = Comparison(square, mixed, ("train", "val")).sentences()
    assert said == [
        "33% of the objects in val are at most 0.25 times as wide as high, compared "
        "with 0% in train; the medians are about the same (KS 0.33)."
    ]


def test_parts_of_one_distribution_hardly_ever_differ():
    weights = [0.9, 0.095, 0.005]
    alarms = [
        bool(
            Comparison(
                random_set(seed, weights=weights),
                random_set(seed + 100, weights=weights, num_images=20),
            ).sentences()
        )
        for seed in range(100)
    ]
    # Four kinds of sentences of 1% each at the most
    assert sum(alarms) <= 4


@pytest.mark.parametrize("classes", [[], ["a"]])
@pytest.mark.parametrize("num_images", [0, 1])
def test_sets_without_objects(num_images, classes):
    empty, other = (made([(10, 10)] * num_images, [], classes) for _ in range(2))
    for pair in [(empty, other), (empty, random_set(0)), (random_set(0), empty)]:
        found = Comparison(*pair)
        assert found.class_drift == 0
        assert len(found.properties()) == len(PROPERTIES)
        assert len(found.properties_by_class(0)) == 0
        assert len(found.class_shares()) == len(found.classes)
        assert found.sentences() == []
        for name in PROPERTIES:
            frame = found.distribution(name)
            assert (frame["right"] > frame["left"]).all()


@pytest.mark.real_data
def test_real_data_against_themselves(shared_data: Path):
    found, _, _ = read_labeled(shared_data / "coco_mini" / "annotations.json")
    same = Comparison(found, found)
    assert (same.properties()["statistic"] == 0).all()
    assert same.class_drift == 0
    assert [s.split(" of ")[0] for s in same.sentences()] == ["79 images"]
