"""Where the numbers of an evaluation come from, and what they can be compared with."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from fiftyone_coco_audit.display import TextSummary
from fiftyone_coco_audit.evaluation.metrics import Evaluation
from fiftyone_coco_audit.evaluation.settings import Settings
from fiftyone_coco_audit.wording import counted, listed, quoted


@dataclass(frozen=True)
class Content:
    """How much was evaluated.

    Attributes:
        images: the number of images
        unlabeled: how many of them have no ground truth
        objects: the number of ground-truth objects, crowd regions aside
        crowds: the number of crowd regions
        predictions: the number of predictions
        classes: the number of classes that have objects
    """

    images: int
    unlabeled: int
    objects: int
    crowds: int
    predictions: int
    classes: int


@dataclass(frozen=True)
class SetAside:
    """Records of a kind that the import left out, by the code of the rule."""

    kind: str
    code: str
    records: int


# What published APs are about: images, labels with crowd regions, and classes
_VAL2017 = 5_000, 36_781, 80
_PERSONS_OF_VAL2017 = 5_000, 11_004, 1

_WHAT = {"bbox": "boxes", "segm": "masks", "keypoints": "keypoints"}


def content_of(evaluation: Evaluation) -> Content:
    """How much was evaluated.

    Args:
        evaluation: an evaluation of columns
    """
    truth = evaluation.truth
    crowds = int(truth.crowd.sum())
    return Content(
        images=evaluation.num_images,
        unlabeled=evaluation.num_images - len(np.unique(truth.image)),
        objects=len(truth) - crowds,
        crowds=crowds,
        predictions=len(evaluation.predictions),
        classes=len(np.unique(truth.category[~truth.crowd])),
    )


@dataclass(frozen=True, repr=False)
class Provenance(TextSummary):
    """What was evaluated, how, when, and by what.

    Attributes:
        dataset: the name of the dataset
        view: whether a view of it was evaluated
        pred_field: the field of the predictions
        gt_field: the field of the ground truth
        content: how much was evaluated
        settings: the parameters
        set_aside: what the import left out of both fields
        id_0: ids of the labels with annotation id 0, which pycocotools cannot match;
            None if labels share an id
        versions: the versions of the packages, and of pycocotools, whose metrics these
            are
        evaluated_at: the time in UTC, as ISO 8601
    """

    dataset: str
    view: bool
    pred_field: str
    gt_field: str
    content: Content
    settings: Settings
    set_aside: tuple[SetAside, ...]
    id_0: tuple[str, ...] | None
    versions: dict[str, str]
    evaluated_at: str

    def to_dict(self) -> dict[str, Any]:
        """The values as JSON has them, with ``comparable`` and ``reasons``."""
        said = {"comparable": self.comparable, "reasons": self.reasons}
        values: dict[str, Any] = json.loads(json.dumps({**asdict(self), **said}))
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Provenance:
        """What :meth:`to_dict` made a dict of."""
        own = {k: v for k, v in values.items() if k not in ("comparable", "reasons")}
        id_0 = own["id_0"]
        return cls(
            **{
                **own,
                "content": Content(**own["content"]),
                "settings": Settings.from_dict(own["settings"]),
                "set_aside": tuple(SetAside(**some) for some in own["set_aside"]),
                "id_0": None if id_0 is None else tuple(id_0),
                "versions": dict(own["versions"]),
            }
        )

    def of(self, content: Content, labels: Collection[str]) -> Provenance:
        """The provenance of the numbers of some of the images.

        Args:
            content: how much they are
            labels: the ids of their ground-truth labels
        """
        id_0 = self.id_0
        if id_0:
            id_0 = tuple(label for label in id_0 if label in labels)
        return replace(self, view=True, content=content, id_0=id_0)

    @property
    def comparable(self) -> bool:
        """Whether AP can be compared with published ones on COCO val2017."""
        return not self.reasons

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why AP cannot be compared with published ones on COCO val2017."""
        return (*self._of_settings(), *self._of_data())

    def _of_settings(self) -> Iterator[str]:
        own = self.settings
        standard = Settings.parse(iou_type=own.iou_type)
        if own.iou_thresholds != standard.iou_thresholds:
            given = listed([f"{iou:g}" for iou in own.iou_thresholds], most=10)
            yield f"the {own.overlap_name} thresholds are {given}, not .50:.05:.95"
        if own.max_detections[-1] != standard.max_detections[-1]:
            most = counted(own.max_detections[-1], "prediction")
            limit = standard.max_detections[-1]
            yield f"AP is that of {most} per image and class, not {limit}"
        ranges, known = dict(own.area_ranges), dict(standard.area_ranges)
        if ranges["all"] != known["all"]:
            yield "the area range `all` leaves objects out"
        elif ranges != known:
            yield "APs, APm and APl are not those of COCO's area ranges"

        if own.sigmas != standard.sigmas:
            yield "the sigmas are not COCO's"

    def _of_data(self) -> Iterator[str]:
        for kind in dict.fromkeys(some.kind for some in self.set_aside):
            of_kind = [some for some in self.set_aside if some.kind == kind]
            count = counted(sum(some.records for some in of_kind), kind)
            codes = listed([some.code for some in of_kind])
            yield f"the import set aside {count} ({codes})"
        if self.view:
            yield "a view was evaluated"
        if self.id_0 is None:
            yield "objects share annotation ids, which pycocotools mixes up"
        elif self.id_0:
            yield (
                "pycocotools cannot match the "
                f"{counted(len(self.id_0), 'object')} with annotation id 0"
            )
        content = self.content
        of_persons = self.settings.iou_type == "keypoints"
        published = _PERSONS_OF_VAL2017 if of_persons else _VAL2017
        labels = content.objects + content.crowds
        if (content.images, labels, content.classes) != published:
            images, labels, classes = published
            yield (
                f"COCO val2017 has {counted(images, 'image')} with "
                f"{counted(labels, 'label')} of {counted(classes, 'class')}"
            )

    def sentences(self) -> list[str]:
        """What was evaluated and how, and whether it compares with COCO's results."""
        content, settings = self.content, self.settings
        what = _WHAT[settings.iou_type]
        some = "a view of " if self.view else ""
        unlabeled = f", {content.unlabeled:,} of them without labels"
        versions = ", ".join(f"{name} {of}" for name, of in self.versions.items())
        return [
            f"Evaluated: {what} of {quoted(self.pred_field)} against "
            f"{quoted(self.gt_field)} in {some}{quoted(self.dataset)}, "
            f"{counted(content.images, 'image')}{unlabeled * bool(content.unlabeled)}, "
            f"{counted(content.classes, 'class')} with objects; "
            f"{self.evaluated_at[:16].replace('T', ' ')} UTC, {versions}.",
            "Comparable with published results on COCO val2017."
            if self.comparable
            else "Not comparable with published results on COCO val2017: "
            f"{'; '.join(self.reasons)}.",
        ]
