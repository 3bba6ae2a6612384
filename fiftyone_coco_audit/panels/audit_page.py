"""What the panel *COCO Audit* shows, and its settings."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

from fiftyone.operators.executor import ExecutionContext

from fiftyone_coco_audit.auditing import audit_settings
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.panels.audit_controls import CONTROLS, AuditControls
from fiftyone_coco_audit.panels.base import fields_to, keep, kept
from fiftyone_coco_audit.panels.blocks import Tab
from fiftyone_coco_audit.panels.controls import revision_of, set_controls
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


@dataclass(frozen=True)
class Page:
    """What the panel shows.

    Args:
        controls: the settings
        fields: the label fields to choose from
        reading: what is audited
        tab: the tab that is shown
        revision: how often lines of text have been set in place of the user
    """

    controls: AuditControls
    fields: Sequence[str]
    reading: LoadedField
    tab: Tab
    revision: int

    @cached_property
    def stamp(self) -> str:
        """Identifies the page among all that show something else.

        Cards and marks carry it, so that a click opens what was there when it was
        made, whatever the panel shows by then.
        """
        what = repr((self.reading.number, self.controls))
        return blake2b(what.encode(), digest_size=6).hexdigest()


class DrawnPages:
    """The pages drawn last, by their stamps.

    Args:
        most: how many to keep
    """

    def __init__(self, most: int = 16) -> None:
        self._most = most
        self._pages: OrderedDict[str, Page] = OrderedDict()

    def add(self, page: Page) -> None:
        """Keeps a page that is drawn."""
        self._pages[page.stamp] = page
        self._pages.move_to_end(page.stamp)
        while len(self._pages) > self._most:
            self._pages.popitem(last=False)

    def get(self, stamp: str | None) -> Page | None:
        """The page of a stamp; None if it is no longer kept."""
        return self._pages.get(stamp or "")


#: The pages of this process, the App's server
DRAWN = DrawnPages()


def make_page(ctx: ExecutionContext, *, anew: bool = False) -> Page:
    """Makes the page from the settings of the user.

    Args:
        ctx: the context of an event
        anew: whether to read the dataset again

    Raises:
        CocoAuditError: if there is nothing to audit
    """
    fields = fields_to("audit", ctx)
    while True:
        controls = shown = controls_of(ctx)
        if controls.label_field not in fields:
            first = _DEFAULT_FIELD if _DEFAULT_FIELD in fields else fields[0]
            shown = controls.with_field(first)
        samples = shown.samples(ctx.dataset)
        if samples.media_type == "group":
            raise CocoAuditError(about_groups(ctx))
        build = TABS.get(shown.tab, findings.build)
        reading = READINGS.get(samples, shown.label_field, anew=anew)
        tab = build(reading, shown)
        # A change in the meantime may already have been handled
        if controls == controls_of(ctx):
            page = Page(shown, fields, reading, tab, revision_of(ctx))
            DRAWN.add(page)
            keep(ctx, shown=page.stamp)
            return page
        anew = False


def controls_of(ctx: ExecutionContext) -> AuditControls:
    """The settings: first those of the last audit, then those of the user."""
    settings = audit_settings(ctx.dataset)
    if settings is not None and kept(ctx, "audit", None) != settings.created:
        network = AuditControls.of_network(settings.resize, settings.anchors)
        rules = AuditControls.of_rules(settings.left_out, settings.thresholds)
        set_controls(ctx, {"label_field": settings.label_field, **network, **rules})
        keep(ctx, audit=settings.created)
    values = kept(ctx, "controls", {})
    tab, stages = kept(ctx, "tab", AuditControls.tab), kept(ctx, "stages", None)
    return AuditControls.of({**values, "tab": tab, "stages": stages})


def shown_controls(ctx: ExecutionContext) -> dict[str, Any]:
    """What each control shows: what the user has set, or what was drawn last."""
    drawn: dict[str, Any] = dict.fromkeys(CONTROLS)
    page = DRAWN.get(kept(ctx, "shown", None))
    if page is not None:
        drawn["label_field"] = page.controls.label_field
        drawn |= {one.name: one.value for one in page.tab.all_controls()}
    chosen = kept(ctx, "controls", {}).items()
    return drawn | {name: value for name, value in chosen if value is not None}


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
