"""The metrics of an evaluation as frames and text, of all images or of some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fiftyone_coco_audit.columns import require_samples
from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.errors import CocoAuditError, check_count
from fiftyone_coco_audit.escaping import printable
from fiftyone_coco_audit.evaluation.analysis.calibration import Calibration, calibration
from fiftyone_coco_audit.evaluation.analysis.confusion import Confusion, confusion
from fiftyone_coco_audit.evaluation.analysis.conventions import Conventions, conventions
from fiftyone_coco_audit.evaluation.analysis.drivers import Drivers
from fiftyone_coco_audit.evaluation.analysis.error_costs import ErrorCosts, error_costs
from fiftyone_coco_audit.evaluation.analysis.influence import image_influence
from fiftyone_coco_audit.evaluation.analysis.intervals import (
    Intervals,
    metric_intervals,
)
from fiftyone_coco_audit.evaluation.analysis.label_issues import (
    KINDS,
    LabelIssues,
    label_issues,
)
from fiftyone_coco_audit.evaluation.analysis.olrp import OptimalLRP, optimal_lrp
from fiftyone_coco_audit.evaluation.analysis.thresholds import Thresholds, thresholds
from fiftyone_coco_audit.evaluation.failure_drivers import Images, failure_drivers
from fiftyone_coco_audit.evaluation.matching import UNMATCHED
from fiftyone_coco_audit.evaluation.metrics import Evaluation, coco_metrics
from fiftyone_coco_audit.evaluation.provenance import Provenance, content_of
from fiftyone_coco_audit.evaluation.slicing import Source, slice_frame
from fiftyone_coco_audit.evaluation.stored import EvaluatedRows
from fiftyone_coco_audit.evaluation.subsets import images_only
from fiftyone_coco_audit.progress import Progress
from fiftyone_coco_audit.statistics.anchor_presets import DEFAULT_ANCHORS
from fiftyone_coco_audit.statistics.anchor_sets import AnchorSet
from fiftyone_coco_audit.statistics.resizing import DEFAULT_RESIZE, ResizePolicy
from fiftyone_coco_audit.views import all_images, view_of_labels, view_of_pairs
from fiftyone_coco_audit.wording import counted, counted_objects

if TYPE_CHECKING:
    import fiftyone as fo


class EvaluationTables(ShortRepr):
    """The metrics of an evaluation: overall, of each class, and of each image."""

    def __init__(
        self,
        evaluation: Evaluation,
        rows: EvaluatedRows,
        images: pd.DataFrame,
        source: Source,
        provenance: Provenance,
        notes: tuple[str, ...],
    ) -> None:
        """Holds the metrics.

        Args:
            evaluation: the evaluation in columns
            rows: the samples and labels of its rows
            images: the metrics of each image
            source: the dataset and fields that were evaluated
            provenance: what was evaluated, how and when
            notes: sentences on what the numbers leave out and depend on
        """
        self._source = source
        self._evaluation = evaluation
        self._rows = rows
        self._images = images
        self._provenance = provenance
        self._notes = notes

    @property
    def evaluation(self) -> Evaluation:
        """The evaluation in columns, with the matches."""
        return self._evaluation

    @property
    def rows(self) -> EvaluatedRows:
        """The samples and labels that the rows of the evaluation stand for."""
        return self._rows

    @property
    def source(self) -> Source:
        """The dataset and fields of the evaluation."""
        return self._source

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what the numbers leave out and depend on."""
        return self._notes

    @property
    def provenance(self) -> Provenance:
        """What was evaluated, how, when and by what, and what AP compares with."""
        return self._provenance

    def summary(self) -> dict[str, float]:
        """The COCO numbers in pycocotools' order: 12, or 10 of keypoints.

        Returns:
            a dict of AP, AP50, AP75, APs, APm, APl, AR1, AR10, AR100, ARs, ARm
            and ARl, or of AP, AP50, AP75, APm, APl, AR, AR50, AR75, ARm and ARl, in
            ``[0, 1]``; -1 where there is nothing to be found
        """
        return self._evaluation.summary()

    def per_class(self) -> pd.DataFrame:
        """The metrics of each class.

        Returns:
            a frame by class, all of the dataset's: the number of objects
            (crowds aside) and of predictions, the COCO numbers, and the true
            positives, false positives and false negatives at the lowest IoU
            threshold, whatever their score; NaN where a class has no objects
        """
        evaluation = self._evaluation
        rows = evaluation.matches.predictions
        true_positive, counted = evaluation.outcomes()

        def count(category: np.ndarray) -> np.ndarray:
            return np.bincount(category, minlength=evaluation.num_categories)

        category = evaluation.predictions.category[rows]
        objects = count(evaluation.truth.category[~evaluation.ignored[0]])
        tp = count(category[true_positive[0]])
        return pd.DataFrame(
            {
                "objects": objects,
                "predictions": count(evaluation.predictions.category),
                **evaluation.by_class(),
                "tp": tp,
                "fp": count(category[counted[0]]) - tp,
                "fn": objects - tp,
            },
            index=pd.Index(self._rows.classes, name="class", dtype=object),
        )

    def per_image(self) -> pd.DataFrame:
        """The metrics of each image.

        Returns:
            a frame by sample id, in the order of the samples: the path and COCO
            id of the image, and the metrics that are on the samples, by their
            names less the evaluation key
        """
        return self._images

    def of(self, samples: fo.SampleCollection) -> EvaluationTables:
        """The metrics of some of the images, as if only these had been evaluated.

        Nothing is matched again. Which labels a view shows does not matter: all labels
        of its images count, as they were evaluated.

        Args:
            samples: a view of whole images of the dataset that was evaluated

        Returns:
            the metrics of its images, with a note on how many they are

        Raises:
            CocoAuditError: if none of its images were evaluated
        """
        require_samples(samples)
        chosen = samples.values("id")
        keep = np.isin(self._rows.sample_ids.astype(str), np.array(chosen, str))
        if not keep.any():
            raise CocoAuditError(
                f"None of the {counted(len(chosen), 'sample')} of the view were "
                "evaluated: choose samples that results.per_image() lists"
            )
        images = np.zeros(self._evaluation.num_images, bool)
        images[self._rows.image[keep]] = True
        notes = []
        if len(chosen) > keep.sum():
            others = counted(len(chosen) - int(keep.sum()), "sample")
            notes.append(f"The view has {others} more, not evaluated.")
        if not keep.all():
            notes.append(
                f"Only {int(keep.sum())} of {counted(len(keep), 'image')} count here; "
                "the notes below are about all."
            )
        evaluation = images_only(self._evaluation, images)
        rows = self._rows.of_images(self._evaluation, images)
        return EvaluationTables(
            evaluation,
            rows,
            self._images[keep],
            self._source,
            self._provenance.of(content_of(evaluation), rows.truth_ids.tolist()),
            (*notes, *self.notes),
        )

    def by(
        self,
        field: str,
        bins: int | Sequence[float] | None = None,
        *,
        num_draws: int = 100,
    ) -> pd.DataFrame:
        """The metrics of slices of the objects or images.

        A field of samples divides the images, each slice evaluated as if only its
        images had been. An attribute of ground-truth labels divides the objects: those
        of other slices are ignored, as COCO does with areas. Where predictions have the
        attribute too, those that match nothing are false positives in their own slice
        alone; else in every slice, which lowers each AP.

        Args:
            field: a field of samples, such as ``"metadata.width"``, or an attribute of
                ground-truth labels, such as ``"input_size_class"`` or
                ``"ground_truth.detections.occluded"``
            bins: the edges of the slices of numbers, or how many; by default, 4 slices
                of about as many values each. Other values are a slice each
            num_draws: how many times images are drawn for the interval of AP; 0 for
                none

        Returns:
            a frame by slice: the number of images and objects, AP with the bounds of
            its 95% interval, AP_N, AP50, AR, whether all false positives count, and
            whether the slice is thin: it has fewer than 30 objects. Objects or images
            without a value, or outside all bins, are the last row, ``(none)``. AP_N
            normalizes precision, as Hoiem et al. do, to equally many objects in all
            slices and classes, so that rare ones compare

        Raises:
            CocoAuditError: if there is no such field, or it cannot be divided like that
        """
        return slice_frame(
            (self._evaluation, self._rows, self._source), field, bins, num_draws
        )

    def influence(self) -> pd.DataFrame:
        """How much AP would change if each image were left out, exactly.

        It is computed once, when it is first asked for.

        Returns:
            a frame by sample id, in the order of the samples: the path and COCO id of
            the image, and ``influence``: the AP without the image less the AP of all.
            It is positive if the image pulls AP down; NaN if there is no AP without it
        """
        frame = self._images[["filepath", "coco_id"]]
        return frame.assign(influence=self._influence[self._rows.image])

    @cached_property
    def _influence(self) -> NDArray[np.float64]:
        return image_influence(self._evaluation.ranking(), self._evaluation.num_images)

    def intervals(self, *, num_draws: int = 200) -> Intervals:
        """The COCO precisions with 95% intervals over draws of the images.

        Nothing is matched again: a draw is a weight of each image.

        Args:
            num_draws: how many times as many images are drawn with replacement

        Returns:
            an :class:`Intervals`: print it, or take its frames of AP, AP50, AP75, AP
            by area (``to_frame()``) and of the AP of each class (``per_class()``)

        Raises:
            CocoAuditError: if the number of draws is not a whole number above 0
        """
        check_count("num_draws", num_draws)
        rows = self._rows
        return metric_intervals(self._evaluation, rows.classes, rows.sample, num_draws)

    def error_costs(self) -> ErrorCosts:
        """What each type of error costs, in AP.

        Returns:
            an :class:`ErrorCosts`: print it, or take its frames
        """
        return error_costs(self._evaluation, self._rows.classes)

    def conventions(self) -> Conventions:
        """The AP of the same predictions in other tools, and why it differs.

        Returns:
            a :class:`Conventions`: print it, or take its frame

        Raises:
            CocoAuditError: if there is no AP, or it is one of keypoints
        """
        id_0 = self._provenance.id_0
        return conventions(
            self._evaluation,
            None if id_0 is None else np.isin(self._rows.truth_ids, id_0),
        )

    def olrp(self, *, iou: float = 0.5) -> OptimalLRP:
        """Optimal LRP and the best score threshold of each class.

        Args:
            iou: the IoU that finds an object, evaluated or not

        Returns:
            an :class:`OptimalLRP`: print it, or take its frame

        Raises:
            CocoAuditError: if the IoU cannot be used
        """
        return optimal_lrp(self._evaluation, self._rows.classes, iou=iou)

    def confusion(self, *, iou: float = 0.5, score: float | None = None) -> Confusion:
        """Which classes are taken for which. The diagonal is the true positives.

        Args:
            iou: the least IoU of a pair, evaluated or not
            score: the least score of a prediction, by default the ``score_threshold``
                of the evaluation

        Returns:
            a :class:`Confusion`: print it, or take its frames

        Raises:
            CocoAuditError: if the IoU or the score cannot be used
        """
        return confusion(self._evaluation, self._rows.classes, iou=iou, score=score)

    def confusion_view(
        self,
        true_class: str | None,
        predicted_class: str | None,
        *,
        iou: float = 0.5,
        score: float | None = None,
    ) -> fo.DatasetView:
        """Opens the pairs of a cell of :meth:`confusion`.

        Args:
            true_class: the class of the objects, None for the background
            predicted_class: the class of the predictions, None for the background
            iou: as for :meth:`confusion`
            score: as for :meth:`confusion`

        Returns:
            a view with a patch for each pair: the prediction with its object; with one
            of both where the other side is the background

        Raises:
            CocoAuditError: if there is no such class, or an argument cannot be used
        """
        found = self.confusion(iou=iou, score=score)
        prediction, truth = found.pairs(true_class, predicted_class)
        return self.patches_of(
            None if predicted_class is None else prediction,
            None if true_class is None else truth,
        )

    def label_issues(self) -> LabelIssues:
        """Labels that the predictions make doubtful: missing, wrong, loose or double.

        Returns:
            a :class:`LabelIssues`: print it, or take its frame

        Raises:
            CocoAuditError: if keypoints were evaluated
        """
        return label_issues(self._evaluation, self._rows)

    def label_issues_view(self, kind: str) -> fo.DatasetView:
        """Opens the issues of one kind, the surest predictions first.

        Args:
            kind: one of the kinds that :meth:`label_issues` counts

        Returns:
            a view with a patch for each issue: the prediction, with the label in doubt
            if there is one

        Raises:
            CocoAuditError: if there is no such kind, or keypoints were evaluated
        """
        if kind not in KINDS:
            raise CocoAuditError(
                f"kind is {kind!r}, but must be one of {', '.join(map(repr, KINDS))}"
            )
        issues = self.label_issues()
        return self.view_of_issues(issues, issues.of_kind(kind))

    def view_of_issues(
        self, issues: LabelIssues, chosen: NDArray[np.int64]
    ) -> fo.DatasetView:
        """Opens some label issues, the surest predictions first.

        Args:
            issues: what :meth:`label_issues` returns
            chosen: positions of issues

        Returns:
            a view with a patch for each issue: the prediction, with the label in doubt
            if there is one
        """
        truth = issues.truth[chosen]
        view = self.patches_of(
            issues.prediction[chosen], truth if (truth != UNMATCHED).any() else None
        )
        return view.sort_by(f"{self._source.pred_field}.confidence", reverse=True)

    @property
    def opened_in(self) -> fo.SampleCollection:
        """The dataset that views are of: of groups, all images."""
        return all_images(self._source.dataset)

    def patches_of(
        self, prediction: NDArray[np.int64] | None, truth: NDArray[np.int64] | None
    ) -> fo.DatasetView:
        """Patches of predictions, of objects, or of pairs of both.

        Args:
            prediction: ``(P,)`` rows of the predictions
            truth: ``(P,)`` rows of the objects
        """
        _, pred_field, gt_field = self._source
        samples, rows = self.opened_in, self._rows
        ids = [] if prediction is None else rows.prediction_ids[prediction].tolist()
        known = np.r_[rows.truth_ids, np.array([None], dtype=object)]
        truth_ids = [] if truth is None else known[truth].tolist()
        if truth is None:
            return view_of_labels(samples, pred_field, ids).to_patches(pred_field)
        if prediction is None:
            return view_of_labels(samples, gt_field, truth_ids).to_patches(gt_field)
        return view_of_pairs(samples, pred_field, ids, gt_field, truth_ids)

    # FiftyOne's results have an array ``thresholds``
    def score_thresholds(self, *, iou: float = 0.5) -> Thresholds:
        """Precision, recall and F1 against the score, and the best thresholds.

        Args:
            iou: the IoU that finds an object, evaluated or not

        Returns:
            a :class:`Thresholds`: print it, or take its frames

        Raises:
            CocoAuditError: if the IoU cannot be used
        """
        return thresholds(self._evaluation, self._rows.classes, iou=iou)

    def calibration(
        self,
        *,
        iou: float = 0.5,
        score: float = 0.0,
        bins: int = 10,
        equal_mass: bool = False,
    ) -> Calibration:
        """Whether scores are the probability of being right.

        Args:
            iou: the IoU that makes a prediction right, evaluated or not
            score: the least score of a prediction
            bins: the number of bins
            equal_mass: whether bins hold equally many predictions, rather than equally
                long ranges of scores

        Returns:
            a :class:`Calibration`: print it, or take its frames

        Raises:
            CocoAuditError: if an argument cannot be used, or scores are not
                probabilities
        """
        return calibration(
            self._evaluation,
            self._rows.classes,
            iou=iou,
            score=score,
            bins=bins,
            equal_mass=equal_mass,
        )

    def drivers(
        self,
        *,
        iou: float = 0.5,
        score: float | None = None,
        resize: str | ResizePolicy = DEFAULT_RESIZE,
        anchors: str | Mapping[str, Any] | AnchorSet = DEFAULT_ANCHORS,
        photometry: bool = False,
        num_draws: int = 100,
        executor: Executor | None = None,
        workers: int | None = None,
        progress: Progress = None,
    ) -> Drivers:
        """What drives failure: which properties decide on recall and on precision.

        Args:
            iou: the IoU that finds an object, evaluated or not
            score: the least score of a prediction, by default the ``score_threshold``
                of the evaluation
            resize: how images are resized for the network; see
                :class:`.statistics.resizing.ResizePolicy`
            anchors: the anchors of the detector; see
                :class:`.statistics.anchor_sets.AnchorSet`
            photometry: whether to decode the images for their brightness and sharpness;
                by default, samples have fields of these names or they are left out
            num_draws: how many times images are drawn for intervals
            executor: what decodes the images, by default processes of this machine
            workers: the number of processes
            progress: whether to show a progress bar, as everywhere in FiftyOne

        Returns:
            a :class:`Drivers`: print it, or take its frames

        Raises:
            CocoAuditError: if an argument cannot be used
        """
        return failure_drivers(
            self._evaluation,
            Images(self.opened_in, self._rows),
            self._source.gt_field,
            iou=iou,
            score=score,
            resize=resize,
            anchors=anchors,
            photometry=photometry,
            num_draws=num_draws,
            executor=executor,
            workers=workers,
            progress=progress,
        )

    @property
    def counting(self) -> str:
        """At which IoU and score tp, fp and fn are counted, in words."""
        settings = self._evaluation.settings
        overlap = f"{settings.overlap_name} {settings.iou_thresholds[0]:.2f}"
        return f"{overlap} and any score"

    def print_summary(self) -> None:
        """Prints the COCO numbers, and notes on what they leave out."""
        print(self)

    def _about(self) -> str:
        ap = self.summary()["AP"]
        notes = f" with {counted(len(self.notes), 'note')}" if self.notes else ""
        return (
            f"of {counted(len(self._images), 'image')}, "
            f"AP {f'{ap:.4f}' if ap >= 0 else 'n/a'}{notes}"
        )

    def __str__(self) -> str:
        notes = [printable(f"Note: {note}") for note in self.notes]
        about = map(printable, self._provenance.sentences())
        return "\n".join([format_summary(self._evaluation), *about, *notes])


def format_summary(evaluation: Evaluation) -> str:
    """What was evaluated, and the COCO metrics, one per line."""
    settings = evaluation.settings
    numbers = evaluation.summary()
    crowds = int(evaluation.truth.crowd.sum())
    lines = [
        f"  {counted(evaluation.num_images, 'image')}, "
        f"{counted_objects(len(evaluation.truth) - crowds, crowds)}, "
        f"{counted(len(evaluation.predictions), 'prediction')}"
    ]
    for metric in coco_metrics(settings):
        thresholds = settings.iou_thresholds[metric.thresholds]
        iou = f"{thresholds[0]:.2f}"
        if len(thresholds) > 1:
            iou += f":{thresholds[-1]:.2f}"
        limit = settings.max_detections[-1 if metric.limit is None else metric.limit]
        value = numbers[metric.name]
        shown = f"{value:6.4f}" if value >= 0 else "   n/a"
        lines.append(
            f"  {metric.name:<5}  {shown}   {settings.overlap_name} {iou:<9}  "
            f"area {settings.area_names[metric.area]:<6}  "
            f"max {counted(limit, 'detection')}"
        )
    return "\n".join(lines)
