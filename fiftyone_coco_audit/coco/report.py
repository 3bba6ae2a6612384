"""What an import found: the problems of each record, and the counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from fiftyone_coco_audit.coco.rules import MISSING_FILE, PATH_OUTSIDE
from fiftyone_coco_audit.columns import dataset_of
from fiftyone_coco_audit.database import database_errors_explained
from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.escaping import printable
from fiftyone_coco_audit.findings import RULES, Rule
from fiftyone_coco_audit.runs import load_run
from fiftyone_coco_audit.storage.exclusive import up_to_date
from fiftyone_coco_audit.wording import counted

if TYPE_CHECKING:
    import fiftyone as fo
    import pandas as pd

RUN_KEY = "coco_audit_import"

Kind = Literal["image", "category", "annotation", "prediction"]


class Problem(NamedTuple):
    """One thing that the import found in a file.

    Attributes:
        code: the code of the rule, such as ``"CA110"``
        name: the name of the rule
        severity: ``"error"``: the record was set aside; ``"warning"``: it was
            imported; ``"note"``: a remark on ``records`` of them together
        file: the file that holds the record
        field: the label field that the file was read into
        kind: ``"image"``, ``"category"``, ``"annotation"`` or ``"prediction"``
        record_id: the record's id as it stands in the file, or ``None``
        position: the record's place in its list, from 0, or ``None`` for a note
        reason: one sentence on what is wrong
        records: the number of records concerned
    """

    code: str
    name: str
    severity: str
    file: str
    field: str
    kind: Kind
    record_id: Any
    position: int | None
    reason: str
    records: int


class ProblemLog:
    """Collects the problems of one file.

    Args:
        file: the name of the file
        field: the label field that the file is read into
    """

    def __init__(self, file: str, field: str) -> None:
        self.file = file
        self.field = field
        self.problems: list[Problem] = []

    def add(
        self, rule: Rule, kind: Kind, position: int, record_id: Any, reason: str
    ) -> None:
        """Adds a problem of one record."""
        record_id = record_id if isinstance(record_id, (int, str)) else None
        self._append(rule, kind, record_id, position, reason, 1)

    def note(self, rule: Rule, kind: Kind, count: int, reason: str) -> None:
        """Adds a remark on several records; none if ``count`` is 0."""
        if count:
            self._append(rule, kind, None, None, reason, count)

    def _append(
        self,
        rule: Rule,
        kind: Kind,
        record_id: Any,
        position: int | None,
        reason: str,
        count: int,
    ) -> None:
        self.problems.append(
            Problem(
                rule.code,
                rule.name,
                rule.severity,
                self.file,
                self.field,
                kind,
                record_id,
                position,
                reason,
                count,
            )
        )


def describe(problem: Problem) -> str:
    """Returns the problem as one line that names file, record and rule."""
    what = describe_record(problem)
    return printable(f"{problem.file}: {what} ({problem.code} {problem.name})")


def describe_record(problem: Problem) -> str:
    """Returns which record of its file a problem is of, and what is wrong with it."""
    where = "" if problem.position is None else f" at position {problem.position}"
    record = "" if problem.record_id is None else f" {problem.record_id!r}"
    return f"{problem.kind}{record}{where}: {problem.reason}"


@dataclass(repr=False)
class ImportReport(ShortRepr):
    """What was imported, what was set aside and why.

    Attributes:
        images: the number of samples
        objects: the number of ground truth objects
        predictions: the number of predictions per label field
        problems: all :class:`Problem` records, file by file
    """

    images: int = 0
    objects: int = 0
    predictions: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def _about(self) -> str:
        predictions = sum(self.predictions.values())
        return (
            f"of {counted(self.images, 'image')}, {counted(self.objects, 'object')}, "
            f"{counted(predictions, 'prediction')}, "
            f"{counted(len(self.problems), 'problem')}"
        )

    @property
    def set_aside(self) -> dict[str, int]:
        """The number of records set aside, per code."""
        return self._counts("error")

    @property
    def warnings(self) -> dict[str, int]:
        """The number of records imported with a warning, per code."""
        return self._counts("warning")

    @property
    def notes(self) -> dict[str, int]:
        """The number of records that a note is about, per code."""
        return self._counts("note")

    @property
    def missing_files(self) -> int:
        """The number of images whose file is missing."""
        counts = self.warnings
        return sum(counts.get(rule.code, 0) for rule in (MISSING_FILE, PATH_OUTSIDE))

    def raise_first_error(self) -> None:
        """Raises for the first record that had to be set aside, if any.

        Raises:
            CocoAuditError: naming the record and the reason
        """
        for problem in self.problems:
            if problem.severity == "error":
                raise CocoAuditError(f"{describe(problem)}; nothing was imported")

    def replace_field(self, field: str, other: ImportReport) -> None:
        """Replaces what this report says about a field by that of another report."""
        self.predictions[field] = other.predictions[field]
        self.problems = [p for p in self.problems if p.field != field]
        self.problems += other.problems

    def _counts(self, severity: str) -> dict[str, int]:
        counts: Counter[str] = Counter()
        for problem in self.problems:
            if problem.severity == severity:
                counts[problem.code] += problem.records
        return dict(sorted(counts.items()))

    def counts(self) -> dict[str, Any]:
        """Returns the counts, as ``dataset.info["coco_audit"]["import"]`` has them."""
        return {
            "images": self.images,
            "objects": self.objects,
            "predictions": self.predictions,
            "missing_files": self.missing_files,
            "set_aside": self.set_aside,
            "warnings": self.warnings,
            "notes": self.notes,
        }

    def to_frame(self) -> pd.DataFrame:
        """Returns the problems as a data frame, one row each."""
        import pandas as pd

        return pd.DataFrame(self.problems, columns=list(Problem._fields))

    def __str__(self) -> str:
        lines = []
        if self.images:
            lines.append(
                f"{counted(self.images, 'image')}, {counted(self.objects, 'object')}"
            )
        for name, count in self.predictions.items():
            lines.append(f"{counted(count, 'prediction')} in {name!r}")
        for title, counts in (
            ("Set aside", self.set_aside),
            ("Warnings", self.warnings),
            ("Notes", self.notes),
        ):
            if counts:
                lines.append(f"{title}:")
            for code, count in counts.items():
                rule = RULES[code]
                lines.append(f"  {count:>8,}  {code} {rule.name}: {rule.explanation}")
                first = next(p for p in self.problems if p.code == code)
                lines.append(f"            {describe(first)}")
        return "\n".join(lines)


def report_content(report: ImportReport) -> dict[str, Any]:
    """What is stored of a report, as the results of a run."""
    return {
        "images": report.images,
        "objects": report.objects,
        "predictions": report.predictions,
        "problems": {
            name: [problem[column] for problem in report.problems]
            for column, name in enumerate(Problem._fields)
        },
    }


@database_errors_explained()
def import_report(dataset: fo.Dataset) -> ImportReport:
    """Returns the report on the imports into a dataset.

    Args:
        dataset: a dataset from :func:`import_coco`, or with predictions from
            :func:`add_coco_predictions`

    Returns:
        an :class:`ImportReport`

    Raises:
        CocoAuditError: if the dataset has no report
    """
    dataset = dataset_of(dataset)
    up_to_date(dataset)
    report = load_report(dataset)
    if report is None:
        raise CocoAuditError(
            f"Dataset {dataset.name!r} has no import report because it was not made "
            "by import_coco; import its COCO file with import_coco"
        )
    return report


def load_report(dataset: fo.Dataset) -> ImportReport | None:
    """The report that is stored with a dataset, None if there is none."""
    stored = load_run(dataset, RUN_KEY)
    if stored is None:
        return None
    columns = (stored["problems"][name] for name in Problem._fields)
    return ImportReport(
        stored["images"],
        stored["objects"],
        stored["predictions"],
        [Problem(*row) for row in zip(*columns, strict=True)],
    )
