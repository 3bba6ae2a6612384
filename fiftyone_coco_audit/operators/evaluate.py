"""The operator ``evaluate``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext
from fiftyone.operators.message import GeneratedMessage

from fiftyone_coco_audit.coco.schema import shows_keypoints
from fiftyone_coco_audit.escaping import markdown_list
from fiftyone_coco_audit.evaluation.colors import (
    LEGEND,
    color_by_outcome,
    is_outcome_colors,
)
from fiftyone_coco_audit.evaluation.evaluating import evaluate
from fiftyone_coco_audit.evaluation.fields import check_names_are_free
from fiftyone_coco_audit.evaluation.provenance import Provenance
from fiftyone_coco_audit.evaluation.settings import Settings
from fiftyone_coco_audit.evaluation.views import (
    hidden_by_score,
    showing_all_scores,
    worst_first,
)
from fiftyone_coco_audit.fiftyone_internals import root_dataset
from fiftyone_coco_audit.masks import has_masks
from fiftyone_coco_audit.operators.base import SdkOperator
from fiftyone_coco_audit.operators.color_schemes import show_colors
from fiftyone_coco_audit.operators.forms import (
    HALF,
    add_both_sides,
    add_choice,
    add_numbers,
    check,
    numbers_of,
    require_dataset,
)
from fiftyone_coco_audit.wording import counted, listed


class Evaluate(SdkOperator):
    """Evaluates detections as COCO does, and opens the worst images."""

    function = staticmethod(evaluate)
    label = "COCO Audit: evaluate predictions"
    description = "COCO metrics of the dataset and AP of each image, worst images first"
    icon = "query_stats"
    submit = "Evaluate"

    def fill(self, inputs: types.Object, ctx: ExecutionContext) -> None:
        """Fills the form."""
        require_dataset(ctx)
        fields = add_both_sides(inputs, ctx, "An evaluation")
        if fields:
            hidden = _told_of_hidden(ctx, ctx.params.get("pred_field") or fields[0])
            if hidden:
                inputs.view("hidden", types.Notice(label=hidden))
            _add_settings(inputs, ctx, fields)
            _add_key(inputs, ctx)
            _add_colors(inputs, ctx)

    def call(self, ctx: ExecutionContext, progress: Any) -> Any:
        """Evaluates what the form asks for."""
        arguments = self.arguments(ctx) | _numbers(ctx)
        # The last evaluation has opened a view that hides predictions
        samples = showing_all_scores(ctx.target_view())
        results = evaluate(samples, **arguments, progress=progress)
        if ctx.params.get("color_labels"):
            color_by_outcome(ctx.dataset, results.key)
        return results

    def to_results(self, ctx: ExecutionContext, value: Any) -> dict[str, Any]:
        """The evaluation key, what was evaluated, the numbers and the notes."""
        fields = value.config.pred_field, value.config.gt_field
        hidden = _told_of_hidden(ctx, fields[0])
        return {
            "eval_key": value.key,
            "fields": list(fields),
            "images": [len(value.per_image()), len(root_dataset(value.samples))],
            "summary": value.summary(),
            "provenance": value.provenance.to_dict(),
            "counting": value.counting,
            "notes": [*value.notes, *([hidden] if hidden else [])],
            "colored": bool(ctx.params.get("color_labels")),
            "hidden_below": _score_threshold(value),
            "posed": shows_keypoints(ctx.dataset, fields[0]),
        }

    def open(self, ctx: ExecutionContext, value: Any) -> Iterator[GeneratedMessage]:
        """Shows the worst images first, without predictions of low score."""
        yield ctx.ops.reload_dataset()
        if ctx.params.get("color_labels"):
            yield show_colors(ctx)
        view = worst_first(
            ctx.target_view(), value.key, min_score=_score_threshold(value)
        )
        yield ctx.ops.set_view(view)

    def describe(self, results: dict[str, Any], outputs: types.Object) -> None:
        """Shows the 12 numbers."""
        key = results["eval_key"]
        evaluated, total = results["images"]
        predictions, truth = results["fields"]
        some = f"{evaluated:,} of " if evaluated < total else ""
        outputs.md(
            f"**{key}**: `{predictions}` against `{truth}`, "
            f"{some}{counted(total, 'image')}",
            name="about",
        )
        outputs.md(_table(results["summary"]), name="numbers")
        about = Provenance.from_dict(results["provenance"]).sentences()
        outputs.md(markdown_list(about), name="evaluated")
        for n, note in enumerate(results["notes"]):
            outputs.view(f"note{n}", types.Notice(label=note))
        outputs.md(
            "The worst images come first, images without ground truth last. The "
            f"sidebar has `{key}_ap` and more fields for each image. In each label, "
            f"`{key}` is tp, fp or fn at {results['counting']}. For classes and "
            "curves, click **+** beside *Samples* and open *Model Evaluation*.",
            name="next",
        )
        outputs.md(_legend(results), name="legend")


def _legend(results: dict[str, Any]) -> str:
    """What the grid shows and hides."""
    hidden = (
        f"Predictions with a score below {results['hidden_below']:g} are hidden. To "
        f"show them, click the **x** of {'each ' * results['posed']}*FilterLabels*, "
        "above the grid."
    )
    if not results["colored"]:
        return hidden
    return (
        f"**Colors.** {LEGEND} {hidden} **COCO Audit: restore the colors** brings back "
        "the previous colors."
    )


def _score_threshold(value: Any) -> float:
    return float(value.evaluation.settings.score_threshold)


def _told_of_hidden(ctx: ExecutionContext, pred_field: str) -> str | None:
    """Says that an evaluation includes what the view hides by its score."""
    score = hidden_by_score(ctx.target_view(), pred_field)
    if score is None:
        return None
    return (
        f"The grid hides predictions with a score below {score:g}. They are evaluated "
        "too."
    )


def _add_key(inputs: types.Object, ctx: ExecutionContext) -> None:
    prop = inputs.str(
        "eval_key",
        default="eval",
        label="Name",
        description="The name of the evaluation, and of its fields, such as eval_ap",
        view=types.TextFieldView(space=HALF),
    )
    key = ctx.params.get("eval_key")
    if not key:
        return
    fields = (
        ctx.params.get(name) or default
        for name, default in (
            ("pred_field", "predictions"),
            ("gt_field", "ground_truth"),
        )
    )
    if check(prop, lambda: check_names_are_free(ctx.dataset, key, *fields)):
        if key in ctx.dataset.list_evaluations():
            inputs.view("replaces", _told_of_replacement(ctx, key))


def _told_of_replacement(ctx: ExecutionContext, key: str) -> types.View:
    """Says what is lost of an existing evaluation of that name."""
    replaced = f"This replaces the evaluation '{key}'"
    evaluated, total = len(ctx.target_view()), len(ctx.dataset)
    if evaluated == total:
        return types.Notice(label=replaced)
    return types.Warning(
        label=f"{replaced} with one of {evaluated:,} of {counted(total, 'image')}",
        description="All other images lose their values. To keep them, choose another "
        "name.",
    )


def _add_colors(inputs: types.Object, ctx: ExecutionContext) -> None:
    """Adds the choice of outcome colors, off if they would replace a user's colors."""
    scheme = ctx.dataset.app_config.color_scheme
    is_own = scheme is not None and not is_outcome_colors(scheme)
    replaced = (
        " This replaces the color scheme of the dataset until you run COCO Audit: "
        "restore the colors."
    )
    inputs.bool(
        "color_labels",
        default=not is_own,
        label="Color labels by outcome",
        description=f"{LEGEND}{replaced * is_own}",
    )


def _add_settings(
    inputs: types.Object, ctx: ExecutionContext, fields: list[str]
) -> None:
    compared = [("bbox", "Boxes"), ("segm", "Masks")]
    posed = [name for name in fields if _has_keypoints(ctx, name)]
    if len(posed) > 1:
        compared.append(("keypoints", "Keypoints"))
    add_choice(
        inputs,
        "iou_type",
        compared,
        space=HALF,
        default="bbox",
        label="IoU of",
        description=f"Compare {listed([name.lower() for _, name in compared])}",
    )
    keypoints = ctx.params.get("iou_type") == "keypoints"
    if keypoints:
        _add_sigmas(inputs, ctx)
    if ctx.params.get("iou_type") == "segm":
        for name in ("pred_field", "gt_field"):
            field = ctx.params.get(name)
            if field and not has_masks(ctx.target_view(), field):
                inputs.view(
                    f"boxes_of_{name}",
                    types.Warning(
                        label=f"No label in '{field}' has a mask: boxes are used"
                    ),
                )
    inputs.float(
        "score_threshold",
        default=0.5,
        label="Score threshold",
        description="For precision, recall and F1 of each image; AP uses all scores",
        view=types.TextFieldView(space=HALF),
    )
    thresholds = add_numbers(
        inputs,
        ctx,
        "iou_thresholds",
        label="IoU thresholds",
        description="Default: COCO's 0.50, 0.55, ..., 0.95",
        view=types.TextFieldView(space=HALF),
    )
    limits = add_numbers(
        inputs,
        ctx,
        "max_detections",
        label="Detections per image and class",
        description=f"Default: COCO's {'20' if keypoints else '1, 10, 100'}; AP uses "
        "the highest",
        view=types.TextFieldView(space=HALF),
    )
    check(thresholds, lambda: Settings.parse(**_numbers(ctx, "iou_thresholds")))
    check(limits, lambda: Settings.parse(**_numbers(ctx, "max_detections")))


def _has_keypoints(ctx: ExecutionContext, field: str) -> bool:
    """Whether the labels of a field can have keypoints, without looking at each."""
    return bool(ctx.dataset.has_field(f"{field}.detections.keypoints"))


def _add_sigmas(inputs: types.Object, ctx: ExecutionContext) -> None:
    """Adds the sigmas, and refuses fields without keypoints."""
    for name in ("pred_field", "gt_field"):
        field = ctx.params.get(name)
        if field and not _has_keypoints(ctx, field):
            inputs.view(
                f"no_keypoints_of_{name}",
                types.Warning(label=f"No label in '{field}' has keypoints"),
            ).invalid = True
    if isinstance(ctx.params.get("sigmas"), dict):  # by class, from Python
        return
    sigmas = add_numbers(
        inputs,
        ctx,
        "sigmas",
        label="Sigmas",
        description="How far each keypoint may be off; default: COCO's, for the 17 of "
        "a person",
        view=types.TextFieldView(space=HALF),
    )
    check(
        sigmas,
        lambda: Settings.parse(iou_type="keypoints", **_numbers(ctx, "sigmas")),
    )


def _numbers(ctx: ExecutionContext, *names: str) -> dict[str, Any]:
    return {
        name: numbers
        for name in names or ("iou_thresholds", "max_detections", "sigmas")
        if (numbers := numbers_of(ctx, name))
    }


def _table(summary: dict[str, float]) -> str:
    """The numbers in two rows, precisions above recalls by default, as Markdown."""
    cells = [
        (name, f"**{value:.4f}**" if value >= 0 else "n/a")
        for name, value in summary.items()
    ]
    tables = []
    length = (len(cells) + 1) // 2
    for start in range(0, len(cells), length):
        names, values = zip(*cells[start : start + length], strict=True)
        rows = names, ["---"] * len(names), values
        tables.append("\n".join(f"| {' | '.join(row)} |" for row in rows))
    return "\n\n".join(tables)
