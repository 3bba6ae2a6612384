"""Find errors in COCO datasets, and see where a detector fails.

The functions of the SDK are loaded when they are first used. FiftyOne runs this file
once more, as the entry module of the plugin and under a name of its own making, each
time it builds its registry of operators: nothing here is costly or relative.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from fiftyone.plugins.context import PluginContext

__version__ = "0.1.0"

_PACKAGE = "fiftyone_coco_audit"

# __init__.pyi alone lists what is public
__getattr__, __dir__, _public = lazy_loader.attach_stub(_PACKAGE, __file__)
__all__ = ["__version__", *_public]


def register(plugin: PluginContext) -> None:
    """Registers the operators and panels; FiftyOne calls this.

    They come from the package as Python finds it, wherever this file lies, so that
    there is one copy of each module in the process and in its workers.

    Args:
        plugin: the :class:`fiftyone.plugins.context.PluginContext` to register with
    """
    if importlib.util.find_spec(_PACKAGE) is None:
        sys.path.append(str(Path(__file__).parents[1]))

    _warn_of_other_versions(plugin)

    from fiftyone_coco_audit.operators import OPERATORS
    from fiftyone_coco_audit.panels import PANELS

    for operator in (*OPERATORS, *PANELS):
        plugin.register(operator)


def _warn_of_other_versions(plugin: PluginContext) -> None:
    from fiftyone.plugins import get_plugin

    used = importlib.import_module(_PACKAGE).__version__
    chosen = plugin.plugin_definition
    hidden = [get_plugin(plugin_dir=path) for path in chosen.shadow_paths or ()]
    for copy in (chosen, *hidden):
        if copy.version != used:
            warnings.warn(
                f"{copy.directory} holds coco-audit {copy.version}, but the installed "
                f"package fiftyone-coco-audit {used} is used instead: run `pip "
                f"install {copy.directory}` to use the copy in that folder, or delete "
                "the folder",
                # The caller of register(): Python shows a warning once per caller,
                # and this module is a new one at every call.
                stacklevel=3,
            )
