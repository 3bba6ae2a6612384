"""Every rule is described whole, and its page says what the registry says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from fiftyone_coco_audit.findings import (
    PAGES,
    RULES,
    SEVERITIES,
    Evidence,
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

each_rule = pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.code)


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


@each_rule
def test_rules_have_a_code_a_name_and_a_severity(rule: Rule) -> None:
    assert RULES[rule.code] is rule
    assert re.fullmatch(r"CA\d{3}", rule.code)
    assert rule.code[:3] in SUBJECTS
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.name)
    assert [r.code for r in RULES.values() if r.name == rule.name] == [rule.code]
    assert rule.severity in SEVERITIES


@each_rule
@pytest.mark.parametrize("part", ["explanation", "advice", "example", "counterexample"])
def test_rules_say_each_thing_in_one_sentence(rule: Rule, part: str) -> None:
    said = getattr(rule, part)
    assert_is_one_sentence(getattr(said, "text", said))


@each_rule
def test_every_threshold_has_a_default_and_a_meaning(rule: Rule) -> None:
    meanings = threshold_meanings(rule)
    assert [name for name in rule.thresholds if not meanings.get(name)] == []
    for default in rule.thresholds.values():
        assert eval(repr(default)) == default  # it stands in an example to be copied


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


def rule(code: str, name: str, severity: str, why: str, *texts: str) -> Rule:
    """A rule that is not registered."""
    names = ("advice", "example", "counterexample")
    needs = {"CA1": "file", "CA6": "pipeline"}.get(code[:3], "dataset")
    parts = dict(zip(names, texts, strict=True))
    return Rule(code, name, severity, explanation=why, needs=needs, **parts)


LONG = rule("CA299", "long", "note", "Why.", "Do.", "A long one.", "No.")(long_image)
PLAIN = rule("CA101", "plain", "error", "It is plain.", "Make it so.", "A.", "B.")


def test_meanings_are_those_of_the_docstring() -> None:
    assert threshold_meanings(PLAIN) == {}
    assert threshold_meanings(LONG)["factor"] == (
        "how many times `longer`: more than the median"
    )


def test_a_page_says_all_of_its_rule() -> None:
    page = render_pages([LONG])["CA299.md"]

    assert "\n# CA299 long\n\n**note** · Images · [all rules](README.md)\n" in page
    assert "\n\nWhy.\n\n**What to do:** Do.\n" in page
    assert "\n- Found: A long one.\n- Not found: No.\n" in page
    assert (
        "| `factor` | `2.5` | how many times `longer`: more than the median |\n"
        "| `sides` | `(1, 2)` | one \\| the other |\n"
    ) in page
    assert 'thresholds={"CA299": {"factor": 2.5, "sides": (1, 2)}})' in page
    assert 'audit(dataset, ignore=["CA299"])' in page
    assert "--ignore CA299\n" in page
    assert "import" not in page.replace("/images", "")


def test_a_rule_of_the_import_has_no_thresholds_and_names_the_import() -> None:
    page = render_pages([PLAIN])["CA101.md"]

    assert "sets such records aside" in page
    assert "Thresholds" not in page


def test_a_rule_of_pipelines_names_what_finds_it() -> None:
    turned = rule("CA699", "turned", "note", "It turns.", "Stop it.", "A.", "B.")
    page = render_pages([turned])["CA699.md"]

    assert "Found by `audit_augmentation(dataset, pipeline)`" in page
    assert "ignore" not in page


def test_the_index_lists_rules_by_subject() -> None:
    index = render_pages([LONG, PLAIN])["README.md"]

    assert re.findall(r"^## (.*)|^\| \[(CA\d+)\]\(\2\.md\)", index, re.MULTILINE) == [
        ("CA1xx Files and records", ""),
        ("", "CA101"),
        ("CA2xx Images", ""),
        ("", "CA299"),
    ]
    assert "| `plain` | error | It is plain. |\n" in index


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
    assert "not current: CA101.md, CA102.md; write" in said
    assert said.count("\n") == 1
    assert (tmp_path / "CA101.md").read_text() == "old"
