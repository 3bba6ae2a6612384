"""Statistics of images, objects, classes, the network's input, and anchors."""

# Fills the registry of anchors
import fiftyone_coco_audit.statistics.anchor_presets  # noqa: F401
