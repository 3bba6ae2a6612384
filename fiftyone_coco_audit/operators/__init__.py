"""The operators of the plugin: one thin module each, no logic of their own."""

from __future__ import annotations

import fiftyone.operators as foo

from fiftyone_coco_audit.operators.add_coco_predictions import AddCocoPredictions
from fiftyone_coco_audit.operators.apply_augmentation import ApplyAugmentation
from fiftyone_coco_audit.operators.audit import RunAudit
from fiftyone_coco_audit.operators.audit_augmentation import AuditAugmentation
from fiftyone_coco_audit.operators.audit_results import AuditResults
from fiftyone_coco_audit.operators.color_by_outcome import ColorByOutcome
from fiftyone_coco_audit.operators.compare_sets import CompareSets
from fiftyone_coco_audit.operators.compute_statistics import ComputeStatistics
from fiftyone_coco_audit.operators.dry_run import RunDry
from fiftyone_coco_audit.operators.evaluate import Evaluate
from fiftyone_coco_audit.operators.evaluation_fields import EvaluationFields
from fiftyone_coco_audit.operators.find_partial_labels import FindPartialLabels
from fiftyone_coco_audit.operators.import_coco import ImportCoco
from fiftyone_coco_audit.operators.open_panels import (
    OpenAugmentationPreview,
    OpenCocoAudit,
    OpenCocoResults,
)
from fiftyone_coco_audit.operators.repair_predictions import RepairPredictions
from fiftyone_coco_audit.operators.restore_colors import RestoreColors
from fiftyone_coco_audit.operators.review_labels import (
    AcceptLabelIssues,
    ApplyLabelReview,
    RejectLabelIssues,
)
from fiftyone_coco_audit.operators.simulate_resampling import SimulateResampling

OPERATORS: tuple[type[foo.Operator], ...] = (
    ImportCoco,
    AddCocoPredictions,
    Evaluate,
    EvaluationFields,
    RepairPredictions,
    ColorByOutcome,
    RestoreColors,
    AcceptLabelIssues,
    RejectLabelIssues,
    ApplyLabelReview,
    RunAudit,
    AuditResults,
    ComputeStatistics,
    SimulateResampling,
    CompareSets,
    FindPartialLabels,
    AuditAugmentation,
    RunDry,
    ApplyAugmentation,
    OpenCocoAudit,
    OpenCocoResults,
    OpenAugmentationPreview,
)
