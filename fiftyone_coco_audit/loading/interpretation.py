"""Boxes in another format than the intended one: found by votes, and named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.box_formats import corners
from fiftyone_coco_audit.findings import Rule
from fiftyone_coco_audit.loading import rules
from fiftyone_coco_audit.loading.geometry import (
    MOTIONS,
    RIGHT,
    SWAPPED_SIZE,
    BoxInterpretation,
    ImagePlacement,
    agreements,
    interpret_boxes,
    interpretations,
    overlaps,
)
from fiftyone_coco_audit.loading.mistakes import Mistake
from fiftyone_coco_audit.loading.sample_matching import MatchedSample
from fiftyone_coco_audit.wording import counted

#: Mean overlap from which boxes agree with the labels; rounding affects small ones
AGREES = 0.75
#: How many pixels boxes may be off, which is a lot for small ones
ROUNDING = 1.5
#: How much better than the intended format a mistake must explain the boxes
CLEARLY = 0.2
#: Fewer boxes may agree with any interpretation by chance
LEAST_BOXES = 4
#: Fewer samples may agree with any scale that is measured on them
LEAST_SCALED = 3
#: The number of samples for which all interpretations are tried at a time
MOST_VOTERS = 200

#: What else may be wrong while the format of boxes is recognized
SINGLE_MISTAKES: Sequence[Mapping[str, object]] = (
    {"swapped": True},
    {"swapped": True, "space": SWAPPED_SIZE},
    *({"motion": motion} for motion in MOTIONS[1:]),
)


@dataclass(eq=False)
class ComparedSample:
    """A sample with its labels, and the interpretation that explains its boxes.

    Attributes:
        sample: the sample
        rows: ``(m,)`` rows of its objects
        truth: ``(m, 4)`` their boxes ``[x1, y1, x2, y2]``, from 0 to 1
        right: how well the boxes agree with them in the intended format
        reading: what explains them; None if nothing does
        boxes: ``(n, 4)`` what it makes of them
    """

    sample: MatchedSample
    rows: NDArray[np.int64]
    truth: NDArray[np.float64]
    right: float = 0.0
    reading: BoxInterpretation | None = None
    boxes: NDArray[np.float64] | None = None

    @property
    def tolerance(self) -> NDArray[np.float64]:
        """How far boxes may be off because of rounding, from 0 to 1."""
        return ROUNDING / np.array(self.sample.canvases[0].place[2:])

    def fit(
        self, reading: BoxInterpretation, tolerance: NDArray[np.float64] | None = None
    ) -> tuple[float, NDArray[np.float64] | None]:
        """How well an interpretation explains the boxes, and what it makes of them.

        Args:
            reading: what the numbers may mean
            tolerance: ``(2,)`` what boxes may be wrong by, from 0 to 1

        Returns:
            the mean overlap with labels, from 0 to 1, and ``(n, 4)`` boxes ``[x1, y1,
            x2, y2]``, from 0 to 1
        """
        best: tuple[float, NDArray[np.float64] | None] = (0.0, None)
        raw = self.sample.sample.boxes
        for canvas in self.sample.canvases:
            made = interpret_boxes(raw, reading, canvas, self.truth)
            values = agreements(made, self.truth, tolerance)
            for boxes, value in zip(made, values, strict=True):
                if value > best[0]:
                    best = value, boxes
        return best

    def read(self, expected: BoxInterpretation) -> None:
        """Reads the boxes in the intended format, if this agrees with the labels."""
        self.right, boxes = self.fit(expected, self.tolerance)
        if boxes is not None and self.right < AGREES:
            self.right = max(self.right, self._in_part(boxes))
        if self.right >= AGREES:
            self.reading, self.boxes = expected, boxes

    def _in_part(self, boxes: NDArray[np.float64]) -> float:
        """How well boxes agree with labels, except some without a size or a label."""
        sized = boxes[(boxes[:, 2:] > boxes[:, :2]).all(axis=1)]
        if len(sized) < max(2, len(boxes) / 2):
            return 0.0
        found = overlaps(sized, self.truth, self.tolerance)
        both = [float(found.max(axis=1).mean())]
        # If every label has its box, the other boxes are extra ones
        if len(sized) > len(self.truth) > 1:
            both.append(float(found.max(axis=0).mean()))
        return max(both)


def find_misread_boxes(
    wrong: Sequence[ComparedSample], expected: BoxInterpretation | None, total: int
) -> Iterator[Mistake]:
    """Lets samples vote for what explains their boxes, and names it.

    Args:
        wrong: those whose boxes do not agree with labels; those that are explained get
            their ``reading`` and ``boxes``
        expected: the intended format of the boxes
        total: the number of samples, for the shares

    Yields:
        the mistakes
    """
    if expected is None:
        return
    # Among interpretations that explain equally much, the simplest is chosen
    options = sorted(
        interpretations(), key=lambda option: _deviations(option, expected)
    )
    reasons: dict[Rule, list[tuple[ComparedSample, BoxInterpretation]]] = {}
    left = list(wrong)
    fits: dict[int, list[float]] = {}
    while left:
        voters = left[:: -(-len(left) // MOST_VOTERS)]
        for one in voters:
            if id(one) not in fits:
                fits[id(one)] = [one.fit(option)[0] for option in options]
        option = _elected(voters, np.array([fits[id(one)] for one in voters]), options)
        if option is None:
            break
        explains = [_explains(one, one.fit(option)[0]) for one in left]
        explained = list(compress(left, explains))
        left = [one for one, done in zip(left, explains, strict=True) if not done]
        boxes = sum(len(one.sample.sample.boxes) for one in explained)
        scaled = option.space == "other scale"
        if boxes < LEAST_BOXES or (scaled and len(explained) < LEAST_SCALED):
            continue
        for one in explained:
            one.reading, one.boxes = option, one.fit(option)[1]
            for rule in _rules(option, expected, one):
                reasons.setdefault(rule, []).append((one, option))
    for rule, cases in reasons.items():
        yield _mistake(rule, cases, expected, total)


def _elected(
    voters: Sequence[ComparedSample],
    fits: NDArray[np.float64],
    options: Sequence[BoxInterpretation],
) -> BoxInterpretation | None:
    """The simplest of the readings that explain most, and best."""
    right = np.array([one.right for one in voters])
    explains = (fits >= AGREES) & (fits > right[:, None] + CLEARLY)
    votes = explains.sum(axis=0)
    if not votes.any():
        return None
    quality = np.where(explains, fits, 0).sum(axis=0)
    near = (votes >= 0.95 * votes.max()) & (quality >= 0.97 * quality.max())
    return options[int(np.flatnonzero(near)[0])]


def _explains(one: ComparedSample, fit: float) -> bool:
    return fit >= AGREES and fit > one.right + CLEARLY


def _deviations(
    option: BoxInterpretation, expected: BoxInterpretation
) -> tuple[int, bool]:
    return (
        (option.box_format != expected.box_format)
        + option.swapped
        + (option.space != expected.space)
        + (option.motion != expected.motion),
        option.space == "other scale",
    )


def _rules(
    option: BoxInterpretation, expected: BoxInterpretation, one: ComparedSample
) -> Iterator[Rule]:
    if option.box_format != expected.box_format:
        yield rules.BOX_FORMAT
    if option.swapped:
        yield rules.SWAPPED_XY
    elif option.space == SWAPPED_SIZE:
        yield rules.SWAPPED_SIZE
    if option.space in RIGHT and option.space != expected.space:
        yield rules.BOX_UNIT
    elif option.space.endswith("without padding"):
        yield rules.PADDING_FORGOTTEN
    elif option.space not in (*RIGHT, SWAPPED_SIZE):
        yield rules.BOX_SCALE
    if option.motion == "as in the file":
        turned = one.sample.orientation > 1
        yield rules.EXIF_IGNORED if turned else rules.IMAGE_TURNED
    elif option.motion != "with the image":
        yield rules.BOXES_TURNED


_MESSAGES: Mapping[Rule, str] = {
    rules.BOX_FORMAT: (
        "The boxes of {samples} are {found}, but {expected} is expected."
    ),
    rules.SWAPPED_XY: "The boxes of {samples} have y before x.",
    rules.SWAPPED_SIZE: (
        "In the boxes of {samples}, x is divided by the height and y by the width."
    ),
    rules.BOX_UNIT: "The boxes of {samples} are {unit}, but {meant} are expected.",
    rules.PADDING_FORGOTTEN: (
        "The boxes of {samples} are not shifted by the padding of their images."
    ),
    rules.BOX_SCALE: (
        "The boxes of {samples} are {factor} times as large as in their images"
        "{because}."
    ),
    rules.EXIF_IGNORED: (
        "{samples} are not turned according to the EXIF orientation of their files."
    ),
    rules.IMAGE_TURNED: "{samples} are flipped or turned, and their boxes are not.",
    rules.BOXES_TURNED: "The boxes of {samples} are flipped, and their images are not.",
}

_BECAUSE = {
    "original pixels": ": they are for the images before they were resized",
    "scaled twice": ": they were resized twice",
    "normalized twice": ": they were divided by the size of the image twice",
    "pixels over the original size": (
        ": they were divided by the size that the images had originally"
    ),
    "original pixels over the new size": (
        ": they were divided by the size that the images were resized to"
    ),
}


def _mistake(
    rule: Rule,
    cases: Sequence[tuple[ComparedSample, BoxInterpretation]],
    expected: BoxInterpretation,
    total: int,
) -> Mistake:
    share = len(cases) / total
    reading = cases[0][1]
    of_images = rule in (rules.EXIF_IGNORED, rules.IMAGE_TURNED)
    noun = "image" if of_images else "sample"
    samples = f"{len(cases):,} of {counted(total, noun)}"
    figures: dict[str, float | int | str] = {"samples": len(cases)}
    factor = ""
    if rule is rules.BOX_SCALE:
        x, y = np.median(
            [_factor(one, option, expected) for one, option in cases], axis=0
        )
        figures |= {"factor_x": float(x), "factor_y": float(y)}
        factor = f"{x:.3g}" if abs(x / y - 1) < 0.02 else f"{x:.3g} (x) and {y:.3g} (y)"
    return Mistake(
        _MESSAGES[rule].format(
            samples=samples,
            found=reading.box_format,
            expected=expected.box_format,
            unit=reading.space,
            meant=expected.space,
            factor=factor,
            because=_BECAUSE.get(reading.space, ""),
        ),
        positions([one for one, _ in cases]),
        figures=figures,
        rule=rule,
        share=share,
    )


def _factor(
    one: ComparedSample, option: BoxInterpretation, expected: BoxInterpretation
) -> tuple[float, float]:
    """The factors between the sizes of boxes and the expected ones."""
    raw = one.sample.sample.boxes
    given = corners(raw, option.box_format, option.swapped)
    assert one.boxes is not None
    canvas = one.sample.canvases[0]
    meant = _forth(one.boxes, canvas, expected)
    sizes = [(boxes[:, 2:] - boxes[:, :2]).mean(axis=0) for boxes in (given, meant)]
    x, y = sizes[0] / np.maximum(sizes[1], 1e-12)
    return float(x), float(y)


def _forth(
    boxes: NDArray[np.float64], canvas: ImagePlacement, expected: BoxInterpretation
) -> NDArray[np.float64]:
    """Boxes from 0 to 1 in the intended format, without flips, which keep sizes."""
    transposed = bool(canvas.turns) and canvas.turns[0][0]
    if transposed:
        boxes = boxes[:, [1, 0, 3, 2]]
    scaled = boxes * np.tile(canvas.place[2:], 2)
    if expected.space == "normalized":
        return scaled / np.tile(canvas.delivered, 2)
    return boxes if expected.space == "normalized without padding" else scaled


def positions(held: Iterable[ComparedSample]) -> NDArray[np.int64]:
    """The positions of the images of samples, each once."""
    return np.unique(np.array([one.sample.position for one in held], np.int64))
