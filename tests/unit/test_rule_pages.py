"""Every rule is described whole, and its page says what the registry says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fiftyone_coco_audit.findings import (
    PAGES,
    RULES,
    SEVERITIES,
    Evidence,
    Example,
    Need,
    Rule,
    rule_page,
)
from rule_pages import (
    FOLDER,
    SUBJECTS,
    main,
    outdated_pages,
    render_pages,
    threshold_meanings,
    write_pages,
)


def test_the_pages_are_current() -> None:
    assert outdated_pages(render_pages(RULES.values()), FOLDER) == []


def test_the_address_of_a_page() -> None:
    plugin = yaml.safe_load((FOLDER.parents[1] / "fiftyone.yml").read_text())
    assert PAGES == f"{plugin['url']}/blob/main/docs/rules"
    for code in RULES:
        page = rule_page(code)
        assert page == f"{PAGES}/{code}.md"
        assert (FOLDER / page.rpartition("/")[2]).is_file()


@pytest.mark.parametrize("code", ["OWN1", "CAT1", "CA1", "XCA101"])
def test_a_rule_of_somebody_else_has_no_page(code: str) -> None:
    assert rule_page(code) is None


def test_rules_are_described_whole() -> None:
    assert len({rule.name for rule in RULES.values()}) == len(RULES)
    for code, rule in RULES.items():
        assert re.fullmatch(r"CA\d{3}", code) and rule.code == code
        assert code[:3] in SUBJECTS
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.name)
        assert rule.severity in SEVERITIES
        assert (rule.check is not None) == (rule.needs in ("dataset", "evaluation"))
        assert rule.example and rule.counterexample
        texts = [rule.example.text, rule.counterexample.text]
        # Examples of single records are shown as they are
        if rule.needs == "file" and "shift" not in rule.example.data:
            assert texts == ["", ""]
            texts = []
        sentences = [rule.explanation, rule.advice, rule.ignore, *texts]
        for sentence in (*sentences, *rule.reasons.values()):
            assert_is_one_sentence(sentence)


def test_every_threshold_has_a_meaning_and_a_reason() -> None:
    for rule in RULES.values():
        assert set(rule.thresholds) == set(rule.reasons), rule
        assert set(rule.thresholds) <= set(threshold_meanings(rule)), rule


def assert_is_one_sentence(text: str) -> None:
    without_code = re.sub(r"`[^`\n]+`", "X", text)
    assert re.match(r"[A-Z0-9]", without_code), text
    assert re.search(r"[^\s.!?;:,]\.$", without_code), text
    assert not re.search(r"[\n`]|\s\s|[.!?] [A-Z]", without_code), text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no capital.",
        "No end",
        "An end too many..",
        "One. Two.",
        "A line\nbroken.",
        "An open `code.",
    ],
)
def test_what_is_no_sentence_is_told(text: str) -> None:
    with pytest.raises(AssertionError):
        assert_is_one_sentence(text)


def long_image(
    statistics: object, *, factor: float = 2.5, sides: tuple[int, ...] = (1, 2)
) -> Iterator[Evidence]:
    """Finds long images.

    Args:
        statistics: of the images
        factor: how many times ``longer``: more
            than the median
        sides: one | the other

    Yields:
        factor: of nothing
    """
    yield Evidence("Long.")


def rule(code: str, name: str, needs: Need, **more: Any) -> Rule:
    """A rule that is not registered."""
    texts = {"explanation": "Why.", "advice": "Do.", "ignore": "Never."}
    examples = {"example": Example("A."), "counterexample": Example("B.")}
    return Rule(code, name, "note", needs=needs, **{**texts, **examples, **more})


LONG = rule(
    "CA299", "long", "dataset", reasons={"factor": "Measured.", "sides": "A source."}
)(long_image)
PLAIN = rule("CA101", "plain", "file", example=Example(images=[{"id": None}]))


def test_meanings_are_those_of_the_docstring() -> None:
    assert threshold_meanings(LONG)["factor"] == (
        "how many times `longer`: more than the median"
    )


def test_a_page_says_all_of_its_rule() -> None:
    page = render_pages([LONG])["CA299.md"]
    head = "\n# CA299 long\n\n**note** · Images · since 0.1 · [all rules](README.md)\n"
    assert head in page
    assert "Why.\n\n**What to do:** Do.\n\n**When to ignore it:** Never.\n" in page
    assert "\n- Found: A.\n- Not found: B.\n" in page
    assert (
        "| `factor` | `2.5` | how many times `longer`: more than the median | "
        "Measured. |\n| `sides` | `(1, 2)` | one \\| the other | A source. |\n"
    ) in page


def test_a_page_shows_records_as_json() -> None:
    page = render_pages([PLAIN])["CA101.md"]
    assert '- Found: `{"images": [{"id": null}]}`\n' in page
    assert "Thresholds" not in page


def test_the_index_lists_rules_by_subject() -> None:
    index = render_pages([LONG, PLAIN])["README.md"]

    assert re.findall(r"^## (.*)|^\| \[(CA\d+)\]\(\2\.md\)", index, re.MULTILINE) == [
        ("CA1xx Files and records", ""),
        ("", "CA101"),
        ("CA2xx Images", ""),
        ("", "CA299"),
    ]
    assert "| `plain` | note | Why. |\n" in index


def test_pages_are_written_and_removed(tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    write_pages(render_pages([LONG, PLAIN]), folder)
    pages = render_pages([PLAIN])
    assert outdated_pages(pages, folder) == ["CA299.md", "README.md"]

    write_pages(pages, folder)
    assert outdated_pages(pages, folder) == []
    assert {path.name for path in folder.iterdir()} == {"CA101.md", "README.md"}


def test_checking_says_what_is_not_current_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([], tmp_path) == 0
    assert main(["--check"], tmp_path) == 0
    assert capsys.readouterr() == ("", "")

    (tmp_path / "CA101.md").write_text("old")
    (tmp_path / "CA102.md").unlink()
    assert main(["--check"], tmp_path) == 1
    said = capsys.readouterr().err
    assert "out of date: CA101.md, CA102.md; write" in said
    assert said.count("\n") == 1
    assert (tmp_path / "CA101.md").read_text() == "old"
