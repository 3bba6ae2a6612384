"""All rules that apply to results: what to do next, by the AP that it gains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from fiftyone_coco_audit.auditing import Audit, checked_thresholds
from fiftyone_coco_audit.columns import dataset_of
from fiftyone_coco_audit.database import database_errors_explained
from fiftyone_coco_audit.errors import CocoAuditError, check_count
from fiftyone_coco_audit.evaluation.improvements import Improvements
from fiftyone_coco_audit.evaluation.loading_results import load_results
from fiftyone_coco_audit.evaluation.results import CocoResults, no_such_evaluation
from fiftyone_coco_audit.fiftyone_internals import (
    run_ids,
    stages_of,
    with_stages,
)
from fiftyone_coco_audit.findings import (
    Evidence,
    Finding,
    Need,
    Rule,
    highest_gain_first,
)
from fiftyone_coco_audit.progress import Progress
from fiftyone_coco_audit.rule_selection import selected_rules
from fiftyone_coco_audit.runs import load_run, save_run
from fiftyone_coco_audit.storage.exclusive import exclusive, up_to_date

if TYPE_CHECKING:
    import fiftyone as fo

#: What an audit of results can examine
OF_RESULTS: tuple[Need, ...] = ("evaluation",)

_RUN_KEY = "coco_audit_results_{}"


@database_errors_explained()
def audit_results(
    samples: fo.SampleCollection,
    eval_key: str = "eval",
    *,
    select: Iterable[str] | None = None,
    ignore: Iterable[str] = (),
    thresholds: Mapping[str, Mapping[str, Any]] | None = None,
    num_draws: int = 100,
    progress: Progress = None,
) -> Audit:
    """Finds what to do next about the results of an evaluation, and stores it.

    Each finding has a gain: how much AP would rise if it were dealt with. It is
    computed from the matches of the evaluation, with a 95% interval over draws of the
    images.

    Args:
        samples: a dataset; of a view, the evaluation of its dataset is audited
        eval_key: the name of the evaluation
        select: the rules to run, by code, start of a code or name, such as
            ``["CA8", "missed-objects"]``; by default all of results
        ignore: the rules to skip
        thresholds: thresholds to change, by code or name of the rule, such as
            ``{"CA701": {"min_gain": 0.01}}``
        num_draws: how many times images are drawn for the intervals
        progress: whether to show a progress bar where labels are read

    Returns:
        an :class:`.auditing.Audit` whose findings have a ``gain``, the highest first;
        :func:`load_results_audit` loads it

    Raises:
        CocoAuditError: if there is no such evaluation, or an argument cannot be used
    """
    rules = selected_rules(select, ignore, OF_RESULTS)
    changed = checked_thresholds(thresholds or {}, OF_RESULTS)
    check_count("num_draws", num_draws)
    results = load_results(samples, eval_key, progress=progress)
    improvements = Improvements(results.evaluation, results.rows, num_draws)
    findings = [
        _finding(rule, evidence, results)
        for rule in rules
        for evidence in rule.examine(improvements, **changed.get(rule.code, {}))
    ]
    evaluation = results.evaluation
    crowds = int(evaluation.truth.crowd.sum())
    made = Audit(
        findings=highest_gain_first(findings),
        samples=results.samples,
        label_field=results.config.gt_field,
        resize="",
        anchors="",
        num_images=evaluation.num_images,
        num_objects=len(evaluation.truth) - crowds,
        created=datetime.now(timezone.utc),
        num_crowds=crowds,
        eval_key=eval_key,
    )
    _store(made, results)
    return made


def _finding(rule: Rule, evidence: Evidence, results: CocoResults) -> Finding:
    """Makes a finding from what was found in an evaluation."""
    rows, config = results.rows, results.config
    label_field, label_ids, sample_ids = config.gt_field, [], []
    if evidence.predictions is not None:
        label_field = config.pred_field
        label_ids = rows.prediction_ids[evidence.predictions].tolist()
    elif evidence.objects is not None:
        label_ids = rows.truth_ids[evidence.objects].tolist()
    elif evidence.images is not None:
        sample_ids = rows.sample_ids[rows.sample[evidence.images]].tolist()
    return Finding(
        code=rule.code,
        name=rule.name,
        severity=evidence.severity or rule.severity,
        message=evidence.message,
        advice=evidence.advice or rule.advice,
        count=len(label_ids) or len(sample_ids),
        classes=evidence.classes,
        figures=dict(evidence.figures),
        label_field=label_field,
        sample_ids=tuple(sample_ids),
        label_ids=tuple(label_ids),
        gain=evidence.gain,
    )


def _store(made: Audit, results: CocoResults) -> None:
    dataset = dataset_of(made.samples)
    key = made.eval_key
    config = dataset.init_run(
        method="audit_results", eval_key=key, created=made.created.isoformat()
    )
    content = {
        "audit": made.as_dict(),
        "evaluation": str(results.run_id),
        "stages": stages_of(made.samples),
    }
    with exclusive(dataset) as fresh:
        if run_ids(fresh, "evaluations").get(key) != results.run_id:
            raise CocoAuditError(
                f"Evaluation {key!r} was replaced or deleted while it was audited: "
                "audit it again"
            )
        save_run(dataset, _RUN_KEY.format(key), config, content)


@database_errors_explained()
def load_results_audit(dataset: fo.Dataset, eval_key: str = "eval") -> Audit:
    """Returns the last audit of the results of an evaluation.

    Args:
        dataset: the dataset
        eval_key: the name of the evaluation

    Returns:
        an :class:`.auditing.Audit`

    Raises:
        CocoAuditError: if there is no such evaluation, or it was not audited since it
            was made
    """
    dataset = dataset_of(dataset)
    up_to_date(dataset)
    evaluation = run_ids(dataset, "evaluations").get(eval_key)
    if evaluation is None:
        raise no_such_evaluation(dataset, eval_key)
    run = load_run(dataset, _RUN_KEY.format(eval_key))
    if run is None or run["evaluation"] != str(evaluation):
        raise CocoAuditError(
            f"The results of evaluation {eval_key!r} of dataset {dataset.name!r} were "
            f"not audited: run audit_results(dataset, {eval_key!r}) first"
        )
    return Audit.from_dict(run["audit"], with_stages(dataset, run["stages"]))
