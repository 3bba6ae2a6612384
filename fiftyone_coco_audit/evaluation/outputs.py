"""What an evaluation writes to a dataset: values of samples and labels, and matches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.columns import SampleColumns
from fiftyone_coco_audit.evaluation.error_types import ErrorTypes
from fiftyone_coco_audit.evaluation.inputs import Inputs
from fiftyone_coco_audit.evaluation.per_image import ImageScores
from fiftyone_coco_audit.evaluation.per_label import LabelOutcomes
from fiftyone_coco_audit.evaluation.settings import Settings
from fiftyone_coco_audit.reading import FieldObjects

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
        suffix: _or_none(values[inputs.image]).tolist()
        for suffix, values in of_images.items()
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
            "_id": _of_labels(side, _partner_ids(outcomes, other, ""), ""),
            "_iou": _of_labels(side, _or_none(outcomes.overlap), None),
            "_error": _of_labels(side, _or_none(error), None),
        }
        for field, side, other, outcomes, error in sides
    }


def match_rows(
    inputs: Inputs, truth: LabelOutcomes, predictions: LabelOutcomes
) -> list[MatchRow]:
    """The matches as FiftyOne's results have them: predictions, then missed objects.

    Returns:
        tuples of true class, predicted class, overlap, confidence, id of the
        true and id of the predicted label
    """
    classes = np.array(inputs.classes, dtype=object)
    true_side, predicted_side = inputs.truth, inputs.predictions
    true_class = _and(classes[true_side.objects.category], None)

    counted = predictions.mark != ""
    missed = truth.mark == "fn"
    columns = (
        true_class[predictions.partner],
        classes[predicted_side.objects.category],
        _or_none(predictions.overlap),
        _or_none(predicted_side.objects.scores),
        _partner_ids(predictions, true_side, None),
        predicted_side.ids,
    )
    rows = list(zip(*(column[counted].tolist() for column in columns), strict=True))
    rows.extend(
        (name, None, None, None, label_id, None)
        for name, label_id in zip(
            true_class[:-1][missed].tolist(),
            true_side.ids[missed].tolist(),
            strict=True,
        )
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


def _of_labels(
    side: FieldObjects, values: NDArray[np.object_], default: Any
) -> list[Any]:
    """Spreads values of objects over all labels of their field."""
    column = np.full(side.num_labels, default, dtype=object)
    column[side.rows] = values
    return column.tolist()


def _partner_ids(
    outcomes: LabelOutcomes, other: FieldObjects, default: str | None
) -> NDArray[np.object_]:
    return _and(other.ids, default)[outcomes.partner]


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
