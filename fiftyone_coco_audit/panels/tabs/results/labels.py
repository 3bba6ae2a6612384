"""The tab *Labels*: doubtful labels, the verdicts on them, and what is left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.escaping import markdown, markdown_list
from fiftyone_coco_audit.evaluation.analysis.label_issues import KINDS, LabelIssues
from fiftyone_coco_audit.evaluation.analysis.review_estimates import (
    ACCEPTED,
    REJECTED,
    ReviewEstimates,
    review_estimates,
)
from fiftyone_coco_audit.evaluation.analysis.unlabeled_images import unlabeled_images
from fiftyone_coco_audit.evaluation.reviewing import verdicts_on
from fiftyone_coco_audit.fiftyone_internals import root_dataset
from fiftyone_coco_audit.panels.blocks import (
    Block,
    Button,
    Buttons,
    Message,
    Plot,
    Tab,
    Text,
)
from fiftyone_coco_audit.panels.figures.bars import stacked_bars
from fiftyone_coco_audit.panels.figures.figure import BLUE, GRAY, ORANGE
from fiftyone_coco_audit.panels.loaded_results import LoadedResults
from fiftyone_coco_audit.panels.results_controls import ResultsControls
from fiftyone_coco_audit.panels.selections import Selection
from fiftyone_coco_audit.panels.tabs.results.shared import (
    Metric,
    metric_bars,
    without_objects,
)
from fiftyone_coco_audit.wording import counted

# The parts of a bar: their verdicts and colors
_PARTS = {
    "accepted": (ACCEPTED, ORANGE),
    "rejected": (REJECTED, GRAY),
    "to review": (0, BLUE),
}
# A smaller difference in AP needs no warning
_VISIBLE = 0.005
_HOW = (
    "Click a bar to open its issues as patches. Select those that you are sure about, "
    "and accept them if the label is wrong or missing, or reject them if it is right."
)


def build(loaded: LoadedResults, controls: ResultsControls) -> Tab:
    """Doubtful labels, and what verdicts say about them."""
    if not loaded.has_objects:
        return without_objects()
    try:
        issues = loaded.once("label_issues", lambda: _issues(loaded))
    except CocoAuditError as error:
        return Tab([Message("impossible", str(error))])
    empty = unlabeled_images(loaded.evaluation)
    severity = "warning" if empty.ap_without - empty.ap >= _VISIBLE else "note"
    headline: list[Block] = [
        Message("unlabeled", one, severity) for one in empty.sentences()
    ]
    if not len(issues):
        none = "**No prediction makes a label doubtful.**"
        return Tab([*headline, Text("none", none)])
    key = loaded.eval_key
    verdicts = verdicts_on(issues, root_dataset(loaded.samples), key)
    estimates = review_estimates(issues, verdicts)
    reviewed = np.flatnonzero(estimates.accepted + estimates.rejected)
    blocks = [
        *headline,
        _kinds(loaded, issues, verdicts),
        Buttons("decisions", _decisions(key)),
        Text("estimates", markdown_list(estimates.sentences())),
    ]
    if len(reviewed):
        blocks.append(_precision(loaded, issues, verdicts, estimates, reviewed))
    accepted = int((verdicts == ACCEPTED).sum())
    label = f"Apply {counted(accepted, 'accepted issue')} to a copy"
    apply = Button(
        "apply",
        label,
        event="apply_review",
        params={"eval_key": key},
        disabled=not accepted,
    )
    blocks.append(Buttons("applying", [apply]))
    if controls.applied:
        blocks.append(Text("applied", f"**{markdown(controls.applied)}**"))
    return Tab(blocks)


def _issues(loaded: LoadedResults) -> LabelIssues:
    """The issues of the images that are shown.

    They are those of the whole evaluation, as verdicts are on these.
    """
    issues = (loaded.whole or loaded.results).label_issues()
    shown = np.isin(
        issues.sample_ids.astype(str), loaded.results.rows.sample_ids.astype(str)
    )
    return issues if shown.all() else issues.where(shown)


def _decisions(eval_key: str) -> list[Button]:
    return [
        Button(
            decision,
            label,
            event="decide",
            params={"decision": decision, "eval_key": eval_key},
            filled=decision != "undo",
        )
        for decision, label in (
            ("accept", "Accept the selection"),
            ("reject", "Reject the selection"),
            ("undo", "Take its verdicts back"),
        )
    ]


def _kinds(
    loaded: LoadedResults, issues: LabelIssues, verdicts: NDArray[np.int64]
) -> Plot:
    parts = [verdict for verdict, _ in _PARTS.values()]
    counts = np.array(
        [
            np.bincount(issues.kind[verdicts == part], minlength=len(KINDS))
            for part in parts
        ]
    )
    shown = np.flatnonzero(counts.sum(axis=0))
    names = [list(KINDS)[kind] for kind in shown.tolist()]

    def pick(trace: int, mark: int) -> Selection:
        chosen = (issues.kind == shown[mark]) & (verdicts == parts[trace])
        return _selection(loaded, issues, np.flatnonzero(chosen))

    largest = names[int(counts[:, shown].sum(axis=0).argmax())]
    return Plot(
        "issues",
        f"{counted(len(issues), 'label issue')}, "
        f"{'each' if len(names) == 1 else 'most often'} a {largest}.",
        stacked_bars(
            names,
            {part: counts[n, shown] for n, part in enumerate(_PARTS)},
            "label issues",
            colors=[color for _, color in _PARTS.values()],
            hover={
                part: [
                    f"{name}: {KINDS[name]}<br>"
                    f"{counted(int(counts[n, kind]), 'prediction')} {part}"
                    for name, kind in zip(names, shown.tolist(), strict=True)
                ]
                for n, part in enumerate(_PARTS)
            },
        ),
        pick,
        _HOW,
        as_patches=True,
    )


def _precision(
    loaded: LoadedResults,
    issues: LabelIssues,
    verdicts: NDArray[np.int64],
    estimates: ReviewEstimates,
    reviewed: NDArray[np.int64],
) -> Plot:
    frame = estimates.to_frame().iloc[reviewed]
    ends = np.cumsum(estimates.issues)
    starts = ends - estimates.issues

    def pick(mark: int) -> Selection:
        at = reviewed[mark]
        rows = np.arange(starts[at], ends[at])
        return _selection(loaded, issues, rows[verdicts[rows] > 0])

    hover = [
        f"{counted(n, 'prediction')} reviewed, of {total:,}"
        + ("" if enough else ": too few to be sure")
        for n, total, enough in zip(
            (frame["accepted"] + frame["rejected"]).tolist(),
            frame["issues"].tolist(),
            frame["enough"].tolist(),
            strict=True,
        )
    ]
    plot = metric_bars(
        "precision",
        "Share of the reviewed issues that were accepted, by kind and score.",
        [
            f"{kind.removesuffix(' label')} {low:.2f}-{high:.2f}"
            for kind, low, high in zip(
                frame["kind"], frame["lowest"], frame["highest"], strict=True
            )
        ],
        Metric(
            frame["precision"].to_numpy(float),
            frame["low"].to_numpy(float),
            frame["high"].to_numpy(float),
        ),
        pick,
        title="accepted share",
        hover=hover,
    )
    return replace(plot, as_patches=True)


def _selection(
    loaded: LoadedResults, issues: LabelIssues, chosen: NDArray[np.int64]
) -> Selection:
    """Some issues as rows of what is shown."""
    rows = loaded.results.rows
    truth = issues.truth[chosen]
    predictions = _rows_among(
        issues.rows.prediction_ids, rows.prediction_ids, issues.prediction[chosen]
    )
    if not len(chosen) or truth[0] < 0:
        return Selection(predictions=predictions)
    objects = _rows_among(issues.rows.truth_ids, rows.truth_ids, truth)
    return Selection(objects=objects, predictions=predictions)


def _rows_among(
    ids: NDArray[np.object_], shown: NDArray[np.object_], rows: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The rows of some labels of all among those that are shown, in the same order."""
    if len(ids) == len(shown):
        return rows
    kept = np.isin(ids.astype(str), shown.astype(str))
    return (np.cumsum(kept) - 1)[rows]
