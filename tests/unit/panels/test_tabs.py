"""Every mark of every plot opens as many as it shows, and exactly those."""

import json
import re
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fiftyone_coco_audit.objects import LabelledImages
from fiftyone_coco_audit.panels.blocks import Card, Plot, Tab, Text
from fiftyone_coco_audit.panels.controls import Controls
from fiftyone_coco_audit.panels.session import Reading
from fiftyone_coco_audit.panels.tabs import anchors, classes, findings, images, objects
from tests.labelled import labelled

TABS = {
    "findings": findings.build,
    "images": images.build,
    "objects": objects.build,
    "classes": classes.build,
    "anchors": anchors.build,
}
SIZES = [(640, 480), (480, 640), (640, 480), (4000, 3000), (1000, 200)]


def crowded(num_images: int, num_classes: int, seed: int = 51) -> LabelledImages:
    """A set by chance, with more of the first classes."""
    rng = np.random.default_rng(seed)
    sizes = [SIZES[n] for n in rng.integers(len(SIZES), size=num_images)]
    rows = []
    for image, (width, height) in enumerate(sizes):
        for _ in range(rng.poisson(6)):
            box = rng.uniform(0, 0.6, 4) * [width, height, width, height]
            # Mostly the first classes, and of course each of them
            name = f"class {int(num_classes * rng.beta(0.7, 2))}"
            rows.append((image, name, [*box[:2], *np.maximum(box[2:], 2)]))
    return labelled(sizes, rows, [f"class {n}" for n in range(num_classes)])


SETS = {
    "of no images": labelled([]),
    "of no objects": labelled([(640, 480), (300, 900)], classes=["cat"]),
    "of one object": labelled([(640, 480)], [(0, "cat", [10, 20, 30, 40])]),
    "of three images": crowded(3, 4),
    "of many images": crowded(60, 9),
    "of 1,200 classes": crowded(400, 1200),
    "with boxes of no size": labelled(
        [(640, 480)], [(0, "cat", [10, 20, 0, 40]), (0, "dog", [5, 5, 50, 50])]
    ),
}


def reading(labelled_images: LabelledImages) -> Reading:
    samples = SimpleNamespace(
        images=labelled_images,
        label_field="ground_truth",
        sample_ids=lambda rows: [f"s{row}" for row in rows.tolist()],
        label_ids=lambda rows: [f"l{row}" for row in rows.tolist()],
    )
    return Reading(None, samples, (len(labelled_images), None), datetime(2026, 1, 1))


def build(name: str, images: LabelledImages, **controls: str) -> Tab:
    return TABS[name](reading(images), Controls(tab=name, **controls))


def plot(tab: Tab, name: str) -> Plot:
    found = tab.plot(name)
    assert found is not None
    return found


@pytest.mark.parametrize("tab", TABS)
@pytest.mark.parametrize("of", SETS)
def test_each_tab_shows_something_sensible_of_each_set(tab: str, of: str):
    built = build(tab, SETS[of])
    assert built.blocks
    names = [block.name for block in built.blocks]
    assert len(set(names)) == len(names)
    for block in built.blocks:
        if isinstance(block, Plot):
            figure = block.figure
            json.dumps([figure.data, figure.layout], allow_nan=False)
            assert block.headline.endswith(".")
            told = f"{block.headline} {block.advice}"
            assert not re.search(r"\bnan\b", told)
        elif isinstance(block, Text):
            assert not re.search(r"\bnan\b", block.markdown)
    if not len(SETS[of].objects) and tab in ("objects", "classes", "anchors"):
        assert len(built.blocks) == 1
        assert isinstance(built.blocks[0], Text)


def marks(shown: Plot) -> list[tuple[Any, int]]:
    """The marks of a plot, and the number that each shows."""
    trace = shown.figure.data[0]
    if trace["type"] == "bar" and trace.get("orientation") != "h":
        return list(enumerate(trace["y"]))
    if trace["type"] == "heatmap":
        return [
            ((row, column), counted(text))
            for row, line in enumerate(trace["customdata"])
            for column, text in enumerate(line)
        ]
    if trace["type"] == "scatter":
        return [(n, counted(text)) for n, text in enumerate(trace["customdata"])]
    return list(enumerate(trace["x"]))


def counted(text: str) -> int:
    found = re.search(r"([\d,]+) (?:images?|objects?)\b", text)
    assert found, text
    return int(found[1].replace(",", ""))


COUNTING = {
    "images": ["aspect_ratio", "sizes", "megapixels", "magnification", "padding"],
    "objects": [
        "input_size",
        "size_class",
        "sides",
        "aspect_ratio",
        "relative_area",
        "border",
        "per_image",
        "classes_per_image",
    ],
    "classes": ["counts", "areas", "together"],
    "anchors": ["status", "score", "sides", "by_level"],
}


@pytest.mark.parametrize(
    ("tab", "name"), [(tab, name) for tab, names in COUNTING.items() for name in names]
)
@pytest.mark.parametrize("of", ["of one object", "of three images", "of many images"])
def test_each_mark_opens_as_many_as_it_shows(tab: str, name: str, of: str):
    shown = plot(build(tab, SETS[of]), name)
    total = 0
    for mark, number in marks(shown):
        selection = shown.pick(0, mark)
        assert len(selection) == number, mark
        total += number
    assert total > 0


@pytest.mark.parametrize("tab", ["images", "objects"])
def test_the_bars_of_a_histogram_share_out_all(tab: str):
    of = SETS["of many images"]
    for block in build(tab, of).blocks:
        if not isinstance(block, Plot) or block.figure.data[0]["type"] != "bar":
            continue
        if block.figure.data[0].get("orientation") == "h":
            continue
        picked = [block.pick(0, mark) for mark, _ in marks(block)]
        about_images = picked[0].objects is None
        rows = [p.images if about_images else p.objects for p in picked]
        everything = len(of) if about_images else len(of.objects)
        assert sorted(np.concatenate(rows)) == list(range(everything))


def test_bars_hold_what_their_interval_says():
    of = SETS["of many images"]
    shown = plot(build("objects", of, resize_mode="none"), "input_size")
    size = np.sqrt(of.objects.box[:, 2] * of.objects.box[:, 3])
    for mark, text in enumerate(shown.figure.data[0]["customdata"]):
        low, high = (float(end) for end in re.findall(r"[\d.]+", text.replace(",", "")))
        opened = size[shown.pick(0, mark).objects]
        # The text has three digits
        assert ((opened >= low * 0.99) & (opened <= high * 1.01)).all()


def test_headline_of_small_objects_is_that_of_the_orange_bars():
    rows = [(0, "cat", [0, 0, side, side]) for side in (4, 8, 15, 16, 40, 200)]
    tab = build("objects", labelled([(640, 640)], rows))
    shown = plot(tab, "input_size")
    assert shown.headline.startswith("50 % of the objects (3 of 6) are under 16 px")
    orange = [color != "#56B4E9" for color in shown.figure.data[0]["marker"]["color"]]
    assert np.array(shown.figure.data[0]["y"])[orange].sum() == 3


def test_a_class_is_looked_at_alone():
    of = SETS["of many images"]
    tab = build("objects", of, class_name="class 1")
    rows = np.flatnonzero(of.objects.category == 1)
    assert len(rows)
    shown = plot(tab, "input_size")
    opened = [shown.pick(0, mark).objects for mark, _ in marks(shown)]
    assert sorted(np.concatenate(opened)) == rows.tolist()
    assert f"({len(rows):,}" not in shown.headline  # how many are small
    assert f"of {len(rows):,})" in shown.headline


def test_a_class_without_objects_is_not_offered():
    tab = build("objects", SETS["of three images"], class_name="no such class")
    assert tab.controls[0].value == "*"


def test_a_cell_of_the_places_opens_the_boxes_that_cover_it():
    of = labelled([(100, 100)], [(0, "a", [0, 0, 10, 10]), (0, "a", [80, 80, 20, 20])])
    shown = plot(build("objects", of), "place")
    assert shown.pick(0, (0, 0)).objects.tolist() == [0]
    assert shown.pick(0, (19, 19)).objects.tolist() == [1]
    assert len(shown.pick(0, (10, 10))) == 0


def test_a_pair_opens_the_images_with_both():
    of = labelled(
        [(100, 100)] * 4,
        [(n, name, [0, 0, 9, 9]) for n, names in enumerate(["ab", "a", "ab", "b"])
         for name in names],
    )  # fmt: skip
    shown = plot(build("classes", of), "together")
    assert shown.pick(0, (0, 1)).images.tolist() == [0, 2]
    assert shown.pick(0, (1, 0)).images.tolist() == [0, 2]
    assert shown.pick(0, (0, 0)).images.tolist() == [0, 1, 2]
    assert shown.figure.data[0]["z"] == [[None, 2], [2, None]]
    lift = plot(build("classes", of, color_by="lift"), "together")
    assert lift.figure.data[0]["z"][0][1] == pytest.approx(2 * 4 / (3 * 3))


def test_long_lists_fold_and_unfold():
    of = SETS["of 1,200 classes"]
    present = len(np.unique(of.objects.category))
    folded = plot(build("classes", of), "counts")
    names = folded.figure.layout["yaxis"]["ticktext"]
    assert len(names) == 31
    assert names[-1] == "1,170 other classes"
    totals = np.array(folded.figure.data[0]["x"]).reshape(-1, 2)
    assert totals[:, 0].sum() == len(of.objects)
    rest = folded.pick(0, 60).objects
    assert len(rest) == totals[-1, 0]
    common = np.unique(
        of.objects.category[np.setdiff1d(np.arange(len(of.objects)), rest)]
    )
    assert len(common) == 30
    assert np.bincount(of.objects.category)[common].min() >= max(
        np.bincount(of.objects.category[rest])
    )
    assert len(folded.pick(0, 61)) == totals[-1, 1]

    unfolded = plot(build("classes", of, list_classes="all"), "counts")
    assert len(unfolded.figure.layout["yaxis"]["ticktext"]) == 1200
    assert np.count_nonzero(unfolded.figure.data[0]["x"][::2]) == present


def test_resampling_shows_what_the_statistics_say():
    from fiftyone_coco_audit.statistics.classes import ClassStatistics
    from fiftyone_coco_audit.statistics.resampling import (
        ResamplingEffect,
        default_threshold,
    )

    of = SETS["of many images"]
    statistics = ClassStatistics(of)
    for text, threshold in (
        ("", default_threshold(statistics.presence)),
        ("50", 0.5),
        ("12.5 %", 0.125),
    ):
        effect = ResamplingEffect(statistics, threshold)
        shown = plot(build("classes", of, threshold=text), "resampled")
        before, after = np.array(shown.figure.data[0]["x"]).reshape(-1, 2).T
        order = np.argsort(-statistics.objects, kind="stable")[::-1]
        assert before.tolist() == statistics.images[order].tolist()
        assert after == pytest.approx(effect.images_after[order])
        assert f"{effect.epoch_growth:.2f} times as long" in shown.headline
        assert len(shown.pick(0, 0)) == before[0]


@pytest.mark.parametrize("text", ["much", "-3", "101"])
def test_a_threshold_that_is_none_is_told(text: str):
    tab = build("classes", SETS["of many images"], threshold=text)
    assert text in tab.controls[-1].error


def test_images_are_counted_by_their_size():
    of = labelled([(640, 480)] * 3 + [(3840, 2160)])
    tab = build("images", of)
    assert (
        "75 % of the images have the most common size, 640 x 480"
        in plot(tab, "sizes").headline
    )
    assert "1 image of 4K or more" in plot(tab, "sizes").headline
    shown = plot(tab, "sizes")
    large = shown.figure.data[0]["x"].index(3840)
    assert shown.pick(0, large).images.tolist() == [3]
    assert "`letterbox 640` shrinks 25 % of the images" in (
        plot(tab, "magnification").headline
    )


@pytest.mark.parametrize("name", ["by_size", "by_class"])
def test_each_part_of_a_bar_opens_its_objects(name: str):
    of = SETS["of many images"]
    shown = plot(build("anchors", of), name)
    opened = []
    for trace, part in enumerate(shown.figure.data):
        for mark, text in enumerate(part["customdata"]):
            found = shown.pick(trace, mark).objects
            assert len(found) == counted(text)
            assert part["name"] in text
            opened.append(found)
    assert sorted(np.concatenate(opened)) == list(range(len(of.objects)))


def test_an_anchor_opens_the_objects_that_it_is_best_for():
    of = SETS["of many images"]
    shown = plot(build("anchors", of, anchors="yolov5"), "sides")
    cells, points = shown.figure.data
    assert len(points["x"]) == 9
    opened = [shown.pick(1, mark).objects for mark in range(9)]
    assert [len(one) for one in opened] == list(map(counted, points["customdata"]))
    assert sorted(np.concatenate(opened)) == list(range(len(of.objects)))


def test_a_point_lies_in_the_cell_of_its_interval():
    rows = [(0, "a", [0, 0, 10, 13]), (0, "a", [0, 0, 373, 326])]
    of = labelled([(640, 640)], rows)
    shown = plot(build("anchors", of, anchors="yolov5"), "sides")
    cells, points = shown.figure.data
    for point, row in ((0, 0), (8, 1)):  # the anchors 10 x 13 and 373 x 326
        at = round(points["y"][point]), round(points["x"][point])
        assert shown.pick(0, at).objects.tolist() == [row]


def test_anchors_agree_with_the_statistics():
    from fiftyone_coco_audit.statistics.anchors import AnchorMatches, AnchorSet
    from fiftyone_coco_audit.statistics.resizing import ResizePolicy

    of = SETS["of many images"]
    for name, resize in (("ssd300", "stretch 300"), ("yolov8", "letterbox 640")):
        policy = ResizePolicy.parse(resize)
        matches = AnchorMatches(of, policy, AnchorSet.parse(name))
        mode, size = resize.split()
        tab = build("anchors", of, anchors=name, resize_mode=mode, resize_size=size)
        shown = plot(tab, "status")
        assert (
            shown.figure.data[0]["y"]
            == np.bincount(matches.status, minlength=3).tolist()
        )
        for status in range(3):
            assert (
                shown.pick(0, status).objects.tolist()
                == np.flatnonzero(matches.status == status).tolist()
            )
        levels = plot(tab, "by_level")
        assert levels.figure.data[0]["y"] == matches.objects_per_level.tolist()


def test_anchors_can_be_written():
    text = "sizes 16,32,64 strides 8,16,32"
    of = SETS["of many images"]
    tab = build("anchors", of, anchors="custom", custom_anchors=text)
    assert "positive for these anchors at" in plot(tab, "status").headline
    assert len(plot(tab, "sides").figure.data[1]["x"]) == 3


def test_anchors_that_are_none_are_told():
    of = SETS["of many images"]
    tab = build("anchors", of, anchors="custom", custom_anchors="strides many")
    assert "many" in tab.controls[1].error
    assert "`retinanet`" in plot(tab, "status").headline


def test_findings_are_those_of_the_rules_the_gravest_first():
    rows = [(n % 3, "cat", [10.0 + n, 10, 3, 3]) for n in range(60)]
    tab = build("findings", labelled([(2000, 1500)] * 3, rows))
    found = [block.finding for block in tab.blocks if isinstance(block, Card)]
    assert found
    severities = [("error", "warning", "note").index(one.severity) for one in found]
    assert severities == sorted(severities)
    for finding in found:
        assert finding.count == len(finding.label_ids or finding.sample_ids)
