"""What an evaluation gives to a dataset: values of samples and labels, matches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.columns import SampleColumns
from fiftyone_coco_audit.evaluation.error_types import ErrorTypes
from fiftyone_coco_audit.evaluation.inputs import Inputs, Side
from fiftyone_coco_audit.evaluation.matching import UNMATCHED
from fiftyone_coco_audit.evaluation.metrics import Evaluation
from fiftyone_coco_audit.evaluation.per_image import ImageScores
from fiftyone_coco_audit.evaluation.settings import Settings

if TYPE_CHECKING:
    import fiftyone as fo
    import pandas as pd

    from fiftyone_coco_audit.evaluation.results import MatchRow


def sample_values(
    inputs: Inputs, scores: ImageScores, settings: Settings
) -> dict[str, list[Any]]:
    """The values of the fields of samples.

    Returns:
        a value for each sample by suffix of the evaluation key, None where a
        score is not defined
    """
    nothing = np.full(len(inputs.columns), np.nan)
    at = {iou: settings.threshold_position(iou) for iou in (0.5, 0.75)}
    of_images: dict[str, NDArray] = {
        "_ap": scores.ap.mean(axis=1),
        "_ap50": nothing if at[0.5] is None else scores.ap[:, at[0.5]],
        "_ap75": nothing if at[0.75] is None else scores.ap[:, at[0.75]],
        "_ap_pooled": scores.ap_pooled,
        "_precision": scores.precision,
        "_recall": scores.recall,
        "_f1": scores.f1,
        "_tp": scores.true_positives,
        "_fp": scores.false_positives,
        "_fn": scores.false_negatives,
        "_status": scores.status(),
    }
    return {
        suffix: _or_none(values[inputs.image]) for suffix, values in of_images.items()
    }


def label_values(
    inputs: Inputs, evaluation: Evaluation, errors: ErrorTypes
) -> dict[str, dict[str, list[Any]]]:
    """The values of the attributes of labels, at the lowest IoU threshold.

    Returns:
        a value for each label by field and suffix of the evaluation key. Labels
        that COCO ignores (crowds, what matches them, and predictions beyond the
        limit on detections) are neither true nor false: None
    """
    matches = evaluation.matches
    true_positive, counted = evaluation.outcomes()
    truth, predictions = inputs.truth, inputs.predictions

    predicted_mark = np.full(len(predictions.objects), None, dtype=object)
    predicted_mark[matches.predictions[counted[0]]] = "fp"
    predicted_mark[matches.predictions[true_positive[0]]] = "tp"

    what, who, overlap = _matched(evaluation)
    # A crowd is not found by any one prediction
    one_to_one = ~truth.objects.crowd[what]
    truth_mark = np.where(truth.objects.crowd, None, "fn").astype(object)
    truth_mark[what[one_to_one]] = "tp"

    return {
        inputs.pred_field: _columns(
            predictions,
            predicted_mark,
            who,
            _ids(truth)[what],
            overlap,
            errors.predictions,
        ),
        inputs.gt_field: _columns(
            truth,
            truth_mark,
            what[one_to_one],
            _ids(predictions)[who[one_to_one]],
            overlap[one_to_one],
            errors.truth,
        ),
    }


def match_rows(inputs: Inputs, evaluation: Evaluation) -> list[MatchRow]:
    """The matches as FiftyOne's results have them: true, false, missed.

    Returns:
        tuples of true class, predicted class, overlap, confidence, id of the
        true and id of the predicted label
    """
    classes = np.array(inputs.classes, dtype=object)
    truth, predictions = inputs.truth, inputs.predictions
    truth_class = classes[truth.objects.category]
    predicted_class = classes[predictions.objects.category]
    confidence = _or_none(predictions.objects.score)
    truth_ids, predicted_ids = _ids(truth), _ids(predictions)
    true_positive, counted = evaluation.outcomes()

    what, who, overlap = _matched(evaluation)
    found = ~truth.objects.crowd[what]
    rows: list[MatchRow] = [
        (truth_class[t], predicted_class[p], iou, confidence[p], truth_ids[t], predicted_ids[p])
        for t, p, iou in zip(
            what[found].tolist(), who[found].tolist(), overlap[found].tolist(), strict=True
        )
    ]
    false = evaluation.matches.predictions[counted[0] & ~true_positive[0]]
    rows.extend(
        (None, predicted_class[p], None, confidence[p], None, predicted_ids[p])
        for p in false.tolist()
    )
    missed = ~truth.objects.crowd
    missed[what] = False
    rows.extend(
        (truth_class[t], None, None, None, truth_ids[t], None)
        for t in np.flatnonzero(missed).tolist()
    )
    return rows


def image_frame(
    samples: fo.SampleCollection,
    columns: SampleColumns,
    of_samples: dict[str, list[Any]],
) -> pd.DataFrame:
    """The values of the samples as a frame by sample id."""
    import pandas as pd

    return pd.DataFrame(
        {
            "filepath": samples.values("filepath"),
            "coco_id": columns.coco_id,
            **{suffix[1:]: values for suffix, values in of_samples.items()},
        },
        index=pd.Index(map(str, columns.ids), name="sample_id"),
    )


def _matched(
    evaluation: Evaluation,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """The matches at the lowest threshold: object, prediction and overlap of each."""
    matches = evaluation.matches
    what = matches.truth[0, 0]
    is_matched = what != UNMATCHED
    return (
        what[is_matched].astype(np.int64),
        matches.predictions[matches.candidates[is_matched]],
        matches.overlap[0, 0][is_matched],
    )


def _ids(side: Side) -> NDArray[np.object_]:
    return np.array([str(label) for label in side.labels.ids], dtype=object)[side.rows]


def _columns(
    side: Side,
    mark: NDArray[np.object_],
    matched: NDArray[np.int64],
    partner: NDArray[np.object_],
    overlap: NDArray[np.float64],
    error: NDArray[np.str_],
) -> dict[str, list[Any]]:
    """Spreads values of objects over all labels of their field."""
    num_labels = len(side.labels)

    def column(rows: Sequence[int] | NDArray, values: Any, default: Any) -> list[Any]:
        result = np.full(num_labels, default, dtype=object)
        result[side.rows[rows]] = values
        return result.tolist()

    everything = np.arange(len(side.rows))
    return {
        "": column(everything, mark, None),
        # FiftyOne's sign of "no match" is the empty text
        "_id": column(matched, partner, ""),
        "_iou": column(matched, overlap.tolist(), None),
        "_error": column(everything, np.where(error == "", None, error), None),
    }


def _or_none(values: NDArray) -> list[Any]:
    """Values as Python objects, NaN and infinity as None."""
    if values.dtype.kind != "f":
        return values.tolist()
    return np.where(np.isfinite(values), values, None).tolist()
