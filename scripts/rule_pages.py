"""Writes docs/rules, a page a rule and their index, from the registry of rules.

``python scripts/rule_pages.py`` writes; ``--check`` only says what is not current.
"""

import argparse
import inspect
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import fiftyone_coco_audit.rules  # noqa: F401  (fills the registry)
from fiftyone_coco_audit.findings import RULES, Rule

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
All that COCO Audit looks for. A code never changes its meaning, and the severity says
how much a finding matters:

- **error**: what is concerned is wrong, or cannot be used;
- **warning**: it can be used, but probably harms;
- **note**: it is worth knowing.

An audit of a dataset applies all rules of files, images, objects, classes, network
input and anchors, or those that are named by code, by the beginning of a code or by
name:

```py
from fiftyone_coco_audit import audit

audit(dataset, select=["CA3", "CA4"])
audit(dataset, ignore=["CA2"])
```

```shell
coco-audit annotations.json images/ --ignore CA2
```

What an augmentation pipeline does to labels (CA6) is found by
`audit_augmentation(dataset, pipeline)`.

The page of a rule shows what triggers it, what does not, and its thresholds."""

_FOUND_IN_PIPELINES = """\
Found by `audit_augmentation(dataset, pipeline)`, which measures what an augmentation
pipeline does to the labels of a dataset."""

_FOUND_BY_IMPORT = {
    "error": "The [import](../import.md) sets such records aside, and "
    "`import_report(dataset)` lists them.",
    "warning": "The [import](../import.md) keeps such records, and "
    "`import_report(dataset)` lists them.",
    "note": "The [import](../import.md) keeps such records, and "
    "`import_report(dataset)` counts them.",
}


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
    """Reads what arguments mean from the section ``Args:`` of a check's docstring.

    Args:
        rule: the rule

    Returns:
        the meaning of each argument that is described, by its name
    """
    _, _, after = (inspect.getdoc(rule.check) or "").partition("\nArgs:\n")
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
            f"These pages of docs/rules are not current: {', '.join(outdated)}; write "
            "them by `python scripts/rule_pages.py`",
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
    prefix = rule.code[:3]
    is_of_import, is_of_pipelines = prefix == "CA1", prefix == "CA6"
    blocks = [
        _MARK,
        f"# {rule.code} {rule.name}",
        f"**{rule.severity}** · {SUBJECTS[prefix]} · [all rules](README.md)",
        rule.explanation,
        f"**What to do:** {rule.advice}",
    ]
    if is_of_import:
        blocks.append(_FOUND_BY_IMPORT[rule.severity])
    if is_of_pipelines:
        blocks.append(_FOUND_IN_PIPELINES)
    blocks += [
        "## Example",
        f"- Found: {_text(rule.example)}\n- Not found: {_text(rule.counterexample)}",
    ]
    if is_of_import:
        blocks.append("What is not shown of a record is sound.")
    if rule.thresholds:
        blocks += _threshold_blocks(rule)
    if not is_of_pipelines:
        blocks += [
            "## Ignore it",
            _code("py", f'audit(dataset, ignore=["{rule.code}"])'),
            _code("shell", f"coco-audit annotations.json images/ --ignore {rule.code}"),
        ]
    return _page(blocks)


def _text(example: object) -> str:
    return getattr(example, "text", str(example))


def _threshold_blocks(rule: Rule) -> list[str]:
    meanings = threshold_meanings(rule)
    rows = [
        (f"`{name}`", f"`{default!r}`", meanings.get(name, ""))
        for name, default in rule.thresholds.items()
    ]
    defaults = ", ".join(f'"{name}": {v!r}' for name, v in rule.thresholds.items())
    return [
        "## Thresholds",
        _table(("name", "default", "meaning"), rows),
        "How to set them, here to their defaults:",
        _code("py", f'audit(dataset, thresholds={{"{rule.code}": {{{defaults}}}}})'),
    ]


def _page(blocks: Iterable[str]) -> str:
    return "\n\n".join(blocks) + "\n"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header)]
    lines += [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _code(language: str, text: str) -> str:
    return f"```{language}\n{text}\n```"


if __name__ == "__main__":
    sys.exit(main())
