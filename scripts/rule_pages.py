"""Writes docs/rules, a page a rule and their index, from the registry of rules.

``python scripts/rule_pages.py`` writes; ``--check`` only says what is not current.
"""

import argparse
import inspect
import json
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import fiftyone_coco_audit.rules  # noqa: F401  (fills the registry)
from fiftyone_coco_audit.findings import RULES, Example, Rule

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "rules"

SUBJECTS = {
    "CA1": "Files and records",
    "CA2": "Images",
    "CA3": "Objects and masks",
    "CA4": "Classes and sampling",
    "CA5": "Network input and anchors",
    "CA6": "Augmentation and loading",
    "CA7": "Results",
    "CA8": "Label errors seen through predictions",
}

_MARK = "<!-- Written by scripts/rule_pages.py from the registry of rules. -->"

_INTRODUCTION = """\
Everything that COCO Audit checks. The meaning of a code never changes. The severity
says how much a finding matters:

- **error**: it is wrong, or cannot be used;
- **warning**: it can be used, but is probably harmful;
- **note**: it is worth knowing.

- CA1 is found by [`import_coco`](../import.md), which leaves out records with an error.
  `import_report(dataset)` lists all records, and `audit(dataset)` reports them.
- CA2 to CA5 are found by [`audit(dataset)`](../audit.md) and `coco-audit`.
- CA60 and CA61 are found by
  [`audit_augmentation(dataset, pipeline)`](../augmentation.md).
- CA62 to CA66 are found by [`check_loader(dataset, loader)`](../augmentation.md).
- CA7 and CA8 are found by
  [`audit_results(dataset, eval_key)`](../evaluation.md#what-to-do-next).

All of them accept codes, the start of a code, or names:

```py
from fiftyone_coco_audit import audit

audit(dataset, select=["CA3", "CA4"])
audit(dataset, ignore=["few-images", "CA2"])
audit(dataset, thresholds={"few-objects": {"min_objects": 50}})
```

```shell
coco-audit annotations.json images/ --ignore CA2
```

The page of each rule says when to ignore it, what it finds and does not find, and the
reason for each threshold. Every example is run as a test.

In the examples of files (CA1), fields that are not shown are valid. The folder holds
`a.jpg`, `b.jpg` and `cut.jpg`, which is broken. Predictions are for the images `a.jpg`
(id 1), `b.jpg` (2), `day/c.jpg` (3) and `night/c.jpg` (4), and for the classes cat (1),
dog (2) and animal (3), which is their parent."""


def render_pages(rules: Iterable[Rule]) -> dict[str, str]:
    """Renders the pages of rules, and their index.

    Args:
        rules: the rules

    Returns:
        the text of each page by the name of its file
    """
    ordered = sorted(rules, key=lambda rule: rule.code)
    pages = {f"{rule.code}.md": _rule_page(rule) for rule in ordered}
    return {"README.md": _index_page(ordered), **pages}


def threshold_meanings(rule: Rule) -> dict[str, str]:
    """Reads what thresholds mean from the docstring of a check, or of their class.

    Args:
        rule: the rule

    Returns:
        the meaning of each argument that is described, by its name
    """
    docstring = inspect.getdoc(rule.check or type(rule.limits)) or ""
    after = re.split(r"\n(?:Args|Attributes):\n", docstring)[-1]
    section = re.split(r"\n(?=\S)", after)[0]
    described = re.findall(r"^ {4}(\w+): (.+(?:\n {5,}.+)*)", section, re.MULTILINE)
    return {
        name: " ".join(meaning.replace("``", "`").split())
        for name, meaning in described
    }


def write_pages(pages: dict[str, str], folder: Path) -> None:
    """Writes pages, and removes those of rules that are gone."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")
    for path in folder.glob("*.md"):
        if path.name not in pages:
            path.unlink()


def outdated_pages(pages: dict[str, str], folder: Path) -> list[str]:
    """Names the files that are missing, too many, or not as they should be."""
    written = {p.name: p.read_text(encoding="utf-8") for p in folder.glob("*.md")}
    names = sorted(pages.keys() | written.keys())
    return [name for name in names if pages.get(name) != written.get(name)]


def main(argv: Sequence[str] | None = None, folder: Path = FOLDER) -> int:
    """Writes or checks the pages.

    Args:
        argv: the arguments, by default those of the process
        folder: the folder of the pages

    Returns:
        the exit code: 1 if pages are checked and not current
    """
    parser = argparse.ArgumentParser(description="Writes docs/rules from the rules.")
    parser.add_argument("--check", action="store_true", help="only check the pages")
    check = parser.parse_args(argv).check
    pages = render_pages(RULES.values())
    if not check:
        write_pages(pages, folder)
    elif outdated := outdated_pages(pages, folder):
        print(
            f"These pages of docs/rules are out of date: {', '.join(outdated)}; write "
            "them with `python scripts/rule_pages.py`",
            file=sys.stderr,
        )
        return 1
    return 0


def _index_page(rules: Sequence[Rule]) -> str:
    blocks = [_MARK, "# Rules", _INTRODUCTION]
    for prefix, subject in SUBJECTS.items():
        rows = [
            (f"[{r.code}]({r.code}.md)", f"`{r.name}`", r.severity, r.explanation)
            for r in rules
            if r.code.startswith(prefix)
        ]
        if rows:
            header = "code", "name", "severity", "what is wrong"
            blocks += [f"## {prefix}xx {subject}", _table(header, rows)]
    return _page(blocks)


def _rule_page(rule: Rule) -> str:
    blocks = [
        _MARK,
        f"# {rule.code} {rule.name}",
        f"**{rule.severity}** · {SUBJECTS[rule.code[:3]]} · since {rule.since} · "
        "[all rules](README.md)",
        rule.explanation,
        f"**What to do:** {rule.advice}",
        f"**When to ignore it:** {rule.ignore}",
        "## Example",
        f"- Found: {_shown(rule.example)}\n- Not found: {_shown(rule.counterexample)}",
    ]
    if rule.thresholds:
        meanings = threshold_meanings(rule)
        rows = [
            (f"`{name}`", f"`{default!r}`", meanings[name], rule.reasons[name])
            for name, default in rule.thresholds.items()
        ]
        header = "name", "default", "meaning", "why this default"
        blocks += ["## Thresholds", _table(header, rows)]
    return _page(blocks)


def _shown(example: Example | None) -> str:
    """The sentence of an example, or its records as JSON."""
    assert example is not None
    if example.text:
        return example.text
    records = {k: v for k, v in example.data.items() if v is not None}
    without = "" if records == example.data else ", without an image folder"
    return f"`{json.dumps(records)}`{without}"


def _page(blocks: Iterable[str]) -> str:
    return "\n\n".join(blocks) + "\n"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header)]
    lines += [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
