"""The rules that a finding can name, and the one registry that lists them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Rule:
    """Something that can be wrong, or worth knowing, about a dataset.

    Args:
        code: the stable code, such as ``"CA110"``
        name: a short name in kebab case
        severity: ``"error"`` when the thing concerned cannot be used,
            ``"warning"`` when it is used but probably wrong, ``"note"`` when it
            is only worth knowing
        explanation: one sentence on what is wrong and why it matters
        advice: one sentence on what to do
    """

    code: str
    name: str
    severity: Severity
    explanation: str
    advice: str


RULES: dict[str, Rule] = {}


def register_rules(*rules: Rule) -> None:
    """Adds rules to the registry.

    Raises:
        ValueError: if a code is taken
    """
    for rule in rules:
        if rule.code in RULES:
            raise ValueError(f"two rules have the code {rule.code}")
        RULES[rule.code] = rule
