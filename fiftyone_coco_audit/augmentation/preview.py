"""Previews of one sample after a pipeline; nothing is written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.augmentation.damage import DamageTable, measure
from fiftyone_coco_audit.augmentation.drawing import (
    Color,
    Picture,
    picture_after,
    picture_before,
)
from fiftyone_coco_audit.augmentation.keypoints import (
    SampleKeypoints,
    read_keypoints,
)
from fiftyone_coco_audit.augmentation.pipelines import Pipeline
from fiftyone_coco_audit.augmentation.reading import read_image
from fiftyone_coco_audit.augmentation.targets import (
    AugmentationTarget,
    AugmentedSample,
    draw_name,
    make_target,
    run,
)
from fiftyone_coco_audit.columns import read_columns, require_detections
from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.fiftyone_internals import root_dataset
from fiftyone_coco_audit.masks import has_masks
from fiftyone_coco_audit.reading import class_names, read_objects
from fiftyone_coco_audit.sidebar import shown_paths
from fiftyone_coco_audit.wording import counted, listed, percent

if TYPE_CHECKING:
    import fiftyone as fo

_ATTRIBUTES: dict[str, type] = {"area": float, "iscrowd": float, "rle": str}
# The kinds of damage listed beside kept and lost objects, in this order
_TOLD = {
    "unlabeled": "unlabeled",
    "loose": "loose",
    "multiplied": "with several boxes",
    "empty": "empty",
    "truncated": "cut",
    "occluded": "covered",
    "shrunk": "too small",
    "swapped": "swapped",
    "degenerate": "too thin",
}


@dataclass(frozen=True, repr=False)
class Subject(ShortRepr):
    """A sample that is previewed.

    Attributes:
        sample_id: the id of the sample
        filepath: the path of its image, whose end decides on what is drawn
        target: the sample, ready to go through pipelines
        names: the name of the class of each object
        colors: RGB of each object
        label_ids: the id of the label of each object
        crowd: ``(N,)`` whether each object is a crowd region
        keypoints: its keypoints, of all fields
        notes: sentences on how the data was understood
    """

    sample_id: str
    filepath: str
    target: AugmentationTarget
    names: Sequence[str]
    colors: Sequence[Color]
    label_ids: Sequence[str]
    crowd: NDArray[np.bool_]
    keypoints: SampleKeypoints = field(default_factory=SampleKeypoints)
    notes: tuple[str, ...] = ()

    def _about(self) -> str:
        return f"of {self}"

    def __str__(self) -> str:
        """Such as ``"street.jpg (640 x 480, 9 objects)"``."""
        height, width = self.target.image.shape[:2]
        objects = counted(len(self.target), "object")
        return f"{os.path.basename(self.filepath)} ({width} x {height}, {objects})"


@dataclass(frozen=True, repr=False)
class PreviewImage(ShortRepr):
    """A sample after a pipeline, or after some of its transforms.

    Attributes:
        title: what it is, such as ``"Draw 1"`` or ``"2. Rotate"``
        drawn: what became of the sample
        table: the damage to its labels
        changed: whether it is other than the preview before
    """

    title: str
    drawn: AugmentedSample
    table: DamageTable
    changed: bool = True

    def _about(self) -> str:
        return f"{self.title!r}: {self.figures()}"

    def __str__(self) -> str:
        return f"{self.title}: {self.figures()}"

    @property
    def lost(self) -> NDArray[np.bool_]:
        """``(N,)`` which objects have no box left."""
        return self.table.judged & (self.table.boxes == 0)

    def figures(self) -> str:
        """What became of the labels, such as ``"7 of 9 kept, 2 lost, 1 loose"``."""
        if not self.table.judged.any():
            return "no objects"
        kept = int((self.table.judged & (self.table.boxes > 0)).sum())
        told = [f"{kept} of {int(self.table.judged.sum())} kept"]
        told += [f"{number:,} {what}" for what, number in counts([self]).items()]
        return ", ".join(told)

    def flags(self) -> list[str]:
        """What is wrong with the boxes of each object; empty if nothing is."""
        table, kinds = self.table, self.table.kinds()
        told = {
            "dropped": ["no box"] * len(table),
            "loose": [f"loose {value:.1f}×" for value in table.looseness],
            "empty": ["empty"] * len(table),
            "multiplied": [f"{boxes} boxes" for boxes in table.boxes],
            "truncated": [f"cut {percent(share)}" for share in table.truncated],
            "occluded": [f"covered {percent(share)}" for share in table.occluded],
            "swapped": ["swapped"] * len(table),
            "degenerate": ["too thin"] * len(table),
        }
        return [
            ", ".join(text[row] for kind, text in told.items() if kinds[kind][row])
            for row in range(len(table))
        ]


def preview_draws(
    pipeline: Pipeline, subject: Subject, *, seed: int, num_draws: int
) -> list[PreviewImage]:
    """Sends a sample through a pipeline several times.

    Args:
        pipeline: the pipeline
        subject: the sample
        seed: of the whole run, as for
            :func:`fiftyone_coco_audit.augmentation.run.audit_augmentation`, which
            draws the same
        num_draws: how often

    Returns:
        a preview for each draw

    Raises:
        PipelineError: if a transform fails
    """
    return [
        _preview(f"Draw {draw + 1}", pipeline, subject, seed, draw)
        for draw in range(num_draws)
    ]


def preview_steps(
    pipeline: Pipeline, subject: Subject, *, seed: int, draw: int
) -> list[PreviewImage]:
    """Sends a sample through a pipeline one transform at a time.

    Args:
        pipeline: the pipeline
        subject: the sample
        seed: of the whole run
        draw: the number of the draw, from 0

    Returns:
        a preview after each transform; the last is that of :func:`preview_draws`

    Raises:
        PipelineError: if a transform fails
    """
    previews: list[PreviewImage] = []
    before = subject.target.image
    for count, step in enumerate(pipeline.steps, 1):
        preview = _preview(str(step), pipeline.prefix(count), subject, seed, draw)
        image = preview.drawn.image
        same = image.shape == before.shape and np.array_equal(image, before)
        previews.append(replace(preview, changed=not same))
        before = image
    return previews


def _preview(
    title: str, pipeline: Pipeline, subject: Subject, seed: int, draw: int
) -> PreviewImage:
    target = subject.target
    name = draw_name(subject.filepath)
    drawn = run(pipeline, target, seed=seed, sample=name, draw=draw)
    return PreviewImage(title, drawn, measure(target, drawn, draw=draw))


def counts(previews: Sequence[PreviewImage]) -> dict[str, int]:
    """The kinds of damage in some images, and how often each occurs."""
    found = {"lost": sum(int(preview.lost.sum()) for preview in previews)}
    kinds = [preview.table.kinds() for preview in previews]
    for kind, what in _TOLD.items():
        found[what] = sum(int(one[kind].sum()) for one in kinds)
    return {what: number for what, number in found.items() if number}


def summary(previews: Sequence[PreviewImage]) -> str:
    """What became of the labels in some draws, as one sentence."""
    total = sum(int(preview.table.judged.sum()) for preview in previews)
    draws = counted(len(previews), "draw")
    if not total:
        return "There are no labels for a pipeline to harm."
    found = counts(previews)
    if not found:
        return f"No label is harmed in {draws}."
    told = [f"{percent(number / total)} {what}" for what, number in found.items()]
    objects = counted(int(previews[0].table.judged.sum()), "object")
    return f"{objects} in {draws}: {listed(told, len(told))}."


def fates(previews: Sequence[PreviewImage]) -> list[str]:
    """What to say about each object that loses its box in a draw, if anything."""
    lost = np.sum([preview.lost for preview in previews], axis=0)
    if len(previews) == 1:
        return ["lost" if number else "" for number in lost]
    return [f"lost in {number} of {len(previews)}" if number else "" for number in lost]


def fates_by_step(previews: Sequence[PreviewImage]) -> list[str]:
    """The step at which each object finally loses its box; empty if it does not."""
    if not previews:
        return []
    told = [""] * len(previews[-1].table)
    for row in np.flatnonzero(previews[-1].lost):
        kept = [n for n, preview in enumerate(previews) if not preview.lost[row]]
        told[row] = f"lost at {previews[kept[-1] + 1 if kept else 0].title}"
    return told


def pictures(
    subject: Subject,
    previews: Sequence[PreviewImage],
    lost: Sequence[str],
    *,
    width: int = 480,
    zoom: float = 1.0,
) -> list[Picture]:
    """A picture of the original sample, and one of each draw or step.

    Args:
        subject: the sample
        previews: what became of it
        lost: what to say of each object that gets lost, see :func:`fates`
        width: of the pictures, in pixels
        zoom: how many of them there are to a pixel of the page
    """
    target, names, colors = subject.target, subject.names, subject.colors
    size: dict[str, Any] = {"width": width, "zoom": zoom}
    return [
        picture_before(target, names, colors, lost=lost, **size),
        *(
            picture_after(
                target, preview.drawn, names, colors, flags=preview.flags(), **size
            )
            for preview in previews
        ),
    ]


def read_subject(
    samples: fo.SampleCollection,
    sample_id: str,
    label_field: str = "ground_truth",
    *,
    crowds: bool = False,
) -> Subject:
    """Reads a sample and its image.

    Args:
        samples: the dataset, or a view of whole images, whose labels are read
        sample_id: the id of the sample
        label_field: the field of the ground truth
        crowds: whether crowd regions are among the objects

    Returns:
        a :class:`Subject`

    Raises:
        CocoAuditError: if the field holds no detections, or the image cannot be read
    """
    require_detections(samples, label_field)
    dataset = root_dataset(samples)
    # A view can hold a sample more than once
    view = samples.select(sample_id).limit(1)
    filepath = next(iter(view.values("filepath")), None)
    if filepath is None:
        raise CocoAuditError("This sample is no longer in the dataset: choose another")
    columns = read_columns(view, {label_field: _ATTRIBUTES}, progress=False)
    try:
        image = read_image(filepath, columns.size[0].tolist())
    except CocoAuditError as error:
        raise CocoAuditError(f"{filepath}: {error}") from error
    size = np.array([[image.shape[1], image.shape[0]]], np.float64)
    # An unknown size is not written either
    columns = replace(columns, size=size)
    notes: list[str] = []
    labels = columns.labels[label_field]
    classes = class_names(dataset, label_field, labels)
    masks = has_masks(view, label_field)
    found = read_objects(view, label_field, columns, classes, notes, masks=masks)
    rows = np.flatnonzero(~found.objects.crowd | crowds)
    objects = found.objects.rows(rows)
    if not masks and len(objects):
        notes.append(
            "The labels have no masks, so their boxes stand for the objects: boxes "
            "marked as loose may be less loose."
        )
    keypoints = read_keypoints(view, size[0])
    target = make_target(
        image,
        objects.box,
        objects.masks,
        category=objects.category,
        keypoints=keypoints.points[keypoints.known],
    )
    names = [classes[category] for category in objects.category.tolist()]
    return Subject(
        sample_id=sample_id,
        filepath=filepath,
        target=target,
        names=names,
        colors=label_colors(dataset, label_field, names, classes),
        label_ids=found.ids[rows].tolist(),
        crowd=objects.crowd,
        keypoints=keypoints,
        notes=(*notes, *target.notes),
    )


def label_colors(
    dataset: fo.Dataset,
    label_field: str,
    names: Sequence[str],
    classes: Sequence[str],
) -> list[Color]:
    """The colors in which the App shows labels.

    These are what the dataset's color scheme says. Where it says nothing, the App
    takes colors from its pool, one after the other, for the fields as they stand in
    its sidebar. Classes get theirs in the order in which it comes across them, which
    cannot be known: here it is that of the classes.

    Args:
        dataset: the dataset
        label_field: the field of the labels
        names: the name of the class of each label
        classes: the names of all classes

    Returns:
        RGB of each label
    """
    import fiftyone as fo

    scheme = dataset.app_config.color_scheme or fo.ColorScheme()
    pool = [rgb(color) for color in scheme.color_pool or fo.app_config.color_pool]
    own: dict[str, Any] = next(
        (one for one in scheme.fields or () if one["path"] == label_field), {}
    )
    color_by = scheme.color_by or fo.app_config.color_by
    if color_by == "instance":
        return [pool[place % len(pool)] for place in range(len(names))]
    if color_by == "value" and (own.get("colorByAttribute") or "label") == "label":
        colors = {name: pool[n % len(pool)] for n, name in enumerate(classes)}
        for one in own.get("valueColors") or ():
            colors[one["value"]] = rgb(one["color"])
        return [colors[name] for name in names]
    paths = shown_paths(dataset)
    place = paths.index(label_field) if label_field in paths else 0
    color = own.get("fieldColor")
    return [rgb(color) if color else pool[place % len(pool)]] * len(names)


def rgb(color: str) -> Color:
    """A color by its name, or as ``#rrggbb``."""
    from PIL import ImageColor

    red, green, blue = ImageColor.getrgb(color)[:3]
    return red, green, blue
