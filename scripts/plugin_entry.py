"""The entry module of the plugin where pip installed it: the package does the rest."""

from fiftyone_coco_audit import register

__all__ = ["register"]
