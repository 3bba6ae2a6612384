"""Verdicts on label issues, kept with the dataset beside their evaluation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from fiftyone_coco_audit.runs import load_run, save_run

if TYPE_CHECKING:
    import fiftyone as fo

#: The function that verdicts and reviewed copies belong to
FUNCTION = "review_labels"


def _key(eval_key: str) -> str:
    """The key of the run that holds the verdicts on an evaluation."""
    return f"coco_audit_review_{eval_key}"


def stored_verdicts(dataset: fo.Dataset, eval_key: str) -> dict[str, str]:
    """The verdicts on an evaluation as the database has them, by issue.

    Args:
        dataset: the dataset
        eval_key: the name of the evaluation
    """
    stored = load_run(dataset, _key(eval_key))
    return {} if stored is None else dict(stored["verdicts"])


def store_verdict(
    dataset: fo.Dataset, eval_key: str, issues: Iterable[str], verdict: str | None
) -> None:
    """Stores one verdict on some issues; the others are kept.

    Args:
        dataset: the dataset, which nobody else changes meanwhile
        eval_key: the name of the evaluation
        issues: the issues
        verdict: the verdict, None to take verdicts back
    """
    verdicts = stored_verdicts(dataset, eval_key)
    for issue in issues:
        verdicts.pop(issue, None)
        if verdict is not None:
            verdicts[issue] = verdict
    config = dataset.init_run(method=FUNCTION)
    save_run(dataset, _key(eval_key), config, {"verdicts": verdicts})


def rename_verdicts(dataset: fo.Dataset, eval_key: str, new_eval_key: str) -> None:
    """Renames the verdicts on an evaluation with it, if there are any."""
    if _key(eval_key) in dataset.list_runs():
        delete_verdicts(dataset, new_eval_key)
        dataset.rename_run(_key(eval_key), _key(new_eval_key))


def delete_verdicts(dataset: fo.Dataset, eval_key: str) -> None:
    """Deletes the verdicts on an evaluation, if there are any."""
    if _key(eval_key) in dataset.list_runs():
        dataset.delete_run(_key(eval_key))
