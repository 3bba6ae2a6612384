"""What pip, FiftyOne and Python are told about the project is the same, and light."""

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
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_plugin_and_package_have_the_same_version():
    assert PLUGIN["version"] == fiftyone_coco_audit.__version__


def test_requirements_are_the_dependencies():
    requirements = (ROOT / "requirements.txt").read_text().splitlines()
    assert requirements == PROJECT["dependencies"]


def test_plugin_and_package_ask_for_the_same_fiftyone():
    assert f"fiftyone{PLUGIN['fiftyone']['version']}" in PROJECT["dependencies"]


def test_plugin_and_package_have_the_same_licence_and_description():
    assert PLUGIN["license"] == PROJECT["license"]
    assert PLUGIN["description"] == PROJECT["description"]


def test_every_lazy_name_is_public_and_there():
    lazy = set(fiftyone_coco_audit._MODULE_OF)
    assert lazy | {"__version__"} == set(fiftyone_coco_audit.__all__)
    assert lazy <= set(dir(fiftyone_coco_audit))
    for name in lazy:
        assert getattr(fiftyone_coco_audit, name).__name__ == name


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'fiftyone_coco_audit'.*'nonsense'"):
        fiftyone_coco_audit.nonsense  # noqa: B018


def test_import_loads_nothing_heavy():
    code = "import sys, fiftyone_coco_audit; print(*sys.modules)"
    output = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True)
    heavy = {"albumentations", "cv2", "fiftyone", "numpy", "pandas", "pycocotools"}
    assert not heavy & set(output.split())
