"""FiftyOne finds the plugin, however it came, and all of its operators."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import threading
import venv
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import fiftyone.operators as foo
import pytest
import yaml
from fiftyone.operators.registry import OperatorRegistry

import fiftyone_coco_audit
from fiftyone_coco_audit.operators import OPERATORS
from fiftyone_coco_audit.panels import PANELS

ROOT = Path(__file__).parents[2]
PLUGIN = yaml.safe_load((ROOT / "fiftyone.yml").read_text())
NAME = PLUGIN["name"]
URIS = {f"{NAME}/{name}" for name in PLUGIN["operators"] + PLUGIN["panels"]}
ENTRY = "fiftyone.plugins.orgs.coco_audit.coco_audit"

PROBE = """
import json, sys
import fiftyone.operators as foo
from fiftyone.operators.registry import OperatorRegistry

name = sys.argv[1]
operators = [o.uri for o in foo.list_operators() if o.plugin_name == name]
print(json.dumps({
    "operators": [foo.get_operator(uri).uri for uri in operators],
    "errors": OperatorRegistry().list_errors(),
    "modules": {
        name: module.__file__
        for name, module in sys.modules.items()
        if "coco_audit" in name and getattr(module, "__file__", None)
    },
}))
"""


def test_yaml_lists_the_operators_that_are_registered():
    registered = (*OPERATORS, *PANELS)
    assert {f"{NAME}/{one().name}" for one in registered} == URIS
    listed = [o.uri for o in foo.list_operators() if o.plugin_name == NAME]
    assert sorted(listed) == sorted(URIS)
    assert OperatorRegistry().list_errors() == []


@dataclass(frozen=True)
class Environment:
    """A virtual environment with all that this one has, but for the project itself."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def site_packages(self) -> Path:
        (folder,) = self.folder.glob("lib/python*/site-packages")
        return folder

    @property
    def plugins(self) -> Path:
        return self.folder / "plugins"

    def run(self, *arguments: str | Path) -> str:
        """Runs Python, away from the project's tree, and returns what it prints."""
        variables = os.environ | {"FIFTYONE_PLUGINS_DIR": str(self.plugins)}
        variables.pop("PYTHONPATH", None)
        process = subprocess.run(
            [self.python, *arguments],
            cwd=self.folder,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.returncode == 0, process.stdout
        return process.stdout

    def fiftyone(self, *arguments: str) -> str:
        """Runs the command line of FiftyOne."""
        return self.run(Path(sysconfig.get_path("scripts"), "fiftyone"), *arguments)

    def probe(self) -> SimpleNamespace:
        """Lists the operators of the plugin, and what was loaded for them."""
        return SimpleNamespace(
            **json.loads(self.run("-c", PROBE, NAME).splitlines()[-1])
        )


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """A fresh environment: of links, for a true one takes a gigabyte and minutes."""
    fresh = Environment(tmp_path / "environment")
    venv.create(fresh.folder, symlinks=True)
    builtin_plugins = fresh.site_packages / "plugins"
    builtin_plugins.mkdir()
    installed = Path(sysconfig.get_path("purelib"))
    for source in (*installed.iterdir(), *(installed / "plugins").iterdir()):
        link = fresh.site_packages / source.relative_to(installed)
        if "coco_audit" not in link.name and not link.exists():
            link.symlink_to(source)
    return fresh


@pytest.fixture(scope="module")
def project_files() -> list[str]:
    """The files that git tracks, or would."""
    listing = subprocess.check_output(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        text=True,
    )
    return [file for file in listing.splitlines() if (ROOT / file).exists()]


@pytest.fixture
def archive_url(tmp_path: Path, project_files: list[str]) -> Iterator[str]:
    """The address of the tree as an archive, laid out as a code host does."""
    (tmp_path / "served").mkdir()
    with zipfile.ZipFile(tmp_path / "served" / "tree.zip", "w") as archive:
        for file in project_files:
            archive.write(ROOT / file, f"coco-audit-main/{file}")
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path / "served")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/tree.zip"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the project."""
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--no-deps", "--no-build-isolation", "--wheel-dir", folder]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, ROOT], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def copy_plugin(files: list[str], folder: Path) -> None:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, folder / file)


def assert_one_copy(modules: dict[str, str], entry_root: Path, package_root: Path):
    """The entry is loaded from one folder, and each module once from the other."""
    entry = modules.pop(ENTRY)
    assert Path(entry) == entry_root / "fiftyone_coco_audit" / "__init__.py"
    for name, file in modules.items():
        relative = Path(file).relative_to(package_root).with_suffix("")
        assert ".".join(relative.parts).removesuffix(".__init__") == name
    assert "fiftyone_coco_audit.operators" in modules


def test_download_gives_the_operators(environment: Environment, archive_url: str):
    environment.fiftyone("plugins", "download", archive_url)
    printed = environment.fiftyone("plugins", "requirements", NAME, "--install")
    assert "Requirement already satisfied: albumentations" in printed

    loaded = environment.probe()
    assert set(loaded.operators) == URIS
    assert loaded.errors == []
    folder = environment.plugins / NAME
    assert_one_copy(loaded.modules, folder, folder)


def test_pip_install_gives_the_operators(environment: Environment, wheel: Path):
    environment.run("-m", "pip", "install", "--no-deps", wheel)

    loaded = environment.probe()
    assert set(loaded.operators) == URIS
    assert loaded.errors == []
    site = environment.site_packages
    assert_one_copy(loaded.modules, site / "plugins" / "coco_audit", site)


def test_both_together_load_each_module_once(
    environment: Environment, wheel: Path, project_files: list[str]
):
    copy_plugin(project_files, environment.plugins / NAME)
    environment.run("-m", "pip", "install", "--no-deps", wheel)

    loaded = environment.probe()
    assert set(loaded.operators) == URIS
    assert loaded.errors == []
    site = environment.site_packages
    assert_one_copy(loaded.modules, site / "plugins" / "coco_audit", site)


class Plugin:
    """What FiftyOne hands to ``register``."""

    def __init__(self, version: str, shadow_paths: list[str] | None = None):
        self.operators: list[type[foo.Operator]] = []
        self.register = self.operators.append
        self.plugin_definition = SimpleNamespace(
            version=version, directory="/chosen", shadow_paths=shadow_paths
        )


def test_register_is_silent_where_the_versions_agree():
    plugin = Plugin(fiftyone_coco_audit.__version__, [str(ROOT)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fiftyone_coco_audit.register(plugin)
    assert tuple(plugin.operators) == (*OPERATORS, *PANELS)


def test_register_warns_of_a_plugin_of_another_version():
    with pytest.warns(UserWarning, match="/chosen holds coco-audit 9.9.9") as caught:
        fiftyone_coco_audit.register(Plugin("9.9.9"))
    (warning,) = caught
    assert f"fiftyone-coco-audit {fiftyone_coco_audit.__version__}" in str(
        warning.message
    )
    assert warning.filename == __file__


def test_register_warns_of_a_hidden_plugin_of_another_version(tmp_path: Path):
    (tmp_path / "fiftyone.yml").write_text(
        yaml.safe_dump(PLUGIN | {"version": "9.9.9"})
    )
    plugin = Plugin(fiftyone_coco_audit.__version__, [str(tmp_path)])
    with pytest.warns(UserWarning, match=f"{tmp_path} holds coco-audit 9.9.9"):
        fiftyone_coco_audit.register(plugin)
