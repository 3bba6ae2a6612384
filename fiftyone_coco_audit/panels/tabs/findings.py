"""The tab *Findings*."""

from __future__ import annotations

from fiftyone_coco_audit.escaping import markdown
from fiftyone_coco_audit.findings import SEVERITIES
from fiftyone_coco_audit.panels.audit_controls import AuditControls
from fiftyone_coco_audit.panels.blocks import (
    Block,
    Button,
    Buttons,
    Card,
    Tab,
    Text,
)
from fiftyone_coco_audit.panels.session import LoadedField
from fiftyone_coco_audit.panels.tabs.shared import (
    anchors_controls,
    audited,
    finding_name,
    resize_controls,
    without_objects,
)
from fiftyone_coco_audit.wording import counted, listed


def build(reading: LoadedField, controls: AuditControls) -> Tab:
    """What the rules have found, the most severe first."""
    if not len(reading.labeled.images):
        return without_objects(reading)
    statistics = audited(reading, controls)
    found = reading.findings(statistics, *controls.rules())
    by_severity = {
        severity: sum(finding.severity == severity for finding in found)
        for severity in SEVERITIES
    }
    told = ", ".join(counted(n, severity) for severity, n in by_severity.items() if n)
    cards: list[Block] = [
        Card(finding_name(finding), finding, reading.extent(finding))
        for finding in found
    ]
    not_run = reading.not_run(statistics, controls.rules()[0])
    # What is ignored, assumed and not examined
    understood = [
        Text(f"note{n}", markdown(note))
        for n, note in enumerate([*reading.labeled.notes, *not_run])
    ]
    headline = Text("headline", f"**{told or 'No findings: all rules are satisfied'}**")
    return Tab(
        [headline, *_rules(controls), *understood, *cards],
        [*anchors_controls(controls), *resize_controls(controls)],
    )


def _rules(controls: AuditControls) -> list[Block]:
    """Says that rules are left out or changed, and how to run them all."""
    left_out, thresholds = controls.rules()
    told = []
    if left_out:
        told.append(f"{counted(len(left_out), 'rule')} left out")
    if thresholds:
        told.append(f"other thresholds for {listed(sorted(thresholds))}")
    if not told:
        return []
    everything = Button("all", "Run all rules", AuditControls.of_rules([], {}))
    return [
        Text("rules", f"As in the last audit: {', '.join(told)}."),
        Buttons("all_rules", [everything]),
    ]
