"""The keypoints of raw records, checked."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.coco import rules
from fiftyone_coco_audit.coco.records import (
    Faults,
    column,
    read_numbers,
    show,
    taken,
    unpacked,
)
from fiftyone_coco_audit.coco.report import ProblemLog
from fiftyone_coco_audit.keypoints import padded_triples
from fiftyone_coco_audit.wording import json_kind


class Poses(NamedTuple):
    """The keypoints of ``N`` records.

    Attributes:
        lists: ``N`` lists ``[x, y, v, x, y, v, ...]`` in pixels, None without keypoints
        box: ``(N, 4)`` boxes ``[x, y, width, height]`` around them, NaN without any;
            of annotations, around the labeled ones
        labeled: ``(N,)`` how many have ``v > 0``
        broken: the reason for each record whose keypoints were left out, by row
    """

    lists: list[list[float] | None]
    box: NDArray[np.float64]
    labeled: NDArray[np.int64]
    broken: dict[int, str]

    @property
    def present(self) -> NDArray[np.bool_]:
        """``(N,)`` whether a record has keypoints."""
        return np.array([of is not None for of in self.lists], dtype=bool)

    def take(self, rows: NDArray[np.int64]) -> Poses:
        """Returns some of the rows, without what is broken."""
        return Poses(taken(self.lists, rows), self.box[rows], self.labeled[rows], {})


def read_keypoints(
    raw: list[dict[str, Any]],
    wanted: NDArray[np.int64],
    fault: Faults,
    *,
    annotated: bool,
) -> Poses:
    """Reads the keypoints of records.

    An object needs no keypoints: those that cannot be used are left out, and the record
    gets a warning.

    Args:
        raw: ``N`` records
        wanted: ``(N,)`` how many keypoints the category of each has, 0 where that is
            not known
        fault: gets the warnings
        annotated: whether these are annotations, whose ``v`` must be 0, 1 or 2; of
            predictions, COCO does not use it

    Returns:
        the :class:`Poses`
    """
    values = [unpacked(value) for value in column(raw, "keypoints")]
    lists: list[list[float] | None] = [None] * len(raw)
    box = np.full((len(raw), 4), np.nan)
    labeled = np.zeros(len(raw), np.int64)
    broken: dict[int, str] = {}
    rows = []
    for row, (value, count) in enumerate(zip(values, wanted.tolist(), strict=True)):
        if value is None or value == []:
            continue
        reason = _misshapen(value, count)
        if reason:
            broken[row] = f"its `keypoints` {reason}"
        else:
            rows.append(row)

    number = np.array([len(values[row]) // 3 for row in rows], np.int64)
    flat = read_numbers(list(chain.from_iterable(values[row] for row in rows)))
    triples = padded_triples(flat, number)
    exists = np.arange(triples.shape[1]) < number[:, None]
    wrong = ~np.isfinite(triples).all(axis=2)
    if annotated:
        wrong |= ~np.isin(triples[..., 2], (0, 1, 2))
    wrong &= exists
    for position in np.flatnonzero(wrong.any(axis=1)).tolist():
        place = int(wrong[position].argmax())
        shown = values[rows[position]][3 * place : 3 * place + 3]
        broken[rows[position]] = (
            f"keypoint {place + 1} in its `keypoints` is {shown!r:.60}, but must be "
            f"three finite numbers{', the last 0, 1 or 2' if annotated else ''}"
        )
    fault.warn(rules.BROKEN_KEYPOINTS, broken)

    sound = np.flatnonzero(~wrong.any(axis=1))
    kept = np.array(rows, np.int64)[sound]
    visible = triples[sound, :, 2] > 0
    labeled[kept] = visible.sum(axis=1)
    box[kept] = _boxes_around(
        triples[sound, :, :2], visible if annotated else exists[sound]
    )
    for row in kept.tolist():
        lists[row] = [float(value) for value in values[row]]
    return Poses(lists, box, labeled, broken)


def _misshapen(value: Any, wanted: int) -> str:
    """What is wrong with the form of keypoints, empty if nothing is."""
    if not isinstance(value, (list, tuple)):
        return f"are {json_kind(value)}, not a list"
    if not set(map(type, value)) <= {int, float}:
        return "hold more than numbers"
    if len(value) % 3:
        return f"are {len(value):,} numbers, not three for each"
    if wanted and len(value) != 3 * wanted:
        return f"are {len(value) // 3:,}, but its category has {wanted:,}"
    return ""


def _boxes_around(
    points: NDArray[np.float64], which: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The boxes around some of the points of poses, NaN around none.

    Args:
        points: ``(P, J, 2)`` points
        which: ``(P, J)`` those that count
    """
    low = np.where(which[..., None], points, np.inf).min(axis=1, initial=np.inf)
    high = np.where(which[..., None], points, -np.inf).max(axis=1, initial=-np.inf)
    side = np.full_like(low, np.nan)
    some = np.asarray(which.any(axis=1))
    with np.errstate(over="ignore"):
        side[some] = high[some] - low[some]
    return np.concatenate([np.where(some[:, None], low, np.nan), side], axis=1)


def note_wrong_counts(
    records: Sequence[dict[str, Any]], poses: Poses, log: ProblemLog
) -> None:
    """Notes how many annotations have another ``num_keypoints`` than labeled ones."""
    given = read_numbers(column(records, "num_keypoints"))
    rows = np.flatnonzero(poses.present & ~np.isnan(given) & (given != poses.labeled))
    if len(rows):
        first = int(rows[0])
        reason = (
            f"such as {show(records[first], 'num_keypoints')} where "
            f"{poses.labeled[first]} have v > 0"
        )
        log.note(rules.WRONG_NUM_KEYPOINTS, "annotation", len(rows), reason)
