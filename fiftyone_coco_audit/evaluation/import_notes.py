"""What an import left out of the data that is being evaluated."""

from __future__ import annotations

from collections import Counter, defaultdict

from fiftyone_coco_audit.coco.report import ImportReport, Problem
from fiftyone_coco_audit.coco.rules import NEW_ANNOTATION_ID
from fiftyone_coco_audit.evaluation.provenance import SetAside
from fiftyone_coco_audit.findings import RULES
from fiftyone_coco_audit.wording import counted, quoted

# Details about a record come after it
_KINDS = "image", "category", "annotation", "prediction"
_MOST_REASONS = 3


def import_notes(
    report: ImportReport,
    gt_field: str,
    pred_field: str,
    *,
    iou_type: str = "bbox",
    whole: bool = True,
) -> list[str]:
    """Says what the imports of two label fields set aside, and what they assumed.

    Args:
        report: the report on the imports
        gt_field: the field of the ground truth
        pred_field: the field of the predictions
        iou_type: what is evaluated
        whole: whether the whole dataset is evaluated, rather than a view

    Returns:
        sentences, on what was set aside first
    """
    groups: dict[tuple[str, str, str], list[Problem]] = defaultdict(list)
    for field in (gt_field, pred_field):
        for problem in report.problems:
            if problem.field == field and _matters(problem, iou_type):
                is_aside = "aside" if problem.severity == "error" else problem.code
                groups[is_aside, problem.file, problem.kind].append(problem)
    order = sorted(groups, key=lambda key: (key[0] != "aside", _KINDS.index(key[2])))
    notes = [
        _set_aside(report, groups[key]) if key[0] == "aside" else _kept(groups[key])
        for key in order
    ]
    if notes and not whole:
        notes[-1] += " These counts cover the whole import, not only this view."
    return notes


def set_aside(
    report: ImportReport, gt_field: str, pred_field: str
) -> tuple[SetAside, ...]:
    """What the imports of two label fields set aside, by kind and rule.

    Args:
        report: the report on the imports
        gt_field: the field of the ground truth
        pred_field: the field of the predictions
    """
    counts: Counter[tuple[str, str]] = Counter()
    for problem in report.problems:
        if problem.field in (gt_field, pred_field) and problem.severity == "error":
            counts[problem.kind, problem.code] += problem.records
    return tuple(
        SetAside(kind, code, records)
        for (kind, code), records in sorted(
            counts.items(), key=lambda item: (_KINDS.index(item[0][0]), item[0][1])
        )
    )


def has_new_ids(report: ImportReport, gt_field: str) -> bool:
    """Whether some annotation ids are not those of the file, which had them twice."""
    code = NEW_ANNOTATION_ID.code
    return any(p.code == code and p.field == gt_field for p in report.problems)


def _matters(problem: Problem, iou_type: str) -> bool:
    """Whether a problem changes what is evaluated."""
    declared = RULES[problem.code].changes_numbers
    if declared is None:
        return problem.severity != "note"
    return declared == iou_type if isinstance(declared, str) else declared


def _set_aside(report: ImportReport, problems: list[Problem]) -> str:
    first = problems[0]
    count = sum(problem.records for problem in problems)
    kept = {
        "image": report.images,
        "annotation": report.objects,
        "prediction": report.predictions.get(first.field, 0),
    }.get(first.kind)
    said = counted(count, first.kind)
    if kept is not None:
        said = f"{count:,} of {counted(count + kept, first.kind)}"
    return (
        f"The import set aside {said} of {quoted(first.file)}, and the metrics do not "
        f"include them. {_reasons(problems)}"
    )


def _kept(problems: list[Problem]) -> str:
    first = problems[0]
    count = counted(sum(problem.records for problem in problems), first.kind)
    return (
        f"{RULES[first.code].explanation.rstrip('.')} ({first.code} {first.name}, "
        f"{count} of {quoted(first.file)})."
    )


def _reasons(problems: list[Problem]) -> str:
    """The rules behind problems with their counts, the most frequent first."""
    counts: Counter[str] = Counter()
    for problem in problems:
        counts[problem.code] += problem.records
    found = counts.most_common()
    reasons = [
        f"{code} {RULES[code].name} ({count:,}): {RULES[code].explanation}"
        for code, count in found[:_MOST_REASONS]
    ]
    if len(found) > _MOST_REASONS:
        rest = sum(count for _, count in found[_MOST_REASONS:])
        reasons.append(f"Other rules: {rest:,}.")
    return " ".join(reasons)
