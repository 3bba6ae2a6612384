"""What could be different about an evaluation, and how much AP that would gain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.evaluation.analysis.counterfactuals import Gains
from fiftyone_coco_audit.evaluation.analysis.error_costs import (
    ErrorsAt,
    errors_by_threshold,
)
from fiftyone_coco_audit.evaluation.analysis.label_issues import (
    LabelIssues,
    label_issues,
)
from fiftyone_coco_audit.evaluation.metrics import Evaluation
from fiftyone_coco_audit.evaluation.stored import EvaluatedRows
from fiftyone_coco_audit.wording import counted

#: The kinds of objects that are hard to find
SMALL, UNREACHABLE = "small", "unreachable"


@dataclass(frozen=True, repr=False)
class HardObjects(ShortRepr):
    """Objects that are known to be hard to find.

    Attributes:
        objects: ``(M,)`` which objects
        words: what they are, in a sentence
    """

    objects: NDArray[np.bool_]
    words: str

    def _about(self) -> str:
        return f"of {counted(int(self.objects.sum()), 'object')}"


@dataclass(frozen=True, repr=False)
class Improvements(ShortRepr):
    """An evaluation, its errors, and the gain of changes.

    Args:
        evaluation: the evaluation in columns
        rows: the samples and labels of its rows
        num_draws: how many times images are drawn for the interval of a gain
        hard: objects that are hard to find, by :data:`SMALL` or :data:`UNREACHABLE`
        tight: rows of objects whose boxes are larger than their masks, and the ``(B,
            4)`` boxes around these
    """

    evaluation: Evaluation
    rows: EvaluatedRows
    num_draws: int = 100
    hard: Mapping[str, HardObjects] = field(default_factory=dict)
    tight: tuple[NDArray[np.int64], NDArray[np.float64]] = field(
        default_factory=lambda: (np.zeros(0, np.int64), np.zeros((0, 4)))
    )

    def _about(self) -> str:
        return f"of {counted(self.evaluation.num_images, 'image')}"

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.rows.classes

    @cached_property
    def gains(self) -> Gains:
        """What changes gain."""
        return Gains(self.evaluation, self.rows.sample, self.num_draws)

    @cached_property
    def errors(self) -> Sequence[ErrorsAt]:
        """The errors at each IoU threshold."""
        return tuple(errors_by_threshold(self.evaluation))

    @cached_property
    def label_issues(self) -> LabelIssues:
        """The labels that predictions make doubtful."""
        return label_issues(self.evaluation, self.rows)
