"""What the buttons of the tab *Labels* do."""

from __future__ import annotations

from fiftyone.operators.executor import ExecutionContext

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.evaluation.reviewing import review_labels
from fiftyone_coco_audit.operators.review_labels import selected_ids
from fiftyone_coco_audit.panels.controls import set_controls
from fiftyone_coco_audit.wording import counted

#: What is done to a verdict, and what is then said
DECISIONS = {"accept": "accepted", "reject": "rejected", "undo": "without a verdict"}


def decide(ctx: ExecutionContext) -> None:
    """Gives a verdict on the label issues that are selected in the grid.

    Args:
        ctx: the context of a click, with the ``decision`` and the ``eval_key``
    """
    ids, decision = selected_ids(ctx), ctx.params["decision"]
    if not ids:
        said = "Nothing is selected: select patches, labels or samples in the grid"
        ctx.ops.notify(said, variant="warning")
        return
    try:
        review = review_labels(ctx.dataset, ctx.params["eval_key"])
        count = getattr(review, decision)(ids)
    except CocoAuditError as error:
        ctx.ops.notify(str(error), variant="error")
        return
    said = f"{counted(count, 'label issue')} {DECISIONS[decision]}"
    ctx.ops.notify(said, variant="success")
    ctx.ops.clear_selected_labels()
    ctx.ops.clear_selected_samples()
    # That was about other verdicts
    set_controls(ctx, {"applied": ""})


def apply_review(ctx: ExecutionContext) -> None:
    """Puts the accepted label issues right in a copy of the ground truth.

    Args:
        ctx: the context of a click, with the ``eval_key``
    """
    try:
        applied = review_labels(ctx.dataset, ctx.params["eval_key"]).apply()
    except CocoAuditError as error:
        ctx.ops.notify(str(error), variant="error")
        return
    ctx.ops.reload_dataset()
    set_controls(ctx, {"applied": " ".join(applied.sentences())})
