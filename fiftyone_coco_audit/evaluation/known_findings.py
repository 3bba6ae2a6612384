"""What the dataset and its audit know of the objects of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.evaluation.improvements import (
    SMALL,
    UNREACHABLE,
    HardObjects,
    Improvements,
)
from fiftyone_coco_audit.evaluation.slicing import field_values
from fiftyone_coco_audit.evaluation.stored import EvaluatedRows
from fiftyone_coco_audit.findings import Evidence, Finding
from fiftyone_coco_audit.statistics.anchor_presets import DEFAULT_ANCHORS
from fiftyone_coco_audit.statistics.anchor_sets import STATUSES
from fiftyone_coco_audit.statistics.anchors import SIZE_EDGES, SIZE_GROUPS
from fiftyone_coco_audit.statistics.inputs import read_labeled_images
from fiftyone_coco_audit.views import view_of_labels
from fiftyone_coco_audit.wording import counted, listed, percent

if TYPE_CHECKING:
    import fiftyone as fo

#: The rule of boxes that are larger than their masks
LOOSE_BOXES = "CA303"


class _Source(NamedTuple):
    """Where it is known which objects are hard."""

    attribute: str
    values: tuple[str, ...]
    words: str
    codes: tuple[str, ...]
    words_of_audit: str


_SOURCES = {
    SMALL: _Source(
        "input_size_class",
        SIZE_GROUPS[:2],
        f"under {SIZE_EDGES[1]} px at the input of the network",
        # Their thresholds can be changed
        ("CA501", "CA503"),
        "small at the input of the network",
    ),
    UNREACHABLE: _Source(
        "anchor_status",
        STATUSES[-1:],
        "reached by no anchor",
        ("CA510", "CA511"),
        "reached by no anchor",
    ),
}

# So many of its labels must be of another finding, and so much more than of all labels
_MOSTLY, _LIFT = 0.5, 1.5


def hard_objects(
    dataset: fo.Dataset,
    gt_field: str,
    rows: EvaluatedRows,
    findings: Sequence[Finding] | None,
) -> dict[str, HardObjects]:
    """The objects that are hard to find, by kind.

    Args:
        dataset: the dataset
        gt_field: the field of the objects
        rows: the rows of the evaluation
        findings: those of the audit of the dataset, None without one

    Returns:
        what the attributes of :func:`.compute_statistics` say, or else the audit; a
        kind that neither knows of is missing, as is what the default anchors do not
        reach: nobody chose these
    """
    found = {}
    for kind, source in _SOURCES.items():
        path = f"{gt_field}.detections.{source.attribute}"
        values = None
        if dataset.has_field(path):
            ids = f"{gt_field}.detections.id"
            values = field_values(dataset, ids, path, rows.truth_ids)
        if values is not None and any(value is not None for value in values):
            if _is_of_default_anchors(dataset, path):
                continue
            objects = np.isin(values.astype(str), source.values)
            words = f"{source.words} (`{source.attribute}`)"
        elif findings is not None:
            of_these = [f for f in findings if f.code in source.codes]
            # As long as nobody chose anchors, what they do not reach is a note
            if kind == UNREACHABLE and any(f.severity == "note" for f in of_these):
                continue
            objects = np.zeros(len(rows.truth_ids), bool)
            for finding in of_these:
                objects |= _labels_of(finding, gt_field, rows)
            codes = sorted({finding.code for finding in of_these})
            words = f"{source.words_of_audit} ({listed(codes)})"
        else:
            continue
        found[kind] = HardObjects(objects, words)
    return found


def _is_of_default_anchors(dataset: fo.Dataset, path: str) -> bool:
    """Whether an attribute says what the default anchors make of objects."""
    return f"What {DEFAULT_ANCHORS.name} make" in (
        dataset.get_field(path).description or ""
    )


def tight_boxes(
    dataset: fo.Dataset,
    gt_field: str,
    rows: EvaluatedRows,
    findings: Sequence[Finding] | None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The boxes around the masks of labels whose boxes the audit finds to be larger.

    Args:
        dataset: the dataset
        gt_field: the field of the objects
        rows: the rows of the evaluation
        findings: those of the audit of the dataset, None without one

    Returns:
        ``(B,)`` rows of objects, and ``(B, 4)`` boxes
    """
    ids = {
        one
        for finding in findings or ()
        if finding.code == LOOSE_BOXES and finding.label_field == gt_field
        for one in finding.label_ids
    }
    nothing = np.zeros(0, np.int64), np.zeros((0, 4))
    if not ids:
        return nothing
    labeled = read_labeled_images(
        view_of_labels(dataset, gt_field, sorted(ids)), gt_field, masks=True
    )
    tight = labeled.images.tight_box
    if tight is None:
        return nothing
    known = np.flatnonzero(~np.isnan(tight).any(axis=1))
    place = {one: row for row, one in enumerate(rows.truth_ids.tolist())}
    pairs = [
        (place[one], row)
        for row, one in zip(known.tolist(), labeled.label_ids(known), strict=True)
        if one in place
    ]
    if not pairs:
        return nothing
    objects, boxes = np.array(sorted(pairs), np.int64).T
    return objects, tight[boxes]


def _labels_of(
    finding: Finding, gt_field: str, rows: EvaluatedRows
) -> NDArray[np.bool_]:
    """``(M,)`` which objects a finding about labels of the field is about."""
    if finding.label_field != gt_field or not finding.label_ids:
        return np.zeros(len(rows.truth_ids), bool)
    return np.isin(rows.truth_ids.astype(str), finding.label_ids)


@dataclass(frozen=True, repr=False)
class KnownFindings(ShortRepr):
    """The findings about the dataset, by the rows of an evaluation.

    Args:
        improvements: the evaluation
        findings: those of the audit of the dataset
        gt_field: the field of the objects
    """

    improvements: Improvements
    findings: Sequence[Finding]
    gt_field: str

    def _about(self) -> str:
        return f"of {counted(len(self.findings), 'finding')}"

    def related(self, evidence: Evidence) -> list[tuple[str, str]]:
        """The findings that are about most of the same objects, or of their images.

        Args:
            evidence: what was found in the results

        Returns:
            the code of each, and a sentence
        """
        said = []
        for finding in self.findings:
            if finding.severity == "note":
                continue
            if finding.classes and evidence.classes:
                if not set(finding.classes) & set(evidence.classes):
                    continue
            share, usual, what = self._shares(evidence, finding)
            if share >= _MOSTLY and share >= _LIFT * usual:
                part = "All" if share == 1 else percent(share)
                sentence = (
                    f"{part} of the {what} are also in {finding.code} ({finding.name})."
                )
                said.append((finding.code, sentence))
        return list(dict(said).items())

    def _shares(self, evidence: Evidence, finding: Finding) -> tuple[float, float, str]:
        """The share of a finding among what was found, and among everything."""
        rows, evaluation = self.improvements.rows, self.improvements.evaluation
        objects, predictions = evidence.objects, evidence.predictions
        if objects is not None and len(objects) and finding.label_ids:
            there = _labels_of(finding, self.gt_field, rows)
            return there[objects].mean(), there.mean(), "objects"
        if finding.sample_ids:
            samples = rows.sample_ids[rows.sample].astype(str)
            there = np.isin(samples, finding.sample_ids)
            images = evidence.images
            if objects is not None and len(objects):
                images = evaluation.truth.image[objects]
            elif predictions is not None:
                images = evaluation.predictions.image[predictions]
            if images is not None and len(images):
                return there[images].mean(), there.mean(), "images"
        return 0.0, 0.0, ""
