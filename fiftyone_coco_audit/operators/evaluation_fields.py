"""Renames or deletes our evaluation fields when FiftyOne does so with a run."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo

from fiftyone_coco_audit.auditing_results import (
    delete_results_audit,
    rename_results_audit,
)
from fiftyone_coco_audit.evaluation.colors import discard_colors, rename_colors
from fiftyone_coco_audit.evaluation.fields import (
    additional_fields,
    delete_evaluation_fields,
    optional_fields,
    rename_additional_fields,
)
from fiftyone_coco_audit.evaluation.panel_notes import remove_from_panel
from fiftyone_coco_audit.evaluation.verdicts import delete_verdicts, rename_verdicts
from fiftyone_coco_audit.fiftyone_internals import (
    delete_run_document,
    root_dataset,
    run_ids,
)
from fiftyone_coco_audit.storage.exclusive import exclusive


class EvaluationFields(foo.EvaluationMetric):
    """The part of an evaluation run that FiftyOne's own runs do not have.

    FiftyOne calls a run's custom metrics when it lists, renames or deletes the
    run's fields. Where this plugin is not installed it logs that it could not,
    and leaves the fields in place.
    """

    @property
    def config(self) -> foo.EvaluationMetricConfig:
        """The configuration of the operator."""
        return foo.EvaluationMetricConfig(
            name="evaluation_fields",
            label="COCO Audit: evaluation fields",
            description="The fields that COCO Audit adds to an evaluation run",
            unlisted=True,
        )

    def compute(self, samples: Any, results: Any, **kwargs: Any) -> None:
        """Does nothing: ``evaluate`` has written the fields."""

    def get_fields(self, samples: Any, config: Any, eval_key: str) -> list[str]:
        """The fields of a run that FiftyOne's own runs do not have."""
        dataset = root_dataset(samples)
        fields = config.pred_field, config.gt_field
        # FiftyOne refuses to rename a run whose fields are gone; these may be
        optional = set(optional_fields(eval_key, *fields))
        paths = additional_fields(eval_key, *fields)
        return [p for p in paths if p not in optional or dataset.has_field(p)]

    def rename(
        self, samples: Any, config: Any, eval_key: str, new_eval_key: str
    ) -> None:
        """Renames the fields with their run."""
        dataset = root_dataset(samples)
        with exclusive(dataset) as fresh:
            rename_additional_fields(
                fresh, eval_key, new_eval_key, config.pred_field, config.gt_field
            )
            rename_colors(fresh, eval_key, new_eval_key)
            rename_verdicts(fresh, eval_key, new_eval_key)
            rename_results_audit(fresh, eval_key, new_eval_key)

    def cleanup(self, samples: Any, config: Any, eval_key: str) -> None:
        """Deletes fields, colors, verdicts and notes in Model Evaluation with a run."""
        dataset = root_dataset(samples)
        with exclusive(dataset) as fresh:
            discard_colors(fresh, eval_key)
            delete_verdicts(fresh, eval_key)
            delete_results_audit(fresh, eval_key)
            delete_evaluation_fields(
                fresh, eval_key, config.pred_field, config.gt_field
            )
            # FiftyOne deletes the run that the loaded dataset knows about, which
            # another process may have replaced
            run = run_ids(fresh, "evaluations").get(eval_key)
            if run is not None:
                remove_from_panel(fresh, run)
                delete_run_document(run)
