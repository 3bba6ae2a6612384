"""Text from files, as a terminal, Markdown and a plot get it."""

from __future__ import annotations

import html

import pytest
from markdown_it import MarkdownIt

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.escaping import (
    markdown,
    markdown_cell,
    markdown_table,
    plot_text,
    printable,
)

HOSTILE = {
    "title": "\x1b]0;owned\x07",
    "color": "\x1b[31mred\x1b[0m",
    "c1": "\x9b2J",
    "bell": "\a\b\r",
    "direction": "cat\u202egpj.exe",
    "isolate": "\u2066a\u2069",
    "line": "a\u2028b",
    "surrogate": "caf\ud800",
    "tag": "\U000e0041",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_control_character_is_printed(text: str):
    for function in (printable, markdown, markdown_cell, plot_text):
        assert function(text).isprintable()


def test_characters_of_languages_stay():
    for text in ("naïve", "猫", "قطة", "می‌روم", "👩‍🔬", "a\nb"):
        assert printable(text) == text


def test_long_texts_lose_their_middle():
    text = printable("\x1b" * 10_000_000 + "end")
    assert len(text) == 2_000
    assert text.endswith("end")


def test_errors_are_printable():
    assert str(CocoAuditError("no \x1b[2J here")) == r"no \x1b[2J here"


@pytest.mark.parametrize(
    "text",
    [
        "![x](http://127.0.0.1/x.png)",
        "[link](javascript:alert(1))",
        "<img src=x onerror=alert(1)>",
        "# title",
        "- item",
        "1. item",
        "    code",
        "***bold***",
        "a|b",
        "&lt;",
        "setext\n===",
        "~~gone~~",
    ],
)
def test_markdown_shows_text_as_it_is(text: str):
    rendered = _rendered(markdown(text))
    assert rendered.split() == text.split(), "nothing but blanks may differ"


def test_markdown_keeps_code():
    assert markdown("class `a_b*` *is*") == r"class `a_b*` \*is\*"
    # A backtick alone opens nothing
    assert _rendered(markdown("a ` b *c*")) == "a ` b *c*"


def test_a_cell_stays_one_cell():
    assert markdown_cell("a|b\nc") == r"a\|b c"
    assert markdown_cell("`a|b`") == r"`a\|b`"


def test_tables_keep_their_cells():
    table = markdown_table(["class", "n|m"], [["a|b\nc", "1"], ["![](x)", "2"]])
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(table)
    cells = [t.children for t in tokens if t.type == "inline"]
    assert ["".join(c.content for c in cell) for cell in cells] == [
        *("class", "n|m"),
        *("a|b c", "1"),
        *("![](x)", "2"),
    ]


def test_plots_show_text_as_it_is():
    for text in ("<a href='x'>y</a>", "<b>", "&amp;", "%{y}", "$x$", "<br>"):
        shown = plot_text(text)
        assert not set("<>{}$") & set(shown)
        assert html.unescape(shown) == text


def _rendered(text: str) -> str:
    """The text of a document in Markdown, which must have no markup at all."""
    shown = []
    for token in MarkdownIt("gfm-like", {"linkify": False}).parse(text):
        assert token.type in ("paragraph_open", "inline", "paragraph_close"), token
        for child in token.children or ():
            assert child.type in ("text", "softbreak", "text_special"), child
            shown.append(child.content or "\n")
    return "".join(shown)
