"""Numbers, shares and names as users read them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import fiftyone_coco_audit

MODULES = sorted(Path(fiftyone_coco_audit.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_percentages_are_written_one_way(module: Path):
    """Python's ``:.0%`` says 100% of what is 99.9%."""
    formats = [
        node.format_spec
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.FormattedValue) and node.format_spec is not None
    ]
    assert not [spec for spec in formats if ast.unparse(spec).endswith("%'")]
