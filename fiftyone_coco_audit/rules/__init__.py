"""The checks of datasets and results: one module a subject, each rule with its check.

Importing this package fills :data:`fiftyone_coco_audit.findings.RULES`.
"""

from fiftyone_coco_audit.augmentation import rules as augmentation
from fiftyone_coco_audit.coco import rules as files
from fiftyone_coco_audit.loading import rules as loading
from fiftyone_coco_audit.rules import (
    anchors,
    annotations,
    boxes,
    classes,
    hard_objects,
    images,
    label_errors,
    labeling,
    network_input,
    objects,
    results,
    samples,
    settings_of_results,
)

__all__ = [
    "anchors",
    "annotations",
    "augmentation",
    "boxes",
    "classes",
    "files",
    "hard_objects",
    "images",
    "label_errors",
    "labeling",
    "loading",
    "network_input",
    "objects",
    "results",
    "samples",
    "settings_of_results",
]
