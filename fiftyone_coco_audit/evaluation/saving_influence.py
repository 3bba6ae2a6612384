"""The influence of images as a field of the samples of their evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fiftyone_coco_audit.columns import read_columns, require_samples
from fiftyone_coco_audit.database import database_errors_explained
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.evaluation.fields import FUNCTION, influence_spec
from fiftyone_coco_audit.fields import FieldSpec, check_writable, foreign_field
from fiftyone_coco_audit.fiftyone_internals import root_dataset, run_ids
from fiftyone_coco_audit.storage.exclusive import up_to_date
from fiftyone_coco_audit.storage.publishing import publish_values
from fiftyone_coco_audit.storage.writes import Changes

if TYPE_CHECKING:
    import fiftyone as fo

    from fiftyone_coco_audit.evaluation.results import CocoResults


@database_errors_explained()
def write_influence(results: CocoResults) -> None:
    """See :meth:`fiftyone_coco_audit.evaluation.results.CocoResults.save_influence`."""
    samples, spec = results.samples, influence_spec(results.key)
    require_samples(samples)
    dataset = root_dataset(samples)
    up_to_date(dataset)

    changes = changes_of(results, [spec], "the influence of images")
    # Check now rather than after all values are written
    changes(dataset)
    influence = results.influence()["influence"].replace(np.nan, None).to_dict()
    columns = read_columns(samples, {})
    values = [influence.get(str(id_)) for id_ in columns.ids]
    publish_values(samples, columns, {spec.path: values}, {}, changes)


def changes_of(
    results: CocoResults, specs: Sequence[FieldSpec], what: str
) -> Callable[[fo.Dataset], Changes]:
    """What a write on request does to the dataset of an evaluation.

    Args:
        results: the results of the evaluation
        specs: the fields that are written
        what: what they hold

    Returns:
        a function of the dataset as it is when it is written, which raises
        :class:`CocoAuditError` if the evaluation is gone, or the fields cannot be
        written
    """
    paths = [spec.path for spec in specs]

    def changes(fresh: fo.Dataset) -> Changes:
        if run_ids(fresh, "evaluations").get(results.key) != results.run_id:
            raise CocoAuditError(
                f"Evaluation {results.key!r} of dataset {fresh.name!r} was replaced, "
                "renamed or deleted since these results were made: load its results "
                f"with load_results() and save {what}"
            )
        path = foreign_field(fresh, paths, FUNCTION)
        if path is not None:
            raise CocoAuditError(
                f"Dataset {fresh.name!r} already has a field {path!r}, which {what} "
                "would overwrite: rename that field"
            )
        check_writable(fresh, paths, FUNCTION)
        return Changes(FUNCTION, fields=tuple(specs), group=results.key)

    return changes
