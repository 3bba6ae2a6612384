"""A demo dataset with known faults, and the program that shows it.

``python -m coco_audit_demo`` generates the dataset, imports and evaluates it
and serves the App.
"""

from coco_audit_demo.dataset import DemoPaths, generate
from coco_audit_demo.program import main

__all__ = ["DemoPaths", "generate", "main"]
