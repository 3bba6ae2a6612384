"""Rules on classes: their balance, their names, and where they are labeled."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fiftyone_coco_audit.findings import Evidence, rule
from fiftyone_coco_audit.rules._shared import highest
from fiftyone_coco_audit.statistics.resampling import (
    ResamplingEffect,
    default_threshold,
)
from fiftyone_coco_audit.statistics.sources import SourceGaps, folders, tagged
from fiftyone_coco_audit.wording import counted, named, out_of, percent, plural, quoted

if TYPE_CHECKING:
    from fiftyone_coco_audit.statistics.overview import Statistics

_SEPARATORS = re.compile(r"[\W_]+")


@rule(
    "CA401",
    "class-imbalance",
    "warning",
    explanation="A detector that sees one class many times as often as another learns "
    "the one at the other's expense.",
    advice="Label more of the rare classes, repeat their images (simulate_resampling "
    "shows what that does), or weight the loss by class.",
    example="Of one class there are 500 objects, of another 5.",
    counterexample="Of one class there are 500 objects, of another 50.",
    implies=("CA402",),
    needs_whole=True,
)
def class_imbalance(
    statistics: Statistics, *, min_ratio: float = 50
) -> Iterator[Evidence]:
    """Finds classes with many times fewer objects than the commonest.

    Args:
        statistics: of the images
        min_ratio: how many times as many objects the commonest class has as a rare
            one, at least
    """
    classes = statistics.classes
    if classes.imbalance.ratio < min_ratio:
        return
    counts = classes.objects
    most = int(counts.argmax())
    rare = classes.by_count((counts > 0) & (min_ratio * counts <= counts[most]))
    names = classes.names_of(rare)
    yield Evidence(
        f"{named(classes.names_of([most]))} has {counts[most]:,} objects, at least "
        f"{int(counts[most] / counts[rare[-1]]):,} times as many as {named(names)}.",
        objects=classes.rows_of(rare),
        classes=names,
        figures={
            "ratio": classes.imbalance.ratio,
            "effective_classes": classes.imbalance.effective_classes,
        },
    )


@rule(
    "CA402",
    "long-tail",
    "note",
    explanation="A few classes hold most of the labels, so an average over all objects "
    "says little about the many rare classes.",
    advice="Judge the detector by AP per class, and try repeating the images of the "
    "rare classes (simulate_resampling shows what that does).",
    example="Of 12 classes two have 300 objects each, the others 20 each.",
    counterexample="Each of 80 classes has some 50 objects.",
    needs_whole=True,
)
def long_tail(
    statistics: Statistics, *, max_head: float = 0.25, min_classes: int = 3
) -> Iterator[Evidence]:
    """Finds rare classes where a few others hold half of all objects.

    Rare are classes with under half of an equal share.

    Args:
        statistics: of the images
        max_head: the greatest share of the classes that hold half of all objects
        min_classes: the least number of rare classes
    """
    classes = statistics.classes
    present = np.count_nonzero(classes.objects)
    if len(classes.tail) < min_classes or len(classes.head) > max_head * present:
        return
    names = classes.names_of(classes.tail)
    head = classes.share[classes.head].sum()
    yield Evidence(
        f"{len(classes.head)} of {present:,} classes "
        f"{plural(classes.head, 'holds', 'hold')} {percent(head)} of the objects, "
        f"while {named(names)} {plural(names, 'has', 'have')} less than "
        f"{percent(1 / (2 * present))}{plural(names, '', ' each')}.",
        objects=classes.rows_of(classes.tail),
        classes=names,
        figures={"head_classes": len(classes.head), "head_share": float(head)},
    )


@rule(
    "CA403",
    "few-objects",
    "warning",
    explanation="A class with a handful of objects can be neither learned nor "
    "evaluated: one more hit moves its AP by many points.",
    advice="Label more objects of the class, merge it with a similar one, or leave it "
    "out.",
    example="A class has 9 objects.",
    counterexample="A class has 10 objects.",
    implies=("CA401", "CA402"),
    needs_whole=True,
)
def few_objects(statistics: Statistics, *, min_objects: int = 10) -> Iterator[Evidence]:
    """Finds classes with some objects, but few.

    Args:
        statistics: of the images
        min_objects: the least number of objects that is enough for a class
    """
    classes = statistics.classes
    few = classes.by_count((classes.objects > 0) & (classes.objects < min_objects))
    if not len(few):
        return
    names = classes.names_of(few)
    counts = classes.objects[few].tolist()
    most = int(classes.objects.argmax())
    commonest = classes.objects[most]
    yield Evidence(
        f"{named(names, counts)} {plural(names, 'has', 'have')} fewer than "
        f"{min_objects} objects"
        + (
            f", while {named(classes.names_of([most]))} has {commonest:,}"
            if commonest >= 5 * min_objects
            else ""
        )
        + ".",
        objects=classes.rows_of(few),
        classes=names,
        figures={"classes": len(few), "least": counts[0]},
    )


@rule(
    "CA404",
    "class-without-objects",
    "warning",
    explanation="A class that is in the list of classes but has no object is an "
    "output of the network that never sees a positive, and has no AP.",
    advice="Label the class, remove it from the list of classes, or check whether an "
    "import or a filter has lost it.",
    example="The classes are cat and dog; all objects are cats.",
    counterexample="The classes are cat and dog; there is one dog.",
    needs_whole=True,
)
def class_without_objects(statistics: Statistics) -> Iterator[Evidence]:
    """Finds classes without objects, in sets that have objects.

    Categories that only group others are no classes; parent-category names them.
    """
    classes, labeled = statistics.classes, statistics.labeled
    groups = np.isin(np.array(labeled.classes, object), labeled.parents)
    absent = np.flatnonzero((classes.objects == 0) & ~groups)
    if not len(absent) or not len(labeled.objects):
        return
    names = classes.names_of(absent)
    yield Evidence(
        f"{named(names)} {plural(names, 'has', 'have')} no objects, though the list "
        f"of {counted(len(classes.objects), 'class')} names "
        f"{plural(names, 'it', 'them')}.",
        classes=names,
        figures={"classes": len(absent)},
    )


@rule(
    "CA405",
    "class-in-few-images",
    "warning",
    explanation="Many objects of a class in a few images are few scenes, cameras and "
    "lights; the count of objects promises more than there is to learn.",
    advice="Add images of the class from other scenes, and keep those that there are "
    "on one side of the split.",
    example="A class has 80 objects in 2 of 100 images.",
    counterexample="A class has 80 objects in 40 of 100 images.",
    needs_whole=True,
)
def class_in_few_images(
    statistics: Statistics,
    *,
    min_objects: int = 50,
    max_images: int = 9,
    max_share: float = 0.1,
) -> Iterator[Evidence]:
    """Finds classes of many objects that are all in a few of many images.

    Args:
        statistics: of the images
        min_objects: the least number of objects of a class to judge it by
        max_images: the greatest number of images that still counts as few
        max_share: the greatest share of all images that still counts as few
    """
    classes = statistics.classes
    found = highest(
        -classes.images,
        (classes.objects >= min_objects)
        & (classes.images <= max_images)
        & (classes.images <= max_share * len(statistics.labeled)),
    )
    if not len(found):
        return
    names = classes.names_of(found)
    worst = found[0]
    yield Evidence(
        f"All {classes.objects[worst]:,} objects of {named(names[:1])} are in "
        f"{counted(int(classes.images[worst]), 'image')} of "
        f"{len(statistics.labeled):,}{_and_more(names)}.",
        objects=classes.rows_of(found),
        classes=names,
        figures={
            "objects": int(classes.objects[worst]),
            "images": int(classes.images[worst]),
        },
    )


@rule(
    "CA406",
    "dominant-class",
    "note",
    explanation="One class has more objects than all others together, so that losses "
    "and averages over objects are mostly about this one.",
    advice="Judge the detector by the mean AP over classes, and try a focal loss or "
    "weights by class.",
    example="Of 4 classes one has 90 of 100 objects.",
    counterexample="Of 2 classes one has 60 of 100 objects.",
    needs_whole=True,
)
def dominant_class(
    statistics: Statistics, *, min_share: float = 0.5, min_times: float = 5
) -> Iterator[Evidence]:
    """Finds a class with most of all objects.

    Args:
        statistics: of the images
        min_share: the share of all objects that a dominant class exceeds
        min_times: how many times as many objects it has as the others on average, at
            least, for of two classes one always has half of the objects
    """
    classes = statistics.classes
    present = np.count_nonzero(classes.objects)
    if present < 2:
        return
    most = int(classes.objects.argmax())
    share = classes.share[most]
    if share <= min_share or share * (present - 1) < min_times * (1 - share):
        return
    names = classes.names_of([most])
    yield Evidence(
        f"{percent(share)} of the objects ({classes.objects[most]:,} of "
        f"{classes.objects.sum():,}) are {named(names)}, one of {present:,} classes.",
        objects=classes.rows_of([most]),
        classes=names,
        figures={"share": float(share)},
    )


@rule(
    "CA407",
    "rare-class-with-commonest",
    "warning",
    explanation="A rare class is never seen without the commonest one, so repeating "
    "its images inflates what there is too much of, and the detector may take the one "
    "as a sign of the other.",
    advice="Collect images of the rare class without the common one, or weight the "
    "rare class in the loss instead of repeating its images.",
    example="Each of 10 ladybugs is in an image with a leaf, the commonest of many "
    "classes, which half of all images show.",
    counterexample="One of 10 ladybugs is in an image without a leaf.",
    needs_whole=True,
)
def rare_class_with_commonest(
    statistics: Statistics, *, min_images: int = 5, max_chance: float = 0.3
) -> Iterator[Evidence]:
    """Finds rare classes that all their images show together with the commonest.

    The chance of a class is that of drawing its images, without replacement, from
    those that show the commonest alone. It is multiplied by the number of rare
    classes (Bonferroni): each is reported by name, so each must stand by itself,
    where a false discovery rate would allow some that do not. Of 33 rare classes with
    5 images each, one or two always are with a class that half of all images show.

    Args:
        statistics: of the images
        min_images: the least number of images with a rare class to judge it by
        max_chance: the greatest chance, corrected for the number of rare classes,
            that all images of a class show the commonest by coincidence
    """
    classes = statistics.classes
    if not len(classes.tail):
        return
    most = int(classes.images.argmax())
    tail = classes.tail[classes.tail != most]
    tail = tail[classes.images[tail] >= min_images]
    always = classes.images_with(most)[tail] == classes.images[tail]
    chance = classes.chance_of_always_with(most)[tail]
    found = always & (chance * len(classes.tail) <= max_chance)
    rare = tail[found]
    if not len(rare):
        return
    common = classes.images[most] / len(statistics.labeled)
    names, commonest = classes.names_of(rare), classes.names_of([most])
    images = int(classes.images[rare].sum())
    yield Evidence(
        f"{named(names)} {plural(names, 'is', 'are')} never seen without "
        f"{named(commonest)}: all {images:,} images with {plural(names, 'it', 'them')} "
        f"show {named(commonest)}, as {percent(common)} of all images do.",
        objects=classes.rows_of(rare),
        classes=(*names, *commonest),
        figures={
            "images": images,
            "share_of_all_images": float(common),
            "chance": float((chance[found] * len(classes.tail)).max()),
        },
    )


@rule(
    "CA408",
    "missing-in-source",
    "error",
    explanation="A class that other images show often is nowhere labeled in a whole "
    "folder or tag; if it is to be seen there, its objects are taught as background.",
    advice="Look through the images of that source, and label the class there or leave "
    "these images out.",
    example="30 of 100 images of site_a show a mug and none of 100 of site_b, though "
    "both show plates.",
    counterexample="3 of 100 images of site_a show a mug and none of 100 of site_b.",
)
def missing_in_source(
    statistics: Statistics, *, alpha: float = 0.001, min_coverage: float = 0.8
) -> Iterator[Evidence]:
    """Finds classes that a folder or tag lacks and that most others have.

    Which of the images show the class cannot be known, so all of them are named.

    Args:
        statistics: of the images
        alpha: the greatest probability that any source lacks any class by chance
        min_coverage: the least share of all other images that are of sources which do
            have the class
    """
    labeled, presence = statistics.labeled, statistics.classes.presence
    reported: set[bytes] = set()
    for kind, sources in (
        ("folder", folders(labeled.filepaths)),
        ("tag", tagged(labeled.tags)),
    ):
        gaps = SourceGaps(presence, sources)
        missing = gaps.missing(alpha, min_coverage)
        if not len(missing):
            continue
        images = sources.images_of(missing[:, 0])
        # A folder train whose images are tagged train is said once
        if images.tobytes() in reported:
            continue
        reported.add(images.tobytes())
        source, category = missing[0]
        count, expected = gaps.images[source], gaps.expected[source, category]
        others = len(missing) - 1
        yield Evidence(
            f"{named([labeled.classes[category]])} is labeled in none of the "
            f"{count:,} images of the {kind} {quoted(sources.names[source])}, where at "
            f"the rate of all others some {expected:,.0f} would show it"
            + (f", and {counted(others, 'similar gap')} more" if others else "")
            + "; which ones do is not known, so all images are listed.",
            images=images,
            classes=tuple(dict.fromkeys(statistics.classes.names_of(missing[:, 1]))),
            figures={
                "source": sources.names[source],
                "images": int(count),
                "expected": float(expected),
                "p_value": float(gaps.p_value[source, category]),
            },
        )


@rule(
    "CA409",
    "size-count-correlation",
    "note",
    explanation="Common classes are larger, or smaller, than rare ones, so a "
    "difference in AP between classes may be one of size, and the reverse.",
    advice="Compare classes at equal size (AP small, medium, large per class) before "
    "blaming rarity, and at equal number before blaming size.",
    example="Of 12 classes the one with more objects always has the smaller ones.",
    counterexample="Of 12 classes all have objects of about the same size.",
)
def size_count_correlation(
    statistics: Statistics,
    *,
    min_correlation: float = 0.6,
    max_p_value: float = 0.01,
    min_classes: int = 10,
) -> Iterator[Evidence]:
    """Finds sets where the mean area of a class goes with its number of objects.

    Args:
        statistics: of the images
        min_correlation: the least rank correlation (Spearman's) of the two, whether
            positive or negative
        max_p_value: the greatest p-value of that correlation
        min_classes: the least number of classes with objects to judge by
    """
    found = statistics.classes.size_count_correlation
    if found.num_classes < min_classes or not (
        abs(found.spearman) >= min_correlation and found.p_value <= max_p_value
    ):
        return
    what = "larger" if found.spearman > 0 else "smaller"
    yield Evidence(
        f"The more objects a class has, the {what} they are: over "
        f"{found.num_classes:,} classes the rank correlation of count and mean area "
        f"is {found.spearman:.2f}.",
        figures={"spearman": found.spearman, "p_value": found.p_value},
    )


@rule(
    "CA410",
    "similar-class-names",
    "warning",
    explanation="Class names that differ only in case, in spaces and signs or in a "
    "plural s are probably one class, which is trained against itself.",
    advice="Merge the classes under one name (in FiftyOne: map_labels).",
    example="There are the classes `traffic light` and `Traffic_Lights`.",
    counterexample="There are the classes `traffic light` and `traffic sign`.",
)
def similar_class_names(statistics: Statistics) -> Iterator[Evidence]:
    """Finds names that are equal but for case, spaces, signs and a plural s."""
    classes = statistics.classes
    groups: dict[str, list[int]] = {}
    for row, name in enumerate(statistics.labeled.classes):
        groups.setdefault(_plain(name), []).append(row)
    similar = [rows for rows in groups.values() if len(rows) > 1]
    if not similar:
        return
    rows = [row for group in similar for row in group]
    others = len(similar) - 1
    yield Evidence(
        f"{named(classes.names_of(similar[0]))} are probably one class"
        + (f", like the names of {counted(others, 'other group')}" if others else "")
        + ".",
        objects=classes.rows_of(rows),
        classes=classes.names_of(rows),
        figures={"groups": len(similar)},
    )


@rule(
    "CA411",
    "resampling-side-effect",
    "note",
    explanation="Repeating the images of rare classes would also repeat a common class "
    "that is seen with them, which undoes a part of what was wanted.",
    advice="Lower the threshold or the exponent of resampling, or weight the rare "
    "classes in the loss instead.",
    example="24 of the 30 images of people show one of eight rare classes, which are "
    "to be repeated more than twice.",
    counterexample="The images of the rare classes show nothing else.",
    needs_whole=True,
)
def resampling_side_effect(
    statistics: Statistics, *, min_gain: float = 1.5, threshold: float | None = None
) -> Iterator[Evidence]:
    """Finds classes that resampling raises though they are not rare.

    Args:
        statistics: of the images
        min_gain: by what the images of such a class are multiplied, at least
        threshold: the share of images below which a class is repeated; None for the
            one that simulate_resampling proposes for the set
    """
    classes = statistics.classes
    if threshold is None:
        threshold = default_threshold(classes.presence)
    effect = ResamplingEffect(classes, threshold)
    least = max(min_gain, effect.epoch_growth)
    raised = effect.raised(least)
    if not len(raised):
        return
    names, worst = classes.names_of(raised), effect.side_effects(least)[0]
    presence = classes.presence
    repeated = effect.factors.image[presence.image] > 1
    shown = np.isin(presence.category, raised)
    yield Evidence(
        f"Resampling at a threshold of {threshold:.2g} has a side effect: {worst}"
        f"{_and_more(names)}, in an epoch {effect.epoch_growth:.2g}x as long.",
        images=np.unique(presence.image[repeated & shown]),
        classes=names,
        figures={
            "threshold": threshold,
            "gain": worst.gain,
            "through": worst.through,
            "epoch_growth": effect.epoch_growth,
        },
    )


@rule(
    "CA412",
    "source-of-other-classes",
    "note",
    explanation="A folder has no class in common with the others; if its images show "
    "objects of the others' classes, or theirs show its own, these are unlabeled and "
    "taught as background.",
    advice="Check whether images of one folder show classes of another, and if so, "
    "label them there or leave the folder's unlabeled classes out of its loss.",
    example="All images of faces/ have only faces, those of plates/ only plates.",
    counterexample="Images of site_a/ and site_b/ have cars and people.",
)
def source_of_other_classes(
    statistics: Statistics, *, min_images: int = 10
) -> Iterator[Evidence]:
    """Finds folders whose classes occur nowhere else.

    Args:
        statistics: of the images
        min_images: the least number of images in a folder to judge it by
    """
    labeled, presence = statistics.labeled, statistics.classes.presence
    sources = folders(labeled.filepaths)
    gaps = SourceGaps(presence, sources)
    labeled_sources = (gaps.num_classes > 0) & (gaps.images >= min_images)
    found = np.flatnonzero(labeled_sources & (gaps.num_common == 0))
    if not len(found) or np.count_nonzero(labeled_sources) < 2:
        return
    names = [sources.names[source] for source in found.tolist()]
    images = sources.images_of(found)
    yield Evidence(
        f"{plural(names, 'The folder', 'The folders')} {named(names)} "
        f"{plural(names, 'has', 'have')} no class in common with any other, in "
        f"{out_of(images, labeled, 'image')}.",
        images=images,
        classes=statistics.classes.names_of(
            np.flatnonzero(gaps.found[found].any(axis=0))
        ),
        figures={"folders": len(names)},
    )


@rule(
    "CA413",
    "no-objects",
    "error",
    explanation="There is no object in the whole set, so nothing can be learned from "
    "it, and all other rules are silent.",
    advice="Check whether this is the right file, label field or view.",
    example="Of 3 images none has an object.",
    counterexample="Of 3 images one has an object.",
)
def no_objects(statistics: Statistics) -> Iterator[Evidence]:
    """Finds sets without objects, or without images."""
    labeled = statistics.labeled
    if len(labeled.objects):
        return
    message, advice = "There are no images.", None
    crowds = int(labeled.crowds.sum())
    if len(labeled):
        message = f"None of {counted(len(labeled), 'image')} has an object."
    if crowds:
        message = (
            f"{message[:-1]}: {crowds:,} {'label is' if crowds == 1 else 'labels are'} "
            "marked as crowd regions (`iscrowd` 1), which training and evaluation "
            "ignore."
        )
        advice = "Set `iscrowd` to 0 where a label is a single object."
    yield Evidence(
        message,
        images=np.arange(len(labeled)),
        figures={"images": len(labeled), "crowds": crowds},
        advice=advice,
    )


def _plain(name: str) -> str:
    folded = _SEPARATORS.sub("", unicodedata.normalize("NFKC", name).casefold())
    is_plural = folded.endswith("s") and not folded.endswith("ss")
    # Names of signs only are told apart by these
    return (folded[:-1] if is_plural and len(folded) > 1 else folded) or name


def _and_more(names: Sequence[str]) -> str:
    return f", and {counted(len(names) - 1, 'class')} more" if len(names) > 1 else ""
