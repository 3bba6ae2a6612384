import json

import numpy as np
import pytest

from fiftyone_coco_audit.findings import RULES
from fiftyone_coco_audit.rules import images as rules
from fiftyone_coco_audit.rules import samples
from tests.labeled import (
    evidence_by_code,
    evidence_of,
    labeled,
    read_labeled,
    statistics_of,
)

VGA, PORTRAIT, HD, UHD = (640, 480), (480, 640), (1920, 1080), (3840, 2160)


def found(rule, sizes, resize="letterbox 640", **thresholds):
    """The evidence of a rule on images of some sizes; None where it finds nothing."""
    return evidence_of(rule, statistics_of(labeled(sizes), resize), **thresholds)


def silent(rule, *args, **kwargs):
    return found(rule, *args, **kwargs) is None


def test_extreme_aspect_ratio_is_relative_to_the_typical():
    rule = rules.extreme_image_aspect_ratio
    evidence = found(rule, [VGA, VGA, (1600, 320), VGA, (300, 1200)])
    assert evidence.images.tolist() == [2, 4]
    assert evidence.message == (
        "2 of 5 images are over 2.5 times as elongated as the typical 1.33:1; the "
        "most extreme is 5.00:1 (1600 x 320)."
    )
    assert silent(rule, [VGA] * 5 + [PORTRAIT] * 3)
    assert silent(rule, [(1600, 320)] * 5)
    assert silent(rule, [(1600, 320)] * 5 + [(320, 1600)])
    # 3.33 is 2.5 times 1.33
    assert silent(rule, [VGA] * 5 + [(999, 300)])
    assert not silent(rule, [VGA] * 5 + [(1001, 300)])
    assert found(rule, [VGA] * 5 + [(600, 200)], factor=2).images.tolist() == [5]


def test_huge_image_is_4k_and_unlike_the_others():
    rule = rules.huge_image
    evidence = found(rule, [VGA, UHD, VGA])
    assert evidence.images.tolist() == [1]
    assert evidence.message == (
        "1 of 3 images has 8.3 megapixels or more; the largest (3840 x 2160) has "
        "27 times the pixels of the median image."
    )
    assert silent(rule, [UHD] * 3)
    assert silent(rule, [VGA, (3839, 2160), VGA])
    assert silent(rule, [HD, HD, (3800, 2183)], factor=4.01)


def test_mixed_aspect_ratios_are_far_from_square_in_different_ways():
    rule = rules.mixed_aspect_ratios
    evidence = found(rule, [(900, 300), (300, 900)] * 50)
    # The narrower half is the dominant shape, of which the others are far
    assert evidence.images.tolist() == list(range(0, 100, 2))
    # 640 x 213 in batches of 640 x 640 against 640 x 224
    assert evidence.figures["saving"] == pytest.approx(1 - 224 / 640, abs=0.01)
    assert "50% of the images" in evidence.message
    assert "saves 65% of the pixels at letterbox 640." in evidence.message
    assert silent(rule, [VGA, PORTRAIT] * 50)
    # All inputs are equal whatever the batch
    assert silent(rule, [(900, 300), (300, 900)] * 50, "stretch 640")


def test_heavy_padding_proposes_a_size_that_fits():
    rule = rules.heavy_padding
    evidence = found(rule, [HD] * 20)
    assert evidence.message == (
        "44% of the network's input is padding at letterbox 640; at letterbox "
        "640x352 it would be 2.2%."
    )
    assert len(evidence.images) == 20
    assert evidence.figures["padding"] == 0.4375
    assert silent(rule, [VGA] * 20)
    assert silent(rule, [PORTRAIT] * 20)
    assert silent(rule, [HD] * 20, "letterbox 640x384")
    assert silent(rule, [HD] * 20, "shortest_side 640")
    assert silent(rule, [HD] * 20, max_padding=0.44)


def test_heavy_padding_names_the_images_and_grouping_where_no_size_fits():
    evidence = found(
        rules.heavy_padding, [(900, 300)] * 10 + [(300, 900)] * 10 + [(900, 900)]
    )
    assert evidence.images.tolist() == list(range(20))
    # Each of three groups has one shape: 640 x 213 in 640 x 224, and 640 x 640
    share = 1 - (20 * 213 + 640) / (20 * 224 + 640)
    assert evidence.figures["least_padding"] == pytest.approx(share)
    assert evidence.message == (
        "64% of the network's input is padding at letterbox 640; in batches padded "
        "only as needed, grouped by aspect ratio, it would be 4.3%."
    )


def test_distortion_is_beyond_photographs_made_square():
    rule = rules.distortion
    evidence = found(rule, [HD] * 6 + [VGA] * 4, "stretch 640")
    assert evidence.images.tolist() == list(range(6))
    assert evidence.message == (
        "60% of the images are distorted over 1.6 times at stretch 640, by a median "
        "of 1.8 times."
    )
    assert silent(rule, [VGA] * 10, "stretch 640")
    assert silent(rule, [(640, 426)] * 10, "stretch 640")
    assert silent(rule, [HD] * 10, "stretch 640x360")
    assert silent(rule, [HD] * 10)
    assert silent(rule, [HD] * 2 + [VGA] * 6, "stretch 640")


def test_images_enlarged_are_most():
    rule = rules.images_enlarged
    evidence = found(rule, [(240, 180)] * 3 + [VGA] * 2)
    assert evidence.images.tolist() == [0, 1, 2]
    assert evidence.message == (
        "60% of the images are enlarged over 2 times at letterbox 640, by a median "
        "of 2.7 times."
    )
    assert silent(rule, [VGA] * 5, "shortest_side 800 max 1333")
    assert silent(rule, [(240, 180)] * 2 + [VGA] * 2)


def test_images_shrunk_much_are_most():
    rule = rules.images_shrunk_much
    evidence = found(rule, [(4000, 3000)] * 3 + [VGA] * 2)
    assert evidence.images.tolist() == [0, 1, 2]
    assert evidence.message == (
        "60% of the images are shrunk over 4 times at letterbox 640, by a median "
        "of 6.2 times."
    )
    assert silent(rule, [HD] * 5)
    assert silent(rule, [(2560, 1440)] * 5)
    assert silent(rule, [(4000, 3000)] * 2 + [VGA] * 2)


def test_image_without_objects_has_no_crowds_either():
    rule = samples.image_without_objects
    made = labeled(
        [VGA] * 4,
        [(0, "cat", [1, 1, 9, 9]), (3, "cat", [1, 1, 9, 9])],
        crowds=[0, 1] * 2,
    )
    evidence = evidence_of(rule, statistics_of(made))
    assert evidence.images.tolist() == [2]
    assert evidence.message == "1 of 4 images has neither objects nor crowd regions."
    made = labeled([VGA] * 2, [(0, "cat", [1, 1, 9, 9])], crowds=[0, 1])
    assert not evidence_of(rule, statistics_of(made))
    made = labeled([VGA] * 3, [(0, "cat", [1, 1, 9, 9])])
    message = evidence_of(rule, statistics_of(made)).message
    assert message == "2 of 3 images have neither objects nor crowd regions."
    # That there are no objects at all is another rule's
    assert silent(rule, [VGA] * 2)


def unlabeled(paths, empty):
    """Images of three objects each, but for some."""
    rows = [
        (n, "cat", [60.0 * k, 10, 50, 40])
        for n in range(len(paths))
        if n not in empty
        for k in range(3)
    ]
    made = labeled([(200, 100)] * len(paths), rows, ["cat"], filepaths=paths)
    return evidence_of(samples.image_without_objects, statistics_of(made))


FRAMES = [f"set/frame_{n:04}.jpg" for n in range(201)]


def test_a_third_without_labels_among_images_alike_is_a_warning():
    evidence = unlabeled(FRAMES, range(127, 201))
    assert evidence.severity == "warning"
    assert evidence.message == (
        "74 of 201 images (37%) have neither objects nor crowd regions; probably they "
        "were not annotated: 74 have the same folder, size and kind of name as images "
        "with labels, 74 follow one another in the file, the others have a median of 3 "
        "objects."
    )
    assert evidence.advice.startswith("Annotate these images or leave them out")
    assert evidence.images.tolist() == list(range(127, 201))


def test_a_third_of_a_small_set_without_labels_is_a_warning():
    evidence = unlabeled(FRAMES[:12], range(4))
    assert evidence.severity == "warning"
    assert evidence.message.startswith("4 of 12 images (33%) have neither objects")
    assert "4 have the same folder" in evidence.message


def test_a_few_without_labels_are_a_note():
    evidence = unlabeled(FRAMES, range(0, 200, 20))
    assert evidence.severity is None and evidence.advice is None
    assert evidence.message == (
        "10 of 201 images have neither objects nor crowd regions."
    )
    assert unlabeled(FRAMES[:10], range(3)).severity is None


@pytest.mark.parametrize(
    "name",
    ["negatives/{}.jpg", "set/bg_{}.jpg", "set/empty-{}.png", "no_object/{}.jpg"],
)
def test_images_called_negatives_are_a_note(name):
    paths = [*FRAMES[:100], *(name.format(n) for n in range(50))]
    evidence = unlabeled(paths, range(100, 150))
    assert evidence.severity is None
    assert evidence.figures["named_negative"] == 50


def test_images_filed_apart_may_be_either():
    paths = [*FRAMES[:100], *(f"site_b/{n}.jpg" for n in range(50))]
    evidence = unlabeled(paths, range(100, 150, 1))
    assert evidence.severity == "warning"
    assert "follow one another" in evidence.message
    scattered = [paths[n] for n in np.random.default_rng(51).permutation(150)]
    empty = [n for n, path in enumerate(scattered) if path.startswith("site_b")]
    evidence = unlabeled(scattered, empty)
    assert evidence.message == (
        "50 of 150 images (33%) have neither objects nor crowd regions."
    )
    assert evidence.severity == "warning" and evidence.advice is None


def test_copies_of_labeled_images_are_a_sign():
    paths = [
        f"train/dog{n}_jpg.rf.{copy}f3a{n:04}.jpg" for n in range(30) for copy in "abc"
    ]
    evidence = unlabeled(paths, range(0, 90, 3))
    assert "30 are copies of an image with labels" in evidence.message


def test_most_files_missing():
    rule = samples.most_files_missing
    lost, there = ["missing_file"], ["val"]

    def of(*tags, **thresholds):
        made = statistics_of(labeled([VGA] * len(tags), tags=tags))
        return evidence_of(rule, made, **thresholds)

    evidence = of(there, lost, lost)
    assert evidence.images.tolist() == [1, 2]
    assert evidence.message == (
        "The files of 2 of 3 images are missing; the first is images/1.jpg."
    )
    # The folder is the right one, or none would be there
    assert evidence.advice is None
    assert "folder" in of(lost, lost).advice
    assert of(there, there, lost, lost) is None
    assert of(there, there, lost, lost, max_share=0.4)
    assert of() is None


def test_grouping_saves_padding_where_inputs_vary():
    rule = rules.grouping_saves_padding
    sizes = [VGA, PORTRAIT] * 50
    evidence = found(rule, sizes, "shortest_side 800")
    # 1067 x 800 in batches of 1067 x 1067
    assert evidence.figures["saving"] == pytest.approx(0.25, abs=0.005)
    assert evidence.message == (
        "25% of random batches is padding at shortest_side 800; grouped by aspect "
        "ratio it is 0%, which saves 25% of the pixels."
    )
    own = found(rule, sizes, "none").message
    assert "of random batches is padding at the images' own size; grouped" in own
    assert silent(rule, sizes)
    assert silent(rule, [VGA] * 50, "shortest_side 800")
    # Which mixed-aspect-ratios tells
    assert silent(rule, [(900, 300), (300, 900)] * 50, "none")


def test_few_images_say_how_sure_a_share_is():
    rule = samples.few_images
    evidence = found(rule, [VGA] * 13)
    assert evidence.message == (
        "The set has only 13 images: 50% of these may stand for anything from 26% to "
        "74% of all such images."
    )
    assert found(rule, [VGA]).message.startswith("The set has only 1 image:")
    assert silent(rule, [VGA] * 50)
    assert silent(rule, [])


def test_few_images_margin_is_wilsons():
    stats = pytest.importorskip("scipy.stats")
    interval = stats.binomtest(10, 20).proportion_ci(method="wilson")
    message = found(samples.few_images, [VGA] * 20).message
    assert f"from {interval.low:.0%} to {interval.high:.0%}" in message.replace(
        " %", "%"
    )


def test_duplicate_file_is_one_path_twice():
    rule = samples.duplicate_file
    paths = ["a/1.jpg", "b/1.jpg", "a/2.jpg", "b/1.jpg", "a/2.jpg", "b/1.jpg"]
    evidence = evidence_of(rule, statistics_of(labeled([VGA] * 6, filepaths=paths)))
    assert evidence.images.tolist() == [1, 2, 3, 4, 5]
    assert evidence.message == (
        "5 of 6 images share a filepath with another: these 5 samples show 2 files."
    )
    paths = ["a/1.jpg", "b/1.jpg", "a/2.jpg"]
    assert not evidence_of(rule, statistics_of(labeled([VGA] * 3, filepaths=paths)))
    twice = evidence_of(rule, statistics_of(labeled([VGA] * 2, filepaths=["a"] * 2)))
    assert twice.message.endswith("these 2 samples show 1 file.")


CODES = [code for code in sorted(RULES) if code.startswith("CA2")]


@pytest.mark.parametrize("resize", ["letterbox 640", "stretch 640", "none"])
@pytest.mark.parametrize("code", CODES)
def test_no_images_have_no_findings(code, resize):
    assert not evidence_of(code, statistics_of(labeled([]), resize))


def test_finds_exactly_the_planted_images_of_the_demo(demo_files):
    made, image_ids, _ = read_labeled(demo_files.annotations)
    manifest = json.loads(demo_files.manifest.read_text())
    planted = {plant["key"]: plant["image_ids"] for plant in manifest["plants"]}
    evidence = evidence_by_code(CODES, statistics_of(made))
    assert {
        code: np.array(image_ids)[e.images].tolist() for code, e in evidence.items()
    } == {
        "CA201": planted["extreme_aspect_ratio"],
        "CA202": planted["huge_image"],
        "CA208": planted["background_image"],
    }


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("resize", "codes"),
    [
        ("letterbox 640", set()),
        ("stretch 640", set()),
        ("letterbox 1280", set()),
        # Portrait images are among the landscape ones, and inputs vary
        ("shortest_side 800 max 1333", {"CA209"}),
    ],
)
def test_photographs_of_coco_are_sound(shared_data, resize, codes):
    made, _, _ = read_labeled(shared_data / "coco_mini" / "annotations.json")
    assert evidence_by_code(CODES, statistics_of(made, resize)).keys() == codes
