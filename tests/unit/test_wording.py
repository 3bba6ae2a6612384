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


def test_messages_begin_with_a_capital_or_a_name():
    """A message begins as a sentence does, or with the argument that it is about."""
    begun = []
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text())):
            if (
                isinstance(node, ast.Call)
                and ast.unparse(node.func) == "CocoAuditError"
            ):
                text = node.args[0] if node.args else None
                if isinstance(text, ast.JoinedStr):
                    text = text.values[0]
                if isinstance(text, ast.Constant) and text.value[:1].islower():
                    begun.append(text.value.split()[0])
    assert not {"the", "there", "both", "a", "an", "it", "no", "none"} & set(begun)
