"""Mistakes in the images of a loader: their content, and their values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fiftyone_coco_audit.loading import rules
from fiftyone_coco_audit.loading.interpretation import ComparedSample, positions
from fiftyone_coco_audit.loading.matching import match_boxes
from fiftyone_coco_audit.loading.mistakes import Mistake, is_more_than_few
from fiftyone_coco_audit.loading.values import odd_values
from fiftyone_coco_audit.wording import counted, out_of, percent, plural

#: Up to this share of samples, strong dropouts and colors may make images differ
CHANCE = 0.1
#: The agreement of boxes with labels if they were not moved with their image
_UNMOVED = 0.95


def pixel_mistakes(
    held: Sequence[ComparedSample], filepaths: Sequence[str], channels: str
) -> Iterator[Mistake]:
    """Names what is wrong with the pixels of images, whatever their boxes are.

    Args:
        held: all samples that are compared with an image
        filepaths: those of all images
        channels: the intended order of channels

    Yields:
        the mistakes
    """
    yield from _of_other_images(held, filepaths)
    yield from _blank(held)
    yield from _swapped_channels(held, channels)
    values = [one.sample.values for one in held]
    images = np.array([one.sample.position for one in held], np.int64)
    yield from odd_values(values, images)


def changed_alone(agreeing: Sequence[ComparedSample]) -> list[ComparedSample]:
    """The samples whose images were changed, and whose boxes were not.

    Args:
        agreeing: those whose boxes agree with the labels of the unchanged image

    Returns:
        those whose images were moved, turned, cropped or replaced; none if they are so
        few that it may be chance
    """
    found = [one for one in agreeing if _is_changed(one)]
    few = len(found) <= CHANCE * len(agreeing)
    return [] if few or not is_more_than_few(len(found), len(agreeing)) else found


def name_changed(changed: Sequence[ComparedSample], total: int) -> Iterator[Mistake]:
    """Names images that were changed without their boxes.

    Args:
        changed: see :func:`changed_alone`
        total: the number of samples, for the share
    """
    if not changed:
        return
    ways = np.array([one.sample.moved for one in changed if any(one.sample.moved)])
    nowhere = len(changed) - len(ways)
    figures: dict[str, float | int | str] = {"samples": len(changed)}
    told = []
    if len(ways):
        far = float(np.median(np.hypot(*ways.T)))
        figures["pixels"] = far
        samples = counted(len(ways), "sample")
        told.append(f"shifted by a median of {far:.0f} px in {samples}")
    if nowhere:
        figures["nowhere"] = nowhere
        told.append(f"not found in {counted(nowhere, 'sample')}")
    yield Mistake(
        f"In at least {len(changed):,} of {counted(total, 'sample')}, the image was "
        "moved, rotated, cropped or replaced, and the boxes were not. The content of "
        f"the files is {' and '.join(told)}.",
        positions(changed),
        figures=figures,
        rule=rules.IMAGE_CHANGED,
        share=len(changed) / total,
    )


def _is_changed(one: ComparedSample) -> bool:
    values = one.sample.values
    if values is not None and values.mistake is rules.CUT:
        # The rest of such an image is hardly visible
        return False
    if one.sample.unlike:
        return one.right >= _UNMOVED
    if not any(one.sample.moved) or one.boxes is None:
        return False
    boxes, labels = match_boxes(one.boxes, one.truth, one.tolerance)
    if not len(boxes):
        return False
    apart = np.abs(one.boxes[boxes] - one.truth[labels]).mean(axis=0)
    size = np.tile(one.sample.canvases[0].place[2:], 2)
    # Boxes that were moved with their image are shifted as far as its content
    return bool((apart * size).max() < np.hypot(*one.sample.moved) / 3)


def _of_other_images(
    held: Sequence[ComparedSample], filepaths: Sequence[str]
) -> Iterator[Mistake]:
    other = [one for one in held if one.sample.pixels == "other"]
    if not other:
        return
    first = other[0].sample
    yield Mistake(
        f"{out_of(other, held, 'image')} {plural(other, 'does', 'do')} not match the "
        f"id: {first.sample.image_id!r} has {filepaths[first.other]} instead of "
        f"{filepaths[first.position]}.",
        positions(other),
        figures={"samples": len(other)},
        rule=rules.SHUFFLED_IMAGES,
        share=len(other) / len(held),
    )


def _blank(held: Sequence[ComparedSample]) -> Iterator[Mistake]:
    blank = [one for one in held if one.sample.pixels == "blank"]
    if not blank:
        return
    yield Mistake(
        f"{out_of(blank, held, 'image')} {plural(blank, 'has', 'have')} a single "
        f"color, unlike the {plural(blank, 'file', 'files')}.",
        positions(blank),
        figures={"samples": len(blank)},
        rule=rules.BLANK_IMAGES,
        share=len(blank) / len(held),
    )


def _swapped_channels(
    held: Sequence[ComparedSample], channels: str
) -> Iterator[Mistake]:
    known = [one for one in held if abs(one.sample.color) > 0.5]
    sign = 1 if channels == "rgb" else -1
    swapped = [one for one in known if sign * one.sample.color < 0]
    if len(swapped) < 2 or len(swapped) < len(known) / 2:
        return
    got, meant = ("BGR", "RGB") if sign == 1 else ("RGB", "BGR")
    share = len(swapped) / len(known)
    yield Mistake(
        f"The channels of {percent(share)} of the images are in the order {got}, "
        f"not {meant}.",
        positions(swapped),
        figures={"samples": len(swapped), "compared": len(known)},
        advice=None if sign == 1 else "Leave out the conversion to RGB.",
        rule=rules.SWAPPED_CHANNELS,
        share=share,
    )
