"""A click opens what it says, whatever the panel shows by then; and the way back."""

from typing import Any

import fiftyone as fo
import pytest
from fiftyone import ViewField as F
from fiftyone.operators.operations import _serialize_view
from fiftyone.server.view import get_view

from fiftyone_coco_audit import audit
from fiftyone_coco_audit.panels import opening
from fiftyone_coco_audit.panels.pages import DRAWN
from tests.app.audit_session import Session

GROUND_TRUTH = "ground_truth.detections"
REFUSED = "nothing was opened: click again"


def test_a_card_of_an_earlier_drawing_opens_what_it_said(demo_dataset: fo.Dataset):
    session = Session(demo_dataset)
    expected = [finding for finding in audit(demo_dataset) if finding.subject]
    cards = session.cards()
    # Another audit runs fewer rules, so that each card has another place by now
    audit(demo_dataset, ignore=["CA301", "CA302", "CA201"])
    session.send("on_load")
    assert len(session.cards()) < len(cards)
    for finding, card in zip(expected, cards, strict=True):
        session.send("open_finding", **card)
        assert session.view.values("id") == finding.view(demo_dataset).values("id")
        assert any(finding.code in notice for notice in session.notices)


def test_names_of_cards_say_what_they_are_about(demo_dataset: fo.Dataset):
    session = Session(demo_dataset)
    found = [finding for finding in audit(demo_dataset) if finding.subject]
    names = [card["card"] for card in session.cards()]
    assert [name.partition("_")[0] for name in names] == [f.code for f in found]
    assert len(set(names)) == len(names)
    # The same finding has the same name in another panel
    assert [card["card"] for card in Session(demo_dataset).cards()] == names


def test_a_mark_of_an_earlier_drawing_opens_what_it_said(demo_dataset: fo.Dataset):
    session = Session(demo_dataset)
    session.turn_to("classes")
    marks = [session.mark("classes.counts", 2 * place) for place in range(3)]
    cell = session.mark("classes.together", [0, 1])
    order = session.plots["classes.counts"][0]["x"][::2]
    session.change("label_field", "predictions")
    assert session.plots["classes.counts"][0]["x"][::2] != order
    for mark, count in zip(marks, order, strict=False):
        session.send("open_mark", **mark)
        assert session.view.count(GROUND_TRUTH) == count
    session.send("open_mark", **cell)
    names = sorted(demo_dataset.count_values(f"{GROUND_TRUTH}.label").items())
    first, second = sorted(names, key=lambda pair: -pair[1])[:2]
    for name, _ in (first, second):
        shown = session.view.filter_labels("ground_truth", F("label") == name)
        assert len(shown) == len(session.view)


@pytest.mark.parametrize("event", ["open_finding", "open_mark"])
def test_what_no_longer_fits_is_refused(demo_dataset: fo.Dataset, event: str):
    session = Session(demo_dataset)
    sent: dict[str, Any] = session.cards()[0]
    if event == "open_mark":
        session.turn_to("images")
        sent = session.mark("images.aspect_ratio", 0)
    sent |= {"stamp": "of another server", "id": "of another server.0"}
    session.send(event, **sent)
    assert session.view is None
    (notice,) = session.notices
    assert REFUSED in notice


def test_a_card_that_the_page_never_had_is_refused(demo_dataset: fo.Dataset):
    session = Session(demo_dataset)
    session.send("open_finding", **{**session.cards()[0], "card": "finding0"})
    assert session.view is None
    assert REFUSED in session.notices[0]


def test_a_click_in_another_dataset_is_refused(demo_dataset: fo.Dataset):
    session = Session(demo_dataset)
    card = session.cards()[0]
    other = demo_dataset.clone()
    try:
        session.context = {"dataset": other}
        session.send("open_finding", **card)
        assert session.view is None
        assert REFUSED in session.notices[0]
    finally:
        other.delete()


def test_of_two_clicks_the_later_one_counts(
    demo_dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch
):
    session = Session(demo_dataset)
    first, second = session.cards()[:2]
    make_view = opening.Opened.view

    def interrupted(opened: opening.Opened) -> fo.DatasetView:
        monkeypatch.setattr(opening.Opened, "view", make_view)
        session.send("open_finding", **second)
        assert session.view is not None
        return make_view(opened)

    monkeypatch.setattr(opening.Opened, "view", interrupted)
    session.send("open_finding", **first)
    assert session.view is None
    assert second["card"].partition("_")[0] in session.shown


def test_pages_that_are_not_drawn_any_more_are_forgotten(demo_dataset: fo.Dataset):
    session = Session(demo_dataset)
    for size in range(320, 340):
        session.change("resize_size", str(size))
    assert len(DRAWN._pages) <= 16


def test_buttons_say_how_many_labels_in_how_many_images(demo_dataset: fo.Dataset):
    session = Session(demo_dataset)
    for finding in audit(demo_dataset):
        if not finding.label_ids:
            continue
        images = len(finding.view(demo_dataset))
        labels = f"{finding.count} label{'s' * (finding.count > 1)}"
        several = f"{images} image{'s' * (images > 1)}"
        whole = f"'Open {labels} in {several}'"
        assert whole in session.shown or (
            f"'Open {labels} as patches'" in session.shown
            and f"'In {several}'" in session.shown
        )


def test_labels_as_patches_and_back(demo_dataset: fo.Dataset):
    session = Session(demo_dataset)
    finding = next(f for f in audit(demo_dataset) if f.label_ids)
    card = session.cards(as_patches=True)[0]
    session.send("open_finding", **card)
    assert session.view._is_patches
    assert sorted(session.view.values("ground_truth.id")) == sorted(finding.label_ids)
    extent = f"{finding.count} labels in {len(finding.view(demo_dataset))} images"
    assert f"The grid shows **{extent}, as patches ({finding.code})**" in session.shown

    session.send("open_otherwise", as_patches=False)
    assert session.view.values("id") == finding.view(demo_dataset).values("id")
    assert f"The grid shows **{extent} ({finding.code})**" in session.shown

    session.send("go_back")
    assert "clear_view" in session.asked
    assert "The grid shows the whole dataset" in session.shown


def test_the_way_back_leads_to_the_order_that_was_shown(demo_dataset: fo.Dataset):
    before = demo_dataset.sort_by("filepath", reverse=True)
    session = Session(demo_dataset, view=before)
    assert "The grid shows another view" in session.shown
    for card in session.cards()[:3]:
        session.send("open_finding", **card)
        # As the App sends it back
        stages = _serialize_view(session.view)
        session.context["view"] = get_view(demo_dataset, stages=stages)
        session.send("on_change_view")
        assert "(CA" in str(session.form)
    session.send("go_back")
    assert session.view.values("id") == before.values("id")


def test_only_another_view_is_worth_a_drawing(demo_dataset: fo.Dataset):
    session = Session(demo_dataset, view=demo_dataset.view())
    session.send("on_change_view")
    assert session.output is None
    session.context["view"] = demo_dataset.limit(3)
    session.send("on_change_view")
    assert "The grid shows another view" in session.shown
    assert "Audit this view" in session.shown


def test_a_line_of_text_that_is_first_shown_changes_nothing(demo_dataset: fo.Dataset):
    session = Session(demo_dataset)
    session.turn_to("classes")
    for name, value in session.controls().items():
        session.send("change", path=f"prototype.row.{name}", value=value)
        assert session.output is None
    session.change("threshold", "5")
    assert "fewer than 5%" in session.shown
    # One of an earlier drawing has no say
    session.send("set_controls", sets={"threshold": "7"})
    assert "fewer than 7%" in session.shown
    session.send("change", path="prototype.resampling.threshold__0", value="5")
    assert session.output is None


def test_an_emptied_line_shows_the_default_again(demo_dataset: fo.Dataset):
    session = Session(demo_dataset)
    session.turn_to("images", resize_size="320")
    assert "letterbox 320" in session.shown
    session.change("resize_size", None)
    assert "letterbox 640" in session.shown
    assert session.value_of("resize_size") == "640"


def test_labels_are_redrawn_as_the_last_resort(demo_dataset: fo.Dataset):
    session = Session(demo_dataset)
    session.send("redraw_labels")
    assert "reload_samples" in session.asked
