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
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fiftyone.plugins.context import PluginContext

    from fiftyone_coco_audit.auditing import Audit, audit, load_audit
    from fiftyone_coco_audit.augmentation.applying import apply_augmentation
    from fiftyone_coco_audit.augmentation.pipelines import Pipeline
    from fiftyone_coco_audit.augmentation.run import (
        AugmentationAudit,
        audit_augmentation,
        delete_augmentation_damage,
    )
    from fiftyone_coco_audit.coco.importer import add_coco_predictions, import_coco
    from fiftyone_coco_audit.coco.report import import_report
    from fiftyone_coco_audit.errors import CocoAuditError
    from fiftyone_coco_audit.evaluation.colors import (
        color_by_outcome,
        outcome_colors,
        restore_colors,
    )
    from fiftyone_coco_audit.evaluation.evaluating import evaluate
    from fiftyone_coco_audit.evaluation.results import evaluation_notes
    from fiftyone_coco_audit.evaluation.views import worst_first
    from fiftyone_coco_audit.findings import Finding
    from fiftyone_coco_audit.loading.checking import (
        check_loader,
        delete_dry_run,
        dry_run,
    )
    from fiftyone_coco_audit.statistics.comparing import (
        compare_sets,
        find_partial_labels,
    )
    from fiftyone_coco_audit.statistics.computing import (
        compute_statistics,
        delete_statistics,
    )
    from fiftyone_coco_audit.statistics.sampling import simulate_resampling

__version__ = "0.1.0"

__all__ = [
    "Audit",
    "AugmentationAudit",
    "CocoAuditError",
    "Finding",
    "Pipeline",
    "__version__",
    "add_coco_predictions",
    "apply_augmentation",
    "audit",
    "audit_augmentation",
    "check_loader",
    "color_by_outcome",
    "compare_sets",
    "compute_statistics",
    "delete_augmentation_damage",
    "delete_dry_run",
    "delete_statistics",
    "dry_run",
    "evaluate",
    "evaluation_notes",
    "find_partial_labels",
    "import_coco",
    "import_report",
    "load_audit",
    "outcome_colors",
    "restore_colors",
    "simulate_resampling",
    "worst_first",
]

_PACKAGE = "fiftyone_coco_audit"
_MODULE_OF = {
    "Audit": "auditing",
    "AugmentationAudit": "augmentation.run",
    "CocoAuditError": "errors",
    "Finding": "findings",
    "Pipeline": "augmentation.pipelines",
    "add_coco_predictions": "coco.importer",
    "apply_augmentation": "augmentation.applying",
    "audit": "auditing",
    "audit_augmentation": "augmentation.run",
    "check_loader": "loading.checking",
    "color_by_outcome": "evaluation.colors",
    "compare_sets": "statistics.comparing",
    "compute_statistics": "statistics.computing",
    "delete_augmentation_damage": "augmentation.run",
    "delete_dry_run": "loading.checking",
    "delete_statistics": "statistics.computing",
    "dry_run": "loading.checking",
    "evaluate": "evaluation.evaluating",
    "evaluation_notes": "evaluation.results",
    "find_partial_labels": "statistics.comparing",
    "import_coco": "coco.importer",
    "import_report": "coco.report",
    "load_audit": "auditing",
    "outcome_colors": "evaluation.colors",
    "restore_colors": "evaluation.colors",
    "simulate_resampling": "statistics.sampling",
    "worst_first": "evaluation.views",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{_PACKAGE}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


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
                f"package fiftyone-coco-audit {used} is used: run `pip install "
                f"{copy.directory}` to use the former, or delete that folder",
                # The caller of register(): Python shows a warning once per caller,
                # and this module is a new one at every call.
                stacklevel=3,
            )
