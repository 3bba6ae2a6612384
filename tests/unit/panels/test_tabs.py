"""Every mark of every plot opens as many as it shows, and exactly those."""

import json
import re
import tracemalloc
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from fiftyone_coco_audit.objects import LabeledImages
from fiftyone_coco_audit.panels.audit_controls import AuditControls
from fiftyone_coco_audit.panels.audit_page import TABS
from fiftyone_coco_audit.panels.blocks import Buttons, Card, Plot, Row, Tab, Text
from fiftyone_coco_audit.panels.figures.figure import ORANGE
from fiftyone_coco_audit.panels.session import LoadedField
from fiftyone_coco_audit.statistics.anchor_sets import AnchorSet
from fiftyone_coco_audit.statistics.anchors import AnchorMatches
from fiftyone_coco_audit.statistics.resizing import ResizePolicy
from tests.labeled import labeled, statistics_of

SIZES = [(640, 480), (480, 640), (640, 480), (4000, 3000), (1000, 200)]


def crowded(num_images: int, num_classes: int, seed: int = 51) -> LabeledImages:
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
    return labeled(sizes, rows, [f"class {n}" for n in range(num_classes)])


SETS = {
    "of no images": labeled([]),
    "of no objects": labeled([(640, 480), (300, 900)], classes=["cat"]),
    "of one object": labeled([(640, 480)], [(0, "cat", [10, 20, 30, 40])]),
    "of three images": crowded(3, 4),
    "of many images": crowded(60, 9),
    "of 1,200 classes": crowded(400, 1200),
    "with boxes of no size only": labeled(
        [(640, 480)], [(0, "cat", [10, 20, 0, 40]), (0, "dog", [700, 5, 0, 0])]
    ),
    "with boxes of no size": labeled(
        [(640, 480)], [(0, "cat", [10, 20, 0, 40]), (0, "dog", [5, 5, 50, 50])]
    ),
}


def reading(labeled_images: LabeledImages) -> LoadedField:
    number = len(labeled_images.objects)
    ids = np.array([f"l{row}" for row in range(number)], object)
    labels = SimpleNamespace(ids=ids, sample=labeled_images.objects.image)
    read = SimpleNamespace(
        images=labeled_images,
        rows=np.arange(number),
        columns=SimpleNamespace(labels={"ground_truth": labels}),
        label_field="ground_truth",
        notes=["2 labels in 'ground_truth' have no box."],
        sample_ids=lambda rows: [f"s{row}" for row in rows.tolist()],
        label_ids=lambda rows: [f"l{row}" for row in rows.tolist()],
    )
    views = {"third": SimpleNamespace(values=lambda _: ["s2", "s0", "s7"])}
    dataset = SimpleNamespace(
        list_saved_views=lambda: list(views), load_saved_view=views.__getitem__
    )
    samples = SimpleNamespace(_root_dataset=dataset)
    return LoadedField(samples, read, (len(labeled_images), None), datetime(2026, 1, 1))


def build(name: str, images: LabeledImages, **controls: str) -> Tab:
    return TABS[name](reading(images), AuditControls(tab=name, **controls))


def test_a_table_of_all_pairs_is_never_made():
    names = [f"n{n:08d}" for n in range(21_841)]
    rows = [(0, name, [10, 10, 50, 40]) for name in (names[3], names[9])]
    tracemalloc.start()
    tab = build("classes", labeled([(200, 100)], rows, names))
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert used < 500e6, f"{used / 1e6:.0f} MB"
    assert plot(tab, "together").headline == (
        f"`{names[3]}` is never seen without `{names[9]}` (in 1 image). 1 more class "
        "is never seen without another."
    )


def plot(tab: Tab, name: str) -> Plot:
    found = tab.plot(name)
    assert found is not None
    return found


def row(tab: Tab, name: str) -> Row:
    (found,) = (b for b in tab.blocks if isinstance(b, Row) and b.name == name)
    return found


def text(tab: Tab, name: str) -> str:
    (found,) = (b for b in tab.blocks if isinstance(b, Text) and b.name == name)
    return found.markdown


def cells(tab: Tab, name: str) -> list[list[str]]:
    """The rows of the tables in a text, without their heads."""
    lines = [line for line in text(tab, name).splitlines() if line.startswith("| ")]
    rows = [line.strip("| ").split(" | ") for line in lines]
    return [one for one in rows if one[0] != "---"]


@pytest.mark.parametrize("tab", TABS)
def test_names_of_any_length_and_signs_fit_in(tab: str):
    long = "`" + 400 * "w"
    images = replace(
        crowded(60, 9),
        classes=[f"{long}\n{n}" for n in range(9)],
        filepaths=[f"folder_{n % 2}/{n}.jpg" for n in range(60)],
        tags=[["train" if n < 30 else "val"] for n in range(60)],
    )
    few = {"anchors": "custom", "custom_anchors": "sizes 8 ratios 1 strides 8"}
    told = []
    for block in build(tab, images, **few).blocks:
        if isinstance(block, Plot):
            told += [block.headline, block.advice]
        elif isinstance(block, Card):
            told.append(block.finding.message)
            # What programs go by is whole
            assert set(block.finding.classes) <= set(images.classes)
    if tab in ("findings", "objects", "classes", "anchors"):
        assert any("w…w" in text for text in told)
    for text in told:
        assert text.count("`") % 2 == 0
        assert 50 * "w" not in text


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
            assert not re.search(r"\bnan\b|n/a of", told)
        elif isinstance(block, Text):
            assert not re.search(r"\bnan\b", block.markdown)
    if not len(SETS[of]):
        told, offered = built.blocks
        assert "There are no images" in told.markdown
        (button,) = offered.buttons
        assert button.event.endswith("/import_coco")
    elif not len(SETS[of].objects) and tab in ("objects", "classes", "anchors"):
        (told,) = built.blocks
        assert "There are no objects" in told.markdown


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
        interval = text.partition("<br>")[0].replace(",", "")
        low, high = map(float, re.findall(r"[\d.]+", interval))
        opened = size[shown.pick(0, mark).objects]
        # The text has three digits
        assert ((opened >= low * 0.99) & (opened <= high * 1.01)).all()


def test_headline_of_small_objects_is_that_of_the_orange_bars():
    rows = [(0, "cat", [0, 0, side, side]) for side in (4, 8, 15, 16, 40, 200)]
    tab = build("objects", labeled([(640, 640)], rows))
    shown = plot(tab, "input_size")
    assert shown.headline.startswith("50% of the objects (3 of 6) are under 16 px")
    orange = [color != "#56B4E9" for color in shown.figure.data[0]["marker"]["color"]]
    assert np.array(shown.figure.data[0]["y"])[orange].sum() == 3


def test_the_small_objects_are_counted_by_size():
    rows = [(0, "cat", [0, 0, side, side]) for side in (2, 5, 9, 15, 16, 31, 32, 90)]
    shown = plot(build("objects", labeled([(640, 640)], rows)), "input_size")
    assert shown.advice == "Objects under 4, 8, 16 and 32 px: 1, 2, 4 and 6."


def test_images_that_keep_their_size_are_not_marked_as_enlarged():
    of = labeled([(640, 480)] * 9 + [(638, 480), (500, 400)])
    shown = plot(build("images", of), "magnification")
    assert "enlarges 18%" in shown.headline
    told = [color == ORANGE for color in shown.figure.data[0]["marker"]["color"]]
    marked = [n for n, is_notable in enumerate(told) if is_notable]
    opened = [shown.pick(0, n).images.tolist() for n in marked]
    assert [10] in opened
    assert not any(0 in images for images in opened)


def test_classes_that_are_not_shown_are_counted():
    tab = build("objects", SETS["of 1,200 classes"])
    present = len(np.unique(SETS["of 1,200 classes"].objects.category))
    small = plot(tab, "small_by_class").headline
    # Only those with small objects are worth a bar
    affected = int(small.partition(" classes have")[0])
    assert 30 < affected < present
    for headline, count in (
        (small, affected),
        (plot(tab, "smallest_input").headline, present),
    ):
        assert headline.endswith(f"The 30 worst of {count:,} classes are shown.")
    assert "are shown" not in (
        plot(build("objects", SETS["of many images"]), "smallest_input").headline
    )


@pytest.mark.parametrize(
    ("of", "says"), [(SETS["of many images"], False), (SETS["of 1,200 classes"], True)]
)
def test_pairs_and_resampling_say_which_classes_are_shown(
    of: LabeledImages, says: bool
):
    tab = build("classes", of)
    present = len(np.unique(of.objects.category))
    for name, which in (("together", "most common"), ("resampled", "rarest")):
        told = f" The 30 {which} of {present:,} classes are shown."
        assert plot(tab, name).headline.endswith(told) == says


def test_of_many_classes_only_those_with_small_objects_have_a_bar():
    rows = [(n, f"class {n}", [10, 10, 60, 60]) for n in range(40)]
    rows += [(n, f"class {n}", [90, 90, 8, 8]) for n in (3, 5)]
    shown = plot(build("objects", labeled([(640, 480)] * 40, rows)), "small_by_class")
    assert shown.headline == (
        "2 classes have objects under 16 px; the largest share is 50%, in `class 3`."
    )
    assert list(shown.figure.data[0]["x"]) == [50, 50]


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
    of = labeled([(100, 100)], [(0, "a", [0, 0, 10, 10]), (0, "a", [80, 80, 20, 20])])
    shown = plot(build("objects", of), "place")
    assert shown.pick(0, (0, 0)).objects.tolist() == [0]
    assert shown.pick(0, (19, 19)).objects.tolist() == [1]
    assert len(shown.pick(0, (10, 10))) == 0


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ("ab", "(in 1 image). 1 more class is never seen without another."),
        ("abc", "(in 1 image). 2 more classes are never seen without another."),
    ],
)
def test_classes_that_are_tied_to_another_are_counted(names: str, told: str):
    box = [10, 20, 30, 40]
    images = labeled([(640, 480)] * 2, [(0, name, box) for name in names])
    assert plot(build("classes", images), "together").headline.endswith(told)


def test_a_pair_opens_the_images_with_both():
    of = labeled(
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


def test_a_view_of_a_few_images_says_what_was_not_examined():
    few = replace(SETS["of three images"], whole=200)
    notes = [b.markdown for b in build("findings", few).blocks if isinstance(b, Text)]
    assert any("3 of 200 images, too few to say" in note for note in notes)
    assert build("findings", SETS["of three images"]).blocks
    codes = [
        b.finding.code for b in build("findings", few).blocks if isinstance(b, Card)
    ]
    assert not {"CA401", "CA403", "CA404"} & set(codes)


def test_a_weak_relation_of_size_and_number_is_none():
    """Of 400 classes a rank correlation of .15 is significant, and means little."""
    rng = np.random.default_rng(51)
    counts = rng.permutation(400) % 9 + 1
    sides = 20 + 3 * counts + rng.integers(0, 160, 400)
    rows = [
        (0, f"n{n:03d}", [0, 0, side, side])
        for n, (count, side) in enumerate(zip(counts, sides.tolist(), strict=True))
        for _ in range(count)
    ]
    images = labeled([(640, 480)], rows)
    found = statistics_of(images).classes.size_count_correlation
    assert found.p_value < 0.05 and 0.1 < found.spearman < 0.25
    headline = plot(build("classes", images), "areas").headline
    assert headline.startswith("No clear relation of size and number of objects")


def test_long_lists_fold_and_unfold():
    of = SETS["of 1,200 classes"]
    present = len(np.unique(of.objects.category))
    folded = plot(build("classes", of), "counts")
    names = folded.figure.layout["yaxis"]["ticktext"]
    assert len(names) == 31
    assert names[-1] == "1,170 other classes"
    totals = np.array(folded.figure.data[0]["x"]).reshape(-1, 2)
    assert totals[:, 0].sum() == len(of.objects)
    # The axis ends with the bars of single classes
    assert folded.figure.layout["xaxis"]["range"][1] < 1.1 * totals[:-1].max()
    assert f"{totals[-1, 0]:,} objects" in folded.advice
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
        ("12.5%", 0.125),
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
    threshold, exponent = row(tab, "resampling").controls
    assert text in threshold.error
    assert not exponent.error


def test_an_exponent_can_be_set():
    from fiftyone_coco_audit.statistics.classes import ClassStatistics
    from fiftyone_coco_audit.statistics.resampling import (
        ResamplingEffect,
        default_threshold,
    )

    of = SETS["of many images"]
    statistics = ClassStatistics(of)
    for exponent in (0.0, 0.5, 1.0):
        proposed = default_threshold(statistics.presence, exponent=exponent)
        effect = ResamplingEffect(statistics, proposed, exponent)
        tab = build("classes", of, exponent=f"{exponent:g}")
        after = np.array(plot(tab, "resampled").figure.data[0]["x"])[1::2]
        assert sorted(after) == pytest.approx(sorted(effect.images_after))
    tab = build("classes", of, exponent="much")
    threshold, entry = row(tab, "resampling").controls
    assert "'much' is no exponent" in entry.error
    assert not threshold.error
    assert (
        plot(tab, "resampled").figure.data
        == plot(build("classes", of), "resampled").figure.data
    )


def test_side_effects_are_named():
    # 18 of 20 images with a cat show nothing else, 10 an ant as well
    rows = [(n, "cat", [0, 0, 50, 50]) for n in range(20)]
    rows += [(n, "bee", [0, 0, 50, 50]) for n in range(20, 60)]
    rows += [(n, "ant", [60, 60, 50, 50]) for n in range(10)]
    tab = build("classes", labeled([(640, 480)] * 90, rows), threshold="20")
    factor = np.sqrt(0.2 / (10 / 90))
    assert plot(tab, "resampled").advice.endswith(
        "Its side effects: "
        f"raising `ant` {factor:.2g}x raises `cat` {(factor + 1) / 2:.2g}x."
    )
    tab = build("classes", labeled([(640, 480)] * 90, rows), threshold="0")
    assert "raises only classes that are rare" in plot(tab, "resampled").advice


def test_the_threshold_that_is_shown_is_the_proposed_one():
    of = SETS["of many images"]
    entry = row(build("classes", of), "resampling").controls[0]
    again = build("classes", of, threshold=entry.value)
    first, second = (
        plot(tab, "resampled").figure.data[0]["x"]
        for tab in (build("classes", of), again)
    )
    assert first == second


def test_images_are_counted_by_their_size():
    of = labeled([(640, 480)] * 3 + [(3840, 2160)])
    tab = build("images", of)
    assert (
        "75% of the images have the most common size, 640 x 480"
        in plot(tab, "sizes").headline
    )
    assert "1 image of 4K or more" in plot(tab, "sizes").headline
    shown = plot(tab, "sizes")
    large = shown.figure.data[0]["x"].index(3840)
    assert shown.pick(0, large).images.tolist() == [3]
    assert "`letterbox 640` shrinks 25% of the images" in (
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
    of = labeled([(640, 640)], rows)
    shown = plot(build("anchors", of, anchors="yolov5"), "sides")
    cells, points = shown.figure.data
    for point, row in ((0, 0), (8, 1)):  # the anchors 10 x 13 and 373 x 326
        at = round(points["y"][point]), round(points["x"][point])
        assert shown.pick(0, at).objects.tolist() == [row]


def test_anchors_agree_with_the_statistics():
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
    tab = build("findings", labeled([(2000, 1500)] * 3, rows))
    found = [block.finding for block in tab.blocks if isinstance(block, Card)]
    assert found
    severities = [("error", "warning", "note").index(one.severity) for one in found]
    assert severities == sorted(severities)
    for finding in found:
        assert finding.count == len(finding.label_ids or finding.sample_ids)
    assert text(tab, "note0") == r"2 labels in 'ground\_truth' have no box."


def tagged_set() -> LabeledImages:
    """30 images tagged a, the first 20 of them train, and 30 tagged b."""
    rows = []
    for image in range(60):
        rows.append((image, "plate", [10, 10, 40 + image, 30]))
        if image < 30:
            rows.append((image, "mug", [50, 50, 20, 20]))
    return replace(
        labeled([(640, 480)] * 60, rows),
        tags=[["a", "train"] if n < 20 else ["a"] if n < 30 else ["b"]
              for n in range(60)],
    )  # fmt: skip


def test_a_class_that_a_source_lacks_is_marked_and_opens_its_images():
    of = tagged_set()
    tab = build("classes", of)
    assert row(tab, "sources").controls[0].value == "tag"
    shown = plot(tab, "source_gaps")
    assert shown.headline == (
        "`mug` is labeled in none of the 30 images of the tag `b`; elsewhere it is in "
        "100%."
    )
    (frame,) = shown.figure.layout["shapes"]
    column, line = round(frame["x0"] + 0.46), round(frame["y0"] + 0.46)
    names = shown.figure.layout["xaxis"]["ticktext"]
    sources = shown.figure.layout["yaxis"]["ticktext"]
    assert (names[column], sources[line]) == ("mug", "b")
    assert shown.figure.data[0]["z"][line][column] is None
    assert (
        "0 of 30 images, 30 expected"
        in (shown.figure.data[0]["customdata"][line][column])
    )
    assert shown.pick(0, (line, column)).images.tolist() == list(range(30, 60))


def test_folders_are_sources():
    of = replace(
        tagged_set(), filepaths=[f"/data/{'xy'[n % 2]}/{n}.jpg" for n in range(60)]
    )
    tab = build("classes", of)
    assert row(tab, "sources").controls[0].value == "folder"
    shown = plot(tab, "source_gaps")
    assert shown.headline.startswith("No class is clearly missing from a whole folder")
    assert shown.figure.layout["shapes"] == []
    assert shown.pick(0, (1, 0)).images.tolist() == list(range(1, 60, 2))
    by_tag = build("classes", of, source_by="tag")
    assert "`mug`" in plot(by_tag, "source_gaps").headline


def test_without_tags_it_is_told_what_they_are_for():
    tab = build("classes", SETS["of many images"])
    assert "Tag the images" in text(tab, "no_sources")
    # A saved view alone is not two sets
    assert "not yet two sets" in text(tab, "no_sets")


def test_equal_classes_are_told_to_be_equal():
    of = labeled([(100, 100)], [(0, name, [0, 0, 9, 9]) for name in "abba"])
    assert plot(build("classes", of), "counts").headline == (
        "Each of 2 classes has 2 objects."
    )


SET_CHOICES = {"first_set": "tag:train", "second_set": "tag:b"}


def test_two_tags_are_compared():
    of = tagged_set()
    tab = build("classes", of, **SET_CHOICES)
    assert "`mug` has 20 objects in tag train and none in tag b." in text(tab, "sets")
    shares = plot(tab, "set_classes")
    trace = shares.figure.data[0]
    names = shares.figure.layout["yaxis"]["ticktext"]
    values = np.array(trace["x"]).reshape(-1, 2)
    assert values[names.index("mug")].tolist() == [50, 0]
    assert values[names.index("plate")].tolist() == [50, 100]
    mug = of.classes.index("mug")
    opened = shares.pick(0, 2 * names.index("mug")).objects
    assert (of.objects.category[opened] == mug).all()
    assert of.objects.image[opened].tolist() == list(range(20))
    assert len(shares.pick(0, 2 * names.index("mug") + 1)) == 0


@pytest.mark.parametrize("compared", ["size", "num_objects", "aspect_ratio"])
def test_bars_of_both_sets_open_what_they_count(compared: str):
    of = tagged_set()
    shown = plot(build("classes", of, compared=compared, **SET_CHOICES), "set_property")
    images = [np.arange(20), np.arange(30, 60)]
    for trace, part in enumerate(shown.figure.data):
        picked = [shown.pick(trace, mark) for mark in range(len(part["x"]))]
        numbers = [counted(told) for told in part["customdata"]]
        assert [len(one) for one in picked] == numbers
        assert part["y"] == pytest.approx(100 * np.array(numbers) / sum(numbers))
        if compared == "size":
            rows = np.concatenate([one.objects for one in picked])
            expected = np.flatnonzero(np.isin(of.objects.image, images[trace]))
        else:
            rows = np.concatenate([one.images for one in picked])
            expected = images[trace]
        assert sorted(rows) == expected.tolist()


def test_a_saved_view_is_a_set():
    tab = build(
        "classes", tagged_set(), first_set="view:third", second_set="tag:b",
        compared="num_objects",
    )  # fmt: skip
    shown = plot(tab, "set_property")
    first = shown.figure.data[0]
    opened = np.concatenate([shown.pick(0, n).images for n in range(len(first["x"]))])
    assert sorted(opened) == [0, 2, 7]


def test_one_set_alone_is_not_compared():
    for second in ("", "tag:train", "tag:gone"):
        tab = build("classes", tagged_set(), first_set="tag:train", second_set=second)
        assert "Choose two sets" in text(tab, "no_sets")
        assert tab.plot("set_classes") is None


@pytest.mark.parametrize("significant", [True, False])
def test_a_relation_of_size_and_number_is_told_only_where_there_is_one(significant):
    # Of 8 classes those of more objects are larger, or it is by chance
    sides = range(10, 90, 10) if significant else (40, 10, 70, 20, 80, 30, 50, 60)
    rows = [
        (0, f"class {n}", [0, 0, side, side])
        for n, side in enumerate(sides)
        for _ in range(n + 1)
    ]
    headline = plot(build("classes", labeled([(640, 480)], rows)), "areas").headline
    expected = spearmanr(range(8), list(sides))
    assert (expected.pvalue < 0.05) == significant
    beginning = (
        "Common classes tend to be larger" if significant else "No clear relation"
    )
    assert headline.startswith(beginning)
    assert f"is {expected.statistic:.2f} over 8 classes" in headline
    assert f"(p = {expected.pvalue:.2g})" in headline


def test_other_sizes_and_batches_are_told():
    # Landscape and portrait by turns: a letterbox of one shape suits neither
    of = labeled([(640, 480), (480, 640)] * 20)
    tab = build("images", of)
    by_size, as_needed = cells(tab, "batches")[1:]
    assert by_size[1:] == ["0%", "0%", "0%"]
    # Of 8 images drawn at random nearly all are of both shapes: padded to a square
    random = 1 - (640 * 480 / 640**2) * (1 - 2 / 2**8) - 2 / 2**8
    assert float(as_needed[1].rstrip(" %")) == pytest.approx(100 * random, abs=1)
    assert as_needed[2] == "0%"
    policies = {line[0]: line[1:] for line in cells(tab, "proposals")[1:]}
    assert policies["`letterbox 640`"][:2] == ["25%", "0%"]
    assert policies["`letterbox 640`"][3:] == ["0%", "0%"]
    assert "stretch" not in text(tab, "proposals").partition("|")[0]


def test_a_larger_input_and_tiles_are_held_against_each_other():
    # 100 objects of 20 px in images that are halved: 10 px, and 16 at 1024
    rows = [(n, "ab"[n % 2], [100 + 5 * n, 200, 20, 20]) for n in range(100)]
    tab = build("objects", labeled([(1280, 1280)] * 100, rows))
    present, larger, tiles = cells(tab, "alternatives")[1:]
    assert present == ["Current", "`letterbox 640`", "1", "100%", "0"]
    assert larger == ["Smallest for 95%", "`letterbox 1024`", "1", "0%", "0"]
    assert tiles[0] == "Tiles of 800 px that share 32 px"
    assert tiles[2:] == ["4", "0%", "0 (0%)"]
    shown = plot(tab, "smallest_input")
    assert shown.figure.data[0]["x"] == [1024, 1024]
    assert "2 classes need more than 640" in shown.headline
    assert [len(shown.pick(0, mark)) for mark in (0, 1)] == [50, 50]


def test_the_objects_that_decide_on_an_input_are_opened():
    rows = [(0, "nut", [0, 0, side, side]) for side in [4] * 5 + [8] * 2 + [64] * 93]
    rows.append((0, "bolt", [0, 0, 100, 100]))
    shown = plot(build("objects", labeled([(640, 640)], rows)), "smallest_input")
    # 95 of 100 must have 16 px: the five smallest need not
    assert shown.figure.data[0]["x"] == [1280, 128]
    assert shown.pick(0, 0).objects.tolist() == list(range(7))


def test_anchors_are_proposed_when_asked():
    of = crowded(150, 3)
    asked = build("anchors", of, anchors="yolov5")
    (button,) = next(b for b in asked.blocks if isinstance(b, Buttons)).buttons
    assert not [b for b in asked.blocks if b.name == "proposal"]
    answered = build("anchors", of, anchors="yolov5", **button.sets)
    proposal = statistics_of(of, anchors="yolov5").anchor_proposal
    assert proposal.is_better
    told = text(answered, "proposal")
    assert told.startswith(f"**{proposal.reason}**")
    assert [f"{proposal.before.mean_iou:.3f}", f"{proposal.after.mean_iou:.3f}"] in [
        line[1:] for line in cells(answered, "proposal")
    ]
    # The text to copy, as Python reads it, and the button are the same anchors
    code = told.partition("```python\n")[2].partition("```")[0]
    assert max(map(len, code.splitlines())) < 70
    pasted: dict[str, str] = {}
    exec(code, pasted)
    assert AnchorSet.parse(pasted["anchors"]) == AnchorSet.parse(str(proposal.anchors))
    use = next(b for b in answered.blocks if b.name == "use_anchors").buttons[0]
    used = build("anchors", of, **use.sets)
    reached = (
        1
        - AnchorMatches(
            of, ResizePolicy.parse("letterbox 640"), proposal.anchors
        ).shares["unreachable"]
    )
    assert plot(used, "status").figure.data[0]["y"][2] == pytest.approx(
        (1 - reached) * len(of.objects), abs=1
    )
    # For another input it is another question
    other = build("anchors", of, anchors="yolov5", resize_size="320", **button.sets)
    assert not [b for b in other.blocks if b.name == "proposal"]


def outlined(shown: Plot, name: str) -> list[list[float]]:
    """The boxes of a legend's entry, ``[x, y, width, height]``."""
    trace = next(t for t in shown.figure.data if t.get("name") == name)
    x, y = (np.array(trace[axis], float).reshape(-1, 6) for axis in "xy")
    return np.stack(
        [x[:, 0], y[:, 0], x[:, 1] - x[:, 0], y[:, 2] - y[:, 1]], axis=1
    ).tolist()


def test_anchors_are_drawn_beside_the_objects_of_a_sample():
    # The cell of (320, 320) holds an anchor of 64 x 64 that is the first object itself
    rows = [
        (1, "cat", [288, 288, 64, 64]),
        (1, "dog", [100, 100, 4, 4]),
        (2, "cat", [288, 288, 64, 64]),
    ]
    of = labeled([(640, 640)] * 3, rows)
    settings = {"anchors": "custom", "custom_anchors": "sizes 64 strides 32 iou .5,.4"}
    tab = build("anchors", of, **settings)
    shown = plot(tab, "drawn")
    assert "1 of 2 objects are positive, 1 unreachable" in shown.headline
    assert outlined(shown, "object, positive") == [[288, 288, 64, 64]]
    assert outlined(shown, "best anchor") == [[288, 288, 64, 64]]
    assert outlined(shown, "object, unreachable") == [[100, 100, 4, 4]]
    assert "IoU 1.00" in shown.figure.data[-1]["customdata"][0]
    assert shown.pick(len(shown.figure.data) - 1, 1).objects.tolist() == [1]
    # Its file is not there
    assert shown.figure.layout["images"] == []
    assert shown.advice == "Its file cannot be shown: No such file or directory."
    # The next sample is the other one with objects, and then the first one again
    buttons = next(b for b in tab.blocks if b.name == "samples").buttons
    assert buttons[0].sets == {"sample": "s2"}
    following = build("anchors", of, sample="s2", **settings)
    assert plot(following, "drawn").pick(0, 0).objects.tolist() == [2]
    assert next(b for b in following.blocks if b.name == "samples").buttons[0].sets == {
        "sample": "s1"
    }
    # One without objects may be selected all the same
    empty = plot(build("anchors", of, sample="s0", **settings), "drawn")
    assert "0 of 0 objects" in empty.headline


def test_locations_are_drawn_where_there_are_no_anchors():
    of = SETS["of many images"]
    tab = build("anchors", of, anchors="yolov8")
    shown = plot(tab, "drawn")
    assert {"best location", "locations of one cell"} <= {
        trace.get("name") for trace in shown.figure.data
    }
    assert "IoU" not in "".join(shown.figure.data[-1]["customdata"])
