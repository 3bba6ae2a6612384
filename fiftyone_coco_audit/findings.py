"""Findings, the rules that they come from, and the one registry that lists these."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.errors import CocoAuditError, NotFoundError
from fiftyone_coco_audit.views import view_of_labels
from fiftyone_coco_audit.wording import counted

if TYPE_CHECKING:
    import fiftyone as fo
    import pandas as pd

    from fiftyone_coco_audit.statistics.inputs import LabeledSamples

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

#: What a rule examines. An audit has a dataset, and usually the file of its import
Need = Literal["file", "dataset", "pipeline", "loader", "evaluation"]

#: Where the pages of our own rules are
PAGES = "https://github.com/coco-audit/fiftyone-coco-audit/blob/main/docs/rules"


@dataclass(frozen=True)
class Gain:
    """How much a metric would rise if a finding were dealt with.

    Args:
        value: the rise, on all images
        low: the lower bound of its 95% interval over draws of the images
        high: the upper bound
        metric: what rises

    Examples::

        >>> print(Gain(0.034, 0.021, 0.046))
        +.034 AP [.021, .046]
    """

    value: float
    low: float
    high: float
    metric: str = "AP"

    @property
    def short(self) -> str:
        """The gain without its interval, such as ``"+.034 AP"``."""
        return f"{_bare(f'{self.value:+.3f}')} {self.metric}"

    def __str__(self) -> str:
        low, high = (_bare(f"{bound:.3f}") for bound in (self.low, self.high))
        return f"{self.short} [{low}, {high}]"


def _bare(number: str) -> str:
    """A number below 1 without the zero before its point."""
    return re.sub(r"^([+-]?)0\.", r"\1.", number)


@dataclass(frozen=True, repr=False)
class Evidence(ShortRepr):
    """What a check has found: a finding, before samples and labels have ids.

    Args:
        message: one sentence on what is wrong, with a figure
        images: positions of the images concerned, if images are wrong
        objects: rows of the objects concerned, if objects are wrong
        predictions: rows of the predictions concerned, if predictions are wrong, about
            these objects if any
        classes: names of the classes concerned
        figures: the numbers behind the sentence, by name
        severity: if it differs from the rule's, because it depends on what was found
        advice: if it differs from the rule's, because the cause is known
        gain: how much AP would rise without it, in an audit of results
    """

    message: str
    images: NDArray[np.int64] | None = None
    objects: NDArray[np.int64] | None = None
    predictions: NDArray[np.int64] | None = None
    classes: tuple[str, ...] = ()
    figures: Mapping[str, float | int | str] = field(default_factory=dict)
    severity: Severity | None = None
    advice: str | None = None
    gain: Gain | None = None

    def _about(self) -> str:
        return f"of {self.message!r}"


Check = Callable[..., Iterable[Evidence]]


class Example:
    """Something that a rule finds, or something similar that it does not find.

    Args:
        text: a sentence
        **data: what tests give the rule; see ``tests/unit/rules/test_examples.py``
    """

    def __init__(self, text: str = "", **data: Any) -> None:
        self.text = text
        self.data = data


@dataclass(eq=False, repr=False)
class Rule(ShortRepr):
    """Something that can be wrong, or worth knowing, about a dataset.

    :func:`rule` makes and registers one. A rule of datasets is then used as the
    decorator of its check; other rules are found by the import, by audits of
    augmentation or by checks of loaders.

    Args:
        code: the stable code, such as ``"CA110"``
        name: a short name in kebab case
        severity: ``"error"`` when the thing concerned cannot be used or is wrong,
            ``"warning"`` when it is used but probably harms, ``"note"`` when it
            is only worth knowing
        explanation: one sentence on what is wrong and why it matters
        advice: one sentence on what to do
        ignore: one sentence on when to ignore it
        example: something that it finds
        counterexample: something much like it that it does not find
        since: the first version that has it
        needs: what it examines
        reasons: a sentence on the default of each threshold: its source, or what
            was measured
        limits: the thresholds of a rule without a check, as attributes
        check: a function of :class:`.statistics.overview.Statistics`, or of
            :class:`.evaluation.improvements.Improvements`, that yields the
            :class:`Evidence`; its keyword-only parameters are the thresholds
        implies: codes, or starts of codes, of rules whose findings follow from
            one of this, and are left out beside it
        needs_whole: whether a view of a few images cannot answer it
        changes_numbers: whether evaluations mention it, or only those of one
            ``iou_type``; by default they mention errors and warnings of the import,
            and no notes
    """

    code: str
    name: str
    severity: Severity
    _: KW_ONLY
    explanation: str
    advice: str
    ignore: str = ""
    example: Example | None = None
    counterexample: Example | None = None
    since: str = "0.1"
    needs: Need = "dataset"
    reasons: Mapping[str, str] = field(default_factory=dict)
    limits: object = None
    check: Check | None = field(default=None, compare=False)
    implies: tuple[str, ...] = ()
    needs_whole: bool = False
    changes_numbers: bool | Literal["segm", "keypoints"] | None = None

    def _about(self) -> str:
        return f"{self.code} {self.name}"

    def __call__(self, check: Check) -> Rule:
        """Sets the check; the name of the function then refers to the rule."""
        self.check = check
        return self

    @property
    def thresholds(self) -> dict[str, Any]:
        """The thresholds, with their defaults."""
        if self.check is None:
            return {name: getattr(self.limits, name) for name in self.reasons}
        return {
            name: parameter.default
            for name, parameter in inspect.signature(self.check).parameters.items()
            if parameter.kind is parameter.KEYWORD_ONLY
        }

    def examine(self, subject: Any, **thresholds: Any) -> Iterable[Evidence]:
        """Runs the check.

        Args:
            subject: the statistics of a set of images, or an evaluation with its
                improvements
            **thresholds: thresholds other than the defaults

        Returns:
            an iterable of :class:`Evidence`
        """
        if self.check is None or (self.needs_whole and subject.is_glimpse):
            return ()
        return self.check(subject, **thresholds)


RULES: dict[str, Rule] = {}


def rule_page(code: str) -> str | None:
    """The address of the page of a rule, None for a rule that others have added.

    Args:
        code: the code of the rule

    Examples::

        >>> rule_page("OWN1")
    """
    return f"{PAGES}/{code}.md" if re.fullmatch(r"CA\d{3}", code) else None


def rule(code: str, name: str, severity: Severity, **parts: Any) -> Rule:
    """Makes a rule, and registers it.

    Args:
        code: the stable code
        name: a short name in kebab case
        severity: ``"error"``, ``"warning"`` or ``"note"``
        **parts: the others of :class:`Rule`

    Returns:
        the rule, which decorates its check if it has one

    Raises:
        ValueError: if the code is taken
    """
    if code in RULES:
        raise ValueError(f"two rules have the code {code}")
    RULES[code] = Rule(code, name, severity, **parts)
    return RULES[code]


@dataclass(frozen=True, repr=False)
class Finding(ShortRepr):
    """A problem that a rule found in a dataset.

    Args:
        code: the code of the rule
        name: the name of the rule
        severity: ``"error"``, ``"warning"`` or ``"note"``
        message: one sentence on what is wrong, with a figure
        advice: one sentence on what to do
        count: the number of samples or labels concerned
        classes: names of the classes concerned
        figures: the numbers in the message, by name
        label_field: the field of the labels
        sample_ids: ids of the samples concerned, if it is about samples
        label_ids: ids of the labels concerned, if it is about labels
        gain: how much AP would rise without it, in an audit of results
        related: codes of findings about the dataset that most of the labels have too
    """

    code: str
    name: str
    severity: Severity
    message: str
    advice: str
    count: int
    classes: tuple[str, ...]
    figures: dict[str, float | int | str]
    label_field: str
    sample_ids: tuple[str, ...] = ()
    label_ids: tuple[str, ...] = ()
    gain: Gain | None = None
    related: tuple[str, ...] = ()

    def _about(self) -> str:
        what = counted(self.count, self.subject) if self.subject else "the whole set"
        return f"{self.code} {self.name}: {self.severity}, {what}"

    @property
    def subject(self) -> str:
        """What is counted: ``"label"``, ``"sample"``, or ``""`` for the whole set."""
        if self.label_ids:
            return "label"
        return "sample" if self.sample_ids else ""

    def view(self, samples: fo.SampleCollection) -> fo.DatasetView:
        """Exactly the samples or labels concerned.

        Args:
            samples: the dataset, or a view of it

        Returns:
            a view of the labels in their samples, or of the samples; all samples if
            the finding is about the whole set
        """
        if self.label_ids:
            return view_of_labels(samples, self.label_field, self.label_ids)
        if self.sample_ids:
            return samples.select(list(self.sample_ids))
        return samples.view()

    def __str__(self) -> str:
        return f"{self.code} {self.severity}: {self.message} {self.advice}"


def finding_from_dict(stored: Mapping[str, Any]) -> Finding:
    """A finding from what :func:`dataclasses.asdict` made of it, also by JSON."""
    values = dict(stored)
    for name in ("classes", "sample_ids", "label_ids", "related"):
        # Audits stored by earlier versions lack what is new
        values[name] = tuple(values.get(name, ()))
    if values.get("gain") is not None:
        values["gain"] = Gain(**values["gain"])
    return Finding(**values)


_GAIN_COLUMNS = {"gain": "value", "gain_low": "low", "gain_high": "high"}


class WithFindings(ShortRepr):
    """Results that hold findings about samples."""

    if TYPE_CHECKING:
        samples: fo.SampleCollection

        @property
        def findings(self) -> tuple[Finding, ...]:
            """The findings, most severe first."""

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __getitem__(self, code: str) -> Finding:
        """The first finding of a code, or of the name of a rule.

        Raises:
            NotFoundError: if there is none
        """
        for finding in self.findings:
            if code in (finding.code, finding.name):
                return finding
        codes = ", ".join(dict.fromkeys(f.code for f in self.findings)) or "none"
        raise NotFoundError(
            f"There is no finding {code!r} in this audit; its findings are: {codes}"
        )

    @property
    def counts(self) -> dict[str, int]:
        """The number of findings by severity, most severe first."""
        found = Counter(finding.severity for finding in self.findings)
        return {severity: found[severity] for severity in SEVERITIES}

    def at_least(self, severity: Severity) -> tuple[Finding, ...]:
        """The findings of a severity or higher."""
        if severity not in SEVERITIES:
            known = ", ".join(SEVERITIES)
            raise CocoAuditError(f"severity is {severity!r}: it must be one of {known}")
        accepted = SEVERITIES[: SEVERITIES.index(severity) + 1]
        return tuple(f for f in self.findings if f.severity in accepted)

    def view(self, finding: Finding | str) -> fo.DatasetView:
        """Exactly the samples or labels of a finding.

        Args:
            finding: a finding, or the code or name of its rule

        Returns:
            a view

        Raises:
            CocoAuditError: if there is no such finding
        """
        if not isinstance(finding, Finding):
            finding = self[finding]
        return finding.view(self.samples)

    def to_frame(self) -> pd.DataFrame:
        """The findings as a frame by code, in their order, without their ids.

        Returns:
            a frame; with gains, if there are any: ``gain``, the bounds ``gain_low`` and
            ``gain_high``, and the ``metric`` that rises
        """
        import pandas as pd

        columns = ["name", "severity", "count", "subject", "message", "advice"]
        rows = [[getattr(f, column) for column in columns] for f in self.findings]
        index = pd.Index([f.code for f in self.findings], name="code")
        frame = pd.DataFrame(rows, index=index, columns=columns)
        gains = [f.gain for f in self.findings]
        if any(gains):
            nan = float("nan")
            for name, part in _GAIN_COLUMNS.items():
                frame[name] = [nan if g is None else getattr(g, part) for g in gains]
            frame["metric"] = [None if g is None else g.metric for g in gains]
        return frame


def make_finding(rule: Rule, evidence: Evidence, labeled: LabeledSamples) -> Finding:
    """Makes a finding from what was found in samples.

    Args:
        rule: the rule
        evidence: what was found
        labeled: the samples
    """
    sample_ids: list[str] = []
    label_ids: list[str] = []
    if evidence.objects is not None:
        label_ids = labeled.label_ids(evidence.objects)
    elif evidence.images is not None:
        sample_ids = labeled.sample_ids(evidence.images)
    return Finding(
        code=rule.code,
        name=rule.name,
        severity=evidence.severity or rule.severity,
        message=evidence.message,
        advice=evidence.advice or rule.advice,
        count=len(label_ids) or len(sample_ids),
        classes=evidence.classes,
        figures=dict(evidence.figures),
        label_field=labeled.label_field,
        sample_ids=tuple(sample_ids),
        label_ids=tuple(label_ids),
    )


def highest_gain_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings by the AP that they would gain, then those with another gain or none."""

    def place(finding: Finding) -> tuple[bool, bool, float, int, str]:
        gain, severity = finding.gain, SEVERITIES.index(finding.severity)
        other = gain is None or gain.metric != "AP"
        value = 0 if gain is None else -gain.value
        return other, gain is None, value, severity, finding.code

    return tuple(sorted(findings, key=place))


def severest_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings by severity, those of one severity by code."""
    order = sorted(findings, key=lambda f: (SEVERITIES.index(f.severity), f.code))
    return tuple(order)


def without_repeats(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings without those that follow from another one.

    A finding that names classes is kept if the others name at most half of them.

    Args:
        findings: the findings
    """
    listed = list(findings)
    return tuple(f for f in listed if not _follows(f, listed))


def _follows(finding: Finding, findings: Iterable[Finding]) -> bool:
    causes = [
        other
        for other in findings
        if other.code in RULES and finding.code.startswith(RULES[other.code].implies)
    ]
    if not causes or not all([finding.classes, *(c.classes for c in causes)]):
        return bool(causes)
    named = {name for cause in causes for name in cause.classes}
    return 2 * len(named & set(finding.classes)) > len(finding.classes)
