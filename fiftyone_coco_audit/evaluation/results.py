"""Evaluations as FiftyOne runs: shown, loaded and deleted with FiftyOne alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import fiftyone as fo
import numpy as np
import pandas as pd
from fiftyone.utils.eval.coco import COCODetectionResults, COCOEvaluationConfig
from numpy.typing import NDArray

from fiftyone_coco_audit.columns import require_samples
from fiftyone_coco_audit.database import database_errors_explained
from fiftyone_coco_audit.display import of_samples
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.escaping import printable
from fiftyone_coco_audit.evaluation.analysis.error_costs import (
    ErrorCosts,
    error_costs,
)
from fiftyone_coco_audit.evaluation.average_precision import RECALL_LEVELS
from fiftyone_coco_audit.evaluation.metrics import Evaluation, coco_metrics
from fiftyone_coco_audit.evaluation.settings import Settings
from fiftyone_coco_audit.fiftyone_internals import root_dataset
from fiftyone_coco_audit.wording import counted, counted_objects

#: The operator that takes our fields along when FiftyOne renames or deletes a run
FIELDS_OPERATOR = "@coco-audit/coco-audit/evaluation_fields"

#: Curves of this many classes take 20 MB; those of 20,000 take gigabytes
MOST_CURVES = 2_000

# A row of the matches of FiftyOne's results: the true and the predicted class,
# the overlap, the confidence, the ids of the true and the predicted label
MatchRow = tuple[
    str | None, str | None, float | None, float | None, str | None, str | None
]


class CocoResults(COCODetectionResults):
    """The results of :func:`fiftyone_coco_audit.evaluate`.

    They are FiftyOne's own COCO results, so ``mAP()``, ``plot_pr_curves()``,
    confusion matrices and the Model Evaluation panel work, and they are saved as
    such: ``dataset.load_evaluation_results(eval_key)`` gives FiftyOne's class in
    another process, also where this package is not installed. What this class
    adds is there until the process ends.
    """

    def __init__(
        self,
        *args: Any,
        evaluation: Evaluation,
        images: pd.DataFrame,
        dataset_classes: Sequence[str],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        # FiftyOne saves public attributes
        self._dataset_classes = tuple(dataset_classes)
        self._evaluation = evaluation
        self._images = images

    @property
    def cls(self) -> str:
        """The name of the class that these results are saved as."""
        return f"{COCODetectionResults.__module__}.{COCODetectionResults.__name__}"

    @property
    def evaluation(self) -> Evaluation:
        """The evaluation in columns, with the matches."""
        return self._evaluation

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what the numbers leave out and depend on.

        They are saved with the run: :func:`evaluation_notes` reads them anywhere.
        """
        return notes_of(self.config.custom_metrics)

    def add_note(self, note: str) -> None:
        """Adds a sentence on what happened to the evaluation."""
        self.config.custom_metrics[FIELDS_OPERATOR]["notes"].append(note)

    def summary(self) -> dict[str, float]:
        """The 12 COCO numbers in pycocotools' order.

        Returns:
            a dict of AP, AP50, AP75, APs, APm, APl, AR1, AR10, AR100, ARs, ARm
            and ARl in ``[0, 1]``, -1 where there is nothing to be found
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
            index=pd.Index(self._dataset_classes, name="class", dtype=object),
        )

    def per_image(self) -> pd.DataFrame:
        """The metrics of each image.

        Returns:
            a frame by sample id, in the order of the samples: the path and COCO
            id of the image, and the metrics that are on the samples, by their
            names less the evaluation key
        """
        return self._images

    def error_costs(self) -> ErrorCosts:
        """What each type of error costs, in AP.

        Returns:
            an :class:`ErrorCosts`: print it, or take its frames
        """
        return error_costs(self._evaluation, self._dataset_classes)

    @property
    def counting(self) -> str:
        """At which IoU and score tp, fp and fn are counted, in words."""
        iou = self._evaluation.settings.iou_thresholds[0]
        return f"IoU {iou:.2f} and any score"

    def print_summary(self) -> None:
        """Prints the COCO numbers, and notes on what they leave out."""
        print(self)

    def __repr__(self) -> str:
        ap = self.summary()["AP"]
        notes = f" with {counted(len(self.notes), 'note')}" if self.notes else ""
        return (
            f"<{type(self).__name__} {self.key!r} {of_samples(self.samples)}: "
            f"{counted(len(self._images), 'image')}, "
            f"AP {f'{ap:.4f}' if ap >= 0 else 'n/a'}{notes}>"
        )

    def __str__(self) -> str:
        notes = [printable(f"Note: {note}") for note in self.notes]
        return "\n".join([format_summary(self._evaluation), *notes])


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
            f"  {metric.name:<5}  {shown}   IoU {iou:<9}  "
            f"area {settings.area_names[metric.area]:<6}  "
            f"max {counted(limit, 'detection')}"
        )
    return "\n".join(lines)


def run_config(
    pred_field: str, gt_field: str, settings: Settings, notes: Sequence[str]
) -> Any:
    """FiftyOne's configuration of an evaluation with these settings and notes."""
    own = {"score_threshold": settings.score_threshold, "notes": list(notes)}
    return COCOEvaluationConfig(
        pred_field,
        gt_field,
        iou=settings.iou_thresholds[0],
        classwise=True,
        iscrowd="iscrowd",
        use_masks=settings.iou_type == "segm",
        compute_mAP=True,
        iou_threshs=list(settings.iou_thresholds),
        max_preds=settings.max_detections[-1],
        custom_metrics={FIELDS_OPERATOR: own},
    )


def notes_of(custom_metrics: Any) -> tuple[str, ...]:
    """The notes in the custom metrics of a run's configuration.

    Args:
        custom_metrics: a dict, or what else FiftyOne has there if it made the run
    """
    metrics = custom_metrics
    own = metrics.get(FIELDS_OPERATOR) if isinstance(metrics, dict) else None
    return tuple((own or {}).get("notes", ()))


@database_errors_explained()
def evaluation_notes(
    samples: fo.SampleCollection, eval_key: str = "eval"
) -> tuple[str, ...]:
    """The notes that were saved with an evaluation.

    They equal ``results.notes``, in any process.

    Args:
        samples: a dataset or view
        eval_key: the name of the evaluation

    Returns:
        sentences on what the metrics leave out and depend on; none if FiftyOne itself
        made the evaluation

    Raises:
        CocoAuditError: if there is no such evaluation
    """
    require_samples(samples)
    dataset = root_dataset(samples)
    if eval_key not in dataset.list_evaluations():
        known = ", ".join(map(repr, dataset.list_evaluations())) or "none"
        raise CocoAuditError(
            f"Dataset {dataset.name!r} has no evaluation {eval_key!r}; its evaluations "
            f"are: {known}"
        )
    config = dataset.get_evaluation_info(eval_key).config
    return notes_of(getattr(config, "custom_metrics", None))


def build_results(
    samples: fo.SampleCollection,
    config: Any,
    eval_key: str,
    evaluation: Evaluation,
    matches: list[MatchRow],
    classes: Sequence[str],
    images: pd.DataFrame,
) -> CocoResults:
    """Makes FiftyOne's results of an evaluation.

    Args:
        samples: the dataset or view that was evaluated
        config: FiftyOne's configuration
        eval_key: the evaluation key
        evaluation: the evaluation in columns
        matches: the rows of FiftyOne's matches
        classes: the names of all classes of the dataset
        images: the metrics of each image

    Returns:
        a :class:`CocoResults`
    """
    curves = evaluation.curves
    shown = _classes_with_curves(evaluation)
    # FiftyOne has precision by threshold, class and level, -1 where undefined
    recall = evaluation.recall[0, -1][:, shown]
    return CocoResults(
        samples,
        config,
        eval_key,
        matches,
        curves.at_recall_levels(curves.precision, shown),
        RECALL_LEVELS,
        np.array(evaluation.settings.iou_thresholds),
        [classes[row] for row in shown.tolist()],
        recall_sweep=np.where(np.isnan(recall), -1.0, recall),
        thresholds=evaluation.scores_at_recall_levels(shown),
        custom_metrics={
            f"@coco-audit/coco-audit/{name}": {
                "key": name,
                "value": value if value >= 0 else None,
                "label": name,
                "lower_is_better": False,
            }
            for name, value in evaluation.summary().items()
        },
        evaluation=evaluation,
        images=images,
        dataset_classes=classes,
    )


def _classes_with_curves(evaluation: Evaluation) -> NDArray[np.int64]:
    """The positions of the classes that FiftyOne's results list.

    All of the dataset's, or only those that occur where all would be too many.
    """
    if evaluation.num_categories <= MOST_CURVES:
        return np.arange(evaluation.num_categories)
    occur = np.union1d(evaluation.truth.category, evaluation.predictions.category)
    # FiftyOne cannot load a table without any class
    return occur if len(occur) else np.arange(1)


def results_as_json(results: CocoResults) -> Iterator[bytes]:
    """Results in the form in which ``BaseRun.save_run_results`` saves them.

    FiftyOne converts each of a million values to extended JSON on the way, and
    holds all of them at once, which takes seconds and memory. These are plain
    text and numbers, and are given one attribute at a time.
    """
    for n, name in enumerate(results.attributes()):
        value = getattr(results, name)
        if isinstance(value, np.ndarray):
            value = value.tolist()
        yield f"{',' if n else '{'}{json.dumps(name)}:".encode()
        yield json.dumps(value).encode()
    yield b"}"
