"""Takes our evaluation fields along when FiftyOne renames or deletes a run."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo

from fiftyone_coco_audit.evaluation.colors import discard_colors, rename_colors
from fiftyone_coco_audit.evaluation.fields import (
    additional_fields,
    delete_additional_fields,
    rename_additional_fields,
)
from fiftyone_coco_audit.evaluation.panel_notes import remove_from_panel
from fiftyone_coco_audit.evaluation.replacement import discard_replacement


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
        """The fields that ``evaluate`` writes besides those of FiftyOne's runs."""
        return additional_fields(eval_key, config.pred_field, config.gt_field)

    def rename(
        self, samples: Any, config: Any, eval_key: str, new_eval_key: str
    ) -> None:
        """Renames the fields with their run."""
        rename_additional_fields(
            samples._root_dataset,
            eval_key,
            new_eval_key,
            config.pred_field,
            config.gt_field,
        )
        rename_colors(samples._root_dataset, eval_key, new_eval_key)

    def cleanup(self, samples: Any, config: Any, eval_key: str) -> None:
        """Deletes fields, colors, and notes in Model Evaluation, with their run."""
        dataset = samples._root_dataset
        discard_colors(dataset, eval_key)
        discard_replacement(dataset, eval_key)
        remove_from_panel(dataset, dataset._doc.evaluations[eval_key].id)
        delete_additional_fields(dataset, eval_key, config.pred_field, config.gt_field)
