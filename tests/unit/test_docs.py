"""The pages say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import fiftyone_coco_audit.coco.rules
import fiftyone_coco_audit.rules  # noqa: F401  (fills the registry, as does the above)
from fiftyone_coco_audit.augmentation.damage import KINDS
from fiftyone_coco_audit.evaluation.error_types import ERROR_TYPES
from fiftyone_coco_audit.evaluation.fields import all_fields
from fiftyone_coco_audit.findings import RULES, SEVERITIES
from fiftyone_coco_audit.panels.audit_page import TABS
from fiftyone_coco_audit.panels.drawing import tab_title
from fiftyone_coco_audit.panels.results_page import TABS as RESULT_TABS
from fiftyone_coco_audit.statistics.fields import OF_IMAGES, OF_OBJECTS

ROOT = Path(__file__).parents[2]
FIELDS = (ROOT / "docs" / "fields.md").read_text()
PANEL = (ROOT / "docs" / "panel.md").read_text()
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
    fields = {path.rsplit(".", 1)[-1] for path in all_fields("{key}", "p", "g")}
    fields |= {column.name for column in (*OF_IMAGES, *OF_OBJECTS)}
    assert {name for name in fields if f"`{name}`" not in FIELDS} == set()


def test_the_page_on_fields_explains_every_type_of_error() -> None:
    row = re.compile(r"^\| `(\w+)` \| false (?:positive|negative): ", re.MULTILINE)
    assert row.findall(FIELDS) == list(ERROR_TYPES)


def test_the_page_on_augmentation_explains_every_kind_of_damage() -> None:
    page = (ROOT / "docs" / "augmentation.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| \[(CA\d+)\]", page, re.MULTILINE)
    assert dict(rows) == {name: kind.code for name, kind in KINDS.items()}


def test_the_page_on_the_panel_has_a_section_for_every_tab() -> None:
    sections = set(re.findall(r"^## (.*)$", PANEL, re.MULTILINE))
    wanted = {tab_title(tab) for tab in (*TABS, *RESULT_TABS)}
    # Both panels have tabs of these names
    wanted |= {f"{tab_title(tab)} of results" for tab in set(TABS) & set(RESULT_TABS)}
    assert wanted <= sections


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
        assert not [link for link in links if not (page.parent / link).exists()], page


def test_pages_show_every_picture_and_no_other() -> None:
    pattern = re.compile(r"images/([\w-]+\.\w+)")
    shown = {name for page in PAGES for name in pattern.findall(page.read_text())}
    assert {path.name for path in (ROOT / "docs" / "images").iterdir()} == shown
