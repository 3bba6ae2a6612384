"""The settings of the panel *COCO Audit*."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.panels.controls import PanelControls
from fiftyone_coco_audit.statistics.anchor_presets import DEFAULT_ANCHORS
from fiftyone_coco_audit.statistics.anchor_sets import PRESETS, AnchorSet
from fiftyone_coco_audit.statistics.resizing import DEFAULT_RESIZE, ResizePolicy

#: Used instead of the name of a preset
CUSTOM = "custom"

_MODE, _, _SIZE = str(DEFAULT_RESIZE).partition(" ")


@dataclass(frozen=True)
class AuditControls(PanelControls):
    """The settings of the panel.

    Args:
        label_field: the field of the ground truth
        resize_mode: the first word of a resize policy
        resize_size: the rest of it
        anchors: the name of a preset, or :data:`CUSTOM`
        custom_anchors: anchors as text, where they are none of a preset
        threshold: of resampling, in percent of the images; empty for the proposal
        exponent: of resampling
        list_classes: whether long lists show the ``"first"`` classes, or ``"all"``
        color_by: what cells of pairs of classes show, ``"images"`` or ``"lift"``
        class_name: the class that is looked at, all by default
        source_by: what tells the sources of images apart, ``"folder"`` or ``"tag"``
        first_set: the one of two sets that are compared, see :mod:`.parts`
        second_set: the other one
        compared: what is compared, one of :data:`.drift.PROPERTIES`
        sample: the id of the sample that anchors are drawn over
        proposed: what anchors were asked to be proposed for, as :meth:`network`
        left_out: codes of the rules that are not run, with commas between them
        thresholds: thresholds that are not the default, by code, as JSON
    """

    tab: str = "findings"
    label_field: str = ""
    resize_mode: str = _MODE
    resize_size: str = _SIZE
    anchors: str = field(default=str(DEFAULT_ANCHORS))
    custom_anchors: str = ""
    threshold: str = ""
    exponent: str = "0.5"
    list_classes: str = "first"
    color_by: str = "images"
    class_name: str = ""
    source_by: str = ""
    first_set: str = ""
    second_set: str = ""
    compared: str = "size"
    sample: str = ""
    proposed: str = ""
    left_out: str = ""
    thresholds: str = ""

    @staticmethod
    def of_network(resize: str, anchors: str) -> dict[str, str]:
        """The settings for a resize policy and anchors.

        Args:
            resize: the policy as text
            anchors: the anchors as text
        """
        mode, _, size = resize.partition(" ")
        return {
            "resize_mode": mode,
            "resize_size": size or _SIZE,
            **AuditControls.of_anchors(anchors),
        }

    @staticmethod
    def of_anchors(anchors: str) -> dict[str, str]:
        """The settings for anchors, given as text."""
        if anchors in PRESETS:
            return {"anchors": anchors}
        return {"anchors": CUSTOM, "custom_anchors": anchors}

    @staticmethod
    def of_rules(
        left_out: Sequence[str], thresholds: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, str]:
        """The settings for the rules that are run.

        Args:
            left_out: codes of the rules that are not run
            thresholds: thresholds that are not the default, by code
        """
        return {
            "left_out": ",".join(left_out),
            "thresholds": json.dumps(thresholds) if thresholds else "",
        }

    def rules(self) -> tuple[list[str], dict[str, dict[str, Any]]]:
        """The arguments of :meth:`of_rules`."""
        left_out = self.left_out.split(",") if self.left_out else []
        return left_out, json.loads(self.thresholds or "{}")

    @property
    def network(self) -> str:
        """Resize policy and anchors in one text."""
        return f"{self.resize()[0]}, {self.anchor_set()[0]}"

    def with_field(self, label_field: str) -> AuditControls:
        """The same with another label field."""
        return replace(self, label_field=label_field)

    def resize(self) -> tuple[ResizePolicy, str]:
        """The resize policy, and what is wrong with the text if it is none.

        Returns:
            a tuple of the policy, the default one if the text is none, and a sentence
        """
        size = "" if self.resize_mode == "none" else self.resize_size
        try:
            return ResizePolicy.parse(f"{self.resize_mode} {size}".strip()), ""
        except CocoAuditError as error:
            return DEFAULT_RESIZE, str(error)

    def anchor_set(self) -> tuple[AnchorSet, str]:
        """The anchors, and what is wrong with the text if it describes none.

        Returns:
            a tuple of the anchors, the default ones if the text is none, and a sentence
        """
        try:
            custom = self.anchors == CUSTOM
            return AnchorSet.parse(self.custom_anchors if custom else self.anchors), ""
        except CocoAuditError as error:
            return DEFAULT_ANCHORS, str(error)
