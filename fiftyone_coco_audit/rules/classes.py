"""Rules on the balance of classes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from fiftyone_coco_audit.findings import Evidence, Example, rule
from fiftyone_coco_audit.rules._shared import and_more, highest
from fiftyone_coco_audit.wording import counted, named, percent, plural

if TYPE_CHECKING:
    from fiftyone_coco_audit.statistics.overview import Statistics


@rule(
    "CA401",
    "class-imbalance",
    "warning",
    explanation="A detector that sees one class many times as often as another learns "
    "it at the expense of the other.",
    advice="Label more of the rare classes, repeat their images (simulate_resampling "
    "shows the effect), or weight the loss by class.",
    ignore="If rare classes do not matter to you, or if the loss already weights "
    "classes.",
    reasons={
        "min_ratio": (
            "A judgment: LVIS calls classes rare that are in at most 10 images and "
            "frequent from 101 on; 50 is well beyond a step."
        ),
    },
    example=Example(
        "One class has 500 objects, another one 5.", counts={"cat": 500, "dog": 5}
    ),
    counterexample=Example(
        "One class has 500 objects, another one 50.", counts={"cat": 500, "dog": 50}
    ),
    implies=("CA402",),
    needs_whole=True,
)
def class_imbalance(
    statistics: Statistics, *, min_ratio: float = 50
) -> Iterator[Evidence]:
    """Finds classes with many times fewer objects than the most common one.

    Args:
        statistics: of the images
        min_ratio: how many times as many objects the most common class has as a
            rare one, at least
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
    advice="Look at AP per class, and try repeating the images of rare classes "
    "(simulate_resampling shows the effect).",
    ignore="If you only need the common classes.",
    reasons={
        "max_head": (
            "If classes were alike, half of them would hold half of the objects; a "
            "quarter is half as many."
        ),
        "min_classes": (
            "One or two rare classes are no tail, and class-imbalance names them."
        ),
    },
    example=Example(
        "Two of 12 classes have 300 objects each, the others 20 each.",
        counts={"cat": 300, "dog": 300, **{f"rare {n}": 20 for n in range(10)}},
    ),
    counterexample=Example(
        "Each of 80 classes has 50 objects.",
        counts={f"class {n}": 50 for n in range(80)},
    ),
    needs_whole=True,
)
def long_tail(
    statistics: Statistics, *, max_head: float = 0.25, min_classes: int = 3
) -> Iterator[Evidence]:
    """Finds rare classes where a few others hold half of all objects.

    Rare are classes with under half of an equal share.

    Args:
        statistics: of the images
        max_head: the maximum share of the classes that hold half of all objects
        min_classes: the minimum number of rare classes
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
    "evaluated, because one more hit moves its AP by many points.",
    advice="Label more objects of the class, merge it with a similar one, or leave it "
    "out.",
    ignore="If you neither train nor report these classes.",
    reasons={
        "min_objects": (
            "One more hit among 10 objects moves recall by 10 points; LVIS calls "
            "classes rare up to 10 images."
        ),
    },
    example=Example("A class has 9 objects.", counts={"cat": 9}),
    counterexample=Example("A class has 10 objects.", counts={"cat": 10}),
    implies=("CA401", "CA402"),
    needs_whole=True,
)
def few_objects(statistics: Statistics, *, min_objects: int = 10) -> Iterator[Evidence]:
    """Finds classes with some objects, but few.

    Args:
        statistics: of the images
        min_objects: how many objects are enough for a class
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
    explanation="A class without objects is an output of the network that never sees a "
    "positive, and it has no AP.",
    advice="Label the class, remove it from the list of classes, or check whether an "
    "import or a filter has lost it.",
    ignore="If the list of classes is shared with other datasets.",
    example=Example(
        "The classes are cat and dog, and all objects are cats.",
        shown=[["cat"]],
        classes=["cat", "dog"],
    ),
    counterexample=Example(
        "The classes are cat and dog, and there is one dog.",
        shown=[["cat"], ["dog"]],
        classes=["cat", "dog"],
    ),
    needs_whole=True,
)
def class_without_objects(statistics: Statistics) -> Iterator[Evidence]:
    """Finds classes without objects, in sets that have objects.

    Categories that only group others are not classes; parent-category names them.
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
    explanation="Many objects of a class in few images come from few scenes, cameras "
    "and lighting conditions, so there is less to learn than the count suggests.",
    advice="Add images of the class from other scenes, and keep the existing ones on "
    "one side of the split.",
    ignore="If the model will only see these scenes.",
    reasons={
        "min_objects": "A judgment: a smaller count promises little anyway.",
        "max_images": "LVIS calls classes rare up to 10 images.",
        "max_share": "In a small set nine images may be many; a tenth is not.",
    },
    example=Example(
        "A class has 80 objects in 2 of 100 images.",
        shown=[["cat"] * 40] * 2 + [["dog"]] * 98,
    ),
    counterexample=Example(
        "A class has 80 objects in 40 of 100 images.",
        shown=[["cat"] * 2] * 40 + [["dog"]] * 60,
    ),
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
        min_objects: how many objects a class needs to be judged
        max_images: the maximum number of images that still counts as few
        max_share: the maximum share of all images that still counts as few
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
        f"{len(statistics.labeled):,}{and_more(names)}.",
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
    explanation="One class has more objects than all others together, so losses and "
    "averages over objects are mostly about this class.",
    advice="Use the mean AP over classes, and try a focal loss or class weights.",
    ignore="If that class is the one you care about.",
    reasons={
        "min_share": "More than half is more than all others together.",
        "min_times": (
            "One of two classes always has at least half; 5 times the average of the "
            "others excludes balanced sets."
        ),
    },
    example=Example(
        "One of 4 classes has 90 of 100 objects.",
        counts={"cat": 90, "dog": 4, "ant": 3, "bee": 3},
    ),
    counterexample=Example(
        "One of 2 classes has 60 of 100 objects.", counts={"cat": 60, "dog": 40}
    ),
    needs_whole=True,
)
def dominant_class(
    statistics: Statistics, *, min_share: float = 0.5, min_times: float = 5
) -> Iterator[Evidence]:
    """Finds a class with most of all objects.

    Args:
        statistics: of the images
        min_share: the share of all objects that a dominant class exceeds
        min_times: how many times as many objects it must have as the others on
            average
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
    explanation="A rare class is never seen without the most common one, so repeating "
    "its images also repeats that one, and the detector may use the one to recognize "
    "the other.",
    advice="Collect images of the rare class without the common one, or weight the "
    "rare class in the loss instead of repeating its images.",
    ignore="If the two classes always occur together in use as well.",
    reasons={
        "min_images": (
            "If half of all images show a class, four images all show it by chance in "
            "6% of cases."
        ),
        "max_chance": (
            "A judgment: it is corrected for the number of rare classes, so a set of "
            "them has at most 3 false findings in 10."
        ),
    },
    example=Example(
        "All 10 ladybugs are in images with a leaf, the most common class, which half "
        "of all images show.",
        shown=[["leaf", "ladybug"]] * 10 + [["leaf"]] * 42 + [["coin"]] * 48,
    ),
    counterexample=Example(
        "One of 10 ladybugs is in an image without a leaf.",
        shown=[["leaf", "ladybug"]] * 9
        + [["coin", "ladybug"]]
        + [["leaf"]] * 43
        + [["coin"]] * 47,
    ),
    needs_whole=True,
)
def rare_class_with_commonest(
    statistics: Statistics, *, min_images: int = 5, max_chance: float = 0.3
) -> Iterator[Evidence]:
    """Finds rare classes that always appear together with the most common class.

    The chance of a class is that of drawing its images, without replacement, from
    those that show the most common one alone. It is multiplied by the number of rare
    classes (Bonferroni): each is reported by name, so each must stand by itself,
    where a false discovery rate would allow some that do not. Of 33 rare classes with
    5 images each, one or two always are with a class that half of all images show.

    Args:
        statistics: of the images
        min_images: how many images a rare class needs to be judged
        max_chance: the maximum chance, corrected for the number of rare classes,
            that all images of a class show the most common one by coincidence
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
        f"{named(commonest)}: all {images:,} images with "
        f"{plural(names, 'it', 'them')} show {named(commonest)}, like "
        f"{percent(common)} of all images.",
        objects=classes.rows_of(rare),
        classes=(*names, *commonest),
        figures={
            "images": images,
            "share_of_all_images": float(common),
            "chance": float((chance[found] * len(classes.tail)).max()),
        },
    )
