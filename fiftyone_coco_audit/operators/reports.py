"""How imports and audits show what they found."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from fiftyone.operators import types

from fiftyone_coco_audit.coco.report import ImportReport, describe
from fiftyone_coco_audit.escaping import markdown, markdown_list
from fiftyone_coco_audit.findings import RULES, rule_page
from fiftyone_coco_audit.operators.forms import add_choice
from fiftyone_coco_audit.wording import quoted

if TYPE_CHECKING:
    import pandas as pd


def add_invalid(inputs: types.Object) -> None:
    """Adds the choice of what to do about a record that cannot be used."""
    add_choice(
        inputs,
        "invalid",
        [
            ("skip", "Set them aside and report them"),
            ("raise", "Stop and import nothing"),
        ],
        types.RadioGroup(space=12),
        default="skip",
        label="Unusable records",
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
        **{f"predictions in {quoted(k)}": n for k, n in counts["predictions"].items()},
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
        outputs.view("message", types.Success(label="All records were imported"))
        return
    outputs.md("\n".join(["| | Records | Why |", "|---|---|---|", *rows]), name="table")
    outputs.md(
        "The first of each kind:\n" + markdown_list(results["examples"]),
        name="first_of_each",
    )
    outputs.md("In Python, `import_report(dataset)` lists all of them.", name="all")


def findings_as_json(findings: pd.DataFrame, notes: Iterable[str]) -> dict[str, Any]:
    """Findings without the ids of what they are about, and notes on the data.

    Args:
        findings: a frame that :meth:`.findings.WithFindings.to_frame` returns
        notes: sentences
    """
    return {
        "findings": findings.reset_index().to_dict("records"),
        "notes": list(notes),
    }


def describe_findings(
    results: dict[str, Any], outputs: types.Object, none_found: str
) -> None:
    """Shows findings that were made by :func:`findings_as_json`.

    Args:
        results: the findings and notes, by these names
        outputs: the form to show them in
        none_found: what to say where there are none
    """
    if not results["findings"]:
        outputs.view("message", types.Success(label=none_found))
    lines = [
        f"- **{_linked(f['code'])}** {f['severity']}: {markdown(f['message'])} "
        f"*{markdown(f['advice'])}*"
        for f in results["findings"]
    ]
    lines.append(markdown_list(results["notes"]))
    outputs.md("\n".join(lines), name="text")


def _linked(code: str) -> str:
    """The code of a rule as Markdown, a link if the rule has a page."""
    page = rule_page(code)
    return f"[{code}]({page})" if page else code
