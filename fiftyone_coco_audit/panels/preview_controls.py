"""The settings of the panel *Augmentation Preview*."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fiftyone.operators.executor import ExecutionContext

from fiftyone_coco_audit.augmentation.building import PipelineDraft
from fiftyone_coco_audit.augmentation.pipelines import Pipeline
from fiftyone_coco_audit.augmentation.presets import PRESETS
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.operators.forms import detections_fields
from fiftyone_coco_audit.panels.base import keep, kept
from fiftyone_coco_audit.panels.controls import renew, set_controls

#: Used instead of the name of a preset
TEXT, BUILT = "text", "built"
DRAWS, STEPS = "draws", "steps"
MOST_DRAWS = 24

_DEFAULT_FIELD = "ground_truth"
# Lines of text: what they show is set anew under another name
_ENTRIES = {"draws": (1, MOST_DRAWS), "draw": (1, None), "seed": (0, None)}


@dataclass(frozen=True)
class PreviewControls:
    """The settings of the panel.

    Args:
        pipeline: the name of a preset, ``"text"`` or ``"built"``
        show: ``"draws"`` or ``"steps"``, one transform at a time
        draws: how many draws are shown
        draw: the one whose steps are shown, from 1
        seed: of all draws
        size: of the pictures
        label_field: the field of the ground truth
        copy: whether and as what the pipeline is shown as text
    """

    pipeline: str = "ultralytics"
    show: str = DRAWS
    draws: int = 8
    draw: int = 1
    seed: int = 51
    size: str = "medium"
    label_field: str = ""
    copy: str = "no"

    @classmethod
    def of(
        cls, values: Mapping[str, Any], label_fields: Sequence[str]
    ) -> PreviewControls:
        """Reads settings, which may be incomplete or invalid.

        Args:
            values: values by the names of the fields
            label_fields: the label fields to choose from
        """
        known = asdict(cls())
        found = {name: values.get(name) or known[name] for name in known}
        for name in _ENTRIES:
            found[name] = _number(name, values.get(name), known[name])
        if found["label_field"] not in label_fields:
            first = next(iter(label_fields), _DEFAULT_FIELD)
            is_there = _DEFAULT_FIELD in label_fields
            found["label_field"] = _DEFAULT_FIELD if is_there else first
        return cls(**found)


def controls_of(ctx: ExecutionContext) -> PreviewControls:
    """The settings of a panel."""
    return PreviewControls.of(kept(ctx, "controls", {}), detections_fields(ctx.dataset))


def shown_controls(ctx: ExecutionContext) -> dict[str, Any]:
    """What each control shows."""
    return asdict(controls_of(ctx))


def draft_of(ctx: ExecutionContext) -> PipelineDraft:
    """The list of transforms."""
    return PipelineDraft.from_json(kept(ctx, "draft", None))


def keep_draft(ctx: ExecutionContext, draft: PipelineDraft, place: int = 0) -> None:
    """Keeps a list of transforms that has changed, and opens one of them."""
    keep(ctx, draft=draft.to_json(), step=place)
    renew(ctx)


def turn_to_pipeline(ctx: ExecutionContext, chosen: str) -> bool:
    """Turns to a preset, the text or the list; these begin with what was shown before.

    Returns:
        whether that changed anything
    """
    before = controls_of(ctx).pipeline
    if chosen == before or chosen not in {*PRESETS, TEXT, BUILT}:
        return False
    shown = pipeline_as_text(ctx) or PreviewControls.pipeline
    set_controls(ctx, {"pipeline": chosen})
    if chosen == TEXT and not kept(ctx, "text", None):
        keep(ctx, text=Pipeline.parse(shown).to_json())
    elif chosen == BUILT and not kept(ctx, "draft", None):
        keep_draft(ctx, PipelineDraft.of(Pipeline.parse(shown)))
    return True


def pipeline_as_text(ctx: ExecutionContext) -> str | None:
    """The pipeline that is shown: the name of a preset, or JSON.

    Returns:
        the text, None if the pipeline is not valid
    """
    chosen = controls_of(ctx).pipeline
    if chosen in PRESETS:
        return chosen
    try:
        if chosen == BUILT:
            return draft_of(ctx).pipeline().to_json()
        return Pipeline.parse(kept(ctx, "text", None) or "").to_json()
    except CocoAuditError:
        return None


def _number(name: str, value: Any, default: Any) -> int:
    """A whole number within limits, the default if it is none."""
    least, most = _ENTRIES[name]
    try:
        number = int(str(value))
    except ValueError:
        return int(default)
    number = max(number, least)
    return number if most is None else min(number, most)
