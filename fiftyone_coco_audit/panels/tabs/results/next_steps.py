"""The tab *Next steps*: what to do, by the AP that it would gain."""

from __future__ import annotations

from fiftyone_coco_audit.auditing_results import examine_results
from fiftyone_coco_audit.escaping import markdown, markdown_table
from fiftyone_coco_audit.panels.blocks import Block, Card, Tab, Text
from fiftyone_coco_audit.panels.loaded_results import LoadedResults
from fiftyone_coco_audit.panels.results_controls import ResultsControls
from fiftyone_coco_audit.panels.tabs.results.shared import points, without_objects
from fiftyone_coco_audit.panels.tabs.shared import finding_name
from fiftyone_coco_audit.rule_selection import not_run_notes
from fiftyone_coco_audit.wording import counted


def build(loaded: LoadedResults, controls: ResultsControls) -> Tab:
    """What to do next, the largest gain first."""
    if not loaded.has_objects:
        return without_objects()
    results = loaded.results
    found, not_run = loaded.once("steps", lambda: examine_results(results))
    steps = [finding for finding in found if finding.gain]
    headline = "No step would gain AP that is worth mentioning"
    if steps:
        headline = f"{counted(len(steps), 'next step')}, the largest gain first"
    cards: list[Block] = [
        Card(finding_name(finding), finding, loaded.extent(finding))
        for finding in found
    ]
    summary = {
        name: points(value) if value >= 0 else "n/a"
        for name, value in results.summary().items()
    }
    notes = [
        Text(f"note{n}", markdown(note), size="0.9rem")
        for n, note in enumerate([*not_run_notes(not_run), *results.notes])
    ]
    return Tab(
        [
            Text(
                "headline",
                f"**{headline}.** Each gain is computed from the matches, for that "
                "step alone, with its 95% interval over draws of the images.",
            ),
            Text("summary", markdown_table(list(summary), [list(summary.values())])),
            *cards,
            *notes,
        ]
    )
