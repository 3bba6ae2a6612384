"""Evaluations as FiftyOne runs: shown, loaded and deleted with FiftyOne alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import fiftyone as fo
import numpy as np
import pandas as pd
from fiftyone.utils.eval.coco import COCODetectionResults, COCOEvaluationConfig
from numpy.typing import NDArray

from fiftyone_coco_audit.columns import require_samples
from fiftyone_coco_audit.database import database_errors_explained
from fiftyone_coco_audit.display import of_samples
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.evaluation.average_precision import RECALL_LEVELS
from fiftyone_coco_audit.evaluation.metrics import Evaluation
from fiftyone_coco_audit.evaluation.outputs import match_rows
from fiftyone_coco_audit.evaluation.per_label import LabelOutcomes
from fiftyone_coco_audit.evaluation.provenance import Provenance
from fiftyone_coco_audit.evaluation.settings import Settings
from fiftyone_coco_audit.evaluation.slicing import Source
from fiftyone_coco_audit.evaluation.stored import EvaluatedRows, evaluation_as_text
from fiftyone_coco_audit.evaluation.tables import EvaluationTables
from fiftyone_coco_audit.fiftyone_internals import root_dataset

if TYPE_CHECKING:
    from bson import ObjectId

#: The operator that takes our fields along when FiftyOne renames or deletes a run
FIELDS_OPERATOR = "@coco-audit/coco-audit/evaluation_fields"

#: The value of saved results that holds the evaluation, which FiftyOne ignores
STORED = "coco_audit_evaluation"

#: Curves of this many classes take 20 MB; those of 20,000 take gigabytes
MOST_CURVES = 2_000


class CocoResults(EvaluationTables, COCODetectionResults):
    """The results of :func:`fiftyone_coco_audit.evaluate`.

    They are FiftyOne's own COCO results, so ``mAP()``, ``plot_pr_curves()``,
    confusion matrices and the Model Evaluation panel work, and they are saved as
    such: ``dataset.load_evaluation_results(eval_key)`` gives FiftyOne's class in
    another process, also where this package is not installed. What this class
    adds is read by :func:`fiftyone_coco_audit.load_results`.
    """

    def __init__(
        self,
        *args: Any,
        evaluation: Evaluation,
        rows: EvaluatedRows,
        images: pd.DataFrame,
        **kwargs: Any,
    ) -> None:
        COCODetectionResults.__init__(self, *args, **kwargs)
        source = Source(
            root_dataset(self.samples), self.config.pred_field, self.config.gt_field
        )
        own = self.config.custom_metrics[FIELDS_OPERATOR]
        provenance = Provenance.from_dict(own["provenance"])
        EvaluationTables.__init__(
            self, evaluation, rows, images, source, provenance, ()
        )
        self._run_id: ObjectId | None = None

    @property
    def cls(self) -> str:
        """The name of the class that these results are saved as."""
        return f"{COCODetectionResults.__module__}.{COCODetectionResults.__name__}"

    @property
    def run_id(self) -> ObjectId | None:
        """The id of the document of the run, None before it is saved."""
        return self._run_id

    @run_id.setter
    def run_id(self, run_id: ObjectId) -> None:
        self._run_id = run_id

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what the numbers leave out and depend on.

        They are saved with the run: :func:`evaluation_notes` reads them anywhere.
        """
        return notes_of(self.config.custom_metrics)

    def add_note(self, note: str) -> None:
        """Adds a sentence on what happened to the evaluation."""
        self.config.custom_metrics[FIELDS_OPERATOR]["notes"].append(note)

    def save_influence(self) -> None:
        """Writes :meth:`influence` to the field ``{eval_key}_influence`` of samples.

        Like the other fields of the evaluation, it is renamed and deleted with it.

        Raises:
            CocoAuditError: if the evaluation was replaced, renamed or deleted, or the
                field cannot be written; nothing is written then
        """
        from fiftyone_coco_audit.evaluation.saving_influence import write_influence

        write_influence(self)

    def save_outcomes(self, *, iou: float = 0.5, score: float = 0.0) -> None:
        """Writes the outcomes at a threshold to ``{eval_key}_outcome`` of labels.

        The grid, the modal and :func:`color_by_outcome` can show them. Like the other
        fields of the evaluation, they are renamed and deleted with it.

        Args:
            iou: the IoU that finds an object, evaluated or not
            score: the least score of a prediction; others have no outcome

        Raises:
            CocoAuditError: if an argument cannot be used, the evaluation was replaced,
                renamed or deleted, or the attribute cannot be written; nothing is
                written then
        """
        from fiftyone_coco_audit.evaluation.saving_outcomes import write_outcomes

        write_outcomes(self, iou=iou, score=score)

    def __repr__(self) -> str:
        about = self._about().removeprefix("of ")
        return (
            f"<{type(self).__name__} {self.key!r} {of_samples(self.samples)}: {about}>"
        )


def run_config(provenance: Provenance, notes: Sequence[str]) -> Any:
    """FiftyOne's configuration of an evaluation with its provenance and notes."""
    settings = provenance.settings
    own = {
        "score_threshold": settings.score_threshold,
        "notes": list(notes),
        "provenance": provenance.to_dict(),
    }
    return COCOEvaluationConfig(
        provenance.pred_field,
        provenance.gt_field,
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
    return tuple(_own(custom_metrics).get("notes", ()))


def settings_of(config: Any) -> Settings:
    """The parameters of a run, as far as its configuration has them.

    Args:
        config: the configuration of a run of any COCO evaluation
    """
    own = _own(config.custom_metrics)
    if "provenance" in own:
        return Settings.from_dict(own["provenance"]["settings"])
    return Settings.parse(
        iou_type="segm" if config.use_masks else "bbox",
        max_detections=sorted({1, 10, config.max_preds or 100}),
    )


def _own(custom_metrics: Any) -> dict[str, Any]:
    """What is ours in the custom metrics of a run, nothing if FiftyOne made it."""
    metrics = custom_metrics if isinstance(custom_metrics, dict) else {}
    return metrics.get(FIELDS_OPERATOR) or {}


def no_such_evaluation(dataset: fo.Dataset, eval_key: str) -> CocoAuditError:
    """The error of a key that no evaluation has."""
    known = ", ".join(map(repr, dataset.list_evaluations())) or "none"
    return CocoAuditError(
        f"Dataset {dataset.name!r} has no evaluation {eval_key!r}; its evaluations "
        f"are: {known}"
    )


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
        raise no_such_evaluation(dataset, eval_key)
    config = dataset.get_evaluation_info(eval_key).config
    return notes_of(getattr(config, "custom_metrics", None))


def build_results(
    samples: fo.SampleCollection,
    config: Any,
    eval_key: str,
    evaluation: Evaluation,
    rows: EvaluatedRows,
    outcomes: tuple[LabelOutcomes, LabelOutcomes],
    images: pd.DataFrame,
) -> CocoResults:
    """Makes FiftyOne's results of an evaluation.

    Args:
        samples: the dataset or view that was evaluated
        config: FiftyOne's configuration
        eval_key: the evaluation key
        evaluation: the evaluation in columns
        rows: the samples and labels of its rows
        outcomes: what :func:`.per_label.label_outcomes` returns
        images: what :func:`.outputs.image_frame` returns

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
        match_rows(evaluation, rows, outcomes),
        curves.at_recall_levels(curves.precision, shown),
        RECALL_LEVELS,
        np.array(evaluation.settings.iou_thresholds),
        [rows.classes[row] for row in shown.tolist()],
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
        rows=rows,
        images=images,
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
    stored = evaluation_as_text(results.evaluation, results.rows)
    yield f',"{STORED}":"{stored}"}}'.encode()
