"""The colors of labels after an evaluation, and how to restore the previous ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fiftyone_coco_audit.columns import dataset_of
from fiftyone_coco_audit.database import database_errors_explained
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.evaluation.fields import OUTCOME
from fiftyone_coco_audit.fiftyone_internals import reload_dataset, update_stored_dataset
from fiftyone_coco_audit.storage.exclusive import exclusive, up_to_date

if TYPE_CHECKING:
    import fiftyone as fo

_IGNORED = "#8c8c8c"
_TRUTH = {"tp": "#3fa34d", "fn": "#e5383b"}
_PREDICTIONS = {"tp": "#f28e2b", "fp": "#17a2b8"}

#: What the colors mean
LEGEND = (
    "Objects are green if a prediction found them and red if none did. Predictions are "
    "orange if they are right and teal if they are wrong. Labels that COCO ignores are "
    "gray."
)

# In the dataset's info: the color scheme that ours replaced
_BEFORE = "coco_audit_colors"
_SCHEME = "app_config.color_scheme"


def outcome_colors(
    pred_field: str = "predictions",
    gt_field: str = "ground_truth",
    eval_key: str = "eval",
    *,
    saved: bool = False,
) -> fo.ColorScheme:
    """Colors labels by their outcome.

    Found objects are green, missed ones red. Right predictions are orange, wrong ones
    teal. Labels that COCO ignores are gray.

    Args:
        pred_field: the field of the predictions
        gt_field: the field of the ground truth
        eval_key: the name of the evaluation
        saved: whether by the outcomes that ``results.save_outcomes()`` wrote

    Returns:
        a color scheme, for a session or for ``dataset.app_config``
    """
    import fiftyone as fo

    attribute = f"{eval_key}{OUTCOME}" if saved else eval_key
    return fo.ColorScheme(
        color_by="value",
        opacity=0.5,
        fields=[
            {
                "path": field,
                "colorByAttribute": attribute,
                "fieldColor": colors["tp"],
                "valueColors": [
                    {"value": outcome, "color": color}
                    # The App takes "none" for labels without a value
                    for outcome, color in {**colors, "none": _IGNORED}.items()
                ],
            }
            for field, colors in ((gt_field, _TRUTH), (pred_field, _PREDICTIONS))
        ],
    )


def is_outcome_colors(scheme: fo.ColorScheme) -> bool:
    """Whether a color scheme is as :func:`outcome_colors` makes it for some evaluation.

    Args:
        scheme: the color scheme
    """
    fields = scheme.fields or []
    if len(fields) != 2:
        return False
    truth, predictions = fields
    made = outcome_colors(
        predictions.get("path"), truth.get("path"), truth.get("colorByAttribute")
    )
    return _content(scheme) == _content(made)


@database_errors_explained()
def color_by_outcome(
    dataset: fo.Dataset, eval_key: str = "eval", *, saved: bool = False
) -> fo.ColorScheme:
    """Colors the labels of a dataset by their outcome in an evaluation.

    The colors are saved with the dataset. The previous color scheme is kept for
    :func:`restore_colors`.

    Args:
        dataset: the dataset
        eval_key: the name of the evaluation
        saved: whether by the outcomes at a threshold that ``results.save_outcomes()``
            wrote, rather than by those of the evaluation

    Returns:
        the color scheme, for a session that is already open

    Raises:
        CocoAuditError: if there is no such evaluation, or no outcomes were saved
    """
    dataset = dataset_of(dataset)
    up_to_date(dataset)
    with exclusive(dataset) as fresh:
        if eval_key not in fresh.list_evaluations():
            raise CocoAuditError(
                f"Dataset {fresh.name!r} has no evaluation {eval_key!r} to color "
                f"labels by: run evaluate() with eval_key={eval_key!r} first"
            )
        config = fresh.get_evaluation_info(eval_key).config
        path = f"{config.gt_field}.detections.{eval_key}{OUTCOME}"
        if saved and fresh.get_field(path) is None:
            raise CocoAuditError(
                f"The labels of dataset {fresh.name!r} have no attribute "
                f"'{eval_key}{OUTCOME}' to color them by: run "
                f"load_results(dataset, {eval_key!r}).save_outcomes() first"
            )
        scheme = outcome_colors(
            config.pred_field, config.gt_field, eval_key, saved=saved
        )
        changes: dict[str, Any] = {_SCHEME: scheme.to_dict()}
        now = fresh.app_config.color_scheme
        if now is None or not is_outcome_colors(now):
            changes[f"info.{_BEFORE}"] = None if now is None else now.to_dict()
        _change(fresh, {"$set": changes})
    return scheme


@database_errors_explained()
def restore_colors(dataset: fo.Dataset) -> None:
    """Brings back the colors that :func:`color_by_outcome` replaced.

    Args:
        dataset: the dataset

    Raises:
        CocoAuditError: if the dataset has no outcome colors
    """
    dataset = dataset_of(dataset)
    up_to_date(dataset)
    with exclusive(dataset) as fresh:
        now = fresh.app_config.color_scheme
        if now is None or not is_outcome_colors(now):
            raise CocoAuditError(
                f"The labels of dataset {fresh.name!r} are not colored by outcome, so "
                "there is nothing to restore"
            )
        _restore(fresh)


def rename_colors(dataset: fo.Dataset, eval_key: str, new_eval_key: str) -> None:
    """Updates the colors of a dataset when their evaluation is renamed.

    Args:
        dataset: the dataset
        eval_key: the name of the evaluation
        new_eval_key: its new name
    """
    with exclusive(dataset) as fresh:
        scheme = fresh.app_config.color_scheme
        if _is_of(scheme, eval_key):
            truth, predictions = (field["path"] for field in scheme.fields)
            saved = _attribute(scheme) != eval_key
            renamed = outcome_colors(predictions, truth, new_eval_key, saved=saved)
            _change(fresh, {"$set": {_SCHEME: renamed.to_dict()}})


def colors_of_replaced(dataset: fo.Dataset, eval_key: str) -> dict[str, Any]:
    """What of a dataset's document changes when an evaluation replaces another.

    Outcomes at a threshold are deleted with the old one, and leave its colors to those
    of the new one.

    Args:
        dataset: the dataset
        eval_key: the name of both evaluations
    """
    scheme = dataset.app_config.color_scheme
    if not _is_of(scheme, eval_key) or _attribute(scheme) == eval_key:
        return {}
    truth, predictions = (field["path"] for field in scheme.fields)
    return {_SCHEME: outcome_colors(predictions, truth, eval_key).to_dict()}


def discard_colors(dataset: fo.Dataset, eval_key: str) -> None:
    """Restores the colors of a dataset whose evaluation is being deleted.

    All labels would be gray otherwise.

    Args:
        dataset: the dataset
        eval_key: the name of the evaluation
    """
    with exclusive(dataset) as fresh:
        if _is_of(fresh.app_config.color_scheme, eval_key):
            _restore(fresh)


def _restore(dataset: fo.Dataset) -> None:
    before = (dataset.info or {}).get(_BEFORE)
    _change(dataset, {"$set": {_SCHEME: before}, "$unset": {f"info.{_BEFORE}": ""}})


def _is_of(scheme: fo.ColorScheme | None, eval_key: str) -> bool:
    return (
        scheme is not None
        and is_outcome_colors(scheme)
        and _attribute(scheme) in (eval_key, f"{eval_key}{OUTCOME}")
    )


def _attribute(scheme: fo.ColorScheme) -> str:
    """The attribute that outcome colors are of."""
    return str(scheme.fields[0]["colorByAttribute"])


def _content(scheme: fo.ColorScheme) -> dict[str, Any]:
    return {name: value for name, value in scheme.to_dict().items() if name != "_id"}


def _change(dataset: fo.Dataset, update: dict[str, Any]) -> None:
    """Changes nothing but colors."""
    update_stored_dataset(dataset, update)
    reload_dataset(dataset)
