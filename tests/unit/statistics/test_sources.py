import numpy as np
import pytest
from scipy.stats import fisher_exact

from fiftyone_coco_audit.statistics.classes import Presence
from fiftyone_coco_audit.statistics.sources import (
    NO_SOURCES,
    SourceGaps,
    Sources,
    folders,
    tagged,
)
from tests.labeled import labeled

BOX = [0, 0, 10, 10]


def gaps(counts, num_images, classes="abc"):
    """Sources, each with a number of images of which the first show a class.

    Args:
        counts: for each source the number of images with each class
        num_images: the number of images of each source
        classes: names of the classes
    """
    rows, source = [], []
    for position, (of_source, total) in enumerate(zip(counts, num_images, strict=True)):
        rows += [
            (len(source) + image, name, BOX)
            for name, count in zip(classes, of_source, strict=True)
            for image in range(count)
        ]
        source += [[f"s{position}"]] * total
    found = labeled([(100, 100)] * len(source), rows, list(classes))
    return SourceGaps(Presence.of(found), Sources.of(source))


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/d/a/1.jpg", "/d/b/2.jpg", "/d/a/3.jpg"], ["a", "b", "a"]),
        (["a/x/1.jpg", "a/y/1.jpg", "b/x/1.jpg"], ["a", "a", "b"]),
        (["/d/a/images/1.jpg", "/d/b/images/1.jpg"], ["a", "b"]),
        (["/d/1.jpg", "/d/a/2.jpg"], [".", "a"]),
        (["1.jpg", "a/2.jpg"], [".", "a"]),
        # Folders of which one's name begins with the other's
        (["/d/site/1.jpg", "/d/site_b/2.jpg"], ["site", "site_b"]),
    ],
)
def test_folders_are_told_apart_by_the_first_that_differs(paths, names):
    found = folders(paths)
    assert found.image.tolist() == list(range(len(paths)))
    assert [found.names[source] for source in found.source] == names


@pytest.mark.parametrize(
    "paths",
    [
        [],
        ["a.jpg", "b.jpg"],
        ["/d/a/1.jpg", "/d/a/2.jpg"],
        [f"/d/{n}/image.jpg" for n in range(21)],
    ],
)
def test_no_folders_to_tell_apart(paths):
    assert len(folders(paths)) == 0
    assert folders(paths) == NO_SOURCES


def test_an_image_may_have_several_tags_or_none():
    found = tagged([["val", "night"], [], ["val", "val"]])
    assert found.names == ("night", "val")
    assert found.images_of(1).tolist() == [0, 2]
    assert found.images_of(0).tolist() == [0]
    assert found.images_of([0, 1]).tolist() == [0, 2]


def test_too_many_tags_are_no_sources():
    assert len(tagged([[f"tag {n}"] for n in range(20)])) == 20
    assert len(tagged([[f"tag {n}"] for n in range(21)])) == 0
    assert len(tagged([[], []])) == 0


def test_counts_by_hand():
    found = gaps([(4, 10, 0), (2, 0, 0)], [20, 10])
    assert found.images.tolist() == [20, 10]
    assert found.found.tolist() == [[4, 10, 0], [2, 0, 0]]
    assert found.elsewhere.tolist() == [[2, 0, 0], [4, 10, 0]]
    assert found.expected.tolist() == [[4, 0, 0], [2, 5, 0]]
    assert found.coverage.tolist() == [[1, 0, 0], [1, 1, 0]]
    assert found.num_classes.tolist() == [2, 1]
    assert found.num_common.tolist() == [1, 1]


def test_p_value_is_that_of_fishers_exact_test():
    counts, images = [(5, 30, 0), (1, 0, 0), (9, 9, 0)], [60, 20, 40]
    found = gaps(counts, images)
    for source in range(3):
        for category in range(3):
            here = counts[source][category]
            there = sum(row[category] for row in counts) - here
            others = sum(images) - images[source]
            table = [[here, images[source] - here], [there, others - there]]
            expected = fisher_exact(table, alternative="less").pvalue
            assert found.p_value[source, category] == pytest.approx(expected)
    # Three sources by the two classes that occur
    np.testing.assert_allclose(found.adjusted_p_value, np.minimum(6 * found.p_value, 1))


def test_p_value_agrees_with_drawing_lots():
    found = gaps([(8,), (2,)], [30, 30], "a")
    rng = np.random.default_rng(0)
    shows = np.arange(60) < 10
    drawn = np.array([rng.permutation(shows)[:30].sum() for _ in range(20_000)])
    p = found.p_value[1, 0]
    assert abs((drawn <= 2).mean() - p) < 4.5 * np.sqrt(p * (1 - p) / 20_000)


def test_missing_and_deficient_classes():
    found = gaps([(30, 40, 5), (0, 4, 0), (30, 40, 5)], [100, 100, 100])
    assert found.missing().tolist() == [[1, 0]]
    assert found.deficient().tolist() == [[1, 1]]
    frame = found.to_frame(["a", "b", "c"])
    assert frame.index.names == ["class", "source"]
    assert frame.index.tolist() == [("a", "s1"), ("b", "s1")]
    assert frame["kind"].tolist() == ["missing", "deficient"]
    assert frame["expected"].tolist() == [30, 40]
    assert frame["found"].tolist() == [0, 4]
    assert frame["images"].tolist() == [100, 100]
    assert (frame["adjusted_p_value"] == frame["p_value"] * 9).all()


def test_few_expected_images_may_be_missing_by_chance():
    assert gaps([(5, 50), (0, 50)], [100, 100], "ab").missing().tolist() == []


def test_class_at_home_in_one_of_many_sources_is_missing_nowhere():
    counts = [(50, 50), *[(0, 50)] * 3]
    found = gaps(counts, [100] * 4, "ab")
    assert (found.adjusted_p_value[1:, 0] < 0.001).all()
    assert found.coverage[1, 0] == pytest.approx(1 / 3)
    assert found.missing().tolist() == []


def test_source_of_other_things_or_of_backgrounds_lacks_nothing():
    assert gaps([(50, 50, 0), (0, 0, 50)], [100, 100]).missing().tolist() == []
    assert gaps([(50, 50, 9), (0, 0, 0)], [100, 100]).missing().tolist() == []


def test_least_likely_gap_comes_first():
    found = gaps([(30, 60, 90), (0, 0, 90)], [100, 100])
    assert found.missing().tolist() == [[1, 1], [1, 0]]


def test_overlapping_sources():
    shown = [(image, "mug", BOX) for image in range(60)]
    shown += [(image, "cup", BOX) for image in range(120)]
    found = labeled([(9, 9)] * 120, shown, ["mug", "cup"])
    tags = [["day"] * (n % 2 == 0) + ["val"] * (n >= 60) for n in range(120)]
    both = SourceGaps(Presence.of(found), tagged(tags))
    assert both.sources.names == ("day", "val")
    assert both.found.tolist() == [[30, 60], [0, 60]]
    assert both.missing().tolist() == [[1, 0]]


@pytest.mark.parametrize(
    ("num_images", "classes"), [(0, []), (0, ["a"]), (3, []), (3, ["a"])]
)
def test_sets_without_objects(num_images, classes):
    presence = Presence.of(labeled([(9, 9)] * num_images, [], classes))
    for sources in (NO_SOURCES, Sources.of([["x"]] * num_images)):
        found = SourceGaps(presence, sources)
        assert found.missing().shape == found.deficient().shape == (0, 2)
        assert len(found.to_frame(classes)) == 0


def test_samples_of_one_distribution_have_no_gaps():
    rng = np.random.default_rng(0)
    rate = 1 / np.arange(1, 41)
    alarms = 0
    for _ in range(50):
        counts = [rng.binomial(100, rate) for _ in range(3)]
        found = gaps(counts, [100] * 3, [f"c{n}" for n in range(40)])
        alarms += len(found.missing()) + len(found.deficient())
    # At most 50 x 0.001 sets are expected to raise one
    assert alarms == 0
