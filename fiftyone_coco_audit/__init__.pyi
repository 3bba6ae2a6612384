"""What is public, and where it is; loaded when it is first used."""

import fiftyone.plugins.context

from .auditing import Audit as Audit
from .auditing import audit as audit
from .auditing import load_audit as load_audit
from .auditing_results import audit_results as audit_results
from .auditing_results import load_results_audit as load_results_audit
from .augmentation.applying import apply_augmentation as apply_augmentation
from .augmentation.pipelines import Pipeline as Pipeline
from .augmentation.run import AugmentationAudit as AugmentationAudit
from .augmentation.run import audit_augmentation as audit_augmentation
from .coco.importer import add_coco_predictions as add_coco_predictions
from .coco.importer import import_coco as import_coco
from .coco.report import import_report as import_report
from .errors import CocoAuditError as CocoAuditError
from .evaluation.colors import color_by_outcome as color_by_outcome
from .evaluation.colors import outcome_colors as outcome_colors
from .evaluation.colors import restore_colors as restore_colors
from .evaluation.comparing import compare_runs as compare_runs
from .evaluation.evaluating import evaluate as evaluate
from .evaluation.loading_results import load_results as load_results
from .evaluation.repairing import repair_predictions as repair_predictions
from .evaluation.results import evaluation_notes as evaluation_notes
from .evaluation.reviewing import accept_label_issues as accept_label_issues
from .evaluation.reviewing import apply_label_review as apply_label_review
from .evaluation.reviewing import reject_label_issues as reject_label_issues
from .evaluation.reviewing import review_labels as review_labels
from .evaluation.views import worst_first as worst_first
from .findings import Finding as Finding
from .findings import Gain as Gain
from .loading.checking import check_loader as check_loader
from .loading.checking import dry_run as dry_run
from .statistics.comparing import compare_sets as compare_sets
from .statistics.comparing import find_partial_labels as find_partial_labels
from .statistics.computing import compute_statistics as compute_statistics
from .statistics.sampling import simulate_resampling as simulate_resampling
from .storage.publishing import delete_fields_of as delete_fields_of

__version__: str

def register(plugin: fiftyone.plugins.context.PluginContext) -> None: ...
