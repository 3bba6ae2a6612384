"""The keypoints of categories: their names, and the lines between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fiftyone_coco_audit.coco import rules
from fiftyone_coco_audit.coco.report import ProblemLog
from fiftyone_coco_audit.wording import named, quoted


@dataclass(frozen=True)
class Skeleton:
    """The keypoints of a category.

    Attributes:
        labels: their names
        edges: the lines between them, each as the positions of two
        fault: why some of the lines cannot be drawn, empty if all can
    """

    labels: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    fault: str = ""

    def stored(self) -> dict[str, Any]:
        """The same as FiftyOne stores a ``KeypointSkeleton``."""
        edges = [list(edge) for edge in self.edges]
        return {"labels": list(self.labels), "edges": edges}


def read_skeleton(record: Mapping[str, Any]) -> Skeleton | None:
    """The keypoints of a category, None if it names none.

    COCO counts keypoints from 1 in ``skeleton``.

    Args:
        record: the record of the category
    """
    labels = record.get("keypoints")
    if (
        not isinstance(labels, list)
        or not labels
        or not all(isinstance(label, str) for label in labels)
    ):
        return None
    lines = record.get("skeleton")
    if lines is None:
        lines = []
    if not isinstance(lines, list):
        return Skeleton(tuple(labels), (), f"its `skeleton` is {lines!r:.60}")
    edges = [
        (line[0] - 1, line[1] - 1) for line in lines if _is_line(line, len(labels))
    ]
    fault = ""
    if len(edges) < len(lines):
        wrong = next(line for line in lines if not _is_line(line, len(labels)))
        fault = f"its `skeleton` has {wrong!r:.60}, but {len(labels)} keypoints"
    return Skeleton(tuple(labels), tuple(edges), fault)


def _is_line(line: Any, count: int) -> bool:
    return (
        isinstance(line, list)
        and len(line) == 2
        and all(type(end) is int and 1 <= end <= count for end in line)
    )


def skeletons_of(records: Sequence[Mapping[str, Any]]) -> dict[str, Skeleton]:
    """The keypoints of the categories that name any, by the names of the categories.

    Args:
        records: the records of the categories, with usable names
    """
    read = {record["name"]: read_skeleton(record) for record in records}
    return {name: of for name, of in read.items() if of is not None}


def common_skeleton(skeletons: Mapping[str, Skeleton]) -> Skeleton | None:
    """The skeleton of all categories that have one, None if they differ.

    FiftyOne draws one for all labels of a field.

    Args:
        skeletons: those of the categories, by name
    """
    different = {(of.labels, of.edges): of for of in skeletons.values()}
    return next(iter(different.values())) if len(different) == 1 else None


def note_skeletons(skeletons: Mapping[str, Skeleton], log: ProblemLog) -> None:
    """Notes which lines between keypoints are not drawn.

    Args:
        skeletons: those of the categories, by name
        log: takes the notes
    """
    for name, of in skeletons.items():
        if of.fault:
            reason = f"{quoted(name)}: {of.fault}"
            log.note(rules.SKELETON_NOT_SHOWN, "category", 1, reason)
    if skeletons and common_skeleton(skeletons) is None:
        reason = f"{named(list(skeletons))} have different keypoints or skeletons"
        log.note(rules.SKELETON_NOT_SHOWN, "category", len(skeletons), reason)
