"""The AP that other tools give the same predictions, and why it differs.

Each tool is a :class:`Convention`, read from its source and tested against the package:

-   pycocotools 2.0.11, ``COCOeval``
-   FiftyOne 1.22.1, ``evaluate_detections(..., compute_mAP=True)``
-   Ultralytics 8.4.190, ``yolo val``: ``match_predictions`` and ``ap_per_class``
-   torchmetrics 1.9.0, ``MeanAveragePrecision`` of boxes, scores and labels
-   supervision 0.31.2, ``MeanAveragePrecision`` of ``DetectionDataset.from_coco``

The difference is put down to causes: the fields of a convention. They are switched one
after another, in their order, from ours to the tool's. A step is the change of AP, so
steps add up to the difference. Each depends on those before it: interpolation, which
comes last, is measured on the predictions that the tool keeps.

Conventions are about boxes and scores as they are. Not included is what a tool does to
them first: Ultralytics suppresses overlapping boxes, scales boxes to its input, and
computes in single precision; FiftyOne keeps boxes relative to the image.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fiftyone_coco_audit.display import TextSummary
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.evaluation.analysis.rescoring import (
    Convention,
    Limit,
    Rescoring,
)
from fiftyone_coco_audit.evaluation.metrics import Evaluation
from fiftyone_coco_audit.evaluation.settings import IOU_THRESHOLDS
from fiftyone_coco_audit.wording import counted

# In single precision, as PyTorch has them
_SINGLE = np.array(IOU_THRESHOLDS, np.float32)
# The lowest IoU that is rounded to such a threshold
_ROUNDED = _SINGLE - np.spacing(np.nextafter(_SINGLE, np.float32(0))).astype(float) / 2


class Tool(NamedTuple):
    """A package and its convention."""

    name: str
    version: str
    convention: Convention


TOOLS = (
    Tool("pycocotools", "2.0.11", Convention(matches_id_0=False)),
    Tool(
        "FiftyOne",
        "1.22.1",
        Convention(
            iou_thresholds=tuple(iou / 100 for iou in range(50, 100, 5)),
            ties="true first",
        ),
    ),
    Tool(
        "Ultralytics",
        "8.4.190",
        Convention(
            min_score=0.001,
            limit=Limit(300, of_class=False),
            crowds="removed",
            iou_thresholds=tuple(_ROUNDED.tolist()),
            interpolation="linear",
        ),
    ),
    Tool(
        "torchmetrics",
        "1.9.0",
        Convention(
            crowds="objects",
            iou_thresholds=tuple(_SINGLE.tolist()),
            interpolation="single",
        ),
    ),
    Tool("supervision", "0.31.2", Convention()),
)

#: The causes of a difference, in the order in which they are switched: the field of a
#: convention, its name, and what it is
CAUSES = (
    ("area_range", "areas", "this evaluation ignores areas outside of its range `all`"),
    ("min_score", "score cut", "Ultralytics drops scores of .001 and lower"),
    (
        "limit",
        "limit",
        "the best 100 predictions of each class in an image; in Ultralytics, the best "
        "300 of the image",
    ),
    (
        "crowds",
        "crowds",
        "Ultralytics drops crowd regions, so predictions on them are wrong; to "
        "torchmetrics they are objects, unless it is given `iscrowd`",
    ),
    (
        "matches_id_0",
        "annotation id 0",
        "pycocotools cannot match the object with this id",
    ),
    (
        "iou_thresholds",
        "IoU thresholds",
        ".50:.05:.95; torchmetrics compares IoU with these in single precision, "
        "Ultralytics both in single precision",
    ),
    ("ties", "ties", "of equal scores, FiftyOne ranks true positives first"),
    (
        "interpolation",
        "interpolation",
        "Ultralytics connects the points of the curve by lines and adds trapezoids; "
        "torchmetrics has recall levels in single precision",
    ),
)
_FIELDS = tuple(name for name, _, _ in CAUSES)
_NAMES = tuple(name for _, name, _ in CAUSES)


@dataclass(frozen=True, repr=False)
class Conventions(TextSummary):
    """The AP of the same predictions in ``N`` tools.

    Attributes:
        ap: the AP of the evaluation
        tools: the tools
        tool_ap: ``(N,)`` AP in each tool
        steps: ``(N, C)`` change of AP by each of the causes, in the order of
            :data:`CAUSES`, each with those before it switched already. They add up to
            the difference
        notes: sentences on what could not be computed
    """

    ap: float
    tools: tuple[Tool, ...]
    tool_ap: NDArray[np.float64]
    steps: NDArray[np.float64]
    notes: tuple[str, ...] = ()

    def _about(self) -> str:
        return f"of {counted(len(self.tools), 'tool')}"

    def to_frame(self) -> pd.DataFrame:
        """The AP in each tool.

        Returns:
            a frame by tool: ``version``, ``AP``, ``difference`` from the AP of the
            evaluation, and the part of each cause in it
        """
        return pd.DataFrame(
            {
                "version": [tool.version for tool in self.tools],
                "AP": self.tool_ap,
                "difference": self.tool_ap - self.ap,
                **dict(zip(_NAMES, self.steps.T, strict=True)),
            },
            index=pd.Index([tool.name for tool in self.tools], name="tool"),
        )

    def sentences(self) -> list[str]:
        """The APs, the causes that matter here, and what could not be computed."""
        frame = self.to_frame()
        matter = (self.steps != 0).any(axis=0)
        idle = [
            name for name, does in zip(_NAMES, matter.tolist(), strict=True) if not does
        ]
        lines = [
            f"AP is {self.ap:.4f} here. The same predictions in other tools:",
            frame.drop(columns=idle).to_string(float_format="{:.4f}".format),
        ]
        lines += [
            f"- {name}: {why}"
            for (_, name, why), does in zip(CAUSES, matter.tolist(), strict=True)
            if does
        ]
        if matter.any():
            lines.append(
                "Causes are switched from left to right, so each part is measured with "
                "those before it, and they add up to the difference."
            )
        return [*lines, *self.notes]


def conventions(evaluation: Evaluation, id_0: NDArray[np.bool_] | None) -> Conventions:
    """Computes AP as other tools do.

    Args:
        evaluation: an evaluation of columns
        id_0: ``(M,)`` which objects have the annotation id 0; None if objects share an
            id, which pycocotools mixes up

    Returns:
        a :class:`Conventions`

    Raises:
        CocoAuditError: if the evaluation has no AP, or is one of keypoints
    """
    if evaluation.settings.iou_type == "keypoints":
        raise CocoAuditError(
            "The evaluation is of keypoints, but conventions() compares tools on boxes "
            "and masks"
        )
    ours = evaluation.summary()["AP"]
    if ours < 0:
        raise CocoAuditError(
            "The evaluation has no AP, because no object counts: there is nothing to "
            "compare with other tools"
        )
    scene = Rescoring(evaluation, id_0)
    ap, steps = [], []
    for tool in TOOLS:
        now, changes = ours, []
        convention = scene.own
        for name in _FIELDS:
            switched = replace(convention, **{name: getattr(tool.convention, name)})
            before = now
            if scene.differ(convention, switched, name):
                convention = switched
                now = scene.average_precision(convention)
            changes.append(now - before)
        ap.append(now)
        steps.append(changes)
    return Conventions(ours, TOOLS, np.array(ap), np.array(steps), tuple(scene.notes()))
