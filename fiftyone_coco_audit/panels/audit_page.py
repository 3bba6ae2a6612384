"""What the panel *COCO Audit* shows, and its settings."""

from __future__ import annotations

from collections.abc import Callable

from fiftyone.operators.executor import ExecutionContext

from fiftyone_coco_audit.auditing import audit_settings
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.panels.audit_controls import AuditControls
from fiftyone_coco_audit.panels.base import fields_to, keep, kept
from fiftyone_coco_audit.panels.blocks import Choice, Tab
from fiftyone_coco_audit.panels.controls import revision_of, set_controls
from fiftyone_coco_audit.panels.pages import Page, kept_controls, settled_page
from fiftyone_coco_audit.panels.session import READINGS, LoadedField
from fiftyone_coco_audit.panels.tabs import anchors, classes, findings, images, objects

TABS: dict[str, Callable[[LoadedField, AuditControls], Tab]] = {
    "findings": findings.build,
    "images": images.build,
    "objects": objects.build,
    "classes": classes.build,
    "anchors": anchors.build,
}
_DEFAULT_FIELD = "ground_truth"


def make_page(ctx: ExecutionContext, *, anew: bool = False) -> Page:
    """Makes the page from the settings of the user.

    Args:
        ctx: the context of an event
        anew: whether to read the dataset again

    Raises:
        CocoAuditError: if there is nothing to audit
    """
    fields = fields_to("audit", ctx)
    again = iter([anew])

    def build(controls: AuditControls) -> Page:
        if controls.label_field not in fields:
            first = _DEFAULT_FIELD if _DEFAULT_FIELD in fields else fields[0]
            controls = controls.with_field(first)
        samples = controls.samples(ctx.dataset)
        if samples.media_type == "group":
            raise CocoAuditError(about_groups(ctx))
        field = controls.label_field
        reading = READINGS.get(samples, field, anew=next(again, False))
        tab = TABS.get(controls.tab, findings.build)(reading, controls)
        options = [(name, name) for name in fields]
        subject = Choice("label_field", "Label field", options, field)
        return Page(controls, subject, reading, tab, revision_of(ctx))

    return settled_page(ctx, controls_of, build)


def controls_of(ctx: ExecutionContext) -> AuditControls:
    """The settings: first those of the last audit, then those of the user."""
    settings = audit_settings(ctx.dataset)
    if settings is not None and kept(ctx, "audit", None) != settings.created:
        network = AuditControls.of_network(settings.resize, settings.anchors)
        rules = AuditControls.of_rules(settings.left_out, settings.thresholds)
        set_controls(ctx, {"label_field": settings.label_field, **network, **rules})
        keep(ctx, audit=settings.created)
    controls: AuditControls = kept_controls(ctx, AuditControls)
    return controls


def about_groups(ctx: ExecutionContext) -> str:
    """What to do if samples are grouped."""
    shown = f"the grid shows {slice_of(ctx)!r}"
    if not has_images_in_slice(ctx):
        shown += ", which has no images"
    return (
        f"Dataset {ctx.dataset.name!r} is grouped, and one slice of images is audited "
        f"at a time; {shown}: choose another slice above the grid"
        f"{' if need be' * has_images_in_slice(ctx)}"
    )


def slice_of(ctx: ExecutionContext) -> str:
    """The slice of groups that the grid shows."""
    return str(ctx.group_slice or ctx.dataset.default_group_slice)


def has_images_in_slice(ctx: ExecutionContext) -> bool:
    """Whether that slice has images."""
    return ctx.dataset.group_media_types.get(slice_of(ctx)) == "image"
