"""The tab *Next steps*: what to do, by the AP that it would gain."""

from __future__ import annotations

from fiftyone_coco_audit.panels.blocks import Tab, Text
from fiftyone_coco_audit.panels.loaded_results import LoadedResults
from fiftyone_coco_audit.panels.results_controls import ResultsControls
from fiftyone_coco_audit.panels.tabs.results.shared import without_objects


def build(loaded: LoadedResults, controls: ResultsControls) -> Tab:
    """What to do next, the largest gain first."""
    if not loaded.has_objects:
        return without_objects()
    return Tab([Text("summary", f"```\n{loaded.results}\n```", scrolls=True)])
