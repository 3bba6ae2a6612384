"""What the two imports share: what to do about bad records, and what was found."""

from __future__ import annotations

from typing import Any

from fiftyone.operators import types

from fiftyone_coco_audit.coco.report import ImportReport, describe
from fiftyone_coco_audit.findings import RULES
from fiftyone_coco_audit.operators.forms import add_choice


def add_invalid(inputs: types.Object) -> None:
    """Adds the choice of what to do about a record that cannot be used."""
    add_choice(
        inputs,
        "invalid",
        [("skip", "Set it aside and tell"), ("raise", "Import nothing")],
        types.RadioGroup,
        default="skip",
        label="If a record cannot be used",
    )


def report_as_json(report: ImportReport) -> dict[str, Any]:
    """The counts of a report, and the first problem of each kind as a sentence."""
    examples: dict[str, str] = {}
    for problem in report.problems:
        if problem.code not in examples:
            examples[problem.code] = describe(problem)
    return {"counts": report.counts(), "examples": list(examples.values())}


def describe_report(results: dict[str, Any], outputs: types.Object) -> None:
    """Shows a report that was made by :func:`report_as_json`."""
    counts = results["counts"]
    found = {
        "images": counts["images"],
        "objects": counts["objects"],
        **{f"predictions in `{k}`": n for k, n in counts["predictions"].items()},
    }
    outputs.md(
        ", ".join(f"**{n:,}** {what}" for what, n in found.items() if n), name="found"
    )
    rows = [
        f"| {title} | {count:,} | {code} {RULES[code].explanation} |"
        for title, key in (
            ("Set aside", "set_aside"),
            ("Warning", "warnings"),
            ("Note", "notes"),
        )
        for code, count in counts[key].items()
    ]
    if not rows:
        outputs.view("message", types.Success(label="All records could be used"))
        return
    outputs.md("\n".join(["| | Records | Why |", "|---|---|---|", *rows]), name="table")
    outputs.md(
        "The first of each:\n" + "\n".join(f"- {line}" for line in results["examples"]),
        name="examples",
    )
    outputs.md(
        "`import_report(dataset)` of the Python package lists all of them.", name="all"
    )
