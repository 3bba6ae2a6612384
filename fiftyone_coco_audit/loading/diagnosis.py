"""What is wrong with the targets of a loader, compared with the labels of a dataset.

A mistake is named only if it explains what correct targets do not: boxes that agree
with labels in another format, pixels of another file, labels without a box, classes
that are changed throughout.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.box_formats import FORMATS, corners
from fiftyone_coco_audit.display import TextSummary
from fiftyone_coco_audit.errors import CocoAuditError, check_whole
from fiftyone_coco_audit.loading import rules
from fiftyone_coco_audit.loading.coverage import find_coverage
from fiftyone_coco_audit.loading.extras import find_extras
from fiftyone_coco_audit.loading.geometry import (
    RIGHT,
    BoxInterpretation,
    interpret_boxes,
    overlaps,
)
from fiftyone_coco_audit.loading.interpretation import (
    AGREES,
    CLEARLY,
    SINGLE_MISTAKES,
    ComparedSample,
    find_misread_boxes,
    positions,
)
from fiftyone_coco_audit.loading.label_encoding import FROM_ZERO, diagnose_classes
from fiftyone_coco_audit.loading.matching import match_boxes
from fiftyone_coco_audit.loading.mistakes import Mistake, is_more_than_few
from fiftyone_coco_audit.loading.offsets import find_offsets
from fiftyone_coco_audit.loading.pixel_mistakes import (
    changed_alone,
    name_changed,
    pixel_mistakes,
)
from fiftyone_coco_audit.loading.sample_matching import SampleMatcher
from fiftyone_coco_audit.loading.targets import LoadedSample
from fiftyone_coco_audit.objects import LabeledImages, Objects
from fiftyone_coco_audit.wording import counted, named, percent

#: The number of samples that are compared with the labels of all other images
MOST_COMPARED = 100

_RIGHT_BY_CONTAINER = {
    "torchvision": [("xyxy", "pixels"), ("cxcywh", "normalized")],
    "class_labels": [("cxcywh", "normalized")],
    "ultralytics": [("cxcywh", "normalized")],
    "coco": [("xywh", "pixels")],
    "plain": [(name, space) for space in RIGHT for name in FORMATS],
}


# DETR divides boxes by the size of their image before the images of a batch are padded
# to the size of the largest, and masks the padding
_DETR = ("cxcywh", "normalized without padding")
_OF_DETR = ("class_labels", "torchvision")


_BACKGROUND = (
    "The labels number the classes from 0, which is the background for torchvision's "
    "Faster R-CNN, Mask R-CNN and SSD: number them from 1 for these."
)


@dataclass(frozen=True, repr=False)
class LoaderCheck(TextSummary):
    """The targets of a loader, compared with the labels of the dataset.

    Attributes:
        mistakes: what is wrong, the most frequent first
        notes: sentences on what is unknown, and why
        box_format: how the boxes are written, such as ``"xyxy pixels"``; "" if that
            is unknown
        label_encoding: how the classes are written; "" if that is unknown
        num_samples: the number of samples
        num_compared: of these, those whose boxes could be compared with labels
        num_agreeing: of these, those whose boxes agree
    """

    mistakes: tuple[Mistake, ...]
    notes: tuple[str, ...]
    box_format: str
    label_encoding: str
    num_samples: int
    num_compared: int
    num_agreeing: int

    def _about(self) -> str:
        return (
            f"of {counted(self.num_samples, 'sample')}: "
            f"{self.num_agreeing:,} of {self.num_compared:,} agree, "
            f"{counted(len(self.mistakes), 'mistake')}"
        )

    def sentences(self) -> list[str]:
        """What is worth saying, the most important first."""
        said = [str(found) for found in self.mistakes]
        if not said and self.num_agreeing:
            every = self.num_agreeing == self.num_compared
            which = "all" if every else f"{self.num_agreeing:,} of"
            said.append(
                f"The targets of {which} {counted(self.num_compared, 'sample')} that "
                "could be compared with the labels agree with them."
            )
        return [*said, *self.notes]

    def to_dict(self) -> dict[str, Any]:
        """All results, in a form for JSON."""
        return {
            "notes": list(self.notes),
            "box_format": self.box_format,
            "label_encoding": self.label_encoding,
            "samples": self.num_samples,
            "held": self.num_compared,
            "agreeing": self.num_agreeing,
        }


@dataclass
class TargetChecker:
    """Takes the samples of a loader one by one, and then says what is wrong.

    Args:
        labeled: the images and their labels
        image_ids: the ids that the loader may call the images by, such as those of
            COCO; by default their positions
        category_ids: the ids that the loader may call the classes by, such as those of
            COCO; positions from 0 and from 1 are always known
        box_format: the intended format of the boxes, such as ``"xyxy"`` or ``"cxcywh
            normalized"``; by default the usual one for targets of their kind
        first_label: the intended label of the first class; by default 0 or 1
        channels: the intended order of channels, ``"rgb"`` or ``"bgr"``
        crowds: the crowd regions of the images, which are not objects; None if they
            are unknown

    Raises:
        CocoAuditError: if there is no such format, label or order
    """

    labeled: LabeledImages
    image_ids: Sequence[Any] | None = None
    category_ids: Sequence[int] | None = None
    box_format: str | None = None
    first_label: int | None = None
    channels: str = "rgb"
    crowds: Objects | None = None
    _held: list[ComparedSample] = field(default_factory=list, init=False)
    _count: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        check_options(self.box_format, self.first_label, self.channels)
        self._matcher = SampleMatcher(self.labeled, self.image_ids)
        self._stated = None if self.box_format is None else _parse(self.box_format)
        objects = self.labeled.objects
        size = np.tile(self.labeled.image_size, 2)
        self._truth = corners(objects.box, "xywh") / size
        self._ends = np.searchsorted(objects.image, np.arange(len(self.labeled) + 1))
        self._searched: list[bool] = []

    def add(self, sample: LoadedSample, number: int | None = None) -> None:
        """Takes a sample of the loader.

        Args:
            sample: the sample
            number: its number in the order of the loader; by default the next
        """
        number = self._count if number is None else number
        found = self._matcher.match(sample.without_crowds(), number)
        self._count += 1
        if found is not None:
            self._searched.append(not found.claimed and found.position != number)
            rows = np.arange(*self._ends[found.position : found.position + 2])
            self._held.append(ComparedSample(found, rows, self._truth[rows]))

    def result(self, excused: int | None = None) -> LoaderCheck:
        """Says what is wrong.

        Args:
            excused: how many images may be missing, since they could not be loaded or
                a last batch was dropped; None where not all was loaded

        Returns:
            a :class:`LoaderCheck`
        """
        # Boxes may hold any numbers, even those that have no overlap
        with np.errstate(invalid="ignore", over="ignore"):
            return self._result(excused)

    def _result(self, excused: int | None) -> LoaderCheck:
        held = [one for one in self._held if one.sample.pixels != "other"]
        seen = [one for one in held if one.sample.pixels != "altered"]
        judged = [
            one for one in held if len(one.truth) and len(one.sample.sample.boxes)
        ]
        expected = self._expected(judged)
        found: list[Mistake] = []
        off: list[ComparedSample] = []
        changed: list[ComparedSample] = []
        if expected is not None:
            for one in judged:
                one.read(expected)
            changed = changed_alone([one for one in judged if one.reading is not None])
            found += name_changed(changed, len(judged))
            still = [one for one in judged if one.sample.pixels != "altered"]
            offsets, off = find_offsets(still, expected, len(judged))
            found += offsets
        wrong = [one for one in judged if one.right < AGREES and one.reading is None]
        told = [one for one in wrong if one.sample.pixels != "altered"]
        found += find_misread_boxes(told, expected, len(judged))
        puzzling = [one for one in told if one.reading is None]
        found += self._of_other_images(puzzling, expected, len(judged))
        found += pixel_mistakes(self._held, self.labeled.filepaths, self.channels)
        if not any(one.rule is rules.SHUFFLED_LABELS for one in found):
            unknown = [one for one in puzzling if one.reading is None]
            found += self._unknown(unknown, len(judged))
            found += self._lost(seen)
            found += find_extras(held, expected, self._crowd_boxes())
        classes, encoding = self._classes(judged)
        found += classes
        disagreeing = {id(one) for one in (*off, *changed)}
        agreeing = sum(
            one.reading == expected and id(one) not in disagreeing for one in judged
        )
        notes = list(self._notes(wrong, found))
        mistakes, remarks = self._coverage(excused)
        found += mistakes
        notes += remarks
        if encoding.startswith(FROM_ZERO) and self._is_torchvision(judged):
            notes.append(_BACKGROUND)
        if expected is not None and (expected.box_format, expected.space) == _DETR:
            notes.append(
                "The boxes are relative to their images without the padding, as DETR "
                "expects them, together with a mask of the padding; other models need "
                "boxes that include it."
            )
        known = expected is not None and any(one.reading is not None for one in judged)
        return LoaderCheck(
            mistakes=tuple(sorted(found, key=lambda one: -one.share)),
            notes=tuple(notes),
            box_format=str(expected) if known else "",
            label_encoding=encoding,
            num_samples=self._count,
            num_compared=len(judged),
            num_agreeing=agreeing,
        )

    def _expected(self, judged: Sequence[ComparedSample]) -> BoxInterpretation | None:
        """The intended format of the boxes: the usual one that fits best."""
        if not judged:
            return None
        usual = self._stated or _RIGHT_BY_CONTAINER[judged[0].sample.sample.container]
        if self._stated is None and _padded_in_batches(judged):
            usual = [*usual, _DETR]
        options = [
            BoxInterpretation(name, False, space, "with the image")
            for name, space in usual
        ]
        if len(options) == 1:
            return options[0]
        sample = judged[:: max(len(judged) // 200, 1)]
        tried: tuple[Sequence[Mapping[str, Any]], ...] = ([{}], SINGLE_MISTAKES)
        for mistakes in tried:
            found = [
                max(
                    np.mean([one.fit(replace(option, **made))[0] for one in sample])
                    for made in mistakes
                )
                for option in options
            ]
            if max(found) >= 0.5:
                # Between interpretations that are the same here, the usual one is
                # chosen
                return options[int(np.argmax(np.round(found, 6)))]
        # If nothing fits, the first is the most usual
        return options[0]

    def _of_other_images(
        self,
        puzzling: Sequence[ComparedSample],
        expected: BoxInterpretation | None,
        total: int,
    ) -> Iterator[Mistake]:
        """Looks for the images whose labels the boxes are."""
        if not puzzling or expected is None:
            return
        compared = puzzling[:: max(len(puzzling) // MOST_COMPARED, 1)]
        image = self.labeled.objects.image
        truth = corners(self.labeled.objects.box, "xywh")
        foreign = []
        for one in compared:
            raw = one.sample.sample.boxes
            units = [
                boxes
                for canvas in one.sample.canvases
                for boxes in interpret_boxes(raw, expected, canvas, one.truth)
            ]
            size = np.tile(one.sample.canvases[0].size, 2)
            best = 0.0
            for boxes in units:
                best = max(best, _best_of_images(boxes, self._truth, image))
                # In pixels of the other image, resized and turned like this one
                best = max(best, _best_of_images(boxes * size, truth, image))
            pixels = corners(raw, expected.box_format)
            best = max(best, _best_of_images(pixels, truth, image))
            if best >= AGREES and best > one.right + CLEARLY and len(raw) > 1:
                foreign.append(one)
        if len(foreign) >= max(2, len(compared) / 2):
            share = len(foreign) / len(compared) * len(puzzling) / total
            yield Mistake(
                f"The boxes of {percent(share)} of the samples are those of other "
                "images.",
                positions(foreign),
                figures={"samples": len(foreign), "compared": len(compared)},
                rule=rules.SHUFFLED_LABELS,
                share=share,
            )

    def _crowd_boxes(self) -> list[NDArray[np.float64]] | None:
        """The boxes of the crowds of each image, from 0 to 1."""
        if self.crowds is None:
            return None
        size = np.tile(self.labeled.size[self.crowds.image], 2)
        ends = np.searchsorted(self.crowds.image, np.arange(1, len(self.labeled)))
        return np.split(corners(self.crowds.box, "xywh") / size, ends)

    def _coverage(self, excused: int | None) -> tuple[list[Mistake], list[str]]:
        count = len(self.labeled)
        position = np.array([one.sample.position for one in self._held], np.int64)
        searched = np.array(self._searched, bool)
        times = np.bincount(position, minlength=count)
        sure = np.bincount(position[~searched], minlength=count)
        # Images that are recognized by their pixels may have a double in the dataset
        if not is_more_than_few(int((times > 1).sum()), count):
            times = np.where(sure > 1, sure, np.minimum(times, 1))
        labels = np.diff(self._ends)
        if self._count > len(self._held):
            excused = None
        return find_coverage(times, labels, excused)

    @staticmethod
    def _is_torchvision(judged: Sequence[ComparedSample]) -> bool:
        return judged[0].sample.sample.container == "torchvision"

    def _lost(self, held: Sequence[ComparedSample]) -> Iterator[Mistake]:
        """Labels without a box, in samples whose boxes are understood."""
        lost, kept, whole = [], [], 0
        for one in held:
            empty = not len(one.sample.sample.boxes)
            if not len(one.rows) or (one.boxes is None and not empty):
                continue
            if one.boxes is None:
                lost.append(one.rows)
                whole += 1
                continue
            _, matched = match_boxes(one.boxes, one.truth, one.tolerance)
            missing = np.setdiff1d(np.arange(len(one.rows)), matched)
            # Boxes that rounding moved too far are not lost
            if len(missing) > len(one.boxes) - len(matched):
                lost.append(one.rows[missing])
                kept.append(one.rows[matched])
            else:
                kept.append(one.rows)
        if not lost:
            return
        gone = np.concatenate(lost)
        stayed = np.concatenate(kept) if kept else np.zeros(0, np.int64)
        total = len(gone) + len(stayed)
        images = np.unique(self.labeled.objects.image[gone])
        yield Mistake(
            f"{len(gone):,} of {total:,} labels ({percent(len(gone) / total)}) in "
            f"{counted(len(images), 'image')} are "
            f"lost{self._what_is_lost(gone, stayed, whole)}.",
            images,
            gone,
            figures={"labels": len(gone), "empty_images": whole},
            rule=rules.LOST_LABELS,
            share=len(gone) / total,
        )

    def _what_is_lost(
        self, gone: NDArray[np.int64], stayed: NDArray[np.int64], whole: int
    ) -> str:
        """What the lost labels have in common, unlike the others."""
        objects, names = self.labeled.objects, self.labeled.classes
        count = len(names)
        of_class = np.bincount(objects.category[gone], minlength=count)
        left = np.bincount(objects.category[stayed], minlength=count)
        dropped = (of_class > 0) & (left == 0)
        if of_class[dropped].sum() >= 0.9 * len(gone) and (left > 0).any():
            found = [names[row] for row in np.flatnonzero(dropped).tolist()]
            return f": all of {named(found)}"
        side = np.sqrt(objects.box[:, 2:].prod(axis=1))
        if len(stayed) and len(gone) > 1:
            limit = side[gone].max()
            if (side[stayed] <= limit).mean() < 0.02:
                return f": all that are smaller than about {limit:.0f} px"
        if whole and whole >= 0.9 * len(np.unique(objects.image[gone])):
            return ": all labels of some images"
        return ""

    def _classes(self, judged: Sequence[ComparedSample]) -> tuple[list[Mistake], str]:
        values, truth, images = [], [], []
        category = self.labeled.objects.category
        for one in judged:
            labels = one.sample.sample.labels
            if one.boxes is None or labels is None:
                continue
            boxes, matched = match_boxes(one.boxes, one.truth, one.tolerance)
            # Objects in the same place cannot be distinguished
            apart = (overlaps(one.truth, one.truth) > 0.5).sum(axis=1) == 1
            clear = apart[matched]
            values.extend(labels[boxes[clear]].tolist())
            truth.append(category[one.rows[matched[clear]]])
            images.extend([one.sample.position] * int(clear.sum()))
        if not values:
            return [], ""
        first = self.first_label
        if first is None and judged[0].sample.sample.container == "ultralytics":
            first = 0
        return diagnose_classes(
            values,
            np.concatenate(truth),
            np.array(images, np.int64),
            self.labeled.classes,
            self.category_ids,
            first,
        )

    def _unknown(
        self, unknown: Sequence[ComparedSample], judged: int
    ) -> Iterator[Mistake]:
        """Boxes that match no labels of any image, in any format."""
        if not is_more_than_few(len(unknown), judged):
            return
        broken = sum(not np.isfinite(one.sample.sample.boxes).all() for one in unknown)
        sentence = _disagreeing(len(unknown), self._count)
        if broken:
            sentence += (
                f" In {broken:,} of them, boxes contain numbers that are not finite."
            )
        yield Mistake(
            sentence,
            positions(unknown),
            figures={"samples": len(unknown), "not_finite": broken},
            rule=rules.UNKNOWN_BOXES,
            share=len(unknown) / judged,
        )

    def _notes(
        self, wrong: Sequence[ComparedSample], found: Sequence[Mistake]
    ) -> Iterator[str]:
        altered = sum(one.sample.pixels == "altered" for one in wrong)
        if altered:
            yield (
                f"The images of {altered:,} of {counted(self._count, 'sample')} have "
                "random changes other than flips, turns and resizing, so the boxes "
                "cannot be compared with the labels: switch off such augmentation "
                "for this check."
            )
        named = {one.rule for one in found}
        unexplained = sum(
            one.reading is None and one.sample.pixels != "altered" for one in wrong
        )
        if unexplained and not named & {rules.SHUFFLED_LABELS, rules.UNKNOWN_BOXES}:
            yield _disagreeing(unexplained, self._count)
        if self._matcher.unknown_ids:
            yield (
                f"Not in the dataset: the image ids of "
                f"{counted(self._matcher.unknown_ids, 'sample')}."
            )
        unplaced = self._count - len(self._held) - self._matcher.unknown_ids
        if unplaced > 0:
            yield f"Nothing identifies the images of {counted(unplaced, 'sample')}."


def _padded_in_batches(judged: Sequence[ComparedSample]) -> bool:
    """Whether they are targets of DETR's kind, padded at the right and the bottom."""
    return judged[0].sample.sample.container in _OF_DETR and all(
        any(canvas.place[:2] == (0.0, 0.0) for canvas in one.sample.canvases)
        for one in judged
    )


def _disagreeing(number: int, count: int) -> str:
    return (
        f"The boxes of {number:,} of {counted(count, 'sample')} do not match the "
        "labels of their images in any known format."
    )


def check_options(box_format: object, first_label: object, channels: object) -> None:
    """Checks the stated format of a loader's targets, before anything is read.

    Raises:
        CocoAuditError: if there is no such format, label or order of channels
    """
    if box_format is not None:
        _parse(box_format)
    if first_label is not None:
        check_whole("first_label", first_label)
    if channels not in ("rgb", "bgr"):
        raise CocoAuditError(f"channels is {channels!r}: it must be 'rgb' or 'bgr'")


def _parse(text: object) -> list[tuple[str, str]]:
    words = text.replace(",", " ").split() if isinstance(text, str) else []
    name, *units = words or [""]
    space = {"": "pixels", "pixels": "pixels", "normalized": "normalized"}
    unit = space.get(" ".join(units))
    if name not in FORMATS or unit is None:
        raise CocoAuditError(
            f"box_format is {text!r}: it must be one of {', '.join(FORMATS)}, followed "
            "by 'normalized' if it is, such as 'cxcywh normalized'"
        )
    return [(name, unit)]


def _best_of_images(
    boxes: NDArray[np.float64], truth: NDArray[np.float64], image: NDArray[np.int64]
) -> float:
    """How well boxes agree with the labels of the image that fits them best."""
    if not len(truth):
        return 0.0
    starts = np.flatnonzero(np.r_[True, image[1:] != image[:-1]])
    each = np.maximum.reduceat(overlaps(boxes, truth), starts, axis=1)
    return float(each.mean(axis=0).max())
