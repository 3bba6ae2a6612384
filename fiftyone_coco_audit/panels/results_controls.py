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
        path: what the paths of images contain, as text or a regular expression
        status: the status of images, all by default
        ap_from: the lowest AP of images
        ap_to: the highest AP of images
        second_key: the evaluation that this one is compared with
    """

    tab: str = "next_steps"
    eval_key: str = ""
    class_name: str = ""
    list_classes: str = "first"
    sort_by: str = "AP"
    slice_by: str = ""
    score: float | None = None
    iou: float = 0.5
    path: str = ""
    status: str = ""
    ap_from: float = 0.0
    ap_to: float = 1.0
    second_key: str = ""
    applied: str = ""
