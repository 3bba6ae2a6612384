"""The pages say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fiftyone_coco_audit.coco import rules
from fiftyone_coco_audit.evaluation.fields import all_fields
from fiftyone_coco_audit.findings import RULES

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]


def test_the_page_on_import_lists_every_rule() -> None:
    assert RULES[rules.UNKNOWN_IMAGE.code] is rules.UNKNOWN_IMAGE
    listed = re.findall(
        r"^\| (CA\d+) \| `(\S+)` \| (\w+) \|",
        (ROOT / "docs" / "import.md").read_text(),
        flags=re.MULTILINE,
    )
    assert listed == [(r.code, r.name, r.severity) for r in RULES.values()]


def test_the_page_on_fields_lists_every_field() -> None:
    page = (ROOT / "docs" / "fields.md").read_text()
    for path in all_fields("{key}", "p", "g"):
        assert f"`{path.rsplit('.', 1)[-1]}`" in page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    assert not [link for link in links if not (page.parent / link).exists()]
