"""What the source of the package keeps to, whoever changes it."""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "fiftyone_coco_audit"
TREES = {
    path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text())
    for path in PACKAGE.rglob("*.py")
}

# Of Albumentations and of Python's worker processes; public ones of named tuples
OTHERS = {
    "_compile_execution_plan",
    *("_exit", "_executor_manager_thread", "_call_queue", "_reader"),
    *("_fields", "_replace"),
}
INTERNALS = "fiftyone_internals.py"


def private_attributes(tree: ast.AST) -> Iterator[tuple[ast.Attribute, bool]]:
    """Private attributes that are read or set, and whether they are an object's own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            of = node.value
            yield node, isinstance(of, ast.Name) and of.id in ("self", "cls")


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def defined(tree: ast.AST) -> Iterator[str]:
    """The names that a module gives to functions, attributes and variables."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
    for attribute, is_own in private_attributes(tree):
        if is_own and isinstance(attribute.ctx, ast.Store):
            yield attribute.attr


def test_private_names_of_fiftyone_are_used_in_one_module():
    of_fiftyone = {node.attr for node, _ in private_attributes(TREES[INTERNALS])}
    own = {name for tree in TREES.values() for name in defined(tree)}
    wrong = []
    for path, tree in TREES.items():
        if path == INTERNALS:
            continue
        allowed = own - of_fiftyone | OTHERS
        wrong += [
            f"{path}:{node.lineno} {node.attr}"
            for node, is_own in private_attributes(tree)
            if node.attr not in (own if is_own else allowed)
        ]
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                modules, names = [alias.name for alias in node.names], []
            elif isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
                names = [alias.name for alias in node.names]
            else:
                continue
            if modules[0].startswith("fiftyone_coco_audit"):
                continue
            wrong += [f"{path}:{node.lineno} {n}" for n in names if is_private(n)]
            # FiftyOne's database
            wrong += [f"{path}: {m}" for m in modules if m == "fiftyone.core.odm"]
    assert not wrong
