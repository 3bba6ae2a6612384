"""What the wheel carries besides the package: a folder for FiftyOne."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PLUGIN_FILES = {
    "fiftyone.yml": "fiftyone.yml",
    "requirements.txt": "requirements.txt",
    "scripts/plugin_entry.py": "fiftyone_coco_audit/__init__.py",
}


class PluginFolder(BuildHookInterface):
    """Puts the plugin into site-packages/plugins.

    There FiftyOne looks for plugins beside its own package, so that ``pip install``
    gives the operators too. The folder holds no code of ours but an entry module that
    hands over to the installed package.

    An editable install goes without: a copy of the YAML would hide the tree's own.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds the files to a standard wheel."""
        if version == "standard":
            for source, target in PLUGIN_FILES.items():
                build_data["force_include"][source] = f"plugins/coco_audit/{target}"
