"""Numbers, shares and names as users read them."""

from __future__ import annotations

import ast
from pathlib import Path

import fiftyone_coco_audit

MODULES = sorted(Path(fiftyone_coco_audit.__file__).parent.rglob("*.py"))


def test_percentages_are_written_one_way():
    """Python's ``:.0%`` writes 99.9% as 100%."""
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.FormattedValue) and node.format_spec is not None:
                assert not ast.unparse(node.format_spec).endswith("%'"), module
