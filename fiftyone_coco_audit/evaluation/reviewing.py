"""Doubtful labels under review: verdicts kept with the dataset, and a repaired copy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.columns import require_detections
from fiftyone_coco_audit.database import database_errors_explained
from fiftyone_coco_audit.display import TextSummary, of_samples
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.evaluation.analysis.label_issues import KINDS, LabelIssues
from fiftyone_coco_audit.evaluation.analysis.repaired_labels import (
    RepairGain,
    repair_gain,
    repaired_evaluation,
)
from fiftyone_coco_audit.evaluation.analysis.review_estimates import (
    ACCEPTED,
    REJECTED,
    VERDICTS,
    ReviewEstimates,
    review_estimates,
)
from fiftyone_coco_audit.evaluation.analysis.unlabeled_images import unlabeled_images
from fiftyone_coco_audit.evaluation.inputs import read_inputs
from fiftyone_coco_audit.evaluation.loading_results import load_results
from fiftyone_coco_audit.evaluation.metrics import Evaluation
from fiftyone_coco_audit.evaluation.reviewed_copy import (
    REVIEWED_FIELD,
    check_copy,
    check_run,
    write_copy,
)
from fiftyone_coco_audit.evaluation.verdicts import store_verdict, stored_verdicts
from fiftyone_coco_audit.evaluation.views import showing_all_fields
from fiftyone_coco_audit.fiftyone_internals import root_dataset
from fiftyone_coco_audit.objects import Objects
from fiftyone_coco_audit.progress import Progress
from fiftyone_coco_audit.storage.exclusive import exclusive, up_to_date
from fiftyone_coco_audit.wording import counted, listed

if TYPE_CHECKING:
    import fiftyone as fo
    import pandas as pd

    from fiftyone_coco_audit.evaluation.results import CocoResults

_UNREVIEWED = "unreviewed"


@dataclass(frozen=True, repr=False)
class AppliedReview(TextSummary):
    """What a review has changed in a copy of the ground truth.

    Attributes:
        field: the field of the copy
        changed: the number of accepted issues by kind
        left_out: ids of the samples that were never annotated
        before: the COCO numbers of the evaluation
        after: those of the same predictions against the copy, without ``left_out``
        samples: what was evaluated
    """

    field: str
    changed: dict[str, int]
    left_out: tuple[str, ...]
    before: dict[str, float]
    after: dict[str, float]
    samples: fo.SampleCollection

    def view(self) -> fo.SampleCollection:
        """The samples that ``after`` is about: evaluate them against the copy."""
        if not self.left_out:
            return self.samples
        return self.samples.exclude(list(self.left_out))

    def sentences(self) -> list[str]:
        """What was changed, and AP before and after."""
        changes = [
            counted(count, kind) for kind, count in self.changed.items() if count
        ]
        lines = [
            f"Put right in {self.field!r}: {listed(changes, most=len(KINDS))}.",
            f"AP {self.before['AP']:.4f} before, {self.after['AP']:.4f} after.",
        ]
        if self.left_out:
            images = counted(len(self.left_out), "image")
            lines.append(f"The AP after is without {images} that nobody annotated.")
        return lines


@dataclass(frozen=True, repr=False)
class LabelReview(TextSummary):
    """The label issues of an evaluation, and the verdicts on them.

    Verdicts are kept with the dataset, so each method knows those of other processes.
    An issue is named by the id of its prediction or of its label; the id of a sample
    stands for all issues of that sample.

    Attributes:
        results: the evaluation
        issues: its label issues
    """

    results: CocoResults
    issues: LabelIssues

    @property
    def dataset(self) -> fo.Dataset:
        """The dataset."""
        return root_dataset(self.results.samples)

    @property
    def verdicts(self) -> NDArray[np.int64]:
        """``(I,)`` the verdicts as the database has them, positions in ``VERDICTS``."""
        return verdicts_on(self.issues, self.dataset, self.results.key)

    @database_errors_explained()
    def accept(self, ids: Iterable[str]) -> int:
        """Says that issues are errors of the labels.

        Args:
            ids: ids of predictions, labels or samples

        Returns:
            the number of issues

        Raises:
            CocoAuditError: if an id belongs to no issue, or the evaluation was
                replaced or deleted; nothing is written then
        """
        return self._decide(ids, VERDICTS[ACCEPTED])

    @database_errors_explained()
    def reject(self, ids: Iterable[str]) -> int:
        """Says that the labels of issues are right; see :meth:`accept`."""
        return self._decide(ids, VERDICTS[REJECTED])

    @database_errors_explained()
    def undo(self, ids: Iterable[str]) -> int:
        """Takes verdicts back; see :meth:`accept`."""
        return self._decide(ids, None)

    def estimates(self) -> ReviewEstimates:
        """What the verdicts say about the issues without one.

        Returns:
            a :class:`ReviewEstimates`: print it, or take its frame of the precision by
            range of scores
        """
        return review_estimates(self.issues, self.verdicts)

    def to_frame(self) -> pd.DataFrame:
        """The issues, the most doubtful of each kind first.

        Returns:
            the frame of :meth:`.LabelIssues.to_frame`, and ``verdict``: ``"accepted"``,
            ``"rejected"`` or None
        """
        names = np.array([None, *VERDICTS[1:]], dtype=object)
        return self.issues.to_frame().assign(verdict=names[self.verdicts])

    def view(self, which: str) -> fo.DatasetView:
        """Opens the issues of a kind, or those with a verdict.

        Args:
            which: a kind, or ``"accepted"``, ``"rejected"`` or ``"unreviewed"``

        Returns:
            a view with a patch for each issue: the prediction, with the label in doubt
            if there is one

        Raises:
            CocoAuditError: if there is no such kind or verdict
        """
        names = [_UNREVIEWED, *VERDICTS[1:]]
        if which not in names:
            return self.results.label_issues_view(which)
        chosen = np.flatnonzero(self.verdicts == names.index(which))
        return self.results.view_of_issues(self.issues, chosen)

    @database_errors_explained()
    def gain(self, *, num_draws: int = 200, progress: Progress = None) -> RepairGain:
        """How much AP rises if the accepted issues are put right; nothing is written.

        Args:
            num_draws: how many times images are drawn for the interval
            progress: whether to show a progress bar where labels are read

        Returns:
            a :class:`RepairGain`

        Raises:
            CocoAuditError: if labels were changed since they were evaluated
        """
        return repair_gain(
            self._evaluation(progress), self.issues, self._accepted, num_draws=num_draws
        )

    @database_errors_explained()
    def apply(
        self, field: str = REVIEWED_FIELD, *, progress: Progress = None
    ) -> AppliedReview:
        """Puts the accepted issues right in a copy of the ground truth.

        A missing label is added with the class and box of its prediction, a wrong
        class is changed to that of the prediction, a box in the wrong place is replaced
        by the prediction's, and the second of two labels is removed. Where masks were
        evaluated, masks follow boxes; where boxes were, a label whose box was replaced
        loses its mask. Images that were never annotated get no labels, and are left out
        of the AP after. An earlier copy in the field is replaced.

        Args:
            field: the field for the copy
            progress: whether to show progress bars

        Returns:
            an :class:`AppliedReview`

        Raises:
            CocoAuditError: if nothing is accepted, labels were changed since they were
                evaluated, or the field is not a copy of ours; nothing is written then
        """
        results, accepted = self.results, self._accepted
        if not len(accepted):
            raise CocoAuditError(
                f"No label issue of evaluation {results.key!r} of dataset "
                f"{self.dataset.name!r} is accepted, so there is nothing to apply: "
                "accept some first"
            )
        up_to_date(self.dataset)
        check_copy(self.dataset, results, field)
        evaluation = self._evaluation(progress)
        area = evaluation.predictions.area
        write_copy(results, self.issues, accepted, area, field, progress)
        kinds = np.bincount(self.issues.kind[accepted], minlength=len(KINDS))
        changed = dict(zip(KINDS, kinds.tolist(), strict=True))
        never = accepted[
            self.issues.kind[accepted] == list(KINDS).index("unlabeled image")
        ]
        return AppliedReview(
            field=field,
            changed=changed,
            left_out=tuple(self.issues.sample_ids[never].tolist()),
            before=evaluation.summary(),
            after=repaired_evaluation(evaluation, self.issues, accepted).summary(),
            samples=results.samples,
        )

    def sentences(self) -> list[str]:
        """Images without labels, the issues by kind, and what the verdicts say."""
        return [
            *unlabeled_images(self.results.evaluation).sentences(),
            *self.issues.sentences(),
            *self.estimates().sentences(),
        ]

    def _about(self) -> str:
        issues = counted(len(self.issues), "issue")
        return f"{self.results.key!r} {of_samples(self.results.samples)}: {issues}"

    @property
    def _accepted(self) -> NDArray[np.int64]:
        return np.flatnonzero(self.verdicts == ACCEPTED)

    def _decide(self, ids: Iterable[str], verdict: str | None) -> int:
        every = _names(self.issues)
        names = [every[n] for n in self._positions(ids).tolist()]
        with exclusive(self.dataset) as fresh:
            check_run(fresh, self.results)
            store_verdict(fresh, self.results.key, names, verdict)
        return len(names)

    def _positions(self, ids: Iterable[str]) -> NDArray[np.int64]:
        """The positions of the issues that ids belong to."""
        given = {ids} if isinstance(ids, str) else {str(id_) for id_ in ids}
        issues = self.issues
        columns = issues.sample_ids, issues.prediction_ids, issues.label_ids
        unknown = sorted(given - set(chain.from_iterable(columns)))
        if unknown or not given:
            reason = (
                f"{len(unknown):,} of {counted(len(given), 'id')}, such as "
                f"{unknown[0]!r}, belong to no label issue"
                if unknown
                else "No id was given"
            )
            raise CocoAuditError(
                f"{reason} of evaluation {self.results.key!r}: use the ids of samples, "
                "predictions or labels in to_frame()"
            )
        chosen = np.zeros(len(issues), bool)
        for column in columns:
            chosen |= np.array([id_ in given for id_ in column.tolist()], bool)
        return np.flatnonzero(chosen)

    def _evaluation(self, progress: Progress) -> Evaluation:
        """The evaluation with masks, of labels that are what they were."""
        results, config = self.results, self.results.config
        samples = showing_all_fields(results.samples)
        for field in (config.pred_field, config.gt_field):
            require_detections(samples, field)
        stored, rows = results.evaluation, results.rows
        inputs = read_inputs(
            samples,
            config.pred_field,
            config.gt_field,
            stored.settings,
            progress=progress,
        )
        truth, predictions = inputs.truth, inputs.predictions
        unchanged = (
            tuple(inputs.classes) == rows.classes
            and np.array_equal(truth.ids, rows.truth_ids)
            and np.array_equal(predictions.ids, rows.prediction_ids)
            and _equal(truth.objects, stored.truth)
            and _equal(predictions.objects, stored.predictions)
        )
        if not unchanged:
            raise CocoAuditError(
                f"Labels of dataset {self.dataset.name!r} were changed since they were "
                f"evaluated as {results.key!r}: evaluate them again, and review what "
                "is left; verdicts are kept"
            )
        return replace(stored, truth=truth.objects, predictions=predictions.objects)


@database_errors_explained()
def review_labels(
    samples: fo.SampleCollection, eval_key: str = "eval", *, progress: Progress = None
) -> LabelReview:
    """Puts the doubtful labels of an evaluation before the user.

    Args:
        samples: a dataset; of a view, the runs of its dataset are loaded
        eval_key: the name of the evaluation
        progress: whether to show a progress bar where labels are read

    Returns:
        a :class:`LabelReview`: print it, open its views, accept or reject issues, and
        apply those that are accepted to a copy of the ground truth

    Raises:
        CocoAuditError: if there is no such evaluation, or it is not one of boxes or
            masks
    """
    results = load_results(samples, eval_key, progress=progress)
    return LabelReview(results, results.label_issues())


@database_errors_explained()
def accept_label_issues(
    samples: fo.SampleCollection, ids: Sequence[str], eval_key: str = "eval"
) -> LabelReview:
    """Says that issues are errors of the labels.

    Args:
        samples: as for :func:`review_labels`
        ids: as for :meth:`LabelReview.accept`
        eval_key: the name of the evaluation

    Returns:
        the :class:`LabelReview`

    Raises:
        CocoAuditError: as :func:`review_labels` and :meth:`LabelReview.accept`
    """
    review = review_labels(samples, eval_key)
    review.accept(ids)
    return review


@database_errors_explained()
def reject_label_issues(
    samples: fo.SampleCollection, ids: Sequence[str], eval_key: str = "eval"
) -> LabelReview:
    """Says that the labels of issues are right; see :func:`accept_label_issues`."""
    review = review_labels(samples, eval_key)
    review.reject(ids)
    return review


@database_errors_explained()
def apply_label_review(
    samples: fo.SampleCollection,
    eval_key: str = "eval",
    field: str = REVIEWED_FIELD,
    *,
    progress: Progress = None,
) -> AppliedReview:
    """Puts the accepted issues right in a copy of the ground truth.

    Args:
        samples: as for :func:`review_labels`
        eval_key: the name of the evaluation
        field: as for :meth:`LabelReview.apply`
        progress: whether to show progress bars

    Returns:
        an :class:`AppliedReview`

    Raises:
        CocoAuditError: as :func:`review_labels` and :meth:`LabelReview.apply`
    """
    review = review_labels(samples, eval_key, progress=progress)
    return review.apply(field, progress=progress)


def verdicts_on(
    issues: LabelIssues, dataset: fo.Dataset, eval_key: str
) -> NDArray[np.int64]:
    """The verdicts on some label issues of an evaluation, as the database has them.

    Args:
        issues: the issues
        dataset: the dataset
        eval_key: the name of the evaluation

    Returns:
        ``(I,)`` positions in :data:`.VERDICTS`
    """
    stored = stored_verdicts(dataset, eval_key)
    given = [stored.get(name, "") for name in _names(issues)]
    return np.array([VERDICTS.index(verdict) for verdict in given], np.int64)


def _names(issues: LabelIssues) -> list[str]:
    """What each issue is called where verdicts are stored."""
    kinds = list(KINDS)
    return [
        f"{kinds[kind]} {prediction} {label}"
        for kind, prediction, label in zip(
            issues.kind.tolist(),
            issues.prediction_ids.tolist(),
            issues.label_ids.tolist(),
            strict=True,
        )
    ]


def _equal(now: Objects, before: Objects) -> bool:
    names = ["image", "category", "box", "area", "crowd"]
    names += ["score"] if before.score is not None else []
    return all(np.array_equal(getattr(now, n), getattr(before, n)) for n in names)
