"""Rules on how classes are labeled: in which sources, under which names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from fiftyone_coco_audit.findings import Evidence, Example, rule
from fiftyone_coco_audit.rules._shared import and_more
from fiftyone_coco_audit.statistics.resampling import (
    ResamplingEffect,
    default_threshold,
)
from fiftyone_coco_audit.statistics.sources import SourceGaps, folders, tagged
from fiftyone_coco_audit.wording import counted, named, out_of, plural, quoted

if TYPE_CHECKING:
    from fiftyone_coco_audit.statistics.overview import Statistics

_SEPARATORS = re.compile(r"[\W_]+")


@rule(
    "CA408",
    "missing-in-source",
    "error",
    explanation="A class that other images often show is not labeled anywhere in a "
    "whole folder or tag, so the network learns that its objects there are background.",
    advice="Look through the images of that source, and label the class there or leave "
    "these images out.",
    ignore="If that source cannot show the class.",
    reasons={
        "alpha": (
            "One false finding in a thousand datasets, corrected for all classes and "
            "sources."
        ),
        "min_coverage": (
            "If most other sources lack the class too, the sources simply differ."
        ),
    },
    example=Example(
        "30 of 100 images of site_a show a mug and none of 100 of site_b, though both "
        "show plates.",
        shown=[["plate", "mug"]] * 30 + [["plate"]] * 170,
        filepaths=[f"site_{'ab'[n // 100]}/{n}.jpg" for n in range(200)],
    ),
    counterexample=Example(
        "3 of 100 images of site_a show a mug and none of 100 of site_b.",
        shown=[["plate", "mug"]] * 3 + [["plate"]] * 197,
        filepaths=[f"site_{'ab'[n // 100]}/{n}.jpg" for n in range(200)],
    ),
)
def missing_in_source(
    statistics: Statistics, *, alpha: float = 0.001, min_coverage: float = 0.8
) -> Iterator[Evidence]:
    """Finds classes that a folder or tag lacks and that most others have.

    Which of the images show the class cannot be known, so all of them are named.

    Args:
        statistics: of the images
        alpha: the maximum probability that any source lacks any class by chance
        min_coverage: the minimum share of all other images whose sources have the class
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
        # A folder train whose images are tagged train is reported once
        if images.tobytes() in reported:
            continue
        reported.add(images.tobytes())
        source, category = missing[0]
        count, expected = gaps.images[source], gaps.expected[source, category]
        others = len(missing) - 1
        yield Evidence(
            f"{named([labeled.classes[category]])} is labeled in none of the "
            f"{count:,} images of the {kind} {quoted(sources.names[source])}, although "
            f"about {expected:,.0f} would show it at the rate of all others"
            + (f", and {counted(others, 'similar gap')} more" if others else "")
            + "; it is unknown which ones, so all images are listed.",
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
    explanation="Common classes are larger or smaller than rare ones, so a difference "
    "in AP between classes may be one of size.",
    advice="Compare classes of equal size (AP small, medium, large per class) before "
    "you blame rarity, and of equal number before you blame size.",
    ignore="If you do not compare classes with each other.",
    reasons={
        "min_correlation": "Cohen calls 0.5 a large correlation.",
        "max_p_value": "A strict level, because nobody asked for this test.",
        "min_classes": (
            "With fewer classes only correlations above 0.8 reach that p-value."
        ),
    },
    example=Example(
        "The more objects one of 12 classes has, the smaller they are.",
        rows=[
            (0, f"class {k:02}", (9, 9, 100 - 6 * k, 100 - 6 * k))
            for k in range(12)
            for _ in range(2 * k + 2)
        ],
    ),
    counterexample=Example(
        "All 12 classes have objects of about the same size.",
        rows=[
            (0, f"class {k:02}", (9, 9, 50 + 5 * k % 7, 50))
            for k in range(12)
            for _ in range(2 * k + 2)
        ],
    ),
)
def size_count_correlation(
    statistics: Statistics,
    *,
    min_correlation: float = 0.6,
    max_p_value: float = 0.01,
    min_classes: int = 10,
) -> Iterator[Evidence]:
    """Finds sets where the mean area of a class correlates with its number of objects.

    Args:
        statistics: of the images
        min_correlation: the minimum rank correlation (Spearman's) of the two, whether
            positive or negative
        max_p_value: the maximum p-value of that correlation
        min_classes: how many classes with objects a set needs to be judged
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
    explanation="Class names that differ only in case, spaces, punctuation or a plural "
    "s are probably one class, which competes with itself.",
    advice="Merge the classes under one name (in FiftyOne: map_labels).",
    ignore="If the names are different classes on purpose.",
    example=Example(
        "There are the classes `traffic light` and `Traffic_Lights`.",
        shown=[["traffic light"], ["Traffic_Lights"]],
    ),
    counterexample=Example(
        "There are the classes `traffic light` and `traffic sign`.",
        shown=[["traffic light"], ["traffic sign"]],
    ),
)
def similar_class_names(statistics: Statistics) -> Iterator[Evidence]:
    """Finds names that differ only in case, spaces, signs or a plural s."""
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
    "that appears with them, which undoes part of the effect.",
    advice="Lower the threshold or the exponent of resampling, or weight the rare "
    "classes in the loss instead.",
    ignore="If you do not resample.",
    reasons={
        "min_gain": (
            "A judgment: half as many images more is what resampling wants to do for "
            "rare classes."
        ),
        "threshold": "The threshold that simulate_resampling proposes for the set.",
    },
    example=Example(
        "24 of the 30 images of people show one of eight rare classes, which would be "
        "repeated more than twice.",
        shown=[[f"rare {n // 3}", "person"] for n in range(24)]
        + [["person"]] * 6
        + [[f"other {n // 18}"] for n in range(162)],
    ),
    counterexample=Example(
        "The images of the rare classes show nothing else.",
        shown=[[f"rare {n // 3}"] for n in range(24)]
        + [["person"]] * 30
        + [[f"other {n // 18}"] for n in range(162)],
    ),
    needs_whole=True,
)
def resampling_side_effect(
    statistics: Statistics, *, min_gain: float = 1.5, threshold: float | None = None
) -> Iterator[Evidence]:
    """Finds classes that resampling raises though they are not rare.

    Args:
        statistics: of the images
        min_gain: how many times the images of such a class are repeated, at least
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
        f"{and_more(names)}, in an epoch {effect.epoch_growth:.2g}x as long.",
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
    explanation="A folder has no class in common with the others, so the network "
    "learns that objects of the others' classes in its images are background.",
    advice="Check whether images of one folder show classes of another; if so, label "
    "them there or leave the folder's unlabeled classes out of its loss.",
    ignore="If the folders are about different things on purpose.",
    reasons={
        "min_images": "Fewer than 10 images may lack any class by chance.",
    },
    example=Example(
        "All images of faces/ have only faces, those of plates/ only plates.",
        shown=[["face"]] * 20 + [["plate"]] * 20,
        filepaths=[f"{kind}s/{n}.jpg" for kind in ("face", "plate") for n in range(20)],
    ),
    counterexample=Example(
        "Images of site_a/ and site_b/ have cars and people.",
        shown=[["car", "person"]] * 40,
        filepaths=[f"site_{site}/{n}.jpg" for site in "ab" for n in range(20)],
    ),
)
def source_of_other_classes(
    statistics: Statistics, *, min_images: int = 10
) -> Iterator[Evidence]:
    """Finds folders whose classes occur nowhere else.

    Args:
        statistics: of the images
        min_images: how many images a folder needs to be judged
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
    explanation="The whole set has no objects, so nothing can be learned from it, and "
    "the other rules have nothing to check.",
    advice="Check whether this is the right file, label field or view.",
    ignore="Never: there is nothing to learn from.",
    example=Example("None of 3 images has an object.", shown=[[], [], []]),
    counterexample=Example("One of 3 images has an object.", shown=[["cat"], [], []]),
)
def no_objects(statistics: Statistics) -> Iterator[Evidence]:
    """Finds sets without objects, or without images."""
    labeled = statistics.labeled
    if len(labeled.objects):
        return
    message, advice = "There are no images.", None
    crowds = int(labeled.crowds.sum())
    if len(labeled):
        message = f"None of {len(labeled):,} images has an object."
    if len(labeled) == 1:
        message = "The only image has no object."
    if crowds:
        message = (
            f"{message[:-1]}: {crowds:,} {'label is' if crowds == 1 else 'labels are'} "
            "marked as crowd regions (`iscrowd` 1), which training and evaluation "
            "ignore."
        )
        advice = "Set `iscrowd` to 0 for labels of single objects."
    yield Evidence(
        message,
        images=np.arange(len(labeled)),
        figures={"images": len(labeled), "crowds": crowds},
        advice=advice,
    )


def _plain(name: str) -> str:
    folded = _SEPARATORS.sub("", unicodedata.normalize("NFKC", name).casefold())
    is_plural = folded.endswith("s") and not folded.endswith("ss")
    # Names made of signs only differ in their signs
    return (folded[:-1] if is_plural and len(folded) > 1 else folded) or name
