"""The groups of fields in the App's sidebar."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import fiftyone as fo


def shown_paths(dataset: fo.Dataset) -> list[str]:
    """The paths of the fields that the sidebar shows, from the top."""
    import fiftyone as fo

    groups = dataset.app_config.sidebar_groups
    if groups is None:
        groups = fo.DatasetAppConfig.default_sidebar_groups(dataset)
    shown = [group.paths for group in groups if group.expanded is not False]
    return [path for paths in shown for path in paths]


def groups_of(dataset: fo.Dataset, paths: Iterable[str]) -> set[str]:
    """The names of the groups that hold any of some fields."""
    groups = dataset.app_config.sidebar_groups or ()
    return {group.name for group in groups if not set(paths).isdisjoint(group.paths)}


def remove_empty_groups(dataset: fo.Dataset, names: set[str]) -> None:
    """Removes groups that have lost all of their fields.

    FiftyOne removes deleted fields from them, but keeps showing the empty groups.
    """
    groups = dataset.app_config.sidebar_groups or []
    kept = [group for group in groups if group.paths or group.name not in names]
    if len(kept) < len(groups):
        dataset.app_config.sidebar_groups = kept
        dataset.save()
