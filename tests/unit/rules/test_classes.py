import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import fiftyone_coco_audit.rules.classes  # noqa: F401  (fills the registry)
from fiftyone_coco_audit.findings import RULES
from tests.labeled import (
    evidence_by_code,
    evidence_of,
    labeled,
    read_labeled,
    statistics_of,
)

CODES = [f"CA4{number:02}" for number in range(1, 13)]


def found(code, made, **thresholds):
    """The evidence of the rule of a code; None where it finds nothing."""
    return evidence_of(code, statistics_of(made), **thresholds)


def scene(shown, classes=None, **more):
    """A set of images from the names of the objects in each."""
    rows = [
        (image, name, [0, 0, 10, 10])
        for image, names in enumerate(shown)
        for name in names
    ]
    return labeled([(100, 100)] * len(shown), rows, classes, **more)


def counted(**counts):
    """A set of one object an image, with so many objects of each class."""
    return scene([[name] for name, count in counts.items() for _ in range(count)])


def names_of(made, rows):
    return [made.classes[category] for category in made.objects.category[rows]]


def balanced(num_classes=80, num_images=400, seed=0):
    """Images of some 7 objects of equally common classes."""
    rng = np.random.default_rng(seed)
    names = [f"thing {chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(num_classes)]
    return scene(
        [rng.choice(names, rng.poisson(7)) for _ in range(num_images)],
        names,
        filepaths=[f"/data/site_{n % 4}/{n}.jpg" for n in range(num_images)],
        tags=[["train" if n % 5 else "val"] for n in range(num_images)],
    )


def test_class_imbalance():
    made = counted(person=500, toaster=5, cat=300, dog=11)
    evidence = found("CA401", made)
    assert evidence.classes == ("toaster",)
    assert evidence.message == (
        "`person` has 500 objects, at least 100 times as many as `toaster`."
    )
    assert names_of(made, evidence.objects) == ["toaster"] * 5
    assert found("CA401", counted(person=500, toaster=50)) is None
    assert found("CA401", counted(person=500, toaster=50), min_ratio=10)


def test_class_imbalance_among_many_equal_classes():
    # None of them is below half of an equal share
    made = counted(person=100, **{f"class {n}": 2 for n in range(60)})
    assert len(found("CA401", made).classes) == 60


def test_long_tail():
    rare = {f"rare {n}": 20 for n in range(10)}
    made = counted(leaf=300, flower=300, **rare)
    evidence = found("CA402", made)
    assert set(evidence.classes) == set(rare)
    assert evidence.message == (
        "2 of 12 classes hold 75% of the objects, while `rare 0`, `rare 1`, `rare 2` "
        "and 7 more have less than 4.2% each."
    )
    assert len(evidence.objects) == 200
    assert found("CA402", balanced(num_images=570)) is None
    # So few objects that classes differ much by chance
    assert found("CA402", balanced(num_images=60)) is None
    assert found("CA402", counted(leaf=100, flower=100, coin=90, rare=5)) is None


def test_few_objects():
    made = counted(cat=10, dog=9, bird=1, fish=40)
    evidence = found("CA403", made)
    assert evidence.message == ("`bird` (1) and `dog` (9) have fewer than 10 objects.")
    # What class-imbalance says of the same classes
    assert found("CA403", counted(cat=70, dog=9)).message == (
        "`dog` (9) has fewer than 10 objects, while `cat` has 70."
    )
    assert evidence.classes == ("bird", "dog")
    assert sorted(names_of(made, evidence.objects)) == ["bird"] + ["dog"] * 9
    assert found("CA403", counted(cat=10, bird=1)).message == (
        "`bird` (1) has fewer than 10 objects."
    )
    assert found("CA403", counted(cat=10)) is None
    assert found("CA403", counted(cat=10), min_objects=11).classes == ("cat",)


def test_class_without_objects():
    evidence = found("CA404", scene([["cat"]], ["cat", "dog"]))
    assert evidence.message == (
        "`dog` has no objects, though the list of 2 classes names it."
    )
    two = scene([["cat"]], ["cat", "dog", "owl"])
    assert found("CA404", two).message == (
        "`dog` and `owl` have no objects, though the list of 3 classes names them."
    )
    assert evidence.classes == ("dog",)
    assert found("CA404", scene([["cat", "dog"]], ["cat", "dog"])) is None
    grouped = scene([["cat"]], ["animal", "cat"], parents=["animal"])
    assert found("CA404", grouped) is None


def test_class_in_few_images():
    shown = [["book"] * 40 + ["cat"]] * 2 + [["cat"]] * 98
    made = scene(shown)
    evidence = found("CA405", made)
    assert evidence.message == "All 80 objects of `book` are in 2 images of 100."
    assert names_of(made, evidence.objects) == ["book"] * 80
    assert found("CA405", scene([["book"] * 2] * 40 + [["cat"]] * 60)) is None
    # In a set of few images all classes are in few
    assert found("CA405", scene([["book"] * 40] * 8)) is None


def test_dominant_class():
    made = counted(person=90, cat=4, dog=3, bird=3)
    evidence = found("CA406", made)
    assert evidence.message == (
        "90% of the objects (90 of 100) are `person`, one of 4 classes."
    )
    assert names_of(made, evidence.objects) == ["person"] * 90
    assert found("CA406", counted(yes=60, no=40)) is None
    assert found("CA406", counted(only=60)) is None


def ladybugs(alone):
    rare = [["ladybug"] if n < alone else ["ladybug", "leaf"] for n in range(10)]
    others = [["leaf"] * 2] * 40 + [["coin"], ["mug"]] * 25
    return scene(rare + others)


def test_rare_class_with_commonest():
    made = ladybugs(alone=0)
    evidence = found("CA407", made)
    assert evidence.classes == ("ladybug", "leaf")
    assert evidence.message == (
        "`ladybug` is never seen without `leaf`: all 10 images with it show `leaf`, "
        "like 50% of all images."
    )
    assert names_of(made, evidence.objects) == ["ladybug"] * 10
    assert found("CA407", ladybugs(alone=1)) is None


def test_coincidences_are_expected_of_many_rare_classes():
    """Of 30 rare classes some always meet a class that half of all images show."""
    shown = [["leaf"] * 9] * 50 + [["coin"] * 9] * 49 + [[]]
    five = [shown[n] + ["rare"] for n in range(5)] + shown[5:]
    assert found("CA407", scene(five)).classes == ("rare", "leaf")
    for n in range(30):
        five[n + 20] = [*five[n + 20], f"rare {n}"]
    assert found("CA407", scene(five)) is None
    # As many others do not hide what is no coincidence
    dozen = [one + ["rare"] * (5 <= n < 12) for n, one in enumerate(five)]
    assert found("CA407", scene(dozen), max_chance=0.1).figures["chance"] < 0.01


def test_rare_class_with_one_that_is_everywhere():
    shown = [["rare", "leaf"]] * 6 + [["leaf", "coin", "mug"]] * 94
    assert found("CA407", scene(shown)) is None


def plates(mugs_in_b, mugs_in_a=30, **more):
    def site(mugs):
        return [["plate", "mug"] if n < mugs else ["plate"] for n in range(100)]

    return scene(site(mugs_in_a) + site(mugs_in_b), ["mug", "plate"], **more)


SITES = [f"/d/site_{site}/{n}.jpg" for site in "ab" for n in range(100)]


def test_missing_in_source():
    evidence = found("CA408", plates(0, filepaths=SITES))
    assert evidence.images.tolist() == list(range(100, 200))
    assert evidence.classes == ("mug",)
    assert evidence.figures["source"] == "site_b"
    assert evidence.message == (
        "`mug` is labeled in none of the 100 images of the folder `site_b`, although "
        "about 30 would show it at the rate of all others; it is unknown which ones, "
        "so all images are listed."
    )
    assert found("CA408", plates(0, mugs_in_a=3, filepaths=SITES)) is None
    assert found("CA408", plates(1, filepaths=SITES)) is None
    assert found("CA408", plates(0)) is None


def test_missing_in_images_with_a_tag():
    tags = [[]] * 100 + [["night"]] * 100
    evidence = found("CA408", plates(0, tags=tags))
    assert evidence.figures["source"] == "night"
    assert "images of the tag `night`" in evidence.message
    assert evidence.images.tolist() == list(range(100, 200))


def test_folder_that_is_also_a_tag_is_said_once():
    tags = [["train"]] * 100 + [["val"]] * 100
    assert "folder" in found("CA408", plates(0, filepaths=SITES, tags=tags)).message


def test_size_count_correlation():
    def sized(side):
        return labeled(
            [(999, 999)],
            [
                (0, f"class {n:02}", [0, 0, side(n), side(n)])
                for n in range(12)
                for _ in range(20 + n)
            ],
        )

    evidence = found("CA409", sized(lambda n: 50 - n))
    assert evidence.message == (
        "The more objects a class has, the smaller they are: over 12 classes the rank "
        "correlation of count and mean area is -1.00."
    )
    assert "larger they are" in found("CA409", sized(lambda n: 50 + n)).message
    sizes = np.random.default_rng(0).uniform(30, 33, 12)
    assert found("CA409", sized(lambda n: sizes[n])) is None
    assert found("CA409", sized(lambda n: 50)) is None
    assert found("CA409", sized(lambda n: 50 - n), min_classes=13) is None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("traffic light", "Traffic_Lights"),
        ("hot-dog", "hotdog"),
        ("car", "Car "),
        ("Straße", "STRASSE"),
        ("ﬁsh", "fish"),
    ],
)
def test_similar_class_names(first, second):
    made = scene([[first, "sign", second]], [first, second, "sign"])
    evidence = found("CA410", made)
    assert evidence.message == f"`{first}` and `{second}` are probably one class."
    assert evidence.classes == (first, second)
    assert evidence.objects.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("traffic light", "traffic sign"),
        ("glass", "glas"),
        ("+", "-"),
        ("class 1", "class 11"),
        ("s", "ss"),
        ("猫", "犬"),
    ],
)
def test_different_class_names(first, second):
    assert found("CA410", scene([[]], [first, second])) is None


def test_several_groups_of_similar_names():
    names = ["cat", "Cat", "dog", "dogs", "DOG", "bird"]
    evidence = found("CA410", scene([[]], names))
    assert evidence.message == (
        "`cat` and `Cat` are probably one class, like the names of 1 other group."
    )
    assert evidence.classes == tuple(names[:5])


def kitchen(rare_with_person):
    """Eight rare classes of 3 images, people in 30, nine other classes of 18."""
    rare = [[f"rare {n // 3}"] + ["person"] * rare_with_person for n in range(24)]
    people = [["person"]] * (6 if rare_with_person else 30)
    return scene(rare + people + [[f"other {n // 18}"] for n in range(162)])


def test_resampling_side_effect():
    # 192 images: the median class is in 18, so that rare ones are repeated
    # sqrt(18 / 3) = 2.45 times, and with them 24 of the 30 images of people
    evidence = found("CA411", kitchen(rare_with_person=True))
    factor = 6**0.5
    assert evidence.classes == ("person",)
    assert evidence.figures["threshold"] == 18 / 192
    assert evidence.figures["gain"] == pytest.approx((24 * factor + 6) / 30)
    assert evidence.message == (
        "Resampling at a threshold of 0.094 has a side effect: raising `rare 0` 2.4x "
        "and others raises `person` 2.2x, in an epoch 1.2x as long."
    )
    assert evidence.images.tolist() == list(range(24))
    assert found("CA411", kitchen(rare_with_person=False)) is None
    assert found("CA411", kitchen(rare_with_person=True), threshold=0.02) is None


def test_source_of_other_classes():
    paths = [f"/d/{'faces' if n < 20 else 'cars'}/{n}.jpg" for n in range(60)]
    shown = [["face"]] * 20 + [["car", "plate"]] * 40
    evidence = found("CA412", scene(shown, filepaths=paths))
    assert evidence.images.tolist() == list(range(60))
    assert evidence.classes == ("car", "face", "plate")
    assert evidence.message == (
        "The folders `cars` and `faces` have no class in common with any other, in 60 "
        "of 60 images."
    )
    shown[0] = ["face", "car"]
    assert found("CA412", scene(shown, filepaths=paths)) is None
    sites = plates(30, filepaths=SITES)
    assert found("CA412", sites) is None


def test_folder_of_backgrounds_is_no_source_of_other_classes():
    paths = [f"/d/{'none' if n < 20 else 'cars'}/{n}.jpg" for n in range(60)]
    assert found("CA412", scene([[]] * 20 + [["car"]] * 40, filepaths=paths)) is None


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("seed", range(3))
def test_balanced_sets_are_healthy(code, seed):
    assert found(code, balanced(seed=seed)) is None


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize(
    ("num_images", "classes"), [(0, []), (0, ["a"]), (1, []), (1, ["a"])]
)
def test_sets_without_objects_are_left_alone(code, num_images, classes):
    assert found(code, labeled([(10, 10)] * num_images, [], classes)) is None


@pytest.mark.parametrize("code", CODES)
def test_one_object_does_not_fail(code):
    assert bool(found(code, scene([["cat"]]))) == (code == "CA403")


@pytest.mark.parametrize("code", CODES)
def test_1200_classes_do_not_fail(code):
    rng = np.random.default_rng(0)
    names = [f"class {n}" for n in range(1200)]
    share = 1 / np.arange(1, 1201)
    share /= share.sum()
    made = scene([rng.choice(names, 8, p=share) for _ in range(300)], names)
    evidence = found(code, made)
    assert evidence is None or len(evidence.message) < 300


def test_no_objects():
    rule = "CA413"
    evidence = evidence_of(rule, statistics_of(labeled([(640, 480)] * 3)))
    assert evidence.message == "None of 3 images has an object."
    assert evidence.images.tolist() == [0, 1, 2]
    made = labeled([(640, 480)] * 3)
    crowds = evidence_of(rule, statistics_of(replace(made, crowds=np.array([2, 0, 1]))))
    assert crowds.message == (
        "None of 3 images has an object: 3 labels are marked as crowd regions "
        "(`iscrowd` 1), which training and evaluation ignore."
    )
    assert crowds.advice == "Set `iscrowd` to 0 for labels of single objects."
    none = evidence_of(rule, statistics_of(labeled([])))
    assert none.message == "There are no images."
    one = labeled([(640, 480)] * 3, [(1, "cat", [1, 1, 9, 9])])
    assert evidence_of(rule, statistics_of(one)) is None


def test_demo_has_what_was_planted_and_nothing_else(demo_files):
    made, image_ids, label_ids = read_labeled(demo_files.annotations)
    manifest = json.loads(demo_files.manifest.read_text())
    plants = {plant["key"]: plant for plant in manifest["plants"]}
    evidence = evidence_by_code(CODES, statistics_of(made))
    assert set(evidence) == {"CA402", "CA407", "CA408"}

    tail = plants["long_tail"]
    assert set(evidence["CA402"].classes) == set(tail["categories"])
    rare = plants["rare_class_with_commonest"]
    assert list(evidence["CA407"].classes) == rare["categories"]
    labels = [label_ids[row] for row in evidence["CA407"].objects]
    assert sorted(labels) == sorted(rare["annotation_ids"])
    hidden = plants["unlabeled_class"]
    assert list(evidence["CA408"].classes) == hidden["categories"]
    images = {image_ids[row] for row in evidence["CA408"].images}
    assert images >= set(hidden["image_ids"])
    assert all(
        made.filepaths[n].startswith("site_b/") for n in evidence["CA408"].images
    )
    assert len(images) == sum(path.startswith("site_b/") for path in made.filepaths)


@pytest.mark.real_data
def test_real_data_raise_no_error(shared_data: Path):
    made, _, _ = read_labeled(shared_data / "coco_mini" / "annotations.json")
    raised = evidence_by_code(CODES, statistics_of(made))
    # 79 images of 80 classes: most classes are rare, and two do not occur
    assert raised.keys() == {"CA401", "CA402", "CA403", "CA404"}
    assert not any(RULES[code].severity == "error" for code in raised)
