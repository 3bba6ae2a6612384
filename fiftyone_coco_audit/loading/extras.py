"""Extra boxes: copies, boxes of crowds or of no object, and boxes without a size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.box_formats import corners
from fiftyone_coco_audit.findings import Rule
from fiftyone_coco_audit.loading import rules
from fiftyone_coco_audit.loading.geometry import BoxInterpretation, overlaps
from fiftyone_coco_audit.loading.interpretation import ComparedSample, positions
from fiftyone_coco_audit.loading.matching import match_boxes
from fiftyone_coco_audit.loading.mistakes import Mistake, is_more_than_few
from fiftyone_coco_audit.wording import counted, out_of, plural

Boxes = NDArray[np.float64]


def find_extras(
    held: Sequence[ComparedSample],
    expected: BoxInterpretation | None,
    crowds: Sequence[Boxes] | None,
) -> Iterator[Mistake]:
    """Names boxes of a loader that belong to no label.

    Args:
        held: the samples, with what is understood of their boxes
        expected: the intended format of the boxes
        crowds: the boxes ``[x1, y1, x2, y2]``, from 0 to 1, of the crowd regions of
            each image

    Yields:
        the mistakes
    """
    yield from _of_no_shape(held)
    if expected is None:
        return
    yield from _of_no_size(held, expected)
    twice: list[tuple[ComparedSample, int]] = []
    of_crowds: list[tuple[ComparedSample, int]] = []
    unknown: list[tuple[ComparedSample, int]] = []
    for one in held:
        if one.boxes is None:
            continue
        boxes, copies = _apart(one.boxes)
        twice.append((one, max(copies - _apart(one.truth)[1], 0)))
        left = _unmatched(boxes, one)
        crowd = np.zeros(len(left), bool)
        if crowds is not None and len(crowds[one.sample.position]):
            known = crowds[one.sample.position]
            crowd = overlaps(left, known, one.tolerance).max(axis=1) >= 0.5
        of_crowds.append((one, int(crowd.sum())))
        unknown.append((one, int((~crowd).sum())))
    for rule, found in (
        (rules.REPEATED_BOXES, twice),
        (rules.CROWDS_AS_OBJECTS, of_crowds),
        (rules.EXTRA_BOXES, unknown),
    ):
        cases = [(one, number) for one, number in found if number]
        # A single crowd is not chance, but an extra box may be rounded too far
        if rule is rules.EXTRA_BOXES and not is_more_than_few(len(cases), len(held)):
            continue
        if cases:
            yield _mistake(rule, cases, len(held))


_MESSAGES = {
    rules.REPEATED_BOXES: "{boxes} in {samples} {are} delivered more than once.",
    rules.CROWDS_AS_OBJECTS: (
        "{boxes} in {samples} {are} those of crowd regions, which are not objects."
    ),
    rules.EXTRA_BOXES: (
        "{boxes} in {samples} {are} not labels of their images, though the others are."
    ),
    rules.NO_SIZE: "{boxes} in {samples} {have} a width or height of 0.",
}


def _mistake(
    rule: Rule, cases: Sequence[tuple[ComparedSample, int]], total: int
) -> Mistake:
    number = sum(count for _, count in cases)
    one = number == 1
    return Mistake(
        _MESSAGES[rule].format(
            boxes=counted(number, "box"),
            samples=f"{len(cases):,} of {counted(total, 'sample')}",
            are="is" if one else "are",
            have="has" if one else "have",
        ),
        positions(case for case, _ in cases),
        figures={"boxes": number, "samples": len(cases)},
        rule=rule,
        share=len(cases) / total,
    )


def _of_no_shape(held: Sequence[ComparedSample]) -> Iterator[Mistake]:
    flat = [one for one in held if one.sample.sample.flat]
    if flat:
        yield Mistake(
            f"{out_of(flat, held, 'sample')} {plural(flat, 'has', 'have')} no "
            "objects, but boxes of shape (0,).",
            positions(flat),
            figures={"samples": len(flat)},
            rule=rules.FLAT_BOXES,
            share=len(flat) / len(held),
        )


def _of_no_size(
    held: Sequence[ComparedSample], expected: BoxInterpretation
) -> Iterator[Mistake]:
    cases = []
    for one in held:
        if one.reading not in (None, expected) or one.sample.pixels == "altered":
            continue
        made = corners(one.sample.sample.boxes, expected.box_format)
        size = made[:, 2:] - made[:, :2]
        # Boxes that are not understood may have another format, and so negative sides
        none = size <= 0 if one.reading is not None else size == 0
        if none.any():
            cases.append((one, int(none.any(axis=1).sum())))
    if cases:
        yield _mistake(rules.NO_SIZE, cases, len(held))


def _apart(boxes: Boxes) -> tuple[Boxes, int]:
    """The boxes of a sample, each once, and how many are copies."""
    _, first = np.unique(boxes.round(6), axis=0, return_index=True)
    return boxes[np.sort(first)], len(boxes) - len(first)


def _unmatched(boxes: Boxes, one: ComparedSample) -> Boxes:
    """The boxes with an area that are those of no label."""
    sized = boxes[(boxes[:, 2:] > boxes[:, :2]).all(axis=1)]
    matched, _ = match_boxes(sized, one.truth, one.tolerance)
    left: Boxes = np.delete(sized, matched, axis=0)
    # A box near a label may belong to one of several overlapping objects
    near = overlaps(left, one.truth, one.tolerance).max(axis=1, initial=0) >= 0.5
    return left[~near]
