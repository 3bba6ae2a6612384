"""Every mark of the panel *COCO Results* opens as much as it shows, exactly that."""

import json
import re
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np
import pytest

from fiftyone_coco_audit.evaluation.analysis.label_issues import LabelIssues
from fiftyone_coco_audit.evaluation.saving_outcomes import outcomes_of_labels
from fiftyone_coco_audit.panels.blocks import Card, Message, Plot, Tab, Text
from fiftyone_coco_audit.panels.loaded_results import LoadedResults
from fiftyone_coco_audit.panels.results_controls import ResultsControls
from fiftyone_coco_audit.panels.results_page import TABS
from fiftyone_coco_audit.panels.tabs.results import labels
from tests.results import loaded_of, random_evaluation

LOADED = {
    "one image": loaded_of(random_evaluation(1, 2)),
    "many images": loaded_of(random_evaluation(60, 6)),
    "1,200 classes": loaded_of(random_evaluation(150, 1200)),
}
EMPTY = {
    "no images": loaded_of(random_evaluation(0, 2)),
    "no objects": loaded_of(random_evaluation(3, 2, per_image=0)),
    "no classes": loaded_of(random_evaluation(2, 1, per_image=0), ["cat"]),
}
MANY = LOADED["many images"]


@pytest.fixture(autouse=True)
def _verdicts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every second label issue has a verdict, as if a database had them."""

    def verdicts(issues: LabelIssues, *_: object) -> np.ndarray:
        return np.arange(len(issues)) % 4 % 3

    monkeypatch.setattr(labels, "verdicts_on", verdicts)


def build(tab: str, loaded: LoadedResults = MANY, **controls: Any) -> Tab:
    return TABS[tab](loaded, ResultsControls(tab=tab, eval_key="eval", **controls))


def plot(tab: Tab, name: str) -> Plot:
    found = tab.plot(name)
    assert found is not None
    return found


def marks_of(figure: Plot) -> list[tuple[int, object, str]]:
    """The position of each trace and mark, and what is shown of it."""
    found: list[tuple[int, object, str]] = []
    for number, trace in enumerate(figure.figure.data):
        if trace["type"] == "heatmap":
            found += [
                (number, (row, column), text)
                for row, line in enumerate(trace["customdata"])
                for column, text in enumerate(line)
            ]
        elif trace.get("hoverinfo") != "skip":
            found += [(number, at, text) for at, text in enumerate(trace["customdata"])]
    return found


COUNT = re.compile(
    r"(?:^|<br>)(\d[\d,]*) "
    r"(?:objects?|errors?|pairs?|images?|predictions?|right|wrong|missed)\b"
)


@pytest.mark.parametrize("name", LOADED)
@pytest.mark.parametrize("tab", TABS)
def test_a_mark_opens_as_many_as_it_shows(tab: str, name: str):
    built = build(tab, LOADED[name])
    for block in built.blocks:
        if not isinstance(block, Plot):
            continue
        for trace, mark, text in marks_of(block):
            shown = COUNT.search(text)
            if shown is None:
                continue
            opened = block.pick(trace, mark)
            number = int(shown[1].replace(",", ""))
            assert len(opened) == number, (block.name, text)
            extent = LOADED[name].extent(opened)
            assert (extent.images if opened.images is not None else extent.labels) == (
                number
            )


@pytest.mark.parametrize("name", EMPTY)
@pytest.mark.parametrize("tab", TABS)
def test_a_tab_without_objects_says_what_to_do(tab: str, name: str):
    if tab == "images" and name != "no images":
        return  # Images without objects have predictions nonetheless
    built = build(tab, EMPTY[name])
    assert not [block for block in built.blocks if isinstance(block, Plot)]
    texts = [block.markdown for block in built.blocks if isinstance(block, Text)]
    assert "There are no objects to be found" in " ".join(texts)


@pytest.mark.parametrize("tab", TABS)
def test_1200_classes_are_readable(tab: str):
    loaded = LOADED["1,200 classes"]
    for block in build(tab, loaded).blocks:
        if isinstance(block, Plot):
            assert block.figure.height < 1500
            for trace in block.figure.data:
                shown = trace["z"] if trace["type"] == "heatmap" else trace["x"]
                assert len(shown) <= 101, block.name
    everything = build("classes", loaded, list_classes="all")
    known = int((loaded.results.per_class()["objects"] > 0).sum())
    assert len(plot(everything, "ap").figure.data[0]["x"]) == known


@pytest.mark.parametrize("tab", TABS)
def test_a_class_without_objects_can_be_looked_at(tab: str):
    loaded = LOADED["1,200 classes"]
    frame = loaded.results.per_class()
    nothing = frame.index[(frame["objects"] == 0) & (frame["predictions"] == 0)][0]
    alone = frame.index[(frame["objects"] == 0) & (frame["predictions"] > 0)][0]
    for name in (nothing, alone):
        for block in build(tab, loaded, class_name=name).blocks:
            if isinstance(block, Plot):
                json.dumps(block.figure.data, allow_nan=False)


def test_bars_of_classes():
    frame = MANY.results.per_class()
    tab = build("classes")
    bars = plot(tab, "ap").figure.data[0]
    assert bars["x"] == pytest.approx(sorted(frame["AP"]))
    worst = int(np.argmin(frame["AP"]))
    opened = plot(tab, "ap").pick(0, 0)
    truth = MANY.evaluation.truth
    assert opened.objects.tolist() == np.flatnonzero(truth.category == worst).tolist()
    tab = build("classes", class_name="class 2")
    assert plot(tab, "ap").figure.data[0]["x"] == pytest.approx([frame["AP"].iloc[2]])


def test_slices_open_their_objects():
    path = "ground_truth.detections.area"
    shown = plot(build("classes", slice_by=path), "slices")
    frame = MANY.results.by(path, num_draws=0)
    assert shown.figure.data[0]["x"] == pytest.approx(frame["AP"].tolist())
    for mark, count in enumerate(frame["objects"]):
        opened = shown.pick(0, mark)
        assert len(opened) == count
    areas = MANY.evaluation.truth.area[shown.pick(0, 0).objects]
    assert areas.max() <= np.quantile(MANY.evaluation.truth.area, 0.27)


def test_right_predictions_open_with_their_objects():
    outcomes = plot(build("classes", sort_by="name"), "outcomes")
    evaluation = MANY.evaluation
    opened = outcomes.pick(0, 1)
    truth, predictions = evaluation.truth, evaluation.predictions
    assert (truth.category[opened.objects] == 1).all()
    assert (predictions.category[opened.predictions] == 1).all()
    same = truth.image[opened.objects] == predictions.image[opened.predictions]
    assert same.all() and len(np.unique(opened.objects)) == len(opened)


def test_bars_of_label_issues():
    tab = build("labels")
    issues = MANY.results.label_issues()
    shown, number = plot(tab, "issues"), 0
    for trace, verdict in enumerate((1, 2, 0)):
        for mark, length in enumerate(shown.figure.data[trace]["x"]):
            opened = shown.pick(trace, mark)
            assert len(opened) == length
            number += len(opened)
            own = np.isin(issues.prediction, opened.predictions)
            assert set(np.flatnonzero(own) % 4 % 3) <= {verdict}
            if opened.objects is not None:
                assert set(opened.objects) <= set(issues.truth[own])
    assert number == len(issues) > 10
    precise = plot(tab, "precision")
    shares = precise.figure.data[0]["x"]
    assert sum(len(precise.pick(0, n)) for n in range(len(shares))) == (
        np.count_nonzero(np.arange(len(issues)) % 4 % 3)
    )


def test_the_diagonal_of_the_confusion_is_the_true_positives():
    shown = plot(build("classes", iou=0.7, score=0.3), "confusion")
    found = MANY.results.confusion(iou=0.7, score=0.3)
    assert "At IoU 0.70 and score 0.30" in shown.headline
    for row in range(6):
        opened = shown.pick(0, (row, row))
        prediction, truth = found.pairs(f"class {row}", f"class {row}")
        assert opened.predictions.tolist() == prediction.tolist()
        assert opened.objects.tolist() == truth.tolist()
    missed = shown.pick(0, (2, 6))
    assert missed.predictions is None
    assert len(missed) == len(found.pairs("class 2", None)[0])
    alone = shown.pick(0, (6, 2))
    assert alone.objects is None


def test_errors_of_a_class_are_its_own():
    tab = build("errors", class_name="class 1")
    costs = plot(tab, "costs")
    frame = MANY.results.error_costs().per_class().loc["class 1"]
    assert costs.figure.data[0]["x"][::2] == pytest.approx(frame["dAP"].tolist())
    evaluation = MANY.evaluation
    for mark, name in enumerate(frame.index):
        opened = costs.pick(0, 2 * mark)
        if opened.predictions is not None:
            own = evaluation.predictions.category[opened.predictions]
        else:
            own = evaluation.truth.category[opened.objects]
        assert (own == 1).all(), name
        assert len(opened) == frame["errors"].iloc[mark]


def test_parts_of_olrp_open_what_they_are_shares_of():
    found = MANY.results.olrp().to_frame().loc["class 0"]
    shown = plot(build("errors", class_name="class 0"), "olrp")
    right, wrong, missed = (len(shown.pick(0, mark)) for mark in range(3))
    assert wrong / (right + wrong) == pytest.approx(found["oLRP_FP"])
    assert missed / (right + missed) == pytest.approx(found["oLRP_FN"])


@pytest.mark.parametrize("iou", [0.5, 0.3, 0.85])
def test_outcomes_at_a_threshold(iou: float):
    tab = build("thresholds", score=0.4, iou=iou, class_name="class 1")
    shown = plot(tab, "threshold_outcomes")
    expected = MANY.results.score_thresholds(iou=iou).at(0.4).loc["class 1"]
    assert [len(shown.pick(0, mark)) for mark in range(3)] == [
        expected["tp"],
        expected["fp"],
        expected["fn"],
    ]
    truth, predictions = outcomes_of_labels(MANY.evaluation, iou=iou, score=0.4)
    own = MANY.evaluation.predictions.category == 1
    for mark, word in enumerate(("tp", "fp")):
        opened = shown.pick(0, mark).predictions
        assert sorted(opened) == np.flatnonzero((predictions == word) & own).tolist()
    of_truth = MANY.evaluation.truth.category == 1
    missed = np.flatnonzero((truth == "fn") & of_truth)
    assert shown.pick(0, 2).objects.tolist() == missed.tolist()


def test_sliders_at_their_ends():
    for score in (0, 1):  # Whole numbers, as the App sends them
        shown = plot(build("thresholds", score=score, iou=0.1), "threshold_outcomes")
        found = MANY.results.score_thresholds(iou=0.1).at(score).sum()
        assert len(shown.pick(0, 1)) == found["fp"]
        assert (
            f"score {score}.00,"
            in plot(build("classes", score=score), "confusion").headline
        )


def test_points_of_curves_open_what_they_count():
    shown = plot(build("thresholds", iou=0.6), "curves")
    curve = MANY.results.score_thresholds(iou=0.6).curve(points=120)
    for mark in (0, len(curve) // 2, len(curve) - 1):
        row = curve.iloc[mark]
        wrong, missed, kept = (len(shown.pick(trace, mark)) for trace in range(3))
        assert (wrong, missed, kept) == (row["fp"], row["fn"], row["tp"] + row["fp"])


def test_scores_that_are_no_probabilities_have_no_calibration():
    evaluation = random_evaluation(5, 2)
    percents = replace(
        evaluation.predictions, score=evaluation.predictions.scores * 100
    )
    loaded = loaded_of(replace(evaluation, predictions=percents))
    (message,) = (
        block
        for block in build("thresholds", loaded).blocks
        if isinstance(block, Message)
    )
    assert "outside 0 to 1" in message.text


def test_sliders_are_part_of_the_controls():
    names = {one.name for one in build("thresholds").all_controls()}
    assert {"score", "iou", "class_name"} <= names


def test_a_slider_moves_the_tab_at_once():
    loaded = loaded_of(random_evaluation(1000, 80, per_image=20))
    build("thresholds", loaded)
    for number in range(3):
        start = perf_counter()
        build("thresholds", loaded, score=0.3 + 0.1 * number, iou=0.37 + number / 100)
        assert perf_counter() - start < 1


def test_next_steps_open_what_they_gain_by():
    tab = build("next_steps")
    cards = [block for block in tab.blocks if isinstance(block, Card)]
    assert [str(card.extent) for card in cards] == ["2 labels in 1 image", "0 images"]
    texts = " ".join(b.markdown for b in tab.blocks if isinstance(b, Text))
    assert "2 next steps, the largest gain first" in texts
    assert "Sizes are not known." in texts


def images_of(tab: Tab) -> list[int]:
    opener = tab.opener("matching_images")
    assert opener is not None
    return opener.selection.images.tolist()


def test_filters_of_images():
    frame = MANY.results.per_image().reset_index(drop=True)
    ap = frame["ap"].astype(float)
    everything = images_of(build("images"))
    assert sorted(everything) == list(range(60))
    status = frame["status"].iloc[everything].tolist()
    without = status.count("no predictions")
    assert without and set(status[:without]) == {"no predictions"}
    known = ap.iloc[everything[without:]].dropna()
    assert known.is_monotonic_increasing
    for controls, expected in (
        ({"path": "/odd/"}, frame["filepath"].str.contains("odd")),
        ({"path": r"/[24]\.jpg$"}, frame.index.isin([2, 4])),
        ({"path": "(odd"}, frame.index < 0),
        ({"status": "no predictions"}, frame["status"] == "no predictions"),
        ({"ap_from": 0.25, "ap_to": 0.5}, ap.between(0.25, 0.5)),
    ):
        found = images_of(build("images", **controls))
        assert sorted(found) == np.flatnonzero(expected).tolist(), controls
    entry = next(
        c for c in build("images", path="(odd").all_controls() if c.name == "path"
    )
    assert "no regular expression" in entry.error
    chosen = images_of(build("images", class_name="class 5"))
    evaluation = MANY.evaluation
    shown = {
        *(59 - evaluation.truth.image[evaluation.truth.category == 5]),
        *(59 - evaluation.predictions.image[evaluation.predictions.category == 5]),
    }
    assert set(chosen) == shown


def test_a_bar_of_an_image_opens_that_image():
    tab = build("images")
    frame = MANY.results.influence()
    worst = np.argsort(-frame["influence"].to_numpy())[:3].tolist()
    shown = plot(tab, "influence")
    assert [shown.pick(0, mark).images.tolist() for mark in range(3)] == [
        [row] for row in worst
    ]
    assert shown.figure.data[0]["x"][0] == pytest.approx(frame["influence"].max())
    first = plot(tab, "worst").pick(0, 0).images.tolist()
    assert first == images_of(tab)[:1]


def test_bars_of_image_plots_open_what_they_count():
    tab = build("images", path="/even/")
    for name in ("statuses", "ap_of_images"):
        shown = plot(tab, name)
        for mark, count in enumerate(
            shown.figure.data[0]["x" if name == "statuses" else "y"]
        ):
            assert len(shown.pick(0, mark)) == count


def test_a_comparison_needs_another_evaluation():
    tab = build("compare")
    assert "no other evaluation" in tab.blocks[0].markdown
