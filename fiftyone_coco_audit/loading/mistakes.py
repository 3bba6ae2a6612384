"""A mistake of a loader: a rule, and the evidence for it."""

from __future__ import annotations

from dataclasses import dataclass

from fiftyone_coco_audit.findings import Evidence, Rule
from fiftyone_coco_audit.wording import counted

#: Up to this share of samples, something may be chance
FEW = 0.05
#: Up to this number of samples, it may be chance as well
LEAST = 2


def is_more_than_few(number: int, total: int) -> bool:
    """Whether this many samples are more than chance."""
    return number > max(FEW * total, LEAST)


@dataclass(frozen=True, repr=False, kw_only=True)
class Mistake(Evidence):
    """Evidence of a mistake that a loader makes.

    Attributes:
        rule: the rule of the mistake
        share: the share of samples concerned; of labels, where it is about these
    """

    rule: Rule
    share: float

    @property
    def name(self) -> str:
        """The name of the rule."""
        return self.rule.name

    def _about(self) -> str:
        images = 0 if self.images is None else len(self.images)
        return f"{self.rule.code} {self.name}: {counted(images, 'image')}"

    def __str__(self) -> str:
        severity = self.severity or self.rule.severity
        advice = self.advice or self.rule.advice
        return f"{self.rule.code} {severity}: {self.message} {advice}"
