"""The parts of our forms."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import fiftyone as fo
from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionContext

from fiftyone_coco_audit.coco.paths import absolute_path
from fiftyone_coco_audit.coco.schema import check_label_field
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.findings import Need
from fiftyone_coco_audit.rule_selection import named_codes, selected_rules

HALF = 6  # of the 12 columns of a form


def require_dataset(ctx: ExecutionContext) -> None:
    """Checks that a dataset is open.

    Raises:
        CocoAuditError: if none is
    """
    if ctx.dataset is None:
        raise CocoAuditError(
            "No dataset is open: open one in the App, or pass it to execute_operator "
            "as ctx={'dataset': dataset}"
        )


def detections_fields(samples: fo.SampleCollection) -> list[str]:
    """The names of the fields that hold detections."""
    return list(
        samples.get_field_schema(
            ftype=fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections
        )
    )


def add_choice(
    inputs: types.Object,
    name: str,
    choices: Iterable[str | tuple[str, str]],
    view: types.Choices | None = None,
    *,
    space: int = 12,
    **kwargs: Any,
) -> types.Property:
    """Adds a choice of values, each with a label if it is a pair."""
    shown = with_choices(view or types.DropdownView(space=space), choices)
    return inputs.enum(name, shown.values(), view=shown, **kwargs)


def coco_evaluations(ctx: ExecutionContext) -> list[str]:
    """The keys of the COCO evaluations of detections, the latest last."""
    return list(ctx.dataset.list_evaluations(type="detection", method="coco"))


def add_evaluation(inputs: types.Object, ctx: ExecutionContext, **kwargs: Any) -> bool:
    """Adds the choice of an evaluation, or refuses a dataset without any.

    Returns:
        whether there is one
    """
    keys = coco_evaluations(ctx)
    if not keys:
        label = "There is no evaluation yet: evaluate predictions first"
        refuse(inputs.view("message", types.Warning(label=label)), label)
        return False
    add_choice(
        inputs,
        "eval_key",
        keys,
        space=HALF,
        default=keys[-1],
        label="Evaluation",
        **kwargs,
    )
    return True


def with_choices(
    view: types.Choices, choices: Iterable[str | tuple[str, str]]
) -> types.Choices:
    """Fills a list with values, each with a label if it is a pair."""
    for choice in choices:
        value, label = (choice, choice) if isinstance(choice, str) else choice
        view.add_choice(value, label=label)
    return view


def add_rules(
    inputs: types.Object,
    ctx: ExecutionContext,
    needs: Iterable[Need],
    examples: tuple[str, str],
) -> None:
    """Adds the rules to run and to skip.

    Args:
        inputs: the form
        ctx: what the form holds
        needs: what the audit can examine
        examples: of the words for both
    """
    labels = ("select", "Only these rules"), ("ignore", "Without these rules")
    for (name, label), example in zip(labels, examples, strict=True):
        words = ctx.params.get(name)
        if isinstance(words, (list, tuple)):  # a call from Python
            prop = inputs.list(name, types.String(), label=label)
        else:
            prop = inputs.str(
                name,
                label=label,
                description=f"Codes, starts of codes or names, such as {example}",
                view=types.TextFieldView(space=HALF),
            )
        if words and name == "select":
            check(prop, partial(selected_rules, words, needs=needs))
        elif words:
            check(prop, partial(named_codes, words))


def add_path(
    inputs: types.Object,
    ctx: ExecutionContext,
    name: str,
    *,
    directory: bool = False,
    required: bool = False,
    **kwargs: Any,
) -> None:
    """Adds the choice of a file or a folder, and checks that it is there."""
    kind = "folder" if directory else "file"
    view = types.FileExplorerView(
        choose_dir=directory,
        button_label=f"Choose a {kind}...",
        choose_button_label="Choose",
    )
    # A call from Python passes a string, the file explorer an object
    if isinstance(ctx.params.get(name), str):
        prop = inputs.str(name, required=required, **kwargs)
    else:
        prop = inputs.file(name, required=required, view=view, **kwargs)

    def is_there() -> None:
        path = path_of(ctx, name)
        if path and not (os.path.isdir if directory else os.path.isfile)(path):
            raise CocoAuditError(f"No such {kind}: {path}")

    check(prop, is_there)


def path_of(ctx: ExecutionContext, name: str) -> str | None:
    """The path that :func:`add_path` got, absolute, or ``None``.

    Raises:
        CocoAuditError: if it is not a path
    """
    value = ctx.params.get(name)
    path = value.get("absolute_path") if isinstance(value, dict) else value
    return None if path in (None, "") else absolute_path(path, name)


def add_label_field(
    inputs: types.Object, ctx: ExecutionContext, name: str, default: str, what: str
) -> types.Property:
    """Adds the name of a new label field for what it is to hold, and checks it."""
    label, view = f"Field for the {what}", types.TextFieldView(space=HALF)
    prop = inputs.str(name, default=default, label=label, view=view)
    field = ctx.params.get(name)
    if field:
        check(prop, lambda: check_label_field(field))
    return prop


def add_both_sides(inputs: types.Object, ctx: ExecutionContext, what: str) -> list[str]:
    """Adds the choice of the fields ``pred_field`` and ``gt_field``.

    Args:
        inputs: the form
        ctx: the context
        what: what needs them, such as ``"An evaluation"``

    Returns:
        the names of the fields of detections; none, and a message in the form, if there
        are fewer than two
    """
    fields = detections_fields(ctx.target_view())
    if len(fields) < 2:
        found = f"only {fields[0]!r}" if fields else "none"
        inputs.view(
            "message",
            types.Warning(
                label=f"{what} needs two fields of detections",
                description=f"This dataset has {found}. Add predictions first, with "
                "COCO Audit: add predictions.",
            ),
        ).invalid = True
        return []
    truth = "ground_truth" if "ground_truth" in fields else fields[0]
    others = [field for field in fields if field != truth]
    add_choice(
        inputs,
        "pred_field",
        fields,
        space=HALF,
        default="predictions" if "predictions" in fields else others[0],
        label="Predictions",
        description="The detections of the model",
    )
    prop = add_choice(
        inputs,
        "gt_field",
        fields,
        space=HALF,
        default=truth,
        label="Ground truth",
        description="The annotated objects",
    )
    if ctx.params.get("pred_field") == ctx.params.get("gt_field", truth):
        refuse(prop, "Choose a different field from the predictions")
    return fields


def check(prop: types.Property, checked: Callable[[], Any]) -> bool:
    """Marks a property as invalid where a check of the SDK raises.

    Returns:
        whether it did not
    """
    try:
        checked()
    except CocoAuditError as error:
        refuse(prop, str(error))
        return False
    return True


def refuse(prop: types.Property, reason: str) -> None:
    """Marks a property as invalid."""
    prop.invalid = True
    prop.error_message = reason


def number_of(ctx: ExecutionContext, name: str) -> float | None:
    """A parameter that is a number; FiftyOne reports values that are not."""
    value = ctx.params.get(name)
    return value if isinstance(value, (int, float)) else None


def add_numbers(
    inputs: types.Object, ctx: ExecutionContext, name: str, **kwargs: Any
) -> types.Property:
    """Adds a line of numbers, which :func:`numbers_of` reads."""
    if isinstance(ctx.params.get(name), (list, tuple)):  # a call from Python
        return inputs.list(name, types.Number(), **kwargs)
    return inputs.str(name, **kwargs)


def numbers_of(ctx: ExecutionContext, name: str) -> list[float] | None:
    """The numbers that :func:`add_numbers` got, ``None`` if there are none.

    Raises:
        CocoAuditError: if they are not numbers
    """
    value = ctx.params.get(name)
    if not isinstance(value, str):
        return value or None
    try:
        return [float(number) for number in value.replace(",", " ").split()] or None
    except ValueError:
        raise CocoAuditError(
            f"{value!r} is not a list of numbers separated by commas"
        ) from None
