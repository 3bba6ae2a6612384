"""The pages say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import fiftyone_coco_audit.coco.rules
import fiftyone_coco_audit.rules  # noqa: F401  (fills the registry, as does the above)
from fiftyone_coco_audit.evaluation.fields import all_fields
from fiftyone_coco_audit.findings import RULES, SEVERITIES

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def test_the_page_on_import_gives_rules_their_names_and_severities() -> None:
    rows = re.findall(
        r"^\| (error|warning|note) \|(.*)$",
        (ROOT / "docs" / "import.md").read_text(),
        flags=re.MULTILINE,
    )
    assert [severity for severity, _ in rows] == list(SEVERITIES)
    for severity, examples in rows:
        rules = re.findall(r"\[(CA\d+)\]\(rules/\1\.md\) `(\S+)`", examples)
        assert rules
        for code, name in rules:
            assert (RULES[code].name, RULES[code].severity) == (name, severity)


def test_codes_are_those_of_rules() -> None:
    for page in PAGES:
        codes = set(re.findall(r"\bCA\d{3}\b", page.read_text()))
        assert codes <= set(RULES), page


def test_the_page_on_fields_lists_every_field() -> None:
    page = (ROOT / "docs" / "fields.md").read_text()
    for path in all_fields("{key}", "p", "g"):
        assert f"`{path.rsplit('.', 1)[-1]}`" in page


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
        assert not [link for link in links if not (page.parent / link).exists()], page
