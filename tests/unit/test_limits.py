"""Functions and modules of the package stay short enough to be read in one go."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "fiftyone_coco_audit"
LONGEST_FUNCTION, LONGEST_MODULE = 80, 600
# To be split
TOO_LONG = {"panels/figures.py"}


def test_functions_and_modules_are_short() -> None:
    too_long = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.relative_to(PACKAGE).as_posix() in TOO_LONG:
            continue
        text = path.read_text(encoding="utf-8")
        sizes = {"module": len(text.splitlines())}
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                sizes[node.name] = (node.end_lineno or 0) - node.lineno + 1
        for name, size in sizes.items():
            limit = LONGEST_MODULE if name == "module" else LONGEST_FUNCTION
            if size > limit:
                where = path.relative_to(PACKAGE)
                too_long.append(f"{where}: {name} has {size} lines, limit {limit}")
    assert not too_long, "\n".join(too_long)
