"""The panels of the plugin: one thin module each, no logic of their own."""

from __future__ import annotations

import fiftyone.operators as foo

from fiftyone_coco_audit.panels.audit import CocoAuditPanel
from fiftyone_coco_audit.panels.preview import AugmentationPreviewPanel
from fiftyone_coco_audit.panels.results import CocoResultsPanel

PANELS: tuple[type[foo.Panel], ...] = (
    CocoAuditPanel,
    CocoResultsPanel,
    AugmentationPreviewPanel,
)
