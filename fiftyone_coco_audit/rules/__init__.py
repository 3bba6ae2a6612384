"""The checks of datasets: one module a subject, each rule with its check.

Importing this package fills :data:`fiftyone_coco_audit.findings.RULES`.
"""

from fiftyone_coco_audit.augmentation import rules as augmentation
from fiftyone_coco_audit.coco import rules as files
from fiftyone_coco_audit.loading import rules as loading
from fiftyone_coco_audit.rules import (
    anchors,
    annotations,
    classes,
    images,
    network_input,
    objects,
)

__all__ = [
    "anchors",
    "annotations",
    "augmentation",
    "classes",
    "files",
    "images",
    "loading",
    "network_input",
    "objects",
]
