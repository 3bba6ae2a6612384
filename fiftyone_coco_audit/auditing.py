"""All rules that apply to a dataset, and what they have found."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import fiftyone_coco_audit.rules  # noqa: F401  (fills the registry)
from fiftyone_coco_audit.coco.documents import MISSING_FILE_TAG
from fiftyone_coco_audit.coco.report import (
    ImportReport,
    Problem,
    describe_record,
    load_report,
)
from fiftyone_coco_audit.coco.rules import MISSING_FILE, PATH_OUTSIDE
from fiftyone_coco_audit.columns import dataset_of, require_detection_field
from fiftyone_coco_audit.database import database_errors_explained
from fiftyone_coco_audit.display import of_samples
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.escaping import printable
from fiftyone_coco_audit.fiftyone_internals import root_dataset, stages_of, with_stages
from fiftyone_coco_audit.findings import (
    RULES,
    Finding,
    Need,
    Rule,
    WithFindings,
    finding_from_dict,
    make_finding,
    severest_first,
    without_repeats,
)
from fiftyone_coco_audit.progress import Progress
from fiftyone_coco_audit.rule_selection import (
    OF_DATASETS,
    named_codes,
    not_run_notes,
    rules_not_run,
    run_elsewhere,
    selected_rules,
)
from fiftyone_coco_audit.runs import load_run, save_run, stored_run
from fiftyone_coco_audit.statistics.anchor_presets import DEFAULT_ANCHORS
from fiftyone_coco_audit.statistics.anchor_sets import AnchorSet
from fiftyone_coco_audit.statistics.inputs import (
    LabeledSamples,
    read_labeled_images,
)
from fiftyone_coco_audit.statistics.overview import Statistics
from fiftyone_coco_audit.statistics.resizing import DEFAULT_RESIZE, ResizePolicy
from fiftyone_coco_audit.storage.exclusive import exclusive, up_to_date
from fiftyone_coco_audit.wording import counted, counted_objects, listed

if TYPE_CHECKING:
    import fiftyone as fo

RUN_KEY = "coco_audit_audit"

# In the run's configuration, which is read without its results
_SETTINGS = ("label_field", "resize", "anchors")


@dataclass(frozen=True, repr=False)
class Audit(WithFindings):
    """The findings of an audit.

    Args:
        findings: the findings, most severe first
        samples: the dataset or view that was audited
        label_field: the field of the ground truth
        resize: how images are resized for the network, as text
        anchors: the anchors of the detector, as text
        num_images: the number of images
        num_objects: the number of objects, without crowd regions
        created: the time of the audit, in UTC
        notes: sentences on assumptions about the data
        num_crowds: the number of crowd regions
        not_run: why selected rules were not run, by code
        eval_key: the name of the evaluation, if its results were audited
        provenance: what was evaluated, how and when, if its results were audited
    """

    findings: tuple[Finding, ...]
    samples: fo.SampleCollection = field(repr=False, compare=False)
    label_field: str
    resize: str
    anchors: str
    num_images: int
    num_objects: int
    created: datetime
    notes: tuple[str, ...] = ()
    num_crowds: int = 0
    not_run: Mapping[str, str] = field(default_factory=dict)
    eval_key: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def _about(self) -> str:
        found = ", ".join(
            counted(count, severity) for severity, count in self.counts.items() if count
        )
        return (
            f"{of_samples(self.samples)}: {counted(self.num_images, 'image')}, "
            f"{counted_objects(self.num_objects, self.num_crowds)}, "
            f"{found or 'no findings'}"
        )

    def __len__(self) -> int:
        return len(self.findings)

    def to_json(self) -> str:
        """The audit as JSON: its settings, and all findings with their ids."""
        return json.dumps(self.as_dict(), indent=2)

    def as_dict(self) -> dict[str, Any]:
        """The audit as what JSON can hold; :meth:`from_dict` makes it an audit."""
        return {
            "dataset": root_dataset(self.samples).name,
            "label_field": self.label_field,
            "resize": self.resize,
            "anchors": self.anchors,
            "num_images": self.num_images,
            "num_objects": self.num_objects,
            "num_crowds": self.num_crowds,
            "created": self.created.isoformat(),
            "notes": list(self.notes),
            "not_run": dict(self.not_run),
            "eval_key": self.eval_key,
            "provenance": dict(self.provenance),
            "findings": [asdict(finding) for finding in self.findings],
        }

    @classmethod
    def from_dict(
        cls, stored: Mapping[str, Any], samples: fo.SampleCollection
    ) -> Audit:
        """What :meth:`as_dict` made a dict of, also by JSON.

        Args:
            stored: the dict
            samples: the samples that were audited
        """
        values = {**stored, "samples": samples}
        del values["dataset"]
        values["created"] = datetime.fromisoformat(values["created"])
        values["notes"] = tuple(values["notes"])
        values["findings"] = tuple(map(finding_from_dict, values["findings"]))
        return cls(**values)

    def to_text(self, width: int = 100, most: int | None = None) -> str:
        """The findings as a table for a terminal, with the notes.

        Args:
            width: the width of the lines, in characters
            most: how many findings to show, all by default
        """
        objects = counted_objects(self.num_objects, self.num_crowds)
        about = f"{counted(self.num_images, 'image')}, {objects}"
        notes = [
            line
            for note in self.notes
            for line in textwrap.wrap(
                printable(note), width, initial_indent="  ", subsequent_indent="  "
            )
        ]
        if not self.findings:
            return "\n".join([f"{about}: no findings", *notes])
        counts = ", ".join(
            counted(count, severity) for severity, count in self.counts.items() if count
        )
        rank = "gain" if self.eval_key else "severity"
        rows = [("code", rank, "about", "finding, and what to do")]
        for f in self.findings[:most]:
            what = counted(f.count, f.subject) if f.subject else "the set"
            place = f.severity if not self.eval_key else f.gain.short if f.gain else ""
            rows.append((f.code, place, what, printable(f"{f.message} {f.advice}")))
        widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:3]]
        lines = [f"{about}: {counts}"]
        for row in rows:
            start = "  ".join(
                [
                    "",
                    *(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=False)),
                    "",
                ]
            )
            lines += textwrap.wrap(
                row[3],
                max(width, len(start) + 40),
                initial_indent=start,
                subsequent_indent=" " * len(start),
            )
        if len(self.findings) >= len(rows):
            lines.append(f"  and {len(self.findings) - len(rows) + 1:,} more")
        return "\n".join([*lines, *notes])

    def __str__(self) -> str:
        return self.to_text()


@database_errors_explained()
def audit(
    samples: fo.SampleCollection,
    *,
    label_field: str = "ground_truth",
    resize: str | ResizePolicy = DEFAULT_RESIZE,
    anchors: str | Mapping[str, Any] | AnchorSet = DEFAULT_ANCHORS,
    select: Iterable[str] | None = None,
    ignore: Iterable[str] = (),
    thresholds: Mapping[str, Mapping[str, Any]] | None = None,
    progress: Progress = None,
) -> Audit:
    """Runs all rules on a dataset, and stores the findings.

    Only the audit itself is written; :func:`load_audit` loads it. An audit of the whole
    dataset also reports the records that the import set aside.

    Args:
        samples: a dataset or a view of whole images
        label_field: the field of the ground truth
        resize: how images are resized for the network, such as ``"letterbox 640"``;
            see :class:`.statistics.resizing.ResizePolicy`
        anchors: the anchors of the detector; see
            :class:`.statistics.anchor_sets.AnchorSet`
        select: the rules to run, by code, start of a code or name, such as
            ``["CA4", "tiny-object-at-input"]``; by default, all that can run
        ignore: the rules to skip
        thresholds: thresholds to change, by code or name of the rule, such as
            ``{"CA403": {"min_objects": 50}}``
        progress: whether to show a progress bar, as everywhere in FiftyOne

    Returns:
        an :class:`Audit`

    Raises:
        CocoAuditError: if the arguments or the data do not allow it
    """
    rules = selected_rules(select, ignore)
    changed = checked_thresholds(thresholds or {})
    resize, anchors = ResizePolicy.parse(resize), AnchorSet.parse(anchors)
    labeled = read_labeled_images(samples, label_field, masks=True, progress=progress)
    statistics = Statistics(labeled.images, resize, anchors)
    report = report_of_whole(samples)
    not_run = rules_not_run(rules, statistics, has_file=report is not None)
    if len(not_run) == len(rules):
        raise CocoAuditError(f"No rule can run. {' '.join(not_run_notes(not_run))}")
    findings = [
        *import_findings(samples, report, rules),
        *examine(labeled, statistics, rules, changed),
    ]
    made = Audit(
        findings=severest_first(without_repeats(findings)),
        samples=samples,
        label_field=label_field,
        resize=str(resize),
        anchors=str(anchors),
        num_images=len(labeled.images),
        num_objects=len(labeled.images.objects),
        created=datetime.now(timezone.utc),
        notes=(
            *labeled.notes,
            *not_run_notes(not_run),
            *_on_rules(rules, not_run, changed),
        ),
        num_crowds=int(labeled.images.crowds.sum()),
        not_run=not_run,
    )
    _store(made, _left_out(rules), changed)
    return made


def _left_out(rules: Iterable[Rule]) -> list[str]:
    """Codes of the rules of datasets that are not among some."""
    wanted = {rule.code for rule in rules}
    return [rule.code for rule in selected_rules() if rule.code not in wanted]


def _on_rules(
    rules: Sequence[Rule],
    not_run: Mapping[str, str],
    thresholds: Mapping[str, Mapping[str, Any]],
) -> list[str]:
    """Which rules an audit did not run, or ran with changed thresholds."""
    told = []
    run = sorted({rule.code for rule in rules} - set(not_run))
    left_out = _left_out(rules)
    of_all = f"of {counted(len(selected_rules()), 'rule')}"
    if len(run) < len(left_out):
        told.append(
            f"Only {len(run):,} {of_all} run, because of select: {listed(run)}."
        )
    elif left_out:
        told.append(f"{len(left_out):,} {of_all} left out: {listed(left_out)}.")
    changed = sorted(code for code, values in thresholds.items() if values)
    if changed:
        told.append(f"Thresholds changed from their defaults: {listed(changed)}.")
    return told


def _store(
    made: Audit, left_out: list[str], thresholds: Mapping[str, Mapping[str, Any]]
) -> None:
    dataset, samples = root_dataset(made.samples), made.samples
    settings = {name: getattr(made, name) for name in _SETTINGS}
    config = dataset.init_run(
        method="audit",
        created=made.created.isoformat(),
        left_out=left_out,
        thresholds=dict(thresholds),
        **settings,
    )
    results = {"audit": made.as_dict(), "stages": stages_of(samples)}
    with exclusive(dataset) as fresh:
        # What was gone when it was read looked empty
        require_detection_field(fresh, made.label_field)
        save_run(dataset, RUN_KEY, config, results)


@database_errors_explained()
def load_audit(dataset: fo.Dataset) -> Audit:
    """Returns the last audit of a dataset, or of a view of it at that time.

    Args:
        dataset: a dataset that :func:`audit` was run on, or on a view of it

    Returns:
        an :class:`Audit`

    Raises:
        CocoAuditError: if there is none
    """
    dataset = dataset_of(dataset)
    up_to_date(dataset)
    run = load_run(dataset, RUN_KEY)
    if run is None:
        raise CocoAuditError(
            f"Dataset {dataset.name!r} has no stored audit: run audit(dataset) first"
        )
    return Audit.from_dict(run["audit"], with_stages(dataset, run.get("stages")))


@dataclass(frozen=True)
class AuditSettings:
    """The settings of an audit.

    Args:
        label_field: the field of the ground truth
        resize: how images are resized for the network, as text
        anchors: the anchors of the detector, as text
        created: when the audit was made, in UTC as ISO 8601
        left_out: codes of the rules that were not run
        thresholds: thresholds that were not the default, by code
    """

    label_field: str
    resize: str
    anchors: str
    created: str
    left_out: tuple[str, ...] = ()
    thresholds: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def audit_settings(dataset: fo.Dataset) -> AuditSettings | None:
    """The settings of the last audit of a dataset, without reading its findings.

    Args:
        dataset: the dataset

    Returns:
        an :class:`AuditSettings`, or None if the dataset was not audited
    """
    run = stored_run(dataset, RUN_KEY)
    if run is None:
        return None
    settings = {name: run.config[name] for name in _SETTINGS}
    return AuditSettings(
        created=run.config["created"],
        # Audits stored by earlier versions have neither
        left_out=tuple(run.config.get("left_out") or ()),
        thresholds=run.config.get("thresholds") or {},
        **settings,
    )


def examine(
    labeled: LabeledSamples,
    statistics: Statistics,
    rules: Sequence[Rule],
    thresholds: Mapping[str, Mapping[str, Any]] | None = None,
) -> tuple[Finding, ...]:
    """Runs rules on the statistics of samples.

    Args:
        labeled: the samples
        statistics: their statistics
        rules: the rules
        thresholds: thresholds other than the defaults, by code

    Returns:
        the findings, most severe first, also those that follow from others
    """
    changed = thresholds or {}
    findings = [
        make_finding(rule, evidence, labeled)
        for rule in rules
        for evidence in rule.examine(statistics, **changed.get(rule.code, {}))
    ]
    return severest_first(findings)


def checked_thresholds(
    thresholds: Mapping[str, Mapping[str, Any]], needs: Iterable[Need] = OF_DATASETS
) -> dict[str, dict[str, Any]]:
    """The thresholds to change, by code.

    Args:
        thresholds: the thresholds by code, start of a code or name
        needs: what the rules of the audit examine

    Raises:
        CocoAuditError: if there is no such rule here, or it has no such threshold
    """
    checked: dict[str, dict[str, Any]] = {}
    if not isinstance(thresholds, Mapping) or not all(
        isinstance(values, Mapping) for values in thresholds.values()
    ):
        raise CocoAuditError(
            f"thresholds is {thresholds!r}: it must be like {{'few-objects': "
            "{'min_objects': 50}}"
        )
    for word, values in thresholds.items():
        for code in named_codes([word])[word]:
            elsewhere = run_elsewhere([RULES[code]], needs)
            if elsewhere:
                raise CocoAuditError(
                    f"Rule {word} has no thresholds here. {elsewhere[code]}"
                )
            known = RULES[code].thresholds
            for name, value in values.items():
                if not isinstance(value, (int, float)) or value != value:
                    raise CocoAuditError(
                        f"Threshold {name!r} of rule {word} is {value!r}, which is "
                        "not a number"
                    )
                if name not in known:
                    raise CocoAuditError(
                        f"Rule {word} has no threshold {name!r}; it has "
                        f"{', '.join(map(repr, known)) or 'none'}"
                    )
            checked.setdefault(code, {}).update(values)
    return checked


def report_of_whole(samples: fo.SampleCollection) -> ImportReport | None:
    """The report on the import of a whole dataset.

    Args:
        samples: a dataset or a view

    Returns:
        None if there is none, or for a view: a record that was set aside is of no
        sample, so of no view either
    """
    import fiftyone as fo

    return load_report(samples) if isinstance(samples, fo.Dataset) else None


def import_findings(
    samples: fo.SampleCollection, report: ImportReport | None, rules: Sequence[Rule]
) -> list[Finding]:
    """What the import of a dataset said about its files.

    Args:
        samples: the dataset
        report: the report on its import
        rules: the rules whose findings are wanted

    Returns:
        the findings: one for each rule, file and label field
    """
    if report is None:
        return []
    by_rule: dict[tuple[str, str, str], list[Problem]] = {}
    for problem in report.problems:
        key = problem.code, problem.file, problem.field
        by_rule.setdefault(key, []).append(problem)
    wanted = {rule.code: rule for rule in rules}
    return [
        _import_finding(samples, wanted[code], file, label_field, problems)
        for (code, file, label_field), problems in by_rule.items()
        if code in wanted
    ]


def _import_finding(
    dataset: fo.Dataset,
    rule: Rule,
    file: str,
    label_field: str,
    problems: list[Problem],
) -> Finding:
    count = sum(problem.records for problem in problems)
    sample_ids = []
    if rule.code in (MISSING_FILE.code, PATH_OUTSIDE.code):
        images = {str(problem.record_id) for problem in problems}
        tagged = dataset.match_tags(MISSING_FILE_TAG).values(["coco_id", "id"])
        sample_ids = [
            i for image, i in zip(*tagged, strict=True) if str(image) in images
        ]
    return Finding(
        code=rule.code,
        name=rule.name,
        severity=rule.severity,
        message=_import_message(rule, count, problems[0]),
        advice=rule.advice,
        count=count,
        classes=(),
        figures={"records": count, "file": file},
        label_field=label_field,
        sample_ids=tuple(sample_ids),
    )


def _import_message(rule: Rule, count: int, first: Problem) -> str:
    records = counted(count, f"{first.kind} record")
    done = {
        "error": "set aside by the import",
        "warning": "imported with a warning",
        "note": "noted by the import",
    }[rule.severity]
    which = "" if count == 1 else "the first, "
    return (
        f"{rule.explanation.rstrip('.')}: {records} of {first.file} {done}; {which}"
        f"{describe_record(first)}."
    )
