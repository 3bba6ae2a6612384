"""The operators that review label issues."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext
from fiftyone.operators.message import GeneratedMessage

from fiftyone_coco_audit.escaping import markdown, markdown_list
from fiftyone_coco_audit.evaluation.reviewed_copy import REVIEWED_FIELD
from fiftyone_coco_audit.evaluation.reviewing import (
    AppliedReview,
    LabelReview,
    accept_label_issues,
    apply_label_review,
    reject_label_issues,
)
from fiftyone_coco_audit.operators.base import SdkOperator
from fiftyone_coco_audit.operators.forms import (
    add_evaluation,
    add_label_field,
    refuse,
    require_dataset,
)
from fiftyone_coco_audit.wording import counted


def selected_ids(ctx: ExecutionContext) -> list[str]:
    """The ids of what is selected in the grid: labels, or else samples or patches."""
    labels = [label["label_id"] for label in ctx.selected_labels or ()]
    return labels or list(ctx.selected or ())


class _Review(SdkOperator):
    """An operator on the label issues of an evaluation."""

    icon = "rule"

    def fill(self, inputs: types.Object, ctx: ExecutionContext) -> None:
        """Fills the form."""
        require_dataset(ctx)
        about = "The evaluation whose label issues are reviewed"
        if add_evaluation(inputs, ctx, description=about):
            self.fill_more(inputs, ctx)

    def fill_more(self, inputs: types.Object, ctx: ExecutionContext) -> None:
        """Fills the form below the evaluation."""
        raise NotImplementedError


class _Decide(_Review):
    """Gives a verdict on what is selected in the grid."""

    verdict: str

    def fill_more(self, inputs: types.Object, ctx: ExecutionContext) -> None:
        """Says how much is selected."""
        ids = selected_ids(ctx)
        if ids or ctx.params.get("ids"):
            said = f"{counted(len(ids), 'label or sample')} selected in the grid"
            inputs.view("selected", types.Notice(label=said))
            return
        label = "Nothing is selected: select patches, labels or samples in the grid"
        refuse(inputs.view("selected", types.Warning(label=label)), label)

    def call(self, ctx: ExecutionContext, progress: Any) -> LabelReview:
        """Gives the verdict."""
        arguments = {"ids": selected_ids(ctx), **self.arguments(ctx)}
        review: LabelReview = self.function(ctx.dataset, **arguments)
        return review

    def to_results(self, ctx: ExecutionContext, value: LabelReview) -> dict[str, Any]:
        """What the verdicts say so far."""
        return {
            "eval_key": value.results.key,
            "estimates": value.estimates().sentences(),
        }

    def open(
        self, ctx: ExecutionContext, value: LabelReview
    ) -> Iterator[GeneratedMessage]:
        """Nothing in the grid changes."""
        yield from ()

    def describe(self, results: dict[str, Any], outputs: types.Object) -> None:
        """Shows what the verdicts say so far."""
        message = f"{self.verdict} in {results['eval_key']!r}"
        outputs.view("message", types.Success(label=message))
        outputs.md(markdown_list(results["estimates"]), name="said")


class AcceptLabelIssues(_Decide):
    """Says that the selected label issues are errors."""

    function = staticmethod(accept_label_issues)
    label = "COCO Audit: accept label issues"
    description = "Say that the selected labels are wrong or missing"
    submit = "Accept"
    verdict = "Accepted"


class RejectLabelIssues(_Decide):
    """Says that the labels of the selected issues are right."""

    function = staticmethod(reject_label_issues)
    label = "COCO Audit: reject label issues"
    description = "Say that the selected labels are right"
    submit = "Reject"
    verdict = "Rejected"


class ApplyLabelReview(_Review):
    """Puts the accepted label issues right in a copy of the ground truth."""

    function = staticmethod(apply_label_review)
    label = "COCO Audit: apply the review of labels"
    description = "Put the accepted label issues right in a copy of the ground truth"
    submit = "Apply"

    def fill_more(self, inputs: types.Object, ctx: ExecutionContext) -> None:
        """Adds the field for the copy."""
        add_label_field(inputs, ctx, "field", REVIEWED_FIELD, "copy")

    def call(self, ctx: ExecutionContext, progress: Any) -> AppliedReview:
        """Writes the copy."""
        return apply_label_review(ctx.dataset, **self.arguments(ctx), progress=progress)

    def to_results(self, ctx: ExecutionContext, value: AppliedReview) -> dict[str, Any]:
        """What was changed, and the metrics before and after."""
        return {
            "field": value.field,
            "changed": value.changed,
            "left_out": list(value.left_out),
            "before": value.before,
            "after": value.after,
            "sentences": value.sentences(),
        }

    def describe(self, results: dict[str, Any], outputs: types.Object) -> None:
        """Shows what was changed, and AP before and after."""
        outputs.md(markdown_list(results["sentences"]), name="changes")
        outputs.md(
            markdown(
                f"`{results['field']}` is a field of its own: choose it in the "
                "sidebar, or as the ground truth of another evaluation."
            ),
            name="next",
        )
