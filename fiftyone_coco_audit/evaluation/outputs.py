"""What an evaluation writes to a dataset: values of samples and labels, and matches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.evaluation.error_types import ErrorTypes
from fiftyone_coco_audit.evaluation.inputs import Inputs
from fiftyone_coco_audit.evaluation.metrics import Evaluation
from fiftyone_coco_audit.evaluation.per_image import score_images
from fiftyone_coco_audit.evaluation.per_label import LabelOutcomes
from fiftyone_coco_audit.evaluation.stored import EvaluatedRows
from fiftyone_coco_audit.reading import FieldObjects

if TYPE_CHECKING:
    import pandas as pd

#: A row of the matches of FiftyOne's results: the true and the predicted class, the
#: overlap, the confidence, the ids of the true and the predicted label
MatchRow = tuple[
    str | None, str | None, float | None, float | None, str | None, str | None
]


def sample_values(
    evaluation: Evaluation, image: NDArray[np.int64]
) -> dict[str, list[Any]]:
    """The values of the fields of samples.

    Args:
        evaluation: an evaluation of columns
        image: ``(N,)`` position of each sample among the images of the evaluation

    Returns:
        a value for each sample by suffix of the evaluation key, None where a
        score is not defined
    """
    scores = score_images(evaluation)
    nothing = np.full(evaluation.num_images, np.nan)
    at = {iou: evaluation.settings.threshold_position(iou) for iou in (0.5, 0.75)}
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
        suffix: _or_none(values[image]).tolist() for suffix, values in of_images.items()
    }


def label_values(
    inputs: Inputs,
    truth: LabelOutcomes,
    predictions: LabelOutcomes,
    errors: ErrorTypes,
) -> dict[str, dict[str, list[Any]]]:
    """The values of the attributes of labels.

    Returns:
        a value for each label by field and suffix of the evaluation key; labels
        that COCO ignores are neither true nor false: None
    """
    sides = (
        (inputs.gt_field, inputs.truth, inputs.predictions, truth, errors.truth),
        (
            inputs.pred_field,
            inputs.predictions,
            inputs.truth,
            predictions,
            errors.predictions,
        ),
    )
    return {
        field: {
            "": _of_labels(side, _or_none(outcomes.mark), None),
            # FiftyOne marks "no match" with an empty string
            "_id": _of_labels(side, _partner_ids(outcomes, other.ids, ""), ""),
            "_iou": _of_labels(side, _or_none(outcomes.overlap), None),
            "_error": _of_labels(side, _or_none(error), None),
        }
        for field, side, other, outcomes, error in sides
    }


def match_rows(
    evaluation: Evaluation,
    rows: EvaluatedRows,
    outcomes: tuple[LabelOutcomes, LabelOutcomes],
) -> list[MatchRow]:
    """The matches as FiftyOne's results have them: predictions, then missed objects.

    Args:
        evaluation: an evaluation of columns
        rows: the samples and labels of its rows
        outcomes: what :func:`.per_label.label_outcomes` returns
    """
    truth, predictions = outcomes
    classes = np.array(rows.classes, dtype=object)
    true_class = _and(classes[evaluation.truth.category], None)

    counted = predictions.mark != ""
    missed = truth.mark == "fn"
    columns = (
        true_class[predictions.partner],
        classes[evaluation.predictions.category],
        _or_none(predictions.overlap),
        _or_none(evaluation.predictions.scores),
        _partner_ids(predictions, rows.truth_ids, None),
        rows.prediction_ids,
    )
    matched = list(zip(*(column[counted].tolist() for column in columns), strict=True))
    matched.extend(
        (name, None, None, None, label_id, None)
        for name, label_id in zip(
            true_class[:-1][missed].tolist(),
            rows.truth_ids[missed].tolist(),
            strict=True,
        )
    )
    return matched


def image_frame(
    rows: EvaluatedRows,
    of_samples: Mapping[str, Sequence[Any]],
    filepaths: Sequence[str | None],
    coco_ids: Sequence[Any],
) -> pd.DataFrame:
    """The values of the samples as a frame by sample id.

    Args:
        rows: the samples of an evaluation
        of_samples: what :func:`sample_values` returns
        filepaths: the path of the image of each sample
        coco_ids: the COCO id of the image of each sample
    """
    import pandas as pd

    return pd.DataFrame(
        {
            "filepath": filepaths,
            "coco_id": coco_ids,
            **{suffix[1:]: of_images for suffix, of_images in of_samples.items()},
        },
        index=pd.Index(rows.sample_ids, name="sample_id"),
    )


def _of_labels(
    side: FieldObjects, values: NDArray[np.object_], default: Any
) -> list[Any]:
    """Spreads values of objects over all labels of their field."""
    column = np.full(side.num_labels, default, dtype=object)
    column[side.rows] = values
    return column.tolist()


def _partner_ids(
    outcomes: LabelOutcomes, ids: NDArray[np.object_], default: str | None
) -> NDArray[np.object_]:
    return _and(ids, default)[outcomes.partner]


def _and(values: NDArray[np.object_], last: Any) -> NDArray[np.object_]:
    """Values and one more, which the row -1 stands for."""
    return np.concatenate([values, np.array([last], dtype=object)])


def _or_none(values: NDArray) -> NDArray[np.object_]:
    """Values as Python objects, with None for NaN, infinity and the empty text."""
    objects = values.astype(object)
    if values.dtype.kind == "f":
        objects[~np.isfinite(values)] = None
    elif values.dtype.kind == "U":
        objects[values == ""] = None
    return objects
