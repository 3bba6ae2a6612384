"""The operator ``audit_results``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext
from fiftyone.operators.message import GeneratedMessage

from fiftyone_coco_audit.auditing import Audit
from fiftyone_coco_audit.auditing_results import audit_results
from fiftyone_coco_audit.escaping import markdown_list, markdown_table
from fiftyone_coco_audit.operators.base import SdkOperator
from fiftyone_coco_audit.operators.forms import (
    add_evaluation,
    add_rules,
    coco_evaluations,
    require_dataset,
)
from fiftyone_coco_audit.rule_selection import OF_RESULTS
from fiftyone_coco_audit.wording import counted


class AuditResults(SdkOperator):
    """Finds what to do next about the results of an evaluation."""

    function = staticmethod(audit_results)
    label = "COCO Audit: find what to do next"
    description = "Rank errors and label errors by the AP that repairing them gains"
    icon = "trending_up"
    submit = "Find"

    def fill(self, inputs: types.Object, ctx: ExecutionContext) -> None:
        """Fills the form."""
        require_dataset(ctx)
        if add_evaluation(inputs, ctx):
            add_rules(inputs, ctx, OF_RESULTS, ("CA8, CA707", "CA703"))

    def call(self, ctx: ExecutionContext, progress: Any) -> Audit:
        """Audits the results that the form names."""
        require_dataset(ctx)
        arguments = self.arguments(ctx)
        if keys := coco_evaluations(ctx):
            arguments.setdefault("eval_key", keys[-1])
        return audit_results(ctx.dataset, **arguments, progress=progress)

    def to_results(self, ctx: ExecutionContext, value: Audit) -> dict[str, Any]:
        """The findings with their gains, without the ids of what they are about."""
        return {
            "eval_key": value.eval_key,
            "findings": [
                {
                    "code": finding.code,
                    "gain": finding.gain and finding.gain.short,
                    "message": finding.message,
                    "advice": finding.advice,
                }
                for finding in value
            ],
            "notes": list(value.notes),
        }

    def open(self, ctx: ExecutionContext, value: Audit) -> Iterator[GeneratedMessage]:
        """Nothing in the App changes."""
        yield from ()

    def describe(self, results: dict[str, Any], outputs: types.Object) -> None:
        """Shows the findings, the highest gain first."""
        findings = results["findings"]
        found = counted(len(findings), "finding") if findings else "Nothing"
        message = f"{found} to do next about {results['eval_key']!r}"
        outputs.view("message", types.Notice(label=message))
        if findings:
            rows = [
                [f["gain"] or "", f["code"], f["message"], f["advice"]]
                for f in findings
            ]
            head = ["Gain", "Rule", "Finding", "What to do"]
            table = markdown_table(head, rows, text_columns=len(head))
            outputs.md(table, name="table")
        if results["notes"]:
            outputs.md(markdown_list(results["notes"]), name="remarks")
