"""All rules that apply to results: what to do next, by the AP that it gains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import numpy as np

from fiftyone_coco_audit.auditing import (
    Audit,
    audit_settings,
    checked_thresholds,
    load_audit,
)
from fiftyone_coco_audit.columns import dataset_of
from fiftyone_coco_audit.database import database_errors_explained
from fiftyone_coco_audit.errors import CocoAuditError, check_count
from fiftyone_coco_audit.evaluation.analysis.intervals import objects_by_class
from fiftyone_coco_audit.evaluation.analysis.outcomes import LeftOut
from fiftyone_coco_audit.evaluation.improvements import (
    SMALL,
    UNREACHABLE,
    Improvements,
)
from fiftyone_coco_audit.evaluation.known_findings import (
    KnownFindings,
    hard_objects,
    tight_boxes,
)
from fiftyone_coco_audit.evaluation.loading_results import load_results
from fiftyone_coco_audit.evaluation.metrics import Evaluation
from fiftyone_coco_audit.evaluation.results import CocoResults, no_such_evaluation
from fiftyone_coco_audit.evaluation.tables import EvaluationTables
from fiftyone_coco_audit.fiftyone_internals import (
    run_ids,
    stages_of,
    with_stages,
)
from fiftyone_coco_audit.findings import (
    Evidence,
    Finding,
    Rule,
    highest_gain_first,
)
from fiftyone_coco_audit.progress import Progress
from fiftyone_coco_audit.rule_selection import (
    OF_RESULTS,
    not_run_notes,
    selected_rules,
)
from fiftyone_coco_audit.runs import load_run, save_run
from fiftyone_coco_audit.storage.exclusive import exclusive, up_to_date
from fiftyone_coco_audit.wording import counted, named

if TYPE_CHECKING:
    import fiftyone as fo

_RUN_KEY = "coco_audit_results_{}"

# Rules of changed labels, which have to be matched anew
_OF_BOXES = ("CA714", "CA801", "CA803", "CA804", "CA805", "CA806")
_OF_HARD = {"CA721": SMALL, "CA722": UNREACHABLE}
_UNKNOWN = {
    SMALL: "Sizes at the input of the network are not known: call audit(dataset) or "
    "compute_statistics(dataset).",
    UNREACHABLE: "The anchors of the detector are not known: if it has any, pass them "
    "to compute_statistics(dataset, anchors=...).",
}


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
    findings, not_run = examine_results(
        results, rules, thresholds=changed, num_draws=num_draws
    )
    if len(not_run) == len(rules):
        raise CocoAuditError(f"No rule can run. {' '.join(not_run_notes(not_run))}")
    evaluation = results.evaluation
    crowds = int(evaluation.truth.crowd.sum())
    made = Audit(
        findings=findings,
        samples=results.samples,
        label_field=results.config.gt_field,
        resize="",
        anchors="",
        num_images=evaluation.num_images,
        num_objects=len(evaluation.truth) - crowds,
        created=datetime.now(timezone.utc),
        notes=(*_left_out(results), *not_run_notes(not_run)),
        num_crowds=crowds,
        not_run=not_run,
        eval_key=eval_key,
        provenance=results.provenance.to_dict(),
    )
    _store(made, results)
    return made


def examine_results(
    results: EvaluationTables,
    rules: Sequence[Rule] | None = None,
    *,
    thresholds: Mapping[str, Mapping[str, Any]] | None = None,
    num_draws: int = 100,
) -> tuple[tuple[Finding, ...], dict[str, str]]:
    """What the rules find in results; nothing is stored.

    Args:
        results: the results of an evaluation, of all its images or of some
        rules: the rules to run, by default all of results
        thresholds: thresholds to change, by code
        num_draws: how many times images are drawn for the intervals

    Returns:
        a tuple of the findings, the highest gain first, and why rules were not run, by
        code
    """
    chosen = selected_rules(None, (), OF_RESULTS) if rules is None else rules
    changed = thresholds or {}
    known = _findings_of_dataset(results)
    improvements = _improvements(results, known, num_draws)
    not_run = _not_run(chosen, improvements)
    found = [
        (rule, evidence)
        for rule in chosen
        if rule.code not in not_run
        for evidence in rule.examine(improvements, **changed.get(rule.code, {}))
    ]
    context = KnownFindings(improvements, known or (), results.source.gt_field)
    findings = highest_gain_first(
        _finding(rule, evidence, results, context)
        for rule, evidence in _without_repeats(found, improvements)
    )
    return findings, not_run


def _findings_of_dataset(results: EvaluationTables) -> Sequence[Finding] | None:
    """The findings of the last audit of the dataset, None without one of this field."""
    dataset, _, gt_field = results.source
    settings = audit_settings(dataset)
    if settings is None or settings.label_field != gt_field:
        return None
    return load_audit(dataset).findings


def _improvements(
    results: EvaluationTables, known: Sequence[Finding] | None, num_draws: int
) -> Improvements:
    dataset, _, gt_field = results.source
    about = dataset, gt_field, results.rows, known
    return Improvements(
        results.evaluation,
        results.rows,
        num_draws,
        hard=hard_objects(*about),
        tight=tight_boxes(*about),
    )


def _not_run(rules: Sequence[Rule], improvements: Improvements) -> dict[str, str]:
    """Why rules are not run on an evaluation, by code."""
    reasons = {}
    iou_type = improvements.evaluation.settings.iou_type
    for rule in rules:
        if rule.code in _OF_BOXES and iou_type != "bbox":
            reasons[rule.code] = (
                "What changed labels would gain is only known where boxes are "
                f"evaluated (iou_type is {iou_type!r})."
            )
        elif rule.code in _OF_HARD and _OF_HARD[rule.code] not in improvements.hard:
            reasons[rule.code] = _UNKNOWN[_OF_HARD[rule.code]]
    return reasons


def _left_out(results: CocoResults) -> list[str]:
    """Sentences on what no finding is about."""
    evaluation = results.evaluation
    notes = LeftOut.of(evaluation, evaluation.outcomes()[1][0]).sentences()
    empty = np.flatnonzero(objects_by_class(evaluation) == 0)
    if len(empty):
        names = named([results.rows.classes[row] for row in empty.tolist()])
        notes.append(
            f"{counted(len(empty), 'class')} without objects do not enter AP: {names}."
            if len(empty) > 1
            else f"A class without objects does not enter AP: {names}."
        )
    return notes


def _without_repeats(
    found: Sequence[tuple[Rule, Evidence]], improvements: Improvements
) -> list[tuple[Rule, Evidence]]:
    """What was found, without what mostly follows from another cause."""
    return [
        (rule, evidence)
        for rule, evidence in found
        if not any(
            rule.code.startswith(cause.implies)
            and _follows(evidence, other, improvements.evaluation)
            for cause, other in found
        )
    ]


def _follows(evidence: Evidence, cause: Evidence, evaluation: Evaluation) -> bool:
    """Whether a cause is about most of what was found, or about most of its gain."""
    suspects = cause.predictions
    if cause.images is not None:
        image = evaluation.predictions.image
        suspects = np.flatnonzero(np.isin(image, cause.images))
    for rows, others in (
        (evidence.predictions, suspects),
        (evidence.objects, cause.objects),
    ):
        if rows is None or others is None or not len(rows) or not len(others):
            continue
        if np.isin(rows, others).mean() > 0.5:
            return True
        if evidence.gain and cause.gain and np.isin(others, rows).mean() > 0.5:
            return cause.gain.value > evidence.gain.value / 2
    return False


def _finding(
    rule: Rule, evidence: Evidence, results: EvaluationTables, known: KnownFindings
) -> Finding:
    """Makes a finding from what was found in an evaluation."""
    related = known.related(evidence)
    rows, (_, pred_field, gt_field) = results.rows, results.source
    label_field, label_ids, sample_ids = gt_field, [], []
    if evidence.predictions is not None:
        label_field = pred_field
        label_ids = rows.prediction_ids[evidence.predictions].tolist()
    elif evidence.objects is not None:
        label_ids = rows.truth_ids[evidence.objects].tolist()
    elif evidence.images is not None:
        sample_ids = rows.sample_ids[rows.sample[evidence.images]].tolist()
    return Finding(
        code=rule.code,
        name=rule.name,
        severity=evidence.severity or rule.severity,
        message=" ".join(
            [evidence.message]
            + [said for code, said in related if code not in evidence.message]
        ),
        advice=evidence.advice or rule.advice,
        count=len(label_ids) or len(sample_ids),
        classes=evidence.classes,
        figures=dict(evidence.figures),
        label_field=label_field,
        sample_ids=tuple(sample_ids),
        label_ids=tuple(label_ids),
        gain=evidence.gain,
        related=tuple(code for code, _ in related),
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
    made = Audit.from_dict(run["audit"], with_stages(dataset, run["stages"]))
    return replace(made, eval_key=eval_key)


def rename_results_audit(dataset: fo.Dataset, eval_key: str, new_eval_key: str) -> None:
    """Renames the audit of the results of an evaluation with it, if there is one."""
    if _RUN_KEY.format(eval_key) in dataset.list_runs():
        delete_results_audit(dataset, new_eval_key)
        dataset.rename_run(_RUN_KEY.format(eval_key), _RUN_KEY.format(new_eval_key))


def delete_results_audit(dataset: fo.Dataset, eval_key: str) -> None:
    """Deletes the audit of the results of an evaluation, if there is one."""
    if _RUN_KEY.format(eval_key) in dataset.list_runs():
        dataset.delete_run(_RUN_KEY.format(eval_key))
