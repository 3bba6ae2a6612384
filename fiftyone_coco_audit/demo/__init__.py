"""A demo dataset with known faults, and the program that shows it.

``python -m fiftyone_coco_audit.demo`` generates the dataset, imports and evaluates it
and serves the App.
"""

from fiftyone_coco_audit.demo.dataset import DemoPaths, generate
from fiftyone_coco_audit.demo.program import main

__all__ = ["DemoPaths", "generate", "main"]
