"""Predictions that do not fit the ground truth: what was confused, and the repair.

A detector with the wrong class ids, box format or image ids has an AP near 0, like a
bad one. The difference: under the right interpretation its predictions fit at once. The
boxes that are looked at are the best predictions, as many as there are objects.

An interpretation is accepted if

- it explains at least 30% of the boxes: what explains less is no repair;
- of the boxes that fit under only one of both readings, at least 10 fit under it for
  each that fits unchanged: a reading that merely trades matches is not the meaning;
- it explains at least half as many more as fit unchanged;
- so many could fit by chance, if either reading were as likely, in less than one of
  100,000 cases (sign test). At about 150 interpretations, this is one of 600 sets.

Whatever is fitted to the data (a permutation, the size of an input) is fitted on one
half of the images and tested on the other, so that chance does not confirm itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.box_formats import meanings
from fiftyone_coco_audit.boxes import box_iou
from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.grouping import pairs_in_parts
from fiftyone_coco_audit.mapping.class_maps import (
    class_meanings,
    fitted_permutation,
    known_classes,
)
from fiftyone_coco_audit.mapping.image_ids import image_meanings
from fiftyone_coco_audit.mapping.network_boxes import (
    BoxReading,
    network_readings,
)
from fiftyone_coco_audit.objects import Objects
from fiftyone_coco_audit.wording import counted, listed, percent, quoted

_OVERLAP = 0.5
# Enough to distinguish two shares
_MOST_BOXES = 2000
# Fewer are, where images have many thousands of objects to compare each with
_MOST_PAIRS, _FEWEST_BOXES = 200_000, 20
# The test that the module describes
_LEAST_SHARE, _ODDS, _TIMES, _CHANCE = 0.3, 10, 1.5, 1e-5
# Most objects that a detector finds have the right class. A permutation is fitted, so
# it must name more of them: a detector that confuses classes does not reach this share
_MOST_NAMES, _LEAST_PERMUTED = 0.5, 0.7
# One class under another name may be a synonym, or a parent category
_FEWEST_CLASSES, _FEWEST_OF_CLASS = 2, 2
# Of readings that explain about as much, the simplest is the meaning
_AS_MUCH = 0.002
# The best scores of a set in percent are above, those of other scales rarely below 100
_PERCENT = 50, 100

_NONE = -1


@dataclass(frozen=True)
class ImageSet:
    """What is known of the images of an evaluation.

    Attributes:
        size: ``(M, 2)`` width and height in pixels
        ids: ``M`` COCO ids, None where an image has none
        stems: ``M`` names of the files, without the endings
        order: ``(M,)`` position of each image in the order of the dataset
    """

    size: NDArray[np.float64]
    ids: Sequence[int | str | None]
    stems: Sequence[str]
    order: NDArray[np.int64]


@dataclass(frozen=True, repr=False)
class Repair(ShortRepr):
    """How predictions are read instead; None leaves a part unchanged.

    Attributes:
        image: ``(M,)`` the image that is meant by each, -1 for none
        box: how the four numbers of a box are read
        category: ``(K,)`` the class that is meant by each, -1 for none
        score: what scores are divided by
    """

    image: NDArray[np.int64] | None = None
    box: BoxReading | None = None
    category: NDArray[np.int64] | None = None
    score: float = 1.0

    def _about(self) -> str:
        parts = {"images": self.image, "boxes": self.box, "classes": self.category}
        changed = [name for name, part in parts.items() if part is not None]
        return "of " + listed([*changed, *(["scores"] if self.score != 1 else [])], 4)

    def apply(
        self, predictions: Objects, size: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], Objects]:
        """Reads predictions as they were meant.

        Args:
            predictions: the predictions; masks are left out where boxes change
            size: ``(M, 2)`` width and height of each image in pixels

        Returns:
            a tuple of ``(N,)`` rows of the predictions that have a meaning, ordered by
            image, and these predictions
        """
        image, category = predictions.image, predictions.category
        if self.image is not None:
            image = self.image[image]
        if self.category is not None:
            category = self.category[category]
        rows = np.flatnonzero((image >= 0) & (category >= 0))
        rows = rows[np.argsort(image[rows], kind="stable")]
        found = predictions.rows(rows)
        if self.box is not None:
            corners = self.box.in_pixels(found.box, size[image[rows]])
            side = corners[:, 2:] - corners[:, :2]
            box, area = np.hstack([corners[:, :2], side]), side.prod(axis=1)
            found = replace(found, box=box, area=area, masks=None)
        score = None if found.score is None else found.score / self.score
        return rows, replace(
            found, image=image[rows], category=category[rows], score=score
        )


@dataclass(frozen=True)
class Cause:
    """One thing that was confused.

    Attributes:
        condition: what repairs it, such as ``"category ids are shifted by +1"``
        boxes: which boxes were looked at, such as ``"512 boxes on objects"``
        share: the share of them that match then
        share_unchanged: the share that match unchanged
    """

    condition: str
    boxes: str
    share: float
    share_unchanged: float

    def __str__(self) -> str:
        return (
            f"{percent(self.share)} of {self.boxes} match if {self.condition}; "
            f"unchanged, {percent(self.share_unchanged)} do."
        )


@dataclass(frozen=True, repr=False)
class MappingDiagnosis(ShortRepr):
    """Why predictions do not fit, and how they would.

    Attributes:
        causes: what keeps them from matching
        repair: how the predictions are read instead
        highest_score: the highest score if scores are in percent, else None
        left_out: how many predictions have no class or image when repaired
    """

    causes: tuple[Cause, ...]
    repair: Repair
    highest_score: float | None = None
    left_out: int = 0

    def _about(self) -> str:
        return f"of {counted(len(self.causes), 'cause')}: {self}"

    def __str__(self) -> str:
        said = list(map(str, self.causes))
        if self.left_out:
            are = "is" if self.left_out == 1 else "are"
            said.append(
                f"{counted(self.left_out, 'prediction')} would have no class or image "
                f"and {are} left out."
            )
        if self.highest_score is not None:
            said.append(
                f"Scores seem to be in percent (the highest is {self.highest_score:g}),"
                " so a score threshold from 0 to 1 means little. AP needs only their "
                "order."
            )
        return " ".join(said)

    def advice(self, pred_field: str, gt_field: str) -> str:
        """A sentence on how to repair the predictions of a dataset.

        Args:
            pred_field: the field of the predictions
            gt_field: the field of the ground truth
        """
        new = f"{pred_field}_repaired"
        truth = "" if gt_field == "ground_truth" else f", {gt_field!r}"
        return (
            "To add predictions with this repair, call "
            f"`repair_predictions(dataset, {pred_field!r}, {new!r}{truth})`; in the "
            "App, run COCO Audit: repair predictions."
        )


def share_that_fits(truth: Objects, predictions: Objects, num_images: int) -> float:
    """The share of the best boxes that lie on an object of their class.

    Args:
        truth: the ground truth, ordered by image; crowd regions are left out
        predictions: the predictions
        num_images: the number of images

    Returns:
        a share in ``[0, 1]`` at an IoU of .50; 1 where there is nothing to compare
    """
    truth, boxes = _looked_at(truth, predictions, num_images)
    if not len(boxes):
        return 1.0
    things, _ = _objects_under(truth, boxes)
    same = boxes.category == truth.category[things]
    return float(((things >= 0) & same).mean())


def diagnose_mapping(
    truth: Objects,
    predictions: Objects,
    images: ImageSet,
    classes: Sequence[str],
    category_ids: Sequence[int] | None = None,
) -> MappingDiagnosis | None:
    """Finds out whether predictions would fit if they were read differently.

    Args:
        truth: the ground truth, ordered by image; crowd regions are left out
        predictions: the predictions
        images: the images
        classes: ``K`` names of the classes
        category_ids: ``K`` ids of the classes, None if they are not known

    Returns:
        a :class:`MappingDiagnosis`; None where no other interpretation fits decisively
        better, as for a bad model
    """
    highest = highest_in_percent(predictions)
    repair = Repair(score=1.0 if highest is None else 100.0)
    causes = []
    truth, boxes = _looked_at(truth, predictions, len(images.size))
    placed = _placement(truth, boxes, images)
    if placed is not None:
        causes.append(placed[0])
        repair = replace(repair, image=placed[1].image, box=placed[1].box)
    _, boxes = repair.apply(boxes, images.size)
    renamed = _renaming(truth, boxes, classes, category_ids)
    if renamed is not None:
        causes.append(renamed[0])
        repair = replace(repair, category=renamed[1].category)
    if not causes and highest is None:
        return None
    left_out = len(predictions) - len(repair.apply(predictions, images.size)[0])
    return MappingDiagnosis(tuple(causes), repair, highest, left_out)


def _looked_at(
    truth: Objects, predictions: Objects, num_images: int
) -> tuple[Objects, Objects]:
    """The objects, crowd regions aside, and the best predictions, as many as these."""
    truth = truth.rows(np.flatnonzero(~truth.crowd))
    # Many of the other predictions lie on nothing
    best = _ranked(predictions)[: min(len(truth), _MOST_BOXES)]
    in_image = np.bincount(truth.image, minlength=num_images)
    pairs = np.cumsum(in_image[predictions.image[best]])
    best = best[: max(int((pairs <= _MOST_PAIRS).sum()), _FEWEST_BOXES)]
    return truth, replace(predictions, masks=None).rows(np.sort(best))


def highest_in_percent(predictions: Objects) -> float | None:
    """The highest score if scores are in percent, else None."""
    score = predictions.score
    if score is None or not len(score):
        return None
    low, high = _PERCENT
    highest = float(score.max())
    return highest if score.min() >= 0 and low <= highest <= high else None


def _ranked(predictions: Objects) -> NDArray[np.int64]:
    """The rows of predictions, the highest score first, else in their order."""
    if predictions.score is None:
        return np.arange(len(predictions))
    return np.argsort(-predictions.score, kind="stable")


def _objects_under(
    truth: Objects, boxes: Objects
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The object that each box lies on, whatever its class.

    Args:
        truth: ``M`` objects, ordered by image
        boxes: ``N`` boxes

    Returns:
        ``(N,)`` rows of objects, -1 for none, and ``(N,)`` overlaps, 0 for none
    """
    found, overlaps = np.full(len(boxes), _NONE), np.zeros(len(boxes))
    for _, rows, things in pairs_in_parts(boxes.image, truth.image):
        overlap = box_iou(boxes.box[rows], truth.box[things])
        order = np.lexsort((overlap, rows))
        order = order[np.diff(rows[order], append=_NONE) != 0]
        order = order[overlap[order] >= _OVERLAP]
        found[rows[order]], overlaps[rows[order]] = things[order], overlap[order]
    return found, overlaps


def _is_decisive(fits: NDArray[np.bool_], unchanged: NDArray[np.bool_]) -> bool:
    """Whether an interpretation explains decisively more boxes, as described above.

    Args:
        fits: ``(N,)`` whether each box fits under it
        unchanged: ``(N,)`` whether it fits unchanged
    """
    from scipy.special import bdtrc

    gained, lost = (fits & ~unchanged).sum(), (unchanged & ~fits).sum()
    return bool(
        gained > 0
        and fits.mean() >= _LEAST_SHARE
        and gained >= _ODDS * lost
        and fits.sum() >= _TIMES * unchanged.sum()
        and bdtrc(gained - 1, gained + lost, 0.5) <= _CHANCE
    )


def _placement(
    truth: Objects, boxes: Objects, images: ImageSet
) -> tuple[Cause, Repair] | None:
    """What images and boxes mean, if not what they say; classes are ignored."""
    scene = _Scene(truth, boxes, images)
    unchanged = scene.overlaps(Repair()) > 0
    if not len(boxes) or _TIMES * unchanged.mean() > 1:
        return None
    of_images = image_meanings(images.ids, images.stems, images.order)
    fixed = [
        (f"each `image_id` means {name}", Repair(image=image))
        for name, image in of_images.items()
    ]
    fixed += [_read_as(box) for box in meanings()]
    every = np.ones(len(boxes), bool)
    # Sizes are measured in one half of the images
    half = _every_other_image(boxes.image)
    fitted = [_read_as(box) for box in scene.network_readings(np.flatnonzero(half))]
    by_rule = _accepted(scene, fixed, unchanged, every, every)
    by_size = _accepted(scene, fitted, unchanged, half, ~half)
    if by_rule is None or by_size is None:
        return by_rule or by_size
    quality = [scene.overlaps(found[1]).mean() for found in (by_rule, by_size)]
    return by_size if quality[1] > quality[0] + _AS_MUCH else by_rule


def _every_other_image(image: NDArray[np.int64]) -> NDArray[np.bool_]:
    """``(N,)`` whether each box is in one half of the images."""
    return np.unique(image, return_inverse=True)[1] % 2 == 0


def _read_as(box: BoxReading) -> tuple[str, Repair]:
    return f"boxes are read as {box}", Repair(box=box)


@dataclass(frozen=True)
class _Scene:
    """The boxes that are looked at, and the objects that they should lie on."""

    truth: Objects
    boxes: Objects
    images: ImageSet

    def overlaps(self, repair: Repair) -> NDArray[np.float64]:
        """``(N,)`` how much of an object each repaired box covers, 0 below half."""
        overlap = np.zeros(len(self.boxes))
        rows, placed = repair.apply(self.boxes, self.images.size)
        overlap[rows] = _objects_under(self.truth, placed)[1]
        return overlap

    def network_readings(self, rows: NDArray[np.int64]) -> Iterator[BoxReading]:
        """What boxes may mean in the input of a network, measured in some rows."""
        boxes, sizes = self.boxes.rows(rows), self.images.size[self.boxes.image[rows]]
        parts = [pairs for _, *pairs in pairs_in_parts(boxes.image, self.truth.image)]
        left, right = (np.concatenate(side) for side in zip(*parts, strict=True))
        return network_readings(boxes.box, sizes, self.truth.box, (left, right))


def _accepted(
    scene: _Scene,
    options: Sequence[tuple[str, Repair]],
    unchanged: NDArray[np.bool_],
    seen: NDArray[np.bool_],
    tested: NDArray[np.bool_],
) -> tuple[Cause, Repair] | None:
    """The simplest of the options that fit about best, if it fits decisively.

    Args:
        scene: boxes and objects
        options: conditions and repairs, the simplest first
        unchanged: ``(N,)`` whether each box fits unchanged
        seen: ``(N,)`` the boxes by which one is chosen
        tested: ``(N,)`` those by which it is accepted
    """
    if not options or not seen.any() or not tested.any():
        return None
    overlaps = np.array([scene.overlaps(repair) for _, repair in options])
    quality = overlaps[:, seen].mean(axis=1)
    chosen = int(np.argmax(quality >= quality.max() - _AS_MUCH))
    fits, before = overlaps[chosen, tested] > 0, unchanged[tested]
    if not _is_decisive(fits, before):
        return None
    condition, repair = options[chosen]
    what = counted(len(fits), "box")
    return Cause(condition, what, float(fits.mean()), float(before.mean())), repair


def _renaming(
    truth: Objects,
    boxes: Objects,
    classes: Sequence[str],
    category_ids: Sequence[int] | None,
) -> tuple[Cause, Repair] | None:
    """What classes mean, if not what they say, by the boxes that lie on objects."""
    things, _ = _objects_under(truth, boxes)
    best = _ranked(boxes)
    best = best[things[best] >= 0]
    # An object has one vote
    best = best[np.unique(things[best], return_index=True)[1]]
    named = _Names(boxes.category[best], truth.category[things[best]])
    if not len(best) or _TIMES * named.unchanged.mean() > 1:
        return None
    found = named.by_rule(class_meanings(classes, category_ids))
    if found is None:
        found = named.by_permutation(_every_other_image(boxes.image[best]), classes)
    if found is None:
        return None
    condition, meant = found
    share, before = named.fit(meant).mean(), named.unchanged.mean()
    what = f"{counted(len(best), 'box')} on objects"
    cause = Cause(condition, what, float(share), float(before))
    return cause, Repair(category=meant)


@dataclass(frozen=True)
class _Names:
    """The classes of boxes, and of the objects that they lie on."""

    predicted: NDArray[np.int64]
    true: NDArray[np.int64]

    @property
    def unchanged(self) -> NDArray[np.bool_]:
        return self.predicted == self.true

    def fit(self, meant: NDArray[np.int64]) -> NDArray[np.bool_]:
        return meant[self.predicted] == self.true

    def by_rule(
        self, options: Mapping[str, NDArray[np.int64]]
    ) -> tuple[str, NDArray[np.int64]] | None:
        """The best of the interpretations, if it fits decisively."""
        best = max(options.items(), key=lambda o: self.fit(o[1]).sum(), default=None)
        every = np.ones(len(self.true), bool)
        if best is None or not self._decides(best[1], every, _MOST_NAMES):
            return None
        return best

    def by_permutation(
        self, half: NDArray[np.bool_], classes: Sequence[str]
    ) -> tuple[str, NDArray[np.int64]] | None:
        """The best permutation, if that of one half decisively fits the other."""
        count = len(classes)
        seen = self.predicted[half], self.true[half]
        meant = fitted_permutation(*seen, count)
        known = known_classes(*seen, meant)
        # Objects of these classes that boxes call anything else count against it
        of_known = np.isin(self.true, meant[known])
        tested = ~half & (known[self.predicted] | of_known)
        if not self._decides(meant, tested, _LEAST_PERMUTED):
            return None
        meant = fitted_permutation(self.predicted, self.true, count)
        changed = np.flatnonzero(meant != np.arange(count)).tolist()
        pairs = [
            f"{quoted(classes[one])} is {quoted(classes[meant[one]])}"
            for one in changed
        ]
        return f"classes are permuted ({listed(pairs)})", meant

    def _decides(
        self, meant: NDArray[np.int64], tested: NDArray[np.bool_], least: float
    ) -> bool:
        fits, before = self.fit(meant)[tested], self.unchanged[tested]
        if not len(fits) or fits.mean() < least or not _is_decisive(fits, before):
            return False
        gained = np.bincount(self.predicted[tested][fits & ~before])
        return bool((gained >= _FEWEST_OF_CLASS).sum() >= _FEWEST_CLASSES)
