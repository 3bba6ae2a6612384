"""The settings of the panel *COCO Results*."""

from __future__ import annotations

from dataclasses import dataclass

from fiftyone_coco_audit.panels.controls import PanelControls


@dataclass(frozen=True)
class ResultsControls(PanelControls):
    """The settings of the panel.

    Args:
        eval_key: the evaluation
        class_name: the class that is looked at, all by default
        list_classes: whether long lists show the ``"first"`` classes, or ``"all"``
        sort_by: which classes come first, ``"AP"``, ``"objects"`` or ``"name"``
        slice_by: the field or attribute that metrics are divided by
        score: the least score of predictions, the evaluation's by default
        iou: the IoU that finds an object
    """

    tab: str = "next_steps"
    eval_key: str = ""
    class_name: str = ""
    list_classes: str = "first"
    sort_by: str = "AP"
    slice_by: str = ""
    score: float | None = None
    iou: float = 0.5
    applied: str = ""
