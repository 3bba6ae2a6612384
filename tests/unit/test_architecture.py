"""What the source of the package keeps to, whoever changes it."""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "fiftyone_coco_audit"
TREES = {
    path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text())
    for path in PACKAGE.rglob("*.py")
}

# Imports go down this list, or to another module of the same room
LAYERS = """
escaping
errors keypoints wording
areas boxes files fiftyone_internals grouping interrupts memory names progress sidebar
views
database decoding display fields parallel
box_formats columns objects
masks rle
reading storage
runs statistics
mapping
findings
coco rule_selection
augmentation evaluation
loading
rules
auditing
auditing_results
operators
panels
__init__ terminal
cli
"""
LEVELS = {
    room: level
    for level, line in enumerate(LAYERS.splitlines())
    for room in line.split()
}

# Of Albumentations and of Python's ``os``; public ones of named tuples
OTHERS = {"_compile_execution_plan", "_exit", "_fields", "_replace"}
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
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg
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


def imports(path: str, tree: ast.AST) -> Iterator[str]:
    """The modules of the package that a module imports, also for types only."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} has a relative import"
            if (node.module or "").startswith(PACKAGE.name):
                for alias in node.names:
                    name = f"{node.module}.{alias.name}".replace(".", "/")
                    name = name.removeprefix(f"{PACKAGE.name}/")
                    is_module = {f"{name}.py", f"{name}/__init__.py"} & set(TREES)
                    yield name if is_module else name.rpartition("/")[0]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith(f"{PACKAGE.name}."):
                    yield alias.name.replace(".", "/").removeprefix(f"{PACKAGE.name}/")


def test_imports_go_down_the_layers():
    wrong = []
    for path, tree in TREES.items():
        room = path.removesuffix(".py").partition("/")[0]
        for name in imports(path, tree):
            other = name.partition("/")[0] or "__init__"
            if room not in ("__init__", other) and LEVELS[other] >= LEVELS[room]:
                wrong.append(f"{path} imports {name}")
    assert not wrong
