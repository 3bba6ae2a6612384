"""What pip, FiftyOne and Python are told about the project is the same, and light."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import fiftyone_coco_audit

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PLUGIN = yaml.safe_load((ROOT / "fiftyone.yml").read_text())
#: Names of distributions that differ from those of their modules
DISTRIBUTIONS = {
    "PIL": "pillow",
    "bson": "pymongo",
    "cv2": "opencv",
    "gridfs": "pymongo",
    "lazy_loader": "lazy-loader",
    "pydantic_core": "pydantic-core",
    "yaml": "pyyaml",
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_plugin_and_package_have_the_same_version():
    assert PLUGIN["version"] == fiftyone_coco_audit.__version__


def test_requirements_are_the_dependencies():
    requirements = (ROOT / "requirements.txt").read_text().splitlines()
    assert requirements == PROJECT["dependencies"]


def test_everything_imported_is_declared():
    modules = {
        name.partition(".")[0]
        for path in (ROOT / "fiftyone_coco_audit").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in imported_names(node)
    }
    modules -= {*sys.stdlib_module_names, "fiftyone_coco_audit"}
    declared = {re.split(r"[<>=]", one)[0] for one in PROJECT["dependencies"]}
    distributions = {DISTRIBUTIONS.get(name, name) for name in modules}
    # A dependency that nothing imports is one too many
    assert distributions == declared | {"opencv"}


def imported_names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and not node.level:
        return [str(node.module)]
    return []


def test_plugin_and_package_ask_for_the_same_fiftyone():
    assert f"fiftyone{PLUGIN['fiftyone']['version']}" in PROJECT["dependencies"]


def test_plugin_and_package_have_the_same_license_and_description():
    assert PLUGIN["license"] == PROJECT["license"]
    assert PLUGIN["description"] == PROJECT["description"]


def test_every_lazy_name_is_there():
    assert len(fiftyone_coco_audit.__all__) > 20
    for name in set(fiftyone_coco_audit.__all__) - {"__version__"}:
        assert getattr(fiftyone_coco_audit, name).__name__ == name
        assert name in dir(fiftyone_coco_audit)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="fiftyone_coco_audit .*nonsense"):
        fiftyone_coco_audit.nonsense  # noqa: B018


def test_import_loads_nothing_heavy():
    code = "import sys, fiftyone_coco_audit; print(*sys.modules)"
    output = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True)
    heavy = {"albumentations", "cv2", "fiftyone", "numpy", "pandas", "pycocotools"}
    assert not heavy & set(output.split())
